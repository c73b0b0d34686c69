"""Errors carry templates and their values: each text of an error is a literal of ``message``, never an f-string or ``tr``.

The window translates a template when it shows it. A text that was put together or translated before would reach logs and the
command line in the language of the window.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: Packages with errors that a window may show. The command line raises its own errors in English.
SCOPE = (
    "deeplab_core", "app/actions", "app/controllers", "app/services", "app/state", "app/ui", "app/viewmodels", "app/worker",
)  # fmt: skip
#: Keyword arguments of an error that are texts; the first positional one is ``what``.
TEXTS = ("what", "why", "remedy")
_CLASS = re.compile(r"^class (\w+)\((\w+)", re.MULTILINE)


def error_classes() -> frozenset[str]:
    """Names of AtrousError and of every class below it."""
    below: dict[str, set[str]] = {}
    for path in sources():
        for name, base in _CLASS.findall(path.read_text(encoding="utf-8")):
            below.setdefault(base, set()).add(name)
    found: set[str] = set()
    waiting = ["AtrousError"]
    while waiting:
        name = waiting.pop()
        found.add(name)
        waiting += below.get(name, set()) - found
    return frozenset(found)


def sources() -> list[Path]:
    return sorted(path for folder in SCOPE for path in (ROOT / folder).rglob("*.py"))


def built_texts(source: str, errors: frozenset[str]) -> list[str]:
    """Texts of errors that are written or put together without ``message``, each with its line.

    A text is followed through conditional expressions, sums, local variables, constants of the module and functions of the module
    that pass a parameter on to an error.
    """
    return sorted(set(_File(ast.parse(source), errors).texts()))


class _File:
    def __init__(self, tree: ast.Module, errors: frozenset[str]) -> None:
        self._errors = errors
        self._owner: dict[ast.AST, ast.AST] = {}  # innermost function or class around a node
        self._calls: list[ast.Call] = []
        self._functions: dict[str, list[ast.FunctionDef]] = {}
        self._values: dict[tuple[ast.AST | None, str], list[ast.expr]] = {}
        self._gather(tree, None)
        #: Functions that pass parameters on to errors: name -> parameters.
        self._passing: dict[str, set[str]] = {}

    def _gather(self, node: ast.AST, owner: ast.AST | None) -> None:
        inside = node if isinstance(node, ast.FunctionDef | ast.ClassDef) else owner
        if isinstance(node, ast.FunctionDef):
            self._functions.setdefault(node.name, []).append(node)
        elif isinstance(node, ast.Call):
            self._calls.append(node)
        else:
            for name, value in _assigned(node):
                self._values.setdefault((owner, name), []).append(value)
        if owner is not None:
            self._owner[node] = owner
        for child in ast.iter_child_nodes(node):
            self._gather(child, inside)

    def texts(self) -> Iterator[str]:
        before = None
        while before != self._passing:  # a function may pass a text on to a function that passes it on
            before = {name: set(parameters) for name, parameters in self._passing.items()}
            found = [text for call in self._calls for text in self._texts_of(call)]
        yield from found

    def _texts_of(self, call: ast.Call) -> list[str]:
        name = getattr(call.func, "id", getattr(call.func, "attr", ""))
        owner = self._owner.get(call)
        if name == "__init__" and ast.unparse(call.func).startswith("super()"):
            owners = [self._owner.get(owner)] if owner is not None else []
            name = next((one.name for one in owners if isinstance(one, ast.ClassDef)), "")
        arguments = {word.arg: word.value for word in call.keywords if word.arg is not None}
        if name in self._errors:
            if call.args:
                arguments["what"] = call.args[0]
            wanted = set(TEXTS)
        else:
            wanted = self._passing.get(name, set())
            for function in self._functions.get(name, []) if wanted else []:
                order = [one.arg for one in (*function.args.posonlyargs, *function.args.args) if one.arg not in ("self", "cls")]
                arguments |= dict(zip(order, call.args, strict=False))
        return [text for key in sorted(wanted) if key in arguments for text in self._built(arguments[key], owner, frozenset())]

    def _built(self, node: ast.expr, owner: ast.AST | None, seen: frozenset[str]) -> list[str]:
        if isinstance(node, ast.JoinedStr):
            return [f"{node.lineno}: {ast.unparse(node)}"]
        if isinstance(node, ast.Constant):
            worded = isinstance(node.value, str) and any(len(word) > 1 and word.isalpha() for word in node.value.split())
            return [f"{node.lineno}: {node.value}"] if worded else []
        if isinstance(node, ast.Name):
            return [] if node.id in seen else self._named(node.id, owner, seen | {node.id})
        parts: list[ast.expr] = []
        if isinstance(node, ast.IfExp):
            parts = [node.body, node.orelse]
        elif isinstance(node, ast.BoolOp):
            parts = node.values
        elif isinstance(node, ast.BinOp):
            parts = [node.left, node.right]
        elif isinstance(node, ast.Subscript) and isinstance(node.value, ast.JoinedStr):
            parts = [node.value]
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("tr", "plural"):
            return [f"{node.lineno}: {ast.unparse(node)}"]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):  # f"...".strip()
            parts = [node.func.value] if isinstance(node.func.value, ast.JoinedStr) else []
        return [text for part in parts for text in self._built(part, owner, seen)]

    def _named(self, name: str, owner: ast.AST | None, seen: frozenset[str]) -> list[str]:
        if isinstance(owner, ast.FunctionDef):
            arguments = owner.args
            if name in {one.arg for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)}:
                self._passing.setdefault(_called(owner, self._owner.get(owner)), set()).add(name)
        values = self._values.get((owner, name), [])
        if not values and owner is not None:
            return self._named(name, self._owner.get(owner), seen)
        return [text for value in values for text in self._built(value, owner, seen)]


def _called(function: ast.FunctionDef, owner: ast.AST | None) -> str:
    return owner.name if function.name == "__init__" and isinstance(owner, ast.ClassDef) else function.name


def _assigned(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """Names that a statement gives a value, each with this value."""
    if isinstance(node, ast.AugAssign | ast.AnnAssign | ast.NamedExpr) and isinstance(node.target, ast.Name) and node.value:
        yield node.target.id, node.value
    elif isinstance(node, ast.Assign):
        for target in node.targets:
            if isinstance(target, ast.Name):
                yield target.id, node.value
            elif isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                pairs = zip(target.elts, node.value.elts, strict=False)
                yield from ((one.id, value) for one, value in pairs if isinstance(one, ast.Name))


def test_texts_of_errors_are_templates() -> None:
    errors = error_classes()
    assert {"MaskFormatError", "DamagedStore", "WrongSize"} <= errors
    found = {
        path.relative_to(ROOT).as_posix(): texts
        for path in sources()
        if (texts := built_texts(path.read_text(encoding="utf-8"), errors))
    }
    assert not found, "put these texts into message(...), and no tr(...): " + "\n".join(
        f"{name}:{text}" for name in found for text in found[name]
    )


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ('raise AtrousError(f"{name} is damaged")', [1]),
        ('raise AtrousError("the file is damaged")', [1]),
        ('raise AtrousError(message("damaged"), why=f"{kind}: {error}"[:200])', [1]),
        ('raise AtrousError(message("damaged"), remedy="Copy it" + again)', [1]),
        ('raise AtrousError(message("damaged"), remedy=message("Copy it") if copied else f"Find {name}")', [1]),
        ('def f():\n    why = "It is empty" if empty else ""\n    raise AtrousError(message("damaged"), why=why)', [2]),
        ('REMEDY = "Copy it again"\ndef f():\n    raise AtrousError(message("damaged"), remedy=REMEDY)', [1]),
        ('def f(why):\n    return AtrousError(message("damaged"), why=why)\nraise f(f"{n} bytes are missing")', [3]),
        ('class Mine(AtrousError):\n    def __init__(self, n):\n        super().__init__(f"{n} bytes are missing")', [3]),
        ('raise AtrousError(message("{name} is damaged", name=f"{a}/{b}"), why=str(error), path="a file")', []),
        ('raise ValueError(f"{name} is damaged")', []),
        ('raise AtrousError(tr("the file is damaged"))', [1]),
        (
            'raise AtrousError(message("damaged"), why=plural("{n} byte is missing", "{n} bytes are missing", n) if n else "")',
            [1],
        ),
    ],
)
def test_what_counts_as_no_template(source: str, lines: list[int]) -> None:
    errors = frozenset({"AtrousError", "Mine"})
    assert [int(text.partition(":")[0]) for text in built_texts(source, errors)] == lines
