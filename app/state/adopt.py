"""Mask files and the database beside them: taking up masks that it does not know, forgetting those with a missing file."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from app.state.careful import meta_json
from app.state.image_record import ImageStatus
from app.state.layout import MASKS
from app.state.mask_file import STRANGE, MaskNote, read_note
from app.state.store import Store
from deeplab_core.catalogs.catalog import ClassCatalog, ClassInfo
from deeplab_core.errors import ProjectError, message, plural_message


def adopt_masks(store: Store, directory: Path, notices: list[str]) -> None:
    """Take in mask files that the database cannot know: they say themselves to which image they belong.

    That is every mask beside a database without images, because it was lost or emptied; beside another one, those that hold
    moves which it has not seen. A mask that *Start over* left behind in a crash holds none.
    """
    blank = store.row("SELECT 1 FROM images LIMIT 1") is None
    seen = _last_move(store)
    known = {name for (name,) in store.rows("SELECT mask FROM images WHERE mask != ''", (), (str,))}
    found: list[tuple[MaskNote, str]] = []
    for name in _mask_names(directory):
        if name not in known:
            # What is not one of ours, or damaged, stays where it is.
            with contextlib.suppress(ProjectError):
                note = read_note(directory / name)
                if note.image and _inside(note.image) and (blank or note.move > seen):
                    found.append((note, name))
    learn_classes(store, [note for note, _ in found], blank=blank)
    adopted = 0
    # Should two files claim an image, the one that holds more of the journal is the later one.
    for note, name in sorted(found, key=lambda entry: -entry[0].move):
        if store.row("SELECT 1 FROM images WHERE path = ? AND mask != ''", (note.image,)):
            continue
        with store.transaction() as connection:
            connection.execute(
                "INSERT INTO images (path, size, mtime_ns, content_key, status, mask, mask_move, journal_base)"
                " VALUES (?, -1, 0, ?, ?, ?, ?, ?) ON CONFLICT (path) DO UPDATE SET content_key = excluded.content_key,"
                " status = max(status, excluded.status), mask = excluded.mask, mask_move = excluded.mask_move,"
                " journal_base = excluded.journal_base",
                (note.image, note.content_key, ImageStatus.TOUCHED, name, note.move, max(note.move, 1)),
            )
            # Steps from before what the mask holds cannot be undone without what came between.
            for table in ("moves", "steps"):
                connection.execute(f"DELETE FROM {table} WHERE image = (SELECT id FROM images WHERE path = ?)", (note.image,))
            count_from(connection, "moves", note.move)
        adopted += 1
    if adopted:
        notices.append(plural_message("{n} saved mask was taken up again.", "{n} saved masks were taken up again.", adopted))
        if blank:
            text = message("The database that knew them is lost, with statuses, undo steps and strokes that no mask holds.")
            notices.append(text)


def learn_classes(store: Store, notes: Iterable[MaskNote], *, blank: bool = False) -> None:
    """Add the classes that masks were written in and that the database lacks: it is older than they are, or was lost.

    Args:
        notes: of the masks; the one with the newest move counts where two of them give an id another name.
        blank: the database knows no image, so that it has no classes of its own.
    """
    row = store.row("SELECT value FROM meta WHERE key = 'catalog'", (), (str,))
    if row is not None and blank:
        return  # the user named classes for a database that is new
    try:
        catalog = None if row is None else ClassCatalog.from_dict(meta_json(row[0], "catalog"))
    except STRANGE:
        return  # it is reported when the project is opened
    before = catalog
    for note in sorted(notes, key=lambda note: -note.move):
        own = note.catalog
        if own is not None and catalog is None:
            catalog = own
        elif own is not None and catalog is not None and own.wide == catalog.wide:
            catalog = with_classes(catalog, own.classes)
    if catalog is not None and catalog != before:
        text = json.dumps(catalog.to_dict())
        store.write("INSERT OR REPLACE INTO meta (key, value) VALUES ('catalog', ?)", (text,))


def with_classes(catalog: ClassCatalog, classes: Iterable[ClassInfo]) -> ClassCatalog:
    """The catalog, followed by the classes with ids that it lacks; names and keys that are taken are changed."""
    rows = list(catalog.classes)
    for info in classes:
        if all(info.id != known.id for known in rows):
            name = f"{info.name} (id {info.id})" if any(info.name == known.name for known in rows) else info.name
            key = "" if any(info.key == known.key for known in rows) else info.key
            rows.append(replace(info, name=name, key=key))
    return catalog if len(rows) == len(catalog) else replace(catalog, classes=tuple(rows))


def forget_gone_masks(store: Store, directory: Path) -> dict[int, str]:
    """Have masks with a missing file rebuilt from the journal; returns the images (id, path) for which it is too short."""
    rows = store.rows("SELECT id, path, mask, journal_base FROM images WHERE mask != ''", (), (int, str, str, int))
    gone = [row for row in rows if not (directory / row[2]).is_file()]
    with store.transaction() as connection:
        connection.executemany("UPDATE images SET mask = '' WHERE id = ?", [(row[0],) for row in gone if not row[3]])
    return {image: path for image, path, _, base in gone if base}


def _mask_names(directory: Path) -> list[str]:
    """Names of the mask files below the project's directory, with slashes; links are passed over."""
    names = []
    waiting = [MASKS]
    while waiting:
        place = waiting.pop()
        with contextlib.suppress(OSError), os.scandir(directory / place) as entries:
            for entry in entries:  # knows links without asking the disk again: there may be 100,000 masks
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(f"{place}/{entry.name}")
                elif entry.name.endswith(".png") and entry.is_file(follow_symlinks=False):
                    names.append(f"{place}/{entry.name}")
    return sorted(names)


def _inside(path: str) -> bool:
    """Whether a path from a file is below the folder."""
    return not (path.startswith("/") or "\0" in path or ".." in path.split("/"))


def _last_move(store: Store) -> int:
    """The highest number that a move of this project has had."""
    with store.transaction() as connection:
        counted = last_number(connection, "moves")
    masks = store.row("SELECT coalesce(max(max(mask_move, journal_base)), 0) FROM images", (), (int,))
    return max(counted, masks[0] if masks else 0)


def last_number(connection: sqlite3.Connection, table: str) -> int:
    """The last number that AUTOINCREMENT has given in a table."""
    last = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (table,)).fetchone()
    return last[0] if last is not None and isinstance(last[0], int) else 0


def count_from(connection: sqlite3.Connection, table: str, number: int) -> None:
    """Later rows of a table get numbers above ``number``."""
    if connection.execute("SELECT 1 FROM sqlite_sequence WHERE name = ?", (table,)).fetchone() is None:
        connection.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (table, number))
    elif last_number(connection, table) < number:
        connection.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = ?", (number, table))
