"""The list of published checkpoints, as data (``published.json``)."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

_LIST = Path(__file__).with_name("published.json")
#: Beginnings of addresses that files are fetched from.
_PROTECTED = ("https://",)
_DATA = {"voc21": "VOC", "cityscapes19": "Cityscapes", "ade20k150": "ADE20K", "camvid11": "CamVid"}
_ID = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
#: A name that is a plain file name on every system: no separators, drive letters, control characters, dots or blanks at its ends.
_FILE = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.+ -]{0,198}[A-Za-z0-9_+-])?")
#: Names that Windows keeps for devices, whatever their ending.
_DEVICE = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedPart:
    """Another file of a published model: the decoder of a click network, a part of weights in several files, a configuration.

    Attributes:
        file, url, approximate_bytes, sha256_prefix: as for :class:`PublishedModel`.
    """

    file: str
    url: str
    approximate_bytes: int | None = None
    sha256_prefix: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedModel:
    """One published checkpoint. What could not be confirmed is empty, or None, and shown as unknown.

    Attributes:
        id: what ``atrous models get`` takes.
        name: architecture and backbone, for users.
        publisher: the authors of the weights.
        family: which reader opens the file; see ``deeplab_core.weights.families``.
        file: name of the published file.
        url: where the file itself can be fetched; empty where that needs a browser.
        page: to read about it, and to fetch the file by hand if ``url`` is empty.
        approximate_bytes: size as published, rounded.
        sha256_prefix: first hex digits of the file's sha256, or all, where its publisher states them.
        member: the one file of a ``.tar.gz`` that is kept.
        licence: of the weights, or of the code where only that is stated.
        data_licence: what the photographs that it was trained on ask for.
        catalog: built-in catalog of its classes; empty for a network for clicks.
        classes: number of its output channels; 0 for a network for clicks.
        miou: published mean IoU in percent, with what it was measured on and where that stands.
        needs: name of the extra without which it cannot be run.
        note: one clause more.
        decoder: of a network for clicks; ``file`` is then its encoder.
        folder: name of a folder of its own in a folder of models; empty for none.
        beside: files that belong to it there.
    """

    id: str
    name: str
    publisher: str
    family: str
    file: str
    page: str
    licence: str
    data_licence: str
    catalog: str = ""
    classes: int = 0
    url: str = ""
    approximate_bytes: int | None = None
    sha256_prefix: str = ""
    member: str = ""
    miou: float | None = None
    miou_on: str = ""
    miou_source: str = ""
    needs: str = ""
    note: str = ""
    decoder: PublishedPart | None = None
    folder: str = ""
    beside: tuple[PublishedPart, ...] = ()

    @property
    def for_clicks(self) -> bool:
        """Whether it is a network for clicks, not for segmentation."""
        return self.family == "clicks"

    @property
    def download_bytes(self) -> int | None:
        """Size of all its files; None where one is unknown."""
        sizes = [self.approximate_bytes, *(part.approximate_bytes for part in self.others)]
        return None if None in sizes else sum(size or 0 for size in sizes)

    @property
    def has_checksum(self) -> bool:
        """Whether its publisher states a checksum of every file."""
        return bool(self.sha256_prefix) and (self.decoder is None or bool(self.decoder.sha256_prefix))

    @property
    def others(self) -> tuple[PublishedPart, ...]:
        """Its files but the first."""
        return (*self.beside, *(() if self.decoder is None else (self.decoder,)))

    @property
    def data(self) -> str:
        """Short name of the data set with the classes that it knows."""
        return _DATA.get(self.catalog, self.catalog)

    @property
    def title(self) -> str:
        """Name, data and publisher: the same architecture is published many times."""
        return f"{self.name}, {self.data} ({self.publisher})" if self.data else f"{self.name} ({self.publisher})"

    @property
    def installed_name(self) -> str:
        """Name of the file in a folder of models: the published one, or for one member of an archive the id."""
        return f"{self.id}{PurePosixPath(self.member).suffix}" if self.member else self.file

    @property
    def direct(self) -> bool:
        """Whether the program can fetch it by itself."""
        return bool(self.url)

    @property
    def host(self) -> str:
        """Server of the file, or of its page."""
        return urlsplit(self.url or self.page).hostname or ""


def published_models() -> tuple[PublishedModel, ...]:
    """All published networks for segmentation, in the order of the list: by publisher, the best first."""
    return _known(_LIST, "models")


def click_networks() -> tuple[PublishedModel, ...]:
    """All published networks for clicks, by publisher, the smallest first."""
    return _known(_LIST, "click_networks")


@lru_cache(maxsize=8)
def _known(path: Path, kind: str) -> tuple[PublishedModel, ...]:
    return tuple(_entry(row) for row in json.loads(path.read_text(encoding="utf-8")).get(kind, ()))


def find_published(model_id: str) -> PublishedModel | None:
    """The checkpoint of this id (or of this file name), whatever its case."""
    wanted = model_id.casefold()
    everything = (*published_models(), *click_networks())
    return next((model for model in everything if wanted in (model.id, model.file.casefold())), None)


def is_file_name(name: str) -> bool:
    """Whether a name, joined to a folder, is a file in this folder on every system."""
    return _FILE.fullmatch(name) is not None and _DEVICE.fullmatch(name) is None


def _entry(row: dict[str, Any]) -> PublishedModel:
    """One row, checked: a list with a slip in it would send people to the wrong place.

    Raises:
        ValueError: a malformed row.
    """
    unknown = set(row) - {field.name for field in fields(PublishedModel)}
    if unknown:
        raise ValueError(f"{row.get('id')}: unknown fields {sorted(unknown)}")
    decoder = row.get("decoder")
    model = PublishedModel(**{**row, "decoder": None if decoder is None else PublishedPart(**decoder)})
    if not _ID.fullmatch(model.id) or not is_file_name(model.file) or (model.member and not is_file_name(model.member)):
        raise ValueError(f"{model.id}: id or file name is malformed")
    if model.decoder is not None and not is_file_name(model.decoder.file):
        raise ValueError(f"{model.id}: name of the decoder is malformed")
    if any(not url.startswith(_PROTECTED) for url in (model.url, "" if model.decoder is None else model.decoder.url) if url):
        raise ValueError(f"{model.id}: files are fetched over https only")
    return model
