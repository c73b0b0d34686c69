"""Connections to SQLite files that may come from anybody, what their errors mean, and setting a file aside.

SQLite's advice for untrusted files (sqlite.org/security.html) holds on every connection that is made here: nothing of the schema
is trusted, cells are checked, limits are low, and a statement that never ends is ended.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote_to_bytes

from app.state.schema import APPLICATION_ID
from deeplab_core.atomic import refuse_open_image
from deeplab_core.errors import AtrousError, ProjectError, StorageError, message
from deeplab_core.reading import parse_json

#: Bound of one setting in the ``meta`` table, bytes.
_MOST_BYTES = 64 << 20

#: Files that SQLite and we keep beside the database.
COMPANIONS = ("-wal", "-shm", "-journal", "-mark")
#: Those of them that hold no work: the index of the log, and the count of transactions.
_DERIVED = ("-shm", "-mark")

#: What SQLite raises through Python; the message about a damaged schema quotes it, which need not be text.
SQLITE_ERRORS = (sqlite3.Error, UnicodeDecodeError)

_CORRUPT = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT}
_WHY = {
    sqlite3.SQLITE_FULL: (message("The disk is full"), message("Free some space; saving goes on by itself")),
    sqlite3.SQLITE_READONLY: (
        message("The project folder is read-only"),
        message("Make it writable, or open the folder with --project DIR"),
    ),
    sqlite3.SQLITE_CANTOPEN: (
        message("The project folder cannot be written"),
        message("Make it writable, or open the folder with --project DIR"),
    ),
    sqlite3.SQLITE_PERM: (
        message("The project folder may not be written"),
        message("Make it writable, or open the folder with --project DIR"),
    ),
    sqlite3.SQLITE_BUSY: (
        message("Another program is using the project's database"),
        message("Close it; saving goes on by itself"),
    ),
    sqlite3.SQLITE_IOERR: (message("The disk reports an error"), message("Check the disk; saving goes on by itself")),
}

#: A disk with less than this is full: the index of the log grows by 32 KiB.
_FULL_BYTES = 256 * 1024

# No statement of ours comes near these bounds; a hostile file that makes one of them long is stopped.
_LIMITS = (
    (sqlite3.SQLITE_LIMIT_SQL_LENGTH, 100_000),
    (sqlite3.SQLITE_LIMIT_COLUMN, 100),
    (sqlite3.SQLITE_LIMIT_EXPR_DEPTH, 50),
    (sqlite3.SQLITE_LIMIT_COMPOUND_SELECT, 5),
    (sqlite3.SQLITE_LIMIT_VDBE_OP, 25_000),
    (sqlite3.SQLITE_LIMIT_FUNCTION_ARG, 8),
    (sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 100),
    (sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH, 10),
    (sqlite3.SQLITE_LIMIT_ATTACHED, 0),
)

#: One statement may run so many steps of SQLite's machine, and so many more per byte of the file. The largest of ours, over
#: 100,000 images, needs some ten million; pages that refer to each other in a crafted file give rows without end.
_STEPS, _STEPS_PER_BYTE, _TICK = 200_000_000, 5, 100_000


class DamagedStore(ProjectError):
    """The database file is not what Atrous wrote: set it aside and begin a new one."""


class RemovedStore(StorageError):
    """The database was deleted or replaced while it was open: what is written goes nowhere until it is written again."""


class StatementLimit:
    """Ends a statement that runs longer than any of ours could on a file of this size; SQLite asks every so many steps."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._bytes = 0
        self._ticks = 0
        self.renew()

    def measure(self) -> None:
        """Look how large the file and its log are now."""
        self._bytes = 0
        for suffix in ("", "-wal"):
            with contextlib.suppress(OSError):
                self._bytes += self._path.with_name(self._path.name + suffix).stat().st_size
        self.renew()

    def renew(self) -> None:
        """Begin to count again, for the next statement."""
        self._ticks = (_STEPS + _STEPS_PER_BYTE * self._bytes) // _TICK

    def __call__(self) -> bool:
        self._ticks -= 1
        return self._ticks < 0


def connect(path: Path, mode: str, *, timeout: float) -> sqlite3.Connection:
    """A connection by URI; ``mode`` is one of SQLite's (``ro``, ``rw``, ``rwc``) or ``immutable=1``.

    Names in foreign bytes, which SQLite's text cannot hold, go in and come out as they are (:class:`_Connection`).
    """
    query = mode if "=" in mode else f"mode={mode}"
    uri = f"{path.absolute().as_uri()}?{query}"
    connection = sqlite3.connect(
        uri, uri=True, timeout=timeout, isolation_level=None, check_same_thread=False, factory=_Connection
    )
    connection.text_factory = _from_text
    return connection


#: Begins a text that stands for one with foreign bytes. No relative path begins so.
_FOREIGN = "/foreign:"


class _Connection(sqlite3.Connection):
    """A connection that takes names that are not UTF-8.

    Unzipped on another system, a name may hold any bytes; Python gives them as lone surrogates, which SQLite refuses. They are
    kept percent-encoded behind a mark, one form for each name, so that they can be compared.
    """

    def execute(self, sql: str, parameters: object = (), /) -> sqlite3.Cursor:
        return super().execute(sql, _storable(parameters))

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> sqlite3.Cursor:
        return super().executemany(sql, map(_storable, parameters))


def _storable(values: object) -> Any:
    if not isinstance(values, tuple | list):
        return values
    return [_to_text(value) if type(value) is str and not value.isascii() else value for value in values]


def _to_text(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        try:
            return _FOREIGN + quote(text.encode("utf-8", "surrogateescape"))
        except UnicodeEncodeError:  # half of a surrogate pair, which no file name gives
            return text.encode("utf-8", "backslashreplace").decode()
    return text


def _from_text(data: bytes) -> str:
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise sqlite3.OperationalError(f"Could not decode text: {error.reason}") from error
    if text.startswith(_FOREIGN):
        return unquote_to_bytes(text[len(_FOREIGN) :]).decode("utf-8", "surrogateescape")
    return text


def read_rows(
    connection: sqlite3.Connection, sql: str, values: Sequence[Any], kinds: Sequence[type] | None = None
) -> list[tuple[Any, ...]]:
    """All rows of a query; raises as ``fetchall``. The caller must be alone on the connection.

    Args:
        kinds: of the columns, not checked here. If they are given, SQLite's module itself decodes texts: a call of
            :func:`_from_text` for each one is most of the time of 100,000 rows.
    """
    if kinds is None:
        return connection.execute(sql, values).fetchall()
    connection.text_factory = str
    try:
        found = connection.execute(sql, values).fetchall()
    finally:
        connection.text_factory = _from_text
    # A damaged row may hold text in any column; its type refuses it afterwards.
    texts = [place for place, kind in enumerate(kinds) if kind in (str, object)]
    if any(_has_foreign(found, place) for place in texts):
        return [tuple(_from_text(value.encode()) if type(value) is str else value for value in row) for row in found]
    return found


def _has_foreign(rows: list[tuple[Any, ...]], place: int) -> bool:
    """Whether a text of a column may stand for one with foreign bytes."""
    try:
        return _FOREIGN in "\0".join(map(itemgetter(place), rows))
    except TypeError:  # not all are texts
        return True


def be_careful(connection: sqlite3.Connection, guard: StatementLimit) -> None:
    """What sqlite.org/security.html advises for files from elsewhere, before anything is read."""
    for limit, value in _LIMITS:
        connection.setlimit(limit, value)
    guard.measure()
    connection.set_progress_handler(guard, _TICK)
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    connection.execute("PRAGMA mmap_size = 0")


@contextlib.contextmanager
def look_into(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that only reads the plain file and touches nothing, neither locks nor companions. Raises sqlite3.Error."""
    with contextlib.closing(connect(path, "immutable=1", timeout=0.0)) as connection:
        be_careful(connection, StatementLimit(path))
        yield connection


@contextlib.contextmanager
def damaged_reader(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that reads a file that was set aside, with its log if that can be read. Raises sqlite3.Error."""
    last: Exception | None = None
    for mode in ("ro", "immutable=1"):
        connection = connect(path, mode, timeout=0.0)
        guard = StatementLimit(path)
        try:
            be_careful(connection, guard)
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except SQLITE_ERRORS as error:
            connection.close()
            last = error
            continue
        with contextlib.closing(connection):
            yield connection
            return
    assert last is not None
    raise last


def refuse_foreign(path: Path) -> None:
    """Raise ProjectError if a file is another program's database. It is not changed, not even its journal mode."""
    try:
        if not path.is_file() or path.stat().st_size == 0:
            return
        with look_into(path) as connection:
            (owner,) = connection.execute("PRAGMA application_id").fetchone()
            (objects,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except (OSError, *SQLITE_ERRORS):
        return  # Damaged, or its pages are still in a log: the connection that reads those asks once more, before it writes.
    if owner != APPLICATION_ID and objects:
        raise foreign(path)


def foreign(path: Path) -> ProjectError:
    return ProjectError(message("this is not a project of Atrous"), remedy=message("Choose another project folder"), path=path)


def check_kinds(rows: list[tuple[Any, ...]], kinds: Sequence[type], path: Path) -> None:
    """Raise DamagedStore if a row does not hold these types; whole numbers pass as float, anything as object."""
    wanted = tuple(kinds)
    if all(set(map(type, map(itemgetter(place), rows))) <= {kind} for place, kind in enumerate(wanted)):
        return
    for row in rows:
        for value, kind in zip(row, wanted, strict=True):
            if not isinstance(value, (float, int) if kind is float else kind):
                raise DamagedStore(
                    message("the project's database is damaged"),
                    why=message(
                        "A row holds {found} where {expected} belongs", found=type(value).__name__, expected=kind.__name__
                    ),
                    remedy=message("Open the folder again: the file is set aside, and what can be read of it is kept"),
                    path=path,
                )


def store_error(error: Exception, path: Path) -> AtrousError:
    """What an error of SQLite means to the user: damaged data is a ProjectError, anything else a StorageError."""
    full_code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    code = full_code & 0xFF
    unreadable = isinstance(error, UnicodeDecodeError) or (
        isinstance(error, sqlite3.OperationalError) and "decode" in str(error)  # text that is not UTF-8
    )
    endless = code == sqlite3.SQLITE_INTERRUPT
    if code in _CORRUPT or unreadable or endless:
        return DamagedStore(
            message("the project's database is damaged"),
            why=message("It holds more rows than a file of its size can") if endless else str(error),
            remedy=message("Open the folder again: the file is set aside, and what can be read of it is kept"),
            path=path,
        )
    if full_code == sqlite3.SQLITE_READONLY_DBMOVED:
        return removed_store(path, message("{file} was moved; everything is still in memory", file=path.name))
    if code == sqlite3.SQLITE_IOERR and _full(path):
        code = sqlite3.SQLITE_FULL  # no room for the index of the log is reported as an error of the disk
    why, remedy = _WHY.get(code, (message("The database reports: {error}", error=error), message("Try again")))
    return StorageError(message("the project cannot be saved"), why=why, remedy=remedy, path=path)


def removed_store(path: Path, why: str) -> RemovedStore:
    """The error for a database that is not the file any more that was opened."""
    return RemovedStore(
        message("the project was removed or replaced while it was open"),
        why=why,
        remedy=message("Write the project again, or, if you moved the folder, close this window and open it at its new place"),
        path=path,
    )


def _full(path: Path) -> bool:
    try:
        return shutil.disk_usage(path.parent).free < _FULL_BYTES
    except OSError:
        return False


def set_aside(path: Path, reason: str = "damaged") -> Path:
    """Rename a file so that another one can take its place; it is never deleted. Returns its new name.

    Args:
        reason: why, one word; it becomes part of the name.

    Raises:
        StorageError: it cannot be renamed; ProtectedFile: it is an image of the folder.
    """
    refuse_open_image(path)
    stamp = time.strftime("%Y%m%d-%H%M%S")
    target = path.with_name(f"{path.name}.{reason}-{stamp}")
    number = 1
    while os.path.lexists(target):
        number += 1
        target = path.with_name(f"{path.name}.{reason}-{stamp}-{number}")
    try:
        path.rename(target)
    except OSError as error:
        raise StorageError(
            message("a file cannot be set aside"), why=str(error), remedy=message("Check the folder's rights"), path=path
        ) from error
    return target


def set_database_aside(path: Path, reason: str) -> Path | None:
    """:func:`set_aside` for a database and the files beside it, so that they still belong together; None if there is none."""
    aside = set_aside(path, reason) if os.path.lexists(path) else None
    for suffix in COMPANIONS:
        companion = path.with_name(path.name + suffix)
        if not os.path.lexists(companion):
            continue
        if aside is None and suffix in _DERIVED:  # without its database it says nothing
            with contextlib.suppress(OSError):
                companion.unlink()
        elif aside is None:
            set_aside(companion, reason)
        else:
            with contextlib.suppress(OSError):
                companion.rename(aside.with_name(aside.name + suffix))
    return aside


def meta_json(text: str, key: str) -> Any:
    """A value of the ``meta`` table; what is not JSON is damage."""
    return parse_json(
        text,
        limit=_MOST_BYTES,
        what=message("the project's setting {key}", key=key),
        remedy=message("Open the folder again: the database is set aside, and what can be read of it is kept"),
        error=DamagedStore,
    )
