"""The second model of a comparison, if the user has chosen none: the first in the list that knows the same classes."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from app.controllers.predict.model_cards import ModelCards
from app.services.jobs import Job, JobRegistry, JobState
from app.text import tr
from deeplab_core.catalogs.catalog import ClassCatalog, map_catalogs
from deeplab_core.records import ModelCard


def same_classes(one: ClassCatalog, other: ClassCatalog) -> bool:
    """Whether two models can be compared class by class: both have the same ones, or one has those of the other and more."""
    return not map_catalogs(one, other).unmatched or not map_catalogs(other, one).unmatched


class CompatibleModelSearch(QObject):
    """Reads card after card, in the background, until one fits.

    Signals:
        found(Path): a model of the same classes; the search is over.
        missed(): there is none; the search is over.
    """

    found = Signal(object)
    missed = Signal()

    def __init__(self, cards: ModelCards, jobs: JobRegistry, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._cards, self._jobs = cards, jobs
        self._first: Path | None = None
        self._catalog: ClassCatalog | None = None
        self._left: deque[Path] = deque()
        self._job: Job | None = None
        cards.read.connect(self._follow_card)
        cards.refused.connect(self._follow_refusal)

    def start(self, first: Path, card: ModelCard | None, others: Sequence[Path]) -> None:
        """Look for a partner of a model.

        Args:
            card: of the first model; None has it read.
            others: models to choose from, the preferred ones first.
        """
        self.stop()
        self._first, self._left = first, deque(others)
        self._catalog = None if card is None else card.catalog
        self._job = self._jobs.add(Job(tr("Searching for a model with the same classes"), self.stop))
        self._go_on()

    def stop(self) -> None:
        """End the search silently: the user chose, or does not want to wait."""
        self._end(JobState.CANCELLED)

    def _go_on(self) -> None:
        first = self._first
        if first is None:
            return
        if self._catalog is None:
            card = self._cards.known(first)
            if card is None:
                self._cards.ask(first)
                return
            self._catalog = card.catalog
        while self._left:
            card = self._cards.known(self._left[0])
            if card is None:
                self._cards.ask(self._left[0])
                return
            path = self._left.popleft()
            if same_classes(self._catalog, card.catalog):
                self._end(JobState.DONE)
                self.found.emit(path)
                return
        self._end(JobState.DONE)
        self.missed.emit()

    def _end(self, state: JobState) -> None:
        job, self._job = self._job, None
        self._first, self._catalog = None, None
        self._left.clear()
        if job is not None:
            job.finish(state)

    def _follow_card(self, path: Path, _card: ModelCard) -> None:
        if path == self._first or path in self._left:
            self._go_on()

    def _follow_refusal(self, path: Path, _why: str) -> None:
        if path == self._first:
            self.stop()  # the list shows what is wrong with it
        elif path in self._left:
            self._left.remove(path)
            self._go_on()
