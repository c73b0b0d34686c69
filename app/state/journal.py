"""The stroke journal: every step of every image, on disk before the next one begins.

Two tables. A *step* is a named patch; it is in effect, undone, or superseded (undone, and then something else was done). A
*move* means that a step was done (1) or undone (-1); moves are only ever appended and their numbers only grow. A mask file
carries the number of the last move that it holds, so

    the labels of an image  =  its mask file  +  the moves behind that number, in order.

Nothing else has to agree: a crash between writing the mask and writing to the database, or between any two statements, leaves
a mask with a number and moves behind it. If no mask could be read and no move was dropped yet, the moves alone rebuild the
labels from a blank map.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum

from app.state.document import Document
from app.state.patch import TilePatch, WrongSize
from app.state.provenance import Provenance
from app.state.store import Store
from app.state.stored_text import read_text, stored_text
from deeplab_core.errors import MessageText, ProjectError, join_messages, message, plural_message
from deeplab_core.reading import VALUE_ERRORS
from deeplab_core.wording import name_more

#: Default bound of all patches kept by one project, in bytes of packed tiles.
JOURNAL_BYTES = 256 * 1024 * 1024

#: A larger write-ahead log is folded into the database at the next flush: unbroken work has no idle time.
LOG_BYTES = 64 * 1024 * 1024

#: So many steps are dropped in one transaction when the journal is bounded, so that no stroke waits for a long one.
_PRUNE_STEPS = 16

#: A journal over its bound is cut to this part of it.
_PRUNE_TO = 0.95

#: How many damaged steps a notice names.
_MOST_NAMED = 3

# What a damaged row may say of its step, before it is shown.
_LONGEST_TITLE, _LAST_TIME = 120, 4e9

# Steps in effect are dropped from the oldest on, undone ones from the newest on. Both orders leave histories without gaps: of
# two steps in effect the newer was moved last, of two undone ones the older.
_CANDIDATES = """
    SELECT seq, image, bytes FROM steps AS s JOIN images ON images.id = s.image
    WHERE coalesce((SELECT max(n) FROM moves WHERE step = s.seq), 0) <= images.mask_move
    ORDER BY CASE state WHEN 2 THEN 0 WHEN 0 THEN 1 ELSE 2 END, CASE state WHEN 1 THEN -seq ELSE seq END
"""

NEWEST_DONE = "SELECT seq FROM steps WHERE image = ?1 AND state = 0 ORDER BY seq DESC LIMIT 1"
#: All undone steps of an image are newer than all in effect: seen from the newest on, no query walks through the whole history.
UNDONE = f"image = ?1 AND state = 1 AND seq > coalesce(({NEWEST_DONE}), 0)"
OLDEST_UNDONE = f"SELECT seq FROM steps WHERE {UNDONE} ORDER BY seq LIMIT 1"


class StepState(IntEnum):
    """What became of a step."""

    DONE = 0
    UNDONE = 1
    SUPERSEDED = 2


#: What a damaged or strange value of a step raises.
_STRANGE: tuple[type[Exception], ...] = (ProjectError, *VALUE_ERRORS)


@dataclass(frozen=True, slots=True)
class JournalStep:
    """One named step of one image.

    Attributes:
        seq: number of the step; grows over the whole project.
        title: what the undo menu shows through ``tr``, e.g. ``"Brush: chair, 1 204 px"``.
        source: who did it.
        time: Unix time in seconds.
        pixels: labels changed.
        undone: whether it can be redone rather than undone.
        patch: what it changed.
    """

    seq: int
    title: MessageText
    source: Provenance
    time: float
    pixels: int
    undone: bool
    patch: TilePatch


@dataclass(frozen=True, slots=True)
class DamagedStep:
    """A step with a record that cannot be read, or only in part.

    Attributes:
        seq: number of the step; 0 where only its moves are left.
        title: what it was; empty where that is lost too.
        time: Unix time in seconds; 0 where it is not known.
        lost_tiles: tiles of 64 px that it should have written when the labels were put together and that could not be read;
            None if nothing of it could, 0 if no pixel depends on the damage.
    """

    seq: int
    title: MessageText
    time: float
    lost_tiles: int | None = 0

    def text(self) -> MessageText:
        """Title and time, as a value of a message."""
        name = message("'{title}'", title=self.title) if self.title else message("a step without a name")
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(self.time))
        return message("{step} ({when})", step=name, when=when) if self.time else name


class Journal:
    """Steps and moves of all images of one project. Every method is one transaction."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def append(self, image: int, title: MessageText, source: Provenance, patch: TilePatch) -> JournalStep:
        """Record a step that was just done; undone steps of the image are superseded.

        When this returns, the step survives the death of the process.

        Raises:
            StorageError: the disk is full or cannot be written; nothing was recorded.
        """
        now = time.time()
        data = patch.to_bytes()
        with self._store.transaction() as connection:
            connection.execute(f"UPDATE steps SET state = {StepState.SUPERSEDED:d} WHERE {UNDONE}", (image,))
            cursor = connection.execute(
                "INSERT INTO steps (image, title, source, time, pixels, bytes, patch) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (image, stored_text(title), int(source), now, patch.changed_pixels, len(data), data),
            )
            seq = cursor.lastrowid or 0
            connection.execute("INSERT INTO moves (image, step, direction) VALUES (?, ?, 1)", (image, seq))
        return JournalStep(seq, title, source, now, patch.changed_pixels, False, patch)

    def undo(self, image: int, seq: int) -> None:
        """Record that the newest step in effect was undone. Raises ProjectError where ``seq`` is not that step."""
        self._move(image, seq, NEWEST_DONE, StepState.UNDONE, -1)

    def check_undo(self, image: int, seq: int) -> None:
        """Unpack what undoing a step writes, which may take long. Raises ProjectError where its record is damaged."""
        row = self._store.row("SELECT title, patch FROM steps WHERE image = ? AND seq = ?", (image, seq))
        try:
            if row is not None:
                TilePatch.from_bytes(row[1]).inverted().check()
        except _STRANGE as error:
            title = _shown_title(None if row is None else row[0])
            raise ProjectError(
                message("the record of '{step}' is damaged", step=title),
                why=message("The step cannot be undone; the mask is kept"),
                remedy=message("Correct the mask, or run the model on the image again"),
            ) from error

    def redo(self, image: int, seq: int) -> None:
        """Record that the oldest undone step was done again. Raises ProjectError where ``seq`` is not that step."""
        self._move(image, seq, OLDEST_UNDONE, StepState.DONE, 1)

    def _move(self, image: int, seq: int, query: str, new: StepState, direction: int) -> None:
        with self._store.transaction() as connection:
            found = connection.execute(query, (image,)).fetchone()
            expected = None if found is None else found[0]
            if expected != seq:
                raise ProjectError(
                    message("the undo history does not fit the journal"),
                    why=message("Step {seq} was moved, the journal expects {expected}", seq=seq, expected=expected),
                    remedy=message("Open the image again"),
                )
            connection.execute("UPDATE steps SET state = ? WHERE seq = ?", (new, seq))
            connection.execute("INSERT INTO moves (image, step, direction) VALUES (?, ?, ?)", (image, seq, direction))

    def newest(self, image: int) -> int:
        """Number of the newest step of an image, whatever became of it; 0 without one."""
        row = self._store.row("SELECT coalesce(max(seq), 0) FROM steps WHERE image = ?", (image,), (int,))
        return int(row[0]) if row else 0

    def only_newer(self, image: int, seq: int, source: Provenance) -> int | None:
        """Number of the first step of an image above ``seq``, if ``source`` did it and it is the newest one in effect; else None.

        Later steps that were undone again change nothing.
        """
        rows = self._store.rows(
            "SELECT seq, state, source FROM steps WHERE image = ? AND seq > ? ORDER BY seq", (image, seq), (int, int, int)
        )
        in_effect = [row[0] for row in rows if row[1] == StepState.DONE]
        return rows[0][0] if rows and in_effect == [rows[0][0]] and rows[0][2] == source else None

    def head(self, image: int) -> int:
        """Number of the image's last move; its journal base where it has none."""
        row = self._store.row(
            "SELECT max(coalesce((SELECT max(n) FROM moves WHERE image = images.id), 0), mask_move, journal_base)"
            " FROM images WHERE id = ?",
            (image,),
            (int,),
        )
        return int(row[0]) if row else 0

    def heads(self) -> dict[int, int]:
        """:meth:`head` of every image, in one query."""
        rows = self._store.rows(
            "SELECT id, max(coalesce((SELECT max(n) FROM moves WHERE image = images.id), 0), mask_move, journal_base)"
            " FROM images",
            kinds=(int, int),
        )
        return {int(image): int(head) for image, head in rows}

    def steps(self, image: int) -> list[JournalStep]:
        """The steps that can be undone or redone, oldest first; those behind a damaged one cannot (:meth:`read_steps`)."""
        return self.read_steps(image)[0]

    def read_steps(
        self, image: int, known: Iterable[int] = (), document: Document | None = None
    ) -> tuple[list[JournalStep], list[DamagedStep]]:
        """The steps that can be undone or redone, oldest first, and those with damaged records.

        A step is undone only after all newer ones, so a damaged step in effect, and what is older, cannot be undone; a damaged
        undone step, and what came after it, cannot be redone.

        Args:
            known: numbers of steps that are known to be damaged inside.
            document: the image's labels: a step that does not fit them is damaged.
        """
        rows = self._store.rows(
            "SELECT seq, title, source, time, pixels, state, patch FROM steps WHERE image = ? AND state != ? ORDER BY seq",
            (image, StepState.SUPERSEDED),
        )
        broken = set(known)
        steps, damaged = [], []
        for seq, title, source, when, pixels, state, data in rows:
            try:
                title = read_text(str(title))
                patch, undone = TilePatch.from_bytes(data), StepState(state) is StepState.UNDONE
                if document is not None and not document.fits(patch):
                    raise ValueError(f"it is for {patch.shape}")
                steps.append(JournalStep(seq, title, Provenance(source), float(when), int(pixels), undone, patch))
            except _STRANGE:
                broken.add(seq)
                damaged.append(_damaged(seq, title, when))
        in_effect = {row[0] for row in rows if row[5] != StepState.UNDONE}
        ahead = {row[0] for row in rows} - in_effect
        if broken - in_effect - ahead:  # steps of which only the moves are left block as those in effect do
            in_effect |= broken - {seq for (seq,) in self._store.rows("SELECT seq FROM steps WHERE image = ?", (image,))}
        newest, oldest = max(broken & in_effect, default=0), min(broken & ahead, default=None)
        return [step for step in steps if step.seq > newest and (oldest is None or step.seq < oldest)], damaged

    def unmoved(self, image: int, *, complete: bool) -> list[DamagedStep]:
        """Steps with lost moves: another image has them, or, which no step is, they were never done.

        Args:
            complete: whether no move of the image was dropped so far, so that every step must have one.
        """
        rows = self._store.rows(
            "SELECT seq, title, time FROM steps WHERE image = ?"
            " AND (EXISTS (SELECT 1 FROM moves WHERE step = steps.seq AND moves.image != steps.image)"
            " OR ? AND NOT EXISTS (SELECT 1 FROM moves WHERE step = steps.seq))",
            (image, complete),
        )
        return [_damaged(seq, title, when, None) for seq, title, when in rows]

    def retire(self, image: int, seq: int) -> None:
        """A damaged step, and the steps that can only be reached through it, are no longer offered for undo and redo.

        Their records stay in the journal until it is bounded, as those of superseded steps do.
        """
        with self._store.transaction() as connection:
            row = connection.execute("SELECT state FROM steps WHERE image = ? AND seq = ?", (image, seq)).fetchone()
            undone = row is not None and row[0] == StepState.UNDONE
            which = "seq >= ? AND state = ?" if undone else "seq <= ? AND state != ?"
            connection.execute(
                f"UPDATE steps SET state = ? WHERE image = ? AND {which}", (StepState.SUPERSEDED, image, seq, StepState.UNDONE)
            )

    def replay(self, document: Document, image: int, move: int) -> tuple[int, list[DamagedStep]]:
        """Apply the moves behind ``move`` to a document, as far as they can be read.

        Args:
            move: the last one that the document holds; 0 for a blank document.

        Returns:
            The number of the last move, or ``move``; and the steps that could not be applied wholly. Their sound tiles are.

        Raises:
            WrongSize: all steps of a blank document were made for a picture of another size; nothing was changed.
        """
        blank = move == 0
        rows = self._store.rows(
            "SELECT n, direction, step, title, time, patch FROM moves"
            " LEFT JOIN steps ON steps.seq = moves.step AND steps.image = moves.image"
            " WHERE moves.image = ? AND n > ? ORDER BY n",
            (image, move),
        )
        damaged: list[DamagedStep] = []
        other: tuple[int, int] | None = None
        sound = False
        for n, direction, seq, title, when, data in rows:
            move = n
            if direction not in (1, -1):
                damaged.append(_damaged(seq, title, when, None))
                continue
            way = int(direction)
            try:
                patch = TilePatch.from_bytes(data)
                other = patch.shape if patch.shape != document.shape else other
                document.apply(patch if way > 0 else patch.inverted())
                sound = True
            except (ProjectError, ValueError):
                rest, lost = TilePatch.salvage(data, way)
                fits = rest is not None and document.fits(rest)
                if rest is not None and fits:
                    document.apply(rest)
                    sound = True
                damaged.append(_damaged(seq, title, when, lost if fits else None))
        if blank and other is not None and not sound:
            raise WrongSize(other)
        return move, damaged

    def reset(self, image: int, move: int) -> None:
        """Forget all steps of an image because its mask, which holds ``move``, is all that is left of it.

        Later moves get numbers above ``move`` even where the database has never heard of it.
        """
        with self._store.transaction() as connection:
            connection.execute("DELETE FROM moves WHERE image = ?", (image,))
            connection.execute("DELETE FROM steps WHERE image = ?", (image,))
            connection.execute("UPDATE images SET journal_base = ?, mask_move = ? WHERE id = ?", (move, move, image))
            known = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'moves'").fetchone()
            if known is None:
                connection.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('moves', ?)", (move,))
            elif known[0] < move:
                connection.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = 'moves'", (move,))

    def nbytes(self) -> int:
        """Packed size of all patches of the project."""
        row = self._store.row("SELECT coalesce(sum(bytes), 0) FROM steps")
        return int(row[0]) if row else 0

    def prune(self, budget: int = JOURNAL_BYTES) -> int:
        """Drop steps until the patches fit ``budget`` bytes; returns how many were dropped.

        Superseded steps go first, then the oldest ones in effect, then the far ends of what could be redone. Only steps with
        every move the image's mask file already holds are dropped, so no pixel depends on them; what is lost is the
        possibility to undo or redo them.
        """
        if self.nbytes() <= budget:
            return 0
        # A little more than needed, so that not every stroke of a full journal has to look for victims. Looking takes long in
        # a journal of many thousand steps, hence a connection of its own: no stroke waits for it.
        excess = self.nbytes() - int(budget * _PRUNE_TO)
        with self._store.reader() as connection:
            candidates = connection.execute(_CANDIDATES).fetchall()
        dropped = 0
        for start in range(0, len(candidates), _PRUNE_STEPS):
            with self._store.transaction() as connection:
                for seq, image, size in candidates[start : start + _PRUNE_STEPS]:
                    if excess <= 0:
                        return dropped
                    if self._drop(connection, seq, image):
                        excess -= size if isinstance(size, int) else 0
                        dropped += 1
        return dropped

    def _drop(self, connection: sqlite3.Connection, seq: int, image: int) -> bool:
        """Drop one step unless it was moved since the mask was saved."""
        (last,) = connection.execute("SELECT coalesce(max(n), 0) FROM moves WHERE step = ?", (seq,)).fetchone()
        row = connection.execute("SELECT 1 FROM images WHERE id = ? AND mask_move >= ?", (image, last)).fetchone()
        if row is None:
            return False
        connection.execute("DELETE FROM steps WHERE seq = ?", (seq,))
        connection.execute("UPDATE images SET journal_base = max(journal_base, ?) WHERE id = ?", (last, image))
        connection.execute(
            "DELETE FROM moves WHERE image = ? AND n <= (SELECT journal_base FROM images WHERE id = ?)", (image, image)
        )
        return True


def _shown_title(title: object) -> MessageText:
    text = read_text(title) if isinstance(title, str) else message("")
    return text if len(text) <= _LONGEST_TITLE else MessageText(text[:_LONGEST_TITLE], {})


def _damaged(seq: object, title: object, when: object, lost_tiles: int | None = 0) -> DamagedStep:
    known = isinstance(when, float) and 0 < when < _LAST_TIME
    return DamagedStep(
        seq if isinstance(seq, int) else 0,
        _shown_title(title),
        when if known and isinstance(when, float) else 0.0,
        lost_tiles,
    )


def damage_texts(damaged: Sequence[DamagedStep], lost: Sequence[DamagedStep]) -> list[str]:
    """What to say of steps that were taken out of a history, at least one; ``lost`` are those that the labels may lack."""
    named = join_messages([step.text() for step in damaged[:_MOST_NAMED]], ", ")
    if len(damaged) > _MOST_NAMED:
        named = name_more(named, len(damaged) - _MOST_NAMED)
    head = plural_message(
        "A damaged step of the journal was set aside: {named}.",
        "{n} damaged steps of the journal were set aside: {named}.",
        len(damaged),
        named=named,
    )
    texts: list[str] = [head, message("The mask and all other steps are kept, but undo ends there.")]
    tiles = sum(step.lost_tiles or 0 for step in lost)
    steps = sum(step.lost_tiles is None for step in lost)
    parts = [plural_message("{n} tile of 64 x 64 px", "{n} tiles of 64 x 64 px", tiles)] if tiles else []
    parts += [plural_message("all of {n} step", "all of {n} steps", steps)] if steps else []
    if len(parts) == 2:
        parts = [message("{tiles} and {steps}", tiles=parts[0], steps=parts[1])]
    return texts + [message("The mask did not hold {lost} yet: check it.", lost=part) for part in parts]
