"""Jobs over the folder say what they will change, begin after one answer, and can be taken back as a whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel, QPushButton

from app.controllers.project.folder_jobs import ASK_HARMLESS, FolderChange
from app.services.folder_job import Steps, background
from app.state.image_record import ImageStatus
from app.state.patch import TilePatch
from app.state.project import Project
from app.state.provenance import Provenance
from app.ui.common.choice_dialog import FolderQuestion
from deeplab_core.catalogs import get_catalog
from deeplab_core.errors import StorageError
from deeplab_core.masks.png import write_indexed_png
from tests.gui.studio import HEIGHT, WIDTH, Studio, make_folder

CTRL = Qt.KeyboardModifier.ControlModifier


@pytest.fixture
def desk(studio: Studio, folder: Path) -> Studio:
    """Four images: the first one reviewed, the second one corrected, the third one only predicted, the fourth one new."""
    studio.start_model()
    studio.open(folder)
    for number in (0, 1):
        studio.program.classes.choose(9)
        studio.press(Qt.Key.Key_B)
        studio.paint((20, 20), (40, 20))
        if number == 0:
            studio.press(Qt.Key.Key_M, CTRL)
        go(studio, Qt.Key.Key_D)
    go(studio, Qt.Key.Key_A)
    studio.program.folder_jobs.asks = True
    return studio


def go(studio: Studio, key: Qt.Key) -> None:
    before = studio.image.id
    studio.press(key)
    studio.wait(lambda: studio.image.id != before)
    studio.settle()


def question(studio: Studio) -> FolderQuestion:
    studio.wait(lambda: studio.application.window_actions.folder_question is not None)
    found = studio.application.window_actions.folder_question
    assert found is not None
    return found


def texts(dialog: FolderQuestion) -> str:
    return " ".join(label.text() for label in dialog.findChildren(QLabel))


def masks(studio: Studio) -> dict[str, np.ndarray]:
    """Labels of every image as they are on disk and in the journal."""
    project, autosaver = studio.program.session.project, studio.program.session.autosaver
    autosaver.flush()
    return {record.name: project.load(record.id).document.labels for record in project.images}


def statuses(studio: Studio) -> list[ImageStatus]:
    return [record.status for record in studio.program.session.project.images]


# -- asking -------------------------------------------------------------------------------------------------------------------


def test_a_folder_run_says_what_each_image_gets(desk):
    desk.window.model.run_folder.click()
    dialog = question(desk)
    said = texts(dialog)
    assert "Run the model on the folder?" in said
    assert "Stripes predicts 4 images." in said
    assert "1 image without a mask takes the prediction." in said
    assert "1 image that you opened keeps its labels" in said
    assert "2 images that you have edited keep their masks (1 reviewed): the prediction is kept beside them" in said
    asked = len(desk.compute.asked)
    dialog.leave.click()
    desk.settle()
    assert len(desk.compute.asked) == asked
    assert not desk.program.folder_run.running


def test_harmless_jobs_may_stop_asking_and_the_setting_brings_the_question_back(desk):
    desk.window.model.run_folder.click()
    dialog = question(desk)
    assert dialog.never_again.isVisible()
    dialog.never_again.setChecked(True)
    dialog.go.click()
    desk.wait(lambda: "Folder run finished" in desk.titles())
    assert not desk.application.settings[ASK_HARMLESS]
    desk.window.model.run_folder.click()
    desk.wait(lambda: desk.titles().count("Folder run finished") == 2)
    assert desk.application.window_actions.folder_question is None
    desk.window.commands["refine.folder"].trigger()
    dialog = question(desk)
    assert not dialog.never_again.isVisible(), "this job changes masks"
    dialog.leave.click()
    desk.application.settings.set(ASK_HARMLESS, True)
    desk.window.model.run_folder.click()
    question(desk).leave.click()


def test_the_rest_of_an_interrupted_run_is_announced_as_such(desk):
    desk.window.model.run_folder.click()
    desk.compute.paused = True
    question(desk).go.click()
    desk.wait(lambda: desk.program.folder_run.running)
    desk.program.jobs.cancel_all()
    desk.compute.paused = False
    desk.wait(lambda: "Folder run stopped" in desk.titles())
    desk.window.model.run_folder.click()
    dialog = question(desk)
    assert "Continue the folder run?" in texts(dialog)
    assert "images that are left." in texts(dialog)
    dialog.leave.click()


def test_nothing_over_the_folder_begins_by_one_key(desk):
    """Finding A2: a key that landed on 'Folder' changed nine masks at once."""
    before = masks(desk)
    desk.window.toggle_dock("crf")
    desk.window.crf.folder.setFocus()
    desk.press(Qt.Key.Key_Space, on=desk.window.crf.folder)
    dialog = question(desk)
    said = texts(dialog)
    assert "The mask of 1 image that you have not edited may change" in said
    assert "1 image without a prediction gets one, refined." in said
    assert "2 images that you have edited keep their masks (1 reviewed): the result is kept beside them as a suggestion." in said
    desk.press(Qt.Key.Key_Escape, on=dialog)
    desk.settle()
    assert not desk.program.context["crf_running"]
    for name, labels in masks(desk).items():
        np.testing.assert_array_equal(labels, before[name])


def test_only_the_newest_question_counts(desk):
    desk.window.model.run_folder.click()
    first = question(desk)
    agreed = []
    first.agreed.connect(agreed.append)
    desk.window.commands["refine.folder"].trigger()
    desk.wait(lambda: desk.application.window_actions.folder_question not in (None, first))
    assert "Refine the whole folder" in texts(question(desk))
    question(desk).leave.click()
    assert not agreed


def test_a_job_that_was_agreed_to_after_another_folder_was_opened_does_not_begin(desk, folder, tmp_path):
    desk.window.commands["refine.folder"].trigger()
    dialog = question(desk)
    desk.program.projects.open(folder, tmp_path / "elsewhere")
    desk.wait(lambda: desk.program.session.project is not None and desk.program.session.project.directory.name == "elsewhere")
    desk.settle()
    dialog.go.click()
    desk.settle()
    assert not desk.program.context["crf_running"]


def make_masks(folder: Path, names: list[str]) -> Path:
    folder.mkdir()
    for name in names:
        write_indexed_png(folder / name, np.full((HEIGHT, WIDTH), 5, np.uint8), get_catalog("voc21"))
    return folder


# -- taking it back -------------------------------------------------------------------------------------------------------------


def refine_folder(studio: Studio) -> None:
    studio.program.folder_jobs.asks = False
    studio.window.commands["refine.folder"].trigger()
    studio.wait(lambda: "CRF on the folder finished" in studio.titles())
    studio.settle()


def test_the_crf_over_the_folder_is_taken_back_as_one(desk):
    desk.program.folder_jobs.asks = False
    desk.window.model.run_folder.click()
    desk.wait(lambda: "Folder run finished" in desk.titles())
    desk.settle()
    go(desk, Qt.Key.Key_D)
    before, status = masks(desk), statuses(desk)
    refine_folder(desk)
    changed = [name for name, labels in masks(desk).items() if not np.array_equal(labels, before[name])]
    assert changed == ["photo_2.jpg", "photo_3.jpg"]
    project = desk.program.session.project
    last = project.images[3].id
    assert [step.source for step in project.load(last).steps] == [Provenance.MODEL, Provenance.CRF], "undo ends at the prediction"
    message = desk.program.notifier.messages[-1]
    assert message.choices[-1].text == "Undo folder job"
    desk.window.commands["edit.undo_folder"].trigger()
    desk.wait(lambda: "CRF on the folder was undone" in desk.titles())
    desk.settle()
    after = masks(desk)
    np.testing.assert_array_equal(after["photo_2.jpg"], before["photo_2.jpg"])
    assert (project.load(last).document.provenance == Provenance.MODEL).all()
    assert statuses(desk) == status
    assert not any(record.suggested for record in project.images[2:])
    assert "2 masks are as before the job." in desk.program.notifier.messages[-1].detail
    assert not desk.window.commands["edit.undo_folder"].isEnabled()
    go(desk, Qt.Key.Key_D)
    np.testing.assert_array_equal(desk.image.document.labels, after["photo_3.jpg"])


def test_an_image_that_moved_on_stays(desk):
    go(desk, Qt.Key.Key_D)
    refine_folder(desk)
    desk.program.classes.choose(3)
    desk.press(Qt.Key.Key_B)
    desk.paint((20, 40), (40, 40))
    painted = desk.image.document.labels.copy()
    desk.window.commands["edit.undo_folder"].trigger()
    desk.wait(lambda: "CRF on the folder was undone" in desk.titles())
    np.testing.assert_array_equal(desk.image.document.labels, painted)
    message = desk.program.notifier.messages[-1]
    assert "1 image changed since then and stays unchanged." in message.detail
    listed = []
    desk.program.folder_jobs.imagesListed.disconnect(desk.application.window_actions.show_images)
    desk.program.folder_jobs.imagesListed.connect(lambda heading, intro, rows: listed.extend(rows))
    assert message.choices[-1].text == "Show unchanged images"
    message.choices[-1].run()
    assert listed == [(desk.image.id, "It has changed since the job.")]


def test_a_step_that_was_undone_again_does_not_keep_an_image_from_being_restored(desk):
    before = masks(desk)
    go(desk, Qt.Key.Key_D)
    refine_folder(desk)
    desk.program.classes.choose(3)
    desk.press(Qt.Key.Key_B)
    desk.paint((20, 40), (40, 40))
    desk.press(Qt.Key.Key_Z, CTRL)
    desk.settle()
    desk.window.commands["edit.undo_folder"].trigger()
    desk.wait(lambda: "CRF on the folder was undone" in desk.titles())
    message = desk.program.notifier.messages[-1]
    assert "changed since" not in message.detail
    assert message.choices == ()
    name = desk.program.session.project.record(desk.image.id).name
    np.testing.assert_array_equal(desk.image.document.labels, before[name])


def test_a_stroke_that_waits_is_newer_than_the_job(desk):
    go(desk, Qt.Key.Key_D)
    refine_folder(desk)
    desk.program.classes.choose(3)
    desk.press(Qt.Key.Key_B)
    desk.window.commands["edit.undo_folder"].trigger()
    desk.program.edit.hold_strokes(True)
    desk.paint((20, 40), (40, 40))
    after = desk.image.document.labels.copy()
    assert desk.program.edit.pending_stroke is not None
    desk.wait(lambda: "CRF on the folder was undone" in desk.titles())
    assert "changed since" in desk.program.notifier.messages[-1].detail
    np.testing.assert_array_equal(desk.image.document.labels, after)


def test_the_undo_lasts_until_the_next_job_that_changes_something(desk):
    refine_folder(desk)
    after = masks(desk)
    for key in (Qt.Key.Key_D, Qt.Key.Key_D, Qt.Key.Key_A):
        go(desk, key)
    desk.program.folder_evaluation.start()  # changes nothing
    desk.wait(lambda: any(title.startswith(("Folder: mIoU", "Nothing could")) for title in desk.titles()))
    empty = FolderChange(desk.program.session.project, "Another job", Provenance.CRF, "another")
    assert desk.program.folder_jobs.remember(empty) == ()
    assert desk.window.commands["edit.undo_folder"].isEnabled()
    desk.window.commands["edit.undo_folder"].trigger()
    desk.wait(lambda: "CRF on the folder was undone" in desk.titles())
    desk.settle()
    assert any(not np.array_equal(labels, after[name]) for name, labels in masks(desk).items())


def reopen(studio: Studio, folder: Path) -> None:
    assert studio.program.projects.close()
    studio.open(folder)


def undo_job(desk) -> None:
    desk.window.commands["edit.undo_folder"].trigger()
    desk.wait(lambda: "CRF on the folder was undone" in desk.titles())
    desk.settle()


def test_the_last_job_can_be_undone_after_a_restart(desk, folder):
    before, status = masks(desk), statuses(desk)
    refine_folder(desk)
    assert any(not np.array_equal(labels, before[name]) for name, labels in masks(desk).items())
    reopen(desk, folder)
    assert desk.window.commands["edit.undo_folder"].isEnabled()
    undo_job(desk)
    after = masks(desk)
    for name in sorted(before)[:3]:  # the fourth had no mask; its undo ends at the prediction that it got
        np.testing.assert_array_equal(after[name], before[name])
    assert statuses(desk)[:3] == status[:3]
    reopen(desk, folder)
    assert not desk.window.commands["edit.undo_folder"].isEnabled()


def test_the_button_of_a_job_goes_with_its_project(desk, folder):
    """It stayed in the corner, and did nothing."""

    def offered() -> bool:
        return any(button.text() == "Undo folder job" for button in desk.window.findChildren(QPushButton) if button.isVisible())

    refine_folder(desk)
    assert offered()
    reopen(desk, folder)
    assert not offered()
    assert desk.window.commands["edit.undo_folder"].isEnabled()


def test_the_undo_of_a_job_of_an_earlier_session_names_the_job_and_asks(desk, folder):
    before = masks(desk)
    refine_folder(desk)
    after = masks(desk)
    reopen(desk, folder)
    desk.program.folder_jobs.asks = True
    desk.window.commands["edit.undo_folder"].trigger()
    dialog = question(desk)
    said = texts(dialog)
    assert "Undo 'CRF on the folder'?" in said
    assert "The last folder job ended on 2" in said
    assert "It changed 1 mask, which is restored." in said
    assert "Images that you have changed or reviewed since then stay unchanged." in said
    assert not dialog.never_again.isVisible()
    dialog.leave.click()
    desk.settle()
    for name, labels in masks(desk).items():
        np.testing.assert_array_equal(labels, after[name])
    desk.window.commands["edit.undo_folder"].trigger()
    question(desk).go.click()
    desk.wait(lambda: "CRF on the folder was undone" in desk.titles())
    desk.settle()
    np.testing.assert_array_equal(masks(desk)["photo_2.jpg"], before["photo_2.jpg"])


def test_an_image_that_was_reviewed_since_stays(desk, folder):
    before = masks(desk)
    refine_folder(desk)
    after, project = masks(desk), desk.program.session.project
    change = FolderChange.kept_in(project)
    assert change is not None
    kept = project.record(next(iter(change.steps)))
    assert not np.array_equal(after[kept.name], before[kept.name])
    project.set_status(kept.id, ImageStatus.REVIEWED)
    reopen(desk, folder)
    undo_job(desk)
    np.testing.assert_array_equal(masks(desk)[kept.name], after[kept.name])
    assert desk.program.session.project.record(kept.id).reviewed
    assert "1 image changed since then and stays unchanged." in desk.program.notifier.messages[-1].detail


def test_an_undo_that_ended_with_its_project_can_be_continued_after_a_restart(desk, folder):
    before = masks(desk)
    refine_folder(desk)
    desk.window.commands["edit.undo_folder"].trigger()
    reopen(desk, folder)
    assert desk.window.commands["edit.undo_folder"].isEnabled()
    undo_job(desk)
    after = masks(desk)
    for name in sorted(before)[:3]:
        np.testing.assert_array_equal(after[name], before[name])


@pytest.mark.parametrize(
    "value",
    [
        None,
        3,
        {},
        {"title": "x", "source": 99, "message": "m", "steps": [[1, 1, 1]], "suggested": []},
        {"title": "x", "source": 2, "message": "m", "steps": [[1, 1, 77]], "suggested": []},
        {"title": "x", "source": 2, "message": "m", "steps": [["a", 1, 1]], "suggested": []},
        {"title": "x", "source": 2, "message": "m", "steps": [[12345, 1, 1]], "suggested": [12345]},
    ],
)
def test_a_kept_change_that_is_damaged_or_of_other_images_is_none(tmp_path, value):
    folder = make_folder(tmp_path / "set", 1)
    with Project.open(folder, catalog=get_catalog("voc21")) as project:
        project.set_setting("folder_change", value)
        assert FolderChange.kept_in(project) is None
        image = project.images[0].id
        project.set_setting(
            "folder_change", {"title": "x", "source": 2, "message": "m", "steps": [[image, 4, 3]], "suggested": [image, 99]}
        )
        change = FolderChange.kept_in(project)
        assert change is not None
        assert change.steps == {image: (4, ImageStatus.REVIEWED)}
        assert change.suggested == [image]


def test_an_undo_that_was_stopped_can_be_continued(desk):
    before = masks(desk)
    refine_folder(desk)
    desk.window.commands["edit.undo_folder"].trigger()
    (job,) = [job for job in desk.program.jobs.running if job.title.startswith("Undoing")]
    job.cancel()
    desk.wait(lambda: "CRF on the folder was undone" in desk.titles())
    assert "not reached" in desk.program.notifier.messages[-1].detail
    assert desk.window.commands["edit.undo_folder"].isEnabled()
    desk.window.commands["edit.undo_folder"].trigger()
    desk.wait(lambda: not desk.window.commands["edit.undo_folder"].isEnabled() and not desk.program.jobs.running)
    desk.settle()
    for name, labels in masks(desk).items():
        if name != "photo_3.jpg":  # it had no mask; now it has the prediction that its undo ends at
            np.testing.assert_array_equal(labels, before[name])


def test_an_image_that_could_not_be_restored_is_tried_again(desk, monkeypatch):
    before = masks(desk)
    refine_folder(desk)
    session, undo_step = desk.program.session, desk.program.session.undo_step

    def full(image, seq):
        raise StorageError("the project cannot be saved", why="The disk is full")

    monkeypatch.setattr(session, "undo_step", full)
    desk.window.commands["edit.undo_folder"].trigger()
    desk.wait(lambda: "CRF on the folder was undone" in desk.titles())
    monkeypatch.setattr(session, "undo_step", undo_step)
    assert desk.window.commands["edit.undo_folder"].isEnabled()
    desk.window.commands["edit.undo_folder"].trigger()
    desk.wait(lambda: not desk.window.commands["edit.undo_folder"].isEnabled() and not desk.program.jobs.running)
    desk.settle()
    for name, labels in masks(desk).items():
        if name != "photo_3.jpg":  # it had no mask; now it has the prediction that its undo ends at
            np.testing.assert_array_equal(labels, before[name])


@pytest.mark.parametrize("in_view", [False, True])
def test_a_damaged_step_fails_alone_and_the_others_are_restored(desk, in_view):
    desk.program.folder_jobs.asks = False
    desk.window.model.run_folder.click()
    desk.wait(lambda: "Folder run finished" in desk.titles())
    desk.settle()
    go(desk, Qt.Key.Key_D)
    before = masks(desk)
    refine_folder(desk)
    after, project = masks(desk), desk.program.session.project
    damaged, sound = (record for record in project.images if not np.array_equal(after[record.name], before[record.name]))
    if in_view:
        desk.program.session.open_image(damaged.id)
        desk.wait(lambda: desk.image.id == damaged.id)
        desk.settle()
        step = desk.program.session.history.steps[-1]
        step.checked, step.patch = False, TilePatch.from_bytes(flipped(step.patch.to_bytes()))
    else:
        desk.program.session.open_image(project.images[0].id)
        desk.wait(lambda: desk.image.id == project.images[0].id)
        desk.settle()
        seq, data = project._store.rows("SELECT seq, patch FROM steps WHERE image = ? ORDER BY seq DESC", (damaged.id,))[0]
        project._store.write("UPDATE steps SET patch = ? WHERE seq = ?", (flipped(data), seq))
    undo_job(desk)
    now = masks(desk)
    np.testing.assert_array_equal(now[damaged.name], after[damaged.name])
    said = next(message for message in desk.program.notifier.messages if message.title == "CRF on the folder was undone")
    assert said.choices[-1].text == "Show unchanged images"
    assert (project.load(sound.id).document.provenance == Provenance.MODEL).all(), "its undo ends at the prediction"
    assert not desk.window.commands["edit.undo_folder"].isEnabled(), "a damaged step stays damaged"


def flipped(data: bytes) -> bytes:
    """A step with another bit in what its undo writes: nothing shows it before it is unpacked."""
    place = 21 + 12 + int.from_bytes(data[25:29], "little") - 2
    return data[:place] + bytes([data[place] ^ 0x10]) + data[place + 1 :]


def test_a_job_that_ends_with_its_project_says_nothing_and_changes_nothing_more(desk, folder, tmp_path):
    desk.program.folder_jobs.asks = False
    desk.compute.paused = True
    desk.window.model.run_folder.click()
    desk.wait(lambda: desk.program.folder_run.running)
    desk.program.projects.open(folder, tmp_path / "elsewhere")
    desk.wait(lambda: desk.program.session.project is not None and desk.program.session.project.directory.name == "elsewhere")
    assert not desk.program.folder_run.running
    desk.compute.paused = False
    desk.settle()
    assert not any("Folder run" in title for title in desk.titles())
    assert not any(record.prediction for record in desk.program.session.project.images[1:])


def test_no_job_begins_late_and_none_that_writes_in_a_read_only_project(desk, folder, tmp_path):
    left, jobs = desk.program.session.project, desk.program.folder_jobs
    desk.program.projects.open(folder, tmp_path / "elsewhere")
    desk.wait(lambda: desk.program.session.project not in (None, left))
    desk.settle()
    visited = []

    def look(image: int) -> Steps[None]:
        return background(lambda: visited.append(image))

    assert jobs.start(left, "Looking", [1], look) is None
    assert desk.program.projects.close()
    desk.program.projects.open(folder, read_only=True)
    desk.wait(lambda: desk.program.session.project is not None)
    desk.settle()
    project = desk.program.session.project
    assert project.read_only
    assert jobs.start(project, "Writing", [1], look, writes=True) is None
    assert not visited
    assert jobs.start(project, "Looking", [1], look) is not None
    desk.wait(lambda: visited == [1])


def test_a_project_that_cannot_be_written_ends_the_job_with_one_message(desk, monkeypatch):
    project = desk.program.session.project

    def full(*_arguments, **_options):
        raise StorageError("the project cannot be saved", why="The disk is full")

    monkeypatch.setattr(project, "keep_prediction", full)
    monkeypatch.setattr(project, "set_failed", full)
    desk.program.folder_jobs.asks = False
    desk.window.model.run_folder.click()
    desk.wait(lambda: "Folder run stopped" in desk.titles())
    assert desk.titles().count("The project cannot be saved") == 1
    assert not desk.program.folder_run.running


def test_an_import_is_taken_back_with_its_statuses(desk, tmp_path):
    found = make_masks(tmp_path / "mine", ["photo_2.png", "photo_3.png"])
    before, status = masks(desk), statuses(desk)
    desk.program.folder_jobs.asks = False
    desk.program.label_imports.take(found)
    desk.wait(lambda: "Labels of 2 images imported" in desk.titles())
    desk.settle()
    assert statuses(desk)[2:] == [ImageStatus.TOUCHED, ImageStatus.TOUCHED]
    desk.window.commands["edit.undo_folder"].trigger()
    desk.wait(lambda: "The import of labels was undone" in desk.titles())
    desk.settle()
    assert statuses(desk) == status
    for name, labels in masks(desk).items():
        np.testing.assert_array_equal(labels, before[name])


def test_suggestions_of_the_job_are_withdrawn(desk):
    refine_folder(desk)
    project = desk.program.session.project
    assert [record.suggested for record in project.images[:2]] == [True, True]
    assert desk.program.context["suggestion_waiting"]
    desk.window.commands["edit.undo_folder"].trigger()
    desk.wait(lambda: "CRF on the folder was undone" in desk.titles())
    assert not any(record.suggested for record in project.images)
    assert not desk.program.context["suggestion_waiting"]
    assert "2 suggestions of the job are withdrawn." in desk.program.notifier.messages[-1].detail
