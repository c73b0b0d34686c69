"""What stands where the picture would be if the file cannot be read: which one, why, and the ways on."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from app.services.session import Unreadable
from app.text import mark, tr
from app.ui.common.panel import toned
from app.ui.shell.action_builder import ActionBuilder
from app.ui.shell.icons import icon_pixmap
from app.ui.shell.theme import Theme

_WIDTH = 460
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
        card.setFixedWidth(_WIDTH)
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
