"""The image of last time, shown from the first frame on until the program behind the window is there and reads it itself."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QRectF, QSettings, QSize, Qt
from PySide6.QtGui import QImage, QImageIOHandler, QImageReader, QPainter, QPaintEvent
from PySide6.QtWidgets import QWidget

from app.ui.shell.theme import Theme

#: Where the layout file keeps folder and image.
_KEY = "picture"
#: Files that Qt shows as Atrous does, in formats of 8 bits without other inks; larger ones take too long before a frame.
_SUFFIXES, _LARGEST = frozenset({".jpg", ".jpeg", ".png", ".bmp"}), 30_000_000
_FORMATS = frozenset(
    {QImage.Format.Format_RGB32, QImage.Format.Format_RGB888, QImage.Format.Format_Grayscale8, QImage.Format.Format_Indexed8}
)


def remember_picture(store: QSettings, folder: Path, image: Path) -> None:
    """Keep which image of a folder was in view last."""
    store.setValue(_KEY, [str(folder), str(image)])


def early_picture(store: QSettings, folder: Path, room: QSize) -> QImage | None:
    """The image that was in view when ``folder`` was open last, no larger than ``room``; None if another folder was, or if Qt
    would show it in another way than Atrous does.
    """
    kept = store.value(_KEY)
    if not isinstance(kept, list) or len(kept) != 2 or kept[0] != str(folder.absolute()):
        return None
    path = Path(str(kept[1]))
    if path.suffix.lower() not in _SUFFIXES or not path.is_file():
        return None
    reader = QImageReader(str(path))
    reader.setAutoTransform(True)
    size = reader.size()
    if not size.isValid() or size.width() * size.height() > _LARGEST:
        return None
    if reader.transformation() == QImageIOHandler.Transformation.TransformationNone and size.width() > 2 * room.width():
        reader.setScaledSize(size.scaled(room * 2, Qt.AspectRatioMode.KeepAspectRatio))
    picture = reader.read()
    return picture if not picture.isNull() and picture.format() in _FORMATS else None


class EarlyPicture(QWidget):
    """Shows an image as the view of it will: fitted, in the middle."""

    def __init__(self, picture: QImage, theme: Theme) -> None:
        super().__init__()
        self._picture, self._theme = picture, theme

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.fillRect(self.rect(), self._theme.color("canvas"))
        size = QSize(self._picture.size()).scaled(self.size(), Qt.AspectRatioMode.KeepAspectRatio)
        left, top = (self.width() - size.width()) / 2, (self.height() - size.height()) / 2
        painter.drawImage(QRectF(left, top, size.width(), size.height()), self._picture)
        painter.end()
