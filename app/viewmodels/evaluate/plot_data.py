"""The plots of the Evaluation panel, made from what is counted. The same definitions as the report; no Qt."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.state.comparison import PLACE_TOKENS
from app.state.progress_log import ProgressSample
from app.text import mark, percent, plural, share_text, spaced, tr
from app.viewmodels.evaluate.charts import Chart, HeatChart, Series, floats
from app.viewmodels.evaluate.curves import Curve
from app.viewmodels.evaluate.error_list import ComponentQuery, OwnSlice
from deeplab_core.analysis.ranking import GainCurve
from deeplab_core.analysis.slice_scores import SlicedAxis, SliceScore
from deeplab_core.analysis.slices import AXIS_TEXT, ObjectAxis, PixelSlices, Slice, slice_objects
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.metrics import scores
from deeplab_core.metrics.bootstrap import RESAMPLES, Samples, intervals
from deeplab_core.metrics.calibration import reliability_bins
from deeplab_core.metrics.image_counts import ImageCounts
from deeplab_core.metrics.precision_recall import PrecisionRecall
from deeplab_core.metrics.scores import FEW_IMAGES, FEW_OBJECTS

_TOKENS = {"model": "muted", "now": "good", "with CRF": "accent"}
_NAMES = {"now": mark("current mask"), "model": mark("model"), "with CRF": mark("with CRF")}
_OBJECT_TITLES = {
    ObjectAxis.SIZE: mark("Objects by size"),
    ObjectAxis.BORDER_SHARE: mark("Objects by occlusion (shared outline)"),
    ObjectAxis.VISIBLE_FRACTION: mark("Objects by visible fraction"),
    ObjectAxis.BRIGHTNESS: mark("Objects by brightness"),
    ObjectAxis.CONTRAST: mark("Objects by contrast"),
}


def trimap_chart(curves: Sequence[Curve], rule: str, scope: str) -> Chart:
    """Mean IoU inside the band over its width, for the model, the CRF, the mask as it is and compared models."""
    series = tuple(
        Series(
            tr(_NAMES.get(curve.name, curve.name)),
            floats(range(1, len(curve.values) + 1)),
            floats(curve.values),
            token=_TOKENS.get(curve.name, "warn_fill") if curve.place is None else PLACE_TOKENS[curve.place],
            dashed=curve.place is not None,
        )
        for curve in curves
    )
    title = tr("Trimap curve, folder") if scope == "folder" else tr("Trimap curve, image")
    note = tr("Band: {rule}.", rule=rule)
    if not curves:
        of_folder = tr("The folder is evaluated where it has ground truth and masks; Ctrl+J does it again.")
        note = of_folder if scope == "folder" else tr("Open an image with ground truth.")
    leads = tuple(range(1, max((len(curve.values) for curve in curves), default=0) + 1))
    return Chart(
        title,
        tr("band width, px"),
        tr("mIoU"),
        series,
        x_range=(0, 41),
        note=note,
        legend="bottom right",
        leads=leads,
        shares="y",
    )


def image_counts(counts: NDArray[np.int64]) -> ImageCounts:
    """What the bootstrap needs of one image's (C, C + 1) confusion matrix."""
    totals = np.stack([scores.hits(counts), scores.truth_pixels(counts), scores.prediction_pixels(counts)])
    channels = np.flatnonzero(totals[1] + totals[2])
    nothing = np.zeros((0, 3, channels.size), dtype=np.int64)
    edges = np.zeros((2, channels.size), dtype=np.int64)
    return ImageCounts(classes=len(counts), channels=channels, totals=totals[:, channels], bands=nothing, boundary=edges)


def iou_chart(images: Iterable[NDArray[np.int64]], catalog: ClassCatalog, *, resamples: int = RESAMPLES) -> Chart:
    """IoU by class with bootstrap intervals over images, highest first. Some seconds for thousands of images: for a job.

    Args:
        images: (C, C + 1) matrix of every image.
    """
    counts = [image_counts(matrix) for matrix in images]
    samples = Samples(counts, np.zeros((len(counts), 0)), len(catalog), ())
    if not counts:
        return Chart(tr("IoU by class"), tr("IoU"), "", (), note=tr("No image has ground truth and a mask."))
    pooled, bounds = samples.pooled(), intervals(samples, resamples=resamples)
    iou, behind = pooled.iou[0], bounds.images_with.tolist()
    order = [channel for channel in np.argsort(-iou, kind="stable").tolist() if not math.isnan(iou[channel])]
    series = Series(
        tr("IoU"),
        floats(range(len(order))),
        floats(iou[order]),
        floats(bounds.iou[order, 0]),
        floats(bounds.iou[order, 1]),
        shape="bars",
        colors=tuple(catalog.classes[channel].color for channel in order),
        pale=frozenset(place for place, channel in enumerate(order) if behind[channel] < FEW_IMAGES),
    )
    mean, (low, high) = float(pooled.mean_iou[0]), bounds.mean_iou.tolist()
    over = plural("{n} class", "{n} classes", len(order))
    shown = percent(mean)
    if not math.isnan(low):
        shown = tr("{mean} ({low} to {high})", mean=shown, low=percent(low), high=percent(high))
    return Chart(
        tr("IoU by class"),
        tr("IoU"),
        "",
        (series,),
        x_range=(0, 1),
        shares="x",
        y_ticks=tuple((float(place), f"{catalog.names[channel]}, n {behind[channel]}") for place, channel in enumerate(order)),
        note=tr(
            "mIoU {mean} over the {over} in ground truth or masks, pooled over {counts}; lines are "
            "95 % bootstrap intervals over images. n: images with the class; pale bars are based on fewer than "
            "{few}.",
            mean=shown,
            over=over,
            counts=plural("{n} image", "{n} images", len(counts)),
            few=FEW_IMAGES,
        ),
        leads=tuple(ComponentQuery(concerning=catalog.classes[channel].id) for channel in order),
    )


def heat_chart(counts: NDArray[np.int64], catalog: ClassCatalog) -> HeatChart:
    """The folder's (C, C + 1) confusion matrix, rows as shares of their truth class; classes that occur."""
    shown = np.flatnonzero(counts[:, :-1].sum(axis=0) + counts.sum(axis=1))
    columns = [*shown.tolist(), *([len(catalog)] if counts[:, -1].any() else [])]
    part = counts[shown][:, columns]
    total = np.maximum(counts[shown].sum(axis=1, keepdims=True), 1)
    names = [*catalog.names, "void"]
    return HeatChart(
        tr("Confusion matrix"),
        tuple(names[channel] for channel in shown.tolist()),
        tuple(names[channel] for channel in columns),
        part,
        part / total,
        tr("Rows are ground truth, columns predictions; colours are shares of the row."),
        tuple(catalog.classes[channel].id for channel in shown.tolist()),
        tuple(catalog.ignore if channel == len(catalog) else catalog.classes[channel].id for channel in columns),
    )


def reliability_chart(levels: NDArray[np.int64]) -> Chart:
    """Accuracy over confidence of the kept predictions; (256, 2) pixels by level and wrong or right."""
    bins = reliability_bins(levels)
    filled = np.flatnonzero(bins.pixels)
    total = int(bins.pixels.sum())
    bars = Series(
        "accuracy",
        floats((bins.low[filled] + bins.high[filled]) / 2),
        floats(bins.accuracy[filled]),
        shape="columns",
        token="accent",
    )
    claimed = Series(
        tr("share of pixels"),
        floats(bins.confidence[filled]),
        floats(bins.pixels[filled] / max(total, 1)),
        shape="points",
        token="warn_fill",
    )
    ideal = Series(tr("calibrated"), (0.0, 1.0), (0.0, 1.0), token="muted", dashed=True)
    note = (
        tr("ECE {ece} over {total} px", ece=share_text(bins.ece), total=spaced(total))
        if total
        else tr("Requires ground truth and predictions.")
    )
    series = (ideal, bars, claimed) if total else ()
    return Chart(
        tr("Reliability"), tr("confidence"), tr("share correct"), series, x_range=(0, 1), y_range=(0, 1), note=note, shares="xy"
    )


def precision_recall_chart(levels: NDArray[np.int64], threshold: float | None) -> Chart:
    """Precision over recall of a two-class network's object, marked where its threshold stands and where IoU is largest.

    Args:
        levels: (256, 2) pixels by level of the object's probability, other or object.
        threshold: 0..1, that is in use; None where the model in use has none.
    """
    title, found = tr("Precision and recall"), PrecisionRecall(levels)
    if not found.measured:
        note = tr("Requires ground truth and predictions of a one-channel (sigmoid) model: predict, then open the Rankings page.")
        return Chart(title, tr("recall"), tr("precision"), (), note=note)
    _, precision, recall, _ = found.curve()
    best = found.best
    series = [Series(tr("all thresholds"), floats(recall), floats(precision), token="accent")]
    notes = [
        tr(
            "AP {average_precision} over {pixels} px of the object.",
            average_precision=percent(found.average_precision),
            pixels=spaced(found.pixels),
        )
    ]
    marks = [
        (tr("threshold in use"), None if threshold is None else found.at(threshold), "series_2"),
        (tr("largest IoU"), best, "series_3"),
    ]
    for name, point, token in marks:
        if point is not None:
            if not math.isnan(point.precision):
                series.append(Series(name, (point.recall,), (point.precision,), shape="points", token=token))
            shown = name[0].upper() + name[1:]
            text = tr("{name} {threshold:.3g}: IoU {iou}.", name=shown, threshold=point.threshold, iou=percent(point.iou))
            notes.append(text)
    return Chart(
        title, tr("recall"), tr("precision"), tuple(series), x_range=(0, 1), y_range=(0, 1), note=" ".join(notes), shares="xy"
    )


def object_chart(rows: NDArray[Any], axis: ObjectAxis, scored: Sequence[SliceScore] = ()) -> Chart:
    """IoU, recall and class swaps of objects over one of their properties.

    Args:
        scored: the same slices with intervals of their IoU; empty without.
    """
    pieces = [(place, piece) for place, piece in enumerate(slice_objects(rows, axis)) if piece.objects]
    found = [piece for _, piece in pieces]
    places = floats(range(len(found)))
    pale = frozenset(place for place, piece in enumerate(found) if piece.objects < FEW_OBJECTS)
    lines = (
        (tr("IoU"), "iou", "series_1"),
        (tr("recall"), "recall", "series_4"),
        (tr("class swap"), "swapped", "series_3"),
        (tr("lost"), "lost", "series_2"),
    )
    low, high = _bounds(scored, [place for place, _ in pieces])
    series = tuple(
        Series(
            name, places, floats([getattr(piece, field) for piece in found]), shape="points", token=token, pale=pale,
            low=low if field == "iou" else (), high=high if field == "iou" else (),
        )
        for name, field, token in lines
    )  # fmt: skip
    ticks = tuple(
        (place, f"{_span(piece.low, piece.high)}, n {piece.objects}") for place, piece in zip(places, found, strict=True)
    )
    objects = sum(piece.objects for piece in found)
    return Chart(
        tr(_OBJECT_TITLES[axis]),
        tr(AXIS_TEXT[axis.value]),
        tr("share"),
        series if found else (),
        y_range=(0, 1),
        shares="y",
        x_ticks=ticks,
        note=tr(
            "{objects}. n: objects; pale marks are based on fewer than {few}. Lines at IoU: 95 % interval over images.",
            objects=plural("{n} object", "{n} objects", objects),
            few=FEW_OBJECTS,
        )
        if found
        else tr("Not measured: no object with this property."),
        leads=tuple(ComponentQuery(within=Slice(axis, place)) for place, _ in pieces),
    )


def pixel_chart(slices: PixelSlices, scored: Sequence[SliceScore] = ()) -> Chart:
    """Pixel accuracy and mean IoU over one property of pixels.

    Args:
        scored: the same slices with intervals of their mean IoU; empty without.
    """
    pieces = [(place, piece) for place, piece in enumerate(slices.rows()) if piece.pixels]
    found = [piece for _, piece in pieces]
    pale = frozenset(place for place, piece in enumerate(found) if piece.images < FEW_IMAGES)
    places = floats(range(len(found)))
    low, high = _bounds(scored, [place for place, _ in pieces])
    series = tuple(
        Series(
            name, places, floats([getattr(piece, field) for piece in found]), shape="points", token=token, pale=pale,
            low=low if field == "mean_iou" else (), high=high if field == "mean_iou" else (),
        )
        for name, field, token in ((tr("mIoU"), "mean_iou", "accent"), (tr("pixel accuracy"), "accuracy", "good"))
    )  # fmt: skip
    ticks = tuple(
        (place, f"{_span(piece.low, piece.high)}, n {piece.images}") for place, piece in zip(places, found, strict=True)
    )
    title = tr("Pixels by {axis}", axis=slices.axis.value.replace("_", " "))
    leads = tuple(ComponentQuery(within=Slice(slices.axis, place)) for place, _ in pieces)
    return Chart(
        title, tr(AXIS_TEXT[slices.axis.value]), tr("score"), series if found else (), y_range=(0, 1), x_ticks=ticks,
        leads=leads, shares="y",
        note=tr(
            "n: images; pale marks are based on fewer than {few}. Lines at mIoU: 95 % interval over images.", few=FEW_IMAGES
        )
        if found
        else tr("Not measured."),
    )  # fmt: skip


def own_chart(axes: Sequence[SlicedAxis], scored: Sequence[Sequence[SliceScore]]) -> Chart:
    """Scores by the user's attributes with intervals over images, one bar for each slice.

    Args:
        axes: of the user's tables.
        scored: the slices of each.
    """
    rows = [(axis, row) for axis, found in zip(axes, scored, strict=True) for row in found if row.count]
    title = tr("Your attributes")
    if not rows:
        note = tr("Choose a table of attributes on the page Failures. Its columns become slices of images or objects.")
        return Chart(title, "", "", (), note=note)
    series = Series(
        tr("score"), floats(range(len(rows))), floats([row.score for _, row in rows]),
        floats([row.interval[0] for _, row in rows]), floats([row.interval[1] for _, row in rows]), shape="bars",
        pale=frozenset(place for place, (_, row) in enumerate(rows) if row.few),
    )  # fmt: skip
    ticks = tuple((float(place), f"{axis.name}: {row.label}, n {row.count}") for place, (axis, row) in enumerate(rows))
    return Chart(
        title, tr("IoU of objects, mean IoU of images"), "", (series,), x_range=(0, 1), shares="x", y_ticks=ticks,
        note=tr(
            "n: objects or images; pale bars are based on fewer than {objects} objects or {images} images. Lines are 95 % "
            "bootstrap intervals over images.",
            objects=FEW_OBJECTS, images=FEW_IMAGES,
        ),
        leads=tuple(ComponentQuery(within=OwnSlice(axis.name, row.label)) for axis, row in rows),
    )  # fmt: skip


def _bounds(scored: Sequence[SliceScore], places: Sequence[int]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Ends of the intervals of some slices; empty where they were not found."""
    if not scored:
        return (), ()
    return floats([scored[place].interval[0] for place in places]), floats([scored[place].interval[1] for place in places])


def gain_chart(gain: GainCurve, title: str) -> Chart:
    """Share of the model's wrong pixels found over the share of the images looked at."""
    random = Series(tr("random order"), (0.0, 1.0), (0.0, 1.0), token="muted", dashed=True)
    line = Series(title, floats(gain.looked), floats(gain.found), token="accent")
    area = (
        tr("Area {area}.", area=share_text(gain.area))
        if math.isnan(gain.skill)
        else tr(
            "Area {area}, skill {skill} (0 % random, 100 % best possible).",
            area=share_text(gain.area),
            skill=share_text(gain.skill),
        )
    )
    tenth = tr("The first tenth of the images has {value:.0f} % of the errors.", value=100 * gain.found_after(0.1))
    note = f"{area} {tenth}"
    return Chart(
        tr("Cumulative gain, {ranking}", ranking=title.lower()), tr("share of images reviewed"),
        tr("share of errors found"), (random, line), (0, 1), (0, 1),
        note=note, legend="bottom right", shares="xy",
    )  # fmt: skip


def progress_chart(samples: Sequence[ProgressSample]) -> Chart:
    """Images reviewed and worked on, and the folder's mIoU, over time."""
    if not samples:
        return Chart(tr("Progress"), tr("time"), tr("share"), (), note=tr("Nothing has been recorded yet."))
    first = samples[0].time
    days = tuple((sample.time - first) / 86400 for sample in samples)

    def shares(counts: Sequence[int]) -> tuple[float, ...]:
        return tuple(count / max(sample.images, 1) for count, sample in zip(counts, samples, strict=True))

    def means(older: bool) -> tuple[float, ...]:
        return tuple(math.nan if s.miou is None or s.older_rule != older else s.miou for s in samples)

    series = [
        Series(tr("reviewed"), days, shares([sample.reviewed for sample in samples]), shape="points", token="good"),
        Series(tr("edited"), days, shares([sample.touched for sample in samples]), shape="points", token="accent"),
    ]
    for name, values, token in (
        (tr("mIoU over all classes found, older version"), means(True), "muted"),
        (tr("mIoU of the folder"), means(False), "warn_fill"),
    ):
        if any(not math.isnan(value) for value in values):
            series.append(Series(name, days, values, shape="points", token=token))
    last = samples[-1]
    began = datetime.fromtimestamp(first, UTC).strftime("%Y-%m-%d %H:%M")
    note = tr(
        "Reviewed: {reviewed} of {images}, edited: {touched}.",
        reviewed=last.reviewed,
        images=plural("{n} image", "{n} images", last.images),
        touched=last.touched,
    )
    return Chart(
        tr("Progress"),
        tr("days since {began} UTC", began=began),
        tr("share"),
        tuple(series),
        y_range=(0, 1),
        note=note,
        shares="y",
    )


def _span(low: float, high: float) -> str:
    if math.isinf(high):
        return f"\u2265 {low:g}"
    return f"{low:g}\u2013{high:g}"
