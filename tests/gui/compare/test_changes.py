"""Errors that a second run fixed and made, by user actions: choose two runs, look at rows, open a place with both masks."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFileDialog

from app.controllers.compare.changes import CompareChanges
from app.state.kept_runs import KeptRun, RunRecorder
from app.state.samples import load_sample
from app.text import share_text
from app.ui.common.choice_dialog import FolderQuestion
from app.ui.common.text_dialog import TextDialog
from app.ui.evaluate.run_page import RunPage
from app.viewmodels.annotate.panes import PaneKind
from app.viewmodels.evaluate.run_changes import ChangeGroup
from deeplab_core.analysis.components import component_mask
from deeplab_core.errors import StorageError
from tests.fakes.compute import compared_labels
from tests.gui.studio import HEIGHT, WIDTH, Studio

SHIFT = Qt.KeyboardModifier.ShiftModifier


@pytest.fixture
def desk(studio: Studio, tmp_path: Path, folder: Path) -> Studio:
    """Ground truth, and two models that are compared."""
    paths = [tmp_path / "models" / f"{name}.safetensors" for name in ("stripes", "tigers")]
    for path in paths:
        path.write_bytes(b"")
    studio.program.models.load(paths[0])
    studio.start_model()
    studio.open(folder)
    studio.press(Qt.Key.Key_C, SHIFT)
    studio.wait(lambda: len(studio.program.compared.models) == 2 and studio.program.compared.known)
    studio.settle()
    return studio


def page(studio: Studio) -> RunPage:
    return studio.application.presenter.inspect.runs.page


def changes(studio: Studio) -> CompareChanges:
    return studio.program.changes


def compared(studio: Studio) -> RunPage:
    """Press the button of the comparison's dock, and wait for the rows."""
    studio.qtbot.mouseClick(studio.application.presenter.compare.dock.errors, Qt.MouseButton.LeftButton)
    whole(studio)
    studio.wait(lambda: page(studio).table.rowCount() > 0)
    return page(studio)


def whole(studio: Studio, other_than: object = None) -> None:
    """Wait for the intervals of a difference."""

    def there() -> bool:
        change = changes(studio).change
        errors = None if change is None or change is other_than else change.errors
        return errors is not None and not np.isnan(errors.kinds[0].low)

    studio.wait(there)
    studio.settle()


def choose_row(studio: Studio, shown: RunPage, row: int) -> None:
    place = shown.table.visualItemRect(shown.table.item(row, 0)).center()
    studio.qtbot.mouseClick(shown.table.viewport(), Qt.MouseButton.LeftButton, pos=place)
    studio.settle()


def said(studio: Studio, image: int, model: int) -> np.ndarray:
    key = studio.program.session.project.content_key(image)
    return compared_labels(studio.compute.catalog, HEIGHT, WIDTH, key, str(studio.program.compared.models[model].path))


def test_rows_are_the_errors_of_both_models(desk: Studio) -> None:
    shown = compared(desk)
    assert desk.program.context["evaluation_open"]
    project, difference = desk.program.session.project, changes(desk).change.difference
    assert difference.images == 4
    wrong = [0, 0]
    for record in project.images:
        truth = load_sample(project, record.id, labels="none").scored
        for model in range(2):
            wrong[model] += int(((said(desk, record.id, model) != truth) & (truth != 255)).sum())
    assert [difference.before.wrong_px, difference.after.wrong_px] == wrong
    assert f"{difference.fixed.wrong_px:,}".replace(",", "\u202f") in shown.summary.toolTip()
    kinds = [shown.table.item(row, 0).text() for row in range(shown.table.rowCount())]
    assert kinds[:3] == ["Boundary", "Extent", "Segment"]
    assert shown.table.item(kinds.index("Mostly hidden"), 1).text() == "not measured"
    change = shown.table.item(2, 5).text()
    assert "[" in change, "the change has an interval over images"


def test_a_row_lists_its_errors_and_each_has_a_picture(desk: Studio) -> None:
    shown = compared(desk)
    shown.groups.setCurrentIndex(list(ChangeGroup).index(ChangeGroup.PAIRS))
    desk.settle()
    choose_row(desk, shown, 0)
    query = shown.query
    assert query.both_ways
    assert shown.model.components == query.find(changes(desk).change.difference, fixed=True)
    assert {one.truth for one in shown.model.components} <= {query.truth, query.prediction}
    shown.sort.setCurrentIndex(1)
    desk.settle()
    made = shown.model.components
    assert made == query.find(changes(desk).change.difference, fixed=False)
    shown.sort.setCurrentIndex(0 if not made else 1)
    desk.wait(lambda: shown.model.picture(shown.model.index(0)) is not None)
    assert not shown.model.picture(shown.model.index(0)).isNull()


@pytest.mark.parametrize("fixed", [True, False])
def test_a_click_opens_the_place_with_both_masks(desk: Studio, fixed: bool) -> None:
    before = desk.program.view.to_dict()
    shown = compared(desk)
    shown.sort.setCurrentIndex(0 if fixed else 1)
    desk.settle()
    component = shown.model.components[-1]
    shown.list.scrollTo(shown.model.index(len(shown.model.components) - 1))
    place = shown.list.visualRect(shown.model.index(len(shown.model.components) - 1)).center()
    found = []
    changes(desk).placeFound.connect(lambda one, mask: found.append((one, mask)))
    desk.qtbot.mouseClick(shown.list.viewport(), Qt.MouseButton.LeftButton, pos=place)
    desk.wait(lambda: found)
    desk.settle()
    assert not desk.program.context["evaluation_open"]
    assert str(desk.image.id) == component.image
    kinds = [pane.kind for pane in desk.program.view.panes]
    assert kinds == [PaneKind.MODEL_A, PaneKind.MODEL_B, PaneKind.DIFFERENCE, PaneKind.TRUTH]
    runs = [said(desk, desk.image.id, model) for model in range(2)]
    for labels, run in zip(changes(desk).labels, runs, strict=True):
        np.testing.assert_array_equal(labels, run)
    truth = load_sample(desk.program.session.project, desk.image.id, labels="none").truth
    run, other = runs if fixed else runs[::-1]
    expected = component_mask(component, truth=truth, prediction=np.where(other == truth, run, truth))
    np.testing.assert_array_equal(found[0][1], expected)
    bar = desk.application.presenter.inspect.runs.bar
    assert bar.isVisible()
    assert bar.text.toolTip().startswith("Fixed by B" if fixed else "Made by B")
    desk.qtbot.mouseClick(bar.to_list, Qt.MouseButton.LeftButton)
    assert desk.program.context["evaluation_open"]
    changes(desk).end_visit()
    assert desk.program.view.to_dict() == before
    assert not bar.isVisible()


def test_keys_walk_through_the_list_over_the_picture(desk: Studio) -> None:
    shown = compared(desk)
    listed = shown.model.components
    assert len(listed) > 2
    assert not desk.window.commands["inspect.next"].isEnabled()
    place = shown.list.visualRect(shown.model.index(0)).center()
    desk.qtbot.mouseClick(shown.list.viewport(), Qt.MouseButton.LeftButton, pos=place)
    desk.wait(lambda: changes(desk).labels)
    assert changes(desk).place.current == listed[0]
    desk.press(Qt.Key.Key_Comma)
    assert "This is the first error in the list" in desk.titles()
    for step in (1, 2):
        desk.press(Qt.Key.Key_Period)
        desk.wait(lambda at=step: changes(desk).place.current == listed[at] and changes(desk).labels)
    assert str(desk.image.id) == listed[2].image
    bar = desk.application.presenter.inspect.runs.bar
    assert f"3 of {len(listed)}" in bar.text.toolTip()
    desk.press(Qt.Key.Key_Comma)
    desk.wait(lambda: changes(desk).place.current == listed[1] and changes(desk).labels)
    desk.qtbot.mouseClick(bar.to_list, Qt.MouseButton.LeftButton)
    assert shown.list.currentIndex().row() == 1, "the list shows where the walk is"
    changes(desk).end_visit()
    assert not desk.window.commands["inspect.next"].isEnabled()


@pytest.mark.parametrize("ending", ["html", "json", "csv"])
def test_the_difference_is_exported(desk: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str) -> None:
    shown = compared(desk)
    whole(desk)
    path = tmp_path / f"difference.{ending}"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_args: (str(path), ""))
    desk.qtbot.mouseClick(shown.export_button, Qt.MouseButton.LeftButton)
    desk.wait(lambda: f"difference.{ending} exported" in desk.titles())
    text, change = path.read_text("utf-8"), changes(desk).change
    names = {record.relative_path for record in desk.program.session.project.images}
    if ending == "json":
        found = json.loads(text)
        assert found["errors"]["fixed_px"] == change.difference.fixed.wrong_px
        assert {one["image"] for one in found["errors"]["won"]} <= names
        assert [row["name"] for row in found["overall"][:3]] == ["mIoU", "pixel accuracy", "mIoU within 1 px"]
        assert found["same_truth"]
    elif ending == "csv":
        rows = list(csv.DictReader(text.splitlines()))
        assert {"overall", "class", "slice", "kind", "cell", "pair"} == {row["family"] for row in rows}
        boundary = next(row for row in rows if row["name"] == "boundary")
        row = change.errors.kinds[0]
        assert (int(boundary["fixed"]), int(boundary["made"])) == (row.fixed, row.made)
    else:
        assert "Largest errors" in text
        assert "data:image/jpeg" in text, "errors are cut out of their images"
        assert any(name in text for name in names)


def test_a_second_comparison_lists_its_own_errors_and_says_how_much_differs(desk: Studio) -> None:
    shown = compared(desk)
    choose_row(desk, shown, 1)
    first, listed = changes(desk).change, shown.model.components
    shown.choose(first.sides[::-1])
    desk.qtbot.mouseClick(shown.start, Qt.MouseButton.LeftButton)
    whole(desk, first)
    difference = changes(desk).change.difference
    assert shown.query.find(difference, fixed=True) == shown.model.components != listed
    assert shown.model.components == difference.won(len(shown.model.components))
    place = shown.list.visualRect(shown.model.index(0)).center()
    desk.qtbot.mouseClick(shown.list.viewport(), Qt.MouseButton.LeftButton, pos=place)
    desk.wait(lambda: changes(desk).labels)
    runs = [said(desk, desk.image.id, model) for model in (1, 0)]
    assert changes(desk).captions()[PaneKind.DIFFERENCE] == f"A and B · {share_text(float(np.mean(runs[0] != runs[1])))}"


def test_the_masks_as_they_are_against_a_model(desk: Studio) -> None:
    desk.paint((10, 10), (30, 20))
    desk.settle()
    desk.press(Qt.Key.Key_O)
    desk.application.presenter.inspect.runs.show()
    shown = page(desk)
    desk.settle()
    assert shown.before.currentText() == "Masks as they are"
    shown.after.setCurrentIndex(1)
    desk.qtbot.mouseClick(shown.start, Qt.MouseButton.LeftButton)
    desk.wait(lambda: changes(desk).change is not None and changes(desk).change.errors is not None)
    desk.settle()
    assert changes(desk).change.difference.images == 1, "only one image has a mask"
    assert shown.summary.toolTip().startswith("Masks as they are → A: Stripes · 1 image")


def test_a_run_is_not_compared_with_itself_and_another_folder_forgets(desk: Studio) -> None:
    changes(desk).start(changes(desk).sides()[1], changes(desk).sides()[1])
    assert "Choose two different runs" in desk.titles()
    compared(desk)
    desk.program.projects.close()
    assert changes(desk).change is None


def name_dialog(studio: Studio) -> TextDialog:
    found = [one for one in studio.window.findChildren(TextDialog) if one.isVisible()]
    assert len(found) == 1
    return found[0]


def test_a_run_is_kept_compared_and_removed(desk: Studio) -> None:
    shown = compared(desk)
    desk.qtbot.mouseClick(shown.keep, Qt.MouseButton.LeftButton)
    dialog = name_dialog(desk)
    assert dialog.isModal()  # the page behind it could choose another run
    assert dialog.text == desk.program.compared.models[1].title  # "B: …" stayed in the name
    dialog.field.setText("before the retraining")
    desk.qtbot.mouseClick(dialog.go, Qt.MouseButton.LeftButton)
    desk.wait(lambda: "Keeping a run finished" in desk.titles())
    desk.settle()
    (run,) = [side.kept for side in changes(desk).sides() if side.kept is not None]
    card = desk.program.compared.models[1].card
    assert (run.name, run.images, run.scored, run.model) == ("before the retraining", 4, 4, card.name)
    shown.after.setCurrentIndex([side.key for side in changes(desk).sides()].index("kept 1"))
    assert "before the retraining" in shown.facts.text()
    assert "mIoU" in shown.facts.text()
    first = changes(desk).change
    desk.qtbot.mouseClick(shown.start, Qt.MouseButton.LeftButton)
    whole(desk, first)
    assert changes(desk).change.difference.fixed.wrong_px == first.difference.fixed.wrong_px, "the same labels, now from the run"
    assert shown.model.components == changes(desk).change.difference.won(400)
    assert shown.keep.text() == "Remove run…"
    desk.qtbot.mouseClick(shown.keep, Qt.MouseButton.LeftButton)
    question = next(one for one in desk.window.findChildren(FolderQuestion) if one.isVisible())
    desk.qtbot.mouseClick(question.go, Qt.MouseButton.LeftButton)
    desk.settle()
    assert all(side.kept is None for side in changes(desk).sides())


def kept_names(studio: Studio) -> list[str]:
    return [side.kept.name for side in changes(studio).sides() if side.kept is not None]


def test_a_run_that_was_stopped_is_not_kept_and_says_so(desk: Studio) -> None:
    changes(desk).keeping.keep(changes(desk).sides()[1], "half")
    changes(desk).stop()
    desk.wait(lambda: "Keeping a run stopped" in desk.titles())
    (message,) = [one for one in desk.program.notifier.messages if one.title == "Keeping a run stopped"]
    assert message.detail.startswith("Run 'half' is not kept")
    assert not changes(desk).running
    assert kept_names(desk) == []


def test_a_run_that_cannot_be_written_is_reported_and_the_page_goes_on(desk: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_recorder: RunRecorder) -> KeptRun:
        raise StorageError("the file cannot be written", why="The disk is full", remedy="Free some space, then save again")

    monkeypatch.setattr(RunRecorder, "finish", full)
    running: list[bool] = []
    changes(desk).keeping.keep(changes(desk).sides()[1], "full")
    changes(desk).changed.connect(lambda: running.append(changes(desk).running))
    desk.wait(lambda: running)
    assert running == [False]
    assert any("cannot be written" in title for title in desk.titles())
    assert kept_names(desk) == []


def test_the_end_of_a_forgotten_job_does_not_end_the_one_after_it(desk: Studio) -> None:
    side = changes(desk).sides()[1]
    changes(desk).keeping.keep(side, "old")
    changes(desk).forget()  # other ground truth
    running: list[bool] = []
    changes(desk).changed.connect(lambda: running.append(changes(desk).running))
    changes(desk).keeping.keep(side, "new")
    desk.wait(lambda: "Keeping a run finished" in desk.titles())
    desk.settle()
    assert running == [True, True, False], "it runs from its beginning, over the end of the old one, to its own end"
    assert kept_names(desk) == ["new"]
