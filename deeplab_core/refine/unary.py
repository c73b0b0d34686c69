"""From class probabilities and a person's strokes to the unary terms of a CRF."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from deeplab_core.catalog import ClassCatalog
from deeplab_core.errors import ComputeError
from deeplab_core.refine.filter_kernels import padded

#: Minus the energy of a label that a pixel cannot take: a stroke says otherwise, or it only pads a row.
FORBIDDEN = np.float32(-1e4)
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
        """(rows, W, C) float32."""


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
        """An array (C, H, W) in memory.

        Raises:
            ValueError: not three axes, or fewer than two classes.
        """
        if probabilities.ndim != 3 or probabilities.shape[0] < 2:
            raise ValueError(f"probabilities are (C >= 2, H, W), not {probabilities.shape}")
        classes, height, width = probabilities.shape
        return cls((height, width), classes, lambda first, last: probabilities[:, first:last])

    @classmethod
    def of_scores(cls, scores: ClassScores) -> ProbabilitySource:
        """The class scores of a Predictor, averaged over scales and mirror images where it did so; upsampled strip by strip."""
        return cls(
            scores.size, len(scores.catalog), lambda first, last: np.moveaxis(scores.probabilities(slice(first, last)), 2, 0)
        )

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
    """Channels whose probability reaches ``threshold`` somewhere, or that a stroke names; at least two.

    Raises:
        ComputeError: a probability is not a number.
        ValueError: a stroke names a channel that does not exist.
    """
    largest = np.full(source.classes, -np.inf, np.float32)
    for _first, _last, strip in source.strips():
        np.maximum(largest, strip.max(axis=(1, 2)), out=largest)
    if not np.isfinite(largest).all():
        raise ComputeError("the class probabilities hold numbers that are not finite", remedy="Predict the image again")
    keep = largest >= threshold
    keep[np.argsort(-largest, kind="stable")[:2]] = True
    if clamp is not None:
        named = np.unique(clamp)
        named = named[named != ignore].astype(np.int64)
        if named.size and not (named[0] >= 0 and named[-1] < source.classes):
            raise ValueError(f"strokes name channel {named[-1]}; there are {source.classes}")
        keep[named] = True
    return np.flatnonzero(keep)


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
        clamp: (H, W) integers: channels a person has set, ``ignore`` elsewhere.
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
