"""The part 'large' of the benchmark of the window: an image of 100 megapixels with everything."""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from interaction_parts import FRAME_MS, PIXELS_S, ROOT, WINDOW_MB, WORKER_MB, Desk, line, processor_seconds, resident
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from app.viewmodels.annotate.panes import PaneLayout

#: Writes the large images and their ground truth, and prints how long decoding takes: a process whose memory is not counted.
_MAKE = """
import sys, time
from pathlib import Path
import canvas_scene, cv2, numpy as np
from deeplab_core.catalogs import get_catalog
from deeplab_core.images.decode import read_image
from deeplab_core.masks.png import write_indexed_png
folder, side = Path(sys.argv[1]), int(sys.argv[2])
(folder / "images").mkdir(parents=True)
(folder / "labels").mkdir()
image = cv2.cvtColor(canvas_scene.photograph(side, side), cv2.COLOR_RGB2BGR)
for number in range(2):
    cv2.imwrite(str(folder / "images" / f"large_{number}.jpg"), image)
    truth = canvas_scene.blobs(side, side, 11 + number)
    truth[:40] = 255
    write_indexed_png(folder / "labels" / f"large_{number}.png", truth, get_catalog("voc21"))
start = time.perf_counter()
read_image(folder / "images" / "large_1.jpg")
print(time.perf_counter() - start)
"""


def large(asked: argparse.Namespace) -> None:
    """100 megapixels with everything."""
    with tempfile.TemporaryDirectory() as root:
        command = [sys.executable, "-c", _MAKE, f"{root}/set", str(asked.side)]
        paths = os.pathsep.join([str(ROOT), str(ROOT / "benchmarks")])
        done = subprocess.run(command, env=os.environ | {"PYTHONPATH": paths}, capture_output=True, text=True, check=True)
        _large(asked, Path(root) / "set" / "images", float(done.stdout.splitlines()[-1]))


def _large(asked: argparse.Namespace, folder: Path, decode: float) -> None:
    desk = Desk(asked.profile)
    desk.load()
    desk.program.settings.set("work.auto_predict", False)
    session = desk.program.session
    memory(desk, "before")
    for name, action in (
        ("new project, with a look at its ground truth", lambda: desk.program.new_project.open(folder, ask=False)),
        ("next image", desk.program.projects.next_image),
    ):
        before, began = None if session.image is None else session.image.id, time.perf_counter()
        action()
        desk.until(lambda before=before: session.image is not None and session.image.id != before)  # type: ignore[misc]
        desk.counter.painted.clear()
        desk.until(lambda: desk.counter.painted)
        seen = time.perf_counter() - began
        print(f"  {name}: first pixels after {seen:.2f} s, decoding alone {decode:.2f} s (aim: {PIXELS_S:g} s more)")
        desk.settle()
        memory(desk, f"{name}")
    began = time.perf_counter()
    desk.program.predict.run_image()
    desk.until(lambda: desk.program.context["has_prediction"])
    desk.settle()
    print(f"  predicted after {time.perf_counter() - began:.1f} s")
    memory(desk, "predicted")
    desk.show_errors()
    memory(desk, "mask and errors in view")
    desk.program.tools.set_diameter(200)
    for number in range(5):
        desk.program.tools.choose_class(number)
        desk.program.edit.begin_stroke(1000.0 * number, 2000)
        desk.program.edit.extend_stroke([(1000.0 * number + 20 * at, 2000.0 + 30 * at) for at in range(100)])
        desk.program.edit.commit_stroke()
        desk.settle()
    memory(desk, "strokes")
    corners = [(100.0, 100.0), (asked.side - 100.0, 100.0), (asked.side - 100.0, asked.side - 100.0)]
    desk.program.edit.polygon(corners)
    desk.settle()
    desk.program.edit.undo()
    desk.settle()
    memory(desk, "half of the image filled, undone")
    _views(desk)
    memory(desk, "zoomed and panned")
    desk.program.inspect.inspect_folder()
    began, mine, apart = time.perf_counter(), time.process_time(), [(0, 0.0)]

    def inspected() -> bool:
        for process in multiprocessing.active_children():
            if process.name == "atrous-inspect":
                with contextlib.suppress(OSError, KeyError, IndexError):  # it has just ended
                    apart.append((resident(process.pid)[1], processor_seconds(process.pid)))
        return not desk.program.inspect.inspecting

    desk.until(inspected, pause=0.02)  # shorter ones cost CPU that would be counted
    taken, used = time.perf_counter() - began, time.process_time() - mine
    desk.settle()
    held, theirs = max(apart)[0], max(seconds for _, seconds in apart)
    print(f"  inspected after {taken:.1f} s, {used:.1f} s of CPU, {desk.inspected(1)} errors")
    print(f"  the process that inspects: {theirs:.1f} s of CPU, at most {held} MB")
    memory(desk, "inspected")
    desk.close()


def _views(desk: Desk) -> None:
    """Wheel and space-drag over the image."""
    view, times, cpu = desk.view, [], []

    def frame(action: Callable[[], None]) -> None:
        desk.counter.painted.clear()
        start, mine = time.perf_counter(), time.thread_time()
        action()
        while not desk.counter.painted:
            desk.app.processEvents()
        times.append((time.perf_counter() - start) * 1e3)
        cpu.append((time.thread_time() - mine) * 1e3)

    for layout in (PaneLayout.SINGLE, PaneLayout.DOUBLE):
        desk.program.view.set_layout(layout)
        desk.settle()
        for name, notches in (("zoom in", [120] * 24), ("zoom out", [-120] * 24)):
            times.clear()
            cpu.clear()
            at = QPointF(view.width() * 0.4, view.height() * 0.6)
            for delta in notches:
                event = QWheelEvent(
                    at, view.mapToGlobal(at), QPoint(), QPoint(0, delta), Qt.MouseButton.NoButton,
                    Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False,
                )  # fmt: skip
                frame(lambda event=event: QApplication.sendEvent(view, event))
            line(f"{layout}, {name}: wall ms", times, FRAME_MS)
        for scale in (None, 0.25, 1.0):
            canvas = desk.program.view
            canvas.fit() if scale is None else canvas.set_scale(scale)
            desk.settle()
            times.clear()
            cpu.clear()
            middle = QPoint(view.width() // 2, view.height() // 2)
            QTest.mousePress(view, Qt.MouseButton.MiddleButton, Qt.KeyboardModifier.NoModifier, middle)
            for step in range(1, 60):
                to = middle + QPoint(int(200 * np.sin(step / 8)), int(120 * np.cos(step / 8)) - 120)
                frame(lambda to=to: QTest.mouseMove(view, to))
            QTest.mouseRelease(view, Qt.MouseButton.MiddleButton, Qt.KeyboardModifier.NoModifier, middle)
            line(f"{layout}, pan at {scale or 'fit'}: wall ms", times, FRAME_MS)
    desk.program.view.fit()
    desk.settle()


def memory(desk: Desk, when: str) -> None:
    (now, most), (worker, worker_most) = resident(os.getpid()), resident(desk.worker)
    mine, theirs = f"{now:5d} MB (at most {most}, aim {WINDOW_MB})", f"{worker:5d} ({worker_most}, {WORKER_MB})"
    print(f"  {when:44s} window {mine}   worker {theirs}", flush=True)
