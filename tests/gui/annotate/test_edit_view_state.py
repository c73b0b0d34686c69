"""The verbs of looking, without a widget: what is kept, what is clamped, what survives a restart."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.controllers.annotate.edit import EditController, spaced
from app.controllers.annotate.view import MAX_SCALE, ViewState
from app.state.tools import ToolState
from app.viewmodels.annotate.panes import OverlayOptions, PaneKind
from tests.gui.canvas_fixture import CHAIR, make_bench


@given(
    x=st.floats(0, 4000),
    y=st.floats(0, 3000),
    factors=st.lists(st.floats(0.2, 5), min_size=1, max_size=8),
)
def test_zooming_in_keeps_the_point_and_the_limits(x, y, factors):
    view = ViewState()
    view.set_image_size(4000, 3000)
    view.set_fit_scale(0.3)
    for factor in factors:
        center, scale = view.center, view.scale
        view.zoom_at(x, y, factor)
        assert 0.3 * 0.25 <= view.scale <= MAX_SCALE
        before = ((x - center[0]) * scale, (y - center[1]) * scale)
        after = ((x - view.center[0]) * view.scale, (y - view.center[1]) * view.scale)
        if view.scale >= scale:  # zooming out may have to stop at the image's border
            assert after == pytest.approx(before, abs=1e-5)
        assert 0 <= view.center[0] <= 4000
        assert 0 <= view.center[1] <= 3000


def test_the_next_image_is_fitted_unless_the_view_is_kept():
    view = ViewState()
    view.set_image_size(400, 300)
    view.set_scale(3)
    view.set_image_size(400, 300)
    assert view.fitted
    view.toggle_keep()
    view.set_scale(3)
    view.center_on(10, 20)
    view.set_image_size(400, 300)
    assert (view.scale, view.center) == (3, (10, 20))
    view.set_image_size(500, 300)
    assert view.fitted


def test_a_region_comes_into_view_with_room_around_it_and_never_too_close():
    view = ViewState()
    view.set_image_size(4000, 3000)
    view.set_fit_scale(0.25)
    view.show_region(1000, 500, 400, 300)
    assert view.center == (1200, 650)
    assert view.scale == pytest.approx(0.25 * 4000 / 800)
    view.show_region(0, 0, 2500, 300)  # with its margins it is wider than the image
    assert view.fitted
    view.show_region(10, 10, 1, 1)
    assert view.scale == 8


def test_a_kind_that_is_toggled_twice_gives_the_earlier_one_back():
    view = ViewState()
    view.toggle_trimap()
    assert view.shows(PaneKind.BAND)
    view.toggle_errors()
    assert view.panes[0].kind is PaneKind.ERRORS
    view.toggle_errors()
    assert view.panes[0].kind is PaneKind.BAND
    view.toggle_trimap()
    assert view.panes[0].kind is not PaneKind.BAND


def test_layout_and_overlay_survive_a_restart():
    view = ViewState()
    view.set_layout("quad")
    view.set_kind(2, PaneKind.ERRORS)
    view.set_overlay(OverlayOptions(opacity=0.7, contours=False, hidden=frozenset({3, 5}), error_colors="kind"))
    view.set_split(0.25)
    again = ViewState()
    again.restore(json.loads(json.dumps(view.to_dict())))
    assert again.to_dict() == view.to_dict()
    assert again.overlay == view.overlay


@pytest.mark.parametrize(
    "damaged",
    [
        {},
        {"layout": "seven", "panes": "x", "overlay": 3},
        {"panes": [None, {"kind": "nothing", "split": "wide"}], "overlay": {"opacity": float("nan"), "hidden": [1, "a"]}},
    ],
)
def test_damaged_settings_keep_the_defaults(damaged):
    view = ViewState()
    view.restore(damaged)
    assert view.layout == ViewState().layout
    assert [pane.kind for pane in view.panes] == [pane.kind for pane in ViewState().panes]
    assert view.overlay.opacity == ViewState().overlay.opacity


def test_opacity_steps_stop_at_the_ends():
    view = ViewState()
    for _ in range(20):
        view.step_opacity(1)
    assert view.overlay.opacity == 1
    for _ in range(20):
        view.step_opacity(-1)
    assert view.overlay.opacity == 0


def test_verbs_without_an_image_say_so(qtbot):
    edit = EditController(ToolState())
    said = []
    edit.refused.connect(said.append)
    edit.begin_stroke(1, 1)
    edit.fill(1, 1)
    edit.lasso([(0, 0), (5, 0), (5, 5)])
    edit.pick(1, 1)
    edit.undo()
    assert said == ["Open an image first."] * 3


def test_every_change_is_emitted_once_with_its_rectangle(qtbot):
    bench = make_bench(qtbot)
    told = []
    bench.edit.changed.connect(told.append)
    bench.tools.set_diameter(1)
    bench.edit.begin_stroke(10.5, 20.5)
    bench.edit.commit_stroke()
    assert [(rect.x, rect.y, rect.width, rect.height) for rect in told] == [(10, 20, 1, 1)]
    assert bench.steps[0][0] == "Brush: chair, 1 px"
    assert bench.steps[0][1].changed_pixels == 1


def test_a_step_can_be_taken_back_by_its_patch(qtbot):
    bench = make_bench(qtbot)
    bench.edit.polygon([(10, 10), (50, 10), (50, 50)])
    title, patch = bench.steps[0]
    assert title.startswith("Polygon: chair, ")
    assert CHAIR in bench.document.labels
    bench.document.apply(patch.inverted())
    assert not bench.document.labels.any()
    assert not bench.document.provenance.any()


def test_thousands_are_set_apart_by_thin_spaces():
    assert [spaced(n) for n in (0, 999, 1204, 1234567)] == ["0", "999", "1\u202f204", "1\u202f234\u202f567"]
