"""What is known of an image before a pixel is decoded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from deeplab_core.images.orientation import swaps_sides


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageInfo:
    """Header facts of one image file.

    Attributes:
        path: the file.
        width, height: of the *oriented* picture, in px.
        orientation: EXIF orientation 1..8; 1 where the file names none.
        mode: kind of pixels as Pillow names them: ``"L"``, ``"RGB"``, ``"RGBA"``, ``"P"``, ``"I;16"``, ``"CMYK"``, ...
        format: ``"JPEG"``, ``"PNG"``, ``"TIFF"``, ...
        nbytes: size of the file.
    """

    path: Path
    width: int
    height: int
    orientation: int = 1
    mode: str = "RGB"
    format: str = ""
    nbytes: int = 0

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the oriented picture."""
        return self.width, self.height

    @property
    def stored_size(self) -> tuple[int, int]:
        """(width, height) of the file's raw pixels, before the EXIF orientation is applied."""
        return (self.height, self.width) if swaps_sides(self.orientation) else (self.width, self.height)
