"""What a mask file holds, before any catalog defines its meaning: ids, or colours."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplab_core.errors import ImageReadError, MaskFormatError, message, plural_message
from deeplab_core.images.guard import decoder_guard
from deeplab_core.images.limits import LARGE, check_size
from deeplab_core.images.pillow import Image, UnidentifiedImageError, pillow_pixels
from deeplab_core.images.pnm import SIGNATURES, read_pnm
from deeplab_core.images.probe import TIFF_SIGNATURES, read_file
from deeplab_core.notes import Note, frames_note

_LOSSY = frozenset({"JPEG", "MPO", "WEBP", "JPEG2000", "AVIF"})
#: Kinds of PNG with 16-bit samples that the decoder for photographs would cut: RGB, grey with alpha, RGB with alpha.
_DEEP_KINDS = (2, 4, 6)
_EXACT_REMEDY = message("Save the mask as PNG again from its source")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredMask:
    """Decoded content of a mask file, in the stored frame.

    Attributes:
        values: (H, W) uint8 or uint16 ids as stored, or None for a colour file.
        colors: (H, W, 3) uint8 RGB, or None for a file of ids.
        palette: (N, 3) uint8 colours that an indexed file declares, N as long as the file's own table; else None.
        notes: what was left out or read in an unusual way.
    """

    values: NDArray[Any] | None = None
    colors: NDArray[np.uint8] | None = None
    palette: NDArray[np.uint8] | None = None
    notes: tuple[Note, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in px."""
        array = self.values if self.values is not None else self.colors
        assert array is not None
        return array.shape[1], array.shape[0]


def read_stored(path: str | Path) -> StoredMask:
    """Decode a mask file without interpreting it: PNG, TIFF, BMP, GIF, PGM/PPM, or ``.npy`` (pickles are never loaded).

    TIFF and ``.npy`` may hold ids of any integer type, or floats that are whole numbers. Of several pages or frames the first is
    read, with a note.

    Raises:
        MaskFormatError: missing, damaged, lossy (JPEG, WebP), half-transparent, or of a kind that cannot hold a mask.
    """
    path = Path(path)
    try:
        data = read_file(path)
    except ImageReadError as error:
        why = message("{what}. {why}", what=error.what, why=error.why) if error.why else error.what
        if isinstance(error.__cause__, OSError):
            why = str(error.__cause__)
        raise MaskFormatError(message("the mask file cannot be read"), why=why, remedy=error.remedy, path=path) from error
    return decode_stored(data, path)


def decode_stored(data: bytes, path: Path) -> StoredMask:
    """As :func:`read_stored`, for content that is in memory already; ``path`` is what errors name."""
    if not data:
        raise MaskFormatError(
            message("the mask file is empty"),
            why=message("It has 0 bytes"),
            remedy=message("Copy it again from its source"),
            path=path,
        )
    if data.startswith(b"\x93NUMPY"):
        return StoredMask(values=_npy_values(data, path))
    if data.startswith(TIFF_SIGNATURES):
        return _from_tiff(data, path)
    if data.startswith(SIGNATURES):
        return _from_pnm(data, path)
    if data.startswith(b"\x89PNG") and len(data) > 25 and data[24] == 16 and data[25] in _DEEP_KINDS:
        return _from_deep_png(data, data[25], path)
    if data.startswith(b"\x89PNG"):
        found = _from_large_png(data, path)
        if found is not None:
            return found
    with decoder_guard(MaskFormatError, "the mask file is damaged", path, _EXACT_REMEDY):
        try:
            picture = Image.open(io.BytesIO(data))
            check_size(*picture.size, path)
        except UnidentifiedImageError:
            raise MaskFormatError(
                message("this is not a mask"), why=message("The content is of no known kind"), remedy=_EXACT_REMEDY, path=path
            ) from None
        except ImageReadError as error:
            raise MaskFormatError(error.what, why=error.why, remedy=error.remedy, path=path) from error
        with picture:
            if picture.format in _LOSSY:
                raise MaskFormatError(
                    message("a mask cannot be a {format} file", format=picture.format),
                    why=message("This format does not keep values exactly"),
                    remedy=_EXACT_REMEDY,
                    path=path,
                )
            frames = int(getattr(picture, "n_frames", 1))
            picture.seek(0)
            picture.load()
            found = _from_picture(picture, data, path)
    if frames > 1:
        return replace(found, notes=(frames_note(frames),))
    return found


def _from_large_png(data: bytes, path: Path) -> StoredMask | None:
    """A PNG of colours that Pillow would hold in eight bytes a pixel, read strip by strip; None for every other one."""
    from deeplab_core.images.png import read_png_header
    from deeplab_core.images.png_strips import png_layout, png_samples

    with decoder_guard(MaskFormatError, "the mask file is damaged", path, _EXACT_REMEDY):
        layout = png_layout(data)
        if layout is None or layout.width * layout.height < LARGE or layout.depth != 8 or layout.kind not in (2, 6):
            return None
        if layout.interlaced:
            return None
        check_size(layout.width, layout.height, path)
        pixels = png_samples(data, layout)
        header = read_png_header(data)
    notes = () if header is None or header.frames < 2 else (frames_note(header.frames),)
    if layout.kind == 6:
        if pixels[..., 3].min() < 255:
            raise _transparent(path)
        pixels = np.ascontiguousarray(pixels[..., :3])
    return StoredMask(colors=pixels, notes=notes)


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
        return StoredMask(values=_ids(np.asarray(picture), path))
    if mode in ("LA", "PA", "RGBA"):
        if np.asarray(picture.getchannel("A")).min() < 255:
            raise _transparent(path)
        return (
            StoredMask(values=np.asarray(picture.getchannel(0)))
            if mode == "LA"
            else StoredMask(colors=pillow_pixels(picture, "RGB"))
        )
    if mode == "RGB":
        return StoredMask(colors=pillow_pixels(picture, "RGB"))
    raise MaskFormatError(
        message("a picture of the kind '{mode}' cannot hold a mask", mode=mode),
        remedy=message("Save ids as indexed or grey PNG, or colours as RGB PNG"),
        path=path,
    )


def _unscaled(values: NDArray[np.uint8], data: bytes) -> NDArray[np.uint8]:
    """Ids of a 2- or 4-bit grey PNG: the decoder stretches them to 0..255 as it would a photograph."""
    if data.startswith(b"\x89PNG") and data[24] in (2, 4):
        return values // (255 // ((1 << data[24]) - 1))
    return values


def _from_tiff(data: bytes, path: Path) -> StoredMask:
    from deeplab_core.images.tiff import load_tiff  # brings OpenCV, which listing a folder does without

    try:
        found = load_tiff(data, path)
        check_size(found.pixels.shape[1], found.pixels.shape[0], path)
    except ImageReadError as error:
        why = message("{what}; {why}", what=error.what, why=error.why) if error.why else error.what
        raise MaskFormatError(message("the mask file is damaged"), why=why, remedy=_EXACT_REMEDY, path=path) from error
    if found.lossy:
        raise MaskFormatError(
            message("a mask cannot be compressed as JPEG"),
            why=message("This compression does not keep values exactly"), remedy=_EXACT_REMEDY, path=path,
        )  # fmt: skip
    pixels, notes, samples = found.pixels, list(found.notes), found.pixels.shape[2]
    if found.palette is not None:
        return StoredMask(values=_ids(pixels[..., 0], path), palette=found.palette, notes=tuple(notes))
    if found.photometric == "MINISWHITE" and samples == 1:
        text = message("the file shows 0 as white; its values are read as they are stored")
        notes.append(Note("inverted", text, plural_message("is stored with white as 0", "are stored with white as 0", 1)))
    if samples in (2, 4) and found.photometric != "SEPARATED":
        opaque = np.iinfo(pixels.dtype).max if pixels.dtype.kind == "u" else 1
        if (pixels[..., -1] != opaque).any():
            raise _transparent(path)
        pixels, samples = pixels[..., :-1], samples - 1
    if samples == 1:
        return StoredMask(values=_ids(pixels[..., 0], path), notes=tuple(notes))
    if samples == 3 and found.photometric in ("RGB", "MINISBLACK"):
        return StoredMask(colors=_eight_bit_colors(pixels, path), notes=tuple(notes))
    raise MaskFormatError(
        message("a TIFF of {samples} bands cannot hold a mask", samples=samples),
        remedy=message("Save ids as one band, or colours as RGB of 8 bits"), path=path,
    )  # fmt: skip


def _from_pnm(data: bytes, path: Path) -> StoredMask:
    try:
        values, _ = read_pnm(data, path)
    except ImageReadError as error:
        raise MaskFormatError(
            message("the mask cannot be read: {what}", what=error.what), why=error.why, remedy=_EXACT_REMEDY, path=path
        ) from error
    if values.ndim == 3:
        return StoredMask(colors=_eight_bit_colors(values, path))
    return StoredMask(values=_ids(values, path))


def _from_deep_png(data: bytes, kind: int, path: Path) -> StoredMask:
    """Colour and grey-alpha PNG of 16 bits, of which Pillow keeps the high bytes alone: small ids would all become 0."""
    from deeplab_core.images.png import deep_samples

    with decoder_guard(MaskFormatError, "the mask file is damaged", path, _EXACT_REMEDY):
        with Image.open(io.BytesIO(data)) as picture:
            check_size(*picture.size, path)
        pixels = deep_samples(data, kind)
    if pixels is None:
        raise MaskFormatError(message("the mask file is damaged"), remedy=_EXACT_REMEDY, path=path)
    if kind != 2 and (pixels[..., -1] != 65535).any():
        raise _transparent(path)
    if kind == 4:
        return StoredMask(values=_ids(pixels[..., 0], path))
    return StoredMask(colors=_eight_bit_colors(pixels[..., :3], path))


def _eight_bit_colors(pixels: NDArray[Any], path: Path) -> NDArray[np.uint8]:
    if pixels.dtype == np.uint8:
        return np.ascontiguousarray(pixels)
    if pixels.dtype == np.uint16 and not (pixels % 257).any():  # 8-bit colours written with 16 bits
        return np.ascontiguousarray((pixels // 257).astype(np.uint8))
    raise MaskFormatError(
        message("colours of the type {dtype} cannot be told apart", dtype=pixels.dtype),
        remedy=message("Save it as RGB of 8 bits"),
        path=path,
    )


def _transparent(path: Path) -> MaskFormatError:
    return MaskFormatError(
        message("the mask has transparent pixels"),
        why=message("Their class cannot be told"),
        remedy=message("Save it without transparency"),
        path=path,
    )


def _ids(values: NDArray[Any], path: Path) -> NDArray[Any]:
    """(H, W) uint8 or uint16 ids, C-contiguous, from numbers of any type.

    Raises:
        MaskFormatError: numbers that are not whole, or outside 0..65535.
    """
    if values.dtype == np.uint8 or values.dtype.kind == "b":
        return np.asarray(values, dtype=np.uint8, order="C")
    if values.dtype.kind == "f":
        broken = ~np.isfinite(values) | (values != np.round(values))
        if broken.any():
            raise MaskFormatError(
                message(
                    "the mask holds numbers that are not ids: {value:g} and others in {pixels:,} px",
                    value=values[broken][0],
                    pixels=int(broken.sum()),
                ),
                why=message("Ids are whole numbers"),
                remedy=message("Save the ids as whole numbers; a map of probabilities is not a mask"),
                path=path,
            )
    elif values.dtype.kind not in "iu":
        raise MaskFormatError(
            message("numbers of the type {dtype} are not ids", dtype=values.dtype), remedy=_EXACT_REMEDY, path=path
        )
    low, high = values.min(), values.max()
    if low < 0 or high > 65535:
        raise MaskFormatError(
            message("the mask holds the value {value:.0f}", value=low if low < 0 else high),
            why=message("Ids are 0..65535"),
            remedy=_EXACT_REMEDY,
            path=path,
        )
    return np.ascontiguousarray(values.astype(np.uint16))


def _npy_values(data: bytes, path: Path) -> NDArray[Any]:
    with decoder_guard(MaskFormatError, "the .npy file is damaged or holds objects", path, _EXACT_REMEDY):
        values = np.load(io.BytesIO(data), allow_pickle=False)
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[..., 0]
    if values.ndim != 2 or values.size == 0 or values.dtype.kind not in "buif":
        raise MaskFormatError(
            message("a mask is a two-dimensional array of whole numbers"),
            why=message("This one has the shape {shape} and the type {dtype}", shape=values.shape, dtype=values.dtype),
            remedy=_EXACT_REMEDY,
            path=path,
        )
    check_size(values.shape[1], values.shape[0], path)
    return _ids(values, path)
