"""``atrous models get``: fetch a published checkpoint, check it, and put it where the program finds it."""

from __future__ import annotations

import difflib
from pathlib import Path

import click

from app.cli.console import emit
from app.cli.terminal import say
from app.cli.transfer import megabytes, transfer
from app.paths import download_folder, model_folders
from deeplab_core.errors import AtrousError
from deeplab_core.hub import PublishedModel, find_installed, find_published, install, published_models, write_published_card
from deeplab_core.hub.connection import proxy_for


@click.command("get")
@click.argument("model_id", metavar="ID")
@click.option("--to", "folder", type=click.Path(file_okay=False, path_type=Path), help="Folder to put it in.")
@click.option("--again", is_flag=True, help="Fetch it also where it is there already.")
@click.option("--json", "as_json", is_flag=True, help="JSON lines: progress, then the model.")
def get_command(model_id: str, folder: Path | None, again: bool, as_json: bool) -> int:
    """Fetch a published model.

    ID is one of those that 'atrous models list' shows. A download that was interrupted goes on where it ended; the system's
    proxies and https_proxy are used.
    """
    model = _named(model_id)
    there = find_installed(model, model_folders()) if folder is None and not again else None
    target = folder or (there.parent if there is not None else download_folder())
    if not as_json and there is None and model.direct:
        _announce(model, target)
    try:
        with transfer(model.id, as_json=as_json) as report:
            found = install(model, target, again=again, progress=report)
    except KeyboardInterrupt:
        say("atrous: stopped; what came so far is kept, and the same command goes on from there", err=True)
        return 130
    from deeplab_core.weights import load_model

    try:
        _, card = load_model(found.path)
        write_published_card(found.path, card, model)
    except AtrousError as error:
        if as_json:
            emit("model", id=model.id, path=found.path, already=found.already, checksum=found.checksum, error=str(error))
        say(f"atrous: {found.path} is there, but cannot be used: {error}", err=True)
        return 1
    if as_json:
        emit("model", id=model.id, path=found.path, already=found.already, checksum=found.checksum, error=None)
        return 0
    say(f"{'It is there already' if found.already else 'Fetched'}: {found.path}")
    if found.checksum:
        say(f"Checksum: {found.checksum}.")
    name = found.path.stem if found.path.parent in model_folders() else found.path
    say(f"{model.title}, {card.catalog.title}. Use it with --model {name}")
    return 0


def _named(model_id: str) -> PublishedModel:
    model = find_published(model_id)
    if model is None:
        close = difflib.get_close_matches(model_id, [known.id for known in published_models()], n=3, cutoff=0.6)
        hint = f"perhaps you mean {' or '.join(close)}" if close else "'atrous models list' shows them"
        raise click.UsageError(f"no published model '{model_id}'; {hint}")
    return model


def _announce(model: PublishedModel, target: Path) -> None:
    proxy = proxy_for(model.url)
    through = f" through the proxy {proxy}" if proxy else ""
    say(f"{model.title}: {megabytes(model.approximate_bytes)} from {model.host}{through} to {target}", err=True)
    say(f"Licence: {model.licence}. Trained on {model.data_licence}.", err=True)
