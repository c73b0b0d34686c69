"""What tests of the real processes share."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Saved by another process, so that this one, which plays the window, never imports torch for it."""
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    code = "import pathlib, sys, tests.unit.app.tiny_model as tiny; tiny.save_tiny_model(pathlib.Path(sys.argv[1]), slow=True)"
    subprocess.run([sys.executable, "-c", code, str(path)], cwd=ROOT, check=True)
    return path
