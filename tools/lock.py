"""``python -m tools.lock``: the versions of this environment as constraints for pip. ``make lock`` writes ``requirements.lock``.

One ``name==version`` for every package that the extra ``tests`` brings, directly or through others. PyTorch and what it brings
stay open: which of its builds fits depends on the machine, so it is a range, as ``pyproject.toml`` has it.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "requirements.lock"

#: Packages that have to match the build of PyTorch: their versions are not ours to choose.
OPEN = ("torch", "torchvision")

_HEADER = """\
# Versions that the tests passed with. Written by 'make lock'; a constraints file for pip: it installs nothing by itself.
"""


def _project() -> dict[str, Any]:
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return project


def _needs(name: str, extras: frozenset[str]) -> Iterator[Requirement]:
    """What a package and its extras need on this machine: ours as ``pyproject.toml`` has it, others as they are installed."""
    if name == "atrous":
        project = _project()
        rows = [*project["dependencies"], *(row for extra in extras for row in project["optional-dependencies"][extra])]
    else:
        rows = list(distribution(name).requires or ())
    for requirement in map(Requirement, rows):
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in extras or {""}):
            yield requirement


def locked(extra: str = "tests") -> dict[str, str]:
    """Name -> version of every package that Atrous with this extra uses in this environment, PyTorch's own left out.

    Raises:
        PackageNotFoundError: a package that is declared is not installed.
    """
    seen: set[tuple[str, frozenset[str]]] = set()
    open_ends = [("atrous", frozenset({extra}))]
    while open_ends:
        package = open_ends.pop()
        if package not in seen and package[0] not in OPEN:
            seen.add(package)
            open_ends += [(canonicalize_name(need.name), frozenset(need.extras)) for need in _needs(*package)]
    return {name: distribution(name).version for name in sorted({name for name, _ in seen} - {"atrous"})}


def ranges() -> list[str]:
    """The requirements of :data:`OPEN`, as ``pyproject.toml`` declares them."""
    project = _project()
    declared = [*project["dependencies"], *(row for rows in project["optional-dependencies"].values() for row in rows)]
    return sorted({row for row in declared if Requirement(row).name in OPEN})


def main() -> int:
    """Write the lock file."""
    try:
        rows = [f"{name}=={version}" for name, version in locked().items()]
    except PackageNotFoundError as error:
        print(f"{error.name} is not installed. Run: make setup", file=sys.stderr)
        return 1
    LOCK.write_text(_HEADER + "\n".join(sorted([*rows, *ranges()], key=str.lower)) + "\n", encoding="utf-8")
    print(f"{LOCK.name}: {len(rows)} versions")
    return 0


if __name__ == "__main__":
    sys.exit(main())
