"""``atrous predict``: one mask per image, nothing else touched."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from app.cli.console import ProgressReporter, emit, progress
from app.cli.model_choice import model_option, model_options, refuse_threshold, report_model, resolve_model, threshold_option
from app.cli.options import CRF_HELP, crf_engine_option, engine_kind, json_lines_option, network_options, parse_crf
from app.cli.plan import OutputPlan, Task, keep_suffix_option, output_names, plan_outputs, report_refused
from app.cli.predict_run import outcomes, pace, pixels_of, remove_unfinished, settle_engine
from app.cli.run_record import asked_engine, keep_run_record, read_run_record, recorded_engine, run_record
from app.cli.shares import OutputPlace, ShardOptions, shard_options
from app.cli.terminal import say
from app.services.folders import engine_trials_file
from app.text import read_numbers
from deeplab_core.errors import AtrousError, ImageReadError, message
from deeplab_core.flavour import require_torch
from deeplab_core.notes import RunNotes
from deeplab_core.parallel import available_cores, in_order
from deeplab_core.wording import count

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from deeplab_core.images import ImageData
    from deeplab_core.images.probe import ImageInfo
    from deeplab_core.masks.output_marker import StoredFrame
    from deeplab_core.records import (
        CRFEngine,
        CRFParams,
        EngineChoice,
        ModelCard,
        Precision,
        Prediction,
    )

#: How long a process that has done its share waits for the others; their shares may be of larger images.
_PATIENCE = timedelta(days=7)


def parse_scales(_context: click.Context, _parameter: click.Parameter, value: str) -> tuple[float, ...]:
    """``"0.5,1,1.5"`` as floats; BadParameter where one is not a number or outside 0.1..4."""
    try:
        scales = tuple(read_numbers(value))
    except ValueError:
        raise click.BadParameter(f"'{value}' is not a list of numbers such as 0.75,1,1.25") from None
    if not all(0.1 <= scale <= 4 for scale in scales):
        raise click.BadParameter("every scale must lie between 0.1 and 4; scales with a decimal comma are separated by spaces")
    return scales


@click.command()
@click.argument("inputs", metavar="INPUT...", nargs=-1, type=click.Path(exists=True, path_type=Path))
@model_option
@click.option(
    "-o",
    "--output",
    "out",
    metavar="DIR",
    required=True,
    type=OutputPlace(),
    help="Folder of the masks.",
)
@click.option("--scales", callback=parse_scales, default="1", show_default=True, help="Average over these relative sizes.")
@click.option("--flip", is_flag=True, help="Also average with the mirrored image.")
@threshold_option
@click.option("--crf", "crf", callback=parse_crf, is_flag=False, flag_value="v1", default=None, metavar="[PRESET]", help=CRF_HELP)
@crf_engine_option
@network_options
@click.option(
    "--engine",
    **engine_kind,
    default=None,
    help="What runs the network: torch, on the CPU another engine, on a GPU CUDA graphs, or the fastest (auto) "
    "[default: torch; with --resume that of the earlier run].",
)
@click.option(
    "--frame",
    type=click.Choice(["stored", "oriented"]),
    default="stored",
    show_default=True,
    help="Frame of the masks: the stored pixels, or the image as displayed (EXIF).",
)
@keep_suffix_option
@model_options
@click.option("--save-confidence", is_flag=True, help="Also write NAME.confidence.png: 255 x the probability of the label.")
@click.option("--resume", is_flag=True, help="Keep the finished masks of an earlier run with the same options.")
@click.option("--overwrite", is_flag=True, help="Replace masks that are already there.")
@shard_options("image", "id")
@json_lines_option("One JSON line per image (with --shards per shard) and one summary, on stdout.")
def predict(
    inputs: tuple[Path, ...],
    model_name: str,
    out: Path | str,
    *,
    output_stride: int | None,
    scales: tuple[float, ...],
    flip: bool,
    threshold: float | None,
    crf: CRFParams | None,
    crf_engine: CRFEngine,
    device: str,
    precision: Precision,
    engine: EngineChoice | None = None,
    frame: StoredFrame,
    save_confidence: bool,
    resume: bool,
    overwrite: bool,
    as_json: bool,
    options_of_model: dict[str, Any],
    shards: ShardOptions,
    keep_suffix: bool = False,
) -> int:
    """Predict images and folders of images; write one indexed PNG per image.

    Relative paths below each INPUT are kept. Under torchrun each process predicts its share of the images; all exit with 1 if
    any image failed.

    --shards writes a tar file of masks for each shard, and a marker by which --resume knows the finished ones.
    """
    from deeplab_core.records import PredictOptions

    _refuse_both(inputs, shards, out)
    rank, world, device = _shard(device)
    began = time.time()
    options = PredictOptions(
        output_stride=output_stride,
        scales=scales,
        flip=flip,
        device=device,
        precision=precision,
        crf=crf,
        crf_engine=crf_engine,
        threshold=threshold,
    )
    if shards:
        from app.cli.shard_predict import predict_shards

        return predict_shards(
            shards, out, model_name, options, options_of_model, engine=engine, frame=frame,
            save_confidence=save_confidence, resume=resume, overwrite=overwrite, as_json=as_json,
        )  # fmt: skip
    assert isinstance(out, Path)
    plan = plan_outputs(inputs, out, keep_suffix=keep_suffix)
    every = list(plan.tasks)
    _refuse_collisions(every, save_confidence)
    tasks = every[rank::world]
    if not (resume or overwrite):
        _refuse_existing(tasks)
    model_path = resolve_model(model_name)

    from deeplab_core.inference import Predictor
    from deeplab_core.masks import mark_output, read_marker
    from deeplab_core.weights import load_model

    model, card = load_model(model_path, output_stride=output_stride, options=options_of_model)
    refuse_threshold(card, options.threshold)
    if rank == 0:
        report_model(card)
    engine = asked_engine(engine, recorded_engine(read_run_record(out)) if resume else None, out, model, world)
    options = replace(options, engine=engine)
    predictor = Predictor(model, card, options=options, device=device, trials=engine_trials_file())
    settle_engine(predictor, pixels_of(predictor, (task.image for task in tasks)))
    options = predictor.options
    earlier = read_marker(out)  # before the run's own record is there
    keep_run_record(out, run_record(card, options, frame), resume=resume, write=rank == 0)
    if rank == 0:
        names = output_names(out, every)
        mark_output(out, "prediction", names, catalog=card.catalog, model=card.id, frame=frame, earlier=earlier)

    turned: list[Path] = []
    todo = _unfinished(tasks, card, frame, save_confidence, turned) if resume else tasks
    at_once, batch = pace(predictor, pixels_of(predictor, (task.image for task in todo)), len(todo), alone=world == 1)
    failures: list[tuple[Task, AtrousError]] = []
    notes: set[str] = set()
    image_notes = RunNotes("image")
    with progress("predict", len(todo)) as bar:
        if rank == 0:
            failures += _refused(plan, bar, as_json=as_json)

        def write(task: Task, prediction: Prediction, data: ImageData) -> None:
            turned.extend(_turned(task, data.info))
            write_prediction(task, prediction, data, card, frame, save_confidence=save_confidence)

        for task, done in zip(todo, outcomes(predictor, todo, write, at_once, batch, confidence=save_confidence), strict=True):
            try:
                report, found = done.result()
            except AtrousError as error:
                failures.append((task, error))
                bar.note(f"failed: {error}")
                if as_json:
                    emit("failed", image=task.image, error=error.to_dict())
            else:
                image_notes.add(task.name, found)
                for note in report.notes:
                    if note not in notes:
                        notes.add(note)
                        bar.note(f"note: {note}")
                if as_json:
                    emit(
                        "predicted",
                        image=task.image,
                        mask=task.output,
                        milliseconds=round(report.milliseconds, 1),
                        device=report.device,
                        notes=report.notes,
                        image_notes=[note.to_dict() for note in found],
                    )
            bar.advance(task.name)
    _mark_turned(out, turned, world)
    if resume or overwrite:
        remove_unfinished(tasks, began)
    refused = len(plan.refused) if rank == 0 else 0
    _summarise(out, card, len(tasks) + refused, len(todo) + refused, failures, image_notes, as_json=as_json)
    return 1 if _failures_everywhere(len(failures), world) else 0


def _turned(task: Task, info: ImageInfo) -> list[Path]:
    """The mask of an image, if it fits the image both as it is stored and as it is displayed."""
    from deeplab_core.masks.frames import is_ambiguous_frame

    return [task.output] if is_ambiguous_frame(info.stored_size, info) else []


def _mark_turned(out: Path, outputs: Sequence[Path], world: int) -> None:
    from deeplab_core.masks.output_marker import mark_turned

    if world == 1 and outputs:  # several processes would write the marker at once
        mark_turned(out, (path.relative_to(out).as_posix() for path in outputs))


def _refuse_both(inputs: tuple[Path, ...], shards: ShardOptions, out: Path | str) -> None:
    if bool(inputs) == bool(shards):
        raise click.UsageError("name images and folders of images, or shards with --shards")
    if isinstance(out, str) and not shards:
        raise click.UsageError(f"-o {out}: masks of single files go into a folder; only --shards writes to a store")


def _refused(plan: OutputPlan, bar: ProgressReporter, *, as_json: bool) -> list[tuple[Task, AtrousError]]:
    report_refused(plan, bar.note)
    for task, error in plan.refused if as_json else ():
        emit("failed", image=task.image, error=error.to_dict())
    return list(plan.refused)


def _shard(device: str) -> tuple[int, int, str]:
    """Rank, world size and device of this process, from the variables that torchrun sets."""
    rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    if world > 1 and device in ("auto", "cuda"):
        require_torch(message("Predicting by several processes"))
        import torch

        if torch.cuda.is_available():
            device = f"cuda:{int(os.environ.get('LOCAL_RANK', '0')) % torch.cuda.device_count()}"
    return rank, world, device


def _failures_everywhere(mine: int, world: int) -> int:
    """Failures of all processes, once all have done their shares.

    torchrun ends all processes as soon as one leaves with an error: a share with a broken image must not cut the others off.
    Shares that were started by hand, with RANK and WORLD_SIZE alone, wait for no other process.
    """
    if world == 1 or "MASTER_ADDR" not in os.environ:
        return mine
    require_torch(message("Waiting for other processes"))
    import torch

    from deeplab_core.training import process_group

    with process_group(torch.device("cpu"), patience=_PATIENCE) as group:
        return int(group.sum(torch.tensor(mine)))


def _confidence_path(task: Task) -> Path:
    return task.output.with_suffix(".confidence.png")


def _refuse_collisions(tasks: Sequence[Task], save_confidence: bool) -> None:
    if not save_confidence:
        return
    masks = {task.output: task for task in tasks}
    for task in tasks:
        other = masks.get(_confidence_path(task))
        if other is not None:
            raise click.UsageError(f"the confidence of {task.image} and the mask of {other.image} would both be {other.output}")


def _refuse_existing(tasks: Sequence[Task]) -> None:
    existing = [task.output for task in tasks if task.output.exists()]
    if existing:
        raise click.UsageError(
            f"{len(existing)} of {count(len(tasks), 'mask')} {'is' if len(existing) == 1 else 'are'} already there, "
            f"e.g. {existing[0]}; "
            "add --resume to keep them, --overwrite to replace them, or choose another folder"
        )


def _unfinished(tasks: Sequence[Task], card: ModelCard, frame: str, save_confidence: bool, turned: list[Path]) -> list[Task]:
    """Images without a whole mask; the masks of others are added to ``turned``, as a run that was killed noted none."""
    finished = in_order(lambda task: _finished(task, card, frame, save_confidence, turned), tasks, available_cores())
    return [task for task, done in zip(tasks, finished, strict=True) if not done]


def _finished(task: Task, card: ModelCard, frame: str, save_confidence: bool, turned: list[Path]) -> bool:
    """Whether an earlier run left a whole mask (and confidence) of the right size."""
    from PIL import Image

    from deeplab_core.images import probe_image
    from deeplab_core.masks.read import read_mask

    try:
        info = probe_image(task.image)
        width, height = info.stored_size if frame == "stored" else info.size
        if read_mask(task.output, card.catalog).shape != (height, width):
            return False
        turned.extend(_turned(task, info))
        if save_confidence:
            with Image.open(_confidence_path(task)) as confidence:
                confidence.load()
                return confidence.size == (width, height)
    except Exception:  # whatever is wrong with it, it is made again
        return False
    return True


def write_prediction(
    task: Task, prediction: Prediction, data: ImageData, card: ModelCard, frame: str, *, save_confidence: bool = False
) -> None:
    """Write the mask of an image, and its confidence on request, in the file's own frame (``"stored"``) or as it is displayed."""
    from deeplab_core.atomic import atomic_write
    from deeplab_core.images import to_stored
    from deeplab_core.masks.png import encode_png, write_mask

    def place(array: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return to_stored(array, data.info.orientation) if frame == "stored" else array

    task.output.parent.mkdir(parents=True, exist_ok=True)
    if save_confidence:  # first, so that a mask always stands for a finished image
        atomic_write(_confidence_path(task), encode_png(place(prediction.confidence)))
    write_mask(task.output, place(prediction.labels), card.catalog)


def _summarise(
    out: Path,
    card: ModelCard,
    total: int,
    tried: int,
    failures: Sequence[tuple[Task, AtrousError]],
    notes: RunNotes,
    *,
    as_json: bool,
) -> None:
    written, kept = tried - len(failures), total - tried
    if as_json:
        emit("summary", model=card.id, output=out, written=written, kept=kept, failed=len(failures), notes=notes.to_list())
        return
    parts = [f"{written} written", *([f"{kept} kept"] if kept else []), *([f"{len(failures)} failed"] if failures else [])]
    say(f"{card.name}: {', '.join(parts)} in {out}")
    for line in notes.spoken():
        say(f"atrous: {line}", err=True)
    unreadable = sum(isinstance(error, ImageReadError) for _task, error in failures)
    if failures:
        say(
            f"atrous: {len(failures)} of {count(total, 'image')} failed ({unreadable} unreadable); "
            "fix them and run again with --resume",
            err=True,
        )
