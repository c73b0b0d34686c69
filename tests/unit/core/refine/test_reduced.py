"""Above the memory bound: a smaller scale, said so, and nearly the same labels."""

from __future__ import annotations

import numpy as np

from deeplab_core.refine import CRFParams, DenseCRF
from deeplab_core.refine.reduced import needed_bytes, shrunk_strokes
from tests.unit.core.refine.scenes import blob

PARAMS = CRFParams(bilateral_sxy=30, bilateral_srgb=13, bilateral_compat=6)


def test_exact_below_the_bound_and_close_above() -> None:
    rgb, probabilities = blob(150, 180, classes=4)
    whole = DenseCRF(rgb, PARAMS, memory_limit=needed_bytes(150 * 180, 4)).marginals(probabilities)
    assert whole.note == ""
    small = DenseCRF(rgb, PARAMS, memory_limit=needed_bytes(150 * 180, 4) // 4).marginals(probabilities)
    assert "for memory" in small.note
    assert small.size == (150, 180)
    np.testing.assert_allclose(small.probabilities().sum(axis=0), 1.0, atol=1e-5)
    assert (small.labels() == whole.labels()).mean() > 0.98
    assert (small.labels() == whole.labels()).mean() > (probabilities.argmax(0) == whole.labels()).mean()


def test_the_estimate_bounds_what_is_held() -> None:
    rgb, probabilities = blob(120, 160, classes=6)
    crf = DenseCRF(rgb, PARAMS, prune=False)
    marginals = crf.marginals(probabilities)
    terms = crf._terms(PARAMS)
    tables = sum(term.lattice.count for term in terms) * marginals.q.shape[1] * 4
    held = sum(term.lattice.nbytes for term in terms) + tables + 2 * marginals.q.nbytes
    assert held <= needed_bytes(120 * 160, 6)


def test_strokes_hold_at_the_smaller_scale() -> None:
    rgb, probabilities = blob(100, 120, classes=5)
    strokes = np.full((100, 120), 255, np.uint8)
    strokes[40:43, 20:90] = 4
    crf = DenseCRF(rgb, PARAMS, memory_limit=needed_bytes(100 * 120, 5) // 3)
    free, held = crf.marginals(probabilities), crf.marginals(probabilities, clamp=strokes)
    assert held.note
    assert (held.labels()[strokes == 4] == 4).all()
    assert (held.labels() == 4).sum() > (free.labels() == 4).sum()


def test_thin_strokes_survive_shrinking() -> None:
    strokes = np.full((90, 90), 255, np.uint8)
    strokes[10, 5:80] = 3
    strokes[50:60, 70] = 1
    small = shrunk_strokes(strokes, (30, 30), 255)
    assert set(np.unique(small)) == {1, 3, 255}
    assert (small[3, 2:26] == 3).all()


def test_strips_give_what_the_whole_gives() -> None:
    """Wide enough for several strips at both scales."""
    rgb, probabilities = blob(260, 700, classes=3)
    crf = DenseCRF(rgb, CRFParams(gaussian_sxy=4, bilateral_sxy=40, bilateral_srgb=20, iterations=3), memory_limit=1 << 22)
    marginals = crf.marginals(probabilities)
    assert marginals.note
    np.testing.assert_allclose(marginals.probabilities().sum(axis=0), 1.0, atol=1e-5)
    np.testing.assert_array_equal(marginals.labels(), marginals.probabilities().argmax(0))
