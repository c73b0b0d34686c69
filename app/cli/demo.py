"""``atrous demo``: the main job on the sample project without a window."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click

from app.places import MODEL_DIR_VARIABLE, RESOURCES, SAMPLE_PROJECT, copy_sample_project


@click.command(hidden=True)
@click.option("-o", "--output", "out", default="out", show_default=True, type=click.Path(file_okay=False, path_type=Path))
@click.option("--device", default="auto", show_default=True)
@click.pass_context
def demo(context: click.Context, out: Path, device: str) -> int:
    """Predict the sample project, judge the masks against its truth, and take a picture of the window; all below OUT."""
    from app.cli.evaluate import evaluate
    from app.cli.model_choice import known_models
    from app.cli.predict import predict

    usable = [entry for entry in known_models() if entry.card is not None and entry.card.catalog.name == "voc21"]
    if usable:
        masks = out / "masks"
        click.echo(f"Predicting {SAMPLE_PROJECT / 'images'} with {usable[0].path.name}")
        status = context.invoke(
            predict, inputs=(SAMPLE_PROJECT / "images",), model_name=str(usable[0].path), out=masks, device=device, overwrite=True
        )
        if status:
            return int(status)
    else:
        masks = SAMPLE_PROJECT / "masks"
        click.echo(
            f"No model at hand (none is bundled; {MODEL_DIR_VARIABLE} may name a folder): judging the masks that lie beside "
            "the sample images"
        )
    report, figures = out / "report.html", out / "figures.json"
    status = context.invoke(
        evaluate, prediction=masks, truths=(SAMPLE_PROJECT / "truth",), catalog_name="voc21", json_file=figures, html_file=report
    )
    picture = out / "window.png"
    status = status or photograph_window(copy_sample_project(out / "sample_project"), picture)
    click.echo(f"Masks: {masks}\nFigures: {figures}\nReport: {report}\nWindow: {picture}")
    return int(status)


def photograph_window(folder: Path, picture: Path) -> int:
    """Open a project in a window that no screen shows, save its picture, and return the exit status.

    A process of its own, because this one may hold torch and the window's must not.
    """
    program = [sys.executable] if getattr(sys, "frozen", False) else [sys.executable, "-m", "app"]
    # Qt's own offscreen screen has 800 x 800 px; its parameters are separated by colons, which a Windows path holds too.
    screen = "" if sys.platform == "win32" else f":configfile={RESOURCES / 'offscreen.json'}"
    environment = {**os.environ, "QT_QPA_PLATFORM": f"offscreen{screen}"}
    done = subprocess.run([*program, "open", str(folder), "--smoke", str(picture)], env=environment, check=False)
    return done.returncode
