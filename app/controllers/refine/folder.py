"""The CRF over a whole folder as one job: a step for every mask that the user has not edited, a suggestion for the others."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from PySide6.QtCore import QObject

from app.controllers.annotate.edit import EditController
from app.controllers.predict.models import ModelsController
from app.controllers.project.folder_jobs import FolderChange, FolderJobs
from app.controllers.refine.settings import CRFSettings
from app.services.folder_job import FolderJob, Steps, answer, background, pause
from app.services.services import Services
from app.services.session import OpenImage, unset
from app.state.class_mapping import in_project_ids
from app.state.document import Document
from app.state.patch import TilePatch
from app.state.project import Project
from app.state.provenance import Provenance, merge_patch
from app.state.refinement import taking_patch, would_take
from app.text import plural, spaced, tr, waiting_text
from app.viewmodels.project.folder_plan import plan_crf
from app.worker.messages import Predict
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.errors import CatalogError, MessageText, message
from deeplab_core.geometry import Box
from deeplab_core.labels import LabelMap
from deeplab_core.records import ModelCard, Prediction, PredictOptions


@dataclass(slots=True)
class _Run:
    """A run in progress."""

    project: Project
    card: ModelCard
    options: PredictOptions
    title: MessageText
    change: FolderChange
    changed: int = 0
    suggested: int = 0


class RefineFolder(QObject):
    """At most one run at a time, one image after the other; whatever fails is noted, and the run goes on."""

    def __init__(
        self,
        services: Services,
        models: ModelsController,
        edit: EditController,
        crf: CRFSettings,
        folder_jobs: FolderJobs,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._session, self._models, self._edit, self._crf = services.session, models, edit, crf
        self._folder_jobs, self._compute, self._context = folder_jobs, services.compute, services.context
        self._run: FolderJob[None] | None = None

    def start(self) -> None:
        """Say what that will change, then refine every image of the folder with the current parameters."""
        project, card = self._session.project, self._models.card
        if self._run is not None or project is None or card is None or project.read_only:
            return
        if self._models.ask_unless_agreed():
            title = self._crf.title()
            named = tr("the CRF, {title}", title=title) if title else tr("the CRF")
            self._folder_jobs.ask(plan_crf(project, named), lambda: self._begin(project, card))

    def _begin(self, project: Project, card: ModelCard) -> None:
        if self._run is not None or card is not self._models.card:
            return  # the question was answered late
        self._edit.commit_stroke()
        self._models.remember_card()
        options = replace(self._models.run_settings.options(), crf=self._crf.params, crf_engine=self._crf.engine)
        title = message("CRF, {preset}", preset=self._crf.title()) if self._crf.title() else message("CRF")
        run = _Run(project, card, options, title, FolderChange(project, tr("CRF on the folder"), Provenance.CRF, "crf-folder"))
        self._run = self._folder_jobs.start(
            project, tr("CRF on the folder"), [record.id for record in project.images if not record.missing],
            lambda image: self._refine(run, image), writes=True, on_end=lambda job: self._finish(run, job),
        )  # fmt: skip
        self._context.update(crf_running=self._run is not None)

    def _refine(self, run: _Run, image: int) -> Steps[None]:
        """Refine one image: as a suggestion where the user has worked, else as a step of the mask."""
        project, card = run.project, self._models.card

        def read_kept() -> tuple[str, Prediction | None]:
            key = project.content_key(image)
            return key, None if card is None else project.predictions.get(key, card.id, run.options.cache_key())

        key, prediction = yield from background(read_kept)
        if prediction is None:
            path = str(project.path_of(project.record(image)))
            request = Predict(image=path, source_key=key, options=run.options)
            predicted = yield from answer(lambda: self._compute.submit(request))
            prediction = predicted.prediction
        yield from self._take(run, image, prediction)

    # -- taking a result -------------------------------------------------------------------------------------------------

    def _take(self, run: _Run, image: int, prediction: Prediction) -> Steps[None]:
        """Keep the result of one image; decides again if the image is opened while its step is made."""
        project = run.project
        while not project.record(image).touched:
            view = self._session.image
            if not self._folder_jobs.settled(image):
                yield from pause()
            elif view is not None and view.id == image:
                if self._edit.busy:
                    yield from pause()
                    continue
                self._take_in_view(run, view, prediction)
                return
            else:
                first, patch, fresh = yield from background(lambda: _steps(run, image, prediction))
                if self._session.is_in_use(image) or project.record(image).touched:
                    continue
                if first is not None:
                    self._session.write_step(image, *first, Provenance.MODEL)
                if not (patch.empty or fresh):
                    run.change.before_step(image)
                self._session.write_step(
                    image,
                    message("{name}, {pixels} px", name=run.title, pixels=spaced(patch.changed_pixels)),
                    patch,
                    Provenance.CRF,
                )
                run.changed += not patch.empty
                return
        run.change.before_suggestion(image)
        yield from background(lambda: project.keep_prediction(image, prediction, suggestion=True))
        run.suggested += 1
        self._folder_jobs.suggested.emit(image, prediction)

    def _take_in_view(self, run: _Run, view: OpenImage, prediction: Prediction) -> None:
        document = view.document
        labels = _project_labels(run.project, prediction, run.card.catalog)
        before = document.revision
        if not unset(document) and would_take(document, Box.whole(labels.shape), labels):
            run.change.before_step(view.id)
        self._edit.carry_out(run.title, document, lambda: taking_patch(document, Box.whole(labels.shape), labels), Provenance.CRF)
        run.changed += document.revision != before

    def _finish(self, run: _Run, job: FolderJob[None]) -> None:
        self._run = None
        self._context.update(crf_running=False)
        summary = [tr("{changed} changed", changed=plural("{n} mask", "{n} masks", run.changed))]
        if run.suggested:
            summary.append(waiting_text(run.suggested))
        self._folder_jobs.say(job, tr("CRF on the folder"), summary, key="crf-folder", change=run.change)


def _steps(run: _Run, image: int, prediction: Prediction) -> tuple[tuple[MessageText, TilePatch] | None, TilePatch, bool]:
    """Keep a prediction of an image that is not open; (the step before the CRF's, the CRF's, whether the mask was unset)."""
    project = run.project
    labels = _project_labels(project, prediction, run.card.catalog)
    earlier = None
    if project.record(image).prediction:
        project.predictions.put(prediction)
        earlier = project.prediction_of(image)
    else:
        project.keep_prediction(image, prediction)
    document = project.load(image, (labels.shape[0], labels.shape[1])).document
    first = _first_prediction(run, document, earlier)
    if first is not None:
        document.apply(first[1])
    return first, taking_patch(document, Box.whole(labels.shape), labels), unset(document)


def _first_prediction(run: _Run, document: Document, earlier: Prediction | None) -> tuple[MessageText, TilePatch] | None:
    """(title, patch) of the step that an image without labels takes before the CRF's, so that undo ends at its prediction."""
    if earlier is None or not unset(document):
        return None
    labels = in_project_ids(run.project, earlier, run.card.catalog) if earlier.card_id == run.card.id else None
    if labels is None:
        labels = in_project_ids(run.project, earlier)
    if labels is None or labels.shape != document.shape:
        return None
    patch = merge_patch(document.labels, document.provenance, labels, Provenance.MODEL, locked=document.locked)
    name = run.card.name if earlier.card_id == run.card.id else message("Prediction")
    return message("{name}, {pixels} px", name=name, pixels=spaced(patch.changed_pixels)), patch


def _project_labels(project: Project, prediction: Prediction, catalog: ClassCatalog) -> LabelMap:
    labels = in_project_ids(project, prediction, catalog)
    if labels is None:
        raise CatalogError(
            message("the model's classes are not matched to the project's"),
            remedy=message("Choose 'Match model classes…' in the menu Model"),
        )
    return np.ascontiguousarray(labels)
