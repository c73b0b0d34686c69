"""What the window says and offers about the files of the open project: repaired, removed, damaged, not copied."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.services.jobs import JobRegistry
from app.services.notifications import Choice, Notifier
from app.state.opening import DIRECTORY_NAME
from app.state.project import Project
from app.state.store import DamagedStore, RemovedStore
from deeplab_core.errors import AtrousError, StorageError

if TYPE_CHECKING:
    from app.controllers.project import ProjectController


class ProjectHealth:
    """Looks after the files of the project that is open in the window."""

    def __init__(self, projects: ProjectController, jobs: JobRegistry, notifier: Notifier) -> None:
        self._projects, self._jobs, self._notifier = projects, jobs, notifier

    def greet(self, project: Project) -> None:
        """Say what was found when a project was opened, and do the work of the day in the background."""
        if project.notices:
            say = self._notifier.warning if project.repairs else self._notifier.info
            say("Since your last visit", " ".join(project.notices), replace_key="notices")

        def failed(error: Exception) -> None:
            if project is self._projects.project:
                if isinstance(error, StorageError) and not isinstance(error, RemovedStore):
                    self._notifier.report(error, replace_key="daily copy")
                else:
                    self.report(error)

        self._jobs.run(project.upkeep, lambda _: None, failed, long=True)

    def report(self, error: Exception, *, replace_key: str = "", choices: tuple[Choice, ...] = ()) -> None:
        """Say an error with the remedy that the window has for it; raise what is no handled error."""
        if isinstance(error, RemovedStore):
            choices = (Choice("Write the project again", self.write_again), *choices)
            replace_key = "save"
        elif isinstance(error, DamagedStore):
            choices = (Choice("Open the folder again", self.open_again), *choices)
        self._notifier.report_or_raise(error, replace_key=replace_key, choices=choices)

    def say_unsaved(self, error: AtrousError) -> None:
        """Something is in memory only."""
        retry = Choice("Try again", lambda: self._projects.autosaver.retry() if self._projects.autosaver else None)
        self.report(error, replace_key="save", choices=(retry,))

    def say_recovered(self) -> None:
        """Everything that was in memory only is on disk."""
        self._notifier.withdraw("save")
        self._notifier.info("Everything is saved again", replace_key="saved again")

    def write_again(self) -> None:
        """Write a project again that was removed or replaced, with everything that is still in memory."""
        project = self._projects.project
        if project is None:
            return

        def done(lost: tuple[str, ...]) -> None:
            if project is not self._projects.project or self._projects.autosaver is None:
                return
            kept = self._projects.autosaver.save_again()
            gone = [path for path in lost if path not in {project.record(image).relative_path for image in kept}]
            if not gone:
                self._notifier.info("The project was written again", f"It is in {project.directory}.", replace_key="written")
                return
            more = f" and {len(gone) - 5} more" if len(gone) > 5 else ""
            self._notifier.warning(
                "The project was written again, but some masks are lost",
                f"Their files went with the old folder, and the journal does not reach back far enough:"
                f" {', '.join(gone[:5])}{more}.",
                replace_key="written",
            )

        self._jobs.run(project.write_again, done, self.report)

    def open_again(self) -> None:
        """Close the project and open its folder again, which sets a damaged database aside and rebuilds it."""
        project = self._projects.project
        if project is not None and self._projects.close():
            own = project.directory == project.folder / DIRECTORY_NAME
            self._projects.open(project.folder, None if own else project.directory)
