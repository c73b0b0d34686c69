"""The images of the folder: thumbnails, status, score; filter and order."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QModelIndex, QObject, Qt, Signal
from PySide6.QtGui import QActionGroup, QKeyEvent
from PySide6.QtWidgets import QAbstractItemView, QLineEdit, QListView, QMenu, QPushButton, QToolButton, QVBoxLayout, QWidget

from app.text import mark, plural, spaced, tr
from app.ui.common.panel import Panel, toned
from app.ui.project.image_delegate import ImageDelegate
from app.ui.project.image_list_model import SORT_TITLES, ImageListModel, SortBy
from app.ui.shell.theme import Theme

_FILTER_HELP = mark(
    "Words of the path, or: new, predicted, corrected, reviewed, unreviewed, failed, missing, "
    "truth,\nclass:chair, iou<0.5. A leading - means 'not'."
)


class ImagesDock(Panel):
    """List of images.

    Signals:
        chosen(id): the user wants to see this image.
        arranged(): filter or order changed, and with it what 'next' means.
        sortChosen(SortBy): for the settings.
    """

    chosen = Signal(int)
    arranged = Signal()
    sortChosen = Signal(object)

    def __init__(self, model: ImageListModel, theme: Theme) -> None:
        super().__init__("images", tr("Images"))
        self.model = model
        self.order_button = QToolButton()
        self.order_button.setProperty("quiet", True)
        self.order_button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.order_button.setMenu(self._order_menu())
        self.header.addWidget(self.order_button)
        self.filter = QLineEdit()
        self.filter.setPlaceholderText(tr("Filter: name, status…"))
        self.filter.setToolTip(tr(_FILTER_HELP))
        self.filter.setClearButtonEnabled(True)
        self.filter.setAccessibleName(tr("Filter the images"))
        self.filter.textChanged.connect(self._apply_filter)
        self.body.addWidget(self.filter)
        self.view = QListView()
        self.view.setModel(model)
        self.delegate = ImageDelegate(theme)
        self.view.setItemDelegate(self.delegate)
        self.view.setUniformItemSizes(True)
        self.view.setMouseTracking(True)
        self.view.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.view.verticalScrollBar().setSingleStep(28)
        self.view.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.view.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.view.setAccessibleName(tr("Images"))
        self.view.clicked.connect(self._choose)
        self.view.activated.connect(self._choose)
        self.filter.returnPressed.connect(self._open_first)
        self.filter.installEventFilter(self)
        self.body.addWidget(self.view, 1)
        self.nothing = self._build_nothing()
        self.body.addWidget(self.nothing, 1)
        self.nothing.hide()
        self.count = toned("", tone="faint", size="caption")
        self.body.addWidget(self.count)
        self.body.setContentsMargins(12, 2, 6, 8)
        self.setMinimumWidth(150)
        self._show_order()
        model.modelReset.connect(self._show_count)

    def show_current(self, image_id: int | None) -> None:
        """Mark the image in view and bring it into sight."""
        self.delegate.current_id = image_id
        row = None if image_id is None else self.model.row_of(image_id)
        if row is not None:
            index = self.model.index(row)
            if not self.view.viewport().rect().contains(self.view.visualRect(index)):
                self.view.scrollTo(index, QAbstractItemView.ScrollHint.PositionAtCenter)
        self.view.viewport().update()

    def set_theme(self, theme: Theme) -> None:
        self.delegate.theme = theme
        self.view.viewport().update()

    def set_sort(self, order: SortBy) -> None:
        """Order the list; also what the menu calls."""
        self.model.set_sort(order)
        self._show_order()
        self.show_current(self.delegate.current_id)
        self.arranged.emit()
        self.sortChosen.emit(order)

    def _order_menu(self) -> QMenu:
        menu = QMenu(self)
        group = QActionGroup(menu)
        for order, title in SORT_TITLES.items():
            action = menu.addAction(tr(title)[:1].upper() + tr(title)[1:])
            action.setCheckable(True)
            action.setChecked(order is self.model.sort_by)
            action.setData(order)
            group.addAction(action)
        group.triggered.connect(lambda action: self.set_sort(action.data()))
        return menu

    def _show_order(self) -> None:
        self.order_button.setText(tr(SORT_TITLES[self.model.sort_by]))
        for action in self.order_button.menu().actions():
            action.setChecked(action.data() == self.model.sort_by)

    def _apply_filter(self, text: str) -> None:
        self.model.set_filter(text)
        self.show_current(self.delegate.current_id)
        self.arranged.emit()

    def _build_nothing(self) -> QWidget:
        """What is shown instead of the list if the filter matches nothing."""
        box = QWidget()
        column = QVBoxLayout(box)
        column.setContentsMargins(0, 4, 6, 0)
        text = toned(tr("No image matches the filter."), tone="muted", size="small")
        text.setWordWrap(True)
        column.addWidget(text)
        self.clear_filter = QPushButton(tr("Clear filter"))
        self.clear_filter.clicked.connect(self.filter.clear)
        column.addWidget(self.clear_filter, 0, Qt.AlignmentFlag.AlignLeft)
        column.addStretch(1)
        return box

    def _show_count(self) -> None:
        shown = self.model.rowCount()
        nothing = self.model.filtered and not shown
        self.nothing.setVisible(nothing)
        self.view.setVisible(not nothing)
        self.count.setText(
            tr("{shown} shown", shown=spaced(shown)) if self.model.filtered else plural("{n} image", "{n} images", shown)
        )

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Down goes from the filter into the list, to its first match."""
        down = isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress and event.key() == Qt.Key.Key_Down
        if watched is self.filter and down and self.model.rowCount():
            self.view.setCurrentIndex(self.model.index(0))
            self.view.setFocus(Qt.FocusReason.TabFocusReason)
            return True
        return super().eventFilter(watched, event)

    def _open_first(self) -> None:
        if self.filter.text().strip() and self.model.rowCount():
            self._choose(self.model.index(0))

    def _choose(self, index: QModelIndex) -> None:
        self.chosen.emit(self.model.image_row(index).id)
