"""What happens when the image that is to be opened cannot be: skipped on the way, shown as such when it was chosen."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from PySide6.QtCore import QObject, Signal

from app.controllers.project.health import ProjectHealth
from app.services.notifications import Choice
from app.services.services import Services
from app.services.session import Unreadable
from app.state.project import MaskRefused
from app.state.store import DamagedStore, RemovedStore
from app.text import error_detail, tr
from deeplab_core.errors import AtrousError, StorageError


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
            error: why; what is no AtrousError is a bug and raised.
            onward: ids of the images that would come next; empty if this very image was chosen.
        """
        project = self._session.project
        if project is None or not isinstance(error, AtrousError) or isinstance(error, DamagedStore | RemovedStore):
            self._notifier.report_or_raise(error)  # the project, not the image
            return
        if not project.read_only:
            with contextlib.suppress(StorageError):  # on a full disk the window still shows what is wrong
                project.set_failed(image, str(error))
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
        named = ", ".join(one.name for one in passed[:3]) + (
            tr(" and {passed} more", passed=len(passed) - 3) if len(passed) > 3 else ""
        )
        detail = tr("{named}. The list shows the reason of each; type 'failed' into its filter to see them all.", named=named)
        title = tr("{passed} images that cannot be read were skipped", passed=len(passed))
        self._notifier.warning(title, detail, replace_key="unreadable", choices=(show,))

    def leave(self) -> None:
        """The project is closed."""
        self._session.unreadable = None
        self._passed.clear()

    def _show(self, found: Unreadable) -> None:
        self._passed.clear()
        self._session.unreadable = found
        self.imageRefused.emit(found)
