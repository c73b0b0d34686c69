"""Sorted tables of LevelDB's file format, as TensorFlow writes a checkpoint's index.

A table is a run of blocks and a footer of 48 bytes with the place of the index block. A block holds entries with keys that share
a prefix with the key before, and ends with its restart points; one byte for the compression and a masked CRC-32C follow
(https://github.com/google/leveldb/blob/main/doc/table_format.md).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from deeplab_core.protobuf import Malformed, varint
from deeplab_core.weights.tensorflow.checksum import crc32c, masked

MAGIC = struct.pack("<Q", 0xDB4775248B80FB57)
FOOTER = 48
#: Entries that no checkpoint has: the largest DeepLab has 1,500, with its optimiser's slots 3,000.
_MOST_ENTRIES = 200_000


def entries(data: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Keys and values of a table, in order of keys.

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
