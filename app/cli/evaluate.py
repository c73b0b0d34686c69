"""``atrous evaluate``: how good a folder of masks is."""

from __future__ import annotations

import math
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from app.cli.console import RenamedOption, ReportingCommand, overwrite_option, progress, write_json
from app.cli.ground_truth import masks_truth
from app.cli.model_choice import parse_threshold
from app.cli.options import Decimal, TruthOptions, draws_options, html_option, json_option, truth_options
from app.cli.run_record import read_run_record, recorded_threshold
from app.cli.shard_evaluate import refuse_folders
from app.cli.shares import OutputPlace, ShardOptions, shard_options
from app.cli.terminal import say
from deeplab_core.printable import one_line
from deeplab_core.wording import count

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from deeplab_core.analysis.evaluate import Evaluation
    from deeplab_core.analysis.report import ReportExtras
    from deeplab_core.catalogs.catalog import ClassCatalog


def parse_bands(_context: click.Context, _parameter: click.Parameter, value: str) -> tuple[int, ...]:
    """``"1,2,4"`` as widths in px; BadParameter where one is not a whole number from 1 to 40."""
    try:
        widths = tuple(int(part) for part in value.split(","))
    except ValueError:
        raise click.BadParameter(f"'{value}' is not a list of widths such as 1,2,4") from None
    if not all(1 <= width <= 40 for width in widths):
        raise click.BadParameter("a band is 1 to 40 px wide")
    return widths


@click.command(cls=ReportingCommand)
@click.option(
    "--prediction",
    metavar="DIR",
    type=OutputPlace(exists=True),
    help="Masks to evaluate; with --shards what 'predict --shards' wrote [default there: in the shards themselves].",
)
@truth_options(
    "Ground truth: masks of the same names [default: found beside --images]",
    catalog_help="Classes of the ids: voc21, ... or a file [default: recognised from the ground truth]",
)
@click.option(
    "--bands", callback=parse_bands, default="1,2,4,8,16,40", show_default=True, help="Widths of the boundary band, px."
)
@click.option(
    "--band-rule",
    type=click.Choice(["edge", "void"]),
    default="edge",
    show_default=True,
    help="Distance to a class edge, or to the void ring of the ground truth.",
)
@click.option(
    "--threshold",
    type=Decimal(),
    callback=parse_threshold,
    help="For two classes: evaluate the masks at this threshold; needs NAME.confidence.png next to every "
    "mask [default: the masks as they are].",
)
@click.option("--boundary/--no-boundary", default=True, show_default=True, help="Also measure boundary IoU and boundary F.")
@draws_options(default=2000, least=0, most=100_000, text="Random draws of images for the intervals; 0 for none.")
@click.option(
    "--images",
    "photographs",
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Photographs with the same names: to find the ground truth, and to show the worst images.",
)
@click.option(
    "--ambiguous",
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of NAME.ambiguous.json: regions that are not scored.",
)
@click.option(
    "--slices",
    "slice_files",
    metavar="FILE",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="JSON of 'atrous inspect': adds kinds of failure, confused classes and curves over size, occlusion, ... to the report; "
    "or curves of your own. May be repeated.",
)
@click.option(
    "--compare-with",
    "others",
    cls=RenamedOption,
    old="--beside",
    metavar="FILE",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="JSON of 'atrous evaluate' for another model on the same ground truth: adds its trimap curve to the report, "
    "named after the file. May be repeated.",
)
@click.option(
    "--cache",
    "cache_file",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Keep the figures of each pair in this file. The next time only files are read that changed since (path, size, time of "
    "change).",
)
@shard_options("truth", "prediction", "confidence", "ambiguous", "id")
@click.option(
    "--partials",
    metavar="DIR",
    type=OutputPlace(),
    help="With --shards: folder of the counts of each shard. What was counted with the same options is kept.",
)
@click.option(
    "--merge",
    metavar="DIR",
    type=OutputPlace(exists=True),
    help="The figures of all shards that 'evaluate --shards' has counted into this folder.",
)
@json_option()
@html_option("Write an HTML report.")
@overwrite_option
def evaluate(
    prediction: Path | str | None,
    *,
    truth: TruthOptions,
    bands: tuple[int, ...],
    band_rule: Literal["edge", "void"],
    threshold: float | None,
    boundary: bool,
    resamples: int,
    seed: int,
    photographs: Path | None,
    ambiguous: Path | None,
    slice_files: tuple[Path, ...],
    others: tuple[Path, ...],
    cache_file: Path | None,
    shards: ShardOptions,
    partials: Path | str | None,
    merge: Path | str | None,
    json_file: Path | None,
    html_file: Path | None,
) -> int:
    """Compare masks with their ground truth: IoU per class, pooled and per image, and near the boundaries.

    Ground truth that is found but not certain is never used: name it with --truth. What was found, and which classes were
    recognised, is printed and recorded in the JSON.

    NAME.confidence.png beside the masks gives the calibration, and, with two classes, precision and recall over the
    threshold, average precision and the threshold of the largest IoU. *_instanceIds.png beside Cityscapes' truth gives the
    weighted IoU.
    Exit status 1 means that some files could not be compared; the figures are those of the rest.

    --shards counts tar or Parquet files or manifests into --partials, one part for each, and gives the figures of all parts.
    Array jobs count with --share, and --merge gives the figures afterwards.
    """
    from deeplab_core.analysis.evaluate import evaluate_folders
    from deeplab_core.analysis.pair_cache import PairCache
    from deeplab_core.analysis.report import ReportExtras, read_failures, read_other_curve, read_pairs, read_slices
    from deeplab_core.datasets.pairing import pair_masks

    slices = tuple(curve for file in slice_files for curve in read_slices(file))
    failures = tuple(kind for file in slice_files for kind in read_failures(file))
    pairs = tuple(loss for file in slice_files for loss in read_pairs(file))
    curves = tuple(read_other_curve(file) for file in others)
    extras = ReportExtras(photographs=photographs, slices=slices, failures=failures, pairs=pairs, others=curves)
    files = json_file, html_file
    if shards or partials is not None or merge is not None:
        refuse_folders(truth, photographs, ambiguous, cache_file)
        rules = bands, band_rule, boundary, threshold
        return _over_shards(shards, prediction, partials, merge, truth.catalog(), rules, (resamples, seed), extras, files)
    if not isinstance(prediction, Path):
        raise click.UsageError("name the masks with --prediction DIR; a store goes with --shards")
    ground = masks_truth(truth, prediction, photographs)
    ground.report()
    truths, catalog = ground.folders, ground.catalog
    for curve in curves:
        curve.check(catalog, band_rule)
    total = len(pair_masks(prediction, truths, catalog.name).pairs)
    with progress("evaluate", total) as bar, nullcontext() if cache_file is None else PairCache(cache_file) as cache:
        result = evaluate_folders(
            prediction,
            truths,
            catalog,
            bands=bands,
            band_rule=band_rule,
            boundary=boundary,
            resamples=resamples,
            seed=seed,
            ambiguous_dir=ambiguous,
            images_dir=photographs,
            frame=truth.frame,
            threshold=threshold,
            cache=cache,
            progress=lambda _done, _total, name: bar.advance(name),
        )
    if threshold is None:
        result = replace(result, threshold=recorded_threshold(read_run_record(prediction)))
    if result.reused:
        say(
            f"atrous: {result.reused:,} of {count(total, 'pair')} taken from {cache_file}: their files have not changed", err=True
        )
    if cache is not None and cache.problem is not None:
        say(f"atrous: {cache.problem} All pairs were compared; their figures are not kept.", err=True)
    title = f"{prediction} against {', '.join(map(str, truths))}"
    return _report(result, files, title, extras, ground.to_dict())


def _over_shards(
    shards: ShardOptions,
    prediction: Path | str | None,
    partials: Path | str | None,
    merge: Path | str | None,
    catalog: ClassCatalog | None,
    rules: tuple[tuple[int, ...], Literal["edge", "void"], bool, float | None],
    draws: tuple[int, int],
    extras: ReportExtras,
    files: tuple[Path | None, Path | None],
) -> int:
    from app.cli.shard_evaluate import evaluate_shards, merged
    from deeplab_core.analysis.partial import EvaluationSettings
    from deeplab_core.records import TrimapBand

    def finish(place: Path | str) -> int:
        result = merged(place, *draws)
        for curve in extras.others:
            curve.check(result.catalog, result.band.rule)
        return _report(result, files, str(place), extras, {"parts": str(place), "catalog": result.catalog.name})

    if merge is not None and not (shards or partials or prediction):
        return finish(merge)
    if merge is not None or not shards or partials is None:
        raise click.UsageError("--shards goes with --partials DIR, for the counts of each shard; --merge DIR stands alone")
    if catalog is None:
        raise click.UsageError("classes are not recognised from shards: name them with --catalog")
    bands, rule, boundary, threshold = rules
    settings = EvaluationSettings(
        catalog=catalog, widths=tuple(sorted(set(bands))), band=TrimapBand(rule=rule), boundary=boundary, threshold=threshold,
        names=shards.fields(),
    )  # fmt: skip
    return evaluate_shards(shards, prediction, partials, settings, lambda: finish(partials))


def _report(
    result: Evaluation,
    files: tuple[Path | None, Path | None],
    title: str,
    extras: ReportExtras,
    ground_truth: dict[str, Any],
) -> int:
    from deeplab_core.analysis.evaluation import evaluation_figures
    from deeplab_core.analysis.report import write_report

    json_file, html_file = files
    for path in files:
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
    if json_file is not None:
        write_json(json_file, {**evaluation_figures(result), "ground_truth": ground_truth})
    if html_file is not None:
        write_report(result, html_file, title, extras)
    say(figures(result))
    for text in mask_lines(result):
        say(f"atrous: {text}", err=True)
    for error in result.failures:
        say(f"atrous: not compared: {error}", err=True)
    if result.missing:
        say(f"atrous: {len(result.missing)} ground truth files have no prediction, e.g. {one_line(result.missing[0])}", err=True)
    return 1 if result.failures else 0


def mask_lines(result: Evaluation) -> list[str]:
    """What the masks themselves look wrong in, and how some were read."""
    return [note.spoken() for note in result.warnings] + result.truth_notes.spoken() + result.prediction_notes.spoken()


def figures(result: Evaluation) -> str:
    """The main figures as text: one line per class that occurs, then the means and the bands."""
    intervals, lines = result.intervals, []
    for channel, (info, iou) in enumerate(zip(result.catalog.classes, result.matrix.iou(), strict=True)):
        if not math.isnan(iou):
            number = int(intervals.images_with[channel])
            lines.append(_line(info.name, iou, intervals.iou[channel], f"in {count(number, 'image')}"))
    mean = result.matrix.mean_iou("union")
    over = f"over {count(mean.classes, 'class', 'classes')}, pooled over {count(len(result.images), 'image')}"
    lines.append(_line("mIoU", mean.value, intervals.mean_iou, over))
    compared = result.matrix.mean_iou("truth")
    if compared.classes != mean.classes:
        lines.append(
            f"{'':>16}  {compared.value:.4f}   {'':<18}over the {compared.classes} in the ground truth, as 'compare' counts; "
            f"{mean.classes - compared.classes} more only in the masks"
        )
    lines.append(_line("pixel accuracy", result.matrix.pixel_accuracy(), intervals.pixel_accuracy, ""))
    for place, width in enumerate(result.widths):
        inside = result.histogram.inside(width).mean_iou("union")
        name, rule = f"band {width} px", f"rule '{result.histogram.rule}'"
        if inside.classes:
            over = f"mIoU over {count(inside.classes, 'class', 'classes')}, {rule}"
            lines.append(_line(name, inside.value, intervals.band_mean_iou[place], over))
        else:
            lines.append(f"{name:>16}  not measured: no labelled pixel there, {rule}")
    if result.boundary is not None and result.boundary.mean()[1]:
        value, classes = result.boundary.mean()
        lines.append(_line("boundary IoU", value, intervals.mean_boundary_iou, f"over {count(classes, 'class', 'classes')}"))
    if result.calibration is not None:
        ece = result.calibration.bins().ece
        images = count(result.calibrated_images, "image")
        lines.append(f"{'ECE':>16}  {ece:.4f}   calibration error, {images} with a confidence map")
    found = result.precision_recall
    if found is not None and found.measured:
        point, best = result.predicted_point, found.best
        made = "" if result.threshold is None else f" at the threshold {result.threshold:g}"
        lines.append(f"{'AP':>16}  {found.average_precision:.4f}   average precision of the object over all thresholds")
        lines.append(f"{'precision':>16}  {point.precision:.4f}   recall {point.recall:.4f}, of the object{made}")
        if best is not None:
            lines.append(f"{'largest IoU':>16}  {best.iou:.4f}   of the object, at the threshold {best.threshold:g}")
    if result.excluded_px:
        lines.append(f"{'ambiguous':>16}  {result.excluded_px:,} px are in no figure")
    if result.cityscapes is not None:
        lines += _benchmark(result.cityscapes.to_dict(), result.catalog.name)
    return "\n".join(lines)


def _benchmark(means: dict[str, Any], catalog: str) -> list[str]:
    """The means that the Cityscapes benchmark gives; its mIoU only where the one above runs over other classes."""
    rows = [("category IoU", "mean_category_iou"), ("iIoU", "mean_instance_iou"), ("category iIoU", "mean_category_instance_iou")]
    if catalog != "cityscapes19":
        rows.insert(0, ("benchmark mIoU", "mean_class_iou"))
    lines = [
        f"{title:>16}  {means[key]:.4f}   mean, as the Cityscapes benchmark counts"
        for title, key in rows
        if means[key] is not None
    ]
    if lines and catalog != "cityscapes19":
        lines[0] += f": {means['classes']} of its 19 classes; the mIoU above is over all of {catalog}"
    if means["mean_instance_iou"] is None:
        lines.append(f"{'iIoU':>16}  not measured: it needs *_instanceIds.png beside every truth file")
    return lines


def _line(name: str, value: float, bounds: NDArray[np.float64], rest: str) -> str:
    if math.isnan(value):
        return f"{name:>16}  not measured: no labelled pixel was compared"
    interval = "" if math.isnan(bounds[0]) else f"[{bounds[0]:.4f}, {bounds[1]:.4f}]"
    return f"{name:>16}  {value:.4f}   {interval:<18}{rest}".rstrip()
