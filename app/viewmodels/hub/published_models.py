"""How a published model stands: what the window shows of it. Plain values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class FetchState(StrEnum):
    """Where a published model stands."""

    ABSENT = "absent"
    WAITING = "waiting"
    FETCHING = "fetching"
    CHECKING = "checking"
    HERE = "here"
    FAILED = "failed"
    UNUSABLE = "unusable"


@dataclass(frozen=True, slots=True)
class FetchView:
    """One published model, now.

    Attributes:
        state: see :class:`FetchState`.
        done, total: bytes; of an absent model, what an earlier try left of it.
        text: what goes on beside fetching, or why it failed, with what to do.
        path: the file, where it is here.
    """

    state: FetchState = FetchState.ABSENT
    done: int = 0
    total: int | None = None
    text: str = ""
    path: Path | None = None

    @property
    def busy(self) -> bool:
        """Whether it can be stopped."""
        return self.state in (FetchState.WAITING, FetchState.FETCHING)

    @property
    def percent(self) -> int | None:
        """How much of it is there; None where the size is not known."""
        return round(100 * self.done / self.total) if self.total else None
