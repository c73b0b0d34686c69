"""``atrous demo``: the main job on the sample project without a window."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click

from app.cli.terminal import say
from app.paths import FIRST_MODEL, MODEL_DIR_VARIABLE, RESOURCES, SAMPLE_PROJECT, copy_sample_project


@click.command(hidden=True)
@click.option("-o", "--output", "out", default="out", show_default=True, type=click.Path(file_okay=False, path_type=Path))
@click.option("--device", default="auto", show_default=True)
def demo(out: Path, device: str) -> int:
    """Predict the sample project, evaluate the masks, and take a picture of the window; all below OUT."""
    from app.cli import run
    from app.cli.model_choice import known_models

    fitting = [entry.path for entry in known_models() if entry.card is not None and entry.card.catalog.name == "voc21"]
    if fitting:
        masks = out / "masks"
        model = FIRST_MODEL if FIRST_MODEL in fitting else fitting[0]  # the rooms' own network knows the sample best
        say(f"Predicting {SAMPLE_PROJECT / 'images'} with {model.name}")
        arguments = [str(SAMPLE_PROJECT / "images"), "--model", str(model), "-o", str(masks), "--device", device]
        status = run(["predict", *arguments, "--overwrite"])
        if status:
            return status
    else:
        masks = SAMPLE_PROJECT / "masks"
        say(
            f"No model of the sample's classes was found (the bundled one is missing, and {MODEL_DIR_VARIABLE} names none): "
            "evaluating the masks of the sample images"
        )
    report, figures, picture = out / "report.html", out / "figures.json", out / "window.png"
    arguments = ["--prediction", str(masks), "--truth", str(SAMPLE_PROJECT / "truth"), "--catalog", "voc21"]
    status = run(["evaluate", *arguments, "--json", str(figures), "--html", str(report)])
    status = status or photograph_window(copy_sample_project(out / "sample_project"), picture)
    if status == 0:
        say(f"Masks: {masks}\nFigures: {figures}\nReport: {report}\nWindow: {picture}")
    return status


def photograph_window(folder: Path, picture: Path) -> int:
    """Open a project in a window that no screen shows, save its picture, and return the exit status.

    A process of its own, because this one may hold torch and the window's must not.
    """
    program = [sys.executable] if getattr(sys, "frozen", False) else [sys.executable, "-m", "atrous"]
    # Qt's own offscreen screen has 800 x 800 px; its parameters are separated by colons, which a Windows path holds too.
    screen = "" if sys.platform == "win32" else f":configfile={RESOURCES / 'offscreen.json'}"
    paths = os.pathsep.join(filter(None, [str(RESOURCES.parent), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": paths, "QT_QPA_PLATFORM": f"offscreen{screen}"}
    done = subprocess.run([*program, "open", str(folder), "--smoke", str(picture)], env=environment, check=False)
    return done.returncode
