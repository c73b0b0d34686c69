"""A database that was damaged, lost or tampered with: set it aside, begin a fresh one, and save every row that can be read."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.state.adopt import adopt_masks, count_from, last_number
from app.state.careful import SQLITE_ERRORS, check_kinds, damaged_reader, look_into, meta_json
from app.state.class_edits import parse_entries
from app.state.image_record import ImageFlag, ImageRecord, records_from_rows
from app.state.journal import StepState
from app.state.layout import BACKUPS, backup_names
from app.state.patch import TilePatch
from app.state.provenance import Provenance
from app.state.schema import APPLICATION_ID, table_as_expected
from app.state.store import DamagedStore, Store, set_database_aside
from app.state.stored_text import stored_text
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.errors import AtrousError, MessageText, join_messages, message, plural_message
from deeplab_core.wording import clause, name_some

#: So many failing questions are asked to find the readable rows around damaged ones.
_MOST_PROBES = 20_000

#: Further than any project has steps.
_APART = 10**9

Row = tuple[Any, ...]


def renewed(path: Path, error: DamagedStore, notices: list[str]) -> Store:
    """Set a database aside and make a fresh one from what can be read of it and from the mask files beside it.

    Args:
        error: what was found; its cause becomes part of the notice.
        notices: what happened is added in words.

    Raises:
        StorageError: it cannot be set aside, or the fresh one cannot be written.
    """
    aside = set_database_aside(path, "damaged")
    store = Store(path)
    try:
        spare = _Spare.of(path.parent)
        losses = None if aside is None else _salvage(aside, store, spare)
        why = message("The project's database was damaged ({reason}).", reason=clause(error.why))
        notices.append(why if error.why else message("The project's database was damaged."))
        if aside is not None:
            notices.append(message("It was set aside as {name}.", name=aside.name))
        if losses is not None:
            notices.extend(losses.sentences())
        elif not restored_from_copy(store, path.parent, notices):
            notices.append(message("Nothing of it could be read. The saved masks are kept."))
        adopt_masks(store, path.parent, notices)
    except BaseException:
        store.close()
        raise
    return store


def restored_from_copy(store: Store, directory: Path, notices: list[str]) -> bool:
    """Fill a database without images from the newest daily copy that knows work; whether there is one."""
    for name in backup_names(directory):
        spare = _Spare.read(directory / BACKUPS / name)
        if not any(row[5] or row[8] for row in spare.images):  # status, mask
            continue
        losses = _salvage(directory / BACKUPS / name, store, _Spare())
        if losses is not None:
            notices.append(
                message(
                    "The project's database was lost; its copy {name} has taken its place. What was done after that copy is lost,"
                    " but saved masks are kept.",
                    name=name,
                )
            )
            notices.extend(losses.sentences() if losses.tables else [])
            return True
    return False


def refill(
    store: Store, directory: Path, records: Iterable[ImageRecord], catalog: ClassCatalog, in_memory: Collection[int]
) -> None:
    """Fill an empty database for a project that is still open: copy, masks, and what the program knows by heart.

    Args:
        in_memory: ids of images with documents that are saved afterwards: older steps would not fit them.
    """
    restored_from_copy(store, directory, [])
    with store.transaction() as connection:
        for record in records:
            connection.execute("DELETE FROM images WHERE path = ? AND id != ?", (record.relative_path, record.id))
            connection.execute(
                "INSERT INTO images (id, path, size, mtime_ns, status, flags, note, content_key, prediction)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET path = excluded.path, size = excluded.size,"
                " mtime_ns = excluded.mtime_ns, status = excluded.status, flags = excluded.flags, note = excluded.note,"
                " content_key = excluded.content_key, prediction = excluded.prediction",
                (
                    record.id, record.relative_path, record.size, record.mtime_ns, int(record.status), int(record.flags),
                    record.note, record.content_key, record.prediction,
                ),
            )  # fmt: skip
        connection.execute("INSERT OR REPLACE INTO meta (key, value) VALUES ('catalog', ?)", (json.dumps(catalog.to_dict()),))
    adopt_masks(store, directory, [])
    with store.transaction() as connection:
        for image in in_memory:
            for table in ("moves", "steps"):
                connection.execute(f"DELETE FROM {table} WHERE image = ?", (image,))
            connection.execute("UPDATE images SET journal_base = max(journal_base, mask_move, 1) WHERE id = ?", (image,))
        # Steps that the window can still undo have numbers of the lost database; no new one may get the same.
        for table in ("moves", "steps"):
            count_from(connection, table, last_number(connection, table) + _APART)


# -- saving rows ---------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Losses:
    """What could not be read.

    Attributes:
        tables: names of tables of which rows are missing, in words.
        images: paths of images with labels that may lack strokes.
        spared: how many images and settings came from a daily copy instead.
        copy: its name.
        copies: whether there are daily copies.
    """

    tables: list[str] = field(default_factory=list)
    images: list[str] = field(default_factory=list)
    spared: int = 0
    copy: str = ""
    copies: bool = False

    def sentences(self) -> list[str]:
        if not self.tables:
            return [message("Everything could be read from it; nothing is lost.")]
        parts = join_messages(self.tables, ", ")
        lines: list[str] = [message("Not all of it could be read: {parts}. The saved masks are kept.", parts=parts)]
        if self.spared:
            lines.append(
                plural_message(
                    "{n} lost row was taken from the copy {name}.",
                    "{n} lost rows were taken from the copy {name}.",
                    self.spared,
                    name=self.copy,
                )
            )
        if self.images:
            named = name_some(self.images, 5)
            lines.append(message("Strokes or undo steps of these images are lost; check them: {named}.", named=named))
        if self.copies:
            lines.append(message("Daily copies are listed by: {command}", command="atrous project restore FOLDER --list"))
        return lines


@dataclass(frozen=True, slots=True)
class _Table:
    """How a table is read: its key, the type of each column, and what else a row must fulfil."""

    name: str
    words: MessageText
    key: str
    kinds: tuple[type, ...]
    check: Callable[[Row], object]


def _check_meta(row: Row) -> None:
    value = meta_json(row[1], row[0])
    if row[0] == "catalog":
        ClassCatalog.from_dict(value)
    elif row[0] == "class edits":
        parse_entries(value)


def _check_step(row: Row) -> None:
    Provenance(row[3])
    StepState(row[7])
    TilePatch.from_bytes(row[8])


def _check_move(row: Row) -> None:
    if row[3] not in (-1, 1):
        raise ValueError("no direction")


_META = _Table("meta", message("settings"), "key", (str, str), _check_meta)
_IMAGES = _Table(
    "images", message("images"), "id", (int, str, int, int, str, int, int, str, str, int, int, str),
    lambda row: records_from_rows([(*row[:4], *row[5:8], row[4], row[8], row[11])]),
)  # fmt: skip
_STEPS = _Table("steps", message("steps"), "seq", (int, int, str, int, float, int, int, int, bytes), _check_step)
_MOVES = _Table("moves", message("moves"), "n", (int, int, int, int), _check_move)
#: What can be computed again: one unreadable row of these is not a loss to speak of, but it is counted.
_OTHERS = (
    _Table("runs", message("runs"), "id", (int, str, str, str, float, object), lambda _: None),
    _Table("run_items", message("runs"), "run", (int, int, int, str), lambda _: None),
    _Table("results", message("results"), "rowid", (int, str, str, bytes), lambda _: None),
)


@dataclass(frozen=True, slots=True)
class _Spare:
    """Images and settings of the newest daily copy, for those that cannot be read; strokes are found again by them."""

    name: str = ""
    images: list[Row] = field(default_factory=list)
    settings: list[Row] = field(default_factory=list)

    @staticmethod
    def of(directory: Path) -> _Spare:
        """From the newest copy that can be read; empty if there is none."""
        for name in backup_names(directory):
            spare = _Spare.read(directory / BACKUPS / name)
            if spare.images:
                return spare
        return _Spare()

    @staticmethod
    def read(path: Path) -> _Spare:
        """From one copy; empty if it cannot be read."""
        with contextlib.suppress(*SQLITE_ERRORS, OSError), look_into(path) as source:
            if source.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,):
                unread = _Losses()
                return _Spare(path.name, _read(source, _IMAGES, unread)[0], _read(source, _META, unread)[0])
        return _Spare()

    def add(self, images: list[Row], settings: list[Row]) -> int:
        """Add what is missing in place; returns how much."""
        ids, paths, keys = {row[0] for row in images}, {row[1] for row in images}, {row[0] for row in settings}
        more = [row for row in self.images if row[0] not in ids and row[1] not in paths]
        others = [row for row in self.settings if row[0] not in keys]
        images += more
        settings += others
        return len(more) + len(others)


def _salvage(damaged: Path, store: Store, spare: _Spare) -> _Losses | None:
    """Copy what can be read of a database into a fresh one; None if that is nothing."""
    losses = _Losses(copies=bool(spare.name))
    try:
        with damaged_reader(damaged) as source:
            (owner,) = source.execute("PRAGMA application_id").fetchone()
            if owner != APPLICATION_ID:
                raise sqlite3.DatabaseError("it does not bear our mark")
            images = _read(source, _IMAGES, losses)[0]
            steps = _read(source, _STEPS, losses)[0]
            moves, bad_moves, lost_moves = _read(source, _MOVES, losses)
            settings = _read(source, _META, losses)[0]
            others = [(table, _read(source, table, losses)[0]) for table in _OTHERS]
            last = _sequence(source)
    except SQLITE_ERRORS:
        return None
    if losses.tables and (count := spare.add(images, settings)):
        losses.spared, losses.copy = count, spare.name
    known = {row[0] for row in images}
    journal = _Journal(images, steps, moves, bad_moves, lost_moves)
    if any(row[1] not in known for row in steps):
        losses.tables.append(message("strokes of images that are not known any more"))
    with store.transaction() as connection:
        _insert(connection, "meta", settings)
        _insert(connection, "images", journal.images)
        _insert(connection, "steps", journal.steps)
        _insert(connection, "moves", journal.moves)
        for table, rows in others:
            place = {"run_items": 1, "results": 0}.get(table.name)
            kept = [row for row in rows if place is None or row[place] in known]
            with contextlib.suppress(sqlite3.IntegrityError):  # rows that refer to lost ones
                _insert(connection, table.name, kept)
        count_from(connection, "moves", max([last, *(max(row[9], row[10]) for row in images)], default=0))
    losses.images = journal.cut
    return losses


def _insert(connection: sqlite3.Connection, table: str, rows: list[Row]) -> None:
    if rows:
        marks = ", ".join("?" * len(rows[0]))
        connection.executemany(f"INSERT OR REPLACE INTO {table} VALUES ({marks})", rows)


def _sequence(source: sqlite3.Connection) -> int:
    with contextlib.suppress(*SQLITE_ERRORS):
        for (seq,) in source.execute("SELECT seq FROM sqlite_sequence WHERE name = 'moves'").fetchmany(1):
            if isinstance(seq, int):
                return seq
    return 0


def _read(source: sqlite3.Connection, table: _Table, losses: _Losses) -> tuple[list[Row], list[Row], list[tuple[int, int]]]:
    """The sound rows of a table, the damaged ones, and the ranges of keys that cannot be read; what is missing is counted."""
    if not table_as_expected(source, table.name, 1):
        losses.tables.append(message("{rows} (the table is missing or was changed)", rows=table.words))
        return [], [], [(0, _MOST_KEY)]
    gaps: list[tuple[int, int]] = []
    sound: list[Row] = []
    bad: list[Row] = []
    rows = _by_number(source, table, gaps) if table.key in ("id", "seq", "n", "rowid") else _from_both_ends(source, table, gaps)
    for row in rows:
        try:
            check_kinds([row], table.kinds, Path(table.name))
            table.check(row)
        except (AtrousError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
            bad.append(row)
        else:
            sound.append(row)
    if gaps or bad:
        some = message("some of the {rows}", rows=table.words)
        losses.tables.append(message("{number} of the {rows}", number=len(bad), rows=table.words) if bad else some)
    return sound, bad, _joined(gaps)


def _joined(gaps: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Ranges that touch become one."""
    joined: list[tuple[int, int]] = []
    for low, high in sorted(gaps):
        if joined and low <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(high, joined[-1][1]))
        else:
            joined.append((low, high))
    return joined


_MOST_KEY = 2**62


def _by_number(source: sqlite3.Connection, table: _Table, gaps: list[tuple[int, int]]) -> Iterator[Row]:
    """Rows in the order of their numbers; around damaged pages by ever smaller ranges."""
    probes = _MOST_PROBES
    waiting = [(0, _highest(source, table))]
    while waiting:
        low, high = waiting.pop()
        try:
            rows = source.execute(
                f"SELECT * FROM {table.name} WHERE {table.key} BETWEEN ? AND ? ORDER BY {table.key}", (low, high)
            ).fetchall()
        except SQLITE_ERRORS:
            probes -= 1
            if low == high or probes < 0:
                gaps.append((low, high))
            else:
                middle = (low + high) // 2
                waiting += [(middle + 1, high), (low, middle)]
            continue
        yield from rows


def _highest(source: sqlite3.Connection, table: _Table) -> int:
    for query in (
        f"SELECT max({table.key}) FROM {table.name}",
        f"SELECT seq FROM sqlite_sequence WHERE name = '{table.name}'",
    ):
        with contextlib.suppress(*SQLITE_ERRORS):
            for (highest,) in source.execute(query).fetchmany(1):
                if isinstance(highest, int):
                    return min(highest, _MOST_KEY)
                if highest is None:
                    return 0
    return 2**32


def _from_both_ends(source: sqlite3.Connection, table: _Table, gaps: list[tuple[int, int]]) -> Iterator[Row]:
    """Rows of a table without numbers: forwards up to the damage, and backwards up to it."""
    seen = set()
    for order in ("ASC", "DESC"):
        try:
            cursor = source.execute(f"SELECT * FROM {table.name} ORDER BY {table.key} {order}")
            for row in cursor:
                if row not in seen:
                    seen.add(row)
                    yield row
        except SQLITE_ERRORS:
            gaps.append((0, 0))
        else:
            return


class _Journal:
    """Steps and moves that fit together, per image, out of what could be read.

    With a gap in the moves a replay would write wrong pixels. A gap that the image's mask already holds costs undo steps: the
    moves up to it go. Moves behind a gap that the mask does not hold go too: the labels stay as they were before it.

    Attributes:
        images, steps, moves: rows to write.
        cut: paths of the images that lost something.
    """

    def __init__(
        self, images: list[Row], steps: list[Row], moves: list[Row], bad_moves: list[Row], lost: list[tuple[int, int]]
    ) -> None:
        self.images: list[Row] = []
        self.steps: list[Row] = []
        self.moves: list[Row] = []
        self.cut: list[str] = []
        known = {row[0]: row for row in steps}
        moves_of, steps_of = defaultdict(list), defaultdict(list)
        for row in sorted(moves):
            moves_of[row[1]].append(row)
        for row in steps:
            steps_of[row[1]].append(row)
        gaps_of = defaultdict(list)
        ids = {row[0] for row in images}
        for n, image, *_ in bad_moves:
            for concerned in [image] if image in ids else ids:
                gaps_of[concerned].append((n, n))
        for row in images:
            self._take(row, steps_of[row[0]], moves_of[row[0]], known, lost + gaps_of[row[0]])

    def _take(self, image: Row, steps: list[Row], moves: list[Row], known: dict[int, Row], lost: list[tuple[int, int]]) -> None:
        broken = [n for n, _, step, _ in moves if step not in known or known[step][1] != image[0]]
        low, high = _whole_around(image[9], [(n, n) for n in broken] + lost)
        kept = [row for row in moves if low < row[0] < high]
        if low == 0 and len(kept) == len(moves):
            self.images.append(image)
            self.steps += steps
            self.moves += moves
            return
        states = _states_after(kept)
        self.moves += kept
        self.steps += [(*row[:7], int(states[row[0]]), row[8]) for row in steps if row[0] in states]
        if len(kept) < len(moves) or steps:
            self.cut.append(image[1])
        flags, note, base = image[6], image[7], max(image[10], low)
        if any(n >= high for n, *_ in moves):
            flags |= ImageFlag.DAMAGED
            note = stored_text(message("The last strokes could not be read from the damaged database."))
        self.images.append((*image[:6], flags, note, *image[8:10], base, image[11]))


def _whole_around(held: int, gaps: list[tuple[int, int]]) -> tuple[int, int]:
    """The numbers of moves, both left out, between which none is lost; the mask file holds what move ``held`` led to."""
    low = max((min(end, held) for start, end in gaps if start <= held), default=0)
    high = min((max(start, held + 1) for start, end in gaps if end > held), default=_MOST_KEY)
    return low, high


def _states_after(moves: list[Row]) -> dict[int, StepState]:
    """Whether each step is done or undone after some moves; a new step leaves the undone ones behind."""
    states: dict[int, StepState] = {}
    for _, _, step, direction in moves:
        if direction > 0 and step not in states:
            states = {other: StepState.SUPERSEDED if state is StepState.UNDONE else state for other, state in states.items()}
        states[step] = StepState.DONE if direction > 0 else StepState.UNDONE
    return states
