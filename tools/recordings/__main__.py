"""Record the correction tools: the real window on the sample project, used by mouse and keys.

    QT_QPA_PLATFORM=offscreen python -m tools.recordings -o docs/images/recordings [--only NAME ...]

Writes one animated PNG for each tool. Every frame is a picture of the window; only the pointer and the keys are drawn on it,
which the window itself does not show. Class scores and regions are those of the bundled network, from the program's own process.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import click

#: The window's size, px: the picture of the sample is nearly as wide.
_SIZE = (720, 620)


@click.command()
@click.option("-o", "--output", type=click.Path(file_okay=False, path_type=Path), required=True)
@click.option("--only", multiple=True, help="names of recordings")
@click.option("--theme", type=click.Choice(["dark", "light"]), default="dark", show_default=True)
def main(output: Path, only: tuple[str, ...], theme: str) -> None:
    """Record the tools."""
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"):
        os.environ[name] = tempfile.mkdtemp()  # the user's own settings are neither used nor changed
    # The compute process imports this module and refuses Qt, so Qt comes only now.
    from PySide6.QtWidgets import QApplication

    from tools.recordings.stories import STORIES, Stage

    if unknown := set(only) - set(STORIES):
        raise click.BadParameter(f"{', '.join(sorted(unknown))}; there are {', '.join(STORIES)}", param_hint="--only")
    qt = QApplication([])
    folder = Path(tempfile.mkdtemp()) / "rooms"
    stage = Stage(folder, _SIZE, theme)
    for name, story in STORIES.items():
        if not only or name in only:
            recording = story(stage).recording
            path = output / f"{name}.png"
            recording.write(path)
            seconds = sum(recording.durations) / 1000
            click.echo(f"{path}: {len(recording.frames)} pictures, {seconds:.1f} s, {path.stat().st_size / 1000:.0f} kB")
    stage.close()
    qt.processEvents()
    shutil.rmtree(folder.parent, ignore_errors=True)


if __name__ == "__main__":
    main()
