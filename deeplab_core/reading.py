"""Reading JSON, YAML and TOML: bounded in size and depth, and every failure named with the file and the place.

Whatever a file holds, its reader raises an :class:`AtrousError` of the kind that the caller names, never anything else, and never
takes longer than the size limit allows. What a file must hold is checked under :func:`expecting`.
"""

from __future__ import annotations

import json
import math
import os
import re
import reprlib
import stat
import tomllib
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from deeplab_core.errors import AtrousError, DataFileError

Record = TypeVar("Record")

#: Largest file of data that is read, bytes, unless the caller says otherwise.
MAX_BYTES = 4 << 20
#: Deepest nesting of lists and tables.
MAX_DEPTH = 64
#: Most values of a YAML file, those counted again that an alias repeats. Its parser takes 20 microseconds for each.
_MOST_YAML_VALUES = 100_000
#: Longest number of a YAML file, characters; of a key: beyond it, keys of one hash for all are easily made.
_LONGEST_NUMBER, _LONGEST_KEY = 4300, 15

#: What Python raises for values of the wrong form.
VALUE_ERRORS: tuple[type[Exception], ...] = (
    ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError, MemoryError, AssertionError,
)  # fmt: skip

_CORRECT = "Correct the file, or write it again"


def read_bytes(path: str | Path, *, limit: int, what: str = "the file", error: type[AtrousError] = DataFileError) -> bytes:
    """The content of an ordinary file of at most ``limit`` bytes. Pipes and devices are refused without waiting for them.

    Args:
        limit: bytes.
        what: what the file is, for the message: "the class list".
        error: kind of the errors.

    Raises:
        AtrousError: of kind ``error``; the file is missing, no ordinary file, too large, or may not be read.
    """
    path = Path(path)
    try:
        # Looked at before it is opened: opening a pipe would wait for its writer, and opening a device may start it.
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            kind = "a folder" if stat.S_ISDIR(status.st_mode) else "a pipe or device"
            raise error(f"{what} cannot be read", why=f"This is {kind}, not a file", remedy="Choose a file", path=path)
        if status.st_size > limit:
            raise _too_large(status.st_size, limit, what, path, error)
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(descriptor, "rb") as stream:
            # Python allocates what it is asked for: a small file under a large limit would take the limit's memory.
            data = stream.read(min(limit, status.st_size) + 1)
            if len(data) > status.st_size:  # it has grown since
                data += stream.read(limit + 1 - len(data))
    except FileNotFoundError as problem:
        raise error(f"{what} does not exist", remedy="Check the path", path=path) from problem
    except (OSError, ValueError) as problem:
        raise _unread(problem, what, path, error) from problem
    if len(data) > limit:
        raise _too_large(len(data), limit, what, path, error)
    return data


def read_text(
    path: str | Path, *, limit: int = MAX_BYTES, what: str = "the file", error: type[AtrousError] = DataFileError
) -> str:
    """The text of a file: UTF-8 with or without a byte order mark, UTF-16 with one. Raises as :func:`read_bytes`."""
    return decode_text(read_bytes(path, limit=limit, what=what, error=error), path=path, what=what, error=error)


def decode_text(
    data: bytes,
    *,
    path: str | Path | None = None,
    what: str = "the file",
    error: type[AtrousError] = DataFileError,
    foreign: bool = False,
) -> str:
    """As :func:`read_text`, for content that is in memory already.

    Args:
        data: the content.
        path: what errors name.
        what: what the file is, for the message.
        error: kind of the errors.
        foreign: keep bytes that are not UTF-8, as Python keeps those of file names.
    """
    encoding = "utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    try:
        return data.decode(encoding, "surrogateescape" if foreign and encoding == "utf-8-sig" else "strict")
    except UnicodeError as problem:
        why = f"Byte {getattr(problem, 'start', 0) + 1} is not UTF-8"
        raise error(f"{what} cannot be read", why=why, remedy="Save it as UTF-8 text", path=path) from problem


def read_json(
    path: str | Path,
    *,
    limit: int = MAX_BYTES,
    what: str = "the file",
    remedy: str = _CORRECT,
    error: type[AtrousError] = DataFileError,
) -> Any:
    """Plain values of a JSON file: dict, list, str, int, float, bool, None.

    Args:
        limit: bytes.
        what: what the file is, for the message: "the class list".
        remedy: what the user can do with a file that is none.
        error: kind of the errors.

    Raises:
        AtrousError: of kind ``error``; see :func:`read_bytes`, or it is not JSON, names line and column.
    """
    data = read_bytes(path, limit=limit, what=what, error=error)
    return parse_json(data, path=path, limit=limit, what=what, remedy=remedy, error=error)


def parse_json(
    data: str | bytes,
    *,
    path: str | Path | None = None,
    limit: int = MAX_BYTES,
    what: str = "the text",
    remedy: str = _CORRECT,
    error: type[AtrousError] = DataFileError,
) -> Any:
    """As :func:`read_json`, for content that is in memory already; ``path`` is what errors name."""
    return _parse(json.loads, "JSON", data, path, limit, what, remedy, error)


def read_yaml(
    path: str | Path,
    *,
    limit: int = MAX_BYTES,
    what: str = "the file",
    remedy: str = _CORRECT,
    error: type[AtrousError] = DataFileError,
) -> Any:
    """As :func:`read_json`, for YAML without tags; at most 100,000 values, those counted again that an alias repeats."""
    data = read_bytes(path, limit=limit, what=what, error=error)
    return parse_yaml(data, path=path, limit=limit, what=what, remedy=remedy, error=error)


def parse_yaml(
    data: str | bytes,
    *,
    path: str | Path | None = None,
    limit: int = MAX_BYTES,
    what: str = "the text",
    remedy: str = _CORRECT,
    error: type[AtrousError] = DataFileError,
) -> Any:
    """As :func:`read_yaml`, for content that is in memory already; ``path`` is what errors name."""
    return _parse(_load_yaml, "YAML", data, path, limit, what, remedy, error)


def read_toml(
    path: str | Path,
    *,
    limit: int = MAX_BYTES,
    what: str = "the file",
    remedy: str = _CORRECT,
    error: type[AtrousError] = DataFileError,
    foreign: bool = False,
) -> dict[str, Any]:
    """As :func:`read_json`, for TOML; ``foreign`` as in :func:`decode_text`."""
    data = read_bytes(path, limit=limit, what=what, error=error)
    text = decode_text(data, path=path, what=what, error=error, foreign=foreign)
    return parse_toml(text, path=path, limit=limit, what=what, remedy=remedy, error=error)


def parse_toml(
    data: str | bytes,
    *,
    path: str | Path | None = None,
    limit: int = MAX_BYTES,
    what: str = "the text",
    remedy: str = _CORRECT,
    error: type[AtrousError] = DataFileError,
) -> dict[str, Any]:
    """As :func:`read_toml`, for content that is in memory already; ``path`` is what errors name."""
    table: dict[str, Any] = _parse(_load_toml, "TOML", data, path, limit, what, remedy, error)
    return table


@contextmanager
def expecting(
    what: str,
    *,
    path: str | Path | None = None,
    remedy: str = _CORRECT,
    error: type[AtrousError] = DataFileError,
) -> Iterator[None]:
    """Turn whatever values of the wrong form raise into an error that names the file.

    ``with expecting("not a model card", path=path): return ModelCard.from_dict(values)``. An AtrousError raised inside goes
    through; it gets the path if it has none.

    Raises:
        AtrousError: of kind ``error``.
    """
    try:
        yield
    except AtrousError as problem:
        if problem.path is None and path is not None:
            problem.path = Path(path)
        raise
    except VALUE_ERRORS as problem:
        raise error(what, why=reason(problem), remedy=remedy, path=path) from problem


def convert(values: object, kind: type[Record], *, closed: bool = False) -> Record:
    """JSON values as a dataclass or named tuple, with the types of its fields checked: lists become tuples, whole numbers floats.

    Args:
        values: as ``json.loads`` or ``dataclasses.asdict`` returns them.
        kind: of the record.
        closed: refuse keys that the record does not have; they are ignored otherwise.

    Raises:
        ValueError: a value is missing or has another type; with its place.
    """
    import msgspec  # some ms that a start does not wait for

    if closed and is_dataclass(kind) and isinstance(values, dict):
        unknown = sorted(map(str, values.keys() - {item.name for item in fields(kind)}))
        if unknown:
            raise ValueError(f"It has an unknown key, {shorten(unknown[0])}")
    try:
        return msgspec.convert(values, kind)
    except msgspec.ValidationError as problem:
        raise ValueError(str(problem)) from None


def reason(problem: BaseException) -> str:
    """An exception as a clause for the user, short whatever it quotes."""
    if isinstance(problem, KeyError):
        return f"It has no {shorten(problem.args[0]) if problem.args else 'such entry'}"
    if isinstance(problem, RecursionError):
        return "It is nested too deeply"
    if isinstance(problem, MemoryError):
        return "It is too large"
    text = " ".join(str(problem).split())
    if isinstance(problem, (TypeError, AttributeError)):
        text = _of_types(text)
    if isinstance(problem, ValueError) and "integer string conversion" in text:
        return "It holds a number of thousands of digits"
    return _cut(text, 300) or type(problem).__name__


#: What Python says where a value of a file has another type than its reader expects, and what belongs there.
_TYPES = {
    r"'(\w+)' object has no attribute '(?:get|items|keys|values)'": "named values belong",
    r"(list|tuple|string) ind(?:ex|ic)\w* must be integers.*": "named values belong",
    r"'(\w+)' object is not (?:subscriptable|iterable|a mapping)": "a list or named values belong",
    r"(?:must be real number, not |.*argument must be a .*, not ')(\w+)'?": "a number belongs",
    r"unhashable type: '(\w+)'": "a name belongs",
}
_TYPE_NAMES = {
    "NoneType": "null", "bool": "true or false", "int": "a number", "float": "a number", "str": "a text", "string": "a text",
    "list": "a list", "tuple": "a list", "dict": "named values",
}  # fmt: skip


def _of_types(text: str) -> str:
    matches = ((re.fullmatch(pattern, text), belongs) for pattern, belongs in _TYPES.items())
    said = (f"It has {_TYPE_NAMES[match[1]]} where {belongs}" for match, belongs in matches if match and match[1] in _TYPE_NAMES)
    return next(said, text)


def json_text(data: object, **options: Any) -> str:
    """JSON as text that every encoding can hold: a file name that is not UTF-8 is escaped, and reads back as it was."""
    text = json.dumps(data, ensure_ascii=False, **options)
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(data, ensure_ascii=True, **options)
    return text


def shorten(value: object, length: int = 80) -> str:
    """``repr`` for messages: at most ``length`` characters, and bounded work for values that repeat or contain themselves."""
    return _cut(_SHORT.repr(value), length)


def whole(value: object, *, least: int | None = None, most: int | None = None) -> int:
    """A whole number out of a file: an int, or a float without a fraction.

    Raises:
        ValueError: anything else (true, text, NaN, Infinity), or outside ``least``..``most``.
    """
    if isinstance(value, float) and math.isfinite(value) and value == int(value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{shorten(value)} is not a whole number")
    if (least is not None and value < least) or (most is not None and value > most):
        raise ValueError(f"{shorten(value)} is outside {least if least is not None else ''}..{most if most is not None else ''}")
    return value


class _Short(reprlib.Repr):
    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxdict, self.maxlist, self.maxstring, self.maxother = 3, 4, 6, 70, 60

    def repr_int(self, x: int, level: int) -> str:  # noqa: ARG002 -- str() of a huge int raises
        return repr(x) if x.bit_length() < 256 else f"a whole number of {x.bit_length()} bits"


_SHORT = _Short()


def unpack(packed: bytes, most: int) -> bytes:
    """Inverse of :func:`zlib.compress` for data of at most ``most`` bytes, whatever the packed bytes claim.

    Raises:
        ValueError: it is damaged, ends early, or holds more.
    """
    engine = zlib.decompressobj()
    try:
        raw = engine.decompress(packed, most + 1)
    except zlib.error as error:
        raise ValueError(str(error)) from error
    if len(raw) > most:
        raise ValueError(f"it unpacks to more than {most} bytes")
    if not engine.eof:
        raise ValueError("it ends early")
    return raw


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 3] + "..."


def _parse(
    parse: Callable[[str], Any],
    form: str,
    data: str | bytes,
    path: str | Path | None,
    limit: int,
    what: str,
    remedy: str,
    error: type[AtrousError],
) -> Any:
    if len(data) > limit:
        raise _too_large(len(data), limit, what, path, error)
    text = data.removeprefix("\ufeff") if isinstance(data, str) else decode_text(data, path=path, what=what, error=error)
    try:
        values = parse(text)
        _check_depth(values)
    except Exception as problem:
        if isinstance(problem, AtrousError):
            raise
        raise error(f"{what} is not valid {form}", why=_place(problem, text), remedy=remedy, path=path) from problem
    return values


def _check_depth(values: Any) -> None:
    """Raise ValueError for values nested deeper than :data:`MAX_DEPTH`, or containing themselves. Visits every container once."""
    seen: set[int] = set()
    level = [values]
    for _ in range(MAX_DEPTH + 1):
        below = []
        for value in level:
            parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
            for part in parts:
                if isinstance(part, dict | list) and id(part) not in seen:
                    seen.add(id(part))
                    below.append(part)
        if not below:
            return
        level = below
    raise ValueError(f"It is nested deeper than {MAX_DEPTH} levels")


_TOML_PLACE = re.compile(r" \(at (.*)\)$")


def _place(problem: Exception, text: str) -> str:
    """Where and why a text cannot be read."""
    if isinstance(problem, json.JSONDecodeError):
        return f"Line {problem.lineno}, column {problem.colno}: {problem.msg}"
    mark = getattr(problem, "problem_mark", None)
    if mark is not None:
        return f"Line {mark.line + 1}, column {mark.column + 1}: {_cut(str(getattr(problem, 'problem', None) or problem), 200)}"
    if isinstance(problem, tomllib.TOMLDecodeError):
        text = str(problem)
        found = _TOML_PLACE.search(text)
        return text if found is None else f"{found[1][0].upper()}{found[1][1:]}: {text[: found.start()]}"
    digits = re.search(r"\d{4300,}", text) if isinstance(problem, ValueError) else None
    if digits is not None:
        return f"Line {text.count(chr(10), 0, digits.start()) + 1}: a number of {len(digits[0]):,} digits"
    return reason(problem)


_TOML_PART = r"""(?:[\w-]++|'[^'\n]*+'|"[^"\n]*+")"""
#: A key of more parts than values may be nested: the library's work on one grows with the square of its length.
_LONG_TOML_KEY = re.compile(rf"""(?<![\w.'"-]){_TOML_PART}(?:[ \t]*+\.[ \t]*+{_TOML_PART}){{{MAX_DEPTH},}}""")


def _load_toml(text: str) -> dict[str, Any]:
    long = _LONG_TOML_KEY.search(text)
    if long is not None:
        raise ValueError(f"Line {text.count(chr(10), 0, long.start()) + 1}: a key is nested deeper than {MAX_DEPTH} levels")
    return tomllib.loads(text)


def _load_yaml(text: str) -> Any:
    loader = _yaml_loader()(text)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


@cache
def _yaml_loader() -> Any:
    import yaml

    def check_number(node: Any, most: int) -> None:
        if node.tag in ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float") and len(node.value) > most:
            raise yaml.composer.ComposerError(None, None, f"a number of {len(node.value):,} characters", node.start_mark)

    class Loader(yaml.SafeLoader):
        """Counts what aliases repeat, and bounds the nesting, before anything is built."""

        def __init__(self, stream: str) -> None:
            super().__init__(stream)
            self._weights: dict[int, int] = {}
            self._open: list[int] = []
            self._count = 0

        def compose_node(self, parent: Any, index: Any) -> Any:
            alias = self.check_event(yaml.AliasEvent)
            event = self.peek_event()  # type: ignore[no-untyped-call]
            if len(self._open) > MAX_DEPTH:
                raise yaml.composer.ComposerError(None, None, f"nested deeper than {MAX_DEPTH} levels", event.start_mark)
            self._open.append(1)
            node = super().compose_node(parent, index)
            weight = self._open.pop()
            if alias:
                if id(node) not in self._weights:
                    raise yaml.composer.ComposerError(None, None, "an alias within what it stands for", event.start_mark)
                weight = self._weights[id(node)]
            else:
                self._weights[id(node)] = weight
            if self._open:
                self._open[-1] += weight
            self._count += 1
            if max(weight, self._count) > _MOST_YAML_VALUES:
                many = f"more than {_MOST_YAML_VALUES:,} values, those of aliases counted again"
                raise yaml.composer.ComposerError(None, None, many, event.start_mark)
            if isinstance(node, yaml.MappingNode) and not alias:
                for key, _ in node.value:
                    check_number(key, _LONGEST_KEY)
            check_number(node, _LONGEST_NUMBER)
            return node

        def construct_object(self, node: Any, deep: bool = False) -> Any:
            try:
                return super().construct_object(node, deep=deep)
            except (ValueError, OverflowError) as problem:
                raise yaml.constructor.ConstructorError(None, None, reason(problem), node.start_mark) from problem

    return Loader


def _unread(problem: Exception, what: str, path: Path, error: type[AtrousError]) -> AtrousError:
    why = getattr(problem, "strerror", None) or reason(problem)
    return error(f"{what} cannot be read", why=why, remedy="Check the path and the rights", path=path)


def _too_large(size: int, limit: int, what: str, path: str | Path | None, error: type[AtrousError]) -> AtrousError:
    return error(
        f"{what} is too large to be read",
        why=f"It has {size:,} bytes; at most {limit:,} are read",
        remedy="Choose the right file",
        path=path,
    )
