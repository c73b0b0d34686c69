"""A test of the window that fails ends at once, also where a dialog waits for the user."""

from __future__ import annotations

import sys
from types import TracebackType

import pytest
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QMessageBox
from pytestqt.qtbot import QtBot

from tests.conftest import failing_at_once


@pytest.fixture
def reported(monkeypatch: pytest.MonkeyPatch) -> list[BaseException]:
    """What would fail the test, were it not the one that is meant to."""
    found: list[BaseException] = []

    def report(_kind: type[BaseException], error: BaseException, _trace: TracebackType | None) -> None:
        found.append(error)

    monkeypatch.setattr(sys, "excepthook", report)
    return found


def test_an_exception_in_a_slot_ends_the_dialogs_and_the_waits(qtbot: QtBot, reported: list[BaseException]) -> None:
    def press() -> None:
        raise AssertionError("no such button")

    with failing_at_once():
        QTimer.singleShot(0, press)
        assert QMessageBox(QMessageBox.Icon.Question, "", "Really?").exec() == QMessageBox.DialogCode.Rejected
        with pytest.raises(RuntimeError, match="a slot raised an exception"):
            qtbot.waitUntil(lambda: False)
    assert [str(error) for error in reported] == ["no such button"]
    qtbot.waitUntil(lambda: True)
