"""Values of more than 8 bits: one scaling for every format, and nothing in a file blackens or whitens the picture."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from deeplab_core.images import read_image
from deeplab_core.images.channels import NEUTRAL, Declared, scale_to_uint8
from tests.unit.core.masks.samples import grey_alpha_png

SHAPE = (48, 60)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("values")


def ramp(top: int) -> np.ndarray:
    """(H, W) uint16 from 0 to ``top``, falling to the right and rising downwards, so that no row or column is even."""
    y, x = np.mgrid[0 : SHAPE[0], 0 : SHAPE[1]]
    share = (y / (SHAPE[0] - 1) + 1 - x / (SHAPE[1] - 1)) / 2
    return np.round(share * top).astype(np.uint16)


def with_chunk(path: Path, name: bytes, body: bytes) -> None:
    """Put a chunk before the pixels of a PNG file."""
    data = path.read_bytes()
    place = data.index(b"IDAT") - 4
    chunk = struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
    path.write_bytes(data[:place] + chunk + data[place:])


class TestBitDepths:
    @pytest.mark.parametrize("bits", [9, 10, 12, 14, 16])
    def test_a_camera_looks_the_same_in_every_file(self, folder: Path, bits: int) -> None:
        values = ramp((1 << bits) - 1)
        Image.fromarray(values).save(folder / "grey.png")
        cv2.imwrite(str(folder / "rgb.png"), np.stack([values] * 3, axis=-1))
        cv2.imwrite(str(folder / "rgba.png"), np.stack([values] * 3 + [np.full(SHAPE, 65535, np.uint16)], axis=-1))
        cv2.imwrite(str(folder / "rgb.jp2"), np.stack([values] * 3, axis=-1), [cv2.IMWRITE_JPEG2000_COMPRESSION_X1000, 1000])
        (folder / "rgb.ppm").write_bytes(b"P6 %d %d 65535\n" % SHAPE[::-1] + np.stack([values] * 3, -1).astype(">u2").tobytes())
        (folder / "grey.pgm").write_bytes(b"P5 %d %d 65535\n" % SHAPE[::-1] + values.astype(">u2").tobytes())
        (folder / "la.png").write_bytes(grey_alpha_png(values))
        tifffile.imwrite(folder / "grey.tif", values)
        tifffile.imwrite(folder / "rgb.tif", np.stack([values] * 3, axis=-1), photometric="rgb")
        Image.fromarray(values).save(folder / "lzw.tif", compression="tiff_lzw")
        pictures = {path.name: read_image(folder / path.name) for path in folder.glob("*.*")}
        assert len(pictures) == 10
        for name, picture in pictures.items():
            # 9 bits are not a usual depth: the picture is as bright as the next one says.
            expected = values * (255.0 / ((1 << (10 if bits == 9 else bits)) - 1))
            assert np.abs(picture.rgb[..., 1] - expected).max() <= 1, name
            assert np.array_equal(picture.rgb, pictures["grey.png"].rgb), name
            assert [note.kind for note in picture.notes] == ["scaled"], name
            assert f"from {10 if bits == 9 else bits} bit" in picture.notes[0].summary, name
        for path in folder.iterdir():
            path.unlink()

    def test_colours_keep_their_order(self, folder: Path) -> None:
        values = np.zeros((*SHAPE, 3), np.uint16)
        values[..., 0], values[..., 2] = 4095, 1000
        cv2.imwrite(str(folder / "red.png"), values[..., ::-1])
        assert read_image(folder / "red.png").rgb[3, 3].tolist() == [255, 0, 62]

    @pytest.mark.parametrize(
        ("bits", "top", "expected"), [(14, 900, 900 / 16383), (12, 900, 900 / 4095), (12, 60000, 60000 / 65535)]
    )
    def test_significant_bits_of_a_png_come_first(self, folder: Path, bits: int, top: int, expected: float) -> None:
        Image.fromarray(ramp(top)).save(folder / "sbit.png")
        with_chunk(folder / "sbit.png", b"sBIT", bytes([bits]))
        assert abs(int(read_image(folder / "sbit.png").rgb.max()) - 255 * expected) <= 1

    @pytest.mark.parametrize(("tag", "value"), [(281, 16383), (50717, 16383)])
    def test_a_declared_white_of_a_tiff_comes_first(self, folder: Path, tag: int, value: int) -> None:
        tifffile.imwrite(folder / "white.tif", ramp(4000), extratags=[(tag, 3, 1, value, True)])
        found = read_image(folder / "white.tif")
        assert abs(int(found.rgb.max()) - 255 * 4000 / 16383) <= 1
        assert "declared" in found.note

    @pytest.mark.parametrize("value", [65535, 3, 0])
    def test_a_declared_white_that_says_nothing_or_cannot_be_is_passed_over(self, folder: Path, value: int) -> None:
        tifffile.imwrite(folder / "white.tif", ramp(4095), extratags=[(281, 3, 1, value, True)])
        assert int(read_image(folder / "white.tif").rgb.max()) == 255


class TestOutliersAndNoData:
    """Other values in the file do not change the range of the picture itself."""

    @settings(max_examples=60, deadline=None)
    @given(
        low=st.floats(-5000, 5000),
        spread=st.floats(0.01, 5000),
        outlier=st.sampled_from([1e6, -1e6, 1e12, -1e12]),
        share=st.floats(0.0005, 0.04),
        dtype=st.sampled_from([np.float32, np.float64]),
    )
    def test_a_few_outliers_never_take_the_range(
        self, low: float, spread: float, outlier: float, share: float, dtype: type
    ) -> None:
        values = (low + spread * np.random.default_rng(0).random(SHAPE)).astype(dtype)
        hit = np.random.default_rng(1).random(SHAPE) < share
        values[hit] = outlier
        scaled, notes = scale_to_uint8(values)
        assert int(np.ptp(scaled[~hit])) > 100 or 0 <= values[~hit].min() <= values[~hit].max() <= 255  # own scales
        assert notes[0].kind == "scaled"

    @settings(max_examples=60, deadline=None)
    @given(
        no_data=st.sampled_from([-9999.0, -32768.0, 0.0, 1e20, -3.4028234663852886e38, np.nan, 255.0]),
        share=st.floats(0, 0.95),
        low=st.floats(300, 3000),
        dtype=st.sampled_from([np.float32, np.float64, np.int32]),
    )
    def test_declared_no_data_is_left_out_whatever_its_share(
        self, folder: Path, no_data: float, share: float, low: float, dtype: type
    ) -> None:
        values = (low + 500 * np.random.default_rng(0).random(SHAPE)).astype(dtype)
        hit = np.random.default_rng(1).random(SHAPE) < share
        if not np.isfinite(no_data) or abs(no_data) > 2e9:
            values = values.astype(np.float32)
        values[hit] = no_data
        tifffile.imwrite(folder / "dem.tif", values, extratags=[(42113, 2, 0, f"{no_data!r}\0", True)])
        found = read_image(folder / "dem.tif")
        assert np.ptp(found.rgb[~hit]) > 150
        assert (found.rgb[hit] == NEUTRAL).all()
        if hit.any():
            assert f"{int(hit.sum()):,} px without data" in found.note

    @pytest.mark.parametrize("share", [0.05, 0.5, 0.75])
    @pytest.mark.parametrize(("text", "value"), [("-3.4e+38", np.finfo(np.float32).min), ("3.4e38", np.finfo(np.float32).max)])
    def test_declared_no_data_may_be_rounded(self, folder: Path, text: str, value: float, share: float) -> None:
        values = np.random.default_rng(0).random(SHAPE).astype(np.float32)
        hit = np.random.default_rng(1).random(SHAPE) < share
        values[hit] = value
        tifffile.imwrite(folder / "dem.tif", values, extratags=[(42113, 2, 0, f"{text}\0", True)])
        found = read_image(folder / "dem.tif")
        assert np.ptp(found.rgb[~hit]) > 240
        assert (found.rgb[hit] == NEUTRAL).all()

    @pytest.mark.parametrize("fill", [-9999, -32768, -3.4028235e38, 1e30, np.inf, -np.inf, np.nan])
    @pytest.mark.parametrize("share", [0.05, 0.6])
    def test_usual_fill_values_need_no_declaration(self, fill: float, share: float) -> None:
        values = np.random.default_rng(0).random(SHAPE).astype(np.float32)
        hit = np.random.default_rng(1).random(SHAPE) < share
        values[hit] = fill
        scaled, notes = scale_to_uint8(values)
        assert np.ptp(scaled[~hit]) > 240
        assert (scaled[hit] == NEUTRAL).all()
        assert [note.kind for note in notes] == ["scaled", "no_data"]

    @settings(max_examples=40, deadline=None)
    @given(st.floats(0.001, 0.04), st.integers(0, 99), st.sampled_from([np.float32, np.float64, np.uint32, np.uint16]))
    def test_outliers_of_any_value_are_clipped(self, share: float, seed: int, dtype: type) -> None:
        rng = np.random.default_rng(seed)
        values = rng.integers(300, 1000, SHAPE).astype(np.float64)
        hit = rng.random(SHAPE) < share
        values[hit] = rng.uniform(20_000, 60_000, int(hit.sum()))
        scaled, _ = scale_to_uint8(values.astype(dtype))
        assert np.ptp(scaled[~hit]) > 150

    @pytest.mark.parametrize("fill", [-12345.0, -1e6, 77777.0])
    def test_any_value_of_many_pixels_far_from_the_rest_is_no_data(self, fill: float) -> None:
        values = np.random.default_rng(0).random(SHAPE).astype(np.float32)
        values[:10] = fill
        scaled, notes = scale_to_uint8(values)
        assert np.ptp(scaled[10:]) > 240
        assert (scaled[:10] == NEUTRAL).all()
        assert f"({fill:g}, taken as no data)" in notes[1].text

    def test_bright_spots_with_soft_edges_keep_their_shape(self) -> None:
        """Beads under a microscope: 2 % of the picture, far above the rest, but with every value in between."""
        y, x = np.mgrid[0:200, 0:200]
        values = 100 + 10 * np.random.default_rng(0).random((200, 200))
        values += 40_000 * np.exp(-((y - 100) ** 2 + (x - 100) ** 2) / 200)
        for dtype in (np.float32, np.uint16, np.uint32):
            scaled, _ = scale_to_uint8(values.astype(dtype))
            assert len(np.unique(scaled[100, 80:121])) > 15, dtype
            assert 140 < scaled.max() <= 255

    def test_pure_colours_and_drawings_are_values(self) -> None:
        drawing = np.zeros((*SHAPE, 3), np.uint16)
        drawing[5:20, :, 0], drawing[30:, :, 1] = 65535, 1000
        assert scale_to_uint8(drawing)[0][6, 0].tolist() == [255, 0, 0]
        scene = np.random.default_rng(0).integers(0, 4000, (*SHAPE, 3)).astype(np.uint16)
        scene[5:20] = (65535, 10, 10)
        scaled, notes = scale_to_uint8(scene)
        assert scaled[6, 0].tolist() == [255, 0, 0]
        assert [note.kind for note in notes] == ["scaled"]
        steps = np.repeat(np.array([0.0, 100.0, 10_000.0], np.float32), 100).reshape(10, 30)
        assert sorted(np.unique(scale_to_uint8(steps)[0])) == [0, 3, 255]

    def test_a_black_background_is_a_value(self) -> None:
        values = np.zeros(SHAPE, np.float32)
        values[10:30, 10:30] = 1000 + np.random.default_rng(0).random((20, 20)) * 50
        scaled, notes = scale_to_uint8(values)
        assert (scaled[:10] == 0).all()
        assert [note.kind for note in notes] == ["scaled"]

    @pytest.mark.parametrize(("tags", "low", "high"), [((340, 341), -50.0, 950.0), ((340, 341), 0.0, 2000.0)])
    def test_a_declared_range_of_floats_comes_first(self, folder: Path, tags: tuple[int, int], low: float, high: float) -> None:
        values = np.linspace(0, 900, SHAPE[0] * SHAPE[1], dtype=np.float32).reshape(SHAPE)
        values[:4, :10] = np.linspace(1e5, 1e6, 40).reshape(4, 10)  # and what lies outside is clipped
        extra = [(tag, 11, 1, value, True) for tag, value in zip(tags, (low, high), strict=True)]
        tifffile.imwrite(folder / "range.tif", values, extratags=extra)
        found = read_image(folder / "range.tif")
        expected = (values - low) * 255 / (high - low)
        assert np.abs(found.rgb[5:, :, 0] - expected[5:]).max() <= 1
        assert "40 values outside clipped" in found.note

    @pytest.mark.parametrize("full", [1023, 4095, 16383])
    def test_hot_pixels_of_a_camera_do_not_blacken_it(self, folder: Path, full: int) -> None:
        values = ramp(full)
        values[5, 5:9] = 65535
        Image.fromarray(values).save(folder / "hot.png")
        tifffile.imwrite(folder / "hot.tif", values)
        for name in ("hot.png", "hot.tif"):
            found = read_image(folder / name)
            assert np.array_equal(found.rgb[20:, :, 0], np.round(values[20:] * (255 / full))), name
            assert "clipped" in found.note

    @pytest.mark.parametrize("dtype", [np.uint16, np.int16])
    def test_a_sixteen_bit_fill_value_does_not_blacken_a_twelve_bit_picture(self, dtype: type) -> None:
        values = ramp(4095).astype(dtype)
        fill = 65535 if dtype is np.uint16 else -32768
        values[:20] = fill
        scaled, _ = scale_to_uint8(values)
        assert np.ptp(scaled[20:]) > 150
        assert (scaled[:20] == NEUTRAL).all()

    def test_black_and_white_and_even_pictures_keep_their_values(self) -> None:
        two = np.array([[0, 65535], [65535, 0]], np.uint16)
        assert scale_to_uint8(two)[0].tolist() == [[0, 255], [255, 0]]
        for value in (0, 7, 100):
            assert scale_to_uint8(np.full((4, 4), value, np.uint16))[0].tolist() == [[value] * 4] * 4
        assert scale_to_uint8(np.full((4, 4), np.nan))[0].tolist() == [[NEUTRAL] * 4] * 4

    def test_eight_bits_are_never_touched(self) -> None:
        values = np.arange(256, dtype=np.uint8).reshape(16, 16)
        scaled, notes = scale_to_uint8(values, Declared(no_data=0))
        assert scaled is values
        assert "1 px without data" in notes[0].text

    def test_an_even_height_below_zero_is_shown(self) -> None:
        scaled, notes = scale_to_uint8(np.linspace(-120, -20, 100).reshape(10, 10).astype(np.int16))
        assert (int(scaled.min()), int(scaled.max())) == (0, 255)
        assert "-120..-20" in notes[0].text

    @pytest.mark.parametrize("text", ["", "nan", "  -9999  ", "nothing", "-9999.000"])
    def test_whatever_gdal_wrote_is_no_error(self, folder: Path, text: str) -> None:
        values = np.linspace(0, 1, 600, dtype=np.float32).reshape(20, 30)
        values[:2] = -9999
        tifffile.imwrite(folder / "odd.tif", values, extratags=[(42113, 2, 0, f"{text}\0", True)])
        assert np.ptp(read_image(folder / "odd.tif").rgb[2:]) > 200


class TestPages:
    def picture(self, seed: int = 0) -> np.ndarray:
        return np.random.default_rng(seed).integers(0, 256, (*SHAPE, 3), dtype=np.uint8)

    @pytest.mark.parametrize("count", [1, 2, 7])
    def test_pages_and_frames_are_counted(self, folder: Path, count: int) -> None:
        pictures = [self.picture(seed) for seed in range(count)]
        tifffile.imwrite(folder / "stack.tif", np.stack(pictures), photometric="rgb")
        frames = [Image.fromarray(picture) for picture in pictures]
        for suffix in ("png", "webp", "gif", "avif"):
            options = {"lossless": True} if suffix == "webp" else {}
            frames[0].save(folder / f"stack.{suffix}", save_all=True, append_images=frames[1:], duration=100, **options)
        for suffix in ("tif", "png", "webp", "gif", "avif"):
            found = read_image(folder / f"stack.{suffix}")
            assert [note.kind for note in found.notes] == (["pages"] if count > 1 else []), suffix
            if count > 1:
                assert f"the first of {count}" in found.note
            if suffix in ("tif", "png", "webp"):
                assert np.array_equal(found.rgb, pictures[0]), suffix

    @pytest.mark.parametrize("kind", [1, 4, 5])
    def test_reduced_pages_and_transparency_masks_are_not_the_picture(self, folder: Path, kind: int) -> None:
        picture = self.picture()

        def aside(writer: tifffile.TiffWriter, step: int) -> None:
            if kind & 4:
                writer.write(picture[::step, ::step, 0] > 127, photometric="minisblack", subfiletype=kind)
            else:
                writer.write(picture[::step, ::step], photometric="rgb", subfiletype=kind)

        for order in ("before", "behind"):
            with tifffile.TiffWriter(folder / "pyramid.tif") as writer:
                if order == "before":
                    aside(writer, 4)
                writer.write(picture, photometric="rgb")
                if order == "behind":
                    aside(writer, 2)
                    aside(writer, 4)
            found = read_image(folder / "pyramid.tif")
            assert np.array_equal(found.rgb, picture), order
            assert found.info.size == (SHAPE[1], SHAPE[0])
            assert found.notes == (), order

    def test_a_picture_in_a_sub_file_behind_its_thumbnail(self, folder: Path) -> None:
        picture = self.picture()
        with tifffile.TiffWriter(folder / "raw.tif") as writer:
            writer.write(picture[::4, ::4], photometric="rgb", subfiletype=1, subifds=1)
            writer.write(picture, photometric="rgb", subfiletype=0)
        assert np.array_equal(read_image(folder / "raw.tif").rgb, picture)

    def test_a_page_of_libtiff_behind_a_thumbnail(self, folder: Path) -> None:
        """LZW pages go through another decoder, which must turn to the same page."""
        picture = self.picture()
        Image.fromarray(picture).resize((15, 12)).save(
            folder / "lzw.tif", save_all=True, append_images=[Image.fromarray(picture)], compression="tiff_lzw"
        )
        data = bytearray((folder / "lzw.tif").read_bytes())
        with tifffile.TiffFile(folder / "lzw.tif") as tiff:
            # Pillow writes no NewSubfileType; an unimportant tag of the first page becomes one.
            spare = tiff.pages[0].tags[284]
            struct.pack_into("<HHII", data, spare.offset, 254, 4, 1, 1)
        (folder / "lzw.tif").write_bytes(data)
        with tifffile.TiffFile(folder / "lzw.tif") as tiff:
            assert [page.subfiletype for page in tiff.pages] == [1, 0]
        assert np.array_equal(read_image(folder / "lzw.tif").rgb, picture)

    def test_slices_of_a_volume_are_counted(self, folder: Path) -> None:
        volume = np.random.default_rng(0).integers(0, 256, (5, *SHAPE), dtype=np.uint8)
        tifffile.imwrite(folder / "volume.tif", volume, imagej=True)
        found = read_image(folder / "volume.tif")
        assert np.array_equal(found.rgb[..., 0], volume[0])
        assert "the first of 5" in found.note


class TestJpegEnds:
    @pytest.fixture(params=[{}, {"progressive": True}, {"subsampling": 0}, {"restart_marker_rows": 1}])
    def jpeg(self, request: pytest.FixtureRequest, folder: Path) -> bytes:
        noise = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
        Image.fromarray(noise).resize((320, 240), Image.Resampling.BICUBIC).save(folder / "a.jpg", quality=90, **request.param)
        return (folder / "a.jpg").read_bytes()

    def test_a_whole_file_has_no_note(self, folder: Path, jpeg: bytes) -> None:
        for tail in (b"", b"\0" * 40, b"trailer of a telephone"):
            (folder / "b.jpg").write_bytes(jpeg + tail)
            assert read_image(folder / "b.jpg").notes == ()

    def test_a_missing_end_marker_is_named_and_nothing_is_lost(self, folder: Path, jpeg: bytes) -> None:
        (folder / "b.jpg").write_bytes(jpeg[:-2])
        found = read_image(folder / "b.jpg")
        assert np.array_equal(found.rgb, read_image(folder / "a.jpg").rgb)
        assert [note.summary for note in found.notes] == ["has no end marker"]

    @pytest.mark.parametrize("kept", [0.9, 0.5, 0.3])
    def test_data_that_stop_are_named_whatever_follows(self, folder: Path, jpeg: bytes, kept: float) -> None:
        (folder / "b.jpg").write_bytes(jpeg[: int(len(jpeg) * kept)] + b"\xff\xd9")
        found = read_image(folder / "b.jpg")
        assert found.rgb.shape == (240, 320, 3)
        if not np.array_equal(found.rgb, read_image(folder / "a.jpg").rgb) and kept < 0.9:
            assert [(note.kind, note.warning) for note in found.notes] == [("incomplete", True)]

    def test_grey_borders_are_no_missing_data(self, folder: Path) -> None:
        picture = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
        picture[32:] = 128
        Image.fromarray(picture).save(folder / "border.jpg", quality=95)
        assert read_image(folder / "border.jpg").notes == ()
        Image.new("RGB", (64, 64), (128, 128, 128)).save(folder / "even.jpg")
        assert read_image(folder / "even.jpg").notes == ()
