"""Plots as plain values: the numbers are those of the measures, and the table holds what is drawn."""

from __future__ import annotations

import csv
import io
import math

import numpy as np
import pytest

from app.state.progress_log import APART_SECONDS, MOST, ProgressSample, appended, from_plain, to_plain
from app.viewmodels.evaluate import plot_data
from app.viewmodels.evaluate.charts import Chart, Series, csv_text
from app.viewmodels.evaluate.curves import Curve
from deeplab_core.analysis.ranking import gain_curve
from deeplab_core.catalogs.catalog import IGNORE, ClassCatalog, ClassInfo
from deeplab_core.metrics import ConfusionMatrix
from deeplab_core.metrics.calibration import Calibration

NAMES = ("wall", "chair", "sofa")
CATALOG = ClassCatalog(name="three", title="Three", classes=tuple(ClassInfo(i, n, (9 * i, 0, 99)) for i, n in enumerate(NAMES)))


def matrices(count: int = 8) -> list[ConfusionMatrix]:
    rng = np.random.default_rng(4)
    made = []
    for _ in range(count):
        truth = rng.choice([0, 1, 2, IGNORE], (30, 30)).astype(np.uint8)
        prediction = np.where(rng.random(truth.shape) < 0.3, rng.choice([0, 1, IGNORE], truth.shape), truth).astype(np.uint8)
        made.append(ConfusionMatrix(CATALOG).update(truth=truth, prediction=prediction))
    return made


def test_bars_are_the_pooled_iou_highest_first_with_an_interval_around_each() -> None:
    made = matrices()
    chart = plot_data.iou_chart([matrix.counts for matrix in made], CATALOG, resamples=200)
    pooled = sum(made[1:], made[0])
    (bars,) = chart.series
    expected = dict(zip(CATALOG.names, pooled.iou().tolist(), strict=True))
    assert {name.partition(", n ")[0]: bars.y[int(place)] for place, name in chart.y_ticks} == pytest.approx(expected)
    assert all(name.endswith(", n 8") for _, name in chart.y_ticks)
    assert not bars.pale
    assert list(bars.y) == sorted(bars.y, reverse=True)
    assert all(low <= iou <= high for low, iou, high in zip(bars.low, bars.y, bars.high, strict=True))
    assert f"mIoU {100 * pooled.mean_iou('union').value:.1f}" in chart.note
    assert f"over the {pooled.mean_iou('union').classes} classes in ground truth or masks" in chart.note
    assert "8 images" in chart.note


def test_one_image_has_no_interval_and_none_has_no_bars() -> None:
    chart = plot_data.iou_chart([matrices(1)[0].counts], CATALOG)
    assert all(math.isnan(value) for value in chart.series[0].low)
    assert not chart.empty
    assert plot_data.iou_chart([], CATALOG).empty


def test_the_heat_map_leaves_out_classes_that_never_occur_and_shows_void_predictions() -> None:
    counts = np.zeros((3, 4), dtype=np.int64)
    counts[0] = [6, 0, 0, 2]
    chart = plot_data.heat_chart(counts, CATALOG)
    assert (chart.names, chart.column_names) == (("wall",), ("wall", "void"))
    assert chart.shares.tolist() == [[0.75, 0.25]]
    assert chart.table() == [["truth \\ prediction", "wall", "void"], ["wall", "6", "2"]]


def test_reliability_is_that_of_the_calibration() -> None:
    rng = np.random.default_rng(1)
    truth = rng.choice([0, 1, 2], (60, 60)).astype(np.uint8)
    confidence = rng.integers(60, 256, truth.shape).astype(np.uint8)
    prediction = np.where(rng.random(truth.shape) * 255 < confidence, truth, (truth + 1) % 3).astype(np.uint8)
    calibration = Calibration(CATALOG).update(truth=truth, prediction=prediction, confidence=confidence)
    chart = plot_data.reliability_chart(calibration.counts.sum(axis=0))
    bins = calibration.bins()
    assert chart.series[1].y == pytest.approx(bins.accuracy[bins.pixels > 0].tolist())
    assert f"ECE {100 * bins.ece:.1f} %" in chart.note
    assert plot_data.reliability_chart(np.zeros((256, 2), dtype=np.int64)).empty


def test_trimap_lines_keep_their_gaps() -> None:
    chart = plot_data.trimap_chart([Curve("model", (math.nan, 0.5)), Curve("with CRF", (0.4, 0.6))], "class edge", "image")
    assert [series.name for series in chart.series] == ["model", "with CRF"]
    assert chart.table()[1:] == [
        ["model", "1", "", "", ""],
        ["model", "2", "0.5", "", ""],
        ["with CRF", "1", "0.4", "", ""],
        ["with CRF", "2", "0.6", "", ""],
    ]


def test_a_gain_says_its_area() -> None:
    gain = gain_curve([3, 2, 1], [5, 0, 1])
    chart = plot_data.gain_chart(gain, "Least confident")
    assert f"Area {100 * gain.area:.1f} %" in chart.note
    assert chart.series[-1].y[-1] == 1


def test_a_table_survives_the_way_through_a_file() -> None:
    chart = Chart("x", "a, b", "c", (Series('say "=1"', (1.0,), (math.nan,)), Series("=cmd()", (-2.0,), (0.1,), (0.05,), (0.2,))))
    rows = list(csv.reader(io.StringIO(csv_text(chart.table()))))
    assert rows == [
        ["series", "a, b", "c", "low", "high"],
        ['say "=1"', "1", "", "", ""],
        ["'=cmd()", "-2", "0.1", "0.05", "0.2"],
    ]


def sample(time: float, reviewed: int = 0) -> ProgressSample:
    return ProgressSample(time, 10, reviewed, reviewed, 0.5)


def test_moments_that_follow_each_other_closely_are_one() -> None:
    log: tuple[ProgressSample, ...] = ()
    for step in range(10):
        log = appended(log, sample(1000 + step * APART_SECONDS / 4, step))
    assert log[0] == sample(1000)
    assert log[-1].reviewed == 9
    assert len(log) < 6


def test_a_clock_that_was_set_back_breaks_no_order() -> None:
    log = appended(appended((), sample(5000)), sample(100, 3))
    assert [entry.time for entry in log] == sorted(entry.time for entry in log)
    assert log[-1].reviewed == 3


def test_a_long_log_is_thinned_at_its_old_end() -> None:
    log: tuple[ProgressSample, ...] = tuple(sample(index * 1000.0) for index in range(MOST))
    log = appended(log, sample(MOST * 1000.0))
    assert len(log) < MOST
    assert log[-2:] == (sample((MOST - 1) * 1000.0), sample(MOST * 1000.0))


def test_a_log_comes_back_without_what_is_damaged() -> None:
    log = (sample(1.0), sample(2.0, 4))
    assert from_plain(to_plain(log)) == log
    assert from_plain([[1.0], "x", *to_plain(log), [math.inf, 1, 1, 1, None], [1.0, math.inf, 1, 1, None]]) == log
    assert from_plain({"no": "list"}) == ()


def test_means_of_older_versions_are_a_line_of_their_own():
    older = from_plain([[1.0, 10, 1, 1, 0.4], [2.0, 10, 2, 2, None]])
    assert [entry.older_rule for entry in older] == [True, False]
    chart = plot_data.progress_chart((*older, sample(86400.0, 5)))
    lines = {series.name: series.y for series in chart.series}
    assert [value for value in lines["mIoU over all classes found, older version"] if not math.isnan(value)] == [0.4]
    assert [value for value in lines["mIoU of the folder"] if not math.isnan(value)] == [0.5]


def test_progress_is_drawn_as_shares_over_days() -> None:
    chart = plot_data.progress_chart((sample(0.0), sample(86400.0, 5)))
    assert chart.series[0].x == (0.0, 1.0)
    assert chart.series[0].y == (0.0, 0.5)
    assert chart.x_label.startswith("days since 1970-01-01")
    assert plot_data.progress_chart(()).empty
