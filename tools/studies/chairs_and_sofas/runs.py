"""Measure the masks of a network on a set, and compare runs over one class set."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.cli import run
from deeplab_core.analysis import ObjectAxis, slice_objects
from deeplab_core.analysis.ablation import Ablation, AblationRow
from deeplab_core.analysis.compare import compare_sides
from deeplab_core.analysis.compared_side import ComparedSide
from deeplab_core.analysis.evaluate import DEFAULT_BANDS, Evaluation, evaluate_folders
from deeplab_core.analysis.inspection import FolderInspection, FolderSources, inspect_folders
from deeplab_core.analysis.pairs import PairClassLoss, PairLoss, pair_loss
from deeplab_core.catalogs import get_catalog
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.errors import AtrousError
from tools.ablations import VARIANTS
from tools.image_sets import ImageSet

FURNITURE = ("chair", "sofa")
#: Lower edges of the slices, the last one without an end, where the study's are not those of ``OBJECT_EDGES``.
EDGES = {ObjectAxis.BORDER_SHARE: (0, 0.1, 0.25, 0.5)}
KINDS = ("boundary", "extent", "segment", "missed_object", "occluder_cut")
#: Settings of a network, as ``atrous ablate`` names them, and what tables call them.
SETTINGS = {"": "as trained", **VARIANTS}


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """What one network did with one set in one setting.

    Attributes:
        model: name of the network.
        data: the images.
        variant: the setting, a key of :data:`SETTINGS`.
        evaluation, inspection: of the core.
        seconds: of the processor per image; nan if not measured.
    """

    model: str
    data: ImageSet
    variant: str
    evaluation: Evaluation
    inspection: FolderInspection
    seconds: float

    @property
    def catalog(self) -> ClassCatalog:
        """The classes."""
        return self.evaluation.catalog

    def class_id(self, name: str) -> int:
        """Id of a class."""
        return self.catalog.by_name(name).id

    def iou(self, name: str) -> float:
        """IoU of a class over the set, 0..1."""
        return float(self.evaluation.matrix.iou()[self.catalog.names.index(name)])

    def iou_interval(self, name: str) -> tuple[float, float]:
        """95 % bootstrap interval over images of :meth:`iou`."""
        low, high = self.evaluation.intervals.iou[self.catalog.names.index(name)].tolist()
        return low, high

    def truth_mean_iou(self) -> float:
        """Mean over the classes of the ground truth."""
        return self.evaluation.matrix.mean_iou("truth").value

    def band_curve(self) -> NDArray[np.float64]:
        """(40,) mean IoU within 1..40 px of a class edge of the ground truth."""
        return np.asarray(self.evaluation.histogram.curve("truth").mean_iou)

    def sliced(self, axis: ObjectAxis, name: str) -> list[Any]:
        """Scores of the objects of one class by an axis."""
        objects = self.inspection.analysis.objects
        return slice_objects(objects, axis, class_id=self.class_id(name), edges=EDGES.get(axis))

    def visible_half(self, name: str) -> float:
        """IoU of the objects of a class of which at least half can be seen; nan where the data does not say."""
        objects = self.inspection.analysis.objects
        rows = slice_objects(objects, ObjectAxis.VISIBLE_FRACTION, class_id=self.class_id(name), edges=(0, 0.5))
        return rows[-1].iou if rows else float("nan")

    @property
    def pair(self) -> PairLoss:
        """What the swap of chair and sofa costs."""
        return pair_loss(self.inspection.analysis, *(self.class_id(name) for name in FURNITURE))

    def swap(self, name: str) -> PairClassLoss:
        """What it costs one of them."""
        return next(row for row in self.pair.classes if row.class_id == self.class_id(name))

    def loss(self, name: str) -> dict[str, tuple[float, float]]:
        """Per kind of failure: share of the wrong pixels of a class (misses and false alarms), and IoU won by fixing it."""
        channel = self.catalog.names.index(name)
        counts = self.evaluation.matrix.counts
        wrong = int(counts[channel].sum() + counts[:, channel].sum() - 2 * counts[channel, channel])
        found = {}
        for row in self.inspection.analysis.failures():
            if row.kind.value in KINDS:
                pixels = int(row.missed[channel] + row.false[channel])
                found[row.kind.value] = (pixels / wrong if wrong else float("nan"), float(row.gain[channel]))
        return found


def measure(model: str, data: ImageSet, variant: str, masks: Path, *, seconds: float = float("nan")) -> Result:
    """Measure a folder of masks against the ground truth of a set."""
    catalog, truth = get_catalog("voc21"), [data.folder / "truth"]
    return Result(
        model=model,
        data=data,
        variant=variant,
        evaluation=evaluate_folders(masks, truth, catalog, bands=DEFAULT_BANDS, boundary=False),
        inspection=inspect_folders(masks, truth, catalog, sources=FolderSources(objects=data.objects)),
        seconds=seconds,
    )


def predict(model: str, data: ImageSet, masks: Path) -> Path:
    """The masks of a network as trained, made again. Raises AtrousError if an image failed."""
    shutil.rmtree(masks, ignore_errors=True)
    if run(["predict", str(data.folder / "images"), "--model", model, "-o", str(masks), "--device", "cpu"]):
        raise AtrousError(f"{model} did not predict every image", remedy="Read the messages above", path=data.folder)
    return masks


def compare(results: Sequence[Result]) -> Ablation:
    """Every result against the first: paired draws, one class set, p corrected by Holm's method over all of them."""
    sides = [ComparedSide.of_evaluation(result.evaluation, result.data.folder) for result in results]
    rows = [
        AblationRow(
            model=result.model, variant=result.variant, seconds=float("nan"), images=result.data.images,
            cpu_seconds=result.seconds,
            comparison=compare_sides(sides[0], side, correct=False) if place else None,
        )
        for place, (result, side) in enumerate(zip(results, sides, strict=True))
    ]  # fmt: skip
    return Ablation.of(rows)
