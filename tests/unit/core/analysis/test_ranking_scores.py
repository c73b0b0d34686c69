"""Ranking scores of one image's prediction, and its possible label errors."""

from __future__ import annotations

import numpy as np
import pytest

from deeplab_core.analysis import RANKINGS, ImageAnalysis, measure_ranking
from deeplab_core.analysis.record import CONFIDENCE_LEVELS
from deeplab_core.catalogs import get_catalog
from deeplab_core.catalogs.catalog import IGNORE
from deeplab_core.geometry import Box

VOC = get_catalog("voc21")
SHAPE = 60, 80


def plain(level: int = 230) -> tuple[np.ndarray, np.ndarray]:
    labels = np.zeros(SHAPE, dtype=np.uint8)
    labels[:, 40:] = 9
    return labels, np.full(SHAPE, level, dtype=np.uint8)


def test_confidence_alone_orders_images_without_truth() -> None:
    labels, confidence = plain(204)
    found = measure_ranking(labels, confidence, VOC, model={"margin": 0.3, "entropy": 0.4})
    assert found.scores["confidence"] == pytest.approx(0.2)
    assert found.scores["least_certain"] == pytest.approx(0.2)
    assert (found.scores["margin"], found.scores["entropy"]) == (0.3, 0.4)
    assert found.wrong_px is None
    assert CONFIDENCE_LEVELS not in found.counts
    assert set(found.scores) <= set(RANKINGS)


def test_truth_says_how_much_is_wrong_at_which_confidence() -> None:
    labels, confidence = plain(230)
    truth = labels.copy()
    truth[:30, :10] = 15
    truth[50:, :] = IGNORE
    exclude = np.zeros(SHAPE, dtype=bool)
    exclude[:10, :10] = True
    found = measure_ranking(labels, confidence, VOC, truth=truth, exclude=exclude)
    assert found.labelled_px == 50 * 80 - 100
    assert found.wrong_px == 200
    levels = found.whole(CONFIDENCE_LEVELS)
    assert levels[230].tolist() == [200, 50 * 80 - 100 - 200]
    assert levels.sum() == found.labelled_px


def test_a_planted_wrong_label_is_found_and_a_shifted_edge_is_not() -> None:
    labels, confidence = plain(250)
    truth = labels.copy()
    truth[:, 38:40] = 9  # an edge drawn two pixels off
    truth[20:40, 5:30] = 18
    found = measure_ranking(labels, confidence, VOC, truth=truth)
    (issue,) = found.issues
    assert (issue.given, issue.suggested) == (18, 0)
    assert Box(5, 20, 25, 20).holds(issue.box)
    clean = measure_ranking(labels, confidence, VOC, truth=labels)
    assert clean.issues == ()
    assert found.scores["label_errors"] > 0.5 > clean.scores["label_errors"]


def test_an_unsure_model_doubts_no_label() -> None:
    labels, confidence = plain(150)
    truth = np.full(SHAPE, 18, dtype=np.uint8)
    assert measure_ranking(labels, confidence, VOC, truth=truth).issues == ()


def test_disagreement_counts_pixels_away_from_edges() -> None:
    labels, confidence = plain()
    other = labels.copy()
    other[5:15, 5:15] = 20
    found = measure_ranking(labels, confidence, VOC, others=[other, labels], refined=other)
    assert found.scores["disagreement"] == 50
    assert found.scores["crf"] == 100


def test_scores_that_no_ranking_has_are_left_out() -> None:
    labels, confidence = plain()
    assert "charm" not in measure_ranking(labels, confidence, VOC, model={"charm": 0.3}).scores


def test_figures_come_back_from_their_bytes() -> None:
    labels, confidence = plain(250)
    truth = labels.copy()
    truth[20:40, 5:30] = 18
    found = measure_ranking(labels, confidence, VOC, truth=truth)
    again = ImageAnalysis.from_bytes(found.to_bytes(), VOC)
    assert (again.scores, again.labelled_px, again.wrong_px, again.issues) == (
        found.scores, found.labelled_px, found.wrong_px, found.issues,
    )  # fmt: skip
    assert np.array_equal(again.whole(CONFIDENCE_LEVELS), found.whole(CONFIDENCE_LEVELS))
