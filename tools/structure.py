"""``python -m tools.structure``: figures of the code's structure as a table.

``--json`` prints the numbers, ``--before FILE`` shows those of an earlier commit beside them. The import graph is read from
the source: an edge for each import of a module of ``app`` or ``deeplab_core``, also in functions and under ``TYPE_CHECKING``.
A thing that a package re-exports counts for the module that defines it.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("app", "deeplab_core")

#: Turns of phrase that make the prose hard to read, from a survey of comments, strings and docs.
PHRASES = {
    "a person, the person": r"\b(a|the) person('s)?\b|\bpersons'",
    "whoever, whose, whom": r"\b(whoever|whose|whom)\b",
    "where there is none": r"\bwhere (there|nobody|nothing|none|no)\b",
    "code that speaks": r"\b(is|are|was|were) told\b|\b(says|hears|tells) (so|of|it|them|what|which|that)\b",
    "nobody, somebody": r"\b(nobody|somebody)\b",
    "in hand, at hand": r"\b(in|at) hand\b",
    "lies, stands": r"\b(lies|lie|stands|stand) (in|beside|on|at|there|under|below)\b",
    "anew": r"\banew\b",
    "so long, so many": r"\bso (long|many|few) (as|after|that|of)\b",
    "meanwhile": r"\bmeanwhile\b",
    "mend": r"\bmend(s|ed|ing)?\b",
    "is no": r"(?<!there )\b(is|are|was|were) no (?!longer|more|less|better|worse|other|such|(larg|small|near|fast|slow)er)",
    "photograph": r"\bphotograph",
}


def modules() -> dict[str, Path]:
    """Dotted name -> file, of every module of the program."""
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            found[name.removesuffix(".__init__")] = path
    return found


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def _imported(name: str, path: Path, known: Mapping[str, Path]) -> Iterator[str]:
    """Modules that a file imports by their own names: ``from package import module`` and ``from module import thing``."""
    base = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            yield from (item.name for item in node.names if item.name in known)
        elif isinstance(node, ast.ImportFrom):
            parts = base[: len(base) - node.level + 1] if node.level else []
            source = ".".join([*parts, *([node.module] if node.module else [])])
            for item in node.names:
                inner = f"{source}.{item.name}"
                yield inner if inner in known else _home(source, item.name, known)


def _home(source: str, thing: str, known: Mapping[str, Path]) -> str:
    """The module that defines a thing which a package re-exports."""
    path = known.get(source)
    if path is None or path.name != "__init__.py":
        return source
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for item in node.names:
                if (item.asname or item.name) == thing:
                    return _home(node.module, item.name, known)
    return source


def graph(known: Mapping[str, Path]) -> dict[str, set[str]]:
    """Module -> the modules that it imports."""
    return {name: {to for to in _imported(name, path, known) if to in known and to != name} for name, path in known.items()}


def knots(edges: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """Strongly connected sets of more than one node (Tarjan, SIAM J. Comput. 1972)."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found = []

    def visit(node: str) -> None:
        order[node] = low[node] = len(order)
        stack.append(node)
        for to in edges.get(node, ()):
            if to not in order:
                visit(to)
                low[node] = min(low[node], low[to])
            elif to in stack:
                low[node] = min(low[node], order[to])
        if low[node] == order[node]:
            group = []
            while (last := stack.pop()) != node:
                group.append(last)
            if group:
                found.append(sorted([*group, node]))

    for node in edges:
        if node not in order:
            visit(node)
    return found


def floors(edges: Mapping[str, set[str]]) -> int:
    """Length of the longest chain of imports among the nodes, in modules; circles count once."""
    circles = {node: tuple(group) for group in knots(edges) for node in group}
    seen: dict[object, int] = {}

    def height(group: tuple[str, ...]) -> int:
        if group not in seen:
            seen[group] = 0
            below = {circles.get(to, (to,)) for node in group for to in edges.get(node, ())} - {group}
            seen[group] = 1 + max((height(next_group) for next_group in below), default=0)
        return seen[group]

    return max((height(circles.get(node, (node,))) for node in edges), default=0)


def _package(name: str) -> str:
    """The part of the core that a module belongs to: its folder, or itself at the top."""
    return name.split(".")[1] if "." in name else name


def _phrases() -> dict[str, int]:
    texts = [path for package in (*PACKAGES, "docs", "tools", "benchmarks") for path in (ROOT / package).rglob("*.py")]
    texts += [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "tests").rglob("*.py")]
    counts: dict[str, int] = defaultdict(int)
    for path in set(texts) - {Path(__file__).resolve()}:  # this file lists them
        text = path.read_text()
        for phrase, pattern in PHRASES.items():
            counts[phrase] += len(re.findall(pattern, text, re.IGNORECASE))
    return dict(counts)


def _any() -> int:
    """Uses of Any in signatures, as the linter's rule ANN401 counts them."""
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "ANN401", "--output-format", "concise", *PACKAGES]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return sum(" ANN401 " in line for line in done.stdout.splitlines())


def measure() -> dict[str, int]:
    """Every figure by its name."""
    known = modules()
    edges = graph(known)
    importers: dict[str, set[str]] = defaultdict(set)
    for name, targets in edges.items():
        for to in targets:
            importers[to].add(name)
    plain = {name for name, path in known.items() if path.name not in ("__init__.py", "__main__.py")}
    lines = {name: len(path.read_text().splitlines()) for name, path in known.items()}
    controllers = {name for name in known if name.startswith("app.controllers.")}
    packages: dict[str, set[str]] = defaultdict(set)
    for name, targets in edges.items():
        if name.startswith("deeplab_core."):
            packages[_package(name)] |= {_package(to) for to in targets if to.startswith("deeplab_core.")} - {_package(name)}
    wide = sum(
        len(node.args.args) + len(node.args.kwonlyargs) - 1 >= 8
        for path in known.values()
        for owner in ast.walk(_tree(path))
        if isinstance(owner, ast.ClassDef)
        for node in owner.body
        if isinstance(node, ast.FunctionDef) and node.name == "__init__"
    )
    slider = re.search(r"^MOST = (\d+)$", (ROOT / "tests/gui/refine/test_slider_path.py").read_text(), re.MULTILINE)
    assert slider is not None
    texts = {name: path.read_text() for name, path in known.items()}
    requests = [found for text in texts.values() for found in re.findall(r"^class (\w+)\(Request\[", text, re.MULTILINE)]
    naming = [sum(bool(re.search(rf"\b{request}\b", text)) for text in texts.values()) for request in requests]
    return {
        "lines of app and core": sum(lines.values()),
        "lines of tests": sum(len(path.read_text().splitlines()) for path in (ROOT / "tests").rglob("*.py")),
        "files of app and core": len(plain),
        "files under 60 lines": sum(lines[name] < 60 for name in plain),
        "longest module": max(lines.values()),
        "files with one importer": sum(len(importers[name]) == 1 for name in plain),
        "files under 60 lines with one importer": sum(lines[name] < 60 and len(importers[name]) == 1 for name in plain),
        "floors of app/controllers": floors({name: edges[name] & controllers for name in controllers}),
        "circles of packages in the core": len(knots(packages)),
        "circles of modules": len(knots(edges)),
        "constructors with 8 or more arguments": wide,
        "modules of the window from a CRF slider to the repaint, ceiling of its test": int(slider[1]),
        "files that name one request, median": int(median(naming)),
        "Any in signatures": _any(),
        **{f"phrase: {phrase}": count for phrase, count in _phrases().items()},
    }


def main(arguments: list[str] | None = None) -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(description="Figures of the code's structure.")
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")
    parser.add_argument("--before", type=Path, help="figures of an earlier commit, as --json wrote them")
    options = parser.parse_args(arguments)
    figures = measure()
    if options.json:
        print(json.dumps(figures, indent=1))
        return 0
    before = json.loads(options.before.read_text()) if options.before else {}
    print("| figure | " + ("before | after |" if before else "value |"))
    print("|---|" + ("---:|---:|" if before else "---:|"))
    for name, value in figures.items():
        print(f"| {name} | " + (f"{before.get(name, '')} | {value} |" if before else f"{value} |"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
