"""The failure board and the slices as rows and bars."""

from __future__ import annotations

import numpy as np
import pytest

from app.state.failure_table import class_parts, failure_lines, slice_charts
from deeplab_core.catalogs import get_catalog
from deeplab_core.inspection import FailureKind, inspect_image
from deeplab_core.inspection.folder import FolderInspection

VOC = get_catalog("voc21")
CHAIR, SOFA = 9, 18


@pytest.fixture
def folder() -> FolderInspection:
    """A chair, half of it called sofa, and a chair of which nothing was found."""
    truth = np.zeros((60, 90), np.uint8)
    truth[5:45, 5:45] = CHAIR
    truth[10:40, 60:80] = CHAIR
    prediction = truth.copy()
    prediction[5:45, 25:45] = SOFA
    prediction[10:40, 60:80] = 0
    made = FolderInspection(VOC)
    made.update("1", inspect_image(truth=truth, prediction=prediction, catalog=VOC, rgb=np.full((60, 90, 3), 90, np.uint8)))
    return made


def test_lines_over_all_classes_are_the_boards(folder):
    lines = {line.kind: line for line in failure_lines(folder.board)}
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
    lines = [line for line in failure_lines(folder.board, CHAIR) if line.part]
    assert sum(line.share for line in lines) == pytest.approx(1)
    assert sum(line.pixels for line in lines) == 1400
    assert sum(line.gain for line in lines) > 0
    assert all(line.instances is None for line in lines)


def test_classes_come_by_their_wrong_pixels(folder):
    parts = class_parts(folder.board)
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
    assert size.bars[2].text.startswith("1 object: IoU 0.50, recall 0.50, 50 % called another object")
    assert [chart.title for chart in slice_charts(folder, SOFA)] == []


def test_numbers_in_words_keep_their_commas(folder):
    charts = {chart.title: chart for chart in slice_charts(folder)}
    texts = [bar.text for bar in charts["Brightness, pixels"].bars if bar.value == bar.value]
    assert texts
    assert all(" px: mean IoU " in text and ", accuracy " in text for text in texts)
