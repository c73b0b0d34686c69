"""Notes are counted by what they say, in plain sentences."""

from __future__ import annotations

import ast
from pathlib import Path

import deeplab_core
from deeplab_core.notes import _PLURALS, Note, RunNotes, note_text

SCALED = Note("scaled", "16-bit values of 0..4095 scaled to 0..255", "was scaled from 12 bit")
PAGES = Note("pages", "the first of 3 pages is read", "has further pages")
COLOUR = Note("by_colour", "read by colours", "was read by colour", warning=True)


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


def test_several_files_are_counted_in_the_plural() -> None:
    notes = RunNotes("mask")
    for name in "ab":
        notes.add(name, [Note("palette", "", "has colours of other classes in its palette and was read by its ids")])
        notes.add(name, [Note("void", "", "hides classes behind void")])
    assert notes.text() == (
        "2 masks have colours of other classes in their palettes and were read by their ids, 2 hide classes behind void"
    )


def test_every_summary_begins_with_a_verb_that_has_a_plural() -> None:
    found = []
    for path in Path(deeplab_core.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Note" and len(node.args) > 2:
                third = node.args[2]
                parts = third.values if isinstance(third, ast.JoinedStr) else [third]
                if isinstance(parts[0], ast.Constant):
                    found.append(str(parts[0].value))
    assert len(found) > 10
    assert [text for text in found if text.split()[0] not in _PLURALS] == []
