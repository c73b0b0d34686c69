"""A model that has learned takes over: the folder is predicted again, also where the old model's labels lie already."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject

from app.controllers.models import ModelsController
from app.controllers.predict import PredictController
from app.controllers.project import ProjectController
from app.services.jobs import JobRegistry
from app.services.notifications import Notifier
from app.state.class_mapping import in_project_ids
from app.state.patch import TilePatch
from app.state.project import Project
from app.state.provenance import Provenance, merge_labels
from app.state.wording import spaced
from deeplab_core.errors import AtrousError
from deeplab_core.records import ModelCard, Prediction


class Relay(QObject):
    """Waits for a model to be loaded, runs it over the folder, and replaces labels that only a model has set.

    A folder run of the old model that is under way is stopped for it (:meth:`FolderRun.start`).

    Images that a person has worked on are left to the folder run, which lets the new prediction wait beside the person's work;
    images that nobody has opened have no labels yet and take them from the newest prediction.
    """

    def __init__(
        self,
        projects: ProjectController,
        models: ModelsController,
        predict: PredictController,
        jobs: JobRegistry,
        notifier: Notifier,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._projects, self._models, self._predict = projects, models, predict
        self._jobs, self._notifier = jobs, notifier
        self._report = partial(notifier.report_or_raise, replace_key="relay")
        self._awaited: Path | None = None
        self._card_id = ""
        models.cardChanged.connect(self._follow_card)
        predict.folder_run.predicted.connect(self._take)
        projects.projectChanged.connect(lambda _project: self.follow(None, ""))

    def follow(self, path: Path | None, card_id: str) -> None:
        """Take over with the model of this file as soon as it is loaded."""
        self._awaited, self._card_id = path, card_id

    def _follow_card(self, card: ModelCard) -> None:
        if self._awaited is None or self._models.path != self._awaited:
            self._card_id = ""  # another model was chosen meanwhile
            return
        self._awaited, self._card_id = None, card.id
        self._predict.start_folder_run()

    def _take(self, image: int, prediction: Prediction) -> None:
        project, card = self._projects.project, self._models.card
        if project is None or card is None or prediction.card_id != self._card_id:
            return
        if self._projects.in_hand(image) or project.record(image).touched:
            return

        def work() -> TilePatch | None:
            labels = in_project_ids(project, prediction, card.catalog)
            if labels is None:
                return None
            document = project.load(image, (labels.shape[0], labels.shape[1])).document
            if not document.provenance.any():
                return None  # never opened: it takes the newest prediction when it is
            return merge_labels(document.labels, document.provenance, labels, Provenance.MODEL).patch

        def write(patch: TilePatch | None) -> None:
            if patch is not None and not patch.empty:
                self._write(project, image, card.name, patch)

        self._jobs.run(work, write, self._report)

    def _write(self, project: Project, image: int, name: str, patch: TilePatch) -> None:
        if project is not self._projects.project or self._projects.in_hand(image) or project.record(image).touched:
            return  # somebody opened it meanwhile; the prediction is kept and can be taken there
        try:
            self._projects.write_step(image, f"{name}, {spaced(patch.changed_pixels)} px", patch, Provenance.MODEL)
        except AtrousError as error:
            self._report(error)
