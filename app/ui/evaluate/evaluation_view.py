"""The Evaluation panel, which takes the place of the picture, and the bar over the picture while a list of errors is open."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QIcon, QKeyEvent, QResizeEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QPushButton, QStackedWidget, QTabBar, QVBoxLayout, QWidget

from app.text import spaced, tr
from app.ui.common.elided_label import ElidedLabel
from app.ui.common.panel import toned
from app.ui.shell.action_builder import ActionBuilder
from app.ui.shell.icons import make_icon
from app.ui.shell.theme import Theme
from app.viewmodels.evaluate.error_list import ErrorNavigation
from app.viewmodels.evaluate.rankings import ScopeText
from deeplab_core.catalogs.catalog import ClassCatalog


class ErrorBar(QFrame):
    """Shown only while a list of errors is open.

    Signals:
        closeAsked(): close the list.
    """

    closeAsked = Signal()

    def __init__(self, actions: ActionBuilder, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("errorBar")
        row = QHBoxLayout(self)
        row.setContentsMargins(12, 4, 6, 4)
        row.setSpacing(4)
        self.text = ElidedLabel(Qt.TextElideMode.ElideRight)
        row.addWidget(self.text, 1)
        for action_id in ("inspect.previous", "inspect.next"):
            row.addWidget(actions.tool_button(action_id))
        self.to_list = QPushButton(tr("Back to the list"))
        self.to_list.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.to_list.clicked.connect(actions["inspect.view"].trigger)
        actions["inspect.view"].changed.connect(lambda: self.to_list.setToolTip(actions["inspect.view"].toolTip()))
        row.addWidget(self.to_list)
        self.end = QPushButton(tr("Done"))
        self.end.setProperty("link", True)
        self.end.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.end.clicked.connect(self.closeAsked)
        row.addWidget(self.end)
        self.hide()

    def show_navigation(self, navigation: ErrorNavigation | None, catalog: ClassCatalog | None) -> None:
        """Show the place in the list; None hides the bar."""
        self.setVisible(navigation is not None and catalog is not None)
        if navigation is not None and catalog is not None:
            pixels = spaced(navigation.current.pixels)
            place = tr("{place} of {components}", place=navigation.place + 1, components=len(navigation.components))
            self.text.set_text(
                tr("{title} · {place} · {pixels} px", title=navigation.query.title(catalog), place=place, pixels=pixels)
            )


#: A panel narrower than this shows the tabs and little else beside them, in px.
_NARROW = 600
#: Width of a button with an icon alone, and Qt's largest width, in px.
_ICON_ONLY, _ANY_WIDTH = 36, (1 << 24) - 1


class EvaluationView(QWidget):
    """Pages behind tabs, a line with the scope of the figures, and a button that makes them again.

    A page is any widget (:meth:`add_page`). It may have ``set_theme(theme)``, ``begin()`` (called each time it comes to the
    front) and ``step_back() -> bool`` (Esc: go one step back within the page; False if there is none, then the view closes).

    Signals:
        closeAsked(): Esc: back to the picture.
        refreshAsked(): inspect the folder (again).
        pageShown(str): the page with this title came to the front.
    """

    closeAsked = Signal()
    refreshAsked = Signal()
    pageShown = Signal(str)

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("card")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self._theme = theme
        self._pages: list[tuple[str, QWidget]] = []
        self._lists: list[QWidget] = []
        self.tabs = QTabBar()
        self.tabs.setDrawBase(False)
        self.tabs.setExpanding(False)
        self.tabs.setUsesScrollButtons(False)
        self.tabs.setElideMode(Qt.TextElideMode.ElideRight)
        self.tabs.setAccessibleName(tr("Pages of the Evaluation panel"))
        self.scope = ElidedLabel(Qt.TextElideMode.ElideRight)
        self.scope.setProperty("tone", "muted")
        self.refresh = QPushButton(tr("Refresh"))
        self.refresh.setAccessibleName(tr("Refresh"))
        self.refresh.setToolTip(tr("Compares every mask with its ground truth; unchanged images are not read again"))
        self.hint = toned("")
        self.hint.setWordWrap(True)
        self.hint.hide()
        self.stack = QStackedWidget()
        header = QHBoxLayout()
        header.setSpacing(8)
        header.addWidget(self.tabs)
        header.addWidget(self.scope, 1)
        header.addWidget(self.refresh)
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 8, 12, 12)
        column.setSpacing(8)
        column.addLayout(header)
        column.addWidget(self.hint)
        column.addWidget(self.stack, 1)
        self.tabs.currentChanged.connect(self._show)
        self.tabs.tabBarClicked.connect(lambda place: self.leave_list() if place == self.tabs.currentIndex() else None)
        self.refresh.clicked.connect(self.refreshAsked)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """In a narrow window the tabs come first: all of them are seen."""
        super().resizeEvent(event)
        narrow = self.width() < _NARROW
        if narrow is bool(self.tabs.property("narrow")):
            return
        self.tabs.setProperty("narrow", narrow)
        self.tabs.style().unpolish(self.tabs)
        self.tabs.style().polish(self.tabs)
        self.scope.setVisible(not narrow)
        self.refresh.setProperty("tight", narrow)
        self.refresh.setMaximumWidth(_ICON_ONLY if narrow else _ANY_WIDTH)
        self.refresh.setText("" if narrow else tr("Refresh"))
        self.refresh.setIcon(make_icon("refresh", self._theme) if narrow else QIcon())

    @property
    def titles(self) -> tuple[str, ...]:
        """Titles of the pages, first tab first."""
        return tuple(title for title, _ in self._pages)

    @property
    def page(self) -> QWidget | None:
        """The page in front; None before there is one."""
        return self.stack.currentWidget()

    def add_page(self, title: str, widget: QWidget) -> None:
        """Add a page at the end; ``title`` is its tab."""
        self._pages.append((title, widget))
        self.stack.addWidget(widget)
        _call(widget, "set_theme", self._theme)
        self.tabs.addTab(title)

    def add_list(self, widget: QWidget) -> None:
        """Add what a page leads to; it has no tab and :meth:`step_back` leads to the page again."""
        self._lists.append(widget)
        self.stack.addWidget(widget)
        _call(widget, "set_theme", self._theme)

    def show_list(self, widget: QWidget) -> None:
        """Bring what :meth:`add_list` took to the front."""
        self.stack.setCurrentWidget(widget)

    def leave_list(self) -> bool:
        """Back to the page that led to the list in front; whether there was one."""
        if self.page not in self._lists:
            return False
        self._show(self.tabs.currentIndex())
        return True

    def show_page(self, title: str) -> None:
        """Bring a page to the front. Raises ValueError if no page has this title."""
        self.tabs.setCurrentIndex(self.titles.index(title))

    def show_scope(self, scope: ScopeText) -> None:
        """What the figures are over; a hint gets a line of its own."""
        self.scope.set_text(scope.text)
        self.scope.setToolTip(scope.tip or scope.text)
        self.hint.setText(scope.hint)
        self.hint.setVisible(bool(scope.hint))

    def set_theme(self, theme: Theme) -> None:
        """Dress every page that paints itself."""
        self._theme = theme
        for widget in (*(widget for _, widget in self._pages), *self._lists):
            _call(widget, "set_theme", theme)

    def begin(self) -> None:
        """The view came to the front: the keyboard goes to its page."""
        page = self.page
        if page is not None:
            page.setFocus()
            _call(page, "begin")

    def step_back(self) -> None:
        """One step back within the page, or out of the view."""
        page = self.page
        if page is None or not (_call(page, "step_back") or self.leave_list()):
            self.closeAsked.emit()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape:
            self.step_back()
        else:
            super().keyPressEvent(event)

    def _show(self, place: int) -> None:
        title, widget = self._pages[place]
        self.stack.setCurrentWidget(widget)
        self.pageShown.emit(title)
        if self.isVisible():  # after the page has what it shows: the keyboard goes to a part that is there
            self.begin()


def _call(widget: QWidget, name: str, *values: object) -> object:
    """Call a method that a page may have; None if it has none."""
    method = getattr(widget, name, None)
    return None if method is None else method(*values)
