"""From a literal in the code to a translated window: collected by lupdate, released by lrelease, shown by ``tr``."""

from __future__ import annotations

import os
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QCoreApplication, QLocale, QTranslator
from PySide6.QtWidgets import QApplication, QDialogButtonBox

import app.translations
from app.text import percent, plural, points, share_text, spaced, tr, use_translator
from app.translations import chosen_language, languages, refresh, release
from app.ui.shell.language import language_choices, show_language, translate_window
from tools.translations import collect, sources

SOURCE = """
class Window:
    def texts(self, n, name):
        yield tr("{name} was saved", name=name)
        yield plural("{n} image", "{n} images", n)
        raise MaskFormatError(message("damaged"), remedy=message("Choose "
            "another"))
TITLE = mark("Undo")
"""
GERMAN = {
    "{name} was saved": ["{name} wurde gespeichert"],
    "{n} image": ["{n} Bild", "{n} Bilder"],
    "damaged": ["beschädigt"],
    "Choose another": ["Andere wählen"],
    "Undo": ["Rückgängig"],
}
Installed = list[QTranslator]


@pytest.fixture
def installed(qapp: QApplication) -> Iterator[Installed]:
    """Translators that a test installs; English again afterwards."""
    before, found = QLocale(), []
    yield found
    for translator in found:
        QCoreApplication.removeTranslator(translator)
    QLocale.setDefault(before)
    use_translator(None)


@pytest.fixture
def german(tmp_path: Path) -> Path:
    """A folder with a released German translation of a small window."""
    (tmp_path / "window.py").write_text(SOURCE, encoding="utf-8")
    ts = tmp_path / "atrous_de.ts"
    collect([tmp_path / "window.py"], ts)
    tree = ET.parse(ts)
    assert tree.getroot().get("language") == "de"
    found = {}
    for entry in tree.getroot().iter("message"):
        source, translation = entry.findtext("source", ""), entry.find("translation")
        assert translation is not None
        found[source] = entry
        del translation.attrib["type"]
        forms = GERMAN[source]
        if len(forms) == 1:
            translation.text = forms[0]
            continue
        for form in list(translation):
            translation.remove(form)
        for form in forms:
            ET.SubElement(translation, "numerusform").text = form
    assert set(found) == set(GERMAN)
    tree.write(ts, encoding="utf-8")
    release(ts, tmp_path / "released" / "atrous_de.qm")
    return tmp_path / "released"


def test_a_window_is_translated_end_to_end(german: Path, installed: Installed) -> None:
    installed += translate_window(QLocale("de_DE"), german)
    assert tr("{name} was saved", name="a.png") == "a.png wurde gespeichert"
    assert [plural("{n} image", "{n} images", n) for n in (1, 2)] == ["1 Bild", "2 Bilder"]
    assert tr("Choose another") == "Andere wählen"
    assert tr("Undo") == "Rückgängig"
    assert [plural("{n} class", "{n} classes", n) for n in (1, 2)] == ["1 class", "2 classes"]


def test_numbers_are_written_as_the_language_does(german: Path, installed: Installed) -> None:
    installed += translate_window(QLocale("de_DE"), german)
    assert (spaced(12_400), percent(0.371), share_text(0.387), points(-0.004)) == ("12.400", "37,1", "38,7 %", "\u22120,4")


def test_a_language_without_a_translation_is_english(german: Path, installed: Installed) -> None:
    before = QLocale()
    assert translate_window(QLocale("fr_FR"), german) == []
    assert (tr("Undo"), spaced(12_400), QLocale()) == ("Undo", "12\u2009400", before)


def test_buttons_of_qt_have_the_language_too(installed: Installed) -> None:
    assert show_language("en") == []
    installed += show_language("ko")
    box = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel | QDialogButtonBox.StandardButton.Open)
    assert [button.text().split("(")[0] for button in box.buttons()] == ["열기", "취소"]
    box.deleteLater()


def test_korean_is_shown_with_its_plurals_and_particles(installed: Installed) -> None:
    installed += show_language("ko")
    assert plural("{n} image", "{n} images", 1200) == "이미지 1,200개"
    assert tr("{name} is missing", name="사진") == "사진이 없습니다"
    assert tr("{name} is missing", name="의자") == "의자가 없습니다"
    assert tr("{name} is missing", name="chair.png") == "chair.png이(가) 없습니다"


def test_users_bring_further_languages(german: Path, installed: Installed, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "ko" in languages()
    assert "de" not in languages()
    monkeypatch.setenv(app.translations.FOLDER_VARIABLE, f"{german.parent / 'none'}{os.pathsep}{german}")
    assert {"de", "en", "ko"} <= set(languages())
    assert {("de", "Deutsch"), ("ko", "한국어")} <= set(language_choices())
    installed += show_language("de")
    assert tr("Undo") == "Rückgängig"


def test_a_source_tree_releases_what_is_newer(tmp_path: Path) -> None:
    source, target = tmp_path / "atrous_xx.ts", tmp_path / "released" / "atrous_xx.qm"
    source.write_text('<?xml version="1.0"?><TS version="2.1" language="de"></TS>', encoding="utf-8")
    refresh(tmp_path, target.parent)
    first = target.stat().st_mtime_ns
    refresh(tmp_path, target.parent)
    assert target.stat().st_mtime_ns == first
    os.utime(source, ns=(first + 10**9, first + 10**9))
    refresh(tmp_path, target.parent)
    assert target.stat().st_mtime_ns > first
    assert list(target.parent.iterdir()) == [target]


def test_a_damaged_translation_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "atrous_xx.ts").write_text("<TS", encoding="utf-8")
    refresh(tmp_path, tmp_path / "released")
    assert "was not released" in caplog.text
    assert list(tmp_path.rglob("*.qm")) == []


def test_the_setting_is_read_before_the_window(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("app.services.folders.settings_file", lambda: tmp_path / "settings.toml")
    assert chosen_language() == "system"
    (tmp_path / "settings.toml").write_text('version = 1\n[appearance]\nlanguage = "ko"\n', encoding="utf-8")
    assert chosen_language() == "ko"
    (tmp_path / "settings.toml").write_text("[appearance", encoding="utf-8")
    assert chosen_language() == "system"


def test_the_command_line_is_not_collected() -> None:
    assert {path.parts[-2] for path in sources()} >= {"shell", "masks"}
    assert not [path for path in sources() if "cli" in path.parts]
