"""Which classes the project has: every catalog with what it makes of the ground truth, before anything changes."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QTableWidget,
    QTableWidgetItem,
    QWidget,
)

from app.state.class_choice import ClassQuestion
from app.text import mark, plural, tr
from app.ui.common.fitted_dialog import FittedDialog
from app.ui.common.panel import set_tone, toned
from app.viewmodels.project.data_choices import effect_cells, effect_text
from deeplab_core.catalogs.catalog import ClassCatalog

_COLUMNS = (mark("Classes"), mark("Files read"), mark("Void"), mark("Undeclared ids"))


class ClassesDialog(FittedDialog):
    """A table of catalogs; it does not block the window.

    Signals:
        decided(ClassCatalog): take these classes.
        later(): the question is put off.
    """

    decided = Signal(object)
    later = Signal()

    def __init__(
        self, question: ClassQuestion, current: ClassCatalog, wanted: str, *, asked: bool, parent: QWidget | None = None
    ) -> None:
        """Show the catalogs.

        Args:
            question: what each of them makes of the ground truth.
            current: the project's classes.
            wanted: name of the catalog to select.
            asked: the program asks, so that closing the dialog puts the question off.
        """
        heading = tr("Which classes does the ground truth use?") if asked else tr("Classes of the project")
        super().__init__(tr("Classes of the project"), parent, heading=heading, size=QSize(620, 440))
        self.setWindowModality(Qt.WindowModality.WindowModal)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._question, self._current, self._asked = question, current, asked
        column = self.column
        intro = toned(self._intro(), tone="muted")
        intro.setWordWrap(True)
        column.addWidget(intro)
        self.table = QTableWidget(len(question.effects), len(_COLUMNS))
        self.table.setHorizontalHeaderLabels([tr(title) for title in _COLUMNS])
        self.table.verticalHeader().hide()
        self.table.setShowGrid(False)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.setAccessibleName(tr("Classes"))
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        for row, effect in enumerate(question.effects):
            title = tr(effect.catalog.title)
            title = tr("{title} · now", title=title) if effect.catalog.name == current.name else title
            for place, text in enumerate((title, *effect_cells(effect))):
                self.table.setItem(row, place, QTableWidgetItem(text))
        self.table.itemSelectionChanged.connect(self._check)
        self.table.doubleClicked.connect(self._decide)
        column.addWidget(self.table, 1)
        self.note = toned("", tone="muted", size="small")
        self.note.setWordWrap(True)
        self.note.setMinimumHeight(36)
        self.note.setAlignment(Qt.AlignmentFlag.AlignTop)
        column.addWidget(self.note)
        self.buttons.addStretch(1)
        self.go = self.add_answers(tr("Decide later") if asked else tr("Cancel"), tr("Use these classes"), self._decide)
        names = [effect.catalog.name for effect in question.effects]
        self.table.selectRow(names.index(wanted) if wanted in names else 0)
        self._check()

    def select(self, name: str) -> None:
        """Select a catalog by its name."""
        self.table.selectRow([effect.catalog.name for effect in self._question.effects].index(name))

    def reject(self) -> None:
        super().reject()
        if self._asked:
            self.later.emit()

    def _intro(self) -> str:
        effects = self._question.effects
        if not effects or not effects[0].images:
            return tr("There is no ground truth, so no choice can be checked.")
        reason = f"{self._question.reason}. " if self._question.reason else ""
        over = tr(
            "{images} have ground truth; {sampled} of the files were checked.",
            images=plural("{n} image", "{n} images", effects[0].images),
            sampled=effects[0].sampled,
        )
        return f"{reason}{over}"

    def _check(self) -> None:
        row = self.table.currentRow()
        if row < 0:
            self.go.setEnabled(False)
            return
        text, possible = effect_text(self._question.effects[row], self._current, self._question)
        fits = self._question.effects[row].fits and not (self._question.certain and row)
        set_tone(self.note, "muted" if possible and fits else "warn")
        self.note.setText(text)
        self.go.setEnabled(possible)

    def _decide(self) -> None:
        row = self.table.currentRow()
        if row >= 0 and self.go.isEnabled():
            self.accept()
            self.decided.emit(self._question.effects[row].catalog)
