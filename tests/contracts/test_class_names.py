"""One name has one meaning: no two modules define a public class, or an alias of a type, under one name."""

from __future__ import annotations

import ast
from collections import defaultdict

from tools.structure import modules

#: Names that still have several meanings. The list only gets shorter: rename one of the classes and take its name out.
SEVERAL = frozenset(
    {
        "Canvas", "Encoded", "Engine", "Floats", "Found", "Graph", "Handler", "How", "ImageNames", "Loss",
        "Operation", "Pair", "Part", "Patch", "Picture", "Pictures", "Points", "Precision", "Pyramid", "Row",
        "Scores", "Section", "Setting", "Shapes", "Source", "State", "Store", "Table", "Tile", "Untouched",
        "Verdict", "Wanted",
    }
)  # fmt: skip


def meanings() -> dict[str, dict[str, str]]:
    """Name -> module -> what it is: a class, or the type that it stands for."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for module, path in modules().items():
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef):
                found[node.name][module] = f"class of {module}"
            elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Subscript):
                for target in node.targets:
                    if isinstance(target, ast.Name) and not target.id.isupper():
                        found[target.id][module] = ast.unparse(node.value)
    return {name: places for name, places in found.items() if not name.startswith("_")}


def test_a_name_has_one_meaning() -> None:
    several = {name: sorted(places) for name, places in meanings().items() if len(set(places.values())) > 1}
    new = {name: places for name, places in several.items() if name not in SEVERAL}
    assert new == {}, "these names have several meanings; find another name for the newer one"
    assert sorted(SEVERAL - several.keys()) == [], "these names have one meaning now; take them out of SEVERAL"
