"""Reading one image of a project with its truth and labels, to inspect it or to cut pictures out of it. For jobs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.state.ambiguous import excluded
from app.state.project import Project
from deeplab_core.errors import MaskFormatError
from deeplab_core.formats.masks import read_mask
from deeplab_core.formats.truth import TruthIndex
from deeplab_core.images.decode import read_image
from deeplab_core.inspection.companions import Companions
from deeplab_core.inspection.image import ImageInspection, inspect_image
from deeplab_core.inspection.objects import read_known_objects
from deeplab_core.records import Prediction

Labels = NDArray[Any]  # (H, W) uint8, or uint16 for a wide catalog
#: A prediction's labels in the project's ids; None where its classes are unknown.
ToProject = Callable[[Prediction], Labels | None]


@dataclass(frozen=True, slots=True, eq=False)
class ImageCase:
    """One image with what is said of it.

    Attributes:
        rgb: (H, W, 3) uint8, EXIF orientation applied.
        truth: (H, W) ids.
        labels: (H, W) ids: the mask as it is, else the newest prediction.
    """

    rgb: NDArray[np.uint8]
    truth: Labels
    labels: Labels


def read_case(project: Project, image: int, truth: Path, to_project: ToProject) -> ImageCase | None:
    """Read an image, its truth and its labels; None where it has neither a mask nor a prediction.

    Raises:
        ImageReadError, MaskFormatError, ProjectError: a file cannot be used.
    """
    record = project.record(image)
    data = read_image(project.path_of(record))
    labels: Labels | None = None
    if record.touched or record.mask or project.journal.head(image):
        labels = project.load(image, data.rgb.shape[:2]).document.labels
    if labels is None:
        prediction = project.prediction_of(image)
        labels = None if prediction is None else to_project(prediction)
    if labels is None:
        return None
    return ImageCase(data.rgb, read_mask(truth, project.catalog, data.info), labels)


def inspect_case(project: Project, image: int, case: ImageCase, objects: Path | None) -> ImageInspection:
    """Inspect an image; its ambiguous regions are left out.

    Args:
        project, image: whose marks and classes count.
        case: what was read; the labels may be newer than the project's.
        objects: list of what the data itself says of its objects (rendered rooms), where there is one.

    Raises:
        MaskFormatError: truth and mask differ in size, or the list of objects cannot be read.
        ProjectError: marks that do not fit.
    """
    if case.truth.shape != case.labels.shape:
        sizes = [f"{labels.shape[1]} x {labels.shape[0]} px" for labels in (case.truth, case.labels)]
        raise MaskFormatError(
            f"the truth is {sizes[0]}, the image {sizes[1]}", remedy="Choose the truth of this image; it is never resized"
        )
    return inspect_image(
        truth=case.truth,
        prediction=case.labels,
        catalog=project.catalog,
        known=() if objects is None else read_known_objects(objects, project.catalog),
        rgb=case.rgb,
        exclude=excluded(project, image, case.truth.shape),
    )


class ObjectLists:
    """Lists of objects that rendered rooms have in a folder ``objects`` beside that of their truth."""

    def __init__(self, truth: TruthIndex) -> None:
        """Look beside the folders of truth; costs a walk through the files there."""
        folders = {folder.parent / "objects" for folder in truth.folders}
        self._found = [Companions(folder, (".json",)) for folder in sorted(folders) if folder.is_dir()]

    def of(self, image: str) -> Path | None:
        """The list that goes with an image (its relative path); None where there is none."""
        return next((path for path in (folder.of(image) for folder in self._found) if path is not None), None)
