"""What the window says and offers about files: repaired, removed or damaged ones of the project, images that cannot be read."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence

from PySide6.QtCore import QObject, Signal

from app.paths import is_sample_project
from app.services.notifications import Choice
from app.services.services import Services
from app.services.session import Unreadable
from app.services.undo import Step
from app.state.data_choices import settle
from app.state.image_record import ImageRecord
from app.state.project import MaskRefused, Project
from app.state.saved_masks import START_OVER, USE_MASK
from app.state.store import DamagedStore, RemovedStore
from app.text import error_detail, mark, plural, tr
from deeplab_core.errors import AtrousError, ProjectError, StorageError, error_text, join_messages
from deeplab_core.wording import clause, name_some


class UnreadableImages(QObject):
    """Decides what is opened or shown instead of an image that cannot be.

    Signals:
        imageRefused(Unreadable): show this in place of a picture.
        nextAsked(): open the next image.
    """

    imageRefused = Signal(object)
    nextAsked = Signal()

    def __init__(self, services: Services, health: ProjectHealth, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session, self._health, self._notifier = services.session, health, services.notifier
        self._passed: list[Unreadable] = []

    def meet(self, image: int, error: Exception, onward: Iterator[int]) -> None:
        """An image could not be opened.

        Args:
            error: why; what is not an AtrousError is a bug and raised.
            onward: ids of the images that would come next; empty if this very image was chosen.
        """
        project = self._session.project
        if project is None or not isinstance(error, AtrousError) or isinstance(error, DamagedStore | RemovedStore):
            self._notifier.report_or_raise(error)  # the project, not the image
            return
        if not project.read_only:
            with contextlib.suppress(StorageError):  # on a full disk the window still shows what is wrong
                project.set_failed(image, error_text(error))
        found = Unreadable(image, project.record(image).shown, tr(error.what), error_detail(error))
        if isinstance(error, MaskRefused):  # the user's work is concerned: never passed by
            self._show(found)
            choices = (*self._health.ways_out(image, error), Choice(tr("Next image"), self.nextAsked.emit))
            self._notifier.report(error, choices=choices)
            return
        following = next(onward, None)
        if following is None:
            self._show(found)
        else:
            self._passed.append(found)
            self._session.open_image(following, onward)

    def note(self, image: int, why: str) -> None:
        """The list could not show an image small, because its file cannot be read: it says why."""
        project = self._session.project
        if project is None or project.read_only or project.record(image).failed or project.record(image).missing:
            return
        with contextlib.suppress(StorageError):
            project.set_failed(image, why)

    def arrive(self) -> None:
        """An image is in view: say which ones were stepped over on the way."""
        self._session.unreadable = None
        passed, self._passed = self._passed, []
        if not passed:
            return
        first = passed[0]
        show = Choice(tr("Show"), lambda: self._session.open_image(first.id))
        if len(passed) == 1:
            title = tr("{name} was skipped: {what}", name=first.name, what=first.what)
            self._notifier.warning(title, first.detail, replace_key="unreadable", choices=(show,))
            return
        named = name_some([one.name for one in passed], 3)
        detail = tr("{named}. The list shows the reason of each; type 'failed' into its filter to see them all.", named=named)
        title = plural("{n} unreadable image was skipped", "{n} unreadable images were skipped", len(passed))
        self._notifier.warning(title, detail, replace_key="unreadable", choices=(show,))

    def leave(self) -> None:
        """The project is closed."""
        self._session.unreadable = None
        self._passed.clear()

    def _show(self, found: Unreadable) -> None:
        self._passed.clear()
        self._session.unreadable = found
        self.imageRefused.emit(found)


_RUN_AGAIN = mark("Run the model on them again to restore them; masks and corrections are not affected.")


class ProjectHealth(QObject):
    """Looks after the files of the project that is open in the window.

    Attributes:
        refused: the image that was to be opened last but its labels cannot be put together; None while another one is in view.

    Signals:
        reopenAsked(): close the project and open its folder again.
    """

    reopenAsked = Signal()

    def __init__(self, services: Services, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session, self._jobs, self._notifier = services.session, services.jobs, services.notifier
        self._lost: list[str] = []
        self.refused: int | None = None
        services.notifier.offer(RemovedStore, Choice(tr("Write the project again"), self.write_again), replace_key="save")
        services.notifier.offer(DamagedStore, Choice(tr("Reopen the folder"), self.reopenAsked.emit), replace_key="damaged")

    def greet(self, project: Project) -> None:
        """Say what was found when a project was opened, and do the work of the day in the background."""
        self._lost, self.refused = [], None
        repairs = [notice for notice in project.notices if notice in project.repairs]
        if repairs:  # stays until it is closed: it may say what is lost
            self._notifier.error(tr("The project was repaired"), tr(join_messages(repairs)), replace_key="repairs")
        rest = [notice for notice in project.notices if notice not in project.repairs]
        if rest and not is_sample_project(project.folder):  # a new user did not make that folder
            self._notifier.info(tr("About this folder"), tr(join_messages(rest)), replace_key="notices")

        def failed(error: Exception) -> None:
            if project is self._session.project:
                self._notifier.report_or_raise(error, replace_key="daily copy")

        def checked(lost: tuple[ImageRecord, ...]) -> None:
            if project is self._session.project:
                self.say_lost(lost)

        self._jobs.run(project.check_predictions, checked, failed)
        self._jobs.run(project.upkeep, lambda _: None, failed, long=True)

    def say_lost(self, records: Sequence[ImageRecord]) -> None:
        """Kept predictions turned out to be gone or damaged."""
        self._lost += [record.relative_path for record in records]
        if not records:
            return
        if len(self._lost) == 1:
            self._notifier.warning(
                tr("{name}: prediction lost", name=records[0].name),
                tr(records[0].note or _RUN_AGAIN),
                replace_key="lost predictions",
            )
            return
        named = name_some(self._lost, 3)
        self._notifier.warning(
            plural("The prediction of {n} image is lost", "The predictions of {n} images are lost", len(self._lost)),
            tr("Their files are gone or damaged: {named}. {then}", named=named, then=tr(_RUN_AGAIN)),
            replace_key="lost predictions",
        )

    def ways_out(self, image: int, error: Exception) -> tuple[Choice, ...]:
        """What can be done about an image with labels that cannot be put together."""
        project = self._session.project
        if project is None or project.read_only or not isinstance(error, MaskRefused):
            return ()
        self.refused = image

        def decide(decision: Callable[[int], object]) -> None:
            def work() -> None:
                try:
                    project.load(image)  # the message may be old: what can be read by now is only opened
                except MaskRefused:
                    decision(image)

            def done(_nothing: None) -> None:
                if project is not self._session.project:
                    return
                if project.catalog is not classes:  # the mask brought classes: what the window shows is made again
                    self._session.change_classes(settle, lambda: self._session.open_image(image))
                else:
                    self._session.open_image(image)

            classes = project.catalog

            if project is self._session.project and not self._session.is_in_use(image):
                self._jobs.run(work, done, self._notifier.report_or_raise)

        choices = [Choice(START_OVER, lambda: decide(project.start_over))]
        if error.usable:
            choices.insert(0, Choice(USE_MASK, lambda: decide(project.take_mask)))
        return tuple(choices)

    def to_start_over(self) -> int | None:
        """The image that :meth:`start_over` is about: the refused one, else the one in view."""
        view = self._session.image
        return self.refused if self.refused is not None or view is None else view.id

    def start_over(self) -> None:
        """Forget labels, steps and status of an image and open it as a new one; its mask file is set aside."""
        project, image, view = self._session.project, self.to_start_over(), self._session.image
        if project is None or image is None or project.read_only:
            return
        if view is not None and view.id == image:
            self._session.reload_image(lambda: project.start_over(image))
        elif not self._session.is_in_use(image):
            opened = self._session.open_image
            self._jobs.run(lambda: project.start_over(image), lambda _: opened(image), self._notifier.report_or_raise)

    def drop_step(self, image: int, step: Step, error: ProjectError) -> None:
        """A damaged step could not be undone or done again: take it out of the journal's history too."""
        project = self._session.project
        if project is not None and step.seq is not None:
            # Where the disk refuses, the step is found again when the image is opened.
            with contextlib.suppress(AtrousError):
                project.journal.retire(image, step.seq)
        self._notifier.warning(
            tr("A damaged step was removed from the history"),
            tr(
                "'{title}': {reason}. The mask and all other steps are kept, but undo and redo stop there.",
                title=step.title,
                reason=clause(error.why),
            ),
            replace_key="damaged step",
        )

    def say_kept(self, _image: int, text: str) -> None:
        """A save found a file in a mask's place that it must not replace."""
        self._notifier.warning(tr("A mask file was set aside"), tr(text), replace_key="kept aside")

    def say_unsaved(self, error: AtrousError) -> None:
        """Something is in memory only."""
        retry = Choice(tr("Try again"), lambda: self._session.autosaver.retry() if self._session.autosaver else None)
        self._notifier.report(error, replace_key="save", choices=(retry,))

    def say_recovered(self) -> None:
        """Everything that was in memory only is on disk."""
        self._notifier.withdraw("save")
        self._notifier.info(tr("Everything is saved again"), replace_key="saved again")

    def write_again(self) -> None:
        """Write a project again that was removed or replaced, with everything that is still in memory."""
        project, autosaver = self._session.project, self._session.autosaver
        if project is None or autosaver is None:
            return
        in_memory = autosaver.in_memory()

        def done(gone: tuple[str, ...]) -> None:
            if autosaver is not self._session.autosaver:
                return
            autosaver.save_again(in_memory)
            if not gone:
                self._notifier.info(
                    tr("The project was written again"),
                    tr("It is in {directory}.", directory=project.directory),
                    replace_key="written",
                )
                return
            self._notifier.warning(
                tr("The project was written again, but some masks are lost"),
                tr(
                    "Their files were lost with the old folder, and the journal does not reach back far enough: {names}.",
                    names=name_some(gone, 5),
                ),
                replace_key="written",
            )

        self._jobs.run(lambda: project.write_again(in_memory), done, self._notifier.report_or_raise)
