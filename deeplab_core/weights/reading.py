"""Opening a stranger's file without running anything in it.

Formats are recognised by content, never by the file's name: safetensors, torch's zip archives, torch's older pickles,
TensorFlow's frozen graphs and checkpoints. Pickles are read as data (:mod:`deeplab_core.weights.unpickling`). Other
programs' files are named.
"""

from __future__ import annotations

import io
import re
import struct
import sys
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

from deeplab_core.errors import UnsafeCheckpoint, WeightsError, message
from deeplab_core.model_files import index_of, read_index
from deeplab_core.weights.files import weights_file
from deeplab_core.weights.pickled_values import STORAGES, DamagedPickle, Global, Storage, UnreadTensor
from deeplab_core.weights.tensorflow import is_tensorflow, read_tensorflow
from deeplab_core.weights.unpickling import read_pickle

#: First pickle of the old format, ``torch.serialization.MAGIC_NUMBER``.
_MAGIC = 0x1950A86A20F9469CFC6C
#: A checkpoint that claims more than this is not a segmentation network: the largest known (DeconvNet) has 1 GB.
LARGEST_FILE = 16 * 2**30

#: How pickles of protocols 0 and 1 begin: with a dict, a list or a tuple (in text or binary form), or the class of an object.
_OLD_PICKLE = re.compile(rb"\((?:[dlt]p\d|[KMJIVSUXcd(}\]])|[}\])]q|c[A-Za-z_][\w.]*\n[A-Za-z_]\w*\n")

_REMEDY_BROKEN = message("Download or copy the file again")
_EXPORT = message("Export the network to ONNX in the program that it comes from, or save its weights with PyTorch")


def read_archive(path: Path) -> Any:
    """What a zip archive of ``torch.save`` (torch 1.6 and later) holds.

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


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a file holds, before its family is known.

    Attributes:
        path: the file.
        tensors: the network's tensors by key; dtypes as stored, on the CPU.
        extras: what is stored beside the tensors at the file's top (epoch, arguments, class list), as the file has it.
        metadata: a safetensors file's own strings.
        unread: tensors that were not read, by key, and why.
    """

    path: Path
    tensors: Mapping[str, Tensor]
    extras: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    unread: Mapping[str, UnreadTensor] = field(default_factory=dict)


def read_file(path: Path) -> tuple[Any, Mapping[str, str]]:
    """Read a checkpoint file safely.

    Args:
        path: a file, an index of weights in several parts, or a folder of ``save_pretrained`` form.

    Returns:
        What it holds (a mapping with tensors somewhere inside) and the safetensors metadata.

    Raises:
        WeightsError: missing, empty, truncated or of no known format.
        UnsafeCheckpoint: a pickle that names code, or an archive with path tricks.
    """
    path = weights_file(path)
    return _read_parts(path) if index_of(path) == path else _read_one(path)


def _read_one(path: Path) -> tuple[Any, Mapping[str, str]]:
    try:
        size = path.stat().st_size
        with path.open("rb") as stream:
            head = stream.read(512)
            stream.seek(max(0, size - 8))
            tail = stream.read(8)
    except OSError as error:
        raise WeightsError(
            message("the weights file cannot be read"), why=str(error), remedy=message("Check the path and its rights"), path=path
        ) from error
    if size == 0:
        raise WeightsError(message("the weights file is empty"), remedy=_REMEDY_BROKEN, path=path)
    if size > LARGEST_FILE:
        raise WeightsError(
            message("the file has {gibibytes:.0f} GiB, far more than a segmentation network", gibibytes=size / 2**30),
            remedy=message("Choose the checkpoint, not an archive of data"),
            path=path,
        )
    if _is_safetensors(head, size):
        return _read_safetensors(path)
    if head.startswith(b"PK"):
        _inspect_archive(path)
        return _read_torch(path, read_archive), {}
    if head.startswith((b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")):
        return _read_torch(path, read_stream), {}
    if is_tensorflow(head, tail):
        return read_tensorflow(path, head, tail), {}
    if _OLD_PICKLE.match(head) and tail.endswith(b"."):
        raise WeightsError(
            message("a pickle of protocol 0 or 1, which this program does not read"),
            why=message("torch.save has written protocol 2 or later since its first version"),
            remedy=message("If you trust its authors, open it in their program and save only model.state_dict() with torch.save"),
            path=path,
        )
    foreign = _foreign(head, path)
    if foreign:
        raise WeightsError(message("{foreign}, which this program does not read", foreign=foreign), remedy=_EXPORT, path=path)
    raise WeightsError(
        message("not a file of network weights"),
        why=_looks_like(head) or message("it is neither safetensors nor written by torch.save or TensorFlow"),
        remedy=message(
            "Choose a .safetensors, .pth, .pt or .ckpt file, a frozen graph (.pb) or a TensorFlow checkpoint's .index"
        ),
        path=path,
    )


def _read_parts(index: Path) -> tuple[Any, Mapping[str, str]]:
    """All tensors of weights in several parts, and the metadata of the first."""
    tensors: dict[str, Any] = {}
    metadata: Mapping[str, str] = {}
    for name, keys in read_index(index).items():
        content, inside = _read_one(index.parent / name)
        metadata = metadata or inside
        missing = [key for key in keys if key not in content]
        if missing:
            raise WeightsError(
                message(
                    "the part {name} lacks {count} of its tensors: {tensors}",
                    name=name,
                    count=len(missing),
                    tensors=", ".join(missing[:4]),
                ),
                remedy=_REMEDY_BROKEN,
                path=index,
            )
        tensors |= {key: content[key] for key in keys}
    return tensors, metadata


def _is_safetensors(head: bytes, size: int) -> bool:
    if len(head) < 9:
        return False
    (length,) = struct.unpack("<Q", head[:8])
    return head[8:9] == b"{" and length <= size


def _foreign(head: bytes, path: Path) -> str:
    """What a file of another program is, or an empty string."""
    for start, what in _FOREIGN:
        if head.startswith(start):
            return what
    if head[257:262] == b"ustar":
        return "a tar archive"
    if head[4:8] == b"TFL3":
        return "a LiteRT graph under another ending than .tflite"
    return {".caffemodel": "a Caffe network", ".mlmodel": "a Core ML network"}.get(path.suffix.lower(), "")


#: First bytes of other programs' files.
_FOREIGN = (
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file, as Keras saves its networks (.h5)"),
    (b"GGUF", "a GGUF file of a language model"),
    (b"ggml", "a GGML file of a language model"),
    (b"\x93NUMPY", "a single numpy array"),
    (b"ptrt", "a TensorRT engine"),
    (b"7z\xbc\xaf", "a 7-Zip archive"),
    (b"Rar!", "a RAR archive"),
)


def _looks_like(head: bytes) -> str:
    if head[:1] in (b"<", b"\xef"):
        return message("it looks like a web page, perhaps a failed download")
    if head.startswith(b"version https://git-lfs"):
        return message("it is a Git LFS pointer, not the file itself")
    return ""


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt", device="cpu") as stream:
            # The keys view does not iterate by itself in every version of the library.
            keys = list(stream.keys())
            return {key: stream.get_tensor(key) for key in keys}, dict(stream.metadata() or {})
    except (SafetensorError, OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
        raise WeightsError(
            message("the safetensors file is damaged"), why=str(error), remedy=_REMEDY_BROKEN, path=path
        ) from error


def _inspect_archive(path: Path) -> None:
    """Refuse archives that no ``torch.save`` writes: paths outside the archive, links, compressed bombs."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise WeightsError(
            message("the archive is truncated or damaged"), why=str(error), remedy=_REMEDY_BROKEN, path=path
        ) from error
    for entry in entries:
        _check_entry(entry, path)
    _check_kind({entry.filename for entry in entries}, path)


def _check_entry(entry: zipfile.ZipInfo, path: Path) -> None:
    """Refuse an entry that would land outside its archive, is a link, or unpacks to far more than it holds."""
    # ZipInfo cuts names at a null byte and turns backslashes; the original spelling is what a careless reader would use.
    name = entry.orig_filename
    parts = name.replace("\\", "/").split("/")
    if name.startswith(("/", "\\")) or ".." in parts or ":" in name or "\0" in name or "\\" in name:
        raise UnsafeCheckpoint(
            message("the archive hides files outside itself"),
            why=message("it has an entry named {name}", name=repr(name)),
            remedy=message("Do not use this file; get it from its authors again"),
            path=path,
        )
    if (entry.external_attr >> 16) & 0o170000 == 0o120000:
        raise UnsafeCheckpoint(
            message("the archive holds a link"),
            why=message("entry {name}", name=repr(name)),
            remedy=message("Do not use this file"),
            path=path,
        )
    if entry.file_size > LARGEST_FILE or (entry.file_size > 2**20 and entry.file_size > 100 * max(1, entry.compress_size)):
        raise UnsafeCheckpoint(
            message("the archive unpacks to far more than it holds"),
            why=message(
                "entry {name} claims {bytes} bytes from {compressed}",
                name=repr(name),
                bytes=entry.file_size,
                compressed=entry.compress_size,
            ),
            remedy=message("Do not use this file"),
            path=path,
        )


def _check_kind(names: set[str], path: Path) -> None:
    """Refuse archives that hold something else than tensors that ``torch.save`` wrote, by the names of their entries."""
    if {"model.weights.h5", "config.json"} & names and "metadata.json" in names:
        raise WeightsError(message("a Keras network (.keras), which this program does not read"), remedy=_EXPORT, path=path)
    if names and all(name.endswith(".npy") for name in names):
        raise WeightsError(
            message("numpy arrays (.npz), which this program does not read as a network"), remedy=_EXPORT, path=path
        )
    if not any(name.endswith("data.pkl") for name in names):
        inner = sorted(names)[:3]
        raise WeightsError(
            message("a zip archive, but not one that torch.save wrote"),
            why=message("it holds {inner}", inner=", ".join(inner) or "nothing"),
            remedy=message("If the checkpoint is packed inside, unpack it and choose the file"),
            path=path,
        )
    if any("/code/" in name or name.startswith("code/") for name in names):
        raise UnsafeCheckpoint(
            message("a TorchScript program, not plain weights"),
            why=message("TorchScript archives hold code"),
            remedy=message("Save the model's state_dict() instead"),
            path=path,
        )


def _read_torch(path: Path, read: Callable[[Path], Any]) -> Any:
    try:
        return read(path)
    except UnsafeCheckpoint as error:
        raise UnsafeCheckpoint(error.what, why=error.why, remedy=error.remedy, path=path) from error
    except MemoryError as error:
        raise WeightsError(
            message("the file asks for more memory than there is"), remedy=message("Choose a smaller checkpoint"), path=path
        ) from error
    except Exception as error:
        # A damaged pickle fails in every way an interpreter can: nothing of it has been used yet, so one answer fits all.
        said = (str(error).splitlines() or [""])[0].strip()[:240]
        why = said if isinstance(error, DamagedPickle) else message("{kind}: {error}", kind=type(error).__name__, error=said)
        raise WeightsError(message("the file is truncated or damaged"), why=why, remedy=_REMEDY_BROKEN, path=path) from error
