"""Numbers and their nouns as a sentence needs them."""

from __future__ import annotations

from collections.abc import Sequence

from deeplab_core.errors import message


def count(number: int, thing: str, things: str = "", *, gap: str = ",") -> str:
    """A number of things: ``"1 image"``, ``"1,200 images"``, ``"2 classes"``.

    Args:
        things: the plural, where an s is not enough.
        gap: between groups of three digits.
    """
    return f"{number:,}".replace(",", gap) + f" {thing if number == 1 else things or thing + 's'}"


def name_some(names: Sequence[str], most: int) -> str:
    """The first names of a list and how many follow, as a value of a message: ``"a, b and 3 more"``."""
    listed = ", ".join(names[:most])
    return message("{names} and {more:,} more", names=listed, more=len(names) - most) if names[most:] else listed
