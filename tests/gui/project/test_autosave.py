"""Autosave: what is on disk when, full disks, image switches, closing."""

import contextlib
import errno
import itertools
import os
import sqlite3
import threading

import numpy as np
import pytest

import app.state.saved_masks
from app.services.autosave import Autosaver, SaveState
from app.services.undo import UndoHistory
from app.state.edits import StrokeSession
from app.state.project import Project
from app.state.provenance import Provenance
from deeplab_core.errors import StorageError
from tests.unit.app.folders import image_id, make_folder, paint, same


class Desk:
    """A project with undo and autosave wired as the window wires them."""

    def __init__(self, folder, **kwargs):
        self.folder = folder
        self.project = Project.open(folder)
        self.history = UndoHistory()
        self.saver = Autosaver(self.project, **{"idle_ms": 60_000, "sync_ms": 10, **kwargs})
        self.history.stepPushed.connect(self.saver.record_step)
        self.history.stepMoved.connect(self.saver.record_move)
        self.document = None

    def show(self, path):
        image = image_id(self.project, path)
        held = self.saver.held(image)
        if held is not None:
            self.document = held
            self.history.open(image, held, [])
            self.saver.watch(image, held, saved=False)
        else:
            loaded = self.project.load(image)
            self.document = loaded.document
            self.history.open(image, loaded.document, loaded.steps)
            self.saver.watch(image, loaded.document, saved=loaded.saved)
        return image

    def draw(self, seed):
        patch = paint(self.document, seed)
        return self.history.push(f"Brush {seed}", patch, Provenance.USER)

    def stored(self, path):
        """What another program would read from the disk now."""
        with Project.open(self.folder, read_only=True) as reader:
            return reader.load(image_id(reader, path))

    def close(self):
        self.saver.stop()
        self.project.close()


@pytest.fixture
def desk(qapp, tmp_path):
    desk = Desk(make_folder(tmp_path / "photos", "a.png", "b.png"))
    yield desk
    desk.close()


class BadDisk:
    """Makes writing fail: the database's commits, the mask files, or both."""

    def __init__(self, monkeypatch, desk):
        self._monkeypatch, self._desk = monkeypatch, desk

    def fill(self, *, masks=True, database=True):
        if database:
            connection = self._desk.project._store._connection
            connection.execute("PRAGMA max_page_count = 1")  # SQLite takes the size it has now
            image = self._desk.project.images[0].id
            for size in (2000, 200, 1):
                with contextlib.suppress(sqlite3.OperationalError):
                    for number in itertools.count():
                        row = (image, f"filling {size} {number}", bytes(size))
                        connection.execute("INSERT INTO results VALUES (?, ?, '', ?)", row)
        if masks:
            real = os.write

            def write(descriptor, data):
                if len(data) > 40:  # locks and logs are not what is tested
                    raise OSError(errno.ENOSPC, "No space left on device")
                return real(descriptor, data)

            self._monkeypatch.setattr(os, "write", write)

    def free(self):
        self._desk.project._store._connection.execute("PRAGMA max_page_count = 1073741823")
        self._monkeypatch.undo()


@pytest.fixture
def disk(monkeypatch, desk):
    return BadDisk(monkeypatch, desk)


def test_a_step_is_on_disk_before_anything_else_happens(desk):
    desk.show("a.png")
    for seed in range(3):
        desk.draw(seed)
        assert same(desk.stored("a.png").document, desk.document)
    desk.history.undo()
    assert same(desk.stored("a.png").document, desk.document)
    assert [step.undone for step in desk.stored("a.png").steps] == [False, False, True]
    desk.history.redo()
    assert same(desk.stored("a.png").document, desk.document)
    assert desk.saver.state is SaveState.DIRTY


def test_the_mask_file_follows_in_idle_time(qtbot, tmp_path):
    desk = Desk(make_folder(tmp_path / "photos", "a.png"), idle_ms=10)
    image = desk.show("a.png")
    assert desk.saver.state is SaveState.SAVED
    with qtbot.waitSignal(desk.saver.saved) as told:
        desk.draw(1)
    assert told.args == [image]
    assert desk.saver.state is SaveState.SAVED
    assert desk.stored("a.png").saved
    assert desk.saver.held(image) is desk.document
    desk.close()


def test_looking_saves_nothing(desk):
    desk.show("a.png")
    desk.show("b.png")
    desk.saver.flush()
    assert not (desk.folder / ".atrous/masks").exists()


def test_leaving_an_image_saves_it_and_lets_go(qtbot, desk):
    a = desk.show("a.png")
    desk.draw(1)
    painted = desk.document
    with qtbot.waitSignal(desk.saver.saved):
        desk.show("b.png")
    assert desk.saver.held(a) is None
    stored = desk.stored("a.png")
    assert stored.saved
    assert same(stored.document, painted)


def test_coming_back_before_the_file_is_written_finds_the_same_document(qtbot, desk):
    a = desk.show("a.png")
    desk.draw(1)
    painted = desk.document
    desk.show("b.png")
    desk.show("a.png")
    assert desk.document is painted or same(desk.document, painted)
    desk.draw(2)
    desk.history.undo()
    desk.history.undo()
    desk.saver.flush()
    assert same(desk.stored("a.png").document, desk.document)
    assert (desk.document.labels == 255).all()
    assert desk.project.record(a).touched


def test_painting_while_the_file_is_written_keeps_it_dirty(qtbot, desk):
    desk.show("a.png")
    desk.draw(1)
    desk.saver.save_now()
    assert desk.saver.state is SaveState.SAVING
    desk.draw(2)
    qtbot.waitUntil(lambda: desk.saver.state is not SaveState.SAVING)
    assert desk.saver.state is SaveState.DIRTY
    assert same(desk.stored("a.png").document, desk.document)
    desk.saver.flush()
    assert desk.saver.state is SaveState.SAVED
    assert desk.stored("a.png").saved


def test_a_full_disk_is_reported_once_and_nothing_is_lost(qtbot, desk, disk):
    a = desk.show("a.png")
    desk.draw(1)
    desk.saver.flush()
    mask = (desk.folder / ".atrous/masks/a.png.png").read_bytes()
    told, recovered = [], []
    desk.saver.failed.connect(told.append)
    desk.saver.recovered.connect(lambda: recovered.append(True))
    disk.fill()
    for seed in range(2, 5):
        desk.draw(seed)
    desk.history.undo()
    desk.saver.save_now()
    assert desk.saver.state is SaveState.FAILED
    assert len(told) == 1
    assert isinstance(told[0], StorageError)
    assert "disk is full" in str(told[0])
    assert (desk.folder / ".atrous/masks/a.png.png").read_bytes() == mask
    with pytest.raises(StorageError):
        desk.saver.flush()
    painted = desk.document
    desk.show("b.png")
    assert desk.saver.held(a) is painted
    desk.draw(6)
    other = desk.document

    disk.free()
    with qtbot.waitSignal(desk.saver.recovered, timeout=8000):
        desk.saver.retry()
    desk.saver.flush()
    assert recovered == [True]
    assert desk.saver.state is SaveState.SAVED
    assert same(desk.stored("a.png").document, painted)
    assert [step.undone for step in desk.stored("a.png").steps] == [False, False, False, True]
    assert same(desk.stored("b.png").document, other)
    assert desk.saver.held(a) is None


def test_it_recovers_by_itself(qtbot, desk, disk):
    desk.show("a.png")
    disk.fill()
    for seed in range(40):  # the first ones still fit into pages that the database has already
        desk.draw(seed)
    assert desk.saver.state is SaveState.FAILED
    disk.free()
    qtbot.waitSignal(desk.saver.recovered, timeout=10_000).wait()
    assert same(desk.stored("a.png").document, desk.document)


def test_a_mask_file_that_cannot_be_written_leaves_the_old_one_and_the_journal_right(qtbot, desk, disk):
    desk.show("a.png")
    desk.draw(1)
    desk.saver.flush()
    mask = (desk.folder / ".atrous/masks/a.png.png").read_bytes()
    disk.fill(database=False)
    desk.draw(2)
    with qtbot.waitSignal(desk.saver.failed) as told:
        desk.saver.save_now()
    assert "disk is full" in str(told.args[0])
    assert (desk.folder / ".atrous/masks/a.png.png").read_bytes() == mask
    assert same(desk.stored("a.png").document, desk.document)
    desk.draw(3)
    assert same(desk.stored("a.png").document, desk.document)
    assert desk.saver.state is SaveState.FAILED
    disk.free()
    with qtbot.waitSignal(desk.saver.recovered, timeout=8000):
        desk.saver.retry()
    qtbot.waitUntil(lambda: desk.saver.state is SaveState.SAVED, timeout=8000)
    assert desk.stored("a.png").saved
    assert [path.name for path in (desk.folder / ".atrous/masks").iterdir()] == ["a.png.png"]


def test_an_unexpected_error_in_the_writer_is_reported(qtbot, desk, monkeypatch, caplog):
    def broken(*_):
        raise RuntimeError("a bug")

    desk.show("a.png")
    desk.draw(1)
    monkeypatch.setattr(app.state.saved_masks, "write_mask_file", broken)
    with qtbot.waitSignal(desk.saver.failed) as told:
        desk.saver.save_now()
    assert "a bug" in str(told.args[0])
    assert "a bug" in caplog.text
    monkeypatch.undo()
    desk.saver.flush()
    assert desk.saver.state is SaveState.SAVED
    assert desk.stored("a.png").saved


def test_undo_beyond_the_journals_bound_is_journaled_as_a_step(desk):
    image = desk.show("a.png")
    for seed in range(4):
        desk.draw(seed)
    desk.saver.flush()
    desk.project.journal.prune(0)
    for _ in range(4):
        desk.history.undo()
        assert same(desk.stored("a.png").document, desk.document)
    for _ in range(3):
        desk.history.redo()
        assert same(desk.stored("a.png").document, desk.document)
    assert desk.saver.state is SaveState.DIRTY
    assert desk.project.record(image).touched


def test_the_journal_is_kept_within_its_bound(qtbot, tmp_path):
    desk = Desk(make_folder(tmp_path / "photos", "a.png"), journal_bytes=5000)
    desk.show("a.png")
    for seed in range(30):
        desk.draw(seed)
    with qtbot.waitSignal(desk.saver.saved):
        desk.saver.save_now()
    assert desk.project.journal.nbytes() <= 5000
    desk.draw(99)
    assert same(desk.stored("a.png").document, desk.document)
    desk.close()


def test_starting_over_forgets_what_was_unsaved(desk):
    image = desk.show("a.png")
    desk.draw(1)
    desk.saver.save_now()
    desk.saver.forget(image)
    desk.history.forget(image)
    desk.project.start_over(image)
    desk.saver.flush()
    desk.show("a.png")
    assert (desk.document.labels == 255).all()
    desk.draw(2)
    assert same(desk.stored("a.png").document, desk.document)


def test_a_reopened_project_goes_on_undoing(qtbot, desk):
    desk.show("a.png")
    for seed in range(3):
        desk.draw(seed)
    desk.history.undo()
    painted = desk.document
    desk.saver.flush()
    desk.close()
    desk.__init__(desk.folder)
    desk.show("a.png")
    assert same(desk.document, painted)
    assert (desk.history.undo_text, desk.history.redo_text) == ("Brush 1", "Brush 2")
    for _ in range(2):
        desk.history.undo()
    assert (desk.document.labels == 255).all()
    assert same(desk.stored("a.png").document, desk.document)


def test_a_reader_saves_nothing_for_the_writer(qtbot, desk):
    image = desk.show("a.png")
    desk.draw(1)
    with Project.open(desk.folder) as project:
        loaded = project.load(image)
        assert not loaded.saved
        saver = Autosaver(project, idle_ms=5)
        told = []
        saver.failed.connect(told.append)
        saver.watch(image, loaded.document, saved=loaded.saved)
        saver.save_now()
        saver.flush()
        saver.stop()
    assert told == []
    assert saver.state is SaveState.SAVED


def test_the_log_of_the_database_is_folded_in_idle_time(qtbot, desk):
    desk.show("a.png")
    desk.draw(1)
    with qtbot.waitSignal(desk.saver.saved):
        desk.saver.save_now()
    desk.saver._writer.submit(lambda: None).result()
    (desk.folder / "copy.db").write_bytes((desk.folder / ".atrous/project.db").read_bytes())
    connection = sqlite3.connect(desk.folder / "copy.db")
    assert connection.execute("SELECT count(*) FROM steps").fetchone() == (1,)
    connection.close()


def test_the_mask_file_holds_no_half_stroke_and_esc_does_not_bring_one_back(qtbot, desk):
    """Ctrl+S and idle time with the pen down: what is on disk is the last step boundary, and taking the stroke back leaves it."""
    desk.show("a.png")
    desk.draw(1)
    document = desk.document
    boundary = document.labels.copy(), document.provenance.copy()
    stroke = StrokeSession(document, value=15, diameter=30)
    stroke.begin(40, 40)
    with qtbot.waitSignal(desk.saver.saved):
        desk.saver.save_now()
    assert desk.stored("a.png").saved
    for save in (desk.saver.save_now, desk.saver._save_idle, desk.saver.flush):
        stroke.extend([(60, 60), (90, 50)])
        save()
        found = desk.stored("a.png").document
        assert np.array_equal(found.labels, boundary[0])
        assert np.array_equal(found.provenance, boundary[1])
    stroke.abort()
    desk.saver.flush()
    assert same(desk.stored("a.png").document, document)
    assert np.array_equal(document.labels, boundary[0])
    assert desk.saver.state is SaveState.SAVED
    patch = paint(document, 5)
    desk.history.push("after", patch, Provenance.USER)
    desk.saver.flush()
    assert same(desk.stored("a.png").document, document)


def test_the_journal_is_on_the_disk_before_a_mask_that_contains_it(qtbot, desk, monkeypatch):
    """A power cut may take what was not flushed: the copy ends at a move that was flushed before the mask was written."""
    order = []
    real_sync, real_write = desk.project._store.sync, app.state.saved_masks.write_mask_file
    monkeypatch.setattr(desk.project._store, "sync", lambda: (order.append("sync"), real_sync())[1])

    def write(path, labels, provenance, catalog, note):
        order.append(("mask", note.move, labels.copy()))
        return real_write(path, labels, provenance, catalog, note)

    monkeypatch.setattr(app.state.saved_masks, "write_mask_file", write)
    image = desk.show("a.png")
    desk.draw(1)
    head, boundary = desk.project.journal.head(image), desk.document.labels.copy()
    gate = threading.Event()
    desk.saver._writer.submit(gate.wait)
    desk.saver.save_now()
    desk.draw(2)  # painted and recorded before the writer thread gets to its copy
    gate.set()
    qtbot.waitUntil(lambda: any(entry != "sync" for entry in order))
    place = next(place for place, entry in enumerate(order) if entry != "sync")
    assert "sync" in order[:place]
    assert order[place][1] == head
    assert np.array_equal(order[place][2], boundary)
    desk.saver.flush()
