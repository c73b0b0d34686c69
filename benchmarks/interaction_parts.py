"""The parts of interaction.py. A module of its own, because the model process imports the main module again and refuses Qt."""

from __future__ import annotations

import argparse
import cProfile
import os
import pstats
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import stalls  # first: it gives the program a home of its own
from brush import PaintCounter
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QSlider, QStyle, QWidget

from app.controllers.refine.preview import Phase
from app.main import Application
from app.state.provenance import Provenance
from app.viewmodels.annotate.panes import PaneKind, PaneLayout
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.errors import message
from deeplab_core.masks.png import write_mask

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = ROOT / "resources" / "sample_project"
MODEL = ROOT / "resources" / "models" / "rooms-voc.safetensors"
CHANGE_MS, CHANGE_CPU_MS, DRAG_MS, FRAME_MS = 100.0, 40.0, 100.0, 16.7
READY_S, FIELD_S, PIXELS_S, WINDOW_MB, WORKER_MB = 4.0, 3.0, 0.5, 1300, 1200


def resident(pid: int | None) -> tuple[int, int]:
    """Memory of a process now and at most so far, in MB."""
    text = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    found = dict(line.split(":", 1) for line in text.splitlines() if line.startswith("Vm"))
    return tuple(int(found[name].split()[0]) // 1024 for name in ("VmRSS", "VmHWM"))  # type: ignore[return-value]


def processor_seconds(pid: int | None) -> float:
    """Processor time of a process with its threads so far."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def line(name: str, values: list[float], limit: float | None = None) -> None:
    """Median, 95th percentile and largest."""
    found = np.asarray(values)
    aim = "" if limit is None else f"   (aim {limit:g}: {np.mean(found <= limit) * 100:.0f} % within)"
    print(
        f"  {name:44s} median {np.median(found):7.1f}   p95 {np.percentile(found, 95):7.1f}   largest {found.max():7.1f}{aim}",
        flush=True,
    )


class Desk:
    """The program with its real model process."""

    def __init__(self, profile: str) -> None:
        self.app = QApplication.instance() or QApplication([])
        self.application = Application()
        self.application.window.resize(1600, 1000)
        self.application.window.show()
        self.program = self.application.build()
        self.app.processEvents()
        self.wanted, self.profile = profile, cProfile.Profile()
        presenter = self.application.presenter
        assert presenter is not None
        self.presenter = presenter
        self.counter = PaintCounter()
        self.view.installEventFilter(self.counter)

    @property
    def view(self) -> QWidget:
        return self.presenter.canvas.views[0]

    @property
    def worker(self) -> int | None:
        return self.program.compute.pid  # type: ignore[attr-defined,no-any-return]

    @contextmanager
    def profiled(self, name: str) -> Iterator[None]:
        """Profile the window's thread during a part that was asked for."""
        if name != self.wanted:
            yield
            return
        self.profile.enable()
        yield
        self.profile.disable()

    def until(self, condition: Callable[[], object], patience: float = 240, pause: float = 0.0003) -> None:
        end = time.perf_counter() + patience
        while not condition():
            if time.perf_counter() > end:
                raise TimeoutError("the program does not get ready")
            self.app.processEvents()
            time.sleep(pause)

    def quiet(self) -> bool:
        program = self.program
        document = program.edit.document
        painting = document is not None and not document.settled
        return not (painting or program.jobs.running or not program.jobs.wait(0) or program.compute.waiting)

    def settle(self, seconds: float = 0.6) -> None:
        """Until nothing has run or waited for so long."""
        since = time.perf_counter()
        while time.perf_counter() - since < seconds:
            self.app.processEvents()
            if not self.quiet():
                since = time.perf_counter()
            time.sleep(0.004)

    def load(self, model: Path = MODEL) -> None:
        self.program.models.start()
        self.program.models.load(model)
        self.until(lambda: self.program.models.card is not None and not self.program.models.loading)

    def open(self, folder: Path, catalog: ClassCatalog | None = None) -> None:
        self.program.new_project.open(folder, catalog=catalog, ask=False)
        self.until(lambda: self.program.session.image is not None)
        self.settle()

    def predict_all(self) -> None:
        self.program.folder_run.start_agreed()
        self.app.processEvents()
        self.until(lambda: not self.program.folder_run.running)
        self.settle()

    def visit(self, move: Callable[[], object]) -> None:
        """Another image."""
        before = self.program.session.image
        move()
        self.until(lambda: self.program.session.image is not before)
        self.settle()

    def inspected(self, images: int) -> int:
        """Errors of the folder. RuntimeError if there are none, or if fewer images were inspected."""
        known, folder = self.program.inspect.index, self.program.inspect.folder
        if known is None or folder is None or len(known) != images or self.program.inspect.inspecting:
            raise RuntimeError(f"{0 if known is None else len(known)} of {images} images were inspected")
        found = sum(int(folder.errors.of(image).components.sum()) for image in folder.errors)
        if not found:
            raise RuntimeError("no errors were found")
        return found

    def show_errors(self) -> None:
        self.program.view.set_layout(PaneLayout.DOUBLE)
        self.program.view.set_kind(1, PaneKind.ERRORS)
        self.settle()

    def close(self) -> None:
        self.program.projects.close()
        self.application.window.close()
        self.application.shut_down()
        self.app.processEvents()
        if self.wanted:
            pstats.Stats(self.profile).sort_stats("cumulative").print_stats(70)


# -- parts ------------------------------------------------------------------------------------------------------------------


def change(asked: argparse.Namespace) -> None:
    """D through images that were predicted: first visits, and second ones."""
    folders = [("sample project, 640 x 480", SAMPLE)]
    folders += [(f"{folder.name}", folder) for folder in asked.photos]
    for name, source in folders:
        with tempfile.TemporaryDirectory() as root:
            folder = Path(root) / "set"
            shutil.copytree(source, folder, ignore=shutil.ignore_patterns(".atrous"))
            desk = Desk(asked.profile)
            desk.load()
            desk.open(folder / "images" if (folder / "images").is_dir() else folder)
            desk.predict_all()
            count = min(len(desk.program.projects.order), 40) - 1
            print(f"change of image, {name}, {count} times")
            for visit, key in (("first visit", Qt.Key.Key_D), ("back", Qt.Key.Key_A), ("again", Qt.Key.Key_D)):
                _changes(desk, visit, key, count)
            desk.close()


def _changes(desk: Desk, visit: str, key: Qt.Key, count: int) -> None:
    wall, thread, cpu, whole, worker = [], [], [], [], []
    session = desk.program.session
    for _ in range(count):
        before = session.image
        desk.counter.painted.clear()
        start, began, mine, theirs = time.perf_counter(), time.process_time(), time.thread_time(), processor_seconds(desk.worker)

        def shown(before: object = before) -> bool:
            image = session.image
            if image is before or image is None:
                desk.counter.painted.clear()
                return False
            return bool(desk.counter.painted) and image.document.settled and bool(image.document.provenance[0, 0])

        with desk.profiled("change"):
            QTest.keyClick(desk.view, key)
            while not shown():
                desk.app.processEvents()
                if time.perf_counter() - start > 20:
                    raise TimeoutError("the next image did not come")
                time.sleep(0.0005)
        wall.append((time.perf_counter() - start) * 1e3)
        cpu.append((time.process_time() - began) * 1e3)
        thread.append((time.thread_time() - mine) * 1e3)
        desk.settle(0.5)
        whole.append((time.process_time() - began) * 1e3)
        worker.append((processor_seconds(desk.worker) - theirs) * 1e3)
    line(f"{visit}: wall ms until painted", wall, CHANGE_MS)
    line(f"{visit}: CPU ms until painted", cpu, CHANGE_CPU_MS)
    line(f"{visit}: of these the window's thread", thread)
    line(f"{visit}: CPU ms with all that follows", whole)
    line(f"{visit}: CPU ms of the model process", worker)


def crf(asked: argparse.Namespace) -> None:
    """A slider of the CRF panel under the mouse."""
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root) / "set"
        folder.mkdir()
        picture = cv2.imread(str(SAMPLE / "images" / "room_00000.jpg"))
        cv2.imwrite(str(folder / "room.png"), cv2.resize(picture, (500, 375), interpolation=cv2.INTER_AREA))
        desk = Desk(asked.profile)
        desk.load()
        desk.open(folder)
        desk.until(lambda: desk.program.context["has_prediction"])
        desk.settle()
        program, window = desk.program, desk.application.window
        refine = program.refine
        window.docks["crf"].raise_()
        program.refine.toggle_preview()
        desk.until(lambda: refine.status.phase is Phase.EXACT)
        desk.settle()
        panel = window.crf
        for name in ("bilateral_srgb", "bilateral_compat"):
            slider = panel.sliders[name]
            times, apart, quick = _drag(desk, slider.slider, asked.moves)
            print(f"CRF slider {name}, 500 x 375, {len(times)} moves shown of {asked.moves}")
            line("wall ms from a move to its preview", times, DRAG_MS)
            line("wall ms between two previews", apart, DRAG_MS)
            line("of these in the model process", quick)
        desk.close()


def _drag(desk: Desk, slider: QSlider, moves: int) -> tuple[list[float], list[float], list[float]]:
    """Press, move at 60 Hz, release. Each preview is timed from the newest move that it can have seen."""
    refine = desk.program.refine
    y = slider.height() // 2
    handle = slider.style().pixelMetric(QStyle.PixelMetric.PM_SliderLength, None, slider)
    room = slider.width() - handle
    held = QStyle.sliderPositionFromValue(slider.minimum(), slider.maximum(), slider.value(), room) + handle // 2
    places = [held + int(0.3 * room * np.sin(step / 9)) for step in range(moves + 1)]
    asked_at: list[float] = []
    times, apart, quick = [], [], []
    shown = 0.0
    answered: list[float] = []
    sent: list[float] = []

    original = refine.requests.ask

    def ask(*, quick: bool) -> None:
        sent.append(time.perf_counter())
        original(quick=quick)

    refine.requests.ask = ask  # type: ignore[method-assign]
    pressed = QPoint(places[0], y)
    QTest.mousePress(slider, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, pressed)
    desk.until(lambda: refine.requests.idle)
    answers: list[tuple[float, float]] = []
    refine.requests.answered.connect(lambda answer, _pending: answers.append((time.perf_counter(), answer.milliseconds)))
    for x in places[1:]:
        start = time.perf_counter()
        sent.clear()
        answers.clear()
        QTest.mouseMove(slider, QPoint(x, y))
        desk.app.processEvents()
        if not sent:
            continue  # the same value
        asked_at.append(start)
        desk.counter.painted.clear()
        while not (answers and desk.counter.painted):
            desk.app.processEvents()
            if time.perf_counter() - start > 10:
                raise TimeoutError("no preview")
            if not answers:
                desk.counter.painted.clear()
            time.sleep(0.0002)
        now = time.perf_counter()
        times.append((now - start) * 1e3)
        quick.append(answers[0][1])
        if shown:
            apart.append((now - shown) * 1e3)
        shown = now
        answered.append(now)
        left = 1 / 60 - (now - start)
        if left > 0:
            time.sleep(left)
    QTest.mouseRelease(slider, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, QPoint(places[-1], y))
    refine.requests.ask = original  # type: ignore[method-assign]
    desk.until(lambda: refine.status.phase is Phase.EXACT)
    desk.settle()
    return times, apart, quick


def start(asked: argparse.Namespace) -> None:
    """The model process, from its start to Hello and to the model, and once more after it was ended."""
    hellos, models = [], []
    for _ in range(asked.runs):
        desk = Desk(asked.profile)
        program = desk.program
        began = time.perf_counter()
        said: list[float] = []
        program.compute.hello.connect(lambda _hello: said.append(time.perf_counter()))  # noqa: B023
        program.models.start()
        desk.until(lambda: program.models.card is not None)  # noqa: B023
        models.append(time.perf_counter() - began)
        hellos.append(said[0] - began)
        desk.close()
    print(f"model process, {asked.runs} starts (aim: ready within {READY_S:g} s)")
    print("  until Hello, s:          " + "  ".join(f"{value:.2f}" for value in hellos))
    print("  until a model is loaded: " + "  ".join(f"{value:.2f}" for value in models))


def field(asked: argparse.Namespace) -> None:
    """A receptive field, cold and warm."""
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root) / "set"
        shutil.copytree(SAMPLE, folder, ignore=shutil.ignore_patterns(".atrous"))
        desk = Desk(asked.profile)
        desk.load()
        desk.open(folder / "images")
        desk.until(lambda: desk.program.context["has_prediction"])
        desk.settle()
        receptive = desk.program.receptive
        receptive.toggle()
        times = []
        for x, y in ((320, 240), (100, 300), (500, 100)):
            before = receptive.field
            began = time.perf_counter()
            receptive.hover(x, y)
            desk.until(lambda before=before: receptive.field is not before and not receptive.waiting)  # type: ignore[misc]
            times.append(time.perf_counter() - began)
        print(f"receptive field of a pixel, rooms-voc, 640 x 480 (aim: {FIELD_S:g} s)")
        print("  s: " + "  ".join(f"{value:.2f}" for value in times))
        desk.close()


#: With many classes.
_IMAGES = 10


def classes(_asked: argparse.Namespace) -> None:
    """Longest pauses of the window with many classes."""
    from scale import classes_of, mosaic

    for number in (150, 1000):
        with tempfile.TemporaryDirectory() as root:
            folder = Path(root) / "set"
            (folder / "images").mkdir(parents=True)
            (folder / "labels").mkdir()
            catalog = classes_of(number)
            masks = []
            for seed in range(_IMAGES):
                truth, labels = mosaic(number, seed)
                masks.append(labels)
                wide = labels.astype(int)
                picture = np.stack([wide % 256, wide // 256 * 60, truth.astype(int) % 256], axis=2).astype(np.uint8)
                cv2.imwrite(str(folder / "images" / f"{seed}.jpg"), picture)
                write_mask(folder / "labels" / f"{seed}.png", truth, catalog)
            _classes(number, folder, catalog, masks)


def _classes(number: int, folder: Path, catalog: ClassCatalog, masks: list[np.ndarray]) -> None:
    desk = Desk("")
    program, window, beat = desk.program, desk.application.window, stalls.Heartbeat()
    session = program.session

    def step(name: str, action: Callable[[], object]) -> None:
        beat.start()
        began, mine = time.perf_counter(), time.thread_time()
        action()
        desk.settle()
        gap, cpu, wall = beat.stop() * 1e3, (time.thread_time() - mine) * 1e3, time.perf_counter() - began - 0.6
        print(
            f"  {number:4d} classes, {name:28s} longest pause {gap:6.0f} ms   CPU {cpu:6.0f} ms   done after {wall:5.2f} s",
            flush=True,
        )

    step("open", lambda: desk.open(folder / "images", catalog))
    if program.evaluation.live is None:
        raise RuntimeError("the truth was not found")
    for at, labels in enumerate(masks):  # wrong in places, so that there are errors to find
        if at:
            desk.visit(program.projects.next_image)
        replace = partial(program.edit.replace_all, labels, Provenance.IMPORT, message("Import"))
        step("a mask of all classes", replace) if not at else replace()
        desk.settle()
    program.tools.set_diameter(60)

    def stroke() -> None:
        program.edit.begin_stroke(100, 100)
        for at in range(60):
            program.edit.extend_stroke([(100.0 + 5 * at, 100.0 + 3 * at)])
            desk.app.processEvents()
        program.edit.commit_stroke()

    program.tools.choose_class(number // 2)
    step("stroke", stroke)
    step("undo", program.edit.undo)
    step("class list to its end", window.classes.view.scrollToBottom)
    step("find a class", lambda: window.classes.finder.setText("9"))
    step("all classes again", lambda: window.classes.finder.setText(""))
    step("evaluate the folder", program.folder_evaluation.start_if_needed)
    found = program.figures.images
    if found != _IMAGES or program.figures.pooled is None:
        raise RuntimeError(f"{found} of {_IMAGES} images were evaluated")
    step("Evaluation panel: matrix", program.inspect.toggle_view)
    step("inspect the folder", program.inspect.inspect_folder)
    desk.inspected(_IMAGES)
    step("picture again", program.inspect.toggle_view)
    for _ in range(2):
        before = session.image
        step("image before", program.projects.previous_image)
        if session.image is before:
            raise RuntimeError("the image before did not come")
    now, most = resident(os.getpid())
    print(f"  {number:4d} classes, memory {now} MB (at most {most})", flush=True)
    beat.pause()
    desk.close()
