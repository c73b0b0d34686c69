"""Ways to read a confusion matrix: normalised, without background, as pairs, ordered so that 150 classes stay readable.

Every function takes ``counts``: (C, C + 1) integers, rows = truth, columns = prediction, last column = void predictions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deeplab_core.catalogs.catalog import ClassCatalog

Counts = NDArray[np.int64]
Shares = NDArray[np.float64]


def by_row(counts: Counts) -> Shares:
    """(C, C + 1) in 0..1: where the pixels of each truth class went (recall on the diagonal); nan for rows without truth."""
    return _ratio(counts, counts.sum(axis=1, keepdims=True))


def by_column(counts: Counts) -> Shares:
    """(C, C + 1) in 0..1: what the pixels of each prediction really are (precision on the diagonal); nan for empty columns."""
    return _ratio(counts, counts.sum(axis=0, keepdims=True))


def pixel_cost(counts: Counts) -> Shares:
    """(C, C + 1) in 0..1: share of all labelled pixels that each cell holds; nan everywhere without labelled pixels."""
    return _ratio(counts, np.full((1, 1), counts.sum()))


def pair_scores(counts: Counts) -> Shares:
    """(C, C) symmetric confusion of two classes, 0..1: ``(n_ij + n_ji) / (t_i + t_j)``; nan on the diagonal and without truth."""
    square = counts[:, :-1]
    truth = counts.sum(axis=1)
    scores = _ratio(square + square.T, truth[:, None] + truth[None, :])
    np.fill_diagonal(scores, np.nan)
    return scores


def without(counts: Counts, channel: int | None) -> Counts:
    """A copy in which the row and the column of one channel (the background) are zero, so that they dominate no scale."""
    rest = counts.copy()
    if channel is not None:
        rest[channel, :] = 0
        rest[:, channel] = 0
    return rest


def background_channel(catalog: ClassCatalog) -> int | None:
    """Channel of the catalog's background class; None where it has none."""
    return None if catalog.background is None else catalog.index_of(catalog.background)


@dataclass(frozen=True, slots=True)
class ConfusedPair:
    """Two classes (ids, the first below the second in channel order) that are taken for each other.

    Attributes:
        one, other: class ids.
        forward: pixels of ``one`` called ``other``.
        backward: pixels of ``other`` called ``one``.
        score: :func:`pair_scores`.
    """

    one: int
    other: int
    forward: int
    backward: int
    score: float


def confused_pairs(counts: Counts, catalog: ClassCatalog, *, background: bool = False, limit: int = 20) -> list[ConfusedPair]:
    """Pairs of classes with the highest symmetric score; those with the background only if asked for."""
    scores = np.triu(np.nan_to_num(pair_scores(counts)), 1)
    channel = background_channel(catalog)
    if not background and channel is not None:
        scores[channel, :] = 0
        scores[:, channel] = 0
    ids = catalog.ids
    found = []
    for flat in np.argsort(-scores, axis=None, kind="stable")[:limit].tolist():
        row, column = divmod(flat, len(catalog))
        if scores[row, column] > 0:
            forward, backward = int(counts[row, column]), int(counts[column, row])
            found.append(ConfusedPair(int(ids[row]), int(ids[column]), forward, backward, float(scores[row, column])))
    return found


def worst_cells(counts: Counts, *, limit: int = 20) -> list[tuple[int, int]]:
    """Channels (truth, prediction) of the cells off the diagonal with most pixels; the prediction may be C, void."""
    off = counts.copy()
    np.fill_diagonal(off, 0)
    order = np.argsort(-off, axis=None, kind="stable")[:limit]
    return [divmod(int(flat), counts.shape[1]) for flat in order.tolist() if off.flat[flat] > 0]


def neighbourly_order(counts: Counts) -> NDArray[np.int64]:
    """(C,) channels in an order that puts confused classes side by side, so that confusion gathers near the diagonal.

    The order of the Fiedler vector of the graph with the pair scores as weights (Atkins, Boman and Hendrickson 1998, spectral
    seriation), part by part where the graph falls apart; classes that are confused with none keep their order at the end.
    """
    weights = np.nan_to_num(pair_scores(counts))
    left = [channel for channel in range(len(weights)) if weights[channel].any()]
    order: list[int] = []
    while left:
        part = _reachable(weights, left[0])
        order += _fiedler(weights, part)
        left = [channel for channel in left if channel not in part]
    return np.array(order + [channel for channel in range(len(weights)) if channel not in set(order)], dtype=np.int64)


def _reachable(weights: Shares, start: int) -> list[int]:
    seen, todo = {start}, [start]
    while todo:
        for other in np.flatnonzero(weights[todo.pop()]).tolist():
            if other not in seen:
                seen.add(other)
                todo.append(other)
    return sorted(seen)


def _fiedler(weights: Shares, part: list[int]) -> list[int]:
    inside = weights[np.ix_(part, part)]
    laplacian = np.diag(inside.sum(axis=1)) - inside
    vector = np.linalg.eigh(laplacian)[1][:, 1]
    if vector[0] > 0:  # an eigenvector's sign is arbitrary; the first class comes early
        vector = -vector
    return [part[place] for place in np.argsort(vector, kind="stable")]


def _ratio(part: NDArray[np.int64], whole: NDArray[np.int64]) -> Shares:
    shape = np.broadcast_shapes(part.shape, whole.shape)
    shares: Shares = np.divide(part, whole, out=np.full(shape, np.nan), where=np.broadcast_to(whole > 0, shape))
    return shares
