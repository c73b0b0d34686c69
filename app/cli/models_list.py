"""``atrous models list``: available models, and models that can be fetched."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

import click

from app.cli.console import emit
from app.cli.model_choice import known_models
from app.cli.terminal import say
from app.cli.transfer import megabytes
from app.paths import MODEL_DIR_VARIABLE, download_folder, model_folders
from deeplab_core.hub import PublishedModel, find_installed, published_models

if TYPE_CHECKING:
    from deeplab_core.records import ModelCard


@click.command("list")
@click.option("--installed", "only", flag_value="installed", help="Only installed models.")
@click.option("--available", "only", flag_value="available", help="Only what can be fetched.")
@click.option("--json", "as_json", is_flag=True, help="One JSON line per model.")
def list_command(only: str | None, as_json: bool) -> None:
    """List the available models, and those that 'atrous models get' fetches."""
    if only != "available":
        _list_installed(as_json)
    if only != "installed":
        _list_available(as_json)


def _list_installed(as_json: bool) -> None:
    entries = known_models()
    for entry in entries:
        if as_json:
            card = None if entry.card is None else entry.card.to_dict()
            emit("model", name=entry.path.stem, path=entry.path, card=card, error=str(entry.error) if entry.error else None)
        elif entry.card is None:
            say(f"{entry.path.stem}\n    cannot be used: {entry.error}")
        else:
            say(f"{entry.path.stem}\n    {_headline(entry.card)}\n    {entry.path}")
    if not entries and not as_json:
        say(f"No model is installed. Get one of those below, or set {MODEL_DIR_VARIABLE} to a folder of checkpoints.")


def _list_available(as_json: bool) -> None:
    folders = model_folders()
    here = {model.id: path for model in published_models() if (path := find_installed(model, folders)) is not None}
    if as_json:
        for model in published_models():
            fields = {name: getattr(model, name) for name in model.__dataclass_fields__}
            emit("published", **fields, direct=model.direct, installed=here.get(model.id))
        return
    say(f"\nTo be fetched with 'atrous models get ID', into {download_folder()}:")
    for publisher, group in groupby(published_models(), key=lambda model: model.publisher):
        models = list(group)
        say(f"\n{publisher}, licence {models[0].licence}")
        for model in models:
            say(_row(model, model.id in here))


def _row(model: PublishedModel, here: bool) -> str:
    miou = f"{model.miou:g}" if model.miou is not None else "unknown"
    where = "here" if here else megabytes(model.approximate_bytes) if model.direct else "browser"
    return f"  {model.id:<52} {where:>8}  {model.classes:>3} classes  mIoU {miou:>7}  {model.miou_on}".rstrip()


def _headline(card: ModelCard) -> str:
    return card.summary or f"{card.name}, {card.catalog.title}"
