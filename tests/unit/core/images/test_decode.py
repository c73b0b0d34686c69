"""Any image file to oriented RGB: equal to Pillow where Pillow is right, and clear where a file is bad."""

from __future__ import annotations

import io
import struct
import zlib
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from deeplab_core.errors import ImageReadError
from deeplab_core.images import MAX_PIXELS, content_key, decode_image, probe_image, read_image, read_thumbnail, to_oriented
from deeplab_core.images.channels import NEUTRAL, to_uint8


@pytest.fixture(scope="module")
def scene() -> np.ndarray:
    """(45, 60, 3) uint8: gradients and a few hard edges, not symmetric in any way."""
    y, x = np.mgrid[0:45, 0:60]
    rgb = np.stack((x * 4, y * 5, (x + y) * 2), axis=-1).astype(np.uint8)
    rgb[5:15, 40:55] = (250, 20, 30)
    return rgb


def _save(path: Path, picture: Image.Image, **options: object) -> Path:
    picture.save(path, **options)
    return path


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.tif"])
def test_every_orientation_of_every_format(tmp_path: Path, scene: np.ndarray, name: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if name == "a.webp" else {"quality": 95} if name == "a.jpg" else {}
    path = _save(tmp_path / name, Image.fromarray(scene), exif=exif, **options)
    plain = _save(tmp_path / f"plain_{name}", Image.fromarray(scene), **options)
    found = read_image(path)
    np.testing.assert_array_equal(found.rgb, to_oriented(read_image(plain).rgb, orientation))
    assert found.info.orientation == orientation
    assert found.info.size == (found.rgb.shape[1], found.rgb.shape[0])
    assert found.info.stored_size == (60, 45)
    assert found.rgb.flags.c_contiguous
    assert probe_image(path) == found.info
    if name != "a.jpg":
        np.testing.assert_array_equal(read_image(plain).rgb, scene)


def test_exif_after_the_pixels_of_a_png_counts(tmp_path: Path, scene: np.ndarray) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    block = exif.tobytes().removeprefix(b"Exif\x00\x00")
    path = _save(tmp_path / "late.png", Image.fromarray(scene))
    data = path.read_bytes()
    chunk = struct.pack(">I", len(block)) + b"eXIf" + block + struct.pack(">I", zlib.crc32(b"eXIf" + block))
    path.write_bytes(data[:-12] + chunk + data[-12:])
    assert probe_image(path).orientation == 6
    np.testing.assert_array_equal(read_image(path).rgb, to_oriented(scene, 6))


@pytest.mark.parametrize(
    ("suffix", "mode"),
    [
        *((".png", mode) for mode in ("L", "1", "P", "RGBA", "LA")),
        *((".jpg", mode) for mode in ("L", "CMYK")),
        *((".tif", mode) for mode in ("L", "1", "P", "RGBA", "LA", "CMYK")),
        *((".bmp", mode) for mode in ("L", "1", "P", "RGBA")),
        *((".webp", mode) for mode in ("L", "RGBA")),
    ],
)
def test_pixel_kinds_agree_with_pillow(tmp_path: Path, scene: np.ndarray, mode: str, suffix: str) -> None:
    path = _save(tmp_path / f"a{suffix}", Image.fromarray(scene).convert(mode))
    with Image.open(path) as saved:
        expected = np.asarray(saved.convert("RGB")).astype(int)
    found = read_image(path).rgb.astype(int)
    # The two CMYK conversions round differently.
    assert np.abs(found - expected).max() <= (1 if mode == "CMYK" else 0)


def test_a_palette_with_transparency_shows_its_colours(tmp_path: Path) -> None:
    picture = Image.fromarray(np.array([[0, 1], [2, 0]], dtype=np.uint8))
    picture.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    path = _save(tmp_path / "p.png", picture, transparency=1)
    assert read_image(path).rgb.tolist() == [[[10, 20, 30], [40, 50, 60]], [[70, 80, 90], [10, 20, 30]]]


def test_names_beyond_ascii_and_wrong_endings(tmp_path: Path, scene: np.ndarray) -> None:
    path = tmp_path / "Ünï 画像 😀.jpg"
    buffer = io.BytesIO()
    Image.fromarray(scene).save(buffer, "PNG")
    path.write_bytes(buffer.getvalue())
    assert np.array_equal(read_image(path).rgb, scene)
    assert probe_image(path).format == "PNG"


def test_sixteen_bit_png_keeps_the_high_byte(tmp_path: Path) -> None:
    values = (np.arange(256, dtype=np.uint16).reshape(16, 16) << 8) + 77
    path = _save(tmp_path / "deep.png", Image.fromarray(values))
    found = read_image(path)
    assert np.array_equal(found.rgb[..., 1], values >> 8)
    assert "16-bit" in found.note


def test_content_key_is_the_sha256_of_the_bytes(tmp_path: Path, scene: np.ndarray) -> None:
    path = _save(tmp_path / "a.png", Image.fromarray(scene))
    assert read_image(path).key == content_key(path)
    (tmp_path / "empty").touch()
    assert content_key(tmp_path / "empty").startswith("e3b0c44298fc1c14")


class TestTiff:
    @pytest.mark.parametrize("compression", [None, "zlib"])
    def test_sixteen_bit_rgb_is_scaled_by_its_bit_depth(self, tmp_path: Path, scene: np.ndarray, compression: str | None) -> None:
        path = tmp_path / "deep.tif"
        tifffile.imwrite(path, scene.astype(np.uint16) * 16, photometric="rgb", compression=compression)
        found = read_image(path)
        assert np.abs(found.rgb.astype(int) - scene).max() <= 1
        assert "4095" in found.note

    @pytest.mark.parametrize("compression", ["tiff_lzw", "jpeg", "packbits"])
    @pytest.mark.parametrize("orientation", [1, 6])
    def test_compressions_of_libtiff(self, tmp_path: Path, scene: np.ndarray, compression: str, orientation: int) -> None:
        exif = Image.Exif()
        exif[0x0112] = orientation
        path = _save(
            tmp_path / "c.tif",
            Image.fromarray(scene),
            compression=compression,
            exif=exif,
            **({"quality": 100} if compression == "jpeg" else {}),
        )
        found = read_image(path).rgb.astype(int)
        assert found.shape == to_oriented(scene, orientation).shape
        assert np.abs(found - to_oriented(scene, orientation)).mean() < (5 if compression == "jpeg" else 1e-9)

    def test_sixteen_bit_lzw(self, tmp_path: Path, scene: np.ndarray) -> None:
        path = tmp_path / "lzw16.tif"
        grey = scene[..., 0].astype(np.uint16) * 257
        _save(path, Image.fromarray(grey), compression="tiff_lzw")
        assert np.array_equal(read_image(path).rgb[..., 2], scene[..., 0])

    def test_bands_planes_palettes_and_inverted_grey(self, tmp_path: Path, scene: np.ndarray) -> None:
        five = np.dstack((scene, scene[..., :2]))
        tifffile.imwrite(tmp_path / "five.tif", five, photometric="rgb", extrasamples=[0, 0])
        assert np.array_equal(read_image(tmp_path / "five.tif").rgb, scene)
        assert "5 bands" in read_image(tmp_path / "five.tif").note
        tifffile.imwrite(tmp_path / "planes.tif", np.moveaxis(scene, -1, 0), photometric="rgb", planarconfig="separate")
        assert np.array_equal(read_image(tmp_path / "planes.tif").rgb, scene)
        tifffile.imwrite(tmp_path / "inverted.tif", scene[..., 0], photometric="miniswhite")
        assert np.array_equal(read_image(tmp_path / "inverted.tif").rgb[..., 0], 255 - scene[..., 0])
        _save(tmp_path / "palette.tif", Image.fromarray(scene).convert("P"))
        expected = np.asarray(Image.fromarray(scene).convert("P").convert("RGB"))
        assert np.array_equal(read_image(tmp_path / "palette.tif").rgb, expected)

    def test_floats_and_big_tiff_and_pages(self, tmp_path: Path, scene: np.ndarray) -> None:
        tifffile.imwrite(tmp_path / "float.tif", scene[..., 0].astype(np.float32) / 255)
        assert np.array_equal(read_image(tmp_path / "float.tif").rgb[..., 0], scene[..., 0])
        tifffile.imwrite(tmp_path / "big.tif", scene, photometric="rgb", bigtiff=True)
        assert np.array_equal(read_image(tmp_path / "big.tif").rgb, scene)
        with tifffile.TiffWriter(tmp_path / "pages.tif") as writer:
            writer.write(scene, photometric="rgb")
            writer.write(scene[:10, :10], photometric="rgb")
        assert np.array_equal(read_image(tmp_path / "pages.tif").rgb, scene)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([0, 200], np.uint16), [0, 200]),
        (np.array([0, 1023], np.uint16), [0, 255]),
        (np.array([0, 65535], np.uint16), [0, 255]),
        (np.array([-5, 4095], np.int16), [0, 255]),
        (np.array([False, True]), [0, 255]),
        (np.array([0.0, 0.5, np.nan]), [0, 128, NEUTRAL]),
        (np.array([0.0, 254.6]), [0, 255]),
        (np.array([-100.0, 0.0, 100.0]), [0, 128, 255]),
        (np.array([7, 9], np.uint8), [7, 9]),
    ],
)
def test_scaling_to_eight_bits(values: np.ndarray, expected: list[int]) -> None:
    found, note = to_uint8(values)
    assert found.tolist() == expected
    assert bool(note) == (values.dtype not in (np.uint8, np.bool_))


class TestThumbnails:
    @pytest.mark.parametrize("orientation", [1, 6])
    def test_a_jpeg_thumbnail_is_the_picture_in_small(self, tmp_path: Path, orientation: int) -> None:
        y, x = np.mgrid[0:600, 0:800]
        rgb = np.stack((x // 4, y // 3, (x + y) // 8), axis=-1).astype(np.uint8)
        exif = Image.Exif()
        exif[0x0112] = orientation
        path = _save(tmp_path / "a.jpg", Image.fromarray(rgb), quality=95, exif=exif)
        small = read_thumbnail(path, 128)
        assert small.shape == ((96, 128, 3) if orientation == 1 else (128, 96, 3))
        full = Image.fromarray(to_oriented(rgb, orientation)).resize((small.shape[1], small.shape[0]), Image.Resampling.BOX)
        assert np.abs(small.astype(int) - np.asarray(full)).mean() < 2

    def test_small_pictures_are_not_enlarged_and_thin_ones_keep_a_pixel(self, tmp_path: Path, scene: np.ndarray) -> None:
        assert np.array_equal(read_thumbnail(_save(tmp_path / "a.png", Image.fromarray(scene)), 128), scene)
        thin = np.zeros((1, 1000, 3), dtype=np.uint8)
        assert read_thumbnail(_save(tmp_path / "thin.png", Image.fromarray(thin)), 64).shape == (1, 64, 3)


class TestBadFiles:
    @pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".bmp", ".webp"])
    @pytest.mark.parametrize("kept", [0.9, 0.5, 0.02])
    def test_truncated_files_name_themselves_and_a_remedy(
        self, tmp_path: Path, scene: np.ndarray, suffix: str, kept: float
    ) -> None:
        rng = np.random.default_rng(3)
        noisy = np.clip(scene + rng.integers(0, 9, scene.shape), 0, 255).astype(np.uint8)
        path = _save(tmp_path / f"a{suffix}", Image.fromarray(noisy))
        data = path.read_bytes()
        path.write_bytes(data[: max(12, int(len(data) * kept))])
        for read in (read_image, lambda file: read_thumbnail(file, 8)):
            with pytest.raises(ImageReadError) as caught:
                read(path)
            assert caught.value.path == path
            assert caught.value.remedy

    @pytest.mark.parametrize(
        ("content", "what"),
        [
            (b"", "empty"),
            (b"hello, I am text", "not an image"),
            # With its reader installed only the rest of the file is missing; without it the reader is named.
            (b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic", "damaged" if find_spec("pillow_heif") else "HEIC"),
        ],
    )
    def test_no_images(self, tmp_path: Path, content: bytes, what: str) -> None:
        path = tmp_path / "a.jpg"
        path.write_bytes(content)
        with pytest.raises(ImageReadError, match=what):
            read_image(path)
        with pytest.raises(ImageReadError, match=what):
            probe_image(path)

    def test_missing_files_and_folders(self, tmp_path: Path) -> None:
        for read in (read_image, probe_image, content_key):
            with pytest.raises(ImageReadError, match="not there"):
                read(tmp_path / "none.jpg")
            with pytest.raises(ImageReadError):
                read(tmp_path)

    def test_a_damaged_png_is_refused(self, tmp_path: Path, scene: np.ndarray) -> None:
        path = _save(tmp_path / "a.png", Image.fromarray(scene))
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 0xFF
        path.write_bytes(data)
        with pytest.raises(ImageReadError, match=r"damaged|early"):
            read_image(path)

    @pytest.mark.parametrize(("width", "height"), [(30000, 30000), (100_000, 100_000)])
    def test_a_bomb_is_refused_by_its_header(self, width: int, height: int) -> None:
        header = struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0)
        data = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
        data += struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
        assert width * height > MAX_PIXELS
        with pytest.raises(ImageReadError, match="too large"):
            decode_image(data, Path("bomb.png"))

    def test_a_hundred_megapixels_pass_the_limit(self, tmp_path: Path) -> None:
        path = _save(tmp_path / "large.png", Image.new("1", (12_000, 8_400)))
        info = probe_image(path)
        assert info.width * info.height > 100_000_000


@pytest.mark.slow
def test_a_hundred_megapixels_decode(tmp_path: Path) -> None:
    path = _save(tmp_path / "large.jpg", Image.new("RGB", (12_000, 8_400), (10, 200, 30)))
    rgb = read_image(path).rgb
    assert rgb.shape == (8_400, 12_000, 3)
    assert np.abs(rgb[-1, -1].astype(int) - (10, 200, 30)).max() <= 2
    assert read_thumbnail(path, 256).shape == (179, 256, 3)


def test_real_photographs_agree_with_pillow(shared_real: Path) -> None:
    for path in sorted((shared_real / "voc" / "images").iterdir())[:6]:
        with Image.open(path) as picture:
            expected = np.asarray(picture.convert("RGB")).astype(int)
        assert np.abs(read_image(path).rgb.astype(int) - expected).max() <= 2
