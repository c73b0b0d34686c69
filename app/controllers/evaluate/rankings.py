"""Rankings of the folder's images by their scores, and the order that 'next worst' follows."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass

import numpy as np
from PySide6.QtCore import QObject, Signal

from app.controllers.evaluate.live import EvaluationController
from app.controllers.predict.models import ModelsController
from app.controllers.project.folder_jobs import FolderJobs
from app.services.folder_job import FolderJob, Steps, background
from app.services.services import Services
from app.services.session import OpenImage
from app.state.ambiguous import fingerprints
from app.state.class_mapping import object_id
from app.state.image_record import ImageRecord
from app.state.project import Project
from app.state.provenance import Provenance
from app.state.samples import load_sample, truth_stamp
from app.text import tr
from deeplab_core.analysis.folder import FolderAnalysis, ImageIssue
from deeplab_core.analysis.ranking import DEFAULT_RANKING, RANKINGS, GainCurve, rank, ranking_name
from deeplab_core.analysis.ranking_scores import VERSION, measure_ranking
from deeplab_core.analysis.record import ImageAnalysis
from deeplab_core.errors import AtrousError
from deeplab_core.geometry import Box
from deeplab_core.labels import LabelMap

#: Names under which a project keeps the scores and the chosen ranking; older projects have them, so they stay.
_KIND = "doubt"
_ORDER = "queue_order"
#: Label issues that are listed.
_LISTED = 500
#: After so many images what is shown follows.
_EMIT_EVERY = 32

#: Per content key: (card id, options key) of the predictions that are kept of an image.
_Kept = dict[str, list[tuple[str, str]]]


@dataclass(frozen=True, slots=True)
class _Measured:
    key: str
    analysis: ImageAnalysis
    fresh: bool


@dataclass(slots=True)
class _Run:
    """A job over the folder: fingerprints of the marks, the predictions that are kept (once they are listed), and its images."""

    marks: dict[int, int]
    kept: _Kept | None = None
    visited: int = 0


class RankingsController(QObject):
    """Owns the ranking scores and the chosen ranking.

    Attributes:
        order: key of :data:`~deeplab_core.analysis.ranking.RANKINGS`.

    Signals:
        changed(): figures are others.
        orderChanged(str): another order is chosen.
        placeReached(Box | None): the image that was asked for is in view; show this place of it.
    """

    changed = Signal()
    orderChanged = Signal(str)
    placeReached = Signal(object)

    def __init__(
        self,
        services: Services,
        models: ModelsController,
        evaluation: EvaluationController,
        folder_jobs: FolderJobs,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._session, self._models, self._evaluation, self._notifier = services.session, models, evaluation, services.notifier
        self._folder_jobs = folder_jobs
        self.order = DEFAULT_RANKING
        self._keys: dict[int, str] = {}
        self._job: FolderJob[None] | None = None
        self._known = False
        self._awaited: tuple[int, Box | None] | None = None
        services.session.projectChanged.connect(self._follow_project)
        services.session.imageChanged.connect(self._follow_image)
        services.session.predictionKept.connect(lambda _image, _prediction: self._forget_known())
        services.session.predictionChanged.connect(lambda _image: self._forget_known())
        services.session.stepWritten.connect(lambda _image: self._forget_known())
        evaluation.truthFound.connect(lambda _index: self._follow_truth())
        evaluation.folder.scored.connect(lambda _image: self.changed.emit())
        evaluation.folder.rescored.connect(self.changed)

    # -- what is known ---------------------------------------------------------------------------------------------------

    @property
    def predictions(self) -> FolderAnalysis | None:
        """Figures of the kept predictions, images by ``str(id)``; None without a project."""
        known = self._evaluation.folder.analysis
        return None if known is None else known.predictions

    @property
    def measuring(self) -> bool:
        """Whether the folder is being measured."""
        return self._job is not None

    def ious(self) -> dict[int, float]:
        """Mean IoU of every image that was scored against ground truth."""
        return self._evaluation.folder.ious()

    def scores(self, order: str | None = None) -> dict[int, float]:
        """Score of every image that has one, higher is worse, in the chosen ranking or another."""
        name = order or self.order
        if name == DEFAULT_RANKING:
            return {image: 1 - iou for image, iou in self.ious().items()}
        found = {} if self.predictions is None else self.predictions.scores(name)
        return {int(image): score for image, score in found.items()}

    def available(self) -> dict[str, int]:
        """How many images have a score, by ranking."""
        scored = Counter[str]() if self.predictions is None else self.predictions.scored()
        return {**{name: scored[name] for name in RANKINGS}, DEFAULT_RANKING: len(self.ious())}

    def gain(self, order: str) -> GainCurve | None:
        """How well a ranking finds the pixels that the model has wrong; None with fewer than two images, or nothing wrong."""
        scores = {str(image): score for image, score in self.scores(order).items()}
        return None if self.predictions is None or len(scores) < 2 else self.predictions.gain(order, scores)

    def chosen_gain(self) -> tuple[str, GainCurve | None]:
        """The chosen ranking and its :meth:`gain`."""
        return self.order, self.gain(self.order)

    def issues(self) -> list[ImageIssue]:
        """Possible label errors of all images, largest weight first."""
        return [] if self.predictions is None else self.predictions.issues(_LISTED)

    def ranking(self, order: str | None = None) -> list[int]:
        """All images of the project in a ranking, worst first, those without this score last; empty while none has it."""
        project, scores = self._session.project, {str(image): score for image, score in self.scores(order).items()}
        if project is None or not scores:
            return []
        return [int(image) for image in rank(scores, (str(record.id) for record in project.images))]

    def review_order(self) -> list[int]:
        """Ids in the chosen ranking, worst first, then the other images with any score: what 'next worst' goes by."""
        others = self._evaluation.folder.worst_first()
        if self.order == DEFAULT_RANKING:
            return others
        scores = self.scores()
        return [*sorted(scores, key=lambda image: (-scores[image], image)), *(i for i in others if i not in scores)]

    def next_worst(self) -> None:
        """Open the unreviewed image that comes first in the chosen order; the one in view does not count."""
        if not self._session.open_unreviewed(self.review_order()):
            self._notifier.info(
                tr("All scored images are reviewed"), tr("Run the model on the folder, or evaluate it first."), replace_key="go"
            )

    # -- commands -----------------------------------------------------------------------------------------------------------

    def choose(self, order: str) -> None:
        """Let 'next worst' go by another ranking. Raises KeyError for one that does not exist."""
        order = ranking_name(order)
        project = self._session.project
        if order == self.order:
            return
        self.order = order
        if project is not None and not project.read_only:
            try:
                project.set_setting(_ORDER, order)
            except AtrousError as error:
                self._notifier.report(error, replace_key="save")
        self.orderChanged.emit(order)

    def visit(self, image: int, box: Box | None = None) -> None:
        """Open an image and show a place of it."""
        viewed = self._session.image
        if viewed is not None and viewed.id == image:
            self._awaited = None
            self.placeReached.emit(box)
        else:
            self._awaited = image, box
            self._session.open_image(image)

    def begin(self) -> None:
        """The rankings come into view: measure what is new or has changed since."""
        self._evaluation.folder.look()
        if not self._known:
            self.measure_folder()

    def measure_folder(self) -> None:
        """Measure every image that has a prediction, in the background; what has not changed is not read again."""
        project, known = self._session.project, self.predictions
        if project is None or known is None or self._job is not None:
            return
        ids = [record.id for record in project.images if record.prediction and not record.missing]
        for image in set(known) - set(map(str, ids)):
            known.remove(image)
            self._keys.pop(int(image), None)
        self._known = True
        if not ids:
            self.changed.emit()
            return
        run = _Run(fingerprints(project))

        def failed(image: int, error: AtrousError) -> None:
            if run.kept is None:
                raise error  # of the list of predictions, which all images need
            self._evaluation.truth.note_problem(image, error)

        self._job = self._folder_jobs.start(
            project, tr("Computing ranking scores"), ids, lambda image: self._visit(project, run, image), on_failure=failed,
            on_end=self._finish,
        )  # fmt: skip

    def remeasure(self, image: int) -> None:
        """Other pixels of an image's truth count from now on."""
        if self.predictions is not None and str(image) in self.predictions:
            self._keys.pop(image, None)
            self._known = False

    # -- inside ----------------------------------------------------------------------------------------------------------

    def _visit(self, project: Project, run: _Run, image: int) -> Steps[None]:
        if run.kept is None:
            run.kept = yield from background(project.predictions.kept)
        before, kept, marks = self._keys.get(image, ""), run.kept, run.marks
        found = yield from background(lambda: self._measure(project, image, before, kept, marks))
        if found is not None:
            self._keys[image] = found.key
            if self.predictions is not None:
                self.predictions.update(str(image), found.analysis)
            if found.fresh:
                self._keep(project, image, found)
        run.visited += 1
        if run.visited % _EMIT_EVERY == 0:
            self.changed.emit()

    def _finish(self, job: FolderJob[None]) -> None:
        self._job = None
        self._known = self._known and not job.stopped
        self.changed.emit()

    def _measure(self, project: Project, image: int, before: str, kept: _Kept, marks: dict[int, int]) -> _Measured | None:
        """On a thread of the pool; None if nothing has changed, or the prediction is gone."""
        record = project.record(image)
        others = sorted(" ".join(other) for other in kept.get(record.content_key, ()))
        truth = truth_stamp(project, image)
        head = project.journal.head(image)  # what a CRF has set in the mask counts
        classes = project.class_edits.stamp(project.catalog)
        parts = (VERSION, classes, record.prediction, record.content_key, record.mask, head, marks.get(image, 0), truth, *others)
        key = hashlib.sha256("\n".join(map(str, parts)).encode("utf-8", "surrogateescape")).hexdigest()[:24]
        if key == before:
            return None
        stored = project.result(image, _KIND)
        if stored is not None and stored[0] == key:
            known = _decoded(stored[1], project)
            # Measured while the confidence was not kept: once it is kept again, there is more to measure.
            if known is not None and ("confidence" in (known.scores or ()) or not _confident(project, record)):
                return _Measured(key, known, fresh=False)
        analysis = self._read_and_measure(project, image, kept)
        return None if analysis is None else _Measured(key, analysis, fresh=True)

    def _read_and_measure(self, project: Project, image: int, kept: _Kept) -> ImageAnalysis | None:
        record, catalog = project.record(image), project.catalog
        sample = load_sample(project, image, labels="prediction", to_project=self._models.in_project_ids)
        prediction, labels = sample.prediction, sample.labels
        if prediction is None or labels is None:
            return None
        mine = prediction.card_id, prediction.options.cache_key()
        others: list[LabelMap] = []
        for card_id, options_key in kept.get(record.content_key, ()):
            other = None if (card_id, options_key) == mine else project.predictions.get(record.content_key, card_id, options_key)
            mapped = None if other is None else self._models.in_project_ids(other)
            if mapped is not None and mapped.shape == labels.shape:
                others.append(mapped)
        return measure_ranking(
            labels,
            prediction.known_confidence,
            catalog,
            model=prediction.uncertainty,
            truth=sample.truth,
            exclude=sample.exclude,
            others=others,
            refined=_refined(project, image, labels) if record.mask or project.journal.head(image) else None,
            object_id=object_id(project, prediction),
        )

    def _keep(self, project: Project, image: int, found: _Measured) -> None:
        try:
            project.put_result(image, _KIND, found.key, found.analysis.to_bytes())
        except AtrousError as error:
            self._notifier.report(error, replace_key="save")

    def _follow_project(self, project: Project | None) -> None:
        self._keys, self._known, self._awaited = {}, False, None
        self.order = DEFAULT_RANKING if project is None else _chosen(project.setting(_ORDER, DEFAULT_RANKING))
        if project is not None and self.predictions is not None:
            # Shown at once as they were left; what has changed since is measured when it is shown.
            for image, (_, data) in project.results(_KIND).items():
                known = _decoded(data, project)
                if known is not None:
                    self.predictions.update(str(image), known)
        self.changed.emit()
        self.orderChanged.emit(self.order)

    def _follow_image(self, image: OpenImage | None) -> None:
        awaited, self._awaited = self._awaited, None
        if image is not None and awaited is not None and awaited[0] == image.id:
            self.placeReached.emit(awaited[1])

    def _follow_truth(self) -> None:
        """Other ground truth: what is shown is measured again, or read again if it was measured from the same."""
        self._keys, self._known = {}, False  # scores that rest on ground truth have left the pool
        if self.predictions is not None and len(self.predictions):
            self.measure_folder()

    def _forget_known(self) -> None:
        self._known = False


def _decoded(data: bytes, project: Project) -> ImageAnalysis | None:
    """A stored record; None for one that is damaged or of other classes: it is measured again."""
    try:
        return ImageAnalysis.from_bytes(data, project.catalog)
    except AtrousError:
        return None


def _chosen(name: object) -> str:
    """The ranking that a project remembers; one that this version does not know counts for nothing."""
    try:
        return ranking_name(str(name))
    except KeyError:
        return DEFAULT_RANKING


def _refined(project: Project, image: int, labels: LabelMap) -> LabelMap | None:
    """The prediction with the pixels that a CRF has set in the mask; None where it has set none."""
    document = project.load(image, labels.shape).document
    by_crf = document.provenance == Provenance.CRF
    return np.where(by_crf, document.labels, labels) if by_crf.any() else None


def _confident(project: Project, record: ImageRecord) -> bool:
    """Whether the confidence of an image's newest prediction is kept."""
    card_id, _, options_key = record.prediction.rpartition(" ")
    return project.predictions.has_confidence(record.content_key, card_id, options_key)
