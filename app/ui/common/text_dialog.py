"""Asks for one line of text, with earlier texts to choose from; complete by keyboard."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QObject, QSize, Qt
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QLineEdit, QListWidget, QWidget

from app.state.reviews import LONGEST
from app.text import tr
from app.ui.common.fitted_dialog import FittedDialog
from app.ui.common.panel import toned

#: Height of a row of the list in px, and rows that are shown without scrolling.
_ROW, _SHOWN = 26, 6


class TextDialog(FittedDialog):
    """A field, and below it texts that were given before: Down and Up take one of them, Enter accepts.

    Args:
        title, heading: of the window and above the field.
        intro: a sentence about what the text is for.
        text: what the field has first; it is selected.
        offered: earlier texts, newest first.
        go: text of the button that accepts.
        empty: whether an empty text is accepted.
    """

    def __init__(
        self,
        title: str,
        intro: str,
        *,
        text: str = "",
        offered: Sequence[str] = (),
        go: str,
        empty: bool = False,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(title, parent, size=QSize(520, 0))
        self._empty = empty
        about = toned(intro, tone="muted")
        about.setWordWrap(True)
        self.column.addWidget(about)
        self.field = QLineEdit(text)
        self.field.setMaxLength(LONGEST)
        self.field.setAccessibleName(title)
        self.field.selectAll()
        self.field.installEventFilter(self)
        self.column.addWidget(self.field)
        self.offered = QListWidget()
        self.offered.addItems(list(offered))
        self.offered.setAccessibleName(tr("Earlier texts"))
        self.offered.setFixedHeight(_ROW * min(max(len(offered), 1), _SHOWN) + 8)
        self.offered.currentTextChanged.connect(self._take)
        self.offered.itemActivated.connect(lambda _item: self._accept())
        self.offered.setVisible(bool(offered))
        hint = toned(tr("Down and Up take an earlier text."), tone="faint", size="small")
        hint.setVisible(bool(offered))
        self.column.addWidget(hint)
        self.column.addWidget(self.offered)
        self.column.addStretch(1)
        self.buttons.addStretch(1)
        self.go = self.add_answers(tr("Cancel"), go, self._accept)
        self.field.textChanged.connect(self._check)
        self._check()
        self.field.setFocus(Qt.FocusReason.OtherFocusReason)

    @property
    def text(self) -> str:
        """What was written, without space around it."""
        return self.field.text().strip()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Down and Up in the field move through the earlier texts."""
        if watched is self.field and isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
            step = {Qt.Key.Key_Down: 1, Qt.Key.Key_Up: -1}.get(Qt.Key(event.key()), 0)
            if step and self.offered.count():
                row = self.offered.currentRow() + step
                self.offered.setCurrentRow(min(max(row, 0), self.offered.count() - 1))
                return True
        return super().eventFilter(watched, event)

    def _take(self, text: str) -> None:
        self.field.setText(text)

    def _check(self) -> None:
        self.go.setEnabled(self._empty or bool(self.text))

    def _accept(self) -> None:
        if self.go.isEnabled():
            self.accept()
