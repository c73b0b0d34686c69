"""One prediction of one model at a time: from the disk where it was made before, else from the compute process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray
from PySide6.QtCore import QObject

from app.services.compute_service import ComputeService
from app.services.jobs import JobRegistry
from app.state.class_mapping import project_mapping
from app.state.comparison import Peer
from app.state.project import Project
from app.worker.messages import Compared, Failed, Progress, WasCancelled
from deeplab_core.errors import AtrousError, Cancelled
from deeplab_core.labels import apply_lut
from deeplab_core.records import Prediction, PredictOptions


@dataclass(frozen=True, slots=True)
class Wish:
    """What is wanted.

    Attributes:
        image: id in the project.
        peer: whose prediction; its card is known.
        options: already as far as this model can.
        priority: URGENT for the image in view.
    """

    project: Project
    image: int
    peer: Peer
    options: PredictOptions
    priority: int


@dataclass(frozen=True, slots=True, eq=False)
class Said:
    """What a model says about an image.

    Attributes:
        labels: (H, W) in the project's ids; a class without a partner there is void.
        unmatched: names of such classes of the model.
        milliseconds: that the prediction took, when it was made.
        note: what happened to the memory.
    """

    labels: NDArray[Any]
    unmatched: tuple[str, ...]
    milliseconds: float
    note: str = ""


Taken = Callable[[Said], None]
Refused = Callable[[Exception], None]


class PeerAsking(QObject):
    """At most one wish is under way. Predictions are kept on disk like all others."""

    def __init__(self, compute: ComputeService, jobs: JobRegistry, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._compute, self._jobs = compute, jobs
        self._number = 0  # of the wish under way; what comes for another one is dropped
        self._wish: Wish | None = None
        self._request: int | None = None
        self._taken: Taken | None = None
        self._refused: Refused | None = None
        self._moved: Callable[[float], None] | None = None
        compute.compared.connect(self._take)
        compute.failed.connect(self._fail)
        compute.cancelled.connect(self._drop)
        compute.progress.connect(self._progress)

    @property
    def idle(self) -> bool:
        """Whether the next wish can be asked for."""
        return self._wish is None

    def ask(self, wish: Wish, taken: Taken, refused: Refused, moved: Callable[[float], None] | None = None) -> None:
        """Begin. One of ``taken`` and ``refused`` is called later, unless :meth:`cancel` comes first.

        Args:
            refused: gets an AtrousError; Cancelled where the compute process was told to stop by somebody else.
            moved: gets the fraction 0..1 while the model runs.
        """
        self.cancel()
        self._number += 1
        number = self._number
        self._wish, self._taken, self._refused, self._moved = wish, taken, refused, moved
        card = wish.peer.card
        assert card is not None

        def look() -> tuple[str, Prediction | None]:
            key = wish.project.content_key(wish.image)
            return key, wish.project.predictions.get(key, card.id, wish.options.cache_key())

        def found(answer: tuple[str, Prediction | None]) -> None:
            key, kept = answer
            if number != self._number:
                return
            if kept is not None:
                self._map(number, wish, kept, "")
                return
            path = wish.project.path_of(wish.project.record(wish.image))
            self._request = self._compute.compare(str(wish.peer.path), str(path), key, wish.options, wish.priority)

        self._jobs.run(look, found, lambda error: self._end(number, error))

    def cancel(self) -> None:
        """Give the wish under way up; nobody hears of it any more."""
        request, self._request = self._request, None
        self._number += 1
        self._wish = self._taken = self._refused = self._moved = None
        if request is not None:
            self._compute.cancel(request)

    def _map(self, number: int, wish: Wish, prediction: Prediction, note: str, *, keep: bool = False) -> None:
        """Bring labels into the project's ids, and keep the prediction, in the background."""
        card = wish.peer.card
        assert card is not None
        mapping = project_mapping(wish.project, card.catalog, card.id)

        def work() -> Said:
            if keep:
                wish.project.predictions.put(prediction)
            labels = apply_lut(prediction.labels, mapping.lut)
            return Said(labels, mapping.unmatched, prediction.report.milliseconds, note)

        self._jobs.run(work, lambda said: self._finish(number, said), lambda error: self._end(number, error))

    def _finish(self, number: int, said: Said) -> None:
        if number != self._number or self._taken is None:
            return
        taken = self._taken
        self._wish = self._request = self._taken = self._refused = self._moved = None
        taken(said)

    def _end(self, number: int, error: Exception) -> None:
        if number != self._number or self._refused is None:
            return
        if not isinstance(error, AtrousError):
            self.cancel()
            raise error
        refused = self._refused
        self._wish = self._request = self._taken = self._refused = self._moved = None
        refused(error)

    # -- what the compute process says -----------------------------------------------------------------------------------

    def _take(self, answer: Compared) -> None:
        if answer.request_id == self._request and self._wish is not None and answer.prediction is not None:
            self._request = None
            self._map(self._number, self._wish, answer.prediction, answer.note, keep=True)

    def _fail(self, answer: Failed) -> None:
        if answer.request_id == self._request:
            self._end(self._number, AtrousError.from_dict(answer.error))

    def _drop(self, answer: WasCancelled) -> None:
        if answer.request_id == self._request:
            self._end(self._number, Cancelled())

    def _progress(self, answer: Progress) -> None:
        if answer.request_id == self._request and self._moved is not None:
            self._moved(answer.fraction)
