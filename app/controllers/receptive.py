"""What the model looks at when it labels the pixel under the pointer: asked for when the pointer rests, never waited for."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal

from app.actions.facts import Facts
from app.controllers.models import ModelsController
from app.controllers.project import ProjectController
from app.services.compute_service import ComputeService
from app.services.timers import single_shot
from app.worker.messages import Failed, Receptive, WasCancelled
from deeplab_core.errors import AtrousError
from deeplab_core.receptive import ReceptiveField

#: How long the pointer rests before the field is asked for: a gradient costs as much as two or three predictions.
REST_MS = 140


class ReceptiveController(QObject):
    """At most one request is under way, and it is cancelled as soon as the pointer rests somewhere else.

    Attributes:
        on: whether the overlay is wanted.
        field: the one that is shown; None while there is none.
        problem: why there is none; empty where one is shown or may come.

    Signals:
        changed(): field, problem or :attr:`waiting`.
    """

    changed = Signal()

    def __init__(
        self,
        projects: ProjectController,
        models: ModelsController,
        compute: ComputeService,
        facts: Facts,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._projects, self._models, self._compute, self._facts = projects, models, compute, facts
        self.on = False
        self.field: ReceptiveField | None = None
        self.problem = ""
        self._place: tuple[int, int] | None = None
        self._asked: tuple[int, tuple[int, int]] | None = None
        self._rest = single_shot(self, REST_MS, self._ask)
        compute.receptive.connect(self._take)
        compute.failed.connect(self._fail)
        compute.cancelled.connect(self._drop)
        projects.imageChanged.connect(lambda _image: self._forget())
        models.cardChanged.connect(lambda _card: self._forget())

    @property
    def waiting(self) -> bool:
        """Whether a field is being computed."""
        return self._asked is not None

    def toggle(self) -> None:
        """Let the overlay follow the pointer, or end it."""
        self.on = not self.on
        self._facts.update(receptive_on=self.on)
        self._forget()
        if self.on and self._place is not None:
            self._rest.start()

    def hover(self, x: int | None, y: int | None) -> None:
        """The pointer is over this pixel, or over none: the last field then stays."""
        if x is None or y is None:
            self._rest.stop()
            return
        if (x, y) == self._place:
            return
        self._place = (x, y)
        if self.on:
            self._rest.start()

    def _ask(self) -> None:
        image = self._projects.image
        if not self.on or image is None or self._place is None or self._models.card is None:
            return
        if self._asked is not None:
            if self._asked[1] != self._place:
                self._compute.cancel(self._asked[0])  # its answer asks again
            return
        x, y = self._place
        height, width = image.document.shape
        if not (0 <= x < width and 0 <= y < height) or (self.field is not None and (self.field.x, self.field.y) == (x, y)):
            return
        request = self._compute.ask_receptive(str(image.path), image.key, x, y, self._models.run_settings.options())
        self._asked = (request, (x, y))
        self.changed.emit()

    def _forget(self) -> None:
        """Another image or model, or switched off: nothing is shown, and nothing is waited for."""
        self._rest.stop()
        if self._asked is not None:
            self._compute.cancel(self._asked[0])
            self._asked = None
        self.field, self.problem = None, ""
        self.changed.emit()

    def _landed(self, request: int) -> bool:
        if self._asked is None or self._asked[0] != request:
            return False
        moved = self._asked[1] != self._place
        self._asked = None
        if moved and self.on:
            self._rest.start()
        return True

    def _take(self, answer: Receptive) -> None:
        if self._landed(answer.request_id):
            self.field, self.problem = answer.found, ""
            self.changed.emit()

    def _fail(self, answer: Failed) -> None:
        if self._landed(answer.request_id):
            self.field, self.problem = None, str(AtrousError.from_dict(answer.error))
            self.changed.emit()

    def _drop(self, answer: WasCancelled) -> None:
        if self._landed(answer.request_id):
            self.changed.emit()
