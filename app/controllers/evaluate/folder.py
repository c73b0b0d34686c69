"""The folder as a whole: scores of every image, figures and curve pooled over those that have truth and a mask."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, Signal

from app.controllers.evaluate.ground_truth import GroundTruthController
from app.controllers.evaluate.image_scorer import ImageScorer
from app.controllers.predict.models import ModelsController
from app.controllers.project.folder_jobs import FolderJobs
from app.services.folder_job import FolderJob, Steps, background
from app.services.services import Services
from app.services.session import OpenImage
from app.services.timers import single_shot
from app.state.image_scores import ImageScore, sample_stamp, score_labels
from app.state.judgement import ImageJudgement, folder_mean_text
from app.state.mask_check import MaskCheck, mask_counts, sentence
from app.state.project import Project
from app.state.project_analysis import ProjectAnalysis
from app.state.samples import load_sample, truth_path
from app.text import plural, tr
from app.viewmodels.evaluate.curves import Curve
from deeplab_core.analysis.image import count_labels
from deeplab_core.analysis.record import CONFUSION, ImageAnalysis, band_name
from deeplab_core.errors import image_error
from deeplab_core.labels import LabelMap
from deeplab_core.metrics import ConfusionMatrix
from deeplab_core.notes import Note
from deeplab_core.records import Prediction, TrimapBand

#: Pause before the score of the image in view is written again.
_SCORE_MS = 600


@dataclass(frozen=True, slots=True)
class _Measured:
    """One image, measured from the files on disk.

    Attributes:
        head: of its journal when the mask was read.
        stamp: of everything that was measured.
        score: for the list.
        now, model: figures of the mask, and those of the prediction if there is one.
        truth: pixels of the ground truth, what was predicted where it is void, and the notes of its file.
    """

    head: int
    stamp: str
    score: ImageScore
    now: ImageAnalysis
    model: ImageAnalysis | None
    truth: tuple[NDArray[np.int64], NDArray[np.int64], tuple[Note, ...]]


class FolderEvaluation(QObject):
    """Figures pooled over the folder, and the scores of its images.

    Attributes:
        band: that the next evaluation of the folder measures.
        analysis: all that is known of the folder, for every part of the window; None without a project.

    Signals:
        changed(): the folder was judged, or another one is open: figures and curve are others.
        followed(): the pooled figures have followed the image in view.
        scored(image id): one image has another score, or none any more.
        rescored(): many images have.
    """

    changed = Signal()
    followed = Signal()
    scored = Signal(int)
    rescored = Signal()

    def __init__(
        self,
        services: Services,
        truth: GroundTruthController,
        band: TrimapBand,
        models: ModelsController,
        folder_jobs: FolderJobs,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._session, self._truth, self._models = services.session, truth, models
        self._jobs, self._notifier = services.jobs, services.notifier
        self._folder_jobs = folder_jobs
        self._scorer = ImageScorer(services, truth, models, folder_jobs, self)
        self._scorer.scored.connect(self.scored)
        self._scorer.changed.connect(self.rescored)
        self.analysis: ProjectAnalysis | None = None
        self._evaluated = False
        self._check: MaskCheck | None = None
        self._job: FolderJob[None] | None = None
        self._again = False  # other ground truth came while the folder was judged
        self.band, self._band = band, TrimapBand()
        self._current: ImageJudgement | None = None
        self._viewed: OpenImage | None = None
        self._asked: dict[int, int] = {}
        self._score_timer = single_shot(self, _SCORE_MS, self._score_view)
        services.session.predictionKept.connect(self._score_prediction)
        services.session.imageChanged.connect(self._leave_image)
        services.session.stepWritten.connect(self.remeasure)

    @property
    def scores(self) -> Mapping[int, ImageScore]:
        """Scores of single images by id: only what belongs to their labels and ground truth as they are."""
        return self._scorer.scores

    def look(self) -> None:
        """The scores are looked at: what is missing or old is measured."""
        self._scorer.begin()

    @property
    def pooled(self) -> ConfusionMatrix | None:
        """The folder's confusion matrix, live; None before an image was evaluated."""
        return self.analysis.masks.matrix if self.analysis is not None and self.images else None

    @property
    def images(self) -> int:
        """How many images the pooled figures are over."""
        return 0 if self.analysis is None else self.analysis.masks.measured(CONFUSION)

    def set_project(self, project: Project | None) -> None:
        """Follow another project and read its kept scores."""
        self.analysis = None if project is None else ProjectAnalysis(project)
        self._evaluated, self._viewed, self._again = False, None, False
        self._scorer.set_project(project)
        self.changed.emit()

    def follow_truth(self) -> None:
        """The project's ground truth is known, or another one: figures that rest on another are measured again."""
        if self._session.project is None or self.analysis is None:
            return
        judged = self._evaluated and bool(len(self._truth.index))
        self.analysis, self._evaluated = self.analysis.on_other_truth(), False
        self.changed.emit()
        self._scorer.follow_project(measure=not judged)
        if self._job is not None:
            self._again = judged
            self._job.cancel()
        elif judged:
            self.start()

    def set_live(self, live: ImageJudgement | None) -> None:
        """Take the live figures of the image in view; None if it has none."""
        self._current = live

    def follow(self, live: ImageJudgement) -> None:
        """Let the pooled figures and the list follow the image in view. Costs O(classes^2), whatever the image's size."""
        image = self._session.image
        if image is None or image.document is not live.document:
            return
        if self._measured(image.id):
            self._put_live(image.id, live)
            self.followed.emit()
        kept = self.scores.get(image.id)
        mean = live.matrix.mean_iou("truth").value
        known = kept is not None and kept.iou is not None and abs(kept.iou - mean) < 1e-9
        if not known and not np.isnan(mean):
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
        known = self.analysis
        for name, pool in () if known is None or not self._evaluated else (("model", known.predictions), ("now", known.masks)):
            if pool.measured(band_name(band.rule, band.around)):
                # Model and mask are compared here: over the classes of the ground truth, which both have.
                values = pool.band(band.rule, band.around).curve("truth").mean_iou
                found.append(Curve(name, tuple(values.tolist())))
        return tuple(found)

    def start(self) -> None:
        """Judge every image that has truth and a mask (or a prediction), in the background, one after the other."""
        project, known = self._session.project, self.analysis
        if project is None or known is None or self._job is not None:
            return
        ids = self._truth.images_with_truth()
        if not ids:
            return
        if self._session.autosaver is not None:
            self._session.autosaver.save_now()
        self._band = self.band
        self._evaluated = True
        for name in set(known.masks) - set(map(str, ids)):
            known.drop(int(name))
        self._check = MaskCheck(project.catalog, tr("ground truth mask"))
        self._job = self._folder_jobs.start(
            project, tr("Evaluating the folder"), ids, lambda image: self._evaluate_image(project, image),
            on_failure=self._truth.note_problem, on_end=self._finish,
        )  # fmt: skip

    def remeasure(self, image: int) -> None:
        """Measure one image again, for the list and, where the folder was evaluated, for its pooled figures."""
        project = self._session.project
        if project is None:
            return
        if truth_path(project, image) is None or not (self._evaluated or self._measured(image)):
            self._scorer.ask(image)
            return
        if self._session.autosaver is not None:
            self._session.autosaver.save_now()

        self._asked[image] = number = self._asked.get(image, 0) + 1

        def finish(found: _Measured | None) -> None:
            # Two changes in a row are measured side by side; the answer to the earlier one may come last.
            if project is not self._session.project or self._asked.get(image) != number:
                return
            if found is None:
                self._forget(image)
                self._scorer.ask(image)
            elif self._live(image) is None and project.journal.head(image) != found.head:
                self.remeasure(image)  # changed since
            else:
                self._take(image, found)
                self.changed.emit()

        def failed(error: Exception) -> None:
            self._truth.note_problem(image, image_error(error, project.path_of(project.record(image))))

        self._jobs.run(lambda: self._measure(project, image), finish, failed)

    def _take(self, image: int, found: _Measured) -> None:
        """Put an image into the pool; of the image in view its current labels."""
        if self.analysis is None:
            return
        self._scorer.keep_newest(image, found.score, found.stamp)
        self.analysis.masks.update(str(image), found.now)
        if found.model is not None:
            self.analysis.predictions.update(str(image), found.model)
        self.show_live(image)

    def show_live(self, image: int) -> None:
        """Something older was put into the pool: of the image in view what its pixels are now counts."""
        self.catch_up()
        live = self._live(image)
        if live is not None:
            self.follow(live)  # and its score

    def catch_up(self) -> None:
        """Let the pool have every finished pixel of the image in view; costs O(classes squared)."""
        live = None if self._viewed is None else self._live(self._viewed.id)
        if live is not None and self._viewed is not None and self._measured(self._viewed.id):
            self._put_live(self._viewed.id, live)

    def _measured(self, image: int) -> bool:
        record = None if self.analysis is None else self.analysis.masks.get(str(image))
        return record is not None and CONFUSION in record.counts

    def _forget(self, image: int) -> None:
        """The image has no labels, or no ground truth, any more."""
        if self.analysis is not None and self._measured(image):
            self.analysis.drop(image)
            self.changed.emit()

    def _live(self, image: int) -> ImageJudgement | None:
        """The live figures, if the image is in view and its ground truth was read."""
        viewed, live = self._viewed, self._current
        known = viewed is not None and viewed.id == image and live is not None and live.document is viewed.document
        return live if known else None

    def _put_live(self, image: int, live: ImageJudgement) -> None:
        assert self.analysis is not None
        self.analysis.masks.update(str(image), live.record(self._band.rule, self._band.around))

    def _evaluate_image(self, project: Project, image: int) -> Steps[None]:
        asked = self._asked.get(image)
        found = yield from background(lambda: self._measure(project, image))
        while found is not None and self._live(image) is None and project.journal.head(image) != found.head:
            found = yield from background(lambda: self._measure(project, image))  # painted in the meantime, and out of view again
        if found is None:
            self._forget(image)
            return
        if self._asked.get(image) == asked:  # else it has changed, and is being measured again
            self._take(image, found)
        if self._check is not None:
            px, over_void, notes = found.truth
            self._check.add(project.record(image).name, px, notes, over_void)

    def _finish(self, job: FolderJob[None]) -> None:
        self._job = None
        again, self._again = self._again, False
        if job.abandoned:
            return
        if again:
            self.start()
            return
        self._say(job)
        self.changed.emit()
        self._scorer.follow_project()

    def _measure(self, project: Project, image: int) -> _Measured | None:
        """Figures of one image, on a thread of the pool; None without labels or ground truth."""
        catalog, band = project.catalog, self._band
        to_project = self._models.in_project_ids
        sample = load_sample(project, image, with_prediction=True, to_project=to_project)
        truth, scored = sample.truth, sample.scored
        if sample.labels is None or truth is None or scored is None:
            return None
        score = score_labels(sample.labels, catalog, truth=scored, confidence=sample.confidence)

        def figures(found: LabelMap) -> ImageAnalysis:
            return count_labels(found, catalog, truth=truth, exclude=sample.exclude, band=band)

        model = None if sample.predicted is None else figures(sample.predicted)
        px, over_void = mask_counts(truth, catalog, sample.labels)
        stamp, now = sample_stamp(project, image, sample.head), figures(sample.labels)
        return _Measured(sample.head, stamp, score, now, model, (px, over_void, sample.truth_notes))

    def _score_prediction(self, image: int, prediction: Prediction) -> None:
        """After each image of a folder run: its place in 'worst first' and 'uncertain first'."""
        if self._evaluated or self._measured(image):
            self.remeasure(image)
        else:
            self._scorer.ask(image, prediction=prediction)

    def _leave_image(self, image: OpenImage | None) -> None:
        """Score the image that goes out of view, as it is now."""
        left, self._viewed = self._viewed, image
        self._score_timer.stop()
        if left is not None and left.document.revision:
            self._scorer.score_open(left)

    def _score_view(self) -> None:
        if self._viewed is not None:
            self._scorer.score_open(self._viewed)

    def _say(self, job: FolderJob[None]) -> None:
        pooled = self.pooled
        if pooled is None:
            self._notifier.warning(
                tr("Nothing could be evaluated"),
                tr("No image has both ground truth and a mask. Run the model first."),
                replace_key="evaluation",
            )
            return
        mean = pooled.mean_iou("union")
        part = tr(" so far") if job.stopped else ""
        self._notifier.info(
            tr("Folder{part}: mIoU {value:.3f}", part=part, value=mean.value),
            tr(
                "mIoU {folder_mean_text}, pooled over {images}; pixel accuracy {pixel_accuracy:.3f}.",
                folder_mean_text=folder_mean_text(pooled),
                images=plural("{n} image", "{n} images", self.images),
                pixel_accuracy=pooled.pixel_accuracy(),
            )
            + ("" if self._check is None else "".join(f" {sentence(text)}" for text in self._check.remarks())),
            replace_key="evaluation",
        )
        serious = [] if self._check is None else self._check.warnings(pooled.counts)
        if serious:
            self._notifier.warning(tr("Check the ground truth"), " ".join(map(sentence, serious)), replace_key="truth check")
