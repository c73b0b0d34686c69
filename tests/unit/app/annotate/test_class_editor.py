"""The draft behind the class editor, and its texts about the masks."""

from __future__ import annotations

import pytest

from app.viewmodels.annotate.class_editor import ClassDraft, effect_text
from deeplab_core.catalogs import get_catalog
from deeplab_core.catalogs.catalog import ClassInfo
from deeplab_core.errors import CatalogError

CHAIR, SOFA, PERSON = 9, 18, 15


@pytest.fixture
def draft() -> ClassDraft:
    return ClassDraft(get_catalog("voc21"), reserved={21: ClassInfo(21, "gone", (1, 2, 3))})


def test_an_untouched_draft_is_no_edit(draft: ClassDraft) -> None:
    draft.set_name(CHAIR, " chair ")
    draft.recolor(CHAIR, draft.catalog.by_id(CHAIR).color)
    draft.move(0, -3)
    draft.undo()
    assert draft.whole is None
    assert not draft.losses


def test_edits_add_up_and_are_taken_back_one_by_one(draft: ClassDraft) -> None:
    added = draft.add("lamp")
    draft.set_name(added.id, "floor lamp")
    draft.recolor(added.id, (1, 2, 3))
    draft.move(added.id, -100)
    draft.merge(CHAIR, added.id)
    draft.delete(PERSON)
    assert draft.catalog.classes[0].name == "floor lamp"
    assert added.id == 22
    whole = draft.whole
    assert whole is not None
    assert dict(whole.moved) == {CHAIR: 22, PERSON: None}
    assert [(loss.name, loss.target) for loss in draft.losses] == [("chair", "floor lamp"), ("person", None)]
    draft.undo()
    assert PERSON in draft.catalog.ids
    for _ in range(5):
        draft.undo()
    assert draft.catalog == draft.before


def test_a_class_that_was_added_and_removed_moves_no_pixel_of_the_project(draft: ClassDraft) -> None:
    first = draft.add("lamp")
    draft.delete(first.id)
    assert not draft.losses
    assert draft.add("lamp").id not in (first.id, 21)


def test_a_new_class_and_its_name_are_one_edit(draft: ClassDraft) -> None:
    added = draft.add("new class")
    with pytest.raises(CatalogError):
        draft.set_name(added.id, "sofa")
    assert draft.catalog.names[-1] == "new class"
    draft.set_name(added.id, "cushion")
    assert [str(edit.title) for edit in draft.edits] == ["Add cushion"]
    assert draft.catalog.classes[-1] == ClassInfo(added.id, "cushion", added.color), "and its first name is no other name for it"
    draft.set_name(added.id, "pillow")
    assert len(draft.edits) == 2
    draft.undo()
    draft.undo()
    assert not draft.changed


def test_a_refused_edit_leaves_the_draft(draft: ClassDraft) -> None:
    with pytest.raises(CatalogError):
        draft.set_name(CHAIR, "sofa")
    with pytest.raises(CatalogError):
        draft.merge(CHAIR, CHAIR)
    assert not draft.edits


def test_what_happens_to_pixels_is_said_before(draft: ClassDraft) -> None:
    assert effect_text(draft.losses, {}) == "No pixel of a mask changes."
    draft.merge(CHAIR, SOFA)
    draft.delete(PERSON)
    assert "Counting" in effect_text(draft.losses, None)
    said = effect_text(draft.losses, {CHAIR: (3, 1204)}, unread=1)
    assert said.splitlines() == [
        "chair: 1\u202f204 px in 3 images become sofa.",
        "person: no mask has a pixel of it.",
        "1 image could not be read.",
    ]


def test_an_assigned_key_stays_with_its_class_and_free_ones_follow_the_image() -> None:
    draft = ClassDraft(get_catalog("voc21"), keys={"2": SOFA}, present=frozenset({0, CHAIR, PERSON, SOFA}))
    assert [draft.all_keys[key] for key in "1234"] == [0, SOFA, CHAIR, PERSON]
    draft.set_key(PERSON, " 1 ")
    assert draft.keys == {"2": SOFA, "1": PERSON}
    assert [draft.all_keys[key] for key in "1234"] == [PERSON, SOFA, 0, CHAIR]
    with pytest.raises(CatalogError, match="2 is the key of 'sofa'"):  # typed: the user was not shown whose it is
        draft.set_key(CHAIR, "2")
    draft.set_key(CHAIR, "2", take=True)  # the class that had it gets a free one
    assert draft.keys == {"1": PERSON, "2": CHAIR}
    assert draft.all_keys["4"] == SOFA
    draft.set_key(PERSON, "1")
    draft.merge(CHAIR, SOFA)
    assert draft.keys == {"1": PERSON}
    assert {info.name: info.key for info in draft.listed.classes if info.key} == {"person": "1"}
    for _ in range(3):
        draft.undo()
    assert draft.keys == {"2": SOFA}
    assert not draft.changed
    with pytest.raises(CatalogError, match="not a key of a class"):
        draft.set_key(CHAIR, "x")
    assert not draft.changed
