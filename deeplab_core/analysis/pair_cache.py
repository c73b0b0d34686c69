"""Figures of pairs of masks that were compared before, in a file of the user: ``atrous evaluate --cache``."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from deeplab_core import __version__
from deeplab_core.analysis.record import ImageAnalysis
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.errors import AtrousError, MaskFormatError, message
from deeplab_core.notes import Note
from deeplab_core.reading import VALUE_ERRORS, parse_json

#: Rises when figures are counted in another way within one version of the program.
_VERSION = 1
#: "AtrE": how SQLite's header marks a file of this kind.
_APPLICATION = 0x41747245
#: A file that changed within this time before it was read may change again without another time or size; in ns.
_SETTLED = 2_000_000_000
#: Pairs that are written together.
_GROUP = 500
#: How long another process may take to write its own, s.
_PATIENCE = 30.0
_MOST_HEAD = 1 << 20

_SCHEMA = """
CREATE TABLE IF NOT EXISTS pairs (
    prediction TEXT NOT NULL, options TEXT NOT NULL, stamp TEXT NOT NULL, data BLOB NOT NULL, PRIMARY KEY (prediction, options)
)
"""


@dataclass(frozen=True, slots=True, eq=False)
class PairFigures:
    """What is kept of a pair.

    Attributes:
        record: its counts.
        shape: (H, W).
        truth_px, over_void: (C + 1,) int64: pixels of the ground truth, and what was predicted where it is void.
        truth_notes, prediction_notes: what was read in an unusual way.
    """

    record: ImageAnalysis
    shape: tuple[int, int]
    truth_px: NDArray[np.int64]
    over_void: NDArray[np.int64]
    truth_notes: tuple[Note, ...]
    prediction_notes: tuple[Note, ...]

    def to_bytes(self) -> bytes:
        """The form in which it is kept; :meth:`from_bytes` is the inverse."""
        head = json.dumps(
            {
                "shape": list(self.shape),
                "truth_px": self.truth_px.tolist(),
                "over_void": self.over_void.tolist(),
                "notes": [[_note_values(note) for note in notes] for notes in (self.truth_notes, self.prediction_notes)],
            },
            separators=(",", ":"),
        ).encode()
        return len(head).to_bytes(4, "little") + head + self.record.to_bytes()

    @classmethod
    def from_bytes(cls, data: bytes, catalog: ClassCatalog) -> PairFigures | None:
        """The figures; None if the bytes are damaged or belong to other classes."""
        try:
            end = 4 + min(int.from_bytes(data[:4], "little"), _MOST_HEAD)
            head = parse_json(data[4:end])
            height, width = head["shape"]
            notes = [tuple(_note(*values) for values in part) for part in head["notes"]]
            counts = [np.array(head[name], np.int64) for name in ("truth_px", "over_void")]
            if len(notes) != 2 or any(each.shape != (len(catalog) + 1,) for each in counts):
                return None
            record = ImageAnalysis.from_bytes(data[end:], catalog)
            return cls(record, (int(height), int(width)), counts[0], counts[1], notes[0], notes[1])
        except AtrousError:
            return None
        except VALUE_ERRORS:
            return None


def _note_values(note: Note) -> list[Any]:
    return [note.kind, note.text, note.summary, note.warning]


def _note(kind: Any, text: str, summary: str, warning: bool) -> Note:
    return Note(kind, str(text), str(summary), bool(warning))


def files_stamp(files: Iterable[Path | None], recorded: Sequence[str | None]) -> tuple[str, bool]:
    """What tells whether files are still the ones that were read.

    Args:
        files: everything that the figures of a pair rest on; None for a file that does not exist.
        recorded: what else they rest on.

    Returns:
        A digest of paths, sizes and times of change; and whether the last change is long enough ago to rely on it.
    """
    parts: list[Any] = list(recorded)
    newest = 0
    for path in files:
        status = None if path is None else path.stat()
        parts.append(None if status is None else [str(path), status.st_size, status.st_mtime_ns])
        newest = max(newest, 0 if status is None else status.st_mtime_ns)
    text = json.dumps(parts).encode("utf-8", "surrogateescape")
    return hashlib.sha256(text).hexdigest(), newest < time.time_ns() - _SETTLED


class PairCache:
    """A SQLite file of figures by prediction and options; several threads and processes may use one.

    Each pair has one entry for each set of options: a changed file replaces it, so runs do not add up. A file that cannot be read
    or written later costs no figures: :attr:`problem` then says what is wrong, and pairs are counted as without it.

    Args:
        path: the file; it is made if it does not exist.

    Attributes:
        problem: why the file was given up; None while it is in use.

    Raises:
        MaskFormatError: the file is of another kind, or cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problem: MaskFormatError | None = None
        self._mutex = threading.Lock()
        #: Written in one short transaction, so that other processes need not wait.
        self._waiting: list[tuple[str, str, str, bytes]] = []
        if path.is_symlink() or (path.exists() and not path.is_file()):
            raise _unusable(path, message("it is a link or no file"))
        fresh = not path.exists() or path.stat().st_size == 0
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._database = sqlite3.connect(path, timeout=_PATIENCE, check_same_thread=False)
            if not fresh and self._database.execute("PRAGMA application_id").fetchone()[0] != _APPLICATION:
                self._database.close()
                raise _unusable(path, message("it is a file of another kind"))
            if fresh:
                self._database.execute(f"PRAGMA application_id = {_APPLICATION}")
            self._database.execute(_SCHEMA)
            self._database.commit()
        except sqlite3.Error as error:
            raise _unusable(path, message("{error}", error=str(error))) from error

    def __enter__(self) -> Self:
        """The cache itself."""
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None) -> None:
        """Keep what was found so far, also after an error, and close the file."""
        self.close()

    def close(self) -> None:
        """Write what waits, and close the file."""
        with self._mutex:
            self._write()
            self._database.close()

    def find(self, prediction: Path, options: str, stamp: str) -> bytes | None:
        """The figures of a pair whose files are as ``stamp`` says; None without."""
        query = "SELECT data FROM pairs WHERE prediction = ? AND options = ? AND stamp = ?"
        with self._mutex:
            if self.problem is not None:
                return None
            try:
                row = self._database.execute(query, (_text(prediction), options, stamp)).fetchone()
            except sqlite3.Error as error:
                self._give_up(error)
                return None
        return None if row is None else bytes(row[0])

    def keep(self, prediction: Path, options: str, stamp: str, data: bytes) -> None:
        """Keep the figures of a pair."""
        with self._mutex:
            self._waiting.append((_text(prediction), options, stamp, data))
            if len(self._waiting) >= _GROUP:
                self._write()

    def _write(self) -> None:
        waiting, self._waiting = self._waiting, []
        if not waiting or self.problem is not None:
            return
        try:
            with self._database:
                self._database.executemany("INSERT OR REPLACE INTO pairs VALUES (?, ?, ?, ?)", waiting)
        except sqlite3.Error as error:
            self._give_up(error)

    def _give_up(self, error: sqlite3.Error) -> None:
        self.problem = _unusable(self.path, message("{error}", error=str(error)))


def options_digest(catalog: ClassCatalog, values: dict[str, Any]) -> str:
    """A digest of everything but files that figures rest on: classes, options, and the version of the program."""
    text = json.dumps([_VERSION, __version__, repr(catalog), values], sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _text(path: Path) -> str:
    return str(path.absolute()).encode("utf-8", "surrogateescape").hex()


def _unusable(path: Path, why: Any) -> MaskFormatError:
    return MaskFormatError(
        message("this file cannot be used as a cache of an evaluation"),
        why=why,
        remedy=message("Name another file with --cache, or leave the option out"),
        path=path,
    )
