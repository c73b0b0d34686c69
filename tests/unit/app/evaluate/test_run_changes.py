"""Rows of two runs: what is said of a test, and errors behind slices of the user's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from app.state.kept_runs import LostRun
from app.viewmodels.evaluate.error_list import OwnSlice
from app.viewmodels.evaluate.run_changes import ChangeGroup, ChangeQuery, change_rows, lost_text
from deeplab_core.analysis.difference import ImageErrorChange, RunDifference
from deeplab_core.analysis.error_comparison import ErrorComparison
from deeplab_core.analysis.error_maps import map_errors
from deeplab_core.analysis.own_slices import OwnSlices, read_attributes
from deeplab_core.catalogs import get_catalog

VOC = get_catalog("voc21")
CHAIR, SOFA = 9, 18


def difference_of(own: OwnSlices | None = None, images: int = 8) -> RunDifference:
    """A chair is called sofa before, and right after, in every image."""
    found = RunDifference(VOC, own=own)
    truth = np.zeros((40, 60), np.uint8)
    truth[5:25, 5:25] = CHAIR
    before = truth.copy()
    before[5:25, 5:25] = SOFA
    for number in range(images):
        maps = [map_errors(truth=truth, prediction=run, catalog=VOC) for run in (before, truth)]
        found.add(f"{number}.png", ImageErrorChange.of(*maps))
    return found


def test_rows_say_the_corrected_test_or_why_there_is_none() -> None:
    (row,) = change_rows(ErrorComparison.of(difference_of(), resamples=1000), ChangeGroup.PAIRS)
    assert row.cells[-1] == "better"
    assert row.tone == "good"
    assert "p 0.0020, corrected for all rows of this tab (Holm)" in row.tip
    (few,) = change_rows(ErrorComparison.of(difference_of(images=5), resamples=1000), ChangeGroup.CELLS)
    assert few.cells[-1] == "few"
    assert "Too few images changed for a p-value" in few.tip
    (early,) = change_rows(ErrorComparison.of(difference_of(), resamples=0), ChangeGroup.PAIRS)
    assert early.cells[-1] == ""
    assert early.tip.endswith("worse in 0 images.")


def test_errors_of_an_own_slice_are_listed(tmp_path: Path) -> None:
    table = tmp_path / "weather.csv"
    table.write_text("image,weather\n" + "".join(f"{number}.png,{'rain' if number < 3 else 'sun'}\n" for number in range(8)))
    difference = difference_of(OwnSlices([read_attributes(table)]))
    rows = change_rows(ErrorComparison.of(difference, resamples=0), ChangeGroup.SLICES)
    query = next(row.query for row in rows if row.title == "weather: rain")
    assert query == ChangeQuery(within=OwnSlice("weather", "rain"))
    assert {one.image for one in query.find(difference, fixed=True)} == {"0.png", "1.png", "2.png"}
    assert query.find(difference, fixed=False) == []


@pytest.mark.parametrize(("size", "text"), [(0, "0 MB"), (31_000, "0.03 MB"), (2_340_000, "2.3 MB")])
def test_the_size_of_a_lost_run_is_never_rounded_to_nothing(size: int, text: str) -> None:
    assert f"{text})" in lost_text(LostRun(number=1, images=10, bytes=size, changed=0.0), 1)
