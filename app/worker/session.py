"""What the compute process does, without pipe or process: one model, the scores of the last images, one request at a time."""

from __future__ import annotations

import logging
import os
import platform
import sys
import traceback
from importlib import import_module
from pathlib import Path

import numpy as np

from app.import_trouble import explain, is_import_trouble
from app.worker.messages import PROTOCOL, Answer, Failed, Hello, Request, WasCancelled
from app.worker.state import Handler, WorkerState
from deeplab_core.errors import AtrousError, Cancelled, ComputeError, message
from deeplab_core.flavour import has_torch, require_torch
from deeplab_core.inference import cap_threads, give_back_freed_memory, list_devices
from deeplab_core.parallel import IsCancelled, ProgressCallback

if has_torch():
    import_module("torch")  # one that is broken is noticed now, before Hello

_log = logging.getLogger(__name__)

_QT_PACKAGES = ("PySide6", "PySide2", "PyQt6", "PyQt5", "shiboken6", "qtpy", "pyqtgraph")


def hello() -> Hello:
    """What this process is: versions, devices, and whether it holds Qt by mistake."""
    devices, notes = list_devices()
    return Hello(
        protocol=PROTOCOL,
        pid=os.getpid(),
        qt_modules=tuple(sorted(name for name in sys.modules if name.partition(".")[0] in _QT_PACKAGES)),
        versions={
            "python": platform.python_version(),
            **_torch_versions(),
            "numpy": str(np.__version__),
        },
        devices=devices,
        notes=notes,
    )


def _torch_versions() -> dict[str, str]:
    """Of torch and CUDA, empty texts without torch."""
    if not has_torch():
        return {"torch": "", "cuda": ""}
    import torch

    # str(): torch's version is a class of torch's own, and unpickling it would import torch into the window's process
    return {"torch": str(torch.__version__), "cuda": str(torch.version.cuda or "")}


#: Subjects that only torch can answer, as :func:`require_torch` names them.
_BY_TORCH = {
    "adapt": message("Learning from corrections"),
    "receptive": message("The receptive field"),
}


class ComputeSession:
    """Serves requests, each by the handler that it names.

    Args:
        score_bytes: bound of the kept class scores.

    Attributes:
        state: what the handlers share.
        handlers: those that were needed so far, by name.
    """

    def __init__(self, score_bytes: int = 256 << 20) -> None:
        cap_threads()
        self.state = WorkerState(score_bytes)
        self.handlers: dict[str, Handler] = {}

    def answer(
        self, request: Request[Answer], cancel: IsCancelled | None = None, progress: ProgressCallback | None = None
    ) -> Answer:
        """Serve one request. Never raises: errors become Failed, with a traceback where they are bugs."""
        image: str | None = getattr(request, "image", None)  # of requests that are about one image
        try:
            return self.handler(request.handler).answer(request, cancel, progress)
        except Cancelled:
            return WasCancelled(request_id=request.request_id)
        except AtrousError as error:
            if error.path is None and image is not None:
                error.path = Path(image)  # whatever fails here fails this image alone, and names it
            return Failed(request_id=request.request_id, error=error.to_dict())
        except Exception as error:
            _log.exception("request %s failed", request)
            if is_import_trouble(error):
                reason, remedy = explain(error)
                return Failed(request_id=request.request_id, error=ComputeError(reason, remedy=remedy).to_dict())
            bug = ComputeError(
                message("the compute process met an error in Atrous itself"),
                why=message("{kind}: {error}", kind=type(error).__name__, error=error),
                remedy=message("Copy the report from the log and send it to the developers; other images are not affected"),
                path=image,
            )
            return Failed(request_id=request.request_id, error=bug.to_dict(), traceback=traceback.format_exc())

    def rest(self) -> None:
        """Nothing is asked: give back the memory that engines and the allocator keep for what may come."""
        if self.state.predictor is not None:
            self.state.predictor.give_back_memory()
        give_back_freed_memory()

    def handler(self, name: str) -> Handler:
        """A handler by its module's name; training and the CRF take seconds to import, so it is done when they are needed."""
        if name not in self.handlers:
            if name in _BY_TORCH:
                require_torch(_BY_TORCH[name])
            self.handlers[name] = import_module(f"app.worker.handlers.{name}").Handler(self.state)
        return self.handlers[name]
