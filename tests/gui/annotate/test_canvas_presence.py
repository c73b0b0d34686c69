"""Zoomed out, no region disappears: what lies between the samples of the screen is shown all the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PySide6.QtCore import QRect

from app.ui.canvas.colors import difference_colors, error_colors, overlay_tables, uncertainty_table
from app.ui.canvas.compose import Scene, compose
from app.ui.canvas.geometry import Mapping
from app.ui.canvas.layers import LayerSet, PictureSource
from app.ui.canvas.presence import Presence
from app.viewmodels.annotate.panes import OverlayOptions, PaneKind
from deeplab_core.catalogs.catalog import ClassCatalog, ClassInfo
from deeplab_core.geometry import Box
from tests.gui.canvas_fixture import make_bench

#: A class may be shown this many device px from its pixel: its cell may lie one aside, and so may the neighbour that shows it.
NEAR = 2


def catalog(count: int, *, wide: bool = False) -> ClassCatalog:
    classes = tuple(ClassInfo(i, f"class {i}", (i % 250 + 1, 255 - i % 250, 7 * i % 256)) for i in range(count))
    if wide:
        classes = (*classes, *(ClassInfo(i, f"class {i}", (9, 9, i % 256)) for i in range(count, 300)))
    return ClassCatalog("many", "Many", classes, background=0)


@st.composite
def views(draw: st.DrawFn) -> tuple[Mapping, np.random.Generator]:
    """An image that is zoomed out somehow, whole in its pane or cut by it."""
    width, height = draw(st.integers(8, 260)), draw(st.integers(8, 260))
    scale = draw(st.floats(0.02, 0.999))
    pane = (draw(st.integers(20, 300)), draw(st.integers(20, 300)))
    center = (width * draw(st.floats(0.2, 0.8)), height * draw(st.floats(0.2, 0.8)))
    return Mapping.centered(center, scale, pane, (width, height)), np.random.default_rng(draw(st.integers(0, 2**32)))


Islands = list[tuple[int, int, int]]  # row, column, class


def islands(rng: np.random.Generator, mapping: Mapping, classes: int, dtype: type) -> tuple[np.ndarray, Islands]:
    """Labels of two large regions, with single pixels that are apart in device px."""
    height, width = mapping.image_height, mapping.image_width
    labels = np.zeros((height, width), dtype)
    labels[:, rng.integers(0, width) :] = 1
    apart, found = (2 * NEAR + 2) / mapping.scale, []
    for _ in range(12):
        row, column = int(rng.integers(0, height)), int(rng.integers(0, width))
        if all(max(abs(row - r), abs(column - c)) > apart for r, c, _ in found):
            found.append((row, column, int(rng.integers(2, classes))))
    for row, column, class_id in found:
        labels[row, column] = class_id
    return labels, found


def scene_of(
    mapping: Mapping, labels: np.ndarray, names: ClassCatalog, presence: Presence | None = None, **more: object
) -> Scene:
    options = OverlayOptions(contours=False, opacity=0.5, error_colors="class")
    picture = PictureSource(np.full((*labels.shape, 3), 100, np.uint8))
    layers = LayerSet(picture, names, labels, labels, **more)
    return Scene(mapping, layers, overlay_tables(names, options), options, presence or Presence())


def device(mapping: Mapping, row: int, column: int) -> tuple[int, int]:
    """Device row and column over the middle of an image pixel."""
    y, x = (row + 0.5 - mapping.top) * mapping.scale, (column + 0.5 - mapping.left) * mapping.scale
    return int(np.floor(y)), int(np.floor(x))


def near(overlay: np.ndarray, picture: QRect, mapping: Mapping, row: int, column: int) -> np.ndarray | None:
    """What the screen shows around an image pixel; None outside the pane, and at its border, where half the cells are."""
    y, x = device(mapping, row, column)
    if not (0 < y < mapping.height - 1 and 0 < x < mapping.width - 1):
        return None
    y, x = y - picture.top(), x - picture.left()
    return overlay[max(y - NEAR, 0) : y + NEAR + 1, max(x - NEAR, 0) : x + NEAR + 1]


@given(views(), st.sampled_from([5, 12, 24, 70]), st.booleans())
@settings(max_examples=150, deadline=None)
def test_every_region_of_a_mask_is_seen_at_any_zoom(view, classes, wide):
    mapping, rng = view
    names = catalog(classes, wide=wide)
    labels, found = islands(rng, mapping, classes, names.dtype)
    scene, picture = scene_of(mapping, labels, names), mapping.picture_rect()
    overlay = compose(scene, PaneKind.MASK, picture)
    if overlay is None or min(overlay.shape) < 4:  # the large regions need a place too
        return
    for row, column, class_id in found:
        seen = near(overlay, picture, mapping, row, column)
        assert seen is None or (seen == scene.tables.fill[class_id]).any(), (row, column, class_id)


def test_sampling_alone_would_lose_them():
    names, mapping = catalog(5), Mapping.centered((50, 50), 0.1, (20, 20), (100, 100))
    labels = np.zeros((100, 100), np.uint8)
    labels[31, 62] = 3
    scene = scene_of(mapping, labels, names)
    assert 3 not in scene.sampled(labels, mapping.picture_rect())
    assert 3 in scene.labels(labels, mapping.picture_rect())


@pytest.mark.parametrize("scale", [0.9, 0.5, 0.26, 0.1, 0.03])
@pytest.mark.parametrize("across", [False, True])
def test_a_line_of_one_pixel_stays_a_line(scale, across):
    names, mapping = catalog(5), Mapping.centered((300, 300), scale, (600, 600), (600, 600))
    labels = np.zeros((600, 600), np.uint8)
    labels[217, 40:560] = 3
    labels = labels.T.copy() if across else labels
    shown = scene_of(mapping, labels, names).labels(labels, mapping.picture_rect())
    along = (shown == 3).any(axis=0 if not across else 1)
    seen = np.flatnonzero(along)
    assert len(seen) >= 520 * scale - 3
    assert (np.diff(seen) == 1).all()
    assert (shown == 3).sum(axis=0 if not across else 1).max() == 1


@given(views())
@settings(max_examples=80, deadline=None)
def test_every_error_is_seen_at_any_zoom(view):
    mapping, rng = view
    names = catalog(9)
    labels, found = islands(rng, mapping, 9, names.dtype)
    truth = labels.copy()
    for row, column, class_id in found:  # wrong by a class more or less: the mask itself is even there
        truth[row, column] = class_id % 7 + 2
        labels[row, column] = truth[row - 1 if row else 1, column] if class_id % 2 else class_id
    wrong = [(row, column) for row, column, _ in found if labels[row, column] != truth[row, column]]
    scene, picture = scene_of(mapping, labels, names, truth=truth), mapping.picture_rect()
    overlay = compose(scene, PaneKind.ERRORS, picture)
    kinds = compose(replace(scene, options=replace(scene.options, error_colors="kind")), PaneKind.ERRORS, picture)
    if overlay is None or kinds is None or min(overlay.shape) < 4:
        return
    for row, column in wrong:
        seen = near(overlay, picture, mapping, row, column)
        assert seen is None or (seen == scene.tables.wrong[labels[row, column]]).any(), (row, column)
        seen = near(kinds, picture, mapping, row, column)
        assert seen is None or np.isin(seen, list(error_colors().values())).any(), (row, column)


@given(views(), st.booleans())
@settings(max_examples=80, deadline=None)
def test_every_difference_of_two_models_is_seen_at_any_zoom(view, known):
    mapping, rng = view
    one, found = islands(rng, mapping, 9, np.uint8)
    other, truth, wanted = one.copy(), one.copy(), []
    for place, (row, column, class_id) in enumerate(found):
        other[row, column] = class_id + 1
        truth[row, column] = (class_id, class_id + 1, 0, 255)[place % 4]
        wanted.append(("first", "second", "neither", "unjudged")[place % 4] if known else "unjudged")
    names = catalog(12)
    more = {"models": (one, other), "pair": (0, 1), "truth": truth if known else None}
    scene, picture = scene_of(mapping, one, names, **more), mapping.picture_rect()
    overlay = compose(scene, PaneKind.DIFFERENCE, picture)
    if overlay is None or min(overlay.shape) < 4:
        return
    for (row, column, _), kind in zip(found, wanted, strict=True):
        seen = near(overlay, picture, mapping, row, column)
        assert seen is None or (seen == np.uint32(difference_colors()[kind])).any(), (row, column, kind)


@given(views())
@settings(max_examples=80, deadline=None)
def test_every_uncertain_pixel_is_seen_at_any_zoom(view):
    mapping, rng = view
    _, found = islands(rng, mapping, 9, np.uint8)
    confidence = np.full((mapping.image_height, mapping.image_width), 250, np.uint8)
    for row, column, _ in found:
        confidence[row, column] = 20
    scene = scene_of(mapping, np.zeros_like(confidence), catalog(5), confidence=confidence)
    picture = mapping.picture_rect()
    overlay = compose(scene, PaneKind.UNCERTAINTY, picture)
    if overlay is None:
        return
    for row, column, _ in found:
        seen = near(overlay, picture, mapping, row, column)
        assert seen is None or (seen == uncertainty_table()[20]).any(), (row, column)


@given(views(), st.integers(1, 8))
@settings(max_examples=80, deadline=None)
def test_a_band_thinner_than_a_screen_pixel_is_seen(view, width):
    mapping, rng = view
    labels = np.zeros((mapping.image_height, mapping.image_width), np.uint8)
    column = int(rng.integers(0, mapping.image_width))
    distance = np.abs(np.arange(mapping.image_width) - column) + 1
    band = np.broadcast_to(np.minimum(distance, 41).astype(np.uint8), labels.shape).copy()
    scene, picture = scene_of(mapping, labels, catalog(3), band=band, band_width=width), mapping.picture_rect()
    overlay = compose(scene, PaneKind.BAND, picture)
    outside = compose(replace(scene, layers=replace(scene.layers, band=np.full_like(band, 41))), PaneKind.BAND, picture)
    if overlay is None or outside is None:
        return
    x = device(mapping, 0, column)[1]
    if picture.left() + 1 <= x < picture.left() + picture.width() - 1:
        assert (overlay != outside[0, 0]).any(axis=1).all()


@given(views(), st.integers(0, 2**32))
@settings(max_examples=80, deadline=None)
def test_a_part_looks_like_the_same_part_of_the_whole(view, seed):
    mapping, rng = view
    names = catalog(12)
    labels = rng.integers(0, 12, (mapping.image_height, mapping.image_width)).astype(np.uint8)
    labels[rng.random(labels.shape) < 0.9] = 0
    truth = np.where(rng.random(labels.shape) < 0.02, 3, labels).astype(np.uint8)
    band = rng.integers(0, 42, labels.shape).astype(np.uint8)
    more = {"truth": truth, "band": band, "confidence": 6 * band, "models": (labels, truth), "pair": (0, 1)}
    scene, picture = scene_of(mapping, labels, names, **more), mapping.picture_rect()
    if picture.isEmpty():
        return
    scene = replace(scene, options=replace(scene.options, contours=True))
    draw = np.random.default_rng(seed)
    part = QRect(
        picture.left() + int(draw.integers(0, picture.width())), picture.top() + int(draw.integers(0, picture.height())), 9, 7
    )
    part &= picture
    grown = part.adjusted(-scene.reach, -scene.reach, scene.reach, scene.reach) & picture
    inner = part.translated(-grown.topLeft())
    outer = part.translated(-picture.topLeft())
    for kind in (PaneKind.MASK, PaneKind.ERRORS, PaneKind.BAND, PaneKind.UNCERTAINTY, PaneKind.DIFFERENCE):
        whole, cut = compose(scene, kind, picture), compose(scene, kind, grown)
        np.testing.assert_array_equal(
            cut[inner.top() : inner.top() + inner.height(), inner.left() : inner.left() + inner.width()],
            whole[outer.top() : outer.top() + outer.height(), outer.left() : outer.left() + outer.width()],
        )


@given(views(), st.integers(1, 40))
@settings(max_examples=60, deadline=None)
def test_a_change_in_place_is_followed(view, changes):
    """Also of classes that were not there before, more of them than the words had room for."""
    mapping, rng = view
    names, presence = catalog(80), Presence()
    labels = np.zeros((mapping.image_height, mapping.image_width), np.uint8)
    truth = labels.copy()
    scene, picture = scene_of(mapping, labels, names, presence, truth=truth), mapping.picture_rect()
    if picture.isEmpty():
        return
    for kind in (PaneKind.MASK, PaneKind.ERRORS):
        compose(scene, kind, picture)
    for step in range(changes):
        x, y = int(rng.integers(0, mapping.image_width)), int(rng.integers(0, mapping.image_height))
        rect = Box(x, y, min(3, mapping.image_width - x), min(2, mapping.image_height - y))
        labels[rect.slices] = 2 * step + 1
        presence.mark_changed(labels, [rect])
        if step % 9 == 4:
            compose(scene, PaneKind.ERRORS, picture)
    fresh = replace(scene, presence=Presence())
    sampled = scene.sampled(labels, picture)
    np.testing.assert_array_equal(scene.labels(labels, picture) != sampled, fresh.labels(labels, picture) != sampled)
    np.testing.assert_array_equal(scene.differing(labels, truth, picture)[1], fresh.differing(labels, truth, picture)[1])


def test_a_dot_that_is_painted_is_seen_and_gone_again(qtbot):
    """Through the window's own canvas: a dab of one pixel on an image that is shown at an eighth."""
    bench = make_bench(qtbot, 1600, 1200, pane=(200, 150))
    bench.tools.set_diameter(1)
    before = bench.pane.grab().toImage()
    bench.edit.begin_stroke(802.0, 603.0)
    bench.edit.commit_stroke()
    assert bench.document.labels.sum() == 1
    after = bench.pane.grab().toImage()
    assert after != before
    bench.edit.set_document(bench.document)
    bench.area.set_layers(bench.layers)
    assert bench.pane.grab().toImage() == after
    _title, patch = bench.steps[-1]
    bench.document.apply(patch.inverted())
    assert bench.pane.grab().toImage() == before


@pytest.mark.parametrize("scale", [0.7, 0.1])
def test_a_turned_view_of_a_mask_is_read_like_any_other(scale):
    names, mapping = catalog(5), Mapping.centered((50, 50), scale, (120, 120), (100, 100))
    labels = np.zeros((100, 100), np.uint8)
    labels[31, 62] = 3
    turned = labels[::-1, ::-1]
    scene = scene_of(mapping, turned, names)
    shown = scene.labels(turned, mapping.picture_rect())
    np.testing.assert_array_equal(shown, scene_of(mapping, turned.copy(), names).labels(turned.copy(), mapping.picture_rect()))
    assert 3 in shown


def test_hidden_classes_take_no_place():
    names, mapping = catalog(5), Mapping.centered((50, 50), 0.1, (20, 20), (100, 100))
    labels = np.ones((100, 100), np.uint8)
    labels[31, 62] = 3
    scene = scene_of(mapping, labels, names)
    scene = replace(scene, options=replace(scene.options, hidden=frozenset({3})))
    assert 3 not in scene.labels(labels, mapping.picture_rect())
