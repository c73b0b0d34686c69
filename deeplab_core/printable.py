"""Texts for a terminal and a log: control characters out of file names and files become visible, whatever they would do.

A terminal obeys what is in its output: an escape sequence in the name of a file or class could rename the window, move the
cursor over what was printed before, or on some terminals send keys. Bidirectional controls show another order than the one that
is there ("Trojan Source", CVE-2021-42574).
"""

from __future__ import annotations

import logging
import re

#: C0 without tab and newline, DEL and C1; Arabic letter mark, left-to-right and right-to-left marks; line and paragraph
#: separators and the bidirectional embeddings, overrides and isolates; halves of surrogate pairs, as which Python keeps bytes of
#: file names that are not UTF-8.
_HIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")

_LINES = {10: r"\n", 9: r"\t"}


def printable(text: object) -> str:
    r"""A text with every control character as an escape that can be read: ``\x1b``, ``\u202e``, ``\xff`` for a foreign byte.

    Newlines and tabs stay. What is a text already comes back unchanged if there is nothing to escape; other values are made one.
    """
    return _HIDDEN.sub(_escaped, str(text))


def one_line(name: object) -> str:
    r"""The name of a file or class as a part of one line: ``\n`` and ``\t`` for its newlines and tabs.

    A newline would end the line that names the file, and begin one that looks like another message. Other control characters are
    for :func:`printable`, which cannot tell a name's newlines from those of a text.
    """
    return str(name).translate(_LINES)


def is_printable(text: str) -> bool:
    """Whether :func:`printable` leaves a text as it is."""
    return _HIDDEN.search(text) is None


class PrintableFormatter(logging.Formatter):
    """Formats records of a log as its base does, then escapes: messages quote file names, and logs are read on terminals."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as lines of printable text."""
        return printable(super().format(record))


def log_to_stderr(form: str) -> None:
    """Send warnings of this process, those of Python's ``warnings`` included, to stderr, unless a log is set up already.

    Args:
        form: as :class:`logging.Formatter` takes it.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(PrintableFormatter(form))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    logging.captureWarnings(True)


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    if 0xDC80 <= code <= 0xDCFF:
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
