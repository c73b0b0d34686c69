"""Connects the page of two runs with the program: what is compared, its rows, its pictures, and the way to each error."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, Qt, QTimer
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QFileDialog, QFrame, QHBoxLayout, QPushButton

from app.controllers.compare.export import ENDINGS
from app.controllers.evaluate.cutouts import CutoutCache, CutoutSource
from app.controllers.workspace import Program
from app.services.timers import single_shot
from app.state.project import Project
from app.state.run_sides import RunSide
from app.text import mark, plural, tr
from app.ui.canvas.canvas_area import CanvasArea
from app.ui.canvas.error_outline import ErrorOutline
from app.ui.common.choice_dialog import FolderQuestion
from app.ui.common.elided_label import ElidedLabel
from app.ui.common.text_dialog import TextDialog
from app.ui.evaluate.components_page import ComponentTile, cutout_image
from app.ui.evaluate.evaluation_view import EvaluationView
from app.ui.evaluate.run_page import RunPage
from app.ui.shell.action_builder import ActionBuilder
from app.ui.shell.main_window import MainWindow
from app.viewmodels.evaluate.error_list import ErrorNavigation
from app.viewmodels.evaluate.run_changes import change_rows, error_label, lost_text, summary
from app.viewmodels.project.folder_plan import FolderPlan
from deeplab_core.analysis.components import ErrorComponent
from deeplab_core.analysis.outline import outline

#: Title of the page.
TITLE = mark("Runs")
#: Pause before changed figures are shown.
_SOON_MS = 50


class VisitBar(QFrame):
    """Above the picture while an error of the difference is open."""

    def __init__(self, actions: ActionBuilder) -> None:
        super().__init__()
        self.setObjectName("errorBar")
        row = QHBoxLayout(self)
        row.setContentsMargins(12, 4, 6, 4)
        row.setSpacing(4)
        self.text = ElidedLabel(Qt.TextElideMode.ElideRight)
        self.to_list = QPushButton(tr("Back to the list"))
        self.end = QPushButton(tr("Done"))
        self.end.setProperty("link", True)
        for button in (self.to_list, self.end):
            button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        row.addWidget(self.text, 1)
        for action_id in ("inspect.previous", "inspect.next"):
            row.addWidget(actions.tool_button(action_id))
        row.addWidget(self.to_list)
        row.addWidget(self.end)
        self.hide()


class RunPresenter(QObject):
    """The wires of the page; made with the view.

    Attributes:
        page: the page.
        bar: above the picture while an error is open.
    """

    def __init__(self, window: MainWindow, program: Program, view: EvaluationView, canvas: CanvasArea) -> None:
        super().__init__(view)
        self._window, self._program, self._view, self._canvas = window, program, view, canvas
        self._sources = {fixed: CutoutCache(program.services, partial(self._source, fixed), self) for fixed in (True, False)}
        self.page = RunPage(window.theme, self._picture)
        self.bar = VisitBar(window.commands)
        window.add_bar(self.bar)
        view.add_page(tr(TITLE), self.page)
        changes = program.changes
        self._shown: object = None
        self._listed: object = None
        self._soon = single_shot(self, _SOON_MS, self.refresh)
        changes.changed.connect(self._refresh_soon)
        changes.visitChanged.connect(self._show_visit)
        changes.placeFound.connect(self._show_place)
        program.inspect.navigationChanged.connect(self._leave_visit)
        program.compare.modelsChanged.connect(self._refresh_soon)
        for cache in self._sources.values():
            cache.ready.connect(self.page.refresh)
        self.page.startAsked.connect(changes.start)
        self.page.stopAsked.connect(changes.stop)
        self.page.keepAsked.connect(self._keep)
        self.page.exportAsked.connect(self._export)
        self.page.takeInAsked.connect(self._take_in)
        self.page.removeLostAsked.connect(self._remove_lost)
        changes.keeping.changed.connect(self._show_lost)
        self.page.groupChosen.connect(self._show_rows)
        self.page.listChanged.connect(self._show_list)
        self.page.opened.connect(self._open)
        self.bar.to_list.clicked.connect(self._back_to_list)
        self.bar.end.clicked.connect(changes.end_visit)

    def show(self) -> None:
        """Bring the page to the front, with the runs that are wanted."""
        self._view.show_page(tr(TITLE))
        self.refresh()
        self._show_lost()
        if self._program.changes.chosen is not None:
            self.page.choose(self._program.changes.chosen)
            self._program.changes.chosen = None

    def refresh(self) -> None:
        """Show the page as things are now; nothing happens if it is not in front."""
        changes = self._program.changes
        if self._program.session.project is None or not self._view.isVisible() or self._view.page is not self.page:
            return
        change = changes.change
        self.page.show_sides(changes.sides(), None if change is None else change.sides, running=changes.running)
        if change is None or not change.difference.images:
            note = tr(
                "Choose two runs: the masks as they are, or models and settings that take part in Compare (Shift+C). Every "
                "error that the second run fixed or made is listed with its kind, its classes and its slice."
            )
            self.page.show_note((), note, whole=False)
            return
        title = tr("{first} → {second}", first=change.sides[0].title, second=change.sides[1].title)
        images = plural("{n} image", "{n} images", change.difference.images)
        found = summary(change.difference)
        texts = f"{title} · {images} · {found}", f"{images} · {found}", found
        self.page.show_note(texts, "", whole=change.errors is not None, remarks=change.notes)
        if change.errors is None or change.errors is self._shown:
            return  # there is nothing to list yet, or it is listed
        same, self._shown, self._listed = change is self._listed, change.errors, change
        if same:  # the intervals have come: what is selected and listed stays
            self.page.show_rows(change_rows(change.errors, self.page.group), keep=True)
            return
        for cache in self._sources.values():
            cache.clear()
        self._show_rows()

    def _refresh_soon(self) -> None:
        if not self._soon.isActive():
            self._soon.start()

    def _show_rows(self) -> None:
        change = self._program.changes.change
        if change is not None and change.errors is not None:
            self.page.show_rows(change_rows(change.errors, self.page.group))
            self._show_list()

    def _errors(self) -> list[ErrorComponent]:
        change = self._program.changes.change
        return [] if change is None else self.page.query.find(change.difference, fixed=self.page.fixed)

    def _show_list(self) -> None:
        change = self._program.changes.change
        if change is None:
            return
        catalog, found = change.difference.catalog, self._errors()
        tiles = [ComponentTile(one, self._name(one), error_label(one, catalog)) for one in found]
        images = plural("{n} image", "{n} images", len({one.image for one in found}))
        title = tr("{errors} in {images}, largest first", errors=len(found), images=images)
        self.page.show_errors(title, plural("{n} error", "{n} errors", len(found)), tiles)

    # -- kept runs -------------------------------------------------------------------------------------------------------

    def _keep(self, side: RunSide) -> None:
        """Ask for a name and keep the run; or ask whether a kept one is to go."""
        changes = self._program.changes
        if side.kept is not None:
            lines = (tr("Its labels, figures and settings are deleted. Masks and predictions stay."),)
            question = FolderQuestion(
                FolderPlan(tr("Remove run '{name}'?", name=side.kept.name), lines, tr("Remove")), self._window
            )
            question.agreed.connect(lambda _again, run=side.kept: changes.keeping.remove(run))
            question.show()
            return
        intro = tr("The labels of '{run}' are kept with the project, with the date, settings and figures of now.", run=side.title)
        names = [run.kept.name for run in changes.sides() if run.kept is not None]
        name = side.title if side.model is None else side.model.title  # the letter of a pane says nothing later
        self._ask_name(intro, name, list(dict.fromkeys(names)), lambda text: changes.keeping.keep(side, text))

    def _ask_name(self, intro: str, name: str, offered: list[str], keep: Callable[[str], object]) -> None:
        """Ask for the name of a run, which is kept then. The window behind the dialog waits: it could show another run."""
        dialog = TextDialog(tr("Keep run"), intro, text=name, offered=offered, go=tr("Keep"), parent=self._window)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.accepted.connect(lambda: keep(dialog.text))
        dialog.open()

    def _show_lost(self) -> None:
        lost = self._program.changes.keeping.lost()
        self.page.show_lost(lost_text(lost[0], len(lost)) if lost else "")

    def _take_in(self) -> None:
        """Ask for a name and keep the newest lost run again."""
        keeping = self._program.changes.keeping
        lost = next(iter(keeping.lost()), None)
        if lost is not None:
            intro = tr("Its labels are scored by the ground truth of now. Which model made them is not known.")
            name = tr("Run {number}", number=lost.number)
            self._ask_name(intro, name, [], lambda text: keeping.take_in(lost, text))

    def _remove_lost(self) -> None:
        """Ask whether the labels of the newest lost run are to go."""
        keeping = self._program.changes.keeping
        lost = next(iter(keeping.lost()), None)
        if lost is not None:
            lines = (tr("Its labels are deleted. Masks and predictions stay."),)
            title = tr("Remove run '{name}'?", name=lost.number)
            question = FolderQuestion(FolderPlan(title, lines, tr("Remove")), self._window)
            question.agreed.connect(lambda _again: keeping.remove(lost))
            question.show()

    # -- pictures --------------------------------------------------------------------------------------------------------

    def _source(self, fixed: bool, project: Project, image: int) -> Callable[[], CutoutSource | None]:
        change = self._program.changes.change
        pixels = self._program.changes.pixels(image, fixed=fixed)

        def read() -> CutoutSource | None:
            found = pixels() if change is not None and change.project is project else None
            return None if found is None else (found.rgb, found.truth, found.wrong)

        return read

    def _picture(self, component: ErrorComponent) -> QImage | None:
        return cutout_image(self._sources[self.page.fixed].get(component))

    def _name(self, component: ErrorComponent) -> str:
        project = self._program.session.project
        return "" if project is None else project.record(int(component.image)).name

    # -- places ----------------------------------------------------------------------------------------------------------

    def _open(self, place: int) -> None:
        errors = self.page.model.components
        if 0 <= place < len(errors):
            self._program.inspect.end_navigation()
            self._window.show_picture()
            self._program.changes.open_error(errors, place, fixed=self.page.fixed)

    def _leave_visit(self, navigation: ErrorNavigation | None) -> None:
        """Another list of errors was opened."""
        if navigation is not None:
            self._program.changes.end_visit()

    def _back_to_list(self) -> None:
        """Show the list again, with the open error selected if it is still listed."""
        visited, changes = self._program.changes.place, self._program.changes
        changes.viewAsked.emit()
        listed = self.page.model.components
        if visited is not None and visited.current in listed:
            self.page.select(listed.index(visited.current))

    def _show_visit(self) -> None:
        changes = self._program.changes
        visited, change = changes.place, changes.change
        self._program.inspect.lend_keys(None if visited is None else changes.step)
        self.bar.setVisible(visited is not None)
        if visited is None or change is None:
            self._canvas.set_outline(None)
            self._window.classes.show_classes(())
            return
        run = change.sides[1].title
        what = tr("Fixed by {run}", run=run) if visited.fixed else tr("Made by {run}", run=run)
        place = tr("{place} of {components}", place=visited.place, components=visited.number)
        self.bar.text.set_text(f"{what} · {place} · {error_label(visited.current, change.difference.catalog)}")

    def _export(self) -> None:
        """Ask for a file and write the difference."""
        filters = {tr("HTML page (*.html)"): ".html", tr("JSON (*.json)"): ".json", tr("CSV (*.csv)"): ".csv"}
        project = self._program.session.project
        if project is None:
            return
        start = str(project.folder.parent / f"{project.folder.name}-comparison.html")
        text, chosen = QFileDialog.getSaveFileName(self._window, tr("Export the comparison"), start, ";;".join(filters))
        if text:
            path = Path(text)
            self._program.changes.export(path if path.suffix.lower() in ENDINGS else Path(text + filters.get(chosen, ".html")))

    def _show_place(self, component: ErrorComponent, mask: NDArray[np.bool_]) -> None:
        """Zoom to an error and outline it, once the picture has its size."""
        self._window.classes.show_classes((component.truth, component.prediction))
        x, y, width, height = component.box
        margin = 0.6 if max(width, height) >= 24 else 24 / max(width, height)
        QTimer.singleShot(0, self, lambda: self._program.view.show_region(x, y, width, height, margin))
        self._canvas.set_outline(ErrorOutline(outline(mask, (x, y))))
