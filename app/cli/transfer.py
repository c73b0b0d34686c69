"""How a download looks on the command line: a bar on a terminal, a line now and then in a log, JSON lines for a machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from app.cli.console import emit
from app.cli.terminal import LiveBar, is_live, say
from deeplab_core.hub import Progress

Report = Callable[[Progress], None]

#: Seconds between two lines without a terminal.
_PAUSE = 2.0


@contextmanager
def transfer(title: str, *, as_json: bool) -> Iterator[Report]:
    """Show how far a download is; what is yielded takes its progress."""
    if as_json:
        yield _paced(lambda told: emit("progress", done=told.done, total=told.total, text=told.text))
    elif not is_live():
        yield _paced(lambda told: say(f"{title} {_line(told)}", err=True))
    else:
        with LiveBar(title, unit="bytes") as bar:
            yield lambda told: bar.show(told.done, told.total, label=told.text)


def megabytes(size: int | None) -> str:
    """A size as shown to users: ``"4.2 MB"``, ``"439 MB"``, ``"unknown"``."""
    if size is None:
        return "unknown"
    return f"{size / 1e6:.1f} MB" if size < 10e6 else f"{size / 1e6:,.0f} MB"


def _line(told: Progress) -> str:
    share = f" of {megabytes(told.total)}, {100 * told.done / told.total:.0f} %" if told.total else ""
    return f"{megabytes(told.done)}{share}{f', {told.text}' if told.text else ''}"


def _paced(say: Report) -> Report:
    said, last_text = float("-inf"), ""

    def report(told: Progress) -> None:
        nonlocal said, last_text
        now = time.monotonic()
        if now - said >= _PAUSE or told.done == told.total or told.text != last_text:
            said, last_text = now, told.text
            say(told)

    return report
