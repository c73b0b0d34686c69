"""A small canvas over a known picture, and the user's gestures on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QColor, QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QWidget

from app.controllers.annotate.edit import EditController
from app.controllers.annotate.view import ViewState
from app.state.document import Document
from app.state.patch import TilePatch
from app.state.tools import ToolState
from app.ui.canvas.canvas_area import CanvasArea
from app.ui.canvas.canvas_view import CanvasView
from app.ui.canvas.layers import LayerSet, PictureSource
from deeplab_core.catalogs.catalog import ClassCatalog, ClassInfo

CHAIR, SOFA = 1, 2
GRAY = 100
COLORS = {0: (0, 0, 0), CHAIR: (250, 60, 40), SOFA: (40, 200, 90)}
CATALOG = ClassCatalog(
    "rooms",
    "Rooms",
    tuple(ClassInfo(i, name, COLORS[i]) for i, name in enumerate(("background", "chair", "sofa"))),
    background=0,
)


@dataclass
class Bench:
    """Everything a test of the canvas holds in its hands."""

    area: CanvasArea
    view: ViewState
    edit: EditController
    tools: ToolState
    document: Document
    layers: LayerSet
    steps: list[tuple[str, TilePatch]]

    @property
    def pane(self) -> CanvasView:
        return self.area.views[0]

    def at(self, x: float, y: float, pane: CanvasView | None = None) -> QPoint:
        """The view pixel under an image point."""
        pane = pane or self.pane
        assert pane.mapping is not None
        return pane.mapping.to_view(x, y).toPoint()

    def drag(self, points: Sequence[tuple[float, float]], button=Qt.MouseButton.LeftButton, *, release: bool = True) -> None:
        """Press at the first image point, move through the others, let go."""
        places = [self.at(*point) for point in points]
        QTest.mouseMove(self.pane, places[0])
        QTest.mousePress(self.pane, button, Qt.KeyboardModifier.NoModifier, places[0])
        for place in places[1:]:
            QTest.mouseMove(self.pane, place)
        if release:
            QTest.mouseRelease(self.pane, button, Qt.KeyboardModifier.NoModifier, places[-1])

    def click(self, x: float, y: float, modifiers=Qt.KeyboardModifier.NoModifier) -> None:
        QTest.mouseMove(self.pane, self.at(x, y))
        QTest.mouseClick(self.pane, Qt.MouseButton.LeftButton, modifiers, self.at(x, y))

    def wheel(self, x: float, y: float, notches: float, modifiers=Qt.KeyboardModifier.NoModifier) -> None:
        turn_wheel(self.pane, QPointF(self.at(x, y)), notches, modifiers)

    def color(self, x: float, y: float, pane: CanvasView | None = None) -> QColor:
        """What the screen shows at an image point."""
        pane = pane or self.pane
        QApplication.processEvents()
        ratio = pane.devicePixelRatioF()
        return pane.grab().toImage().pixelColor(self.at(x, y, pane) * ratio)


def turn_wheel(widget: QWidget, at: QPointF, notches: float, modifiers=Qt.KeyboardModifier.NoModifier) -> None:
    event = QWheelEvent(
        at,
        QPointF(widget.mapToGlobal(at)),
        QPoint(),
        QPoint(0, round(120 * notches)),
        Qt.MouseButton.NoButton,
        modifiers,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(widget, event)


def make_bench(qtbot, width: int = 120, height: int = 90, *, pane=(600, 450), layout: str = "single", **layers: object) -> Bench:
    """A shown canvas over a grey picture; the mask is background, the prediction a sofa in the right half."""
    prediction = np.zeros((height, width), np.uint8)
    prediction[:, width // 2 :] = SOFA
    document = Document(np.zeros((height, width), np.uint8), CATALOG, reference=prediction)
    tools, view = ToolState(CHAIR), ViewState()
    tools.set_diameter(9)
    edit = EditController(tools)
    edit.set_document(document)
    steps: list[tuple[str, TilePatch]] = []
    edit.stepDone.connect(lambda title, patch, _source: steps.append((title, patch)))
    area = CanvasArea(view, edit)
    qtbot.addWidget(area)
    view.set_layout(layout)
    area.resize(*pane)
    given = LayerSet(PictureSource(np.full((height, width, 3), GRAY, np.uint8)), CATALOG, document.labels, prediction, **layers)
    area.set_layers(given)
    area.show()
    qtbot.waitExposed(area)
    QApplication.processEvents()
    return Bench(area, view, edit, tools, document, given, steps)


def close_to(color: QColor, rgb: tuple[int, int, int], tolerance: int = 4) -> bool:
    """Whether a colour of the screen is a given one, up to rounding of the blend."""
    return all(abs(a - b) <= tolerance for a, b in zip((color.red(), color.green(), color.blue()), rgb, strict=True))


def blended(class_id: int, opacity: float) -> tuple[int, int, int]:
    """The colour of a class laid over the grey picture."""
    red, green, blue = (round(GRAY * (1 - opacity) + part * opacity) for part in COLORS[class_id])
    return red, green, blue
