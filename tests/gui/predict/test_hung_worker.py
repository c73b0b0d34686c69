"""A model process that does not answer, in the window: what is said, what the buttons do, and that painting goes on."""

from __future__ import annotations

import pytest
from PySide6.QtWidgets import QPushButton

from app.services.autosave import SaveState

TITLE = "The model process is not responding"
WHAT = "No response for 9 seconds, at photo_1.jpg."


def toasts(studio) -> list[str]:
    return [toast.message.title for toast in studio.window.toasts.toasts]


def button(studio, text: str) -> QPushButton:
    (found,) = [b for toast in studio.window.toasts.toasts for b in toast.buttons if b.text() == text]
    return found


@pytest.fixture
def silent(studio, folder):
    studio.open(folder)
    studio.start_model()
    studio.compute.unresponsive.emit(WHAT)
    return studio


def test_it_is_said_with_two_ways_on_and_stays_until_one_is_taken(silent):
    (message,) = [m for m in silent.program.notifier.messages if m.title == TITLE]
    assert message.detail.startswith(WHAT)
    assert [choice.text for choice in message.choices] == ["Wait", "Restart"]
    assert silent.window.model.device.text() == "not responding"
    silent.compute.unresponsive.emit(WHAT)
    assert toasts(silent).count(TITLE) == 1, "said again in the same place"


def test_an_answer_takes_it_back(silent):
    before = silent.program.models.device
    silent.compute.responsive.emit()
    assert TITLE not in toasts(silent)
    assert silent.program.models.device != before
    assert silent.window.model.device.text().startswith("cpu")


def test_wait_closes_the_message_and_leaves_the_process_alone(silent):
    button(silent, "Wait").click()
    assert TITLE not in toasts(silent)
    assert "The model process ended" not in silent.titles()
    assert silent.window.model.device.text() == "not responding", "the panel still shows it"


def test_restart_by_the_button_and_by_the_command(silent):
    button(silent, "Restart").click()
    silent.wait(lambda: "The model process is running again" in silent.titles())
    silent.compute.unresponsive.emit(WHAT)
    silent.window.commands["model.restart"].trigger()
    silent.wait(lambda: silent.titles().count("The model process is running again") == 2)


def test_strokes_go_on_and_are_kept(silent):
    steps = len(silent.steps())
    silent.paint((10, 10), (40, 30))
    silent.wait(lambda: len(silent.steps()) == steps + 1)
    image, labels = silent.image.id, silent.image.document.labels.copy()
    button(silent, "Restart").click()
    silent.wait(lambda: "The model process is running again" in silent.titles())
    assert (silent.image.document.labels == labels).all()
    project = silent.program.session.project
    silent.program.projects.save_now()
    silent.wait(lambda: silent.program.session.autosaver.state is SaveState.SAVED)
    assert (project.load(image, labels.shape).document.labels == labels).all()


def test_a_process_that_cannot_start_says_why_and_is_started_again_on_demand(studio):
    reason = "torch cannot be imported (OSError: libtorch.so). Install torch again."
    studio.compute.crashed.emit(reason)
    studio.compute.gave_up.emit(reason)
    (message,) = [m for m in studio.program.notifier.messages if m.title == "The model process keeps crashing"]
    assert "libtorch.so" in message.detail
    assert "libtorch.so" in studio.window.model.reason.text(), "it stays to be read beside the model"
    studio.window.commands["model.restart"].trigger()
    studio.wait(lambda: studio.program.models.card is not None)
