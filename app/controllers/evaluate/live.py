"""The image in view against its ground truth: live IoU, trimap band and curve."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, QTimer, Signal

from app.controllers.annotate.edit import EditController
from app.controllers.evaluate.figures import EvaluationFigures
from app.controllers.evaluate.ground_truth import GroundTruthController
from app.services.services import Services
from app.services.session import OpenImage, unset
from app.services.timers import single_shot
from app.state.document import Document
from app.state.live_evaluation import Count, LiveEvaluation, count_image
from app.state.provenance import Provenance
from app.state.samples import OpenLabels, load_sample, truth_path
from app.text import tr
from app.viewmodels.evaluate.curves import Curve, CurveSet
from deeplab_core.errors import AmbiguousFrameError, AtrousError, message
from deeplab_core.labels import LabelMap
from deeplab_core.metrics import ConfusionMatrix
from deeplab_core.metrics.trimap import BandAround, BandRule, band_map
from deeplab_core.metrics.trimap_histogram import BandHistogram
from deeplab_core.notes import Note
from deeplab_core.records import TrimapBand

#: Figures follow a stroke at this pace; the curve, which costs more to draw, a little later.
_FIGURES_MS, _CURVE_MS, _RESTING_MS = 50, 250, 900
#: So often a count that was overtaken by changes is repeated before the window counts itself.
_AGAIN = 5


@dataclass(frozen=True, slots=True, eq=False)
class _Band:
    """A band index that a pane shows, and what it was made from."""

    document: Document
    revision: int
    kind: tuple[BandRule, BandAround]
    index: NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class _Truth:
    """Truth of the image in view, which of it is ambiguous, and what was counted on the rest."""

    labels: LabelMap
    exclude: NDArray[np.bool_] | None
    count: Count
    notes: tuple[Note, ...] = ()

    def counted_again(self, document: Document, rule: BandRule, around: BandAround) -> _Truth:
        """The same after the mask has changed; a band around the truth lasts."""
        index = self.count.index if self.count.around == "truth" else None
        return replace(self, count=count_image(self.labels, document, rule, around, index, exclude=self.exclude))


@dataclass(frozen=True, slots=True)
class ImageFigures:
    """What is measured on the image in view.

    Attributes:
        iou: per class id; nan where the class is in neither map. All figures are nan while nothing is labelled.
        mean: mean over the classes in the ground truth; nan without any.
        classes: how many classes that mean is over.
        accuracy: share of labelled pixels that are right.
        before: the same as ``iou`` when the image was opened.
        mean_before: the same as ``mean`` when the image was opened.
    """

    iou: dict[int, float]
    mean: float
    classes: int
    accuracy: float
    before: dict[int, float]
    mean_before: float


def nothing_labelled(live: LiveEvaluation) -> bool:
    """Whether no pixel of the mask was ever set: such an image is not measured, which is not an IoU of 0."""
    matrix = live.matrix
    return bool(matrix.counts.sum() == matrix.void_predictions) and unset(live.document)


class EvaluationController(QObject):
    """Makes the live figures of the image in view.

    Signals:
        layersChanged(): truth or band of the image in view changed: the panes need them again.
        figuresChanged(Figures | None): after an edit, at most twenty times a second.
        curvesChanged(CurveSet), bandFigures(inside, outside): mIoU of the image in the band and out of it, or None.
        bandChanged(TrimapBand): another rule, width or reference.
        truthNoted(file name, notes): the ground truth of the image in view was read in an unusual way.
    """

    layersChanged = Signal()
    figuresChanged = Signal(object)
    curvesChanged = Signal(object)
    bandFigures = Signal(object, object)
    bandChanged = Signal(object)
    truthNoted = Signal(str, object)

    def __init__(
        self,
        services: Services,
        figures: EvaluationFigures,
        edit: EditController,
        truth: GroundTruthController,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._session, self._figures, self._edit, self._truth = services.session, figures, edit, truth
        self._jobs, self._notifier = services.jobs, services.notifier
        self._settings, self._context = services.settings, services.context
        self._report = partial(services.notifier.report_or_raise, replace_key="truth")
        self._before: ConfusionMatrix | None = None
        self._model_curve: BandHistogram | None = None
        self._band_shown: _Band | None = None
        self._counting: LiveEvaluation | None = None
        self._finding_edges = False
        figures.changed.connect(self._emit_curves)
        self._figures_timer = single_shot(self, _FIGURES_MS, lambda: self._emit_settled(self._figures_timer, self._emit_figures))
        self._curve_timer = single_shot(self, _CURVE_MS, lambda: self._emit_settled(self._curve_timer, self._emit_curves))
        # Ground truth is read once the image is painted: both at a time would keep the user waiting for the image.
        self._painted = single_shot(self, 0, self._begin_reading)
        figures.truthFound.connect(lambda _index: self._follow_image(self._session.image))
        services.session.imageChanged.connect(self._follow_image)
        services.session.predictionChanged.connect(self._measure_model)
        edit.changed.connect(self._wake)

    @property
    def live(self) -> LiveEvaluation | None:
        """Confusion matrix and bands of the image in view, updated with each edit; None without ground truth."""
        return self._figures.live

    @property
    def band(self) -> TrimapBand:
        """The trimap band that is measured."""
        return self._figures.band

    # -- truth -----------------------------------------------------------------------------------------------------------

    def start_from_truth(self) -> None:
        """Replace the whole mask by the truth, as one step."""
        if self.live is not None:
            self._edit.replace_all(self.live.truth, Provenance.IMPORT, message("Replace by ground truth"))

    def measure_again(self, image_id: int) -> None:
        """Other pixels of an image count from now on: measure it again if it is in view."""
        image = self._session.image
        if image is not None and image.id == image_id and self.live is not None:
            self._read_truth(image)

    def set_band(self, band: TrimapBand) -> None:
        """Measure in another band."""
        if band == self.band:
            return
        self._figures.band = band
        for name, value in (("width", band.width_px), ("rule", band.rule), ("around", band.around)):
            self._settings.set(f"trimap.{name}", value)
        self.bandChanged.emit(band)
        self.layersChanged.emit()
        self._measure_model(self._session.image)
        self._emit_curves()

    def band_map(self) -> NDArray[np.uint8] | None:
        """(H, W) band index of the image in view for the panes; None if missing.

        While a new one is being made (until ``layersChanged``), the last one of the same kind is shown.
        """
        image, kind = self._session.image, (self.band.rule, self.band.around)
        if image is None:
            return None
        document = image.document
        known = self._band_shown
        stale = known.index if known is not None and known.document is document and known.kind == kind else None
        if self.live is not None:
            if not self.live.has_band(*kind):
                self._count()
                return stale
            index = self.live.band(*kind)
        else:
            if self.band.rule == "void":
                return None
            if stale is None or known is None or known.revision != document.revision:
                self._find_edges(document)
                return stale
            index = stale
        self._band_shown = _Band(document, document.revision, kind, index)
        return index

    @property
    def _around_mask_alone(self) -> bool:
        """Whether a pane shows a band that has no ground truth to lie around."""
        return self.live is None and self._band_shown is not None

    def _find_edges(self, document: Document) -> None:
        """Without truth, the band lies around the mask's own edges."""
        if self._finding_edges:
            return
        self._finding_edges = True
        revision, ignore = document.revision, document.catalog.ignore

        def find() -> NDArray[np.uint8]:
            return band_map(truth=document.labels, prediction=document.labels, ignore=ignore, rule="edge", around="prediction")

        def done(index: NDArray[np.uint8]) -> None:
            self._finding_edges = False
            first = self._band_shown is None or self._band_shown.document is not document
            self._band_shown = _Band(document, revision, (self.band.rule, self.band.around), index)
            if first or revision == document.revision:
                self.layersChanged.emit()

        def failed(error: Exception) -> None:
            self._finding_edges = False
            self._report(error)

        self._jobs.run(find, done, failed)

    def _count(self) -> None:
        """Have band and histogram of the present rule made in the background; signals follow when they are ready."""
        live, rule, around = self.live, self.band.rule, self.band.around
        if live is None or self._counting is live:
            return
        self._counting = live
        known = live.band(rule, around) if live.has_band(rule, around) else None

        def done(count: Count) -> None:
            self._counting = None
            if self.live is not live:
                return
            if not live.adopt(count) or (rule, around) != (self.band.rule, self.band.around):
                self._curve_timer.start(_RESTING_MS)  # counts again
                return
            self._measure_model(self._session.image)
            self.layersChanged.emit()
            self._wake()

        def failed(error: Exception) -> None:
            self._counting = None
            self._report(error)

        def count() -> Count:
            return count_image(live.truth, live.document, rule, around, known, exclude=live.exclude)

        self._jobs.run(count, done, failed)

    # -- the image in view -----------------------------------------------------------------------------------------------

    def _follow_image(self, image: OpenImage | None) -> None:
        self._forget()
        if image is None or self._session.project is None:
            self._emit_nothing()
            return
        self._painted.start()

    def _begin_reading(self) -> None:
        if self._session.image is not None and self._session.project is not None:
            self._read_truth(self._session.image)

    def _read_truth(self, image: OpenImage) -> None:
        project = self._session.project
        assert project is not None
        if truth_path(project, image.id) is None:
            self._emit_nothing()
            return
        rule, around, document = self.band.rule, self.band.around, image.document
        opened = OpenLabels(document.labels, document.provenance, image.info)

        def read() -> _Truth | None:
            sample = load_sample(project, image.id, labels="none", opened=opened)
            if sample.truth is None:
                return None
            count = count_image(sample.truth, document, rule, around, exclude=sample.exclude)
            return _Truth(sample.truth, sample.exclude, count, sample.truth_notes)

        def done(found: _Truth | None, again: int = _AGAIN) -> None:
            if self._session.image is not image:
                return
            if found is None:
                self._emit_nothing()
                return
            count = found.count
            if count.revision != document.revision and again:
                # The user paints, or a prediction is being merged: better later than with a frozen window.
                self._jobs.run(lambda: found.counted_again(document, rule, around), lambda newer: done(newer, again - 1), failed)
                return
            self._adopt_truth(image, found)
            path = truth_path(project, image.id)
            if found.notes and path is not None:
                self.truthNoted.emit(path.name, found.notes)

        def failed(error: Exception) -> None:
            if not isinstance(error, AtrousError):
                raise error
            if self._session.image is image:
                self._truth.note_problem(image.id, error)
                if not isinstance(error, AmbiguousFrameError):  # that is asked
                    self._notifier.report(error, replace_key="truth")
                self._emit_nothing()

        self._jobs.run(read, done, failed)

    def _adopt_truth(self, image: OpenImage, found: _Truth) -> None:
        self._forget()
        try:
            self._figures.live = LiveEvaluation(found.labels, image.document, found.count, exclude=found.exclude)
        except AtrousError as error:
            self._notifier.report(error, replace_key="truth")
            self._emit_nothing()
            return
        self._before = self._figures.live.matrix.copy()
        self._context.update(has_truth=True)
        self._measure_model(image)
        self.layersChanged.emit()
        self._emit_figures()
        self._emit_curves()

    def _forget(self) -> None:
        if self.live is not None:
            self.live.close()
        self._figures.live, self._before, self._model_curve = None, None, None
        self._context.update(has_truth=False)

    def _measure_model(self, image: OpenImage | None) -> None:
        """The prediction's own curve: what 'now' is compared with."""
        self._model_curve = None
        if self.live is not None and (image is None or self.live.document is not image.document):
            self._forget()  # a prediction is shown before the next image is evaluated; truth of the last one says nothing of it
        reference = None if image is None else image.document.reference
        if self.live is None or image is None or reference is None or self.band.around == "prediction":
            self._wake()
            return
        live, band, before = self.live, self.band, self._before
        if not live.has_band(band.rule, band.around):
            return  # comes back when it is counted
        catalog, truth = image.document.catalog, live.scored
        index = live.band(band.rule, band.around)
        # An image that was opened blank: changes since opening are counted from the prediction on.
        blank = before is not None and before.counts.sum() == before.void_predictions

        def measure() -> tuple[BandHistogram, ConfusionMatrix | None]:
            histogram = BandHistogram(catalog, rule=band.rule, around=band.around)
            histogram.update(index=index, truth=truth, prediction=reference)
            return histogram, ConfusionMatrix(catalog).update(truth=truth, prediction=reference) if blank else None

        def done(found: tuple[BandHistogram, ConfusionMatrix | None]) -> None:
            if self.live is live and (self.band.rule, self.band.around) == (band.rule, band.around):
                self._model_curve = found[0]
                if found[1] is not None and self._before is before:
                    self._before = found[1]
                self._wake()

        self._jobs.run(measure, done, self._report)

    def _wake(self, *_: object) -> None:
        if not self._figures_timer.isActive():
            self._figures_timer.start()
        if self.band.around == "prediction" or self._around_mask_alone:
            # This band moves with every stroke and looks at every pixel: it waits until the hand rests.
            self._curve_timer.start(_RESTING_MS)
        elif not self._curve_timer.isActive():
            self._curve_timer.start(_CURVE_MS)

    def _emit_settled(self, timer: QTimer, emit: Callable[[], None]) -> None:
        """Emit at the timer's end, or wait for the end of a step that is being written in parts: its half says nothing."""
        if self.live is not None and not self.live.document.settled:
            timer.start()
        else:
            emit()

    def _emit_figures(self) -> None:
        self._figures_timer.stop()
        live, before = self.live, self._before
        if live is None or before is None:
            self.figuresChanged.emit(None)
            return
        catalog = live.document.catalog
        mean = live.matrix.mean_iou("truth")
        self._figures.follow()
        if nothing_labelled(live):
            nothing = dict.fromkeys(catalog.ids.tolist(), np.nan)
            self.figuresChanged.emit(ImageFigures(nothing, np.nan, mean.classes, np.nan, nothing, np.nan))
            return
        self.figuresChanged.emit(
            ImageFigures(
                iou=dict(zip(catalog.ids.tolist(), live.matrix.iou().tolist(), strict=True)),
                mean=mean.value,
                classes=mean.classes,
                accuracy=live.matrix.pixel_accuracy(),
                before=dict(zip(catalog.ids.tolist(), before.iou().tolist(), strict=True)),
                mean_before=before.mean_iou("truth").value,
            )
        )

    def _emit_curves(self) -> None:
        self._curve_timer.stop()
        live, band = self.live, self.band
        if band.around == "prediction" or self._around_mask_alone:
            self.layersChanged.emit()
        if live is None:
            self.curvesChanged.emit(CurveSet(folder=self._figures.curves(band)))
            self.bandFigures.emit(None, None)
            return
        if not live.has_histogram(band.rule, band.around):
            self._count()
            return
        if self._model_curve is None and nothing_labelled(live):
            why = tr("Nothing is labelled yet. The curve shows mIoU inside the band for every width.")
            self.curvesChanged.emit(CurveSet((), self._figures.curves(band), why))
            self.bandFigures.emit(None, None)
            return
        histogram = live.histogram(band.rule, band.around)
        lines = (
            [Curve("model", tuple(self._model_curve.curve("truth").mean_iou.tolist()))] if self._model_curve is not None else []
        )
        lines.append(Curve("now", tuple(histogram.curve("truth").mean_iou.tolist())))
        empty = all(np.isnan(value) for line in lines for value in line.values)
        why = tr("This ground truth has no void ring: choose the class edge.") if empty else ""
        self.curvesChanged.emit(CurveSet(() if empty else tuple(lines), self._figures.curves(band), why))
        inside, outside = (part(band.width_px).mean_iou("truth").value for part in (histogram.inside, histogram.outside))
        self.bandFigures.emit(None if np.isnan(inside) else inside, None if np.isnan(outside) else outside)

    def _emit_nothing(self) -> None:
        self.layersChanged.emit()
        self._emit_figures()
        self._emit_curves()
