from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.state.document import Document
from app.state.edits import StrokeSession, fill_patch
from app.state.live_evaluation import LiveEvaluation, count_image, folder_mean_text
from app.state.patch import PatchRecorder, TilePatch, diff_patch
from app.state.provenance import Provenance
from deeplab_core.analysis import FolderAnalysis
from deeplab_core.analysis.record import band_name
from deeplab_core.catalogs.catalog import IGNORE, ClassCatalog, ClassInfo
from deeplab_core.errors import CatalogError, MaskFormatError
from deeplab_core.geometry import Box
from deeplab_core.metrics import ConfusionMatrix
from deeplab_core.metrics.trimap import band_map
from deeplab_core.metrics.trimap_histogram import BandHistogram

CATALOG = ClassCatalog(
    name="rooms", title="Rooms", classes=tuple(ClassInfo(i, f"class {i}", (i, 9 * i, 200)) for i in (4, 0, 11)), background=0
)
VALUES = [4, 0, 11, IGNORE]
SHAPE = 70, 150  # tiles of 64 px and smaller ones at both borders
RULES = [("void", "truth"), ("edge", "truth"), ("edge", "prediction")]


def test_a_folder_mean_says_its_classes_and_what_it_is_without_invented_ones():
    counts = np.zeros((3, 4), dtype=np.int64)
    counts[0, 0], counts[1, 1], counts[1, 2] = 10, 9, 1
    assert folder_mean_text(ConfusionMatrix(CATALOG, counts)) == "63.3 over 3 classes (95.0 over the 2 in the ground truth)"
    counts[1, 2] = 0
    assert folder_mean_text(ConfusionMatrix(CATALOG, counts)) == "100.0 over 2 classes"


def scene(seed: int) -> tuple[np.ndarray, Document]:
    rng = np.random.default_rng(seed)
    truth = np.kron(rng.choice(VALUES, (7, 10)), np.ones((10, 15))).astype(np.uint8)
    return truth, Document(np.where(rng.random(SHAPE) < 0.1, rng.choice(VALUES, SHAPE), truth).astype(np.uint8), CATALOG)


def assert_as_from_scratch(live: LiveEvaluation) -> None:
    truth, labels = live.truth, live.document.labels
    assert live.matrix == ConfusionMatrix(CATALOG).update(truth=truth, prediction=labels)
    for rule, around in RULES:
        index = band_map(truth=truth, prediction=labels, rule=rule, around=around)
        assert np.array_equal(live.band(rule, around), index)
        expected = BandHistogram(CATALOG, rule=rule, around=around).update(index=index, truth=truth, prediction=labels)
        assert live.histogram(rule, around) == expected
        assert live.histogram(rule, around).total() == live.matrix


rects = st.tuples(st.integers(0, 149), st.integers(0, 69), st.integers(1, 60), st.integers(1, 60)).map(
    lambda r: Box(*r).clipped(SHAPE)
)
points = st.tuples(st.floats(-10, 160), st.floats(-10, 80))
steps = st.lists(
    st.one_of(
        st.tuples(st.just("paint"), st.lists(rects, min_size=1, max_size=3), st.sampled_from(VALUES)),
        st.tuples(st.just("stroke"), st.lists(points, min_size=1, max_size=4), st.sampled_from(VALUES), st.integers(1, 40)),
        st.tuples(st.just("abort"), st.lists(points, min_size=1, max_size=3), st.sampled_from(VALUES)),
        st.tuples(st.just("fill"), points, st.sampled_from(VALUES)),
        st.tuples(st.just("model"), st.integers(0, 3)),
        st.tuples(st.just("undo")),
        st.tuples(st.just("redo")),
    ),
    max_size=7,
)


@given(st.integers(0, 5), steps, st.sets(st.sampled_from(RULES)))
@settings(max_examples=60)
def test_live_figures_equal_a_recomputation_after_any_history(seed: int, history: list, early: set) -> None:
    truth, document = scene(seed)
    live = LiveEvaluation(truth, document)
    for rule, around in early:  # built now, these must follow every step; the others are built at the end
        live.histogram(rule, around)
    done: list[TilePatch] = []
    undone: list[TilePatch] = []
    for step in history:
        match step:
            case ("stroke", path, value, diameter):
                stroke = StrokeSession(document, value=value, diameter=diameter)
                stroke.extend(path)
                done.append(stroke.commit())
                undone.clear()
            case ("abort", path, value):
                stroke = StrokeSession(document, value=value, diameter=25)
                stroke.extend(path)
                stroke.abort()
            case ("fill", point, value):
                done.append(fill_patch(document, *point, value))
                document.apply(done[-1])
                undone.clear()
            case ("paint", boxes, value):
                recorder = PatchRecorder(document.labels, document.provenance)
                for rect in boxes:
                    recorder.touch(rect)
                    disk = np.hypot(*np.ogrid[-1 : 1 : rect.height * 1j, -1 : 1 : rect.width * 1j]) <= 1
                    document.paint(rect, disk, value, Provenance.USER)
                done.append(recorder.finish())
                undone.clear()
            case ("model", other):
                labels = scene(other)[1].labels
                done.append(diff_patch(document.labels, document.provenance, labels, document.provenance))
                document.apply(done[-1])
                undone.clear()
            case ("undo",) if done:
                undone.append(done.pop())
                document.apply(undone[-1].inverted())
            case ("redo",) if undone:
                done.append(undone.pop())
                document.apply(done[-1])
    assert_as_from_scratch(live)


def test_the_band_around_the_truth_is_kept_and_the_one_around_the_prediction_is_made_again() -> None:
    truth, document = scene(1)
    live = LiveEvaluation(truth, document)
    around_truth, around_prediction = live.band("edge"), live.band("edge", "prediction")
    document.paint(Box(20, 20, 9, 9), np.ones((9, 9), bool), 11, Provenance.USER)
    assert live.band("edge") is around_truth
    assert live.band("edge", "prediction") is not around_prediction


@pytest.mark.parametrize("around", ["truth", "prediction"])
def test_a_count_made_by_a_job_is_taken_unless_a_change_has_overtaken_it(around) -> None:
    truth, document = scene(3)
    live = LiveEvaluation(truth, document, count_image(truth, document, "edge", around))
    assert live.has_band("edge", around)
    assert live.has_histogram("edge", around)
    assert_as_from_scratch(live)
    overtaken = count_image(truth, document, "edge", around)
    document.paint(Box(20, 20, 9, 9), np.ones((9, 9), bool), 11, Provenance.USER)
    later = LiveEvaluation(truth, document, overtaken)
    assert not later.adopt(overtaken)
    assert later.has_band("edge", around) is (around == "truth")  # the truth has not moved
    assert not later.has_histogram("edge", around)
    assert_as_from_scratch(later)
    assert later.adopt(count_image(truth, document, "edge", around))
    assert later.has_histogram("edge", around)
    assert_as_from_scratch(later)


def test_a_count_of_another_image_is_refused() -> None:
    truth, document = scene(3)
    live = LiveEvaluation(truth, document)
    smaller = Document(document.labels[:-1].copy(), document.catalog)
    with pytest.raises(ValueError, match="band index"):
        live.adopt(count_image(truth[:-1], smaller, "void"))
    with pytest.raises(MaskFormatError):
        count_image(truth[:-1], document, "void")


@given(st.integers(0, 1000), st.sampled_from([0.02, 0.5]), st.booleans())
def test_a_box_that_is_counted_as_a_whole_gives_the_figures_of_single_pixels(seed: int, density: float, bands: bool) -> None:
    truth, document = scene(seed)
    rng = np.random.default_rng(seed)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("app.state.live_evaluation._LARGE", 1)
        live = LiveEvaluation(truth, document)
        if bands:
            live.histogram("edge")
            live.histogram("void")
        for _ in range(3):
            where = rng.random((15, 20)) < density
            document.paint(Box(int(rng.integers(20)), int(rng.integers(20)), 20, 15), where, 11, Provenance.USER)
            assert_as_from_scratch(live)


@given(st.integers(0, 1000), st.lists(st.tuples(points, st.floats(60, 200)), min_size=2, max_size=6))
@settings(max_examples=40)
def test_a_large_brush_gives_the_figures_of_a_recomputation(seed: int, path: list) -> None:
    truth, document = scene(seed)
    live = LiveEvaluation(truth, document)
    live.histogram("edge")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("app.state.edits.stroke._LARGE", 1)
        stroke = StrokeSession(document, value=11, diameter=path[0][1])
        for point, diameter in path:
            stroke.diameter = diameter
            stroke.extend([point])
            assert_as_from_scratch(live)


def test_errors_are_the_wrong_and_the_missing_pixels() -> None:
    truth = np.array([[0, 4, IGNORE, 11]], np.uint8)
    live = LiveEvaluation(truth, Document(np.array([[0, 11, 4, IGNORE]], np.uint8), CATALOG))
    assert live.errors().tolist() == [[False, True, False, True]]


def test_a_closed_evaluation_keeps_its_last_figures() -> None:
    truth, document = scene(2)
    live = LiveEvaluation(truth, document)
    kept = live.matrix.copy()
    live.close()
    document.paint(Box(0, 0, 50, 50), np.ones((50, 50), bool), 11, Provenance.USER)
    assert live.matrix == kept
    live.close()


def test_truth_of_another_size_or_catalog_is_refused() -> None:
    truth, document = scene(0)
    with pytest.raises(MaskFormatError, match=r"70 x 150 px, the image 150 x 70 px"):
        LiveEvaluation(truth.T, document)
    with pytest.raises(CatalogError, match="77"):
        LiveEvaluation(np.full(SHAPE, 77, np.uint8), document)


def test_the_truth_is_copied_and_read_only() -> None:
    truth, document = scene(0)
    live = LiveEvaluation(truth, document)
    truth[:] = 0
    assert_as_from_scratch(live)
    with pytest.raises(ValueError, match="read-only"):
        live.truth[0, 0] = 0


def test_what_an_image_adds_to_a_folder_follows_every_stroke() -> None:
    truth, document = scene(1)
    live = LiveEvaluation(truth, document)
    folder = FolderAnalysis(CATALOG)
    folder.update("a", live.record("edge", "truth"))
    assert folder.matrix == live.matrix
    assert folder.measured(band_name("edge")) == 0  # not counted yet
    histogram = live.histogram("edge")
    folder.update("a", live.record("edge", "truth"))
    assert folder.band("edge") == histogram
    document.apply(fill_patch(document, 3, 3, int(CATALOG.ids[0])))
    folder.update("a", live.record("edge", "truth"))
    assert folder.matrix == ConfusionMatrix(CATALOG).update(truth=truth, prediction=document.labels)
    assert folder.band("edge").total() == folder.matrix


def test_marked_pixels_are_in_no_figure_and_make_no_band_of_their_own() -> None:
    truth, document = scene(3)
    exclude = np.zeros(SHAPE, dtype=bool)
    exclude[20:40, 30:90] = True
    live = LiveEvaluation(truth, document, exclude=exclude)
    scored = np.where(exclude, IGNORE, truth).astype(np.uint8)

    def check() -> None:
        labels = document.labels
        assert live.matrix == ConfusionMatrix(CATALOG).update(truth=scored, prediction=labels)
        for rule, around in RULES:
            index = band_map(truth=truth, prediction=labels, rule=rule, around=around)  # around the truth as it is
            assert np.array_equal(live.band(rule, around), index)
            expected = BandHistogram(CATALOG, rule=rule, around=around).update(index=index, truth=scored, prediction=labels)
            assert live.histogram(rule, around) == expected
        assert not live.errors()[exclude].any()
        assert np.array_equal(live.truth, truth)

    check()
    document.apply(fill_patch(document, 50.0, 30.0, 4))
    stroke = StrokeSession(document, value=11, diameter=31)
    stroke.extend([(10.0, 10.0), (80.0, 60.0)])
    stroke.commit()
    check()
    count = count_image(truth, document, "edge", exclude=exclude)
    taken = LiveEvaluation(truth, document, count, exclude=exclude)
    assert taken.matrix == live.matrix
    assert taken.histogram("edge") == live.histogram("edge")
