"""The import graph of docs/ARCHITECTURE.md is that of the source."""

from __future__ import annotations

import pytest

from tools.import_graph import BEGIN, END, PAGE, packages, reduced, replaced, section


def test_the_graph_of_the_page_is_current() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert replaced(page, section()) == page, "run: python -m tools.import_graph --write"


def test_an_arrow_that_a_longer_way_implies_is_left_out() -> None:
    assert reduced({"a": {"b", "c"}, "b": {"c"}, "c": {"d"}, "d": set()}) == {"a": {"b"}, "b": {"c"}, "c": {"d"}, "d": set()}


def test_a_circle_keeps_its_arrows_and_hides_none() -> None:
    edges = {"main": {"smoke", "ui", "state"}, "smoke": {"main"}, "ui": {"state"}, "state": set()}
    assert reduced(edges) == {"main": {"smoke", "ui"}, "smoke": {"main"}, "ui": {"state"}, "state": set()}


def test_modules_become_packages() -> None:
    edges = {"app.ui.shell.theme": {"app.ui.icons", "app.paths", "deeplab_core.images.decode"}, "deeplab_core.reading": set()}
    assert packages(edges, whole_core=True)["app.ui"] == {"app.paths", "deeplab_core"}
    assert packages(edges, whole_core=False)["app.ui"] == {"app.paths", "deeplab_core.images"}


def test_a_page_without_a_place_is_an_error() -> None:
    assert replaced(f"a {BEGIN} old {END} b", "new") == "a new b"
    with pytest.raises(ValueError, match="no place"):
        replaced(f"a {BEGIN} b", "new")
