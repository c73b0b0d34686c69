"""COCO json: every pixel comes back through pycocotools, whatever the map looks like."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from deeplab_core.catalogs import get_catalog
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.errors import ExportError
from deeplab_core.masks.export import ExportItem, export_masks, get_exporter
from deeplab_core.masks.export.coco import region_runs
from deeplab_core.masks.importing.raster import coco_counts

from .samples import CATALOGS, WIDE, blobs, label_maps

VOC = get_catalog("voc21")

# pycocotools 2.0.11 asks numpy 2 for an array in numpy 1's way.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning")


def item(name: str, labels: np.ndarray | None, catalog: ClassCatalog = VOC) -> ExportItem:
    return ExportItem(name=name, catalog=catalog, labels=lambda: labels)


def rebuilt(data: dict, image_id: int, catalog: ClassCatalog) -> np.ndarray:
    image = next(row for row in data["images"] if row["id"] == image_id)
    rest = catalog.ignore if catalog.background is None else catalog.background
    labels = np.full((image["height"], image["width"]), rest, dtype=catalog.dtype)
    for row in data["annotations"]:
        if row["image_id"] == image_id:
            labels[coco_mask.decode(row["segmentation"]).astype(bool)] = row["category_id"]
    if "void" in image:
        labels[coco_mask.decode(image["void"]).astype(bool)] = catalog.ignore
    return labels


@settings(max_examples=40)
@given(st.data(), st.sampled_from([*CATALOGS, WIDE]), st.sampled_from(["class", "component"]))
def test_every_map_comes_back(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, catalog: ClassCatalog, unit: str
) -> None:
    maps = data.draw(st.lists(label_maps(catalog, max_side=12), min_size=1, max_size=3))
    target = tmp_path_factory.mktemp("coco")
    summary = export_masks(
        [item(f"{n}.jpg", labels, catalog) for n, labels in enumerate(maps)], get_exporter("coco_rle", unit=unit), target
    )
    assert summary.failed == ()
    written = json.loads((target / "annotations.json").read_text(encoding="utf-8"))
    for number, labels in enumerate(maps):
        assert np.array_equal(rebuilt(written, number + 1, catalog), labels)
    assert [row["id"] for row in written["annotations"]] == list(range(1, len(written["annotations"]) + 1))


def test_the_file_is_what_pycocotools_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = np.zeros((20, 30), np.uint8)
    labels[2:7, 3:10] = 9
    labels[10:15, 3:10] = 9
    labels[0, 25:] = 255
    export_masks([item("sub/ä.jpg", labels)], get_exporter("coco_rle", unit="component"), tmp_path)
    coco = COCO(str(tmp_path / "annotations.json"))
    capsys.readouterr()
    void = coco.imgs[1].pop("void")
    assert coco.imgs[1] == {"id": 1, "file_name": "sub/ä.jpg", "width": 30, "height": 20}
    chairs = coco.loadAnns(coco.getAnnIds(catIds=coco.getCatIds(catNms=["chair"])))
    assert [(row["area"], row["bbox"], row["iscrowd"]) for row in chairs] == [(35, [3, 2, 7, 5], 0), (35, [3, 10, 7, 5], 0)]
    assert np.array_equal(coco_mask.decode(void), labels == 255)
    assert set(coco.cats) == set(range(1, 21))
    assert not {"background", "void"} & {row["name"] for row in coco.cats.values()}


def test_where_there_is_no_background_the_first_class_is_annotated(tmp_path: Path) -> None:
    catalog = get_catalog("camvid11")
    export_masks([item("a.png", np.array([[0, 255]], np.uint8), catalog)], get_exporter("coco_rle"), tmp_path)
    data = json.loads((tmp_path / "annotations.json").read_text())
    assert [row["category_id"] for row in data["annotations"]] == [0]
    assert [row["id"] for row in data["categories"]] == list(range(11))
    assert ClassCatalog.from_dict(data["info"]["catalog"]) == catalog


@given(hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=40), elements=st.integers(0, 1)))
def test_compressed_counts_decode_as_pycocotools_means_them(mask: np.ndarray) -> None:
    rle = coco_mask.encode(np.asfortranarray(mask))
    counts = coco_counts(rle["counts"]).tolist()
    values = np.arange(len(counts)) % 2
    assert np.array_equal(np.repeat(values, counts).reshape(mask.shape[::-1]).T, mask)


@given(label_maps(VOC))
def test_runs_sum_to_the_image_and_components_are_those_of_opencv(labels: np.ndarray) -> None:
    for unit in ("class", "component"):
        found = list(region_runs(labels, 0, unit))
        assert all(sum(counts) == labels.size for _, counts in found)
        assert sum(sum(counts[1::2]) for _, counts in found) == np.count_nonzero(labels)
    expected = sum(cv2.connectedComponents((labels == value).astype(np.uint8))[0] - 1 for value in np.unique(labels) if value)
    assert len(found) == expected


def test_failed_and_missing_masks_leave_a_valid_file_of_the_rest(tmp_path: Path) -> None:
    other = get_catalog("camvid11")
    items = [
        item("a.jpg", None),
        item("b.jpg", blobs(VOC)),
        item("c.jpg", blobs(other), other),
        item("d.jpg", np.zeros((2, 3), np.uint8)),
    ]
    summary = export_masks(items, get_exporter("coco_rle"), tmp_path)
    assert (summary.written, summary.skipped) == (("b.jpg", "d.jpg"), (("a.jpg", "no mask"),))
    assert "another catalog" in str(summary.failed[0][1])
    data = json.loads((tmp_path / "annotations.json").read_text())
    assert [row["file_name"] for row in data["images"]] == ["b.jpg", "d.jpg"]
    assert np.array_equal(rebuilt(data, 1, VOC), blobs(VOC))


def test_an_existing_file_is_asked_about_and_a_cancelled_run_leaves_it(tmp_path: Path) -> None:
    path = tmp_path / "annotations.json"
    path.write_text("precious")
    items = [item(f"{n}.jpg", blobs(VOC)) for n in range(3)]
    with pytest.raises(ExportError, match=r"annotations\.json"):
        export_masks(items, get_exporter("coco_rle"), tmp_path)
    assert export_masks(items, get_exporter("coco_rle"), tmp_path, on_existing="skip").written == ()
    answers = iter([False, True])
    summary = export_masks(items, get_exporter("coco_rle"), tmp_path, on_existing="replace", cancel=lambda: next(answers))
    assert (summary.cancelled, summary.written, summary.not_reached, summary.class_pixels) == (True, (), 3, {})
    assert path.read_text() == "precious"
    assert export_masks(items, get_exporter("coco_rle"), tmp_path, on_existing="replace").nbytes == path.stat().st_size


def test_without_any_mask_nothing_is_written(tmp_path: Path) -> None:
    summary = export_masks([item("a.jpg", None)], get_exporter("coco_rle"), tmp_path)
    assert summary.text() == "0 exported and read back, 1 skipped (no mask)"
    assert list(tmp_path.iterdir()) == []
    assert export_masks([], get_exporter("coco_rle"), tmp_path).written == ()


def test_equal_names_are_refused_and_units_are_checked(tmp_path: Path) -> None:
    items = [item("a.jpg", blobs(VOC)), item("a.jpg", blobs(VOC)), item("b.jpg", blobs(VOC))]
    summary = export_masks(items, get_exporter("coco_rle"), tmp_path)
    assert summary.written == ("b.jpg",)
    assert [name for name, error in summary.failed if "same file" in str(error)] == ["a.jpg", "a.jpg"]
    with pytest.raises(ValueError, match="unit"):
        get_exporter("coco_rle", unit="pixel")
