"""Running a program with every change of a folder's files recorded, and making the states that a crash could leave.

The recorder is a small C library that is preloaded into the program (``oplog.c``), so SQLite's files are seen as well as ours.
Two kinds of crash are made from one record:

- *killed*: the program ends, the system goes on. Every operation before that instant is on disk, the last write perhaps in part.
- *power cut*: the system ends too. What was not flushed may be there in any mixture of 512-byte sectors. ``ordered`` is what
  journaling file systems promise in practice (names in their order, and fsync of a file commits the names before it); in
  ``strict`` the only thing POSIX promises holds: fsync of a file commits its content, fsync of a folder its names.
"""

from __future__ import annotations

import atexit
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SECTOR = 512

_HEAD = struct.Struct("=cqqq")


@dataclass(frozen=True, slots=True)
class Operation:
    """One successful change of a file below the watched folder.

    Attributes:
        kind: ``open write truncate sync rename unlink mkdir rmdir`` by their letters in ``oplog.c``; ``m`` is a mark.
        handle: of the open file; 0 for names and marks.
        offset: of a write, or the new length of a truncated file; for ``o`` 1 created, 2 emptied, 3 both.
        data: what was written, a path (relative, two of them with a zero byte between for ``r``), or a mark's text.
    """

    kind: str
    handle: int
    offset: int
    data: bytes

    @property
    def path(self) -> str:
        return os.fsdecode(self.data)

    @property
    def paths(self) -> tuple[str, str]:
        source, target, _ = self.data.split(b"\0")
        return os.fsdecode(source), os.fsdecode(target)


@cache
def library(source: str = "oplog") -> Path | None:
    """A C file of this folder as a library to preload, built once per run: ``oplog``, the recorder, or ``network``.

    None on systems without a C compiler or LD_PRELOAD.
    """
    compiler = next((name for name in ("cc", "gcc", "clang") if shutil.which(name)), None)
    if compiler is None or sys.platform != "linux":
        return None
    target = Path(tempfile.mkdtemp(prefix=f"atrous-{source}-")) / f"{source}.so"
    atexit.register(shutil.rmtree, target.parent, ignore_errors=True)
    code = str(Path(__file__).with_name(f"{source}.c"))
    command = [compiler, "-shared", "-fPIC", "-O1", "-o", str(target), code, "-ldl", "-lpthread"]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return target


def environment(folder: Path, log: Path | None = None, *, fail: tuple[int, int, int] | None = None) -> dict[str, str]:
    """Variables for a program: its changes of ``folder`` are recorded into ``log``, or made to fail.

    Args:
        fail: (number of the first operation to fail, counted from 1; how many fail; errno).
    """
    preload = library()
    assert preload is not None
    variables = {**os.environ, "LD_PRELOAD": str(preload), "OPLOG_ROOT": os.path.realpath(folder)}
    variables["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    if log is not None:
        variables["OPLOG_FILE"] = str(log)
    if fail is not None:
        variables["OPLOG_FAIL"] = " ".join(str(number) for number in fail)
    return variables


def read_log(log: Path, folder: Path) -> list[Operation]:
    """Recorded operations in order, paths relative to ``folder``. SQLite's shared index, which is not a file, is left out."""
    data = log.read_bytes()
    prefix = os.fsencode(os.path.realpath(folder)) + b"/"
    found: list[Operation] = []
    left_out: set[int] = set()
    at = 0
    while at + _HEAD.size <= len(data):
        letter, handle, offset, length = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        content = data[at : at + length]
        at += length
        kind = letter.decode()
        if kind in "ourde":
            # The watched folder itself is the empty path.
            content = b"\0".join((part + b"/").removeprefix(prefix).rstrip(b"/") for part in content.split(b"\0"))
            if content.endswith(b"-shm"):
                left_out.add(handle)
                continue
        if kind in "wts" and handle in left_out:
            continue
        found.append(Operation(kind, handle, offset, content))
    return found


@dataclass(slots=True, eq=False)
class _File:
    """A file's content: what a flush has committed, and what was written since."""

    durable: bytearray = field(default_factory=bytearray)
    pending: list[tuple[int, bytes]] = field(default_factory=list)  # (offset, data); data of a truncation is empty, see cut

    def content(self) -> bytearray:
        data = bytearray(self.durable)
        for offset, piece in self.pending:
            _put(data, offset, piece)
        return data

    def flush(self) -> None:
        self.durable, self.pending = self.content(), []

    def torn(self, rng: random.Random, kept: float) -> bytearray:
        """The content after a power cut: each sector of each unflushed write got through with probability ``kept``."""
        data = bytearray(self.durable)
        for offset, piece in self.pending:
            if not piece:
                if rng.random() < kept:
                    _put(data, offset, piece)
                continue
            start = 0
            while start < len(piece):
                end = min(len(piece), (offset + start) // SECTOR * SECTOR + SECTOR - offset)
                if rng.random() < kept:
                    _put(data, offset + start, piece[start:end])
                start = end
        return data


def _put(data: bytearray, offset: int, piece: bytes) -> None:
    """Write ``piece`` at ``offset``; an empty piece cuts or extends the file to ``offset`` bytes."""
    if not piece:
        del data[offset:]
        data.extend(bytes(max(0, offset - len(data))))
        return
    data.extend(bytes(max(0, offset - len(data))))
    data[offset : offset + len(piece)] = piece


class _Names:
    """The folder's names: path -> file, and the folders."""

    def __init__(self, start: Mapping[str, bytes]) -> None:
        self.files: dict[str, _File] = {path: _File(bytearray(data)) for path, data in start.items()}
        self.folders: set[str] = set()

    def apply(self, operation: Operation, file: _File | None = None) -> None:
        """Change the names. What cannot be (its folder or source is missing) does not happen, as on a real disk."""
        if operation.kind == "d":
            if self._has_folder(operation.path):
                self.folders.add(operation.path)
        elif operation.kind == "e":
            self.folders.discard(operation.path)
        elif operation.kind == "u":
            self.files.pop(operation.path, None)
        elif operation.kind == "o" and file is not None:
            if self._has_folder(operation.path):
                self.files[operation.path] = file
        elif operation.kind == "r":
            source, target = operation.paths
            if source in self.files and self._has_folder(target):
                self.files[target] = self.files.pop(source)

    def _has_folder(self, path: str) -> bool:
        folder = path.rpartition("/")[0]
        return not folder or folder in self.folders


class Disk:
    """A disk that has taken the first operations of a record. ``start`` is what the folder held before, by relative path."""

    def __init__(self, start: Mapping[str, bytes]) -> None:
        self._now = _Names(start)
        self._opened: dict[int, _File] = {}
        self._paths: dict[int, str] = {}
        self._first = dict(self._now.files)
        self._changes: list[tuple[Operation, _File | None]] = []  # of names, in order
        self._committed = 0  # this many of them by a flush, on an ordered file system
        self._flushed_folders: dict[str, int] = {}  # folder -> changes of names that its own flush has committed

    def take(self, operation: Operation) -> None:
        """Carry out one operation."""
        kind = operation.kind
        if kind == "o":
            file = self._now.files.get(operation.path)
            if operation.offset & 1:
                file = _File()
                self._change(operation, file)
            elif file is not None and operation.offset & 2:
                file.pending.append((0, b""))
            if file is not None:
                self._opened[operation.handle] = file
            self._paths[operation.handle] = operation.path
        elif kind in "wt" and operation.handle in self._opened:
            self._opened[operation.handle].pending.append((operation.offset, operation.data))
        elif kind == "s":
            self._committed = len(self._changes)
            if operation.handle in self._opened:
                self._opened[operation.handle].flush()
            else:
                self._flushed_folders[self._paths.get(operation.handle, "")] = len(self._changes)
        elif kind in "rude":
            self._change(operation, None)

    def _change(self, operation: Operation, file: _File | None) -> None:
        self._now.apply(operation, file)
        self._changes.append((operation, file))

    def killed(self) -> dict[str, bytes]:
        """What the folder holds when the program ends here: path -> content."""
        return {path: bytes(file.content()) for path, file in self._now.files.items()}

    def power_cut(self, rng: random.Random, *, strict: bool) -> dict[str, bytes]:
        """What the folder may hold when the power goes here: one of many possible states."""
        names = _Names({})
        names.files = dict(self._first)
        kept_names = rng.choice((0.0, 0.5, 1.0))
        upto = rng.randint(self._committed, len(self._changes))
        for number, (operation, file) in enumerate(self._changes):
            if strict:
                folder = (operation.paths[1] if operation.kind == "r" else operation.path).rpartition("/")[0]
                committed = number < self._flushed_folders.get(folder, 0)
                if committed or rng.random() < kept_names:
                    names.apply(operation, file)
            elif number < upto:
                names.apply(operation, file)
        kept = rng.choice((0.0, 0.2, 0.5, 0.8, 1.0))
        return {path: bytes(file.torn(rng, kept)) for path, file in names.files.items()}


def partial(operation: Operation, share: float) -> Operation:
    """A write of which only the beginning got through."""
    return Operation(
        operation.kind, operation.handle, operation.offset, operation.data[: max(1, int(len(operation.data) * share))]
    )


def lay_out(content: Mapping[str, bytes], folder: Path) -> None:
    """Make a folder hold exactly ``content``."""
    shutil.rmtree(folder, ignore_errors=True)
    for path, data in content.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)


def states(operations: Sequence[Operation], start: Mapping[str, bytes], wanted: Sequence[int]) -> Iterator[tuple[int, Disk]]:
    """Yield (number of operations done, disk) for each wanted number, ascending. The disk is the same object all along."""
    disk = Disk(start)
    done = 0
    for number in sorted(set(wanted)):
        for operation in operations[done:number]:
            disk.take(operation)
        done = number
        yield number, disk
