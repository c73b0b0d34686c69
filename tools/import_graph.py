"""``python -m tools.import_graph``: packages of the program and their imports, as the section of docs/ARCHITECTURE.md.

``--write`` puts it there. A test compares the section with the source. The imports are those of :mod:`tools.structure`: also
those in functions and under ``TYPE_CHECKING``.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from tools.structure import ROOT, graph, modules

PAGE = ROOT / "docs" / "ARCHITECTURE.md"
BEGIN = "<!-- import graph: written by python -m tools.import_graph --write -->"
END = "<!-- end of the import graph -->"
CORE = "deeplab_core"
#: Folders of ``app`` that have one folder for each feature.
FEATURED = ("controllers", "viewmodels", "ui")

Edges = Mapping[str, set[str]]


def package_of(module: str) -> str:
    """``app.ui`` for ``app.ui.shell.theme``; ``app.paths`` and ``deeplab_core.reading`` for modules at the top."""
    return ".".join(module.split(".")[:2])


def packages(edges: Edges, *, whole_core: bool) -> dict[str, set[str]]:
    """Package -> packages that its modules import, itself left out.

    Args:
        edges: module -> imported modules.
        whole_core: take the core as one package.
    """

    def name(module: str) -> str:
        return CORE if whole_core and module.split(".")[0] == CORE else package_of(module)

    found: dict[str, set[str]] = defaultdict(set)
    for module, targets in edges.items():
        found[name(module)] |= {name(target) for target in targets} - {name(module)}
    return dict(found)


def reduced(edges: Edges) -> dict[str, set[str]]:
    """The arrows that no longer way implies: the smallest graph in which everything still reaches the same.

    Arrows within a circle stay (Aho, Garey and Ullman, SIAM J. Comput. 1972, for the rest).
    """

    def below(node: str) -> set[str]:
        seen: set[str] = set()
        waiting = [node]
        while waiting:
            new = edges.get(waiting.pop(), set()) - seen
            seen |= new
            waiting += new
        return seen

    reach = {node: below(node) for node in edges}
    ways = {node: {to for to in targets if node not in reach.get(to, ())} for node, targets in edges.items()}  # out of its circle
    return {
        node: {to for to in targets if to not in ways[node] or not any(to in reach.get(other, ()) for other in ways[node] - {to})}
        for node, targets in edges.items()
    }


def mermaid(edges: Edges) -> list[str]:
    """A flow chart; arrows point from a package to what it imports."""
    arrows = [f"    {_node(name)} --> {_node(to)}" for name in sorted(edges) for to in sorted(edges[name])]
    return ["```mermaid", "flowchart TD", *arrows, "```"]


def _node(name: str) -> str:
    """Mermaid's identifiers have no dots."""
    return f"{name.replace('.', '_')}[{name.partition('.')[2] or name}]"


def _features(edges: Edges) -> list[str]:
    """A table: which features a feature imports, over its controllers, view models and widgets."""
    found: dict[str, dict[str, set[str]]] = {folder: defaultdict(set) for folder in FEATURED}
    names = set()
    for module, targets in edges.items():
        parts = module.split(".")
        if len(parts) < 4 or parts[1] not in FEATURED:
            continue
        names.add(parts[2])
        for target in targets:
            other = target.split(".")
            if len(other) >= 4 and other[1] == parts[1] and other[2] != parts[2]:
                found[parts[1]][parts[2]].add(other[2])
    rows = ["| feature | " + " | ".join(FEATURED) + " |", "|---|" + "---|" * len(FEATURED)]
    cells = {name: [", ".join(sorted(found[folder][name])) or "-" for folder in FEATURED] for name in sorted(names)}
    return [*rows, *(f"| {name} | {' | '.join(row)} |" for name, row in cells.items())]


def section() -> str:
    """The text between the marks, with the marks."""
    edges = graph(modules())
    app = {name: to - {"app"} for name, to in packages(edges, whole_core=True).items() if name not in ("app", CORE)}
    inner = {name: targets for name, targets in edges.items() if name.startswith(f"{CORE}.")}
    core = packages(
        {name: {to for to in targets if to.startswith(f"{CORE}.")} for name, targets in inner.items()}, whole_core=False
    )
    return "\n".join(
        [
            BEGIN,
            "Arrows point from a package to what it imports; one that a longer way implies is left out. The application:",
            "",
            *mermaid(reduced(app)),
            "",
            "The core:",
            "",
            *mermaid(reduced(core)),
            "",
            "The features, and the features that each imports:",
            "",
            *_features(edges),
            END,
        ]
    )


def replaced(page: str, text: str) -> str:
    """A page with the section between its marks replaced. Raises ValueError if the page has no marks."""
    before, found, rest = page.partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not found or not ended:
        raise ValueError(f"{PAGE.name} has no place for the import graph: {BEGIN} ... {END}")
    return before + text + after


def main(arguments: list[str] | None = None) -> int:
    """Print the section, or write it."""
    parser = argparse.ArgumentParser(description="Packages and their imports.")
    parser.add_argument("--write", action="store_true", help=f"replace the section of {PAGE.relative_to(ROOT)}")
    options = parser.parse_args(arguments)
    if options.write:
        Path(PAGE).write_text(replaced(PAGE.read_text(encoding="utf-8"), section()), encoding="utf-8")
    else:
        print(section())
    return 0


if __name__ == "__main__":
    sys.exit(main())
