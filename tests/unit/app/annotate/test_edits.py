"""Strokes, fills and polygons on a document: what they write, how they are undone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.state.document import Document
from app.state.edits import EditLimits, StrokeSession, eraser_value, fill_patch, polygon_patch
from app.state.edits.limits import edit_limits
from app.state.patch import TilePatch
from app.state.provenance import Provenance
from app.state.tools import BandMode, ToolState
from deeplab_core.catalogs.catalog import ClassCatalog, ClassInfo
from deeplab_core.errors import AtrousError
from deeplab_core.geometry import Box

CLASSES = tuple(ClassInfo(i, f"class {i}", (i, i, i)) for i in range(8))
CATALOG = ClassCatalog("eight", "Eight", CLASSES, background=0)
WIDE = ClassCatalog("wide", "Wide", tuple(ClassInfo(i, f"class {i}", (0, 0, 0)) for i in range(300)))
SHAPE = (150, 211)

coordinate = st.floats(-20, 230, allow_nan=False)
path = st.lists(st.tuples(coordinate, coordinate), min_size=1, max_size=6)


def make_document(seed=0, catalog=CATALOG, shape=SHAPE, reference=True):
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 8, size=(shape[0] // 16 + 1, shape[1] // 16 + 1))
    labels = np.kron(coarse, np.ones((16, 16), int))[: shape[0], : shape[1]].astype(catalog.dtype)
    provenance = rng.integers(0, 5, size=shape).astype(np.uint8)
    model = rng.integers(0, 8, size=shape).astype(catalog.dtype) if reference else None
    return Document(labels, catalog, provenance, model)


def snapshot(document):
    return document.labels.tobytes(), document.provenance.tobytes()


def stroke(document, points, **kwargs):
    session = StrokeSession(document, **kwargs)
    session.begin(*points[0])
    session.extend(points[1:])
    return session


def naive_stroke(shape, points, diameter):
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    nearest = np.full(shape, np.inf)
    for a, b in zip(points[:1] + points, points, strict=False):
        ab = np.subtract(b, a)
        squared = float(ab @ ab)
        t = 0.0 if squared == 0 else np.clip(((x - a[0]) * ab[0] + (y - a[1]) * ab[1]) / squared, 0, 1)
        nearest = np.minimum(nearest, np.hypot(x - a[0] - t * ab[0], y - a[1] - t * ab[1]))
    return nearest - diameter / 2


@given(path, st.integers(2, 90), st.sampled_from([CATALOG, WIDE]))
def test_a_stroke_paints_within_its_radius_and_is_undone_byte_for_byte(points, diameter, catalog):
    document = make_document(catalog=catalog)
    before = snapshot(document)
    old = document.labels.copy()
    patch = stroke(document, points, value=3, diameter=diameter).commit()
    after = snapshot(document)

    rim = naive_stroke(SHAPE, points, diameter)
    clear = np.abs(rim) > 1e-6
    assert np.array_equal(document.labels[clear], np.where(rim <= 0, 3, old)[clear])
    assert patch.changed_pixels == np.count_nonzero(document.labels != old)

    patch = TilePatch.from_bytes(patch.to_bytes())
    document.apply(patch.inverted())
    assert snapshot(document) == before
    document.apply(patch)
    assert snapshot(document) == after


@given(path, st.integers(1, 90), st.booleans())
def test_abort_restores_every_byte(points, diameter, restore):
    document = make_document()
    before = snapshot(document)
    session = stroke(document, points, value=None if restore else 5, diameter=diameter)
    session.abort()
    assert snapshot(document) == before
    assert not session.active


@given(path, st.integers(1, 90))
def test_restore_writes_the_prediction_with_the_models_provenance(points, diameter):
    document = make_document()
    old_labels, old_provenance = document.labels.copy(), document.provenance.copy()
    mark = Document.blank(SHAPE, CATALOG)
    stroke(mark, points, value=1, diameter=diameter)
    where = mark.labels == 1
    stroke(document, points, value=None, diameter=diameter).commit()
    assert np.array_equal(document.labels, np.where(where, document.reference, old_labels))
    assert np.array_equal(document.provenance, np.where(where, Provenance.MODEL, old_provenance))


@pytest.mark.parametrize("at", [(5.0, 7.0), (5.01, 7.99), (5.5, 7.5), (5.999, 7.0)])
def test_diameter_one_paints_exactly_the_pixel_under_the_point(at):
    document = Document.blank((20, 20), CATALOG)
    patch = stroke(document, [at], value=2, diameter=1).commit()
    assert np.argwhere(document.labels == 2).tolist() == [[7, 5]]
    assert patch.changed_pixels == 1
    assert np.argwhere(document.provenance == Provenance.USER).tolist() == [[7, 5]]


def test_a_thin_line_is_one_pixel_wide():
    document = Document.blank((1000, 1000), CATALOG)
    stroke(document, [(0.5, 0.5), (999.5, 400.5)], value=2, diameter=1).commit()
    assert np.count_nonzero(document.labels == 2) == 1000
    assert (np.count_nonzero(document.labels == 2, axis=0) == 1).all()


def test_pieces_of_a_stroke_make_the_same_pixels_as_the_whole():
    points = [(10.3, 12.7), (90.1, 44.4), (91.0, 120.9), (20.0, 100.0)]
    whole, pieces = make_document(), make_document()
    stroke(whole, points, value=4, diameter=15).commit()
    session = StrokeSession(pieces, value=4, diameter=15)
    session.begin(*points[0])
    for point in points[1:]:
        session.extend([point, point])
    session.commit()
    assert snapshot(whole) == snapshot(pieces)


sized = st.lists(st.tuples(coordinate, coordinate, st.floats(40, 160)), min_size=2, max_size=6)


@given(sized, st.sampled_from([3, None]), st.sampled_from([EditLimits(), EditLimits(over=frozenset({1, 2, 5}))]), st.booleans())
def test_a_large_brush_paints_only_what_is_new_and_the_same_pixels(points, value, limits, locks):
    """Also with another diameter for each segment, limits, and locked classes."""
    documents = make_document(), make_document()
    for document, large in zip(documents, (30, np.inf), strict=True):
        document.locks.ids = frozenset({4, 6} if locks else ())
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr("app.state.edits.stroke._LARGE", large)
            session = StrokeSession(document, value=value, diameter=points[0][2], limits=limits)
            for x, y, diameter in points:
                session.diameter = diameter
                session.extend([(x, y)])
            patch = session.commit()
    assert snapshot(documents[0]) == snapshot(documents[1])
    documents[0].apply(patch.inverted())
    assert snapshot(documents[0]) == snapshot(make_document())


def test_a_large_brush_covers_again_what_something_else_changed_below_it():
    document = Document.blank((400, 400), CATALOG)
    session = StrokeSession(document, value=2, diameter=300)
    session.begin(200, 200)
    document.paint(Box(190, 190, 20, 20), np.ones((20, 20), bool), 5, Provenance.MODEL)
    session.extend([(201, 200)])
    assert (document.labels[190:210, 190:210] == 2).all()


def test_a_stroke_that_changes_nothing_gives_an_empty_patch():
    document = Document.blank((64, 64), CATALOG)
    stroke(document, [(30, 30)], value=2, diameter=9).commit()
    assert stroke(document, [(30, 30)], value=2, diameter=9).commit().empty
    assert stroke(document, [(-300, 30)], value=2, diameter=9).commit().empty


def test_painting_the_same_class_over_a_models_pixels_is_a_persons_word():
    document = Document(np.zeros((64, 64), np.uint8), CATALOG, np.full((64, 64), Provenance.MODEL, np.uint8))
    patch = stroke(document, [(30, 30)], value=0, diameter=9).commit()
    assert not patch.empty
    assert patch.changed_pixels == 0
    assert document.provenance[30, 30] == Provenance.USER


@given(path, st.integers(1, 60), st.frozensets(st.integers(0, 7), max_size=4))
def test_a_protected_class_is_not_overwritten(points, diameter, only):
    document = make_document()
    old = document.labels.copy()
    stroke(document, points, value=3, diameter=diameter, limits=EditLimits(only)).commit()
    changed = old != document.labels
    assert set(old[changed].tolist()) <= only


@given(path, st.integers(1, 60), st.booleans())
def test_pixels_outside_of_a_part_are_not_changed(points, diameter, painting):
    document = make_document()
    old, sources = document.labels.copy(), document.provenance.copy()
    part = np.random.default_rng(3).random(SHAPE) < 0.3
    limits = EditLimits(part=part)
    if painting:
        stroke(document, points, value=3, diameter=diameter, limits=limits).commit()
    else:
        document.apply(fill_patch(document, *points[0], 7, limits=limits))
    assert not ((old != document.labels) & ~part).any()
    assert np.array_equal(document.provenance[~part], sources[~part])


def test_limits_of_class_and_band_add_up():
    document = make_document()
    tools = ToolState(3)
    band = np.zeros(SHAPE, bool)
    band[:40] = True
    here = int(document.labels[5, 5])
    other = next(value for value in range(8) if value != here)
    assert edit_limits(document, tools, None).none
    tools.set_over(frozenset({other}))
    assert edit_limits(document, tools, None).over == {other}
    assert edit_limits(document, tools, None, (5, 5)).over == {other}
    assert edit_limits(document, tools, None, (5, 5), whole=True).reason is not None
    tools.within = True
    assert edit_limits(document, tools, None, (5, 5)).reason is not None
    tools.set_over(frozenset({here, other}))
    assert edit_limits(document, tools, None, (5, 5)).over == {here}
    tools.toggle_band(BandMode.OUTSIDE)
    assert edit_limits(document, tools, None).reason is not None
    found = edit_limits(document, tools, band, (5, 5))
    assert found.over == {here}
    assert np.array_equal(found.part, ~band)
    tools.toggle_band(BandMode.INSIDE)
    assert np.array_equal(edit_limits(document, tools, band).part, band)
    tools.toggle_band(BandMode.INSIDE)
    assert edit_limits(document, tools, band).part is None


def test_a_finished_stroke_takes_no_more_points():
    document = make_document()
    session = stroke(document, [(5, 5)], value=3, diameter=4)
    session.commit()
    with pytest.raises(RuntimeError):
        session.extend([(9, 9)])
    with pytest.raises(RuntimeError):
        session.commit()


def test_restore_without_a_prediction_says_what_to_do():
    with pytest.raises(AtrousError, match="Run a model"):
        StrokeSession(make_document(reference=False), value=None, diameter=4)


def test_the_eraser_paints_background_or_void():
    assert eraser_value(CATALOG) == 0
    assert eraser_value(ClassCatalog("none", "None", CLASSES)) == 255
    assert eraser_value(WIDE) == 65535


def naive_fill(labels, column, row):
    seen, todo = np.zeros(labels.shape, dtype=bool), [(row, column)]
    while todo:
        r, c = todo.pop()
        inside = 0 <= r < labels.shape[0] and 0 <= c < labels.shape[1]
        if inside and not seen[r, c] and labels[r, c] == labels[row, column]:
            seen[r, c] = True
            todo += [(r + 1, c), (r - 1, c), (r, c + 1), (r, c - 1)]
    return seen


@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.integers(1, 30), st.sampled_from([CATALOG, WIDE]))
def test_fill_takes_the_4_connected_region_of_equal_label(seed, height, width, catalog):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, size=(height, width)).astype(catalog.dtype)
    document = Document(labels.copy(), catalog)
    column, row = int(rng.integers(width)), int(rng.integers(height))
    patch = fill_patch(document, column + 0.3, row + 0.9, 6)
    assert np.array_equal(document.labels, labels)  # not applied yet
    document.apply(patch)
    assert np.array_equal(document.labels, np.where(naive_fill(labels, column, row), 6, labels))
    document.apply(patch.inverted())
    assert np.array_equal(document.labels, labels)


def test_fill_outside_the_image_or_with_nothing_to_do_is_empty():
    document = make_document()
    assert fill_patch(document, -1, 5, 3).empty
    assert fill_patch(document, 5, 1000, 3).empty
    document.apply(fill_patch(document, 5, 5, 3))
    assert fill_patch(document, 5, 5, 3).empty


def test_a_polygon_paints_its_inside_and_spares_protected_classes():
    document = make_document()
    old = document.labels.copy()
    patch = polygon_patch(document, [(10.0, 10.0), (120.0, 15.0), (60.0, 140.0)], 7, limits=EditLimits(frozenset({1, 2})))
    document.apply(patch)
    changed = old != document.labels
    assert set(old[changed].tolist()) == {1, 2}
    assert set(document.labels[changed].tolist()) == {7}
    assert (document.provenance[changed] == Provenance.USER).all()
    assert polygon_patch(document, [(1.0, 1.0), (2.0, 2.0)], 7).empty
