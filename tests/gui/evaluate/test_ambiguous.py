"""Marking what cannot be decided: it leaves every figure at once, and comes back when it is unmarked."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QPoint, Qt

from app.state.ambiguous import read_marks
from app.state.tools import Tool
from deeplab_core.metrics import ConfusionMatrix
from tests.gui.studio import WIDTH, Studio

ALT, SHIFT = Qt.KeyboardModifier.AltModifier, Qt.KeyboardModifier.ShiftModifier


def judged(studio: Studio, folder) -> None:
    studio.start_model()
    studio.open(folder)
    studio.wait(lambda: studio.program.evaluation.live is not None)
    studio.press(Qt.Key.Key_R, Qt.KeyboardModifier.ControlModifier | SHIFT)
    studio.settle()
    studio.press(Qt.Key.Key_J, Qt.KeyboardModifier.ControlModifier)
    studio.wait(lambda: studio.program.figures.pooled is not None)
    studio.settle()


def wrong_pixel(studio: Studio) -> tuple[int, int]:
    ys, xs = np.nonzero(studio.program.evaluation.live.errors())
    return int(xs[0]), int(ys[0])


def point_at(studio: Studio, x: int, y: int) -> None:
    studio.qtbot.mouseMove(studio.view, QPoint(1, 1))
    studio.qtbot.mouseMove(studio.view, studio.point(x, y))


def from_scratch(studio: Studio) -> ConfusionMatrix:
    """The image's matrix without the marked pixels, counted again."""
    image, live = studio.image, studio.program.evaluation.live
    marks = read_marks(studio.program.session.project, image.id)
    truth = live.truth if marks is None else marks.exclude_from(live.truth, image.document.catalog.ignore)
    return ConfusionMatrix(image.document.catalog).update(truth=truth, prediction=image.document.labels)


def test_the_error_under_the_pointer_leaves_every_figure_and_comes_back(studio, folder):
    judged(studio, folder)
    before, pooled = studio.program.evaluation.live.matrix.copy(), studio.program.figures.pooled.copy()
    labels = studio.image.document.labels.copy()
    x, y = wrong_pixel(studio)
    point_at(studio, x, y)
    studio.press(Qt.Key.Key_H)
    studio.settle()
    (mark,) = read_marks(studio.program.session.project, studio.image.id).marks
    matrix = studio.program.evaluation.live.matrix
    assert matrix == from_scratch(studio)
    assert before.counts.sum() - matrix.counts.sum() == mark.pixels
    assert studio.program.figures.pooled == pooled - before + matrix
    assert "ambiguous: not counted" in readout_at(studio, x, y)
    np.testing.assert_array_equal(studio.image.document.labels, labels)

    studio.press(Qt.Key.Key_H, ALT)
    studio.settle()
    assert read_marks(studio.program.session.project, studio.image.id) is None
    assert studio.program.evaluation.live.matrix == before
    assert studio.program.figures.pooled == pooled


def readout_at(studio: Studio, x: int, y: int) -> str:
    said: list[str] = []
    studio.program.readout.changed.connect(lambda _x, _y, text: said.append(text))
    point_at(studio, x, y)
    return said[-1]


def test_an_outline_marks_once_and_then_paints_again(studio, folder):
    judged(studio, folder)
    studio.press(Qt.Key.Key_B)
    labels = studio.image.document.labels.copy()
    studio.press(Qt.Key.Key_H, SHIFT)
    assert studio.program.tools.tool is Tool.LASSO
    studio.paint((10, 10), (60, 10), (60, 40), (10, 40))
    studio.settle()
    (mark,) = read_marks(studio.program.session.project, studio.image.id).marks
    assert mark.pixels > 1000
    assert mark.classes == (0, 15)
    assert studio.program.evaluation.live.matrix == from_scratch(studio)
    np.testing.assert_array_equal(studio.image.document.labels, labels)
    assert studio.program.tools.tool is Tool.BRUSH
    studio.program.classes.choose(9)
    studio.paint((70, 10), (70, 50))
    assert studio.image.document.labels[30, 70] == 9


def test_asked_twice_the_lasso_fills_as_ever(studio, folder):
    judged(studio, folder)
    studio.press(Qt.Key.Key_L)
    studio.press(Qt.Key.Key_H, SHIFT)
    studio.press(Qt.Key.Key_H, SHIFT)
    studio.program.classes.choose(9)
    studio.paint((10, 10), (60, 10), (60, 40), (10, 40))
    studio.settle()
    assert read_marks(studio.program.session.project, studio.image.id) is None
    assert studio.image.document.labels[20, 20] == 9


def test_a_right_pixel_is_nothing_to_mark(studio, folder):
    judged(studio, folder)
    point_at(studio, WIDTH // 2, 5)  # void between the halves
    studio.press(Qt.Key.Key_H)
    assert studio.titles()[-1] == "There is no error under the pointer"


def test_a_mark_in_another_image_reaches_the_folders_figures(studio, folder):
    judged(studio, folder)
    pooled = studio.program.figures.pooled.copy()
    other = next(record.id for record in studio.program.session.project.images if record.id != studio.image.id)
    share = studio.program.figures.analysis.masks.get(str(other)).matrix
    assert studio.program.ambiguous.mark(other, np.ones((20, 20), dtype=bool), (5, 5), (15,), "glass")
    studio.settle()
    now = studio.program.figures.pooled
    assert pooled.counts.sum() - now.counts.sum() == 400
    assert now == pooled - share + studio.program.figures.analysis.masks.get(str(other)).matrix
    (listed,) = studio.program.ambiguous.listed()
    assert (listed.image, listed.mark.reason) == (other, "glass")
    studio.program.ambiguous.describe(other, 0, "mirror")
    assert studio.program.ambiguous.listed()[0].mark.reason == "mirror"
    undo = next(message for message in studio.program.notifier.messages if message.choices)
    undo.choices[0].run()
    studio.settle()
    assert studio.program.figures.pooled == pooled


def test_damaged_marks_can_be_forgotten(studio, folder):
    judged(studio, folder)
    project, image = studio.program.session.project, studio.image.id
    project.put_result(image, "ambiguous", "", b"{broken")
    point_at(studio, *wrong_pixel(studio))
    studio.press(Qt.Key.Key_H, ALT)
    told = next(message for message in studio.program.notifier.messages if "ambiguous regions" in message.title)
    told.choices[0].run()
    studio.settle()
    assert read_marks(project, image) is None
