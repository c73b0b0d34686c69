"""Files that stand beside masks and say more about them: confidence maps and instance maps."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplab_core.errors import MaskFormatError
from deeplab_core.formats.stored import read_stored

#: Brings the pixels of a file into the frame that is compared.
Turn = Callable[[NDArray[Any]], NDArray[Any]]

_CITYSCAPES_TRUTH = re.compile(r"_label(?:Train)?Ids$")


def confidence_file(prediction: Path) -> Path | None:
    """``NAME.confidence.png`` beside a prediction, as ``atrous predict --save-confidence`` writes it, or None."""
    path = prediction.with_suffix(".confidence.png")
    return path if path.is_file() else None


def read_confidence(path: Path, shape: tuple[int, ...], turn: Turn | None = None) -> NDArray[np.uint8]:
    """(H, W) uint8: 255 x the largest probability. Raises MaskFormatError where it is no grey 8-bit map of this shape."""
    values = _values(path, shape, "confidence map", turn)
    if values.dtype != np.uint8:
        raise MaskFormatError("the confidence map is not an 8-bit grey picture", remedy="Predict again", path=path)
    return values


def instance_file(truth: Path) -> Path | None:
    """The ``*_instanceIds.png`` beside a Cityscapes truth file; None where there is none."""
    stem, replaced = _CITYSCAPES_TRUTH.subn("_instanceIds", truth.stem)
    path = truth.with_name(stem + ".png")
    return path if replaced and path.is_file() else None


def read_instances(path: Path, shape: tuple[int, ...], turn: Turn | None = None) -> NDArray[np.int64]:
    """(H, W) int64 instance numbers. Raises MaskFormatError where it is no map of this shape."""
    return _values(path, shape, "instance map", turn).astype(np.int64)


def _values(path: Path, shape: tuple[int, ...], what: str, turn: Turn | None) -> NDArray[Any]:
    values = read_stored(path).values
    if values is not None and turn is not None:
        values = turn(values)
    if values is None or values.shape != shape:
        found = "colours" if values is None else f"{values.shape[1]} x {values.shape[0]} px"
        raise MaskFormatError(
            f"the {what} does not fit its mask", why=f"It holds {found}; the mask has {shape[1]} x {shape[0]} px", path=path
        )
    return values
