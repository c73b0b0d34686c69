"""The project's database: one SQLite file with the images, their statuses, every stroke, runs and results.

Durability. A committed transaction survives the death of the process at any instant (SIGKILL included): its pages are in the
system's cache before the call returns. A power cut may take what the disk had not yet received: with the write-ahead log that
is at most the time since the last :meth:`Store.sync`, which the autosaver calls within a second of each step; the database
itself stays consistent. With a rollback journal (network folders) every commit reaches the disk before it returns.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from app.state.filesystem import on_network
from deeplab_core.errors import AtrousError, ProjectError, StorageError

#: "Atro": tells a file manager, and us, whose database this is.
_APPLICATION_ID = 0x4174726F

#: One script per schema version; a database of version n runs those from n on. Never change one that was released.
MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE images (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        path TEXT NOT NULL UNIQUE,          -- below the folder, with slashes
        size INTEGER NOT NULL,              -- bytes
        mtime_ns INTEGER NOT NULL,
        content_key TEXT NOT NULL DEFAULT '',
        status INTEGER NOT NULL DEFAULT 0,
        flags INTEGER NOT NULL DEFAULT 0,
        note TEXT NOT NULL DEFAULT '',
        mask TEXT NOT NULL DEFAULT '',      -- file below the project directory, with slashes
        mask_move INTEGER NOT NULL DEFAULT 0,   -- last move that the mask file is known to hold
        journal_base INTEGER NOT NULL DEFAULT 0, -- moves up to this one may be gone; 0 where all are still here
        prediction TEXT NOT NULL DEFAULT ''
    );
    CREATE TABLE steps (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        image INTEGER NOT NULL REFERENCES images (id) ON DELETE CASCADE,
        title TEXT NOT NULL,
        source INTEGER NOT NULL,
        time REAL NOT NULL,
        pixels INTEGER NOT NULL,
        bytes INTEGER NOT NULL,
        state INTEGER NOT NULL DEFAULT 0,   -- 0 in effect, 1 undone, 2 undone and superseded
        patch BLOB NOT NULL
    );
    CREATE INDEX steps_of_image ON steps (image, seq, state, bytes); -- covers what bounding the journal asks
    CREATE TABLE moves (
        n INTEGER PRIMARY KEY AUTOINCREMENT,
        image INTEGER NOT NULL REFERENCES images (id) ON DELETE CASCADE,
        step INTEGER NOT NULL,
        direction INTEGER NOT NULL          -- 1 done, -1 undone
    );
    CREATE INDEX moves_of_image ON moves (image, n);
    CREATE INDEX moves_of_step ON moves (step, n);
    CREATE TABLE runs (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        title TEXT NOT NULL,
        card_id TEXT NOT NULL,
        options TEXT NOT NULL,
        started REAL NOT NULL,
        finished REAL
    );
    CREATE TABLE run_items (
        run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
        image INTEGER NOT NULL REFERENCES images (id) ON DELETE CASCADE,
        state INTEGER NOT NULL DEFAULT 0,
        note TEXT NOT NULL DEFAULT '',
        PRIMARY KEY (run, image)
    ) WITHOUT ROWID;
    CREATE TABLE results (
        image INTEGER NOT NULL REFERENCES images (id) ON DELETE CASCADE,
        kind TEXT NOT NULL,
        key TEXT NOT NULL,
        data BLOB NOT NULL,
        PRIMARY KEY (image, kind)
    );
    """,
)

_CORRUPT = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT}
_WHY = {
    sqlite3.SQLITE_FULL: ("The disk is full", "Free some space; saving goes on by itself"),
    sqlite3.SQLITE_READONLY: ("The project folder is read-only", "Make it writable, or open the folder with --project DIR"),
    sqlite3.SQLITE_CANTOPEN: ("The project folder cannot be written", "Make it writable, or open the folder with --project DIR"),
    sqlite3.SQLITE_PERM: ("The project folder may not be written", "Make it writable, or open the folder with --project DIR"),
    sqlite3.SQLITE_BUSY: ("Another program is using the project's database", "Close it; saving goes on by itself"),
    sqlite3.SQLITE_IOERR: ("The disk reports an error", "Check the disk; saving goes on by itself"),
}


class DamagedStore(ProjectError):
    """The database file is not what SQLite wrote: set it aside and begin a new one."""


class Store:
    """A connection to a project's database.

    May be used from any thread, one transaction at a time. Never open or close the database file in this process by other
    means: on POSIX systems that drops SQLite's locks.

    Args:
        path: the database file; created where it does not exist.
        read_only: never write; the file must exist.

    Raises:
        ProjectError: not ours, or of a newer version; its subclass DamagedStore: the file is damaged.
        StorageError: it cannot be created or opened.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path = path
        self.read_only = read_only
        self.write_ahead = False
        self._mutex = threading.RLock()
        self._depth = 0
        try:
            self._connection = self._open_to_read() if read_only else self._open_to_write()
        except sqlite3.Error as error:
            raise store_error(error, path) from error

    def close(self) -> None:
        """Close the connection; the last one folds the write-ahead log into the database."""
        with self._mutex:
            self._connection.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing; nested uses join the outer one. SQLite's errors become ProjectError and StorageError."""
        with self._mutex:
            outermost = self._depth == 0
            self._depth += 1
            try:
                if outermost:
                    self._connection.execute("BEGIN IMMEDIATE")
                yield self._connection
                if outermost:
                    self._connection.execute("COMMIT")
            except BaseException as error:
                if outermost and self._connection.in_transaction:
                    with contextlib.suppress(sqlite3.Error):
                        self._connection.execute("ROLLBACK")
                if isinstance(error, sqlite3.Error):
                    raise store_error(error, self.path) from error
                raise
            finally:
                self._depth -= 1

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        with self._mutex:
            try:
                return self._connection.execute(sql, values).fetchall()
            except sqlite3.Error as error:
                raise store_error(error, self.path) from error

    def row(self, sql: str, values: Sequence[Any] = ()) -> tuple[Any, ...] | None:
        """First row of a query, or None."""
        found = self.rows(sql, values)
        return found[0] if found else None

    def write(self, sql: str, values: Sequence[Any] = ()) -> int:
        """One statement in a transaction of its own; returns the last inserted row id."""
        with self.transaction() as connection:
            return connection.execute(sql, values).lastrowid or 0

    def sync(self) -> None:
        """Ask the disk to take what was committed. Needs no lock, so that another thread may wait for the disk.

        Raises:
            StorageError: the disk refused.
        """
        if not self.write_ahead:
            return
        # SQLite takes its POSIX locks on the database and the -shm file; opening and closing the -wal file drops none of them.
        log = self.path.with_name(self.path.name + "-wal")
        try:
            descriptor = os.open(log, os.O_RDWR)
        except FileNotFoundError:
            return
        except OSError as error:
            raise StorageError("the project cannot be flushed to disk", why=str(error), path=log) from error
        try:
            os.fsync(descriptor)
        except OSError as error:
            raise StorageError("the project cannot be flushed to disk", why=str(error), path=log) from error
        finally:
            os.close(descriptor)

    @contextlib.contextmanager
    def reader(self) -> Iterator[sqlite3.Connection]:
        """A connection of its own for a long query, so that no transaction of the window waits for it."""
        try:
            with contextlib.closing(sqlite3.connect(self.path, timeout=2.0)) as connection:
                connection.execute("PRAGMA query_only = ON")
                yield connection
        except sqlite3.Error as error:
            raise store_error(error, self.path) from error

    def checkpoint(self) -> None:
        """Fold the write-ahead log into the database, as far as readers allow. Meant for idle time: it waits for the disk."""
        if self.read_only or not self.write_ahead:
            return
        # A connection of its own, so that a stroke never waits behind it.
        try:
            with contextlib.closing(sqlite3.connect(self.path, timeout=1.0)) as connection:
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        except sqlite3.Error as error:
            raise store_error(error, self.path) from error

    def _open_to_write(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=2.0, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA foreign_keys = ON")
            if on_network(self.path.parent):
                connection.execute("PRAGMA journal_mode = TRUNCATE").fetchall()
            else:
                mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
                self.write_ahead = mode == "wal"
            if self.write_ahead:
                connection.execute("PRAGMA synchronous = NORMAL")
                # Checkpoints wait for the disk; ours happen in idle time, never behind a stroke.
                connection.execute("PRAGMA wal_autocheckpoint = 0")
            self._migrate(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _open_to_read(self) -> sqlite3.Connection:
        # On a medium that cannot be written SQLite has nowhere to keep the log's index; 'immutable' reads without one.
        last: sqlite3.Error | None = None
        for query in ("mode=ro", "immutable=1"):
            uri = f"{self.path.absolute().as_uri()}?{query}"
            connection = sqlite3.connect(uri, uri=True, timeout=2.0, isolation_level=None, check_same_thread=False)
            try:
                connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
                self._check_version(connection)
            except sqlite3.Error as error:
                connection.close()
                last = error
            except BaseException:
                connection.close()
                raise
            else:
                return connection
        assert last is not None
        raise last

    def _check_version(self, connection: sqlite3.Connection) -> int:
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
        owner = int(connection.execute("PRAGMA application_id").fetchone()[0])
        if version > len(MIGRATIONS):
            raise ProjectError(
                "this project was written by a newer version of Atrous",
                why=f"Its data has version {version}, this program knows versions up to {len(MIGRATIONS)}",
                remedy="Install the newer version",
                path=self.path,
            )
        tables = int(connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])
        if owner != _APPLICATION_ID and tables:
            raise ProjectError("this is not a project of Atrous", remedy="Choose another project folder", path=self.path)
        return version

    def _migrate(self, connection: sqlite3.Connection) -> None:
        version = self._check_version(connection)
        for number in range(version, len(MIGRATIONS)):
            # The script, the version and the owner's mark become true together or not at all.
            connection.executescript(
                f"BEGIN IMMEDIATE;\n{MIGRATIONS[number]}\nPRAGMA user_version = {number + 1};\n"
                f"PRAGMA application_id = {_APPLICATION_ID};\nCOMMIT;"
            )


def store_error(error: sqlite3.Error, path: Path) -> AtrousError:
    """What an error of SQLite means to a person: damaged data is a ProjectError, anything else a StorageError."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if code in _CORRUPT:
        return DamagedStore("the project's database is damaged", why=str(error), remedy="Open the folder again", path=path)
    why, remedy = _WHY.get(code, (f"The database says: {error}", "Try again"))
    return StorageError("the project cannot be saved", why=why, remedy=remedy, path=path)


def set_aside(path: Path) -> Path:
    """Rename a damaged file so that a fresh one can take its place; it is never deleted. Returns its new name.

    Raises:
        StorageError: it cannot be renamed.
    """
    stamp = time.strftime("%Y%m%d-%H%M%S")
    target = path.with_name(f"{path.name}.damaged-{stamp}")
    number = 1
    while target.exists():
        number += 1
        target = path.with_name(f"{path.name}.damaged-{stamp}-{number}")
    try:
        path.rename(target)
    except OSError as error:
        raise StorageError(
            "a damaged file cannot be set aside", why=str(error), remedy="Check the folder's rights", path=path
        ) from error
    return target
