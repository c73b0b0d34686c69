"""A compute process that is asked nothing gives memory back, and holds nothing of what it was asked."""

from __future__ import annotations

import gc
import threading
import time
from multiprocessing import Pipe
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from app.worker import serve as serve_module
from app.worker import session as session_module
from app.worker.messages import AskScores, Request, ScoresAt
from app.worker.request_queue import RequestQueue
from app.worker.serve import WarmUp, _listen, _Server
from app.worker.session import ComputeSession
from deeplab_core.backends import compiled
from deeplab_core.records import PredictOptions
from tests.fakes.inprocess import InProcessService
from tests.unit.app.tiny_model import save_photograph, save_tiny_model

_LONG = 60.0


class Session:
    """Answers at once, and tells when it rests."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.rested = threading.Semaphore(0)

    def answer(self, request: Request[Any], *_: object) -> ScoresAt:
        self.events.append(str(request.request_id))
        return ScoresAt(request_id=request.request_id, class_ids=(), probabilities=())

    def rest(self) -> None:
        self.events.append("rest")
        self.rested.release()


def ask(number: int) -> AskScores:
    return AskScores(request_id=number, source_key="asked for this test", x=0, y=0)


def held() -> int:
    """How many requests of this test are still in memory."""
    gc.collect()
    return sum(type(one) is AskScores and one.source_key == "asked for this test" for one in gc.get_objects())


def serve(queue: RequestQueue, session: Session) -> threading.Thread:
    """A server in a thread of its own."""
    server = _Server(queue, SimpleNamespace(say=lambda _: None), WarmUp(queue, lambda: None, lambda _: None))  # type: ignore[arg-type]
    server._session = session  # type: ignore[assignment]
    thread = threading.Thread(target=server.serve, kwargs={"rest": 0.01}, daemon=True)
    thread.start()
    return thread


def test_it_rests_once_after_the_last_request_and_forgets_it() -> None:
    queue, session = RequestQueue(), Session()
    thread = serve(queue, session)
    for number in (1, 2):
        assert session.rested.acquire(timeout=_LONG)
        assert held() == 0
        queue.put(ask(number))
    assert session.rested.acquire(timeout=_LONG)
    queue.close()
    thread.join(_LONG)
    assert session.events == ["rest", "1", "rest", "2", "rest"]


def test_the_listener_forgets_what_it_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve_module.threading, "Timer", lambda *_: SimpleNamespace(start=lambda: None))  # it ends the process
    ours, theirs = Pipe()
    queue = RequestQueue()
    listener = threading.Thread(target=_listen, args=(theirs, queue, SimpleNamespace()), daemon=True)
    listener.start()
    ours.send(ask(1))
    try:
        assert queue.wait(_LONG)
        queue.take()
        end = time.monotonic() + _LONG
        while held() and time.monotonic() < end:  # the listener may be between two lines
            time.sleep(0.01)
        assert not held()
    finally:
        ours.close()
        listener.join(_LONG)


@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_a_rest_gives_back_what_engines_and_the_allocator_keep(
    engine: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for library in ("onnx", "openvino"):
        pytest.importorskip(library, reason=f"{library} is not installed: only torch can run a network")
    given: list[str] = []
    monkeypatch.setattr(session_module, "give_back_freed_memory", lambda: given.append("allocator"))
    real = compiled._OpenVinoGraph.give_back_memory
    monkeypatch.setattr(compiled._OpenVinoGraph, "give_back_memory", lambda graph: (given.append("engine"), real(graph)))
    service = InProcessService()
    service._session.rest()  # without a model
    service.load(str(save_tiny_model(tmp_path / "tiny.safetensors")), device="cpu")
    image, options = save_photograph(tmp_path / "photo.png", 60, 80), PredictOptions(engine=engine)
    before = service.predict(str(image), "a", options)
    service._session.rest()
    assert given == ["allocator", *(["engine"] if engine == "openvino" else []), "allocator"]
    assert (service.predict(str(image), "b", options).prediction.labels == before.prediction.labels).all()


def test_only_images_with_kept_scores_are_remembered(tmp_path: Path) -> None:
    session = ComputeSession()
    service = InProcessService()
    service._session = session
    service.load(str(save_tiny_model(tmp_path / "tiny.safetensors")), device="cpu")
    image = str(save_photograph(tmp_path / "photo.png", 60, 80))
    service.predict(image, "0")
    scores = session.state.scores.find("0")
    assert scores is not None
    session.state.scores.max_bytes = 2 * scores.nbytes
    for number in range(1, 6):
        service.predict(image, str(number))
    assert set(session.state.made_with) == {"4", "5"}
