"""Pickles read as data: an interpreter of the opcodes that calls nothing the file names.

``pickle`` imports what a file names and calls it. Here a name stays a name (:class:`Global`). A short table of constructors
builds tensors, arrays and containers from checked arguments; every other call, attribute or state becomes a :class:`StandIn`,
which remembers what it represents and does nothing. Names that only run code refuse the file at once.

Opcodes: CPython's ``pickletools``; the tensor calls: ``torch/_utils.py``; arrays: numpy's ``array_reduce``.
"""

from __future__ import annotations

import pickletools
import re
import warnings
from collections.abc import Callable
from itertools import islice
from typing import IO, Any

from deeplab_core.errors import UnsafeCheckpoint, message
from deeplab_core.weights.pickled_values import (
    CONSTRUCTORS,
    NOTHING,
    ArrayType,
    DamagedPickle,
    Global,
    StandIn,
    Storage,
    UnreadTensor,
    array_of_state,
    put_entries,
)

#: Operations after which a pickle is given up: a checkpoint of the largest network with its optimiser needs about 200,000.
MOST_OPERATIONS = 4_000_000
#: Bytes, entries and characters that calls may copy in all: a pickle can hand one large mapping to a million calls.
MOST_COPIED = 4 << 30
#: What copying an entry of a mapping or a list costs, in copied bytes.
_ENTRY = 1024


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
        warnings.simplefilter("ignore")  # what Python thinks of the escapes in a foreign text is of no use here
        return _Machine(stream, storage).run()


class _Machine:
    """The stack machine of the pickle format; see ``pickletools`` for each opcode."""

    def __init__(self, stream: IO[bytes], storage: Callable[[tuple[Any, ...]], Storage] | None) -> None:
        self._stream, self._storage = stream, storage
        self._stack: list[Any] = []
        self._marks: list[list[Any]] = []
        self._memo: dict[int, Any] = {}
        self._copied = 0

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

    def _do_mark(self, _: object) -> None:
        self._marks.append(self._stack)
        self._stack = []

    def _do_pop(self, _: object) -> None:
        if self._stack:
            self._stack.pop()
        else:
            self._pop_mark()

    def _do_pop_mark(self, _: object) -> None:
        self._pop_mark()

    def _do_dup(self, _: object) -> None:
        self._stack.append(self._stack[-1])

    def _do_proto(self, version: int) -> None:
        if not 0 <= version <= 5:
            raise DamagedPickle(f"it is of protocol {version}")

    def _do_frame(self, _: object) -> None:
        """A hint about lengths; nothing depends on it."""

    def _do_put(self, place: int) -> None:
        self._memo[place] = self._stack[-1]

    _do_binput = _do_long_binput = _do_put

    def _do_memoize(self, _: object) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def _do_get(self, place: int) -> None:
        self._stack.append(self._memo[place])

    _do_binget = _do_long_binget = _do_get

    # -- constants and containers ----------------------------------------------------------------------------------------

    def _do_none(self, _: object) -> None:
        self._stack.append(None)

    def _do_newtrue(self, _: object) -> None:
        self._stack.append(True)

    def _do_newfalse(self, _: object) -> None:
        self._stack.append(False)

    def _do_empty_list(self, _: object) -> None:
        self._stack.append([])

    def _do_empty_dict(self, _: object) -> None:
        self._stack.append({})

    def _do_empty_set(self, _: object) -> None:
        self._stack.append(StandIn("builtins.set"))

    def _do_empty_tuple(self, _: object) -> None:
        self._stack.append(())

    def _do_list(self, _: object) -> None:
        items = self._pop_mark()
        self._stack.append(items)

    def _do_tuple(self, _: object) -> None:
        items = self._pop_mark()
        self._stack.append(tuple(items))

    def _do_frozenset(self, _: object) -> None:
        items = self._pop_mark()
        self._stack.append(StandIn("builtins.frozenset", items))

    def _do_tuple1(self, _: object) -> None:
        self._stack[-1:] = [(self._stack[-1],)]

    def _do_tuple2(self, _: object) -> None:
        self._stack[-2:] = [(self._stack[-2], self._stack[-1])]

    def _do_tuple3(self, _: object) -> None:
        self._stack[-3:] = [(self._stack[-3], self._stack[-2], self._stack[-1])]

    def _do_dict(self, _: object) -> None:
        items = self._pop_mark()
        made: dict[Any, Any] = {}
        put_entries(made, items)
        self._stack.append(made)

    def _do_append(self, _: object) -> None:
        item = self._stack.pop()
        self._extend([item])

    def _do_appends(self, _: object) -> None:
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
            raise DamagedPickle("it appends to what is not a list")

    def _do_setitem(self, _: object) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        put_entries(self._stack[-1], [key, value])

    def _do_setitems(self, _: object) -> None:
        items = self._pop_mark()
        put_entries(self._stack[-1], items)

    # -- names and calls -------------------------------------------------------------------------------------------------

    def _do_global(self, pair: str) -> None:
        module, _, name = pair.partition(" ")
        self._stack.append(_named(module, name))

    def _do_stack_global(self, _: object) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise DamagedPickle("a name is not text")
        self._stack.append(_named(module, name))

    def _do_reduce(self, _: object) -> None:
        arguments, function = self._stack.pop(), self._stack.pop()
        self._stack.append(self._call(function, arguments))

    _do_newobj = _do_reduce

    def _do_newobj_ex(self, _: object) -> None:
        keywords, arguments, function = self._stack.pop(), self._stack.pop(), self._stack.pop()
        made = self._call(function, arguments)
        if isinstance(made, StandIn) and isinstance(keywords, dict):
            made.state.update(keywords)
        self._stack.append(made)

    def _do_obj(self, _: object) -> None:
        function, *arguments = self._pop_mark()
        self._stack.append(self._call(function, tuple(arguments)))

    def _do_inst(self, pair: str) -> None:
        module, _, name = pair.partition(" ")
        arguments = tuple(self._pop_mark())
        self._stack.append(self._call(_named(module, name), arguments))

    def _do_build(self, _: object) -> None:
        state = self._stack.pop()
        target = self._stack[-1]
        if isinstance(target, StandIn):
            parts = state if isinstance(state, tuple) and target.of != "numpy.ndarray" else (state,)
            for part in parts:
                if isinstance(part, dict):
                    target.state.update(part)
            if target.of == "numpy.ndarray" and isinstance(state, tuple):
                made = array_of_state(state)
                if made is not None:
                    self._replace_last(target, made)
        elif isinstance(target, ArrayType) and isinstance(state, tuple) and len(state) > 1 and state[1] in ("<", ">", "|", "="):
            target.order = state[1]

    def _replace_last(self, old: object, new: object) -> None:
        """An array is in the memo too, where it was put before its state came."""
        self._stack[-1] = new
        for place in islice(reversed(self._memo), 64):  # put there before its state, which takes a few entries itself
            if self._memo[place] is old:
                self._memo[place] = new
                return

    def _do_binpersid(self, _: object) -> None:
        saved = self._stack.pop()
        if self._storage is None or not isinstance(saved, tuple) or not saved or saved[0] not in ("storage", b"storage"):
            self._stack.append(StandIn("an object kept elsewhere"))
        else:
            self._stack.append(self._storage(saved))

    def _do_persid(self, _: object) -> None:
        self._stack.append(StandIn("an object kept elsewhere"))

    def _do_ext1(self, number: int) -> None:
        self._stack.append(Global("copyreg", f"extension {number}"))

    _do_ext2 = _do_ext4 = _do_ext1

    def _call(self, function: object, arguments: object) -> Any:
        if not isinstance(arguments, tuple):
            raise DamagedPickle("a call has no tuple of arguments")
        self._copied += sum(_cost(argument) for argument in arguments)
        if self._copied > MOST_COPIED:
            raise DamagedPickle("its calls copy more than a checkpoint holds")
        if not isinstance(function, Global):
            return StandIn(f"what {type(function).__name__} gives", arguments)
        name = str(function)
        if name in ("torch._tensor._rebuild_from_type_v2", "torch._tensor._rebuild_from_type") and len(arguments) > 2:
            inner, kind = self._call(arguments[0], arguments[2]), str(arguments[1])
            plain = kind in ("torch.Tensor", "torch.nn.parameter.Parameter", "torch.nn.parameter.Buffer")
            return inner if plain else UnreadTensor(f"a tensor of the class {kind}", foreign=True)
        build = CONSTRUCTORS.get(name)
        made = NOTHING if build is None else build(*arguments)
        return StandIn(name, arguments) if made is NOTHING else made


#: Opcodes with the object as argument.
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
            message("the file asks to run code; it was not opened"),
            why=message("it names {name}", name=f"{module}.{name}"[:190]),
            remedy=message("If you trust its authors, open it in their program and save only model.state_dict()"),
        )
    return Global(module, name)


def _cost(argument: object) -> int:
    """What copying an argument costs, in bytes."""
    if isinstance(argument, (dict, list, tuple)):
        return len(argument) * _ENTRY
    return len(argument) if isinstance(argument, (str, bytes, bytearray)) else 0
