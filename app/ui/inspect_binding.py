"""Opens the Judge view in the place of the picture and carries what is said between its pages and the program."""

from __future__ import annotations

from PySide6.QtCore import QObject

from app.controllers.program import Program
from app.ui.inspect.judge_view import JudgeView
from app.ui.main_window import MainWindow


class InspectBinding(QObject):
    """The wires between the Judge view and the program. The view is made when it is first opened.

    A new page is made and wired in :meth:`_make_view`, with one ``view.add_page(title, widget)``.

    Attributes:
        view: the Judge view, or None before it was opened.
    """

    def __init__(self, window: MainWindow, program: Program) -> None:
        super().__init__(window)
        self._window, self._program = window, program
        self.view: JudgeView | None = None
        program.inspect.viewAsked.connect(self.toggle)
        program.projects.projectChanged.connect(lambda _project: self.close())
        window.stack.currentChanged.connect(self._tell_facts)

    def toggle(self) -> None:
        """Open the view, or go back to the picture."""
        if self.view is not None and self._window.stack.currentWidget() is self.view:
            self.close()
        else:
            self.open()

    def open(self) -> None:
        """Bring the view to the front as it was left."""
        if self._program.projects.project is None:
            return
        self._program.edit.commit_stroke()
        if self.view is None:
            self.view = self._make_view()
        self._window.show_page(self.view)
        self.view.begin()

    def close(self) -> None:
        """Back to the picture; nothing happens where the view is not in front."""
        if self.view is not None and self._window.stack.currentWidget() is self.view:
            self._window.show_picture()

    def _make_view(self) -> JudgeView:
        view = JudgeView(self._window.theme)
        view.closeAsked.connect(self.close)
        self._window.themed.connect(view.set_theme)
        return view

    def _tell_facts(self) -> None:
        self._program.facts.update(judge_open=self.view is not None and self._window.stack.currentWidget() is self.view)
