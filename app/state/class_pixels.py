"""How many pixels of a class a project has. No Qt, no torch."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from deeplab_core.errors import AtrousError
from deeplab_core.labels import LabelMap, value_counts


@dataclass(slots=True)
class PixelCounts:
    """How many pixels of some classes the images of a project have.

    Attributes:
        by_class: id -> (images, pixels); ids without a pixel are left out.
        errors: of images with unreadable labels.
    """

    by_class: dict[int, tuple[int, int]] = field(default_factory=dict)
    errors: list[AtrousError] = field(default_factory=list)

    def of(self, class_id: int) -> tuple[int, int]:
        """(images, pixels) of a class."""
        return self.by_class.get(class_id, (0, 0))

    def add(self, labels: LabelMap, class_ids: Collection[int]) -> None:
        """Count one image: its (H, W) labels."""
        counts = value_counts(labels)
        for class_id in class_ids:
            if counts[class_id]:
                images, pixels = self.of(class_id)
                self.by_class[class_id] = images + 1, pixels + int(counts[class_id])
