"""The real window with its real compute process, used at random: one seeded run, as a program of its own.

``python -c "from tests.soak.monkey import main; main()" BASE SEED COUNT [ACTIONS]`` (a compute process imports the main module of
the process that starts it, and this one imports Qt). An action is a verb and a seed, in text ``paint 1234``: what it does follows
from its seed and from what is open, so a list of actions can be shortened. ``BASE/actions`` holds every action before it begins,
``BASE/result.json`` what was found. With ``ACTIONS``, a file like that, its actions are done instead of random ones.
"""

from __future__ import annotations

import ctypes
import faulthandler
import gc
import hashlib
import json
import logging
import os
import random
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from PIL import Image
from PySide6.QtCore import QEvent, QObject, QPoint, Qt, QTimer
from PySide6.QtGui import QDesktopServices, QKeyEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSlider,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QDialog,
    QFileDialog,
    QLineEdit,
    QMenu,
    QWidget,
)
from shiboken6 import isValid

from app.main import Application
from app.paths import FIRST_MODEL, SAMPLE_PROJECT
from app.services.folders import log_folder
from app.services.logs import route_qt_messages, start_logging
from app.state.document import Document
from app.state.project import Project
from app.ui.canvas.canvas_view import CanvasView
from app.ui.shell.messages_dialog import TroubleDialog
from app.ui.shell.theme import load_fonts
from deeplab_core.catalogs import get_catalog
from deeplab_core.masks.png import write_indexed_png
from deeplab_core.metrics import ConfusionMatrix

#: Actions between two rests, at which jobs are cancelled, everything is compared, and what must not grow is measured.
REST = 25
#: How long an action may keep the window busy before the next one begins beside it, and a rest until everything has ended, in s.
BUSY, ENDED = 2.0, 1200.0
#: What Qt says on a platform without a screen, and about windows without one.
_HARMLESS = ("propagateSizeHints", "does not support raise", "This plugin")


@dataclass(slots=True)
class Result:
    """What a run found.

    Attributes:
        seed, actions, seconds: of the run.
        failure: what went wrong at the last action; empty if nothing did.
        checks: how often each kind of comparison was made.
        verbs: how often each verb was done.
        said: titles of messages, and how often they were said.
        samples: at each rest: number of actions, memory (bytes), handles, threads, Qt objects, windows, memory of the compute
            process.
        kinds: at each rest: how many objects of Qt of each class there are.
    """

    seed: int
    actions: int = 0
    seconds: float = 0.0
    failure: str = ""
    checks: Counter[str] = field(default_factory=Counter)
    verbs: Counter[str] = field(default_factory=Counter)
    said: Counter[str] = field(default_factory=Counter)
    samples: list[dict[str, float]] = field(default_factory=list)
    kinds: list[Counter[str]] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """For a file; ``dataclasses.asdict`` would count the pairs of a counter."""
        return {one.name: getattr(self, one.name) for one in fields(self)}


class NotSurvived(Exception):
    """An invariant does not hold."""


def digest(document: Document) -> str:
    """Labels and provenance in one word."""
    return hashlib.sha1(document.labels.tobytes() + document.provenance.tobytes(), usedforsecurity=False).hexdigest()


def make_folders(base: Path) -> list[Path]:
    """Folders to work on: small rooms with ground truth, the same without, and one of odd files."""
    rooms, plain, odd = base / "rooms", base / "plain" / "images", base / "odd"
    for folder in (rooms / "images", rooms / "truth", plain, odd):
        folder.mkdir(parents=True)
    names = sorted(path.stem for path in (SAMPLE_PROJECT / "images").glob("*.jpg"))[:6]
    for name in names[:4]:
        for part, suffix, how in (("images", "jpg", Image.Resampling.BILINEAR), ("truth", "png", Image.Resampling.NEAREST)):
            with Image.open(SAMPLE_PROJECT / part / f"{name}.{suffix}") as found:
                found.resize((240, 180), how).save(rooms / part / f"{name}.{suffix}")
    for name in names[3:]:
        with Image.open(SAMPLE_PROJECT / "images" / f"{name}.jpg") as found:
            found.resize((200, 150)).save(plain / f"{name}.jpg")
    noise = np.random.default_rng(5).integers(0, 255, (61, 83, 3), dtype=np.uint8)
    picture = Image.fromarray(noise)
    exif = picture.getexif()
    exif[0x0112] = 6
    picture.save(odd / "turned.jpg", exif=exif)
    picture.convert("L").save(odd / "gray.png")
    Image.new("RGB", (1, 1)).save(odd / "one.png")
    (odd / "broken.jpg").write_bytes((odd / "turned.jpg").read_bytes()[:700])
    Image.new("RGB", (900, 12), (90, 120, 60)).save(odd / "strip.png")
    labels = base / "labels"
    labels.mkdir()
    for name in names[3:]:
        write_indexed_png(labels / f"{name}.png", np.full((150, 200), 9, np.uint8), get_catalog("voc21"))
    return [rooms / "images", plain, odd]


class Player:
    """Uses the window, and looks after it."""

    def __init__(self, base: Path, seed: int) -> None:
        self.base, self.result = base, Result(seed)
        self.faults: list[str] = []
        self.rng = random.Random(seed)
        self.folders = make_folders(base)
        self.originals = {path: path.read_bytes() for path in base.rglob("*") if path.is_file()}
        self.seen: dict[tuple[Path, str], tuple[int, str, str]] = {}
        self._patience = 0
        self._steps = 0
        self._catch()
        self.qt = QApplication([])
        load_fonts()
        self.application = Application()
        self.window = self.application.window
        self.window.resize(1280, 800)
        self.window.show()
        start_logging(log_folder())
        logging.getLogger().addHandler(_Faults(self.faults))
        route_qt_messages()
        self.program = self.application.build()
        self.program.notifier.said.connect(lambda said: self.result.said.update([said.title]))
        self.window.trimap.build_plot()
        self.program.models.start()
        self.window.activateWindow()

    def _catch(self) -> None:
        """Take what would be printed, and answer what only a user can answer."""

        def fault(kind: type[BaseException], error: BaseException | None, trace: Any) -> None:
            self.faults.append("".join(traceback.format_exception(kind, error, trace)))

        sys.excepthook = fault
        threading.excepthook = lambda args: fault(args.exc_type, args.exc_value, args.exc_traceback)
        sys.unraisablehook = lambda args: fault(type(args.exc_value), args.exc_value, args.exc_traceback)
        QDesktopServices.openUrl = staticmethod(lambda *_: True)  # type: ignore[method-assign]
        one: Callable[..., tuple[str, str]] = lambda *_a, **_k: (self._answer(files=True), "")  # noqa: E731
        QFileDialog.getOpenFileName = staticmethod(one)  # type: ignore[assignment]
        QFileDialog.getOpenFileNames = staticmethod(lambda *_a, **_k: ([one()[0]] if one()[0] else [], ""))  # type: ignore[assignment]
        QFileDialog.getExistingDirectory = staticmethod(lambda *_a, **_k: self._answer(files=False))  # type: ignore[assignment]
        saved: Callable[..., tuple[str, str]] = lambda *_a, **_k: (str(self.base / f"saved {self.rng.random()}.csv"), "")  # noqa: E731
        QFileDialog.getSaveFileName = staticmethod(saved)  # type: ignore[assignment]

    def _answer(self, *, files: bool) -> str:
        """What the user picks in the system's dialog for files; nothing, now and then."""
        rooms = sorted((self.base / "rooms").glob("*/*"))
        choices: list[Path | str] = [*rooms, *(self.base / "labels").glob("*"), FIRST_MODEL, ""] if files else [
            *self.folders, self.base / "labels", self.base / "rooms" / "truth", self.base / "out", self.base, "",
        ]  # fmt: skip
        return str(self.rng.choice(choices))

    # -- what the verbs use ----------------------------------------------------------------------------------------------

    @property
    def views(self) -> list[CanvasView]:
        """The views of the image that can be seen."""
        presenter = self.application.presenter
        assert presenter is not None
        return [view for view in presenter.canvas.views if view.isVisible() and view.mapping is not None]

    def place(self, view: CanvasView) -> QPoint:
        """A random place in a view; most are on the image."""
        image = self.program.session.image
        if image is not None and view.mapping is not None and self.rng.random() < 0.9:
            height, width = image.rgb.shape[:2]
            point = view.mapping.to_view(self.rng.uniform(0, width), self.rng.uniform(0, height)).toPoint()
            if view.rect().contains(point):
                return point
        return QPoint(self.rng.randrange(max(1, view.width())), self.rng.randrange(max(1, view.height())))

    def key(self, key: Qt.Key, modifiers: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier) -> None:
        """Press a key where the keyboard is."""
        QTest.keyClick(QApplication.focusWidget() or self.window, key, modifiers)

    def type(self, field: QWidget, text: str) -> None:
        """Type a text; QTest knows the keys of ASCII only."""
        for letter in text:
            for kind in (QEvent.Type.KeyPress, QEvent.Type.KeyRelease):
                key = Qt.Key(ord(letter.upper())) if letter.isascii() else Qt.Key.Key_unknown
                QApplication.sendEvent(field, QKeyEvent(kind, key, Qt.KeyboardModifier.NoModifier, letter))

    def turn(self, seconds: float = 0.0) -> None:
        """Let the window work."""
        end = time.monotonic() + seconds
        while True:
            self.qt.processEvents()
            self._broken()
            if time.monotonic() >= end:
                return
            time.sleep(0.003)

    # -- dialogs ---------------------------------------------------------------------------------------------------------

    def _waiting(self) -> QWidget | None:
        return QApplication.activePopupWidget() or QApplication.activeModalWidget()

    def _watch(self) -> None:
        """Answer what asks, again and again: also while a dialog keeps the action that opened it from returning."""
        # A new one: Qt fires no timer again inside its own handler. PySide would keep two objects for each bound method.
        QTimer.singleShot(15, self.qt, lambda: self._watch())
        asking = self._waiting()
        if asking is None:
            self._steps = 0
            return
        if isinstance(asking, TroubleDialog):
            texts = [label.text() for label in asking.findChildren(QWidget) if hasattr(label, "text") and callable(label.text)]
            self.faults.append(f"an error dialog: {texts}")
            asking.reject()
            return
        self._steps += 1
        if isinstance(asking, QMenu):
            self._use_menu(asking)
        elif self._steps <= self._patience:
            self.touch(asking)
        elif self._steps <= self._patience + 12:
            self._leave(asking)
        else:
            self.faults.append(f"{type(asking).__name__} '{asking.windowTitle()}' does not close")
            asking.close()
            asking.hide()

    def _use_menu(self, menu: QMenu) -> None:
        actions = [action for action in menu.actions() if action.isEnabled() and not action.isSeparator()]
        actions = [action for action in actions if action.objectName() != "app.quit"]
        if not actions or self._steps > 4 or self.rng.random() < 0.3:
            QTest.keyClick(menu, Qt.Key.Key_Escape)
            return
        menu.setActiveAction(self.rng.choice(actions))
        QTest.keyClick(menu, Qt.Key.Key_Return)

    def _leave(self, dialog: QWidget) -> None:
        buttons = [one for one in dialog.findChildren(QAbstractButton) if one.isVisible() and one.isEnabled()]
        default = [one for one in buttons if getattr(one, "isDefault", bool)()]
        if default and self._steps == self._patience + 1 and self.rng.random() < 0.5:
            default[0].click()
        elif self._steps % 3 or not isinstance(dialog, QDialog):
            QTest.keyClick(dialog, Qt.Key.Key_Escape)
        else:
            dialog.reject()

    def touch(self, root: QWidget) -> None:
        """Use a random control of a dialog or panel."""
        kinds = (QAbstractButton, QComboBox, QAbstractSpinBox, QAbstractSlider, QLineEdit, QAbstractItemView)
        controls = [one for one in root.findChildren(QWidget) if isinstance(one, kinds) and one.isVisible() and one.isEnabled()]
        if not controls:
            return
        control, rng = self.rng.choice(controls), self.rng
        if isinstance(control, QComboBox):
            control.setFocus()
            for _ in range(rng.randint(1, 3)):
                QTest.keyClick(control, rng.choice((Qt.Key.Key_Down, Qt.Key.Key_Up)))
        elif isinstance(control, QAbstractSpinBox | QAbstractSlider):
            for _ in range(rng.randint(1, 4)):
                QTest.keyClick(control, rng.choice((Qt.Key.Key_Up, Qt.Key.Key_Down, Qt.Key.Key_PageUp, Qt.Key.Key_PageDown)))
        elif isinstance(control, QLineEdit):
            self.type(control, rng.choice(("chair", "a, b", "0.5", "-1", "room", "한글", "<b>", "", "9999999999")))
            if rng.random() < 0.3:
                control.clear()
        elif isinstance(control, QAbstractItemView):
            self._touch_list(control)
        else:
            QTest.mouseClick(control, Qt.MouseButton.LeftButton)

    def _touch_list(self, items: QAbstractItemView) -> None:
        model = items.model()
        if model is None or not model.rowCount(items.rootIndex()):
            return
        index = model.index(self.rng.randrange(model.rowCount(items.rootIndex())), 0, items.rootIndex())
        items.scrollTo(index, QAbstractItemView.ScrollHint.EnsureVisible)
        at = items.visualRect(index).center()
        if self.rng.random() < 0.15:
            QTest.mouseDClick(items.viewport(), Qt.MouseButton.LeftButton, pos=at)
        else:
            QTest.mouseClick(items.viewport(), Qt.MouseButton.LeftButton, pos=at)
        if isValid(items) and self.rng.random() < 0.2:
            QTest.keyClick(items, self.rng.choice((Qt.Key.Key_Down, Qt.Key.Key_End, Qt.Key.Key_Space, Qt.Key.Key_Return)))

    # -- actions ---------------------------------------------------------------------------------------------------------

    def quiet(self) -> bool:
        """Whether nothing runs, no answer is outstanding and nothing asks."""
        program, session = self.program, self.program.session
        shown = session.opening if session.image is None else session.image.id
        busy = program.jobs.running or program.compute.waiting or shown != (session.opening or shown)
        return not busy and self._waiting() is None and program.jobs.wait(0)

    def until_quiet(self, seconds: float) -> bool:
        """Let the window work until it is quiet, several turns in a row; False if that takes longer."""
        end, calm = time.monotonic() + seconds, 0
        while calm < 3:
            if time.monotonic() > end:
                return False
            self.turn(0.01)
            calm = calm + 1 if self.quiet() else 0
        return True

    def act(self, verb: str, seed: int) -> None:
        """Do one action and compare what must hold after each."""
        from tests.soak.verbs import VERBS

        self.rng = random.Random(seed)
        self._patience = self.rng.choice((0, 0, 1, 2, 4, 8))
        self.result.actions += 1
        self.result.verbs[verb] += 1
        VERBS[verb].run(self)
        if self.rng.random() < 0.75:
            self.until_quiet(BUSY)
        else:
            self.turn()
        self.check_light()
        if self.result.actions % 5 == 0 and self.quiet():
            self.check_image()
        if self.result.actions % REST == 0:
            self.rest()

    def rest(self) -> None:
        """Cancel what runs, wait for the end of everything, compare everything, measure what must not grow."""
        self._patience = 0
        end = time.monotonic() + ENDED
        while not self.until_quiet(3.0):
            self.program.jobs.cancel_all()
            if time.monotonic() > end:
                running = [job.title for job in self.program.jobs.running]
                said = f"{running}, {self.program.compute.waiting} requests, {type(self._waiting()).__name__} asks"
                raise NotSurvived(f"not quiet after {ENDED:.0f} s: {said}")
        self.check_image()
        self.check_undo()
        self.check_process()
        self.turn(1.5)  # a second without a request, and the compute process gives memory back
        self.measure()

    # -- invariants ------------------------------------------------------------------------------------------------------

    def _broken(self) -> None:
        if self.faults:
            raise NotSurvived(self.faults[0])

    def check_light(self) -> None:
        """What holds at any moment."""
        self._broken()
        session = self.program.session
        if session.autosaver is not None and session.autosaver.error is not None:
            raise NotSurvived(f"not saved: {session.autosaver.error}")
        if session.image is not None and session.project is not None:
            document, catalog = session.image.document, session.project.catalog
            foreign = set(np.unique(document.labels).tolist()) - {one.id for one in catalog.classes} - {catalog.ignore}
            if foreign:
                raise NotSurvived(f"ids that no class has: {sorted(foreign)}")
            if document.labels.shape != session.image.rgb.shape[:2]:
                raise NotSurvived("the mask has another size than the image")
        self.result.checks["after an action"] += 1

    def check_image(self) -> None:
        """The journal gives the mask in memory, the live matrix is a recount, and nothing has changed without a step."""
        session = self.program.session
        image, project = session.image, session.project
        if image is None or project is None or not image.document.settled:
            return
        document = image.document
        if not project.read_only:
            loaded = project.load(image.id)
            if loaded.document.labels.shape != document.labels.shape or digest(loaded.document) != digest(document):
                differ = int((loaded.document.labels != document.labels).sum())
                raise NotSurvived(f"the journal gives another mask of {image.path.name}: {differ} labels differ")
            self.result.checks["journal"] += 1
        live = self.program.evaluation.live
        if live is not None:
            again = ConfusionMatrix(document.catalog).update(truth=live.scored, prediction=document.labels)
            if not np.array_equal(again.counts, live.matrix.counts):
                raise NotSurvived("the live matrix is not a recount")
            self.result.checks["matrix"] += 1
        place = (project.folder, project.record(image.id).relative_path)
        state = project.journal.head(image.id), repr(project.catalog), digest(document)
        before = self.seen.get(place)
        if before is not None and before[:2] == state[:2] and before[0] and before != state:
            raise NotSurvived(f"{image.path.name} has changed without a step")
        self.seen[place] = state
        self.result.checks["unchanged"] += 1

    def check_undo(self) -> None:
        """Undo and redo of the newest step give the same pixels again."""
        session, commands = self.program.session, self.window.commands
        history, image = session.history, session.image
        if history is None or image is None or not history.can_undo or not commands["edit.undo"].isEnabled():
            return
        before, index = digest(image.document), history.index
        commands["edit.undo"].trigger()
        self.until_quiet(20)
        if history.index == index:
            return  # it is about another image, or something else came first
        commands["edit.redo"].trigger()
        if not self.until_quiet(60):
            raise NotSurvived("undo and redo do not end")
        if session.image is image and history.index == index and digest(image.document) != before:
            raise NotSurvived("undo and redo give other pixels")
        self.result.checks["undo and redo"] += 1

    def check_process(self) -> None:
        """The compute process runs, and the images are what they were."""
        end = time.monotonic() + ENDED
        while not self._compute_memory():  # killed by the last action, and not missed yet
            self.turn(0.05)
            if time.monotonic() > end:
                raise NotSurvived("the compute process does not run")
        changed = [path.name for path, content in self.originals.items() if path.read_bytes() != content]
        if changed:
            raise NotSurvived(f"files of the user were changed: {changed}")
        self.result.checks["process and files"] += 1

    def measure(self) -> None:
        """What must not grow."""
        QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
        gc.collect()
        if sys.platform == "linux":
            ctypes.CDLL(None).malloc_trim(0)
        own, history = psutil.Process(), self.program.session.history
        objects = self.window.findChildren(QObject) + self.application.findChildren(QObject)
        self.result.kinds.append(Counter(type(one).__name__ for one in objects))
        self.result.samples.append(
            {
                "actions": self.result.actions,
                "memory": own.memory_info().rss - (0 if history is None else history.nbytes()),
                "handles": own.num_fds() if sys.platform != "win32" else own.num_handles(),
                "threads": own.num_threads(),
                "objects": len(objects),
                "windows": len(QApplication.topLevelWidgets()),
                "compute": self._compute_memory(),
            }
        )

    def _compute_memory(self) -> int:
        """Bytes that the compute process holds; 0 while none runs."""
        pid = self.program.compute.pid
        try:
            process = psutil.Process(pid) if pid is not None else None
            return 0 if process is None or process.status() == psutil.STATUS_ZOMBIE else int(process.memory_info().rss)
        except psutil.NoSuchProcess:
            return 0

    # -- the run ---------------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Open the first folder, with a model."""
        self._watch()
        self.program.models.load(FIRST_MODEL)
        self.program.projects.open(self.folders[0])
        end = time.monotonic() + ENDED
        while self.program.session.image is None or self.program.models.card is None:
            self.turn(0.02)
            if time.monotonic() > end:
                raise NotSurvived("the first image does not come")
        self.until_quiet(60)

    def finish(self) -> None:
        """Close the window, open every project again and compare its images with what they were last."""
        self.rest()
        self.program.jobs.cancel_all()
        if not self.program.projects.close():
            raise NotSurvived("the project could not be closed")
        self.window.close()
        self.turn(0.1)
        self.application.shut_down()
        for folder in sorted({folder for folder, _ in self.seen}):
            with Project.open(folder) as project:
                for record in project.images:
                    known = self.seen.get((folder, record.relative_path))
                    if known is None or known[:2] != (project.journal.head(record.id), repr(project.catalog)):
                        continue
                    if digest(project.load(record.id).document) != known[2]:
                        raise NotSurvived(f"{record.relative_path} is another one after it was opened again")
                    self.result.checks["opened again"] += 1


class _Faults(logging.Handler):
    """Takes errors with a traceback, and whatever Qt warns of."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__(logging.WARNING)
        self._faults = faults

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.name.startswith("qt."):
            if not any(part in text for part in _HARMLESS):
                self._faults.append(f"Qt: {text}")
        elif record.exc_info or "Traceback" in text:
            self._faults.append(text + "".join(traceback.format_exception(*record.exc_info) if record.exc_info else ()))


def run(base: Path, seed: int, count: int, actions: list[tuple[str, int]] | None = None) -> Result:
    """Do ``count`` random actions of a seed, or the given ones."""
    from tests.soak.verbs import draw

    rng, began = random.Random(seed), time.monotonic()
    listed = draw(rng, count) if actions is None else actions
    player = Player(base / "work", seed)
    result = player.result
    with (base / "actions").open("w", encoding="utf-8") as log:
        try:
            player.begin()
            for verb, number in listed:
                print(verb, number, file=log, flush=True)
                player.act(verb, number)
            player.finish()
        except NotSurvived as error:
            result.failure = str(error)
        except Exception:
            result.failure = traceback.format_exc()
    result.seconds = time.monotonic() - began
    sys.excepthook = sys.__excepthook__
    (base / "result.json").write_text(json.dumps(result.as_dict()), encoding="utf-8")
    return result


def main() -> None:
    """Do it, and leave the process at once: after a failure the window may not want to close."""
    faulthandler.enable()
    base, seed, count = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    actions = None
    if sys.argv[4:]:
        words = [line.split() for line in Path(sys.argv[4]).read_text(encoding="utf-8").splitlines() if line.strip()]
        actions = [(verb, int(number)) for verb, number in words]
    failed = bool(run(base, seed, count, actions).failure)
    for child in psutil.Process().children(recursive=True):
        child.kill()
    sys.stdout.flush()
    os._exit(int(failed))
