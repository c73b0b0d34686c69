"""How a download looks on the command line: a bar on a terminal, a line now and then in a log, JSON lines for a machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from app.cli.console import emit
from app.cli.terminal import LiveBar, is_live, say
from deeplab_core.hub import DownloadProgress

Report = Callable[[DownloadProgress], None]

#: Seconds between two lines without a terminal.
_PAUSE = 2.0


@contextmanager
def transfer(title: str, *, as_json: bool) -> Iterator[Report]:
    """Show how far a download is; what is yielded takes its progress."""
    if as_json:
        yield _paced(lambda progress: emit("progress", done=progress.done, total=progress.total, text=progress.text))
    elif not is_live():
        yield _paced(lambda progress: say(f"{title} {_line(progress)}", err=True))
    else:
        with LiveBar(title, unit="bytes") as bar:
            yield lambda progress: bar.show(progress.done, progress.total, label=progress.text)


def megabytes(size: int | None) -> str:
    """A size as shown to users: ``"4.2 MB"``, ``"439 MB"``, ``"unknown"``."""
    if size is None:
        return "unknown"
    return f"{size / 1e6:.1f} MB" if size < 10e6 else f"{size / 1e6:,.0f} MB"


def _line(progress: DownloadProgress) -> str:
    share = f" of {megabytes(progress.total)}, {100 * progress.done / progress.total:.0f} %" if progress.total else ""
    return f"{megabytes(progress.done)}{share}{f', {progress.text}' if progress.text else ''}"


def _paced(say: Report) -> Report:
    last_time, last_text = float("-inf"), ""

    def report(progress: DownloadProgress) -> None:
        nonlocal last_time, last_text
        now = time.monotonic()
        if now - last_time >= _PAUSE or progress.done == progress.total or progress.text != last_text:
            last_time, last_text = now, progress.text
            say(progress)

    return report
