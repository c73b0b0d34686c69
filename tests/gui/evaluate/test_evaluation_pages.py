"""Rankings, plots and ambiguous regions in the Evaluation panel, by mouse and keys."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest
from pyqtgraph import PlotWidget
from PySide6.QtCore import QModelIndex, QPointF, Qt
from PySide6.QtGui import QColor, QImage
from PySide6.QtWidgets import QApplication, QFileDialog, QLabel, QScrollArea

from app.ui.evaluate.kind_table import KindTable
from app.ui.evaluate.matrix_view import _contrasting, _luminance
from app.ui.evaluate.pages import EvaluationPages
from app.ui.evaluate.ranking_page import RankingPage
from app.ui.shell.theme import load_theme
from app.viewmodels.evaluate.charts import Chart, Series
from app.viewmodels.evaluate.error_list import ComponentQuery
from app.viewmodels.evaluate.rankings import RankingRow
from deeplab_core.analysis.ranking import RANKINGS
from tests.gui.studio import Studio

CTRL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier


def pages(studio: Studio, folder, title: str) -> EvaluationPages:
    """Predict and evaluate the folder, then open a page of the Evaluation panel."""
    studio.start_model()
    studio.open(folder)
    studio.wait(lambda: studio.program.evaluation.live is not None)
    studio.press(Qt.Key.Key_R, CTRL | SHIFT)
    studio.settle()
    studio.press(Qt.Key.Key_J, CTRL)
    studio.settle()
    studio.program.inspect.toggle_view()
    studio.settle()
    binding = studio.application.presenter.inspect
    tabs = binding.view.tabs
    tabs.setCurrentIndex([tabs.tabText(place) for place in range(tabs.count())].index(title))
    studio.settle()
    return binding.pages


def choose_order(page, name: str) -> None:
    place = next(p for p in range(page.orders.count()) if page.orders.item(p).data(Qt.ItemDataRole.UserRole) == name)
    page.orders.setCurrentRow(place)


def click_row(studio: Studio, table, row: int, column: int = 0) -> None:
    index = table.model().index(row, column, QModelIndex())
    studio.qtbot.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, pos=table.visualRect(index).center())


def test_the_chosen_queue_leads_to_its_images_and_next_worst_follows_it(studio, folder):
    page = pages(studio, folder, "Rankings").ranking
    assert page.rows.rowCount() == 4
    choose_order(page, "entropy")
    studio.settle()
    assert page.rows.rowCount() == 4
    assert "entropy" in page.what.text()
    scores = [float(page.rows.row(place).cells[1]) for place in range(4)]
    assert scores == sorted(scores, reverse=True)
    wanted = page.rows.row(2).image
    click_row(studio, page.table, 2)
    studio.wait(lambda: studio.image.id == wanted)
    assert studio.window.stack.currentWidget() is studio.application.presenter.canvas
    order = [page.rows.row(place).image for place in range(4)]
    studio.program.rankings.next_worst()
    studio.wait(lambda: studio.image.id == next(image for image in order if image != wanted))
    assert studio.program.session.project.setting("queue_order") == "entropy"


def test_an_image_without_a_score_is_last_and_a_ranking_keeps_its_old_name(studio, folder):
    page = pages(studio, folder, "Rankings").ranking
    project, rankings = studio.program.session.project, studio.program.rankings
    lost = project.images[1].id
    rankings.predictions.remove(str(lost))
    rankings.choose("model_entropy")  # as version 1 called it
    assert rankings.order == "entropy"
    studio.settle()
    rows = [page.rows.row(place) for place in range(page.rows.rowCount())]
    assert sorted(row.image for row in rows) == sorted(record.id for record in project.images)
    assert (rows[-1].image, rows[-1].cells[1]) == (lost, "")
    assert all(row.cells[1] for row in rows[:-1])
    project.set_setting("queue_order", "other")
    studio.program.projects.close()
    studio.open(folder)
    assert studio.program.rankings.order == "disagreement"


def test_truth_shows_how_well_the_order_finds_the_errors(studio, folder):
    page = pages(studio, folder, "Rankings").ranking
    choose_order(page, "confidence")
    studio.settle()
    assert page.right.isVisible()
    assert page.gain_note.text().startswith("Area")
    assert page.gain.chart is not None
    assert page.gain.chart.series[-1].y[-1] == pytest.approx(1)


def test_an_order_without_figures_says_what_to_do(studio, folder):
    page = pages(studio, folder, "Rankings").ranking
    choose_order(page, "passes")
    studio.settle()
    assert page.empty.isVisible()
    assert page.empty.text() == RANKINGS["passes"].needs


def test_every_plot_can_be_shown_and_exported(studio, folder, tmp_path):
    page = pages(studio, folder, "Plots").plots
    out = tmp_path / "plots"
    out.mkdir()
    shown = 0
    for row in range(page.list.count()):
        page.list.setCurrentRow(row)
        studio.settle()
        if page.view.isVisible():
            shown += 1
            for ending in (".png", ".svg", ".csv"):
                page.export(out / f"{row}{ending}")
        else:
            assert page.empty.text()
    assert shown >= 8
    assert not [title for title in studio.titles() if "cannot" in title]
    for picture in out.glob("*.png"):
        assert QImage(str(picture)).width() >= 2 * page.view.minimumWidth()
    for drawing in out.glob("*.svg"):
        assert drawing.read_bytes().startswith(b"<?xml")
    assert len(list(out.iterdir())) == 3 * shown


def test_the_table_of_a_plot_holds_what_is_counted(studio, folder, tmp_path):
    page = pages(studio, folder, "Plots").plots
    page.list.setCurrentItem(page.list.findItems("Confusion matrix", Qt.MatchFlag.MatchExactly)[0])
    studio.settle()
    page.export(tmp_path / "matrix.csv")
    header, *rows = csv.reader(io.StringIO((tmp_path / "matrix.csv").read_text("utf-8-sig")))
    counts = np.array([[int(cell) for cell in row[1:]] for row in rows])
    assert counts.sum() == studio.program.inspect.counts().sum()
    assert header[1:] == list(page.view.chart.column_names)
    page.export(tmp_path / "matrix.bmp")
    assert "unsupported file type" in studio.titles()[-1]


def test_the_file_dialog_of_an_export(studio, folder, tmp_path, monkeypatch):
    page = pages(studio, folder, "Plots").plots
    page.list.setCurrentRow(2)
    studio.settle()
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "iou"), "Table (*.csv)"))
    studio.qtbot.mouseClick(page.export_button, Qt.MouseButton.LeftButton)
    assert (tmp_path / "iou.csv").is_file()
    assert studio.titles()[-1] == "iou.csv exported"


def test_ambiguous_regions_are_listed_shown_explained_and_unmarked(studio, folder, tmp_path, monkeypatch):
    found = pages(studio, folder, "Ambiguous")
    page = found.ambiguous
    assert page.table.rowCount() == 0
    other = studio.program.session.project.images[2].id
    before = studio.program.inspect.counts().sum()
    studio.program.ambiguous.mark(other, np.ones((6, 7), dtype=bool), (4, 5), (15, 9))
    studio.settle()
    assert [page.table.item(0, column).text() for column in range(3)] == ["photo_2.jpg", "42", "person or chair"]
    studio.wait(lambda: studio.program.inspect.counts().sum() == before - 42)
    page.table.item(0, 3).setText("mirror")
    studio.wait(lambda: studio.program.ambiguous.listed()[0].mark.reason == "mirror")
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path / "marks"))
    studio.qtbot.mouseClick(page.export_button, Qt.MouseButton.LeftButton)
    assert (tmp_path / "marks" / "photo_2.ambiguous.json").is_file()
    studio.qtbot.mouseClick(page.unmark_button, Qt.MouseButton.LeftButton)
    studio.wait(lambda: page.table.rowCount() == 0)
    studio.wait(lambda: studio.program.inspect.counts().sum() == before)
    studio.program.ambiguous.mark(other, np.ones((6, 7), dtype=bool), (4, 5))
    studio.settle()
    click_row(studio, page.table, 0)
    studio.wait(lambda: studio.image.id == other)


def test_progress_is_recorded_when_the_work_moves_on(studio, folder):
    pages(studio, folder, "Plots")
    plots = studio.program.plots
    plots.record()
    recorded = len(plots.progress)
    assert recorded >= 1
    plots.record()
    assert len(plots.progress) == recorded  # nothing has changed
    studio.press(Qt.Key.Key_Escape)
    studio.program.projects.toggle_reviewed()
    plots.record()
    assert plots.progress[-1].reviewed == 1
    assert plots.progress[-1].miou is not None


def show_plot(studio: Studio, page, name: str):
    page.list.setCurrentItem(page.list.findItems(name, Qt.MatchFlag.MatchExactly)[0])
    studio.wait(lambda: page.view.isVisible())
    studio.settle()
    return page.view


def click_plot(studio: Studio, view, x: float, y: float) -> None:
    plot = view.findChild(PlotWidget)
    place = plot.mapFromScene(plot.plotItem.vb.mapViewToScene(QPointF(x, y)))
    studio.qtbot.mouseMove(plot.viewport(), place)
    studio.qtbot.mouseClick(plot.viewport(), Qt.MouseButton.LeftButton, pos=place)


def test_places_of_plots_lead_to_their_pixels(studio, folder):
    page = pages(studio, folder, "Plots").plots
    shown = studio.application.presenter.inspect
    heat = show_plot(studio, page, "Confusion matrix")
    counts = np.where(np.equal.outer(heat.chart.ids, heat.chart.column_ids), 0, heat.chart.counts)
    row, column = np.unravel_index(counts.argmax(), counts.shape)
    click_plot(studio, heat, float(column), float(row))
    assert shown.view.page is shown.components
    assert shown.components.query == ComponentQuery(heat.chart.ids[row], heat.chart.column_ids[column])
    studio.press(Qt.Key.Key_Escape, on=shown.view)
    bars = show_plot(studio, page, "IoU by class")
    click_plot(studio, bars, 0.01, 0.0)
    assert shown.components.query == bars.chart.leads[0]
    assert shown.components.components
    studio.press(Qt.Key.Key_Escape, on=shown.view)
    points = show_plot(studio, page, "Pixels by distance")
    click_plot(studio, points, points.chart.series[0].x[-1], 0.5)
    assert shown.components.query == points.chart.leads[-1]
    studio.press(Qt.Key.Key_Escape, on=shown.view)
    curve = show_plot(studio, page, "Trimap curve, image")
    click_plot(studio, curve, 17.2, curve.chart.series[0].y[16])
    assert not shown.in_front
    assert studio.program.evaluation.band.width_px == 17
    assert studio.program.context["pane_trimap"]


def test_the_legend_keeps_off_the_lines(studio, folder):
    view = pages(studio, folder, "Plots").plots.view
    low = tuple(0.1 for _ in range(9))
    for values, wanted in ((low, 0), (tuple(0.95 for _ in low), 1)):
        places = tuple(float(place) for place in range(9))
        series = (Series("a", places, values), Series("b", places, values))
        view.show_chart(Chart("t", "x", "y", series, y_range=(0, 1)))
        middle = view.findChild(PlotWidget).plotItem.vb.sceneBoundingRect().center()
        assert (view.findChild(PlotWidget).plotItem.legend.sceneBoundingRect().center().y() > middle.y()) == bool(wanted)


@pytest.mark.parametrize("color", ["#a85b60", "#d86e6e", "#3c6496", "#32282d", "#dcdce1", "#777777"])
def test_figures_on_cells_are_readable(color: str) -> None:
    ground = QColor(color)
    high, low = sorted((_luminance(_contrasting(ground)), _luminance(ground)), reverse=True)
    assert (high + 0.05) / (low + 0.05) >= 4.5


def test_the_keyboard_stays_in_the_page_of_runs(studio: Studio, folder) -> None:
    """Its table is hidden until two runs are compared: the keyboard went to the menu at the other end of the window."""
    pages(studio, folder, "Ambiguous")
    view = studio.application.presenter.inspect.view
    studio.qtbot.mouseClick(view.tabs, Qt.MouseButton.LeftButton, pos=view.tabs.tabRect(5).center())
    studio.settle()
    assert view.page is not None
    assert view.page.isAncestorOf(QApplication.focusWidget())


def test_no_figure_of_the_kinds_is_cut_in_a_narrow_window(studio: Studio, folder) -> None:
    pages(studio, folder, "Failures")
    known = studio.window.findChild(KindTable)
    assert known is not None
    table = KindTable(studio.window.theme)
    studio.qtbot.addWidget(table)
    table.show_lines(known._lines)
    table.resize(560, table.height())
    table.show()
    studio.settle()
    assert [column for column in range(6) if table.isColumnHidden(column)] == [3]
    assert table.horizontalScrollBar().maximum() == 0
    assert "Instances: " in table.item(0, 0).toolTip()
    header = table.horizontalHeader()
    for width in (560, 520, 490, 484, 478, 440):  # the two columns of bars shared the room evenly: "Share of the error"
        table.resize(width, table.height())
        studio.settle()
        if not table.horizontalScrollBar().maximum():
            shown = [column for column in range(6) if not table.isColumnHidden(column)]
            assert [column for column in shown if header.sectionSize(column) < header.sectionSizeHint(column)] == [], width
    table.resize(200, table.height())
    studio.settle()
    assert table.horizontalScrollBar().maximum() > 0, "all columns that are left are reached"
    assert table.verticalScrollBar().maximum() == 0, "and all rows seen"
    table.resize(1000, table.height())
    studio.settle()
    assert table.horizontalScrollBar().maximum() == 0
    assert not any(table.isColumnHidden(column) for column in range(6))


def test_the_failure_board_and_a_list_of_errors_fit_a_small_screen(studio: Studio, folder) -> None:
    """800 x 500 px: the end of the board was cut, and so were the head of a list and the table of a pair."""
    pages(studio, folder, "Failures")
    shown = studio.application.presenter.inspect
    board, errors = shown.failures, shown.components
    shown.show_list(ComponentQuery(truth=15, prediction=0))
    studio.settle()
    for page in (board, errors):
        page.setParent(None)
        studio.qtbot.addWidget(page)
        page.resize(471, 368)
        page.show()
    studio.settle()
    inner = board.kinds.parentWidget()
    assert inner.width() <= board.width()
    assert board.pairs.horizontalHeader().length() <= board.pairs.viewport().width()
    for part in (errors.back, errors.title, errors.both_ways, errors.order):
        assert errors.rect().contains(part.geometry())
    assert errors.title.height() >= errors.title.heightForWidth(errors.title.width())
    panel = errors.pair
    assert panel.parts.isVisible()
    for part, title in enumerate(("Share of its loss", "IoU if fixed", "Boundary", "Occluded", "Small")):
        panel.parts.setCurrentIndex(part)
        studio.settle()
        titles = [label.text() for label in panel.findChildren(QLabel) if label.isVisible()]
        assert title in titles
        assert panel.findChild(QScrollArea).horizontalScrollBar().maximum() == 0
    errors.resize(1000, 500)
    studio.settle()
    assert not panel.parts.isVisible()
    titles = [label.text() for label in panel.findChildren(QLabel) if label.isVisible()]
    assert {"Share of its loss", "Boundary", "Large"} <= set(titles)


def test_the_rankings_of_a_narrow_window_need_no_scrolling_sideways(qtbot) -> None:
    page = RankingPage(load_theme("dark"), lambda _image: None)
    qtbot.addWidget(page)
    rows = [RankingRow(place, (f"a_photograph_of_a_room_{place}.jpg", "12 345", "56.7", "Reviewed")) for place in range(4)]
    page.show_rows(("Image", "Score", "IoU", "Status"), frozenset({1, 2}), rows, measuring=False)
    page.resize(1200, 400)
    page.show()
    qtbot.waitUntil(lambda: not page.table.isColumnHidden(3))
    page.resize(550, 300)  # narrow: what is beside the table gives way first
    qtbot.waitUntil(lambda: page.minimumSizeHint().width() < 330)
    page.resize(330, 300)
    qtbot.waitUntil(lambda: page.table.isColumnHidden(3))
    assert not page.table.isColumnHidden(1)
    assert page.table.horizontalScrollBar().maximum() == 0
    assert page.split.width() >= 330 - page.orders.width() - 12, "the box below the list is no wider than the list"
    assert page.table.columnWidth(0) >= 90, "the picture and the first letters of the name"
    tip = page.rows.index(0, 0).data(Qt.ItemDataRole.ToolTipRole)
    assert tip == "a_photograph_of_a_room_0.jpg\nScore: 12 345\nIoU: 56.7\nStatus: Reviewed"
