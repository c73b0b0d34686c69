"""The page of a new project: what it proposes, what accepting and leaving it do."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PySide6.QtCore import Qt
from shiboken6 import isValid

from app.state.ground_truth import TruthChoice
from app.state.image_record import ImageStatus
from app.state.new_project import CHOSEN_MODEL
from app.state.opening import DIRECTORY_NAME
from app.ui.project.new_project_dialog import NewProjectDialog
from deeplab_core.catalogs import get_catalog
from deeplab_core.errors import ProjectError
from tests.gui.studio import HEIGHT, WIDTH, make_folder


@pytest.fixture
def bare(tmp_path):
    return make_folder(tmp_path / "set", truth=False)


def page(studio, folder, **options) -> NewProjectDialog:
    studio.program.new_project.open(folder, **options)
    studio.wait(lambda: studio.application.presenter.labels.dialog is not None)
    studio.settle()
    dialog = studio.application.presenter.labels.dialog
    assert isinstance(dialog, NewProjectDialog)
    return dialog


def labelme(folder, name, *classes):
    shapes = [
        {"label": label, "shape_type": "rectangle", "points": [[4 + 16 * n, 4], [14 + 16 * n, 30]], "group_id": None, "flags": {}}
        for n, label in enumerate(classes)
    ]
    data = {"version": "5", "flags": {}, "shapes": shapes, "imagePath": f"{name}.jpg", "imageData": None,
            "imageHeight": HEIGHT, "imageWidth": WIDTH}  # fmt: skip
    (folder / f"{name}.json").write_text(json.dumps(data))


def choose(box, text):
    """Pick an entry as the user does."""
    place = next(place for place in range(box.count()) if text in box.itemText(place))
    box.setCurrentIndex(place)
    box.activated.emit(place)


def opened(studio):
    studio.wait(lambda: studio.program.session.image is not None)
    studio.settle()
    return studio.program.session.project


def test_enter_accepts_and_nothing_is_written_before(studio, bare):
    studio.start_model()
    dialog = page(studio, bare)
    assert not (bare / DIRECTORY_NAME).exists()
    assert studio.program.session.project is None
    studio.qtbot.keyClick(dialog, Qt.Key.Key_Return)
    project = opened(studio)
    assert project.catalog.name == "voc21"
    assert studio.program.context["has_prediction"]


def test_esc_leaves_the_folder_as_it_is(studio, bare):
    dialog = page(studio, bare)
    studio.qtbot.keyClick(dialog, Qt.Key.Key_Escape)
    studio.settle()
    assert studio.application.presenter.labels.dialog is None
    assert studio.program.session.project is None
    assert sorted(path.suffix for path in bare.iterdir()) == [".jpg"] * 4


def test_the_first_image_is_predicted_behind_the_page(studio, bare):
    studio.start_model()
    dialog = page(studio, bare)
    assert dialog.picture.predicted is not None
    assert "photo_0.jpg with the model's prediction" in dialog.picture.caption.text()
    assert "partner" in dialog.model_line.text()


def test_a_prediction_that_comes_after_the_page_was_closed_is_dropped(studio, bare, monkeypatch):
    studio.start_model()
    answers = []
    monkeypatch.setattr(studio.program.new_project, "predict", lambda *asked: answers.append(asked))
    dialog = page(studio, bare)
    picture = dialog.picture
    assert answers
    dialog.reject()
    studio.settle()
    assert not isValid(picture)
    _look, base, _key, done, failed = answers[-1]
    done(base)
    failed(ProjectError("the model is gone", remedy="Load it again"))


def test_typed_classes_begin_without_a_model_that_has_none_of_them(studio, bare):
    studio.start_model()
    dialog = page(studio, bare)
    choose(dialog.classes, "Type the names")
    assert not dialog.go.isEnabled()
    studio.qtbot.keyClicks(dialog.typed, "crack, no crack")
    assert dialog.go.isEnabled()
    assert dialog.model.currentData() is None
    studio.qtbot.keyClick(dialog.typed, Qt.Key.Key_Return)
    project = opened(studio)
    assert project.catalog.names == ("crack", "no crack")
    assert not studio.program.context["has_prediction"]
    assert (studio.image.document.labels == project.catalog.ignore).all()
    assert not [title for title in studio.titles() if "differ from the project" in title]


def test_labels_in_the_folder_name_the_classes_and_come_in(studio, bare):
    labelme(bare, "photo_1", "crack", "rust")
    labelme(bare, "photo_0", "crack")
    dialog = page(studio, bare)
    assert "2 of 4 images have labels" in dialog.labels_line.text()
    assert dialog.picture.shown.currentData() is True
    dialog.go.click()
    project = opened(studio)
    studio.wait(lambda: any("Labels of 2 images imported" in title for title in studio.titles()))
    assert project.catalog.names == ("background", "crack", "rust")
    assert (studio.image.document.labels == 1).sum() == 11 * 27
    assert [record.status for record in project.images] == [ImageStatus.TOUCHED] * 2 + [ImageStatus.NEW] * 2


def test_ground_truth_and_its_classes_are_found(studio, folder):
    dialog = page(studio, folder)
    assert "Found: labels" in dialog.truth.currentText()
    assert "4 of 4" in dialog.truth_line.text() or "4" in dialog.truth_line.text()
    assert "Fits the ground truth" in dialog.classes_line.text()
    choose(dialog.classes, "CamVid")
    studio.settle()
    assert dialog.truth.currentText() == "None"
    assert "made in PASCAL VOC 2012 (21 classes), so they are not taken" in dialog.truth_line.text()
    assert "ground truth" not in dialog.classes_line.text()
    choose(dialog.classes, "PASCAL VOC")
    studio.settle()
    assert "Found: labels" in dialog.truth.currentText()
    choose(dialog.classes, "CamVid")
    choose(dialog.truth, "Found")  # the user insists
    studio.settle()
    assert "metrics take their ids for other classes" in dialog.truth_line.text()
    assert "cannot be read in these classes" in dialog.classes_line.text()
    choose(dialog.truth, "None")
    studio.settle()
    assert "No IoU" in dialog.truth_line.text()
    dialog.go.click()
    project = opened(studio)
    assert project.catalog.name == "camvid11"
    assert not project.ground_truth.files


def test_labels_that_are_chosen_are_read_and_bad_ones_named(studio, bare, tmp_path):
    dialog = page(studio, bare)
    other = tmp_path / "elsewhere"
    other.mkdir()
    labelme(other, "photo_2", "dent")
    dialog.start_from(other)
    assert not dialog.go.isEnabled()
    studio.settle()
    assert "1 of 4 images have labels" in dialog.labels_line.text()
    assert "dent" in dialog._offer.catalog.names
    (tmp_path / "notes.json").write_text("{}")
    dialog.start_from(tmp_path / "notes.json")
    studio.settle()
    assert "no known format" in dialog.labels_line.text()
    choose(dialog.labels, "No labels")
    assert dialog.go.isEnabled()


def test_answers_that_come_after_the_page_was_closed_are_dropped(studio, bare, tmp_path):
    other = tmp_path / "elsewhere"
    other.mkdir()
    labelme(other, "photo_2", "dent")
    truth = make_folder(tmp_path / "other").parent / "labels"
    dialog = page(studio, bare)
    labels = dialog.labels
    dialog.start_from(other)
    dialog.truth.insertItem(0, "elsewhere", TruthChoice((truth,), "user"))
    dialog.truth.setCurrentIndex(0)
    dialog._pick_truth(0)
    dialog.reject()
    studio.settle()
    assert not isValid(labels)


def test_a_page_that_takes_the_place_of_another_gets_its_answers(studio, folder, tmp_path):
    first = page(studio, make_folder(tmp_path / "first"))
    studio.program.new_project.open(folder)
    studio.wait(lambda: studio.application.presenter.labels.dialog not in (None, first))
    studio.settle()
    second = studio.application.presenter.labels.dialog
    assert second._is_measured()
    assert second.picture.caption.text() != "The first image is being read…"


def test_a_class_list_is_read_and_a_bad_one_named(studio, bare, tmp_path):
    dialog = page(studio, bare)
    path = tmp_path / "classes.txt"
    path.write_text("crack\nrust\n")
    dialog.read_list(path)
    assert dialog._offer.catalog.names == ("crack", "rust")
    path.write_text("")
    dialog.read_list(path)
    assert "classes.txt" in dialog.classes_line.text()
    assert dialog._offer.catalog.names == ("crack", "rust")


def test_the_defaults_are_accepted_without_the_page(studio, bare):
    studio.program.new_project.open(bare, ask=False)
    project = opened(studio)
    assert studio.application.presenter.labels.dialog is None
    assert project.catalog.name == "voc21"


def test_a_folder_with_a_project_opens_at_once(studio, bare):
    studio.open(bare)
    studio.program.projects.close()
    studio.program.new_project.open(bare)
    opened(studio)
    assert studio.application.presenter.labels.dialog is None


def test_classes_of_the_model_are_offered_and_lost_ones_become_void(studio, bare):
    studio.compute.catalog = get_catalog("camvid11")
    studio.start_model()
    dialog = page(studio, bare)
    choose(dialog.classes, "Those of the model")
    assert "Every class of the model" in dialog.model_line.text()
    choose(dialog.classes, "Object and background")
    assert dialog.model.currentData() is None
    choose(dialog.classes, "VOC")
    assert "become void" in dialog.model_line.text()
    dialog.go.click()
    opened(studio)
    assert studio.program.models.agreed()
    labels = studio.image.document.labels
    assert len(np.unique(labels)) > 1


def test_the_page_offers_the_bundled_model_for_such_images(studio, bare, tmp_path, shipped):
    studio.compute.catalogs[str(shipped / "camvid.safetensors")] = get_catalog("camvid11")
    behind = make_folder(tmp_path / "behind", 1)
    models = studio.program.models
    studio.start_model()
    studio.open(behind)
    studio.wait(lambda: models.path == shipped / "photos-voc.safetensors")
    dialog = page(studio, bare)
    choose(dialog.classes, "CamVid")
    studio.wait(lambda: models.path == shipped / "camvid.safetensors")
    studio.settle()
    assert dialog.model.currentData() == shipped / "camvid.safetensors"
    studio.qtbot.keyClick(dialog, Qt.Key.Key_Escape)
    studio.wait(lambda: models.path == shipped / "photos-voc.safetensors")
    dialog = page(studio, bare)
    choose(dialog.model, "rooms-voc")
    studio.wait(lambda: models.path == shipped / "rooms-voc.safetensors")
    studio.settle()
    dialog.go.click()
    opened(studio)
    assert models.path == shipped / "rooms-voc.safetensors", "the user said so on the page"
    studio.open(behind)
    studio.wait(lambda: models.path == shipped / "photos-voc.safetensors")
    studio.open(bare)
    studio.wait(lambda: models.path == shipped / "rooms-voc.safetensors")


def test_the_page_names_the_model_that_the_images_get_before_any_is_loaded(studio, bare, shipped):
    dialog = page(studio, bare)
    assert dialog.model.currentData() == shipped / "photos-voc.safetensors", "not the first of the alphabet, nor the first loaded"
    studio.compute.paused = True
    studio.program.models.start()
    assert dialog.model.currentData() == shipped / "photos-voc.safetensors"
    assert "being loaded" in dialog.model_line.text()
    studio.qtbot.keyClick(dialog, Qt.Key.Key_Return)
    studio.compute.paused = False
    project = opened(studio)
    studio.wait(lambda: studio.program.models.path == shipped / "photos-voc.safetensors")
    assert not studio.program.models.begins_empty
    assert project.setting(CHOSEN_MODEL) is None


def test_a_model_that_is_chosen_and_still_on_its_way_is_the_one_of_the_project(studio, bare, shipped):
    models = studio.program.models
    studio.start_model()
    dialog = page(studio, bare)
    studio.wait(lambda: models.path == shipped / "photos-voc.safetensors")
    studio.compute.paused = True
    choose(dialog.model, "rooms-voc")
    assert "being loaded" in dialog.model_line.text()
    studio.qtbot.keyClick(dialog, Qt.Key.Key_Return)
    studio.compute.paused = False
    project = opened(studio)
    studio.wait(lambda: models.path == shipped / "rooms-voc.safetensors")
    assert project.setting(CHOSEN_MODEL) == str(shipped / "rooms-voc.safetensors")
    assert models.path == shipped / "rooms-voc.safetensors"


def test_a_model_that_was_tried_makes_way_even_if_it_comes_after_the_page_was_left(studio, bare, shipped):
    models = studio.program.models
    studio.start_model()
    dialog = page(studio, bare)
    studio.wait(lambda: models.path == shipped / "photos-voc.safetensors")
    studio.qtbot.keyClick(dialog, Qt.Key.Key_Escape)
    studio.wait(lambda: not models.loading)
    before = models.path
    dialog = page(studio, bare)
    studio.compute.paused = True
    choose(dialog.model, "camvid")
    studio.qtbot.keyClick(dialog, Qt.Key.Key_Escape)
    studio.compute.paused = False
    studio.wait(lambda: not models.loading)
    assert models.path == before
