"""From a literal in the code to a translated window: collected by lupdate, released by lrelease, shown by ``tr``."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QCoreApplication, QLocale, QTranslator
from PySide6.QtWidgets import QApplication, QDialogButtonBox

import app.translations
from app.text import percent, plural, points, share_text, spaced, tr, use_translator
from app.translations import chosen_language, languages, refresh, release, release_all
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
    assert (tr("Undo"), spaced(12_400), QLocale()) == ("Undo", "12\u202f400", before)


#: Shows the window in the language of the desktop and tells how two texts are written then.
SHOWN = """
from PySide6.QtCore import QCoreApplication
application = QCoreApplication([])
from app.text import spaced, tr
from app.ui.shell.language import show_language
show_language("system")
print(ascii([tr("Dark"), spaced(1200), tr("{name} is missing", name="의자")]))
"""
ENGLISH, KOREAN = ["Dark", "1\u202f200", "의자 is missing"], ["어둡게", "1,200", "의자가 없습니다"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the environment names the languages on Linux")
@pytest.mark.parametrize(
    ("preferred", "shown"),
    [("en_US:ko", ENGLISH), ("en:fr:ko", ENGLISH), ("ko:en_US", KOREAN), ("fr:ko:en", KOREAN), ("fr", ENGLISH), ("C", ENGLISH)],
)
def test_the_first_language_of_the_desktop_counts_that_the_program_knows(preferred: str, shown: list[str]) -> None:
    place = preferred.split(":")[0]
    environment = {**os.environ, "LANGUAGE": preferred, "LC_ALL": {"en_US": "en_US.UTF-8", "ko": "ko_KR.UTF-8"}.get(place, place)}
    for name in ("LANG", "LC_MESSAGES"):
        environment.pop(name, None)
    done = subprocess.run([sys.executable, "-c", SHOWN], env=environment, capture_output=True, text=True, check=True)
    assert ast.literal_eval(done.stdout) == shown


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


def test_a_build_stops_where_a_translation_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "atrous_xx.ts").write_text("<TS", encoding="utf-8")
    with pytest.raises(subprocess.CalledProcessError):
        release_all(tmp_path, tmp_path / "released")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / "atrous_xx.ts"]


@pytest.mark.parametrize("recipe", ["pyinstaller.spec", "tools/packaging/backend.py"])
def test_builds_release_every_translation_or_stop(recipe: str) -> None:
    tree = ast.parse((app.translations.RESOURCES.parent / recipe).read_text(encoding="utf-8"))
    called = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert "release_all" in called
    assert "refresh" not in called  # it only logs what fails


def test_a_release_that_is_killed_is_no_language(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What lies there while lrelease runs stays if the process is killed then."""
    left = []
    run = subprocess.run

    def looked_at(*arguments: object, **options: object) -> object:
        done = run(*arguments, **options)  # type: ignore[call-overload]
        left.extend(path.name for path in (tmp_path / "released").iterdir())
        return done

    monkeypatch.setenv(app.translations.FOLDER_VARIABLE, str(tmp_path / "released"))
    known = languages()
    (tmp_path / "atrous_xx.ts").write_text('<?xml version="1.0"?><TS version="2.1" language="de"></TS>', encoding="utf-8")
    monkeypatch.setattr(subprocess, "run", looked_at)
    release(tmp_path / "atrous_xx.ts", tmp_path / "released" / "atrous_xx.qm")
    monkeypatch.undo()
    assert len(left) == 1
    assert not left[0].endswith(".qm")  # the wheel takes those
    monkeypatch.setenv(app.translations.FOLDER_VARIABLE, str(tmp_path / "left"))
    (tmp_path / "left").mkdir()
    for name in (*left, "atrous_ko.12345.qm"):  # the latter from a version before
        (tmp_path / "left" / name).write_bytes(b"x")
    assert languages() == known


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
