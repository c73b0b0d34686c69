"""Numbers as a person reads them."""

from __future__ import annotations


def spaced(number: int) -> str:
    """A whole number in groups of three: ``12 400`` with thin spaces."""
    return f"{number:,}".replace(",", "\u2009")


def counted(number: int, thing: str, things: str = "") -> str:
    """A number of things: ``"1 image"``, ``"12 images"``, ``"2 classes"`` (``things``, where an s is not enough)."""
    return f"{spaced(number)} {thing if number == 1 else things or thing + 's'}"


def displayed(text: str) -> str:
    """A text as a window can show it: bytes of a file name that are no UTF-8 become the replacement character.

    Qt drops them without a word. Names themselves are never changed: keep what you show apart from what you open.
    """
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
