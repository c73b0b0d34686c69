"""How much an operation on components would change in the images of a list or folder, counted while its number changes."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, Signal

from app.controllers.project.folder_jobs import FolderJobs
from app.services.folder_job import FolderJob, background
from app.services.services import Services
from app.services.timers import single_shot
from app.state.document import Document
from app.state.edits.limits import EditLimits
from app.state.edits.proposal import job_patch
from app.state.project import Project
from app.text import tr
from app.viewmodels.annotate.component_jobs import ListCount
from deeplab_core.correction.jobs import ComponentJob

#: An operation that is worked out on every image begins to be counted so long after its number was changed, ms.
_RESTING_MS = 250
#: So many counts of other numbers are remembered.
_REMEMBERED = 16


@dataclass(frozen=True, slots=True, eq=False)
class _ImageCount:
    """One image.

    Attributes:
        sizes: px of its islands or holes, rising, for counts of any number; None where one number is counted.
        pieces, pixels: what changes, if that is counted for one number.
    """

    sizes: NDArray[np.int64] | None = None
    pieces: int = 0
    pixels: int = 0


@dataclass(slots=True)
class _Count:
    """A count of one operation, finished or under way."""

    ids: tuple[int, ...]
    found: list[_ImageCount] = field(default_factory=list)


class ComponentCounts(QObject):
    """Counts one operation at a time.

    Islands and holes are measured once in each image, so that every further number is answered at once. Other operations are
    worked out on every image, again for every number, when it has rested.

    Signals:
        changed(): more is counted.
    """

    changed = Signal()

    def __init__(self, services: Services, folder_jobs: FolderJobs, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session, self._folder_jobs = services.session, folder_jobs
        self._question: tuple[Project, ComponentJob, EditLimits] | None = None
        self._key: tuple[object, ...] = ()
        self._counts: dict[tuple[object, ...], _Count] = {}
        self._running: FolderJob[_ImageCount] | None = None
        self._soon = single_shot(self, _RESTING_MS, self._begin)

    def ask(self, project: Project, job: ComponentJob, ids: tuple[int, ...], limits: EditLimits) -> None:
        """Count an operation over some images; what was asked before is stopped."""
        measured = job.operation in ("drop islands", "fill holes") and limits.none
        key = (job.operation, job.cls, ids, None if measured else job.px, limits.over)
        self._question = project, job, limits
        if key == self._key:
            return
        self._stop()
        self._key = key
        known = self._counts.get(key)
        if known is not None and len(known.found) == len(ids):
            return
        self._counts = dict(list(self._counts.items())[1 - _REMEMBERED :]) | {key: _Count(ids)}
        if measured:
            self._begin()
        else:
            self._soon.start()

    def result(self) -> ListCount | None:
        """What is counted so far; None if nothing was asked."""
        count = self._counts.get(self._key)
        if count is None or self._question is None:
            return None
        _, job, _ = self._question
        pieces = pixels = images = 0
        for found in count.found:
            some, px = found.pieces, found.pixels
            if found.sizes is not None:
                some = int(np.searchsorted(found.sizes, job.px, "left" if job.operation == "drop islands" else "right"))
                px = int(found.sizes[:some].sum())
            pieces, pixels, images = pieces + some, pixels + px, images + (px > 0)
        return ListCount(pieces, pixels, images, len(count.found), len(count.ids))

    def end(self) -> None:
        """Nothing is asked any more; labels may be others the next time."""
        self._stop()
        self._question, self._key = None, ()
        self._counts.clear()

    def _stop(self) -> None:
        self._soon.stop()
        running, self._running = self._running, None
        if running is not None:
            running.cancel()

    def _begin(self) -> None:
        if self._question is None:
            return
        project, job, limits = self._question
        count = self._counts[self._key]
        measured = self._key[3] is None

        def look(image: int) -> _ImageCount:
            view = self._session.image
            document = view.document if view is not None and view.id == image else project.load(image).document
            return measured_count(document, job) if measured else exact_count(document, job, limits)

        def take(_image: int, found: _ImageCount) -> None:
            count.found.append(found)
            self.changed.emit()

        title = tr("Counting islands") if job.operation == "drop islands" else tr("Counting changes")
        self._running = self._folder_jobs.start(project, title, count.ids, lambda image: background(lambda: look(image)), take)


def measured_count(document: Document, job: ComponentJob) -> _ImageCount:
    """Sizes of the islands or holes of an image; for another thread."""
    from deeplab_core.correction.components import component_sizes, hole_sizes

    if job.operation == "drop islands":
        return _ImageCount(component_sizes(document.labels, job.cls, document.catalog.ignore))
    assert job.cls is not None  # ComponentJob sees to it
    return _ImageCount(hole_sizes(document.labels, job.cls))


def exact_count(document: Document, job: ComponentJob, limits: EditLimits) -> _ImageCount:
    """What an operation changes in an image, as a job over the folder would; for another thread."""
    patch, _ = job_patch(document, job, limits)
    pieces = 0
    if job.operation in ("drop islands", "fill holes", "keep largest") and not patch.empty:
        from deeplab_core.correction.components import count_pieces

        after = document.labels.copy()
        for place, labels, _ in patch.after_tiles():
            after[place.slices] = labels
        pieces = count_pieces(document.labels, after)
    return _ImageCount(None, pieces, patch.changed_pixels)
