"""Evaluates the folder on the user's request, and keeps the scores of its images up to date."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QObject

from app.controllers.evaluate.figures import EvaluationFigures
from app.controllers.evaluate.ground_truth import GroundTruthController
from app.controllers.evaluate.live import nothing_labelled
from app.controllers.evaluate.measuring import Measuring, Round
from app.services.services import Services
from app.services.session import OpenImage
from app.services.timers import single_shot
from app.state.live_evaluation import folder_mean_text
from app.state.mask_check import MaskCheck
from app.state.measurement import Measured, Part
from app.state.project import Project
from app.state.samples import truth_path
from app.text import joined, percent, plural, sentence, share_text, tr
from deeplab_core.records import Prediction

#: Pause before the score of the image in view is written again.
_SCORE_MS = 600


class FolderEvaluation(QObject):
    """Has the images of the folder measured: all of them when the user asks for it, one of them whenever it has changed."""

    def __init__(
        self,
        services: Services,
        truth: GroundTruthController,
        figures: EvaluationFigures,
        measuring: Measuring,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._session, self._truth, self._figures, self._measuring = services.session, truth, figures, measuring
        self._notifier = services.notifier
        self._check: MaskCheck | None = None
        self._round: Round | None = None
        self._viewed: OpenImage | None = None
        self._score_timer = single_shot(self, _SCORE_MS, self._score_view)
        measuring.measured.connect(self._follow_measured)
        figures.followed.connect(self._follow_live)
        figures.truthFound.connect(self._follow_truth)
        services.session.projectChanged.connect(self._follow_project)
        services.session.predictionKept.connect(self.remeasure)
        services.session.imageChanged.connect(self._leave_image)
        services.session.stepWritten.connect(self.remeasure)

    def start_if_needed(self) -> None:
        """Figures of the folder are looked at: measure them, unless they are there or under way in the band that is shown."""
        if not self._figures.current:
            self.start()

    def start(self) -> None:
        """Measure every image that has truth and a mask (or a prediction), in the background, one after the other."""
        project, known = self._session.project, self._figures.analysis
        if project is None or known is None or self._round is not None:
            return
        ids = self._truth.images_with_truth()
        if not ids:
            return
        if self._session.autosaver is not None:
            self._session.autosaver.save_now()
        self._figures.begin_evaluation()
        for name in set(known.masks) - set(map(str, ids)):
            known.drop(int(name))
        self._check = MaskCheck(project.catalog, tr("ground truth mask"))
        self._round = self._measuring.start(ids, Part.SCORE | Part.FIGURES, tr("Evaluating the folder"), self._finish)

    def remeasure(self, image: int, prediction: Prediction | None = None) -> None:
        """Measure one image again, for the list and, where the folder was evaluated, for its pooled figures.

        Args:
            prediction: its newest, where it is in memory.
        """
        project = self._session.project
        if project is None:
            return
        parts = Part.SCORE
        if truth_path(project, image) is not None and (self._figures.evaluated or self._figures.has_figures(image)):
            parts |= Part.FIGURES
            if self._session.autosaver is not None:
                self._session.autosaver.save_now()
        self._measuring.ask(image, parts, prediction=prediction)

    def _follow_measured(self, image: int, parts: Part, found: Measured) -> None:
        """An image is in the pool; of the image in view its current labels count."""
        if not parts & (Part.FIGURES | Part.ERRORS):
            return
        self._figures.show_live(image)
        if Part.FIGURES not in parts:
            return
        begun = self._round
        if begun is None or image not in begun.left:
            self._figures.changed.emit()
        elif self._check is not None and found.figures is not None:
            pixels, over_void, notes = found.figures.truth
            assert self._figures.analysis is not None
            self._check.add(self._figures.analysis.project.record(image).name, pixels, notes, over_void)

    def _follow_live(self) -> None:
        """Have the image in view scored again, once its pixels rest, if its score is not that of its live figures."""
        image = self._session.image
        live = None if image is None else self._figures.live_of(image.id)
        if image is None or live is None:
            return
        kept = self._figures.score(image.id).iou
        mean = live.matrix.mean_iou("truth").value
        # An image whose only stroke was undone is not measured, though its live matrix says 0 as before.
        known = kept is None if nothing_labelled(live) else kept is not None and abs(kept - mean) < 1e-9
        if not known and not np.isnan(mean):
            self._score_timer.start()

    def _follow_project(self, _project: Project | None) -> None:
        self._viewed, self._round = None, None

    def _follow_truth(self, _index: object) -> None:
        """Other ground truth: a folder that was evaluated is evaluated again."""
        if self._round is not None:
            self._measuring.leave(self._round)
            self._round = None
        evaluated, self._figures.evaluated = self._figures.evaluated, False
        self._figures.changed.emit()
        if evaluated and len(self._truth.index):
            self.start()

    def _finish(self, begun: Round) -> None:
        self._round = None
        self._say(begun)
        self._figures.changed.emit()
        self._measuring.follow_project()

    def _leave_image(self, image: OpenImage | None) -> None:
        """Score the image that goes out of view, as it is now."""
        left, self._viewed = self._viewed, image
        self._score_timer.stop()
        if left is not None and left.document.revision:
            self._measuring.score_open(left)

    def _score_view(self) -> None:
        if self._viewed is not None:
            self._measuring.score_open(self._viewed)

    def _say(self, begun: Round) -> None:
        pooled = self._figures.pooled
        if pooled is None:
            self._notifier.warning(
                tr("Nothing could be evaluated"),
                tr("No image has both ground truth and a mask. Run the model first."),
                replace_key="evaluation",
            )
            return
        mean = pooled.mean_iou("union")
        text = tr(
            "mIoU {mean}, pooled over {images}; pixel accuracy {accuracy}.",
            mean=folder_mean_text(pooled),
            images=plural("{n} image", "{n} images", self._figures.images),
            accuracy=share_text(pooled.pixel_accuracy()),
        )
        self._notifier.info(
            tr("Folder so far: mIoU {value}", value=percent(mean.value))
            if begun.stopped
            else tr("Folder: mIoU {value}", value=percent(mean.value)),
            joined(" ", (text, *([] if self._check is None else map(sentence, self._check.remarks())))),
            replace_key="evaluation",
        )
        serious = [] if self._check is None else self._check.warnings(pooled.counts)
        if serious:
            self._notifier.warning(tr("Check the ground truth"), joined(" ", map(sentence, serious)), replace_key="truth check")
