"""Large pictures: read in strips with the same result, in bounded memory, or refused with a remedy that exists."""

from __future__ import annotations

import io
import resource
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from deeplab_core.errors import ImageReadError, MaskFormatError
from deeplab_core.images import decode, png_strips, read_image, read_thumbnail
from deeplab_core.images.jpeg import jpeg_state
from deeplab_core.images.png import SIGNATURE, deep_samples
from deeplab_core.images.png_strips import png_layout, png_reduced, png_rgb, png_samples
from deeplab_core.masks.stored import read_stored

stored = sys.modules["deeplab_core.masks.stored"]
KINDS = {"grey": (0, 8), "RGB": (2, 8), "palette": (3, 8), "grey alpha": (4, 8), "RGB alpha": (6, 8), "1 bit": (0, 1),
         "2 bit": (0, 2), "4 bit": (0, 4), "palette 1": (3, 1), "palette 2": (3, 2), "palette 4": (3, 4),
         "grey 16": (0, 16), "RGB 16": (2, 16), "RGB alpha 16": (6, 16)}  # fmt: skip
SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(kind: int, depth: int, rows: np.ndarray, width: int, filters: np.ndarray, *, more: bytes = b"") -> bytes:
    """A PNG of filtered rows (n, row bytes) and the filter of each; what they unfilter to is anything."""
    header = struct.pack(">IIBBBBB", width, len(rows), depth, kind, 0, 0, 0)
    packed = zlib.compress(np.concatenate((filters[:, None], rows), axis=1).astype(np.uint8).tobytes(), 1)
    half = len(packed) // 2
    parts = [chunk(b"IHDR", header), more, chunk(b"IDAT", packed[:half]), chunk(b"IDAT", packed[half:]), chunk(b"IEND", b"")]
    return SIGNATURE + b"".join(parts)


def any_png(kind: int, depth: int, seed: int, height: int = 61, width: int = 53) -> bytes:
    rng = np.random.default_rng(seed)
    size = (width * SAMPLES[kind] * depth + 7) // 8
    rows = rng.integers(0, 256, (height, size))
    filters = rng.integers(0, 5, height)
    more = chunk(b"PLTE", rng.integers(0, 256, 3 * (1 << depth)).astype(np.uint8).tobytes()) if kind == 3 else b""
    return png(kind, depth, rows, width, filters, more=more)


@pytest.mark.parametrize(("kind", "depth"), KINDS.values(), ids=list(KINDS))
def test_strips_are_what_the_decoders_give(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: int, depth: int) -> None:
    for seed, strip in enumerate((1, 300, 1000, 1 << 20)):
        monkeypatch.setattr(png_strips, "_STRIP", strip)
        data = any_png(kind, depth, seed)
        layout = png_layout(data)
        assert layout is not None
        path = tmp_path / "a.png"
        path.write_bytes(data)
        expected = read_image(path)
        if depth == 16:
            found = png_samples(data, layout)
            np.testing.assert_array_equal(found, deep_samples(data, kind).reshape(found.shape))
        else:
            np.testing.assert_array_equal(png_rgb(data, layout), expected.rgb)
        monkeypatch.setattr(decode, "LARGE", 1)
        again = read_image(path)
        np.testing.assert_array_equal(again.rgb, expected.rgb)
        assert again.notes == expected.notes
        monkeypatch.undo()


@pytest.mark.parametrize(("kind", "depth"), [(2, 8), (6, 8)])
def test_large_masks_of_colours_are_read_alike(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: int, depth: int) -> None:
    rng = np.random.default_rng(3)
    colors = rng.integers(0, 256, (40, 30, SAMPLES[kind]), np.uint8)
    colors[..., 3:] = 255
    path = tmp_path / "a.png"
    Image.fromarray(colors).save(path)
    expected = read_stored(path)
    monkeypatch.setattr(stored, "LARGE", 1)
    found = read_stored(path)
    np.testing.assert_array_equal(found.colors, expected.colors)
    assert found.notes == expected.notes
    if kind == 6:
        colors[3, 4, 3] = 9
        Image.fromarray(colors).save(path)
        with pytest.raises(MaskFormatError, match="transparent"):
            read_stored(path)


@pytest.mark.parametrize(("kind", "depth"), KINDS.values(), ids=list(KINDS))
@pytest.mark.parametrize("orientation", [1, 6])
def test_a_thumbnail_from_strips_looks_the_same(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: int, depth: int, orientation: int
) -> None:
    rng = np.random.default_rng(1)
    y, x = np.mgrid[0:400, 0:301]
    smooth = ((x // 3 + y // 4) % (1 << min(depth, 8))).astype(np.uint8)
    samples = np.repeat(smooth[..., None], SAMPLES[kind], axis=2)
    if depth == 16:
        rows = (samples.astype(np.uint16) * 250 + 100).astype(">u2").reshape(400, -1).view(np.uint8)
    elif depth < 8:
        bits = np.unpackbits(samples[..., 0, None], axis=2)[..., 8 - depth :].reshape(400, -1)
        rows = np.packbits(bits, axis=1)
    else:
        rows = samples.reshape(400, -1)
    more = chunk(b"PLTE", rng.integers(100, 120, 3 * (1 << depth)).astype(np.uint8).tobytes()) if kind == 3 else b""
    if orientation != 1:
        exif = Image.Exif()
        exif[0x0112] = orientation
        more += chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\x00\x00"))
    path = tmp_path / "a.png"
    path.write_bytes(png(kind, depth, rows, 301, np.zeros(400, np.uint8), more=more))
    expected = read_thumbnail(path, 40)
    monkeypatch.setattr(decode, "LARGE", 1)
    monkeypatch.setattr(png_strips, "_STRIP", 20_000)
    found = read_thumbnail(path, 40)
    assert abs(found.shape[0] - expected.shape[0]) <= 1
    assert abs(found.shape[1] - expected.shape[1]) <= 1
    if depth == 16:  # means are less extreme than single values, from which both are scaled
        return
    same = cv2.resize(found, expected.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    assert np.abs(same.astype(int) - expected).mean() < 6


def test_the_parts_of_a_reduced_picture_join(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(png_strips, "_STRIP", 3000)
    rng = np.random.default_rng(5)
    picture = rng.integers(0, 256, (96, 64, 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "PNG")
    data = stream.getvalue()
    found = png_reduced(data, png_layout(data), 8)
    expected = cv2.resize(picture, (8, 12), interpolation=cv2.INTER_AREA)
    assert np.abs(found.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("way", ["cut", "flipped", "filter", "palette", "checksum"])
def test_damage_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, way: str) -> None:
    monkeypatch.setattr(decode, "LARGE", 1)
    monkeypatch.setattr(png_strips, "_STRIP", 300)
    path = tmp_path / "a.png"
    rng = np.random.default_rng(2)
    for _ in range(20):
        data = bytearray(any_png(2, 8, 1))
        if way == "cut":
            del data[rng.integers(60, len(data) - 30) :]
        elif way == "flipped":
            data[rng.integers(60, len(data) - 30)] ^= 1 << rng.integers(8)
        elif way == "filter":
            data = bytearray(png(2, 8, np.zeros((9, 30), np.uint8), 10, np.full(9, 7)))
        elif way == "palette":
            data = bytearray(png(3, 8, np.zeros((9, 10), np.uint8), 10, np.zeros(9)))
        else:
            data[29] ^= 1
        path.write_bytes(data)
        for read in (read_image, lambda one: read_thumbnail(one, 8)):
            with pytest.raises(ImageReadError) as caught:
                read(path)
            assert caught.value.path == path
            assert caught.value.remedy


def bomb(kind: int, depth: int, width: int, height: int, interlace: int = 0) -> bytes:
    """A PNG with rows of zeros."""
    row = bytes((width * SAMPLES[kind] * depth + 7) // 8 + 1)
    engine = zlib.compressobj(1)
    packed = b"".join(engine.compress(row * 100) for _ in range(height // 100)) + engine.flush()
    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, interlace)
    return SIGNATURE + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


PEAK = """
import resource, sys
from deeplab_core.masks.stored import read_stored
from deeplab_core.images import read_image, read_thumbnail
from deeplab_core.images.png_strips import png_rgb
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
{call}
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""
PIXELS = 80_000_000


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in KiB on Linux")
@pytest.mark.parametrize(
    ("kind", "depth", "call", "bytes_a_pixel"),
    [
        (2, 8, "read_image(sys.argv[1])", 3),
        (6, 8, "read_image(sys.argv[1])", 3),
        (0, 8, "read_image(sys.argv[1])", 3),
        (2, 8, "read_stored(sys.argv[1])", 3),
        (2, 8, "read_thumbnail(sys.argv[1], 360)", 0),
        (0, 16, "read_thumbnail(sys.argv[1], 360)", 0),
        (2, 16, "read_thumbnail(sys.argv[1], 360)", 0),
    ],
)
def test_a_large_picture_is_held_once(tmp_path: Path, kind: int, depth: int, call: str, bytes_a_pixel: int) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(bomb(kind, depth, 10_000, 8_000))
    done = subprocess.run([sys.executable, "-c", PEAK.format(call=call), str(path)], capture_output=True, text=True, check=True)
    assert int(done.stdout) < bytes_a_pixel * PIXELS / 2**20 + 150


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in KiB on Linux")
def test_floats_are_scaled_without_copies(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.linspace(-3, 5, 20_000_000).reshape(4000, 5000))
    call = "read_image(sys.argv[1])"
    done = subprocess.run([sys.executable, "-c", PEAK.format(call=call), str(path)], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 20_000_000 * (8 + 1 + 3) / 2**20 + 150


@pytest.mark.parametrize(
    ("kind", "depth", "interlace", "why", "remedy"),
    [
        (2, 16, 0, "3 samples of 16 bits", "8 bits a sample"),
        (6, 16, 0, "4 samples of 16 bits", "8 bits a sample"),
        (6, 8, 1, "interlaced", "without interlacing"),
    ],
)
def test_beyond_the_bound_it_is_refused_with_a_remedy(
    tmp_path: Path, kind: int, depth: int, interlace: int, why: str, remedy: str
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(bomb(kind, depth, 20_000, 19_900, interlace)[:5000])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ImageReadError, match=r"GB of memory") as caught:
        read_image(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000
    assert why in caught.value.why
    assert remedy in caught.value.remedy
    assert caught.value.path == path


@pytest.mark.parametrize(("subsampling", "samples"), [(0, 3.0), (1, 2.0), (2, 1.5)])
@pytest.mark.parametrize("progressive", [False, True])
def test_what_a_jpeg_takes_is_known(tmp_path: Path, subsampling: int, samples: float, progressive: bool) -> None:
    path = tmp_path / "a.jpg"
    picture = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    Image.fromarray(picture).save(path, subsampling=subsampling, progressive=progressive)
    state = jpeg_state(path.read_bytes())
    assert state.samples == samples
    assert state.decoder_bytes == (2 * samples if progressive else 0)
    grey = tmp_path / "grey.jpg"
    Image.fromarray(picture[..., 0]).save(grey, progressive=progressive)
    assert jpeg_state(grey.read_bytes()).samples == 1.0


def test_a_progressive_jpeg_beyond_the_bound_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.new("RGB", (64, 64)).save(path, subsampling=0, progressive=True)
    data = bytearray(path.read_bytes())
    place = data.index(b"\xff\xc2")
    struct.pack_into(">HH", data, place + 5, 19_000, 20_000)
    path.write_bytes(data)
    with pytest.raises(ImageReadError, match=r"3\.4 GB of memory.*progressive.*without progressive coding"):
        read_image(path)


def test_a_tiff_of_many_slices_or_wide_samples_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    volume = np.zeros((2, 16, 16), np.float64)
    tifffile.imwrite(path, volume, volumetric=True, tile=(16, 16, 16), compression="zlib", metadata=None)
    data = bytearray(path.read_bytes())
    for tag, value in ((256, 9000), (257, 9000), (32997, 40)):
        place = data.find(struct.pack("<HH", tag, 4))
        place = place if place >= 0 else data.find(struct.pack("<HH", tag, 3))
        struct.pack_into("<I", data, place + 8, value)
    path.write_bytes(data)
    with pytest.raises(ImageReadError, match=r"GB of memory.*64 bits, in 40 slices"):
        read_image(path)
