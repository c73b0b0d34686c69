"""A pair of classes as the window shows it."""

from __future__ import annotations

import numpy as np

from app.viewmodels.evaluate.error_list import ComponentQuery
from app.viewmodels.evaluate.pair_table import pair_lines, pair_table, pair_tip
from deeplab_core.analysis import FolderAnalysis, inspect_image
from deeplab_core.catalogs import get_catalog

VOC = get_catalog("voc21")
CHAIR, PERSON, SOFA = 9, 15, 18


def folder() -> FolderAnalysis:
    """1: a 40 x 40 sofa of which 40 x 10 px are called chair. 2: a 10 x 10 chair called sofa, and a person called chair."""
    found = FolderAnalysis(VOC)
    truth, prediction = np.zeros((60, 80), np.uint8), np.zeros((60, 80), np.uint8)
    truth[10:50, 10:50] = prediction[10:50, 10:50] = SOFA
    prediction[10:50, 10:20] = CHAIR
    found.update("1", inspect_image(truth=truth, prediction=prediction, catalog=VOC))
    truth, prediction = np.zeros((60, 80), np.uint8), np.zeros((60, 80), np.uint8)
    truth[20:30, 20:30], prediction[20:30, 20:30] = CHAIR, SOFA
    truth[40:45, 60:65], prediction[40:45, 60:65] = PERSON, CHAIR
    found.update("2", inspect_image(truth=truth, prediction=prediction, catalog=VOC))
    return found


def test_a_pair_is_laid_out() -> None:
    analysis = folder()
    loss = ComponentQuery(SOFA, CHAIR, both_ways=True).loss(analysis)
    assert loss is not None
    table = pair_table(loss, VOC)
    assert table.summary == "95.2 % of all errors, in 2 of 2 images"
    assert table.largest == ("1", "80.0 %")
    assert [row.name for row in table.classes] == ["sofa", "chair", "Mean"]
    assert table.classes[0].share.startswith("100.0 %  [")
    assert (table.classes[1].missed, table.classes[1].false) == ("100 of 100", "400 of 425")
    assert table.classes[0].iou == "70.6"
    assert table.classes[0].fixed.startswith("100.0  +29.4  [")
    forward, backward = table.splits
    assert (forward.name, backward.name) == ("sofa → chair", "chair → sofa")
    assert forward.shares[3:] == ("", "100.0 %", "", "", "100.0 %", "")  # a whole object of 1600 px
    assert backward.shares == ("", "", "100.0 %", "", "100.0 %", "", "100.0 %", "", "")
    assert backward.tips[2] == "100 px"


def test_only_cells_have_a_loss() -> None:
    analysis = folder()
    assert ComponentQuery(truth=SOFA).loss(analysis) is None
    assert ComponentQuery(SOFA, SOFA).loss(analysis) is None
    assert ComponentQuery(SOFA, CHAIR).loss(None) is None
    one = ComponentQuery(SOFA, CHAIR).loss(analysis)
    assert one is not None
    assert len(one.cells) == 1


def test_the_board_lists_pairs_in_the_order_of_the_pixels_that_it_shows() -> None:
    found = FolderAnalysis(VOC)
    truth, prediction = np.full((60, 80), SOFA, np.uint8), np.full((60, 80), SOFA, np.uint8)
    prediction[:5, :20] = CHAIR  # 100 px of many
    truth[50:55, :5], prediction[50:55, :5] = PERSON, VOC.by_name("dog").id  # 25 px: all of a class, and the higher score
    found.update("1", inspect_image(truth=truth, prediction=prediction, catalog=VOC))
    assert [(line.title, line.pixels) for line in pair_lines(found)] == [("chair / sofa", 100), ("dog / person", 25)]


def test_the_board_lists_pairs_of_all_classes_or_of_one() -> None:
    lines = pair_lines(folder())
    assert [(line.title, line.pixels, line.images) for line in lines] == [
        ("chair / person", 25, 1),
        ("chair / sofa", 500, 2),
    ] or [(line.title, line.pixels, line.images) for line in lines] == [("chair / sofa", 500, 2), ("chair / person", 25, 1)]
    assert [line.title for line in pair_lines(folder(), PERSON)] == ["chair / person"]
    pair = next(line for line in lines if line.other == SOFA)
    assert pair.shares == "chair 95.2 %, sofa 100.0 %"
    assert "80.0 % of them in one image" in pair_tip(pair)
