"""Every object behind the window, built in one place and handed over as one."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject

from app.actions.context import Facts
from app.controllers.adapt.learning import LearnController
from app.controllers.annotate.classes import ClassesController
from app.controllers.annotate.edit import EditController
from app.controllers.annotate.pixel_counts import PixelCounts
from app.controllers.annotate.scribble import ScribbleController
from app.controllers.annotate.undoing import Undoing
from app.controllers.annotate.view import ViewState
from app.controllers.annotate.view_settings import LookController
from app.controllers.compare.folder import CompareFolder
from app.controllers.compare.models import CompareController
from app.controllers.evaluate.ambiguity import AmbiguousController
from app.controllers.evaluate.cutouts import CutoutShelf
from app.controllers.evaluate.errors import InspectController
from app.controllers.evaluate.ground_truth import GroundTruthController
from app.controllers.evaluate.live import JudgeController
from app.controllers.evaluate.plots import PlotsController
from app.controllers.evaluate.rankings import QueuesController
from app.controllers.predict.image import PredictController
from app.controllers.predict.models import ModelsController
from app.controllers.predict.readout import ReadoutController
from app.controllers.predict.receptive_field import ReceptiveController
from app.controllers.predict.threshold import ThresholdController
from app.controllers.project.export import ExportController
from app.controllers.project.file_changes import FileChanges
from app.controllers.project.file_notes import FileNotes
from app.controllers.project.folder_jobs import FolderJobs
from app.controllers.project.import_masks import ImportController
from app.controllers.project.navigation import ProjectController
from app.controllers.project.welcome import WelcomeController
from app.controllers.refine.folder import RefineFolder
from app.controllers.refine.preview import RefineController
from app.services.calls import ComputeService
from app.services.folders import thumbnail_folder
from app.services.jobs import JobRegistry
from app.services.notifications import Notifier
from app.services.settings import SettingsStore
from app.services.thumbnails import ThumbnailLoader
from app.state.tools import Tool, ToolState
from app.text import counted
from app.worker.messages import Hello

if TYPE_CHECKING:
    from app.controllers.hub.published_models import FetchController


class Program(QObject):
    """The program without its widgets.

    Args:
        settings, notifier, facts: made before the window, which shows them from its first frame on.
        compute: the compute process, or a fake one in tests.
    """

    def __init__(
        self,
        settings: SettingsStore,
        notifier: Notifier,
        facts: Facts,
        compute: ComputeService,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self.settings, self.notifier, self.facts, self.compute = settings, notifier, facts, compute
        self.jobs = JobRegistry(self)
        self.tools = ToolState()
        self.tools.set_diameter(settings["brush.diameter"])
        self.view = ViewState(self)
        self.edit = EditController(self.tools, self)
        self.look = LookController(self.view, settings, facts, self)
        self.classes = ClassesController(self.edit, self.view, notifier, self)
        self.projects = ProjectController(self.edit, self.jobs, notifier, settings, facts, self)
        self.folder_jobs = FolderJobs(self.projects, self.edit, self.jobs, notifier, settings, facts, self)
        self.undoing = Undoing(self.projects, self.edit, notifier, self)
        self.file_changes = FileChanges(self.projects, self.edit, self.jobs, notifier, self)
        self.file_notes = FileNotes(self.projects, notifier, self)
        self.truth = GroundTruthController(self.projects, self.jobs, notifier, self)
        self.models = ModelsController(compute, notifier, settings, facts, self)
        self.predict = PredictController(
            self.projects, self.models, self.edit, compute, self.jobs, notifier, settings, facts, self.folder_jobs,
            self,
        )  # fmt: skip
        self.judge = JudgeController(
            self.projects, self.predict, self.edit, self.truth, self.jobs, notifier, settings, facts, self.folder_jobs, self
        )
        self.judge.truthNoted.connect(lambda name, notes: self.file_notes.tell(name, "ground truth", notes))
        self.ambiguous = AmbiguousController(self.projects, self.judge, self.edit, notifier, facts, self)
        self.queues = QueuesController(self.projects, self.models, self.predict, self.judge, notifier, self.folder_jobs, self)
        self.ambiguous.changed.connect(self.queues.remeasure)
        self.inspect = InspectController(
            self.projects, self.models, self.judge, self.edit, self.jobs, notifier, facts, self.folder_jobs, self
        )  # fmt: skip
        self.ambiguous.changed.connect(self.inspect.refresh_image)
        self.cutouts = CutoutShelf(self.projects, self.models, self.jobs, self)
        self.judge.truthFound.connect(lambda _index: self.cutouts.clear())
        self.refine = RefineController(
            self.projects, self.models, self.predict, self.judge, self.edit, self.view, compute, self.jobs, notifier, settings,
            facts, self,
        )  # fmt: skip
        self.refine_folder = RefineFolder(
            self.projects, self.models, self.predict, self.edit, self.refine.crf, compute, facts, self.folder_jobs, self
        )  # fmt: skip
        self.scribble = ScribbleController(
            self.projects, self.predict, self.refine, self.edit, compute, notifier, facts, self
        )  # fmt: skip
        self.learn = LearnController(
            self.projects, self.models, self.predict, self.edit, compute, self.jobs, notifier, settings, facts, self.folder_jobs,
            self,
        )  # fmt: skip
        self.compare = CompareController(
            self.projects, self.models, self.judge, self.view, compute, self.jobs, notifier, settings, facts, self
        )
        self.compare_folder = CompareFolder(
            self.compare, self.projects, self.models, self.judge, compute, notifier, facts, self.folder_jobs, self
        )
        self.plots = PlotsController(
            self.projects, self.judge, self.inspect, self.queues, self.refine, self.compare, self.compare_folder,
            self.models, self.jobs, notifier, self,
        )  # fmt: skip
        self.threshold = ThresholdController(
            self.projects, self.models, self.predict, self.edit, compute, facts, self
        )  # fmt: skip
        self.receptive = ReceptiveController(self.projects, self.models, compute, facts, self)
        self.export = ExportController(self.projects, self.predict, self.jobs, notifier, self)
        self.imports = ImportController(self.projects, self.truth, self.predict, self.jobs, notifier, self.folder_jobs, self)
        self.welcome = WelcomeController(self.projects, self.models, self.imports, notifier, self)
        self.counts = PixelCounts(self.projects, self.predict, self.jobs, self)
        self.readout = ReadoutController(self.projects, self.models, self.judge, compute, self)
        self.thumbnails = ThumbnailLoader(thumbnail_folder(), self)
        self.projects.worst_first = self.queues.worst_first
        self.projects.projectChanged.connect(self.classes.set_project)
        self.projects.projectChanged.connect(self.models.set_project)
        self.tools.subscribe(self._follow_tools)
        self._follow_tools()

    @cached_property
    def fetch(self) -> FetchController:
        """Published models; made when they are first asked for, because networking takes a moment to import."""
        from app.controllers.hub.published_models import FetchController

        return FetchController(self.models, self.compute, self.jobs, self.notifier, self.settings, self)

    def targets(self) -> dict[str, object]:
        """Handler targets of the table of commands, apart from the window itself."""
        return {
            "project": self.projects,
            "edit": self.edit,
            "view": self.view,
            "look": self.look,
            "classes": self.classes,
            "models": self.models,
            "predict": self.predict,
            "truth": self.truth,
            "judge": self.judge,
            "inspect": self.inspect,
            "ambiguous": self.ambiguous,
            "refine": self.refine,
            "refine_folder": self.refine_folder,
            "scribble": self.scribble,
            "learn": self.learn,
            "compare": self.compare,
            "compare_folder": self.compare_folder,
            "receptive": self.receptive,
            "export": self.export,
            "folder_jobs": self.folder_jobs,
        }

    def report_facts(self) -> dict[str, str]:
        """What a bug report should say beside versions and log."""
        hello: Hello | None = self.models.hello
        project, card = self.projects.project, self.models.card
        return {
            "compute": "not started" if hello is None else ", ".join(f"{k} {v}" for k, v in hello.versions.items()),
            "devices": "" if hello is None else "; ".join(f"{k}: {v}" for k, v in hello.devices.items()),
            "model": "none" if card is None else f"{card.name} ({card.id})",
            "project": "none" if project is None else f"{counted(len(project.images), 'image')}, {project.catalog.name}",
            "read-only": "" if project is None else str(project.read_only_reason or "no"),
        }

    def shut_down(self) -> None:
        """End threads and the compute process. The project is closed before."""
        self.jobs.cancel_all()
        self.compute.stop()
        self.thumbnails.stop()
        self.jobs.wait()
        self.settings.flush()

    def _follow_tools(self) -> None:
        if self.tools.within != self.facts["within_on"]:
            if self.tools.within:
                self.notifier.info("Painting only over the class where a stroke begins", replace_key="within")
            else:
                self.notifier.info("Painting over every class again", replace_key="within")
        self.facts.update(within_on=self.tools.within, **{f"tool_{tool}": tool is self.tools.tool for tool in Tool})
        self.settings.set("brush.diameter", self.tools.diameter)
