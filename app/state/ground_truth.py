"""The ground truth of a project: which file belongs to which image, and how its pixels lie. No Qt, no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from deeplab_core.datasets.ground_truth import TruthIndex

#: Which frame of a photograph with an EXIF orientation its masks are in; ``auto`` tells by the size.
Frame: TypeAlias = Literal["auto", "stored", "oriented"]


@dataclass(frozen=True, slots=True)
class GroundTruth:
    """What was found by the project's choice. Replaced as a whole, never changed: any thread may read it.

    Attributes:
        index: ground truth files by image.
        frame: in which frame of the photographs they are stored.
    """

    index: TruthIndex = field(default_factory=TruthIndex)
    frame: Frame = "auto"

    @property
    def files(self) -> Mapping[str, Path]:
        """Relative image path -> ground truth file."""
        return self.index.files

    def get(self, image: str) -> Path | None:
        """Ground truth file of an image (its relative path), or None."""
        return self.index.get(image)
