"""What an image file says about itself before a single pixel is decoded."""

from __future__ import annotations

import io
import stat
import struct
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO

from deeplab_core.errors import ImageReadError, message
from deeplab_core.flavour import install_command
from deeplab_core.images.file_names import IMAGE_SUFFIXES
from deeplab_core.images.guard import COPY_AGAIN, decoder_guard
from deeplab_core.images.info import ImageInfo
from deeplab_core.images.limits import MAX_PIXELS, check_size, too_large
from deeplab_core.images.orientation import swaps_sides, valid_orientation

#: What to do to have HEIC images read.
INSTALL_HEIC = f"install pillow-heif ({install_command('heic')}) to read HEIC"

#: Largest image file, bytes.
MAX_FILE_BYTES = 2 << 30

_ORIENTATION_TAG = 0x0112
_EXIF_HEADER = b"Exif\x00\x00"
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEIC_BRANDS = (b"ftypheic", b"ftypheix", b"ftyphevc", b"ftypheim", b"ftypheis", b"ftypmif1", b"ftypmsf1")
_AVIF_BRANDS = (b"ftypavif", b"ftypavis")
#: How TIFF and BigTIFF files of both byte orders begin.
TIFF_SIGNATURES = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")


__all__ = [
    "IMAGE_SUFFIXES",
    "INSTALL_HEIC",
    "MAX_PIXELS",
    "ImageInfo",
    "exif_orientation",
    "heic_readable",
    "probe_bytes",
    "probe_image",
    "probe_stream",
    "unreadable",
]


def probe_image(path: str | Path) -> ImageInfo:
    """Read width, height, orientation and kind of pixels from the header.

    Raises:
        ImageReadError: no such file, not an image, a damaged header, or more than :data:`MAX_PIXELS`.
    """
    path = Path(path)
    check_file(path)
    try:
        with path.open("rb") as stream:
            return probe_stream(stream, path, path.stat().st_size)
    except OSError as error:
        raise unreadable(error, path) from error


def check_file(path: Path) -> None:
    """Raise unless this is an ordinary file of a size that can be read; opening a pipe would wait, a device would never end.

    Raises:
        ImageReadError: missing, a folder, a pipe or device, or larger than :data:`MAX_FILE_BYTES`.
    """
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        raise unreadable(error if isinstance(error, OSError) else OSError(str(error)), path) from error
    if stat.S_ISDIR(status.st_mode):
        raise unreadable(IsADirectoryError(), path)
    if not stat.S_ISREG(status.st_mode):
        raise ImageReadError(
            message("this is a pipe or device, not an image file"), remedy=message("Move it out of the folder"), path=path
        )
    if status.st_size > MAX_FILE_BYTES:
        size, most = f"{status.st_size / 1e9:.1f} GB", f"{MAX_FILE_BYTES / 1e9:.1f} GB"
        raise ImageReadError(
            message("the file of {size} is too large", size=size),
            why=message("At most {most} are read", most=most),
            remedy=message("Cut it into tiles"),
            path=path,
        )


def read_file(path: Path) -> bytes:
    """The content of an image file. Raises ImageReadError as :func:`check_file`, or if it cannot be read."""
    check_file(path)
    try:
        return path.read_bytes()
    except OSError as error:
        raise unreadable(error, path) from error


def probe_bytes(data: bytes, path: Path) -> ImageInfo:
    """As :func:`probe_image`, for a file that is in memory already; ``path`` is what errors name."""
    return probe_stream(io.BytesIO(data), path, len(data))


def probe_stream(stream: BinaryIO, path: Path, nbytes: int) -> ImageInfo:
    """As :func:`probe_image`, from an open file positioned at its beginning."""
    head = stream.read(16)
    stream.seek(0)
    if not head:
        raise ImageReadError(message("the image file is empty"), remedy=message("Copy it again from its source"), path=path)
    if head.startswith(TIFF_SIGNATURES):
        from deeplab_core.images.tiff import probe_tiff

        info = probe_tiff(stream, path, nbytes)
    else:
        info = _probe_with_pillow(stream, path, nbytes, head)
    check_size(info.width, info.height, path)
    return info


@cache
def heic_readable() -> bool:
    """Whether HEIC images can be read: with pillow-heif installed, which this does not import."""
    return find_spec("pillow_heif") is not None


def exif_orientation(exif: bytes) -> int:
    """Orientation 1..8 from an EXIF block (with or without its ``Exif`` header); 1 for anything missing or malformed."""
    block = exif.removeprefix(_EXIF_HEADER)
    try:
        order = {b"II": "<", b"MM": ">"}[block[:2]]
        magic, offset = struct.unpack_from(order + "HI", block, 2)
        if magic != 42:
            return 1
        (entries,) = struct.unpack_from(order + "H", block, offset)
        for entry in range(entries):
            tag, kind, _count = struct.unpack_from(order + "HHI", block, offset + 2 + 12 * entry)
            if tag == _ORIENTATION_TAG:
                (value,) = struct.unpack_from(order + ("I" if kind == 4 else "H"), block, offset + 10 + 12 * entry)
                return valid_orientation(value)
    except (KeyError, struct.error):
        return 1
    return 1


def unreadable(error: OSError, path: Path) -> ImageReadError:
    """The ImageReadError for a file that the system does not hand out."""
    if isinstance(error, FileNotFoundError):
        return ImageReadError(
            message("the image file is not there any more"), remedy=message("Put it back, or press F5 in the window"), path=path
        )
    if isinstance(error, IsADirectoryError):
        return ImageReadError(message("this is a folder, not an image"), remedy=message("Choose a file in it"), path=path)
    why = error.strerror or str(error)
    return ImageReadError(
        message("the image file cannot be read"), why=why, remedy=message("Check the rights and the disk"), path=path
    )


def _probe_with_pillow(stream: BinaryIO, path: Path, nbytes: int, head: bytes) -> ImageInfo:
    from deeplab_core.images.pillow import Image, UnidentifiedImageError

    if head[4:12] in _HEIC_BRANDS and heic_readable():
        _register_heic()
    with decoder_guard(ImageReadError, "the image header is damaged", path):
        try:
            picture = Image.open(stream)
        except UnidentifiedImageError:
            raise _no_image(head, path) from None
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise too_large(str(error), path) from error
        with picture:
            exif = picture.info.get("exif", b"")
            if picture.format == "PNG" and not exif:
                exif = _late_png_exif(stream)
            width, height = picture.size
            mode, kind = picture.mode, picture.format or ""
    orientation = exif_orientation(exif) if isinstance(exif, bytes) else 1
    if swaps_sides(orientation):
        width, height = height, width
    return ImageInfo(path=path, width=width, height=height, orientation=orientation, mode=mode, format=kind, nbytes=nbytes)


@cache
def _register_heic() -> None:
    import pillow_heif

    # Rotation is applied by its decoder, which then reports the orientation as 1.
    pillow_heif.register_heif_opener()


def _no_image(head: bytes, path: Path) -> ImageReadError:
    from PIL import features

    if head[4:12] in _HEIC_BRANDS and not heic_readable():
        install = INSTALL_HEIC[0].upper() + INSTALL_HEIC[1:]
        remedy = message("{install}, or convert it to JPEG or PNG", install=install)
        return ImageReadError(
            message("HEIC images are not read"), why=message("pillow-heif is not installed"), remedy=remedy, path=path
        )
    if head[4:12] in _AVIF_BRANDS and not features.check("avif"):
        return ImageReadError(
            message("AVIF images are not read"),
            why=message("This Pillow cannot decode them"),
            remedy=message("Install Pillow 11.3 or later"),
            path=path,
        )
    if head[4:12] in _AVIF_BRANDS or head[4:12] in _HEIC_BRANDS:
        return ImageReadError(
            message("the image file is damaged"), why=message("It cannot be decoded"), remedy=COPY_AGAIN, path=path
        )
    return ImageReadError(
        message("this is not an image"), why=message("The content is of no known kind"), remedy=COPY_AGAIN, path=path
    )


def _late_png_exif(stream: BinaryIO) -> bytes:
    """The eXIf chunk wherever it stands: the PNG specification also allows it after the pixels."""
    stream.seek(len(_PNG_SIGNATURE))
    while len(header := stream.read(8)) == 8:
        length, kind = struct.unpack(">I4s", header)
        if kind == b"eXIf":
            return stream.read(length)
        if kind == b"IEND":
            break
        stream.seek(length + 4, io.SEEK_CUR)
    return b""
