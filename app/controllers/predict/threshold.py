"""The threshold of a two-class (sigmoid) model on the image in view: the mask follows the slider, one step when it is let go.

The compute process keeps the scores of the images it looked at last, so another threshold needs no forward pass there.
"""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QObject

from app.controllers.annotate.edit import EditController
from app.controllers.predict.image import PredictController
from app.controllers.predict.models import ModelsController
from app.services.calls import Call, LatestCall
from app.services.services import Services
from app.services.session import OpenImage, by_hand
from app.services.timers import single_shot
from app.state.document import Document
from app.state.patch import PatchRecorder
from app.state.provenance import Provenance, merge_labels
from app.worker.messages import URGENT, Predict, Predicted
from deeplab_core.geometry import Box


@dataclass(frozen=True, slots=True, eq=False)
class _Live:
    """A mask that is painted while the slider is held; what it was before is in ``recorder``."""

    document: Document
    recorder: PatchRecorder


class ThresholdController(QObject):
    """Takes the threshold from the panel.

    While the slider is held, the pixels of the model in the mask follow it in an open step, which the end of the drag takes
    back: then the image is predicted with the threshold like with any other option, which is one undoable step, or a suggestion
    beside the user's own pixels. Masks with pixels of the user do not follow the slider.
    """

    def __init__(
        self,
        services: Services,
        models: ModelsController,
        predict: PredictController,
        edit: EditController,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._session, self._models, self._predict = services.session, models, predict
        self._edit, self._compute, self._context = edit, services.compute, services.context
        self._call = LatestCall()
        self._due = False
        self._live: _Live | None = None
        services.session.imageChanged.connect(lambda _image: self._leave())
        models.cardChanged.connect(lambda _card: self._leave())
        # Once the prediction that has come is in the mask: earlier requests count the mask as changed.
        self._later = single_shot(self, 0, lambda: self._follow(services.session.image))
        services.session.predictionChanged.connect(lambda _image: self._later.start())
        edit.busyChanged.connect(lambda busy: None if busy else self._later.start())

    def set(self, value: float, dragging: bool) -> None:
        """Take a threshold, 0..1; ``dragging`` while the slider is held."""
        self._models.set_threshold(value)
        if dragging:
            self._call.ask(self._submit, interruptible=False)
        else:
            self._leave()
            self._due = True
            self._follow(self._session.image)

    def _predicted(self, image: OpenImage | None) -> bool:
        """Whether the image in view shows a prediction of the model in use."""
        card = self._models.card
        return image is not None and card is not None and image.prediction is not None and image.prediction.card_id == card.id

    def _submit(self) -> Call[Predicted] | None:
        image = self._session.image
        if image is None or not self._predicted(image):
            return None
        mine = self._live is not None and self._live.document is image.document
        if not mine and (self._edit.busy or by_hand(image.document) or not self._context["can_edit"]):
            return None
        options = self._models.run_settings.options()
        request = Predict(priority=URGENT, image=str(image.path), source_key=image.key, options=options)
        return self._compute.submit(request).on(done=self._take, failed=lambda _error: self._call.drop_waiting())

    def _take(self, answer: Predicted) -> None:
        image = self._session.image
        labels = self._models.in_project_ids(answer.prediction)
        if image is None or labels is None or labels.shape != image.document.shape:
            return
        document = image.document
        if self._live is None:
            if self._edit.busy or by_hand(document):
                return
            self._live = _Live(document, PatchRecorder(document.labels, document.provenance))
            document.open_step(self._live.recorder)
            self._edit.hold(self._leave)
        self._live.recorder.touch(Box.whole(document.shape))
        merge = merge_labels(document.labels, document.provenance, labels, Provenance.MODEL, locked=document.locked)
        document.apply(merge.patch)

    def _leave(self) -> None:
        """The drag is over, or its image is out of view: the mask is as it was before."""
        self._due = False
        self._call.stop()
        live, self._live = self._live, None
        if live is not None:
            live.document.apply(live.recorder.finish().inverted())
            live.document.close_step(live.recorder)
            self._edit.hold(None)

    def _follow(self, image: OpenImage | None) -> None:
        """Predict with the threshold that was chosen last, once what is under way with another one is there."""
        if not self._due or image is None or not self._predicted(image) or image.prediction is None:
            return
        if image.prediction.options.threshold == (self._models.run_settings.threshold or None):
            self._due = False
        elif not self._edit.busy:
            self._predict.run_image()
