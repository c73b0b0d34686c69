"""A pair of classes as a unit: what it costs each class, how that splits up, and what fixing it would win."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deeplab_core.analysis import FolderAnalysis, inspect_image
from deeplab_core.analysis.pairs import pair_loss, pair_loss_to_dict
from deeplab_core.analysis.record import ERROR_PIXELS, ImageAnalysis
from deeplab_core.catalogs import get_catalog
from tests.unit.core.metrics.maps import catalog_of, label_maps, naive_iou

VOC = get_catalog("voc21")
CHAIR, PERSON, SOFA = 9, 15, 18
SMALL = catalog_of(0, 5, 9, name="small")


def folder_of(*pairs: tuple[np.ndarray, np.ndarray], catalog=VOC, **more: object) -> FolderAnalysis:
    folder = FolderAnalysis(catalog)
    for number, (truth, prediction) in enumerate(pairs):
        folder.update(f"{number}.png", inspect_image(truth=truth, prediction=prediction, catalog=catalog, **more))
    return folder


def two_rooms() -> FolderAnalysis:
    """Image 0: a 40 x 40 sofa of which a 40 x 10 strip is called chair. Image 1: a whole 10 x 10 chair called sofa."""
    first, called = np.zeros((60, 80), np.uint8), np.zeros((60, 80), np.uint8)
    first[10:50, 10:50] = called[10:50, 10:50] = SOFA
    called[10:50, 10:20] = CHAIR
    second, other = np.zeros((60, 80), np.uint8), np.zeros((60, 80), np.uint8)
    second[20:30, 20:30], other[20:30, 20:30] = CHAIR, SOFA
    return folder_of((first, called), (second, other))


def test_golden_values_of_a_pair() -> None:
    loss = pair_loss(two_rooms(), SOFA, CHAIR)
    forward, backward = loss.cells
    assert (forward.pixels, backward.pixels, loss.pixels, loss.images) == (400, 100, 500, 2)
    assert (forward.components, backward.components) == (1, 1)
    assert (loss.largest_image, loss.largest_px, loss.largest_share) == ("0.png", 400, 0.8)
    assert loss.share == 1.0  # nothing else is wrong
    sofa, chair = loss.classes
    # The sofa: 1600 px, 1200 right, 400 missed, 100 false; the chair: 100 px, none right, 400 false.
    assert (sofa.missed_px, sofa.false_px, sofa.misses, sofa.false_alarms, sofa.share) == (400, 100, 400, 100, 1.0)
    assert (chair.missed_px, chair.false_px, chair.misses, chair.false_alarms, chair.share) == (100, 400, 100, 400, 1.0)
    assert (sofa.iou, sofa.repaired) == (1200 / 1700, 1.0)
    assert (chair.iou, chair.repaired) == (0.0, 1.0)
    assert loss.mean_iou == pytest.approx((1 + 1200 / 1700 + 0) / 3)
    assert loss.repaired_mean == 1.0
    # d is 1 px here: the strip's right edge touches the sofa and is within 1 px of it, but a strip's left edge touches no hit.
    assert forward.sizes == (0, 0, 400, 0, 0, 0, 0)  # of an object of 1600 px
    assert backward.sizes == (100, 0, 0, 0, 0, 0, 0)
    assert backward.missed == (0, 0, 100)  # nothing of the chair was found
    assert forward.false == (0, 0, 400)  # no chair is there
    assert forward.missed[1] > 0  # the sofa was found, a part of it is missing
    assert forward.missed[2] == 0


def test_one_cell_alone() -> None:
    loss = pair_loss(two_rooms(), SOFA, CHAIR, both_ways=False)
    sofa, chair = loss.classes
    assert (loss.pixels, len(loss.cells)) == (400, 1)
    assert (sofa.missed_px, sofa.false_px, sofa.share) == (400, 0, 0.8)
    assert (chair.missed_px, chair.false_px, chair.share) == (0, 400, 0.8)
    assert (sofa.repaired, chair.repaired) == (1600 / 1700, 0.0)


def test_occluded_objects_are_told_from_whole_ones() -> None:
    truth = np.zeros((60, 80), np.uint8)
    truth[20:40, 5:75] = SOFA
    truth[5:50, 37:41] = PERSON  # cuts the sofa in two
    truth[50:55, 5:15] = CHAIR  # a whole one
    prediction = truth.copy()
    prediction[20:40, 5:37] = CHAIR
    prediction[50:55, 5:15] = SOFA
    loss = pair_loss(folder_of((truth, prediction)), SOFA, CHAIR)
    assert loss.cells[0].occlusion == (640, 0, 0)
    assert loss.cells[1].occlusion == (0, 50, 0)
    background = np.zeros((60, 80), np.uint8)
    background[20:30, 20:30] = SOFA
    invented = pair_loss(folder_of((np.zeros((60, 80), np.uint8), background)), 0, SOFA)
    assert invented.cells[0].occlusion == (0, 0, 100)
    assert invented.cells[0].sizes[-1] == 100


def test_void_predictions_are_a_miss_of_one_class() -> None:
    truth, prediction = np.full((20, 20), CHAIR, np.uint8), np.full((20, 20), CHAIR, np.uint8)
    prediction[:, :5] = VOC.ignore
    loss = pair_loss(folder_of((truth, prediction)), CHAIR, VOC.ignore)
    assert [cell.pixels for cell in loss.cells] == [100]
    assert loss.cells[0].false == (0, 0, 0)
    assert [(one.class_id, one.missed_px, one.repaired) for one in loss.classes] == [(CHAIR, 100, 1.0)]


def test_a_class_is_not_confused_with_itself() -> None:
    with pytest.raises(ValueError, match="itself"):
        pair_loss(two_rooms(), SOFA, SOFA)


def test_intervals_are_over_images() -> None:
    loss = pair_loss(two_rooms(), SOFA, CHAIR)
    assert loss.classes[0].share_interval == (1.0, 1.0)
    low, high = loss.classes[0].gain_interval
    assert low == pytest.approx(1 - 1200 / 1600)  # only image 0 was drawn
    assert high == pytest.approx(1 - 1200 / 1700)  # both; a pool of image 1 alone has no sofa, and no score once it is fixed
    one = folder_of((np.full((9, 9), CHAIR, np.uint8), np.full((9, 9), SOFA, np.uint8)))
    assert all(math.isnan(bound) for bound in pair_loss(one, CHAIR, SOFA).mean_interval)
    assert pair_loss_to_dict(pair_loss(one, CHAIR, SOFA))["mean_gain_interval"] is None
    assert pair_loss(two_rooms(), SOFA, CHAIR, seed=1).mean_interval == pair_loss(two_rooms(), SOFA, CHAIR, seed=1).mean_interval


@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_every_split_adds_up_to_its_cell(data: st.DataObject) -> None:
    shape = data.draw(st.tuples(st.integers(2, 9), st.integers(2, 9)))
    pairs = [(data.draw(label_maps(SMALL, shape)), data.draw(label_maps(SMALL, shape))) for _ in range(2)]
    folder = folder_of(*pairs, catalog=SMALL, things=frozenset({5, 9}))
    counts = folder.total(ERROR_PIXELS)
    lost = dict.fromkeys((0, 5, 9), 0)
    for one in (0, 5, 9):
        for other in (0, 5, 9, SMALL.ignore):
            if one == other:
                continue
            loss = pair_loss(folder, one, other, resamples=20)
            for cell in loss.cells:
                place = 3 if cell.prediction == SMALL.ignore else SMALL.index_of(cell.prediction)
                assert cell.pixels == counts[SMALL.index_of(cell.truth), place]
                assert cell.pixels == sum(cell.missed) == sum(cell.occlusion) == sum(cell.sizes)
                assert sum(cell.false) == (0 if cell.prediction == SMALL.ignore else cell.pixels)
            alone = pair_loss(folder, one, other, both_ways=False, resamples=0)
            lost[one] += alone.cells[0].pixels
            if other != SMALL.ignore:
                lost[other] += alone.cells[0].pixels
            repaired = [np.where((truth == one) & (called == other) | (truth == other) & (called == one), truth, called)
                        for truth, called in pairs]  # fmt: skip
            truth = np.concatenate([truth for truth, _ in pairs])
            for found in loss.classes:
                expected = naive_iou(truth, np.concatenate(repaired), found.class_id, SMALL.ignore)
                assert found.repaired == pytest.approx(expected, nan_ok=True)
    for class_id, pixels in lost.items():  # the cells of a class are its whole loss
        one = pair_loss(folder, class_id, SMALL.ignore, resamples=0).classes[0]
        assert pixels == one.misses + one.false_alarms


@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_errors_divided_in_two_add_up(data: st.DataObject) -> None:
    """What is right elsewhere costs nothing: the counts of some errors and of the others are the counts of all."""
    from deeplab_core.analysis.error_maps import map_errors

    shape = data.draw(st.tuples(st.integers(2, 9), st.integers(2, 9)))
    truth, prediction = data.draw(label_maps(SMALL, shape)), data.draw(label_maps(SMALL, shape))
    maps = map_errors(truth=truth, prediction=prediction, catalog=SMALL, things=frozenset({5, 9}))
    chosen = data.draw(label_maps(SMALL, shape)) == 5
    whole, parts = maps.record(), [maps.only(chosen).record(), maps.only(~chosen).record()]
    labelled = int((truth != SMALL.ignore).sum())
    for name, counts in whole.counts.items():
        sums = sum(part.counts[name].whole() for part in parts)
        if name.startswith(("errors:instances", "errors:images", "errors:components")):
            assert (sums >= counts.whole()).all() or name == "errors:components"
        elif name.startswith(("confusion", "errors:confusion")):
            expected = counts.whole()
            off = ~np.eye(*expected.shape, dtype=bool)
            assert (sums[off] == expected[off]).all()
            assert sums.sum() == 2 * labelled
        elif not name.startswith("errors:slice"):
            assert (sums == counts.whole()).all(), name
    assert isinstance(whole, ImageAnalysis)
    assert (parts[0].objects["pixels"] - parts[0].objects["right"] + parts[1].objects["pixels"] - parts[1].objects["right"]
            == whole.objects["pixels"] - whole.objects["right"]).all()  # fmt: skip
    assert (parts[0].objects["swapped"] + parts[1].objects["swapped"] == whole.objects["swapped"]).all()
    assert (parts[0].objects["false"] + parts[1].objects["false"] == whole.objects["false"]).all()
