"""Predict a set under one condition, and measure what the study asks."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplab_core.analysis import ObjectAxis, repaired_iou, slice_objects
from deeplab_core.analysis.evaluate import DEFAULT_BANDS, Evaluation, evaluate_folders
from deeplab_core.analysis.inspection import FolderInspection, FolderSources, inspect_folders
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.datasets.find import find_images
from deeplab_core.images import read_image
from deeplab_core.inference import Predictor
from deeplab_core.masks.png import write_mask
from deeplab_core.records import PredictOptions
from deeplab_core.refine import preset
from deeplab_core.weights import load_model, read_card
from tools.studies.chairs_and_sofas.sets import ImageSet

FURNITURE = ("chair", "sofa")
#: Lower edges of the slices, the last one without an end, where the study's are not those of ``OBJECT_EDGES``.
EDGES = {ObjectAxis.BORDER_SHARE: (0, 0.1, 0.25, 0.5)}
KINDS = ("boundary", "extent", "segment", "missed_object", "occluder_cut")


@dataclass(frozen=True, slots=True)
class Condition:
    """One way to run a network.

    Attributes:
        name: for file names.
        title: for tables.
        options: how the predictor runs; its ``output_stride`` is set when the weights are loaded.
    """

    name: str
    title: str
    options: PredictOptions


CONDITIONS = (
    Condition("plain", "as trained", PredictOptions()),
    Condition("stride8", "output stride 8", PredictOptions(output_stride=8)),
    Condition("flip", "with the mirrored image", PredictOptions(flip=True)),
    Condition("scales", "three scales, mirrored", PredictOptions(scales=(0.75, 1.0, 1.25), flip=True)),
    Condition("crf", "CRF (parameters of v1)", PredictOptions(crf=preset("v1"))),
)


@dataclass(frozen=True, slots=True)
class Subject:
    """A network of the study."""

    name: str
    title: str
    path: Path


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """What one network did with one set under one condition.

    Attributes:
        evaluation, inspection: of the core.
        masks: folder of the predicted masks.
        milliseconds: median time of an image, on one thread.
    """

    subject: Subject
    data: ImageSet
    condition: Condition
    evaluation: Evaluation
    inspection: FolderInspection
    masks: Path
    milliseconds: float

    @property
    def catalog(self) -> ClassCatalog:
        """The classes."""
        return self.evaluation.catalog

    def iou(self, name: str) -> float:
        """IoU of a class over the set, 0..1."""
        return float(self.evaluation.matrix.iou()[self.catalog.names.index(name)])

    def iou_interval(self, name: str) -> tuple[float, float]:
        """95 % bootstrap interval over images of :meth:`iou`."""
        low, high = self.evaluation.intervals.iou[self.catalog.names.index(name)].tolist()
        return low, high

    def truth_mean_iou(self) -> float:
        """Mean over the classes in the truth."""
        return self.evaluation.matrix.mean_iou("truth").value

    def band_curve(self) -> NDArray[np.float64]:
        """(40,) mean IoU within 1..40 px of a class edge of the truth."""
        return np.asarray(self.evaluation.histogram.curve("truth").mean_iou)

    def sliced(self, axis: ObjectAxis, name: str) -> list[Any]:
        """Scores of the objects of one class by an axis."""
        class_id = self.catalog.classes[self.catalog.names.index(name)].id
        return slice_objects(self.inspection.analysis.objects, axis, class_id=class_id, edges=EDGES.get(axis))

    def visible_half(self, name: str) -> float:
        """IoU of the objects of a class of which at least half can be seen; nan where the data does not say."""
        class_id = self.catalog.classes[self.catalog.names.index(name)].id
        rows = slice_objects(self.inspection.analysis.objects, ObjectAxis.VISIBLE_FRACTION, class_id=class_id, edges=(0, 0.5))
        return rows[-1].iou if rows else float("nan")

    def loss(self, name: str) -> dict[str, tuple[float, float]]:
        """Per kind of failure: share of the wrong pixels of a class (misses and false alarms), and IoU won by repair."""
        channel = self.catalog.names.index(name)
        other = self.catalog.names.index(FURNITURE[1 - FURNITURE.index(name)])
        counts = self.evaluation.matrix.counts
        wrong = int(counts[channel].sum() + counts[:, channel].sum() - 2 * counts[channel, channel])
        missed, false = np.zeros(len(self.catalog), np.int64), np.zeros(len(self.catalog), np.int64)
        missed[channel], false[channel] = counts[channel, other], counts[other, channel]
        before, _ = repaired_iou(counts, np.zeros_like(missed), np.zeros_like(missed))
        after, _ = repaired_iou(counts, missed, false)
        swapped = int(missed[channel] + false[channel])
        found = {"swap": (swapped / wrong if wrong else float("nan"), float(after[channel] - before[channel]))}
        for row in self.inspection.analysis.failures():
            if row.kind.value in KINDS:
                pixels = int(row.missed[channel] + row.false[channel])
                found[row.kind.value] = (pixels / wrong if wrong else float("nan"), float(row.gain[channel]))
        return found


def possible(subject: Subject, condition: Condition) -> bool:
    """Whether the network can run at the stride that the condition asks for."""
    stride = condition.options.output_stride
    return stride is None or stride in read_card(subject.path).output_strides


def run(subject: Subject, data: ImageSet, condition: Condition, out: Path) -> Result:
    """Predict the whole set, one image after the other, and measure."""
    model, card = load_model(subject.path, output_stride=condition.options.output_stride)
    predictor = Predictor(model, card, options=condition.options, device="cpu")
    masks = out / data.name / subject.name / condition.name
    masks.mkdir(parents=True, exist_ok=True)
    times = []
    for name in find_images(data.folder / "images"):
        rgb = read_image(data.folder / "images" / name).rgb
        started = time.perf_counter()
        labels = predictor(rgb).labels
        times.append(time.perf_counter() - started)
        write_mask(masks / f"{Path(name).stem}.png", labels, card.catalog)
    truth: Sequence[Path] = [data.folder / "truth"]
    return Result(
        subject=subject,
        data=data,
        condition=condition,
        evaluation=evaluate_folders(masks, truth, card.catalog, bands=DEFAULT_BANDS, boundary=False),
        inspection=inspect_folders(masks, truth, card.catalog, sources=FolderSources(objects=data.objects)),
        masks=masks,
        milliseconds=1000 * float(np.median(times)),
    )
