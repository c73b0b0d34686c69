"""Pillow as this package uses it; import it from here, so that its settings always stand.

Our size limit replaces Pillow's own, which warns below what we promise to open. Its warnings about odd metadata are not shown:
whether the pixels can be had is what counts, and if not, an error with the file's name says so.
"""

import warnings

from PIL import Image, UnidentifiedImageError

from deeplab_core.images.limits import MAX_PIXELS

Image.MAX_IMAGE_PIXELS = MAX_PIXELS
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")

__all__ = ["Image", "UnidentifiedImageError"]
