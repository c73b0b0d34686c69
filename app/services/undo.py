"""Undo and redo: one QUndoStack per image in a QUndoGroup, each command a named patch of 64-px tiles.

Undo stops at the first prediction of an image (ADR 90): that step is in the journal, and not on the stack.

A step without pixels (a note) carries what to do instead, and is not in the journal: it is undone in its session.

Commands only copy tiles. What can fail (the journal's disk) listens to the signals and deals with it; a step with a damaged
record changes nothing and is cut out of the history. The stacks of a session and the steps of the journal are the same records,
so a reopened image can be undone further.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field

from PySide6.QtCore import QObject, Qt, Signal, Slot
from PySide6.QtGui import QUndoCommand, QUndoGroup, QUndoStack

from app.services.step_writer import AT_ONCE, StepWriter
from app.state.document import Document
from app.state.journal import JournalStep
from app.state.patch import TilePatch
from app.state.provenance import Provenance
from app.text import tr
from deeplab_core.errors import MessageText, ProjectError

#: Packed bytes of all steps kept in memory. The journal keeps what is dropped here, within its own bound.
UNDO_BYTES = 256 * 1024 * 1024

#: A history over its bound is cut to this part of it.
_BOUND_TO = 0.95

#: Most steps of one image kept in memory. A stack of more takes a visible moment to be moved where the bytes reach their bound.
MOST_STEPS = 5000


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


@dataclass(slots=True)
class _Target:
    """What the commands of one stack act on; replaced as a whole when the image is opened again.

    Attributes:
        silent: while a stack is put together, commands move without touching pixels.
        failure: the command that could not be carried out, its direction, and why. Commands do nothing until the stack is cut.
        held: index of the stack before a jump that came while a step was open. Commands do nothing until the stack is back there.
    """

    image: int
    document: Document
    silent: bool = False
    failure: tuple[_StepCommand, int, ProjectError] | None = None
    held: int | None = None


class _StepCommand(QUndoCommand):
    """A step on a stack. The first redo does nothing: its pixels are already painted when it is pushed."""

    def __init__(self, history: UndoHistory, target: _Target, step: Step) -> None:
        super().__init__(tr(step.title))
        self._history = history
        self._target = target
        self.step = step
        self._painted = True

    def redo(self) -> None:
        if self._painted:
            self._painted = False
        else:
            self._move(self.step.patch, 1)

    def undo(self) -> None:
        self._move(self.step.patch.inverted(), -1)

    def _move(self, patch: TilePatch, direction: int) -> None:
        target = self._target
        if target.silent or target.failure is not None or target.held is not None:
            return
        if target.document.has_open_step:
            self._history.hold(self, direction)
            return
        if self.step.act is not None:
            self.step.act(direction)
            return
        try:
            if not self.step.checked and len(patch.tiles) > AT_ONCE:
                patch.check()  # a smaller one is unpacked as a whole before its first tile is written
            self._history.writer.write(target.document, patch)
        except ProjectError as error:
            target.failure = self, direction, error
            self._history.cutNeeded.emit()
        else:
            self._history.stepMoved.emit(target.image, self.step, direction)


@dataclass(slots=True)
class _ImageUndoStack:
    """An image's stack, its target and its commands in order (those beyond the stack's index can be redone).

    Attributes:
        start: the first prediction, which undo does not take back; None before there is one, and where it is not known.
        nbytes: of all its steps, ``start`` included.
    """

    stack: QUndoStack
    target: _Target
    commands: list[_StepCommand] = field(default_factory=list)
    start: Step | None = None
    nbytes: int = 0

    def set_start(self, step: Step | None) -> None:
        self.nbytes += (step.nbytes if step else 0) - (self.start.nbytes if self.start else 0)
        self.start = step

    def push(self, command: _StepCommand) -> None:
        """Put a command behind those in effect; the undone ones are gone."""
        self.cut(self.stack.index())
        self.commands.append(command)
        self.nbytes += command.step.nbytes
        self.stack.push(command)
        if len(self.commands) > MOST_STEPS:  # the stack has dropped its oldest
            self.set_start(None)  # undo ends above it all the same
            self.nbytes -= self.commands.pop(0).step.nbytes

    def cut(self, index: int) -> None:
        """Forget the commands from an index on, as the stack does at its next push."""
        self.nbytes -= sum(command.step.nbytes for command in self.commands[index:])
        del self.commands[index:]


class UndoHistory(QObject):
    """The undo stacks of a session; the stack of the image in view is active.

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
    cutNeeded = Signal()
    _held = Signal()

    def __init__(self, parent: QObject | None = None, *, budget: int = UNDO_BYTES) -> None:
        super().__init__(parent)
        self.group = QUndoGroup(self)
        self.writer = StepWriter(self)
        self._budget = budget
        self._stacks: dict[int, _ImageUndoStack] = {}
        self.group.indexChanged.connect(self.changed)
        self.group.activeStackChanged.connect(self.changed)
        # Not while the stack that calls the commands is still at it (the history list jumps over several steps at once).
        self.cutNeeded.connect(self._cut, Qt.ConnectionType.QueuedConnection)
        self._held.connect(self._jump, Qt.ConnectionType.QueuedConnection)

    def open(self, image: int, document: Document, steps: Iterable[JournalStep]) -> None:
        """Make an image's stack the active one, put together from its journal steps (undone ones can be redone).

        A stack of this session that holds the same document stays as it is.
        """
        opened = self._stacks.get(image)
        if opened is None or opened.target.document is not document:
            self._remove(image)
            known = [(Step(image, step.title, step.source, step.patch, step.seq, checked=False), step.undone) for step in steps]
            done = [step for step, undone in known if not undone]
            undone = [step for step, undone in known if undone]
            start = done.pop(0) if done and _is_first_prediction(done[0]) else None
            undone = undone[:MOST_STEPS]
            surplus = len(done) + len(undone) - MOST_STEPS
            if surplus > 0:
                done, start = done[surplus:], None
            opened = self._build(_Target(image, document), [*done, *undone], len(done), start)
        else:
            del self._stacks[image]
        self._stacks[image] = opened  # the last place of the dictionary is the most recently used
        self.group.setActiveStack(opened.stack)
        self._bound()

    def keep_only(self, images: Collection[int]) -> None:
        """Drop the stacks of all other images.

        A stack holds its image's document, so the stack of each image that was ever in view would keep its pixels in memory.
        """
        for image in [image for image in self._stacks if image not in images]:
            self._remove(image)

    def close(self) -> None:
        """The project is closed: the history goes, with all its stacks, as soon as the events that wait are handled."""
        self.group.setActiveStack(None)  # type: ignore[arg-type]
        self.deleteLater()

    def forget(self, image: int) -> None:
        """Drop the stack of an image, e.g. because it starts over."""
        self._remove(image)
        self.changed.emit()

    def push(self, title: MessageText, patch: TilePatch, source: Provenance) -> Step | None:
        """Take a step of the image in view that was just painted. A patch without tiles is not a step: None."""
        self._cut()
        self._go_back()
        opened = self._active()
        if opened is None or patch.empty:
            return None
        step = Step(opened.target.image, title, source, patch)
        if opened.start is None and opened.stack.index() == 0 and _is_first_prediction(step):
            opened.stack.clear()
            opened.cut(0)
            opened.set_start(step)
            self.stepPushed.emit(step.image, step)
            self.changed.emit()
            self._bound()
            return step
        opened.push(_StepCommand(self, opened.target, step))
        self.stepPushed.emit(step.image, step)
        self._bound()
        return step

    def push_act(self, title: MessageText, act: Callable[[int], object]) -> bool:
        """Take a step of the image in view that changed no pixels and was just done; False without an image.

        Args:
            act: called with -1 to undo it and with 1 to do it again; it reports its own errors.
        """
        self._cut()
        self._go_back()
        opened = self._active()
        if opened is None:
            return False
        document = opened.target.document
        unchanged = TilePatch(document.shape, document.labels.itemsize, (), 0)
        step = Step(opened.target.image, title, Provenance.USER, unchanged, act=act)
        opened.push(_StepCommand(self, opened.target, step))
        self.actDone.emit()
        return True

    def undo(self) -> ProjectError | None:
        """Take the last step of the image in view back; nothing happens without one.

        Returns:
            Why a damaged step could not be undone (see :attr:`stepDamaged`); None for a sound one.
        """
        if not self._ready():
            return None
        self.group.undo()
        opened = self._active()
        failure = None if opened is None else opened.target.failure
        self._cut()
        return None if failure is None else failure[2]

    def redo(self) -> None:
        """Do the step that was undone last again; nothing happens without one."""
        if not self._ready():
            return
        self.group.redo()
        self._cut()

    @property
    def can_undo(self) -> bool:
        return self.group.canUndo()

    @property
    def can_redo(self) -> bool:
        return self.group.canRedo()

    @property
    def undo_text(self) -> str:
        """Title of the step that undo would take back; empty if none."""
        return self.group.undoText()

    @property
    def redo_text(self) -> str:
        """Title of the step that redo would do again; empty if none."""
        return self.group.redoText()

    @property
    def steps(self) -> Sequence[Step]:
        """Steps of the image in view, oldest first; those from :attr:`index` on are undone."""
        opened = self._active()
        if opened is None:
            return []
        start = [] if opened.start is None else [opened.start]
        return [*start, *(command.step for command in opened.commands)]

    @property
    def start(self) -> Step | None:
        """The first prediction of the image in view, at which undo stops; None if there is none."""
        opened = self._active()
        return None if opened is None else opened.start

    @property
    def index(self) -> int:
        """How many steps of the image in view are in effect."""
        opened = self._active()
        return 0 if opened is None else opened.stack.index() + (opened.start is not None)

    def nbytes(self) -> int:
        """Packed bytes of all steps in memory."""
        return sum(opened.nbytes for opened in self._stacks.values())

    def _active(self) -> _ImageUndoStack | None:
        stack = self.group.activeStack()
        # Mostly the last one; without an active stack none is found.
        return next((opened for opened in reversed(self._stacks.values()) if opened.stack is stack), None)

    def _build(self, target: _Target, steps: Sequence[Step], index: int, start: Step | None) -> _ImageUndoStack:
        opened = _ImageUndoStack(QUndoStack(self.group), target)
        opened.stack.setUndoLimit(MOST_STEPS)
        opened.set_start(start)
        target.silent = True
        for step in steps:
            opened.push(_StepCommand(self, target, step))
        opened.stack.setIndex(index)
        target.silent = False
        return opened

    def _ready(self) -> bool:
        """Have an open step of the image in view ended; False if it stays open, and nothing may be undone."""
        self._go_back()
        self.stepEndAsked.emit()
        opened = self._active()
        return opened is None or not opened.target.document.has_open_step

    def hold(self, command: _StepCommand, direction: int) -> None:
        """A command was asked to move in the middle of another step: the history list moves the stack by itself."""
        for opened in self._stacks.values():
            if command in opened.commands:
                opened.target.held = opened.commands.index(command) + (direction < 0)
        self._held.emit()

    def _go_back(self) -> int | None:
        """Where the active stack was asked to go in the middle of a step; it is where it was again. None if it was not."""
        wanted = None
        for opened in self._stacks.values():
            if opened.target.held is not None:
                index = opened.stack.index()
                opened.stack.setIndex(opened.target.held)
                opened.target.held = None
                wanted = index if opened is self._active() else wanted
        return wanted

    @Slot()
    def _jump(self) -> None:
        """End the open step, and only then go where the history list was told to; what the step has replaced is gone."""
        wanted = self._go_back()
        opened = self._active()
        if wanted is None or opened is None:
            return
        count = opened.stack.count()
        if self._ready() and opened is self._active() and (wanted < opened.stack.index() or opened.stack.count() == count):
            opened.stack.setIndex(wanted)

    @Slot()
    def _cut(self) -> None:
        """Go on with the part of a history that a damaged step leaves: what is newer than it, or older where it is undone."""
        for image, opened in list(self._stacks.items()):
            if opened.target.failure is None:
                continue
            command, direction, error = opened.target.failure
            place = opened.commands.index(command)
            rest = opened.commands[place + 1 :] if direction < 0 else opened.commands[:place]
            start = None if direction < 0 else opened.start
            self._replace(opened, [other.step for other in rest], 0 if direction < 0 else place, start)
            self.stepDamaged.emit(image, command.step, error)

    def _replace(self, opened: _ImageUndoStack, steps: Sequence[Step], index: int, start: Step | None) -> None:
        """Put a stack of other steps in a stack's place; an active one stays active."""
        image, active = opened.target.image, opened is self._active()
        rebuilt = self._build(_Target(image, opened.target.document), steps, index, start)
        self._remove(image)
        self._stacks[image] = rebuilt
        if active:
            self.group.setActiveStack(rebuilt.stack)

    def _remove(self, image: int) -> None:
        opened = self._stacks.pop(image, None)
        if opened is not None:
            self.group.removeStack(opened.stack)
            opened.commands.clear()
            opened.stack.setParent(None)
            opened.stack.deleteLater()

    def _bound(self) -> None:
        """Drop whole stacks of images out of view first, least recently used first, then the oldest steps in view.

        Where the bound is reached, a little more is dropped, so that not every later stroke moves the history to a new stack.
        """
        if self.nbytes() <= self._budget:
            return
        excess = self.nbytes() - int(self._budget * _BOUND_TO)
        active = self._active()
        for image, opened in list(self._stacks.items()):
            if excess <= 0:
                return
            if opened is not active:
                excess -= opened.nbytes
                self._remove(image)
        if excess > 0 and active is not None:
            self._shorten(active, excess)

    def _shorten(self, opened: _ImageUndoStack, excess: int) -> None:
        """QUndoStack drops old commands by count only, so the rest moves to a new stack. The newest step always stays."""
        if opened.start is not None and opened.commands:
            excess -= opened.start.nbytes
            opened.set_start(None)  # undo ends above it all the same
        index = opened.stack.index()
        drop = 0
        while excess > 0 and drop < index - 1:
            excess -= opened.commands[drop].step.nbytes
            drop += 1
        if drop == 0:
            return
        self._replace(opened, [command.step for command in opened.commands[drop:]], index - drop, None)


def _is_first_prediction(step: Step) -> bool:
    """Whether a step put a model's labels on an empty mask."""
    if step.source not in (Provenance.MODEL, Provenance.CRF):
        return False
    try:
        return step.patch.begins_unset()
    except ProjectError:
        return False  # damaged: it is found again when it is undone
