"""Arrays that users hand in: numpy or torch, checked with an error that says what to do."""

from __future__ import annotations

from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplab_core.errors import ArrayError, message

__all__ = ["as_array", "as_labels", "as_picture", "as_probabilities"]


def as_array(given: object, what: str) -> NDArray[Any]:
    """An array as it is, a torch tensor's values; torch itself is not needed.

    Raises:
        ArrayError: neither, naming ``what`` it should be; or a path.
    """
    if isinstance(given, np.ndarray):
        return given
    if hasattr(given, "detach") and hasattr(given, "cpu"):
        values = given.detach().cpu()
        return np.asarray(values.numpy() if "bfloat16" not in str(values.dtype) else values.float().numpy())
    if isinstance(given, (str, PathLike)):
        raise ArrayError(
            message("the {what} must be an array, not a path", what=what),
            remedy=message("Read the file first, as deeplab_core.images and deeplab_core.masks do"),
        )
    raise ArrayError(
        message("the {what} must be an array, not {kind}", what=what, kind=type(given).__name__),
        remedy=message("Give a numpy array or a torch tensor"),
    )


def _shape(array: NDArray[Any]) -> str:
    return f"{array.dtype} {array.shape}"


def as_labels(given: object, what: str = "mask") -> NDArray[Any]:
    """Class ids of every pixel.

    Args:
        given: (H, W) integers or booleans, numpy or torch.
        what: names it in errors.

    Returns:
        (H, W) integers; booleans become 0 and 1.

    Raises:
        ArrayError: a path, no array, another number of axes, or no integers; with what to do.
    """
    array = as_array(given, what)
    if array.ndim == 3 and 1 in array.shape:
        raise ArrayError(
            message("the {what} has an axis too many: {shape}", what=what, shape=_shape(array)),
            why=message("It is (H, W), one class id per pixel"),
            remedy=message("Remove the axis of length 1 with squeeze()"),
        )
    if array.ndim != 2 or array.size == 0:
        raise ArrayError(
            message("the {what} is {shape}", what=what, shape=_shape(array)),
            why=message("It is (H, W), one class id per pixel"),
            remedy=message("Of scores by class take the largest: scores.argmax(0)"),
        )
    if array.dtype == np.bool_:
        return array.astype(np.uint8)
    if array.dtype.kind not in "iu":
        raise ArrayError(
            message("the {what} holds {dtype} numbers", what=what, dtype=array.dtype),
            why=message("Class ids are whole numbers"),
            remedy=message("Convert them with astype(numpy.uint8) if they are ids"),
        )
    return array


def as_picture(given: object, what: str = "image") -> NDArray[np.uint8]:
    """Pixels of an image.

    Args:
        given: (H, W, 3) uint8 RGB, numpy or torch.

    Raises:
        ArrayError: a path, no array, other axes or numbers; with what to do.
    """
    array = as_array(given, what)
    fits = array.ndim == 3 and array.shape[2] == 3
    if not fits:
        remedy = message("Give red, green and blue for every pixel: (H, W, 3)")
        if array.ndim == 3 and array.shape[0] == 3:
            remedy = message("Move the channels to the end: numpy.moveaxis(image, 0, -1)")
        elif array.ndim == 4 and array.shape[0] == 1:
            remedy = message("Take the image out of its batch: image[0]")
        raise ArrayError(
            message("the {what} is {shape}", what=what, shape=_shape(array)), why=message("It is (H, W, 3) uint8"), remedy=remedy
        )
    if array.size == 0:
        raise ArrayError(
            message("the {what} is empty: {shape}", what=what, shape=_shape(array)),
            remedy=message("Give an image (H, W, 3) with pixels"),
        )
    if array.dtype != np.uint8:
        raise ArrayError(
            message("the {what} is {shape}", what=what, shape=_shape(array)),
            why=message("It is (H, W, 3) uint8"),
            remedy=message("Scale values of 0 to 1 with (255 * image).round().astype(numpy.uint8)"),
        )
    return np.ascontiguousarray(array)


def as_probabilities(given: object, size: tuple[int, int], what: str = "probabilities") -> NDArray[np.float32]:
    """Class probabilities of every pixel.

    Args:
        given: (C, H, W) numbers of 0 to 1, numpy or torch, C >= 2.
        size: (H, W) of the image that they belong to.

    Returns:
        (C, H, W) float32.

    Raises:
        ArrayError: a path, no array, other axes, another size, or values that are no probabilities; with what to do.
    """
    array = as_array(given, what)
    if array.ndim == 4 and array.shape[0] == 1:
        raise ArrayError(
            message("the {what} have an axis for the batch: {shape}", what=what, shape=_shape(array)),
            remedy=message("Take them out of their batch: probabilities[0]"),
        )
    if array.ndim == 3 and array.shape[:2] == size != array.shape[1:]:
        raise ArrayError(
            message("the {what} are {shape}, classes last", what=what, shape=_shape(array)),
            why=message("They are (C, H, W)"),
            remedy=message("Move the classes to the front: numpy.moveaxis(probabilities, -1, 0)"),
        )
    if array.ndim != 3 or array.shape[1:] != size or array.shape[0] < 2:
        raise ArrayError(
            message("the {what} are {shape}, the image {size}", what=what, shape=_shape(array), size=size),
            why=message("They are (C, H, W), at least two classes, at the image's size"),
            remedy=message("Resize the scores to the image before the softmax"),
        )
    values = array.astype(np.float32, copy=False)
    low, high = float(values.min()), float(values.max())
    if not (low >= 0.0 and high <= 1.0 + 1e-3):
        raise ArrayError(
            message("the {what} lie between {low} and {high}", what=what, low=f"{low:.3g}", high=f"{high:.3g}"),
            why=message("Probabilities lie between 0 and 1"),
            remedy=message("Apply the softmax over the classes first"),
        )
    return values
