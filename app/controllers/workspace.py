"""Every object behind the window, built in one place and handed over as one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from PySide6.QtCore import QObject

from app.actions.context import ContextKeys
from app.controllers.adapt.learning import LearnController
from app.controllers.annotate.classes import ClassesController
from app.controllers.annotate.clicks import ClicksController
from app.controllers.annotate.component_jobs import ComponentJobs
from app.controllers.annotate.components import ComponentsController
from app.controllers.annotate.copies import CopyController
from app.controllers.annotate.corrections import CorrectionsController
from app.controllers.annotate.edit import EditController
from app.controllers.annotate.lines import BorderSnap, ScribbleLines
from app.controllers.annotate.next_errors import NextErrors
from app.controllers.annotate.painting_modes import PaintingModes
from app.controllers.annotate.part_copies import PartCopies
from app.controllers.annotate.pixel_counts import ImagePixelCounts
from app.controllers.annotate.regions import RegionsController
from app.controllers.annotate.scribble import ScribbleController
from app.controllers.annotate.undoing import Undoing
from app.controllers.annotate.view import ViewSettingsSync, ViewState
from app.controllers.compare.changes import CompareChanges
from app.controllers.compare.folder import CompareFolder
from app.controllers.compare.image import CompareController
from app.controllers.compare.models import ComparedModels
from app.controllers.evaluate.ambiguity import AmbiguousController
from app.controllers.evaluate.attributes import AttributesController
from app.controllers.evaluate.cutouts import CutoutCache, mask_source
from app.controllers.evaluate.doubts import DoubtsController
from app.controllers.evaluate.errors import InspectController
from app.controllers.evaluate.figures import EvaluationFigures
from app.controllers.evaluate.folder import FolderEvaluation
from app.controllers.evaluate.ground_truth import GroundTruthController
from app.controllers.evaluate.live import EvaluationController
from app.controllers.evaluate.measuring import Measuring
from app.controllers.evaluate.plots import PlotsController, PlotSources
from app.controllers.evaluate.rankings import RankingsController
from app.controllers.evaluate.similar import SimilarImages
from app.controllers.predict.folder import FolderRun
from app.controllers.predict.image import PredictController
from app.controllers.predict.models import ModelsController
from app.controllers.predict.readout import ReadoutController, ReceptiveController
from app.controllers.predict.threshold import ThresholdController
from app.controllers.project.activity import ActivityController
from app.controllers.project.export import ExportController
from app.controllers.project.file_changes import FileChanges, FileNotes
from app.controllers.project.folder_jobs import FolderJobs
from app.controllers.project.label_imports import LabelImports
from app.controllers.project.merging import MergeController
from app.controllers.project.navigation import ProjectController
from app.controllers.project.new_project import NewProjectController, WelcomeController
from app.controllers.project.reviewing import ReviewController
from app.controllers.project.videos import VideoController
from app.controllers.refine.folder import RefineFolder
from app.controllers.refine.meter import RefineMeter
from app.controllers.refine.preview import RefineController
from app.controllers.refine.requests import RefineRequests
from app.controllers.refine.settings import CRFSettings
from app.services.calls import ComputeService
from app.services.folders import thumbnail_folder
from app.services.jobs import JobRegistry
from app.services.mask_tints import MaskTints
from app.services.notifications import Notifier
from app.services.services import Services
from app.services.session import Session
from app.services.settings import SettingsStore
from app.services.thumbnails import ThumbnailLoader
from app.state.tools import TOOLS, ToolState
from app.text import counted, tr
from app.worker.messages import Hello
from deeplab_core.geometry import Box

if TYPE_CHECKING:
    from app.controllers.hub.published_models import FetchController


_Feature = TypeVar("_Feature", bound=QObject)
#: Features that follow the work from the start, whether they are shown or not.
LISTENERS = (
    "view_settings", "classes", "projects", "folder_jobs", "undoing", "file_changes", "truth", "models", "predict",
    "evaluation", "folder_evaluation", "file_notes", "ambiguous", "rankings", "inspect", "attributes", "cutouts", "refine",
    "scribble", "learn", "compare", "compare_folder", "changes", "plots", "similar", "threshold", "receptive", "welcome",
    "counts", "readout", "corrections", "components", "regions", "clicks", "next_errors", "modes", "part_copies", "reviewing",
    "activity",
)  # fmt: skip

#: Name in the table of commands -> attribute of :class:`Program`.
FEATURES = {"project": "projects"} | {
    name: name
    for name in (
        "edit", "view", "classes", "models", "predict", "truth", "evaluation", "folder_evaluation", "rankings", "inspect",
        "ambiguous", "refine", "refine_folder", "scribble", "copies", "learn", "compare", "compare_folder", "receptive", "export",
        "folder_jobs", "folder_run", "components", "next_errors", "similar", "modes", "part_copies", "reviewing",
    )
}  # fmt: skip


class Program(QObject):
    """The program without its widgets.

    Each feature is built when it is first asked for, with what it needs; those of :data:`LISTENERS` follow the work from the
    start. No feature depends on the order in which they are built.

    Args:
        settings, notifier, context: made before the window, which shows them from its first frame on.
        compute: the compute process, or a fake one in tests.
        listeners: names of the features that are built at once; tests build them in other orders.
    """

    def __init__(
        self,
        settings: SettingsStore,
        notifier: Notifier,
        context: ContextKeys,
        compute: ComputeService,
        parent: QObject | None = None,
        *,
        listeners: Sequence[str] | None = None,
    ) -> None:
        super().__init__(parent)
        self.settings, self.notifier, self.context, self.compute = settings, notifier, context, compute
        self.jobs = JobRegistry(self)
        self.session = Session(self)
        self.services = Services(compute, self.jobs, notifier, settings, context, self.session)
        self._wires: defaultdict[type, list[Callable[[Any], object]]] = defaultdict(list)
        self.tools = ToolState()
        self.tools.set_diameter(settings["brush.diameter"])
        for name in LISTENERS if listeners is None else listeners:
            getattr(self, name)
        self.tools.changed.connect(self._follow_tools)
        self._follow_tools()

    def when_built(self, kind: type[_Feature], wire: Callable[[_Feature], object]) -> None:
        """Call ``wire`` with a feature when it is built, or at once: the window listens to it, but does not need it yet.

        Only features that are handed to :meth:`_built` announce themselves.
        """
        for feature in vars(self).values():
            if isinstance(feature, kind):
                wire(feature)
                return
        self._wires[kind].append(wire)

    def _built(self, feature: _Feature) -> _Feature:
        for wire in self._wires.pop(type(feature), ()):
            wire(feature)
        return feature

    @cached_property
    def view(self) -> ViewState:
        return ViewState(self)

    @cached_property
    def edit(self) -> EditController:
        edit = EditController(self.tools, self)
        self.session.strokeEndAsked.connect(edit.commit_stroke)
        return edit

    @cached_property
    def view_settings(self) -> ViewSettingsSync:
        return ViewSettingsSync(self.services, self.view, self)

    @cached_property
    def classes(self) -> ClassesController:
        classes = ClassesController(self.services, self.edit, self.view, self)
        self.session.projectChanged.connect(classes.set_project)
        return classes

    @cached_property
    def copies(self) -> CopyController:
        return CopyController(self.services, self.edit, self)

    @cached_property
    def modes(self) -> PaintingModes:
        return PaintingModes(self.services, self.edit, self.classes, self.evaluation, self)

    @cached_property
    def part_copies(self) -> PartCopies:
        comparison = self.compare, self.evaluation
        return PartCopies(self.services, self.corrections, self.regions, self.models, comparison, self.copies, self)

    @cached_property
    def corrections(self) -> CorrectionsController:
        return CorrectionsController(self.services, self.models, self.edit, self)

    @cached_property
    def components(self) -> ComponentsController:
        return ComponentsController(self.services, self.corrections, self.classes, self)

    @cached_property
    def regions(self) -> RegionsController:
        return RegionsController(self.services, self.corrections, self)

    @cached_property
    def clicks(self) -> ClicksController:
        return ClicksController(self.services, self.corrections, self)

    @cached_property
    def next_errors(self) -> NextErrors:
        errors = NextErrors(self.services, self.corrections, self.figures, self.view, self)
        errors.nextImageAsked.connect(lambda: None if self.projects.next_undecided() else errors.walk_ended())
        self.inspect.regionFound.connect(errors.take_component)
        errors.guessAsked.connect(self.components.take_guess)
        errors.dissolveAsked.connect(self.components.dissolve)
        return errors

    @cached_property
    def scribble_lines(self) -> ScribbleLines:
        return ScribbleLines(self.services, self.corrections, self)

    @cached_property
    def border_snap(self) -> BorderSnap:
        return BorderSnap(self.services, self.corrections, self)

    @cached_property
    def component_jobs(self) -> ComponentJobs:
        return self._built(ComponentJobs(self.services, self.corrections, self.evaluation, self.folder_jobs, self.projects, self))

    @cached_property
    def projects(self) -> ProjectController:
        return ProjectController(self.services, self.edit, self)

    @cached_property
    def activity(self) -> ActivityController:
        return ActivityController(self.services, self)

    @cached_property
    def reviewing(self) -> ReviewController:
        return ReviewController(self.services, self.projects, self.next_errors, self)

    @cached_property
    def videos(self) -> VideoController:
        videos = VideoController(self.services, self)
        videos.taken.connect(lambda folder: self.new_project.open(folder))
        return videos

    @cached_property
    def folder_jobs(self) -> FolderJobs:
        return FolderJobs(self.services, self)

    @cached_property
    def undoing(self) -> Undoing:
        return Undoing(self.services, self.edit, self)

    @cached_property
    def file_changes(self) -> FileChanges:
        return FileChanges(self.services, self.edit, self)

    @cached_property
    def file_notes(self) -> FileNotes:
        notes = FileNotes(self.services, self)
        self.evaluation.truthNoted.connect(lambda name, found: notes.report(name, tr("ground truth"), found))
        return notes

    @cached_property
    def truth(self) -> GroundTruthController:
        return GroundTruthController(self.services, self)

    @cached_property
    def models(self) -> ModelsController:
        models = ModelsController(self.services, self)
        self.session.projectChanged.connect(models.set_project)
        return models

    @cached_property
    def predict(self) -> PredictController:
        return PredictController(self.services, self.models, self.edit, self.folder_jobs, self)

    @cached_property
    def folder_run(self) -> FolderRun:
        run = FolderRun(self.services, self.models, self.folder_jobs, self)
        run.predicted.connect(self.predict.show_prediction)
        run.predicted.connect(self.session.predictionKept)
        return run

    @cached_property
    def evaluation(self) -> EvaluationController:
        return EvaluationController(self.services, self.figures, self.edit, self.truth, self)

    @cached_property
    def figures(self) -> EvaluationFigures:
        return EvaluationFigures(self.services, self)

    @cached_property
    def measuring(self) -> Measuring:
        return Measuring(self.services, self.figures, self.truth, self.models, self.folder_jobs, self)

    @cached_property
    def folder_evaluation(self) -> FolderEvaluation:
        return FolderEvaluation(self.services, self.truth, self.figures, self.measuring, self)

    @cached_property
    def ambiguous(self) -> AmbiguousController:
        ambiguous = AmbiguousController(self.services, self.figures, self.edit, self)
        ambiguous.changed.connect(self.evaluation.measure_again)
        ambiguous.changed.connect(self.folder_evaluation.remeasure)
        return ambiguous

    @cached_property
    def rankings(self) -> RankingsController:
        rankings = RankingsController(self.services, self.figures, self.measuring, self)
        self.ambiguous.changed.connect(rankings.remeasure)
        return rankings

    @cached_property
    def inspect(self) -> InspectController:
        inspect = InspectController(self.services, self.figures, self.measuring, self.truth, self.models, self.edit, self)
        self.ambiguous.changed.connect(inspect.refresh_image)
        return inspect

    @cached_property
    def attributes(self) -> AttributesController:
        return AttributesController(self.services, self.figures, self.truth, self.inspect, self)

    @cached_property
    def similar(self) -> SimilarImages:
        def part() -> tuple[int, Box] | None:
            opened, image = self.changes.place or self.inspect.navigation, self.session.image
            if opened is not None:
                return int(opened.current.image), opened.current.box
            box = self.components.box_here() or self.regions.box_here()
            return None if box is None or image is None else (image.id, box)

        return SimilarImages(self.services, self.models, self.folder_jobs, part, self)

    @cached_property
    def doubts(self) -> DoubtsController:
        return DoubtsController(self.services, self.models, self.edit, self.folder_jobs, self)

    @cached_property
    def cutouts(self) -> CutoutCache:
        cutouts = CutoutCache(self.services, mask_source(self.models), self)
        self.figures.truthFound.connect(lambda _index: cutouts.clear())
        return cutouts

    @cached_property
    def refine(self) -> RefineController:
        refine = RefineController(self.services, self.refine_requests, self.models, self.evaluation, self.edit, self.view, self)
        refine.previewCounted.connect(self.refine_meter.measure)
        return refine

    @cached_property
    def crf(self) -> CRFSettings:
        return CRFSettings(self.settings, self.notifier, self)

    @cached_property
    def refine_requests(self) -> RefineRequests:
        return RefineRequests(self.services, self.models, self.crf, self)

    @cached_property
    def refine_meter(self) -> RefineMeter:
        return RefineMeter(self.services, self.figures, self)

    @cached_property
    def refine_folder(self) -> RefineFolder:
        return RefineFolder(self.services, self.models, self.edit, self.crf, self.folder_jobs, self)

    @cached_property
    def scribble(self) -> ScribbleController:
        scribble = ScribbleController(self.services, self.refine_requests, self.edit, self)
        scribble.maskAsked.connect(self.refine.use_mask)
        return scribble

    @cached_property
    def learn(self) -> LearnController:
        return LearnController(self.services, self.models, self.folder_run, self.edit, self.folder_jobs, self)

    @cached_property
    def compared(self) -> ComparedModels:
        return ComparedModels(self.services, self.models, self)

    @cached_property
    def compare(self) -> CompareController:
        return CompareController(self.services, self.models, self.compared, self.evaluation, self.view, self)

    @cached_property
    def compare_folder(self) -> CompareFolder:
        folder = CompareFolder(self.services, self.compared, self.models, self.figures, self.folder_jobs, self)
        self.compare.folderWanted.connect(folder.start)
        return folder

    @cached_property
    def changes(self) -> CompareChanges:
        comparison = self.compare, self.compared
        changes = CompareChanges(self.services, comparison, self.models, self.measuring, self.view, self.folder_jobs, self)
        self.figures.truthFound.connect(lambda _index: changes.forget())
        self.attributes.changed.connect(lambda: changes.take_attributes(self.attributes.own))
        return changes

    @cached_property
    def threshold(self) -> ThresholdController:
        return ThresholdController(self.services, self.models, self.predict, self.edit, self)

    @cached_property
    def receptive(self) -> ReceptiveController:
        return ReceptiveController(self.services, self.models, self)

    @cached_property
    def export(self) -> ExportController:
        return self._built(ExportController(self.services, self.models, self))

    @cached_property
    def label_imports(self) -> LabelImports:
        return self._built(LabelImports(self.services, self.edit, self.folder_jobs, self))

    @cached_property
    def merging(self) -> MergeController:
        return self._built(MergeController(self.services, self.edit, self.folder_jobs, self))

    @cached_property
    def new_project(self) -> NewProjectController:
        return self._built(NewProjectController(self.services, self.projects, self.models, self.label_imports, self))

    @cached_property
    def welcome(self) -> WelcomeController:
        return WelcomeController(self.services, self.models, lambda folder: self.label_imports.take(folder), self)

    @cached_property
    def counts(self) -> ImagePixelCounts:
        return ImagePixelCounts(self.services, self)

    @cached_property
    def readout(self) -> ReadoutController:
        return ReadoutController(self.services, self.models, self.evaluation, self)

    @cached_property
    def plots(self) -> PlotsController:
        meter, rankings = self.refine_meter, self.rankings
        compare, folder = self.compare, self.compare_folder
        sources = PlotSources(
            image_curves=(meter.curves, compare.curves),
            folder_curves=(folder.curves,),
            gain=rankings.chosen_gain,
            own=lambda: self.attributes.own,
            changed=(
                self.inspect.changed, self.attributes.changed, rankings.changed, rankings.orderChanged, meter.changed,
                compare.resultsChanged, folder.changed, self.classes.changed,
            ),
        )  # fmt: skip
        plots = PlotsController(self.services, self.models, self.figures, self.evaluation, self.view, sources, self)
        plots.folderWanted.connect(self.folder_evaluation.start)
        return plots

    @cached_property
    def thumbnails(self) -> ThumbnailLoader:
        return ThumbnailLoader(thumbnail_folder(), self)

    @cached_property
    def tints(self) -> MaskTints:
        return MaskTints(self)

    @cached_property
    def fetch(self) -> FetchController:
        """Published models; networking takes a moment to import."""
        from app.controllers.hub.published_models import FetchController

        fetch = FetchController(self.services, self.models, self)
        fetch.clicksChosen.connect(self.clicks.choose)
        return fetch

    def feature(self, name: str) -> object:
        """The feature that handles commands, by its name in the table of commands. Raises KeyError for an unknown name."""
        return getattr(self, FEATURES[name])

    def report_details(self) -> dict[str, str]:
        """What a bug report should say beside versions and log."""
        hello: Hello | None = self.models.hello
        project, card = self.session.project, self.models.card
        return {
            "compute": tr("not started") if hello is None else ", ".join(f"{k} {v}" for k, v in hello.versions.items()),
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
        self.tints.stop()
        self.jobs.wait()
        self.settings.flush()

    def _follow_tools(self) -> None:
        self.context.update(
            snapping_on=self.tools.snapping,
            **{spec.context_key: spec.tool is self.tools.tool for spec in TOOLS},
        )
        self.settings.set("brush.diameter", self.tools.diameter)
