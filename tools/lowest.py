"""``python tools/lowest.py``: pip constraints that take every dependency at the lowest version that ``pyproject.toml`` declares.

Only PyTorch is left alone: its old releases are large, and each runs on few versions of Python. The script needs nothing but the
standard library, so that it runs before anything is installed. A dependency without a lowest version is an error.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LEFT_ALONE = frozenset({"torch"})

_REQUIREMENT = re.compile(r"(?P<name>[A-Za-z0-9._-]+)(\[[^\]]*\])?\s*(?P<versions>[^;]*)")
_LOWEST = re.compile(r">=\s*([0-9][^,\s]*)")


def constraints(requirements: Iterable[str]) -> list[str]:
    """One ``name==version`` per requirement that is not left alone.

    Args:
        requirements: as in ``project.dependencies``.

    Raises:
        ValueError: a requirement names no lowest version.
    """
    found = []
    for requirement in requirements:
        parts = _REQUIREMENT.match(requirement)
        lowest = _LOWEST.search(parts["versions"]) if parts else None
        if parts is None or lowest is None:
            raise ValueError(f"{requirement!r} names no lowest version (>=)")
        if parts["name"].lower() not in LEFT_ALONE:
            found.append(f"{parts['name']}=={lowest[1]}")
    return found


def declared(project_file: Path = ROOT / "pyproject.toml") -> list[str]:
    """The requirements of a project that everybody installs."""
    requirements: list[str] = tomllib.loads(project_file.read_text(encoding="utf-8"))["project"]["dependencies"]
    return requirements


if __name__ == "__main__":
    try:
        print("\n".join(constraints(declared())))
    except ValueError as error:
        sys.exit(f"pyproject.toml: {error}")
