"""Folders that Atrous wrote say so, also after several runs, a killed run, and in the form of older versions."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deeplab_core import __version__
from deeplab_core.catalogs import get_catalog
from deeplab_core.errors import StorageError
from deeplab_core.masks import MARKER_NAME, OutputMarker, Untouched, mark_output, read_marker
from deeplab_core.masks.export import ExportItem, export_masks, get_exporter

VOC, CAMVID = get_catalog("voc21"), get_catalog("camvid11")


def item(name: str, untouched: Untouched | None = None, catalog: object = VOC) -> ExportItem:
    labels = np.zeros((4, 6), np.uint8)
    return ExportItem(
        name=name, catalog=catalog, labels=lambda: labels, untouched=None if untouched is None else lambda: untouched
    )  # type: ignore[arg-type]


def marker(folder: Path) -> OutputMarker:
    found = read_marker(folder)
    assert found is not None
    return found


def test_an_export_counts_what_no_user_touched(tmp_path: Path) -> None:
    items = [item("a.jpg", Untouched(24, whole=True)), item("deep/b.jpg", Untouched(3, whole=False))]
    export_masks(items, get_exporter("indexed"), tmp_path)
    found = marker(tmp_path)
    assert (found.kind, found.program, found.catalog, found.model, found.frame) == ("export", __version__, VOC, None, "stored")
    assert (found.images, found.untouched_images, found.untouched_pixels) == (2, 1, 27)
    assert set(found.outputs) == {"a.png", "deep/b.png"}
    assert "no user touched 1 of its 2 images" in found.text()


def test_a_second_export_is_counted_together_with_the_first(tmp_path: Path) -> None:
    export_masks(
        [item("a.jpg", Untouched(24, whole=True)), item("b.jpg", Untouched(24, whole=True))], get_exporter("indexed"), tmp_path
    )
    again = [item("b.jpg", Untouched(0, whole=False)), item("c.jpg", Untouched(5, whole=False))]
    export_masks(again, get_exporter("indexed"), tmp_path, on_existing="replace")
    assert (marker(tmp_path).images, marker(tmp_path).untouched_images, marker(tmp_path).untouched_pixels) == (3, 1, 29)


def test_another_key_of_a_class_leaves_the_classes_of_the_folder_known(tmp_path: Path) -> None:
    keyed = replace(VOC, classes=(*VOC.classes[:-1], replace(VOC.classes[-1], key="7")))
    export_masks([item("a.jpg")], get_exporter("indexed"), tmp_path)
    export_masks([item("b.jpg", catalog=keyed)], get_exporter("indexed"), tmp_path)
    assert marker(tmp_path).catalog == keyed
    export_masks(
        [item("c.jpg", catalog=replace(keyed, name="others", classes=keyed.classes[:-1]))], get_exporter("indexed"), tmp_path
    )
    assert marker(tmp_path).catalog is None


def test_what_was_not_measured_is_not_zero(tmp_path: Path) -> None:
    export_masks([item("a.jpg", Untouched(24, whole=True)), item("b.jpg")], get_exporter("indexed"), tmp_path)
    found = marker(tmp_path)
    assert (found.images, found.untouched_images, found.untouched_pixels) == (2, None, None)
    assert "was not recorded" in found.text()


def test_skipped_files_are_not_listed_and_a_run_that_wrote_nothing_leaves_no_marker(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"the user's own")
    export_masks([item("a.jpg")], get_exporter("indexed"), tmp_path, on_existing="skip")
    assert read_marker(tmp_path) is None
    export_masks([item("a.jpg"), item("b.jpg")], get_exporter("indexed"), tmp_path, on_existing="skip")
    assert set(marker(tmp_path).outputs) == {"b.png"}


def test_the_folder_is_marked_before_its_first_mask(tmp_path: Path) -> None:
    seen: list[OutputMarker | None] = []

    def progress(done: int, _total: int) -> None:
        seen.append(read_marker(tmp_path))
        if done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_masks([item("a.jpg"), item("b.jpg")], get_exporter("indexed"), tmp_path, progress=progress)
    assert seen[0] is not None
    assert set(marker(tmp_path).outputs) == {"a.png"}


def test_a_folder_that_cannot_be_marked_gets_no_mask(tmp_path: Path) -> None:
    (tmp_path / MARKER_NAME).mkdir()
    summary = export_masks([item("a.jpg")], get_exporter("indexed"), tmp_path)
    assert isinstance(summary.failed[0][1], StorageError)
    assert not (tmp_path / "a.png").exists()


def test_predictions_among_exports_make_a_folder_of_predictions_until_all_are_replaced(tmp_path: Path) -> None:
    mark_output(tmp_path, "prediction", {"a.png": None, "b.png": None}, catalog=VOC, model="m", frame="stored")
    export_masks([item("a.jpg", Untouched(0, whole=False))], get_exporter("indexed"), tmp_path)
    assert (marker(tmp_path).kind, marker(tmp_path).model, marker(tmp_path).images) == ("prediction", None, 2)
    export_masks([item("b.jpg", Untouched(0, whole=False))], get_exporter("indexed"), tmp_path)
    assert marker(tmp_path).kind == "prediction"
    both = [item("a.jpg", Untouched(0, whole=False)), item("b.jpg", Untouched(0, whole=False))]
    export_masks(both, get_exporter("indexed"), tmp_path, on_existing="replace")
    assert (marker(tmp_path).kind, marker(tmp_path).catalog, marker(tmp_path).untouched_images) == ("export", VOC, 0)


def test_two_catalogs_in_one_folder_are_no_catalog(tmp_path: Path) -> None:
    export_masks([item("a.jpg")], get_exporter("indexed"), tmp_path)
    export_masks([item("b.jpg", catalog=CAMVID)], get_exporter("indexed"), tmp_path)
    assert marker(tmp_path).catalog is None


def test_the_record_of_an_older_predict_is_a_marker(tmp_path: Path) -> None:
    record = {"model": "rooms-voc", "catalog": "voc21", "options": "v2 {}", "frame": "stored"}
    (tmp_path / "atrous-run.json").write_text(json.dumps(record))
    found = marker(tmp_path)
    assert (found.kind, found.catalog, found.model, found.images, found.complete) == ("prediction", VOC, "rooms-voc", None, False)
    (tmp_path / "atrous-run.json").write_text('{"something": "else"}')
    assert read_marker(tmp_path) is None


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"kind": "truth"}', b"\xff\xfe", b"[" * 100_000])
def test_a_damaged_marker_still_says_that_atrous_wrote_the_folder(tmp_path: Path, content: bytes) -> None:
    (tmp_path / MARKER_NAME).write_bytes(content)
    assert (marker(tmp_path).kind, marker(tmp_path).complete) == ("prediction", False)


def test_names_that_are_no_utf_8_survive(tmp_path: Path) -> None:
    mark_output(tmp_path, "export", {"\udcb0\udca1.png": None}, catalog=None)
    assert set(marker(tmp_path).outputs) == {"\udcb0\udca1.png"}


def test_a_collection_counts_its_images(tmp_path: Path) -> None:
    Image.new("RGB", (6, 4)).save(tmp_path / "a.jpg")
    labels = np.ones((4, 6), np.uint8)
    entry = ExportItem(name="a.jpg", catalog=VOC, labels=lambda: labels, image_path=tmp_path / "a.jpg")
    export_masks([entry], get_exporter("coco_rle"), tmp_path / "out")
    assert marker(tmp_path / "out").images == 1
