"""Undo and redo: a list of named steps for each image, each step a patch of 64-px tiles.

Undo stops at the first prediction of an image (ADR 90): that step is in the journal, and not in the list.

A step without pixels (a note) carries what to do instead, and is not in the journal: it is undone in its session.

Undo and redo only copy tiles. What can fail (the journal's disk) listens to the signals and deals with it; a step with a damaged
record changes nothing and is cut out of the history. The lists of a session and the steps of the journal are the same records,
so a reopened image can be undone further.

No push costs more in a long history than in a short one (ADR 132): the oldest steps leave a few at a time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from app.services.step_writer import AT_ONCE, StepWriter
from app.state.document import Document
from app.state.journal import JournalStep
from app.state.patch import TilePatch
from app.state.provenance import Provenance
from app.text import tr
from deeplab_core.errors import MessageText, ProjectError

#: Packed bytes of all steps kept in memory. The journal keeps what is dropped here, within its own bound.
UNDO_BYTES = 256 * 1024 * 1024

#: Most steps of one image kept in memory; the history list shows them all.
MOST_STEPS = 5000

#: A push, or a turn of the event loop after it, lets go of so many old steps at most.
DROPPED_AT_ONCE = 16


@dataclass(slots=True, eq=False)
class Step:
    """One named step of one image.

    Attributes:
        image: id of the image's record.
        title: e.g. ``"Brush: chair, 1 204 px"``, shown in the language of the window.
        source: who did it.
        patch: what it changed.
        seq: its number in the journal; None until it is recorded there.
        checked: whether all its tiles are known to be sound; those that come from the disk may not be.
        act: instead of pixels, called with 1 to do the step again and with -1 to undo it.
        nbytes: packed size in bytes; a sum over the tiles of all steps at every stroke would grow with the history.
    """

    image: int
    title: MessageText
    source: Provenance
    patch: TilePatch
    seq: int | None = None
    checked: bool = True
    act: Callable[[int], object] | None = None
    nbytes: int = field(init=False)

    def __post_init__(self) -> None:
        self.nbytes = self.patch.nbytes


@dataclass(slots=True, eq=False)
class StepList:
    """The steps of an image.

    Attributes:
        image: id of the image's record.
        document: what the steps change.
        steps: oldest first; those from ``index`` on are undone.
        index: how many of ``steps`` are in effect.
        start: the first prediction, which undo does not take back; None before there is one, and where it is not known.
        dropped: how many steps have left at the old end.
        nbytes: of all its steps, ``start`` included.
    """

    image: int
    document: Document
    steps: deque[Step] = field(default_factory=deque)
    index: int = 0
    start: Step | None = None
    dropped: int = 0
    nbytes: int = 0

    def set_start(self, step: Step | None) -> None:
        self.nbytes += (step.nbytes if step else 0) - (self.start.nbytes if self.start else 0)
        self.start = step

    def push(self, step: Step) -> None:
        """Put a step behind those in effect, after :meth:`cut`."""
        self.steps.append(step)
        self.index += 1
        self.nbytes += step.nbytes
        if len(self.steps) > MOST_STEPS:
            self.set_start(None)
            self.drop_oldest()

    def cut(self) -> deque[Step]:
        """Take the undone steps out, and return them: freeing many at once takes a visible moment."""
        undone: deque[Step] = deque()
        while len(self.steps) > self.index:
            undone.append(self.steps.pop())
            self.nbytes -= undone[-1].nbytes
        return undone

    @property
    def can_drop(self) -> bool:
        """Whether something older than the newest step in effect is kept."""
        return self.index > 1 or (self.start is not None and len(self.steps) > 0)

    def drop_oldest(self) -> int:
        """Forget the first prediction (undo ends above it all the same), else the oldest step; returns its bytes."""
        before = self.nbytes
        if self.start is not None:
            self.set_start(None)
        else:
            self.nbytes -= self.steps.popleft().nbytes
            self.index -= 1
            self.dropped += 1
        return before - self.nbytes

    def take_newer(self, place: int) -> None:
        """Keep only what is newer than a step: all of it is undone."""
        self.set_start(None)
        for _ in range(place + 1):
            self.nbytes -= self.steps.popleft().nbytes
            self.dropped += 1
        self.index = 0


class UndoHistory(QObject):
    """The steps of a session's images; undo and redo act on the image in view.

    Signals:
        stepPushed: (image id, Step) a new step was done; undone steps of the image are gone.
        stepMoved: (image id, Step, direction) a step was undone (-1) or done again (1); the document has changed, or, by
            much, is changing.
        stepDamaged: (image id, Step, ProjectError) a step could be neither undone nor done again; the pixels are as they were
            before that, and the step is in the history no more, nor is what can only be reached through it.
        actDone: () a step without pixels was done.
        changed: () anything that menus or the history list show.
        stepEndAsked: () a step is about to be undone or done again: whatever is painted and not a step yet becomes one first. Its
            patch holds whole tiles of the mask as they were at its start, so the journal would lose what is done in between.
    """

    stepPushed = Signal(int, object)
    stepMoved = Signal(int, object, int)
    stepDamaged = Signal(int, object, object)
    actDone = Signal()
    changed = Signal()
    stepEndAsked = Signal()

    def __init__(self, parent: QObject | None = None, *, budget: int = UNDO_BYTES) -> None:
        super().__init__(parent)
        self.writer = StepWriter(self)
        self._budget = budget
        self._lists: dict[int, StepList] = {}  # least recently used first
        self._view: StepList | None = None
        self._waste: deque[deque[Step]] = deque()  # steps that are counted no more; freeing their tiles takes time
        self._trim = QTimer(self)
        self._trim.setInterval(0)
        self._trim.timeout.connect(self._trim_on)

    def open(self, image: int, document: Document, steps: Iterable[JournalStep]) -> None:
        """Show an image's steps, put together from its journal (undone ones can be redone).

        A list of this session for the same document stays as it is.
        """
        opened = self._lists.get(image)
        if opened is None or opened.document is not document:
            self._remove(image)
            known = [(Step(image, step.title, step.source, step.patch, step.seq, checked=False), step.undone) for step in steps]
            done = [step for step, undone in known if not undone]
            undone = [step for step, undone in known if undone]
            start = done.pop(0) if done and _is_first_prediction(done[0]) else None
            undone = undone[:MOST_STEPS]
            surplus = len(done) + len(undone) - MOST_STEPS
            if surplus > 0:
                done, start = done[surplus:], None
            opened = StepList(image, document, deque([*done, *undone]), len(done))
            opened.nbytes = sum(step.nbytes for step in opened.steps)
            opened.set_start(start)
        else:
            del self._lists[image]
        self._lists[image] = opened  # the last place of the dictionary is the most recently used
        self._view = opened
        self._shrink()
        self.changed.emit()

    def keep_only(self, images: Collection[int]) -> None:
        """Drop the steps of all other images.

        A list holds its image's document, so the list of each image that was ever in view would keep its pixels in memory.
        """
        for image in [image for image in self._lists if image not in images]:
            self._remove(image)

    def close(self) -> None:
        """The project is closed: the history goes as soon as the events that wait are handled."""
        self._trim.stop()
        self._lists.clear()
        self._waste.clear()
        self._view = None
        self.changed.emit()
        self.deleteLater()

    def forget(self, image: int) -> None:
        """Drop the steps of an image, e.g. because it starts over."""
        self._remove(image)

    def push(self, title: MessageText, patch: TilePatch, source: Provenance) -> Step | None:
        """Take a step of the image in view that was just painted. A patch without tiles is not a step: None."""
        opened = self._view
        if opened is None or patch.empty:
            return None
        step = Step(opened.image, title, source, patch)
        self._free(opened.cut())
        if opened.start is None and opened.index == 0 and _is_first_prediction(step):
            opened.set_start(step)
        else:
            opened.push(step)
        self._shrink()
        self.changed.emit()
        self.stepPushed.emit(step.image, step)
        return step

    def push_act(self, title: MessageText, act: Callable[[int], object]) -> bool:
        """Take a step of the image in view that changed no pixels and was just done; False without an image.

        Args:
            act: called with -1 to undo it and with 1 to do it again; it reports its own errors.
        """
        opened = self._view
        if opened is None:
            return False
        document = opened.document
        unchanged = TilePatch(document.shape, document.labels.itemsize, (), 0)
        self._free(opened.cut())
        opened.push(Step(opened.image, title, Provenance.USER, unchanged, act=act))
        self.changed.emit()
        self.actDone.emit()
        return True

    def undo(self) -> ProjectError | None:
        """Take the last step of the image in view back; nothing happens without one.

        Returns:
            Why a damaged step could not be undone (see :attr:`stepDamaged`); None for a sound one.
        """
        opened = self._ready()
        if opened is None or opened.index == 0:
            return None
        failure = self._move(opened, -1)
        self.changed.emit()
        return failure

    def redo(self) -> None:
        """Do the step that was undone last again; nothing happens without one."""
        opened = self._ready()
        if opened is not None and opened.index < len(opened.steps):
            self._move(opened, 1)
            self.changed.emit()

    def go_to(self, index: int) -> None:
        """Undo or redo until so many steps of the image in view are in effect, beside the first prediction.

        What is painted becomes a step first; what that replaces cannot be done again.
        """
        before = self._view
        if before is None:
            return
        wanted = before.dropped + index  # the step that ends now may take the place of older ones
        opened = self._ready()
        while opened is not None and opened is before is self._view:
            place = min(max(wanted - opened.dropped, 0), len(opened.steps))
            if place == opened.index or self._move(opened, 1 if place > opened.index else -1) is not None:
                break
        self.changed.emit()

    @property
    def can_undo(self) -> bool:
        return self._view is not None and self._view.index > 0

    @property
    def can_redo(self) -> bool:
        return self._view is not None and self._view.index < len(self._view.steps)

    @property
    def undo_text(self) -> str:
        """Title of the step that undo would take back; empty if none."""
        opened = self._view
        return "" if opened is None or opened.index == 0 else tr(opened.steps[opened.index - 1].title)

    @property
    def redo_text(self) -> str:
        """Title of the step that redo would do again; empty if none."""
        opened = self._view
        return "" if opened is None or opened.index == len(opened.steps) else tr(opened.steps[opened.index].title)

    @property
    def view(self) -> StepList | None:
        """The steps of the image in view, to be read only; None without an image."""
        return self._view

    @property
    def steps(self) -> Sequence[Step]:
        """Steps of the image in view, oldest first, in a new list; those from :attr:`index` on are undone."""
        opened = self._view
        if opened is None:
            return []
        return [*([] if opened.start is None else [opened.start]), *opened.steps]

    @property
    def start(self) -> Step | None:
        """The first prediction of the image in view, at which undo stops; None if there is none."""
        return None if self._view is None else self._view.start

    @property
    def index(self) -> int:
        """How many steps of the image in view are in effect."""
        opened = self._view
        return 0 if opened is None else opened.index + (opened.start is not None)

    def nbytes(self) -> int:
        """Packed bytes of all steps in memory, without those that are being freed."""
        return sum(opened.nbytes for opened in self._lists.values())

    def _ready(self) -> StepList | None:
        """Have an open step of the image in view ended; None if it stays open, and nothing may be undone, or without an image."""
        self.stepEndAsked.emit()
        opened = self._view
        return None if opened is None or opened.document.has_open_step else opened

    def _move(self, opened: StepList, direction: int) -> ProjectError | None:
        """Undo the last step in effect (-1) or redo the one after it (1); why it is damaged, and the history was cut, or None."""
        place = opened.index - (direction < 0)
        step = opened.steps[place]
        if step.act is not None:
            opened.index += direction
            step.act(direction)
            return None
        patch = step.patch if direction > 0 else step.patch.inverted()
        try:
            if not step.checked and len(patch.tiles) > AT_ONCE:
                patch.check()  # a smaller one is unpacked as a whole before its first tile is written
            self.writer.write(opened.document, patch)
        except ProjectError as error:
            # The part that is left: what is newer than the step, or older where it is undone.
            if direction < 0:
                opened.take_newer(place)
            else:
                self._free(opened.cut())
            self.stepDamaged.emit(opened.image, step, error)
            return error
        opened.index += direction
        self.stepMoved.emit(opened.image, step, direction)
        return None

    def _remove(self, image: int) -> None:
        opened = self._lists.pop(image, None)
        if opened is None:
            return
        self._free(opened.steps)
        if opened is self._view:
            self._view = None
            self.changed.emit()

    def _free(self, steps: deque[Step]) -> None:
        if steps:
            self._waste.append(steps)
            self._trim.start()

    @Slot()
    def _trim_on(self) -> None:
        if self._shrink():
            self.changed.emit()

    def _shrink(self) -> bool:
        """Drop the steps of images out of view first, least recently used first, then the oldest in view; the newest stays.

        A few at a time: the rest follows between the next events.

        Returns:
            Whether the steps of the image in view have become fewer.
        """
        excess, view = self.nbytes() - self._budget, self._view
        for image, opened in list(self._lists.items()) if excess > 0 else ():
            if excess > 0 and opened is not view:
                excess -= opened.nbytes
                self._remove(image)
        left = DROPPED_AT_ONCE
        while view is not None and excess > 0 and left and view.can_drop:
            excess -= view.drop_oldest()
            left -= 1
        fewer = left < DROPPED_AT_ONCE
        while self._waste and left:
            self._waste[0].popleft()
            left -= 1
            if not self._waste[0]:
                self._waste.popleft()
        if self._waste or (view is not None and excess > 0 and view.can_drop):
            self._trim.start()
        else:
            self._trim.stop()
        return fewer


def _is_first_prediction(step: Step) -> bool:
    """Whether a step put a model's labels on an empty mask."""
    if step.source not in (Provenance.MODEL, Provenance.CRF):
        return False
    try:
        return step.patch.begins_unset()
    except ProjectError:
        return False  # damaged: it is found again when it is undone
