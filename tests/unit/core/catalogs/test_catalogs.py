"""Built-in catalogs are what the data sets publish; a user's file is read or refused with a reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from deeplab_core.catalogs import BUILTIN_NAMES, builtin_catalogs, get_catalog, save_catalog, voc_color
from deeplab_core.catalogs.builtin import BUILTIN_TITLES
from deeplab_core.catalogs.catalog import ClassCatalog, ClassInfo
from deeplab_core.errors import CatalogError, StorageError


def test_titles_of_builtin_catalogs_can_be_translated() -> None:
    assert [catalog.title for catalog in builtin_catalogs().values()] == list(BUILTIN_TITLES)


def test_builtin_catalogs_have_the_published_sizes_and_void_values() -> None:
    facts = {name: (len(c), c.file_ignore, c.background) for name, c in builtin_catalogs().items()}
    assert facts == {
        "voc21": (21, 255, 0),
        "cityscapes19": (19, 255, None),
        "cityscapes34": (34, 255, None),
        "camvid11": (11, 11, None),
        "ade20k150": (150, 0, None),
    }


def test_voc_colours_follow_the_bit_rule() -> None:
    voc = get_catalog("voc21")
    assert [info.color for info in voc.classes] == [voc_color(info.id) for info in voc.classes]
    assert voc.by_id(9).color == (192, 0, 0)
    assert voc.by_id(18).color == (0, 192, 0)
    assert voc_color(255) == voc.ignore_color == (224, 224, 192)


def test_cityscapes_train_ids_carry_the_names_and_colours_of_their_label_ids() -> None:
    label_ids = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
    by_label = get_catalog("cityscapes34")
    by_train = get_catalog("cityscapes19")
    assert [(i.name, i.color) for i in by_train.classes] == [(by_label.by_id(n).name, by_label.by_id(n).color) for n in label_ids]


def test_camvid_and_ade_spot_checks() -> None:
    camvid, ade = get_catalog("camvid11"), get_catalog("ade20k150")
    assert camvid.by_id(4).color == (60, 40, 222)
    assert [ade.by_id(n).name for n in (1, 16, 20, 24, 31, 76, 150)] == [
        "wall", "table", "chair", "sofa", "armchair", "swivel chair", "flag",
    ]  # fmt: skip
    assert 0 not in ade.ids


@pytest.mark.parametrize("name", BUILTIN_NAMES)
def test_first_ten_classes_have_number_keys(name: str) -> None:
    keys = [info.key for info in get_catalog(name).classes]
    assert "".join(keys[:10]) == "1234567890"
    assert not any(keys[10:])


@pytest.mark.parametrize("suffix", [".json", ".yaml", ".yml"])
@pytest.mark.parametrize("name", BUILTIN_NAMES)
def test_saving_and_loading_gives_the_same_catalog(tmp_path: Path, name: str, suffix: str) -> None:
    path = tmp_path / f"klassen ä{suffix}"
    save_catalog(get_catalog(name), path)
    assert get_catalog(path) == get_catalog(name)


def test_short_yaml_form_fills_in_ids_colours_and_keys(tmp_path: Path) -> None:
    path = tmp_path / "rooms.yaml"
    path.write_text("classes:\n  - floor\n  - {name: chair, color: '#ff8000'}\n  - {name: lamp, id: 7, color: [1, 2, 3]}\n")
    catalog = get_catalog(path)
    assert catalog.name == "rooms"
    assert catalog.classes == (
        ClassInfo(0, "floor", voc_color(0), "1"),
        ClassInfo(1, "chair", (255, 128, 0), "2"),
        ClassInfo(7, "lamp", (1, 2, 3), "3"),
    )


def test_own_keys_are_kept_and_others_get_none(tmp_path: Path) -> None:
    path = tmp_path / "rooms.yaml"
    path.write_text("classes: [{name: floor}, {name: chair, key: c}]")
    assert [info.key for info in get_catalog(path).classes] == ["", "c"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{", "YAML"),
        ("classes: 3", "no list 'classes'"),
        ("[1, 2]", "no list 'classes'"),
        ("classes: []", "has no classes"),
        ("classes: [{id: 1}]", "class 1"),
        ("classes: [a, {name: b, id: x}]", "class 2 ('b')"),
        ("classes: [{name: b, color: [1, 2]}]", "not a colour"),
        ("classes: [{name: b, color: '#12345g'}]", "not a colour"),
        ("classes: [{name: b, color: [1, 2, 300]}]", "not a colour"),
        ("classes: [{name: a, id: 3}, {name: b, id: 3}]", "3 twice"),
        ("classes: [a, a]", "has the class 'a' twice"),
        ("classes: [{name: a, id: -1}]", "out of range"),
        ("{file_ignore: 0, classes: [a, b]}", "also the id of 'a'"),
        ("{file_ignore: 70000, classes: [a, b]}", "does not fit"),
        ("classes: [{name: a, key: xy}]", "longer than one"),
        ("classes: [{name: a, key: x}, {name: b, key: x}]", "share the key"),
        ("{background: 9, classes: [a]}", "background id 9"),
    ],
)
def test_malformed_files_are_named_with_what_is_wrong(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(CatalogError) as caught:
        get_catalog(path)
    assert expected in str(caught.value)
    assert caught.value.path == path
    assert caught.value.remedy


def test_broken_json_says_the_line(tmp_path: Path) -> None:
    path = tmp_path / "bad.json"
    path.write_text('{\n"name": oops}')
    with pytest.raises(CatalogError, match="Line 2"):
        get_catalog(path)


def test_missing_undecodable_and_unknown_catalogs(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="does not exist"):
        get_catalog(tmp_path / "none.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"classes: [\xe4]")
    with pytest.raises(CatalogError, match="UTF-8"):
        get_catalog(tmp_path / "latin.yaml")
    with pytest.raises(CatalogError, match="voc21"):
        get_catalog("voc22")


def test_saving_refuses_other_endings_and_missing_folders(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match=r"\.json or \.yaml"):
        save_catalog(get_catalog("voc21"), tmp_path / "catalog.txt")
    with pytest.raises(StorageError):
        save_catalog(get_catalog("voc21"), tmp_path / "missing" / "catalog.json")


def test_a_catalog_beyond_254_classes_is_wide(tmp_path: Path) -> None:
    path = tmp_path / "wide.yaml"
    path.write_text("file_ignore: 65535\nclasses: [" + ", ".join(f"c{n}" for n in range(300)) + "]")
    catalog: ClassCatalog = get_catalog(path)
    assert catalog.wide
    assert catalog.ignore == 65535
