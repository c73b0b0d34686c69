"""The review flow without a mouse: next error, fix it in place, reviewed, next."""

from __future__ import annotations

from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import Qt

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


def test_an_error_is_passed_restored_or_left(studio: Studio, folder: Path) -> None:
    predicted = begin(studio, folder)
    errors = studio.program.next_errors
    seen = []
    for _ in range(3):
        step(studio, Qt.Key.Key_N, SHIFT)
        assert errors.current is not None
        seen.append(errors.current.anchor)
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
