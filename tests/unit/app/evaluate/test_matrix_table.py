"""How a confusion matrix is laid out for the eye."""

from __future__ import annotations

import numpy as np
import pytest

from app.viewmodels.evaluate.matrix_table import (
    MatrixOrder,
    MatrixScale,
    costly_cells,
    matrix_table,
    scale_texts,
    short_count,
    short_percent,
)
from deeplab_core.catalogs import get_catalog

VOC = get_catalog("voc21")


def counts(**cells: int) -> np.ndarray:
    made = np.zeros((21, 22), np.int64)
    for name, pixels in cells.items():
        row, column = (int(part) for part in name[1:].split("_"))
        made[row, column] = pixels
    return made


PLAIN = counts(c0_0=9000, c9_9=600, c9_18=300, c9_0=100, c18_18=500, c18_9=100, c9_21=7)


def test_classes_that_do_not_occur_are_left_out_unless_asked_for():
    table = matrix_table(PLAIN, VOC)
    assert table.rows.tolist() == [0, 9, 18]
    assert table.columns.tolist() == [0, 9, 18, 21]
    assert table.cell(1, 3) == (9, 255)
    assert table.name(21) == "void"
    assert len(matrix_table(PLAIN, VOC, empty=True).rows) == 21
    assert matrix_table(PLAIN, VOC, background=False).rows.tolist() == [9, 18]


def test_scales_say_what_they_promise():
    rows = matrix_table(PLAIN, VOC, scale=MatrixScale.ROWS)
    assert rows.values[1, 2] == pytest.approx(300 / 1007)
    columns = matrix_table(PLAIN, VOC, scale=MatrixScale.COLUMNS)
    assert columns.values[1, 2] == pytest.approx(300 / 800)
    pairs = matrix_table(PLAIN, VOC, scale=MatrixScale.PAIRS)
    assert pairs.values[1, 2] == pairs.values[2, 1] == pytest.approx(400 / 1607)
    assert pairs.counts[1, 2] == 400
    assert pairs.counts[1, 1] == 600
    assert pairs.text(1, 1) == ""
    assert matrix_table(PLAIN, VOC, scale=MatrixScale.COUNTS).text(0, 0) == "9.0k"


@pytest.mark.parametrize("scale", MatrixScale)
def test_colours_stay_in_range_and_nothing_is_colourless_only_where_empty(scale):
    table = matrix_table(PLAIN, VOC, scale=scale)
    assert table.strength.min() >= 0
    assert table.strength.max() <= 1
    assert (table.strength[table.counts == 0] == 0).all()


def test_the_costliest_class_comes_first_and_neighbours_stand_together():
    assert matrix_table(PLAIN, VOC, order=MatrixOrder.COST).rows.tolist() == [9, 18, 0]
    far = counts(c1_1=9, c1_20=5, c20_20=9, c5_5=9)
    order = matrix_table(far, VOC, order=MatrixOrder.NEIGHBOURS).rows.tolist()
    assert abs(order.index(1) - order.index(20)) == 1


def test_costly_cells_are_ordered_and_may_leave_the_background_out():
    assert costly_cells(PLAIN, VOC, background=True)[:2] == [(9, 18, 300), (9, 0, 100)]
    assert costly_cells(PLAIN, VOC, background=False) == [(9, 18, 300), (18, 9, 100), (9, 255, 7)]


COUNTS = {0: "0", 999: "999", 1000: "1.0k", 12_345: "12.3k", 99_960: "100k", 999_400: "999k", 999_600: "1.0M", 4_567_890: "4.6M"}
SHARES = {0.0: "0", 0.0001: "<0.1", 0.0812: "8.1", 0.0997: "10", 0.925: "92", 1: "100"}


@pytest.mark.parametrize(("number", "text"), COUNTS.items())
def test_counts_are_short(number, text):
    assert short_count(number) == text


@pytest.mark.parametrize(("share", "text"), SHARES.items())
def test_shares_are_short(share, text):
    assert short_percent(share) == text


@pytest.mark.parametrize("scale", list(MatrixScale))
def test_the_scale_of_colours_inverts_how_strongly_cells_are_coloured(scale):
    table = matrix_table(PLAIN, VOC, scale=scale)
    right = table.rows[:, None] == table.columns[None, :]
    for part, cells in ((True, right), (False, ~right)):
        texts = scale_texts(table, right=part)
        if scale is MatrixScale.PAIRS and part:
            assert texts == ()  # a class is not confused with itself
            continue
        assert len(texts) == 5
        if scale in (MatrixScale.ROWS, MatrixScale.COLUMNS):
            assert texts == ("4.0 %", "16 %", "36 %", "64 %", "100 %")
            assert np.allclose(table.strength[cells] ** 2, np.nan_to_num(table.values)[cells])
        else:
            most = np.nan_to_num(table.values)[cells].max()
            assert texts[-1] == (short_count(round(most)) if scale is MatrixScale.COUNTS else f"{short_percent(most)} %")
            assert table.strength[cells].max() == 1.0


def test_without_wrong_pixels_the_scale_has_no_wrong_steps():
    table = matrix_table(counts(c0_0=9), VOC)
    assert scale_texts(table, right=False) == ()
    assert len(scale_texts(table, right=True)) == 5
