"""Results as shards: a tar file of masks under the names of their images, and a marker that says how it was made."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from deeplab_core.atomic import storage_error
from deeplab_core.reading import json_text
from deeplab_core.shards.places import ResultFolder, Shard

#: Endings of the members of a result.
MASK, CONFIDENCE, NOTE = "seg.png", "confidence.png", "json"
_FORMAT = "atrous-shard-1"


class ShardWriter:
    """Writes one tar file; equal contents give equal bytes, whenever and by whom they are written."""

    def __init__(self, archive: tarfile.TarFile, target: str) -> None:
        self._archive, self._target = archive, target

    def add(self, key: str, files: dict[str, bytes]) -> None:
        """Add the files of a sample by their endings. Raises StorageError."""
        for ending, data in files.items():
            member = tarfile.TarInfo(f"{key}.{ending}")
            member.size, member.mode = len(data), 0o644
            with _written_to(self._target):
                self._archive.addfile(member, io.BytesIO(data))


@contextmanager
def _written_to(target: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise storage_error(error, target) from error


@contextmanager
def writing_shard(results: ResultFolder, shard: Shard, settings: str = "", **facts: Any) -> Iterator[ShardWriter]:
    """A tar file that takes its name, ``NAME.tar``, when the block ends well.

    Its marker is replaced before that by one that says that the shard is begun: a run that ends between the two leaves neither
    the marker of an earlier tar file beside this one, nor a tar file that has no marker of ours.

    Args:
        results: where the run writes.
        shard: which.
        settings, facts: as for :func:`mark_finished`.

    Raises:
        StorageError: it cannot be written.
    """
    with results.replacing(f"{shard.name}.tar") as temporary:
        target = results.address(f"{shard.name}.tar")
        with _written_to(target):
            archive = tarfile.open(temporary, "w", format=tarfile.PAX_FORMAT)  # noqa: SIM115 -- closed below, as its end is written
        try:
            yield ShardWriter(archive, target)
        except BaseException:
            with suppress(OSError):
                archive.close()
            raise
        with _written_to(target):
            archive.close()
        mark_finished(results, shard, settings, "", **facts)


def finished(results: ResultFolder, shard: Shard, settings: str, version: str) -> dict[str, Any] | None:
    """The marker of a finished shard, if it was made with these settings from the same content; None otherwise.

    Args:
        results: where the run writes.
        shard: which.
        settings: :func:`~deeplab_core.shards.places.settings_hash` of the run.
        version: :func:`~deeplab_core.shards.reading.shard_version` of the shard now.

    Raises:
        StorageError: the store cannot be reached.
    """
    marker = results.marker(f"{shard.name}.json")
    if marker is None or marker.get("format") != _FORMAT or marker.get("settings") != settings:
        return None
    return marker if marker.get("version") == version else None


def mark_finished(results: ResultFolder, shard: Shard, settings: str, version: str, **facts: Any) -> None:
    """Write ``NAME.json``: the shard is finished. Raises StorageError.

    Args:
        settings: as for :func:`finished`.
        version: of the shard before it was read, as :func:`~deeplab_core.shards.reading.shard_version` gives it; empty while it
            is only begun.
        facts: plain values of JSON.
    """
    note = {"format": _FORMAT, "settings": settings, "shard": shard.url, "part": shard.part, "version": version, **facts}
    results.write(f"{shard.name}.json", (json_text(note, indent=1) + "\n").encode("utf-8", "surrogateescape"))
