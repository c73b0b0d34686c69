"""The folder as a whole: scores of every image, figures and curve pooled over those that have truth and a mask."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import QObject, Signal

from app.controllers.open_image import OpenImage
from app.services.jobs import Job, JobRegistry, JobState
from app.services.notifications import Notifier
from app.services.timers import single_shot
from app.state.curves import Curve
from app.state.image_scores import ImageScore, score_labels
from app.state.judgement import FolderJudgement, ImageJudgement, folder_mean_text
from app.state.project import Project
from app.state.samples import EvaluationSample, Held, Labels, load_sample, truth_stamp
from app.state.wording import counted
from deeplab_core.boundary.band import band_index
from deeplab_core.boundary.histogram import BandHistogram
from deeplab_core.errors import AtrousError, MaskFormatError
from deeplab_core.metrics import ConfusionMatrix
from deeplab_core.records import Prediction, TrimapBand

if TYPE_CHECKING:
    from app.controllers.judge import JudgeController
    from app.controllers.predict import PredictController
    from app.controllers.project import ProjectController

_KIND = "score"

_Figures = tuple[ConfusionMatrix, BandHistogram]

#: How long the hand rests before the score of the image in view is written anew.
_SCORE_MS = 600


@dataclass(frozen=True, slots=True)
class _Measured:
    """One image, measured from what lies on disk.

    Attributes:
        head: of its journal when the mask was read.
        stamp: of the ground truth that was read.
        score: for the list.
        now, model: figures of the mask, and those of the prediction where there is one.
    """

    head: int
    stamp: str
    score: ImageScore
    now: _Figures
    model: _Figures | None


class FolderJudge(QObject):
    """Scores of all images; kept with the project, so that the list shows them at the next visit.

    Signals:
        changed(): the folder was judged, or another one is open: figures and curve are others.
        followed(): the pooled figures have followed the image in view.
        scored(image id): one image has another score.
    """

    changed = Signal()
    followed = Signal()
    scored = Signal(int)

    def __init__(
        self,
        projects: ProjectController,
        judge: JudgeController,
        predict: PredictController,
        jobs: JobRegistry,
        notifier: Notifier,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._projects, self._judge, self._predict, self._jobs, self._notifier = projects, judge, predict, jobs, notifier
        self.scores: dict[int, ImageScore] = {}
        self._stamps: dict[int, str] = {}  # of the ground truth that each score was measured against
        self._rescoring: Job | None = None
        self._now: FolderJudgement | None = None
        self._model: FolderJudgement | None = None
        self._work: Iterator[int] | None = None
        self._band = TrimapBand()
        self._viewed: OpenImage | None = None
        self._score_timer = single_shot(self, _SCORE_MS, self._score_view)
        predict.folder_run.predicted.connect(self._score_prediction)
        projects.imageChanged.connect(self._leave_image)
        projects.stepWritten.connect(self._follow_step)

    @property
    def pooled(self) -> ConfusionMatrix | None:
        """The folder's confusion matrix; None before it was judged."""
        return None if self._now is None or not len(self._now) else self._now.matrix

    @property
    def images(self) -> int:
        """How many images the pooled figures are over."""
        return 0 if self._now is None else len(self._now)

    def set_project(self, project: Project | None) -> None:
        """Follow another project and read its kept scores."""
        self.scores, self._stamps, self._now, self._model, self._work, self._viewed = {}, {}, None, None, None, None
        if project is not None:
            kept = project.results(_KIND)
            self.scores = {image: ImageScore.from_bytes(data) for image, (_, data) in kept.items()}
            self._stamps = {image: stamp for image, (stamp, _) in kept.items()}
        self.changed.emit()

    def follow_truth(self) -> None:
        """The project's ground truth is known, or another one: figures that rest on another are measured again."""
        project = self._projects.project
        if project is None:
            return
        judged, stamps = self._now is not None, dict(self._stamps)
        self._now, self._model = None, None
        if self._work is not None:
            self._stop()
        if self._rescoring is not None:
            self._rescoring.cancel()
        self.changed.emit()

        def done(stale: list[int]) -> None:
            if project is not self._projects.project:
                return
            for image in stale:
                if image in self.scores:
                    self.scores[image] = replace(self.scores[image], iou=None)
                    self.scored.emit(image)
            if judged and len(self._judge.index):
                self.start()
            elif stale:
                self._score_again(project, stale)

        def find() -> list[int]:
            return [image for image, stamp in stamps.items() if truth_stamp(project, image) != stamp]

        self._jobs.run(find, done, self._ignore)

    def _score_again(self, project: Project, images: list[int]) -> None:
        """Score images one after the other, as one job that can be stopped."""
        total, waiting = len(images), iter(images)
        job = self._rescoring = self._jobs.add(Job("Scoring images", lambda: None))

        def step(done: int) -> None:
            image = None if job.cancel_asked or project is not self._projects.project else next(waiting, None)
            if image is None:
                job.finish(JobState.CANCELLED if job.cancel_asked else JobState.DONE)
                if self._rescoring is job:
                    self._rescoring = None
                return
            job.progress(done, total)
            if project.record(image).missing:
                step(done + 1)
            else:
                self._score(image, then=lambda: step(done + 1))

        step(0)

    def follow(self, judgement: ImageJudgement) -> None:
        """Let the pooled figures and the list follow the image in view. Costs O(classes^2), whatever the image's size."""
        image = self._projects.image
        if image is None or image.document is not judgement.document:
            return
        if self._now is not None and str(image.id) in self._now:
            self._put_live(image.id, judgement)
            self.followed.emit()
        kept = self.scores.get(image.id)
        mean = judgement.matrix.mean_iou("truth").value
        known = kept is not None and kept.iou is not None and abs(kept.iou - mean) < 1e-9
        if not known and not np.isnan(mean) and (kept is not None or image.document.revision):
            self._score_timer.start()

    def worst_first(self) -> list[int]:
        """Ids by score: lowest IoU first, then, of those without truth, the most uncertain first."""
        judged = sorted((score.iou, image) for image, score in self.scores.items() if score.iou is not None)
        others = [
            (-score.uncertainty, i) for i, score in self.scores.items() if score.iou is None and score.uncertainty is not None
        ]
        return [image for _, image in judged] + [image for _, image in sorted(others)]

    def curves(self, band: TrimapBand) -> tuple[Curve, ...]:
        """Curves of mIoU over width pooled over the folder; empty where it was not judged in this band."""
        found = []
        for name, pool in (("model", self._model), ("now", self._now)):
            if pool is not None and pool.band_images(band.rule, band.around):
                # Model and mask are compared here: over the classes of the ground truth, which both have.
                values = pool.histogram(band.rule, band.around).curve("truth").mean_iou
                found.append(Curve(name, tuple(values.tolist())))
        return tuple(found)

    def start(self) -> None:
        """Judge every image that has truth and a mask (or a prediction), in the background, one after the other."""
        project = self._projects.project
        if project is None or self._work is not None:
            return
        ids = self._judge.images_with_truth()
        if not ids:
            return
        if self._projects.autosaver is not None:
            self._projects.autosaver.save_now()
        self._band = self._judge.band
        self._now, self._model = FolderJudgement(project.catalog), FolderJudgement(project.catalog)
        job = self._jobs.add(Job("Judging the folder", self._stop))
        self._work = iter(ids)
        self._next(project, job, 0, len(ids))

    def remeasure(self, image: int) -> None:
        """Measure one image of the pool again, because other pixels of its truth count now."""
        project = self._projects.project
        if project is None or self._now is None or self._now.share(str(image)) is None:
            return
        if self._projects.autosaver is not None:
            self._projects.autosaver.save_now()

        def finish(found: _Measured | None) -> None:
            if project is self._projects.project and found is not None:
                self._take(image, found)
                self.changed.emit()

        def failed(error: Exception) -> None:
            if not isinstance(error, AtrousError):
                raise error
            self._judge.truth_problem(project.record(image).relative_path, error)

        self._jobs.run(lambda: self._measure(project, image), finish, failed)

    def _take(self, image: int, found: _Measured) -> None:
        """Put an image into the pool; of the image in view what the hand has made of it meanwhile."""
        if self._now is None or self._model is None:
            return
        self._keep(image, found.score, found.stamp)
        live = self._live(image)
        if live is None:
            self._now.put(str(image), *found.now)
        else:
            self._put_live(image, live)
            self.follow(live)  # and its score
        if found.model is not None:
            self._model.put(str(image), *found.model)

    def _live(self, image: int) -> ImageJudgement | None:
        """The judgement that follows the hand, where the image is in view and its truth was read."""
        viewed, judgement = self._viewed, self._judge.judgement
        known = viewed is not None and viewed.id == image and judgement is not None and judgement.document is viewed.document
        return judgement if known else None

    def _put_live(self, image: int, judgement: ImageJudgement) -> None:
        assert self._now is not None
        rule, around = self._band.rule, self._band.around
        counted = (judgement.histogram(rule, around),) if judgement.has_histogram(rule, around) else ()
        self._now.put(str(image), judgement.matrix, *counted)

    def _stop(self) -> None:
        self._work = iter(())

    def _next(self, project: Project, job: Job, done: int, total: int) -> None:
        if project is not self._projects.project:
            job.finish(JobState.CANCELLED)  # what runs now, if anything, belongs to another project
            return
        image = None if self._work is None else next(self._work, None)
        if image is None:
            self._work = None
            job.finish(JobState.CANCELLED if job.cancel_asked else JobState.DONE)
            self._say(job)
            self.changed.emit()
            return
        job.progress(done, total, project.record(image).name)

        def finish(found: _Measured | None) -> None:
            if project is self._projects.project and found is not None:
                if self._live(image) is None and project.journal.head(image) != found.head:
                    measure()  # painted meanwhile, and out of view again
                    return
                self._take(image, found)
            self._next(project, job, done + 1, total)

        def failed(error: Exception) -> None:
            if not isinstance(error, AtrousError):
                raise error
            self._judge.truth_problem(project.record(image).relative_path, error)
            self._next(project, job, done + 1, total)

        def measure() -> None:
            self._jobs.run(lambda: self._measure(project, image), finish, failed)

        measure()

    def _measure(self, project: Project, image: int) -> _Measured | None:
        """Figures of one image, on a thread of the pool; None without labels or ground truth."""
        catalog, band = project.catalog, self._band
        to_project = self._predict.models.in_project_ids
        sample = load_sample(project, image, with_prediction=True, to_project=to_project)
        truth, scored = sample.truth, sample.scored
        if sample.labels is None or truth is None or scored is None:
            return None
        score = score_labels(sample.labels, catalog, truth=scored, confidence=sample.confidence)

        def figures(found: Labels) -> _Figures:
            index = band_index(truth=truth, prediction=found, ignore=catalog.ignore, rule=band.rule, around=band.around)
            histogram = BandHistogram(catalog, rule=band.rule, around=band.around)
            matrix = ConfusionMatrix(catalog).update(truth=scored, prediction=found)
            return matrix, histogram.update(index=index, truth=scored, prediction=found)

        model = None if sample.predicted is None else figures(sample.predicted)
        return _Measured(sample.head, truth_stamp(project, image), score, figures(sample.labels), model)

    def _score_prediction(self, image: int, prediction: Prediction) -> None:
        """After each image of a folder run: its place in 'worst first' and 'uncertain first'."""
        self._score(image, prediction=prediction)

    def _follow_step(self, image: int) -> None:
        """A run over the folder has changed a mask: its score in the list and its share of the pooled figures."""
        if self._now is not None and str(image) in self._now:
            self.remeasure(image)  # and its score
        else:
            self._score(image)

    def _score_open(self, left: OpenImage) -> None:
        """Score an image that is or was in view, with every finished pixel."""
        document = left.document
        # Not copied: a change meanwhile has it scored again.
        held = Held(document.labels, document.provenance, left.info)
        self._score(left.id, held=held, prediction=left.prediction)

    def _score(
        self,
        image: int,
        *,
        held: Held | None = None,
        prediction: Prediction | None = None,
        then: Callable[[], None] = lambda: None,
    ) -> None:
        """Score one image for the list, in the background; ``then`` is called in the end, whatever came of it."""
        project = self._projects.project
        if project is None:
            return

        problems: list[MaskFormatError] = []

        def work() -> tuple[ImageScore, str] | None:
            try:
                sample = self._sample(project, image, held, prediction, truth=True)
                stamp = truth_stamp(project, image)
            except MaskFormatError as error:
                self._judge.truth_problem(project.record(image).relative_path, error)
                sample, stamp = self._sample(project, image, held, prediction, truth=False), ""
            if sample.labels is None:
                return None
            score = score_labels(sample.labels, project.catalog, truth=sample.scored, confidence=sample.confidence)
            return score, stamp

        def done(found: tuple[ImageScore, str] | None) -> None:
            if project is self._projects.project:
                for problem in problems:
                    self._judge.truth_problem(project.record(image).relative_path, problem)
                if found is not None:
                    self._keep(image, *found)
            then()

        def failed(error: Exception) -> None:
            self._ignore(error)
            then()

        self._jobs.run(work, done, failed)

    def _sample(
        self, project: Project, image: int, held: Held | None, prediction: Prediction | None, *, truth: bool
    ) -> EvaluationSample:
        return load_sample(
            project, image, truth=truth, with_prediction=True, held=held, prediction=prediction,
            to_project=self._predict.models.in_project_ids,
        )  # fmt: skip

    def _leave_image(self, image: OpenImage | None) -> None:
        """Score the image that goes out of view, as it is now."""
        left, self._viewed = self._viewed, image
        self._score_timer.stop()
        if left is not None and left.document.revision:
            self._score_open(left)

    def _score_view(self) -> None:
        if self._viewed is not None:
            self._score_open(self._viewed)

    def _keep(self, image: int, score: ImageScore, stamp: str) -> None:
        """Show a score and keep it with the project; ``stamp`` names the ground truth that it was measured against."""
        project = self._projects.project
        if project is None:
            return
        self.scores[image], self._stamps[image] = score, stamp
        try:
            project.put_result(image, _KIND, stamp, score.to_bytes())
        except AtrousError as error:
            self._notifier.report(error, replace_key="save")
        self.scored.emit(image)

    def _say(self, job: Job) -> None:
        pooled = self.pooled
        if pooled is None:
            self._notifier.warning(
                "Nothing could be judged", "No image has both truth and a mask. Run the model first.", replace_key="judge"
            )
            return
        mean = pooled.mean_iou("union")
        part = " so far" if job.cancel_asked else ""
        self._notifier.info(
            f"Folder{part}: mIoU {mean.value:.3f}",
            f"mIoU {folder_mean_text(pooled)}, pooled over {counted(self.images, 'image')}; "
            f"pixel accuracy {pooled.pixel_accuracy():.3f}.",
            replace_key="judge",
        )

    def _ignore(self, error: Exception) -> None:
        if not isinstance(error, AtrousError):
            raise error
