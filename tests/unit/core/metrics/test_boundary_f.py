from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from deeplab_core import geometry
from deeplab_core.kernels import compiled
from deeplab_core.metrics.boundary_f import boundary_f, contour, csurka_f, mean_boundary_f, mean_csurka_f, perimeter

VOID = 255
masks = hnp.arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12)), fill=st.nothing())
pairs = st.tuples(st.integers(1, 11), st.integers(1, 11)).flatmap(
    lambda shape: st.tuples(*(hnp.arrays(np.uint8, shape, elements=st.sampled_from([0, 0, 1, 5, VOID]), fill=st.nothing()),) * 2)
)


@given(masks)
def test_the_contour_is_where_a_later_neighbour_differs(mask: np.ndarray) -> None:
    expected = np.zeros_like(mask)
    height, width = mask.shape
    for y, x in np.ndindex(mask.shape):
        later = [(y, x + 1), (y + 1, x), (y + 1, x + 1)]
        expected[y, x] = any(mask[p] != mask[y, x] for p in later if p[0] < height and p[1] < width)
    assert np.array_equal(contour(mask), expected)


@given(pairs, st.sampled_from([0.008, 0.15, 0.3]))
def test_boundary_f_equals_matching_by_dilation(case: tuple[np.ndarray, np.ndarray], ratio: float) -> None:
    truth, prediction = case
    labelled = truth != VOID
    theirs, ours = contour((truth == 1) & labelled), contour((prediction == 1) & labelled)
    radius = math.ceil(ratio * math.hypot(*truth.shape))
    yy, xx = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    disk = (yy**2 + xx**2 <= radius**2).astype(np.uint8)
    near_theirs, near_ours = (cv2.dilate(edge.astype(np.uint8), disk).astype(bool) for edge in (theirs, ours))
    if not ours.any() or not theirs.any():
        expected = float(ours.any() == theirs.any())
    else:
        precision, recall = (ours & near_theirs).sum() / ours.sum(), (theirs & near_ours).sum() / theirs.sum()
        expected = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    assert boundary_f(truth == 1, prediction == 1, labelled=labelled, ratio=ratio) == pytest.approx(expected)


def test_mean_boundary_f_runs_over_the_classes_of_the_truth() -> None:
    truth = np.zeros((30, 30), np.uint8)
    truth[10:20, 10:20] = 1
    assert mean_boundary_f(truth=truth, prediction=truth) == (1.0, 2)
    value, classes = mean_boundary_f(truth=truth, prediction=np.full_like(truth, 5))
    assert (value, classes) == (0.0, 2)
    assert math.isnan(mean_boundary_f(truth=np.full_like(truth, VOID), prediction=truth)[0])


@given(masks)
def test_the_perimeter_touches_another_class(mask: np.ndarray) -> None:
    expected = np.zeros_like(mask)
    height, width = mask.shape
    for y, x in np.ndindex(mask.shape):
        beside = [(y, x + 1), (y + 1, x), (y, x - 1), (y - 1, x)]
        expected[y, x] = mask[y, x] and any(not mask[p] for p in beside if 0 <= p[0] < height and 0 <= p[1] < width)
    assert np.array_equal(perimeter(mask), expected)


@given(pairs, st.sampled_from([0.0075, 0.11, 0.3]))
def test_csurka_f_equals_the_formula_over_all_pairs_of_pixels(case: tuple[np.ndarray, np.ndarray], ratio: float) -> None:
    truth, prediction = case
    labelled = truth != VOID
    theirs, ours = (np.argwhere(perimeter((labels == 1) & labelled)) for labels in (truth, prediction))
    limit = ratio * math.hypot(*truth.shape)

    def share(edge: np.ndarray, other: np.ndarray) -> float:
        if not len(edge) or not len(other):
            return 0.0
        return float(np.mean([np.sqrt(((pixel - other) ** 2).sum(axis=1)).min() < limit for pixel in edge]))

    precision, recall = share(ours, theirs), share(theirs, ours)
    expected = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    if not len(theirs) and not len(ours):
        expected = math.nan
    found = csurka_f(truth == 1, prediction == 1, labelled=labelled, ratio=ratio)
    assert found == pytest.approx(expected, nan_ok=True)


def test_golden_csurka_f_of_a_shifted_square() -> None:
    # 300 x 400: the diagonal is 500, so contours nearer than 3.75 px agree. Moved by three columns all do; by four, the two
    # upright sides of 20 px do not, but for the rows nearer than 3.75 px to the other's level sides: sqrt(d^2 + gap^2).
    truth, prediction = np.zeros((2, 300, 400), bool)
    truth[100:120, 100:140] = True
    prediction[100:120, 103:143] = True
    assert csurka_f(truth, prediction) == 1.0
    moved = np.roll(truth, 4, axis=1)
    # Perimeter: 2 * 40 + 2 * 18 = 116. Of the side that left the other square (20 px) nothing is near: the nearest true pixel is
    # 4 away. Of the side inside, rows 0..3 and 16..19 are within 3 px of the level sides.
    near = 116 - 20 - 12
    assert csurka_f(truth, moved) == pytest.approx(near / 116)


def test_a_class_that_fills_the_image_has_no_contour() -> None:
    full = np.zeros((10, 10), np.uint8)
    assert math.isnan(csurka_f(full == 0, full == 0))
    assert mean_csurka_f(truth=full, prediction=full)[1] == 0
    half = full.copy()
    half[:, 5:] = 1
    assert mean_csurka_f(truth=half, prediction=half) == (1.0, 2)
    assert mean_csurka_f(truth=full, prediction=half) == (0.0, 1)


def test_sizes_must_agree() -> None:
    with pytest.raises(ValueError, match="shape"):
        boundary_f(np.zeros((2, 3), bool), np.zeros((3, 2), bool))


@pytest.fixture
def compiled_always(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(compiled, "LARGE", 0)
    compiled.allow_compiled(True)
    yield
    compiled.allow_compiled(True)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("seed", range(12))
def test_the_compiled_contours_of_all_classes_equal_one_mask_per_class(compiled_always, seed: int, kind: type) -> None:
    random = np.random.default_rng(seed)
    shape, block = (int(random.integers(2, 60)), int(random.integers(2, 60))), int(random.integers(1, 9))
    ignore = int(np.iinfo(kind).max)
    maps = []
    for _ in "tp":
        squares = random.choice(np.array([0, 3, 7, ignore], kind), (60, 60), p=[0.5, 0.2, 0.2, 0.1])
        maps.append(np.kron(squares, np.ones((block, block), kind))[: shape[0], : shape[1]].astype(kind))
    truth, prediction = maps
    labelled, present = truth != ignore, [c for c in (0, 3, 7) if (truth == c).any()]
    for ratio in (0.01, 0.1, 0.5):
        davis = [boundary_f(truth == c, prediction == c, labelled=labelled, ratio=ratio) for c in present]
        csurka = [csurka_f(truth == c, prediction == c, labelled=labelled, ratio=ratio) for c in present]
        known = [score for score in csurka if not np.isnan(score)]
        found = mean_boundary_f(truth=truth, prediction=prediction, ignore=ignore, ratio=ratio)
        assert found == (pytest.approx(np.mean(davis)) if davis else pytest.approx(np.nan, nan_ok=True), len(davis))
        found = mean_csurka_f(truth=truth, prediction=prediction, ignore=ignore, ratio=ratio)
        assert found == (pytest.approx(np.mean(known)) if known else pytest.approx(np.nan, nan_ok=True), len(known))


def test_contours_across_strips_are_those_of_the_whole_map(compiled_always, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(1)
    truth, prediction = (np.kron(random.integers(0, 4, (9, 9)), np.ones((5, 5))).astype(np.uint8) for _ in "tp")
    whole = mean_boundary_f(truth=truth, prediction=prediction), mean_csurka_f(truth=truth, prediction=prediction)
    monkeypatch.setattr(geometry, "_STRIP_PX", 45 * 2)
    assert (mean_boundary_f(truth=truth, prediction=prediction), mean_csurka_f(truth=truth, prediction=prediction)) == whole
