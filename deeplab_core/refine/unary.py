"""From class probabilities and the user's strokes to the unary terms of a CRF."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from deeplab_core.arrays import as_array
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.errors import ComputeError, message
from deeplab_core.kernels.filter import padded

#: Minus the energy of a label that a pixel cannot take: a stroke says otherwise, or it only pads a row.
FORBIDDEN = np.float32(-1e4)
#: Probability of a pixel that labels may hold together which take no part. Of 300 labels that all are a little probable, the
#: marginals of the few that reach a threshold would else be far from right.
MASS = 0.1
#: By so much rounding may carry probabilities beyond 0 and 1.
_SLACK = 1e-3
#: Pixels of a strip: small enough that the copies of a strip stay in the processor's cache.
_STRIP_PIXELS = 1 << 16


class ClassScores(Protocol):
    """What is read of :class:`deeplab_core.inference.Scores`."""

    @property
    def size(self) -> tuple[int, int]:
        """(H, W)."""

    @property
    def catalog(self) -> ClassCatalog:
        """Classes in channel order."""

    def probabilities(self, rows: slice = ...) -> NDArray[np.float32]:
        """(C, rows, W) float32."""


@dataclass(frozen=True, eq=False)
class ProbabilitySource:
    """Class probabilities of an image, read in strips, so that all of them need not exist at once.

    Attributes:
        size: (H, W).
        classes: C.
        read: ``read(first_row, last_row)`` gives (C, rows, W) float32, any strides.
    """

    size: tuple[int, int]
    classes: int
    read: Callable[[int, int], NDArray[np.float32]]

    @classmethod
    def of(cls, probabilities: NDArray[np.float32]) -> ProbabilitySource:
        """An array (C, H, W) in memory, or a torch tensor of that shape.

        Raises:
            TypeError: neither.
            ValueError: not three axes, or fewer than two classes.
        """
        probabilities = as_array(probabilities, "probabilities")
        if probabilities.ndim != 3 or probabilities.shape[0] < 2:
            raise ValueError(f"probabilities are (C >= 2, H, W), not {probabilities.shape}")
        classes, height, width = probabilities.shape
        return cls((height, width), classes, lambda first, last: probabilities[:, first:last])

    @classmethod
    def of_scores(cls, scores: ClassScores) -> ProbabilitySource:
        """The class scores of a Predictor, averaged over scales and mirror images where it did so; upsampled strip by strip."""
        return cls(scores.size, len(scores.catalog), lambda first, last: scores.probabilities(slice(first, last)))

    def part(self, first: int, last: int) -> ProbabilitySource:
        """Those of the rows from ``first`` to ``last``."""
        return ProbabilitySource((last - first, self.size[1]), self.classes, lambda a, b: self.read(first + a, first + b))

    def strips(self) -> Iterator[tuple[int, int, NDArray[np.float32]]]:
        """First row, row after the last, and probabilities, from top to bottom."""
        height, width = self.size
        step = max(1, _STRIP_PIXELS // max(1, width))
        for first in range(0, height, step):
            last = min(height, first + step)
            yield first, last, self.read(first, last)


@dataclass(frozen=True, eq=False)
class Unary:
    """Unary terms of the labels that take part.

    Attributes:
        logits: (H W, P) float32: minus the energies; columns beyond the labels are :data:`FORBIDDEN`.
        active: (A,) int64: channels of the labels that take part, ascending.
        classes: C, with those that do not.
        size: (H, W).
    """

    logits: NDArray[np.float32]
    active: NDArray[np.int64]
    classes: int
    size: tuple[int, int]


def active_labels(
    source: ProbabilitySource, threshold: float, clamp: NDArray[Any] | None = None, ignore: int = 255
) -> NDArray[np.int64]:
    """Channels with a probability that reaches ``threshold`` somewhere, or that a stroke names; at least two.

    All channels, where those that are left out would together hold more than :data:`MASS` of some pixel.

    Raises:
        ComputeError: a probability is not a number.
        ValueError: these are not probabilities, or a stroke names a channel that does not exist.
    """
    largest = np.full(source.classes, -np.inf, np.float32)
    lowest = np.float32(np.inf)
    for _first, _last, strip in source.strips():
        np.maximum(largest, strip.max(axis=(1, 2)), out=largest)
        lowest = np.minimum(lowest, strip.min())
    if not np.isfinite(largest).all() or not np.isfinite(lowest):
        raise ComputeError(
            message("the class probabilities hold numbers that are not finite"), remedy=message("Predict the image again")
        )
    if lowest < -_SLACK or largest.max() > 1 + _SLACK:
        raise ValueError(
            f"these are not probabilities: they reach from {lowest:g} to {largest.max():g}; turn a network's scores into "
            "probabilities first (softmax over the classes, sigmoid for one channel), values of 0..255 by dividing them"
        )
    keep = largest >= threshold
    if (~keep).sum() * threshold > MASS and _left_out(source, keep) > MASS:
        keep[:] = True
    keep[np.argsort(-largest, kind="stable")[:2]] = True
    if clamp is not None:
        named = np.unique(clamp)
        named = named[named != ignore].astype(np.int64)
        if named.size and not (named[0] >= 0 and named[-1] < source.classes):
            raise ValueError(f"strokes name channel {named[-1]}; there are {source.classes}")
        keep[named] = True
    return np.flatnonzero(keep)


def _left_out(source: ProbabilitySource, keep: NDArray[np.bool_]) -> float:
    """The largest probability of a pixel that the channels without ``keep`` hold together."""
    return max(float(strip[~keep].sum(axis=0).max()) for _first, _last, strip in source.strips())


def unary_terms(
    source: ProbabilitySource,
    active: NDArray[np.int64],
    *,
    clip: float,
    temperature: float,
    clamp: NDArray[Any] | None = None,
    ignore: int = 255,
) -> Unary:
    """``log(max(p, clip)) / temperature`` for the active labels; a clamped pixel can only be what its stroke says.

    Args:
        source: probabilities.
        active: channels that take part, ascending.
        clip: probabilities below are raised to it (pydensecrf's ``unary_from_softmax`` has 1e-5).
        temperature: above 1 softens an over-confident network.
        clamp: (H, W) integers: channels that the user has set, ``ignore`` elsewhere.
        ignore: what marks a pixel without stroke.
    """
    height, width = source.size
    logits = np.full((height * width, padded(active.size)), FORBIDDEN, np.float32)
    planes = logits.reshape(height, width, -1)
    every = active.size == source.classes
    for first, last, strip in source.strips():
        energies = np.log(np.maximum(strip if every else strip[active], np.float32(clip)))
        if temperature != 1.0:
            energies *= np.float32(1.0 / temperature)
        planes[first:last, :, : active.size] = np.moveaxis(energies, 0, 2)
    if clamp is not None:
        rows, columns = np.nonzero(clamp != ignore)
        planes[rows, columns] = FORBIDDEN
        planes[rows, columns, np.searchsorted(active, clamp[rows, columns].astype(np.int64))] = 0.0
    return Unary(logits, active, source.classes, source.size)
