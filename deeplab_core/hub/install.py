"""From an entry of the list to a file in a folder of models, with its receipt and, once it was opened, its card."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from deeplab_core.atomic import atomic_write
from deeplab_core.errors import DownloadError, message
from deeplab_core.hub.download import Fetched, Progress, download
from deeplab_core.hub.published import PublishedModel
from deeplab_core.hub.receipt import Receipt, read_receipt, write_receipt
from deeplab_core.hub.unpack import take_member
from deeplab_core.parallel import IsCancelled

if TYPE_CHECKING:  # listing what there is needs no numpy
    from deeplab_core.records import ModelCard


@dataclass(frozen=True, slots=True)
class Installed:
    """A published model that is there.

    Attributes:
        path: the file to load.
        already: it was there before.
        resumed_from: bytes that an earlier try had brought.
        checksum: one clause on what it was compared with.
    """

    path: Path
    already: bool = False
    resumed_from: int = 0
    checksum: str = ""


def find_installed(model: PublishedModel, folders: Iterable[Path]) -> Path | None:
    """The file of a published model in one of the folders, by its name; None where it is not there."""
    for folder in folders:
        path = folder / model.installed_name
        with contextlib.suppress(OSError):
            if path.is_file():
                return path
    return None


def install(
    model: PublishedModel,
    folder: Path,
    *,
    again: bool = False,
    cancel: IsCancelled | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Installed:
    """Fetch a published model into a folder, or find that it is there (or its archive, which is then only unpacked).

    Args:
        again: fetch it also if it exists. A file whose publisher states no checksum must then be the one of the first
            download.
        cancel, progress: see :func:`deeplab_core.hub.download.download`.

    Raises:
        DownloadError: it cannot be fetched, is not what was published, or needs a browser (the message names the page).
        StorageError, Cancelled: as :func:`~deeplab_core.hub.download.download`.
    """
    path = folder / model.installed_name
    receipt = read_receipt(path)
    if path.is_file() and not again:
        return Installed(path, already=True, checksum=_checksum(receipt))
    fetched = None if again else _left_there(model, folder)
    if fetched is None:
        if not model.direct:
            raise by_hand(model, folder)
        prefix, whose = model.sha256_prefix, "the published file"
        if not prefix and receipt is not None and receipt.url == model.url:
            prefix, whose = receipt.sha256, f"the file fetched on {receipt.fetched}"
        fetched = download(
            model.url,
            folder / model.file,
            sha256_prefix=prefix,
            sha256_of=whose,
            approximate_bytes=model.approximate_bytes,
            cancel=cancel,
            progress=progress,
        )
    if model.member:
        if progress is not None:
            progress(Progress(fetched.size, fetched.size, "unpacking"))
        take_member(fetched.path, model.member, path, cancel)
        fetched.path.unlink(missing_ok=True)
    checked = f"the published sha256 prefix {model.sha256_prefix}" if model.sha256_prefix else ""
    receipt = Receipt(
        id=model.id,
        url=model.url,
        fetched=datetime.now(UTC).date().isoformat(),
        bytes=fetched.size,
        sha256=fetched.sha256,
        checked=checked,
        installed_bytes=path.stat().st_size,
    )
    write_receipt(path, receipt)
    return Installed(path, resumed_from=fetched.resumed_from, checksum=_checksum(receipt))


def by_hand(model: PublishedModel, folder: Path) -> DownloadError:
    """What to do about a file that its publisher gives to browsers only."""
    return DownloadError(
        message("{model} can only be fetched with a browser", model=model.title),
        why=message("its publisher keeps it at {host}, which gives programs no file", host=model.host),
        remedy=message("Open {page}, download {file} and copy it into {folder}", page=model.page, file=model.file, folder=folder),
    )


def published_card(card: ModelCard, model: PublishedModel) -> ModelCard:
    """What the list knows of a model, in the card that its reader made: name, source, licences, published score."""
    published = {"id": model.id, "page": model.page, "data_licence": model.data_licence}
    if model.miou is not None:
        published |= {"miou": str(model.miou), "miou_on": model.miou_on, "miou_source": model.miou_source}
    return replace(
        card,
        name=model.title,
        source=model.url or model.page,
        licence=f"{model.licence}; trained on {model.data_licence}",
        extra=dict(card.extra) | {"published": published},
    )


def write_published_card(path: Path, card: ModelCard, model: PublishedModel) -> Path | None:
    """Put the card beside the weights, where ``load_model`` looks for it; one that is there stays (the user may have edited it).

    Returns:
        The card's file; None if one existed.

    Raises:
        StorageError: the folder cannot be written.
    """
    from deeplab_core.records import card_path

    target = card_path(path)
    if target.exists():
        return None
    text = json.dumps(published_card(card, model).to_dict(), indent=2, ensure_ascii=False) + "\n"
    atomic_write(target, text.encode())
    return target


def _left_there(model: PublishedModel, folder: Path) -> Fetched | None:
    """An archive that was fetched, or copied by hand, and not unpacked yet."""
    archive = folder / model.file
    if not model.member or not archive.is_file():
        return None
    with archive.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return Fetched(archive, archive.stat().st_size, digest)


def _checksum(receipt: Receipt | None) -> str:
    if receipt is None:
        return ""
    if receipt.checked:
        return f"it fits {receipt.checked}"
    return f"its publisher states no checksum; the one of {receipt.fetched} is kept beside it for comparison"
