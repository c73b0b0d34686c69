"""The Evaluation panel by user actions: from a number to its pixels and back."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QCloseEvent
from PySide6.QtWidgets import QAbstractScrollArea, QLabel, QPushButton, QTableView, QVBoxLayout, QWidget

from app.services.jobs import JobRegistry, JobState
from app.services.notifications import Severity
from app.state.measurement import Part
from app.state.tools import Tool
from app.ui.common.panel import Page
from app.ui.evaluate.presenter import EvaluationPresenter
from app.ui.evaluate.slice_bars import SliceBars
from app.viewmodels.evaluate.error_list import ComponentQuery
from app.viewmodels.evaluate.matrix_table import MatrixOrder, MatrixScale
from app.viewmodels.evaluate.pair_table import pair_table
from app.worker.inspect_apart import InspectApart
from deeplab_core.analysis import ErrorComponent, FailureKind, PixelAxis, Slice, find_errors
from deeplab_core.analysis.record import ERROR_PIXELS
from tests.gui.studio import Studio, make_folder


def test_one_key_opens_the_view_and_escape_goes_back_to_the_picture(studio: Studio, folder):
    studio.open(folder)
    canvas = studio.window.stack.currentWidget()
    studio.press(Qt.Key.Key_O)
    view = studio.application.presenter.inspect.view
    assert studio.window.stack.currentWidget() is view
    assert studio.program.context["evaluation_open"]
    studio.press(Qt.Key.Key_Escape, on=view)
    assert studio.window.stack.currentWidget() is canvas
    assert not studio.program.context["evaluation_open"]
    assert studio.view.hasFocus()


def test_the_view_goes_with_its_project(studio: Studio, folder):
    studio.open(folder)
    studio.press(Qt.Key.Key_O)
    studio.program.projects.close()
    assert studio.window.stack.currentWidget() is studio.window.start_page
    assert not studio.program.context["evaluation_open"]


def test_an_image_without_a_label_is_not_measured(studio: Studio, folder):
    """An image that no model and no user has labelled was once shown with 'mIoU 0.00'."""
    studio.open(folder)
    studio.wait(lambda: studio.program.evaluation.live is not None)
    studio.settle()
    classes = studio.window.classes
    studio.wait(lambda: "not measured" in classes.note.text())
    assert classes.mean.text() == ""
    assert "Nothing is labelled yet" in studio.window.trimap.empty.text()
    studio.paint((10, 10), (20, 20))
    studio.wait(lambda: classes.mean.text().startswith("mIoU"))
    assert "not measured" not in classes.note.text()
    studio.press(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    studio.wait(lambda: classes.mean.text() == "")


def run_folder(studio: Studio, folder) -> EvaluationPresenter:
    """Predict every image, open the view, wait for its figures."""
    studio.start_model()
    studio.open(folder)
    studio.window.model.run_folder.click()
    studio.wait(lambda: "Folder run finished" in studio.titles())
    studio.press(Qt.Key.Key_O)
    studio.wait(lambda: len(studio.program.inspect.index) == 4 and not studio.program.inspect.inspecting)
    studio.settle()
    studio.qtbot.wait(200)
    studio.settle()
    return studio.application.presenter.inspect


def click(studio: Studio, view: QAbstractScrollArea, point: QPoint) -> None:
    studio.qtbot.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=point)


def click_worst_cell(studio: Studio, shown: EvaluationPresenter) -> ComponentQuery:
    """Click the cell off the diagonal with most pixels."""
    matrix = shown.matrix.matrix
    table = matrix.table
    wrong = np.where(table.rows[:, None] == table.columns[None, :], 0, table.counts)
    row, column = np.unravel_index(wrong.argmax(), wrong.shape)
    click(studio, matrix, matrix.rect_of(int(row), int(column)).center())
    return ComponentQuery(*table.cell(int(row), int(column)))


def click_tile(studio: Studio, shown: EvaluationPresenter, place: int) -> ErrorComponent:
    tiles = shown.components.list
    click(studio, tiles, tiles.visualRect(shown.components.model.index(place, 0)).center())
    component = shown.components.components[place]
    studio.wait(lambda: not shown.in_front and str(studio.image.id) == component.image)
    studio.settle()
    return component


def test_two_clicks_lead_from_a_cell_to_its_pixels_and_keys_lead_back(studio: Studio, folder):
    shown = run_folder(studio, folder)
    query = click_worst_cell(studio, shown)
    assert shown.view.page is shown.components
    assert shown.components.query == query
    components = shown.components.components
    assert [c.pixels for c in components] == sorted((c.pixels for c in components), reverse=True)
    component = click_tile(studio, shown, 1)
    tools, view = studio.program.tools, studio.program.view
    assert (tools.tool, tools.class_id) == (Tool.BRUSH, query.truth)
    x, y = view.center
    box, (height, width) = component.box, studio.image.document.labels.shape
    assert 2 * box.width >= width or 2 * box.height >= height, "with its margin it needs more than the image"
    assert (x, y) == pytest.approx((width / 2, height / 2)), "so the whole image is shown"
    assert studio.view.hasFocus()
    assert shown.bar.isVisible()
    assert studio.view.outline is not None
    studio.press(Qt.Key.Key_Period)
    third = components[2]
    studio.wait(lambda: str(studio.image.id) == third.image and studio.program.inspect.navigation.place == 2)
    studio.settle()
    studio.press(Qt.Key.Key_O)
    assert shown.view.page is shown.components
    assert shown.components.list.currentIndex().row() == 2
    studio.press(Qt.Key.Key_Escape, on=shown.view)
    assert shown.view.page is shown.matrix
    studio.press(Qt.Key.Key_Escape, on=shown.view)
    assert not shown.in_front
    shown.bar.end.click()
    assert studio.view.outline is None
    assert not studio.window.commands["inspect.next"].isEnabled()


def test_a_correction_flows_into_the_matrix_at_once_and_into_the_components_when_the_hand_rests(studio: Studio, folder):
    shown = run_folder(studio, folder)
    click_worst_cell(studio, shown)
    component = click_tile(studio, shown, 0)
    inspect = studio.program.inspect
    before = inspect.counts()
    studio.program.tools.set_diameter(200)
    centre = component.box.x + component.box.width / 2, component.box.y + component.box.height / 2
    studio.paint(centre, centre)
    truth = studio.program.evaluation.live.truth
    now = inspect.counts()
    catalog = studio.image.document.catalog
    row, column = catalog.index_of(component.truth), catalog.index_of(component.prediction)
    assert now[row, column] < before[row, column]
    assert now.sum() == before.sum()
    name = component.image
    studio.wait(lambda: (inspect.folder.get(name).whole(ERROR_PIXELS) == studio.program.evaluation.live.matrix.counts).all())
    studio.settle()
    expected = find_errors(truth=truth, prediction=studio.image.document.labels, catalog=catalog)
    np.testing.assert_array_equal(inspect.folder.errors.of(name).cells, expected.cells)
    np.testing.assert_array_equal(inspect.folder.errors.of(name).pixels, expected.pixels)
    np.testing.assert_array_equal(inspect.counts(), now)
    studio.press(Qt.Key.Key_O)
    assert component not in shown.components.components


def test_a_stroke_just_before_the_next_image_is_not_forgotten(studio: Studio, folder):
    shown = run_folder(studio, folder)
    click_worst_cell(studio, shown)
    component = click_tile(studio, shown, 0)
    studio.program.tools.set_diameter(200)
    centre = component.box.x + component.box.width / 2, component.box.y + component.box.height / 2
    studio.paint(centre, centre)
    painted, truth = studio.image.document.labels.copy(), studio.program.evaluation.live.truth.copy()
    studio.program.projects.open_image(next(r.id for r in studio.program.session.project.images if str(r.id) != component.image))
    studio.wait(lambda: str(studio.image.id) != component.image)
    studio.settle()
    expected = find_errors(truth=truth, prediction=painted, catalog=studio.image.document.catalog)
    np.testing.assert_array_equal(studio.program.inspect.folder.errors.of(component.image).pixels, expected.pixels)


def test_what_was_inspected_is_not_read_again_at_the_next_visit(studio: Studio, folder, monkeypatch):
    run_folder(studio, folder)
    counts = studio.program.inspect.counts()
    studio.program.projects.close()

    def refuse(*_args):
        raise AssertionError("an image was inspected again")

    monkeypatch.setattr("app.state.measurement.inspect_sample", refuse)
    studio.open(folder)
    studio.press(Qt.Key.Key_O)
    studio.wait(lambda: len(studio.program.inspect.index) == 4 and not studio.program.inspect.inspecting)
    np.testing.assert_array_equal(studio.program.inspect.counts(), counts)


def test_a_large_image_is_inspected_apart_from_the_window(studio: Studio, tmp_path, monkeypatch):
    """At 100 megapixels the window took 4.9 GB and two minutes of its cores."""

    def refuse(*_args):
        raise AssertionError("the window inspects a large image")

    monkeypatch.setattr("app.state.measurement.LARGE_PX", 100)
    monkeypatch.setattr("app.state.measurement.inspect_sample", refuse)
    studio.start_model()
    studio.open(make_folder(tmp_path / "set", count=1))
    studio.window.model.run_folder.click()
    studio.wait(lambda: "Folder run finished" in studio.titles())
    inspect, patience = studio.program.inspect, 60_000  # a process starts
    studio.press(Qt.Key.Key_O)
    studio.qtbot.waitUntil(lambda: len(inspect.index) == 1 and not inspect.inspecting, timeout=patience)
    studio.settle()
    image, truth = studio.image, studio.program.evaluation.live.truth

    def pixels() -> list[int]:
        return inspect.folder.errors.of(str(image.id)).pixels.tolist()

    def counted() -> list[int]:
        found = find_errors(truth=truth, prediction=image.document.labels, catalog=image.document.catalog)
        return found.pixels.tolist()

    before = counted()
    assert pixels() == before
    studio.press(Qt.Key.Key_Escape, on=studio.application.presenter.inspect.view)
    studio.program.tools.choose_class(7)
    studio.paint((10, 10), (40, 40))
    assert counted() != before
    studio.qtbot.waitUntil(lambda: pixels() == counted(), timeout=patience)


@pytest.fixture
def never_answers(monkeypatch) -> Iterator[set[int]]:
    """Processes that inspect a large image from now on never answer; their numbers."""
    if not hasattr(signal, "SIGSTOP"):
        pytest.skip("only POSIX systems stop a process by a signal")
    begun: set[int] = set()
    start = InspectApart._start

    def start_stopped(apart):
        process, connection = start(apart)
        os.kill(process.pid, signal.SIGSTOP)
        begun.add(process.pid)
        return process, connection

    monkeypatch.setattr(InspectApart, "_start", start_stopped)
    yield begun
    for process in multiprocessing.active_children():
        if process.pid in begun:
            process.kill()  # a test has failed


def begin_apart(studio: Studio, tmp_path, monkeypatch, count: int) -> None:
    """Begin the error analysis of a folder of images that count as large."""
    monkeypatch.setattr("app.state.measurement.LARGE_PX", 100)
    studio.start_model()
    studio.open(make_folder(tmp_path / "set", count=count))
    studio.window.model.run_folder.click()
    studio.wait(lambda: "Folder run finished" in studio.titles())
    studio.press(Qt.Key.Key_O)
    studio.wait(lambda: studio.program.inspect.inspecting)


def closes_at_once(studio: Studio, monkeypatch) -> bool:
    """Close the window; whether nothing ran in the background any more when the project was closed."""
    jobs, empty = studio.program.jobs, []
    with monkeypatch.context() as patch:
        patch.setattr(jobs, "wait", lambda *_time: empty.append(JobRegistry.wait(jobs)) or empty[-1])
        studio.window.closing.emit(event := QCloseEvent())
    assert event.isAccepted()
    assert empty
    return all(empty)


def test_stop_ends_a_large_image_that_is_inspected_apart(studio: Studio, never_answers, tmp_path, monkeypatch):
    """The job went on until the image was done, which took a minute at 100 megapixels."""
    begin_apart(studio, tmp_path, monkeypatch, 2)
    studio.wait(lambda: never_answers)
    (job,) = (job for job in studio.program.jobs.running if job.can_cancel)
    studio.window.status.cancelAsked.emit(job)
    studio.wait(lambda: not job.running and not studio.program.inspect.inspecting)
    assert job.state is JobState.CANCELLED
    studio.settle()
    assert len(never_answers) == 1, "the second image waited for the first one, and did not begin"
    assert all(message.severity is Severity.INFO for message in studio.program.notifier.messages)


def test_stop_does_not_lose_the_score_of_a_large_image(studio: Studio, never_answers, tmp_path, monkeypatch):
    """What was to be measured with its errors was forgotten with them."""
    monkeypatch.setattr("app.state.measurement.LARGE_PX", 100)
    studio.start_model()
    studio.open(make_folder(tmp_path / "set", count=2))
    studio.window.model.run_folder.click()
    studio.wait(lambda: "Folder run finished" in studio.titles())
    studio.settle()
    measuring = studio.program.measuring
    studio.wait(lambda: not measuring._due and measuring._job is None)
    other = next(record.id for record in studio.program.session.project.images if record.id != studio.image.id)
    heard: list[tuple[int, Part]] = []
    measuring.measured.connect(lambda image, parts, _found: heard.append((image, parts)))
    measuring.ask(other, Part.SCORE | Part.ERRORS)
    studio.wait(lambda: never_answers)
    measuring._job.cancel()
    studio.wait(lambda: measuring._job is None)
    assert heard == []
    measuring.begin()
    studio.wait(lambda: heard == [(other, Part.SCORE)])


def test_closing_does_not_wait_for_a_large_image_that_is_inspected_apart(studio: Studio, never_answers, tmp_path, monkeypatch):
    """It waited for 3 s, and the database was closed under the thread."""
    begin_apart(studio, tmp_path, monkeypatch, 2)
    studio.wait(lambda: never_answers)
    assert closes_at_once(studio, monkeypatch)


def test_closing_does_not_wait_for_a_large_image_in_view_that_is_inspected_again(studio: Studio, tmp_path, monkeypatch, request):
    begin_apart(studio, tmp_path, monkeypatch, 1)
    inspect = studio.program.inspect
    studio.qtbot.waitUntil(lambda: len(inspect.index) == 1 and not inspect.inspecting, timeout=60_000)  # a process starts
    studio.press(Qt.Key.Key_Escape, on=studio.application.presenter.inspect.view)
    begun = request.getfixturevalue("never_answers")
    studio.program.tools.choose_class(7)
    studio.paint((10, 10), (40, 40))
    studio.wait(lambda: begun)
    assert closes_at_once(studio, monkeypatch)


def test_the_failure_board_leads_to_components(studio: Studio, folder):
    shown = run_folder(studio, folder)
    shown.view.tabs.setCurrentIndex(shown.view.titles.index("Failures"))
    kinds = shown.failures.kinds
    row = next(row for row in range(kinds.rowCount()) if kinds.item(row, 0).text() == "Extent")
    click(studio, kinds, kinds.visualItemRect(kinds.item(row, 0)).center())
    assert shown.view.page is shown.components
    assert shown.components.query == ComponentQuery(kind=FailureKind.EXTENT)
    assert all(FailureKind.EXTENT in component.kinds for component in shown.components.components)
    studio.press(Qt.Key.Key_Escape, on=shown.view)
    bars = shown.failures.bars
    studio.qtbot.mouseClick(bars, Qt.MouseButton.LeftButton, pos=bars.part_rect(0, FailureKind.EXTENT).center())
    concerning = shown.components.query.concerning
    assert concerning is not None
    assert all(concerning in (c.truth, c.prediction) for c in shown.components.components)


def test_the_iou_of_a_class_leads_from_the_picture_to_its_errors(studio: Studio, folder):
    shown = run_folder(studio, folder)
    studio.press(Qt.Key.Key_Escape, on=shown.view)
    dock = studio.window.classes
    place = next(n for n in range(dock.model.rowCount()) if dock.model.class_row(dock.model.index(n)).iou is not None)
    row = dock.model.class_row(dock.model.index(place))
    point = dock.delegate.iou_rect(dock.view.visualRect(dock.model.index(place))).center()
    click(studio, dock.view, point)
    assert shown.in_front
    assert shown.components.query == ComponentQuery(concerning=row.class_id)
    assert shown.components.components
    studio.press(Qt.Key.Key_Escape, on=shown.view)
    studio.press(Qt.Key.Key_Escape, on=shown.view)
    assert not shown.in_front


def test_a_bar_of_a_slice_leads_to_its_components(studio: Studio, folder):
    shown = run_folder(studio, folder)
    shown.view.tabs.setCurrentIndex(shown.view.titles.index("Failures"))
    studio.settle()
    charts = {chart.accessibleName(): chart for chart in shown.failures.findChildren(SliceBars)}
    chart = charts["Distance to an edge, pixels, mean IoU"]
    studio.qtbot.mouseClick(chart, Qt.MouseButton.LeftButton, pos=chart.bar_rect(0).center())
    assert shown.view.page is shown.failures  # there is void, and no figure
    studio.qtbot.mouseClick(chart, Qt.MouseButton.LeftButton, pos=chart.bar_rect(1).center())
    assert shown.view.page is shown.components
    assert shown.components.query == ComponentQuery(within=Slice(PixelAxis.DISTANCE, 1))
    assert shown.components.title.text() == "pixels, distance to an edge 2 px"
    clicked = [(one.image, one.anchor) for one in shown.components.components]
    assert clicked
    studio.press(Qt.Key.Key_Escape, on=shown.view)
    for key in (Qt.Key.Key_Right, Qt.Key.Key_Left, Qt.Key.Key_Return):  # the first bar with a figure has the focus
        studio.press(key, on=chart)
    assert [(one.image, one.anchor) for one in shown.components.components] == clicked


def test_without_truth_the_view_says_what_to_do(studio: Studio, tmp_path):
    studio.open(make_folder(tmp_path / "blank", truth=False))
    studio.press(Qt.Key.Key_O)
    view = studio.application.presenter.inspect.view
    assert view.hint.isVisible()
    assert "Choose its folder in the Ground truth menu" in view.hint.text()


def test_an_error_marked_ambiguous_in_the_list_leaves_all_figures(studio: Studio, folder):
    shown = run_folder(studio, folder)
    query = click_worst_cell(studio, shown)
    component = shown.components.components[0]
    before = studio.program.inspect.counts()
    menu = shown.components.menu_of(0)
    next(action for action in menu.actions() if "ambiguous" in action.text()).trigger()
    studio.wait(lambda: studio.program.inspect.counts().sum() == before.sum() - component.pixels)
    studio.settle()
    catalog = studio.image.document.catalog
    row, column = catalog.index_of(query.truth), catalog.index_of(query.prediction)
    assert studio.program.inspect.counts()[row, column] == before[row, column] - component.pixels
    studio.wait(lambda: component not in shown.components.components)
    marks = studio.program.ambiguous.listed()
    assert [(str(mark.image), mark.mark.box) for mark in marks] == [(component.image, component.box)]


def test_the_matrix_is_walked_by_keys_and_read_in_other_ways(studio: Studio, folder):
    shown = run_folder(studio, folder)
    page, matrix = shown.matrix, shown.matrix.matrix
    matrix.setFocus()
    for key in (Qt.Key.Key_Right, Qt.Key.Key_Right, Qt.Key.Key_Down):
        studio.press(key, on=matrix)
    assert matrix.cell == (1, 1)
    assert "correct" in page.readout.toolTip()
    held = matrix.table.cell(1, 1)
    page.scale.setCurrentText(MatrixScale.COUNTS.value)
    page.order.setCurrentText(MatrixOrder.COST.value)
    assert matrix.table.cell(*matrix.cell) == held
    rows = len(matrix.table.rows)
    page.background.setChecked(False)
    assert len(matrix.table.rows) == rows - 1
    page.empty.setChecked(True)
    assert len(matrix.table.rows) == len(studio.image.document.catalog) - 1
    side = matrix.side
    page.zoom.setValue(side + 7)
    assert matrix.side == side + 7
    page.empty.setChecked(False)
    page.worst.itemClicked.emit(page.worst.item(0))
    assert shown.components.components
    assert "→" not in shown.components.title.text()


def test_inspecting_can_be_stopped_and_goes_on_where_it_was(studio: Studio, folder):
    shown = run_folder(studio, folder)
    inspect = studio.program.inspect
    for image in list(inspect.index.keys):
        inspect.index.drop(image)
    assert inspect.counts() is None
    shown.view.refresh.click()
    assert inspect.inspecting
    studio.program.jobs.running[0].cancel()
    studio.wait(lambda: not inspect.inspecting)
    studio.settle()
    assert len(inspect.index) < 4
    studio.press(Qt.Key.Key_O)
    studio.press(Qt.Key.Key_O)
    studio.wait(lambda: len(inspect.index) == 4 and not inspect.inspecting)


def test_another_folder_is_inspected_although_the_last_one_was_not_done(studio: Studio, folder, tmp_path):
    run_folder(studio, folder)
    inspect = studio.program.inspect
    inspect.inspect_folder()
    assert inspect.inspecting
    studio.program.projects.open(make_folder(tmp_path / "other", count=2))
    studio.wait(lambda: studio.program.session.project is not None and len(studio.program.session.project.images) == 2)
    studio.settle()
    studio.press(Qt.Key.Key_O)
    studio.wait(lambda: len(inspect.index) >= 1 and not inspect.inspecting and not studio.program.jobs.running)


def test_of_two_changes_in_a_row_the_later_one_stays(studio: Studio, folder, monkeypatch):
    """They are inspected side by side, and the answer to the earlier one may come last."""
    run_folder(studio, folder)
    other = studio.program.session.project.images[2].id
    before = studio.program.inspect.counts().sum()
    held: list[tuple] = []
    with monkeypatch.context() as patch:
        patch.setattr(studio.program.jobs, "run", lambda work, done, failed, **_: held.append((work(), done)))
        studio.program.ambiguous.mark(other, np.ones((6, 7), dtype=bool), (4, 5))
        marked = len(held)
        studio.program.ambiguous.unmark(other, 0)
    for result, done in (*held[marked:], *held[:marked]):
        done(result)
    studio.settle()
    assert studio.program.inspect.counts().sum() == before


def test_an_image_of_another_size_is_judged_by_its_own_truth(studio: Studio, folder):
    small = folder / "photo_1.jpg"
    truth = folder.parent / "labels" / "photo_1.png"
    for path in (small, truth):
        with Image.open(path) as picture:
            picture.crop((0, 0, 50, 40)).save(path)
    run_folder(studio, folder)
    studio.press(Qt.Key.Key_O)
    images = {record.name: record.id for record in studio.program.session.project.images}
    for name in ("photo_1.jpg", "photo_0.jpg", "photo_1.jpg"):
        studio.program.projects.open_image(images[name])
        studio.wait(lambda name=name: studio.image.id == images[name])
        studio.settle()  # an error in a job of the background fails the test
        assert studio.program.evaluation.live.truth.shape == studio.image.document.labels.shape


def test_the_board_shows_what_was_not_measured_and_how_much_each_bar_rests_on(studio: Studio, folder):
    shown = run_folder(studio, folder)
    shown.view.tabs.setCurrentIndex(shown.view.titles.index("Failures"))
    studio.settle()
    kinds = shown.failures.kinds
    row = next(row for row in range(kinds.rowCount()) if kinds.item(row, 0).text() == "Mostly hidden")
    assert [kinds.item(row, column).text() for column in range(1, 6)] == ["not measured", "", "", "", ""]
    assert "visible share" in kinds.item(row, 0).toolTip()
    click(studio, kinds, kinds.visualItemRect(kinds.item(row, 0)).center())
    assert shown.view.page is shown.failures
    bars = {chart.accessibleName(): chart._chart.bars for chart in shown.failures.findChildren(SliceBars)}
    pixels = [bar for bar in bars["Distance to an edge, pixels, mean IoU"] if bar.value == bar.value]
    assert {bar.count for bar in pixels} == {4}  # images
    assert all(bar.few for bar in pixels)
    painted = shown.failures.findChildren(SliceBars)[0].grab().toImage()
    assert not painted.isNull()


def test_a_cell_says_what_it_costs_and_leads_to_the_image_that_holds_most_of_it(studio: Studio, folder):
    shown = run_folder(studio, folder)
    query = click_worst_cell(studio, shown)
    panel, page = shown.components.pair, shown.components
    assert panel.isVisible()
    loss = query.loss(studio.program.inspect.folder)
    assert loss is not None
    assert panel.summary.toolTip() == pair_table(loss, studio.image.document.catalog).summary
    texts = [label.text() for label in panel.findChildren(QLabel) if label.property("used")]
    assert "Share of its loss" in texts
    assert "Occluded" in texts
    panel.largest.click()
    assert page.components[page.list.currentIndex().row()].image == loss.largest_image
    page.both_ways.click()
    both = page.query.loss(studio.program.inspect.folder)
    assert both is not None
    assert panel.summary.toolTip() == pair_table(both, studio.image.document.catalog).summary
    assert both.pixels >= loss.pixels
    shown.view.step_back()
    table = shown.matrix.matrix.table
    click(studio, shown.matrix.matrix, shown.matrix.matrix.rect_of(0, 0).center())  # a row has no cost of its own
    assert table is not None
    assert page.query == ComponentQuery(truth=table.class_id(int(table.rows[0])))
    assert not panel.isVisible()


def test_the_board_leads_to_both_directions_of_a_pair(studio: Studio, folder):
    shown = run_folder(studio, folder)
    shown.view.show_page("Failures")
    pairs = shown.failures.pairs
    studio.wait(lambda: pairs.rowCount() > 0)
    line = pairs.lines[0]
    click(studio, pairs, pairs.visualItemRect(pairs.item(0, 0)).center())
    assert shown.view.page is shown.components
    assert shown.components.query == ComponentQuery(line.one, line.other, both_ways=True)
    assert shown.components.pair.isVisible()


def test_bars_get_their_intervals_once_the_figures_rest(studio: Studio, folder):
    shown = run_folder(studio, folder)
    shown.view.show_page("Failures")

    def known() -> bool:
        bars = [bar for chart in shown.failures.findChildren(SliceBars) for bar in chart._chart.bars]
        return any(bar.low <= bar.value <= bar.high for bar in bars)

    studio.wait(known)
    assert any("95 % interval" in chart.accessibleDescription() for chart in shown.failures.findChildren(SliceBars))


def labels_now(studio: Studio, component: ErrorComponent) -> set[int]:
    """What the pixels of a component's box are, by the labels that are in view."""
    assert component.image == str(studio.image.id)
    return set(np.unique(studio.image.document.labels[component.box.slices]).tolist())


def test_errors_are_fixed_from_the_list_by_keys_and_the_list_stays(studio: Studio, folder):
    shown = run_folder(studio, folder)
    shown.show_list(ComponentQuery())
    studio.settle()
    page = shown.components
    gains = shown._program.inspect.folder.gains(page.components, "gain_folder")
    assert gains == sorted(gains, reverse=True)
    assert page.model.tile(page.model.index(0)).label.startswith(("+", "under +0.1"))
    page.list.setFocus()
    page.select(0)
    shift = Qt.KeyboardModifier.ShiftModifier
    images = set()
    for key, modifiers, step in (
        (Qt.Key.Key_Return, shift, "Error: "), (Qt.Key.Key_Delete, Qt.KeyboardModifier.NoModifier, "Error: give to the sur"),
        (Qt.Key.Key_Z, shift, "Error: second guess"),
    ):  # fmt: skip
        # The next one of an image that is not in view, which is opened behind the list.
        page.select(next(n for n, one in enumerate(page.components) if one.image not in images))
        place = page.list.currentIndex().row()
        component, before = page.components[place], len(page.components)
        images.add(component.image)
        studio.press(key, modifiers, on=page.list)
        studio.wait(lambda before=before: len(page.components) != before or "This error is fixed" in studio.titles()[-1])
        studio.settle()
        assert shown.in_front
        assert studio.steps()[-1].startswith(step)
        assert component.image == str(studio.image.id)
        assert component not in page.components
        assert page.list.currentIndex().isValid()
        assert studio.window.focusWidget() is page.list
    assert len(images) == 3
    studio.press(Qt.Key.Key_Return, on=page.list)
    studio.wait(lambda: not shown.in_front)


def test_an_error_that_was_reached_from_the_list_is_fixed_by_the_same_keys(studio: Studio, folder):
    shown = run_folder(studio, folder)
    click_worst_cell(studio, shown)
    component = click_tile(studio, shown, 0)
    errors = studio.program.next_errors
    assert errors.current is not None
    assert (errors.current.box, errors.current.truth) == (component.box, component.truth)
    studio.press(Qt.Key.Key_Return, Qt.KeyboardModifier.ShiftModifier)
    studio.settle()
    assert errors.current is None
    assert component.prediction not in labels_now(studio, component) or component.truth in labels_now(studio, component)
    assert studio.steps()[-1].startswith("Error: ")


def test_the_order_of_errors_is_chosen_and_kept(studio: Studio, folder):
    shown = run_folder(studio, folder)
    shown.show_list(ComponentQuery())
    page = shown.components
    assert page.order.currentData() == "gain_folder"
    page.order.setCurrentIndex(page.order.findData("size"))
    page.order.activated.emit(page.order.currentIndex())
    sizes = [component.pixels for component in page.components]
    assert sizes == sorted(sizes, reverse=True)
    assert page.model.tile(page.model.index(0)).label[0].isdigit()
    page.order.setCurrentIndex(page.order.findData("gain_image"))
    page.order.activated.emit(page.order.currentIndex())
    gains = studio.program.inspect.folder.gains(page.components, "gain_image")
    assert gains == sorted(gains, reverse=True)
    shown.show_list(ComponentQuery(truth=15))
    assert page.query.order == "gain_image"
    assert studio.program.settings["evaluation.error_order"] == "gain_image"


def test_a_page_whose_leading_part_is_hidden_keeps_the_keyboard(qtbot) -> None:
    """The keyboard went to the menu at the other end of the window when the page of runs came to the front."""
    window = QWidget()
    column = QVBoxLayout(window)
    menu, page, table, button = QPushButton("menu"), Page(), QTableView(), QPushButton("inside")
    inner = QVBoxLayout(page)
    inner.addWidget(table)
    inner.addWidget(button)
    table.hide()
    page.lead_focus_to(table)
    column.addWidget(menu)
    column.addWidget(page)
    qtbot.addWidget(window)
    with qtbot.waitActive(window):
        window.show()
        window.activateWindow()
    page.setFocus()
    assert button.hasFocus()
    table.show()
    page.setFocus()
    assert table.hasFocus()


def test_a_band_without_ground_truth_follows_the_mask(studio, tmp_path, monkeypatch):
    """It stayed where the mask was when the pane was opened."""
    studio.open(make_folder(tmp_path / "bare", 1, truth=False))
    canvas = studio.application.presenter.canvas
    shown, show = [], canvas.set_layers
    monkeypatch.setattr(canvas, "set_layers", lambda layers: (shown.append(layers.band), show(layers)))
    studio.program.classes.choose(9)
    studio.paint((20, 20), (40, 20))
    studio.window.commands["view.trimap"].trigger()
    studio.wait(lambda: shown and shown[-1] is not None)
    studio.settle()
    before = shown[-1]
    studio.paint((20, 40), (40, 40))
    studio.wait(lambda: shown[-1] is not before)
    assert (shown[-1] != before).any()
