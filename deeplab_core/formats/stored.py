"""What a mask file holds, before any catalog says what it means: ids, or colours."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplab_core.errors import ImageReadError, MaskFormatError
from deeplab_core.images.guard import decoder_guard
from deeplab_core.images.limits import check_size
from deeplab_core.images.pillow import Image, UnidentifiedImageError
from deeplab_core.images.probe import read_file

_LOSSY = frozenset({"JPEG", "MPO", "WEBP", "JPEG2000", "AVIF"})
_EXACT_REMEDY = "Save the mask as PNG again from its source"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredMask:
    """Decoded content of a mask file, in the stored frame.

    Attributes:
        values: (H, W) uint8 or uint16 ids as stored, or None for a colour file.
        colors: (H, W, 3) uint8 RGB, or None for a file of ids.
        palette: (N, 3) uint8 colours that an indexed file declares, N as long as the file's own table; else None.
    """

    values: NDArray[Any] | None = None
    colors: NDArray[np.uint8] | None = None
    palette: NDArray[np.uint8] | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in px."""
        array = self.values if self.values is not None else self.colors
        assert array is not None
        return array.shape[1], array.shape[0]


def read_stored(path: str | Path) -> StoredMask:
    """Decode a mask file without interpreting it: PNG, TIFF, BMP, GIF, PGM/PPM, or ``.npy`` (pickles are never loaded).

    Raises:
        MaskFormatError: missing, damaged, lossy (JPEG, WebP), half-transparent, or of a kind that cannot hold a mask.
    """
    path = Path(path)
    try:
        data = read_file(path)
    except ImageReadError as error:
        why = str(error.__cause__) if isinstance(error.__cause__, OSError) else f"{error.what}. {error.why}"
        raise MaskFormatError("the mask file cannot be read", why=why, remedy=error.remedy, path=path) from error
    if data.startswith(b"\x93NUMPY"):
        return StoredMask(values=_npy_values(data, path))
    with decoder_guard(MaskFormatError, "the mask file is damaged", path, _EXACT_REMEDY):
        try:
            picture = Image.open(io.BytesIO(data))
            check_size(*picture.size, path)
        except UnidentifiedImageError:
            raise MaskFormatError(
                "this is not a mask", why="The content is of no known kind", remedy=_EXACT_REMEDY, path=path
            ) from None
        except ImageReadError as error:
            raise MaskFormatError(error.what, why=error.why, remedy=error.remedy, path=path) from error
        with picture:
            if picture.format in _LOSSY:
                raise MaskFormatError(
                    f"a mask cannot be a {picture.format} file",
                    why="This format does not keep values exactly",
                    remedy=_EXACT_REMEDY,
                    path=path,
                )
            picture.load()
            return _from_picture(picture, data, path)


def _from_picture(picture: Image.Image, data: bytes, path: Path) -> StoredMask:
    mode = picture.mode
    if mode == "P":
        palette = np.array(picture.getpalette("RGB"), dtype=np.uint8).reshape(-1, 3)
        return StoredMask(values=np.asarray(picture), palette=palette)
    if mode == "1":
        return StoredMask(values=np.asarray(picture).astype(np.uint8))
    if mode == "L":
        return StoredMask(values=_unscaled(np.asarray(picture), data))
    if mode.startswith("I"):
        return StoredMask(values=_sixteen_bit(np.asarray(picture), path))
    if mode in ("LA", "PA", "RGBA"):
        if np.asarray(picture.getchannel("A")).min() < 255:
            raise MaskFormatError(
                "the mask has transparent pixels", why="Their class cannot be told",
                remedy="Save it without transparency", path=path,
            )  # fmt: skip
        return (
            StoredMask(values=np.asarray(picture.getchannel(0)))
            if mode == "LA"
            else StoredMask(colors=np.asarray(picture.convert("RGB")))
        )
    if mode == "RGB":
        return StoredMask(colors=np.asarray(picture))
    raise MaskFormatError(
        f"a picture of the kind '{mode}' cannot hold a mask",
        remedy="Save ids as indexed or grey PNG, or colours as RGB PNG",
        path=path,
    )


def _unscaled(values: NDArray[np.uint8], data: bytes) -> NDArray[np.uint8]:
    """Ids of a 2- or 4-bit grey PNG: the decoder stretches them to 0..255 as it would a photograph."""
    if data.startswith(b"\x89PNG") and data[24] in (2, 4):
        return values // (255 // ((1 << data[24]) - 1))
    return values


def _sixteen_bit(values: NDArray[Any], path: Path) -> NDArray[np.uint16]:
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > 65535:
        raise MaskFormatError(
            f"the mask holds the value {low if low < 0 else high}", why="Ids are 0..65535", remedy=_EXACT_REMEDY, path=path
        )
    return values.astype(np.uint16)


def _npy_values(data: bytes, path: Path) -> NDArray[Any]:
    with decoder_guard(MaskFormatError, "the .npy file is damaged or holds objects", path, _EXACT_REMEDY):
        values = np.load(io.BytesIO(data), allow_pickle=False)
    if values.ndim != 2 or values.size == 0 or values.dtype.kind not in "bui":
        raise MaskFormatError(
            "a mask is a two-dimensional array of whole numbers",
            why=f"This one has the shape {values.shape} and the type {values.dtype}", remedy=_EXACT_REMEDY, path=path,
        )  # fmt: skip
    check_size(values.shape[1], values.shape[0], path)
    if values.dtype.kind == "b":
        return np.asarray(values, dtype=np.uint8)
    return np.asarray(values, dtype=np.uint8, order="C") if values.dtype == np.uint8 else _sixteen_bit(values, path)
