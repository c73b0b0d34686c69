"""From an entry of the list to a file in a folder of models, unpacked, with its receipt and, once it was opened, its card."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import os
import re
import tarfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Self

from deeplab_core.atomic import atomic_write, replace_file, storage_error
from deeplab_core.errors import AtrousError, Cancelled, DownloadError, message
from deeplab_core.hub.download import DownloadProgress, Fetched, download
from deeplab_core.hub.published import PublishedModel, PublishedPart
from deeplab_core.parallel import IsCancelled
from deeplab_core.reading import VALUE_ERRORS, read_json, reason

if TYPE_CHECKING:
    from deeplab_core.records import ModelCard

_SHA256 = re.compile(r"[0-9a-f]{64}")
#: Bytes that an archive may unpack to while its member is looked for; the largest official release has 0.9 GB.
LARGEST = 4 * 2**30
_CHUNK = 1 << 20
#: Bytes of a member that only describes the next one: long names, extended headers. tarfile reads it in one piece.
_LARGEST_HEADER = 1 << 20
_DESCRIBING = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
_SHOWN = 6
#: What gzip and tarfile raise for damaged archives.
_DAMAGE: tuple[type[Exception], ...] = (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, *VALUE_ERRORS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """Written once, when a file was fetched.

    Attributes:
        id: of the published model.
        url: where it came from.
        fetched: day, ISO 8601, UTC.
        bytes: of the published file (for a member of an archive: of the archive).
        sha256: of the published file, lower-case hex.
        checked: what the checksum was compared with; empty where the publisher states none, so that this first download is
            what later ones are compared with.
        installed_bytes: of the file beside this receipt.
    """

    id: str
    url: str
    fetched: str
    bytes: int
    sha256: str
    checked: str
    installed_bytes: int


def receipt_path(installed: Path) -> Path:
    """``net.pth.origin.json`` beside ``net.pth``."""
    return installed.with_name(installed.name + ".origin.json")


def read_receipt(installed: Path) -> Receipt | None:
    """The receipt of a file; None if missing or unreadable."""
    try:
        receipt = Receipt(**read_json(receipt_path(installed)))
    except (AtrousError, TypeError):
        return None
    kinds = {"str": str, "int": int}
    sound = all(type(getattr(receipt, field.name)) is kinds[str(field.type)] for field in fields(receipt))
    return receipt if sound and _SHA256.fullmatch(receipt.sha256) else None


def write_receipt(installed: Path, receipt: Receipt) -> None:
    """Keep a receipt. Raises StorageError."""
    atomic_write(receipt_path(installed), (json.dumps(asdict(receipt), indent=1) + "\n").encode())


class _Bounded(io.RawIOBase):
    """Decompressed bytes of a stream, no more than a limit: an archive may claim without end."""

    def __init__(self, stream: gzip.GzipFile, limit: int) -> None:
        self._stream, self._left = stream, limit

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        most = self._left + 1
        data = self._stream.read(most if size < 0 else min(size, most))
        self._left -= len(data)
        if self._left < 0:
            raise tarfile.ReadError("it unpacks to far more than a release")
        return data


class _Member(tarfile.TarInfo):
    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """As the base; refuses headers that would fill the memory."""
        member = super().frombuf(buf, encoding, errors)
        if member.type in _DESCRIBING and member.size > _LARGEST_HEADER:
            raise tarfile.ReadError(f"it describes a file in {member.size:,} bytes")
        return member


def take_member(archive: Path, name: str, target: Path, cancel: IsCancelled | None = None) -> None:
    """Write the regular file called ``name`` (in whatever folder) of a ``.tar.gz`` to ``target``. No name in it decides a path.

    Links, devices and sparse files are passed over; nothing else of the archive is written. ``target`` appears complete or not
    at all.

    Raises:
        DownloadError: damaged, far too large, or without such a file.
        StorageError: full disk and the like.
        Cancelled: ``cancel`` said so.
    """
    temporary = target.with_name(target.name + ".part")
    seen: list[str] = []
    try:
        with gzip.open(archive) as stream, tarfile.open(fileobj=_Bounded(stream, LARGEST), mode="r|", tarinfo=_Member) as packed:
            for member in packed:
                packed.members = []  # type: ignore[attr-defined]  # a list of all members would grow with the archive
                if len(seen) < _SHOWN:
                    seen.append(member.name)
                if PurePosixPath(member.name).name != name or not member.isreg() or member.issparse():
                    continue
                content = packed.extractfile(member)
                if content is not None:
                    _write(content.read, temporary, cancel)
                    replace_file(temporary, target)
                    return
    except _DAMAGE as error:
        raise DownloadError(
            message("the archive is damaged"), why=reason(error), remedy=message("Delete it and fetch it again"), path=archive
        ) from error
    except OSError as error:
        raise storage_error(error, target) from error
    finally:
        temporary.unlink(missing_ok=True)
    inside = ", ".join(PurePosixPath(one).name for one in seen) or "nothing"
    raise DownloadError(
        message("the archive holds no {name}", name=name),
        why=message("it holds {inside}", inside=inside),
        remedy=message("Unpack it by hand and choose the checkpoint's .index file"),
        path=archive,
    )


def _write(read: Callable[[int], bytes], path: Path, cancel: IsCancelled | None) -> None:
    path.unlink(missing_ok=True)  # never written through a link that has this name
    with path.open("xb") as out:
        while block := read(_CHUNK):
            if cancel is not None and cancel():
                raise Cancelled()
            out.write(block)
        out.flush()
        os.fsync(out.fileno())


@dataclass(frozen=True, slots=True)
class Installed:
    """A published model that is there.

    Attributes:
        path: the file to load.
        already: it was there before.
        resumed_from: bytes that an earlier try had brought.
        checksum: one clause on what it was compared with.
        decoder: the second file of a network for clicks.
    """

    path: Path
    already: bool = False
    resumed_from: int = 0
    checksum: str = ""
    decoder: Path | None = None


def find_installed(model: PublishedModel, folders: Iterable[Path]) -> Path | None:
    """The file of a published model in one of the folders, by its name; None where it, or its decoder, is not there."""
    names = [model.installed_name, *(part.file for part in model.others)]
    for folder in folders:
        with contextlib.suppress(OSError):
            if all((folder / model.folder / name).is_file() for name in names):
                return folder / model.folder / names[0]
    return None


def install(
    model: PublishedModel,
    folder: Path,
    *,
    again: bool = False,
    cancel: IsCancelled | None = None,
    progress: Callable[[DownloadProgress], None] | None = None,
) -> Installed:
    """Fetch a published model into a folder, or find that it is there (or its archive, which is then only unpacked).

    Of a network for clicks the encoder comes first, then the decoder. Files that belong beside weights come before them.

    Args:
        again: fetch it also if it exists. If its publisher states no checksum, it must then be the file of the first
            download.
        cancel, progress: see :func:`deeplab_core.hub.download.download`.

    Raises:
        DownloadError: it cannot be fetched, is not what was published, or needs a browser (the message names the page).
        StorageError, Cancelled: as :func:`~deeplab_core.hub.download.download`.
    """
    folder = folder / model.folder
    for part in model.beside:
        _install_file(_single(model, part), folder, again=again, cancel=cancel, progress=progress)
    found = _install_file(model, folder, again=again, cancel=cancel, progress=progress)
    if model.decoder is None:
        return found
    second = _install_file(_single(model, model.decoder), folder, again=again, cancel=cancel, progress=progress)
    return Installed(
        found.path,
        already=found.already and second.already,
        resumed_from=found.resumed_from + second.resumed_from,
        checksum=found.checksum if found.checksum == second.checksum else f"{found.checksum}; of the decoder, {second.checksum}",
        decoder=second.path,
    )


def _single(model: PublishedModel, part: PublishedPart) -> PublishedModel:
    """Another file of a model, as a model of one file."""
    size, digest = part.approximate_bytes, part.sha256_prefix
    return replace(model, file=part.file, url=part.url, approximate_bytes=size, sha256_prefix=digest, decoder=None, beside=())


def _install_file(
    model: PublishedModel,
    folder: Path,
    *,
    again: bool,
    cancel: IsCancelled | None,
    progress: Callable[[DownloadProgress], None] | None,
) -> Installed:
    """One file of :func:`install`."""
    path = folder / model.installed_name
    receipt = read_receipt(path)
    if path.is_file() and not again:
        return Installed(path, already=True, checksum=_checksum(receipt))
    fetched = None if again else _left_there(model, folder)
    if fetched is None:
        if not model.direct:
            raise by_hand(model, folder)
        prefix, expected = model.sha256_prefix, "the published file"
        if not prefix and receipt is not None and receipt.url == model.url:
            prefix, expected = receipt.sha256, f"the file fetched on {receipt.fetched}"
        fetched = download(
            model.url,
            folder / model.file,
            sha256_prefix=prefix,
            sha256_of=expected,
            approximate_bytes=model.approximate_bytes,
            cancel=cancel,
            progress=progress,
        )
    if model.member:
        if progress is not None:
            progress(DownloadProgress(fetched.size, fetched.size, message("unpacking")))
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
