"""The metadata of a model file, read without loading it: the name and the one line of its card. No Qt, no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from deeplab_core.errors import AtrousError
from deeplab_core.reading import parse_json, read_json
from deeplab_core.records import CARD_KEY, card_path


@dataclass(frozen=True, slots=True)
class ModelNote:
    """Name and summary of a card; empty where the file has none, or one that cannot be read."""

    name: str = ""
    summary: str = ""


def note_of(path: Path) -> ModelNote:
    """The note of a model file as it is now; remembered until it, or the card beside it, is written again."""
    beside = card_path(path)
    return _read(path, beside, _version(path), _version(beside))


def _version(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    return status.st_mtime_ns, status.st_size


@lru_cache(maxsize=512)
def _read(path: Path, beside: Path, _version: tuple[int, int], _beside_version: tuple[int, int]) -> ModelNote:
    try:
        card = read_json(beside) if beside.is_file() else parse_json(_inside(path))
    except (AtrousError, OSError):
        return ModelNote()
    if not isinstance(card, Mapping):
        return ModelNote()
    return ModelNote(_line(card.get("name")), _line(card.get("summary")))


def _inside(path: Path) -> str:
    """The card in the header of a safetensors file; empty if missing."""
    if path.suffix != ".safetensors":
        return ""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as stream:
            metadata: dict[str, str] = stream.metadata() or {}
    except SafetensorError:
        return ""
    return metadata.get(CARD_KEY, "")


def _line(value: object) -> str:
    return " ".join(value.split()) if isinstance(value, str) else ""
