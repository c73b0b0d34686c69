from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from deeplab_core.metrics import ConfusionMatrix, scores
from tests.unit.core.metrics.maps import GAPPED

#: Four classes: the third is only predicted, the fourth is in neither.
COUNTS = np.array([[6, 2, 1, 0, 1], [0, 8, 2, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]], dtype=np.int64)


def test_the_three_rules_for_absent_classes() -> None:
    iou = [6 / 10, 8 / 12, 0.0]
    assert scores.mean_iou(COUNTS, "union") == (pytest.approx(sum(iou) / 3), 3)
    assert scores.mean_iou(COUNTS, "truth") == (pytest.approx(sum(iou[:2]) / 2), 2)
    assert scores.mean_iou(COUNTS, "all") == (pytest.approx(sum(iou) / 4), 4)
    with pytest.raises(ValueError, match="unknown rule 'mean'"):
        scores.mean_iou(COUNTS, "mean")  # type: ignore[arg-type]


@pytest.mark.parametrize("rule", ["union", "truth", "all"])
def test_nothing_counted_has_no_mean(rule) -> None:
    value, classes = scores.mean_iou(np.zeros_like(COUNTS), rule)
    assert math.isnan(value)
    assert classes == 0


def test_dice_is_the_harmonic_mean_of_precision_and_recall() -> None:
    precision, recall = scores.class_precision(COUNTS)[:2], scores.class_recall(COUNTS)[:2]
    np.testing.assert_allclose(scores.class_dice(COUNTS)[:2], 2 * precision * recall / (precision + recall))
    assert scores.class_dice(COUNTS)[2] == 0
    assert math.isnan(scores.class_dice(COUNTS)[3])


@given(hnp.arrays(np.int64, (4, 5), elements=st.integers(0, 50)), st.permutations(range(4)))
def test_a_group_is_the_class_that_its_members_merge_into(counts: np.ndarray, order: list[int]) -> None:
    first, second = sorted(order[:2])
    rest = sorted(order[2:])
    merged = np.zeros((3, 4), np.int64)
    home = {first: 0, second: 0, rest[0]: 1, rest[1]: 2, 4: 3}
    for row, column in np.ndindex(4, 5):
        merged[home[row], home[column]] += counts[row, column]
    found = ConfusionMatrix(GAPPED, counts).group_iou([(first, second), (rest[0],), (rest[1],)])
    np.testing.assert_array_equal(found, scores.class_iou(merged))


@given(hnp.arrays(np.int64, (3, 4, 5), elements=st.integers(0, 9)))
def test_scores_of_a_stack_are_those_of_its_layers(stack: np.ndarray) -> None:
    for name in ("class_iou", "class_dice", "class_recall", "class_precision", "pixel_accuracy", "frequency_weighted_iou"):
        score = getattr(scores, name)
        np.testing.assert_array_equal(score(stack), np.stack([score(layer) for layer in stack]))
    np.testing.assert_array_equal(scores.group_iou(stack, [(0, 2)])[:, 0], [scores.group_iou(s, [(0, 2)])[0] for s in stack])
