"""``python tools/torch_build.py``: the arguments by which pip takes PyTorch for the CPU, where no other build can be used.

On Linux the package index has PyTorch for CUDA alone: 5 GB that a machine without an NVIDIA driver cannot use. PyTorch's own
index has a build for the CPU. Nothing is printed where the usual one is right, or where pip is set up to take packages from a
place of its own. Needs nothing but the standard library: it runs before anything is installed.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

#: As https://pytorch.org/get-started prints it.
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
#: What an NVIDIA driver leaves on Linux, and in Linux under Windows.
_DRIVER = ("/proc/driver/nvidia/version", "/dev/nvidiactl", "/dev/dxg")
_OWN_PLACE = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_NO_INDEX", "PIP_FIND_LINKS")
_OWN_SETTING = ("index-url", "extra-index-url", "no-index", "find-links")


def arguments(*, system: str, machine: str, driver: bool, own_place: bool) -> list[str]:
    """What pip is told beside the package.

    Args:
        system, machine: as ``platform`` names them.
        driver: there is an NVIDIA driver.
        own_place: pip takes its packages from a place that the user chose.
    """
    if system != "Linux" or machine not in ("x86_64", "aarch64") or driver or own_place:
        return []
    # A version with +cpu ranks above the same one without; what torch needs comes from the usual place.
    return ["--extra-index-url", CPU_INDEX]


def has_driver() -> bool:
    """Whether there is an NVIDIA driver."""
    return shutil.which("nvidia-smi") is not None or any(Path(path).exists() for path in _DRIVER)


def has_own_place(environment: Mapping[str, str], settings: str) -> bool:
    """Whether pip is set up to take packages from elsewhere.

    Args:
        settings: what ``pip config list`` prints.
    """
    if any(environment.get(name) for name in _OWN_PLACE):
        return True
    return any(line.partition("=")[0].rpartition(".")[2] in _OWN_SETTING for line in settings.splitlines())


def main() -> int:
    """Print the arguments."""
    listed = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False).stdout
    found = arguments(
        system=platform.system(), machine=platform.machine(), driver=has_driver(), own_place=has_own_place(os.environ, listed)
    )
    print(*found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
