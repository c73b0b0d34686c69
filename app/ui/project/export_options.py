"""What the chosen export format can be told: photographs, shapes, splits, classes, provenance; and what it would lose."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QToolButton,
    QWidget,
)

from app.text import mark, plural, tr
from app.ui.common.number_field import DecimalField, WholeField
from app.ui.common.panel import set_tone, toned
from app.ui.project.export_classes import CatalogBox, PartnerTable
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.errors import ExportError, message
from deeplab_core.masks.export import FORMATS, ExportSetup, parse_class_map
from deeplab_core.masks.export.splits import parse_lists, parse_shares

_PICTURES = (("copy", mark("Copy them")), ("link", mark("Link to them")), ("none", mark("Leave them out")))
_SHAPES = (("polygon", mark("Polygons")), ("mask", mark("Masks")))
_UNITS = (("class", mark("One for each class")), ("component", mark("One for each region")))
_SPLITS = (("", mark("None")), ("shares", mark("By shares")), ("lists", mark("By lists of images")))
_PATTERN = "pattern"
_GROUPS = (
    ("", mark("Each image for itself")), ("parent", mark("Folders stay together")), (_PATTERN, mark("What a pattern finds")),
)  # fmt: skip
#: Rows below "More options".
_MORE = ("tolerance", "min_pixels", "catalog", "class_map", "partners", "unmatched_to_void", "provenance")


class ExportOptions(QObject):
    """Rows of options in the form of a dialog; those that the format does not have are hidden.

    Args:
        form: gets the rows; those of :meth:`add_more` come later, below rows of others.
        catalogs: the project's classes, then others that files may have.

    Signals:
        changed(): an option that decides about files has another value.
        measure(bool): the user asks what the format would lose, or, with False, stops counting.
        resized(): other rows are shown.
    """

    changed = Signal()
    measure = Signal(bool)
    resized = Signal()

    def __init__(self, form: QFormLayout, catalogs: Sequence[ClassCatalog] = (), parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._format = ""
        self._counting = False
        self._source = catalogs[0] if catalogs else None
        self.form = form
        self._rows: dict[str, QWidget | QHBoxLayout] = {}
        self.about = toned("", tone="muted", size="small")
        self.about.setWordWrap(True)
        self.images, self.shapes, self.unit, self.split = (_box(each) for each in (_PICTURES, _SHAPES, _UNITS, _SPLITS))
        self.shares = QLineEdit("train=80%, val=20%")
        self.shares.setAccessibleName(tr("Shares of the splits"))
        self.lists = QLineEdit()
        self.lists.setPlaceholderText(tr("train=train.txt; val=val.txt"))
        self.lists.setAccessibleName(tr("Lists of the splits"))
        self.choose_lists = QPushButton(tr("Choose…"))
        self.choose_lists.setAutoDefault(False)
        self.choose_lists.clicked.connect(self._choose_lists)
        self.group = _box(_GROUPS)
        self.pattern = QLineEdit()
        self.pattern.setPlaceholderText(tr(r"regular expression, as in ^(.+)_\d+"))
        self.pattern.setAccessibleName(tr("Pattern for the paths of images that stay together"))
        self.seed = WholeField()
        self.seed.setRange(0, 2**31 - 1)
        self.stratified = QCheckBox(tr("Balance the classes"))
        self.stratified.setChecked(True)
        self.count = QPushButton(tr("Count what is lost"))
        self.count.setAutoDefault(False)
        self.count.clicked.connect(lambda: self.measure.emit(not self._counting))
        self.lost = toned("", tone="muted", size="small")
        self.lost.setWordWrap(True)
        for name, text, *parts in (
            ("facts", "", self.about),
            ("images", tr("Image files"), self.images),
            ("shapes", tr("Shapes"), self.shapes),
            ("unit", tr("Annotations"), self.unit),
            ("split", tr("Splits"), self.split, self.shares, self.lists, self.choose_lists),
            ("group", tr("In a split"), self.group, self.pattern),
            ("seed", tr("Seed"), self.seed, self.stratified),
        ):
            self._add(name, text, *parts)
        self._build_more(catalogs[1:])
        for box in (self.images, self.shapes, self.unit, self.split, self.group):
            box.currentIndexChanged.connect(self._change)
        for number in (self.tolerance, self.min_pixels, self.seed):
            number.valueChanged.connect(self._change)
            number.setMaximumWidth(130)
        for line in (self.class_map, self.shares, self.lists, self.pattern):
            line.textChanged.connect(self._change)
        for check in (self.stratified, self.unmatched, self.provenance):
            check.toggled.connect(self._change)

    def _build_more(self, catalogs: Sequence[ClassCatalog]) -> None:
        self.more = QToolButton()
        self.more.setText(tr("More options"))
        self.more.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.more.setArrowType(Qt.ArrowType.RightArrow)
        self.more.setProperty("quiet", True)
        self.more.setCheckable(True)
        self.more.toggled.connect(self._show_more)
        self.tolerance = DecimalField()
        self.tolerance.setRange(0, 100)
        self.tolerance.setDecimals(1)
        self.tolerance.setSuffix(" px")
        self.tolerance.lineEdit().setTextMargins(8, 0, 8, 0)
        self.min_pixels = WholeField()
        self.min_pixels.setRange(0, 1_000_000)
        self.min_pixels.setSuffix(" px")
        self.catalog = CatalogBox(catalogs)
        self.catalog.chosen.connect(self._take_catalog)
        self.class_map = QLineEdit()
        self.class_map.setPlaceholderText(tr("chair=seat, sofa=seat, plant=void"))
        self.partners = PartnerTable()
        self.partners.changed.connect(self._change)
        self.unmatched = QCheckBox(tr("Classes without a partner become void, and are counted"))
        self.provenance = QCheckBox(tr("Also write who set each pixel; an import reads it again"))

    def add_more(self, *others: tuple[str, QWidget]) -> None:
        """Add the button and the rows below it: (label, field) of ``others`` last."""
        self.form.addRow("", self.more)
        for name, text, field in (
            ("tolerance", tr("Tolerance"), self.tolerance),
            ("min_pixels", tr("Leave out under"), self.min_pixels),
            ("catalog", tr("Classes of the files"), self.catalog),
            ("class_map", tr("Write classes as"), self.class_map),
            ("partners", tr("Write classes as"), self.partners),
            ("unmatched_to_void", tr("Other classes"), self.unmatched),
            ("provenance", tr("Provenance"), self.provenance),
            *((f"other {place}", text, field) for place, (text, field) in enumerate(others)),
        ):
            self._add(name, text, field)
        self._add("lost", "", self.count, self.lost)  # of all that is chosen above

    def _add(self, name: str, text: str, focus: QWidget, *others: QWidget) -> None:
        label, field = QLabel(text), _row(focus, *others) if others else focus
        self.form.addRow(label, field)
        self._rows[name] = field
        label.setBuddy(focus)
        if text and not isinstance(focus, QCheckBox):
            focus.setAccessibleName(text)

    def set_format(self, name: str) -> None:
        """Show the options of a format, and say what it writes and loses."""
        self._format = name
        entry = FORMATS[name]
        loses = tr("Lost: {what}.", what=entry.loses) if entry.loses else tr("Nothing is lost.")
        self.about.setText(
            tr("Writes {files}. Exact pixels: {exact}. {loses}", files=entry.writes, exact=entry.exact, loses=loses)
        )
        self.shapes.setCurrentIndex(self.shapes.findData("mask" if name == "cvat_images" else "polygon"))
        self._change()

    def setup(self) -> ExportSetup:
        """The format with its options. Raises ExportError for classes and splits that are not written as they must be."""
        known = FORMATS[self._format]
        values: dict[str, Any] = {
            "images": self.images.currentData(),
            "shapes": self.shapes.currentData(),
            "unit": self.unit.currentData(),
            "tolerance": self.tolerance.value(),
            "min_pixels": self.min_pixels.value(),
        }
        if self.catalog.problem:
            raise self.catalog.problem
        catalog = self.catalog.catalog
        pairs = self.partners.pairs() if catalog is not None else parse_class_map(_parts(self.class_map.text(), ","))
        splits = self._splits
        shares = parse_shares(_parts(self.shares.text(), ",")) if splits == "shares" else {}
        lists = parse_lists(_parts(self.lists.text(), ";")) if splits == "lists" else {}
        if splits and not shares and not lists:
            raise ExportError(
                message("no split is named"),
                remedy=message("Write NAME=SHARE, as in train=0.8 and val=0.2")
                if splits == "shares"
                else message("Write NAME=FILE, as in train=train.txt"),
            )
        group = self.group.currentData() if splits == "shares" else ""
        if group == _PATTERN:
            group = self.pattern.text().strip()
            if not group:
                raise ExportError(message("the pattern is empty"), remedy=message("Write what the paths of a group share"))
        return ExportSetup(
            format=self._format,
            options={name: value for name, value in values.items() if name in known.options},
            class_map=pairs,
            catalog=catalog,
            unmatched_to_void=self.unmatched.isChecked() and ("unmatched_to_void" in known.options or catalog is not None),
            shares=shares,
            lists=lists,
            seed=self.seed.value(),
            group=group,
            stratified=self.stratified.isChecked(),
        )

    def warning(self) -> str:
        """Classes that another catalog has no place for, where they do not become void; empty for none."""
        names = [] if self.unmatched.isChecked() else self.partners.without_partner()
        if not names:
            return ""
        return plural(
            "{n} class has no partner ({names}): images with it are not exported.",
            "{n} classes have no partner ({names}): images with them are not exported.",
            len(names),
            names=", ".join(names[:3]) + (", …" if len(names) > 3 else ""),
        )

    @property
    def _splits(self) -> str:
        return str(self.split.currentData()) if FORMATS[self._format].splits else ""

    def say_counting(self) -> None:
        """Counting has begun; the button stops it."""
        self._counting = True
        self.count.setText(tr("Stop"))
        set_tone(self.lost, "muted")
        self.lost.setText(tr("Counting…"))

    def say_counted(self, done: int, total: int) -> None:
        """How far the counting is."""
        if self._counting:
            self.lost.setText(tr("Counting… {done} of {total}", done=done, total=total))

    def say_lost(self, text: str, tone: str) -> None:
        """The outcome of counting."""
        self._counting = False
        self.count.setText(tr("Count what is lost"))
        set_tone(self.lost, tone)
        self.lost.setText(text)

    def _take_catalog(self) -> None:
        if self._source is not None:
            self.partners.show_classes(self._source, self.catalog.catalog)
        self._change()

    def _choose_lists(self) -> None:
        paths, _ = QFileDialog.getOpenFileNames(
            self.lists, tr("Lists of images, one for each split"), "", tr("Lists (*.txt);;All files (*)")
        )
        if paths:
            self.lists.setText("; ".join(f"{Path(path).stem}={path}" for path in paths))

    def _show_more(self, shown: bool) -> None:
        self.more.setArrowType(Qt.ArrowType.DownArrow if shown else Qt.ArrowType.RightArrow)
        self._show_rows()

    def _show_rows(self) -> None:
        entry, splits, other = FORMATS[self._format], self._splits, self.catalog.catalog is not None
        applies = {
            **{name: name in entry.options for name in ("images", "shapes", "unit", "tolerance", "min_pixels")},
            "split": entry.splits,
            "group": splits == "shares",
            "seed": splits == "shares",
            "lost": entry.group == "shapes" or bool(entry.loses) or other,
            "class_map": not other,
            "partners": other,
            "unmatched_to_void": "unmatched_to_void" in entry.options or other,
        }
        for name, field in self._rows.items():
            below = name in _MORE or name.startswith("other")
            self.form.setRowVisible(field, applies.get(name, True) and (self.more.isChecked() or not below))
        self.shares.setVisible(splits == "shares")
        for part in (self.lists, self.choose_lists):
            part.setVisible(splits == "lists")
        self.pattern.setVisible(splits == "shares" and self.group.currentData() == _PATTERN)
        self.resized.emit()

    def _change(self) -> None:
        if self._counting:
            self.measure.emit(False)
        self.say_lost("", "muted")
        self._show_rows()
        self.changed.emit()


def _parts(text: str, separator: str) -> list[str]:
    return [part.strip() for part in text.split(separator) if part.strip()]


def _box(entries: tuple[tuple[str, str], ...]) -> QComboBox:
    box = QComboBox()
    for value, text in entries:
        box.addItem(tr(text), value)
    return box


def _row(*parts: QWidget) -> QHBoxLayout:
    """Parts side by side; labels and lines of text take the room that is left."""
    row = QHBoxLayout()
    row.setSpacing(8)
    for part in parts:
        row.addWidget(part, 100 if isinstance(part, (QLabel, QLineEdit)) else 0)
    if not isinstance(parts[-1], QLabel):
        row.addStretch(1)
    return row
