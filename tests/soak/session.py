"""One seeded session of corrections, as a program of its own: ``python -m tests.soak.session FOLDER SEED ACTIONS``.

It uses the real project, undo history and autosaver in an event loop, without a window. After each action it sets a mark in the
record of file operations (see ``oplog``): ``state IMAGE LOOK PIXELS`` is what the image must look like once the action has
returned.
``durable N`` follows each flush of the journal: the first N marks had been set before that flush began. ``whole`` ends a session
that was not interrupted. When a save fails, ``refused`` is marked and the session goes on.
"""

from __future__ import annotations

import ctypes
import hashlib
import random
import sys
from collections.abc import Iterable
from pathlib import Path

from app.state.document import Document
from app.state.journal import JournalStep
from app.state.project import ImageStatus, Project
from deeplab_core.errors import AtrousError

IMAGES = ("a.png", "b.png")

#: How often opening and the last save are tried before the session gives up.
_TRIES = 1000


def digest(document: Document, history: Iterable[tuple[str, bool]], status: int) -> str:
    """What an image looks like: labels, provenance, undo history (title, undone) and status in one word."""
    content = hashlib.sha1(document.labels.tobytes() + document.provenance.tobytes(), usedforsecurity=False)
    content.update(repr((list(history), int(status))).encode())
    return content.hexdigest()


def history_of(steps: Iterable[JournalStep]) -> list[tuple[str, bool]]:
    """Titles of the steps that can be undone, then of those that can be redone."""
    known = [(step.title, step.undone) for step in steps]
    return [step for step in known if not step[1]] + [step for step in known if step[1]]


class Session:
    """The actions, each followed by its mark."""

    def __init__(self, folder: Path, seed: int) -> None:
        from app.services.autosave import Autosaver
        from app.services.undo import UndoHistory

        self._rng = random.Random(seed)
        self._mark_text = getattr(ctypes.CDLL(None), "oplog_mark", None)
        self._marks = 0
        self.project = Project.open(folder)
        self._sync = self.project.sync
        self.project.sync = self._marked_sync  # type: ignore[method-assign]
        # A journal that is small enough to be bounded in some sessions, or one that keeps everything.
        self._bound = 2000 if seed % 3 == 0 else 1 << 30
        self.history = UndoHistory()
        self.saver = Autosaver(self.project, idle_ms=8, sync_ms=3, journal_bytes=self._bound)
        self.history.stepPushed.connect(self.saver.record_step)
        self.history.stepMoved.connect(self.saver.record_move)
        self.saver.failed.connect(lambda _error: self.mark("refused"))
        self._titles: dict[int, tuple[list[str], list[str]]] = {}
        self._documents: dict[int, Document] = {}
        self._image = self.project.images[0].id
        self._number = 0
        self._show(self._image)

    def mark(self, text: str) -> None:
        """Put a mark into the record."""
        if self._mark_text is not None:
            self._mark_text(text.encode())

    def _marked_sync(self) -> None:
        before = self._marks
        self._sync()
        self.mark(f"durable {before}")

    def _show(self, image: int) -> None:
        document = self.saver.held(image)
        steps: list[JournalStep] = []
        saved = False
        if document is None:
            loaded = self.project.load(image)
            document, steps, saved = loaded.document, list(loaded.steps), loaded.saved or not loaded.steps
            self._titles.setdefault(image, ([], []))
        self._image, self._documents[image] = image, document
        self.history.open(image, document, steps)
        self.saver.watch(image, document, saved=saved)

    def act(self) -> None:
        """Carry out the next action and mark what it led to."""
        rng, image = self._rng, self._image
        document = self._documents[image]
        done, undone = self._titles[image]
        action = rng.choices(("paint", "undo", "redo", "switch", "save", "status", "over"), weights=(50, 14, 8, 10, 6, 8, 1))[0]
        if action == "paint":
            from app.state.provenance import Provenance
            from tests.unit.app.folders import paint

            self._number += 1
            title = f"Brush {self._number}"
            patch = paint(document, rng.getrandbits(30))
            if self.history.push(title, patch, Provenance.USER) is not None:
                done.append(title)
                undone.clear()
        elif action == "undo" and done:
            self.history.undo()
            undone.insert(0, done.pop())
        elif action == "redo" and undone:
            self.history.redo()
            done.append(undone.pop(0))
        elif action == "switch":
            self._show(next(record.id for record in self.project.images if record.id != image))
        elif action == "save":
            self.saver.save_now()
        elif action == "status":
            self.project.set_status(image, rng.choice((ImageStatus.TOUCHED, ImageStatus.REVIEWED)))
        elif action == "over":
            self.saver.flush()
            self.project.start_over(image)
            self.saver.forget(image)
            self.history.forget(image)
            self._titles[image] = ([], [])
            self._show(image)
        self._say(self._image)

    def finish(self) -> None:
        """Save everything and close the project; what each image looks like is marked before closing.

        Raises:
            AtrousError: something could not be saved; everything stays in memory.
        """
        self.saver.retry()
        self.saver.flush()
        for image in self._documents:
            self._say(image)  # a step that waited for the disk has changed the status only now
        self.saver.stop()
        self.project.close()

    def _say(self, image: int) -> None:
        """Mark what an image looks like now."""
        self._marks += 1
        done, undone = self._titles[image]
        history = [(title, False) for title in done] + [(title, True) for title in undone]
        if self._bound < 1 << 20:  # what a bounded journal still holds is not known here
            history = []
        record = self.project.record(image)
        document = self._documents[image]
        # The second word knows the pixels only: they are what counts where a damaged file has cost the history.
        self.mark(f"state {record.relative_path} {digest(document, history, record.status)} {digest(document, (), 0)}")


def _opened(folder: Path, seed: int) -> Session:
    """Open the project as a user would: again and again while the disk refuses."""
    for _ in range(_TRIES):
        try:
            return Session(folder, seed)
        except AtrousError as error:
            print(error, flush=True)
    raise SystemExit("the project could not be opened")


def main(folder: Path, seed: int, actions: int) -> int:
    """Run the session in an event loop."""
    from PySide6.QtCore import QCoreApplication, QTimer

    application = QCoreApplication([])
    session = _opened(folder, seed)
    left = actions

    def work() -> None:
        nonlocal left
        left -= 1
        try:
            if left >= 0:
                session.act()
                return
            session.finish()
        except AtrousError as error:
            print(error, flush=True)
            session.mark("refused")
            if left > -_TRIES:
                return
        else:
            session.mark("whole")
        timer.stop()
        application.quit()

    timer = QTimer(interval=1)
    timer.timeout.connect(work)
    timer.start()
    application.exec()
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
