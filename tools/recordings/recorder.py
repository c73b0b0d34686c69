"""Takes pictures of a widget while a hand uses it, and writes them as an animated PNG."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image, PngImagePlugin
from PySide6.QtCore import QPoint, QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QImage, QPainter, QPen, QPolygonF, QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QWidget

#: Colours of a recording, and milliseconds that a picture of a movement stays.
COLORS: Final = 128
_STEP: Final = 80
_PLAIN = Qt.KeyboardModifier.NoModifier
_ARROW = QPolygonF([QPointF(*at) for at in ((0, 0), (0, 17), (4, 13), (7, 20), (10, 19), (7, 12), (12, 12))])


class Recording:
    """Pictures of a widget, each with the time that it stays; equal neighbours are one picture."""

    def __init__(self, widget: QWidget) -> None:
        self.widget = widget
        self.pointer: QPoint | None = None
        self.pressed = False
        self.keys = ""
        self.frames: list[np.ndarray] = []
        self.durations: list[int] = []

    def take(self, milliseconds: int) -> None:
        """Take a picture that stays for so long."""
        image = self.widget.grab().toImage().convertToFormat(QImage.Format.Format_RGB888)
        self._mark(image)
        rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
        frame = rows[:, : 3 * image.width()].reshape(image.height(), image.width(), 3).copy()
        if self.frames and np.array_equal(frame, self.frames[-1]):
            self.durations[-1] += milliseconds
        else:
            self.frames.append(frame)
            self.durations.append(milliseconds)

    def _mark(self, image: QImage) -> None:
        """Draw the pointer, and the keys that were pressed last."""
        painter = QPainter(image)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if self.pointer is not None:
            painter.setPen(QPen(QColor("black"), 1.2))
            painter.setBrush(QColor("#ffd54a" if self.pressed else "white"))
            painter.drawPolygon(_ARROW.translated(QPointF(self.pointer)))
        if self.keys:
            font = QFont(painter.font())
            font.setPixelSize(17)
            font.setBold(True)
            painter.setFont(font)
            width = painter.fontMetrics().horizontalAdvance(self.keys) + 24
            box = QRectF((image.width() - width) / 2, image.height() - 74, width, 32)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor("#ffd54a"))
            painter.drawRoundedRect(box, 6, 6)
            painter.setPen(QColor("black"))
            painter.drawText(box, Qt.AlignmentFlag.AlignCenter, self.keys)
        painter.end()

    def write(self, path: Path, colors: int = COLORS) -> None:
        """Write an animated PNG in one palette of at most ``colors``; it starts again when it ends."""
        # One palette for all pictures: pixels that stay alike get the same colour each time. After the first picture they are
        # transparent, which takes hardly any space; so one colour of the palette is kept for that.
        clear = colors - 1
        # By the root of their number: colours of classes are few beside those of the image, but what the recording is about.
        pixels = np.concatenate([frame[::2, ::2].reshape(-1, 3) for frame in self.frames]).astype(np.int32) & 0xFC
        found, numbers = np.unique(pixels @ [1 << 16, 1 << 8, 1], return_counts=True)
        weighted = np.repeat(found, np.sqrt(numbers).astype(int))
        sample = Image.fromarray(np.stack([weighted >> 16, weighted >> 8 & 0xFF, weighted & 0xFF], axis=1)[None].astype(np.uint8))
        palette = sample.quantize(clear, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
        indices = [
            np.asarray(Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE)) for frame in self.frames
        ]
        pictures, durations = [indices[0]], [self.durations[0]]
        for before, now, milliseconds in zip(indices[:-1], indices[1:], self.durations[1:], strict=True):
            if np.array_equal(before, now):
                durations[-1] += milliseconds
            else:
                pictures.append(np.where(before == now, np.uint8(clear), now))
                durations.append(milliseconds)
        entries = (palette.getpalette() or [])[: 3 * clear]
        entries += [0] * (3 * colors - len(entries))
        first, *others = [_paletted(picture, entries) for picture in pictures]
        path.parent.mkdir(parents=True, exist_ok=True)
        first.save(
            path, save_all=True, append_images=others, duration=durations, loop=0, transparency=clear, optimize=True,
            disposal=PngImagePlugin.Disposal.OP_NONE, blend=PngImagePlugin.Blend.OP_OVER,
        )  # fmt: skip


def _paletted(indices: np.ndarray, palette: list[int]) -> Image.Image:
    image = Image.fromarray(indices, "P")
    image.putpalette(palette)
    return image


class Hand:
    """What a user does in the window, as a recording shows it. Places are (x, y) in px of the image."""

    def __init__(self, window: QWidget, view: Any, recording: Recording, settle: Callable[[], None]) -> None:
        self.window, self.view, self.recording, self._settle = window, view, recording, settle
        self._at = QPoint(view.width() // 2, view.height() // 2)

    def start(self, place: tuple[float, float]) -> None:
        """Begin with the pointer there."""
        self._at = self._place(place)
        QTest.mouseMove(self.view, self._at)

    def _place(self, place: tuple[float, float]) -> QPoint:
        point: QPoint = self.view.mapping.to_view(*place).toPoint()
        return point

    def _show(self, milliseconds: int) -> None:
        self._settle()
        self.recording.pointer = self.view.mapTo(self.window, self._at)
        self.recording.take(milliseconds)

    def rest(self, milliseconds: int) -> None:
        """Do nothing for so long."""
        self._show(milliseconds)

    def say(self, keys: str) -> None:
        """Show which keys or buttons are used from now on."""
        self.recording.keys = keys

    def move(self, place: tuple[float, float], steps: int = 3) -> None:
        """Move the pointer there, on a straight line."""
        start, end = self._at, self._place(place)
        for step in range(1, steps + 1):
            self._at = start + (end - start) * step / steps
            QTest.mouseMove(self.view, self._at)
            self._show(_STEP)

    def click(self, modifiers: Qt.KeyboardModifier = _PLAIN) -> None:
        """Click where the pointer is."""
        self.recording.pressed = True
        QTest.mousePress(self.view, Qt.MouseButton.LeftButton, modifiers, self._at)
        self._show(2 * _STEP)
        QTest.mouseRelease(self.view, Qt.MouseButton.LeftButton, modifiers, self._at)
        self.recording.pressed = False

    def drag(
        self, places: Sequence[tuple[float, float]], steps: int = 3, before_release: Callable[[], None] = lambda: None
    ) -> None:
        """Press at the first place, move through the others, and release at the last one."""
        self.move(places[0])
        QTest.mousePress(self.view, Qt.MouseButton.LeftButton, _PLAIN, self._at)
        self.recording.pressed = True
        for place in places[1:]:
            self.move(place, steps)
        before_release()
        QTest.mouseRelease(self.view, Qt.MouseButton.LeftButton, _PLAIN, self._at)
        self.recording.pressed = False

    def key(self, words: str, key: Qt.Key, modifiers: Qt.KeyboardModifier = _PLAIN, milliseconds: int = 500) -> None:
        """Press a key, which the picture names."""
        self.say(words)
        QTest.keyClick(self.view, key, modifiers)
        self._show(milliseconds)

    def wheel(self, notches: int, modifiers: Qt.KeyboardModifier = _PLAIN, milliseconds: int = 500) -> None:
        """Turn the wheel notch by notch; up is positive."""
        # Qt gives a wheel that is turned with Alt as a horizontal one.
        angle = QPoint(0, 120 if notches > 0 else -120)
        for _ in range(abs(notches)):
            at = QPointF(self._at)
            event = QWheelEvent(
                at, QPointF(self.view.mapToGlobal(at)), QPoint(), angle, Qt.MouseButton.NoButton, modifiers,
                Qt.ScrollPhase.NoScrollPhase, False,
            )  # fmt: skip
            QApplication.sendEvent(self.view, event)
            self._show(milliseconds)
