"""The project's database: one SQLite file with the images, their statuses, every stroke, runs and results.

Durability. A committed transaction survives the death of the process at any instant (SIGKILL included): its pages are in the
system's cache before the call returns. A power cut may take what the disk had not yet received: with the write-ahead log that
is at most the time since the last :meth:`Store.sync`, which the autosaver calls within a second of each step; the database
itself stays consistent. With a rollback journal (network folders) every commit reaches the disk before it returns.

Trust. The file may come from elsewhere. It is not a link, it is ours by its mark and its schema is the one we made before
anything is written; SQLite's advice for untrusted files holds on every connection (ADR 0051).
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from app.state.careful import (
    COMPANIONS,
    SQLITE_ERRORS,
    DamagedStore,
    RemovedStore,
    StatementLimit,
    be_careful,
    check_kinds,
    connect,
    foreign,
    look_into,
    read_rows,
    refuse_foreign,
    removed_store,
    set_aside,
    set_database_aside,
    store_error,
)
from app.state.filesystem import FileState, file_state, on_network, refuse_link
from app.state.log_mark import MOST_CHANGES, LogMark, MarkNote
from app.state.schema import APPLICATION_ID, MIGRATIONS, OPENED_AT, strange_objects
from deeplab_core.atomic import storage_error
from deeplab_core.errors import AtrousError, ProjectError, StorageError, message
from deeplab_core.parallel import SharedRun
from deeplab_core.wording import name_some

__all__ = ["COMPANIONS", "DamagedStore", "RemovedStore", "Store", "set_aside", "set_database_aside", "store_error"]

#: Kept in the plain file while a window has the project open: a copy of the plain file alone then shows that it is not a whole
#: copy.
_IN_USE = "in use"

#: The database counts its transactions here, so that a lost end of the log can be noticed (:mod:`app.state.log_mark`).
_CHANGES = "changes"
_COUNT = (
    f"INSERT INTO meta (key, value) VALUES ('{_CHANGES}', '1')"
    " ON CONFLICT (key) DO UPDATE SET value = CAST(MIN(CAST(value AS INTEGER), ? - 1) + 1 AS TEXT) RETURNING value"
)


class Store:
    """A connection to a project's database.

    May be used from any thread, one transaction at a time. Never open or close the database file in this process by other
    means: on POSIX systems that drops SQLite's locks.

    Args:
        path: the database file; created where it does not exist.
        read_only: never write; the file must exist.

    Attributes:
        lost: what the log should have held and does not, found when opening; None if nothing is missing.
        unread_log: whether there is a log that cannot be read, because the medium cannot be written.
        alone: whether the file was copied without its log while it was in use, so that its newest transactions may be missing.

    Raises:
        ProjectError: not ours, or of a newer version; its subclass DamagedStore: the file is damaged.
        StorageError: it cannot be created or opened.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path = path
        self.read_only = read_only
        self.write_ahead = False
        self.lost: MarkNote | None = None
        self.unread_log = False
        self.alone = False
        self._mutex = threading.RLock()
        self._flush = SharedRun(self._flush_now)
        self._depth, self._about = 0, ""
        self._seen: tuple[FileState | None, ...] | None = None
        self._guard = StatementLimit(path)
        for suffix in ("", *COMPANIONS):
            refuse_link(path.with_name(path.name + suffix))
        self._mark = LogMark(path.with_name(path.name + "-mark"))
        has_log = os.path.lexists(path.with_name(path.name + "-wal"))
        try:
            self._connection = self._open_to_read() if read_only else self._open_to_write()
        except SQLITE_ERRORS as error:
            raise store_error(error, path) from error
        try:
            marked = self._compare_mark()
            self._mark_in_use(has_company=has_log or marked)
        except BaseException as error:
            self._connection.close()
            if isinstance(error, sqlite3.Error):
                raise store_error(error, path) from error
            raise
        if not read_only:
            self._seen = self._now()

    def close(self) -> None:
        """Close the connection; the last one folds the write-ahead log into the database."""
        with self._mutex:
            if self.write_ahead and not self.read_only:
                with contextlib.suppress(sqlite3.Error):  # the next opening reports what could not be written now
                    self._connection.execute("DELETE FROM meta WHERE key = ?", (_IN_USE,))
            self._connection.close()
            self._mark.close()

    @contextlib.contextmanager
    def transaction(self, about: str = "") -> Iterator[sqlite3.Connection]:
        """All or nothing; nested uses join the outer one. SQLite's errors become ProjectError and StorageError.

        Args:
            about: path of the image with the labels that it changes; named if the end of the log should get lost.
        """
        with self._mutex:
            outermost = self._depth == 0
            if outermost:
                self.check_present()
                self._guard.renew()
            self._about = about if outermost else self._about or about
            self._depth += 1
            try:
                if outermost:
                    self._connection.execute("BEGIN IMMEDIATE")
                before = self._connection.total_changes
                yield self._connection
                if outermost:
                    if changed := self._connection.total_changes != before:
                        ((count,),) = self._connection.execute(_COUNT, (MOST_CHANGES,)).fetchall()
                        self._mark.announce(int(count), self._about)
                    self._connection.execute("COMMIT")
                    if changed:
                        self._mark.confirm()
                        self._remember()
            except BaseException as error:
                if outermost:
                    with contextlib.suppress(sqlite3.Error):  # a COMMIT that cannot be written rolls back by itself
                        self._connection.execute("ROLLBACK")
                    self._mark.take_back()
                if isinstance(error, SQLITE_ERRORS):
                    raise self._error(error) from error
                raise
            finally:
                self._depth -= 1

    def rows(self, sql: str, values: Sequence[Any] = (), kinds: Sequence[type] | None = None) -> list[tuple[Any, ...]]:
        """All rows of a query.

        Args:
            kinds: the Python type of each column: int, float, str, bytes, or object for any. SQLite keeps whatever was written
                into a column, so a damaged or hostile row may hold text where a number belongs.

        Raises:
            DamagedStore: a row holds something else than ``kinds``, or the database is damaged.
            StorageError: it cannot be read.
        """
        with self._mutex:
            self._guard.renew()
            try:
                found = read_rows(self._connection, sql, values, kinds)
            except SQLITE_ERRORS as error:
                raise self._error(error) from error
        if kinds is not None:
            try:
                check_kinds(found, kinds, self.path)
            except DamagedStore:
                self._mark.damaged()
                raise
        return found

    def row(self, sql: str, values: Sequence[Any] = (), kinds: Sequence[type] | None = None) -> tuple[Any, ...] | None:
        """First row of a query, or None. ``kinds`` and errors as in :meth:`rows`."""
        return next(iter(self.rows(sql, values, kinds)), None)

    def write(self, sql: str, values: Sequence[Any] = ()) -> int:
        """One statement in a transaction of its own; returns the last inserted row id."""
        with self.transaction() as connection:
            return connection.execute(sql, values).lastrowid or 0

    def demand_version(self, version: int) -> None:
        """Have programs that know less than ``version`` refuse the file from now on; joins a transaction under way."""
        if self.version < version:
            with self.transaction() as connection:
                connection.execute(f"PRAGMA user_version = {version}")

    @property
    def version(self) -> int:
        """Of the schema, see :mod:`app.state.schema`."""
        return int(self.rows("PRAGMA user_version")[0][0])

    def check_present(self) -> None:
        """Raise RemovedStore if the files that were opened were deleted, replaced or cut by another program.

        SQLite would go on writing into files that cannot be opened again, or take what was cut for empty pages.
        """
        with self._mutex:
            if self._seen is None:
                return
            now = self._now()
            for before, found in zip(self._seen, now, strict=True):
                if found is None or before is None or found.number != before.number or found.size < before.size:
                    break
            else:
                self._seen = now
                return
        gone = message("{file} is gone; everything is still in memory", file=self.path.name)
        cut = message("{file} or its log was deleted, replaced or cut; everything is still in memory", file=self.path.name)
        raise removed_store(self.path, gone if now[0] is None else cut)

    def sync(self) -> int:
        """Ask the disk to take what was committed, once for all threads that wait; returns the bytes of the log, 0 without one.

        Needs no lock of the database. Raises StorageError if the disk refused, RemovedStore if the files are gone.
        """
        return self._flush()

    def _flush_now(self) -> int:
        self.check_present()
        if not self.write_ahead:
            return 0
        log = self.path.with_name(self.path.name + "-wal")
        try:
            descriptor = os.open(log, os.O_RDWR)  # drops none of SQLite's locks: those lie on the database and the -shm file
        except OSError as error:
            self.check_present()
            raise StorageError(message("the project cannot be flushed to disk"), why=str(error), path=log) from error
        try:
            os.fsync(descriptor)
            size = os.fstat(descriptor).st_size
        except OSError as error:
            raise StorageError(message("the project cannot be flushed to disk"), why=str(error), path=log) from error
        finally:
            os.close(descriptor)
        self._mark.sync()
        return size

    @contextlib.contextmanager
    def reader(self) -> Iterator[sqlite3.Connection]:
        """A connection of its own for a long query, so that no transaction of the window waits for it."""
        self.check_present()
        try:
            with contextlib.closing(self._further(timeout=2.0)) as connection:
                connection.execute("PRAGMA query_only = ON")
                yield connection
        except SQLITE_ERRORS as error:
            raise self._error(error) from error

    def checkpoint(self) -> None:
        """Fold the write-ahead log into the database, as far as readers allow. Meant for idle time: it waits for the disk.

        Without readers, the log is empty afterwards and the plain file holds everything.
        """
        if self.read_only or not self.write_ahead:
            return
        self.check_present()
        # A connection of its own, so that a stroke never waits behind it.
        try:
            with contextlib.closing(self._further(timeout=1.0)) as connection:
                busy, log, folded = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
                if not busy and log == folded:
                    # All is in the plain file; cutting the log takes no time. A stroke or reader in between is not waited for.
                    connection.execute("PRAGMA busy_timeout = 0")
                    with self._mutex:
                        self.check_present()
                        ((busy, *_),) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
                        self._remember()
                        if not busy:
                            self._mark.folded()
        except SQLITE_ERRORS as error:
            raise self._error(error) from error

    def write_again(self) -> bool:
        """Write a database that was removed or replaced again, from the files that this connection still holds.

        A file in its place is set aside. The folder must exist and be locked.

        Returns:
            Whether everything is in it. If what is held cannot be read any more, because it was cut, the new one is empty.

        Raises:
            StorageError: it cannot be written; nothing was changed.
        """
        temporary = self.path.with_name(f".atrous-{secrets.token_hex(8)}.tmp")
        with self._mutex:
            try:
                whole = self._copy_to(temporary)
                set_database_aside(self.path, "replaced")
                if whole:
                    temporary.rename(self.path)
                renewed = self._open_to_write()
            except (OSError, *SQLITE_ERRORS) as error:
                if isinstance(error, SQLITE_ERRORS):
                    raise self._error(error) from error
                raise storage_error(error, self.path) from error
            finally:
                with contextlib.suppress(OSError):
                    temporary.unlink()
            # SQLite deletes no log of a moved database at closing, so the new one's is safe.
            with contextlib.suppress(*SQLITE_ERRORS):
                self._connection.close()
            self._connection = renewed
            self._mark.renew()
            self._seen = self._now()
        self.sync()
        return whole

    def _copy_to(self, target: Path) -> bool:
        """Copy what this connection holds; False if that cannot be read."""
        self._guard.renew()
        try:
            with contextlib.closing(connect(target, "rwc", timeout=2.0)) as copy:
                self._connection.backup(copy)
            with look_into(target) as copy:
                return bool(
                    copy.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
                    and not strange_objects(copy, len(MIGRATIONS))
                    and copy.execute("PRAGMA quick_check(1)").fetchone() == ("ok",)
                )
        except SQLITE_ERRORS as error:
            if isinstance(store_error(error, target), DamagedStore) or "disk I/O" in str(error):
                return False
            raise

    def note_damage(self, why: str) -> DamagedStore:
        """The error for damage that a check has found; the next opening sets the file aside."""
        self._mark.damaged()
        return DamagedStore(
            message("the project's database is damaged"),
            why=why,
            remedy=message("Open the folder again: the file is set aside, and what can be read of it is kept"),
            path=self.path,
        )

    def _error(self, error: Exception) -> AtrousError:
        """:func:`store_error`; damage is noted, so that the next opening sets the file aside."""
        meant = store_error(error, self.path)
        if isinstance(meant, DamagedStore):
            self._mark.damaged()
        return meant

    def _now(self) -> tuple[FileState | None, ...]:
        """Which files the paths lead to now, and how long they are."""
        names = (self.path.name, f"{self.path.name}-wal") if self.write_ahead else (self.path.name,)
        return tuple(file_state(self.path.with_name(name)) for name in names)

    def _remember(self) -> None:
        """Note how long the files are after a change of our own; which files they are stays as it was at opening."""
        now = self._now()
        if self._seen is not None and [found and found.number for found in now] == [old and old.number for old in self._seen]:
            self._seen = now

    def _further(self, timeout: float) -> sqlite3.Connection:
        """One more connection to the file that is open; never creates one."""
        connection = connect(self.path, "ro" if self.read_only else "rw", timeout=timeout)
        be_careful(connection, StatementLimit(self.path))
        return connection

    def _open_to_write(self) -> sqlite3.Connection:
        refuse_foreign(self.path)
        connection = connect(self.path, "rwc", timeout=2.0)
        try:
            be_careful(connection, self._guard)
            version = self._check_version(connection)
            self._check_schema(connection, version)
            connection.execute("PRAGMA foreign_keys = ON")
            if on_network(self.path.parent):
                connection.execute("PRAGMA journal_mode = TRUNCATE").fetchall()
            else:
                mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
                self.write_ahead = mode == "wal"
            if self.write_ahead:
                connection.execute("PRAGMA synchronous = NORMAL")
                connection.execute("PRAGMA wal_autocheckpoint = 0")  # it waits for the disk behind a stroke; ours do not
            self._migrate(connection, version)
        except BaseException:
            connection.close()
            raise
        return connection

    def _open_to_read(self) -> sqlite3.Connection:
        # On a medium that cannot be written SQLite has nowhere to keep the log's index; 'immutable' reads without one.
        last: Exception | None = None
        for query in ("mode=ro", "immutable=1"):
            connection = connect(self.path, query.removeprefix("mode="), timeout=2.0)
            try:
                be_careful(connection, self._guard)
                connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
                version = self._check_version(connection)
                if version == 0:
                    raise ProjectError(
                        message("the project's database is empty"),
                        remedy=message("Open the folder for editing: saved masks are taken up again"),
                        path=self.path,
                    )
                self._check_schema(connection, version, reading=True)
            except SQLITE_ERRORS as error:
                connection.close()
                last = error
            except BaseException:
                connection.close()
                raise
            else:
                log = file_state(self.path.with_name(f"{self.path.name}-wal"))
                self.unread_log = query == "immutable=1" and log is not None and log.size > 0
                return connection
        assert last is not None
        raise last

    def _check_version(self, connection: sqlite3.Connection) -> int:
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
        owner = int(connection.execute("PRAGMA application_id").fetchone()[0])
        tables = int(connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])
        if owner != APPLICATION_ID and tables:
            raise foreign(self.path)
        if version > len(MIGRATIONS):
            raise ProjectError(
                message("this project was written by a newer version of Atrous"),
                why=message(
                    "Its data has version {version}, this program knows versions up to {newest}",
                    version=version,
                    newest=len(MIGRATIONS),
                ),
                remedy=message("Install the newer version"),
                path=self.path,
            )
        if version < 0:
            raise DamagedStore(
                message("the project's database is damaged"),
                why=message("Its data has version {version}", version=version),
                path=self.path,
            )
        return version

    def _check_schema(self, connection: sqlite3.Connection, version: int, *, reading: bool = False) -> None:
        strange = strange_objects(connection, version, reading=reading)
        if strange:
            raise DamagedStore(
                message("the project's database is not as Atrous made it"),
                why=message("It contains {objects}", objects=name_some(strange, 5)),
                remedy=message("Open the folder in the window: the file is set aside, and what can be read of it is kept"),
                path=self.path,
            )

    def _migrate(self, connection: sqlite3.Connection, version: int) -> None:
        for number in range(version, OPENED_AT):
            # The script, the version and the owner's mark become true together or not at all.
            connection.executescript(
                f"BEGIN IMMEDIATE;\n{MIGRATIONS[number]}\nPRAGMA user_version = {number + 1};\n"
                f"PRAGMA application_id = {APPLICATION_ID};\nCOMMIT;"
            )

    def _compare_mark(self) -> bool:
        """Find out whether the database holds every transaction that was committed (ADR 0050); whether there is a mark."""
        row = self.row("SELECT value FROM meta WHERE key = ?", (_CHANGES,), (str,))
        held = min(int(row[0]), MOST_CHANGES) if row and row[0].isdecimal() and len(row[0]) < 18 else 0
        marked = self._mark.read()
        if marked is not None and marked.damaged and not self.read_only:
            raise DamagedStore(
                message("the project's database is damaged"), why=message("This was found while it was last open"), path=self.path
            )
        if marked is not None and marked.changes > held:
            self.lost = marked.behind(held)
        if self.read_only:
            return marked is not None
        self._mark.open(held)
        if self.lost is not None:
            # Said once: from here on the database counts on from what the mark says.
            with self.transaction() as connection:
                connection.execute(
                    "INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", (_CHANGES, str(held + self.lost.changes))
                )
        return marked is not None

    def _mark_in_use(self, *, has_company: bool) -> None:
        """Notice a copy of the plain file alone, and let such a copy of this file be noticed.

        Args:
            has_company: whether the log or its mark lay beside the file when it was opened.
        """
        in_use = self.row("SELECT 1 FROM meta WHERE key = ?", (_IN_USE,)) is not None
        self.alone = in_use and not has_company
        if self.write_ahead and not self.read_only and not in_use:
            # Not counted as a change of the project, and folded at once: it must be in the plain file.
            self._connection.execute("INSERT INTO meta (key, value) VALUES (?, '1')", (_IN_USE,))
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
