"""How much of every object of a rendered view can be seen."""

from __future__ import annotations

from typing import Any

import bpy
import cv2
import numpy as np
from bpy_extras.object_utils import world_to_camera_view
from numpy.typing import NDArray

from tools.rooms.arrange import Scene


def describe_objects(ids: NDArray[np.uint8], furnished: Scene) -> list[dict[str, Any]]:
    """Per object: class, subtype, box, visible pixels, pixels of the whole silhouette in the picture, and their ratio."""
    rows = []
    for number, thing in enumerate(furnished.things, start=1):
        silhouette, cut = _silhouette(thing.object, ids.shape)
        seen = ids == number
        visible, whole = int(seen.sum()), int((silhouette | seen).sum())
        if whole == 0:
            continue
        ys, xs = np.nonzero(seen)
        rows.append(
            {
                "voc_id": thing.voc_id,
                "subtype": thing.subtype,
                "number": number,
                "box": [int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1] if visible else None,
                "visible_px": visible,
                "silhouette_px": whole,
                "visible_fraction": round(visible / whole, 4),
                "truncated": cut,
            }
        )
    return rows


def _silhouette(thing: bpy.types.Object, shape: tuple[int, ...]) -> tuple[NDArray[np.bool_], bool]:
    """What the object alone would cover: its triangles projected and filled. Also whether it leaves the picture."""
    height, width = shape
    scene, mesh = bpy.context.scene, thing.data
    mesh.calc_loop_triangles()
    points = np.array([world_to_camera_view(scene, scene.camera, thing.matrix_world @ v.co) for v in mesh.vertices])
    canvas = np.zeros((height, width), dtype=np.uint8)
    triangles = np.array([triangle.vertices for triangle in mesh.loop_triangles])
    before = (points[triangles][:, :, 2] > 0.05).all(axis=1)
    pixels = np.stack((points[:, 0] * width - 0.5, (1 - points[:, 1]) * height - 0.5), axis=1)
    fixed = np.clip(np.round(pixels * 16), -(1 << 20), 1 << 20).astype(np.int32)  # 4 fractional bits for fillConvexPoly
    for corners in fixed[triangles[before]]:
        cv2.fillConvexPoly(canvas, corners, 1, lineType=cv2.LINE_8, shift=4)
    outside = (points[:, 2] > 0) & ((points[:, :2] < 0) | (points[:, :2] > 1)).any(axis=1)
    return canvas.astype(bool), bool(outside.any() or not before.all())
