"""From a key that was pressed to the command that it means: by what is printed on it, else by where it lies.

Qt reports the character of the layout in use. That is right for letters (A and Z lie elsewhere on a French keyboard) and for
symbols that the layout has without a level shift. It is wrong for keys that the layout gives to something else: digits need Shift
on a French keyboard, and no key of a Russian, Greek or Korean layout gives ``B``. Those are found by their position, which the
systems report beside the character (ADR 85).
"""

from __future__ import annotations

import string
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass

#: Rows of a US keyboard by the number of their first key: Linux' event codes, equal to scan code set 1 of PC keyboards.
_PC_ROWS = ((2, "1234567890-="), (16, "QWERTYUIOP[]"), (30, "ASDFGHJKL;'`"), (43, "\\ZXCVBNM,./"))
_PC = {first + place: key for first, row in _PC_ROWS for place, key in enumerate(row)}
#: Virtual key codes of Apple keyboards, which name positions too (``kVK_ANSI_A`` is 0).
_APPLE = dict(enumerate("ASDFHGZXCV")) | {
    11: "B", 12: "Q", 13: "W", 14: "E", 15: "R", 16: "Y", 17: "T", 18: "1", 19: "2", 20: "3", 21: "4", 22: "6", 23: "5", 24: "=",
    25: "9", 26: "7", 27: "-", 28: "8", 29: "0", 30: "]", 31: "O", 32: "U", 33: "[", 34: "I", 35: "P", 37: "L", 38: "J", 39: "'",
    40: "K", 41: ";", 42: "\\", 43: ",", 44: "/", 45: "N", 46: "M", 47: ".", 50: "`",
}  # fmt: skip
#: X11 and Wayland count from 8 on.
_X11_OFFSET = 8

#: Capitals of Greek and Cyrillic that cannot be told from Latin ones.
_LOOKS_LIKE = dict(zip("ΑΒΕΖΗΙΚΜΝΟΡΤΥΧАВЕКМНОРСТХ", "ABEZHIKMNOPTYXABEKMHOPCTX", strict=True))

_PRINTED_AND_MEANT = frozenset(string.ascii_uppercase + string.digits)


def position_of(platform: str, scan_code: int, virtual_key: int) -> str:
    """The character that a US keyboard has where this key lies; empty for a key outside the four rows of characters.

    Args:
        platform: Qt's name of the platform: ``"xcb"``, ``"wayland"``, ``"windows"``, ``"cocoa"``; others count as X11.
        scan_code, virtual_key: as the system reports them with the key; 0 if it does not.
    """
    if platform == "cocoa":
        return _APPLE.get(virtual_key, "")
    return _PC.get(scan_code if platform == "windows" else scan_code - _X11_OFFSET, "")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPress:
    """A key as it was pressed.

    Attributes:
        name: what the layout makes of it, in Qt's portable spelling (``"B"``, ``"И"``, ``"&"``, ``"PgDown"``); empty if unknown.
        position: see :func:`position_of`.
        ctrl, alt, shift, meta: which modifiers were down.
        third_level: whether AltGr was needed for the character (Windows reports it as Ctrl and Alt together).
    """

    name: str
    position: str = ""
    ctrl: bool = False
    alt: bool = False
    shift: bool = False
    meta: bool = False
    third_level: bool = False

    @property
    def plain(self) -> bool:
        """Whether no modifier but Shift was down: what a text field takes as text."""
        return not (self.ctrl or self.alt or self.meta) or self.third_level

    @property
    def by_position(self) -> bool:
        """Whether the position may replace the character: never for a Latin letter or a digit, which are as printed."""
        return bool(self.position) and len(self.name) <= 1 and self.name.upper() not in _PRINTED_AND_MEANT

    def spelled(self) -> Iterator[str]:
        """Every way in which a shortcut for this press can be written, the likeliest first."""
        if self.name:
            yield self._with_modifiers(self.name, shift=self.shift)
            if self.shift and len(self.name) == 1 and not self.name.isalpha():
                yield self._with_modifiers(self.name, shift=False)  # Shift was needed for the character itself
            if self.third_level and len(self.name) == 1:
                yield self.name
        if self.by_position:
            yield self._with_modifiers(self.position, shift=self.shift)

    def recorded(self) -> str:
        """How the press is written when it becomes a shortcut: by its position if the layout has another script there."""
        if self.by_position and (not self.name.isascii() or not self.name or self.position.isdigit()):
            return self._with_modifiers(self.position, shift=self.shift)
        return next(self.spelled(), "")

    def _with_modifiers(self, key: str, *, shift: bool) -> str:
        parts = (("Ctrl", self.ctrl), ("Alt", self.alt), ("Shift", shift), ("Meta", self.meta))
        return "+".join([name for name, down in parts if down] + [key])


def resolve(press: KeyPress, find: Callable[[str], str | None]) -> str | None:
    """The id of the command that a press means, or None.

    Args:
        find: the command of a shortcut, or None; :meth:`app.actions.keymap.Keymap.find`.
    """
    return next((found for found in map(find, press.spelled()) if found is not None), None)


def learn_printed(printed: dict[str, str], press: KeyPress) -> dict[str, str]:
    """What is known of the keyboard after a press: position -> character printed there, where it is not that of a US keyboard.

    Returns ``printed`` itself if the press says nothing new.
    """
    if not press.position or press.shift or not press.plain or press.third_level or len(press.name) != 1:
        return printed
    now = press.name.upper() if len(press.name.upper()) == 1 else press.name
    known = printed.get(press.position, press.position)
    if now == known:
        return printed
    rest = {position: char for position, char in printed.items() if position != press.position}
    return rest if now == press.position else rest | {press.position: now}


def as_printed(shortcut: str, printed: dict[str, str]) -> str:
    """A shortcut as the keys of this keyboard read: ``"["`` is ``"^"`` on a French one, ``"B"`` is ``"B (И)"`` on a Russian one.

    Keyboards of another script have a US keyboard's characters printed as well, so these stay and the other letter follows.
    """
    head, key = ("", shortcut) if len(shortcut) == 1 else (shortcut[:-1], shortcut[-1])
    if head and not head.endswith("+"):
        return shortcut  # a named key
    char = printed.get(key, key)
    on_latin = any(value == key for value in printed.values())
    if char == key or on_latin or (char.isascii() and key in _PRINTED_AND_MEANT) or _LOOKS_LIKE.get(char) == key:
        return shortcut
    foreign = char.isalnum() and not unicodedata.name(char, "").startswith(("LATIN", "DIGIT", "SUPERSCRIPT"))
    return f"{head}{key} ({char})" if foreign or key in _PRINTED_AND_MEANT else f"{head}{char}"
