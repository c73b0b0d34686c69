"""A walk through the main screens of the window, for tests of what holds on all of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from PySide6.QtCore import Qt

from app.ui.common.panel import Panel
from app.ui.evaluate.evaluation_view import EvaluationView
from app.ui.evaluate.matrix_view import MatrixView
from tests.gui.studio import Studio


def main_screens(studio: Studio, folder: Path) -> Iterator[str]:
    """Bring one screen after the other into view; yields its name while it is there.

    They are the start page, the image with each panel in front, a message, errors on the image, each page of the evaluation of
    the folder, and two models beside each other.
    """
    studio.settle()
    yield "start page"
    (Path(os.environ["ATROUS_MODEL_DIR"]) / "tigers.safetensors").write_bytes(b"")
    studio.start_model()
    studio.open(folder)
    studio.window.model.run_folder.click()
    studio.wait(lambda: not studio.program.jobs.running and studio.program.context["has_prediction"])
    studio.program.notifier.warning("A message", "with a close button")
    studio.window.trimap.build_plot()
    studio.paint((20, 20), (40, 30))
    studio.settle()
    for dock in [part for part in studio.window.children() if isinstance(part, Panel)]:
        dock.show()
        dock.raise_()
        studio.settle()
        yield f"image, {dock.objectName()}"
    studio.window.model.raise_()
    studio.window.model.more.setChecked(True)
    studio.press(Qt.Key.Key_R, on=studio.view)
    studio.settle()
    yield "errors on the image"
    yield from _evaluation(studio)
    studio.press(Qt.Key.Key_C, Qt.KeyboardModifier.ShiftModifier, on=studio.view)
    compare = studio.program.compare
    studio.wait(lambda: len(compare.results) == 2 and all(answer.figures is not None for answer in compare.results))
    studio.settle()
    yield "comparison"


def _evaluation(studio: Studio) -> Iterator[str]:
    studio.press(Qt.Key.Key_O, on=studio.view)
    inspect = studio.program.inspect
    studio.wait(lambda: inspect.index is not None and len(inspect.index) > 0 and not inspect.inspecting)
    studio.settle()
    view = studio.window.stack.currentWidget()
    assert isinstance(view, EvaluationView)
    for title in list(view.titles):
        view.show_page(title)
        studio.settle()
        studio.qtbot.wait(30)
        studio.settle()
        for matrix in (one for one in view.findChildren(MatrixView) if one.isVisible()):
            studio.wait(lambda matrix=matrix: matrix.table is not None and len(matrix.table.rows) > 0)
        yield f"evaluation, {title}"
    view.show_page(view.titles[0])
    assert studio.application.presenter is not None
    studio.application.presenter.inspect.view.setFocus()
    studio.press(Qt.Key.Key_Escape, on=view)
    studio.settle()
