"""Sizes of modules: at most 500 lines, the main window 300 (DESIGN section 3); small ones with one importer are in it."""

from __future__ import annotations

from pathlib import Path

import grimp

ROOT = Path(__file__).resolve().parents[2]


def test_no_module_is_longer_than_its_ceiling() -> None:
    lengths = {
        path.relative_to(ROOT).as_posix(): len(path.read_text(encoding="utf-8").splitlines())
        for package in ("app", "deeplab_core")
        for path in (ROOT / package).rglob("*.py")
    }
    assert len(lengths) > 100
    assert {name: lines for name, lines in lengths.items() if lines > 500} == {}
    assert lengths["app/ui/shell/main_window.py"] <= 300


#: Small modules with one importer that stay where they are, with the reason.
_ALONE = {
    "deeplab_core.correction.warm_up": "the core compiles its loops itself, whoever calls it",
    "app.ui.project.progress_dialog": "a dialog of the window, as the others",
    "app.ui.project.summary_dialog": "a dialog of the window, as the others",
}


def test_a_small_module_with_one_importer_is_in_it() -> None:
    graph = grimp.build_graph("app", "deeplab_core", cache_dir=None)
    small = set()
    for name in graph.modules:
        path = ROOT / (name.replace(".", "/") + ".py")
        importers = graph.find_modules_that_directly_import(name)
        if path.is_file() and len(path.read_text(encoding="utf-8").splitlines()) < 60 and len(importers) == 1:
            package = ROOT / importers.pop().replace(".", "/") / "__init__.py"  # it only hands on what others import
            small |= set() if package.is_file() or path.name == "__main__.py" else {name}
    assert small == set(_ALONE), "move it into its importer, or give the reason here"
