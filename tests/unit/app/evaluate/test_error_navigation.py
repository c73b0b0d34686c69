"""Lists of error components and how the user moves through them."""

from __future__ import annotations

import numpy as np

from app.text import use_translator
from app.viewmodels.evaluate.error_list import ComponentQuery, ErrorNavigation, nearest, still_wrong
from deeplab_core.analysis import FailureKind, ObjectAxis, PixelAxis, Slice, inspect_image
from deeplab_core.analysis.error_gain import ERROR_ORDERS
from deeplab_core.analysis.folder import FolderAnalysis
from deeplab_core.catalogs import get_catalog
from deeplab_core.errors import MessageText

VOC = get_catalog("voc21")
CHAIR, SOFA, IGNORE = 9, 18, 255


def folder_of(*patches: tuple[str, int, int, int, int]) -> FolderAnalysis:
    """Images of chairs with squares (image, x, side, truth, prediction) in them."""
    folder = FolderAnalysis(VOC)
    for image in dict.fromkeys(patch[0] for patch in patches):
        truth = np.full((20, 80), CHAIR, np.uint8)
        prediction = truth.copy()
        for name, x, side, true, called in patches:
            if name == image:
                truth[4 : 4 + side, x : x + side] = true
                prediction[4 : 4 + side, x : x + side] = called
        folder.update(image, inspect_image(truth=truth, prediction=prediction, catalog=VOC))
    return folder


def test_both_ways_holds_the_mirrored_cell():
    folder = folder_of(("1", 5, 4, CHAIR, SOFA), ("1", 30, 6, SOFA, CHAIR), ("2", 5, 3, CHAIR, SOFA))
    one_way = ComponentQuery(truth=CHAIR, prediction=SOFA)
    assert [component.pixels for component in one_way.find(folder)] == [16, 9]
    assert one_way.totals(folder) == (25, 2)
    both = ComponentQuery(truth=CHAIR, prediction=SOFA, both_ways=True)
    assert [component.pixels for component in both.find(folder)] == [36, 16, 9]
    assert both.totals(folder) == (61, 3)


def test_a_class_is_concerned_by_its_misses_and_false_alarms():
    folder = folder_of(("1", 5, 4, CHAIR, SOFA), ("1", 30, 6, SOFA, CHAIR), ("2", 5, 5, CHAIR, 0))
    found = ComponentQuery(concerning=SOFA).find(folder)
    assert [component.pixels for component in found] == [36, 16]
    assert ComponentQuery(concerning=SOFA).totals(folder) is None


def test_rows_columns_and_void_are_totalled():
    folder = folder_of(("1", 5, 4, CHAIR, SOFA), ("1", 30, 5, CHAIR, IGNORE))
    assert ComponentQuery(truth=CHAIR).totals(folder) == (41, 2)
    assert ComponentQuery(prediction=SOFA).totals(folder) == (16, 1)
    assert ComponentQuery(truth=CHAIR, prediction=IGNORE).totals(folder) == (25, 1)
    assert ComponentQuery().totals(folder) == (41, 2)


def test_titles_are_plain_english():
    assert ComponentQuery(CHAIR, SOFA).title(VOC) == "chair called sofa"
    assert ComponentQuery(CHAIR, SOFA, both_ways=True).title(VOC) == "chair and sofa"
    assert ComponentQuery(CHAIR, IGNORE).title(VOC) == "chair called void"
    assert ComponentQuery(truth=CHAIR).title(VOC) == "chair predicted as something else"
    assert ComponentQuery(prediction=SOFA).title(VOC) == "wrongly predicted as sofa"
    assert ComponentQuery(kind=FailureKind.CLASS_SWAP).title(VOC) == "all errors: class swap"


def test_titles_and_orders_are_in_the_language_of_the_window():
    use_translator(
        lambda text, _many, _number: text.replace(" called ", " → ").replace(" and ", " + ").replace("objects", "Objekte")
    )
    try:
        assert ComponentQuery(CHAIR, SOFA).title(VOC) == "chair → sofa"
        assert ComponentQuery(CHAIR, SOFA, both_ways=True).title(VOC) == "chair + sofa"
        hidden = Slice(ObjectAxis.VISIBLE_FRACTION, 0)
        assert ComponentQuery(within=hidden).title(VOC).startswith("Objekte, ")
    finally:
        use_translator(None)
    for order in ERROR_ORDERS.values():
        assert all(isinstance(text, MessageText) for text in (order.title, order.text, order.needs)), order.name


def test_slices_of_objects_and_pixels_lead_to_their_components():
    folder = folder_of(("1", 5, 14, SOFA, CHAIR), ("2", 5, 5, SOFA, 0))
    small = ComponentQuery(concerning=SOFA, within=Slice(ObjectAxis.SIZE, 0))
    assert [(one.image, one.pixels) for one in small.find(folder)] == [("1", 196), ("2", 25)]
    assert small.title(VOC) == "sofa, size of the object 0² to 16²"
    assert small.totals(folder) is None
    assert not small.can_mirror
    chairs = ComponentQuery(within=Slice(ObjectAxis.SIZE, 2))
    assert [one.image for one in chairs.find(folder)] == ["1"]  # the sofa there was called part of the chair around it
    far = ComponentQuery(within=Slice(PixelAxis.DISTANCE, 3))
    assert [one.image for one in far.find(folder)] == ["1"]
    assert far.title(VOC) == "pixels, distance to an edge 5 to 8 px"
    assert ComponentQuery(within=Slice(PixelAxis.DISTANCE, 6)).title(VOC) == "pixels, distance to an edge from 41"
    assert ComponentQuery(within=Slice(PixelAxis.DISTANCE, 0)).title(VOC) == "pixels, distance to an edge 1 px"
    share = ComponentQuery(within=Slice(ObjectAxis.VISIBLE_FRACTION, 1))
    assert share.title(VOC) == "objects, visible share 25 % to 50 %"


def test_next_error_skips_what_was_fixed():
    patches = [("1", 5, 6, CHAIR, SOFA), ("2", 5, 5, CHAIR, SOFA), ("3", 5, 4, CHAIR, SOFA)]
    folder = folder_of(*patches)
    query = ComponentQuery(CHAIR, SOFA)
    navigation = ErrorNavigation(query, tuple(query.find(folder)))
    right = np.full((20, 80), CHAIR, np.uint8)
    folder.update("2", inspect_image(truth=right, prediction=right, catalog=VOC))
    assert not still_wrong(navigation.components[1], folder.errors)
    navigation = navigation.step(1, folder.errors)
    assert navigation.current.image == "3"
    assert navigation.step(1, folder.errors) is None
    assert navigation.step(-1, folder.errors).current.image == "1"


def test_the_place_in_a_newer_list_is_found_again():
    folder = folder_of(("1", 5, 6, CHAIR, SOFA), ("2", 5, 5, CHAIR, SOFA), ("3", 5, 4, CHAIR, SOFA))
    components = ComponentQuery(CHAIR, SOFA).find(folder)
    assert nearest(components[2], components[1:], 2) == 1
    assert nearest(components[0], components[1:], 0) == 0
    assert nearest(components[0], [], 0) == 0
