"""Masks from elsewhere as the place to start from: one file for the image in view, or a folder for the whole project."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PySide6.QtCore import QObject, QTimer

from app.controllers.predict import PredictController
from app.controllers.project import ProjectController
from app.services.jobs import Job, JobRegistry, JobState
from app.services.notifications import Choice, Notifier
from app.state.image_record import ImageRecord
from app.state.patch import TilePatch, diff_patch
from app.state.project import Project
from app.state.provenance import Provenance
from app.state.wording import spaced
from deeplab_core.errors import AtrousError
from deeplab_core.formats.frames import Frame
from deeplab_core.formats.masks import read_mask
from deeplab_core.images.probe import probe_image

#: How long to leave an image alone that is being opened or saved.
_RETRY_MS = 30


@dataclass
class _Import:
    """One run over a folder of masks. ``waiting`` holds (image, mask file)."""

    project: Project
    job: Job
    waiting: deque[tuple[int, Path]]
    total: int
    frame: Frame
    done: int = 0
    kept: int = 0
    failures: list[tuple[int, str]] = field(default_factory=list)


class ImportController(QObject):
    """Verbs of importing.

    Files are read in the background, but steps are written on the window's thread, and the image in view takes its mask through
    its open document: so a person may walk through the folder meanwhile, and no document is ever older than its journal.
    """

    def __init__(
        self,
        projects: ProjectController,
        predict: PredictController,
        jobs: JobRegistry,
        notifier: Notifier,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._projects, self._predict, self._jobs, self._notifier = projects, predict, jobs, notifier
        self._run: _Import | None = None

    def start_from_file(self, path: Path, frame: Frame = "auto") -> None:
        """Replace the mask in view by a mask file, as one undoable step; ``frame`` says how the file is turned."""
        try:
            self._into_view(path, frame)
        except AtrousError as error:
            self._notifier.report(error)

    def import_masks(self, folder: Path, frame: Frame = "auto") -> None:
        """Take mask files from a folder for every image that nobody has worked on; the others keep their masks.

        Args:
            folder: searched recursively.
            frame: frame of the photographs that its masks are stored in.
        """
        from deeplab_core.datasets import find_truth

        project = self._projects.project
        if project is None or project.read_only or self._run is not None:
            return
        names = [record.relative_path for record in project.images]
        job = self._jobs.add(Job("Importing masks", self._stop, guards_close=True))

        def found(files: dict[str, Path]) -> None:
            waiting = [(record.id, files[record.relative_path]) for record in project.images if record.relative_path in files]
            self._run = _Import(project, job, deque(waiting), len(waiting), frame)
            self._next()

        def failed(error: Exception) -> None:
            job.finish(JobState.FAILED)
            self._notifier.report_or_raise(error)

        def find() -> dict[str, Path]:  # masks to work on, so predictions are welcome
            index = find_truth(
                project.folder, names, truth_folder=folder, catalog=project.catalog, allow_predicted=True
            )
            return dict(index.files)

        self._jobs.run(find, found, failed)

    def _stop(self) -> None:
        if self._run is not None:
            self._run.waiting.clear()

    def _next(self) -> None:
        run = self._run
        if run is None:
            return
        if run.project is not self._projects.project or not run.waiting:
            self._finish(run)
            return
        run.job.progress(run.total - len(run.waiting), run.total)
        image, path = run.waiting.popleft()
        if run.project.record(image).touched:
            run.kept += 1
            self._later()
        elif self._projects.in_hand(image):
            self._take_in_view(run, image, path)
        else:
            self._take_closed(run, image, path)

    def _take_in_view(self, run: _Import, image: int, path: Path) -> None:
        view = self._projects.image
        if view is None or view.id != image:
            # It is just being opened, or its mask is just being saved. The others come first.
            run.waiting.append((image, path))
            QTimer.singleShot(_RETRY_MS, self._next)
            return
        try:
            self._into_view(path, run.frame)
            run.done += 1
        except AtrousError as error:
            run.failures.append((image, str(error)))
        self._later()

    def _take_closed(self, run: _Import, image: int, path: Path) -> None:
        project = run.project

        def end(patch: TilePatch) -> None:
            if project is not self._projects.project:
                self._next()
                return
            if self._projects.in_hand(image) or project.record(image).touched:
                run.waiting.appendleft((image, path))  # somebody opened it meanwhile: decide again
            else:
                try:
                    self._projects.write_step(image, f"Import {path.name}, {spaced(patch.changed_pixels)} px", patch)
                    run.done += 1
                except AtrousError as error:
                    run.failures.append((image, str(error)))
            self._later()

        self._jobs.run(lambda: _import_patch(project, project.record(image), path, run.frame), end, self._note(run, image))

    def _note(self, run: _Import, image: int) -> Callable[[Exception], None]:
        def failed(error: Exception) -> None:
            if not isinstance(error, AtrousError):
                self._run = None
                run.job.finish(JobState.FAILED)
                raise error
            run.failures.append((image, str(error)))
            self._later()

        return failed

    def _later(self) -> None:
        """Go on from the event loop, so that a long run neither blocks the window nor grows the stack."""
        QTimer.singleShot(0, self._next)

    def _finish(self, run: _Import) -> None:
        self._run = None
        run.job.finish(JobState.CANCELLED if run.job.cancel_asked else JobState.DONE)
        failures = run.failures
        choice = Choice("Show what failed", lambda: self._predict.failuresFound.emit(failures))
        parts = []
        if run.kept:
            parts.append(f"{spaced(run.kept)} images kept the mask that somebody worked on.")
        if failures:
            parts.append(f"{spaced(len(failures))} files could not be used.")
        self._notifier.info(
            f"{spaced(run.done)} masks imported", " ".join(parts), replace_key="import", choices=(choice,) if failures else ()
        )

    def _into_view(self, path: Path, frame: Frame) -> None:
        image = self._projects.image
        if image is not None:
            labels = read_mask(path, image.document.catalog, image.info, frame=frame)
            self._predict.replace_all(labels, Provenance.IMPORT, f"Import {path.name}")


def _import_patch(project: Project, record: ImageRecord, path: Path, frame: Frame) -> TilePatch:
    """The step that makes a mask file the mask of an image.

    Raises:
        AtrousError: the file does not fit the image or the catalog.
    """
    info = probe_image(project.path_of(record))
    labels = read_mask(path, project.catalog, info, frame=frame)
    document = project.load(record.id, (info.height, info.width)).document
    return diff_patch(document.labels, document.provenance, labels, np.full_like(document.provenance, Provenance.IMPORT))
