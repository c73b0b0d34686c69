"""A rotating log per computer, Qt's own messages in it, and the report that the user can copy."""

from __future__ import annotations

import logging
import os
import platform
import sys
from logging.handlers import RotatingFileHandler
from pathlib import Path

from PySide6.QtCore import QMessageLogContext, QtMsgType, qInstallMessageHandler, qVersion

from deeplab_core import __version__
from deeplab_core.printable import PrintableFormatter, printable

LOG_NAME = "atrous.log"
_SIZE, _COPIES = 2_000_000, 4
_REPORT_LINES = 200

_LEVELS = {
    QtMsgType.QtDebugMsg: logging.DEBUG,
    QtMsgType.QtInfoMsg: logging.INFO,
    QtMsgType.QtWarningMsg: logging.WARNING,
    QtMsgType.QtCriticalMsg: logging.ERROR,
    QtMsgType.QtFatalMsg: logging.CRITICAL,
}


def start_logging(folder: Path) -> None:
    """Write the log of this process into ``folder``. A folder that cannot be written leaves the console's log alone."""
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handler = RotatingFileHandler(
            folder / LOG_NAME, maxBytes=_SIZE, backupCount=_COPIES, encoding="utf-8", errors="backslashreplace"
        )
    except OSError as error:
        logging.getLogger(__name__).warning("no log file: %s", error)
        return
    handler.setFormatter(PrintableFormatter("%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s"))
    root.addHandler(handler)
    logging.getLogger(__name__).info("Atrous %s starts, Python %s, Qt %s", __version__, platform.python_version(), qVersion())


def route_qt_messages() -> None:
    """Send what Qt says to the log instead of to the console."""
    qInstallMessageHandler(_from_qt)


def _from_qt(kind: QtMsgType, context: QMessageLogContext, text: str) -> None:
    logging.getLogger(f"qt.{getattr(context, 'category', None) or 'default'}").log(_LEVELS.get(kind, logging.INFO), text)


def report_text(folder: Path, details: dict[str, str]) -> str:
    """What 'Copy report' copies: versions, the given details and the end of the log, the user's folder shortened to ``~``."""
    lines = [
        f"Atrous {__version__}",
        f"Python {platform.python_version()} on {platform.platform()}",
        f"Qt {qVersion()}, {os.cpu_count()} cores, frozen: {bool(getattr(sys, 'frozen', False))}",
        *(f"{name}: {value}" for name, value in details.items()),
        "",
        f"Last lines of {LOG_NAME}:",
        *last_lines(folder / LOG_NAME, _REPORT_LINES),
    ]
    return printable("\n".join(lines).replace(str(Path.home()), "~"))  # it may be pasted into a terminal


def last_lines(path: Path, count: int) -> list[str]:
    """The last lines of a text file; an empty list if missing."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()[-count:]
    except OSError:
        return []
