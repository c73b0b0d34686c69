"""``atrous doctor``: whether every part of this installation works, what it computes with, and why not with something faster."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import click

from app.cli.console import emit
from app.cli.options import json_lines_option
from app.cli.probes import PROBES, Row, answer_probe, run_probe
from app.cli.terminal import say
from app.cli.window import has_screen
from app.paths import MODEL_DIR_VARIABLE, model_folders
from deeplab_core import __version__
from deeplab_core.flavour import flavour

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
    "openvino",
    "ai-edge-litert",
    "pillow-heif",
)
#: What PyTorch's part in an installation is called.
FLAVOURS = {
    "full": "full",
    "cpu": "full, PyTorch for the CPU",
    "light": "light, without PyTorch: no training, learning, or checkpoints of other programs",
}
#: Probes that run at the same time: most of their time is reading from the disk.
_AT_ONCE = 3


@click.command()
@json_lines_option("Print everything as one JSON line.")
@click.option("--probe", type=click.Choice(list(PROBES)), hidden=True, help="Run one probe in this process.")
def doctor(as_json: bool, probe: str | None) -> int:
    """Import and try every part of this installation, and report problems."""
    if probe is not None:
        say(answer_probe(probe))
        return 0
    facts: dict[str, Any] = {
        "atrous": __version__,
        "flavour": FLAVOURS[flavour()],
        "python": f"{platform.python_version()} ({sys.executable})",
        "system": f"{platform.platform()}, {os.cpu_count()} cores",
        **{name: _version(name) for name in PACKAGES},
    }
    if not as_json:
        for name, value in facts.items():
            say(f"{name:>22}  {value or 'not installed'}")
    rows = _probe_rows((lambda _row: None) if as_json else _say_row)
    problems = [*_setup_problems(), *(f"{row.name}: {row.text}. {row.remedy}" for row in rows if row.state == "failed")]
    found = next((row.more for row in rows if "devices" in row.more), {})
    devices, notes = found.get("devices", {}), found.get("notes", [])
    if as_json:
        probes = [{"name": row.name, "state": row.state, "text": row.text, "remedy": row.remedy} for row in rows]
        emit("doctor", facts=facts, devices=devices, notes=notes, model_folders=model_folders(), probes=probes, problems=problems)
    else:
        _say_findings(devices, notes, problems)
    return 1 if problems else 0


def _setup_problems() -> list[str]:
    """What is wrong with the packages and the environment, apart from what the probes try."""
    problems: list[str] = []
    if _version("opencv-python") is not None:
        problems.append(
            "opencv-python is installed; its Qt breaks the window. Run: pip uninstall opencv-python; "
            "pip install --force-reinstall opencv-python-headless"
        )
    missing = [
        name for name in os.environ.get(MODEL_DIR_VARIABLE, "").split(os.pathsep) if name and not Path(name).expanduser().is_dir()
    ]
    return [*problems, *(f"{MODEL_DIR_VARIABLE} names {name}, which is not a folder" for name in missing)]


def _probe_rows(tell: Callable[[Row], None]) -> list[Row]:
    """Run every probe that this machine can, and tell of each as soon as it has ended."""
    names = [name for name in PROBES if name != "screen" or has_screen()]
    rows: list[Row] = []
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for row in pool.map(run_probe, names):
            rows.append(row)
            tell(row)
    return rows


def _say_findings(devices: dict[str, str], notes: list[str], problems: list[str]) -> None:
    for name, text in devices.items():
        say(f"{'device ' + name:>22}  {text}")
    for note in notes:
        say(f"{'':>22}  {note}")
    say(f"{'models':>22}  {', '.join(map(str, model_folders())) or f'none bundled; set {MODEL_DIR_VARIABLE}'}")
    for problem in problems:
        say(f"atrous: {problem}", err=True)
    if not problems:
        say("No problem found.")


def _say_row(row: Row) -> None:
    state = {"ok": "ok", "failed": "FAILED", "missing": "-"}[row.state]
    remedy = f". {row.remedy}" if row.state == "missing" else ""
    say(f"{row.name:>22}  {state:<6}  {row.text}{remedy}")


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
