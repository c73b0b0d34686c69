"""The same service without a process: for the command line and the tests. Imports torch."""

from __future__ import annotations

from itertools import count
from typing import TypeVar

from app.worker.messages import (
    Answer,
    AskScores,
    Failed,
    Hello,
    Learn,
    Learned,
    LearnTask,
    Loaded,
    LoadModel,
    Predict,
    Predicted,
    Request,
    ScoresAt,
    WasCancelled,
)
from app.worker.session import ComputeSession, hello
from deeplab_core.errors import AtrousError, Cancelled, ComputeError
from deeplab_core.parallel import IsCancelled, ProgressCallback
from deeplab_core.records import PredictOptions

A = TypeVar("A", bound=Answer)


class InProcessService:
    """Blocking twin of the compute client: the verbs of ``app.services.compute.ComputeClient``, which return or raise.

    Args:
        score_bytes: bound of the class scores that are kept for :meth:`ask_scores`.
    """

    def __init__(self, score_bytes: int = 256 << 20) -> None:
        self._session = ComputeSession(score_bytes)
        self._numbers = count(1)

    def hello(self) -> Hello:
        """Versions and devices of this process."""
        return hello()

    def load(self, path: str, device: str = "auto", output_stride: int | None = None) -> Loaded:
        """Load a checkpoint; raises AtrousError where it cannot be used."""
        request = LoadModel(request_id=next(self._numbers), path=str(path), device=device, output_stride=output_stride)
        return self._ask(request, Loaded)

    def predict(
        self,
        image: str,
        source_key: str = "",
        options: PredictOptions | None = None,
        *,
        cancel: IsCancelled | None = None,
        progress: ProgressCallback | None = None,
    ) -> Predicted:
        """Predict an image file; raises AtrousError where it cannot be read or computed, Cancelled where ``cancel`` said so."""
        request = Predict(
            request_id=next(self._numbers), image=str(image), source_key=source_key, options=options or PredictOptions()
        )
        return self._ask(request, Predicted, cancel, progress)

    def learn(self, task: LearnTask, *, cancel: IsCancelled | None = None, progress: ProgressCallback | None = None) -> Learned:
        """Have a model learn from corrections; raises AtrousError where it cannot, Cancelled where ``cancel`` said so."""
        return self._ask(Learn(request_id=next(self._numbers), task=task), Learned, cancel, progress)

    def ask_scores(self, source_key: str, x: int, y: int, top: int = 3) -> ScoresAt:
        """The most probable classes of a pixel of an image predicted before; empty where its scores are not kept any more."""
        return self._ask(AskScores(request_id=next(self._numbers), source_key=source_key, x=x, y=y, top=top), ScoresAt)

    def _ask(
        self, request: Request[Answer], kind: type[A], cancel: IsCancelled | None = None, progress: ProgressCallback | None = None
    ) -> A:
        answer = self._session.answer(request, cancel, progress)
        if isinstance(answer, kind):
            return answer
        if isinstance(answer, WasCancelled):
            raise Cancelled()
        if isinstance(answer, Failed):
            error = AtrousError.from_dict(answer.error)
            if answer.traceback:
                error.add_note(answer.traceback)
            raise error
        raise ComputeError(f"{type(request).__name__} was answered by {type(answer).__name__}")
