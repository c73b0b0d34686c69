"""TIFF: the one image format whose pixels may be anything. Decoded with tifffile, libtiff where a compression asks for it."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np
from numpy.typing import NDArray

from deeplab_core.errors import ImageReadError
from deeplab_core.images.channels import bgr_to_rgb, grey_to_rgb, to_uint8
from deeplab_core.images.guard import decoder_guard
from deeplab_core.images.orientation import swaps_sides
from deeplab_core.images.pillow import Image
from deeplab_core.images.probe import ImageInfo, valid_orientation

_ORIENTATION_TAG = 274
_REMEDY = "Save it as PNG, or as TIFF without compression"


def probe_tiff(stream: BinaryIO, path: Path, nbytes: int) -> ImageInfo:
    """Header facts of the first page. Raises ImageReadError for a damaged header."""
    page = _first_page(stream, path)
    with decoder_guard(ImageReadError, "the TIFF header is damaged", path, _REMEDY):
        orientation = _orientation(page)
        width, height = int(page.imagewidth), int(page.imagelength)
        samples, bits = int(page.samplesperpixel), _bits(page)
    if swaps_sides(orientation):
        width, height = height, width
    mode = f"{samples} x {bits} bit" if bits != 8 or samples not in (1, 3, 4) else {1: "L", 3: "RGB", 4: "RGBA"}[samples]
    return ImageInfo(path=path, width=width, height=height, orientation=orientation, mode=mode, format="TIFF", nbytes=nbytes)


def decode_tiff(data: bytes, path: Path) -> tuple[NDArray[np.uint8], str]:
    """Decode the first page.

    Pages of one, three or four samples become grey, RGB and RGBA (CMYK where the file says so); of more samples the first
    three are shown. Values of other types than uint8 are scaled by :func:`deeplab_core.images.channels.to_uint8`.

    Returns:
        (H, W, 3) uint8 RGB in the *stored* frame, and a note that says what was scaled or left out (empty for plain files).

    Raises:
        ImageReadError: truncated, damaged, or compressed in a way that cannot be read.
    """
    page = _first_page(io.BytesIO(data), path)
    try:
        pixels = _samples_last(page, page.asarray())
    except Exception as error:  # tifffile raises many kinds for damaged files and missing codecs alike
        return _decode_with_libtiff(data, page, path, error)
    photometric = getattr(page.photometric, "name", "")
    if photometric == "PALETTE" and page.colormap is not None:
        # TIFF 6.0, section 5: colour maps are 16-bit, (3, 2**bits).
        return np.ascontiguousarray((page.colormap.T >> 8).astype(np.uint8)[pixels[..., 0]]), ""
    values, note = to_uint8(pixels)
    if photometric == "MINISWHITE":
        values = 255 - values
    if photometric == "SEPARATED" and values.shape[2] == 4:
        return np.asarray(Image.fromarray(values, "CMYK").convert("RGB")), note
    if values.shape[2] > 4 or values.shape[2] == 2:
        shown = "first three" if values.shape[2] > 4 else "first"
        note = "; ".join(filter(None, (note, f"{values.shape[2]} bands, the {shown} shown")))
    bands = values[..., :3] if values.shape[2] >= 3 else np.repeat(values[..., :1], 3, axis=2)
    return np.ascontiguousarray(bands), note


def _first_page(stream: BinaryIO, path: Path) -> Any:
    import tifffile

    with decoder_guard(ImageReadError, "the TIFF header is damaged", path, _REMEDY):
        return tifffile.TiffFile(stream).pages.first


def _bits(page: Any) -> int:
    bits = page.bitspersample
    return int(bits[0]) if isinstance(bits, tuple) else int(bits)


def _orientation(page: Any) -> int:
    tag = page.tags.get(_ORIENTATION_TAG)
    return valid_orientation(int(tag.value)) if tag is not None else 1


def _samples_last(page: Any, pixels: NDArray[Any]) -> NDArray[Any]:
    """(H, W, S) whatever the page's axes are; of a volume the first slice."""
    axes = str(page.axes)
    while len(axes) > 2 and axes[0] not in "SYX":
        pixels, axes = pixels[0], axes[1:]
    if axes == "SYX":
        return np.moveaxis(pixels, 0, -1)
    return pixels.reshape(pixels.shape[0], pixels.shape[1], -1)


def _decode_with_libtiff(data: bytes, page: Any, path: Path, cause: Exception) -> tuple[NDArray[np.uint8], str]:
    """LZW, JPEG and other compressions through the libtiff of OpenCV (16 bit) or Pillow (8 bit)."""
    hint = str(cause) if "codec" in str(cause) else ""
    with decoder_guard(ImageReadError, f"the TIFF cannot be decoded{' (' + hint + ')' if hint else ''}", path, _REMEDY):
        upright = _without_orientation(data, page)
        if _bits(page) == 16:
            pixels = cv2.imdecode(np.frombuffer(upright, np.uint8), cv2.IMREAD_UNCHANGED)
            if pixels is not None and pixels.dtype == np.uint16:
                values, note = to_uint8(pixels)
                return (grey_to_rgb(values) if values.ndim == 2 else bgr_to_rgb(values[..., :3])), note
        with Image.open(io.BytesIO(upright)) as picture:
            picture.load()
            if picture.mode.startswith(("I", "F")):
                values, note = to_uint8(np.asarray(picture))
                return grey_to_rgb(values), note
            return np.asarray(picture.convert("RGB")), ""


def _without_orientation(data: bytes, page: Any) -> bytes:
    """The same file with orientation 1, because libtiff's front ends differ in whether they turn the picture."""
    tag = page.tags.get(_ORIENTATION_TAG)
    if tag is None:
        return data
    changed = bytearray(data)
    struct.pack_into(page.parent.byteorder + "H", changed, tag.valueoffset, 1)
    return bytes(changed)
