"""Before a model learns: what it would learn from, and how."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QColor, QPixmap
from PySide6.QtWidgets import (
    QComboBox,
    QGridLayout,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QWidget,
)

from app.state.corrections import ClassCount, Corrections
from app.text import mark, plural, spaced, tr
from app.ui.common.fitted_dialog import FittedDialog
from app.ui.common.list_dialog import plain_table
from app.ui.common.panel import toned
from app.viewmodels.adapt.learned_view import one_of
from deeplab_core.learning import LearnOptions

_LAYERS = (
    ("decoder", mark("Everything behind the encoder"), mark("The usual choice: learns shapes and classes in seconds")),
    ("classifier", mark("The last layer only"), mark("Most conservative: shifts the balance between classes, little else")),
    ("all", mark("All layers"), mark("For images unlike the training data; takes several times as long")),
)
_STRENGTHS = (
    ("gentle", mark("Gentle"), mark("Your pixels count as much as the model's confident ones")),
    ("normal", mark("Normal"), mark("Each of your pixels counts as three of the model's")),
    ("strong", mark("Strong"), mark("Each of your pixels counts as ten of the model's")),
)
_SWATCH = 12
#: Heights of the table's rows, and of its head with its frame, px.
_ROW, _HEAD = 30, 36


class LearnDialog(FittedDialog):
    """One row for each class that was corrected, and three choices."""

    def __init__(self, corrections: Corrections, model_name: str, parent: QWidget | None = None) -> None:
        classes = corrections.classes()
        super().__init__(tr("Learn from corrections"), parent, size=QSize(560, min(330 + _ROW * len(classes), 600)))
        self._classes = classes
        column = self.column
        self.intro = toned(_intro(corrections, model_name), tone="muted")
        self.intro.setWordWrap(True)
        column.addWidget(self.intro)
        self.table = self._build_table()
        column.addWidget(self.table, 1)
        self.hint = toned(_hint(corrections), tone="warn", size="small")
        self.hint.setWordWrap(True)
        self.hint.setVisible(bool(self.hint.text()))
        column.addWidget(self.hint)
        column.addLayout(self._build_choices())
        self._build_buttons()
        self._check()

    def options(self) -> LearnOptions:
        """What the user chose."""
        return LearnOptions(
            layers=self.layers.currentData(), strength=self.strength.currentData(), new_classes=tuple(self._new_classes())
        )

    # -- building --------------------------------------------------------------------------------------------------------

    def _build_table(self) -> QTableWidget:
        table = plain_table((tr("Class"), tr("Your pixels"), tr("Images")), wide=0, row=_ROW, numbers=(1, 2))
        table.setRowCount(len(self._classes))
        table.setMaximumHeight(_HEAD + _ROW * max(len(self._classes), 1))
        table.setAccessibleName(tr("Corrected classes"))
        for row, count in enumerate(self._classes):
            table.setItem(row, 0, _name_item(count))
            for column, number in ((1, count.pixels), (2, count.images)):
                item = QTableWidgetItem(spaced(number))
                item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                table.setItem(row, column, item)
        table.itemChanged.connect(lambda _item: self._check())
        return table

    def _build_choices(self) -> QGridLayout:
        grid = QGridLayout()
        grid.setHorizontalSpacing(12)
        grid.setVerticalSpacing(8)
        self.layers, self.strength = QComboBox(), QComboBox()
        for row, (text, box, choices, usual) in enumerate(
            ((tr("Layers to train"), self.layers, _LAYERS, 0), (tr("Strength"), self.strength, _STRENGTHS, 1))
        ):
            label = toned(text, tone="muted")
            label.setBuddy(box)
            box.setAccessibleName(text)
            for value, title, tip in choices:
                box.addItem(tr(title), value)
                box.setItemData(box.count() - 1, tr(tip), Qt.ItemDataRole.ToolTipRole)
            box.currentIndexChanged.connect(lambda _place, box=box: box.setToolTip(box.currentData(Qt.ItemDataRole.ToolTipRole)))
            box.setCurrentIndex(usual)
            box.setToolTip(tr(choices[usual][2]))
            grid.addWidget(label, row, 0)
            grid.addWidget(box, row, 1)
        grid.setColumnStretch(1, 1)
        return grid

    def _build_buttons(self) -> None:
        row = self.buttons
        row.addStretch(1)
        cancel = QPushButton(tr("Cancel"))
        cancel.clicked.connect(self.reject)
        self.go = QPushButton(tr("Learn"))
        self.go.setProperty("primary", True)
        self.go.setDefault(True)
        self.go.clicked.connect(self.accept)
        row.addWidget(cancel)
        row.addWidget(self.go)

    # -- following -------------------------------------------------------------------------------------------------------

    def _new_classes(self) -> list[int]:
        return [count.id for row, count in enumerate(self._classes) if not count.taught and self._ticked(row)]

    def _ticked(self, row: int) -> bool:
        item = self.table.item(row, 0)
        return item is not None and item.checkState() is Qt.CheckState.Checked

    def _check(self) -> None:
        possible = bool(self._new_classes()) or any(count.taught for count in self._classes)
        self.go.setEnabled(possible)
        self.go.setToolTip("" if possible else tr("The model has none of these classes. Select one for it to learn."))


def _name_item(count: ClassCount) -> QTableWidgetItem:
    item = QTableWidgetItem(count.name if count.taught else tr("{name} — new to the model", name=count.name))
    swatch = QPixmap(_SWATCH, _SWATCH)
    swatch.fill(QColor(*count.color))
    item.setIcon(swatch)
    if not count.taught:
        item.setFlags(item.flags() | Qt.ItemFlag.ItemIsUserCheckable)
        item.setCheckState(Qt.CheckState.Checked)
        item.setToolTip(
            tr("If selected, the model gets this class, initialised from the class that it predicted for these pixels")
        )
    return item


def _intro(corrections: Corrections, model_name: str) -> str:
    number = len(corrections.images)
    images = plural("the image", "the {n} images", number)
    reviewed = sum(image.reviewed for image in corrections.images)
    sentences = [
        tr(
            "{model_name} learns from your pixels in {images} that you corrected; its confident predictions "
            "elsewhere stay as they are.",
            model_name=model_name,
            images=images,
        )
    ]
    if reviewed:
        sentences.append(tr("Of reviewed images the whole mask counts; of others only what you painted."))
    sentences.append(tr("You can keep working; nothing changes until you accept the result."))
    return " ".join(sentences)


def _hint(corrections: Corrections) -> str:
    parts = []
    if len(corrections.images) == 1:
        parts.append(tr("With a single image, none can be held out to check the result. Use two or more."))
    if corrections.touched > len(corrections.images) + corrections.empty + len(corrections.skipped):
        parts.append(
            tr(
                "{images} of {touched} corrected images are used, sampled evenly.",
                images=len(corrections.images),
                touched=corrections.touched,
            )
        )
    if corrections.skipped:
        name, why = corrections.skipped[0]
        parts.append(tr("Skipped: {names}. {why}", names=one_of(name, len(corrections.skipped)), why=tr(why)))
    return " ".join(parts)
