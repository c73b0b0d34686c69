"""What can be one of two runs that are compared in the window: a model with its setting, a kept run, or the masks as they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from app.state.comparison import VARIANTS, ComparedModel
from app.state.kept_runs import KeptRun, KeptRuns
from app.state.project import Project
from app.state.samples import ToProject, load_sample
from app.text import plural, tr
from deeplab_core.analysis.difference import ImageErrorChange, RunDifference
from deeplab_core.analysis.error_comparison import ErrorComparison
from deeplab_core.analysis.error_maps import map_errors
from deeplab_core.analysis.image import count_labels
from deeplab_core.analysis.objects import read_known_objects
from deeplab_core.labels import LabelMap
from deeplab_core.metrics.pair_reader import check_same_size
from deeplab_core.metrics.truth_hash import ground_truth_hash, label_map_hash
from deeplab_core.records import PredictOptions, TrimapBand
from deeplab_core.refine.parameters import PRESETS


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


@dataclass(slots=True, eq=False)
class RunChange:
    """Two runs that are compared, or were.

    Attributes:
        sides: both runs.
        options: settings that the models ran with.
        difference: grows while images come.
        errors: with intervals; None before the job has ended.
        whole: whether ``errors`` has its intervals and p-values.
        notes: what a reader must know of the ground truth of kept runs, in sentences.
    """

    project: Project
    sides: tuple[RunSide, RunSide]
    options: PredictOptions
    difference: RunDifference
    errors: ErrorComparison | None = None
    whole: bool = False
    notes: tuple[str, ...] = ()

    def name(self, image: str) -> str:
        """Path of an image of the difference below the folder."""
        return self.project.record(int(image)).relative_path


def side_labels(project: Project, image: int, side: RunSide, to_project: ToProject | None = None) -> LabelMap | None:
    """(H, W) labels of an image in a run that is no model's; None where it has none. Reads the disk."""
    if side.kept is not None:
        return KeptRuns(project).labels(side.kept, image)
    return load_sample(project, image, truth=False, to_project=to_project).labels


def change_of(
    project: Project,
    image: int,
    sides: Sequence[RunSide],
    labels: Sequence[LabelMap] = (),
    objects: Path | None = None,
    band: TrimapBand | None = None,
) -> ImageErrorChange | None:
    """The errors of an image in two runs; None where a run has no labels for it, or without ground truth.

    Args:
        sides: both runs.
        labels: (H, W) of both; read here if they are not given.
        objects: file in which the data lists its objects, or None.
        band: both runs are scored inside it too, at every width.

    Returns:
        The change; both runs name the ground truth by its hash.

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
    runs = [one for one in found if one is not None]
    for one in runs:
        check_same_size(one, truth, path=path)
    before, after = (
        map_errors(
            truth=truth, prediction=one, catalog=project.catalog, known=known, rgb=sample.rgb, exclude=sample.exclude,
        )
        for one in runs
    )  # fmt: skip
    change = ImageErrorChange.of(before, after)
    scored = sample.scored
    digest = "" if scored is None else label_map_hash(scored)
    first, second = (
        replace(count_labels(one, project.catalog, truth=truth, exclude=sample.exclude, band=band), truth_sha256=digest)
        for one in runs
    )
    return replace(change, before=change.before.with_parts(first), after=change.after.with_parts(second))


def truth_note(run: KeptRun, difference: RunDifference, names: Callable[[str], str]) -> str:
    """Whether the ground truth is another one than the one that gave a kept run its figures, as a sentence; empty if it is not.

    Args:
        difference: of the run and another one, whole.
        names: gives the path of an image of the difference.
    """
    if not run.truth_sha256:
        return ""
    known = [(names(image), record.truth_sha256) for image in difference.before if (record := difference.before.get(image))]
    if len(known) < run.scored:
        return plural(
            "Only {n} image of run '{name}' is compared: whether its ground truth has changed is not known.",
            "Only {n} images of run '{name}' are compared: whether its ground truth has changed is not known.",
            len(known),
            name=run.name,
        )
    if ground_truth_hash(known) == run.truth_sha256:
        return ""
    return tr(
        "The ground truth has changed since run '{name}' was kept: its own figures are of another one than this comparison.",
        name=run.name,
    )


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
        name = next((name for name, known in PRESETS.items() if known.params == options.crf), "")
        parts.append(tr(VARIANTS.get(f"crf:{name}", "CRF")))
    if options.engine != "torch":
        known = VARIANTS.get(f"engine:{options.engine}")
        parts.append(tr("engine {name}", name=options.engine) if known is None else tr(known))
    if options.threshold is not None:
        parts.append(tr("threshold {value}", value=f"{options.threshold:g}"))
    if options.precision != "auto":
        parts.append(options.precision)
    return ", ".join(parts)
