"""The notes of the folder: open the place of one, change or delete those of the image in view."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QKeySequence
from PySide6.QtWidgets import QAbstractItemView, QCheckBox, QPushButton, QWidget

from app.controllers.project.reviewing import ListedNote, ReviewController
from app.services.session import Session
from app.text import plural, tr
from app.ui.common.fitted_dialog import FittedDialog
from app.ui.common.list_dialog import fill_table, plain_table
from app.ui.common.panel import toned
from app.ui.common.text_dialog import TextDialog
from app.viewmodels.project.notes import note_row

_TEXT = 2


class NotesDialog(FittedDialog):
    """Stays open beside the picture and follows the image in view.

    Enter opens the place of a note, F2 changes its text and Delete deletes it. Both are undo steps of the image, so it must be in
    view: they open it first where it is not.
    """

    def __init__(self, reviewing: ReviewController, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(tr("Notes"), parent, size=QSize(760, 420))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._reviewing, self._session = reviewing, session
        self._rows: list[ListedNote] = []
        self.count = toned("", tone="muted")
        self.only_here = QCheckBox(tr("This image only"))
        self.only_here.toggled.connect(self._show)
        self.column.addWidget(self.count)
        self.table = plain_table((tr("Image"), tr("Place"), tr("Note"), tr("Written")), wide=_TEXT, row=28)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.itemSelectionChanged.connect(self._check)
        self.table.itemActivated.connect(lambda _item: self._go())
        self.column.addWidget(self.table, 1)
        self.column.addWidget(self.only_here)
        self.go_there = self._button(tr("Open the place"), None, self._go)
        self.change = self._button(tr("Change…"), QKeySequence(Qt.Key.Key_F2), self._change)
        self.delete = self._button(tr("Delete"), QKeySequence(Qt.Key.Key_Delete), self._delete)
        self.buttons.addStretch(1)
        close = QPushButton(tr("Close"))
        close.setAutoDefault(False)
        close.clicked.connect(self.accept)
        self.buttons.addWidget(close)
        reviewing.notesChanged.connect(self._show)
        session.imageChanged.connect(self._show)
        session.projectChanged.connect(self._show)
        self._show()
        self.table.setFocus(Qt.FocusReason.OtherFocusReason)

    def _button(self, text: str, key: QKeySequence | None, act: Callable[[], None]) -> QPushButton:
        button = QPushButton(text)
        button.setAutoDefault(False)
        if key is not None:
            button.setShortcut(key)
            button.setToolTip(key.toString(QKeySequence.SequenceFormat.NativeText))
        button.clicked.connect(act)
        self.buttons.addWidget(button)
        return button

    @property
    def selected(self) -> ListedNote | None:
        """The note of the selected row."""
        row = self.table.currentRow()
        return self._rows[row] if 0 <= row < len(self._rows) else None

    def _show(self, *_what: object) -> None:
        project, image, kept = self._session.project, self._session.image, self.table.currentRow()
        found = self._reviewing.all_notes()
        here = [row for row in found if image is not None and row.image == image.id]
        self._rows = here if self.only_here.isChecked() else found
        names = {} if project is None else {row.image: project.record(row.image).shown for row in self._rows}
        fill_table(self.table, [note_row(names[row.image], row.note) for row in self._rows])
        self.count.setText(
            plural("{n} note", "{n} notes", len(self._rows)) if self._rows else tr("No notes yet. Ctrl+N writes one.")
        )
        if self._rows:
            first = self._rows.index(here[0]) if here and kept < 0 else min(max(kept, 0), len(self._rows) - 1)
            self.table.selectRow(first)
        self._check()

    def _check(self) -> None:
        writable = self._session.project is not None and not self._session.project.read_only
        for button in (self.go_there, self.change, self.delete):
            button.setEnabled(self.selected is not None and (writable or button is self.go_there))

    def _go(self) -> None:
        if self.selected is not None:
            self._reviewing.go_to(self.selected)

    def _in_view(self, listed: ListedNote) -> bool:
        """Whether a note's image is in view; it is opened otherwise."""
        if self._session.image is not None and self._session.image.id == listed.image:
            return True
        self._reviewing.go_to(listed)
        return False

    def _change(self) -> None:
        listed = self.selected
        if listed is None or not self._in_view(listed):
            return
        dialog = TextDialog(
            tr("Change the note"),
            tr("An empty text deletes it."),
            text=listed.note.text,
            go=tr("Change"),
            empty=True,
            parent=self,
        )
        if dialog.exec():
            self._reviewing.change_note(listed.place, dialog.text)

    def _delete(self) -> None:
        listed = self.selected
        if listed is not None and self._in_view(listed):
            self._reviewing.delete_note(listed.place)
