"""What a text of the program advises exists: commands, buttons, menus, keys and options that it names."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import click
import pytest

from app.actions.spec import Group
from app.actions.table import ACTIONS, GESTURES
from app.cli import main
from app.state.saved_masks import START_OVER, USE_MASK
from app.state.settings_schema import SETTINGS

ROOT = Path(__file__).parents[4]
#: Texts of widgets are the first argument of these, or of the method of that name.
WIDGETS = {"Choice", "QPushButton", "QCheckBox", "QRadioButton", "QToolButton", "addButton", "addItem", "setText", "_row"}
#: Keys that are not command's: of the terminal, and of Qt's menus.
FOREIGN_KEYS = {"Ctrl+C", "F10"}

#: Functions that translate; their literal is the text, with named placeholders.
TRANSLATING = {"tr", "mark", "_", "message"}
_PLACEHOLDER = re.compile(r"(?<!\{)\{\w[^{}]*\}")

_QUOTED = re.compile(r"(?<![\w}])'([A-Z][A-Za-z…, -]{2,60})'")
_MENU = re.compile(r"\b(?:menu )?([A-Z]\w+) > ([A-Z][\w ]*\w…?)")
_IN_MENU = re.compile(r"'([A-Z][^']+)' in the menu ([A-Z]\w+)")
_SETTING = re.compile(r"\bSettings, ([A-Z]\w+)(?:, ([A-Z][\w ]*\w))?")
_KEY = re.compile(r"\b(?:(?:Ctrl|Shift|Alt)\+)+(?:[A-Z0-9.,]|F\d{1,2}|Return|Enter)(?![\w+])|\bF\d{1,2}\b")
_COMMAND = re.compile(r"(?:'|: |or |with |Run |^)atrous ([a-z]+(?: [a-z]+)?)((?: [^\s';,]+)*)")
_OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]+")


@dataclass(frozen=True)
class Text:
    """A text of the program, with ``{}`` where something is filled in."""

    text: str
    place: str
    remedy: bool


def literal(node: ast.expr) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in TRANSLATING and node.args:
        text = literal(node.args[0])
        return None if text is None else _PLACEHOLDER.sub("{}", text)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        sides = literal(node.left), literal(node.right)
        return None if sides == (None, None) else "".join(side or "{}" for side in sides)
    return None


@cache
def trees() -> list[tuple[str, ast.Module]]:
    paths = sorted(path for room in ("app", "deeplab_core") for path in (ROOT / room).rglob("*.py"))
    return [(str(path.relative_to(ROOT)), ast.parse(path.read_text(encoding="utf-8"))) for path in paths]


def walk(node: ast.AST, *, remedy: bool = False) -> Iterator[tuple[ast.expr, bool]]:
    """Every expression that is a text, the outermost one of each, and whether it is an error's remedy. No docstrings."""
    for name, field in ast.iter_fields(node):
        for child in field if isinstance(field, list) else [field]:
            if not isinstance(child, ast.AST) or (isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant)):
                continue
            inside = remedy or (isinstance(node, ast.keyword) and node.arg == "remedy" and name == "value")
            if isinstance(child, ast.expr) and literal(child) is not None:
                yield child, inside
            else:
                yield from walk(child, remedy=inside)


@cache
def texts() -> list[Text]:
    found = []
    for path, tree in trees():
        for node, remedy in walk(tree):
            text = literal(node)
            if text and " " in text:
                found.append(Text(text, f"{path}:{node.lineno}", remedy))
    return found


@cache
def offered() -> frozenset[str]:
    """Every name of a command, button, box or setting, without its ellipsis."""
    names = {spec.text for spec in ACTIONS} | {setting.label for setting in SETTINGS}
    for _, tree in trees():
        constants, nodes = {}, list(ast.walk(tree))
        for node in nodes:
            if isinstance(node, ast.Assign):
                values = node.value.elts if isinstance(node.value, ast.Tuple) else [node.value]
                targets = node.targets[0].elts if isinstance(node.targets[0], ast.Tuple) else [node.targets[0]]
                for target, value in zip(targets, values, strict=False):
                    if isinstance(target, ast.Name) and (text := literal(value)):
                        constants[target.id] = text
        for node in nodes:
            if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) in WIDGETS:
                for argument in node.args[:2]:
                    text = constants.get(argument.id) if isinstance(argument, ast.Name) else literal(argument)
                    names |= {text} if text else set()
    names |= {START_OVER, USE_MASK}
    return frozenset(name.rstrip("…") for name in names)


@cache
def keys() -> frozenset[str]:
    shown = {key for spec in ACTIONS for key in spec.shortcuts}
    return frozenset(shown | FOREIGN_KEYS | {part for gesture in GESTURES for part in re.split("[ ,/]+", gesture.keys)})


def options_of(words: list[str]) -> set[str] | None:
    """Options of a command of the command line and of the groups above it; None if there is no such command."""
    command: click.Command = main
    found: set[str] = set()
    for number, word in enumerate(words):
        if not isinstance(command, click.Group):
            break
        context = click.Context(command)
        following = command.get_command(context, word)
        if following is None:
            if number == 0 or word.isupper() or not word.isalpha():
                return None if number == 0 else found
            return None
        command = following
        found |= {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    return found | {"--help"}


@cache
def all_options() -> frozenset[str]:
    def gather(command: click.Command) -> Iterator[str]:
        for parameter in command.params:
            yield from (*parameter.opts, *parameter.secondary_opts)
        if isinstance(command, click.Group):
            context = click.Context(command)
            for name in command.list_commands(context):
                child = command.get_command(context, name)
                assert child is not None
                yield from gather(child)

    return frozenset(gather(main))


def lacking(text: Text) -> list[str]:
    """What a text names and the program does not have."""
    found = [name for name in _QUOTED.findall(text.text) if name.rstrip("…") not in offered() | {str(group) for group in Group}]
    for menu, entry in _MENU.findall(text.text):
        inside = {spec.text.rstrip("…") for spec in ACTIONS if spec.group == menu}
        if not any(entry.rstrip("…").startswith(name) for name in inside):
            found.append(f"{menu} > {entry}")
    for entry, menu in _IN_MENU.findall(text.text):
        if not any(spec.group == menu and spec.text.rstrip("…") == entry.rstrip("…") for spec in ACTIONS):
            found.append(f"{entry} in the menu {menu}")
    for group, label in _SETTING.findall(text.text):
        if not any(setting.group == group and (not label or setting.label == label) for setting in SETTINGS):
            found.append(f"Settings, {group}" + (f", {label}" if label else ""))
    found += [key for key in _KEY.findall(text.text) if key not in keys()]
    for words, rest in _COMMAND.findall(text.text):
        known = options_of(words.split())
        if known is None:
            known = options_of(words.split()[:1])
        if known is None:
            found.append(f"atrous {words}")
        else:
            found += [f"atrous {words} {option}" for option in _OPTION.findall(rest) if option not in known]
    if text.remedy:
        found += [option for option in _OPTION.findall(text.text) if option not in all_options() | PIP]
    return found


#: Options of pip in remedies.
PIP = {"--upgrade", "--force-reinstall"}


def test_everything_that_a_text_names_exists():
    problems = [f"{text.place}: {', '.join(names)} | {text.text[:120]}" for text in texts() if (names := lacking(text))]
    assert not problems, "\n".join(problems)


def test_remedies_are_found():
    remedies = [text for text in texts() if text.remedy]
    assert len(remedies) > 250
    assert any(_QUOTED.search(text.text) for text in texts())
    assert {"Start this image over", "Undo folder job", "Rescan folder"} <= offered()


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Choose 'Turn the picture' in the palette", ["Turn the picture"]),
        ("Choose 'Start this image over' there", []),
        ("Match them in Model > Colours", ["Model > Colours"]),
        ("Choose models in Model > Compare models", []),
        ("Choose 'Run on folder' in the menu Edit", ["Run on folder in the menu Edit"]),
        ("Settings, Work, Tea: brews", ["Settings, Work, Tea"]),
        ("Press Ctrl+Shift+F9", ["Ctrl+Shift+F9"]),
        ("Judge the folder (Ctrl+J)", []),
        ("Run 'atrous evaluate --no-such-thing'", ["atrous evaluate --no-such-thing", "--no-such-thing"]),
        ("Run 'atrous frobnicate'", ["atrous frobnicate"]),
        ("See 'atrous models list'", []),
        ("Name it with --no-such-thing", ["--no-such-thing"]),
    ],
)
def test_what_does_not_exist_is_noticed(text, names):
    assert lacking(Text(text, "here", remedy=True)) == names
