"""Jobs over the folder: one question before they begin, one message at their end, and the last one can be undone as a whole."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

from PySide6.QtCore import QObject, Signal

from app.services.folder_job import FolderJob, JobOptions, Steps, background, pause
from app.services.notifications import Choice
from app.services.services import Services
from app.state.image_record import ImageStatus
from app.state.project import Project
from app.state.provenance import Provenance
from app.text import english, error_sentences, joined, plural, spaced, tr
from app.viewmodels.project.folder_plan import FolderPlan, plan_undo
from deeplab_core.errors import AtrousError, StorageError
from deeplab_core.reading import convert

#: Setting of a project: the last change of a job over its folder.
_CHANGE = "folder_change"
#: Setting: ask also before jobs that change no mask.
ASK_HARMLESS = "work.ask_harmless"

#: Begins the job. The argument: do not ask again before jobs that change no mask.
Begin = Callable[[bool], None]

T = TypeVar("T")
#: Failed images that the message at the end of a job names.
_NAMED = 3


@dataclass(slots=True)
class FolderChange:
    """What a job over the folder changes.

    Attributes:
        title: of the job, for messages.
        source: of its steps.
        message: replace key of the final message, which offers to undo it.
        steps: image -> (number that its journal had given last before the job's step, status before).
        suggested: images with a result kept as a suggestion, and which had none before.
        reviewed: images of :attr:`steps` that count as reviewed at the end of the job; the user has reviewed others since.
        ended: when the job was over, Unix seconds; 0 until then, and of a job of an older version.
    """

    project: Project
    title: str
    source: Provenance
    message: str
    steps: dict[int, tuple[int, ImageStatus]] = field(default_factory=dict)
    suggested: list[int] = field(default_factory=list)
    reviewed: frozenset[int] = frozenset()
    ended: float = 0.0

    def before_step(self, image: int) -> None:
        """The job is about to change an image."""
        self.steps[image] = self.project.journal.newest(image), self.project.record(image).status

    def before_suggestion(self, image: int) -> None:
        """The job is about to let a result wait beside an image's mask."""
        if not self.project.record(image).suggested:
            self.suggested.append(image)

    def end(self) -> None:
        """The job is over."""
        self.reviewed = frozenset(image for image in self.steps if self.project.record(image).reviewed)
        self.ended = time.time()

    def keep(self) -> None:
        """Keep it with the project, in place of the one before, so that it can be undone after a restart. Raises StorageError."""
        kept = _Kept(
            title=english(self.title), source=self.source.value, message=self.message, suggested=tuple(self.suggested),
            steps=tuple((image, seq, int(status)) for image, (seq, status) in self.steps.items()),
            reviewed=tuple(sorted(self.reviewed)), ended=self.ended,
        )  # fmt: skip
        self.project.set_setting(_CHANGE, asdict(kept))

    @staticmethod
    def kept_in(project: Project) -> FolderChange | None:
        """The last change that a project keeps; None without one, or where it is damaged. Images that are gone are left out."""
        try:
            kept = convert(project.setting(_CHANGE), _Kept)
            known = {record.id for record in project.images}
            steps = {image: (seq, ImageStatus(status)) for image, seq, status in kept.steps if image in known}
            suggested = [image for image in kept.suggested if image in known]
            if not steps and not suggested:
                return None
            source, reviewed = Provenance(kept.source), frozenset(kept.reviewed)
            return FolderChange(project, tr(kept.title), source, kept.message, steps, suggested, reviewed, kept.ended)
        except ValueError:
            return None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """A change as the project keeps it: ``steps`` are (image, number, status before)."""

    title: str
    source: int
    message: str
    steps: tuple[tuple[int, int, int], ...] = ()
    suggested: tuple[int, ...] = ()
    reviewed: tuple[int, ...] = ()
    ended: float = 0.0


class FolderJobs(QObject):
    """Every job over the folder begins here, and the last one that changed something can be undone, also after a restart.

    An image is restored if the job's step is its newest one in effect, and if the user has not reviewed it since: then nothing of
    the user's is touched. The others keep what they have and are listed. That works until the next job that changes something; a
    stopped undo can be continued.

    Attributes:
        asks: whether the user is asked before a job begins; the window, which shows the question, sets it.

    Signals:
        asked(FolderPlan, Begin): the plan is to be shown; calling the second argument begins the job.
        suggested(image id, Prediction): a job has kept a result beside the user's work.
        withdrawn(image id): the suggestion of an image is gone.
        imagesListed(heading, explanation, list of (image id, why)): the user wants to see which images a message is about.
    """

    asked = Signal(object, object)
    suggested = Signal(int, object)
    withdrawn = Signal(int)
    imagesListed = Signal(str, str, object)

    def __init__(
        self,
        services: Services,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._session, self._jobs = services.session, services.jobs
        self._notifier, self._settings, self._context = services.notifier, services.settings, services.context
        self.asks = False
        self._running: list[FolderJob[Any]] = []
        self._last: FolderChange | None = None
        self._earlier: FolderChange | None = None  # the last job, if an earlier session made it
        services.session.projectChanged.connect(self._leave)

    # -- beginning and ending ------------------------------------------------------------------------------------------------

    def ask(self, plan: FolderPlan, begin: Callable[[], None]) -> None:
        """Begin a job if the user agrees to its plan, at once if there is nothing to ask."""
        if not self.asks or (plan.harmless and not self._settings[ASK_HARMLESS]):
            begin()
            return

        def agreed(never_again: bool) -> None:
            if plan.harmless and never_again:
                self._settings.set(ASK_HARMLESS, False)
            begin()

        self.asked.emit(plan, agreed)

    def start(
        self,
        project: Project,
        title: str,
        ids: Iterable[int],
        work: Callable[[int], Steps[T]],
        on_result: Callable[[int, T], object] = lambda _image, _result: None,
        *,
        in_flight: int = 1,
        resume: int = 0,
        writes: bool = False,
        shown: bool = True,
        on_failure: Callable[[int, AtrousError], object] = lambda _image, _error: None,
        on_end: Callable[[FolderJob[T]], object] = lambda _job: None,
    ) -> FolderJob[T] | None:
        """Begin a job (see :class:`FolderJob`); None, and nothing begins, if it cannot.

        A job does not begin once another project is open (a question was answered late), and one that ``writes`` masks or
        predictions does not begin in a project that is open for reading only, and ends when the project cannot be written: every
        further image would fail the same way. Each job ends when its project is closed.
        """
        if project is not self._session.project or (writes and project.read_only):
            return None

        def failed(image: int, error: AtrousError) -> None:
            on_failure(image, error)
            if writes and isinstance(error, StorageError):
                raise error

        def ended(job: FolderJob[T]) -> None:
            self._running.remove(job)
            if job.trouble is not None:
                self._notifier.report(job.trouble, replace_key="save")
            on_end(job)

        options = JobOptions(title, in_flight, resume, guards_close=writes, shown=shown)
        job = FolderJob(ids, work, on_result, project=project, jobs=self._jobs, options=options).on(failure=failed, end=ended)
        self._running.append(job)
        return job

    def say(
        self,
        job: FolderJob[Any],
        title: str,
        summary: Sequence[str],
        *,
        key: str,
        remarks: str = "",
        change: FolderChange | None = None,
    ) -> None:
        """The one message at the end of a job; none if another project is open by then.

        Args:
            title: of the job; how it ended is appended.
            summary: what it did, in clauses; failures are appended.
            key: replace key.
            remarks: sentences that follow.
            change: what it changed; the message offers to undo it.
        """
        if job.abandoned:
            return
        parts = list(summary)
        if job.failures:
            named = [job.project.record(image).shown for image in list(job.failures)[:_NAMED]]
            names = ", ".join([*named, "..."] if len(job.failures) > len(named) else named)
            parts.append(tr("{failures} failed: {names}", failures=spaced(len(job.failures)), names=names))
        choices = (*self.failures_choice(job), *self.remember(change))
        say = self._notifier.warning if job.failures else self._notifier.info
        text = joined(" ", filter(None, (joined("", (joined("; ", parts), ".")), remarks)))
        ended = tr("{title} stopped", title=title) if job.stopped else tr("{title} finished", title=title)
        say(ended, text, replace_key=key, choices=choices)

    def failures_choice(self, job: FolderJob[Any]) -> tuple[Choice, ...]:
        """The button that lists what failed; empty if nothing did."""
        if not job.failures:
            return ()
        intro = tr("The run continued with the rest. Each image is listed with the reason; 'Run folder' tries them again.")
        rows = [(image, error_sentences(error)) for image, error in job.failures.items()]
        return (Choice(tr("Show failures"), lambda: self.imagesListed.emit(tr("What failed"), intro, rows)),)

    def settled(self, image: int) -> bool:
        """Whether an image is either in view or neither being opened nor being saved."""
        view = self._session.image
        return (view is not None and view.id == image) or not self._session.is_in_use(image)

    # -- undo ------------------------------------------------------------------------------------------------------------

    def remember(self, change: FolderChange | None) -> tuple[Choice, ...]:
        """A job that may change masks is over; what its message offers. None: it changes none, and the one before stays."""
        if change is None:
            return ()
        if not (change.steps or change.suggested):
            return ()  # it changed nothing, so the one before can still be undone
        change.end()
        self._set_last(change)
        return (Choice(tr("Undo folder job"), lambda: self._undo(change)),)

    def undo(self) -> None:
        """Undo the last job; one of an earlier session, which no message names, is named first, and the user asked."""
        change = self._last
        if change is not None and change is self._earlier:
            plan = plan_undo(change.title, change.ended, len(change.steps), len(change.suggested))
            self.ask(plan, lambda: self._undo(change))
        else:
            self._undo(change)

    def _set_last(self, change: FolderChange | None) -> None:
        self._last = change
        self._context.update(can_undo_folder=change is not None)
        if change is not None:
            self._keep(change.keep)

    def _keep(self, write: Callable[[], object]) -> None:
        """Change what the project keeps; where that fails, the job can be undone in this session all the same."""
        try:
            write()
        except AtrousError as error:
            self._notifier.report(error, replace_key="save")

    def _leave(self, project: Project | None) -> None:
        """Another project, or none."""
        for job in tuple(self._running):
            if job.project is not project:
                job.abandon()
        if self._last is not None and self._last.message:
            self._notifier.withdraw(self._last.message)  # its button is about the project as it was open
        self._last = self._earlier = None if project is None or project.read_only else FolderChange.kept_in(project)
        self._context.update(can_undo_folder=self._last is not None)

    def _undo(self, change: FolderChange | None) -> None:
        if change is None or change is not self._last or change.project is not self._session.project:
            return
        self._set_last(None)
        self._notifier.withdraw(change.message)
        self._session.end_stroke()
        for image in change.suggested:
            try:
                if change.project.record(image).suggested:
                    change.project.dismiss_suggestion(image)
                    self.withdrawn.emit(image)
            except AtrousError as error:
                self._notifier.report(error, replace_key="folder undo")
        stays: list[int] = []

        def restore(image: int) -> Steps[bool]:
            while not self.settled(image):
                yield from pause()
            yield from background(lambda: _check_step(change, image))
            while not self.settled(image):
                yield from pause()
            return self._restore(change, image)

        def restored(image: int, done: bool) -> None:
            if not done:
                stays.append(image)

        self.start(
            change.project, tr("Undoing {title}", title=change.title), tuple(change.steps), restore, restored, writes=True,
            on_end=partial(self._say_undone, change, stays),
        )  # fmt: skip

    def _restore(self, change: FolderChange, image: int) -> bool:
        """Undo the job's step of one image; False if the image has moved on. Raises AtrousError, e.g. for a damaged step."""
        project, history, view = change.project, self._session.history, self._session.image
        before, status = change.steps[image]
        if view is not None and view.id == image:
            self._session.end_stroke()  # a stroke in it is newer than the job
        step = project.journal.only_newer(image, before, change.source)
        if step is None or history is None or (project.record(image).reviewed and image not in change.reviewed):
            return False
        if view is not None and view.id == image:
            if not history.can_undo:
                return False
            damage = history.undo()
            if damage is not None:
                raise damage
        else:
            self._session.undo_step(image, step)
        if project.record(image).status != status:
            project.set_status(image, status)
        return True

    def _say_undone(self, change: FolderChange, stays: list[int], job: FolderJob[bool]) -> None:
        if job.abandoned:
            return
        left = [*((image, tr("The undo ended before this image.")) for image in job.left)]
        rows = [*((image, tr("It has changed since the job.")) for image in stays), *left]
        rows += [(image, error_sentences(error)) for image, error in job.failures.items()]
        done = len(change.steps) - len(rows)
        # A damaged step stays damaged, and a full disk does not: only then it is worth another try.
        undone_not = (*job.left, *(image for image, error in job.failures.items() if isinstance(error, StorageError)))
        if not undone_not and self._last is None:  # until here, also where the program ends before the undo does
            self._keep(partial(change.project.drop_setting, _CHANGE))
        if undone_not and self._last is None:
            again = {image: change.steps[image] for image in undone_not}
            self._set_last(replace(change, steps=again, suggested=[]))
        sentences = [plural("{n} mask is as before the job.", "{n} masks are as before the job.", done)]
        if stays:
            sentences.append(
                plural(
                    "{n} image changed since then and stays unchanged.",
                    "{n} images changed since then and stay unchanged.",
                    len(stays),
                )
            )
        if left:
            sentences.append(
                plural(
                    "{n} image was not reached and stays unchanged.",
                    "{n} images were not reached and stay unchanged.",
                    len(left),
                )
            )
        if change.suggested:
            withdrawn = len(change.suggested)
            sentences.append(
                plural("{n} suggestion of the job is withdrawn.", "{n} suggestions of the job are withdrawn.", withdrawn)
            )
        text = joined(" ", sentences)
        intro = tr("Every other image is as it was before the job.")
        show = Choice(tr("Show unchanged images"), lambda: self.imagesListed.emit(tr("What stays as it is"), intro, rows))
        self._notifier.info(
            tr("{title} was undone", title=change.title), text, replace_key="folder undo", choices=(show,) if rows else ()
        )


def _check_step(change: FolderChange, image: int) -> None:
    """On a thread of the pool. Raises ProjectError if the job's step of an image cannot be undone, because it is damaged."""
    journal = change.project.journal
    step = journal.only_newer(image, change.steps[image][0], change.source)
    if step is not None:
        journal.check_undo(image, step)
