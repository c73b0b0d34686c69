"""How much a model doubts one image, in a few figures that are kept with its prediction: margin, entropy, disagreement of passes.

The whole probabilities of an image are never kept, and the stored confidence is only the largest of them. What needs them all is
measured while they can still be read, on a lattice of pixels: some thousand of them say as much about the mean of an image as
all of them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from deeplab_core.inference.scores import Scores
from deeplab_core.metrics.uncertainty import entropy, margin_uncertainty, mutual_information

#: Rows and columns of the lattice at most.
LATTICE = 72


def doubt_figures(scores: Scores) -> dict[str, float]:
    """Means over the image, each 0..1 and higher where the model is less sure.

    Points beside a change of class on the lattice are left out, because every model is unsure at edges; if nothing else is
    left, all count.

    Returns:
        ``margin`` (1 minus the lead of the first class over the second), ``entropy`` (over ln C) and, where several passes were
        averaged, ``passes`` (their mutual information, Houlsby et al. 2011).
    """
    height, width = scores.size
    rows, columns = _lattice(height), _lattice(width)
    probabilities = _planes(scores, rows, columns)
    if len(probabilities) < 2:
        return {}
    inside = _inner(probabilities.argmax(axis=0))
    maps = {"margin": margin_uncertainty(probabilities), "entropy": entropy(probabilities)}
    if len(scores.grids) > 1:
        passes = [_planes(Scores((grid,), scores.catalog), rows, columns) for grid in scores.grids]
        maps["passes"] = mutual_information(passes)
    return {name: float(values[inside].mean(dtype=np.float64)) for name, values in maps.items()}


def _lattice(length: int) -> NDArray[np.int64]:
    count = min(length, LATTICE)
    return ((np.arange(count) + 0.5) * (length / count)).astype(np.int64)


def _planes(scores: Scores, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[np.float32]:
    """(C, rows, columns) float32."""
    return np.ascontiguousarray(np.moveaxis(scores.sampled(rows, columns), -1, 0))


def _inner(labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    edge = np.zeros(labels.shape, dtype=np.bool_)
    down, across = labels[1:] != labels[:-1], labels[:, 1:] != labels[:, :-1]
    edge[1:] |= down
    edge[:-1] |= down
    edge[:, 1:] |= across
    edge[:, :-1] |= across
    return ~edge if not edge.all() else np.ones_like(edge)
