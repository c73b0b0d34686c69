"""Doubt of a folder, gathered image by image."""

from __future__ import annotations

import json

import pytest

from deeplab_core.analysis.doubts import DoubtedLabel, ImageDoubt
from deeplab_core.analysis.folder_doubt import DOUBT_ORDERS, FolderDoubt
from deeplab_core.catalogs import get_catalog
from deeplab_core.geometry import Box


def image(score: float, wrong: int | None = None, *weights: float) -> ImageDoubt:
    labels = tuple(DoubtedLabel(9, 18, Box(1, 2, 3, 4), 70, weight) for weight in weights)
    scores = {"confidence": score, "other": 10 * score}
    return ImageDoubt(scores if wrong is None else scores | {"labels": score / 2}, 100, wrong, labels)


def test_orders_gain_and_quality() -> None:
    found = FolderDoubt(get_catalog("voc21"))
    for name, doubt in {"a": image(0.1, 0), "b": image(0.9, 30), "c": image(0.5), "d": image(0.2, 10)}.items():
        found.add(name, doubt)
    ranking = found.ranking()
    assert ranking.order("confidence") == ["b", "c", "d", "a"]
    assert list(ranking.scores) == ["confidence", "second_model"]
    assert ranking.text["second_model"] == DOUBT_ORDERS["second_model"]
    gain = ranking.gain("confidence")
    assert gain is not None
    assert gain.found_after(1 / 3) == pytest.approx(0.75)  # of a, b and d: those with truth
    assert gain.skill == pytest.approx(1)
    assert list(found.label_quality().items()) == [("b", 0.55), ("d", 0.9), ("a", 0.95)]
    data = json.loads(json.dumps(found.to_dict(label_errors=False), allow_nan=False))
    assert data["truth"] == [
        {"image": "a", "pixels": 100, "wrong_px": 0}, {"image": "b", "pixels": 100, "wrong_px": 30},
        {"image": "d", "pixels": 100, "wrong_px": 10},
    ]  # fmt: skip
    assert data["orders"]["confidence"]["gain"]["found_in_first_tenth"] == pytest.approx(0.225)
    assert "label_errors" not in data


def test_only_the_heaviest_regions_are_kept_and_all_are_counted() -> None:
    found = FolderDoubt(get_catalog("voc21"), regions=3)
    for number in range(10):
        found.add(f"{number}", image(0.1, 5, float(number), number + 0.5))
        assert len(found._regions) <= 6
    assert [(region.image, region.label.weight) for region in found.regions()] == [("9", 9.5), ("9", 9.0), ("8", 8.5)]
    listed = found.to_dict(label_errors=True)["label_errors"]
    assert listed["regions_found"] == 20
    assert listed["regions"][0] == {"image": "9", "given": 9, "likely": 18, "box": [1, 2, 3, 4], "pixels": 70, "weight": 9.5}


def test_an_image_counts_once() -> None:
    found = FolderDoubt(get_catalog("voc21"))
    found.add("a", image(0.1))
    with pytest.raises(ValueError, match="counted already"):
        found.add("a", image(0.2))
