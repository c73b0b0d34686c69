"""Tools of others, run as processes in their own environment (``make peers``), so that their pins never meet ours.

A script of this folder imports only what ``requirements.txt`` brings. It gets paths as arguments and prints one JSON document.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PYTHON = ROOT / ".venv-peers" / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def run_peer(script: str, *arguments: str | Path) -> Any:
    """What a script of this folder prints, parsed; the test fails with its error output if it fails.

    Skips the test where the environment of the peers is not installed.
    """
    if not PYTHON.is_file():
        pytest.skip("the environment of other tools is not installed; run: make peers")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "PYTEST"))}
    command = [str(PYTHON), "-I", str(HERE / script), *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
