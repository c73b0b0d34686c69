"""``atrous refine``: the fully connected CRF on a network's probabilities or on masks, and the search for its parameters."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from app.cli.console import ReportFile, ReportingCommand, progress, remember_overwrite, write_json
from app.cli.ground_truth import CommandTruth, found_truth, report_classes
from app.cli.model_choice import model_options, report_model, resolve_model
from app.cli.options import (
    CRF_HELP,
    Decimal,
    TruthOptions,
    crf_engine_option,
    device_option,
    engine_option,
    parse_crf,
    truth_options,
)
from app.cli.plan import Task, keep_suffix_option, output_names, plan_outputs, report_refused
from app.cli.predict import predict
from app.cli.predict_run import pixels_of, settle_engine
from app.cli.terminal import say
from app.services.folders import engine_trials_file
from deeplab_core.errors import AtrousError, one_image
from deeplab_core.notes import RunNotes
from deeplab_core.wording import count

if TYPE_CHECKING:
    from app.cli.console import ProgressReporter
    from deeplab_core.catalogs.catalog import CatalogMapping
    from deeplab_core.inference import Predictor
    from deeplab_core.records import CRFEngine, CRFParams, EngineChoice
    from deeplab_core.refine.dense_crf import Engine
    from deeplab_core.refine.search import SearchReport, SearchSample

_OUTPUT = click.Path(file_okay=False, path_type=Path)
_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command(cls=ReportingCommand)
@click.argument("inputs", metavar="INPUT...", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("-o", "--output", "out", metavar="DIR", type=_OUTPUT, help="Folder of the masks.")
@click.option("--model", "model_name", metavar="NAME_OR_FILE", help="Refine the predictions of this network.")
@model_options
@click.option("--masks", metavar="DIR", type=_FOLDER, help="Refine these masks instead; void is filled in.")
@truth_options(
    "Ground truth for --search [default: found beside the images]",
    catalog_help="Classes of the ids in --masks or --truth: voc21, ... or a file [default: recognised from the masks]",
    many=False,
)
@click.option(
    "--certainty",
    type=Decimal(0.01, 0.99),
    default=0.7,
    show_default=True,
    help="Probability of a label of --masks.",
)
@click.option("--crf", callback=parse_crf, default="v1", show_default=True, metavar="PRESET", help=CRF_HELP)
@crf_engine_option
@click.option("--search", is_flag=True, help="Search parameters on images with ground truth; needs --model.")
@click.option("--folds", type=click.IntRange(2), default=5, show_default=True, help="Folds of the cross-validation.")
@click.option("--limit", type=click.IntRange(2), default=100, show_default=True, help="Largest number of images for --search.")
@click.option("--report", metavar="FILE", type=ReportFile("JSON"), help="Write the result of --search as JSON, for --crf.")
@device_option
@engine_option
@click.option(
    "--overwrite", is_flag=True, is_eager=True, callback=remember_overwrite,
    help="Replace masks that are already there; let --report replace a file of another kind.",
)  # fmt: skip
@keep_suffix_option
@click.pass_context
def refine(
    ctx: click.Context,
    inputs: tuple[Path, ...],
    out: Path | None,
    model_name: str | None,
    options_of_model: dict[str, Any],
    masks: Path | None,
    certainty: float,
    crf: CRFParams,
    crf_engine: CRFEngine,
    *,
    truth: TruthOptions,
    search: bool,
    folds: int,
    limit: int,
    report: Path | None,
    device: str,
    engine: EngineChoice,
    overwrite: bool,
    keep_suffix: bool,
) -> int:
    """Refine with a fully connected CRF: a network's probabilities (--model) or masks (--masks).

    With --search nothing is refined: parameters are searched on images with ground truth and cross-validated. The result may be
    that a CRF does not help.
    """
    if search:
        if model_name is None:
            raise click.UsageError("--search needs --model, and ground truth beside the images or in --truth")
        return _search(inputs, model_name, options_of_model, truth, crf, folds, limit, report, device, engine)
    if (model_name is None) == (masks is None):
        raise click.UsageError("give either --model or --masks")
    if options_of_model and model_name is None:
        raise click.UsageError("--model-option is for --model")
    if out is None:
        raise click.UsageError("say with -o where the masks go")
    if model_name is not None:
        same = {"inputs": inputs, "model_name": model_name, "out": out, "device": device, "overwrite": overwrite}
        asked = tuple(f"{name}={value}" for name, value in options_of_model.items())
        more = {"model_option": asked, "crf": crf, "crf_engine": crf_engine, "keep_suffix": keep_suffix, "engine": engine}
        return int(ctx.invoke(predict, **same, scales=(1.0,), **more))
    assert masks is not None
    from deeplab_core.refine import choose_engine

    torch_device = device if device.startswith("cuda") else "cpu"
    return _refine_masks(
        inputs, out, masks, truth, certainty, crf, choose_engine(crf_engine, device), torch_device, overwrite,
        keep_suffix=keep_suffix,
    )  # fmt: skip


def _images_of(inputs: Sequence[Path]) -> Path:
    return inputs[0] if inputs[0].is_dir() else inputs[0].parent


def _refine_masks(
    inputs: tuple[Path, ...],
    out: Path,
    masks: Path,
    options: TruthOptions,
    certainty: float,
    crf: CRFParams,
    engine: Engine,
    device: str,
    overwrite: bool,
    *,
    keep_suffix: bool = False,
) -> int:
    from deeplab_core.datasets import survey_truth
    from deeplab_core.images import read_image, to_stored
    from deeplab_core.labels import class_histogram
    from deeplab_core.masks import mark_output, read_marker
    from deeplab_core.masks.plausibility import MaskStatistics
    from deeplab_core.masks.png import write_mask
    from deeplab_core.masks.read import load_mask
    from deeplab_core.refine import DenseCRF
    from deeplab_core.refine.from_labels import labels_as_probabilities

    if out.resolve() == masks.resolve():
        raise click.UsageError("the refined masks would replace those they are made from; choose another folder with -o")
    plan = plan_outputs(inputs, out, keep_suffix=keep_suffix)
    tasks = plan.tasks
    # Masks to refine are not ground truth: predictions are what they usually are.
    names = [task.name for task in tasks]
    found = survey_truth(_images_of(inputs), names, truth_folder=masks, catalog=options.catalog(), allow_predicted=True)
    partners = {task: path for task in tasks if (path := found.matched.get(task.name)) is not None}
    if not partners:
        raise click.UsageError(f"no mask in {masks} has the name of an image")
    catalog = found.classes.certain(masks)
    if options.catalog_name is None:
        report_classes(catalog, found.classes.reason)
    taken = [task.output for task in partners if task.output.exists()]
    if taken and not overwrite:
        there = f"{count(len(taken), 'mask')} {'is' if len(taken) == 1 else 'are'} already there, e.g. {taken[0]}"
        raise click.UsageError(f"{there}; add --overwrite, or choose another folder")
    mark_output(out, "refined", output_names(out, list(partners)), catalog=catalog, frame="stored", earlier=read_marker(out))
    failures: list[str] = [str(error) for _task, error in plan.refused]
    image_notes, mask_notes, statistics = RunNotes("image"), RunNotes("mask"), MaskStatistics(catalog)
    with progress("refine", len(partners)) as bar:
        report_refused(plan, bar.note)
        for task, path in partners.items():
            try:
                with one_image(task.image):
                    image = read_image(task.image)
                    mask = load_mask(path, catalog, image.info, frame=options.frame)
                    labels = mask.labels
                    statistics.add(task.name, class_histogram(labels, catalog))
                    split = labels_as_probabilities(labels, catalog, certainty)
                    if split is None:
                        refined = labels
                    else:
                        source, ids = split
                        refined = DenseCRF(image.rgb, crf, engine=engine, device=device).marginals(source).labels(ids)
                    task.output.parent.mkdir(parents=True, exist_ok=True)
                    write_mask(task.output, to_stored(refined, image.info.orientation), catalog)
                    image_notes.add(task.name, image.notes)
                    mask_notes.add(task.name, mask.notes)
            except AtrousError as error:
                failures.append(str(error))
                bar.note(f"failed: {error}")
            bar.advance(task.name)
    left = len(tasks) - len(partners)
    without = f"; {count(left, 'image')} {'has' if left == 1 else 'have'} none" if left else ""
    done = len(partners) + len(plan.refused) - len(failures)
    say(f"refined {done} of {count(len(tasks) + len(plan.refused), 'mask')} into {out}{without}")
    implausible = [note.spoken() for note in statistics.findings()]
    for line in implausible + image_notes.spoken() + mask_notes.spoken():
        say(f"atrous: {line}", err=True)
    return 1 if failures else 0


def _search(
    inputs: tuple[Path, ...],
    model_name: str,
    options_of_model: dict[str, Any],
    truth: TruthOptions,
    start: CRFParams,
    folds: int,
    limit: int,
    report_file: Path | None,
    device: str,
    engine: EngineChoice,
) -> int:
    from deeplab_core.catalogs.catalog import map_catalogs
    from deeplab_core.inference import Predictor
    from deeplab_core.metrics.truth_hash import ground_truth_hash
    from deeplab_core.records import PredictOptions
    from deeplab_core.refine.search import search_parameters
    from deeplab_core.weights import load_model

    model, card = load_model(resolve_model(model_name), options=options_of_model)
    report_model(card)
    options = PredictOptions(device=device, engine=engine)
    predictor = Predictor(model, card, options=options, device=device, trials=engine_trials_file())
    images = _images_of(inputs)
    tasks = plan_outputs(inputs, images / ".refine", keep_suffix=True).tasks
    settle_engine(predictor, pixels_of(predictor, (task.image for task in tasks)))
    ground, matched = found_truth(truth, images, [task.name for task in tasks], fallback=card.catalog)
    ground.report()
    mapping = map_catalogs(ground.catalog, card.catalog)
    if mapping.unmatched:
        say(f"atrous: void in this search, for the model has no such class: {', '.join(mapping.unmatched)}", err=True)
    partners = {task: path for task in tasks if (path := matched.get(task.name)) is not None}
    chosen = list(partners.items())[:: max(1, -(-len(partners) // limit))]
    if len(chosen) < 2:
        where = ", ".join(map(str, ground.folders))
        raise click.UsageError(f"a search needs at least two images with ground truth; {len(chosen)} have some in {where}")
    with progress("predict", len(chosen)) as bar:
        notes = RunNotes("image"), RunNotes("ground truth mask")
        truths: list[tuple[str, str]] = []
        samples = [_sample(task, path, predictor, bar, ground, mapping, notes, truths) for task, path in chosen]
    for line in notes[0].spoken() + notes[1].spoken():
        say(f"atrous: {line}", err=True)
    usable = [sample for sample in samples if sample is not None]
    with progress("search", 4 * len(usable)) as bar:
        result = search_parameters(
            usable, card.catalog, folds=folds, start=start, progress=lambda _done, _total, text: bar.advance(text)
        )
    say(figures(result))
    if report_file is not None:
        write_json(report_file, {**result.to_dict(), "truth_sha256": ground_truth_hash(truths), "ground_truth": ground.to_dict()})
        say(f"use it: --crf {report_file}" if result.helps else f"details: {report_file}")
    return 0


def _sample(
    task: Task,
    path: Path,
    predictor: Predictor,
    bar: ProgressReporter,
    ground: CommandTruth,
    mapping: CatalogMapping,
    notes: tuple[RunNotes, RunNotes],
    truths: list[tuple[str, str]],
) -> SearchSample | None:
    """Read and predict one image; its ground truth's hash goes into ``truths``."""
    from deeplab_core.images import read_image
    from deeplab_core.labels import apply_lut
    from deeplab_core.masks.read import load_mask
    from deeplab_core.metrics.truth_hash import label_map_hash
    from deeplab_core.refine import ProbabilitySource
    from deeplab_core.refine.search import SearchSample

    try:
        with one_image(task.image):
            image = read_image(task.image, fourth=predictor.model.in_channels == 4)
            mask = load_mask(path, ground.catalog, image.info, frame=ground.frame)
            labels = mask.labels
            if ground.catalog != predictor.card.catalog:
                labels = apply_lut(labels, mapping.lut)
            notes[0].add(task.name, image.notes)
            notes[1].add(task.name, mask.notes)
            digest = label_map_hash(mask.labels)
            scores = predictor.scores(image.pixels(predictor.model.in_channels)).weighed(predictor.card.threshold)
            sample = SearchSample(task.name, image.rgb, ProbabilitySource.of_scores(scores), labels)
            truths.append((task.name, digest))
            return sample
    except AtrousError as error:
        bar.note(f"left out: {error}")
        return None
    finally:
        bar.advance(task.name)


def figures(result: SearchReport) -> str:
    """The report as text."""
    lines = [f"{'class':>16}  without   with"]
    lines += [f"{name:>16}   {old:.4f}  {new:.4f}  {100 * (new - old):+5.1f}" for name, old, new in result.class_gains]
    lines += [
        f"{'mIoU':>16}   {result.baseline:.4f}  {result.validated:.4f}  {100 * (result.validated - result.baseline):+5.1f}"
        f"   over {count(result.classes, 'class', 'classes')}, on images left out of the search "
        f"({count(result.images, 'image')}, {count(result.folds, 'fold')}, {count(result.tried, 'set')})",
        f"{'':>16}           {result.fitted:.4f}         on the images it was tuned on",
        f"{'images':>16}   {result.improved} better, {result.worsened} worse (pixel accuracy)",
        f"{'parameters':>16}   bilateral {result.params.bilateral_compat:g}, {result.params.bilateral_sxy:g} px, "
        f"{result.params.bilateral_srgb:g} rgb; gaussian {result.params.gaussian_compat:g}, {result.params.gaussian_sxy:g} px; "
        f"temperature {result.params.temperature:g}; {result.params.iterations} steps, {result.params.normalization}",
        result.verdict,
    ]
    return "\n".join(lines)
