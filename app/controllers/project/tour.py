"""The guided tour: seven things to try on the sample project, one after the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto

from PySide6.QtCore import QObject, Signal

from app.controllers.annotate.edit import EditController
from app.controllers.evaluate.errors import InspectController
from app.controllers.evaluate.live import EvaluationController, ImageFigures
from app.controllers.project.export import ExportController
from app.paths import is_sample_project
from app.services.services import Services
from app.text import mark, share_text, tr
from deeplab_core.labels import Provenance

_STEP = "tour.step"


class Event(Enum):
    """What the user did to finish a step."""

    NEXT = auto()
    ERRORS_OPENED = auto()
    ERROR_OPENED = auto()
    STEP_DONE = auto()
    EXPORTED = auto()


@dataclass(frozen=True, slots=True)
class TourStep:
    """One step.

    Attributes:
        title: what it is about.
        text: what to do, with ``{key of COMMAND}`` for keys and ``{before}`` and ``{now}`` for the mean IoU of the image.
        event: what ends the step; the button *Next* always does.
        command: the command that *Show me* runs; empty if no command does it.
        needs: the context key without which the step cannot be done; empty for none.
    """

    title: str
    text: str
    event: Event = Event.NEXT
    command: str = ""
    needs: str = ""


STEPS = (
    TourStep(
        mark("Rooms and their masks"),
        mark(
            "These rooms are rendered. A network labels the image in view, and ground truth measures its mask. "
            "{previous} and {next} move through the images. Then press Next."
        ),
    ),
    TourStep(
        mark("Label them all"),
        mark("Press Run folder in the Model panel: the network labels every room in the background. Then press Next."),
        command="model.run_folder",
    ),
    TourStep(
        mark("Where are the errors?"),
        mark("Press Errors in the top bar. Atrous compares the mask of every room with its ground truth."),
        Event.ERRORS_OPENED,
        "inspect.view",
    ),
    TourStep(
        mark("Chair or sofa?"),
        mark(
            "A row of the matrix is what the objects are, a column is what the network says. Click the cell of row chair and "
            "column sofa, then the first error in the list: Atrous opens its image there."
        ),
        Event.ERROR_OPENED,
        needs="evaluation_open",
    ),
    TourStep(
        mark("Correct it"),
        mark("The dashed outline is the wrong part, and its right class is selected. {give} gives it that class, or paint it."),
        Event.STEP_DONE,
        "go.give_error",
        needs="at_error",
    ),
    TourStep(
        mark("Watch the IoU"),
        mark("The mean IoU of this image was {before} and is {now}. {undo} takes the step back. Then press Next."),
    ),
    TourStep(
        mark("Export"),
        mark("{export} writes the corrected masks to a folder of your choice. The images themselves never change."),
        Event.EXPORTED,
        "project.export",
    ),
    TourStep(
        mark("That was the tour"),
        mark("{palette} finds every command, and {keys} shows the keys. Open a folder of your own with {open}."),
    ),
)

#: Placeholders of the texts -> the commands whose keys they show.
KEYS = {
    "previous": "go.previous", "next": "go.next", "give": "go.give_error", "undo": "edit.undo", "export": "project.export",
    "palette": "help.palette", "keys": "help.keys", "open": "project.open",
}  # fmt: skip


class Tour(QObject):
    """Leads through :data:`STEPS`. The place is kept, so that the tour can be left and resumed.

    Attributes:
        place: index of the step that is shown; None while the tour is not on.

    Signals:
        changed(): another step, another figure in its text, or the tour began or ended.
        sampleAsked(): the tour needs the sample project.
    """

    changed = Signal()
    sampleAsked = Signal()

    def __init__(
        self,
        services: Services,
        edit: EditController,
        inspect: InspectController,
        evaluation: EvaluationController,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._settings, self._session, self._context = services.settings, services.session, services.context
        self.place: int | None = None
        self._figures: ImageFigures | None = None
        services.context.changed.connect(self._follow_context)
        inspect.componentReached.connect(lambda _component: self._happened(Event.ERROR_OPENED))
        edit.stepDone.connect(lambda _title, _patch, source: self._follow_step(source))
        evaluation.figuresChanged.connect(self._follow_figures)

    def follow_export(self, export: ExportController) -> None:
        """Listen to the exports of this window."""
        export.finished.connect(lambda _request, _summary: self._happened(Event.EXPORTED))

    @property
    def step(self) -> TourStep | None:
        """The step that is shown."""
        return None if self.place is None else STEPS[self.place]

    def begin(self) -> None:
        """Begin, or go on where the tour was left, in the sample project.

        A step that shows what is closed by now goes back to the one that opens it.
        """
        project = self._session.project
        if project is None or not is_sample_project(project.folder):
            self.sampleAsked.emit()
        kept = int(self._settings[_STEP])
        place = kept if kept < len(STEPS) - 1 else 0
        while STEPS[place].needs and not self._context[STEPS[place].needs]:
            place -= 1
        self._show(place)

    def next(self) -> None:
        """Go to the next step; after the last one the tour is over."""
        if self.place is None:
            return
        if self.place + 1 < len(STEPS):
            self._show(self.place + 1)
            self._follow_context(frozenset(("evaluation_open",)))
        else:
            self.leave()

    def back(self) -> None:
        """Go to the step before."""
        if self.place:
            self._show(self.place - 1)

    def leave(self) -> None:
        """End the tour; it goes on at this step when it is begun again."""
        self.place = None
        self.changed.emit()

    def text(self, keys: Mapping[str, str]) -> str:
        """What to do in this step; empty while the tour is not on.

        Args:
            keys: the key of each placeholder of :data:`KEYS`, as the user's keyboard reads.
        """
        if self.step is None:
            return ""
        figures = self._figures
        before, now = (None, None) if figures is None else (figures.mean_before, figures.mean)
        return tr(self.step.text, before=share_text(before), now=share_text(now), **keys)

    def _show(self, place: int) -> None:
        self.place = place
        self._settings.set(_STEP, place)
        self.changed.emit()

    def _happened(self, event: Event) -> None:
        if self.step is not None and self.step.event is event:
            self.next()

    def _follow_step(self, source: Provenance) -> None:
        if source is Provenance.USER:  # a mask of the model, a CRF and an import correct nothing by hand
            self._happened(Event.STEP_DONE)

    def _follow_context(self, names: frozenset[str]) -> None:
        if "evaluation_open" in names and self._context["evaluation_open"]:
            self._happened(Event.ERRORS_OPENED)

    def _follow_figures(self, figures: ImageFigures | None) -> None:
        self._figures = figures
        if self.place is not None:
            self.changed.emit()
