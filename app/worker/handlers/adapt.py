"""Learning from corrections in the compute process: files in, an adapted checkpoint out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from app.worker.messages import CorrectedImage, Learn, Learned, LearnTask
from app.worker.state import WorkerState, read_for
from deeplab_core.atomic import make_folder
from deeplab_core.backends import engine_of
from deeplab_core.errors import WeightsError, message
from deeplab_core.inference import pick_device
from deeplab_core.networks import GraphNetwork
from deeplab_core.parallel import IsCancelled, ProgressCallback
from deeplab_core.records import ModelCard
from deeplab_core.training.adaptation import Adapted, Corrected, Untouched, adapt
from deeplab_core.weights import load_model, save_model


class Handler:
    """Answers Learn."""

    def __init__(self, state: WorkerState) -> None:
        pass

    def answer(self, request: Learn, cancel: IsCancelled | None, progress: ProgressCallback | None) -> Learned:
        card, adapted = learn(request.task, cancel, progress)
        return Learned(
            request_id=request.request_id,
            path=str(Path(request.task.target)),
            card=ModelCard.from_dict(card.to_dict()),  # plain values only: nothing of torch may reach the window's process
            report=adapted.report,
            pairs=adapted.pairs,
        )


def learn(task: LearnTask, cancel: IsCancelled | None, progress: ProgressCallback | None) -> tuple[ModelCard, Adapted]:
    """Load the model again, adapt it, and write it with its card, which is returned.

    The model is read from its file because the one in use has its batch norms folded away; that one is not touched.

    Raises:
        AtrousError: as :func:`deeplab_core.training.adaptation.adapt` and ``load_model``; StorageError where the target cannot
            be written.
    """
    if progress is not None:
        progress(0.0, message("reading the model"))
    if engine_of(Path(task.model)):
        raise WeightsError(
            message("this model cannot learn"),
            why=message("it is a finished graph without trainable weights"),
            remedy=message("Choose a model of safetensors or PyTorch weights, then learn again"),
            path=task.model,
        )
    model, card = load_model(task.model, task.output_stride, options=task.model_options)
    assert not isinstance(model, GraphNetwork)  # refused above
    device, _ = pick_device(task.device)
    adapted = adapt(
        model,
        card,
        [Corrected(image.name, _corrected(image, model.in_channels)) for image in task.corrected],
        [Untouched(Path(path).name, _untouched(path, model.in_channels)) for path in task.untouched],
        labels=task.labels,
        pairs=dict(task.pairs),
        options=task.options,
        device=str(device),
        cancel=cancel,
        progress=progress,
    )
    target = Path(task.target)
    make_folder(target.parent)
    return save_model(target, adapted.model, adapted.card), adapted


def _corrected(image: CorrectedImage, channels: int) -> Callable[[], tuple[NDArray[Any], NDArray[Any], NDArray[Any]]]:
    def read() -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        return read_for(image.image, channels)[1], image.known.unpacked(), image.mask.unpacked()

    return read


def _untouched(path: str, channels: int) -> Callable[[], NDArray[Any]]:
    return lambda: read_for(path, channels)[1]
