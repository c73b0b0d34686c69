"""No photograph, no image of an open folder and no link is ever replaced or renamed."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.state.mask_file import MaskNote, encode_mask
from deeplab_core.atomic import atomic_write, protect_images, refuse_photograph, release_images, rename_file, replace_file
from deeplab_core.catalogs import get_catalog
from deeplab_core.catalogs.catalog import ClassCatalog, ClassInfo
from deeplab_core.errors import ProtectedFile, StorageError
from deeplab_core.masks.png import encode_png, write_mask
from deeplab_core.pictures import PNG_MARK, Picture, holds_labels, picture_kind

SIDE = 48


def photograph(mode: str = "RGB") -> Image.Image:
    rng = np.random.default_rng(3)
    return Image.fromarray(rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)).convert(mode)


def encoded(kind: str, mode: str = "RGB", **options: object) -> bytes:
    buffer = io.BytesIO()
    photograph(mode).save(buffer, kind, **options)
    return buffer.getvalue()


def flat() -> np.ndarray:
    labels = np.zeros((SIDE, SIDE), np.uint8)
    labels[10:30, 5:40] = 7
    return labels


PHOTOGRAPHS = {
    "a.jpg": encoded("JPEG"),
    "a.png": encoded("PNG"),
    "grey.png": encoded("PNG", "L"),
    "clear.png": encoded("PNG", "RGBA"),
    "palette.png": encoded("PNG", "P"),
    "a.tif": encoded("TIFF"),
    "a.bmp": encoded("BMP"),
    "a.webp": encoded("WEBP"),
    "a.gif": encoded("GIF", "P"),
    "a.ppm": encoded("PPM"),
    "a.jp2": encoded("JPEG2000"),
    "cut.jpg": encoded("JPEG")[:300],
    "cut.png": encoded("PNG")[:300],
    "phone.heic": b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic",
    "camera.cr2": b"II*\x00\x10\x00\x00\x00CR\x02\x00",
    "named_like_a_report.json": encoded("JPEG"),
    "named_like_a_page.html": encoded("PNG"),
}


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    release_images(tmp_path)


@pytest.mark.parametrize("name", PHOTOGRAPHS)
@pytest.mark.parametrize("way", ["write", "replace", "rename it", "rename onto it"])
def test_a_photograph_stays(folder: Path, name: str, way: str) -> None:
    path, other = folder / name, folder / "other"
    path.write_bytes(PHOTOGRAPHS[name])
    other.write_bytes(b"new")
    ways = {
        "write": lambda: atomic_write(path, b"new"),
        "replace": lambda: replace_file(other, path),
        "rename it": lambda: rename_file(path, folder / "elsewhere"),
        "rename onto it": lambda: rename_file(other, path),
    }
    with pytest.raises(ProtectedFile, match="never replaced") as caught:
        ways[way]()
    assert caught.value.path == path
    assert caught.value.remedy
    assert path.read_bytes() == PHOTOGRAPHS[name]
    assert {file.name for file in folder.iterdir()} == {name, "other"}


@pytest.mark.parametrize(
    "content", [b"", b"text", b"{}", b"<!doctype html>", b"\x93NUMPY", b"BM is not a bitmap", b"P5", b"SQLite format 3\0"]
)
def test_other_files_are_replaced(folder: Path, content: bytes) -> None:
    path = folder / "a.png"
    path.write_bytes(content)
    atomic_write(path, b"new")
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize("catalog", ["voc21", "cityscapes34"])
def test_masks_and_own_pictures_are_replaced(folder: Path, catalog: str) -> None:
    path = folder / "a.png"
    for _ in range(2):
        write_mask(path, flat(), get_catalog(catalog))
    assert picture_kind(path) is Picture.OURS
    for pixels in (np.asarray(photograph("L")), np.asarray(photograph()), flat()):
        for _ in range(2):
            atomic_write(path, encode_png(pixels))
        assert picture_kind(path) is Picture.OURS


def test_masks_of_older_projects_are_replaced(folder: Path) -> None:
    catalog = ClassCatalog(name="wide", title="wide", classes=tuple(ClassInfo(n, f"c{n}", (0, 0, 0)) for n in range(400)))
    labels = np.random.default_rng(0).integers(0, 400, (SIDE, SIDE)).astype(catalog.dtype)
    parts = encode_mask(labels, np.zeros((SIDE, SIDE), np.uint8), catalog, MaskNote(1, "a.jpg", "key"))
    data = b"".join(parts)
    mark = data.index(PNG_MARK)
    path = folder / "a.png"
    path.write_bytes(data[: mark - 8] + data[mark + len(PNG_MARK) + 4 :])
    assert picture_kind(path) is Picture.OURS
    atomic_write(path, data)


@pytest.mark.parametrize("mode", ["P", "L", "RGB"])
def test_masks_of_other_programs_are_replaced_on_request(folder: Path, mode: str) -> None:
    path = folder / "a.png"
    mask = Image.fromarray(flat())
    if mode == "P":
        mask.putpalette([value for value in range(256) for _ in range(3)])
    (mask if mode == "P" else mask.convert(mode)).save(path)
    assert picture_kind(path) is Picture.LABELS
    assert holds_labels(path)
    atomic_write(path, b"new")
    assert path.read_bytes() == b"new"


def test_an_image_of_an_open_folder_stays_whatever_it_holds(folder: Path) -> None:
    path = folder / "sub" / "scan.png"
    path.parent.mkdir()
    Image.fromarray(flat()).save(path)  # flat enough to be a mask, were it not listed
    before = path.read_bytes()
    protect_images(folder, ["sub/scan.png"])
    with pytest.raises(ProtectedFile, match="open folder"):
        atomic_write(path, b"new")
    with pytest.raises(ProtectedFile, match="open folder"):
        rename_file(path, folder / "sub" / "away.png")
    assert path.read_bytes() == before
    release_images(folder)
    atomic_write(path, b"new")


def test_an_open_folder_is_known_by_every_way_to_it(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    Image.fromarray(flat()).save(folder / "scan.png")
    link = tmp_path_factory.mktemp("elsewhere") / "link"
    link.symlink_to(folder, target_is_directory=True)
    protect_images(link, ["scan.png"])
    for way in (folder / "scan.png", link / "scan.png", folder / "." / ".." / folder.name / "scan.png"):
        with pytest.raises(ProtectedFile):
            refuse_photograph(way)
    release_images(folder)


@pytest.mark.parametrize("target", ["photo.jpg", "plain.txt", "missing", "link"])
def test_links_are_not_written_through(folder: Path, target: str) -> None:
    (folder / "photo.jpg").write_bytes(PHOTOGRAPHS["a.jpg"])
    (folder / "plain.txt").write_bytes(b"mine")
    link = folder / "link"
    link.symlink_to(folder / target)
    with pytest.raises(ProtectedFile, match="link"):
        atomic_write(link, b"new")
    with pytest.raises(ProtectedFile, match="link"):
        rename_file(link, folder / "moved")
    assert link.is_symlink()
    assert (folder / "plain.txt").read_bytes() == b"mine"
    assert not (folder / "missing").exists()


def test_a_linked_configuration_never_reaches_a_photograph(folder: Path) -> None:
    (folder / "photo.jpg").write_bytes(PHOTOGRAPHS["a.jpg"])
    (folder / "settings.toml").symlink_to(folder / "photo.jpg")
    with pytest.raises(ProtectedFile):
        atomic_write(folder / "settings.toml", b"new", follow_links=True)
    assert (folder / "photo.jpg").read_bytes() == PHOTOGRAPHS["a.jpg"]


def test_a_photograph_that_arrives_during_the_write_stays(folder: Path) -> None:
    path = folder / "a.png"

    def parts() -> Iterator[bytes]:
        yield b"new"
        path.write_bytes(PHOTOGRAPHS["a.png"])

    with pytest.raises(ProtectedFile):
        atomic_write(path, parts())
    assert path.read_bytes() == PHOTOGRAPHS["a.png"]
    assert list(folder.iterdir()) == [path]


def test_a_file_is_renamed_and_errors_are_named(folder: Path) -> None:
    (folder / "a").write_bytes(b"1")
    rename_file(folder / "a", folder / "b")
    assert (folder / "b").read_bytes() == b"1"
    with pytest.raises(StorageError, match="does not exist"):
        rename_file(folder / "a", folder / "b")
