"""Folder runs: which images a run still has to do, so that it can be resumed after a cancel or a crash."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from app.state.store import Store
from app.state.stored_text import read_text, stored_text


class ItemState(IntEnum):
    """What a run has done with an image."""

    WAITING = 0
    DONE = 1
    FAILED = 2
    SUGGESTED = 3  # the user's work was there, so the prediction waits for a decision


_STATES = {int(state): state for state in ItemState}
#: Types of the columns of a run; ``finished`` may be None.
_KINDS = (int, str, str, str, float, object)


@dataclass(frozen=True, slots=True)
class Run:
    """A run over images of a project.

    Attributes:
        id: number of the run.
        title: what the user reads.
        card_id: of the model.
        options: JSON of the prediction options.
        started, finished: Unix time in seconds; ``finished`` is None while images wait, also after a cancel or a crash.
        counts: images per state.
    """

    id: int
    title: str
    card_id: str
    options: str
    started: float
    finished: float | None
    counts: dict[ItemState, int]


class ProjectRuns:
    """The runs of a project."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def start(self, title: str, card_id: str, options: str, images: Sequence[int]) -> int:
        """Record a new run over image ids, in order; returns its number. An older unfinished run is closed."""
        with self._store.transaction() as connection:
            now = time.time()
            connection.execute("UPDATE runs SET finished = ? WHERE finished IS NULL", (now,))
            run = connection.execute(
                "INSERT INTO runs (title, card_id, options, started) VALUES (?, ?, ?, ?)", (title, card_id, options, now)
            ).lastrowid
            connection.executemany("INSERT INTO run_items (run, image) VALUES (?, ?)", [(run, image) for image in images])
        return run or 0

    def finish_item(self, run: int, image: int, state: ItemState, note: str = "") -> None:
        """Record what became of one image; the run is finished with its last one."""
        with self._store.transaction() as connection:
            values = state, stored_text(note), run, image
            connection.execute("UPDATE run_items SET state = ?, note = ? WHERE run = ? AND image = ?", values)
            connection.execute(
                "UPDATE runs SET finished = ? WHERE id = ? AND NOT EXISTS (SELECT 1 FROM run_items WHERE run = ? AND state = ?)",
                (time.time(), run, run, ItemState.WAITING),
            )

    def close(self, run: int) -> None:
        """Finish a run although images wait: it will not be offered for resuming."""
        self._store.write("UPDATE runs SET finished = ? WHERE id = ?", (time.time(), run))

    def waiting(self, run: int) -> list[int]:
        """Ids of the images that a run still has to do, in the order of their numbers."""
        query = "SELECT image FROM run_items WHERE run = ? AND state = ? ORDER BY image"
        return [row[0] for row in self._store.rows(query, (run, ItemState.WAITING), (int,))]

    def failures(self, run: int) -> list[tuple[int, str]]:
        """(image id, why) of the images that failed."""
        query = "SELECT image, note FROM run_items WHERE run = ? AND state = ? ORDER BY image"
        return [(image, read_text(note)) for image, note in self._store.rows(query, (run, ItemState.FAILED), (int, str))]

    def unfinished(self) -> Run | None:
        """The run that can be resumed, or None."""
        row = self._store.row(
            "SELECT id, title, card_id, options, started, finished FROM runs WHERE finished IS NULL ORDER BY id DESC LIMIT 1",
            (),
            _KINDS,
        )
        return None if row is None else self._run(row)

    def get(self, run: int) -> Run | None:
        """A run by its number."""
        row = self._store.row("SELECT id, title, card_id, options, started, finished FROM runs WHERE id = ?", (run,), _KINDS)
        return None if row is None else self._run(row)

    def _run(self, row: tuple[int, str, str, str, float, float | None]) -> Run:
        found = self._store.rows("SELECT state, count(*) FROM run_items WHERE run = ? GROUP BY state", (row[0],), (int, int))
        # A state of a later version is none of ours to count.
        counts = {_STATES[state]: n for state, n in found if state in _STATES}
        return Run(*row, counts)
