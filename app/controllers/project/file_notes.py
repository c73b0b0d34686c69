"""What was scaled, left out or read in an unusual way when a file was opened: in the status line, and once in the messages."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal

from app.controllers.project.navigation import ProjectController
from app.controllers.project.open_image import OpenImage
from app.services.services import Services
from app.state.mask_check import sentence
from deeplab_core.notes import Note, note_text


class FileNotes(QObject):
    """Follows the image in view.

    A fact that many images of a folder share is said once in the messages; the status line shows it for every image.

    Signals:
        changed(str, bool): the notes of the image in view, empty without any, and whether one is a warning.
    """

    changed = Signal(str, bool)

    def __init__(self, services: Services, projects: ProjectController, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._notifier = services.notifier
        self._said: set[tuple[str, str]] = set()
        projects.projectChanged.connect(lambda _project: self._said.clear())
        projects.imageChanged.connect(self._follow)

    def tell(self, name: str, thing: str, notes: tuple[Note, ...]) -> None:
        """Say the notes of a file in the messages, each kind of note once in a project.

        Args:
            name: of the file.
            thing: what it is: ``"image"``, ``"ground truth"``.
            notes: of the file.
        """
        for note in notes:
            if (thing, note.summary) in self._said:
                continue
            self._said.add((thing, note.summary))
            say = self._notifier.warning if note.warning else self._notifier.info
            say(f"{name}: this {thing} {note.summary}", f"{sentence(note.text)} This is not repeated for other files.",
                replace_key=f"{thing} {note.kind}")  # fmt: skip

    def _follow(self, image: OpenImage | None) -> None:
        notes = () if image is None else image.notes
        text = note_text(notes)
        self.changed.emit(f"{text[:1].upper()}{text[1:]}", any(note.warning for note in notes))
        if image is not None:
            self.tell(image.path.name, "image", notes)
