"""Where docks lie and how high they are: one gets what the others leave, tabs that share a place keep heights of their own."""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtWidgets import QDockWidget, QMainWindow, QTabWidget

from app.services.timers import single_shot

_COLUMN = ("classes", "model", "crf", "trimap", "history")
#: Docks that share a place as tabs: the one in front at first, and the one behind it.
_TABBED = (("model", "crf"), ("trimap", "history"))
#: On a screen too low for three rows (px) all below the classes share one place.
LOW = 600
_TABBED_LOW = (("model", "crf"), ("model", "trimap"), ("model", "history"))
#: Least height in px, share of the column, and most in px, of each row but the one that gets the rest.
Wanted = Mapping[str, tuple[int, float, int]]


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

    Args:
        window: the owner of the docks.
        docks: all docks by name.
        rest: the row that gets what the others leave.
        wanted: by the tab in front, what the other rows want.
    """

    def __init__(self, window: QMainWindow, docks: Mapping[str, QDockWidget], rest: str, wanted: Mapping[str, Wanted]) -> None:
        super().__init__(window)
        self._window, self._docks, self._rest, self._wanted = window, docks, rest, wanted
        self._front = next(iter(wanted))
        self._dragged: dict[str, dict[str, int]] = {}
        self._given: dict[str, int] = {}
        self._later = single_shot(self, 0, self.share)  # the layout is still busy with the tabs when it signals them
        window.installEventFilter(self)
        for name in wanted:
            docks[name].visibilityChanged.connect(lambda visible, name=name: self._follow(name, visible))

    def share(self) -> None:
        """Give every row the height that belongs to the tab in front."""
        rows = [name for name in (self._rest, *self._wanted[self._front]) if self._shares(name)]
        if self._front in self._dragged:
            heights = [self._dragged[self._front].get(name, self._docks[name].height()) for name in rows]
        else:
            column = sum(self._docks[name].height() for name in rows)
            wants = {name: self._want(name, column) for name in rows if name != self._rest}
            heights = [wants.get(name, column - sum(wants.values())) for name in rows]
        if rows:
            self._window.resizeDocks([self._docks[name] for name in rows], heights, Qt.Orientation.Vertical)
        self._given = {name: self._docks[name].height() for name in rows}

    def reset(self) -> None:
        """Forget what the user has dragged."""
        self._dragged = {}
        self.share()
        self._later.start()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """The window itself gets the mouse when a line between docks is dragged."""
        if event.type() == QEvent.Type.MouseButtonRelease:
            self._note_drag()
        elif event.type() in (QEvent.Type.Resize, QEvent.Type.Show):
            self._later.start()
        return super().eventFilter(watched, event)

    def _note_drag(self) -> None:
        now = {name: self._docks[name].height() for name in self._given if self._shares(name)}
        if any(abs(height - self._given[name]) > 1 for name, height in now.items()):
            self._dragged[self._front], self._given = now, now

    def _want(self, name: str, column: int) -> int:
        least, share, most = self._wanted[self._front][name]
        return min(max(least, round(column * share)), most)

    def _shares(self, name: str) -> bool:
        """Whether a dock is a row of the column now: shown, not floating, and not behind another tab."""
        dock = self._docks[name]
        return not dock.isHidden() and not dock.isFloating() and (name == self._rest or not dock.visibleRegion().isEmpty())

    def _follow(self, name: str, visible: bool) -> None:
        if not visible or name == self._front or self._docks[name].isFloating():
            return
        self._front = name
        self._later.start()
