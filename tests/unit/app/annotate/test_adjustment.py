"""Brightness, contrast and gamma of the view: the table of values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.viewmodels.annotate.adjustment import NEUTRAL, ImageAdjustment

adjustments = st.builds(
    ImageAdjustment, st.integers(-100, 100), st.integers(-100, 100), st.floats(0.2, 5.0, allow_nan=False)
)  # fmt: skip


def test_the_neutral_adjustment_changes_no_value() -> None:
    assert np.array_equal(NEUTRAL.table(), np.arange(256))
    assert NEUTRAL.neutral


@given(adjustments)
def test_brighter_values_are_never_shown_darker(adjustment: ImageAdjustment) -> None:
    table = adjustment.table()
    assert table.dtype == np.uint8
    assert (np.diff(table.astype(int)) >= 0).all()


@pytest.mark.parametrize(
    ("adjustment", "values"),
    [
        (ImageAdjustment(brightness=20), {0: 51, 100: 151, 255: 255}),
        (ImageAdjustment(brightness=-20), {0: 0, 100: 49, 255: 204}),
        (ImageAdjustment(contrast=50), {0: 0, 96: 64, 160: 192, 255: 255}),
        (ImageAdjustment(contrast=-50), {0: 64, 255: 191}),
        (ImageAdjustment(gamma=2.0), {0: 0, 64: 128, 255: 255}),
    ],
)
def test_known_values(adjustment: ImageAdjustment, values: dict[int, int]) -> None:
    table = adjustment.table()
    assert {value: int(table[value]) for value in values} == values


@given(st.integers(-30, 30), st.integers(-30, 30), st.integers(-30, 30))
def test_steps_stay_within_the_limits_and_lead_back(brightness: int, contrast: int, gamma: int) -> None:
    found = NEUTRAL.changed(10 * brightness, 10 * contrast, 1.25**gamma)
    assert -100 <= found.brightness <= 100
    assert -100 <= found.contrast <= 100
    assert 0.2 <= found.gamma <= 5.0
    stepped = NEUTRAL
    for factor in (1.25, 1.25, 1 / 1.25, 1 / 1.25):
        stepped = stepped.changed(gamma=factor)
    assert stepped.neutral
