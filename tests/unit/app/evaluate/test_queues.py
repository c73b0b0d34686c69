"""Figures of doubt of one image, and the orders that a folder's images are looked at in."""

from __future__ import annotations

import numpy as np
import pytest

from app.state.predictions import PredictionCache
from app.state.queues import ORDERS, Queues, worst_first
from deeplab_core.analysis.doubts import ImageDoubt, measure_doubt
from deeplab_core.catalogs.catalog import IGNORE
from deeplab_core.geometry import Box
from tests.unit.app.predict.test_project_predictions import make_prediction

SHAPE = 60, 80


def plain(level: int = 230) -> tuple[np.ndarray, np.ndarray]:
    labels = np.zeros(SHAPE, dtype=np.uint8)
    labels[:, 40:] = 9
    return labels, np.full(SHAPE, level, dtype=np.uint8)


def test_confidence_alone_orders_images_without_truth() -> None:
    labels, confidence = plain(204)
    doubt = measure_doubt(labels, confidence, IGNORE, doubt={"margin": 0.3, "entropy": 0.4})
    assert doubt.scores["confidence"] == pytest.approx(0.2)
    assert doubt.scores["least_certain"] == pytest.approx(0.2)
    assert (doubt.scores["model_margin"], doubt.scores["model_entropy"]) == (0.3, 0.4)
    assert doubt.wrong_px is None
    assert doubt.levels is None
    assert set(doubt.scores) <= set(ORDERS)


def test_truth_says_how_much_is_wrong_at_which_confidence() -> None:
    labels, confidence = plain(230)
    truth = labels.copy()
    truth[:30, :10] = 15
    truth[50:, :] = IGNORE
    exclude = np.zeros(SHAPE, dtype=bool)
    exclude[:10, :10] = True
    doubt = measure_doubt(labels, confidence, IGNORE, truth=truth, exclude=exclude)
    assert doubt.pixels == 50 * 80 - 100
    assert doubt.wrong_px == 200
    assert doubt.levels[230].tolist() == [200, 50 * 80 - 100 - 200]
    assert doubt.levels.sum() == doubt.pixels


def test_a_planted_wrong_label_is_found_and_a_shifted_edge_is_not() -> None:
    labels, confidence = plain(250)
    truth = labels.copy()
    truth[:, 38:40] = 9  # an edge drawn two pixels off
    truth[20:40, 5:30] = 18
    doubt = measure_doubt(labels, confidence, IGNORE, truth=truth)
    (issue,) = doubt.issues
    assert (issue.given, issue.suggested) == (18, 0)
    assert Box(5, 20, 25, 20).holds(issue.box)
    clean = measure_doubt(labels, confidence, IGNORE, truth=labels)
    assert clean.issues == ()
    assert doubt.scores["labels"] > 0.5 > clean.scores["labels"]


def test_an_unsure_model_doubts_no_label() -> None:
    labels, confidence = plain(150)
    truth = np.full(SHAPE, 18, dtype=np.uint8)
    assert measure_doubt(labels, confidence, IGNORE, truth=truth).issues == ()


def test_disagreement_counts_pixels_away_from_edges() -> None:
    labels, confidence = plain()
    other = labels.copy()
    other[5:15, 5:15] = 20
    doubt = measure_doubt(labels, confidence, IGNORE, others=[other, labels], refined=other)
    assert doubt.scores["other"] == 50
    assert doubt.scores["crf"] == 100


def test_figures_come_back_from_their_bytes() -> None:
    labels, confidence = plain(250)
    truth = labels.copy()
    truth[20:40, 5:30] = 18
    doubt = measure_doubt(labels, confidence, IGNORE, truth=truth)
    again = ImageDoubt.from_bytes(doubt.to_bytes())
    assert (again.scores, again.pixels, again.wrong_px, again.issues) == (
        doubt.scores, doubt.pixels, doubt.wrong_px, doubt.issues,
    )  # fmt: skip
    assert np.array_equal(again.levels, doubt.levels)
    assert ImageDoubt.from_bytes(b"{}") is None
    assert ImageDoubt.from_bytes(doubt.to_bytes()[:-30]) is None


def folder() -> Queues:
    queues = Queues()
    for image, (score, wrong) in {1: (0.1, 5), 2: (0.9, 100), 3: (0.5, 0)}.items():
        levels = np.zeros((256, 2), dtype=np.int64)
        levels[200] = wrong, 1000 - wrong
        queues.put(image, ImageDoubt({"confidence": score}, 1000, wrong, (), levels))
    return queues


def test_an_order_and_how_well_it_finds_the_errors() -> None:
    queues = folder()
    assert worst_first(queues.scores("confidence", {})) == [2, 3, 1]
    gain = queues.gain("confidence", {})
    assert gain.found_after(1 / 3) == pytest.approx(100 / 105)
    assert gain.skill > 0.9
    assert queues.gain("crf", {}) is None
    assert worst_first(queues.scores("iou", {1: 0.9, 2: 0.3})) == [2, 1]
    assert queues.available({1: 0.9}) == {**dict.fromkeys(ORDERS, 0), "confidence": 3, "iou": 1}


def test_replacing_and_dropping_an_image_leaves_no_trace() -> None:
    queues = folder()
    queues.put(2, ImageDoubt({"confidence": 0.2}, 10))
    queues.drop(3)
    queues.drop(77)
    assert queues.levels.sum() == 1000
    assert queues.levels[200].tolist() == [5, 995]
    assert sorted(queues) == [1, 2]


def test_the_cache_says_what_it_keeps_of_an_image(tmp_path) -> None:
    cache = PredictionCache(tmp_path / "p")
    assert cache.kept() == {}
    one, other = make_prediction(), make_prediction(key="other")
    cache.put(one)
    cache.put(other)
    (tmp_path / "p" / "aa").mkdir(exist_ok=True)
    (tmp_path / "p" / "aa" / "broken.npz").write_bytes(b"no zip")
    key = (one.card_id, one.options.cache_key())
    assert cache.kept() == {"k": [key], "other": [key]}
