"""Project class for each class of the model. A class without a match becomes void only if the user chooses so."""

from __future__ import annotations

from PySide6.QtCore import QSize
from PySide6.QtWidgets import (
    QComboBox,
    QHeaderView,
    QPushButton,
    QTableWidgetItem,
    QWidget,
)

from app.text import plural, tr
from app.ui.common.fitted_dialog import FittedDialog
from app.ui.common.list_dialog import plain_table
from app.ui.common.panel import toned
from deeplab_core.catalogs.catalog import CatalogMapping, ClassCatalog

_UNDECIDED = "?"


class MappingDialog(FittedDialog):
    """One row for each class of the model.

    Attributes:
        adopt: the user wants the model's classes for the whole project instead.
    """

    def __init__(
        self, source: ClassCatalog, target: ClassCatalog, mapping: CatalogMapping, may_adopt: bool, parent: QWidget | None = None
    ) -> None:
        super().__init__(tr("Classes of the model"), parent, size=QSize(640, 560))
        self.adopt = False
        self._source, self._unmatched = source, set(mapping.unmatched)
        column = self.column
        text = tr(
            "The model predicts {theirs}, the project uses {ours}. Classes with the same name are matched.",
            theirs=tr(source.title),
            ours=tr(target.title),
        )
        if mapping.unmatched:
            unmatched = len(mapping.unmatched)
            more = plural("{n} has no match: choose a class, or void.", "{n} have no match: choose a class, or void.", unmatched)
            text = f"{text} {more}"
        intro = toned(text, tone="muted")
        intro.setWordWrap(True)
        column.addWidget(intro)
        self.table = plain_table((tr("Model"), tr("Project")), wide=1, row=36)
        self.table.setRowCount(len(source))
        self.table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        self.boxes: dict[int, QComboBox] = {}
        order = sorted(source.classes, key=lambda info: info.name not in self._unmatched)
        partners = dict(mapping.pairs)
        for row, info in enumerate(order):
            self.table.setItem(row, 0, QTableWidgetItem(info.name))
            box = QComboBox()
            if info.name in self._unmatched:
                box.addItem(tr("choose…"), _UNDECIDED)
            box.addItem(tr("void (unlabelled)"), None)
            for other in target.classes:
                box.addItem(other.name, other.id)
            wanted = _UNDECIDED if info.name in self._unmatched else partners[info.id]
            box.setCurrentIndex(next((i for i in range(box.count()) if box.itemData(i) == wanted), 0))
            box.currentIndexChanged.connect(self._check)
            self.boxes[info.id] = box
            self.table.setCellWidget(row, 1, box)
        column.addWidget(self.table, 1)
        buttons = self.buttons
        self.void_rest = QPushButton(tr("Void for the rest"))
        self.void_rest.clicked.connect(self._void_rest)
        buttons.addWidget(self.void_rest)
        if may_adopt:
            self.adopt_button = QPushButton(tr("Use the model's classes for the project"))
            self.adopt_button.clicked.connect(self._adopt)
            buttons.addWidget(self.adopt_button)
        buttons.addStretch(1)
        cancel = QPushButton(tr("Cancel"))
        cancel.clicked.connect(self.reject)
        self.go = QPushButton(tr("Use this"))
        self.go.setProperty("primary", True)
        self.go.clicked.connect(self.accept)
        buttons.addWidget(cancel)
        buttons.addWidget(self.go)
        self._check()

    def overrides(self) -> dict[int, int | None]:
        """Model class id -> project class id, or None for void: the rows that differ from matching by name."""
        return {class_id: box.currentData() for class_id, box in self.boxes.items()}

    def _undecided(self) -> list[QComboBox]:
        return [box for box in self.boxes.values() if box.currentData() == _UNDECIDED]

    def _check(self) -> None:
        left = len(self._undecided())
        self.go.setEnabled(not left)
        self.go.setToolTip(tr("{left} still unmatched", left=plural("{n} class", "{n} classes", left)) if left else "")
        self.void_rest.setVisible(bool(left))

    def _void_rest(self) -> None:
        for box in self._undecided():
            box.setCurrentIndex(box.findText(tr("void (unlabelled)")))

    def _adopt(self) -> None:
        self.adopt = True
        self.accept()
