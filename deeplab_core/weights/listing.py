"""Which models are in some folders."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from deeplab_core.errors import AtrousError, WeightsError, message
from deeplab_core.model_files import find_models, find_odd_files
from deeplab_core.reading import reason
from deeplab_core.records import ModelCard
from deeplab_core.weights.loading import read_card

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """A weights file and its card, or why it cannot be used. Exactly one of ``card`` and ``error`` is set."""

    path: Path
    card: ModelCard | None = None
    error: AtrousError | None = None


def list_models(folders: Iterable[str | Path]) -> list[ModelEntry]:
    """Models directly inside ``folders``, sorted by name: files by their endings, and ``save_pretrained`` folders.

    Folders that do not exist are skipped. Pipes, devices and links that lead nowhere come last, with an error.
    """
    entries: list[ModelEntry] = []
    for path in find_models(folders):
        try:
            entries.append(ModelEntry(path, card=read_card(path)))
        except AtrousError as error:
            entries.append(ModelEntry(path, error=error))
        except Exception as error:  # one damaged file never hides the models beside it
            _LOG.exception("%s cannot be listed", path)
            failure = WeightsError(
                message("the file cannot be read"), why=reason(error), remedy=message("Fetch it again"), path=path
            )
            entries.append(ModelEntry(path, error=failure))
    entries += [ModelEntry(path, error=_no_file(path)) for path in find_odd_files(folders)]
    return entries


def _no_file(path: Path) -> WeightsError:
    if path.exists():
        return WeightsError(
            message("this is a pipe or device, not a file"), remedy=message("Move it out of the folder"), path=path
        )
    return WeightsError(
        message("this is a link that leads nowhere"), remedy=message("Remove it, or bring back what it leads to"), path=path
    )
