"""Masks from elsewhere: imported while the user goes through the folder, offered without a model."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from app.paths import copy_sample_project
from app.state.image_record import ImageStatus
from deeplab_core.catalogs import get_catalog
from tests.gui.studio import HEIGHT, WIDTH, make_folder


@pytest.fixture
def without_model(monkeypatch, tmp_path):
    monkeypatch.setenv("ATROUS_MODEL_DIR", str(tmp_path / "nowhere"))


def test_walking_on_during_an_import_loses_neither_masks_nor_strokes(studio, tmp_path):
    folder = make_folder(tmp_path / "long", count=12)
    studio.open(folder)
    studio.program.imports.import_masks(folder.parent / "labels")
    for _ in range(6):
        studio.program.projects.next_image()
        studio.qtbot.wait(15)
    studio.wait(lambda: "12 masks imported" in studio.titles())
    studio.settle()
    project = studio.program.session.project
    for record in project.images:
        if record.id == studio.image.id:
            labels = studio.image.document.labels
        else:
            labels = project.load(record.id, studio.image.document.shape).document.labels
        assert (labels[:, :40] == 15).all(), record.relative_path


def test_an_image_that_was_looked_at_before_shows_its_imported_mask(studio, folder):
    studio.open(folder)
    studio.program.projects.next_image()
    studio.wait(lambda: studio.image.path.name == "photo_1.jpg")
    studio.program.imports.import_masks(folder.parent / "labels")
    studio.wait(lambda: "4 masks imported" in studio.titles())
    studio.program.projects.previous_image()
    studio.wait(lambda: studio.image.path.name == "photo_0.jpg")
    assert (studio.image.document.labels[:, :40] == 15).all()
    assert studio.steps()[-1].startswith("Import photo_0.png")


def test_a_damaged_mask_is_counted_and_the_rest_imported(studio, folder):
    studio.open(folder)
    (folder.parent / "labels" / "photo_2.png").write_bytes(b"not a mask")
    studio.program.imports.import_masks(folder.parent / "labels")
    studio.wait(lambda: "3 masks imported" in studio.titles())
    assert any("could not be used" in message.detail for message in studio.program.notifier.messages)


def test_the_sample_project_shows_its_masks_where_no_model_is_there(studio, without_model, tmp_path):
    studio.program.folder_jobs.asks = True  # no question about masks that come with the images
    studio.open(copy_sample_project(tmp_path / "sample"))
    studio.wait(lambda: "24 masks imported" in studio.titles())
    assert len(np.unique(studio.image.document.labels)) > 2


def test_other_folders_are_only_offered_theirs(studio, without_model, tmp_path):
    folder = make_folder(tmp_path / "set2")
    (folder.parent / "labels").rename(folder / "masks")
    studio.open(folder)
    offers = [message for message in studio.program.notifier.messages if message.title.startswith("No model yet")]
    assert len(offers) == 1
    assert all(record.status is ImageStatus.NEW for record in studio.program.session.project.images)
    offers[0].choices[0].run()
    studio.wait(lambda: "4 masks imported" in studio.titles())


def test_a_project_with_work_is_left_alone(studio, without_model, tmp_path):
    sample = copy_sample_project(tmp_path / "sample")
    studio.open(sample)
    studio.wait(lambda: "24 masks imported" in studio.titles())
    studio.settle()
    before = len(studio.titles())
    studio.program.projects.close()
    studio.open(sample)
    assert "24 masks imported" not in studio.titles()[before:]


def grey_masks(folder, values, names, shape=(HEIGHT, WIDTH)):
    folder.mkdir()
    labels = np.resize(np.array(values, np.uint8), shape[0] * shape[1]).reshape(shape)
    for name in names:
        Image.fromarray(labels).save(folder / name)


def test_everything_that_was_left_out_is_counted_and_named(studio, folder, tmp_path):
    studio.open(folder)
    masks = tmp_path / "mine"
    grey_masks(masks, [0, 15, 255], ["photo_0.png", "photo_1.png", "stranger.png"])
    (masks / "photo_2.json").write_text("{}")
    grey_masks(masks / "small", [0], ["photo_3.png"], (4, 4))
    rows = []
    studio.program.imports.reported.connect(rows.extend)
    studio.program.imports.import_masks(masks)
    studio.wait(lambda: "2 masks imported" in studio.titles())
    message = studio.program.notifier.messages[-1]
    assert "1 file could not be used" in message.detail
    assert "1 image has no mask in mine" in message.detail
    assert "2 files were not read" in message.detail
    assert "33.3\u2009% of the pixels are void" in message.detail
    message.choices[0].run()
    assert {name for name, _ in rows} == {"photo_3.jpg", "photo_2.json", "stranger.png"}


def test_masks_in_other_classes_are_asked_about_and_matched_by_name(studio, folder, tmp_path):
    studio.open(folder)
    masks = tmp_path / "trainannot"
    grey_masks(masks, list(range(12)), [f"photo_{n}.png" for n in range(4)])
    studio.program.imports.import_masks(masks)
    studio.settle()
    asked = studio.application.presenter.truth.dialog
    assert "CamVid" in asked.answers[0].effect or "become void" in asked.answers[0].effect
    asked.choose(0)
    asked.go.click()
    studio.wait(lambda: "4 masks imported" in studio.titles())
    studio.settle()
    camvid, voc = get_catalog("camvid11"), get_catalog("voc21")
    present = set(np.unique(studio.image.document.labels).tolist())
    assert present == {voc.by_name("car").id, voc.by_name("person").id, voc.by_name("bicycle").id, 255} & present
    assert camvid.by_name("sky").id == 0
    assert 0 not in present


def test_masks_that_fit_both_ways_are_asked_about_once_per_folder(studio, tmp_path):
    folder = tmp_path / "set" / "images"
    folder.mkdir(parents=True)
    exif = Image.Exif()
    exif[0x0112] = 2
    for number in range(2):
        Image.new("RGB", (WIDTH, HEIGHT), (number, 9, 9)).save(folder / f"photo_{number}.jpg", exif=exif)
    masks = tmp_path / "mine"
    masks.mkdir()
    labels = np.zeros((HEIGHT, WIDTH), np.uint8)
    labels[:9, :9] = 15
    for number in range(2):
        Image.fromarray(labels).save(masks / f"photo_{number}.png")
    studio.open(folder)
    studio.program.imports.import_masks(masks)
    studio.settle()
    asked = studio.application.presenter.truth.dialog
    asked.stored.click()
    asked.go.click()
    studio.wait(lambda: "2 masks imported" in studio.titles())
    studio.settle()
    assert studio.image.document.labels[0, -1] == 15
    assert studio.image.document.labels[0, 0] == 0
    studio.program.imports.start_from_file(masks / "photo_0.png")
    studio.settle()
    assert studio.application.presenter.truth.dialog is None
