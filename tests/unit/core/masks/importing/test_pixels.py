"""Data sets that hold pixels: VOC, CVAT's mask archive, Cityscapes, KITTI, ADE20K, NumPy, parquet."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deeplab_core.catalogs import get_catalog
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.errors import AtrousError, LabelSourceError, UnmappedClasses
from deeplab_core.labels import apply_lut
from deeplab_core.masks.importing import scan
from deeplab_core.masks.png import write_indexed_png
from tests.unit.core.masks.samples import blobs

from .sources import HEIGHT, WIDTH, labelme, photographs, png, shape, write

VOC, CITY34, CITY19, ADE = (get_catalog(name) for name in ("voc21", "cityscapes34", "cityscapes19", "ade20k150"))


def labels_of(
    source: Path, images: Path, catalog: ClassCatalog, names: list[str], key: str, **options: object
) -> dict[str, np.ndarray]:
    plan = scan(source, images, names)
    assert plan.format.key == key
    assert plan.unread == ()
    mapped = plan.mapped(catalog, **options)  # type: ignore[arg-type]
    return {item.name: mapped.read(item).labels for item in mapped.items}


def grey(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)


def test_voc_layout_is_exact_and_counts_objects(tmp_path: Path) -> None:
    labels = blobs(VOC, (HEIGHT, WIDTH), 3)
    photographs(tmp_path / "set/JPEGImages", ["a.jpg"])
    (tmp_path / "set/SegmentationClass").mkdir()
    write_indexed_png(tmp_path / "set/SegmentationClass/a.png", labels, VOC)
    objects = np.zeros((HEIGHT, WIDTH), np.uint8)
    objects[:4], objects[6:8], objects[9] = 1, 2, 255
    grey(tmp_path / "set/SegmentationObject/a.png", objects)
    plan = scan(tmp_path / "set", tmp_path / "set/JPEGImages", ["a.jpg"]).mapped(VOC)
    assert plan.format.key == "voc"
    found = plan.read(plan.items[0])
    assert np.array_equal(found.labels, labels)
    assert (found.regions, found.instances, found.unlabelled) == (0, 2, 0)


@pytest.mark.parametrize("archive", [False, True])
def test_cvat_s_mask_archive_is_read_by_its_colours(tmp_path: Path, archive: bool) -> None:
    images = photographs(tmp_path / "images", ["a.jpg"])
    own = np.zeros((HEIGHT, WIDTH), np.uint8)
    own[3:9, 4:20], own[15:, 30:] = 15, 7
    folder = tmp_path / "masks"
    write(folder / "labelmap.txt", "# label:color_rgb:parts:actions\nbackground:0,0,0::\ncar:10,20,30::\nperson:1,2,3::\n")
    colors = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    colors[own == 15], colors[own == 7] = (1, 2, 3), (10, 20, 30)
    grey(folder / "SegmentationClass/a.png", colors)
    source = folder
    if archive:
        source = tmp_path / "masks.zip"
        with zipfile.ZipFile(source, "w") as packed:
            for path in folder.rglob("*.*"):
                packed.write(path, path.relative_to(folder))
    assert np.array_equal(labels_of(source, images, VOC, ["a.jpg"], "cvat_masks")["a.jpg"], own)


def test_class_names_of_labelme_s_converter(tmp_path: Path) -> None:
    images = photographs(tmp_path / "set/JPEGImages", ["a.jpg"])
    values = np.full((HEIGHT, WIDTH), 255, np.uint8)
    values[:5], values[5:9] = 0, 2
    grey(tmp_path / "set/SegmentationClass/a.png", values)
    grey(tmp_path / "set/SegmentationClassVisualization/a.png", np.zeros((4, 4, 3), np.uint8))
    write(tmp_path / "set/class_names.txt", "__ignore__\n_background_\ncat\nsofa\n")
    plan = scan(tmp_path / "set", images, ["a.jpg"])
    assert [entry.name for entry in plan.unread] == ["SegmentationClassVisualization/"]
    plan = plan.mapped(VOC)
    labels = plan.read(plan.items[0]).labels
    assert [int(labels[row, 0]) for row in (0, 6, 20)] == [0, 18, 255]


def test_an_undeclared_id_fails_alone(tmp_path: Path) -> None:
    images = photographs(tmp_path / "images", ["a.jpg"])
    grey(tmp_path / "set/SegmentationClass/a.png", np.full((HEIGHT, WIDTH), 77, np.uint8))
    plan = scan(tmp_path / "set", images, ["a.jpg"]).mapped(VOC)
    with pytest.raises(AtrousError, match="77"):
        plan.read(plan.items[0])


def cityscapes(folder: Path, stem: str, polygons: list[tuple[str, object]], **more: object) -> None:
    rows = [{"label": label, "polygon": polygon, **more} for label, polygon in polygons]
    write(folder / f"{stem}_gtFine_polygons.json", {"imgHeight": HEIGHT, "imgWidth": WIDTH, "objects": rows})


def test_cityscapes_label_ids_and_train_ids(tmp_path: Path) -> None:
    stem = "aachen_000000_000019"
    name = f"aachen/{stem}_leftImg8bit.png"
    images = photographs(tmp_path / "leftImg8bit", [name])
    ids = blobs(CITY34, (HEIGHT, WIDTH), 8)
    grey(tmp_path / f"gtFine/aachen/{stem}_gtFine_labelIds.png", ids)
    grey(tmp_path / f"gtFine/aachen/{stem}_gtFine_color.png", np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    found = labels_of(tmp_path / "gtFine", images, CITY19, [name], "cityscapes")[name]
    partner = np.full(256, 255, np.uint8)
    for info in CITY34.classes:
        match = next((one.id for one in CITY19.classes if one.name == info.name), 255)
        partner[info.id] = match
    assert np.array_equal(found, apply_lut(ids, partner))
    (tmp_path / f"gtFine/aachen/{stem}_gtFine_labelIds.png").unlink()
    trained = blobs(CITY19, (HEIGHT, WIDTH), 9)
    grey(tmp_path / f"gtFine/aachen/{stem}_gtFine_labelTrainIds.png", trained)
    assert np.array_equal(labels_of(tmp_path / "gtFine", images, CITY19, [name], "cityscapes")[name], trained)


def test_cityscapes_polygons_are_drawn_as_its_own_scripts_do(tmp_path: Path) -> None:
    from cityscapesscripts.helpers.annotation import Annotation
    from cityscapesscripts.preparation.json2labelImg import createLabelImage

    rng = np.random.default_rng(2)
    labels = ["road", "car", "cargroup", "license plate", "sky", "persongroup", "static", "ego vehicle", "out of roi"]
    images = photographs(tmp_path / "images", [f"x_{number}_leftImg8bit.png" for number in range(12)])
    expected = {}
    for number in range(12):
        polygons = [
            (labels[int(rng.integers(len(labels)))], rng.integers(-5, 45, (int(rng.integers(3, 9)), 2)).tolist())
            for _ in range(9)
        ]
        cityscapes(tmp_path / "gt", f"x_{number}", polygons)
        annotation = Annotation()
        annotation.fromJsonFile(str(tmp_path / f"gt/x_{number}_gtFine_polygons.json"))
        expected[f"x_{number}_leftImg8bit.png"] = np.asarray(createLabelImage(annotation, "ids"))
    found = labels_of(tmp_path / "gt", images, CITY34, list(expected), "cityscapes")
    assert {name: np.array_equal(found[name], labels) for name, labels in expected.items()} == dict.fromkeys(expected, True)


def test_a_class_that_cityscapes_does_not_have_is_asked_about(tmp_path: Path) -> None:
    images = photographs(tmp_path / "images", ["x_leftImg8bit.png"])
    cityscapes(tmp_path / "gt", "x", [("zebra crossing", [[1, 1], [9, 1], [9, 9]]), ("polegroup", [[20, 1], [29, 1], [29, 9]])])
    plan = scan(tmp_path / "gt", images, ["x_leftImg8bit.png"])
    with pytest.raises(UnmappedClasses, match="zebra crossing"):
        plan.mapped(CITY19).read(plan.items[0])
    chosen = plan.mapped(CITY19, {"zebra crossing": "road"})
    found = chosen.read(chosen.items[0])
    assert set(np.unique(found.labels).tolist()) == {0, 255}
    assert found.instances == 2


def test_kitti_layout(tmp_path: Path) -> None:
    name = "000000_10.png"
    images = photographs(tmp_path / "training/image_2", [name])
    ids = blobs(CITY34, (HEIGHT, WIDTH), 4)
    grey(tmp_path / "training/semantic" / name, ids)
    instances = np.zeros((HEIGHT, WIDTH), np.uint16)
    instances[:3], instances[5:8] = 26 * 256 + 1, 26 * 256 + 2
    grey(tmp_path / "training/instance" / name, instances)
    plan = scan(tmp_path / "training", images, [name]).mapped(CITY34)
    assert plan.format.key == "kitti"
    found = plan.read(plan.items[0])
    assert np.array_equal(found.labels, ids)
    assert found.instances == 2


def test_ade_ids(tmp_path: Path) -> None:
    images = photographs(tmp_path / "images/training", ["ADE_train_00000001.jpg"])
    ids = blobs(ADE, (HEIGHT, WIDTH), 4)
    stored = np.where(ids == ADE.ignore, 0, ids).astype(np.uint8)
    grey(tmp_path / "annotations/training/ADE_train_00000001.png", stored)
    found = labels_of(tmp_path, images, ADE, ["ADE_train_00000001.jpg"], "ade20k")
    assert np.array_equal(found["ADE_train_00000001.jpg"], ids)


def ade_full(folder: Path, stem: str, codes: np.ndarray, objects: np.ndarray) -> None:
    colors = np.stack((codes // 256 * 10, codes % 256, objects), axis=-1).astype(np.uint8)
    grey(folder / f"{stem}_seg.png", colors)
    grey(folder / f"{stem}_parts_1.png", np.zeros((HEIGHT, WIDTH, 3), np.uint8))


@pytest.mark.parametrize("names", ["json", "txt"])
def test_the_full_ade_encoding(tmp_path: Path, names: str) -> None:
    images = photographs(tmp_path / "set", ["ADE_1.jpg"])
    codes, objects = np.zeros((HEIGHT, WIDTH), int), np.zeros((HEIGHT, WIDTH), int)
    codes[:5], objects[:5] = 2978, 40
    codes[6:9], objects[6:9] = 976, 80
    codes[10:12], objects[10:12] = 976, 200
    ade_full(tmp_path / "set", "ADE_1", codes, objects)
    if names == "json":
        rows = [
            {"name": "wall", "name_ndx": 2978, "parts": {"part_level": 0}},
            {"name": "floor, flooring", "name_ndx": 976, "parts": {"part_level": 0}},
            {"name": "door", "name_ndx": 774, "parts": {"part_level": 1}},
        ]
        write(tmp_path / "set/ADE_1.json", {"annotation": {"object": rows}})
    else:
        lines = [
            '001 # 0 # 0 # wall # wall # ""',
            '002 # 0 # 0 # floor, flooring # floor # ""',
            '003 # 0 # 0 # floor, flooring # f # ""',
        ]
        write(tmp_path / "set/ADE_1_atr.txt", "\n".join([*lines, '003 # 1 # 0 # door # d # ""']))
    plan = scan(tmp_path / "set", images, ["ADE_1.jpg"])
    assert plan.format.key == "ade20k_full"
    assert {one.name for one in plan.classes} == {"wall", "floor, flooring"}
    assert [entry.name for entry in plan.unread] == ["ADE_1_parts_1.png"]
    plan = plan.mapped(ADE)
    found = plan.read(plan.items[0])
    ids = {info.name: info.id for info in ADE.classes}
    assert [int(found.labels[row, 0]) for row in (0, 5, 7, 11)] == [ids["wall"], 255, ids["floor"], ids["floor"]]
    assert found.instances == 3


def test_codes_without_names_are_asked_about(tmp_path: Path) -> None:
    images = photographs(tmp_path / "set", ["ADE_1.jpg"])
    ade_full(tmp_path / "set", "ADE_1", np.full((HEIGHT, WIDTH), 300), np.ones((HEIGHT, WIDTH)))
    assert scan(tmp_path / "set", images, ["ADE_1.jpg"]).mapped(ADE).mapping.unmapped == ("object 300",)  # type: ignore[union-attr]


def test_numpy_arrays_hold_the_project_s_ids(tmp_path: Path) -> None:
    images = photographs(tmp_path / "images", ["a.jpg", "b.jpg", "c.jpg", "d.jpg"])
    maps = {name: blobs(VOC, (HEIGHT, WIDTH), seed) for seed, name in enumerate("abcd")}
    source = tmp_path / "arrays"
    source.mkdir()
    np.save(source / "a.npy", maps["a"].astype(np.int64))
    np.savez(source / "b.npz", labels=maps["b"], scores=np.zeros((3, 4, 5)))
    np.savez_compressed(source / "rest.npz", c=maps["c"], d=maps["d"])
    np.save(source / "volume.npy", np.zeros((3, 4, 5)))
    plan = scan(source, images, ["a.jpg", "b.jpg", "c.jpg", "d.jpg"]).mapped(VOC)
    assert plan.format.key == "numpy"
    assert {item.name: np.array_equal(plan.read(item).labels, maps[item.name[0]]) for item in plan.items} == {
        f"{name}.jpg": True for name in maps
    }
    assert {entry.name for entry in plan.unread} == {"b.npz: scores", "volume.npy"}


def test_numpy_archives_may_name_their_ids(tmp_path: Path) -> None:
    images = photographs(tmp_path / "images", ["a.jpg"])
    labels = np.zeros((HEIGHT, WIDTH), np.uint8)
    labels[3:6], labels[8:] = 1, 255
    (tmp_path / "in").mkdir()
    np.savez(
        tmp_path / "in/a.npz", labels=labels, ids=np.array([0, 1]), names=np.array(["background", "couch"]), void=np.array(255)
    )
    plan = scan(tmp_path / "in", images, ["a.jpg"]).mapped(VOC)
    assert plan.unread == ()
    found = plan.read(plan.items[0]).labels
    assert [int(found[row, 0]) for row in (0, 4, 9)] == [0, 18, 255]


def test_ids_that_the_project_lacks_are_asked_about(tmp_path: Path) -> None:
    images = photographs(tmp_path / "images", ["a.jpg"])
    (tmp_path / "in").mkdir()
    np.save(tmp_path / "in/a.npy", np.full((HEIGHT, WIDTH), 99))
    plan = scan(tmp_path / "in", images, ["a.jpg"])
    assert plan.mapped(VOC).mapping.unmapped == ("99",)  # type: ignore[union-attr]
    assert plan.own_catalog().ids.tolist() == [99]
    chosen = plan.mapped(VOC, {"99": "cat"})
    assert np.unique(chosen.read(chosen.items[0]).labels).tolist() == [8]


def test_a_pickle_is_never_loaded(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    np.save(tmp_path / "in/a.npy", np.array([{"a": 1}], object), allow_pickle=True)
    plan = scan(tmp_path / "in", tmp_path, ["a.jpg"])
    assert (len(plan.items), len(plan.unread)) == (0, 1)


def test_a_map_of_scores_is_no_label_map(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    np.save(tmp_path / "in/a.npy", np.arange(5000, dtype=np.uint16).reshape(50, 100))
    with pytest.raises(LabelSourceError, match="2,000 different values"):
        scan(tmp_path / "in", tmp_path, ["a.jpg"])


@pytest.mark.parametrize("cells", ["struct", "bytes"])
def test_parquet_pairs(tmp_path: Path, cells: str) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    import pyarrow.parquet as parquet

    images = tmp_path / "images"
    images.mkdir()
    maps = [blobs(VOC, (HEIGHT, WIDTH), seed) for seed in range(40)]
    photograph = png(np.full((HEIGHT, WIDTH, 3), 50, np.uint8))

    def cell(data: bytes, path: str) -> object:
        return {"bytes": data, "path": path} if cells == "struct" else data

    columns = {
        "image": [cell(photograph, f"p{number}.png") for number in range(40)],
        "mask": [cell(png(labels), f"m{number}.png") for number, labels in enumerate(maps)],
        "id": [f"p{number}" for number in range(40)],
    }
    (tmp_path / "in").mkdir()
    parquet.write_table(pyarrow.table(columns), tmp_path / "in/train-00000.parquet", row_group_size=15)
    names = [f"p{number}.png" for number in range(40)]
    plan = scan(tmp_path / "in", images, names).mapped(VOC)
    assert plan.format.key == "parquet"
    assert [name for name, error in plan.extract() if error is None] == names
    assert [item.name for item in plan.items] == names
    assert [np.array_equal(plan.read(item).labels, labels) for item, labels in zip(plan.items, maps, strict=True)] == [True] * 40


def test_a_table_without_masks_is_refused(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    import pyarrow.parquet as parquet

    parquet.write_table(pyarrow.table({"image": [b"x"], "text": ["a"]}), tmp_path / "a.parquet")
    with pytest.raises(LabelSourceError, match="no column of images with one of masks"):
        scan(tmp_path / "a.parquet", tmp_path, [])


def test_without_datumaro_the_error_says_how_to_install_it(tmp_path: Path) -> None:
    write(tmp_path / "in/a.json", labelme("a.jpg", shape("car", [[1, 1], [5, 1], [5, 5]])))
    with pytest.raises(LabelSourceError, match=r"atrous\[formats\]"):
        scan(tmp_path / "in", tmp_path, [], format="datumaro")
    assert json.loads((tmp_path / "in/a.json").read_text())


@pytest.mark.parametrize("key", ["voc", "cvat_masks"])
def test_masks_in_folders_of_their_own_are_found(tmp_path: Path, key: str) -> None:
    images = photographs(tmp_path / "images", ["one/a.jpg", "two/a.jpg"])
    objects = np.zeros((HEIGHT, WIDTH), np.uint8)
    objects[:4] = 3
    drawn = {name: blobs(VOC, (HEIGHT, WIDTH), number) for number, name in enumerate(("one", "two"))}
    for name, labels in drawn.items():
        (tmp_path / f"set/SegmentationClass/{name}").mkdir(parents=True)
        write_indexed_png(tmp_path / f"set/SegmentationClass/{name}/a.png", labels, VOC)
        grey(tmp_path / f"set/SegmentationObject/{name}/a.png", objects)
    if key == "cvat_masks":
        lines = [f"{info.name}:{','.join(map(str, info.color))}::" for info in VOC.classes]
        write(tmp_path / "set/labelmap.txt", "\n".join([*lines, "void:224,224,192::"]))
    found = labels_of(tmp_path / "set", images, VOC, ["one/a.jpg", "two/a.jpg"], key)
    assert all(np.array_equal(found[f"{name}/a.jpg"], labels) for name, labels in drawn.items())
    plan = scan(tmp_path / "set", images, ["one/a.jpg", "two/a.jpg"]).mapped(VOC)
    assert plan.read(plan.items[0]).instances == 1


def test_a_new_project_gets_the_ids_of_cityscapes(tmp_path: Path) -> None:
    images = photographs(tmp_path / "images", ["x.png"])
    cityscapes(tmp_path / "gt", "x", [("road", [[0, 9], [30, 9], [30, 29]])])
    own = scan(tmp_path / "gt", images, ["x.png"]).own_catalog()
    assert {info.id: info.name for info in own.classes} == {info.id: info.name for info in CITY34.classes}
    assert own.background is None


def test_one_strange_colour_is_not_taken_for_ids_in_three_channels(tmp_path: Path) -> None:
    images = photographs(tmp_path / "images", ["a.jpg"])
    colors = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    colors[3:9], colors[0, 0] = (1, 2, 3), (9, 9, 9)
    grey(tmp_path / "set/SegmentationClass/a.png", colors)
    write(tmp_path / "set/labelmap.txt", "background:0,0,0::\ncar:1,2,3::\n")
    plan = scan(tmp_path / "set", images, ["a.jpg"])
    plan = plan.mapped(plan.own_catalog())
    with pytest.raises(AtrousError, match=r"\(9, 9, 9\)") as caught:
        plan.read(plan.items[0])
    assert "three channels" not in str(caught.value)


def test_a_voc_data_set_with_a_labelmap_is_not_taken_for_an_archive_of_cvat(tmp_path: Path) -> None:
    source = tmp_path / "voc"
    for folder in ("SegmentationClass", "JPEGImages"):
        (source / folder).mkdir(parents=True)
    Image.new("P", (4, 3), 1).save(source / "SegmentationClass" / "a.png")
    (source / "labelmap.txt").write_text("# label:color_rgb:parts:actions\nbackground:0,0,0::\nchair:192,0,0::\n")
    assert scan(source, tmp_path, ["a.jpg"]).format.key == "cvat_masks"
    Image.new("RGB", (4, 3)).save(source / "JPEGImages" / "a.jpg")
    assert scan(source, tmp_path, ["a.jpg"]).format.key == "voc"
