"""Timers that fire once, some time after they were started last."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject, QTimer


def single_shot(parent: QObject, milliseconds: int, action: Callable[[], object]) -> QTimer:
    """A timer, not started yet, that calls ``action`` once ``milliseconds`` after its last start.

    Args:
        parent: owns the timer, which ends with it.
        milliseconds: 0 fires as soon as the events that wait are handled.
    """
    timer = QTimer(parent)
    timer.setSingleShot(True)
    timer.setInterval(milliseconds)
    timer.timeout.connect(action)
    return timer
