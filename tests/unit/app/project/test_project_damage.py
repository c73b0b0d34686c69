"""Databases that were emptied, cut, flipped, tampered with or made by a stranger: nothing is lost in silence, nothing hangs."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing

import numpy as np
import pytest

from app.state.image_record import ImageFlag, ImageStatus
from app.state.layout import sweep
from app.state.project import Project
from app.state.store import DamagedStore, RemovedStore, Store, set_database_aside
from deeplab_core.errors import ProjectError, StorageError
from tests.unit.app.folders import image_id, make_folder, paint, same, stroke


@pytest.fixture
def folder(tmp_path):
    return make_folder(tmp_path / "photos", "a.png", "b.png")


def work_on(folder, path, strokes=3, save=True):
    with Project.open(folder) as project:
        image = image_id(project, path)
        document = project.load(image).document
        for seed in range(strokes):
            stroke(project, image, document, seed)
        if save:
            project.save_mask(image, document.labels, document.provenance, project.journal.head(image))
    return document


def database(folder):
    return folder / ".atrous" / "project.db"


def change(folder, *statements):
    with closing(sqlite3.connect(database(folder))) as connection:
        for sql, *values in statements:
            connection.execute(sql, values)
        connection.commit()


def killed(folder, script):
    """Run a script that works on the project and then dies by SIGKILL: the log stays as it is."""
    prelude = (
        "import os, signal\nfrom app.state.project import Project\nfrom tests.unit.app.folders import *\n"
        f"project = Project.open({str(folder)!r})\n"
        "a, b = image_id(project, 'a.png'), image_id(project, 'b.png')\ndocument = project.load(a).document\n"
    )
    done = subprocess.run([sys.executable, "-c", f"{prelude}{script}\nos.kill(os.getpid(), signal.SIGKILL)"], check=False)
    assert done.returncode == -signal.SIGKILL


# -- a lost database beside masks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["emptied", "missing", "only our tables"])
def test_a_lost_database_adopts_the_masks_beside_it(folder, how):
    document = work_on(folder, "a.png")
    if how == "only our tables":
        change(folder, ("DELETE FROM moves",), ("DELETE FROM steps",), ("DELETE FROM images",), ("DELETE FROM sqlite_sequence",))
    else:
        for path in (folder / ".atrous").glob("project.db*"):
            path.unlink()
        if how == "emptied":
            database(folder).touch()
    with Project.open(folder) as project:
        image = image_id(project, "a.png")
        assert any("taken up again" in notice for notice in project.notices)
        assert any("with statuses, undo steps and strokes that no mask holds" in notice for notice in project.notices)
        loaded = project.load(image)
        assert same(loaded.document, document)
        assert project.record(image).touched
        stroke(project, image, loaded.document, 40)
        project.save_mask(image, loaded.document.labels, loaded.document.provenance, project.journal.head(image))
    with Project.open(folder) as project:
        assert same(project.load(image).document, loaded.document)


def test_an_empty_database_that_is_opened_to_read_says_what_to_do(folder):
    work_on(folder, "a.png")
    for path in (folder / ".atrous").glob("project.db*"):
        path.unlink()
    database(folder).touch()
    with pytest.raises(ProjectError, match="Open the folder for editing"):
        Project.open(folder, read_only=True)


def test_a_mask_that_an_older_copy_of_the_database_has_not_seen_is_taken_up(folder, tmp_path):
    work_on(folder, "a.png")
    shutil.copy(database(folder), tmp_path / "old.db")
    document = work_on(folder, "b.png")
    for path in (folder / ".atrous").glob("project.db*"):
        path.unlink()
    shutil.copy(tmp_path / "old.db", database(folder))
    with Project.open(folder) as project:
        assert same(project.load(image_id(project, "b.png")).document, document)


def test_a_mask_that_start_over_left_behind_in_a_crash_is_not_taken_up(folder):
    work_on(folder, "a.png")
    change(folder, ("DELETE FROM moves",), ("DELETE FROM steps",), ("UPDATE images SET mask = '', mask_move = 0, status = 0",))
    with Project.open(folder) as project:
        assert not project.record(image_id(project, "a.png")).touched
        assert project.notices == ()


# -- the log -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["missing", "emptied", "cut", "flipped"])
def test_a_lost_end_of_the_log_is_said_by_name(folder, how):
    document = work_on(folder, "a.png", strokes=1)
    killed(folder, "for seed in range(5, 8): stroke(project, a, document, seed)\nproject.sync()")
    log = database(folder).with_name("project.db-wal")
    content = log.read_bytes()
    assert content
    (folder / ".atrous" / "project.db-shm").unlink(missing_ok=True)
    if how == "missing":
        log.unlink()
    else:
        changed = {"emptied": b"", "cut": content[: len(content) // 2], "flipped": content[:2000] + b"\xff" * 90 + content[2090:]}
        log.write_bytes(changed[how])
    with Project.open(folder, read_only=True) as project:
        assert any("project.db-wal is missing or damaged" in notice for notice in project.notices)
    with Project.open(folder) as project:
        (told,) = [notice for notice in project.notices if "project.db-wal is missing or damaged" in notice]
        assert "a.png (3 steps)" in told
        image = image_id(project, "a.png")
        if how == "missing":
            assert same(project.load(image).document, document)
    with Project.open(folder) as project:
        assert project.notices == ()


def test_an_export_says_what_its_project_lacks(folder, tmp_path):
    from click.testing import CliRunner

    from app.cli.export import export

    work_on(folder, "a.png", strokes=1)
    killed(folder, "stroke(project, a, document, 5)")
    for suffix in ("-wal", "-shm"):
        database(folder).with_name(f"project.db{suffix}").unlink(missing_ok=True)
    done = CliRunner().invoke(export, [str(folder), "-o", str(tmp_path / "out"), "--scope", "touched"])
    assert done.exit_code == 0, done.output
    assert "The last 1 change is not in the database" in done.output


def test_a_log_that_a_read_only_disk_hides_is_said(folder, monkeypatch):
    """SQLite cannot make the log's index there and reads the plain file alone."""
    from app.state import store

    work_on(folder, "a.png", strokes=1)
    killed(folder, "stroke(project, a, document, 5)")
    real = store.be_careful

    def on_a_disc(connection, patience):
        real(connection, patience)
        if not seen:  # the one with the log's index
            connection.set_authorizer(lambda *_: sqlite3.SQLITE_DENY)
        seen.append(connection)

    seen = []
    monkeypatch.setattr(store, "be_careful", on_a_disc)
    with Project.open(folder, read_only=True) as project:
        assert any("project.db-wal, which cannot be read" in notice for notice in project.repairs)
        assert len(project.load(image_id(project, "a.png")).steps) == 1


def test_a_whole_log_says_nothing(folder):
    work_on(folder, "a.png", strokes=1)
    killed(folder, "for seed in range(5, 8): stroke(project, a, document, seed)")
    with Project.open(folder) as project:
        assert project.notices == ()
        assert len(project.load(image_id(project, "a.png")).steps) == 4


def test_a_copy_of_the_plain_file_alone_is_complete_after_idle_time(folder, tmp_path):
    with Project.open(folder) as project:
        image = image_id(project, "a.png")
        document = project.load(image).document
        for seed in range(3):
            stroke(project, image, document, seed)
        project.tidy(10**9)
        assert database(folder).with_name("project.db-wal").stat().st_size == 0
        shutil.copytree(folder, tmp_path / "copy", ignore=shutil.ignore_patterns("*-wal", "*-shm"))
    with Project.open(tmp_path / "copy") as project:
        assert project.notices == ()
        assert same(project.load(image_id(project, "a.png")).document, document)


# -- damaged rows --------------------------------------------------------------------------------------------------------

ROWS = {
    "settings": ("UPDATE meta SET value = '{' WHERE key = 'catalog'",),
    "deep settings": ("UPDATE meta SET value = ? WHERE key = 'catalog'", "[" * 100_000),
    "a catalog that is a number": ("UPDATE meta SET value = '7' WHERE key = 'catalog'",),
    "a catalog without classes": ("UPDATE meta SET value = '{}' WHERE key = 'catalog'",),
    "text as status": ("UPDATE images SET status = 'x' WHERE path = 'b.png'",),
    "a status below 0": ("UPDATE images SET status = -4 WHERE path = 'b.png'",),
    "text as size": ("UPDATE images SET size = 'x' WHERE path = 'b.png'",),
    "a number as note": ("UPDATE images SET note = x'00ff' WHERE path = 'b.png'",),
    "text that is not UTF-8": ("UPDATE images SET note = CAST(x'ff' AS TEXT) WHERE path = 'b.png'",),
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
def test_a_damaged_row_costs_no_other(folder, row):
    document = work_on(folder, "a.png")
    with Project.open(folder) as project:
        project.set_status(image_id(project, "a.png"), ImageStatus.REVIEWED)
        project.set_setting("view", {"opacity": 0.5})
    change(folder, row)
    with pytest.raises(ProjectError):
        Project.open(folder, read_only=True)
    with Project.open(folder) as project:
        assert any("set aside as project.db.damaged-" in notice for notice in project.notices)
        image = image_id(project, "a.png")
        loaded = project.load(image)
        assert same(loaded.document, document)
        assert len(loaded.steps) == 3
        assert project.record(image).status is ImageStatus.REVIEWED
        assert project.setting("view") == {"opacity": 0.5}
        image_id(project, "b.png")
    with Project.open(folder) as project:
        assert project.notices == ()


@pytest.mark.parametrize(
    ("row", "kept"),
    [
        (("UPDATE steps SET patch = x'00' WHERE seq = 2",), 1),
        (("UPDATE steps SET source = 77 WHERE seq = 3",), 2),
        (("UPDATE moves SET direction = 'x' WHERE n = 1",), 0),
        (("DELETE FROM steps WHERE seq = 2",), 1),
    ],
)
@pytest.mark.parametrize("saved", [True, False])
def test_damaged_steps_cost_only_what_depends_on_them(folder, row, kept, saved):
    """With a mask the labels are whole and only undo steps go; without one they are as they were before the damage."""
    states = []
    with Project.open(folder) as project:
        image, other = image_id(project, "a.png"), image_id(project, "b.png")
        document, second = project.load(image).document, project.load(other).document
        states.append(document.labels.copy())
        for seed in range(3):
            stroke(project, image, document, seed)
            states.append(document.labels.copy())
        if saved:
            project.save_mask(image, document.labels, document.provenance, project.journal.head(image))
        stroke(project, other, second, 9)
    change(folder, row, ("UPDATE meta SET value = '{' WHERE key = 'folder'",))
    with Project.open(folder) as project:
        assert any("a.png" in notice for notice in project.notices)
        image, other = image_id(project, "a.png"), image_id(project, "b.png")
        assert same(project.load(other).document, second)
        assert len(project.load(other).steps) == 1
        loaded = project.load(image)
        assert np.array_equal(loaded.document.labels, states[3] if saved else states[kept])
        assert (ImageFlag.DAMAGED in project.record(image).flags) == (not saved)
        assert len(loaded.steps) == (3 - kept - 1 if saved else kept)
        stroke(project, image, loaded.document, 20)
        assert same(project.load(image).document, loaded.document)


def test_a_status_and_a_flag_of_a_later_version_are_kept(folder):
    document = work_on(folder, "a.png")
    change(folder, ("UPDATE images SET status = 9, flags = 1024 WHERE path = 'a.png'",))
    with Project.open(folder) as project:
        image = image_id(project, "a.png")
        (said,) = project.notices
        assert said == project.later[0]
        assert "1 image has a status of a later version of Atrous (9). It is kept and shown as edited" in said
        assert "a.png" in said
        assert project.repairs == ()
        assert project.record(image).touched
        assert project.record(image).status is not ImageStatus.REVIEWED
        assert same(project.load(image).document, document)
        project.set_failed(image, "why")
        project.set_failed(image, "")
        stroke(project, image, document, 8)
    with closing(sqlite3.connect(database(folder))) as connection:
        assert connection.execute("SELECT status, flags FROM images WHERE path = 'a.png'").fetchone() == (9, 1024)


@pytest.mark.parametrize("table", ["images", "steps", "moves", "meta", "results"])
def test_damaged_pages_cost_only_the_rows_on_them(tmp_path, table):
    """A page of one table is overwritten: everything on other pages is saved, and what is lost is said."""
    folder = make_folder(tmp_path / "photos", *(f"{number:03d}.png" for number in range(30)))
    documents = {}
    with Project.open(folder) as project:
        for record in list(project.images):
            document = project.load(record.id).document
            for seed in range(2):
                stroke(project, record.id, document, seed)
            project.put_result(record.id, "score", "x", bytes(500))
            documents[record.relative_path] = document
        project.set_setting("view", 5)
    with closing(sqlite3.connect(database(folder))) as connection:
        page = (
            connection.execute(
                "SELECT pageno FROM dbstat WHERE name = ? AND pagetype = 'leaf' ORDER BY pageno DESC LIMIT 1", (table,)
            ).fetchone()
            if _has_dbstat(connection)
            else connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()
        )
    data = bytearray(database(folder).read_bytes())
    data[(page[0] - 1) * 4096 : page[0] * 4096] = os.urandom(4096)
    database(folder).write_bytes(data)
    for _ in range(2):
        with Project.open(folder) as project:
            try:
                whole = [path for path, document in documents.items() if _labels_are(project, path, document)]
            except DamagedStore:
                continue  # noted: the next opening sets the file aside
        break
    said = " ".join(project.notices)
    assert "set aside" in said or table == "results"
    if table in ("meta", "results"):
        assert len(whole) == 30
    elif table == "steps":
        assert 0 < len(whole) < 30
    if len(whole) < 30:
        assert "Not all of it could be read" in said


def _labels_are(project, path, document):
    found = [record.id for record in project.images if record.relative_path == path]
    return bool(found) and same(project.load(found[0]).document, document)


def _has_dbstat(connection):
    try:
        connection.execute("SELECT 1 FROM dbstat LIMIT 1")
    except sqlite3.Error:
        return False
    return True


def test_a_row_with_a_path_out_of_the_folder_is_not_followed(folder, tmp_path):
    document = work_on(folder, "a.png")
    (tmp_path / "secret.png").write_bytes((folder / "b.png").read_bytes())
    values = ("../secret.png", 5, 1, 2)
    change(folder, ("INSERT INTO images (path, size, mtime_ns, status) VALUES (?, ?, ?, ?)", *values))
    with Project.open(folder) as project:
        assert any("set aside as project.db.damaged-" in notice for notice in project.notices)
        assert [record.relative_path for record in project.images] == ["a.png", "b.png"]
        assert same(project.load(image_id(project, "a.png")).document, document)


def test_moves_keep_their_numbers_after_a_rebuild(folder):
    """A mask holds move 3 and the journal was bounded: a stroke after the rebuild must not get a number below it."""
    work_on(folder, "a.png")
    with Project.open(folder) as project:
        assert project.journal.prune(0) == 3
    change(folder, ("UPDATE meta SET value = '{' WHERE key = 'folder'",))
    with Project.open(folder) as project:
        image = image_id(project, "a.png")
        document = project.load(image).document
        stroke(project, image, document, 50)
        assert same(project.load(image).document, document)
    with Project.open(folder) as project:
        assert same(project.load(image).document, document)


# -- databases of strangers ----------------------------------------------------------------------------------------------

TAMPERED = {
    "an endless view": (
        ("ALTER TABLE images RENAME TO hidden",),
        (
            "CREATE VIEW images AS WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i AS id, 'x' || i AS"
            " path, 1 AS size, 1 AS mtime_ns, '' AS content_key, 0 AS status, 0 AS flags, '' AS note, '' AS mask,"
            " 0 AS mask_move, 0 AS journal_base, '' AS prediction FROM n",
        ),
    ),
    "a trigger": (("CREATE TRIGGER t AFTER INSERT ON moves BEGIN DELETE FROM steps; END",),),
    "a table of its own": (("CREATE TABLE notes (text)",),),
    "a column more": (("ALTER TABLE images ADD COLUMN extra TEXT",),),
    "a missing index": (("DROP INDEX moves_of_step",),),
}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("statements", TAMPERED.values(), ids=TAMPERED.keys())
def test_a_changed_schema_is_set_aside_and_what_is_ours_is_kept(folder, statements):
    document = work_on(folder, "a.png")
    change(folder, *statements)
    with Project.open(folder) as project:
        assert any("set aside as project.db.damaged-" in notice for notice in project.notices)
        image = image_id(project, "a.png")
        loaded = project.load(image)
        assert same(loaded.document, document)
        stroke(project, image, loaded.document, 9)
        assert same(project.load(image).document, loaded.document)
    with closing(sqlite3.connect(database(folder))) as connection:
        names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type IN ('view', 'trigger')")}
    assert names == set()


@pytest.mark.timeout(120)
def test_an_endless_view_does_not_stop_a_reader(folder):
    work_on(folder, "a.png")
    change(folder, *TAMPERED["an endless view"])
    with pytest.raises(ProjectError, match="table images is missing or changed"):
        Project.open(folder, read_only=True)


@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
def test_a_foreign_database_is_not_touched(folder, mode):
    """Refused before anything is written: not even its journal mode changes."""
    (folder / ".atrous").mkdir()
    with closing(sqlite3.connect(database(folder))) as connection:
        connection.execute(f"PRAGMA journal_mode = {mode}")
        connection.execute("CREATE TABLE recipes (name TEXT)")
        connection.commit()
    before = database(folder).read_bytes()
    with pytest.raises(ProjectError, match="not a project of Atrous"):
        Project.open(folder)
    assert database(folder).read_bytes() == before
    assert not database(folder).with_name("project.db-wal").exists()


def test_a_newer_database_is_not_touched(folder):
    work_on(folder, "a.png")
    change(folder, ("PRAGMA user_version = 99",), ("CREATE TABLE later (x)",))
    before = database(folder).read_bytes()
    with pytest.raises(ProjectError, match="newer version"):
        Project.open(folder)
    assert database(folder).read_bytes() == before


def test_a_statement_that_never_ends_is_ended(tmp_path):
    store = Store(tmp_path / "project.db")
    endless = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    with pytest.raises(DamagedStore, match="more rows"):
        store.rows(endless)
    with pytest.raises(DamagedStore), store.reader() as connection:
        connection.execute(endless).fetchall()
    assert store.row("SELECT 1") == (1,)
    store.close()


LINKS = ["lock", ".gitignore", "project.db", "project.db-wal", "project.db-mark", "masks", "predictions", "backups", "models"]


@pytest.mark.parametrize("name", LINKS)
@pytest.mark.parametrize("there", [True, False], ids=["to something", "to nothing"])
def test_nothing_is_written_through_a_link(folder, tmp_path, name, there):
    victim = tmp_path / "victim"
    if there:
        if name in ("masks", "predictions", "backups", "models"):
            victim.mkdir()
        else:
            victim.write_text("my thesis")
    (folder / ".atrous").mkdir()
    (folder / ".atrous" / name).symlink_to(victim)
    if name == ".gitignore":
        Project.open(folder).close()
    else:
        with pytest.raises(ProjectError, match=f"{name} is a link"):
            Project.open(folder)
        with pytest.raises(ProjectError):
            Project.open(folder, read_only=True)
    assert os.path.lexists(victim) == there
    if there:
        assert list(victim.iterdir()) == [] if victim.is_dir() else victim.read_text() == "my thesis"


def test_a_project_directory_that_is_a_link_is_refused_unless_the_user_names_it(folder, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (folder / ".atrous").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ProjectError, match="--project DIR"):
        Project.open(folder)
    assert list((tmp_path / "elsewhere").iterdir()) == []
    Project.open(folder, folder / ".atrous").close()


def test_a_lock_that_holds_something_else_keeps_it(folder, tmp_path):
    victim = tmp_path / "thesis.txt"
    victim.write_text("chapter 1")
    (folder / ".atrous").mkdir()
    os.link(victim, folder / ".atrous" / "lock")
    with Project.open(folder) as project:
        assert not project.read_only
        with Project.open(folder) as second:
            assert second.read_only
    assert victim.read_text() == "chapter 1"


@pytest.mark.timeout(60)
def test_a_pipe_in_the_place_of_a_file_does_not_stop_the_program(folder):
    (folder / ".atrous").mkdir()
    os.mkfifo(folder / ".atrous" / "lock")
    with pytest.raises(ProjectError, match="lock is not a file"):
        Project.open(folder)


def test_masks_that_are_links_are_not_taken_up(folder, tmp_path):
    work_on(folder, "a.png")
    mask = folder / ".atrous/masks/a.png.png"
    mask.rename(tmp_path / "outside.png")
    mask.symlink_to(tmp_path / "outside.png")
    for path in (folder / ".atrous").glob("project.db*"):
        path.unlink()
    with Project.open(folder) as project:
        assert not project.record(image_id(project, "a.png")).mask


# -- a project that goes away under the open window ----------------------------------------------------------------------


def remove(folder, how):
    project = folder / ".atrous"
    if how == "the database":
        (project / "project.db").unlink()
    elif how == "its log":
        (project / "project.db-wal").unlink()
    elif how == "the folder":
        shutil.rmtree(project)
    elif how == "replaced":
        shutil.copy(project / "project.db", project / "copy").replace(project / "project.db")
    else:
        shutil.rmtree(project)
        Project.open(folder).close()


@pytest.mark.parametrize("how", ["the database", "its log", "the folder", "replaced", "another project"])
def test_a_project_that_is_removed_while_it_is_open_is_noticed_and_written_again(folder, how):
    with Project.open(folder) as project:
        image, other = image_id(project, "a.png"), image_id(project, "b.png")
        document, second = project.load(image).document, project.load(other).document
        for seed in range(3):
            stroke(project, image, document, seed)
        stroke(project, other, second, 7)
        project.set_status(other, ImageStatus.REVIEWED)
        project.set_setting("view", 5)
        remove(folder, how)
        before = sorted(path.name for path in (folder / ".atrous").glob("*"))
        for act in (
            project.sync,
            lambda: project.tidy(10**9),
            lambda: project.append_step(image, "x", 3, project.load(image).steps[0].patch),
            lambda: project.save_mask(image, document.labels, document.provenance, 3),
            lambda: project.set_setting("view", 6),
        ):
            with pytest.raises(RemovedStore, match="removed or replaced while it was open"):
                act()
        assert sorted(path.name for path in (folder / ".atrous").glob("*")) == before
        project.write_again()
        stroke(project, image, document, 5)
        project.save_mask(image, document.labels, document.provenance, project.journal.head(image))
        project.sync()
        with Project.open(folder) as second_window:
            assert second_window.read_only
    with Project.open(folder) as project:
        assert not any("missing" in notice for notice in project.notices)
        assert same(project.load(image).document, document)
        assert len(project.load(image).steps) == 4
        assert same(project.load(other).document, second)
        assert project.record(other).status is ImageStatus.REVIEWED
        assert project.setting("view") == 5
    asides = list((folder / ".atrous").glob("project.db.replaced-*"))
    assert bool(asides) == (how in ("replaced", "another project", "its log"))


@pytest.mark.parametrize("how", ["the database is emptied", "the database is cut", "the log is emptied"])
@pytest.mark.parametrize("copied", [True, False], ids=["with a daily copy", "without"])
def test_a_database_that_is_cut_while_it_is_open_is_written_again_from_memory_and_copy(folder, how, copied):
    """What is held cannot be read any more, but documents, records, masks and the daily copy are there."""
    with Project.open(folder) as project:
        image, other = image_id(project, "a.png"), image_id(project, "b.png")
        document, second = project.load(image).document, project.load(other).document
        stroke(project, other, second, 7)
        project.save_mask(other, second.labels, second.provenance, project.journal.head(other))
        for seed in range(3):
            stroke(project, image, document, seed)
        project.set_status(other, ImageStatus.REVIEWED)
        project.tidy(10**9) if copied else project._store.checkpoint()
        stroke(project, image, document, 3)
        path = database(folder) if "database" in how else database(folder).with_name("project.db-wal")
        os.truncate(path, 5000 if how == "the database is cut" else 0)
        with pytest.raises(RemovedStore):
            project.append_step(image, "x", 3, paint(document, 60))
        assert project.write_again(in_memory=[image]) == ()
        project.save_mask(image, document.labels, document.provenance, project.journal.head(image))
        after = stroke(project, image, document, 61)
    with Project.open(folder) as project:
        assert same(project.load(image).document, document)
        assert after in [step.seq for step in project.load(image).steps]
        assert same(project.load(other).document, second)
        assert project.record(other).status is ImageStatus.REVIEWED
        if copied:
            assert len(project.load(other).steps) == 1
    assert list((folder / ".atrous").glob("project.db.replaced-*"))


def test_masks_that_nothing_can_rebuild_are_named_when_a_project_is_written_again(folder):
    """The journal of a.png was bounded and its mask went with the folder; b.png is rebuilt from its journal."""
    work_on(folder, "a.png")
    with Project.open(folder) as project:
        assert project.journal.prune(0) == 3
    other = work_on(folder, "b.png")
    with Project.open(folder) as project:
        shutil.rmtree(folder / ".atrous")
        assert project.write_again() == ("a.png",)
        assert same(project.load(image_id(project, "b.png")).document, other)
        with pytest.raises(ProjectError):
            project.load(image_id(project, "a.png"))


def test_on_a_network_folder_the_same_holds_without_a_log(folder, monkeypatch):
    monkeypatch.setattr("app.state.store.on_network", lambda _path: True)
    with Project.open(folder) as project:
        image = image_id(project, "a.png")
        document = project.load(image).document
        stroke(project, image, document, 1)
        project.upkeep()
        assert not (folder / ".atrous/project.db-wal").exists()
        shutil.rmtree(folder / ".atrous")
        with pytest.raises(RemovedStore):
            project.sync()
        with pytest.raises(RemovedStore):
            project.set_setting("view", 1)
        project.write_again()
        stroke(project, image, document, 2)
    with Project.open(folder) as project:
        assert project.notices == ()
        assert same(project.load(image).document, document)
        assert len(project.load(image).steps) == 2


def test_a_project_that_another_window_made_in_its_place_is_not_overwritten(folder):
    with Project.open(folder) as project:
        shutil.rmtree(folder / ".atrous")
        with Project.open(folder) as other:
            assert not other.read_only
            with pytest.raises(ProjectError, match="another window"):
                project.write_again()
            other.set_setting("view", 1)
        project.write_again()
        assert project.setting("view") is None


# -- what is left behind -------------------------------------------------------------------------------------------------


def test_temporary_files_of_killed_programs_are_swept_after_a_day(folder, tmp_path):
    work_on(folder, "a.png")
    project = folder / ".atrous"
    old, new = f".atrous-{'0a' * 8}.tmp", f".atrous-{'0b' * 8}.tmp"
    (project / "predictions/ab").mkdir(parents=True)
    victims = [project / old, project / "masks" / old, project / "predictions/ab" / old]
    others = [project / new, folder / old, project / "masks/.atrous-mine.tmp", project / "masks/x.tmp"]
    for path in (*victims, *others):
        path.touch()
    for path in (*victims, folder / old, others[2]):
        os.utime(path, (1, 1))
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / old).touch()
    os.utime(tmp_path / "outside" / old, (1, 1))
    (project / "masks/link").symlink_to(tmp_path / "outside")
    assert sweep(project) == len(victims)
    assert not any(path.exists() for path in victims)
    assert all(path.exists() for path in (*others, tmp_path / "outside" / old))


@pytest.mark.parametrize("said", ["database or disk is full", "disk I/O error"])
def test_a_full_disk_is_reported_and_leaves_no_empty_project(folder, monkeypatch, said):
    """SQLite names the second if there is no room for the index of the log."""

    def full(*_args, **_kwargs):
        error = sqlite3.OperationalError(said)
        error.sqlite_errorcode = sqlite3.SQLITE_FULL if "full" in said else sqlite3.SQLITE_IOERR_SHMSIZE
        raise error

    monkeypatch.setattr("app.state.store.Store._migrate", full)
    monkeypatch.setattr("app.state.careful.shutil.disk_usage", lambda _path: shutil._ntuple_diskusage(10**9, 10**9, 4096))
    with pytest.raises(StorageError, match="Free some space") as caught:
        Project.open(folder)
    assert "writable" not in str(caught.value)
    assert not (folder / ".atrous").exists()


def test_a_project_on_a_disk_that_filled_up_is_opened_to_look_at(folder, monkeypatch):
    document = work_on(folder, "a.png")

    def full(*_args, **_kwargs):
        raise StorageError("the project cannot be saved", why="The disk is full")

    monkeypatch.setattr("app.state.record_list.reconcile", full)
    with Project.open(folder) as project:
        assert project.read_only_reason == "The project cannot be written here. The disk is full"
        assert same(project.load(image_id(project, "a.png")).document, document)


def test_a_database_is_set_aside_with_the_files_beside_it(tmp_path):
    for suffix in ("", "-wal", "-mark"):
        (tmp_path / f"project.db{suffix}").write_text(suffix)
    aside = set_database_aside(tmp_path / "project.db", "damaged")
    assert sorted(path.name for path in tmp_path.iterdir()) == [aside.name, f"{aside.name}-mark", f"{aside.name}-wal"]


def test_the_mark_survives_nonsense(folder):
    work_on(folder, "a.png")
    mark = folder / ".atrous/project.db-mark"
    for nonsense in (b"", b"zz", b"\0" * 5000, b"[" * 5000, json.dumps({"changes": 1}).encode()):
        mark.write_bytes(nonsense)
        with Project.open(folder) as project:
            assert project.notices == ()


# -- every column, every wrong kind --------------------------------------------------------------------------------------

COLUMNS = {
    "images": (
        "path", "size", "mtime_ns", "content_key", "status", "flags", "note", "mask", "mask_move", "journal_base", "prediction",
    ),
    "steps": ("image", "title", "source", "time", "pixels", "bytes", "state", "patch"),
    "moves": ("image", "step", "direction"),
    "meta": ("value",),
    "runs": ("title", "card_id", "options", "started", "finished"),
    "run_items": ("state", "note"),
    "results": ("kind", "key", "data"),
}  # fmt: skip


@pytest.fixture(scope="module")
def busy(tmp_path_factory):
    """A project with something in every table."""
    folder = make_folder(tmp_path_factory.mktemp("busy") / "photos", "a.png", "b.png")
    for path in ("a.png", "b.png"):
        work_on(folder, path)
    with Project.open(folder) as project:
        ids = [record.id for record in project.images]
        project.runs.start("Predict", "card", "{}", ids)
        for image in ids:
            project.put_result(image, "score", "x", b"1")
        project.set_setting("view", 1)
    return folder


@pytest.mark.parametrize("value", ["'x'", "-7", "CAST(x'ff' AS TEXT)"])
@pytest.mark.parametrize(("table", "column"), [(table, column) for table, columns in COLUMNS.items() for column in columns])
def test_no_value_in_any_column_stops_the_program(busy, tmp_path, table, column, value):
    """The folder opens, at the second attempt at the latest, and the image with sound rows is whole."""
    folder = shutil.copytree(busy, tmp_path / "copy")
    first = {"images": "path = 'a.png'", "meta": "key = 'view'"}.get(table, "rowid = 1" if table != "run_items" else "image = 1")
    with closing(sqlite3.connect(database(folder))) as connection:
        connection.execute(f"UPDATE {table} SET {column} = {value} WHERE {first}")
        connection.commit()
    for attempt in range(2):
        with Project.open(folder) as project:
            try:
                for record in list(project.images):
                    try:
                        loaded = project.load(record.id)
                    except DamagedStore:
                        raise
                    except ProjectError:
                        assert record.relative_path != "b.png"
                        continue
                    if record.relative_path == "b.png":
                        assert len(loaded.steps) == 3
                        assert loaded.document.provenance.any()
                run = project.runs.unfinished()
                if run is not None:
                    project.runs.waiting(run.id)
                    project.runs.failures(run.id)
                project.results("score")
                project.setting("view")
                project.upkeep()
            except DamagedStore:
                assert attempt == 0
                continue
            break


@pytest.mark.parametrize("value", ["9e999", "-9e999", "'text'", "x'ff'", "1.5"])
@pytest.mark.parametrize("column", ["pixels", "source", "time", "title", "bytes"])
def test_a_strange_value_of_a_step_costs_that_step_only(folder, column, value):
    document = work_on(folder, "a.png")
    with closing(sqlite3.connect(database(folder))) as connection:
        connection.execute(f"UPDATE steps SET {column} = {value} WHERE seq = (SELECT min(seq) FROM steps)")
        connection.commit()
    with Project.open(folder) as project:
        loaded = project.load(image_id(project, "a.png"))
        assert loaded.notice or same(loaded.document, document)
