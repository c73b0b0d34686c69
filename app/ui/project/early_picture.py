"""The image that will be in view, shown from the first frame on until the program behind the window is there and reads it itself.

In a folder that was open before it is the image of last time, in one without a project the first one.
"""

from __future__ import annotations

import os
from pathlib import Path

from PySide6.QtCore import QRectF, QSettings, QSize, Qt
from PySide6.QtGui import QImage, QImageIOHandler, QImageReader, QPainter, QPaintEvent
from PySide6.QtWidgets import QWidget

from app.ui.shell.theme import Theme
from deeplab_core.errors import AtrousError

#: Where the layout file keeps folders and the image of each, newest first, and of how many.
_KEY, _MOST_FOLDERS = "picture", 12
#: A folder with more files, and folders in it, is listed after the first frame.
_MOST_FILES = 2_000
#: Files that Qt shows as Atrous does, in formats of 8 bits without other inks; larger ones take too long before a frame.
_SUFFIXES, _LARGEST = frozenset({".jpg", ".jpeg", ".png", ".bmp"}), 30_000_000
_FORMATS = frozenset(
    {QImage.Format.Format_RGB32, QImage.Format.Format_RGB888, QImage.Format.Format_Grayscale8, QImage.Format.Format_Indexed8}
)


def remember_picture(store: QSettings, folder: Path, image: Path) -> None:
    """Keep which image of a folder was in view last."""
    others = {known: path for known, path in _remembered(store).items() if known != str(folder)}
    kept = [(str(folder), str(image)), *others.items()][:_MOST_FOLDERS]
    store.setValue(_KEY, [text for pair in kept for text in pair])


def early_picture(store: QSettings, folder: Path, room: QSize, project_dir: Path | None = None) -> QImage | None:
    """The image that will be in view when ``folder`` is open, no larger than ``room``.

    None if it is not known yet, or if Qt would show it in another way than Atrous does.

    Args:
        project_dir: where the project's data lies; None means ``<folder>/.atrous``.
    """
    known = _remembered(store).get(str(folder.absolute()))
    path = Path(known) if known is not None else _first_image(folder, project_dir)
    return None if path is None else _read(path, room)


def _remembered(store: QSettings) -> dict[str, str]:
    """Folder -> the image that was in view last."""
    kept = store.value(_KEY)
    if not isinstance(kept, list) or len(kept) % 2:
        return {}
    texts = [str(text) for text in kept]
    return dict(zip(texts[::2], texts[1::2], strict=True))


def _first_image(folder: Path, project_dir: Path | None) -> Path | None:
    """The first image of a folder; None if it has a project, which may have another one in view, or many files."""
    if (project_dir or folder / ".atrous").exists() or not _has_few_files(folder):
        return None
    from deeplab_core.datasets.find import scan_folder

    try:
        images = scan_folder(folder).images
    except (AtrousError, OSError):
        return None  # said when it is opened
    return folder / images[0] if images else None


def _has_few_files(folder: Path) -> bool:
    left = _MOST_FILES
    for _, folders, files in os.walk(folder):
        left -= len(folders) + len(files)
        if left < 0:
            return False
        folders[:] = [name for name in folders if not name.startswith(".")]
    return True


def _read(path: Path, room: QSize) -> QImage | None:
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

    def show_picture(self, picture: QImage, theme: Theme) -> None:
        """Show another image."""
        self._picture, self._theme = picture, theme
        self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.fillRect(self.rect(), self._theme.color("canvas"))
        size = QSize(self._picture.size()).scaled(self.size(), Qt.AspectRatioMode.KeepAspectRatio)
        left, top = (self.width() - size.width()) / 2, (self.height() - size.height()) / 2
        painter.drawImage(QRectF(left, top, size.width(), size.height()), self._picture)
        painter.end()
