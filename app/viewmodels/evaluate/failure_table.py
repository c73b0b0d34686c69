"""The failure board and the slices as they are looked at: plain rows and bars, without widgets."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from app.text import percent, plural, share_text, spaced, tr
from app.viewmodels.evaluate.error_list import KIND_TITLES, OwnSlice, class_text
from app.viewmodels.evaluate.slice_text import AXIS_TITLES, bar_label
from deeplab_core.analysis.folder import FolderAnalysis
from deeplab_core.analysis.kinds import KIND_NEEDS, KIND_TEXT, KINDS, PARTS, FailureKind
from deeplab_core.analysis.own_slices import OwnSlices
from deeplab_core.analysis.record import ERROR_PIXELS
from deeplab_core.analysis.slice_scores import SliceScore, score_axis, sliced_axes
from deeplab_core.analysis.slices import AXIS_TEXT, ObjectAxis, Slice, slice_objects
from deeplab_core.catalogs.catalog import ClassCatalog, Color
from deeplab_core.metrics.scores import FEW_IMAGES, FEW_OBJECTS, hits, prediction_pixels, truth_pixels

#: Draws for the intervals of bars.
_DRAWS = 1000


@dataclass(frozen=True, slots=True)
class FailureLine:
    """One kind of failure, over all classes or of one.

    Attributes:
        kind: which.
        title, text: its name, and what it means.
        pixels: wrong pixels that it concerns; of one class its misses and its false alarms.
        share: of all wrong pixels (of the class), 0..1; nan without any.
        instances: components or objects; None for one class, of which they are not counted.
        images: images that have some.
        gain: IoU won back if this kind were repaired: of the mean, or of the class; nan if undefined.
        part: whether it belongs to the exact partition; the other kinds overlap.
        missing: what the data lacks to measure it; empty where it was measured. Without it the figures say nothing.
    """

    kind: FailureKind
    title: str
    text: str
    pixels: int
    share: float
    instances: int | None
    images: int
    gain: float
    part: bool
    missing: str = ""


@dataclass(frozen=True, slots=True)
class ClassParts:
    """Wrong pixels of one class by part: its misses and its false alarms, each counted for this class.

    Attributes:
        class_id, name, color: of the class.
        iou: 0..1; nan where it occurs nowhere.
        parts: boundary, extent, segment, in px.
    """

    class_id: int
    name: str
    color: Color
    iou: float
    parts: tuple[int, int, int]

    @property
    def wrong(self) -> int:
        """All wrong pixels of the class."""
        return sum(self.parts)


@dataclass(frozen=True, slots=True)
class SliceBar:
    """One bar.

    Attributes:
        label: what it is over.
        value: its height, 0..1; nan if empty.
        count: objects, or images for slices of pixels, that it rests on.
        few: whether these are too few, so that it may be any other next time.
        text: everything known of it, in words.
        within: the slice that it shows.
        low, high: 95 % interval of the height over images; nan where it is not known.
    """

    label: str
    value: float
    count: int
    few: bool
    text: str
    within: Slice | OwnSlice
    low: float = math.nan
    high: float = math.nan


@dataclass(frozen=True, slots=True)
class SliceChart:
    """One axis: title, what it measures, what the bars are (``"IoU"``), the bars from low to high."""

    title: str
    text: str
    measure: str
    bars: tuple[SliceBar, ...]


def failure_lines(folder: FolderAnalysis, class_id: int | None = None) -> list[FailureLine]:
    """All kinds, in their order; of one class where its id is given."""
    unmeasured = folder.unmeasured
    channel = None if class_id is None else folder.catalog.index_of(class_id)
    counts = folder.total(ERROR_PIXELS)
    lines = []
    for row in folder.failures():
        if channel is None:
            pixels, share, gain, images = row.pixels, row.share, row.mean_gain, row.images
        else:
            pixels = int(row.missed[channel] + row.false[channel])
            right = int(counts[channel, channel])
            wrong = int(truth_pixels(counts)[channel] + prediction_pixels(counts)[channel]) - 2 * right
            share = pixels / wrong if wrong else math.nan
            gain, images = float(row.gain[channel]), len(folder.failure_images(row.kind, class_id))
        lines.append(
            FailureLine(
                row.kind, tr(KIND_TITLES[row.kind]).capitalize(), KIND_TEXT[row.kind], pixels, share,
                row.instances if channel is None else None, images, gain, row.kind in PARTS,
                KIND_NEEDS[row.kind] if row.kind in unmeasured else "",
            )
        )  # fmt: skip
    return lines


def class_parts(folder: FolderAnalysis, shown: ClassCatalog | None = None) -> list[ClassParts]:
    """Classes with wrong pixels, the one with most first; ``shown`` is the catalog with other colours."""
    total = folder.failure_total()
    both = total.missed + total.false
    union = truth_pixels(total.counts) + prediction_pixels(total.counts) - hits(total.counts)
    iou = np.divide(hits(total.counts), union, out=np.full(len(union), np.nan), where=union > 0)
    places = [KINDS.index(part) for part in PARTS]
    found = []
    for channel, info in enumerate((shown or folder.catalog).classes):
        boundary, extent, segment = (int(both[place, channel]) for place in places)
        if boundary + extent + segment:
            name = class_text(folder.catalog, int(info.id))
            found.append(ClassParts(int(info.id), name, info.color, float(iou[channel]), (boundary, extent, segment)))
    return sorted(found, key=lambda parts: -parts.wrong)


def slice_charts(folder: FolderAnalysis, class_id: int | None = None) -> list[SliceChart]:
    """Scores by size, occlusion, distance, brightness and contrast; axes of which the data says nothing are left out.

    Args:
        folder: what was inspected.
        class_id: objects of this class only; pixels are of all classes either way, and left out then.
    """
    charts = []
    for axis in ObjectAxis:
        rows = slice_objects(folder.objects, axis, class_id=class_id)
        bars = [
            SliceBar(
                bar_label(Slice(axis, place)),
                row.iou,
                row.objects,
                row.objects < FEW_OBJECTS,
                tr(
                    "{objects}: IoU {iou}, recall {recall}, {swapped} predicted as another object, {lost} of the objects missed",
                    objects=plural("{n} object", "{n} objects", row.objects),
                    iou=_score(row.iou),
                    recall=_score(row.recall),
                    swapped=_percent(row.swapped),
                    lost=_percent(row.lost),
                ),
                Slice(axis, place),
            )
            for place, row in enumerate(rows)
        ]
        if any(row.objects for row in rows):
            charts.append(
                SliceChart(
                    tr(AXIS_TITLES[axis.value]), tr("Objects by {axis}", axis=tr(AXIS_TEXT[axis.value])), tr("IoU"), tuple(bars)
                )
            )
    for pixel_axis, slices in folder.slices.items():
        if class_id is not None:
            continue
        found = slices.rows()
        pixel_bars = [
            SliceBar(
                bar_label(Slice(pixel_axis, place)),
                one.mean_iou,
                one.images,
                one.images < FEW_IMAGES,
                tr(
                    "{pixels} px: mean IoU {iou}, accuracy {accuracy}, {images}",
                    pixels=spaced(one.pixels),
                    iou=_score(one.mean_iou),
                    accuracy=_score(one.accuracy),
                    images=plural("{n} image", "{n} images", one.images),
                ),
                Slice(pixel_axis, place),
            )
            for place, one in enumerate(found)
        ]
        if any(one.pixels for one in found):
            title = tr("{axis}, pixels", axis=tr(AXIS_TITLES[pixel_axis.value]))
            charts.append(
                SliceChart(title, tr("Pixels by {axis}", axis=tr(AXIS_TEXT[pixel_axis.value])), tr("mean IoU"), tuple(pixel_bars))
            )
    return charts


def own_charts(folder: FolderAnalysis, own: OwnSlices | None, class_id: int | None = None) -> list[SliceChart]:
    """Scores by the user's attributes: IoU of objects, mean IoU of images; without intervals."""
    charts = []
    for axis in [] if own is None else sliced_axes(folder, own, class_id=class_id):
        if not axis.own:
            continue
        of_objects = axis.unit == "object"
        bars = tuple(
            SliceBar(
                row.label,
                row.score,
                row.count,
                row.few,
                tr(
                    "{number}: {measure} {score}",
                    number=plural("{n} object", "{n} objects", row.count)
                    if of_objects
                    else plural("{n} image", "{n} images", row.count),
                    measure=tr("IoU") if of_objects else tr("mean IoU"),
                    score=_score(row.score),
                ),
                OwnSlice(axis.name, row.label),
            )
            for row in score_axis(axis, resamples=0)
        )
        measure = tr("IoU") if of_objects else tr("mean IoU")
        charts.append(SliceChart(axis.name, axis.text, measure, bars))
    return charts


def with_intervals(
    charts: list[SliceChart], folder: FolderAnalysis, class_id: int | None = None, own: OwnSlices | None = None
) -> list[SliceChart]:
    """The charts with the interval of every bar. Takes 0.2 s of CPU for 1,000 images, 3 s for 20,000: for a thread."""
    scores = {axis.name: score_axis(axis, resamples=_DRAWS) for axis in sliced_axes(folder, own, class_id=class_id)}
    return [replace(chart, bars=tuple(_with_interval(bar, scores) for bar in chart.bars)) for chart in charts]


def _with_interval(bar: SliceBar, scores: dict[str, list[SliceScore]]) -> SliceBar:
    low, high = math.nan, math.nan
    if isinstance(bar.within, OwnSlice):
        found = scores.get(bar.within.axis)
        own = [row.interval for row in found or () if row.label == bar.within.label]
        low, high = own[0] if own else (low, high)
    else:
        axis = bar.within.axis
        found = scores.get(axis.value if isinstance(axis, ObjectAxis) else f"pixel_{axis.value}")
        low, high = (low, high) if found is None else found[bar.within.place].interval
    if math.isnan(low) or math.isnan(bar.value):
        return bar
    text = tr("{text}; 95 % interval {low} to {high}", text=bar.text, low=_score(low), high=_score(high))
    return replace(bar, low=low, high=high, text=text)


def _score(value: float) -> str:
    return percent(value)


def _percent(value: float) -> str:
    return share_text(value)
