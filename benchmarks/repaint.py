"""Full repaints of the canvas at 1600 x 1000: every kind of pane, at scales from fit to 16x, and the overlay's alternatives.

Run: python benchmarks/repaint.py [--megapixels 12 100] [--alternatives]

A repaint is everything that a pan or zoom step costs: photograph and overlay of every device pixel, and the blit. Zooms are drawn
at random between fit and 16x, log-uniformly, at random places; one distribution per kind of pane.
"""

from __future__ import annotations

import argparse
import time

import canvas_scene
import numpy as np
from PySide6.QtCore import QRectF
from PySide6.QtGui import QImage, QPainter

from app.viewmodels.annotate.panes import PaneKind

VIEW = (1600, 1000)
LIMIT_MS = 33.0


def repaints(scene: canvas_scene.Scene, count: int) -> tuple[list[float], list[float]]:
    """Milliseconds of wall and of CPU time of ``count`` repaints at random places and scales."""
    rng = np.random.default_rng(0)
    width, height = scene.layers.picture.size
    times: list[float] = []
    cpu: list[float] = []
    lowest, highest = np.log(scene.view.fit_scale), np.log(16.0)
    for _ in range(count):
        scene.view.set_scale(float(np.exp(rng.uniform(lowest, highest))))
        scene.view.center_on(rng.uniform(0, width), rng.uniform(0, height))
        start, cpu_start = time.perf_counter(), time.process_time()
        for pane in scene.area.views:
            pane.repaint()
        cpu.append((time.process_time() - cpu_start) * 1e3)
        times.append((time.perf_counter() - start) * 1e3)
    return times, cpu


def report(name: str, wall: list[float], cpu: list[float]) -> None:
    """One line; CPU time is what a quiet machine would show."""
    late = f"{np.mean(np.asarray(cpu) > LIMIT_MS) * 100:.0f} % over {LIMIT_MS:.0f} ms"
    print(f"  {name:12s} CPU {canvas_scene.percentiles(cpu)} ({late})   wall {canvas_scene.percentiles(wall)}")


def by_scale(scene: canvas_scene.Scene) -> str:
    """Median CPU milliseconds at some scales, around the middle."""
    parts = []
    for scale in (scene.view.fit_scale, 0.26, 0.51, 0.99, 1.0, 2.0, 4.0, 16.0):
        if scale < scene.view.fit_scale:
            continue
        times = []
        for nudge in range(7):
            scene.view.set_scale(scale)
            scene.view.center_on(scene.layers.picture.size[0] / 2 + nudge, scene.layers.picture.size[1] / 2)
            start = time.process_time()
            scene.area.views[0].repaint()
            times.append((time.process_time() - start) * 1e3)
        parts.append(f"{scale:.2f}: {np.median(times):.1f}")
    return "  ".join(parts)


def alternatives(scene: canvas_scene.Scene, fit: float) -> None:
    """The two overlays that adr 0010 turned down, painted over a ready photograph: no contours, no hatching."""
    labels = scene.document.labels
    height, width = labels.shape
    target = QImage(*VIEW, QImage.Format.Format_RGB32)
    target.fill(0)
    table = np.random.default_rng(0).integers(0, 2**31, 256, dtype=np.uint32)
    indexed = QImage(labels.data, width, height, width, QImage.Format.Format_Indexed8)
    indexed.setColorTable([int(v) for v in table])
    start = time.perf_counter()
    pixels = table.take(labels)
    build = (time.perf_counter() - start) * 1e3
    argb = QImage(pixels.data, width, height, width * 4, QImage.Format.Format_ARGB32_Premultiplied)
    print(f"  ARGB32_Premultiplied: {pixels.nbytes / 1e6:.0f} MB, built (and rebuilt on any change of colour) in {build:.0f} ms")
    for name, overlay in (("Indexed8", indexed), ("ARGB32_Premultiplied", argb)):
        parts = []
        for scale in (fit, 0.51, 0.99, 1.0, 4.0, 16.0):
            w, h = min(VIEW[0] / scale, width), min(VIEW[1] / scale, height)
            source = QRectF((width - w) / 2, (height - h) / 2, w, h)
            times = []
            for _ in range(7):
                start = time.process_time()
                painter = QPainter(target)
                painter.drawImage(QRectF(0, 0, w * scale, h * scale), overlay, source)
                painter.end()
                times.append((time.process_time() - start) * 1e3)
            parts.append(f"{scale:.2f}: {np.median(times):.1f}")
        print(f"  {name:21s} full, overlay only (CPU ms by scale)  {'  '.join(parts)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megapixels", type=int, nargs="*", default=[12, 100])
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--alternatives", action="store_true")
    asked = parser.parse_args()
    for size in asked.megapixels:
        width = round((size * 1e6 * 4 / 3) ** 0.5)
        height = round(size * 1e6 / width)
        scene = canvas_scene.Scene(width, height, VIEW)
        print(
            f"{width} x {height} ({width * height / 1e6:.0f} MP), picture and pyramid {scene.layers.picture.nbytes / 1e6:.0f} MB"
        )
        for kind in PaneKind:
            scene.view.set_kind(0, kind)
            report(kind, *repaints(scene, asked.count))
        scene.view.set_kind(0, PaneKind.MASK)
        fit = scene.view.fit_scale
        print(f"  mask by scale (CPU ms)  {by_scale(scene)}")
        scene.view.set_layout("quad")
        scene.app.processEvents()
        report("four panes", *repaints(scene, asked.count))
        if asked.alternatives:
            alternatives(scene, fit)
        scene.area.close()


if __name__ == "__main__":
    main()
