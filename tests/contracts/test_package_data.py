"""What the program reads at run time is in the wheel."""

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
