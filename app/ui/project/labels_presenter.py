"""Shows the page of a new project, the import of labels and what came of it."""

from __future__ import annotations

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QDialog

from app.controllers.workspace import Program
from app.state.new_project import FolderLook
from app.ui.project.new_project_dialog import NewProjectDialog
from app.ui.shell.main_window import MainWindow


class LabelsPresenter(QObject):
    """Opens the dialogs about labels that come in.

    Attributes:
        dialog: the one that is open; None without one.
    """

    def __init__(self, window: MainWindow, program: Program) -> None:
        super().__init__(window)
        self._window, self._program = window, program
        self.dialog: QDialog | None = None
        program.new_project.asked.connect(self._ask_new_project)
        program.new_project.asks = True

    def _ask_new_project(self, look: FolderLook) -> None:
        new = self._program.new_project
        dialog = NewProjectDialog(new, look, self._window)
        dialog.decided.connect(lambda chosen: new.accept(look, chosen))
        self._open(dialog)

    def _open(self, dialog: QDialog) -> None:
        """Show a dialog; one that is still open makes way."""
        before, self.dialog = self.dialog, dialog
        if before is not None:
            before.reject()

        def closed() -> None:
            if self.dialog is dialog:
                self.dialog = None

        dialog.finished.connect(closed)
        dialog.open()
