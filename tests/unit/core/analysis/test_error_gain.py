"""What fixing an error wins is what the mean IoU gains, and lists come in the order of that, over a folder and in an image."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deeplab_core.analysis import FolderAnalysis, inspect_image
from deeplab_core.analysis.components import component_mask
from deeplab_core.analysis.error_gain import ERROR_ORDERS, WITH_TRUTH, WITHOUT_TRUTH, iou_gains
from deeplab_core.analysis.ranking import RANKINGS
from deeplab_core.catalogs import get_catalog
from deeplab_core.metrics import ConfusionMatrix

CATALOG = get_catalog("voc21")
IDS = np.array([0, 9, 18, 255], np.uint8)


def maps(rng, shape=(7, 9)):
    return rng.choice(IDS, shape), rng.choice(IDS, shape)


def mean(pairs):
    matrix = ConfusionMatrix(CATALOG)
    for truth, labels in pairs:
        matrix.update(truth=truth, prediction=labels)
    return matrix.mean_iou("truth").value


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=40)
def test_a_gain_is_what_the_mean_gains_if_the_component_is_fixed(seed):
    rng = np.random.default_rng(seed)
    pairs = [maps(rng) for _ in range(3)]
    folder = FolderAnalysis(CATALOG)
    for number, (truth, labels) in enumerate(pairs):
        folder.update(str(number), inspect_image(truth=truth, prediction=labels, catalog=CATALOG))
    found = folder.errors.components(limit=1000)
    of_folder, of_image = (folder.gains(found, order) for order in ("gain_folder", "gain_image"))
    for component, in_folder, in_image in zip(found, of_folder, of_image, strict=True):
        place = int(component.image)
        truth, labels = pairs[place]
        mask = component_mask(component, truth=truth, prediction=labels)
        fixed = labels.copy()
        fixed[component.box.slices][mask] = component.truth
        others = [pair for number, pair in enumerate(pairs) if number != place]
        assert np.isclose(in_folder, mean([*others, (truth, fixed)]) - mean(pairs))
        assert np.isclose(in_image, mean([(truth, fixed)]) - mean([pairs[place]]))


@pytest.mark.parametrize("order", WITH_TRUTH)
@given(seed=st.integers(0, 2**32 - 1), limit=st.integers(1, 12), cell=st.booleans())
@settings(max_examples=20)
def test_a_list_begins_with_what_is_worth_most_of_all(order, seed, limit, cell):
    """The search looks into few images; it finds what sorting everything finds."""
    rng = np.random.default_rng(seed)
    folder = FolderAnalysis(CATALOG)
    for number in range(int(rng.integers(1, 6))):
        truth, labels = maps(rng, (5, int(rng.integers(2, 12))))
        folder.update(str(number), inspect_image(truth=truth, prediction=labels, catalog=CATALOG))
    truth, prediction = (9, 18) if cell else (None, None)
    everything = folder.errors.components(truth=truth, prediction=prediction, limit=10_000)
    worths = [float(one.pixels) for one in everything] if order == "size" else folder.gains(everything, order)
    worth = folder.worth(order)
    found = folder.errors.components(truth=truth, prediction=prediction, limit=limit, worth=worth)
    had = dict(zip(everything, worths, strict=True))
    assert [had[one] for one in found] == pytest.approx(sorted(worths, reverse=True)[:limit])


def test_gains_follow_a_correction():
    rng = np.random.default_rng(3)
    folder = FolderAnalysis(CATALOG)
    truth, labels = maps(rng)
    folder.update("a", inspect_image(truth=truth, prediction=labels, catalog=CATALOG))
    before = folder.image_gains("a")
    assert before is folder.image_gains("a")
    labels = np.where(truth == 9, truth, labels)
    folder.update("a", inspect_image(truth=truth, prediction=labels, catalog=CATALOG))
    after = folder.image_gains("a")
    assert len(after) < len(before)
    assert folder.gains(folder.errors.of("a").listed("a"), "gain_image") == pytest.approx(after.tolist())


def test_a_small_class_counts_as_much_as_a_large_one():
    """100 px of a class of 200 px win more than 1,000 px of one of 100,000 px."""
    counts = np.array([[99_000, 0, 1_000], [100, 100, 0]], np.int64)
    large, small = iou_gains(counts, np.array([0, 1]), np.array([2, 0]), np.array([1_000, 100]))
    assert small > 10 * large > 0


def test_nothing_to_win_without_ground_truth():
    assert iou_gains(np.zeros((3, 4), np.int64), np.array([0]), np.array([1]), np.array([5])).tolist() == [0.0]


def test_orders_share_the_names_of_rankings():
    assert all(ERROR_ORDERS[name] is RANKINGS[name] for name in WITHOUT_TRUTH)
    assert set(WITH_TRUTH) | set(WITHOUT_TRUTH) == set(ERROR_ORDERS)
    with pytest.raises(KeyError):
        FolderAnalysis(CATALOG).worth("margin")
