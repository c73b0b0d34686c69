"""Measures the images of the folder: one queue, one job over the folder, one pool of what is known of them.

A score is kept with a stamp of everything that it was measured from: labels, prediction, ground truth, marks, classes; the error
components of an image with a key of the same kind. Whatever may change one of them asks here for a new measurement; what is asked
last wins, whichever thread is ready first. So that nothing depends on every caller remembering to ask, the stamps are compared
with the project when it is opened, when its ground truth changes and when the rankings come into view.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from weakref import WeakSet

from PySide6.QtCore import QObject, Signal

from app.controllers.evaluate.figures import EvaluationFigures
from app.controllers.evaluate.ground_truth import GroundTruthController
from app.controllers.predict.models import ModelsController
from app.controllers.project.folder_jobs import FolderJobs
from app.services.folder_job import FolderJob, Steps, background, pause
from app.services.jobs import AT_ONCE
from app.services.services import Services
from app.services.session import OpenImage
from app.services.timers import single_shot
from app.state.image_record import ImageRecord
from app.state.measurement import (
    FIGURES_KIND,
    RANKING_KIND,
    SCORE_KIND,
    Due,
    Figures,
    Found,
    KeptModels,
    Measured,
    Measurement,
    Part,
    due_images,
    read_score,
    write_score,
)
from app.state.project import Project
from app.state.project_analysis import ObjectLists, ProjectAnalysis, ScoredImages
from app.state.samples import OpenLabels
from app.text import tr
from app.worker.inspect_apart import InspectApart
from deeplab_core.analysis.record import ImageAnalysis
from deeplab_core.errors import AtrousError
from deeplab_core.records import Prediction

_KIND = SCORE_KIND
#: Predictions that wait in memory; later ones are read from the disk again.
_HELD_PREDICTIONS = 4
#: From so many images on measuring is a job with progress, and from so many it waits until the figures are looked at.
_SHOWN_FROM, _LAZY_FROM = 20, 256
#: Records that changed are looked at together after this pause.
_QUIET_MS = 400


@dataclass(frozen=True, slots=True, eq=False)
class _Request:
    parts: Part
    opened: OpenLabels | None = None
    prediction: Prediction | None = None

    @property
    def patient(self) -> bool:
        """Whether it may wait until the figures are looked at: nothing in memory is kept for it."""
        return self.opened is None and self.prediction is None


@dataclass(slots=True, eq=False)
class Round:
    """Images that are measured for one purpose.

    Attributes:
        title: of the job while it measures them.
        left: images that are not done.
        on_end: called once, after the last one or when the job was stopped; not if another project was opened.
        stopped: whether the job was stopped before the last one.
    """

    title: str
    left: set[int]
    on_end: Callable[[Round], object]
    stopped: bool = False


class Measuring(QObject):
    """The job that measures the images of the folder, and fills the pool of what is known of them.

    Signals:
        measured(image id, Part, Measured): an image was measured and is in the pool.
    """

    measured = Signal(int, object, object)

    def __init__(
        self,
        services: Services,
        figures: EvaluationFigures,
        truth: GroundTruthController,
        models: ModelsController,
        folder_jobs: FolderJobs,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._session, self._figures, self._truth, self._models = services.session, figures, truth, models
        self._jobs, self._notifier = services.jobs, services.notifier
        self._folder_jobs = folder_jobs
        self._aparts: WeakSet[InspectApart] = WeakSet()
        self._stamps: dict[int, str] = {}
        self._due: dict[int, _Request] = {}
        self._lazy: tuple[int, ...] = ()
        self._rounds: list[Round] = []
        self._job: FolderJob[None] | None = None
        self._queued: set[int] = set()  # images that the job has yet to visit
        self._visited: dict[int, _Request] = {}  # what is being measured now
        self._listing = threading.Lock()
        self._lists: ObjectLists | None = None
        self._kept_models: KeptModels | None = None
        self._altered: set[int] = set()
        self._quiet = single_shot(self, _QUIET_MS, self._look_at_altered)
        services.session.recordChanged.connect(self._follow_record)
        services.session.leaving.connect(self._stop_aparts)
        services.session.projectChanged.connect(self._follow_project)
        services.session.predictionKept.connect(lambda _image, _prediction: self._forget_models())
        services.session.predictionChanged.connect(lambda _image: self._forget_models())
        truth.changed.connect(lambda _truth: self._follow_truth())

    @property
    def analysis(self) -> ProjectAnalysis | None:
        """The pool; None without a project."""
        return self._figures.analysis

    # -- commands -----------------------------------------------------------------------------------------------------------

    def follow_project(self, *, measure: bool = True) -> None:
        """Drop whatever no longer belongs to the project's labels and ground truth; measure it, and what has no score yet."""
        project = self._session.project
        if project is not None:
            self._compare(project, {}, measure)

    def begin(self) -> None:
        """The figures are looked at: nothing waits any longer."""
        lazy, self._lazy = self._lazy, ()
        for image in lazy:
            self._due.setdefault(image, _Request(Part.SCORE))
        self._pump(many=bool(lazy))
        if self._session.project is not None:
            self._compare(self._session.project, {}, patient=False)

    def ask(
        self, image: int, parts: Part = Part.SCORE, *, opened: OpenLabels | None = None, prediction: Prediction | None = None
    ) -> None:
        """Measure one image again, in the background, before those that are already waiting.

        Args:
            opened: its labels, where it is or was just open.
            prediction: the newest, where it is in memory.
        """
        if len(self._due) >= _HELD_PREDICTIONS:
            prediction = None
        self._add(image, _Request(parts, opened, prediction))
        self._pump(first=image)

    def start(self, images: Iterable[int], parts: Part, title: str, on_end: Callable[[Round], object]) -> Round:
        """Measure many images; the status bar shows it, and a user can stop it."""
        self._forget_models()
        begun = Round(title, set(images), on_end)
        self._rounds.append(begun)
        for image in images:
            self._add(image, _Request(parts))
        self._pump()
        if self._job is not None:
            self._job.show(title)
        return begun

    def leave(self, begun: Round) -> None:
        """Let a round end without a word, because another one takes its place."""
        if begun in self._rounds:
            self._rounds.remove(begun)

    def score_open(self, image: OpenImage) -> None:
        """Score an image that is or was in view, with every finished pixel."""
        # Not copied: a change since has it measured again.
        opened = OpenLabels(image.document.labels, image.document.provenance, image.info)
        self.ask(image.id, opened=opened, prediction=image.prediction)

    def objects(self, project: Project, image: int) -> Path | None:
        """The file in which the data lists the objects of an image, if there is one."""
        with self._listing:  # several threads ask
            lists = self._lists
            if lists is None:
                lists = self._lists = ObjectLists(self._truth.index)
        return lists.of(project.record(image).relative_path)

    def inspect_apart(self) -> InspectApart:
        """What inspects one large image of the open project; it ends when that is left."""
        self._aparts.add(apart := InspectApart())
        return apart

    # -- following -------------------------------------------------------------------------------------------------------

    def _follow_project(self, _project: Project | None) -> None:
        self._due, self._lazy, self._altered, self._rounds, self._visited = {}, (), set(), [], {}
        self._forget_models()
        self._follow_truth()

    def _stop_aparts(self) -> None:
        for apart in tuple(self._aparts):
            apart.stop()

    def _follow_truth(self) -> None:
        """The project's ground truth is known, or another one: figures that rest on the one before are forgotten.

        Scores that the project keeps are shown as soon as they are known to be right. Images without one are measured, unless
        the folder was evaluated: then all of them will be.
        """
        project, self._lists = self._session.project, None
        if project is not None and self.analysis is not None:
            self._figures.analysis = self.analysis.on_other_truth()
            for image, request in self._visited.items():
                self._add(image, _Request(request.parts))
            kept = project.results(_KIND)
            self._stamps = {image: stamp for image, (stamp, _) in kept.items()}
            measure = not (self._figures.evaluated and len(self._truth.index))
            self._compare(project, {image: data for image, (_, data) in kept.items()}, measure)
        self._figures.truthFound.emit(self._truth.index)

    def _forget_models(self) -> None:
        """Predictions may have been added: they are listed again."""
        self._kept_models = None

    # -- comparing with the project --------------------------------------------------------------------------------------

    def _compare(self, project: Project, kept: dict[int, bytes], measure: bool = True, *, patient: bool = True) -> None:
        """Find what does not belong to the project as it is, and measure it.

        Args:
            kept: scores of an earlier visit that are not in the pool.
            patient: whether many images may wait until the figures are looked at.
        """
        stamps = dict(self._stamps)

        def work() -> tuple[Due, ScoredImages]:
            found = due_images(project, stamps)
            right = kept.keys() - set(found.stale) - set(found.gone)
            decoded = {image: read_score(kept[image], project.catalog) for image in sorted(right)}
            damaged = tuple(image for image, score in decoded.items() if score is None)
            known = ScoredImages(project.catalog, {image: score for image, score in decoded.items() if score is not None})
            return replace(found, stale=(*found.stale, *damaged)), known

        def done(result: tuple[Due, ScoredImages]) -> None:
            found, known = result
            if project is not self._session.project or self.analysis is None:
                return
            viewed = self._session.image
            stale = [image for image in found.stale if self._stamps.get(image) == stamps.get(image)]
            for image in (*stale, *found.gone):
                if viewed is None or image != viewed.id:
                    self.analysis.drop_score(image)
            if kept:
                self.analysis.adopt(known)
            waiting = [image for image in stale if image not in self._due] if measure else []
            if viewed is not None and viewed.id in waiting:
                waiting.remove(viewed.id)
                self.score_open(viewed)
            if patient and len(waiting) >= _LAZY_FROM and not self._due:
                self._lazy = tuple(waiting)
            else:
                for image in waiting:
                    self._due[image] = _Request(Part.SCORE)
            self._figures.rescored.emit()
            self._pump(many=True)

        self._jobs.run(work, done, self._ignore)

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
                    self._due[image] = _Request(Part.SCORE)
            for image in found.gone:
                self._forget_score(project, image)
            self._pump()

        self._jobs.run(lambda: due_images(project, stamps, only=frozenset(stamps)), done, self._ignore)

    # -- the queue -------------------------------------------------------------------------------------------------------

    def _add(self, image: int, request: _Request) -> None:
        """Let an image wait; what an earlier request was to measure is measured with this one."""
        waiting = self._due.pop(image, None)
        parts = request.parts if waiting is None else request.parts | waiting.parts
        self._due[image] = replace(request, parts=parts)

    def _pump(self, *, first: int | None = None, many: bool = False) -> None:
        """Have what is due measured; ``many``: the status bar shows it if there is much of it."""
        project = self._session.project
        if project is None:
            return
        if self._job is None and self._due:
            order = [image for image in self._due if image != first]
            order = order if first is None else [first, *order]
            self._queued = set(order)
            self._job = self._folder_jobs.start(
                project, self._title, order, lambda image: self._visit(project, image), shown=bool(self._rounds),
                in_flight=AT_ONCE, on_failure=lambda image, error: self._fail(project, image, error), on_end=self._finish,
            )  # fmt: skip
        elif self._job is not None and not self._job.stopped:
            self._job.extend([] if first is None else [first], first=True)
            further = [image for image in self._due if image not in self._queued and image != first]
            self._queued.update(self._due)
            self._job.extend(further)
        if many and self._job is not None and len(self._due) >= _SHOWN_FROM:
            self._job.show()

    def _visit(self, project: Project, image: int) -> Steps[None]:
        while image in self._visited:
            yield from pause()  # what is newer waits for what it overtakes
        self._queued.discard(image)
        request = self._due.pop(image, None)
        if request is None:
            return  # it was moved to the front
        self._visited[image] = request
        models = self._kept_models = self._kept_models or KeptModels(project)
        keys, ranking_keys = ({}, {}) if self.analysis is None else (self.analysis.keys, self.analysis.ranking_keys)
        apart = self.inspect_apart()
        measurement = Measurement(
            project, image, request.parts, self._figures.counted_band, lambda: self.objects(project, image), models,
            known=keys.get(image, ""), known_ranking=ranking_keys.get(image, ""), opened=request.opened,
            prediction=request.prediction, to_project=self._models.in_project_ids, apart=apart,
        )  # fmt: skip
        try:
            found = yield from background(measurement.run, apart.stop)
        except GeneratorExit:  # the job was left, or stopped, which is no reason to do without a score; a failure is for _fail
            self._visited.pop(image, None)
            score = _Request(request.parts & Part.SCORE)
            if score.parts and project is self._session.project and not self._overtaken(image, score):
                self._due[image] = score
            raise
        self._visited.pop(image, None)
        if not self._overtaken(image, request):
            self._take(project, image, request, found)

    def _overtaken(self, image: int, request: _Request) -> bool:
        """Whether something newer is to be measured of an image; it is then measured together with what this one was for."""
        newer = self._due.get(image)
        if newer is not None:
            self._due[image] = replace(newer, parts=newer.parts | request.parts)
        return newer is not None

    def _fail(self, project: Project, image: int, error: AtrousError) -> None:
        request = self._visited.pop(image, None)
        if request is None or self._overtaken(image, request):
            return
        self._truth.note_problem(image, error)
        if self.analysis is not None and self.analysis.project is project:
            if Part.SCORE in request.parts:
                self._forget_score(project, image)
            if request.parts & (Part.FIGURES | Part.ERRORS):
                self.analysis.drop(image)
            self.measured.emit(image, request.parts, Measured(problem=error))
        self._settle(image)

    def _settle(self, image: int) -> None:
        """An image is done; a round with its last one ends."""
        for begun in tuple(self._rounds):
            begun.left.discard(image)
            if not begun.left:
                self._rounds.remove(begun)
                begun.on_end(begun)
        if self._job is not None:
            self._job.job.title = self._title

    @property
    def _title(self) -> str:
        return self._rounds[-1].title if self._rounds else tr("Measuring IoU")

    def _finish(self, job: FolderJob[None]) -> None:
        self._job = None
        if job.abandoned:
            self._rounds.clear()
            return
        ended = self._rounds
        if job.stopped:
            left = set(job.left)
            ended = [begun for begun in self._rounds if begun.left & left]  # others began while it was about to end
            waiting = [image for image in dict.fromkeys(job.left) if image in self._due and self._due[image].patient]
            scores = [image for image in waiting if Part.SCORE in self._due.pop(image).parts]
            self._lazy = (*scores, *self._lazy)  # until the figures are looked at
        self._rounds = [begun for begun in self._rounds if begun not in ended]
        for begun in ended:
            begun.stopped = job.stopped
            begun.on_end(begun)
        self._pump()

    # -- taking ----------------------------------------------------------------------------------------------------------

    def _take(self, project: Project, image: int, request: _Request, found: Measured) -> None:
        """Put what was found into the pool and keep it with the project."""
        analysis = self.analysis
        if analysis is None or analysis.project is not project:
            return
        if found.problem is not None:
            self._truth.note_problem(image, found.problem)
        if not found.labelled:
            self._forget_score(project, image)
            if image in analysis.keys or analysis.has_figures(image):
                analysis.drop(image)
                self._figures.changed.emit()
        if Part.SCORE in request.parts and found.score is not None:
            self._keep_score(project, image, found.score, found.stamp)
        if Part.FIGURES in request.parts:
            self._take_figures(analysis, image, found.figures)
        if Part.ERRORS in request.parts:
            self._take_errors(analysis, image, found.errors)
        if Part.RANKING in request.parts and found.ranking is not None:
            self._take_ranking(analysis, image, found.ranking)
        self.measured.emit(image, request.parts, found)
        viewed = self._session.image
        if found.head not in (None, project.journal.head(image)) and (viewed is None or viewed.id != image):
            self.ask(image, request.parts)  # its last steps were just recorded
        else:
            self._settle(image)

    def _take_figures(self, analysis: ProjectAnalysis, image: int, figures: Figures | None) -> None:
        if figures is None:
            analysis.drop(image)
            return
        analysis.masks.update(str(image), figures.mask)
        if figures.prediction is not None:
            analysis.predictions.update(str(image), figures.prediction)
        if figures.data:
            try:
                analysis.project.put_result(image, FIGURES_KIND, figures.key, figures.data)
            except AtrousError as error:
                self._notifier.report(error, replace_key="save")

    def _take_errors(self, analysis: ProjectAnalysis, image: int, errors: Found | None) -> None:
        if errors is None:
            analysis.drop(image)
        elif errors.record is not None:
            try:
                if errors.fresh:
                    analysis.keep(image, errors.key, errors.record)
                else:
                    analysis.put(image, errors.key, errors.record)
            except AtrousError as error:
                self._notifier.report(error, replace_key="save")

    def _take_ranking(self, analysis: ProjectAnalysis, image: int, ranking: Found) -> None:
        if ranking.record is None:
            return
        analysis.predictions.update(str(image), ranking.record)
        analysis.ranking_keys[image] = ranking.key
        if ranking.fresh:
            try:
                analysis.project.put_result(image, RANKING_KIND, ranking.key, ranking.record.to_bytes())
            except AtrousError as error:
                self._notifier.report(error, replace_key="save")

    def _keep_score(self, project: Project, image: int, score: ImageAnalysis, stamp: str) -> None:
        assert self.analysis is not None
        self.analysis.put_score(image, score)
        self._stamps[image] = stamp
        try:
            project.put_result(image, _KIND, stamp, write_score(score))
        except AtrousError as error:
            self._notifier.report(error, replace_key="save")
        self._figures.scored.emit(image)

    def _forget_score(self, project: Project, image: int) -> None:
        known = self.analysis is not None and self.analysis.drop_score(image)
        if self._stamps.pop(image, None) is not None or known:
            try:
                project.drop_result(image, _KIND)
            except AtrousError as error:
                self._notifier.report(error, replace_key="save")
            self._figures.scored.emit(image)

    def _ignore(self, error: Exception) -> None:
        if not isinstance(error, AtrousError):
            raise error
