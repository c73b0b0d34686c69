"""Rankings of the folder's images by their scores, and the order that 'next worst' follows."""

from __future__ import annotations

from collections import Counter

from PySide6.QtCore import QObject, Signal

from app.controllers.evaluate.figures import EvaluationFigures
from app.controllers.evaluate.measuring import Measuring, Round
from app.services.services import Services
from app.services.session import OpenImage
from app.services.timers import single_shot
from app.state.measurement import RANKING_KIND, Part, read_ranking
from app.state.project import Project
from app.text import tr
from deeplab_core.analysis.folder import FolderAnalysis, ImageIssue
from deeplab_core.analysis.ranking import DEFAULT_RANKING, RANKINGS, GainCurve, rank, ranking_name
from deeplab_core.errors import AtrousError
from deeplab_core.geometry import Box

#: Name under which a project keeps the chosen ranking; older projects have it, so it stays.
_ORDER = "queue_order"
#: Label issues that are listed.
_LISTED = 500
#: While the folder is measured, what is shown follows at most this often.
_EMIT_MS = 500


class RankingsController(QObject):
    """Owns the ranking scores and the chosen ranking.

    Attributes:
        order: key of :data:`~deeplab_core.analysis.ranking.RANKINGS`.

    Signals:
        changed(): figures are others.
        orderChanged(str): another order is chosen.
        placeReached(Box | None): the image that was asked for is in view; show this place of it.
    """

    changed = Signal()
    orderChanged = Signal(str)
    placeReached = Signal(object)

    def __init__(
        self,
        services: Services,
        figures: EvaluationFigures,
        measuring: Measuring,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._session, self._figures, self._measuring, self._notifier = services.session, figures, measuring, services.notifier
        self.order = DEFAULT_RANKING
        self._round: Round | None = None
        self._known = False
        self._awaited: tuple[int, Box | None] | None = None
        services.session.projectChanged.connect(self._follow_project)
        services.session.imageChanged.connect(self._follow_image)
        services.session.predictionKept.connect(lambda _image, _prediction: self._forget_known())
        services.session.predictionChanged.connect(lambda _image: self._forget_known())
        services.session.stepWritten.connect(lambda _image: self._forget_known())
        self._emitting = single_shot(self, _EMIT_MS, self.changed.emit)
        measuring.measured.connect(self._follow_measured)
        figures.truthFound.connect(lambda _index: self._follow_truth())
        figures.scored.connect(lambda _image: self.changed.emit())
        figures.rescored.connect(self.changed)

    # -- what is known ---------------------------------------------------------------------------------------------------

    @property
    def predictions(self) -> FolderAnalysis | None:
        """Figures of the kept predictions, images by ``str(id)``; None without a project."""
        known = self._figures.analysis
        return None if known is None else known.predictions

    @property
    def measuring(self) -> bool:
        """Whether the folder is being measured."""
        return self._round is not None

    def ious(self) -> dict[int, float]:
        """Mean IoU of every image that was scored against ground truth."""
        return self._figures.ious()

    def scores(self, order: str | None = None) -> dict[int, float]:
        """Score of every image that has one, higher is worse, in the chosen ranking or another."""
        name = order or self.order
        if name == DEFAULT_RANKING:
            return {image: 1 - iou for image, iou in self.ious().items()}
        found = {} if self.predictions is None else self.predictions.scores(name)
        return {int(image): score for image, score in found.items()}

    def available(self) -> dict[str, int]:
        """How many images have a score, by ranking."""
        scored = Counter[str]() if self.predictions is None else self.predictions.scored()
        return {**{name: scored[name] for name in RANKINGS}, DEFAULT_RANKING: len(self.ious())}

    def gain(self, order: str) -> GainCurve | None:
        """How well a ranking finds the pixels that the model has wrong; None with fewer than two images, or nothing wrong."""
        scores = {str(image): score for image, score in self.scores(order).items()}
        return None if self.predictions is None or len(scores) < 2 else self.predictions.gain(order, scores)

    def chosen_gain(self) -> tuple[str, GainCurve | None]:
        """The chosen ranking and its :meth:`gain`."""
        return self.order, self.gain(self.order)

    def issues(self) -> list[ImageIssue]:
        """Possible label errors of all images, largest weight first."""
        return [] if self.predictions is None else self.predictions.issues(_LISTED)

    def ranking(self, order: str | None = None) -> list[int]:
        """All images of the project in a ranking, worst first, those without this score last; empty while none has it."""
        project, scores = self._session.project, {str(image): score for image, score in self.scores(order).items()}
        if project is None or not scores:
            return []
        return [int(image) for image in rank(scores, (str(record.id) for record in project.images))]

    def review_order(self) -> list[int]:
        """Ids in the chosen ranking, worst first, then the other images with any score: what 'next worst' goes by."""
        others = self._figures.worst_first()
        if self.order == DEFAULT_RANKING:
            return others
        scores = self.scores()
        return [*sorted(scores, key=lambda image: (-scores[image], image)), *(i for i in others if i not in scores)]

    def next_worst(self) -> None:
        """Open the unreviewed image that comes first in the chosen order; the one in view does not count."""
        if not self._session.open_unreviewed(self.review_order()):
            self._notifier.info(
                tr("All scored images are reviewed"), tr("Run the model on the folder, or evaluate it first."), replace_key="go"
            )

    # -- commands -----------------------------------------------------------------------------------------------------------

    def choose(self, order: str) -> None:
        """Let 'next worst' go by another ranking. Raises KeyError for one that does not exist."""
        order = ranking_name(order)
        project = self._session.project
        if order == self.order:
            return
        self.order = order
        if project is not None and not project.read_only:
            try:
                project.set_setting(_ORDER, order)
            except AtrousError as error:
                self._notifier.report(error, replace_key="save")
        self.orderChanged.emit(order)

    def visit(self, image: int, box: Box | None = None) -> None:
        """Open an image and show a place of it."""
        viewed = self._session.image
        if viewed is not None and viewed.id == image:
            self._awaited = None
            self.placeReached.emit(box)
        else:
            self._awaited = image, box
            self._session.open_image(image)

    def begin(self) -> None:
        """The rankings come into view: measure what is new or has changed since."""
        self._measuring.begin()
        if not self._known:
            self.measure_folder()

    def measure_folder(self) -> None:
        """Measure every image that has a prediction, in the background; what has not changed is not read again."""
        project, known = self._session.project, self.predictions
        if project is None or known is None or self._round is not None:
            return
        ids = [record.id for record in project.images if record.prediction and not record.missing]
        for image in set(known) - set(map(str, ids)):
            known.remove(image)
            self._forget_key(int(image))
        self._known = True
        if ids:
            self._round = self._measuring.start(ids, Part.RANKING, tr("Computing ranking scores"), self._finish)
        else:
            self.changed.emit()

    def remeasure(self, image: int) -> None:
        """Other pixels of an image's truth count from now on."""
        if self.predictions is not None and str(image) in self.predictions:
            self._forget_key(image)
            self._known = False

    # -- inside ----------------------------------------------------------------------------------------------------------

    def _forget_key(self, image: int) -> None:
        if self._figures.analysis is not None:
            self._figures.analysis.ranking_keys.pop(image, None)

    def _follow_measured(self, _image: int, parts: Part, _found: object) -> None:
        if Part.RANKING in parts and not self._emitting.isActive():
            self._emitting.start()

    def _finish(self, begun: Round) -> None:
        self._round = None
        self._known = self._known and not begun.stopped
        self.changed.emit()

    def _follow_project(self, project: Project | None) -> None:
        self._round, self._known, self._awaited = None, False, None
        self.order = DEFAULT_RANKING if project is None else _chosen(project.setting(_ORDER, DEFAULT_RANKING))
        if project is not None and self.predictions is not None:
            # Shown at once as they were left; what has changed since is measured when it is shown.
            for image, (_, data) in project.results(RANKING_KIND).items():
                known = read_ranking(data, project.catalog)
                if known is not None:
                    self.predictions.update(str(image), known)
        self.changed.emit()
        self.orderChanged.emit(self.order)

    def _follow_image(self, image: OpenImage | None) -> None:
        if self._session.between_images:
            return
        awaited, self._awaited = self._awaited, None
        if image is not None and awaited is not None and awaited[0] == image.id:
            self.placeReached.emit(awaited[1])

    def _follow_truth(self) -> None:
        """Other ground truth: what is shown is measured again, or read again if it was measured from the same."""
        self._known = False
        began, self._round = self._round, None
        if began is not None:
            self._measuring.leave(began)
        if began is not None or (self.predictions is not None and len(self.predictions)):
            self.measure_folder()

    def _forget_known(self) -> None:
        self._known = False


def _chosen(name: object) -> str:
    """The ranking that a project remembers; one that this version does not know counts for nothing."""
    try:
        return ranking_name(str(name))
    except KeyError:
        return DEFAULT_RANKING
