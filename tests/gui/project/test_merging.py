"""Two users' projects of the same images in the window: agreement, conflicts solved image by image, merge and undo."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import QComboBox, QFileDialog
from shiboken6 import isValid

from app.state.image_record import ImageStatus
from app.state.label_import import store_labels
from app.state.project import Project
from app.state.provenance import Provenance
from app.ui.adapt.learn_picture import LearnPicture
from app.ui.project.merge_dialog import MergeDialog
from deeplab_core.catalogs import get_catalog
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.catalogs.editing import add_class
from deeplab_core.errors import StorageError
from tests.gui.studio import HEIGHT, WIDTH, Studio, make_folder

CHAIR, SOFA, CAT = 9, 18, 8
VOC = get_catalog("voc21")


def label(folder: Path, areas: Mapping[str, tuple[slice, int]], catalog: ClassCatalog = VOC, *, reviewed: str = "") -> None:
    """Let the user of a folder's project paint rows of images."""
    with Project.open(folder, catalog=catalog) as project:
        for record in project.images:
            if record.relative_path not in areas:
                continue
            rows, value = areas[record.relative_path]
            labels = np.full((HEIGHT, WIDTH), 255, np.uint8)
            labels[rows] = value
            by = np.where(labels == 255, Provenance.UNSET, Provenance.USER).astype(np.uint8)
            store_labels(project, record.id, labels, "Brush", overwrite=True, by=by)
            project.set_status(record.id, ImageStatus.REVIEWED if record.relative_path == reviewed else ImageStatus.TOUCHED)


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    """Two copies of four photographs; the users contradict each other on the first two, and only one labelled the others."""
    mine = make_folder(tmp_path / "mine", truth=False)
    theirs = tmp_path / "theirs"
    shutil.copytree(mine, theirs)
    label(mine, {"photo_0.jpg": (slice(0, 20), CHAIR), "photo_1.jpg": (slice(0, 20), CHAIR), "photo_2.jpg": (slice(0, 9), CAT)})
    rows = {"photo_0.jpg": (slice(10, 30), SOFA), "photo_1.jpg": (slice(0, 20), SOFA), "photo_3.jpg": (slice(0, 9), CAT)}
    label(theirs, rows, reviewed="photo_3.jpg")
    return mine, theirs


def compared(studio: Studio, folder: Path) -> MergeDialog:
    studio.program.merging.compare(folder)
    labels = studio.application.presenter.labels  # type: ignore[union-attr]
    studio.wait(lambda: isinstance(labels.dialog, MergeDialog))
    studio.settle()
    assert isinstance(labels.dialog, MergeDialog)
    return labels.dialog


def masks(studio: Studio) -> dict[str, np.ndarray]:
    project = studio.program.session.project
    assert project is not None
    studio.program.projects.save_now()
    studio.settle()
    return {record.relative_path: project.load(record.id).document.labels.copy() for record in project.images}


def box(dialog: MergeDialog, row: int) -> QComboBox:
    found = dialog.conflicts.cellWidget(row, 2)
    assert isinstance(found, QComboBox)
    return found


def test_conflicts_are_solved_image_by_image_and_the_merge_is_undone(studio: Studio, two: tuple[Path, Path]) -> None:
    mine, theirs = two
    studio.open(mine)
    before = masks(studio)
    dialog = compared(studio, theirs)
    assert "1 of them gets labels of the other user: 756 px." in dialog.line.text()
    assert "2 images have conflicts." in dialog.line.text()
    assert dialog.tabs.tabText(0) == "Conflicts (2)"
    assert dialog.conflicts.item(0, 1).text() == "chair / sofa: 840 px"  # type: ignore[union-attr]
    assert not dialog.yours.empty
    assert "2 images stay as they are" in dialog.note.text()
    studio.qtbot.mouseClick(dialog.theirs, Qt.MouseButton.LeftButton)
    assert box(dialog, 0).currentData() == "b"
    assert dialog.theirs.chosen
    assert "1 image stays as it is" in dialog.note.text()
    dialog.go.click()
    studio.wait(lambda: any("theirs finished" in title for title in studio.titles()))
    after = masks(studio)
    assert (after["photo_0.jpg"][:10] == CHAIR).all()
    assert (after["photo_0.jpg"][10:30] == SOFA).all()
    np.testing.assert_array_equal(after["photo_1.jpg"], before["photo_1.jpg"])
    assert (after["photo_3.jpg"][:9] == CAT).all()
    assert studio.steps()[-1].startswith("Merge with theirs")
    project = studio.program.session.project
    assert project is not None
    assert project.images[3].reviewed
    studio.window.commands["edit.undo_folder"].trigger()
    studio.wait(lambda: "The merge was undone" in studio.titles())
    for name, labels in masks(studio).items():
        np.testing.assert_array_equal(labels, before[name])
    assert not project.images[3].reviewed


def test_the_agreement_is_shown_and_saved(studio: Studio, two: tuple[Path, Path], tmp_path: Path, monkeypatch) -> None:
    mine, theirs = two
    studio.open(mine)
    dialog = compared(studio, theirs)
    assert dialog.agreement.text().startswith("2 images: both users agree on 0.0 % of the pixels")
    table = dialog.class_figures
    assert [table.item(row, 0).text() for row in range(table.rowCount())] == ["chair", "sofa"]  # type: ignore[union-attr]
    assert dialog.image_figures.rowCount() == 2
    path = tmp_path / "agreement.json"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_args, **_more: (str(path), ""))
    dialog.save.click()
    studio.wait(lambda: "was saved" in dialog.note.text())
    assert json.loads(path.read_text())["agreement"] == 0
    dialog.reject()
    assert masks(studio)["photo_3.jpg"].min() == 255


def test_a_class_without_a_partner_is_decided_in_the_dialog(studio: Studio, tmp_path: Path) -> None:
    mine = make_folder(tmp_path / "mine", 1, truth=False)
    theirs = tmp_path / "theirs"
    shutil.copytree(mine, theirs)
    label(mine, {})
    label(theirs, {"photo_0.jpg": (slice(0, 9), 21)}, add_class(VOC, "crack").catalog)
    studio.open(mine)
    dialog = compared(studio, theirs)
    assert dialog.line.text() == "1 image waits until its classes are decided."
    assert not dialog.go.isEnabled()
    assert dialog.left_out.isVisible()
    choice = dialog.classes.cellWidget(0, 1)
    assert isinstance(choice, QComboBox)
    choice.setCurrentIndex(choice.findData("cat"))
    choice.activated.emit(choice.currentIndex())
    studio.settle()
    assert not dialog.left_out.isVisible()
    dialog.go.click()
    studio.wait(lambda: any("theirs finished" in title for title in studio.titles()))
    assert (studio.image.document.labels[:9] == CAT).all()


def test_answers_that_come_after_the_dialog_was_closed_are_dropped(studio: Studio, two: tuple[Path, Path]) -> None:
    mine, theirs = two
    studio.open(mine)
    dialog = compared(studio, theirs)
    picture = dialog.yours
    dialog._select()
    dialog._map("cat", "cat")
    dialog.reject()
    studio.settle()
    assert not isValid(picture)


def test_the_open_project_is_not_merged_with_itself(studio: Studio, two: tuple[Path, Path]) -> None:
    studio.open(two[0])
    studio.program.merging.compare(two[0])
    studio.wait(lambda: any("this is the project that is open" in title.lower() for title in studio.titles()))


def click(studio: Studio, side: LearnPicture, x: int, y: int) -> None:
    """Click a pixel of the image that a side shows."""
    place = side.place()
    at = QPoint(place.x() + int((x + 0.5) * place.width() / WIDTH), place.y() + int((y + 0.5) * place.height() / HEIGHT))
    studio.qtbot.mouseClick(side, Qt.MouseButton.LeftButton, pos=at)


def test_parts_of_an_image_are_taken_from_either_user(studio: Studio, two: tuple[Path, Path]) -> None:
    mine, theirs = two
    with Project.open(theirs) as project:  # a second place, where the first user painted a chair, too
        record = project.images[0]
        labels = project.load(record.id).document.labels.copy()
        labels[0:4, 0:9] = CAT
        by = np.where(labels == 255, Provenance.UNSET, Provenance.USER).astype(np.uint8)
        store_labels(project, record.id, labels, "Brush", overwrite=True, by=by)
    studio.open(mine)
    dialog = compared(studio, theirs)
    assert dialog.conflicts.item(0, 1).text() == "chair / sofa: 840 px, chair / cat: 36 px"  # type: ignore[union-attr]

    click(studio, dialog.theirs, 4, 2)
    assert box(dialog, 0).currentText() == "by part"
    assert "2 images stay as they are" in dialog.note.text()
    click(studio, dialog.yours, 40, 15)
    assert "1 image stays as it is" in dialog.note.text()
    dialog.go.click()
    studio.wait(lambda: any("theirs finished" in title for title in studio.titles()))
    after = masks(studio)["photo_0.jpg"]
    assert (after[0:4, 0:9] == CAT).all()
    assert (after[10:20] == CHAIR).all()
    assert (after[20:30] == SOFA).all()


def test_parts_are_chosen_and_taken_by_keys(studio: Studio, two: tuple[Path, Path]) -> None:
    mine, theirs = two
    with Project.open(theirs) as project:
        record = project.images[0]
        labels = project.load(record.id).document.labels.copy()
        labels[0:4, 0:9] = CAT
        by = np.where(labels == 255, Provenance.UNSET, Provenance.USER).astype(np.uint8)
        store_labels(project, record.id, labels, "Brush", overwrite=True, by=by)
    studio.open(mine)
    dialog = compared(studio, theirs)
    dialog.theirs.setFocus(Qt.FocusReason.TabFocusReason)
    studio.press(Qt.Key.Key_Right, on=dialog.theirs)
    assert dialog.caption.text().startswith("Part 1 of 2: chair / sofa, 840 px.")
    studio.press(Qt.Key.Key_Right, on=dialog.theirs)
    studio.press(Qt.Key.Key_Return, on=dialog.theirs)
    assert dialog.caption.text() == "Part 2 of 2: chair / cat, 36 px. Theirs is taken."
    assert box(dialog, 0).currentText() == "by part"
    assert dialog.isVisible(), "Enter belongs to the picture"
    studio.press(Qt.Key.Key_Left, on=dialog.theirs)
    studio.press(Qt.Key.Key_Space, on=dialog.yours)
    assert dialog.caption.text() == "Part 1 of 2: chair / sofa, 840 px. Yours is taken."
    assert "1 image stays as it is" in dialog.note.text()
    click(studio, dialog.theirs, 40, 15)
    assert dialog.caption.text().endswith("Theirs is taken."), "the pointer decides the same part"
    dialog.all_yours.click()
    assert dialog.caption.text().endswith("Yours is taken.")
    click(studio, dialog.theirs, 4, 2)
    dialog.go.click()
    studio.wait(lambda: any("theirs finished" in title for title in studio.titles()))
    after = masks(studio)["photo_0.jpg"]
    assert (after[0:4, 0:9] == CAT).all()
    assert (after[10:20] == CHAIR).all()


def with_a_crack(studio: Studio, tmp_path: Path) -> MergeDialog:
    """The dialog of a merge with a project that has one class more, which is added there."""
    mine = make_folder(tmp_path / "mine", 1, truth=False)
    theirs = tmp_path / "theirs"
    shutil.copytree(mine, theirs)
    label(mine, {})
    label(theirs, {"photo_0.jpg": (slice(0, 9), 21)}, add_class(VOC, "crack", color=(1, 2, 3)).catalog)
    studio.open(mine)
    dialog = compared(studio, theirs)
    choose(dialog, "Add it to your classes")
    studio.wait(lambda: dialog.go.isEnabled())
    studio.settle()
    return dialog


def choose(dialog: MergeDialog, text: str) -> None:
    """Choose what the first class without a partner becomes."""
    choice = dialog.classes.cellWidget(0, 1)
    assert isinstance(choice, QComboBox)
    choice.setCurrentIndex(choice.findText(text))
    choice.activated.emit(choice.currentIndex())


def test_a_class_of_the_other_user_is_added_by_merge(studio: Studio, tmp_path: Path) -> None:
    dialog = with_a_crack(studio, tmp_path)
    project = studio.program.session.project
    assert project is not None
    assert project.catalog.names == VOC.names, "nothing changes before Merge"
    assert dialog.line.text().endswith("Merge adds to your classes: crack.")
    again = dialog.classes.cellWidget(0, 1)
    assert isinstance(again, QComboBox)
    assert again.currentText() == "crack"
    assert again.findText("Add it to your classes") == -1
    dialog.go.click()
    studio.wait(lambda: any("theirs finished" in title for title in studio.titles()))
    assert project.catalog.classes[-1].name == "crack"
    assert project.catalog.classes[-1].color == (1, 2, 3)
    assert (studio.image.document.labels[:9] == project.catalog.classes[-1].id).all()


@pytest.mark.parametrize("decide", ["cancel", "void (unlabelled)", "cat"])
def test_a_class_that_is_added_in_the_dialog_goes_with_it(studio: Studio, tmp_path: Path, decide: str) -> None:
    """It was added at once, and stayed after Cancel."""
    dialog = with_a_crack(studio, tmp_path)
    project = studio.program.session.project
    assert project is not None
    before = studio.image
    if decide == "cancel":
        dialog.reject()
        studio.settle()
    else:
        choose(dialog, decide)
        studio.wait(lambda: dialog.go.isEnabled())
        dialog.go.click()
        studio.wait(lambda: any("theirs finished" in title for title in studio.titles()))
        studio.settle()
    assert project is studio.program.session.project
    assert project.catalog == VOC
    assert project.class_edits.newest is None
    assert studio.image is before, "no image was read again"
    assert (studio.image.document.labels[:9] == (CAT if decide == "cat" else VOC.ignore)).all()


@pytest.mark.parametrize("refusal", ["edit_classes", "sync"])
def test_a_class_that_cannot_be_added_stops_the_merge(studio: Studio, tmp_path: Path, monkeypatch, refusal) -> None:
    dialog = with_a_crack(studio, tmp_path)

    def fail(*_arguments: object) -> None:
        raise StorageError("the disk is full")

    with monkeypatch.context() as full:
        full.setattr(Project, refusal, fail)
        dialog.go.click()
        studio.wait(lambda: "The disk is full" in studio.titles())
        studio.settle()
    assert studio.program.session.project is not None
    assert studio.program.session.project.catalog == VOC
    assert (studio.image.document.labels == VOC.ignore).all()
    other = dialog._compared.two.other
    with Project.open(other.folder) as free:  # it was closed
        assert free.catalog.names[-1] == "crack"


def test_other_classes_make_other_parts_and_the_picture_is_of_the_row(studio: Studio, tmp_path: Path) -> None:
    mine = make_folder(tmp_path / "mine", 2, truth=False)
    theirs = tmp_path / "theirs"
    shutil.copytree(mine, theirs)
    label(mine, {name: (slice(0, 20), CHAIR) for name in ("photo_0.jpg", "photo_1.jpg")})
    with_crack = add_class(VOC, "crack").catalog
    label(theirs, {"photo_1.jpg": (slice(0, 20), SOFA)}, with_crack)
    with Project.open(theirs) as project:
        labels = np.full((HEIGHT, WIDTH), 255, np.uint8)
        labels[10:15], labels[15:20] = 21, SOFA
        by = np.where(labels == 255, Provenance.UNSET, Provenance.USER).astype(np.uint8)
        store_labels(project, project.images[0].id, labels, "Brush", overwrite=True, by=by)
    studio.open(mine)
    dialog = compared(studio, theirs)
    assert dialog.conflicts.rowCount() == 1

    def decide(name: str) -> None:
        choice = dialog.classes.cellWidget(0, 1)
        assert isinstance(choice, QComboBox)
        choice.setCurrentIndex(choice.findData(name))
        choice.activated.emit(choice.currentIndex())
        studio.settle()

    decide("cat")
    assert dialog.conflicts.item(0, 0).text() == "photo_0.jpg"  # type: ignore[union-attr]
    click(studio, dialog.theirs, 4, 12)
    assert box(dialog, 0).currentText() == "by part"
    assert box(dialog, 1).currentText() == "decide…"
    decide("sofa")
    assert dialog.conflicts.item(0, 1).text() == "chair / sofa: 840 px"  # type: ignore[union-attr]
    assert box(dialog, 0).currentText() == "decide…"
    assert "2 images stay as they are" in dialog.note.text()


def test_one_answer_for_all_paints_the_pictures_once(studio: Studio, two: tuple[Path, Path], monkeypatch) -> None:
    studio.open(two[0])
    dialog = compared(studio, two[1])
    painted: list[None] = []
    mark = dialog._mark
    monkeypatch.setattr(dialog, "_mark", lambda: (painted.append(None), mark()))
    dialog.all_theirs.click()
    assert [box(dialog, row).currentData() for row in (0, 1)] == ["b", "b"]
    assert dialog.note.text() == ""
    assert len(painted) == 1
