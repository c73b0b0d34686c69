"""Correcting the open image's labels: strokes, fills, outlines, undo. Every finished step is signalled once, with a name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, Qt, Signal, Slot

from app.services.step_writer import StepWriter
from app.state.document import Change, Document
from app.state.edits import NO_LIMITS, EditLimits, StrokeSession, eraser_value, fill_patch, polygon_patch
from app.state.edits.limits import edit_limits
from app.state.edits.whole_mask import whole_patch
from app.state.patch import TilePatch
from app.state.provenance import Provenance
from app.state.tools import BandMode, Tool, ToolState
from app.text import mark, spaced, tr
from app.viewmodels.annotate.class_rows import class_name
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.errors import MessageText, message
from deeplab_core.geometry import Box
from deeplab_core.labels import LabelMap

Point = tuple[float, float]
StrokeMode = Literal["paint", "erase", "restore"]

_STROKE_TITLES: dict[StrokeMode, str] = {
    "paint": mark("Brush"),
    "erase": mark("Eraser"),
    "restore": mark("Restore to prediction"),
}


_NOWHERE = Box(0, 0, 0, 0)

#: On images of more pixels a fill or an outline is worked out in the background.
_BACKGROUND_PIXELS = 2_000_000


@dataclass(frozen=True, slots=True)
class _Region:
    """A step that is being worked out.

    Attributes:
        document, revision: what is being read, and its state.
        make: works it out.
        patch: what it will come to.
    """

    document: Document
    revision: int
    name: MessageText
    make: Callable[[], TilePatch]
    source: Provenance
    patch: Future[TilePatch]


@dataclass(frozen=True, slots=True)
class PendingStroke:
    """A finished stroke that waits for what follows from it, so that both become one step.

    Attributes:
        document: what was painted on.
        title: name of the step without its extent.
        value: label that was painted.
        patch: what the stroke changed.
        rect: where the brush was.
        revision: of the document when the stroke ended.
    """

    document: Document
    title: MessageText
    value: int
    patch: TilePatch
    rect: Box
    revision: int


class OutlineUse(StrEnum):
    """What an outline of lasso or polygon is for: filled here, or passed on by :attr:`EditController.outlineDrawn`."""

    FILL = "fill"
    LIMIT = "limit"
    REFINE = "refine"
    MARK_AMBIGUOUS = mark("mark ambiguous")


class EditController(QObject):
    """Owns the document in view, the current tools and the stroke that is being painted.

    Coordinates are float image px. A method without an open document, or refused for a reason, changes nothing and says why
    through :attr:`refused`.

    Signals:
        stepDone: (MessageText, TilePatch, Provenance) after a step that changed something; the pixels are already painted,
            or, of a step that changes much of a large image, being painted.
        changed: (Box) after any change of the labels, undo and redo included.
        documentChanged: (Document or None) another document is in view.
        refused: (text) why a method did nothing, for the user.
        busyChanged: (bool) a stroke began or ended.
        strokePending: (PendingStroke) a painted stroke has ended while strokes are held (:meth:`hold_strokes`).
        outlineDrawn: (OutlineUse, points) an outline that is not filled.
        limitsChanged(): the trimap band or the locked classes, which limit edits.
        undoAsked, redoAsked: no stroke takes the command; what they undo and redo is the history's matter.
    """

    stepDone = Signal(object, object, object)
    changed = Signal(object)
    documentChanged = Signal(object)
    refused = Signal(str)
    busyChanged = Signal(bool)
    strokePending = Signal(object)
    outlineDrawn = Signal(object, object)
    limitsChanged = Signal()
    undoAsked = Signal()
    redoAsked = Signal()
    _workedOut = Signal()

    def __init__(self, tools: ToolState, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.tools = tools
        self._document: Document | None = None
        self._stroke: StrokeSession | None = None
        self._stroke_title = message("")
        self._stroke_source = Provenance.USER
        self._stroke_value = 0
        self._stroke_rect = _NOWHERE
        self._pending: PendingStroke | None = None
        self._holding = False
        self._outline_use = OutlineUse.FILL
        self._locked: str | None = None
        self._band: NDArray[np.bool_] | None = None
        self._writer = StepWriter(self)
        self._end_elsewhere: Callable[[], None] | None = None
        self._region: _Region | None = None
        self._background: ThreadPoolExecutor | None = None
        self._workedOut.connect(self._take_region, Qt.ConnectionType.QueuedConnection)

    # -- what is open ----------------------------------------------------------------------------------------------------

    @property
    def document(self) -> Document | None:
        return self._document

    @property
    def busy(self) -> bool:
        """Whether a stroke is being painted, or something else paints into the document (:meth:`hold`)."""
        return self._stroke is not None or self._end_elsewhere is not None

    def hold(self, end: Callable[[], None] | None) -> None:
        """Another part paints in an open step. ``end`` takes that back before anything else changes; None: over."""
        self._end_elsewhere = end
        self.busyChanged.emit(self.busy)

    def set_document(self, document: Document | None) -> None:
        """Bring another document into view. The current stroke is committed to the old one first: nothing is lost."""
        self.commit_stroke()
        if self._document is not None:
            self._document.changed.disconnect(self._follow)
        self._document, self._band = document, None
        if document is not None:
            document.changed.connect(self._follow)
        self.documentChanged.emit(document)

    def set_locked(self, reason: str | None) -> None:
        """Refuse every change with this reason; None allows them again. The current stroke is committed first."""
        self.commit_stroke()
        self._locked = reason

    def hold_strokes(self, on: bool) -> None:
        """Hold every painted stroke that ends, announce it by :attr:`strokePending`, and wait for :meth:`finish_pending`."""
        self._holding = on

    @property
    def outline_use(self) -> OutlineUse:
        """What the next outlines are for."""
        return self._outline_use

    def set_outline_use(self, use: OutlineUse) -> None:
        """What the next outlines of lasso and polygon are for."""
        self._outline_use = use

    def choose_class(self, class_id: int) -> None:
        """Select another class. Ignored in the middle of a stroke."""
        if not self.busy:
            self.tools.choose_class(class_id)

    def choose_tool(self, tool: Tool | str) -> None:
        """Select another tool. Ignored in the middle of a stroke."""
        if not self.busy:
            self.tools.choose_tool(Tool(tool))

    def toggle_within(self) -> None:
        """Paint only over the class where a stroke or an outline begins, or over all. Ignored in the middle of a stroke."""
        if not self.busy:
            self.tools.toggle_within()

    def toggle_band(self, mode: BandMode | str) -> None:
        """Paint only inside, or only outside, the trimap band, or everywhere. Ignored in the middle of a stroke."""
        if not self.busy:
            self.tools.toggle_band(BandMode(mode))

    def toggle_snapping(self) -> None:
        """Let the lasso snap to the edges of the image, or no longer. Ignored in the middle of a stroke."""
        if not self.busy:
            self.tools.toggle_snapping()

    def scale_brush(self, steps: int) -> None:
        """Grow (or, with a negative number, shrink) the brush by 10 % a step, at least by one px."""
        self.tools.scale_diameter(steps)

    # -- strokes ---------------------------------------------------------------------------------------------------------

    def begin_stroke(self, x: float, y: float, mode: StrokeMode = "paint", pressure: float = 1.0) -> bool:
        """Put the brush down at a point; False if that was refused. A stroke in progress is committed first."""
        self.commit_stroke()
        document = self.ready()
        if document is None:
            return False
        if mode == "restore" and document.reference is None:
            self.refused.emit(tr("There is no prediction to restore yet. Run the model on this image first."))
            return False
        value = {"paint": self.tools.class_id, "erase": eraser_value(document.catalog), "restore": None}[mode]
        if value is not None and self.refuses(document, value):
            return False
        diameter = self._diameter(pressure)
        limits = NO_LIMITS if value is None else self.limits(document, (x, y))
        if self.stops(limits):
            return False
        self._stroke = StrokeSession(document, value=value, diameter=diameter, limits=limits)
        name = message(_STROKE_TITLES[mode])
        self._stroke_title = name if value is None else _of_class(name, document.catalog, value, limits)
        self._stroke_source = Provenance.MODEL if value is None else Provenance.USER
        self._stroke_value = 0 if value is None else value
        self._stroke_rect = _NOWHERE
        self.busyChanged.emit(True)
        self._stroke.begin(x, y)
        return True

    def extend_stroke(self, points: Sequence[Point], pressure: float = 1.0) -> None:
        """Draw on through some points, in order. Nothing happens without a current stroke."""
        if self._stroke is not None:
            self._stroke.diameter = self._diameter(pressure)
            self._stroke.extend(points)

    def commit_stroke(self) -> None:
        """Finish the current action: a stroke becomes one step, a fill that is being worked out or painted comes to its end.

        To be called before anything else reads or changes the whole mask. A stroke that waits for its follow-up is signalled as
        it is.
        """
        self.finish_pending()
        if self._end_elsewhere is not None:
            self._end_elsewhere()
        if self._region is not None:
            self._region.patch.exception()  # waits; the outcome is taken below
            self._take_region()
        self._writer.settle()
        if self._document is not None:
            self._document.settle()
        stroke, self._stroke = self._stroke, None
        if stroke is not None:
            patch = stroke.commit()
            self._announce(self._stroke_title, patch, self._stroke_source)
            self.busyChanged.emit(False)

    def end_stroke(self) -> None:
        """The brush was lifted: commit the stroke, or hold it (:meth:`hold_strokes`)."""
        stroke, document = self._stroke, self._document
        if stroke is None or document is None or not self._holding or self._stroke_source is not Provenance.USER:
            self.commit_stroke()
            return
        self._stroke = None
        patch = stroke.commit()
        pending = PendingStroke(document, self._stroke_title, self._stroke_value, patch, self._stroke_rect, document.revision)
        self._pending = pending
        document.open_step(patch)  # no step yet: no mask file may hold it
        self.busyChanged.emit(False)
        if patch.tiles:
            self.strokePending.emit(pending)
        else:
            self.finish_pending()

    def finish_pending(self, name: MessageText | None = None, follow: TilePatch | None = None) -> None:
        """Tell the stroke that waits, as one step with what follows from it.

        Args:
            name: of the whole step, without its extent; None keeps the stroke's.
            follow: what else the step changes; painted here.
        """
        pending, self._pending = self._pending, None
        if pending is None:
            return
        patch = pending.patch
        pending.document.close_step(patch)
        if follow is not None and follow.tiles:
            pending.document.apply(follow)
            patch = patch.then(follow)
        self._announce(name or pending.title, patch, Provenance.USER)

    @property
    def pending_stroke(self) -> PendingStroke | None:
        """The finished stroke that waits for what follows from it."""
        return self._pending

    def abort_stroke(self) -> bool:
        """Revert the current stroke, pixel for pixel; False without one."""
        stroke, self._stroke = self._stroke, None
        if stroke is None:
            return False
        stroke.abort()
        self.busyChanged.emit(False)
        return True

    def _diameter(self, pressure: float) -> float:
        return max(self.tools.diameter * pressure, 1.0)

    # -- regions ---------------------------------------------------------------------------------------------------------

    def fill(self, x: float, y: float) -> None:
        """Fill the 4-connected region of equal labels under a point with the selected class."""
        document, value = self.ready(), self.tools.class_id
        if document is None or self.refuses(document, value, *_label_at(document, x, y)):
            return
        limits = self.limits(document, (x, y), whole=True)
        if not self.stops(limits):
            name = message("Fill: {class_name}", class_name=class_name(document.catalog, value))
            self.carry_out(name, document, lambda: fill_patch(document, x, y, value, limits=limits))

    def polygon(self, points: Sequence[Point]) -> None:
        """Paint the inside of a closed polygon with the selected class, or pass it on (:meth:`set_outline_use`)."""
        self._outline(message("Polygon"), points)

    def lasso(self, points: Sequence[Point]) -> None:
        """Paint the inside of a freehand outline with the selected class, or pass it on (:meth:`set_outline_use`)."""
        self._outline(message("Lasso"), points)

    def _outline(self, name: MessageText, points: Sequence[Point]) -> None:
        document, value = self.ready(), self.tools.class_id
        if document is not None and self._outline_use is not OutlineUse.FILL:
            self.outlineDrawn.emit(self._outline_use, points)
        elif document is not None and points and not self.refuses(document, value):
            limits = self.limits(document, points[0])
            if not self.stops(limits):
                name = _of_class(name, document.catalog, value, limits)
                self.carry_out(name, document, lambda: polygon_patch(document, points, value, limits=limits))

    def limits(self, document: Document, start: Point | None = None, *, whole: bool = False) -> EditLimits:
        """What may be changed now, see :func:`app.state.edits.limits.edit_limits`."""
        return edit_limits(document, self.tools, self._band, start, whole=whole)

    def set_band(self, inside: NDArray[np.bool_] | None) -> None:
        """The trimap band of the document, (H, W) bool, for edits that are limited to one side of it; None if it has none."""
        self._band = inside
        self.limitsChanged.emit()

    def stops(self, limits: EditLimits) -> bool:
        """Whether nothing may be changed, which is said."""
        if limits.reason is not None:
            self.refused.emit(tr(limits.reason))
        return limits.reason is not None

    def carry_out(
        self, name: MessageText, document: Document, make: Callable[[], TilePatch], source: Provenance = Provenance.USER
    ) -> None:
        """Do a step that may look at the whole image: a fill, a prediction, the truth. The current action is finished first.

        On a small image it is done on return. On a large one it is worked out in the background and painted between other
        events; any other method, and :meth:`commit_stroke`, waits for it.

        Args:
            name: the step's title without its extent.
            make: works the step out from the document without changing it; called in another thread.
            source: who is said to have done it.
        """
        self.commit_stroke()
        if document.labels.size <= _BACKGROUND_PIXELS:
            self._write(name, document, make(), source)
            return
        if self._background is None:
            self._background = ThreadPoolExecutor(max_workers=1, thread_name_prefix="region")
        future = self._background.submit(make)
        self._region = _Region(document, document.revision, name, make, source, future)
        future.add_done_callback(lambda _future: self._workedOut.emit())

    @Slot()
    def _take_region(self) -> None:
        """Paint the fill or outline that was worked out; once more if the mask has changed since."""
        region = self._region
        if region is None or not region.patch.done():
            return
        self._region = None
        moved = region.document.revision != region.revision
        patch = region.make() if moved else region.patch.result()
        self._write(region.name, region.document, patch, region.source)

    def _write(self, name: MessageText, document: Document, patch: TilePatch, source: Provenance) -> None:
        if patch.tiles:
            self._writer.write(document, patch)
            self._announce(name, patch, source)

    def replace_all(self, labels: LabelMap, source: Provenance, title: MessageText, by: NDArray[np.uint8] | None = None) -> None:
        """Replace the mask by (H, W) labels in the project's ids, as one step; nothing without a mask that may be changed.

        Args:
            source: provenance of every pixel.
            by: (H, W) uint8 provenance of each pixel, where it is known.
        """
        document = self._document
        if document is None or self._locked is not None:
            return

        def make() -> TilePatch:
            return whole_patch(document, labels, np.full_like(document.provenance, source) if by is None else by)

        # What the user chose to start from is the user's work: a later prediction must not replace it without a question.
        journaled = Provenance.IMPORT if source is not Provenance.MODEL else source
        self.carry_out(title, document, make, journaled)

    # -- the rest --------------------------------------------------------------------------------------------------------

    def pick(self, x: float, y: float) -> None:
        """Select the class under a point. Nothing happens outside the image."""
        document = self._document
        for value in () if document is None else _label_at(document, x, y):
            self.choose_class(value)

    def undo(self) -> None:
        """Revert the current stroke, or else the last step; ignored while another part paints (:meth:`hold`)."""
        if self._end_elsewhere is None and not self.abort_stroke():
            self.commit_stroke()
            self.undoAsked.emit()

    def redo(self) -> None:
        """Do the last undone step again; ignored in the middle of a stroke."""
        if not self.busy:
            self.commit_stroke()
            self.redoAsked.emit()

    def ready(self) -> Document | None:
        """The document in view, if it may be changed; None after saying why not."""
        if self._document is None:
            self.refused.emit(tr("Open an image first."))
            return None
        if self._locked is not None:
            self.refused.emit(self._locked)
            return None
        return self._document

    def refuses(self, document: Document, *values: int) -> bool:
        """Whether one of these classes is locked, which is said."""
        locked = next((value for value in values if value in document.locked), None)
        if locked is not None:
            name = class_name(document.catalog, locked)
            self.refused.emit(tr("{name} is locked: its pixels keep it, and no others get it. Unlock it first.", name=name))
        return locked is not None

    def _follow(self, change: Change) -> None:
        if self._stroke is not None:
            self._stroke_rect = self._stroke_rect.united(change.rect)
        self.changed.emit(change.rect)

    def _announce(self, name: MessageText, patch: TilePatch, source: Provenance) -> None:
        if patch.tiles:
            self.stepDone.emit(step_title(name, patch, source), patch, source)


def _label_at(document: Document, x: float, y: float) -> tuple[int, ...]:
    """The label under a point in float image px; empty outside the image."""
    column, row = int(x // 1), int(y // 1)
    inside = 0 <= row < document.shape[0] and 0 <= column < document.shape[1]
    return (int(document.labels[row, column]),) if inside else ()


def step_title(name: MessageText, patch: TilePatch, source: Provenance) -> MessageText:
    """Name and extent of a step: 'Brush: chair, 1 204 px'; where only provenance changed, the pixels of that."""
    if patch.changed_pixels:
        return message("{name}, {pixels} px", name=name, pixels=spaced(patch.changed_pixels))
    pixels = spaced(patch.changed_provenance())
    if source is Provenance.USER:
        return message("{name}, confirmed {pixels} px", name=name, pixels=pixels)
    return message("{name}, returned to the model {pixels} px", name=name, pixels=pixels)


def _of_class(name: MessageText, catalog: ClassCatalog, value: int, limits: EditLimits) -> MessageText:
    """A step's title with the class that it paints, and the one that it may paint over."""
    painted = class_name(catalog, value)
    over = [class_name(catalog, class_id) for class_id in limits.over or ()]
    if len(over) == 1:
        return message("{name}: {painted} over {other}", name=name, painted=painted, other=over[0])
    return message("{name}: {painted}", name=name, painted=painted)
