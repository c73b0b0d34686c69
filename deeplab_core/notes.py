"""What was scaled, left out or read in an unusual way: one note per file and kind, counted over a run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

NoteKind = Literal[
    "scaled", "no_data", "pages", "bands", "incomplete", "by_colour", "palette", "inverted", "void", "classes", "shifted",
    "repaired", "frame", "georeference", "provenance",
]  # fmt: skip

#: Verbs that a summary may begin with. Behind an "and", the verb follows too, and so does what belongs to the files.
_PLURALS = {
    "was": "were", "has": "have", "is": "are", "ends": "end", "holds": "hold", "hides": "hide", "lacks": "lack",
}  # fmt: skip
_BELONGS = {" in its palette": " in their palettes", " by its ids": " by their ids", " its ground truth": " their ground truth"}
#: How many files a summary names for each kind.
_NAMED = 5


@dataclass(frozen=True, slots=True)
class Note:
    """One fact about one file.

    Attributes:
        kind: what it is about; programs tell notes apart by it.
        text: the fact in words, about this file.
        summary: what is counted over a run, as a verb phrase in the singular: ``"was scaled from 12 bit"``.
        warning: whether figures or training may be wrong because of it.
    """

    kind: NoteKind
    text: str
    summary: str
    warning: bool = False

    def spoken(self) -> str:
        """The fact as a command prints it: begins with ``note:`` or ``warning:``."""
        return _spoken(self.warning, self.text)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"kind": self.kind, "text": self.text, "warning": self.warning}


def note_text(notes: Iterable[Note]) -> str:
    """The notes of one file in one line; empty without notes."""
    return "; ".join(note.text for note in notes)


@dataclass(slots=True)
class _Counted:
    note: Note
    names: list[str] = field(default_factory=list)
    count: int = 0


@dataclass(slots=True)
class RunNotes:
    """The notes of a run, counted by what they say.

    Attributes:
        noun: what is counted, in the singular: ``"image"``, ``"mask"``.
    """

    noun: str = "image"
    _counted: dict[tuple[str, str], _Counted] = field(default_factory=dict)

    def add(self, name: str, notes: Iterable[Note]) -> None:
        """Count the notes of one file; the same summary twice for one file counts once."""
        for note in {(note.kind, note.summary): note for note in notes}.values():
            counted = self._counted.setdefault((note.kind, note.summary), _Counted(note))
            counted.count += 1
            if len(counted.names) < _NAMED:
                counted.names.append(name)

    def __bool__(self) -> bool:
        return bool(self._counted)

    def text(self) -> str:
        """All counts in one sentence: ``"3 images were scaled from 12 bit, 1 has further pages"``; empty without notes."""
        parts = []
        for place, counted in enumerate(self._counted.values()):
            subject = _number(counted.count, self.noun) if not place else f"{counted.count:,}"
            parts.append(f"{subject} {_verb(counted.note.summary, counted.count)}")
        return ", ".join(parts)

    def lines(self) -> list[str]:
        """One line for each kind, with the first files by name and what the first one says."""
        return [self._line(counted) for counted in self._counted.values()]

    def spoken(self) -> list[str]:
        """:meth:`lines` as a command prints them: each begins with ``note:`` or ``warning:``."""
        return [_spoken(counted.note.warning, self._line(counted)) for counted in self._counted.values()]

    def _line(self, counted: _Counted) -> str:
        more = counted.count - len(counted.names)
        names = ", ".join(counted.names) + (f" and {more:,} more" if more else "")
        subject = _number(counted.count, self.noun)
        return f"{subject} {_verb(counted.note.summary, counted.count)} ({names}): {counted.note.text}"

    @property
    def warning(self) -> bool:
        """Whether any note may make figures or training wrong."""
        return any(counted.note.warning for counted in self._counted.values())

    def to_list(self) -> list[dict[str, Any]]:
        """Plain values for JSON, one entry for each kind of note."""
        return [
            {
                "kind": counted.note.kind,
                "summary": counted.note.summary,
                "count": counted.count,
                "first": list(counted.names),
                "text": counted.note.text,
                "warning": counted.note.warning,
            }
            for counted in self._counted.values()
        ]


def _spoken(warning: bool, text: str) -> str:
    return f"{'warning' if warning else 'note'}: {text}"


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _verb(summary: str, count: int) -> str:
    if count == 1:
        return summary
    parts = [_first_verb(part) for part in summary.split(" and ")]
    text = " and ".join(parts)
    for singular, plural in _BELONGS.items():
        text = text.replace(singular, plural)
    return text


def _first_verb(text: str) -> str:
    verb, space, rest = text.partition(" ")
    return _PLURALS.get(verb, verb) + space + rest
