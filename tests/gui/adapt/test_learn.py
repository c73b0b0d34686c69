"""Learning from corrections by user actions: ask, wait, compare, accept or discard; no painted pixel is lost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QApplication, QLabel

from app.state.class_mapping import chosen_classes
from app.state.provenance import Provenance
from app.ui.adapt.learn_dialog import LearnDialog
from app.ui.adapt.learn_result_dialog import LearnResultDialog
from app.worker.messages import Learn, LearnTask, Predict
from deeplab_core.errors import ComputeError, StorageError
from tests.fakes.compute import LEARNED, striped_labels
from tests.gui.studio import Studio, make_folder


def result_dialog(studio: Studio) -> LearnResultDialog | None:
    return studio.application.presenter.learn.dialog


def asked(studio: Studio) -> list[LearnTask]:
    return [request.task for request in studio.compute.asked if isinstance(request, Learn)]


def correct(studio: Studio, class_id: int = 9, row: int = 20) -> np.ndarray:
    studio.program.classes.choose(class_id)
    studio.press(Qt.Key.Key_B)
    studio.paint((10, row), (60, row))
    return studio.image.document.labels.copy()


def go(studio: Studio, key: Qt.Key) -> None:
    before = studio.image.id
    studio.press(key)
    studio.wait(lambda: studio.image.id != before)
    studio.settle()


def learn(studio: Studio, do: Callable[[LearnDialog], None] = lambda dialog: dialog.go.click()) -> None:
    """Choose the command, and do something in the dialog that asks how."""
    seen: list[LearnDialog] = []

    def act() -> None:
        dialog = QApplication.activeModalWidget()
        if isinstance(dialog, LearnDialog):
            timer.stop()
            seen.append(dialog)
            do(dialog)

    timer = QTimer(interval=10)
    timer.timeout.connect(act)
    timer.start()
    studio.window.commands["model.learn"].trigger()
    studio.wait(lambda: bool(seen))
    timer.stop()


@pytest.fixture
def desk(studio: Studio, folder: Path) -> Studio:
    """Two of four images corrected with the brush; the second one is open."""
    studio.start_model()
    studio.open(folder)
    correct(studio)
    go(studio, Qt.Key.Key_D)
    correct(studio, row=40)
    return studio


@pytest.fixture
def learned(desk: Studio) -> Studio:
    """A result waits for a decision."""
    learn(desk)
    desk.wait(lambda: result_dialog(desk) is not None)
    desk.settle()
    return desk


def test_untouched_images_are_nothing_to_learn_from(studio, folder):
    studio.start_model()
    studio.open(folder)
    studio.window.commands["model.learn"].trigger()
    studio.settle()
    (message,) = [one for one in studio.program.notifier.messages if one.title == "Nothing to learn from yet"]
    assert "Correct one or two images" in message.detail
    assert not asked(studio)


def test_what_is_asked_for_is_what_was_painted(desk):
    shown = {}

    def look(dialog: LearnDialog) -> None:
        shown.update(rows=dialog.table.rowCount(), name=dialog.table.item(0, 0).text(), images=dialog.table.item(0, 2).text())
        dialog.strength.setCurrentIndex(2)
        dialog.go.click()

    desk.compute.paused = True
    learn(desk, look)
    desk.compute.paused = False
    desk.settle()
    assert shown == {"rows": 1, "name": "chair", "images": "2"}
    (task,) = asked(desk)
    assert task.options.strength == "strong"
    assert len(task.untouched) == 2
    for image in task.corrected:
        known, mask = image.known.unpacked(), image.mask.unpacked()
        assert set(np.unique(known)) == {9, 255}
        np.testing.assert_array_equal(mask[known == 9], 9)


def test_the_dialog_cancelled_asks_for_nothing(desk):
    learn(desk, lambda dialog: dialog.reject())
    desk.settle()
    assert not asked(desk)


def test_before_and_after_is_shown_and_changes_nothing(learned):
    dialog = result_dialog(learned)
    assert {name: figure.text() for name, figure in dialog.figures.items()} == {
        "mean IoU on held-out images, +10.0 points (+5.0 to +15.0, 2 images)": "50.0 → 60.0",
        "mean IoU on the corrected images": "50.0 → 80.0",
        "confident predictions kept": "99.0 %",
    }
    assert dialog.accept_button.property("primary")
    assert [dialog.table.item(0, column).text() for column in range(2, 6)] == ["50.0", "60.0", "50.0", "80.0"]
    assert "1 of 2" in dialog.caption.text()
    dialog.next.click()
    assert "2 of 2" in dialog.caption.text()
    assert learned.program.models.card.name == "Stripes"


def test_before_a_learned_model_takes_over_its_effect_is_said(learned):
    learned.program.folder_jobs.asks = True
    result_dialog(learned).accept_button.click()
    learned.wait(lambda: learned.application.window_actions.folder_question is not None)
    question = learned.application.window_actions.folder_question
    said = " ".join(label.text() for label in question.findChildren(QLabel))
    assert "Use the learned model?" in said
    assert "that you have not edited" in said
    assert "that you have edited" in said
    assert not question.never_again.isVisible(), "labels of the model before are replaced"
    before = learned.program.models.path
    question.leave.click()
    learned.settle()
    assert learned.program.models.path == before
    assert learned.program.learn.result is not None
    result_dialog(learned).accept_button.click()
    learned.wait(lambda: learned.application.window_actions.folder_question is not None)
    learned.application.window_actions.folder_question.go.click()
    learned.wait(lambda: learned.program.learn.result is None and learned.program.models.path != before)
    learned.settle()


def test_accepted_the_model_is_used_and_the_rest_is_predicted_again(learned):
    painted = learned.image.document.labels.copy()
    by_hand = learned.image.document.provenance == Provenance.USER
    project = learned.program.session.project
    first = next(record.id for record in project.images if record.touched and record.id != learned.image.id)
    before = len([one for one in learned.compute.asked if isinstance(one, Predict)])
    result_dialog(learned).accept_button.click()
    learned.wait(lambda: learned.program.models.card.name == "Stripes · learned")
    learned.settle()
    assert result_dialog(learned) is None
    (kept,) = (project.directory / "models").glob("*.safetensors")
    assert learned.program.models.path == kept
    predicted = {one.image for one in learned.compute.asked if isinstance(one, Predict)}
    assert len([one for one in learned.compute.asked if isinstance(one, Predict)]) > before
    assert {str(project.path_of(record)) for record in project.images if not record.touched} <= predicted
    np.testing.assert_array_equal(learned.image.document.labels, painted)
    assert by_hand.any()
    np.testing.assert_array_equal(learned.image.document.labels[by_hand], 9)
    while learned.image.id != first:
        learned.window.commands["go.previous"].trigger()
        learned.settle()
    assert (learned.image.document.labels[20, 15:55] == 9).all()


def run_folder_until(studio: Studio, number: int) -> None:
    """Run the model on the folder; the compute process stands still after so many images."""
    done: list[int] = []

    def count(image: int, _prediction: object) -> None:
        done.append(image)
        if len(done) == number:
            studio.compute.paused = True

    run = studio.program.folder_run
    run.predicted.connect(count)
    studio.window.commands["model.run_folder"].trigger()
    studio.wait(lambda: len(done) >= number)
    run.predicted.disconnect(count)
    assert run.running


@pytest.fixture
def half_way(studio: Studio, tmp_path: Path) -> Studio:
    """A result waits, and the old model is in the middle of twelve images."""
    studio.start_model()
    studio.open(make_folder(tmp_path / "twelve", 12, truth=False))
    correct(studio)
    go(studio, Qt.Key.Key_D)
    correct(studio, row=40)
    learn(studio)
    studio.wait(lambda: result_dialog(studio) is not None)
    studio.settle()
    run_folder_until(studio, 5)
    return studio


def test_accepted_during_a_folder_run_the_whole_folder_gets_the_new_model(half_way):
    studio, project = half_way, half_way.program.session.project
    result_dialog(studio).accept_button.click()
    studio.compute.paused = False
    studio.wait(lambda: studio.program.models.card.name == "Stripes · learned")
    studio.wait(lambda: not studio.program.folder_run.running)
    studio.settle()
    assert "Folder run finished" in studio.titles()
    assert project.runs.unfinished() is None
    by_old = []
    for record in project.images:
        touched = project.record(record.id).touched
        studio.program.projects.open_image(record.id)
        studio.wait(lambda record=record: studio.image.id == record.id)
        studio.settle()
        labels, key = studio.image.document.labels, studio.image.key
        if touched:
            by_hand = studio.image.document.provenance == Provenance.USER
            assert by_hand.any()
            assert (labels[by_hand] == 9).all()
        elif not np.array_equal(labels, striped_labels(studio.compute.catalog, *labels.shape, key + LEARNED)):
            by_old.append(record.name)
    assert by_old == []


def test_labels_that_the_learned_model_replaced_come_back_with_undo_folder_job(half_way):
    studio, project = half_way, half_way.program.session.project
    opened, other = project.images[3].id, project.images[0].id
    for image in (opened, other):  # opening gives it the labels of the old model
        studio.program.projects.open_image(image)
        studio.wait(lambda image=image: studio.image.id == image and studio.image.document.provenance.any())
    studio.program.session.autosaver.flush()
    before = project.load(opened).document.labels
    assert not project.record(opened).touched
    result_dialog(studio).accept_button.click()
    studio.compute.paused = False
    studio.wait(lambda: studio.program.models.card.name == "Stripes · learned")
    studio.wait(lambda: "Folder run finished" in studio.titles())
    studio.settle()
    assert (project.load(opened).document.labels != before).any()
    suggested = [record.id for record in project.images if record.suggested]
    assert suggested
    studio.window.commands["edit.undo_folder"].trigger()
    studio.wait(lambda: "The folder run was undone" in studio.titles())
    np.testing.assert_array_equal(project.load(opened).document.labels, before)
    assert not any(record.suggested for record in project.images)
    assert "1 mask is as before the job." in studio.program.notifier.messages[-1].detail


def test_a_folder_run_that_will_restart_can_be_cancelled(half_way):
    studio = half_way
    run = studio.program.folder_run
    asked_before = len([one for one in studio.compute.asked if isinstance(one, Predict)])
    options = replace(studio.program.models.run_settings.options(), flip=True)
    run.start(options)
    studio.program.predict.cancel()
    studio.compute.paused = False
    studio.wait(lambda: not run.running)
    studio.settle()
    assert "Folder run stopped" in studio.titles()
    assert len([one for one in studio.compute.asked if isinstance(one, Predict)]) == asked_before


def test_discarded_everything_is_as_it_was(learned):
    painted, steps = learned.image.document.labels.copy(), learned.steps()
    requests = len(learned.compute.asked)
    result_dialog(learned).discard.click()
    learned.settle()
    assert result_dialog(learned) is None
    assert learned.program.models.card.name == "Stripes"
    assert learned.steps() == steps
    np.testing.assert_array_equal(learned.image.document.labels, painted)
    assert len(learned.compute.asked) == requests
    assert not list(learned.program.session.project.directory.rglob("models/**/*.safetensors"))


@pytest.mark.qt_log_ignore("does not support raise", extend=True)
def test_decided_later_the_result_can_be_shown_again(learned):
    result_dialog(learned).close()
    assert learned.window.commands["model.learned"].isEnabled()
    learned.window.commands["model.learned"].trigger()
    assert result_dialog(learned).isVisible()


def test_stopped_while_it_learns_nothing_waits(desk):
    desk.compute.paused = True
    learn(desk)
    desk.wait(lambda: bool(asked(desk)))
    assert not desk.window.commands["model.learn"].isEnabled()
    desk.program.learn.cancel()
    desk.compute.paused = False
    desk.wait(lambda: "Learning cancelled" in desk.titles())
    assert desk.window.commands["model.learn"].isEnabled()
    assert result_dialog(desk) is None


def test_a_failure_is_said_and_leaves_the_model_alone(desk):
    desk.compute.errors[str(desk.program.models.path)] = ComputeError("the numbers ran away", remedy="Choose a gentler strength")
    learn(desk)
    desk.wait(lambda: any("ran away" in message.title + message.detail for message in desk.program.notifier.messages))
    assert desk.program.models.card.name == "Stripes"
    assert desk.window.commands["model.learn"].isEnabled()


def test_a_class_of_the_project_that_the_model_lacks_is_offered(studio, folder):
    studio.open(folder)
    known = studio.compute.catalog
    assert studio.program.session.project.catalog.by_id(9).name == "chair"
    studio.compute.catalog = replace(known, name="no chairs", classes=tuple(one for one in known.classes if one.id != 9))
    studio.start_model()
    correct(studio)
    go(studio, Qt.Key.Key_D)
    correct(studio)
    texts = {}

    def look(dialog: LearnDialog) -> None:
        item = dialog.table.item(0, 0)
        texts["name"], texts["ready"] = item.text(), dialog.go.isEnabled()
        item.setCheckState(Qt.CheckState.Unchecked)
        texts["without"] = dialog.go.isEnabled()
        item.setCheckState(Qt.CheckState.Checked)
        dialog.go.click()

    learn(studio, look)
    studio.wait(lambda: result_dialog(studio) is not None)
    studio.settle()
    assert texts == {"name": "chair — new to the model", "ready": True, "without": False}
    assert asked(studio)[0].options.new_classes == (9,)
    assert result_dialog(studio).table.item(0, 0).text() == "chair (new)"


@pytest.fixture
def learned_a_class(studio: Studio, folder: Path) -> Studio:
    """A result with more classes than the model had waits for a decision."""
    studio.open(folder)
    known = studio.compute.catalog
    studio.compute.catalog = replace(known, classes=known.classes[:-1])
    studio.start_model()
    correct(studio)
    go(studio, Qt.Key.Key_D)
    correct(studio)
    studio.compute.paused = True
    learn(studio)
    studio.wait(lambda: bool(asked(studio)))
    studio.compute.catalog = known
    studio.compute.paused = False
    studio.wait(lambda: result_dialog(studio) is not None)
    studio.settle()
    return studio


def model_files(studio: Studio) -> list[str]:
    """Of models that were learned, below the project's ``models``."""
    models = studio.program.session.project.directory / "models"
    return [path.relative_to(models).parent.as_posix() for path in models.rglob("*.safetensors") if path.is_file()]


def test_a_project_that_cannot_be_written_leaves_the_result_waiting(learned_a_class, monkeypatch):
    studio, project = learned_a_class, learned_a_class.program.session.project

    def full(key: str, value: object) -> None:
        raise StorageError("the project cannot be written", why="the disk is full", remedy="Free some space")

    with monkeypatch.context() as patched:
        patched.setattr(project, "set_setting", full)
        result_dialog(studio).accept_button.click()
        studio.settle()
        assert "disk is full" in studio.program.notifier.messages[-1].detail
        assert model_files(studio) == ["waiting"]
        assert studio.program.models.card.name == "Stripes"
    result_dialog(studio).accept_button.click()
    studio.wait(lambda: studio.program.models.card.name == "Stripes · learned")
    studio.settle()
    assert model_files(studio) == ["."]
    assert studio.program.models.agreed()


def test_a_model_that_cannot_be_moved_leaves_nothing_behind_when_discarded(learned_a_class):
    studio, project = learned_a_class, learned_a_class.program.session.project
    (waiting,) = (project.directory / "models" / "waiting").glob("*.safetensors")
    (project.directory / "models" / waiting.name).mkdir()  # in the way
    learned_id = studio.program.learn.result.learned.card.id
    result_dialog(studio).accept_button.click()
    studio.settle()
    assert "accept it again" in studio.program.notifier.messages[-1].detail
    assert model_files(studio) == ["waiting"]
    assert not chosen_classes(project, learned_id)
    result_dialog(studio).discard.click()
    studio.settle()
    assert model_files(studio) == []
