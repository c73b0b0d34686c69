"""How many pixels of a class a project has. No Qt, no torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deeplab_core.errors import AtrousError
from deeplab_core.labels import value_counts

if TYPE_CHECKING:
    from app.state.project import Project


@dataclass(frozen=True, slots=True)
class PixelCounts:
    """How many pixels of some classes a project has.

    Attributes:
        by_class: id -> (images, pixels); ids without a pixel are left out.
        errors: of images with unreadable labels.
    """

    by_class: Mapping[int, tuple[int, int]]
    errors: tuple[AtrousError, ...] = ()

    def of(self, class_id: int) -> tuple[int, int]:
        """(images, pixels) of a class."""
        return self.by_class.get(class_id, (0, 0))


def count_pixels(project: Project, class_ids: Iterable[int]) -> PixelCounts:
    """Count the pixels of classes over all labelled images. Reads every mask: meant for another thread."""
    found: dict[int, tuple[int, int]] = {}
    errors: list[AtrousError] = []
    wanted = list(class_ids)
    for image in sorted(project.labelled()):
        try:
            counts = value_counts(project.load(image).document.labels)
        except AtrousError as error:
            errors.append(error)
            continue
        for class_id in wanted:
            if counts[class_id]:
                images, pixels = found.get(class_id, (0, 0))
                found[class_id] = images + 1, pixels + int(counts[class_id])
    return PixelCounts(found, tuple(errors))
