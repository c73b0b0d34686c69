"""Checkpoints of TensorFlow's second version: an index table of entries and data files with the tensors' bytes.

The index maps variable names to ``BundleEntryProto`` (type, shape, file, offset, size, checksum); the entry with the empty name
is the ``BundleHeaderProto`` (tensorflow/core/protobuf/tensor_bundle.proto).
"""

from __future__ import annotations

import math
import mmap
import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from deeplab_core.protobuf import Malformed, fields, number, signed, varint, view
from deeplab_core.weights.tensorflow.tensors import DTYPES, FLOATS, from_bytes, read_shape, to_torch

_POLYNOMIAL = 0x82F63B78  # 0x1EDC6F41 with its bits reversed
#: Below this many bytes a plain loop is as fast.
_SHORT = 4096
#: Bytes of a lane at least: fewer leave too many lanes to join, more leave too few to gain from.
_LANE = 512
_MASK_DELTA = 0xA282EAD8

Registers = NDArray[np.uint32]
MAGIC = struct.pack("<Q", 0xDB4775248B80FB57)
FOOTER = 48
#: Entries that no checkpoint has: the largest DeepLab has 1,500, with its optimiser's slots 3,000.
_MOST_ENTRIES = 200_000
LARGEST_INDEX = 64 * 2**20
_MOST_SHARDS = 1000

#: What optimisers and averages keep beside a variable, under its name and one more part.
_SLOT = re.compile(r"(Momentum|Adam|Adam_1|RMSProp|RMSProp_1|Adagrad|Ftrl|Ftrl_1|ExponentialMovingAverage)")


def crc32c(data: bytes | memoryview) -> int:
    """CRC-32C of ``data``, 0 .. 2**32 - 1 (Castagnoli; RFC 3720, section 12.1).

    numpy only: the buffer is cut into equal lanes that are summed side by side, and the lanes are joined by the rule that a CRC
    is linear over GF(2). About a second for the 160 MB of an Xception-65, and nothing to compile.
    """
    return _continue(memoryview(data), 0xFFFFFFFF) ^ 0xFFFFFFFF


def masked(checksum: int) -> int:
    """The form in which LevelDB and TensorFlow store a CRC, so that the CRC of data with CRCs inside stays useful."""
    return (((checksum >> 15) | (checksum << 17)) + _MASK_DELTA) & 0xFFFFFFFF


def _continue(data: memoryview, register: int) -> int:
    while len(data) > _SHORT:
        lanes = 1 << ((len(data) // _LANE).bit_length() - 1)  # a power of two, so that lanes join in pairs
        width = len(data) // lanes
        register = _side_by_side(np.frombuffer(data, np.uint8, lanes * width).reshape(lanes, width), register)
        data = data[lanes * width :]
    table = _table().tolist()
    for byte in data:
        register = table[(register ^ byte) & 0xFF] ^ (register >> 8)
    return register


def _side_by_side(lanes: NDArray[np.uint8], register: int) -> int:
    table = _table()
    columns = np.ascontiguousarray(lanes.T)
    # What went before enters with the first four bytes: register and data meet by exclusive or.
    columns[:4, 0] ^= np.frombuffer(register.to_bytes(4, "little"), np.uint8)
    registers = np.zeros(lanes.shape[0], np.uint32)
    for column in columns:
        registers = table[(registers ^ column) & np.uint32(0xFF)] ^ (registers >> np.uint32(8))
    width = lanes.shape[1]
    while len(registers) > 1:
        registers = _apply(_advance(width), registers[0::2]) ^ registers[1::2]
        width *= 2
    return int(registers[0])


@cache
def _table() -> Registers:
    """Sums of the 256 single bytes."""
    out = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        out = (out >> np.uint32(1)) ^ np.where(out & 1, np.uint32(_POLYNOMIAL), np.uint32(0))
    return out


@cache
def _advance(zeros: int) -> Registers:
    """(4, 256): what each byte of a register becomes after ``zeros`` zero bytes; their exclusive or is the whole register's."""
    if zeros == 0:
        return np.stack([np.arange(256, dtype=np.uint32) << np.uint32(8 * place) for place in range(4)])
    if zeros % 2:
        before = _advance(zeros - 1)
        after: Registers = _table()[before & np.uint32(0xFF)] ^ (before >> np.uint32(8))
        return after
    half = _advance(zeros // 2)
    return _apply(half, half)


def _apply(operator: Registers, registers: Registers) -> Registers:
    out: Registers = operator[0][registers & np.uint32(0xFF)]
    for place in (1, 2, 3):
        out = out ^ operator[place][(registers >> np.uint32(8 * place)) & np.uint32(0xFF)]
    return out


def entries(data: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Keys and values of a sorted table of LevelDB, in order of keys.

    A table is a run of blocks and a footer of 48 bytes with the place of the index block. A block holds entries with keys that
    share a prefix with the key before, and ends with its restart points; one byte for the compression and a masked CRC-32C
    follow (https://github.com/google/leveldb/blob/main/doc/table_format.md).

    Args:
        data: the whole file.

    Raises:
        Malformed: no table, a block that does not match its checksum, keys out of order, or compressed blocks.
    """
    if len(data) < FOOTER or bytes(data[-8:]) != MAGIC:
        raise Malformed("the table's last bytes are missing; the file is cut off")
    footer = data[-FOOTER:]
    _, position = _handle(footer, 0)
    index, _ = _handle(footer, position)
    count, last = 0, b""
    for _, value in _block(data, *index):
        place, _ = _handle(value, 0)
        for key, content in _block(data, *place):
            count += 1
            if count > _MOST_ENTRIES:
                raise Malformed(f"more than {_MOST_ENTRIES} entries")
            if count > 1 and key <= last:
                raise Malformed("keys are out of order")
            last = key
            yield key, content


def _handle(data: memoryview, position: int) -> tuple[tuple[int, int], int]:
    offset, position = varint(data, position)
    size, position = varint(data, position)
    return (offset, size), position


def _block(data: memoryview, offset: int, size: int) -> list[tuple[bytes, memoryview]]:
    if offset + size + 5 > len(data) - FOOTER:
        raise Malformed("a block lies outside the file")
    compression = data[offset + size]
    (stored,) = struct.unpack("<I", data[offset + size + 1 : offset + size + 5])
    if masked(crc32c(data[offset : offset + size + 1])) != stored:
        raise Malformed("a block does not match its checksum")
    if compression:
        raise Malformed(f"blocks are compressed (kind {compression}); TensorFlow's own are not")
    block = data[offset : offset + size]
    if size < 4:
        raise Malformed("a block is too short")
    (restarts,) = struct.unpack("<I", block[-4:])
    end = size - 4 - 4 * restarts
    if end < 0:
        raise Malformed("a block's restart points lie outside it")
    return list(_entries(block[:end]))


def _entries(block: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    position, key = 0, b""
    while position < len(block):
        shared, position = varint(block, position)
        fresh, position = varint(block, position)
        length, position = varint(block, position)
        if shared > len(key) or fresh + length > len(block) - position:
            raise Malformed("an entry runs over its block")
        key = key[:shared] + bytes(block[position : position + fresh])
        position += fresh
        yield key, block[position : position + length]
        position += length


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
