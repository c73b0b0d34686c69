"""The window counts active time and actions of the image in view, and shows and writes them."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from PySide6.QtCore import Qt

from app.state.activity import ImageActivity
from app.state.project import Project
from app.ui.project.progress_dialog import ProgressDialog
from tests.gui.studio import Studio


class Clock:
    """The time that the counting controller sees."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr("app.controllers.project.activity.time", made)
    return made


def activity(studio: Studio, image: int) -> ImageActivity:
    studio.program.activity.keep()
    return studio.program.activity.of(image)


def test_time_and_actions_belong_to_the_image_in_view(studio: Studio, folder: Path, clock: Clock) -> None:
    studio.open(folder)
    first = studio.image.id
    studio.program.classes.choose(9)
    clock.now += 20
    studio.paint((20, 20), (60, 20))
    clock.now += 500  # a pause
    studio.press(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    clock.now += 5
    studio.qtbot.mouseMove(studio.view, studio.point(30, 30))
    clock.now += 5
    studio.press(Qt.Key.Key_Y, Qt.KeyboardModifier.ControlModifier)
    clock.now += 10
    studio.press(Qt.Key.Key_Return)
    studio.wait(lambda: studio.image.id != first)
    studio.settle()
    done = activity(studio, first)
    assert done.actions == 3  # a stroke, undone and done again
    assert done.seconds == pytest.approx(40)
    assert sum(spell.reviewed for spell in done.spells) == 1
    second = studio.image.id
    assert activity(studio, second) == ImageActivity()
    clock.now += 7
    studio.program.reviewing.reject_as("dark")
    studio.settle()
    done = activity(studio, second)
    assert (done.seconds, sum(spell.rejected for spell in done.spells)) == (7.0, 1)
    row = studio.window.images.model.rows[0]
    assert (row.seconds, row.actions) == (40, 3)


def test_what_was_counted_is_kept_when_the_project_closes(studio: Studio, folder: Path, clock: Clock) -> None:
    studio.open(folder)
    first = studio.image.id
    clock.now += 30
    studio.program.projects.close()
    with Project.open(folder) as project:
        assert project.activity.of(first).seconds == 30


def test_a_prediction_that_comes_by_itself_is_no_action(studio: Studio, folder: Path) -> None:
    studio.open(folder)
    studio.start_model()
    studio.settle()
    assert studio.steps()
    assert activity(studio, studio.image.id).actions == 0


def test_the_days_are_shown_and_written(studio: Studio, folder: Path, clock: Clock, tmp_path: Path, monkeypatch) -> None:
    studio.open(folder)
    clock.now += 30
    studio.program.reviewing.add_note("dim", None)
    shown = []
    monkeypatch.setattr(ProgressDialog, "exec", lambda self: shown.append(self))
    studio.window.commands["go.progress"].trigger()
    (dialog,) = shown
    assert dialog.table.rowCount() == 1
    assert [dialog.table.item(0, column).text() for column in range(1, 6)] == ["1", "0", "0", "1", "0:30 min"]
    target = tmp_path / "table.csv"
    monkeypatch.setattr("app.ui.project.review_presenter.QFileDialog.getSaveFileName", lambda *_: (str(target), ""))
    dialog.imagesAsked.emit()
    table = list(csv.reader(io.StringIO(target.read_text(encoding="utf-8-sig"))))
    assert len(table) == 5
    assert dict(zip(table[0], table[1], strict=True))["notes"] == "dim"
    dialog.daysAsked.emit()
    assert target.read_text(encoding="utf-8-sig").splitlines()[1].endswith(",1,0,0,1,0.5")
    assert "table.csv is saved" in studio.titles()
    monkeypatch.setattr(
        "app.ui.project.review_presenter.QFileDialog.getSaveFileName", lambda *_: (str(folder / "photo_0.jpg"), "")
    )
    before = (folder / "photo_0.jpg").read_bytes()
    dialog.imagesAsked.emit()
    assert (folder / "photo_0.jpg").read_bytes() == before
