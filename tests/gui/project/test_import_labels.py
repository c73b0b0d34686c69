"""Labels of other programs into the open project: the dialog, the run, undo and the summary."""

from __future__ import annotations

import numpy as np
from shiboken6 import isValid

from app.state.label_import import map_labels
from app.ui.project.import_dialog import ImportDialog
from app.ui.project.summary_dialog import SummaryDialog
from app.viewmodels.project import label_plan
from app.viewmodels.project.label_plan import NEW, OPEN, VOID
from tests.gui.project.test_new_project import labelme
from tests.gui.studio import make_folder


def dialog_of(studio, source) -> ImportDialog:
    studio.program.label_imports.sourceChosen.emit(source)
    studio.wait(lambda: isinstance(studio.application.presenter.labels.dialog, ImportDialog))
    studio.settle()
    return studio.application.presenter.labels.dialog


def imported(studio, count):
    studio.wait(lambda: any(f"Labels of {count} image" in title for title in studio.titles()))
    studio.settle()
    return next(message for message in studio.program.notifier.messages if "Labels of" in message.title)


def test_a_class_without_a_partner_is_decided_then_everything_comes_in_and_can_be_undone(studio, tmp_path):
    folder = make_folder(tmp_path / "set", truth=False)
    labels = tmp_path / "json"
    labels.mkdir()
    labelme(labels, "photo_0", "person", "crack", "rust")
    labelme(labels, "photo_2", "couch")
    labelme(labels, "stranger", "person")
    studio.open(folder)
    dialog = dialog_of(studio, labels)
    assert "2 of 4 images have labels" in dialog.matched.text()
    assert "1 label file belongs to no image" in dialog.matched.text()
    assert dialog._decisions.open == ("crack", "rust")
    assert not dialog.go.isEnabled()
    values = {row.name: (row.value, row.how) for row in dialog._decisions.rows}
    assert values["couch"] == ("sofa", "synonym")
    box = dialog.table.cellWidget(0, 2)
    box.setCurrentIndex(box.findData(NEW))
    assert not dialog.go.isEnabled()
    dialog.void_open.click()
    assert {row.name: row.value for row in dialog._decisions.rows}["rust"] == VOID
    assert OPEN not in {row.value for row in dialog._decisions.rows}
    studio.settle()
    assert "3 regions" in dialog.caption.text()
    dialog.go.click()
    message = imported(studio, 2)
    project = studio.program.session.project
    crack = project.catalog.by_name("crack")
    assert crack is not None
    mask = studio.image.document.labels
    assert (mask == crack.id).sum() == 11 * 27
    assert (mask == project.catalog.by_name("person").id).sum() == 11 * 27
    assert (mask == 0).sum() > 0
    assert [row.name for row in studio.window.classes.model.rows][:3] == ["background", "person", "crack"]
    assert [studio.program.classes.keys[key] for key in "123"] == [0, project.catalog.by_name("person").id, crack.id]
    summary = studio.application.presenter.labels.dialog
    assert isinstance(summary, SummaryDialog)
    shown = {summary.counts.item(row, 0).text() for row in range(summary.counts.rowCount())}
    assert "Regions" in shown
    summary.accept()
    next(choice for choice in message.choices if "Undo" in choice.text).run()
    studio.settle()
    assert not np.any(studio.image.document.labels == crack.id)


def test_all_open_classes_are_added_in_one_go(studio, tmp_path, monkeypatch):
    """Each was added on its own, and all classes mapped again for it: with 300 of them the window stood for minutes."""
    folder = make_folder(tmp_path / "set", truth=False)
    labels = tmp_path / "json"
    labels.mkdir()
    labelme(labels, "photo_0", *(f"crack {number}" for number in range(5)))
    studio.open(folder)
    dialog = dialog_of(studio, labels)
    mapped = []
    monkeypatch.setattr(label_plan, "map_labels", lambda *args: mapped.append(args) or map_labels(*args))
    dialog.add_open.click()
    assert len(mapped) == 1
    assert {row.value for row in dialog._decisions.rows} == {NEW}
    studio.settle()
    assert dialog.go.isEnabled()


def test_what_cannot_be_read_is_said_in_the_dialog(studio, tmp_path):
    folder = make_folder(tmp_path / "set", truth=False)
    studio.open(folder)
    (tmp_path / "notes.json").write_text("{}")
    dialog = dialog_of(studio, tmp_path / "notes.json")
    assert "no known format" in dialog.matched.text()
    assert not dialog.go.isEnabled()


def test_plain_masks_are_read_in_the_classes_that_fit(studio, folder):
    studio.open(folder)
    dialog = dialog_of(studio, folder.parent / "labels")
    assert dialog.format.currentData() == "masks"
    assert not dialog._decisions.open
    dialog.go.click()
    imported(studio, 4)
    assert (studio.image.document.labels[:, :40] == 15).all()


def test_a_prediction_that_nobody_asked_for_does_not_compete_with_labels_that_came_meanwhile(studio, tmp_path):
    folder = make_folder(tmp_path / "set", truth=False)
    (tmp_path / "json").mkdir()
    labelme(tmp_path / "json", "photo_0", "person")
    studio.start_model()
    studio.compute.paused = True
    studio.program.projects.open(folder)
    studio.wait(lambda: studio.compute.waiting)
    studio.program.label_imports.take(tmp_path / "json")
    studio.wait(lambda: "Labels of 1 image imported" in studio.titles())
    studio.compute.paused = False
    studio.settle()
    assert studio.program.predict.suggestion is None
    assert studio.image.document.reference is not None  # the restore brush has it
    studio.window.commands.actions["model.run_image"].trigger()
    studio.settle()
    assert studio.program.predict.suggestion is not None


def test_answers_that_come_after_the_dialog_was_closed_are_dropped(studio, folder, tmp_path):
    labels = tmp_path / "json"
    labels.mkdir()
    labelme(labels, "photo_0", "person", "crack")
    studio.open(folder)
    dialog = dialog_of(studio, labels)
    picture = dialog.picture
    dialog._preview()
    dialog._read_again()
    dialog.reject()
    studio.settle()
    assert not isValid(picture)
