"""The window on a copy of the sample project, and one short story for each correction tool."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from app.main import Application
from app.paths import FIRST_MODEL, SAMPLE_PROJECT
from app.ui.shell.theme import load_fonts
from tools.recordings.recorder import Hand, Recording

SHIFT, ALT = Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.AltModifier


class Stage:
    """The program on a copy of the sample project: predicted, docks folded away."""

    def __init__(self, folder: Path, size: tuple[int, int], theme: str) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        for part in ("images", "truth"):
            shutil.copytree(SAMPLE_PROJECT / part, folder / part)
        load_fonts()
        self.application = Application()
        self.program, self.window = self.application.build(), self.application.window
        self.program.settings.set("appearance.theme", theme)
        self.program.folder_jobs.asks = False
        self.window.resize(*size)
        self.window.show()
        self.window.activateWindow()
        self.program.models.start()
        self.program.projects.open(folder / "images")
        self.wait(lambda: self.program.session.image is not None and self.program.models.card is not None)
        self.program.models.load(FIRST_MODEL)  # of a copy of the sample the window does not know that it shows rooms
        self.wait(lambda: self.program.models.path == FIRST_MODEL)
        self.window.toggle_fold()

    def wait(self, condition: Callable[[], object], rest: float = 0.15) -> None:
        """Handle events until a condition holds, and a little longer."""
        end = None
        while end is None or time.monotonic() < end:
            QApplication.processEvents()
            time.sleep(0.003)
            if end is None and condition():
                end = time.monotonic() + rest

    def settle(self) -> None:
        """Wait until what was asked for is on the screen."""
        self.wait(lambda: not self.program.jobs.running, 0.35)

    def open(self, name: str) -> None:
        """Show an image with its prediction, the Brush and no messages."""
        program = self.program
        project = program.session.project
        assert project is not None
        program.session.open_image(next(record.id for record in project.images if record.name == name))
        self.wait(lambda: (image := program.session.image) is not None and image.path.name == name)
        if program.session.image is not None and program.session.image.prediction is None:
            self.window.commands["model.run_image"].trigger()
        self.wait(lambda: (image := program.session.image) is not None and image.prediction is not None)
        self.window.commands["start.model"].trigger()  # another recording may have changed it
        QTest.keyClick(self.window, Qt.Key.Key_G, SHIFT)  # Regions asks for scores and regions of the image
        self.wait(lambda: program.corrections.regions_ready and program.corrections.scores is not None)
        QTest.keyClick(self.window, Qt.Key.Key_B)
        self.clear()

    def clear(self) -> None:
        """Close the messages."""
        self.wait(lambda: not self.program.jobs.running, 0.5)
        for toast in list(self.window.toasts.toasts):
            toast.close_button.click()
        self.wait(lambda: True)

    def hand(self, place: tuple[float, float]) -> Hand:
        """A hand in a new recording, with the pointer at a place of the image."""
        assert self.application.presenter is not None
        hand = Hand(self.window, self.application.presenter.canvas.views[0], Recording(self.window), self.settle)
        hand.start(place)
        return hand

    def choose(self, name: str) -> None:
        """Select a class."""
        found = self.program.classes.catalog.by_name(name)
        assert found is not None
        self.program.classes.choose(found.id)

    def class_key(self, name: str) -> str:
        """The key of a class."""
        found = self.program.classes.catalog.by_name(name)
        return next(key for key, class_id in self.program.classes.keys.items() if found is not None and class_id == found.id)

    def close(self) -> None:
        """Close the window."""
        self.program.projects.close()
        self.window.close()
        self.application.shut_down()


def components(stage: Stage) -> Hand:
    """A table that is not there, and a chair that was called a sofa."""
    stage.open("room_00015.jpg")
    stage.choose("background")
    hand = stage.hand((520, 300))
    hand.key("Z: Components", Qt.Key.Key_Z)
    hand.say("")
    hand.move((420, 236))
    hand.rest(900)
    hand.key("Delete: to what surrounds it", Qt.Key.Key_Delete, milliseconds=900)
    hand.say("")
    hand.move((450, 185))
    hand.rest(900)
    key = stage.class_key("chair")
    hand.key(f"{key}: chair", Qt.Key(ord(key)), milliseconds=1200)
    return hand


def regions(stage: Stage) -> Hand:
    """An armchair in one click, once the wheel has made the region large enough."""
    stage.open("room_00013.jpg")
    stage.choose("chair")
    hand = stage.hand((560, 400))
    hand.key("Shift+G: Regions", Qt.Key.Key_G, SHIFT)
    hand.say("")
    hand.move((430, 400))
    hand.rest(500)
    hand.say("Alt+wheel: larger")
    hand.wheel(4, ALT)
    hand.say("Click: chair")
    hand.click()
    hand.rest(1200)
    return hand


def scribble(stage: Stage) -> Hand:
    """A sofa that was called a chair, by one stroke."""
    stage.open("room_00013.jpg")
    stage.choose("sofa")
    hand = stage.hand((150, 300))
    hand.key("Shift+J: Two-class scribble", Qt.Key.Key_J, SHIFT)
    hand.say("")

    def reach() -> None:
        hand.rest(500)
        hand.say("Wheel: reach")
        hand.wheel(2)
        hand.rest(500)
        hand.say("Release")

    hand.drag([(40, 285), (70, 250), (105, 265)], before_release=reach)
    hand.rest(1200)
    return hand


def border_snap(stage: Stage) -> Hand:
    """The outline of a bottle moves to the edges of the image."""
    stage.open("room_00021.jpg")
    hand = stage.hand((330, 330))
    hand.key("Shift+S: Border snap", Qt.Key.Key_S, SHIFT)
    hand.say("Click: preview")
    hand.move((262, 230))
    hand.click()
    hand.rest(800)
    hand.say("Alt+wheel: how")
    hand.wheel(2, ALT, milliseconds=700)
    hand.key("Enter: apply", Qt.Key.Key_Return, milliseconds=1200)
    return hand


def lasso(stage: Stage) -> Hand:
    """A rough line around a sofa follows its edges."""
    stage.open("room_00021.jpg")
    stage.choose("sofa")
    assert not stage.program.tools.snapping
    hand = stage.hand((60, 130))
    hand.key("L: Lasso", Qt.Key.Key_L)
    hand.key("Alt+L: Lasso snaps to edges", Qt.Key.Key_L, ALT)
    hand.say("")
    around = [(30, 158), (66, 155), (106, 158), (112, 180), (110, 220), (112, 258), (88, 264), (58, 268), (30, 268), (28, 220)]
    hand.drag([*around, (28, 175)], steps=2, before_release=lambda: hand.rest(500))
    hand.rest(1200)
    return hand


def copy(stage: Stage) -> Hand:
    """A bottle and a sofa that the network missed come from the ground truth."""
    stage.open("room_00021.jpg")
    hand = stage.hand((330, 330))
    hand.key("Shift+D: Copy from", Qt.Key.Key_D, SHIFT)
    hand.key("Alt+3: Ground truth", Qt.Key.Key_3, ALT)
    hand.say("")
    for place in ((292, 200), (60, 200)):
        hand.say("")
        hand.move(place)
        hand.rest(900)
        hand.say("Click: copy")
        hand.click()
        hand.rest(700)
    return hand


def next_error(stage: Stage) -> Hand:
    """The errors that win most, one after the other."""
    stage.open("room_00013.jpg")
    hand = stage.hand((600, 30))
    hand.rest(400)
    hand.key("Shift+N: next error", Qt.Key.Key_N, SHIFT, 1300)
    hand.key("Shift+Z: second guess", Qt.Key.Key_Z, SHIFT, 900)
    hand.key("Shift+N: next error", Qt.Key.Key_N, SHIFT, 1300)
    hand.key("Shift+Enter: the right class", Qt.Key.Key_Return, SHIFT, 900)
    hand.key("Shift+N: next error", Qt.Key.Key_N, SHIFT, 1300)
    return hand


#: A recording of each, by the name of its file.
STORIES: Final[dict[str, Callable[[Stage], Hand]]] = {
    "components": components,
    "regions": regions,
    "scribble": scribble,
    "border_snap": border_snap,
    "lasso": lasso,
    "copy": copy,
    "next_error": next_error,
}
