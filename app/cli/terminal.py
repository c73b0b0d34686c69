"""The only module of the command line that writes to a terminal: what it writes is text, and never obeyed as anything else.

Names of files, classes, catalogs and models, and messages that quote them, may hold escape sequences; see
:func:`deeplab_core.printable.printable`.
"""

from __future__ import annotations

import io
import json
import sys
import traceback
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

import click

from deeplab_core.printable import is_printable, one_line, printable
from deeplab_core.reading import json_text

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn


def prepare_output() -> None:
    """Let stdout escape what its encoding cannot hold, as stderr does, instead of failing in the middle of a table."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def show_crash(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print the trace of an uncaught exception, as ``sys.excepthook``: its message may quote names, too."""
    say("".join(traceback.format_exception(kind, error, trace)).rstrip("\n"), err=True)


def say(text: object = "", *, err: bool = False) -> None:
    """Print one or more lines to stdout, or to stderr; control characters come out as escapes that can be read."""
    click.echo(printable(text), err=err)


def say_json(values: dict[str, Any]) -> None:
    """Print values as one line of JSON to stdout. Paths become strings.

    Where the line would hold control characters or bytes that are not UTF-8, everything beyond ASCII is escaped: a reader of JSON
    gets the same values.
    """
    text = json_text(values, default=str)
    # In ASCII, JSON itself escapes all control characters but DEL, which can only stand within a string.
    click.echo(text if is_printable(text) else json.dumps(values, default=str).replace("\x7f", "\\u007f"))


def is_live() -> bool:
    """Whether someone looks at stderr on a terminal, where a bar can move."""
    return sys.stderr is not None and sys.stderr.isatty()


class LiveBar:
    """A moving bar on stderr that vanishes at its end. A context manager. Names are never markup.

    Args:
        title: in front of the bar.
        total: units of work, or bytes; None while it is not known.
        unit: what is counted: things, or bytes with their rate.
    """

    def __init__(self, title: str, total: int | None = None, unit: Literal["things", "bytes"] = "things") -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )  # fmt: skip

        counting: tuple[ProgressColumn, ...] = (MofNCompleteColumn(),)
        if unit == "bytes":
            counting = (DownloadColumn(), TransferSpeedColumn())
        self._bar: Progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            *counting,
            TimeRemainingColumn(),
            TextColumn("{task.fields[label]}", markup=False),
            console=Console(stderr=True, emoji=False),
            transient=True,
        )
        self._task = self._bar.add_task(printable(title), total=total, label="")

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_exception: object) -> None:
        self.stop()

    def start(self) -> Self:
        """Show it."""
        self._bar.start()
        return self

    def stop(self) -> None:
        """Remove it from the terminal."""
        self._bar.stop()

    def advance(self, label: str = "") -> None:
        """One more unit is done; ``label`` names it behind the bar."""
        self._bar.update(self._task, advance=1, label=printable(one_line(label))[-40:])

    def show(self, done: int, total: int | None, *, title: str | None = None, label: str = "") -> None:
        """Set how far the work is, and the texts in front of and behind the bar (``title`` None leaves the one in front)."""
        texts: dict[str, Any] = {"label": printable(one_line(label))}
        if title is not None:
            texts["description"] = printable(title)
        self._bar.update(self._task, completed=done, total=total, **texts)

    def note(self, text: str) -> None:
        """Print lines above the bar."""
        self._bar.console.print(printable(text), markup=False, highlight=False)
