"""From a literal in the code to a translated window: collected by lupdate, released by lrelease, shown by ``tr``."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QCoreApplication, QLocale
from PySide6.QtWidgets import QApplication

from app.main import translate_window
from app.text import plural, tr, use_translator
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


@pytest.fixture
def english_again() -> Iterator[None]:
    yield
    use_translator(None)


def test_a_window_is_translated_end_to_end(tmp_path: Path, qapp: QApplication, english_again: None) -> None:
    (tmp_path / "window.py").write_text(SOURCE, encoding="utf-8")
    ts = tmp_path / "atrous_de.ts"
    collect([tmp_path / "window.py"], ts)
    tree = ET.parse(ts)
    tree.getroot().set("language", "de_DE")
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
    subprocess.run([str(Path(sys.executable).with_name("pyside6-lrelease")), "-silent", str(ts)], check=True)
    translator = translate_window(QLocale("de_DE"), tmp_path)
    try:
        assert tr("{name} was saved", name="a.png") == "a.png wurde gespeichert"
        assert [plural("{n} image", "{n} images", n) for n in (1, 2)] == ["1 Bild", "2 Bilder"]
        assert tr("Choose another") == "Andere wählen"
        assert tr("Undo") == "Rückgängig"
        assert [plural("{n} class", "{n} classes", n) for n in (1, 2)] == ["1 class", "2 classes"]
    finally:
        QCoreApplication.removeTranslator(translator)


def test_the_command_line_is_not_collected() -> None:
    assert {path.parts[-2] for path in sources()} >= {"shell", "masks"}
    assert not [path for path in sources() if "cli" in path.parts]
