"""``atrous models``: what networks are available, what can be fetched, and what a checkpoint is."""

from __future__ import annotations

import click

from app.cli.models_convert import convert_command
from app.cli.models_export import export_command
from app.cli.models_get import get_command
from app.cli.models_list import list_command
from app.cli.models_show import show_command


@click.group()
def models() -> None:
    """List the available models, fetch published ones, show what a checkpoint is, convert and export it."""


models.add_command(convert_command)
models.add_command(export_command)
models.add_command(get_command)
models.add_command(list_command)
models.add_command(show_command)
