"""Daily copies of a project's database, and putting one back."""

import shutil
import sqlite3
import threading
from contextlib import closing

import pytest
from click.testing import CliRunner

from app.cli.project import project as command
from app.state import backups
from app.state.backups import list_backups, restore
from app.state.image_record import ImageStatus
from app.state.layout import backup_names
from app.state.project import Project
from deeplab_core.errors import ProjectError, ProjectLocked, StorageError
from tests.unit.app.folders import image_id, make_folder, same, stroke


@pytest.fixture
def folder(tmp_path):
    return make_folder(tmp_path / "photos", "a.png", "b.png")


@pytest.fixture
def day(monkeypatch):
    """Sets the date."""

    def choose(number):
        monkeypatch.setattr(backups, "_today", lambda: f"2026-11-{number:02}")

    choose(1)
    return choose


def work_on(folder, path, strokes=2, save=True):
    with Project.open(folder) as project:
        image = image_id(project, path)
        document = project.load(image).document
        for seed in range(strokes):
            stroke(project, image, document, seed)
        if save:
            project.save_mask(image, document.labels, document.provenance, project.journal.head(image))
        project.upkeep()
    return document


def test_one_copy_a_day_and_seven_are_kept(folder, day):
    for number in range(1, 11):
        day(number)
        work_on(folder, "a.png")
        work_on(folder, "b.png")
    assert backup_names(folder / ".atrous") == [f"project-2026-11-{number:02}.db" for number in range(10, 3, -1)]
    assert sorted(path.name for path in (folder / ".atrous/backups").iterdir()) == sorted(backup_names(folder / ".atrous"))


def test_days_without_a_change_make_no_copy(folder, day):
    work_on(folder, "a.png")
    for number in (2, 3):
        day(number)
        with Project.open(folder) as project:
            project.upkeep()
    assert backup_names(folder / ".atrous") == ["project-2026-11-01.db"]


def test_a_window_that_stays_open_over_midnight_copies_in_idle_time(folder, day):
    with Project.open(folder) as project:
        project.upkeep()
        day(2)
        project.set_setting("view", 1)
        project.tidy(10**9)
        project.tidy(10**9)
    assert backup_names(folder / ".atrous") == ["project-2026-11-02.db", "project-2026-11-01.db"]


def test_a_reader_makes_no_copy(folder, day):
    Project.open(folder).close()
    with Project.open(folder, read_only=True) as project:
        project.upkeep()
    assert not (folder / ".atrous/backups").exists()


def test_a_copy_holds_what_only_the_log_holds_and_does_not_stop_strokes(folder, day):
    with Project.open(folder) as project:
        image = image_id(project, "a.png")
        document = project.load(image).document
        stroke(project, image, document, 1)
        worker = threading.Thread(target=project.upkeep)
        worker.start()
        for seed in range(2, 6):
            stroke(project, image, document, seed)
        worker.join()
    (found,) = list_backups(folder / ".atrous")
    assert found.problem == ""
    assert found.images == 2
    assert 1 <= found.steps <= 5
    assert found.worked_on == 1


def damage_an_index(folder):
    """Damage that no opening meets: in the index over the moves of a step."""
    database = folder / ".atrous/project.db"
    with closing(sqlite3.connect(database)) as connection:
        (root,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'moves_of_step'").fetchone()
    content = bytearray(database.read_bytes())
    content[(root - 1) * 4096 : (root - 1) * 4096 + 64] = bytes(64)
    database.write_bytes(content)


def test_a_damaged_database_never_becomes_a_copy_and_is_rebuilt_next_time(folder, day):
    document = work_on(folder, "a.png", strokes=3)
    damage_an_index(folder)
    day(2)
    with Project.open(folder) as project, pytest.raises(ProjectError, match="damaged"):
        project.upkeep()
    assert backup_names(folder / ".atrous") == ["project-2026-11-01.db"]
    with Project.open(folder) as project:
        assert any("nothing is lost" in notice for notice in project.notices)
        assert same(project.load(image_id(project, "a.png")).document, document)
        assert len(project.load(image_id(project, "a.png")).steps) == 3


def test_damage_is_found_on_a_day_that_has_its_copy(folder, day):
    work_on(folder, "a.png", strokes=3)
    damage_an_index(folder)
    with Project.open(folder) as project, pytest.raises(ProjectError, match="damaged"):
        project.upkeep()


def test_a_full_disk_is_said_and_idle_time_goes_on(folder, day, monkeypatch):
    with Project.open(folder) as project:
        monkeypatch.setattr(backups.shutil, "disk_usage", lambda _path: shutil._ntuple_diskusage(1, 1, 1000))
        project.tidy(10**9)
        day(2)
        with pytest.raises(StorageError, match="Free some space"):
            project.upkeep()
    assert backup_names(folder / ".atrous") == []


def test_saving_does_not_wait_for_a_copy_in_another_thread(folder, day):
    with Project.open(folder) as project, project._upkeep._mutex:
        project.tidy(10**9)
    assert backup_names(folder / ".atrous") == []


def test_closing_ends_a_copy_soon(folder, day, monkeypatch):
    monkeypatch.setattr(backups, "_PAGES", 1)
    with Project.open(folder) as project:
        project.stop_upkeep()
        assert not project._upkeep._write(folder / "copy.db")
        project.upkeep()
    assert backup_names(folder / ".atrous") == []


# -- putting one back ----------------------------------------------------------------------------------------------------


def history(folder, day):
    """Work of two days; returns the documents of a.png on the first and on the second day."""
    first = work_on(folder, "a.png", strokes=2, save=False)
    day(2)
    second = work_on(folder, "a.png", strokes=5, save=False)
    return first, second


@pytest.mark.parametrize("lost", ["nothing", "the database", "its content"])
def test_a_copy_comes_back_and_the_database_is_kept(folder, day, lost):
    first, second = history(folder, day)
    database = folder / ".atrous/project.db"
    if lost == "the database":
        for path in (folder / ".atrous").glob("project.db*"):
            path.unlink()
    elif lost == "its content":
        database.write_bytes(b"")
    done = restore(folder / ".atrous", "project-2026-11-01.db")
    assert bool(done.aside) == (lost != "the database")
    with Project.open(folder) as project:
        assert project.notices == ()
        loaded = project.load(image_id(project, "a.png"))
        assert same(loaded.document, first)
        assert len(loaded.steps) == 2
    restore(folder / ".atrous")
    with Project.open(folder) as project:
        assert same(project.load(image_id(project, "a.png")).document, second)


def test_masks_that_are_newer_than_the_copy_count_and_are_named(folder, day):
    work_on(folder, "a.png")
    day(2)
    document, other = work_on(folder, "a.png", strokes=4), work_on(folder, "b.png")
    done = restore(folder / ".atrous", "project-2026-11-01.db")
    assert done.newer_masks == ("a.png",)
    assert any("1 saved mask was taken up again" in notice for notice in done.notices)
    with Project.open(folder) as project:
        for path, wanted in (("a.png", document), ("b.png", other)):
            image = image_id(project, path)
            assert same(project.load(image).document, wanted)
            stroke(project, image, project.load(image).document, 70)


def test_statuses_and_settings_come_back(folder, day):
    with Project.open(folder) as project:
        project.set_status(image_id(project, "a.png"), ImageStatus.REVIEWED)
        project.set_setting("view", 7)
        project.upkeep()
    (folder / ".atrous/project.db").unlink()
    restore(folder / ".atrous")
    with Project.open(folder) as project:
        assert project.record(image_id(project, "a.png")).status is ImageStatus.REVIEWED
        assert project.setting("view") == 7


def test_a_damaged_copy_is_passed_over_and_a_wrong_name_lists_the_others(folder, day):
    first, _ = history(folder, day)
    newest = folder / ".atrous/backups/project-2026-11-02.db"
    newest.write_bytes(newest.read_bytes()[:5000])
    assert [bool(backup.problem) for backup in list_backups(folder / ".atrous")] == [True, False]
    with pytest.raises(ProjectError, match=r"project-2026-11-02\.db"):
        restore(folder / ".atrous", "project-2026-11-02.db")
    with pytest.raises(ProjectError, match=r"There are: project-2026-11-02\.db, project-2026-11-01\.db"):
        restore(folder / ".atrous", "../project.db")
    assert restore(folder / ".atrous").backup.name == "project-2026-11-01.db"
    with Project.open(folder) as project:
        assert same(project.load(image_id(project, "a.png")).document, first)


@pytest.mark.parametrize("there", [True, False])
def test_a_restore_leaves_no_odd_names(folder, day, there):
    history(folder, day)
    directory = folder / ".atrous"
    (directory / "project.db-mark").write_bytes(b"{}")
    if not there:
        (directory / "project.db").unlink()
    restore(directory)
    aside = sorted(path.name for path in directory.iterdir() if "before-restore" in path.name)
    assert all(name.startswith("project.db.before-restore-") for name in aside), aside
    assert bool(aside) == there


def test_a_project_that_is_open_is_not_restored(folder, day):
    history(folder, day)
    with Project.open(folder), pytest.raises(ProjectLocked):
        restore(folder / ".atrous")
    shutil.rmtree(folder / ".atrous/backups")
    with pytest.raises(ProjectError, match="no daily copy"):
        restore(folder / ".atrous")


def test_the_command_lists_and_restores(folder, day, monkeypatch):
    history(folder, day)
    run = CliRunner().invoke
    listed = run(command, ["restore", str(folder), "--list"])
    assert [line.split()[0] for line in listed.output.splitlines()] == ["project-2026-11-02.db", "project-2026-11-01.db"]
    assert "2 images, 1 worked on, 2 steps" in listed.output
    monkeypatch.chdir(folder)
    done = run(command, ["restore", "--from", "project-2026-11-01.db"])
    assert "Restored project-2026-11-01.db: 2 images, 1 worked on, 2 steps." in done.output
    assert "project.db.before-restore-" in done.output
    elsewhere = run(command, ["restore", "--project", str(folder / ".atrous")])
    assert "Restored project-2026-11-02.db" in elsewhere.output


# -- a copy takes the place of what is lost ------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["missing", "emptied", "garbage", "only our tables"])
def test_a_lost_database_comes_back_from_its_newest_copy(folder, day, how):
    """Statuses, settings and undo steps of the copy; masks that were saved after it count."""
    with Project.open(folder) as project:
        a, b = image_id(project, "a.png"), image_id(project, "b.png")
        document, other = project.load(a).document, project.load(b).document
        for seed in range(3):
            stroke(project, a, document, seed)
        project.set_status(a, ImageStatus.REVIEWED)
        project.set_setting("view", 7)
        project.upkeep()
        stroke(project, b, other, 9)
        project.save_mask(b, other.labels, other.provenance, project.journal.head(b))
    database = folder / ".atrous/project.db"
    if how == "missing":
        database.unlink()
    elif how == "only our tables":
        with closing(sqlite3.connect(database)) as connection:
            for table in ("moves", "steps", "images", "meta", "sqlite_sequence"):
                connection.execute(f"DELETE FROM {table}")
            connection.commit()
    else:
        database.write_bytes(b"garbage" * 99 if how == "garbage" else b"")
    with Project.open(folder) as project:
        assert any("its copy project-2026-11-01.db has taken its place" in notice for notice in project.repairs)
        assert not any("project.db-wal is missing" in notice for notice in project.notices) or how == "only our tables"
        assert project.record(a).status is ImageStatus.REVIEWED
        assert project.setting("view") == 7
        assert same(project.load(a).document, document)
        assert len(project.load(a).steps) == 3
        assert same(project.load(b).document, other)
        stroke(project, b, project.load(b).document, 60)
    with Project.open(folder) as project:
        assert project.notices == ()


def test_a_copy_without_work_takes_no_place(folder, day):
    with Project.open(folder) as project:
        project.upkeep()
    (folder / ".atrous/project.db").unlink()
    with Project.open(folder) as project:
        assert project.repairs == ()


def test_lost_images_and_classes_are_taken_from_the_copy_and_strokes_found_again(folder, day):
    """The page of the images is gone, the strokes are not: with the copy's rows they belong to an image again."""
    with Project.open(folder) as project:
        project.set_catalog(project.catalog.recolored(9, (1, 2, 3)))
        project.upkeep()
        a = image_id(project, "a.png")
        document = project.load(a).document
        for seed in range(3):
            stroke(project, a, document, seed)
    database = folder / ".atrous/project.db"
    with closing(sqlite3.connect(database)) as connection:
        (root,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'images'").fetchone()
        connection.execute("UPDATE meta SET value = '{' WHERE key = 'catalog'")
        connection.commit()
    content = bytearray(database.read_bytes())
    content[(root - 1) * 4096 : root * 4096] = b"\xff" * 4096
    database.write_bytes(content)
    with Project.open(folder) as project:
        assert any("taken from the copy project-2026-11-01.db" in notice for notice in project.repairs)
        assert project.catalog.by_id(9).color == (1, 2, 3)
        loaded = project.load(image_id(project, "a.png"))
        assert same(loaded.document, document)
        assert len(loaded.steps) == 3
