"""Numba is imported in one package, and its loops are compiled by one rule."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
KERNELS = "deeplab_core/kernels/"
#: Other files that name numba, with the reason.
ALLOWED = {"app/cli/probes.py": "the doctor tries numba itself"}


def imports_numba(source: str) -> bool:
    """Whether a module imports numba, also inside functions."""
    names = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [item.name for item in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.append(node.module or "")
    return any(name.partition(".")[0] == "numba" for name in names)


def modules() -> list[tuple[str, str]]:
    """(path, text) of every module of the program."""
    paths = sorted(path for package in ("app", "deeplab_core") for path in (ROOT / package).rglob("*.py"))
    return [(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")) for path in paths]


def test_only_the_kernels_import_numba() -> None:
    found = {name for name, text in modules() if imports_numba(text)}
    assert {name for name in found if not name.startswith(KERNELS)} == set(ALLOWED)
    assert f"{KERNELS}compiled.py" in found


def test_loops_are_compiled_by_one_rule() -> None:
    """``numba.njit`` and ``jit`` keep code on disk or not, hold the lock or not: ``compile_loop`` decides for all."""
    assert {name for name, text in modules() if "njit" in text or "numba.jit" in text} == {f"{KERNELS}compiled.py", *ALLOWED}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import numba", True),
        ("def f():\n    from numba.core import types", True),
        ("import numpy, numba.typed", True),
        ("import numbat", False),
        ("from .numba import x", False),
    ],
)
def test_the_check_sees_every_kind_of_import(source: str, expected: bool) -> None:
    assert imports_numba(source) is expected
