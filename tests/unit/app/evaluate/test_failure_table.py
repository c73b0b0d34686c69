"""The failure board and the slices as rows and bars."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from app.viewmodels.evaluate.failure_table import class_parts, failure_lines, slice_charts, with_intervals
from deeplab_core.analysis import FailureKind, inspect_image
from deeplab_core.analysis.folder import FolderAnalysis
from deeplab_core.analysis.inspection import FolderInspection
from deeplab_core.analysis.slices import ObjectAxis, PixelAxis
from deeplab_core.analysis.summary import inspection_to_dict
from deeplab_core.catalogs import get_catalog

VOC = get_catalog("voc21")
CHAIR, SOFA = 9, 18


@pytest.fixture
def folder() -> FolderAnalysis:
    """A chair, half of it called sofa, and a chair of which nothing was found."""
    truth = np.zeros((60, 90), np.uint8)
    truth[5:45, 5:45] = CHAIR
    truth[10:40, 60:80] = CHAIR
    prediction = truth.copy()
    prediction[5:45, 25:45] = SOFA
    prediction[10:40, 60:80] = 0
    made = FolderAnalysis(VOC)
    made.update("1", inspect_image(truth=truth, prediction=prediction, catalog=VOC, rgb=np.full((60, 90, 3), 90, np.uint8)))
    return made


def test_lines_over_all_classes_are_the_boards(folder):
    lines = {line.kind: line for line in failure_lines(folder)}
    assert list(lines) == list(FailureKind)
    assert lines[FailureKind.CLASS_SWAP].pixels <= 800
    assert lines[FailureKind.MISSED_OBJECT].pixels == 600
    assert lines[FailureKind.MISSED_OBJECT].instances == 1
    assert [line.kind for line in lines.values() if line.part] == [
        FailureKind.BOUNDARY,
        FailureKind.EXTENT,
        FailureKind.SEGMENT,
    ]


def test_the_parts_of_one_class_add_up_to_its_wrong_pixels(folder):
    lines = [line for line in failure_lines(folder, CHAIR) if line.part]
    assert sum(line.share for line in lines) == pytest.approx(1)
    assert sum(line.pixels for line in lines) == 1400
    assert sum(line.gain for line in lines) > 0
    assert all(line.instances is None for line in lines)


def test_classes_come_by_their_wrong_pixels(folder):
    parts = class_parts(folder)
    assert [(one.class_id, one.wrong) for one in parts] == [(CHAIR, 1400), (SOFA, 800), (0, 600)]
    assert parts[0].iou == pytest.approx(800 / 2200)
    assert parts[1].iou == 0


def test_charts_leave_out_what_the_data_does_not_say(folder):
    charts = slice_charts(folder)
    titles = [chart.title for chart in charts]
    assert "Size of the object" in titles
    assert "Visible share" not in titles
    assert "Brightness, pixels" in titles
    size = charts[titles.index("Size of the object")]
    assert [bar.label for bar in size.bars] == ["0²+", "16²+", "32²+", "64²+", "96²+", "192²+"]
    assert size.bars[2].value == pytest.approx(800 / 1600)
    assert size.bars[2].text.startswith("1 object: IoU 50.0, recall 50.0, 50.0 % predicted as another object")
    assert [chart.title for chart in slice_charts(folder, SOFA)] == []


def test_numbers_in_words_keep_their_commas(folder):
    charts = {chart.title: chart for chart in slice_charts(folder)}
    texts = [bar.text for bar in charts["Brightness, pixels"].bars if bar.value == bar.value]
    assert texts
    assert all(" px: mean IoU " in text and ", accuracy " in text and text.endswith(", 1 image") for text in texts)


def test_what_the_data_says_nothing_about_is_not_measured_and_no_zero(folder):
    lines = {line.kind: line for line in failure_lines(folder)}
    assert [kind for kind, line in lines.items() if line.missing] == [FailureKind.LOW_VISIBLE]
    assert "visible share" in lines[FailureKind.LOW_VISIBLE].missing
    plain = inspection_to_dict(FolderInspection(folder))
    row = next(row for row in plain["failures"] if row["kind"] == "low_visible")
    assert row["measured"] is False
    assert [row[key] for key in ("pixels", "share", "instances", "images", "mean_gain")] == [None] * 5
    assert not plain["object_slices"]["visible_fraction"]["measured"]
    objects = folder.objects.copy()
    objects["visible_fraction"][0] = 0.9  # known of one object, and that one is not mostly hidden: now 0 is a finding
    folder.replace("1", dataclasses.replace(folder.get("1"), objects=objects))
    assert not any(line.missing for line in failure_lines(folder))
    row = next(row for row in inspection_to_dict(FolderInspection(folder))["failures"] if row["kind"] == "low_visible")
    assert (row["measured"], row["pixels"]) == (True, 0)


def test_bars_say_how_many_they_rest_on(folder):
    charts = {chart.title: chart for chart in slice_charts(folder)}
    size = charts["Size of the object"].bars
    assert [bar.count for bar in size] == [0, 0, 2, 0, 0, 0] or sum(bar.count for bar in size) == 2
    assert all(bar.few for bar in size)
    assert {bar.count for bar in charts["Brightness, pixels"].bars} == {0, 1}
    for number in range(2, 12):
        folder.update(str(number), folder.get("1"))
    many = next(bar for chart in slice_charts(folder) for bar in chart.bars if bar.count >= 10)
    assert not many.few


def test_images_behind_a_slice_follow_what_is_replaced_and_removed(folder):
    axis = PixelAxis.BRIGHTNESS
    assert sum(row.images for row in folder.slices[axis].rows()) == 1
    plain, rgb = np.zeros((9, 9), np.uint8), np.full((9, 9, 3), 200, np.uint8)
    again = inspect_image(truth=plain, prediction=plain, catalog=VOC, rgb=rgb)
    folder.update("2", again)
    folder.update("2", again)
    assert sum(row.images for row in folder.slices[axis].rows()) == 2
    folder.remove("1")
    folder.remove("2")
    assert sum(row.images for row in folder.slices[axis].rows()) == 0


def test_bars_have_intervals_over_images(folder):
    charts = slice_charts(folder)
    assert all(np.isnan(bar.low) for chart in with_intervals(charts, folder) for bar in chart.bars)  # one image has none
    good = np.zeros((60, 90), np.uint8)
    good[5:45, 5:45] = CHAIR
    folder.update("2", inspect_image(truth=good, prediction=good, catalog=VOC, rgb=np.full((60, 90, 3), 90, np.uint8)))
    size = next(chart for chart in with_intervals(slice_charts(folder), folder) if chart.bars[0].within.axis is ObjectAxis.SIZE)
    large, small = size.bars[2], size.bars[1]  # two chairs of 1600 px, one of 600 px
    assert large.low < large.value < large.high == 1.0
    assert small.low == small.high == small.value == 0.0
    assert large.text.endswith(f"; 95 % interval {100 * large.low:.1f} to 100.0")
    assert np.isnan(size.bars[5].low)  # empty
    only = with_intervals(slice_charts(folder, SOFA), folder, SOFA)
    assert all(np.isnan(bar.low) for chart in only for bar in chart.bars)
