"""What the model looks at when it labels the pixel under the pointer: asked for when the pointer rests, never waited for."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal

from app.controllers.predict.models import ModelsController
from app.services.calls import Call, LatestCall
from app.services.services import Services
from app.services.timers import single_shot
from app.worker.messages import URGENT, AskReceptive, Receptive
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
        services: Services,
        models: ModelsController,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._session, self._models, self._compute, self._context = services.session, models, services.compute, services.context
        self.on = False
        self.field: ReceptiveField | None = None
        self.problem = ""
        self._place: tuple[int, int] | None = None
        self._call = LatestCall()
        self._rest = single_shot(self, REST_MS, self._ask)
        services.session.imageChanged.connect(lambda _image: self._forget())
        models.cardChanged.connect(lambda _card: self._forget())

    @property
    def waiting(self) -> bool:
        """Whether a field is being computed."""
        return not self._call.idle

    def toggle(self) -> None:
        """Let the overlay follow the pointer, or end it."""
        self.on = not self.on
        self._context.update(receptive_on=self.on)
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
        if self.on and self._session.image is not None and self._place is not None:
            self._call.ask(self._submit)
            self.changed.emit()

    def _submit(self) -> Call[Receptive] | None:
        image, place = self._session.image, self._place
        if not self.on or image is None or place is None or self._models.card is None:
            return None
        x, y = place
        height, width = image.document.shape
        if not (0 <= x < width and 0 <= y < height) or (self.field is not None and (self.field.x, self.field.y) == place):
            return None
        options = self._models.run_settings.options()
        request = AskReceptive(priority=URGENT, image=str(image.path), source_key=image.key, x=x, y=y, options=options)
        call = self._compute.submit(request)
        return call.on(done=self._take, failed=self._fail, finished=self.changed.emit)

    def _forget(self) -> None:
        """Another image or model, or switched off: nothing is shown, and nothing is waited for."""
        self._rest.stop()
        self._call.stop()
        self.field, self.problem = None, ""
        self.changed.emit()

    def _take(self, answer: Receptive) -> None:
        self.field, self.problem = answer.found, ""

    def _fail(self, error: AtrousError) -> None:
        self.field, self.problem = None, str(error)
