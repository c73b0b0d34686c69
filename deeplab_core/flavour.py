"""Whether PyTorch is there. Without it, in a light installation, graphs predict; nothing is trained and no checkpoint is read."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import sys
from functools import cache
from typing import Literal

from deeplab_core.errors import MissingPackage, message

Flavour = Literal["full", "cpu", "light"]


@cache
def has_torch() -> bool:
    """Whether PyTorch is installed. One that is installed and broken counts: its import then says what is wrong."""
    try:
        return importlib.util.find_spec("torch") is not None
    except (ImportError, ValueError):
        return False


def flavour() -> Flavour:
    """``light`` without PyTorch, ``cpu`` with a build of it for the CPU alone, else ``full``."""
    if not has_torch():
        return "light"
    try:
        return "cpu" if importlib.metadata.version("torch").endswith("+cpu") else "full"
    except importlib.metadata.PackageNotFoundError:
        return "full"


def install_command(extra: str, pip: str = "pip") -> str:
    """The command that adds an extra.

    Without PyTorch it names the packages themselves: pip would add all that Atrous depends on, and so PyTorch with CUDA, 5 GB.

    Args:
        extra: its name in ``pyproject.toml``.
        pip: how pip is called.
    """
    packages = [] if has_torch() else _packages_of(extra)
    return f"{pip} install {' '.join(packages)}" if packages else f"{pip} install 'atrous[{extra}]'"


def _packages_of(extra: str) -> list[str]:
    """Names of the packages of an extra, quoted for a shell; none if Atrous runs from its folder without being installed."""
    try:
        rows = importlib.metadata.requires("atrous") or []
    except importlib.metadata.PackageNotFoundError:
        return []
    found = [row.partition(";")[0].strip() for row in rows if re.search(rf"""extra == ['"]{re.escape(extra)}['"]""", row)]
    return [f"'{row}'" for row in found]


def require_torch(what: str, why: str = "") -> None:
    """Say what cannot be done without PyTorch, and how to add it.

    Args:
        what: the work, as the beginning of a sentence: "Learning from corrections".
        why: what asks for it, where that is not plain.

    Raises:
        MissingPackage: PyTorch is not installed.
    """
    if not has_torch():
        raise missing_torch(what, why)


def missing_torch(what: str, why: str = "") -> MissingPackage:
    """The error of :func:`require_torch`."""
    return MissingPackage(
        message("{what} needs PyTorch, which this light installation leaves out", what=what),
        why=why,
        remedy=message("Get the application that contains PyTorch (make app)")
        if getattr(sys, "frozen", False)
        else message("Run: {python} -m pip install torch", python=sys.executable or "python"),
    )
