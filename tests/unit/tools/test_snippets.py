"""Code in the documentation: command lines name commands and options that exist, Python blocks import what is there."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import click
import pytest

from app.cli import main

ROOT = Path(__file__).resolve().parents[3]
DOCS = ROOT / "docs"
#: Pages that users and developers follow; ADRs tell what was, and plans what may be.
PAGES = [
    *sorted(path for path in DOCS.rglob("*.md") if path.parent.name != "adr" and path.name != "NEXT.md"),
    *(ROOT / name for name in ("README.md", "README.ko.md", "CONTRIBUTING.md", "SECURITY.md")),
]
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
_INLINE = re.compile(r"(?<!`)`(?!`)([^`\n]+)`")
#: What stands for a value or is left out: FOLDER, a.json, ..., [IMAGES].
_OPTIONAL = re.compile(r"[\[\]]|\.\.\.$|…$")


def blocks(text: str) -> Iterator[tuple[str, str]]:
    """Fenced blocks of a page with their language, and indented ones without."""
    for found in _FENCE.finditer(text):
        yield found[1], found[2]
    yield "", "\n".join(line[4:] for line in _FENCE.sub("", text).splitlines() if line.startswith("    "))


def command_lines(text: str) -> list[str]:
    """Lines of blocks that call a program, continued lines joined, and calls within sentences; without remarks."""
    found = [line for language, code in blocks(text) if language != "python" for line in code.replace("\\\n", " ").splitlines()]
    found = [re.split(r"\s#\s|\s{3,}(?=\S)(?!-)|\s+>\s", line.strip().removeprefix("$ "))[0] for line in found]
    return [line.strip() for line in (*found, *_INLINE.findall(_FENCE.sub("", text)))]


def resolved(words: list[str]) -> tuple[click.Command, list[str]]:
    """The command that a line names, and the rest of its words. Raises LookupError for a command that does not exist."""
    group, words = main, list(words)
    if words and any(words[0] in option.opts for option in main.params):
        return main, words
    if not words or words[0].startswith("-") or not re.fullmatch(r"[a-z][a-z-]*(\|[a-z-]+)*", words[0]):
        command = main.get_command(click.Context(main), "open")  # 'atrous FOLDER'
        assert command is not None
        return command, words
    command = None
    while command is None or isinstance(command, click.Group):
        group = main if command is None else command
        if not words:
            return group, words
        names = words.pop(0).split("|")
        known = [group.get_command(click.Context(group), name) for name in names]
        if None in known:
            raise LookupError(f"no command {names[known.index(None)]}")
        command = known[0]
        if len(names) > 1 or (words and words[0] == "|"):  # 'show|set', 'list | get ID | show': each of them exists
            others = " ".join(words).split("|")[1:]
            gone = [word for part in others for word in part.split()[:1] if group.get_command(click.Context(group), word) is None]
            if gone:
                raise LookupError(f"no command {gone[0]}")
            return group, []
    return command, words


def wrong(line: str) -> str | None:
    """What is wrong with a call of atrous; None if nothing is."""
    try:
        words = [_OPTIONAL.sub("", word) for word in shlex.split(line)][1:]
        command, rest = resolved([word for word in words if word])
        values, _, _ = command.make_parser(click.Context(command)).parse_args(rest)
        for option in command.params:
            value = values.get(option.name or "")
            given = value if isinstance(value, list) else [value]
            for word in given:
                if isinstance(option.type, click.Choice) and isinstance(word, str) and not word.isupper() and "|" not in word:
                    option.type.convert(word, option, None)
    except (click.UsageError, LookupError, ValueError) as error:
        if isinstance(error, click.BadOptionUsage) and line.split()[-1].startswith("-"):
            return None  # 'atrous train --project' in a sentence names the option without a value
        return error.format_message() if isinstance(error, click.UsageError) else str(error)
    return None


def calls(path: Path) -> list[str]:
    """Calls of atrous on a page."""
    lines = [
        re.sub(r"^torchrun .*?-m (app|atrous) ", "atrous ", line) for line in command_lines(path.read_text(encoding="utf-8"))
    ]
    lines = [re.sub(r"^python3? -m (app|atrous)\b", "atrous", line) for line in lines]
    return [line for line in lines if re.match(r"atrous(\s|$)", line)]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_command_lines_name_what_exists(path: Path) -> None:
    assert {line: said for line in calls(path) if (said := wrong(line)) is not None} == {}


def test_command_lines_are_found() -> None:
    found = [line for path in PAGES for line in calls(path)]
    assert len(found) > 150
    assert "atrous predict FOLDER --model NAME_OR_FILE -o MASKS" in found


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("atrous predicts FOLDER", "no command predicts"),
        ("atrous predict F --colour red", "No such option"),
        ("atrous export F --format vox", "'vox' is not one of"),
        ("atrous models list | fetch ID", "no command fetch"),
        ("atrous classes show|put", "no command put"),
        ("atrous FOLDER --sampel", "No such option"),
    ],
)
def test_wrong_command_lines_are_seen(line: str, said: str) -> None:
    assert said in str(wrong(line))


def python_blocks() -> list[tuple[str, str]]:
    return [
        (path.relative_to(ROOT).as_posix(), code)
        for path in PAGES
        for language, code in blocks(path.read_text(encoding="utf-8"))
        if language == "python"
    ]


@pytest.mark.parametrize(("page", "code"), python_blocks())
def test_python_blocks_import_what_exists(page: str, code: str) -> None:
    for node in ast.walk(ast.parse(code, page)):
        if isinstance(node, ast.Import):
            for name in node.names:
                import_module(name.name)
        elif isinstance(node, ast.ImportFrom):
            module = import_module(node.module or "")
            assert [name.name for name in node.names if not hasattr(module, name.name)] == []


def test_tasks_and_modules_that_pages_name_exist() -> None:
    made = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    lost = []
    for path in PAGES:
        for line in command_lines(path.read_text(encoding="utf-8")):
            task, module = re.match(r"make ([a-z-]+)", line), re.match(r"python3? -m ((?:tools|tests|benchmarks)[\w.]*)", line)
            if (task and task[1] not in made) or (module and find_spec(module[1]) is None):
                lost.append((path.name, line))
    assert lost == []
