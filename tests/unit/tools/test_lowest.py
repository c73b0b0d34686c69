"""The lowest versions that CI tries are those of ``pyproject.toml``, and what the Makefile installs for tests is every extra."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tools.lowest import LEFT_ALONE, constraints, declared

ROOT = Path(__file__).resolve().parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]


@pytest.mark.parametrize(
    ("requirement", "constraint"),
    [
        ("click>=8.1", "click==8.1"),
        ("PySide6-Essentials>=6.8,!=6.11.0,!=6.11.1", "PySide6-Essentials==6.8"),
        ("opencv-python-headless >= 4.11.0.86", "opencv-python-headless==4.11.0.86"),
        ("name[extra,other]<3,>=2.0; python_version < '3.12'", "name==2.0"),
    ],
)
def test_a_requirement_gives_the_version_after_its_sign(requirement: str, constraint: str) -> None:
    assert constraints([requirement]) == [constraint]


@pytest.mark.parametrize("requirement", ["click", "click<9", "click!=8.1", "click>8", "", "name; python_version>='3.11'"])
def test_a_requirement_without_a_lowest_version_is_an_error(requirement: str) -> None:
    with pytest.raises(ValueError, match="no lowest version"):
        constraints([requirement])


def test_torch_alone_is_left_alone() -> None:
    assert constraints(["torch>=2.6", "Torch>=2.6"]) == []


def test_every_dependency_has_a_constraint_that_it_accepts_itself() -> None:
    requirements = {line.name.lower(): line for line in map(Requirement, declared())}
    found = {line.name.lower(): line for line in map(Requirement, constraints(declared()))}
    assert set(found) == set(requirements) - LEFT_ALONE
    for name, constraint in found.items():
        (pin,) = constraint.specifier
        assert pin.operator == "=="
        assert requirements[name].specifier.contains(pin.version), name


def test_the_script_runs_without_anything_installed() -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(ROOT / "tools" / "lowest.py")], capture_output=True, text=True, check=True, cwd="/"
    )
    assert done.stdout.splitlines() == constraints(declared())


def test_setup_installs_every_extra_but_the_renderer_and_what_lives_elsewhere() -> None:
    (everything,) = map(Requirement, EXTRAS["tests"])
    assert everything.name == "atrous"
    # 'formats' is tried in the environment of 'make peers': it wants older versions of OpenCV and Pillow
    assert everything.extras == set(EXTRAS) - {"tests", "scenes", "formats"}
    assert "'.[tests]'" in (ROOT / "Makefile").read_text(encoding="utf-8")
