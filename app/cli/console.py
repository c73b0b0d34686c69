"""What a command says while it works: a live bar on a terminal, plain lines in a log, JSON lines for a machine.

Results and JSON go to stdout, progress and complaints to stderr, so that ``atrous ... --json | jq`` always works.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import click


class Progress(Protocol):
    """What a running command reports to."""

    def advance(self, label: str) -> None:
        """One more unit is done; ``label`` names it."""

    def note(self, text: str) -> None:
        """Something a person should read, without disturbing the bar."""


@contextmanager
def progress(title: str, total: int) -> Iterator[Progress]:
    """Report on ``total`` units of work: with a bar on a terminal, otherwise one line each at most once a second."""
    if not sys.stderr.isatty():
        yield _Lines(title, total)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[label]}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        yield _Bar(bar, bar.add_task(title, total=total, label=""))


def emit(event: str, **values: Any) -> None:
    """Write one JSON line to stdout. Paths become strings."""
    click.echo(json.dumps({"event": event, **values}, default=str, ensure_ascii=False))


def write_json(path: Path | None, data: dict[str, Any]) -> None:
    """Write the file of ``--json FILE`` in one step; None writes nothing. Raises ValueError for nan: those figures are null."""
    if path is None:
        return
    from deeplab_core.formats import atomic_write

    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(path, (json.dumps(data, ensure_ascii=False, allow_nan=False, indent=1) + "\n").encode())


class _Lines:
    def __init__(self, title: str, total: int) -> None:
        self._title, self._total, self._done, self._said = title, total, 0, float("-inf")

    def advance(self, label: str) -> None:
        self._done += 1
        now = time.monotonic()
        if now - self._said >= 1 or self._done == self._total:
            self._said = now
            click.echo(f"{self._title} {self._done}/{self._total} {label}", err=True)

    def note(self, text: str) -> None:
        click.echo(text, err=True)


class _Bar:
    def __init__(self, bar: Any, task: Any) -> None:
        self._bar, self._task = bar, task

    def advance(self, label: str) -> None:
        self._bar.update(self._task, advance=1, label=label[-40:])

    def note(self, text: str) -> None:
        self._bar.console.print(text, markup=False, highlight=False)
