"""Opens the dialogs of learning and carries the user's decisions back."""

from __future__ import annotations

from dataclasses import replace

from PySide6.QtCore import QObject

from app.controllers.adapt.learning import LearnResult
from app.controllers.workspace import Program
from app.state.corrections import Corrections
from app.ui.adapt.learn_dialog import LearnDialog
from app.ui.adapt.learn_result_dialog import LearnResultDialog
from app.ui.shell.main_window import MainWindow
from app.viewmodels.adapt.learned_view import LearnedImage, read_images


class LearnPresenter(QObject):
    """The wires between the dialogs of learning and the program.

    Attributes:
        dialog: the open comparison, or None.
    """

    def __init__(self, window: MainWindow, program: Program) -> None:
        super().__init__(window)
        self._window, self._program = window, program
        self.dialog: LearnResultDialog | None = None
        program.learn.surveyed.connect(self.ask)
        program.learn.shown.connect(self.show_result)
        program.learn.resultChanged.connect(self._follow)
        window.model.learnAsked.connect(program.learn.prepare)

    def ask(self, corrections: Corrections) -> None:
        """Ask how to learn, and begin."""
        card = self._program.models.card
        if card is None:
            return
        shown = replace(corrections, catalog=self._program.view.overlay.shown(corrections.catalog))
        dialog = LearnDialog(shown, card.name, self._window)
        if dialog.exec():
            self._program.learn.start(corrections, dialog.options())

    def show_result(self) -> None:
        """Show before and after; the figures at once, the pictures when they are read."""
        result = self._program.learn.result
        if result is None:
            return
        if self.dialog is not None:
            self.dialog.show()
            self.dialog.raise_()
            return
        catalog, report = self._program.view.overlay.shown(result.corrections.catalog), result.learned.report
        colors = {info.id: info.color for info in catalog.classes}
        rows = tuple(replace(row, color=colors.get(row.id, row.color)) for row in report.classes)
        dialog = LearnResultDialog(replace(report, classes=rows), catalog, self._window)
        dialog.acceptAsked.connect(self._program.learn.accept)
        dialog.discardAsked.connect(self._program.learn.discard)
        self.dialog = dialog
        dialog.show()

        def read() -> tuple[LearnedImage, ...]:
            return read_images(result.corrections, result.learned.pairs)

        def show(images: tuple[LearnedImage, ...]) -> None:
            if self.dialog is dialog:
                dialog.show_images(images)

        self._program.jobs.run(read, show, _raise)

    def _follow(self, result: LearnResult | None) -> None:
        if result is None and self.dialog is not None:
            dialog, self.dialog = self.dialog, None
            dialog.close()
            dialog.deleteLater()


def _raise(error: Exception) -> None:
    raise error
