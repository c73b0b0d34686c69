"""The plots of the Evaluation panel: their names, their makers, and the log of progress that one of them shows."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, Signal, SignalInstance

from app.controllers.annotate.view import ViewState
from app.controllers.evaluate.figures import EvaluationFigures
from app.controllers.evaluate.live import EvaluationController
from app.controllers.predict.models import ModelsController
from app.services.services import Services
from app.services.timers import single_shot
from app.state.image_record import ImageStatus
from app.state.progress_log import ProgressSample, appended, from_plain, to_plain
from app.state.project import Project
from app.text import mark, tr
from app.viewmodels.evaluate.charts import AnyChart, Chart
from app.viewmodels.evaluate.curves import Curve, CurveSet
from deeplab_core.analysis.folder import FolderAnalysis
from deeplab_core.analysis.own_slices import OwnSlices
from deeplab_core.analysis.ranking import RANKINGS, GainCurve
from deeplab_core.analysis.record import CONFIDENCE_LEVELS, CONFUSION, OBJECT_LEVELS
from deeplab_core.analysis.slice_scores import score_axis, sliced_axes
from deeplab_core.analysis.slices import ObjectAxis, PixelAxis
from deeplab_core.errors import AtrousError
from deeplab_core.metrics.calibration import LEVELS

_LOG = "progress"
_IOU = mark("IoU by class")
#: A change of status or figures is recorded when things have been quiet for so long.
_QUIET_MS = 3000
_BANDS = {
    ("edge", "truth"): mark("class edge, around the ground truth"),
    ("edge", "prediction"): mark("class edge, around the mask"),
    ("void", "truth"): mark("void ring of the ground truth"),
}

Shown = Callable[[AnyChart], None]
#: Plots of slices, by their names; None for the attributes of the user.
_SLICES: dict[str, ObjectAxis | PixelAxis | None] = {
    mark("Objects by size"): ObjectAxis.SIZE,
    mark("Objects by occlusion"): ObjectAxis.BORDER_SHARE,
    mark("Objects by visible fraction"): ObjectAxis.VISIBLE_FRACTION,
    mark("Objects by brightness"): ObjectAxis.BRIGHTNESS,
    mark("Objects by contrast"): ObjectAxis.CONTRAST,
    mark("Pixels by distance"): PixelAxis.DISTANCE,
    mark("Pixels by brightness"): PixelAxis.BRIGHTNESS,
    mark("Pixels by contrast"): PixelAxis.CONTRAST,
    mark("Your attributes"): None,
}
#: Draws for the intervals of slices.
_DRAWS = 1000
#: Plots of what an evaluation of the folder measures, and an analysis of its errors does not.
_OF_FOLDER = frozenset({mark("Trimap curve, folder"), mark("Reliability"), mark("Precision and recall")})


@dataclass(frozen=True, slots=True)
class PlotSources:
    """What other features add to the plots.

    Attributes:
        image_curves: (that makes them) lines of the trimap plot of the image, e.g. those of compared models.
        folder_curves: the same for the plot of the folder.
        gain: the chosen ranking and its gain curve, None if it has none.
        own: the user's attributes of images and objects.
        changed: signals after which the plots may differ.
    """

    image_curves: tuple[Callable[[], Sequence[Curve]], ...]
    folder_curves: tuple[Callable[[], Sequence[Curve]], ...]
    gain: Callable[[], tuple[str, GainCurve | None]]
    own: Callable[[], OwnSlices | None]
    changed: tuple[SignalInstance, ...]


class PlotsController(QObject):
    """Makes plots by name and records how the work moves on.

    Attributes:
        names: of all plots, in the order of the list.
        progress: the recorded moments.

    Signals:
        changed(): what the plots show may be others.
        folderWanted(): a plot needs figures that an evaluation of the folder measures.
    """

    changed = Signal()
    folderWanted = Signal()

    def __init__(
        self,
        services: Services,
        models: ModelsController,
        figures: EvaluationFigures,
        evaluation: EvaluationController,
        view: ViewState,
        sources: PlotSources,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._jobs, self._notifier = services.jobs, services.notifier
        self._session, self._models, self._figures, self._sources = services.session, models, figures, sources
        self._view = view
        self._curves = CurveSet()
        self.progress: tuple[ProgressSample, ...] = ()
        self._makers: dict[str, Callable[[], AnyChart]] = {
            mark("Trimap curve, image"): lambda: self._trimap("image"),
            mark("Trimap curve, folder"): lambda: self._trimap("folder"),
            mark("Confusion matrix"): self._heat,
            mark("Reliability"): self._reliability,
            mark("Precision and recall"): self._precision_recall,
            mark("Cumulative gain"): self._gain,
            mark("Progress"): self._progress,
        }
        names = list(self._makers)
        self.names = (*names[:2], _IOU, *names[2:5], *_SLICES, *names[5:])
        self._quiet = single_shot(self, _QUIET_MS, self.record)
        evaluation.curvesChanged.connect(self._follow_curves)
        for signal in sources.changed:
            signal.connect(lambda *_: self.changed.emit())
        self._models.thresholdChanged.connect(lambda _value: self.changed.emit())
        self._session.projectChanged.connect(self._follow_project)
        self._session.recordChanged.connect(lambda _record: self._quiet.start())
        self._figures.changed.connect(lambda: self._quiet.start())

    def make(self, name: str, shown: Shown) -> None:
        """Make a plot and hand it over, at once or, where it takes counting, when it is there. Raises KeyError for no plot.

        A plot of what only an evaluation of the folder measures has the folder evaluated.
        """
        if name in _OF_FOLDER and not self._figures.current:
            self.folderWanted.emit()
        if name == _IOU:
            self._make_iou(shown)
        elif name in _SLICES:
            self._make_slices(name, shown)
        else:
            shown(self._makers[name]())

    def record(self) -> None:
        """Write the present state of the work into the log."""
        self._quiet.stop()
        project = self._session.project
        if project is None or project.read_only:
            return
        records, pooled = project.images, self._figures.pooled
        miou = None if pooled is None else pooled.mean_iou("truth").value  # followed over time: one class set
        sample = ProgressSample(
            time=time.time(),
            images=len(records),
            reviewed=sum(record.status == ImageStatus.REVIEWED for record in records),
            touched=sum(record.touched for record in records),
            miou=None if miou is None or miou != miou else float(miou),
        )
        last = self.progress[-1] if self.progress else None
        if last is not None and replace(sample, time=last.time, miou=sample.miou or last.miou) == last:
            return
        self.progress = appended(self.progress, sample)
        try:
            project.set_setting(_LOG, to_plain(self.progress))
        except AtrousError as error:
            self._notifier.report(error, replace_key="save")
        self.changed.emit()

    # -- making ----------------------------------------------------------------------------------------------------------

    def _trimap(self, scope: str) -> Chart:
        from app.viewmodels.evaluate.plot_data import trimap_chart

        curves, makers = self._curves.image, self._sources.image_curves
        if scope == "folder":
            curves, makers = self._curves.folder, self._sources.folder_curves
        curves = (*curves, *(curve for make in makers for curve in make()))
        band = self._figures.band
        return trimap_chart(curves, tr(_BANDS[band.rule, band.around]), scope)

    @property
    def _folder(self) -> FolderAnalysis | None:
        """Everything that was measured on the masks of the folder; None before an image was analysed."""
        known = self._figures.analysis
        return known.masks if known is not None and len(known) else None

    def _total(self, name: str) -> NDArray[np.int64]:
        """Sum of the counts of a name over all predictions, see :mod:`deeplab_core.analysis.record`."""
        known = self._figures.analysis
        return np.zeros((LEVELS, 2), dtype=np.int64) if known is None else known.predictions.total(name)

    def _make_iou(self, shown: Shown) -> None:
        from app.viewmodels.evaluate.plot_data import iou_chart

        folder = self._folder
        if folder is None:
            shown(_nothing(tr(_IOU)))
            return
        matrices = [record.matrix.counts for image in folder if (record := folder.get(image)) and record.matrix]
        catalog = self._view.overlay.shown(folder.catalog)
        self._jobs.run(lambda: iou_chart(matrices, catalog), shown, _raise)

    def _heat(self) -> AnyChart:
        from app.viewmodels.evaluate.plot_data import heat_chart

        self._figures.catch_up()
        folder = self._folder
        counts = None if folder is None else folder.total(CONFUSION)
        return _nothing(tr("Confusion matrix")) if folder is None or counts is None else heat_chart(counts, folder.catalog)

    def _reliability(self) -> Chart:
        from app.viewmodels.evaluate.plot_data import reliability_chart

        return reliability_chart(self._total(CONFIDENCE_LEVELS))

    def _precision_recall(self) -> Chart:
        from app.viewmodels.evaluate.plot_data import precision_recall_chart

        return precision_recall_chart(self._total(OBJECT_LEVELS), self._models.run_settings.threshold or None)

    def _make_slices(self, name: str, shown: Shown) -> None:
        """Plots of slices: scored with intervals on another thread, from what is known now."""
        from app.viewmodels.evaluate.plot_data import object_chart, own_chart, pixel_chart

        folder = self._folder
        if folder is None:
            shown(_nothing(tr(name)))
            return
        own = self._sources.own()
        axis = _SLICES[name]
        names = [one.name for one in (*own.image_axes, *own.object_axes)] if axis is None and own is not None else []
        only = names if axis is None else [axis.value if isinstance(axis, ObjectAxis) else f"pixel_{axis.value}"]
        still, rows, slices = folder.for_scores(), folder.objects.copy(), folder.slices

        def make() -> Chart:
            axes = sliced_axes(still, own, only=only)
            scored = [score_axis(one, resamples=_DRAWS) for one in axes]
            if axis is None:
                return own_chart(axes, scored)
            found = scored[0] if scored else ()
            return object_chart(rows, axis, found) if isinstance(axis, ObjectAxis) else pixel_chart(slices[axis], found)

        self._jobs.run(make, shown, _raise)

    def _gain(self) -> Chart:
        from app.viewmodels.evaluate.plot_data import gain_chart

        order, gain = self._sources.gain()
        note = tr("Requires ground truth and scores of this ranking: open the Rankings page.")
        return (
            Chart(tr("Cumulative gain"), "", "", (), note=note) if gain is None else gain_chart(gain, tr(RANKINGS[order].title))
        )

    def _progress(self) -> Chart:
        from app.viewmodels.evaluate.plot_data import progress_chart

        return progress_chart(self.progress)

    # -- following -------------------------------------------------------------------------------------------------------

    def _follow_curves(self, curves: CurveSet) -> None:
        self._curves = curves
        self.changed.emit()

    def _follow_project(self, project: Project | None) -> None:
        self._quiet.stop()
        self._curves = CurveSet()
        self.progress = () if project is None else from_plain(project.setting(_LOG, []))
        if project is not None:
            self._quiet.start()
        self.changed.emit()


def _nothing(title: str) -> Chart:
    return Chart(title, "", "", (), note=tr("No image with ground truth has been analysed yet: press Refresh."))


def _raise(error: Exception) -> None:
    raise error
