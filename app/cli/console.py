"""What a command says while it works: a live bar on a terminal, plain lines in a log, JSON lines for a machine.

Results and JSON go to stdout, progress and complaints to stderr, so that ``atrous ... --json | jq`` always works.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, Literal, Protocol

import click

from app.cli.terminal import LiveBar, is_live, say, say_json
from deeplab_core.errors import AtrousError, alike
from deeplab_core.json_rows import json_parts
from deeplab_core.printable import one_line
from deeplab_core.wording import count, name_some


class ProgressReporter(Protocol):
    """What a running command reports to."""

    def advance(self, label: str) -> None:
        """One more unit is done; ``label`` names it."""

    def note(self, text: str) -> None:
        """Something the user should read, without disturbing the bar."""


@contextmanager
def progress(title: str, total: int) -> Iterator[ProgressReporter]:
    """Report on ``total`` units of work: with a bar on a terminal, otherwise one line each at most once a second."""
    if not is_live():
        yield _Lines(title, total)
        return
    with LiveBar(title, total) as bar:
        yield bar


def emit(event: str, **values: object) -> None:
    """Write one JSON line to stdout. Paths become strings; in one with foreign bytes these are escaped."""
    say_json({"event": event, **values})


def say_failures(what: str, failures: Iterable[tuple[str, AtrousError]]) -> None:
    """Print images that failed, those for the same reason in one line; ``what`` happened to them: ``"not imported"``."""
    for error, names in alike(failures):
        names = tuple(one_line(name) for name in names)
        text = str(error).removeprefix(f"{names[0]}: ")
        if len(names) == 1:
            say(f"atrous: {what}: {names[0]}: {text}", err=True)
        else:
            say(f"atrous: {what}: {count(len(names), 'image')} ({name_some(names, 5)}), the first because: {text}", err=True)


_OVERWRITE = "app.cli.overwrite"


def remember_overwrite(context: click.Context, _parameter: click.Parameter, value: bool) -> bool:
    """Callback of an eager ``--overwrite``, so that :class:`ReportFile` knows of it."""
    context.meta[_OVERWRITE] = value
    return value


def overwrite_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--overwrite`` of commands that only write reports."""
    return click.option(
        "--overwrite", is_flag=True, is_eager=True, expose_value=False, callback=remember_overwrite,
        help="Allow a report to replace a file of another kind.",
    )(command)  # fmt: skip


class RenamedOption(click.Option):
    """An option that also answers to a name of an earlier version, which no help text shows.

    Args:
        old: the earlier name, such as ``"--beside"``.
    """

    def __init__(self, *args: Any, old: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._old = old

    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:
        """As the base, with the earlier name."""
        shown = self.opts
        self.opts = [*shown, self._old]
        try:
            super().add_to_parser(parser, ctx)
        finally:
            self.opts = shown


class ReportFile(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.4 on
    """A file that a command writes. An older report is replaced, a file of another kind only with ``--overwrite``.

    A picture, be it photograph or mask, a link, and a file that the command itself reads are never replaced. Checked before the
    command's work begins; what it reads is checked by :class:`ReportingCommand`.

    Args:
        kind: ``"JSON"``, ``"HTML"``, or ``"CSV"``, whose first column is called ``image`` or ``day``.
    """

    name = "file"

    def __init__(self, kind: Literal["JSON", "HTML", "CSV"]) -> None:
        self.kind = kind

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The path. Fails where a folder, a photograph, a link, or without ``--overwrite`` a file of another kind is there."""
        from deeplab_core.atomic import refuse_picture

        path = Path(value)
        if path.is_dir():
            self.fail(f"{path} is a folder.", param, ctx)
        try:
            refuse_picture(path)
        except AtrousError as error:
            self.fail(str(error), param, ctx)
        overwrite = ctx is not None and ctx.meta.get(_OVERWRITE, False)
        if not overwrite and path.exists() and not _is_report(path, self.kind):
            there = f"{path} is there already and no {self.kind} file"
            self.fail(f"{there}; choose another name, or replace it with --overwrite.", param, ctx)
        return path


class ReportingCommand(click.Command):
    """A command with files of the type :class:`ReportFile`: none of them is a file that the command reads, or another of them."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As the base; fails where a file would be read and written."""
        rest = super().parse_args(ctx, args)
        written: dict[str, Path] = {}
        for param in self.params:
            path = ctx.params.get(param.name or "") if isinstance(param.type, ReportFile) else None
            if path is None:
                continue
            label = param.opts[0]
            for other, reads in [*written.items(), *self._read(ctx)]:
                if _is_same(path, Path(reads)):
                    raise click.BadParameter(f"{path} is named by {other}, too; choose another name.", ctx, param)
            written[label] = path
        return rest

    def _read(self, ctx: click.Context) -> Iterator[tuple[str, str | Path]]:
        """Names of the parameters and the files that they may name."""
        for param in self.params:
            value = ctx.params.get(param.name or "")
            if not isinstance(param.type, ReportFile):
                for one in value if isinstance(value, tuple | list) else (value,):
                    if isinstance(one, str | Path) and one:
                        yield param.opts[0] if param.param_type_name == "option" else param.human_readable_name, one


def _is_same(one: Path, other: Path) -> bool:
    try:
        return one.resolve() == other.resolve() or (one.exists() and other.exists() and one.samefile(other))
    except (OSError, ValueError, RuntimeError):  # no name that a disk can hold
        return False


def _is_report(path: Path, kind: str) -> bool:
    """Whether a file is empty, or begins as files of this kind do."""
    try:
        with path.open("rb") as stream:
            head = stream.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    except OSError:
        return False
    known = {"JSON": (b"{", b"["), "HTML": (b"<!doctype html", b"<html", b"<!--"), "CSV": (b"image,", b"day,")}
    beginnings = known[kind]
    return not head or head.startswith(beginnings)


def write_json(path: Path | None, data: dict[str, Any]) -> None:
    """Write the file of ``--json FILE`` in one step; None writes nothing. Raises ValueError for nan: those figures are null."""
    if path is None:
        return
    from deeplab_core.atomic import atomic_write, refuse_picture

    refuse_picture(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(path, chain(json_parts(data, allow_nan=False, indent=1), (b"\n",)))


def write_page(path: Path, text: str) -> None:
    """Write the file of ``--html FILE`` in one step."""
    from deeplab_core.atomic import atomic_write

    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(path, text.encode("utf-8", "replace"))


class _Lines:
    def __init__(self, title: str, total: int) -> None:
        self._title, self._total, self._done, self._last_time = title, total, 0, float("-inf")

    def advance(self, label: str) -> None:
        self._done += 1
        now = time.monotonic()
        if now - self._last_time >= 1 or self._done == self._total:
            self._last_time = now
            say(f"{self._title} {self._done}/{self._total} {one_line(label)}", err=True)

    def note(self, text: str) -> None:
        say(text, err=True)
