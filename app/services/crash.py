"""What happens when an unhandled failure occurs: unsaved work first, then one honest dialog; a native crash is offered
for report at the next start.
"""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import os
import sys
import threading
import traceback
from pathlib import Path
from types import TracebackType
from typing import IO

from PySide6.QtCore import QObject, Signal

_LOG = logging.getLogger(__name__)
_TRACES = "crash-{pid}.txt"


class CrashReporter(QObject):
    """Catches unexpected exceptions of every thread and keeps a faulthandler file while the program runs.

    Signals:
        unexpected(short, details): an unhandled exception, in any thread; delivered to the window's thread.
    """

    unexpected = Signal(str, str)

    def __init__(self, folder: Path, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._folder = folder
        self._file: IO[str] | None = None
        self._path: Path | None = None

    def start(self, pid: int) -> list[str]:
        """Begin to watch; returns the traces that crashed runs before this one left behind, and clears them away."""
        found = self._collect()
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._path = self._folder / _TRACES.format(pid=pid)
            self._file = self._path.open("w", encoding="utf-8")
            faulthandler.enable(self._file)
        except OSError as error:
            _LOG.warning("no crash file: %s", error)
        sys.excepthook = self._from_main
        threading.excepthook = self._from_thread
        return found

    def stop(self) -> None:
        """End orderly: the file that only a crash would have filled goes away."""
        sys.excepthook = sys.__excepthook__
        threading.excepthook = threading.__excepthook__
        if self._file is not None:
            faulthandler.disable()
            self._file.close()
            self._file = None
        if self._path is not None:
            with contextlib.suppress(OSError):
                self._path.unlink()

    def tell(self, error: BaseException) -> None:
        """Report an unexpected exception by hand, from code that caught it to stay alive."""
        self._report(type(error), error, error.__traceback__)

    def _collect(self) -> list[str]:
        traces = []
        for path in sorted(self._folder.glob(_TRACES.format(pid="*"))):
            if _is_running(path):
                continue
            with contextlib.suppress(OSError):
                text = path.read_text(encoding="utf-8", errors="replace").strip()
                path.unlink()
                if text:
                    traces.append(text)
        return traces

    def _from_main(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, error, trace)
            return
        self._report(kind, error, trace)

    def _from_thread(self, args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None and args.exc_type is not SystemExit:
            self._report(args.exc_type, args.exc_value, args.exc_traceback)

    def _report(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        details = "".join(traceback.format_exception(kind, error, trace))
        _LOG.error("unexpected: %s", details)
        self.unexpected.emit(f"{kind.__name__}: {error}", details)


def _is_running(path: Path) -> bool:
    """Whether the process that a crash file belongs to is still alive; its file is then none of our business."""
    try:
        pid = int(path.stem.rpartition("-")[2])
    except ValueError:
        return False
    if sys.platform == "win32":
        # An open file cannot be renamed there, which tells the same.
        try:
            path.rename(path)
        except OSError:
            return True
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
