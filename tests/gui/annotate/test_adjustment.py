"""Brightness, contrast and gamma of the view by key, dialog and lamp: what is seen changes, and nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt

from app.viewmodels.annotate.adjustment import ImageAdjustment
from app.viewmodels.annotate.panes import PaneKind
from tests.gui.canvas_fixture import GRAY, make_bench
from tests.gui.studio import Studio

ALT = Qt.KeyboardModifier.AltModifier


@pytest.mark.parametrize("scale", [0.7, 5.0], ids=["zoomed out", "zoomed in"])
def test_the_pixels_that_are_shown_go_through_the_table(qtbot, scale):
    bench = make_bench(qtbot)
    bench.view.set_kind(0, PaneKind.IMAGE)
    bench.view.set_scale(scale)
    adjustment = ImageAdjustment(brightness=10, contrast=30, gamma=1.5)
    assert bench.color(60, 45).red() == GRAY
    bench.view.set_adjustment(adjustment)
    assert bench.color(60, 45).red() == adjustment.table()[GRAY] != GRAY
    bench.view.reset_adjustment()
    assert bench.color(60, 45).red() == GRAY


def test_keys_change_the_view_and_one_key_shows_the_image_as_it_is(studio: Studio, folder: Path) -> None:
    studio.start_model()
    studio.open(folder)
    pixels, labels = studio.image.rgb.copy(), studio.image.document.labels.copy()
    steps, asked = studio.steps(), len(studio.compute.asked)
    for key in (Qt.Key.Key_Up, Qt.Key.Key_Up, Qt.Key.Key_Down, Qt.Key.Key_Right, Qt.Key.Key_Right, Qt.Key.Key_PageUp):
        studio.press(key, ALT)
    assert studio.program.view.adjustment == ImageAdjustment(10, 20, 1.25)
    lamp = next(lamp for lamp in studio.window.top_bar.lamps if lamp.text() == "Adjusted")
    assert lamp.isVisible()
    assert len(studio.compute.asked) == asked
    studio.press(Qt.Key.Key_D)
    studio.settle()
    assert studio.program.view.adjustment == ImageAdjustment(10, 20, 1.25)  # of the session, for every image
    studio.press(Qt.Key.Key_A)
    studio.settle()
    studio.press(Qt.Key.Key_0, ALT)
    assert studio.program.view.adjustment.neutral
    assert not lamp.isVisible()
    studio.press(Qt.Key.Key_Down, ALT)
    studio.qtbot.mouseClick(lamp, Qt.MouseButton.LeftButton)
    assert studio.program.view.adjustment.neutral
    assert np.array_equal(studio.image.rgb, pixels)
    assert np.array_equal(studio.image.document.labels, labels)
    assert studio.steps() == steps


def test_the_dialog_and_the_keys_show_the_same(studio: Studio, folder: Path) -> None:
    studio.open(folder)
    studio.press(Qt.Key.Key_I, ALT)
    assert studio.application.presenter is not None
    dialog = studio.application.presenter.adjust_dialog
    assert dialog is not None
    dialog.brightness.setValue(-30)
    dialog.gamma.setValue(100)
    assert studio.program.view.adjustment == ImageAdjustment(-30, 0, 5.0)
    studio.program.view.step_contrast(1)
    assert dialog.contrast.value() == 10
    assert [value.text() for value in dialog.values] == ["-30", "+10", "5.00"]
    studio.press(Qt.Key.Key_I, ALT)
    assert studio.application.presenter.adjust_dialog is dialog
    studio.qtbot.mouseClick(dialog.reset, Qt.MouseButton.LeftButton)
    assert studio.program.view.adjustment.neutral
    dialog.accept()
    assert studio.application.presenter.adjust_dialog is None
