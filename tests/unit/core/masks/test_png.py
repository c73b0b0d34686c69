"""The PNG writer: exact, declared, and readable by everyone else."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from deeplab_core.catalogs import get_catalog
from deeplab_core.errors import MaskFormatError
from deeplab_core.masks.png import encode_png, write_indexed_png, write_mask
from deeplab_core.masks.read import read_mask

from .samples import CATALOGS, WIDE, blobs, label_maps


def decoded(parts: list[bytes]) -> Image.Image:
    picture = Image.open(io.BytesIO(b"".join(parts)))
    picture.load()
    return picture


@given(hnp.arrays(st.sampled_from([np.uint8, np.uint16]), hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=40)))
def test_grey_pngs_decode_equal(pixels: np.ndarray) -> None:
    data = np.frombuffer(b"".join(encode_png(pixels)), np.uint8)
    assert np.array_equal(cv2.imdecode(data, cv2.IMREAD_UNCHANGED), pixels)


@given(hnp.arrays(np.uint8, st.tuples(st.integers(1, 20), st.integers(1, 20), st.just(3))))
def test_rgb_pngs_decode_equal(pixels: np.ndarray) -> None:
    assert np.array_equal(np.asarray(decoded(encode_png(pixels))), pixels)


@pytest.mark.parametrize("shape", [(700, 900), (1, 600_000), (300_000, 1), (513, 513)])
def test_maps_longer_than_one_strip_decode_equal(shape: tuple[int, int]) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    assert np.array_equal(np.asarray(decoded(encode_png(pixels))), pixels)


def test_views_and_fortran_arrays_decode_equal() -> None:
    pixels = np.arange(600, dtype=np.uint16).reshape(20, 30)
    for view in (pixels[:, ::2], pixels.T, np.asfortranarray(pixels), pixels[::-1]):
        data = np.frombuffer(b"".join(encode_png(view)), np.uint8)
        assert np.array_equal(cv2.imdecode(data, cv2.IMREAD_UNCHANGED), view)


@settings(max_examples=40)
@given(st.data(), st.sampled_from(CATALOGS))
def test_indexed_pngs_read_back_equal(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, catalog: object) -> None:
    labels = data.draw(label_maps(catalog))
    path = tmp_path_factory.getbasetemp() / "indexed.png"
    write_indexed_png(path, labels, catalog)
    assert np.array_equal(read_mask(path, catalog), labels)


def test_the_file_declares_palette_and_file_values(tmp_path: Path) -> None:
    catalog = get_catalog("camvid11")
    labels = blobs(catalog)
    nbytes = write_indexed_png(tmp_path / "a.png", labels, catalog)
    assert nbytes == (tmp_path / "a.png").stat().st_size
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.mode == "P"
        assert np.array_equal(np.asarray(picture), np.where(labels == 255, 11, labels))
        assert picture.getpalette()[: 3 * 12] == catalog.palette()[:12].reshape(-1).tolist()


def test_wide_catalogs_are_written_as_sixteen_bit(tmp_path: Path) -> None:
    labels = blobs(WIDE)
    write_mask(tmp_path / "wide.png", labels, WIDE)
    assert np.array_equal(read_mask(tmp_path / "wide.png", WIDE), labels)
    with pytest.raises(MaskFormatError, match="above 254"):
        write_indexed_png(tmp_path / "no.png", labels, WIDE)
    assert not (tmp_path / "no.png").exists()


def test_undeclared_ids_are_never_written(tmp_path: Path) -> None:
    catalog = get_catalog("voc21")
    path = tmp_path / "a.png"
    write_indexed_png(path, np.zeros((3, 3), np.uint8), catalog)
    before = path.read_bytes()
    with pytest.raises(MaskFormatError, match=r"77 \(9 px\)"):
        write_indexed_png(path, np.full((3, 3), 77, np.uint8), catalog)
    with pytest.raises(MaskFormatError):
        write_indexed_png(path, np.zeros((3, 3), np.int64), catalog)
    assert path.read_bytes() == before


def test_the_file_is_smaller_than_a_default_one(tmp_path: Path) -> None:
    catalog = get_catalog("voc21")
    labels = cv2.resize(blobs(catalog), (1000, 800), interpolation=cv2.INTER_NEAREST)
    ours = write_indexed_png(tmp_path / "ours.png", labels, catalog)
    Image.fromarray(labels).save(tmp_path / "pillow.png")
    assert ours < 1.5 * (tmp_path / "pillow.png").stat().st_size
