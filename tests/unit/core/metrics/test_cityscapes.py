from __future__ import annotations

import math

import numpy as np
import pytest

from deeplab_core.catalogs import get_catalog
from deeplab_core.errors import CatalogError
from deeplab_core.metrics import ConfusionMatrix
from deeplab_core.metrics.cityscapes import InstanceCounts, cityscapes_scores

CATALOG = get_catalog("cityscapes19")
CAR, TRUCK, ROAD, RIDER, PERSON = 13, 14, 0, 12, 11


def street() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two cars of 8 and 2 px, a person of 4 px, on a road; half of the first car is called truck, one road pixel car."""
    truth = np.full((4, 10), ROAD, np.uint8)
    instances = np.full((4, 10), 7, np.int32)  # label id of road: no instance
    truth[0, :8] = CAR
    instances[0, :8] = 26_000 + 1
    truth[1, :2] = CAR
    instances[1, :2] = 26_002
    truth[2, :4] = PERSON
    instances[2, :4] = 24_003
    prediction = truth.copy()
    prediction[0, :4] = TRUCK
    prediction[1, 0] = ROAD
    prediction[2, 3] = RIDER
    prediction[3, 9] = CAR
    return truth, prediction, instances


def test_hits_and_misses_are_weighted_by_the_size_of_the_instance() -> None:
    truth, prediction, instances = street()
    matrix = ConfusionMatrix(CATALOG).update(truth=truth, prediction=prediction)
    counts = InstanceCounts(CATALOG).update(instances=instances, prediction=prediction)
    scores = cityscapes_scores(matrix, counts)
    average = 12794.0202738185
    hits, misses = (4 / 8 + 1 / 2) * average, (4 / 8 + 1 / 2) * average
    assert scores.instance_iou["car"] == pytest.approx(hits / (hits + misses + 1))
    # As a vehicle the truck is right; the false alarm on the road stays.
    hits, misses = (8 / 8 + 1 / 2) * average, (0 / 8 + 1 / 2) * average
    assert scores.category_instance_iou["vehicle"] == pytest.approx(hits / (hits + misses + 1))
    assert scores.category_instance_iou["human"] == 1.0
    assert scores.category_iou["human"] == 1.0
    assert scores.category_iou["vehicle"] == pytest.approx(9 / 11)
    assert math.isnan(scores.category_iou["sky"])
    assert math.isnan(scores.instance_iou["bus"])
    figures = scores.to_dict()
    assert figures["mean_category_iou"] == pytest.approx((9 / 11 + 1 + 25 / 27) / 3)
    assert figures["instance_iou"]["bus"] is None


def test_without_instance_files_there_are_categories_only() -> None:
    truth, prediction, _ = street()
    matrix = ConfusionMatrix(CATALOG).update(truth=truth, prediction=prediction)
    for instances in (None, InstanceCounts(CATALOG)):
        scores = cityscapes_scores(matrix, instances)
        assert scores.instance_iou == {}
        assert scores.to_dict()["mean_instance_iou"] is None


def test_other_catalogs_and_sizes_are_refused() -> None:
    with pytest.raises(CatalogError, match="no class 'rider'"):
        InstanceCounts(get_catalog("voc21"))
    with pytest.raises(ValueError, match="shape"):
        InstanceCounts(CATALOG).update(instances=np.zeros((2, 3), int), prediction=np.zeros((3, 2), np.uint8))
