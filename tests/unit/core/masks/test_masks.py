"""Every usual way to store labels is read exactly, and everything else is refused with names and numbers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from deeplab_core.catalogs import get_catalog
from deeplab_core.errors import AmbiguousFrameError, MaskFormatError
from deeplab_core.images import probe_image, to_stored
from deeplab_core.masks.frames import is_ambiguous_frame, recorded_frame
from deeplab_core.masks.output_marker import MARKER_NAME, RUN_RECORD, mark_output
from deeplab_core.masks.png import encode_png
from deeplab_core.masks.read import read_mask

from .samples import CATALOGS, WIDE, blobs, label_maps, photograph

VOC = get_catalog("voc21")


def save(path: Path, values: np.ndarray, palette: np.ndarray | None = None) -> Path:
    picture = Image.fromarray(values)
    if palette is not None:
        picture.putpalette(palette.reshape(-1).tolist())
    picture.save(path)
    return path


class TestIds:
    @pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp", ".pgm"])
    def test_grey_files(self, tmp_path: Path, suffix: str) -> None:
        labels = blobs(VOC)
        assert np.array_equal(read_mask(save(tmp_path / f"a{suffix}", labels), VOC), labels)

    @pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp", ".gif"])
    def test_indexed_files(self, tmp_path: Path, suffix: str) -> None:
        labels = blobs(VOC)
        assert np.array_equal(read_mask(save(tmp_path / f"a{suffix}", labels, VOC.palette()), VOC), labels)

    def test_an_indexed_file_with_any_palette_is_read_by_its_values(self, tmp_path: Path) -> None:
        labels = blobs(VOC)
        palette = np.random.default_rng(0).integers(0, 256, (256, 3), dtype=np.uint8)
        assert np.array_equal(read_mask(save(tmp_path / "a.png", labels, palette), VOC), labels)

    @pytest.mark.parametrize("bits", [1, 2, 4])
    def test_low_bit_depths(self, tmp_path: Path, bits: int) -> None:
        labels = np.random.default_rng(0).integers(0, 1 << bits, (9, 13), dtype=np.uint8)
        picture = Image.fromarray(labels)
        picture.putpalette(VOC.palette()[: 1 << bits].reshape(-1).tolist())
        picture.save(tmp_path / "p.png", bits=bits)
        assert np.array_equal(read_mask(tmp_path / "p.png", VOC), labels)
        (tmp_path / "g.png").write_bytes(grey_png(labels, bits))
        assert np.array_equal(read_mask(tmp_path / "g.png", VOC), labels)

    def test_sixteen_bit_files(self, tmp_path: Path) -> None:
        labels = blobs(VOC)
        assert np.array_equal(read_mask(save(tmp_path / "a.png", labels.astype(np.uint16)), VOC), labels)
        wide = blobs(WIDE)
        assert np.array_equal(read_mask(save(tmp_path / "b.png", wide), WIDE), wide)
        assert np.array_equal(read_mask(save(tmp_path / "c.tif", wide), WIDE), wide)

    @pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.uint16])
    def test_numpy_files(self, tmp_path: Path, dtype: type) -> None:
        labels = blobs(VOC)
        np.save(tmp_path / "a.npy", np.asfortranarray(labels.astype(dtype)))
        found = read_mask(tmp_path / "a.npy", VOC)
        assert np.array_equal(found, labels)
        assert found.flags.c_contiguous
        assert found.flags.writeable

    def test_the_void_value_of_the_catalog_becomes_ignore(self, tmp_path: Path) -> None:
        camvid, ade = get_catalog("camvid11"), get_catalog("ade20k150")
        assert read_mask(save(tmp_path / "a.png", np.array([[0, 10, 11]], np.uint8)), camvid).tolist() == [[0, 10, 255]]
        assert read_mask(save(tmp_path / "b.png", np.array([[0, 1, 150]], np.uint8)), ade).tolist() == [[255, 1, 150]]

    def test_a_void_value_beyond_eight_bits_is_no_matter_to_an_eight_bit_file(self, tmp_path: Path) -> None:
        catalog = replace(WIDE, file_ignore=40_000)
        assert read_mask(save(tmp_path / "a.png", np.array([[0, 7]], np.uint8)), catalog).tolist() == [[0, 7]]
        path = save(tmp_path / "b.png", np.array([[0, 40_000]], np.uint16))
        assert read_mask(path, catalog).tolist() == [[0, 65535]]

    def test_another_void_value_is_not_let_through(self, tmp_path: Path) -> None:
        path = save(tmp_path / "a.png", np.array([[0, 255, 255]], np.uint8))
        with pytest.raises(MaskFormatError, match=r"255 \(2 px\)"):
            read_mask(path, get_catalog("camvid11"))

    def test_undeclared_ids_are_named_with_their_counts(self, tmp_path: Path) -> None:
        labels = np.zeros((10, 10), np.uint8)
        labels[0] = 21
        labels[1, :3] = 200
        with pytest.raises(MaskFormatError) as caught:
            read_mask(save(tmp_path / "a.png", labels), VOC)
        assert "21 (10 px), 200 (3 px)" in str(caught.value)
        assert "voc21" in str(caught.value)
        assert caught.value.path == tmp_path / "a.png"


def grey_png(values: np.ndarray, bits: int) -> bytes:
    """A grey PNG of 1, 2 or 4 bits, which Pillow cannot write itself."""
    import struct
    import zlib

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    rows = b""
    for row in values:
        text = "".join(f"{value:0{bits}b}" for value in row)
        text += "0" * (-len(text) % 8)
        rows += b"\x00" + int(text, 2).to_bytes(len(text) // 8, "big")
    header = struct.pack(">2I5B", values.shape[1], values.shape[0], bits, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


class TestColours:
    @settings(max_examples=25)
    @given(st.data(), st.sampled_from([c for c in CATALOGS if c.name in ("voc21", "cityscapes19", "camvid11")]))
    def test_palette_coloured_files(self, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, catalog: object) -> None:
        labels = data.draw(label_maps(catalog))
        file_values = np.where(labels == catalog.ignore, catalog.file_ignore, labels)
        path = save(tmp_path_factory.getbasetemp() / "colour.png", catalog.palette()[file_values])
        assert np.array_equal(read_mask(path, catalog), labels)

    def test_wide_catalogs_by_colour(self, tmp_path: Path) -> None:
        labels = blobs(WIDE)
        colors = np.zeros((65536, 3), np.uint8)
        colors[WIDE.ids] = [info.color for info in WIDE.classes]
        colors[65535] = WIDE.ignore_color
        assert np.array_equal(read_mask(save(tmp_path / "a.png", colors[labels]), WIDE), labels)

    def test_unknown_colours_are_named_with_their_counts(self, tmp_path: Path) -> None:
        rgb = VOC.palette()[blobs(VOC, (300, 300))].copy()
        rgb[0, :] = (1, 2, 3)
        for number in range(7):
            rgb[280, number] = (9, 9, number)
        with pytest.raises(MaskFormatError) as caught:
            read_mask(save(tmp_path / "a.png", rgb), VOC)
        assert "(1, 2, 3) (300 px)" in str(caught.value)
        assert "and 3 more" in str(caught.value)

    def test_shared_colours_are_refused_only_where_they_occur(self, tmp_path: Path) -> None:
        catalog = get_catalog("cityscapes34")
        rgb = np.zeros((2, 2, 3), np.uint8)
        rgb[:] = catalog.by_id(7).color
        assert (read_mask(save(tmp_path / "a.png", rgb), catalog) == 7).all()
        rgb[0, 0] = (153, 153, 153)
        with pytest.raises(MaskFormatError, match="pole and polegroup"):
            read_mask(save(tmp_path / "a.png", rgb), catalog)

    def test_ids_in_three_channels_get_a_hint(self, tmp_path: Path) -> None:
        rgb = np.repeat(np.array([[[9], [15]]], np.uint8), 3, axis=2)
        with pytest.raises(MaskFormatError, match="three channels"):
            read_mask(save(tmp_path / "a.png", rgb), VOC)

    def test_opaque_alpha_is_no_obstacle_and_transparency_is_one(self, tmp_path: Path) -> None:
        labels = blobs(VOC)
        rgba = np.dstack((VOC.palette()[labels], np.full(labels.shape, 255, np.uint8)))
        assert np.array_equal(read_mask(save(tmp_path / "a.png", rgba), VOC), labels)
        rgba[3, 3, 3] = 200
        with pytest.raises(MaskFormatError, match="transparent"):
            read_mask(save(tmp_path / "a.png", rgba), VOC)


class TestRenumberedPalettes:
    @settings(max_examples=30)
    @given(label_maps(VOC), st.randoms(use_true_random=False))
    def test_a_shrunk_palette_is_read_by_its_colours(
        self, tmp_path_factory: pytest.TempPathFactory, labels: np.ndarray, random: object
    ) -> None:
        used = np.unique(labels).tolist()
        random.shuffle(used)
        indices = np.zeros(256, np.uint8)
        indices[used] = np.arange(len(used))
        path = tmp_path_factory.getbasetemp() / "shrunk.png"
        path.write_bytes(b"".join(encode_png(indices[labels], palette=VOC.palette()[used])))
        assert np.array_equal(read_mask(path, VOC), labels)

    def test_foreign_colours_and_undeclared_ids_stay_an_error(self, tmp_path: Path) -> None:
        path = save(tmp_path / "a.png", np.array([[0, 33]], np.uint8), np.full((256, 3), 77, np.uint8))
        with pytest.raises(MaskFormatError, match=r"33 \(1 px\)"):
            read_mask(path, VOC)


class TestFrames:
    @pytest.mark.parametrize("orientation", [1, 5, 6, 7, 8])
    def test_the_size_tells_where_the_sides_change_places(self, tmp_path: Path, orientation: int) -> None:
        labels = blobs(VOC)
        info = probe_image(photograph(tmp_path / "a.jpg", labels.shape, orientation))
        stored = save(tmp_path / "stored.png", to_stored(labels, orientation))
        displayed = save(tmp_path / "displayed.png", labels)
        assert np.array_equal(read_mask(stored, VOC, info), labels)
        assert np.array_equal(read_mask(displayed, VOC, info), labels)

    @pytest.mark.parametrize(("orientation", "shape"), [(n, (30, 41)) for n in (2, 3, 4)] + [(n, (33, 33)) for n in range(2, 9)])
    def test_where_both_frames_fit_the_user_is_asked(self, tmp_path: Path, orientation: int, shape: tuple[int, int]) -> None:
        labels = blobs(VOC, shape)
        info = probe_image(photograph(tmp_path / "a.jpg", shape, orientation))
        stored = save(tmp_path / "stored.png", to_stored(labels, orientation))
        displayed = save(tmp_path / "displayed.png", labels)
        assert is_ambiguous_frame((shape[1], shape[0]), info)
        for path in (stored, displayed):
            with pytest.raises(AmbiguousFrameError, match=rf"{path.name}.*--mask-frame stored") as caught:
                read_mask(path, VOC, info)
            assert "--mask-frame displayed" in str(caught.value)
            assert isinstance(AmbiguousFrameError.from_dict(caught.value.to_dict()), AmbiguousFrameError)
        assert np.array_equal(read_mask(stored, VOC, info, frame="stored"), labels)
        assert np.array_equal(read_mask(displayed, VOC, info, frame="oriented"), labels)

    @pytest.mark.parametrize(("orientation", "shape"), [(1, (33, 33)), (6, (30, 41)), (8, (41, 30))])
    def test_nothing_is_ambiguous_where_the_frames_are_one_or_differ_in_size(
        self, tmp_path: Path, orientation: int, shape: tuple[int, int]
    ) -> None:
        info = probe_image(photograph(tmp_path / "a.jpg", shape, orientation))
        assert not is_ambiguous_frame(info.size, info)
        assert not is_ambiguous_frame(info.stored_size, info)
        assert not is_ambiguous_frame((1, 1), info)

    @pytest.mark.parametrize("frame", ["stored", "oriented"])
    def test_the_record_of_a_run_answers_for_its_own_masks(self, tmp_path: Path, frame: str) -> None:
        labels = blobs(VOC)
        info = probe_image(photograph(tmp_path / "a.jpg", labels.shape, 3))
        (tmp_path / "out" / "deep").mkdir(parents=True)
        record = f'{{"model": "m", "catalog": "voc21", "options": "", "frame": "{frame}"}}'
        (tmp_path / "out" / RUN_RECORD).write_text(record, encoding="utf-8")
        content = to_stored(labels, 3) if frame == "stored" else labels
        assert np.array_equal(read_mask(save(tmp_path / "out" / "deep" / "a.png", content), VOC, info), labels)
        assert recorded_frame(tmp_path / "out" / "deep") == frame

    def test_a_marker_speaks_for_the_files_that_it_lists(self, tmp_path: Path) -> None:
        labels = blobs(VOC)
        info = probe_image(photograph(tmp_path / "a.jpg", labels.shape, 3))
        mark_output(tmp_path / "out", "export", {"deep/a.png": None}, catalog=VOC, frame="oriented")
        (tmp_path / "out" / "deep").mkdir()
        assert np.array_equal(read_mask(save(tmp_path / "out" / "deep" / "a.png", labels), VOC, info), labels)
        with pytest.raises(AmbiguousFrameError):
            read_mask(save(tmp_path / "out" / "deep" / "other.png", labels), VOC, info)
        assert (tmp_path / "out" / MARKER_NAME).is_file()

    @pytest.mark.parametrize("record", ["", "[]", '{"frame": 3}', "[" * 100_000, "\x00"])
    def test_a_record_that_says_nothing_leaves_the_question_open(self, tmp_path: Path, record: str) -> None:
        (tmp_path / RUN_RECORD).write_text(record, encoding="utf-8")
        assert recorded_frame(tmp_path) is None

    def test_a_wrong_size_names_both(self, tmp_path: Path) -> None:
        info = probe_image(photograph(tmp_path / "a.jpg", (30, 41), 6))
        path = save(tmp_path / "a.png", np.zeros((31, 41), np.uint8))
        with pytest.raises(MaskFormatError, match=r"41 x 31 px, but the image has 30 x 41 or 41 x 30"):
            read_mask(path, VOC, info)
        with pytest.raises(MaskFormatError, match="never resized"):
            read_mask(path, VOC, info, frame="stored")

    @pytest.mark.parametrize(("frame", "shape", "other"), [("stored", (30, 41), "displayed"), ("oriented", (41, 30), "stored")])
    def test_a_mask_that_contradicts_the_named_frame_says_so(
        self, tmp_path: Path, frame: Literal["stored", "oriented"], shape: tuple[int, int], other: str
    ) -> None:
        """Such a mask was once said to be of another image."""
        info = probe_image(photograph(tmp_path / "a.jpg", (30, 41), 6))
        path = save(tmp_path / "a.png", np.zeros(shape, np.uint8))
        with pytest.raises(MaskFormatError, match=f"fit the image only as it is {other}.*--mask-frame {other}"):
            read_mask(path, VOC, info, frame=frame)
        assert read_mask(path, VOC, info).shape == (30, 41)


class TestCityscapesNames:
    def test_label_ids_under_train_ids(self, tmp_path: Path) -> None:
        path = save(tmp_path / "ulm_gtFine_labelIds.png", np.array([[7, 8, 33, 0, 18, 29]], np.uint8))
        assert read_mask(path, get_catalog("cityscapes19")).tolist() == [[0, 1, 18, 255, 255, 255]]
        assert read_mask(path, get_catalog("cityscapes34")).tolist() == [[7, 8, 33, 0, 18, 29]]

    def test_train_ids_under_label_ids(self, tmp_path: Path) -> None:
        path = save(tmp_path / "ulm_gtCoarse_labelTrainIds.png", np.array([[0, 18, 255]], np.uint8))
        assert read_mask(path, get_catalog("cityscapes34")).tolist() == [[7, 33, 255]]

    def test_instances_are_refused(self, tmp_path: Path) -> None:
        path = save(tmp_path / "ulm_gtFine_instanceIds.png", np.array([[26001]], np.uint16))
        with pytest.raises(MaskFormatError, match="instances"):
            read_mask(path, get_catalog("cityscapes19"))


class TestBadFiles:
    def test_missing_empty_text_and_folders(self, tmp_path: Path) -> None:
        (tmp_path / "empty.png").touch()
        (tmp_path / "text.png").write_text("no mask")
        for name in ("none.png", "empty.png", "text.png", "."):
            with pytest.raises(MaskFormatError) as caught:
                read_mask(tmp_path / name, VOC)
            assert caught.value.remedy

    @pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp", ".npy"])
    def test_truncated_files(self, tmp_path: Path, suffix: str) -> None:
        labels = np.random.default_rng(0).integers(0, 21, (40, 40), dtype=np.uint8)
        path = tmp_path / f"a{suffix}"
        np.save(path, labels) if suffix == ".npy" else save(path, labels)
        path.write_bytes(path.read_bytes()[:-300])
        with pytest.raises(MaskFormatError):
            read_mask(path, VOC)

    @pytest.mark.parametrize("suffix", [".jpg", ".webp"])
    def test_lossy_formats(self, tmp_path: Path, suffix: str) -> None:
        with pytest.raises(MaskFormatError, match="exactly"):
            read_mask(save(tmp_path / f"a{suffix}", np.zeros((8, 8), np.uint8)), VOC)

    def test_numpy_files_that_are_no_masks(self, tmp_path: Path) -> None:
        path = tmp_path / "a.npy"
        for array in (
            np.zeros((3, 3, 3), np.uint8),
            np.full((3, 3), 0.5),
            np.full((3, 3), np.nan),
            np.zeros((0, 3), np.uint8),
            np.array([[-1]]),
            np.array([[70000]]),
        ):
            np.save(path, array)
            with pytest.raises(MaskFormatError):
                read_mask(path, VOC)

    def test_pickles_are_never_loaded(self, tmp_path: Path) -> None:
        path = tmp_path / "a.npy"
        np.save(path, np.array([[{"a": 1}]], dtype=object), allow_pickle=True)
        with pytest.raises(MaskFormatError, match="objects"):
            read_mask(path, VOC)

    def test_pixels_that_cannot_be_labels(self, tmp_path: Path) -> None:
        Image.fromarray(np.full((3, 3), 0.25, np.float32)).save(tmp_path / "a.tif")
        with pytest.raises(MaskFormatError, match=r"0\.25 and others in 9 px"):
            read_mask(tmp_path / "a.tif", VOC)
        Image.new("CMYK", (3, 3)).save(tmp_path / "b.tif")
        with pytest.raises(MaskFormatError, match="4 bands"):
            read_mask(tmp_path / "b.tif", VOC)


@pytest.mark.parametrize(
    ("folder", "catalog"),
    [("voc/labels", "voc21"), ("coco/labels_voc21", "voc21"), ("camvid/valannot", "camvid11"), ("ade20k/labels150", "ade20k150")],
)
def test_real_truth(shared_real: Path, folder: str, catalog: str) -> None:
    for path in sorted((shared_real / folder).iterdir())[:5]:
        with Image.open(path) as picture:
            values = np.asarray(picture)
        chosen = get_catalog(catalog)
        expected = np.where(values == chosen.file_ignore, 255, values)
        assert np.array_equal(read_mask(path, chosen), expected)


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.npy", "a.pgm", "a.bmp"])
def test_an_empty_file_is_called_empty(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(MaskFormatError, match="the mask file is empty"):
        read_mask(tmp_path / name, get_catalog("voc21"))
