"""Which models take part: a list with check marks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QSignalBlocker, QSize, Qt, Signal
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QListWidget, QListWidgetItem, QWidget

from app.state.comparison import LETTERS, PLACE_TOKENS
from app.text import tr
from app.ui.compare.swatch import swatch
from app.ui.shell.theme import Theme
from app.viewmodels.compare.rows import ModelEntry

_ROW = 26


class CompareChooser(QListWidget):
    """Models that may take part, the chosen ones with the letter of their pane.

    Signals:
        chosen(list of Path): who takes part now, in the order of the panes.
    """

    chosen = Signal(object)

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._entries: tuple[ModelEntry, ...] = ()
        self.setAccessibleName(tr("Models to compare"))
        self.setToolTip(tr("Check two to {most} models", most=len(LETTERS)))
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setIconSize(QSize(10, 10))
        self.itemChanged.connect(self._emit_models)

    def set_theme(self, theme: Theme) -> None:
        self._theme = theme
        self.show_entries(self._entries)

    def show_entries(self, entries: Sequence[ModelEntry]) -> None:
        """Show models with their check marks; emits no signal."""
        self._entries = tuple(entries)
        full = len([entry for entry in entries if entry.letter]) >= len(LETTERS)
        with QSignalBlocker(self):
            self.clear()
            for entry in entries:
                item = QListWidgetItem(f"{entry.letter}  {entry.title}" if entry.letter else entry.title)
                item.setData(Qt.ItemDataRole.UserRole, entry.path)
                flags = Qt.ItemFlag.ItemIsUserCheckable | Qt.ItemFlag.ItemIsSelectable
                if entry.letter or not full:
                    flags |= Qt.ItemFlag.ItemIsEnabled
                item.setFlags(flags)
                item.setCheckState(Qt.CheckState.Checked if entry.letter else Qt.CheckState.Unchecked)
                item.setSizeHint(QSize(0, _ROW))
                if entry.letter:
                    item.setIcon(swatch(self._theme.color(PLACE_TOKENS[LETTERS.index(entry.letter)])))
                if entry.trouble:
                    item.setForeground(QColor(self._theme.color("warn")))
                item.setToolTip("\n".join(part for part in (entry.title, entry.state, str(entry.path)) if part))
                self.addItem(item)

    def _emit_models(self, changed: QListWidgetItem) -> None:
        """A newly checked model goes behind the others; the rest keeps its order."""
        path = Path(changed.data(Qt.ItemDataRole.UserRole))
        order = [entry.path for entry in sorted(self._entries, key=lambda entry: entry.letter) if entry.letter]
        if changed.checkState() == Qt.CheckState.Checked and path not in order:
            order.append(path)
        elif changed.checkState() == Qt.CheckState.Unchecked and path in order:
            order.remove(path)
        self.chosen.emit(order)
