"""``atrous models``: what networks are at hand, and what a checkpoint is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from app.cli.console import emit
from app.cli.model_choice import known_models, resolve_model
from app.places import MODEL_DIR_VARIABLE

if TYPE_CHECKING:
    from deeplab_core.records import ModelCard


@click.group()
def models() -> None:
    """List the models at hand, or show what a checkpoint is."""


@models.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON line per model.")
def list_command(as_json: bool) -> None:
    """List bundled models and those of ATROUS_MODEL_DIR."""
    entries = known_models()
    for entry in entries:
        if as_json:
            card = None if entry.card is None else entry.card.to_dict()
            emit("model", name=entry.path.stem, path=entry.path, card=card, error=str(entry.error) if entry.error else None)
        elif entry.card is None:
            click.echo(f"{entry.path.stem}\n    cannot be used: {entry.error}")
        else:
            click.echo(f"{entry.path.stem}\n    {_headline(entry.card)}\n    {entry.path}")
    if not entries and not as_json:
        click.echo(f"No model at hand. Set {MODEL_DIR_VARIABLE} to a folder of checkpoints, or give a file to --model.")


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


def _headline(card: ModelCard) -> str:
    return card.summary or f"{card.name}, {card.catalog.title}"
