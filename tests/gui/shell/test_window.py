"""The main job by user actions: open, predict, look, correct, next; nothing lost, nothing overwritten."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QPushButton

from app.actions.table import ACTIONS
from app.state import measurement
from app.state.image_record import ImageStatus
from app.state.project import Project
from app.state.provenance import Provenance
from app.ui.shell.action_builder import handler
from app.viewmodels.annotate.panes import PaneKind, PaneLayout
from deeplab_core.errors import ImageReadError
from deeplab_core.model_files import FOREIGN_SUFFIXES, MODEL_SUFFIXES
from tests.fakes.compute import striped_labels
from tests.gui.studio import HEIGHT, WIDTH, Studio, make_folder


def stripes(studio: Studio) -> np.ndarray:
    return striped_labels(studio.compute.catalog, HEIGHT, WIDTH, studio.image.key)


def test_every_command_has_a_verb(studio):
    for spec in ACTIONS:
        assert callable(handler(spec, studio.application.feature))


def test_without_a_folder_only_what_makes_sense_is_possible(studio):
    enabled = {spec.id for spec in ACTIONS if studio.window.commands[spec.id].isEnabled()}
    assert {"project.open", "project.open_sample", "model.open", "help.keys", "app.settings", "app.quit"} <= enabled
    assert not enabled & {"tool.brush", "project.save", "project.export", "go.next", "edit.undo", "model.run_folder"}
    assert studio.window.stack.currentWidget() is studio.window.start_page


def test_opening_predicts_the_first_image_and_undo_stops_there(studio, folder):
    studio.start_model()
    studio.open(folder)
    np.testing.assert_array_equal(studio.image.document.labels, stripes(studio))
    assert len(studio.steps()) == 1
    project = studio.program.session.project
    assert project.record(studio.image.id).status == ImageStatus.PREDICTED
    studio.press(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    np.testing.assert_array_equal(studio.image.document.labels, stripes(studio))


def test_a_folder_opened_before_the_model_is_ready_is_predicted_when_it_is(studio, folder):
    studio.open(folder)
    assert (studio.image.document.labels == 255).all()
    studio.start_model()
    np.testing.assert_array_equal(studio.image.document.labels, stripes(studio))


def test_a_stroke_survives_next_and_previous_with_its_undo(studio, folder):
    studio.start_model()
    studio.open(folder)
    studio.program.classes.choose(9)
    studio.press(Qt.Key.Key_B)
    studio.paint((20, 20), (40, 20))
    painted = studio.image.document.labels.copy()
    assert painted[20, 30] == 9
    first = studio.image.id
    studio.press(Qt.Key.Key_D)
    studio.wait(lambda: studio.image.id != first)
    studio.settle()
    studio.press(Qt.Key.Key_A)
    studio.wait(lambda: studio.image.id == first)
    np.testing.assert_array_equal(studio.image.document.labels, painted)
    assert studio.steps()[-1].startswith("Brush: chair")
    studio.press(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    np.testing.assert_array_equal(studio.image.document.labels, stripes(studio))


def test_right_drag_brings_the_prediction_back(studio, folder):
    studio.start_model()
    studio.open(folder)
    studio.program.classes.choose(9)
    studio.paint((20, 20), (60, 20))
    studio.paint((10, 20), (70, 20), button=Qt.MouseButton.RightButton)
    np.testing.assert_array_equal(studio.image.document.labels[20, 14:66], stripes(studio)[20, 14:66])


def test_running_again_never_overwrites_the_user(studio, folder):
    studio.start_model()
    studio.open(folder)
    studio.program.classes.choose(9)
    studio.paint((20, 20), (60, 20))
    before = studio.image.document.labels.copy()
    studio.window.model.run_image.click()
    studio.settle()
    np.testing.assert_array_equal(studio.image.document.labels, before)
    assert not studio.window.banner.isVisible()  # the same prediction differs only where the user painted
    assert not studio.program.context["suggestion_waiting"]
    mine = studio.image.document.provenance == Provenance.USER
    assert mine.any()
    assert (studio.image.document.labels[mine] == 9).all()


def test_a_folder_run_leaves_suggestions_on_touched_images_and_collects_failures(studio, folder):
    studio.start_model()
    studio.open(folder)
    studio.program.classes.choose(9)
    studio.paint((20, 20), (60, 20))
    touched = studio.image.id
    studio.program.models.set_run_settings(type(studio.program.models.run_settings)(flip=True))
    project = studio.program.session.project
    broken = project.images[2]
    studio.compute.errors[str(project.path_of(broken))] = ImageReadError("the picture is cut off", remedy="Copy it again")
    before = studio.image.document.labels.copy()
    studio.compute.known[str(studio.image.path)] = np.full(before.shape, 15, np.uint8)
    studio.window.model.run_folder.click()
    studio.wait(lambda: "Folder run finished" in studio.titles())
    np.testing.assert_array_equal(studio.image.document.labels, before)
    assert project.record(touched).suggested
    assert project.record(broken.id).failed
    assert [project.record(r.id).status for r in project.images[1:]] == [
        ImageStatus.PREDICTED,
        ImageStatus.NEW,
        ImageStatus.PREDICTED,
    ]
    message = studio.program.notifier.messages[-1]
    assert "1 failed" in message.detail
    assert "1 is kept as a suggestion" in message.detail


def test_a_prediction_that_the_user_has_corrected_does_not_wait_again(studio, folder):
    studio.start_model()
    studio.open(folder)
    project, program = studio.program.session.project, studio.program
    program.classes.choose(9)
    for image in [record.id for record in project.images[:2]]:
        program.session.open_image(image)
        studio.wait(lambda image=image: studio.image is not None and studio.image.id == image)
        studio.settle()
        studio.paint((20, 20), (60, 20))
        studio.settle()
    studio.window.model.run_folder.click()
    studio.wait(lambda: "Folder run finished" in studio.titles())
    studio.settle()
    assert not studio.window.banner.isVisible()
    assert not any(record.suggested for record in project.images), "one in view, one read again"
    assert "suggestion" not in program.notifier.messages[-1].detail


def test_a_cancelled_folder_run_goes_on_where_it_was(studio, folder):
    studio.start_model()
    studio.open(folder)
    studio.compute.paused = True
    studio.window.model.run_folder.click()
    studio.wait(lambda: studio.compute.waiting >= 1)
    studio.program.predict.cancel()
    studio.compute.paused = False
    studio.wait(lambda: "Folder run stopped" in studio.titles())
    project = studio.program.session.project
    left = project.runs.unfinished()
    assert left is not None
    studio.window.model.run_folder.click()
    studio.wait(lambda: "Folder run finished" in studio.titles())
    assert project.runs.unfinished() is None
    assert all(record.status >= ImageStatus.PREDICTED for record in project.images)


def test_live_iou_follows_the_brush_and_undo(studio, folder):
    studio.open(folder)
    studio.wait(lambda: studio.program.context["has_truth"])
    studio.program.predict.start_from_blank()
    studio.program.evaluation.start_from_truth()
    studio.settle()
    studio.wait(lambda: studio.window.classes.mean.text() == "mIoU 100.0")
    studio.program.classes.choose(9)
    studio.program.tools.set_diameter(20)
    studio.paint((15, 20), (25, 20))
    studio.wait(lambda: studio.window.classes.mean.text() != "mIoU 100.0")
    studio.press(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    studio.wait(lambda: studio.window.classes.mean.text() == "mIoU 100.0")


def test_judging_the_folder_scores_every_image_and_pools(studio, folder):
    studio.start_model()
    studio.open(folder)
    studio.window.model.run_folder.click()
    studio.wait(lambda: "Folder run finished" in studio.titles())
    studio.settle()
    studio.program.folder_evaluation.start()
    studio.wait(lambda: any(title.startswith("Folder: mIoU") for title in studio.titles()))
    assert studio.program.figures.images == 4
    rows = [studio.application.images.image_row(studio.application.images.index(place)) for place in range(4)]
    assert all(row.iou is not None for row in rows)
    worst = studio.program.figures.worst_first()
    assert [studio.program.figures.score(i).iou for i in worst] == sorted(row.iou for row in rows)


def test_reviewed_next_walks_through_what_is_left(studio, folder):
    studio.open(folder)
    seen = [studio.image.id]
    for _ in range(3):
        studio.window.top_bar.done_button.click()
        studio.wait(lambda: studio.image.id not in seen)
        seen.append(studio.image.id)
        studio.settle()
    studio.window.top_bar.done_button.click()
    studio.wait(lambda: "Every image in the list is reviewed" in studio.titles())
    assert all(record.status == ImageStatus.REVIEWED for record in studio.program.session.project.images)


def test_letter_keys_rest_while_a_text_field_has_the_keyboard(studio, folder):
    studio.open(folder)
    first = studio.image.id
    studio.window.images.filter.setFocus()
    for key in (Qt.Key.Key_D, Qt.Key.Key_E, Qt.Key.Key_1):
        studio.press(key, on=studio.window.images.filter)
    studio.settle()
    assert studio.window.images.filter.text() == "de1"
    assert studio.image.id == first
    assert studio.program.tools.tool == "brush"


def test_class_keys_and_finder_select_a_class(studio, folder):
    studio.open(folder)
    key, class_id = next(iter(studio.program.classes.keys.items()))
    studio.qtbot.keyClicks(studio.view, key)
    assert studio.program.tools.class_id == class_id
    studio.qtbot.keyClicks(studio.view, "/")
    assert studio.window.classes.finder.isVisible()
    studio.qtbot.keyClicks(studio.window.classes.finder, "sofa")
    studio.press(Qt.Key.Key_Return, on=studio.window.classes.finder)
    assert studio.program.tools.class_id == 18
    assert not studio.window.classes.finder.isVisible()
    studio.press(Qt.Key.Key_X, on=studio.view)
    assert studio.program.tools.class_id == class_id
    studio.qtbot.keyClicks(studio.view, "`")
    assert studio.program.tools.class_id == 255


def test_tab_blinks_while_it_is_held(studio, folder):
    studio.start_model()
    studio.open(folder)
    studio.view.setFocus()
    studio.qtbot.keyPress(studio.view, Qt.Key.Key_Tab)
    assert studio.program.view.blink is PaneKind.PREDICTION
    assert studio.view.hasFocus()
    studio.qtbot.keyRelease(studio.view, Qt.Key.Key_Tab)
    assert studio.program.view.blink is None


@pytest.mark.parametrize(
    ("key", "kind"), [(Qt.Key.Key_T, PaneKind.BAND), (Qt.Key.Key_U, PaneKind.UNCERTAINTY), (Qt.Key.Key_R, PaneKind.ERRORS)]
)
def test_view_keys_show_and_take_back(studio, folder, key, kind):
    studio.start_model()
    studio.open(folder)
    studio.press(key, on=studio.view)
    assert studio.program.view.shows(kind)
    studio.press(key, on=studio.view)
    assert not studio.program.view.shows(kind)


def test_layout_and_opacity_are_remembered(studio, folder):
    studio.open(folder)
    studio.press(Qt.Key.Key_S, on=studio.view)
    assert studio.program.view.layout is not PaneLayout.SINGLE
    studio.program.view.set_opacity(0.7)
    assert (studio.program.settings["canvas.layout"], studio.program.settings["canvas.opacity"]) == (
        str(studio.program.view.layout),
        70,
    )


def test_folding_gives_the_picture_the_window_and_docks_leave_more_than_half(studio, folder):
    studio.open(folder)
    studio.window.resize(1600, 1000)
    studio.window.reset_layout()
    canvas = studio.application.presenter.canvas
    studio.wait(lambda: canvas.width() * canvas.height() >= 0.55 * 1600 * 1000)
    studio.press(Qt.Key.Key_F11, on=studio.view)
    studio.wait(lambda: canvas.width() * canvas.height() >= 0.85 * 1600 * 1000)
    studio.qtbot.keyClicks(studio.view, "\\")
    assert all(dock.isVisible() for dock in studio.window.docks.values())


def test_a_second_window_is_read_only_and_says_why(studio, tmp_path):
    place = make_folder(tmp_path / "other")
    with Project.open(place):
        studio.open(place)
        assert studio.window.banner.isVisible()
        assert "Another window" in studio.window.banner.text.text()
        studio.paint((20, 20), (60, 20))
        assert (studio.image.document.labels == 255).all()
        assert not studio.window.commands["model.run_folder"].isEnabled()


def test_an_empty_folder_shows_a_text(studio, tmp_path):
    (tmp_path / "nothing").mkdir()
    studio.program.projects.open(tmp_path / "nothing")
    studio.wait(lambda: studio.window.start_page.title.text() == "No images here")


def test_a_broken_image_is_said_and_the_next_one_opens(studio, folder):
    (folder / "photo_0.jpg").write_bytes(b"not a picture")
    studio.program.projects.open(folder)
    studio.wait(lambda: bool(studio.titles()))
    assert "photo_0.jpg" in studio.titles()[0]
    toast = studio.window.toasts.toasts[0]
    toast.buttons[0].click()
    studio.wait(lambda: studio.program.session.image is not None)
    assert studio.image.path.name == "photo_1.jpg"


def test_an_image_that_changed_on_disk_is_said_until_a_person_has_looked(studio, folder):
    studio.open(folder)
    studio.paint((10, 10), (30, 30))
    studio.program.projects.close()
    Image.new("RGB", (WIDTH, HEIGHT), "teal").save(folder / "photo_0.jpg")
    studio.open(folder)
    banner, finder = studio.window.banner, studio.window.images.filter
    studio.wait(banner.isVisible)
    assert "still fits" in banner.text.text()
    finder.setText("changed")
    studio.wait(lambda: studio.application.images.rowCount() == 1)
    next(button for button in banner.findChildren(QPushButton) if button.text() == "Confirm mask").click()
    studio.wait(lambda: not banner.isVisible())
    finder.setText("changed ")
    finder.setText("changed")
    assert not studio.window.commands["go.accept_change"].isEnabled()
    studio.program.projects.close()
    studio.open(folder)
    assert not banner.isVisible()
    assert studio.application.images.rowCount() == 0


def test_dropping_a_folder_opens_it(studio, folder):
    studio.window.dropped.emit(folder)
    studio.wait(lambda: studio.application.presenter.labels.dialog is not None)
    studio.application.presenter.labels.dialog.go.click()
    studio.wait(lambda: studio.program.session.image is not None)
    assert studio.program.projects.recent.folders()[0] == folder


def test_a_dropped_model_is_loaded_and_its_folder_is_not_opened(studio, tmp_path, monkeypatch):
    """Whatever its ending and the case of its letters: a release in ``.tar.gz`` once made a project of its folder."""
    loaded: list[Path] = []
    monkeypatch.setattr(studio.program.models, "load", loaded.append)
    endings = (*MODEL_SUFFIXES, *FOREIGN_SUFFIXES)
    dropped = [tmp_path / "nets" / f"net{ending}" for ending in (*endings, *map(str.upper, endings))]
    (tmp_path / "nets").mkdir()
    for path in dropped:
        path.write_bytes(b"")
        studio.window.dropped.emit(path)
    assert loaded == dropped
    assert studio.program.session.image is None
    assert not (tmp_path / "nets" / ".atrous").exists()


def test_the_readout_names_class_truth_and_the_model_s_guesses(studio, folder):
    studio.start_model()
    studio.open(folder)
    studio.wait(lambda: studio.program.context["has_truth"])
    studio.program.readout.hover(5, 5)
    studio.wait(lambda: "model" in studio.window.status.values.text())
    assert studio.window.status.place.text() == "x 5 y 5"
    assert "truth person" in studio.window.status.values.text()


def test_closing_saves_and_reopening_shows_the_same(studio, folder):
    studio.open(folder)
    studio.program.classes.choose(12)
    studio.paint((20, 20), (60, 20))
    painted = studio.image.document.labels.copy()
    assert studio.window.close()
    with Project.open(folder) as project:
        loaded = project.load(project.images[0].id)
        np.testing.assert_array_equal(loaded.document.labels, painted)
        assert [step.title for step in loaded.steps][-1].startswith("Brush: dog")


def evaluate_folder(studio: Studio) -> None:
    """Evaluate the folder once its truth was found, and wait for the figures."""
    studio.wait(lambda: studio.program.context["has_truth"])
    finished = sum(title.startswith("Folder: mIoU") for title in studio.titles())
    studio.program.folder_evaluation.start()
    studio.wait(lambda: sum(title.startswith("Folder: mIoU") for title in studio.titles()) > finished)
    studio.settle()


def test_the_score_in_the_list_follows_the_hand(studio, folder):
    studio.start_model()
    studio.open(folder)
    evaluate_folder(studio)
    before = studio.program.figures.score(studio.image.id).iou
    pooled = studio.program.figures.pooled.mean_iou("union").value
    studio.program.classes.choose(15)
    studio.paint((10, 10), (30, 30), (10, 40))
    judged = studio.program.evaluation.live
    studio.wait(lambda: abs(studio.program.figures.score(studio.image.id).iou - judged.matrix.mean_iou("truth").value) < 1e-9)
    assert studio.program.figures.score(studio.image.id).iou != before
    assert studio.program.figures.pooled.mean_iou("union").value != pooled
    assert "Folder: mIoU" in studio.window.classes.note.text()


def test_the_pooled_figures_equal_judging_again(studio, folder):
    studio.start_model()
    studio.open(folder)
    evaluate_folder(studio)
    studio.program.classes.choose(15)
    studio.paint((10, 10), (30, 30), (10, 40))
    studio.qtbot.wait(150)
    studio.settle()
    live = studio.program.figures.pooled.counts.copy()
    evaluate_folder(studio)
    np.testing.assert_array_equal(studio.program.figures.pooled.counts, live)


def test_judging_and_inspecting_without_truth_say_what_to_do(studio, tmp_path):
    studio.open(make_folder(tmp_path / "blank", truth=False))
    wanted = "No ground truth"
    studio.press(Qt.Key.Key_J, Qt.KeyboardModifier.ControlModifier)
    assert studio.titles().count(wanted) == 1
    studio.press(Qt.Key.Key_O)
    studio.application.presenter.inspect.view.refresh.click()
    assert studio.titles().count(wanted) == 2


@pytest.fixture
def held_measuring(monkeypatch):
    """Evaluating the folder stops once it has read a mask, until it is let go: (reached, go on)."""
    reached, go_on = threading.Event(), threading.Event()
    score = measurement.score_labels

    def hold(*args, **named):
        if not reached.is_set():
            reached.set()
            assert go_on.wait(600)
        return score(*args, **named)

    monkeypatch.setattr(measurement, "score_labels", hold)
    yield reached, go_on
    go_on.set()


def open_scored(studio: Studio, folder) -> None:
    """Open the folder with a prediction of its first image, the only one, scored against the truth."""
    studio.start_model()
    studio.open(folder)
    studio.wait(lambda: studio.program.evaluation.live is not None)
    studio.program.classes.choose(15)


def test_a_stroke_while_its_image_is_judged_is_in_the_pooled_figures(studio, folder, held_measuring):
    reached, go_on = held_measuring
    open_scored(studio, folder)
    evaluation, before = studio.program.evaluation, studio.program.evaluation.live.matrix.counts.copy()
    studio.program.folder_evaluation.start()
    studio.wait(reached.is_set)
    studio.paint((10, 10), (30, 30), (10, 40))
    go_on.set()
    studio.wait(lambda: any(title.startswith("Folder: mIoU") for title in studio.titles()))
    studio.settle()
    assert (evaluation.live.matrix.counts != before).any()
    np.testing.assert_array_equal(studio.program.figures.pooled.counts, evaluation.live.matrix.counts)


def test_a_stroke_on_an_image_that_is_judged_and_left_is_in_the_pooled_figures(studio, folder, held_measuring):
    reached, go_on = held_measuring
    open_scored(studio, folder)
    evaluation, first = studio.program.evaluation, studio.image.id
    studio.program.folder_evaluation.start()
    studio.wait(reached.is_set)
    studio.paint((10, 10), (30, 30), (10, 40))
    painted = evaluation.live.matrix.counts.copy()
    studio.program.settings.set("work.auto_predict", False)
    studio.press(Qt.Key.Key_D)
    studio.wait(lambda: studio.image.id != first)
    go_on.set()
    studio.wait(lambda: any(title.startswith("Folder: mIoU") for title in studio.titles()))
    studio.settle()
    assert studio.program.figures.images == 1
    np.testing.assert_array_equal(studio.program.figures.pooled.counts, painted)


def test_a_compute_process_that_is_back_shows_its_device_again(studio):
    studio.start_model()
    shown = studio.program.models.device
    studio.compute.crash()
    assert studio.program.models.device.state == "restarting…"
    studio.settle()
    assert studio.program.models.device == shown


def test_classes_of_the_truth_stand_first_in_an_unlabelled_image(studio, folder):
    studio.open(folder)
    studio.settle()
    assert (studio.image.document.labels == 255).all()
    assert studio.program.classes.order[:2] == [0, 15]


def test_a_score_that_comes_after_the_project_was_left_changes_nothing(studio):
    assert studio.program.session.project is None
    studio.program.figures.scored.emit(1)
    assert studio.application.images.rowCount() == 0
