"""The eight EXIF orientations: from the pixels as stored to the picture as meant, and back.

*Stored* is the frame of the file's raw pixels; *oriented* is what the user sees and edits. Tag 0x0112 of EXIF 2.32 /
TIFF 6.0 names which corner of the oriented picture the first stored row and column belong to.
"""

from __future__ import annotations

from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

Array = TypeVar("Array", bound=NDArray[Any])

#: The orientation that undoes each orientation: only the two quarter turns differ from themselves.
INVERSE = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}

_OPENCV_TYPES = (np.uint8, np.uint16, np.float32)


def swaps_sides(orientation: int) -> bool:
    """Whether width and height change places between the stored and the oriented frame."""
    return orientation >= 5


def to_oriented(array: Array, orientation: int) -> Array:
    """Turn stored pixels into the oriented picture.

    Args:
        array: (H, W) or (H, W, C), any dtype, in the stored frame.
        orientation: EXIF value 1..8.

    Returns:
        C-contiguous array of the same dtype, (W, H[, C]) for the orientations 5..8; ``array`` itself if nothing changes.

    Raises:
        ValueError: an orientation outside 1..8.
    """
    if orientation == 1:
        return cast("Array", np.ascontiguousarray(array))
    if orientation not in INVERSE:
        raise ValueError(f"EXIF orientation {orientation} is outside 1..8")
    fast = array.dtype.type in _OPENCV_TYPES and array.size > 0 and (array.ndim == 2 or array.shape[2] <= 4)
    return cast("Array", _with_opencv(array, orientation) if fast else _with_views(array, orientation))


def to_stored(array: Array, orientation: int) -> Array:
    """Turn an oriented picture back into the frame of the file's raw pixels; exact inverse of :func:`to_oriented`."""
    if orientation not in INVERSE:
        raise ValueError(f"EXIF orientation {orientation} is outside 1..8")
    return to_oriented(array, INVERSE[orientation])


def _with_opencv(array: NDArray[Any], orientation: int) -> NDArray[Any]:
    import cv2  # not at the top: probing headers needs the table of orientations, not OpenCV

    source = np.ascontiguousarray(array)
    if orientation == 2:
        turned = cv2.flip(source, 1)
    elif orientation == 3:
        turned = cv2.flip(source, -1)
    elif orientation == 4:
        turned = cv2.flip(source, 0)
    elif orientation == 5:
        turned = cv2.transpose(source)
    elif orientation == 6:
        turned = cv2.rotate(source, cv2.ROTATE_90_CLOCKWISE)
    elif orientation == 7:
        turned = cv2.flip(cv2.transpose(source), -1)
    else:
        turned = cv2.rotate(source, cv2.ROTATE_90_COUNTERCLOCKWISE)
    # OpenCV drops a channel axis of length one.
    height, width = array.shape[:2]
    sides = (width, height) if swaps_sides(orientation) else (height, width)
    return np.ascontiguousarray(turned).reshape(sides + array.shape[2:])


def _with_views(array: NDArray[Any], orientation: int) -> NDArray[Any]:
    turned = array.swapaxes(0, 1) if swaps_sides(orientation) else array
    # After the transposition, mirroring columns and/or rows completes each of the eight.
    if orientation in (2, 3, 6, 7):
        turned = turned[:, ::-1]
    if orientation in (3, 4, 7, 8):
        turned = turned[::-1]
    return np.ascontiguousarray(turned)


def valid_orientation(value: int) -> int:
    """The value if it is one of the eight orientations, else 1, as every viewer treats a broken tag."""
    return value if 1 <= value <= 8 else 1
