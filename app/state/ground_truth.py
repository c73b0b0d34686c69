"""The ground truth of a project: which file belongs to which image, how its pixels lie, and who said so. No Qt, no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from deeplab_core.datasets import GroundTruthFiles
from deeplab_core.masks.frames import Frame

#: ``certain``: found, and nothing speaks against it; ``asked``: the user answered a question; ``user``: the user chose it
#: without being asked; ``later``: the user put the question off.
How = Literal["certain", "asked", "user", "later"]


@dataclass(frozen=True, slots=True)
class TruthChoice:
    """Where the ground truth of a project lies.

    Attributes:
        folders: folders of ground truth; empty for "no ground truth". Only a choice that was found can have several.
        how: who said so.
        predicted: the user agreed to take masks as ground truth that a model made.
    """

    folders: tuple[Path, ...]
    how: How
    predicted: bool = False


@dataclass(frozen=True, slots=True)
class GroundTruth:
    """What was found by the project's choice. Replaced as a whole, never changed: any thread may read it.

    Attributes:
        index: ground truth files by image.
        frame: in which frame of the photographs they are stored; ``auto`` tells by the size.
        choice: what it rests on; None before anything was chosen.
        problem: why the chosen folder cannot be used, in words; empty for most.
    """

    index: GroundTruthFiles = field(default_factory=GroundTruthFiles)
    frame: Frame = "auto"
    choice: TruthChoice | None = None
    problem: str = ""

    @property
    def files(self) -> Mapping[str, Path]:
        """Relative image path -> ground truth file."""
        return self.index.files

    def get(self, image: str) -> Path | None:
        """Ground truth file of an image (its relative path), or None."""
        return self.index.get(image)


@dataclass(frozen=True, slots=True)
class FrameQuestion:
    """Masks that fit their photographs both ways.

    Attributes:
        folder: of the masks, for which the answer is stored.
        image: relative path of a photograph.
        mask: its mask.
        orientation: its EXIF orientation, 2..8.
        images: how many photographs were found so, of those that were looked at.
    """

    folder: Path
    image: str
    mask: Path
    orientation: int
    images: int = 1
