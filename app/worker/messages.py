"""What the window's process and the compute process say to each other. Plain dataclasses; numpy only.

A request carries a ``request_id`` that the client chose; every answer repeats it. Requests are served one at a time in order
of priority; ``Cancel`` and ``Shutdown`` are heard at once. Errors travel as dictionaries of
:class:`deeplab_core.errors.AtrousError`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from deeplab_core.records import ModelCard, Prediction, PredictOptions

#: Version of this protocol; the client refuses a worker that speaks another one.
PROTOCOL = 1

#: Priorities: the image in view jumps the queue of a folder run.
URGENT, NORMAL = 0, 10


# -- requests ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Base of everything that is answered by exactly one of Loaded, Predicted, ScoresAt, Failed, WasCancelled."""

    request_id: int
    priority: int = NORMAL


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadModel(Request):
    """Load a checkpoint and keep it; the model loaded before is freed, or stays where this fails. ``path`` is a file."""

    path: str
    device: str = "auto"
    output_stride: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Predict(Request):
    """Predict one image file with the loaded model. ``source_key`` is the image's content key."""

    image: str
    source_key: str
    options: PredictOptions = field(default_factory=PredictOptions)


@dataclass(frozen=True, slots=True, kw_only=True)
class AskScores(Request):
    """The ``top`` most probable classes of one pixel, from the kept coarse scores of an image."""

    source_key: str
    x: int
    y: int
    top: int = 3


# -- out-of-band ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Cancel:
    """Stop a request between tiles, or drop it from the queue; -1 cancels all."""

    request_id: int


@dataclass(frozen=True, slots=True)
class Shutdown:
    """End the process after the current tile."""


# -- answers -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """First word of a worker.

    Attributes:
        protocol: see :data:`PROTOCOL`.
        pid: of the process.
        qt_modules: names of Qt modules found loaded; the client refuses a worker that has any.
        versions: torch, numpy, python, cuda.
        devices: device string -> what a person reads, e.g. ``{"cpu": "2 threads", "cuda:0": "NVIDIA ..."}``.
        notes: why something is missing, e.g. why CUDA cannot be used.
    """

    protocol: int
    pid: int
    qt_modules: tuple[str, ...]
    versions: dict[str, str]
    devices: dict[str, str]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Base of answers to a request."""

    request_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress(Answer):
    """Sent at most ten times a second while a request runs. ``fraction`` is 0..1."""

    fraction: float
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded(Answer):
    """The model is ready on ``device``; ``note`` says why it is not the device asked for."""

    card: ModelCard
    device: str
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Predicted(Answer):
    """A finished prediction."""

    prediction: Prediction


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoresAt(Answer):
    """Class ids and probabilities, most probable first; empty where the scores were not kept any more."""

    class_ids: tuple[int, ...]
    probabilities: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed(Answer):
    """The request failed with an error that a person can read; ``traceback`` is set where it was a bug."""

    error: dict[str, Any]
    traceback: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WasCancelled(Answer):
    """The request was cancelled; nothing of it remains."""
