"""More like this: the images of the folder in the order of how alike the model's encoder finds them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from PySide6.QtCore import QObject, Signal

from app.controllers.predict.models import ModelsController
from app.controllers.project.folder_jobs import FolderJobs
from app.services.folder_job import FolderJob, Steps, answer, background
from app.services.services import Services
from app.state.project import Project
from app.text import tr
from app.worker.messages import NORMAL, URGENT
from app.worker.similar_messages import Embed
from deeplab_core.analysis.similarity import Vectors, from_bytes, most_similar, to_bytes
from deeplab_core.geometry import Box
from deeplab_core.records import ModelCard

#: Kind of the project's results that holds the vectors of an image; a new number where they mean something else than before.
_KIND, _VERSION = "features", 2


@dataclass(frozen=True, slots=True)
class SimilarQuery:
    """What the images are compared with.

    Attributes:
        image: its id.
        region: a part of it, in image pixels; None for the whole.
    """

    image: int
    region: Box | None = None


class SimilarImages(QObject):
    """Features of all images are computed once for a model, in a job that can be stopped, and kept with the project.

    Attributes:
        query: what was asked for last.
        found: (image id, similarity -1..1), the most similar first; the image itself is left out.

    Signals:
        shown(): a new question: show the answer, which grows.
        changed(): more images are known.
    """

    shown = Signal()
    changed = Signal()

    def __init__(
        self,
        services: Services,
        models: ModelsController,
        folder_jobs: FolderJobs,
        region: Callable[[], tuple[int, Box] | None],
        parent: QObject | None = None,
    ) -> None:
        """Connect; ``region`` gives image id and box of a part of an image that is meant, or None."""
        super().__init__(parent)
        self._session, self._models, self._folder_jobs, self._region = services.session, models, folder_jobs, region
        self._compute, self._jobs, self._notifier = services.compute, services.jobs, services.notifier
        self._report = partial(services.notifier.report_or_raise, replace_key="similar")
        self._job: FolderJob[None] | None = None
        self._card_id = ""
        self.query: SimilarQuery | None = None
        self.found: list[tuple[int, float]] = []
        services.session.projectChanged.connect(lambda _project: self._forget())
        models.cardChanged.connect(self._change_model)

    @property
    def running(self) -> bool:
        """Whether features are being computed."""
        return self._job is not None

    def begin(self) -> None:
        """Order the folder by similarity to the image in view, or to the part of it that is meant."""
        project, image, card = self._session.project, self._session.image, self._models.card
        if project is None or image is None or card is None:
            return
        if self._job is not None:
            self._job.cancel()
        part = self._region()
        region = part[1] if part is not None and part[0] == image.id else None
        query = self.query = SimilarQuery(image.id, region)
        self.found, self._card_id = [], card.id
        images = [image.id, *(record.id for record in project.images if not record.missing and record.id != image.id)]
        vectors: dict[int, Vectors] = {}
        target: list[Vectors] = []
        self._job = self._folder_jobs.start(
            project, tr("More like this"), images, lambda one: self._visit(project, card.id, query, one, vectors, target),
            on_end=lambda job: self._finish(query, job, vectors, target),
        )  # fmt: skip
        self.shown.emit()

    def stop(self, _result: int = 0) -> None:
        """Stop; what is known is shown. The argument is that of a dialog that was closed."""
        if self._job is not None:
            self._job.cancel()

    def open_image(self, image: int) -> None:
        """Bring an image of the list into view."""
        self._session.open_image(image)

    def _visit(
        self, project: Project, card_id: str, query: SimilarQuery, image: int, known: dict[int, Vectors], target: list[Vectors]
    ) -> Steps[None]:
        """The vectors of an image: kept ones, or from the compute process."""
        path = str(project.path_of(project.record(image)))
        key, kept = yield from background(lambda: _read(project, card_id, image))
        if kept is None:
            found = yield from answer(lambda: self._compute.submit(Embed(priority=NORMAL, image=path, source_key=key)))
            if found.card_id != card_id:
                self._leave(query)
                return
            kept = found.vectors
            data = to_bytes(kept)
            yield from background(lambda: project.put_result(image, _KIND, _stamp(card_id, key), data))
        if image == query.image:
            target.append(kept)
            if query.region is not None:
                part = yield from answer(
                    lambda: self._compute.submit(Embed(priority=URGENT, image=path, source_key=key, region=query.region))
                )
                if part.card_id != card_id:
                    self._leave(query)
                    return
                target[0] = part.vectors
        else:
            known[image] = kept

    def _finish(self, query: SimilarQuery, job: FolderJob[None], known: dict[int, Vectors], target: list[Vectors]) -> None:
        if self.query is query:
            self._job = None
        if job.abandoned or self.query is not query:
            return
        if job.failures:
            self._notifier.report(next(iter(job.failures.values())), replace_key="similar")

        def done(found: list[tuple[int, float]]) -> None:
            if self.query is query:
                self.found = found
                self.changed.emit()

        if target:
            self._jobs.run(lambda: most_similar(target[0], known, of_region=query.region is not None), done, self._report)
        else:
            self.changed.emit()

    def _change_model(self, card: ModelCard | None) -> None:
        if self.query is not None and (card is None or card.id != self._card_id):
            self._leave(self.query)

    def _leave(self, query: SimilarQuery) -> None:
        """Features of another model cannot be compared with those so far."""
        if self._job is None or self.query is not query or self._job.stopped:
            return
        self._job.cancel()
        self._notifier.info(
            tr("More like this was stopped"),
            tr("Another model is in use. Choose More like this again to compare with that model."),
            replace_key="similar",
        )

    def _forget(self) -> None:
        self._job = self.query = None
        self.found = []
        self.changed.emit()


def _stamp(card_id: str, key: str) -> str:
    return f"{_VERSION} {card_id} {key}"


def _read(project: Project, card_id: str, image: int) -> tuple[str, Vectors | None]:
    """Content key of an image, and the vectors that are kept of it for this model."""
    key = project.content_key(image)
    kept = project.result(image, _KIND)
    return key, from_bytes(kept[1]) if kept is not None and kept[0] == _stamp(card_id, key) else None
