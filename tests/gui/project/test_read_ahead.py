"""The next image is read before it is asked for, and what was read is used only while it is true."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import Qt

from app.services import read_ahead
from tests.gui.studio import HEIGHT, WIDTH


@pytest.fixture
def read(monkeypatch):
    """Names of the images that were read, in order."""
    names: list[str] = []
    original = read_ahead.read_image

    def noted(path):
        names.append(path.name)
        return original(path)

    monkeypatch.setattr(read_ahead, "read_image", noted)
    monkeypatch.setattr(read_ahead, "REST_MS", 0)
    return names


@pytest.fixture
def desk(read, studio, folder):
    studio.open(folder)
    studio.wait(lambda: len(read) == 2)
    studio.settle()
    return studio


def step(studio, key):
    before = studio.image.id
    studio.press(key, on=studio.view)
    studio.wait(lambda: studio.program.session.opening is None or studio.image.id != before)
    studio.wait(lambda: studio.image.id != before)
    studio.settle()


def test_the_next_image_is_there_and_the_one_before_too(desk, read):
    assert read == ["photo_0.jpg", "photo_1.jpg"]
    step(desk, Qt.Key.Key_D)
    desk.wait(lambda: len(read) == 3)
    step(desk, Qt.Key.Key_A)
    assert desk.image.path.name == "photo_0.jpg"
    assert read == ["photo_0.jpg", "photo_1.jpg", "photo_2.jpg"]


def test_the_direction_of_the_last_step_is_followed(desk, read):
    desk.program.projects.open_image(desk.program.projects.order[3])
    desk.wait(lambda: desk.image.path.name == "photo_3.jpg")
    step(desk, Qt.Key.Key_A)
    desk.wait(lambda: read[-1] == "photo_1.jpg")


def test_a_file_that_was_replaced_is_read_again(desk, folder, read):
    colors = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    colors[..., 1] = 200
    Image.fromarray(colors).save(folder / "part.png", "JPEG", quality=95)
    (folder / "part.png").replace(folder / "photo_1.jpg")
    step(desk, Qt.Key.Key_D)
    assert read[2] == "photo_1.jpg"
    assert abs(int(desk.image.rgb[..., 1].mean()) - 200) < 5


def test_a_prediction_that_came_meanwhile_is_shown(desk, read):
    desk.start_model()
    desk.program.folder_run.start_agreed()
    desk.wait(lambda: not desk.program.folder_run.running)
    desk.settle()
    step(desk, Qt.Key.Key_D)
    assert desk.image.prediction is not None
    assert desk.image.document.provenance.all()


def test_a_very_large_image_is_not_read_ahead(read, studio, folder, monkeypatch):
    monkeypatch.setattr(read_ahead, "MOST_PIXELS", WIDTH * HEIGHT - 1)
    studio.open(folder)
    studio.settle()
    assert read == ["photo_0.jpg"]
    step(studio, Qt.Key.Key_D)
    step(studio, Qt.Key.Key_A)
    assert read == ["photo_0.jpg", "photo_1.jpg", "photo_0.jpg"]


def test_an_image_that_is_removed_while_it_is_read_ahead_is_no_error(desk, read, monkeypatch, caplog):
    project = desk.program.session.project
    gone = desk.program.projects.order[2]
    original = read_ahead.read_image

    def removed(path):
        data = original(path)
        if path.name == "photo_2.jpg":
            project._records._set([record for record in project.images if record.id != gone])
        return data

    monkeypatch.setattr(read_ahead, "read_image", removed)
    with caplog.at_level("INFO"):
        step(desk, Qt.Key.Key_D)
        desk.wait(lambda: f"image {gone} was removed while it was read ahead" in caplog.text)
