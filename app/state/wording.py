"""Numbers as a person reads them."""

from __future__ import annotations


def spaced(number: int) -> str:
    """A whole number in groups of three: ``12 400`` with thin spaces."""
    return f"{number:,}".replace(",", "\u2009")


def counted(number: int, thing: str, things: str = "") -> str:
    """A number of things: ``"1 image"``, ``"12 images"``, ``"2 classes"`` (``things``, where an s is not enough)."""
    return f"{spaced(number)} {thing if number == 1 else things or thing + 's'}"
