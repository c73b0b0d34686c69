"""Pickles read as data: an interpreter of the opcodes that calls nothing the file names.

``pickle`` imports what a file names and calls it. Here a name stays a name (:class:`Global`). A short table of constructors
builds tensors, arrays and containers from checked arguments; every other call, attribute or state becomes a :class:`StandIn`,
which remembers what it stands for and does nothing. Names whose only use in a checkpoint is to run code refuse the file at once.

Opcodes: CPython's ``pickletools``; the tensor calls: ``torch/_utils.py``; arrays: numpy's ``array_reduce``.
"""

from __future__ import annotations

import math
import pickletools
import re
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import IO, Any

import numpy as np
import torch
from torch import Tensor

from deeplab_core.errors import UnsafeCheckpoint

#: Operations after which a pickle is given up: a checkpoint of the largest network with its optimiser needs about 200,000.
MOST_OPERATIONS = 4_000_000


class DamagedPickle(Exception):
    """The bytes are no pickle, or describe something impossible; the message says what."""


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
class _ArrayType:
    text: str = ""
    order: str = "|"

    def dtype(self) -> np.dtype[Any] | None:
        """The numpy type, or None where its elements are no numbers."""
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

#: Modules (with all they hold) and single names that a checkpoint has no use for but to run code.
_RUNS_CODE = re.compile(
    r"(os|posix|nt|subprocess|_posixsubprocess|sys|shutil|socket|importlib|imp|runpy|ctypes|pty|codeop|marshal|commands|"
    r"webbrowser|pip|pdb|bdb|timeit|cProfile|pydoc|platform|ensurepip|distutils|asyncio\.subprocess)(\..*)?"
    r"|code\.(interact|Interactive\w+|compile_command)"
    r"|builtins\.(eval|exec|execfile|compile|__import__|open|breakpoint|input|setattr|delattr|globals|locals|vars)"
    r"|types\.(FunctionType|CodeType)|torch\.(hub|utils\.cpp_extension|load|jit|ops)(\..*)?|_?pickle\.(loads?|_loads?|Unpickler)"
    r"|numpy\.(f2py|distutils|testing)(\..*)?|.*\.(system|popen|__globals__|__builtins__|__import__|__subclasses__|__code__)"
)
_OLD_NAMES = {"__builtin__": "builtins", "copy_reg": "copyreg", "UserDict": "collections"}
_PLAIN = (str, bytes, int, float, bool, type(None))
_NOTHING = object()


def read_pickle(stream: IO[bytes], storage: Callable[[tuple[Any, ...]], Storage] | None = None) -> Any:
    """The object of the next pickle in a stream, built without running anything.

    Args:
        stream: at the pickle's first byte; ``read`` and ``readline`` bound how much they return.
        storage: gives the storage of a tensor by its persistent id; None where the file has none.

    Returns:
        Numbers, text, lists, tuples, dicts, tensors and arrays; everything else as :class:`StandIn`, :class:`Global` or
        :class:`UnreadTensor`.

    Raises:
        DamagedPickle: it cannot be a pickle, or is too long.
        UnsafeCheckpoint: it names something that only runs code.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Python thinks of the escapes in a foreign text helps nobody here
        return _Machine(stream, storage).run()


class _Machine:
    """The stack machine of the pickle format; see ``pickletools`` for each opcode."""

    def __init__(self, stream: IO[bytes], storage: Callable[[tuple[Any, ...]], Storage] | None) -> None:
        self._stream, self._storage = stream, storage
        self._stack: list[Any] = []
        self._marks: list[list[Any]] = []
        self._memo: dict[int, Any] = {}

    def run(self) -> Any:
        """Run to the STOP opcode."""
        try:
            for number, (opcode, argument, _) in enumerate(pickletools.genops(self._stream)):
                if number >= MOST_OPERATIONS:
                    raise DamagedPickle(f"it has more than {MOST_OPERATIONS:,} operations")
                if opcode.name == "STOP":
                    return self._stack.pop()
                if opcode.name in _PUSHED:
                    self._stack.append(argument)
                    continue
                step = getattr(self, "_do_" + opcode.name.lower(), None)
                if step is None:
                    raise DamagedPickle(f"it uses the operation {opcode.name}")
                step(argument)
        except (IndexError, KeyError, ValueError, TypeError, AttributeError, OverflowError, EOFError) as error:
            raise DamagedPickle(f"{type(error).__name__}: {error}") from error
        raise DamagedPickle("it ends early")

    # -- the stack -------------------------------------------------------------------------------------------------------

    def _pop_mark(self) -> list[Any]:
        items = self._stack
        self._stack = self._marks.pop()
        return items

    def _do_mark(self, _: Any) -> None:
        self._marks.append(self._stack)
        self._stack = []

    def _do_pop(self, _: Any) -> None:
        if self._stack:
            self._stack.pop()
        else:
            self._pop_mark()

    def _do_pop_mark(self, _: Any) -> None:
        self._pop_mark()

    def _do_dup(self, _: Any) -> None:
        self._stack.append(self._stack[-1])

    def _do_proto(self, version: int) -> None:
        if not 0 <= version <= 5:
            raise DamagedPickle(f"it is of protocol {version}")

    def _do_frame(self, _: Any) -> None:
        """A hint about lengths; nothing depends on it."""

    def _do_put(self, place: int) -> None:
        self._memo[place] = self._stack[-1]

    _do_binput = _do_long_binput = _do_put

    def _do_memoize(self, _: Any) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def _do_get(self, place: int) -> None:
        self._stack.append(self._memo[place])

    _do_binget = _do_long_binget = _do_get

    # -- constants and containers ----------------------------------------------------------------------------------------

    def _do_none(self, _: Any) -> None:
        self._stack.append(None)

    def _do_newtrue(self, _: Any) -> None:
        self._stack.append(True)

    def _do_newfalse(self, _: Any) -> None:
        self._stack.append(False)

    def _do_empty_list(self, _: Any) -> None:
        self._stack.append([])

    def _do_empty_dict(self, _: Any) -> None:
        self._stack.append({})

    def _do_empty_set(self, _: Any) -> None:
        self._stack.append(StandIn("builtins.set"))

    def _do_empty_tuple(self, _: Any) -> None:
        self._stack.append(())

    def _do_list(self, _: Any) -> None:
        items = self._pop_mark()
        self._stack.append(items)

    def _do_tuple(self, _: Any) -> None:
        items = self._pop_mark()
        self._stack.append(tuple(items))

    def _do_frozenset(self, _: Any) -> None:
        items = self._pop_mark()
        self._stack.append(StandIn("builtins.frozenset", items))

    def _do_tuple1(self, _: Any) -> None:
        self._stack[-1:] = [(self._stack[-1],)]

    def _do_tuple2(self, _: Any) -> None:
        self._stack[-2:] = [(self._stack[-2], self._stack[-1])]

    def _do_tuple3(self, _: Any) -> None:
        self._stack[-3:] = [(self._stack[-3], self._stack[-2], self._stack[-1])]

    def _do_dict(self, _: Any) -> None:
        items = self._pop_mark()
        made: dict[Any, Any] = {}
        _put(made, items)
        self._stack.append(made)

    def _do_append(self, _: Any) -> None:
        item = self._stack.pop()
        self._extend([item])

    def _do_appends(self, _: Any) -> None:
        items = self._pop_mark()
        self._extend(items)

    _do_additems = _do_appends

    def _extend(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if isinstance(target, list):
            target.extend(items)
        elif isinstance(target, StandIn):
            target.arguments.extend(items)
        else:
            raise DamagedPickle("it appends to what is no list")

    def _do_setitem(self, _: Any) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        _put(self._stack[-1], [key, value])

    def _do_setitems(self, _: Any) -> None:
        items = self._pop_mark()
        _put(self._stack[-1], items)

    # -- names and calls -------------------------------------------------------------------------------------------------

    def _do_global(self, pair: str) -> None:
        module, _, name = pair.partition(" ")
        self._stack.append(_named(module, name))

    def _do_stack_global(self, _: Any) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise DamagedPickle("a name is no text")
        self._stack.append(_named(module, name))

    def _do_reduce(self, _: Any) -> None:
        arguments, function = self._stack.pop(), self._stack.pop()
        self._stack.append(self._call(function, arguments))

    _do_newobj = _do_reduce

    def _do_newobj_ex(self, _: Any) -> None:
        keywords, arguments, function = self._stack.pop(), self._stack.pop(), self._stack.pop()
        made = self._call(function, arguments)
        if isinstance(made, StandIn) and isinstance(keywords, dict):
            made.state.update(keywords)
        self._stack.append(made)

    def _do_obj(self, _: Any) -> None:
        function, *arguments = self._pop_mark()
        self._stack.append(self._call(function, tuple(arguments)))

    def _do_inst(self, pair: str) -> None:
        module, _, name = pair.partition(" ")
        arguments = tuple(self._pop_mark())
        self._stack.append(self._call(_named(module, name), arguments))

    def _do_build(self, _: Any) -> None:
        state = self._stack.pop()
        target = self._stack[-1]
        if isinstance(target, StandIn):
            parts = state if isinstance(state, tuple) and target.of != "numpy.ndarray" else (state,)
            for part in parts:
                if isinstance(part, dict):
                    target.state.update(part)
            if target.of == "numpy.ndarray" and isinstance(state, tuple):
                made = _array(state)
                if made is not None:
                    self._replace_last(target, made)
        elif isinstance(target, _ArrayType) and isinstance(state, tuple) and len(state) > 1 and state[1] in ("<", ">", "|", "="):
            target.order = state[1]

    def _replace_last(self, old: Any, new: Any) -> None:
        """An array stands in the memo too, where it was put before its state came."""
        self._stack[-1] = new
        for place in islice(reversed(self._memo), 64):  # put there before its state, which takes a few entries itself
            if self._memo[place] is old:
                self._memo[place] = new
                return

    def _do_binpersid(self, _: Any) -> None:
        saved = self._stack.pop()
        if self._storage is None or not isinstance(saved, tuple) or not saved or saved[0] not in ("storage", b"storage"):
            self._stack.append(StandIn("an object kept elsewhere"))
        else:
            self._stack.append(self._storage(saved))

    def _do_persid(self, _: Any) -> None:
        self._stack.append(StandIn("an object kept elsewhere"))

    def _do_ext1(self, number: int) -> None:
        self._stack.append(Global("copyreg", f"extension {number}"))

    _do_ext2 = _do_ext4 = _do_ext1

    def _call(self, function: Any, arguments: Any) -> Any:
        if not isinstance(arguments, tuple):
            raise DamagedPickle("a call has no tuple of arguments")
        if not isinstance(function, Global):
            return StandIn(f"what {type(function).__name__} gives", arguments)
        name = str(function)
        if name in ("torch._tensor._rebuild_from_type_v2", "torch._tensor._rebuild_from_type") and len(arguments) > 2:
            inner, kind = self._call(arguments[0], arguments[2]), str(arguments[1])
            plain = kind in ("torch.Tensor", "torch.nn.parameter.Parameter", "torch.nn.parameter.Buffer")
            return inner if plain else UnreadTensor(f"a tensor of the class {kind}", foreign=True)
        build = _CALLS.get(name)
        made = _NOTHING if build is None else build(*arguments)
        return StandIn(name, arguments) if made is _NOTHING else made


#: Opcodes whose argument is the object.
_PUSHED = frozenset((
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES",
    "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "FLOAT", "BINFLOAT",
))  # fmt: skip


def _named(module: str, name: str) -> Global:
    """The name as it is today.

    Raises:
        UnsafeCheckpoint: it is of no use but to run code.
    """
    module = _OLD_NAMES.get(module, module).replace("numpy.core.", "numpy._core.")
    if _RUNS_CODE.fullmatch(f"{module}.{name}") or _RUNS_CODE.fullmatch(module):
        raise UnsafeCheckpoint(
            "the file asks to run code; it was not opened",
            why=f"it names {module}.{name}"[:200],
            remedy="If you trust its authors, open it in their program and save only model.state_dict()",
        )
    return Global(module, name)


def _put(target: Any, items: list[Any]) -> None:
    """Set entries of a dict or stand-in. Keys whose hash could take long or run something are left out."""
    into = target.state if isinstance(target, StandIn) else target
    if not isinstance(into, dict) or len(items) % 2:
        raise DamagedPickle("it sets entries of what is no mapping")
    for key, value in zip(items[::2], items[1::2], strict=True):
        plain = isinstance(key, (*_PLAIN, Global)) or (isinstance(key, tuple) and all(isinstance(part, _PLAIN) for part in key))
        into[key if plain else repr(key)[:80] if isinstance(key, StandIn) else f"a {type(key).__name__}"] = value


# -- what is built -------------------------------------------------------------------------------------------------------


def _whole(value: Any) -> int:
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


def _tensor_of_type(storage: Any, offset: Any, size: Any, stride: Any, _grad: Any, _hooks: Any, dtype: Any, *_more: Any) -> Any:
    kind = DTYPES.get(dtype.name) if isinstance(dtype, Global) and dtype.module == "torch" else None
    if kind is None:
        return UnreadTensor(f"a tensor of the type {dtype}")
    return _tensor(storage, offset, size, stride, dtype=kind)


def _parameter(data: Any, *_: Any) -> Any:
    return data


def _unread(what: str) -> Callable[..., Any]:
    return lambda *_: UnreadTensor(what)


def _array(state: tuple[Any, ...]) -> np.ndarray[Any, Any] | None:
    """An array from numpy's state (version, shape, type, Fortran order, bytes); None where its elements are no numbers."""
    if len(state) != 5:
        return None
    _, shape, kind, fortran, raw = state
    dtype = kind.dtype() if isinstance(kind, _ArrayType) else None
    data = raw.encode("latin-1") if isinstance(raw, str) else raw
    if dtype is None or not isinstance(data, (bytes, bytearray)) or not isinstance(shape, tuple) or len(shape) > 32:
        return None
    sides = [_whole(side) for side in shape]
    if math.prod(sides) * dtype.itemsize != len(data):
        raise DamagedPickle(f"an array of {sides} has {len(data)} bytes")
    made = np.frombuffer(data, dtype).reshape(sides, order="F" if fortran is True else "C")
    return made.astype(dtype.newbyteorder("="))


def _array_of_buffer(raw: Any, kind: Any, shape: Any, order: Any = "C", *_: Any) -> Any:
    made = _array((1, shape, kind, order == "F", raw))
    return StandIn("numpy.ndarray") if made is None else made


def _scalar(kind: Any, raw: Any = b"", *_: Any) -> Any:
    made = _array((1, (), kind, False, raw))
    return StandIn("numpy.generic") if made is None else made.item()


def _tensor_of_array(data: Any, *_: Any) -> Any:
    return torch.from_numpy(data) if isinstance(data, np.ndarray) else UnreadTensor("a tensor without values")


def _mapping(*arguments: Any) -> dict[Any, Any]:
    """OrderedDict, Counter, defaultdict: what they hold; a default is never made."""
    made: dict[Any, Any] = {}
    for argument in arguments:
        if isinstance(argument, dict):
            made.update(argument)
        elif isinstance(argument, list):
            for pair in argument:
                _put(made, list(pair) if isinstance(pair, (list, tuple)) and len(pair) == 2 else [None])
    return made


def _encoded(text: Any = "", encoding: Any = "latin1", *_: Any) -> Any:
    known = isinstance(text, str) and encoding in ("latin1", "latin-1", "ascii", "utf-8", "utf8")
    return text.encode(encoding) if known else _NOTHING


def _bytes(*arguments: Any) -> Any:
    if not arguments:
        return b""
    return bytes(arguments[0]) if isinstance(arguments[0], (bytes, bytearray)) else _encoded(*arguments)


def _path(*parts: Any) -> Any:
    return "/".join(parts) if all(isinstance(part, str) for part in parts) else _NOTHING


def _array_type(text: Any = "", *_: Any) -> Any:
    return _ArrayType(text) if isinstance(text, str) else _ArrayType()


def _object(kind: Any = "", *_: Any) -> StandIn:
    return StandIn(str(kind))


_CALLS: Mapping[str, Callable[..., Any]] = {
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
