from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.cli import run
from deeplab_core.catalogs import get_catalog
from deeplab_core.errors import CatalogError
from deeplab_core.metrics import ConfusionMatrix
from deeplab_core.metrics.cityscapes import InstanceCounts, cityscapes_scores

CATALOG = get_catalog("cityscapes19")
CAR, TRUCK, ROAD, RIDER, PERSON = 13, 14, 0, 12, 11


def street() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two cars of 8 and 2 px, one person of 4 px, on a road; half of the first car is called truck, one road pixel car."""
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


# Masks of label ids: what the benchmark's own program computes from them


def label_id_scene() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ground truth, prediction and instances with classes that the benchmark ignores (1, 4, 5, 29, 30) in both."""
    truth = np.full((24, 32), 7, np.uint8)
    truth[:8], truth[:3, 4:20], truth[20:] = 23, 11, 1
    instances = truth.astype(np.uint16)
    for number, (label, rows, columns) in enumerate(
        [
            (26, (9, 13), (2, 10)),
            (26, (10, 12), (14, 18)),
            (28, (9, 15), (20, 30)),
            (24, (14, 18), (3, 5)),
            (29, (15, 17), (8, 14)),
        ]
    ):
        truth[slice(*rows), slice(*columns)] = label
        instances[slice(*rows), slice(*columns)] = label * 1000 + number
    truth[18, 20:26] = instances[18, 20:26] = 4
    prediction = truth.copy()
    prediction[20:] = 7  # on the ego vehicle: not counted
    prediction[9:11, 2:6] = 29  # a car called caravan: a miss, and still a vehicle in the category's iIoU
    prediction[10, 14:16] = 27
    prediction[9:12, 24:30] = 4
    prediction[14:16, 3] = 25
    prediction[15, 8:14] = 26  # on an ignored caravan: not counted
    prediction[19, 2:9] = 30  # a trailer on the road: a false alarm of the category's iIoU only
    prediction[19, 12:15] = 26
    prediction[0, 22:30] = 5
    return truth, prediction, instances


#: Written by cityscapesScripts 2.3.0, ``evaluatePair`` and the functions of ``evalPixelLevelSemanticLabeling``, on this scene.
OFFICIAL: dict[str, dict[str, float]] = {
    "class_iou": {
        "road": 0.9612403100775194,
        "sky": 0.9615384615384616,
        "building": 1.0,
        "person": 0.75,
        "rider": 0.0,
        "car": 0.6976744186046512,
        "truck": 0.0,
        "bus": 0.7,
    },
    "category_iou": {
        "flat": 0.9612403100775194,
        "sky": 0.9615384615384616,
        "construction": 1.0,
        "human": 1.0,
        "vehicle": 0.7184466019417476,
    },
    "instance_iou": {"person": 0.75, "rider": 0.0, "car": 0.7499120786043922, "truck": 0.0, "bus": 0.7000000000000001},
    "category_instance_iou": {"human": 1.0, "vehicle": 0.825051169038653},
}


def test_label_ids_give_the_figures_of_the_benchmark() -> None:
    catalog = get_catalog("cityscapes34")
    truth, prediction, instances = label_id_scene()
    matrix = ConfusionMatrix(catalog).update(truth=truth, prediction=prediction)
    counts = InstanceCounts(catalog).update(instances=instances, prediction=prediction)
    found = cityscapes_scores(matrix, counts).to_dict()
    for table, figures in OFFICIAL.items():
        there = {name: value for name, value in found[table].items() if value is not None}
        assert there == pytest.approx(figures, abs=1e-12), table
    assert found["classes"] == 8
    assert found["mean_class_iou"] == pytest.approx(sum(OFFICIAL["class_iou"].values()) / 8)
    assert matrix.mean_iou("truth").classes == 9  # what was printed before: with ego vehicle, static and caravan


def test_evaluate_gives_them_beside_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truth, prediction, instances = label_id_scene()
    for folder in ("p", "t"):
        (tmp_path / folder).mkdir()
    Image.fromarray(truth).save(tmp_path / "t" / "a_0_0_gtFine_labelIds.png")
    Image.fromarray(instances).save(tmp_path / "t" / "a_0_0_gtFine_instanceIds.png")
    Image.fromarray(prediction).save(tmp_path / "p" / "a_0_0_leftImg8bit.png")
    arguments = ["--prediction", str(tmp_path / "p"), "--truth", str(tmp_path / "t"), "--catalog", "cityscapes34"]
    files = ["--json", str(tmp_path / "a.json"), "--html", str(tmp_path / "a.html")]
    assert run(["evaluate", *arguments, *files]) == 0
    mean = sum(OFFICIAL["class_iou"].values()) / 8
    text = capsys.readouterr().out
    assert f"benchmark mIoU  {mean:.4f}" in text
    assert "8 of its 19 classes" in text
    assert f"iIoU  {np.mean(list(OFFICIAL['instance_iou'].values())):.4f}" in text
    assert "category IoU" in text
    figures = json.loads((tmp_path / "a.json").read_text())["cityscapes"]
    assert figures["mean_class_iou"] == pytest.approx(mean)
    page = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert "over 8 of its 19 classes: mIoU" in page
    (tmp_path / "t" / "a_0_0_gtFine_instanceIds.png").unlink()
    assert run(["evaluate", *arguments]) == 0
    assert "it needs *_instanceIds.png" in capsys.readouterr().out
