"""``atrous project``: what concerns the project of a folder as a whole."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.cli.frames import extract, frame_choice, frame_options
from app.cli.kept_runs import runs
from app.cli.options import project_option
from app.cli.project_images import images
from app.cli.terminal import say
from app.cli.transfer import megabytes
from app.cli.two_projects import agreement, merge
from app.text import counted

if TYPE_CHECKING:
    from app.state.backups import Backup


@click.group()
def project() -> None:
    """Commands for a whole project."""


@project.command()
@click.argument("folder", default=".", type=click.Path(exists=True, file_okay=False, path_type=Path))
@project_option(existing=True)
@click.option("--list", "only_list", is_flag=True, help="List the daily copies and change nothing.")
@click.option("--from", "name", metavar="NAME", help="Which copy [default: the newest].")
def restore(folder: Path, *, project_dir: Path | None, only_list: bool, name: str | None) -> int:
    """Restore a daily copy of a project's database, e.g. after it was deleted or damaged.

    While a project is open in the window, its database is copied once a day; the last seven copies are kept. They contain
    statuses, settings, strokes and undo steps. The current database is set aside, and mask files are not changed: a mask that
    is newer than the copy counts.
    """
    from app.state.backups import list_backups
    from app.state.backups import restore as put_back
    from app.state.opening import DIRECTORY_NAME

    directory = folder / DIRECTORY_NAME if project_dir is None else project_dir
    if only_list:
        backups = list_backups(directory)
        for backup in backups:
            say(f"{backup.name}  {megabytes(backup.nbytes):>9}  {_content(backup)}")
        if not backups:
            say(f"There is no daily copy in {directory}; one is made once a day while the window is open.", err=True)
        return 0
    done = put_back(directory, name)
    say(f"Restored {done.backup.name}: {_content(done.backup)}.")
    if done.aside:
        say(f"The database that was there is kept as {directory / done.aside}.")
    if done.newer_masks:
        count, named = len(done.newer_masks), ", ".join(done.newer_masks[:5])
        masks = f"{counted(count, 'mask')} {'is' if count == 1 else 'are'}"
        more = f" and {count - 5} more" if count > 5 else ""
        say(f"{masks} newer than the copy and kept, without undo steps: {named}{more}.")
    for notice in done.notices:
        say(notice)
    return 0


@project.command()
@click.argument("video", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "-o",
    "--output",
    "folder",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the frames [default: VIDEO_frames beside VIDEO].",
)
@frame_options
@click.option(
    "--dry-run", is_flag=True, help="Print how many frames there are and how much disk space they need, and write nothing."
)
@click.option("--json", "as_json", is_flag=True, help="JSON lines on stdout: the plan and a summary.")
def frames(
    video: Path, folder: Path | None, *, every: int | None, seconds: float | None, start: float, end: float | None,
    frame_kind: str, dry_run: bool, as_json: bool,
) -> int:  # fmt: skip
    """Write frames of VIDEO as images into a folder of their own, which any command opens.

    Frames are named after the video and their number. A stopped run continues where it stopped, and a finer choice adds the
    frames between; nothing is written twice. Exit status 1: the video is damaged; what could be decoded is there.
    """
    choice = frame_choice(every, seconds, start, end, frame_kind)
    _, summary = extract(video, folder, choice, dry_run=dry_run, as_json=as_json)
    return 1 if summary is not None and (summary.failed or summary.problems) else 0


project.add_command(images)
project.add_command(merge)
project.add_command(agreement)
project.add_command(runs)


def _content(backup: Backup) -> str:
    if backup.problem:
        return f"cannot be restored: {backup.problem}"
    images = counted(backup.images, "image")
    steps = counted(backup.steps, "step")
    return f"{images}, {backup.worked_on:,} worked on, {steps}"
