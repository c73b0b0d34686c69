"""What the command palette finds, and in which order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.actions.palette import BEGINS, EXACT, EXPLAINED, FULL_NAMES, LETTERS, PHRASE, WORDS, match, named, ranked
from app.actions.table import ACTIONS, by_id


@pytest.mark.parametrize(
    ("typed", "first"),
    [
        ("refine the mask", "refine.mask"),  # the explanation of another command holds these words, too
        ("refine the mask itself", "refine.mask"),
        ("apply", "refine.apply"),
        ("apply crf folder", "refine.folder"),
        ("apply crf image", "refine.apply"),
        ("run folder", "model.run_folder"),
        ("run image", "model.run_image"),
        ("undo", "edit.undo"),
        ("Undo", "edit.undo"),
        ("redo", "edit.redo"),
        ("quit", "app.quit"),
        ("brush", "tool.brush"),
        ("fill", "tool.fill"),
        ("eraser", "tool.eraser"),
        ("lrgr brsh", "brush.larger"),
        ("export", "project.export"),
        ("fit", "view.fit"),
        ("100", "view.actual_size"),
        ("next image", "go.next"),
        ("discard", "refine.discard"),
        ("open folder", "project.open"),
        ("dark", "window.theme"),
    ],
)
def test_the_best_match_comes_first(typed, first):
    assert ranked(typed, ACTIONS)[0].id == first


def test_ranks_are_in_the_order_that_they_promise():
    spec = by_id("refine.mask")
    texts = ["refine the mask itself", "refine", "the itself", "efine the", "rfnmsk", "network mask"]
    assert [match(text, spec)[0] for text in texts] == [EXACT, BEGINS, WORDS, PHRASE, LETTERS, EXPLAINED]
    assert match("no such words", spec) is None


def test_every_command_is_found_first_by_its_own_name_and_says_what_it_acts_on():
    listed = [spec for spec in ACTIONS if not spec.held]
    assert ranked("", ACTIONS) == listed
    names = [named(spec) for spec in listed]
    assert len(set(names)) == len(names)
    assert set(FULL_NAMES) <= {spec.id for spec in ACTIONS}
    for spec in listed:
        assert ranked(named(spec), ACTIONS)[0] is spec
        assert len(named(spec).split()) > 1 or spec.id.startswith("tool."), f"{named(spec)}: of what?"


@given(st.text(max_size=20))
def test_nothing_that_is_typed_raises(text):
    found = ranked(text, ACTIONS)
    assert len(found) == len({spec.id for spec in found})
