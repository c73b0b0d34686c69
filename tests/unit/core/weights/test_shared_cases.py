"""Public bug reports about checkpoints, with files that their packages really write: each case's script, and what it must say.

``pytest tests/unit/core/weights/test_shared_cases.py -rA`` runs all of them and shows what each script printed.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[4]
CASES = ROOT.parent / "shared" / "cases"

pytestmark = pytest.mark.skipif(not (CASES / "models").is_dir(), reason=f"no cases here ({CASES} is absent)")


@pytest.fixture(autouse=True)
def _packages() -> None:
    pytest.importorskip("segmentation_models_pytorch")


def say(name: str, out: Path) -> list[str]:
    """Lines that a case's script prints; its files go to ``out``."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{CASES}", "BUGS_OUT": str(out), "OMP_NUM_THREADS": "1"}
    script = CASES / "models" / name / "make.py"
    done = subprocess.run([sys.executable, str(script)], env=environment, capture_output=True, text=True, check=False, cwd=out)
    assert done.returncode == 0, done.stderr
    sys.stdout.write(done.stdout)
    return [line for line in done.stdout.splitlines() if line.strip()]


def largest(line: str) -> float:
    """Difference from the package's own logits over their deviation."""
    match = re.search(r"largest difference (\S+) of the deviation", line)
    assert match, line
    return float(match[1])


def test_one_class_is_told_by_its_logit(tmp_path: Path) -> None:
    last = next(line for line in say("01_one_class_sigmoid", tmp_path) if line.startswith("peer's"))
    peer, ours = (float(number) for number in re.findall(r"(?:foreground|Atrous's) (?:np\.float64\()?([0-9.]+)", last))
    assert 0.02 < peer < 0.98
    assert abs(peer - ours) < 0.001


def test_a_pretrained_folder_is_what_its_config_says(tmp_path: Path) -> None:
    lines = say("02_pretrained_folder_config_json", tmp_path)
    assert len(lines) == 4
    assert all(largest(line) < 1e-4 for line in lines)


def test_trained_weights_come_before_their_average(tmp_path: Path) -> None:
    lines = say("04_ema_beside_trained_lightning", tmp_path)
    assert len(lines) == 3
    assert all(largest(line) < 1e-4 for line in lines)
    assert all("other_weights" in line for line in lines)


def test_harmless_objects_do_not_keep_a_file_closed(tmp_path: Path) -> None:
    lines = say("06_harmless_extras_called_code", tmp_path)
    assert len(lines) == 5
    assert all("-> loaded: " in line for line in lines)


def test_gray_and_four_channels_load_or_say_why(tmp_path: Path) -> None:
    lines = say("10_input_channels", tmp_path)
    assert len(lines) == 2
    assert all("-> loaded: " in line for line in lines)


def test_parts_open_and_keras_is_named(tmp_path: Path) -> None:
    folder, index, keras = say("16_sharded_quantised_keras", tmp_path)
    assert folder.startswith("loaded: ")
    assert index.startswith("loaded: ")
    assert keras.startswith("REFUSED")
    assert "Keras" in keras
