"""What is shown in place of a picture: how to begin and the recent folders, or why the chosen image cannot be shown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QGuiApplication, QResizeEvent
from PySide6.QtWidgets import QBoxLayout, QFrame, QHBoxLayout, QLabel, QPushButton, QSizePolicy, QSpacerItem, QVBoxLayout, QWidget

from app.text import displayed, displayed_lines, mark, tr
from app.ui.common.panel import toned
from app.ui.shell.action_builder import ActionBuilder
from app.ui.shell.icons import icon_pixmap
from app.ui.shell.theme import Theme

if TYPE_CHECKING:  # numpy comes after the first frame
    from app.services.session import Unreadable

_REASON_WIDTH = 460
#: Ids of the commands that lead to another image, with what their buttons say.
_WAYS = (("go.previous", mark("Previous image")), ("go.next", mark("Next image")))


class UnreadablePage(QWidget):
    """Names one image that cannot be shown.

    Signals:
        retried(image id): read it once more.
    """

    retried = Signal(int)

    def __init__(self, actions: ActionBuilder, theme: Theme) -> None:
        super().__init__()
        self.setObjectName("startPage")
        self._image = -1
        outer = QVBoxLayout(self)
        outer.setAlignment(Qt.AlignmentFlag.AlignCenter)
        card = QFrame()
        card.setFixedWidth(_REASON_WIDTH)
        outer.addWidget(card)
        column = QVBoxLayout(card)
        column.setSpacing(10)
        self.mark = QLabel()
        self.mark.setPixmap(icon_pixmap("warning", theme.color("warn"), 40, self.devicePixelRatioF()))
        column.addWidget(self.mark)
        self.title = toned("", size="title")
        self.what = toned("")
        self.detail = toned("", tone="muted")
        for label in (self.title, self.what, self.detail):
            label.setWordWrap(True)
            label.setTextFormat(Qt.TextFormat.PlainText)
            label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            column.addWidget(label)
        column.addSpacing(6)
        row = QHBoxLayout()
        row.setSpacing(8)
        self.again = QPushButton(tr("Try again"))
        self.again.setToolTip(tr("Read the file again"))
        self.again.clicked.connect(lambda: self.retried.emit(self._image))
        row.addWidget(self.again)
        self.ways: dict[str, QPushButton] = {}
        for name, text in _WAYS:
            self.ways[name] = button = QPushButton(tr(text))
            button.setToolTip(actions[name].toolTip())
            button.clicked.connect(actions[name].trigger)
            row.addWidget(button)
        self.ways["go.next"].setProperty("primary", True)
        row.addStretch(1)
        column.addLayout(row)

    def show_image(self, found: Unreadable) -> None:
        """Say what is wrong with an image."""
        self._image = found.id
        self.title.setText(found.name)
        self.what.setText(found.what[:1].upper() + found.what[1:].rstrip(".") + ".")
        self.detail.setText(found.detail)
        self.detail.setVisible(bool(found.detail))


_WIDTH = 460
_SHOWN = 6
#: A page narrower than this has no room for two buttons beside each other, in px.
_NARROW = 420
_WELCOME = mark("Drop a folder here, or choose one. Atrous predicts, you correct; every stroke is saved as you paint.")


class StartPage(QWidget):
    """The empty state.

    Signals:
        openAsked(), sampleAsked(), tourAsked(), modelsAsked(), folderChosen(Path).
    """

    openAsked = Signal()
    sampleAsked = Signal()
    tourAsked = Signal()
    modelsAsked = Signal()
    folderChosen = Signal(object)

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self._busy, self._image = False, ""
        self.setObjectName("startPage")
        outer = QVBoxLayout(self)
        outer.setAlignment(Qt.AlignmentFlag.AlignCenter)
        card = QFrame()
        card.setMaximumWidth(_WIDTH)
        card.setMinimumWidth(_WIDTH // 2)
        outer.addWidget(card)
        column = QVBoxLayout(card)
        column.setSpacing(10)
        self.mark = QLabel()
        self.mark.setPixmap(icon_pixmap("atrous", theme.color("accent"), 56, self.devicePixelRatioF()))
        column.addWidget(self.mark)
        self.title = toned(tr("Open a folder of images"), size="display")
        self.title.setWordWrap(True)
        column.addWidget(self.title)
        self.text = toned(tr(_WELCOME), tone="muted")
        self.text.setWordWrap(True)
        column.addWidget(self.text)
        column.addSpacing(6)
        self._ways = row = QHBoxLayout()
        row.setSpacing(8)
        self.open_button = QPushButton(tr("Open folder…"))
        self.open_button.setProperty("primary", True)
        self.open_button.clicked.connect(self.openAsked)
        self.sample_button = QPushButton(tr("Open the sample project"))
        self.sample_button.clicked.connect(self.sampleAsked)
        row.addWidget(self.open_button)
        row.addWidget(self.sample_button)
        row.addItem(QSpacerItem(0, 0, QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Minimum))  # a stretch would be a gap below
        column.addLayout(row)
        self.tour_button = self._link(tr("Two-minute tour"), tr("Find an error of the sample project, correct it, export"))
        self.tour_button.clicked.connect(self.tourAsked)
        self.models_button = self._link(tr("Get models…"), tr("Published networks that Atrous runs, with size and licence"))
        self.models_button.clicked.connect(self.modelsAsked)
        links = QHBoxLayout()
        links.setSpacing(16)
        for button in (self.tour_button, self.models_button):
            links.addWidget(button)
        links.addStretch(1)
        column.addLayout(links)
        column.addSpacing(10)
        self.recent_title = toned(tr("RECENT"), tone="muted", size="caption", strong=True)
        column.addWidget(self.recent_title)
        self._recent = QVBoxLayout()
        self._recent.setSpacing(2)
        column.addLayout(self._recent)
        self.show_recent([])

    def resizeEvent(self, event: QResizeEvent) -> None:
        """In a narrow window the buttons stand below each other."""
        super().resizeEvent(event)
        narrow = self.width() < _NARROW
        self._ways.setDirection(QBoxLayout.Direction.TopToBottom if narrow else QBoxLayout.Direction.LeftToRight)

    @staticmethod
    def _link(text: str, tip: str) -> QPushButton:
        button = QPushButton(text)
        button.setProperty("link", True)
        button.setToolTip(tip)
        return button

    def show_recent(self, folders: Sequence[Path]) -> None:
        """List the folders of last time."""
        while self._recent.count():
            item = self._recent.takeAt(0)
            widget = item.widget() if item is not None else None
            if widget is not None:
                widget.hide()
                widget.deleteLater()
        for folder in folders[:_SHOWN]:
            button = QPushButton(displayed(f"{folder.name}  —  {_shortened(folder.parent)}"))
            button.setProperty("link", True)
            button.setToolTip(displayed(str(folder)))
            button.setStyleSheet("text-align: left;")
            button.clicked.connect(lambda _checked=False, folder=folder: self.folderChosen.emit(folder))
            self._recent.addWidget(button)
        self._show_recent_part()

    def show_broken(self, text: str, details: str) -> None:
        """Atrous cannot work, because a part of it is broken: what it is, and what to do."""
        self.title.setText(tr("A part of Atrous is broken"))
        self.text.setText(displayed_lines(text))
        self.text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        for part in (self.sample_button, self.tour_button, self.models_button, self.recent_title):
            part.hide()
        self.open_button.setText(tr("Copy details"))
        self.open_button.clicked.disconnect()
        self.open_button.clicked.connect(lambda: QGuiApplication.clipboard().setText(details))

    def show_busy(self, folder: str, image: str = "") -> None:
        """A folder is being opened: nothing else is offered until then; an empty text ends that.

        Args:
            image: name of the image that comes first, if that is known; it stays on the page until the folder is open.
        """
        self._busy = bool(folder)
        self._image = (image or self._image) if folder else ""
        self.title.setText(displayed(tr("Opening {name}…", name=Path(folder).name)) if folder else tr("Open a folder of images"))
        coming = displayed(tr("{image} comes first", image=self._image)) + "\n" if self._image else ""
        self.text.setText(coming + displayed(str(Path(folder).parent)) if folder else tr(_WELCOME))
        for part in (self.open_button, self.sample_button, self.tour_button, self.models_button):
            part.setVisible(not folder)
        self._show_recent_part()

    def _show_recent_part(self) -> None:
        listed = not self._busy and self._recent.count() > 0
        self.recent_title.setVisible(listed)
        for place in range(self._recent.count()):
            item = self._recent.itemAt(place)
            widget = item.widget() if item is not None else None
            if widget is not None:
                widget.setVisible(listed)

    def show_empty_folder(self, folder: Path) -> None:
        """The folder that was opened holds no image."""
        self.title.setText(tr("No images here"))
        self.text.setText(
            tr(
                "{folder} and its subfolders contain no JPEG, PNG, TIFF, BMP or WebP file. Choose another folder, or "
                "add images to this one and press F5.",
                folder=folder,
            )
        )


def _shortened(folder: Path) -> str:
    text = str(folder)
    home = str(Path.home())
    return "~" + text[len(home) :] if text.startswith(home) else text
