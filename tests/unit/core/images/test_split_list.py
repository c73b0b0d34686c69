"""Lists of images as other programs write them: every line is matched, or named."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from deeplab_core.catalogs import get_catalog
from deeplab_core.errors import AtrousError, DataFileError
from deeplab_core.images.split_list import read_split
from deeplab_core.training.samples import DataSource

IMAGES = (
    "2007_000032.jpg", "2007_000039.jpg", "a.b.jpg", "my photo 1.jpg", "my photo 2.png", "#hash.jpg", "val/x.jpg", "val/y.JPG",
)  # fmt: skip
FOREIGN = os.fsdecode(b"\xbb\xe7\xc1\xf8")


@pytest.mark.parametrize(
    ("content", "images", "missing"),
    [
        (b"\xef\xbb\xbf2007_000032\r\n2007_000039\r\n", ("2007_000032.jpg", "2007_000039.jpg"), ()),
        (b"2007_000032\r\n2007_000039\r\n\r\n", ("2007_000032.jpg", "2007_000039.jpg"), ()),
        (b"2007_000032\r2007_000039\r", ("2007_000032.jpg", "2007_000039.jpg"), ()),
        ("2007_000032\r\n2007_000039".encode("utf-16"), ("2007_000032.jpg", "2007_000039.jpg"), ()),
        (b"2007_000032.jpg\n2007_000039.png\n", ("2007_000032.jpg", "2007_000039.jpg"), ()),
        (b"my photo 1\nmy photo 2\n  2007_000032  \n", ("2007_000032.jpg", "my photo 1.jpg", "my photo 2.png"), ()),
        (b"2007_000032\n2007_000040\n", ("2007_000032.jpg",), ("2007_000040",)),
        (b"2007_000032  1\n2007_000039 -1\n", ("2007_000032.jpg", "2007_000039.jpg"), ()),
        (b"JPEGImages/2007_000032.jpg SegmentationClass/2007_000032.png\n", ("2007_000032.jpg",), ()),
        (b"/data/VOC/JPEGImages/2007_000032.jpg\t/data/m.png\n", ("2007_000032.jpg",), ()),
        (b"2007_000032.jpg,chair\n'my photo 1',sofa\n", ("2007_000032.jpg", "my photo 1.jpg"), ()),
        (b"# a comment\n#hash\n; not a comment\n", ("#hash.jpg",), ("; not a comment",)),
        (b"val/x\n", ("val/x.jpg",), ()),
        (b"x\ny.jpg\n", ("val/x.jpg", "val/y.JPG"), ()),
        (b"train/x\n", (), ("train/x",)),
        (b"val\\y.JPG\n./val/x.jpg\n", ("val/x.jpg", "val/y.JPG"), ()),
        (b"a.b\n", ("a.b.jpg",), ()),
        (b"2007_000032_mask.png\n", ("2007_000032.jpg",), ()),
        (b"my photo 3\nmy photo\n", (), ("my photo 3", "my photo")),
        (b"2007_000032\n2007_000032\n", ("2007_000032.jpg",), ()),
    ],
)
def test_every_line_is_matched_or_named(
    tmp_path: Path, content: bytes, images: tuple[str, ...], missing: tuple[str, ...]
) -> None:
    (tmp_path / "list.txt").write_bytes(content)
    found = read_split(tmp_path / "list.txt", IMAGES)
    assert found.images == images
    assert found.missing == missing


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_names_are_compared_in_one_unicode_form(tmp_path: Path, form: str) -> None:
    name = "Zürich 의자"
    (tmp_path / "list.txt").write_text(unicodedata.normalize(form, name), encoding="utf-8")
    for other in ("NFC", "NFD"):
        image = f"{unicodedata.normalize(other, name)}.jpg"
        assert read_split(tmp_path / "list.txt", [image]).images == (image,)


def test_names_in_foreign_bytes(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_bytes(b"\xbb\xe7\xc1\xf8\r\nok\r\n")
    assert read_split(tmp_path / "list.txt", [f"{FOREIGN}.jpg", "ok.jpg"]).images == (f"{FOREIGN}.jpg", "ok.jpg")


def test_an_ending_tells_an_equal_pair_apart(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("a.jpg\n")
    assert read_split(tmp_path / "list.txt", ["a.jpg", "a.png"]).images == ("a.jpg",)
    (tmp_path / "list.txt").write_text("a\n")
    assert read_split(tmp_path / "list.txt", ["a.jpg", "a.png"]).images == ("a.jpg", "a.png")


@pytest.mark.parametrize("content", [b"", b"\r\n \r\n", b"# only this\n", b"a\0b\0", b"\xff\xfe\x00"])
def test_what_is_no_list_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "list.txt").write_bytes(content)
    with pytest.raises(AtrousError) as caught:
        read_split(tmp_path / "list.txt", IMAGES)
    assert caught.value.path == tmp_path / "list.txt"
    assert caught.value.remedy
    with pytest.raises(DataFileError, match="does not exist"):
        read_split(tmp_path / "none.txt", IMAGES)


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_bytes_give_lists_or_a_named_error(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("list") / "list.txt"
    path.write_bytes(data)
    try:
        found = read_split(path, IMAGES)
    except AtrousError:
        return
    assert set(found.images) <= set(IMAGES)


@pytest.fixture
def voc(tmp_path: Path) -> Path:
    for stem in ("2007_000032", "2007_000039"):
        for place, ending in (("JPEGImages", ".jpg"), ("SegmentationClass", ".png")):
            (tmp_path / place).mkdir(exist_ok=True)
            photo = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
            pixels = photo if ending == ".jpg" else np.zeros((30, 40), np.uint8)
            Image.fromarray(pixels).save(tmp_path / place / f"{stem}{ending}")
    return tmp_path


def test_training_names_what_is_missing(voc: Path) -> None:
    (voc / "train.txt").write_text("2007_000032\n2007_000040\n")
    said: list[str] = []
    samples = DataSource(images=voc / "JPEGImages", split=voc / "train.txt").samples(get_catalog("voc21"), said.append)
    assert [sample.name for sample in samples] == ["2007_000032.jpg"]
    assert any("2007_000040 is in the list but not in" in text for text in said)


def test_a_list_of_another_data_set_is_an_error_with_the_right_advice(voc: Path) -> None:
    (voc / "train.txt").write_text("2008_1\n2008_2\n")
    with pytest.raises(AtrousError, match="none of the 2 images of the list") as caught:
        DataSource(images=voc / "JPEGImages", split=voc / "train.txt").samples(get_catalog("voc21"))
    assert "2008_1" in caught.value.why
    assert caught.value.path == voc / "train.txt"
