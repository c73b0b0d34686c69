"""The tables of the report as rows of cells; the template writes and escapes them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from deeplab_core.analysis.evaluation import Evaluation
from deeplab_core.analysis.report.text import interval, percent, pixels
from deeplab_core.catalogs.catalog import ClassInfo
from deeplab_core.metrics.bootstrap import Intervals
from deeplab_core.metrics.confusion import ConfusionMatrix
from deeplab_core.metrics.trimap_histogram import BandHistogram

#: Confusions listed, and images listed: a page that still opens at once for 100,000 images.
_CONFUSIONS = 15
_IMAGES = 500


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell.

    Attributes:
        text: as shown.
        kind: class of the style sheet: ``"name"`` for words, ``"quiet"``, ``"hit"``, ``"miss"``, ``"zero"``.
        head: whether it names its row.
        color: of the swatch before a class's name, sRGB.
        shade: 0..1, how strong a cell of a matrix is coloured.
        tip: shown over it.
        span: how many columns it takes.
    """

    text: str
    kind: str = ""
    head: bool = False
    color: tuple[int, int, int] | None = None
    shade: float | None = None
    tip: str = ""
    span: int = 1


@dataclass(frozen=True, slots=True)
class Row:
    """One row; a quiet one is muted."""

    cells: Sequence[Cell]
    quiet: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table.

    Attributes:
        head: titles of the columns.
        rows: from top to bottom.
        names: places of the columns with words, which are aligned left.
        heat: whether it is a matrix, with upright titles.
        note: a sentence below it.
    """

    head: tuple[str, ...]
    rows: Sequence[Row]
    names: tuple[int, ...] = (0,)
    heat: bool = False
    note: str = ""


def class_table(matrix: ConfusionMatrix, intervals: Intervals) -> Table:
    """IoU with its interval, Dice, precision, recall and pixels of every class that occurs, in catalog order."""
    rows = []
    columns = (
        matrix.catalog.classes, matrix.iou(), matrix.dice(), matrix.precision(), matrix.recall(), matrix.truth_pixels(),
        matrix.prediction_pixels(), intervals.iou, intervals.images_with,
    )  # fmt: skip
    for info, iou, dice, precision, recall, truth, prediction, bounds, images in zip(*columns, strict=True):
        if math.isnan(iou):
            continue
        figures = percent(dice), percent(precision), percent(recall), pixels(truth), pixels(prediction), pixels(int(images))
        rows.append(Row([_class(info), Cell(percent(iou)), Cell(interval(bounds), "quiet"), *map(Cell, figures)]))
    level = f"{100 * intervals.level:.0f}\u202f% interval"
    return Table(head=("class", "IoU", level, "Dice", "precision", "recall", "truth px", "prediction px", "images"), rows=rows)


def score_table(scores: Iterable[tuple[str, float, str, str]]) -> Table:
    """Scores with their intervals, where any has one: (name, score, interval, what it is)."""
    listed = list(scores)
    sure = any(bounds for _, _, bounds, _ in listed)
    rows = [
        Row([Cell(name, head=True), Cell(percent(score)), *([Cell(bounds, "quiet")] if sure else []), Cell(text, "name")])
        for name, score, bounds, text in listed
    ]
    return Table(head=("", "score", "interval", "") if sure else ("", "score", ""), rows=rows)


def absent_classes(matrix: ConfusionMatrix) -> str:
    """Names of the classes without any pixel in truth and prediction, as one sentence; empty if there is none."""
    names = [info.name for info, iou in zip(matrix.catalog.classes, matrix.iou(), strict=True) if math.isnan(iou)]
    return f"In neither truth nor prediction: {', '.join(names)}." if names else ""


def heat_table(matrix: ConfusionMatrix) -> Table:
    """The matrix, each row as shares of its truth class; classes that occur, then void where predicted."""
    counts = matrix.counts
    shown = np.flatnonzero((counts[:, :-1].sum(axis=0) + counts.sum(axis=1)) > 0).tolist()
    columns = [*shown, counts.shape[0]] if matrix.void_predictions else shown
    names = [*matrix.catalog.names, "void"]
    rows = []
    for row in shown:
        total = int(counts[row].sum())
        cells = [_class(matrix.catalog.classes[row])]
        for column in columns:
            count = int(counts[row, column])
            tip = f"{pixels(count)} px of {names[row]} called {names[column]}"
            share = count / total if total else math.nan
            if not count:
                cells.append(Cell("\u00b7", "zero", tip=tip))
            else:
                kind = "hit" if row == column else "miss"
                cells.append(Cell(_share(share), kind, shade=0.06 + 0.74 * math.sqrt(share), tip=tip))
        rows.append(Row(cells))
    return Table(head=("truth \\ prediction, %", *(names[column] for column in columns)), rows=rows, heat=True)


def confusion_list(matrix: ConfusionMatrix) -> Table | None:
    """The largest confusions between two classes, by pixels; None without any."""
    wrong = matrix.counts[:, :-1].copy()
    np.fill_diagonal(wrong, 0)
    truth, classes = matrix.truth_pixels(), matrix.catalog.classes
    rows = []
    for place in np.argsort(-wrong, axis=None, kind="stable")[:_CONFUSIONS].tolist():
        row, column = divmod(place, wrong.shape[1])
        if not wrong[row, column]:
            break
        called = Cell(classes[column].name, "name", color=classes[column].color)
        shares = percent(wrong[row, column] / truth[row]), percent(wrong[row, column] / wrong.sum())
        rows.append(Row([_class(classes[row]), called, Cell(pixels(int(wrong[row, column]))), *map(Cell, shares)]))
    head = ("truth", "called", "px", "of the truth class", "of all confusions")
    return Table(head=head, rows=rows, names=(0, 1)) if rows else None


def band_table(histogram: BandHistogram, widths: Iterable[int]) -> Table:
    """Scores inside and outside each band width."""
    labelled = histogram.total().total
    rows = []
    for width in widths:
        inside, outside = histogram.inside(width), histogram.outside(width)
        share = inside.total / labelled if labelled else math.nan
        cells = (
            f"{width} px", percent(share),
            percent(inside.mean_iou().value), str(inside.mean_iou().classes), percent(inside.pixel_accuracy()),
            percent(outside.mean_iou().value), str(outside.mean_iou().classes), percent(outside.pixel_accuracy()),
        )  # fmt: skip
        rows.append(Row([Cell(text) for text in cells]))
    head = ("band", "share", "mIoU inside", "classes", "accuracy inside", "mIoU outside", "classes", "accuracy outside")
    return Table(head=head, rows=rows, names=())


def band_class_table(histogram: BandHistogram, widths: tuple[int, ...]) -> Table:
    """IoU of every class that occurs, inside each band width and outside the widest reported one."""
    inside = [histogram.inside(width).iou() for width in widths]
    outside = histogram.outside(widths[-1]).iou()
    rows = []
    for position, info in enumerate(histogram.catalog.classes):
        scores = [*(iou[position] for iou in inside), outside[position]]
        if not all(math.isnan(score) for score in scores):
            rows.append(Row([_class(info), *(Cell(percent(score)) for score in scores)]))
    return Table(head=("class", *(f"within {width} px" for width in widths), f"beyond {widths[-1]} px"), rows=rows)


def image_table(evaluation: Evaluation) -> Table:
    """Images, worst mean IoU first."""
    names = evaluation.catalog.names
    rows = []
    for image in evaluation.worst_first[:_IMAGES]:
        present = np.flatnonzero(image.truth_px)
        lowest = ""
        if present.size:
            lowest = f"{names[int(present[np.argmin(image.iou[present])])]} ({percent(float(image.iou[present].min()))})"
        mean = image.mean_iou
        figures = percent(mean.value), str(mean.classes), percent(image.pixel_accuracy)
        bands = (Cell(percent(score)) for score in image.band_iou.values())
        rows.append(Row([Cell(image.name, "name file"), *map(Cell, figures), Cell(lowest, "name"), *bands]))
    head = ("image", "mIoU", "classes", "accuracy", "lowest class", *(f"{width} px" for width in evaluation.widths))
    more = len(evaluation.images) - _IMAGES
    note = f"{pixels(more)} better images are not listed; the JSON file has them all." if more > 0 else ""
    return Table(head=head, rows=rows, names=(0, 4), note=note)


def _share(share: float) -> str:
    """A share in percent, short enough for a cell."""
    if share >= 0.095:
        return f"{100 * share:.0f}"
    return f"{100 * share:.1f}" if share >= 0.0005 else "<0.1"


def _class(info: ClassInfo) -> Cell:
    return Cell(info.name, head=True, color=info.color)
