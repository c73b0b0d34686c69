"""Packages that report their use to their makers do not do so in Atrous (docs/adr/0167-packages-report-nothing.md)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("package", ["onnxruntime", "openvino"])
def test_an_engine_leaves_nothing_in_the_home_of_the_user(package: str, tmp_path: Path) -> None:
    pytest.importorskip(package)
    home = {name: str(tmp_path) for name in ("HOME", "USERPROFILE", "LOCALAPPDATA", "XDG_CACHE_HOME")}
    left = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY" and name != "CI"}
    done = subprocess.run(
        [sys.executable, "-B", "-c", f"import deeplab_core, {package}"],
        env=left | home, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [path.relative_to(tmp_path) for path in tmp_path.rglob("*")] == []
