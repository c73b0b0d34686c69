"""The model of a command: its options, from the user's name to its file, and what the user should know of it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from app.cli.options import Decimal
from app.cli.terminal import say
from app.paths import MODEL_DIR_VARIABLE, model_folders
from deeplab_core.hub import find_from_hub, find_published, hub_address, published_models
from deeplab_core.model_files import model_in_folder

if TYPE_CHECKING:
    from deeplab_core.records import ModelCard
    from deeplab_core.weights import ModelEntry


def model_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--model NAME_OR_FILE``; the command gets it as ``model_name``, for :func:`resolve_model`."""
    return click.option(
        "--model",
        "model_name",
        metavar="NAME_OR_FILE",
        required=True,
        help="A name from 'atrous models list', or a checkpoint file.",
    )(command)


def model_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--model-option NAME=VALUE``; the command gets the checked values as ``options_of_model``, a dict."""

    @click.option(
        "--model-option",
        "model_option",
        metavar="NAME=VALUE",
        multiple=True,
        help="Options that the weights do not contain, e.g. atrous_rates=6,12,18, interpolation=bilinear, align_corners=true, "
        "weights=ema_model, output=NAME (of a graph), catalog=FILE, mean=..., std=..., resize=...; may be repeated, and holds "
        "for every model of the command. 'atrous models show' lists what is guessed.",
    )
    @functools.wraps(command)
    def wrapper(*args: object, model_option: tuple[str, ...], **values: object) -> object:
        options: dict[str, Any] = {}
        if model_option:
            from deeplab_core.weights.options import parse_options

            options = parse_options(model_option)
        return command(*args, options_of_model=options, **values)

    return wrapper


def parse_threshold(_context: click.Context, _parameter: click.Parameter, value: float | None) -> float | None:
    """A threshold between 0 and 1, both excluded; BadParameter for others, and for what is not a number."""
    from deeplab_core.records import check_threshold

    try:
        return None if value is None else check_threshold(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


#: ``--threshold`` of the commands that run a model.
threshold_option = click.option(
    "--threshold",
    type=Decimal(),
    callback=parse_threshold,
    default=None,
    help="For models with one channel (sigmoid): the probability above which a pixel is the object "
    "[default: the model's own, usually 0.5].",
)


def refuse_threshold(card: ModelCard, threshold: float | None) -> None:
    """Raise UsageError where a threshold is asked for and the model has none."""
    if threshold is not None and card.threshold is None:
        raise click.UsageError(
            f"--threshold is for models of one channel (sigmoid); {card.name} scores each of its {len(card.catalog)} classes, "
            "and the largest score decides"
        )


def report_model(card: ModelCard) -> None:
    """Say on stderr which weights of a file are used, what is guessed about the network, and what was not read."""
    others = card.extra.get("other_weights")
    if others:
        used, more = card.extra.get("weights", ""), ", ".join(map(repr, others))
        say(
            f"atrous: {card.name}: uses the weights '{used}'; the file also holds {more} (--model-option weights=NAME)",
            err=True,
        )
    for note in card.extra.get("notes", ()):
        say(f"atrous: {card.name}: {note}", err=True)
    if card.guessed:
        values = ", ".join(map(partial(_guess_text, card), card.guessed))
        how = "set it with --model-option, or once for all commands with 'atrous models convert --model-option'"
        say(f"atrous: {card.name}: guessed {values}; see 'atrous models show', {how}", err=True)


def _guess_text(card: ModelCard, name: str) -> str:
    """What is guessed, and its value."""
    if name == "catalog":
        return f"the classes ({card.catalog.title})"
    return f"{name} {option_text(card, name)}".strip()


def option_text(card: ModelCard, name: str) -> str:
    """Value of an option of a card's network in one word, as ``--model-option`` takes it; empty if the card does not tell."""
    value = card.output_stride if name == "output_stride" else card.extra.get(name, card.architecture.get(name, ""))
    if name == "align_corners":
        value = card.align_corners
    if isinstance(value, bool):
        return "true" if value else "false"
    return ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def known_models() -> list[ModelEntry]:
    """Bundled models first, then those of ``ATROUS_MODEL_DIR``; unreadable files carry their error."""
    from deeplab_core.weights import list_models

    return list_models(model_folders())


def resolve_model(name_or_file: str) -> Path:
    """Find the checkpoint that the user means.

    Args:
        name_or_file: path of a file, or the file name, stem, card name, card id or published id of a known model.

    Raises:
        click.UsageError: if no model or more than one fits; lists the choices.
    """
    path = Path(name_or_file).expanduser()
    if path.is_file() or (path.is_dir() and model_in_folder(path) is not None):
        return path
    address = hub_address(name_or_file)
    if address is not None:
        fetched = find_from_hub(address, model_folders())
        if fetched is None:
            raise click.UsageError(f"'{name_or_file}' is not here yet; run: atrous models get {name_or_file}")
        return fetched
    entries = known_models()
    wanted = name_or_file.casefold()
    found = [entry.path for entry in entries if wanted in _names(entry)]
    if len(found) == 1:
        return found[0]
    if found:
        raise click.UsageError(f"'{name_or_file}' fits several models: {', '.join(map(str, found))}; give the path of one")
    published = find_published(name_or_file)
    if published is not None:
        raise click.UsageError(f"'{published.id}' is not here yet; run: atrous models get {published.id}")
    choices = ", ".join(entry.path.stem for entry in entries) or f"none (set {MODEL_DIR_VARIABLE} to a folder that holds some)"
    raise click.UsageError(f"no model file and no known model '{name_or_file}'; known models: {choices}")


def _names(entry: ModelEntry) -> set[str]:
    names = {entry.path.name, entry.path.stem}
    if entry.card is not None:
        names |= {entry.card.name, entry.card.id}
    names |= {model.id for model in published_models() if model.installed_name == entry.path.name}
    return {name.casefold() for name in names}
