"""What the chosen export format can be told: photographs, shapes, splits, provenance; and what it would lose."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QCheckBox, QComboBox, QFormLayout, QHBoxLayout, QLabel, QLineEdit, QPushButton, QWidget

from app.text import mark, tr
from app.ui.common.number_field import DecimalField, WholeField
from app.ui.common.panel import set_tone, toned
from deeplab_core.masks.export import FORMATS, ExportSetup, parse_class_map

_PICTURES = (("copy", mark("Copy them")), ("link", mark("Link to them")), ("none", mark("Leave them out")))
_SHAPES = (("polygon", mark("Polygons")), ("mask", mark("Masks")))
_UNITS = (("class", mark("One for each class")), ("component", mark("One for each region")))
_GROUPS = (("", mark("Each image for itself")), ("parent", mark("Folders stay together")))


class ExportOptions(QObject):
    """Rows of options in the form of a dialog; those that the format does not have are hidden.

    Args:
        form: gets the rows.

    Signals:
        changed(): an option that decides about files has another value.
        measure(): the user asks what the format would lose.
    """

    changed = Signal()
    measure = Signal()

    def __init__(self, form: QFormLayout, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._format = ""
        self.form = form
        self.about = toned("", tone="muted", size="small")
        self.about.setWordWrap(True)
        self.images, self.shapes, self.unit = (_box(entries) for entries in (_PICTURES, _SHAPES, _UNITS))
        self.tolerance = DecimalField()
        self.tolerance.setRange(0, 100)
        self.tolerance.setDecimals(1)
        self.tolerance.setSuffix(" px")
        self.min_pixels = WholeField()
        self.min_pixels.setRange(0, 1_000_000)
        self.min_pixels.setSuffix(" px")
        self.split = QCheckBox(tr("Share the images out for validation:"))
        self.share = WholeField()
        self.share.setRange(1, 90)
        self.share.setValue(20)
        self.share.setSuffix(" %")
        self.group = _box(_GROUPS)
        splits = _row(self.split, self.share)
        self.tolerance.lineEdit().setTextMargins(8, 0, 8, 0)
        for number in (self.tolerance, self.min_pixels, self.share):
            number.setMaximumWidth(130)
        self.class_map = QLineEdit()
        self.class_map.setPlaceholderText(tr("chair=seat, sofa=seat, plant=void"))
        self.unmatched = QCheckBox(tr("Classes without a partner become void, and are counted"))
        self.provenance = QCheckBox(tr("Also write who set each pixel; an import reads it again"))
        self.count = QPushButton(tr("Count what is lost"))
        self.count.clicked.connect(self.measure)
        self.lost = toned("", tone="muted", size="small")
        self.lost.setWordWrap(True)
        losses = _row(self.count, self.lost)
        self._rows: dict[str, QWidget | QHBoxLayout] = {}
        for name, text, field in (
            ("facts", "", self.about),
            ("images", tr("Photographs"), self.images),
            ("shapes", tr("Shapes"), self.shapes),
            ("unit", tr("Annotations"), self.unit),
            ("tolerance", tr("Tolerance"), self.tolerance),
            ("min_pixels", tr("Leave out under"), self.min_pixels),
            ("split", tr("Splits"), splits),
            ("group", tr("In a split"), self.group),
            ("class_map", tr("Write classes as"), self.class_map),
            ("unmatched_to_void", tr("Other classes"), self.unmatched),
            ("provenance", tr("Provenance"), self.provenance),
            ("lost", "", losses),
        ):
            label = QLabel(text)
            self.form.addRow(label, field)
            self._rows[name] = field
            focus = self.split if name == "split" else self.count if name == "lost" else field
            if isinstance(focus, QWidget):
                label.setBuddy(focus)
                focus.setAccessibleName(text or tr("Count what is lost"))
        self.split.setAccessibleName(self.split.text())
        self.share.setAccessibleName(tr("Share of the images for validation"))
        self.group.setAccessibleName(tr("What stays together in a split"))
        for box in (self.images, self.shapes, self.unit, self.group):
            box.currentIndexChanged.connect(self._change)
        for number in (self.tolerance, self.min_pixels, self.share):
            number.valueChanged.connect(self._change)
        self.class_map.textChanged.connect(self._change)
        for check in (self.split, self.unmatched, self.provenance):
            check.toggled.connect(self._change)

    def set_format(self, name: str) -> None:
        """Show the options of a format, and say what it writes and loses."""
        self._format = name
        entry = FORMATS[name]
        for row, field in self._rows.items():
            shown = (
                row in entry.options
                or row in ("facts", "class_map", "provenance")
                or (row in ("split", "group") and entry.splits)
            )
            self.form.setRowVisible(field, shown or (row == "lost" and (entry.group == "shapes" or bool(entry.loses))))
        loses = tr("Lost: {what}.", what=entry.loses) if entry.loses else tr("Nothing is lost.")
        self.about.setText(
            tr("Writes {files}. Exact pixels: {exact}. {loses}", files=entry.writes, exact=entry.exact, loses=loses)
        )
        self.shapes.setCurrentIndex(self.shapes.findData("mask" if name == "cvat_images" else "polygon"))
        self._change()

    def setup(self) -> ExportSetup:
        """The format with its options. Raises ExportError for classes that are not written as OLD=NEW."""
        known = FORMATS[self._format]
        values: dict[str, Any] = {
            "images": self.images.currentData(),
            "shapes": self.shapes.currentData(),
            "unit": self.unit.currentData(),
            "tolerance": self.tolerance.value(),
            "min_pixels": self.min_pixels.value(),
        }
        share = self.share.value() / 100
        divided = self.split.isChecked() and known.splits
        return ExportSetup(
            format=self._format,
            options={name: value for name, value in values.items() if name in known.options},
            class_map=parse_class_map([part for part in self.class_map.text().split(",") if part.strip()]),
            unmatched_to_void=self.unmatched.isChecked() and "unmatched_to_void" in known.options,
            shares={"train": 1 - share, "val": share} if divided else {},
            group=self.group.currentData(),
        )

    def say_lost(self, text: str, tone: str) -> None:
        """The outcome of counting."""
        set_tone(self.lost, tone)
        self.lost.setText(text)
        self.count.setEnabled(True)

    def _change(self) -> None:
        for field in (self.share, self.group):
            field.setEnabled(self.split.isChecked())
        self.lost.clear()
        self.changed.emit()


def _box(entries: tuple[tuple[str, str], ...]) -> QComboBox:
    box = QComboBox()
    for value, text in entries:
        box.addItem(tr(text), value)
    return box


def _row(*parts: QWidget) -> QHBoxLayout:
    row = QHBoxLayout()
    row.setSpacing(8)
    for part in parts:
        row.addWidget(part, 1 if isinstance(part, QLabel) else 0)
    if not isinstance(parts[-1], QLabel):
        row.addStretch(1)
    return row
