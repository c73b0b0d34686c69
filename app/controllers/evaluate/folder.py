"""The folder as a whole: figures and curve pooled over the images that have truth and a mask, and the scores of its images."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QObject, Signal

from app.controllers.evaluate.ground_truth import GroundTruthController
from app.controllers.evaluate.measuring import Measuring, Round
from app.controllers.predict.models import ModelsController
from app.controllers.project.folder_jobs import FolderJobs
from app.services.services import Services
from app.services.session import OpenImage
from app.services.timers import single_shot
from app.state.live_evaluation import LiveEvaluation, folder_mean_text
from app.state.mask_check import MaskCheck, sentence
from app.state.measurement import Measured, Part
from app.state.project import Project
from app.state.project_analysis import ImageScore, ProjectAnalysis
from app.state.samples import truth_path
from app.text import plural, tr
from app.viewmodels.evaluate.curves import Curve
from deeplab_core.analysis.record import CONFUSION, band_name
from deeplab_core.metrics import ConfusionMatrix
from deeplab_core.records import Prediction, TrimapBand

#: Pause before the score of the image in view is written again.
_SCORE_MS = 600


class FolderEvaluation(QObject):
    """Figures pooled over the folder, and the scores of its images.

    Attributes:
        band: that the next evaluation of the folder measures.
        measuring: measures the images, for every part of the window.

    Signals:
        changed(): the folder was evaluated, or another one is open: figures and curve are others.
        followed(): the pooled figures have followed the image in view.
        scored(image id): one image has another score, or none any more.
        rescored(): many images have.
    """

    changed = Signal()
    followed = Signal()
    scored = Signal(int)
    rescored = Signal()

    def __init__(
        self,
        services: Services,
        truth: GroundTruthController,
        band: TrimapBand,
        models: ModelsController,
        folder_jobs: FolderJobs,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._session, self._truth, self._models = services.session, truth, models
        self._notifier = services.notifier
        self.measuring = Measuring(services, truth, models, folder_jobs, self)
        self.measuring.scored.connect(self.scored)
        self.measuring.rescored.connect(self.rescored)
        self.measuring.measured.connect(self._follow_measured)
        self.measuring.forgotten.connect(lambda _image: self.changed.emit())
        self._evaluated = False
        self._check: MaskCheck | None = None
        self._round: Round | None = None
        self.band = band
        self._current: LiveEvaluation | None = None
        self._viewed: OpenImage | None = None
        self._score_timer = single_shot(self, _SCORE_MS, self._score_view)
        services.session.predictionKept.connect(self.remeasure)
        services.session.imageChanged.connect(self._leave_image)
        services.session.stepWritten.connect(self.remeasure)

    @property
    def analysis(self) -> ProjectAnalysis | None:
        """All that is known of the folder; None without a project."""
        return self.measuring.analysis

    def score(self, image: int) -> ImageScore:
        """The score of one image; empty where it has none that belongs to its labels and ground truth as they are."""
        return ImageScore() if self.analysis is None else self.analysis.score(image)

    def ious(self) -> dict[int, float]:
        """Mean IoU of every image that was scored against ground truth."""
        found = {} if self.analysis is None else self.analysis.masks.scores("iou")
        return {int(image): 1 - score for image, score in found.items()}

    def look(self) -> None:
        """The scores are looked at: what is missing or old is measured."""
        self.measuring.begin()

    @property
    def pooled(self) -> ConfusionMatrix | None:
        """The folder's confusion matrix, live; None before an image was evaluated."""
        return self.analysis.masks.matrix if self.analysis is not None and self.images else None

    @property
    def images(self) -> int:
        """How many images the pooled figures are over."""
        return 0 if self.analysis is None else self.analysis.masks.measured(CONFUSION)

    def set_project(self, project: Project | None) -> None:
        """Follow another project and read its kept scores."""
        self._evaluated, self._viewed, self._round = False, None, None
        self.measuring.set_project(project)
        self.changed.emit()

    def follow_truth(self) -> None:
        """The project's ground truth is known, or another one: figures that rest on another are measured again."""
        if self._session.project is None or self.analysis is None:
            return
        evaluated = self._evaluated and bool(len(self._truth.index))
        self._evaluated = False
        self.measuring.follow_truth(measure=not evaluated)
        self.changed.emit()
        if self._round is not None:
            self.measuring.leave(self._round)
            self._round = None
        if evaluated:
            self.start()

    def set_live(self, live: LiveEvaluation | None) -> None:
        """Take the live figures of the image in view; None if it has none."""
        self._current = live

    def follow(self, live: LiveEvaluation) -> None:
        """Let the pooled figures and the list follow the image in view. Costs O(classes^2), whatever the image's size."""
        image = self._session.image
        if image is None or image.document is not live.document:
            return
        if self._measured(image.id):
            self._put_live(image.id, live)
            self.followed.emit()
        kept = self.score(image.id).iou
        mean = live.matrix.mean_iou("truth").value
        known = kept is not None and abs(kept - mean) < 1e-9
        if not known and not np.isnan(mean):
            self._score_timer.start()

    def worst_first(self) -> list[int]:
        """Ids by score: lowest IoU first, then, of those without truth, the most uncertain first."""
        if self.analysis is None:
            return []
        scored, uncertain = self.analysis.masks.scores("iou"), self.analysis.masks.scores("uncertainty")
        worst = sorted((-score, int(image)) for image, score in scored.items())
        others = sorted((-score, int(image)) for image, score in uncertain.items() if image not in scored)
        return [image for _, image in (*worst, *others)]

    def curves(self, band: TrimapBand) -> tuple[Curve, ...]:
        """Curves of mIoU over width pooled over the folder; empty where it was not measured in this band."""
        found = []
        known = self.analysis
        for name, pool in () if known is None or not self._evaluated else (("model", known.predictions), ("now", known.masks)):
            if pool.measured(band_name(band.rule, band.around)):
                # Model and mask are compared here: over the classes of the ground truth, which both have.
                values = pool.band(band.rule, band.around).curve("truth").mean_iou
                found.append(Curve(name, tuple(values.tolist())))
        return tuple(found)

    def start(self) -> None:
        """Measure every image that has truth and a mask (or a prediction), in the background, one after the other."""
        project, known = self._session.project, self.analysis
        if project is None or known is None or self._round is not None:
            return
        ids = self._truth.images_with_truth()
        if not ids:
            return
        if self._session.autosaver is not None:
            self._session.autosaver.save_now()
        self.measuring.band = self.band
        self._evaluated = True
        for name in set(known.masks) - set(map(str, ids)):
            known.drop(int(name))
        self._check = MaskCheck(project.catalog, tr("ground truth mask"))
        self._round = self.measuring.start(ids, Part.SCORE | Part.FIGURES, tr("Evaluating the folder"), self._finish)

    def remeasure(self, image: int, prediction: Prediction | None = None) -> None:
        """Measure one image again, for the list and, where the folder was evaluated, for its pooled figures.

        Args:
            prediction: its newest, where it is in memory.
        """
        project = self._session.project
        if project is None:
            return
        parts = Part.SCORE
        if truth_path(project, image) is not None and (self._evaluated or self._measured(image)):
            parts |= Part.FIGURES
            if self._session.autosaver is not None:
                self._session.autosaver.save_now()
        self.measuring.ask(image, parts, prediction=prediction)

    def _follow_measured(self, image: int, parts: Part, found: Measured) -> None:
        """An image is in the pool; of the image in view its current labels count."""
        if not parts & (Part.FIGURES | Part.ERRORS):
            return
        self.show_live(image)
        if Part.FIGURES not in parts:
            return
        begun = self._round
        if begun is None or image not in begun.left:
            self.changed.emit()
        elif self._check is not None and found.figures is not None:
            pixels, over_void, notes = found.figures.truth
            assert self.analysis is not None
            self._check.add(self.analysis.project.record(image).name, pixels, notes, over_void)

    def show_live(self, image: int) -> None:
        """Something older was put into the pool: of the image in view what its pixels are now counts."""
        self.catch_up()
        live = self._live(image)
        if live is not None:
            self.follow(live)  # and its score

    def catch_up(self) -> None:
        """Let the pool have every finished pixel of the image in view; costs O(classes squared)."""
        live = None if self._viewed is None else self._live(self._viewed.id)
        if live is not None and self._viewed is not None and self._measured(self._viewed.id):
            self._put_live(self._viewed.id, live)

    def _measured(self, image: int) -> bool:
        return self.analysis is not None and self.analysis.has_figures(image)

    def _live(self, image: int) -> LiveEvaluation | None:
        """The live figures, if the image is in view and its ground truth was read."""
        viewed, live = self._viewed, self._current
        known = viewed is not None and viewed.id == image and live is not None and live.document is viewed.document
        return live if known else None

    def _put_live(self, image: int, live: LiveEvaluation) -> None:
        assert self.analysis is not None
        self.analysis.masks.update(str(image), live.record(self.measuring.band.rule, self.measuring.band.around))

    def _finish(self, begun: Round) -> None:
        self._round = None
        self._say(begun)
        self.changed.emit()
        self.measuring.follow_project()

    def _leave_image(self, image: OpenImage | None) -> None:
        """Score the image that goes out of view, as it is now."""
        left, self._viewed = self._viewed, image
        self._score_timer.stop()
        if left is not None and left.document.revision:
            self.measuring.score_open(left)

    def _score_view(self) -> None:
        if self._viewed is not None:
            self.measuring.score_open(self._viewed)

    def _say(self, begun: Round) -> None:
        pooled = self.pooled
        if pooled is None:
            self._notifier.warning(
                tr("Nothing could be evaluated"),
                tr("No image has both ground truth and a mask. Run the model first."),
                replace_key="evaluation",
            )
            return
        mean = pooled.mean_iou("union")
        part = tr(" so far") if begun.stopped else ""
        self._notifier.info(
            tr("Folder{part}: mIoU {value:.3f}", part=part, value=mean.value),
            tr(
                "mIoU {folder_mean_text}, pooled over {images}; pixel accuracy {pixel_accuracy:.3f}.",
                folder_mean_text=folder_mean_text(pooled),
                images=plural("{n} image", "{n} images", self.images),
                pixel_accuracy=pooled.pixel_accuracy(),
            )
            + ("" if self._check is None else "".join(f" {sentence(text)}" for text in self._check.remarks())),
            replace_key="evaluation",
        )
        serious = [] if self._check is None else self._check.warnings(pooled.counts)
        if serious:
            self._notifier.warning(tr("Check the ground truth"), " ".join(map(sentence, serious)), replace_key="truth check")
