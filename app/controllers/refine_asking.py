"""Asking the compute process for CRF results: one request at a time, and of the wishes only the newest."""

from __future__ import annotations

from dataclasses import dataclass, replace

from PySide6.QtCore import QObject, Signal

from app.controllers.crf_settings import Base, CRFSettings
from app.controllers.models import ModelsController
from app.controllers.open_image import OpenImage
from app.controllers.project import ProjectController
from app.services.compute_service import ComputeService
from app.state.document import Document
from app.state.outlines import renamed_classes
from app.state.patch import Rect
from app.state.refinement import painted_labels
from app.worker.messages import Failed, RefineBase, Refined, WasCancelled
from deeplab_core.errors import AtrousError
from deeplab_core.records import CRFParams


@dataclass(frozen=True, slots=True, eq=False)
class Flight:
    """The request that is under way, and the state that it will answer for.

    Attributes:
        request: its id.
        document, revision: the mask whose strokes (or labels) it took.
        params, base, certainty: what was asked.
        quick: whether a quick result was asked for.
        cancelled: whether it was taken back; its answer is still waited for.
    """

    request: int
    document: Document
    revision: int
    params: CRFParams
    base: Base
    certainty: float
    quick: bool
    cancelled: bool = False

    def answers(self, document: Document, crf: CRFSettings) -> bool:
        """Whether it is an exact answer for things as they are now."""
        same = (self.params, self.base, self.certainty) == (crf.params, crf.base, crf.certainty)
        return not self.quick and same and document is self.document and document.revision == self.revision


class RefineAsking(QObject):
    """At most one request is under way. A newer wish cancels an exact one, and waits for a quick one.

    Signals:
        answered(Refined, Flight): a result for the image in view.
        missing(): there are no scores to refine.
        failed(AtrousError).
    """

    answered = Signal(object, object)
    missing = Signal()
    failed = Signal(object)

    def __init__(
        self,
        projects: ProjectController,
        models: ModelsController,
        crf: CRFSettings,
        compute: ComputeService,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._projects, self._models, self._crf, self._compute = projects, models, crf, compute
        self._flight: Flight | None = None
        self._wish: bool | None = None  # quick or not; None wants nothing
        compute.refined.connect(self._take)
        compute.failed.connect(self._fail)
        compute.cancelled.connect(self._drop)

    @property
    def idle(self) -> bool:
        """Whether nothing is under way or wished for."""
        return self._flight is None and self._wish is None

    def ask(self, *, quick: bool) -> None:
        """Wish for a result with everything as it is when the request is sent."""
        self._wish = quick
        self._send()

    def stop(self) -> None:
        """Wish for nothing, and take back what is under way."""
        self._wish = None
        self._cancel()

    def base(self, image: OpenImage, rect: Rect | None = None, keep: int | None = None) -> RefineBase | None:
        """What a request for an image refines; None where the network's scores are wanted and cannot be had.

        Args:
            rect: the part of the mask that is sent; None sends all of it.
            keep: a class whose scores are left alone in reclassified regions.
        """
        document = image.document
        ignore = document.catalog.ignore
        if self._crf.base is Base.MASK:
            labels = document.labels if rect is None else document.labels[rect.slices]
            return RefineBase(
                image=str(image.path), source_key=image.key, ignore=ignore, labels=labels.copy(),
                certainty=self._crf.certainty, engine=self._crf.engine,
            )  # fmt: skip
        mapping, card = self._models.mapping(document.catalog), self._models.card
        if mapping is None or card is None or mapping.unmatched:
            return None
        ids = tuple(int(mapping.lut[class_id]) for class_id in card.catalog.ids)
        renamed = renamed_classes(document, rect, keep)
        return RefineBase(
            image=str(image.path), source_key=image.key, ignore=ignore, channel_ids=ids, engine=self._crf.engine,
            threshold=self._models.run_settings.options().threshold,
            renamed=None if renamed is None else (renamed.source, renamed.target),
        )  # fmt: skip

    def _send(self) -> None:
        image = self._projects.image
        if self._wish is None or image is None:
            self._wish = None
            return
        if self._flight is not None:
            if not self._flight.quick:
                self._cancel()
            return
        base, quick = self.base(image), self._wish
        self._wish = None
        if base is None:
            self.missing.emit()
            return
        document, crf = image.document, self._crf
        strokes = painted_labels(document.labels, document.provenance, document.catalog.ignore)
        number = self._compute.refine(base, crf.params, strokes, quick=quick)
        self._flight = Flight(number, document, document.revision, crf.params, crf.base, crf.certainty, quick)

    def _cancel(self) -> None:
        flight = self._flight
        if flight is not None and not flight.cancelled:
            self._flight = replace(flight, cancelled=True)
            self._compute.cancel(flight.request)

    def _landed(self, request: int) -> Flight | None:
        flight = self._flight
        if flight is None or flight.request != request:
            return None
        self._flight = None
        return flight

    def _take(self, answer: Refined) -> None:
        flight = self._landed(answer.request_id)
        if flight is None:
            return
        image = self._projects.image
        if not flight.cancelled and image is not None and image.document is flight.document:
            if answer.labels is None:
                self._wish = None
                self.missing.emit()
            else:
                self.answered.emit(answer, flight)
        self._send()

    def _fail(self, answer: Failed) -> None:
        flight = self._landed(answer.request_id)
        if flight is not None:
            if not flight.cancelled:
                self._wish = None
                self.failed.emit(AtrousError.from_dict(answer.error))
            self._send()

    def _drop(self, answer: WasCancelled) -> None:
        if self._landed(answer.request_id) is not None:
            self._send()
