"""TensorFlow's tensors as torch's: types, shapes, constants of a graph, and the order of a kernel's axes.

Numbers of types and fields are those of ``tensorflow/core/framework/{types,tensor,tensor_shape}.proto``.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deeplab_core.protobuf import BYTES, FIXED32, FIXED64, Malformed, fields, number, packed, signed, view

#: ``DataType`` to numpy; bfloat16 (14) has no numpy type and is widened on reading.
DTYPES: dict[int, np.dtype[np.generic]] = {
    1: np.dtype("<f4"), 2: np.dtype("<f8"), 3: np.dtype("<i4"), 4: np.dtype("u1"), 5: np.dtype("<i2"), 6: np.dtype("i1"),
    9: np.dtype("<i8"), 10: np.dtype("?"), 14: np.dtype("<u2"), 19: np.dtype("<f2"),
}  # fmt: skip
BFLOAT16 = 14
FLOATS = frozenset({1, 2, BFLOAT16, 19})

_MOST_AXES = 8
#: Elements that a constant may have beyond what its bytes spell out (a single value may stand for a whole tensor).
_MOST_REPEATED = 2**24

#: Field of ``TensorProto`` with a type's values where they are not raw bytes: number, kind and numpy type of packed values.
_LISTS = {1: (5, "<f4"), 2: (6, "<f8"), 3: (7, ""), 4: (7, ""), 5: (7, ""), 6: (7, ""), 9: (10, ""), 10: (11, ""),
          14: (13, ""), 19: (13, "")}  # fmt: skip


def read_shape(data: memoryview) -> tuple[int, ...]:
    """Sizes from a ``TensorShapeProto``.

    Raises:
        Malformed: unknown sizes, or more axes or elements than any network has.
    """
    sizes: list[int] = []
    for field, _, value in fields(data):
        if field == 3 and number(value):
            raise Malformed("a tensor of unknown rank")
        if field == 2:
            sizes.append(next((signed(size) for part, _, size in fields(view(value)) if part == 1), 0))
            if len(sizes) > _MOST_AXES:
                raise Malformed(f"a tensor of more than {_MOST_AXES} axes")
    if any(size < 0 for size in sizes) or math.prod(sizes) >= 2**33:
        raise Malformed(f"a tensor of size {sizes}")
    return tuple(sizes)


def constant_type(data: memoryview) -> int:
    """The type of a ``TensorProto``, without its values."""
    return next((number(value) for field, _, value in fields(data) if field == 1), 0)


def read_constant(data: memoryview) -> NDArray[np.generic]:
    """The values of a ``TensorProto``, in TensorFlow's own order of axes; bfloat16 as float32.

    Raises:
        Malformed: a type that is not a number, or values that do not fill the shape.
    """
    kind, raw = 0, memoryview(b"")
    shape: tuple[int, ...] = ()
    listed: list[NDArray[np.generic]] = []
    for field, wire, value in fields(data):
        if field == 1:
            kind = number(value)
        elif field == 2:
            shape = read_shape(view(value))
        elif field == 4:
            raw = view(value)
        elif kind in _LISTS and field == _LISTS[kind][0]:
            listed.append(_listed(value, wire, _LISTS[kind][1]))
    if kind not in DTYPES:
        raise Malformed(f"a constant of type {kind}")
    if len(raw):
        return from_bytes(raw, kind, shape)
    values = np.concatenate(listed) if listed else np.zeros(1)
    count = math.prod(shape)
    if len(values) > count:
        raise Malformed("a constant has more values than its shape")
    if count - len(values) > _MOST_REPEATED:
        raise Malformed(f"a constant claims {count} values and has {len(values)}")
    # What is missing repeats the last value given (tensor.proto).
    filled = np.concatenate([values, np.full(count - len(values), values[-1] if len(values) else 0, values.dtype)])
    if kind in (BFLOAT16, 19):
        return from_bytes(filled.astype("<u2").tobytes(), kind, shape)
    return filled.astype(DTYPES[kind]).reshape(shape)


def _listed(value: int | memoryview, wire: int, dtype: str) -> NDArray[np.generic]:
    if not dtype:
        return np.array(packed(value, wire), np.int64)
    if wire in (FIXED32, FIXED64):
        item = np.dtype(dtype)
        if item.itemsize != (4 if wire == FIXED32 else 8):
            raise Malformed("a value of the wrong width")
        return np.frombuffer(number(value).to_bytes(item.itemsize, "little"), item)
    if wire != BYTES or len(view(value)) % np.dtype(dtype).itemsize:
        raise Malformed("a list of values is cut off")
    return np.frombuffer(view(value), dtype)


def from_bytes(raw: bytes | memoryview, kind: int, shape: tuple[int, ...]) -> NDArray[np.generic]:
    """Little-endian values of a type; bfloat16 widened to float32.

    Raises:
        Malformed: more or fewer bytes than the shape takes, or a type that is not a number.
    """
    if kind not in DTYPES:
        raise Malformed(f"values of type {kind}")
    dtype = DTYPES[kind]
    expected = math.prod(shape) * dtype.itemsize
    if len(raw) != expected:
        raise Malformed(f"{len(raw)} bytes where a tensor {'x'.join(map(str, shape)) or 'scalar'} takes {expected}")
    values = np.frombuffer(raw, dtype)
    if kind == BFLOAT16:
        values = (values.astype(np.uint32) << np.uint32(16)).view(np.float32)
    return values.reshape(shape)


def to_torch(name: str, values: NDArray[np.generic]) -> Tensor:
    """A variable as torch lays it out: kernels (height, width, in, out) become (out, in, height, width), and depthwise kernels
    (height, width, channels, multiplier) become (channels * multiplier, 1, height, width). A copy that owns its memory.
    """
    leaf = name.rpartition("/")[2]
    if values.ndim == 4 and leaf == "depthwise_weights":
        height, width, channels, multiplier = values.shape
        values = values.transpose(2, 3, 0, 1).reshape(channels * multiplier, 1, height, width)
    elif values.ndim == 4 and leaf == "weights":
        values = values.transpose(3, 2, 0, 1)
    return torch.from_numpy(np.array(values, order="C", copy=True))
