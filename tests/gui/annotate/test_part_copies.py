"""The tool 'Copy from': components, regions and outlines of prediction, other models, ground truth and previous image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QAction, QColor

from app.state.provenance import Provenance
from app.state.tools import CopyFrom, Tool
from app.text import spaced
from tests.gui.canvas_fixture import turn_wheel
from tests.gui.studio import HEIGHT, WIDTH, Studio

CHAIR, SOFA, PERSON = 9, 18, 15
SHIFT, ALT = Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.AltModifier
CTRL = Qt.KeyboardModifier.ControlModifier


def furniture() -> np.ndarray:
    labels = np.zeros((HEIGHT, WIDTH), np.uint8)
    labels[10:30, 10:30] = CHAIR
    labels[40:50, 50:70] = SOFA
    return labels


@pytest.fixture
def desk(studio: Studio, folder: Path) -> Studio:
    """The window on the second of four images; each is predicted as furniture, its truth is a person in the left half."""
    for path in folder.iterdir():
        studio.compute.known[str(path)] = furniture()
    studio.start_model()
    studio.open(folder)
    studio.press(Qt.Key.Key_D)
    studio.settle()
    return studio


def labels(studio: Studio) -> np.ndarray:
    found: np.ndarray = studio.image.document.labels
    return found


def truth(studio: Studio) -> np.ndarray:
    live = studio.program.evaluation.live
    assert live is not None
    found: np.ndarray = live.truth
    return found


def point_at(studio: Studio, x: int, y: int) -> None:
    studio.qtbot.mouseMove(studio.view, studio.point(x, y))
    studio.settle()


def entries(studio: Studio) -> dict[str, QAction]:
    menu = studio.window.top_bar.copy_source.menu()
    menu.aboutToShow.emit()
    return {action.text(): action for action in menu.actions() if action.text()}


def test_a_component_of_the_ground_truth_is_shown_and_copied_in_one_step(desk: Studio) -> None:
    before = labels(desk).copy()
    desk.press(Qt.Key.Key_D, SHIFT)
    desk.press(Qt.Key.Key_3, ALT)
    assert desk.program.tools.tool is Tool.COPY
    assert desk.window.top_bar.copy_source.isVisible()
    assert desk.window.top_bar.copy_source.text() == "From: Ground truth"
    assert not desk.window.top_bar.slider.isVisible()
    point_at(desk, 20, 5)
    target = desk.program.part_copies.target
    assert target is not None
    person = truth(desk) == PERSON
    assert target.lines[0] == f"person, {spaced(int(person.sum()))} px"
    assert target.lines[1] == "From: Ground truth"
    assert np.array_equal(labels(desk), before)
    desk.qtbot.mouseClick(desk.view, Qt.MouseButton.LeftButton, pos=desk.point(20, 5))
    assert np.array_equal(labels(desk), np.where(person, PERSON, before))
    assert (desk.image.document.provenance[person] == Provenance.USER).all()
    assert desk.steps()[-1].startswith("Copy from Ground truth")
    desk.qtbot.mouseClick(desk.view, Qt.MouseButton.LeftButton, pos=desk.point(20, 5))
    assert desk.titles()[-1] == "Nothing changed: the labels are there already"
    desk.press(Qt.Key.Key_Z, CTRL)
    desk.settle()
    assert np.array_equal(labels(desk), before)


def test_void_of_the_ground_truth_is_not_copied(desk: Studio) -> None:
    before = labels(desk).copy()
    desk.press(Qt.Key.Key_D, SHIFT)
    desk.press(Qt.Key.Key_3, ALT)
    point_at(desk, WIDTH // 2, 5)
    assert desk.program.part_copies.target is None
    assert desk.program.part_copies.words() == ("Ground truth", "Nothing to copy here")
    desk.qtbot.mouseClick(desk.view, Qt.MouseButton.LeftButton, pos=desk.point(WIDTH // 2, 5))
    assert np.array_equal(labels(desk), before)
    desk.paint((30, 32), (60, 32), (60, 55), (30, 55), (30, 33))
    changed = labels(desk) != before
    assert changed.any()
    assert (truth(desk)[changed] != 255).all()


def test_an_outline_copies_the_classes_inside_it(desk: Studio) -> None:
    desk.program.classes.choose(SOFA)
    desk.paint((2, 20), (80, 20))  # spoils the chair
    spoilt = labels(desk).copy()
    desk.press(Qt.Key.Key_D, SHIFT)
    assert desk.window.top_bar.copy_source.text() == "From: Prediction"
    view, button = desk.view, Qt.MouseButton.LeftButton
    corners = [(15, 2), (60, 2), (60, 35), (15, 35), (15, 3)]
    desk.qtbot.mousePress(view, button, pos=desk.point(*corners[0]))
    for corner in corners[1:]:
        desk.qtbot.mouseMove(view, desk.point(*corner))

    def shown() -> set[int]:
        """Classes of the preview, in whose colours it is painted."""
        target = desk.program.part_copies.target
        return set() if target is None or target.ids is None else set(np.unique(target.ids[target.mask]).tolist())

    desk.wait(lambda: shown() == {0, CHAIR})
    drawn = desk.program.part_copies.target
    desk.program.compare.resultsChanged.emit()  # what else comes to know of sources must not put the point in the outline's place
    desk.wait(lambda: desk.program.part_copies.target is not drawn)
    assert shown() == {0, CHAIR}
    assert np.array_equal(labels(desk), spoilt)
    desk.qtbot.mouseRelease(view, button, pos=desk.point(*corners[-1]))
    inside = np.zeros((HEIGHT, WIDTH), bool)
    inside[4:33, 18:57] = True
    assert np.array_equal(labels(desk)[inside], furniture()[inside])
    outside = np.ones((HEIGHT, WIDTH), bool)
    outside[1:37, 13:63] = False
    assert np.array_equal(labels(desk)[outside], spoilt[outside])
    assert desk.steps()[-1].startswith("Copy from Prediction")


def test_esc_drops_an_outline_that_is_drawn(desk: Studio) -> None:
    desk.press(Qt.Key.Key_D, SHIFT)
    desk.press(Qt.Key.Key_3, ALT)
    before = labels(desk).copy()
    desk.qtbot.mousePress(desk.view, Qt.MouseButton.LeftButton, pos=desk.point(5, 5))
    for corner in ((30, 5), (30, 30)):
        desk.qtbot.mouseMove(desk.view, desk.point(*corner))
    desk.press(Qt.Key.Key_Escape, on=desk.view)
    desk.qtbot.mouseRelease(desk.view, Qt.MouseButton.LeftButton, pos=desk.point(30, 30))
    assert np.array_equal(labels(desk), before)


def test_the_previous_image_is_copied_from_at_the_same_position(desk: Studio) -> None:
    desk.press(Qt.Key.Key_A)
    desk.settle()
    desk.press(Qt.Key.Key_D, SHIFT)
    desk.settle()
    assert entries(desk)["Previous image (This is the first image)"].isEnabled() is False
    desk.press(Qt.Key.Key_4, ALT)
    assert desk.titles()[-1] == "This is the first image"
    assert desk.program.part_copies.source.kind is CopyFrom.PREDICTION
    desk.press(Qt.Key.Key_B)
    desk.program.classes.choose(PERSON)
    desk.paint((60, 10), (75, 10))
    painted = labels(desk) == PERSON
    desk.press(Qt.Key.Key_D)
    desk.settle()
    before = labels(desk).copy()
    point_at(desk, 66, 10)
    desk.press(Qt.Key.Key_4, ALT)
    desk.settle()
    desk.press(Qt.Key.Key_D, CTRL)  # with the brush: what is under the pointer
    assert desk.program.tools.tool is Tool.BRUSH
    assert np.array_equal(labels(desk), np.where(painted, PERSON, before))
    assert desk.steps()[-1].startswith("Copy from Previous image")


def test_other_models_are_reached_while_they_are_compared(desk: Studio, tmp_path: Path) -> None:
    (tmp_path / "models" / "other.safetensors").write_bytes(b"")
    desk.press(Qt.Key.Key_D, SHIFT)
    desk.press(Qt.Key.Key_2, ALT)
    assert desk.titles()[-1] == "Compare models first (Shift+C)"
    desk.program.compare.add_file(tmp_path / "models" / "other.safetensors")
    desk.wait(lambda: desk.program.compare.answers(desk.image))
    desk.settle()
    desk.press(Qt.Key.Key_2, ALT)
    source = desk.program.part_copies.source
    assert source is not None
    assert source.kind is CopyFrom.MODEL
    assert source.labels is not None
    assert (source.labels[10:30, 34:54] == CHAIR).all()  # the fake's other model moves everything by 24 px
    before = labels(desk).copy()
    desk.qtbot.mouseClick(desk.view, Qt.MouseButton.LeftButton, pos=desk.point(45, 20))
    desk.settle()
    assert np.array_equal(labels(desk) != before, (source.labels == CHAIR) & (before != CHAIR))


def test_the_kept_prediction_of_a_model_that_was_used_before_is_a_source(desk: Studio, tmp_path: Path) -> None:
    first = desk.program.models.card
    other = tmp_path / "models" / "other.safetensors"
    other.write_bytes(b"")
    desk.program.models.load(other)
    desk.settle()
    assert first is not None
    assert desk.program.models.card is not None
    assert desk.program.models.card.id != first.id
    desk.press(Qt.Key.Key_R, CTRL)
    desk.settle()
    desk.press(Qt.Key.Key_D, SHIFT)
    desk.settle()
    desk.press(Qt.Key.Key_2, ALT)
    source = desk.program.part_copies.source
    assert source is not None
    assert source.kind is CopyFrom.MODEL
    assert source.title == first.id
    assert source.labels is not None
    assert np.array_equal(source.labels, furniture())


def test_a_region_of_the_image_takes_what_lies_inside_it(desk: Studio) -> None:
    desk.press(Qt.Key.Key_D, SHIFT)
    desk.press(Qt.Key.Key_3, ALT)
    desk.press(Qt.Key.Key_D, ALT)
    desk.settle()
    assert desk.program.part_copies.by_region
    point_at(desk, 12, 40)
    copies, corrector = desk.program.part_copies, desk.program.corrections.corrector
    assert corrector is not None
    level = desk.program.regions.level
    turn_wheel(desk.view, QPointF(desk.point(12, 40)), 1, ALT)
    assert desk.program.regions.level != level
    before = labels(desk).copy()
    box, mask = corrector.region_mask(12, 40, desk.program.regions.level)
    assert copies.target is not None
    desk.qtbot.mouseClick(desk.view, Qt.MouseButton.LeftButton, pos=desk.point(12, 40))
    region = np.zeros((HEIGHT, WIDTH), bool)
    region[box.slices] = mask
    expected = np.where(region & (truth(desk) != 255), truth(desk), before)
    assert np.array_equal(labels(desk), expected)


def test_locked_classes_and_the_limits_hold_for_copies(desk: Studio) -> None:
    project = desk.program.session.project
    assert project is not None
    project.lock_classes([CHAIR])
    desk.program.modes.set_over(SOFA, True)
    desk.program.modes.set_over(CHAIR, True)
    desk.press(Qt.Key.Key_D, SHIFT)
    desk.press(Qt.Key.Key_3, ALT)
    before = labels(desk).copy()
    desk.paint((1, 1), (82, 1), (82, 58), (1, 58), (1, 2))
    changed = labels(desk) != before
    assert changed.any()
    assert (before[changed] == SOFA).all()


def test_the_wheel_and_the_menu_go_through_the_sources(desk: Studio) -> None:
    desk.press(Qt.Key.Key_D, SHIFT)
    desk.settle()
    found = entries(desk)
    assert [text for text, entry in found.items() if entry.isChecked()] == ["Prediction"]
    assert not found["Other model (Compare models first (Shift+C))"].isEnabled()
    seen = []
    for _ in range(3):
        turn_wheel(desk.view, QPointF(desk.point(20, 20)), 1, ALT)
        seen.append(desk.program.part_copies.source.title)
    assert seen == ["Ground truth", "Previous image", "Prediction"]
    found["Ground truth"].trigger()
    assert desk.window.top_bar.copy_source.text() == "From: Ground truth"
    desk.press(Qt.Key.Key_B)
    assert not desk.window.top_bar.copy_source.isVisible()


def test_the_preview_has_the_colours_that_the_classes_are_shown_in(desk: Studio) -> None:
    desk.press(Qt.Key.Key_D, SHIFT)
    desk.press(Qt.Key.Key_3, ALT)
    bare = desk.view.grab().toImage().pixelColor(desk.point(30, 40))
    point_at(desk, 20, 5)
    color = QColor(*desk.program.view.overlay.shown(desk.image.document.catalog).by_id(PERSON).color)
    shown = desk.view.grab().toImage().pixelColor(desk.point(30, 40))
    for part in ("red", "green", "blue"):
        expected = (getattr(color, part)() * 96 + getattr(bare, part)() * 159) / 255
        assert abs(getattr(shown, part)() - expected) <= 3
