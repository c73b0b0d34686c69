"""The boxes of a change cover every changed pixel and nothing outside its rectangle."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from app.ui.canvas.canvas_area import damaged_rects
from deeplab_core.geometry import Box


@given(
    seed=st.integers(0, 10_000),
    height=st.integers(1, 130),
    width=st.integers(1, 70),
    density=st.floats(0, 0.05),
    banded=st.booleans(),
)
def test_every_changed_pixel_is_in_a_box(seed, height, width, density, banded):
    rng = np.random.default_rng(seed)
    before = np.zeros((height, width), np.uint8)
    after = (rng.random((height, width)) < density).astype(np.uint8)
    boxes = damaged_rects(Box(7, 9, width, height), before, after, banded=banded)
    covered = np.zeros((height + 9, width + 7), bool)
    for box in boxes:
        assert not box.empty
        assert box.x >= 7
        assert box.y >= 9
        covered[box.slices] = True
    assert np.all(covered[9:, 7:][after == 1])
    assert bool(boxes) == bool(after.any())
