"""Pillow as this package uses it; import it from here, so that its settings always stand.

Our size limit replaces Pillow's own, which warns below what we promise to open. Its warnings about odd metadata are not shown:
whether the pixels can be had is what counts, and if not, an error with the file's name reports it.
"""

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from deeplab_core.images.limits import MAX_PIXELS

Image.MAX_IMAGE_PIXELS = MAX_PIXELS
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")

__all__ = ["Image", "UnidentifiedImageError", "pillow_pixels"]

#: Pixels that are taken out of a picture at once.
_BLOCK = 1 << 22


def pillow_pixels(picture: Image.Image, mode: str) -> NDArray[Any]:
    """Pixels of a loaded picture in a mode of 8-bit bands, as ``np.asarray(picture.convert(mode))`` gives them.

    Rows are converted and copied a few at a time, where that call holds the whole picture three times.

    Returns:
        (H, W) or (H, W, bands) uint8, C-contiguous.
    """
    width, height = picture.size
    bands = len(Image.new(mode, (1, 1)).getbands())
    result = np.empty((height, width, bands) if bands > 1 else (height, width), np.uint8)
    rows = max(1, _BLOCK // max(1, width))
    for top in range(0, height, rows):
        part = picture.crop((0, top, width, min(height, top + rows)))
        result[top : top + rows] = np.asarray(part if part.mode == mode else part.convert(mode))
    return result
