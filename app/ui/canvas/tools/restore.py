"""Restore: brings the model's prediction back where it goes. The right button is always this tool."""

from __future__ import annotations

from PySide6.QtGui import QColor

from app.controllers.annotate.edit import StrokeMode
from app.ui.canvas.tools.brush import BrushTool


class RestoreTool(BrushTool):
    """A brush that undoes a person's pixels."""

    erases = True
    mode: StrokeMode = "restore"

    def class_color(self) -> QColor:
        return QColor(120, 200, 255)
