"""Images: finding, probing, decoding (EXIF applied), thumbnails, content keys. The file is never touched."""

from deeplab_core.images.decode import ImageData, decode_image, read_image, read_thumbnail
from deeplab_core.images.find import FolderScan, find_images, natural_sort, scan_folder
from deeplab_core.images.identity import content_key
from deeplab_core.images.orientation import swaps_sides, to_oriented, to_stored
from deeplab_core.images.probe import IMAGE_SUFFIXES, MAX_PIXELS, ImageInfo, probe_image

__all__ = [
    "IMAGE_SUFFIXES",
    "MAX_PIXELS",
    "FolderScan",
    "ImageData",
    "ImageInfo",
    "content_key",
    "decode_image",
    "find_images",
    "natural_sort",
    "probe_image",
    "read_image",
    "read_thumbnail",
    "scan_folder",
    "swaps_sides",
    "to_oriented",
    "to_stored",
]
