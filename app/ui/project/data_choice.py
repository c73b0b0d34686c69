"""The foot of the Classes panel: which classes the project has, which ground truth it is measured against, and their source."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from app.text import tr
from app.ui.common.elided_label import ElidedLabel
from app.ui.common.panel import set_tone


class DataChoice(QWidget):
    """A box of catalogs, a button, and a line with the path of the ground truth.

    Signals:
        catalogAsked(str): the user picked a catalog; the box shows the project's until it is taken.
        truthAsked(): the user wants to see or change the ground truth.
    """

    catalogAsked = Signal(str)
    truthAsked = Signal()

    def __init__(self) -> None:
        super().__init__()
        column = QVBoxLayout(self)
        column.setContentsMargins(6, 0, 6, 0)
        column.setSpacing(4)
        row = QHBoxLayout()
        row.setSpacing(6)
        self.catalog = QComboBox()
        self.catalog.setAccessibleName(tr("Classes of the project"))
        self.catalog.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.catalog.setMinimumContentsLength(6)
        self.catalog.activated.connect(self._pick)
        self.button = QPushButton(tr("Ground truth…"))
        self.button.clicked.connect(self.truthAsked)
        row.addWidget(self.catalog, 1)
        row.addWidget(self.button)
        column.addLayout(row)
        self.line = ElidedLabel(Qt.TextElideMode.ElideMiddle)
        self.line.setProperty("textSize", "caption")
        column.addWidget(self.line)
        self._current = 0

    def show_catalogs(self, catalogs: Sequence[tuple[str, str]], current: str, tip: str) -> None:
        """Show (name, title) of the catalogs that can be chosen, and the project's."""
        self.catalog.clear()
        for name, title in catalogs:
            self.catalog.addItem(title.partition(" (")[0], name)  # the box is narrow; the rest is in the tooltip
            self.catalog.setItemData(self.catalog.count() - 1, title, Qt.ItemDataRole.ToolTipRole)
        self._current = max(self.catalog.findData(current), 0)
        self.catalog.setCurrentIndex(self._current)
        self.catalog.setToolTip(tip)

    def show_truth(self, text: str, tip: str, tone: str) -> None:
        """Show where the ground truth is from."""
        self.line.set_text(text)
        self.line.setToolTip(tip)
        self.button.setToolTip(f"{text}\n{tip}".strip())
        self.line.setAccessibleName(tr("Ground truth: {text}", text=text))
        set_tone(self.line, tone)

    def show_line(self, on: bool) -> None:
        """Whether there is room for the line with the path; without it the button's tooltip has it."""
        self.line.setVisible(on)

    def _pick(self, place: int) -> None:
        if place != self._current:
            name = self.catalog.itemData(place)
            self.catalog.setCurrentIndex(self._current)
            self.catalogAsked.emit(name)
