"""Dialogs and menus leave nothing behind: whoever opens one a hundred times a day has no more objects in the evening."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest
from PySide6.QtCore import QCoreApplication, QEvent, QObject, QTimer
from PySide6.QtWidgets import QApplication, QDialog, QFileDialog

from app.actions.table import ACTIONS
from tests.gui.studio import Studio

#: Commands that ask something first; training asks when nothing was corrected yet, and says so instead.
ASKING = [spec.id for spec in ACTIONS if spec.text.endswith("…")]
#: Dialogs that stay open beside the work, and are shown again.
KEPT = {"model.get"}


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
        for _ in range(3):
            studio.window.commands[name].trigger()
            studio.settle()
            studio.wait(lambda: QApplication.activeModalWidget() is None)
            leave()
            studio.settle()
            counts.append(objects(studio))
        tried += 1
        if counts[2] > counts[1] and name not in KEPT:
            grown[name] = counts
    assert grown == {}
    assert tried > 15
