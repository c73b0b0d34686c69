"""Which shards a process works on: all of them, every n-th of an array job, or the next free one under torchrun."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deeplab_core.reading import json_text, parse_json

if TYPE_CHECKING:
    from deeplab_core.shards import Fields, Shard

#: How long a process that has nothing left to do waits for the others.
_PATIENCE = timedelta(days=7)
#: Variables of batch systems: number of this task, first number, step, and how many tasks (or the last number).
_ARRAYS = (
    ("SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_MIN", "SLURM_ARRAY_TASK_STEP", "SLURM_ARRAY_TASK_COUNT", ""),
    ("SGE_TASK_ID", "SGE_TASK_FIRST", "SGE_TASK_STEPSIZE", "", "SGE_TASK_LAST"),
    ("LSB_JOBINDEX", "", "LSB_JOBINDEX_STEP", "", "LSB_JOBINDEX_END"),
    ("AWS_BATCH_JOB_ARRAY_INDEX", "", "", "AWS_BATCH_JOB_ARRAY_SIZE", ""),
)


def parse_share(_context: click.Context, _parameter: click.Parameter, value: str | None) -> tuple[int, int] | None:
    """``"2/8"`` as (2, 8); ``"array"`` as the task of a batch system's array job. BadParameter for anything else."""
    if not value:
        return None
    if value == "array":
        return _array_task(os.environ)
    number, slash, of = value.partition("/")
    try:
        share = int(number), int(of)
    except ValueError:
        share = (-1, 0)
    if not slash or not 0 <= share[0] < share[1]:
        raise click.BadParameter(f"'{value}' is not a share such as 0/4, 1/4, 2/4 or 3/4; the first number begins at 0")
    return share


def _array_task(told: Mapping[str, str]) -> tuple[int, int]:
    for task, first, step, number, last in _ARRAYS:
        if not told.get(task, "").isdigit():
            continue
        begin = int(told.get(first) or ("1" if last else "0"))
        width = int(told.get(step) or "1")
        total = int(told[number]) if told.get(number) else (int(told[last]) - begin) // width + 1 if told.get(last) else 0
        place = (int(told[task]) - begin) // width
        if 0 <= place < total:
            return place, total
    raise click.BadParameter(
        "no array job of Slurm, Grid Engine, LSF or AWS Batch is announced in the environment; give the share as NUMBER/OF"
    )


share_option = click.option(
    "--share",
    callback=parse_share,
    envvar="ATROUS_SHARE",
    default=None,
    metavar="NUMBER/OF",
    help="With --shards: only this share of the shards, e.g. 0/8; 'array' takes the task number of an array job "
    "(also ATROUS_SHARE). Not with torchrun, whose processes share by themselves.",
)


@dataclass(frozen=True)
class Share:
    """A process among those that share the shards of a run.

    Attributes:
        rank, world: number of this process and of all that see each other.
        fixed: (number, of) where only every n-th shard is this process's.
    """

    rank: int = 0
    world: int = 1
    fixed: tuple[int, int] | None = None
    _store: Any = None

    @property
    def leads(self) -> bool:
        """Whether this process says what concerns all."""
        return self.rank == 0

    @property
    def alone(self) -> bool:
        """Whether this process does all the work of the run."""
        return self.world == 1 and self.fixed is None

    def told(self, name: str, make: Callable[[], str]) -> str:
        """A text that the leading process makes and all get, so that the others need not look."""
        if self._store is None:
            return make()
        if self.leads:
            try:
                text = make()
            except BaseException:
                self._store.set(name, b"-")
                raise
            self._store.set(name, b"+" + text.encode("utf-8", "surrogateescape"))
            return text
        found: bytes = self._store.get(name)
        if found[:1] != b"+":
            raise click.Abort  # the leading process says why
        return found[1:].decode("utf-8", "surrogateescape")

    def deal(self, name: str, total: int) -> Iterator[int]:
        """Numbers below ``total``, each to one process: under torchrun to the one that asks next, so that none waits for another.

        Args:
            name: of this deal; processes that deal by one name share.
            total: how many.
        """
        if self._store is None:
            number, of = self.fixed or (0, 1)
            yield from range(number, total, of)
            return
        while (number := int(self._store.add(f"deal/{name}", 1)) - 1) < total:
            yield number

    def sum(self, name: str, number: int) -> int:
        """Sum over all processes, once all have called it."""
        if self._store is None:
            return number
        self._store.add(f"sum/{name}", number)
        self.wait(name)
        return int(self._store.add(f"sum/{name}", 0))

    def wait(self, name: str) -> None:
        """Until all processes are here."""
        if self._store is None:
            return
        if int(self._store.add(f"here/{name}", 1)) == self.world:
            self._store.set(f"all/{name}", b"1")
        self._store.wait([f"all/{name}"], _PATIENCE)


@contextmanager
def sharing(fixed: tuple[int, int] | None) -> Iterator[Share]:
    """The share of this process: ``fixed``, or what torchrun announces in the environment.

    torchrun's store deals the shards. It is a new one at each restart, whatever the number of processes then.

    Raises:
        click.UsageError: both.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield Share(fixed=fixed)
        return
    if fixed is not None:
        raise click.UsageError("--share is for processes that do not see each other; torchrun's share by themselves")
    if "MASTER_ADDR" not in os.environ:  # started by hand, with RANK and WORLD_SIZE alone
        yield Share(fixed=(int(os.environ.get("RANK", "0")), world))
        return
    from torch.distributed import rendezvous  # type: ignore[attr-defined]

    store, rank, world = next(rendezvous("env://", timeout=timedelta(minutes=10)))
    store.set_timeout(_PATIENCE)
    share = Share(rank, world, None, store)
    yield share
    # The store may live in the leading process, which therefore leaves last.
    left = int(store.add("left", 1))
    while share.leads and left < world:
        time.sleep(0.02)
        left = int(store.add("left", 0))


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardOptions:
    """What the user says about shards.

    Attributes:
        specs: ``--shards``; empty if it was not given.
        share: ``--share``, or None.
        names: names of members and columns by role.
    """

    specs: tuple[str, ...] = ()
    share: tuple[int, int] | None = None
    names: Mapping[str, str]

    def __bool__(self) -> bool:
        return bool(self.specs)

    def fields(self) -> Fields:
        """The names as the core takes them."""
        from deeplab_core.shards import Fields

        return Fields(**self.names)

    def listed(self, share: Share) -> tuple[Shard, ...]:
        """The shards, looked for by the leading process alone. Raises AtrousError."""
        from deeplab_core.shards import Shard, list_shards

        def make() -> str:
            return json_text([[each.url, each.name, each.kind, each.part] for each in list_shards(self.specs)])

        rows = parse_json(share.told("shards", make), limit=1 << 30, what="the list of shards")
        return tuple(Shard(url, name, kind, None if part is None else tuple(part)) for url, name, kind, part in rows)

    def check(self) -> None:
        """Refuse what only shards have. Raises click.UsageError."""
        given = ["--share"] if self.share is not None else []
        given += [f"--{role}-field" for role, name in self.names.items() if name]
        if given and not self.specs:
            raise click.UsageError(f"{given[0]} goes with --shards")


def shard_options(*roles: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add ``--shards``, ``--share`` and ``--ROLE-field``; the command gets them as ``shards``."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @click.option(
            "--shards", "shard_specs", metavar="SPEC", multiple=True,
            help="Work on shards: tar or Parquet files or manifests (CSV, JSON lines), local, http or of an object store, "
            "e.g. 'part-{000..127}.tar'; needs the extra 'shards'. May be repeated.",
        )  # fmt: skip
        @share_option
        @functools.wraps(command)
        def wrapper(*args: Any, shard_specs: tuple[str, ...], share: tuple[int, int] | None, **values: Any) -> Any:
            names = {role: values.pop(f"{role}_field") or "" for role in roles}
            options = ShardOptions(specs=shard_specs, share=share, names=names)
            options.check()
            return command(*args, shards=options, **values)

        for role in reversed(roles):
            what = "regions that are not scored" if role == "ambiguous" else role
            text = "Shards: column of the images' names." if role == "id" else f"Shards: ending or column of the {what}."
            wrapper = click.option(f"--{role}-field", f"{role}_field", metavar="NAME", default=None, help=text)(wrapper)
        return wrapper

    return decorate


class OutputPlace(click.Path):
    """A folder to write to, as a Path; with shards also an address of a store, as a text."""

    def __init__(self, *, exists: bool = False) -> None:
        super().__init__(exists=exists, file_okay=False, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path or address."""
        return value if isinstance(value, str) and "://" in value else super().convert(value, param, ctx)
