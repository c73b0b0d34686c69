"""How far two annotators agree about the same images: per class, by chance-corrected agreement, along boundaries, per image.

Neither side is the truth, so every figure is the same whichever is named first. Pixels that either side leaves void are left out,
and counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplab_core import __version__
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.labels import LabelMap
from deeplab_core.metrics import ConfusionMatrix
from deeplab_core.metrics.boundary_iou import BoundaryIoU

SCHEMA = "atrous-agreement/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageAgreement:
    """Two masks of one image.

    Attributes:
        name: of the image.
        pixels: px that both label.
        agreed: px of them with the same class.
        one_only, other_only: px that only one side labels.
        kappa: see :func:`cohen_kappa`.
        mean_iou: over the classes that either side has here; nan without a labelled pixel.
    """

    name: str
    pixels: int
    agreed: int
    one_only: int
    other_only: int
    kappa: float
    mean_iou: float

    @property
    def share(self) -> float:
        """Share of the pixels on which both agree, 0..1; nan without any."""
        return self.agreed / self.pixels if self.pixels else float("nan")

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; what was not measured is None."""
        return {
            "image": self.name, "pixels": self.pixels, "agreed": self.agreed, "one_only": self.one_only,
            "other_only": self.other_only, "agreement": _known(self.share), "kappa": _known(self.kappa),
            "mean_iou": _known(self.mean_iou),
        }  # fmt: skip


class Agreement:
    """Agreement of two sides, pooled over images.

    Attributes:
        catalog: the classes of both sides.
        images: what was counted, in the order of :meth:`update`.
        matrix: rows are the first side, columns the second; no void.
    """

    def __init__(self, catalog: ClassCatalog) -> None:
        self.catalog = catalog
        self.images: list[ImageAgreement] = []
        self.matrix = ConfusionMatrix(catalog)
        self._boundary = BoundaryIoU(catalog)

    def update(self, name: str, one: LabelMap, other: LabelMap) -> ImageAgreement:
        """Count one image: (H, W) labels of the catalog, void = its ignore id. Raises ValueError for other shapes."""
        if one.shape != other.shape:
            raise ValueError(f"the masks have the shapes {one.shape} and {other.shape}")
        ignore = self.catalog.ignore
        void_one, void_other = one == ignore, other == ignore
        void = void_one | void_other
        first, second = (np.where(void, labels.dtype.type(ignore), labels) for labels in (one, other))
        matrix = ConfusionMatrix(self.catalog).update(truth=first, prediction=second)
        self.matrix += matrix
        self._boundary.update(truth=first, prediction=second)
        counts = _square(matrix)
        found = ImageAgreement(
            name=name,
            pixels=int(counts.sum()),
            agreed=int(np.trace(counts)),
            one_only=int(np.count_nonzero(void_other & ~void_one)),
            other_only=int(np.count_nonzero(void_one & ~void_other)),
            kappa=cohen_kappa(counts),
            mean_iou=_mean(matrix.iou()),
        )
        self.images.append(found)
        return found

    def worst_first(self) -> list[ImageAgreement]:
        """The images in the order in which to look at them: least agreement first, images without a common pixel last."""
        return sorted(self.images, key=lambda image: (image.pixels == 0, image.share if image.pixels else 0.0, image.name))

    def iou(self) -> NDArray[np.float64]:
        """(C,) intersection over union of each class; nan for a class that neither side has."""
        return self.matrix.iou()

    def boundary_iou(self) -> NDArray[np.float64]:
        """(C,) the same near the contours, in a width of 2 % of the diagonal: :class:`BoundaryIoU`."""
        return self._boundary.iou()

    def pixels(self) -> tuple[list[int], list[int]]:
        """Px of each class by the first side and by the second, where both label."""
        counts = _square(self.matrix)
        return counts.sum(1).tolist(), counts.sum(0).tolist()

    @property
    def share(self) -> float:
        """Share of the pixels that both label on which they agree; nan without any."""
        counts = _square(self.matrix)
        total = int(counts.sum())
        return float(np.trace(counts) / total) if total else float("nan")

    @property
    def kappa(self) -> float:
        """Pooled :func:`cohen_kappa`."""
        return cohen_kappa(_square(self.matrix))

    def disagreements(self) -> list[tuple[str, str, int]]:
        """(class of the first side, class of the second, px), most pixels first."""
        counts = _square(self.matrix)
        names = self.catalog.names
        rows = [
            (names[row], names[column], int(counts[row, column]))
            for row, column in zip(*np.nonzero(counts), strict=True)
            if row != column
        ]
        return sorted(rows, key=lambda row: -row[2])

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; what was not measured is None."""
        rows = zip(self.catalog.classes, self.iou(), self.boundary_iou(), *self.pixels(), strict=True)
        return {
            "format": SCHEMA,
            "program": __version__,
            "catalog": self.catalog.to_dict(),
            "pixels": int(_square(self.matrix).sum()),
            "agreement": _known(self.share),
            "kappa": _known(self.kappa),
            "mean_iou": _known(_mean(self.iou())),
            "mean_boundary_iou": _known(_mean(self.boundary_iou())),
            "classes": [
                {
                    "id": info.id, "name": info.name, "iou": _known(iou), "boundary_iou": _known(near), "one_pixels": one,
                    "other_pixels": other,
                }
                for info, iou, near, one, other in rows
            ],
            "disagreements": [{"one": one, "other": other, "pixels": count} for one, other, count in self.disagreements()],
            "images": [image.to_dict() for image in self.worst_first()],
        }  # fmt: skip


def cohen_kappa(counts: NDArray[np.int64]) -> float:
    """Agreement beyond chance (Cohen 1960): (p_o - p_e) / (1 - p_e).

    Args:
        counts: (C, C) px by the classes of both sides.

    Returns:
        At most 1; 0 is what chance gives. nan without a pixel, and where both sides use one class only, because chance then
        explains everything.
    """
    total = float(counts.sum())
    if not total:
        return float("nan")
    observed = float(np.trace(counts)) / total
    expected = float((counts.sum(0) / total) @ (counts.sum(1) / total))
    return float("nan") if expected >= 1 else (observed - expected) / (1 - expected)


def _square(matrix: ConfusionMatrix) -> NDArray[np.int64]:
    return np.asarray(matrix.counts[:, :-1])


def _mean(values: NDArray[np.float64]) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
