"""Doubt of a whole folder: orders worst first, how well each found the errors, and labels of the truth that seem wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from deeplab_core.analysis.doubts import DOUBT_TEXT, DoubtedLabel, ImageDoubt
from deeplab_core.analysis.folder_ranking import FolderRanking
from deeplab_core.analysis.ranking import worst_first
from deeplab_core.analysis.summary import ranking_to_dict
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.errors import AtrousError

#: Name and version of the JSON form; docs/inspection.md describes it.
FORMAT = "atrous-doubt-1"
#: Doubted regions of a folder that are kept: the heaviest.
REGIONS = 10_000

#: Score of :class:`ImageDoubt` -> what a person calls the order.
_NAMES = {
    "confidence": "confidence",
    "least_certain": "least_certain",
    "expected_wrong": "expected_wrong",
    "model_margin": "margin",
    "model_entropy": "entropy",
    "model_passes": "passes",
    "other": "second_model",
    "crf": "crf",
}
#: The orders and what they are, for display beside a figure.
DOUBT_ORDERS = {name: DOUBT_TEXT[score] for score, name in _NAMES.items()} | {
    "second_model": "pixels on which the second model differs, away from edges"
}


@dataclass(frozen=True, slots=True)
class DoubtedRegion:
    """A region of one image's truth whose label seems wrong."""

    image: str
    label: DoubtedLabel


class FolderDoubt:
    """Figures of a folder, gathered image by image; maps are not kept.

    Args:
        catalog: the classes that the figures are in.
        regions: how many doubted regions are kept at most.

    Attributes:
        failures: what could not be read or measured.
        regions_found: doubted regions of all images, those that are not kept included (at most 20 of an image are ever found).
    """

    def __init__(self, catalog: ClassCatalog, *, regions: int = REGIONS) -> None:
        self.catalog = catalog
        self.failures: list[AtrousError] = []
        self.regions_found = 0
        self._limit = regions
        self._scores: dict[str, dict[str, float]] = {}
        self._quality: dict[str, float] = {}
        self._pixels: dict[str, int] = {}
        self._wrong: dict[str, int] = {}
        self._regions: list[DoubtedRegion] = []

    def __len__(self) -> int:
        return len(self._pixels)

    def add(self, image: str, doubt: ImageDoubt) -> None:
        """Count an image. Raises ValueError for a name that is already counted."""
        if image in self._pixels:
            raise ValueError(f"{image} is counted already")
        self._pixels[image] = doubt.pixels
        if doubt.wrong_px is not None:
            self._wrong[image] = doubt.wrong_px
        for score, name in _NAMES.items():
            if score in doubt.scores:
                self._scores.setdefault(name, {})[image] = doubt.scores[score]
        if "labels" in doubt.scores:
            self._quality[image] = 1 - doubt.scores["labels"]
        self.regions_found += len(doubt.issues)
        self._regions += [DoubtedRegion(image, label) for label in doubt.issues]
        if len(self._regions) > 2 * self._limit:
            self._regions = self.regions()

    def ranking(self) -> FolderRanking:
        """All orders that were measured, in the order of :data:`DOUBT_ORDERS`."""
        scores = {name: self._scores[name] for name in DOUBT_ORDERS if name in self._scores}
        return FolderRanking(scores, self._wrong, self._pixels, tuple(self.failures), DOUBT_ORDERS)

    def label_quality(self) -> dict[str, float]:
        """Softmin quality of the given labels, 0..1, by image, lowest first; images without truth are missing."""
        doubts = {image: 1 - quality for image, quality in self._quality.items()}
        return {image: self._quality[image] for image in worst_first(doubts)}

    def regions(self) -> list[DoubtedRegion]:
        """Doubted regions of all images, heaviest first."""
        return sorted(self._regions, key=lambda region: (-region.label.weight, region.image))[: self._limit]

    def to_dict(self, *, label_errors: bool) -> dict[str, Any]:
        """Plain values for JSON.

        Args:
            label_errors: with the quality of the given labels and the doubted regions.
        """
        ranking = self.ranking()
        data: dict[str, Any] = {
            "format": FORMAT,
            "catalog": self.catalog.to_dict(),
            "images": len(self),
            "truth": [
                {"image": image, "pixels": self._pixels[image], "wrong_px": wrong} for image, wrong in sorted(self._wrong.items())
            ],
            "orders": ranking_to_dict(ranking),
            "not_measured": [error.to_dict() for error in self.failures],
        }
        if label_errors:
            data["label_errors"] = {
                "quality": [{"image": image, "quality": quality} for image, quality in self.label_quality().items()],
                "regions_found": self.regions_found,
                "regions": [_region(region) for region in self.regions()],
            }
        return data


def _region(region: DoubtedRegion) -> dict[str, Any]:
    label = region.label
    return {
        "image": region.image,
        "given": label.given,
        "likely": label.suggested,
        "box": list(label.box),
        "pixels": label.pixels,
        "weight": label.weight,
    }
