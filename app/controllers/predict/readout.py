"""What is at the pointer: the readout of a pixel in the status line, and the receptive field of the model there."""

from __future__ import annotations

from html import escape

from PySide6.QtCore import QObject, Signal

from app.controllers.evaluate.live import EvaluationController
from app.controllers.predict.models import ModelsController
from app.services.calls import Call, LatestCall
from app.services.services import Services
from app.services.session import OpenImage
from app.services.timers import single_shot
from app.state.document import Change, Document
from app.text import error_sentences, share_text, tr
from app.viewmodels.annotate.class_rows import class_name
from app.worker.messages import URGENT, AskReceptive, AskScores, Receptive, ScoresAt
from deeplab_core.errors import AtrousError
from deeplab_core.receptive import ReceptiveField

#: Scores are asked for at this pace while the pointer moves.
_PACE_MS = 40


class ReadoutController(QObject):
    """Follows the pointer.

    Signals:
        changed(x | None, y | None, text): the text may hold markup.
    """

    changed = Signal(object, object, str)

    def __init__(
        self,
        services: Services,
        models: ModelsController,
        evaluation: EvaluationController,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._session, self._models, self._evaluation, self._compute = services.session, models, evaluation, services.compute
        self._place: tuple[int, int] | None = None
        self._call: Call[ScoresAt] | None = None
        self._scores = ""
        self._timer = single_shot(self, _PACE_MS, self._ask)
        self._soon = single_shot(self, _PACE_MS, self._update)
        self._followed: Document | None = None
        services.session.imageChanged.connect(self._show_image)
        evaluation.layersChanged.connect(self._update)

    def hover(self, x: int | None, y: int | None) -> None:
        """The pointer is over this pixel, or over none."""
        place = None if x is None or y is None else (x, y)
        if place == self._place:
            return
        self._place, self._scores = place, ""
        self._update()
        if place is not None and not self._timer.isActive():
            self._timer.start()

    def _show_image(self, image: OpenImage | None) -> None:
        """Another image is under the same pointer; its changes change the readout."""
        if self._followed is not None:
            self._followed.changed.disconnect(self._follow_change)
        self._followed = None if image is None else image.document
        if self._followed is not None:
            self._followed.changed.connect(self._follow_change)
        if self._call is not None:
            self._call.abandon()
        self._scores = ""
        self._update()
        if self._place is not None:
            self._timer.start()

    def _follow_change(self, change: Change) -> None:
        rect, place = change.rect, self._place
        inside = place is not None and rect.x <= place[0] < rect.right and rect.y <= place[1] < rect.bottom
        if inside and not self._soon.isActive():
            self._soon.start()

    def _ask(self) -> None:
        image = self._session.image
        if image is None or image.prediction is None or self._place is None or self._call is not None:
            return
        if self._models.card is not None and self._models.card.id == image.prediction.card_id:
            x, y = self._place
            self._call = self._compute.submit(AskScores(priority=URGENT, source_key=image.key, x=x, y=y))
            self._call.on(done=self._take, finished=self._end)

    def _take(self, answer: ScoresAt) -> None:
        card = self._models.card
        if card is not None and answer.class_ids:
            pairs = zip(answer.class_ids, answer.probabilities, strict=True)
            self._scores = " · ".join(f"{escape(class_name(card.catalog, i))} {share_text(p)}" for i, p in pairs)
        self._update()

    def _end(self) -> None:
        self._call = None

    def _update(self) -> None:
        image, place = self._session.image, self._place
        if image is None or place is None or not _inside(image, place):
            self.changed.emit(None, None, "")
            return
        x, y = place
        catalog, label = image.document.catalog, int(image.document.labels[y, x])
        # not <b>: the font has no bold above 600, and Qt would smear it
        parts = [f'<span style="font-weight: 600">{escape(class_name(catalog, label))}</span>']
        truth = None if self._evaluation.live is None else int(self._evaluation.live.truth[y, x])
        if truth is not None and self._evaluation.live is not None:
            marked = truth != catalog.ignore and int(self._evaluation.live.scored[y, x]) == catalog.ignore
            name = escape(class_name(catalog, truth))
            parts.append(
                tr("ground truth {name}, ambiguous: not counted", name=name) if marked else tr("ground truth {name}", name=name)
            )
        if self._scores:
            parts.append(tr("model {scores}", scores=self._scores))
        elif image.prediction is not None and image.prediction.confidence.shape == image.document.shape:
            parts.append(tr("confidence {confidence}", confidence=share_text(image.prediction.confidence[y, x] / 255)))
        self.changed.emit(x, y, " &nbsp;·&nbsp; ".join(parts))


def _inside(image: OpenImage, place: tuple[int, int]) -> bool:
    height, width = image.document.shape
    return 0 <= place[0] < width and 0 <= place[1] < height


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
        self.field, self.problem = None, error_sentences(error)
