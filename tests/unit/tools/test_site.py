"""The documentation: links lead somewhere, every page is in the site, and its references name every command and option."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import click
import pytest
import yaml

from tools.site import PUBLIC, command_page, commands, without_outside_links

ROOT = Path(__file__).resolve().parents[3]
DOCS = ROOT / "docs"
PICTURES = DOCS / "images"
PAGES = sorted([*DOCS.rglob("*.md"), *ROOT.glob("*.md")])
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)")
_CODE = re.compile(r"```.*?```|`[^`\n]*`|^ {4,}.*$", re.DOTALL | re.MULTILINE)


def prose(path: Path) -> str:
    """A page without its code."""
    return _CODE.sub("", path.read_text(encoding="utf-8"))


def anchors(path: Path) -> set[str]:
    """What ``page.md#anchor`` may name: its headings, as GitHub and MkDocs write them."""
    heads = re.findall(
        r"^#+\s+(.+?)\s*$", re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL), re.MULTILINE
    )
    plain = [re.sub(r"\[([^\]]*)\]\([^)]*\)|[`*]", r"\1", head).lower() for head in heads]
    return {re.sub(r"[^\w\- ]", "", head).strip().replace(" ", "-") for head in plain}


def broken(path: Path) -> list[str]:
    """Links of a page that lead nowhere."""
    found = []
    for target in _LINK.findall(prose(path)):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        if not PICTURES.is_dir() and PICTURES in (path.parent / name).resolve().parents:  # a source distribution has none
            continue
        goal = (path.parent / name).resolve() if name else path
        if not goal.exists() or (anchor and goal.suffix == ".md" and anchor not in anchors(goal)):
            found.append(target)
    return found


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(path: Path) -> None:
    assert broken(path) == []


def test_broken_links_are_seen(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text(
        "# One two\n[x](b.md) [y](a.md#one-two) [z](a.md#three) [w](https://a.b) `[v](c.md)`", encoding="utf-8"
    )
    assert broken(tmp_path / "a.md") == ["b.md", "a.md#three"]


def listed(entry: object) -> list[str]:
    """Pages of a part of the navigation."""
    if isinstance(entry, str):
        return [entry]
    values = entry.values() if isinstance(entry, dict) else entry
    return [page for value in values for page in listed(value)]  # type: ignore[attr-defined]


def test_every_page_is_in_the_navigation() -> None:
    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    pages = listed(settings["nav"])
    made = {"reference/commands.md", "reference/api.md"}
    assert [page for page in pages if page not in made and not (DOCS / page).is_file()] == []
    ours = {
        path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md") if path.parent.name != "adr" and path.name != "NEXT.md"
    }
    assert ours - set(pages) == set()
    assert len(pages) == len(set(pages))


def test_the_reference_names_every_option() -> None:
    page = command_page()
    assert page.count("\n## ") > 25
    for name, command in commands():
        assert f"## {name}\n" in page
        options = [option for option in command.params if isinstance(option, click.Option) and not option.hidden]
        assert [option.name for option in options if option.opts[-1] not in page] == [], name


_ONLY = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] not in {*sys.stdlib_module_names, "app", "deeplab_core", "tools", *%r}:
            raise ModuleNotFoundError(f"{name} is not in requirements-docs.txt", name=name.split(".")[0])

sys.meta_path.insert(0, Missing())
from tools.site import command_page
print(command_page().count("\\n## "))
"""


def test_the_hooks_need_what_the_environment_of_the_site_has() -> None:
    lines = (ROOT / "requirements-docs.txt").read_text(encoding="utf-8").splitlines()
    packages = {line.split("==")[0] for line in lines if not line.startswith("#")}
    done = subprocess.run(
        [sys.executable, "-c", _ONLY % {name.replace("-", "_") for name in packages}],
        cwd=ROOT, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": "."},
    )  # fmt: skip
    assert int(done.stdout or 0) > 25, done.stderr


@pytest.mark.parametrize("place", PUBLIC)
def test_public_places_are_there_with_their_docstrings(place: str) -> None:
    module, _, name = place.rpartition(".")
    found = import_module(place) if place == "deeplab_core.api" else getattr(import_module(module), name)
    assert found.__doc__


def test_links_out_of_the_site_become_text() -> None:
    text = "[code](../app/text.py) [files](files.md) [site](https://a.b) ![p](images/window.png) [nb](notebook.ipynb)"
    assert without_outside_links(text, DOCS / "start.md") == (
        "code [files](files.md) [site](https://a.b) ![p](images/window.png) nb"
    )
