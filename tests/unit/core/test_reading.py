"""Whatever a text file holds, its reader answers or raises a named error, soon."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deeplab_core.errors import AtrousError, CatalogError, DataFileError
from deeplab_core.geometry import Box
from deeplab_core.reading import (
    MAX_DEPTH,
    convert,
    decode_text,
    expecting,
    parse_json,
    parse_toml,
    parse_yaml,
    read_bytes,
    read_json,
    read_text,
    read_toml,
    read_yaml,
    shorten,
    whole,
)

PARSERS = {"json": parse_json, "yaml": parse_yaml, "toml": parse_toml}
READERS = {"json": read_json, "yaml": read_yaml, "toml": read_toml}
LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join(['*' + chr(ord(name) - 1)] * 9)}]\n" for name in "bcdefghij"
)
MERGED = "a: &a {x: 1}\n" + "".join(
    f"{name}: &{name}\n  <<: [{','.join(['*' + chr(ord(name) - 1)] * 9)}]\n" for name in "bcdefghij"
)

BAD = {
    "nested lists": ("json", "[" * 5000 + "]" * 5000, "nested"),
    "nested tables": ("json", '{"a":' * 400 + "1" + "}" * 400, "nested"),
    "open lists": ("json", "[" * 100_000, "nested"),
    "nested YAML": ("yaml", "[" * 3000 + "]" * 3000, "nested"),
    "open YAML": ("yaml", "{" * 3000, "nested"),
    "indented YAML": ("yaml", "".join(" " * depth + "a:\n" for depth in range(200)), "nested"),
    "nested TOML": ("toml", "a = " + "[" * 3000 + "]" * 3000, "nested"),
    "digits in JSON": ("json", '{"id":\n' + "9" * 6000 + "}", "Line 2: a number of 6,000 digits"),
    "digits in YAML": ("yaml", "id: 1\nno: " + "9" * 6000, "Line 2"),
    "digits in TOML": ("toml", "id = " + "9" * 6000, "digits"),
    "a day that is none": ("yaml", "made: 2024-13-45", "Line 1, column 7"),
    "an hour that is none": ("yaml", "made: 2024-01-01 25:61:00", "Line 1"),
    "a thousand millions": ("yaml", LAUGHS, "aliases"),
    "merged a thousand million times": ("yaml", MERGED, "aliases"),
    "a list in itself": ("yaml", "&a [*a]", "alias"),
    "a tag": ("yaml", "!!python/object/apply:os.system ['true']", "Line 1"),
    "a list as key": ("yaml", "? [1]\n: 2", "unhashable"),
    "two documents": ("yaml", "a: 1\n---\nb: 2", "Line 2"),
    "more values than any settings": ("yaml", "[" + "1," * 1_200 + "]", "more than 1,000 values"),
    "keys of one hash": ("yaml", "".join(f"{(2**61 - 1) * number}: 1\n" for number in range(1, 9)), "a number of 19 characters"),
    "base sixty": ("yaml", "a: " + "1:" * 3000 + "1", "a number of 6,001 characters"),
    "a long key": ("toml", "b = 1\n" + "a." * 30_000 + "b = 1", "Line 2: a key is nested deeper"),
    "a long table": ("toml", "[" + "a . " * 30_000 + "b]", "Line 1: a key is nested deeper"),
    "a long quoted key": ("toml", "''.\"\"." * 30_000 + "b = 1", "Line 1: a key is nested deeper"),
    "a control character": ("yaml", "a: \x07", "special characters"),
    "nothing": ("json", "", "Line 1, column 1"),
    "a comma": ("json", '{"a": 1,\n}', "Line 2, column 1"),
    "a tab": ("yaml", "a:\n\t- b", "Line 2"),
    "twice": ("toml", "a = 1\na = 2", "overwrite"),
    "no value": ("toml", "a = 1\nb =", "Invalid value"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_text_is_named_with_file_and_place(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    form, text, said = BAD[name]
    if "1,000 values" in said:
        monkeypatch.setattr("deeplab_core.reading._MOST_YAML_VALUES", 1_000)  # the real bound takes half a minute to reach
    path = tmp_path / f"classes.{form}"
    path.write_text(text, encoding="utf-8", newline="\n")
    with pytest.raises(CatalogError) as caught:
        READERS[form](path, what="the class list", error=CatalogError)
    assert caught.value.path == path
    assert said in caught.value.why
    assert len(str(caught.value)) < 600 + len(str(path))
    with pytest.raises(DataFileError):
        PARSERS[form](text)


@pytest.mark.parametrize(
    ("form", "text", "value"),
    [
        ("json", '{"a": [1, 2.5, null, true, "\u00e9"]}', {"a": [1, 2.5, None, True, "\u00e9"]}),
        ("yaml", "a: &x [1, 2]\nb: *x\n", {"a": [1, 2], "b": [1, 2]}),
        ("yaml", "base: &b {x: 1}\nown:\n  <<: *b\n  y: 2\n", {"base": {"x": 1}, "own": {"x": 1, "y": 2}}),
        ("yaml", "", None),
        ("yaml", "123456: 1\n0x1f: 2\n1.5: 3\n", {123456: 1, 31: 2, 1.5: 3}),
        ("toml", "[a]\nb = 1\n", {"a": {"b": 1}}),
        ("toml", "a.'b'.c = '" + "w." * 20 + "'\n# " + "-" * 90, {"a": {"b": {"c": "w." * 20}}}),
        ("json", "[" * MAX_DEPTH + "]" * MAX_DEPTH, None),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_good_text_is_read_in_every_unicode_form(tmp_path: Path, form: str, text: str, value: Any, encoding: str) -> None:
    path = tmp_path / "a"
    path.write_bytes(text.replace("\n", "\r\n").encode(encoding))
    found = READERS[form](path)
    if value is not None:
        assert found == value


@pytest.mark.parametrize("form", PARSERS)
def test_files_are_bounded_in_size(tmp_path: Path, form: str) -> None:
    path = tmp_path / "a"
    path.write_bytes(b" " * 1000)
    with pytest.raises(DataFileError, match="too large") as caught:
        READERS[form](path, limit=999)
    assert "1,000 bytes" in caught.value.why
    with path.open("wb") as stream:
        stream.truncate(1 << 40)
    with pytest.raises(DataFileError, match="too large"):
        READERS[form](path)
    with pytest.raises(DataFileError, match="too large"):
        PARSERS[form]("x" * 1000, limit=999)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="POSIX pipes")
@pytest.mark.parametrize("form", PARSERS)
def test_what_is_no_file_is_named(tmp_path: Path, form: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for name, said in (("pipe", "pipe"), ("zero", "device"), ("loop", ""), ("none", ""), ("", "folder"), ("a\0b", "")):
        with pytest.raises(DataFileError) as caught:
            READERS[form](tmp_path / name)
        assert said in caught.value.why
        assert caught.value.remedy


@pytest.mark.parametrize("data", [b"\xff", b"a\xe9", b"\xff\xfe\x00", b"\xc0\x80"])
def test_bytes_that_are_no_text_are_named(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a").write_bytes(data)
    with pytest.raises(DataFileError, match="UTF-8"):
        read_text(tmp_path / "a")
    with pytest.raises(DataFileError):
        decode_text(data)
    assert read_bytes(tmp_path / "a", limit=10) == data


@pytest.mark.parametrize(
    "problem",
    [ValueError("x"), TypeError("x"), KeyError("x"), IndexError("x"), AttributeError("x"), OverflowError("x"), RecursionError()],
)
def test_values_of_the_wrong_form_are_named(tmp_path: Path, problem: Exception) -> None:
    with (
        pytest.raises(CatalogError, match="not a class list") as caught,
        expecting("not a class list", path=tmp_path, error=CatalogError),
    ):
        raise problem
    assert caught.value.path == tmp_path
    assert caught.value.why


@pytest.mark.parametrize(
    ("read", "value", "says"),
    [
        (lambda value: value.get("a"), [1], "It has a list where named values belong"),
        (lambda value: value["a"], [1], "It has a list where named values belong"),
        (lambda value: value["a"], "text", "It has a text where named values belong"),
        (lambda value: value["a"], 1, "It has a number where a list or named values belong"),
        (list, None, "It has null where a list or named values belong"),
        (math.isfinite, [1], "It has a list where a number belongs"),
        (float, {}, "It has named values where a number belongs"),
        (int, [], "It has a list where a number belongs"),
        (lambda value: {value: 1}, [], "It has a list where a name belongs"),
    ],
)
def test_values_of_another_type_are_described_without_python(read: Callable[[Any], object], value: object, says: str) -> None:
    with pytest.raises(DataFileError) as caught, expecting("not a record"):
        read(value)
    assert caught.value.why == says


def test_named_errors_go_through_and_get_the_path(tmp_path: Path) -> None:
    with pytest.raises(AtrousError, match="inner") as caught, expecting("outer", path=tmp_path):
        raise CatalogError("inner")
    assert caught.value.path == tmp_path
    with pytest.raises(KeyboardInterrupt), expecting("outer"):
        raise KeyboardInterrupt


def test_quotes_are_short_whatever_they_quote() -> None:
    laughs: Any = ["x"] * 9
    for _ in range(30):
        laughs = [laughs] * 9
    loop: Any = []
    loop.append(loop)
    for value in (laughs, loop, "x" * 10**6, 10**9999, {"a": laughs}, float("nan"), b"x" * 10**6):
        assert len(shorten(value)) <= 80
    assert shorten("chair") == "'chair'"
    assert shorten({"id": 3}) == "{'id': 3}"


@pytest.mark.parametrize(
    "value", [math.inf, -math.inf, math.nan, True, None, "3", [], 2.5, 10**5000, -1, 256], ids=lambda value: type(value).__name__
)
def test_what_is_no_whole_number_is_named(value: Any) -> None:
    with pytest.raises(ValueError, match=r"whole number|outside"):
        whole(value, least=0, most=255)


def test_whole_numbers_are_taken() -> None:
    assert [whole(value) for value in (3, 3.0, -7, 0)] == [3, 3, -7, 0]
    assert isinstance(whole(3.0), int)


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a record."""

    box: Box
    share: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """A record as JSON keeps it."""

    name: str
    parts: tuple[Part, ...] = ()
    side: Literal["left", "right"] | None = None


def test_json_values_become_records() -> None:
    values = {"name": "a", "parts": [{"box": [1, 2, 3, 4], "share": 1}], "side": "left", "newer": 7}
    found = convert(values, Whole)
    assert found == Whole(name="a", parts=(Part(Box(1, 2, 3, 4), 1.0),), side="left")
    assert type(found.parts[0].share) is float
    with pytest.raises(ValueError, match="unknown key, 'newer'"):
        convert(values, Whole, closed=True)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"name": 3}, "name"),
        ({"parts": [{"box": [1, 2, 3]}]}, "parts"),
        ({"parts": [{"box": [1, 2, 3, True]}]}, "box"),
        ({"parts": [{"box": [1, 2, 3, 4.5]}]}, "box"),
        ({"side": "up"}, "up"),
    ],
)
def test_a_value_of_another_type_is_named_with_its_place(change: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        convert({"name": "a", **change}, Whole)
    with pytest.raises(ValueError, match="name"):
        convert({}, Whole)


plain = st.none() | st.booleans() | st.floats() | st.integers() | st.text()


@given(st.recursive(plain, lambda parts: st.lists(parts) | st.dictionaries(st.text(), parts)))
def test_whatever_json_holds_is_a_record_or_a_named_error(values: object) -> None:
    with pytest.raises(DataFileError, match="no such record"), expecting("no such record"):
        convert(values, Whole)
