"""One look at the whole program without hands: what the packaged application is tried with."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer
from PySide6.QtWidgets import QApplication

from app.services.compute import HELLO_PATIENCE
from app.ui.common.chart_export import png_of
from deeplab_core.atomic import atomic_write
from deeplab_core.errors import AtrousError

if TYPE_CHECKING:
    from app.controllers.workspace import Program
    from app.ui.shell.main_window import MainWindow

_LOG = logging.getLogger(__name__)
_POLL_MS, _SETTLE_MS = 100, 800
#: Seconds until all has to be there. Less for the compute process: one that only hangs is ended and started again without end.
_PATIENCE, _START_PATIENCE = 600.0, HELLO_PATIENCE + 20
#: Seconds until the program ends although its window does not close, such as one that asks a question.
_CLOSE_PATIENCE = 60
#: Exit status without a compute process.
NO_COMPUTE = 3


class SmokeRun(QObject):
    """Waits for the compute process, the first image and, if a model is available, its prediction; then takes a picture.

    The exit status is 0 when all of it came, 1 when it did not come in time, :data:`NO_COMPUTE` when the compute process did not
    start, was refused or died too often; the log then says why.
    """

    def __init__(self, window: MainWindow, program: Program, picture: Path, *, expects_image: bool) -> None:
        super().__init__(program)
        self._window, self._program, self._picture, self._expects_image = window, program, picture, expects_image
        self._began = time.monotonic()
        self._started, self._reason = False, ""
        program.compute.hello.connect(self._note_start)
        program.compute.crashed.connect(self._note_reason)
        program.compute.gave_up.connect(self._give_up)
        self._timer = QTimer(self)
        self._timer.setInterval(_POLL_MS)
        self._timer.timeout.connect(self._check)
        self._timer.start()

    def _note_start(self) -> None:
        self._started = True

    def _note_reason(self, reason: str) -> None:
        self._reason = reason

    def _give_up(self, reason: str) -> None:
        """Without a compute process, which is not started again here, the rest never comes."""
        self._finish(NO_COMPUTE, f"the compute process stopped: {reason}")

    def _check(self) -> None:
        missing, waited = self._missing(), time.monotonic() - self._began
        if not missing:
            self._finish(0)
        elif not self._started and waited > _START_PATIENCE:
            self._finish(NO_COMPUTE, f"the compute process did not start within {waited:.0f} s. {self._reason}".rstrip())
        elif waited > _PATIENCE:
            self._finish(1, f"{missing} did not come within {waited:.0f} s")

    def _finish(self, status: int, error: str = "") -> None:
        if not self._timer.isActive():
            return
        self._timer.stop()
        if error:
            _LOG.error("smoke run: %s", error)
        QTimer.singleShot(_SETTLE_MS, self, lambda: self._end(status))

    def _missing(self) -> str:
        program = self._program
        if program.models.hello is None:
            return "the compute process"
        image = program.session.image
        if self._expects_image and image is None:
            return "the first image"
        if program.models.choices() and program.models.card is None:
            return "the model"
        if (
            image is not None
            and program.models.card is not None
            and program.context["can_edit"]
            and not program.context["has_prediction"]
        ):
            return "the prediction"
        return ""

    def _end(self, status: int) -> None:
        self._picture.parent.mkdir(parents=True, exist_ok=True)
        try:
            atomic_write(self._picture, png_of(self._window.grab().toImage()))
        except AtrousError as error:
            _LOG.error("smoke run: %s", error)
            status = 1
        QTimer.singleShot(_CLOSE_PATIENCE * 1000, self, lambda: QApplication.exit(status))
        self._window.close()
        QApplication.exit(status)
