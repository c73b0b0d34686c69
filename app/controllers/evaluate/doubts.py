"""The doubtful places of a folder without ground truth: found in the background, and kept in step with corrections."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal

from app.controllers.annotate.edit import EditController
from app.controllers.predict.models import ModelsController
from app.controllers.project.folder_jobs import FolderJobs
from app.services.folder_job import FolderJob, Steps, background
from app.services.services import Services
from app.services.session import OpenImage
from app.services.timers import single_shot
from app.state.doubtful_places import FOLDER_ORDERS, DoubtfulPlace, doubtful_places
from app.state.measurement import KeptModels
from app.state.project import Project
from app.text import tr

#: Places that are listed, and how often the list is shown while it grows, ms.
_LISTED, _EMIT_MS = 400, 300


class DoubtsController(QObject):
    """Finds them for images that have a prediction and no ground truth, and are neither reviewed nor rejected.

    Signals:
        changed(): there are others.
    """

    changed = Signal()

    def __init__(
        self,
        services: Services,
        models: ModelsController,
        edit: EditController,
        folder_jobs: FolderJobs,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._session, self._models, self._folder_jobs = services.session, models, folder_jobs
        self._order = ""
        self._found: dict[int, list[DoubtfulPlace]] = {}
        self._job: FolderJob[list[DoubtfulPlace]] | None = None
        self._viewed: int | None = None
        self._edited = False
        self._emitting = single_shot(self, _EMIT_MS, self.changed.emit)
        services.session.projectChanged.connect(lambda _project: self._forget())
        services.session.imageChanged.connect(self._follow_image)
        services.session.predictionKept.connect(lambda _image, _prediction: self._forget())
        edit.changed.connect(lambda _rect: self._note_edit())

    @property
    def finding(self) -> bool:
        """Whether images are being looked at."""
        return self._job is not None

    def places(self, order: str) -> list[DoubtfulPlace]:
        """The places that are known, those first of which most is expected to be wrong; images that are decided are left out."""
        if order != self._order:
            return []
        found = [place for image, places in self._found.items() if self._session.is_unreviewed(image) for place in places]
        return sorted(found, key=lambda place: (-place.expected, place.image, place.anchor))[:_LISTED]

    def begin(self, order: str) -> None:
        """Find the places of an order, unless they are known."""
        project = self._session.project
        if project is None or order not in FOLDER_ORDERS or (order == self._order and (self._found or self.finding)):
            return
        self._forget()
        self._order = order
        self._look(project, [record.id for record in project.images if self._wanted(project, record.id)])

    def _wanted(self, project: Project, image: int) -> bool:
        record = project.record(image)
        has_truth = project.ground_truth.get(record.relative_path) is not None
        return bool(record.prediction) and not (record.missing or has_truth) and self._session.is_unreviewed(image)

    def _look(self, project: Project, ids: list[int]) -> None:
        order, models = self._order, KeptModels(project)

        def work(image: int) -> Steps[list[DoubtfulPlace]]:
            found = yield from background(lambda: doubtful_places(project, image, order, models, self._models.in_project_ids))
            return found

        def take(image: int, places: list[DoubtfulPlace]) -> None:
            if order == self._order:
                self._found[image] = places
                if not self._emitting.isActive():
                    self._emitting.start()

        def ended(job: FolderJob[list[DoubtfulPlace]]) -> None:
            if job is self._job:
                self._job = None
            self.changed.emit()

        if ids:
            self._job = self._folder_jobs.start(project, tr("Finding doubtful places"), ids, work, take, on_end=ended)

    def _note_edit(self) -> None:
        self._edited = True

    def _follow_image(self, image: OpenImage | None) -> None:
        left, self._viewed = self._viewed, None if image is None else image.id
        edited, self._edited = self._edited, False
        project = self._session.project
        if edited and left is not None and left in self._found and project is not None:
            self._look(project, [left])

    def _forget(self) -> None:
        if self._job is not None:
            self._job.cancel()
            self._job = None
        self._order = ""
        self._found.clear()
        self.changed.emit()
