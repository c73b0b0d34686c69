"""The images that are most like one, with their thumbnails; it stays open beside the picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QIcon, QImage, QPixmap
from PySide6.QtWidgets import QListView, QListWidget, QListWidgetItem, QPushButton, QWidget

from app.text import plural, tr
from app.ui.common.fitted_dialog import FittedDialog
from app.ui.common.panel import toned

_PICTURE = QSize(128, 96)
#: Images that are listed.
MOST = 200


class SimilarDialog(FittedDialog):
    """A list of images.

    Args:
        picture: gives the thumbnail of an image, or None while it is made.

    Signals:
        opened(image id): bring it into view.
        stopAsked(): do not wait for the rest.
    """

    opened = Signal(int)
    stopAsked = Signal()

    def __init__(self, picture: Callable[[int], QImage | None], parent: QWidget | None = None) -> None:
        super().__init__(tr("More like this"), parent, size=QSize(640, 460))
        self._picture = picture
        self.about = toned("", tone="muted")
        self.about.setWordWrap(True)
        self.list = QListWidget()
        self.list.setViewMode(QListView.ViewMode.IconMode)
        self.list.setResizeMode(QListView.ResizeMode.Adjust)
        self.list.setMovement(QListView.Movement.Static)
        self.list.setIconSize(_PICTURE)
        self.list.setGridSize(_PICTURE + QSize(16, 48))
        self.list.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.list.setAccessibleName(tr("Similar images"))
        self.column.addWidget(self.about)
        self.column.addWidget(self.list, 1)
        self.stop = QPushButton(tr("Stop"))
        self.stop.clicked.connect(self.stopAsked)
        close = QPushButton(tr("Close"))
        close.clicked.connect(self.close)
        self.buttons.addStretch(1)
        self.buttons.addWidget(self.stop)
        self.buttons.addWidget(close)
        self.list.itemClicked.connect(lambda item: self.opened.emit(item.data(Qt.ItemDataRole.UserRole)))
        self.list.itemActivated.connect(lambda item: self.opened.emit(item.data(Qt.ItemDataRole.UserRole)))

    def show_images(self, about: str, rows: Sequence[tuple[int, str, float]], *, running: bool) -> None:
        """Show (image id, name, similarity), the most similar first.

        Args:
            about: what they are compared with.
            running: features are still being computed.
        """
        shown = rows[:MOST]
        images = plural("{n} image", "{n} images", len(shown))
        self.about.setText(
            tr("{about} The model is looking at the images…", about=about)
            if running
            else tr("{about} {images}, the most similar first.", about=about, images=images)
        )
        self.stop.setVisible(running)
        self.list.clear()
        for image, name, similarity in shown:
            item = QListWidgetItem(f"{name.rpartition('/')[2]}\n{similarity:.3f}")
            item.setData(Qt.ItemDataRole.UserRole, image)
            item.setToolTip(name)
            self.list.addItem(item)
        self.refresh()

    def refresh(self) -> None:
        """Thumbnails have arrived."""
        for row in range(self.list.count()):
            item = self.list.item(row)
            if item.icon().isNull():
                picture = self._picture(item.data(Qt.ItemDataRole.UserRole))
                if picture is not None and not picture.isNull():
                    item.setIcon(QIcon(QPixmap.fromImage(picture)))
