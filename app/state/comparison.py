"""Several models on the same pixels: figures of each, and of where two of them differ. Plain values and counting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.labels import LabelMap, value_counts
from deeplab_core.metrics import ConfusionMatrix
from deeplab_core.metrics.trimap import band_index
from deeplab_core.metrics.trimap_histogram import BandHistogram
from deeplab_core.records import ModelCard, PredictOptions, TrimapBand

#: As many models are shown side by side; the panes call them by these letters.
LETTERS = "ABCD"
#: Tokens of the models' colours, by place: swatches of the list and the table, lines of the plot.
PLACE_TOKENS = ("accent", "warn", "good", "bad")


@dataclass(frozen=True, slots=True)
class Peer:
    """A model that takes part.

    Attributes:
        path: its file.
        title: what a person reads.
        card: None until the file was read.
        problem: why it cannot take part; empty where it can.
    """

    path: Path
    title: str
    card: ModelCard | None = None
    problem: str = ""

    def options(self, wanted: PredictOptions) -> PredictOptions:
        """The wanted options as far as this model can: without the output stride it takes its own, of several channels none
        of the thresholds.
        """
        if self.card is not None and (self.card.threshold is None or wanted.threshold is None):
            wanted = replace(wanted, threshold=None)
        possible = self.card is None or wanted.output_stride in (None, *self.card.output_strides)
        return wanted if possible else replace(wanted, output_stride=None)


@dataclass(frozen=True, slots=True, eq=False)
class ModelCount:
    """What one model says about an image, counted.

    Attributes:
        pixels: class id -> pixels of it, void included, for ids that occur.
        matrix, histogram: against the truth, whole and by band; None without truth.
    """

    pixels: dict[int, int]
    matrix: ConfusionMatrix | None = None
    histogram: BandHistogram | None = None


@dataclass(frozen=True, slots=True)
class PairCount:
    """Where two models differ, in pixels.

    Attributes:
        pixels: all of them.
        differ: the models say different things.
        first, second: of these, only the first (the second) is right by the truth.
        neither: of these, neither is right.
        unjudged: of these, the truth says nothing.
    """

    pixels: int = 0
    differ: int = 0
    first: int = 0
    second: int = 0
    neither: int = 0
    unjudged: int = 0

    @property
    def share(self) -> float:
        """Share of pixels that differ, 0..1; 0 without pixels."""
        return self.differ / self.pixels if self.pixels else 0.0

    def __add__(self, other: PairCount) -> PairCount:
        return PairCount(
            self.pixels + other.pixels, self.differ + other.differ, self.first + other.first, self.second + other.second,
            self.neither + other.neither, self.unjudged + other.unjudged,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class ModelFigures:
    """Figures of one model on an image or pooled over a folder.

    Attributes:
        iou: class id -> IoU, nan for a class that neither truth nor model has; empty without truth.
        mean: mean IoU over the classes of the ground truth, of the image or of the folder, so that all models have the same; nan
            without truth.
        classes: how many classes that mean is over.
        accuracy: share of labelled pixels that are right; nan without truth.
        curve: mIoU inside the band of width 1, 2, ... px; empty without truth.
        shares: class id -> share of all pixels, 0..1.
    """

    iou: dict[int, float]
    mean: float
    classes: int
    accuracy: float
    curve: tuple[float, ...]
    shares: dict[int, float]


@dataclass(frozen=True, slots=True)
class ImageDifference:
    """One image of a folder.

    Attributes:
        image: its id.
        name: relative path.
        pairs: (first place, second place) -> where these two models differ.
        means: mIoU of each model over the classes in the truth; nan without truth.
    """

    image: int
    name: str
    pairs: dict[tuple[int, int], PairCount]
    means: tuple[float, ...]


def count_model(
    labels: LabelMap,
    catalog: ClassCatalog,
    band: TrimapBand,
    truth: LabelMap | None = None,
    index: NDArray[np.uint8] | None = None,
) -> ModelCount:
    """Count one model's (H, W) labels, in the project's ids.

    Args:
        band: whose rule and reference the curve has.
        index: of that band, where it is known already; only for bands around the truth.

    Raises:
        ValueError: truth and labels differ in size.
    """
    counts = value_counts(labels)
    pixels = {int(value): int(counts[value]) for value in np.flatnonzero(counts)}
    if truth is None:
        return ModelCount(pixels)
    if index is None or band.around == "prediction":
        index = band_index(truth=truth, prediction=labels, ignore=catalog.ignore, rule=band.rule, around=band.around)
    histogram = BandHistogram(catalog, rule=band.rule, around=band.around).update(index=index, truth=truth, prediction=labels)
    return ModelCount(pixels, ConfusionMatrix(catalog).update(truth=truth, prediction=labels), histogram)


def count_pair(one: LabelMap, other: LabelMap, ignore: int, truth: LabelMap | None = None) -> PairCount:
    """Count where two (H, W) label maps differ, and which of them is right there.

    A class without a partner in the project is void here: it differs from everything but void.

    Raises:
        ValueError: the maps differ in size.
    """
    if one.shape != other.shape or (truth is not None and truth.shape != one.shape):
        raise ValueError(f"label maps of {one.shape} and {other.shape}, truth of {None if truth is None else truth.shape}")
    places = np.flatnonzero(one.ravel() != other.ravel())
    if truth is None:
        return PairCount(one.size, places.size, unjudged=places.size)
    said, against, right = (labels.ravel()[places] for labels in (one, other, truth))
    judged = right != ignore
    first, second = int(np.count_nonzero(judged & (said == right))), int(np.count_nonzero(judged & (against == right)))
    labelled = int(np.count_nonzero(judged))
    return PairCount(one.size, places.size, first, second, labelled - first - second, places.size - labelled)


def figures_of(count: ModelCount, catalog: ClassCatalog) -> ModelFigures:
    """Figures of a count, of one image or pooled."""
    total = sum(count.pixels.values())
    shares = {value: pixels / total for value, pixels in count.pixels.items()} if total else {}
    if count.matrix is None or count.histogram is None:
        return ModelFigures({}, float("nan"), 0, float("nan"), (), shares)
    mean = count.matrix.mean_iou("truth")
    return ModelFigures(
        iou=dict(zip(catalog.ids.tolist(), count.matrix.iou().tolist(), strict=True)),
        mean=mean.value,
        classes=mean.classes,
        accuracy=count.matrix.pixel_accuracy(),
        curve=tuple(count.histogram.curve("truth").mean_iou.tolist()),
        shares=shares,
    )


def pooled_count(one: ModelCount | None, other: ModelCount) -> ModelCount:
    """Counts of two images as one; what only one of them has a truth for keeps that one's matrix."""
    if one is None:
        return other
    pixels = {value: one.pixels.get(value, 0) + other.pixels.get(value, 0) for value in one.pixels | other.pixels}
    if one.matrix is None or one.histogram is None:
        return ModelCount(pixels, other.matrix, other.histogram)
    if other.matrix is None or other.histogram is None:
        return ModelCount(pixels, one.matrix, one.histogram)
    return ModelCount(pixels, one.matrix + other.matrix, one.histogram + other.histogram)


def shown_classes(catalog: ClassCatalog, figures: Sequence[ModelFigures | None]) -> list[int]:
    """Ids of the classes that any truth or model has, in the catalog's order."""
    known: set[int] = set()
    for found in figures:
        if found is not None:
            known |= {class_id for class_id, value in found.iou.items() if not np.isnan(value)}
            known |= {class_id for class_id, share in found.shares.items() if share > 0}
    return [class_id for class_id in catalog.ids.tolist() if class_id in known]


def pairs_of(models: int) -> list[tuple[int, int]]:
    """Every two of some models, by place."""
    return [(first, second) for first in range(models) for second in range(first + 1, models)]
