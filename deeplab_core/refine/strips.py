"""Mean-field inference of large images: the marginals of a strip are computed, spread into the next vertex tables, and dropped.

:mod:`~deeplab_core.refine.mean_field` keeps unary terms and marginals of all pixels: two floats for each pixel and label, 192
bytes a pixel of 21 labels. Between two steps everything is in the filtered vertex tables as well, and a large image has far fewer
vertices than pixels. So a step reads the filtered tables, computes the marginals of a strip of rows and splats them into empty
tables for the next step. Sums run in the same order, so results are the same. Two things are computed twice: the step before
labels are dropped (once to see which ones, once to spread the others), and unary terms while they do not fit: of few labels they
do. Marginals of the last step are computed whenever they are asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from deeplab_core.errors import Cancelled
from deeplab_core.kernels.filter import blur_loop, largest_of_columns, padded, splat_loop, step_loop, vector_width
from deeplab_core.parallel import IsCancelled
from deeplab_core.refine.lattice import TooLargeError
from deeplab_core.refine.marginals import MarginalRows
from deeplab_core.refine.mean_field import NOTHING, Term, Workers, row_ends
from deeplab_core.refine.pruning import SCHEDULE, kept_labels, narrowed
from deeplab_core.refine.unary import FORBIDDEN, MASS, ProbabilitySource, Unary

#: Pixels of a strip: its marginals of 21 labels take 3 MB.
_STRIP_PIXELS = 1 << 15

Rows = NDArray[np.float32]


def table_bytes(terms: Sequence[Term], row: int) -> int:
    """Bytes of one set of vertex tables for rows of ``row`` floats."""
    return sum(4 * row * term.lattice.count for term in terms)


class _Points(NamedTuple):
    """What a term knows of the pixels of a strip: their simplices, and the factors before and after filtering."""

    simplices: tuple[NDArray[np.int32], Rows]
    before: Rows
    after: Rows


class StripField:
    """Mean field of one image in strips.

    Args:
        source: class probabilities.
        active: channels that take part at first.
        unary: ``unary(source, active, first, last)``: unary terms of the rows from ``first`` to ``last``.
        terms: at most two kernels.
        limit: bytes that lattices, tables and rows may take together.
        threads: how many share the work.
        cancel: asked before every strip.

    Raises:
        TooLargeError: ``limit`` does not suffice; also from :meth:`run`, when more labels stay than expected.
    """

    def __init__(
        self,
        source: ProbabilitySource,
        active: NDArray[np.int64],
        unary: Callable[[NDArray[np.int64], int, int], Unary],
        terms: Sequence[Term],
        *,
        limit: int,
        threads: int = 1,
        cancel: IsCancelled | None = None,
    ) -> None:
        self.height, self.width = source.size
        self.active = active
        self.limit, self.cancel = limit, cancel
        self._unary = unary
        self.terms = [term for term in terms if term.weight != 0.0]
        self.workers = Workers(threads)
        self._held = sum(term.lattice.nbytes for term in self.terms)
        self._require(table_bytes(self.terms, padded(active.size)))
        self._row = padded(active.size)
        self._tables: list[NDArray[np.float32]] | None = None
        #: Labels of :attr:`active` that the next step spreads, once some are dropped.
        self._chosen: NDArray[np.int64] | None = None
        self._logits: Rows | None = None
        self._strip: tuple[tuple[int, int], list[_Points]] = ((0, 0), [])
        self._keep_logits()

    def _require(self, more: int) -> None:
        if self._held + more > self.limit:
            raise TooLargeError(self._held + more)

    def run(self, iterations: int, *, prune: bool) -> None:
        """Steps of :func:`~deeplab_core.refine.pruning.pruned_mean_field`; :attr:`active` then holds the labels that are left."""
        done = 0
        for steps, threshold in SCHEDULE if prune and self.terms else ():
            if steps >= iterations:
                break
            while done < steps:
                self._advance()
                done += 1
            self._drop(threshold)
        while self.terms and done < iterations:
            self._advance()
            done += 1
        self.cancel = None  # it belongs to the run; marginals may be asked for later

    def _points(self, first: int, last: int) -> list[_Points]:
        """Of each term; those of the last strip are kept, because a step reads its tables and then fills the next ones."""
        if self._strip[0] != (first, last):
            found = [
                _Points(term.lattice.simplices(first, last), *term.lattice.factors(term.normalization, first, last))
                for term in self.terms
            ]
            self._strip = ((first, last), found)
        return self._strip[1]

    def _logits_of(self, top: int, bottom: int) -> Rows:
        if self._logits is not None:
            return self._logits[top * self.width : bottom * self.width]
        return self._unary(self.active, top, bottom).logits

    def marginals(self) -> Iterator[MarginalRows]:
        """First pixel, pixel after the last, and marginals as the tables have them; the next strip overwrites them."""
        buffer = np.empty((max(1, _STRIP_PIXELS // self.width) * self.width, self._row), np.float32)
        width = vector_width(self._row)
        corners = [len(term.lattice.rows) for term in self.terms] if self._tables is not None else []
        step = step_loop(width, self._row == width, *[*corners, 0, 0][:2])
        for top, bottom in self._parts():
            first, last = top * self.width, bottom * self.width
            logits, q = self._logits_of(top, bottom), buffer[: last - first]
            operands: list[Any] = []
            points = self._points(first, last)
            for term, point, tables in zip(self.terms, points, self._tables or (), strict=False):
                operands += [*point.simplices, point.after * np.float32(term.weight), tables]
            operands += NOTHING * (2 - len(corners))
            self.workers.share(last - first, _on_parts(step, logits, q, operands))
            yield first, last, q

    def _advance(self) -> None:
        """One step: spread the marginals of the present tables into new ones."""
        row = self._row if self._chosen is None else padded(self._chosen.size)
        width = vector_width(row)
        self._require(
            table_bytes(self.terms, row)
            + (table_bytes(self.terms, self._row) if self._tables is not None else 0)
            + (0 if self._logits is None else self._logits.nbytes)
        )
        tables = [np.zeros((row // width, term.lattice.count, width), np.float32) for term in self.terms]
        splats = [splat_loop(width, len(term.lattice.rows)) for term in self.terms]
        for first, last, part in self.marginals():
            q = part if self._chosen is None else narrowed(part, self._chosen, np.float32(0.0))
            jobs = []
            for point, splat, blocks in zip(self._points(first, last), splats, tables, strict=True):
                jobs += [
                    (splat, (*point.simplices, point.before, q, block, table, 0, last - first))
                    for block, table in enumerate(blocks)
                ]
            self.workers.all(jobs)
        blur = blur_loop(width)
        for term, blocks in zip(self.terms, tables, strict=True):
            cuts = [(vertices, row_ends(vertices, self.workers.size)) for vertices in term.lattice.rows]
            for table in blocks:
                for vertices, ends in cuts:
                    self.workers.each(ends, lambda a, b, v=vertices, t=table: blur(v, t, a, b))  # type: ignore[misc]
        self._tables = tables
        self._take_chosen(row)

    def _take_chosen(self, row: int) -> None:
        """The tables hold the chosen labels only: the others are gone, and the unary terms may be kept from now on."""
        chosen, self._chosen = self._chosen, None
        if chosen is None:
            return
        before, self._logits = self._logits, None
        self.active = self.active[chosen]
        self._row = row
        if before is not None:
            self._logits = narrowed(before, chosen, FORBIDDEN)
        else:
            self._keep_logits()

    def _keep_logits(self) -> None:
        """Compute the unary terms once for all steps, where they fit beside two sets of tables."""
        points = self.height * self.width
        if self._held + 2 * table_bytes(self.terms, self._row) + 4 * points * self._row > self.limit:
            return
        logits = np.empty((points, self._row), np.float32)
        for top, bottom in self._parts():
            logits[top * self.width : bottom * self.width] = self._unary(self.active, top, bottom).logits
        self._logits = logits

    def _parts(self) -> Iterator[tuple[int, int]]:
        """First row and row after the last of each strip."""
        rows = max(1, _STRIP_PIXELS // self.width)
        for top in range(0, self.height, rows):
            if self.cancel is not None and self.cancel():
                raise Cancelled
            yield top, min(self.height, top + rows)

    def _drop(self, threshold: float) -> None:
        """Choose the labels that the next step spreads, where that makes rows shorter."""
        labels = self.active.size
        if labels <= 2 or self._row == padded(2):
            return
        largest = np.zeros(self._row, np.float32)
        for _first, _last, part in self.marginals():
            largest_of_columns(part, largest)
        kept = kept_labels(largest[:labels], threshold)
        if padded(kept.size) >= self._row:
            return
        if (labels - kept.size) * threshold > MASS:
            left = max(float((1.0 - part[:, kept].sum(axis=1)).max()) for _first, _last, part in self.marginals())
            if left > MASS:
                return
        self._chosen = kept


def _on_parts(step: Callable[..., None], logits: Rows, q: Rows, operands: Sequence[Any]) -> Callable[[int, int, int], None]:
    return lambda _part, first, last: step(logits, q, first, last, *operands)
