"""What tools ask of their arguments; coordinates are checked in :mod:`~deeplab_core.correction.paths`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.correction.hierarchy import CUTS
from deeplab_core.errors import AtrousError, message
from deeplab_core.labels import LabelMap, check_labels
from deeplab_core.regions import Mask

#: Levels of the region hierarchy.
LEVELS = len(CUTS)


def check_maps(
    rgb: NDArray[np.uint8], labels: LabelMap, provenance: NDArray[np.uint8] | None, catalog: ClassCatalog
) -> NDArray[np.uint8]:
    """The provenance of an image's pixels; all of them count as not set if it is None.

    Raises:
        AtrousError: shapes or types do not fit.
        MaskFormatError: ``labels`` is not a label map of the catalog.
    """
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8 or not rgb.size:
        raise AtrousError(
            message("an image to correct is (H, W, 3) uint8, not {shape} {dtype}", shape=rgb.shape, dtype=rgb.dtype),
            remedy=message("Convert it to 8-bit RGB first"),
        )
    check_labels(labels, catalog)
    size = rgb.shape[0], rgb.shape[1]
    if provenance is None:
        provenance = np.zeros(size, np.uint8)
    if labels.shape != size or provenance.shape != size or provenance.dtype != np.uint8:
        raise AtrousError(
            message(
                "the image is {width} x {height} px, the labels {size}, the provenance {provenance_size} {dtype}",
                width=size[1],
                height=size[0],
                size=sides(labels),
                provenance_size=sides(provenance),
                dtype=provenance.dtype,
            ),
            remedy=message("Pass maps of the image's size, provenance as uint8"),
        )
    return provenance


def check_mask(mask: Mask, size: tuple[int, int]) -> None:
    """Refuse what is not (H, W) bool of an image."""
    if mask.shape != size or mask.dtype != np.bool_:
        raise AtrousError(
            message(
                "a mask of {size} px {dtype} does not fit an image of {width} x {height} px",
                size=sides(mask),
                dtype=mask.dtype,
                width=size[1],
                height=size[0],
            ),
            remedy=message("Pass a boolean map of the image's size"),
        )


def check_level(level: int) -> int:
    """A level of the region hierarchy."""
    if not 0 <= level < LEVELS:
        raise AtrousError(
            message("there is no level {level} of regions", level=level),
            remedy=message("Choose one of 0 (fine) to {highest} (coarse)", highest=LEVELS - 1),
        )
    return level


def at_least_one(number: int, what: str) -> int:
    """A whole number of at least 1; ``what`` it is, for the error."""
    if number < 1 or number != int(number):
        raise AtrousError(
            message("the {what} is {number}", what=what, number=number), remedy=message("Give a whole number, 1 or more")
        )
    return int(number)


def sides(array: NDArray[Any]) -> str:
    """Width and height of a map, for errors."""
    return " x ".join(str(side) for side in array.shape[::-1])
