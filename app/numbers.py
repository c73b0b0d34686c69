"""Numbers as people type them, the same in every language of the desktop.

A dot or a comma stands before the decimals, and nothing between thousands: a number with two separators is refused, and ``1,234``
is a little more than one wherever it is typed. Shown is always a dot.
"""

from __future__ import annotations

import unicodedata

#: What stands before decimals on some keyboard: comma, Arabic, Chinese and Japanese full width.
_DECIMAL = dict.fromkeys(map(ord, ",\u066b\uff0e\uff0c"), ".")
_MINUS = dict.fromkeys(map(ord, "\u2212\uff0d"), "-")


def plain_number(text: str) -> str:
    """The same text in ASCII digits and with a dot, of the same length; what is no number stays as it is.

    Eastern Arabic, Persian, Devanagari and full-width digits become 0..9.
    """
    translated = text.translate(_DECIMAL | _MINUS)
    return "".join(char if char.isascii() else str(unicodedata.decimal(char, char)) for char in translated)


def read_number(text: str) -> float:
    """A number from ``0.5``, ``0,5`` or ``٠٫٥``. Raises ValueError, which says what is wrong, for anything else."""
    plain = plain_number(text.strip())
    if plain.count(".") > 1 or "_" in plain or any(char.isspace() for char in plain):
        raise ValueError(f"'{text}' is not a number; leave out what separates thousands")
    try:
        return float(plain)
    except ValueError:
        raise ValueError(f"'{text}' is not a number") from None


def read_numbers(text: str) -> list[float]:
    """A list such as ``0.5,1,1.5``; with decimal commas its parts are separated by spaces or semicolons: ``0,5; 1; 1,5``.

    Raises ValueError like :func:`read_number`.
    """
    spaced = text.replace(";", " ").split()
    parts = spaced if ";" in text or len(spaced) > 1 else text.strip().split(",")
    return [read_number(part.strip(",") if len(spaced) > 1 else part) for part in parts]
