"""A picture to look at: the photograph under its mask, classes outlined."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deeplab_core.errors import ExportError, message
from deeplab_core.labels import LabelMap
from deeplab_core.masks.export.exporter import REMEDY, ExportItem, FileExporter
from deeplab_core.masks.export.masks import color_table
from deeplab_core.masks.png import marked, to_file_values
from deeplab_core.notes import Note

_STRIP_ROWS = 256


class OverlayExporter(FileExporter):
    """RGB PNG of the oriented photograph blended with the class colours; void and background stay clear.

    Args:
        opacity: share of the class colour inside a region, 0..1.
        contours: draw the border of every region in its full colour.
    """

    name = "overlay"
    suffix = "_overlay.png"
    follows_frame = False

    def __init__(self, *, opacity: float = 0.5, contours: bool = True) -> None:
        if not 0 <= opacity <= 1:
            raise ValueError(f"opacity {opacity} is outside 0..1")
        self.opacity = opacity
        self.contours = contours
        self._seen: tuple[str, tuple[Note, ...]] = ("", ())

    def encode(self, item: ExportItem, labels: LabelMap) -> list[bytes]:
        import cv2

        picture = self._compose(item, labels)
        done, data = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_PNG_COMPRESSION, 1])
        if not done:
            raise ExportError(
                message("the overlay could not be encoded"), remedy=message("Export the mask instead"), path=item.name
            )
        return marked(data.tobytes())

    def check(self, item: ExportItem, labels: LabelMap, path: Path) -> None:
        from deeplab_core.images import read_image

        found = read_image(path).rgb
        if not np.array_equal(found, self._compose(item, labels)):
            raise ExportError(message("the exported overlay does not read back equal"), remedy=REMEDY, path=item.name)

    def notes(self, item: ExportItem) -> tuple[Note, ...]:
        return self._seen[1] if self._seen[0] == item.name else ()

    def _compose(self, item: ExportItem, labels: LabelMap) -> NDArray[np.uint8]:
        from deeplab_core.images import read_image

        if item.image_path is None:
            raise ExportError(
                message("an overlay needs the photograph"), remedy=message("Export the mask instead"), path=item.name
            )
        to_file_values(labels, item.catalog)
        data = read_image(item.image_path)
        rgb, self._seen = data.rgb, (item.name, data.notes)
        if rgb.shape[:2] != labels.shape:
            raise ExportError(
                message("the mask does not have the size of its photograph"),
                remedy=message("Open the folder again"),
                path=item.name,
            )
        return blend(rgb, labels, color_table(item.catalog), self._clear_values(item), self.opacity, contours=self.contours)

    @staticmethod
    def _clear_values(item: ExportItem) -> list[int]:
        background = item.catalog.background
        return [int(item.catalog.ignore)] + ([background] if background is not None else [])


def blend(
    rgb: NDArray[np.uint8], labels: LabelMap, colors: NDArray[np.uint8], clear: list[int], opacity: float, *, contours: bool
) -> NDArray[np.uint8]:
    """Lay class colours over a picture.

    Args:
        rgb: (H, W, 3) uint8.
        labels: (H, W) label map.
        colors: (256 or 65536, 3) uint8 colour of every value.
        clear: values that leave the picture as it is.
        opacity: share of the colour, 0..1.
        contours: give pixels that touch another class (4-neighbourhood, each side its own) their full colour.

    Returns:
        (H, W, 3) uint8, a new array.
    """
    import cv2

    shown = np.ones(len(colors), dtype=bool)
    shown[clear] = False
    result = rgb.copy()
    height = labels.shape[0]
    edges = class_edges(labels) if contours else None
    for start in range(0, height, _STRIP_ROWS):
        rows = slice(start, min(start + _STRIP_ROWS, height))
        tint = colors[labels[rows]]
        visible = shown[labels[rows]]
        mixed = cv2.addWeighted(rgb[rows], 1 - opacity, tint, opacity, 0)
        result[rows][visible] = mixed[visible]
        if edges is not None:
            outline = visible & edges[rows]
            result[rows][outline] = tint[outline]
    return result


def class_edges(labels: LabelMap) -> NDArray[np.bool_]:
    """(H, W) bool: pixels with a 4-neighbour of another value; the image border is not an edge."""
    edges = np.zeros(labels.shape, dtype=bool)
    down = labels[1:] != labels[:-1]
    right = labels[:, 1:] != labels[:, :-1]
    edges[1:] |= down
    edges[:-1] |= down
    edges[:, 1:] |= right
    edges[:, :-1] |= right
    return edges
