"""Component operations: drawn cases with the answer beside them, and what must hold for any map."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deeplab_core.correction import Corrector
from deeplab_core.correction.components import _nearest, component_of, given_to_nearest
from deeplab_core.geometry import Box
from deeplab_core.kernels.fill import filled
from deeplab_core.regions import find_regions
from tests.unit.core.correction.scenes import CATALOG, correctors

IDS = {".": 0, "d": 3, "b": 7, "v": 255}
LETTERS = {value: letter for letter, value in IDS.items()}


def drawn(*rows: str) -> Corrector:
    labels = np.array([[IDS[letter] for letter in row] for row in rows], np.uint8)
    return Corrector(np.zeros((*labels.shape, 3), np.uint8), labels, catalog=CATALOG)


def after(corrector: Corrector, proposal: object) -> list[str]:
    if proposal is not None:
        corrector.apply(proposal)  # type: ignore[arg-type]
    return ["".join(LETTERS[value] for value in row) for row in corrector.labels.tolist()]


def test_a_component_is_connected_over_corners() -> None:
    corrector = drawn("d...", ".d..", "...d")
    assert after(corrector, corrector.component_at(0.9, 0.9, 7)) == ["b...", ".b..", "...d"]


def test_a_component_given_to_its_surroundings() -> None:
    corrector = drawn("....b", ".dd.b", "....b")
    assert after(corrector, corrector.dissolve_at(1, 1)) == ["....b", "....b", "....b"]
    assert drawn("vvv", "vdv", "vvv").dissolve_at(1, 1) is None
    assert drawn("ddd").dissolve_at(1, 0) is None


def test_holes_are_what_a_class_encloses() -> None:
    rows = ("ddddd.", "d.dbd.", "ddddd.", "....d.")
    corrector = drawn(*rows)
    assert after(corrector, corrector.fill_holes(3, 5)) == ["ddddd.", "ddddd.", "ddddd.", "....d."]
    assert drawn("dddd", "d..d", "d..d", "dddd").fill_holes(3, 3) is None
    assert drawn("dd.", "d.d", "ddd").fill_holes(3, 9) is not None, "a diagonal closes a hole, for it connects a component"


def test_islands_take_the_class_around_them_the_largest_first() -> None:
    corrector = drawn("......", ".ddd..", ".dbd..", ".ddd.b", "......")
    assert after(corrector, corrector.drop_islands(9)) == ["......"] * 5
    corrector = drawn("......", ".ddd..", ".dbd..", ".ddd.b", "......")
    assert after(corrector, corrector.drop_islands(2)) == ["......", ".ddd..", ".ddd..", ".ddd..", "......"]
    corrector = drawn("......", ".d..b.", "......")
    assert after(corrector, corrector.drop_islands(5, 7)) == ["......", ".d....", "......"]
    assert drawn("v.v").drop_islands(9) is None, "nothing but void is around it"


def test_the_largest_component_stays() -> None:
    corrector = drawn("dd..d", "d...d", "....d", "bb..d", "db...")
    assert after(corrector, corrector.keep_largest(3)) == ["....d", "....d", "....d", "bb..d", "bb..."]
    assert drawn("dd.", "..d").keep_largest(3) is None


def test_growing_and_shrinking_are_euclidean() -> None:
    corrector = drawn(".....", ".....", "..d..", ".....", ".....")
    assert after(corrector, corrector.grow(1, 3)) == [".....", "..d..", ".ddd.", "..d..", "....."]
    assert after(corrector, corrector.shrink(1, 3)) == [".....", ".....", "..d..", ".....", "....."]
    assert after(corrector, corrector.grow(2, 3)) == ["..d..", ".ddd.", "ddddd", ".ddd.", "..d.."]
    corrector = drawn("dd..b")
    assert after(corrector, corrector.shrink(1, 3)) == ["d...b"], "the image's border is not an outline"


def test_a_mask_limits_what_grows_and_shrinks() -> None:
    corrector = drawn("d....d")
    mask = np.array([[True, False, False, False, False, False]])
    assert after(corrector, corrector.grow(1, 3, mask)) == ["dd...d"]
    assert corrector.grow(1, 7, mask) is None


def test_smoothing_takes_spikes_and_fills_notches() -> None:
    corrector = drawn("..........", "....d.....", "dddddddddd", "dddd.ddddd", "dddddddddd", "dddddddddd")
    smooth = after(corrector, corrector.smooth(2, 3))
    assert smooth == ["..........", "..........", "dddddddddd", "dddddddddd", "dddddddddd", "dddddddddd"]


def test_all_outlines_become_smooth_at_once_and_void_stays() -> None:
    rows = ["..........", "....d.....", "dddddddddd", "dddd.ddddd", "ddddddbddd", "dddddddddd", "bbbbdbbbbv", "bbbbbbbbbv"]
    corrector = drawn(*rows)
    smooth = after(corrector, corrector.smooth(2))
    assert smooth == [
        "..........", "..........", "dddddddddd", "dddddddddd", "dddddddddd", "dddddddddd", "bbbbbbbbbv", "bbbbbbbbbv",
    ]  # fmt: skip
    assert corrector.smooth(2) is None
    corrector = drawn("..........", "....d.....", "dddddddddd", "dddd.ddddd", "dddddddddd", "dddddddddd")
    near = np.zeros(corrector.size, np.bool_)
    near[:3] = True
    assert after(corrector, corrector.smooth(2, mask=near))[1:4] == ["..........", "dddddddddd", "dddd.ddddd"]


def test_void_and_other_classes_take_what_shrinks_by_nearness() -> None:
    corrector = drawn("bbdddd..", "bbdddd..", "bbdddd..")
    assert after(corrector, corrector.shrink(1, 3)) == ["bbbdd...", "bbbdd...", "bbbdd..."]


def test_thick_void_takes_the_nearest_label_too() -> None:
    labels = np.full((40, 40), 255, np.uint8)
    labels[:, :2] = 3
    labels[0, 39] = 7
    own = labels == 3
    found = given_to_nearest(labels, Box(0, 0, 40, 40), own, own, 255)
    assert found is not None
    assert set(np.unique(found[2][own])) == {7}


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_nearest_label_is_the_same_with_and_without_compiled_loops(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.choice(np.array([0, 3, 7, 255], np.uint8), (9, 13))
    own = labels == 3
    lost = own & (rng.random(own.shape) < 0.7)
    if not lost.any() or not np.isin(labels[~own], (0, 7)).any():
        return
    wanted = filled(np.where(own, np.uint8(255), labels), 255)
    assert wanted is not None
    assert np.array_equal(_nearest(np.where(own, np.uint8(255), labels), lost, 255)[lost], wanted[lost])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@settings(max_examples=30)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_component_of_a_pixel_is_that_of_all_components(dtype: type, seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, (9, 11)).astype(dtype)
    regions = find_regions(labels)
    x, y = int(rng.integers(11)), int(rng.integers(9))
    box, mask = component_of(labels, x, y)
    row = int(regions.numbers[y, x]) - 1
    assert box == regions.box(row)
    assert np.array_equal(mask, regions.mask(row))


@settings(max_examples=50)
@given(correctors(), st.integers(1, 30))
def test_no_droppable_island_is_left(corrector: Corrector, pixels: int) -> None:
    proposal = corrector.drop_islands(pixels)
    if proposal is not None:
        corrector.apply(proposal)
    regions = find_regions(corrector.labels, corrector.labels != corrector.catalog.ignore)
    small = np.flatnonzero(regions.pixels < pixels)
    for row in small.tolist():
        box = regions.box(row).grown(1, corrector.labels.shape)
        around = corrector.labels[box.slices][regions.numbers[box.slices] != row + 1]
        touching = np.isin(around, corrector.catalog.ids)
        assert not touching.any() or proposal is not None, "an island with neighbours is offered"


@settings(max_examples=50)
@given(correctors(), st.integers(1, 3))
def test_growing_is_the_opposite_of_shrinking_outside_and_in(corrector: Corrector, px: int) -> None:
    cls = corrector.catalog.classes[0].id
    own = corrector.labels == cls
    grown, shrunk = corrector.grow(px, cls), corrector.shrink(px, cls)
    if grown is not None:
        assert not (grown.mask & own).any()
        assert grown.labels == cls
    if shrunk is not None:
        assert not (shrunk.mask & ~own).any()
        assert not (np.asarray(shrunk.labels)[shrunk.mask] == cls).any()
