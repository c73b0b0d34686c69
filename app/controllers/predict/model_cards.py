"""Cards of model files that are not in use, read by the compute process and remembered until a file is written again."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QObject, Signal

from app.services.calls import ComputeService
from app.worker.messages import Inspected, InspectModel
from deeplab_core.records import ModelCard


class ModelCards(QObject):
    """Asks for cards; one request per file is under way at a time.

    Signals:
        read(Path, ModelCard): a card that was asked for.
        refused(Path, str): the file is no model that can be used, and why.
    """

    read = Signal(object, object)
    refused = Signal(object, str)

    def __init__(self, compute: ComputeService, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._compute = compute
        self._cards: dict[tuple[Path, int], ModelCard] = {}
        self._asked: set[Path] = set()

    def known(self, path: Path) -> ModelCard | None:
        """The card of the file as it is now; None where it was not read yet."""
        return self._cards.get(_version(path))

    def ask(self, path: Path) -> None:
        """Have the card read; :attr:`read` or :attr:`refused` follows."""
        if path in self._asked:
            return
        self._asked.add(path)
        call = self._compute.submit(InspectModel(path=str(path)))
        call.on(finished=lambda: self._asked.discard(path))
        call.on(done=lambda answer: self._take(path, answer), failed=lambda error: self.refused.emit(path, str(error)))

    def _take(self, path: Path, answer: Inspected) -> None:
        self._cards[_version(path)] = answer.card
        self.read.emit(path, answer.card)


def _version(path: Path) -> tuple[Path, int]:
    """A file as it is now: one that was written again is another."""
    try:
        return path, path.stat().st_mtime_ns
    except OSError:
        return path, 0
