"""The class editor: add, rename, recolour, reorder, merge and delete classes, with what that does to the masks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from PySide6.QtCore import QItemSelectionModel, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QColor, QIcon, QPainter, QPixmap, QShowEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QColorDialog,
    QFileDialog,
    QHBoxLayout,
    QHeaderView,
    QMenu,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QWidget,
)

from app.text import displayed, error_detail, error_title, tr
from app.ui.common.fitted_dialog import FittedDialog
from app.ui.common.panel import set_tone, toned
from app.viewmodels.annotate.class_editor import LIST_FILES, ClassDraft, effect_text, list_filters
from app.viewmodels.annotate.class_rows import key_choices
from deeplab_core.catalogs import DEFAULT_KEYS
from deeplab_core.catalogs.catalog import ClassCatalog, Color
from deeplab_core.catalogs.editing import CatalogEdit
from deeplab_core.errors import AtrousError, CatalogError

_COLOR, _NAME, _KEY, _ID, _LOCKED, _HIDDEN, _OWN = range(7)
#: Side of a swatch, px.
_SWATCH = 16


class ClassEditor(FittedDialog):
    """A table of the classes and the buttons that edit them; nothing changes before Apply.

    Signals:
        decided(ClassDraft): apply its edits, locks, hidden classes and keys.
        countAsked(list): how many pixels do these class ids have? The answer goes to :meth:`show_counts`.
        listAsked(Path, bool): take the classes of a file in and, if the flag is set, no others; answer with :meth:`take` or
            :meth:`refuse`.
        saveAsked(Path, str | None): write the classes of the draft to a file, in a form of ``LIST_FORMATS`` or in our own; answer
            with :meth:`say`, :meth:`refuse`.
    """

    decided = Signal(object)
    countAsked = Signal(list)
    listAsked = Signal(object, bool)
    saveAsked = Signal(object, object)

    def __init__(
        self,
        draft: ClassDraft,
        folder: Path,
        shown: Callable[[ClassCatalog], ClassCatalog],
        parent: QWidget | None = None,
    ) -> None:
        """Show a draft; file dialogs begin in ``folder``, and ``shown`` gives the colours in which classes are shown."""
        super().__init__(tr("Edit classes"), parent, size=QSize(680, 580))
        self.setWindowModality(Qt.WindowModality.WindowModal)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.draft, self._folder, self._colors = draft, folder, shown
        self._counts: Mapping[int, tuple[int, int]] | None = {}
        self._unread = 0
        self._asked: list[int] = []
        self._filling = False
        self.table = QTableWidget(0, 7)
        self.table.setHorizontalHeaderLabels(
            [tr("Shown"), tr("Name"), tr("Key"), tr("Id"), tr("Locked"), tr("Hidden"), tr("In files")]
        )
        for column, tip in (
            (
                _COLOR,
                tr("The colour on the screen. Dark, pale and similar colours are replaced; see Class colours in the settings."),
            ),
            (_OWN, tr("The class's own colour, which exported files have. Double-click to change it.")),
            (_KEY, tr("An assigned key stays with its class. Grey keys are free: they go to the classes of the image in view.")),
            (_LOCKED, tr("No tool, job or import gives a pixel a locked class or takes it from one.")),
            (_HIDDEN, tr("A hidden class is not drawn over the image.")),
        ):
            head = self.table.horizontalHeaderItem(column)
            assert head is not None
            head.setToolTip(tip)
        self.table.verticalHeader().hide()
        self.table.setShowGrid(False)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.setAccessibleName(tr("Classes"))
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(_NAME, QHeaderView.ResizeMode.Stretch)
        header.moveSection(_OWN, _NAME)  # beside the colour that is shown
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        self.table.setMinimumHeight(220)
        self.table.itemChanged.connect(self._edited)
        self.table.itemDoubleClicked.connect(self._double_clicked)
        self.table.itemSelectionChanged.connect(self._enable)
        self.column.addWidget(self.table, 1)
        row = QHBoxLayout()
        row.setSpacing(8)
        self.add = self._button(row, tr("Add"), self._add)
        self.color = self._button(row, tr("Colour…"), self._ask_color)
        self.colors = self._button(row, tr("All colours…"), lambda: self._ask(self.colors, self.colors_menu()))
        self.key = self._button(row, tr("Key…"), lambda: self._ask(self.key, self.key_menu()))
        self.up = self._button(row, tr("Up"), lambda: self._with_selected(lambda number: self.draft.move(number, -1)))
        self.down = self._button(row, tr("Down"), lambda: self._with_selected(lambda number: self.draft.move(number, 1)))
        self.merge = self._button(row, tr("Merge into…"), lambda: self._ask(self.merge, self.merge_menu()))
        self.delete = self._button(row, tr("Delete"), lambda: self._with_selected(self.draft.delete))
        row.addStretch(1)
        self.column.addLayout(row)
        self.effect = toned("", tone="muted")
        self.effect.setWordWrap(True)
        self.effect.setTextFormat(Qt.TextFormat.PlainText)
        self.column.addWidget(self.effect)
        self.undo = QPushButton(tr("Undo"))
        self.undo.setAutoDefault(False)
        self.undo.clicked.connect(self._undo)
        self.buttons.addWidget(self.undo)
        self.take_list = self._button(self.buttons, tr("Import…"), lambda: self._ask(self.take_list, self.list_menu()))
        self.take_list.setToolTip(tr("Take the classes of a file: labelme, CVAT, YOLO, COCO, Label Studio and others"))
        self.save_list = self._button(self.buttons, tr("Export…"), self._ask_save)
        self.save_list.setToolTip(tr("Write these classes to a file for another program"))
        self.buttons.addStretch(1)
        self.apply = self.add_answers(tr("Cancel"), tr("Apply"), self._apply)
        self._fill(0)

    def select(self, class_id: int) -> None:
        """Select a class by its id; nothing happens for an id that is not listed."""
        ids = self.draft.catalog.ids.tolist()
        if class_id in ids:
            self._select_row(ids.index(class_id))

    def show_counts(self, counts: Mapping[int, tuple[int, int]], unread: int) -> None:
        """Show how many (images, pixels) the classes have that :attr:`countAsked` named."""
        self._counts, self._unread = counts, unread
        self._show_effect()

    def take(self, edit: CatalogEdit) -> None:
        """Take in what the classes of a file change."""
        self._try(lambda: self.draft.do(edit), self.table.currentRow())

    def say(self, text: str, tone: str = "muted") -> None:
        """Show a line below the table, until the next edit."""
        set_tone(self.effect, tone)
        self.effect.setText(text)

    def refuse(self, error: AtrousError) -> None:
        """Show why something could not be done."""
        self.say(f"{error_title(error)}. {error_detail(error)}", "bad")

    def showEvent(self, event: QShowEvent) -> None:
        """Bring the selected class into sight as soon as the table has its height."""
        super().showEvent(event)
        QTimer.singleShot(0, self, lambda: self.table.scrollTo(self.table.currentIndex()))

    @property
    def selected(self) -> int | None:
        """Id of the selected class."""
        row = self.table.currentRow()
        return int(self.draft.catalog.ids[row]) if 0 <= row < len(self.draft.catalog) else None

    def _button(self, row: QHBoxLayout, text: str, act: Callable[[], None]) -> QPushButton:
        button = QPushButton(text)
        button.setAutoDefault(False)
        button.clicked.connect(lambda: act())
        row.addWidget(button)
        return button

    def _fill(self, row: int) -> None:
        self._filling = True
        classes, shown = self.draft.catalog.classes, self._colors(self.draft.catalog)
        key_of = {class_id: key for key, class_id in self.draft.all_keys.items()}
        assigned = self.draft.keys.values()
        self.table.setRowCount(len(classes))
        for place, info in enumerate(classes):
            name, number = QTableWidgetItem(info.name), QTableWidgetItem(str(info.id))
            self.table.setItem(place, _COLOR, _swatch(shown.by_id(info.id).color))
            self.table.setItem(place, _OWN, _swatch(info.color))
            number.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable)
            if info.aliases:
                name.setToolTip(tr("Formerly {names}", names=", ".join(info.aliases)))
            key = QTableWidgetItem(key_of.get(info.id, ""))
            key.setTextAlignment(Qt.AlignmentFlag.AlignCenter)
            key.setToolTip(tr("Assigned") if info.id in assigned else tr("Double-click to assign a digit"))
            if info.id not in assigned:
                key.setForeground(self.palette().placeholderText())
            for column, item in ((_NAME, name), (_KEY, key), (_ID, number)):
                self.table.setItem(place, column, item)
            self.table.setItem(place, _LOCKED, _box(tr("{name} is locked", name=info.name), info.id in self.draft.locked))
            self.table.setItem(place, _HIDDEN, _box(tr("{name} is hidden", name=info.name), info.id in self.draft.hidden))
        self._filling = False
        self._select_row(min(max(row, 0), len(classes) - 1))
        self._enable()
        self._show_effect()

    def _select_row(self, row: int) -> None:
        flags = QItemSelectionModel.SelectionFlag.ClearAndSelect | QItemSelectionModel.SelectionFlag.Rows
        self.table.selectionModel().setCurrentIndex(self.table.model().index(row, _NAME), flags)

    def _enable(self) -> None:
        row, count = self.table.currentRow(), len(self.draft.catalog)
        self.color.setEnabled(row >= 0)
        self.key.setEnabled(row >= 0)
        self.up.setEnabled(row > 0)
        self.down.setEnabled(0 <= row < count - 1)
        self.merge.setEnabled(row >= 0 and count > 1)
        self.delete.setEnabled(row >= 0 and count > 1)
        self.undo.setEnabled(self.draft.changed)
        self.apply.setEnabled(self.draft.changed)

    def _show_effect(self) -> None:
        losses = self.draft.losses
        ids = [loss.class_id for loss in losses]
        if ids != self._asked:
            self._asked, self._counts, self._unread = ids, None if ids else {}, 0
            if ids:
                self.countAsked.emit(ids)
        set_tone(self.effect, "warn" if losses else "muted")
        self.effect.setText(effect_text(losses, self._counts, self._unread) if self.draft.edits else "")

    def _try(self, act: Callable[[], object], row: int) -> bool:
        """Do an edit and show its result, or why it was refused; returns whether it was done."""
        try:
            act()
        except CatalogError as error:
            self._fill(row)
            self.refuse(error)
            return False
        self._fill(row)
        return True

    def _with_selected(self, act: Callable[[int], None]) -> None:
        number = self.selected
        if number is None:
            return
        row = self.table.currentRow()
        if self._try(lambda: act(number), row):
            self.select(number)

    def _add(self) -> None:
        names = {name.casefold() for name in self.draft.catalog.names}
        wanted = (tr("new class") if number == 1 else tr("new class {number}", number=number) for number in range(1, 70_000))
        name = next(name for name in wanted if name.casefold() not in names)
        if self._try(lambda: self.draft.add(name), len(self.draft.catalog)):
            item = self.table.item(len(self.draft.catalog) - 1, _NAME)
            assert item is not None
            self.table.setFocus()
            self.table.editItem(item)

    def _edited(self, item: QTableWidgetItem) -> None:
        if self._filling:
            return
        row, number, on = item.row(), int(self.draft.catalog.ids[item.row()]), item.checkState() is Qt.CheckState.Checked
        if item.column() == _NAME:
            self._try(lambda: self.draft.set_name(number, item.text()), row)
        elif item.column() == _KEY:
            self._try(lambda: self.draft.set_key(number, item.text()), row)
        elif item.column() in (_LOCKED, _HIDDEN):
            (self.draft.set_locked if item.column() == _LOCKED else self.draft.set_hidden)(number, on)
            self._enable()
            self._show_effect()

    def _double_clicked(self, item: QTableWidgetItem) -> None:
        if item.column() in (_COLOR, _OWN):
            self._ask_color()

    def _ask_color(self) -> None:
        number = self.selected
        if number is None:
            return
        info = self.draft.catalog.by_id(number)
        color = QColorDialog.getColor(QColor(*info.color), self, tr("Colour of {name}", name=info.name))
        if color.isValid():
            self._with_selected(lambda number: self.draft.recolor(number, (color.red(), color.green(), color.blue())))

    def _ask(self, button: QPushButton, menu: QMenu) -> None:
        """Show a menu below its button."""
        menu.exec(button.mapToGlobal(button.rect().bottomLeft()))
        menu.deleteLater()

    def key_menu(self) -> QMenu:
        """The keys that the selected class can get."""
        menu = QMenu(self)
        owners = {key: self.draft.catalog.by_id(class_id).name for key, class_id in self.draft.keys.items()}
        for key, text in key_choices(DEFAULT_KEYS, owners):
            menu.addAction(text).triggered.connect(lambda _on=False, key=key: self._set_key(key))
        menu.addSeparator()
        free = menu.addAction(tr("No fixed key"))
        free.setEnabled(self.selected in self.draft.keys.values())
        free.triggered.connect(lambda: self._set_key(""))
        return menu

    def _set_key(self, key: str) -> None:
        self._with_selected(lambda number: self.draft.set_key(number, key, take=True))

    def colors_menu(self) -> QMenu:
        """Sets of colours for all classes."""
        menu = QMenu(self)
        for text, color_blind in ((tr("Distinct colours"), False), (tr("Distinct for colour-blind eyes"), True)):
            action = menu.addAction(text)
            action.triggered.connect(lambda _on=False, blind=color_blind: self._recolor_all(color_blind=blind))
        return menu

    def _recolor_all(self, *, color_blind: bool) -> None:
        self._try(lambda: self.draft.recolor_all(color_blind=color_blind), self.table.currentRow())

    def merge_menu(self) -> QMenu:
        """The classes that the selected one can be merged into."""
        menu = QMenu(self)
        number = self.selected
        for info in self.draft.catalog.classes:
            if info.id != number and number is not None:
                action = menu.addAction(info.name)
                action.triggered.connect(lambda _on=False, into=info.id: self._merge(into))
        return menu

    def _merge(self, into: int) -> None:
        number = self.selected
        if number is not None and self._try(lambda: self.draft.merge(number, into), self.table.currentRow()):
            self.select(into)

    def list_menu(self) -> QMenu:
        """What can be made of the classes of a file."""
        menu = QMenu(self)
        for text, only in ((tr("Add the classes of a file…"), False), (tr("Only the classes of a file…"), True)):
            menu.addAction(text).triggered.connect(lambda _on=False, only=only: self._choose_list(only))
        return menu

    def _choose_list(self, only: bool) -> None:
        path, _ = QFileDialog.getOpenFileName(self, tr("File of classes"), str(self._folder), tr(LIST_FILES))
        if path:
            self._folder = Path(path).parent
            self.say(tr("Reading {name}…", name=displayed(Path(path).name)))
            self.listAsked.emit(Path(path), only)

    def _ask_save(self) -> None:
        filters = list_filters()
        text, chosen = QFileDialog.getSaveFileName(self, tr("Export the classes"), str(self._folder), ";;".join(filters))
        if text:
            key, endings = filters.get(chosen, next(iter(filters.values())))
            path = Path(text)
            self._folder = path.parent
            self.saveAsked.emit(path if path.suffix else path.with_suffix(endings[0]), key)

    def _undo(self) -> None:
        row = self.table.currentRow()
        self.draft.undo()
        self._fill(row)

    def _apply(self) -> None:
        if self.draft.changed:
            self.accept()
            self.decided.emit(self.draft)


def _swatch(color: Color) -> QTableWidgetItem:
    """A colour, to be looked at and double-clicked."""
    pixmap, item = QPixmap(_SWATCH, _SWATCH), QTableWidgetItem()
    pixmap.fill(QColor(*color))
    painter = QPainter(pixmap)
    painter.setPen(QColor(128, 128, 128))  # black and white are seen on any ground
    painter.drawRect(0, 0, _SWATCH - 1, _SWATCH - 1)
    painter.end()
    icon = QIcon(pixmap)
    icon.addPixmap(pixmap, QIcon.Mode.Selected)  # a selected row does not tint it
    item.setIcon(icon)
    item.setData(Qt.ItemDataRole.AccessibleTextRole, QColor(*color).name())
    item.setToolTip(tr("{color}. Double-click to change the colour of the class", color=QColor(*color).name()))
    item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable)
    return item


def _box(text: str, on: bool) -> QTableWidgetItem:
    """A box to tick, which a screen reader calls ``text``."""
    item = QTableWidgetItem()
    item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable | Qt.ItemFlag.ItemIsUserCheckable)
    item.setCheckState(Qt.CheckState.Checked if on else Qt.CheckState.Unchecked)
    item.setData(Qt.ItemDataRole.AccessibleTextRole, text)
    return item
