"""Numbers and their nouns as a sentence needs them."""

from __future__ import annotations

from collections.abc import Sequence

from deeplab_core.errors import MessageText, plural_message
from deeplab_core.printable import one_line


def count(number: int, thing: str, things: str = "", *, gap: str = ",") -> str:
    """A number of things: ``"1 image"``, ``"1,200 images"``, ``"2 classes"``.

    Args:
        things: the plural, where an s is not enough.
        gap: between groups of three digits.
    """
    return f"{number:,}".replace(",", gap) + f" {thing if number == 1 else things or thing + 's'}"


def name_some(names: Sequence[str], most: int) -> str:
    """The first names of a list and how many follow, as a value of a message: ``"a, b and 3 more"``."""
    listed = ", ".join(map(one_line, names[:most]))
    return name_more(listed, len(names) - most) if names[most:] else listed


def clause(text: str) -> str:
    """A text without its full stop, so that a sentence can go on behind it."""
    return text.rstrip(".") if text.endswith(".") else text


def name_more(named: str, more: int) -> MessageText:
    """The names of a list that are shown, and how many follow."""
    return plural_message("{names} and {n} more", "{names} and {n} more", more, names=named)
