"""The classes of exported files: the project's, or those of another catalog with what each class becomes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QAbstractItemView, QComboBox, QFileDialog, QHeaderView, QTableWidget, QTableWidgetItem, QWidget

from app.text import displayed, tr
from app.viewmodels.annotate.class_editor import LIST_FILES
from deeplab_core.catalogs import get_catalog
from deeplab_core.catalogs.catalog import ClassCatalog, map_catalogs
from deeplab_core.errors import AtrousError
from deeplab_core.masks.export.class_map import VOID

_FILE = "file"
_ROW_HEIGHT = 32


class CatalogBox(QComboBox):
    """The project's classes (None), a known catalog, or one that is read from a file.

    Signals:
        chosen(): another catalog, or a file that is not a class list: then :attr:`problem` tells why and the choice is as before.
    """

    chosen = Signal()

    def __init__(self, catalogs: Sequence[ClassCatalog], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.problem: AtrousError | None = None
        self.addItem(tr("The project's classes"), None)
        for catalog in catalogs:
            self.addItem(displayed(tr(catalog.title)), catalog)
        self.addItem(tr("From a file…"), _FILE)
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self._before = 0
        self.currentIndexChanged.connect(self._choose)

    @property
    def catalog(self) -> ClassCatalog | None:
        """Classes of the files; None for the project's."""
        data = self.currentData()
        return data if isinstance(data, ClassCatalog) else None

    def _choose(self, place: int) -> None:
        self.problem = None
        if self.itemData(place) == _FILE:
            path, _ = QFileDialog.getOpenFileName(self, tr("Classes of the files"), "", tr(LIST_FILES))
            self._show(self._before)
            if path:
                self.read(Path(path))
            return
        self._before = place
        self.chosen.emit()

    def read(self, path: Path) -> None:
        """Take the classes of a file."""
        self.problem = None
        try:
            catalog = get_catalog(path)
        except AtrousError as error:
            self.problem = error
        else:
            place = self.count() - 1
            self.blockSignals(True)
            self.insertItem(place, displayed(tr(catalog.title) or path.name), catalog)
            self.blockSignals(False)
            self._show(place)
            self._before = place
        self.chosen.emit()

    def _show(self, place: int) -> None:
        self.blockSignals(True)
        self.setCurrentIndex(place)
        self.blockSignals(False)


class PartnerTable(QTableWidget):
    """What every class of the project becomes in another catalog; classes of the same name are matched.

    Signals:
        changed(): a class has another partner.
    """

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(0, 2, parent)
        self.setHorizontalHeaderLabels([tr("Class of the project"), tr("Becomes")])
        self.verticalHeader().hide()
        self.setShowGrid(False)
        self.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        header = self.horizontalHeader()
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        header.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        self.setMinimumHeight(5 * _ROW_HEIGHT + 4)
        self.setAccessibleName(tr("Classes"))
        self.boxes: dict[str, QComboBox] = {}
        self._matched: dict[str, str | None] = {}

    def show_classes(self, source: ClassCatalog, target: ClassCatalog | None) -> None:
        """Rows for the project's classes, those without a partner first; none without a target."""
        self.boxes.clear()
        self.setRowCount(0)
        if target is None:
            return
        names = {info.id: info.name for info in target.classes}
        partners = {number: None if other is None else names[other] for number, other in map_catalogs(source, target).pairs}
        self._matched = {info.name: partners[info.id] for info in source.classes}
        self.setRowCount(len(source))
        for row, info in enumerate(sorted(source.classes, key=lambda info: partners[info.id] is not None)):
            self.setItem(row, 0, QTableWidgetItem(displayed(info.name)))
            box = QComboBox()
            box.setAccessibleName(tr("What {name} becomes", name=displayed(info.name)))
            if partners[info.id] is None:
                box.addItem(tr("no partner"), None)
            box.addItem(tr("void (unlabelled)"), VOID)
            for other in target.classes:
                box.addItem(displayed(other.name), other.name)
            box.setCurrentIndex(box.findData(partners[info.id]))
            box.currentIndexChanged.connect(self.changed)
            self.boxes[info.name] = box
            self.setCellWidget(row, 1, box)
            self.setRowHeight(row, _ROW_HEIGHT)

    def pairs(self) -> dict[str, str]:
        """Class of the project -> class of the files or ``"void"``, where it is not the class of the same name."""
        chosen = {name: box.currentData() for name, box in self.boxes.items()}
        return {name: value for name, value in chosen.items() if value is not None and value != self._matched[name]}

    def without_partner(self) -> list[str]:
        """Classes that become nothing."""
        return [name for name, box in self.boxes.items() if box.currentData() is None]
