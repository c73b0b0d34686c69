"""Comparing models by user actions: choose, look, run the folder, open the worst; and the receptive field."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFileDialog, QLabel, QMainWindow

from app.state.comparison import PLACE_TOKENS, ModelSetting, count_pair
from app.text import points
from app.ui.compare.compare_dock import CompareDock
from app.ui.compare.compare_table import CompareTable
from app.ui.compare.verdict_table import VerdictTable
from app.ui.shell.theme import load_theme
from app.viewmodels.annotate.panes import PaneKind, PaneLayout
from app.viewmodels.compare.rows import ComparedFigures, ImageLine, TableRow, VerdictCell, VerdictRow, remark
from app.worker.messages import AskReceptive, Compare, EndCompare, InspectModel
from deeplab_core.catalogs import get_catalog
from deeplab_core.catalogs.catalog import ClassInfo
from deeplab_core.errors import ImageReadError, WeightsError
from deeplab_core.metrics import ConfusionMatrix
from deeplab_core.refine.parameters import preset
from tests.fakes.compute import compared_labels
from tests.gui.studio import HEIGHT, WIDTH, Studio

SHIFT = Qt.KeyboardModifier.ShiftModifier


def asked(studio: Studio, kind: type = Compare) -> list:
    return [request for request in studio.compute.asked if isinstance(request, kind)]


def dock(studio: Studio) -> CompareDock:
    assert studio.application.presenter is not None
    found = studio.application.presenter.compare.dock
    assert found is not None
    return found


def said(studio: Studio, model: Path, key: str | None = None) -> np.ndarray:
    return compared_labels(studio.compute.catalog, HEIGHT, WIDTH, key or studio.image.key, str(model))


def answered(studio: Studio) -> None:
    """Wait until every model of the comparison has answered and is counted, or cannot."""
    compare, compared = studio.program.compare, studio.program.compared

    def finished() -> bool:
        models = len(compared.models)
        known = [answer.figures is not None or answer.problem for answer in compare.results]
        known += [bool(model.problem) for model in compared.models]
        return len(compare.results) == models and known.count(True) >= models and studio.image is compare.image

    studio.wait(finished)
    studio.settle()


def begin(studio: Studio) -> None:
    """Press the keys that compare, and wait until there is a second model and both have answered."""
    studio.press(Qt.Key.Key_C, SHIFT)
    studio.settle()
    answered(studio)


def check(studio: Studio, place: int, on: bool = True) -> None:
    """Click the check mark of a model in the list."""
    dock(studio).chooser.item(place).setCheckState(Qt.CheckState.Checked if on else Qt.CheckState.Unchecked)
    answered(studio)


def column(studio: Studio, place: int) -> dict[str, str]:
    table = dock(studio).table
    # "mIoU over 3": the number of classes is shown beside the mean.
    names = [table.item(row, 0).text().partition(" over ")[0] for row in range(table.rowCount())]
    return {name: table.item(row, place + 1).text() for row, name in enumerate(names)}


@pytest.fixture
def models(studio: Studio, tmp_path: Path) -> list[Path]:
    """The model in use and three more, in the order of the list."""
    paths = [tmp_path / "models" / f"{name}.safetensors" for name in ("stripes", "tigers", "waves", "zebras")]
    for path in paths:
        path.write_bytes(b"")
    return paths


@pytest.fixture
def ready(studio: Studio, models: list[Path], folder: Path) -> Studio:
    """Truth and a model in use, nothing compared yet."""
    studio.program.models.load(models[0])
    studio.start_model()
    studio.open(folder)
    return studio


@pytest.fixture
def desk(ready: Studio) -> Studio:
    """Truth, a model, and the comparison of the first two models in front."""
    begin(ready)
    return ready


@pytest.mark.parametrize("width", [1120, 1280])
def test_the_buttons_below_the_models_show_their_whole_text(studio: Studio, folder, width: int):
    studio.window.resize(width, 780)
    studio.start_model()
    studio.open(folder)
    begin(studio)
    panel = dock(studio)
    if (models := panel.tabs.indexOf(panel._models)) >= 0:
        panel.tabs.setCurrentIndex(models)
        studio.settle()
    for button in (panel.add_setting, panel.errors, panel.add_file, panel.run_folder):
        assert button.visibleRegion().boundingRect().width() >= button.sizeHint().width()


@pytest.mark.parametrize("models", [2, 3, 4])
def test_no_figure_is_cut(qtbot, models: int) -> None:
    table = CompareTable(load_theme("dark"))
    qtbot.addWidget(table)
    table.setStyleSheet("QTableWidget::item { padding: 0 8px; }")
    values = tuple(f"{88.8 + place:.1f}" for place in range(models))
    rows = [TableRow("chair", values, best=frozenset({models - 1})), TableRow("time, ms", ("12 345.6",) * models)]
    table.show_rows("IoU, %", [(letter, letter) for letter in "ABCD"[:models]], rows)
    for line in range(2):
        for place in range(1, 1 + models):
            assert table.sizeHintForIndex(table.model().index(line, place)).width() <= table.columnWidth(place)


@pytest.mark.parametrize("width", [640, 760])
def test_four_models_leave_the_names_of_the_rows_their_room(qtbot, width: int) -> None:
    """The names were "…" and the figures of D were cut: in a window of 1280 px the panel has 760."""
    window, panel = QMainWindow(), CompareDock(load_theme("dark"))
    qtbot.addWidget(window)
    window.addDockWidget(Qt.DockWidgetArea.BottomDockWidgetArea, panel)
    window.resize(width, 240)
    window.show()
    rows = [TableRow("background", ("98.5",) * 4), TableRow("Time, ms", ("22,083",) * 4)]
    for letters in ("AB", "ABCD"):
        panel.show_figures(ComparedFigures([(letter, letter) for letter in letters], rows, [], "IoU, %", [], ""), 3)
    table = panel.table
    qtbot.waitUntil(lambda: table.columnWidth(0) >= table.sizeHintForColumn(0) > 0)
    assert table.columnViewportPosition(4) + table.columnWidth(4) <= table.viewport().width()
    assert panel.width() <= width


@pytest.mark.parametrize(("width", "titles"), [(1600, ["Trimap curves", "Most different (24)"]), (800, ["Curves", "Images"])])
def test_titles_of_the_tabs_beside_the_figures_are_whole(qtbot, width: int, titles: list[str]) -> None:
    window, panel = QMainWindow(), CompareDock(load_theme("dark"))
    qtbot.addWidget(window)
    window.addDockWidget(Qt.DockWidgetArea.BottomDockWidgetArea, panel)
    window.setStyleSheet("QTabBar::tab { padding: 6px 12px; }")
    panel.show_images([ImageLine(place, f"{place}.png", 0.1, None) for place in range(24)], "")
    window.resize(width, 240)
    window.show()
    qtbot.waitUntil(lambda: [panel.tabs.tabText(place) for place in range(2)] == titles)
    bar = panel.tabs.tabBar()
    assert bar.sizeHint().width() <= panel.tabs.width()
    assert panel.tabs.tabToolTip(1) == "Most different (24)"


def test_two_models_stand_side_by_side(desk, models):
    assert [model.path for model in desk.program.compared.models] == models[:2]
    assert desk.program.view.layout is PaneLayout.QUAD
    kinds = [pane.kind for pane in desk.program.view.panes]
    assert kinds == [PaneKind.MODEL_A, PaneKind.MODEL_B, PaneKind.DIFFERENCE, PaneKind.TRUTH]
    for labels, model in zip(desk.program.compare.labels, models, strict=False):
        np.testing.assert_array_equal(labels, said(desk, model))
    assert "Model A mIoU" in desk.view.chip.accessibleName()
    assert dock(desk).isVisible()
    assert dock(desk).chooser.item(0).text() == "A  Stripes"
    assert not dock(desk).pair.isVisible()


def test_the_second_model_is_one_of_the_same_classes(ready, models):
    ready.compute.catalogs[str(models[1])] = get_catalog("camvid11")
    begin(ready)
    assert [model.path for model in ready.program.compared.models] == [models[0], models[2]]
    assert not any(isinstance(request, InspectModel) and request.path == str(models[3]) for request in ready.compute.asked)


def test_a_model_with_a_class_more_is_of_the_same_classes(ready, models):
    for path in models[1:]:
        ready.compute.catalogs[str(path)] = get_catalog("camvid11")
    known = ready.compute.catalog
    more = ClassInfo(id=max(int(value) for value in known.ids) + 1, name="hammock", color=(1, 2, 3))
    ready.compute.catalogs[str(models[3])] = replace(known, classes=(*known.classes, more))
    begin(ready)
    assert [model.path for model in ready.program.compared.models] == [models[0], models[3]]


def test_where_no_model_has_the_same_classes_a_person_chooses(ready, models):
    for path in models[1:]:
        ready.compute.catalogs[str(path)] = get_catalog("camvid11")
    ready.compute.errors[str(models[2])] = WeightsError("the file is not a checkpoint")
    begin(ready)
    assert [model.path for model in ready.program.compared.models] == models[:1]
    (message,) = [found for found in ready.program.notifier.messages if found.replace_key == "compare"]
    assert message.title == "No other model has the same classes"
    assert "Check another model in the list" in message.detail
    assert dock(ready).isVisible()
    check(ready, 1)
    assert [model.path for model in ready.program.compared.models] == models[:2]


def test_a_single_model_shows_what_it_lacks(studio, folder):
    studio.start_model()
    studio.open(folder)
    begin(studio)
    assert len(studio.program.compared.models) == 1
    assert "Comparing requires two models" in studio.titles()


def test_the_search_for_a_second_model_can_be_stopped(ready, models):
    ready.compute.paused = True
    ready.press(Qt.Key.Key_C, SHIFT)
    ready.wait(lambda: any(isinstance(request, InspectModel) for request in ready.compute._queue))
    ready.press(Qt.Key.Key_Period, Qt.KeyboardModifier.ControlModifier)
    ready.compute.paused = False
    ready.settle()
    assert [model.path for model in ready.program.compared.models] == models[:1]
    assert not ready.program.context["job_running"]


def test_who_chooses_first_ends_the_search(ready, models):
    ready.compute.paused = True
    ready.press(Qt.Key.Key_C, SHIFT)
    ready.wait(lambda: any(isinstance(request, InspectModel) for request in ready.compute._queue))
    dock(ready).chooser.item(3).setCheckState(Qt.CheckState.Checked)
    ready.compute.paused = False
    answered(ready)
    assert [model.path for model in ready.program.compared.models] == [models[0], models[3]]


def test_figures_are_those_of_the_metrics(desk, models):
    live = desk.program.evaluation.live
    for place in (0, 1):
        matrix = ConfusionMatrix(desk.image.document.catalog).update(truth=live.scored, prediction=said(desk, models[place]))
        shown = column(desk, place)
        assert shown["mIoU"] == f"{100 * matrix.mean_iou('truth').value:.1f}"
        assert shown["person"] == f"{100 * matrix.iou()[15]:.1f}"
        assert shown["Time, ms"] in ("12", "1")
    assert dock(desk).plot.lines == 2
    count = count_pair(said(desk, models[0]), said(desk, models[1]), 255, live.scored)
    assert count.differ == count.first + count.second + count.neither + count.unjudged
    assert f"A correct {100 * count.first / count.pixels:.1f} %" in dock(desk).difference.text()


def test_the_mask_is_not_touched(desk):
    before, steps = desk.image.document.labels.copy(), desk.steps()
    check(desk, 2)
    desk.press(Qt.Key.Key_C, SHIFT)
    desk.settle()
    np.testing.assert_array_equal(desk.image.document.labels, before)
    assert desk.steps() == steps


def test_ending_gives_the_views_back_and_frees_the_models(studio, models, folder):
    studio.start_model()
    studio.open(folder)
    studio.press(Qt.Key.Key_2, Qt.KeyboardModifier.ControlModifier)
    studio.program.view.set_kind(1, PaneKind.UNCERTAINTY)
    before = studio.program.view.to_dict()
    begin(studio)
    assert studio.program.view.to_dict() != before
    studio.qtbot.mouseClick(dock(studio).close_button, Qt.MouseButton.LeftButton)
    studio.settle()
    assert studio.program.view.to_dict() == before
    assert not dock(studio).isVisible()
    assert asked(studio, EndCompare)
    assert studio.program.compare.labels == ()


def test_a_third_and_a_fourth_model(desk, models):
    check(desk, 2)
    kinds = [pane.kind for pane in desk.program.view.panes]
    assert kinds == [PaneKind.MODEL_A, PaneKind.MODEL_B, PaneKind.MODEL_C, PaneKind.DIFFERENCE]
    assert [dock(desk).pair.itemText(place) for place in range(3)] == ["A and B", "A and C", "B and C"]
    desk.program.compare.choose_pair((1, 2))
    count = count_pair(said(desk, models[1]), said(desk, models[2]), 255, desk.program.evaluation.live.scored)
    assert desk.program.compare.difference == count
    check(desk, 3)
    assert [pane.kind for pane in desk.program.view.panes][-1] is PaneKind.MODEL_D
    assert desk.program.compare.pair == (1, 2)
    check(desk, 0, on=False)
    assert [model.path for model in desk.program.compared.models] == models[1:]
    assert dock(desk).chooser.item(1).text().startswith("A  ")


def test_predictions_are_kept_on_disk(desk, models):
    before = len(asked(desk))
    desk.press(Qt.Key.Key_C, SHIFT)
    desk.settle()
    begin(desk)
    assert len(asked(desk)) == before
    assert all(labels is not None for labels in desk.program.compare.labels)


def test_classes_without_a_partner_and_freed_models_are_said(desk, models):
    compare = desk.program.compare
    answer = compare.results[1]
    answer.prediction = replace(answer.prediction, unmatched=("lamp", "rug"), note="Model A was freed to make room.")
    compare.resultsChanged.emit()
    item = dock(desk).chooser.item(1)
    assert "2 classes have no matching class in this project: treated as void. Model A was freed to make room" in item.toolTip()
    assert item.foreground().color() != dock(desk).chooser.item(0).foreground().color()
    assert (
        remark(replace(answer.prediction, unmatched=("lamp",), note=""))
        == "1 class has no matching class in this project: treated as void"
    )
    assert remark(None) == ""


def test_models_are_looked_for_again_only_when_their_lines_change(desk, models, monkeypatch):
    compare, compared, looked = desk.program.compare, desk.program.compared, []
    listed = compared.choices
    monkeypatch.setattr(compared, "choices", lambda: looked.append("") or listed())
    before = desk.image
    desk.press(Qt.Key.Key_D)
    desk.wait(lambda: desk.image is not before)
    answered(desk)
    compare.resultsChanged.emit()
    assert not looked
    compare.results[1].prediction = replace(compare.results[1].prediction, unmatched=("lamp",))
    compare.resultsChanged.emit()
    compare.resultsChanged.emit()
    assert len(looked) == 1


def test_the_next_image_is_compared_in_its_turn(desk, models):
    before = desk.image
    desk.press(Qt.Key.Key_D)
    desk.wait(lambda: desk.image is not before)
    answered(desk)
    np.testing.assert_array_equal(desk.program.compare.labels[1], said(desk, models[1]))


def test_an_answer_for_the_image_before_is_dropped(desk, models):
    desk.compute.paused = True
    desk.press(Qt.Key.Key_D)
    desk.wait(lambda: desk.image.path.name == "photo_1.jpg")
    desk.wait(lambda: desk.compute.waiting)
    desk.press(Qt.Key.Key_D)
    desk.wait(lambda: desk.image.path.name == "photo_2.jpg")
    desk.compute.paused = False
    answered(desk)
    np.testing.assert_array_equal(desk.program.compare.labels[0], said(desk, models[0]))
    np.testing.assert_array_equal(desk.program.compare.labels[1], said(desk, models[1]))


def test_a_model_that_takes_too_long_can_be_stopped(desk, models):
    desk.compute.paused = True
    before = desk.image
    desk.press(Qt.Key.Key_D)
    desk.wait(lambda: desk.image is not before)
    desk.wait(lambda: any(isinstance(request, Compare) for request in desk.compute._queue))
    desk.press(Qt.Key.Key_Period, Qt.KeyboardModifier.ControlModifier)
    desk.compute.paused = False
    desk.settle()
    assert desk.program.compare.labels == (None, None)
    assert {answer.problem for answer in desk.program.compare.results} == {"Cancelled"}
    assert not desk.program.context["job_running"]


def test_a_file_that_is_not_listed(desk, tmp_path, monkeypatch):
    other = tmp_path / "elsewhere.safetensors"
    other.write_bytes(b"")
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_a, **_k: (str(other), ""))
    desk.qtbot.mouseClick(dock(desk).add_file, Qt.MouseButton.LeftButton)
    answered(desk)
    assert desk.program.compared.models[-1].path == other
    np.testing.assert_array_equal(desk.program.compare.labels[2], said(desk, other))


def test_a_file_begins_the_comparison(studio, folder, tmp_path, monkeypatch):
    other = tmp_path / "elsewhere.safetensors"
    other.write_bytes(b"")
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_a, **_k: (str(other), ""))
    studio.start_model()
    studio.open(folder)
    studio.program.compare.ask_file()
    answered(studio)
    assert [model.path for model in studio.program.compared.models] == [studio.program.models.path, other]
    assert dock(studio).isVisible()
    assert "Comparing requires two models" not in studio.titles()


def test_a_model_that_cannot_be_read_says_why_and_the_others_go_on(desk, models):
    desk.compute.errors[str(models[2])] = WeightsError("the file is not a checkpoint", remedy="Choose another one")
    check(desk, 2)
    assert desk.program.compare.labels[2] is None
    assert desk.program.compare.labels[1] is not None
    assert "not a checkpoint" in dock(desk).chooser.item(2).toolTip()


def test_the_folder(desk, models):
    qtbot, program = desk.qtbot, desk.program
    qtbot.mouseClick(dock(desk).run_folder, Qt.MouseButton.LeftButton)
    desk.wait(lambda: not program.context["compare_running"])
    desk.settle()
    assert "Comparison finished" in desk.titles()
    result = program.compare_folder.result
    assert len(result.rows) == result.scored == 4
    pooled = None
    for record in program.session.project.images:
        key = program.session.project.content_key(record.id)
        pair = [said(desk, model, key) for model in models[:2]]
        row = next(row for row in result.rows if row.image == record.id)
        assert row.pairs[0, 1].differ == np.count_nonzero(pair[0] != pair[1])
        pooled = row.pairs[0, 1] if pooled is None else pooled + row.pairs[0, 1]
    assert result.pairs[0, 1] == pooled
    dock(desk).scope.setCurrentIndex(1)
    dock(desk).scope.activated.emit(1)
    figures = program.compare_folder.figures()
    assert column(desk, 0)["mIoU"] == f"{100 * figures[0].mean:.1f}"
    charts = {}
    for name in ("Trimap curve, image", "Trimap curve, folder"):
        program.plots.make(name, lambda chart, name=name: charts.update({name: chart}))
    on_image, on_folder = ({line.name: line for line in chart.series} for chart in charts.values())
    for place, model in enumerate(program.compared.models):
        name = f"{'AB'[place]}: {model.title}"
        np.testing.assert_array_equal(on_image[name].y, program.compare.results[place].figures.curve)
        np.testing.assert_array_equal(on_folder[name].y, figures[place].curve)
        assert on_folder[name].token == PLACE_TOKENS[place]
    program.evaluation.set_band(replace(program.evaluation.band, rule="void"))
    program.plots.make("Trimap curve, folder", lambda chart: charts.update(other=chart))
    assert {line.name for line in charts["other"].series}.isdisjoint(on_folder), "figures of another band"
    desk.wait(lambda: result.ablation is not None)
    desk.settle()
    verdicts = dock(desk).verdicts
    assert verdicts.horizontalHeaderItem(1).text() == "B against A"
    assert verdicts.item(0, 0).text() == "mIoU"
    change = result.ablation.others[0].comparison.overall[0]
    assert verdicts.item(0, 1).text().splitlines()[0] == f"{points(change.difference)} too few"
    lines = dock(desk).images
    shares = [float(lines.item(row, 1).text().removesuffix(" %")) for row in range(lines.rowCount())]
    assert shares == sorted(shares, reverse=True)
    last = lines.rowCount() - 1
    dock(desk).tabs.setCurrentIndex(1)
    place = lines.visualItemRect(lines.item(last, 0)).center()
    qtbot.mouseClick(lines.viewport(), Qt.MouseButton.LeftButton, pos=place)
    desk.settle()
    assert desk.image.id == lines.item(last, 0).data(Qt.ItemDataRole.UserRole)


def test_an_image_that_fails_is_left_out_and_named(desk, models):
    project = desk.program.session.project
    gone = project.images[2]
    desk.compute.errors[str(project.path_of(gone))] = ImageReadError("the image is damaged", path=str(project.path_of(gone)))
    desk.program.compare_folder.start()
    desk.wait(lambda: not desk.program.context["compare_running"])
    desk.settle()
    assert [row.image for row in desk.program.compare_folder.result.rows] == [
        record.id for record in project.images if record.id != gone.id
    ]
    message = next(message for message in desk.program.notifier.messages if message.title == "Comparison finished")
    assert "1 failed" in message.detail
    assert message.choices


def test_stopping_the_folder_keeps_what_was_predicted(desk):
    desk.compute.paused = True
    desk.program.compare_folder.start()
    desk.wait(lambda: desk.compute.waiting)
    note = "Intervals and verdicts come when the folder is compared."  # not that the folder is to be run
    desk.wait(lambda: note in [label.text() for label in dock(desk).findChildren(QLabel)])
    desk.press(Qt.Key.Key_Period, Qt.KeyboardModifier.ControlModifier)
    desk.compute.paused = False
    desk.settle()
    assert "Comparison stopped" in desk.titles()
    assert not desk.program.context["compare_running"]
    desk.program.compare_folder.start()
    desk.wait(lambda: not desk.program.context["compare_running"])
    assert len(desk.program.compare_folder.result.rows) == 4


def test_without_truth_the_table_shows_areas(studio, models, tmp_path):
    from tests.gui.studio import make_folder

    studio.start_model()
    studio.open(make_folder(tmp_path / "bare", 2, truth=False))
    begin(studio)
    assert dock(studio).table.horizontalHeaderItem(0).text() == "Area, %"
    assert "mIoU" not in column(studio, 0)
    assert dock(studio).difference.text().count("■") == 1
    assert [pane.kind for pane in studio.program.view.panes][-1] is PaneKind.IMAGE


def test_closing_the_window_leaves_the_views_of_every_day(desk):
    desk.window.close()
    assert not desk.program.compare.on
    assert desk.application.settings["canvas.layout"] == "single"
    assert dock(desk).isHidden()


def test_folding_hides_the_dock_and_brings_it_back(desk):
    desk.press(Qt.Key.Key_Backslash)
    assert not dock(desk).isVisible()
    desk.press(Qt.Key.Key_Backslash)
    assert dock(desk).isVisible()


def test_both_themes(desk):
    for name in ("light", "dark"):
        desk.window.set_theme(load_theme(name))
        assert dock(desk).table.rowCount() > 3


# -- the receptive field ------------------------------------------------------------------------------------------------------


def hover(studio: Studio, x: int, y: int) -> None:
    studio.qtbot.mouseMove(studio.view, pos=studio.point(x, y))


@pytest.fixture
def plain(studio: Studio, folder: Path) -> Studio:
    studio.start_model()
    studio.open(folder)
    return studio


def test_the_field_follows_the_pointer_when_it_rests(plain):
    receptive = plain.program.receptive
    hover(plain, 10, 10)
    plain.qtbot.wait(250)
    assert not asked(plain, AskReceptive)
    plain.press(Qt.Key.Key_R, SHIFT)
    plain.wait(lambda: receptive.field is not None)
    assert (receptive.field.x, receptive.field.y) == (10, 10)
    receptive._rest.setInterval(60_000)  # the pointer does not rest, however slowly the moves come
    for x in range(12, 40, 4):
        hover(plain, x, 20)
    receptive._rest.setInterval(0)
    plain.wait(lambda: (receptive.field.x, receptive.field.y) == (36, 20))
    assert len(asked(plain, AskReceptive)) == 2
    mark = plain.view._mark
    assert mark is not None
    assert mark.field is receptive.field
    assert len(mark.outlines[0.5]) == len(mark.outlines[0.95]) == 1
    assert "theory 41 × 41 px" in mark.text
    grab = plain.view.grab().toImage()
    plain.press(Qt.Key.Key_R, SHIFT)
    assert plain.view._mark is None
    assert plain.view.grab().toImage() != grab


def test_the_window_says_how_a_field_is_chosen_and_that_it_is_computed(plain):
    plain.press(Qt.Key.Key_R, SHIFT)
    assert plain.view._mark.text == "Receptive field: rest the pointer on a pixel of the image"
    empty = plain.view.grab().toImage()
    plain.compute.paused = True
    hover(plain, 10, 10)
    plain.wait(lambda: plain.program.receptive.waiting)
    assert plain.view._mark.text == "Receptive field: computing…"
    plain.compute.paused = False
    plain.wait(lambda: plain.program.receptive.field is not None)
    assert "theory 41 × 41 px" in plain.view._mark.text
    plain.press(Qt.Key.Key_R, SHIFT)
    assert plain.view._mark is None
    plain.qtbot.mouseMove(plain.view, pos=plain.point(-1, -1))
    assert plain.view.grab().toImage() != empty, "the words are painted"


def test_a_field_under_way_is_cancelled_by_the_next_place(plain):
    receptive = plain.program.receptive
    plain.press(Qt.Key.Key_R, SHIFT)
    plain.compute.paused = True
    hover(plain, 10, 10)
    plain.wait(lambda: receptive.waiting)
    hover(plain, 30, 30)
    plain.wait(lambda: len(asked(plain, AskReceptive)) == 2)
    assert len([request for request in plain.compute._queue if isinstance(request, AskReceptive)]) == 1
    plain.compute.paused = False
    plain.wait(lambda: receptive.field is not None)
    assert (receptive.field.x, receptive.field.y) == (30, 30)


def test_another_image_takes_the_field_away(plain):
    plain.press(Qt.Key.Key_R, SHIFT)
    hover(plain, 10, 10)
    plain.wait(lambda: plain.program.receptive.field is not None)
    plain.press(Qt.Key.Key_D)
    plain.settle()
    assert plain.program.receptive.field is None
    assert plain.view._mark.field is None


def test_a_model_without_gradients_is_reported(plain):
    plain.compute.errors[plain.program.models.card.id] = WeightsError("this model has no receptive field to show")
    plain.press(Qt.Key.Key_R, SHIFT)
    hover(plain, 44, 22)
    plain.wait(lambda: "No receptive field" in plain.titles())
    assert plain.program.receptive.field is None


def test_comparing_over_the_folder_says_first_what_it_takes(desk, models):
    desk.program.folder_jobs.asks = True
    before = desk.image.document.labels.copy()
    desk.window.commands["model.compare_folder"].trigger()
    desk.wait(lambda: desk.application.window_actions.folder_question is not None)
    dialog = desk.application.window_actions.folder_question
    said = " ".join(label.text() for label in dialog.findChildren(QLabel))
    assert "2 models predict 4 images. No mask changes." in said
    assert not desk.program.context["compare_running"]
    dialog.go.click()
    desk.wait(lambda: desk.program.compare_folder.result is not None and not desk.program.context["compare_running"])
    np.testing.assert_array_equal(desk.image.document.labels, before)


def test_one_command_compares_every_installed_model_on_the_folder(ready: Studio, models: list[Path]) -> None:
    streets = models[0].parent / "streets.safetensors"
    for path, classes in ((models[0], "voc21"), (models[2], "voc21"), (streets, "camvid11")):
        path.write_bytes(b"")
        path.with_name(f"{path.name}.card.json").write_text(json.dumps({"catalog": get_catalog(classes).to_dict()}))
    for _ in range(2):  # the second time it is on already, and every card is known
        ready.program.compare_folder.result = None
        ready.window.commands["model.compare_all"].trigger()
        ready.wait(lambda: ready.program.compare_folder.result is not None and not ready.program.context["compare_running"])
        answered(ready)
        assert [model.path for model in ready.program.compared.models] == [models[0], models[2], models[1], models[3]]
        assert [figures is None for figures in ready.program.compare_folder.figures()] == [False] * 4


def add_setting(studio: Studio, text: str) -> None:
    """Open the menu of settings and choose one."""
    menu = dock(studio).settings
    menu.aboutToShow.emit()
    action = next(action for action in menu.actions() if action.text() == text)
    action.trigger()
    answered(studio)


def test_a_model_is_compared_with_itself_at_another_setting(desk, models):
    before = desk.image.document.labels.copy()
    check(desk, 1, on=False)
    add_setting(desk, "CRF v2")
    taking = desk.program.compared.taking
    assert taking == [ModelSetting(models[0]), ModelSetting(models[0], "crf:v2")]
    texts = [dock(desk).chooser.item(place).text() for place in range(3)]
    assert texts[:2] == ["A  Stripes", "B  Stripes · CRF v2"]
    request = asked(desk)[-1]
    assert (request.model, request.options.crf) == (str(models[0]), preset("v2"))
    assert len(desk.program.compare.results) == 2
    assert desk.program.compare.difference is not None
    assert column(desk, 1)["mIoU"]  # the same table as for two models
    dock(desk).settings.aboutToShow.emit()
    shown = [action.text() for action in dock(desk).settings.actions()]
    assert shown[0] == "Stripes"  # whose settings these are: as the heading of a section it was not drawn
    assert "CRF v2" not in shown
    np.testing.assert_array_equal(desk.image.document.labels, before)  # comparing never writes into the mask
    desk.program.compare.end()
    begin(desk)
    assert desk.program.compared.taking == taking  # as last time
    check(desk, 1, on=False)
    assert desk.program.compared.taking == [ModelSetting(models[0])]
    assert all("CRF" not in dock(desk).chooser.item(place).text() for place in range(dock(desk).chooser.count()))


def test_settings_of_one_model_are_compared_on_the_folder(desk, models):
    check(desk, 1, on=False)
    add_setting(desk, "mirrored too")
    dock(desk).run_folder.click()
    desk.wait(lambda: desk.program.compare_folder.result is not None and not desk.program.context["compare_running"])
    desk.settle()
    result = desk.program.compare_folder.result
    assert [model.title for model in result.models] == ["Stripes", "Stripes · mirrored too"]
    assert len(result.rows) == len(result.counts[0]) > 1
    assert {request.options.flip for request in asked(desk)} == {False, True}


def test_another_choice_of_models_forgets_the_answers_before_the_panes_move(desk: Studio) -> None:
    """Moving panes makes Qt send Leave to the picture, and the Copy tool asks for answers; it crashed on models without any."""
    heard: list[int] = []
    desk.program.view.panesChanged.connect(lambda: heard.append(len(desk.program.compare.answers(desk.image))))
    check(desk, 2)
    assert heard
    assert set(heard) == {0}
    assert len(desk.program.compare.answers(desk.image)) == 2


def test_the_heading_above_the_names_of_verdicts_is_whole(qtbot):
    """With four models it was "Change"."""
    table = VerdictTable(load_theme("dark"))
    qtbot.addWidget(table)
    cells = (VerdictCell("+1.2 better", "+0.4 to +2.0", "good", ""),) * 3
    table.show_rows(("B", "C", "D"), [VerdictRow("mIoU", None, cells)])
    table.resize(300, 200)
    table.show()
    header = table.horizontalHeader()
    qtbot.waitUntil(lambda: header.sectionSize(0) >= header.sectionSizeHint(0) > 0)
