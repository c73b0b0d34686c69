"""Which files of a folder are photographs, and which are the masks beside them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deeplab_core.datasets.find import find_images, listing_state, natural_key, natural_sort, scan_folder
from deeplab_core.errors import ImageReadError
from deeplab_core.images.file_names import is_label_folder, mask_stem, photo_stem


def photograph(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 3)).save(path)


def mask(path: Path, *, grey: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(np.zeros((3, 4), dtype=np.uint8))
    if not grey:
        picture.putpalette([0, 0, 0, 128, 0, 0])
    picture.save(path)


def test_images_are_found_recursively_in_natural_order(tmp_path: Path) -> None:
    for name in (
        "b/img10.jpg",
        "b/img2.JPG",
        "a.png",
        "b.png",
        "b/deep/x.tiff",
        "notes.txt",
        ".hidden.png",
        ".atrous/masks/a.png",
    ):
        photograph(tmp_path / name) if not name.endswith("txt") else (tmp_path / name).write_text("")
    assert find_images(tmp_path) == ["a.png", "b/deep/x.tiff", "b/img2.JPG", "b/img10.jpg", "b.png"]


def test_natural_sort_is_total_over_mixed_names() -> None:
    names = ["a", "a1", "1a", "10", "9", "A", "a/1", "a/b", "", "a01"]
    assert natural_sort(names) == natural_sort(reversed(names))
    assert natural_sort(["x10", "x9", "x1"]) == ["x1", "x9", "x10"]


@pytest.mark.parametrize(
    "form",
    ["{a:03}/{b:06}.jpg", "{a:03}/IMG_{b:06}.JPG", "part {a}/{b}.png", "{a}\n{b:04}.jpg", "é{a:02}/{b:02}.png", "{a:02}_{b:02}"],
)
def test_natural_sort_of_many_names_is_the_order_of_their_keys(form: str) -> None:
    numbers = np.random.default_rng(5).integers(0, 99, (400, 2)).tolist()
    names = list(dict.fromkeys(form.format(a=a, b=b) for a, b in numbers))
    names += [name.swapcase() for name in names[:40] if name.swapcase() != name]  # equal but for the case
    assert natural_sort(names) == sorted(names, key=natural_key)


@pytest.mark.parametrize(
    ("photographs", "masks"),
    [
        ("JPEGImages/{}.jpg", "SegmentationClass/{}.png"),
        ("images/{}.png", "labels_voc21/{}.png"),
        ("train/{}.png", "trainannot/{}.png"),
        ("leftImg8bit/val/ulm/{}_leftImg8bit.png", "gtFine/val/ulm/{}_gtFine_labelIds.png"),
        ("{}.jpg", "masks/{}.png"),
        ("a/{}.jpg", "a/truth/{}_mask.png"),
    ],
)
def test_folders_of_masks_are_not_offered(tmp_path: Path, photographs: str, masks: str) -> None:
    for stem in ("s1", "s2"):
        photograph(tmp_path / photographs.format(stem))
        mask(tmp_path / masks.format(stem), grey=True)
    scan = scan_folder(tmp_path)
    assert scan.images == (photographs.format("s1"), photographs.format("s2"))
    assert scan.masks == (masks.format("s1"), masks.format("s2"))


def test_colour_and_instance_files_of_cityscapes_go_with_their_folder(tmp_path: Path) -> None:
    photograph(tmp_path / "leftImg8bit/x_leftImg8bit.png")
    for kind in ("labelIds", "color", "instanceIds"):
        photograph(tmp_path / f"gtFine/x_gtFine_{kind}.png")
    assert find_images(tmp_path) == ["leftImg8bit/x_leftImg8bit.png"]


def test_more_masks_than_photographs_are_still_masks(tmp_path: Path) -> None:
    photograph(tmp_path / "images/s0.jpg")
    for number in range(9):
        mask(tmp_path / f"labels/s{number}.png")
    assert find_images(tmp_path) == ["images/s0.jpg"]


def test_an_export_of_indexed_masks_is_recognised_whatever_its_folder_is_called(tmp_path: Path) -> None:
    for stem in ("s1", "s2"):
        photograph(tmp_path / f"{stem}.jpg")
        mask(tmp_path / f"result of monday/{stem}.png")
    assert find_images(tmp_path) == ["s1.jpg", "s2.jpg"]


def test_masks_beside_their_photographs(tmp_path: Path) -> None:
    photograph(tmp_path / "a.jpg")
    mask(tmp_path / "a.png")
    photograph(tmp_path / "b.png")
    mask(tmp_path / "b_mask.png", grey=True)
    photograph(tmp_path / "c.jpg")
    photograph(tmp_path / "c.png")
    mask(tmp_path / "lonely_mask.png")
    scan = scan_folder(tmp_path)
    assert scan.masks == ("a.png", "b_mask.png")
    assert scan.images == ("a.jpg", "b.png", "c.jpg", "c.png", "lonely_mask.png")


def test_photographs_in_a_folder_with_an_unlucky_name_stay(tmp_path: Path) -> None:
    photograph(tmp_path / "masks/face1.jpg")
    photograph(tmp_path / "masks/face2.png")
    photograph(tmp_path / "hats/hat1.jpg")
    assert find_images(tmp_path) == ["hats/hat1.jpg", "masks/face1.jpg", "masks/face2.png"]


def test_grey_photographs_of_one_scene_in_two_folders_stay(tmp_path: Path) -> None:
    for stem in ("s1", "s2"):
        photograph(tmp_path / f"colour/{stem}.png")
        mask(tmp_path / f"infrared/{stem}.png", grey=True)
    assert len(find_images(tmp_path)) == 4


def test_who_opens_a_folder_of_masks_sees_them(tmp_path: Path) -> None:
    mask(tmp_path / "SegmentationClass/s1.png")
    assert find_images(tmp_path / "SegmentationClass") == ["s1.png"]


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_links_are_followed_once_and_never_out(tmp_path: Path) -> None:
    photograph(tmp_path / "outside/a.jpg")
    photograph(tmp_path / "root/in/b.jpg")
    photograph(tmp_path / "root-2/c.jpg")
    root = tmp_path / "root"
    for name in ("link", "again"):
        (root / name).symlink_to(tmp_path / "outside", target_is_directory=True)
    (root / "beside").symlink_to(tmp_path / "root-2", target_is_directory=True)
    (root / "up").symlink_to(tmp_path, target_is_directory=True)
    (root / "loop").symlink_to(root, target_is_directory=True)
    (root / "self").symlink_to(root / "self")
    (root / "in/deep").symlink_to(tmp_path / "outside", target_is_directory=True)
    (root / "chain").symlink_to(root / "link", target_is_directory=True)
    scan = scan_folder(root)
    assert scan.images == ("in/b.jpg",)
    assert scan.not_followed == ("again", "beside", "chain", "in/deep", "link", "up")
    assert "6 are links to folders outside of this one; they are not followed: again, beside, chain" in scan.left_out()[0]
    assert find_images(tmp_path / "root/link") == ["a.jpg"]  # who opens it means it


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_a_link_within_the_folder_is_followed(tmp_path: Path) -> None:
    photograph(tmp_path / "real/b.jpg")
    (tmp_path / "same").symlink_to(tmp_path / "real", target_is_directory=True)
    assert find_images(tmp_path) == ["real/b.jpg", "same/b.jpg"]


def test_unreadable_folders_are_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photograph(tmp_path / "open/a.jpg")
    (tmp_path / "closed").mkdir()
    scandir = os.scandir

    def refusing(path: object) -> object:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)  # type: ignore[call-overload]

    monkeypatch.setattr(os, "scandir", refusing)
    scan = scan_folder(tmp_path)
    assert scan.images == ("open/a.jpg",)
    assert scan.unreadable == ("closed",)


def test_a_missing_folder_and_a_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageReadError, match="does not exist"):
        find_images(tmp_path / "none")
    (tmp_path / "file").touch()
    with pytest.raises(ImageReadError):
        find_images(tmp_path / "file")


def test_listing_opens_no_photograph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(50):
        (tmp_path / f"{number}.jpg").touch()
    monkeypatch.setattr(Path, "open", lambda *_: pytest.fail("a file was opened"))
    monkeypatch.setattr(Path, "stat", lambda *_, **__: pytest.fail("a file was looked at"))
    assert len(find_images(tmp_path)) == 50


@pytest.mark.parametrize(
    "name", ["labels", "Labels_VOC21", "labels40", "masks", "trainannot", "SegmentationClassAug", "gtFine", "ground_truth", "GT"]
)
def test_names_of_mask_folders(name: str) -> None:
    assert is_label_folder(name)


@pytest.mark.parametrize("name", ["images", "JPEGImages", "train", "leftImg8bit", "photos", "unmasked", "angle", "cannot1"])
def test_names_of_other_folders(name: str) -> None:
    assert not is_label_folder(name)


def test_stems() -> None:
    assert photo_stem("ulm_1_leftImg8bit") == "ulm_1"
    assert mask_stem("ulm_1_gtFine_labelTrainIds") == "ulm_1"
    assert mask_stem("0001TP_006690_L") == "0001TP_006690"
    assert mask_stem("a-mask") == mask_stem("a.labels") == mask_stem("a_GT") == "a"
    assert mask_stem("_mask") == "_mask"
    assert mask_stem("plain") == "plain"


def test_real_layouts(shared_real: Path) -> None:
    scan = scan_folder(shared_real)
    assert sum(name.startswith("camvid/") for name in scan.images) == 468
    assert {name.split("/")[1] for name in scan.masks} == {
        "trainannot",
        "valannot",
        "labels_voc21",
        "labels",
        "labels40",
        "labels150",
    }


def test_names_of_thousands_of_digits_are_sorted() -> None:
    long = "9" * 5000 + ".png"
    assert natural_sort([long, "10.png", "9.png", long + "a"]) == ["9.png", "10.png", long, long + "a"]


def test_names_with_digits_in_the_same_places_are_sorted_without_a_key_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"{number // 100:02}/IMG_{number:04}.jpg" for number in range(500)]
    monkeypatch.setattr("deeplab_core.datasets.find.natural_key", None)  # would be called
    assert natural_sort(reversed(names)) == names


def test_the_state_of_a_folder_changes_with_its_image_files_alone(tmp_path: Path) -> None:
    def state() -> int:
        return listing_state(tmp_path)

    (tmp_path / "deep").mkdir()
    picture = tmp_path / "deep" / "a.png"
    picture.write_bytes(b"one")
    os.utime(picture, ns=(5, 5))
    before = state()
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / ".hidden.png").write_bytes(b"x")
    assert state() == before
    changes: list[Callable[[], object]] = [
        lambda: os.utime(picture, ns=(5, 6)),
        lambda: picture.write_bytes(b"longer"),
        lambda: (tmp_path / "b.jpg").write_bytes(b"new"),
        lambda: (tmp_path / "film.mp4").write_bytes(b"left out"),
        lambda: (tmp_path / "b.jpg").unlink(),
    ]
    for change in changes:
        change()
        assert state() != before
        before = state()
