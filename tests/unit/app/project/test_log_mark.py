"""The mark beside the database at every instant of a commit: what a lost log takes with it is said."""

import shutil
from contextlib import closing

import pytest

from app.state.log_mark import INTERRUPTED, LogMark
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
