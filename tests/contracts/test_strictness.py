"""The type checker and the complexity rule cover the whole program."""

from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_every_package_is_checked_strictly_and_none_is_let_off() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    typed = {path.parent.name for path in ROOT.glob("*/py.typed")}
    assert typed == {"app", "deeplab_core"}
    assert set(settings["mypy"]["packages"]) == typed
    assert settings["mypy"]["strict"] is True
    loosened = [entry["module"] for entry in settings["mypy"]["overrides"] if set(entry) - {"module", "ignore_missing_imports"}]
    assert loosened == []
    assert "C90" in settings["ruff"]["lint"]["select"]
    assert settings["ruff"]["lint"]["mccabe"]["max-complexity"] <= 15
