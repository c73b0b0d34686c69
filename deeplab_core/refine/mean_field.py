"""Mean-field inference of a fully connected CRF with Potts compatibility (Krähenbühl and Koltun 2011, algorithm 1).

``Q_i(l) ∝ exp(-U_i(l) + Σ_k w_k Σ_j G_k(f_i, f_j) Q_j(l))``: with Potts, repelling all other labels is attracting the own one up
to a number that is the same for all labels of a pixel. As in the published codes the filter includes j = i.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplab_core.errors import Cancelled
from deeplab_core.kernels.filter import blur_loop, merge_loop, splat_loop, step_loop, vector_width
from deeplab_core.parallel import IsCancelled
from deeplab_core.refine.lattice import Lattice

#: Operands of a kernel that is not there; loops for no corners never read them.
NOTHING: tuple[Any, ...] = (
    np.empty((0, 0), np.int32), np.empty((0, 0), np.float32), np.empty(0, np.float32), np.empty((0, 0, 0), np.float32)
)  # fmt: skip
#: Fewer pixels, or vertices, per thread than this cost more to hand out than they take.
_LEAST_SHARE = 10_000


@dataclass(frozen=True, eq=False)
class Term:
    """One Gaussian kernel of the energy.

    Attributes:
        lattice: the kernel's features, embedded.
        weight: its compatibility (Potts).
        normalization: as :class:`~deeplab_core.records.CRFParams`.
    """

    lattice: Lattice
    weight: float
    normalization: str


def mean_field(
    logits: NDArray[np.float32],
    terms: Sequence[Term],
    iterations: int,
    *,
    start: NDArray[np.float32] | None = None,
    threads: int = 1,
    cancel: IsCancelled | None = None,
) -> NDArray[np.float32]:
    """Approximate marginals.

    Args:
        logits: (N, P) float32, C-contiguous: minus the unary energies; P as :func:`~deeplab_core.kernels.filter.padded`
            gives it, with large negative numbers without a label.
        terms: at most two.
        iterations: steps; 0 gives the softmax of ``logits``.
        start: (N, P) float32 marginals to go on from, overwritten; None begins with the softmax of ``logits``.
        threads: how many share the work; the result changes by rounding only.
        cancel: asked before every step.

    Returns:
        (N, P) float32, rows sum to 1.

    Raises:
        Cancelled: ``cancel`` returned True.
    """
    points, row = logits.shape
    width = vector_width(row)
    workers = Workers(max(1, min(threads, points // _LEAST_SHARE)))
    q = np.empty_like(logits) if start is None else start
    if start is None:
        softmax = step_loop(width, row == width, 0, 0)
        workers.share(points, lambda _k, a, b: softmax(logits, q, a, b, *NOTHING, *NOTHING))
    filters = [_Filter(term, row, workers) for term in terms if term.weight != 0.0]
    if not filters:
        return q
    corners = [each.corners for each in filters] + [0]
    step = step_loop(width, row == width, *corners[:2])
    operands = [operand for each in filters for operand in each.operands]
    if len(filters) == 1:
        operands += NOTHING
    for _ in range(iterations):
        if cancel is not None and cancel():
            raise Cancelled
        for each in filters:
            each.spread(q)
        workers.share(points, lambda _k, a, b: step(logits, q, a, b, *operands))
    return q


class _Filter:
    """One kernel's vertex tables, and a spare one for every further thread that splats."""

    def __init__(self, term: Term, row: int, workers: Workers) -> None:
        self.lattice, self.workers = term.lattice, workers
        self.corners = term.lattice.vertices.shape[1]
        self.before, after = term.lattice.factors(term.normalization)
        self.after = after * np.float32(term.weight)
        width = vector_width(row)
        self.tables = np.zeros((row // width, term.lattice.count, width), np.float32)
        self.spare = [np.zeros((term.lattice.count, width), np.float32) for _ in range(1, workers.size)]
        self.cuts = [row_ends(vertices, workers.size) for vertices in term.lattice.rows]
        self.splat, self.blur, self.merge = splat_loop(width, self.corners), blur_loop(width), merge_loop(width)

    @property
    def operands(self) -> tuple[Any, ...]:
        """What a mean-field step reads of this kernel."""
        return self.lattice.vertices, self.lattice.weights, self.after, self.tables

    def spread(self, q: NDArray[np.float32]) -> None:
        """Splat and blur; :attr:`tables` then hold the filtered vertices."""
        for block in range(self.tables.shape[0]):
            self._spread_block(q, block)

    def _spread_block(self, q: NDArray[np.float32], block: int) -> None:
        lattice, table = self.lattice, self.tables[block]
        table.fill(0.0)
        targets = [table, *self.spare]
        self.workers.share(
            q.shape[0], lambda k, a, b: self.splat(lattice.vertices, lattice.weights, self.before, q, block, targets[k], a, b)
        )
        parts = _even_cuts(lattice.count, self.workers.size)
        for other in self.spare:
            self.workers.each(parts, lambda a, b, other=other: self.merge(table, other, a, b))  # type: ignore[misc]
        for vertices, cuts in zip(lattice.rows, self.cuts, strict=True):
            self.workers.each(cuts, lambda a, b, vertices=vertices: self.blur(vertices, table, a, b))  # type: ignore[misc]


def _even_cuts(total: int, parts: int) -> list[tuple[int, int]]:
    """Equal ranges."""
    return list(pairwise(total * part // parts for part in range(parts + 1)))


def row_ends(row: NDArray[np.int32], parts: int) -> list[tuple[int, int]]:
    """Ranges of whole rows of about equal length."""
    edges = [0]
    for part in range(1, parts):
        at = max(edges[-1], row.shape[0] * part // parts)
        following = np.flatnonzero(row[at:] < 0)
        edges.append(at + int(following[0]) + 1 if following.size else row.shape[0])
    edges.append(row.shape[0])
    return list(pairwise(edges))


class Workers:
    """Threads that share loops; the caller's is one of them."""

    def __init__(self, size: int) -> None:
        self.size = size

    def each(self, ranges: Sequence[tuple[int, int]], work: Callable[[int, int], None]) -> None:
        """Run ``work(first, last)`` for adjoining ranges from 0 on, all at once, and wait; at one go where they are short."""
        if ranges[-1][1] < self.size * _LEAST_SHARE:
            work(0, ranges[-1][1])
            return
        waiting = [_pool().submit(work, a, b) for a, b in ranges[1:] if a < b]
        work(*ranges[0])
        for future in waiting:
            future.result()

    def all(self, jobs: Sequence[tuple[Callable[..., None], tuple[Any, ...]]]) -> None:
        """Run ``(function, arguments)`` of all jobs, as many at once as the pool has threads, and wait."""
        if self.size == 1:
            for function, arguments in jobs:
                function(*arguments)
            return
        waiting = [_pool().submit(function, *arguments) for function, arguments in jobs[1:]]
        jobs[0][0](*jobs[0][1])
        for future in waiting:
            future.result()

    def share(self, total: int, work: Callable[[int, int, int], None]) -> None:
        """Run ``work(part, first, last)`` on equal parts of ``range(total)``, all at once, and wait."""
        parts = _even_cuts(total, self.size)
        waiting = [_pool().submit(work, part, *parts[part]) for part in range(1, self.size)]
        work(0, *parts[0])
        for future in waiting:
            future.result()


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=8, thread_name_prefix="crf")
