"""The keyboard belongs to the picture: what takes focus, what gives it back, and how to reach everything without a mouse.

One policy for the whole window, whatever is added to it later: outside the page in the middle, a mouse gives focus only to fields
that take text. Enter, Esc, a click beside the field and the pointer that comes to the picture give it back. F6 and Tab reach
every control (ADR 86).
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QPoint, Qt
from PySide6.QtGui import QColor, QCursor, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractScrollArea,
    QAbstractSlider,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QDockWidget,
    QDoubleSpinBox,
    QHeaderView,
    QLineEdit,
    QMainWindow,
    QPlainTextEdit,
    QScrollArea,
    QScrollBar,
    QSpinBox,
    QStackedWidget,
    QTabBar,
    QTextEdit,
    QWidget,
)
from shiboken6 import isValid

if TYPE_CHECKING:
    from app.ui.canvas.canvas_area import CanvasArea

_CONTROLS = (QAbstractButton, QAbstractSlider, QComboBox, QAbstractItemView, QTabBar)


class Place(Enum):
    """Where the keyboard is."""

    PICTURE = auto()
    TEXT = auto()
    CONTROL = auto()
    ELSEWHERE = auto()


def takes_text(widget: QWidget | None) -> bool:
    """Whether letters typed into a widget stay there."""
    if isinstance(widget, QPlainTextEdit | QTextEdit):
        return not widget.isReadOnly()
    if isinstance(widget, QComboBox):
        return widget.isEditable()
    return isinstance(widget, QLineEdit | QAbstractSpinBox)


def settle_policy(widget: QWidget) -> None:
    """Give a widget of the panels and bars its policy: text by mouse and Tab, other controls by Tab only, the rest not at all."""
    policy = widget.focusPolicy()
    if widget.focusProxy() is not None or isinstance(widget, QScrollBar):
        return
    if takes_text(widget):
        wanted = Qt.FocusPolicy.StrongFocus
    elif isinstance(widget, QScrollArea | QHeaderView):
        wanted = Qt.FocusPolicy.NoFocus  # it follows the control inside that has the focus
    elif isinstance(widget, _CONTROLS) or (policy != Qt.FocusPolicy.NoFocus and not isinstance(widget, QAbstractScrollArea)):
        wanted = Qt.FocusPolicy.TabFocus
    else:
        wanted = policy & Qt.FocusPolicy.TabFocus
    if policy != wanted:
        widget.setFocusPolicy(Qt.FocusPolicy(wanted))


class _PictureRing(QWidget):
    """A frame over the picture: light beside dark, so that it is seen on any image."""

    def __init__(self) -> None:
        super().__init__()
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.hide()

    def show_on(self, view: QWidget) -> None:
        """Lie over a view; it goes with it."""
        self.setParent(view)
        self.setGeometry(view.rect())
        self.show()
        self.raise_()

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        for width, color in ((6, QColor(12, 12, 12)), (3, self.palette().accent().color())):
            painter.setPen(QPen(color, width))
            painter.drawRect(self.rect().adjusted(2, 2, -3, -3))


class PictureFocus(QObject):
    """Keeps the focus of a window on its picture.

    Args:
        window: everything in it but the pages is panels and bars.
        stack: holds the pages, one of which is the picture.
    """

    def __init__(self, window: QMainWindow, stack: QStackedWidget) -> None:
        super().__init__(window)
        self._window, self._stack = window, stack
        self._canvas: CanvasArea | None = None
        self._left_at = QPoint()
        self._last: QWidget | None = None  # what had the focus on a page
        self._ring: _PictureRing | None = None  # while the keyboard came to the picture by a key
        application = QApplication.instance()
        assert isinstance(application, QApplication)
        application.focusChanged.connect(self._follow)

    def take_canvas(self, canvas: CanvasArea) -> None:
        """The page with the picture, which is made after the first frame."""
        self._canvas = canvas

    # -- where it is -----------------------------------------------------------------------------------------------------

    def place(self, watched: QWidget) -> Place:
        """Where the keyboard is for an event that comes to ``watched``."""
        if not self._ours(watched):
            return Place.ELSEWHERE
        focused = QApplication.focusWidget()
        target = focused if focused is not None and watched.isAncestorOf(focused) else watched
        if takes_text(target):
            return Place.TEXT
        page, window = self._stack.currentWidget(), self._window
        empty = target in (window, window.centralWidget(), self._stack, page)
        return Place.PICTURE if page is self._canvas and (empty or is_view(target)) else Place.CONTROL

    def in_panels(self, widget: QWidget | None) -> bool:
        """Whether a widget is in a panel or a bar: anywhere in the window but on its page."""
        return widget is not None and self._ours(widget) and not self._stack.isAncestorOf(widget)

    @property
    def typing(self) -> bool:
        """Whether a text field of the panels has the focus."""
        focused = QApplication.focusWidget()
        return takes_text(focused) and self.in_panels(focused)

    # -- giving it back --------------------------------------------------------------------------------------------------

    def give_back(self) -> None:
        """Put the focus on the picture, or on the page that is in front of it. A number that was typed is taken."""
        active = QApplication.activeWindow()
        if active is not None and active is not self._window and self._ours(active):
            self._window.activateWindow()  # the field was in a panel that floats; a dialog keeps the keyboard
        self._home().setFocus(Qt.FocusReason.OtherFocusReason)

    def _page(self) -> QWidget:
        return self._stack.currentWidget() or self._window

    def _home(self) -> QWidget:
        """Where the focus belongs on the page in front: where it was last."""
        page, canvas = self._page(), self._canvas
        last = self._last if self._last is not None and isValid(self._last) else None
        if canvas is not None and page is canvas:
            return last if last in canvas.views else canvas.views[0]
        return last if last is not None and page.isAncestorOf(last) and last.isVisible() else page

    def gone(self, focused: QWidget) -> bool:
        """Whether a control of the panels was hidden or switched off under the focus: Qt would go on to the one beside it."""
        return self.in_panels(focused) and not (focused.isEnabled() and focused.isVisible())

    def leave(self, focused: QWidget, cancel: bool) -> bool:
        """Enter or Esc in the panels, which the focused widget had no use for. Esc drops a number that was not entered."""
        beside = self._canvas is not None and self._canvas.isAncestorOf(focused)  # such as the title of a view
        if not (self.in_panels(focused) or (cancel and beside)):
            return False
        if cancel and isinstance(focused, QSpinBox):
            focused.setValue(focused.value())
        if cancel and isinstance(focused, QDoubleSpinBox):
            focused.setValue(focused.value())
        self.give_back()
        self._ring_picture()
        return True

    def pressed(self, watched: QWidget, _event: QMouseEvent) -> None:
        """A mouse button went down: whatever has the focus in the panels gives it back, unless another field takes it."""
        self._end_ring()
        focused = QApplication.focusWidget()
        if focused is None or not self.in_panels(focused) or not self._ours(watched):
            return
        inside = watched is focused or focused.isAncestorOf(watched) or watched.focusProxy() is focused
        if not inside and not (takes_text(watched) and self.in_panels(watched)):
            self.give_back()

    def pointed(self, watched: QWidget, at: QPoint, *, entered: bool) -> None:
        """The pointer moved on the picture.

        It gives the focus back if it came there from elsewhere. From a control, where Space would press something, also if it had
        rested there; a field in which the user types keeps the focus then.
        """
        focused = QApplication.focusWidget()
        if is_view(watched) and not entered:
            self._end_ring()
        if not is_view(watched) or focused is None or not self.in_panels(focused):
            return
        moved = (at - self._left_at).manhattanLength() >= QApplication.startDragDistance()
        if moved and (entered or not takes_text(focused)):
            self.give_back()

    def _follow(self, old: QWidget | None, new: QWidget | None) -> None:
        if new is not None and not is_view(new):
            self._end_ring()
        if new is not None and self._stack.isAncestorOf(new):
            self._last = new
        elif self.in_panels(new) and not self.in_panels(old):
            self._left_at = QCursor.pos()

    # -- reaching everything ---------------------------------------------------------------------------------------------

    def go_to_panel(self, step: int) -> None:
        """F6: on to the next panel or bar, from the last one back to the picture. Tab goes on within it."""
        stops = self._stops()
        focused = QApplication.focusWidget()
        at = 0
        for place, (region, _first) in enumerate(stops):
            if focused is not None and (region is focused or region.isAncestorOf(focused)):
                at = place
        first = stops[(at + step) % len(stops)][1]
        first.window().activateWindow()
        first.setFocus(Qt.FocusReason.TabFocusReason)
        self._ring_picture()

    def _ring_picture(self) -> None:
        """Show that the picture has the keyboard, until the pointer moves there or the keyboard goes elsewhere."""
        focused = QApplication.focusWidget()
        self._end_ring()
        if focused is not None and is_view(focused):
            self._ring = _PictureRing()
            self._ring.show_on(focused)

    def _end_ring(self) -> None:
        ring, self._ring = self._ring, None
        if ring is not None and isValid(ring):
            ring.hide()
            ring.deleteLater()

    def _stops(self) -> list[tuple[QWidget, QWidget]]:
        """(region, its first control) of the page and of everything around it, row by row."""
        window, page, central = self._window, self._page(), self._window.centralWidget()
        stops: list[tuple[QWidget, QWidget]] = [(page, self._home())]
        if self._canvas is not None and page is self._canvas:
            stops.append((self._canvas.views[0].chip, self._canvas.views[0].chip))
        parts = [part for holder in (window, central) if holder is not None for part in holder.children()]
        around = [part for part in parts if isinstance(part, QWidget) and part not in (central, self._stack)]
        around.sort(key=lambda part: (part.mapToGlobal(QPoint()).y(), part.mapToGlobal(QPoint()).x()))
        for part in around:
            if self._ours(part) and part.isVisible() and not part.visibleRegion().isEmpty():
                control = _first_control(part)
                if control is not None:
                    stops.append((part, control))
        return stops

    def _ours(self, widget: QWidget) -> bool:
        window = widget.window()
        return window is self._window or (isinstance(window, QDockWidget) and window.parent() is self._window)


def is_view(widget: QWidget | None) -> bool:
    """Whether a widget is a view of the picture: views declare which keys they want for themselves."""
    return widget is not None and hasattr(widget, "wants_key")


def _first_control(region: QWidget) -> QWidget | None:
    widget: QWidget | None = region
    while widget is not None:
        ours = widget is region or region.isAncestorOf(widget)
        if ours and widget.isVisible() and widget.isEnabled() and widget.focusPolicy() & Qt.FocusPolicy.TabFocus:
            return widget
        widget = widget.nextInFocusChain()
        if widget is region:
            break
    return None
