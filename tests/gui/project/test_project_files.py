"""The files of a project under the open window: removed, damaged, copied once a day."""

import os
import shutil
import sqlite3
from contextlib import closing

import numpy as np
from PySide6.QtCore import Qt

from app.services.autosave import SaveState
from app.services.notifications import Severity
from app.state.layout import backup_names
from app.state.project import Project
from deeplab_core.catalogs import get_catalog

VOC = get_catalog("voc21")


def press(studio, text):
    """Press the button of the newest message that has it."""
    for message in reversed(studio.program.notifier.messages):
        for choice in message.choices:
            if choice.text == text:
                choice.run()
                return
    raise AssertionError(f"no message offers {text}: {studio.titles()}")


def stored(folder, path):
    with Project.open(folder, read_only=True) as project:
        image = next(record.id for record in project.images if record.relative_path == path)
        return project.load(image)


def test_a_project_that_is_deleted_is_said_and_written_again(studio, folder):
    studio.open(folder)
    studio.paint((10, 10), (60, 40))
    studio.program.projects.save_now()
    studio.wait(lambda: studio.program.session.autosaver.state is SaveState.SAVED)
    studio.settle()
    shutil.rmtree(folder / ".atrous")
    studio.paint((20, 50), (70, 20))
    studio.wait(lambda: any("removed or replaced while it was open" in title for title in studio.titles()))
    assert studio.program.session.autosaver.state is SaveState.FAILED
    assert not (folder / ".atrous").exists()
    assert not studio.program.projects.close()
    press(studio, "Write the project again")
    studio.wait(lambda: studio.program.session.autosaver.state is SaveState.SAVED)
    studio.settle()
    assert "The project was written again" in studio.titles()
    document, steps = studio.image.document, studio.steps()
    labels = document.labels.copy()
    assert len(steps) == 2
    assert studio.program.projects.close()
    loaded = stored(folder, "photo_0.jpg")
    assert np.array_equal(loaded.document.labels, labels)
    assert [step.title for step in loaded.steps] == steps
    assert (folder / ".atrous/masks/photo_0.jpg.png").is_file()


def test_a_project_that_is_deleted_while_nothing_is_done_is_noticed_at_closing(studio, folder):
    studio.open(folder)
    studio.paint((10, 10), (60, 40))
    studio.settle()
    shutil.rmtree(folder / ".atrous")
    assert not studio.program.projects.close()
    assert any("removed or replaced" in title for title in studio.titles())
    press(studio, "Write the project again")
    studio.settle()
    assert studio.program.projects.close()
    assert stored(folder, "photo_0.jpg").document.provenance.any()


def test_undo_and_new_strokes_during_the_check_are_kept(studio, folder):
    studio.open(folder)
    for row in (10, 20, 30):
        studio.paint((10, row), (60, row))
    studio.settle()
    shutil.rmtree(folder / ".atrous")
    studio.press(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    studio.paint((10, 50), (60, 50))
    labels, steps = studio.image.document.labels.copy(), studio.steps()
    press(studio, "Write the project again")
    studio.wait(lambda: studio.program.session.autosaver.state is SaveState.SAVED)
    assert studio.program.projects.close()
    loaded = stored(folder, "photo_0.jpg")
    assert np.array_equal(loaded.document.labels, labels)
    assert [step.title for step in loaded.steps] == steps


def test_a_database_that_is_emptied_in_place_is_written_again_from_memory(studio, folder):
    """Strokes before and after, and undo of a step that the lost database knew."""
    studio.open(folder)
    for row in (10, 20, 30):
        studio.paint((10, row), (60, row))
    studio.settle()
    os.truncate(folder / ".atrous/project.db", 0)
    os.truncate(folder / ".atrous/project.db-wal", 0)
    studio.paint((10, 50), (60, 50))
    press(studio, "Write the project again")
    studio.wait(lambda: studio.program.session.autosaver.state is SaveState.SAVED)
    studio.settle()
    studio.paint((70, 10), (70, 50))
    for _ in range(3):
        studio.press(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    labels = studio.image.document.labels.copy()
    assert studio.program.projects.close()
    assert np.array_equal(stored(folder, "photo_0.jpg").document.labels, labels)


def test_damage_that_an_image_meets_is_rebuilt_by_opening_the_folder_again(studio, folder):
    studio.open(folder)
    for row in (10, 20, 30):
        studio.paint((10, row), (60, row))
    labels = studio.image.document.labels.copy()
    assert studio.program.projects.close()
    database = folder / ".atrous/project.db"
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("UPDATE moves SET direction = x'00' WHERE n = 3")
        (root,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'moves_of_image'").fetchone()
        connection.commit()
    content = bytearray(database.read_bytes())
    content[(root - 1) * 4096 : (root - 1) * 4096 + 64] = bytes(64)
    database.write_bytes(content)
    studio.program.projects.open(folder)
    studio.wait(lambda: any("database is damaged" in title for title in studio.titles()))
    press(studio, "Reopen the folder")
    studio.wait(lambda: studio.program.session.image is not None)
    assert np.array_equal(studio.image.document.labels, labels)
    told = [message for message in studio.program.notifier.messages if message.title == "The project was repaired"]
    assert told
    assert told[-1].severity is Severity.ERROR, "stays until it is closed"


def test_opening_a_folder_copies_the_database_of_the_day(studio, folder):
    studio.open(folder)
    studio.settle()
    assert len(backup_names(folder / ".atrous")) == 1
    assert not [message for message in studio.program.notifier.messages if message.severity >= Severity.WARNING]


def test_opening_the_open_folder_again_looks_through_it_and_keeps_it_writable(studio, folder):
    studio.open(folder)
    project = studio.program.session.project
    studio.paint((10, 10), (60, 40))
    shutil.copyfile(folder / "photo_0.jpg", folder / "photo_9.jpg")
    told = []
    studio.program.projects.open(folder, then=told.append)
    studio.settle()
    assert studio.program.session.project is project
    assert told == [project]
    assert project.read_only_reason is None
    assert "photo_9.jpg" in [record.name for record in project.images]
    assert len(studio.steps()) == 1


def test_a_folder_is_opened_once_however_often_it_is_asked_for(studio, folder, tmp_path):
    other = shutil.copytree(folder, tmp_path / "other")
    told = []
    projects = studio.program.projects
    for name, place in (("first", folder), ("again", folder), ("other", other), ("last", folder)):
        projects.open(place, then=lambda project, name=name: told.append((name, project.folder)))
    studio.settle()
    assert told == [("first", folder), ("again", folder), ("last", folder)]
    assert studio.program.session.project.folder == folder
    assert studio.program.session.project.read_only_reason is None
    with Project.open(other) as closed:  # it came too late, and was given back
        assert closed.read_only_reason is None


def test_swapping_classes_in_another_project_selects_none_that_it_lacks(studio, folder, tmp_path):
    studio.open(folder)
    classes, tools = studio.program.classes, studio.program.edit.tools
    classes.choose(VOC.by_name("chair").id)
    classes.choose(VOC.by_name("sofa").id)
    other = tmp_path / "streets"
    other.mkdir()
    shutil.copyfile(folder / "photo_0.jpg", other / "photo_0.jpg")
    studio.program.projects.open(other, catalog=get_catalog("camvid11"))
    studio.settle()
    assert studio.program.session.project.folder == other
    studio.window.commands["class.swap"].trigger()
    assert tools.class_id in get_catalog("camvid11").ids
