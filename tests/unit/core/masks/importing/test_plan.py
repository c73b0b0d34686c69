"""Recognising, matching and mapping: certain, or an error that names the remedy."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from deeplab_core.catalogs import get_catalog
from deeplab_core.errors import LabelSourceError, UnmappedClasses
from deeplab_core.masks.importing import FORMATS, SourceClass, get_format, map_classes, scan
from deeplab_core.masks.importing.formats import reader_class
from deeplab_core.masks.importing.matching import ImageNames
from deeplab_core.masks.importing.source import is_inside, open_source

from .sources import CATALOG, NAMES, SQUARE, coco, labelme, photographs, planned, read_all, shape, write


def how(name: str, catalog: str, **more: object) -> tuple[str | None, str]:
    known = get_catalog(catalog)
    (pair,) = map_classes([SourceClass(name=name, **more)], known).pairs  # type: ignore[arg-type]
    return None if pair.target is None else known.by_id(pair.target).name, pair.how


@pytest.mark.parametrize(
    ("name", "catalog", "expected"),
    [
        ("road", "cityscapes19", ("road", "name")),
        ("Traffic_Light", "cityscapes19", ("traffic light", "name")),
        ("pavement", "cityscapes19", ("sidewalk", "synonym")),
        ("sidewalk", "camvid11", ("pavement", "synonym")),
        ("tree", "cityscapes19", ("vegetation", "synonym")),
        ("vegetation", "camvid11", ("tree", "synonym")),
        ("bicyclist", "cityscapes19", ("rider", "synonym")),
        ("rider", "camvid11", ("bicyclist", "synonym")),
        ("couch", "voc21", ("sofa", "synonym")),
        ("tv", "voc21", ("tvmonitor", "synonym")),
        ("airplane", "voc21", ("aeroplane", "synonym")),
        ("pedestrian", "voc21", ("person", "synonym")),
        ("_background_", "voc21", ("background", "name")),
        ("zebra", "voc21", (None, "open")),
        ("__ignore__", "voc21", (None, "name")),
        ("void", "voc21", (None, "name")),
        ("house", "cityscapes19", (None, "open")),
    ],
)
def test_names_and_synonyms(name: str, catalog: str, expected: tuple[str | None, str]) -> None:
    assert how(name, catalog) == expected


def test_the_source_s_own_aliases_and_marks_count() -> None:
    assert how("3", "voc21", aliases=("bird",)) == ("bird", "name")
    assert how("ego vehicle", "cityscapes19", ignored=True) == (None, "format")
    assert how("rest", "voc21", background=True) == ("background", "format")
    assert how("rest", "cityscapes19", background=True) == (None, "open")


def test_a_synonym_that_fits_two_classes_is_asked_about() -> None:
    catalog = get_catalog("ade20k150")
    assert sum(one.name in ("person", "plant") for one in catalog.classes) == 2
    (pair,) = map_classes([SourceClass(name="potted plant")], catalog).pairs
    assert pair.how == "synonym"
    both = map_classes([SourceClass(name="trees")], get_catalog("ade20k150"))
    assert both.pairs[0].how == "synonym"


def test_nothing_becomes_void_without_being_asked(tmp_path: Path) -> None:
    images = photographs(tmp_path)
    write(images / "a.json", labelme("a.jpg", shape("road", SQUARE), shape("zebra", SQUARE), shape("yak", SQUARE)))
    plan = planned(images, images)
    assert plan.mapping is not None
    assert plan.mapping.unmapped == ("zebra", "yak")
    with pytest.raises(UnmappedClasses, match=r"zebra, yak.*--map 'zebra=background'"):
        plan.read(plan.items[0])
    with pytest.raises(UnmappedClasses, match="yak"):
        planned(images, images, {"zebra": "car"}).read(plan.items[0])
    chosen = planned(images, images, {"zebra": "car", "yak": "void"})
    labels = chosen.read(chosen.items[0]).labels
    assert np.unique(labels).tolist() == [0, CATALOG.ignore]
    with pytest.raises(LabelSourceError, match="no class 'yeti'"):
        planned(images, images, {"yeti": "car"})
    with pytest.raises(LabelSourceError, match="has no class 'truck'"):
        planned(images, images, {"yak": "truck"})


def test_pixels_without_a_region_are_what_the_user_says(tmp_path: Path) -> None:
    images = photographs(tmp_path)
    write(images / "a.json", labelme("a.jpg", shape("car", SQUARE)))
    plan = planned(images, images)
    assert plan.read(plan.items[0]).labels[29, 39] == 0
    assert plan.read(plan.items[0], rest="void").labels[29, 39] == CATALOG.ignore
    assert plan.read(plan.items[0], rest="road").labels[29, 39] == 1
    with pytest.raises(LabelSourceError, match="no class 'lane'"):
        plan.read(plan.items[0], rest="lane")
    without = plan.mapped(get_catalog("cityscapes19"))
    assert without.read(without.items[0]).labels[29, 39] == 255


def test_two_formats_in_one_folder_are_asked_about(tmp_path: Path) -> None:
    images = photographs(tmp_path)
    write(images / "a.json", labelme("a.jpg", shape("car", SQUARE)))
    write(images / "all.json", coco())
    with pytest.raises(LabelSourceError, match=r"labelme \(labelme JSON\), coco \(COCO instances\)"):
        scan(images, images, NAMES)
    assert [item.name for item in scan(images, images, NAMES, format="labelme").items] == ["a.jpg"]
    with pytest.raises(LabelSourceError, match="no format 'word'"):
        scan(images, images, NAMES, format="word")


def test_two_label_files_for_one_image_are_not_taken(tmp_path: Path) -> None:
    images = photographs(tmp_path / "images")
    write(tmp_path / "json/1/a.json", labelme("a.jpg", shape("car", SQUARE)))
    write(tmp_path / "json/2/a.json", labelme("a.jpg", shape("road", SQUARE)))
    plan = planned(tmp_path / "json", images)
    assert plan.items == ()
    assert ["Several label files" in entry.why for entry in plan.without_image] == [True, True]


def test_a_zip_file_is_read_without_being_trusted(tmp_path: Path) -> None:
    import json

    images = photographs(tmp_path / "images")
    path = tmp_path / "labels.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("set/a.json", "../up.json", "/top.json", "C:\\x.json", "__MACOSX/a.json", "set/.hidden.json"):
            archive.writestr(name, json.dumps(labelme("a.jpg", shape("car", SQUARE))))
    source = open_source(path)
    assert source.names == ("set/a.json",)
    place = source.local("set/a.json")
    assert place.is_file()
    assert not source.has("../up.json")
    plan = planned(path, images)
    assert read_all(plan)["a.jpg"].regions == 1
    del source
    assert not place.exists()


def test_a_member_that_unpacks_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from deeplab_core.masks.importing import source as module

    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.json", bytes(300_000))
    monkeypatch.setattr(module, "MAX_MEMBER", 200_000)
    with pytest.raises(LabelSourceError, match="300,000 bytes"):
        open_source(path).local("a.json")
    data = bytearray(path.read_bytes())
    place = data.rindex(b"PK\x01\x02") + 24
    data[place : place + 4] = (100).to_bytes(4, "little")  # the directory lies about the size
    path.write_bytes(data)
    with pytest.raises(LabelSourceError):
        open_source(path).local("a.json")


@pytest.mark.parametrize("name", ["", "/a", "../a", "a/../../b", "a\\b", "C:x", "a\0b"])
def test_names_that_lead_out_are_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    assert not is_inside(name)
    assert not open_source(tmp_path / "in").has(name)


def test_a_damaged_zip_file_and_a_missing_source_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"PK no zip")
    with pytest.raises(LabelSourceError, match=r"a\.zip"):
        open_source(tmp_path / "a.zip")
    with pytest.raises(LabelSourceError, match="no such file"):
        open_source(tmp_path / "gone")


def test_images_are_found_by_four_rules() -> None:
    names = ["x/a.jpg", "y/a.jpg", "b.jpeg", "aachen_1_leftImg8bit.png", "v1.5.png", "y/deep/c.png", "z/deep/c.png"]
    images = ImageNames(names)
    assert images.find("x/a.jpg") == ("x/a.jpg",)
    assert images.find("/home/me/y/a.jpg") == ("y/a.jpg",)
    assert set(images.find("a.jpg")) == {"x/a.jpg", "y/a.jpg"}
    assert images.find("b.jpg") == ("b.jpeg",)
    assert images.find("b") == ("b.jpeg",)
    assert images.find("aachen_1_gtFine_labelIds.png") == ("aachen_1_leftImg8bit.png",)
    assert images.find("v1.5") == ("v1.5.png",)
    assert images.find("/data/upload/3/1234abcd-b.jpeg") == ("b.jpeg",)
    assert images.find("/data/local-files/?d=z/deep/c.png") == ("z/deep/c.png",)
    assert images.find("nothing.jpg") == ()


def test_the_image_in_the_folder_of_the_name_is_meant() -> None:
    images = ImageNames(["a.jpg", "sub/a.jpg", "sub/x/a.jpg", "sub/sub/a.jpg"])
    assert images.find("a") == images.find("a_mask.png") == ("a.jpg",)
    assert images.find("sub/a.png") == ("sub/a.jpg",)
    assert images.find("x/a.png") == ("sub/x/a.jpg",)
    assert len(images.find("other/a.png")) == 4


def test_the_table_of_formats_is_complete() -> None:
    assert len({one.key for one in FORMATS}) == len({one.title for one in FORMATS}) == len(FORMATS)
    for one in FORMATS:
        assert get_format(one.key) is one
        assert reader_class(one).format_key == one.key
        assert one.rule
        assert one.layout
        assert one.lost


def test_the_rules_of_every_format_are_written_down() -> None:
    page = (Path(__file__).parents[5] / "docs/formats.md").read_text(encoding="utf-8")
    rules = page.split("## Import rules", 1)[1]
    assert [one.key for one in FORMATS if f"(`{one.key}`)" not in rules] == []
