"""Label maps: what they are, whether they are valid, and how they are counted and translated.

A label map is an (H, W) array, C-contiguous, uint8 (uint16 for a wide catalog), with values that are class ids of a catalog or
the catalog's in-memory ignore value (255, or 65535).
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.errors import MaskFormatError, message

#: (H, W): uint8, or uint16 for a wide catalog.
LabelMap = NDArray[np.uint8 | np.uint16]


class Provenance(IntEnum):
    """Who set a pixel: value of the (H, W) uint8 map beside a label map. A value of a later version counts as the user's.

    Attributes:
        CRF: a CRF or a graph cut chose the pixel; in a correction, of a class and place that the user chose.
        USER: the user painted the pixel or drew its outline: nothing but another edit of the user changes it.
        RECLASSIFIED: the user gave another class to a region with an outline that is not the user's (a fill). The class is fixed;
            a CRF may still move the outline (ADR 89). Never the source of a step: programs that do not know it would call
            the step damaged.
    """

    UNSET = 0
    MODEL = 1
    CRF = 2
    USER = 3
    IMPORT = 4
    RECLASSIFIED = 5


def painted(provenance: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """(H, W) bool: pixels that no CRF, graph cut or prediction may change: the user painted them, or a later version set them."""
    found: NDArray[np.bool_] = (provenance == Provenance.USER) | (provenance > Provenance.RECLASSIFIED)
    return found


#: How many undeclared values an error message names.
NAMED_VALUES = 5


def value_counts(values: NDArray[Any]) -> NDArray[np.int64]:
    """Number of pixels per value.

    Args:
        values: (H, W) uint8 or uint16.

    Returns:
        (256,) int64 for uint8, (65536,) for uint16.
    """
    if values.dtype == np.uint8 and values.size:
        import cv2  # a fifth of a second that the first frame does not wait for

        # Float32 bins of calcHist count exactly up to 2**24, so larger maps are counted in strips of rows.
        flat = np.ascontiguousarray(values).reshape(1, -1)
        total = np.zeros(256, dtype=np.int64)
        for start in range(0, flat.shape[1], 1 << 24):
            strip = flat[:, start : start + (1 << 24)]
            total += cv2.calcHist([strip], [0], None, [256], [0, 256]).reshape(-1).astype(np.int64)
        return total
    return np.bincount(values.reshape(-1), minlength=int(np.iinfo(values.dtype).max) + 1).astype(np.int64)


def undeclared(counts: NDArray[np.int64], allowed: NDArray[np.int64]) -> dict[int, int]:
    """Values that occur but are not allowed, with their pixel counts, most frequent first.

    Args:
        counts: as :func:`value_counts` returns them.
        allowed: (N,) int64 values.
    """
    rest = counts.copy()
    rest[allowed[allowed < len(rest)]] = 0
    found = np.flatnonzero(rest)
    return {int(value): int(rest[value]) for value in found[np.argsort(-rest[found], kind="stable")]}


def check_labels(labels: NDArray[Any], catalog: ClassCatalog) -> None:
    """Raise MaskFormatError unless ``labels`` is a valid label map of ``catalog``; names undeclared ids with their counts."""
    if labels.ndim != 2 or labels.dtype != catalog.dtype:
        raise MaskFormatError(
            message("a label map of '{catalog}' is a two-dimensional {dtype} array", catalog=catalog.name, dtype=catalog.dtype),
            why=message("This one has the shape {shape} and the type {dtype}", shape=labels.shape, dtype=labels.dtype),
        )
    if labels.size == 0:
        raise MaskFormatError(
            message("a label map needs at least one pixel"), why=message("This one has the shape {shape}", shape=labels.shape)
        )
    if not labels.flags.c_contiguous:
        raise MaskFormatError(message("a label map is C-contiguous"), remedy=message("Pass it through numpy.ascontiguousarray"))
    allowed = np.append(catalog.ids, catalog.ignore)
    strangers = {} if _holds_only(labels, allowed) else undeclared(value_counts(labels), allowed)
    if strangers:
        raise MaskFormatError(
            message(
                "the label map holds ids that '{catalog}' does not declare: {ids}",
                catalog=catalog.name,
                ids=describe_values(strangers),
            ),
            remedy=message("Choose the catalog that these labels belong to"),
        )


def _holds_only(labels: LabelMap, allowed: NDArray[np.int64]) -> bool:
    """Whether a uint8 map is known to hold no other value, four times as fast as a count; False for wider ones."""
    if labels.dtype != np.uint8:
        return False
    strange = np.ones(256, np.uint8)
    strange[allowed] = 0
    return not apply_lut(labels, strange).any()


def class_histogram(labels: LabelMap, catalog: ClassCatalog) -> NDArray[np.int64]:
    """Pixels per class.

    Returns:
        (C + 1,) int64 in channel order; the last entry counts void. Values outside the catalog count nowhere.
    """
    return np.asarray(value_counts(labels)[np.append(catalog.ids, catalog.ignore)])


def apply_lut(labels: LabelMap, lut: NDArray[Any]) -> LabelMap:
    """Translate every value of a map through a table.

    Args:
        labels: (H, W) uint8 or uint16.
        lut: (256,) for uint8 maps, (65536,) for uint16 maps; its dtype is the result's dtype.

    Returns:
        A new (H, W) C-contiguous array.
    """
    if labels.dtype == np.uint8 and lut.dtype == np.uint8 and labels.size:
        import cv2

        return np.asarray(cv2.LUT(np.ascontiguousarray(labels), lut), dtype=np.uint8).reshape(labels.shape)
    return np.ascontiguousarray(lut[labels])


def describe_values(values: dict[int, int]) -> str:
    """``{21: 512, 30: 7}`` as ``21 (512 px), 30 (7 px)``; long lists are shortened."""
    parts = [f"{value} ({count:,} px)" for value, count in list(values.items())[:NAMED_VALUES]]
    more = len(values) - len(parts)
    return ", ".join(parts) + (f" and {more} more" if more > 0 else "")
