"""Checkpoints of TensorFlow's second version: an index table of entries and data files with the tensors' bytes.

The index maps variable names to ``BundleEntryProto`` (type, shape, file, offset, size, checksum); the entry with the empty name
is the ``BundleHeaderProto`` (tensorflow/core/protobuf/tensor_bundle.proto).
"""

from __future__ import annotations

import math
import mmap
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from deeplab_core.protobuf import Malformed, fields, number, signed, view
from deeplab_core.weights.tensorflow.checksum import crc32c, masked
from deeplab_core.weights.tensorflow.table import MAGIC, entries
from deeplab_core.weights.tensorflow.tensors import DTYPES, FLOATS, from_bytes, read_shape, to_torch

LARGEST_INDEX = 64 * 2**20
_MOST_SHARDS = 1000

#: What optimisers and averages keep beside a variable, under its name and one more part.
_SLOT = re.compile(r"(Momentum|Adam|Adam_1|RMSProp|RMSProp_1|Adagrad|Ftrl|Ftrl_1|ExponentialMovingAverage)")


@dataclass(slots=True)
class _Entry:
    dtype: int = 0
    shape: tuple[int, ...] = ()
    shard: int = 0
    offset: int = 0
    size: int = 0
    checksum: int = 0
    slices: int = 0


@dataclass(frozen=True, slots=True)
class Bundle:
    """What a checkpoint holds.

    Attributes:
        tensors: the network's float variables in torch's layout.
        beside: names of what was left out: counters and optimisers' state.
    """

    tensors: Mapping[str, Tensor]
    beside: tuple[str, ...] = field(default=())


def looks_like_index(tail: bytes) -> bool:
    """Whether a file's last bytes are those of a table."""
    return tail.endswith(MAGIC)


def read_bundle(index: Path) -> Bundle:
    """Read a checkpoint by its ``.index`` file.

    Args:
        index: ``<prefix>.index``; the data files ``<prefix>.data-00000-of-00001`` are beside it.

    Raises:
        Malformed: a damaged index, a missing or damaged data file, a checksum that does not match, partitioned variables.
        OSError: a file cannot be read.
    """
    if index.stat().st_size > LARGEST_INDEX:
        raise Malformed(f"an index of {index.stat().st_size} bytes")
    shards, found = _read_index(memoryview(index.read_bytes()))
    slots = {name for name in found if _is_slot(name, found)}
    wanted = {name: entry for name, entry in found.items() if entry.dtype in FLOATS and name not in slots}
    if not wanted:
        raise Malformed(f"none of its {len(found)} entries is a variable of floats")
    tensors: dict[str, Tensor] = {}
    for shard in range(shards):
        mine = {name: entry for name, entry in wanted.items() if entry.shard == shard}
        if mine:
            path = index.with_name(f"{index.name.removesuffix('.index')}.data-{shard:05d}-of-{shards:05d}")
            tensors.update(_read_shard(path, mine))
    # The order of the index, whatever the shards.
    return Bundle({name: tensors[name] for name in wanted}, tuple(name for name in found if name not in wanted))


def _is_slot(name: str, found: Mapping[str, object]) -> bool:
    owner, _, last = name.rpartition("/")
    return owner in found and _SLOT.fullmatch(last) is not None


def _read_index(data: memoryview) -> tuple[int, dict[str, _Entry]]:
    shards, found = 0, {}
    for key, value in entries(data):
        if not key:
            shards = _header(value)
            continue
        try:
            name = key.decode("utf-8")
        except UnicodeDecodeError as error:
            raise Malformed("a variable's name is not UTF-8") from error
        entry = _entry(value)
        if entry.slices:
            raise Malformed(f"'{name}' is stored in slices (a partitioned variable)")
        if not 0 <= entry.shard < shards:
            raise Malformed(f"'{name}' is in data file {entry.shard} of {shards}")
        found[name] = entry
    return shards, found


def _header(value: memoryview) -> int:
    shards = 0
    for part, _, content in fields(value):
        if part == 1:
            shards = signed(content)
        elif part == 2 and number(content):
            raise Malformed("written on a big-endian machine")
    if not 0 < shards <= _MOST_SHARDS:
        raise Malformed(f"{shards} data files")
    return shards


def _entry(value: memoryview) -> _Entry:
    entry = _Entry()
    for part, _, content in fields(value):
        if part == 1:
            entry.dtype = number(content)
        elif part == 2:
            entry.shape = read_shape(view(content))
        elif part == 3:
            entry.shard = signed(content)
        elif part == 4:
            entry.offset = signed(content)
        elif part == 5:
            entry.size = signed(content)
        elif part == 6:
            entry.checksum = number(content)
        elif part == 7:
            entry.slices += 1
    return entry


def _read_shard(path: Path, wanted: Mapping[str, _Entry]) -> dict[str, Tensor]:
    if not path.is_file():
        raise Malformed(f"the data file {path.name} is not beside the index")
    length = path.stat().st_size
    for name, entry in wanted.items():
        if entry.offset < 0 or entry.size < 0 or entry.offset + entry.size > length:
            raise Malformed(f"'{name}' lies beyond the end of {path.name}, which is cut off or of another checkpoint")
        if entry.size != math.prod(entry.shape) * DTYPES[entry.dtype].itemsize:
            raise Malformed(f"'{name}' has {entry.size} bytes, which do not fill its shape {list(entry.shape)}")
    if sum(entry.size for entry in wanted.values()) > length:
        raise Malformed(f"its variables share bytes of {path.name}")
    tensors: dict[str, Tensor] = {}
    if not length:
        return {name: to_torch(name, from_bytes(b"", entry.dtype, entry.shape)) for name, entry in wanted.items()}
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        for name, entry in wanted.items():
            raw = mapped[entry.offset : entry.offset + entry.size]
            if masked(crc32c(raw)) != entry.checksum:
                raise Malformed(f"'{name}' does not match its checksum")
            tensors[name] = to_torch(name, from_bytes(raw, entry.dtype, entry.shape))
    return tensors
