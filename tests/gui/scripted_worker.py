"""A compute process without torch; its misbehaviour is chosen by the name of the image that it is asked to predict."""

from __future__ import annotations

import ctypes
import os
import signal
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from app.worker.bootstrap import CannotStart
from app.worker.messages import (
    PROTOCOL,
    AskScores,
    Cancel,
    Failed,
    Hello,
    Loaded,
    LoadModel,
    Predict,
    Predicted,
    Progress,
    Request,
    ScoresAt,
    Shutdown,
    WasCancelled,
)
from app.worker.request_queue import RequestQueue
from deeplab_core.catalogs.catalog import ClassCatalog, ClassInfo
from deeplab_core.errors import WeightsError
from deeplab_core.records import ModelCard, Prediction


class OneAtATime:
    """A connection that two threads may send through."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self.recv = connection.recv
        self.send_bytes = connection.send_bytes

    def send(self, message: object) -> None:
        with self._lock:
            self._connection.send(message)


CATALOG = ClassCatalog("two", "Two", (ClassInfo(0, "a", (0, 0, 0)), ClassInfo(1, "b", (9, 9, 9))))


def run(pipe: Connection, greeting: str = "") -> None:
    """Serve; ``greeting`` spoils the Hello: ``"qt"``, ``"protocol"``, ``"dies"``, ``"stops"``, ``"broken"``."""
    if greeting == "stops":
        os.kill(os.getpid(), signal.SIGSTOP)
    if greeting == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    connection = OneAtATime(pipe)
    if greeting == "broken":
        connection.send(CannotStart("torch cannot be imported (OSError: libtorch.so)", "Install torch again", "Traceback ..."))
        os._exit(1)
    connection.send(
        Hello(
            protocol=PROTOCOL + (greeting == "protocol"), pid=os.getpid(), versions={}, devices={"cpu": "1 thread"},
            qt_modules=("PySide6.QtGui",) if greeting == "qt" else (),
        )
    )  # fmt: skip
    queue = RequestQueue()
    threading.Thread(target=_listen, args=(connection, queue), daemon=True).start()
    loaded = ""
    while (request := queue.take()) is not None:
        connection.send(Progress(request_id=request.request_id, fraction=0.0))
        if isinstance(request, LoadModel):
            if request.path.endswith("loads once"):
                flag = Path(request.path)
                if flag.exists():
                    error = WeightsError("the file is gone", path=request.path)
                    connection.send(Failed(request_id=request.request_id, error=error.to_dict()))
                    continue
                flag.touch()
            loaded = request.path
            card = ModelCard(id=loaded, name=loaded, architecture={}, catalog=CATALOG)
            connection.send(Loaded(request_id=request.request_id, card=card, device=request.device))
        elif isinstance(request, AskScores):
            connection.send(ScoresAt(request_id=request.request_id, class_ids=(1,), probabilities=(0.9,)))
        elif isinstance(request, Predict):
            _predict(connection, queue, request, loaded)
    os._exit(0)


def _listen(connection: OneAtATime, queue: RequestQueue) -> None:
    try:
        while True:
            message = connection.recv()
            if isinstance(message, Request):
                queue.put(message)
            elif isinstance(message, Cancel):
                for number in queue.cancel(message.request_id):
                    connection.send(WasCancelled(request_id=number))
            elif isinstance(message, Shutdown):
                break
    except (EOFError, OSError):
        os._exit(0)
    queue.close()


def _predict(connection: OneAtATime, queue: RequestQueue, request: Predict, loaded: str) -> None:
    name = Path(request.image).name
    if name == "poison":
        os.kill(os.getpid(), signal.SIGKILL)
    if name.startswith("once"):  # dies the first time
        flag = Path(request.image)
        if not flag.exists():
            flag.touch()
            os.kill(os.getpid(), signal.SIGKILL)
    if name == "garbage":
        connection.send_bytes(b"no pickle")
    if name.startswith("stops"):  # the first time only, where the name is that of a file
        flag = Path(request.image)
        if not flag.exists():
            if flag.parent.is_dir() and flag.is_absolute():
                flag.touch()
            os.kill(os.getpid(), signal.SIGSTOP)
    if name == "locked":  # a library that hangs while it holds Python's lock
        ctypes.PyDLL(None).sleep(3600)
    while name == "deaf":
        time.sleep(1)
    while name == "slow" and not queue.running_is_cancelled():
        time.sleep(0.01)
    if queue.running_is_cancelled():
        connection.send(WasCancelled(request_id=request.request_id))
        return
    prediction = Prediction(
        labels=np.ones((2, 3), np.uint8), confidence=np.ones((2, 3), np.uint8), card_id=loaded, options=request.options,
        source_key=request.source_key,
    )  # fmt: skip
    connection.send(Predicted(request_id=request.request_id, prediction=prediction))
