"""Numbers and names as a user reads them."""

from __future__ import annotations

import re

from deeplab_core.printable import printable
from deeplab_core.wording import count

#: Halves of surrogate pairs: as these Python keeps bytes of file names that are no UTF-8.
_HALVES = re.compile("[\ud800-\udfff]")


def spaced(number: int) -> str:
    """A whole number in groups of three: ``12 400`` with thin spaces."""
    return f"{number:,}".replace(",", "\u2009")


def counted(number: int, thing: str, things: str = "") -> str:
    """A number of things: ``"1 image"``, ``"12 images"``, ``"2 classes"`` (``things``, where an s is not enough)."""
    return count(number, thing, things, gap="\u2009")


def waiting_text(images: int) -> str:
    """What a summary says of results that wait beside the user's work."""
    if images == 1:
        return "1 waits as a suggestion, because you have worked on its image"
    return f"{spaced(images)} wait as suggestions, because you have worked on their images"


def displayed(text: str) -> str:
    """A text as a window can show it.

    Bytes of a file name that are no UTF-8 become the replacement character: Qt drops them without a word. Control characters,
    which Qt hides or obeys (text from right to left), become escapes. Names themselves are never changed: keep what you show
    apart from what you open.
    """
    return printable(_HALVES.sub("\ufffd", text))
