"""Refining a box, and strokes that persuade."""

from __future__ import annotations

import numpy as np
import pytest

from deeplab_core.geometry import Box
from deeplab_core.refine import CRFParams, DenseCRF, refine_region, with_strokes
from tests.unit.core.refine.scenes import blob

PARAMS = CRFParams(gaussian_sxy=2, bilateral_sxy=8, bilateral_srgb=13, bilateral_compat=5)


def test_a_box_with_enough_context_is_the_whole_image_there() -> None:
    rgb, probabilities = blob(90, 110)
    whole = DenseCRF(rgb, PARAMS).refine(probabilities)
    box = Box.between(40, 30, 75, 60)
    part = refine_region(rgb, probabilities, box, PARAMS, margin=30)
    assert part.size == (30, 35)
    inside = whole[(slice(None), *box.slices)]
    assert np.abs(part.probabilities() - inside).mean() < 1e-3
    assert (part.labels() == inside.argmax(0)).mean() > 0.995


def test_a_box_as_large_as_the_image_is_the_image() -> None:
    rgb, probabilities = blob()
    whole = DenseCRF(rgb, PARAMS).refine(probabilities)
    part = refine_region(rgb, probabilities, Box.whole(rgb.shape), PARAMS)
    np.testing.assert_array_equal(part.probabilities(), whole)


def test_a_scribble_wins_the_object_that_a_sure_network_missed() -> None:
    """The network is certain that there is no disk; a short stroke on it, with reach, takes it up to its edge."""
    rgb, _ = blob(60, 60)
    probabilities = np.full((3, 60, 60), 1e-4, np.float32)
    probabilities[0] = 1.0 - 2e-4
    y, x = np.mgrid[:60, :60]
    disk = (y - 30) ** 2 + (x - 30) ** 2 < 20**2
    strokes = np.full((60, 60), 255, np.uint8)
    strokes[28:32, 20:41] = 1
    params = CRFParams(gaussian_sxy=2, gaussian_compat=2, bilateral_sxy=40, bilateral_srgb=20, bilateral_compat=8)
    box = Box(0, 0, 60, 60)
    clamped = refine_region(rgb, probabilities, box, params, clamp=strokes).labels()
    reached = refine_region(rgb, probabilities, box, params, clamp=strokes, reach=20).labels()
    assert ((clamped == 1) == disk).mean() < 0.75
    assert ((reached == 1) == disk).mean() > 0.97


def test_strokes_raise_their_class_and_keep_sums() -> None:
    _, probabilities = blob(20, 20)
    strokes = np.full((20, 20), 255, np.uint8)
    strokes[5, 5], strokes[15, 15] = 2, 0
    raised = with_strokes(probabilities, strokes, 4.0)
    np.testing.assert_allclose(raised.sum(axis=0), 1.0, atol=1e-5)
    assert raised[2, 5, 5] >= 0.69
    np.testing.assert_allclose(raised[:, 5, 19], probabilities[:, 5, 19], atol=2e-3)
    untouched = with_strokes(probabilities, np.full((20, 20), 255, np.uint8), 4.0)
    np.testing.assert_allclose(untouched, probabilities, atol=1e-6)


@pytest.mark.parametrize("box", [Box(0, 0, 4, 0), Box(0, 0, 99, 5), Box(0, -1, 5, 6)])
def test_a_box_outside_is_refused(box: Box) -> None:
    rgb, probabilities = blob(8, 8)
    with pytest.raises(ValueError, match="not within"):
        refine_region(rgb, probabilities, box, PARAMS)
