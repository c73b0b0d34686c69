"""The language of the window: its texts, Qt's own texts and how numbers are written."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QCoreApplication, QLibraryInfo, QLocale, QTranslator

from app.text import NumberSigns, use_translator
from app.translations import QT_TEXTS, SYSTEM, folders, languages, refresh

_BOTH = re.compile(r"(.)([\"'’”)\]}»]*)(을\(를\)|이\(가\)|은\(는\)|와\(과\)|\(으\)로)")
#: Behind a consonant, behind a vowel.
_FORMS = {
    "을(를)": ("을", "를"),
    "이(가)": ("이", "가"),
    "은(는)": ("은", "는"),
    "와(과)": ("과", "와"),
    "(으)로": ("으로", "로"),
}
#: Final consonants of what digits and signs are read as: 영 일 이 삼 사 오 육 칠 팔 구, 퍼센트, 픽셀.
_FINAL = {**dict(zip("0123456789", ("ㅇ", "ㄹ", "", "ㅁ", "", "", "ㄱ", "ㄹ", "ㄹ", ""), strict=True)), "%": ""}
_PIXELS = re.compile(r"(?:^|[\s\d])px$")
#: Keys as shortcuts name them: a capital letter, read as its name (엘, 엠, 엔, 알 end in a consonant), and words (엔터, 탭, 홈).
_KEY = re.compile(r"(?:^|[^A-Za-z])([A-Z]|Enter|Return|Esc|Space|Backspace|Delete|Insert|End|Tab|Home|Up|Down|Left|Right)$")
_KEY_FINAL = {"L": "ㄹ", "M": "ㅁ", "N": "ㄴ", "R": "ㄹ", "Tab": "ㅂ", "Home": "ㅁ", "Return": "ㄴ", "Up": "ㅂ", "Down": "ㄴ"}


def show_language(code: str) -> list[QTranslator]:
    """Show the window in a language: a code such as ``ko``, or the desktop's for :data:`~app.translations.SYSTEM`.

    Without a translation it is shown in English. Returns the installed translators, those of Qt's own texts included; a window
    that exists already keeps its texts.
    """
    refresh()
    return translate_window(QLocale() if code == SYSTEM else QLocale(code), *folders())


def translate_window(language: QLocale, *places: Path) -> list[QTranslator]:
    """Show the window's texts in a language, as far as a folder of ``places`` has a translation; the first one counts.

    A desktop may name several languages in the order of the user's preference. The first one counts that is English or has a
    translation.
    """
    translator = QTranslator(QCoreApplication.instance())
    installed = []
    found = _load_preferred(translator, language, places)
    if found is not None:
        if found.language() != language.language():
            language = found
        installed += _translate_qt(found, places)
        QCoreApplication.installTranslator(translator)
        installed.append(translator)
        QLocale.setDefault(language)
    use_translator(
        lambda text, many, number: QCoreApplication.translate("", text, many or None, number),
        finish=choose_particles if installed and language.language() == QLocale.Language.Korean else None,
        signs=NumberSigns(language.groupSeparator(), language.decimalPoint()) if installed else NumberSigns(),
    )
    return installed


def _translate_qt(language: QLocale, places: Sequence[Path]) -> list[QTranslator]:
    """Translate Qt's own texts by its translation, then by ours, which has what is missing there and is asked first."""
    installed = []
    for searched in ([QLibraryInfo.path(QLibraryInfo.LibraryPath.TranslationsPath)], [str(place) for place in places]):
        translator = QTranslator(QCoreApplication.instance())
        if any(translator.load(language, QT_TEXTS, "_", folder) for folder in searched):
            QCoreApplication.installTranslator(translator)
            installed.append(translator)
    return installed


def _load_preferred(translator: QTranslator, language: QLocale, places: Sequence[Path]) -> QLocale | None:
    """Load the translation of the first preferred language that has one; its language. None if English comes before."""
    for name in language.uiLanguages():
        preferred = QLocale(name)  # of one language: the desktop's own would be searched for all that it names
        if any(translator.load(preferred, "atrous", "_", str(folder)) for folder in places):
            return preferred
        if preferred.language() == QLocale.Language.English:
            return None
    return None


def language_choices() -> list[tuple[str, str]]:
    """Codes of the languages that there are, each with its name in itself."""
    return [(code, "English" if code == "en" else QLocale(code).nativeLanguageName() or code) for code in languages()]


def choose_particles(text: str) -> str:
    """A Korean text with one form of each particle behind a value whose last sound is known.

    ``{name}을(를)`` is written for both forms. A particle has one form behind a vowel and one behind a consonant: 를 and 을,
    가 and 이, 는 and 은, 와 and 과, 로 and 으로 (로 behind ㄹ, too). Digits, per cent, px and keys are judged by how they are
    read. Behind other letters both forms stay, because their reading is not certain.
    """
    return _BOTH.sub(lambda match: _chosen(match, text), text) if ")" in text else text


def _chosen(match: re.Match[str], text: str) -> str:
    last, marks, both = match.groups()
    final = _final(last, text[: match.end(1)])
    if final is None:
        return match.group()
    behind_consonant, behind_vowel = _FORMS[both]
    vowel = not final or (both == "(으)로" and final == "ㄹ")
    return f"{last}{marks}{behind_vowel if vowel else behind_consonant}"


def _final(last: str, before: str) -> str | None:
    """The last consonant of a word; empty behind a vowel, None if its reading is not known."""
    if "가" <= last <= "힣":
        place = (ord(last) - ord("가")) % 28
        return "" if not place else "ㄹ" if place == 8 else "ㅇ"
    if _PIXELS.search(before):
        return "ㄹ"
    if (key := _KEY.search(before)) is not None:
        return _KEY_FINAL.get(key.group(1), "")
    return _FINAL.get(last)
