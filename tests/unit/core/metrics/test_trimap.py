from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from deeplab_core.errors import CatalogError, ProjectError
from deeplab_core.metrics import ConfusionMatrix
from deeplab_core.metrics.distance import distance_to_edge
from deeplab_core.metrics.trimap import EXCLUDED, OUTSIDE, WIDEST, band_map, band_mask
from deeplab_core.metrics.trimap_histogram import BandHistogram
from tests.unit.core.metrics.maps import GAPPED, WIDE, catalog_of, label_maps

VOID = 255
AB = catalog_of(0, 1)
RULES = [("void", "truth"), ("edge", "truth"), ("edge", "prediction")]


def random_scene(seed: int, catalog=GAPPED, shape: tuple[int, int] = (90, 130)) -> tuple[np.ndarray, np.ndarray]:
    """Truth of blobs with a void ring, and a prediction that is the truth moved and speckled, part of it unlabelled."""
    rng = np.random.default_rng(seed)
    truth = np.full(shape, catalog.ids[0], catalog.dtype)
    for class_id in [*catalog.ids[1:], *catalog.ids[1:], catalog.ignore]:
        y, x = rng.integers(0, shape[0]), rng.integers(0, shape[1])
        yy, xx = np.ogrid[: shape[0], : shape[1]]
        radius = rng.integers(4, 25)
        square = (yy - y) ** 2 + (xx - x) ** 2
        truth[square <= (radius + 2) ** 2] = catalog.ignore
        truth[square <= radius**2] = class_id
    prediction = np.roll(truth, (2, -3), (0, 1))
    prediction[prediction == catalog.ignore] = catalog.ids[0]
    speckle = rng.random(shape) < 0.05
    prediction[speckle] = rng.choice(np.append(catalog.ids, catalog.ignore), int(speckle.sum()))
    return truth, prediction


def histogram_of(truth: np.ndarray, prediction: np.ndarray, rule, around="truth", catalog=GAPPED) -> BandHistogram:
    index = band_map(truth=truth, prediction=prediction, ignore=catalog.ignore, rule=rule, around=around)
    return BandHistogram(catalog, rule=rule, around=around).update(index=index, truth=truth, prediction=prediction)


@pytest.mark.parametrize(("rule", "around"), RULES)
@pytest.mark.parametrize("catalog", [GAPPED, WIDE], ids=["narrow", "wide"])
def test_every_width_equals_a_matrix_of_its_own(rule, around, catalog) -> None:
    truth, prediction = random_scene(3, catalog)
    histogram = histogram_of(truth, prediction, rule, around, catalog)
    index = band_map(truth=truth, prediction=prediction, ignore=catalog.ignore, rule=rule, around=around)
    curve = histogram.curve("truth")
    for width in (1, 2, 3, 7, 20, 40):
        mask = band_mask(index, width)
        inside = ConfusionMatrix(catalog).update(truth=np.where(mask, truth, catalog.ignore), prediction=prediction)
        outside = ConfusionMatrix(catalog).update(truth=np.where(mask, catalog.ignore, truth), prediction=prediction)
        assert histogram.inside(width) == inside
        assert histogram.outside(width) == outside
        assert curve.mean_iou[width - 1] == pytest.approx(inside.mean_iou("truth").value, nan_ok=True)
        assert curve.classes[width - 1] == inside.mean_iou("truth").classes
        assert curve.pixel_accuracy[width - 1] == pytest.approx(inside.pixel_accuracy(), nan_ok=True)
        assert curve.share[width - 1] == pytest.approx(inside.total / histogram.total().total)
    assert histogram.total() == ConfusionMatrix(catalog).update(truth=truth, prediction=prediction)


def test_the_edge_index_is_the_ceiling_of_the_distance() -> None:
    truth, _ = random_scene(5)
    distance = distance_to_edge(truth)
    index = band_map(truth=truth, rule="edge")
    for width in range(1, WIDEST + 1):
        expected = (np.rint(distance.astype(float) ** 2) <= width**2) & (truth != VOID)
        assert np.array_equal(band_mask(index, width), expected)


def test_whole_distances_stay_in_their_band_up_to_the_widest() -> None:
    truth = np.zeros((3, 60), np.uint8)
    truth[:, 50:] = 1
    index = band_map(truth=truth, rule="edge")
    assert index[1, :50].tolist() == [OUTSIDE] * 10 + list(range(40, 0, -1))


def test_void_is_excluded_and_never_outside() -> None:
    truth = np.zeros((5, 100), np.uint8)
    truth[:, 0] = VOID
    truth[:, 90:] = 1
    index = band_map(truth=truth, rule="void")
    assert index[2, :44].tolist() == [EXCLUDED, *range(1, 41), OUTSIDE, OUTSIDE, OUTSIDE]
    assert not band_mask(index, 40)[:, 0].any()


@pytest.mark.parametrize("rule", ["void", "edge"])
def test_an_empty_band_is_not_available_rather_than_zero(rule) -> None:
    truth = np.zeros((20, 20), np.uint8)
    histogram = histogram_of(truth, np.ones_like(truth), rule, catalog=AB)
    curve = histogram.curve("truth")
    assert np.isnan(curve.mean_iou).all()
    assert np.isnan(curve.pixel_accuracy).all()
    assert not curve.classes.any()
    assert not curve.share.any()
    assert curve.rows((1, 40))[1] == {"width_px": 40, "mean_iou": None, "classes": 0, "pixel_accuracy": None, "share": 0.0}
    assert histogram.outside(40).total == 400


def test_nothing_labelled_gives_no_share() -> None:
    truth = np.full((4, 4), VOID, np.uint8)
    assert np.isnan(histogram_of(truth, np.zeros_like(truth), "void", catalog=AB).curve().share).all()


def test_golden_curve_of_a_shifted_edge() -> None:
    # The true edge lies between columns 9 and 10, the predicted one three columns further right: columns 10, 11, 12 are wrong
    # and are at distance 1, 2, 3 from the true edge.
    truth = np.zeros((4, 20), np.uint8)
    truth[:, 10:] = 1
    prediction = np.zeros_like(truth)
    prediction[:, 13:] = 1
    curve = histogram_of(truth, prediction, "edge", catalog=AB).curve()
    np.testing.assert_allclose(curve.pixel_accuracy[:6], [0.5, 0.5, 0.5, 5 / 8, 7 / 10, 9 / 12])
    np.testing.assert_allclose(curve.mean_iou[[0, 4, 39]], [(1 / 2 + 0) / 2, (5 / 8 + 2 / 5) / 2, (10 / 13 + 7 / 10) / 2])
    around = histogram_of(truth, prediction, "edge", "prediction", catalog=AB).curve()
    # Seen from the predicted edge the wrong columns 12, 11, 10 are at distance 1, 2, 3; column 9 is right again, at 4.
    np.testing.assert_allclose(around.pixel_accuracy[:4], [1 / 2, 1 / 2, 1 / 2, 5 / 8])


def test_an_unlabelled_prediction_is_counted_in_its_band() -> None:
    truth = np.zeros((1, 8), np.uint8)
    truth[:, 4:] = 1
    prediction = truth.copy()
    prediction[:, 4] = VOID
    for around in ("truth", "prediction"):
        inside = histogram_of(truth, prediction, "edge", around, catalog=AB).inside(1)
        assert inside.void_predictions == 1


def test_an_edge_band_around_a_prediction_needs_no_truth() -> None:
    prediction = np.zeros((3, 6), np.uint8)
    prediction[:, 3:] = 1
    assert band_mask(band_map(truth=None, prediction=prediction, rule="edge", around="prediction"), 1).sum() == 6


def test_impossible_bands_are_refused() -> None:
    truth = np.zeros((3, 3), np.uint8)
    with pytest.raises(ValueError, match="void rule needs truth"):
        band_map(truth=truth, prediction=truth, rule="void", around="prediction")
    with pytest.raises(ValueError, match="needs the prediction"):
        band_map(truth=truth, rule="edge", around="prediction")
    with pytest.raises(ValueError, match="shape"):
        band_map(truth=truth, prediction=truth[:2], rule="edge", around="prediction")
    with pytest.raises(ValueError, match=r"outside 1\.\.40"):
        band_mask(band_map(truth=truth, rule="edge"), 41)
    histogram = BandHistogram(AB, rule="edge")
    with pytest.raises(ValueError, match=r"outside 1\.\.40"):
        histogram.inside(0)
    with pytest.raises(ValueError, match="band index must be"):
        histogram.update(index=np.zeros((2, 2), np.uint8), truth=truth, prediction=truth)
    with pytest.raises(ValueError, match="there are 41 bands"):
        histogram.update(index=np.full((3, 3), 42, np.uint8), truth=truth, prediction=truth)
    with pytest.raises(ValueError, match="counts"):
        BandHistogram(AB, rule="edge", counts=np.zeros((40, 2, 3), np.int64))


def test_undeclared_ids_are_refused() -> None:
    truth = np.zeros((3, 3), np.uint8)
    with pytest.raises(CatalogError, match=r"the prediction holds ids.*9 \(9 px\)"):
        histogram_of(truth, np.full_like(truth, 9), "edge", catalog=AB)


@given(st.integers(0, 20), st.sampled_from(["void", "edge"]), st.data())
@settings(max_examples=25)
def test_delta_equals_a_recount(seed: int, rule, data: st.DataObject) -> None:
    truth, before = random_scene(seed, shape=(24, 30))
    box = np.s_[5:17, 3:21]
    after = before.copy()
    after[box] = data.draw(label_maps(GAPPED, (12, 18)))
    index = band_map(truth=truth, rule=rule)
    histogram = BandHistogram(GAPPED, rule=rule).update(index=index, truth=truth, prediction=before)
    histogram.add_delta(index=index[box], truth=truth[box], before=before[box], after=after[box])
    assert histogram == BandHistogram(GAPPED, rule=rule).update(index=index, truth=truth, prediction=after)


def test_a_delta_that_does_not_fit_changes_nothing() -> None:
    truth = np.zeros((2, 2), np.uint8)
    histogram = histogram_of(truth, truth, "edge", catalog=AB)
    kept = histogram.copy()
    with pytest.raises(ValueError, match="index has shape"):
        histogram.add_delta(index=np.ones((2, 1), np.uint8), truth=truth, before=truth, after=truth + 1)
    with pytest.raises(ValueError, match="excludes a pixel"):
        histogram.add_delta(index=np.zeros((2, 2), np.uint8), truth=truth, before=truth, after=truth + 1)
    with pytest.raises(ValueError, match="not the one that was counted"):
        histogram.add_delta(index=np.ones((2, 2), np.uint8), truth=truth, before=truth, after=truth + 1)
    assert histogram == kept


def test_pooling_and_storage() -> None:
    first, second = (histogram_of(*random_scene(seed), "edge") for seed in (1, 2))
    pooled = first + second
    assert np.array_equal(pooled.counts, first.counts + second.counts)
    assert pooled - second == first
    assert BandHistogram.from_bytes(pooled.to_bytes(), GAPPED, rule="edge") == pooled
    with pytest.raises(ProjectError, match="damaged"):
        BandHistogram.from_bytes(pooled.to_bytes(), GAPPED, rule="void")
    with pytest.raises(ProjectError, match="damaged"):
        BandHistogram.from_bytes(pooled.total().to_bytes(), GAPPED, rule="edge")
    with pytest.raises(ValueError, match="cannot be pooled"):
        first + histogram_of(*random_scene(1), "void")
    with pytest.raises(CatalogError, match="cannot be pooled"):
        first + BandHistogram(AB, rule="edge")


@given(
    hnp.arrays(np.uint8, (9, 12), elements=st.sampled_from([0, 1, VOID]), fill=st.nothing()),
    st.sampled_from(["void", "edge"]),
)
def test_bands_grow_and_fill_the_labelled_pixels(truth: np.ndarray, rule) -> None:
    index = band_map(truth=truth, rule=rule)
    assert np.array_equal(index == EXCLUDED, truth == VOID)
    sizes = [int(band_mask(index, width).sum()) for width in range(1, 41)]
    assert sizes == sorted(sizes)
    assert sizes[-1] in (0, int((truth != VOID).sum()))
    assert not math.isnan(sizes[0])
