"""Pillow with our size limit in place of its own, which warns below what we promise to open.

Whoever uses Pillow here imports it from this module, so that the limit always stands.
"""

from PIL import Image, UnidentifiedImageError

from deeplab_core.images.limits import MAX_PIXELS

Image.MAX_IMAGE_PIXELS = MAX_PIXELS

__all__ = ["Image", "UnidentifiedImageError"]
