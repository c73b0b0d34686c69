"""From what a person calls a model to the file that holds it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.places import MODEL_DIR_VARIABLE, model_folders
from deeplab_core.fetch import find_published, published_models
from deeplab_core.model_files import model_in_folder

if TYPE_CHECKING:
    from deeplab_core.weights import ModelEntry


def known_models() -> list[ModelEntry]:
    """Bundled models first, then those of ``ATROUS_MODEL_DIR``; unreadable files carry their error."""
    from deeplab_core.weights import list_models

    return list_models(model_folders())


def resolve_model(name_or_file: str) -> Path:
    """Find the checkpoint that a person means.

    Args:
        name_or_file: path of a file, or the file name, stem, card name, card id or published id of a known model.

    Raises:
        click.UsageError: where nothing or more than one model fits; lists the choices.
    """
    path = Path(name_or_file).expanduser()
    if path.is_file() or (path.is_dir() and model_in_folder(path) is not None):
        return path
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
