"""A photograph with its mask's edges drawn both ways: as the pixels are stored, and as the picture is displayed. No Qt."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.state.mask_reading import load_project_mask
from app.state.opencv import opencv
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.images.decode import read_image
from deeplab_core.labels import LabelMap

_INK = (255, 60, 172)
_HALO = (0, 0, 0)


@dataclass(frozen=True, slots=True, eq=False)
class FramePreview:
    """Two pictures of the same size.

    Attributes:
        stored, oriented: (h, w, 3) uint8 RGB; the mask is taken to be in that frame.
    """

    stored: NDArray[np.uint8]
    oriented: NDArray[np.uint8]


def frame_preview(image: Path, mask: Path, catalog: ClassCatalog, side: int) -> FramePreview:
    """Draw the edges of a mask over its photograph, once for each frame.

    Args:
        image: the photograph.
        mask: a mask that fits it both ways.
        catalog: of the mask.
        side: longer side of the pictures, px.

    Raises:
        ImageReadError, MaskFormatError: a file cannot be read.
    """
    cv2 = opencv()
    data = read_image(image)
    height, width = data.rgb.shape[:2]
    scale = min(1.0, side / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    rgb = cv2.resize(data.rgb, size, interpolation=cv2.INTER_AREA)
    drawn = []
    for frame in ("stored", "oriented"):
        labels = load_project_mask(mask, catalog, data.info, frame="stored" if frame == "stored" else "oriented").labels
        drawn.append(_drawn(rgb, labels))
    return FramePreview(*drawn)


def _drawn(rgb: NDArray[np.uint8], labels: LabelMap) -> NDArray[np.uint8]:
    cv2 = opencv()
    height, width = rgb.shape[:2]
    small = cv2.resize(labels, (width, height), interpolation=cv2.INTER_NEAREST)
    edges = np.zeros((height, width), np.uint8)
    edges[:, 1:] |= small[:, 1:] != small[:, :-1]
    edges[1:] |= small[1:] != small[:-1]
    picture: NDArray[np.uint8] = rgb.copy()
    picture[cv2.dilate(edges, np.ones((5, 5), np.uint8)) > 0] = _HALO
    picture[cv2.dilate(edges, np.ones((3, 3), np.uint8)) > 0] = _INK
    return picture
