"""What Atrous exports comes back: every pixel where the format can hold it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deeplab_core.catalogs import get_catalog
from deeplab_core.catalogs.catalog import ClassCatalog, ClassInfo
from deeplab_core.datasets import find_images
from deeplab_core.masks.export import FORMATS as EXPORTS
from deeplab_core.masks.export import ExportItem, export_masks, get_exporter
from deeplab_core.masks.importing import scan
from tests.unit.core.masks.samples import blobs, photograph

SHAPE = (41, 57)
#: Export -> the format that reads it; formats of regions cannot hold void beside a background, so they are tried without void.
READ_AS = {
    "indexed": "masks", "raw_ids": "masks", "ids_16bit": "masks", "color": "masks", "geotiff": "masks", "binary": "binary",
    "npy": "numpy", "npz": "numpy", "voc": "voc", "cityscapes": "cityscapes", "cityscapes_ids": "cityscapes",
    "cityscapes_train_ids": "cityscapes", "ade20k": "ade20k", "coco_rle": "coco", "coco_instances": "coco",
    "coco_panoptic": "coco_panoptic", "labelme": "labelme", "yolo": "yolo", "cvat_images": "cvat", "cvat_masks": "cvat_masks",
    "parquet": "parquet",
}  # fmt: skip
#: Formats of outlines that draw void as what is around it when they are read.
WITHOUT_VOID = frozenset({"yolo", "cvat_images", "cvat_masks"})
NAMES = [getattr(one, "name", one) for one in EXPORTS]
TRIED = [(name, classes) for name in NAMES if name != "overlay" for classes in ("voc21", "cityscapes19", "camvid11")]


def catalog_for(name: str, classes: str) -> ClassCatalog:
    return get_catalog("cityscapes19" if name.startswith("cityscapes") else classes)


@pytest.mark.parametrize(("name", "classes"), TRIED)
def test_what_is_exported_comes_back(tmp_path: Path, name: str, classes: str) -> None:
    assert name in READ_AS, "a new export needs a reader, or a word why it has none"
    catalog = catalog_for(name, classes)
    images = tmp_path / "images"
    maps = {f"{stem}.png": blobs(catalog, SHAPE, seed) for seed, stem in enumerate(("a", "b"))}
    if name in WITHOUT_VOID:
        fill = catalog.background if catalog.background is not None else int(catalog.ids[0])
        maps = {image: np.where(labels == catalog.ignore, fill, labels).astype(catalog.dtype) for image, labels in maps.items()}
    for image in maps:
        photograph(images / image, SHAPE)
    items = [
        ExportItem(name=image, catalog=catalog, labels=lambda labels=labels: labels, image_path=images / image)
        for image, labels in maps.items()
    ]
    summary = export_masks(items, get_exporter(name), tmp_path / "out")
    assert summary.failed == ()
    if name == "cityscapes":  # its layout gives the photographs names of its own
        images = tmp_path / "out/leftImg8bit"
        maps = dict(zip(find_images(images), maps.values(), strict=True))
    plan = scan(tmp_path / "out", images, find_images(images), format=READ_AS[name], mask_classes=catalog)
    # CVAT calls everything without a shape background; a catalog that has none is asked what that becomes.
    unlabelled = {"background": "void"} if name == "cvat_masks" and catalog.background is None else {}
    plan = plan.mapped(catalog, unlabelled)
    assert plan.mapping is not None
    assert plan.mapping.unmapped == ()
    assert [item.name for item in plan.items] == list(maps)
    for item in plan.items:
        assert np.array_equal(plan.read(item).labels, maps[item.name])


@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize("name", [name for name in NAMES if name in READ_AS])
def test_images_of_one_name_in_several_folders_keep_their_labels(tmp_path: Path, name: str, split: bool) -> None:
    catalog, images = catalog_for(name, "voc21"), tmp_path / "images"
    names = ["a.jpg", "b.png", "sub/a.jpg", "sub/b.jpg", "sub/deep/a.jpg"]
    maps = {one: np.full((4, 5), int(catalog.ids[number]), catalog.dtype) for number, one in enumerate(names)}
    for one in names:
        photograph(images / one, (4, 5))
    splits = ("train", "val") if split and name in ("voc", "yolo", "ade20k", "cityscapes") else ("",)
    items = [
        ExportItem(
            name=one, catalog=catalog, labels=lambda labels=labels: labels, image_path=images / one,
            split=splits[number % len(splits)],
        )
        for number, (one, labels) in enumerate(maps.items())
    ]  # fmt: skip
    assert export_masks(items, get_exporter(name), tmp_path / "out").failed == ()
    plan = scan(tmp_path / "out", images, names, format=READ_AS[name], mask_classes=catalog).mapped(catalog)
    assert plan.without_image == ()
    for item in plan.items:
        assert np.array_equal(plan.read(item).labels, maps[item.name])
    assert [item.name for item in plan.items] == names


@pytest.mark.parametrize("name", ["indexed", "raw_ids", "ids_16bit", "npy", "voc", "ade20k"])
def test_without_its_list_of_classes_an_export_has_those_of_its_marker(tmp_path: Path, name: str) -> None:
    classes = (ClassInfo(2, "wheat", (250, 200, 0)), ClassInfo(4, "weed", (0, 200, 0)), ClassInfo(1, "soil", (90, 60, 30)))
    catalog = ClassCatalog(name="field", title="Field", classes=classes)
    other = ClassCatalog(name="other", title="Other", classes=tuple(replace(info, id=n) for n, info in enumerate(classes)))
    image = "ADE_train_1.jpg" if name == "ade20k" else "a.jpg"  # by which the format knows masks without a list
    photograph(tmp_path / "images" / image, SHAPE)
    labels = blobs(catalog, SHAPE, 7)
    item = ExportItem(name=image, catalog=catalog, labels=lambda: labels, image_path=tmp_path / "images" / image)
    assert export_masks([item], get_exporter(name), tmp_path / "out").failed == ()
    for listed in ("labelmap.txt", "objectInfo.txt"):
        (tmp_path / "out" / listed).unlink(missing_ok=True)
    key = "voc" if name == "voc" else READ_AS[name]
    plan = scan(tmp_path / "out", tmp_path / "images", [image], format=key)
    assert {one.name for one in plan.classes} == {"wheat", "weed", "soil"}
    for target in (catalog, other):  # names count, not the numbers that other classes have in another project
        found = plan.mapped(target).read(plan.items[0]).labels
        for info in classes:
            assert np.array_equal(found == target.classes[target.names.index(info.name)].id, labels == info.id)


@pytest.mark.parametrize("name", [name for name in NAMES if name in READ_AS])
def test_exports_are_recognised(tmp_path: Path, name: str) -> None:
    catalog = catalog_for(name, "voc21")
    images = tmp_path / "images"
    photograph(images / "a.png", SHAPE)
    labels = blobs(catalog, SHAPE, 4)
    item = ExportItem(name="a.png", catalog=catalog, labels=lambda: labels, image_path=images / "a.png")
    assert export_masks([item], get_exporter(name), tmp_path / "out").failed == ()
    assert scan(tmp_path / "out", images, ["a.png"], mask_classes=catalog).format.key == READ_AS[name]


@pytest.mark.parametrize("name", [name for name in NAMES if name in READ_AS])
def test_an_export_says_who_set_the_pixels_in_which_frame_and_of_which_image(tmp_path: Path, name: str) -> None:
    """From its folder and from an archive of it; the size of a turned square photograph does not tell the frame."""
    catalog, side = catalog_for(name, "voc21"), 12
    (tmp_path / "images/north").mkdir(parents=True)
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.new("RGB", (side, side)).save(tmp_path / "images/north/a_1.jpg", exif=exif)
    labels = np.full((side, side), int(catalog.ids[1]), catalog.dtype)
    labels[:3, :4], labels[6:, 5:] = int(catalog.ids[2]), int(catalog.ids[0])
    codes = np.full(labels.shape, 1, np.uint8)
    codes[2:7, 1:4] = 3
    item = ExportItem(
        name="north/a_1.jpg", catalog=catalog, labels=lambda: labels, image_path=tmp_path / "images/north/a_1.jpg",
        provenance=lambda: codes,
    )  # fmt: skip
    assert export_masks([item], get_exporter(name), tmp_path / "out", provenance=True).failed == ()
    sources = [tmp_path / "out"]
    if name != "cvat_masks":  # is an archive already
        sources.append(Path(shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path, "out")))
    for source in sources:
        plan = scan(source, tmp_path / "images", [item.name], format=READ_AS[name], mask_classes=catalog).mapped(catalog)
        assert (plan.without_image, plan.unread, plan.recorded) == ((), (), catalog)
        found = plan.read(plan.items[0])
        assert np.array_equal(found.labels, labels)
        assert found.provenance is not None
        assert np.array_equal(found.provenance, codes)
