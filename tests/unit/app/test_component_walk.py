"""Lists of error components and the walk through them."""

from __future__ import annotations

import numpy as np

from app.state.component_walk import ComponentQuery, ComponentWalk, nearest, still_wrong
from deeplab_core.catalogs import get_catalog
from deeplab_core.inspection import ErrorIndex, FailureKind, find_errors

VOC = get_catalog("voc21")
CHAIR, SOFA, IGNORE = 9, 18, 255


def index_of(*patches: tuple[str, int, int, int, int]) -> ErrorIndex:
    """Images of chairs with squares (image, x, side, truth, prediction) in them."""
    index = ErrorIndex(VOC)
    for image in dict.fromkeys(patch[0] for patch in patches):
        truth = np.full((20, 80), CHAIR, np.uint8)
        prediction = truth.copy()
        for name, x, side, true, called in patches:
            if name == image:
                truth[4 : 4 + side, x : x + side] = true
                prediction[4 : 4 + side, x : x + side] = called
        index.update(image, find_errors(truth=truth, prediction=prediction, catalog=VOC))
    return index


def test_both_ways_holds_the_mirrored_cell():
    index = index_of(("1", 5, 4, CHAIR, SOFA), ("1", 30, 6, SOFA, CHAIR), ("2", 5, 3, CHAIR, SOFA))
    one_way = ComponentQuery(truth=CHAIR, prediction=SOFA)
    assert [component.pixels for component in one_way.find(index)] == [16, 9]
    assert one_way.totals(index) == (25, 2)
    both = ComponentQuery(truth=CHAIR, prediction=SOFA, both_ways=True)
    assert [component.pixels for component in both.find(index)] == [36, 16, 9]
    assert both.totals(index) == (61, 3)


def test_a_class_is_concerned_by_its_misses_and_false_alarms():
    index = index_of(("1", 5, 4, CHAIR, SOFA), ("1", 30, 6, SOFA, CHAIR), ("2", 5, 5, CHAIR, 0))
    found = ComponentQuery(concerning=SOFA).find(index)
    assert [component.pixels for component in found] == [36, 16]
    assert ComponentQuery(concerning=SOFA).totals(index) is None


def test_rows_columns_and_void_are_totalled():
    index = index_of(("1", 5, 4, CHAIR, SOFA), ("1", 30, 5, CHAIR, IGNORE))
    assert ComponentQuery(truth=CHAIR).totals(index) == (41, 2)
    assert ComponentQuery(prediction=SOFA).totals(index) == (16, 1)
    assert ComponentQuery(truth=CHAIR, prediction=IGNORE).totals(index) == (25, 1)
    assert ComponentQuery().totals(index) == (41, 2)


def test_titles_are_plain_english():
    assert ComponentQuery(CHAIR, SOFA).title(VOC) == "chair called sofa"
    assert ComponentQuery(CHAIR, SOFA, both_ways=True).title(VOC) == "chair and sofa"
    assert ComponentQuery(CHAIR, IGNORE).title(VOC) == "chair called void"
    assert ComponentQuery(truth=CHAIR).title(VOC) == "chair called something else"
    assert ComponentQuery(prediction=SOFA).title(VOC) == "wrongly called sofa"
    assert ComponentQuery(kind=FailureKind.CLASS_SWAP).title(VOC) == "all errors: class swap"


def test_the_walk_passes_over_what_was_mended():
    patches = [("1", 5, 6, CHAIR, SOFA), ("2", 5, 5, CHAIR, SOFA), ("3", 5, 4, CHAIR, SOFA)]
    index = index_of(*patches)
    query = ComponentQuery(CHAIR, SOFA)
    walk = ComponentWalk(query, tuple(query.find(index)))
    right = np.full((20, 80), CHAIR, np.uint8)
    index.update("2", find_errors(truth=right, prediction=right, catalog=VOC))
    assert not still_wrong(walk.components[1], index)
    walk = walk.step(1, index)
    assert walk.current.image == "3"
    assert walk.step(1, index) is None
    assert walk.step(-1, index).current.image == "1"


def test_the_place_in_a_newer_list_is_found_again():
    index = index_of(("1", 5, 6, CHAIR, SOFA), ("2", 5, 5, CHAIR, SOFA), ("3", 5, 4, CHAIR, SOFA))
    components = ComponentQuery(CHAIR, SOFA).find(index)
    assert nearest(components[2], components[1:], 2) == 1
    assert nearest(components[0], components[1:], 0) == 0
    assert nearest(components[0], [], 0) == 0
