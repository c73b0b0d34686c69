"""What the program reads at run time is in the wheel, and what the source distribution names is there."""

from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("app", "deeplab_core", "resources")


def test_every_data_file_is_named_for_the_wheel() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    named = {pattern.removeprefix("*") for pattern in settings["package-data"]["*"]}
    found = {
        path.suffix: path
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and path.name not in named and path.suffix not in (".py", ".pyc", ".nbi", ".nbc")
    }
    assert {suffix: path for suffix, path in found.items() if suffix not in named} == {}


def test_the_source_distribution_names_files_that_exist() -> None:
    named = [line.split() for line in (ROOT / "MANIFEST.in").read_text(encoding="utf-8").splitlines()]
    patterns = [pattern for words in named if words and words[0] in ("include", "graft") for pattern in words[1:]]
    assert [pattern for pattern in patterns if not any(ROOT.glob(pattern))] == []
