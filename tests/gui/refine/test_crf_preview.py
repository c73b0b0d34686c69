"""The CRF preview goes with the user to images of other sizes, and says at once that it is computing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import Qt

from app.controllers.refine.preview import Phase
from deeplab_core.catalogs import get_catalog
from deeplab_core.masks.png import write_indexed_png
from tests.fakes.compute import moved, striped_labels

SIZES = ((84, 60), (60, 84), (150, 40), (31, 97))


@pytest.fixture(params=[True, False], ids=["with ground truth", "without"])
def desk(studio, tmp_path: Path, request):
    root = tmp_path / "sizes"
    (root / "images").mkdir(parents=True)
    (root / "labels").mkdir()
    random = np.random.default_rng(3)
    for number, (width, height) in enumerate(SIZES):
        Image.fromarray(random.integers(0, 255, (height, width, 3), np.uint8)).save(root / "images" / f"photo_{number}.png")
        if request.param:
            labels = np.zeros((height, width), np.uint8)
            labels[: height // 2] = 15
            write_indexed_png(root / "labels" / f"photo_{number}.png", labels, get_catalog("voc21"))
    studio.start_model()
    studio.open(root / "images")
    return studio


def exact(desk) -> None:
    desk.wait(lambda: desk.program.refine.status.phase is Phase.EXACT and desk.program.refine.requests.idle)
    desk.settle()


def expected(desk) -> np.ndarray:
    height, width = desk.image.document.shape
    return moved(striped_labels(desk.compute.catalog, height, width, desk.image.key), 10)


@pytest.mark.parametrize("scope", ["image", "band"])
def test_it_follows_to_images_of_other_sizes_and_back(desk, scope):
    desk.press(Qt.Key.Key_Y)
    exact(desk)
    desk.program.refine.set_scope(scope)
    for step in (*[desk.program.projects.next_image] * 3, *[desk.program.projects.previous_image] * 3):
        before = desk.image.id
        step()
        desk.wait(lambda before=before: desk.image.id != before)
        desk.settle()
        exact(desk)
        assert desk.program.refine.on
        shown = desk.program.refine.shown
        assert shown.shape == desk.image.document.shape
        if scope == "image":
            np.testing.assert_array_equal(shown, expected(desk))
            assert desk.program.refine.status.changed == np.count_nonzero(shown != desk.image.document.labels)


def test_an_answer_of_the_image_before_changes_nothing(desk):
    desk.press(Qt.Key.Key_Y)
    exact(desk)
    desk.compute.paused = True
    desk.program.refine.set_params(desk.program.crf.params)
    first = desk.image.id
    desk.program.projects.next_image()
    desk.wait(lambda: desk.image.id != first)
    desk.compute.paused = False
    exact(desk)
    np.testing.assert_array_equal(desk.program.refine.shown, expected(desk))


def test_by_key_the_picture_says_at_once_that_it_is_computing(desk):
    assert desk.window.crf.visibleRegion().isEmpty(), "the panel of the CRF lies behind that of the model"
    desk.compute.paused = True
    desk.press(Qt.Key.Key_Y)
    assert "computing" in desk.view.chip.accessibleName()
    desk.compute.paused = False
    exact(desk)
    assert "computing" not in desk.view.chip.accessibleName()
    assert "not applied" in desk.view.chip.accessibleName()
    desk.press(Qt.Key.Key_Y)
    assert "computing" not in desk.view.chip.accessibleName()


def test_without_scores_the_picture_shows_a_text(studio, folder):
    studio.open(folder)
    studio.press(Qt.Key.Key_Y)
    studio.wait(lambda: studio.program.refine.status.phase is Phase.NO_SCORES)
    assert "run the model first" in studio.view.chip.accessibleName()
