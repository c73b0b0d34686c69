"""Colours in which classes are shown: far from each other, the same for the same catalog, and unmoved by new classes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deeplab_core.catalogs import get_catalog
from deeplab_core.catalogs.catalog import ClassCatalog, ClassInfo
from deeplab_core.catalogs.colors import oklab
from deeplab_core.catalogs.display import APART, DARKEST, LIGHTEST, clear_catalog

_CHANNEL = st.integers(0, 255)
_COLOR = st.tuples(_CHANNEL, _CHANNEL, _CHANNEL)
#: Colours as published catalogs have them: dark, grey, equal, and any.
_COLORS = st.one_of(
    st.lists(_COLOR, min_size=2, max_size=60),
    st.integers(2, 60).map(lambda count: [(0, 0, 0)] * count),
    st.integers(2, 60).map(lambda count: [(64 + place, 64, 64) for place in range(count)]),
    st.integers(2, 60).map(lambda count: [(0, 255, 0)] * count),
)

#: Dark, grey and pale colours of VOC, as they are shown.
_VOC = {
    "cat": (255, 105, 120),
    "car": (75, 150, 0),
    "pottedplant": (0, 180, 15),
    "dog": (150, 105, 225),
    "person": (210, 75, 120),
}


def _catalog(colors, background: int | None = None) -> ClassCatalog:
    rows = tuple(ClassInfo(number, f"class {number}", tuple(color)) for number, color in enumerate(colors))
    return ClassCatalog("t", "T", rows, background=background)


def _distance(catalog: ClassCatalog) -> float:
    """The least distance of two colours that are laid over images."""
    colors = [info.color for info in catalog.classes if info.id != catalog.background]
    lab = oklab(np.array(colors, dtype=np.uint8))
    apart = np.linalg.norm(lab[:, None] - lab[None], axis=2)
    return float(apart[~np.eye(len(lab), dtype=bool)].min())


@given(colors=_COLORS)
@settings(max_examples=60, deadline=None)
def test_few_classes_are_far_apart_and_light(colors):
    shown = clear_catalog(_catalog(colors))
    assert _distance(shown) >= 0.045
    lightness = oklab(np.array([info.color for info in shown.classes], dtype=np.uint8))[:, 0]
    assert lightness.min() >= DARKEST - 0.03
    assert lightness.max() <= LIGHTEST + 0.03


@given(colors=st.lists(_COLOR, min_size=2, max_size=30))
@settings(max_examples=40, deadline=None)
def test_a_short_list_is_as_far_apart_as_the_rule_says(colors):
    assert _distance(clear_catalog(_catalog(colors))) >= APART - 1e-9


@pytest.mark.parametrize(("count", "least"), [(2, 0.06), (64, 0.05), (150, 0.04), (254, 0.035), (1000, 0.018)])
@pytest.mark.parametrize("kind", ["any", "black", "green"])
def test_many_classes_are_all_different(count, least, kind):
    rng = np.random.default_rng(3)
    colors = {"any": rng.integers(0, 256, (count, 3)).tolist(), "black": [(0, 0, 0)] * count, "green": [(0, 200, 0)] * count}
    assert _distance(clear_catalog(_catalog(colors[kind]))) >= least


@given(colors=st.lists(_COLOR, min_size=3, max_size=50), more=st.lists(_COLOR, min_size=1, max_size=20))
@settings(max_examples=40, deadline=None)
def test_new_classes_change_no_colour(colors, more):
    before, after = clear_catalog(_catalog(colors)), clear_catalog(_catalog([*colors, *more]))
    assert after.classes[: len(colors)] == before.classes


@given(colors=st.lists(_COLOR, min_size=2, max_size=40), seed=st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_order_names_and_the_cache_change_no_colour(colors, seed):
    catalog = _catalog(colors)
    order = np.random.default_rng(seed).permutation(len(colors))
    moved = replace(catalog, name="other", classes=tuple(catalog.classes[place] for place in order))
    clear_catalog.cache_clear()
    again = clear_catalog(moved)
    assert {info.id: info.color for info in again.classes} == {info.id: info.color for info in clear_catalog(catalog).classes}


@given(colors=st.lists(_COLOR, min_size=3, max_size=30), place=st.integers(0, 2))
@settings(max_examples=30, deadline=None)
def test_the_background_stays_and_is_far_from_nobody(colors, place):
    shown = clear_catalog(_catalog(colors, background=place))
    assert shown.classes[place].color == tuple(colors[place])
    rest = [color for number, color in enumerate(colors) if number != place]
    alone = clear_catalog(_catalog(rest))
    assert [info.color for info in alone.classes] == [info.color for info in shown.classes if info.id != place]


def test_clear_colours_stay():
    colors = [(255, 120, 15), (0, 195, 150), (105, 150, 255)]
    catalog = _catalog(colors)
    assert clear_catalog(catalog) == catalog


def test_voc_has_other_colours_and_everything_else_as_before():
    catalog = get_catalog("voc21")
    shown = clear_catalog(catalog)
    assert _distance(catalog) < 0.035  # bus and motorbike
    assert _distance(shown) > 0.08
    named = {info.name: info.color for info in shown.classes}
    assert named["background"] == (0, 0, 0)
    assert named["diningtable"] == (192, 128, 0)  # clear as it is
    assert {name: named[name] for name in _VOC} == _VOC
    own = {info.name: info.color for info in catalog.classes}
    assert replace(shown, classes=tuple(replace(info, color=own[info.name]) for info in shown.classes)) == catalog
    assert clear_catalog(catalog) is shown
