"""What a hand feels: from a press or a move to the painted pixel, in the real window, with napari's Labels layer beside it.

    python benchmarks/latency.py [--sizes 4096x4096 11547x8660] [--only strokes long dab history napari] [--napari PYTHON]

The whole program runs on one photograph with a prediction and ground truth: three linked views (mask, errors, prediction), live
IoU and trimap curve on. Real mouse events come at 125 Hz. ``paint`` is CPU of the window's thread from the delivery of an event
to the end of the last dirty view's paint, ``all`` everything that the thread does until the next event (figures, curve, lists,
saving). Wall time stands beside that of an empty window that gets the same events in the same run: it shows what the machine
adds. Only the compute process is a stand-in.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import stalls  # first: it gives the program a home of its own

os.environ.setdefault("OMP_NUM_THREADS", "1")

import brush
import canvas_scene
import numpy as np
from PySide6.QtCore import QEvent, QEventLoop, QPointF, Qt, QTimer
from PySide6.QtGui import QColor, QPainter, QPaintEvent
from PySide6.QtWidgets import QApplication, QWidget

from app.services.undo import UndoHistory
from app.state.document import Document
from app.state.edits import StrokeSession
from app.state.patch import TilePatch
from app.state.project import Project
from app.state.provenance import Provenance
from app.viewmodels.annotate.panes import PaneKind, PaneLayout
from deeplab_core.catalogs import get_catalog
from deeplab_core.errors import message

PARTS = ("strokes", "long", "dab", "history", "napari")
EVENT_MS = 8
FRAME_MS, STEP_MS, UNDO_MS, DAB_MS, PUSH_MS = 16.0, 25.0, 50.0, 1.0, 1.0
DIAMETERS = (10, 50, 200, 1000)
LONG = 2000
LAYOUT = (PaneKind.MASK, PaneKind.ERRORS, PaneKind.PREDICTION)


@dataclass
class Times:
    """Milliseconds of one kind of action."""

    paint: list[float] = field(default_factory=list)
    all: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)
    empty: list[float] = field(default_factory=list)

    def line(self, limit: float) -> str:
        paint, work = np.asarray(self.paint), np.asarray(self.all)
        within = np.mean(work <= limit) * 100
        wall, empty = np.median(self.wall), np.median(self.empty) if self.empty else float("nan")
        return (
            f"paint p50 {np.median(paint):6.2f} p95 {np.percentile(paint, 95):6.2f}   all p95 {np.percentile(work, 95):6.2f}"
            f" max {work.max():6.1f}   {within:5.1f} % within {limit:.0f}   wall p50 {wall:6.2f} (empty window {empty:.2f})"
        )


class EmptyWindow(QWidget):
    """Repaints one small rectangle for each move: the least that any window costs."""

    def __init__(self, width: int, height: int) -> None:
        super().__init__()
        self.resize(width, height)
        self.setMouseTracking(True)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self._at = QPointF()

    def mouseMoveEvent(self, event: object) -> None:
        self._at = event.position()  # type: ignore[attr-defined]
        self.update(self._at.toPoint().x() - 8, self._at.toPoint().y() - 8, 16, 16)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.fillRect(event.rect(), QColor("teal"))
        painter.end()


class Desk:
    """The program on one image of a size, and an empty window."""

    def __init__(self, folder: Path, width: int, height: int) -> None:
        self.walk = stalls.Walk(folder, width, height, argparse.Namespace(profile="", limit=1e9))
        self.walk.beat.pause()
        self.app, self.program = self.walk.app, self.walk.program
        self.size = width, height
        program, projects = self.program, self.program.projects
        self.walk.oracle.labels = canvas_scene.blobs(width, height, 12)
        program.settings.set("work.auto_predict", False)
        (folder.parent / "made_beforehand.safetensors").touch()
        program.models.start()
        program.models.load(folder.parent / "made_beforehand.safetensors")
        self.walk.settle()
        projects.open(folder)
        self.until(lambda: program.session.image is not None)
        image = program.session.image
        assert image is not None
        self.document = image.document
        program.predict.run_image()
        self.until(lambda: bool(self.document.provenance.all()))
        self.until(lambda: program.evaluation.live is not None)
        program.view.set_layout(PaneLayout.TRIPLE)
        for index, kind in enumerate(LAYOUT):
            program.view.set_kind(index, kind)
        self.walk.settle()
        presenter = self.walk.application.presenter
        assert presenter is not None
        self.panes = presenter.canvas.views
        self.counter = brush.PaintCounter()
        for pane in self.panes:
            pane.installEventFilter(self.counter)
        self.empty = EmptyWindow(self.panes[0].width(), self.panes[0].height())
        self.empty.show()
        self.app.processEvents()

    def until(self, condition: Callable[[], bool]) -> None:
        end = time.perf_counter() + 120
        while not condition():
            if time.perf_counter() > end:
                raise TimeoutError("the program does not get ready")
            self.app.processEvents()

    def rest(self, since: float) -> None:
        """Let the program work until the next event of a mouse of 125 Hz."""
        left = EVENT_MS - round((time.perf_counter() - since) * 1e3)
        loop = QEventLoop()
        QTimer.singleShot(max(left, 0), loop.quit)
        loop.exec()

    def act(self, times: Times, action: Callable[[], None], *, all_panes: bool = True) -> None:
        """One action: until it is painted, and until the next event."""
        self.counter.painted.clear()
        start, wall = time.thread_time(), time.perf_counter()
        action()
        self.app.processEvents()
        times.paint.append((time.thread_time() - start) * 1e3)
        times.wall.append((time.perf_counter() - wall) * 1e3)
        if all_panes and len(self.counter.painted) != len(self.panes):
            raise RuntimeError("a view was not repainted")
        self.rest(wall)
        times.all.append((time.thread_time() - start) * 1e3)

    def empty_move(self, times: Times, at: QPointF) -> None:
        wall = time.perf_counter()
        brush.send(self.empty, QEvent.Type.MouseMove, at, down=True)
        self.app.processEvents()
        times.empty.append((time.perf_counter() - wall) * 1e3)

    def send(self, kind: QEvent.Type, at: QPointF) -> None:
        brush.send(self.panes[0], kind, at, down=kind != QEvent.Type.MouseButtonRelease)

    def stroke(self, points: Iterable[QPointF], press: Times, move: Times, release: Times) -> None:
        first, *rest = points
        self.act(press, lambda: self.send(QEvent.Type.MouseButtonPress, first), all_panes=False)
        for at in rest:
            self.act(move, lambda at=at: self.send(QEvent.Type.MouseMove, at))
            self.empty_move(move, at)
        self.act(release, lambda: self.send(QEvent.Type.MouseButtonRelease, rest[-1]), all_panes=False)

    def points(self, moves: int) -> list[QPointF]:
        """A path in the middle of the first view, which the two smaller ones show as well."""
        width, height = self.panes[0].width(), self.panes[0].height()
        corner = QPointF((width - height) / 2, 0)
        return [corner + at for at in brush.path(moves, height, height)]

    def undone(self, times: Times, command: Callable[[], None]) -> None:
        """Undo or redo, to the last tile: a large step is written between other events."""
        start, wall = time.thread_time(), time.perf_counter()
        command()
        self.app.processEvents()
        times.paint.append((time.thread_time() - start) * 1e3)
        while not self.document.settled:
            self.app.processEvents()
        self.app.processEvents()
        times.all.append((time.thread_time() - start) * 1e3)
        times.wall.append((time.perf_counter() - wall) * 1e3)

    def scale(self, scale: float | None) -> None:
        view = self.program.view
        view.fit() if scale is None else view.set_scale(scale)
        self.walk.settle()

    def strokes(self, moves: int, presses: int, diameters: Sequence[int]) -> None:
        """Presses, moves and releases of every brush and scale."""
        for diameter in diameters:
            self.program.tools.set_diameter(diameter)
            for name, scale in (("fit", None), ("1:1", 1.0)):
                self.scale(scale)
                press, move, release, undo, redo = (Times() for _ in range(5))
                points = self.points(moves)
                for number in range(presses):
                    self.program.tools.choose_class(number % 20)
                    count = moves // presses
                    part = points[number * count : (number + 1) * count]
                    self.stroke(part, press, move, release)
                for command, times in ((self.program.edit.undo, undo), (self.program.edit.redo, redo)) * 3:
                    self.undone(times, command)
                title = f"  brush {diameter:4d} {name}"
                print(f"{title:18s} press    {press.line(FRAME_MS)}")
                print(f"{'':18s} move     {move.line(FRAME_MS)}")
                print(f"{'':18s} release  {release.line(FRAME_MS)}")
                print(
                    f"{'':18s} undo, redo CPU max {max(undo.all):.1f}, {max(redo.all):.1f} ms (limit {UNDO_MS:.0f})", flush=True
                )

    def long(self, diameters: Sequence[int]) -> None:
        """One stroke of 2,000 steps per brush, its end, its undo and redo."""
        for diameter in diameters:
            self.program.tools.set_diameter(diameter)
            self.scale(None)
            self.program.tools.choose_class(3 + diameter % 7)
            press, move, release, undo, redo = (Times() for _ in range(5))
            self.stroke(self.points(LONG), press, move, release)
            first, last = np.median(move.all[:200]), np.median(move.all[-200:])
            within = np.mean(np.asarray(move.all) <= STEP_MS) * 100
            for command, times in ((self.program.edit.undo, undo), (self.program.edit.redo, redo)) * 2:
                self.undone(times, command)
            print(
                f"  {LONG} steps, brush {diameter:4d}: max {max(move.all):.1f} ms ({within:.1f} % within {STEP_MS:.0f}), first"
                f" 200 {first:.2f}, last 200 {last:.2f}; end {max(release.all):.1f};"
                f" undo until painted {max(undo.paint):.1f}, whole {max(undo.all):.1f};"
                f" redo {max(redo.paint):.1f}, {max(redo.all):.1f}",
                flush=True,
            )

    def close(self) -> None:
        self.empty.close()
        self.walk.close()


def windows(sizes: list[tuple[int, int]], only: set[str], asked: argparse.Namespace) -> None:
    for width, height in sizes:
        with tempfile.TemporaryDirectory() as root:
            desk = Desk(stalls.make_folder(Path(root) / "set", width, height), width, height)
            panes = " + ".join(f"{pane.width()}x{pane.height()}" for pane in desk.panes)
            print(f"{width} x {height} ({width * height / 1e6:.0f} MP), views {panes}, window's thread, CPU ms")
            if "strokes" in only:
                desk.strokes(asked.moves, asked.presses, asked.brushes)
            if "long" in only:
                desk.long(asked.brushes)
            desk.close()


def dabs(sizes: list[tuple[int, int]]) -> None:
    """One view, no live IoU, at 1:1: what a dab itself costs."""
    for width, height in sizes:
        scene = canvas_scene.Scene(width, height, brush.PANES)
        scene.view.set_scale(1.0)
        for diameter in (10, 200):
            scene.tools.set_diameter(diameter)
            scene.app.processEvents()
            cpu = brush.stroke(scene, None, 400)[1]
            print(
                f"dab {width} x {height}, brush {diameter:3d}: CPU {canvas_scene.percentiles(cpu)} (limit {DAB_MS:.0f})",
                flush=True,
            )
        scene.area.close()


def history(most: int) -> None:
    """What a stroke pays for the strokes before it: the undo stack, and the journal on disk."""
    marks = [count for count in (250, 1000, 5000, 10_000, 20_000) if count <= most]
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as root:
        folder = stalls.make_folder(Path(root) / "set", 1024, 768)
        with Project.open(folder, catalog=get_catalog("voc21")) as project:
            image = project.images[0].id
            document = Document.blank((768, 1024), get_catalog("voc21"))
            undo = UndoHistory()
            undo.open(image, document, [])
            pushes, appends = [], []
            for number in range(marks[-1]):
                patch = short_stroke(document, number, rng)
                pushes.append(timed(lambda: undo.push(message("Brush"), patch, Provenance.USER)))  # noqa: B023
                appends.append(timed(lambda: project.append_step(image, message("Brush"), Provenance.USER, patch)))  # noqa: B023
                if number % 20 == 19:
                    project.sync()
                if number + 1 in marks:
                    log = (project.directory / "project.db-wal").stat().st_size / 1e6
                    print(
                        f"history, {number + 1:6d} strokes: push {statistics.median(pushes[-200:]):.3f}"
                        f" (largest {max(pushes[-200:]):.2f}), journal {statistics.median(appends[-200:]):.3f} CPU ms"
                        f" (limit {PUSH_MS:.0f}), log {log:.0f} MB",
                        flush=True,
                    )
            undo.close()
        bounded = UndoHistory(budget=4 << 20)
        bounded.open(image, document, [])
        pushes = []
        for number in range(6000):
            patch = short_stroke(document, number, rng)
            pushes.append(timed(lambda: bounded.push(message("Brush"), patch, Provenance.USER)))  # noqa: B023
        late = np.asarray(pushes[-2000:])
        print(
            f"history at its bound: push median {np.median(late):.3f}, p99 {np.percentile(late, 99):.3f},"
            f" largest {late.max():.1f} CPU ms"
        )
        bounded.close()


def short_stroke(document: Document, number: int, rng: np.random.Generator) -> TilePatch:
    session = StrokeSession(document, value=number % 20, diameter=40)
    x, y = rng.uniform(0, 700, size=2)
    session.begin(x, y)
    session.extend([(x + d, y + 20) for d in range(0, 160, 8)])
    return session.commit()


def timed(work: Callable[[], object]) -> float:
    start = time.thread_time()
    work()
    return (time.thread_time() - start) * 1e3


def napari(python: str, sizes: list[tuple[int, int]]) -> None:
    """The same strokes in napari's Labels layer, and in ours with one view and no figures: a process for each, in turns."""
    if not shutil.which(python) or subprocess.run([python, "-c", "import napari"], capture_output=True, check=False).returncode:
        print("napari: not measured, there is no Python with napari (--napari PYTHON)")
        return
    screen = shutil.which("xvfb-run")
    if screen is None and not os.environ.get("DISPLAY"):
        print("napari: not measured, it needs a screen or xvfb-run")
        return
    peer = Path(__file__).with_name("latency_napari.py")
    for width, height in sizes:
        command = [python, str(peer), str(width), str(height), *map(str, DIAMETERS)]
        if not os.environ.get("DISPLAY"):
            command = [str(screen), "-a", "-s", "-screen 0 1920x1080x24", *command]
        environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "QT_QPA_PLATFORM")}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        if done.returncode:
            print(f"napari: not measured at {width} x {height}: {done.stderr.strip().splitlines()[-1:]}")
            continue
        theirs = json.loads(done.stdout.splitlines()[-1])
        scene = canvas_scene.Scene(width, height, (theirs["view"][0], theirs["view"][1]))
        print(
            f"napari {theirs['version']}, {width} x {height}, one view of {theirs['view'][0]}x{theirs['view'][1]}, no figures:"
            " CPU ms p50 / p95"
        )
        for diameter in DIAMETERS:
            scene.tools.set_diameter(diameter)
            scene.app.processEvents()
            ours, other = brush.stroke(scene, None, 200)[1], theirs["moves"][str(diameter)]
            ratio = np.median(other) / np.median(ours)
            print(
                f"  brush {diameter:4d} at fit: napari {np.median(other):7.2f} / {np.percentile(other, 95):7.2f}   Atrous"
                f" {np.median(ours):5.2f} / {np.percentile(ours, 95):5.2f}   {ratio:.1f} times",
                flush=True,
            )
        scene.area.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="*", default=["4096x4096", "11547x8660"])
    parser.add_argument("--only", nargs="*", choices=PARTS, default=list(PARTS))
    parser.add_argument("--brushes", nargs="*", type=int, default=DIAMETERS, help="diameters in px of strokes and long")
    parser.add_argument("--moves", type=int, default=240)
    parser.add_argument("--presses", type=int, default=12)
    parser.add_argument("--strokes", type=int, default=20_000, help="of the history")
    parser.add_argument("--napari", default="python3", metavar="PYTHON", help="an interpreter that has napari and a Qt binding")
    asked = parser.parse_args()
    QApplication.instance() or QApplication([])
    sizes = [(int(width), int(height)) for width, height in (size.split("x") for size in asked.sizes)]
    if {"strokes", "long"} & set(asked.only):
        windows(sizes, set(asked.only), asked)
    if "dab" in asked.only:
        dabs(sizes)
    if "history" in asked.only:
        history(asked.strokes)
    if "napari" in asked.only:
        napari(asked.napari, sizes)


if __name__ == "__main__":
    main()
