"""The review flow without a mouse: next error, fix it in place, reviewed, next."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import Qt

from app.state.class_mapping import card_key
from app.state.image_record import ImageStatus
from app.state.next_errors import ErrorPlace, errors_by_gain
from tests.gui.studio import HEIGHT, WIDTH, Studio

PERSON, CHAIR, SOFA = 15, 9, 18
SHIFT = Qt.KeyboardModifier.ShiftModifier


def begin(studio: Studio, folder: Path) -> np.ndarray:
    """The window on an image; its prediction has a sofa in the background, a chair in the person, and a missed corner."""
    labels = np.zeros((HEIGHT, WIDTH), np.uint8)
    labels[:, : WIDTH // 2] = PERSON
    labels[5:15, 60:70] = SOFA
    labels[30:50, 10:30] = CHAIR
    labels[55:, :5] = 0
    for path in folder.iterdir():
        studio.compute.known[str(path)] = labels
    studio.start_model()
    studio.open(folder)
    assert studio.program.figures.live is not None
    return labels


def step(studio: Studio, key: Qt.Key, modifiers: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier) -> None:
    studio.press(key, modifiers)
    studio.settle()


def test_errors_are_fixed_and_the_image_reviewed_by_keys_alone(studio: Studio, folder: Path) -> None:
    begin(studio, folder)
    first = studio.image.id
    errors = studio.program.next_errors
    gains = []
    while True:
        step(studio, Qt.Key.Key_N, SHIFT)
        if errors.current is None:
            break
        gains.append((errors.current.label, errors.current.truth, errors.current.gain))
        assert studio.program.tools.class_id == errors.current.truth
        step(studio, *((Qt.Key.Key_Delete,) if len(gains) == 1 else (Qt.Key.Key_Return, SHIFT)))
        assert errors.current is None  # it was fixed
    assert [cell[:2] for cell in gains[:2]] == [(CHAIR, PERSON), (SOFA, 0)] or [cell[:2] for cell in gains[:2]] == [
        (SOFA, 0), (CHAIR, PERSON)
    ]  # fmt: skip
    assert min(gain for _, _, gain in gains) > 0
    assert "No error was found in this image" in studio.titles()
    live = studio.program.figures.live
    assert live is not None
    scored = live.scored != 255
    assert np.array_equal(studio.image.document.labels[scored], live.scored[scored])
    assert any(title.startswith("Error: give to the surroundings, ") for title in studio.steps())
    step(studio, Qt.Key.Key_Return)
    studio.wait(lambda: studio.image.id != first)
    project = studio.program.session.project
    assert project is not None
    assert project.record(first).status is ImageStatus.REVIEWED


@pytest.mark.parametrize("key", [(Qt.Key.Key_Delete,), (Qt.Key.Key_Z, SHIFT)])
def test_an_error_beside_its_own_class_goes_to_another_one(studio: Studio, folder: Path, key: tuple[Any, ...]) -> None:
    """The background reaches a column into the person: both surround the error by 60 px."""
    labels = np.zeros((HEIGHT, WIDTH), np.uint8)
    labels[:, :40] = PERSON
    for path in folder.iterdir():
        studio.compute.known[str(path)] = labels
    studio.start_model()
    studio.open(folder)
    step(studio, Qt.Key.Key_N, SHIFT)
    errors = studio.program.next_errors
    assert errors.current is not None
    assert (errors.current.label, errors.current.truth, errors.current.pixels) == (0, PERSON, HEIGHT)
    step(studio, *key)
    assert np.all(studio.image.document.labels[:, 40] == PERSON)


def test_an_error_is_passed_restored_or_left(studio: Studio, folder: Path) -> None:
    predicted = begin(studio, folder)
    errors = studio.program.next_errors
    seen = []
    for _ in range(3):
        step(studio, Qt.Key.Key_N, SHIFT)
        assert errors.current is not None
        seen.append(errors.current.anchor)
        assert not any("Shift+Delete" in line for line in errors.target.lines)  # the labels are the prediction
    assert len(set(seen)) == 3
    step(studio, Qt.Key.Key_N, SHIFT)
    assert errors.current is None
    assert studio.titles()[-1] == "No further error in this image"
    studio.program.projects.next_image()
    studio.settle()
    studio.program.classes.choose(CHAIR)
    studio.program.tools.set_diameter(6)
    studio.paint((60, 40), (70, 40))
    step(studio, Qt.Key.Key_N, SHIFT)
    while (errors.current is not None and errors.current.label != CHAIR) or errors.current.box.x < 50:
        step(studio, Qt.Key.Key_N, SHIFT)
    assert any("Shift+Delete" in line for line in errors.target.lines)
    step(studio, Qt.Key.Key_Delete, SHIFT)
    assert np.array_equal(studio.image.document.labels, predicted)
    assert studio.steps()[-1].startswith("Error: restore to prediction")
    step(studio, Qt.Key.Key_N, SHIFT)
    step(studio, Qt.Key.Key_Escape)
    assert errors.current is None


def test_without_ground_truth_the_most_doubtful_part_comes_first(studio: Studio, tmp_path: Path) -> None:
    from tests.gui.studio import make_folder

    folder = make_folder(tmp_path / "bare", truth=False)
    studio.open(folder)
    step(studio, Qt.Key.Key_N, SHIFT)
    assert studio.titles()[-1] == "There is nothing to find errors by"
    studio.start_model()
    studio.settle()
    prediction = studio.image.prediction
    assert prediction is not None
    prediction.confidence.setflags(write=True)
    prediction.confidence[20:30, 2:4] = 60
    prediction.confidence[40:44, 2:4] = 60
    step(studio, Qt.Key.Key_N, SHIFT)
    place = studio.program.next_errors.current
    assert place is not None
    assert (place.truth, place.box.y) == (None, 20)
    step(studio, Qt.Key.Key_Z, SHIFT)
    assert studio.steps()[-1].startswith("Error: second guess")


@pytest.mark.parametrize("ends", [True, False], ids=["a stroke", "a stroke that is still painted"])
def test_an_error_of_labels_that_changed_meanwhile_is_not_shown(
    studio: Studio, folder: Path, monkeypatch: pytest.MonkeyPatch, *, ends: bool
) -> None:
    begin(studio, folder)
    errors, program = studio.program.next_errors, studio.program
    found, painted = Event(), Event()

    def slow(*question: Any) -> list[ErrorPlace]:
        answer = errors_by_gain(*question)
        found.set()
        assert painted.wait(60)
        return answer

    monkeypatch.setattr("app.controllers.annotate.next_errors.errors_by_gain", slow)
    program.classes.choose(PERSON)
    program.tools.set_diameter(60)
    studio.press(Qt.Key.Key_N, SHIFT)
    assert found.wait(60)  # the largest error is the chair
    assert program.edit.begin_stroke(20, 40)
    if ends:
        program.edit.end_stroke()
    painted.set()
    studio.settle()
    assert (errors.current is None) is not ends
    program.edit.end_stroke()
    studio.settle()
    labels = studio.image.document.labels
    assert (labels[30:50, 10:30] == PERSON).all()  # the chair is gone
    place = errors.current
    assert place is not None
    assert (labels[place.box.slices][place.mask] == place.label).all()


def test_the_key_once_more_goes_on_to_the_next_image(studio: Studio, folder: Path) -> None:
    begin(studio, folder)
    errors, project = studio.program.next_errors, studio.program.session.project
    assert project is not None
    ids = [record.id for record in project.images]
    project.set_status(ids[1], ImageStatus.REVIEWED)
    project.reviews.reject(ids[2], "dark")
    for _ in range(4):
        step(studio, Qt.Key.Key_N, SHIFT)
    assert errors.current is None
    assert studio.titles()[-1] == "No further error in this image"
    assert studio.image.id == ids[0]
    step(studio, Qt.Key.Key_N, SHIFT)
    studio.wait(lambda: errors.current is not None)
    assert studio.image.id == ids[3]  # the others are decided
    assert studio.titles()[-1] == "Next error: photo_3.jpg"
    assert not project.record(ids[0]).reviewed
    for _ in range(4):
        step(studio, Qt.Key.Key_N, SHIFT)
    assert studio.titles()[-1] == "No further error in the list"
    assert studio.image.id == ids[3]


def test_with_the_setting_the_walk_goes_on_by_itself_past_images_without_errors(studio: Studio, folder: Path) -> None:
    labels = begin(studio, folder)
    errors, program = studio.program.next_errors, studio.program
    program.settings.set("work.error_walk", True)
    ids = [record.id for record in program.session.project.images]
    right = np.zeros_like(labels)
    right[:, : WIDTH // 2] = PERSON
    for name in ("photo_1.jpg", "photo_2.jpg"):
        studio.compute.known[str(folder / name)] = right
    for _ in range(4):
        step(studio, Qt.Key.Key_N, SHIFT)
    studio.wait(lambda: errors.current is not None)
    assert studio.image.id == ids[3]


def test_esc_ends_a_walk(studio: Studio, folder: Path) -> None:
    begin(studio, folder)
    errors = studio.program.next_errors
    for _ in range(4):
        step(studio, Qt.Key.Key_N, SHIFT)
    first = studio.image.id
    studio.press(Qt.Key.Key_N, SHIFT)
    studio.wait(lambda: studio.image.id != first)
    studio.press(Qt.Key.Key_Escape)
    studio.settle()
    assert errors.current is None


def test_two_models_that_disagree_give_the_errors_without_ground_truth(studio: Studio, tmp_path: Path) -> None:
    from tests.gui.studio import make_folder

    folder = make_folder(tmp_path / "bare", truth=False)
    studio.start_model()
    studio.open(folder)
    studio.program.settings.set("work.error_order", "disagreement")
    step(studio, Qt.Key.Key_N, SHIFT)
    assert studio.titles()[-1] == "There is nothing to find errors by"
    prediction, project = studio.image.prediction, studio.program.session.project
    assert prediction is not None
    assert project is not None
    labels = prediction.labels.copy()
    labels[30:40, 20:40] = (labels[30:40, 20:40] + 1) % 5
    project.set_setting(card_key("another"), project.setting(card_key(prediction.card_id)))
    project.keep_prediction(studio.image.id, replace(prediction, labels=labels, card_id="another"))
    studio.program.session.predictionKept.emit(studio.image.id, prediction)
    step(studio, Qt.Key.Key_N, SHIFT)
    place = studio.program.next_errors.current
    assert place is not None
    assert (place.box.y, place.box.height, place.gain) == (30, 10, place.pixels)


def test_the_margin_waits_for_the_scores(studio: Studio, tmp_path: Path) -> None:
    from tests.gui.studio import make_folder

    folder = make_folder(tmp_path / "bare", truth=False)
    studio.start_model()
    studio.open(folder)
    studio.program.settings.set("work.error_order", "margin")
    step(studio, Qt.Key.Key_N, SHIFT)
    assert studio.program.corrections.scores is not None
    assert studio.program.next_errors.current is not None or studio.titles()[-1] == "No error was found in this image"


def test_doubtful_places_of_the_folder_lead_to_the_place_and_on(studio: Studio, tmp_path: Path) -> None:
    from tests.gui.studio import make_folder

    folder = make_folder(tmp_path / "bare", truth=False)
    studio.start_model()
    studio.open(folder)
    studio.window.model.run_folder.click()
    studio.wait(lambda: "Folder run finished" in studio.titles())
    project = studio.program.session.project
    assert project is not None
    ids = [record.id for record in project.images]
    for number, image in enumerate(ids):  # the third image has the largest doubtful place, and a smaller one
        prediction = project.prediction_of(image)
        assert prediction is not None
        confidence = np.full_like(prediction.confidence, 250)
        confidence[10 : 20 + number % 3 * 10, 2:4] = 40
        confidence[50:54, 2:4] = 40
        project.keep_prediction(image, replace(prediction, confidence=confidence))
    studio.program.projects.next_image()
    studio.settle()
    project.reviews.reject(ids[3], "dark")
    step(studio, Qt.Key.Key_O)
    assert studio.application.presenter is not None
    pages = studio.application.presenter.inspect.pages
    view = studio.application.presenter.inspect.view
    assert view is not None
    view.show_page("Rankings")
    studio.settle()
    studio.program.rankings.choose("expected_wrong")
    pages.ranking.places.setChecked(True)
    studio.wait(lambda: not studio.program.doubts.finding and len(studio.program.doubts.places("expected_wrong")) >= 6)
    studio.settle()
    first = pages.ranking.rows.row(0)
    assert first is not None
    assert first.doubtful is not None
    assert (first.image, first.doubtful.box.y, first.doubtful.box.height) == (ids[2], 10, 30)
    expected = [place.expected for place in studio.program.doubts.places("expected_wrong")]
    assert expected == sorted(expected, reverse=True)
    assert ids[3] not in {place.image for place in studio.program.doubts.places("expected_wrong")}
    pages.ranking.table.selectRow(0)
    studio.qtbot.keyClick(pages.ranking, Qt.Key.Key_Return)
    errors = studio.program.next_errors
    studio.wait(lambda: errors.current is not None)
    assert studio.image.id == ids[2]
    assert errors.current is not None
    assert errors.current.anchor == first.doubtful.anchor
    step(studio, Qt.Key.Key_Delete)
    step(studio, Qt.Key.Key_N, SHIFT)
    assert errors.current is not None
    assert errors.current.box.y == 50
    studio.program.projects.next_image()
    studio.settle()
    assert first.doubtful not in studio.program.doubts.places("expected_wrong")
