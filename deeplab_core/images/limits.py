"""How large a picture may be. A tiny file can declare one that would fill the memory, so sizes are checked before decoding."""

from __future__ import annotations

from pathlib import Path

from deeplab_core.errors import ImageReadError, message
from deeplab_core.images.guard import COPY_AGAIN

#: Largest picture that is opened, in pixels: 400 megapixels are 1.2 GB as RGB.
MAX_PIXELS = 400_000_000
#: Most memory that decoding one picture takes, in bytes, its file included.
MAX_MEMORY = 2_500_000_000
#: Pictures from this many pixels on are decoded one at a time, and PNG files of them strip by strip.
LARGE = 50_000_000


def check_size(width: int, height: int, path: Path) -> None:
    """Raise ImageReadError for a declared size that is empty or beyond :data:`MAX_PIXELS`."""
    if width < 1 or height < 1:
        raise ImageReadError(
            message("the image declares the impossible size {width} x {height}", width=width, height=height),
            remedy=COPY_AGAIN,
            path=path,
        )
    if width * height > MAX_PIXELS:
        raise too_large(f"{width} x {height} px", path)


def too_large(size: str, path: Path) -> ImageReadError:
    """The error for a picture beyond the limit; ``size`` as shown to users."""
    return ImageReadError(
        message("the image is too large: {size}", size=size),
        why=message(
            "At most {megapixels} megapixels are opened, so that no file can fill the memory", megapixels=MAX_PIXELS // 1000000
        ),
        remedy=message("Cut it into smaller pictures"),
        path=path,
    )


def check_memory(needed: int, kind: str, path: Path, remedy: str = message("Cut it into smaller pictures")) -> None:
    """Raise ImageReadError for a picture that takes more than :data:`MAX_MEMORY`.

    Args:
        needed: bytes.
        kind: what its pixels are, for the message: "4 samples of 16 bits".
        path: the file.
        remedy: how to get it smaller.
    """
    if needed > MAX_MEMORY:
        raise ImageReadError(
            message("the image takes {gigabytes:.1f} GB of memory to decode", gigabytes=needed / 1e9),
            why=message(
                "Its pixels have {kind}; at most {gigabytes:.1f} GB are used for one image", kind=kind, gigabytes=MAX_MEMORY / 1e9
            ),
            remedy=remedy,
            path=path,
        )
