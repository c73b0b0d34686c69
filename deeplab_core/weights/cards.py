"""Model cards beside and inside weights files, and the cards of strangers' files."""

from __future__ import annotations

import colorsys
import hashlib
import json
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from deeplab_core.catalog import ClassCatalog, ClassInfo
from deeplab_core.catalogs import get_catalog
from deeplab_core.errors import AtrousError, WeightsError
from deeplab_core.formats import atomic_write
from deeplab_core.reading import parse_json, read_json
from deeplab_core.records import ModelCard, card_path


def read_card_file(weights: Path) -> ModelCard | None:
    """The card that a person (or this program) put beside the weights, or None.

    Raises:
        WeightsError: the card file is malformed; a broken card is never passed over silently.
    """
    path = card_path(weights)
    if not path.is_file():
        return None
    try:
        return ModelCard.from_dict(read_json(path, what="the model card"))
    except AtrousError as error:
        raise WeightsError(
            "the model card beside the weights is damaged",
            why=f"{error.what[0].upper()}{error.what[1:]}. {error.why}".strip(),
            remedy="Correct it, or delete it to fall back on the documented defaults",
            path=path,
        ) from error


def write_card_file(weights: str | Path, card: ModelCard) -> Path:
    """Keep an edited card beside its weights; it wins over every guess from then on.

    Raises:
        StorageError: the folder cannot be written.
    """
    path = card_path(Path(weights))
    atomic_write(path, (json.dumps(card.to_dict(), indent=2, ensure_ascii=False) + "\n").encode())
    return path


def numbered_catalog(classes: int) -> ClassCatalog:
    """A catalog for a network whose classes nobody named: "class 0" .. with well separated colours."""
    infos = []
    for number in range(classes):
        # Golden-ratio steps around the hue circle keep neighbours in number apart in colour.
        red, green, blue = colorsys.hsv_to_rgb(number * 0.618034 % 1.0, 0.65 if number % 2 else 0.9, 0.95 if number % 3 else 0.7)
        infos.append(ClassInfo(number, f"class {number}", (round(red * 255), round(green * 255), round(blue * 255))))
    return ClassCatalog(name=f"numbered{classes}", title=f"{classes} numbered classes", classes=tuple(infos))


def catalog_for(wanted: str | ClassCatalog | None, classes: int) -> ClassCatalog:
    """The wanted catalog (a built-in one by name) where its size fits, else numbered classes."""
    if wanted is not None:
        catalog = get_catalog(wanted) if isinstance(wanted, str) else wanted
        if len(catalog) == classes:
            return catalog
    return numbered_catalog(classes)


def finish_card(card: ModelCard, weights: Path) -> ModelCard:
    """The card with the file's digest and the identifier that follows from it."""
    digest = file_digest(weights)
    slug = "".join(ch if ch.isalnum() else "-" for ch in card.name.lower()).strip("-")
    return replace(card, sha256=digest, id=f"{digest[:12]}-{slug}")


def file_digest(path: Path) -> str:
    """sha256 of a file, lower-case hex; remembered while the file does not change."""
    status = path.stat()
    return _digest(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=256)
def _digest(path: Path, size: int, modified: int) -> str:  # noqa: ARG001  (size and time are the cache's key)
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def check_card(card: ModelCard, classes: int, path: Path) -> None:
    """Refuse a card whose catalog does not fit the network.

    Raises:
        WeightsError: with both numbers.
    """
    if len(card.catalog) != classes:
        raise WeightsError(
            f"the model card lists {len(card.catalog)} classes, the network has {classes}",
            remedy="Correct the catalog in the card",
            path=path,
        )


def card_from_metadata(text: str, path: Path) -> ModelCard:
    """The card inside one of our safetensors files.

    Raises:
        WeightsError: malformed.
    """
    try:
        return ModelCard.from_dict(parse_json(text, what="the model card"))
    except AtrousError as error:
        raise WeightsError(
            "the model card inside the file is damaged", why=str(error), remedy="Fetch or convert the file again", path=path
        ) from error
