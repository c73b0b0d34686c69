"""One picture with labels over it, as large as its place allows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QRect, QSize, Qt
from PySide6.QtGui import QImage, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.labels import LabelMap

#: How strongly labels cover the photograph.
_OPACITY = 0.6


class LearnPicture(QWidget):
    """Paints a composed picture, aspect kept, centred.

    Args:
        name: for screen readers.
    """

    def __init__(self, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName(name)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(120, 90)
        self._image: QImage | None = None

    def sizeHint(self) -> QSize:
        return QSize(280, 210)

    @property
    def empty(self) -> bool:
        """Whether nothing is shown."""
        return self._image is None

    def show_picture(self, picture: NDArray[np.uint8] | None) -> None:
        """Show (h, w, 3) uint8, or nothing."""
        self._image = None
        if picture is not None:
            height, width = picture.shape[:2]
            self._image = QImage(picture.tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888).copy()
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        del event
        if self._image is None:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.drawImage(self.place(), self._image)
        painter.end()

    def place(self) -> QRect:
        """Where the picture is in the widget; nowhere without one."""
        if self._image is None:
            return QRect()
        size = self._image.size().scaled(self.size(), Qt.AspectRatioMode.KeepAspectRatio)
        return QRect((self.width() - size.width()) // 2, (self.height() - size.height()) // 2, size.width(), size.height())


def composed(rgb: NDArray[np.uint8], labels: LabelMap, catalog: ClassCatalog, *, background: bool = False) -> NDArray[np.uint8]:
    """Labels over a photograph; void lets it through.

    Args:
        rgb: (h, w, 3) uint8.
        labels: (H, W) ids, sampled to the size of ``rgb``.
        background: whether the background covers the photograph, too.
    """
    height, width = rgb.shape[:2]
    rows = np.arange(height) * labels.shape[0] // height
    columns = np.arange(width) * labels.shape[1] // width
    small = labels[np.ix_(rows, columns)]
    table = np.zeros((catalog.ignore + 1, 3), np.float32)
    opaque = np.zeros(catalog.ignore + 1, np.float32)
    for info in catalog.classes:
        table[info.id] = info.color
        opaque[info.id] = 0.0 if info.id == catalog.background and not background else _OPACITY
    cover = opaque[small][..., None]
    mixed: NDArray[np.uint8] = np.round(rgb * (1 - cover) + table[small] * cover).astype(np.uint8)
    return mixed
