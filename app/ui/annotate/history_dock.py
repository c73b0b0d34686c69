"""The steps of this image, newest last; a click goes there."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QUndoGroup
from PySide6.QtWidgets import QUndoView

from app.text import share_text, tr
from app.ui.common.panel import Panel, toned


class HistoryDock(Panel):
    """The undo stack of the image in view, as a list of named steps."""

    def __init__(self) -> None:
        super().__init__("history", tr("History"))
        self.note = toned("", tone="faint", size="caption")
        self.header.addWidget(self.note)
        self.view = QUndoView()
        self.view.setEmptyLabel(tr("As opened"))
        self.view.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.view.setAccessibleName(tr("History"))
        self.view.setMinimumHeight(48)
        self.body.addWidget(self.view, 1)
        self.body.setContentsMargins(6, 0, 6, 8)

    def set_group(self, group: QUndoGroup) -> None:
        """Follow the stacks of this group; the active one is shown."""
        self.view.setGroup(group)

    def set_start(self, title: str) -> None:
        """What the list begins with: the first prediction, which undo keeps; empty if none."""
        self.view.setEmptyLabel(title or tr("As opened"))

    def set_changed_share(self, share: float | None) -> None:
        """How much of the image the user painted or reclassified, 0..1."""
        self.note.setText("" if not share else tr("{share} by hand", share=share_text(share)))
