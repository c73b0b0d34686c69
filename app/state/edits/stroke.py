"""One stroke of a brush: from pen down to pen up, painted live into the document and handed over as one patch."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from app.state.document import Document, PaintedPart
from app.state.edits.limits import NO_LIMITS, EditLimits, writable
from app.state.edits.raster import Point, Spans, capsule_spans, line_pixels
from app.state.edits.region import refuse_locked
from app.state.patch import PatchRecorder, TilePatch
from app.state.provenance import Provenance
from deeplab_core.errors import AtrousError, message
from deeplab_core.geometry import Box

#: Below this diameter a disk may miss every pixel centre (radius under half a pixel's diagonal), so the stroke becomes a line
#: of single pixels: diameter 1 paints exactly the pixel under the point.
_THIN = 1.5

#: A thin line is painted in pieces of so many pixels, so that a long diagonal never needs a mask of the box around it.
_LINE_PIXELS = 256

#: From this diameter on a segment paints only what the one before it did not cover. For smaller ones the whole capsule is less
#: work than finding that out.
_LARGE = 256


class StrokeSession:
    """Paints a stroke while the pen moves.

    Between two points the brush paints a capsule (every pixel centre within half the diameter of the segment), so that fast
    moves leave no gaps and slow ones do no work twice. Points are float image px. The document's listeners hear of every
    piece; nothing enters any history before :meth:`commit`.

    Args:
        document: what is painted on.
        value: label to paint; None restores ``document.reference``, the model's prediction, with provenance MODEL.
        diameter: of the brush in image px, 1 or more; may be changed between points (pen pressure).
        source: provenance of the painted pixels.
        limits: which pixels may change.

    Raises:
        AtrousError: without a prediction to restore, or the label is that of a locked class.
    """

    def __init__(
        self,
        document: Document,
        *,
        value: int | None,
        diameter: float,
        source: Provenance = Provenance.USER,
        limits: EditLimits = NO_LIMITS,
    ) -> None:
        if value is None and document.reference is None:
            raise AtrousError(message("there is no prediction to restore"), remedy=message("Run a model on this image first"))
        if value is not None:
            refuse_locked(document, value)
        self.diameter = diameter
        self._document = document
        self._value = value
        self._source = Provenance.MODEL if value is None else source
        self._limits = limits
        self._recorder = PatchRecorder(document.labels, document.provenance)
        document.open_step(self._recorder)
        self._last: Point | None = None
        self._covered: Spans | None = None  # by the last segment, and nothing else was painted since this revision
        self._revision = document.revision
        self._open = True

    @property
    def active(self) -> bool:
        """Whether the stroke is still open: neither committed nor aborted."""
        return self._open

    def begin(self, x: float, y: float) -> Box:
        """Put the pen down at a point and paint one dab. Returns the rectangle that was painted."""
        self._last = (x, y)
        return self._segment((x, y), (x, y))

    def extend(self, points: Iterable[Point]) -> Box:
        """Draw on through some points, in order. Returns the rectangle that holds everything painted now."""
        dirty = Box(0, 0, 0, 0)
        for point in points:
            if self._last is None:
                dirty = dirty.united(self.begin(*point))
            elif point != self._last:
                dirty = dirty.united(self._segment(self._last, point))
                self._last = point
        return dirty

    def commit(self) -> TilePatch:
        """End the stroke and return what it changed; a stroke that changed nothing gives a patch without tiles."""
        self._end()
        self._document.close_step(self._recorder)
        return self._recorder.finish()

    def abort(self) -> Box:
        """End the stroke and restore every pixel. Returns the rectangle that changed back."""
        self._end()
        rect = self._document.apply(self._recorder.finish().inverted())
        self._document.close_step(self._recorder)
        return rect

    def _end(self) -> None:
        if not self._open:
            raise RuntimeError("the stroke has already ended")
        self._open = False

    def _segment(self, start: Point, end: Point) -> Box:
        if not self._open:
            raise RuntimeError("the stroke has already ended")
        document = self._document
        document.settle()
        shape = document.shape
        if self.diameter < _THIN:
            rows, columns = line_pixels(start, end, shape)
            pieces = [slice(piece, piece + _LINE_PIXELS) for piece in range(0, rows.size, _LINE_PIXELS)]
            return self._paint(_pixels(rows[piece], columns[piece]) for piece in pieces)
        spans = capsule_spans(start, end, self.diameter / 2, shape)
        known = self.diameter >= _LARGE and self._revision == document.revision
        dirty = self._paint(spans.masks(without=self._covered if known else None))
        self._covered, self._revision = spans, document.revision
        return dirty

    def _paint(self, pieces: Iterable[tuple[Box, NDArray[np.bool_]]]) -> Box:
        """Paint what may be painted of some pieces; the rectangle that holds them."""
        document, dirty = self._document, Box(0, 0, 0, 0)
        reference = document.reference
        parts = []
        for rect, covered in pieces:
            values = self._value if self._value is not None or reference is None else reference[rect.slices]
            assert values is not None  # a stroke without a label begins with a reference only
            where = writable(document, rect, covered, values, self._limits)
            self._recorder.touch(rect)
            parts.append(PaintedPart(rect, where, values))
            dirty = dirty.united(rect)
        document.paint_parts(parts, self._source)
        return dirty


def _pixels(rows: NDArray[np.int64], columns: NDArray[np.int64]) -> tuple[Box, NDArray[np.bool_]]:
    """The box around some pixels, and its mask of them."""
    x, y = int(columns.min()), int(rows.min())
    rect = Box(x, y, int(columns.max()) - x + 1, int(rows.max()) - y + 1)
    where = np.zeros((rect.height, rect.width), dtype=np.bool_)
    where[rows - y, columns - x] = True
    return rect, where
