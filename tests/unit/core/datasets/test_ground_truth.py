"""Truth is found in the usual layouts, never guessed between two candidates."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deeplab_core.catalogs import get_catalog
from deeplab_core.datasets.catalog_guess import guess_catalog
from deeplab_core.datasets.find import find_images
from deeplab_core.datasets.ground_truth import find_truth
from deeplab_core.errors import MaskFormatError
from deeplab_core.masks.png import write_indexed_png
from tests.unit.core.masks.samples import CATALOGS, blobs


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder of its own: the neighbours of ``tmp_path`` are other tests' folders, some of them named like masks."""
    path = tmp_path / "set"
    path.mkdir()
    return path


def touch(*paths: Path) -> None:
    """Empty files: discovery opens none of them. Lists of images are therefore given, not found."""
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def build(root: Path, images: list[str], masks: list[str]) -> None:
    touch(*(root / name for name in [*images, *masks]))


@pytest.mark.parametrize(
    ("layout", "image", "mask"),
    [
        ("voc", "JPEGImages/{}.jpg", "SegmentationClass/{}.png"),
        ("camvid", "train/{}.png", "trainannot/{}.png"),
        ("cityscapes", "leftImg8bit/val/ulm/{}_leftImg8bit.png", "gtFine/val/ulm/{}_gtFine_labelIds.png"),
        ("same_stem", "images/a/b/{}.jpg", "labels/a/b/{}.png"),
        ("same_stem", "a/{}.jpg", "a/masks/{}.tif"),
        ("same_stem", "{}.jpg", "{}.png"),
        ("same_stem", "{}.jpg", "ground_truth/{}_mask.png"),
        ("same_stem", "{}.png", "{}_L.png"),
        ("same_stem", "images/{}.jpg", "labels_voc21/{}.npy"),
    ],
)
def test_layouts(root: Path, layout: str, image: str, mask: str) -> None:
    images = [image.format(stem) for stem in ("s1", "s2", "s3")]
    build(root, images, [mask.format(stem) for stem in ("s1", "s2")])
    index = find_truth(root, images)
    assert dict(index.files) == {images[0]: root / mask.format("s1"), images[1]: root / mask.format("s2")}
    assert index.layout == layout
    assert index.missing == (images[2],)
    assert index.problems == ()
    assert len(index) == 2
    assert index.get(images[2]) is None


@pytest.mark.parametrize(
    ("opened", "image", "mask"),
    [
        ("VOC2012/JPEGImages", "s.jpg", "VOC2012/SegmentationClass/s.png"),
        ("train", "s.png", "trainannot/s.png"),
        ("leftImg8bit", "val/ulm/s_leftImg8bit.png", "gtFine/val/ulm/s_gtFine_labelIds.png"),
        ("leftImg8bit/val", "ulm/s_leftImg8bit.png", "gtFine/val/ulm/s_gtFine_labelIds.png"),
        ("leftImg8bit/val/ulm", "s_leftImg8bit.png", "gtFine/val/ulm/s_gtFine_labelIds.png"),
    ],
)
def test_a_folder_inside_a_layout_may_be_opened(root: Path, opened: str, image: str, mask: str) -> None:
    build(root, [f"{opened}/{image}"], [mask])
    assert find_truth(root / opened, [image]).files == {image: root / mask}


def test_masks_of_another_split_with_the_same_names_are_not_taken(root: Path) -> None:
    images = ["train/1.png", "train/2.png", "val/1.png", "val/2.png"]
    build(root, images, ["trainannot/1.png", "trainannot/2.png", "valannot/1.png"])
    files = find_truth(root, images).files
    assert files == {
        "train/1.png": root / "trainannot/1.png",
        "train/2.png": root / "trainannot/2.png",
        "val/1.png": root / "valannot/1.png",
    }
    (root / "valannot/1.png").unlink()
    assert "val/1.png" not in find_truth(root, images).files


def test_the_catalog_decides_between_the_ids_of_cityscapes(root: Path) -> None:
    image = "leftImg8bit/s_leftImg8bit.png"
    kinds = ("labelIds", "labelTrainIds", "color", "instanceIds")
    build(root, [image], [f"gtFine/s_gtFine_{kind}.png" for kind in kinds])
    by_catalog = {c.name: find_truth(root, [image], catalog=c).files[image].stem for c in CATALOGS}
    assert by_catalog["cityscapes19"].endswith("labelTrainIds")
    assert by_catalog["cityscapes34"].endswith("labelIds")


def test_instance_masks_are_never_taken_for_classes(root: Path) -> None:
    build(root, ["JPEGImages/s.jpg"], ["SegmentationObject/s.png"])
    assert not find_truth(root, ["JPEGImages/s.jpg"]).files
    build(root, ["leftImg8bit/s_leftImg8bit.png"], ["gtFine/s_gtFine_instanceIds.png", "gtFine/s_gtFine_color.png"])
    assert not find_truth(root, ["leftImg8bit/s_leftImg8bit.png"]).files


def test_two_claims_are_a_problem_that_names_both(root: Path) -> None:
    build(root, ["s.jpg"], ["masks/s_mask.png", "masks/s_label.png"])
    index = find_truth(root, ["s.jpg"])
    assert index.missing == ("s.jpg",)
    assert "s_label.png and s_mask.png" in index.problems[0].message


def test_the_plain_stem_and_png_win_over_variants(root: Path) -> None:
    build(root, ["s.jpg"], ["masks/s.png", "masks/s.tif", "masks/s_mask.png"])
    assert find_truth(root, ["s.jpg"]).files["s.jpg"].name == "s.png"


def test_two_equally_good_folders_are_said(root: Path) -> None:
    build(root, ["images/s.jpg"], ["masks/s.png", "annotations/s.png"])
    index = find_truth(root, ["images/s.jpg"])
    assert len(index) == 1
    assert "annotations" in index.problems[0].message
    assert "masks" in index.problems[0].message


def test_of_two_equally_good_folders_the_one_called_truth_wins(root: Path) -> None:
    build(root, ["images/s.jpg"], ["masks/s.png", "truth/s.png"])
    index = find_truth(root, ["images/s.jpg"])
    assert index.files["images/s.jpg"].parent.name == "truth"
    assert not index.problems


def test_a_stem_that_ends_like_a_mask_finds_its_own_truth(root: Path) -> None:
    build(root, ["images/night_gt.jpg", "images/night.jpg"], ["labels/night_gt.png", "labels/night.png"])
    files = find_truth(root, ["images/night_gt.jpg", "images/night.jpg"]).files
    assert {image: path.name for image, path in files.items()} == {
        "images/night_gt.jpg": "night_gt.png",
        "images/night.jpg": "night.png",
    }


def test_each_folder_is_listed_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build(root, ["images/a/1.jpg", "images/b/2.jpg"], ["labels/a/1.png"])
    listed: list[str] = []
    scandir = os.scandir
    monkeypatch.setattr(
        "deeplab_core.datasets.truth_candidates.os.scandir", lambda path: listed.append(str(path)) or scandir(path)
    )
    assert list(find_truth(root / "images", ["a/1.jpg", "b/2.jpg"]).files) == ["a/1.jpg"]
    assert len(listed) == len(set(listed))


def test_one_layout_may_be_asked_for(root: Path) -> None:
    image = "JPEGImages/s.jpg"
    build(root, [image], ["SegmentationClass/s.png", "JPEGImages/s.png"])
    assert find_truth(root, [image], "voc").files[image] == root / "SegmentationClass/s.png"
    assert find_truth(root, [image], "same_stem").files[image] == root / "JPEGImages/s.png"
    assert not find_truth(root, [image], "camvid").files
    with pytest.raises(MaskFormatError, match="no truth layout"):
        find_truth(root, [image], "kitti")  # type: ignore[arg-type]


def test_what_lies_inside_wins_over_a_neighbour(root: Path) -> None:
    build(root, ["images/s.jpg"], ["truth/s.png", "../set_masks/images/s.png"])
    index = find_truth(root, ["images/s.jpg"])
    assert index.files["images/s.jpg"] == root / "truth/s.png"
    assert index.problems == ()
    (root / "truth/s.png").unlink()
    assert find_truth(root, ["images/s.jpg"]).files["images/s.jpg"] == root.parent / "set_masks/images/s.png"


class TestChosenFolder:
    def test_relative_paths_first_then_unique_stems(self, tmp_path: Path) -> None:
        images = ["a/1.jpg", "b/1.jpg", "a/2.jpg"]
        root, truth = tmp_path / "photos", tmp_path / "elsewhere"
        build(root, images, [])
        build(truth, [], ["a/1.png", "b/1.png", "flat/2.png"])
        index = find_truth(root, images, truth_folder=truth)
        assert {name: str(path.relative_to(truth)) for name, path in index.files.items()} == {
            "a/1.jpg": "a/1.png", "b/1.jpg": "b/1.png", "a/2.jpg": "flat/2.png",
        }  # fmt: skip
        assert index.layout == "chosen"

    def test_a_stem_in_two_places_is_a_problem(self, tmp_path: Path) -> None:
        build(tmp_path / "photos", ["1.jpg"], [])
        build(tmp_path / "truth", [], ["x/1.png", "y/1.png"])
        index = find_truth(tmp_path / "photos", ["1.jpg"], truth_folder=tmp_path / "truth")
        assert not index.files
        assert "x" in index.problems[0].message
        assert "y" in index.problems[0].message

    def test_a_missing_folder_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(MaskFormatError, match="does not exist"):
            find_truth(tmp_path, [], truth_folder=tmp_path / "none")

    def test_an_empty_folder_finds_nothing(self, tmp_path: Path) -> None:
        index = find_truth(tmp_path, ["a.jpg"], truth_folder=tmp_path)
        assert (index.layout, index.folders, index.missing) == ("none", (), ("a.jpg",))


class TestGuessing:
    @pytest.mark.parametrize("catalog", CATALOGS, ids=lambda catalog: catalog.name)
    def test_indexed_masks_are_recognised_by_their_palette(self, tmp_path: Path, catalog: object) -> None:
        for seed in range(3):
            write_indexed_png(tmp_path / f"{seed}.png", blobs(catalog, seed=seed), catalog)
        guess = guess_catalog(tmp_path.iterdir())
        assert guess.best == catalog.name
        assert guess.certain

    def test_cityscapes_says_it_in_the_name(self) -> None:
        guess = guess_catalog(["x_gtFine_labelTrainIds.png", "y_gtFine_labelTrainIds.png"])
        assert (guess.best, guess.certain) == ("cityscapes19", True)

    def test_colour_files(self, tmp_path: Path) -> None:
        catalog = get_catalog("camvid11")
        labels = np.arange(11, dtype=np.uint8).reshape(1, 11)
        Image.fromarray(catalog.palette()[labels]).save(tmp_path / "a.png")
        assert guess_catalog([tmp_path / "a.png"]).names == ("camvid11",)

    def test_grey_values_alone_are_not_certain(self, tmp_path: Path) -> None:
        Image.fromarray(np.array([[0, 9, 255]], np.uint8)).save(tmp_path / "a.png")
        guess = guess_catalog([tmp_path / "a.png"])
        assert guess.best == "voc21"
        assert not guess.certain

    def test_values_of_no_catalog_and_unreadable_files(self, tmp_path: Path) -> None:
        Image.fromarray(np.array([[251]], np.uint8)).save(tmp_path / "a.png")
        assert guess_catalog([tmp_path / "a.png"]).best is None
        (tmp_path / "b.png").touch()
        assert guess_catalog([tmp_path / "b.png"]).best is None
        assert guess_catalog([]).best is None


@pytest.mark.parametrize(
    ("folder", "layout", "count", "catalog"),
    [
        ("voc", "same_stem", 12, "voc21"),
        ("voc/images", "same_stem", 12, "voc21"),
        ("coco", "same_stem", 87, "voc21"),
        ("camvid", "camvid", 468, "camvid11"),
        ("camvid/val", "camvid", 101, "camvid11"),
        ("ade20k", "same_stem", 3, "ade20k150"),
        ("no_gt", "none", 0, None),
    ],
)
def test_real_folders(shared_real: Path, folder: str, layout: str, count: int, catalog: str | None) -> None:
    images = find_images(shared_real / folder)
    index = find_truth(shared_real / folder, images)
    assert (len(index), index.layout, index.problems) == (count, layout, ())
    assert len(index.missing) == len(images) - count
    assert guess_catalog(index.files.values()).best == catalog
