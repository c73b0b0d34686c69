"""Runs the command that a key means. The only way from a key to a command: Qt's own shortcuts are there to be shown in menus."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QObject, Qt, Signal
from PySide6.QtGui import QEnterEvent, QKeyEvent, QMouseEvent
from PySide6.QtWidgets import QAbstractItemView, QApplication, QMainWindow, QTableView, QWidget
from shiboken6 import isValid

from app.actions.key_press import KeyPress, learn_printed, resolve
from app.actions.table import by_id
from app.ui.common.tips import show_tip
from app.ui.shell.focus import PictureFocus, Place, settle_policy
from app.ui.shell.keys import press_of

if TYPE_CHECKING:
    from app.ui.shell.action_builder import ActionBuilder

#: Keys that work a focused control, unless Ctrl, Alt or Meta is down.
_CONTROL_KEYS = frozenset(
    {"Space", "Return", "Enter", "Tab", "Escape", "Left", "Right", "Up", "Down", "Home", "End", "PgUp", "PgDown", "Backspace",
     "Del", "Ins", "Menu"}
)  # fmt: skip
#: What a text field does with modifiers.
_EDITING = frozenset(
    [f"Ctrl+{key}" for key in "ACVXZY"]
    + [f"{head}{key}" for head in ("Ctrl+", "Ctrl+Shift+") for key in ("Left", "Right", "Home", "End", "Backspace", "Del", "Ins")]
    + ["Ctrl+Shift+Z"]
)


class KeyRouter(QObject):
    """Takes key events of the window before any widget does.

    A widget that needs a key for itself declares it with a method ``wants_key(event) -> bool``.

    Signals:
        held(action id, bool): the key of a held command went down or up.
        learned(dict): what is known of the user's keyboard, as in ``Keymap.printed``.
    """

    held = Signal(str, bool)
    learned = Signal(object)

    def __init__(self, commands: ActionBuilder, focus: PictureFocus) -> None:
        super().__init__(focus)
        self._commands, self._focus = commands, focus
        self._held: dict[int, str] = {}  # which key holds which command
        self._came: tuple[QWidget, int, Place] | None = None  # where the last press came to, its key, and where it was meant for

    def take(self, watched: QWidget, event: QKeyEvent) -> bool:
        """Whether the event is dealt with."""
        kind = event.type()
        if kind == QEvent.Type.KeyRelease:
            return self._release(event)
        place = self._meant_for(watched, event)
        if place is Place.ELSEWHERE or QApplication.activePopupWidget() is not None:
            return False
        press = press_of(event)
        command = resolve(press, self._commands.keymap.find)
        if kind == QEvent.Type.ShortcutOverride:
            if command is not None:
                event.accept()  # it comes back as a key press, and Qt's shortcuts do not run it as well
            return command is not None
        return self._press(watched, event, press, place, command)

    def _meant_for(self, watched: QWidget, event: QKeyEvent) -> Place:
        """Where the focus was when the key was pressed.

        A widget that has no use for a press hands it on to its parent. It may have moved the focus before: Enter in a list
        selects, goes back to the picture, and must not arrive there as a command as well.
        """
        if event.type() != QEvent.Type.KeyPress:
            return self._focus.place(watched)
        last, place = self._came, self._focus.place(watched)
        if last is not None and isValid(last[0]) and last[1] == event.key() and last[0].parentWidget() is watched:
            place = last[2]
        self._came = watched, event.key(), place
        return place

    def let_go(self) -> None:
        """The window lost the keyboard: no release will come."""
        for command in self._held.values():
            self.held.emit(command, False)
        self._held.clear()

    def _press(self, watched: QWidget, event: QKeyEvent, press: KeyPress, place: Place, command: str | None) -> bool:
        focused = QApplication.focusWidget()
        # The focused widget had no use for it, so it comes to one that holds it.
        left_over = focused if focused is not None and focused is not watched and watched.isAncestorOf(focused) else None
        ends = ("Escape", "Return", "Enter") if place is Place.TEXT else ("Escape",)
        if left_over is not None and press.plain and press.name in ends and place in (Place.TEXT, Place.CONTROL):
            return self._focus.leave(left_over, press.name == "Escape")
        wants = getattr(watched, "wants_key", None)
        if command is None or (wants is not None and wants(event)) or not _for_command(press, place):
            return False
        self._learn(press)
        action, spec = self._commands[command], by_id(command)
        if not action.isEnabled():
            return False
        if spec.held:
            if not event.isAutoRepeat():
                self._held[_identity(event)] = command
                self.held.emit(command, True)
        elif spec.repeats or not event.isAutoRepeat():
            action.trigger()
        return True

    def _release(self, event: QKeyEvent) -> bool:
        command = self._held.get(_identity(event))
        if command is None:
            return False
        if not event.isAutoRepeat():
            del self._held[_identity(event)]
            self.held.emit(command, False)
        return True

    def _learn(self, press: KeyPress) -> None:
        keymap = self._commands.keymap
        printed = learn_printed(keymap.printed, press)
        if printed is not keymap.printed:
            keymap.printed = printed
            self._commands.apply_keys()
            self.learned.emit(printed)


def _for_command(press: KeyPress, place: Place) -> bool:
    """Whether a key is a command's where the focus is, and not the focused widget's own."""
    if place is Place.PICTURE:
        return True
    if press.plain and press.name in _CONTROL_KEYS:
        return False
    if place is Place.TEXT:
        text = press.plain and len(press.name) <= 1
        return not text and not any(spelled in _EDITING for spelled in press.spelled())
    return True


def _identity(event: QKeyEvent) -> int:
    """The same for press and release of one key, whatever the modifiers have become in between."""
    return event.nativeScanCode() or (Qt.Key.Key_Tab if event.key() == Qt.Key.Key_Backtab else event.key())


_KEYS = frozenset({QEvent.Type.ShortcutOverride, QEvent.Type.KeyPress, QEvent.Type.KeyRelease})
_HEARD = _KEYS | {
    QEvent.Type.Show, QEvent.Type.MouseButtonPress, QEvent.Type.MouseMove, QEvent.Type.Enter, QEvent.Type.WindowDeactivate,
    QEvent.Type.ToolTip,
}  # fmt: skip


_USED = frozenset({QEvent.Type.KeyPress, QEvent.Type.MouseButtonPress, QEvent.Type.MouseMove})


class InputFilter(QObject):
    """Filters the application's events for one window: the one place that sees widgets which are added later, too.

    Attributes:
        router: takes the keys.

    Signals:
        used(): the user has pressed a key or a button, or moved the pointer.
    """

    used = Signal()

    def __init__(self, window: QMainWindow, commands: ActionBuilder, focus: PictureFocus) -> None:
        super().__init__(window)
        self._window, self._focus = window, focus
        self.router = KeyRouter(commands, focus)
        application = QApplication.instance()
        assert application is not None
        application.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        kind = event.type()
        if kind not in _HEARD or not isinstance(watched, QWidget):
            return False
        if kind in _USED:
            self.used.emit()
        if kind in _KEYS:
            return isinstance(event, QKeyEvent) and self.router.take(watched, event)
        if kind == QEvent.Type.ToolTip:
            return show_tip(watched, event)
        if kind == QEvent.Type.Show:  # not Polish: that can come before a widget is in the window
            if isinstance(watched, QAbstractItemView):
                watched.setTabKeyNavigation(False)  # a table would keep Tab for its cells, and there would be no way out
            if isinstance(watched, QTableView):  # the head of a selected column would be bold, where a font has it: Latin alone
                watched.horizontalHeader().setHighlightSections(False)
            if self._focus.in_panels(watched):
                settle_policy(watched)
        elif kind == QEvent.Type.WindowDeactivate:
            if watched is self._window:
                self.router.let_go()
        elif kind == QEvent.Type.MouseButtonPress and isinstance(event, QMouseEvent):
            self._focus.pressed(watched, event)
        elif isinstance(event, QMouseEvent | QEnterEvent):
            self._focus.pointed(watched, event.globalPosition().toPoint(), entered=kind == QEvent.Type.Enter)
        return False
