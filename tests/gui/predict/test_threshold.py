"""The slider of a two-class model's threshold: the mask follows while it is held, one step when it is let go."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt

from app.state.project import Project
from app.state.provenance import Provenance
from app.ui.common.param_slider import ParamSlider
from app.worker.messages import Predict
from deeplab_core.catalogs.catalog import ClassCatalog, ClassInfo
from tests.gui.studio import WIDTH, Studio, folder, studio

__all__ = ["folder", "studio"]

TWO = ClassCatalog("two", "Two", (ClassInfo(0, "background", (0, 0, 0)), ClassInfo(15, "person", (9, 9, 9))), background=0)


@pytest.fixture
def two(studio: Studio, folder: Path) -> Studio:
    """A window with a two-class model, its prediction in the mask."""
    studio.compute.catalog, studio.compute.threshold = TWO, 0.5
    studio.open(folder)
    studio.start_model()
    if studio.image.prediction is None:
        studio.program.predict.run_image()
    studio.wait(lambda: studio.image.prediction is not None)
    studio.settle()
    return studio


def slider(studio: Studio) -> ParamSlider:
    return studio.window.model.threshold


def share(studio: Studio) -> float:
    return float((studio.image.document.labels == 15).mean())


def place(value: float) -> int:
    return round(200 * (value - 0.01) / 0.98)


def drag(studio: Studio, *values: float) -> None:
    handle = slider(studio).slider
    handle.setSliderDown(True)
    for value in values:
        handle.setValue(place(value))
        studio.wait(lambda at=value: abs(share(studio) - (1 - at)) < 2 / WIDTH)


def let_go(studio: Studio) -> None:
    slider(studio).slider.setSliderDown(False)
    studio.settle()


def test_only_two_class_models_show_it(studio: Studio, folder: Path) -> None:
    studio.open(folder)
    studio.start_model()
    assert not slider(studio).isVisible()
    studio.compute.catalog, studio.compute.threshold = TWO, 0.4
    path = studio.program.models.path
    assert path is not None
    other = path.with_name("two.safetensors")
    other.write_bytes(b"")
    studio.program.models.load(other)
    studio.wait(lambda: slider(studio).isVisibleTo(studio.window.model))
    assert slider(studio).value == pytest.approx(0.4)


def test_the_mask_follows_and_one_step_remains(two: Studio) -> None:
    steps, before = two.steps(), two.image.document.labels.copy()
    drag(two, 0.6, 0.8, 0.3)
    assert two.steps() == steps, "nothing enters the history while the slider is held"
    assert two.program.edit.busy
    two.program.edit.undo()
    assert abs(share(two) - 0.7) < 2 / WIDTH, "undo does nothing in the middle of a drag"
    let_go(two)
    two.wait(lambda: not two.program.edit.busy and len(two.steps()) == len(steps) + 1)
    assert abs(share(two) - 0.7) < 2 / WIDTH
    prediction = two.image.prediction
    assert prediction is not None
    assert prediction.options.threshold == pytest.approx(0.3, abs=0.01)
    two.program.edit.undo()
    two.settle()
    np.testing.assert_array_equal(two.image.document.labels, before)


def test_the_keys_are_one_request_each(two: Studio) -> None:
    asked = [request for request in two.compute.asked if isinstance(request, Predict)]
    slider(two).field.setValue(0.7)
    two.settle()
    two.wait(lambda: two.image.prediction is not None and two.image.prediction.options.threshold == pytest.approx(0.7))
    assert len([request for request in two.compute.asked if isinstance(request, Predict)]) == len(asked) + 1
    assert abs(share(two) - 0.3) < 2 / WIDTH


def test_the_last_of_several_thresholds_counts(two: Studio) -> None:
    two.compute.paused = True
    for value in (0.6, 0.7, 0.8):
        slider(two).field.setValue(value)
    two.compute.paused = False
    two.settle()
    two.wait(lambda: two.image.prediction is not None and two.image.prediction.options.threshold == pytest.approx(0.8))
    assert abs(share(two) - 0.2) < 2 / WIDTH


def test_the_users_pixels_stay_and_the_rest_is_offered(two: Studio) -> None:
    two.program.edit.choose_class(15)
    two.paint((4, 20), (12, 20))
    two.settle()
    before = two.image.document.labels.copy()
    handle = slider(two).slider
    handle.setSliderDown(True)
    handle.setValue(place(0.9))
    two.settle()
    np.testing.assert_array_equal(two.image.document.labels, before)
    let_go(two)
    two.wait(lambda: two.program.predict.suggestion is not None)
    np.testing.assert_array_equal(two.image.document.labels, before)


def test_another_image_ends_the_drag(two: Studio) -> None:
    before = two.image.document.labels.copy()
    first = two.image
    drag(two, 0.8)
    two.program.projects.open_image(two.program.session.project.images[1].id)
    two.wait(lambda: two.image is not first)
    two.settle()
    np.testing.assert_array_equal(first.document.labels, before)
    assert not two.program.edit.busy
    slider(two).slider.setSliderDown(False)
    two.settle()


def test_a_threshold_belongs_to_its_model(two: Studio) -> None:
    slider(two).field.setValue(0.7)
    two.settle()
    models = two.program.models
    assert models.run_settings.options().threshold == pytest.approx(0.7)
    assert models.path is not None
    other = models.path.with_name("other.safetensors")
    other.write_bytes(b"")
    models.load(other)
    two.wait(lambda: models.path == other)
    assert models.run_settings.options().threshold == pytest.approx(0.5)
    two.settle()


@pytest.mark.parametrize("what", ["fill", "list"])
def test_what_changes_the_mask_during_a_drag_ends_it_first(two: Studio, what: str) -> None:
    """Otherwise the end of the drag would take it back, and the journal would hold what the mask does not."""
    two.program.edit.replace_all(np.zeros_like(two.image.document.labels), Provenance.MODEL, "Another prediction")
    two.program.classes.choose(15)
    before = two.image.document.labels.copy()
    drag(two, 0.2, 0.3)
    assert not np.array_equal(two.image.document.labels, before)
    if what == "fill":
        two.program.edit.fill(3, 3)
    else:
        view = two.window.history.view
        at = view.visualRect(view.model().index(0, 0)).center()
        two.qtbot.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=at)
        two.wait(lambda: not two.program.edit.busy)
    assert not two.program.edit.busy
    after = two.image.document.labels.copy()
    assert not np.array_equal(after, before)
    two.program.session.autosaver.flush()
    with Project.open(two.image.path.parent, read_only=True) as reader:
        assert np.array_equal(reader.load(two.image.id).document.labels, after)
