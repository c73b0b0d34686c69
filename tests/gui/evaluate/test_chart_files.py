"""A chart is saved as a file, and never over a photograph or through a link."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pytestqt.qtbot import QtBot

from app.state.mask_file import MaskNote, encode_mask
from app.ui.common.chart_export import ENDINGS, export_chart
from app.ui.common.chart_view import ChartView
from app.ui.shell.theme import load_theme
from app.viewmodels.evaluate.charts import Chart, Series
from deeplab_core.catalogs import get_catalog
from deeplab_core.errors import ProtectedFile
from deeplab_core.masks.png import write_indexed_png


@pytest.fixture
def view(qtbot: QtBot) -> ChartView:
    view = ChartView(load_theme("dark"))
    qtbot.addWidget(view)
    view.resize(320, 240)
    view.show_chart(Chart("IoU", "width, px", "IoU", (Series("a", (1.0, 2.0, 3.0), (0.2, 0.4, 0.5)),)))
    return view


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_chart_replaces_a_chart_and_nothing_else(tmp_path: Path, view: ChartView, ending: str) -> None:
    path = tmp_path / f"a{ending}"
    for _ in range(2):
        export_chart(view, path)
    assert path.stat().st_size > 0
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(path, "JPEG")
    before = path.read_bytes()
    with pytest.raises(ProtectedFile):
        export_chart(view, path)
    assert path.read_bytes() == before
    link = tmp_path / f"link{ending}"
    (tmp_path / "precious").write_bytes(b"precious")
    link.symlink_to(tmp_path / "precious")
    with pytest.raises(ProtectedFile):
        export_chart(view, link)
    assert (tmp_path / "precious").read_bytes() == b"precious"


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("kind", ["written", "project", "foreign", "colours"])
def test_a_chart_replaces_no_mask(tmp_path: Path, view: ChartView, ending: str, kind: str) -> None:
    path, catalog = tmp_path / f"a{ending}", get_catalog("voc21")
    labels = np.zeros((60, 80), np.uint8)
    labels[20:40] = 15
    if kind == "foreign":
        Image.fromarray(labels).save(path, "PNG")
    elif kind == "colours":
        Image.fromarray(catalog.palette()[labels]).save(path, "PNG")
    elif kind == "written":
        write_indexed_png(path, labels, catalog)
    else:
        path.write_bytes(b"".join(encode_mask(labels, np.zeros_like(labels), catalog, MaskNote(1, "a.png"))))
    before = path.read_bytes()
    with pytest.raises(ProtectedFile, match=r"never replaced"):
        export_chart(view, path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("size", [(1000, 700), (700, 500), (420, 300)])
@pytest.mark.parametrize(("low", "high"), [(0.31, 0.55), (0.0, 1.0), (0.4, 0.43), (0.05, 0.9)])
def test_an_axis_has_a_few_numbers(qtbot: QtBot, size: tuple[int, int], low: float, high: float) -> None:
    view = ChartView(load_theme("dark"))
    qtbot.addWidget(view)
    view.resize(*size)
    values = tuple(float(value) for value in np.linspace(low, high, 40))
    view.show_chart(Chart("t", "width, px", "mIoU", (Series("a", tuple(map(float, range(1, 41))), values),), shares=("y",)))
    for side, extent, length in (("left", (100 * low, 100 * high), size[1]), ("bottom", (1.0, 40.0), size[0])):
        levels = view.axis(side).tickValues(*extent, length)
        assert 3 <= sum(len(places) for _, places in levels) <= 8


def test_a_curve_below_another_one_is_not_named() -> None:
    from app.ui.evaluate.band_plot import in_sight
    from app.viewmodels.evaluate.curves import Curve

    model, now = Curve("model", (0.2, float("nan"))), Curve("now", (0.2, float("nan")))
    assert in_sight([model, now]) == [now]
    assert in_sight([model, Curve("now", (0.2, 0.3))])[0] is model
