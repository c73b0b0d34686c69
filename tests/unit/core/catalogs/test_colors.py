"""Colours for classes that have none."""

from __future__ import annotations

import numpy as np
import pytest

from deeplab_core.catalogs.catalog import ClassCatalog, ClassInfo
from deeplab_core.catalogs.colors import class_colors, color_distance, distinct_colors, oklab
from deeplab_core.catalogs.editing import add_class


def least(colors: list[tuple[int, int, int]], *, color_blind: bool = False) -> float:
    pairs = [(a, b) for place, a in enumerate(colors) for b in colors[:place]]
    return min(color_distance(a, b, color_blind=color_blind) for a, b in pairs)


def test_oklab_of_known_colors() -> None:
    # Values of the reference implementation for white, black, red, green and blue (bottosson.github.io/posts/oklab).
    known = np.array([[255, 255, 255], [0, 0, 0], [255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint8)
    expected = [[1, 0, 0], [0, 0, 0], [0.62796, 0.22486, 0.12585], [0.86644, -0.23389, 0.17950], [0.45201, -0.03246, -0.31153]]
    assert oklab(known) == pytest.approx(np.array(expected), abs=1e-4)


@pytest.mark.parametrize(("count", "apart"), [(8, 0.2), (21, 0.12), (60, 0.07), (150, 0.04)])
def test_colors_are_apart(count: int, apart: float) -> None:
    colors = distinct_colors(count)
    assert len(set(colors)) == count
    assert least(colors) >= apart
    assert colors == distinct_colors(count)
    assert colors[:5] == distinct_colors(5)


def test_colors_keep_away_from_those_in_use() -> None:
    taken = [(224, 32, 32), (0, 128, 0), (128, 128, 128)]
    colors = distinct_colors(10, taken=taken)
    assert least([*taken, *colors]) >= 0.15


def test_colors_for_color_blind_eyes_are_apart_for_them() -> None:
    # Okabe and Ito, "Color Universal Design", 2008: the set that publications use for this, without its black.
    published = [(230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0), (204, 121, 167)]
    safe, plain = distinct_colors(7, color_blind=True), distinct_colors(7)
    assert least(safe, color_blind=True) >= least(published, color_blind=True)
    assert least(safe, color_blind=True) > least(plain, color_blind=True)


def test_more_colors_than_there_are_repeat() -> None:
    colors = distinct_colors(1500)
    assert len(colors) == 1500
    assert len(set(colors)) < 1500


@pytest.mark.parametrize("name", ["background", "__background__", "BG"])
def test_the_background_is_black_or_grey_wherever_it_is_listed(name: str) -> None:
    assert class_colors([("crack", None), (name, None)])[1] == (0, 0, 0)
    crack, ground = class_colors([("crack", (0, 0, 0)), (name, None)])
    assert crack == (0, 0, 0)
    assert ground[0] == ground[1] == ground[2] != 0
    assert class_colors([(name, (1, 2, 3))]) == [(1, 2, 3)]
    catalog = ClassCatalog("own", "Own", (ClassInfo(0, "crack", (9, 9, 200)),))
    assert add_class(catalog, name).catalog.classes[-1].color == (0, 0, 0)
