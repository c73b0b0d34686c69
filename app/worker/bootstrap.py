"""Entry point of the compute process.

The window's process imports this module to hand :func:`run` to ``multiprocessing``. ``serve``, and torch with it, is imported by
name inside the new process only, so nothing here may import it at module level.
"""

from __future__ import annotations

import faulthandler
import importlib
import os
import signal
import sys
from multiprocessing.connection import Connection

import platformdirs


def run(connection: Connection) -> None:
    """Serve requests from ``connection`` until it closes or Shutdown arrives, then end the process.

    Ctrl+C in a terminal reaches the whole process group; the window decides what it means, so it is ignored here.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.stderr is not None:  # a windowed application on Windows has none
        faulthandler.enable()
    if getattr(sys, "frozen", False):  # no source files to keep numba's machine code beside
        os.environ.setdefault("NUMBA_CACHE_DIR", str(platformdirs.user_cache_path("Atrous", appauthor=False) / "numba"))
    try:
        status = importlib.import_module("app.worker.serve").serve(connection)
    except BaseException:
        import traceback

        from deeplab_core.printable import printable

        if sys.stderr is not None:
            sys.stderr.write(printable(traceback.format_exc()))
        status = 1
    # Threads of torch may still compute for a request that nobody waits for; leaving must not wait for them.
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    os._exit(status)
