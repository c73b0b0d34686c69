"""Getting hold of a project's directory: create it, lock it, open its database, and mend what a crash or a bad disk left."""

from __future__ import annotations

import contextlib
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path

from app.state.image_record import ImageStatus
from app.state.lock import ProjectLock
from app.state.mask_file import read_note
from app.state.store import DamagedStore, Store, set_aside
from deeplab_core.errors import ProjectError, ProjectLocked, StorageError

DIRECTORY_NAME = ".atrous"
DATABASE = "project.db"
MASKS = "masks"

_READ_ONLY_REMEDY = "Make the folder writable, or keep the project elsewhere: atrous FOLDER --project DIR"


@dataclass(slots=True)
class Opened:
    """A project directory in hand.

    Attributes:
        directory: where the project's data lies.
        store: its database.
        lock: held unless the project is read-only.
        read_only_reason: why nothing can be written, in words; None where it can.
        notices: what was found and mended, in words.
    """

    directory: Path
    store: Store
    lock: ProjectLock | None
    read_only_reason: str | None = None
    notices: list[str] = field(default_factory=list)


def open_directory(folder: Path, project_dir: Path | None, *, read_only: bool = False) -> Opened:
    """Open or create the project directory of a folder.

    Where another process holds the project, or an existing project cannot be written, it is opened read-only with a reason.

    Raises:
        StorageError: there is no project yet and none can be created here.
        ProjectError: the project is of a newer version, belongs to another folder, or is damaged and cannot be mended.
    """
    directory = project_dir if project_dir is not None else folder / DIRECTORY_NAME
    exists = (directory / DATABASE).is_file()
    if read_only:
        if not exists:
            raise ProjectError("there is no project here yet", remedy="Open the folder for editing first", path=directory)
        return _read_only(directory, "It was opened for reading only")
    lock = ProjectLock(directory / "lock")
    try:
        _create(directory)
        lock.acquire()
    except ProjectLocked as error:
        if not exists:
            raise
        return _read_only(directory, f"Another window has this project open. {error.why}")
    except StorageError as error:
        if exists:
            return _read_only(directory, f"The project cannot be written here. {error.why}")
        raise StorageError("the project cannot be created", why=error.why, remedy=_READ_ONLY_REMEDY, path=directory) from error
    try:
        return _writable(directory, lock)
    except StorageError as error:
        lock.release()
        if exists:
            return _read_only(directory, f"The project cannot be written here. {error.why}")
        raise
    except BaseException:
        lock.release()
        raise


def replace_damaged(opened: Opened) -> None:
    """Set a database aside that turned out damaged while it was read, and go on with a fresh one made from what is left."""
    opened.store.close()
    opened.store = _renewed(opened.directory, opened.notices)


def _create(directory: Path) -> None:
    from deeplab_core.formats.atomic import make_folder, storage_error

    make_folder(directory)
    ignore = directory / ".gitignore"
    if not ignore.exists():
        # A person's masks are wanted in exports, not by accident in the repository of their photographs.
        try:
            ignore.write_text("*\n")
        except OSError as error:
            raise storage_error(error, ignore) from error


def _read_only(directory: Path, reason: str) -> Opened:
    return Opened(directory, Store(directory / DATABASE, read_only=True), None, reason)


def _writable(directory: Path, lock: ProjectLock) -> Opened:
    path = directory / DATABASE
    fresh = not path.exists()
    notices: list[str] = []
    try:
        store = Store(path)
    except DamagedStore:
        store = _renewed(directory, notices)
    else:
        if fresh:
            _adopt_masks(store, directory, notices)
    return Opened(directory, store, lock, None, notices)


def _renewed(directory: Path, notices: list[str]) -> Store:
    path = directory / DATABASE
    aside = set_aside(path)
    for suffix in ("-wal", "-shm"):
        with contextlib.suppress(OSError):
            path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))
    store = Store(path)
    complete = _salvage(aside, store)
    notices.append(f"The project's database was damaged; it was set aside as {aside.name}.")
    if complete:
        notices.append("All steps could be read from it; nothing is lost.")
    else:
        notices.append("The saved masks are kept; undo steps, and strokes since an image was last saved, may be lost.")
    _adopt_masks(store, directory, notices)
    return store


def _salvage(damaged: Path, store: Store) -> bool:
    """Copy what can be read of a damaged database; returns whether everything could.

    Steps and moves count only together and complete: with a gap in them a replay would write wrong pixels.
    """
    try:
        source = Store(damaged, read_only=True)
    except (ProjectError, StorageError):
        return False
    with contextlib.closing(source):
        complete = True
        for tables in (("meta",), ("images",), ("steps", "moves")):
            try:
                found = [(table, source.rows(f"SELECT * FROM {table}")) for table in tables]
                _copy(found, store)
            except (ProjectError, StorageError, sqlite3.Error):
                complete = False
                if tables == ("images",):
                    return False
    if not complete:
        # The masks now stand for everything that happened up to the number they carry.
        with store.transaction() as connection:
            connection.execute("DELETE FROM moves")
            connection.execute("DELETE FROM steps")
            connection.execute("UPDATE images SET journal_base = max(journal_base, mask_move, 1)")
    return complete


def _copy(found: list[tuple[str, list[tuple[object, ...]]]], store: Store) -> None:
    with store.transaction() as connection:
        for table, rows in found:
            if rows:
                connection.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(rows[0]))})", rows)


def _adopt_masks(store: Store, directory: Path, notices: list[str]) -> None:
    """Take in mask files that the database does not know: they say themselves to which image they belong."""
    known = {name for (name,) in store.rows("SELECT mask FROM images WHERE mask != ''")}
    adopted = 0
    found = []
    for path in sorted((directory / MASKS).rglob("*.png")):
        name = path.relative_to(directory).as_posix()
        if name not in known:
            # What is not one of ours, or damaged, stays where it is.
            with contextlib.suppress(ProjectError):
                found.append((read_note(path), name))
    # Should two files claim an image, the one that holds more of the journal is the later one.
    for note, name in sorted(found, key=lambda entry: -entry[0].move):
        if not note.image or store.row("SELECT 1 FROM images WHERE path = ? AND mask != ''", (note.image,)):
            continue
        with store.transaction() as connection:
            connection.execute(
                "INSERT INTO images (path, size, mtime_ns, content_key, status, mask, mask_move, journal_base)"
                " VALUES (?, -1, 0, ?, ?, ?, ?, ?) ON CONFLICT (path) DO UPDATE SET content_key = excluded.content_key,"
                " status = max(status, excluded.status), mask = excluded.mask, mask_move = excluded.mask_move,"
                " journal_base = excluded.journal_base",
                (note.image, note.content_key, ImageStatus.TOUCHED, name, note.move, max(note.move, 1)),
            )
            last = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'moves'").fetchone()
            if last is None:
                connection.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('moves', ?)", (note.move,))
            elif last[0] < note.move:
                connection.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = 'moves'", (note.move,))
        adopted += 1
    if adopted:
        notices.append(f"{adopted} saved mask{'s were' if adopted > 1 else ' was'} taken up again.")
