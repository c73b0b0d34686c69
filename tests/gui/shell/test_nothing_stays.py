"""Dialogs and menus leave nothing behind: whoever opens one a hundred times a day has no more objects in the evening."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest
from PySide6.QtCore import QCoreApplication, QEvent, QObject, QPointF, QTimer
from PySide6.QtGui import QColor, QImage, QPainter
from PySide6.QtWidgets import QApplication, QDialog, QFileDialog

from app.actions.table import ACTIONS
from app.services import notifications
from app.services.jobs import Job
from app.state.document import Document
from app.ui.canvas.marks import draw_ring
from app.ui.shell.messages_dialog import MessagesDialog
from tests.gui.studio import Studio, make_folder

#: Commands that ask something first; training asks when nothing was corrected yet, and says so instead.
ASKING = [spec.id for spec in ACTIONS if spec.text.endswith("…")]
#: Dialogs that stay open beside the work, and are shown again.
KEPT = {"model.get"}


@pytest.fixture(autouse=True)
def _older_objects_apart() -> None:
    """Look for garbage among the objects of this test alone, not among what all tests before it have left in the process.

    This comes before the window is made, which is garbage itself after the test.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's dialogs for files are left without an answer."""
    for name in ("getOpenFileName", "getSaveFileName"):
        monkeypatch.setattr(QFileDialog, name, lambda *_args, **_named: ("", ""))
    monkeypatch.setattr(QFileDialog, "getOpenFileNames", lambda *_args, **_named: ([], ""))
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_args, **_named: "")


def leave() -> None:
    """Close what asks, as Esc does."""
    asking = QApplication.activePopupWidget() or QApplication.activeModalWidget()
    if isinstance(asking, QDialog):
        asking.reject()
    elif asking is not None:
        asking.close()
    for widget in QApplication.topLevelWidgets():
        if isinstance(widget, QDialog) and widget.isVisible():
            widget.reject()


def objects(studio: Studio) -> int:
    """Qt objects of the window and the program, once those are gone that wait to be deleted."""
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    gc.collect()
    return len(studio.window.findChildren(QObject)) + len(studio.application.findChildren(QObject))


def alive(kind: type) -> int:
    """Objects of Python of a class that something still holds."""
    gc.collect()
    return sum(type(one) is kind for one in gc.get_objects())


def test_folders_that_were_open_leave_no_objects(studio: Studio, folder: Path, tmp_path: Path) -> None:
    """Each kept its undo history, with all its steps and documents."""
    folders, counts = (folder, make_folder(tmp_path / "other")), []
    for number in range(8):
        shown = folders[number % 2]
        studio.program.projects.open(shown)
        studio.wait(lambda shown=shown: (opened := studio.program.session.image) is not None and opened.path.parent == shown)
        studio.settle()
        studio.paint((10, 10), (30, 30))
        counts.append(objects(studio))
    assert counts[-1] <= counts[-3], counts


def test_images_out_of_view_leave_their_pixels(studio: Studio, tmp_path: Path) -> None:
    """The undo stack of each image that was ever in view kept its document."""
    studio.open(make_folder(tmp_path / "many", 8))
    before = alive(Document)
    for _ in range(7):
        studio.paint((10, 10), (30, 30))
        studio.window.commands["go.next"].trigger()
        studio.settle()
    assert alive(Document) <= before + 1  # the one that was left last may still have been on its way to the disk


def test_an_image_has_its_steps_when_it_comes_back(studio: Studio, folder: Path) -> None:
    studio.open(folder)
    studio.paint((10, 10), (30, 30))
    steps = studio.steps()
    for name in ("go.next", "go.next", "go.previous", "go.previous"):
        studio.window.commands[name].trigger()
        studio.settle()
    assert studio.steps() == steps
    assert steps
    studio.window.commands["edit.undo"].trigger()
    assert not studio.program.session.image.document.provenance.any()


def test_jobs_that_ended_are_gone(studio: Studio, folder: Path) -> None:
    """Each stayed for ever, with what it had worked on, because it kept the function that it called at its end."""
    studio.start_model()
    studio.open(folder)
    studio.settle()
    before = alive(Job)  # of this process: tests that ran earlier may have left some
    for _ in range(6):
        studio.window.commands["model.run_image"].trigger()
        studio.settle()
    studio.wait(lambda: alive(Job) <= before + 1)  # the thread that delivered the last one may still hold it


def test_the_messages_are_shown_once_and_stay_few(studio: Studio) -> None:
    """Each click opened another list, and each list made widgets for 500 messages again with every message."""
    notifier = studio.program.notifier
    for number in range(notifications.KEPT + 5):
        notifier.info(f"message {number}")
    assert [notifier.messages[0].title, len(notifier.messages)] == ["message 5", notifications.KEPT]
    for _ in range(3):
        studio.window.status.messages.click()
    lists = [one for one in studio.window.findChildren(MessagesDialog) if one.isVisible()]
    assert len(lists) == 1
    lists[0].close()
    studio.window.status.messages.click()
    (again,) = [one for one in studio.window.findChildren(MessagesDialog) if one.isVisible()]
    again.close()


def large_images() -> set[int]:
    """Those that are wider than 1,000 px, by identity: tests before this one leave pictures of their own."""
    gc.collect()
    return {id(one) for one in gc.get_objects() if type(one) is QImage and one.width() > 1000}


def test_rings_of_many_sizes_are_not_all_kept(qapp: QApplication) -> None:
    """48 rings were kept whatever their size: 600 MB after zooming with a large brush."""
    others = large_images()
    canvas = QImage(64, 64, QImage.Format.Format_RGB32)
    painter = QPainter(canvas)
    for radius in range(580, 600):
        draw_ring(painter, QPointF(32, 32), float(radius), QColor("red"), erases=False)
    painter.end()
    assert len(large_images() - others) == 2  # drawn with each move of the pointer, so the last one must be there


def test_commands_that_ask_leave_no_objects(studio: Studio, folder: Path) -> None:
    studio.start_model()
    studio.open(folder)
    studio.paint((10, 10), (30, 30))
    timer = QTimer(interval=20)
    timer.timeout.connect(leave)
    timer.start()
    grown, tried = {}, 0
    for name in ASKING:
        if not studio.window.commands[name].isEnabled():
            continue
        counts = []
        for number in range(3):
            studio.window.commands[name].trigger()
            studio.settle()
            studio.wait(lambda: QApplication.activeModalWidget() is None)
            leave()
            studio.settle()
            if number:  # what a command builds when it is first used stays
                counts.append(objects(studio))
        tried += 1
        if counts[1] > counts[0] and name not in KEPT:
            grown[name] = counts
    assert grown == {}
    assert tried > 15
