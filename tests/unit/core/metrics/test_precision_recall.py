"""Precision, recall and average precision against scikit-learn's definition, written down independently."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from deeplab_core.analysis.evaluate import evaluate_folders
from deeplab_core.catalogs.catalog import ClassCatalog, ClassInfo
from deeplab_core.errors import MaskFormatError
from deeplab_core.metrics.calibration import Calibration
from deeplab_core.metrics.precision_recall import PrecisionRecall, first_level, object_channel

TWO = ClassCatalog("two", "Two", (ClassInfo(0, "ground", (0, 0, 0)), ClassInfo(3, "square", (255, 0, 0))), background=0)


def by_definition(scores: list[int], truth: list[bool]) -> tuple[list[tuple[float, float, int]], float]:
    """``precision_recall_curve`` and ``average_precision_score`` as scikit-learn documents them, with plain loops.

    "AP = sum_n (R_n - R_{n-1}) P_n where P_n and R_n are the precision and recall at the nth threshold": thresholds are the
    distinct scores, a sample is positive where its score is at least the threshold.
    """
    points: list[tuple[float, float, int]] = []
    area, before = 0.0, 0.0
    for threshold in sorted(set(scores), reverse=True):
        called = [t for s, t in zip(scores, truth, strict=True) if s >= threshold]
        precision, recall = sum(called) / len(called), sum(called) / sum(truth)
        points.append((precision, recall, threshold))
        area += (recall - before) * precision
        before = recall
    return points, area


def counted(scores: list[int], truth: list[bool]) -> PrecisionRecall:
    counts = np.zeros((256, 2), np.int64)
    np.add.at(counts, (np.array(scores), np.array(truth).astype(int)), 1)
    return PrecisionRecall(counts)


def test_the_example_of_scikit_learns_documentation() -> None:
    """``average_precision_score([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])`` is 0.8333 in its documentation."""
    found = counted([26, 102, 89, 204], [False, False, True, True])
    assert found.average_precision == pytest.approx(0.8333, abs=1e-4)
    levels, precision, recall, _ = found.curve()
    assert levels.tolist() == [204, 102, 89, 26]
    np.testing.assert_allclose(precision, [1, 0.5, 2 / 3, 0.5])
    np.testing.assert_allclose(recall, [0.5, 0.5, 1, 1])


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 255), st.booleans()), min_size=1, max_size=60))
def test_every_curve_is_the_definitions(pairs: list[tuple[int, bool]]) -> None:
    scores, truth = [score for score, _ in pairs], [value for _, value in pairs]
    found = counted(scores, truth)
    if not any(truth):
        assert math.isnan(found.average_precision)
        assert found.best is None
        assert not found.measured
        return
    points, area = by_definition(scores, truth)
    levels, precision, recall, iou = found.curve()
    assert levels.tolist() == [threshold for _, _, threshold in points]
    np.testing.assert_allclose(precision, [p for p, _, _ in points])
    np.testing.assert_allclose(recall, [r for _, r, _ in points])
    assert found.average_precision == pytest.approx(area)
    best = found.best
    assert best is not None
    ious = [
        sum(t for s, t in pairs if s >= level) / (sum(truth) + sum(not t for s, t in pairs if s >= level))
        for level in levels.tolist()
    ]
    np.testing.assert_allclose(iou, ious)
    within = [value for value, level in zip(ious, levels.tolist(), strict=True) if level > 0]  # a threshold lies above 0
    assert best.iou == pytest.approx(max(within, default=0.0))
    assert 0 < best.threshold < 1


@pytest.mark.parametrize("threshold", [0.001, 0.1, 0.25, 0.5, 0.501, 0.75, 0.999])
def test_a_threshold_calls_the_levels_above_it(threshold: float) -> None:
    p = np.linspace(0, 1, 100_001)
    level = np.rint(255 * p)
    called = level >= first_level(threshold)
    wrong = called != (p > threshold)
    assert np.abs(p[wrong] - threshold).max(initial=0) <= 0.5 / 255 + 1e-5


def test_the_object_is_what_is_not_the_background() -> None:
    assert object_channel(TWO) == 1
    ground, square = TWO.classes
    assert object_channel(ClassCatalog("a", "a", (square, ground), background=0)) == 0
    assert object_channel(ClassCatalog("b", "b", (ground, square))) == 1


def fields(seed: int) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """(H, W) probabilities and ground truth that go together, some of it void."""
    rng = np.random.default_rng(seed)
    truth = (rng.random((40, 50)) < 0.3).astype(np.uint8) * 3
    p = 1 / (1 + np.exp(-(rng.normal(0, 1.2, truth.shape) + np.where(truth == 3, 0.9, -1.4))))
    truth[:2] = 255
    return p, truth


def mask_of(p: NDArray[np.float64], threshold: float) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    labels = np.where(p > threshold, 3, 0).astype(np.uint8)
    return labels, np.rint(255 * np.where(labels == 3, p, 1 - p)).astype(np.uint8)


@pytest.mark.parametrize("threshold", [0.5, 0.2, 0.8])
def test_labels_and_confidence_give_the_curve_whatever_threshold_made_them(threshold: float) -> None:
    p, truth = fields(0)
    labels, confidence = mask_of(p, threshold)
    found = PrecisionRecall.of_calibration(Calibration(TWO).update(truth=truth, prediction=labels, confidence=confidence))
    assert found is not None
    known = truth != 255
    _, exact = by_definition(np.rint(255 * p[known]).astype(int).tolist(), (truth[known] == 3).tolist())
    assert found.average_precision == pytest.approx(exact, abs=2e-3)  # levels at halves round to either side
    fine = np.round(1e6 * p[known]).astype(int)
    _, unrounded = by_definition(fine[:400].tolist(), (truth[known][:400] == 3).tolist())
    some = Calibration(TWO).update(
        truth=truth[known][:400][None], prediction=labels[known][:400][None], confidence=confidence[known][:400][None]
    )
    rounded = PrecisionRecall.of_calibration(some)
    assert rounded is not None
    assert rounded.average_precision == pytest.approx(unrounded, abs=2e-3)
    point = found.at(threshold)
    hits = int(((labels == 3) & (truth == 3)).sum())
    assert point.precision == pytest.approx(hits / ((labels == 3) & known).sum(), abs=0.01)
    assert point.recall == pytest.approx(hits / (truth == 3).sum(), abs=0.01)


def test_more_than_two_classes_have_no_curve() -> None:
    three = ClassCatalog("three", "Three", (*TWO.classes, ClassInfo(5, "other", (1, 1, 1))))
    assert PrecisionRecall.of_calibration(Calibration(three)) is None


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    for name in ("masks", "truth"):
        (tmp_path / name).mkdir()
    for number in range(3):
        p, truth = fields(number)
        labels, confidence = mask_of(p, 0.5)
        Image.fromarray(truth).save(tmp_path / "truth" / f"i{number}.png")
        Image.fromarray(labels).save(tmp_path / "masks" / f"i{number}.png")
        Image.fromarray(confidence).save(tmp_path / "masks" / f"i{number}.confidence.png")
    return tmp_path / "masks", tmp_path / "truth"


def test_a_folder_of_masks_and_confidence_maps_is_evaluated(folders: tuple[Path, Path]) -> None:
    masks, truth = folders
    result = evaluate_folders(masks, [truth], TWO, resamples=0, boundary=False)
    found = result.precision_recall
    assert found is not None
    point = result.predicted_point
    assert point.iou == pytest.approx(float(result.matrix.iou()[1]))
    assert found.at(0.5).iou == pytest.approx(point.iou, abs=0.01)
    best = found.best
    assert best is not None
    assert best.iou >= point.iou - 1e-9
    data = result.to_dict()["precision_recall"]
    assert data["object"] == "square"
    assert data["average_precision"] == pytest.approx(found.average_precision)
    assert data["predicted"]["iou"] == pytest.approx(point.iou)
    plain = evaluate_folders(masks, [truth], ClassCatalog("t", "t", (*TWO.classes, ClassInfo(9, "x", (1, 1, 1)))), resamples=0)
    assert plain.to_dict()["precision_recall"] is None


@pytest.mark.parametrize("threshold", [0.1, 0.35, 0.7])
def test_another_threshold_is_measured_from_what_was_kept(threshold: float, folders: tuple[Path, Path]) -> None:
    masks, truth = folders
    result = evaluate_folders(masks, [truth], TWO, resamples=0, boundary=False, threshold=threshold)
    matrix = np.zeros((2, 2), int)
    for number in range(3):
        p, known = fields(number)
        called = (p > threshold).astype(int)
        valid = known != 255
        np.add.at(matrix, ((known[valid] == 3).astype(int), called[valid]), 1)
    iou = matrix[1, 1] / (matrix[1].sum() + matrix[0, 1])
    assert float(result.matrix.iou()[1]) == pytest.approx(iou, abs=0.01)
    assert result.threshold == threshold
    # The curve does not move with the threshold.
    whole, again = evaluate_folders(masks, [truth], TWO, resamples=0, boundary=False).precision_recall, result.precision_recall
    assert whole is not None
    assert again is not None
    assert again.average_precision == pytest.approx(whole.average_precision, abs=2e-3)


def test_a_threshold_without_confidence_or_with_more_classes_is_refused(folders: tuple[Path, Path]) -> None:
    masks, truth = folders
    (masks / "i1.confidence.png").unlink()
    result = evaluate_folders(masks, [truth], TWO, resamples=0, boundary=False, threshold=0.3)
    assert len(result.images) == 2
    assert "no confidence map" in str(result.failures[0])
    three = ClassCatalog("three", "Three", (*TWO.classes, ClassInfo(5, "other", (1, 1, 1))))
    with pytest.raises(MaskFormatError, match="for two classes"):
        evaluate_folders(masks, [truth], three, threshold=0.3)
    with pytest.raises(ValueError, match="between 0 and 1"):
        evaluate_folders(masks, [truth], TWO, threshold=1.5)
