"""How long the window freezes: a 5 ms heartbeat in the real window while a user opens, predicts, fills, undoes, compares.

    python benchmarks/stalls.py [--megapixels 12 50 100] [--limit 50]

The whole program runs offscreen on two photographs with truth per size; only the compute process is a stand-in; its predictions
are made beforehand. Each longest gap is printed with the time until its outcome was seen; ``--profile STEP`` shows the cause.
"""

from __future__ import annotations

import argparse
import cProfile
import os
import pstats
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.update(dict.fromkeys(("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"), tempfile.mkdtemp("stalls")))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import canvas_scene
import numpy as np
from PySide6.QtCore import QPointF, QTimer
from PySide6.QtWidgets import QApplication

from app.main import Application
from app.viewmodels.annotate.panes import PaneKind
from app.worker.messages import Answer, Predict, Predicted, Request
from deeplab_core.catalogs import get_catalog
from deeplab_core.masks.png import write_indexed_png
from deeplab_core.records import Prediction, RunReport, TrimapBand
from tests.fakes.compute import FakeComputeClient

BEAT_MS = 5


class Heartbeat:
    """Longest pause between two turns of the event loop."""

    def __init__(self) -> None:
        self.longest = 0.0
        self._last = time.perf_counter()
        self._timer = QTimer()
        self._timer.setInterval(BEAT_MS)
        self._timer.timeout.connect(self._beat)
        self._timer.start()

    def pause(self) -> None:
        """Stop beating, for what measures the window otherwise."""
        self._timer.stop()

    def _beat(self) -> None:
        now = time.perf_counter()
        self.longest = max(self.longest, now - self._last)
        self._last = now

    def start(self) -> None:
        self._last = time.perf_counter()
        self.longest = 0.0

    def stop(self) -> float:
        """Seconds."""
        self._beat()
        return self.longest


class Oracle(FakeComputeClient):
    """Answers at once with a prediction that was made beforehand."""

    def __init__(self) -> None:
        super().__init__(get_catalog("voc21"))
        self.labels = np.zeros((1, 1), np.uint8)

    def _answer_predict(self, request: Request[Answer]) -> None:
        assert isinstance(request, Predict)
        assert self._card is not None
        prediction = Prediction(
            labels=self.labels, confidence=self.labels, card_id=self._card.id, options=request.options,
            source_key=request.source_key, report=RunReport(device="cpu", milliseconds=1.0),
        )  # fmt: skip
        self._answer(Predicted(request_id=request.request_id, prediction=prediction))


def make_folder(root: Path, width: int, height: int) -> Path:
    """Two photographs and their truth."""
    import cv2

    (root / "images").mkdir(parents=True)
    (root / "labels").mkdir()
    image = cv2.cvtColor(canvas_scene.photograph(width, height), cv2.COLOR_RGB2BGR)
    for number in range(2):
        cv2.imwrite(str(root / "images" / f"photo_{number}.jpg"), image)
        truth = canvas_scene.blobs(width, height, 11 + number)
        truth[:40] = 255
        write_indexed_png(root / "labels" / f"photo_{number}.png", truth, get_catalog("voc21"))
    return root / "images"


def sampled(values: np.ndarray) -> np.ndarray:
    """Some values of the image, its last row among them. Asked between all turns: every pixel would be what is measured."""
    return np.concatenate([values[::64, ::64].ravel(), values[-1]])


def filled(labels: np.ndarray) -> bool:
    """Whether the image is of class 7."""
    return bool((sampled(labels) == 7).all())


class Walk:
    """The user's steps through one size, each measured."""

    def __init__(self, folder: Path, width: int, height: int, asked: argparse.Namespace) -> None:
        self.folder, self.size, self.asked = folder, (width, height), asked
        self.app = QApplication.instance() or QApplication([])
        self.oracle = Oracle()
        self.application = Application(self.oracle)
        self.application.window.resize(1600, 1000)
        self.application.window.show()
        self.program = self.application.build()
        self.beat = Heartbeat()
        self.turn(0.5)

    def turn(self, seconds: float) -> None:
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            self.app.processEvents()
            time.sleep(0.0005)

    def settle(self) -> None:
        """Until nothing runs or waits in the background, and the timers that follow an edit have fired."""
        quiet = time.perf_counter()
        while time.perf_counter() - quiet < 1.2:
            self.app.processEvents()
            if self.busy():
                quiet = time.perf_counter()
            time.sleep(0.0005)

    def busy(self) -> bool:
        program, document = self.program, self.program.edit.document
        painting = document is not None and not document.settled
        return painting or bool(program.jobs.running) or not program.jobs.wait(0) or bool(self.oracle.waiting)

    def step(self, name: str, action: Callable[[], object], seen: Callable[[], bool] = lambda: True) -> None:
        """Do something, wait until it is done, note the longest gap and the time until ``seen``."""
        profile = cProfile.Profile() if name == self.asked.profile else None
        self.beat.start()
        start = time.perf_counter()
        if profile is not None:
            profile.enable()
        action()
        while not seen():
            if time.perf_counter() - start > 60:
                raise TimeoutError(f"'{name}' did not come to its end")
            self.app.processEvents()
        until = time.perf_counter() - start
        self.settle()
        if profile is not None:
            profile.disable()
            pstats.Stats(profile).sort_stats("cumulative").print_stats(60)
        gap = self.beat.stop() * 1e3
        mark = "  <--" if gap > self.asked.limit else ""
        print(f"  {name:38s} longest gap {gap:7.0f} ms   seen after {until * 1e3:7.0f} ms{mark}", flush=True)

    def run(self) -> None:
        program, (width, height) = self.program, self.size
        projects, session, edit, history = program.projects, program.session, program.edit, lambda: program.session.history
        truth = canvas_scene.blobs(width, height, 11)
        self.oracle.labels = canvas_scene.blobs(width, height, 12)
        program.settings.set("work.auto_predict", False)
        model = self.folder.parent / "made_beforehand.safetensors"
        model.touch()
        program.models.start()
        program.models.load(model)
        self.settle()
        self.step("open", lambda: projects.open(self.folder), lambda: session.image is not None)
        first = session.image
        assert first is not None
        if program.evaluation.live is None:
            raise RuntimeError("the truth was not found")
        self.step("a prediction arrives", program.predict.run_image, lambda: bool(sampled(first.document.provenance).all()))
        self.step("two panes, errors", lambda: self.pane(PaneKind.ERRORS))
        self.step("band pane", lambda: self.pane(PaneKind.BAND))
        for width_px in (3, 25):
            self.step("trimap slider", lambda w=width_px: program.evaluation.set_band(TrimapBand(width_px=w, rule="void")))
        self.step("other band rule", lambda: program.evaluation.set_band(TrimapBand(width_px=10, rule="edge")))
        program.tools.set_diameter(200)
        self.step("brush stroke", lambda: self.stroke(width, height))
        program.tools.choose_class(7)
        self.step("fill a region", lambda: edit.fill(width / 2, height / 2))
        self.step("fill the image", lambda: self.outline(width, height), lambda: filled(first.document.labels))
        self.step("undo it", edit.undo, lambda: not filled(first.document.labels))
        self.step("redo it", edit.redo, lambda: filled(first.document.labels))
        self.step("start from the model", program.predict.start_from_model)
        self.step("a prediction beside the user's work", program.predict.run_image)
        self.step("next image", projects.next_image, lambda: session.image is not first)
        self.step("back", projects.previous_image, lambda: session.image is not None and session.image.id == first.id)
        self.step("save", projects.save_now)
        assert history() is not None
        assert truth.shape == (height, width)

    def pane(self, kind: PaneKind) -> None:
        from app.viewmodels.annotate.panes import PaneLayout

        self.program.view.set_layout(PaneLayout.DOUBLE)
        self.program.view.set_kind(1, kind)

    def stroke(self, width: int, height: int) -> None:
        edit = self.program.edit
        edit.begin_stroke(width * 0.3, height * 0.3)
        for at in np.linspace(0.3, 0.6, 60):
            edit.extend_stroke([(width * at, height * (0.3 + (at - 0.3) ** 2))])
            self.app.processEvents()
        edit.commit_stroke()

    def outline(self, width: int, height: int) -> None:
        corners = (QPointF(-1, -1), QPointF(width + 1, -1), QPointF(width + 1, height + 1), QPointF(-1, height + 1))
        self.program.edit.polygon([(corner.x(), corner.y()) for corner in corners])

    def close(self) -> None:
        self.program.projects.close()
        self.application.shut_down()
        self.application.window.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megapixels", type=float, nargs="*", default=[12, 50, 100])
    parser.add_argument("--limit", type=float, default=50.0, help="gaps above so many ms are marked")
    parser.add_argument("--profile", default="", help="profile the window's thread during this step")
    asked = parser.parse_args()
    for size in asked.megapixels:
        width = round((size * 1e6 * 4 / 3) ** 0.5)
        height = round(size * 1e6 / width)
        print(f"{width} x {height} ({size:.0f} MP)")
        with tempfile.TemporaryDirectory() as root:
            walk = Walk(make_folder(Path(root) / "set", width, height), width, height, asked)
            walk.run()
            walk.close()


if __name__ == "__main__":
    main()
