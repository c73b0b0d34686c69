"""The brush under the hand: real mouse events through the real widgets, from delivery to the end of the last dirty pane's paint.

Run: python benchmarks/brush.py [--megapixels 12 50] [--moves 400]

Two linked panes (mask and errors), live IoU and band histogram on, brush 10 and 200 px of the image, at fit, 1:1 and 4:1. The
path is a hand-like curve: speed and direction change, about a fifth of the moves are faster than the brush is wide.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator

import canvas_scene
import numpy as np
from PySide6.QtCore import QEvent, QObject, QPointF, Qt
from PySide6.QtGui import QMouseEvent
from PySide6.QtWidgets import QApplication, QWidget

from app.state.live_evaluation import LiveEvaluation
from app.viewmodels.annotate.panes import PaneKind

PANES = (1600, 1000)
FRAME_MS = 16.0
DAB_MS = 1.0


class PaintCounter(QObject):
    """Counts paint events, so that a pane which was not repainted cannot pass for a fast one."""

    def __init__(self) -> None:
        super().__init__()
        self.painted: set[int] = set()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Paint:
            self.painted.add(id(watched))
        return False


def path(moves: int, width: int, height: int) -> Iterator[QPointF]:
    """Points in px of the pane."""
    rng = np.random.default_rng(3)
    x, y, heading = width * 0.5, height * 0.5, 0.3
    for step in range(moves):
        heading += rng.normal(0, 0.25)
        speed = 2 + 14 * abs(np.sin(step / 23)) ** 3
        x, y = x + speed * np.cos(heading), y + speed * np.sin(heading)
        if not (60 < x < width - 60 and 60 < y < height - 60):
            heading += np.pi / 2
            x, y = min(max(x, 60), width - 60), min(max(y, 60), height - 60)
        yield QPointF(x, y)


def send(pane: QWidget, kind: QEvent.Type, at: QPointF, *, down: bool) -> None:
    button = Qt.MouseButton.NoButton if kind == QEvent.Type.MouseMove else Qt.MouseButton.LeftButton
    held = Qt.MouseButton.LeftButton if down else Qt.MouseButton.NoButton
    event = QMouseEvent(kind, at, QPointF(pane.mapToGlobal(at)), button, held, Qt.KeyboardModifier.NoModifier)
    QApplication.sendEvent(pane, event)


def stroke(scene: canvas_scene.Scene, live: LiveEvaluation | None, moves: int) -> tuple[list[float], list[float]]:
    """Wall and CPU milliseconds of each move of one stroke."""
    counter = PaintCounter()
    panes = scene.area.views
    for pane in panes:
        pane.installEventFilter(counter)
    first = panes[0]
    wall, cpu = [], []
    points = list(path(moves, first.width(), first.height()))
    send(first, QEvent.Type.MouseButtonPress, points[0], down=True)
    scene.app.processEvents()
    for at in points[1:]:
        counter.painted.clear()
        start, cpu_start = time.perf_counter(), time.process_time()
        send(first, QEvent.Type.MouseMove, at, down=True)
        scene.app.processEvents()
        cpu.append((time.process_time() - cpu_start) * 1e3)
        wall.append((time.perf_counter() - start) * 1e3)
        if len(counter.painted) != len(panes):
            raise RuntimeError("a pane was not repainted")  # the linked cursor alone dirties every pane
        if live is not None:
            live.matrix.iou()
    send(first, QEvent.Type.MouseButtonRelease, points[-1], down=False)
    scene.app.processEvents()
    for pane in panes:
        pane.removeEventFilter(counter)
    return wall, cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megapixels", type=float, nargs="*", default=[12, 16.777216, 50])
    parser.add_argument("--moves", type=int, default=400)
    asked = parser.parse_args()
    for size in asked.megapixels:
        width = round((size * 1e6 * 4 / 3) ** 0.5) if size != 16.777216 else 4096
        height = round(size * 1e6 / width)
        scene = canvas_scene.Scene(width, height, PANES, "double")
        scene.view.set_kind(1, PaneKind.ERRORS)
        live = LiveEvaluation(scene.truth, scene.document)
        print(
            f"{width} x {height} ({width * height / 1e6:.0f} MP), two linked panes of {scene.area.views[0].width()} px, live IoU"
        )
        for diameter in (10, 200):
            scene.tools.set_diameter(diameter)
            for name, scale in (("fit", None), ("1:1", 1.0), ("4:1", 4.0)):
                if scale is None:
                    scene.view.fit()
                else:
                    scene.view.set_scale(scale)
                scene.app.processEvents()
                wall, cpu = stroke(scene, live, asked.moves)
                late = np.mean(np.asarray(wall) > FRAME_MS) * 100
                print(
                    f"  brush {diameter:3d} {name:4s} wall {canvas_scene.percentiles(wall)} ({late:.1f} % over {FRAME_MS:.0f})"
                    f"   CPU {canvas_scene.percentiles(cpu)}"
                )
        scene.view.set_layout("single")
        scene.view.set_scale(1.0)
        live.close()
        for diameter in (10, 200):
            scene.tools.set_diameter(diameter)
            scene.app.processEvents()
            cpu = stroke(scene, None, asked.moves)[1]
            late = f"{np.mean(np.asarray(cpu) > DAB_MS) * 100:.0f} % over {DAB_MS} ms"
            print(f"  one pane, no IoU, brush {diameter:3d} at 1:1: CPU {canvas_scene.percentiles(cpu)} ({late})")
        scene.area.close()


if __name__ == "__main__":
    main()
