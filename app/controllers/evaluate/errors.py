"""From a number to the pixels behind it: what is known of the folder's errors, kept in step with corrections."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, Signal

from app.controllers.annotate.edit import EditController
from app.controllers.evaluate.figures import EvaluationFigures
from app.controllers.evaluate.ground_truth import GroundTruthController
from app.controllers.evaluate.measuring import Measuring, Round
from app.controllers.predict.models import ModelsController
from app.services.services import Services
from app.services.session import OpenImage
from app.services.timers import single_shot
from app.state.measurement import Part, inspect_sample_or_apart
from app.state.next_errors import ErrorFix
from app.state.project import Project
from app.state.project_analysis import ProjectAnalysis, inspection_key
from app.state.samples import OpenLabels, load_sample, truth_path
from app.state.tools import Tool
from app.text import tr
from app.viewmodels.evaluate.error_list import ComponentQuery, ErrorNavigation
from deeplab_core.analysis.components import ErrorComponent, component_mask
from deeplab_core.analysis.folder import FolderAnalysis
from deeplab_core.analysis.own_slices import OwnSlices
from deeplab_core.analysis.record import CONFUSION, ImageAnalysis
from deeplab_core.errors import AtrousError
from deeplab_core.regions import Mask

#: Pause before the components of the image in view are found again.
_RESTING_MS = 400
#: Figures are signalled at most this often.
_EMIT_MS, _EMIT_LATEST_MS = 150, 2000


class InspectController(QObject):
    """Owns the error analysis of the folder and the navigation through its error components.

    Attributes:
        navigation: the open list of components; None before one was opened.
        own: the user's attributes of the images and objects; None without any.

    Signals:
        viewAsked(): show the evaluation view, or go back from it.
        changed(): figures or components are others; at most some seven times a second.
        componentReached(ErrorComponent): its image is in view: show the place.
        regionFound(ErrorComponent, mask, ErrorFix | None): its image is in view, and these pixels of its box are wrong: to be
            shown, and fixed.
        navigationChanged(ErrorNavigation | None): another place in the list.
    """

    viewAsked = Signal()
    changed = Signal()
    componentReached = Signal(object)
    regionFound = Signal(object, object, object)
    navigationChanged = Signal(object)

    def __init__(
        self,
        services: Services,
        figures: EvaluationFigures,
        measuring: Measuring,
        truth: GroundTruthController,
        models: ModelsController,
        edit: EditController,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._session, self._figures, self._measuring, self._truth = services.session, figures, measuring, truth
        self._models, self._edit = models, edit
        self._jobs, self._notifier, self._context = services.jobs, services.notifier, services.context
        self._report = partial(services.notifier.report_or_raise, replace_key="inspect")
        self.navigation: ErrorNavigation | None = None
        self._lent: Callable[[int], None] | None = None
        self.own: OwnSlices | None = None
        self._round: Round | None = None
        self._begun: Project | None = None  # the folder that was inspected
        self._viewed: OpenImage | None = None
        self._edited = False
        self._counting: int | None = None
        self._awaited: ErrorComponent | None = None
        self._awaited_fix: tuple[ErrorComponent, ErrorFix] | None = None
        self._fixed_in: int | None = None
        self._stale: set[int] = set()
        self._resting = single_shot(self, _RESTING_MS, self._recount)
        self._emitting = single_shot(self, _EMIT_MS, self.changed.emit)
        services.session.projectChanged.connect(self._follow_project)
        services.session.imageChanged.connect(self._follow_image)
        services.session.recordChanged.connect(lambda record: self._stale.add(record.id))
        services.session.stepWritten.connect(self._stale.add)
        self._measuring.measured.connect(self._follow_measured)
        figures.truthFound.connect(self._follow_truth)
        figures.followed.connect(self._emit_soon)
        edit.changed.connect(self._follow_edit)

    # -- what is known ---------------------------------------------------------------------------------------------------

    @property
    def index(self) -> ProjectAnalysis | None:
        """What is known of the project's images; None without a project."""
        return self._figures.analysis

    @property
    def folder(self) -> FolderAnalysis | None:
        """Everything that is asked of the masks, images by ``str(id)``; None before an image was inspected."""
        return self.index.masks if self.index is not None and len(self.index) else None

    @property
    def inspecting(self) -> bool:
        """Whether the folder is being inspected."""
        return self._round is not None

    def counts(self) -> NDArray[np.int64] | None:
        """(C, C + 1) confusion matrix of the folder, with every finished pixel of the current stroke; None before there is one.

        The image in view counts with its live figures; the components follow after a pause.
        """
        self._figures.catch_up()
        return None if self.folder is None else self.folder.total(CONFUSION)

    def components(self, query: ComponentQuery) -> list[ErrorComponent]:
        """The first components that a query means, as far as they are known now."""
        return [] if self.folder is None else query.find(self.folder, own=self.own)

    def fix(self, component: ErrorComponent, fix: ErrorFix) -> None:
        """Fix a component; its image is opened if it is not in view. Its pixels are found first, as they are now."""
        image = self._session.image
        if image is not None and str(image.id) == component.image:
            self.find_region(component, lambda mask: self.regionFound.emit(component, mask, fix))
        else:
            self._awaited_fix, self._fixed_in = (component, fix), int(component.image)
            self._session.open_image(int(component.image))

    @property
    def fixing(self) -> bool:
        """Whether the image in view was opened to fix a component from the list."""
        image = self._session.image
        return image is not None and image.id == self._fixed_in

    # -- commands -----------------------------------------------------------------------------------------------------------

    def toggle_view(self) -> None:
        """Show the evaluation view, or go back to the picture."""
        self.viewAsked.emit()

    def begin(self) -> None:
        """The evaluation view is opened: inspect what is not known yet, or has changed since."""
        if self.index is None or not len(self._truth.index):
            return
        if not len(self.index):
            self.inspect_folder()
        elif self._stale:
            self._start(self._stale)

    def inspect_folder(self) -> None:
        """Inspect every image that has truth and labels, in the background; what has not changed is not read again."""
        self._start(None)

    def _start(self, only: set[int] | None) -> None:
        """Inspect the folder, or only some of its images."""
        project, index = self._session.project, self.index
        if project is None or index is None or self._round is not None:
            return
        ids = self._truth.images_with_truth()
        if not ids:
            return
        if self._session.autosaver is not None:
            self._session.autosaver.save_now()
        for image in set(index.keys) - set(ids):
            index.drop(image)
        if only is not None:
            ids = [image for image in ids if image in only]
        self._stale.clear()
        self._begun = project
        if ids:
            self._round = self._measuring.start(ids, Part.ERRORS, tr("Analysing the folder"), self._finish)

    def refresh_image(self, image: int) -> None:
        """Something about an image other than its labels has changed (marks of ambiguity): inspect it again."""
        project, index = self._session.project, self.index
        if project is None or index is None or image not in index:
            return
        if self._viewed is not None and self._viewed.id == image:
            self._edited = True
            self._recount()
            return
        self._measuring.ask(image, Part.ERRORS)

    def open_component(self, query: ComponentQuery, components: Sequence[ErrorComponent], place: int) -> None:
        """Open the image of a component of a list, there; the brush is selected with the truth's class."""
        self._set_navigation(ErrorNavigation(query, tuple(components), place))
        self._go()

    def next_component(self) -> None:
        """The next component of the list."""
        (self._lent or self._step)(1)

    def previous_component(self) -> None:
        """The component before in the list."""
        (self._lent or self._step)(-1)

    def lend_keys(self, step: Callable[[int], None] | None) -> None:
        """Let another list of errors be walked by the same keys: it gets 1 or -1. None: it is closed."""
        self._lent = step
        self._say_listed()

    def _say_listed(self) -> None:
        self._context.update(has_components=self.navigation is not None or self._lent is not None)

    def find_region(self, component: ErrorComponent, then: Callable[[Mask], None]) -> None:
        """Find the pixels of a component as they are now, within its box, and call back; not if none is left."""
        project, image = self._session.project, int(component.image)
        if project is None:
            return

        def find() -> Mask | None:
            sample = load_sample(project, image, to_project=self._models.in_project_ids)
            if sample.truth is None or sample.labels is None:
                return None
            return component_mask(component, truth=sample.truth, prediction=sample.labels)

        def done(mask: Mask | None) -> None:
            if mask is not None and mask.any() and project is self._session.project:
                then(mask)

        self._jobs.run(find, done, self._report)

    def end_navigation(self) -> None:
        """Close the list of errors."""
        self._set_navigation(None)

    # -- the folder ------------------------------------------------------------------------------------------------------

    def _follow_measured(self, _image: int, parts: Part, _found: object) -> None:
        if Part.ERRORS in parts:
            self._emit_soon()

    def _finish(self, begun: Round) -> None:
        self._round = None
        self._stale.update(begun.left)
        if begun.stopped and self.index is not None:
            self._stale.update(record.id for record in self.index.project.images if record.id not in self.index)
        self._figures.changed.emit()
        self._emit_soon()

    def _take(self, image: int, key: str, inspection: ImageAnalysis | None) -> None:
        """Put the components of the image in view, or just left, into the pool; ``key`` is empty if it has changed since."""
        index = self.index
        if index is None:
            return
        if inspection is None:
            index.drop(image)
        else:
            try:
                if key:
                    index.keep(image, key, inspection)
                else:
                    index.put(image, key, inspection)
            except AtrousError as error:
                self._notifier.report(error, replace_key="save")
            self._figures.show_live(image)
        self._emit_soon()

    # -- the image in view -----------------------------------------------------------------------------------------------

    def _follow_edit(self, _change: object) -> None:
        if self.folder is not None:
            self._edited = True
            self._resting.start()

    def _recount(self) -> None:
        """Find the components of the image in view again; once more if it changes during that."""
        self._resting.stop()
        image, project, index = self._viewed, self._session.project, self.index
        if not self._edited or image is None or project is None or index is None or not len(index):
            return
        if self._counting is not None:
            self._resting.start()
            return
        self._edited = False
        self._recount_image(project, index, image, last=False)

    def _recount_image(self, project: Project, index: ProjectAnalysis, image: OpenImage, *, last: bool) -> None:
        if truth_path(project, image.id) is None:
            return
        live, document = self._figures.live, image.document
        truth = live.truth if live is not None and live.document is document else None
        revision = document.revision
        opened: OpenLabels | None = OpenLabels(document.labels.copy(), document.provenance.copy(), image.info, image.rgb, truth)
        self._counting, apart = image.id, self._measuring.inspect_apart()

        def work() -> tuple[ImageAnalysis, Path | None] | None:
            nonlocal opened
            sample = load_sample(
                project, image.id, rgb=True, opened=opened, prediction=image.prediction, to_project=self._models.in_project_ids
            )
            opened = None
            if sample.labels is None or sample.truth is None:
                return None
            objects = self._measuring.objects(project, image.id)
            found = inspect_sample_or_apart(project, image.id, sample, objects, apart)
            del sample  # copies of the labels, which are not held while a large image is inspected apart
            return found(), objects

        def done(found: tuple[ImageAnalysis, Path | None] | None) -> None:
            self._counting = None
            if index is not self.index:
                return
            if found is None:
                self._take(image.id, "", None)
                return
            inspection, objects = found
            current = document.revision == revision
            record = project.record(image.id)
            key = inspection_key(project, record, objects) if current else ""
            self._take(image.id, key, inspection)
            if current:
                self._stale.discard(image.id)
            elif last:
                self._stale.add(image.id)

        def failed(error: Exception) -> None:
            self._counting = None
            if index is self.index:
                self._report(error)

        self._jobs.run(work, done, failed)

    def _follow_image(self, image: OpenImage | None) -> None:
        left, self._viewed = self._viewed, image
        self._resting.stop()
        project, index = self._session.project, self.index
        if self._edited and left is not None and project is not None and index is not None and len(index):
            self._recount_image(project, index, left, last=True)
        self._edited = False
        if self._session.between_images:
            return
        fix, self._awaited_fix = self._awaited_fix, None
        if image is not None and image.id != self._fixed_in:
            self._fixed_in = None
        if fix is not None and image is not None and fix[0].image == str(image.id):
            self.fix(*fix)
        awaited = self._awaited
        if awaited is not None and image is not None:
            self._awaited = None
            if awaited.image == str(image.id):
                self._arrive(awaited)

    # -- navigation ---------------------------------------------------------------------------------------------------------

    def _set_navigation(self, navigation: ErrorNavigation | None) -> None:
        self.navigation = navigation
        self._say_listed()
        self.navigationChanged.emit(navigation)

    def _step(self, direction: int) -> None:
        folder = self.folder
        if self.navigation is None or folder is None:
            return
        navigation = self.navigation.step(direction, folder.errors)
        if navigation is None:
            self._notifier.info(
                tr("This is the last error in the list") if direction > 0 else tr("This is the first error in the list"),
                replace_key="go",
            )
            return
        self._set_navigation(navigation)
        self._go()

    def _go(self) -> None:
        assert self.navigation is not None
        component, image = self.navigation.current, self._session.image
        if image is not None and str(image.id) == component.image:
            self._awaited = None
            self._arrive(component)
        else:
            self._awaited = component
            self._session.open_image(int(component.image))

    def _arrive(self, component: ErrorComponent) -> None:
        self._edit.commit_stroke()
        self._edit.choose_tool(Tool.BRUSH)
        self._edit.choose_class(component.truth)
        self.componentReached.emit(component)

    # -- following -------------------------------------------------------------------------------------------------------

    def _follow_project(self, _project: Project | None) -> None:
        self._begun = None
        self._round, self._viewed, self._awaited, self._counting = None, None, None, None
        self._edited = False
        self._stale.clear()
        self._set_navigation(None)
        self._emit_soon()

    def _follow_truth(self, _index: object) -> None:
        """Other ground truth: nothing that rests on another is shown any longer."""
        project = self._session.project
        if project is not None:
            self._stale.update(record.id for record in project.images)
        if project is not None and self._begun is project:
            self._set_navigation(None)
            if self._round is not None:
                self._measuring.leave(self._round)
                self._round = None
            if len(self._truth.index):
                self.inspect_folder()
        self._emit_soon()

    def _emit_soon(self) -> None:
        if not self._emitting.isActive():
            # What is shown of a large folder takes longer to put together; while it grows, it is shown less often.
            grown = len(self.index) // 20 if self.inspecting and self.index is not None else 0
            self._emitting.start(min(_EMIT_MS + grown, _EMIT_LATEST_MS))
