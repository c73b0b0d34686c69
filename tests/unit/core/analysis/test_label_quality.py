"""Finding wrong labels: golden values of cleanlab, masked void, damped edges."""

from __future__ import annotations

import math

import numpy as np
import pytest

from deeplab_core.analysis import ClassConfidence, find_label_issues, label_quality, self_confidence, softmin
from deeplab_core.analysis.label_quality import scored_pixels
from tests.unit.core.metrics.maps import catalog_of

CATALOG = catalog_of(0, 9, 18)
#: (C, H, W), and labels by channel.
PROBABILITIES = np.array(
    [[[0.7, 0.2, 0.05], [0.5, 0.1, 0.9]], [[0.2, 0.5, 0.15], [0.25, 0.8, 0.05]], [[0.1, 0.3, 0.8], [0.25, 0.1, 0.05]]]
)
LABELS = np.array([[0, 9, 18], [9, 9, 18]], np.uint8)


@pytest.mark.parametrize(("temperature", "golden"), [(0.1, 0.07947901), (0.5, 0.34647911)])
def test_golden_values_of_cleanlab(temperature: float, golden: float) -> None:
    """``cleanlab.segmentation.rank.get_label_quality_scores`` of cleanlab 2.9.0 on the same arrays."""
    assert self_confidence(PROBABILITIES, LABELS, CATALOG).ravel() == pytest.approx([0.7, 0.5, 0.8, 0.25, 0.8, 0.05])
    assert label_quality(PROBABILITIES, LABELS, CATALOG, edge_band=0, temperature=temperature) == pytest.approx(golden, abs=1e-7)


def test_softmin_lies_between_the_minimum_and_the_mean() -> None:
    values = np.array([0.2, 0.9, 0.9])
    assert 0.2 < softmin(values) < values.mean()
    assert softmin(values, 1e-4) == pytest.approx(0.2)
    assert softmin(values, 1e4) == pytest.approx(values.mean(), rel=1e-3)
    assert softmin(np.full(5, 0.3)) == pytest.approx(0.3)
    assert math.isnan(softmin(np.zeros(0)))


def test_void_is_masked_first() -> None:
    labels = LABELS.copy()
    labels[1, 2] = labels[1, 0] = 255
    confidence = self_confidence(PROBABILITIES, labels, CATALOG)
    assert np.isnan(confidence[1, [0, 2]]).all()
    expected = softmin(np.array([0.7, 0.5, 0.8, 0.8]))
    assert label_quality(PROBABILITIES, labels, CATALOG, edge_band=0) == pytest.approx(expected, rel=1e-6)
    assert math.isnan(label_quality(PROBABILITIES, np.full((2, 3), 255, np.uint8), CATALOG))


def scene(size: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Truth with a square object, and probabilities of a model that draws it 2 px larger."""
    truth = np.zeros((size, size), np.uint8)
    truth[10:30, 10:30] = 9
    seen = np.zeros((size, size), bool)
    seen[8:32, 8:32] = True
    probabilities = np.full((3, size, size), 0.05, np.float32)
    probabilities[0][~seen] = probabilities[1][seen] = 0.9
    return truth, probabilities


def test_jitter_of_an_edge_is_damped() -> None:
    truth, probabilities = scene()
    assert label_quality(probabilities, truth, CATALOG) == pytest.approx(0.9)
    assert label_quality(probabilities, truth, CATALOG, edge_band=0) < 0.5
    thresholds = ClassConfidence.of(probabilities, truth, CATALOG).thresholds()
    assert find_label_issues(probabilities, truth, CATALOG, thresholds) == []
    jitter = find_label_issues(probabilities, truth, CATALOG, np.zeros(3), edge_band=0, least_px=1)
    assert [(issue.given, issue.suggested, issue.pixels) for issue in jitter] == [(0, 9, 24 * 24 - 20 * 20)]


def test_a_planted_error_is_found_with_its_place() -> None:
    truth, probabilities = scene(80)
    thresholds = ClassConfidence.of(probabilities, truth, CATALOG).thresholds()
    wrong = truth.copy()
    wrong[50:70, 50:70] = 18
    (issue,) = find_label_issues(probabilities, wrong, CATALOG, thresholds)
    assert (issue.given, issue.suggested) == (18, 0)
    assert issue.box.x > 50
    assert issue.box.x + issue.box.width < 70
    assert issue.lead == pytest.approx(0.85)
    assert issue.weight == pytest.approx(0.85 * issue.pixels)
    assert label_quality(probabilities, wrong, CATALOG) < label_quality(probabilities, truth, CATALOG)
    assert find_label_issues(probabilities, wrong, CATALOG, thresholds, least_px=1000) == []


def test_thresholds_pool_over_images_and_need_a_label() -> None:
    one = ClassConfidence.of(PROBABILITIES, LABELS, CATALOG, edge_band=0)
    both = one + one
    assert both.pixels.tolist() == [2, 6, 4]
    assert both.thresholds() == pytest.approx([0.7, (0.5 + 0.25 + 0.8) / 3, 0.425])
    never = ClassConfidence.of(PROBABILITIES, np.zeros((2, 3), np.uint8), CATALOG)
    assert never.thresholds()[1] == math.inf
    assert not scored_pixels(LABELS, 255).any()


def test_shapes_are_checked() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        label_quality(PROBABILITIES[:2], LABELS, CATALOG)
