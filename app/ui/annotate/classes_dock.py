"""The classes: colour, key, share, live IoU; a click selects one, typing finds it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from html import escape

from PySide6.QtCore import QEvent, QModelIndex, QObject, QPoint, Qt, Signal
from PySide6.QtGui import QColor, QKeyEvent, QMouseEvent, QResizeEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QLineEdit,
    QListView,
    QMenu,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from app.actions.table import CLASS_KEYS
from app.text import FIGURES_RULE, percent, points, tr
from app.ui.annotate.class_delegate import LEAST_DELTA, ROW, ClassDelegate
from app.ui.annotate.class_list_model import ClassListModel
from app.ui.common.elided_box import ElidedBox
from app.ui.common.elided_label import ElidedLabel
from app.ui.common.panel import Panel, set_tone, toned
from app.ui.shell.theme import Theme
from app.viewmodels.annotate.class_rows import ClassRow, key_choices


class DataChoice(QWidget):
    """A box of catalogs, a button, and a line with the path of the ground truth.

    Signals:
        catalogAsked(str): the user picked a catalog; the box shows the project's until it is taken.
        truthAsked(): the user wants to see or change the ground truth.
    """

    catalogAsked = Signal(str)
    truthAsked = Signal()

    def __init__(self) -> None:
        super().__init__()
        column = QVBoxLayout(self)
        column.setContentsMargins(6, 0, 6, 0)
        column.setSpacing(4)
        row = QHBoxLayout()
        row.setSpacing(6)
        self.catalog = ElidedBox()
        self.catalog.setAccessibleName(tr("Classes of the project"))
        self.catalog.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.catalog.setMinimumContentsLength(6)
        self.catalog.activated.connect(self._pick)
        self.button = QPushButton(tr("Ground truth…"))
        self.button.clicked.connect(self.truthAsked)
        row.addWidget(self.catalog, 1)
        row.addWidget(self.button)
        column.addLayout(row)
        self.line = ElidedLabel(Qt.TextElideMode.ElideMiddle)
        self.line.setProperty("textSize", "caption")
        column.addWidget(self.line)
        self._current = 0

    def show_catalogs(self, catalogs: Sequence[tuple[str, str]], current: str, tip: str) -> None:
        """Show (name, title) of the catalogs that can be chosen, and the project's."""
        self.catalog.clear()
        for name, title in catalogs:
            self.catalog.addItem(title.partition(" (")[0], name)  # the box is narrow; the rest is in the tooltip
            self.catalog.setItemData(self.catalog.count() - 1, title, Qt.ItemDataRole.ToolTipRole)
        self._current = max(self.catalog.findData(current), 0)
        self.catalog.setCurrentIndex(self._current)
        self.catalog.setToolTip(f"{self.catalog.currentText()}\n{tip}")

    def show_truth(self, text: str, tip: str, tone: str) -> None:
        """Show where the ground truth is from."""
        self.line.set_text(text)
        self.line.setToolTip(tip)
        self.button.setToolTip(f"{text}\n{tip}".strip())
        self.line.setAccessibleName(tr("Ground truth: {text}", text=text))
        set_tone(self.line, tone)

    def share_room(self, room: int) -> int:
        """Show what has room beside the list; box and button are commands too, and the button's tooltip has the path.

        Args:
            room: of the list and this widget together, px.

        Returns:
            What the list keeps.
        """
        row, line = (part.sizeHint().height() for part in (self.button, self.line))
        with_row = room - row >= _ROWS_BEFORE_CHOICE * ROW
        with_line = room - row - line >= _ROWS_FIRST * ROW + _SLACK
        self.catalog.setVisible(with_row)
        self.button.setVisible(with_row)
        self.line.setVisible(with_line)
        self.setVisible(with_row or with_line)  # an empty one would take a gap
        return room - row * with_row - line * with_line

    def _pick(self, place: int) -> None:
        if place != self._current:
            name = self.catalog.itemData(place)
            self.catalog.setCurrentIndex(self._current)
            self.catalogAsked.emit(name)


#: Rows that the list has before the line about the ground truth gets room, and before the rule behind the mean does.
_ROWS_FIRST, _ROWS_BEFORE_RULE = 5, 14
#: Rows that it has before the box of the classes and the button of the ground truth do.
_ROWS_BEFORE_CHOICE = 5
#: Room beyond those rows before the line about the ground truth is shown, px: it has a gap of its own.
_SLACK = 12


class _ClassList(QListView):
    """Shows whole rows only: a part of a row at the lower edge is left out."""

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        room = self.contentsRect().height()
        cut = room % ROW if room < self.model().rowCount() * ROW else 0
        if cut != self.viewportMargins().bottom():
            self.setViewportMargins(0, 0, 0, cut)


class ClassesDock(Panel):
    """List of classes with live figures.

    Signals:
        chosen(class_id), visibilityChosen(class_id, visible), soloChosen(class_id), lockChosen(class_id, locked),
        overChosen(class_id, on): it may be painted over where only some classes may, or no longer.
        colorAsked(class_id): the user wants another colour for a class.
        keyChosen(class_id, key), keyReleased(class_id): a key that stays with a class, or no longer does.
        leftFinder(): the user found a class and wants the keyboard back on the picture.
        editAsked(class_id): the class editor, with this class selected.
        errorsAsked(class_id), figuresAsked(): what is behind the IoU of a class, behind the mean.
    """

    chosen = Signal(int)
    visibilityChosen = Signal(int, bool)
    soloChosen = Signal(int)
    lockChosen = Signal(int, bool)
    overChosen = Signal(int, bool)
    colorAsked = Signal(int)
    keyChosen = Signal(int, str)
    keyReleased = Signal(int)
    leftFinder = Signal()
    editAsked = Signal(int)
    errorsAsked = Signal(int)
    figuresAsked = Signal()

    def __init__(self, theme: Theme) -> None:
        super().__init__("classes", tr("Classes"))
        self.mean = toned(strong=True)
        self.mean.setToolTip(tr("Where the wrong pixels are"))
        self.mean.setCursor(Qt.CursorShape.PointingHandCursor)
        self.mean_delta = toned(tone="good")
        self.header.addWidget(self.mean)
        self.header.addWidget(self.mean_delta)
        self.mean_delta.hide()  # an empty label takes room, too: of a character until its first text, of nothing after it
        self.finder = QLineEdit()
        self.finder.setPlaceholderText(tr("Find a class"))
        self.finder.setClearButtonEnabled(True)
        self.finder.setAccessibleName(tr("Find a class"))
        self.finder.hide()
        for watched in (self.finder, self.mean):
            watched.installEventFilter(self)
        self.body.addWidget(self.finder)
        self._wanted: tuple[int, ...] = ()
        self.model = ClassListModel()
        self.finder.textChanged.connect(self.model.set_text)
        self.view = _ClassList()
        self.view.setModel(self.model)
        self.delegate = ClassDelegate(theme)
        self.view.setItemDelegate(self.delegate)
        self.view.setUniformItemSizes(True)
        self.view.setMouseTracking(True)
        self.view.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.view.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.view.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.view.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.view.setAccessibleName(tr("Classes"))
        self.delegate.clicked.connect(self._click)
        self.view.activated.connect(self._activate)
        self.view.customContextMenuRequested.connect(self._show_menu)
        self.view.setMinimumHeight(2 * ROW)
        self.open_error = toned("", size="small")
        self.open_error.setTextFormat(Qt.TextFormat.RichText)
        self.open_error.setContentsMargins(6, 0, 6, 0)
        self.open_error.hide()
        self.body.addWidget(self.open_error)
        self.body.addWidget(self.view, 1)
        self.note = toned("", tone="faint", size="caption")
        self.note.setWordWrap(True)
        self.note.setContentsMargins(6, 0, 6, 0)
        self.body.addWidget(self.note)
        self.choice = DataChoice()
        self.choice.hide()
        self._has_choice = False
        self.body.addWidget(self.choice)
        self.body.setContentsMargins(6, 0, 6, 8)

    def show_choice(self, on: bool) -> None:
        """Show box and button of classes and ground truth, where there is room for them, or none."""
        self._has_choice = on
        self.choice.setVisible(on)
        self._fit_note()

    def set_rows(self, rows: Sequence[ClassRow]) -> None:
        """Show the classes and their figures."""
        columns = self.delegate.columns
        self.delegate.with_iou = any(row.iou is not None for row in rows)
        self.delegate.with_delta = any(row.delta is not None and abs(row.delta) >= LEAST_DELTA for row in rows)
        self.delegate.measure(rows)
        if self.delegate.columns != columns:
            self.view.viewport().update()
        before, order = self._place(), [row.class_id for row in self.model.rows]
        self.model.set_rows(rows)
        if self._wanted and [row.class_id for row in rows] != order:
            self.show_classes(self._wanted)
        elif self._place() != before:
            self._show_selected(from_top=True)  # where it went; the user's own scrolling is left alone otherwise

    def set_mean(self, iou: float | None, delta: float | None, note: str) -> None:
        """Show the image's mIoU, its change since opening and the rule behind it."""
        self.mean.setText("" if iou is None else tr("mIoU {iou}", iou=percent(iou)))
        shown = delta is not None and abs(delta) >= LEAST_DELTA
        self.mean_delta.setText(points(delta) if shown and delta is not None else "")
        self.mean_delta.setVisible(shown)
        set_tone(self.mean_delta, "bad" if delta is not None and delta < 0 else "good")
        self.note.setText(note)
        lead = tr("{note}\nClick to see where the wrong pixels are", note=note) if note else tr("Where the wrong pixels are")
        self.mean.setToolTip(f"{lead}\n{tr(FIGURES_RULE)}.")
        self._fit_note()

    def show_current(self, class_id: int | None) -> None:
        """Mark the selected class."""
        if class_id == self.delegate.current_id:
            return
        self.delegate.current_id = class_id
        self._show_selected()
        self.view.viewport().update()

    def show_classes(self, class_ids: tuple[int, ...]) -> None:
        """Bring classes into sight, the first of them for certain; they stay in sight when the list is sorted again.

        If they do not all fit, a line above the list names them.

        Args:
            class_ids: those of the error that is open; empty: none is.
        """
        self._wanted = class_ids
        self.open_error.hide()
        self.body.activate()
        places = [place for class_id in class_ids if (place := self.model.place_of(class_id)) is not None]
        self._scroll_to(places)
        room = self.view.viewport().rect()
        if all(room.contains(self.view.visualRect(self.model.index(place))) for place in places):
            return
        rows = [self.model.class_row(self.model.index(place)) for place in places]  # they do not fit: a line names them
        names = [f'<span style="color: {QColor(*row.color).name()}">■</span> {escape(row.name)}' for row in rows]
        self.open_error.setText(" → ".join(names))
        self.open_error.setToolTip(tr("Classes of the open error: of the ground truth, then predicted"))
        self.open_error.show()
        self.body.activate()
        self._scroll_to(places)

    def _scroll_to(self, places: Sequence[int]) -> None:
        for place in reversed(places):  # the first comes last: it is in sight for certain
            self.view.scrollTo(self.model.index(place))

    def _show_selected(self, *, from_top: bool = False) -> None:
        """Bring the selected class into sight; ``from_top`` begins with the classes that are present, if it is among them."""
        place = self._place()
        if place is None:
            return
        if from_top and (place + 1) * ROW <= self.view.viewport().height():
            self.view.scrollToTop()
        self.view.scrollTo(self.model.index(place))

    def _place(self) -> int | None:
        """Row of the selected class; None while it is not listed."""
        return None if self.delegate.current_id is None else self.model.place_of(self.delegate.current_id)

    def set_theme(self, theme: Theme) -> None:
        self.delegate.theme = theme
        self.view.viewport().update()

    def open_finder(self) -> None:
        """Open the finder: type, then Enter selects the first match, Esc goes back."""
        self.finder.show()
        self.finder.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self.finder.selectAll()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit_note()
        self._show_selected(from_top=True)

    def _fit_note(self) -> None:
        """In a low panel the rows of the list come first; the rule behind the mean is in its tooltip then."""
        frame = self.widget()
        shown = [part for part in (self.finder, self.open_error) if not part.isHidden()]
        gaps = self.body.spacing() * (len(shown) + 2) + self.body.contentsMargins().top() + self.body.contentsMargins().bottom()
        left = frame.height() - sum(part.sizeHint().height() for part in shown) - gaps
        if self._has_choice:
            left = self.choice.share_room(left)
        lines = self.note.heightForWidth(max(frame.width() - 12, 1))
        self.note.setVisible(bool(self.note.text()) and left - lines >= _ROWS_BEFORE_RULE * ROW)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if watched is self.mean and isinstance(event, QMouseEvent) and event.type() == QEvent.Type.MouseButtonRelease:
            if event.button() is Qt.MouseButton.LeftButton:
                self.figuresAsked.emit()
            return True
        if watched is self.finder and isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
            if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
                if self.model.rowCount():
                    self.chosen.emit(self.model.class_row(self.model.index(0)).class_id)
                self._leave_finder()
                return True
            if event.key() == Qt.Key.Key_Down and self.model.rowCount():
                self.view.setCurrentIndex(self.model.index(0))
                self.view.setFocus(Qt.FocusReason.TabFocusReason)
                return True
            if event.key() == Qt.Key.Key_Escape:
                self._leave_finder()
                return True
        return super().eventFilter(watched, event)

    def _leave_finder(self) -> None:
        self.finder.clear()
        self.finder.hide()
        self.leftFinder.emit()

    def _activate(self, index: QModelIndex) -> None:
        """Enter on a class in the list."""
        self.chosen.emit(self.model.class_row(index).class_id)
        if self.finder.isVisible():
            self._leave_finder()

    def _click(self, place: int, part: str) -> None:
        row = self.model.class_row(self.model.index(place))
        if part == "eye":
            self.visibilityChosen.emit(row.class_id, not row.visible)
        elif part == "iou":
            self.errorsAsked.emit(row.class_id)
        else:
            self.chosen.emit(row.class_id)

    def _show_menu(self, point: QPoint) -> None:
        index = self.view.indexAt(point)
        if not index.isValid():
            return
        menu = self.class_menu(self.model.class_row(index))
        menu.exec(self.view.viewport().mapToGlobal(point))
        menu.deleteLater()

    def class_menu(self, row: ClassRow) -> QMenu:
        """What can be done with a class."""
        menu = QMenu(self)
        menu.addAction(tr("Select"), lambda: self.chosen.emit(row.class_id))
        menu.addAction(
            tr("Hide") if row.visible else tr("Show"), lambda: self.visibilityChosen.emit(row.class_id, not row.visible)
        )
        menu.addAction(tr("Show only this class"), lambda: self.soloChosen.emit(row.class_id))
        lock = menu.addAction(
            tr("Unlock") if row.locked else tr("Lock"), lambda: self.lockChosen.emit(row.class_id, not row.locked)
        )
        lock.setEnabled(not row.void)
        over = menu.addAction(tr("Paint only over this class"), lambda: self.overChosen.emit(row.class_id, not row.over))
        over.setCheckable(True)
        over.setChecked(row.over)
        menu.addAction(tr("Show errors"), lambda: self.errorsAsked.emit(row.class_id)).setEnabled(row.iou is not None)
        menu.addSeparator()
        menu.addAction(tr("Change colour…"), lambda: self.colorAsked.emit(row.class_id)).setEnabled(not row.void)
        menu.addAction(tr("Edit classes…"), lambda: self.editAsked.emit(row.class_id))
        keys = menu.addMenu(tr("Assign key"))
        keys.setEnabled(not row.void)
        for key, text in key_choices(CLASS_KEYS, {other.key: other.name for other in self.model.rows if other.fixed_key}):
            keys.addAction(text, partial(self.keyChosen.emit, row.class_id, key))
        keys.addSeparator()
        keys.addAction(tr("No fixed key"), lambda: self.keyReleased.emit(row.class_id)).setEnabled(row.fixed_key)
        return menu
