from __future__ import annotations

import math

import numpy as np
import pytest

from deeplab_core.errors import MaskFormatError
from deeplab_core.metrics import ConfusionMatrix, bootstrap
from deeplab_core.metrics.bootstrap import Samples, interval, intervals
from deeplab_core.metrics.boundary_iou import BoundaryIoU
from deeplab_core.metrics.image_counts import ImageCounts
from deeplab_core.metrics.trimap import band_map
from deeplab_core.metrics.trimap_histogram import BandHistogram
from tests.unit.core.metrics.maps import GAPPED

WIDTHS = (1, 5)


def scene(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    values = [[7, 0], [7, 0, 33], [0, 254, 255]][seed % 3]
    truth = np.kron(rng.choice(values, (3, 4)), np.ones((6, 6))).astype(np.uint8)
    prediction = np.where(rng.random(truth.shape) < 0.1 + 0.02 * seed, rng.choice([7, 33, 255], truth.shape), truth)
    return truth, prediction.astype(np.uint8)


def histogram(seed: int) -> BandHistogram:
    truth, prediction = scene(seed)
    return BandHistogram(GAPPED, rule="edge").update(index=band_map(truth=truth, rule="edge"), truth=truth, prediction=prediction)


def counts(seed: int) -> ImageCounts:
    truth, prediction = scene(seed)
    return ImageCounts.of(histogram(seed), WIDTHS, BoundaryIoU(GAPPED).update(truth=truth, prediction=prediction))


def samples(number: int) -> Samples:
    means = np.array([[seed / 10, math.nan if seed == 1 else 0.5] for seed in range(number)])
    return Samples([counts(seed) for seed in range(number)], means, len(GAPPED), WIDTHS)


def pool(seeds: list[int]) -> tuple[ConfusionMatrix, BandHistogram, BoundaryIoU]:
    bands, edges = BandHistogram(GAPPED, rule="edge"), BoundaryIoU(GAPPED)
    for seed in seeds:
        truth, prediction = scene(seed)
        bands += histogram(seed)
        edges.update(truth=truth, prediction=prediction)
    return bands.total(), bands, edges


def test_the_pool_of_all_images_is_the_report() -> None:
    found = samples(6).pooled()
    matrix, bands, edges = pool(list(range(6)))
    np.testing.assert_array_equal(found.iou[0], matrix.iou())
    assert found.mean_iou[0] == pytest.approx(matrix.mean_iou("union").value)
    assert found.pixel_accuracy[0] == matrix.pixel_accuracy()
    assert found.band_mean_iou[0] == pytest.approx([bands.inside(width).mean_iou("union").value for width in WIDTHS])
    np.testing.assert_array_equal(found.boundary_iou[0], edges.iou())
    assert found.mean_boundary_iou[0] == pytest.approx(edges.mean()[0])
    assert found.image_means[0] == pytest.approx([0.25, 0.5])


def test_each_draw_is_a_pool_of_drawn_images() -> None:
    drawn = samples(5).resampled(7, seed=3)
    generator = np.random.default_rng(3)
    for row, seeds in enumerate(generator.integers(0, 5, (7, 5)).tolist()):
        matrix, bands, edges = pool(seeds)
        np.testing.assert_array_equal(drawn.iou[row], matrix.iou())
        assert drawn.band_mean_iou[row, 1] == pytest.approx(bands.inside(5).mean_iou("union").value)
        assert drawn.mean_boundary_iou[row] == pytest.approx(edges.mean()[0])


def test_blocks_and_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = samples(6).resampled(40, seed=1)
    monkeypatch.setattr(bootstrap, "_MOST_BYTES", 2000)
    chunked = samples(6).resampled(40, seed=1)
    np.testing.assert_array_equal(whole.iou, chunked.iou)
    monkeypatch.setattr(bootstrap, "_DRAWS", 18)
    blocked = samples(6).resampled(40, seed=1)
    np.testing.assert_array_equal(whole.mean_iou, blocked.mean_iou)


def test_intervals_hold_the_middle_of_the_draws() -> None:
    found = intervals(samples(6), resamples=500, seed=0, level=0.9)
    assert found.resamples == 500
    low, high = found.mean_iou
    drawn = samples(6).resampled(500).mean_iou
    assert np.mean((drawn >= low) & (drawn <= high)) == pytest.approx(0.9, abs=0.02)
    assert found.images_with.tolist() == [sum(bool((np.stack(scene(s)) == c).any()) for s in range(6)) for c in (7, 0, 33, 254)]
    again = intervals(samples(6), resamples=500, seed=0, level=0.9)
    np.testing.assert_array_equal(found.iou, again.iou)


def test_the_interval_of_a_mean_has_the_coverage_that_it_claims() -> None:
    # Figures of single images with a known standard error of the mean: the percentile interval must be about +-1.96 of it.
    rng = np.random.default_rng(0)
    values = rng.normal(0.5, 0.1, (400, 1))
    empty = ImageCounts.of(BandHistogram(GAPPED, rule="edge"), (), None)
    found = intervals(Samples([empty] * 400, values, len(GAPPED), ()), resamples=4000)
    low, high = found.image_means[0]
    error = values.std() / 20
    assert low == pytest.approx(values.mean() - 1.96 * error, abs=0.15 * error)
    assert high == pytest.approx(values.mean() + 1.96 * error, abs=0.15 * error)


@pytest.mark.parametrize(("number", "resamples"), [(1, 100), (0, 100), (4, 0)])
def test_without_two_images_or_draws_there_are_no_intervals(number: int, resamples: int) -> None:
    found = intervals(samples(number) if number else Samples([], np.zeros((0, 2)), 4, WIDTHS), resamples=resamples)
    assert found.resamples == 0
    assert np.isnan(found.iou).all()
    assert np.isnan(found.mean_iou).all()
    assert found.band_mean_iou.shape == (2, 2)


def test_scores_that_some_draws_lack() -> None:
    values = np.array([[math.nan, math.nan, 0.5], [0.2, math.nan, 0.5], [0.4, math.nan, 0.5]])
    np.testing.assert_allclose(interval(values, 0.5), [[0.25, 0.35], [math.nan, math.nan], [0.5, 0.5]])


def test_counts_survive_json_and_damage_is_named() -> None:
    for seed in range(3):
        before = counts(seed)
        after = ImageCounts.from_rows(before.to_rows(GAPPED.ids, WIDTHS), GAPPED.ids, WIDTHS)
        for name in ("channels", "totals", "bands", "boundary"):
            np.testing.assert_array_equal(getattr(before, name), getattr(after, name))
        np.testing.assert_array_equal(before.iou, pool([seed])[0].iou())
    rows = counts(0).to_rows(GAPPED.ids, WIDTHS)
    for damage in ({"id": 99}, {"hits_px": "many"}, {"bands_px": {}}):
        with pytest.raises(MaskFormatError, match="malformed"):
            ImageCounts.from_rows([{**rows[0], **damage}], GAPPED.ids, WIDTHS)
