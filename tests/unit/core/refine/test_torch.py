"""The torch engine gives what the native one gives."""

from __future__ import annotations

import numpy as np
import pytest

from deeplab_core.errors import Cancelled
from deeplab_core.refine import CRFParams, DenseCRF
from tests.unit.core.refine.scenes import blob

PARAMS = CRFParams(bilateral_sxy=30, bilateral_srgb=13, bilateral_compat=6)


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
@pytest.mark.parametrize("normalization", ["symmetric", "after"])
def test_equal_to_the_native_engine(normalization: str, device: str) -> None:
    params = CRFParams(bilateral_sxy=30, bilateral_srgb=13, bilateral_compat=6, normalization=normalization)  # type: ignore[arg-type]
    rgb, probabilities = blob(50, 64, classes=6)
    native = DenseCRF(rgb, params, prune=False).refine(probabilities)
    other = DenseCRF(rgb, params, engine="torch", device=device, prune=False).refine(probabilities)
    np.testing.assert_allclose(other, native, atol=1e-4)


def test_strokes_and_cancelling() -> None:
    rgb, probabilities = blob(30, 40)
    strokes = np.full((30, 40), 255, np.uint8)
    strokes[10, 5:30] = 2
    crf = DenseCRF(rgb, PARAMS, engine="torch", device="cpu")
    native = DenseCRF(rgb, PARAMS).marginals(probabilities, clamp=strokes)
    np.testing.assert_array_equal(crf.marginals(probabilities, clamp=strokes).labels(), native.labels())
    with pytest.raises(Cancelled):
        crf.refine(probabilities, cancel=lambda: True)
