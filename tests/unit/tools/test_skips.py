"""In CI a test is skipped only for what the machine is, never for a package that is not installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]

CONFTEST = "from tests.conftest import pytest_configure, pytest_make_collect_report, pytest_runtest_makereport\n"
HEAD = "import pytest\n"
CASES = {
    "module": HEAD + "pytest.importorskip('no_such_package', reason='POSIX')\ndef test_a(): pass\n",
    "call": HEAD + "def test_a(): pytest.importorskip('no_such_package')\n",
    "fixture": HEAD + "@pytest.fixture\ndef lib(): pytest.importorskip('no.such', reason='x')\ndef test_a(lib): pass\n",
    "mark": HEAD + "@pytest.mark.skipif(True, reason='x is not installed')\ndef test_a(): pass\n",
    "skip": HEAD + "def test_a(): pytest.skip('x is not installed; it is the reference')\n",
    "other": HEAD + "def test_a(): pytest.skip('too tedious')\n",
    "whole file": HEAD + "pytest.skip('no reader of others', allow_module_level=True)\n",
}
ALLOWED = {
    "gpu": HEAD + "@pytest.mark.skip(reason='no CUDA device')\ndef test_a(): pass\n",
    "superuser": HEAD + "def test_a(): pytest.skip('the superuser may write everywhere')\n",
    "renderer": HEAD + "def test_a(): pytest.skip(\"the renderer (extra 'scenes') is not installed\")\n",
    "files": HEAD + "pytest.skip('no cases here (/x is absent)', allow_module_level=True)\n",
    "expected failure": HEAD + "@pytest.mark.xfail\ndef test_a(): assert 0\n",
    "present": HEAD + "def test_a(): assert pytest.importorskip('json').dumps(1) == '1'\n",
}


def outcome(folder: Path, ci: str, *options: str) -> str:
    """Closing line of pytest over the files of a folder."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    environment |= {"PYTHONPATH": str(ROOT), "CI": ci}
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "pytest.ini").write_text("[pytest]\n")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", *options, str(folder)]
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout


def written(folder: Path, cases: dict[str, str]) -> Path:
    for name, source in cases.items():
        (folder / f"test_{name.replace(' ', '_')}.py").write_text(source)
    return folder


@pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["one process", "workers"])
def test_nothing_is_skipped_in_ci_for_a_missing_package(tmp_path: Path, workers: tuple[str, ...]) -> None:
    said = outcome(written(tmp_path, CASES), "true", "--continue-on-collection-errors", *workers)
    closing = said.splitlines()[-1]
    assert "skipped" not in closing
    # What is skipped before a test begins counts as an error, inside a test as a failure.
    assert "3 failed" in closing
    assert "4 errors" in closing
    assert "ALLOWED_SKIPS (tests/conftest.py)" in said


def test_what_the_machine_is_may_be_skipped_in_ci(tmp_path: Path) -> None:
    closing = outcome(written(tmp_path, ALLOWED), "true").splitlines()[-1]
    assert closing.startswith("1 passed, 4 skipped, 1 xfailed")


def test_outside_ci_they_are_skipped(tmp_path: Path) -> None:
    assert outcome(written(tmp_path, CASES), "").splitlines()[-1].startswith("7 skipped")
