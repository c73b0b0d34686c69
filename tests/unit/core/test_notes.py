"""Notes are counted by what they say, in plain sentences."""

from __future__ import annotations

import ast
from pathlib import Path

import deeplab_core
from deeplab_core.errors import MessageText, plural_message
from deeplab_core.notes import Note, RunNotes, note_text

SCALED = Note(
    "scaled",
    "16-bit values of 0..4095 scaled to 0..255",
    plural_message("was scaled from {bits} bit", "were scaled from {bits} bit", 1, bits=12),
)
PAGES = Note("pages", "the first of 3 pages is read", plural_message("has further pages", "have further pages", 1))
COLOUR = Note("by_colour", "read by colours", plural_message("was read by colour", "were read by colour", 1), warning=True)


def test_a_run_is_one_sentence() -> None:
    notes = RunNotes()
    assert not notes
    assert notes.text() == ""
    for name in "abc":
        notes.add(name, [SCALED])
    notes.add("d", [PAGES, PAGES])
    notes.add("e", [])
    assert notes.text() == "3 images were scaled from 12 bit, 1 has further pages"
    assert not notes.warning
    notes.add("e", [PAGES])
    assert notes.text() == "3 images were scaled from 12 bit, 2 have further pages"


def test_lines_and_json_name_the_first_files() -> None:
    notes = RunNotes("mask")
    for number in range(1200):
        notes.add(f"{number}.png", [COLOUR])
    assert notes.lines() == [
        "1,200 masks were read by colour (0.png, 1.png, 2.png, 3.png, 4.png and 1,195 more): read by colours"
    ]
    assert notes.warning
    assert notes.to_list() == [
        {
            "kind": "by_colour",
            "summary": "was read by colour",
            "count": 1200,
            "first": [f"{number}.png" for number in range(5)],
            "text": "read by colours",
            "warning": True,
        }
    ]


def test_the_notes_of_one_file_are_one_line() -> None:
    assert note_text([SCALED, PAGES]) == "16-bit values of 0..4095 scaled to 0..255; the first of 3 pages is read"
    assert note_text([]) == ""


def test_a_sentence_keeps_what_a_window_translates() -> None:
    notes = RunNotes("mask")
    for name in "ab":
        notes.add(name, [COLOUR])
    said = notes.text()
    assert isinstance(said, MessageText)
    (part,) = said.values.values()
    assert isinstance(part, MessageText)
    assert part.template == "{files} {said}"
    summary = part.values["said"]
    assert isinstance(summary, MessageText)
    assert (summary.template, summary.many, summary.number) == ("was read by colour", "were read by colour", 2)
    assert str(summary) == "were read by colour"


def test_every_summary_has_a_plural() -> None:
    """A summary that is a plain text would be English in every language, and in the singular for many files."""
    plain = []
    for path in Path(deeplab_core.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Note":
                plain += [ast.unparse(part) for part in node.args[1:3] if isinstance(part, ast.JoinedStr | ast.Constant)]
    assert plain == []
