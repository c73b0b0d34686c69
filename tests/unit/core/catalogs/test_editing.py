"""Edits of a catalog: ids keep their meaning, names are free, models that know an old name still fit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deeplab_core.catalogs import ClassCatalog, builtin_catalogs, get_catalog
from deeplab_core.catalogs.catalog import ClassInfo, map_catalogs
from deeplab_core.catalogs.colors import color_distance
from deeplab_core.catalogs.editing import (
    CatalogEdit,
    add_class,
    assign_key,
    delete_class,
    joined,
    merge_classes,
    recolor_all,
    recolor_class,
    rename_class,
    reorder_classes,
    take_list,
)
from deeplab_core.errors import CatalogError

VOC = builtin_catalogs()["voc21"]
CHAIR, SOFA = VOC.by_id(9), VOC.by_id(18)


def test_a_new_class_takes_an_id_that_was_never_used() -> None:
    edit = add_class(VOC, "  bean   bag ", reserved={21: CHAIR, 22: SOFA})
    added = edit.catalog.classes[-1]
    assert (added.id, added.name) == (23, "bean bag")
    assert added.color not in {info.color for info in VOC.classes}
    assert edit.catalog.classes[:-1] == VOC.classes
    assert not edit.moved
    assert edit.title == "Add bean bag"


def test_eight_bit_masks_end_at_254_classes() -> None:
    rows = tuple(ClassInfo(number, f"class {number}", (number, 0, 0)) for number in range(253))
    catalog = add_class(ClassCatalog("own", "Own", rows), "last").catalog
    assert len(catalog) == 254
    assert not catalog.wide
    with pytest.raises(CatalogError, match="no free id"):
        add_class(catalog, "one more")


def test_a_reserved_id_stays_unused_to_the_end() -> None:
    rows = tuple(ClassInfo(number, f"class {number}", (number, 0, 0)) for number in range(253))
    with pytest.raises(CatalogError, match="no free id"):
        add_class(ClassCatalog("own", "Own", rows), "last", reserved={253: CHAIR, 254: SOFA})


def test_a_list_adds_what_is_missing_and_replaces_on_request() -> None:
    rows = (ClassInfo(0, "lamp", (0, 0, 0)), ClassInfo(1, "couch", (1, 2, 3)), ClassInfo(2, "Chair", (4, 5, 6)))
    listed = ClassCatalog("own", "own.json", rows)
    more = take_list(VOC, listed, reserved={21: CHAIR})
    assert more.catalog.classes[:-1] == VOC.classes
    added = more.catalog.classes[-1]
    assert (added.id, added.name) == (22, "lamp")
    assert added.color not in {info.color for info in VOC.classes}  # black is the background's
    assert not more.moved
    whole = take_list(VOC, listed, only=True)
    assert [(info.id, info.name, info.color) for info in whole.catalog.classes] == [
        (21, "lamp", (0, 0, 0)), (SOFA.id, "sofa", (1, 2, 3)), (CHAIR.id, "chair", (4, 5, 6)),
    ]  # fmt: skip
    assert whole.catalog.background is None
    assert set(whole.moved) == set(VOC.ids.tolist()) - {CHAIR.id, SOFA.id}
    assert not any(whole.moved.values())
    with pytest.raises(CatalogError, match="no other classes"):
        take_list(more.catalog, listed)


def test_a_list_with_two_names_of_a_class_keeps_them_apart() -> None:
    rows = (ClassInfo(0, "couch", (1, 2, 3)), ClassInfo(1, "sofa", (4, 5, 6)), ClassInfo(2, "background", (0, 0, 0)))
    edit = take_list(VOC, ClassCatalog("own", "Own", rows, background=2), only=True)
    assert [(info.id, info.name) for info in edit.catalog.classes] == [(21, "couch"), (SOFA.id, "sofa"), (0, "background")]
    assert edit.catalog.background == 0


def test_a_list_that_needs_more_than_eight_bits_is_refused() -> None:
    listed = ClassCatalog("own", "Own", tuple(ClassInfo(number, f"class {number}", (number, 0, 0)) for number in range(240)))
    with pytest.raises(CatalogError, match="no free id"):
        take_list(VOC, listed)


@pytest.mark.parametrize("name", ["chair", "CHAIR", " chair "])
def test_a_name_is_used_once(name: str) -> None:
    with pytest.raises(CatalogError, match="already a class 'chair'"):
        add_class(VOC, name)
    with pytest.raises(CatalogError, match="already a class 'chair'"):
        rename_class(VOC, SOFA.id, name)
    assert rename_class(VOC, CHAIR.id, name.upper()).catalog.by_id(CHAIR.id).name == name.upper().strip()


@pytest.mark.parametrize("name", ["", "  ", "a\x1bb", "x" * 101, "void", " VOID ", "__ignore__"])
def test_a_name_can_be_read(name: str) -> None:
    with pytest.raises(CatalogError, match="not a class name"):
        add_class(VOC, name)


def test_a_renamed_class_is_found_by_models_that_know_its_old_names() -> None:
    once = rename_class(VOC, CHAIR.id, "seat").catalog
    twice = rename_class(once, CHAIR.id, "stool").catalog
    assert twice.by_id(CHAIR.id).aliases == ("chair", "seat")
    mapping = map_catalogs(VOC, twice)
    assert mapping.identity
    assert not mapping.unmatched
    assert rename_class(twice, CHAIR.id, "chair").catalog.by_id(CHAIR.id).aliases == ("seat", "stool")


def test_a_class_that_now_has_the_name_comes_before_the_one_that_had_it() -> None:
    catalog = rename_class(VOC, CHAIR.id, "armchair").catalog
    catalog = rename_class(catalog, SOFA.id, "chair").catalog
    found = catalog.by_name("Chair")
    assert found is not None
    assert found.id == SOFA.id


def test_merged_classes_give_their_pixels_and_names() -> None:
    edit = merge_classes(VOC, [CHAIR.id], SOFA.id)
    assert dict(edit.moved) == {CHAIR.id: SOFA.id}
    assert CHAIR.id not in edit.catalog.ids
    assert edit.title == "Merge chair into sofa"
    assert int(map_catalogs(VOC, edit.catalog).lut[CHAIR.id]) == SOFA.id
    for wrong in ([], [SOFA.id], [CHAIR.id, SOFA.id]):
        with pytest.raises(CatalogError, match="merged into itself"):
            merge_classes(VOC, wrong, SOFA.id)


def test_pixels_of_a_deleted_class_become_void() -> None:
    edit = delete_class(VOC, 0)
    assert dict(edit.moved) == {0: None}
    assert edit.catalog.background is None
    assert len(edit.catalog) == 20
    assert map_catalogs(VOC, edit.catalog).unmatched == ("background",)
    with pytest.raises(CatalogError, match="the only class"):
        delete_class(ClassCatalog("own", "Own", (ClassInfo(3, "thing", (1, 2, 3)),)), 3)


def test_joined_edits_move_pixels_as_one_after_the_other_would() -> None:
    first = merge_classes(VOC, [CHAIR.id], SOFA.id)
    second = merge_classes(first.catalog, [SOFA.id, 1], 2)
    third = delete_class(second.catalog, 2)
    assert dict(joined(VOC, [first, second]).moved) == {CHAIR.id: 2, SOFA.id: 2, 1: 2}
    whole = joined(VOC, [first, second, third])
    assert dict(whole.moved) == {CHAIR.id: None, SOFA.id: None, 1: None, 2: None}
    assert whole.catalog == third.catalog


def test_a_key_belongs_to_one_class() -> None:
    catalog = assign_key(assign_key(VOC, CHAIR.id, "c").catalog, SOFA.id, "c").catalog
    assert (catalog.by_id(CHAIR.id).key, catalog.by_id(SOFA.id).key) == ("", "c")
    assert assign_key(catalog, SOFA.id, "").catalog.by_id(SOFA.id).key == ""
    for key in ("ab", " ", "\t", "\x1b"):
        with pytest.raises(CatalogError, match="not a key"):
            assign_key(VOC, CHAIR.id, key)


@given(st.lists(st.sampled_from(VOC.ids.tolist()), unique=True))
def test_another_order_keeps_every_class(order: list[int]) -> None:
    edit = reorder_classes(VOC, order)
    assert edit.catalog.ids.tolist()[: len(order)] == order
    assert sorted(edit.catalog.classes, key=lambda info: info.id) == list(VOC.classes)


def test_an_order_names_known_classes_once() -> None:
    with pytest.raises(CatalogError, match="named twice"):
        reorder_classes(VOC, [1, 2, 1])
    with pytest.raises(CatalogError, match="no class with the id 99"):
        reorder_classes(VOC, [99])


@pytest.mark.parametrize(
    "edit", [rename_class(VOC, 9, "seat"), merge_classes(VOC, [9], 18), recolor_class(VOC, 9, (1, 2, 3)), assign_key(VOC, 9, "c")]
)
def test_an_edited_catalog_survives_its_file(edit: CatalogEdit) -> None:
    assert ClassCatalog.from_dict(edit.catalog.to_dict()) == edit.catalog


def test_a_built_in_name_means_the_built_in_classes() -> None:
    for edit in (add_class(VOC, "lamp"), rename_class(VOC, 9, "seat"), reorder_classes(VOC, [9]), delete_class(VOC, 9)):
        assert edit.catalog.name == "voc21-edited"
        assert add_class(edit.catalog, "one more").catalog.name == "voc21-edited"
    assert recolor_class(VOC, 9, (1, 2, 3)).catalog.name == "voc21"
    assert assign_key(VOC, 9, "c").catalog.name == "voc21"


@pytest.mark.parametrize("aliases", ["chair", [["chair"]], {"a": 1}, 3])
def test_aliases_of_a_stranger_are_checked(aliases: object) -> None:
    data = VOC.to_dict()
    data["classes"][9]["aliases"] = aliases
    with pytest.raises(CatalogError):
        ClassCatalog.from_dict(data)


@pytest.mark.parametrize("color_blind", [False, True])
def test_all_classes_get_colours_that_differ_but_the_background(color_blind: bool) -> None:
    catalog = get_catalog("voc21")
    edit = recolor_all(catalog, color_blind=color_blind)
    assert edit.catalog.ids.tolist() == catalog.ids.tolist()
    assert edit.catalog.names == catalog.names
    assert edit.catalog.by_id(0).color == catalog.by_id(0).color
    assert not edit.moved
    colors = [info.color for info in edit.catalog.classes]
    assert len(set(colors)) == 21
    least = min(color_distance(a, b, color_blind=color_blind) for place, a in enumerate(colors) for b in colors[:place])
    now = [info.color for info in catalog.classes]
    before = min(color_distance(a, b, color_blind=color_blind) for place, a in enumerate(now) for b in now[:place])
    assert least > before
