"""Masks from elsewhere: imported while a person walks through the folder, offered where no model is there."""

from __future__ import annotations

import numpy as np
import pytest

from app.places import copy_sample_project
from app.state.image_record import ImageStatus
from tests.gui.studio import make_folder


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
    project = studio.program.projects.project
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
    studio.open(copy_sample_project(tmp_path / "sample"))
    studio.wait(lambda: "24 masks imported" in studio.titles())
    assert len(np.unique(studio.image.document.labels)) > 2


def test_other_folders_are_only_offered_theirs(studio, without_model, tmp_path):
    folder = make_folder(tmp_path / "set2")
    (folder.parent / "labels").rename(folder / "masks")
    studio.open(folder)
    offers = [message for message in studio.program.notifier.messages if message.title.startswith("No model yet")]
    assert len(offers) == 1
    assert all(record.status is ImageStatus.NEW for record in studio.program.projects.project.images)
    offers[0].choices[0].run()
    studio.wait(lambda: "4 masks imported" in studio.titles())


def test_a_project_somebody_worked_in_is_left_alone(studio, without_model, tmp_path):
    sample = copy_sample_project(tmp_path / "sample")
    studio.open(sample)
    studio.wait(lambda: "24 masks imported" in studio.titles())
    studio.settle()
    before = len(studio.titles())
    studio.program.projects.close()
    studio.open(sample)
    assert "24 masks imported" not in studio.titles()[before:]
