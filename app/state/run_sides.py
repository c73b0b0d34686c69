"""What can be one of two runs that are compared in the window: a model with its setting, a kept run, or the masks as they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from app.state.comparison import ComparedModel
from app.state.kept_runs import KeptRun, KeptRuns
from app.state.project import Project
from app.state.samples import ToProject, load_sample
from app.text import tr
from deeplab_core.analysis.difference import ImageErrorChange
from deeplab_core.analysis.error_maps import map_errors
from deeplab_core.analysis.objects import read_known_objects
from deeplab_core.errors import MaskFormatError, message
from deeplab_core.labels import LabelMap
from deeplab_core.records import PredictOptions


@dataclass(frozen=True, slots=True)
class RunSide:
    """One run.

    Attributes:
        title: as shown.
        model: the model with its setting; None for other runs.
        kept: the run that the project keeps; None for other runs. With neither it is the masks of the project.
    """

    title: str
    model: ComparedModel | None = None
    kept: KeptRun | None = None

    @property
    def key(self) -> str:
        """What distinguishes it from other runs."""
        if self.kept is not None:
            return f"kept {self.kept.number}"
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


def side_labels(project: Project, image: int, side: RunSide, to_project: ToProject | None = None) -> LabelMap | None:
    """(H, W) labels of an image in a run that is no model's; None where it has none. Reads the disk."""
    if side.kept is not None:
        return KeptRuns(project).labels(side.kept, image)
    return load_sample(project, image, truth=False, to_project=to_project).labels


def change_of(
    project: Project, image: int, sides: Sequence[RunSide], labels: Sequence[LabelMap] = (), objects: Path | None = None
) -> ImageErrorChange | None:
    """The errors of an image in two runs; None where a run has no labels for it, or without ground truth.

    Args:
        sides: both runs.
        labels: (H, W) of both; read here if they are not given.
        objects: file in which the data lists its objects, or None.

    Raises:
        AtrousError: a file cannot be used, or sizes differ.
    """
    found: list[LabelMap | None] = [*labels] or [side_labels(project, image, side) for side in sides]
    sample = load_sample(project, image, labels="none", rgb=True)
    truth = sample.truth
    if truth is None or any(one is None for one in found):
        return None
    known = () if objects is None else read_known_objects(objects, project.catalog)
    path = project.path_of(project.record(image))
    before, after = (
        map_errors(
            truth=truth, prediction=checked_size(one, truth, path), catalog=project.catalog, known=known, rgb=sample.rgb,
            exclude=sample.exclude,
        )
        for one in found
        if one is not None
    )  # fmt: skip
    return ImageErrorChange.of(before, after)


def settings_text(options: PredictOptions) -> str:
    """What of the settings of a prediction is not as usual, in words; empty if all is."""
    parts = []
    if options.output_stride is not None:
        parts.append(tr("output stride {stride}", stride=options.output_stride))
    if options.scales != (1.0,):
        parts.append(tr("scales {scales}", scales=", ".join(f"{scale:g}" for scale in options.scales)))
    if options.flip:
        parts.append(tr("mirrored too"))
    if options.resize is not None:
        parts.append(tr("resize {resize}", resize=options.resize))
    if options.crf is not None:
        parts.append(tr("CRF"))
    if options.threshold is not None:
        parts.append(tr("threshold {value}", value=f"{options.threshold:g}"))
    if options.precision != "auto":
        parts.append(options.precision)
    return ", ".join(parts)
