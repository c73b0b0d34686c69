"""Errors of a very large image, found in a process of its own (ADR 172): what the window sends, and the process.

The compiled loops that such an image needs cost 140 MB, and its maps some twenty bytes a pixel. The window must hold neither; the
compute process is there for the image in view. This one reads the photograph itself, ends after one image and gives everything
back. It imports neither Qt nor torch.
"""

from __future__ import annotations

import logging
import multiprocessing
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.state.project import Project
from app.state.project_analysis import inspect_sample
from app.state.samples import EvaluationSample
from app.worker.bootstrap import begin_process
from app.worker.heartbeat import end_with_parent, ending
from deeplab_core.analysis.image import inspect_image
from deeplab_core.analysis.objects import KnownObject, read_known_objects
from deeplab_core.analysis.record import ImageAnalysis
from deeplab_core.analysis.slices import brightness_map
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.errors import AtrousError, Cancelled, ComputeError, image_error, message
from deeplab_core.geometry import strips
from deeplab_core.images.decode import read_image

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Task:
    """What is inspected; truth, prediction and, with ``excludes``, the excluded pixels follow in strips, (H, W) each."""

    image: Path
    catalog: ClassCatalog
    known: Sequence[KnownObject]
    shape: tuple[int, int]
    excludes: bool


class InspectApart:
    """Starts a process for an image, on a thread of the pool; any other thread can stop it, also before it has begun."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: BaseProcess | None = None
        self._stopped = False

    def __call__(
        self, project: Project, image: int, sample: EvaluationSample, objects: Path | None
    ) -> Callable[[], ImageAnalysis]:
        """Begin to inspect an image: :func:`~app.state.project_analysis.inspect_sample` without the pixels of the sample.

        Returns:
            What waits for the result. It holds nothing of the sample, and raises ImageReadError (the photograph), Cancelled
            (:meth:`stop`) or ComputeError (the process died).

        Raises:
            MaskFormatError: the list of objects cannot be read.
            Cancelled: it was stopped before it began.
        """
        assert sample.labels is not None
        assert sample.truth is not None
        path, catalog = project.path_of(project.record(image)), project.catalog
        known = () if objects is None else read_known_objects(objects, catalog)
        task = _Task(path, catalog, known, (sample.labels.shape[0], sample.labels.shape[1]), sample.exclude is not None)
        try:
            process, connection = self._start()
        except (OSError, ValueError, RuntimeError) as error:
            _log.warning("no process for a large image, it is inspected here: %s", error)
            return lambda: inspect_sample(project, replace(sample, rgb=read_image(path).rgb), objects)
        try:
            connection.send(task)
            for whole in (sample.truth, sample.labels, *([] if sample.exclude is None else [sample.exclude])):
                _send(connection, whole)
        except (OSError, ValueError) as error:  # its end is noticed below
            _log.info("the process for a large image takes nothing: %s", error)
        return lambda: self._wait(process, connection, path, catalog)

    def stop(self) -> None:
        """End what runs, and begin nothing more: its result is not needed."""
        with self._lock:
            self._stopped = True
            if self._process is not None:
                self._process.kill()

    def check(self) -> None:
        """Raise Cancelled if it was stopped."""
        if self._stopped:
            raise Cancelled()

    def _start(self) -> tuple[BaseProcess, Connection]:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe(duplex=True)
        process = context.Process(target=run, args=(theirs,), name="atrous-inspect", daemon=True)
        with self._lock:
            self.check()
            process.start()
            self._process = process
        theirs.close()
        return process, ours

    def _wait(self, process: BaseProcess, connection: Connection, path: Path, catalog: ClassCatalog) -> ImageAnalysis:
        try:
            answer: bytes | AtrousError = connection.recv()
        except (EOFError, OSError):
            process.join()
            self.check()
            raise ComputeError(
                message("the errors of this image were not found"),
                why=message("The process that looks for them has ended: {reason}", reason=ending(process.exitcode)),
                remedy=message("Close other programs, then evaluate again"),
                path=path,
            ) from None
        finally:
            connection.close()
            with self._lock:
                self._process = None
        process.join()
        if isinstance(answer, AtrousError):
            raise answer
        return ImageAnalysis.from_bytes(answer, catalog)


def run(connection: Connection) -> None:
    """Entry point of the process: inspect one image, and answer with the bytes of its record, or with an error."""
    end_with_parent()
    begin_process()
    task: _Task = connection.recv()
    try:
        answer: bytes | AtrousError = _inspect(task, connection)
    except EOFError:  # the window is gone
        return
    except Exception as error:
        answer = image_error(error, task.image)
    connection.send(answer)


def _inspect(task: _Task, connection: Connection) -> bytes:
    truth = _receive(connection, task.shape, task.catalog.dtype)
    prediction = _receive(connection, task.shape, task.catalog.dtype)
    exclude = _receive(connection, task.shape, np.dtype(np.bool_)) if task.excludes else None
    return inspect_image(
        truth=truth,
        prediction=prediction,
        catalog=task.catalog,
        known=task.known,
        brightness=brightness_map(read_image(task.image).rgb),
        exclude=exclude,
    ).to_bytes()


def _send(connection: Connection, whole: NDArray[np.uint8 | np.uint16 | np.bool_]) -> None:
    """Send a map in strips: a pipe holds what it passes on several times."""
    for strip in strips(whole.shape):
        connection.send_bytes(np.ascontiguousarray(whole[strip]).view(np.uint8).reshape(-1).data)


def _receive(connection: Connection, shape: tuple[int, int], dtype: np.dtype) -> NDArray:  # type: ignore[type-arg]
    whole = np.empty(shape, dtype)
    for strip in strips(shape):
        whole[strip] = np.frombuffer(connection.recv_bytes(), dtype).reshape(-1, shape[1])
    return whole
