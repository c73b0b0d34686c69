"""Saving with the pen down, in the whole window: the file holds whole strokes, and Esc is final."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt

from app.services.autosave import SaveState
from app.state.mask_file import read_mask_file
from app.state.project import Project
from tests.gui.studio import Studio


def stored(studio: Studio) -> tuple[np.ndarray, int]:
    """Labels that another process reads now, and how many steps it can undo."""
    with Project.open(studio.image.path.parent, read_only=True) as reader:
        loaded = reader.load(studio.image.id)
        return loaded.document.labels, len(loaded.steps)


def pen_down(studio: Studio) -> None:
    studio.qtbot.mousePress(studio.view, Qt.MouseButton.LeftButton, pos=studio.point(20, 20))
    for x in (30, 40, 50):
        studio.qtbot.mouseMove(studio.view, pos=studio.point(x, 30))
    assert studio.program.edit.busy


def save(studio: Studio, how: str) -> None:
    saver = studio.program.session.autosaver
    assert saver is not None
    if how == "Ctrl+S":
        studio.press(Qt.Key.Key_S, Qt.KeyboardModifier.ControlModifier)
    else:
        saver._idle.start(0)
    studio.wait(lambda: not saver._idle.isActive() and saver.state is SaveState.SAVED)
    saver._writer.submit(lambda: None).result()


@pytest.mark.parametrize("how", ["Ctrl+S", "idle"])
def test_saving_with_the_pen_down_writes_whole_strokes_only(studio: Studio, folder: Path, how: str) -> None:
    studio.open(folder)
    studio.program.classes.choose(15)
    studio.paint((10, 50), (60, 52))
    boundary = studio.image.document.labels.copy()
    pen_down(studio)
    save(studio, how)
    record = studio.program.session.project.record(studio.image.id)
    mask = read_mask_file(folder / ".atrous" / record.mask, studio.image.document.catalog)
    assert np.array_equal(mask.labels, boundary)
    labels, steps = stored(studio)
    assert np.array_equal(labels, boundary)
    assert steps == 1
    assert not np.array_equal(studio.image.document.labels, boundary), "the stroke is painted live"
    studio.qtbot.mouseRelease(studio.view, Qt.MouseButton.LeftButton, pos=studio.point(50, 30))
    assert len(studio.steps()) == 2
    save(studio, how)
    labels, steps = stored(studio)
    assert np.array_equal(labels, studio.image.document.labels)
    assert steps == 2


@pytest.mark.parametrize("how", ["Ctrl+S", "idle"])
def test_esc_after_a_save_does_not_bring_the_stroke_back(studio: Studio, folder: Path, how: str) -> None:
    studio.open(folder)
    studio.program.classes.choose(15)
    studio.paint((10, 50), (60, 52))
    boundary = studio.image.document.labels.copy()
    pen_down(studio)
    save(studio, how)
    studio.press(Qt.Key.Key_Escape)
    assert np.array_equal(studio.image.document.labels, boundary)
    labels, _ = stored(studio)  # as after a kill at this instant
    assert np.array_equal(labels, boundary)
    assert studio.program.projects.close()
    studio.open(folder)
    assert np.array_equal(studio.image.document.labels, boundary)


def test_a_stroke_that_waits_for_what_follows_is_in_no_mask_file_before_it_is_a_step(studio: Studio, folder: Path) -> None:
    """As with the scribble: the stroke has ended, and what it spreads to is still being worked out."""
    studio.open(folder)
    studio.program.classes.choose(15)
    studio.paint((10, 50), (60, 52))
    boundary = studio.image.document.labels.copy()
    edit, saver = studio.program.edit, studio.program.session.autosaver
    assert saver is not None
    edit.hold_strokes(True)
    studio.paint((20, 20), (50, 30))
    assert edit.pending_stroke is not None
    saver.save_now()
    saver.flush()
    labels, steps = stored(studio)
    assert np.array_equal(labels, boundary)
    assert steps == 1
    edit.finish_pending()
    saver.flush()
    labels, steps = stored(studio)
    assert np.array_equal(labels, studio.image.document.labels)
    assert not np.array_equal(labels, boundary)
    assert steps == 2


def go_to(studio: Studio, row: int) -> None:
    """A click on a row of the history list."""
    view, history = studio.window.history.view, studio.program.session.history
    studio.wait(lambda: view.currentIndex().row() == history.index)
    view.scrollTo(view.model().index(row, 0))
    at = view.visualRect(view.model().index(row, 0)).center()
    studio.qtbot.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=at)
    studio.settle()


@pytest.mark.parametrize("half", ["waits", "pen down"])
@pytest.mark.parametrize(("undone", "row", "left"), [(2, 4, 3), (2, 1, 1), (0, 2, 2)], ids=["redo", "undo below undone", "undo"])
def test_a_jump_in_the_history_list_during_a_stroke_loses_nothing(
    studio: Studio, folder: Path, half: str, undone: int, row: int, left: int
) -> None:
    """The stroke becomes a step before the jump: what it has replaced cannot be done again, and the journal has what is seen."""
    studio.open(folder)
    studio.program.classes.choose(15)
    masks = [studio.image.document.labels.copy()]
    for y in (10, 20, 30, 40):
        studio.paint((10, y), (60, y))
        masks.append(studio.image.document.labels.copy())
    for _ in range(undone):
        studio.press(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    edit = studio.program.edit
    studio.program.classes.choose(9)
    if half == "waits":
        edit.hold_strokes(True)
        studio.paint((20, 5), (50, 45))
        assert edit.pending_stroke is not None
    else:
        pen_down(studio)
    masks[4 - undone + 1 :] = [studio.image.document.labels.copy()]
    go_to(studio, row)
    assert edit.pending_stroke is None
    assert not edit.busy
    history = studio.program.session.history
    assert (history.index, len(history.steps)) == (left, 4 - undone + 1)
    assert np.array_equal(studio.image.document.labels, masks[left])
    assert np.array_equal(stored(studio)[0], masks[left])
    go_to(studio, len(history.steps))
    assert np.array_equal(studio.image.document.labels, masks[-1])
    assert np.array_equal(stored(studio)[0], masks[-1])


def test_a_stroke_that_waits_is_undone_first_by_a_button_that_was_there_before(studio: Studio, folder: Path) -> None:
    """The history itself is asked, as by a button of a message, or the undo of a folder job."""
    studio.open(folder)
    studio.program.classes.choose(15)
    studio.paint((10, 50), (60, 52))
    before = studio.image.document.labels.copy()
    studio.program.edit.hold_strokes(True)
    studio.paint((20, 40), (50, 52))
    after = studio.image.document.labels.copy()
    history = studio.program.session.history
    history.undo()
    assert np.array_equal(studio.image.document.labels, before)
    assert np.array_equal(stored(studio)[0], before)
    history.redo()
    assert np.array_equal(studio.image.document.labels, after)
    assert np.array_equal(stored(studio)[0], after)
