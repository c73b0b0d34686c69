from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from deeplab_core.metrics.boundary_iou import BoundaryIoU, boundary_width, inner_boundary
from tests.unit.core.metrics.maps import catalog_of

VOID = 255
ABC = catalog_of(0, 1, 5)
masks = hnp.arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12)), fill=st.nothing())
pairs = st.tuples(st.integers(1, 11), st.integers(1, 11)).flatmap(
    lambda shape: st.tuples(*(hnp.arrays(np.uint8, shape, elements=st.sampled_from([0, 0, 1, 5, VOID]), fill=st.nothing()),) * 2)
)


def eroded_boundary(mask: np.ndarray, width: int) -> np.ndarray:
    padded = np.pad(mask.astype(np.uint8), 1)
    return mask & ~cv2.erode(padded, np.ones((3, 3), np.uint8), iterations=width)[1:-1, 1:-1].astype(bool)


@given(masks, st.integers(1, 5))
def test_the_inner_boundary_is_what_erosion_takes(mask: np.ndarray, width: int) -> None:
    assert np.array_equal(inner_boundary(mask, width), eroded_boundary(mask, width))


@given(pairs)
def test_boundary_iou_equals_the_formula(case: tuple[np.ndarray, np.ndarray]) -> None:
    truth, prediction = case
    scores = BoundaryIoU(ABC, ratio=0.1).update(truth=truth, prediction=prediction).iou()
    width = max(1, round(0.1 * math.hypot(*truth.shape)))
    for class_id, score in zip((0, 1, 5), scores.tolist(), strict=True):
        theirs = eroded_boundary(truth == class_id, width)
        ours = eroded_boundary((prediction == class_id) & (truth != VOID), width)
        union = int((theirs | ours).sum())
        assert score == pytest.approx(int((theirs & ours).sum()) / union if union else math.nan, nan_ok=True)


@given(pairs)
def test_a_perfect_prediction_scores_one_and_images_pool(case: tuple[np.ndarray, np.ndarray]) -> None:
    truth, other = case
    present = {value for value in truth.ravel().tolist() if value != VOID}
    value, classes = BoundaryIoU(ABC).update(truth=truth, prediction=truth).mean()
    assert classes == len(present)
    assert value == pytest.approx(1 if present else math.nan, nan_ok=True)
    twice = BoundaryIoU(ABC).update(truth=truth, prediction=other).update(truth=truth, prediction=other)
    np.testing.assert_array_equal(twice.iou(), BoundaryIoU(ABC).update(truth=truth, prediction=other).iou())


def test_golden_boundary_iou_of_a_shifted_square() -> None:
    # A 10 x 10 square moved by one column; boundaries one pixel wide: 36 px each, of which the shared ones are two rows of
    # nine minus nothing (18) where the squares overlap; the columns do not meet.
    truth, prediction = np.zeros((2, 20, 20), np.uint8)
    truth[5:15, 5:15] = 1
    prediction[5:15, 6:16] = 1
    scores = BoundaryIoU(ABC, ratio=0.01).update(truth=truth, prediction=prediction).iou()
    assert scores[1] == pytest.approx(18 / (36 + 36 - 18))


def test_widths_of_the_authors() -> None:
    assert boundary_width((480, 640)) == 16
    assert boundary_width((1024, 2048), 0.005) == 11
    assert boundary_width((3, 3)) == 1
    with pytest.raises(ValueError, match="below 1"):
        inner_boundary(np.ones((3, 3), bool), 0)


def test_sizes_must_agree() -> None:
    with pytest.raises(ValueError, match="shape"):
        BoundaryIoU(ABC).update(truth=np.zeros((2, 3), np.uint8), prediction=np.zeros((3, 2), np.uint8))
    assert math.isnan(BoundaryIoU(ABC).mean()[0])
