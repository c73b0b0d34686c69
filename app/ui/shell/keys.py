"""Qt's key events as :class:`KeyPress`, shortcuts as they are shown, and the editor that records one."""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication, QKeyEvent, QKeySequence
from PySide6.QtWidgets import QKeySequenceEdit

from app.actions.key_press import KeyPress, as_printed, position_of

#: Qt numbers named keys from here on; below are Unicode characters.
_NAMED = 0x01000000
_DEAD = {
    Qt.Key.Key_Dead_Grave: "`", Qt.Key.Key_Dead_Acute: "´", Qt.Key.Key_Dead_Circumflex: "^", Qt.Key.Key_Dead_Tilde: "~",
    Qt.Key.Key_Dead_Diaeresis: "¨", Qt.Key.Key_Dead_Cedilla: "¸", Qt.Key.Key_Dead_Caron: "ˇ", Qt.Key.Key_Dead_Macron: "¯",
    Qt.Key.Key_Dead_Abovering: "°", Qt.Key.Key_Dead_Breve: "˘", Qt.Key.Key_Dead_Ogonek: "˛", Qt.Key.Key_Dead_Doubleacute: "˝",
}  # fmt: skip
_RENAMED = {"Backtab": "Tab", "Esc": "Escape"}


def press_of(event: QKeyEvent, platform: str | None = None) -> KeyPress:
    """A key event without Qt. ``platform`` is Qt's name of it; None asks the application."""
    modifiers = event.modifiers()
    ctrl = bool(modifiers & Qt.KeyboardModifier.ControlModifier)
    alt = bool(modifiers & Qt.KeyboardModifier.AltModifier)
    typed = bool(event.text()) and event.text().isprintable()
    return KeyPress(
        name=_name(event.key(), event.text()),
        position=position_of(platform or QGuiApplication.platformName(), event.nativeScanCode(), event.nativeVirtualKey()),
        ctrl=ctrl,
        alt=alt,
        shift=bool(modifiers & Qt.KeyboardModifier.ShiftModifier),
        meta=bool(modifiers & Qt.KeyboardModifier.MetaModifier),
        third_level=bool(modifiers & Qt.KeyboardModifier.GroupSwitchModifier) or (ctrl and alt and typed),
    )


def _name(key: int, text: str) -> str:
    if key in _DEAD:
        return _DEAD[Qt.Key(key)]
    if key == 0 or key == Qt.Key.Key_unknown:
        return text.upper() if len(text) == 1 and text.isprintable() else ""
    name = QKeySequence(key).toString(QKeySequence.SequenceFormat.PortableText)
    if key >= _NAMED:
        return _RENAMED.get(name, name) if name.isascii() else ""  # Qt writes some keys without a name as a character
    return name


def key_text(shortcut: str, printed: Mapping[str, str]) -> str:
    """A shortcut as the user's keyboard reads and the desktop writes it (``"⌘Z"`` on a Mac)."""
    shown = QKeySequence(shortcut).toString(QKeySequence.SequenceFormat.NativeText)
    local = as_printed(shortcut, dict(printed))
    if local == shortcut:
        return shown
    key = shortcut[-1]
    return shown.removesuffix(key) + local[len(shortcut) - 1 :]


class KeyEdit(QKeySequenceEdit):
    """Records a shortcut. On a keyboard of another script it records the Latin letter of the key, which works in every layout."""

    def keyPressEvent(self, event: QKeyEvent) -> None:
        press = press_of(event)
        shortcut = QKeySequence(press.recorded()) if len(press.name) <= 1 and press.recorded() else QKeySequence()
        if shortcut.count() == 1 and shortcut != QKeySequence(event.keyCombination()):
            self.setKeySequence(shortcut)
        else:
            super().keyPressEvent(event)
