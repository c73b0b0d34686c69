"""A model's classes become a project's by name: exact names first, and in maps of the project's width."""

from __future__ import annotations

import numpy as np
import pytest

from deeplab_core.catalogs import BUILTIN_NAMES, get_catalog
from deeplab_core.catalogs.catalog import IGNORE_WIDE, ClassCatalog, ClassInfo, map_catalogs
from deeplab_core.labels import apply_lut, check_labels


def catalog(*names: str, first: int = 0) -> ClassCatalog:
    infos = tuple(ClassInfo(first + place, name, (place % 256, place // 256, 7)) for place, name in enumerate(names))
    return ClassCatalog("test", "Test", infos)


WIDE = catalog("background", "chair", *(f"kind {number}" for number in range(300)))


@pytest.mark.parametrize("name", BUILTIN_NAMES)
def test_a_catalog_becomes_itself_unchanged(name: str) -> None:
    mapping = map_catalogs(get_catalog(name), get_catalog(name))
    assert mapping.identity
    assert mapping.unmatched == ()


def test_classes_that_the_field_calls_alike_stay_apart_where_a_catalog_has_both() -> None:
    both = catalog("table", "dining table", "couch", "sofa", "lane-1", "lane 1")
    assert map_catalogs(both, both).identity


def test_an_exact_name_wins_over_a_spelling_and_a_spelling_over_a_synonym() -> None:
    target = catalog("couch", "SOFA", "sofa")
    assert map_catalogs(catalog("sofa"), target).pairs == ((0, 2),)
    assert map_catalogs(catalog("so-fa"), target).pairs == ((0, 1),)
    assert map_catalogs(catalog("sofa"), catalog("chair", "couch")).pairs == ((0, 1),)


@pytest.mark.parametrize("target", ["cityscapes19", "cityscapes34"])
def test_street_scenes_have_partners_by_synonyms_for_exports_and_models_as_for_imports(target: str) -> None:
    source, street = get_catalog("camvid11"), get_catalog(target)
    mapping = map_catalogs(source, street)
    assert mapping.unmatched == ()
    named = {source.by_id(old).name: street.by_id(new).name for old, new in mapping.pairs if new is not None}
    assert {name: named[name] for name in ("pavement", "tree", "sign", "bicyclist", "pedestrian")} == {
        "pavement": "sidewalk", "tree": "vegetation", "sign": "traffic sign", "bicyclist": "rider", "pedestrian": "person",
    }  # fmt: skip


def test_a_synonym_of_several_classes_is_none() -> None:
    assert map_catalogs(catalog("sofa"), catalog("couch", "settee")).pairs == ((0, 0),)
    assert map_catalogs(catalog("television"), catalog("tv", "tv screen")).unmatched == ("television",)


def test_names_without_letters_or_digits_do_not_all_fall_together() -> None:
    signs = catalog("+", "-", "★")
    assert map_catalogs(signs, signs).identity
    assert map_catalogs(catalog("!"), signs).unmatched == ("!",)


def test_what_has_no_partner_is_named_and_becomes_void_once_agreed() -> None:
    source, target = catalog("background", "chair", "lamp"), catalog("chair", "background")
    mapping = map_catalogs(source, target)
    assert mapping.unmatched == ("lamp",)
    agreed = map_catalogs(source, target, {2: None})
    assert agreed.unmatched == ()
    labels = np.array([[0, 1, 2, 255]], np.uint8)
    assert apply_lut(labels, agreed.lut).tolist() == [[1, 0, 255, 255]]


def test_a_small_catalog_into_a_wide_one_takes_the_wide_void() -> None:
    mapping = map_catalogs(catalog("background", "chair", "kind 299"), WIDE)
    found = apply_lut(np.array([[0, 1, 2, 255]], np.uint8), mapping.lut)
    assert found.tolist() == [[0, 1, 301, IGNORE_WIDE]]
    check_labels(found, WIDE)


def test_a_wide_catalog_into_itself_and_into_a_small_one() -> None:
    labels = np.array([[0, 1, 255, 301, IGNORE_WIDE]], np.uint16)
    assert apply_lut(labels, map_catalogs(WIDE, WIDE).lut).tolist() == labels.tolist()
    small = catalog("chair", "kind 299")
    found = apply_lut(labels, map_catalogs(WIDE, small).lut)
    assert found.tolist() == [[255, 0, 255, 1, 255]]
    check_labels(found, small)
