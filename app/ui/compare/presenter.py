"""Carries the comparison and the receptive field into dock and panes, and back the user's actions there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt
from PySide6.QtWidgets import QFileDialog

from app.controllers.annotate.edit import class_name
from app.controllers.compare.models import milliseconds
from app.controllers.compare.requests import ModelPrediction
from app.controllers.workspace import Program
from app.state.comparison import LETTERS, PairCount
from app.text import plural, tr
from app.ui.canvas.canvas_area import CanvasArea
from app.ui.canvas.receptive_mark import ReceptiveMark
from app.ui.shell.main_window import MainWindow
from app.ui.shell.theme import Theme
from app.viewmodels.compare.rows import ModelEntry, difference_parts, heading, image_lines, table_rows
from deeplab_core.model_files import file_filter
from deeplab_core.receptive import ReceptiveField

if TYPE_CHECKING:  # its plot takes as long to import as the window itself
    from app.ui.compare.compare_dock import CompareDock

#: Height of the dock on the first day, in px.
_HEIGHT = 252


def remark(prediction: ModelPrediction | None) -> str:
    """What the user should know of a model's answer: classes that the project lacks, and what happened to the memory."""
    if prediction is None:
        return ""
    number = len(prediction.unmatched)
    which = tr("1 class has") if number == 1 else tr("{number} classes have", number=number)
    lost = tr("{which} no matching class in this project: treated as void", which=which) if number else ""
    return ". ".join(part.rstrip(".") for part in (lost, prediction.note) if part)


class ComparePresenter(QObject):
    """The wires between the comparison and the window.

    Attributes:
        dock: made when models are compared for the first time.
    """

    def __init__(self, window: MainWindow, program: Program, canvas: CanvasArea) -> None:
        super().__init__(window)
        self._window, self._program, self._canvas = window, program, canvas
        self._field: ReceptiveField | None = None
        self._remarks: tuple[object, ...] = ()
        self.dock: CompareDock | None = None
        program.compare.modelsChanged.connect(self._show_models)
        program.compare.resultsChanged.connect(self._show_results)
        program.compare.resultsChanged.connect(self._follow_results)
        program.compare.fileWanted.connect(self.ask_file)
        program.compare_folder.changed.connect(self._show_results)
        program.evaluation.bandChanged.connect(lambda _band: self._show_results())
        program.receptive.changed.connect(self._show_field)
        canvas.hovered.connect(program.receptive.hover)
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
        dock.modelsChosen.connect(compare.choose)
        dock.pairChosen.connect(compare.choose_pair)
        dock.scopeChosen.connect(self._show_results)
        dock.imageChosen.connect(folder.open_image)
        dock.fileAsked.connect(self.ask_file)
        dock.folderAsked.connect(folder.start)
        dock.closeAsked.connect(compare.end)
        self._window.themed.connect(self._set_theme)
        if not self._window.restoreDockWidget(dock):
            self._window.addDockWidget(Qt.DockWidgetArea.BottomDockWidgetArea, dock)
            self._window.resizeDocks([dock], [_HEIGHT], Qt.Orientation.Vertical)
        return dock

    def _set_theme(self, theme: Theme) -> None:
        if self.dock is not None:
            self.dock.set_theme(theme)

    def _follow_context(self, changed: frozenset[str]) -> None:
        context = self._program.context
        if changed & {"comparing", "docks_folded"} and (self.dock is not None or context["comparing"]):
            self._made().setVisible(context["comparing"] and not context["docks_folded"])
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
        compare = self._program.compare
        if self.dock is None or not compare.on:
            return
        self._remarks = self._model_remarks()
        letters = {model.path: LETTERS[place] for place, model in enumerate(compare.models)}
        models = {model.path: model for model in compare.models}
        predictions = {model.path: answer.prediction for model, answer in zip(compare.models, compare.results, strict=False)}
        entries = []
        for path, title in compare.choices():
            model = models.get(path)
            problem = "" if model is None else model.problem
            known = title if model is None else model.title
            answer = predictions.get(path)
            amiss = bool(problem) or (answer is not None and bool(answer.unmatched))
            entries.append(ModelEntry(path, known, letters.get(path, ""), problem or remark(answer), amiss))
        can_run = compare.ready and not self._program.context["compare_running"]
        self.dock.show_models(entries, compare.pair, can_run=can_run)

    def _show_results(self) -> None:
        dock, compare, folder = self.dock, self._program.compare, self._program.compare_folder
        catalog = compare.catalog
        if dock is None or not compare.on or catalog is None:
            return
        result = folder.result
        count: PairCount | None
        times: tuple[float | None, ...]
        if dock.folder_scope and result is not None:
            models, figures, times = result.models, folder.figures(), result.milliseconds
            count = result.pairs.get(compare.pair)
            tip = tr(
                "Pooled over {rows}, {judged} of them with ground truth",
                rows=plural("{n} image", "{n} images", len(result.rows)),
                judged=result.scored,
            )
        else:
            models, figures = tuple(compare.models), [answer.figures for answer in compare.results]
            times = tuple(None if answer.prediction is None else answer.prediction.milliseconds for answer in compare.results)
            count, tip = compare.difference, tr("Share of the pixels in this image")
        names = [(LETTERS[place], model.title) for place, model in enumerate(models)][: len(figures)]
        rows = table_rows(catalog, figures, times, folder=dock.folder_scope) if figures else []
        curves = [() if found is None else found.curve for found in figures]
        dock.show_figures(heading(figures), names, rows, curves, self._program.evaluation.band.width_px)
        dock.show_difference([] if count is None else difference_parts(count, compare.pair), tip)
        lines = [] if result is None else image_lines(result.rows, compare.pair)
        dock.show_images(lines, tr("Run the folder to list the images on which these models differ most."))

    # -- the receptive field ---------------------------------------------------------------------------------------------

    def _show_field(self) -> None:
        receptive = self._program.receptive
        if receptive.field is not self._field or receptive.field is None:
            self._field = receptive.field
            self._canvas.set_mark(None if self._field is None else ReceptiveMark(self._field, self._words(self._field)))
        if receptive.problem:
            self._program.notifier.warning(tr("No receptive field"), receptive.problem, replace_key="receptive")

    def _words(self, field: ReceptiveField) -> str:
        """The text beside the field."""
        card = self._program.models.card
        name = "" if card is None else class_name(card.catalog, field.class_id)
        whole = field.theoretical[0].extent
        size = tr("{width} × {height} px", width=round(whole.width), height=round(whole.height))
        scale = field.extent.width / max(field.gradient.shape[1], 1)
        radii = ", ".join(
            tr("{share:.0%} within {radius} px", share=share, radius=round(radius * scale)).replace("%", " %")
            for share, radius in field.radii
        )
        lines = [
            tr("{name} at {x}, {y}: theory {size}", name=name, x=field.x, y=field.y, size=size),
            tr("gradient: {radii} · {milliseconds}", radii=radii, milliseconds=milliseconds(field.milliseconds)),
        ]
        branches = ", ".join(f"{reach.name}: {round(reach.extent.width)}" for reach in field.theoretical[1:])
        if branches:
            lines.insert(1, tr("dotted, by branch: {branches} px", branches=branches))
        return "\n".join([*lines, field.note] if field.note else lines)
