"""Nothing leaves the machine unasked: window, compute process and commands without a network, every attempt written down."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.soak.oplog import ROOT, library

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(library("network") is None, reason="needs Linux and a C compiler to watch connections"),
]

#: Starts as the command does, opens the sample, takes the tour, predicts, starts the compute process again, lists the published
#: models; then the user asks for one of them. After each part it prints how many attempts there have been.
_SESSION = """
import os, sys, time
from pathlib import Path

def main():
    from PySide6.QtWidgets import QApplication
    from app.main import Application, LateStart
    from app.ui.shell.theme import load_fonts
    log = Path(os.environ["NETWORK_LOG"])
    qt = QApplication([])
    load_fonts()
    application = Application()
    window = application.window
    window.show()
    program = application.build()
    late = LateStart(application)

    def wait(condition):
        end = time.monotonic() + 500
        while not condition():
            assert time.monotonic() < end, condition
            qt.processEvents()
            time.sleep(0.005)

    def said(part):
        print(part, len(log.read_text().splitlines()) if log.exists() else 0, flush=True)

    window.commands["help.tour"].trigger()
    wait(lambda: program.session.image is not None)
    wait(lambda: program.models.card is not None)
    said("start and tour")
    window.commands["model.run_image"].trigger()
    wait(lambda: program.context["has_prediction"] and not program.jobs.running and not program.compute.waiting)
    said("predict")
    window.commands["model.restart"].trigger()
    window.commands["evaluate.folder"].trigger()
    window.commands["model.get"].trigger()
    wait(lambda: not program.jobs.running and not program.compute.waiting and program.models.card is not None)
    said("evaluate and list")
    program.fetch.get(next(model for model in program.fetch.published() if model.direct).id)
    wait(lambda: log.exists())
    said("get")
    program.projects.close()
    program.compute.stop()
    os._exit(0)  # a window that is closed asks about its download

if __name__ == "__main__":
    main()
"""


def attempts(log: Path) -> list[str]:
    """Every attempt to reach another machine, in words."""
    return log.read_text(encoding="utf-8").splitlines() if log.exists() else []


def watched(log: Path, home: Path) -> dict[str, str]:
    """Variables of a program without a network, whose attempts are written to ``log``."""
    private = {name: str(home / name) for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME")}
    here = {"HOME": str(home), "QT_QPA_PLATFORM": "offscreen", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    none = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"), "")
    return os.environ | private | here | none | {"LD_PRELOAD": str(library("network")), "NETWORK_LOG": str(log)}


def test_the_window_connects_to_nothing_before_it_is_asked_to(tmp_path: Path) -> None:
    script, log = tmp_path / "session.py", tmp_path / "attempts"
    script.write_text(_SESSION, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=ROOT, env=watched(log, tmp_path), capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    said = dict(line.rsplit(" ", 1) for line in done.stdout.splitlines())
    assert [said[part] for part in ("start and tour", "predict", "evaluate and list")] == ["0", "0", "0"], attempts(log)
    assert int(said["get"]) > 0, "the watch sees what is asked for"


def test_commands_connect_to_nothing(tmp_path: Path) -> None:
    log = tmp_path / "attempts"
    image = str(next((ROOT / "resources" / "sample_project" / "images").glob("*.jpg")))
    for arguments in (["models", "list"], ["doctor"], ["predict", image, "--model", "rooms-voc", "-o", str(tmp_path / "out")]):
        done = subprocess.run(
            [sys.executable, "-m", "app", *arguments],
            cwd=ROOT, env=watched(log, tmp_path), capture_output=True, text=True, timeout=900, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]
    assert attempts(log) == []
