from __future__ import annotations

import re
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deeplab_core.analysis.report import OtherCurve
from deeplab_core.analysis.report.plots import curve_svg, spread
from deeplab_core.catalogs import get_catalog
from deeplab_core.metrics.trimap_histogram import BandCurve

VOC = get_catalog("voc21")


def curve(mean_iou: np.ndarray, accuracy: np.ndarray) -> BandCurve:
    return BandCurve(
        width_px=np.arange(1, 41),
        mean_iou=mean_iou,
        classes=np.full(40, 3),
        pixel_accuracy=accuracy,
        share=np.linspace(0.01, 0.5, 40),
    )


def test_widths_without_a_band_leave_a_gap() -> None:
    scores = np.linspace(0.4, 0.6, 40)
    scores[:2] = scores[9] = np.nan
    svg = curve_svg(curve(scores, scores), whole_iou=0.7, whole_accuracy=np.nan, widths=(1, 4))
    line = re.search(r'class="a" d="([^"]+)"', svg)
    assert line is not None
    assert line[1].count("M") == 2
    assert line[1].count("M") + line[1].count("L") == 37
    assert svg.count("<circle") == 2  # width 1 has no band, so only width 4 of both lines
    assert svg.count("whole") == 1  # no dashed line without a figure
    assert "nan" not in svg


def test_names_of_lines_that_end_together_do_not_overlap() -> None:
    scores = np.linspace(0.4, 0.6, 40)
    svg = curve_svg(curve(scores, scores + 0.001), whole_iou=0.7, whole_accuracy=0.8, widths=())
    places = [float(place) for place in re.findall(r'<text class="[ab]" x="\d+" y="([\d.]+)"', svg)]
    assert len(places) == 2
    assert abs(places[0] - places[1]) >= 14


def test_equal_scores_still_have_an_axis() -> None:
    ones = np.ones(40)
    svg = curve_svg(curve(ones, ones), whole_iou=1.0, whole_accuracy=1.0, widths=(40,))
    assert "100%" in svg
    assert "nan" not in svg


def test_other_models_stand_beside_and_names_keep_apart() -> None:
    scores = np.linspace(0.4, 0.6, 40)
    others = [
        OtherCurve(name, VOC, "edge", "truth", scores + 0.002 * place) for place, name in enumerate(("small", "with <crf>"))
    ]
    svg = curve_svg(curve(scores, scores + 0.001), whole_iou=0.7, whole_accuracy=0.8, widths=(), others=others)
    places = [float(place) for place in re.findall(r'<text class="[abcd]" x="\d+" y="([\d.]+)"', svg)]
    assert len(places) == 4
    assert min(np.diff(sorted(places))) >= 14
    assert "mIoU, small" in svg
    assert "mIoU, with &lt;crf&gt;" in svg


@given(st.lists(st.floats(0, 300), max_size=8).map(sorted), st.floats(1, 30))
def test_spread_keeps_order_gap_and_middle(places: list[float], gap: float) -> None:
    found = spread(places, gap)
    assert all(b - a >= gap - 1e-6 for a, b in pairwise(found))
    assert sum(found) == pytest.approx(sum(places))
    if all(b - a >= gap for a, b in pairwise(places)):
        assert found == pytest.approx(places)
