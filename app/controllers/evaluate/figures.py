"""What is known of the images: live figures of the image in view, and everything that was measured of the folder's images.

Features read it here. The live figures are set by ``live``, the folder's by ``measuring``; neither imports the other.
"""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal

from app.services.services import Services
from app.state.live_evaluation import LiveEvaluation
from app.state.project import Project
from app.state.project_analysis import ImageScore, ProjectAnalysis
from app.viewmodels.evaluate.curves import Curve
from deeplab_core.analysis.record import CONFUSION, band_name
from deeplab_core.metrics import ConfusionMatrix
from deeplab_core.records import TrimapBand


class EvaluationFigures(QObject):
    """The figures of the image in view and of the folder.

    Attributes:
        live: confusion matrix and bands of the image in view, updated with each edit; None without ground truth.
        analysis: all that is known of the folder's images; None without a project.
        band: the trimap band that is shown, and that the next evaluation of the folder measures.
        counted_band: the band that the figures of the folder are counted by.
        evaluated: whether the user has had the folder evaluated, with the ground truth that the project has now.

    Signals:
        truthFound(GroundTruthFiles): another index of ground truth; what rests on the one before is forgotten.
        changed(): the folder was evaluated, or another one is open: figures and curve are others.
        followed(): the live figures are others, and the folder's have followed them.
        scored(image id): one image has another score, or none any more.
        rescored(): many have.
    """

    truthFound = Signal(object)
    changed = Signal()
    followed = Signal()
    scored = Signal(int)
    rescored = Signal()

    def __init__(self, services: Services, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session, kept = services.session, services.settings
        self.live: LiveEvaluation | None = None
        self.analysis: ProjectAnalysis | None = None
        self.band = TrimapBand(width_px=kept["trimap.width"], rule=kept["trimap.rule"], around=kept["trimap.around"])
        self.counted_band = TrimapBand()
        self.evaluated = False
        services.session.projectChanged.connect(self._follow_project)

    # -- the folder ------------------------------------------------------------------------------------------------------

    @property
    def pooled(self) -> ConfusionMatrix | None:
        """The folder's confusion matrix, live; None before an image was evaluated."""
        return self.analysis.masks.matrix if self.analysis is not None and self.images else None

    @property
    def images(self) -> int:
        """How many images the pooled figures are over."""
        return 0 if self.analysis is None else self.analysis.masks.measured(CONFUSION)

    def score(self, image: int) -> ImageScore:
        """The score of one image; empty where it has none that belongs to its labels and ground truth as they are."""
        return ImageScore() if self.analysis is None else self.analysis.score(image)

    def ious(self) -> dict[int, float]:
        """Mean IoU of every image that was scored against ground truth."""
        found = {} if self.analysis is None else self.analysis.masks.scores("iou")
        return {int(image): 1 - score for image, score in found.items()}

    def worst_first(self) -> list[int]:
        """Ids by score: lowest IoU first, then, of those without truth, the most uncertain first."""
        if self.analysis is None:
            return []
        scored, uncertain = self.analysis.masks.scores("iou"), self.analysis.masks.scores("uncertainty")
        worst = sorted((-score, int(image)) for image, score in scored.items())
        others = sorted((-score, int(image)) for image, score in uncertain.items() if image not in scored)
        return [image for _, image in (*worst, *others)]

    def begin_evaluation(self) -> None:
        """The images of the folder are about to be measured, in the band that is shown now."""
        self.counted_band, self.evaluated = self.band, True

    @property
    def current(self) -> bool:
        """Whether the folder was evaluated, or is being evaluated, in the band that is shown now."""
        counted, band = self.counted_band, self.band
        return self.evaluated and (counted.rule, counted.around) == (band.rule, band.around)

    def curves(self, band: TrimapBand) -> tuple[Curve, ...]:
        """Curves of mIoU over width pooled over the folder; empty where it was not measured in this band."""
        known, found = self.analysis, []
        for name, pool in () if known is None or not self.evaluated else (("model", known.predictions), ("now", known.masks)):
            if pool.measured(band_name(band.rule, band.around)):
                # Model and mask are compared here: over the classes of the ground truth, which both have.
                values = pool.band(band.rule, band.around).curve("truth").mean_iou
                found.append(Curve(name, tuple(values.tolist())))
        return tuple(found)

    # -- the image in view -----------------------------------------------------------------------------------------------

    def has_figures(self, image: int) -> bool:
        """Whether an image counts in the figures of the folder."""
        return self.analysis is not None and self.analysis.has_figures(image)

    def live_of(self, image: int) -> LiveEvaluation | None:
        """The live figures, if the image is in view and its ground truth was read."""
        viewed, live = self._session.image, self.live
        known = viewed is not None and viewed.id == image and live is not None and live.document is viewed.document
        return live if known else None

    def catch_up(self) -> None:
        """Let the pool have every finished pixel of the image in view; costs O(classes^2), whatever the image's size."""
        image = self._session.image
        live = None if image is None else self.live_of(image.id)
        if image is not None and live is not None and self.analysis is not None and self.has_figures(image.id):
            self.analysis.masks.update(str(image.id), live.record(self.counted_band.rule, self.counted_band.around))

    def follow(self) -> None:
        """The live figures are others: let the folder's follow."""
        self.catch_up()
        self.followed.emit()

    def show_live(self, image: int) -> None:
        """Something older was put into the pool: of the image in view what its pixels are now counts."""
        if self.live_of(image) is not None:
            self.follow()

    def _follow_project(self, project: Project | None) -> None:
        self.analysis = None if project is None else ProjectAnalysis(project)
        self.evaluated = False
        self.changed.emit()
