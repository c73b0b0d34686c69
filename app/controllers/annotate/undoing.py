"""Undo and redo as the user meets them: what they take back, on which image, and what becomes of "reviewed" (ADR 90)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import QObject

from app.controllers.annotate.edit import EditController
from app.services.notifications import Choice
from app.services.services import Services
from app.services.session import OpenImage
from app.services.undo import Step
from app.state.image_record import ImageRecord, ImageStatus
from app.state.project import Project
from app.text import tr
from deeplab_core.errors import AtrousError, MessageText


@dataclass(frozen=True, slots=True, eq=False)
class _Done:
    """A step that the user made in this session and that is in effect."""

    image: int
    title: MessageText


class Undoing(QObject):
    """Answers undo and redo in place of the history.

    On an image that the user has not changed since the project was opened, the first undo only names what it would revert, and
    where the user's last step is. After a change of image, the first one that is carried out says where.
    """

    def __init__(
        self,
        services: Services,
        edit: EditController,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._session, self._edit, self._notifier = services.session, edit, services.notifier
        self._changed: set[int] = set()  # images that the user changed in this session
        self._done: deque[_Done] = deque(maxlen=_REMEMBERED)  # oldest first
        self._asked: int | None = None  # image on which the next undo is meant
        self._arrived = False  # whether nothing was undone since the image came into view
        self._reviewed = 0  # newest step of the image in view when it was marked reviewed
        self._unmarked: dict[int, int] = {}  # image -> its newest step when undo took the mark away
        services.session.projectChanged.connect(self._follow_project)
        services.session.imageChanged.connect(self._follow_image)
        services.session.recordChanged.connect(self._follow_record)
        services.session.listChanged.connect(self._note_elsewhere)
        edit.undoAsked.connect(self.undo)
        edit.redoAsked.connect(self.redo)

    # -- commands -----------------------------------------------------------------------------------------------------------

    def undo(self) -> None:
        """Take the last step of the image in view back, or say what that would be, or where the user's last step is."""
        self._session.end_stroke()
        history = self._session.history
        if history is None:
            return
        if not history.can_undo:
            self._say_none()
        elif self._meant():
            title = history.undo_text
            history.undo()
            self._say_where(tr("Undone in {name}", name=self._name()), title)
        else:
            self._ask(
                tr("Nothing undone yet"),
                tr("Undo"),
                tr("Undo again to revert its newest step, '{step}'.", step=history.undo_text),
                self.undo,
            )

    def redo(self) -> None:
        """Do the step again that was undone last; on an image that is not changed yet, say first what that would be."""
        history = self._session.history
        if history is None or not history.can_redo:
            return
        if self._meant():
            title = history.redo_text
            history.redo()
            self._say_where(tr("Redone in {name}", name=self._name()), title)
        else:
            self._ask(
                tr("Nothing redone yet"),
                tr("Redo"),
                tr("Redo again to repeat '{step}'.", step=history.redo_text),
                self.redo,
            )

    # -- saying ----------------------------------------------------------------------------------------------------------

    def _meant(self) -> bool:
        image = self._session.image
        return image is not None and (image.id in self._changed or image.id == self._asked)

    def _ask(self, title: str, verb: str, what: str, command: Callable[[], None]) -> None:
        image = self._session.image
        if image is None:
            return
        self._asked = image.id
        detail = tr("You have not changed {name} since the project was opened. {what}", name=self._name(), what=what)
        elsewhere = self._elsewhere()
        choices = [Choice(tr("{verb} here", verb=verb), command)]
        if elsewhere is not None:
            detail += f" {self._last_text(elsewhere)}"
            choices.append(self._way(elsewhere))
        self._notifier.info(title, detail, replace_key=_KEY, choices=tuple(choices))

    def _say_none(self) -> None:
        elsewhere, history = self._elsewhere(), self._session.history
        detail = ""
        if history is not None and history.start is not None:
            detail = tr("The first prediction stays; 'Clear mask' clears the image.")
        choices: tuple[Choice, ...] = ()
        if elsewhere is not None:
            detail = f"{detail} {self._last_text(elsewhere)}".lstrip()
            choices = (self._way(elsewhere),)
        self._notifier.info(tr("Nothing to undo in {name}", name=self._name()), detail, replace_key=_KEY, choices=choices)

    def _say_where(self, title: str, step: str) -> None:
        if self._arrived:
            self._arrived = False
            self._notifier.info(title, f"{step}.", replace_key=_KEY)

    def _last_text(self, done: _Done) -> str:
        return tr("Your last change is '{title}' in {name}.", title=tr(done.title), name=self._name(done.image))

    def _way(self, done: _Done) -> Choice:
        return Choice(tr("Go to {name}", name=self._name(done.image)), lambda: self._session.open_image(done.image))

    def _name(self, image: int | None = None) -> str:
        project, view = self._session.project, self._session.image
        image = view.id if image is None and view is not None else image
        return "" if project is None or image is None else project.record(image).shown

    def _elsewhere(self) -> _Done | None:
        """The user's last step that is not undone, where that is in another image."""
        image, project = self._session.image, self._session.project
        last = self._done[-1] if self._done else None
        if last is None or image is None or project is None or last.image == image.id:
            return None
        return last if any(record.id == last.image for record in project.images) else None

    def _note_elsewhere(self) -> None:
        """Undo has an answer also on an image without steps: where the user's last one is."""
        self._session.note_undo_elsewhere(self._elsewhere() is not None)

    # -- following -------------------------------------------------------------------------------------------------------

    def _follow_project(self, project: Project | None) -> None:
        self._changed, self._asked, self._unmarked = set(), None, {}
        self._done.clear()
        history = self._session.history
        if project is not None and history is not None:
            history.stepPushed.connect(self._follow_step)
            history.stepMoved.connect(self._follow_move)
            history.actDone.connect(self._follow_act)
            history.stepEndAsked.connect(self._session.end_stroke)
        self._note_elsewhere()

    def _follow_image(self, image: OpenImage | None) -> None:
        self._asked, self._arrived = None, image is not None
        self._reviewed = self._newest() if image is not None else 0
        self._note_elsewhere()

    def _follow_record(self, record: ImageRecord) -> None:
        image = self._session.image
        if image is not None and record.id == image.id and record.status == ImageStatus.REVIEWED:
            self._reviewed = self._newest()
            self._unmarked.pop(record.id, None)

    def _follow_step(self, image: int, step: Step) -> None:
        self._unmarked.pop(image, None)
        history = self._session.history
        if history is not None and history.start is not step:  # the first prediction comes by itself
            self._changed.add(image)
            self._done.append(_Done(image, step.title))
            self._arrived = False
            self._note_elsewhere()

    def _follow_act(self) -> None:
        image = self._session.image
        if image is not None:
            self._changed.add(image.id)
            self._arrived = False

    def _follow_move(self, image: int, step: Step, direction: int) -> None:
        self._changed.add(image)
        if direction > 0:
            self._done.append(_Done(image, step.title))
        else:  # steps of an image go the way they came
            newest = next((done for done in reversed(self._done) if done.image == image), None)
            if newest is not None:
                self._done.remove(newest)
        self._note_elsewhere()
        project = self._session.project
        if project is None or step.seq is None:
            return
        try:
            reviewed = project.record(image).status == ImageStatus.REVIEWED
            if direction < 0 and reviewed and step.seq <= self._reviewed:
                project.set_status(image, ImageStatus.TOUCHED)
                self._unmarked[image] = self._reviewed
                self._notifier.info(
                    tr("{shown} is no longer marked reviewed", shown=project.record(image).shown),
                    tr("You undid a step that was there when you marked it. Redo restores the step and the mark."),
                    replace_key="reviewed",
                )
            elif direction > 0 and self._unmarked.get(image) == step.seq:
                project.set_status(image, ImageStatus.REVIEWED)
        except AtrousError as error:
            self._notifier.report(error)

    def _newest(self) -> int:
        """Number of the newest step in effect of the image in view; 0 without one."""
        history = self._session.history
        if history is None:
            return 0
        done = (step for step in reversed(history.steps[: history.index]) if step.act is None)
        newest = next(done, None)
        return 0 if newest is None else newest.seq or 0


#: One message about undo takes another's place.
_KEY = "undo"
#: Steps of this session that are remembered in order over all images.
_REMEMBERED = 1000
