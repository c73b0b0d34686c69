"""``atrous project``: what concerns the project of a folder as a whole."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.cli.options import project_option
from app.cli.terminal import say
from app.cli.transfer import megabytes
from app.text import counted

if TYPE_CHECKING:
    from app.state.backups import Backup


@click.group()
def project() -> None:
    """Work on the project of a folder as a whole."""


@project.command()
@click.argument("folder", default=".", type=click.Path(exists=True, file_okay=False, path_type=Path))
@project_option(existing=True)
@click.option("--list", "only_list", is_flag=True, help="List the daily copies and change nothing.")
@click.option("--from", "name", metavar="NAME", help="Which copy; without it the newest.")
def restore(folder: Path, *, project_dir: Path | None, only_list: bool, name: str | None) -> int:
    """Put a daily copy of a project's database back, e.g. after it was deleted or damaged.

    While a project is open in the window, its database is copied once a day; the last seven copies are kept. They hold
    statuses, settings, strokes and undo steps. The database that is there now is set aside, and mask files stay as they are:
    a mask that is newer than the copy counts.
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


def _content(backup: Backup) -> str:
    if backup.problem:
        return f"cannot be restored: {backup.problem}"
    images = counted(backup.images, "image")
    steps = counted(backup.steps, "step")
    return f"{images}, {backup.worked_on:,} worked on, {steps}"
