"""The plots of the Judge view: which there are, what they are made from, and the log of progress that one of them shows."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from PySide6.QtCore import QObject, Signal

from app.controllers.compare.folder import CompareFolder
from app.controllers.compare.models import CompareController
from app.controllers.evaluate.errors import InspectController
from app.controllers.evaluate.live import EvaluationController
from app.controllers.evaluate.rankings import RankingsController
from app.controllers.predict.models import ModelsController
from app.controllers.refine.meter import RefineMeter
from app.services.services import Services
from app.services.timers import single_shot
from app.state.comparison import LETTERS, ComparedModel
from app.state.image_record import ImageStatus
from app.state.progress_log import ProgressSample, appended, from_plain, to_plain
from app.state.project import Project
from app.text import mark, tr
from app.viewmodels.evaluate.charts import AnyChart, Chart
from app.viewmodels.evaluate.curves import Curve, CurveSet
from deeplab_core.analysis.ranking import RANKINGS
from deeplab_core.analysis.record import CONFIDENCE_LEVELS, OBJECT_LEVELS
from deeplab_core.errors import AtrousError

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


@dataclass(frozen=True, slots=True)
class PlotSources:
    """What has the figures that the plots show."""

    models: ModelsController
    evaluation: EvaluationController
    inspect: InspectController
    rankings: RankingsController
    meter: RefineMeter
    compare: CompareController
    compare_folder: CompareFolder


class PlotsController(QObject):
    """Makes plots by name and records how the work moves on.

    Attributes:
        names: of all plots, in the order of the list.
        progress: the recorded moments.

    Signals:
        changed(): what the plots show may be others.
    """

    changed = Signal()

    def __init__(self, services: Services, sources: PlotSources, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._jobs, self._notifier = services.jobs, services.notifier
        self._session, self._models, self._evaluation = services.session, sources.models, sources.evaluation
        self._inspect, self._rankings, self._meter = sources.inspect, sources.rankings, sources.meter
        self._compare, self._compare_folder = sources.compare, sources.compare_folder
        self._curves = CurveSet()
        self.progress: tuple[ProgressSample, ...] = ()
        self._makers: dict[str, Callable[[], AnyChart]] = {
            "Trimap curve, image": lambda: self._trimap("image"),
            "Trimap curve, folder": lambda: self._trimap("folder"),
            "Confusion matrix": self._heat,
            "Reliability": self._reliability,
            "Precision and recall": self._precision_recall,
            "Objects by size": lambda: self._objects("size"),
            "Objects by occlusion": lambda: self._objects("border_share"),
            "Objects by visible fraction": lambda: self._objects("visible_fraction"),
            "Objects by brightness": lambda: self._objects("brightness"),
            "Objects by contrast": lambda: self._objects("contrast"),
            "Pixels by distance": lambda: self._pixels("distance"),
            "Pixels by brightness": lambda: self._pixels("brightness"),
            "Pixels by contrast": lambda: self._pixels("contrast"),
            "Cumulative gain": self._gain,
            "Progress": self._progress,
        }
        names = list(self._makers)
        self.names = (*names[:2], _IOU, *names[2:])
        self._quiet = single_shot(self, _QUIET_MS, self.record)
        self._evaluation.curvesChanged.connect(self._follow_curves)
        measured = self._inspect.changed, self._rankings.changed, self._rankings.orderChanged, self._meter.changed
        for signal in (*measured, self._compare.resultsChanged, self._compare_folder.changed):
            signal.connect(lambda *_: self.changed.emit())
        self._models.thresholdChanged.connect(lambda _value: self.changed.emit())
        self._session.projectChanged.connect(self._follow_project)
        self._session.recordChanged.connect(lambda _record: self._quiet.start())
        self._evaluation.folder.changed.connect(lambda: self._quiet.start())

    def make(self, name: str, shown: Shown) -> None:
        """Make a plot and hand it over, at once or, where it takes counting, when it is there. Raises KeyError for no plot."""
        if name == _IOU:
            self._make_iou(shown)
        else:
            shown(self._makers[name]())

    def record(self) -> None:
        """Write the present state of the work into the log."""
        self._quiet.stop()
        project = self._session.project
        if project is None or project.read_only:
            return
        records, pooled = project.images, self._evaluation.folder.pooled
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

        curves = self._curves.image if scope == "image" else self._curves.folder
        figures = self._meter.figures
        if scope == "image" and curves and figures is not None and figures.curve:
            curves = (*curves, Curve(tr("with CRF"), figures.curve))
        curves = (*curves, *(self._compared_on_image() if scope == "image" else self._compared_on_folder()))
        band = self._evaluation.band
        return trimap_chart(curves, tr(_BANDS[band.rule, band.around]), scope)

    def _compared_on_image(self) -> list[Curve]:
        found = zip(self._compare.models, self._compare.results, strict=False)
        return [
            Curve(_compared(place, model), answer.figures.curve, place)
            for place, (model, answer) in enumerate(found)
            if answer.figures is not None and answer.figures.curve
        ]

    def _compared_on_folder(self) -> list[Curve]:
        result, band = self._compare_folder.result, self._evaluation.band
        if result is None or (result.band.rule, result.band.around) != (band.rule, band.around):
            return []
        found = zip(result.models, self._compare_folder.figures(), strict=True)
        return [
            Curve(_compared(place, model), figures.curve, place)
            for place, (model, figures) in enumerate(found)
            if figures is not None and figures.curve
        ]

    def _make_iou(self, shown: Shown) -> None:
        from app.viewmodels.evaluate.plot_data import iou_chart

        folder = self._inspect.folder
        if folder is None:
            shown(_nothing(tr(_IOU)))
            return
        matrices = [record.matrix.counts for image in folder if (record := folder.get(image)) and record.matrix]
        self._jobs.run(lambda: iou_chart(matrices, folder.catalog), shown, _raise)

    def _heat(self) -> AnyChart:
        from app.viewmodels.evaluate.plot_data import heat_chart

        folder, counts = self._inspect.folder, self._inspect.counts()
        return _nothing(tr("Confusion matrix")) if folder is None or counts is None else heat_chart(counts, folder.catalog)

    def _reliability(self) -> Chart:
        from app.viewmodels.evaluate.plot_data import reliability_chart

        return reliability_chart(self._rankings.total(CONFIDENCE_LEVELS))

    def _precision_recall(self) -> Chart:
        from app.viewmodels.evaluate.plot_data import precision_recall_chart

        return precision_recall_chart(self._rankings.total(OBJECT_LEVELS), self._models.run_settings.threshold or None)

    def _objects(self, axis: str) -> Chart:
        from app.viewmodels.evaluate.plot_data import object_chart
        from deeplab_core.analysis.slices import ObjectAxis

        folder, kind = self._inspect.folder, ObjectAxis(axis)
        return _nothing(tr("Objects")) if folder is None else object_chart(folder.objects, kind)

    def _pixels(self, axis: str) -> Chart:
        from app.viewmodels.evaluate.plot_data import pixel_chart
        from deeplab_core.analysis.slices import PixelAxis

        folder = self._inspect.folder
        return _nothing(tr("Pixels")) if folder is None else pixel_chart(folder.slices[PixelAxis(axis)])

    def _gain(self) -> Chart:
        from app.viewmodels.evaluate.plot_data import gain_chart

        order = self._rankings.order
        gain, title = self._rankings.gain(order), RANKINGS[order].title
        note = tr("Requires ground truth and scores of this ranking: open the Rankings page.")
        return Chart(tr("Cumulative gain"), "", "", (), note=note) if gain is None else gain_chart(gain, title)

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


def _compared(place: int, model: ComparedModel) -> str:
    """A compared model as the panes and the table call it; two files may carry one name."""
    return f"{LETTERS[place]}: {model.title}"


def _nothing(title: str) -> Chart:
    return Chart(title, "", "", (), note=tr("No image with ground truth has been analysed yet: press Refresh."))


def _raise(error: Exception) -> None:
    raise error
