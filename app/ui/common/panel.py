"""One dock as a card: a header with a small title and room for a figure at its right, and a body."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QDockWidget, QFrame, QHBoxLayout, QLabel, QScrollArea, QVBoxLayout, QWidget

from app.services.timers import single_shot

#: Padding of the cards in px.
PADDING = 12


class Panel(QDockWidget):
    """Base of every dock. Its header is the handle for dragging and floating.

    Attributes:
        header: layout of the header; add accessories at its end.
        body: layout of the body.
    """

    def __init__(self, name: str, title: str, parent: QWidget | None = None) -> None:
        super().__init__(title, parent)
        self.setObjectName(f"dock_{name}")
        self.setFeatures(QDockWidget.DockWidgetFeature.DockWidgetMovable | QDockWidget.DockWidgetFeature.DockWidgetFloatable)
        header = QFrame()
        header.setObjectName("panelHeader")
        header.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.header = QHBoxLayout(header)
        self.header.setContentsMargins(PADDING, 9, PADDING, 5)
        self.header.setSpacing(6)
        label = QLabel(title.upper())
        label.setTextFormat(Qt.TextFormat.PlainText)
        label.setObjectName("panelTitle")
        self.header.addWidget(label)
        self.header.addStretch(1)
        self.setTitleBarWidget(header)
        frame = QFrame()
        frame.setObjectName("panelBody")
        self.body = QVBoxLayout(frame)
        self.body.setContentsMargins(PADDING, 2, PADDING, PADDING - 2)
        self.body.setSpacing(8)
        self.setWidget(frame)


class WholeRows(QScrollArea):
    """Scrolls a column of rows, and shows a row as a whole or not at all at its lower edge."""

    def __init__(self, column: QWidget) -> None:
        super().__init__()
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWidget(column)
        self._later = single_shot(self, 0, self._fit)  # the rows get their places after the column has its size
        column.installEventFilter(self)
        self.verticalScrollBar().valueChanged.connect(self._fit)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._later.start()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() in (QEvent.Type.Resize, QEvent.Type.Show, QEvent.Type.LayoutRequest):  # also: rows were shown or hidden
            self._later.start()
        return super().eventFilter(watched, event)

    def _fit(self) -> None:
        """Leave out, below the last whole row, what would show a part of the next one."""
        column, room, top = self.widget(), self.contentsRect().height(), self.verticalScrollBar().value()
        if column is None:
            return
        rows = column.findChildren(QWidget, options=Qt.FindChildOption.FindDirectChildrenOnly)
        ends = [row.geometry().bottom() + 1 - top for row in rows if row.isVisible()]
        whole = max((end for end in ends if 0 < end <= room), default=0)
        cut = room - whole if whole and max(ends) > room else 0
        if cut != self.viewportMargins().bottom():
            self.setViewportMargins(0, 0, 0, cut)


def toned(text: str = "", *, tone: str = "", size: str = "", strong: bool = False) -> QLabel:
    """A label in one of the theme's tones and sizes. Its text is shown as it is: names may look like HTML."""
    label = QLabel(text)
    label.setTextFormat(Qt.TextFormat.PlainText)
    for name, value in (("tone", tone), ("textSize", size)):
        if value:
            label.setProperty(name, value)
    if strong:
        label.setProperty("strong", True)
    return label


def set_tone(label: QLabel, tone: str) -> None:
    """Give a label another tone at run time."""
    if label.property("tone") != tone:
        label.setProperty("tone", tone)
        label.style().unpolish(label)
        label.style().polish(label)
