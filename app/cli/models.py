"""``atrous models``: what networks are at hand, what can be fetched, and what a checkpoint is."""

from __future__ import annotations

import click

from app.cli.console import emit
from app.cli.model_choice import resolve_model
from app.cli.models_get import get_command
from app.cli.models_list import list_command


@click.group()
def models() -> None:
    """List the models at hand, fetch published ones, or show what a checkpoint is."""


models.add_command(get_command)
models.add_command(list_command)


@models.command("show")
@click.argument("name_or_file")
@click.option("--json", "as_json", is_flag=True, help="The whole card as one JSON line.")
def show_command(name_or_file: str, as_json: bool) -> None:
    """Open a checkpoint, find out whose it is, and show its card."""
    from deeplab_core.weights import read_card

    path = resolve_model(name_or_file)
    card = read_card(path)
    if as_json:
        emit("model", path=path, card=card.to_dict())
        return
    pre = card.preprocessing
    rows = {
        "name": card.name,
        "id": card.id,
        "network": ", ".join(f"{key}={value}" for key, value in card.architecture.items()),
        "classes": f"{card.catalog.title}: {', '.join(card.catalog.names)}",
        "input": f"{pre.channel_order}, mean {pre.mean}, std {pre.std}, resize {pre.resize}, padding {pre.padding}",
        "strides": f"{card.output_stride} (also {', '.join(str(s) for s in card.output_strides if s != card.output_stride)})",
        "upsampling": "corners aligned" if card.align_corners else "pixel centres aligned",
        "source": card.source,
        "licence": card.licence,
        "sha256": card.sha256,
        "guessed": ", ".join(card.guessed),
    }
    for label, value in rows.items():
        if value:
            click.echo(f"{label:>11}  {value}")
