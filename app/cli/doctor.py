"""``atrous doctor``: what this machine computes with, and why not with something faster."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
from pathlib import Path
from typing import Any

import click

from app.cli.console import emit
from app.cli.terminal import say
from app.places import MODEL_DIR_VARIABLE, model_folders
from deeplab_core import __version__

PACKAGES = (
    "torch",
    "numpy",
    "opencv-python-headless",
    "Pillow",
    "safetensors",
    "PySide6-Essentials",
    "numba",
    "pyqtgraph",
    "onnxruntime",
    "ai-edge-litert",
    "pillow-heif",
)
#: What to install for those that are not required.
_EXTRAS = {"onnxruntime": "onnx", "ai-edge-litert": "litert", "pillow-heif": "heic"}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Everything as one JSON line.")
def doctor(as_json: bool) -> int:
    """Show versions and devices, and say what is wrong with this installation."""
    facts: dict[str, Any] = {
        "atrous": __version__,
        "python": f"{platform.python_version()} ({sys.executable})",
        "system": f"{platform.platform()}, {os.cpu_count()} cores",
        **{name: _version(name) for name in PACKAGES},
    }
    problems: list[str] = []
    if _version("opencv-python") is not None:
        problems.append(
            "opencv-python is installed; its Qt breaks the window. Run: pip uninstall opencv-python; "
            "pip install --force-reinstall opencv-python-headless"
        )
    devices, device_notes = _devices(problems)
    missing = [
        name for name in os.environ.get(MODEL_DIR_VARIABLE, "").split(os.pathsep) if name and not Path(name).expanduser().is_dir()
    ]
    problems += [f"{MODEL_DIR_VARIABLE} names {name}, which is no folder" for name in missing]
    if as_json:
        emit("doctor", facts=facts, devices=devices, notes=device_notes, model_folders=model_folders(), problems=problems)
        return 1 if problems else 0
    for name, value in facts.items():
        missing_text = f"not installed; pip install 'atrous[{_EXTRAS[name]}]'" if name in _EXTRAS else "not installed"
        say(f"{name:>22}  {value or missing_text}")
    for name, text in devices.items():
        say(f"{'device ' + name:>22}  {text}")
    for note in device_notes:
        say(f"{'':>22}  {note}")
    say(f"{'models':>22}  {', '.join(map(str, model_folders())) or f'none bundled; set {MODEL_DIR_VARIABLE}'}")
    for problem in problems:
        say(f"atrous: {problem}", err=True)
    if not problems:
        say("No problem found.")
    return 1 if problems else 0


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _devices(problems: list[str]) -> tuple[dict[str, str], list[str]]:
    """Device string -> what it is, and why an accelerator is missing."""
    try:
        from deeplab_core.inference import list_devices
    except (ImportError, OSError) as error:
        problems.append(f"PyTorch cannot be loaded ({error}). Run: pip install --force-reinstall torch")
        return {}, []
    devices, notes = list_devices()
    return devices, list(notes)
