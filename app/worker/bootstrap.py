"""Entry point of the compute process.

The window's process imports this module to hand :func:`run` to ``multiprocessing``. ``serve``, and torch with it, is imported by
name inside the new process only, so nothing here may import it at module level.
"""

from __future__ import annotations

import contextlib
import faulthandler
import importlib
import os
import signal
import sys
import traceback
from dataclasses import dataclass
from multiprocessing.connection import Connection

import platformdirs

from app.import_trouble import explain


@dataclass(frozen=True, slots=True)
class CannotStart:
    """Sent in place of Hello by a process with modules that cannot be imported. Plain values: numpy may be what is broken.

    Attributes:
        reason, remedy: sentences for the user, without a full stop.
        details: the traceback.
    """

    reason: str
    remedy: str
    details: str


def begin_process() -> None:
    """Set up a process of the window's.

    Ctrl+C in a terminal reaches the whole process group; the window decides what it means, so it is ignored here.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.stderr is not None:  # a windowed application on Windows has none
        faulthandler.enable()
    if getattr(sys, "frozen", False):  # no source files to keep numba's machine code beside
        os.environ.setdefault("NUMBA_CACHE_DIR", str(platformdirs.user_cache_path("Atrous", appauthor=False) / "numba"))


def run(connection: Connection) -> None:
    """Serve requests from ``connection`` until it closes or Shutdown arrives, then end the process."""
    begin_process()
    try:
        serve = importlib.import_module("app.worker.serve").serve
    except Exception as error:  # numpy or torch is broken: nothing that needs either can be used
        reason, remedy = explain(error)
        with contextlib.suppress(OSError):
            connection.send(CannotStart(reason, remedy, traceback.format_exc()))
        serve = _leave
    try:
        status = serve(connection)
    except BaseException:
        from deeplab_core.printable import printable

        if sys.stderr is not None:
            sys.stderr.write(printable(traceback.format_exc()))
        status = 1
    # Threads of torch may still compute for an abandoned request; leaving must not wait for them.
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    os._exit(status)


def _leave(_connection: Connection) -> int:
    return 1
