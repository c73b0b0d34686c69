"""Rows of the classes dock: order, keys, figures, and what is not measured."""

from __future__ import annotations

from math import nan

import pytest

from app.viewmodels.annotate.class_rows import VOID_NAME, ClassFigures, class_rows, mean_text
from deeplab_core.catalogs import get_catalog

VOC = get_catalog("voc21")


def test_rows_follow_the_order_and_skip_ids_of_other_catalogs() -> None:
    rows = class_rows(VOC, [15, 0, 99, VOC.ignore], ClassFigures({}), keys={}, assigned={})
    assert [row.class_id for row in rows] == [15, 0, VOC.ignore]
    assert [row.name for row in rows] == ["person", "background", VOID_NAME]


def test_without_an_order_every_class_is_listed() -> None:
    rows = class_rows(VOC, (), ClassFigures({}), keys={}, assigned={})
    assert {row.class_id for row in rows} == {*VOC.ids.tolist(), VOC.ignore}
    assert not any(row.present for row in rows)


def test_keys_are_shown_and_assigned_ones_are_fixed() -> None:
    rows = {
        row.class_id: row for row in class_rows(VOC, [15, 9, 3], ClassFigures({}), keys={"1": 15, "2": 9}, assigned={"1": 15})
    }
    assert (rows[15].key, rows[15].fixed_key) == ("1", True)
    assert (rows[9].key, rows[9].fixed_key) == ("2", False)
    assert (rows[3].key, rows[3].fixed_key) == ("", False)


def test_iou_has_a_difference_only_if_both_are_measured() -> None:
    measured = ClassFigures({15: 0.25}, frozenset({9}), iou={15: 0.8, 9: nan, 3: 0.5}, before={15: 0.6, 9: 0.1, 3: nan})
    rows = {row.class_id: row for row in class_rows(VOC, [15, 9, 3, 4], measured, keys={}, assigned={}, hidden={9})}
    assert rows[15].iou == 0.8
    assert rows[15].delta == pytest.approx(0.2)
    assert rows[15].share == 0.25
    assert (rows[9].iou, rows[9].delta, rows[9].present, rows[9].visible) == (None, None, True, False)
    assert (rows[3].iou, rows[3].delta, rows[3].present) == (0.5, None, True)
    assert not rows[4].present


def test_the_mean_says_what_it_is_over_and_is_never_a_zero_that_is_not_measured() -> None:
    assert mean_text(0.5, 1, 0.75) == "Image: mIoU over the 1 class of its ground truth, pixel accuracy 75.0\u00a0%."
    assert mean_text(nan, 3, nan) == "Image: not measured, nothing is labelled yet."
    assert mean_text(nan, 0, nan) == ""
