"""A whole review without a mouse, from opening a folder to the exported files: every action is a key in the real window."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QApplication, QDialog, QWidget

from app.cli import run
from app.paths import SAMPLE_PROJECT
from app.state.image_record import ImageStatus
from app.state.project import Project
from app.ui.common.text_dialog import TextDialog
from app.ui.project.export_dialog import ExportDialog
from app.ui.project.new_project_dialog import NewProjectDialog
from deeplab_core.catalogs import get_catalog
from deeplab_core.masks import read_mask
from tests.gui.studio import Studio

CTRL, SHIFT, NONE = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.NoModifier
VOC = get_catalog("voc21")


@pytest.fixture
def rooms(studio: Studio, tmp_path: Path) -> Path:
    """Six rooms of the sample project with their ground truth; the model gives the masks of the sample."""
    for part in ("images", "truth"):
        (tmp_path / "rooms" / part).mkdir(parents=True)
        for path in sorted((SAMPLE_PROJECT / part).iterdir())[:6]:
            shutil.copy(path, tmp_path / "rooms" / part)
    folder = tmp_path / "rooms" / "images"
    for path in folder.iterdir():
        studio.compute.known[str(path)] = read_mask(SAMPLE_PROJECT / "masks" / f"{path.stem}.png", VOC)
    return folder


class Keys:
    """The user's hands on the keyboard: keys go where the focus is."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio

    def press(self, key: Qt.Key, modifiers: Qt.KeyboardModifier = NONE) -> None:
        self.studio.press(key, modifiers)
        self.studio.settle()

    def type(self, text: str) -> None:
        self.studio.qtbot.keyClicks(self._focus(), text)
        self.studio.settle()

    def in_dialog(self, kind: type[QDialog], key: Qt.Key, modifiers: Qt.KeyboardModifier, act: Callable[[QDialog], None]) -> None:
        """Press a key that opens a dialog, and do something in it that ends it."""
        met: list[QDialog] = []

        def look() -> None:
            dialog = QApplication.activeModalWidget()
            if not isinstance(dialog, kind):
                QTimer.singleShot(0, look)
                return
            met.append(dialog)
            act(dialog)

        QTimer.singleShot(0, look)
        self.press(key, modifiers)
        assert met
        self.studio.window.activateWindow()  # a window manager does that
        self.studio.wait(self.studio.window.isActiveWindow)
        self.studio.settle()

    def write(self, text: str, key: Qt.Key, modifiers: Qt.KeyboardModifier) -> None:
        """Press a key that asks for a text, type it and press Enter."""

        def act(dialog: QDialog) -> None:
            self.studio.qtbot.keyClicks(dialog.focusWidget(), text)
            self.studio.qtbot.keyClick(dialog.focusWidget(), Qt.Key.Key_Return)

        self.in_dialog(TextDialog, key, modifiers, act)

    def _focus(self) -> QWidget:
        return self.studio.window.focusWidget() or self.studio.window


def test_a_folder_is_reviewed_from_open_to_export_by_keys_alone(studio: Studio, rooms: Path, tmp_path: Path, monkeypatch) -> None:
    for name in ("mousePress", "mouseClick", "mouseMove", "mouseDClick"):
        monkeypatch.setattr(type(studio.qtbot), name, lambda *_: pytest.fail("a mouse was used"))
    studio.start_model()
    monkeypatch.setattr("app.ui.shell.window_commands.QFileDialog.getExistingDirectory", lambda *_: str(rooms))
    keys, program = Keys(studio), studio.program
    keys.press(Qt.Key.Key_O, CTRL)
    studio.wait(lambda: isinstance(QApplication.activeModalWidget(), NewProjectDialog))
    page = QApplication.activeModalWidget()
    assert isinstance(page, NewProjectDialog)
    studio.wait(page.go.isEnabled)
    studio.qtbot.keyClick(page.focusWidget(), Qt.Key.Key_Return)
    studio.window.activateWindow()
    studio.wait(lambda: program.session.image is not None)
    studio.settle()
    project = program.session.project
    assert project is not None
    ids, errors = [record.id for record in project.images], program.next_errors

    # 1: the right class, the second guess, the surroundings, the prediction, and a stroke of undo
    live = program.figures.live
    assert live is not None
    before = live.matrix.mean_iou("truth").value
    for key, modifiers, title in (
        (Qt.Key.Key_Return, SHIFT, "Error: "), (Qt.Key.Key_Z, SHIFT, "Error: second guess"),
        (Qt.Key.Key_Delete, NONE, "Error: give to the surroundings"),
    ):  # fmt: skip
        keys.press(Qt.Key.Key_N, SHIFT)
        assert errors.current is not None
        assert errors.current.truth == program.tools.class_id
        keys.press(key, modifiers)
        assert studio.steps()[-1].startswith(title)
    keys.press(Qt.Key.Key_Z, CTRL)
    keys.press(Qt.Key.Key_N, SHIFT)
    keys.press(Qt.Key.Key_Return, SHIFT)
    assert live.matrix.mean_iou("truth").value > before
    keys.press(Qt.Key.Key_N, SHIFT)
    box = errors.current.box if errors.current is not None else None
    assert box is not None
    keys.write("the border is soft here", Qt.Key.Key_N, CTRL)
    fixed = studio.image.document.labels.copy()
    keys.press(Qt.Key.Key_Return)
    studio.wait(lambda: studio.image.id == ids[1])
    studio.settle()
    assert project.record(ids[0]).status is ImageStatus.REVIEWED
    (note,) = project.reviews.of(ids[0]).notes
    assert (note.text, note.box) == ("the border is soft here", box)

    # 2 and 3: rejected; the second time the reason is taken from the list
    keys.write("blurred", Qt.Key.Key_M, SHIFT)
    studio.wait(lambda: studio.image.id == ids[2])

    def take_earlier(dialog: QDialog) -> None:
        studio.qtbot.keyClick(dialog.focusWidget(), Qt.Key.Key_Down)
        studio.qtbot.keyClick(dialog.focusWidget(), Qt.Key.Key_Return)

    studio.settle()
    keys.in_dialog(TextDialog, Qt.Key.Key_M, SHIFT, take_earlier)
    studio.wait(lambda: studio.image.id == ids[3])
    assert [project.reviews.why(image) for image in ids[1:4]] == ["blurred", "blurred", ""]

    # the filter finds one of them, and the rejection is taken back
    keys.press(Qt.Key.Key_F, CTRL | SHIFT)
    keys.type("rejected reason:blur")
    assert program.projects.order == ids[1:3]
    keys.press(Qt.Key.Key_Return)
    studio.wait(lambda: studio.image.id == ids[1])
    studio.settle()
    keys.press(Qt.Key.Key_M, SHIFT)
    assert not project.record(ids[1]).rejected
    keys.press(Qt.Key.Key_F, CTRL | SHIFT)
    keys.press(Qt.Key.Key_Delete)  # the whole filter is selected
    keys.press(Qt.Key.Key_Return)
    assert program.projects.order == ids
    assert studio.image.id == ids[1]
    keys.press(Qt.Key.Key_Return)  # 2 is reviewed after all; the next one that is not decided is 4
    studio.wait(lambda: studio.image.id == ids[3])
    studio.settle()

    # 4: the walk goes on to 5 when 4 has no further error
    for _ in range(400):
        keys.press(Qt.Key.Key_N, SHIFT)
        if studio.image.id != ids[3]:
            break
    studio.wait(lambda: studio.image.id == ids[4] and errors.current is not None)

    # export
    target = tmp_path / "out"

    def export(dialog: QDialog) -> None:
        assert isinstance(dialog, ExportDialog)
        for _ in range(40):  # Tab to the target; the other fields keep what they have
            if dialog.focusWidget() is dialog.target:
                break
            studio.qtbot.keyClick(dialog.focusWidget() or dialog, Qt.Key.Key_Tab)
        assert dialog.focusWidget() is dialog.target
        studio.qtbot.keyClick(dialog.target, Qt.Key.Key_A, CTRL)
        studio.qtbot.keyClicks(dialog.target, str(target))
        assert "1 rejected image is left out." in dialog.note.text()
        studio.qtbot.keyClick(dialog.target, Qt.Key.Key_Return)

    keys.in_dialog(ExportDialog, Qt.Key.Key_E, CTRL, export)
    studio.wait(lambda: "Export finished" in studio.titles())
    names = sorted(path.stem for path in target.glob("*.png"))
    assert names == [Path(project.record(image).relative_path).stem for image in ids[:2]]  # both reviewed ones, none rejected
    assert np.array_equal(read_mask(target / f"{names[0]}.png", VOC), fixed)
    assert np.array_equal(read_mask(target / f"{names[1]}.png", VOC), studio.compute.known[str(rooms / f"{names[1]}.jpg")])
    done = program.activity.of(ids[0])
    assert done.actions >= 6
    assert sum(spell.reviewed for spell in done.spells) == 1

    # what the command line says of the same project
    program.projects.close()
    table, review = tmp_path / "images.csv", tmp_path / "review.json"
    assert run(["project", "images", str(rooms), "--csv", str(table), "--json", str(review), "--no-scores"]) == 0
    rows = list(csv.DictReader(io.StringIO(table.read_text(encoding="utf-8-sig"))))
    assert [row["status"] for row in rows[:3]] == ["reviewed", "reviewed", "rejected"]
    assert rows[2]["reason"] == "blurred"
    assert json.loads(review.read_text())["images"][0]["notes"][0]["box"] == list(box)
    assert run(["project", "images", str(rooms), "--filter", "note", "--no-scores"]) == 0
    with Project.open(rooms) as again:
        assert again.record(ids[2]).rejected
