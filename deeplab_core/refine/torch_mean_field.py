"""Mean-field inference on a torch device, for GPUs: the same lattices, sums in another order.

The lattice is built on the CPU (:class:`~deeplab_core.refine.lattice.Lattice`) and moved once; after that a step is gathers,
scaled additions and one softmax. On a CPU the compiled loops of :mod:`~deeplab_core.refine.mean_field` are several times faster.
"""

from __future__ import annotations

from collections.abc import Sequence
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deeplab_core.errors import Cancelled
from deeplab_core.parallel import IsCancelled
from deeplab_core.refine.lattice import Lattice
from deeplab_core.refine.mean_field import Term


class _DeviceLattice:
    """A lattice's arrays on a device. Vertex M is empty and stands for every neighbour that does not exist."""

    def __init__(self, lattice: Lattice, device: torch.device) -> None:
        self.vertices = torch.from_numpy(lattice.vertices).to(device, torch.int64)
        self.weights = torch.from_numpy(lattice.weights).to(device)
        self.rows = lattice.count + 1
        self.neighbours = [
            tuple(torch.from_numpy(side).to(device) for side in _sides(row, lattice.count)) for row in lattice.rows
        ]

    def filtered(self, q: Tensor) -> Tensor:
        """(N, L) splatted, blurred and sliced, without factors."""
        table = q.new_zeros((self.rows, q.shape[1]))
        for corner in range(self.vertices.shape[1]):
            table.index_add_(0, self.vertices[:, corner], q * self.weights[:, corner, None])
        for vertices, previous, following in self.neighbours:
            table.index_copy_(0, vertices, table[vertices] + 0.5 * (table[previous] + table[following]))
        out = torch.zeros_like(q)
        for corner in range(self.vertices.shape[1]):
            out.addcmul_(table[self.vertices[:, corner]], self.weights[:, corner, None])
        return out


def _sides(row: NDArray[np.int32], empty: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Vertices of the rows of one axis with their predecessors and successors; ``empty`` if none."""
    ends = row < 0
    vertices = np.where(ends, ~row, row).astype(np.int64)
    following = np.append(vertices[1:], empty)
    following[ends] = empty
    previous = np.append(empty, vertices[:-1])
    previous[1:][ends[:-1]] = empty
    return vertices, previous, following


_moved: WeakKeyDictionary[Lattice, dict[torch.device, _DeviceLattice]] = WeakKeyDictionary()


def _on(lattice: Lattice, device: torch.device) -> _DeviceLattice:
    copies = _moved.setdefault(lattice, {})
    if device not in copies:
        copies[device] = _DeviceLattice(lattice, device)
    return copies[device]


def torch_mean_field(
    logits: NDArray[np.float32],
    labels: int,
    terms: Sequence[Term],
    iterations: int,
    device: torch.device | str,
    *,
    cancel: IsCancelled | None = None,
) -> NDArray[np.float32]:
    """Approximate marginals; arguments, result and errors as :func:`~deeplab_core.refine.mean_field.mean_field`.

    Args:
        logits: (N, P) float32; the first ``labels`` columns count, the others of the result are 0.
        labels: number of labels.
        terms: kernels.
        iterations: steps.
        device: where to compute.
        cancel: asked before every step.
    """
    device = torch.device(device)
    with torch.inference_mode():
        energy = torch.from_numpy(np.ascontiguousarray(logits[:, :labels])).to(device)
        kernels = []
        for term in terms:
            before, after = (torch.from_numpy(factor).to(device)[:, None] for factor in term.lattice.factors(term.normalization))
            kernels.append((_on(term.lattice, device), before, after * term.weight))
        q = energy.softmax(dim=1)
        for _ in range(iterations):
            if cancel is not None and cancel():
                raise Cancelled
            total = energy.clone()
            for lattice, before, after in kernels:
                total.addcmul_(lattice.filtered(q * before), after)
            q = total.softmax(dim=1)
        out = np.zeros_like(logits)
        out[:, :labels] = q.cpu().numpy()
    return out
