"""Keeps one score for every image that has labels, and never an old one.

A score is kept with a stamp of everything that it was measured from: labels, prediction, ground truth, marks, classes. Whatever
may change one of them asks here for a new measurement; what is asked last wins, whichever thread is ready first. So that nothing
depends on every caller remembering to ask, the stamps are compared with the project when it is opened, when its ground truth
changes and when the rankings come into view.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from PySide6.QtCore import QObject, Signal

from app.controllers.evaluate.ground_truth import GroundTruthController
from app.controllers.predict.models import ModelsController
from app.controllers.project.folder_jobs import FolderJobs
from app.services.folder_job import FolderJob, Steps, background
from app.services.services import Services
from app.services.session import OpenImage
from app.services.timers import single_shot
from app.state.image_record import ImageRecord
from app.state.image_scores import Due, ImageScore, due_images, sample_stamp, score_labels
from app.state.project import Project
from app.state.samples import Held, load_sample
from app.text import tr
from deeplab_core.errors import AtrousError, MaskFormatError
from deeplab_core.records import Prediction

_KIND = "score"
#: Predictions that wait in memory; later ones are read from the disk again.
_HELD_PREDICTIONS = 4
#: From so many images on measuring is a job with progress, and from so many it waits until the figures are looked at.
_SHOWN_FROM, _LAZY_FROM = 20, 256
#: Records that changed are looked at together after this pause.
_QUIET_MS = 400


@dataclass(frozen=True, slots=True, eq=False)
class _Request:
    held: Held | None = None
    prediction: Prediction | None = None

    @property
    def patient(self) -> bool:
        """Whether it may wait until the figures are looked at: nothing is held for it."""
        return self.held is None and self.prediction is None


@dataclass(frozen=True, slots=True)
class _Scored:
    """``problem``: why the ground truth could not be used; ``head``: of the journal when the labels were read."""

    score: ImageScore
    stamp: str
    head: int
    problem: AtrousError | None


class ImageScorer(QObject):
    """Scores of all images; kept with the project, so that the list shows them at the next visit.

    Attributes:
        scores: by image id; only what belongs to the project as it is.

    Signals:
        scored(image id): one image has another score, or none any more.
        changed(): many scores are others.
    """

    scored = Signal(int)
    changed = Signal()

    def __init__(
        self,
        services: Services,
        truth: GroundTruthController,
        models: ModelsController,
        folder_jobs: FolderJobs,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._session, self._truth, self._models = services.session, truth, models
        self._jobs, self._notifier = services.jobs, services.notifier
        self._folder_jobs = folder_jobs
        self.scores: dict[int, ImageScore] = {}
        self._stamps: dict[int, str] = {}
        self._due: dict[int, _Request] = {}
        self._lazy: tuple[int, ...] = ()
        self._job: FolderJob[None] | None = None
        self._queued: set[int] = set()  # images that the job has yet to visit
        self._measured: int | None = None
        self._overtaken = False
        self._altered: set[int] = set()
        self._quiet = single_shot(self, _QUIET_MS, self._look_at_altered)
        services.session.recordChanged.connect(self._follow_record)

    # -- commands -----------------------------------------------------------------------------------------------------------

    def set_project(self, project: Project | None) -> None:
        """Follow another project; its kept scores are shown as soon as they are known to be right."""
        self._due, self._lazy, self._altered = {}, (), set()
        self.scores, self._stamps = {}, {}
        if project is not None:
            kept = project.results(_KIND)
            self._stamps = {image: stamp for image, (stamp, _) in kept.items()}
            self._compare(project, {image: ImageScore.from_bytes(data) for image, (_, data) in kept.items()})

    def follow_project(self, *, measure: bool = True) -> None:
        """Drop whatever no longer belongs to the project's labels and ground truth; measure it, and what has no score yet."""
        project = self._session.project
        if project is not None:
            self._compare(project, self.scores, measure)

    def begin(self) -> None:
        """The figures are looked at: nothing waits any longer."""
        lazy, self._lazy = self._lazy, ()
        for image in lazy:
            self._due.setdefault(image, _Request())
        self._pump(many=bool(lazy))
        self.follow_project()

    def ask(self, image: int, *, held: Held | None = None, prediction: Prediction | None = None) -> None:
        """Measure one image again, in the background.

        Args:
            held: its labels, where it is or was just open.
            prediction: the newest, where it is in memory.
        """
        if len(self._due) >= _HELD_PREDICTIONS:
            prediction = None
        self._due.pop(image, None)
        self._due[image] = _Request(held, prediction)
        self._pump()

    def keep_newest(self, image: int, score: ImageScore, stamp: str) -> None:
        """Keep a score that was measured elsewhere just now; whatever is still being measured of the image is older."""
        self._due.pop(image, None)
        self._overtaken = self._overtaken or image == self._measured
        self._keep(image, score, stamp)

    def _keep(self, image: int, score: ImageScore, stamp: str) -> None:
        """Show a score and keep it with the project; ``stamp`` is that of what it was measured from."""
        project = self._session.project
        if project is None:
            return
        self.scores[image], self._stamps[image] = score, stamp
        try:
            project.put_result(image, _KIND, stamp, score.to_bytes())
        except AtrousError as error:
            self._notifier.report(error, replace_key="save")
        self.scored.emit(image)

    # -- comparing with the project --------------------------------------------------------------------------------------

    def _compare(self, project: Project, known: dict[int, ImageScore], measure: bool = True) -> None:
        stamps = dict(self._stamps)

        def done(found: Due) -> None:
            if project is not self._session.project:
                return
            viewed = self._session.image
            stale = [image for image in found.stale if self._stamps.get(image) == stamps.get(image)]
            for image in (*stale, *found.gone):
                if viewed is None or image != viewed.id:
                    self.scores.pop(image, None)
            for image, score in known.items():
                if image not in found.stale and image not in found.gone and self._stamps.get(image) == stamps.get(image):
                    self.scores.setdefault(image, score)
            waiting = [image for image in stale if image not in self._due] if measure else []
            if viewed is not None and viewed.id in waiting:
                waiting.remove(viewed.id)
                self.score_open(viewed)
            if len(waiting) >= _LAZY_FROM and not self._due:
                self._lazy = tuple(waiting)
            else:
                for image in waiting:
                    self._due[image] = _Request()
            self.changed.emit()
            self._pump(many=True)

        self._jobs.run(lambda: due_images(project, stamps), done, self._ignore)

    def _follow_record(self, record: ImageRecord) -> None:
        self._altered.add(record.id)
        self._quiet.start()

    def _look_at_altered(self) -> None:
        """Records were replaced by another part of the program: measure those with a changed stamp."""
        project, viewed = self._session.project, self._session.image
        altered, self._altered = self._altered, set()
        if project is None:
            return
        stamps = {image: self._stamps.get(image, "") for image in altered if viewed is None or image != viewed.id}

        def done(found: Due) -> None:
            if project is not self._session.project:
                return
            for image in found.stale:
                if image not in self._due and self._stamps.get(image, "") == stamps[image]:
                    self._due[image] = _Request()
            for image in found.gone:
                self._forget(project, image)
            self._pump()

        self._jobs.run(lambda: due_images(project, stamps, only=frozenset(stamps)), done, self._ignore)

    # -- measuring -------------------------------------------------------------------------------------------------------

    def score_open(self, image: OpenImage) -> None:
        """Measure an image that is or was in view, with every finished pixel."""
        # Not copied: a change since has it measured again.
        held = Held(image.document.labels, image.document.provenance, image.info)
        self.ask(image.id, held=held, prediction=image.prediction)

    def _pump(self, *, many: bool = False) -> None:
        """Have what is due measured; ``many``: the status bar shows it if there is much of it."""
        project = self._session.project
        if project is None:
            return
        if self._job is None and self._due:
            self._queued = set(self._due)
            self._job = self._folder_jobs.start(
                project, tr("Measuring IoU"), tuple(self._due), lambda image: self._visit(project, image), shown=False,
                on_failure=lambda image, error: self._fail(project, image, error), on_end=self._finish,
            )  # fmt: skip
        elif self._job is not None and not self._job.stopped:
            further = [image for image in self._due if image not in self._queued]
            self._queued.update(further)
            self._job.extend(further)
        if many and self._job is not None and len(self._due) >= _SHOWN_FROM:
            self._job.show()

    def _visit(self, project: Project, image: int) -> Steps[None]:
        self._queued.discard(image)
        request = self._due.pop(image, None)
        if request is None:
            return  # it was measured elsewhere
        self._measured, self._overtaken = image, False
        try:
            found = yield from background(lambda: self._measure(project, image, request))
        finally:
            self._measured = None
        if image not in self._due and not self._overtaken:  # else there is something newer
            self._take(project, image, request, found)

    def _fail(self, project: Project, image: int, error: AtrousError) -> None:
        self._truth.note_problem(image, error)
        self._forget(project, image)

    def _finish(self, job: FolderJob[None]) -> None:
        self._job = None
        if job.abandoned:
            return
        if job.stopped:  # what is left waits until the figures are looked at
            lazy = [image for image in job.left if image in self._due and self._due[image].patient]
            for image in lazy:
                self._due.pop(image)
            self._lazy = (*lazy, *self._lazy)
        self._pump()

    def _measure(self, project: Project, image: int, request: _Request) -> _Scored | None:
        """On a thread of the pool; None without labels."""

        def load(truth: bool) -> tuple[_Scored | None, int]:
            sample = load_sample(
                project, image, truth=truth, with_prediction=True, held=request.held, prediction=request.prediction,
                to_project=self._models.in_project_ids,
            )  # fmt: skip
            if sample.labels is None:
                return None, sample.head
            score = score_labels(sample.labels, project.catalog, truth=sample.scored, confidence=sample.confidence)
            return _Scored(score, sample_stamp(project, image, sample.head), sample.head, None), sample.head

        try:
            return load(True)[0]
        except MaskFormatError as error:
            found = load(False)[0]
            # Without a stamp it is measured again, and the problem said again, at the next visit.
            return None if found is None else replace(found, stamp="", problem=error)

    def _take(self, project: Project, image: int, request: _Request, found: _Scored | None) -> None:
        if project is not self._session.project:
            return
        if found is None:
            self._forget(project, image)
            return
        if found.problem is not None:
            self._truth.note_problem(image, found.problem)
        self._keep(image, found.score, found.stamp)
        viewed = self._session.image
        if request.held is not None and (viewed is None or viewed.id != image) and project.journal.head(image) != found.head:
            self.ask(image)  # its last steps were just recorded

    def _forget(self, project: Project, image: int) -> None:
        known = self.scores.pop(image, None) is not None or image in self._stamps
        self._stamps.pop(image, None)
        if known:
            try:
                project.drop_result(image, _KIND)
            except AtrousError as error:
                self._notifier.report(error, replace_key="save")
            self.scored.emit(image)

    def _ignore(self, error: Exception) -> None:
        if not isinstance(error, AtrousError):
            raise error
