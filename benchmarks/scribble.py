"""Scribble mode from the lifted brush to the finished step, through the real compute process and its pipe.

    OMP_NUM_THREADS=1 python benchmarks/scribble.py [--runs 15] [--size 500x375]

Per stroke: the window's own work (strokes cut out, request, patch of the answer), the compute process's own time, and the wall
time between lifting the brush and the painted step, with both ways through the pipe. Where other programs use the cores the wall
time says how busy they are: the CPU time of window and compute process together is what the program takes.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

REAL = Path(__file__).resolve().parents[2] / "shared" / "real"
WEIGHTS = REAL / "weights" / "deeplabv3_mnv2_voc_folded.safetensors"
PICTURE = REAL / "voc" / "images" / "2007_006171.jpg"
#: Length of a stroke and diameter of the brush, as shares of the picture's width.
STROKES = (("dab", 0.02, 0.03), ("short", 0.10, 0.05), ("long", 0.40, 0.05), ("wide", 0.20, 0.12))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--size", default="500x375")
    parser.add_argument("--preset", default="v1")
    arguments = parser.parse_args()
    if not WEIGHTS.is_file():
        raise SystemExit(f"no real photographs and network here ({REAL} is absent)")
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    with tempfile.TemporaryDirectory() as place:
        for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"):
            os.environ[name] = place
        width, height = (int(part) for part in arguments.size.split("x"))
        folder = Path(place) / "images"
        folder.mkdir()
        Image.open(PICTURE).convert("RGB").resize((width, height), Image.Resampling.LANCZOS).save(folder / "picture.png")
        measure(folder, arguments.runs, arguments.preset)


def measure(folder: Path, runs: int, preset: str) -> None:
    from PySide6.QtCore import QCoreApplication
    from PySide6.QtWidgets import QApplication

    from app.main import Application
    from app.state.provenance import Provenance

    qt = QApplication([])
    application = Application()
    application.window.show()
    program = application.build()
    program.models.start()
    program.models.load(WEIGHTS)
    program.projects.open(folder)

    def until(condition: object, seconds: float = 120) -> None:
        end = time.monotonic() + seconds
        while not condition():  # type: ignore[operator]
            if time.monotonic() > end:
                raise SystemExit(f"waited in vain; said: {[message.title for message in program.notifier.messages]}")
            QCoreApplication.processEvents()
            time.sleep(0.0005)

    until(lambda: program.context["has_prediction"] and not program.jobs.running)
    program.refine.choose_params(preset)
    program.refine.discard()
    program.scribble.patience.setInterval(60_000)  # on a busy machine: measured is how long it takes, not that it is given up
    program.scribble.toggle()
    until(lambda: program.compute.waiting == 0)
    image, edit, history = program.session.image, program.edit, program.session.history
    assert image is not None
    assert history is not None
    height, width = image.document.shape
    worker = psutil.Process(program.compute.pid)
    spent: list[float] = []
    submit = program.compute.submit

    def watched(request: Any) -> Any:
        call = submit(request)
        call.on(done=lambda answer: spent.append(getattr(answer, "milliseconds", 0.0)))
        return call

    program.compute.submit = watched  # type: ignore[method-assign]
    edit.choose_class(15)
    print(f"{width} x {height}, {preset}; milliseconds, medians of {runs} (largest)")
    print(f"{'stroke':>8} {'box px':>8} {'window':>7} {'compute':>13} {'wall':>13} {'cpu both':>9} {'changed':>8}")
    for name, length, diameter in STROKES:
        program.tools.set_diameter(diameter * width)
        walls, windows, cpus, changed = [], [], [], []
        spent.clear()
        for run in range(runs + 1):
            x, y = width * (0.25 + 0.3 * (run % 3) / 3), height * (0.3 + 0.4 * (run % 5) / 5)
            edit.begin_stroke(x, y)
            edit.extend_stroke([(x + length * width * share / 8, y) for share in range(9)])
            before = history.index
            cpu = sum(worker.cpu_times()[:2]) + time.process_time()
            began = time.perf_counter()
            edit.end_stroke()
            asked = time.perf_counter() - began
            while history.index == before:
                QCoreApplication.processEvents()
                time.sleep(0.0005)  # a window sleeps while it waits; spinning would be counted below
            walls.append(1e3 * (time.perf_counter() - began))
            windows.append(1e3 * asked)
            cpus.append(1e3 * (sum(worker.cpu_times()[:2]) + time.process_time() - cpu))
            changed.append(int((image.document.provenance == Provenance.CRF).sum()))
            if not history.undo_text.startswith("Scribble"):
                raise SystemExit(f"the step is called {history.undo_text!r}")
            edit.undo()
            until(lambda: program.compute.waiting == 0)
        box = (length + 5 * diameter) * width * 5 * diameter * width
        middle, most = (lambda values: statistics.median(values[1:])), (lambda values: max(values[1:]))
        print(
            f"{name:>8} {box:8.0f} {middle(windows):7.1f} {middle(spent):6.0f} ({most(spent):4.0f}) {middle(walls):6.0f} "
            f"({most(walls):4.0f}) {middle(cpus):9.0f} {middle(changed):8.0f}"
        )
    application.window.close()
    application.shut_down()
    qt.quit()


if __name__ == "__main__":
    main()
