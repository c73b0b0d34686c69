"""What was scaled, left out or read in an unusual way: one note per file and kind, counted over a run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from deeplab_core.errors import MessageText, join_messages, message, plural_message

NoteKind = Literal[
    "scaled", "no_data", "pages", "bands", "incomplete", "by_colour", "palette", "inverted", "void", "classes", "shifted",
    "repaired", "frame", "georeference", "provenance",
]  # fmt: skip

#: How many files a summary names for each kind.
_NAMED = 5


@dataclass(frozen=True, slots=True)
class Note:
    """One fact about one file.

    Attributes:
        kind: what it is about; programs tell notes apart by it.
        text: the fact in words, about this file; a window translates it.
        summary: what is counted over a run, as a verb phrase in the singular: ``"was scaled from 12 bit"``. It is a
            :func:`~deeplab_core.errors.plural_message`, which has the plural too.
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


def frames_note(frames: int) -> Note:
    """That a file has ``frames`` frames, of which the first is read."""
    summary = plural_message("has further frames", "have further frames", 1)
    return Note("pages", message("the first of {frames} frames is read", frames=f"{frames:,}"), summary)


def note_text(notes: Iterable[Note]) -> MessageText:
    """The notes of one file in one line; empty without notes."""
    return join_messages((note.text for note in notes), "; ")


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

    def add_counted(self, rows: Iterable[dict[str, Any]]) -> None:
        """Add what :meth:`to_list` gave of other files. Raises what malformed rows raise."""
        for row in rows:
            note = Note(row["kind"], str(row["text"]), str(row["summary"]), warning=bool(row["warning"]))
            counted = self._counted.setdefault((note.kind, note.summary), _Counted(note))
            counted.count += int(row["count"])
            counted.names += [str(name) for name in row["first"]][: _NAMED - len(counted.names)]

    def __bool__(self) -> bool:
        return bool(self._counted)

    def text(self) -> MessageText:
        """All counts in one sentence: ``"3 images were scaled from 12 bit, 1 has further pages"``; empty without notes."""
        parts = []
        for place, counted in enumerate(self._counted.values()):
            files: str = _number(counted.count, self.noun) if not place else f"{counted.count:,}"
            parts.append(message("{files} {said}", files=files, said=_said(counted)))
        return join_messages(parts, ", ")

    def lines(self) -> list[MessageText]:
        """One line for each kind, with the first files by name and what the first one says."""
        return [self._line(counted) for counted in self._counted.values()]

    def spoken(self) -> list[str]:
        """:meth:`lines` as a command prints them: each begins with ``note:`` or ``warning:``."""
        return [_spoken(counted.note.warning, self._line(counted)) for counted in self._counted.values()]

    def _line(self, counted: _Counted) -> MessageText:
        more, names = counted.count - len(counted.names), ", ".join(counted.names)
        return message(
            "{files} {said} ({names}): {text}",
            files=_number(counted.count, self.noun),
            said=_said(counted),
            names=message("{names} and {more} more", names=names, more=f"{more:,}") if more else names,
            text=counted.note.text,
        )

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


def _number(count: int, noun: str) -> MessageText:
    if noun == "image":
        return plural_message("{n} image", "{n} images", count)
    if noun == "mask":
        return plural_message("{n} mask", "{n} masks", count)
    if noun == "ground truth mask":
        return plural_message("{n} ground truth mask", "{n} ground truth masks", count)
    if noun == "predicted mask":
        return plural_message("{n} predicted mask", "{n} predicted masks", count)
    raise ValueError(f"nothing is called {noun!r} here")


def _said(counted: _Counted) -> str:
    """The summary for as many files as there are."""
    summary = counted.note.summary
    if not isinstance(summary, MessageText) or not summary.many:
        return summary
    return MessageText(summary.template, summary.values, summary.many, counted.count)
