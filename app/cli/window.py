"""``atrous [FOLDER]``: the window."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from app.cli.frames import extract, frame_choice, frame_options
from app.cli.options import project_option
from app.cli.terminal import say


def has_screen() -> bool:
    """Whether a window can be shown: always on Windows and macOS, with a display server elsewhere."""
    if sys.platform in ("win32", "darwin"):
        return True
    return any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"))


@click.command("open", hidden=True)
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@project_option(text="Keep the project's data here instead of FOLDER/.atrous, e.g. for a read-only folder.")
@click.option(
    "--catalog",
    "catalog_name",
    metavar="NAME_OR_FILE",
    help="Classes of a new project: voc21, ... or a file [default: those of its ground truth, or asked for; else voc21].",
)
@click.option("-y", "--yes", is_flag=True, help="Begin a new project with what is proposed for it, without asking.")
@frame_options
@click.option("--sample", is_flag=True, help="Open a copy of the sample project.")
@click.option(
    "--smoke",
    metavar="PNG",
    type=click.Path(dir_okay=False, path_type=Path),
    hidden=True,
    help="Open, wait for the compute process and one prediction, save a picture of the window, quit.",
)
@click.pass_context
def window(
    context: click.Context,
    folder: Path | None,
    project_dir: Path | None,
    catalog_name: str | None,
    yes: bool,
    sample: bool,
    smoke: Path | None,
    every: int | None,
    seconds: float | None,
    start: float,
    end: float | None,
    frame_kind: str,
) -> int:
    """Open the window, on FOLDER where one is given. Of a VIDEO, frames are written beside it, and their folder is opened."""
    if folder is not None and folder.is_file() and _is_video(folder):  # numpy is not imported for a window without one
        folder = extract(folder, None, frame_choice(every, seconds, start, end, frame_kind))[0].folder
    elif every is not None or seconds is not None:
        raise click.UsageError("--every and --seconds are for videos; give the file of one")
    if folder is not None and not folder.is_dir():
        root = context.find_root().command
        known = [root.get_command(context, name) for name in root.list_commands(context)] if isinstance(root, click.Group) else []
        commands = [command.name or "" for command in known if command is not None and not command.hidden]
        raise click.UsageError(f"'{folder}' is neither a folder of images nor one of the commands {', '.join(commands)}")
    if catalog_name is not None and (folder is None or sample):
        raise click.UsageError("--catalog names the classes of a new project; give the FOLDER of its images too")
    catalog = None
    if catalog_name is not None:
        from deeplab_core.catalogs import get_catalog

        catalog = get_catalog(catalog_name)
    if sample:
        if not has_screen():
            from app.cli import run

            say("No screen here (neither DISPLAY nor WAYLAND_DISPLAY is set): doing the same job without a window.")
            return run(["demo"])
        from app.paths import copy_sample_project, sample_home

        folder = copy_sample_project(sample_home())
    if not has_screen():
        raise click.UsageError(
            "no screen here: neither DISPLAY nor WAYLAND_DISPLAY is set; 'atrous predict' and 'atrous evaluate' work without"
        )
    try:
        from app.main import main
    except Exception as error:
        _show_broken(error)
        raise
    return int(main(folder, project_dir=project_dir, catalog=catalog, smoke=smoke, accept=yes))


def _is_video(path: Path) -> bool:
    from deeplab_core.datasets.video import is_video

    return is_video(path)


def _show_broken(error: Exception) -> None:
    """Say without Qt that Qt cannot be loaded if there is no terminal to read."""
    from app.import_trouble import explain, show_without_qt

    if sys.stderr is None or not sys.stderr.isatty():
        show_without_qt("Atrous cannot open its window", ". ".join(explain(error)))
