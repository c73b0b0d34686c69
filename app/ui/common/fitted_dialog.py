"""The base of every dialog: it fits the screen that it opens on. The content scrolls, title and buttons stay in sight."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QDialog, QFrame, QHBoxLayout, QPushButton, QScrollArea, QVBoxLayout, QWidget
from shiboken6 import isValid

from app.ui.common.panel import toned

P = ParamSpec("P")

#: Side and bottom margins of a dialog in px.
_SIDE, _EDGE = 24, 20
#: What a window manager's frame takes of a screen, in px; it is known only after a window was shown.
_FRAME = QSize(16, 40)
#: Dialogs take this share of the screen's height, and all of a screen that is lower than this, in px.
_SHARE, _LOW = 0.8, 640


def screen_room(widget: QWidget) -> QSize:
    """Largest size in px that a window beside ``widget`` can have on its screen, with its frame in sight."""
    screen = widget.screen() or QGuiApplication.primaryScreen()
    return screen.availableGeometry().size() - _FRAME


def dialog_room(widget: QWidget) -> QSize:
    """Largest size in px that a dialog takes by itself: it leaves some of what it is about in sight."""
    room = screen_room(widget)
    return QSize(room.width(), room.height() if room.height() < _LOW else round(_SHARE * (room.height() + _FRAME.height())))


def bring_into_screen(window: QWidget) -> None:
    """Move a window that fits its screen so that all of it is in sight."""
    place, frame = window.screen().availableGeometry(), window.frameGeometry()
    left = min(max(frame.left(), place.left()), max(place.right() - frame.width() + 1, place.left()))
    top = min(max(frame.top(), place.top()), max(place.bottom() - frame.height() + 1, place.top()))
    window.move(left, top)


class FittedDialog(QDialog):
    """A title, content that scrolls where the screen is too small for it, and a row of buttons that is always visible.

    Args:
        title: of the window.
        heading: above the content; the title where it is None, nothing where it is empty.
        size: wanted size in px; a height of 0 takes what the content needs. The screen limits both.

    Attributes:
        column: layout of the content.
        buttons: layout of the row below it.
    """

    def __init__(self, title: str, parent: QWidget | None = None, *, heading: str | None = None, size: QSize) -> None:
        super().__init__(parent)
        self.setWindowTitle(title)
        self._wanted = size
        self._fitted = False
        self._fitted_size = QSize()
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, _EDGE, 0, _EDGE - 4)
        outer.setSpacing(0)
        text = title if heading is None else heading
        if text:
            label = toned(text, size="title")
            label.setWordWrap(True)
            label.setContentsMargins(_SIDE, 0, _SIDE, 12)
            outer.addWidget(label)
        self._page = QWidget()
        self.column = QVBoxLayout(self._page)
        self.column.setContentsMargins(_SIDE, 0, _SIDE, 4)
        self.column.setSpacing(12)
        self.area = QScrollArea()
        self.area.setFrameShape(QFrame.Shape.NoFrame)
        self.area.setWidgetResizable(True)
        self.area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.area.setWidget(self._page)
        outer.addWidget(self.area, 1)
        self._edge = QFrame()
        self._edge.setObjectName("dialogEdge")
        self._edge.setFixedHeight(1)
        outer.addWidget(self._edge)
        foot = QWidget()
        self.buttons = QHBoxLayout(foot)
        self.buttons.setContentsMargins(_SIDE, 12, _SIDE, 0)
        self.buttons.setSpacing(8)
        outer.addWidget(foot)
        bar = self.area.verticalScrollBar()
        bar.rangeChanged.connect(lambda _low, high: self._show_edge(high > 0))
        bar.rangeChanged.connect(self._follow_content, Qt.ConnectionType.QueuedConnection)  # after the layout has settled
        self._show_edge(False)

    def exec(self) -> int:
        """Show the dialog and wait for its end. It is deleted once the caller, who may read it until then, has returned.

        A dialog belongs to its window, so Python's references do not end it: a day of work would collect hundreds of them.
        """
        try:
            return super().exec()
        finally:
            self.deleteLater()

    def while_open(self, then: Callable[P, object]) -> Callable[P, None]:
        """``then`` for an answer from the background; it is dropped if the dialog and its widgets were deleted meanwhile."""

        def deliver(*args: P.args, **named: P.kwargs) -> None:
            if isValid(self):
                then(*args, **named)

        return deliver

    def add_answers(self, leave: str, go: str, act: Callable[[], object]) -> QPushButton:
        """Add the two buttons that end a dialog: one that rejects it, and the default one, which is returned.

        Args:
            leave: text of the button that rejects.
            go: text of the default button.
            act: called when the default button is clicked.
        """
        leaving, going = QPushButton(leave), QPushButton(go)
        leaving.setAutoDefault(False)
        leaving.clicked.connect(self.reject)
        going.setProperty("primary", True)
        going.setDefault(True)
        going.clicked.connect(act)
        self.buttons.addWidget(leaving)
        self.buttons.addWidget(going)
        return going

    def setVisible(self, visible: bool) -> None:
        """Qt's door for ``show``, ``open`` and ``exec``: the size is decided here, with the content complete."""
        if visible and not self._fitted:
            self.fit()
        super().setVisible(visible)

    def fit(self) -> None:
        """Take the wanted size, or as much of it as the screen has."""
        self.ensurePolished()
        room = dialog_room(self.parentWidget() or self)
        width = min(max(self._wanted.width(), self.minimumSizeHint().width()), room.width())
        self.resize(width, min(self._wanted.height() or self._natural_height(width), room.height()))
        self._fitted, self._fitted_size = True, self.size()  # a user's own size is kept when the dialog is shown again

    def minimumSizeHint(self) -> QSize:
        """Wide enough for the content, which scrolls up and down only; the layout itself limits the height."""
        hint = super().minimumSizeHint()
        return QSize(max(hint.width(), self._page.minimumSizeHint().width()), hint.height())

    def _natural_height(self, width: int) -> int:
        """Height at which nothing scrolls. Wrapped lines need theirs at this width."""
        layout = self.layout()
        assert layout is not None
        around = layout.totalHeightForWidth(width) if layout.hasHeightForWidth() else layout.totalSizeHint().height()
        page = self._page.heightForWidth(width) if self._page.hasHeightForWidth() else self._page.sizeHint().height()
        return around - self.area.sizeHint().height() + page

    def _follow_content(self, _low: int, high: int) -> None:
        """Grow with content that came later, for example a measurement, unless the user chose a size."""
        if high > 0 and self.isVisible() and not self._wanted.height() and self.size() == self._fitted_size:
            self.fit()
            bring_into_screen(self)

    def _show_edge(self, scrolls: bool) -> None:
        """A line above the buttons while there is more content than can be seen."""
        self._edge.setProperty("scrolls", scrolls)
        self._edge.style().unpolish(self._edge)
        self._edge.style().polish(self._edge)
