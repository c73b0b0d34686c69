"""CPU of the main thread for each move of a brush in napari's Labels layer; ``latency.py`` runs it with a Python that has napari.

    python benchmarks/latency_napari.py WIDTH HEIGHT DIAMETER ...

Real mouse events go to the canvas; a move ends when the canvas has been drawn. Prints one line of JSON.
"""

from __future__ import annotations

import json
import sys
import time

import napari
import numpy as np
from qtpy.QtCore import QEvent, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QApplication

MOVES = 120


def main() -> None:
    width, height, *diameters = map(int, sys.argv[1:])
    rng = np.random.default_rng(1)
    viewer = napari.Viewer()
    viewer.window.resize(1600, 1000)
    app = QApplication.instance()
    tile = rng.integers(0, 256, (256, 256, 3), dtype=np.uint8)
    viewer.add_image(np.tile(tile, (height // 256 + 1, width // 256 + 1, 1))[:height, :width], rgb=True)
    coarse = rng.integers(1, 21, (height // 128 + 1, width // 128 + 1), dtype=np.uint8)
    layer = viewer.add_labels(np.kron(coarse, np.ones((128, 128), np.uint8))[:height, :width])
    layer.mode = "paint"
    viewer.reset_view()
    canvas = viewer.window._qt_viewer.canvas
    native = canvas.native
    drawn: list[int] = []
    canvas._scene_canvas.events.draw.connect(lambda _event: drawn.append(1))

    def send(kind: QEvent.Type, at: QPointF, held: Qt.MouseButton) -> None:
        button = Qt.MouseButton.NoButton if kind == QEvent.Type.MouseMove else Qt.MouseButton.LeftButton
        event = QMouseEvent(kind, at, native.mapToGlobal(at), button, held, Qt.KeyboardModifier.NoModifier)
        QApplication.sendEvent(native, event)

    for _ in range(50):
        app.processEvents()
    moves: dict[int, list[float]] = {}
    undrawn = 0
    for number, diameter in enumerate(diameters):
        layer.brush_size = diameter
        layer.selected_label = 1 + number % 20
        spent: list[float] = []
        x, y, heading = native.width() * 0.5, native.height() * 0.5, 0.3
        send(QEvent.Type.MouseButtonPress, QPointF(x, y), Qt.MouseButton.LeftButton)
        before = layer.data[:: max(height // 64, 1), :: max(width // 64, 1)].copy()
        for step in range(MOVES):
            heading += rng.normal(0, 0.25)
            speed = 2 + 14 * abs(np.sin(step / 23)) ** 3
            x, y = x + speed * np.cos(heading), y + speed * np.sin(heading)
            if not (0.3 * native.width() < x < 0.7 * native.width() and 0.3 * native.height() < y < 0.7 * native.height()):
                heading += np.pi / 2
                x = min(max(x, 0.3 * native.width()), 0.7 * native.width())
                y = min(max(y, 0.3 * native.height()), 0.7 * native.height())
            drawn.clear()
            start = time.thread_time()
            send(QEvent.Type.MouseMove, QPointF(x, y), Qt.MouseButton.LeftButton)
            for _ in range(20):
                app.processEvents()
                if drawn:
                    break
            undrawn += not drawn
            spent.append((time.thread_time() - start) * 1e3)
        send(QEvent.Type.MouseButtonRelease, QPointF(x, y), Qt.MouseButton.NoButton)
        app.processEvents()
        if diameter * native.height() > 10 * height and np.array_equal(
            before, layer.data[:: max(height // 64, 1), :: max(width // 64, 1)]
        ):
            raise RuntimeError("the brush painted nothing")
        moves[diameter] = spent
    view = [native.width(), native.height()]
    print(json.dumps({"version": napari.__version__, "view": view, "moves": moves, "undrawn": undrawn}))
    viewer.close()


if __name__ == "__main__":
    main()
