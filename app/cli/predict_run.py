"""The images of a prediction run: decoded, computed and written at the same time, or side by side, or in batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from app.cli.plan import Task
from app.cli.terminal import say
from deeplab_core.atomic import UNFINISHED
from deeplab_core.errors import AtrousError, one_image
from deeplab_core.notes import Note
from deeplab_core.parallel import futures_in_order, in_stages

if TYPE_CHECKING:
    from deeplab_core.images import ImageData
    from deeplab_core.inference import Predictor
    from deeplab_core.inference.pixels import RGB
    from deeplab_core.records import EngineChoice, Prediction, PredictOptions, RunReport

T = TypeVar("T")
Item = TypeVar("Item")
Middle = TypeVar("Middle")
Later = TypeVar("Later")


def pixels_of(predictor: Predictor, images: Iterable[Path]) -> Iterator[tuple[Path, RGB]]:
    """Images as a predictor takes them, with their paths; those that cannot be read are reported when their turn comes."""
    from deeplab_core.images import read_image

    channels = predictor.model.in_channels
    for image in images:
        try:
            with one_image(image):
                rgb = read_image(image, fourth=channels == 4).pixels(channels)
        except AtrousError:
            continue
        yield image, rgb


def on_first_image(pixels: Iterable[tuple[Path, RGB]], ask: Callable[[RGB], T], default: T) -> T:
    """What is found of the first image that can be computed; ``default`` where none can."""
    for image, rgb in pixels:
        with suppress(AtrousError), one_image(image):  # reported when its turn comes
            return ask(rgb)
    return default


def outcomes(
    predictor: Predictor,
    tasks: Sequence[Task],
    write: Callable[[Task, Prediction, ImageData], None],
    at_once: int,
    batch: int = 1,
    *,
    confidence: bool = False,
) -> Iterator[Future[tuple[RunReport, tuple[Note, ...]]]]:
    """Predict and write every image; its report and the notes of its file, in their order.

    Images are decoded ahead and written behind while others are computed. In batches each thread does all three for its image.

    Args:
        predictor: of all images.
        tasks: the images.
        write: one mask.
        at_once: images side by side.
        batch: images of a forward pass.
        confidence: whether ``write`` needs the confidence of predictions.
    """
    from deeplab_core.images import read_image

    channels = predictor.model.in_channels

    def decode(task: Task) -> tuple[Task, ImageData]:
        with one_image(task.image):
            return task, read_image(task.image, fourth=channels == 4)

    def compute(step: tuple[Task, ImageData]) -> tuple[Task, ImageData, Prediction]:
        task, data = step
        with one_image(task.image):
            return task, data, predictor(data.pixels(channels), uncertainty=False, confidence=confidence)

    def finish(step: tuple[Task, ImageData, Prediction]) -> tuple[RunReport, tuple[Note, ...]]:
        task, data, prediction = step
        with one_image(task.image):
            write(task, prediction, data)
        return prediction.report, data.notes

    return overlapped(predictor, decode, compute, finish, tasks, at_once, batch)


def overlapped(
    predictor: Predictor,
    first: Callable[[Item], Middle],
    second: Callable[[Middle], Later],
    third: Callable[[Later], T],
    items: Iterable[Item],
    at_once: int,
    batch: int,
) -> Iterator[Future[T]]:
    """Decode, compute and finish images: one after the other, side by side, or in batches.

    Args:
        predictor: what ``second`` calls.
        first, second, third: as for :func:`in_stages`.
        items: one for each image.
        at_once, batch: as :func:`pace` gives them.
    """
    from deeplab_core.inference import freed_memory_kept, in_batches, one_thread_each, single_thread

    def whole(item: Item) -> T:
        return third(second(first(item)))

    if batch > 1:
        with in_batches(predictor, batch) as threads:
            yield from futures_in_order(whole, items, threads, depth=2 * threads, begin=single_thread)
    elif at_once > 1:
        with freed_memory_kept(), one_thread_each(predictor, at_once):
            yield from in_stages(first, second, third, items, threads=at_once, begin=single_thread)
    else:
        with freed_memory_kept():
            yield from in_stages(first, second, third, items)


def remove_unfinished(tasks: Iterable[Task], before: float) -> None:
    """Remove what a run that was killed left half-written beside the masks; a mask takes its name only when it is whole.

    Args:
        before: time since the epoch, in seconds; younger files belong to a run that goes on.
    """
    for folder in {task.output.parent for task in tasks}:
        for path in folder.glob(UNFINISHED):
            with suppress(OSError):
                if path.is_file() and not path.is_symlink() and path.stat().st_mtime < before:
                    path.unlink()


def settle_engine(predictor: Predictor, pixels: Iterable[tuple[Path, RGB]]) -> None:
    """Let one engine compute a whole run: where the fastest is asked for, the one that a trial with the first image finds.

    Without PyTorch a network of ours is a graph, which ONNX Runtime computes; the options then say so.
    """
    from deeplab_core.backends import OwnGraph

    if predictor.options.engine == "auto":
        engine: EngineChoice = on_first_image(pixels, predictor.choose_engine, "torch")
        own = predictor.model.engine  # of a graph, which no other engine runs
        say(f"engine: {engine if own is None else own.name}", err=True)
        predictor.options = replace(predictor.options, engine=engine)
    if isinstance(predictor.model, OwnGraph):
        predictor.options = replace(predictor.options, engine="onnx")


def pace(predictor: Predictor, pixels: Iterable[tuple[Path, RGB]], images: int, *, alone: bool) -> tuple[int, int]:
    """How many images to predict side by side, and how many share a forward pass; printed where it is more than one.

    Args:
        predictor: as it will be used; a trial with the first image says what is faster, and its memory how many fit.
        pixels: images of the run.
        images: how many there are.
        alone: whether no other process of the run computes on this machine.
    """
    from deeplab_core.inference import images_at_once, images_per_pass

    def ask(rgb: RGB) -> tuple[int, int]:
        return images_at_once(predictor, rgb, images) if alone else 1, images_per_pass(predictor, rgb, images)

    at_once, batch = on_first_image(pixels, ask, (1, 1))
    if at_once > 1:
        say(f"images side by side: {at_once}, with one thread each", err=True)
    if batch > 1:
        say(f"images of one size in a forward pass: up to {batch}", err=True)
    return at_once, batch


def named_options(options: PredictOptions) -> dict[str, Any]:
    """The options that change the labels, by their names on the command line."""
    return {
        "--output-stride": options.output_stride,
        "--scales": ",".join(f"{scale:g}" for scale in options.scales),
        "--flip": options.flip,
        "--precision": options.precision,
        "--crf": None if options.crf is None else asdict(options.crf),
        "--crf-engine": None if options.crf is None else options.crf_engine,
        "--threshold": options.threshold,
        "--engine": options.engine,
    }
