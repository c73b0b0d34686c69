"""Asking the compute process for CRF results: one request at a time, and of the wishes only the newest."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QObject, Signal

from app.controllers.predict.models import ModelsController
from app.controllers.refine.settings import Base, CRFSettings
from app.services.calls import Call, LatestCall
from app.services.services import Services
from app.services.session import OpenImage
from app.state.document import Document
from app.state.outlines import renamed_classes
from app.state.refinement import painted_labels
from app.worker.messages import URGENT, Refine, RefineBase, Refined
from deeplab_core.errors import AtrousError
from deeplab_core.geometry import Box
from deeplab_core.records import CRFParams


@dataclass(frozen=True, slots=True, eq=False)
class PendingRefinement:
    """The request that is under way, and the state that it will answer for.

    Attributes:
        document, revision: the mask of the strokes (or labels) that it took.
        params, base, certainty: what was asked.
        quick: whether a quick result was asked for.
    """

    document: Document
    revision: int
    params: CRFParams
    base: Base
    certainty: float
    quick: bool

    def answers(self, document: Document, crf: CRFSettings) -> bool:
        """Whether it is an exact answer for things as they are now."""
        same = (self.params, self.base, self.certainty) == (crf.params, crf.base, crf.certainty)
        return not self.quick and same and document is self.document and document.revision == self.revision


class RefineRequests(QObject):
    """At most one request is under way. A newer one cancels an exact one, and waits for a quick one.

    Attributes:
        crf: the current parameters, what is refined and where.

    Signals:
        answered(Refined, PendingRefinement): a result for the image in view.
        missing(): there are no scores to refine.
        failed(AtrousError).
    """

    answered = Signal(object, object)
    missing = Signal()
    failed = Signal(object)

    def __init__(
        self,
        services: Services,
        models: ModelsController,
        crf: CRFSettings,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._session, self._models, self.crf, self._compute = services.session, models, crf, services.compute
        self._call = LatestCall()

    @property
    def idle(self) -> bool:
        """Whether nothing is under way or wished for."""
        return self._call.idle

    def ask(self, *, quick: bool) -> None:
        """Wish for a result with everything as it is when the request is sent."""
        self._call.ask(lambda: self._submit(quick), interruptible=not quick)

    def stop(self) -> None:
        """Wish for nothing, and take back what is under way."""
        self._call.stop()

    def base(self, image: OpenImage, rect: Box | None = None, keep: int | None = None) -> RefineBase | None:
        """What a request for an image refines; None where the network's scores are wanted and cannot be had.

        Args:
            rect: the part of the mask that is sent; None sends all of it.
            keep: a class with unchanged scores in reclassified regions.
        """
        document = image.document
        ignore = document.catalog.ignore
        if self.crf.base is Base.MASK:
            labels = document.labels if rect is None else document.labels[rect.slices]
            return RefineBase(
                image=str(image.path), source_key=image.key, ignore=ignore, labels=labels.copy(),
                certainty=self.crf.certainty, engine=self.crf.engine,
            )  # fmt: skip
        mapping, card = self._models.mapping(document.catalog), self._models.card
        if mapping is None or card is None or mapping.unmatched:
            return None
        ids = tuple(int(mapping.lut[class_id]) for class_id in card.catalog.ids)
        renamed = renamed_classes(document, rect, keep)
        return RefineBase(
            image=str(image.path), source_key=image.key, ignore=ignore, channel_ids=ids, engine=self.crf.engine,
            threshold=self._models.run_settings.options().threshold,
            renamed=None if renamed is None else (renamed.source, renamed.target),
        )  # fmt: skip

    def _submit(self, quick: bool) -> Call[Refined] | None:
        image = self._session.image
        if image is None:
            return None
        base = self.base(image)
        if base is None:
            self.missing.emit()
            return None
        document, crf = image.document, self.crf
        strokes = painted_labels(document.labels, document.provenance, document.catalog.ignore)
        pending = PendingRefinement(document, document.revision, crf.params, crf.base, crf.certainty, quick)
        request = Refine(priority=URGENT, base=base, params=crf.params, strokes=strokes, quick=quick)
        return self._compute.submit(request).on(done=lambda answer: self._take(answer, pending), failed=self._fail)

    def _take(self, answer: Refined, pending: PendingRefinement) -> None:
        image = self._session.image
        if image is None or image.document is not pending.document:
            return
        if answer.labels is None:
            self._call.drop_waiting()
            self.missing.emit()
        else:
            self.answered.emit(answer, pending)

    def _fail(self, error: AtrousError) -> None:
        self._call.drop_waiting()
        self.failed.emit(error)
