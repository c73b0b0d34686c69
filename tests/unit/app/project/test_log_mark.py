"""The mark beside the database at every instant of a commit: what a lost log takes with it is said."""

import json
import os
import shutil
import zlib
from contextlib import closing

import pytest

from app.state.log_mark import INTERRUPTED, MOST_CHANGES, LogMark
from app.state.project import Project
from app.state.store import Store
from deeplab_core.errors import AtrousError
from tests.unit.app.folders import image_id, make_folder, stroke


@pytest.fixture
def folder(tmp_path):
    return make_folder(tmp_path / "photos", "a.png")


def database(folder):
    return folder / ".atrous" / "project.db"


@pytest.mark.parametrize("folded", [False, True])
def test_no_change_is_lost_without_a_word_at_any_instant_of_a_commit(folder, monkeypatch, folded):
    """Just before each write of the mark another thread flushes everything, and then the log is emptied."""
    copies = []
    write = LogMark._write

    def copied(mark):
        project.sync()
        copies.append(folder.with_name(f"copy {len(copies)}"))
        shutil.copytree(folder, copies[-1])
        write(mark)

    with Project.open(folder) as project:
        image = image_id(project, "a.png")
        document = project.load(image).document
        stroke(project, image, document, 1)
        if folded:
            project._store.checkpoint()
        monkeypatch.setattr(LogMark, "_write", copied)
        stroke(project, image, document, 2)
        monkeypatch.undo()
    committed = 0
    for copy in copies:
        emptied = copy.with_name(f"{copy.name}, emptied")
        shutil.copytree(copy, emptied)
        database(emptied).with_name("project.db-wal").write_bytes(b"")
        with Project.open(copy) as whole, Project.open(emptied) as cut:
            held, kept = (len(project.load(image).steps) for project in (whole, cut))
            assert held == kept or any("project.db-wal is missing or damaged" in notice for notice in cut.notices)
            assert all(str(INTERRUPTED) in notice for notice in whole.notices)
            assert not whole.notices or held == 1
            committed += held == 2
    assert committed


def test_a_change_that_was_being_committed_is_named(folder):
    with Project.open(folder) as project:
        image = image_id(project, "a.png")
        stroke(project, image, project.load(image).document, 1)
    mark = LogMark(database(folder).with_name("project.db-mark"))
    known = mark.read()
    mark.open(known.changes)
    mark.announce(known.changes + 1, "a.png")
    mark.close()
    with Project.open(folder) as project:
        (told,) = project.notices
        assert str(INTERRUPTED) in told
        assert "a.png (1 step)" in told
    with Project.open(folder) as project:
        assert project.notices == ()


def test_a_commit_that_fails_leaves_the_mark_as_it_was(folder):
    Project.open(folder).close()
    mark = LogMark(database(folder).with_name("project.db-mark"))
    with closing(Store(database(folder))) as store:
        store.write("INSERT INTO meta (key, value) VALUES ('one', '1')")
        before = mark.read()
        store.rows("PRAGMA defer_foreign_keys = ON")  # of the next transaction: its commit fails
        with pytest.raises(AtrousError):
            store.write("INSERT INTO moves (image, step, direction) VALUES (999, 1, 1)")
        after = mark.read()
        assert (after.changes, after.images, after.unconfirmed) == (before.changes, before.images, False)
        store.write("INSERT INTO meta (key, value) VALUES ('two', '2')")
        assert mark.read().changes == before.changes + 1


@pytest.mark.skipif(os.name != "posix", reason="limits of file sizes are POSIX")
def test_a_commit_that_the_disk_refuses_is_not_told_as_a_loss(folder, monkeypatch):
    import resource

    Project.open(folder).close()
    mark = LogMark(database(folder).with_name("project.db-mark"))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with closing(Store(database(folder))) as store:
        store.write("INSERT INTO meta (key, value) VALUES ('one', '1')")
        before, announced = mark.read(), []
        announce = LogMark.announce
        monkeypatch.setattr(LogMark, "announce", lambda *values: (announced.append(values), announce(*values)))
        largest = max(path.stat().st_size for path in database(folder).parent.iterdir() if path.is_file())
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, limits[1]))
        try:
            with pytest.raises(AtrousError):
                store.write("INSERT INTO meta (key, value) VALUES ('two', ?)", ("x" * largest,))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert announced  # it was the commit that failed
        after = mark.read()
        assert (after.changes, after.images, after.unconfirmed) == (before.changes, {}, False)
    with closing(Store(database(folder))) as store:
        assert store.lost is None


def write_mark(path, **values):
    text = json.dumps({"changes": 1, "when": 0.0, "images": {}, **values}).encode()
    path.write_bytes(((b"%08x " % zlib.crc32(text)) + text).ljust(4095) + b"\n")


@pytest.mark.parametrize(
    "values",
    [
        {"changes": 10**30},
        {"changes": 2**63 - 1},
        {"changes": MOST_CHANGES + 1},
        {"changes": -1},
        {"changes": float("inf")},
        {"when": 1e300},
        {"when": float("nan")},
        {"when": float("inf")},
        {"when": -1e300},
        {"images": {"a.png": 10**30}},
        {"images": {"a.png": -1}},
    ],
    ids=str,
)
def test_a_mark_with_impossible_numbers_says_nothing(folder, values):
    Project.open(folder).close()
    path = database(folder).with_name("project.db-mark")
    write_mark(path, changes=MOST_CHANGES - 1)
    assert LogMark(path).read().changes == MOST_CHANGES - 1  # the file is what the test says
    write_mark(path, **{"changes": 1000, **values})
    assert LogMark(path).read() is None
    with Project.open(folder) as project:
        assert project.notices == ()
        image = image_id(project, "a.png")
        stroke(project, image, project.load(image).document, 1)


@pytest.mark.parametrize("when", [0, 4e9, 32_503_679_999])
def test_the_highest_numbers_are_told_and_counted_on(folder, when):
    Project.open(folder).close()
    write_mark(database(folder).with_name("project.db-mark"), changes=MOST_CHANGES, when=when, images={"a.png": MOST_CHANGES})
    for told in (1, 0):
        with Project.open(folder) as project:
            assert len(project.notices) == told
            image = image_id(project, "a.png")
            stroke(project, image, project.load(image).document, 1 + told)


@pytest.mark.parametrize("count", ["9223372036854775807", "99999999999999999", "-9223372036854775808", "many"])
def test_a_count_that_no_project_reaches_stops_no_write(folder, count):
    Project.open(folder).close()
    with closing(Store(database(folder))) as store:
        store.write("INSERT OR REPLACE INTO meta (key, value) VALUES ('changes', ?)", (count,))
    for _ in range(2):
        with closing(Store(database(folder))) as store:
            assert store.lost is None
            store.write("INSERT OR REPLACE INTO meta (key, value) VALUES ('one', '1')")
