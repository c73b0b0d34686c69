"""Ways to read a confusion matrix."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from deeplab_core.analysis import (
    by_column,
    by_row,
    confused_pairs,
    neighbourly_order,
    pair_scores,
    pixel_cost,
    without,
    worst_cells,
)
from deeplab_core.analysis.views import background_channel
from deeplab_core.catalogs import get_catalog

#: Truth background, chair, sofa; the last column is void.
COUNTS = np.array([[800, 20, 0, 0], [40, 100, 50, 10], [0, 30, 170, 0]])


def test_rows_columns_and_cost() -> None:
    assert by_row(COUNTS)[1].tolist() == [0.2, 0.5, 0.25, 0.05]
    assert by_column(COUNTS)[:, 1] == pytest.approx([20 / 150, 100 / 150, 30 / 150])
    assert pixel_cost(COUNTS)[1, 2] == 50 / 1220
    empty = np.zeros((2, 3), np.int64)
    assert np.isnan(by_row(empty)).all()
    assert np.isnan(by_column(empty)).all()
    assert np.isnan(pixel_cost(empty)).all()


def test_pair_scores_are_symmetric() -> None:
    scores = pair_scores(COUNTS)
    assert scores[1, 2] == scores[2, 1] == 80 / 400
    assert np.isnan(np.diag(scores)).all()


def test_without_background_nothing_of_it_is_left() -> None:
    rest = without(COUNTS, 0)
    assert rest[0].sum() == rest[:, 0].sum() == 0
    assert rest[1].tolist() == [0, 100, 50, 10]
    assert COUNTS[0, 0] == 800
    np.testing.assert_array_equal(without(COUNTS, None), COUNTS)
    assert background_channel(get_catalog("voc21")) == 0
    assert background_channel(get_catalog("camvid11")) is None


def test_confused_pairs_name_both_directions() -> None:
    catalog = get_catalog("voc21")
    counts = np.zeros((21, 22), np.int64)
    np.fill_diagonal(counts, 1000)
    counts[9, 18], counts[18, 9], counts[0, 15], counts[12, 13] = 300, 100, 5000, 10
    first, second = confused_pairs(counts, catalog)
    assert (first.one, first.other, first.forward, first.backward) == (9, 18, 300, 100)
    assert first.score == 400 / 2400
    assert (second.one, second.other) == (12, 13)
    assert confused_pairs(counts, catalog, background=True)[0].other == 15
    assert len(confused_pairs(counts, catalog, limit=1)) == 1


def test_worst_cells_leave_the_diagonal_out() -> None:
    assert worst_cells(COUNTS, limit=3) == [(1, 2), (1, 0), (2, 1)]
    assert worst_cells(COUNTS)[-1] == (1, 3)
    assert worst_cells(np.diag([3, 4, 5])[:, :3]) == []


def test_confused_classes_come_side_by_side() -> None:
    counts = np.zeros((6, 7), np.int64)
    np.fill_diagonal(counts, 100)
    for one, other in ((0, 3), (3, 5), (1, 4)):  # two chains; 2 is confused with none
        counts[one, other] = 40
    order = neighbourly_order(counts).tolist()
    assert sorted(order) == list(range(6))
    assert order[:3] in ([0, 3, 5], [5, 3, 0])
    assert set(order[3:5]) == {1, 4}
    assert order[5] == 2


def test_the_package_loads_without_opencv_pillow_and_torch() -> None:
    """The window's process imports it before its first frame."""
    code = "import sys, deeplab_core.analysis; print(sorted({'cv2', 'PIL', 'torch', 'numba'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
