"""Other classes in the files than in the project, who set each pixel, and where on Earth an image lies."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given
from PIL import Image

from deeplab_core.catalogs import get_catalog
from deeplab_core.catalogs.editing import rename_class
from deeplab_core.errors import ExportError, MaskFormatError
from deeplab_core.images import probe_image
from deeplab_core.masks import read_marker
from deeplab_core.masks.confirmed import encode_provenance, read_confirmed
from deeplab_core.masks.export import ExportItem, Loss, export_masks, get_exporter, map_items, measure_losses, parse_class_map
from deeplab_core.masks.export.class_map import map_classes
from deeplab_core.masks.read import read_mask

from .samples import blobs, label_maps, photograph

VOC, CITY = get_catalog("voc21"), get_catalog("cityscapes19")
#: Street classes, one of which Cityscapes lacks.
CAMVID = rename_class(get_catalog("camvid11"), 10, "kiosk").catalog
CAMVID = replace(CAMVID, classes=tuple(replace(info, aliases=()) for info in CAMVID.classes))


def item(labels: np.ndarray, catalog=VOC, name: str = "a.jpg", image: Path | None = None, **more) -> ExportItem:  # type: ignore[no-untyped-def]
    return ExportItem(name=name, catalog=catalog, labels=lambda: labels, image_path=image, **more)


class TestClassMap:
    def test_as_text(self) -> None:
        assert parse_class_map(["cat=animal", " dog = animal "]) == {"cat": "animal", "dog": "animal"}
        with pytest.raises(ExportError, match="maps no class"):
            parse_class_map(["cat"])
        with pytest.raises(ExportError, match="'cat' is mapped to 'a' and to 'b'"):
            parse_class_map(["cat=a", "cat=b"])

    @given(label_maps(VOC))
    def test_renaming_and_merging(self, labels: np.ndarray) -> None:
        pairs = {"cat": "animal", "dog": "animal", "bus": "car", "sofa": "void"}
        catalog, mapping = map_classes(VOC, pairs)
        names = [name for name in VOC.names if name not in ("cat", "dog", "bus", "sofa")]
        assert sorted(catalog.names) == sorted([*names, "animal"])
        (moved,) = map_items([item(labels)], pairs)
        found = moved.labels()
        assert found is not None
        assert moved.catalog == catalog
        for info in VOC.classes:
            partner = pairs.get(info.name, info.name)
            own = catalog.by_name(partner)
            assert (found[labels == info.id] == (catalog.ignore if own is None else own.id)).all()
        assert (found[labels == 255] == 255).all()
        assert mapping.unmatched == ()

    def test_swapped_names_swap(self) -> None:
        catalog, mapping = map_classes(VOC, {"cat": "dog", "dog": "cat"})
        swapped = {catalog.by_id(target).name: VOC.by_id(source).name for source, target in mapping.pairs if target is not None}
        assert (swapped["dog"], swapped["cat"]) == ("cat", "dog")

    def test_another_catalog_and_classes_without_a_partner(self, tmp_path: Path) -> None:
        labels = np.array([[0, 1, 2, 255]], np.uint8)  # sky, building, pole
        lost = [info.name for info in CAMVID.classes if CITY.by_name(info.name) is None]
        assert lost
        holder = next(info for info in CAMVID.classes if info.name == lost[0])
        labels[0, 3] = holder.id
        (moved,) = map_items([item(labels, CAMVID)], {}, CITY)
        summary = export_masks([moved], get_exporter("indexed"), tmp_path / "refused")
        assert lost[0] in str(summary.failed[0][1])
        (allowed,) = map_items([item(labels, CAMVID)], {}, CITY, unmatched_to_void=True)
        found = allowed.labels()
        assert found is not None
        assert found[0, 3] == 255
        (named,) = map_items([item(labels, CAMVID)], dict.fromkeys(lost, "road"), CITY)
        assert export_masks([named], get_exporter("cityscapes_ids"), tmp_path / "named").failed == ()

    @pytest.mark.parametrize("form", ["indexed", "coco_rle", "cityscapes_train_ids"])
    def test_pixels_that_become_void_are_counted(self, tmp_path: Path, form: str) -> None:
        labels = np.zeros((6, 9), np.uint8)
        labels[:2], labels[4] = 10, 2  # a class that Cityscapes lacks, twice
        lost = [info.id for info in CAMVID.classes if info.name in map_classes(CAMVID, {}, CITY)[1].unmatched]
        expected = int(np.isin(labels, lost).sum())
        assert expected
        mapped = map_items([item(labels, CAMVID, name="a.jpg")], {}, CITY, unmatched_to_void=True)
        exporter = get_exporter(form)
        measured = measure_losses(mapped, exporter)["a.jpg"]
        summary = export_masks(mapped, exporter, tmp_path)
        assert isinstance(measured, Loss)
        assert measured.unmatched == summary.loss.unmatched == expected
        assert "without a partner" in summary.text()

    def test_unknown_classes_are_named(self) -> None:
        with pytest.raises(ExportError, match="has no class 'unicorn'"):
            map_classes(VOC, {"unicorn": "cat"})
        with pytest.raises(ExportError, match="has no class 'unicorn'"):
            map_classes(CAMVID, {"sky": "unicorn"}, CITY)
        with pytest.raises(ExportError, match="every class is mapped to void"):
            map_classes(VOC, dict.fromkeys(VOC.names, "void"))


class TestProvenance:
    def export(self, tmp_path: Path, orientation: int, frame: str, form: str = "voc") -> tuple[Path, np.ndarray, Path]:
        labels = blobs(VOC)
        codes = np.random.default_rng(0).integers(0, 6, labels.shape).astype(np.uint8)
        photo = photograph(tmp_path / "photos/x/a.jpg", labels.shape, orientation)
        entry = item(labels, name="x/a.jpg", image=photo, provenance=lambda: codes, reviewed=False)
        exporter = get_exporter(form)
        assert export_masks([entry], exporter, tmp_path / "out", frame=frame, provenance=True).failed == ()  # type: ignore[arg-type]
        return tmp_path / "out", codes, photo

    @pytest.mark.parametrize("frame", ["stored", "oriented"])
    @pytest.mark.parametrize("orientation", [1, 3, 6])
    def test_it_comes_back_in_the_frame_of_the_image(self, tmp_path: Path, orientation: int, frame: str) -> None:
        out, codes, photo = self.export(tmp_path, orientation, frame)
        found = read_confirmed(out / "SegmentationClass/x/a.png", probe_image(photo))
        assert found is not None
        assert np.array_equal(found.codes, codes)
        assert np.array_equal(found.pixels, codes >= 3)
        assert np.array_equal(read_mask(out / "SegmentationClass/x/a.png", VOC, probe_image(photo)), blobs(VOC))

    def test_a_reviewed_mask_is_confirmed_as_a_whole(self, tmp_path: Path) -> None:
        labels = blobs(VOC)
        entry = item(labels, provenance=lambda: np.ones_like(labels), reviewed=True)
        export_masks([entry], get_exporter("indexed"), tmp_path, provenance=True)
        found = read_confirmed(tmp_path / "a.png")
        assert found is not None
        assert found.reviewed
        assert found.pixels.all()

    def test_without_provenance_nothing_is_claimed(self, tmp_path: Path) -> None:
        export_masks([item(blobs(VOC))], get_exporter("indexed"), tmp_path, provenance=True)
        assert read_confirmed(tmp_path / "a.png") is None
        assert not (tmp_path / "provenance").exists()

    def test_collections_have_it_too_and_a_marker_lists_it(self, tmp_path: Path) -> None:
        out, _, _ = self.export(tmp_path, 1, "stored", "coco_rle")
        marker = read_marker(out)
        assert marker is not None
        assert marker.provenance["x/a.jpg"].file == "provenance/x/a.png"
        assert marker.wrote(out / "provenance/x/a.png")

    def test_damage_is_named(self, tmp_path: Path) -> None:
        out, _, photo = self.export(tmp_path, 1, "stored")
        Image.fromarray(np.full((3, 4), 9, np.uint8)).save(out / "provenance/x/a.png")
        with pytest.raises(MaskFormatError, match="damaged"):
            read_confirmed(out / "SegmentationClass/x/a.png")
        Image.fromarray(np.zeros((3, 4), np.uint8)).save(out / "provenance/x/a.png")
        with pytest.raises(MaskFormatError, match="another size"):
            read_confirmed(out / "SegmentationClass/x/a.png", probe_image(photo))
        with pytest.raises(MaskFormatError, match="not a code of who set a pixel"):
            encode_provenance(np.full((2, 2), 6, np.uint8))


GEO = (
    (33550, 12, 3, (0.5, 0.25, 0.0), True),
    (33922, 12, 6, (0.0, 0.0, 0.0, 1000.0, 2000.0, 0.0), True),
    (34735, 3, 8, (1, 1, 0, 1, 1024, 0, 1, 1), True),
)


class TestGeoreference:
    def geotiff(self, path: Path, shape: tuple[int, int], tags: tuple = GEO) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        rgb = np.random.default_rng(0).integers(0, 255, (*shape, 3)).astype(np.uint8)
        tifffile.imwrite(path, rgb, photometric="rgb", metadata=None, extratags=tags)
        return path

    def test_tags_are_copied_and_a_world_file_is_written(self, tmp_path: Path) -> None:
        labels = blobs(VOC)
        photo = self.geotiff(tmp_path / "in/a.tif", labels.shape)
        entry = item(labels, name="a.tif", image=photo)
        assert export_masks([entry], get_exporter("geotiff"), tmp_path / "out").failed == ()
        with tifffile.TiffFile(tmp_path / "out/a.tif") as found:
            tags = found.pages.first.tags
            assert {code: tuple(tags[code].value) for code, *_ in GEO} == {code: value for code, _, _, value, _ in GEO}
            assert tags[42113].value == "255"
            assert np.array_equal(found.asarray(), labels)
        world = [float(line) for line in (tmp_path / "out/a.tfw").read_text().split()]
        assert world == [0.5, 0.0, 0.0, -0.25, 1000.25, 1999.875]

    def test_pictures_get_the_world_file_and_say_what_it_lacks(self, tmp_path: Path) -> None:
        labels = blobs(VOC)
        photo = self.geotiff(tmp_path / "in/a.tif", labels.shape)
        summary = export_masks([item(labels, name="a.tif", image=photo)], get_exporter("indexed"), tmp_path / "out")
        assert (tmp_path / "out/a.pgw").read_text().split()[4] == "1000.25"
        assert "coordinate system" in summary.text()

    def test_a_world_file_beside_the_image_is_carried(self, tmp_path: Path) -> None:
        labels = blobs(VOC)
        photo = photograph(tmp_path / "in/a.jpg", labels.shape)
        (tmp_path / "in/a.jgw").write_text("2\n0\n0\n-2\n10\n20\n")
        summary = export_masks([item(labels, image=photo)], get_exporter("voc"), tmp_path / "out")
        assert not summary.notes
        assert [float(line) for line in (tmp_path / "out/SegmentationClass/a.pgw").read_text().split()] == [2, 0, 0, -2, 10, 20]

    def test_a_damaged_world_file_is_a_warning_not_a_failure(self, tmp_path: Path) -> None:
        labels = blobs(VOC)
        photo = photograph(tmp_path / "in/a.jpg", labels.shape)
        (tmp_path / "in/a.jgw").write_text("2\nnorth\n")
        summary = export_masks([item(labels, image=photo)], get_exporter("indexed"), tmp_path / "out")
        assert summary.written == ("a.jpg",)
        assert summary.notes.warning
        assert not (tmp_path / "out/a.pgw").exists()

    def test_a_turned_mask_has_no_world_file(self, tmp_path: Path) -> None:
        labels = blobs(VOC)
        photo = photograph(tmp_path / "in/a.jpg", labels.shape, 6)
        (tmp_path / "in/a.jgw").write_text("2\n0\n0\n-2\n10\n20\n")
        export_masks([item(labels, image=photo)], get_exporter("indexed"), tmp_path / "stored")
        summary = export_masks([item(labels, image=photo)], get_exporter("indexed"), tmp_path / "oriented", frame="oriented")
        assert (tmp_path / "stored/a.pgw").exists()
        assert not (tmp_path / "oriented/a.pgw").exists()
        assert summary.notes.warning
