"""Jobs over the folder: one question before they begin, and the last one can be taken back as a whole."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from PySide6.QtCore import QObject, QTimer, Signal

from app.actions.facts import Facts
from app.controllers.edit import EditController
from app.controllers.project import ProjectController
from app.services.jobs import Job, JobRegistry, JobState
from app.services.notifications import Choice, Notifier
from app.services.settings import SettingsStore
from app.state.folder_plan import FolderPlan
from app.state.image_record import ImageRecord
from app.state.project import Project
from app.state.provenance import Provenance
from app.state.wording import counted
from deeplab_core.errors import AtrousError

#: Setting: ask also before jobs that change no mask.
ASK_HARMLESS = "work.ask_harmless"

#: Begins the job. The argument: do not ask again before jobs that change no mask.
Begin = Callable[[bool], None]

#: How long an image is left alone that is being opened or saved, in milliseconds.
_RETRY_MS = 30


@dataclass(slots=True)
class FolderChange:
    """What a job over the folder changes.

    Attributes:
        title: of the job, for messages.
        source: of its steps.
        message: replace key of the message that says it is over, and offers to take it back.
        steps: image -> (number that its journal had given last before the job's step, record before).
        suggested: images whose result waits as a suggestion, and which had none before.
    """

    project: Project
    title: str
    source: Provenance
    message: str
    steps: dict[int, tuple[int, ImageRecord]] = field(default_factory=dict)
    suggested: list[int] = field(default_factory=list)

    def before_step(self, image: int) -> None:
        """The job is about to change an image."""
        self.steps[image] = self.project.journal.newest(image), self.project.record(image)

    def before_suggestion(self, image: int) -> None:
        """The job is about to let a result wait beside an image's mask."""
        if not self.project.record(image).suggested:
            self.suggested.append(image)


class FolderJobs(QObject):
    """Every job over the folder begins here, and the last one of this session is remembered.

    An image is taken back if the job's step is the only one that is newer than before the job, and in effect: then nothing of the
    user's is touched. The others keep what they have.

    Attributes:
        assume: begin without a question, as ``--yes`` does on a command line: for scripts and tests.
        question: shows the plan and calls back if the user agrees; the window sets it. Without a window nothing is asked.

    Signals:
        withdrawn(image id): the suggestion of an image is gone.
    """

    withdrawn = Signal(int)

    def __init__(
        self,
        projects: ProjectController,
        edit: EditController,
        jobs: JobRegistry,
        notifier: Notifier,
        settings: SettingsStore,
        facts: Facts,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._projects, self._edit, self._jobs = projects, edit, jobs
        self._notifier, self._settings, self._facts = notifier, settings, facts
        self.assume = False
        self.question: Callable[[FolderPlan, Begin], None] | None = None
        self._last: FolderChange | None = None
        self._undoing: tuple[FolderChange, deque[int], Job] | None = None
        self._done = 0
        projects.projectChanged.connect(lambda _project: self.remember(None))

    def ask(self, plan: FolderPlan, begin: Callable[[], None]) -> None:
        """Begin a job if the user agrees to its plan, at once where there is nothing to ask."""
        if self.assume or self.question is None or (plan.harmless and not self._settings[ASK_HARMLESS]):
            begin()
            return

        def agreed(never_again: bool) -> None:
            if plan.harmless and never_again:
                self._settings.set(ASK_HARMLESS, False)
            begin()

        self.question(plan, agreed)

    def remember(self, change: FolderChange | None) -> tuple[Choice, ...]:
        """A job is over; what its message offers."""
        self._last = change if change is not None and (change.steps or change.suggested) else None
        self._facts.update(can_undo_folder=self._last is not None)
        return () if self._last is None else (Choice("Undo the job", lambda: self._undo(change)),)

    def undo(self) -> None:
        """Take the last job back."""
        self._undo(self._last)

    def _undo(self, change: FolderChange | None) -> None:
        if change is None or change is not self._last or change.project is not self._projects.project:
            return
        self.remember(None)
        self._notifier.withdraw(change.message)
        self._edit.commit_stroke()
        self._done = 0
        job = self._jobs.add(Job(f"Undoing {change.title}", guards_close=True))
        self._undoing = change, deque(change.steps), job
        for image in change.suggested:
            try:
                if change.project.record(image).suggested:
                    change.project.dismiss_suggestion(image)
                    self.withdrawn.emit(image)
            except AtrousError as error:
                self._notifier.report(error, replace_key="folder undo")
        self._next()

    def _next(self) -> None:
        if self._undoing is None:
            return
        change, waiting, job = self._undoing
        if change.project is not self._projects.project or not waiting or job.cancel_asked:
            self._finish()
            return
        job.progress(len(change.steps) - len(waiting), len(change.steps))
        image = waiting.popleft()
        view = self._projects.image
        in_view = view is not None and view.id == image
        if not in_view and self._projects.in_hand(image):
            waiting.append(image)  # it is being opened, or its mask is being saved
            QTimer.singleShot(_RETRY_MS, self, self._next)
            return
        try:
            self._done += self._take_back(change, image, in_view=in_view)
        except AtrousError as error:
            self._notifier.report(error, replace_key="folder undo")
            waiting.clear()
        QTimer.singleShot(0, self, self._next)

    def _take_back(self, change: FolderChange, image: int, *, in_view: bool) -> bool:
        """Undo the job's step of one image; False where the image has moved on."""
        project, history = change.project, self._projects.history
        before, record = change.steps[image]
        step = project.journal.only_newer(image, before, change.source)
        if step is None or history is None:
            return False
        if in_view:
            history.undo()
        else:
            self._projects.undo_step(image, step)
        if project.record(image).status != record.status:
            project.set_status(image, record.status)
        return True

    def _finish(self) -> None:
        assert self._undoing is not None
        change, _, job = self._undoing
        self._undoing = None
        job.finish(JobState.CANCELLED if job.cancel_asked else JobState.DONE)
        text = f"{counted(self._done, 'mask')} {'is' if self._done == 1 else 'are'} as before the job."
        left = len(change.steps) - self._done
        if left:
            text += f" {counted(left, 'image')} changed since then and {'stays' if left == 1 else 'stay'} as now."
        if change.suggested:
            gone = len(change.suggested)
            text += f" {counted(gone, 'suggestion')} of the job {'is' if gone == 1 else 'are'} withdrawn."
        self._notifier.info(f"{change.title} was undone", text, replace_key="folder undo")
