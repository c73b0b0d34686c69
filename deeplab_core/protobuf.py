"""The wire format of Protocol Buffers, as much of it as TensorFlow's files need, read without a compiled schema.

A message is a run of fields: a varint tag (number and kind), then a varint, 8 bytes, 4 bytes, or a length and that many bytes
(https://protobuf.dev/programming-guides/encoding). Every length is checked against the buffer; nothing is copied.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import TypeAlias

#: Kinds of field. Groups (3 and 4) are not used by any of the messages read here.
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5

#: A field's value: a number for varints (unsigned, 64 bits) and fixed-width fields (raw bits), a view of its bytes otherwise.
Value: TypeAlias = "int | memoryview"


class Malformed(ValueError):
    """The bytes are not what their format says; the text names the reason."""


def varint(data: memoryview, position: int) -> tuple[int, int]:
    """An unsigned base-128 number at ``position``, and the position behind it.

    Raises:
        Malformed: it runs over the end, or over 64 bits.
    """
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(data):
            raise Malformed("a number runs over the end")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, position
    raise Malformed("a number has more than 64 bits")


def fields(data: memoryview) -> Iterator[tuple[int, int, Value]]:
    """The fields of a message in order: number, kind and value.

    Raises:
        Malformed: a field runs over the end, or is of no kind that is used.
    """
    position, end = 0, len(data)
    while position < end:
        tag, position = varint(data, position)
        number, kind = tag >> 3, tag & 7
        if number == 0:
            raise Malformed("a field has number 0")
        if kind == VARINT:
            value, position = varint(data, position)
            yield number, kind, value
            continue
        if kind == BYTES:
            length, position = varint(data, position)
        elif kind in (FIXED64, FIXED32):
            length = 8 if kind == FIXED64 else 4
        else:
            raise Malformed(f"a field is of kind {kind}")
        if length > end - position:
            raise Malformed(f"a field of {length} bytes runs over the end")
        view = data[position : position + length]
        position += length
        yield number, kind, view if kind == BYTES else int.from_bytes(view, "little")


def text(value: Value) -> str:
    """A string field.

    Raises:
        Malformed: the field is a number, or no UTF-8.
    """
    try:
        return bytes(view(value)).decode("utf-8")
    except UnicodeDecodeError as error:
        raise Malformed("a name is not UTF-8") from error


def view(value: Value) -> memoryview:
    """A field of bytes.

    Raises:
        Malformed: the field is a number.
    """
    if isinstance(value, int):
        raise Malformed("a number stands where bytes belong")
    return value


def number(value: Value) -> int:
    """A field that is an unsigned number.

    Raises:
        Malformed: the field holds bytes.
    """
    if not isinstance(value, int):
        raise Malformed("bytes stand where a number belongs")
    return value


def signed(value: Value) -> int:
    """A 64-bit field in two's complement, as int32 and int64 are stored."""
    raw = number(value)
    return raw - (1 << 64) if raw >> 63 else raw


def float32(value: Value) -> float:
    """A FIXED32 field as the float that its bits are."""
    (result,) = struct.unpack("<f", number(value).to_bytes(4, "little"))
    return float(result)


def packed(value: Value, kind: int) -> list[int]:
    """A repeated varint field: one number, or several packed into bytes (writers may choose)."""
    if kind == VARINT:
        return [signed(value)]
    data, out, position = view(value), [], 0
    while position < len(data):
        item, position = varint(data, position)
        out.append(signed(item))
    return out
