"""The Cityscapes benchmark's own scores: IoU of its 19 classes, by category, and weighted by instances (iIoU).

They are the same from masks of train ids (catalog ``cityscapes19``) and of label ids (``cityscapes34``). Under label ids the
ground truth has fifteen more classes, "ego vehicle" and "static" among them, which the benchmark ignores: their pixels are not
counted, and a prediction of one is a miss of the true class and a false alarm of none.

Cordts et al. 2016, section 4.1, and the benchmark's own ``evalPixelLevelSemanticLabeling``. In iIoU the hits and misses of an
instance are weighted by ``average size of the class / size of the instance``, so that near, large objects do not decide alone;
false alarms have no instance and keep the weight 1. Only classes with instances have an iIoU, and only the categories human and
vehicle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.errors import CatalogError, message
from deeplab_core.labels import LabelMap
from deeplab_core.metrics.confusion import ConfusionMatrix

#: The evaluated classes of each category.
CATEGORIES: dict[str, tuple[str, ...]] = {
    "flat": ("road", "sidewalk"),
    "nature": ("vegetation", "terrain"),
    "object": ("pole", "traffic light", "traffic sign"),
    "sky": ("sky",),
    "construction": ("building", "wall", "fence"),
    "human": ("person", "rider"),
    "vehicle": ("car", "truck", "bus", "train", "motorcycle", "bicycle"),
}

#: The classes that the benchmark evaluates.
_EVALUATED = tuple(name for names in CATEGORIES.values() for name in names)
#: Catalogs with masks that have the benchmark's scores.
CATALOGS = ("cityscapes19", "cityscapes34")

#: Average size in px of an instance of each class in the benchmark's data, and the class's label id in instance files.
_INSTANCE_CLASSES: dict[str, tuple[int, float]] = {
    "person": (24, 3462.4756337644),
    "rider": (25, 3930.4788056518),
    "car": (26, 12794.0202738185),
    "truck": (27, 27855.1264367816),
    "bus": (28, 35732.1511111111),
    "train": (31, 67583.7075812274),
    "motorcycle": (32, 6298.7200839748),
    "bicycle": (33, 4672.3249222261),
}
#: What counts as a hit of a category in its iIoU: also classes that have instances and no score of their own.
_INSTANCE_CATEGORIES = {"human": CATEGORIES["human"], "vehicle": (*CATEGORIES["vehicle"], "caravan", "trailer")}
#: Instance files hold ``label id * 1000 + number``; smaller values are plain label ids without instances.
_PER_CLASS = 1000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CityscapesScores:
    """The benchmark's scores, 0..1; nan if absent.

    Attributes:
        class_iou: by class, the 19 of the benchmark.
        category_iou: by category.
        instance_iou: iIoU by class; empty without instance files.
        category_instance_iou: iIoU by category; empty without instance files.
    """

    class_iou: dict[str, float]
    category_iou: dict[str, float]
    instance_iou: dict[str, float]
    category_instance_iou: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, with the means over what has a score; null if absent."""
        names = ("class_iou", "category_iou", "instance_iou", "category_instance_iou")
        tables: dict[str, dict[str, float]] = {name: getattr(self, name) for name in names}
        rows: dict[str, Any] = {name: {key: _plain(value) for key, value in table.items()} for name, table in tables.items()}
        rows["classes"] = sum(not np.isnan(value) for value in self.class_iou.values())
        return {**rows, **{f"mean_{name}": _plain(mean_of(table)) for name, table in tables.items()}}


class InstanceCounts:
    """Hits and misses weighted by instance size, pooled over images.

    Attributes:
        catalog: has the classes of ``cityscapes19`` by name: that catalog, or ``cityscapes34``.
        images: number of images counted.
    """

    def __init__(self, catalog: ClassCatalog) -> None:
        """Raises CatalogError where the catalog lacks a class that has instances."""
        missing = [name for name in _INSTANCE_CLASSES if name not in catalog.names]
        if missing:
            raise CatalogError(
                message("the catalog '{catalog}' has no class '{class_name}'", catalog=catalog.name, class_name=missing[0]),
                remedy=message("iIoU is defined for cityscapes19 and cityscapes34"),
            )
        self.catalog = catalog
        self.images = 0
        self._by_class = np.zeros((len(_INSTANCE_CLASSES), 2))
        self._by_category = np.zeros((len(_INSTANCE_CATEGORIES), 2))

    def update(self, *, instances: NDArray[Any], prediction: LabelMap) -> InstanceCounts:
        """Count one image and return self.

        Args:
            instances: (H, W) integers as in ``*_gtFine_instanceIds.png``.
            prediction: (H, W) ids of the catalog.
        """
        if instances.shape != prediction.shape:
            raise ValueError(f"instances have shape {instances.shape}, prediction {prediction.shape}")
        where = instances > _PER_CLASS
        numbers, place = np.unique(instances[where], return_inverse=True)
        called = prediction[where]
        size = np.bincount(place, minlength=numbers.size)
        for row, (name, (label, average)) in enumerate(_INSTANCE_CLASSES.items()):
            own = numbers // _PER_CLASS == label
            if not own.any():
                continue
            weight = average / size[own]
            groups: list[tuple[NDArray[np.float64], tuple[str, ...]]] = [(self._by_class[row], (name,))]
            groups += [
                (self._by_category[at], members) for at, members in enumerate(_INSTANCE_CATEGORIES.values()) if name in members
            ]
            for total, accepted in groups:
                ids = [info.id for info in self.catalog.classes if info.name in accepted]
                hits = np.bincount(place[np.isin(called, ids)], minlength=numbers.size)[own]
                total += (hits * weight).sum(), ((size[own] - hits) * weight).sum()
        self.images += 1
        return self

    def class_iou(self, matrix: ConfusionMatrix) -> dict[str, float]:
        """IIoU by class, with the false alarms of ``matrix``."""
        return {
            name: _weighted_iou(self._by_class[row], _false_alarms(matrix, (name,), (name,)))
            for row, name in enumerate(_INSTANCE_CLASSES)
        }

    def category_iou(self, matrix: ConfusionMatrix) -> dict[str, float]:
        """IIoU by category, with the false alarms of ``matrix`` on pixels of other categories."""
        return {
            category: _weighted_iou(self._by_category[row], _false_alarms(matrix, CATEGORIES[category], members))
            for row, (category, members) in enumerate(_INSTANCE_CATEGORIES.items())
        }


def benchmark_matrix(matrix: ConfusionMatrix) -> ConfusionMatrix:
    """The matrix of the 19 evaluated classes from one of either Cityscapes catalog; ignored predictions become void."""
    from deeplab_core.catalogs import get_catalog

    target = get_catalog(CATALOGS[0])
    channels = _channels(matrix.catalog, target.names)
    rows = matrix.counts[channels]
    return ConfusionMatrix(
        target, np.concatenate([rows[:, channels], np.delete(rows, channels, axis=1).sum(1, keepdims=True)], 1)
    )


def cityscapes_scores(matrix: ConfusionMatrix, instances: InstanceCounts | None = None) -> CityscapesScores:
    """The scores of a pooled matrix of one of :data:`CATALOGS`; ``instances`` counts the same images."""
    evaluated = benchmark_matrix(matrix)
    categories = evaluated.group_iou([_channels(evaluated.catalog, names) for names in CATEGORIES.values()])
    counted = instances if instances is not None and instances.images else None
    return CityscapesScores(
        class_iou=dict(zip(evaluated.catalog.names, evaluated.iou().tolist(), strict=True)),
        category_iou=dict(zip(CATEGORIES, categories.tolist(), strict=True)),
        instance_iou={} if counted is None else counted.class_iou(matrix),
        category_instance_iou={} if counted is None else counted.category_iou(matrix),
    )


def mean_of(table: dict[str, float]) -> float:
    """Mean of the scores that are there; nan for none."""
    values = [value for value in table.values() if not np.isnan(value)]
    return float(np.mean(values)) if values else float("nan")


def _channels(catalog: ClassCatalog, names: Sequence[str]) -> list[int]:
    return [catalog.names.index(name) for name in names if name in catalog.names]


def _false_alarms(matrix: ConfusionMatrix, own: Sequence[str], called: Sequence[str]) -> int:
    """Pixels of evaluated classes other than ``own`` that are called one of ``called``."""
    others = _channels(matrix.catalog, [name for name in _EVALUATED if name not in own])
    return int(matrix.counts[np.ix_(others, _channels(matrix.catalog, called))].sum())


def _weighted_iou(hits_and_misses: NDArray[np.float64], false_alarms: int) -> float:
    hits, misses = hits_and_misses
    whole = hits + misses + false_alarms
    return float(hits / whole) if whole else float("nan")


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
