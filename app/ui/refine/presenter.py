"""Carries the signals of the CRF's controllers into its dock, the trimap curve and the panes, and the user's actions back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QFileDialog

from app.controllers.workspace import Program
from app.state.refinement import RefineFigures
from app.text import tr
from app.ui.shell.main_window import MainWindow
from app.viewmodels.evaluate.curves import CurveSet


class CRFPresenter(QObject):
    """The wires between the CRF dock and the program."""

    def __init__(self, window: MainWindow, program: Program) -> None:
        super().__init__(window)
        self._window, self._program = window, program
        self._curves = CurveSet()
        dock, refine = window.crf, program.refine
        program.crf.changed.connect(self._show_params)
        refine.statusChanged.connect(dock.show_status)
        program.refine_meter.changed.connect(self._show_figures)
        program.evaluation.curvesChanged.connect(self._show_curves)
        dock.paramsChosen.connect(lambda params, dragging: refine.set_params(params, dragging=dragging))
        dock.presetChosen.connect(refine.choose_params)
        dock.openAsked.connect(self.open_params)
        dock.baseChosen.connect(refine.set_base)
        dock.scopeChosen.connect(refine.set_scope)
        dock.certaintyChosen.connect(lambda value, dragging: refine.set_certainty(value, dragging=dragging))
        dock.beforeHeld.connect(refine.hold_before)
        dock.runAsked.connect(program.predict.run_image)
        dock.maskAsked.connect(refine.refine_mask)
        self._show_params()
        dock.show_status(refine.status)

    def open_params(self) -> None:
        """Ask for the report of a parameter search."""
        start = str(self._program.session.project.folder if self._program.session.project else Path.home())
        path, _ = QFileDialog.getOpenFileName(self._window, tr("Open CRF parameters"), start, tr("Search reports (*.json)"))
        if path:
            self._program.refine.open_params(Path(path))
        self._show_params()  # the list shows the current ones, also without a choice

    def _show_params(self) -> None:
        crf, dock = self._program.crf, self._window.crf
        dock.show_choices(crf.choices(), crf.params)
        dock.show_options(crf.base, crf.scope, crf.certainty)

    def _show_figures(self, figures: RefineFigures | None) -> None:
        self._window.crf.show_status(self._program.refine.status)
        catalog = self._program.classes.shown
        if figures is not None and catalog is not None:
            colors = {info.name: info.color for info in catalog.classes}
            rows = tuple(replace(row, color=colors.get(row.name, row.color)) for row in figures.classes)
            figures = replace(figures, classes=rows)
        self._window.crf.show_figures(figures)
        self._draw_curves()

    def _show_curves(self, curves: CurveSet) -> None:
        self._curves = curves
        self._draw_curves()

    def _draw_curves(self) -> None:
        curves = self._curves
        if curves.image:
            curves = replace(curves, image=(*curves.image, *self._program.refine_meter.curves()))
        self._window.trimap.show_curves(curves)
