"""Checkpoints of the Hugging Face Hub: what a repository holds and under which licence, as a model that ``install`` fetches.

``huggingface_hub`` (extra ``hub``) is asked for the list of files, their sizes, their checksums and the licence. The files come
through :func:`deeplab_core.hub.download.download`, with its rules: https, checksum, resume, room on the disk.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from deeplab_core.errors import DownloadError, message
from deeplab_core.flavour import install_command
from deeplab_core.hub.published import PublishedModel, PublishedPart, is_file_name
from deeplab_core.model_files import FOLDER_NAMES, find_models, is_model_file, is_shard, model_in_folder
from deeplab_core.reading import reason, shorten
from deeplab_core.wording import name_some

if TYPE_CHECKING:
    from huggingface_hub.hf_api import ModelInfo, RepoSibling

#: Beginning of the addresses.
SCHEME = "hf://"
_USUAL_SERVER = "https://huggingface.co"
_PART = r"[A-Za-z0-9](?:[A-Za-z0-9_-]|\.(?!\.)){0,95}"
_ADDRESS = re.compile(rf"({_PART}/{_PART})(?:@([A-Za-z0-9_.-]{{1,100}}))?(?:/(.+))?")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
#: File beside the weights that describes them.
_CONFIG = "config.json"
#: Characters of a licence that are shown.
_LICENCE = 80
#: Answers about repositories that do not exist, or only for people who log in.
_ABSENT = (401, 403, 404)
_NOWHERE = message("There is no public repository of this name")
#: Longest wait for an answer about a repository, in seconds.
_PATIENCE = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HubAddress:
    """What ``hf://owner/name[@revision][/file]`` names.

    Attributes:
        repository: ``owner/name``.
        revision: branch, tag or commit; empty for the main branch.
        file: path of the weights in it; empty lets :func:`find_on_hub` choose.
    """

    repository: str
    revision: str = ""
    file: str = ""

    @property
    def name(self) -> str:
        """Name of the folder of its files, or the beginning of a single file's name, in a folder of models."""
        return self.repository.replace("/", "--")


def hub_address(text: str) -> HubAddress | None:
    """Read an address; None for a text that does not begin with :data:`SCHEME`.

    Raises:
        DownloadError: it is malformed.
    """
    if not text.lower().startswith(SCHEME):
        return None
    found = _ADDRESS.fullmatch(text[len(SCHEME) :].strip("/"))
    if found is None:
        raise DownloadError(
            message("'{address}' is not an address of a repository", address=shorten(text)),
            remedy=message("It is like hf://owner/name, hf://owner/name/model.safetensors or hf://owner/name@revision"),
        )
    return HubAddress(repository=found[1], revision=found[2] or "", file=found[3] or "")


def find_on_hub(address: HubAddress) -> PublishedModel:
    """Look a repository up: its weights, with the parts and the configuration that belong to them.

    Every file is one of the commit that the answer names, so that all of them fit together.

    Raises:
        DownloadError: the extra is missing, there is no such repository or no answer, or it does not say which weights are meant.
    """
    info = _ask(address)
    commit = str(info.sha or "")
    if not _COMMIT.fullmatch(commit):
        raise _unusable(address, message("It does not say which commit it is"))
    files = {sibling.rfilename: sibling for sibling in info.siblings or ()}
    chosen = PurePosixPath(_weights(address, list(files)))
    beside: list[PublishedPart] = []
    if chosen.name in FOLDER_NAMES:
        there = [path for path in map(PurePosixPath, files) if path.parent == chosen.parent]
        wanted = [path for path in there if chosen.name.endswith(".index.json") and is_shard(path.name)]
        wanted += [path for path in there if path.name == _CONFIG]
        beside = [_part(address, files[str(path)], commit, path.name) for path in wanted]
    inside = bool(beside) or chosen.name in FOLDER_NAMES
    weights = _part(address, files[str(chosen)], commit, chosen.name if inside else f"{address.name}--{chosen.name}")
    owner, _, name = address.repository.partition("/")
    return PublishedModel(
        id=f"{SCHEME}{address.repository}/{chosen}",
        name=name,
        publisher=owner,
        family="",
        file=weights.file,
        url=weights.url,
        page=f"{_server()}/{address.repository}",
        approximate_bytes=weights.approximate_bytes,
        sha256_prefix=weights.sha256_prefix,
        licence=_licence(info),
        data_licence="data that its page names",
        folder=address.name if inside else "",
        beside=tuple(beside),
    )


def find_from_hub(address: HubAddress, folders: Iterable[Path]) -> Path | None:
    """The weights of a repository that were fetched into one of the folders; None if there are none."""
    wanted = PurePosixPath(address.file).name
    for folder in folders:
        place = folder / address.name
        inside = place / wanted if wanted else model_in_folder(place)
        single = folder / f"{address.name}--{wanted}"
        if inside is not None and inside.is_file():
            return inside
        if single.is_file():
            return single
        alone = [path for path in find_models([folder]) if path.name.startswith(f"{address.name}--")]
        if not wanted and len(alone) == 1:
            return alone[0]
    return None


def _ask(address: HubAddress) -> ModelInfo:
    try:
        from huggingface_hub import HfApi
        from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, HFValidationError, RepositoryNotFoundError
    except ImportError as error:
        raise DownloadError(
            message("{address} cannot be looked up", address=SCHEME + address.repository),
            why=message("The package huggingface-hub is not installed"),
            remedy=message("Install it: {command}", command=install_command("hub")),
        ) from error
    try:
        return HfApi(endpoint=_server(), token=False).model_info(
            address.repository, revision=address.revision or None, files_metadata=True, timeout=_PATIENCE
        )
    except GatedRepoError as error:
        raise _unusable(address, message("Its owner gives it to people who ask for it")) from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise _unusable(address, _NOWHERE) from error
    except (HfHubHTTPError, OSError, ValueError, KeyError, TypeError) as error:
        absent = getattr(getattr(error, "response", None), "status_code", 0) in _ABSENT
        raise _unusable(address, _NOWHERE if absent else reason(error)) from error
    except Exception as error:  # httpx has errors of its own, in another package with each version
        if type(error).__module__.partition(".")[0] not in ("httpx", "httpx2", "httpcore", "httpcore2", "requests"):
            raise
        raise _unusable(address, reason(error)) from error


def _server() -> str:
    """The hub, or the mirror that ``HF_ENDPOINT`` names."""
    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or _USUAL_SERVER


def _unusable(address: HubAddress, why: str) -> DownloadError:
    return DownloadError(
        message("{address} cannot be fetched", address=SCHEME + address.repository),
        why=why,
        remedy=message("Open {page} in a browser", page=f"{_server()}/{address.repository}"),
    )


def _weights(address: HubAddress, names: list[str]) -> str:
    """The file of weights that is meant."""
    if address.file:
        if address.file not in names:
            raise _unusable(address, message("It has no file {file}", file=shorten(address.file)))
        return address.file
    for usual in FOLDER_NAMES:
        if usual in names:
            return usual
    models = [name for name in names if is_model_file(Path(PurePosixPath(name).name))]
    safe = [name for name in models if name.endswith(".safetensors")]
    for found in (safe, models):
        if len(found) == 1:
            return found[0]
    if not models:
        raise _unusable(address, message("It holds no file of weights that Atrous reads"))
    raise DownloadError(
        message("{address} holds several models", address=SCHEME + address.repository),
        why=name_some(sorted(models), 6),
        remedy=message("Name one: {address}", address=f"{SCHEME}{address.repository}/{sorted(models)[0]}"),
    )


def _part(address: HubAddress, sibling: RepoSibling, commit: str, name: str) -> PublishedPart:
    """A file of a repository, to be kept under a name."""
    from huggingface_hub import hf_hub_url

    if not all(is_file_name(part) for part in (*PurePosixPath(sibling.rfilename).parts, name)):
        raise _unusable(address, message("{file} is not a name of a file", file=shorten(sibling.rfilename)))
    lfs: Any = sibling.lfs or {}
    digest = str(lfs.get("sha256", "") if isinstance(lfs, dict) else getattr(lfs, "sha256", ""))
    return PublishedPart(
        file=name,
        url=hf_hub_url(address.repository, sibling.rfilename, revision=commit, endpoint=_server()),
        approximate_bytes=sibling.size if isinstance(sibling.size, int) else None,
        sha256_prefix=digest if _SHA256.fullmatch(digest) else "",
    )


def _licence(info: ModelInfo) -> str:
    """What the card of a repository states."""
    card = info.card_data
    stated = None if card is None else (card.get("license_name") or card.get("license"))
    tagged = [tag.removeprefix("license:") for tag in info.tags or () if tag.startswith("license:")]
    found = stated or (tagged[0] if tagged else "")
    if isinstance(found, list):
        found = ", ".join(map(str, found))
    return " ".join(str(found).split())[:_LICENCE] or "not stated"
