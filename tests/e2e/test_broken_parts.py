"""Broken packages: the window names the fault instead of waiting for ever."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from app.services.compute import ComputeClient
from app.smoke import NO_COMPUTE
from tests.unit.app.cli.test_doctor import BROKEN, ROOT, break_module

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("kind", ["torch", "numpy"])
def test_a_worker_whose_imports_fail_says_why_at_once(
    kind: str, qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real process, which is not started a second time."""
    module, code, sign, remedy = BROKEN[kind]
    monkeypatch.syspath_prepend(break_module(tmp_path, module, code))
    client = ComputeClient()
    crashes: list[str] = []
    client.crashed.connect(crashes.append)
    try:
        with qtbot.waitSignal(client.gave_up) as caught:
            client.start()
        assert f"{module} cannot be imported" in caught.args[0]
        assert sign in caught.args[0]
        assert remedy in caught.args[0]
        assert len(crashes) == 1
    finally:
        client.stop()
    assert not any(link.running for link in client._links), "its thread would delete a Qt object"


@pytest.mark.parametrize("kind", ["libGL", "numpy", "abi"])
def test_a_window_whose_imports_fail_says_why(kind: str, tmp_path: Path) -> None:
    """The shell is painted first; what comes behind it fails. A smoke run ends with status 1 instead of waiting."""
    module, code, sign, _remedy = BROKEN[kind]
    path = break_module(tmp_path / "broken", module, code)
    done = subprocess.run(
        [sys.executable, "-m", "app", "open", "--smoke", str(tmp_path / "shot.png")],
        capture_output=True, text=True, check=False, timeout=240,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((path, str(ROOT))), "QT_QPA_PLATFORM": "offscreen"},
    )  # fmt: skip
    assert done.returncode == 1
    assert "the window cannot be filled" in done.stderr
    assert sign in done.stderr


def test_a_smoke_run_without_a_compute_process_ends_and_says_why(tmp_path: Path) -> None:
    """Its exit status is one of its own: the window is sound."""
    path = break_module(tmp_path / "broken", *BROKEN["torch"][:2])
    done = subprocess.run(
        [sys.executable, "-m", "app", "open", "--smoke", str(tmp_path / "shot.png")],
        capture_output=True, text=True, check=False, timeout=240,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((path, str(ROOT))), "QT_QPA_PLATFORM": "offscreen"},
    )  # fmt: skip
    assert done.returncode == NO_COMPUTE
    assert "smoke run: the compute process stopped: torch cannot be imported" in done.stderr
    assert "libtorch_cpu.so" in done.stderr


def test_a_window_without_qt_says_why_in_the_terminal(tmp_path: Path) -> None:
    path = break_module(tmp_path / "broken", *BROKEN["qt"][:2])
    done = subprocess.run(
        [sys.executable, "-m", "app"],
        capture_output=True, text=True, check=False, timeout=240,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((path, str(ROOT))), "QT_QPA_PLATFORM": "offscreen", "PATH": ""},
    )  # fmt: skip
    assert done.returncode == 1
    assert "PySide6 cannot be imported" in done.stderr
    assert "apt-get install libegl1" in done.stderr
    assert "Traceback" not in done.stderr
