"""Shows what the user says about images: dialogs for reasons and notes, and the marks of notes over the picture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QObject, QTimer
from PySide6.QtWidgets import QFileDialog

from app.controllers.workspace import Program
from app.text import displayed, tr
from app.ui.canvas.canvas_area import CanvasArea
from app.ui.canvas.note_marks import NoteMarks
from app.ui.common.text_dialog import TextDialog
from app.ui.project.notes_dialog import NotesDialog
from app.ui.project.progress_dialog import ProgressDialog
from app.ui.shell.main_window import MainWindow
from app.viewmodels.project.notes import place_text
from app.viewmodels.project.review_table import ReviewedImage, days_csv, images_csv
from deeplab_core.atomic import atomic_write, refuse_picture
from deeplab_core.errors import AtrousError
from deeplab_core.geometry import Box

#: A note about a smaller place is shown with so much around it, in parts of the place, and px at least.
_AROUND, _LEAST = 1.0, 60


class ReviewPresenter(QObject):
    """The wires between the reviews of the program and the window."""

    def __init__(self, window: MainWindow, program: Program, canvas: CanvasArea) -> None:
        super().__init__(window)
        self._window, self._program, self._canvas = window, program, canvas
        self._dialog: NotesDialog | None = None
        reviewing = program.reviewing
        reviewing.rejectAsked.connect(self._ask_reason)
        reviewing.noteAsked.connect(self._ask_note)
        reviewing.listAsked.connect(self._show_notes)
        reviewing.filterAsked.connect(window.images.open_filter)
        reviewing.notesChanged.connect(lambda _image: self._show_marks())
        reviewing.placeReached.connect(self._show_place)
        program.session.imageChanged.connect(lambda _image: self._show_marks())
        canvas.hovered.connect(reviewing.hover)
        window.used.connect(program.activity.sign)
        reviewing.progressAsked.connect(self._show_progress)

    def _ask_reason(self) -> None:
        reviewing, image, project = self._program.reviewing, self._program.session.image, self._program.session.project
        if image is None or project is None:
            return
        dialog = TextDialog(
            tr("Reject the image"),
            tr("Why is {name} rejected? The reason may be left empty.", name=project.record(image.id).shown),
            text=reviewing.why(),
            offered=reviewing.reasons(),
            go=tr("Reject"),
            empty=True,
            parent=self._window,
        )
        if dialog.exec():
            reviewing.reject_as(dialog.text)

    def _ask_note(self, box: Box | None) -> None:
        dialog = TextDialog(tr("Write a note"), tr("Place: {place}.", place=place_text(box)), go=tr("Write"), parent=self._window)
        if dialog.exec():
            self._program.reviewing.add_note(dialog.text, box)

    def _show_notes(self) -> None:
        """The list stays open beside the picture."""
        if self._dialog is None:
            self._dialog = NotesDialog(self._program.reviewing, self._program.session, self._window)
            self._dialog.destroyed.connect(self._end_list)
        self._dialog.show()
        self._dialog.activateWindow()

    def _end_list(self) -> None:
        self._dialog = None

    def _show_progress(self) -> None:
        """Show the work of each day, and write it where the user wants it."""
        days = self._program.activity.days()
        dialog = ProgressDialog(days, self._window)
        dialog.imagesAsked.connect(lambda: self._save("images.csv", lambda: images_csv(self._reviewed())))
        dialog.daysAsked.connect(lambda: self._save("days.csv", lambda: days_csv(days)))
        dialog.exec()

    def _reviewed(self) -> list[ReviewedImage]:
        project = self._program.session.project
        if project is None:
            return []
        rows = self._window.images.model.rows
        return [ReviewedImage(row, project.reviews.of(row.id), project.activity.of(row.id)) for row in rows]

    def _save(self, name: str, make: Callable[[], bytes]) -> None:
        project = self._program.session.project
        if project is None:
            return
        start = str(project.folder.parent / f"{project.folder.name}_{name}")
        path, _ = QFileDialog.getSaveFileName(self._window, tr("Save as CSV"), start, tr("CSV (*.csv)"))
        if path:
            self.save_table(Path(path), make)

    def save_table(self, path: Path, make: Callable[[], bytes]) -> None:
        """Write a table; a photograph or mask of this name stays."""
        try:
            refuse_picture(path)
            atomic_write(path, make())
        except AtrousError as error:
            self._program.notifier.report(error, replace_key="save")
            return
        self._program.notifier.info(tr("{name} is saved", name=displayed(path.name)), replace_key="table")

    def _show_marks(self) -> None:
        self._canvas.set_notes(NoteMarks(self._program.reviewing.notes()))

    def _show_place(self, box: Box | None) -> None:
        self._window.show_picture()

        def show() -> None:
            """After the picture has its size."""
            if box is None:
                self._program.view.fit()
            else:
                margin = max(_AROUND, _LEAST / max(box.width, box.height))
                self._program.view.show_region(box.x, box.y, box.width, box.height, margin)

        QTimer.singleShot(0, self, show)
