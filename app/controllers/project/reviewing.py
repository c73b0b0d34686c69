"""What the user says about images: rejected and why, notes about places of them. Statuses are the navigation's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from time import time

from PySide6.QtCore import QObject, Signal

from app.controllers.annotate.next_errors import NextErrors
from app.controllers.project.navigation import ProjectController
from app.services.services import Services
from app.services.session import OpenImage
from app.state.project import Project
from app.state.reviews import RegionNote
from app.text import tr
from deeplab_core.errors import AtrousError, MessageText, message
from deeplab_core.geometry import Box


@dataclass(frozen=True, slots=True)
class ListedNote:
    """A note in a list: the image's id, the note's place among those of the image, and the note."""

    image: int
    place: int
    note: RegionNote


class ReviewController(QObject):
    """Rejects images and keeps notes. Both are saved at once; changes of notes are undo steps of their image.

    Signals:
        rejectAsked(): ask why the image in view is rejected.
        noteAsked(Box | None): ask for the text of a note about this place of the image in view, or about all of it.
        listAsked(): show the notes of the folder.
        progressAsked(): show the work of each day.
        filterAsked(): the keyboard goes to the filter of the images.
        notesChanged(image id): reason or notes of an image are others.
        placeReached(Box | None): the image of a note is in view; show this place of it.
    """

    rejectAsked = Signal()
    noteAsked = Signal(object)
    listAsked = Signal()
    filterAsked = Signal()
    progressAsked = Signal()
    notesChanged = Signal(int)
    placeReached = Signal(object)

    def __init__(
        self, services: Services, projects: ProjectController, errors: NextErrors, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._session, self._notifier, self._context = services.session, services.notifier, services.context
        self._projects, self._errors = projects, errors
        self._pointer: tuple[int, int] | None = None
        self._awaited: ListedNote | None = None
        services.session.projectChanged.connect(self._follow_project)
        services.session.imageChanged.connect(self._follow_image)

    # -- rejecting -------------------------------------------------------------------------------------------------------

    def reject(self) -> None:
        """Reject the image in view, or take that back."""
        project, image = self._session.project, self._session.image
        if project is None or image is None:
            return
        if not project.record(image.id).rejected:
            self.rejectAsked.emit()
            return
        try:
            record = project.reviews.take_back(image.id)
        except AtrousError as error:
            self._notifier.report(error)
            return
        self._notifier.info(tr("{name} is no longer rejected", name=record.shown), replace_key="reviewed")

    def reject_as(self, why: str) -> None:
        """Reject the image in view for a reason, which may be empty, and go to the next image that is not decided."""
        project, image = self._session.project, self._session.image
        if project is None or image is None:
            return
        self._session.end_stroke()
        try:
            project.keep_key(image.id, image.key)  # by its content the image is found again under another name
            record = project.reviews.reject(image.id, why)
        except AtrousError as error:
            self._notifier.report(error)
            return
        self._notifier.info(
            tr("{name} is rejected", name=record.shown),
            tr("Its labels stay; exports leave them out unless you choose otherwise."),
            replace_key="reviewed",
        )
        self._projects.next_unreviewed()

    def why(self) -> str:
        """The reason that the image in view was rejected for last; empty without one."""
        project, image = self._session.project, self._session.image
        return "" if project is None or image is None else project.reviews.of(image.id).why

    def reasons(self) -> list[str]:
        """Reasons of the project that are offered again, newest first."""
        return [] if self._session.project is None else self._session.project.reviews.reasons()

    # -- notes -----------------------------------------------------------------------------------------------------------

    def hover(self, x: int | None, y: int | None) -> None:
        """Where the pointer is, image px; None outside."""
        self._pointer = None if x is None or y is None else (x, y)

    def ask_note(self) -> None:
        """Write a note: about the error that is shown, else about the pixel under the pointer, else about the image."""
        image = self._session.image
        if image is None:
            return
        error = self._errors.current
        height, width = image.document.shape
        if error is not None:
            self.noteAsked.emit(error.box)
        elif self._pointer is not None and Box(0, 0, width, height).holds(Box(*self._pointer, 1, 1)):
            self.noteAsked.emit(Box(*self._pointer, 1, 1))
        else:
            self.noteAsked.emit(None)

    def show_notes(self) -> None:
        """Show the notes of the folder."""
        self.listAsked.emit()

    def show_progress(self) -> None:
        """Show what was done on each day."""
        self.progressAsked.emit()

    def ask_filter(self) -> None:
        """Let the user type a filter of the images."""
        self.filterAsked.emit()

    def notes(self) -> Sequence[RegionNote]:
        """Notes of the image in view."""
        project, image = self._session.project, self._session.image
        return () if project is None or image is None else project.reviews.of(image.id).notes

    def all_notes(self) -> list[ListedNote]:
        """Notes of all images, in the order of the images' names."""
        project = self._session.project
        if project is None:
            return []
        noted = set(project.reviews.noted())
        return [
            ListedNote(record.id, place, note)
            for record in project.images
            if record.id in noted
            for place, note in enumerate(project.reviews.of(record.id).notes)
        ]

    def add_note(self, text: str, box: Box | None) -> None:
        """Write a note about a place of the image in view; one undo step. An empty text is no note."""
        if text.strip():
            self._change(message("Note: {text}", text=_short(text)), (*self.notes(), RegionNote(text, box, time())))

    def change_note(self, place: int, text: str) -> None:
        """Give a note of the image in view another text; an empty one deletes it. One undo step."""
        notes = list(self.notes())
        if not 0 <= place < len(notes) or text == notes[place].text:
            return
        if not text.strip():
            self.delete_note(place)
            return
        notes[place] = replace(notes[place], text=text, time=time())
        self._change(message("Change a note: {text}", text=_short(text)), notes)

    def delete_note(self, place: int) -> None:
        """Delete a note of the image in view; one undo step."""
        notes = list(self.notes())
        if 0 <= place < len(notes):
            gone = notes.pop(place)
            self._change(message("Delete a note: {text}", text=_short(gone.text)), notes)

    def go_to(self, listed: ListedNote) -> None:
        """Open the image of a note, at its place."""
        image = self._session.image
        if image is not None and image.id == listed.image:
            self.placeReached.emit(listed.note.box)
        else:
            self._awaited = listed
            self._session.open_image(listed.image)

    def _change(self, title: MessageText, notes: Sequence[RegionNote]) -> None:
        project, image, history = self._session.project, self._session.image, self._session.history
        if project is None or image is None or history is None:
            return
        self._session.end_stroke()
        before, after = tuple(self.notes()), tuple(notes)
        if not self._keep(project, image.id, after):
            return
        project.keep_key(image.id, image.key)
        history.push_act(title, lambda way: self._keep(project, image.id, after if way > 0 else before))

    def _keep(self, project: Project, image: int, notes: Sequence[RegionNote]) -> bool:
        try:
            project.reviews.set_notes(image, notes)
        except AtrousError as error:
            self._notifier.report(error, replace_key="save")
            return False
        return True

    # -- following -------------------------------------------------------------------------------------------------------

    def _follow_project(self, project: Project | None) -> None:
        self._awaited, self._pointer = None, None
        if project is not None:
            project.reviews.changed.connect(self._announce)

    def _announce(self, image: int) -> None:
        self.notesChanged.emit(image)

    def _follow_image(self, image: OpenImage | None) -> None:
        if self._session.between_images:
            return
        awaited, self._awaited = self._awaited, None
        if awaited is not None and image is not None and image.id == awaited.image:
            self.placeReached.emit(awaited.note.box)


def _short(text: str) -> str:
    """The beginning of a note, for the list of steps."""
    line = " ".join(text.split())
    return line if len(line) <= 40 else line[:39] + "\N{HORIZONTAL ELLIPSIS}"
