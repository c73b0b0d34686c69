"""Every format of the table comes back pixel by pixel through a reader that shares no code with it."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from deeplab_core.catalogs import get_catalog
from deeplab_core.catalogs.catalog import ClassCatalog, ClassInfo
from deeplab_core.errors import AtrousError, ExportError
from deeplab_core.masks import MARKER_NAME, read_marker
from deeplab_core.masks.export import EXPORTERS, FORMATS, ExportItem, Loss, export_masks, get_exporter, measure_losses
from deeplab_core.masks.export.exporter import CollectionExporter, FileExporter, LayoutExporter

from .readers import READERS
from .samples import WIDE, blobs, label_maps, photograph

VOC = get_catalog("voc21")
#: No background, ids with gaps, names that are not file names.
OWN = ClassCatalog(
    name="own",
    title="Own classes",
    classes=(ClassInfo(3, "dry crack", (10, 200, 30)), ClassInfo(7, "a/b", (200, 20, 30)), ClassInfo(8, "A_b", (1, 2, 250))),
    file_ignore=99,
    ignore_color=(9, 9, 9),
)
PICTURES_ONLY = {"overlay"}
BENCHMARK = {
    "cityscapes": get_catalog("cityscapes34"),
    "cityscapes_ids": get_catalog("cityscapes34"),
    "cityscapes_train_ids": get_catalog("cityscapes19"),
}
#: Formats without a value for void in their files: it comes back as this catalog's unlabelled class.
WITHOUT_VOID = {"cityscapes", "cityscapes_ids", "yolo", "cvat_images", "cvat_masks"}
#: Formats with the photographs in their files.
WITH_PHOTOGRAPHS = {"parquet"}

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning")


def item(name: str, labels: np.ndarray, catalog: ClassCatalog = VOC, image: Path | None = None, split: str = "") -> ExportItem:
    return ExportItem(name=name, catalog=catalog, labels=lambda: labels, image_path=image, split=split)


def catalogs_of(form: str) -> list[ClassCatalog]:
    return [BENCHMARK[form]] if form in BENCHMARK else [VOC, OWN, get_catalog("camvid11")]


def in_file(form: str, labels: np.ndarray, catalog: ClassCatalog) -> np.ndarray:
    """The labels as the format keeps them, if it has no value for void."""
    rest = 0 if form in BENCHMARK else catalog.background
    return np.where(labels == catalog.ignore, rest, labels) if form in WITHOUT_VOID and rest is not None else labels


def test_every_format_has_a_reader_here() -> None:
    assert set(READERS) == set(FORMATS) - PICTURES_ONLY


@pytest.mark.parametrize("form", list(READERS))
@settings(max_examples=8, deadline=None)
@given(data=st.data())
def test_every_map_comes_back(form: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    catalog = data.draw(st.sampled_from(catalogs_of(form)))
    maps = {f"im{n}.jpg": data.draw(label_maps(catalog, max_side=14)) for n in range(data.draw(st.integers(1, 2)))}
    target = tmp_path_factory.mktemp("export")
    items = [item(name, labels, catalog, _photo(form, target, name, labels)) for name, labels in maps.items()]
    summary = export_masks(items, _exporter(form), target)
    assert summary.failed == ()
    found = READERS[form](target, items, catalog)
    assert {name: loss.pixels for name, loss in summary.losses.items() if loss.pixels} == {}
    for name, labels in maps.items():
        assert np.array_equal(found[name], in_file(form, labels, catalog))


@pytest.mark.parametrize("form", [name for name in FORMATS if name not in PICTURES_ONLY])
def test_the_marker_names_what_wrote_the_files(form: str, tmp_path: Path) -> None:
    catalog = catalogs_of(form)[0]
    labels = blobs(catalog)
    photo = _photo(form, tmp_path, "a.jpg", labels)
    entry = ExportItem(name="a.jpg", catalog=catalog, labels=lambda: labels, image_path=photo, models=lambda: ("rooms@1",))
    assert export_masks([entry], _exporter(form), tmp_path).failed == ()
    marker = read_marker(tmp_path)
    assert marker is not None
    assert marker.kind == "export"
    assert marker.models == ("rooms@1",)
    assert marker.catalog is not None
    assert len(json.loads((tmp_path / MARKER_NAME).read_text())["catalog_version"]) == 12
    if not isinstance(_exporter(form), CollectionExporter):
        pictures = [path for path in tmp_path.rglob("*.png") if path.is_file()]
        assert all(marker.wrote(path) for path in pictures)


@pytest.mark.parametrize(
    "form",
    [
        "raw_ids",
        "ids_16bit",
        "npy",
        "npz",
        "binary",
        "geotiff",
        "coco_rle",
        "coco_instances",
        "coco_panoptic",
        "labelme",
        "yolo",
        "cvat_images",
    ],
)
def test_more_than_254_classes(form: str, tmp_path: Path) -> None:
    labels = blobs(WIDE)
    items = [item("a.jpg", labels, WIDE)]
    assert export_masks(items, _exporter(form), tmp_path).failed == ()
    assert np.array_equal(READERS[form](tmp_path, items, WIDE)["a.jpg"], labels)


@pytest.mark.parametrize("form", ["voc", "ade20k"])
def test_layouts_of_8_bit_refuse_more_classes(form: str, tmp_path: Path) -> None:
    try:
        failed = [error for _, error in export_masks([item("a.jpg", blobs(WIDE), WIDE)], _exporter(form), tmp_path).failed]
    except ExportError as error:
        failed = [error]
    assert failed
    assert all(error.remedy for error in failed)


@pytest.mark.parametrize(
    ("form", "name"),
    [
        ("voc", "a:b"), ("voc", "#a"), ("voc", "Void"), ("voc", "a\nb"), ("cvat_masks", "a:b"), ("cvat_masks", "#a"),
        ("ade20k", "a\tb"), ("ade20k", "a\nb"), ("cvat_images", "a\0b"),
    ],
)  # fmt: skip
def test_class_names_that_the_list_cannot_hold_are_refused_before_the_first_file(form: str, name: str, tmp_path: Path) -> None:
    catalog = ClassCatalog(name="own", title="Own", classes=(ClassInfo(0, "road", (9, 9, 9)), ClassInfo(1, name, (1, 2, 3))))
    items = [item("a.jpg", np.zeros((3, 4), np.uint8), catalog)]  # the class need not occur
    with pytest.raises(ExportError) as refused:
        measure_losses(items, get_exporter(form))
    assert refused.value.remedy
    try:
        failed = [error for _, error in export_masks(items, get_exporter(form), tmp_path / "out").failed]
    except ExportError as error:
        failed = [error]
    assert [str(error) for error in failed] == [str(refused.value)]
    assert not (tmp_path / "out").exists()


def changed(labels: np.ndarray) -> np.ndarray:
    """The same map with another class in one pixel."""
    found = labels.copy()
    other = next(value for value in np.unique(labels).tolist() if value not in (int(labels[9, 9]), 255))
    found[9, 9] = other
    return found


@pytest.mark.parametrize("form", list(READERS))
def test_a_file_with_another_pixel_is_not_taken(form: str, tmp_path: Path) -> None:
    """What is read back after writing is compared: a file of other labels fails its check."""
    catalog = catalogs_of(form)[0]
    labels = blobs(catalog)
    labels[8:11, 8:11] = catalog.ids[1]
    labels[0, 0] = catalog.ids[2]
    other = changed(labels)
    entry = item("a.jpg", labels, catalog, _photo(form, tmp_path, "a.jpg", labels))
    exporter = _exporter(form)
    path = tmp_path / "written"
    if isinstance(exporter, CollectionExporter):
        right, wrong = exporter.session(catalog), exporter.session(catalog)
        ours = b"".join((right.begin(), right.encode(entry, labels), right.finish()))
        path.write_bytes(ours)
        right.check(path)
        path.write_bytes(b"".join((wrong.begin(), wrong.encode(entry, other), wrong.finish())))
        with pytest.raises(ExportError):
            right.check(path)
        for session in (right, wrong):
            session.close()
        return
    assert isinstance(exporter, LayoutExporter)
    parts = exporter.session(catalog).encode(entry, labels).parts
    false = exporter.session(catalog).encode(entry, other).parts
    refused = 0
    for part, wrong_part in zip(parts, false, strict=True):
        assert part.name == wrong_part.name
        path.write_bytes(b"".join(part.data))
        part.check(path)
        path.write_bytes(b"".join(wrong_part.data))
        if b"".join(part.data) != b"".join(wrong_part.data):
            with pytest.raises(ExportError):
                part.check(path)
            refused += 1
    assert refused


@pytest.mark.parametrize("form", ["labelme", "yolo", "coco_instances"])
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_what_a_tolerance_changes_is_counted(form: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    labels = data.draw(label_maps(VOC, max_side=16))
    target = tmp_path_factory.mktemp("export")
    options = {"tolerance": data.draw(st.sampled_from([0.0, 1.0, 2.5])), "min_pixels": data.draw(st.sampled_from([0, 3, 9]))}
    if "images" in FORMATS[form].options:
        options["images"] = "none"  # type: ignore[assignment]
    items = [item("a.jpg", labels)]
    summary = export_masks(items, get_exporter(form, **options), target)
    assert summary.failed == ()
    loss = summary.losses.get("a.jpg", Loss())
    found = READERS[form](target, items, VOC)["a.jpg"]
    expected = in_file(form, labels, VOC)
    known = labels != 255 if form in WITHOUT_VOID else np.ones(labels.shape, bool)
    assert loss.pixels == int(np.count_nonzero((found != expected) & known))
    assert loss.region_pixels <= labels.size
    if options["min_pixels"] == 0:
        assert loss.regions == 0


@pytest.mark.parametrize("form", [name for name in FORMATS if name not in PICTURES_ONLY])
def test_losses_are_known_before_anything_is_written(form: str, tmp_path: Path) -> None:
    catalog = catalogs_of(form)[0]
    labels = blobs(catalog)
    items = [item("a.jpg", labels, catalog, _photo(form, tmp_path, "a.jpg", labels))]
    before = measure_losses(items, _exporter(form))
    after = export_masks(items, _exporter(form), tmp_path)
    assert before == {"a.jpg": after.losses.get("a.jpg", Loss())}


def test_classes_that_become_void_are_counted(tmp_path: Path) -> None:
    labels = np.array([[15, 9, 9, 255]], np.uint8)
    exporter = get_exporter("cityscapes", unmatched_to_void=True)
    summary = export_masks([item("a.jpg", labels)], exporter, tmp_path)
    assert summary.losses == {"a.jpg": Loss(unmatched=2)}
    assert "2 pixels of classes without a partner as void" in summary.text()
    refused = export_masks([item("a.jpg", labels)], get_exporter("cityscapes"), tmp_path / "other")
    assert "chair" in str(refused.failed[0][1])


class TestLayouts:
    def exported(self, form: str, tmp_path: Path, **options: object) -> Path:
        catalog = BENCHMARK.get(form, VOC)
        items = []
        for number, split in enumerate(("train", "val", "train")):
            labels = blobs(catalog, seed=number)
            photo = photograph(tmp_path / f"photos/x/p_{number}.jpg", labels.shape)
            items.append(item(f"x/p_{number}.jpg", labels, catalog, photo, split))
        summary = export_masks(items, get_exporter(form, **options), tmp_path / "out")
        assert summary.failed == ()
        return tmp_path / "out"

    @pytest.mark.parametrize(
        ("form", "picture"),
        [
            ("voc", "JPEGImages/x/p_1.jpg"),
            ("ade20k", "images/validation/x/p_1.jpg"),
            ("cityscapes", "leftImg8bit/val/x/x_p-1_000000_leftImg8bit.jpg"),
        ],
    )
    def test_photographs_are_copied_linked_or_left_out(self, form: str, picture: str, tmp_path: Path) -> None:
        source = tmp_path / "photos/x/p_1.jpg"
        out = self.exported(form, tmp_path)
        assert (out / picture).read_bytes() == source.read_bytes()
        assert not (out / picture).is_symlink()
        linked = self.exported(form, tmp_path / "l", images="link")
        assert (linked / picture).resolve() == (tmp_path / "l/photos/x/p_1.jpg").resolve()
        assert not (self.exported(form, tmp_path / "n", images="none") / picture).exists()

    def test_another_photograph_is_never_replaced(self, tmp_path: Path) -> None:
        labels = blobs(VOC)
        photo = photograph(tmp_path / "a.jpg", labels.shape)
        other = photograph(tmp_path / "out/JPEGImages/a.jpg", (50, 60))
        before = other.read_bytes()
        summary = export_masks([item("a.jpg", labels, image=photo)], get_exporter("voc"), tmp_path / "out", on_existing="replace")
        assert "photograph" in str(summary.failed[0][1])
        assert other.read_bytes() == before
        assert not (tmp_path / "out/SegmentationClass/a.png").exists()

    def test_a_second_export_finds_its_photographs_in_place(self, tmp_path: Path) -> None:
        out = self.exported("voc", tmp_path)
        labels = np.zeros_like(blobs(VOC))
        entry = item("x/p_1.jpg", labels, VOC, tmp_path / "photos/x/p_1.jpg", "val")
        summary = export_masks([entry], get_exporter("voc"), out, on_existing="replace")
        assert summary.written == ("x/p_1.jpg",)

    def test_voc_lists_and_labelmap(self, tmp_path: Path) -> None:
        out = self.exported("voc", tmp_path)
        lists = out / "ImageSets/Segmentation"
        assert (lists / "train.txt").read_text() == "x/p_0\nx/p_2\n"
        assert (lists / "val.txt").read_text() == "x/p_1\n"
        assert (lists / "trainval.txt").read_text() == "x/p_0\nx/p_1\nx/p_2\n"
        rows = (out / "labelmap.txt").read_text().splitlines()
        assert rows[1:3] == ["background:0,0,0::", "aeroplane:128,0,0::"]
        assert rows[-1] == "void:224,224,192::"  # Datumaro refuses a colour that the table lacks

    def test_lists_keep_what_an_earlier_export_wrote(self, tmp_path: Path) -> None:
        out = self.exported("voc", tmp_path)
        labels = blobs(VOC)
        summary = export_masks([item("new.jpg", labels, split="train")], get_exporter("voc"), out, on_existing="skip")
        assert summary.written == ("new.jpg",)
        assert (out / "ImageSets/Segmentation/train.txt").read_text() == "x/p_0\nx/p_2\nnew\n"

    def test_names_of_the_benchmark_are_kept(self, tmp_path: Path) -> None:
        catalog = get_catalog("cityscapes19")
        entry = item("val/ulm_000001_000019_leftImg8bit.png", blobs(catalog), catalog, split="val")
        export_masks([entry], get_exporter("cityscapes"), tmp_path)
        assert (tmp_path / "gtFine/val/ulm/ulm_000001_000019_gtFine_labelIds.png").is_file()

    def test_torchvision_reads_voc(self, tmp_path: Path) -> None:
        datasets = pytest.importorskip("torchvision.datasets", reason="torchvision is not installed")
        out = self.exported("voc", tmp_path)
        (tmp_path / "root/VOCdevkit").mkdir(parents=True)
        out.rename(tmp_path / "root/VOCdevkit/VOC2012")
        found = datasets.VOCSegmentation(tmp_path / "root", image_set="trainval")
        assert len(found) == 3
        for number in range(3):
            image, mask = found[number]
            assert image.size == mask.size
            assert np.array_equal(np.asarray(mask), blobs(VOC, seed=number))

    @pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")  # it closes no file
    def test_torchvision_reads_cityscapes(self, tmp_path: Path) -> None:
        datasets = pytest.importorskip("torchvision.datasets", reason="torchvision is not installed")
        out = self.exported("cityscapes", tmp_path)
        found = datasets.Cityscapes(out, split="train", mode="fine", target_type=["semantic", "color"])
        assert len(found) == 2
        ids = get_catalog("cityscapes34")
        for number, seed in enumerate((0, 2)):
            image, (mask, color) = found[number]
            labels = blobs(ids, seed=seed)
            assert image.size == mask.size == color.size
            assert np.array_equal(np.asarray(mask), np.where(labels == 255, 0, labels))

    def test_cityscapes_own_scripts_take_the_names_apart(self, tmp_path: Path) -> None:
        helpers = pytest.importorskip("cityscapesscripts.helpers.csHelpers", reason="cityscapesscripts is not installed")
        labels = pytest.importorskip("cityscapesscripts.helpers.labels", reason="cityscapesscripts is not installed")
        out = self.exported("cityscapes", tmp_path)
        files = sorted(out.rglob("*_labelIds.png"))
        assert len(files) == 3
        for path in files:
            info = helpers.getCsFileInfo(str(path))
            assert (info.city, info.type, info.type2) == ("x", "gtFine", "labelIds")
            ids = np.asarray(Image.open(path))
            train = np.asarray(Image.open(str(path).replace("labelIds", "labelTrainIds")))
            theirs = {label.id: label.trainId for label in labels.labels if label.id >= 0}
            assert all(theirs[int(a)] in (int(b), -1) for a, b in zip(ids.flat, train.flat, strict=True))


@pytest.mark.parametrize("form", ["indexed", "raw_ids", "ids_16bit"])
def test_opencv_reads_the_values(form: str, tmp_path: Path) -> None:
    labels = blobs(VOC)
    export_masks([item("a.jpg", labels)], get_exporter(form), tmp_path)
    found = cv2.imread(str(tmp_path / "a.png"), cv2.IMREAD_UNCHANGED)
    assert found is not None
    if form == "indexed":
        colors = np.array([VOC.palette()[value] for value in range(256)], np.uint8)
        assert np.array_equal(found[..., ::-1], colors[labels])
    else:
        assert found.dtype == (np.uint16 if form == "ids_16bit" else np.uint8)
        assert np.array_equal(found, labels)


@pytest.mark.parametrize("form", [name for name, kind in EXPORTERS.items() if issubclass(kind, FileExporter)])
def test_files_of_one_image_are_planned_as_they_are_written(form: str, tmp_path: Path) -> None:
    catalog = catalogs_of(form)[0]
    labels = blobs(catalog)
    photo = photograph(tmp_path / "photos/a.jpg", labels.shape)
    entry = item("a.jpg", labels, catalog, photo)
    assert export_masks([entry], get_exporter(form), tmp_path / "out").written == ("a.jpg",)
    planned = {str(tmp_path / "out" / name) for name in get_exporter(form).files(entry)}  # type: ignore[attr-defined]
    assert {str(path) for path in (tmp_path / "out").rglob("*") if path.name != MARKER_NAME and path.is_file()} == planned


def _photo(form: str, target: Path, name: str, labels: np.ndarray) -> Path | None:
    """A photograph for the formats that hold it, beside the target."""
    return photograph(target.parent / f"{target.name}_photos" / name, labels.shape) if form in WITH_PHOTOGRAPHS else None


def _exporter(form: str) -> object:
    options = {"images": "none"} if "images" in FORMATS[form].options else {}
    try:
        return get_exporter(form, **options)
    except AtrousError as error:
        if FORMATS[form].extra and "not installed" in str(error):
            pytest.skip(f"extra '{FORMATS[form].extra}' is not installed")
        raise
