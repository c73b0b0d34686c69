"""Opening a folder: one without a project is looked at first, and its project begins when the user has accepted the proposal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from PySide6.QtCore import QObject, Signal

from app.controllers.predict.models import ModelsController
from app.controllers.project.label_imports import LabelImports, LabelRequest, Preview, scaled
from app.controllers.project.navigation import ProjectController
from app.paths import is_sample_project
from app.services.calls import Call
from app.services.jobs import Job, JobState
from app.services.notifications import Choice
from app.services.services import Services
from app.state.class_choice import CatalogEffect
from app.state.image_record import ImageStatus
from app.state.new_project import (
    ClassOffer,
    FolderLook,
    LabelOffer,
    NewProject,
    class_offers,
    has_project,
    look_at,
    measure_classes,
    proposal,
    read_labels,
    settle_new,
)
from app.state.project import Project
from app.text import displayed, tr
from app.worker.messages import URGENT, Predict, Predicted
from deeplab_core.catalogs import builtin_catalogs
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.datasets import GroundTruthFiles, find_truth, guess_catalog
from deeplab_core.errors import AtrousError
from deeplab_core.images.decode import read_image
from deeplab_core.images.identity import content_key
from deeplab_core.masks.importing import ImportPlan

#: Images that are tried for the picture, if the first ones cannot be read.
_TRIED = 5

T = TypeVar("T")
#: Ground truth, and the classes to choose from because of it, likeliest first.
TruthFound = tuple[GroundTruthFiles, tuple[ClassOffer, ...]]


class NewProjectController(QObject):
    """Opens folders. Nothing is written in a folder without a project before :meth:`accept`.

    Attributes:
        asks: whether the page is shown; the window sets it. Else the proposal is accepted at once.
        models: the models that can be used.

    Signals:
        asked(FolderLook): show the page.
    """

    asked = Signal(object)

    def __init__(
        self,
        services: Services,
        projects: ProjectController,
        models: ModelsController,
        label_imports: LabelImports,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._projects, self.models, self._imports = projects, models, label_imports
        self._jobs, self._notifier, self._compute = services.jobs, services.notifier, services.compute
        self._call: Call[Predicted] | None = None
        self._wanted = 0
        self.asks = False

    def open(
        self, folder: Path, project_dir: Path | None = None, *, catalog: ClassCatalog | None = None, ask: bool = True
    ) -> None:
        """Open a folder; one without a project is looked at in the background, and asked about.

        Args:
            catalog: classes of a new project that the user named.
            ask: False accepts what is proposed.
        """
        self._wanted += 1
        wanted = self._wanted
        if has_project(folder, project_dir) or is_sample_project(folder):
            self._projects.open(folder, project_dir, catalog=catalog)
            return
        job = self._jobs.add(Job(tr("Looking through {name}", name=displayed(folder.name))))
        self._projects.opening.emit(str(folder))

        def done(look: FolderLook) -> None:
            job.finish()
            if wanted != self._wanted:
                return
            self._projects.opening.emit("")
            if not look.images:
                self._projects.open(folder, project_dir, catalog=catalog)
            elif self.asks and ask:
                self.asked.emit(look)
            else:
                self.accept(look, proposal(look, by_user=False))

        def failed(error: Exception) -> None:
            job.finish(JobState.FAILED)
            if wanted == self._wanted:
                self._projects.opening.emit("")
            self._notifier.report_or_raise(error)

        self._jobs.run(lambda: look_at(folder, project_dir, named=catalog), done, failed)

    def accept(self, look: FolderLook, chosen: NewProject) -> None:
        """Begin the project as it was proposed or changed, and import the labels that it starts from."""

        def shown(_project: Project) -> None:
            if chosen.labels is not None:
                self._import(chosen.labels, chosen.classes.catalog)

        self._projects.open(
            look.folder, look.project_dir, catalog=chosen.classes.catalog,
            begin=lambda project: settle_new(project, chosen), then=shown,
        )  # fmt: skip

    def _import(self, labels: LabelOffer, catalog: ClassCatalog) -> None:
        if labels.plan is None:
            return
        plan = labels.plan.mapped(catalog)
        if plan.mapping is not None and plan.mapping.unmapped:
            self._imports.sourceChosen.emit(labels.path)  # the dialog asks what becomes of them
        else:
            self._imports.start(LabelRequest(plan=plan))

    # -- what the page asks ----------------------------------------------------------------------------------------------

    def read_labels(self, look: FolderLook, path: Path, then: Callable[[LabelOffer], None]) -> None:
        """Look at labels that the user chose; the offer has a plan, or says why it has none."""
        self._run(tr("Reading {name}", name=path.name), lambda: read_labels(LabelOffer(path, ""), look.folder, look.images), then)

    def read_truth(self, look: FolderLook, folder: Path, then: Callable[[TruthFound | Exception], None]) -> None:
        """Look at a folder of ground truth that the user chose, and at the classes that it allows."""

        def work() -> TruthFound:
            index = find_truth(look.folder, look.images, truth_folder=folder, allow_predicted=True)
            guess = guess_catalog(index.files.values(), list(builtin_catalogs().values())) if index.files else None
            return index, class_offers(look.folder, guess, (), None) if guess is not None else ()

        self._run(tr("Reading the ground truth"), work, then, then)

    def measure(self, truth: GroundTruthFiles, offer: ClassOffer, then: Callable[[CatalogEffect | None], None]) -> None:
        """What classes make of ground truth."""
        self._run(tr("Reading the ground truth"), lambda: measure_classes(truth, offer.catalog), then)

    def read_picture(self, look: FolderLook, then: Callable[[Preview, str], None]) -> None:
        """Read the first image that can be read, scaled down; ``then`` gets it with its content key."""

        def work() -> tuple[Preview, str] | None:
            for name in look.images[:_TRIED]:
                try:
                    data = read_image(look.folder / name)
                    return Preview(name, scaled(data.rgb)), content_key(look.folder / name)
                except AtrousError:
                    continue  # it is named when it is opened
            return None

        def done(found: tuple[Preview, str] | None) -> None:
            if found is not None:
                then(*found)

        self._jobs.run(work, done, self._notifier.report_or_raise)

    def predict(
        self, look: FolderLook, preview: Preview, key: str, then: Callable[[Preview], None], failed: Callable[[AtrousError], None]
    ) -> None:
        """Predict the picture's image with the model in use; only the newest answer comes."""
        self.leave()
        card = self.models.card
        if card is None or self.models.loading:
            return
        options = self.models.run_settings.options()
        path = look.folder / preview.name
        self._call = self._compute.submit(Predict(priority=URGENT, image=str(path), source_key=key, options=options))
        self._call.on(
            done=lambda answer: then(Preview(preview.name, preview.rgb, answer.prediction.labels, card.catalog)), failed=failed
        )

    def preview_labels(self, look: FolderLook, plan: ImportPlan, then: Callable[[Preview | Exception], None]) -> None:
        """Read the labels of the first labelled image; the plan's classes are mapped, and none is open."""
        item = plan.items[0]

        def work() -> Preview:
            found = plan.read(item)
            return Preview(item.name, scaled(read_image(look.folder / item.name).rgb), found.labels, found.catalog)

        self._jobs.run(work, then, then)

    def give_up(self, before: Path | None) -> None:
        """The page is closed and nothing begins: a model that was tried on it makes way for the one ``before``."""
        self.leave()
        if before is not None and self.models.coming != before:
            self.models.load(before, chosen=False)

    def leave(self) -> None:
        """The page is closed, or wants another prediction."""
        call, self._call = self._call, None
        if call is not None and call.running:
            call.abandon()

    def _run(
        self, title: str, work: Callable[[], T], then: Callable[[T], None], failed: Callable[[Exception], None] | None = None
    ) -> None:
        job = self._jobs.add(Job(title))

        def done(found: T) -> None:
            job.finish()
            then(found)

        def fail(error: Exception) -> None:
            job.finish(JobState.FAILED)
            (failed or self._notifier.report_or_raise)(error)

        self._jobs.run(work, done, fail)


#: Name of a folder of masks to correct, as the sample project has one. Ground truth has other names.
MASKS = "masks"


class WelcomeController(QObject):
    """Offers masks when a project without any work in it opens and no model is there to predict one.

    Args:
        take: imports the masks of a folder.
    """

    def __init__(
        self,
        services: Services,
        models: ModelsController,
        take: Callable[[Path], None],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._models, self._take, self._notifier = models, take, services.notifier
        services.session.projectChanged.connect(self._offer_masks)

    def _offer_masks(self, project: Project | None) -> None:
        self._notifier.withdraw("welcome")
        if project is None or project.read_only or self._models.choices():
            return
        folder = project.folder / MASKS
        if not folder.is_dir() or any(record.status is not ImageStatus.NEW for record in project.images):
            return
        if is_sample_project(project.folder):
            self._take(folder)
            return
        self._notifier.info(
            tr("No model yet, but masks were found"),
            tr("Start from the masks in {short}? They are not changed.", short=_short(folder)),
            replace_key="welcome",
            choices=(Choice(tr("Use these masks"), lambda: self._take(folder)),),
        )


def _short(folder: Path) -> str:
    return f"{folder.parent.name}/{folder.name}"
