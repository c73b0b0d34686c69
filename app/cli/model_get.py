"""``atrous models get``: a published model, or one of the Hugging Face Hub, comes into the folder of models and is tried."""

from __future__ import annotations

import difflib
from pathlib import Path

import click

from app.cli.console import emit
from app.cli.options import json_lines_option
from app.cli.terminal import say
from app.cli.transfer import megabytes, transfer
from app.paths import CLICK_FOLDER, download_folder, model_folders
from deeplab_core.errors import AtrousError
from deeplab_core.hub import (
    Installed,
    PublishedModel,
    click_networks,
    find_installed,
    find_on_hub,
    find_published,
    hub_address,
    install,
    published_models,
    write_published_card,
)
from deeplab_core.hub.connection import proxy_for


def searched(model: PublishedModel) -> list[Path]:
    """Folders that hold a published model if it is here. Click networks have their own: they are not models to predict with."""
    return [folder / CLICK_FOLDER for folder in model_folders()] if model.for_clicks else model_folders()


@click.command("get")
@click.argument("model_id", metavar="ID")
@click.option("--to", "folder", type=click.Path(file_okay=False, path_type=Path), help="Target folder.")
@click.option("--again", is_flag=True, help="Download it again even if it is installed.")
@json_lines_option("JSON lines: progress, then the model.")
def get_command(model_id: str, folder: Path | None, again: bool, as_json: bool) -> int:
    """Download a published model.

    ID is one of those that 'atrous models list' shows, or hf://owner/name for a repository of the Hugging Face Hub (extra 'hub');
    hf://owner/name/FILE names one of its files. The licence is shown first. An interrupted download resumes; the system's proxies
    and https_proxy are used.
    """
    address = hub_address(model_id)
    model = _named(model_id) if address is None else find_on_hub(address)
    there = find_installed(model, searched(model)) if folder is None and not again else None
    own = download_folder() / CLICK_FOLDER if model.for_clicks else download_folder()
    target = folder or (there.parent if there is not None else own)
    if not as_json and there is None and model.direct:
        _announce(model, target)
    try:
        with transfer(model.id, as_json=as_json) as report:
            found = install(model, target, again=again, progress=report)
    except KeyboardInterrupt:
        return _stopped()
    return _report(found, model, as_json)


def _stopped() -> int:
    say("atrous: stopped; the partial download is kept. Run the same command to resume it", err=True)
    return 130


def _report(found: Installed, model: PublishedModel, as_json: bool) -> int:
    """Try what was fetched and say how it is used; the exit status."""
    try:
        use = _tried(found, model)
    except AtrousError as error:
        if as_json:
            emit("model", id=model.id, path=found.path, already=found.already, checksum=found.checksum, error=str(error))
        say(f"atrous: {found.path} is there, but cannot be used: {error}", err=True)
        return 1
    if as_json:
        licence = f"{model.licence}; trained on {model.data_licence}"
        emit("model", id=model.id, path=found.path, already=found.already, checksum=found.checksum, licence=licence, error=None)
        return 0
    say(f"{'It is there already' if found.already else 'Fetched'}: {found.path}")
    if found.checksum:
        say(f"Checksum: {found.checksum}.")
    say(use)
    return 0


def _tried(found: Installed, model: PublishedModel) -> str:
    """Open a model that was fetched, and say how it is used.

    Raises:
        AtrousError: it cannot be opened.
    """
    if found.decoder is not None:
        from deeplab_core.backends import load_click_model

        load_click_model([found.path, found.decoder])
        return (
            f"{model.title}, a click network: {found.path.name} with {found.decoder.name}. Scripts use it; see docs/correcting.md"
        )
    from deeplab_core.weights import load_model

    _, card = load_model(found.path)
    write_published_card(found.path, card, model)
    name = found.path.stem if found.path.parent in model_folders() else model.id if model.folder else found.path
    return f"{model.title}, {card.catalog.title}. Use it with --model {name}"


def _named(model_id: str) -> PublishedModel:
    model = find_published(model_id)
    if model is None:
        known = [one.id for one in (*published_models(), *click_networks())]
        close = difflib.get_close_matches(model_id, known, n=3, cutoff=0.6)
        hint = f"perhaps you mean {' or '.join(close)}" if close else "'atrous models list' shows them"
        raise click.UsageError(f"no published model '{model_id}'; {hint}")
    return model


def _announce(model: PublishedModel, target: Path) -> None:
    proxy = proxy_for(model.url)
    through = f" through the proxy {proxy}" if proxy else ""
    say(f"{model.title}: {megabytes(model.download_bytes)} from {model.host}{through} to {target}", err=True)
    say(f"Licence: {model.licence}. Trained on {model.data_licence}.", err=True)
