"""Labels in or beside a folder of images, found without being named."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from deeplab_core.masks.importing import find_labels
from deeplab_core.masks.importing import nearby as module
from tests.unit.core.masks.samples import photograph


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "set" / "images"
    for name in ("a.jpg", "b.jpg"):
        photograph(folder / name, (20, 30))
    return folder


def labelme(path: Path, image: str = "a.jpg") -> Path:
    shape = {"label": "crack", "shape_type": "polygon", "points": [[1, 1], [9, 1], [5, 9]], "group_id": None, "flags": {}}
    data = {"version": "5", "flags": {}, "shapes": [shape], "imagePath": image, "imageData": None,
            "imageHeight": 20, "imageWidth": 30}  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data))
    return path


def found(images: Path) -> list[tuple[str, str]]:
    root = images.parent
    return [
        (near.path.relative_to(root).as_posix(), near.large if near.format is None else near.format.key)
        for near in find_labels(images)
    ]


def test_outlines_beside_their_images_are_found_once(images: Path) -> None:
    labelme(images / "a.json")
    labelme(images / "more" / "b.json", "b.jpg")
    assert found(images) == [("images", "labelme")]


def test_a_folder_and_an_archive_beside_the_images_are_found(images: Path) -> None:
    path = labelme(images.parent / "json" / "a.json")
    with zipfile.ZipFile(images.parent / "old.zip", "w") as archive:
        archive.write(path, "a.json")
    assert found(images) == [("json", "labelme"), ("old.zip", "labelme")]


def test_the_root_of_a_data_set_is_one_source(images: Path) -> None:
    (images.parent / "data.yaml").write_text("names: [crack]\n")
    (images.parent / "labels").mkdir()
    (images.parent / "labels" / "a.txt").write_text("0 0.1 0.1 0.9 0.1 0.5 0.9\n")
    assert found(images) == [(".", "yolo")]


def test_labels_of_other_photographs_are_not_taken(images: Path) -> None:
    labelme(images.parent / "others" / "a.json")
    photograph(images.parent / "others" / "a.jpg", (20, 30))
    assert found(images) == []


def test_masks_photographs_and_texts_are_no_labels(images: Path) -> None:
    photograph(images.parent / "masks" / "a.png", (20, 30))
    (images / "notes.txt").write_text("bring the ladder")
    (images.parent / "package.json").write_text('{"name": "something"}')
    (images.parent / "damaged.zip").write_bytes(b"PK")
    (images.parent / "half.json").write_text('{"shapes": [')
    assert found(images) == []


def test_what_is_too_large_is_left_to_the_user(images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(4):
        labelme(images.parent / "json" / f"{number}.json")
    assert found(images) == [("json", "labelme")]
    monkeypatch.setattr(module, "_MOST_FILES", 3)
    assert found(images) == [("json", "more than 3 files")]
    labelme(images / "a.json")
    assert found(images) == [("images", "labelme"), ("json", "more than 3 files")]
    (images / "a.json").unlink()
    for number in range(4):
        photograph(images / f"more/{number}.jpg", (20, 30))
    assert found(images) == [("json", "more than 3 files")]  # many photographs are nothing to tell
    monkeypatch.setattr(module, "_MOST_FILES", 30)
    monkeypatch.setattr(module, "_MOST_BYTES", 20)
    assert found(images) == [("json", "a file of 0 MB")]
