"""What the controllers know of computing: the verbs, and the signals that answer them. No torch, no process."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from numpy.typing import NDArray
from PySide6.QtCore import QObject, Signal

from app.worker.messages import NORMAL, URGENT, LearnTask, RefineBase
from deeplab_core.records import CRFParams, ModelCard, PredictOptions


class ComputeService(QObject):
    """Asks for work and hears of it later, on the thread that it lives in.

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
    gave_up = Signal(str)

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
    def stop(self) -> None:
        """End the process; requests that wait are forgotten without an answer."""

    @abstractmethod
    def load(self, path: str, device: str = "auto", output_stride: int | None = None) -> int:
        """Load a checkpoint before anything that waits; returns the request id.

        Predictions that wait are then computed by the new model: cancel them first where that is not meant. Where loading
        fails, the model before stays in use.
        """

    @abstractmethod
    def inspect(self, path: str) -> int:
        """Have a checkpoint tried, while the model in use stays; returns the request id."""

    @abstractmethod
    def predict(self, image: str, source_key: str, options: PredictOptions | None = None, priority: int = NORMAL) -> int:
        """Predict an image file; returns the request id. :data:`URGENT` requests run before :data:`NORMAL` ones."""

    @abstractmethod
    def ask_scores(self, source_key: str, x: int, y: int, top: int = 3, priority: int = URGENT) -> int:
        """Ask for the most probable classes of a pixel; returns the request id."""

    @abstractmethod
    def refine(self, base: RefineBase, params: CRFParams, strokes: NDArray[Any] | None = None, *, quick: bool = False) -> int:
        """Ask for an image's labels after a CRF (:class:`~app.worker.messages.Refine`); returns the request id."""

    @abstractmethod
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

    @abstractmethod
    def prepare_refine(self, base: RefineBase, params: CRFParams) -> int:
        """Have everything made ready for refining an image, behind whatever waits; returns the request id."""

    @abstractmethod
    def learn(self, task: LearnTask) -> int:
        """Have a model learn from corrections, behind whatever waits; returns the request id. The model in use stays in use."""

    @abstractmethod
    def compare(
        self, model: str, image: str, source_key: str, options: PredictOptions | None = None, priority: int = NORMAL
    ) -> int:
        """Predict an image file with any model while the one in use stays; returns the request id."""

    @abstractmethod
    def end_compare(self) -> int:
        """Have the models that were loaded for comparing freed; returns the request id."""

    @abstractmethod
    def ask_receptive(self, image: str, source_key: str, x: int, y: int, options: PredictOptions | None = None) -> int:
        """Ask what the model in use looks at when it labels a pixel; returns the request id."""

    @abstractmethod
    def cancel(self, request_id: int) -> None:
        """Cancel a request; one that is answered already is left alone."""

    @abstractmethod
    def cancel_all(self) -> None:
        """Cancel every request that is not answered yet."""
