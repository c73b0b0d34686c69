"""Panes: place and scale, what each kind shows, linking, blink, odd sizes."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from app.state.provenance import Provenance
from app.state.tools import Tool
from app.ui.canvas.canvas_area import CanvasArea
from app.ui.shell.theme import load_theme
from app.viewmodels.annotate.panes import PaneKind
from deeplab_core.geometry import Box
from tests.gui.canvas_fixture import CHAIR, GRAY, SOFA, blended, close_to, make_bench


def test_the_whole_image_fits_the_pane_and_stays_fitted(qtbot):
    bench = make_bench(qtbot)
    mapping = bench.pane.mapping
    assert mapping.scale == pytest.approx(5.0)
    bench.area.resize(300, 450)
    QApplication.processEvents()
    assert bench.pane.mapping.scale == pytest.approx(2.5)
    assert bench.view.fitted


@pytest.mark.parametrize("modifiers", [Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ControlModifier])
def test_zoom_keeps_the_point_under_the_cursor(qtbot, modifiers):
    bench = make_bench(qtbot)
    at = QPointF(bench.at(80, 30))
    before = bench.pane.mapping.to_image(at)
    bench.wheel(80, 30, 3, modifiers)
    assert bench.pane.mapping.scale == pytest.approx(5 * 1.25**3)
    assert bench.pane.mapping.to_image(at) == pytest.approx(before)
    turned_back = bench.pane.mapping.to_view(*before)
    assert (turned_back - at).manhattanLength() < 1e-6


def test_space_drag_and_middle_drag_move_the_picture_and_paint_nothing(qtbot):
    bench = make_bench(qtbot)
    bench.view.set_scale(10)
    before = bench.view.center
    bench.drag([(60, 45), (50, 40)], Qt.MouseButton.MiddleButton)
    assert bench.view.center == pytest.approx((before[0] + 10, before[1] + 5), abs=0.2)
    bench.view.center_on(*before)
    QTest.keyPress(bench.pane, Qt.Key.Key_Space)
    bench.drag([(60, 45), (70, 50)])
    QTest.keyRelease(bench.pane, Qt.Key.Key_Space)
    assert bench.view.center == pytest.approx((before[0] - 10, before[1] - 5), abs=0.2)
    assert not bench.document.labels.any()
    bench.drag([(60, 45)])
    assert bench.document.labels.any()


def test_the_mask_shows_its_classes_over_the_photograph(qtbot):
    bench = make_bench(qtbot)
    bench.view.toggle_contours()
    assert close_to(bench.color(30, 40), (GRAY,) * 3)
    bench.drag([(30, 40), (60, 40)])
    QTest.mouseMove(bench.pane, QPoint(1, 1))
    assert close_to(bench.color(45, 40), blended(CHAIR, bench.view.overlay.opacity))
    assert close_to(bench.color(45, 60), (GRAY,) * 3)
    bench.view.set_opacity(1.0)
    assert close_to(bench.color(45, 40), blended(CHAIR, 1.0))


def test_hiding_a_class_or_the_overlay_touches_no_pixel_of_the_mask(qtbot):
    bench = make_bench(qtbot)
    bench.document.labels[:, :60] = CHAIR
    bench.area.set_layers(bench.layers)
    mask = bench.document.labels.copy()
    bench.edit.choose_tool(Tool.PAN)
    shown = blended(CHAIR, bench.view.overlay.opacity)
    assert close_to(bench.color(20, 40), shown)
    bench.view.set_overlay(replace(bench.view.overlay, hidden=frozenset({CHAIR})))
    assert close_to(bench.color(20, 40), (GRAY,) * 3)
    bench.view.set_overlay(replace(bench.view.overlay, hidden=frozenset()))
    assert close_to(bench.color(20, 40), shown)
    bench.view.toggle_overlay()
    assert close_to(bench.color(20, 40), (GRAY,) * 3)
    assert np.array_equal(bench.document.labels, mask)


def test_contours_are_light_on_the_class_and_dark_beside_it(qtbot):
    bench = make_bench(qtbot)
    bench.edit.choose_tool(Tool.PAN)
    bench.document.labels[:, 60:] = CHAIR
    bench.area.set_layers(bench.layers)
    QApplication.processEvents()
    image = bench.pane.grab().toImage()
    edge = bench.at(60, 40)
    light, dark = image.pixelColor(edge), image.pixelColor(edge - QPoint(1, 0))
    assert light.lightness() > image.pixelColor(edge + QPoint(10, 0)).lightness() + 15
    assert dark.lightness() < GRAY - 30
    bench.view.toggle_contours()
    assert close_to(bench.color(60.1, 40), blended(CHAIR, bench.view.overlay.opacity))


def test_every_kind_of_pane_shows_its_data(qtbot):
    truth = np.zeros((90, 120), np.uint8)
    truth[:, 60:] = SOFA
    truth[:, 58:60] = 255
    confidence = np.full((90, 120), 255, np.uint8)
    confidence[:45] = 60
    band = np.full((90, 120), 41, np.uint8)
    band[:, 50:70] = 5
    bench = make_bench(qtbot, truth=truth, confidence=confidence, band=band, band_width=8)
    bench.edit.choose_tool(Tool.PAN)
    bench.view.toggle_contours()
    bench.document.labels[:, :30] = CHAIR
    opacity = bench.view.overlay.opacity

    def color(kind, x, y):
        bench.view.set_kind(0, kind)
        return bench.color(x, y)

    assert close_to(color(PaneKind.IMAGE, 20, 70), (GRAY,) * 3)
    assert close_to(color(PaneKind.MASK, 20, 70), blended(CHAIR, opacity))
    assert close_to(color(PaneKind.PREDICTION, 100, 70), blended(SOFA, opacity))
    assert close_to(color(PaneKind.PREDICTION, 20, 70), (GRAY,) * 3)
    assert close_to(color(PaneKind.TRUTH, 100, 70), blended(SOFA, opacity))
    # A chair that is none is shown in the chair's colour; right background is dimmed; a missed sofa stands out.
    wrong, right, missed = color(PaneKind.ERRORS, 20, 70), color(PaneKind.ERRORS, 45, 70), color(PaneKind.ERRORS, 100, 70)
    assert wrong.red() > wrong.green() + 80
    assert right.lightness() < GRAY * 0.6
    assert missed.lightness() > 150
    assert close_to(color(PaneKind.BAND, 65, 70), (GRAY,) * 3)
    assert color(PaneKind.BAND, 100, 70).lightness() < GRAY * 0.5
    assert color(PaneKind.UNCERTAINTY, 20, 20).lightness() > color(PaneKind.UNCERTAINTY, 20, 70).lightness() + 60


def test_the_mask_shows_where_the_band_ends_while_it_limits_edits(qtbot):
    band = np.full((90, 120), 41, np.uint8)
    band[:, 50:70] = 5
    for limits in (False, True):
        bench = make_bench(qtbot, band=band, band_width=8, band_limits=limits)
        bench.edit.choose_tool(Tool.PAN)
        assert (bench.color(50, 45).lightness() > 200) is limits
        assert bench.color(60, 45).lightness() < 200


def test_errors_follow_the_brush(qtbot):
    truth = np.zeros((90, 120), np.uint8)
    bench = make_bench(qtbot, layout="double", truth=truth)
    bench.view.toggle_contours()
    bench.view.set_kind(1, PaneKind.ERRORS)
    errors = bench.area.views[1]
    before = bench.color(30, 60, errors)
    bench.drag([(30, 60), (40, 60)])
    after = bench.color(31, 62, errors)
    assert after.red() > before.red() + 80


def test_incremental_painting_equals_painting_all(qtbot):
    truth = np.zeros((90, 120), np.uint8)
    truth[20:70, 30:90] = CHAIR
    bench = make_bench(qtbot, layout="quad", truth=truth)
    for index, kind in enumerate((PaneKind.MASK, PaneKind.ERRORS, PaneKind.TRUTH, PaneKind.PREDICTION)):
        bench.view.set_kind(index, kind)
    rng = np.random.default_rng(4)
    for scale in (0.7, 1.0, 2.6, 9.0):
        bench.view.set_scale(scale)
        QApplication.processEvents()
        for _ in range(3):
            bench.tools.choose_class(int(rng.integers(0, 3)))
            bench.tools.set_diameter(int(rng.integers(1, 15)))
            bench.edit.begin_stroke(*rng.uniform((0, 0), (120, 90)))
            for _ in range(4):
                bench.edit.extend_stroke([tuple(rng.uniform((0, 0), (120, 90)))])
                QApplication.processEvents()
            bench.edit.commit_stroke()
        QApplication.processEvents()
        repaired = [pane.grab().toImage() for pane in bench.area.views]
        bench.area.set_layers(bench.layers)
        QApplication.processEvents()
        assert repaired == [pane.grab().toImage() for pane in bench.area.views]


def test_linked_panes_show_the_same_place_and_the_pointer(qtbot):
    bench = make_bench(qtbot, layout="triple")
    QApplication.processEvents()
    bench.view.zoom_at(30, 30, 4)
    centers = {
        tuple(np.round(view.mapping.to_image(QPointF(view.width() / 2, view.height() / 2)), 6)) for view in bench.area.views
    }
    assert len(centers) == 1
    other = bench.area.views[1]
    bench.view.set_kind(1, PaneKind.IMAGE)
    QApplication.processEvents()
    without = other.grab().toImage()
    QTest.mouseMove(bench.pane, bench.at(28, 28))
    QApplication.processEvents()
    assert other.grab().toImage() != without
    assert close_to(bench.color(28, 28, other), (255, 255, 255), 60)


def test_layouts_show_one_to_four_panes_and_the_key_returns_to_the_last(qtbot):
    bench = make_bench(qtbot)
    for layout, count in (("double", 2), ("triple", 3), ("quad", 4), ("split", 1), ("single", 1)):
        bench.view.set_layout(layout)
        QApplication.processEvents()
        assert len(bench.area.views) == count
        assert all(pane.isVisible() and pane.width() > 40 for pane in bench.area.views)
    bench.view.toggle_linked()
    assert bench.view.layout == "quad"
    bench.view.toggle_linked()
    assert bench.view.layout == "single"


def test_the_split_line_can_be_dragged_and_divides_two_kinds(qtbot):
    bench = make_bench(qtbot)
    bench.document.labels[:] = CHAIR
    bench.edit.choose_tool(Tool.PAN)
    bench.view.set_layout("split")
    assert close_to(bench.color(20, 20), blended(CHAIR, bench.view.overlay.opacity))
    assert close_to(bench.color(100, 20), (GRAY,) * 3)
    line = QPoint(bench.pane.width() // 2, 100)
    QTest.mousePress(bench.pane, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, line)
    QTest.mouseMove(bench.pane, QPoint(round(bench.pane.width() * 0.9), 100))
    QTest.mouseRelease(bench.pane, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, QPoint(540, 100))
    assert bench.view.panes[0].split == pytest.approx(0.9, abs=0.01)
    assert close_to(bench.color(100, 20), blended(CHAIR, bench.view.overlay.opacity))


def test_blink_shows_the_prediction_while_it_is_held(qtbot):
    bench = make_bench(qtbot)
    bench.edit.choose_tool(Tool.PAN)
    assert close_to(bench.color(100, 40), (GRAY,) * 3)
    bench.area.set_blink(PaneKind.PREDICTION)
    assert close_to(bench.color(100, 40), blended(SOFA, bench.view.overlay.opacity))
    assert bench.pane.chip.accessibleName() == "Prediction"
    bench.area.set_blink(None)
    assert close_to(bench.color(100, 40), (GRAY,) * 3)


def test_the_readout_names_the_pixel_and_nothing_outside(qtbot):
    bench = make_bench(qtbot)
    with qtbot.waitSignal(bench.area.hovered, check_params_cb=lambda x, y: (x, y) == (30, 40)):
        QTest.mouseMove(bench.pane, bench.at(30.5, 40.5))
    bench.view.set_scale(2)
    with qtbot.waitSignal(bench.area.hovered, check_params_cb=lambda x, y: x is None and y is None):
        QTest.mouseMove(bench.pane, QPoint(2, 2))


def test_a_pane_without_data_says_why(qtbot):
    bench = make_bench(qtbot)
    assert bench.layers.missing(PaneKind.TRUTH) == "No ground truth for this image"
    plain = bench.pane.grab().toImage()
    bench.view.set_kind(0, PaneKind.TRUTH)
    QApplication.processEvents()
    shown = bench.pane.grab().toImage()
    assert shown != plain
    backdrop, row = load_theme("dark").color("canvas"), shown.height() // 2 - 10
    # The box is opaque: over a dark image in the light theme its text had a contrast of 4.4 to 1.
    assert sum(shown.pixelColor(x, row) == backdrop for x in range(shown.width())) > 100


def test_the_chip_offers_every_kind(qtbot):
    bench = make_bench(qtbot)
    bench.area.set_captions({PaneKind.ERRORS: "3 %"})
    menu = bench.pane.chip.make_menu()
    actions = {action.text(): action for action in menu.actions()}
    assert len(actions) == len(PaneKind)
    assert actions["Mask"].isChecked()
    actions["Errors"].trigger()
    assert bench.view.panes[0].kind is PaneKind.ERRORS
    assert bench.pane.chip.accessibleName() == "Errors 3 %"


@pytest.mark.parametrize(("width", "height"), [(1, 1), (3, 7), (7, 3), (1, 200), (601, 2), (513, 1025)])
@pytest.mark.parametrize("scale", [None, 0.3, 1.0, 7.3, 64.0])
def test_odd_sizes_paint_at_any_scale(qtbot, width, height, scale):
    bench = make_bench(qtbot, width, height, pane=(301, 233), truth=np.zeros((height, width), np.uint8))
    if scale is not None:
        bench.view.set_scale(scale)
    bench.tools.set_diameter(1)
    bench.edit.begin_stroke(width / 2, height / 2)
    bench.edit.commit_stroke()
    for kind in PaneKind:
        bench.view.set_kind(0, kind)
        QApplication.processEvents()
    assert bench.document.labels[height // 2, width // 2] == CHAIR


_HIDPI = """
import numpy as np
from PySide6.QtWidgets import QApplication
from app.controllers.annotate.edit import EditController
from app.controllers.annotate.view import ViewState
from app.state.tools import ToolState
from app.ui.canvas.canvas_area import CanvasArea
from app.ui.canvas.layers import LayerSet
from app.ui.canvas.layers import PictureSource
from app.ui.canvas.canvas_area import CanvasArea
from tests.gui.canvas_fixture import CATALOG
app = QApplication([])
checks = (np.indices((200, 300)).sum(axis=0) % 2 * 255).astype(np.uint8)
view = ViewState()
area = CanvasArea(view, EditController(ToolState()))
area.resize(100, 80)
area.set_layers(LayerSet(PictureSource(np.repeat(checks[..., None], 3, axis=2)), CATALOG))
area.show()
view.set_kind(0, "image")
view.zoom_actual()
app.processEvents()
pane = area.views[0]
image = pane.grab().toImage()
row = [image.pixelColor(x, 100).red() for x in range(40, 60)]
print(pane.mapping.ratio, image.width(), pane.mapping.scale, sorted(set(row)), row[::2] == row[:1] * 10)
"""


def test_on_a_fine_screen_one_image_pixel_is_one_screen_pixel_at_100_percent():
    environment = os.environ | {"QT_SCALE_FACTOR": "2", "QT_QPA_PLATFORM": "offscreen"}
    done = subprocess.run(
        [sys.executable, "-c", _HIDPI], cwd=Path(__file__).parents[3], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "2.0 200 1.0 [0, 255] True"


_FRACTION = """
from types import SimpleNamespace
from PySide6.QtWidgets import QApplication
from tests.gui.canvas_fixture import GRAY, make_bench
app = QApplication([])
bot = SimpleNamespace(addWidget=lambda _: None, waitExposed=lambda _: app.processEvents())
for width, height in ((601, 451), (602, 452), (603, 453)):
    bench = make_bench(bot, 3000, 2000, pane=(width, height))
    bench.view.zoom_actual()
    app.processEvents()
    shown = bench.area.grab().toImage()
    right, below = shown.width() - 1, shown.height() - 1
    row = [shown.pixelColor(x, below // 2).red() for x in (0, 1, right - 1, right)]
    column = [shown.pixelColor(right // 2, y).red() for y in (below - 1, below)]
    bench.view.zoom_fit()
    app.processEvents()
    mapping = bench.pane.mapping
    print(set(row + column) == {GRAY}, mapping.scale * 3000 <= bench.pane.width() * mapping.ratio, mapping.ratio)
"""


def test_at_a_fractional_scale_the_picture_reaches_the_last_pixels_of_its_pane():
    """Half of 904.5 device px was left out: a dark line at the right of the pane."""
    environment, root = os.environ | {"QT_SCALE_FACTOR": "1.5", "QT_QPA_PLATFORM": "offscreen"}, Path(__file__).parents[3]
    command = [sys.executable, "-c", _FRACTION]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["True True 1.5"] * 3


def test_no_image_shows_an_empty_pane(qtbot):
    bench = make_bench(qtbot)
    bench.area.set_layers(None)
    QApplication.processEvents()
    assert not bench.pane.chip.isVisible()
    QTest.mouseClick(bench.pane, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, QPoint(50, 50))
    assert not bench.steps


def test_a_canvas_that_is_gone_leaves_document_and_tools_usable(qtbot):
    bench = make_bench(qtbot)
    other = CanvasArea(bench.view, bench.edit)
    other.set_layers(bench.layers)
    other.deleteLater()
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    bench.document.paint(Box(0, 0, 2, 2), np.ones((2, 2), bool), CHAIR, Provenance.USER)
    bench.tools.choose_class(SOFA)
    assert bench.document.labels[0, 0] == CHAIR


def test_a_blink_fades_where_motion_is_wanted_and_a_change_of_labels_ends_that(qtbot):
    bench = make_bench(qtbot)
    assert not bench.pane.fade.on
    bench.pane.fade.on = True
    mask = bench.pane.grab().toImage()
    bench.area.set_blink(PaneKind.IMAGE)
    assert bench.pane.fade.running
    qtbot.waitUntil(lambda: not bench.pane.fade.running)
    image = bench.pane.grab().toImage()
    assert image != mask
    bench.area.set_blink(None)
    assert bench.pane.fade.running
    bench.pane.fade.stop()
    assert bench.pane.grab().toImage() == mask
    bench.area.set_blink(PaneKind.PREDICTION)
    assert bench.pane.fade.running
    bench.pane.mark_changed([Box(0, 0, 4, 4)])
    assert not bench.pane.fade.running
    bench.pane.fade.on = False
    bench.area.set_blink(None)
    assert not bench.pane.fade.running
