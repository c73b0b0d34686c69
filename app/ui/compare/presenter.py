"""Connects the comparison of models with its dock."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt
from PySide6.QtWidgets import QFileDialog

from app.controllers.workspace import Program
from app.state.comparison import LETTERS, ModelSetting
from app.text import tr
from app.ui.shell.main_window import MainWindow
from app.ui.shell.theme import Theme
from app.viewmodels.compare.rows import folder_figures, image_figures, image_lines, model_entries, remark, verdict_rows
from deeplab_core.model_files import file_filter

if TYPE_CHECKING:  # its plot takes as long to import as the window itself
    from app.ui.compare.compare_dock import CompareDock

#: Height of the dock on the first day, in px.
_HEIGHT = 252


class ComparePresenter(QObject):
    """Makes the dock when models are first compared, fills it, and passes on what the user does there.

    Attributes:
        dock: made when models are compared for the first time.
    """

    def __init__(self, window: MainWindow, program: Program) -> None:
        super().__init__(window)
        self._window, self._program = window, program
        self._remarks: tuple[object, ...] = ()
        self.dock: CompareDock | None = None
        program.compare.modelsChanged.connect(self._show_models)
        program.compare.resultsChanged.connect(self._show_results)
        program.compare.resultsChanged.connect(self._follow_results)
        program.compare.fileWanted.connect(self.ask_file)
        program.compare_folder.changed.connect(self._show_results)
        program.classes.changed.connect(self._show_results)
        program.evaluation.bandChanged.connect(lambda _band: self._show_results())
        program.context.changed.connect(self._follow_context)

    def ask_file(self) -> None:
        """Ask for a model file that takes part from now on."""
        start = str(self._program.models.path or Path.home())
        path, _ = QFileDialog.getOpenFileName(self._window, tr("Compare with a model"), start, file_filter())
        if path:
            self._program.compare.add_file(Path(path))

    # -- the dock --------------------------------------------------------------------------------------------------------

    def _made(self) -> CompareDock:
        if self.dock is not None:
            return self.dock
        from app.ui.compare.compare_dock import CompareDock

        compare, folder = self._program.compare, self._program.compare_folder
        dock = self.dock = CompareDock(self._window.theme)
        dock.modelsChosen.connect(self._program.compared.choose)
        dock.settingsAsked.connect(self._offer_settings)
        dock.settingChosen.connect(self._program.compared.add_setting)
        dock.pairChosen.connect(compare.choose_pair)
        dock.scopeChosen.connect(self._show_results)
        dock.imageChosen.connect(folder.open_image)
        dock.fileAsked.connect(self.ask_file)
        dock.folderAsked.connect(folder.start)
        dock.errorsAsked.connect(self._program.changes.show_pair)
        dock.closeAsked.connect(compare.end)
        self._window.themed.connect(self._set_theme)
        if not self._window.restoreDockWidget(dock):
            self._window.addDockWidget(Qt.DockWidgetArea.BottomDockWidgetArea, dock)
            self._window.resizeDocks([dock], [_HEIGHT], Qt.Orientation.Vertical)
        return dock

    def _offer_settings(self, of: ModelSetting | None) -> None:
        """Fill the menu for the selected model, or the first one."""
        if self.dock is not None:
            offers = self._program.compared.offers(of)
            titles = {model.path: model.card.name for model in self._program.compared.models if model.card is not None}
            self.dock.offer(offers, titles.get(offers[0].path, "") if offers else "")

    def _set_theme(self, theme: Theme) -> None:
        if self.dock is not None:
            self.dock.set_theme(theme)

    def _follow_context(self, changed: frozenset[str]) -> None:
        context = self._program.context
        if changed & {"comparing", "docks_folded", "evaluation_open"} and (self.dock is not None or context["comparing"]):
            self._made().setVisible(context.hold("comparing", "!docks_folded", "!evaluation_open"))
        if "compare_running" in changed:
            self._show_models()

    def _follow_results(self) -> None:
        """List the models again if an answer changes their lines: what can be chosen is read from the disk."""
        if self._model_remarks() != self._remarks:
            self._show_models()

    def _model_remarks(self) -> tuple[object, ...]:
        """What the answers and the chosen pair bring into the list of models."""
        compare = self._program.compare
        return (compare.pair, *(remark(answer.prediction) for answer in compare.results))

    def _show_models(self) -> None:
        compare, compared = self._program.compare, self._program.compared
        if self.dock is None or not compare.on:
            return
        self._remarks = self._model_remarks()
        can_run = compared.ready and not self._program.context["compare_running"]
        self.dock.show_models(model_entries(compared.choices(), compared.models, compare.results), compare.pair, can_run=can_run)

    def _show_results(self) -> None:
        dock, compare, folder = self.dock, self._program.compare, self._program.compare_folder
        catalog, result = compare.catalog, folder.result
        if dock is None or not compare.on or catalog is None:
            return
        catalog = self._program.view.overlay.shown(catalog)
        if dock.folder_scope and result is not None:
            figures = folder_figures(catalog, result, folder.figures(), compare.pair)
        else:
            figures = image_figures(catalog, self._program.compared.models, compare.results, compare.difference, compare.pair)
        dock.show_figures(figures, self._program.figures.band.width_px)
        rows = [] if result is None or result.ablation is None else verdict_rows(catalog, result.ablation)
        letters = [] if result is None else list(LETTERS[1 : len(result.models)])
        if result is None:
            note = tr("Run the folder to see what each model does to the figures of A, with intervals and verdicts.")
        else:
            note = result.untested or tr("Intervals and verdicts come when the folder is compared.")
        dock.show_verdicts(letters, rows, note)
        lines = [] if result is None else image_lines(result.rows, compare.pair)
        dock.show_images(lines, tr("Run the folder to list the images on which these models differ most."))
