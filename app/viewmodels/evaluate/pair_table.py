"""A pair of classes as it is looked at: what it costs each class, how it splits up, and the most confused pairs of a folder."""

from __future__ import annotations

import math
from dataclasses import dataclass

from app.text import mark, percent, plural, points, share_text, spaced, tr
from app.viewmodels.evaluate.error_list import class_text
from deeplab_core.analysis.folder import FolderAnalysis
from deeplab_core.analysis.pairs import Bounds, CellLoss, PairLoss, pair_loss
from deeplab_core.analysis.record import ERROR_PIXELS
from deeplab_core.analysis.views import confused_pairs
from deeplab_core.catalogs.catalog import ClassCatalog

#: Pairs on the failure board.
PAIRS = 8

#: Titles of the splits of a cell, in groups that each add up to 100 %. Sizes are COCO's: 32 x 32 and 96 x 96 px.
SPLIT_TITLES = (
    mark("Boundary"), mark("Extent"), mark("Segment"), mark("Occluded"), mark("Not occluded"), mark("No object"), mark("Small"),
    mark("Medium"), mark("Large"),
)  # fmt: skip
SPLIT_TIPS = (
    mark("On the edge of an object that was found"),
    mark("An object was found, but a part is missing or too much"),
    mark("A whole region of the class is missing or made up"),
    mark("Of objects of the ground truth that another object cuts or touches along a long border"),
    mark("Of the other objects of the ground truth"),
    mark("Of background and stuff"),
    mark("Of objects of fewer than 32 × 32 px"),
    mark("Of objects from 32 × 32 to 96 × 96 px"),
    mark("Of objects of 96 × 96 px or more"),
)


@dataclass(frozen=True, slots=True)
class PairClassRow:
    """What a pair costs one class, or the mean: texts of the columns of :data:`CLASS_TITLES`."""

    name: str
    share: str
    missed: str
    false: str
    iou: str
    fixed: str


#: Titles of the columns of the classes.
CLASS_TITLES = (
    mark("Class"), mark("Share of its loss"), mark("Missed px"), mark("False px"), mark("IoU"), mark("IoU if fixed"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class PairSplitRow:
    """One direction: its name, and for each of :data:`SPLIT_TITLES` a share as text and the pixels as a tooltip."""

    name: str
    shares: tuple[str, ...]
    tips: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PairTable:
    """Everything that the panel of a pair shows.

    Attributes:
        summary: how much of all errors, and in how many images.
        largest: image with most of it, and its share as text; empty without pixels.
        classes: the loss of each class, and the mean.
        splits: each direction.
    """

    summary: str
    largest: tuple[str, str]
    classes: tuple[PairClassRow, ...]
    splits: tuple[PairSplitRow, ...]


@dataclass(frozen=True, slots=True)
class PairLine:
    """A pair on the failure board.

    Attributes:
        one, other: class ids.
        title: their names.
        pixels: wrong pixels of both directions.
        share: of all wrong pixels, 0..1.
        shares: of the loss of each class, as text.
        images: with such a pixel.
        gain: mean IoU won if the pair were fixed.
        largest_share: of one image, 0..1.
    """

    one: int
    other: int
    title: str
    pixels: int
    share: float
    shares: str
    images: int
    gain: float
    largest_share: float


def pair_table(loss: PairLoss, catalog: ClassCatalog) -> PairTable:
    """Lay a pair out."""
    summary = tr(
        "{share} of all errors, in {images} of {inspected}",
        share=share_text(loss.share),
        images=loss.images,
        inspected=plural("{n} image", "{n} images", loss.inspected),
    )
    rows = [
        PairClassRow(
            class_text(catalog, one.class_id),
            f"{share_text(one.share)}{_bounds(one.share_interval)}",
            tr("{part} of {whole}", part=spaced(one.missed_px), whole=spaced(one.misses)),
            tr("{part} of {whole}", part=spaced(one.false_px), whole=spaced(one.false_alarms)),
            percent(one.iou),
            _fixed(one.repaired, one.gain, one.gain_interval),
        )
        for one in loss.classes
    ]
    mean = _fixed(loss.repaired_mean, loss.mean_gain, loss.mean_interval)
    rows.append(PairClassRow(tr("Mean"), "", "", "", percent(loss.mean_iou), mean))
    return PairTable(
        summary,
        (loss.largest_image, share_text(loss.largest_share)) if loss.pixels else ("", ""),
        tuple(rows),
        tuple(_split(cell, catalog) for cell in loss.cells if cell.pixels),
    )


def pair_lines(folder: FolderAnalysis, class_id: int | None = None) -> list[PairLine]:
    """The most confused pairs, of all classes or with one, in the order of their pixels; without those with the background."""
    catalog = folder.catalog
    pairs = confused_pairs(folder.total(ERROR_PIXELS), catalog, limit=PAIRS if class_id is None else len(catalog) ** 2)
    found = []
    for pair in [pair for pair in pairs if class_id in (None, pair.one, pair.other)][:PAIRS]:
        loss = pair_loss(folder, pair.one, pair.other, resamples=0)
        shares = [
            tr("{name} {share}", name=class_text(catalog, one.class_id), share=share_text(one.share)) for one in loss.classes
        ]
        title = " / ".join(class_text(catalog, one.class_id) for one in loss.classes)
        found.append(
            PairLine(
                pair.one, pair.other, title, loss.pixels, loss.share, ", ".join(shares), loss.images, loss.mean_gain,
                loss.largest_share,
            )
        )  # fmt: skip
    return sorted(found, key=lambda line: -line.pixels)


def pair_tip(line: PairLine) -> str:
    """Everything of a line of the failure board, in words."""
    return tr(
        "{title}: {components}, {share} of them in one image. Share of the loss: {shares}. Click to see them.",
        title=line.title,
        shares=line.shares,
        components=plural("{n} wrong pixel", "{n} wrong pixels", line.pixels),
        share=share_text(line.largest_share),
    )


def _split(cell: CellLoss, catalog: ClassCatalog) -> PairSplitRow:
    sizes = [sum(cell.sizes[at : at + 2]) for at in (0, 2, 4)]
    values = [*cell.missed, *cell.occlusion, *sizes]
    name = f"{class_text(catalog, cell.truth)} → {class_text(catalog, cell.prediction)}"
    shares = tuple(share_text(value / cell.pixels) if value else "" for value in values)
    return PairSplitRow(name, shares, tuple(tr("{pixels} px", pixels=spaced(value)) for value in values))


def _fixed(score: float, gain: float, bounds: Bounds) -> str:
    return percent(score) if math.isnan(gain) else f"{percent(score)}  {points(gain)}{_bounds(bounds)}"


def _bounds(bounds: Bounds) -> str:
    return "" if any(map(math.isnan, bounds)) else f"  [{100 * bounds[0]:.1f}, {100 * bounds[1]:.1f}]"
