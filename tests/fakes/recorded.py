"""A compute service with its calls recorded in one place, for tests that ask which answer comes when."""

from __future__ import annotations

import os
from typing import Any

from PySide6.QtCore import QObject, Signal

from app.services.calls import ComputeService
from app.worker.messages import (
    NORMAL,
    URGENT,
    Answer,
    AskScores,
    Failed,
    Learn,
    LearnTask,
    LoadModel,
    Predict,
    Progress,
    Refine,
    RefineBase,
    Request,
    WasCancelled,
)
from deeplab_core.records import CRFParams, PredictOptions


class RecordedCompute(QObject):
    """Submits requests and emits whatever their calls get, with the number of the request. Everything else is the service's.

    Attributes:
        service: what the requests are submitted to.
    """

    loaded = Signal(object)
    predicted = Signal(object)
    scores = Signal(object)
    refined = Signal(object)
    learned = Signal(object)
    failed = Signal(object)
    cancelled = Signal(object)
    progress = Signal(object)

    def __init__(self, service: ComputeService) -> None:
        super().__init__()
        self.service = service

    def __getattr__(self, name: str) -> Any:
        return getattr(self.service, name)

    def signal(self, number: int) -> None:
        """Send a signal to the compute process. Sent to process 0, in place of none, it would stop the tests themselves."""
        pid: int | None = getattr(self.service, "pid", None)
        assert pid is not None, "there is no compute process"
        os.kill(pid, number)

    def load(self, path: str, device: str = "auto") -> int:
        return self._submit(LoadModel(priority=URGENT, path=path, device=device), "loaded")

    def predict(self, image: str, key: str, options: PredictOptions | None = None, priority: int = NORMAL) -> int:
        request = Predict(priority=priority, image=image, source_key=key, options=options or PredictOptions())
        return self._submit(request, "predicted")

    def ask_scores(self, key: str, x: int, y: int) -> int:
        return self._submit(AskScores(priority=URGENT, source_key=key, x=x, y=y), "scores")

    def refine(self, base: RefineBase, params: CRFParams) -> int:
        return self._submit(Refine(priority=URGENT, base=base, params=params), "refined")

    def learn(self, task: LearnTask) -> int:
        return self._submit(Learn(task=task), "learned")

    def _submit(self, request: Request[Answer], answered: str) -> int:
        call = self.service.submit(request)
        number = call.request.request_id
        call.on(
            done=getattr(self, answered).emit,
            failed=lambda error: self.failed.emit(Failed(request_id=number, error=error.to_dict())),
            cancelled=lambda: self.cancelled.emit(WasCancelled(request_id=number)),
            progress=lambda fraction, text: self.progress.emit(Progress(request_id=number, fraction=fraction, text=text)),
        )
        return number
