"""Comparing models over a whole folder: pooled figures of each, and the images on which they differ most."""

from __future__ import annotations

from dataclasses import dataclass, field

from PySide6.QtCore import QObject, Signal

from app.controllers.compare.models import ComparedModels
from app.controllers.compare.requests import ModelRequest, ask_model
from app.controllers.evaluate.figures import EvaluationFigures
from app.controllers.predict.models import ModelsController
from app.controllers.project.folder_jobs import FolderJobs
from app.services.folder_job import FolderJob, Steps, background
from app.services.services import Services
from app.state.comparison import (
    MOST_TESTED,
    ComparedModel,
    FolderComparison,
    ImageDifference,
    ModelFigures,
    PairCount,
    ablation_of,
    count_pair,
    figures_of,
    pairs_of,
)
from app.state.project import Project
from app.state.samples import load_sample
from app.text import error_sentences, plural, spaced, tr
from app.viewmodels.compare.rows import model_curves
from app.viewmodels.evaluate.curves import Curve
from app.viewmodels.project.folder_plan import plan_comparison
from app.worker.messages import NORMAL
from deeplab_core.analysis.ablation import Ablation
from deeplab_core.analysis.folder import FolderAnalysis
from deeplab_core.analysis.image import count_labels
from deeplab_core.analysis.record import ImageAnalysis
from deeplab_core.errors import AtrousError, join_messages
from deeplab_core.learning import PackedLabels
from deeplab_core.metrics.trimap import band_map
from deeplab_core.records import PredictOptions, TrimapBand

#: Images that one model sees before the next one has its turn: where memory holds one model at a time, each is read again once
#: per block, which costs little beside its predictions.
BLOCK = 24
#: What an image counts: by place, and by places.
_Counted = tuple[list[ImageAnalysis], dict[tuple[int, int], PairCount]]


@dataclass(slots=True)
class _Run:
    """A comparison in progress."""

    project: Project
    options: PredictOptions
    band: TrimapBand
    result: FolderComparison
    predicted: dict[int, list[PackedLabels]] = field(default_factory=dict)  # by image, in the order of places
    failed: set[int] = field(default_factory=set)
    notes: dict[str, None] = field(default_factory=dict)
    done: int = 0


class CompareFolder(QObject):
    """At most one run at a time; what it has predicted is on disk, so that the next one goes on there.

    Signals:
        changed(): figures or list grew, or another folder is open.
    """

    changed = Signal()

    def __init__(
        self,
        services: Services,
        compared: ComparedModels,
        models: ModelsController,
        figures: EvaluationFigures,
        folder_jobs: FolderJobs,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._compared, self._session, self._models, self._figures = compared, services.session, models, figures
        self._folder_jobs = folder_jobs
        self._jobs = services.jobs
        self._compute, self._notifier, self._context = services.compute, services.notifier, services.context
        self._job: FolderJob[_Counted | None] | None = None
        self.result: FolderComparison | None = None
        services.session.projectChanged.connect(self._leave)
        figures.truthFound.connect(lambda _index: self._leave(None))

    def start(self) -> None:
        """Say what that takes, then compare the chosen models on every image of the folder, as one job that can be stopped."""
        project = self._session.project
        if self._job is not None or project is None:
            return
        models = tuple(model for model in self._compared.models if model.card is not None)
        images = [record.id for record in project.images if not record.missing]
        if len(models) < 2 or not images:
            self._notifier.warning(tr("Choose at least two models to compare"), replace_key="compare")
            return
        self._folder_jobs.ask(plan_comparison(project, len(models)), lambda: self._begin(project, models, images))

    def _begin(self, project: Project, models: tuple[ComparedModel, ...], images: list[int]) -> None:
        if self._job is not None or project is not self._session.project:
            return  # the question was answered late
        result = FolderComparison(
            models,
            self._figures.band,
            [FolderAnalysis(project.catalog) for _ in models],
            {pair: PairCount() for pair in pairs_of(len(models))},
            times=[[] for _ in models],
        )
        self.result = result
        run = _Run(project, self._models.run_settings.options(), self._figures.band, result)
        blocks = [images[first : first + BLOCK] for first in range(0, len(images), BLOCK)]
        self._job = self._folder_jobs.start(
            project, tr("Comparing models on the folder"), [image for block in blocks for _ in models for image in block],
            lambda image: self._visit(run, image), lambda image, counted: self._pool(run, image, counted),
            on_failure=lambda image, _error: run.failed.add(image), on_end=lambda job: self._finish(run, job),
        )  # fmt: skip
        self._context.update(compare_running=True)
        self.changed.emit()

    def figures(self) -> list[ModelFigures | None]:
        """Pooled figures of each model, by place."""
        result = self.result
        return [] if result is None else [figures_of(folder, result.band) if len(folder) else None for folder in result.counts]

    def curves(self) -> list[Curve]:
        """Trimap curve of each model over the folder, in the band that is measured now; empty for another one."""
        result, band = self.result, self._figures.band
        if result is None or (result.band.rule, result.band.around) != (band.rule, band.around):
            return []
        return model_curves(result.models, self.figures())

    def open_image(self, image: int) -> None:
        """Bring an image of the list into view."""
        self._session.open_image(image)

    # -- the run ---------------------------------------------------------------------------------------------------------

    def _visit(self, run: _Run, image: int) -> Steps[_Counted | None]:
        """Have the next model predict an image; count the image once all of them have."""
        if image in run.failed:
            return None
        labels, result = run.predicted.setdefault(image, []), run.result
        place = len(labels)
        model = result.models[place]
        prediction = yield from ask_model(
            self._compute, ModelRequest(run.project, image, model, model.options(run.options), NORMAL)
        )
        labels.append(PackedLabels.of(prediction.labels))
        result.times[place].append(prediction.milliseconds)
        if prediction.note:
            run.notes[prediction.note] = None
        if prediction.unmatched:
            note = plural(
                "{n} class of {title} has no partner in this project and counts as void.",
                "{n} classes of {title} have no partner in this project and count as void.",
                len(prediction.unmatched),
                title=model.title,
            )
            run.notes[note] = None
        if len(labels) < len(result.models):
            return None
        packed = run.predicted.pop(image)
        return (yield from background(lambda: _count(run, image, packed)))

    def _pool(self, run: _Run, image: int, found: _Counted | None) -> None:
        if found is None:
            return
        counts, pairs = found
        result = run.result
        for folder, count in zip(result.counts, counts, strict=True):
            folder.update(str(image), count)
        result.pairs = {pair: result.pairs[pair] + count for pair, count in pairs.items()}
        matrices = [count.matrix for count in counts]
        means = tuple(float("nan") if matrix is None else matrix.mean_iou("truth").value for matrix in matrices)
        result.rows.append(ImageDifference(image, run.project.record(image).shown, pairs, means))
        result.scored += matrices[0] is not None
        run.done += 1
        self.changed.emit()

    def _leave(self, _project: Project | None) -> None:
        """Another folder, or other ground truth: nothing of the old one is shown any more."""
        if self._job is not None:
            self._job.cancel()
        self.result = None
        self.changed.emit()

    def _finish(self, run: _Run, job: FolderJob[_Counted | None]) -> None:
        self._job = None
        self._context.update(compare_running=False)
        summary = [
            tr(
                "{done} compared, {scored} of them with ground truth",
                done=plural("{n} image", "{n} images", run.done),
                scored=spaced(run.result.scored),
            )
        ]
        if job.stopped:
            summary.append(tr("predictions are kept for the next run"))
        self._folder_jobs.say(job, tr("Comparison"), summary, key="compare-folder", remarks=tr(join_messages(run.notes)))
        self._test(run.result)
        self.changed.emit()

    def _test(self, result: FolderComparison) -> None:
        """Find what the models do to the figures of the first one, in the background."""
        if result.scored < 2:
            result.untested = tr("Verdicts require two images with ground truth.")
            return
        if result.scored > MOST_TESTED:
            result.untested = tr("No verdicts for more than {images} images: atrous ablate has them.", images=spaced(MOST_TESTED))
            return

        def done(found: Ablation) -> None:
            result.ablation = found
            self.changed.emit()

        def failed(error: Exception) -> None:
            if not isinstance(error, AtrousError):
                raise error
            result.untested = error_sentences(error)
            self.changed.emit()

        self._jobs.run(lambda: ablation_of(result), done, failed)


def _count(run: _Run, image: int, packed: list[PackedLabels]) -> _Counted:
    """Count one image, on a thread of the pool."""
    catalog, band = run.project.catalog, run.band
    labels = [each.unpacked() for each in packed]
    index = None
    sample = load_sample(run.project, image, labels="none")
    truth, whole = sample.scored, sample.truth
    if whole is not None and band.around == "truth":  # one for all models
        index = band_map(truth=whole, prediction=whole, ignore=catalog.ignore, rule=band.rule, around="truth")
    counts = [count_labels(each, catalog, truth=truth, band=band, index=index) for each in labels]
    return counts, {(a, b): count_pair(labels[a], labels[b], catalog.ignore, truth) for a, b in pairs_of(len(labels))}
