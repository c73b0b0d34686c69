"""The first minute of a new project: where there is no model yet, masks that lie beside the images are a place to start."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QObject

from app.controllers.predict.models import ModelsController
from app.controllers.project.import_masks import ImportController
from app.controllers.project.navigation import ProjectController
from app.paths import is_sample_project
from app.services.notifications import Choice
from app.services.services import Services
from app.state.image_record import ImageStatus
from app.state.project import Project

#: Name of a folder of masks to correct, as the sample project has one. Ground truth has other names.
MASKS = "masks"


class WelcomeController(QObject):
    """Offers masks when a project without any work in it opens and no model is there to predict one."""

    def __init__(
        self,
        services: Services,
        projects: ProjectController,
        models: ModelsController,
        imports: ImportController,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._models, self._imports, self._notifier = models, imports, services.notifier
        projects.projectChanged.connect(self._look)

    def _look(self, project: Project | None) -> None:
        self._notifier.withdraw("welcome")
        if project is None or project.read_only or self._models.choices():
            return
        folder = project.folder / MASKS
        if not folder.is_dir() or any(record.status is not ImageStatus.NEW for record in project.images):
            return
        if is_sample_project(project.folder):
            self._imports.import_masks(folder, agreed=True)
            return
        self._notifier.info(
            "No model yet, but there are masks",
            f"Start from the masks in {_short(folder)}? Nothing of them is changed.",
            replace_key="welcome",
            choices=(Choice("Use these masks", lambda: self._imports.import_masks(folder, agreed=True)),),
        )


def _short(folder: Path) -> str:
    return f"{folder.parent.name}/{folder.name}"
