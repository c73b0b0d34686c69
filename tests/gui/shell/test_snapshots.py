"""Ten screens as a user sees them, compared with the pictures in ``tests/gui/snapshots``; ``make snapshots`` takes them again."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import QSize, Qt, QTimer
from PySide6.QtGui import QCursor, QGuiApplication
from PySide6.QtWidgets import QApplication, QDialog, QWidget

from app.controllers.refine.preview import Phase
from app.paths import SAMPLE_PROJECT
from app.services.autosave import SaveState
from app.ui.project.export_dialog import ExportDialog
from app.ui.shell.settings_dialog import SettingsDialog
from app.ui.shell.shortcut_sheet import ShortcutSheet
from app.viewmodels.project.image_list import ImageRow
from tests.gui import snapshots
from tests.gui.snapshots import FOLDER, TOLERANCE, Pixels, Snapshot, compare, snapshot, write
from tests.gui.studio import Studio

__all__ = ["snapshot"]

ROOMS = ("room_00000", "room_00004", "room_00009")


@pytest.fixture
def rooms(tmp_path: Path, studio: Studio) -> Path:
    """Three rendered rooms with ground truth, and what the bundled network predicts for them as the stand-in's predictions."""
    folder = tmp_path / "rooms" / "images"
    for part in ("images", "truth"):
        (tmp_path / "rooms" / part).mkdir(parents=True)
        for name in ROOMS:
            (source,) = (SAMPLE_PROJECT / part).glob(f"{name}.*")
            shutil.copy(source, tmp_path / "rooms" / part)
    for name in ROOMS:
        with Image.open(SAMPLE_PROJECT / "masks" / f"{name}.png") as mask:
            studio.compute.known[str(folder / f"{name}.jpg")] = np.asarray(mask)
    return folder


@pytest.fixture
def desk(snapshot: Snapshot, studio: Studio) -> Iterator[Studio]:
    """The window at its fixed size in the bundled font, with a caret that does not blink and the pointer outside."""
    flash = QApplication.cursorFlashTime()
    QApplication.setCursorFlashTime(0)
    QCursor.setPos(QGuiApplication.primaryScreen().geometry().bottomRight())
    studio.program.settings.set("appearance.theme", "dark")
    studio.window.trimap.build_plot()
    studio.window.move(0, 0)
    studio.window.resize(1280, 720)
    studio.window.reset_layout()
    painted(studio)
    yield studio
    QApplication.setCursorFlashTime(flash)


@pytest.fixture
def room(desk: Studio, rooms: Path) -> Studio:
    """The first room with its prediction, evaluated."""
    desk.start_model()
    desk.open(rooms)
    desk.wait(lambda: desk.program.context["has_prediction"])
    desk.wait(lambda: desk.window.classes.mean.text() and rows(desk)[0].iou is not None)
    painted(desk)
    return desk


def rows(studio: Studio) -> list[ImageRow]:
    """The list of images."""
    images = studio.application.images
    return [images.image_row(images.index(place)) for place in range(images.rowCount())]


def painted(studio: Studio) -> None:
    """Wait until nothing is computed or put off, and every thumbnail is there; take messages and paths off the screen."""

    def at_rest() -> bool:
        timers = [*studio.application.findChildren(QTimer), *studio.window.findChildren(QTimer)]
        return not any(timer.isSingleShot() and timer.isActive() for timer in timers)

    def quiet() -> bool:
        for toast in list(studio.window.toasts.toasts):
            toast.close_button.click()
        autosaver = studio.program.session.autosaver
        saved = autosaver is None or autosaver.state is SaveState.SAVED
        return saved and at_rest() and studio.program.jobs.wait(0) and not studio.compute.waiting

    studio.wait(quiet)
    studio.settle()
    studio.wait(quiet)
    studio.wait(lambda: all(studio.application.images.picture(row) is not None for row in rows(studio)))
    # A path below a temporary folder is another one each time.
    studio.window.classes.choice.line.set_text("rooms/truth")


def in_front(studio: Studio, widget: QWidget, focus: QWidget) -> QWidget:
    """Give a window the keyboard and one of its widgets the focus."""
    window = widget.window()
    window.activateWindow()
    studio.wait(window.isActiveWindow)
    focus.setFocus()
    studio.wait(focus.hasFocus)
    return widget


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_annotate(room: Studio, snapshot: Snapshot, theme: str) -> None:
    room.program.settings.set("appearance.theme", theme)
    painted(room)
    assert room.window.theme.name == theme
    snapshot(f"annotate_{theme}", in_front(room, room.window, room.view))


def test_start(desk: Studio, snapshot: Snapshot) -> None:
    snapshot("start", in_front(desk, desk.window, desk.window.start_page.open_button))


def test_errors(room: Studio, snapshot: Snapshot) -> None:
    room.press(Qt.Key.Key_R)
    painted(room)
    snapshot("errors", in_front(room, room.window, room.view))


def test_comparison(room: Studio, snapshot: Snapshot, tmp_path: Path) -> None:
    (tmp_path / "models" / "waves.safetensors").write_bytes(b"")
    room.press(Qt.Key.Key_C, Qt.KeyboardModifier.ShiftModifier)
    compare = room.program.compare
    room.wait(lambda: len(compare.results) == 2 and all(answer.figures is not None for answer in compare.results))
    painted(room)
    snapshot("comparison", in_front(room, room.window, room.view))


def test_evaluation(room: Studio, snapshot: Snapshot) -> None:
    room.window.model.run_folder.click()
    room.wait(lambda: "Folder run finished" in room.titles())
    room.press(Qt.Key.Key_O)
    inspect = room.program.inspect
    room.wait(lambda: inspect.index is not None and len(inspect.index) == len(ROOMS) and not inspect.inspecting)
    painted(room)
    assert all(row.iou is not None for row in rows(room))
    assert room.application.presenter is not None
    matrix = room.application.presenter.inspect.matrix.matrix
    snapshot("evaluation", in_front(room, room.window, matrix))


def test_class_panel(room: Studio, snapshot: Snapshot) -> None:
    in_front(room, room.window, room.view)
    snapshot("class_panel", room.window.classes)


def test_crf_panel(room: Studio, snapshot: Snapshot) -> None:
    room.window.toggle_dock("crf")
    room.press(Qt.Key.Key_Y, on=room.view)
    room.wait(lambda: room.program.refine.status.phase is Phase.EXACT)
    room.wait(lambda: room.window.crf.figure.text().startswith("mIoU"))
    painted(room)
    in_front(room, room.window, room.view)
    snapshot("crf_panel", room.window.crf)


def shown(studio: Studio, dialog: QDialog, width: int, height: int, focus: QWidget) -> QDialog:
    """A dialog beside the window, at a fixed size whatever the screen."""
    studio.qtbot.addWidget(dialog)
    dialog.show()
    dialog.resize(width, height)
    in_front(studio, dialog, focus)
    studio.wait(lambda: dialog.size() == QSize(width, height))
    return dialog


def test_settings_dialog(desk: Studio, snapshot: Snapshot) -> None:
    dialog = SettingsDialog(desk.program.settings, desk.window)
    snapshot("settings", shown(desk, dialog, 640, 720, dialog.editors["appearance.theme"]))


def test_shortcut_sheet(desk: Studio, snapshot: Snapshot) -> None:
    dialog = ShortcutSheet(desk.window.commands.keymap, desk.window)
    snapshot("shortcuts", shown(desk, dialog, 1280, 720, dialog))


def test_export_dialog(room: Studio, rooms: Path, snapshot: Snapshot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    dialog = ExportDialog(room.program.export, room.program.settings, rooms, room.window)
    shown(room, dialog, 600, 440, dialog.format)
    dialog.target.setText("export")
    snapshot("export", dialog)


# -- the comparison itself ------------------------------------------------------------------------------------------------------


def test_a_panel_that_is_gone_fails(desk: Studio, snapshot: Snapshot, request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--update-snapshots"):
        return  # it must not become the picture
    desk.window.toggle_dock("images")
    painted(desk)
    with pytest.raises(pytest.fail.Exception, match="pixels differ"):
        snapshot("start", in_front(desk, desk.window, desk.window.start_page.open_button))


def test_only_another_machine_is_excused(monkeypatch: pytest.MonkeyPatch, qapp: QApplication) -> None:
    monkeypatch.setenv("CI", "1")
    monkeypatch.setattr(snapshots, "locked_version", lambda: "0.0.1")
    assert snapshots.obstacle() == f"PySide6 {snapshots.installed} instead of the locked 0.0.1"
    assert not snapshots.must_compare()
    monkeypatch.setattr(snapshots, "locked_version", lambda: snapshots.installed)
    monkeypatch.setattr(sys, "platform", "linux")
    assert snapshots.must_compare()
    monkeypatch.setattr(snapshots, "QGuiApplication", SimpleNamespace(platformName=lambda: "xcb"))
    assert snapshots.obstacle() == "the platform plugin xcb instead of offscreen"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not snapshots.must_compare()


@pytest.fixture
def picture(tmp_path: Path) -> Pixels:
    """A (200, 300) picture of noise, stored as the snapshot "noise" in ``tmp_path``."""
    pixels = np.random.default_rng(7).integers(0, 256, (200, 300, 3), np.uint8)
    write("noise", pixels, tmp_path)
    return pixels


def changed(picture: Pixels, pixels: int) -> Pixels:
    """The picture with this many of its pixels inverted, row by row from the top."""
    other = picture.copy()
    other.reshape(-1, 3)[:pixels] ^= 128
    return other


def test_a_screen_equals_its_own_picture(picture: Pixels, tmp_path: Path) -> None:
    compare("noise", picture, tmp_path, tmp_path)


def test_a_changed_region_fails_with_what_is_seen_and_where_it_differs(picture: Pixels, tmp_path: Path) -> None:
    other = picture.copy()
    other[20:60, 30:90] ^= 128
    with pytest.raises(pytest.fail.Exception, match=r"2400 of 60000 pixels differ \(4\.00%; 1% may\)") as told:
        compare("noise", other, tmp_path, tmp_path)
    assert "between (30, 20) and (89, 59)" in str(told.value)
    assert "make snapshots" in str(told.value)
    with Image.open(tmp_path / "noise-actual.png") as seen, Image.open(tmp_path / "noise-difference.png") as differing:
        np.testing.assert_array_equal(np.asarray(seen), other)
        marked = (np.asarray(differing) == (255, 0, 80)).all(axis=2)
    assert marked[20:60, 30:90].all()
    assert marked.sum() == 2400


@pytest.mark.parametrize("more", [0, 1])
def test_the_tolerance_is_one_per_cent_of_the_pixels(picture: Pixels, tmp_path: Path, more: int) -> None:
    other = changed(picture, round(TOLERANCE * 60000) + more)
    if more:
        with pytest.raises(pytest.fail.Exception, match="601 of 60000"):
            compare("noise", other, tmp_path, tmp_path)
    else:
        compare("noise", other, tmp_path, tmp_path)


def test_another_size_fails(picture: Pixels, tmp_path: Path) -> None:
    with pytest.raises(pytest.fail.Exception, match="noise is 299 x 200 px, its snapshot 300 x 200"):
        compare("noise", picture[:, 1:], tmp_path, tmp_path)


def test_a_screen_without_a_picture_fails(picture: Pixels, tmp_path: Path) -> None:
    with pytest.raises(pytest.fail.Exception, match=r"no snapshot other\.png"):
        compare("other", picture, tmp_path, tmp_path)
    assert (tmp_path / "other-actual.png").is_file()


def test_the_pictures_are_small_and_each_belongs_to_a_test() -> None:
    source = Path(__file__).read_text(encoding="utf-8")
    files = sorted(FOLDER.iterdir())
    assert len(files) >= 10
    assert sum(path.stat().st_size for path in files) < 1_500_000
    screens = {path.stem.removesuffix("_dark").removesuffix("_light") for path in files}
    assert [screen for screen in sorted(screens) if f'"{screen}' not in source] == []
