"""Exports: planned without surprise, exact, and honest about what did not work."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from deeplab_core.catalogs import get_catalog
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.errors import ExportError, ImageReadError, StorageError
from deeplab_core.images import probe_image, read_image, to_stored
from deeplab_core.masks import MARKER_NAME
from deeplab_core.masks.export import EXPORTERS, FORMATS, ExportItem, export_masks, get_exporter, plan_export
from deeplab_core.masks.export.masks import ColorExporter
from deeplab_core.masks.export.overlay import class_edges
from deeplab_core.masks.export.plan import folder_among_photographs
from deeplab_core.masks.export.run import OnExisting
from deeplab_core.masks.read import read_mask

from .samples import CATALOGS, WIDE, blobs, label_maps, photograph

VOC = get_catalog("voc21")


def item(name: str, labels: np.ndarray | None, catalog: ClassCatalog = VOC, image: Path | None = None) -> ExportItem:
    return ExportItem(name=name, catalog=catalog, labels=lambda: labels, image_path=image)


def files(folder: Path) -> list[str]:
    """Everything below a folder but the marker that each export leaves there."""
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(name for name in found if name != MARKER_NAME)


class TestRoundTrips:
    @settings(max_examples=30)
    @given(st.data(), st.sampled_from(("indexed", "raw_ids", "npy")), st.sampled_from(CATALOGS))
    def test_masks_read_back_equal(
        self, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, name: str, catalog: ClassCatalog
    ) -> None:
        labels = data.draw(label_maps(catalog))
        target = tmp_path_factory.mktemp("export")
        summary = export_masks([item("sub/a.b.jpg", labels, catalog)], get_exporter(name), target)
        assert summary.written == ("sub/a.b.jpg",)
        suffix = ".npy" if name == "npy" else ".png"
        assert np.array_equal(read_mask(target / f"sub/a.b{suffix}", catalog), labels)

    @settings(max_examples=15)
    @given(st.data(), st.sampled_from([c for c in CATALOGS if c.name in ("voc21", "cityscapes19", "camvid11")]))
    def test_colours_read_back_equal(
        self, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, catalog: ClassCatalog
    ) -> None:
        labels = data.draw(label_maps(catalog))
        target = tmp_path_factory.mktemp("export")
        assert export_masks([item("a.jpg", labels, catalog)], get_exporter("color"), target).written
        assert np.array_equal(read_mask(target / "a.png", catalog), labels)

    @pytest.mark.parametrize("name", ["raw_ids", "npy", "color"])
    def test_wide_catalogs(self, tmp_path: Path, name: str) -> None:
        labels = blobs(WIDE)
        summary = export_masks([item("a.jpg", labels, WIDE)], get_exporter(name), tmp_path)
        assert summary.failed == ()
        (path,) = (tmp_path / name for name in files(tmp_path))
        assert np.array_equal(read_mask(path, WIDE), labels)

    def test_an_indexed_file_cannot_hold_a_wide_catalog(self, tmp_path: Path) -> None:
        summary = export_masks([item("a.jpg", blobs(WIDE), WIDE)], get_exporter("indexed"), tmp_path)
        assert "raw ids" in str(summary.failed[0][1])

    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_stored_frame_by_default_oriented_on_request(self, tmp_path: Path, orientation: int) -> None:
        labels = blobs(VOC)
        photo = photograph(tmp_path / "photo.jpg", labels.shape, orientation)
        items = [item("photo.jpg", labels, image=photo)]
        export_masks(items, get_exporter("indexed"), tmp_path / "stored")
        with Image.open(tmp_path / "stored/photo.png") as picture, Image.open(photo) as source:
            assert picture.size == source.size
            stored = np.asarray(picture)
        assert np.array_equal(stored, to_stored(labels, orientation))
        assert np.array_equal(read_mask(tmp_path / "stored/photo.png", VOC, probe_image(photo)), labels)
        export_masks(items, get_exporter("indexed"), tmp_path / "oriented", frame="oriented")
        assert np.array_equal(read_mask(tmp_path / "oriented/photo.png", VOC), labels)


class TestColours:
    def test_classes_that_share_a_colour_are_refused_where_they_occur(self, tmp_path: Path) -> None:
        catalog = get_catalog("cityscapes34")
        good = item("good.jpg", np.array([[7, 8]], np.uint8), catalog)
        bad = item("bad.jpg", np.array([[7, 17]], np.uint8), catalog)
        summary = export_masks([good, bad], ColorExporter(), tmp_path)
        assert summary.written == ("good.jpg",)
        assert "'pole' has the same colour (153, 153, 153) as 'polegroup'" in str(summary.failed[0][1])


class TestCityscapes:
    def test_train_ids_become_label_ids_and_void_becomes_unlabeled(self, tmp_path: Path) -> None:
        labels = np.array([[0, 18, 255]], np.uint8)
        items = [item("val/ulm_1_leftImg8bit.png", labels, get_catalog("cityscapes19"))]
        assert export_masks(items, get_exporter("cityscapes_ids"), tmp_path).failed == ()
        assert files(tmp_path) == ["val/ulm_1_gtFine_labelIds.png"]
        with Image.open(tmp_path / "val/ulm_1_gtFine_labelIds.png") as picture:
            assert picture.mode == "L"
            assert np.asarray(picture).tolist() == [[7, 33, 0]]

    def test_label_ids_become_train_ids_by_the_rule_of_the_benchmark(self, tmp_path: Path) -> None:
        labels = np.array([[7, 33, 0, 18, 255]], np.uint8)
        items = [item("ulm_1_leftImg8bit.png", labels, get_catalog("cityscapes34"))]
        export_masks(items, get_exporter("cityscapes_train_ids"), tmp_path)
        found = read_mask(tmp_path / "ulm_1_gtFine_labelTrainIds.png", get_catalog("cityscapes19"))
        assert found.tolist() == [[0, 18, 255, 255, 255]]

    def test_classes_without_a_partner_are_lost_only_when_allowed(self, tmp_path: Path) -> None:
        items = [item("a.jpg", np.array([[15, 9]], np.uint8))]
        summary = export_masks(items, get_exporter("cityscapes_train_ids"), tmp_path)
        assert "chair" in str(summary.failed[0][1])
        allowed = get_exporter("cityscapes_train_ids", unmatched_to_void=True)
        assert export_masks(items, allowed, tmp_path).written
        assert read_mask(tmp_path / "a_gtFine_labelTrainIds.png", get_catalog("cityscapes19")).tolist() == [[11, 255]]


class TestOverlay:
    def test_fill_contour_and_clear_regions(self, tmp_path: Path) -> None:
        labels = np.zeros((20, 30), np.uint8)
        labels[5:15, 5:15] = 9
        labels[0:3, 20:25] = 255
        photo = photograph(tmp_path / "photo.png", labels.shape)
        export_masks([item("photo.png", labels, image=photo)], get_exporter("overlay", opacity=0.5), tmp_path / "out")
        found = read_image(tmp_path / "out/photo_overlay.png").rgb.astype(int)
        rgb = read_image(photo).rgb.astype(int)
        outside = labels != 9
        assert np.array_equal(found[outside], rgb[outside])
        assert found[5, 5].tolist() == [192, 0, 0]
        assert np.abs(found[10, 10] - (rgb[10, 10] + (192, 0, 0)) / 2).max() <= 1

    def test_photographs_that_were_scaled_are_counted(self, tmp_path: Path) -> None:
        labels = blobs(VOC)
        for name in ("a.png", "b.png"):
            Image.fromarray((np.mgrid[0 : labels.shape[0], 0 : labels.shape[1]][1] * 90).astype(np.uint16)).save(tmp_path / name)
        items = [item(name, labels, image=tmp_path / name) for name in ("a.png", "b.png")]
        summary = export_masks(items, get_exporter("overlay"), tmp_path / "out")
        assert summary.text() == "2 exported and read back, 2 images were scaled from 12 bit"
        assert not export_masks(items, get_exporter("indexed"), tmp_path / "masks").notes

    def test_overlays_are_oriented_whatever_the_frame(self, tmp_path: Path) -> None:
        labels = blobs(VOC)
        photo = photograph(tmp_path / "photo.jpg", labels.shape, 6)
        summary = export_masks([item("photo.jpg", labels, image=photo)], get_exporter("overlay"), tmp_path / "out")
        assert summary.failed == ()
        assert read_image(tmp_path / "out/photo_overlay.png").rgb.shape[:2] == labels.shape

    def test_without_a_photograph_there_is_no_overlay(self, tmp_path: Path) -> None:
        assert "photograph" in str(export_masks([item("a.jpg", blobs(VOC))], get_exporter("overlay"), tmp_path).failed[0][1])
        with pytest.raises(ValueError, match="opacity"):
            get_exporter("overlay", opacity=2)

    @given(label_maps(VOC))
    def test_edges_are_pixels_with_another_neighbour(self, labels: np.ndarray) -> None:
        padded = np.pad(labels.astype(int), 1, mode="edge")
        centre = padded[1:-1, 1:-1]
        neighbours = (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:])
        assert np.array_equal(class_edges(labels), np.logical_or.reduce([centre != other for other in neighbours]))


class TestPlanning:
    @pytest.mark.parametrize("kind", ["indexed", "npy", "overlay", "cityscapes_ids"])
    @pytest.mark.parametrize("pair", [("x/a.jpg", "x/a.png"), ("x/Z\u00fc.jpg", "x/Zu\u0308.jpg")])
    def test_an_equal_pair_is_named_and_stops_only_itself(self, tmp_path: Path, pair: tuple[str, str], kind: str) -> None:
        catalog = get_catalog("cityscapes34") if kind == "cityscapes_ids" else VOC
        labels = blobs(catalog)
        photo = photograph(tmp_path / "photo.jpg", labels.shape)
        items = [item(name, labels, catalog, image=photo) for name in (*pair, "x/b.jpg", "c.png")]
        summary = export_masks(items, get_exporter(kind), tmp_path / "out")
        assert summary.written == ("x/b.jpg", "c.png")
        assert [name for name, _error in summary.failed] == list(pair)
        assert all(pair[0] in str(error) and pair[1] in str(error) and error.remedy for _name, error in summary.failed)

    def test_the_remedy_for_an_equal_pair_works(self, tmp_path: Path) -> None:
        labels = blobs(VOC)
        names = ("x/a.jpg", "x/a.png", "x/b.jpg")
        items = [ExportItem(name=name, catalog=VOC, labels=lambda: labels, keep_suffix=True) for name in names]
        assert export_masks(items, get_exporter("indexed"), tmp_path / "out").written == names
        assert files(tmp_path / "out") == ["x/a.jpg.png", "x/a.png.png", "x/b.jpg.png"]

    def test_an_equal_pair_fits_into_one_file_for_all(self, tmp_path: Path) -> None:
        items = [item("a.jpg", blobs(VOC)), item("a.png", blobs(VOC))]
        assert export_masks(items, get_exporter("coco_rle"), tmp_path / "out").written == ("a.jpg", "a.png")

    def test_existing_files_are_listed_and_never_overwritten_unasked(self, tmp_path: Path) -> None:
        (tmp_path / "a.png").write_bytes(b"precious")
        items = [item("a.jpg", blobs(VOC)), item("b.jpg", blobs(VOC))]
        plan = plan_export(items, get_exporter("indexed"), tmp_path)
        assert [(found.path, found.nbytes) for found in plan.existing] == [(tmp_path / "a.png", 8)]
        for answer in ("ask", "error"):
            with pytest.raises(ExportError, match="already there"):
                export_masks(items, get_exporter("indexed"), tmp_path, on_existing=answer)
        assert files(tmp_path) == ["a.png"]
        summary = export_masks(items, get_exporter("indexed"), tmp_path, on_existing="skip")
        assert summary.skipped == (("a.jpg", "already there"),)
        assert summary.written == ("b.jpg",)
        assert (tmp_path / "a.png").read_bytes() == b"precious"
        (tmp_path / "b.png").unlink()
        assert export_masks(items, get_exporter("indexed"), tmp_path, on_existing="replace").written == ("a.jpg", "b.jpg")

    def test_a_file_that_appears_during_the_run_is_not_overwritten(self, tmp_path: Path) -> None:
        def load() -> np.ndarray:
            (tmp_path / "b.png").write_bytes(b"precious")
            return blobs(VOC)

        items = [ExportItem(name="a.jpg", catalog=VOC, labels=load), item("b.jpg", blobs(VOC))]
        summary = export_masks(items, get_exporter("indexed"), tmp_path)
        assert summary.skipped == (("b.jpg", "already there"),)
        assert (tmp_path / "b.png").read_bytes() == b"precious"

    def test_photographs_are_never_overwritten(self, tmp_path: Path) -> None:
        labels = blobs(VOC)
        photo = photograph(tmp_path / "a.png", labels.shape)
        before = photo.read_bytes()
        items = [item("a.png", labels, image=photo), item("b.jpg", labels)]
        summary = export_masks(items, get_exporter("indexed"), tmp_path, on_existing="replace")
        assert summary.written == ("b.jpg",)
        assert "overwrite a photograph" in str(summary.failed[0][1])
        assert photo.read_bytes() == before

    @pytest.mark.parametrize("answer", ["replace", "skip", "error", "ask"])
    @pytest.mark.parametrize("kind", ["indexed", "raw_ids", "color", "npy", "coco_rle"])
    def test_no_photograph_is_overwritten_even_if_it_is_not_exported(self, tmp_path: Path, kind: str, answer: OnExisting) -> None:
        exporter = get_exporter(kind)
        target = tmp_path / {"npy": "c2.npy", "coco_rle": "annotations.json"}.get(kind, "c2.png")
        if kind == "coco_rle":
            target = plan_export([item("c2.jpg", blobs(VOC))], exporter, tmp_path).outputs[0]
        rng = np.random.default_rng(0)
        Image.fromarray(rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)).save(target, "PNG")
        before = target.read_bytes()
        summary = export_masks([item("c2.jpg", blobs(VOC))], exporter, tmp_path, on_existing=answer)
        assert summary.written == ()
        assert "never replaced" in str(summary.failed[0][1])
        assert target.read_bytes() == before

    @pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
    def test_a_target_that_is_a_link_is_not_written_through(self, tmp_path: Path) -> None:
        (tmp_path / "precious").write_bytes(b"precious")
        (tmp_path / "a.png").symlink_to(tmp_path / "precious")
        summary = export_masks([item("a.jpg", blobs(VOC))], get_exporter("indexed"), tmp_path, on_existing="replace")
        assert "link" in str(summary.failed[0][1])
        assert (tmp_path / "precious").read_bytes() == b"precious"

    def test_many_photographs_in_the_way_do_not_end_the_run(self, tmp_path: Path) -> None:
        for number in range(5):
            rng = np.random.default_rng(number)
            Image.fromarray(rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)).save(tmp_path / f"{number}.png")
        items = [item(f"{number}.jpg", blobs(VOC)) for number in range(7)]
        summary = export_masks(items, get_exporter("indexed"), tmp_path, on_existing="replace")
        assert summary.written == ("5.jpg", "6.jpg")
        assert len(summary.failed) == 5

    @pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
    def test_not_even_through_a_link(self, tmp_path: Path) -> None:
        labels = blobs(VOC)
        photo = photograph(tmp_path / "photos/a.png", labels.shape)
        (tmp_path / "link").symlink_to(tmp_path / "photos", target_is_directory=True)
        plan = plan_export([item("a.png", labels, image=photo)], get_exporter("indexed"), tmp_path / "link")
        assert "overwrite a photograph" in str(plan.refused["a.png"])
        assert plan.existing == ()

    @pytest.mark.parametrize("name", ["../a.jpg", "/etc/a.jpg", "x/../../a.jpg", ""])
    def test_names_that_lead_out_of_the_target_are_refused(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(ExportError, match="not a path below"):
            plan_export([item(name, blobs(VOC))], get_exporter("indexed"), tmp_path)

    def test_the_target_must_be_a_folder(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(ExportError, match="is a file"):
            plan_export([], get_exporter("indexed"), tmp_path / "file")

    def test_unknown_formats_list_the_known_ones(self) -> None:
        with pytest.raises(ExportError, match="indexed, raw_ids"):
            get_exporter("jpeg")
        assert all(EXPORTERS[name].name == name for name in FORMATS)


class TestRunning:
    def test_failures_are_collected_and_the_run_goes_on(self, tmp_path: Path) -> None:
        def broken() -> np.ndarray:
            raise ImageReadError("cannot be read", path="b.jpg")

        small = photograph(tmp_path / "photos/d.jpg", (5, 5))
        items = [
            item("a.jpg", blobs(VOC)),
            ExportItem(name="b.jpg", catalog=VOC, labels=broken),
            item("c.jpg", None),
            item("d.jpg", blobs(VOC), image=small),
            item("e.jpg", np.full((2, 2), 99, np.uint8)),
            item("f.jpg", np.array([[0, 9, 255]], np.uint8)),
        ]
        steps: list[tuple[int, int]] = []
        summary = export_masks(items, get_exporter("indexed"), tmp_path / "out", progress=lambda *step: steps.append(step))
        assert summary.written == ("a.jpg", "f.jpg")
        assert summary.skipped == (("c.jpg", "no mask"),)
        assert [name for name, _ in summary.failed] == ["b.jpg", "d.jpg", "e.jpg"]
        assert "41 x 30 px, but the image has 5 x 5" in str(summary.failed[1][1])
        assert steps == [(n, 6) for n in range(1, 7)]
        assert files(tmp_path / "out") == ["a.png", "f.png"]
        assert summary.nbytes == sum((tmp_path / "out" / name).stat().st_size for name in files(tmp_path / "out"))
        assert sum(summary.class_pixels.values()) == 30 * 41 + 3
        assert summary.class_pixels["chair"] >= 1
        assert summary.text() == "2 exported and read back, 1 skipped (no mask), 3 failed"

    def test_cancelling_keeps_what_is_written(self, tmp_path: Path) -> None:
        answers = iter([False, True])
        items = [item(f"{n}.jpg", blobs(VOC)) for n in range(5)]
        summary = export_masks(items, get_exporter("indexed"), tmp_path, cancel=lambda: next(answers))
        assert summary.cancelled
        assert (summary.written, summary.not_reached) == (("0.jpg",), 4)
        assert summary.text().startswith("Cancelled: 1 exported")

    def test_a_full_disk_ends_the_run_and_leaves_old_files(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "0.png").write_bytes(b"old")

        def refuse(*_: object) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(os, "write", refuse)
        items = [item(f"{n}.jpg", blobs(VOC)) for n in range(9)]
        summary = export_masks(items, get_exporter("indexed"), tmp_path, on_existing="replace")
        monkeypatch.undo()
        assert all(isinstance(error, StorageError) for _, error in summary.failed)
        assert (len(summary.failed), summary.not_reached, summary.written) == (3, 6, ())
        assert (tmp_path / "0.png").read_bytes() == b"old"
        assert files(tmp_path) == ["0.png"]

    @pytest.mark.parametrize("name", ["indexed", "raw_ids", "npy", "color", "overlay", "cityscapes_train_ids", "coco_rle"])
    def test_a_file_that_reads_back_differently_is_not_kept(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        catalog = get_catalog("cityscapes19")
        labels = np.zeros((12, 12), np.uint8)
        labels[4:8, 4:8] = 11
        photo = photograph(tmp_path / "photo.png", labels.shape)
        changed = labels.copy()
        changed[0, 0] = 5
        exporter = get_exporter(name)
        _write_other_labels(monkeypatch, exporter, labels, changed)
        summary = export_masks([item("photo.png", labels, catalog, photo)], exporter, tmp_path / "out")
        assert summary.written == ()
        assert isinstance(summary.failed[0][1], ExportError)
        assert files(tmp_path / "out") == []

    def test_labels_are_loaded_one_at_a_time(self, tmp_path: Path) -> None:
        alive: list[str] = []

        def loader(name: str) -> Callable[[], np.ndarray]:
            def load() -> np.ndarray:
                alive.append(name)
                return blobs(VOC)

            return load

        items = [ExportItem(name=f"{n}.jpg", catalog=VOC, labels=loader(str(n))) for n in range(3)]
        plan_export(items, get_exporter("indexed"), tmp_path)
        assert alive == []
        seen: list[int] = []
        export_masks(items, get_exporter("indexed"), tmp_path, progress=lambda done, _: seen.append(len(alive) - done))
        assert seen == [0, 0, 0]


def _write_other_labels(monkeypatch: pytest.MonkeyPatch, exporter: object, labels: np.ndarray, changed: np.ndarray) -> None:
    """Let the exporter write ``changed`` while it is asked to write ``labels``, as a faulty disk might."""
    if hasattr(exporter, "encode"):
        encode = type(exporter).encode
        monkeypatch.setattr(type(exporter), "encode", lambda self, item, _: encode(self, item, changed))
    else:
        from deeplab_core.masks.export import coco

        runs = coco.region_runs
        monkeypatch.setattr(coco, "region_runs", lambda _, rest, unit: runs(changed, rest, unit))
    assert not np.array_equal(labels, changed)


class TestFolders:
    def test_nothing_to_write_leaves_no_folder(self, tmp_path: Path) -> None:
        for name in ("indexed", "coco_rle", "voc"):
            summary = export_masks([item("a.jpg", None)], get_exporter(name), tmp_path / "deep/out")
            assert summary.written == ()
            assert not (tmp_path / "deep").exists()

    def test_a_folder_that_was_there_stays(self, tmp_path: Path) -> None:
        (tmp_path / "out").mkdir()
        export_masks([item("a.jpg", None)], get_exporter("indexed"), tmp_path / "out")
        assert (tmp_path / "out").is_dir()

    def test_a_target_among_the_photographs_is_named(self, tmp_path: Path) -> None:
        photo = photograph(tmp_path / "photos/sub/a.jpg", (4, 5))
        entry = item("sub/a.jpg", None, image=photo)
        for target, expected in ((tmp_path / "photos", tmp_path / "photos/sub"), (tmp_path / "out", None)):
            assert folder_among_photographs([entry], get_exporter("indexed"), target) == expected
        assert folder_among_photographs([entry], get_exporter("voc"), tmp_path / "photos") is None
