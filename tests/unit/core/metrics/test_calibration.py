from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deeplab_core.errors import CatalogError
from deeplab_core.metrics.calibration import Calibration
from tests.unit.core.metrics.maps import GAPPED

IDS = [*GAPPED.ids.tolist(), GAPPED.ignore]


def scene(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth, prediction = (rng.choice(IDS, (7, 9)).astype(np.uint8) for _ in range(2))
    prediction = np.where(rng.random(truth.shape) < 0.5, truth, prediction)
    return truth, prediction, rng.integers(0, 256, truth.shape).astype(np.uint8)


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_ece_equals_the_paper(seed: int, bins: int) -> None:
    truth, prediction, level = scene(seed)
    counted = (truth != GAPPED.ignore) & (prediction != GAPPED.ignore)
    right, sure = (truth == prediction)[counted], level[counted].astype(int)
    expected, worst = 0.0, 0.0
    for b in range(bins):
        # b / bins < level / 255 <= (b + 1) / bins in whole numbers
        inside = (sure * bins > 255 * b) & (sure * bins <= 255 * (b + 1)) | ((b == 0) & (sure == 0))
        if inside.any():
            gap = abs(right[inside].mean() - (sure[inside] / 255).mean())
            expected += inside.mean() * gap
            worst = max(worst, gap)
    found = Calibration(GAPPED).update(truth=truth, prediction=prediction, confidence=level)
    assert found.total == counted.sum()
    assert found.bins(bins).ece == pytest.approx(expected)
    assert found.bins(bins).mce == pytest.approx(worst)
    assert found.mean_confidence == pytest.approx((sure / 255).mean())
    assert found.accuracy == pytest.approx(right.mean())


def test_bins_of_classes_add_up_and_images_pool() -> None:
    whole, pooled = Calibration(GAPPED), Calibration(GAPPED)
    for seed in range(3):
        truth, prediction, level = scene(seed)
        whole.update(truth=truth, prediction=prediction, confidence=level)
        pooled += Calibration(GAPPED).update(truth=truth, prediction=prediction, confidence=level)
    np.testing.assert_array_equal(whole.counts, pooled.counts)
    by_class = np.sum([whole.bins(10, channel).pixels for channel in range(4)], axis=0)
    np.testing.assert_array_equal(by_class, whole.bins(10).pixels)
    figures = whole.to_dict()
    assert figures["ece"] == whole.bins().ece
    assert len(figures["bins"]) == 15
    assert set(figures["classes"]) == set(GAPPED.names)


def test_a_calibrated_model_has_no_error_and_an_empty_one_no_figure() -> None:
    truth = np.full((10, 10), 7, np.uint8)
    prediction = truth.copy()
    prediction[:2] = 0
    level = np.full((10, 10), 204, np.uint8)  # 80 %
    assert Calibration(GAPPED).update(truth=truth, prediction=prediction, confidence=level).bins().ece == pytest.approx(0)
    empty = Calibration(GAPPED)
    assert math.isnan(empty.bins().ece)
    assert math.isnan(empty.bins().mce)
    assert math.isnan(empty.mean_confidence)
    assert empty.to_dict()["ece"] is None


def test_bad_input_is_refused() -> None:
    truth, prediction, level = scene(1)
    calibration = Calibration(GAPPED)
    with pytest.raises(ValueError, match="uint8 confidence"):
        calibration.update(truth=truth, prediction=prediction, confidence=level[1:])
    with pytest.raises(ValueError, match="uint8 confidence"):
        calibration.update(truth=truth, prediction=prediction, confidence=level / 255)
    with pytest.raises(CatalogError, match="99"):
        calibration.update(truth=truth, prediction=np.full_like(truth, 99), confidence=level)
    with pytest.raises(ValueError, match="bins"):
        calibration.bins(0)
    assert calibration.total == 0
