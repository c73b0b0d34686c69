"""Docks that share a place as tabs want different heights: each gets back the ones that it had when it was last in front."""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtCore import QObject, Qt
from PySide6.QtWidgets import QDockWidget, QMainWindow

from app.services.timers import single_shot

#: Heights of one column of docks, top to bottom, by name.
Heights = Mapping[str, int]


class DockHeights(QObject):
    """Shares a column's height out whenever another tab comes to the front.

    Args:
        window: whose docks they are.
        docks: all docks by name.
        wanted: by the tab in front, the heights of the column's rows on the first day.
    """

    def __init__(self, window: QMainWindow, docks: Mapping[str, QDockWidget], wanted: Mapping[str, Heights]) -> None:
        super().__init__(window)
        self._window, self._docks = window, docks
        self._first = {front: dict(heights) for front, heights in wanted.items()}
        self._wanted = {front: dict(heights) for front, heights in wanted.items()}
        self._front = next(iter(wanted))
        self._later = single_shot(self, 0, self.share)  # the layout is still busy with the tabs when it tells of them
        for name in wanted:
            docks[name].visibilityChanged.connect(lambda visible, name=name: self._follow(name, visible))

    def share(self) -> None:
        """Give every row the height that belongs to the tab in front."""
        rows = self._wanted[self._front]
        shown = [name for name in rows if not self._docks[name].isHidden()]
        self._window.resizeDocks(
            [self._docks[name] for name in shown], [rows[name] for name in shown], Qt.Orientation.Vertical
        )  # fmt: skip

    def reset(self) -> None:
        """Forget what a person has dragged."""
        self._wanted = {front: dict(heights) for front, heights in self._first.items()}
        self.share()
        self._later.start()

    def _follow(self, name: str, visible: bool) -> None:
        if not visible or name == self._front or self._docks[name].isFloating():
            return
        left = self._docks[self._front]
        if not self._later.isActive() and not left.isHidden() and not left.isFloating():
            rows = self._wanted[self._front]
            rows.update({row: self._docks[row].height() for row in rows if not self._docks[row].isHidden()})
        self._front = name
        self._later.start()
