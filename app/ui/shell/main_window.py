"""The window: bars, docks and the place for the picture. Commands are in ``window_commands``, data comes by presenters."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QByteArray, QSettings, QSize, Qt, Signal
from PySide6.QtGui import (
    QAction,
    QCloseEvent,
    QDragEnterEvent,
    QDropEvent,
    QGuiApplication,
    QKeySequence,
    QShowEvent,
)
from PySide6.QtWidgets import QMainWindow, QMenu, QStackedWidget, QStatusBar, QVBoxLayout, QWidget

from app.actions.context import ContextKeys
from app.actions.keymap import Keymap
from app.actions.spec import Group
from app.services.notifications import Notifier
from app.text import tr
from app.ui.annotate.classes_dock import ClassesDock
from app.ui.annotate.history_dock import HistoryDock
from app.ui.common.fitted_dialog import bring_into_screen, screen_room
from app.ui.common.panel import Panel
from app.ui.evaluate.trimap_dock import TrimapDock
from app.ui.predict.model_dock import ModelDock
from app.ui.project.image_list_model import ImageListModel
from app.ui.project.images_dock import ImagesDock
from app.ui.project.start_page import StartPage
from app.ui.refine.crf_dock import CRFDock
from app.ui.shell.action_builder import ActionBuilder
from app.ui.shell.dock_layout import HEIGHTS, LOW, DockFolding, DockHeights, TabHeaders, place_docks
from app.ui.shell.focus import PictureFocus, is_view
from app.ui.shell.icons import application_icon
from app.ui.shell.key_router import InputFilter
from app.ui.shell.rooms import Rooms
from app.ui.shell.status_line import BAR_HEIGHT, StatusLine
from app.ui.shell.theme import Theme
from app.ui.shell.toasts import Banner, ToastStack
from app.ui.shell.top_bar import TopBar

if TYPE_CHECKING:  # numpy comes after the first frame
    from app.ui.canvas.canvas_area import CanvasArea

DEFAULT_SIZE = QSize(1600, 1000)
_SMALLEST = QSize(720, 400)
#: A window that needs more than this share of the screen's width or height is maximised.
_NEARLY_ALL = 0.92
#: Widths of the left and right docks where the window has room for them, and in a narrower one: the picture keeps its 55 %.
_WIDTHS, _NARROW = {True: (196, 332), False: (160, 304)}, 1400
#: Of layouts with three rows and with two: one is no use on a screen of the other kind.
_LAYOUT_VERSIONS = {False: 4, True: 5}


class _Pages(QStackedWidget):
    """Takes the room that the page in front needs; Qt's own takes what its largest page needs, shown or not."""

    def __init__(self) -> None:
        super().__init__()
        self.currentChanged.connect(self.updateGeometry)

    def minimumSizeHint(self) -> QSize:
        page = self.currentWidget()
        return super().minimumSizeHint() if page is None else page.minimumSizeHint().expandedTo(page.minimumSize())


class MainWindow(QMainWindow):
    """The shell. It can be shown before anything behind it exists.

    Signals:
        dropped(Path): a folder or file was dropped on the window.
        closing(QCloseEvent): the window is about to close; ignore the event to keep it open.
        used(): the user has pressed a key or a button, or moved the pointer.
        heldKey(action id, bool): the key of a held command went down or up.
        keyboardLearned(dict): what is known of the user's keyboard, as in ``Keymap.printed``.
        themed(Theme): another theme is on.
    """

    dropped = Signal(object)
    closing = Signal(object)
    used = Signal()
    heldKey = Signal(str, bool)
    keyboardLearned = Signal(object)
    themed = Signal(object)

    def __init__(self, theme: Theme, context: ContextKeys, keymap: Keymap, notifier: Notifier, images: ImageListModel) -> None:
        super().__init__()
        self.theme, self.context = theme, context
        self.setObjectName("mainWindow")
        self.setWindowTitle("Atrous")
        self.setWindowIcon(application_icon())
        self.setMinimumSize(_SMALLEST)
        self.setAcceptDrops(True)
        self.setDockNestingEnabled(True)
        self.setContentsMargins(8, 0, 8, 0)
        self.commands = ActionBuilder(self, context, keymap, theme)
        self.top_bar = TopBar(self.commands, theme)
        self.setMenuWidget(self.top_bar)
        self.main_menu = self._build_menu()
        self.top_bar.menu_button.setMenu(self.main_menu)
        self.start_page = StartPage(theme)
        self.banner = Banner()
        self.stack = _Pages()
        self.stack.addWidget(self.start_page)
        central = QWidget()
        central.setObjectName("central")
        self._column = QVBoxLayout(central)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(8)
        self._column.addWidget(self.banner)
        self._column.addWidget(self.stack, 1)
        self.setCentralWidget(central)
        self.images = ImagesDock(images, theme)
        self.classes = ClassesDock(theme)
        self.model = ModelDock()
        self.crf = CRFDock(theme, self.commands)
        self.trimap = TrimapDock(theme)
        self.history = HistoryDock()
        self.docks: dict[str, Panel] = {
            "images": self.images, "classes": self.classes, "model": self.model, "crf": self.crf, "trimap": self.trimap,
            "history": self.history,
        }  # fmt: skip
        self.folding = DockFolding(self, self.docks, context)
        self._low = screen_room(self).height() < LOW
        self.canvas: CanvasArea | None = None
        self._instead: QWidget | None = None
        place_docks(self, self.docks, low=self._low)
        self._headers = TabHeaders(self, self.docks)
        self.heights = DockHeights(self, self.docks, "classes", HEIGHTS[self._low])
        self.heights.widened.connect(self.folding.forget_widths)
        self.rooms = Rooms(self, self.top_bar.rooms, self.commands, context, self.folding)
        self.rooms.entered.connect(self.top_bar.show_room)
        self.rooms.entered.connect(lambda _room: self.heights.share_later())
        self.status = StatusLine(theme)
        bar = QStatusBar()
        bar.setSizeGripEnabled(False)
        bar.setFixedHeight(BAR_HEIGHT)
        bar.addWidget(self.status, 1)
        self.setStatusBar(bar)
        self.toasts = ToastStack(central, notifier, theme)
        for name, dock in self.docks.items():
            dock.visibilityChanged.connect(lambda _visible, name=name: self._update_dock_key(name))
        self.focus = PictureFocus(self, self.stack)
        self._input = InputFilter(self, self.commands, self.focus)
        self._input.used.connect(self.used)
        self._input.router.held.connect(self.heldKey)
        self._input.router.learned.connect(self.keyboardLearned)
        self.set_theme(theme)

    # -- looks -----------------------------------------------------------------------------------------------------------

    def set_theme(self, theme: Theme) -> None:
        """Colour everything that paints itself; the style sheet is the application's."""
        if theme is not self.theme:
            self.theme = theme
            self.commands.set_theme(theme)
        for part in (self.images, self.classes, self.model, self.crf, self.trimap, self.status, self.top_bar):
            part.set_theme(theme)
        self.toasts.theme = theme
        self.context.update(theme_dark=theme.name == "dark")
        self.themed.emit(theme)

    def show_canvas(self, canvas: CanvasArea, *, front: bool = True) -> None:
        """Put the picture where the start page was; with another page in front only if ``front``."""
        self.canvas, self._instead = canvas, None
        self.focus.take_canvas(canvas)
        if front:
            self.show_page(canvas)

    def add_bar(self, bar: QWidget) -> None:
        """Put a bar between the banner and the picture."""
        self._column.insertWidget(1, bar)

    def show_instead(self, page: QWidget) -> None:
        """Put a page where the picture is, until there is a picture again."""
        self._instead = page
        self.show_page(page)

    def show_picture(self) -> None:
        """Back from another page to the picture, with the keyboard; without one, to the start page."""
        self.stack.setCurrentWidget(self._instead or self.canvas or self.start_page)
        if self.canvas is not None and self._instead is None:
            self.focus.give_back()

    def show_page(self, page: QWidget) -> None:
        """Bring a page to the centre of the window."""
        self.folding.keep_widths()
        if self.stack.indexOf(page) < 0:
            self.stack.addWidget(page)
        self.stack.setCurrentWidget(page)

    def show_start(self) -> None:
        self._instead = None
        self.stack.setCurrentWidget(self.start_page)

    # -- docks -----------------------------------------------------------------------------------------------------------

    def toggle_dock(self, name: str) -> None:
        """Show or hide one dock; one that lies behind another comes to the front."""
        self.folding.toggle(name)

    def toggle_fold(self) -> None:
        """Fold all docks away so that the picture has the window, or bring them back."""
        self.folding.toggle_fold()

    def reset_layout(self) -> None:
        """Put the docks back where they were on the first day."""
        self.folding.forget(away=True)
        place_docks(self, self.docks, low=self._low)
        for dock in self.docks.values():
            dock.setFloating(False)
            dock.show()
        self._share_space()

    def _share_space(self) -> None:
        self.resizeDocks([self.images, self.classes], _WIDTHS[self.width() >= _NARROW], Qt.Orientation.Horizontal)
        self.heights.reset(HEIGHTS[self._low])

    def _update_dock_key(self, name: str) -> None:
        self.context.update(**{f"dock_{name}": not self.docks[name].isHidden()})

    # -- geometry --------------------------------------------------------------------------------------------------------

    def restore_layout(self, store: QSettings) -> None:
        """Take size, place and docks of last time; what the screen has no room for is given up, and a screen that is gone."""
        geometry, state = store.value("geometry"), store.value("docks")
        restored = isinstance(geometry, QByteArray) and self.restoreGeometry(geometry)
        visible = any(screen.availableGeometry().intersects(self.frameGeometry()) for screen in QGuiApplication.screens())
        restored = restored and visible
        room = screen_room(self)
        if not (isinstance(state, QByteArray) and self.restoreState(state, _LAYOUT_VERSIONS[self._low])):
            self._share_space()
        if self.isMaximized() or self.isFullScreen():
            return
        self.resize((self.size() if restored else DEFAULT_SIZE).boundedTo(room))
        if restored:
            bring_into_screen(self)

    def fill_small_screen(self) -> None:
        """Before it is shown: a window that would take nearly all of the screen takes all of it."""
        screen = self.screen().availableGeometry()
        if self.width() > _NEARLY_ALL * screen.width() or self.height() > _NEARLY_ALL * screen.height():
            self.setWindowState(self.windowState() | Qt.WindowState.WindowMaximized)

    def save_layout(self, store: QSettings) -> None:
        """Remember size, place and docks; docks that are out of sight for a while count as shown."""
        self.folding.unfold()
        store.setValue("geometry", self.saveGeometry())
        store.setValue("docks", self.saveState(_LAYOUT_VERSIONS[self._low]))

    # -- menus -----------------------------------------------------------------------------------------------------------

    def _build_menu(self) -> QMenu:
        menu = QMenu(self)
        self.recent_menu = QMenu(tr("Open recent"), menu)
        for group in Group:
            entry = self.commands.group_menu(group, menu)
            if group is Group.FILE:
                entry.insertMenu(entry.actions()[2], self.recent_menu)
            menu.addMenu(entry)
        opener = QAction(tr("Menu"), self)
        opener.setShortcut(QKeySequence("F10"))
        opener.triggered.connect(lambda: self.top_bar.menu_button.showMenu())
        self.addAction(opener)
        return menu

    # -- events ----------------------------------------------------------------------------------------------------------

    def focusNextPrevChild(self, next_one: bool) -> bool:
        """On the picture Tab is a command that is held, not a way out of it; F6 is."""
        focused = self.focusWidget()
        if focused is not None and self.focus.gone(focused):
            self.focus.give_back()
            return True
        return False if is_view(focused) else super().focusNextPrevChild(next_one)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if any(url.isLocalFile() for url in event.mimeData().urls()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        for url in event.mimeData().urls():
            if url.isLocalFile():
                event.acceptProposedAction()
                self.dropped.emit(Path(url.toLocalFile()))
                return

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        for name in self.docks:
            self._update_dock_key(name)
        if self.focusWidget() is None:
            self.focus.give_back()  # else Qt looks for the first control of the window

    def closeEvent(self, event: QCloseEvent) -> None:
        self.closing.emit(event)
