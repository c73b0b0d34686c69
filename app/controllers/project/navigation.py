"""Opening a folder, moving through its images, setting their status."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from app.controllers.annotate.edit import EditController
from app.controllers.project.health import ProjectHealth, UnreadableImages
from app.services.allocator import collection_paused
from app.services.autosave import Autosaver, SaveState
from app.services.jobs import Job, JobState
from app.services.notifications import Choice
from app.services.read_ahead import MOST_PIXELS, ReadAhead
from app.services.services import Services
from app.services.session import OpenImage, ReadParts, Unreadable, read_parts
from app.services.settings import RecentFolders
from app.services.undo import UndoHistory
from app.state.class_choice import take_named
from app.state.data_choices import settle
from app.state.document import Document
from app.state.image_record import ImageRecord, ImageStatus
from app.state.opening import DIRECTORY_NAME
from app.state.project import Project
from app.text import displayed, tr
from app.viewmodels.project.image_list import around, beside
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.errors import AtrousError, MessageText, StorageError, join_messages


class ProjectController(QObject):
    """Opens and closes folders, brings images into view, and sets their status. What is open is in the :class:`Session`.

    Signals:
        saveStateChanged(SaveState): for the status bar.
        opening(str): a folder is being opened; empty when that is over.
    """

    saveStateChanged = Signal(object)
    opening = Signal(str)
    _recordReplaced = Signal(object)
    _predictionLost = Signal(object)

    def __init__(self, services: Services, edit: EditController, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session, self._edit = services.session, edit
        self._jobs, self._notifier = services.jobs, services.notifier
        self._settings, self._context = services.settings, services.context
        self.recent = RecentFolders(services.settings)
        self.health = ProjectHealth(services)
        self.unreadable = UnreadableImages(services, self.health, self)
        self._order: list[int] = []
        self._coming: dict[Path, list[Callable[[Project], object]]] = {}
        self._wanted: Path | None = None
        self._changing: Project | None = None
        self._likely: Callable[[], int | None] = lambda: beside(self._order, self._place(), 1)
        self._ahead = ReadAhead(services.jobs, lambda: self._likely())
        self._recordReplaced.connect(self._follow_record)
        self._predictionLost.connect(lambda record: self.health.say_lost([record]))
        self.health.reopenAsked.connect(self._reopen)
        self.unreadable.imageRefused.connect(self._show_unreadable)
        self.unreadable.nextAsked.connect(self.next_image)
        self._session.imageAsked.connect(self.open_image)
        self._session.reloadAsked.connect(self._reload_image)
        self._session.classChangeAsked.connect(self._change_classes)
        self._session.undoElsewhereChanged.connect(self._update_context)
        edit.stepDone.connect(self._push)
        edit.refused.connect(lambda why: services.notifier.info(why, replace_key="refused"))

    # -- folders ---------------------------------------------------------------------------------------------------------

    def open(
        self, folder: Path, project_dir: Path | None = None, *, read_only: bool = False, catalog: ClassCatalog | None = None,
        begin: Callable[[Project], object] = settle, then: Callable[[Project], object] = lambda _project: None,
    ) -> None:  # fmt: skip
        """Open a folder in the background; the project that is open stays until the new one is ready.

        The open project itself is only looked through again, and one on its way is not opened twice: each holds its lock. Of
        several folders the one asked for last is shown.

        ``catalog`` are the classes that the user named for a new project; see :func:`app.state.class_choice.take_named`.
        ``begin`` settles ground truth and classes on a thread of the pool; ``then`` gets the project once it is shown.
        """
        directory = Path(os.path.realpath(folder / DIRECTORY_NAME if project_dir is None else project_dir))
        if not read_only and catalog is None and self._has_open(directory, then):
            return
        self._coming[directory], self._wanted = [then], directory
        job = self._jobs.add(Job(tr("Opening {name}", name=displayed(folder.name))))
        self.opening.emit(str(folder))

        def read() -> tuple[Project, object]:
            project = collection_paused()(Project.open)(folder, project_dir, read_only=read_only, catalog=catalog)
            try:
                if catalog is not None:
                    take_named(project, catalog)
                return project, begin(project)
            except BaseException:
                project.close()
                raise

        def done(found: tuple[Project, object]) -> None:
            project, prepared = found
            awaited = self._arrived(directory)
            job.finish()
            if self._wanted != directory or not self.close():
                project.close()
            else:
                self._take(project, prepared)
                for told in awaited:
                    told(project)

        def failed(error: Exception) -> None:
            self._arrived(directory)
            if self._wanted == directory:
                self._wanted = next(reversed(self._coming), None)
            job.finish(JobState.FAILED)
            again = Choice(tr("Open read-only"), lambda: self.open(folder, project_dir, read_only=True))
            self._notifier.report_or_raise(error, choices=(again,) if not read_only and (folder / ".atrous").is_dir() else ())

        self._jobs.run(read, done, failed)

    def _has_open(self, directory: Path, then: Callable[[Project], object]) -> bool:
        """Whether a project can be shown without opening it: it is open, is on its way, or its classes are being changed."""
        if directory in self._coming:
            self._coming[directory].append(then)
            self._wanted = directory
            return True
        project = self._session.project or self._changing
        if project is None or project.read_only or Path(os.path.realpath(project.directory)) != directory:
            return False
        self._wanted = directory  # others on their way come too late
        self.opening.emit("")
        if project is self._session.project:
            self.rescan()
            then(project)
        return True

    def _arrived(self, directory: Path) -> list[Callable[[Project], object]]:
        """A project is there, or will not come; those that wait for it."""
        if self._wanted == directory:
            self.opening.emit("")
        return self._coming.pop(directory, [])

    def close(self) -> bool:
        """Save everything and close the project; False where something could not be saved, and then nothing is closed."""
        project = self._session.project
        if project is None:
            return True
        if not self._leave(closing=True):
            return False
        project.close()
        return True

    def _reopen(self) -> None:
        """Close the project and open its folder again, which sets a damaged database aside and rebuilds it."""
        project = self._session.project
        if project is not None and self.close():
            own = project.directory == project.folder / DIRECTORY_NAME
            self.open(project.folder, None if own else project.directory)

    def _change_classes(
        self, change: Callable[[Project], object], done: Callable[[], None], refused: Callable[[], object]
    ) -> None:
        """See :meth:`Session.change_classes`."""
        project = self._session.project
        if project is None or project.read_only or not self._leave():
            refused()
            return
        self._changing = project
        job = self._jobs.add(Job(tr("Changing the classes"), guards_close=True))
        self.opening.emit(str(project.folder))

        def over(then: Callable[[], object], prepared: object = None) -> None:
            self._changing = None
            job.finish()
            self.opening.emit("")
            if self._session.project is None:
                self._take(project, prepared)
            else:
                project.close()  # another folder has been opened
            then()

        def failed(error: Exception) -> None:
            over(refused)
            self._notifier.report_or_raise(error)

        self._jobs.run(lambda: change(project), lambda prepared: over(done, prepared), failed)

    def _leave(self, *, closing: bool = False) -> bool:
        """Save everything and let go of the project, which is not closed yet; whether it could be saved."""
        self._edit.set_document(None)
        if self._session.autosaver is not None:
            try:
                self._session.autosaver.flush()
            except AtrousError as error:
                if self._session.image is not None:
                    self._edit.set_document(self._session.image.document)
                self.health.say_unsaved(error)
                return False
            self._session.autosaver.stop()
            self._session.autosaver.deleteLater()
        if self._session.history is not None:
            self._session.history.close()
        self._session.leaving.emit()
        if closing and self._session.project is not None:
            self._session.project.stop_upkeep()
            self._jobs.wait()  # background work must not meet a closed database
        if self._session.project is not None:
            self._session.project.record_changed.disconnect(self._announce_record)
        self._session.forget()
        self._ahead.forget()
        self.unreadable.leave()
        self._session.imageChanged.emit(None)
        self._session.projectChanged.emit(None)
        self._update_context()
        return True

    def rescan(self) -> None:
        """Look at the folder again."""
        project = self._session.project
        if project is None:
            return

        def done(_report: object) -> None:
            if project is self._session.project:
                self._session.listChanged.emit()
                found = tr(join_messages(project.report.sentences())) or tr("Nothing has changed.")
                self._notifier.info(tr("Folder rescanned"), found, replace_key="scan")

        in_use = self._session.ids_in_use()
        self._jobs.run(lambda: collection_paused()(project.rescan)(in_use), done, self._notifier.report_or_raise)

    def save_now(self) -> None:
        """Write the mask in view at once."""
        if self._session.autosaver is not None:
            self._session.autosaver.save_now()

    def _take(self, project: Project, prepared: object) -> None:
        self._session.project, self._session.prepared = project, prepared
        self._session.history = UndoHistory(self, budget=self._settings["work.undo_megabytes"] << 20)
        self._session.autosaver = Autosaver(project, self, idle_ms=self._settings["work.autosave_seconds"] * 1000)
        self._session.history.stepPushed.connect(self._session.autosaver.record_step)
        self._session.history.stepMoved.connect(self._session.autosaver.record_move)
        self._session.history.stepDamaged.connect(self.health.drop_step)
        self._session.autosaver.noticed.connect(self.health.say_kept)
        self._session.history.changed.connect(self._update_context)
        self._session.autosaver.stateChanged.connect(self.saveStateChanged)
        self._session.autosaver.failed.connect(self.health.say_unsaved)
        self._session.autosaver.recovered.connect(self.health.say_recovered)
        self._edit.set_locked(None if project.read_only_reason is None else tr(project.read_only_reason))
        project.record_changed.connect(self._announce_record)
        project.kept_predictions.lost.connect(self._announce_lost)
        self.recent.remember(project.folder)
        self._session.projectChanged.emit(project)
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
        """See :meth:`Session.open_image`."""
        project, autosaver = self._session.project, self._session.autosaver
        if project is None or autosaver is None or image == self._session.opening:
            return
        self._session.opening = image
        self._edit.commit_stroke()
        if self._session.image is not None and self._session.image.document.labels.size > MOST_PIXELS:
            self._clear_view()  # two of this size take more memory than the window should (ADR 172)
        unsaved = autosaver.held(image)

        def done(found: ReadParts) -> None:
            if self._session.opening == image and self._session.project is project:
                self._show(image, found, unsaved)

        def failed(error: Exception) -> None:
            if self._session.opening == image and self._session.project is project:
                self._session.opening = None
                self.unreadable.meet(image, error, iter(()) if onward is None else onward)
                self._update_context()

        self._jobs.run(lambda: read_parts(project, image, self._ahead, labels=unsaved is None), done, failed)

    def _show(self, image: int, found: ReadParts, unsaved: Document | None) -> None:
        project, history, autosaver = self._session.project, self._session.history, self._session.autosaver
        assert project is not None
        assert history is not None
        assert autosaver is not None
        if found.loaded is not None:
            document, steps, saved = found.loaded.document, found.loaded.steps, found.loaded.saved
        else:
            assert unsaved is not None
            document, steps, saved = unsaved, (), False
        data = found.pixels.data
        note = tr(join_messages([data.note, found.loaded.notice if found.loaded else ""]))
        self._session.image = OpenImage(
            id=image,
            path=project.path_of(project.record(image)),
            rgb=data.rgb,
            info=data.info,
            document=document,
            key=data.key,
            prediction=found.pixels.prediction,
            note=note,
            notes=data.notes,
            levels=found.pixels.levels,
        )
        self._ahead.follow(project, image, found.pixels)
        self._edit.set_document(None)
        autosaver.watch(image, document, saved=saved)
        history.open(image, document, steps)
        history.keep_only(autosaver.images)  # any other image is read again, with its steps
        self._edit.set_document(document)
        if found.loaded is not None and found.loaded.notice:
            self._notifier.warning(tr("Mask recovered from the journal"), tr(found.loaded.notice))
        if not project.read_only:
            # On a full disk the image is shown all the same; the autosaver tells about the disk.
            with contextlib.suppress(StorageError):
                if project.record(image).failed:
                    project.set_failed(image, "")
                project.set_setting("last_image", image)
        self.health.refused = None
        self.unreadable.arrive()
        self._update_context()
        self._session.imageChanged.emit(self._session.image)

    def _clear_view(self) -> None:
        self._edit.set_document(None)
        self._session.leave_image()
        self._update_context()
        self._session.announce_left()

    def _show_unreadable(self, found: Unreadable) -> None:
        """Take the image in view away, and say why the one that was chosen is not shown."""
        self._clear_view()
        self._session.unreadableShown.emit(found)

    def _reload_image(self, work: Callable[[], object]) -> None:
        """See :meth:`Session.reload_image`."""
        image, autosaver, history = self._session.image, self._session.autosaver, self._session.history
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
        self._session.opening = None
        try:
            work()
        except AtrousError as error:
            self._notifier.report(error)
        self.open_image(image.id)

    def next_image(self) -> None:
        self._step(1)

    def previous_image(self) -> None:
        self._step(-1)

    def next_unreviewed(self) -> None:
        """The next image in the list that is not reviewed, around its end."""
        self._step_to(1, self._session.is_unreviewed)

    def next_undecided(self) -> bool:
        """Open the next image in the list that is neither reviewed nor rejected, not around its end; whether there is one."""
        current, order = self._place(), self._order
        later = order[order.index(current) + 1 :] if current in order else order
        onward = iter([image for image in later if self._session.is_unreviewed(image)])
        image = next(onward, None)
        if image is not None:
            self.open_image(image, onward)
        return image is not None

    def previous_unreviewed(self) -> None:
        self._step_to(-1, self._session.is_unreviewed)

    def reviewed_next(self) -> None:
        """Mark this image reviewed and go to the next one that is not."""
        if self.set_status(ImageStatus.REVIEWED):
            self.next_unreviewed()

    def toggle_reviewed(self) -> None:
        """Mark this image reviewed, or corrected again."""
        if self._session.image is not None and self._session.project is not None:
            done = self._session.project.record(self._session.image.id).reviewed
            self.set_status(ImageStatus.TOUCHED if done else ImageStatus.REVIEWED)

    def accept_change(self) -> None:
        """The mask in view fits the file as it is now: no further check is needed."""
        if self._session.project is not None and self._session.image is not None:
            try:
                self._session.project.accept_change(self._session.image.id)
            except AtrousError as error:
                self._notifier.report(error)

    def set_status(self, status: ImageStatus) -> bool:
        """Say how far the image in view has come; whether that was possible."""
        if self._session.project is None or self._session.image is None:
            return False
        self._edit.commit_stroke()
        try:
            self._session.project.set_status(self._session.image.id, status)
        except AtrousError as error:
            self._notifier.report(error)
            return False
        self._update_context()
        return True

    def _place(self) -> int | None:
        """The image that 'next' goes on from: the one that is being opened, in view, or shown as unreadable."""
        if self._session.opening is not None:
            return self._session.opening
        if self._session.image is not None:
            return self._session.image.id
        return None if self._session.unreadable is None else self._session.unreadable.id

    def _step(self, direction: int) -> None:
        current, order = self._place(), self._order
        self._likely = lambda: beside(self._order, self._place(), direction)
        if not order:
            return
        place = order.index(current) + direction if current in order else 0
        if 0 <= place < len(order):
            onward = (order[further] for further in range(place + direction, len(order) if direction > 0 else -1, direction))
            self.open_image(order[place], onward)
        else:
            end = tr("This is the last image") if direction > 0 else tr("This is the first image")
            self._notifier.info(end, replace_key="go")

    def _step_to(self, direction: int, wanted: Callable[[int], bool]) -> None:
        self._likely = lambda: next(around(self._order, self._place(), direction, wanted), None)
        for image in (others := around(self._order, self._place(), direction, wanted)):
            self.open_image(image, others)
            return
        self._notifier.info(tr("Every image in the list is reviewed"), tr("Export the masks with Ctrl+E."), replace_key="go")

    @property
    def order(self) -> Sequence[int]:
        """Images as the list shows them."""
        return self._order

    def set_order(self, ids: Iterable[int]) -> None:
        """The order of the list as the user sees it: 'next' and 'previous' follow it."""
        self._order = list(ids)

    # -- keeping ---------------------------------------------------------------------------------------------------------

    def _push(self, title: MessageText, patch: object, source: object) -> None:
        if self._session.history is not None:
            self._session.history.push(title, patch, source)  # type: ignore[arg-type]

    def _announce_record(self, record: ImageRecord) -> None:
        """From any thread."""
        self._recordReplaced.emit(record)

    def _announce_lost(self, record: ImageRecord) -> None:
        """From any thread."""
        self._predictionLost.emit(record)

    def _follow_record(self, record: ImageRecord) -> None:
        if self._session.project is None:
            return
        if self._session.image is not None and record.id == self._session.image.id:
            self._update_context()
        self._session.recordChanged.emit(record)

    def _update_context(self) -> None:
        project, image, history = self._session.project, self._session.image, self._session.history
        writable = project is not None and not project.read_only
        record = project.record(image.id) if project is not None and image is not None else None
        editable = writable and image is not None and history is not None
        self._context.update(
            project_open=project is not None,
            project_writable=writable,
            has_images=bool(project is not None and project.images),
            image_open=image is not None,
            can_edit=writable and image is not None,
            can_undo=editable and history is not None and (history.can_undo or self._session.undo_elsewhere),
            can_redo=editable and history is not None and history.can_redo,
            can_start_over=writable and (image is not None or self.health.refused is not None),
            reviewed=record is not None and record.reviewed,
            rejected=record is not None and record.rejected,
            to_check=writable and record is not None and record.to_check,
        )
