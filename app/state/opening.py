"""Getting hold of a project's directory: create it, lock it, open its database, and repair what a crash or a bad disk left."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from app.state.adopt import adopt_masks
from app.state.careful import meta_json
from app.state.folder_scan import look_for_work
from app.state.layout import DATABASE as DATABASE
from app.state.layout import DIRECTORY_NAME as DIRECTORY_NAME
from app.state.layout import LOCK, MASKS, create_directory, refuse_links, remove_new_directory
from app.state.lock import ProjectLock
from app.state.log_mark import COPY_WHOLE
from app.state.rebuild import renewed, restored_from_copy
from app.state.store import DamagedStore, RemovedStore, Store
from deeplab_core.catalogs import get_catalog
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.errors import AtrousError, CatalogError, ProjectError, ProjectLocked, StorageError, message

#: Catalog of a new project until the user chooses another.
DEFAULT_CATALOG = "voc21"

_ELSEWHERE = "atrous FOLDER --project DIR"
_FULL = {errno.ENOSPC, errno.EDQUOT}

T = TypeVar("T")


@dataclass(slots=True)
class Opened:
    """An open project directory.

    Attributes:
        directory: where the project's data lies.
        store: its database.
        lock: held unless the project is read-only.
        read_only_reason: why nothing can be written, in words; None if it can.
        notices: what was found and repaired, in words.
    """

    directory: Path
    store: Store
    lock: ProjectLock | None
    read_only_reason: str | None = None
    notices: list[str] = field(default_factory=list)


def open_directory(folder: Path, project_dir: Path | None, *, read_only: bool = False) -> Opened:
    """Open or create the project directory of a folder.

    If another process holds the project, or an existing project cannot be written, it is opened read-only with a reason.

    Raises:
        StorageError: there is no project yet and none can be created here; nothing is left behind.
        ProjectError: the project is of a newer version, belongs to another folder, is damaged beyond repair, or a part of it is a
            link to somewhere else.
    """
    directory = project_dir if project_dir is not None else folder / DIRECTORY_NAME
    refuse_links(directory, chosen=project_dir is not None)
    exists = (directory / DATABASE).is_file()
    if read_only:
        if not exists:
            masks = (directory / MASKS).is_dir()
            raise ProjectError(
                message("the project's database is missing; saved masks are there")
                if masks
                else message("there is no project here yet"),
                remedy=message("Open the folder in the window: saved masks are taken up again")
                if masks
                else message("Open the folder in the window first"),
                path=directory,
            )
        return open_read_only(directory, message("It was opened for reading only"))
    lock = ProjectLock(directory / LOCK)
    made = not os.path.lexists(directory)
    try:
        create_directory(directory)
        lock.acquire()
        return _writable(directory, lock)
    except ProjectLocked as error:
        if not exists:
            raise
        return open_read_only(directory, message("Another window has this project open. {holder}", holder=error.why))
    except StorageError as error:
        lock.release()
        if exists:
            return open_read_only(directory, cannot_write(error))
        if made:
            remove_new_directory(directory)
        raise StorageError(
            message("the project cannot be created"), why=error.why, remedy=_creation_remedy(error), path=directory
        ) from error
    except BaseException:
        lock.release()
        raise


def open_read_only(directory: Path, reason: str) -> Opened:
    """Open a project that exists, to look at. Raises ProjectError and StorageError as :class:`Store`."""
    store = Store(directory / DATABASE, read_only=True)
    opened = Opened(directory, store, None, reason)
    _tell_losses(opened)
    return opened


def repaired(opened: Opened, make: Callable[[], T]) -> T:
    """What ``make`` makes of an open directory; again after a repair if the database is damaged or cannot be written."""
    try:
        return make()
    except DamagedStore as error:
        if opened.read_only_reason is not None:
            raise
        replace_damaged(opened, error)
    except RemovedStore:
        raise
    except StorageError as error:
        # A disk that filled up while the project was closed: what is there can be looked at.
        look_only(opened, error)
    return make()


def look_only(opened: Opened, error: StorageError) -> None:
    """Go on read-only with a project that cannot be written; a new one that holds nothing yet raises the error."""
    if opened.lock is None or opened.store.row("SELECT 1 FROM images LIMIT 1") is None:
        raise error
    opened.store.close()
    opened.lock.release()
    again = open_read_only(opened.directory, cannot_write(error))
    opened.store, opened.lock, opened.read_only_reason = again.store, None, again.read_only_reason


def meet_folder(folder: Path, opened: Opened, catalog: ClassCatalog | None) -> ClassCatalog:
    """Check that a project belongs to a folder; its classes.

    Args:
        catalog: classes of a new project; an existing one keeps its own.

    Raises:
        ProjectError: it belongs to another folder; DamagedStore: what it says about itself cannot be read.
        StorageError: it cannot be written.
    """
    store = opened.store
    try:
        stored = dict(store.rows("SELECT key, value FROM meta", (), (str, str)))
        settings = {key: meta_json(text, key) for key, text in stored.items()}
        if "catalog" in settings:
            catalog = ClassCatalog.from_dict(settings["catalog"])
        owner = Path(str(settings["folder"])) if "folder" in settings else None
    except (CatalogError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise DamagedStore(
            message("the project's database is damaged"),
            why=message("Its settings cannot be read: {error}", error=error),
            path=store.path,
        ) from error
    # A project directory elsewhere belongs to one folder; the one inside moves about with its images.
    if owner is not None and opened.directory.parent != folder and owner != folder and owner.is_dir():
        raise ProjectError(
            message("this project directory belongs to another folder"), why=str(owner),
            remedy=message("Choose another directory with --project DIR"), path=opened.directory,
        )  # fmt: skip
    if catalog is None:
        catalog = get_catalog(DEFAULT_CATALOG)
    if opened.read_only_reason is not None:
        return catalog
    new = {"folder": json.dumps(str(folder)), "catalog": json.dumps(catalog.to_dict())}
    changed = [(key, text) for key, text in new.items() if stored.get(key) != text]
    if changed:
        with store.transaction() as connection:
            connection.executemany("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", changed)
    look_for_work(store)
    return catalog


def write_directory_again(directory: Path, folder: Path, store: Store, lock: ProjectLock) -> tuple[ProjectLock, bool]:
    """Write a project's directory and database again that were removed or replaced.

    Returns:
        The lock that holds it now, and whether the database is whole; if not, it is empty.

    Raises:
        ProjectLocked: another window has opened a project in its place.
        StorageError: it cannot be written; nothing was changed.
    """
    refuse_links(directory, chosen=directory.parent != folder)
    create_directory(directory)
    held = lock if lock.in_place else ProjectLock(directory / LOCK)
    if held is not lock:
        held.acquire()
    try:
        whole = store.write_again()
    except BaseException:
        if held is not lock:
            held.release()
        raise
    if held is not lock:
        lock.release()
    return held, whole


def replace_damaged(opened: Opened, error: DamagedStore) -> None:
    """Set a database aside that turned out damaged while it was read, and go on with a fresh one made from what is left."""
    opened.store.close()
    opened.store = renewed(opened.directory / DATABASE, error, opened.notices)


def cannot_write(error: AtrousError) -> str:
    """Why an existing project is read-only, in words."""
    return message("The project cannot be written here. {reason}", reason=error.why or error.what)


def _writable(directory: Path, lock: ProjectLock) -> Opened:
    path = directory / DATABASE
    notices: list[str] = []
    lost = not path.exists() or path.stat().st_size == 0
    try:
        store = Store(path)
    except DamagedStore as error:
        return Opened(directory, renewed(path, error, notices), lock, None, notices)
    opened = Opened(directory, store, lock, None, notices)
    try:
        blank = store.row("SELECT 1 FROM images LIMIT 1") is None
        if not (lost and blank):
            _tell_losses(opened)
        if blank:
            restored_from_copy(store, directory, notices)
        adopt_masks(store, directory, notices)
    except DamagedStore as error:
        replace_damaged(opened, error)
    except BaseException:
        store.close()
        raise
    return opened


def _tell_losses(opened: Opened) -> None:
    if opened.store.unread_log:
        opened.notices.append(
            message(
                "The newest changes are in the log project.db-wal, which cannot be read because the project cannot be written:"
                " they are missing here. Copy the whole folder .atrous to where it can be written, and open it with {option}.",
                option="--project DIR",
            )
        )
    elif opened.store.lost is not None:
        opened.notices.append(opened.store.lost.sentence())
    elif opened.store.alone:
        opened.notices.append(
            message(
                "project.db was copied without its log project.db-wal while a window had the project open: the newest changes may"
                " be missing. Saved masks are kept. {copying}",
                copying=COPY_WHOLE,
            )
        )


def _creation_remedy(error: StorageError) -> str:
    cause = error.__cause__
    full = (isinstance(cause, OSError) and cause.errno in _FULL) or "disk is full" in error.why.lower()
    if full:
        return message("Free some space, or keep the project on another disk: {option}", option=_ELSEWHERE)
    return message("Make the folder writable, or keep the project elsewhere: {option}", option=_ELSEWHERE)
