"""The language of the window: its texts, Qt's own texts and how numbers are written."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QCoreApplication, QLibraryInfo, QLocale, QTranslator

from app.particles import choose_particles
from app.text import NumberSigns, use_translator
from app.translations import SYSTEM, folders, languages, refresh


def show_language(code: str) -> list[QTranslator]:
    """Show the window in a language: a code such as ``ko``, or the desktop's for :data:`~app.translations.SYSTEM`.

    Without a translation it is shown in English. Returns the installed translators, those of Qt's own texts included; a window
    that exists already keeps its texts.
    """
    refresh()
    return translate_window(QLocale() if code == SYSTEM else QLocale(code), *folders())


def translate_window(language: QLocale, *places: Path) -> list[QTranslator]:
    """Show the window's texts in a language, as far as a folder of ``places`` has a translation; the first one counts."""
    translator = QTranslator(QCoreApplication.instance())
    installed = []
    if any(translator.load(language, "atrous", "_", str(folder)) for folder in places):
        own = QTranslator(QCoreApplication.instance())
        if own.load(language, "qtbase", "_", QLibraryInfo.path(QLibraryInfo.LibraryPath.TranslationsPath)):
            QCoreApplication.installTranslator(own)
            installed.append(own)
        QCoreApplication.installTranslator(translator)
        installed.append(translator)
        QLocale.setDefault(language)
    use_translator(
        lambda text, many, number: QCoreApplication.translate("", text, many or None, number),
        finish=choose_particles if installed and language.language() == QLocale.Language.Korean else None,
        signs=NumberSigns(language.groupSeparator(), language.decimalPoint()) if installed else NumberSigns(),
    )
    return installed


def language_choices() -> list[tuple[str, str]]:
    """Codes of the languages that there are, each with its name in itself."""
    return [(code, "English" if code == "en" else QLocale(code).nativeLanguageName() or code) for code in languages()]
