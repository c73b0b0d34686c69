"""Inspecting one sample of a project, with what its data says of its objects. For jobs."""

from __future__ import annotations

from pathlib import Path

from app.state.project import Project
from app.state.samples import EvaluationSample
from deeplab_core.analysis.image import inspect_image
from deeplab_core.analysis.objects import read_known_objects
from deeplab_core.analysis.record import ImageAnalysis
from deeplab_core.datasets.ground_truth import TruthIndex
from deeplab_core.datasets.sidecars import SidecarFiles


def inspect_sample(project: Project, sample: EvaluationSample, objects: Path | None) -> ImageAnalysis:
    """Inspect an image; its ambiguous regions are left out.

    Args:
        project: whose classes count.
        sample: with labels, ground truth and pixels.
        objects: list of what the data itself says of its objects (rendered rooms), or None.

    Raises:
        MaskFormatError: the list of objects cannot be read.
    """
    assert sample.truth is not None
    assert sample.labels is not None
    return inspect_image(
        truth=sample.truth,
        prediction=sample.labels,
        catalog=project.catalog,
        known=() if objects is None else read_known_objects(objects, project.catalog),
        rgb=sample.rgb,
        exclude=sample.exclude,
    )


class ObjectLists:
    """Lists of objects that rendered rooms have in a folder ``objects`` beside that of their truth."""

    def __init__(self, truth: TruthIndex) -> None:
        """Look beside the folders of truth; costs a walk through the files there."""
        folders = {folder.parent / "objects" for folder in truth.folders}
        self._found = [SidecarFiles(folder, (".json",)) for folder in sorted(folders) if folder.is_dir()]

    def of(self, image: str) -> Path | None:
        """The list that goes with an image (its relative path); None where there is none."""
        return next((path for path in (folder.of(image) for folder in self._found) if path is not None), None)
