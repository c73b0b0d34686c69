"""TensorFlow's two containers written by hand, so that whole networks and broken files can be made without TensorFlow.

That these bytes are what TensorFlow writes is checked the other way round: the same reader reads TensorFlow's own files
(tests/data/tensorflow) and these.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deeplab_core.weights.tensorflow.bundle import MAGIC, crc32c, masked

TYPES = {"float32": 1, "float64": 2, "int32": 3, "int64": 9, "float16": 19}


def varint(number: int) -> bytes:
    out = bytearray()
    number &= 0xFFFFFFFFFFFFFFFF
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(out) + bytes([number])


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def message(field: int, content: bytes | str) -> bytes:
    content = content.encode() if isinstance(content, str) else content
    return varint(field << 3 | 2) + varint(len(content)) + content


def shape(sizes: tuple[int, ...]) -> bytes:
    return b"".join(message(2, number(1, size)) for size in sizes)


def attribute(key: str, value: bytes) -> bytes:
    return message(5, message(1, key) + message(2, value))


def node(name: str, op: str, inputs: tuple[str, ...] = (), attributes: bytes = b"") -> bytes:
    return message(1, message(1, name) + message(2, op) + b"".join(message(3, one) for one in inputs) + attributes)


def constant(name: str, values: NDArray[np.generic]) -> bytes:
    tensor = number(1, TYPES[values.dtype.name]) + message(2, shape(values.shape)) + message(4, values.tobytes())
    return node(name, "Const", (), attribute("value", message(8, tensor)))


def graph(variables: Mapping[str, NDArray[np.generic]], extra: bytes = b"") -> bytes:
    return b"".join(constant(name, values) for name, values in variables.items()) + extra


def block(entries: list[tuple[bytes, bytes]], interval: int = 16) -> bytes:
    out, restarts, before = bytearray(), [], b""
    for position, (key, value) in enumerate(entries):
        shared = 0
        if position % interval == 0:
            restarts.append(len(out))
        else:
            while shared < min(len(key), len(before)) and key[shared] == before[shared]:
                shared += 1
        out += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        before = key
    return bytes(out) + b"".join(struct.pack("<I", at) for at in restarts or [0]) + struct.pack("<I", max(1, len(restarts)))


def sealed(content: bytes, compression: int = 0) -> bytes:
    body = content + bytes([compression])
    return body + struct.pack("<I", masked(crc32c(body)))


def table(entries: list[tuple[bytes, bytes]], compression: int = 0) -> bytes:
    entries = sorted(entries)
    out, index = b"", []
    for start in range(0, len(entries), 40):
        part = entries[start : start + 40]
        data = block(part)
        index.append((part[-1][0], varint(len(out)) + varint(len(data))))
        out += sealed(data, compression)
    meta, places = block([]), []
    for content in (meta, block(index)):
        places.append(varint(len(out)) + varint(len(content)))
        out += sealed(content)
    return out + b"".join(places).ljust(40, b"\0") + MAGIC


def entry(values: NDArray[np.generic], offset: int, shard: int = 0) -> bytes:
    raw = values.tobytes()
    return (
        number(1, TYPES[values.dtype.name])
        + message(2, shape(values.shape))
        + (number(3, shard) if shard else b"")
        + number(4, offset)
        + number(5, len(raw))
        + varint(6 << 3 | 5)
        + struct.pack("<I", masked(crc32c(raw)))
    )


HEADER = (b"", number(1, 1) + message(3, number(1, 1)))


def checkpoint(prefix: Path, variables: Mapping[str, NDArray[np.generic]]) -> Path:
    """Write ``<prefix>.index`` and its data file; returns the index."""
    data, entries = bytearray(), [HEADER]
    for name, values in sorted(variables.items()):
        entries.append((name.encode(), entry(values, len(data))))
        data += values.tobytes()
    prefix.with_name(f"{prefix.name}.data-00000-of-00001").write_bytes(bytes(data))
    index = prefix.with_name(f"{prefix.name}.index")
    index.write_bytes(table(entries))
    return index
