"""What a folder lists, whatever systems, archives and people leave in it; and which files belong together by name."""

from __future__ import annotations

import io
import os
import socket
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from deeplab_core.analysis.report.thumbnails import Photographs
from deeplab_core.catalogs import get_catalog
from deeplab_core.datasets.find import find_images, scan_folder
from deeplab_core.datasets.pairing import pair_masks
from deeplab_core.datasets.sidecars import SidecarFiles
from deeplab_core.errors import AtrousError, ImageReadError, MaskFormatError
from deeplab_core.images import content_key, probe_image, read_image, read_thumbnail
from deeplab_core.images import probe as probe_module
from deeplab_core.images.file_names import bare_stem, is_passed_over, name_key
from deeplab_core.masks.read import read_mask

NFC, NFD = unicodedata.normalize("NFC", "Zürich 의자"), unicodedata.normalize("NFD", "Zürich 의자")


def noise(side: int = 40, seed: int = 0, mode: str = "RGB") -> Image.Image:
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8)).convert(mode)


def photograph(path: Path, seed: int = 0, mode: str = "RGB") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise(seed=seed, mode=mode).save(path)


def mask(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(np.zeros((40, 40), np.uint8))
    picture.putpalette([0, 0, 0, 128, 0, 0])
    picture.save(path)


@pytest.mark.parametrize(
    "name",
    [
        "__MACOSX/a.jpg", "__MACOSX/._a.jpg", "._a.jpg", "$RECYCLE.BIN/S-1/a.jpg", ".Trash-1000/files/a.jpg", "@eaDir/a.jpg",
        "sub/@eaDir/a.jpg/SYNOPHOTO_THUMB_M.jpg", "#recycle/a.jpg", ".AppleDouble/a.jpg", "lost+found/a.png",
        ".ipynb_checkpoints/a-checkpoint.jpg", "System Volume Information/a.jpg", "@Recycle/a.jpg", "#snapshot/1/a.jpg",
        ".atrous/a.png",
    ],
)  # fmt: skip
def test_trash_and_bookkeeping_of_systems_are_not_listed(tmp_path: Path, name: str) -> None:
    photograph(tmp_path / "b.jpg")
    photograph(tmp_path / name)
    (tmp_path / "Thumbs.db").write_bytes(b"x")
    scan = scan_folder(tmp_path)
    assert scan.images == ("b.jpg",)
    assert scan.left_out() == ()
    photograph(tmp_path / "masks" / "b.jpg")
    assert is_passed_over("Thumbs.db")


@pytest.mark.parametrize("label", ["mask", "masks", "labels", "gt", "annotations", "SegmentationClass", "trainannot", "mask/val"])
@pytest.mark.parametrize(("ending", "mode"), [(".png", "RGB"), (".png", "RGBA"), (".png", "L"), (".tif", "RGB"), (".bmp", "RGB")])
def test_photographs_in_a_folder_named_like_masks_stay_visible(tmp_path: Path, label: str, ending: str, mode: str) -> None:
    for seed in range(3):
        photograph(tmp_path / label / f"{seed}{ending}", seed, mode)
        photograph(tmp_path / "nomask" / f"{seed}.png", seed + 3)
    assert len(find_images(tmp_path)) == 6


def test_grey_photographs_beside_colour_ones_stay_visible(tmp_path: Path) -> None:
    for seed in range(3):
        photograph(tmp_path / f"{seed}.jpg", seed)
        photograph(tmp_path / f"{seed}.png", seed, "L")
    assert len(find_images(tmp_path)) == 6


def test_colour_masks_with_soft_edges_are_still_masks(tmp_path: Path) -> None:
    for seed in range(3):
        photograph(tmp_path / "images" / f"{seed}.jpg", seed)
        soft = np.zeros((60, 60, 3), np.uint8)
        soft[20:40, 20:40] = 200
        soft[19:21, 20:40] = np.random.default_rng(seed).integers(0, 200, (2, 20, 3), dtype=np.uint8)
        (tmp_path / "masks").mkdir(exist_ok=True)
        Image.fromarray(soft).save(tmp_path / "masks" / f"{seed}.png")
    scan = scan_folder(tmp_path)
    assert len(scan.images) == 3
    assert scan.left_out() == ("3 are masks of these images, not listed as images: masks/0.png, masks/1.png, masks/2.png",)


@pytest.mark.parametrize("photo_form", [NFC, NFD])
@pytest.mark.parametrize("mask_form", [NFC, NFD])
@pytest.mark.parametrize("layout", ["{}.png", "labels/{}.png", "labels/{}.jpg.png", "{}_mask.png"])
def test_masks_are_recognised_by_name_in_every_unicode_form(tmp_path: Path, photo_form: str, mask_form: str, layout: str) -> None:
    photograph(tmp_path / f"{photo_form}.jpg")
    mask(tmp_path / layout.format(mask_form))
    scan = scan_folder(tmp_path)
    assert scan.images == (f"{photo_form}.jpg",)
    assert len(scan.masks) == 1


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="POSIX")
def test_pipes_devices_and_sockets_are_named_and_never_waited_for(tmp_path: Path) -> None:
    photograph(tmp_path / "a.jpg")
    os.mkfifo(tmp_path / "0.png")
    (tmp_path / "zero.jpg").symlink_to("/dev/zero")
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere")
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(tmp_path / "s.png"))
    try:
        scan = scan_folder(tmp_path)
        assert scan.images == ("a.jpg", "gone.jpg")
        assert scan.not_files == ("0.png", "s.png", "zero.jpg")
        assert scan.left_out() == ("3 are pipes or devices, not files: 0.png, s.png, zero.jpg",)
        for name in scan.not_files:
            for reader in (read_image, probe_image, content_key, lambda path: read_thumbnail(path, 64)):
                with pytest.raises(ImageReadError, match="pipe or device"):
                    reader(tmp_path / name)
            with pytest.raises(MaskFormatError, match="cannot be read") as caught:
                read_mask(tmp_path / name, get_catalog("voc21"))
            assert "pipe or device" in caught.value.why
    finally:
        server.close()


def test_a_file_of_terabytes_is_named(tmp_path: Path) -> None:
    with (tmp_path / "a.jpg").open("wb") as stream:
        stream.truncate(3 << 40)
    for reader in (read_image, probe_image, content_key):
        with pytest.raises(ImageReadError, match="too large"):
            reader(tmp_path / "a.jpg")


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_links_out_of_the_folder_are_not_followed(tmp_path: Path) -> None:
    root = tmp_path / "around" / "root"
    photograph(root / "a.jpg")
    photograph(tmp_path / "around" / "outside.jpg")
    (root / "disk").symlink_to("/", target_is_directory=True)
    (root / "up").symlink_to(tmp_path / "around", target_is_directory=True)
    scan = scan_folder(root)
    assert scan.images == ("a.jpg",)
    assert scan.not_followed == ("disk", "up")
    assert "2 are links to folders outside of this one" in scan.left_out()[0]


def test_formats_that_are_not_read_are_counted_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photograph(tmp_path / "a.jpg")
    for name in ("b.CR2", "sub/c.psd", "d.dcm", "e.mp4", "phone.HEIC", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    monkeypatch.setattr("deeplab_core.datasets.find.heic_readable", lambda: False)
    scan = scan_folder(tmp_path)
    assert scan.images == ("a.jpg",)
    assert scan.unsupported == ("b.CR2", "d.dcm", "e.mp4", "phone.HEIC", "sub/c.psd")
    heic, others = scan.left_out()
    assert heic.startswith("1 is a HEIC image; install pillow-heif (pip install 'atrous[heic]')")
    assert others.startswith("4 are in formats that are not read (.cr2, .dcm, .mp4, .psd): b.CR2")
    monkeypatch.setattr("deeplab_core.datasets.find.heic_readable", lambda: True)
    assert scan_folder(tmp_path).images == ("a.jpg", "phone.HEIC")


def test_an_avif_file_that_ends_early_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "a.avif"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(ImageReadError, match="damaged") as caught:
        read_image(path)
    assert "Install" not in str(caught.value)  # this Pillow reads AVIF


@pytest.mark.parametrize(("ending", "kind", "options"), [(".avif", "AVIF", {"quality": 100}), (".gif", "GIF", {})])
def test_avif_and_gif_are_read(tmp_path: Path, ending: str, kind: str, options: dict[str, int]) -> None:
    colours = np.zeros((40, 60, 3), np.uint8)
    colours[:, 30:] = (250, 10, 10)
    Image.fromarray(colours).save(tmp_path / f"a{ending}", kind, **options)
    assert find_images(tmp_path) == [f"a{ending}"]
    image = read_image(tmp_path / f"a{ending}")
    assert image.rgb.shape == (40, 60, 3)
    assert np.abs(image.rgb.astype(int) - colours).mean() < 3
    assert read_thumbnail(tmp_path / f"a{ending}", 20).shape == (13, 20, 3)


HEIC = b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic"


def test_heic_without_its_extra_names_the_install_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.heic").write_bytes(HEIC)
    monkeypatch.setattr(probe_module, "heic_readable", lambda: False)
    with pytest.raises(ImageReadError, match="HEIC") as caught:
        read_image(tmp_path / "a.heic")
    assert "pip install 'atrous[heic]'" in caught.value.remedy


def test_heic_with_its_extra_is_read(tmp_path: Path) -> None:
    heif = pytest.importorskip("pillow_heif")
    heif.register_heif_opener()
    noise().resize((64, 48)).save(tmp_path / "a.heic", quality=90)
    assert find_images(tmp_path) == ["a.heic"]
    assert read_image(tmp_path / "a.heic").rgb.shape == (48, 64, 3)


@pytest.mark.parametrize("ours", ["a.png", "a.jpg.png", "a.jpeg.png", "a.HEIC.png", "a.gif.png", "sub/a.png"])
@pytest.mark.parametrize("theirs", ["a.png", "a_mask.png", "a.jpg.png", "a.JPG.png"])
def test_predictions_find_their_truth_with_and_without_the_photographs_ending(tmp_path: Path, ours: str, theirs: str) -> None:
    mask(tmp_path / "p" / ours)
    mask(tmp_path / "t" / theirs)
    found = pair_masks(tmp_path / "p", [tmp_path / "t"])
    assert [(pair.prediction, pair.truth) for pair in found.pairs] == [(tmp_path / "p" / ours, tmp_path / "t" / theirs)]


@pytest.mark.parametrize("stem", ["car_color", "lot_instanceIds", "x_instanceTrainIds"])
def test_masks_named_like_companions_are_not_dropped(tmp_path: Path, stem: str) -> None:
    for place in ("p", "t"):
        mask(tmp_path / place / f"{stem}.png")
    assert len(pair_masks(tmp_path / "p", [tmp_path / "t"]).pairs) == 1
    own = stem.rpartition("_")[0]
    mask(tmp_path / "t" / f"{own}.png")
    mask(tmp_path / "p" / f"{own}.png")
    assert [pair.name for pair in pair_masks(tmp_path / "p", [tmp_path / "t"]).pairs] == [f"{own}.png"]


def test_an_equal_pair_stops_only_itself(tmp_path: Path) -> None:
    for name in ("a.jpg.png", "a.png.png", "b.png"):
        mask(tmp_path / "p" / name)
    for name in ("a.png", "b.png"):
        mask(tmp_path / "t" / name)
    found = pair_masks(tmp_path / "p", [tmp_path / "t"])
    assert [pair.name for pair in found.pairs] == ["b.png"]
    assert len(found.ambiguous) == 1
    assert "a.jpg.png" in str(found.ambiguous[0])
    assert "a.png.png" in str(found.ambiguous[0])
    for name in ("a.jpg.png", "a.png.png"):
        mask(tmp_path / "t" / name)
    (tmp_path / "t" / "a.png").unlink()
    assert len(pair_masks(tmp_path / "p", [tmp_path / "t"]).pairs) == 3


LETTERS = st.characters(codec="utf-8", exclude_characters="/\0\\.", exclude_categories=("Cc", "Cs"))


@given(stem=st.text(LETTERS, min_size=1, max_size=12))
@settings(max_examples=60, deadline=None)
def test_every_pairing_by_name_holds_in_every_unicode_form(tmp_path_factory: pytest.TempPathFactory, stem: str) -> None:
    root = tmp_path_factory.mktemp("names")
    forms = [unicodedata.normalize(form, stem) for form in ("NFC", "NFD")]
    try:
        for place, name in (("p", forms[0]), ("t", forms[1])):
            (root / place).mkdir()
            (root / place / f"{name}.png").write_bytes(b"x")
        (root / "c").mkdir()
        (root / "c" / f"{forms[1]}.ambiguous.json").write_bytes(b"x")
    except OSError:  # a name that this disk cannot hold
        return
    if is_passed_over(f"{forms[0]}.png") or forms[0].endswith(".confidence"):
        return
    assert name_key(forms[0]) == name_key(forms[1])
    assert bare_stem(forms[0]) == bare_stem(forms[1])
    assert len(pair_masks(root / "p", [root / "t"]).pairs) == 1
    assert SidecarFiles(root / "c", (".ambiguous.json",)).of(f"{forms[0]}.png") is not None
    assert Photographs.below(root / "t").of(f"{forms[0]}.png") == root / "t" / f"{forms[1]}.png"


def test_sidecar_files_of_an_equal_pair_are_distinguished(tmp_path: Path) -> None:
    for name in ("a.jpg", "a.png", "b.jpg"):
        photograph(tmp_path / name)
    (tmp_path / "a.jpg.confidence.png").write_bytes(b"x")
    photographs = SidecarFiles(tmp_path, (".jpg", ".png"))
    assert photographs.of("a.jpg.png") == tmp_path / "a.jpg"
    assert photographs.of("a.png.png") == tmp_path / "a.png"
    assert photographs.of("a.npy") is None
    assert photographs.of("b.png") == tmp_path / "b.jpg"
    assert SidecarFiles(tmp_path, (".confidence.png",)).of("a.jpg.png") == tmp_path / "a.jpg.confidence.png"
    assert Photographs.below(tmp_path).of("a.png.png") == tmp_path / "a.png"


@pytest.mark.skipif(os.name == "nt", reason="names are bytes on POSIX only")
def test_names_in_foreign_bytes_are_listed_and_read(tmp_path: Path) -> None:
    path = os.path.join(os.fsencode(tmp_path), b"\xbb\xe7\xc1\xf8.png")  # noqa: PTH118 -- bytes
    buffer = io.BytesIO()
    noise().save(buffer, "PNG")
    with open(path, "wb") as stream:  # noqa: PTH123 -- bytes
        stream.write(buffer.getvalue())
    (name,) = find_images(tmp_path)
    assert os.fsencode(name) == b"\xbb\xe7\xc1\xf8.png"
    assert read_image(tmp_path / name).rgb.shape == (40, 40, 3)
    with pytest.raises(AtrousError):
        read_image(tmp_path / (name + ".missing"))
