"""What the controllers know of computing: the verbs, and the signals that answer them. No torch, no process."""

from __future__ import annotations

from abc import abstractmethod
from itertools import count
from typing import Any

from numpy.typing import NDArray
from PySide6.QtCore import QObject, Signal

from app.worker.messages import (
    NORMAL,
    URGENT,
    AskReceptive,
    AskScores,
    Compare,
    EndCompare,
    InspectModel,
    Learn,
    LearnTask,
    LoadModel,
    Predict,
    PrepareRefine,
    Refine,
    RefineBase,
    RefineBox,
    Request,
)
from deeplab_core.records import CRFParams, ModelCard, PredictOptions


class ComputeService(QObject):
    """Asks for work and hears of it later, on the thread that it lives in. Verbs become messages here; who answers them is open.

    Every request is answered by exactly one of :attr:`loaded`, :attr:`inspected`, :attr:`predicted`, :attr:`scores`,
    :attr:`refined`, :attr:`learned`, :attr:`compared`, :attr:`receptive`, :attr:`failed` and :attr:`cancelled`, also when the
    compute process dies in between. No verb blocks.

    Signals:
        hello(Hello): the process is there: versions and devices.
        loaded(Loaded), inspected(Inspected), predicted(Predicted), scores(ScoresAt), refined(Refined),
        learned(Learned), compared(Compared), receptive(Receptive): a request succeeded.
        progress(Progress): of the request that runs, ten times a second at most.
        failed(Failed): a request failed; ``AtrousError.from_dict(message.error)`` says what to do.
        cancelled(WasCancelled): a request was cancelled; nothing of it remains.
        crashed(str): the process ended unasked; the reason, for a person. One of the next two follows.
        restarted(): it is back, with the model loaded, and goes on with what was waiting.
        unresponsive(str): it does not answer, not even a sign of life; what is known of it, for the user. Said again once
            a minute. Nothing is ended by that: :meth:`restart` does it, and every request still gets its one answer.
        responsive(): it is heard again after :attr:`unresponsive`, or was ended.
        gave_up(str): it died too often, or is unusable, and stays down until :meth:`start` is called again.
    """

    hello = Signal(object)
    loaded = Signal(object)
    inspected = Signal(object)
    predicted = Signal(object)
    scores = Signal(object)
    refined = Signal(object)
    learned = Signal(object)
    compared = Signal(object)
    receptive = Signal(object)
    progress = Signal(object)
    failed = Signal(object)
    cancelled = Signal(object)
    crashed = Signal(str)
    restarted = Signal()
    unresponsive = Signal(str)
    responsive = Signal()
    gave_up = Signal(str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._numbers = count(1)

    @property
    @abstractmethod
    def card(self) -> ModelCard | None:
        """Card of the model in use; None before the first is loaded."""

    @property
    @abstractmethod
    def waiting(self) -> int:
        """Requests that are not answered yet."""

    @abstractmethod
    def start(self) -> None:
        """Start the process, or start it again after :attr:`gave_up`."""

    @abstractmethod
    def restart(self) -> None:
        """End the process now and start it again: what waits is sent again, what it was computing too.

        A request during which this or a death happens a second time fails, named.
        """

    @abstractmethod
    def stop(self) -> None:
        """End the process; requests that wait are forgotten without an answer."""

    def load(self, path: str, device: str = "auto", output_stride: int | None = None) -> int:
        """Load a checkpoint before anything that waits; returns the request id.

        Predictions that wait are then computed by the new model: cancel them first where that is not meant. Where loading
        fails, the model before stays in use.
        """
        return self._submit(
            LoadModel(request_id=next(self._numbers), priority=URGENT, path=str(path), device=device, output_stride=output_stride)
        )

    def inspect(self, path: str) -> int:
        """Have a checkpoint tried, while the model in use stays; returns the request id."""
        return self._submit(InspectModel(request_id=next(self._numbers), priority=NORMAL, path=str(path)))

    def predict(self, image: str, source_key: str, options: PredictOptions | None = None, priority: int = NORMAL) -> int:
        """Predict an image file; returns the request id. :data:`URGENT` requests run before :data:`NORMAL` ones."""
        asked = options or PredictOptions()
        return self._submit(
            Predict(request_id=next(self._numbers), priority=priority, image=str(image), source_key=source_key, options=asked)
        )

    def ask_scores(self, source_key: str, x: int, y: int, top: int = 3, priority: int = URGENT) -> int:
        """Ask for the most probable classes of a pixel; returns the request id."""
        return self._submit(
            AskScores(request_id=next(self._numbers), priority=priority, source_key=source_key, x=x, y=y, top=top)
        )

    def refine(self, base: RefineBase, params: CRFParams, strokes: NDArray[Any] | None = None, *, quick: bool = False) -> int:
        """Ask for an image's labels after a CRF (:class:`~app.worker.messages.Refine`); returns the request id."""
        number = next(self._numbers)
        return self._submit(
            Refine(request_id=number, priority=URGENT, base=base, params=params, strokes=strokes, quick=quick)
        )  # fmt: skip

    def refine_box(
        self,
        base: RefineBase,
        params: CRFParams,
        box: tuple[int, int, int, int],
        context: tuple[int, int, int, int],
        strokes: NDArray[Any],
        reach: float,
    ) -> int:
        """Ask for the labels of what a stroke touched (:class:`~app.worker.messages.RefineBox`); returns the request id."""
        return self._submit(
            RefineBox(
                request_id=next(self._numbers), priority=URGENT, base=base, params=params, box=box, context=context,
                strokes=strokes, reach=reach,
            )
        )  # fmt: skip

    def prepare_refine(self, base: RefineBase, params: CRFParams) -> int:
        """Have everything made ready for refining an image, behind whatever waits; returns the request id."""
        return self._submit(PrepareRefine(request_id=next(self._numbers), priority=NORMAL, base=base, params=params))

    def learn(self, task: LearnTask) -> int:
        """Have a model learn from corrections, behind whatever waits; returns the request id. The model in use stays in use."""
        return self._submit(Learn(request_id=next(self._numbers), priority=NORMAL, task=task))

    def compare(
        self, model: str, image: str, source_key: str, options: PredictOptions | None = None, priority: int = NORMAL
    ) -> int:
        """Predict an image file with any model while the one in use stays; returns the request id."""
        return self._submit(
            Compare(
                request_id=next(self._numbers), priority=priority, model=str(model), image=str(image), source_key=source_key,
                options=options or PredictOptions(),
            )
        )  # fmt: skip

    def end_compare(self) -> int:
        """Have the models that were loaded for comparing freed; returns the request id."""
        return self._submit(EndCompare(request_id=next(self._numbers), priority=NORMAL))

    def ask_receptive(self, image: str, source_key: str, x: int, y: int, options: PredictOptions | None = None) -> int:
        """Ask what the model in use looks at when it labels a pixel; returns the request id."""
        return self._submit(
            AskReceptive(
                request_id=next(self._numbers), priority=URGENT, image=str(image), source_key=source_key, x=x, y=y,
                options=options or PredictOptions(),
            )
        )  # fmt: skip

    @abstractmethod
    def _submit(self, request: Request) -> int:
        """Take a request on; returns its id."""

    @abstractmethod
    def cancel(self, request_id: int) -> None:
        """Cancel a request; one that is answered already is left alone."""

    @abstractmethod
    def cancel_all(self) -> None:
        """Cancel every request that is not answered yet."""
