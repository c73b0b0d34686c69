"""The difference of two runs in the window: which errors the second fixed and which it made, and the way to each of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, Signal

from app.controllers.annotate.view import ViewState
from app.controllers.compare.export import EXPORTED_BAND, export_changes
from app.controllers.compare.image import CompareController
from app.controllers.compare.keeping import RunKeeping
from app.controllers.compare.models import ComparedModels
from app.controllers.compare.requests import RunLabels
from app.controllers.evaluate.measuring import Measuring
from app.controllers.predict.models import ModelsController
from app.controllers.project.folder_jobs import FolderJobs
from app.services.folder_job import FolderJob, Steps, background
from app.services.services import Services
from app.services.session import OpenImage
from app.state.comparison import LETTERS
from app.state.kept_runs import KeptRuns
from app.state.project import Project
from app.state.run_sides import RunChange, RunSide, change_of, truth_note
from app.state.samples import load_sample, truth_path
from app.text import plural, share_text, tr
from app.viewmodels.annotate.panes import MODEL_PANES, PaneKind, PaneLayout
from app.viewmodels.project.folder_plan import plan_comparison
from deeplab_core.analysis.components import ErrorComponent, component_mask
from deeplab_core.analysis.difference import ImageErrorChange, RunDifference
from deeplab_core.analysis.error_comparison import ErrorComparison, slices_with_images
from deeplab_core.analysis.own_slices import OwnSlices
from deeplab_core.analysis.verdicts import needed_draws
from deeplab_core.labels import LabelMap

#: Fewest draws: fifty slices are corrected as one family, and with 1,000 draws none of them could ever be told from chance.
_DRAWS = 10_000


@dataclass(frozen=True, slots=True, eq=False)
class ChangedPixels:
    """An image in both runs.

    Attributes:
        rgb: (H, W, 3) uint8.
        truth: (H, W) ground truth.
        wrong: (H, W) labels of the run that has the errors, with all other errors right.
        labels: (H, W) of both runs.
    """

    rgb: NDArray[np.uint8]
    truth: LabelMap
    wrong: LabelMap
    labels: tuple[LabelMap, LabelMap]


@dataclass(slots=True, eq=False)
class _Visit:
    """The image of an error of the list, with the masks of both runs in the panes."""

    change: RunChange
    errors: tuple[ErrorComponent, ...]  # the list, as it was when it was opened
    at: int  # which of them
    fixed: bool
    before: dict[str, Any]  # what the panes showed
    image: OpenImage | None = None
    labels: tuple[LabelMap, ...] = ()
    differ: float = 0.0  # share of the pixels at which they do

    @property
    def component(self) -> ErrorComponent:
        return self.errors[self.at]


@dataclass(frozen=True, slots=True)
class VisitedError:
    """The error that is open.

    Attributes:
        current: the error.
        fixed: whether it was fixed by the second run, or made.
        place, number: its place in the list, from 1, and how many are listed.
    """

    current: ErrorComponent
    fixed: bool
    place: int
    number: int


class CompareChanges(QObject):
    """Compares the errors of two runs over the images with ground truth, as one job, and leads to the places.

    Attributes:
        change: the runs that were compared last; None before.
        keeping: keeps runs with the project.
        own: the user's attributes of the images and objects, slices of the next difference; None without any.
        chosen: the runs that the page is to offer first; None for those of ``change``.

    Signals:
        viewAsked(): show the page of both runs.
        changed(): other runs, more images, or the end.
        visitChanged(): another error is in view, its masks have come, or the visit has ended.
        placeFound(ErrorComponent, mask): its image is in view: show these pixels of its box.
    """

    viewAsked = Signal()
    changed = Signal()
    visitChanged = Signal()
    placeFound = Signal(object, object)

    def __init__(
        self,
        services: Services,
        comparison: tuple[CompareController, ComparedModels],
        models: ModelsController,
        measuring: Measuring,
        view: ViewState,
        folder_jobs: FolderJobs,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._comparison, self._compared = comparison
        self._session, self._models = services.session, models
        self._measuring, self._view, self._folder_jobs = measuring, view, folder_jobs
        self._jobs, self._notifier = services.jobs, services.notifier
        self._labels = RunLabels(services.compute, models)
        self.keeping = RunKeeping(services, models, self._labels, folder_jobs, self)
        self.keeping.changed.connect(self.changed)
        self._report = partial(services.notifier.report_or_raise, replace_key="changes")
        self._job: FolderJob[Any] | None = None
        self._visit: _Visit | None = None
        self.change: RunChange | None = None
        self.own: OwnSlices | None = None
        self.chosen: tuple[RunSide, RunSide] | None = None
        services.session.projectChanged.connect(lambda _project: self.forget())
        services.session.imageChanged.connect(self._follow_image)

    def take_attributes(self, own: OwnSlices | None) -> None:
        """The next difference has these attributes of the user's as slices."""
        self.own = own

    # -- which runs ------------------------------------------------------------------------------------------------------

    def sides(self) -> list[RunSide]:
        """What can be compared: the masks as they are, the models that are compared, kept runs, and those of the last difference.

        Models of a difference stay, also when others are compared since; a run that was removed does not.
        """
        models = [
            RunSide(f"{LETTERS[place]}: {model.title}", model=model)
            for place, model in enumerate(self._compared.models)
            if model.card is not None
        ]
        found = [RunSide(tr("Masks as they are")), *models]
        project = self._session.project
        kept = [] if project is None else KeptRuns(project).all()
        found += [RunSide(tr("{name} ({date})", name=run.name, date=run.date), kept=run) for run in kept]
        before = [side for side in (() if self.change is None else self.change.sides) if side.kept is None]
        keys = {side.key for side in found}
        return [*found, *(side for side in before if side.key not in keys)]

    @property
    def running(self) -> bool:
        """Whether two runs are being compared, or one is being kept."""
        return self._job is not None or self.keeping.running

    def start(self, before: RunSide, after: RunSide) -> None:
        """Say what it takes, then compare the errors of two runs on every image with ground truth."""
        project = self._session.project
        if project is None or self.running:
            return
        images = [record.id for record in project.images if not record.missing and truth_path(project, record.id) is not None]
        if not images:
            self._notifier.warning(tr("Comparing errors requires ground truth"), replace_key="changes")
            return
        if before.key == after.key:
            self._notifier.warning(tr("Choose two different runs"), replace_key="changes")
            return
        models = sum(side.model is not None for side in (before, after))
        begin = partial(self._begin, project, (before, after), images)
        if models:
            self._folder_jobs.ask(plan_comparison(project, models), begin)
        else:
            begin()

    def show_pair(self) -> None:
        """Show the page of both runs, with the models of the comparison's difference, and compare them."""
        sides = {side.model.setting: side for side in self.sides() if side.model is not None}
        models = self._compared.models
        pair = [sides.get(models[place].setting) for place in self._comparison.pair if place < len(models)]
        if len(pair) == 2 and pair[0] is not None and pair[1] is not None:
            self.chosen = chosen = pair[0], pair[1]
            self.viewAsked.emit()
            if self.change is None or [side.key for side in self.change.sides] != [side.key for side in chosen]:
                self.start(*chosen)

    def stop(self) -> None:
        """Stop comparing; what was compared is shown. Or stop keeping a run."""
        self.keeping.stop()
        if self._job is not None:
            self._job.cancel()

    def _begin(self, project: Project, sides: tuple[RunSide, RunSide], images: list[int]) -> None:
        if self.running or project is not self._session.project:
            return  # the question was answered late
        self.end_visit()
        if self._session.autosaver is not None:
            self._session.autosaver.save_now()
        change = RunChange(project, sides, self._models.run_settings.options(), RunDifference(project.catalog, own=self.own))
        self.change = change
        self._job = self._folder_jobs.start(
            project, tr("Comparing errors"), images, lambda image: self._compare(change, image),
            lambda image, found: self._pool(change, image, found), on_end=lambda job: self._finish(change, job),
        )  # fmt: skip
        self.changed.emit()

    # -- the job ---------------------------------------------------------------------------------------------------------

    def _ended(self, job: FolderJob[Any]) -> None:
        """A job is over; after :meth:`forget` another one may be running since."""
        if self._job is job:
            self._job = None

    def _compare(self, change: RunChange, image: int) -> Steps[ImageErrorChange | None]:
        first, second = change.sides
        before = yield from self._labels.steps(change.project, change.options, image, first)
        after = yield from self._labels.steps(change.project, change.options, image, second)
        if before is None or after is None:
            return None  # an image without a mask is in neither run
        objects = self._measuring.objects(change.project, image)

        def compare() -> ImageErrorChange | None:
            return change_of(change.project, image, change.sides, (before, after), objects, EXPORTED_BAND)

        return (yield from background(compare))

    def _pool(self, change: RunChange, image: int, found: ImageErrorChange | None) -> None:
        if found is not None and change is self.change:
            change.difference.add(str(image), found)
            self.changed.emit()

    def _finish(self, change: RunChange, job: FolderJob[ImageErrorChange | None]) -> None:
        self._ended(job)
        compared = plural("{n} image compared", "{n} images compared", change.difference.images)
        self._folder_jobs.say(job, tr("Comparing errors"), [compared], key="changes")
        self.changed.emit()
        images = change.difference.images
        if not images:
            return

        notes = [truth_note(side.kept, change.difference, change.name) for side in change.sides if side.kept is not None]
        change.notes = tuple(note for note in notes if note) if not job.stopped else ()

        def done(errors: ErrorComparison) -> None:
            if change is self.change:
                change.errors = errors
                self.changed.emit()

        def counted(errors: ErrorComparison) -> None:
            done(errors)  # draws take seconds, and the rows are worth looking at before
            self._jobs.run(draw, resampled, self._report)

        def draw() -> ErrorComparison:
            draws = max(_DRAWS, needed_draws(slices_with_images(change.difference)))
            return ErrorComparison.of(change.difference, resamples=draws, count_resamples=_DRAWS)

        def resampled(errors: ErrorComparison) -> None:
            change.whole = True
            done(errors)

        self._jobs.run(lambda: ErrorComparison.of(change.difference, resamples=0), counted, self._report)

    def export(self, path: Path) -> None:
        """Write the difference as JSON, CSV or HTML, as the ending says; in the background."""
        change = self.change
        if change is None or change.errors is None:
            return
        errors = change.errors

        def written(_nothing: None) -> None:
            self._notifier.info(
                tr("{name} exported", name=path.name), tr("In {parent}.", parent=path.parent), replace_key="changes"
            )

        self._jobs.run(lambda: export_changes(change, errors, partial(self._read_pixels, change), path), written, self._report)

    # -- places ----------------------------------------------------------------------------------------------------------

    def pixels(self, image: int, *, fixed: bool) -> Callable[[], ChangedPixels | None]:
        """Reads what is needed to show errors of the last difference on an image; for a thread.

        Args:
            fixed: errors that the second run fixed, or those that it made.

        Returns:
            A function that gives None where the labels of a run are not kept any more.
        """
        change = self.change
        if change is None:
            return lambda: None

        def read() -> ChangedPixels | None:
            found = self._read_pixels(change, image)
            if found is None:
                return None
            rgb, truth, labels = found
            run, other = labels if fixed else labels[::-1]
            return ChangedPixels(rgb, truth, np.where(other == truth, run, truth), labels)

        return read

    def _read_pixels(self, change: RunChange, image: int) -> tuple[NDArray[np.uint8], LabelMap, tuple[LabelMap, LabelMap]] | None:
        """(H, W, 3) image, (H, W) ground truth and labels of both runs; None where something is missing. Reads the disk."""
        sample = load_sample(change.project, image, labels="none", rgb=True)
        before, after = (self._labels.reader(change.project, change.options, image, side)() for side in change.sides)
        if sample.truth is None or sample.rgb is None or before is None or after is None:
            return None
        return sample.rgb, sample.truth, (before, after)

    @property
    def visiting(self) -> bool:
        """Whether an error of the list is open."""
        return self._visit is not None

    @property
    def labels(self) -> tuple[LabelMap, ...]:
        """(H, W) of both runs on the image in view, for the panes; empty unless an error is open there."""
        visit = self._visit
        return visit.labels if visit is not None and visit.image is self._session.image else ()

    def captions(self) -> dict[PaneKind, str]:
        """Names of the runs beside the titles of the panes."""
        visit = self._visit
        if visit is None or not self.labels:
            return {}
        titles = {pane: side.title for pane, side in zip(MODEL_PANES, visit.change.sides, strict=False)}
        both = tr("{first} and {second}", first=LETTERS[0], second=LETTERS[1])
        return titles | {PaneKind.DIFFERENCE: f"{both} · {share_text(visit.differ)}"}

    @property
    def place(self) -> VisitedError | None:
        """The error that is open; None without one."""
        visit = self._visit
        return None if visit is None else VisitedError(visit.component, visit.fixed, visit.at + 1, len(visit.errors))

    def open_error(self, errors: Sequence[ErrorComponent], at: int, *, fixed: bool) -> None:
        """Open the image of an error of a list, with the masks of both runs beside each other."""
        change = self.change
        if change is None or change.project is not self._session.project:
            return
        kept = {name: value for name, value in self._view.to_dict().items() if name != "overlay"}
        before = kept if self._visit is None else self._visit.before
        self._visit = _Visit(change, tuple(errors), at, fixed, before)
        for place, kind in enumerate((MODEL_PANES[0], MODEL_PANES[1], PaneKind.DIFFERENCE, PaneKind.TRUTH)):
            self._view.set_kind(place, kind)
        self._view.set_layout(PaneLayout.QUAD)
        self._go()

    def step(self, direction: int) -> None:
        """Open the next error of the list, or with -1 the one before."""
        visit = self._visit
        if visit is None:
            return
        if not 0 <= visit.at + direction < len(visit.errors):
            last, first = tr("This is the last error in the list"), tr("This is the first error in the list")
            self._notifier.info(last if direction > 0 else first, replace_key="go")
            return
        self._visit = replace(visit, at=visit.at + direction, image=None, labels=())
        self._go()

    def _go(self) -> None:
        visit, image = self._visit, self._session.image
        assert visit is not None
        if image is not None and str(image.id) == visit.component.image:
            self._arrive(image)
        else:
            self._session.open_image(int(visit.component.image))
        self.visitChanged.emit()

    def end_visit(self) -> None:
        """Give the panes back what they showed."""
        visit, self._visit = self._visit, None
        if visit is not None:
            self._view.restore(visit.before)
            self.visitChanged.emit()

    def _follow_image(self, image: OpenImage | None) -> None:
        if self._visit is None or image is None:
            return
        if str(image.id) == self._visit.component.image:
            self._arrive(image)
        else:
            self.end_visit()

    def _arrive(self, image: OpenImage) -> None:
        visit = self._visit
        assert visit is not None
        visit.image = image

        component = visit.component

        def done(found: ChangedPixels | None) -> None:
            if visit is not self._visit or image is not self._session.image:
                return
            if found is None:
                self._notifier.warning(tr("The masks of these runs are not kept any more"), replace_key="changes")
                return
            visit.labels = found.labels
            visit.differ = float(np.mean(found.labels[0] != found.labels[1]))
            self.visitChanged.emit()
            self.placeFound.emit(component, component_mask(component, truth=found.truth, prediction=found.wrong))

        self._jobs.run(self.pixels(image.id, fixed=visit.fixed), done, self._report)

    def forget(self) -> None:
        """Another folder, or other ground truth: nothing of the old one is shown any more."""
        if self._job is not None:
            self._job.cancel()
        self.keeping.forget()
        self._job = self.change = self.chosen = None
        self.end_visit()
        self.changed.emit()
