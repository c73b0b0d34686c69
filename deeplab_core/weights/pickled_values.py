"""What a pickle that is read as data may become: tensors, arrays, containers from checked arguments, else stand-ins.

The tensor calls are those of ``torch/_utils.py``, the arrays those of numpy's ``array_reduce``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor


class DamagedPickle(Exception):
    """The bytes are not a pickle, or describe something impossible; the message names it."""


@dataclass(frozen=True, slots=True)
class Global:
    """A function or class that a pickle names; never imported."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


class StandIn:
    """An object of a class that is not built: inert, no attribute or method of the class is there.

    Attributes:
        of: name of the class or function.
        arguments: what it would have been made from.
        state: what it would have been given afterwards, and its entries if it is a mapping or a list.
    """

    __slots__ = ("arguments", "of", "state")

    def __init__(self, of: str, arguments: Iterable[Any] = ()) -> None:
        self.of = of
        self.arguments = list(arguments)
        self.state: dict[Any, Any] = {}

    def __repr__(self) -> str:
        return f"<{self.of}>"


@dataclass(frozen=True, slots=True)
class UnreadTensor:
    """A tensor of a form that no network here takes (``what``: quantised, sparse, of a foreign class)."""

    what: str
    foreign: bool = False


@dataclass(slots=True)
class Storage:
    """Bytes of a tensor; filled at once or, in the old format, after the pickle."""

    data: torch.UntypedStorage
    dtype: torch.dtype


@dataclass(slots=True)
class ArrayType:
    text: str = ""
    order: str = "|"

    def dtype(self) -> np.dtype[Any] | None:
        """The numpy type, or None where its elements are not numbers."""
        return np.dtype(self.order.replace("|", "=") + self.text) if re.fullmatch(r"b1|[iu][1248]|f[248]", self.text) else None


#: Numbered types of torch by their name in a pickle; only these attributes of torch are ever looked up.
DTYPES: Mapping[str, torch.dtype] = {
    name: getattr(torch, name)
    for name in (
        "float32", "float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool", "complex64",
        "complex128", "uint16", "uint32", "uint64", "float8_e4m3fn", "float8_e5m2",
    )
}  # fmt: skip
STORAGES: Mapping[str, torch.dtype] = {
    "FloatStorage": torch.float32, "DoubleStorage": torch.float64, "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64, "IntStorage": torch.int32, "ShortStorage": torch.int16, "CharStorage": torch.int8,
    "ByteStorage": torch.uint8, "BoolStorage": torch.bool, "ComplexFloatStorage": torch.complex64,
    "ComplexDoubleStorage": torch.complex128, "UntypedStorage": torch.uint8, "QInt8Storage": torch.int8,
    "QUInt8Storage": torch.uint8, "QInt32Storage": torch.int32,
}  # fmt: skip

PLAIN = (str, bytes, int, float, bool, type(None))
#: Integers beyond this are keys as text: numbers of Python with one hash for all are easily made, text with one is not.
_LARGEST_KEY = 2**60
#: What a constructor gives if its arguments are not of the form that it knows.
NOTHING = object()


def put_entries(target: object, items: list[Any]) -> None:
    """Set entries of a dict or stand-in. Keys with a hash that could take long or equal that of all others are put as text."""
    into = target.state if isinstance(target, StandIn) else target
    if not isinstance(into, dict) or len(items) % 2:
        raise DamagedPickle("it sets entries of what is not a mapping")
    for key, value in zip(items[::2], items[1::2], strict=True):
        into[_key(key)] = value


def _key(key: object) -> object:
    if isinstance(key, (int, float)) and not isinstance(key, bool):
        return key if abs(key) < _LARGEST_KEY else str(key)
    if isinstance(key, tuple) and all(isinstance(part, PLAIN) for part in key):
        return f"({', '.join(str(part)[:80] for part in key[:8])})"
    if isinstance(key, (*PLAIN, Global)):
        return key
    return repr(key)[:80] if isinstance(key, StandIn) else f"a {type(key).__name__}"


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**48:
        raise DamagedPickle(f"a size is {str(value)[:40]}")
    return value


def _tensor(storage: Any, offset: Any, size: Any, stride: Any, *_: Any, dtype: torch.dtype | None = None) -> Tensor:
    shaped = isinstance(size, tuple) and isinstance(stride, tuple) and len(size) == len(stride)
    if not isinstance(storage, Storage) or not shaped:
        raise DamagedPickle("a tensor has no storage or no shape")
    if len(size) > 32:
        raise DamagedPickle(f"a tensor has {len(size)} axes")
    sides, steps, first = [_whole(side) for side in size], [_whole(step) for step in stride], _whole(offset)
    kind = dtype or storage.dtype
    values = storage.data.nbytes() // kind.itemsize
    last = first + sum((side - 1) * step for side, step in zip(sides, steps, strict=True)) if all(sides) else first - 1
    if last >= values:
        raise DamagedPickle(f"a tensor reads value {last} of a storage that has {values}")
    return torch.empty(0, dtype=kind).set_(storage.data, first, sides, steps)


def _tensor_of_type(
    storage: object, offset: object, size: object, stride: object, _grad: object, _hooks: object, dtype: object, *_more: object
) -> Any:
    kind = DTYPES.get(dtype.name) if isinstance(dtype, Global) and dtype.module == "torch" else None
    if kind is None:
        return UnreadTensor(f"a tensor of the type {dtype}")
    return _tensor(storage, offset, size, stride, dtype=kind)


def _parameter(data: object, *_: object) -> Any:
    return data


def _unread(what: str) -> Callable[..., Any]:
    return lambda *_: UnreadTensor(what)


def array_of_state(state: tuple[Any, ...]) -> np.ndarray[Any, Any] | None:
    """An array from numpy's state (version, shape, type, Fortran order, bytes); None where its elements are not numbers."""
    if len(state) != 5:
        return None
    _, shape, kind, fortran, raw = state
    dtype = kind.dtype() if isinstance(kind, ArrayType) else None
    data = raw.encode("latin-1") if isinstance(raw, str) else raw
    if dtype is None or not isinstance(data, (bytes, bytearray)) or not isinstance(shape, tuple) or len(shape) > 32:
        return None
    sides = [_whole(side) for side in shape]
    if math.prod(sides) * dtype.itemsize != len(data):
        raise DamagedPickle(f"an array of {sides} has {len(data)} bytes")
    made = np.frombuffer(data, dtype).reshape(sides, order="F" if fortran is True else "C")
    return made.astype(dtype.newbyteorder("="))


def _array_of_buffer(raw: object, kind: object, shape: object, order: object = "C", *_: object) -> Any:
    made = array_of_state((1, shape, kind, order == "F", raw))
    return StandIn("numpy.ndarray") if made is None else made


def _scalar(kind: object, raw: object = b"", *_: object) -> Any:
    made = array_of_state((1, (), kind, False, raw))
    return StandIn("numpy.generic") if made is None else made.item()


def _tensor_of_array(data: object, *_: object) -> Any:
    return torch.from_numpy(data) if isinstance(data, np.ndarray) else UnreadTensor("a tensor without values")


def _mapping(*arguments: object) -> dict[Any, Any]:
    """OrderedDict, Counter, defaultdict: what they hold; a default is never made."""
    made: dict[Any, Any] = {}
    for argument in arguments:
        if isinstance(argument, dict):
            made.update(argument)
        elif isinstance(argument, list):
            for pair in argument:
                put_entries(made, list(pair) if isinstance(pair, (list, tuple)) and len(pair) == 2 else [None])
    return made


def _encoded(text: Any = "", encoding: Any = "latin1", *_: Any) -> Any:
    known = isinstance(text, str) and encoding in ("latin1", "latin-1", "ascii", "utf-8", "utf8")
    return text.encode(encoding) if known else NOTHING


def _bytes(*arguments: object) -> Any:
    if not arguments:
        return b""
    return bytes(arguments[0]) if isinstance(arguments[0], (bytes, bytearray)) else _encoded(*arguments)


def _path(*parts: Any) -> Any:
    return "/".join(parts) if all(isinstance(part, str) for part in parts) else NOTHING


def _array_type(text: object = "", *_: object) -> Any:
    return ArrayType(text) if isinstance(text, str) else ArrayType()


def _object(kind: object = "", *_: object) -> StandIn:
    return StandIn(str(kind))


#: What is built, by the name of the call in the pickle.
CONSTRUCTORS: Mapping[str, Callable[..., Any]] = {
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_tensor_v3": _tensor_of_type,
    "torch._utils._rebuild_parameter": _parameter,
    "torch._utils._rebuild_parameter_with_state": _parameter,
    "torch.nn.parameter.Parameter": _parameter,
    "torch._utils._rebuild_device_tensor_from_numpy": _tensor_of_array,
    "torch._utils._rebuild_device_tensor_from_cpu_tensor": _parameter,
    "torch._utils._rebuild_qtensor": _unread("a quantised tensor"),
    "torch._utils._rebuild_sparse_tensor": _unread("a sparse tensor"),
    "torch._utils._rebuild_sparse_csr_tensor": _unread("a sparse tensor"),
    "torch._utils._rebuild_nested_tensor": _unread("a nested tensor"),
    "torch._utils._rebuild_meta_tensor_no_storage": _unread("a tensor without values"),
    "torch._utils._rebuild_wrapper_subclass": lambda kind="", *_: UnreadTensor(f"a tensor of the class {kind}", foreign=True),
    "torch.Size": lambda sides=(), *_: tuple(sides) if isinstance(sides, (tuple, list)) else (),
    "torch.device": lambda *parts: ":".join(str(part)[:20] for part in parts),
    "collections.OrderedDict": _mapping,
    "collections.Counter": _mapping,
    "collections.defaultdict": _mapping,
    "builtins.dict": _mapping,
    "builtins.bytearray": _bytes,
    "builtins.bytes": _bytes,
    "_codecs.encode": _encoded,
    "copyreg._reconstructor": _object,
    "copyreg.__newobj__": _object,
    "numpy.dtype": _array_type,
    "numpy._core.multiarray._reconstruct": lambda *_: StandIn("numpy.ndarray"),
    "numpy._core.numeric._frombuffer": _array_of_buffer,
    "numpy._core.multiarray.scalar": _scalar,
    **{f"{module}.{name}": _path for module in ("pathlib", "pathlib._local") for name in (
        "Path", "PosixPath", "WindowsPath", "PurePath", "PurePosixPath", "PureWindowsPath"
    )},
}  # fmt: skip
