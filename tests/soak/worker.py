"""The real compute process killed, stopped, cancelled and restarted at random moments: every request gets exactly one answer.

After each disturbance the handles and threads of the window's process, its children and /dev/shm must be what they were.
``python -c "from tests.soak.worker import main; main()" COUNT SEED [MODEL]`` does it alone: a compute process imports the main
module of the process that starts it, and this one imports Qt.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
from PySide6.QtCore import QCoreApplication, QEventLoop

from app.services import compute
from app.services.compute import ComputeClient
from app.worker import heartbeat
from app.worker.messages import RefineBase
from deeplab_core.records import PredictOptions
from deeplab_core.refine import PRESETS, preset
from tests.fakes.recorded import RecordedCompute
from tests.soak.crash import Outcome
from tests.soak.oplog import ROOT
from tests.unit.app.tiny_model import save_photograph, save_tiny_model

#: Wall-clock time after which a request counts as never answered, in seconds.
PATIENCE = 240.0
#: Many passes over a small image: seconds of work with many places to be disturbed at.
LONG = PredictOptions(scales=tuple(1.0 + n / 64 for n in range(8)))
WORK = ("load", "predict", "long predict", "refine", "load and predict", "several")
DISTURBANCES = (
    "nothing", "cancel", "cancel all", "kill", "stop", "stop and report", "restart", "kill and cancel", "cancel, kill",
)  # fmt: skip
ANSWERS = ("loaded", "predicted", "refined", "failed", "cancelled")


class _Station:
    """A client, what it was asked, and how often each request was answered."""

    def __init__(self, base: Path, model: Path | None) -> None:
        self.model = str(model or save_tiny_model(base / "tiny.safetensors", slow=True))
        self.image = str(save_photograph(base / "photo.png", 240, 320))
        self.client = RecordedCompute(ComputeClient())
        self.answered: Counter[int] = Counter()
        self.progress, self.reports, self.hopeless = 0, 0, ""
        for name in ANSWERS:
            getattr(self.client, name).connect(lambda message: self.answered.update([message.request_id]))
        self.client.progress.connect(self._note_progress)
        self.client.unresponsive.connect(self._note_report)
        self.client.gave_up.connect(self._note_end)
        self.client.start()

    def _note_progress(self, _message: object) -> None:
        self.progress += 1

    def _note_report(self, _text: str) -> None:
        self.reports += 1

    def _note_end(self, text: str) -> None:
        self.hopeless = text

    def ask(self, work: str) -> list[int]:
        """Ask for some work; the numbers of the requests."""
        client, base = self.client, RefineBase(image=self.image, source_key="key", channel_ids=tuple(range(5)))
        if work == "load":
            return [client.load(self.model, device="cpu")]
        if work == "predict":
            return [client.predict(self.image, "key")]
        if work == "long predict":
            return [client.predict(self.image, "long", LONG)]
        if work == "refine":
            return [client.predict(self.image, "key"), client.refine(base, preset(next(iter(PRESETS))))]
        if work == "load and predict":
            return [client.load(self.model, device="cpu"), client.predict(self.image, "key")]
        return [client.predict(self.image, f"many {number}") for number in range(4)]

    def wait(self, until: Callable[[], bool], seconds: float = PATIENCE) -> bool:
        """Let the client work until something holds; False if it never did."""
        end = time.monotonic() + seconds
        while not until():
            if time.monotonic() > end:
                return False
            QCoreApplication.processEvents(QEventLoop.ProcessEventsFlag.AllEvents, 50)
            time.sleep(0.002)
        return True

    def signal(self, number: int) -> bool:
        """Send a signal to the process; False if there is none just now."""
        pid = self.client.pid
        if pid is None:
            return False
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return False
        return True


def worker_rounds(base: Path, count: int, seed: int = 0, model: Path | None = None) -> Outcome:
    """Disturb one client ``count`` times; the first failure of a process that cannot be used any more ends it.

    Without a ``model``, this process imports torch to make one.
    """
    QCoreApplication.instance() or QCoreApplication([])
    before = compute._MINUTE, compute.BACK_OFF, heartbeat.SILENCE
    compute._MINUTE, heartbeat.SILENCE = 0.0, 3.0  # many deaths a minute are what this is about
    outcome, rng = Outcome(), random.Random(seed)
    base.mkdir(parents=True, exist_ok=True)
    station = _Station(base, model)
    try:
        first = station.ask("load and predict")
        if not station.wait(lambda: _all(station, first)):
            outcome.add("the first requests were never answered", "start")
            return outcome
        level = _resources()
        for number in range(count):
            work, disturbance = rng.choice(WORK), rng.choice(DISTURBANCES)
            failure = _round(station, work, disturbance, rng) or station.hopeless or None
            failure = failure or _grown(station, level)
            outcome.add(failure, f"round {number} of seed {seed}: {disturbance} during {work}")
            if failure:
                break
    finally:
        station.client.stop()
        compute._MINUTE, compute.BACK_OFF, heartbeat.SILENCE = before
    left = [child.pid for child in psutil.Process().children(recursive=True) if _is_worker(child)]
    outcome.add(f"left behind: {left}" if left else None, f"the end of seed {seed}")
    return outcome


def _round(station: _Station, work: str, disturbance: str, rng: random.Random) -> str | None:
    seen, reports = station.progress, station.reports
    asked = station.ask(work)
    if rng.random() < 0.7:  # in the midst of it, else at once
        station.wait(lambda: station.progress > seen or _all(station, asked), 30)
        station.wait(lambda: False, rng.random() * 0.4)
    if "cancel" in disturbance and disturbance != "kill and cancel":
        _cancel(station, asked, disturbance, rng)
    if "kill" in disturbance:
        station.signal(signal.SIGKILL)
    if disturbance == "kill and cancel":
        _cancel(station, asked, disturbance, rng)
    if "stop" in disturbance and station.signal(signal.SIGSTOP):
        if "report" in disturbance and not station.wait(lambda: station.reports > reports, 60):
            return "a stopped process was not reported"
        station.client.restart()
    if disturbance == "restart":
        station.client.restart()
    asked += station.ask("predict")
    if not station.wait(lambda: _all(station, asked)):
        return f"never answered: {[one for one in asked if not station.answered[one]]}"
    station.wait(lambda: False, 0.3)  # a second answer would come now
    twice = [one for one, times in station.answered.items() if times > 1]
    return f"answered twice: {twice}" if twice else None


def _cancel(station: _Station, asked: list[int], disturbance: str, rng: random.Random) -> None:
    if disturbance == "cancel all":
        station.client.cancel_all()
    else:
        station.client.cancel(rng.choice(asked))


def _all(station: _Station, asked: list[int]) -> bool:
    return all(station.answered[one] for one in asked)


def _is_worker(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE and "resource_tracker" not in " ".join(process.cmdline())
    except psutil.Error:
        return False


def _resources() -> dict[str, int]:
    """What must not grow from round to round."""
    own = psutil.Process()
    shared = Path("/dev/shm")
    return {
        "handles": own.num_fds(),
        "threads": threading.active_count(),
        "children": sum(_is_worker(child) for child in own.children(recursive=True)),
        "shared memory": sum(1 for path in shared.glob("*") if path.is_file() and _is_ours(path)) if shared.is_dir() else 0,
    }


def _is_ours(path: Path) -> bool:
    try:
        return path.stat().st_uid == os.getuid() and path.name.startswith(("psm_", "torch_", "atrous"))
    except OSError:
        return False


def _grown(station: _Station, level: dict[str, int]) -> str | None:
    """What grew; threads and handles of a process that just ended are given a moment."""

    def grown() -> dict[str, Any]:
        now = _resources()
        return {name: (level[name], now[name]) for name in level if now[name] > level[name] + (name == "handles") * 2}

    return None if station.wait(lambda: not grown(), 20) else f"grew: {grown()}"


def in_a_process(count: int, seed: int, model: Path | None = None) -> Outcome:
    """:func:`worker_rounds` in a process of its own, with a main module that a compute process can import."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "QT_QPA_PLATFORM": "offscreen"}
    command = [sys.executable, "-c", "from tests.soak.worker import main; main()", str(count), str(seed)]
    command += [] if model is None else [str(model)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    outcome = Outcome()
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if not lines:
        outcome.add(f"the process ended with {done.returncode}: {done.stderr.strip().splitlines()[-1:]}", f"seed {seed}")
        return outcome
    told = json.loads(lines[-1])
    outcome.tried, outcome.failures = told["tried"], told["failures"]
    return outcome


def main() -> None:
    """Do it, and print the outcome as JSON."""
    count, seed, model = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]) if sys.argv[3:] else None
    with tempfile.TemporaryDirectory(prefix="atrous-worker-") as name:
        found = worker_rounds(Path(name), count, seed, model)
    print(json.dumps({"tried": found.tried, "failures": found.failures}))
