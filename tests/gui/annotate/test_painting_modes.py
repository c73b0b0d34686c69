"""Painting over some classes only, and on one side of the trimap band only: by key, menu and lamp, for every tool."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt

from app.state.tools import BandMode
from tests.gui.studio import HEIGHT, WIDTH, Studio

CHAIR, SOFA, CAT, PERSON = 9, 18, 8, 15
PLAIN, SHIFT, ALT = Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.AltModifier


def rooms() -> np.ndarray:
    labels = np.zeros((HEIGHT, WIDTH), np.uint8)
    labels[:, 20:40], labels[:, 40:60] = CHAIR, CAT
    return labels


@pytest.fixture
def desk(studio: Studio, folder: Path) -> Studio:
    """The window on an image of background, chair, cat and background, side by side."""
    for path in folder.iterdir():
        studio.compute.known[str(path)] = rooms()
    studio.start_model()
    studio.open(folder)
    return studio


def changed(studio: Studio) -> np.ndarray:
    found: np.ndarray = studio.image.document.labels != rooms()
    return found


def lamp(studio: Studio, text: str) -> object:
    return next(lamp for lamp in studio.window.top_bar.lamps if lamp.text() == text and lamp.isVisible())


def row_of(studio: Studio, class_id: int) -> object:
    model = studio.window.classes.model
    return next(row for row in model.rows if row.class_id == class_id)


def test_only_the_chosen_classes_are_painted_over(desk: Studio) -> None:
    desk.qtbot.mouseMove(desk.view, desk.point(30, 10))
    desk.press(Qt.Key.Key_B, ALT)
    assert desk.titles()[-1] == "Painting only over chair"
    assert row_of(desk, CHAIR).over
    assert "Only the classes with a brush" in desk.window.classes.model.data(
        desk.window.classes.model.index(desk.window.classes.model.place_of(CHAIR)), Qt.ItemDataRole.ToolTipRole
    )
    desk.program.classes.choose(SOFA)
    desk.paint((2, 30), (80, 30))
    assert changed(desk)[30].nonzero()[0].tolist() == list(range(20, 40))
    desk.window.classes.class_menu(row_of(desk, CAT)).actions()[4].trigger()
    assert {action.text() for action in desk.window.classes.class_menu(row_of(desk, CAT)).actions() if action.isChecked()} == {
        "Paint only over this class"
    }
    desk.paint((2, 10), (80, 10))
    assert changed(desk)[10].nonzero()[0].tolist() == list(range(20, 60))
    desk.qtbot.mouseClick(lamp(desk, "Over 2 classes"), Qt.MouseButton.LeftButton)
    assert desk.titles()[-1] == "Painting over all classes again"
    desk.paint((2, 50), (80, 50))
    assert changed(desk)[50].sum() > 70


def test_fill_lasso_and_components_keep_to_the_chosen_classes(desk: Studio) -> None:
    desk.program.modes.set_over(CHAIR, True)
    desk.program.classes.choose(SOFA)
    desk.press(Qt.Key.Key_G)
    desk.paint((50, 30))
    assert desk.titles()[-1] == "cat is not among the classes that may be painted over"
    assert not changed(desk).any()
    desk.paint((30, 30))
    assert (changed(desk) == (rooms() == CHAIR)).all()
    desk.program.edit.undo()
    desk.press(Qt.Key.Key_L)
    desk.paint((2, 5), (80, 5), (80, 55), (2, 55))
    assert changed(desk).any()
    assert (rooms()[changed(desk)] == CHAIR).all()
    desk.program.edit.undo()
    desk.press(Qt.Key.Key_Z)
    desk.settle()
    desk.qtbot.mouseClick(desk.view, Qt.MouseButton.LeftButton, pos=desk.point(50, 30))
    assert desk.titles()[-1] == "cat is not among the classes that may be painted over"
    assert not changed(desk).any()


def test_the_classes_to_paint_over_stay_with_the_project(desk: Studio, folder: Path) -> None:
    desk.program.modes.set_over(255, True)
    desk.program.modes.set_over(CHAIR, True)
    desk.program.projects.close()
    assert not desk.program.tools.over
    desk.open(folder)
    assert desk.program.tools.over == {CHAIR, 255}
    assert row_of(desk, 255).over


@pytest.mark.parametrize(("modifiers", "mode"), [(SHIFT, BandMode.INSIDE), (ALT, BandMode.OUTSIDE)])
def test_painting_is_limited_to_one_side_of_the_band(desk: Studio, modifiers: Qt.KeyboardModifier, mode: BandMode) -> None:
    desk.press(Qt.Key.Key_T, modifiers)
    desk.settle()
    assert desk.program.tools.band is mode
    index, width = desk.program.evaluation.band_map(), desk.program.evaluation.band.width_px
    assert index is not None
    part = (index >= 1) & (index <= width)
    part = part if mode is BandMode.INSIDE else ~part
    assert 0 < part.sum() < part.size
    shown = next(lamp for lamp in desk.window.top_bar.lamps if lamp.isVisible())
    assert shown.text() == f"{mode.capitalize()} {width} px"
    desk.program.classes.choose(SOFA)
    desk.press(Qt.Key.Key_L)
    desk.paint((1, 1), (82, 1), (82, 58), (1, 58))
    inside = np.zeros((HEIGHT, WIDTH), bool)
    inside[4:55, 4:79] = True
    labels = desk.image.document.labels
    assert (labels[part & inside] == SOFA).all()
    assert not (changed(desk) & ~part).any()
    desk.qtbot.mouseClick(shown, Qt.MouseButton.LeftButton)
    assert desk.program.tools.band is BandMode.OFF
    desk.paint((1, 1), (82, 1), (82, 58), (1, 58))
    assert (labels[5:55, 5:75] == SOFA).all()


def test_a_narrower_band_limits_to_fewer_pixels(desk: Studio) -> None:
    from dataclasses import replace

    desk.press(Qt.Key.Key_T, SHIFT)
    desk.settle()
    desk.program.evaluation.set_band(replace(desk.program.evaluation.band, width_px=3))
    desk.settle()
    assert lamp(desk, "Inside 3 px") is not None
    desk.program.classes.choose(SOFA)
    desk.paint((2, 30), (80, 30))
    index = desk.program.evaluation.band_map()
    assert index is not None
    assert changed(desk).any()
    assert index[changed(desk)].max() <= 3


def test_the_way_back_to_the_prediction_is_open_in_every_mode(desk: Studio) -> None:
    desk.program.classes.choose(SOFA)
    desk.paint((2, 30), (80, 30))
    desk.program.modes.set_over(CAT, True)
    desk.paint((2, 30), (80, 30), button=Qt.MouseButton.RightButton)
    assert not changed(desk)[30].any()
