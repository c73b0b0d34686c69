"""The two scores that the Cityscapes benchmark adds to IoU: by category, and weighted by instances (iIoU).

Cordts et al. 2016, section 4.1, and the benchmark's own ``evalPixelLevelSemanticLabeling``. In iIoU the hits and misses of an
instance are weighted by ``average size of the class / size of the instance``, so that near, large objects do not decide alone;
false alarms have no instance and keep the weight 1. Only classes with instances have an iIoU, and only the categories human and
vehicle.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplab_core.catalog import ClassCatalog
from deeplab_core.errors import CatalogError
from deeplab_core.metrics import scores
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
_INSTANCE_CATEGORIES = ("human", "vehicle")
#: Instance files hold ``label id * 1000 + number``; smaller values are plain label ids without instances.
_PER_CLASS = 1000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CityscapesScores:
    """The benchmark's scores, 0..1; nan where there is none.

    Attributes:
        category_iou: by category.
        instance_iou: iIoU by class; empty without instance files.
        category_instance_iou: iIoU by category; empty without instance files.
    """

    category_iou: dict[str, float]
    instance_iou: dict[str, float]
    category_instance_iou: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, with the means over what has a score; null where there is none."""
        names = ("category_iou", "instance_iou", "category_instance_iou")
        tables: dict[str, dict[str, float]] = {name: getattr(self, name) for name in names}
        rows: dict[str, Any] = {name: {key: _plain(value) for key, value in table.items()} for name, table in tables.items()}
        return {**rows, **{f"mean_{name}": _plain(mean_of(table)) for name, table in tables.items()}}


class InstanceCounts:
    """Hits and misses weighted by instance size, pooled over images.

    Attributes:
        catalog: has the classes of ``cityscapes19`` by name.
        images: number of images counted.
    """

    def __init__(self, catalog: ClassCatalog) -> None:
        """Raises CatalogError where the catalog lacks a class that has instances."""
        missing = [name for name in _INSTANCE_CLASSES if name not in catalog.names]
        if missing:
            raise CatalogError(
                f"the catalog '{catalog.name}' has no class '{missing[0]}'", remedy="iIoU is defined for cityscapes19 only"
            )
        self.catalog = catalog
        self.images = 0
        self._by_class = np.zeros((len(_INSTANCE_CLASSES), 2))
        self._by_category = np.zeros((len(_INSTANCE_CATEGORIES), 2))

    def update(self, *, instances: NDArray[Any], prediction: NDArray[Any]) -> InstanceCounts:
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
                (self._by_category[at], CATEGORIES[category])
                for at, category in enumerate(_INSTANCE_CATEGORIES)
                if name in CATEGORIES[category]
            ]
            for total, accepted in groups:
                ids = [info.id for info in self.catalog.classes if info.name in accepted]
                hits = np.bincount(place[np.isin(called, ids)], minlength=numbers.size)[own]
                total += (hits * weight).sum(), ((size[own] - hits) * weight).sum()
        self.images += 1
        return self

    def class_iou(self, matrix: ConfusionMatrix) -> dict[str, float]:
        """IIoU by class, with the false alarms of ``matrix``."""
        false = matrix.prediction_pixels() - scores.hits(matrix.counts)
        return {
            name: _weighted_iou(self._by_class[row], int(false[matrix.catalog.names.index(name)]))
            for row, name in enumerate(_INSTANCE_CLASSES)
        }

    def category_iou(self, matrix: ConfusionMatrix) -> dict[str, float]:
        """IIoU by category, with the false alarms of ``matrix`` on pixels of other categories."""
        found = {}
        for row, category in enumerate(_INSTANCE_CATEGORIES):
            members = np.asarray(_channels(matrix.catalog, category), dtype=np.intp)
            others = np.setdiff1d(np.arange(len(matrix.catalog)), members)
            found[category] = _weighted_iou(self._by_category[row], int(matrix.counts[np.ix_(others, members)].sum()))
        return found


def cityscapes_scores(matrix: ConfusionMatrix, instances: InstanceCounts | None = None) -> CityscapesScores:
    """The scores of a pooled matrix of the catalog ``cityscapes19``; ``instances`` counts the same images."""
    categories = matrix.group_iou([_channels(matrix.catalog, category) for category in CATEGORIES])
    counted = instances if instances is not None and instances.images else None
    return CityscapesScores(
        category_iou=dict(zip(CATEGORIES, categories.tolist(), strict=True)),
        instance_iou={} if counted is None else counted.class_iou(matrix),
        category_instance_iou={} if counted is None else counted.category_iou(matrix),
    )


def mean_of(table: dict[str, float]) -> float:
    """Mean of the scores that are there; nan for none."""
    values = [value for value in table.values() if not np.isnan(value)]
    return float(np.mean(values)) if values else float("nan")


def _channels(catalog: ClassCatalog, category: str) -> list[int]:
    return [channel for channel, name in enumerate(catalog.names) if name in CATEGORIES[category]]


def _weighted_iou(hits_and_misses: NDArray[np.float64], false_alarms: int) -> float:
    hits, misses = hits_and_misses
    whole = hits + misses + false_alarms
    return float(hits / whole) if whole else float("nan")


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
