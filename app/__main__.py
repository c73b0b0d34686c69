"""``python -m app`` and the ``atrous`` command.

Kept thin: a spawned compute process imports this module again, so nothing here may import Qt, torch or numpy at module level.
"""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command line; without a sub-command it opens the window. Returns the exit status."""
    import faulthandler
    import multiprocessing

    multiprocessing.freeze_support()
    if sys.stderr is not None:  # a windowed application on Windows has none
        faulthandler.enable()

    from app.cli import run
    from app.cli.terminal import show_crash

    sys.excepthook = show_crash
    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
