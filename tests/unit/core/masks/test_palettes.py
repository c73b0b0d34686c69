"""Palettes and ids: a file that contradicts itself is read by colour with a note, or is refused; never silently by index."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from deeplab_core.catalogs import get_catalog
from deeplab_core.catalogs.catalog import ClassCatalog, ClassInfo
from deeplab_core.errors import MaskFormatError
from deeplab_core.masks import mark_output
from deeplab_core.masks.png import encode_png, write_indexed_png
from deeplab_core.masks.read import load_mask, palette_meaning, read_mask

from .samples import grey_alpha_png, label_maps

VOC = get_catalog("voc21")


def bmp(path: Path, indices: np.ndarray, palette: np.ndarray) -> None:
    picture = Image.fromarray(indices)
    picture.putpalette(palette.reshape(-1).tolist())
    picture.save(path, **({"optimize": False} if path.suffix == ".gif" else {}))


def png(path: Path, indices: np.ndarray, palette: np.ndarray) -> None:
    path.write_bytes(b"".join(encode_png(indices, palette=palette)))


def tiff(path: Path, indices: np.ndarray, palette: np.ndarray) -> None:
    table = np.zeros((256, 3), np.uint16)
    table[: len(palette)] = palette.astype(np.uint16) * 257
    tifffile.imwrite(path, indices, photometric="palette", colormap=table.T)


WRITERS = {".png": png, ".bmp": bmp, ".gif": bmp, ".tif": tiff}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("palettes")


class TestContradictions:
    @pytest.mark.parametrize("suffix", WRITERS)
    @pytest.mark.parametrize("padding", ["shrunk", "padded", "permuted"])
    @settings(max_examples=8, deadline=None)
    @given(data=st.data())
    def test_a_rebuilt_palette_is_read_by_its_colours_in_every_format_and_length(
        self, folder: Path, data: st.DataObject, suffix: str, padding: str
    ) -> None:
        labels = data.draw(label_maps(VOC))
        used = np.unique(labels)
        order = np.array(data.draw(st.permutations(used.tolist())))
        everywhere = np.array(data.draw(st.permutations(range(21))))
        places = everywhere[: len(order)] if padding == "permuted" else np.arange(len(order))
        table = np.zeros((256 if padding != "shrunk" else len(order), 3), np.uint8)
        table[places] = VOC.palette()[order]
        indices = np.zeros(256, np.uint8)
        indices[order] = places
        path = folder / f"mask{suffix}"
        WRITERS[suffix](path, indices[labels], table)
        found = load_mask(path, VOC)
        assert np.array_equal(found.labels, labels)
        moved = bool((VOC.palette()[places] != VOC.palette()[order]).any())
        assert [note.kind for note in found.notes] == (["by_colour"] if moved else [])
        assert all(note.warning and "colour" in note.text for note in found.notes)

    @pytest.mark.parametrize("suffix", WRITERS)
    def test_where_classes_share_a_colour_the_file_is_refused(self, folder: Path, suffix: str) -> None:
        twins = ClassCatalog(
            name="twins",
            title="Twins",
            classes=(ClassInfo(0, "ground", (0, 0, 0)), ClassInfo(1, "left", (9, 0, 0)), ClassInfo(2, "right", (9, 0, 0)),
                     ClassInfo(3, "other", (0, 9, 0))),
        )  # fmt: skip
        table = np.array([[0, 0, 0], [0, 9, 0], [9, 0, 0]], np.uint8)
        path = folder / f"twins{suffix}"
        WRITERS[suffix](path, np.array([[0, 1, 2]], np.uint8), table)
        with pytest.raises(MaskFormatError, match=r"palette.*contradicts.*other.*left and right") as caught:
            read_mask(path, twins)
        assert caught.value.path == path
        assert caught.value.remedy

    def test_classes_whose_shared_colour_stands_at_their_own_ids_are_no_contradiction(self, folder: Path) -> None:
        city = get_catalog("cityscapes34")
        labels = np.array([[17, 18, 7, 0, 4]], np.uint8)  # pole and polegroup share a colour, as do the classes without one
        write_indexed_png(folder / "own.png", labels, city)
        assert np.array_equal(read_mask(folder / "own.png", city), labels)
        assert load_mask(folder / "own.png", city).notes == ()

    @pytest.mark.parametrize("name", ["voc21", "cityscapes19", "camvid11", "ade20k150"])
    @settings(max_examples=8, deadline=None)
    @given(data=st.data())
    def test_what_we_write_ourselves_never_contradicts_itself(self, folder: Path, data: st.DataObject, name: str) -> None:
        catalog = get_catalog(name)
        labels = data.draw(label_maps(catalog))
        write_indexed_png(folder / "own.png", labels, catalog)
        found = load_mask(folder / "own.png", catalog)
        assert np.array_equal(found.labels, labels)
        assert found.notes == ()


class TestOtherPalettes:
    @pytest.mark.parametrize("suffix", WRITERS)
    @settings(max_examples=8, deadline=None)
    @given(data=st.data())
    def test_any_colour_that_no_class_has_leaves_the_ids_alone(self, folder: Path, data: st.DataObject, suffix: str) -> None:
        labels = np.minimum(data.draw(label_maps(VOC)), 20)
        rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
        table = rng.integers(1, 255, (256, 3), dtype=np.uint8)
        known = {tuple(color) for color in VOC.palette().tolist()} | {VOC.ignore_color}
        used = np.unique(labels)
        if any(tuple(table[entry].tolist()) in known for entry in used):
            table[used] = (1, 2, 3)
        path = folder / f"custom{suffix}"
        WRITERS[suffix](path, labels, table)
        assert np.array_equal(read_mask(path, VOC), labels)

    def test_some_colours_of_other_classes_are_read_by_id_with_a_warning(self, folder: Path) -> None:
        table = np.zeros((256, 3), np.uint8)
        table[[0, 1, 2]] = (1, 2, 3), VOC.by_id(15).color, VOC.by_id(9).color
        png(folder / "partly.png", np.array([[0, 1, 2]], np.uint8), table)
        found = load_mask(folder / "partly.png", VOC)
        assert found.labels.tolist() == [[0, 1, 2]]
        assert [(note.kind, note.warning) for note in found.notes] == [("palette", True)]
        assert "person" in found.notes[0].text

    @pytest.mark.parametrize("suffix", WRITERS)
    @pytest.mark.parametrize("twin", [2, 9, 100])
    def test_entries_of_one_colour_are_never_merged(self, folder: Path, suffix: str, twin: int) -> None:
        table = np.zeros((256, 3), np.uint8)
        table[[0, 1, twin]] = VOC.by_id(0).color, VOC.by_id(15).color, VOC.by_id(15).color
        path = folder / f"twins{suffix}"
        WRITERS[suffix](path, np.array([[0, 1, twin]], np.uint8), table)
        with pytest.raises(MaskFormatError, match=rf"the entries 1 and {twin} have one colour"):
            read_mask(path, VOC)

    @pytest.mark.parametrize("void", [0, 255])
    def test_the_void_entry_is_its_own(self, folder: Path, void: int) -> None:
        catalog = ClassCatalog(
            name="two", title="Two", file_ignore=void, ignore_color=(7, 7, 7),
            classes=(ClassInfo(1, "one", (0, 0, 0)), ClassInfo(2, "two", (9, 9, 9))),
        )  # fmt: skip
        assert palette_meaning(catalog.palette(), np.array(sorted({void, 1, 2})), catalog).kind == "agrees"
        moved = catalog.palette()
        moved[[1, void]] = moved[[void, 1]]
        found = palette_meaning(moved, np.array(sorted({void, 1})), catalog)
        assert found.kind == "renumbered"
        assert found.labels == {void: 1, 1: catalog.ignore}

    def test_a_ramp_of_greys_says_nothing(self, folder: Path) -> None:
        """Black is CamVid's void; a mask of nothing but sky (0) must not become void for it."""
        camvid = get_catalog("camvid11")
        for number, step in ((256, 1), (16, 17), (4, 85)):
            table = (np.arange(number) * step).astype(np.uint8)[:, None].repeat(3, axis=1)
            png(folder / "ramp.png", np.zeros((5, 5), np.uint8), table)
            found = load_mask(folder / "ramp.png", camvid)
            assert (found.labels == 0).all()
            assert found.notes == ()

    def test_our_own_exports_keep_their_ids_when_classes_get_other_colours(self, folder: Path) -> None:
        swapped = VOC.recolored(9, VOC.by_id(18).color).recolored(18, VOC.by_id(9).color)
        labels = np.array([[0, 9, 18]], np.uint8)
        mark_output(folder / "export", "export", {"a.png": None}, catalog=VOC)
        for name in ("a.png", "other.png"):
            write_indexed_png(folder / "export" / name, labels, VOC)
        ours, other = (load_mask(folder / "export" / name, swapped) for name in ("a.png", "other.png"))
        assert ours.labels.tolist() == [[0, 9, 18]]
        assert [(note.kind, note.warning) for note in ours.notes] == [("palette", False)]
        assert other.labels.tolist() == [[0, 18, 9]]
        assert [note.kind for note in other.notes] == ["by_colour"]

    def test_a_file_of_ours_that_another_tool_saved_again_is_read_by_its_colours(self, folder: Path) -> None:
        mark_output(folder / "again", "export", {"a.png": None}, catalog=VOC)
        png(folder / "again" / "a.png", np.array([[0, 1]], np.uint8), VOC.palette()[[15, 0]])
        assert read_mask(folder / "again" / "a.png", VOC).tolist() == [[15, 0]]


class TestNumbers:
    """One reader for TIFF, whatever the numbers are; arrays read alike."""

    DTYPES = (np.bool_, np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32, np.uint64, np.int64, np.float32, np.float64)

    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("compression", [None, "zlib"])
    def test_every_type_of_whole_numbers(self, folder: Path, dtype: type, compression: str | None) -> None:
        labels = np.random.default_rng(1).integers(0, 2 if dtype is np.bool_ else 21, (19, 23)).astype(dtype)
        tifffile.imwrite(folder / "ids.tif", labels, compression=compression)
        np.save(folder / "ids.npy", labels)
        np.save(folder / "flat.npy", labels[..., None])
        for name in ("ids.tif", "ids.npy", "flat.npy"):
            assert np.array_equal(read_mask(folder / name, VOC), labels.astype(np.uint8)), name

    @pytest.mark.parametrize("options", [{"tile": (16, 16)}, {"bigtiff": True}, {"byteorder": ">"}, {"planarconfig": "contig"}])
    def test_every_layout(self, folder: Path, options: dict[str, object]) -> None:
        labels = np.random.default_rng(2).integers(0, 21, (19, 23)).astype(np.int64)
        tifffile.imwrite(folder / "layout.tif", labels, **options)
        assert np.array_equal(read_mask(folder / "layout.tif", VOC), labels)

    @pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits"])
    @pytest.mark.parametrize("mode", ["L", "P", "1", "I;16", "RGB"])
    def test_the_compressions_of_libtiff(self, folder: Path, compression: str, mode: str) -> None:
        labels = np.random.default_rng(3).integers(0, 2 if mode == "1" else 21, (19, 23)).astype(np.uint8)
        if mode == "RGB":
            picture = Image.fromarray(VOC.palette()[labels])
        elif mode == "1":
            picture = Image.fromarray(labels.astype(bool))
        else:
            picture = Image.fromarray(labels.astype(np.uint16) if mode == "I;16" else labels)
        if mode == "P":
            picture.putpalette(VOC.palette().reshape(-1).tolist())
        picture.save(folder / "packed.tif", compression=compression)
        assert np.array_equal(read_mask(folder / "packed.tif", VOC), labels)

    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
    def test_white_as_zero_does_not_turn_the_ids_around(self, folder: Path, dtype: type) -> None:
        labels = np.random.default_rng(4).integers(0, 21, (19, 23)).astype(dtype)
        tifffile.imwrite(folder / "white.tif", labels, photometric="miniswhite")
        found = load_mask(folder / "white.tif", VOC)
        assert np.array_equal(found.labels, labels)
        assert [note.kind for note in found.notes] == ["inverted"]

    @pytest.mark.parametrize("bad", [0.5, np.nan, np.inf, -1.0, 70000.0])
    def test_numbers_that_are_no_ids_are_refused_by_name(self, folder: Path, bad: float) -> None:
        values = np.zeros((9, 9), np.float32)
        values[3, 3] = bad
        tifffile.imwrite(folder / "bad.tif", values)
        np.save(folder / "bad.npy", values)
        for name in ("bad.tif", "bad.npy"):
            with pytest.raises(MaskFormatError) as caught:
                read_mask(folder / name, VOC)
            assert caught.value.path == folder / name
            assert caught.value.remedy

    def test_jpeg_in_a_tiff_is_refused(self, folder: Path) -> None:
        Image.new("RGB", (16, 16)).save(folder / "jpeg.tif", compression="jpeg")
        with pytest.raises(MaskFormatError, match="exactly"):
            read_mask(folder / "jpeg.tif", VOC)

    def test_further_pages_and_frames_are_mentioned(self, folder: Path) -> None:
        labels = np.random.default_rng(5).integers(0, 21, (19, 23)).astype(np.uint8)
        tifffile.imwrite(folder / "stack.tif", np.stack([labels, labels + 1]), photometric="minisblack")
        pages = load_mask(folder / "stack.tif", VOC)
        assert np.array_equal(pages.labels, labels)
        assert "2 pages" in pages.notes[0].text
        frames = [Image.fromarray(labels), Image.fromarray(labels + 1)]
        for frame in frames:
            frame.putpalette(VOC.palette().reshape(-1).tolist())
        frames[0].save(folder / "frames.png", save_all=True, append_images=frames[1:])
        assert "2 frames" in load_mask(folder / "frames.png", VOC).notes[0].text

    def test_a_reduced_first_page_is_not_the_mask(self, folder: Path) -> None:
        labels = np.random.default_rng(6).integers(0, 21, (20, 24)).astype(np.uint8)
        with tifffile.TiffWriter(folder / "pyramid.tif") as writer:
            writer.write(labels[::2, ::2], subfiletype=1)
            writer.write(labels)
        found = load_mask(folder / "pyramid.tif", VOC)
        assert np.array_equal(found.labels, labels)
        assert found.notes == ()

    def test_ids_shifted_by_one_get_a_hint(self, folder: Path) -> None:
        Image.fromarray(np.arange(1, 22, dtype=np.uint8)[None]).save(folder / "shifted.png")
        with pytest.raises(MaskFormatError, match=r"shifted by one: 1\.\.21 instead of 0\.\.20"):
            read_mask(folder / "shifted.png", VOC)


class TestFilesThatDecodersOfPhotographsChange:
    """Values that a picture viewer would stretch or cut are ids here."""

    LABELS = np.random.default_rng(7).integers(0, 21, (9, 13)).astype(np.uint8)

    @pytest.mark.parametrize("largest", [20, 21, 255, 300, 65535])
    def test_pgm_of_any_largest_value(self, folder: Path, largest: int) -> None:
        stored = self.LABELS.astype(">u2" if largest > 255 else np.uint8)
        (folder / "raw.pgm").write_bytes(b"P5\n# by hand\n13 9\n%d\n" % largest + stored.tobytes())
        (folder / "plain.pgm").write_bytes(b"P2\n13 9 %d\n" % largest + " ".join(map(str, self.LABELS.ravel())).encode())
        for name in ("raw.pgm", "plain.pgm"):
            assert np.array_equal(read_mask(folder / name, VOC), self.LABELS), name

    def test_bitmaps(self, folder: Path) -> None:
        bits = self.LABELS > 10
        (folder / "raw.pbm").write_bytes(b"P4\n13 9\n" + np.packbits(bits, axis=1).tobytes())
        (folder / "plain.pbm").write_bytes(b"P1 13 9\n" + b"\n".join(bytes(48 + row.astype(np.uint8)) for row in bits))
        for name in ("raw.pbm", "plain.pbm"):
            assert np.array_equal(read_mask(folder / name, VOC), bits.astype(np.uint8)), name

    def test_colours_of_sixteen_bits(self, folder: Path) -> None:
        colors = VOC.palette()[self.LABELS].astype(np.uint16) * 257
        cv2.imwrite(str(folder / "deep.png"), colors[..., ::-1])
        (folder / "deep.ppm").write_bytes(b"P6 13 9 65535\n" + colors.astype(">u2").tobytes())
        (folder / "plain.ppm").write_bytes(b"P6 13 9 255\n" + VOC.palette()[self.LABELS].tobytes())
        for name in ("deep.png", "deep.ppm", "plain.ppm"):
            assert np.array_equal(read_mask(folder / name, VOC), self.LABELS), name

    @pytest.mark.parametrize("channels", [3, 4])
    def test_ids_in_channels_of_sixteen_bits_are_no_background(self, folder: Path, channels: int) -> None:
        pixels = np.stack([self.LABELS.astype(np.uint16)] * 3 + [np.full((9, 13), 65535, np.uint16)] * (channels - 3), axis=-1)
        cv2.imwrite(str(folder / "ids.png"), pixels)
        with pytest.raises(MaskFormatError, match="cannot be told apart"):
            read_mask(folder / "ids.png", VOC)

    @pytest.mark.parametrize("alpha", [65535, 65534])
    def test_grey_of_sixteen_bits_with_alpha(self, folder: Path, alpha: int) -> None:
        (folder / "la.png").write_bytes(grey_alpha_png(self.LABELS, alpha))
        if alpha == 65535:
            assert np.array_equal(read_mask(folder / "la.png", VOC), self.LABELS)
        else:
            with pytest.raises(MaskFormatError, match="transparent"):
                read_mask(folder / "la.png", VOC)

    @pytest.mark.parametrize(
        "data",
        [b"P5\n", b"P5 13", b"P5 13 9 20\nabc", b"P5 13 9 0\n" + bytes(117), b"P2 2 2 9 1 2 x 4", b"P2 2 2 9 1 2 3",
         b"P5 0 9 20\n", b"P5 2 2 3\n\x01\x02\x03\x04", b"P5 99999999 99999999 3\n"],
    )  # fmt: skip
    def test_damaged_files_are_named(self, folder: Path, data: bytes) -> None:
        (folder / "bad.pgm").write_bytes(data)
        with pytest.raises(MaskFormatError) as caught:
            read_mask(folder / "bad.pgm", VOC)
        assert caught.value.path == folder / "bad.pgm"
        assert caught.value.remedy
