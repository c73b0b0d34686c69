"""How large a picture may be. A tiny file can declare one that would fill the memory, so sizes are checked before decoding."""

from __future__ import annotations

from pathlib import Path

from deeplab_core.errors import ImageReadError
from deeplab_core.images.guard import COPY_AGAIN

#: Largest picture that is opened, in pixels: 400 megapixels are 1.2 GB as RGB.
MAX_PIXELS = 400_000_000


def check_size(width: int, height: int, path: Path) -> None:
    """Raise ImageReadError for a declared size that is empty or beyond :data:`MAX_PIXELS`."""
    if width < 1 or height < 1:
        raise ImageReadError(f"the image declares the impossible size {width} x {height}", remedy=COPY_AGAIN, path=path)
    if width * height > MAX_PIXELS:
        raise too_large(f"{width} x {height} px", path)


def too_large(size: str, path: Path) -> ImageReadError:
    """The error for a picture beyond the limit; ``size`` as a person reads it."""
    return ImageReadError(
        f"the image is too large: {size}",
        why=f"At most {MAX_PIXELS // 1_000_000} megapixels are opened, so that no file can fill the memory",
        remedy="Cut it into smaller pictures",
        path=path,
    )
