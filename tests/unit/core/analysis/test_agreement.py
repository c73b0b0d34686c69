"""Agreement of two annotators: the same whichever is named first, chance corrected, without void."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deeplab_core.analysis.agreement import Agreement, cohen_kappa
from deeplab_core.catalogs import get_catalog
from deeplab_core.metrics.boundary_iou import boundary_width

VOC = get_catalog("voc21")


def maps(seed: int, shape: tuple[int, int] = (24, 31)) -> np.ndarray:
    rng = np.random.default_rng(seed)
    small = rng.choice(np.array([0, 9, 18, 255], np.uint8), size=(shape[0] // 4, shape[1] // 4 + 1))
    return np.ascontiguousarray(np.kron(small, np.ones((4, 4), np.uint8))[: shape[0], : shape[1]])


def test_kappa_of_a_known_table() -> None:
    # The example of Cohen's kappa in most textbooks: 20 + 15 of 50 agree, 0.5 by chance.
    assert cohen_kappa(np.array([[20, 5], [10, 15]])) == pytest.approx(0.4)
    assert cohen_kappa(np.array([[30, 0], [0, 20]])) == 1
    assert np.isnan(cohen_kappa(np.array([[50, 0], [0, 0]])))
    assert np.isnan(cohen_kappa(np.zeros((2, 2), np.int64)))


@given(st.integers(0, 1000), st.integers(0, 1000))
def test_no_figure_depends_on_the_order(one: int, other: int) -> None:
    first, second = maps(one), maps(other)
    forth, back = Agreement(VOC), Agreement(VOC)
    there, here = forth.update("a", first, second), back.update("a", second, first)
    for left, right in (
        (forth.iou(), back.iou()), (forth.boundary_iou(), back.boundary_iou()), (forth.kappa, back.kappa),
        (forth.share, back.share), (there.mean_iou, here.mean_iou), (there.one_only, here.other_only),
    ):  # fmt: skip
        assert np.allclose(left, right, equal_nan=True)


@given(st.integers(0, 1000), st.integers(0, 1000))
def test_figures_are_those_of_a_plain_count(one: int, other: int) -> None:
    first, second = maps(one), maps(other)
    found = Agreement(VOC)
    image = found.update("a", first, second)
    both = (first != 255) & (second != 255)
    assert image.pixels == both.sum()
    assert image.agreed == (first[both] == second[both]).sum()
    assert image.one_only == ((first != 255) & (second == 255)).sum()
    for channel, value in enumerate(VOC.ids.tolist()):
        union = both & ((first == value) | (second == value))
        expected = (both & (first == value) & (second == value)).sum() / union.sum() if union.any() else np.nan
        assert np.isclose(found.iou()[channel], expected, equal_nan=True)
    json.dumps(found.to_dict(), allow_nan=False)


def test_boundaries_are_stricter_than_areas() -> None:
    one = np.zeros((200, 200), np.uint8)
    one[50:150, 50:150] = 9
    other = np.roll(one, 2, axis=1)
    assert boundary_width(one.shape) > 2
    found = Agreement(VOC)
    found.update("a", one, other)
    assert found.boundary_iou()[9] < found.iou()[9]
    assert found.disagreements() == [("background", "chair", 200), ("chair", "background", 200)]


def test_the_worst_image_comes_first() -> None:
    found = Agreement(VOC)
    same = np.zeros((4, 4), np.uint8)
    half = same.copy()
    half[:2] = 9
    found.update("same", same, same)
    found.update("void", same, np.full((4, 4), 255, np.uint8))
    found.update("half", same, half)
    assert [image.name for image in found.worst_first()] == ["half", "same", "void"]
    with pytest.raises(ValueError, match="shapes"):
        found.update("other", same, same[:2])
