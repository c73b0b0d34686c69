"""Masks from elsewhere: imported while the user goes through the folder, in other classes or frames, for one image alone."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from app.cli import run
from app.paths import copy_sample_project
from app.state.image_record import ImageStatus
from app.state.label_import import store_labels
from app.state.project import Project
from app.state.provenance import Provenance
from app.ui.project.import_dialog import ImportDialog
from app.viewmodels.project.label_plan import OPEN
from deeplab_core.catalogs import get_catalog
from deeplab_core.masks.importing import ImportPlan
from tests.gui.project.test_new_project import labelme
from tests.gui.studio import HEIGHT, WIDTH, make_folder


@pytest.fixture
def without_model(monkeypatch, tmp_path):
    monkeypatch.setenv("ATROUS_MODEL_DIR", str(tmp_path / "nowhere"))


def test_walking_on_during_an_import_loses_neither_masks_nor_strokes(studio, tmp_path):
    folder = make_folder(tmp_path / "long", count=12)
    studio.open(folder)
    studio.program.label_imports.take(folder.parent / "labels")
    for _ in range(6):
        studio.program.projects.next_image()
        studio.qtbot.wait(15)
    studio.wait(lambda: "Labels of 12 images imported" in studio.titles())
    studio.settle()
    project = studio.program.session.project
    for record in project.images:
        if record.id == studio.image.id:
            labels = studio.image.document.labels
        else:
            labels = project.load(record.id, studio.image.document.shape).document.labels
        assert (labels[:, :40] == 15).all(), record.relative_path


def test_images_are_read_side_by_side(studio, folder, monkeypatch):
    studio.open(folder)
    both, read = threading.Barrier(2), ImportPlan.read

    def reading(plan, item, **options):
        both.wait(timeout=240)  # passes only while two images are read
        return read(plan, item, **options)

    monkeypatch.setattr(ImportPlan, "read", reading)
    studio.program.label_imports.take(folder.parent / "labels")
    studio.wait(lambda: "Labels of 4 images imported" in studio.titles())


def test_an_image_that_was_looked_at_before_shows_its_imported_mask(studio, folder):
    studio.open(folder)
    studio.program.projects.next_image()
    studio.wait(lambda: studio.image.path.name == "photo_1.jpg")
    studio.program.label_imports.take(folder.parent / "labels")
    studio.wait(lambda: "Labels of 4 images imported" in studio.titles())
    studio.program.projects.previous_image()
    studio.wait(lambda: studio.image.path.name == "photo_0.jpg")
    assert (studio.image.document.labels[:, :40] == 15).all()
    assert studio.steps()[-1].startswith("Import plain masks")


def test_a_damaged_mask_is_counted_and_the_rest_imported(studio, folder):
    studio.open(folder)
    (folder.parent / "labels" / "photo_2.png").write_bytes(b"not a mask")
    studio.program.label_imports.take(folder.parent / "labels")
    studio.wait(lambda: "Labels of 3 images imported" in studio.titles())
    assert any("1 image failed" in message.detail for message in studio.program.notifier.messages)


def test_the_sample_project_shows_its_masks_where_no_model_is_there(studio, without_model, tmp_path):
    studio.program.folder_jobs.asks = True  # no question about masks that come with the images
    studio.open(copy_sample_project(tmp_path / "sample"))
    studio.wait(lambda: "Labels of 24 images imported" in studio.titles())
    assert len(np.unique(studio.image.document.labels)) > 2


def test_other_folders_are_only_offered_theirs(studio, without_model, tmp_path):
    folder = make_folder(tmp_path / "set2")
    (folder.parent / "labels").rename(folder / "masks")
    studio.open(folder)
    offers = [message for message in studio.program.notifier.messages if message.title.startswith("No model yet")]
    assert len(offers) == 1
    assert all(record.status is ImageStatus.NEW for record in studio.program.session.project.images)
    offers[0].choices[0].run()
    studio.wait(lambda: "Labels of 4 images imported" in studio.titles())


def test_a_project_with_work_is_left_alone(studio, without_model, tmp_path):
    sample = copy_sample_project(tmp_path / "sample")
    studio.open(sample)
    studio.wait(lambda: "Labels of 24 images imported" in studio.titles())
    studio.settle()
    before = len(studio.titles())
    studio.program.projects.close()
    studio.open(sample)
    assert "Labels of 24 images imported" not in studio.titles()[before:]


def opened(studio) -> ImportDialog:
    studio.wait(lambda: isinstance(studio.application.presenter.labels.dialog, ImportDialog))
    studio.settle()
    return studio.application.presenter.labels.dialog


def grey_masks(folder, values, names, shape=(HEIGHT, WIDTH)):
    folder.mkdir()
    labels = np.resize(np.array(values, np.uint8), shape[0] * shape[1]).reshape(shape)
    for name in names:
        Image.fromarray(labels).save(folder / name)


def test_masks_in_other_classes_are_shown_first_and_absent_ones_are_not_asked_about(studio, folder, tmp_path):
    studio.open(folder)
    masks = tmp_path / "trainannot"
    grey_masks(masks, [0, 2, 8, 9, 10, 11], [f"photo_{n}.png" for n in range(4)])
    studio.program.label_imports.take(masks)
    dialog = opened(studio)
    assert "CamVid" in dialog.matched.text()
    values = {row.name: row.value for row in dialog._decisions.rows}
    assert values["car"] == "car"
    assert values["sky"] == OPEN
    assert "road" not in values  # it has no pixel
    assert not dialog.picture.empty
    assert "Open classes are shown as new ones." in dialog.caption.text()
    dialog.void_open.click()
    dialog.go.click()
    studio.wait(lambda: "Labels of 4 images imported" in studio.titles())
    studio.settle()
    camvid, voc = get_catalog("camvid11"), get_catalog("voc21")
    assert set(np.unique(studio.image.document.labels).tolist()) == {255, voc.by_name("car").id, voc.by_name("person").id}
    assert camvid.by_name("sky").id == 0


def mirrored(tmp_path, count=2):
    """Photographs that a tag mirrors, and masks that fit them both ways."""
    folder = tmp_path / "set" / "images"
    folder.mkdir(parents=True)
    exif = Image.Exif()
    exif[0x0112] = 2
    for number in range(count):
        Image.new("RGB", (WIDTH, HEIGHT), (number, 9, 9)).save(folder / f"photo_{number}.jpg", exif=exif)
    masks = tmp_path / "mine"
    masks.mkdir()
    labels = np.zeros((HEIGHT, WIDTH), np.uint8)
    labels[:9, :9] = 15
    for number in range(count):
        Image.fromarray(labels).save(masks / f"photo_{number}.png")
    return folder, masks


def test_masks_that_fit_both_ways_are_asked_about_once_per_folder(studio, tmp_path):
    folder, masks = mirrored(tmp_path)
    studio.open(folder)
    studio.program.label_imports.take(masks)
    dialog = opened(studio)
    assert "At least 2 images fit their labels both ways" in dialog.frame_note.text()
    assert "shown as displayed" in dialog.caption.text()
    assert not dialog.go.isEnabled()
    dialog.frame.setCurrentIndex(dialog.frame.findData("stored"))
    studio.settle()
    assert not dialog.frame_note.isVisible()
    dialog.go.click()
    studio.wait(lambda: "Labels of 2 images imported" in studio.titles())
    studio.settle()
    assert studio.image.document.labels[0, -1] == 15
    assert studio.image.document.labels[0, 0] == 0
    studio.program.label_imports.replace_mask(masks / "photo_1.png")  # asked once for the folder
    studio.settle()
    assert studio.application.presenter.labels.dialog is None
    assert studio.titles()[-1] == "1 image had these labels already"


def test_images_without_a_frame_are_named_once(studio, tmp_path):
    folder, masks = mirrored(tmp_path, 3)
    studio.open(folder)
    rows = []
    studio.program.label_imports.finished.connect(lambda summary: rows.extend(summary.unread))

    def start(found):
        studio.program.label_imports.start(replace(found, undecided=()).certain)

    studio.program.label_imports.plan(masks, start)
    studio.wait(lambda: rows)
    assert [name for name, _ in rows] == ["photo_0.jpg and 2 more"]
    assert "both as it is stored and as it is displayed" in rows[0][1]


def test_a_mask_replaces_the_one_in_view_and_says_who_set_it(studio, folder, tmp_path):
    studio.open(folder)
    studio.program.classes.choose(9)
    studio.paint((20, 20), (60, 20))
    studio.program.projects.toggle_reviewed()
    labels = np.full((HEIGHT, WIDTH), 12, dtype=np.uint8)
    codes = np.full((HEIGHT, WIDTH), Provenance.USER, np.uint8)
    codes[:9] = Provenance.MODEL
    other = make_folder(tmp_path / "other", 1, truth=False)
    with Project.open(other) as project:
        store_labels(project, project.images[0].id, labels, "Brush", overwrite=True, by=codes)
    assert run(["export", str(other), "-o", str(tmp_path / "out"), "--scope", "touched", "--provenance"]) == 0
    studio.program.label_imports.replace_mask(tmp_path / "out" / "photo_0.png")
    studio.wait(lambda: (studio.image.document.labels == 12).all())
    studio.settle()
    assert studio.steps()[-1].startswith("Import plain masks")
    np.testing.assert_array_equal(studio.image.document.provenance, codes)
    studio.program.edit.undo()
    studio.settle()
    assert (studio.image.document.labels == 9).any()


def test_outlines_replace_the_mask_in_view_after_a_question(studio, tmp_path):
    folder = make_folder(tmp_path / "set", truth=False)
    (tmp_path / "json").mkdir()
    labelme(tmp_path / "json", "another name", "person", "crack")
    studio.open(folder)
    studio.program.label_imports.replace_mask(tmp_path / "json" / "another name.json")
    dialog = opened(studio)
    assert dialog.area.isVisible()
    assert not dialog.overwrite.isVisible()
    assert dialog.item.count() == 1
    dialog.void_open.click()
    dialog.go.click()
    studio.wait(lambda: "Labels of 1 image imported" in studio.titles())
    assert (studio.image.document.labels == 15).any()


def test_binary_masks_are_said_to_hide_the_object(studio, folder):
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[:, :40] = 255
    for number in range(4):
        Image.fromarray(mask).save(folder.parent / "labels" / f"photo_{number}.png")
    studio.open(folder)
    rows = []
    studio.program.label_imports.finished.connect(lambda summary: rows.extend(summary.unread))
    studio.program.label_imports.take(folder.parent / "labels")
    studio.wait(lambda: rows)
    assert "only 0 (background) and 255" in rows[0][1]
    assert "48 % of the pixels count nowhere" in rows[0][1]
