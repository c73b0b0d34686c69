"""Moving an outline looks only around it: the pixels are those of distances over the whole box."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deeplab_core.correction import snapping
from deeplab_core.correction.paths import placed
from deeplab_core.geometry import Box


def plain_distances(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of every pixel to the outside of a mask, and to the mask."""
    measure = [cv2.distanceTransform(part.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE) for part in (mask, ~mask)]
    return measure[0], measure[1]


def plain_flood(rgb: np.ndarray, box: Box, mask: np.ndarray, band: int) -> tuple[Box, np.ndarray]:
    outer = box.grown(2 * band, rgb.shape[:2])
    wide = placed(mask, box, outer)
    inner, away = plain_distances(wide)
    markers = np.zeros(wide.shape, np.int32)
    markers[inner > min(band, 0.7 * float(inner.max()))] = 1
    markers[away > band] = 2
    if not (markers == 1).any() or not (markers == 2).any():
        return outer, wide
    flooded = cv2.watershed(cv2.GaussianBlur(rgb[outer.slices], (0, 0), 1.0, borderType=cv2.BORDER_REPLICATE), markers)
    snapped = np.where(flooded == -1, wide, flooded == 1)
    snapped[away > band] = False
    snapped[inner > band] = True
    return outer, snapped


@st.composite
def scenes(draw: st.DrawFn) -> tuple[np.ndarray, Box, np.ndarray]:
    """An image of some areas, and a mask with thick and thin parts, whole or cut by the image's border."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    height, width = draw(st.integers(20, 140)), draw(st.integers(20, 140))
    rgb = cv2.resize(rng.integers(0, 256, (7, 7, 3), dtype=np.uint8), (width, height), interpolation=cv2.INTER_CUBIC)
    whole = np.zeros((height, width), np.uint8)
    for _ in range(draw(st.integers(1, 4))):
        ends = [tuple(int(value) for value in rng.integers(0, (width, height))) for _ in range(2)]
        cv2.line(whole, *ends, 1, int(rng.choice([1, 3, 9, 40])))
    box = Box.around(whole > 0)
    assert box is not None
    return rgb, box, whole[box.slices] > 0


@settings(max_examples=150, deadline=None)
@given(scenes(), st.sampled_from([1, 2, 4, 8, 16]), st.sampled_from([8, 16, 256]))
def test_distances_and_floods_are_those_of_the_whole_box(scene: tuple, band: int, tile: int) -> None:
    rgb, box, mask = scene
    outer = box.grown(2 * band, rgb.shape[:2])
    wide = placed(mask, box, outer)
    inner, away = plain_distances(wide)
    sure = min(band, 0.7 * float(inner.max()))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(snapping, "_TILE", tile)
        sides = snapping._sides(wide, band)
        found = snapping.flooded_mask(rgb, box, mask, band)
        moved = sides.moved(lambda place: ~wide[place])
    expected = np.select(
        [inner > band, inner > sure, wide, away > band], [snapping._DEEP, snapping._MIDDLE, snapping._INSIDE, snapping._AWAY],
        snapping._OUTSIDE,
    )  # fmt: skip
    assert np.array_equal(sides.codes, expected)
    assert (sides.inner, sides.away) == (bool((inner > sure).any()), bool((away > band).any()))
    assert np.array_equal(moved, np.where(wide, inner > band, away <= band))
    plain = plain_flood(rgb, box, mask, band)
    assert found[0] == plain[0]
    assert np.array_equal(found[1], plain[1])
