"""A synthetic photograph, mask and truth of any size, and a canvas that shows them: what repaint.py and brush.py measure on."""

from __future__ import annotations

import os

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import cv2
import numpy as np
from PySide6.QtWidgets import QApplication

from app.controllers.annotate.edit import EditController
from app.controllers.annotate.view import ViewState
from app.state.document import Document
from app.state.tools import ToolState
from app.ui.canvas.canvas_area import CanvasArea
from app.ui.canvas.layers import LayerSet, PictureSource
from deeplab_core.catalogs.catalog import ClassCatalog, ClassInfo
from deeplab_core.metrics.trimap import band_map

CLASSES = 21


def catalog() -> ClassCatalog:
    rng = np.random.default_rng(5)
    classes = tuple(ClassInfo(i, f"class {i}", tuple(int(v) for v in rng.integers(40, 255, 3))) for i in range(CLASSES))
    return ClassCatalog("bench", "Bench", classes, background=0)


def blobs(width: int, height: int, seed: int) -> np.ndarray:
    """(H, W) uint8 of smooth regions of all classes: about as many edges as a street scene has."""
    rng = np.random.default_rng(seed)
    coarse = cv2.resize(rng.random((12, 16, CLASSES)).astype(np.float32), (256, 192), interpolation=cv2.INTER_CUBIC)
    return cv2.resize(coarse.argmax(axis=2).astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)


def photograph(width: int, height: int) -> np.ndarray:
    """(H, W, 3) uint8 with detail at several scales."""
    rng = np.random.default_rng(1)
    image = cv2.resize(rng.integers(0, 256, (48, 64, 3), dtype=np.uint8), (width, height), interpolation=cv2.INTER_LINEAR)
    grain = np.tile(rng.integers(0, 40, (512, 512, 3), dtype=np.uint8), (height // 512 + 1, width // 512 + 1, 1))
    return cv2.add(image // 2, grain[:height, :width])


class Scene:
    """A shown canvas over a synthetic image, with truth and (up to 16 MP) band and confidence."""

    def __init__(self, width: int, height: int, pane: tuple[int, int], layout: str = "single") -> None:
        self.app = QApplication.instance() or QApplication([])
        names = catalog()
        self.truth = blobs(width, height, 1)
        prediction = blobs(width, height, 2)
        prediction[: height // 2] = self.truth[: height // 2]
        self.document = Document(prediction.copy(), names, reference=prediction)
        self.tools, self.view = ToolState(3), ViewState()
        self.edit = EditController(self.tools)
        self.edit.set_document(self.document)
        small = width * height <= 16_000_000
        self.layers = LayerSet(
            PictureSource(photograph(width, height)),
            names,
            self.document.labels,
            prediction,
            self.truth,
            (self.truth * 12).astype(np.uint8),
            band_map(truth=self.truth, rule="edge") if small else (self.truth * 2).astype(np.uint8),
            12,
        )
        self.area = CanvasArea(self.view, self.edit)
        self.area.resize(*pane)
        self.view.set_layout(layout)
        self.area.set_layers(self.layers)
        self.area.show()
        self.app.processEvents()


def percentiles(times_ms: list[float]) -> str:
    """P50, p95, p99 and the largest of some times."""
    values = np.asarray(times_ms)
    return "  ".join(f"p{q} {np.percentile(values, q):6.2f}" for q in (50, 95, 99)) + f"  max {values.max():6.2f} ms"
