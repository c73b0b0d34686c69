"""Daily copies of a project's database, and putting one of them back.

One copy for each day on which the project was open and had changed, the last seven of them, in ``.atrous/backups``. A copy holds
everything but the mask files: statuses, settings, strokes and undo steps. Mask files say themselves how far they reach, so they
fit an older database too.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
import shutil
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from app.state.adopt import adopt_masks, learn_classes
from app.state.careful import SQLITE_ERRORS, connect, look_into
from app.state.filesystem import refuse_link
from app.state.layout import BACKUPS, DATABASE, LOCK, backup_names, refuse_links, sweep
from app.state.lock import ProjectLock
from app.state.mask_file import read_note
from app.state.schema import APPLICATION_ID, MIGRATIONS, strange_objects
from app.state.store import DamagedStore, Store, set_database_aside, store_error
from deeplab_core.atomic import atomic_write, make_folder, storage_error
from deeplab_core.errors import AtrousError, ProjectError, StorageError, message

_LOG = logging.getLogger(__name__)

#: So many daily copies are kept.
KEPT = 7

#: Pages that are copied before the copy asks whether it should stop, and bytes that stay free on the disk for saving.
_PAGES, _SPARE_BYTES = 2000, 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Backup:
    """One daily copy.

    Attributes:
        name: of the file, e.g. ``"project-2026-11-28.db"``.
        nbytes: its size.
        images, worked_on, steps: how many of them it knows; 0 if it cannot be read.
        problem: why it cannot be restored, in words; empty if it can.
    """

    name: str
    nbytes: int
    images: int = 0
    worked_on: int = 0
    steps: int = 0
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Restored:
    """What putting a copy back has done.

    Attributes:
        backup: the copy that is the project's database now.
        aside: name of the database that was in its place; empty if there was none.
        newer_masks: images with a mask file newer than the copy; it counts, but its undo steps are gone.
        notices: what else was found, in words.
    """

    backup: Backup
    aside: str
    newer_masks: tuple[str, ...]
    notices: tuple[str, ...]


class Upkeep:
    """What an open project does once a day in the background: sweep, check, copy."""

    def __init__(self, store: Store, directory: Path) -> None:
        self._store = store
        self._directory = directory
        self._day = ""
        self._mutex = threading.Lock()
        self._stopped = threading.Event()

    def stop(self) -> None:
        """End soon what is running in another thread; nothing begins any more."""
        self._stopped.set()

    def daily(self, *, quietly: bool = False) -> None:
        """Do the work of today unless it is done. Takes long: meant for another thread.

        Args:
            quietly: log what fails instead of raising it.

        Raises:
            DamagedStore: the check found damage; the next opening sets the database aside.
            StorageError: no copy could be written, e.g. because the disk is full.
        """
        today = _today()
        if not self._mutex.acquire(blocking=False):
            return  # another thread is at it, and saving must not wait for that
        try:
            if self._day == today or self._stopped.is_set():
                return
            self._day = today
            sweep(self._directory)
            if not self._copy(f"project-{today}.db"):
                self._check()
        except AtrousError as error:
            if not quietly:
                raise
            _LOG.warning("daily copy: %s", error)
        finally:
            self._mutex.release()

    def _copy(self, name: str) -> bool:
        """Make the copy of today and check it; False if there is one, or nothing has changed since the last."""
        folder = self._directory / BACKUPS
        refuse_link(folder, folder=True)
        names = backup_names(self._directory)
        if name in names:
            return False
        changes = self._store.row("SELECT value FROM meta WHERE key = 'changes'")
        if names and changes is not None and _changes(folder / names[0]) == changes[0]:
            return False
        free, size = shutil.disk_usage(self._directory).free, self._store.path.stat().st_size
        if free < 2 * size + _SPARE_BYTES:
            raise StorageError(
                message("no daily copy of the project was made"),
                why=message("The disk is nearly full"),
                remedy=message("Free some space"),
                path=folder,
            )
        make_folder(folder)
        temporary = folder / f".atrous-{secrets.token_hex(8)}.tmp"
        try:
            if not self._write(temporary):
                return True
            _, problem = _look(temporary, thorough=True)
            if problem:
                raise self._store.note_damage(problem)
            temporary.replace(folder / name)
        except OSError as error:
            raise storage_error(error, folder / name, what=message("no daily copy of the project was made")) from error
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink()
        for old in backup_names(self._directory)[KEPT:]:
            with contextlib.suppress(OSError):
                (folder / old).unlink()
        return True

    def _write(self, target: Path) -> bool:
        """Copy the database; False if it was cancelled."""

        def report(_status: int, _left: int, _all: int) -> None:
            if self._stopped.is_set():
                raise _Stopped

        try:
            with self._store.reader() as source, contextlib.closing(connect(target, "rwc", timeout=2.0)) as copy:
                if self._store.write_ahead:
                    # One state from beginning to end, whatever is written during it. No stroke waits for a reader of the log.
                    source.execute("BEGIN")
                    source.execute("SELECT count(*) FROM meta").fetchone()
                source.backup(copy, pages=_PAGES, progress=report)
        except _Stopped:
            return False
        return True

    def _check(self) -> None:
        """Read through the database and find damage before the user does."""
        try:
            with self._store.reader() as connection:
                connection.set_progress_handler(self._stopped.is_set, 100_000)
                (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        except DamagedStore:
            if self._stopped.is_set():
                return
            raise
        if found != "ok":
            raise self._store.note_damage(str(found))


def _today() -> str:
    """The local date, as in a copy's name."""
    return time.strftime("%Y-%m-%d")


class _Stopped(Exception):
    """The copy was cancelled."""


def list_backups(directory: Path) -> list[Backup]:
    """A project's daily copies, newest first."""
    refuse_links(directory, chosen=True)
    return [_look(directory / BACKUPS / name)[0] for name in backup_names(directory)]


def restore(directory: Path, name: str | None = None) -> Restored:
    """Put a daily copy in the place of a project's database. What is there now is set aside; mask files stay as they are.

    Args:
        directory: the project's directory, e.g. ``FOLDER/.atrous``.
        name: of the copy; None takes the newest that can be read.

    Raises:
        ProjectError: there is no such copy, it is damaged, or the project is open in a window (ProjectLocked).
        StorageError: the folder cannot be written.
    """
    refuse_links(directory, chosen=True)
    chosen = _choose(directory, name)
    lock = ProjectLock(directory / LOCK)
    lock.acquire()
    try:
        return _put_back(directory, chosen)
    finally:
        lock.release()


def _choose(directory: Path, name: str | None) -> Backup:
    names = backup_names(directory)
    if not names:
        raise ProjectError(
            message("there is no daily copy of this project"),
            why=message("A copy is made once a day while the project is open in the window"),
            remedy=message("If the database is lost, open the folder: saved masks are taken up again"),
            path=directory / BACKUPS,
        )
    if name is not None and name not in names:
        there = message("There are: {names}", names=", ".join(names))
        raise ProjectError(
            message("there is no copy {name}", name=name),
            why=there,
            remedy=message("Choose one of them"),
            path=directory / BACKUPS,
        )
    problems = []
    for candidate in [name] if name is not None else names:
        found, problem = _look(directory / BACKUPS / candidate, thorough=True)
        if not problem:
            return found
        problems.append(f"{candidate}: {problem}")
    raise ProjectError(
        message("the copy cannot be restored") if name else message("no copy can be restored"),
        why="; ".join(problems), remedy=message("Choose another with --from, see --list"), path=directory / BACKUPS,
    )  # fmt: skip


def _put_back(directory: Path, chosen: Backup) -> Restored:
    path = directory / DATABASE
    temporary = directory / f".atrous-{secrets.token_hex(8)}.tmp"
    try:
        atomic_write(temporary, (directory / BACKUPS / chosen.name).read_bytes())
        aside = set_database_aside(path, "before-restore")
        temporary.replace(path)
    except OSError as error:
        raise storage_error(error, path) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
    notices: list[str] = []
    with contextlib.closing(Store(path)) as store:
        adopt_masks(store, directory, notices)
        newer = _newer_masks(store, directory)
        store.checkpoint()
    return Restored(chosen, "" if aside is None else aside.name, newer, tuple(notices))


def _newer_masks(store: Store, directory: Path) -> tuple[str, ...]:
    """Images with moves in the mask file that the database has not seen. It learns the classes that it lacks from them."""
    found, notes = [], []
    for path, mask, held in store.rows(
        "SELECT path, mask, max(mask_move, journal_base, coalesce((SELECT max(n) FROM moves WHERE image = images.id), 0))"
        " FROM images WHERE mask != ''", (), (str, str, int),
    ):  # fmt: skip
        with contextlib.suppress(ProjectError):
            note = read_note(directory / mask)
            if note.move > held:
                found.append(path)
                notes.append(note)
    learn_classes(store, notes)
    return tuple(found)


def _look(path: Path, *, thorough: bool = False) -> tuple[Backup, str]:
    """What a copy holds, and why it cannot be restored; ``thorough`` reads all of it."""
    nbytes = 0
    try:
        refuse_link(path)
        nbytes = path.stat().st_size
        with look_into(path) as connection:
            (owner,) = connection.execute("PRAGMA application_id").fetchone()
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if owner != APPLICATION_ID or not 0 < version <= len(MIGRATIONS):
                raise ProjectError(message("it is not a project of this version"))
            if strange := strange_objects(connection, version):
                raise ProjectError(message("it is not as Atrous made it: {object}", object=strange[0]))
            if thorough:
                (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
                if found != "ok":
                    raise ProjectError(message("it is damaged: {problem}", problem=found))
            images, worked_on, steps = (
                int(connection.execute(f"SELECT count(*) FROM {what}").fetchone()[0])
                for what in ("images", "images WHERE status > 1", "steps")
            )
    except OSError as error:
        problem = error.strerror or str(error)
    except SQLITE_ERRORS as error:
        problem = store_error(error, path).why
    except ProjectError as error:
        problem = error.what
    else:
        return Backup(path.name, nbytes, images, worked_on, steps), ""
    return Backup(path.name, nbytes, problem=problem), problem


def _changes(path: Path) -> str | None:
    """The count of transactions that a copy holds; None if it cannot be read."""
    with contextlib.suppress(*SQLITE_ERRORS, OSError), look_into(path) as connection:
        for (value,) in connection.execute("SELECT value FROM meta WHERE key = 'changes'").fetchmany(1):
            return str(value)
    return None
