"""What the panes show: the photograph at any scale, and the arrays of one image. No view measures anything."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QRect, QRectF, Qt
from PySide6.QtGui import QImage, QPainter

from app.state.opencv import opencv
from app.state.pyramid import Pyramid, halved_levels
from app.text import tr
from app.ui.canvas.geometry import Mapping, sample
from app.viewmodels.annotate.panes import MODEL_PANES, PaneKind
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.labels import LabelMap


class PictureSource:
    """One decoded image and its halved copies, shared by all panes.

    Level 0 is the caller's array itself, not a copy.

    Args:
        rgb: (H, W, 3) uint8 sRGB in the orientation that is shown; kept, must not change afterwards.
        levels: :func:`app.state.pyramid.halved_levels` of it, where a job has made them.
    """

    def __init__(self, rgb: NDArray[np.uint8], levels: Pyramid = ()) -> None:
        if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8:
            raise ValueError(f"a picture must be (H, W, 3) uint8, got {rgb.shape} {rgb.dtype}")
        self._levels = levels or halved_levels(rgb)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in px."""
        height, width = self._levels[0].shape[:2]
        return width, height

    @property
    def rgb(self) -> NDArray[np.uint8]:
        """(H, W, 3) uint8: level 0."""
        return self._levels[0]

    @property
    def nbytes(self) -> int:
        """Memory of all levels."""
        return sum(level.nbytes for level in self._levels)

    def paint(
        self,
        image: QImage,
        pixels: NDArray[np.uint32],
        mapping: Mapping,
        rect: QRect,
        table: NDArray[np.uint8] | None = None,
    ) -> None:
        """Paint the part under ``rect`` (device px, all of it on the picture).

        Args:
            image: Format_RGB32, the size of the pane.
            pixels: (height, width) uint32 view of the same memory.
            table: (256,) uint8, the value that is shown for each value; None shows them as they are.
        """
        if rect.isEmpty():
            return
        if mapping.scale >= 1:
            self._paint_pixels(pixels, mapping, rect, table)
        else:
            self._paint_smooth(image, mapping, rect, table)

    def _paint_pixels(self, pixels: NDArray[np.uint32], mapping: Mapping, rect: QRect, table: NDArray[np.uint8] | None) -> None:
        """Square pixels, sampled on the same grid as the labels above them."""
        x, y, right, bottom = rect.left(), rect.top(), rect.left() + rect.width(), rect.top() + rect.height()
        rows, columns = mapping.rows(y, bottom), mapping.columns(x, right)
        top, left = rows[0], columns[0]
        packed = _packed(self._levels[0][top : rows[-1] + 1, left : columns[-1] + 1], table)
        pixels[y:bottom, x:right] = sample(packed, rows - top, columns - left)

    def _paint_smooth(self, image: QImage, mapping: Mapping, rect: QRect, table: NDArray[np.uint8] | None) -> None:
        """Bilinear from the level that is at most twice as large as needed: no aliasing, no more than 4 px read per px."""
        level = self._levels[min(int(math.log2(1 / mapping.scale)), len(self._levels) - 1)]
        height, width = level.shape[:2]
        step_x, step_y = width / mapping.image_width, height / mapping.image_height
        # Two px more on each side feed the interpolation at the border of the rectangle.
        x0 = max(math.floor((mapping.left + rect.left() / mapping.scale) * step_x) - 2, 0)
        y0 = max(math.floor((mapping.top + rect.top() / mapping.scale) * step_y) - 2, 0)
        x1 = min(math.ceil((mapping.left + (rect.left() + rect.width()) / mapping.scale) * step_x) + 2, width)
        y1 = min(math.ceil((mapping.top + (rect.top() + rect.height()) / mapping.scale) * step_y) + 2, height)
        packed = _packed(level[y0:y1, x0:x1], table)
        part = QImage(packed.data, x1 - x0, y1 - y0, packed.strides[0], QImage.Format.Format_RGB32)
        target = QRectF(
            (x0 / step_x - mapping.left) * mapping.scale,
            (y0 / step_y - mapping.top) * mapping.scale,
            (x1 - x0) / step_x * mapping.scale,
            (y1 - y0) / step_y * mapping.scale,
        )
        painter = QPainter(image)
        painter.setClipRect(rect)
        painter.setCompositionMode(QPainter.CompositionMode.CompositionMode_Source)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.drawImage(target, part, QRectF(part.rect()), Qt.ImageConversionFlag.NoFormatConversion)
        painter.end()


def _packed(rgb: NDArray[np.uint8], table: NDArray[np.uint8] | None) -> NDArray[np.uint32]:
    """(h, w) uint32 0xffRRGGBB of an (h, w, 3) array: Qt's RGB32 on every byte order that OpenCV and Qt share."""
    cv2 = opencv()
    if table is not None:
        rgb = np.asarray(cv2.LUT(rgb, table), np.uint8)
    bgra = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGRA)
    packed: NDArray[np.uint32] = bgra.view(np.uint32)[:, :, 0]
    return packed


@dataclass(frozen=True, slots=True, eq=False)
class LayerSet:
    """Everything known about the open image. All arrays have its (H, W); what is missing is None.

    Attributes:
        picture: the photograph.
        catalog: what the ids mean and which colours they have.
        labels: the current mask: the document's own array, painted in place.
        prediction: the model's labels in this catalog's ids.
        truth: the true labels, void = ``catalog.ignore``.
        confidence: uint8, probability of the predicted class times 255.
        band: uint8 from :func:`deeplab_core.metrics.trimap.band_map`: 1..40 distance, 41 outside, 0 excluded.
        band_width: px; pixels with 1 <= band <= band_width are in the band.
        band_limits: whether edits are limited to one side of the band: the mask shows where it ends.
        band_labels: the labels that the band pane shows inside; None means the current mask.
        refined: the mask as a CRF would leave it.
        models: what each compared model says, in this catalog's ids; None for one that is still computed.
        pair: places in ``models`` of the two with a shown difference.
    """

    picture: PictureSource
    catalog: ClassCatalog
    labels: LabelMap | None = None
    prediction: LabelMap | None = None
    truth: LabelMap | None = None
    confidence: NDArray[np.uint8] | None = None
    band: NDArray[np.uint8] | None = None
    band_width: int = 10
    band_limits: bool = False
    band_labels: LabelMap | None = None
    refined: LabelMap | None = None
    models: tuple[LabelMap | None, ...] = ()
    pair: tuple[int, int] = (0, 1)

    def __post_init__(self) -> None:
        width, height = self.picture.size
        for name in ("labels", "prediction", "truth", "confidence", "band", "band_labels", "refined"):
            array = getattr(self, name)
            if array is not None and array.shape != (height, width):
                raise ValueError(f"{name} must be ({height}, {width}) like the picture, got {array.shape}")
        for array in self.models:
            if array is not None and array.shape != (height, width):
                raise ValueError(f"models must be ({height}, {width}) like the picture, got {array.shape}")

    def model(self, place: int) -> LabelMap | None:
        """The answer of a compared model; None if there is no such model or no answer yet."""
        return self.models[place] if place < len(self.models) else None

    def labels_of(self, kind: PaneKind) -> LabelMap | None:
        """The labels that a pane of this kind shows; None where it shows none, or something else."""
        if kind in MODEL_PANES:
            return self.model(MODEL_PANES.index(kind))
        return {
            PaneKind.MASK: self.labels, PaneKind.PREDICTION: self.prediction, PaneKind.TRUTH: self.truth,
            PaneKind.REFINED: self.refined,
        }.get(kind)  # fmt: skip

    def missing(self, kind: PaneKind) -> str | None:
        """Why a pane of this kind has nothing to show, for the user; None if it has."""
        if kind in (PaneKind.MASK, PaneKind.ERRORS) and self.labels is None:
            return tr("No mask yet")
        if kind in (PaneKind.TRUTH, PaneKind.ERRORS) and self.truth is None:
            return tr("No ground truth for this image")
        if kind is PaneKind.PREDICTION and self.prediction is None:
            return tr("No prediction yet: run the model")
        if kind is PaneKind.UNCERTAINTY and self.confidence is None:
            return tr("No confidence yet: run the model")
        if kind in (PaneKind.REFINED, PaneKind.CHANGES) and self.refined is None:
            return tr("No CRF preview: switch it on in the CRF dock")
        if kind is PaneKind.BAND and self.band is None:
            return tr("No band: requires ground truth, or a prediction with class edges")
        if kind in MODEL_PANES and self.model(MODEL_PANES.index(kind)) is None:
            return _waiting(MODEL_PANES.index(kind) < len(self.models), tr("Waiting for this model"))
        if kind is PaneKind.DIFFERENCE and any(self.model(place) is None for place in self.pair):
            return _waiting(max(self.pair) < len(self.models), tr("Waiting for both models"))
        return None


def _waiting(compared: bool, text: str) -> str:
    return text if compared else tr("Not compared: choose models in Model > Compare models")
