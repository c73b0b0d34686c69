"""Connects three pages of the Evaluation panel with their controllers: rankings, plots, ambiguous regions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QObject, QTimer, Signal
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QFileDialog

from app.controllers.workspace import Program
from app.services.timers import single_shot
from app.state.ambiguous import ListedMark, export_marks
from app.text import plural, tr
from app.ui.evaluate.ambiguous_page import AmbiguousPage
from app.ui.evaluate.evaluation_view import EvaluationView
from app.ui.evaluate.plot_page import PlotPage
from app.ui.evaluate.ranking_page import RankingPage
from app.ui.shell.main_window import MainWindow
from app.viewmodels.evaluate.charts import Chart
from app.viewmodels.evaluate.error_list import ComponentQuery
from app.viewmodels.evaluate.rankings import RankingRow, classes_text, image_rows, issue_rows, place_rows
from deeplab_core.analysis.ranking import RANKINGS
from deeplab_core.errors import AtrousError
from deeplab_core.geometry import Box

#: Pause before changed figures are shown, and that of a folder with many images.
_SOON_MS, _MANY, _MANY_MS = 20, 500, 500
#: Pixels around a place that is shown, as a part of its size, and the least size that is zoomed to, px.
_MARGIN, _LEAST = 0.6, 24


class EvaluationPages(QObject):
    """The wires of these pages; made with the view.

    Attributes:
        ranking, plots, ambiguous: the pages.

    Signals:
        listAsked(ComponentQuery): a place of a plot leads to these error components.
    """

    listAsked = Signal(object)

    def __init__(self, window: MainWindow, program: Program, view: EvaluationView) -> None:
        super().__init__(view)
        self._window, self._program, self._view = window, program, view
        self.ranking = RankingPage(window.theme, self._thumbnail)
        self.plots = PlotPage(window.theme, program.plots.names)
        self.ambiguous = AmbiguousPage()
        view.add_page(tr("Rankings"), self.ranking)
        view.add_page(tr("Plots"), self.plots)
        view.add_page(tr("Ambiguous"), self.ambiguous)
        view.pageShown.connect(self._begin)
        rankings = program.rankings
        self._soon = single_shot(self, _SOON_MS, self.refresh)
        rankings.changed.connect(self._refresh_soon)
        rankings.orderChanged.connect(lambda _order: self.refresh())
        rankings.placeReached.connect(self._show_place)
        self.ranking.orderChosen.connect(rankings.choose)
        self.ranking.opened.connect(self._open_row)
        self.ranking.placesAsked.connect(lambda _on: self.refresh())
        program.doubts.changed.connect(self._refresh_soon)
        program.thumbnails.ready.connect(self.ranking.rows.refresh)
        program.plots.changed.connect(self.refresh)
        self.plots.wanted.connect(self._make_plot)
        self.plots.chosen.connect(self._follow_plot)
        self.plots.exported.connect(self._say_exported)
        self.plots.failed.connect(program.notifier.report)
        program.ambiguous.changed.connect(lambda _image: self.refresh())
        self.ambiguous.opened.connect(lambda listed: rankings.visit(listed.image, listed.mark.box))
        self.ambiguous.unmarkAsked.connect(lambda listed: program.ambiguous.unmark(listed.image, listed.position))
        self.ambiguous.described.connect(self._describe)
        self.ambiguous.exportAsked.connect(self.ask_export)

    def refresh(self) -> None:
        """Show the page in front as things are now; nothing happens if none of these is in front."""
        page = self._view.page
        if self._program.session.project is None or not self._view.isVisible():
            return
        if page is self.ranking:
            self._show_ranking()
        elif page is self.plots:
            self.plots.refresh()
        elif page is self.ambiguous:
            self.ambiguous.show_marks(self._program.ambiguous.listed(), self._name, self._classes)

    def _refresh_soon(self) -> None:
        """Figures come in one by one while a folder is measured: the rows of a large one are laid out now and then."""
        if not self._soon.isActive():
            project = self._program.session.project
            many = project is not None and len(project.images) > _MANY
            self._soon.start(_MANY_MS if many else _SOON_MS)

    def ask_export(self) -> None:
        """Ask for a folder, and write the marks into it."""
        folder = QFileDialog.getExistingDirectory(self._window, tr("Folder for the marks"))
        project = self._program.session.project
        if not folder or project is None:
            return
        try:
            number = export_marks(project, Path(folder))
        except AtrousError as error:
            self._program.notifier.report(error)
            return
        self._program.notifier.info(
            tr("Ambiguity marks of {number} exported", number=plural("{n} image", "{n} images", number)),
            tr("In {folder}.", folder=folder),
        )

    # -- rankings ----------------------------------------------------------------------------------------------------------

    def _begin(self, _title: str) -> None:
        if self._view.page in (self.ranking, self.plots):
            self._program.rankings.begin()
        self.refresh()

    def _show_ranking(self) -> None:
        rankings, order = self._program.rankings, self._program.rankings.order
        project = self._program.session.project
        self.ranking.show_order(order, rankings.available(), 0 if project is None else len(project.images))
        if project is not None:
            measuring = rankings.measuring
            if self.ranking.shows_places:
                self._program.doubts.begin(order)
                found, measuring = place_rows(project, self._program.doubts.places(order)), self._program.doubts.finding
            elif order == "label_errors":
                found = issue_rows(project, rankings.issues())
            else:
                found = image_rows(project, rankings.ranking(order), rankings.scores(order), rankings.ious())
            self.ranking.show_rows(found.columns, found.numbers, found.rows, measuring)
        self.ranking.show_gain(self._gain_chart(order))

    def _open_row(self, row: RankingRow) -> None:
        if row.doubtful is None:
            self._program.rankings.visit(row.image, row.box)
            return
        self._program.settings.set("work.error_order", self.ranking.order)  # Next error goes on by the same order
        self._window.show_picture()
        self._program.next_errors.visit(row.doubtful)

    def _gain_chart(self, order: str) -> Chart | None:
        from app.viewmodels.evaluate.plot_data import gain_chart

        gain = self._program.rankings.gain(order)
        return None if gain is None else gain_chart(gain, tr(RANKINGS[order].title))

    def _thumbnail(self, image: int) -> QImage | None:
        project = self._program.session.project
        if project is None:
            return None
        record = project.record(image)
        return self._program.thumbnails.get(record.id, project.path_of(record), record.size, record.mtime_ns)

    def _show_place(self, box: Box | None) -> None:
        """The picture to the front; zoomed to the place once it has its size again."""
        self._window.show_picture()
        if box is not None:
            margin = max(_MARGIN, _LEAST / max(box.width, box.height))
            QTimer.singleShot(0, self, lambda: self._program.view.show_region(*box, margin))

    # -- plots -----------------------------------------------------------------------------------------------------------

    def _make_plot(self, name: str) -> None:
        self._program.plots.make(name, lambda chart: self.plots.show_chart(name, chart))

    def _follow_plot(self, lead: object) -> None:
        """From a cell, bar or point to its errors; from a width of the band to the band on the picture."""
        if isinstance(lead, ComponentQuery):
            self.listAsked.emit(lead)
        elif isinstance(lead, tuple):
            truth, prediction = lead
            self.listAsked.emit(ComponentQuery(truth=truth, prediction=prediction))
        elif isinstance(lead, int):
            evaluation = self._program.evaluation
            evaluation.set_band(replace(evaluation.band, width_px=lead))
            self._window.show_picture()
            if not self._program.context["pane_trimap"]:
                self._program.view.toggle_trimap()

    def _say_exported(self, path: Path) -> None:
        self._program.notifier.info(
            tr("{name} exported", name=path.name), tr("In {parent}.", parent=path.parent), replace_key="plot"
        )

    # -- ambiguous -------------------------------------------------------------------------------------------------------

    def _describe(self, listed: ListedMark, reason: str) -> None:
        # Not from within the table's own signal: the change has it filled again.
        QTimer.singleShot(0, self, lambda: self._program.ambiguous.describe(listed.image, listed.position, reason))

    def _name(self, image: int) -> str:
        project = self._program.session.project
        return "" if project is None else project.record(image).shown

    def _classes(self, classes: tuple[int, ...]) -> str:
        project = self._program.session.project
        return "" if project is None else classes_text(project.catalog, classes)
