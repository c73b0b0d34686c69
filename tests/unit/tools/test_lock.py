"""The locked versions: each declared package has one that the declaration allows, and nothing else is in the file."""

from __future__ import annotations

import re
import tomllib

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools.lock import LOCK, OPEN, ROOT, locked, ranges

ROWS = [row for row in LOCK.read_text(encoding="utf-8").splitlines() if not row.startswith("#")]
PINS = dict(row.split("==") for row in ROWS if "==" in row)


def declared() -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    chosen = [row for name in Requirement(extras["tests"][0]).extras for row in extras[name]]
    return [Requirement(row) for row in [*project["dependencies"], *chosen]]


def test_every_declared_package_is_locked_at_a_version_that_the_declaration_allows() -> None:
    for requirement in declared():
        name = canonicalize_name(requirement.name)
        if name not in OPEN:
            assert requirement.specifier.contains(PINS[name]), requirement


def test_the_file_holds_names_and_versions_and_nothing_else() -> None:
    assert [row for row in ROWS if "==" not in row] == ranges()
    assert all(re.fullmatch(r"[a-z0-9-]+==[\w.!+]+", row) for row in ROWS if "==" in row)
    assert not set(PINS) & {*OPEN, "triton", "pip"}


def test_pytorch_stays_a_range() -> None:
    assert ranges() == ["torch>=2.6", "torchvision>=0.21"]


def test_this_environment_gives_every_locked_name() -> None:
    only_elsewhere = {"colorama", "tzdata", "backports-strenum"}  # what only some systems or versions of Python need
    assert set(PINS) <= set(locked()) | only_elsewhere
