"""The open image's label map. Everything that changes a pixel goes through this one class."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.signal import Signal
from app.state.locks import Locks
from app.state.opencv import opencv
from app.state.patch import TilePatch
from app.state.provenance import Provenance
from app.state.snapshot import OpenStep, Snapshot
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.errors import ProjectError
from deeplab_core.geometry import Box
from deeplab_core.labels import LabelMap

#: From this many pixels on a masked write is worth the call into OpenCV.
_LARGE = 4096

#: Most tiles that are written at once: with counting and repainting a few ms.
PART_TILES = 48


class ChangedPart(NamedTuple):
    """A rectangle in which pixels changed, inside the image, and a (h, w) copy of its labels before that."""

    rect: Box
    before: LabelMap


class PaintedPart(NamedTuple):
    """A rectangle inside the image, the pixels of it that are set ((h, w) bool), and their value or (h, w) values."""

    rect: Box
    where: NDArray[np.bool_]
    values: int | NDArray[Any]


@dataclass(frozen=True, slots=True)
class Change:
    """What listeners learn after pixels changed.

    Attributes:
        rect: smallest that holds all parts.
        parts: where, for those that look at pixels: a thin or hollow shape fills little of ``rect``. They do not overlap.
        revision: of the document after the change.
    """

    rect: Box
    parts: tuple[ChangedPart, ...]
    revision: int


class Document:
    """Label map, provenance and reference prediction of one image.

    The two arrays are changed in place and never replaced, so that views may wrap their memory (a QImage does). Only the
    window's thread may change a document; jobs get copies.

    Attributes:
        labels: (H, W) uint8 (uint16 for a wide catalog), C-contiguous ids, void = ``catalog.ignore``.
        provenance: (H, W) uint8 of :class:`Provenance`.
        catalog: what the ids mean.
        reference: (H, W) labels that 'restore to prediction' paints, in this catalog's ids; None before a model ran.
        locks: classes with pixels that no writer changes, see :mod:`app.state.locks`; those of the project.
        revision: grows by one with every change.
    """

    def __init__(
        self,
        labels: LabelMap,
        catalog: ClassCatalog,
        provenance: NDArray[np.uint8] | None = None,
        reference: LabelMap | None = None,
    ) -> None:
        if labels.ndim != 2 or labels.dtype != catalog.dtype:
            raise ValueError(f"labels must be (H, W) {catalog.dtype}, got {labels.shape} {labels.dtype}")
        self.labels: LabelMap = np.require(labels, requirements=["C", "W"])
        if provenance is None:
            provenance = np.zeros(labels.shape, dtype=np.uint8)
        if provenance.shape != labels.shape or provenance.dtype != np.uint8:
            raise ValueError("provenance must be (H, W) uint8 of the same size as labels")
        self.provenance: NDArray[np.uint8] = np.require(provenance, requirements=["C", "W"])
        self.catalog = catalog
        self.reference = reference
        self.locks = Locks()
        self.revision = 0
        #: Emitted after every change, on the changing thread.
        self.changed: Signal[Change] = Signal()
        self._parts: Iterator[None] | None = None
        self._open_steps: list[OpenStep] = []
        self._snapshots: list[Snapshot] = []

    @staticmethod
    def blank(shape: tuple[int, int], catalog: ClassCatalog) -> Document:
        """A document of nothing but void: 'unset' stays visible as unlabelled until the user labels it."""
        return Document(np.full(shape, catalog.ignore, dtype=catalog.dtype), catalog)

    @property
    def locked(self) -> frozenset[int]:
        """Ids of the locked classes."""
        return self.locks.ids

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W) in px."""
        height, width = self.labels.shape
        return height, width

    def paint(self, rect: Box, where: NDArray[np.bool_], values: int | NDArray[Any], source: Provenance) -> None:
        """Set the pixels of ``rect`` where ``where`` ((h, w) bool) holds, to one value or to (h, w) values.

        ``rect`` must lie inside the image. Listeners hear of it once.
        """
        self.paint_parts([PaintedPart(rect, where, values)], source)

    def paint_parts(self, parts: Iterable[PaintedPart], source: Provenance) -> None:
        """Set pixels in several rectangles that do not overlap. Listeners hear of all of them at once."""
        self.settle()
        changed = []
        for rect, where, values in parts:
            self._touch(rect)
            region = self.labels[rect.slices]
            changed.append(ChangedPart(rect, region.copy()))
            _write(region, np.asarray(values, dtype=self.labels.dtype), where)
            _write(self.provenance[rect.slices], np.asarray(source, dtype=np.uint8), where)
        if changed:
            self._tell(*changed)

    def apply(self, patch: TilePatch) -> Box:
        """Write the 'after' side of a patch and return the rectangle that changed.

        Unpacks every tile before it writes the first one, so that a damaged patch changes nothing.
        """
        self.settle()
        self._check(patch)
        tiles = list(patch.after_tiles())
        if tiles:
            self._set_tiles(patch.rects(), tiles)
        return patch.bounds

    def open_step(self, step: OpenStep) -> None:
        """Announce a step with pixels that are painted before the journal knows of it; :meth:`close_step` ends that.

        Until then no :meth:`snapshot`, and so no mask file, holds them.
        """
        self._open_steps.append(step)

    def close_step(self, step: OpenStep) -> None:
        """The step is about to be recorded, or was taken back. Nothing happens where it is not open."""
        self._open_steps = [known for known in self._open_steps if known is not step]

    @property
    def has_open_step(self) -> bool:
        """Whether something is painted that the journal does not know of yet. No other step may be done or undone then."""
        return bool(self._open_steps)

    def snapshot(self) -> Snapshot:
        """The maps at the last step boundary, to be copied by another thread. What is written in parts is finished first."""
        self.settle()
        made = Snapshot(self.labels, self.provenance, self._open_steps)
        self._snapshots = [*(known for known in self._snapshots if known.open), made]
        return made

    def start(self, patch: TilePatch) -> None:
        """Begin to write the 'after' side of a patch, a part with every :meth:`advance`; listeners hear of every part.

        A step that changes all of a large photograph takes a second with everything that follows a change: in parts, the window
        goes on during it. Any other change, and :meth:`settle`, finishes what is left first.
        """
        self.settle()
        self._check(patch)
        self._parts = self._write_parts(patch)

    def advance(self) -> bool:
        """Write the next part of what :meth:`start` began; False if nothing is left.

        Raises:
            ProjectError: a damaged tile; the parts written before are taken back.
        """
        parts = self._parts
        if parts is None:
            return False
        try:
            next(parts)
        except BaseException as error:
            self._parts = None
            if isinstance(error, StopIteration):
                return False
            raise
        return True

    def settle(self) -> None:
        """Finish what :meth:`start` began: call it before the whole map is read to be kept."""
        while self.advance():
            pass

    @property
    def settled(self) -> bool:
        """Whether nothing is being written in parts."""
        return self._parts is None

    def _write_parts(self, patch: TilePatch) -> Iterator[None]:
        written: list[tuple[Box, LabelMap, NDArray[np.uint8]]] = []
        try:
            for part in patch.parts(PART_TILES):
                tiles, rects = list(part.after_tiles()), part.rects()
                written += ((rect, self.labels[rect.slices].copy(), self.provenance[rect.slices].copy()) for rect in rects)
                self._set_tiles(rects, tiles)
                yield
        except ProjectError:
            for tile in reversed(written):
                self._set_tiles([tile[0]], [tile])
            raise

    def _set_tiles(self, rects: list[Box], tiles: list[tuple[Box, LabelMap, NDArray[np.uint8]]]) -> None:
        """Write (rect, labels, provenance) of tiles that lie in some rectangles, and tell that those have changed."""
        changed = []
        for rect in rects:
            self._touch(rect)
            changed.append(ChangedPart(rect, self.labels[rect.slices].copy()))
        for rect, labels, provenance in tiles:
            self.labels[rect.slices], self.provenance[rect.slices] = labels, provenance
        self._tell(*changed)

    def fits(self, patch: TilePatch) -> bool:
        """Whether a patch was made for maps of this size and type."""
        return patch.shape == self.shape and patch.itemsize == self.labels.dtype.itemsize

    def _check(self, patch: TilePatch) -> None:
        if not self.fits(patch):
            raise ValueError(f"a patch for {patch.shape} does not fit a document of {self.shape}")

    def _touch(self, rect: Box) -> None:
        for snapshot in self._snapshots:
            snapshot.touch(rect)

    def _tell(self, *parts: ChangedPart) -> None:
        self.revision += 1
        rect = parts[0].rect if len(parts) == 1 else Box.around_all([part.rect for part in parts])
        self.changed.emit(Change(rect, parts, self.revision))


def _write(region: LabelMap, values: LabelMap, where: NDArray[np.bool_]) -> None:
    """Set the pixels of a (h, w) view where ``where`` holds. OpenCV's masked copy takes a quarter of numpy's time."""
    if where.size < _LARGE:
        np.copyto(region, values, where=where)
        return
    source = values if values.ndim else np.full(region.shape, values)
    opencv().copyTo(source, np.ascontiguousarray(where).view(np.uint8), region)
