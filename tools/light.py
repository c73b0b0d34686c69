"""``python -m tools.light``: write ``requirements-light.txt``, what a light installation needs. ``make lock`` calls it.

A light installation leaves PyTorch out: ``pip install --no-deps .`` and ``pip install -r requirements-light.txt``. ONNX Runtime,
an extra elsewhere, runs the graphs there.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
LIGHT = ROOT / "requirements-light.txt"

#: What is left out of the dependencies, and what runs graphs in its place: an extra and its package.
LEFT_OUT = "torch"
RUNS_GRAPHS = ("onnx", "onnxruntime")

_HEADER = """\
# What Atrous needs without PyTorch: pip install --no-deps . && pip install -r requirements-light.txt
# Written by 'make lock' from pyproject.toml.
"""


def light_requirements() -> list[str]:
    """The dependencies of ``pyproject.toml`` without PyTorch, and ONNX Runtime."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extra, package = RUNS_GRAPHS
    rows = [row for row in project["dependencies"] if Requirement(row).name != LEFT_OUT]
    rows += [row for row in project["optional-dependencies"][extra] if Requirement(row).name == package]
    return sorted(rows, key=str.lower)


def text() -> str:
    """The file as it has to be."""
    return _HEADER + "\n".join(light_requirements()) + "\n"


def main() -> int:
    """Write the file."""
    LIGHT.write_text(text(), encoding="utf-8")
    print(f"{LIGHT.name}: {len(light_requirements())} packages")
    return 0


if __name__ == "__main__":
    sys.exit(main())
