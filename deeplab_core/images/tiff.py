"""TIFF: the one image format with pixels of any kind. Decoded with tifffile, libtiff where a compression asks for it.

:func:`load_tiff` gives the stored values; photographs (:func:`decode_tiff`) and masks
(:func:`deeplab_core.masks.stored.read_stored`) are both read through it.
"""

from __future__ import annotations

import io
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import cv2
import numpy as np
from numpy.typing import NDArray

from deeplab_core.errors import ImageReadError, message, plural_message
from deeplab_core.images.channels import NOTHING_DECLARED, Declared, scale_to_uint8
from deeplab_core.images.guard import decoder_guard
from deeplab_core.images.info import ImageInfo
from deeplab_core.images.limits import check_memory
from deeplab_core.images.orientation import swaps_sides, valid_orientation
from deeplab_core.images.pillow import Image
from deeplab_core.notes import Note

if TYPE_CHECKING:
    from tifffile import TiffPage

_ORIENTATION_TAG = 274
_GDAL_NO_DATA_TAG = 42113
#: MinSampleValue and its signed or float form, MaxSampleValue and the same, DNG's WhiteLevel and BlackLevel.
_LOW_TAGS, _HIGH_TAGS = (340, 280, 50714), (341, 281, 50717)
_OLD_SUBFILE_TAG, _OLD_REDUCED = 255, 2
_REMEDY = message("Save it as PNG, or as TIFF without compression")
#: Pages that are asked what they are; a stack of thousands has no thumbnails behind them.
_PAGES_LOOKED_AT = 64
#: JPEG (old and new), JPEG 2000 and JPEG XL in TIFF: values come back changed.
_LOSSY = frozenset({6, 7, 33003, 33005, 34712, 34892, 50002, 52546})


@dataclass(frozen=True, slots=True, kw_only=True)
class TiffPicture:
    """The picture of a TIFF file, as stored.

    Attributes:
        pixels: (H, W, S), any dtype: samples as in the file, palette indices for ``"PALETTE"``.
        photometric: how the samples are meant: ``"MINISBLACK"``, ``"MINISWHITE"``, ``"RGB"``, ``"PALETTE"``, ``"SEPARATED"``, ...
        palette: (N, 3) uint8 colours of a palette picture, else None.
        lossy: whether the compression changes values.
        declared: what the file says about its values.
        notes: pages that were left out.
    """

    pixels: NDArray[Any]
    photometric: str
    palette: NDArray[np.uint8] | None = None
    lossy: bool = False
    declared: Declared = NOTHING_DECLARED
    notes: list[Note] = field(default_factory=list)


def probe_tiff(stream: BinaryIO, path: Path, nbytes: int) -> ImageInfo:
    """Header facts of the page that :func:`load_tiff` reads. Raises ImageReadError for a damaged header."""
    page, _ = _picture_page(stream, path)
    with decoder_guard(ImageReadError, "the TIFF header is damaged", path, _REMEDY):
        orientation = _orientation(page)
        width, height = int(page.imagewidth), int(page.imagelength)
        samples, bits = int(page.samplesperpixel), _bits(page)
    if swaps_sides(orientation):
        width, height = height, width
    mode = f"{samples} x {bits} bit" if bits != 8 or samples not in (1, 3, 4) else {1: "L", 3: "RGB", 4: "RGBA"}[samples]
    return ImageInfo(path=path, width=width, height=height, orientation=orientation, mode=mode, format="TIFF", nbytes=nbytes)


def decode_tiff(data: bytes, path: Path) -> tuple[NDArray[np.uint8], list[Note]]:
    """Decode the picture of a TIFF file to RGB.

    Pages of one, three or four samples become grey, RGB and RGBA (CMYK if the file declares it); of more samples the first
    three are shown. Values are scaled by :func:`deeplab_core.images.channels.scale_to_uint8`.

    Returns:
        (H, W, 3) uint8 RGB in the *stored* frame, and notes of what was scaled or left out (none for plain files).

    Raises:
        ImageReadError: truncated, damaged, or compressed in a way that cannot be read.
    """
    found = load_tiff(data, path)
    if found.palette is not None:
        indices = np.minimum(found.pixels[..., 0], len(found.palette) - 1)
        return np.ascontiguousarray(found.palette[indices]), found.notes
    pixels, notes = found.pixels, list(found.notes)
    inks = found.photometric == "SEPARATED" and pixels.shape[2] == 4
    if pixels.shape[2] > 4 or pixels.shape[2] == 2:
        bands = pixels.shape[2]
        text = message("{bands} bands, the first shown", bands=bands)
        if bands > 4:
            text = message("{bands} bands, the first three shown", bands=bands)
        notes.append(Note("bands", text, plural_message("has further bands", "have further bands", 1)))
    if not inks:
        pixels = pixels[..., :3] if pixels.shape[2] >= 3 else pixels[..., :1]
    values, scaled = scale_to_uint8(pixels, found.declared)
    notes = scaled + notes
    if found.photometric == "MINISWHITE":
        values = np.uint8(255) - values
    if inks:
        return np.asarray(Image.fromarray(np.ascontiguousarray(values), "CMYK").convert("RGB")), notes
    return np.ascontiguousarray(values if values.shape[2] == 3 else np.repeat(values, 3, axis=2)), notes


def load_tiff(data: bytes, path: Path) -> TiffPicture:
    """Read the picture of a TIFF file without scaling or interpreting it.

    The picture is the first page that is neither a reduced copy nor a mask of another; a file with reduced pages only keeps
    its picture in the sub-files of the first. Further pages are left out, with a note.

    Raises:
        ImageReadError: truncated, damaged, or compressed in a way that cannot be read.
    """
    page, index = _picture_page(io.BytesIO(data), path)
    with decoder_guard(ImageReadError, "the TIFF header is damaged", path, _REMEDY):
        photometric = getattr(page.photometric, "name", "")
        notes = _page_notes(page)
        declared = _declared(page)
        lossy = int(page.compression) in _LOSSY
        direct = _stored_as_they_are(data, page)
        _check_memory(data, page, direct is not None, path)
    try:
        pixels, slices = _samples_last(page, page.asarray() if direct is None else direct)
    except Exception as error:  # tifffile raises many kinds for damaged files and missing codecs alike
        return _with_libtiff(data, page, index, path, error, notes, declared, lossy)
    if slices > 1:
        text = message("the first of {slices} slices is read", slices=f"{slices:,}")
        notes.append(Note("pages", text, plural_message("has further slices", "have further slices", 1)))
    palette = None
    if photometric == "PALETTE" and page.colormap is not None:
        # TIFF 6.0, section 5: colour maps are 16-bit, (3, 2**bits). Some writers leave them at 8 bit.
        colors = np.asarray(page.colormap).T
        palette = (colors >> 8 if colors.max(initial=0) > 255 else colors).astype(np.uint8)
    return TiffPicture(pixels=pixels, photometric=photometric, palette=palette, lossy=lossy, declared=declared, notes=notes)


def _stored_as_they_are(data: bytes, page: TiffPage) -> NDArray[Any] | None:
    """The page's values as a view of the file, if they are there in one piece, uncompressed, in this machine's byte order."""
    native = "<" if sys.byteorder == "little" else ">"
    if not getattr(page, "is_final", False) or page.dtype is None or page.parent.byteorder != native:
        return None
    place, size = int(page.dataoffsets[0]), int(page.nbytes)
    if len(data) < place + size or _bits(page) != 8 * page.dtype.itemsize:
        return None  # tifffile reports what is wrong
    return np.frombuffer(data, page.dtype, size // page.dtype.itemsize, place).reshape(page.shape)


def _check_memory(data: bytes, page: TiffPage, direct: bool, path: Path) -> None:
    """Raise ImageReadError for a page that takes too much memory: the file, its values, and the picture that they become."""
    pixels, samples = int(page.imagewidth) * int(page.imagelength), int(page.samplesperpixel)
    shown = 3 if samples >= 3 else 1
    needed = len(data) + (0 if direct else int(page.nbytes)) + pixels * (shown + (3 if _bits(page) != 8 or shown == 1 else 0))
    depth = int(page.imagedepth)
    kind = f"{samples} sample{'s' if samples > 1 else ''} of {_bits(page)} bits{f', in {depth:,} slices' if depth > 1 else ''}"
    check_memory(needed, kind, path, message("Save it with 8 bits a sample, or cut it into smaller pictures"))


def _picture_page(stream: BinaryIO, path: Path) -> tuple[Any, int | None]:
    """The page that holds the picture, and its number among the file's pages; None for one in a sub-file."""
    import tifffile

    with decoder_guard(ImageReadError, "the TIFF header is damaged", path, _REMEDY):
        pages = tifffile.TiffFile(stream).pages
        first = pages.first
        if not _is_aside(first):
            return first, 0
        looked_at = [pages[index] for index in range(min(len(pages), _PAGES_LOOKED_AT))]
        for index, page in enumerate(looked_at):
            if not _is_aside(page):
                return page, index
        for page in looked_at:
            for below in page.pages or ():
                if not _is_aside(below):
                    return below, None
        return first, 0


def _is_aside(page: Any) -> bool:
    """Whether a page is a smaller copy, or the transparency mask, of another page."""
    old = page.tags.get(_OLD_SUBFILE_TAG)
    return bool(int(page.subfiletype) & 0b101) or (old is not None and old.value == _OLD_REDUCED)


def _page_notes(page: TiffPage) -> list[Note]:
    pages = page.parent.pages
    total = len(pages)
    looked_at = min(total, _PAGES_LOOKED_AT)
    others = sum(not _is_aside(pages[index]) for index in range(looked_at)) + total - looked_at
    metadata = page.parent.imagej_metadata if page.parent.is_imagej else None
    if isinstance(metadata, dict) and total == 1:  # ImageJ stores a large stack behind a single page
        others = max(others, int(metadata.get("images", 1)))
    if others <= 1:
        return []
    text = message("the first of {others} pages is read", others=f"{others:,}")
    return [Note("pages", text, plural_message("has further pages", "have further pages", 1))]


def _bits(page: TiffPage) -> int:
    bits: Any = page.bitspersample  # a tuple for samples of several kinds, against its declared type
    return int(bits[0]) if isinstance(bits, tuple) else int(bits)


def _orientation(page: TiffPage) -> int:
    tag = page.tags.get(_ORIENTATION_TAG)
    return valid_orientation(int(tag.value)) if tag is not None else 1


def _declared(page: TiffPage) -> Declared:
    no_data = page.tags.get(_GDAL_NO_DATA_TAG)
    bits = _bits(page)
    return Declared(
        bits=bits if 8 < bits < 16 else None,
        no_data=None if no_data is None else _number(no_data.value),
        low=_first_number(page, _LOW_TAGS, min),
        high=_first_number(page, _HIGH_TAGS, max),
    )


def _first_number(page: TiffPage, tags: tuple[int, ...], joined: Callable[[list[float]], float]) -> float | None:
    for tag in tags:
        entry = page.tags.get(tag)
        value = None if entry is None else entry.value
        numbers = [_number(part) for part in (value if isinstance(value, (tuple, list)) else (value,))]
        known = [number for number in numbers if number is not None]
        if known:
            return float(joined(known))
    return None


def _number(value: Any) -> float | None:
    """A tag's value as a number; GDAL writes text, with a NUL or blanks around it."""
    if isinstance(value, bytes):
        value = value.decode("ascii", "replace")
    if isinstance(value, str):
        value = value.strip("\0 \t\r\n")
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return None


def _samples_last(page: TiffPage, pixels: NDArray[Any]) -> tuple[NDArray[Any], int]:
    """(H, W, S) whatever the page's axes are, and the number of slices; of a volume the first slice."""
    axes = str(page.axes)
    slices = 1
    while len(axes) > 2 and axes[0] not in "SYX":
        slices *= pixels.shape[0]
        pixels, axes = pixels[0], axes[1:]
    if axes == "SYX":
        return np.moveaxis(pixels, 0, -1), slices
    return pixels.reshape(pixels.shape[0], pixels.shape[1], -1), slices


def _with_libtiff(
    data: bytes,
    page: TiffPage,
    index: int | None,
    path: Path,
    cause: Exception,
    notes: list[Note],
    declared: Declared,
    lossy: bool,
) -> TiffPicture:
    """LZW, JPEG and other compressions through the libtiff of OpenCV (16 bit and more) or Pillow (8 bit)."""
    hint = str(cause) if "codec" in str(cause) else ""
    what = message("the TIFF cannot be decoded{hint}", hint=" (" + hint + ")" if hint else "")
    if index is None:
        raise ImageReadError(what, why=message("The picture is in a sub-file"), remedy=_REMEDY, path=path) from cause
    photometric = getattr(page.photometric, "name", "")
    with decoder_guard(ImageReadError, what, path, _REMEDY):
        upright = _without_orientation(data, page)
        if _bits(page) >= 16:
            pixels = _with_opencv(upright, index)
            if pixels is not None:
                return TiffPicture(pixels=pixels, photometric=photometric, lossy=lossy, declared=declared, notes=notes)
        with Image.open(io.BytesIO(upright)) as picture:
            picture.seek(index)
            picture.load()
            palette = None
            if picture.mode == "P":
                palette = np.array(picture.getpalette("RGB"), dtype=np.uint8).reshape(-1, 3)
            pixels = np.asarray(picture.convert("RGB") if photometric == "YCBCR" else picture)
            # Pillow turns the samples of MINISWHITE around, which is undone: this function gives what is stored.
            if photometric == "MINISWHITE" and picture.mode in ("1", "L"):
                pixels = ~pixels
            photometric = "RGB" if photometric == "YCBCR" else photometric
    pixels = pixels.reshape(pixels.shape[0], pixels.shape[1], -1)
    return TiffPicture(pixels=pixels, photometric=photometric, palette=palette, lossy=lossy, declared=declared, notes=notes)


def _with_opencv(data: bytes, index: int) -> NDArray[Any] | None:
    found, pages = cv2.imdecodemulti(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED, range=(index, index + 1))
    if not found or not pages or pages[0].dtype == np.uint8:
        return None
    pixels = np.asarray(pages[0])
    if pixels.ndim == 3 and pixels.shape[2] >= 3:  # OpenCV's order to the file's
        pixels = pixels[..., [2, 1, 0, *range(3, pixels.shape[2])]]
    return pixels.reshape(pixels.shape[0], pixels.shape[1], -1)


def _without_orientation(data: bytes, page: TiffPage) -> bytes:
    """The same file with orientation 1, because libtiff's front ends differ in whether they turn the picture."""
    tag = page.tags.get(_ORIENTATION_TAG)
    if tag is None:
        return data
    changed = bytearray(data)
    struct.pack_into(page.parent.byteorder + "H", changed, tag.valueoffset, 1)
    return bytes(changed)
