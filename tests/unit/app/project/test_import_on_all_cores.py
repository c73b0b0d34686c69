"""Labels of a folder come in on several threads: the same as on one, journal before mask files, and few flushes."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from app.state.label_import import ImportTotals, import_items, map_labels, plan_labels
from app.state.project import Project
from app.state.saved_masks import SavedMasks
from app.state.store import Store
from deeplab_core.catalogs import get_catalog
from deeplab_core.errors import StorageError, message
from deeplab_core.parallel import SharedRun

VOC = get_catalog("voc21")
COUNT = 12


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Images and masks of twelve scenes."""
    images, masks = tmp_path / "images", tmp_path / "masks"
    images.mkdir()
    masks.mkdir()
    for number in range(COUNT):
        Image.new("RGB", (40, 30), (number, 0, 0)).save(images / f"{number:02}.png")
        labels = np.kron(np.random.default_rng(number).integers(0, 21, (3, 4)), np.ones((10, 10))).astype(np.uint8)
        Image.fromarray(labels).save(masks / f"{number:02}.png")
    return images, masks


def bring_in(folders: tuple[Path, Path], directory: Path, threads: int) -> tuple[ImportTotals, list[str], dict[str, Any]]:
    """Totals, names in the order of their results, and labels of all images as a new opening reads them."""
    totals = ImportTotals()
    with Project.open(folders[0], directory, catalog=VOC) as project:
        ids = {record.relative_path: record.id for record in project.images}
        plan = map_labels(plan_labels(folders[1], folders[0], list(ids), mask_classes=VOC)[0], VOC)
        names = [item.name for item, _found in import_items(project, ids, plan, totals, threads=threads)]
    with Project.open(folders[0], directory, read_only=True) as project:
        labels = {record.relative_path: project.load(record.id).document.labels for record in project.images}
        assert all(project.journal.head(record.id) for record in project.images)
    return totals, names, labels


def test_threads_change_nothing(folders: tuple[Path, Path], tmp_path: Path) -> None:
    one, names, labels = bring_in(folders, tmp_path / "one", 1)
    four, other_names, other_labels = bring_in(folders, tmp_path / "four", 4)
    assert one.to_dict() == four.to_dict()
    assert one.images == COUNT
    assert names == other_names == sorted(names)
    assert labels.keys() == other_labels.keys()
    for name, each in labels.items():
        np.testing.assert_array_equal(each, other_labels[name])
        np.testing.assert_array_equal(each, np.asarray(Image.open(folders[1] / name)))


def test_the_journal_is_flushed_before_a_mask_and_once_for_many(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushes: list[int] = []
    written: list[int] = []
    flush, write = Store._flush_now, SavedMasks.save

    def slow(self: Store) -> int:
        flushes.append(len(written))
        time.sleep(0.05)  # so that others come to wait
        return flush(self)

    def save(self: SavedMasks, *arguments: Any) -> str:
        before = len(flushes)
        notice = write(self, *arguments)
        written.append(len(flushes) - before)
        return notice

    monkeypatch.setattr(Store, "_flush_now", slow)
    monkeypatch.setattr(SavedMasks, "save", save)
    totals, _names, _labels = bring_in(folders, tmp_path / "project", 4)
    assert totals.images == len(written) == COUNT
    assert all(written), "a mask file was written without a flush after its step"
    assert len(flushes) < COUNT


def test_an_image_that_cannot_be_written_fails_alone(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = SavedMasks.save

    def save(self: SavedMasks, record: Any, *arguments: Any) -> str:
        if record.relative_path == "05.png":
            raise StorageError(message("the disk is full"))
        return write(self, record, *arguments)

    monkeypatch.setattr(SavedMasks, "save", save)
    totals, names, labels = bring_in(folders, tmp_path / "project", 3)
    assert [name for name, _error in totals.failures] == ["05.png"]
    assert totals.images == COUNT - 1
    assert len(names) == COUNT
    np.testing.assert_array_equal(labels["05.png"], np.asarray(Image.open(folders[1] / "05.png")))  # the journal has it


def test_a_damaged_label_file_fails_alone(folders: tuple[Path, Path], tmp_path: Path) -> None:
    whole = (folders[1] / "03.png").read_bytes()
    with Project.open(folders[0], tmp_path / "project", catalog=VOC) as project:
        ids = {record.relative_path: record.id for record in project.images}
        plan = map_labels(plan_labels(folders[1], folders[0], list(ids), mask_classes=VOC)[0], VOC)
        (folders[1] / "03.png").write_bytes(whole[: len(whole) // 2])
        totals = ImportTotals()
        found = dict(import_items(project, ids, plan, totals, threads=2))
    assert [name for name, _error in totals.failures] == ["03.png"]
    assert [item.name for item, each in found.items() if each is None] == ["03.png"]


def test_stopping_early_leaves_whole_images(folders: tuple[Path, Path], tmp_path: Path) -> None:
    with Project.open(folders[0], tmp_path / "project", catalog=VOC) as project:
        ids = {record.relative_path: record.id for record in project.images}
        plan = map_labels(plan_labels(folders[1], folders[0], list(ids), mask_classes=VOC)[0], VOC)
        results = import_items(project, ids, plan, ImportTotals(), threads=2)
        next(results)
        results.close()  # type: ignore[attr-defined]
    assert not any(thread.name.startswith(("mask files", "in order")) for thread in threading.enumerate())
    with Project.open(folders[0], tmp_path / "project", read_only=True) as project:
        came = [record for record in project.images if project.journal.head(record.id)]
        assert 1 <= len(came) < COUNT
        for record in came:
            wanted = np.asarray(Image.open(folders[1] / record.relative_path))
            np.testing.assert_array_equal(project.load(record.id).document.labels, wanted)


class TestSharedRun:
    def test_a_run_serves_all_who_asked_before_it_began(self) -> None:
        began, go_on = threading.Event(), threading.Event()
        runs: list[int] = []

        def work() -> int:
            runs.append(1)
            began.set()
            assert go_on.wait(10)
            return len(runs)

        shared = SharedRun(work)
        results: list[int] = []
        threads = [threading.Thread(target=lambda: results.append(shared())) for _ in range(6)]
        threads[0].start()
        assert began.wait(10)
        for thread in threads[1:]:
            thread.start()
        while shared._asked < 6:
            os.sched_yield()
        go_on.set()
        for thread in threads:
            thread.join(10)
        assert sorted(results) == [1, 2, 2, 2, 2, 2]

    def test_a_failed_run_serves_nobody(self) -> None:
        answers = iter([OSError("full"), 5])

        def work() -> int:
            answer = next(answers)
            if isinstance(answer, OSError):
                raise answer
            return answer

        shared = SharedRun(work)
        with pytest.raises(OSError, match="full"):
            shared()
        assert shared() == 5
