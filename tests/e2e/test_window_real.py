"""The real program with the real compute process: opened as a user would, and killed under way."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]

_SESSION = """
import os, sys
from pathlib import Path

def main():
    from PySide6.QtCore import QTimer
    from PySide6.QtWidgets import QApplication
    from app.main import Application
    from app.ui.shell.theme import load_fonts
    qt = QApplication([])
    load_fonts()
    application = Application()
    application.window.resize(1200, 800)
    application.window.show()
    program = application.build()
    program.folder_jobs.asks = False
    program.models.start()
    program.projects.open(Path(sys.argv[1]))
    said = []
    program.notifier.said.connect(lambda message: said.append(message.title))
    stage = ["wait"]

    def look():
        if stage[0] == "wait" and program.context["has_prediction"]:
            stage[0] = "run"
            program.folder_run.run()
            os.kill(program.compute.pid, 9)
        elif stage[0] == "run" and "Folder run finished" in said:
            stage[0] = "done"
            project = program.session.project
            print("predicted", sum(record.status >= 1 for record in project.images), "of", len(project.images))
            print("restarted", "The model process is running again" in said)
            print("torch", "torch" in sys.modules)
            application.window.close()
            qt.exit(0)

    timer = QTimer()
    timer.timeout.connect(look)
    timer.start(50)
    QTimer.singleShot(600_000, lambda: (print("said", said), qt.exit(1)))
    status = qt.exec()
    application.shut_down()
    return status

if __name__ == "__main__":
    sys.exit(main())
"""


def environment(models: Path | None) -> dict[str, str]:
    found = os.environ | {"QT_QPA_PLATFORM": "offscreen", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    if models is not None:
        found["ATROUS_MODEL_DIR"] = str(models)
    return found


@pytest.fixture
def photographs(shared_real: Path, tmp_path: Path) -> Path:
    place = tmp_path / "photographs"
    place.mkdir()
    for path in sorted((shared_real / "no_gt" / "ibm_cc0").glob("*.jpg"))[:4]:
        shutil.copy(path, place)
    return place


@pytest.mark.e2e
@pytest.mark.slow
def test_the_window_survives_the_death_of_its_compute_process_and_the_run_goes_on(photographs, shared_real, tmp_path):
    script = tmp_path / "session.py"
    script.write_text(_SESSION)
    done = subprocess.run(
        [sys.executable, str(script), str(photographs)],
        env=environment(shared_real / "weights"), capture_output=True, text=True, timeout=700, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "predicted 4 of 4" in done.stdout
    assert "restarted True" in done.stdout
    assert "torch False" in done.stdout


def ended(group: int, seconds: float = 300) -> bool:
    """Whether every process of a group ends within some seconds."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    os.killpg(group, signal.SIGKILL)
    return False


@pytest.mark.e2e
def test_the_smoke_run_paints_the_window_and_leaves_nothing_running(tmp_path):
    place = tmp_path / "set"
    place.mkdir()
    Image.new("RGB", (64, 48), (90, 120, 60)).save(place / "a.png")
    picture = tmp_path / "window.png"
    command = [sys.executable, "-m", "app", str(place), "--smoke", str(picture)]
    process = subprocess.Popen(command, env=environment(None), cwd=ROOT, start_new_session=True)
    assert process.wait(timeout=700) == 0
    with Image.open(picture) as found:
        assert found.size == (1600, 1000)
    assert ended(process.pid), "a process of the program goes on after its window was closed"
    assert (place / ".atrous" / "project.db").is_file()
