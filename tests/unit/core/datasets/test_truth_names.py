"""Ground truth is paired by name in every Unicode form, with and without the photograph's ending, and never guessed."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deeplab_core.datasets import find_truth
from deeplab_core.datasets.find import scan_folder

NFC, NFD = unicodedata.normalize("NFC", "Zürich 의자"), unicodedata.normalize("NFD", "Zürich 의자")


def photograph(path: Path, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (30, 40, 3), dtype=np.uint8)).save(path)


def mask(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((30, 40), np.uint8)).save(path)


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("photo", [NFC, NFD])
@pytest.mark.parametrize("label", ["labels/{NFC}.png", "labels/{NFD}.png", "labels/{NFD}_mask.png", "labels/{NFC}.jpg.png"])
def test_masks_are_paired_in_every_unicode_form(tmp_path: Path, named: bool, photo: str, label: str) -> None:
    photograph(tmp_path / "images" / f"{photo}.jpg")
    truth = tmp_path / label.format(NFC=NFC, NFD=NFD)
    mask(truth)
    index = find_truth(tmp_path / "images", [f"{photo}.jpg"], truth_folder=truth.parent if named else None)
    assert index.files == {f"{photo}.jpg": truth}


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("ending", [".jpg", ".jpeg", ".JPG", ".png", ".tif"])
def test_masks_named_with_the_photographs_ending(tmp_path: Path, ending: str, named: bool) -> None:
    photograph(tmp_path / "images" / f"X{ending}")
    truth = tmp_path / "labels" / f"X{ending}.png"
    mask(truth)
    index = find_truth(tmp_path / "images", [f"X{ending}"], truth_folder=truth.parent if named else None)
    assert index.files == {f"X{ending}": truth}


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("pair", [("a.jpg", "a.png"), (f"{NFC}.jpg", f"{NFD}.jpg")])
def test_an_equal_pair_is_named_and_stops_only_itself(tmp_path: Path, pair: tuple[str, str], named: bool) -> None:
    for seed, name in enumerate((*pair, "b.jpg")):
        photograph(tmp_path / "images" / name, seed)
        if name not in pair:
            mask(tmp_path / "labels" / "b.png")
    mask(tmp_path / "labels" / f"{Path(pair[0]).stem}.png")
    index = find_truth(tmp_path / "images", [*pair, "b.jpg"], truth_folder=tmp_path / "labels" if named else None)
    assert dict(index.files) == {"b.jpg": tmp_path / "labels" / "b.png"}
    assert {problem.image for problem in index.problems} == set(pair)
    assert all(pair[0] in problem.message and pair[1] in problem.message for problem in index.problems)
    assert set(index.missing) == set(pair)


@pytest.mark.parametrize("order", [("a.jpg", "a.png"), ("a.png", "a.jpg")])
def test_the_remedy_for_an_equal_pair_works(tmp_path: Path, order: tuple[str, str]) -> None:
    for seed, name in enumerate(order):
        photograph(tmp_path / "images" / name, seed)
        mask(tmp_path / "labels" / f"{name}.png")
    index = find_truth(tmp_path / "images", list(order))
    assert index.files == {name: tmp_path / "labels" / f"{name}.png" for name in order}
    assert index.problems == ()


def test_photographs_in_a_folder_called_mask_are_no_ground_truth(tmp_path: Path) -> None:
    for seed in range(3):
        photograph(tmp_path / "mask" / f"{seed}.png", seed)
        photograph(tmp_path / "nomask" / f"{seed}.png", seed + 3)
    scan = scan_folder(tmp_path)
    assert len(scan.images) == 6
    assert len(find_truth(tmp_path, scan.images)) == 0


def test_trash_is_not_searched_for_ground_truth(tmp_path: Path) -> None:
    photograph(tmp_path / "images" / "a.jpg")
    mask(tmp_path / "labels" / "#recycle" / "a.png")
    mask(tmp_path / "labels" / "__MACOSX" / "a.png")
    mask(tmp_path / "labels" / "._a.png")
    assert len(find_truth(tmp_path / "images", ["a.jpg"], truth_folder=tmp_path / "labels")) == 0
