"""Eraser: paints the catalog's background class, or void where it has none."""

from __future__ import annotations

from PySide6.QtGui import QColor

from app.controllers.annotate.edit import StrokeMode
from app.ui.canvas.tools.brush import BrushTool


class EraserTool(BrushTool):
    """A brush that takes labels away."""

    erases = True
    mode: StrokeMode = "erase"

    def class_color(self) -> QColor:
        return QColor(255, 90, 90)
