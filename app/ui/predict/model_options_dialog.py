"""Options of the model in use that its weights do not tell: shown with where each comes from, and set."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QSize
from PySide6.QtWidgets import QCheckBox, QComboBox, QGridLayout, QLineEdit, QPushButton, QWidget

from app.text import plural, tr
from app.ui.common.fitted_dialog import FittedDialog
from app.ui.common.panel import toned
from app.viewmodels.predict.model_options import OptionRow


class ModelOptionsDialog(FittedDialog):
    """One row for each option. What is changed, or ticked as certain, is kept in the card beside the model's file.

    Attributes:
        fields: the editor of each option by its name.
        certain: the tick boxes of options that are guessed.
    """

    def __init__(self, rows: Sequence[OptionRow], parent: QWidget | None = None) -> None:
        super().__init__(tr("Model options"), parent, size=QSize(640, 0))
        self._rows = list(rows)
        self.fields: dict[str, QComboBox | QLineEdit] = {}
        self.certain: dict[str, QCheckBox] = {}
        guessed = sum(row.guessed for row in rows)
        sentences = [tr("A weights file does not fully describe its network.")]
        if guessed:
            sentences.append(
                plural(
                    "{n} of these values is guessed: correct it or confirm it.",
                    "{n} of these values are guessed: correct the wrong ones and confirm the right ones.",
                    guessed,
                )
            )
        sentences.append(tr("Your choices are stored in a card beside the model file."))
        intro = toned(" ".join(sentences), tone="muted")
        intro.setWordWrap(True)
        self.column.addWidget(intro)
        grid = QGridLayout()
        grid.setHorizontalSpacing(16)
        grid.setVerticalSpacing(8)
        grid.setColumnStretch(1, 1)
        for place, row in enumerate(rows):
            label = toned(row.label, tone="muted")
            field = self._field(row)
            label.setBuddy(field)
            field.setAccessibleName(row.label)
            field.setToolTip(row.tip)
            label.setToolTip(row.tip)
            self.fields[row.name] = field
            grid.addWidget(label, place, 0)
            grid.addWidget(field, place, 1)
            grid.addWidget(self._origin(row), place, 2)
        self.column.addLayout(grid)
        self.column.addStretch(1)
        self.buttons.addStretch(1)
        cancel = QPushButton(tr("Cancel"))
        cancel.clicked.connect(self.reject)
        self.go = QPushButton(tr("Use this"))
        self.go.setProperty("primary", True)
        self.go.clicked.connect(self.accept)
        self.buttons.addWidget(cancel)
        self.buttons.addWidget(self.go)
        self._follow()

    def _field(self, row: OptionRow) -> QComboBox | QLineEdit:
        if row.choices:
            box = QComboBox()
            box.addItems(list(row.choices))
            box.setCurrentText(row.value)
            box.currentTextChanged.connect(self._follow)
            return box
        line = QLineEdit(row.value)
        line.setCursorPosition(0)
        line.textChanged.connect(self._follow)
        return line

    def _origin(self, row: OptionRow) -> QWidget:
        if not row.guessed:
            text = tr("set by you") if row.origin in ("you", tr("the card")) else row.origin
            origin = toned(text, tone="muted", size="small")
            origin.setWordWrap(True)  # the name of a file may be long
            return origin
        tick = QCheckBox(tr("guessed; confirm"))
        tick.setAccessibleName(tr("{label}: confirm the guess", label=row.label))
        tick.toggled.connect(self._follow)
        self.certain[row.name] = tick
        return tick

    def options(self) -> dict[str, str]:
        """Options that were changed, or with a confirmed guess, as ``load_model`` takes them."""
        chosen: dict[str, str] = {}
        for row in self._rows:
            field = self.fields[row.name]
            text = (field.currentText() if isinstance(field, QComboBox) else field.text()).strip()
            if text != row.value or (row.name in self.certain and self.certain[row.name].isChecked()):
                chosen[row.name] = text
        return chosen

    def _follow(self) -> None:
        if hasattr(self, "go"):
            self.go.setEnabled(bool(self.options()))
