"""``atrous compare``: what got better and what got worse between two evaluations of the same images."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

import click

from app.cli.compared_errors import SIGNS, common_files, compare_masks, error_lines, masks_of_folder, masks_of_report
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
from app.cli.plan import output_names, plan_outputs, report_refused
from app.cli.predict import write_prediction
from app.cli.read_ahead import read_ahead
from app.cli.terminal import say
from deeplab_core.errors import AtrousError, one_image
from deeplab_core.model_files import is_model_file, model_in_folder
from deeplab_core.printable import one_line
from deeplab_core.wording import count

if TYPE_CHECKING:
    from deeplab_core.analysis.compare import Comparison
    from deeplab_core.analysis.compared_side import ComparedSide
    from deeplab_core.analysis.difference import ChangeSources
    from deeplab_core.analysis.error_comparison import ErrorComparison
    from deeplab_core.analysis.verdicts import ScoreChange
    from deeplab_core.datasets.pairing import MaskPair
    from deeplab_core.records import Precision, PredictOptions


@click.command(cls=ReportingCommand)
@click.argument("before")
@click.argument("after")
@truth_options(
    "Ground truth of folders and models: masks of the same names [default: found beside --images]",
    catalog_help="Classes of the ids in the masks: voc21, ... or a file [default: recognised from the ground truth]",
)
@click.option(
    "--images", metavar="DIR", type=FOLDER,
    help="Photographs of the same names: what a model predicts, and where the ground truth is looked for.",
)  # fmt: skip
@click.option(
    "--band-rule", type=click.Choice(["edge", "void"]),
    help="Of folders and models: bands around class edges, or around void [default: as in the report, else edge].",
)  # fmt: skip
@model_options
@network_options
@draws_options(default=10_000, least=100, most=1_000_000, text="Random draws of images for intervals and p-values.")
@click.option(
    "--errors/--no-errors",
    default=None,
    help="Compare the errors too: fixed and made, by kind, cell, slice and component [default: yes, unless both are reports].",
)
@attributes_option
@click.option("--objects", metavar="DIR", type=FOLDER, help="Lists of objects of rendered rooms: adds visible fractions.")
@click.option(
    "--top", type=click.IntRange(1, 10_000), default=10, show_default=True, help="How many cells and components to list."
)
@json_option()
@csv_option("csv", "Write every figure as one line.")
@html_option("Write one page to read, with cut-outs of the errors if --images are named.")
@overwrite_option
def compare(
    before: str,
    after: str,
    *,
    truth: TruthOptions,
    images: Path | None,
    band_rule: Literal["edge", "void"] | None,
    options_of_model: dict[str, Any],
    output_stride: int | None,
    device: str,
    precision: Precision,
    resamples: int,
    seed: int,
    errors: bool | None,
    attributes: tuple[Path, ...],
    objects: Path | None,
    top: int,
    json_file: Path | None,
    csv_file: Path | None,
    html_file: Path | None,
) -> int:
    """Show what got better (+) and what got worse (-) from BEFORE to AFTER.

    Each of the two is a report that 'evaluate --json' wrote, a folder of masks, or a model (a name or a checkpoint), which then
    predicts --images. Folders and models are evaluated as 'evaluate' does, or with the bands of the report on the other side.

    Means run over the classes of the ground truth on both sides. Both sides are pooled over the same random draws of images
    (paired bootstrap). A difference counts if chance explains it in fewer than 5 % of the draws, corrected for the number of
    overall rows and for the number of classes. A class in fewer than six images gets no verdict (?). Evaluations of different
    classes are compared over the common ones; then, and if the ground truth differs, nothing is marked.

    Errors: which wrong pixels AFTER fixed and which it made, by kind of failure, by truth and prediction, in slices (with
    intervals, corrected for the number of slices) and as connected errors.

    Exit status 1 means that some files could not be evaluated; the figures are those of the rest.
    """
    from app.viewmodels.evaluate.charts import csv_text
    from deeplab_core.analysis.compare import compare_sides
    from deeplab_core.analysis.difference import ChangeSources
    from deeplab_core.analysis.error_comparison import table_of_changes
    from deeplab_core.records import PredictOptions

    sources = _source(before), _source(after)
    only_reports = all(source.kind == "report" for source in sources)
    wants_errors = errors if errors is not None else bool(not only_reports or html_file or attributes or objects)
    if only_reports and (truth.folders or band_rule is not None or (images is not None and not wants_errors)):
        raise click.UsageError("--truth, --images and --band-rule are for folders and models; a report has its own")
    if options_of_model and not any(source.kind == "model" for source in sources):
        raise click.UsageError("--model-option is for models; neither side is one")
    if not wants_errors and (attributes or objects):
        raise click.UsageError("--attributes and --objects are for errors; leave --no-errors out")
    own = read_own(attributes)
    with ExitStack() as stack:
        reports = {source.path: _read(source) for source in sources if source.kind == "report"}
        measuring = _Measuring(
            truth, images, PredictOptions(output_stride=output_stride, device=device, precision=precision),
            options_of_model, next(iter(reports.values())).measured if reports else None, band_rule, stack,
        )  # fmt: skip
        sides = [reports[source.path] if source.kind == "report" else measuring.side(source) for source in sources]
        result = compare_sides(sides[0].measured, sides[1].measured, resamples=resamples, seed=seed)
        found = None
        if wants_errors:
            gathered = ChangeSources(images=images, objects=objects, own=own, frame=truth.frame)
            found = _errors(sides, result, gathered, resamples=resamples, seed=seed)
        page = None if html_file is None else _page(result, found, sides, top, html_file.parent)
    truths = {name: side.ground_truth for name, side in zip(("before", "after"), sides, strict=True)}
    changed = {} if found is None else {"errors": found.to_dict(max(top, 50))}
    write_json(json_file, {**result.to_dict(), "ground_truth": truths, **changed})
    if csv_file is not None:
        write_page(csv_file, csv_text(table_of_changes(result, found)))
    if html_file is not None and page is not None:
        write_page(html_file, page)
    say(table(result))
    if found is not None:
        say(error_lines(found, top))
        for error in found.difference.failures:
            say(f"atrous: errors not compared: {error}", err=True)
        for note in [] if own is None else own.notes(list(found.difference.before)):
            say(f"atrous: {note}", err=True)
    for side in sides:
        written = side.ground_truth.get("written_by_atrous")
        rows = written if isinstance(written, list) else []
        if any(isinstance(row, dict) and row.get("kind") in ("prediction", "refined") for row in rows):
            say(f"atrous: the ground truth of {side.path} holds masks that Atrous predicted", err=True)
    for side, names in zip(sides, (result.only_before, result.only_after), strict=True):
        if names:
            verb, were = ("is", "was") if len(names) == 1 else ("are", "were")
            some = f"{count(len(names), 'image')} {verb} in {side.path} only and {were} left out, e.g. {one_line(names[0])}"
            say(f"atrous: {some}", err=True)
    return 1 if any(side.failed for side in sides) or (found is not None and found.difference.failures) else 0


def _errors(
    sides: list[_Side], result: Comparison, sources: ChangeSources, *, resamples: int, seed: int
) -> ErrorComparison | None:
    """The difference of the errors; None, and a line that says why, where it cannot be had."""
    from deeplab_core.metrics.confusion import same_classes

    before, after = (side.measured.catalog for side in sides)
    if not (result.same_truth and same_classes(before, after)):
        say("atrous: errors are not compared: classes or ground truth of the two sides differ", err=True)
        return None
    files = common_files(sides[0].masks, sides[1].masks)
    missing = result.images - len(files)
    if missing:
        gone = "none of the masks" if not files else f"the masks of {count(missing, 'image')}"
        where = " and ".join(str(side.path) for side in sides)
        say(f"atrous: errors are not compared for {missing:,} of {count(result.images, 'image')}: {gone} that {where} name "
            f"{'is' if not files else 'are'} {'there' if not files else 'missing'}", err=True)  # fmt: skip
    if not files:
        return None
    (found,) = compare_masks([files], before, sources, resamples=resamples, seed=seed)
    return found


def _page(result: Comparison, found: ErrorComparison | None, sides: list[_Side], top: int, folder: Path) -> str:
    from deeplab_core.analysis.report.comparison import render_comparison

    names = sides[0].path.name, sides[1].path.name
    catalog = sides[0].measured.catalog
    return render_comparison(result, found, names, catalog=catalog, cutouts=max(top, 12), folder=folder)


@dataclass(frozen=True, slots=True)
class _Source:
    """What BEFORE or AFTER names."""

    kind: Literal["report", "masks", "model"]
    path: Path


@dataclass(frozen=True, slots=True)
class _Side:
    """One side: its figures, what the ground truth was, its masks by key, and whether some files failed."""

    path: Path
    measured: ComparedSide
    ground_truth: dict[str, Any]
    masks: dict[str, MaskPair]
    failed: bool = False


def _source(value: str) -> _Source:
    path = Path(value).expanduser()
    if path.is_dir() and model_in_folder(path) is None:
        return _Source("masks", path)
    if path.is_file() and not is_model_file(path):
        return _Source("report", path)
    if path.suffix.lower() == ".json" and not path.exists():
        raise click.UsageError(f"the report {path} does not exist; write it with 'atrous evaluate --json'")
    return _Source("model", resolve_model(value))


def _read(source: _Source) -> _Side:
    from deeplab_core.analysis.compared_side import ComparedSide
    from deeplab_core.analysis.report.reading import read_figures

    measured, data = ComparedSide.of_report(source.path), read_figures(source.path)
    found = data.get("ground_truth")  # missing in reports of older versions, or made in Python
    return _Side(source.path, measured, found if isinstance(found, dict) else {}, masks_of_report(data))


class _Measuring:
    """Evaluates folders and models: with the bands of a report, if the other side is one."""

    def __init__(
        self,
        truth: TruthOptions,
        images: Path | None,
        options: PredictOptions,
        of_model: Mapping[str, Any],
        report: ComparedSide | None,
        band_rule: Literal["edge", "void"] | None,
        stack: ExitStack,
    ) -> None:
        from deeplab_core.analysis.evaluate import DEFAULT_BANDS

        self._truth, self._images, self._options, self._of_model, self._stack = truth, images, options, of_model, stack
        rule: Literal["edge", "void"] = "void" if report is not None and report.band_rule[0] == "void" else "edge"
        self._rule = band_rule or rule
        self._bands = DEFAULT_BANDS if report is None else report.widths
        self._boundary = report is None or report.ratio is not None

    def side(self, source: _Source) -> _Side:
        """Evaluate a folder of masks, or what a model predicts."""
        from deeplab_core.analysis.compared_side import ComparedSide
        from deeplab_core.analysis.evaluate import evaluate_folders
        from deeplab_core.datasets.pairing import pair_masks

        masks, failed = source.path, 0
        if source.kind == "model":
            masks = Path(self._stack.enter_context(TemporaryDirectory(prefix="atrous-compare-")))
            failed = self._predict(source.path, masks)
        ground = masks_truth(self._truth, masks, self._images)
        ground.report()
        pairs = pair_masks(masks, ground.folders, ground.catalog.name).pairs
        with progress(f"evaluate {source.path.name}", len(pairs)) as bar:
            found = evaluate_folders(
                masks, ground.folders, ground.catalog, bands=self._bands, band_rule=self._rule, boundary=self._boundary,
                resamples=0, images_dir=self._images, frame=self._truth.frame,
                progress=lambda _done, _total, name: bar.advance(name),
            )  # fmt: skip
        for error in found.failures:
            say(f"atrous: not compared: {error}", err=True)
        measured = ComparedSide.of_evaluation(found, source.path)
        return _Side(source.path, measured, ground.to_dict(), masks_of_folder(pairs), failed=bool(failed or found.failures))

    def _predict(self, model_path: Path, out: Path) -> int:
        """Write a model's masks of the photographs into a folder; how many images failed."""
        from deeplab_core.inference import Predictor
        from deeplab_core.masks import mark_output
        from deeplab_core.weights import load_model

        if self._images is None:
            raise click.UsageError(f"to compare the model {model_path.name}, name the photographs with --images DIR")
        plan = plan_outputs([self._images], out)
        model, card = load_model(model_path, output_stride=self._options.output_stride, options=self._of_model)
        report_model(card)
        predictor = Predictor(model, card, options=self._options, device=self._options.device)
        mark_output(out, "prediction", output_names(out, plan.tasks), catalog=card.catalog, model=card.id, frame="stored")
        failed = len(plan.refused)
        with progress(f"predict {model_path.name}", len(plan.tasks)) as bar:
            report_refused(plan, bar.note)
            decoded = read_ahead([task.image for task in plan.tasks], fourth=predictor.model.in_channels == 4)
            for task, image in zip(plan.tasks, decoded, strict=True):
                try:
                    with one_image(task.image):
                        data = image.result()
                        pixels = data.pixels(predictor.model.in_channels)
                        prediction = predictor(pixels, uncertainty=False, confidence=False)
                        write_prediction(task, prediction, data, card, "stored")
                except AtrousError as error:
                    failed += 1
                    bar.note(f"failed: {error}")
                bar.advance(task.name)
        return failed


def table(result: Comparison) -> str:
    """One line per score: verdict, before, after, the difference with its interval, p, and the images behind it."""
    head = f"  {'':>20}  before   after   change   95 % interval       p       classes  images"
    lines = [head, *(_line(change) for change in result.overall), "", *(_line(change) for change in result.classes), ""]
    lines += result.notes
    number = len(result.class_set)
    classes = count(number, "class", "classes")
    lines.append(f"Means are over the {classes} of the ground truth; inside a band, over those found there.")
    if result.same_truth:
        lines.append(result.families)
        measured = [str(change.verdict) for change in result.classes if not math.isnan(change.difference)]
        better, worse = measured.count("better"), measured.count("worse")
        unclear = len(measured) - better - worse
        lines.append(f"{count(better, 'class', 'classes')} better, {worse} worse, {unclear} without a clear change")
    return "\n".join(lines)


def _line(change: ScoreChange) -> str:
    count = "" if change.classes is None else str(change.classes)
    if math.isnan(change.difference):
        scores = f"{_score(change.before)}  {_score(change.after)}       -"
        return f"  {change.name:>20}  {scores}  {'not measured':<28}  {count:>7}  {change.images:>6}"
    interval = "" if math.isnan(change.low) else f"[{change.low:+.4f}, {change.high:+.4f}]"
    p = "" if math.isnan(change.p) else f"{change.p:.4f}"
    scores = f"{_score(change.before)}  {_score(change.after)}  {change.difference:+.4f}"
    return f"{SIGNS[change.verdict]} {change.name:>20}  {scores}  {interval:<20}  {p:<6}  {count:>7}  {change.images:>6}"


def _score(value: float) -> str:
    return "     -" if math.isnan(value) else f"{value:.4f}"
