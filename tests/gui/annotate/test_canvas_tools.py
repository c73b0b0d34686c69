"""Mouse and keys on the picture: what the user does, and what the document holds afterwards."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from PySide6.QtCore import QEvent, QPointF, Qt
from PySide6.QtGui import QPointingDevice, QTabletEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from app.state.edits import capsule_spans
from app.state.provenance import Provenance
from app.state.tools import STEPS, Tool, ToolState
from app.ui.shell.settings_dialog import SettingsDialog
from deeplab_core.geometry import polygon_mask
from tests.gui.canvas_fixture import CHAIR, SOFA, make_bench
from tests.gui.studio import Studio


def stamped(shape, start, end, diameter):
    found = np.zeros(shape, bool)
    for rect, where in capsule_spans(start, end, diameter / 2, shape).masks():
        found[rect.slices] |= where
    return found


def test_left_drag_paints_the_current_class_as_one_step(qtbot):
    bench = make_bench(qtbot)
    bench.drag([(30, 40), (60, 40)])
    assert np.array_equal(bench.document.labels == CHAIR, stamped((90, 120), (30, 40), (60, 40), 9))
    assert [title for title, _ in bench.steps] == [f"Brush: chair, {np.count_nonzero(bench.document.labels)} px"]
    painted = bench.document.labels == CHAIR
    assert np.all(bench.document.provenance[painted] == Provenance.USER)


def test_titles_have_thin_spaces_between_thousands(qtbot):
    bench = make_bench(qtbot)
    bench.tools.set_diameter(60)
    bench.drag([(60, 45)])
    area = int(stamped((90, 120), (60, 45), (60, 45), 60).sum())
    assert bench.steps[0][0] == f"Brush: chair, {area // 1000}\u202f{area % 1000:03d} px"


def test_right_drag_restores_the_prediction_with_any_tool(qtbot):
    bench = make_bench(qtbot)
    bench.tools.set_diameter(200)
    bench.drag([(60, 45)])
    assert np.all(bench.document.labels == CHAIR)
    bench.edit.choose_tool(Tool.FILL)
    bench.tools.set_diameter(9)
    bench.drag([(90, 45), (100, 45)], Qt.MouseButton.RightButton)
    touched = stamped((90, 120), (90, 45), (100, 45), 9)
    assert np.all(bench.document.labels[touched] == SOFA)
    assert np.all(bench.document.labels[~touched] == CHAIR)
    assert np.all(bench.document.provenance[touched] == Provenance.MODEL)
    assert bench.steps[-1][0].startswith("Restore to prediction, ")


def test_right_drag_without_a_prediction_says_what_to_do(qtbot):
    bench = make_bench(qtbot)
    bench.document.reference = None
    with qtbot.waitSignal(bench.edit.refused) as said:
        bench.drag([(90, 45), (100, 45)], Qt.MouseButton.RightButton)
    assert "Run the model" in said.args[0]
    assert not bench.steps


def test_eraser_paints_the_background(qtbot):
    bench = make_bench(qtbot)
    bench.drag([(30, 40), (60, 40)])
    bench.edit.choose_tool(Tool.ERASER)
    bench.drag([(30, 40), (60, 40)])
    assert not bench.document.labels.any()
    assert bench.steps[-1][0].startswith("Eraser: background, ")


def test_escape_takes_the_stroke_back_and_the_held_button_does_nothing_more(qtbot):
    bench = make_bench(qtbot)
    bench.drag([(30, 40), (60, 40)], release=False)
    assert bench.document.labels.any()
    QTest.keyClick(bench.pane, Qt.Key.Key_Escape)
    assert not bench.document.labels.any()
    QTest.mouseMove(bench.pane, bench.at(80, 40))
    QTest.mouseRelease(bench.pane, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, bench.at(80, 40))
    assert not bench.document.labels.any()
    assert not bench.document.provenance.any()
    assert not bench.steps


def test_undo_in_the_middle_of_a_stroke_undoes_this_stroke_only(qtbot):
    bench = make_bench(qtbot)

    class History:
        asked = 0

        def undo(self):
            self.asked += 1

        def redo(self):
            self.asked += 1

    history = History()
    bench.edit.undoAsked.connect(history.undo)
    bench.edit.redoAsked.connect(history.redo)
    bench.drag([(20, 20), (30, 20)])
    kept = bench.document.labels.copy()
    bench.drag([(30, 60), (60, 60)], release=False)
    bench.edit.undo()
    bench.edit.redo()
    assert history.asked == 1  # redo, now that no stroke is in progress
    assert np.array_equal(bench.document.labels, kept)


def test_a_class_key_in_the_middle_of_a_stroke_changes_nothing(qtbot):
    bench = make_bench(qtbot)
    bench.drag([(30, 40), (40, 40)], release=False)
    bench.edit.choose_class(SOFA)
    bench.edit.choose_tool(Tool.FILL)
    QTest.mouseMove(bench.pane, bench.at(60, 40))
    QTest.mouseRelease(bench.pane, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, bench.at(60, 40))
    assert set(np.unique(bench.document.labels)) == {0, CHAIR}
    assert bench.tools.class_id == CHAIR
    assert bench.tools.tool is Tool.BRUSH


def test_shift_click_draws_a_straight_line_from_the_last_stroke(qtbot):
    bench = make_bench(qtbot)
    bench.drag([(20, 20)])
    bench.click(100, 70, Qt.KeyboardModifier.ShiftModifier)
    expected = stamped((90, 120), (20, 20), (100, 70), 9)
    assert np.array_equal(bench.document.labels == CHAIR, expected)
    assert len(bench.steps) == 2


def test_shift_click_after_another_image_was_opened_paints_a_dab(qtbot):
    bench = make_bench(qtbot)
    bench.drag([(20, 20)])
    bench.edit.set_document(bench.document)
    bench.click(100, 70, Qt.KeyboardModifier.ShiftModifier)
    assert not bench.document.labels[45, 60]
    assert bench.document.labels[70, 100] == CHAIR


def test_fill_takes_the_connected_region(qtbot):
    bench = make_bench(qtbot)
    bench.document.labels[:, 60] = SOFA
    bench.edit.choose_tool(Tool.FILL)
    bench.click(20, 20)
    assert np.all(bench.document.labels[:, :60] == CHAIR)
    assert np.all(bench.document.labels[:, 61:] == 0)
    assert bench.steps[0][0] == "Fill: chair, 5\u202f400 px"


def test_a_step_that_changes_nothing_is_no_step(qtbot):
    bench = make_bench(qtbot)
    bench.document.labels[:] = CHAIR
    bench.document.provenance[:] = Provenance.USER
    bench.edit.choose_tool(Tool.FILL)
    bench.click(20, 20)
    bench.edit.choose_tool(Tool.BRUSH)
    bench.drag([(20, 20), (50, 50)])
    assert not bench.steps


CORNERS = [(20.0, 20.0), (80.0, 20.0), (80.0, 70.0), (20.0, 70.0)]


def inside(shape, corners):
    rect, where = polygon_mask(corners, shape)
    found = np.zeros(shape, bool)
    found[rect.slices] = where
    return found


@pytest.mark.parametrize("how", ["enter", "first corner", "double click"])
def test_polygon_closes(qtbot, how):
    bench = make_bench(qtbot)
    bench.edit.choose_tool(Tool.POLYGON)
    for corner in CORNERS:
        bench.click(*corner)
    assert not bench.document.labels.any()
    if how == "enter":
        QTest.keyClick(bench.pane, Qt.Key.Key_Return)
    elif how == "first corner":
        bench.click(*CORNERS[0])
    else:
        QTest.mouseDClick(bench.pane, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, bench.at(*CORNERS[-1]))
    assert np.array_equal(bench.document.labels == CHAIR, inside((90, 120), CORNERS))
    assert bench.steps[0][0] == "Polygon: chair, 3\u202f000 px"


def test_backspace_shortens_the_polygon_and_escape_drops_it(qtbot):
    bench = make_bench(qtbot)
    bench.edit.choose_tool(Tool.POLYGON)
    for corner in [*CORNERS[:3], (5.0, 5.0)]:
        bench.click(*corner)
    QTest.keyClick(bench.pane, Qt.Key.Key_Backspace)
    QTest.keyClick(bench.pane, Qt.Key.Key_Return)
    assert np.array_equal(bench.document.labels == CHAIR, inside((90, 120), CORNERS[:3]))
    before = bench.document.labels.copy()
    for corner in CORNERS:
        bench.click(*corner)
    QTest.keyClick(bench.pane, Qt.Key.Key_Escape)
    QTest.keyClick(bench.pane, Qt.Key.Key_Return)
    assert np.array_equal(bench.document.labels, before)


def test_another_tool_drops_an_open_polygon(qtbot):
    bench = make_bench(qtbot)
    bench.edit.choose_tool(Tool.POLYGON)
    for corner in CORNERS:
        bench.click(*corner)
    bench.edit.choose_tool(Tool.PICK)
    bench.edit.choose_tool(Tool.POLYGON)
    before = bench.document.labels.copy()
    QTest.keyClick(bench.pane, Qt.Key.Key_Return)
    assert np.array_equal(bench.document.labels, before)


def test_lasso_fills_what_was_drawn_around(qtbot):
    bench = make_bench(qtbot)
    bench.edit.choose_tool(Tool.LASSO)
    bench.drag(CORNERS)
    assert np.array_equal(bench.document.labels == CHAIR, inside((90, 120), CORNERS))
    assert bench.steps[0][0].startswith("Lasso: chair, ")


def test_pick_takes_the_class_under_the_pointer(qtbot):
    bench = make_bench(qtbot)
    bench.document.labels[40:, :] = SOFA
    bench.edit.choose_tool(Tool.PICK)
    bench.click(10, 60)
    assert bench.tools.class_id == SOFA


def test_a_read_only_project_refuses_with_its_reason(qtbot):
    bench = make_bench(qtbot)
    bench.edit.set_locked("Another window has this project open.")
    with qtbot.waitSignal(bench.edit.refused) as said:
        bench.drag([(30, 40), (60, 40)])
    assert said.args == ["Another window has this project open."]
    assert not bench.document.labels.any()


def test_opening_another_image_keeps_the_current_stroke(qtbot):
    bench = make_bench(qtbot)
    bench.drag([(30, 40), (60, 40)], release=False)
    bench.edit.set_document(None)
    assert len(bench.steps) == 1
    assert bench.document.labels.any()


def test_losing_the_window_keeps_the_current_stroke(qtbot):
    bench = make_bench(qtbot)
    bench.drag([(30, 40), (60, 40)], release=False)
    bench.area.hide()
    assert len(bench.steps) == 1
    assert not bench.edit.busy


def test_a_stroke_may_stay_within_the_class_where_it_begins(studio: Studio, folder):
    studio.open(folder)
    document = studio.image.document
    studio.program.tools.set_diameter(20)
    studio.program.classes.choose(SOFA)
    studio.paint((60, 30), (70, 30))
    sofa = document.labels == SOFA
    studio.press(Qt.Key.Key_B, Qt.KeyboardModifier.ShiftModifier)
    assert studio.program.context["within_on"]
    studio.program.classes.choose(CHAIR)
    studio.paint((20, 30), (75, 30))
    assert np.array_equal(document.labels == SOFA, sofa)
    assert CHAIR in document.labels
    studio.press(Qt.Key.Key_E)
    studio.paint((65, 30), (20, 30))
    assert CHAIR in document.labels
    assert not document.labels[sofa].all()
    assert " over " in studio.steps()[-1]
    studio.press(Qt.Key.Key_B, Qt.KeyboardModifier.ShiftModifier)
    studio.press(Qt.Key.Key_B)
    studio.paint((20, 30), (75, 30))
    assert " over " not in studio.steps()[-1]


def test_shift_wheel_changes_the_brush_and_not_the_scale(qtbot):
    bench = make_bench(qtbot)
    before = bench.tools.diameter
    bench.wheel(60, 45, 1, Qt.KeyboardModifier.ShiftModifier)
    assert bench.tools.diameter > before
    bench.wheel(60, 45, -1, Qt.KeyboardModifier.ShiftModifier)
    assert bench.tools.diameter in (before, *STEPS)
    assert bench.view.fitted


@pytest.mark.parametrize("first", [*range(1, 60), 97, 640, 999, 1000])
def test_the_brush_grows_in_proportion_and_comes_back_to_the_same_sizes(first):
    """From 24 px to 8 px it took eight presses."""
    tools = ToolState()
    tools.set_diameter(first)
    sizes = [first]
    for _ in range(3):
        tools.scale_diameter(1)
        sizes.append(tools.diameter)
    assert all(one < other <= max(1.5 * one, one + 1) or one == other == 1000 for one, other in pairwise(sizes))
    for size in sizes[-2:0:-1]:
        if tools.diameter < 1000:
            tools.scale_diameter(-1)
            assert tools.diameter == size
    tools.set_diameter(24)
    tools.scale_diameter(-5)
    assert tools.diameter == 8
    tools.scale_diameter(-20)
    assert tools.diameter == 1


def test_alt_wheel_changes_the_overlay(qtbot):
    bench = make_bench(qtbot)
    before = bench.view.overlay.opacity
    bench.wheel(60, 45, 2, Qt.KeyboardModifier.AltModifier)
    assert bench.view.overlay.opacity == pytest.approx(before + 0.1)
    assert bench.view.fitted


def send_pen(bench, kind, point, *, pressure, eraser=False):
    pointer = QPointingDevice.PointerType.Eraser if eraser else QPointingDevice.PointerType.Pen
    device = QPointingDevice(
        "pen",
        7,
        QPointingDevice.DeviceType.Stylus,
        pointer,
        QPointingDevice.Capability.Position | QPointingDevice.Capability.Pressure,
        1,
        2,
    )
    at = QPointF(bench.at(*point))
    down = Qt.MouseButton.NoButton if kind == QEvent.Type.TabletRelease else Qt.MouseButton.LeftButton
    event = QTabletEvent(
        kind,
        device,
        at,
        QPointF(bench.pane.mapToGlobal(at)),
        pressure,
        0,
        0,
        0.0,
        0.0,
        0.0,
        Qt.KeyboardModifier.NoModifier,
        Qt.MouseButton.NoButton if kind == QEvent.Type.TabletMove else Qt.MouseButton.LeftButton,
        down,
    )
    QApplication.sendEvent(bench.pane, event)
    assert event.isAccepted()


def test_a_pen_paints_by_its_pressure_and_its_other_end_erases(qtbot):
    bench = make_bench(qtbot)
    bench.area.set_pen_pressure(True)
    bench.tools.set_diameter(20)
    send_pen(bench, QEvent.Type.TabletPress, (30, 40), pressure=0.5)
    # The mouse event that a system makes of the pen's must not paint a second time.
    QTest.mousePress(bench.pane, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, bench.at(100, 80))
    QTest.mouseRelease(bench.pane, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, bench.at(100, 80))
    send_pen(bench, QEvent.Type.TabletMove, (60, 40), pressure=0.5)
    send_pen(bench, QEvent.Type.TabletRelease, (60, 40), pressure=0.0)
    assert np.array_equal(bench.document.labels == CHAIR, stamped((90, 120), (30, 40), (60, 40), 10))
    assert len(bench.steps) == 1
    send_pen(bench, QEvent.Type.TabletPress, (30, 40), pressure=1.0, eraser=True)
    send_pen(bench, QEvent.Type.TabletMove, (60, 40), pressure=1.0, eraser=True)
    send_pen(bench, QEvent.Type.TabletRelease, (60, 40), pressure=0.0, eraser=True)
    assert not bench.document.labels.any()


def test_pressure_counts_once_the_setting_is_on(studio: Studio, folder, qtbot):
    studio.open(folder)
    studio.program.tools.set_diameter(20)
    studio.program.classes.choose(CHAIR)
    hand = SimpleNamespace(at=studio.point, pane=studio.view)

    def painted_by(y: int) -> int:
        for kind, pressure in ((QEvent.Type.TabletPress, 0.5), (QEvent.Type.TabletRelease, 0.0)):
            send_pen(hand, kind, (30, y), pressure=pressure)
        found = np.count_nonzero(studio.image.document.labels == CHAIR)
        studio.program.edit.undo()
        return found

    full = painted_by(30)
    dialog = SettingsDialog(studio.program.settings, studio.window)
    qtbot.addWidget(dialog)
    dialog.editors["canvas.pen_pressure"].click()
    assert painted_by(30) < full / 3
