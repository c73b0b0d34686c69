"""The report's page: what was compared, the figures and their rules, where the network fails, image by image."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from itertools import groupby
from pathlib import Path

import numpy as np

from deeplab_core.analysis.evaluation import Evaluation
from deeplab_core.analysis.report import plots, tables
from deeplab_core.analysis.report.failures import KindOfFailure, failure_table
from deeplab_core.analysis.report.plots import curve_svg
from deeplab_core.analysis.report.reading import OtherCurve
from deeplab_core.analysis.report.slices import SliceCurve
from deeplab_core.analysis.report.style import STYLE
from deeplab_core.analysis.report.text import NOT_MEASURED, interval, percent, pixels
from deeplab_core.analysis.report.thumbnails import Photographs, thumbnails
from deeplab_core.atomic import atomic_write
from deeplab_core.errors import AtrousError
from deeplab_core.metrics.pair_reader import PairReader
from deeplab_core.metrics.precision_recall import object_channel
from deeplab_core.metrics.scores import ABSENT_RULE_TEXT, FEW_IMAGES, FEW_OBJECTS, AbsentRule
from deeplab_core.metrics.trimap import BAND_RULE_TEXT, WIDEST
from deeplab_core.wording import count

#: Files named at once in a warning; the others unfold.
_LISTED = 5


#: Classes up to which the confusion matrix is written as a table too.
_TABLED = 60
#: Images that are shown, worst first.
_SHOWN = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportExtras:
    """What a report may show beside the evaluation.

    Attributes:
        photographs: folder of photographs named like the masks, for the pictures of the worst cases.
        slices: curves over size, occlusion, ...; curves of one title share a plot.
        failures: kinds of mistake of an inspection of the same masks.
        others: trimap curves of other models on the same truth, drawn beside this one's.
    """

    photographs: Path | None = None
    slices: tuple[SliceCurve, ...] = ()
    failures: tuple[KindOfFailure, ...] = ()
    others: tuple[OtherCurve, ...] = ()


def write_report(evaluation: Evaluation, path: Path | str, title: str = "Evaluation", extras: ReportExtras | None = None) -> None:
    """Write :func:`render_report` to a file, atomically. Raises StorageError where it cannot be written."""
    atomic_write(path, render_report(evaluation, title, extras).encode("utf-8", "replace"))


def render_report(evaluation: Evaluation, title: str = "Evaluation", extras: ReportExtras | None = None) -> str:
    """The page as HTML text. Mask files of the worst images are read again for their pictures.

    Raises:
        MaskFormatError: another model's trimap curve is of another band.
        CatalogError: it is of other classes.
    """
    extras = extras or ReportExtras()
    for other in extras.others:
        other.check(evaluation.catalog, evaluation.histogram.rule, evaluation.histogram.around)
    sections = [
        *_warnings(evaluation), _classes(evaluation), _band(evaluation, extras), _boundary(evaluation), _confusion(evaluation),
        _calibration(evaluation), _precision_recall(evaluation), _cityscapes(evaluation),
        _failures(evaluation, extras), *_slices(extras),
        _cases(evaluation, extras), _images(evaluation), _about_masks(evaluation),
    ]  # fmt: skip
    body = f"<h1>{escape(title)}</h1>{_subtitle(evaluation)}{_tiles(evaluation)}{''.join(sections)}"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body><main>{body}</main></body></html>\n"
    )


def _subtitle(evaluation: Evaluation) -> str:
    number = len(evaluation.images)
    catalog = evaluation.catalog
    return (
        f'<p class="quiet">{pixels(number)} {"image" if number == 1 else "images"} · '
        f"{pixels(evaluation.matrix.total)} labelled px · {escape(catalog.title)} · "
        f'<span title="SHA-256 over the label maps of the ground truth as they were scored">ground truth '
        f"<code>{evaluation.truth_sha256[:16]}</code></span></p>"
    )


def _tiles(evaluation: Evaluation) -> str:
    matrix, intervals = evaluation.matrix, evaluation.intervals
    mean, accuracy = matrix.mean_iou("union"), matrix.mean_accuracy()
    tiles = [
        (percent(mean.value), interval(intervals.mean_iou), f"mIoU over {count(mean.classes, 'class', 'classes')}"),
        (percent(matrix.pixel_accuracy()), interval(intervals.pixel_accuracy), "pixel accuracy"),
        (percent(accuracy.value), "", f"mean accuracy over {count(accuracy.classes, 'class', 'classes')}"),
        (percent(matrix.frequency_weighted_iou()), "", "frequency weighted IoU"),
    ]
    if evaluation.boundary is not None and evaluation.boundary.mean()[1]:
        value, classes = evaluation.boundary.mean()
        over = f"boundary IoU over {count(classes, 'class', 'classes')}"
        tiles.append((percent(value), interval(intervals.mean_boundary_iou), over))
    if evaluation.calibration is not None:
        tiles.append((percent(evaluation.calibration.bins().ece), "", "expected calibration error"))
    if matrix.void_predictions:
        share = matrix.void_predictions / matrix.total
        tiles.append((percent(share), "", "of the labelled pixels have no prediction: misses, and false alarms of no class"))
    cards = "".join(
        f'<div class="tile"><b>{value}</b><small>{bounds}</small><span class="quiet">{escape(text)}</span></div>'
        for value, bounds, text in tiles
    )
    rules = ", ".join(
        f"{percent(matrix.mean_iou(rule).value)} as {text} ({matrix.mean_iou(rule).classes})"
        for rule, text in ABSENT_RULE_TEXT.items()
        if rule != "union"
    )
    rule = f"mIoU: {ABSENT_RULE_TEXT['union']}; {rules}. Void truth is not counted."
    if evaluation.excluded_px:
        rule += f" Neither are {pixels(evaluation.excluded_px)} px that were marked as ambiguous."
    return f'<div class="tiles">{cards}</div><p class="rule" style="margin-top:8px">{escape(rule)}</p>{_sureness(evaluation)}'


def _sureness(evaluation: Evaluation) -> str:
    intervals = evaluation.intervals
    if not intervals.resamples:
        text = "No intervals: they need at least two images and resamples above 0."
    else:
        text = (
            f"Intervals hold {100 * intervals.level:.0f}\u202f% of {pixels(intervals.resamples)} pools drawn from the images "
            "with replacement. Those of classes in few images are too narrow; the number of images stands beside them."
        )
    return f'<p class="rule">{escape(text)}</p>'


def _warnings(evaluation: Evaluation) -> Iterable[str]:
    groups = (
        ("could not be compared", [_failure(error) for error in evaluation.failures]),
        ("of the truth without a prediction; the figures are those of the rest", _paths(evaluation.missing)),
        ("of the predictions without truth", _paths(evaluation.extra)),
    )
    for what, items in groups:
        if items:
            heading = f"{len(items)} {'file' if len(items) == 1 else 'files'} {what}"
            listed = _list(items[:_LISTED]) + _folded(items[_LISTED:])
            yield f'<section class="warning"><h2>{escape(heading)}</h2>{listed}</section>'

    serious = [escape(note.text) for note in evaluation.warnings if note.warning]
    if serious:
        yield f'<section class="warning"><h2>These masks may not be what they are taken for</h2>{_list(serious)}</section>'


def _about_masks(evaluation: Evaluation) -> str:
    """What is worth knowing about the masks, and how some files were read."""
    texts = [note.text for note in evaluation.warnings if not note.warning]
    texts += evaluation.truth_notes.lines() + evaluation.prediction_notes.lines()
    return f"<section><h2>About these masks</h2>{_list([escape(text) for text in texts])}</section>" if texts else ""


def _folded(items: list[str]) -> str:
    return f"<details><summary>and {len(items)} more</summary>{_list(items)}</details>" if items else ""


def _list(items: list[str]) -> str:
    return f"<ul>{''.join(f'<li>{item}</li>' for item in items)}</ul>"


def _failure(error: AtrousError) -> str:
    return escape(str(error))


def _paths(paths: Iterable[Path]) -> list[str]:
    return [f"<code>{escape(str(path))}</code>" for path in paths]


def _classes(evaluation: Evaluation) -> str:
    rule = "Of all labelled pixels of the folder, pooled. IoU = hits / (truth + prediction - hits). Dashed: mIoU. "
    rule += f"n: images with the class in ground truth or prediction; pale bars rest on fewer than {FEW_IMAGES}."
    figure = f"<figure>{plots.bars_svg(evaluation.matrix, evaluation.intervals)}</figure>"
    table = _scroll(tables.class_table(evaluation.matrix, evaluation.intervals))
    return _section("Classes", rule, figure + table + tables.absent_classes(evaluation.matrix))


def _band(evaluation: Evaluation, extras: ReportExtras) -> str:
    histogram = evaluation.histogram
    heading = f"Boundary band around the {histogram.around}"
    rule = f"Rule \u2013 {BAND_RULE_TEXT[histogram.rule]}. The two rules are not comparable with each other below about 10 px."
    if not histogram.inside(WIDEST).total:
        return _section(heading, rule, f"<p>{NOT_MEASURED}: no pixel lies within {WIDEST} px of such a boundary.</p>")
    # Models are compared over one class set, that of the ground truth; the report's own intervals are of the other rule.
    over: AbsentRule = "truth" if extras.others and all(other.over_truth for other in extras.others) else "union"
    figure = curve_svg(
        histogram.curve(over),
        whole_iou=evaluation.matrix.mean_iou(over).value,
        whole_accuracy=evaluation.matrix.pixel_accuracy(),
        widths=evaluation.widths,
        intervals=evaluation.intervals.band_mean_iou if over == "union" else None,
        others=extras.others,
    )
    banded = sum(image.band_px > 0 for image in evaluation.images)
    text = f"Inside the band, pooled; dashed: all labelled pixels. {pixels(banded)} of {count(len(evaluation.images), 'image')} "
    text += f"have such a boundary. mIoU: {ABSENT_RULE_TEXT[over]}."
    older = [other.name for other in extras.others if not other.over_truth]
    if older:
        text += (
            f" {', '.join(older)}: from an older version, which does not know the mean over the ground truth's classes; evaluate "
        )
        text += "again to compare over one class set."
    caption = f"<figcaption>{escape(text)}</figcaption>"
    details = ""
    if evaluation.widths:
        details = _scroll(tables.band_table(histogram, evaluation.widths)) + _scroll(
            tables.band_class_table(histogram, evaluation.widths)
        )
    return _section(heading, rule, f"<figure>{figure}{caption}</figure>{details}")


def _boundary(evaluation: Evaluation) -> str:
    boundary, intervals = evaluation.boundary, evaluation.intervals
    if boundary is None:
        return ""
    value, classes = boundary.mean()
    davis, csurka = evaluation.image_mean("davis_f"), evaluation.image_mean("csurka_f")
    rows = [
        ("boundary IoU", value, interval(intervals.mean_boundary_iou),
         f"mean over {classes} classes, pooled; within {100 * boundary.ratio:g}\u202f% of the diagonal (Cheng et al. 2021)"),
        ("boundary F, DAVIS", davis.value, interval(intervals.image_means[0]),
         f"mean over {davis.classes} images; contours within 0.8\u202f% of the diagonal (Perazzi et al. 2016)"),
        ("boundary F, Csurka", csurka.value, interval(intervals.image_means[1]),
         f"mean over {csurka.classes} images; contours nearer than 0.75\u202f% of the diagonal (Csurka et al. 2013)"),
    ]  # fmt: skip
    rule = "Of contours. Void is taken out of both masks, so where truth outlines objects in void, trust the band above instead."
    return _section("Boundaries", rule, _scroll(tables.score_table(rows)))


def _confusion(evaluation: Evaluation) -> str:
    rule = "Rows are truth, columns are predictions; each row in percent of its truth class. Point at a cell for pixels."
    figure = f"<figure>{plots.heat_svg(evaluation.matrix)}</figure>"
    table = ""
    if np.count_nonzero(evaluation.matrix.counts.any(axis=1)) <= _TABLED:  # else megabytes that nobody reads
        table = f"<details><summary>As a table</summary>{_scroll(tables.heat_table(evaluation.matrix))}</details>"
    return _section("Confusion", rule, figure + table) + _section(
        "Largest confusions", "Between two classes; void is left out.", _scroll(tables.confusion_list(evaluation.matrix))
    )


def _calibration(evaluation: Evaluation) -> str:
    calibration = evaluation.calibration
    if calibration is None:
        return ""
    bins = calibration.bins()
    over = calibration.mean_confidence - calibration.accuracy
    rows = [
        ("ECE", bins.ece, "", f"expected calibration error, {bins.pixels.size} bins (Guo et al. 2017)"),
        ("MCE", bins.mce, "", "largest gap of a bin"),
        ("mean confidence", calibration.mean_confidence, "", "over-confident" if over > 0 else "under-confident"),
        ("accuracy", calibration.accuracy, "", "of the pixels with a prediction"),
    ]
    rule = (
        f"Of the pixels called with some confidence, how many are right? {pixels(evaluation.calibrated_images)} of "
        f"{pixels(len(evaluation.images))} images have a confidence map. Dashed: a calibrated model; foot: share of the pixels."
    )
    figure = f'<figure class="half">{plots.reliability_svg(calibration)}</figure>'
    return _section("Calibration", rule, f'<div class="beside">{figure}{_scroll(tables.score_table(rows))}</div>')


def _precision_recall(evaluation: Evaluation) -> str:
    found = evaluation.precision_recall
    if found is None or not found.measured:
        return ""
    point, best = evaluation.predicted_point, found.best
    name = evaluation.catalog.classes[object_channel(evaluation.catalog)].name
    made = "as predicted" if evaluation.threshold is None else f"as predicted, threshold {evaluation.threshold:g}"
    rows = [
        ("AP", found.average_precision, "", "average precision: sum of (R_n - R_n-1) P_n, not interpolated"),
        ("precision", point.precision, "", made),
        ("recall", point.recall, "", made),
        ("IoU", point.iou, "", made),
    ]
    if best is not None:
        text = f"at the threshold {best.threshold:g}: precision {percent(best.precision)}, recall {percent(best.recall)}"
        rows.append(("largest IoU", best.iou, "", text))
    rule = (
        f"The object is '{name}'. Each threshold calls the pixels whose probability is above it; probabilities are those of the "
        "confidence maps, in 255 levels. Large dots: the masks as they are, and the threshold of the largest IoU."
    )
    figure = f'<figure class="half">{plots.precision_recall_svg(found, point)}</figure>'
    return _section("Precision and recall", rule, f'<div class="beside">{figure}{_scroll(tables.score_table(rows))}</div>')


def _cityscapes(evaluation: Evaluation) -> str:
    if evaluation.cityscapes is None:
        return ""
    found = evaluation.cityscapes
    rows = []
    if evaluation.catalog.name != "cityscapes19":  # else the table of classes above has them
        rows = [(name, score, "", "class of the benchmark") for name, score in found.class_iou.items() if not math.isnan(score)]
    rows += [(name, score, "", "category") for name, score in found.category_iou.items()]
    rows += [(name, score, "", "iIoU, weighted by instance size") for name, score in found.instance_iou.items()]
    rows += [(name, score, "", "category iIoU") for name, score in found.category_instance_iou.items()]
    means = found.to_dict()
    shown = [("mIoU", "class_iou"), ("category IoU", "category_iou"), ("iIoU", "instance_iou")]
    shown.append(("category iIoU", "category_instance_iou"))
    summary = ", ".join(f"{title} {percent(means[f'mean_{key}'])}" for title, key in shown if means[f"mean_{key}"] is not None)
    rule = f"As the benchmark's own evaluation counts (Cordts et al. 2016), over {means['classes']} of its 19 classes: {summary}."
    if evaluation.catalog.name != "cityscapes19":
        rule += f" The figures above run over {escape(evaluation.catalog.name)}, with the classes that the benchmark ignores."
    missing = "" if found.instance_iou else '<p class="rule">No iIoU: it needs *_instanceIds.png beside every truth file.</p>'
    return _section("Cityscapes", rule, _scroll(tables.score_table(rows)) + missing)


def _failures(evaluation: Evaluation, extras: ReportExtras) -> str:
    if not extras.failures:
        return ""
    rule = (
        "Won is what fixing every pixel of a kind would add, in points of mIoU or of the IoU of one class. Boundary, extent and "
        "segment part the wrong pixels of each class; over all classes they add up to more, because a pixel is a miss of one and "
        "a false alarm of another. The other kinds overlap."
    )
    return _section("Kinds of failure", rule, _scroll(failure_table(extras.failures, evaluation.catalog)))


def _slices(extras: ReportExtras) -> Iterable[str]:
    titles = {curve.title: place for place, curve in reversed(list(enumerate(extras.slices)))}
    ordered = sorted(extras.slices, key=lambda curve: titles[curve.title])
    for title, group in groupby(ordered, key=lambda curve: curve.title):
        curves = list(group)
        sure = any(not math.isnan(point.low) for curve in curves for point in curve.points)
        rule = "Point at a mark for its figures." + (" Upright bars are intervals." if sure else "")
        if any(point.count for curve in curves for point in curve.points):
            rule += f" n counts objects, or images for slices of pixels; pale marks rest on fewer than {FEW_OBJECTS} objects or "
            rule += f"{FEW_IMAGES} images."
        yield _section(title, rule, f"<figure>{plots.slices_svg(curves)}</figure>")


def _cases(evaluation: Evaluation, extras: ReportExtras) -> str:
    photographs = Photographs.below(extras.photographs)
    reader = evaluation.reader or PairReader(evaluation.catalog)
    cases = []
    for image in evaluation.worst_first[:_SHOWN]:
        if not image.labelled_px:
            continue
        head = f"{escape(image.name)} <b>{percent(image.mean_iou.value)}</b>"
        cases.append(f'<div class="card"><h3>{head}</h3>{thumbnails(image, reader, photographs)}</div>')
    if not cases:
        return ""
    rule = "The images with the lowest mIoU. Errors are red, void is grey."
    return _section("Worst cases", rule, f'<div class="cases">{"".join(cases)}</div>')


def _images(evaluation: Evaluation) -> str:
    rule = f"Worst first. mIoU of one image: {ABSENT_RULE_TEXT['truth']}; the last columns are mIoU inside the band."
    return _section("Images", rule, _scroll(tables.image_table(evaluation)))


def _section(heading: str, rule: str, content: str) -> str:
    return f'<section><h2>{escape(heading)}</h2><p class="rule">{escape(rule)}</p>{content}</section>'


def _scroll(table: str) -> str:
    return f'<div class="scroll">{table}</div>'
