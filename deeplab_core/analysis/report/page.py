"""The report's page: what was compared, the figures and their rules, where the network fails, image by image.

This module chooses figures and words; ``evaluation.html`` is the template, which escapes them, and ``evaluation.css`` its style.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from deeplab_core.analysis.evaluation import Evaluation
from deeplab_core.analysis.pairs import PairLoss
from deeplab_core.analysis.report import plots, tables
from deeplab_core.analysis.report.failures import KindOfFailure, class_failure_table, failure_table
from deeplab_core.analysis.report.pairs import PAIR_RULE, pair_tables
from deeplab_core.analysis.report.reading import OtherCurve
from deeplab_core.analysis.report.slices import SliceCurve
from deeplab_core.analysis.report.tables import Table
from deeplab_core.analysis.report.text import NOT_MEASURED, interval, percent, pixels
from deeplab_core.analysis.report.thumbnails import Photographs, ShownImage, shown_image
from deeplab_core.atomic import atomic_write
from deeplab_core.metrics.pair_reader import PairReader
from deeplab_core.metrics.precision_recall import object_channel
from deeplab_core.metrics.scores import ABSENT_RULE_TEXT, FEW_IMAGES, FEW_OBJECTS, AbsentRule
from deeplab_core.metrics.trimap import BAND_RULE_TEXT, WIDEST
from deeplab_core.wording import count

if TYPE_CHECKING:
    from jinja2 import Template

#: Files named at once in a warning; the others unfold.
_LISTED = 5
#: Classes up to which the confusion matrix is written as a table too.
_TABLED = 60
#: Images that are shown, worst first.
_SHOWN = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportExtras:
    """What a report may show besides the evaluation.

    Attributes:
        photographs: folder of photographs named like the masks, for the pictures of the worst images.
        slices: curves over size, occlusion, ...; curves of one title share a plot.
        failures: kinds of failure of an inspection of the same masks.
        pairs: what pairs of classes cost, of the same inspection.
        others: trimap curves of other models on the same ground truth, drawn with this one's.
    """

    photographs: Path | None = None
    slices: tuple[SliceCurve, ...] = ()
    failures: tuple[KindOfFailure, ...] = ()
    pairs: tuple[PairLoss, ...] = ()
    others: tuple[OtherCurve, ...] = ()


@dataclass(frozen=True, slots=True)
class Tile:
    """A main figure with its interval, and what it is."""

    value: str
    interval: str
    text: str


@dataclass(frozen=True, slots=True)
class Warned:
    """Something that the reader must know: a heading and its list, of which a part is folded; ``code``: they are paths."""

    heading: str
    items: Sequence[str]
    folded: Sequence[str] = ()
    code: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One part of the page.

    Attributes:
        heading, rule: its title, and what its figures mean.
        figure: SVG; the only text that is not escaped.
        caption: below the figure.
        paired: whether figure and tables are side by side.
        text: a sentence in place of tables.
        tables: from top to bottom.
        folded: a table that the reader unfolds.
        pictures: images with their pictures.
        note: a last sentence.
        small: whether the pictures are cut-outs, several in a row.
    """

    heading: str
    rule: str
    figure: str = ""
    caption: str = ""
    paired: bool = False
    text: str = ""
    tables: Sequence[Table] = ()
    folded: Table | None = None
    pictures: Sequence[ShownImage] = ()
    note: str = ""
    small: bool = False


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
    matrix = evaluation.matrix
    page: str = page_template().render(
        title=title,
        style=style_sheet(),
        images=len(evaluation.images),
        labelled_px=matrix.total,
        catalog=evaluation.catalog,
        truth_hash=evaluation.truth_sha256[:16],
        tiles=list(_tiles(evaluation)),
        mean_rule=_mean_rule(evaluation),
        interval_rule=_interval_rule(evaluation),
        warnings=list(_warnings(evaluation)),
        sections=list(_sections(evaluation, extras)),
        about=_about_masks(evaluation),
    )
    return page


@cache
def style_sheet() -> str:
    """The style sheet of the page and its plots. Colours are tokens, declared once for light and once for dark."""
    return _source("evaluation.css")


@cache
def page_template() -> Template:
    """The template of a page, which escapes everything but figures and style."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters["spaced"] = pixels
    return environment.from_string(_source("evaluation.html"))


def _source(name: str) -> str:
    return (resources.files("deeplab_core.analysis.report") / name).read_text("utf-8")


def _sections(evaluation: Evaluation, extras: ReportExtras) -> Iterator[Section]:
    yield _classes(evaluation)
    yield _band(evaluation, extras)
    yield from _boundary(evaluation)
    yield from _confusion(evaluation)
    yield from _calibration(evaluation)
    yield from _precision_recall(evaluation)
    yield from _cityscapes(evaluation)
    yield from _failures(evaluation, extras)
    yield from _pairs(evaluation, extras)
    yield from _slices(extras)
    yield from _worst(evaluation, extras)
    yield _images(evaluation)


def _tiles(evaluation: Evaluation) -> Iterator[Tile]:
    matrix, intervals = evaluation.matrix, evaluation.intervals
    mean, accuracy = matrix.mean_iou("union"), matrix.mean_accuracy()
    yield Tile(percent(mean.value), interval(intervals.mean_iou), f"mIoU over {count(mean.classes, 'class', 'classes')}")
    yield Tile(percent(matrix.pixel_accuracy()), interval(intervals.pixel_accuracy), "pixel accuracy")
    yield Tile(percent(accuracy.value), "", f"mean accuracy over {count(accuracy.classes, 'class', 'classes')}")
    yield Tile(percent(matrix.frequency_weighted_iou()), "", "frequency weighted IoU")
    if evaluation.boundary is not None and evaluation.boundary.mean()[1]:
        value, classes = evaluation.boundary.mean()
        over = f"boundary IoU over {count(classes, 'class', 'classes')}"
        yield Tile(percent(value), interval(intervals.mean_boundary_iou), over)
    if evaluation.calibration is not None:
        yield Tile(percent(evaluation.calibration.bins().ece), "", "expected calibration error")
    if matrix.void_predictions:
        share = matrix.void_predictions / matrix.total
        yield Tile(percent(share), "", "of the labelled pixels have no prediction: misses, and false alarms of no class")


def _mean_rule(evaluation: Evaluation) -> str:
    matrix = evaluation.matrix
    rules = ", ".join(
        f"{percent(matrix.mean_iou(rule).value)} as {text} ({matrix.mean_iou(rule).classes})"
        for rule, text in ABSENT_RULE_TEXT.items()
        if rule != "union"
    )
    rule = f"mIoU: {ABSENT_RULE_TEXT['union']}; {rules}. Void truth is not counted."
    if evaluation.excluded_px:
        rule += f" Neither are {pixels(evaluation.excluded_px)} px that were marked as ambiguous."
    return rule


def _interval_rule(evaluation: Evaluation) -> str:
    intervals = evaluation.intervals
    if not intervals.resamples:
        return "No intervals: they need at least two images and resamples above 0."
    return (
        f"Intervals hold {100 * intervals.level:.0f}\u202f% of {pixels(intervals.resamples)} pools drawn from the images with "
        "replacement. Those of classes in few images are too narrow; the number of images is given with them."
    )


def _warnings(evaluation: Evaluation) -> Iterator[Warned]:
    groups = (
        ("could not be compared", [str(error) for error in evaluation.failures], False),
        ("of the truth without a prediction; the figures are those of the rest", [*map(str, evaluation.missing)], True),
        ("of the predictions without truth", [*map(str, evaluation.extra)], True),
    )
    for what, items, code in groups:
        if items:
            yield Warned(f"{count(len(items), 'file')} {what}", items[:_LISTED], items[_LISTED:], code)
    serious = [note.text for note in evaluation.warnings if note.warning]
    if serious:
        yield Warned("These masks may not be what they are taken for", serious)


def _about_masks(evaluation: Evaluation) -> list[str]:
    """What is worth knowing about the masks, and how some files were read."""
    texts = [note.text for note in evaluation.warnings if not note.warning]
    return texts + evaluation.truth_notes.lines() + evaluation.prediction_notes.lines()


def _classes(evaluation: Evaluation) -> Section:
    rule = "Of all labelled pixels of the folder, pooled. IoU = hits / (truth + prediction - hits). Dashed: mIoU. "
    rule += f"n: images with the class in ground truth or prediction; pale bars rest on fewer than {FEW_IMAGES}."
    return Section(
        heading="Classes",
        rule=rule,
        figure=plots.bars_svg(evaluation.matrix, evaluation.intervals),
        tables=[tables.class_table(evaluation.matrix, evaluation.intervals)],
        note=tables.absent_classes(evaluation.matrix),
    )


def _band(evaluation: Evaluation, extras: ReportExtras) -> Section:
    histogram = evaluation.histogram
    heading = f"Boundary band around the {histogram.around}"
    rule = f"Rule \u2013 {BAND_RULE_TEXT[histogram.rule]}. The two rules are not comparable with each other below about 10 px."
    if not histogram.inside(WIDEST).total:
        return Section(heading=heading, rule=rule, text=f"{NOT_MEASURED}: no pixel is within {WIDEST} px of such a boundary.")
    # Models are compared over one class set, that of the ground truth; the report's own intervals are of the other rule.
    over: AbsentRule = "truth" if extras.others and all(other.over_truth for other in extras.others) else "union"
    figure = plots.curve_svg(
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
    widths = evaluation.widths
    details = [tables.band_table(histogram, widths), tables.band_class_table(histogram, widths)] if widths else []
    return Section(heading=heading, rule=rule, figure=figure, caption=text, tables=details)


def _boundary(evaluation: Evaluation) -> Iterator[Section]:
    boundary, intervals = evaluation.boundary, evaluation.intervals
    if boundary is None:
        return
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
    yield Section(heading="Boundaries", rule=rule, tables=[tables.score_table(rows)])


def _confusion(evaluation: Evaluation) -> Iterator[Section]:
    rule = "Rows are truth, columns are predictions; each row in percent of its truth class. Point at a cell for pixels."
    # A larger table would add megabytes to the page.
    few = np.count_nonzero(evaluation.matrix.counts.any(axis=1)) <= _TABLED
    table = tables.heat_table(evaluation.matrix) if few else None
    yield Section(heading="Confusion", rule=rule, figure=plots.heat_svg(evaluation.matrix), folded=table)
    largest = tables.confusion_list(evaluation.matrix)
    yield Section(
        heading="Largest confusions",
        rule="Between two classes; void is left out.",
        text="" if largest is not None else "No class is called by another's name.",
        tables=[] if largest is None else [largest],
    )


def _calibration(evaluation: Evaluation) -> Iterator[Section]:
    calibration = evaluation.calibration
    if calibration is None:
        return
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
    yield Section(
        heading="Calibration",
        rule=rule,
        figure=plots.reliability_svg(calibration),
        paired=True,
        tables=[tables.score_table(rows)],
    )


def _precision_recall(evaluation: Evaluation) -> Iterator[Section]:
    found = evaluation.precision_recall
    if found is None or not found.measured:
        return
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
        f"The object is '{name}'. Each threshold selects the pixels with a probability above it; probabilities are those of the "
        "confidence maps, in 255 levels. Large dots: the masks as they are, and the threshold of the largest IoU."
    )
    figure = plots.precision_recall_svg(found, point)
    yield Section(heading="Precision and recall", rule=rule, figure=figure, paired=True, tables=[tables.score_table(rows)])


def _cityscapes(evaluation: Evaluation) -> Iterator[Section]:
    if evaluation.cityscapes is None:
        return
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
        rule += f" The figures above run over {evaluation.catalog.name}, with the classes that the benchmark ignores."
    missing = "" if found.instance_iou else "No iIoU: it needs *_instanceIds.png beside every truth file."
    yield Section(heading="Cityscapes", rule=rule, tables=[tables.score_table(rows)], note=missing)


def _failures(evaluation: Evaluation, extras: ReportExtras) -> Iterator[Section]:
    if not extras.failures:
        return
    rule = (
        "Gained: what fixing every pixel of a kind would add, in points of mIoU or of the IoU of one class. Boundary, extent and "
        "segment part the wrong pixels of each class; over all classes they add up to more, because a pixel is a miss of one and "
        "a false alarm of another. The other kinds overlap."
    )
    tables = [build(extras.failures, evaluation.catalog) for build in (failure_table, class_failure_table)]
    yield Section(heading="Kinds of failure", rule=rule, tables=tables)


def _pairs(evaluation: Evaluation, extras: ReportExtras) -> Iterator[Section]:
    found = pair_tables(extras.pairs, evaluation.catalog)
    if found:
        yield Section(heading="Confused classes", rule=PAIR_RULE, tables=found)


def _slices(extras: ReportExtras) -> Iterator[Section]:
    titles = {curve.title: place for place, curve in reversed(list(enumerate(extras.slices)))}
    ordered = sorted(extras.slices, key=lambda curve: titles[curve.title])
    for title, group in groupby(ordered, key=lambda curve: curve.title):
        curves = list(group)
        sure = any(not math.isnan(point.low) for curve in curves for point in curve.points)
        rule = "Point at a mark for its figures." + (" Upright bars are intervals." if sure else "")
        if any(point.count for curve in curves for point in curve.points):
            rule += f" n counts objects, or images for slices of pixels; pale marks rest on fewer than {FEW_OBJECTS} objects or "
            rule += f"{FEW_IMAGES} images."
        yield Section(heading=title, rule=rule, figure=plots.slices_svg(curves))


def _worst(evaluation: Evaluation, extras: ReportExtras) -> Iterator[Section]:
    photographs = Photographs.below(extras.photographs)
    reader = evaluation.reader or PairReader(evaluation.catalog)
    shown = [shown_image(image, reader, photographs) for image in evaluation.worst_first[:_SHOWN] if image.labelled_px]
    if shown:
        rule = "The images with the lowest mIoU. Errors are red, void is grey."
        yield Section(heading="Worst images", rule=rule, pictures=shown)


def _images(evaluation: Evaluation) -> Section:
    rule = f"Worst first. mIoU of one image: {ABSENT_RULE_TEXT['truth']}; the last columns are mIoU inside the band."
    return Section(heading="Images", rule=rule, tables=[tables.image_table(evaluation)])
