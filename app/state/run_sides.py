"""What can be one of two runs that are compared in the window: a model with its setting, or the masks as they are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from app.state.comparison import ComparedModel
from deeplab_core.errors import MaskFormatError, message
from deeplab_core.labels import LabelMap


@dataclass(frozen=True, slots=True)
class RunSide:
    """One run.

    Attributes:
        title: as shown.
        model: the model with its setting; None for the masks of the project.
    """

    title: str
    model: ComparedModel | None = None

    @property
    def key(self) -> str:
        """What distinguishes it from other runs."""
        return "masks" if self.model is None else f"model {self.model.setting.text}"


def checked_size(labels: LabelMap, truth: LabelMap, path: Path) -> LabelMap:
    """The (H, W) labels of a run, if they have the size of the ground truth.

    Args:
        path: of the image, for the message.

    Raises:
        MaskFormatError: the sizes differ; labels are never resized.
    """
    if labels.shape != truth.shape:
        raise MaskFormatError(
            message(
                "the prediction is {width} x {height} px, its truth {truth_width} x {truth_height} px",
                width=labels.shape[1], height=labels.shape[0], truth_width=truth.shape[1], truth_height=truth.shape[0],
            ),
            remedy=message("Choose the ground truth of this image; it is never resized"),
            path=path,
        )  # fmt: skip
    return labels
