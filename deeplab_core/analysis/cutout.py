"""Pictures of error components: the photograph around one, with its outline."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplab_core.analysis.components import ErrorComponent
from deeplab_core.analysis.outline import outline
from deeplab_core.geometry import Box

#: Shows on any photograph: a light line on a dark one (sRGB).
_LIGHT, _DARK = (255, 255, 255), (20, 20, 20)


def cutout_box(component: ErrorComponent, shape: tuple[int, ...], *, context: float = 0.5, least: int = 48) -> Box:
    """The part of an image to show: the component's box and, on every side, some of what surrounds it.

    Args:
        component: what is shown.
        shape: (H, W) of the image.
        context: margin as a share of the longer side of the box.
        least: no side is shorter, px (unless the image is).
    """
    longer = max(component.box.width, component.box.height)
    margin = max(round(context * longer), -(-(least - longer) // 2), 4)
    return component.box.grown(margin, shape)


def cutout(
    rgb: NDArray[np.uint8], component: ErrorComponent, mask: NDArray[Any], *, side: int = 192, line: int = 2
) -> NDArray[np.uint8]:
    """Cut a component out of its photograph and draw its outline.

    Args:
        rgb: (H, W, 3) uint8.
        component: what is shown.
        mask: (height, width) bool within its box (:func:`~deeplab_core.analysis.components.component_mask`).
        side: longer side of the picture, px; small components are enlarged.
        line: width of the light line, px.

    Returns:
        (h, w, 3) uint8, the longer side ``side`` px.
    """
    import cv2

    box = cutout_box(component, rgb.shape)
    scale = side / max(box.width, box.height)
    size = max(1, round(box.width * scale)), max(1, round(box.height * scale))
    shrink = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    picture = np.ascontiguousarray(cv2.resize(np.ascontiguousarray(rgb[box.slices]), size, interpolation=shrink))
    loops = outline(mask, (component.box.x - box.x, component.box.y - box.y))
    # Corners lie between pixels, polylines' points on their centres; 4 bits after the point.
    points = [np.round((loop * scale - 0.5) * 16).astype(np.int32).reshape(-1, 1, 2) for loop in loops]
    for color, width in ((_DARK, line + 2), (_LIGHT, line)):
        cv2.polylines(picture, points, isClosed=True, color=color, thickness=width, lineType=cv2.LINE_AA, shift=4)
    return np.asarray(picture, dtype=np.uint8)
