"""What a CRF preview wins and what it destroys, counted in the background."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray
from PySide6.QtCore import QObject, Signal

from app.controllers.evaluate.figures import EvaluationFigures
from app.services.services import Services
from app.state.document import Document
from app.state.refinement import RefineFigures, refine_figures
from app.text import tr
from app.viewmodels.evaluate.curves import Curve
from deeplab_core.labels import LabelMap
from deeplab_core.metrics.trimap_histogram import BandHistogram


class RefineMeter(QObject):
    """One count at a time; what changed during it is counted again.

    Attributes:
        figures: of the preview, or None without one, or without truth.

    Signals:
        changed(RefineFigures | None).
    """

    changed = Signal(object)

    def __init__(self, services: Services, figures: EvaluationFigures, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._figures, self._jobs = figures, services.jobs
        self.figures: RefineFigures | None = None
        self._wanted: tuple[Document, NDArray[Any]] | None = None
        self._again = self._counting = False

    def measure(self, document: Document | None, shown: LabelMap | None) -> None:
        """Measure ``shown``, the mask of a document as it would be; None forgets the figures."""
        self._wanted = None if document is None or shown is None else (document, shown)
        if self._counting:
            self._again = True
        else:
            self._count()

    def curves(self) -> tuple[Curve, ...]:
        """The trimap curve of the preview; empty without one."""
        return (Curve(tr("with CRF"), self.figures.curve),) if self.figures is not None and self.figures.curve else ()

    def _count(self) -> None:
        live, band = self._figures.live, self._figures.band
        if self._wanted is None or live is None or live.document is not self._wanted[0]:
            self._set(None)
            return
        wanted = self._wanted
        document, shown = wanted
        banded = band.around == "truth" and live.has_band(band.rule, band.around)
        histogram = BandHistogram(document.catalog, rule=band.rule, around=band.around) if banded else None
        index = live.band(band.rule, band.around) if banded else None
        matrix, truth = live.matrix.copy(), live.scored
        self._counting, self._again = True, False

        def done(figures: RefineFigures) -> None:
            self._counting = False
            if self._wanted is wanted:
                self._set(figures)
            if self._again:
                self._count()

        def failed(error: Exception) -> None:
            self._counting = False
            raise error

        self._jobs.run(lambda: refine_figures(document, shown, truth, matrix, histogram, index), done, failed)

    def _set(self, figures: RefineFigures | None) -> None:
        if figures is not self.figures:
            self.figures = figures
            self.changed.emit(figures)
