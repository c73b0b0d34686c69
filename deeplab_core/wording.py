"""Numbers and their nouns as a sentence needs them."""

from __future__ import annotations


def count(number: int, thing: str, things: str = "", *, gap: str = ",") -> str:
    """A number of things: ``"1 image"``, ``"1,200 images"``, ``"2 classes"``.

    Args:
        things: the plural, where an s is not enough.
        gap: between groups of three digits.
    """
    return f"{number:,}".replace(",", gap) + f" {thing if number == 1 else things or thing + 's'}"
