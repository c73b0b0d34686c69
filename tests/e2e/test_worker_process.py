"""The real compute process: started, asked, cancelled, killed, orphaned."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from pytestqt.qtbot import QtBot

from app.services.compute import ComputeClient
from app.worker import heartbeat
from app.worker.messages import Failed, Hello, RefineBase
from deeplab_core.records import PredictOptions
from deeplab_core.refine import PRESETS, preset
from tests.fakes.recorded import RecordedCompute
from tests.unit.app.tiny_model import save_photograph

pytestmark = pytest.mark.e2e
PATIENCE = 120_000
ROOT = Path(__file__).resolve().parents[2]

linux = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")

#: Many passes over a small image: seconds of work with many places to stop.
LONG = PredictOptions(scales=tuple(1.0 + n / 64 for n in range(8)))


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_photograph(tmp_path_factory.mktemp("images") / "photo.png", 240, 320))


@pytest.fixture(scope="module")
def greetings() -> list[Hello]:
    return []


@pytest.fixture(scope="module")
def client(qapp: object, model_file: Path, greetings: list[Hello]) -> Iterator[RecordedCompute]:
    """One process for all tests of this file: importing torch is most of their time."""
    client = RecordedCompute(ComputeClient())
    client.hello.connect(greetings.append)
    client.start()
    client.load(str(model_file), device="cpu")
    yield client
    client.stop()


def test_hello_load_predict_scores(client: RecordedCompute, greetings: list[Hello], image: str, qtbot: QtBot) -> None:
    progress: list[float] = []
    client.progress.connect(lambda message: progress.append(message.fraction))
    qtbot.waitUntil(lambda: client.card is not None, timeout=PATIENCE)
    (hello,) = greetings
    assert hello.qt_modules == ()
    assert hello.pid == client.pid != os.getpid()
    assert type(hello.versions["torch"]) is str
    assert "cpu" in hello.devices
    with qtbot.waitSignal(client.predicted, timeout=PATIENCE) as caught:
        client.predict(image, "key")
    prediction = caught.args[0].prediction
    assert prediction.labels.shape == prediction.confidence.shape == (240, 320)
    assert prediction.report.device == "cpu"
    with qtbot.waitSignal(client.scores, timeout=PATIENCE) as scores:
        client.ask_scores("key", 319, 239)
    assert scores.args[0].class_ids[0] == prediction.labels[239, 319]
    assert progress[0] == 0.0


def test_a_bad_file_fails_and_the_next_goes_on(client: RecordedCompute, image: str, qtbot: QtBot, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff\xe0 nothing")
    failures: list[Failed] = []
    client.failed.connect(failures.append)
    with qtbot.waitSignal(client.predicted, timeout=PATIENCE):
        client.predict(str(broken), "b")
        client.predict(image, "g")
    (failed,) = failures
    assert failed.error["kind"] == "ImageReadError"
    assert failed.error["path"] == str(broken)
    assert failed.traceback == ""


def test_cancel_stops_between_layers(client: RecordedCompute, image: str, qtbot: QtBot) -> None:
    with qtbot.waitSignal(client.progress, timeout=PATIENCE, check_params_cb=lambda message: message.fraction > 0):
        request = client.predict(image, "long", LONG)
    pid = client.pid
    with qtbot.waitSignal(client.cancelled, timeout=PATIENCE) as caught:
        client.cancel(request)
    assert caught.args[0].request_id == request
    with qtbot.waitSignal(client.predicted, timeout=PATIENCE):
        client.predict(image, "short")
    assert client.pid == pid, "the process itself lived on"


def test_killed_in_the_middle_of_a_run(client: RecordedCompute, image: str, qtbot: QtBot) -> None:
    done: list[str] = []
    client.predicted.connect(lambda message: done.append(message.prediction.source_key))
    client.predict(image, "0")
    with qtbot.waitSignal(client.progress, timeout=PATIENCE, check_params_cb=lambda message: 0 < message.fraction < 0.3):
        client.predict(image, "1", LONG)
        for n in range(2, 5):
            client.predict(image, str(n))
    with qtbot.waitSignals([client.crashed, client.restarted], timeout=PATIENCE, order="strict"):
        client.signal(signal.SIGKILL)
    qtbot.waitUntil(lambda: len(done) == 5, timeout=PATIENCE)
    assert done == [str(n) for n in range(5)]


@linux
def test_a_stopped_process_is_noticed_in_every_state(
    model_file: Path, image: str, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped while it starts, loads, predicts, refines and rests; restarted each time, every request gets one answer."""
    monkeypatch.setattr(heartbeat, "SILENCE", 3.0)
    client = RecordedCompute(ComputeClient())
    answers: list[int] = []
    for name in ("loaded", "predicted", "refined", "failed", "cancelled"):
        getattr(client, name).connect(lambda message: answers.append(message.request_id))
    reports: list[str] = []
    client.unresponsive.connect(reports.append)

    def stop_and_restart(state: str) -> None:
        before = len(reports)
        with qtbot.waitSignal(client.restarted, timeout=PATIENCE):
            client.signal(signal.SIGSTOP)
            qtbot.waitUntil(lambda: len(reports) > before, timeout=PATIENCE)
            assert state in reports[-1]
            assert "The system has suspended it" in reports[-1]
            client.restart()

    try:
        client.start()
        asked = [client.load(str(model_file), device="cpu")]
        qtbot.waitUntil(lambda: client.pid is not None, timeout=PATIENCE)
        stop_and_restart("while it was starting")
        qtbot.waitUntil(lambda: len(answers) == 1, timeout=PATIENCE)
        with qtbot.waitSignal(client.progress, timeout=PATIENCE):
            asked.append(client.load(str(model_file), device="cpu"))
        stop_and_restart("at")
        with qtbot.waitSignal(client.progress, timeout=PATIENCE, check_params_cb=lambda message: message.fraction > 0):
            asked.append(client.predict(image, "key", LONG))
        stop_and_restart("at photo.png")
        qtbot.waitUntil(lambda: len(answers) == 3, timeout=PATIENCE)
        with qtbot.waitSignal(client.progress, timeout=PATIENCE):
            asked.append(client.refine(RefineBase(image=image, source_key="key"), preset(next(iter(PRESETS)))))
        stop_and_restart("at")
        qtbot.waitUntil(lambda: len(answers) == 4, timeout=PATIENCE)
        stop_and_restart("while it had nothing to do")
        with qtbot.waitSignal(client.predicted, timeout=PATIENCE):
            asked.append(client.predict(image, "again"))
        assert sorted(answers) == asked, "one answer each"
    finally:
        client.stop()


WINDOW = """
import sys

def main():  # every import in here: the compute process imports this file again, and must not get Qt by it
    from PySide6.QtCore import QCoreApplication
    from app.services.compute import ComputeClient
    from tests.fakes.recorded import RecordedCompute
    from deeplab_core.records import PredictOptions
    application = QCoreApplication([])
    client = RecordedCompute(ComputeClient())
    options = PredictOptions(scales=tuple(1.0 + n / 64 for n in range(6)), flip=True)
    def running(message):
        if message.fraction > 0:
            assert "torch" not in sys.modules, "the window's process has imported torch"
            print(client.pid, flush=True)
    client.progress.connect(running)
    client.start()
    client.load(sys.argv[1], device="cpu")
    client.predict(sys.argv[2], "k", options)
    application.exec()

if __name__ == "__main__":
    main()
"""


@pytest.mark.parametrize("stopped", [False, pytest.param(True, marks=linux)])
def test_no_orphan_when_the_window_is_killed(stopped: bool, model_file: Path, image: str, tmp_path: Path) -> None:
    script = tmp_path / "window.py"
    script.write_text(WINDOW)
    window = subprocess.Popen(
        [sys.executable, str(script), str(model_file), image], stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    try:
        assert window.stdout is not None
        worker = psutil.Process(int(window.stdout.readline()))  # in the middle of its run
        children = [worker, *psutil.Process(window.pid).children(recursive=True)]
        if stopped:
            worker.suspend()
        window.kill()
        window.wait()
        _gone, alive = psutil.wait_procs(children, timeout=600)
        assert alive == []
    finally:
        if window.stdout is not None:
            window.stdout.close()
        window.kill()
        window.wait()


def test_the_windows_half_imports_no_torch() -> None:
    code = (
        "import sys, app.services.compute, tests.fakes.compute\n"
        "print([name for name in ('torch', 'torchvision', 'numba') if name in sys.modules])"
    )
    began = time.monotonic()
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=600)
    assert out.stdout.strip() == "[]", f"after {time.monotonic() - began:.1f} s"
