"""The text of the status line for the pixel under the pointer: class, truth, the model's three best guesses."""

from __future__ import annotations

from html import escape

from PySide6.QtCore import QObject, Signal

from app.controllers.evaluate.live import EvaluationController
from app.controllers.predict.models import ModelsController
from app.services.calls import Call
from app.services.services import Services
from app.services.session import OpenImage
from app.services.timers import single_shot
from app.state.document import Change, Document
from app.text import tr
from app.viewmodels.annotate.class_rows import class_name
from app.worker.messages import URGENT, AskScores, ScoresAt

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
            self._scores = " · ".join(f"{escape(class_name(card.catalog, i))} {p:.2f}" for i, p in pairs)
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
        parts = [f"<b>{escape(class_name(catalog, label))}</b>"]
        truth = None if self._evaluation.live is None else int(self._evaluation.live.truth[y, x])
        if truth is not None and self._evaluation.live is not None:
            marked = truth != catalog.ignore and int(self._evaluation.live.scored[y, x]) == catalog.ignore
            parts.append(
                tr("ground truth {name}", name=escape(class_name(catalog, truth)))
                + (tr(", ambiguous: not counted") if marked else "")
            )
        if self._scores:
            parts.append(tr("model {scores}", scores=self._scores))
        elif image.prediction is not None and image.prediction.confidence.shape == image.document.shape:
            parts.append(tr("confidence {confidence:.2f}", confidence=image.prediction.confidence[y, x] / 255))
        self.changed.emit(x, y, " &nbsp;·&nbsp; ".join(parts))


def _inside(image: OpenImage, place: tuple[int, int]) -> bool:
    height, width = image.document.shape
    return 0 <= place[0] < width and 0 <= place[1] < height
