"""Standard jobs of a labeller, with their actions counted: a key, a click, a drag, a typed letter are one each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QWidget

from app.ui.annotate.component_dialog import ComponentDialog
from tests.gui.studio import HEIGHT, WIDTH, Studio

CHAIR, SOFA, CAT = 9, 18, 8
PLAIN, SHIFT = Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ShiftModifier
ALT, CTRL = Qt.KeyboardModifier.AltModifier, Qt.KeyboardModifier.ControlModifier


class Hand:
    """Does actions in a window and counts them; to move the pointer is none."""

    def __init__(self, studio: Studio) -> None:
        self.studio, self.actions = studio, 0

    def press(self, key: Qt.Key, modifiers: Qt.KeyboardModifier = PLAIN, on: QWidget | None = None) -> None:
        self.actions += 1
        self.studio.press(key, modifiers, on)
        self.studio.settle()

    def click(self, x: int, y: int, modifiers: Qt.KeyboardModifier = PLAIN) -> None:
        self.actions += 1
        self.studio.qtbot.mouseClick(self.studio.view, Qt.MouseButton.LeftButton, modifiers, self.studio.point(x, y))
        self.studio.settle()

    def drag(self, *places: tuple[int, int]) -> None:
        self.actions += 1
        self.studio.paint(*places)
        self.studio.settle()

    def point_at(self, x: int, y: int) -> None:
        self.studio.qtbot.mouseMove(self.studio.view, self.studio.point(x, y))
        self.studio.settle()


def furniture(islands: int = 40) -> np.ndarray:
    """A chair of 20 x 20 px on background, and islands of four pixels of cat."""
    labels = np.zeros((HEIGHT, WIDTH), np.uint8)
    labels[8:28, 10:30] = CHAIR
    for number in range(islands):
        row, column = 32 + 4 * (number // 20), 2 + 4 * (number % 20)
        labels[row : row + 2, column : column + 2] = CAT
    return labels


@pytest.fixture
def hand(studio: Studio, folder: Path) -> Hand:
    for path in folder.iterdir():
        studio.compute.known[str(path)] = furniture()
    studio.start_model()
    studio.open(folder)
    return Hand(studio)


def component_dialog(hand: Hand) -> ComponentDialog:
    assert hand.studio.application.window_actions is not None
    dialog = hand.studio.application.window_actions.component_dialog
    assert dialog is not None
    return dialog


def labels(hand: Hand) -> np.ndarray:
    found: np.ndarray = hand.studio.image.document.labels
    return found


def test_forty_islands_take_at_most_three_actions(hand: Hand) -> None:
    hand.press(Qt.Key.Key_I, SHIFT)
    dialog = component_dialog(hand)
    assert dialog.effect.text().startswith("This image: 40 islands, 160")
    hand.press(Qt.Key.Key_5, on=dialog.number)  # below 5 px, where 50 would be too many
    assert dialog.effect.text().startswith("This image: 40 islands, 160")
    hand.press(Qt.Key.Key_Return, on=dialog.number)
    assert np.array_equal(labels(hand), furniture(0))
    assert hand.actions <= 3
    hand.press(Qt.Key.Key_Z, CTRL)
    assert np.array_equal(labels(hand), furniture())  # one step


def test_a_chair_becomes_a_sofa_in_at_most_two_actions_from_the_brush(hand: Hand) -> None:
    hand.studio.program.classes.assign_key(SOFA, "7")
    hand.point_at(20, 20)
    hand.press(Qt.Key.Key_Z)
    hand.press(Qt.Key.Key_7)
    assert np.array_equal(labels(hand), np.where(furniture() == CHAIR, SOFA, furniture()))
    assert hand.actions <= 2
    hand.press(Qt.Key.Key_Z, CTRL)
    assert np.array_equal(labels(hand), furniture())


def test_an_object_of_the_ground_truth_takes_at_most_two_actions(hand: Hand) -> None:
    truth = hand.studio.program.evaluation.live.truth
    hand.point_at(4, 5)
    hand.press(Qt.Key.Key_3, ALT)
    hand.press(Qt.Key.Key_D, CTRL)
    assert np.array_equal(labels(hand), np.where(truth == 15, 15, furniture()))
    assert hand.actions <= 2


def test_islands_of_a_part_take_at_most_four_actions(hand: Hand) -> None:
    """The dialog, the choice of the place, the outline, Enter."""
    hand.press(Qt.Key.Key_I, SHIFT)
    dialog = component_dialog(hand)
    hand.actions += 1
    dialog.where.setCurrentIndex(dialog.where.findText("Inside an outline"))
    assert dialog.effect.text() == "Draw around the part with the lasso or the polygon."
    hand.drag((1, 30), (41, 30), (41, 45), (1, 45), (1, 31))
    assert dialog.effect.text().startswith("This image: 20 islands, 80")
    hand.press(Qt.Key.Key_Return, on=dialog.number)
    part = np.zeros((HEIGHT, WIDTH), bool)
    part[30:45, 1:41] = True
    assert np.array_equal(labels(hand), np.where(part & (furniture() == CAT), 0, furniture()))
    assert hand.actions <= 4
