"""No object of the program is handed a callable after it was made: it announces by a signal, or its constructor takes it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

APP = Path(__file__).resolve().parents[2] / "app"

#: Names that the interpreter offers for it.
OTHERS = {"sys", "threading"}
#: Attributes of libraries' objects that are made for it.
LIBRARIES = {"text_factory"}


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(APP.rglob("*.py")):
        yield str(path.relative_to(APP)), ast.parse(path.read_text())


def methods(trees: dict[str, ast.Module]) -> set[str]:
    """Names that are methods wherever the program defines them; a name that is also a field or a property is not one."""
    found: set[str] = set()
    values: set[str] = set()
    for tree in trees.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                for item in node.body:
                    if isinstance(item, ast.FunctionDef):
                        plain = not any("property" in ast.unparse(decorator) for decorator in item.decorator_list)
                        (found if plain else values).add(item.name)
                    elif isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
                        values.add(item.target.id)
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                values.add(node.attr)
    return found - values


def assigned_callables(tree: ast.Module, known: set[str]) -> Iterator[str]:
    """Assignments in a module that give another object a callable, or keep the one that a public verb was given."""
    functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}

    def is_callable(value: ast.expr) -> bool:
        if isinstance(value, ast.Lambda):
            return True
        if isinstance(value, ast.Name):
            return value.id in functions
        return isinstance(value, ast.Attribute) and value.attr in known

    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and is_callable(node.value):
            for target in node.targets:
                own = (
                    isinstance(target, ast.Attribute)
                    and isinstance(target.value, ast.Name)
                    and target.value.id in {"self", *OTHERS}
                )
                if isinstance(target, ast.Attribute) and not own and target.attr not in LIBRARIES:
                    yield f"line {node.lineno}: {ast.unparse(node)}"
        elif isinstance(node, ast.ClassDef):
            for method in node.body:
                if isinstance(method, ast.FunctionDef) and method.name.startswith("set_"):
                    yield from kept_parameters(method)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Attribute):
            public = not node.target.attr.startswith("_")
            if public and ast.unparse(node.annotation).startswith("Callable["):
                yield f"line {node.lineno}: {ast.unparse(node)}"


def kept_parameters(method: ast.FunctionDef) -> Iterator[str]:
    given = {
        argument.arg
        for argument in (*method.args.args, *method.args.kwonlyargs)
        if argument.annotation is not None and "Callable[" in ast.unparse(argument.annotation)
    }
    for node in ast.walk(method):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Name) and node.value.id in given:
            yield from (
                f"line {node.lineno}: {method.name}: {ast.unparse(node)}"
                for target in node.targets
                if isinstance(target, ast.Attribute)
            )


def test_no_object_is_given_a_callable_after_it_was_made():
    trees = dict(modules())
    known = methods(trees)
    found = [f"app/{name}, {line}" for name, tree in trees.items() for line in assigned_callables(tree, known)]
    assert not found, "connect to a signal, or take the callable in the constructor:\n" + "\n".join(found)


@pytest.mark.parametrize(
    "source",
    [
        "program.projects.walk = images.shown_ids",
        "projects.undo_answers = lambda: True",
        "def settle(project): ...\nprojects.prepare = settle",
        "class A:\n    def __init__(self):\n        self.question: Callable[[int], None] | None = None",
        "class A:\n    def set_taker(self, taker: Callable[[int], None] | None):\n        self._taker = taker",
    ],
)
def test_each_way_to_do_it_is_found(source: str):
    assert list(assigned_callables(ast.parse(source), {"shown_ids"}))


@pytest.mark.parametrize("source", ["self._then = lambda: None", "image.prediction = prediction", "dock.theme = theme"])
def test_values_and_continuations_of_ones_own_are_none(source: str):
    assert not list(assigned_callables(ast.parse(source), {"shown_ids"}))
