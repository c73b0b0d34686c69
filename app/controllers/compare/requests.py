"""One prediction of one model at a time: from the disk where it was made before, else from the compute process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import QObject

from app.services.calls import Call, ComputeService
from app.services.folder_job import Steps, answer, background
from app.services.jobs import JobRegistry
from app.state.class_mapping import project_mapping
from app.state.comparison import Peer
from app.state.project import Project
from app.worker.messages import Compare, Compared
from deeplab_core.errors import AtrousError, Cancelled
from deeplab_core.labels import LabelMap, apply_lut
from deeplab_core.records import Prediction, PredictOptions


@dataclass(frozen=True, slots=True)
class Wish:
    """What is wanted.

    Attributes:
        image: id in the project.
        peer: the model of the prediction; its card is known.
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

    labels: LabelMap
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
        self._call: Call[Compared] | None = None
        self._taken: Taken | None = None
        self._refused: Refused | None = None
        self._moved: Callable[[float], None] | None = None

    @property
    def idle(self) -> bool:
        """Whether the next wish can be asked for."""
        return self._wish is None

    def ask(self, wish: Wish, taken: Taken, refused: Refused, moved: Callable[[float], None] | None = None) -> None:
        """Begin. One of ``taken`` and ``refused`` is called later, unless :meth:`cancel` comes first.

        Args:
            refused: gets an AtrousError; Cancelled if another request cancelled it.
            moved: gets the fraction 0..1 while the model runs.
        """
        self.cancel()
        self._number += 1
        number = self._number
        self._wish, self._taken, self._refused, self._moved = wish, taken, refused, moved

        def found(result: tuple[str, Prediction | None]) -> None:
            key, kept = result
            if number != self._number:
                return
            if kept is not None:
                self._map(number, wish, kept, "")
                return
            self._call = self._compute.submit(_request(wish, key)).on(
                done=lambda answer: self._take(number, wish, answer),
                failed=lambda error: self._end(number, error),
                cancelled=lambda: self._end(number, Cancelled()),
                progress=lambda fraction, _text: self._move(number, fraction),
            )

        self._jobs.run(lambda: _look(wish), found, lambda error: self._end(number, error))

    def cancel(self) -> None:
        """Drop the current request without a signal."""
        call, self._call = self._call, None
        self._number += 1
        self._wish = self._taken = self._refused = self._moved = None
        if call is not None:
            call.abandon()

    def _map(self, number: int, wish: Wish, prediction: Prediction, note: str, *, keep: bool = False) -> None:
        """Bring labels into the project's ids, and keep the prediction, in the background."""
        self._jobs.run(
            lambda: _in_project_ids(wish, prediction, note, keep=keep),
            lambda said: self._finish(number, said),
            lambda error: self._end(number, error),
        )

    def _finish(self, number: int, said: Said) -> None:
        if number != self._number or self._taken is None:
            return
        taken = self._taken
        self._wish = self._call = self._taken = self._refused = self._moved = None
        taken(said)

    def _end(self, number: int, error: Exception) -> None:
        if number != self._number or self._refused is None:
            return
        if not isinstance(error, AtrousError):
            self.cancel()
            raise error
        refused = self._refused
        self._wish = self._call = self._taken = self._refused = self._moved = None
        refused(error)

    # -- what the compute process says -----------------------------------------------------------------------------------

    def _take(self, number: int, wish: Wish, answer: Compared) -> None:
        self._call = None
        if answer.prediction is not None:
            self._map(number, wish, answer.prediction, answer.note, keep=True)

    def _move(self, number: int, fraction: float) -> None:
        if number == self._number and self._moved is not None:
            self._moved(fraction)


def ask_model(compute: ComputeService, wish: Wish) -> Steps[Said]:
    """What :class:`PeerAsking` does, as steps of a job over the folder."""
    key, prediction = yield from background(lambda: _look(wish))
    note, kept = "", prediction is not None
    if prediction is None:
        compared = yield from answer(lambda: compute.submit(_request(wish, key)))
        prediction, note = compared.prediction, compared.note
    assert prediction is not None
    found = prediction
    return (yield from background(lambda: _in_project_ids(wish, found, note, keep=not kept)))


def _look(wish: Wish) -> tuple[str, Prediction | None]:
    """Content key of the image, and the prediction that is kept of it."""
    card = wish.peer.card
    assert card is not None
    key = wish.project.content_key(wish.image)
    return key, wish.project.predictions.get(key, card.id, wish.options.cache_key())


def _request(wish: Wish, key: str) -> Compare:
    path = wish.project.path_of(wish.project.record(wish.image))
    return Compare(priority=wish.priority, model=str(wish.peer.path), image=str(path), source_key=key, options=wish.options)


def _in_project_ids(wish: Wish, prediction: Prediction, note: str, *, keep: bool) -> Said:
    """Bring labels into the project's ids, and keep a new prediction."""
    card = wish.peer.card
    assert card is not None
    mapping = project_mapping(wish.project, card.catalog, card.id)
    if keep:
        wish.project.predictions.put(prediction)
    return Said(apply_lut(prediction.labels, mapping.lut), mapping.unmatched, prediction.report.milliseconds, note)
