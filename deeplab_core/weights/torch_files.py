"""Containers of ``torch.save``: the zip archive since version 1.6 and the bare stream of pickles before it."""

from __future__ import annotations

import io
import struct
import sys
import zipfile
from pathlib import Path
from typing import IO, Any

import torch

from deeplab_core.weights.pickled_values import STORAGES, DamagedPickle, Global, Storage
from deeplab_core.weights.unpickling import read_pickle

#: First pickle of the old format, ``torch.serialization.MAGIC_NUMBER``.
_MAGIC = 0x1950A86A20F9469CFC6C


def read_archive(path: Path) -> Any:
    """What a zip archive of ``torch.save`` holds.

    Args:
        path: an archive with checked entries.

    Raises:
        DamagedPickle: entries are missing, or do not fit what the pickle says about them.
        UnsafeCheckpoint: the pickle names something that only runs code.
    """
    with path.open("rb") as file, zipfile.ZipFile(file) as archive:
        entries = {entry.filename: entry for entry in archive.infolist()}
        pickled = next(name for name in entries if name.endswith("data.pkl"))
        head = pickled.removesuffix("data.pkl")
        order = f"{head}byteorder"
        swapped = order in entries and entries[order].file_size < 16 and archive.read(order) != sys.byteorder.encode()
        content = io.BytesIO(archive.read(pickled))
        found: dict[str, Storage] = {}

        def storage(saved: tuple[Any, ...]) -> Storage:
            key, dtype, size = _storage_id(saved)
            if key not in found:
                entry = entries.get(f"{head}data/{key}")
                if entry is None or entry.file_size < size:
                    raise DamagedPickle(f"storage {key} of {size} bytes is not in the archive")
                data = _entry_bytes(archive, file, entry, size)
                if swapped:
                    _swap(data, dtype)
                found[key] = Storage(data, dtype)
            return Storage(found[key].data, dtype)

        return read_pickle(content, storage)


def _entry_bytes(archive: zipfile.ZipFile, file: IO[bytes], entry: zipfile.ZipInfo, size: int) -> torch.UntypedStorage:
    """The first bytes of an entry. Stored entries are read past the checksum, which ``torch.save`` may leave out."""
    buffer = bytearray(size)
    if entry.compress_type == zipfile.ZIP_STORED:
        file.seek(entry.header_offset)
        local = file.read(30)
        if len(local) != 30 or not local.startswith(b"PK\x03\x04"):
            raise DamagedPickle(f"the entry {entry.filename[:60]} is not where the archive says")
        file.seek(sum(struct.unpack("<HH", local[26:])), io.SEEK_CUR)
        count = file.readinto(buffer)  # type: ignore[attr-defined]
    else:
        data = archive.read(entry)[:size]
        buffer[: len(data)] = data
        count = len(data)
    if count != size:
        raise DamagedPickle(f"the entry {entry.filename[:60]} ends early")
    values = torch.frombuffer(buffer, dtype=torch.uint8) if size else torch.empty(0, dtype=torch.uint8)
    return values.untyped_storage()


def read_stream(path: Path) -> Any:
    """What a file of bare pickles holds: ``torch.save`` before version 1.6, or one plain pickle of arrays.

    Raises:
        DamagedPickle, UnsafeCheckpoint: as :func:`read_archive`.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        stream = _Bounded(file, size)
        first = read_pickle(stream)  # type: ignore[arg-type]
        if first != _MAGIC:
            return first
        read_pickle(stream)  # type: ignore[arg-type]  # the format's version
        system = read_pickle(stream)  # type: ignore[arg-type]
        swapped = isinstance(system, dict) and system.get("little_endian", True) is not (sys.byteorder == "little")
        found: dict[str, Storage] = {}
        claimed = 0

        def storage(saved: tuple[Any, ...]) -> Storage:
            nonlocal claimed
            key, dtype, needed = _storage_id(saved)
            if key not in found:
                claimed += needed
                if claimed > size:
                    raise DamagedPickle(f"its tensors need {claimed} bytes, the file has {size}")
                found[key] = Storage(torch.empty(needed, dtype=torch.uint8).untyped_storage(), dtype)
            return Storage(found[key].data, dtype)

        content = read_pickle(stream, storage)  # type: ignore[arg-type]
        keys = read_pickle(stream)  # type: ignore[arg-type]
        _fill(stream, keys, found, swapped)
    return content


def _fill(stream: _Bounded, keys: object, found: dict[str, Storage], swapped: bool) -> None:
    """Read the values of the storages, which follow the pickles in the order of ``keys``."""
    if not isinstance(keys, list) or {str(key) for key in keys} != set(found):
        raise DamagedPickle("its list of storages does not fit its tensors")
    for key in keys:
        target = found[str(key)]
        counted = stream.read(8)
        if len(counted) != 8:
            raise DamagedPickle("it ends within its tensors")
        (number,) = struct.unpack("<q", counted)
        needed = target.data.nbytes()
        data = stream.read(needed)
        if number * target.dtype.itemsize != needed or len(data) != needed:
            raise DamagedPickle(f"storage {key} has {number} values where {needed // target.dtype.itemsize} are expected")
        if needed:
            target.data.copy_(torch.frombuffer(bytearray(data), dtype=torch.uint8).untyped_storage())
        if swapped:
            _swap(target.data, target.dtype)


def _swap(data: torch.UntypedStorage, dtype: torch.dtype) -> None:
    """Turn the bytes of every value round: the file comes from a machine of the other order."""
    data.byteswap(dtype)  # type: ignore[no-untyped-call]


def _storage_id(saved: tuple[Any, ...]) -> tuple[str, torch.dtype, int]:
    """Key, type and size in bytes from ("storage", type, key, device, number of values, ...)."""
    if len(saved) < 5:
        raise DamagedPickle("a storage is not described")
    _, kind, key, _, number = saved[:5]
    if not isinstance(kind, Global) or kind.name not in STORAGES or not isinstance(number, int) or not 0 <= number < 2**48:
        raise DamagedPickle(f"a storage is of the type {str(kind)[:60]}")
    dtype = STORAGES[kind.name]
    text = str(key)[:80]
    if "/" in text or "\\" in text:
        raise DamagedPickle(f"a storage is named {text!r}")
    return text, dtype, number * dtype.itemsize


class _Bounded:
    """A stream that never asks its file for more than is left: a damaged length would else reserve that much memory."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file, self._size = file, size

    def read(self, count: int = -1) -> bytes:
        """Up to ``count`` bytes."""
        left = self._size - self._file.tell()
        return self._file.read(left if count < 0 else min(count, left))

    def readline(self) -> bytes:
        """A line of at most a megabyte."""
        return self._file.readline(2**20)
