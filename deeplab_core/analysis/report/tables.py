"""The tables of the report. Every function returns HTML; names and paths are escaped."""

from __future__ import annotations

import math
from collections.abc import Iterable
from html import escape

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


def class_table(matrix: ConfusionMatrix, intervals: Intervals) -> str:
    """IoU with its interval, Dice, precision, recall and pixels of every class that occurs, in catalog order."""
    rows = []
    columns = (
        matrix.catalog.classes, matrix.iou(), matrix.dice(), matrix.precision(), matrix.recall(), matrix.truth_pixels(),
        matrix.prediction_pixels(), intervals.iou, intervals.images_with,
    )  # fmt: skip
    for info, iou, dice, precision, recall, truth, prediction, bounds, images in zip(*columns, strict=True):
        if math.isnan(iou):
            continue
        rows.append(
            f'<tr>{_class_head(info)}<td>{percent(iou)}</td><td class="quiet">{interval(bounds)}</td><td>{percent(dice)}</td>'
            f"<td>{percent(precision)}</td><td>{percent(recall)}</td><td>{pixels(truth)}</td><td>{pixels(prediction)}</td>"
            f"<td>{pixels(int(images))}</td></tr>"
        )
    level = f"{100 * intervals.level:.0f}\u202f% interval"
    return _table(("class", "IoU", level, "Dice", "precision", "recall", "truth px", "prediction px", "images"), rows)


def score_table(rows: Iterable[tuple[str, float, str, str]]) -> str:
    """Scores with their intervals, where any has one: (name, score, interval, what it is)."""
    listed = list(rows)
    sure = any(bounds for _, _, bounds, _ in listed)
    body = []
    for name, score, bounds, text in listed:
        interval_cell = f'<td class="quiet">{bounds}</td>' if sure else ""
        body.append(
            f'<tr><th>{escape(name)}</th><td>{percent(score)}</td>{interval_cell}<td class="name">{escape(text)}</td></tr>'
        )
    return _table(("", "score", "interval", "") if sure else ("", "score", ""), body)


def absent_classes(matrix: ConfusionMatrix) -> str:
    """Names of the classes without any pixel in truth and prediction, as one sentence; empty if there is none."""
    names = [info.name for info, iou in zip(matrix.catalog.classes, matrix.iou(), strict=True) if math.isnan(iou)]
    return f'<p class="rule">In neither truth nor prediction: {escape(", ".join(names))}.</p>' if names else ""


def heat_table(matrix: ConfusionMatrix) -> str:
    """The matrix, each row as shares of its truth class; classes that occur, then void where predicted."""
    counts = matrix.counts
    shown = np.flatnonzero((counts[:, :-1].sum(axis=0) + counts.sum(axis=1)) > 0).tolist()
    columns = [*shown, counts.shape[0]] if matrix.void_predictions else shown
    names = [*matrix.catalog.names, "void"]
    head = "".join(f"<th><span>{escape(names[column])}</span></th>" for column in columns)
    body = []
    for row in shown:
        total = int(counts[row].sum())
        cells = []
        for column in columns:
            count = int(counts[row, column])
            title = f"{pixels(count)} px of {names[row]} called {names[column]}"
            share = count / total if total else math.nan
            kind = "hit" if row == column else "miss"
            if not count:
                cells.append(f'<td class="zero" title="{escape(title)}">\u00b7</td>')
            else:
                shade = 0.06 + 0.74 * math.sqrt(share)
                cells.append(f'<td class="{kind}" style="--v:{shade:.2f}" title="{escape(title)}">{_share(share)}</td>')
        body.append(f"<tr>{_class_head(matrix.catalog.classes[row])}{''.join(cells)}</tr>")
    corner = '<th class="name">truth \\ prediction, %</th>'
    return f'<table class="heat"><thead><tr>{corner}{head}</tr></thead><tbody>{"".join(body)}</tbody></table>'


def confusion_list(matrix: ConfusionMatrix) -> str:
    """The largest confusions between two classes, by pixels."""
    wrong = matrix.counts[:, :-1].copy()
    np.fill_diagonal(wrong, 0)
    truth = matrix.truth_pixels()
    rows = []
    for place in np.argsort(-wrong, axis=None, kind="stable")[:_CONFUSIONS].tolist():
        row, column = divmod(place, wrong.shape[1])
        if not wrong[row, column]:
            break
        classes = matrix.catalog.classes
        rows.append(
            f'<tr>{_class_head(classes[row])}<td class="name">{_swatch(classes[column])}{escape(classes[column].name)}</td>'
            f"<td>{pixels(int(wrong[row, column]))}</td><td>{percent(wrong[row, column] / truth[row])}</td>"
            f"<td>{percent(wrong[row, column] / wrong.sum())}</td></tr>"
        )
    if not rows:
        return "<p>No class is called by another's name.</p>"
    return _table(("truth", "called", "px", "of the truth class", "of all confusions"), rows, names=(0, 1))


def band_table(histogram: BandHistogram, widths: Iterable[int]) -> str:
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
        rows.append(f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>")
    head = ("band", "share", "mIoU inside", "classes", "accuracy inside", "mIoU outside", "classes", "accuracy outside")
    return _table(head, rows, names=())


def band_class_table(histogram: BandHistogram, widths: tuple[int, ...]) -> str:
    """IoU of every class that occurs, inside each band width and outside the widest reported one."""
    inside = [histogram.inside(width).iou() for width in widths]
    outside = histogram.outside(widths[-1]).iou()
    rows = []
    for position, info in enumerate(histogram.catalog.classes):
        scores = [*(iou[position] for iou in inside), outside[position]]
        if not all(math.isnan(score) for score in scores):
            rows.append(f"<tr>{_class_head(info)}{''.join(f'<td>{percent(score)}</td>' for score in scores)}</tr>")
    return _table(("class", *(f"within {width} px" for width in widths), f"beyond {widths[-1]} px"), rows)


def image_table(evaluation: Evaluation) -> str:
    """Images, worst mean IoU first."""
    names = evaluation.catalog.names
    rows = []
    for image in evaluation.worst_first[:_IMAGES]:
        present = np.flatnonzero(image.truth_px)
        worst = "" if not present.size else names[int(present[np.argmin(image.iou[present])])]
        lowest = "" if not worst else f" ({percent(float(image.iou[present].min()))})"
        bands = "".join(f"<td>{percent(score)}</td>" for score in image.band_iou.values())
        mean = image.mean_iou
        rows.append(
            f'<tr><td class="name file">{escape(image.name)}</td><td>{percent(mean.value)}</td><td>{mean.classes}</td>'
            f'<td>{percent(image.pixel_accuracy)}</td><td class="name">{escape(worst)}{lowest}</td>{bands}</tr>'
        )
    head = ("image", "mIoU", "classes", "accuracy", "lowest class", *(f"{width} px" for width in evaluation.widths))
    more = len(evaluation.images) - _IMAGES
    note = f'<p class="rule">{pixels(more)} better images are not listed; the JSON file has them all.</p>' if more > 0 else ""
    return _table(head, rows, names=(0, 4)) + note


def _share(share: float) -> str:
    """A share in percent, short enough for a cell."""
    if share >= 0.095:
        return f"{100 * share:.0f}"
    return f"{100 * share:.1f}" if share >= 0.0005 else "&lt;0.1"


def _table(head: tuple[str, ...], rows: list[str], names: tuple[int, ...] = (0,)) -> str:
    cells = "".join(f"<th{' class=name' if place in names else ''}>{escape(text)}</th>" for place, text in enumerate(head))
    return f'<table class="wide"><thead><tr>{cells}</tr></thead><tbody>{"".join(rows)}</tbody></table>'


def _class_head(info: ClassInfo) -> str:
    return f"<th>{_swatch(info)}{escape(info.name)}</th>"


def _swatch(info: ClassInfo) -> str:
    red, green, blue = info.color
    return f'<span class="swatch" style="background:rgb({red},{green},{blue})"></span>'
