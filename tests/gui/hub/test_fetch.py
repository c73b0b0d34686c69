"""Getting a published model from the window: progress, stop, resume, offline, and what becomes of the list of models."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QFileDialog

from app.ui.hub.fetch_dialog import FetchDialog
from app.ui.hub.fetch_table import MIOU, MODEL
from app.ui.shell.settings_dialog import FolderField, SettingsDialog
from app.ui.shell.theme import load_theme
from app.viewmodels.hub.published_models import FetchState
from deeplab_core.errors import WeightsError
from tests.file_server import FileServer, publish, serving
from tests.gui.studio import Studio
from tests.published_list import use_published_list

CONTENT = bytes(hashlib.shake_256(b"weights").digest(2_000_000))


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setattr(import_module("deeplab_core.hub.download"), "BACK_OFF", (0.0,))
    with serving() as running:
        running.files["/tiny.pth"] = running.files["/city.pth"] = CONTENT
        use_published_list(
            monkeypatch,
            tmp_path,
            {"id": "tiny", "file": "tiny.pth", "url": running.url("/tiny.pth"), "approximate_bytes": 2_000_000},
            {"id": "city", "file": "city.pth", "url": running.url("/city.pth"), "catalog": "cityscapes19", "miou": 81.2},
            {"id": "gone", "name": "Gone", "file": "gone.pth", "url": running.url("/gone.pth")},
            {"id": "by-hand", "name": "By hand", "file": "hand.pth", "page": "https://drive.example/hand", "miou": None,
             "miou_on": "", "miou_source": ""},
        )  # fmt: skip
        yield running


@pytest.fixture
def sheet(studio: Studio, server: FileServer) -> Iterator[FetchDialog]:
    """The sheet of published models, opened as a user does."""
    studio.start_model()
    studio.window.commands["model.get"].trigger()
    dialog = next(child for child in studio.window.findChildren(FetchDialog))
    studio.wait(dialog.isVisible)
    yield dialog
    studio.program.jobs.cancel_all()  # a window with a download asks before it closes
    studio.wait(lambda: not studio.program.jobs.running)


def state(studio: Studio, model_id: str) -> FetchState:
    return studio.program.fetch.view(model_id).state


def folder_of(studio: Studio) -> Path:
    return studio.program.fetch.folder


def row_text(sheet: FetchDialog, column: int) -> list[str]:
    return [str(sheet.shown.index(row, column).data()) for row in range(sheet.shown.rowCount())]


def test_a_model_comes_is_tried_and_can_be_used(studio: Studio, sheet: FetchDialog, qtbot) -> None:
    sheet.choose("tiny")
    assert "mIoU 71.5 on VOC 2012 val" in sheet.card_lines[0].text()
    assert "MIT" in sheet.card_lines[1].text()
    assert "CC0" in sheet.card_lines[1].text()
    assert "No checksum is published" in sheet.card_lines[2].text()
    qtbot.mouseClick(sheet.get, Qt.MouseButton.LeftButton)
    studio.wait(lambda: state(studio, "tiny") is FetchState.HERE)
    path = folder_of(studio) / "tiny.pth"
    assert path.read_bytes() == CONTENT
    card = json.loads(path.with_name("tiny.pth.card.json").read_text())
    assert card["name"] == "DeepLabv3+, tiny, VOC (Example Lab)"
    assert card["extra"]["published"]["miou"] == "71.5"
    dock = studio.window.model.models
    assert "DeepLabv3+, tiny, VOC (Example Lab)" in [dock.itemText(place) for place in range(dock.count())]
    assert "DeepLabv3+, tiny, VOC (Example Lab) downloaded" in studio.titles()
    assert studio.program.models.path != path  # a model in use is not changed behind the user's back
    qtbot.mouseClick(sheet.use, Qt.MouseButton.LeftButton)
    studio.wait(lambda: studio.program.models.path == path)


def test_stopping_keeps_what_came_and_getting_it_again_goes_on(
    studio: Studio, sheet: FetchDialog, server: FileServer, qtbot
) -> None:
    server.hang_after = 800_000
    sheet.choose("tiny")
    qtbot.mouseClick(sheet.get, Qt.MouseButton.LeftButton)
    part = folder_of(studio) / "tiny.pth.part"
    studio.wait(lambda: part.is_file() and part.stat().st_size == 800_000 and sheet.bar.value() == 40)
    assert sheet.status.text() == "0.8 MB of 2.0 MB"
    assert studio.program.jobs.running[0].title == "Downloading DeepLabv3+, tiny"
    qtbot.mouseClick(sheet.stop, Qt.MouseButton.LeftButton)
    studio.wait(lambda: state(studio, "tiny") is FetchState.ABSENT)
    assert not studio.program.jobs.running
    assert "0.8 MB of an earlier download are kept" in sheet.status.text()
    server.hang_after = None
    assert sheet.get.text() == "Continue"
    qtbot.mouseClick(sheet.get, Qt.MouseButton.LeftButton)
    studio.wait(lambda: state(studio, "tiny") is FetchState.HERE)
    assert server.seen[-1][1] == "bytes=800000-"
    assert (folder_of(studio) / "tiny.pth").read_bytes() == CONTENT


def test_one_download_at_a_time_and_a_waiting_one_can_be_let_go(
    studio: Studio, sheet: FetchDialog, server: FileServer, qtbot
) -> None:
    server.hang_after = 100_000
    for name in ("tiny", "city"):
        sheet.choose(name)
        qtbot.mouseClick(sheet.get, Qt.MouseButton.LeftButton)
    studio.wait(lambda: len(server.seen) == 1)
    assert state(studio, "city") is FetchState.WAITING
    assert "previous download" in sheet.status.text()
    qtbot.mouseClick(sheet.stop, Qt.MouseButton.LeftButton)
    assert state(studio, "city") is FetchState.ABSENT
    studio.program.jobs.cancel_all()
    studio.wait(lambda: state(studio, "tiny") is FetchState.ABSENT and studio.program.jobs.wait(0))
    assert [path for path, _, _ in server.seen] == ["/tiny.pth"]


def test_closing_the_sheet_stops_nothing(studio: Studio, sheet: FetchDialog, qtbot) -> None:
    sheet.choose("tiny")
    qtbot.mouseClick(sheet.get, Qt.MouseButton.LeftButton)
    sheet.close()
    studio.wait(lambda: state(studio, "tiny") is FetchState.HERE)
    studio.window.commands["model.get"].trigger()
    assert sheet.isVisible()
    assert studio.window.findChildren(FetchDialog) == [sheet]


def test_a_file_that_is_gone_says_why_and_what_to_do(studio: Studio, sheet: FetchDialog, qtbot) -> None:
    sheet.choose("gone")
    qtbot.mouseClick(sheet.get, Qt.MouseButton.LeftButton)
    studio.wait(lambda: state(studio, "gone") is FetchState.FAILED)
    assert "no longer has the file" in sheet.status.text()
    assert f"copy it to {folder_of(studio) / 'gone.pth'}" in sheet.status.text()
    assert sheet.get.text() == "Try again"
    assert any("no longer has the file" in title for title in studio.titles())


def test_a_file_that_cannot_be_used_is_kept(studio: Studio, sheet: FetchDialog, qtbot) -> None:
    path = folder_of(studio) / "tiny.pth"
    studio.compute.errors[str(path)] = WeightsError("damaged weights", path=path)
    sheet.choose("tiny")
    qtbot.mouseClick(sheet.get, Qt.MouseButton.LeftButton)
    studio.wait(lambda: state(studio, "tiny") is FetchState.UNUSABLE)
    assert "The file is kept, but cannot be used" in sheet.status.text()
    assert path.is_file()
    assert not sheet.get.isVisible()
    assert not sheet.use.isVisible()


def test_a_model_for_browsers_opens_its_page_and_is_found_once_copied(
    studio: Studio, sheet: FetchDialog, qtbot, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(QDesktopServices, "openUrl", lambda url: opened.append(url.toString()))
    sheet.choose("by-hand")
    assert not sheet.get.isVisible()
    assert "mIoU unknown" in sheet.card_lines[0].text()
    assert f"copy it into {folder_of(studio)}" in sheet.status.text()
    qtbot.mouseClick(sheet.page, Qt.MouseButton.LeftButton)
    assert opened == ["https://drive.example/hand"]
    (folder_of(studio) / "hand.pth").write_bytes(b"copied")
    qtbot.mouseClick(sheet.look_again, Qt.MouseButton.LeftButton)
    assert state(studio, "by-hand") is FetchState.HERE
    assert sheet.use.isVisible()


def test_the_list_is_filtered_by_words_and_classes_and_sorted(studio: Studio, sheet: FetchDialog, qtbot) -> None:
    assert len(row_text(sheet, MODEL)) == 4
    qtbot.keyClicks(sheet.finder, "gone")
    assert row_text(sheet, MODEL) == ["Gone"]
    assert sheet.current().id == "gone"
    qtbot.keyClicks(sheet.finder, "zzz")
    assert sheet.current() is None
    assert "No model matches" in sheet.name.text()
    sheet.finder.clear()
    sheet.data.setCurrentText("Cityscapes")
    assert row_text(sheet, MIOU) == ["81.2"]
    sheet.data.setCurrentIndex(0)
    sheet.view.sortByColumn(MIOU, Qt.SortOrder.DescendingOrder)
    assert row_text(sheet, MIOU) == ["81.2", "71.5", "71.5", "unknown"]
    sheet.set_theme(load_theme("light"))
    assert row_text(sheet, MIOU)[0] == "81.2"


def test_the_dock_offers_it_and_keeps_showing_the_model_in_use(studio: Studio, server: FileServer) -> None:
    studio.start_model()
    dock = studio.window.model
    shown = dock.models.currentIndex()
    place = dock.models.findText("Get a model…")
    dock.models.setCurrentIndex(place)
    dock.models.activated.emit(place)
    assert dock.models.currentIndex() == shown
    assert studio.window.findChildren(FetchDialog)[0].isVisible()


def test_the_folder_of_the_settings_is_offered_and_fetched_to(
    studio: Studio, sheet: FetchDialog, tmp_path: Path, qtbot, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = tmp_path / "chosen"
    chosen.mkdir()
    (chosen / "mine.pth").write_bytes(b"")
    settings = SettingsDialog(studio.program.settings, studio.window)
    qtbot.addWidget(settings)
    field = settings.editors["model.folder"]
    assert isinstance(field, FolderField)
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_arguments: str(chosen))
    field.browse.click()
    assert studio.program.settings["model.folder"] == str(chosen)
    assert str(chosen) in sheet.intro.text()
    dock = studio.window.model.models
    assert "mine" in [dock.itemText(place) for place in range(dock.count())]
    studio.program.fetch.get("tiny")
    studio.wait(lambda: state(studio, "tiny") is FetchState.HERE)
    assert (chosen / "tiny.pth").is_file()
    studio.program.settings.reset("model.folder")
    assert folder_of(studio) == tmp_path / "models"


def test_a_repository_of_the_hub_is_looked_up_before_it_is_downloaded(
    studio: Studio, sheet: FetchDialog, server: FileServer, qtbot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", server.address)
    publish(server, "lab/net", {"net.safetensors": CONTENT}, licence="apache-2.0")
    rows = sheet.shown.rowCount()
    sheet.finder.setText("hf://lab/net")
    assert sheet.name.text() == "hf://lab/net"
    assert not sheet.get.isVisible()
    qtbot.mouseClick(sheet.ask_hub, Qt.MouseButton.LeftButton)
    studio.wait(lambda: sheet.current() is not None)
    assert "apache-2.0" in sheet.card_lines[1].text()
    assert "Classes unknown" in sheet.card_lines[0].text()
    assert not list(folder_of(studio).rglob("*net.safetensors*"))
    qtbot.mouseClick(sheet.get, Qt.MouseButton.LeftButton)
    model_id = "hf://lab/net/net.safetensors"
    studio.wait(lambda: state(studio, model_id) is FetchState.HERE)
    assert (folder_of(studio) / "lab--net--net.safetensors").read_bytes() == CONTENT
    sheet.finder.setText("")
    assert sheet.shown.rowCount() == rows + 1


@pytest.mark.parametrize(
    ("text", "why"), [("hf://lab/absent", "no public repository"), ("hf://lab", "not an address of a repository")]
)
def test_what_the_hub_does_not_have_is_said_in_place_of_a_card(
    studio: Studio, sheet: FetchDialog, server: FileServer, qtbot, monkeypatch: pytest.MonkeyPatch, text: str, why: str
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", server.address)
    sheet.finder.setText(text)
    qtbot.keyClick(sheet.finder, Qt.Key.Key_Return)
    studio.wait(lambda: why in sheet.card_lines[0].text())
    assert sheet.ask_hub.isVisible()
    sheet.finder.setText("tiny")
    assert not sheet.ask_hub.isVisible()
    assert why not in sheet.card_lines[0].text()
