"""From uint8 pixels to the network's input, window by window."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from deeplab_core.arrays import as_array, as_picture
from deeplab_core.errors import ArrayError, message
from deeplab_core.images.decode import too_few_channels
from deeplab_core.inference.geometry import Size
from deeplab_core.kernels.compiled import may_wait_for_loops
from deeplab_core.records import ChannelOrder, Preprocessing

RGB = NDArray[np.uint8]

#: By (H, W, h, w): what Pillow begins with, as the second image of these sizes showed; our own loops then do the same from
#: the third on. ``unknown`` after the first, ``neither`` where Pillow does something else.
_orders: dict[tuple[int, int, int, int], Literal["unknown", "rows", "columns", "neither"]] = {}
#: More sizes are forgotten.
_MOST_SIZES = 1024


def check_rgb(rgb: object, channels: int = 3) -> None:
    """Raise ArrayError unless ``rgb`` is a non-empty (H, W, 3) uint8 array.

    Args:
        channels: of the network. One of four channels needs (H, W, 4).

    Raises:
        ImageReadError: the network takes four channels and the image has three.
        ArrayError: a path, a tensor, other axes or numbers.
    """
    if not isinstance(rgb, np.ndarray):
        as_array(rgb, "image")
        raise ArrayError(
            message("the image is a torch tensor"), remedy=message("Give a numpy array of bytes: (H, W, 3), with tensor.numpy()")
        )
    if channels == 4 and rgb.ndim == 3 and rgb.shape[2] == 3:
        raise too_few_channels()
    if channels <= 3:
        as_picture(rgb)
    elif rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != channels or 0 in rgb.shape:
        raise ArrayError(
            message("the image is {shape}", shape=f"{rgb.dtype} {rgb.shape}"),
            why=message("The network reads (H, W, {channels}) uint8", channels=channels),
            remedy=message("Give an image with that many channels"),
        )


def to_network_channels(pixels: RGB, order: ChannelOrder) -> NDArray[np.uint8]:
    """(..., 3 or 4) uint8 RGB(A) as (..., C) uint8 in the order of a network; see :class:`Preprocessing`."""
    if order == "gray":
        # Pillow's fixed-point luminance: gray pictures keep their values exactly.
        weighed = pixels[..., :3].astype(np.uint32) @ np.array([19595, 38470, 7471], np.uint32)
        return ((weighed + 0x8000) >> 16).astype(np.uint8)[..., None]
    return pixels[..., 2::-1] if order == "BGR" else pixels if order == "RGBA" else pixels[..., :3]


def resize_rgb(rgb: RGB, size: Size) -> RGB:
    """Bilinear resampling of (H, W, 3 or 4) uint8 to ``size`` by the half-pixel rule; shrinking averages over what it swallows.

    The bytes are Pillow's: it computes the first images of each size, and our own loops the others once they gave the same bytes.
    The same array is returned where the size is already right.
    """
    if rgb.shape[:2] == size:
        return rgb
    if rgb.shape[2] > 3:  # Pillow would weigh the colours by the fourth channel, as if it were transparency
        parts = (resize_rgb(rgb[..., :3], size), resize_rgb(np.repeat(rgb[..., 3:], 3, axis=2), size)[..., :1])
        return np.concatenate(parts, axis=2)
    if not may_wait_for_loops():
        return _by_pillow(rgb, size)
    from deeplab_core.kernels.resampling import resampled

    sizes = (rgb.shape[0], rgb.shape[1], *size)
    order = _orders.get(sizes)
    if order in ("rows", "columns"):
        return resampled(rgb, size, columns_first=order == "columns")
    found = _by_pillow(rgb, size)
    if order is None:
        if len(_orders) >= _MOST_SIZES:
            _orders.clear()
        _orders[sizes] = "unknown"
    elif order == "unknown":
        one_step = size[0] == rgb.shape[0] or size[1] == rgb.shape[1]
        orders: tuple[Literal["rows", "columns"], ...] = ("rows",) if one_step else ("rows", "columns")
        equal = [each for each in orders if np.array_equal(found, resampled(rgb, size, columns_first=each == "columns"))]
        if one_step or len(equal) < 2:  # an image of one colour tells nothing
            _orders[sizes] = equal[0] if equal else "neither"
    return found


def _by_pillow(rgb: RGB, size: Size) -> RGB:
    resized = Image.fromarray(np.ascontiguousarray(rgb)).resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return np.asarray(resized)


class NormalValues:
    """What a network is given for every value of a pixel, so that an image is normalised by looking up instead of arithmetic.

    Args:
        preprocessing: of the model card.
    """

    def __init__(self, preprocessing: Preprocessing) -> None:
        mean, std, pad = (
            np.array(values, np.float32) for values in (preprocessing.mean, preprocessing.std, preprocessing.pad_value)
        )
        self._values = (np.arange(256, dtype=np.float32)[:, None] - mean) / std
        self._pad = (pad - mean) / std

    def fill(self, pixels: NDArray[np.uint8], out: NDArray[np.float32]) -> None:
        """Normalise pixels into the upper left corner of an array; the rest of it becomes padding.

        Args:
            pixels: (h, w, C) uint8 in the network's order of channels.
            out: (H, W, C) float32, C-contiguous, at least as large; written.
        """
        rows, columns = pixels.shape[:2]
        out[:rows, columns:] = self._pad
        out[rows:] = self._pad
        if pixels.size:
            _look_up(np.ascontiguousarray(pixels), self._values, out[:rows, :columns])

    def fill_planes(self, pixels: NDArray[np.uint8], out: NDArray[np.float32]) -> None:
        """As :meth:`fill`, into (C, H, W)."""
        rows, columns = pixels.shape[:2]
        out[:, :rows, columns:] = self._pad[:, None, None]
        out[:, rows:] = self._pad[:, None, None]
        if pixels.size:
            for plane, values, place in zip(cv2.split(np.ascontiguousarray(pixels)), self._values.T, out, strict=True):
                _look_up(np.asarray(plane), values, place[:rows, :columns])


def _look_up(pixels: NDArray[np.uint8], values: NDArray[np.float32], out: NDArray[np.float32]) -> None:
    """Write the value of each byte; ``values`` are (256,), or (256, C) for every channel its own."""
    found = cv2.LUT(pixels, np.ascontiguousarray(values)[None], dst=out)
    if not np.may_share_memory(found, out):  # OpenCV writes elsewhere what does not have the form it expects
        out[...] = found.reshape(out.shape)


class PixelCanvas:
    """The scaled image with its padding, as a graph sees it; windows of it are made on demand.

    Args:
        scaled: (h, w, 3) uint8 RGB, with a fourth channel where the network takes it.
        preprocessing: of the model card: channel order, mean and std, padding value.
        content: (height, width) beyond which the last row and column go on, see
            :class:`~deeplab_core.inference.geometry.NetworkFrame`; None pads without end.
    """

    def __init__(self, scaled: RGB, preprocessing: Preprocessing, content: Size | None = None) -> None:
        self._scaled = scaled
        self._content = content
        self._order = preprocessing.channel_order
        self._normal = NormalValues(preprocessing)

    def window(self, top: int, left: int, bottom: int, right: int) -> NDArray[np.float32]:
        """(1, C, bottom - top, right - left) float32; what lies outside the image is padding."""
        if self._content is not None and (bottom > self._content[0] or right > self._content[1]):
            # The canvas is small, so the whole of it is made and cut.
            known = self._filled(0, 0, *self._content)
            lacking = ((0, 0), (0, 0), (0, max(0, bottom - self._content[0])), (0, max(0, right - self._content[1])))
            return np.ascontiguousarray(np.pad(known, lacking, "edge")[..., top:bottom, left:right])
        return self._filled(top, left, bottom, right)

    def _filled(self, top: int, left: int, bottom: int, right: int) -> NDArray[np.float32]:
        part = to_network_channels(self._scaled[top:bottom, left:right], self._order)
        found = np.empty((1, part.shape[2], bottom - top, right - left), np.float32)
        self._normal.fill_planes(part, found[0])
        return found
