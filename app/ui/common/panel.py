"""One dock as a card: a header with a small title and room for a figure at its right, and a body."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, QSize, Qt
from PySide6.QtGui import QFocusEvent, QResizeEvent
from PySide6.QtWidgets import QDockWidget, QFrame, QHBoxLayout, QLabel, QPushButton, QScrollArea, QVBoxLayout, QWidget

from app.services.timers import single_shot

#: Padding of the cards in px.
PADDING = 12


#: Room between a tab and the body of its panel, in px.
_BELOW_TAB = 7


class _Header(QFrame):
    """The row with the title; of no height while a tab says the title."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("panelHeader")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.collapsed = False
        self.least = 0  # width in px that it can shrink to; 0 is that of its parts

    def sizeHint(self) -> QSize:
        hint = super().sizeHint()
        return QSize(hint.width(), 0) if self.collapsed else hint

    def minimumSizeHint(self) -> QSize:
        if self.collapsed:
            return QSize(0, 0)
        hint = super().minimumSizeHint()
        return QSize(min(self.least, hint.width()) or hint.width(), hint.height())


class Panel(QDockWidget):
    """Base of every dock. Its header is the handle for dragging and floating; behind a tab, the tab is.

    Attributes:
        accessories: the figures and buttons at the right of the header, or of the row of tabs.
        header: layout of the accessories.
        body: layout of the body.
        tabbed: whether the panel shares its place, and a tab has its title.
    """

    def __init__(self, name: str, title: str, parent: QWidget | None = None) -> None:
        super().__init__(title, parent)
        self.setObjectName(f"dock_{name}")
        self.setFeatures(QDockWidget.DockWidgetFeature.DockWidgetMovable | QDockWidget.DockWidgetFeature.DockWidgetFloatable)
        self._header = header = _Header()
        self._row = QHBoxLayout(header)
        self._row.setContentsMargins(PADDING, 9, PADDING, 5)
        self._row.setSpacing(6)
        self._title = QLabel(title.upper())
        self._title.setTextFormat(Qt.TextFormat.PlainText)
        self._title.setObjectName("panelTitle")
        self.accessories = QWidget()
        self.header = QHBoxLayout(self.accessories)
        self.header.setContentsMargins(0, 0, 0, 0)
        self.header.setSpacing(6)
        self.tabbed = False
        self._row.addWidget(self._title)
        self._row.addStretch(1)
        self._row.addWidget(self.accessories)
        self.setTitleBarWidget(header)
        self._frame = frame = QFrame()
        frame.setObjectName("panelBody")
        self.body = QVBoxLayout(frame)
        self.body.setContentsMargins(PADDING, 2, PADDING, PADDING - 2)
        self.body.setSpacing(8)
        self.setWidget(frame)

    def set_tabbed(self, on: bool) -> None:
        """Leave title and accessories to a row of tabs, or have a header again."""
        if on is self.tabbed:
            return
        self.tabbed = self._header.collapsed = on
        self._title.setVisible(not on)
        if on:
            self._row.removeWidget(self.accessories)
        else:
            self._row.addWidget(self.accessories)
            self.accessories.show()
        self._row.setContentsMargins(*((0, 0, 0, 0) if on else (PADDING, 9, PADDING, 5)))
        margins = self.body.contentsMargins()
        top = margins.top() + (_BELOW_TAB if on else -_BELOW_TAB)
        self.body.setContentsMargins(margins.left(), top, margins.right(), margins.bottom())
        self._frame.setProperty("tabbed", on)
        self._frame.style().unpolish(self._frame)
        self._frame.style().polish(self._frame)
        self._header.updateGeometry()


class Page(QWidget):
    """A page of which one part takes the keyboard when the page gets it.

    Qt's focus proxy does that too, but then Tab leaves out everything that lies before this part.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._leading: QWidget | None = None

    def lead_focus_to(self, part: QWidget) -> None:
        """Name the part."""
        self._leading = part

    def focusInEvent(self, event: QFocusEvent) -> None:
        super().focusInEvent(event)
        parts = [] if self._leading is None else [self._leading, *self.findChildren(QWidget)]
        tab = Qt.FocusPolicy.TabFocus
        there = (part for part in parts if part.isVisibleTo(self) and part.isEnabled() and part.focusPolicy() & tab)
        leading = next(there, None)  # one that is hidden would pass the keyboard on to the other end of the window
        if leading is not None:
            leading.setFocus(event.reason())


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


def set_primary(button: QPushButton, on: bool) -> None:
    """Make a button the primary one, or no longer: it is while it is the next step."""
    if bool(button.property("primary")) is not on:
        button.setProperty("primary", on)
        button.style().unpolish(button)
        button.style().polish(button)
