"""Where docks lie and how high they are: one gets what the others leave, tabs that share a place keep heights of their own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from PySide6.QtCore import QChildEvent, QEvent, QObject, Qt, Signal
from PySide6.QtWidgets import QDockWidget, QMainWindow, QTabBar, QTabWidget

from app.actions.context import ContextKeys
from app.services.timers import single_shot
from app.text import tr
from app.ui.common.panel import PADDING, Panel

_COLUMN = ("classes", "model", "crf", "trimap", "history")
#: Docks that share a place as tabs: the one in front at first, and the one behind it.
_TABBED = (("model", "crf"), ("trimap", "history"))
#: Where a column of docks has a width of its own.
_SIDES = (Qt.DockWidgetArea.LeftDockWidgetArea, Qt.DockWidgetArea.RightDockWidgetArea)
#: On a screen too low for three rows (px) all below the classes share one place. On one of 768 px the third row had no room for
#: its curve.
LOW = 740
_TABBED_LOW = (("model", "crf"), ("model", "trimap"), ("model", "history"))
#: The row that gets the rest has at least this height (px), where the others can be lower.
_LEAST_REST = 320
#: Least height in px, share of the column, and most in px, of each row but the one that gets the rest.
Wanted = Mapping[str, tuple[int, float, int]]
#: What the rows want by the tab in front, with three rows and on a low screen with two. The classes get the rest.
HEIGHTS: dict[bool, dict[str, Wanted]] = {
    False: {
        "model": {"model": (104, 0.0, 116), "trimap": (150, 0.24, 240)},
        "crf": {"crf": (222, 0.34, 306), "trimap": (96, 0.2, 200)},
    },
    True: {
        "model": {"model": (104, 0.0, 116)},
        "crf": {"crf": (222, 0.48, 306)},
        "trimap": {"trimap": (196, 0.46, 300)},
        "history": {"history": (150, 0.46, 300)},
    },
}


def place_docks(window: QMainWindow, docks: Mapping[str, QDockWidget], *, low: bool) -> None:
    """Put the docks where they are on the first day: images at the left, a column at the right."""
    left, right = Qt.DockWidgetArea.LeftDockWidgetArea, Qt.DockWidgetArea.RightDockWidgetArea
    for corner, area in (
        (Qt.Corner.TopLeftCorner, left), (Qt.Corner.BottomLeftCorner, left),
        (Qt.Corner.TopRightCorner, right), (Qt.Corner.BottomRightCorner, right),
    ):  # fmt: skip
        window.setCorner(corner, area)
    window.addDockWidget(left, docks["images"])
    for name in _COLUMN:
        window.addDockWidget(right, docks[name])
    window.setTabPosition(right, QTabWidget.TabPosition.North)
    for front, behind in _TABBED_LOW if low else _TABBED:
        window.tabifyDockWidget(docks[front], docks[behind])
    for front in ("model",) if low else ("model", "trimap"):
        docks[front].raise_()


class DockHeights(QObject):
    """Shares a column's height out when another tab comes to the front or the window changes, unless the user has dragged.

    Signals:
        widened(): the user has dragged a line between columns.

    Args:
        window: the owner of the docks.
        docks: all docks by name.
        rest: the row that gets what the others leave.
        wanted: by the tab in front, what the other rows want; the first tab is in front at first.
    """

    widened = Signal()

    def __init__(self, window: QMainWindow, docks: Mapping[str, QDockWidget], rest: str, wanted: Mapping[str, Wanted]) -> None:
        super().__init__(window)
        self._window, self._docks, self._rest, self._wanted = window, docks, rest, wanted
        self._front = next(iter(wanted))
        self._dragged: dict[str, dict[str, int]] = {}
        self._given: dict[str, int] = {}
        self._pressed: dict[str, int] = {}
        self._later = single_shot(self, 0, self.share)  # the layout is still busy with the tabs when it signals them
        window.installEventFilter(self)
        for name in docks:
            docks[name].visibilityChanged.connect(lambda visible, name=name: self._follow(name, visible))

    def share(self) -> None:
        """Give every row the height that belongs to the tab in front."""
        rows = [name for name in (self._rest, *self._wanted[self._front]) if self._shares(name)]
        if self._front in self._dragged:
            heights = [self._dragged[self._front].get(name, self._docks[name].height()) for name in rows]
        else:
            column = sum(self._docks[name].height() for name in rows)
            wants = {name: self._want(name, column) for name in rows if name != self._rest}
            short = _LEAST_REST - column + sum(wants.values())
            for name in reversed(wants):  # in a low column the lowest rows give way first, as far as they can
                given = min(max(short, 0), wants[name] - self._wanted[self._front][name][0])
                wants[name], short = wants[name] - given, short - given
            heights = [wants.get(name, max(column - sum(wants.values()), 1)) for name in rows]
        if rows:
            self._window.resizeDocks([self._docks[name] for name in rows], heights, Qt.Orientation.Vertical)
        self._given = {name: self._docks[name].height() for name in rows}

    def share_later(self) -> None:
        """Share the heights out once the layout has done what it was asked for."""
        self._later.start()

    def reset(self, wanted: Mapping[str, Wanted]) -> None:
        """Forget what the user has dragged; the rows want other heights from now on, if these are others."""
        self._dragged, self._wanted = {}, wanted
        if self._front not in wanted:
            self._front = next(iter(wanted))
        self.share()
        self._later.start()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """The window itself gets the mouse when a line between docks is dragged, and where a panel has no use for a click."""
        if event.type() == QEvent.Type.MouseButtonPress:
            self._pressed = self._dock_widths()
        elif event.type() == QEvent.Type.MouseButtonRelease:
            self._note_drag()
            if self._dock_widths() != self._pressed:
                self.widened.emit()
        elif event.type() in (QEvent.Type.Resize, QEvent.Type.Show):
            self._later.start()
        return super().eventFilter(watched, event)

    def _note_drag(self) -> None:
        now = {name: self._docks[name].height() for name in self._given if self._shares(name)}
        if any(abs(height - self._given[name]) > 1 for name, height in now.items()):
            self._dragged[self._front], self._given = now, now

    def _dock_widths(self) -> dict[str, int]:
        return {name: dock.width() for name, dock in self._docks.items() if dock.isVisible()}

    def _want(self, name: str, column: int) -> int:
        least, share, most = self._wanted[self._front][name]
        return min(max(least, round(column * share)), most)

    def _shares(self, name: str) -> bool:
        """Whether a dock is a row of the column now: shown, not floating, and not behind another tab."""
        dock = self._docks[name]
        return not dock.isHidden() and not dock.isFloating() and (name == self._rest or not dock.visibleRegion().isEmpty())

    def _follow(self, name: str, visible: bool) -> None:
        if not visible or name == self._front or name not in self._wanted or self._docks[name].isFloating():
            return
        self._front = name
        self._later.start()


#: Marks rows of tabs that are followed already.
_FOLLOWED = "followed"


class TabHeaders(QObject):
    """Lets a row of tabs be the header of the panels behind it: their titles are there, and the figures of the one in front."""

    def __init__(self, window: QMainWindow, docks: Mapping[str, Panel]) -> None:
        super().__init__(window)
        self._window, self._docks = window, docks
        self._later = single_shot(self, 0, self.arrange)  # the layout is still busy with the tabs when it signals them
        for dock in docks.values():
            for signal in (dock.visibilityChanged, dock.topLevelChanged, dock.dockLocationChanged):
                signal.connect(self._later.start)
            dock.accessories.installEventFilter(self)
        window.installEventFilter(self)
        self.arrange()

    def arrange(self) -> None:
        """Find out which panels share a place, and show the figures of those in front beside their tabs."""
        for dock in self._docks.values():
            shared = any(not other.isHidden() for other in self._window.tabifiedDockWidgets(dock))
            dock.set_tabbed(shared and not dock.isHidden() and not dock.isFloating())
        for bar in self._tab_bars():
            if not bar.property(_FOLLOWED):
                bar.setProperty(_FOLLOWED, True)
                bar.setAccessibleName(tr("Panels"))
                bar.installEventFilter(self)
                bar.currentChanged.connect(self._later.start)
        self._place()

    def _tab_bars(self) -> list[QTabBar]:
        """Rows of tabs; the layout makes and deletes them as it likes."""
        return self._window.findChildren(QTabBar, options=Qt.FindChildOption.FindDirectChildrenOnly)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if watched is self._window:
            if isinstance(event, QChildEvent) and event.polished() and isinstance(event.child(), QTabBar):
                self._later.start()  # the layout has made another row of tabs
        elif event.type() in (
            QEvent.Type.Resize, QEvent.Type.Move, QEvent.Type.LayoutRequest, QEvent.Type.Show, QEvent.Type.Hide
        ):  # fmt: skip
            self._later.start()
        return super().eventFilter(watched, event)

    def _place(self) -> None:
        for dock in self._docks.values():
            if not dock.tabbed:
                continue
            part, bar = dock.accessories, self._bar_of(dock)
            if part.parentWidget() is not self._window:
                part.setParent(self._window)
            if bar is None:
                part.hide()
                continue
            size, tabs, place = part.sizeHint(), bar.tabRect(bar.count() - 1).right(), bar.geometry()
            fits = tabs + size.width() + 2 * PADDING <= place.width()
            part.setVisible(fits)  # its tooltip and the panel say it, too
            if fits:
                left = place.right() - size.width() - PADDING
                part.setGeometry(left, place.center().y() - size.height() // 2, size.width(), size.height())
                part.raise_()

    def _bar_of(self, dock: QDockWidget) -> QTabBar | None:
        """The row of tabs above a dock in front. Rows that the layout has left behind, with the same tabs, do not count."""
        for bar in self._tab_bars():
            place = bar.geometry()
            above = place.left() == dock.x() and abs(dock.y() - place.bottom()) < place.height()
            if above and bar.isVisible() and bar.tabText(bar.currentIndex()) == dock.windowTitle():
                return bar
        return None


class DockFolding:
    """Which docks are out of sight for a while: all of them folded away, or those that the room in front has no use for."""

    def __init__(self, window: QMainWindow, docks: Mapping[str, QDockWidget], context: ContextKeys) -> None:
        self._window, self._docks, self._context = window, docks, context
        self._folded: list[str] = []
        self._away: list[str] = []
        self._front: dict[str, bool] = {}
        self._widths: dict[str, int] = {}

    def toggle(self, name: str) -> None:
        """Show or hide one dock; one that lies behind another comes to the front."""
        dock = self._docks[name]
        behind = dock.isVisible() and dock.visibleRegion().isEmpty()
        dock.setVisible(behind or not dock.isVisible())
        dock.raise_()
        self._away = [other for other in self._away if other != name]
        self.forget()

    def forget(self, *, away: bool = False) -> None:
        """What was folded is not to come back together; ``away`` says so of what the room has put away, too."""
        self._folded = []
        if away:
            self._away, self._widths = [], {}
        self._context.update(docks_folded=False)

    def toggle_fold(self) -> None:
        """Fold all docks away so that the picture has the window, or bring them back, with the tabs in front that were."""
        if self._folded:
            names, self._folded = self._folded, []
            self._show(names)
        else:
            self._folded = self._hide(self._docks)
        self._context.update(docks_folded=bool(self._folded))

    def put_away(self, names: Iterable[str]) -> None:
        """Hide docks until :meth:`bring_back`; those that float stay where the user has put them."""
        self._away = self._hide(name for name in names if not self._docks[name].isFloating())

    def bring_back(self) -> None:
        """Show what was put away, with the tabs in front that were; while all are folded they wait with the others."""
        names, self._away = self._away, []
        if self._folded:
            self._folded += names
        else:
            self._show(names)

    def keep_widths(self) -> None:
        """Note how wide the columns are before something squeezes them; what is noted stays until it is used or forgotten."""
        if not self._widths:
            self._widths = {name: dock.width() for name, dock in self._columns().items()}

    def restore_widths(self) -> None:
        """Widen the columns that are narrower than was noted, once."""
        widths, self._widths = self._widths, {}
        docks = {name: dock for name, dock in self._columns().items() if dock.width() < widths.get(name, 0)}
        if docks:
            self._window.resizeDocks(list(docks.values()), [widths[name] for name in docks], Qt.Orientation.Horizontal)

    def forget_widths(self) -> None:
        """What was noted is not to come back: the user has dragged a column."""
        self._widths = {}

    def unfold(self) -> None:
        """Show everything that is out of sight for a while: a layout is saved with it."""
        if self._folded:
            self.toggle_fold()
        self.bring_back()

    def _columns(self) -> dict[str, QDockWidget]:
        """One dock for each side of the window that has docks, by name: all docks of a side have one width."""
        found: dict[Qt.DockWidgetArea, str] = {}
        for name, dock in self._docks.items():
            if dock.isVisible() and not dock.isFloating():
                found.setdefault(self._window.dockWidgetArea(dock), name)
        return {name: self._docks[name] for area, name in found.items() if area in _SIDES}

    def _hide(self, names: Iterable[str]) -> list[str]:
        """Hide what is shown; returns it."""
        shown = [name for name in names if self._docks[name].isVisible()]
        if shown:
            self._front |= {name: not dock.visibleRegion().isEmpty() for name, dock in self._docks.items() if dock.isVisible()}
        for name in shown:
            self._docks[name].hide()
        return shown

    def _show(self, names: list[str]) -> None:
        for name in names:
            self._docks[name].show()
        for name, dock in self._docks.items():
            if names and dock.isVisible() and self._front.get(name):
                dock.raise_()
