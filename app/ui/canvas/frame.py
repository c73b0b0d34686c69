"""The finished pixels of one pane: photograph and overlay, kept at the screen's resolution and updated where something changed.

Two buffers of the pane's size: ``base`` (the photograph) changes only with the viewpoint, ``image`` (what is shown) is base plus
overlay. A stroke re-composes its own rectangle; a colour or an opacity re-composes the pane without touching the photograph;
moving the cursor composes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, QPoint, QPointF, QRect, QSize, QVariantAnimation, Signal
from PySide6.QtGui import QColor, QImage, QPainter, QRegion

from app.ui.canvas.compose import Scene, compose
from app.viewmodels.annotate.panes import PaneKind

#: From this scale on the pixels of the image are separated by lines.
GRID_SCALE = 8.0
#: Composing a rectangle costs as much before its first pixel as this many pixels more.
_SETUP_PIXELS = 50_000
#: How long one picture turns into another, ms: as long as a message takes to appear.
_FADE_MS = 120


@dataclass(frozen=True, slots=True)
class Section:
    """Device columns ``start .. stop`` of the pane and what they show."""

    kind: PaneKind
    start: int
    stop: int


class PaneFade(QObject):
    """Lets the picture of before fade out over the new one when a pane shows something else: blinking, a preview.

    Attributes:
        on: whether it does; without it pictures swap at once.

    Signals:
        stepped(): paint the pane again.
    """

    stepped = Signal()

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.on = False
        self._before: QImage | None = None
        self._animation = QVariantAnimation(self)
        self._animation.setStartValue(1.0)
        self._animation.setEndValue(0.0)
        self._animation.setDuration(_FADE_MS)
        self._animation.valueChanged.connect(lambda _value: self.stepped.emit())
        self._animation.finished.connect(self.stop)

    @property
    def running(self) -> bool:
        """Whether the picture of before can still be seen."""
        return self._before is not None

    def start(self, before: QImage) -> None:
        """Begin with a picture; it is copied."""
        if self.on:
            self._before = before.copy()
            self._animation.stop()  # one that runs would not begin again
            self._animation.start()

    def stop(self) -> None:
        """Show the new picture alone: it is time, or the user works on it."""
        if self._before is not None:
            self._before = None
            self._animation.stop()
            self.stepped.emit()

    def paint(self, painter: QPainter) -> None:
        """Paint what is left of the picture of before."""
        if self._before is not None:
            painter.setOpacity(float(self._animation.currentValue()))
            painter.drawImage(QPointF(0, 0), self._before)
            painter.setOpacity(1.0)


class PanePixels:
    """Pixels of a pane. Nothing is painted before :meth:`refresh`; invalidating is free."""

    def __init__(self) -> None:
        self._image, self._pixels = _buffer(QSize(1, 1))
        self._base, self._base_pixels = _buffer(QSize(1, 1))
        self._scene: Scene | None = None
        self._picture = QRect()
        self._sections: tuple[Section, ...] = ()
        self._backdrop = QColor(0, 0, 0)
        self._base_valid = False
        self._dirty = QRegion(0, 0, 1, 1)

    def view(self, ratio: float) -> QImage:
        """The pane's pixels at a device pixel ratio; valid after :meth:`refresh`. Draw it; do not keep it.

        It is another image over the same memory: sharing the painted one would make Qt copy it before the next stroke.
        """
        height, width = self._pixels.shape
        shown = QImage(self._pixels.data, width, height, self._pixels.strides[0], QImage.Format.Format_RGB32)
        shown.setDevicePixelRatio(ratio)
        return shown

    def set_scene(self, scene: Scene | None, sections: Sequence[Section], size: QSize, backdrop: QColor) -> None:
        """Say what to show, on how many device px; decides by itself what that makes invalid."""
        before = self._scene
        if size != self._image.size():
            self._image, self._pixels = _buffer(size)
            self._base, self._base_pixels = _buffer(size)
            self._base_valid = False
        if (
            scene is None
            or before is None
            or scene.mapping != before.mapping
            or scene.layers.picture is not before.layers.picture
            or scene.adjustment != before.adjustment
            or backdrop != self._backdrop
        ):
            self._base_valid = False
            self._picture = QRect() if scene is None else scene.mapping.picture_rect()
        self._scene, self._sections, self._backdrop = scene, tuple(sections), backdrop
        self.invalidate()

    def invalidate(self, rect: QRect | None = None) -> None:
        """Compose some device px (None: all of them) again at the next refresh."""
        whole = self._image.rect()
        self._dirty = QRegion(whole) if rect is None else self._dirty.united(rect.intersected(whole))

    def refresh(self) -> None:
        """Bring the image up to date."""
        if self._dirty.isEmpty():
            return
        dirty, self._dirty = self._dirty, QRegion()
        if not self._base_valid:
            self._paint_base()
            self._base_valid = True
        scene = self._scene
        picture = self._picture
        rects = _worthwhile(dirty)
        for rect in rects:
            place = slice(rect.top(), rect.top() + rect.height()), slice(rect.left(), rect.left() + rect.width())
            self._pixels[place] = self._base_pixels[place]
        if scene is None:
            return
        parts = [part for rect in rects for part in self._overlays(scene, rect & picture, picture)]
        painter = QPainter(self._image)
        for at, overlay, shown in parts:
            painter.drawImage(at, _wrapped(overlay), shown)
        painter.end()
        if scene.options.pixel_grid and scene.mapping.scale >= GRID_SCALE:
            for rect in rects:
                self._draw_grid(scene, rect & picture)

    def _paint_base(self) -> None:
        self._base.fill(self._backdrop)
        if self._scene is not None:
            adjustment = self._scene.adjustment
            table = None if adjustment.neutral else adjustment.table()
            self._scene.layers.picture.paint(self._base, self._base_pixels, self._scene.mapping, self._picture, table)

    def _overlays(self, scene: Scene, rect: QRect, picture: QRect) -> Iterator[tuple[QPoint, NDArray[np.uint32], QRect]]:
        """What lies over the photograph in ``rect``, a part of ``picture``: where, the pixels, and which of them to draw."""
        for section in self._sections:
            part = rect
            if len(self._sections) > 1:
                part = rect & QRect(section.start, 0, section.stop - section.start, self._image.height())
            if part.isEmpty():
                continue
            # Contours at the border of the rectangle depend on what lies beyond it.
            reach = scene.reach
            grown = part.adjusted(-reach, -reach, reach, reach) & picture
            overlay = compose(scene, section.kind, grown)
            if overlay is not None:
                yield part.topLeft(), overlay, part.translated(-grown.topLeft())

    def _draw_grid(self, scene: Scene, rect: QRect) -> None:
        """Darken the first device row and column of every pixel of the image."""
        if rect.isEmpty():
            return
        mapping = scene.mapping
        x, y, right, bottom = rect.left(), rect.top(), rect.left() + rect.width(), rect.top() + rect.height()
        columns = x + np.flatnonzero(np.diff(mapping.columns(x - 1, right)))
        rows = y + np.flatnonzero(np.diff(mapping.rows(y - 1, bottom)))
        self._pixels[y:bottom, columns] = _darker(self._pixels[y:bottom, columns])
        self._pixels[rows, x:right] = _darker(self._pixels[rows, x:right])


def _darker(pixels: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """RGB32 pixels at 13/16 of their light."""
    darker: NDArray[np.uint32] = pixels - ((pixels >> 3) & 0x1F1F1F) - ((pixels >> 4) & 0x0F0F0F)
    return darker


def _buffer(size: QSize) -> tuple[QImage, NDArray[np.uint32]]:
    """An RGB32 image and a writable (height, width) uint32 view of its memory."""
    image = QImage(size, QImage.Format.Format_RGB32)
    image.fill(0)
    pixels = np.frombuffer(image.bits(), dtype=np.uint32).reshape(size.height(), size.width())
    return image, pixels


def _wrapped(overlay: NDArray[np.uint32]) -> QImage:
    height, width = overlay.shape
    return QImage(overlay.data, width, height, overlay.strides[0], QImage.Format.Format_ARGB32_Premultiplied)


def _worthwhile(region: QRegion) -> list[QRect]:
    """The region's rectangles, or their bounding box where that is cheaper."""
    rects = [QRect(rect) for rect in cast("Iterable[QRect]", region)]  # the stubs know begin() and end() only
    box = region.boundingRect()
    saved = box.width() * box.height() - sum(rect.width() * rect.height() for rect in rects)
    return rects if saved > _SETUP_PIXELS * (len(rects) - 1) else [box]
