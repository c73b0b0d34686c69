"""One look at the whole program without hands: what the packaged application is tried with."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer
from PySide6.QtWidgets import QApplication

from app.ui.common.chart_export import png_of
from deeplab_core.atomic import atomic_write
from deeplab_core.errors import AtrousError

if TYPE_CHECKING:
    from app.controllers.workspace import Program
    from app.ui.shell.main_window import MainWindow

_LOG = logging.getLogger(__name__)
_POLL_MS, _PATIENCE_MS, _SETTLE_MS = 100, 600_000, 800


class SmokeRun(QObject):
    """Waits for the compute process, the first image and, if a model is available, its prediction; then takes a picture.

    The exit status is 0 when all of it came, 1 when it did not come in time.
    """

    def __init__(self, window: MainWindow, program: Program, picture: Path, *, expects_image: bool) -> None:
        super().__init__(program)
        self._window, self._program, self._picture, self._expects_image = window, program, picture, expects_image
        self._waited = 0
        self._timer = QTimer(self)
        self._timer.setInterval(_POLL_MS)
        self._timer.timeout.connect(self._check)
        self._timer.start()

    def _check(self) -> None:
        self._waited += _POLL_MS
        missing = self._missing()
        if missing and self._waited < _PATIENCE_MS:
            return
        self._timer.stop()
        if missing:
            _LOG.error("smoke run: %s did not come", missing)
        QTimer.singleShot(_SETTLE_MS, lambda: self._end(1 if missing else 0))

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
        self._window.close()
        QApplication.exit(status)
