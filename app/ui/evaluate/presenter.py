"""Opens the Evaluation panel in the place of the picture, and connects its pages and the list of errors with the program."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, QTimer
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QFileDialog

from app.controllers.workspace import Program
from app.services.session import OpenImage
from app.state.next_errors import ErrorFix
from app.text import tr
from app.ui.canvas.canvas_area import CanvasArea
from app.ui.canvas.error_outline import ErrorOutline
from app.ui.evaluate.components_page import ComponentsPage, cutout_image
from app.ui.evaluate.evaluation_view import ErrorBar, EvaluationView
from app.ui.evaluate.failures_page import FailuresPage
from app.ui.evaluate.matrix_page import MatrixPage
from app.ui.evaluate.run_presenter import RunPresenter
from app.ui.evaluate.similar_dialog import SimilarDialog
from app.ui.shell.main_window import MainWindow
from app.viewmodels.evaluate.error_list import MOST_AT_ONCE, ComponentQuery, ErrorNavigation, nearest
from app.viewmodels.evaluate.failure_table import SliceChart
from app.viewmodels.evaluate.rankings import scope_text
from deeplab_core.analysis.components import ErrorComponent
from deeplab_core.analysis.outline import outline
from deeplab_core.analysis.pairs import PairLoss
from deeplab_core.analysis.record import ERROR_PIXELS

#: The order of error lists, in the settings.
_ORDER = "evaluation.error_order"


class EvaluationPresenter(QObject):
    """Makes the panel when it is first opened, and shows what is in front.

    A new page is made and connected in :meth:`_make_view`, with one ``view.add_page(title, widget)``. A page that leads to error
    components calls :meth:`show_list` with a query.

    Attributes:
        view: the Evaluation panel, or None before it was opened; with it ``matrix``, ``failures``, ``components`` and
            ``runs``, its pages.
        similar: the dialog of similar images; None before it was asked for.
    """

    def __init__(self, window: MainWindow, program: Program, canvas: CanvasArea) -> None:
        super().__init__(window)
        self._window, self._program, self._canvas = window, program, canvas
        self.view: EvaluationView | None = None
        self.similar: SimilarDialog | None = None
        self.bar = ErrorBar(window.commands)
        window.add_bar(self.bar)
        inspect = program.inspect
        inspect.viewAsked.connect(self.toggle)
        program.changes.viewAsked.connect(self._open_runs)
        program.similar.shown.connect(self._show_similar)
        program.similar.changed.connect(self._follow_similar)
        program.thumbnails.ready.connect(self._follow_thumbnails)
        window.classes.errorsAsked.connect(self.show_errors_of)
        window.classes.figuresAsked.connect(self.open)
        inspect.changed.connect(self._refresh)
        program.classes.changed.connect(self._refresh)
        program.attributes.changed.connect(self._refresh)
        inspect.navigationChanged.connect(self._show_navigation)
        inspect.componentReached.connect(self._show_place)
        program.next_errors.targetChanged.connect(self._follow_target)
        program.session.imageChanged.connect(lambda _image: canvas.set_outline(None))
        program.session.imageChanged.connect(self._follow_image)
        self.bar.closeAsked.connect(inspect.end_navigation)
        program.cutouts.ready.connect(self._show_pictures)
        program.session.projectChanged.connect(lambda _project: self._follow_project())
        window.stack.currentChanged.connect(self._follow_stack)

    @property
    def in_front(self) -> bool:
        """Whether the Evaluation panel has the place of the picture."""
        return self.view is not None and self._window.stack.currentWidget() is self.view

    def toggle(self) -> None:
        """Open the view, or go back to the picture."""
        if self.in_front:
            self.close()
        else:
            self.open()

    def open(self) -> None:
        """Bring the view to the front as it was left."""
        if self._program.session.project is None:
            return
        self._program.edit.commit_stroke()
        if self.view is None:
            self.view = self._make_view()
        self._window.show_page(self.view)
        self._program.inspect.begin()
        self._refresh()
        self._select_current()
        self.view.begin()

    def _open_runs(self) -> None:
        """Open the view at the page of two runs."""
        self.open()
        if self.view is not None:
            self.runs.show()

    def close(self) -> None:
        """Back to the picture; nothing happens where the view is not in front."""
        if self.in_front:
            self._window.show_picture()

    def show_list(self, query: ComponentQuery) -> None:
        """Show the error components that a query means."""
        if self.view is not None:
            self.view.show_list(self.components)
            self._list(query)
            self.components.list.scrollToTop()
            self.view.begin()

    def show_errors_of(self, class_id: int) -> None:
        """Open the view with what is behind the IoU of a class: its misses and its false alarms in the folder."""
        self.open()
        self.show_list(ComponentQuery(concerning=class_id))

    def _make_view(self) -> EvaluationView:
        window, program = self._window, self._program
        view = EvaluationView(window.theme)
        self.matrix = MatrixPage(window.theme)
        self.components = ComponentsPage(window.theme, self._picture, self._name)
        self.failures = FailuresPage(window.theme)
        view.add_page(tr("Matrix"), self.matrix)
        view.add_page(tr("Failures"), self.failures)
        view.add_list(self.components)
        from app.ui.evaluate.pages import EvaluationPages  # with the plotting library, which takes its time

        self.pages = EvaluationPages(window, program, view)
        self.pages.listAsked.connect(self.show_list)
        self.runs = RunPresenter(window, program, view, self._canvas)
        view.closeAsked.connect(self.close)
        view.refreshAsked.connect(program.inspect.inspect_folder)
        view.pageShown.connect(lambda _title: self._refresh())
        self.matrix.asked.connect(self.show_list)
        self.failures.asked.connect(self.show_list)
        self.failures.intervalsAsked.connect(self._find_intervals)
        self.failures.tableAsked.connect(self._ask_table)
        self.failures.tableRemoved.connect(program.attributes.remove)
        self.components.backAsked.connect(view.step_back)
        self.components.queryChanged.connect(self._choose_list)
        self.components.fixAsked.connect(self._fix)
        self.components.chosen.connect(self._open)
        self.components.ambiguousAsked.connect(self._mark_ambiguous)
        window.themed.connect(view.set_theme)
        return view

    def _ask_table(self) -> None:
        """Ask for a table of attributes and keep it with the project."""
        path, _ = QFileDialog.getOpenFileName(self._window, tr("Table of attributes"), "", tr("Tables (*.csv *.tsv *.txt)"))
        if path:
            self._program.attributes.choose(Path(path))

    # -- showing ---------------------------------------------------------------------------------------------------------

    def _refresh(self) -> None:
        """Figures are others: show them where they are seen."""
        view, project = self.view, self._program.session.project
        if view is None or not self.in_front or project is None:
            return
        inspect = self._program.inspect
        folder = inspect.folder
        known, total = 0 if inspect.index is None else len(inspect.index), len(self._program.truth.index)
        view.show_scope(scope_text(known, total, inspecting=inspect.inspecting))
        view.refresh.setEnabled(not inspect.inspecting)
        if view.page is self.matrix:
            self.matrix.show_counts(inspect.counts(), self._program.view.overlay.shown(project.catalog), folder)
        elif view.page is self.failures:
            self.failures.show_tables(self._program.attributes.tables)
            self.failures.show_folder(folder, self._program.view.overlay.shown(project.catalog), self._program.attributes.own)
        elif view.page is self.components:
            self._list(self.components.query)
        elif view.page is self.runs.page:
            self.runs.refresh()
        else:
            self.pages.refresh()

    def _choose_list(self, query: ComponentQuery) -> None:
        """Another list or another order; the order is kept for all lists."""
        self._program.settings.set(_ORDER, query.order)
        self._list(query)

    def _list(self, query: ComponentQuery) -> None:
        query = replace(query, order=self._program.settings[_ORDER])
        project, folder = self._program.session.project, self._program.inspect.folder
        if project is None:
            return
        totals = None if folder is None else query.totals(folder)
        found = self._program.inspect.components(query)
        gains = [] if folder is None else query.gains(folder, found)
        at_once = folder is None or folder.measured(ERROR_PIXELS) <= MOST_AT_ONCE
        loss = query.loss(folder, intervals=at_once)
        self.components.show_components(query, found, project.catalog, totals, loss, gains)
        if loss is None or folder is None or at_once:
            return
        still = folder.for_scores()

        def done(found: PairLoss | None) -> None:
            if found is not None and self.components.query == query:
                self.components.show_loss(found, project.catalog)

        self._program.jobs.run(lambda: query.loss(still), done, self._program.notifier.report_or_raise)

    def _find_intervals(self, find: Callable[[], list[SliceChart]]) -> None:
        """Intervals of the failure board, on another thread."""
        program = self._program
        program.jobs.run(find, lambda charts: self.failures.show_intervals(find, charts), program.notifier.report_or_raise)

    def _show_pictures(self) -> None:
        if self.in_front:
            self.components.refresh()

    def _picture(self, component: ErrorComponent) -> QImage | None:
        return cutout_image(self._program.cutouts.get(component))

    def _name(self, component: ErrorComponent) -> str:
        project = self._program.session.project
        return "" if project is None else project.record(int(component.image)).name

    # -- the list of errors -----------------------------------------------------------------------------------------------

    def _open(self, place: int) -> None:
        components = self.components.components
        if 0 <= place < len(components):
            self._program.inspect.open_component(self.components.query, components, place)

    def _fix(self, place: int, fix: ErrorFix) -> None:
        components = self.components.components
        if 0 <= place < len(components):
            self._program.inspect.fix(components[place], fix)

    def _mark_ambiguous(self, place: int) -> None:
        components = self.components.components
        if not 0 <= place < len(components):
            return
        index = self._program.inspect.index
        if index is None:
            return
        component, ambiguous = components[place], self._program.ambiguous
        ignore = index.project.catalog.ignore
        classes = tuple(one for one in (component.truth, component.prediction) if one != ignore)

        def mark(mask: NDArray[np.bool_]) -> None:
            ambiguous.mark(int(component.image), mask, (component.box.x, component.box.y), classes)

        self._program.inspect.find_region(component, mark)

    def _show_place(self, component: ErrorComponent) -> None:
        """Zoom to a component; after the picture has its size again."""
        self._window.show_picture()
        self._window.classes.show_classes((component.truth, component.prediction))
        x, y, width, height = component.box
        margin = 0.6 if max(width, height) >= 24 else 24 / max(width, height)
        QTimer.singleShot(0, self, lambda: self._program.view.show_region(x, y, width, height, margin))
        self._canvas.set_outline(None)

        def draw(mask: NDArray[np.bool_]) -> None:
            navigation, image = self._program.inspect.navigation, self._program.session.image
            if (
                navigation is not None
                and navigation.current is component
                and image is not None
                and str(image.id) == component.image
            ):
                self._program.inspect.regionFound.emit(component, mask, None)
                self._canvas.set_outline(ErrorOutline(outline(mask, (x, y))))  # it stays while the error is being painted over

        self._program.inspect.find_region(component, draw)

    def _follow_target(self) -> None:
        """Another error is shown: the outline of the one before goes, and the classes of this one come into sight."""
        current = self._program.next_errors.current
        if current is not None:
            self._canvas.set_outline(None)
            known = () if current.truth is None else (current.truth,)
            self._window.classes.show_classes((*known, current.label))

    def _show_navigation(self, navigation: ErrorNavigation | None) -> None:
        if navigation is None:
            self._canvas.set_outline(None)
        project = self._program.session.project
        self.bar.show_navigation(None if self.in_front else navigation, None if project is None else project.catalog)

    def _select_current(self) -> None:
        navigation = self._program.inspect.navigation
        if navigation is not None and self.view is not None and self.view.page is self.components:
            self.components.select(nearest(navigation.current, self.components.components, navigation.place))

    # -- more like this ----------------------------------------------------------------------------------------------------

    def _show_similar(self) -> None:
        """The list of images, which stays open beside the picture."""
        if self.similar is None:
            dialog = self.similar = SimilarDialog(self._thumbnail, self._window)
            dialog.opened.connect(self._program.similar.open_image)
            dialog.stopAsked.connect(self._program.similar.stop)
            dialog.finished.connect(self._program.similar.stop)  # its answer would not be seen
        self._follow_similar()
        self.similar.show()

    def _follow_similar(self) -> None:
        similar, project = self._program.similar, self._program.session.project
        if self.similar is None:
            return
        if project is None or similar.query is None:
            self.similar.close()
            return
        name = project.record(similar.query.image).name
        about = tr("Like {name}.", name=name) if similar.query.region is None else tr("Like a part of {name}.", name=name)
        rows = [(image, project.record(image).shown, value) for image, value in similar.found]
        self.similar.show_images(about, rows, running=similar.running)

    def _follow_thumbnails(self) -> None:
        if self.similar is not None and self.similar.isVisible():
            self.similar.refresh()

    def _thumbnail(self, image: int) -> QImage | None:
        project = self._program.session.project
        if project is None:
            return None
        record = project.record(image)
        return self._program.thumbnails.get(record.id, project.path_of(record), record.size, record.mtime_ns)

    # -- following -------------------------------------------------------------------------------------------------------

    def _follow_project(self) -> None:
        self.close()
        if self.view is not None:
            self.view.leave_list()

    def _follow_image(self, image: OpenImage | None) -> None:
        """The class list of another image begins where it usually does, unless an error of it was asked for."""
        navigation = self._program.inspect.navigation
        if image is None or navigation is None or navigation.current.image != str(image.id):
            self._window.classes.show_classes(())

    def _follow_stack(self) -> None:
        self._program.context.update(evaluation_open=self.in_front)
        self._show_navigation(self._program.inspect.navigation)
