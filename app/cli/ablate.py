"""``atrous ablate``: models and settings side by side, and where each of them wins and loses."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

import click

from app.cli.compared_errors import common_files, compare_masks, component_lines, masks_of_folder
from app.cli.console import ReportingCommand, overwrite_option, progress, write_json, write_page
from app.cli.ground_truth import masks_truth
from app.cli.model_choice import model_options, report_model, resolve_model
from app.cli.options import (
    FOLDER,
    TruthOptions,
    attributes_option,
    csv_option,
    draws_options,
    html_option,
    json_option,
    network_options,
    read_own,
    truth_options,
)  # fmt: skip
from app.cli.plan import Task, output_names, plan_outputs, report_refused
from app.cli.predict import write_prediction
from app.cli.predict_run import named_options
from app.cli.read_ahead import read_ahead
from app.cli.terminal import say
from deeplab_core.errors import AtrousError, one_image
from deeplab_core.wording import count

if TYPE_CHECKING:
    from deeplab_core.analysis.ablation import Ablation, AblationRow, ChangeOf
    from deeplab_core.analysis.compared_side import ComparedSide
    from deeplab_core.analysis.own_slices import OwnSlices
    from deeplab_core.datasets.pairing import MaskPair
    from deeplab_core.images import ImageData
    from deeplab_core.inference import RunVariant, VariantPredictor
    from deeplab_core.records import ModelCard, Precision, PredictOptions

#: File in the folder of a row that says what made its masks.
_RECORD = "atrous-row.json"
_MARKS = {"helps": "+", "hurts": "-", "cannot tell": " ", "too few": "?", "not the same ground truth": " "}


@dataclass(slots=True)
class _Run:
    """One row: its masks, and what was measured of them."""

    model: str
    variant: str
    masks: Path
    seconds: dict[str, tuple[float, float]] = field(default_factory=dict)  # and CPU seconds, by image, as far as known
    images: int = 0  # that have a mask
    notes: set[str] = field(default_factory=set)
    measured: ComparedSide | None = None
    pairs: dict[str, MaskPair] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.model} {self.variant}".strip()


@click.command(cls=ReportingCommand)
@click.argument("images", metavar="IMAGES", type=FOLDER)
@click.option(
    "--model", "models", metavar="NAME_OR_FILE", multiple=True, required=True,
    help="A name from 'atrous models list', or a checkpoint. The plain run of the first is what all rows are compared with. "
    "May be repeated.",
)  # fmt: skip
@click.option(
    "--variant", "variants", metavar="SETTING", multiple=True,
    help="A setting to try: os8, flip, scales:0.75,1,1.25, crf:v2, threshold:0.4, precision:bf16, engine:onnx; several joined by "
    "+ are one variant. May be repeated.",
)  # fmt: skip
@truth_options(
    "Ground truth: masks of the same names [default: found beside IMAGES]",
    catalog_help="Classes of the ids in the ground truth: voc21, ... or a file [default: recognised]",
)
@click.option("--band-rule", type=click.Choice(["edge", "void"]), default="edge", show_default=True, help="Rule of the bands.")
@model_options
@network_options
@attributes_option
@click.option("--objects", metavar="DIR", type=FOLDER, help="Lists of objects of rendered rooms: adds visible fractions.")
@draws_options(
    default=None, least=100, most=1_000_000,
    text="Random draws of images for intervals and p-values [default: 10,000, or 100 for each score of all rows if more].",
)  # fmt: skip
@click.option(
    "--top", type=click.IntRange(0, 1000), default=3, show_default=True, help="Errors won and lost to list of each row."
)
@click.option(
    "-o", "--output", "out", metavar="DIR", type=click.Path(file_okay=False, path_type=Path),
    help="Keep the masks of every row in a folder of its own below DIR [default: they are not kept].",
)  # fmt: skip
@click.option(
    "--resume", is_flag=True,
    help="Take the masks that the same rows have in DIR, and predict what is missing: for other attributes or more draws.",
)  # fmt: skip
@json_option()
@csv_option("csv", "Write every score as one line.")
@html_option("Write one page to read, with cut-outs of the errors won and lost.")
@overwrite_option
def ablate(
    images: Path,
    *,
    models: tuple[str, ...],
    variants: tuple[str, ...],
    truth: TruthOptions,
    band_rule: Literal["edge", "void"],
    options_of_model: dict[str, Any],
    output_stride: int | None,
    device: str,
    precision: Precision,
    attributes: tuple[Path, ...],
    objects: Path | None,
    resamples: int | None,
    seed: int,
    top: int,
    out: Path | None,
    resume: bool,
    json_file: Path | None,
    csv_file: Path | None,
    html_file: Path | None,
) -> int:
    """Try settings and models on a folder of IMAGES, and show which help, which hurt, and where.

    Rows are every --model plain and with every --variant. Variants that differ in CRF, flip or scales share the passes of the
    network. Every row is compared with the first over the same random draws of images and one set of classes; p is corrected
    over all rows at once. "Cannot tell" means that chance may explain the difference. Seconds are of each row as if it ran
    alone, on this machine, without the first image: loops are compiled then.

    Exit status 1 means that some images failed; the figures are those of the rest.
    """
    from deeplab_core.inference import parse_variant
    from deeplab_core.records import PredictOptions

    if not variants and len(models) == 1:
        raise click.UsageError("there is nothing to compare: add --variant, e.g. --variant flip, or a second --model")
    if resume and out is None:
        raise click.UsageError("--resume takes masks of an earlier run: name their folder with -o")
    plain = PredictOptions(output_stride=output_stride, device=device, precision=precision)
    settings = _settings(variants, plain, parse_variant)
    own = read_own(attributes)
    with ExitStack() as stack:
        root = out or Path(stack.enter_context(TemporaryDirectory(prefix="atrous-ablate-")))
        runs: list[_Run] = []
        failed = 0
        for model in models:
            failed += _predict(model, images, settings, root, runs, options_of_model, kept=out is not None, resume=resume)
        failed += sum(_measure(run, images, truth, band_rule) for run in runs)
        found = _compare(runs, images, objects, own, truth, resamples=resamples, seed=seed)
        page = None if html_file is None else _page(found, html_file.parent, max(top, 6))
    write_json(json_file, found.to_dict())
    if csv_file is not None:
        from app.viewmodels.evaluate.charts import csv_text

        write_page(csv_file, csv_text(found.table()))
    if html_file is not None and page is not None:
        write_page(html_file, page)
    say(lines(found, top))
    errors = [error for row in found.others if row.errors is not None for error in row.errors.difference.failures]
    for error in errors:
        say(f"atrous: errors not compared: {error}", err=True)
    first = next((row.errors for row in found.others if row.errors is not None), None)
    for note in [] if own is None or first is None else own.notes(list(first.difference.before)):
        say(f"atrous: {note}", err=True)
    return 1 if failed or errors else 0


def _settings(
    variants: tuple[str, ...], plain: PredictOptions, parse: Callable[[str, PredictOptions], RunVariant]
) -> list[RunVariant]:
    """The plain run and every variant. Raises UsageError for one that is none, or that stands there twice."""
    from deeplab_core.inference import RunVariant

    found = [RunVariant("", plain)]
    for text in variants:
        try:
            found.append(parse(text, plain))
        except AtrousError as error:
            raise click.UsageError(str(error)) from None
    for place, variant in enumerate(found):
        for other in found[:place]:
            if variant.options == other.options:
                same = f"'{other.name}'" if other.name else "the plain run"
                raise click.UsageError(f"the variant '{variant.name}' has the same settings as {same}")
    return found


def _predict(
    model_name: str,
    images: Path,
    settings: list[RunVariant],
    root: Path,
    runs: list[_Run],
    of_model: Mapping[str, Any],
    *,
    kept: bool,
    resume: bool,
) -> int:
    """Write the masks of a model with every setting, each into its own folder; how many images failed.

    Args:
        kept: whether the folders stay; then nothing in them is replaced.
        resume: whether masks in them count, if the same model made them with the same settings.
    """
    from deeplab_core.inference import Predictor, VariantPredictor
    from deeplab_core.masks import mark_output, read_marker
    from deeplab_core.weights import load_model

    path = resolve_model(model_name)
    model, card = load_model(path, output_stride=settings[0].options.output_stride, options=of_model)
    report_model(card)
    names = [run.model for run in runs]
    title = card.name if card.name not in names else f"{card.name} ({path.name})"
    mine = [_Run(title, variant.name, root / _folder_name(title, variant.name)) for variant in settings]
    runs += mine
    plans = [plan_outputs([images], run.masks) for run in mine]
    earlier: list[dict[str, list[float]]] = [{} for _ in mine]
    if resume:
        earlier = [_earlier(run.masks, card, variant.options) for run, variant in zip(mine, settings, strict=True)]
    elif kept:
        there = [task.output for plan in plans for task in plan.tasks if task.output.exists()]
        if there:
            raise click.UsageError(
                f"{count(len(there), 'mask')} of these rows are already there, e.g. {there[0]}; choose another folder, or take "
                "them with --resume"
            )
    try:
        predictor = VariantPredictor(
            Predictor(model, card, options=settings[0].options, device=settings[0].options.device), settings
        )
    except AtrousError as error:
        raise click.UsageError(f"{card.name}: {error}") from None
    for run, plan, variant, known in zip(mine, plans, settings, earlier, strict=True):
        before, written = read_marker(run.masks), output_names(run.masks, plan.tasks)
        mark_output(run.masks, "prediction", written, catalog=card.catalog, model=card.id, frame="stored", earlier=before)
        write_json(run.masks / _RECORD, _record(card, variant.options, known))
    failed, channels = len(plans[0].refused), model.in_channels
    tasks = list(zip(*(plan.tasks for plan in plans), strict=True))
    if resume:
        every, tasks = tasks, [row for row in tasks if not all(task.output.exists() for task in row)]
        done = {row[0].name for row in every} - {row[0].name for row in tasks}
        say(f"{title}: masks of {count(len(done), 'image')} are taken as they are", err=True)
        for run, known in zip(mine, earlier, strict=True):
            run.seconds |= {name: (known[name][0], known[name][1]) for name in known if name in done}
    try:
        with progress(f"predict {title}", len(tasks)) as bar:
            report_refused(plans[0], bar.note)
            decoded = read_ahead([row[0].image for row in tasks], fourth=channels == 4)
            for row, image in zip(tasks, decoded, strict=True):
                failed += _one_image(row, image, predictor, mine, card, channels, bar.note)
                bar.advance(row[0].name)
    finally:  # also of a run that is stopped
        for run, variant in zip(mine, settings, strict=True) if kept else ():
            times = {name: list(spent) for name, spent in run.seconds.items()}
            write_json(run.masks / _RECORD, _record(card, variant.options, times))
    for run, plan in zip(mine, plans, strict=True):
        run.images = sum(task.output.exists() for task in plan.tasks)
    return failed


def _record(card: ModelCard, options: PredictOptions, seconds: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """What made the masks of a row, with seconds and CPU seconds of each image."""
    made_by = {name: value for name, value in named_options(options).items() if name != "--crf-engine"}
    return {"format": "atrous-row-1", "model": card.id, "options": made_by, "seconds": {**seconds}}


def _earlier(masks: Path, card: ModelCard, options: PredictOptions) -> dict[str, list[float]]:
    """Seconds of the images that a row has already; nothing where it has none. Raises UsageError for masks of other rows."""
    from deeplab_core.reading import expecting, read_json

    record = masks / _RECORD
    if not record.exists():
        if next(masks.rglob("*.png"), None) is not None:
            raise click.UsageError(f"{masks} does not say what made its masks; choose another folder")
        return {}
    found, wanted = read_json(record, what="the record of these masks"), _record(card, options, {})
    with expecting("not a record of masks", path=record):
        if any(found[name] != wanted[name] for name in ("format", "model", "options")):
            raise click.UsageError(f"{masks} holds masks of another model or setting; choose another folder")
        return {str(name): [float(value) for value in times] for name, times in found["seconds"].items() if len(times) == 2}


def _one_image(
    tasks: tuple[Task, ...],
    image: Future[ImageData],
    predictor: VariantPredictor,
    runs: list[_Run],
    card: ModelCard,
    channels: int,
    note: Callable[[str], None],
) -> int:
    """Predict an image with every setting; 1 if it failed."""
    try:
        with one_image(tasks[0].image):
            data = image.result()
            for task, run, prediction in zip(tasks, runs, predictor(data.pixels(channels)), strict=True):
                write_prediction(task, prediction, data, card, "stored")
                for text in prediction.report.notes:
                    if text not in run.notes:
                        run.notes.add(text)
                        note(f"note: {run.name}: {text}")
                run.seconds[task.name] = prediction.report.milliseconds / 1e3, prediction.report.cpu_milliseconds / 1e3
    except AtrousError as error:
        note(f"failed: {error}")
        return 1
    return 0


def _folder_name(model: str, variant: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", f"{model} {variant or 'plain'}").strip("-")


def _measure(run: _Run, images: Path, truth: TruthOptions, band_rule: Literal["edge", "void"]) -> int:
    """Evaluate the masks of a row; how many failed."""
    from deeplab_core.analysis.compared_side import ComparedSide
    from deeplab_core.analysis.evaluate import evaluate_folders
    from deeplab_core.datasets.pairing import pair_masks

    ground = masks_truth(truth, run.masks, images)
    if not run.variant:
        ground.report()
    pairs = pair_masks(run.masks, ground.folders, ground.catalog.name).pairs
    with progress(f"evaluate {run.name}", len(pairs)) as bar:
        found = evaluate_folders(
            run.masks, ground.folders, ground.catalog, band_rule=band_rule, resamples=0, images_dir=images, frame=truth.frame,
            progress=lambda _done, _total, name: bar.advance(name),
        )  # fmt: skip
    for error in found.failures:
        say(f"atrous: not compared: {error}", err=True)
    run.measured, run.pairs = ComparedSide.of_evaluation(found, run.masks), masks_of_folder(pairs)
    return len(found.failures)


def _compare(
    runs: Sequence[_Run],
    images: Path,
    objects: Path | None,
    own: OwnSlices | None,
    truth: TruthOptions,
    *,
    resamples: int | None,
    seed: int,
) -> Ablation:
    """Compare every row with the first."""
    from deeplab_core.analysis.ablation import Ablation
    from deeplab_core.analysis.compare import COMPARE_RESAMPLES, compare_sides
    from deeplab_core.analysis.difference import ChangedFiles, ChangeSources
    from deeplab_core.analysis.verdicts import needed_draws
    from deeplab_core.metrics.confusion import same_classes

    first = runs[0]
    assert first.measured is not None
    least = COMPARE_RESAMPLES if resamples is None else resamples
    draws = least if resamples is not None else max(least, needed_draws((len(runs) - 1) * len(first.measured.catalog)))
    sources = ChangeSources(images=images, objects=objects, own=own, frame=truth.frame)
    rows = [_row(first)]
    files: dict[int, dict[str, ChangedFiles]] = {}
    for place, run in enumerate(runs[1:], start=1):
        assert run.measured is not None
        comparison = compare_sides(first.measured, run.measured, resamples=draws, seed=seed, correct=False)
        if comparison.same_truth and same_classes(first.measured.catalog, run.measured.catalog):
            files[place] = common_files(first.pairs, run.pairs)
        rows.append(replace(_row(run), comparison=comparison))
    if files:
        catalog = first.measured.catalog
        errors = compare_masks(
            [*files.values()], catalog, sources, resamples=least, seed=seed, correct=False, more_draws=resamples is None
        )
        for place, found in zip(files, errors, strict=True):
            rows[place] = replace(rows[place], errors=found)
    return Ablation.of(rows)


def _row(run: _Run) -> AblationRow:
    from deeplab_core.analysis.ablation import AblationRow

    wall, cpu = zip(*run.seconds.values(), strict=True) if run.seconds else ((), ())
    seconds, cpu_seconds = mean_without_first(wall), mean_without_first(cpu)
    return AblationRow(
        model=run.model, variant=run.variant, seconds=seconds, cpu_seconds=cpu_seconds, images=run.images
    )  # fmt: skip


def mean_without_first(times: Sequence[float]) -> float:
    """The mean; loops are compiled and engines tried with the first image, so it counts only if it is the only one."""
    counted = times[1:] or times
    return sum(counted) / len(counted) if counted else math.nan


def _page(found: Ablation, folder: Path, cutouts: int) -> str:
    from deeplab_core.analysis.report.ablation import render_ablation

    return render_ablation(found, cutouts=cutouts, folder=folder)


def lines(found: Ablation, top: int) -> str:
    """The table: rows of scores, classes and slices, one column for each row of the ablation; then what each won and lost."""
    from deeplab_core.analysis.ablation import WORDS

    plain = found.plain
    text = [f"Compared with {plain.name}: {_times(plain)} per image, {count(plain.images, 'image')}", ""]
    for number, row in enumerate(found.others, start=1):
        change = None if row.comparison is None else row.comparison.overall[0]
        said = "not compared" if change is None else WORDS[change.verdict]
        points = (
            "" if change is None else f"mIoU {100 * change.difference:+.2f} [{100 * change.low:+.2f}, {100 * change.high:+.2f}], "
        )
        ratio = f", {row.cpu_seconds / plain.cpu_seconds:.2f} x" if plain.cpu_seconds else ""
        text.append(f"  [{number}] {row.name}: {said}: {points}{_times(row)} per image{ratio}")
    text += ["", f"{'points of change':32}{'plain':>8}" + "".join(f"{f'[{number}]':>10}" for number in range(1, len(found.rows)))]
    table: dict[tuple[str, str, str], dict[int, ChangeOf]] = {}
    for one in found.changes():
        table.setdefault((one.family, one.axis, one.change.name), {})[found.others.index(one.row)] = one
    heading = ("overall", "")
    for (family, axis, name), cells in table.items():
        if (family, axis) != heading:
            heading = family, axis
            text += ["", f"by {axis.replace('_', ' ')}" if axis else "classes, IoU"]
        before = next(iter(cells.values())).change.before
        shown = [_cell(cells.get(place)) for place in range(len(found.others))]
        counts = f"  n {next(iter(cells.values())).count:,}" if axis else ""
        score = f"{'-':>8}" if math.isnan(before) else f"{100 * before:8.1f}"
        text.append(f"  {name[:30]:30}{score}{''.join(shown)}{counts}")
    text += ["", "+ helps, - hurts, ? too few images or objects; no mark: cannot tell. p is corrected over all columns at once."]
    for number, row in enumerate(found.others, start=1):
        if row.errors is not None and top:
            difference = row.errors.difference
            px = f"{difference.fixed.wrong_px:,} wrong px fixed, {difference.made.wrong_px:,} made"
            text += ["", f"[{number}] {row.name}: {px}"]
            text += component_lines("  won", difference.won(top), difference.catalog)
            text += component_lines("  lost", difference.lost(top), difference.catalog)
    return "\n".join(text)


def _times(row: AblationRow) -> str:
    """Seconds by the clock, and of the processor, which other work does not stretch."""
    return f"{row.seconds:.2f} s ({row.cpu_seconds:.2f} s of CPU)"


def _cell(one: ChangeOf | None) -> str:
    from deeplab_core.analysis.ablation import WORDS

    if one is None or math.isnan(one.change.difference):
        return f"{'-':>9} "
    return f"{100 * one.change.difference:+9.2f}{_MARKS[WORDS[one.change.verdict]]}"
