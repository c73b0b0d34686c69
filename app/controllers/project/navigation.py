"""Opening a folder, moving through its images, setting their status."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from app.controllers.annotate.edit import EditController
from app.controllers.project.health import ProjectHealth
from app.controllers.project.open_image import OpenImage, ReadParts, open_context, read_parts
from app.controllers.project.unreadable import Unreadable, UnreadableImages
from app.services.autosave import Autosaver, SaveState
from app.services.jobs import Job, JobState
from app.services.notifications import Choice
from app.services.services import Services
from app.services.settings import RecentFolders
from app.services.undo import UndoHistory
from app.state.class_choice import take_named
from app.state.data_choices import settle
from app.state.document import Document
from app.state.image_record import ImageRecord, ImageStatus
from app.state.patch import TilePatch
from app.state.project import Project
from app.state.provenance import Provenance
from app.text import displayed, tr
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.errors import AtrousError, StorageError
from deeplab_core.labels import LabelMap
from deeplab_core.records import Prediction

_LOG = logging.getLogger(__name__)
_MEGABYTE = 1024 * 1024


class ProjectController(QObject):
    """Owns the open project, its undo history and its autosaver, and the image in view.

    Signals:
        projectChanged(Project | None): another project is open.
        imageChanged(OpenImage | None): another image is in view, its document ready to be painted.
        unreadableShown(Unreadable): no image is in view, because the one that was chosen cannot be opened.
        predictionChanged(OpenImage): the image in view has another prediction.
        predictionKept(image id, Prediction): a run over the folder has predicted an image.
        recordChanged(ImageRecord): status, flags or note of one image.
        stepWritten(image id): a step was written straight to the journal of an image that is not open.
        listChanged(): images came or went.
        saveStateChanged(SaveState): for the status bar.
        opening(str): a folder is being opened; empty when that is over.
    """

    projectChanged = Signal(object)
    imageChanged = Signal(object)
    unreadableShown = Signal(object)
    predictionChanged = Signal(object)
    predictionKept = Signal(int, object)
    recordChanged = Signal(object)
    stepWritten = Signal(int)
    listChanged = Signal()
    saveStateChanged = Signal(object)
    opening = Signal(str)
    _recordReplaced = Signal(object)
    _predictionLost = Signal(object)

    def __init__(self, services: Services, edit: EditController, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._edit = edit
        self._jobs, self._notifier = services.jobs, services.notifier
        self._settings, self._context = services.settings, services.context
        self.recent = RecentFolders(services.settings)
        self.health = ProjectHealth(services, self)
        self.unreadable = UnreadableImages(services, self)
        self.project: Project | None = None
        self.image: OpenImage | None = None
        self.history: UndoHistory | None = None
        self.autosaver: Autosaver | None = None
        self._order: list[int] = []
        self._undo_elsewhere = False
        #: What was settled about ground truth and classes before the project was shown, on a thread of the pool.
        self.prepared: object = None
        self._wanted: int | None = None
        self._recordReplaced.connect(self._follow_record)
        self._predictionLost.connect(lambda record: self.health.say_lost([record]))
        edit.stepDone.connect(self._push)
        edit.refused.connect(lambda why: services.notifier.info(why, replace_key="refused"))

    # -- folders ---------------------------------------------------------------------------------------------------------

    def open(
        self, folder: Path, project_dir: Path | None = None, *, read_only: bool = False, catalog: ClassCatalog | None = None
    ) -> None:
        """Open a folder in the background; the project that is open stays until the new one is ready.

        ``catalog`` are the classes that the user named for a new project; see :func:`app.state.class_choice.take_named`.
        """
        job = self._jobs.add(Job(tr("Opening {name}", name=displayed(folder.name))))
        self.opening.emit(str(folder))

        def read() -> tuple[Project, object]:
            project = Project.open(folder, project_dir, read_only=read_only, catalog=catalog)
            try:
                if catalog is not None:
                    take_named(project, catalog)
                return project, settle(project)
            except BaseException:
                project.close()
                raise

        def done(found: tuple[Project, object]) -> None:
            project, prepared = found
            job.finish()
            self.opening.emit("")
            if not self.close():
                project.close()
            else:
                self._take(project, prepared)

        def failed(error: Exception) -> None:
            job.finish(JobState.FAILED)
            self.opening.emit("")
            again = Choice(tr("Open read-only"), lambda: self.open(folder, project_dir, read_only=True))
            choices = (again,) if not read_only and (folder / ".atrous").is_dir() else ()
            self._notifier.report_or_raise(error, choices=choices)

        self._jobs.run(read, done, failed)

    def close(self) -> bool:
        """Save everything and close the project; False where something could not be saved, and then nothing is closed."""
        project = self.project
        if project is None:
            return True
        if not self._leave(closing=True):
            return False
        project.close()
        return True

    def change_classes(self, change: Callable[[Project], object], done: Callable[[], None]) -> None:
        """Run ``change``, which gives the project other classes, while none of its images is open; then show it again.

        Documents, undo steps and figures in memory speak the old ids, so all of them are made again.
        """
        project = self.project
        if project is None or project.read_only or not self._leave():
            return
        job = self._jobs.add(Job(tr("Changing the classes"), guards_close=True))
        self.opening.emit(str(project.folder))

        def over(prepared: object = None) -> None:
            job.finish()
            self.opening.emit("")
            if self.project is None:
                self._take(project, prepared)
            else:
                project.close()  # another folder has been opened

        def changed(prepared: object) -> None:
            over(prepared)
            done()

        def failed(error: Exception) -> None:
            over()
            self._notifier.report_or_raise(error)

        self._jobs.run(lambda: change(project), changed, failed)

    def _leave(self, *, closing: bool = False) -> bool:
        """Save everything and let go of the project, which is not closed yet; whether it could be saved."""
        self._edit.set_document(None)
        if self.autosaver is not None:
            try:
                self.autosaver.flush()
            except AtrousError as error:
                if self.image is not None:
                    self._edit.set_document(self.image.document)
                self.health.say_unsaved(error)
                return False
            self.autosaver.stop()
            self.autosaver.deleteLater()
        if self.history is not None:
            self.history.close()
        if closing and self.project is not None:
            self.project.stop_upkeep()
            self._jobs.wait()  # background work must not meet a closed database
        if self.project is not None:
            self.project.record_changed.disconnect(self._announce_record)
        self.project, self.autosaver, self.image, self._wanted, self.prepared = None, None, None, None, None
        self.unreadable.leave()
        self.imageChanged.emit(None)
        self.projectChanged.emit(None)
        self._update_context()
        return True

    def rescan(self) -> None:
        """Look at the folder again."""
        project = self.project
        if project is None:
            return

        def done(_report: object) -> None:
            if project is self.project:
                self.listChanged.emit()
                sentences = project.report.sentences()
                self._notifier.info(tr("Folder rescanned"), " ".join(sentences) or tr("Nothing has changed."), replace_key="scan")

        in_use = self.ids_in_use()
        self._jobs.run(lambda: project.rescan(in_use), done, self._notifier.report_or_raise)

    def ids_in_use(self) -> frozenset[int]:
        """Images that the window shows, opens or holds work of."""
        held = () if self.autosaver is None else self.autosaver.in_memory()
        shown = (self._wanted, self._place())
        return frozenset((*held, *(image for image in shown if image is not None)))

    def save_now(self) -> None:
        """Write the mask in view at once."""
        if self.autosaver is not None:
            self.autosaver.save_now()

    def _take(self, project: Project, prepared: object) -> None:
        self.project, self.prepared = project, prepared
        self.history = UndoHistory(self, budget=self._settings["work.undo_megabytes"] * _MEGABYTE)
        self.autosaver = Autosaver(project, self, idle_ms=self._settings["work.autosave_seconds"] * 1000)
        self.history.stepPushed.connect(self.autosaver.record_step)
        self.history.stepMoved.connect(self.autosaver.record_move)
        self.history.stepDamaged.connect(self.health.drop_step)
        self.autosaver.noticed.connect(self.health.say_kept)
        self.history.changed.connect(self._update_context)
        self.autosaver.stateChanged.connect(self.saveStateChanged)
        self.autosaver.failed.connect(self.health.say_unsaved)
        self.autosaver.recovered.connect(self.health.say_recovered)
        self._edit.set_locked(project.read_only_reason)
        project.record_changed.connect(self._announce_record)
        project.kept_predictions.lost.connect(self._announce_lost)
        self.recent.remember(project.folder)
        self.projectChanged.emit(project)
        self.saveStateChanged.emit(SaveState.SAVED)
        self.health.greet(project)
        project.notices = ()
        self._update_context()
        start = project.setting("last_image")
        ids = [record.id for record in project.images]
        if ids:
            place = ids.index(start) if start in ids else 0
            self.open_image(ids[place], iter(ids[place + 1 :] + ids[:place]))

    # -- images ----------------------------------------------------------------------------------------------------------

    def open_image(self, image: int, onward: Iterator[int] | None = None) -> None:
        """Bring an image into view. Asked twice in a row, only the last one is shown.

        Args:
            onward: images to open instead, in this order, if it cannot be read; None shows what is wrong with it.
        """
        project, autosaver = self.project, self.autosaver
        if project is None or autosaver is None or image == self._wanted:
            return
        self._wanted = image
        self._edit.commit_stroke()
        held = autosaver.held(image)

        def done(found: ReadParts) -> None:
            if self._wanted == image and self.project is project:
                self._show(image, found, held)

        def failed(error: Exception) -> None:
            if self._wanted == image and self.project is project:
                self._wanted = None
                self.unreadable.meet(image, error, iter(()) if onward is None else onward)
                self._update_context()

        self._jobs.run(lambda: read_parts(project, image, labels=held is None), done, failed)

    def _show(self, image: int, found: ReadParts, held: Document | None) -> None:
        project, history, autosaver = self.project, self.history, self.autosaver
        assert project is not None
        assert history is not None
        assert autosaver is not None
        if found.loaded is not None:
            document, steps, saved = found.loaded.document, found.loaded.steps, found.loaded.saved
        else:
            assert held is not None
            document, steps, saved = held, (), False
        note = " ".join(part for part in (found.data.note, found.loaded.notice if found.loaded else "") if part)
        path = project.path_of(project.record(image))
        self.image = OpenImage(
            id=image,
            path=path,
            rgb=found.data.rgb,
            info=found.data.info,
            document=document,
            key=found.data.key,
            prediction=found.prediction,
            note=note,
            notes=found.data.notes,
            levels=found.levels,
        )
        self._edit.set_document(None)
        autosaver.watch(image, document, saved=saved)
        history.open(image, document, steps)
        self._edit.set_document(document)
        if found.loaded is not None and found.loaded.notice:
            self._notifier.warning(tr("Mask recovered from the journal"), found.loaded.notice)
        if not project.read_only:
            # On a full disk the image is shown all the same; the autosaver tells about the disk.
            with contextlib.suppress(StorageError):
                if project.record(image).failed:
                    project.set_failed(image, "")
                project.set_setting("last_image", image)
        self.health.refused = None
        self.unreadable.arrive()
        self._update_context()
        self.imageChanged.emit(self.image)

    def take_prediction(self, image: OpenImage, prediction: Prediction, labels: LabelMap) -> None:
        """Give the image in view another prediction; ``labels`` (H, W) are its classes in the project's ids."""
        image.prediction, image.document.reference = prediction, labels
        self._context.update(has_prediction=True)
        self.predictionChanged.emit(image)

    def show_unreadable(self, found: Unreadable) -> None:
        """Take the image in view away, its work saved, and say why the one that was chosen is not shown."""
        self._edit.set_document(None)
        if self.autosaver is not None:
            self.autosaver.leave()
        self.image = None
        self._update_context()
        self.imageChanged.emit(None)
        self.unreadableShown.emit(found)

    def reload_image(self, meanwhile: Callable[[], object] = lambda: None) -> None:
        """Read the image in view again, e.g. because the classes have changed; ``meanwhile`` runs while it is closed."""
        image, autosaver, history = self.image, self.autosaver, self.history
        if image is None or autosaver is None or history is None:
            return
        self._edit.set_document(None)
        try:
            autosaver.flush()
        except AtrousError as error:
            self._edit.set_document(image.document)
            self._notifier.report(error)
            return
        autosaver.leave()
        history.forget(image.id)
        self._wanted = None
        try:
            meanwhile()
        except AtrousError as error:
            self._notifier.report(error)
        self.open_image(image.id)

    def next_image(self) -> None:
        self._step(1)

    def previous_image(self) -> None:
        self._step(-1)

    def next_unreviewed(self) -> None:
        """The next image in the list that is not reviewed, around its end."""
        self._step_to(1, self._unreviewed)

    def previous_unreviewed(self) -> None:
        self._step_to(-1, self._unreviewed)

    def open_unreviewed(self, order: Iterable[int]) -> bool:
        """Open the first image of ``order`` that is neither in view nor reviewed; whether there is one."""
        current = None if self.image is None else self.image.id
        around = (image for image in order if image != current and self._unreviewed(image))
        for image in around:
            self.open_image(image, around)
            return True
        return False

    def reviewed_next(self) -> None:
        """Mark this image reviewed and go to the next one that is not."""
        if self.set_status(ImageStatus.REVIEWED):
            self.next_unreviewed()

    def toggle_reviewed(self) -> None:
        """Mark this image reviewed, or corrected again."""
        if self.image is not None and self.project is not None:
            done = self.project.record(self.image.id).status == ImageStatus.REVIEWED
            self.set_status(ImageStatus.TOUCHED if done else ImageStatus.REVIEWED)

    def accept_change(self) -> None:
        """The mask in view fits the file as it is now: no further check is needed."""
        if self.project is not None and self.image is not None:
            try:
                self.project.accept_change(self.image.id)
            except AtrousError as error:
                self._notifier.report(error)

    def set_status(self, status: ImageStatus) -> bool:
        """Say how far the image in view has come; whether that was possible."""
        if self.project is None or self.image is None:
            return False
        self._edit.commit_stroke()
        try:
            self.project.set_status(self.image.id, status)
        except AtrousError as error:
            self._notifier.report(error)
            return False
        self._update_context()
        return True

    def is_in_use(self, image: int) -> bool:
        """Whether an image is in view, is being opened, or has changes that its mask file does not hold yet."""
        held = self.autosaver is not None and self.autosaver.held(image) is not None
        return held or image == self._wanted or (self.image is not None and self.image.id == image)

    def write_step(self, image: int, title: str, patch: TilePatch, source: Provenance = Provenance.IMPORT) -> None:
        """Write a step of an image that is not open straight to the journal.

        Raises:
            AtrousError: the project cannot be written.
        """
        if self.project is None or self.history is None or patch.empty:
            return
        self.history.forget(image)  # what it remembers is older than the journal now; it is read again with the image
        self.project.append_step(image, title, source, patch)
        self.stepWritten.emit(image)

    def undo_step(self, image: int, seq: int) -> None:
        """Undo the newest step of an image that is neither open nor being saved, in the journal. Raises AtrousError."""
        if self.project is not None and self.history is not None:
            self.history.forget(image)
            self.project.journal.undo(image, seq)
            self.stepWritten.emit(image)

    def _unreviewed(self, image: int) -> bool:
        return self.project is not None and self.project.record(image).status != ImageStatus.REVIEWED

    def _place(self) -> int | None:
        """The image that 'next' goes on from: the one that is being opened, in view, or shown as unreadable."""
        if self._wanted is not None:
            return self._wanted
        if self.image is not None:
            return self.image.id
        return None if self.unreadable.shown is None else self.unreadable.shown.id

    def _step(self, direction: int) -> None:
        current, order = self._place(), self._order
        if not order:
            return
        place = order.index(current) + direction if current in order else 0
        if 0 <= place < len(order):
            onward = (order[further] for further in range(place + direction, len(order) if direction > 0 else -1, direction))
            self.open_image(order[place], onward)
        else:
            self._notifier.info(
                tr("This is the last image") if direction > 0 else tr("This is the first image"), replace_key="go"
            )

    def _step_to(self, direction: int, wanted: Callable[[int], bool]) -> None:
        order, current = self._order, self._place()
        start = order.index(current) if current in order else -1
        places = ((start + direction * step) % len(order) for step in range(1, len(order) + 1))
        around = (order[place] for place in places if order[place] != current and wanted(order[place]))
        for image in around:
            self.open_image(image, around)
            return
        self._notifier.info(tr("Every image in the list is reviewed"), tr("Export the masks with Ctrl+E."), replace_key="go")

    def set_order(self, ids: Iterable[int]) -> None:
        """The order of the list as the user sees it: 'next' and 'previous' follow it."""
        self._order = list(ids)

    def note_undo_elsewhere(self, on: bool) -> None:
        """Whether the user's last step is in another image: then undo has an answer on an image without steps, too."""
        if on != self._undo_elsewhere:
            self._undo_elsewhere = on
            self._update_context()

    # -- keeping ---------------------------------------------------------------------------------------------------------

    def _push(self, title: str, patch: object, source: object) -> None:
        if self.history is not None:
            self.history.push(title, patch, source)  # type: ignore[arg-type]

    def _announce_record(self, record: ImageRecord) -> None:
        """From any thread."""
        self._recordReplaced.emit(record)

    def _announce_lost(self, record: ImageRecord) -> None:
        """From any thread."""
        self._predictionLost.emit(record)

    def _follow_record(self, record: ImageRecord) -> None:
        if self.project is None:
            return
        if self.image is not None and record.id == self.image.id:
            self._update_context()
        self.recordChanged.emit(record)

    def _update_context(self) -> None:
        elsewhere, refused = self._undo_elsewhere, self.health.refused is not None
        self._context.update(**open_context(self.project, self.image, self.history, undo_elsewhere=elsewhere, refused=refused))
