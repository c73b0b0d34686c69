"""Fill the environment that ``make app`` builds from: Atrous' dependencies without torchvision, and PyInstaller.

The application predicts and refines without torchvision, which only training and one family of models import.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LEFT_OUT = {"torch", "torchvision"}


def requirements(torch: str) -> list[str]:
    """What to install, with ``torch`` as the requirement of the build that is to be shipped."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = {line: re.split(r"[<>=!~\[; ]", line, maxsplit=1)[0].lower() for line in project["dependencies"]}
    return [torch, *(line for line, name in names.items() if name not in LEFT_OUT), "pyinstaller>=6.11"]


if __name__ == "__main__":
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", *requirements(*sys.argv[1:] or ["torch"])], check=True)
