"""Hooks of mkdocs.yml: the pages of the site that are made from the program. ``make docs`` builds it into ``out/site``.

``reference/commands.md`` is the help of every command, from click; ``reference/api.md`` lists the public places of the core,
whose docstrings mkdocstrings reads. Links from pages to files outside of ``docs/`` (code, licences) become plain text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

ROOT = Path(__file__).resolve().parent.parent
#: Public places of the core, in the order of the page: docs/ARCHITECTURE.md and the contract on public places name them.
PUBLIC = (
    "deeplab_core.api", "deeplab_core.nn.create_model", "deeplab_core.weights.load_model", "deeplab_core.inference.Predictor",
    "deeplab_core.refine.CRFParams", "deeplab_core.refine.DenseCRF", "deeplab_core.refine.preset",
    "deeplab_core.correction.Corrector",
    "deeplab_core.catalogs.get_catalog", "deeplab_core.images.read_image", "deeplab_core.masks.read_mask",
    "deeplab_core.datasets.find_images", "deeplab_core.datasets.scan_folder", "deeplab_core.datasets.find_truth",
    "deeplab_core.datasets.guess_catalog", "deeplab_core.metrics.ConfusionMatrix", "deeplab_core.records.ModelCard",
    "deeplab_core.records.Preprocessing", "deeplab_core.errors.AtrousError", "app.state.project.Project",
)  # fmt: skip


def commands() -> Iterator[tuple[str, click.Command]]:
    """Every command with its full name, groups and hidden ones left out."""
    from app.cli import main

    waiting: list[tuple[str, click.Command]] = [("atrous", main)]
    while waiting:
        name, command = waiting.pop(0)
        if isinstance(command, click.Group):
            context = click.Context(command, info_name=name)
            below = [(f"{name} {key}", command.get_command(context, key)) for key in command.list_commands(context)]
            waiting[:0] = [(full, found) for full, found in below if found is not None and not found.hidden]
        else:
            yield name, command


def command_page() -> str:
    """The reference of the command line, in Markdown."""
    parts = ["# Command line\n\nMade from the commands themselves; `atrous COMMAND --help` shows the same.\n"]
    for name, command in commands():
        context = click.Context(command, info_name=name, max_content_width=110, terminal_width=110)
        parts.append(f"## {name}\n\n```text\n{command.get_help(context)}\n```\n")
    return "\n".join(parts)


def api_page() -> str:
    """The reference of the public Python API: directives of mkdocstrings."""
    parts = ["# Python API\n\nThe public places of the core. `docs/notebook.ipynb` in the repository uses them.\n"]
    parts += [f"::: {place}\n" for place in PUBLIC]
    return "\n".join(parts)


def without_outside_links(text: str, page: Path) -> str:
    """A page whose links to files outside of ``docs/``, or to what the site leaves out, are plain text."""
    docs = ROOT / "docs"

    def plain(match: re.Match[str]) -> str:
        shown, target = match.groups()
        if re.match(r"[a-z]+:|#", target):
            return match.group()
        goal = (page.parent / target.split("#")[0]).resolve()
        kept = goal.is_relative_to(docs) and goal.suffix != ".ipynb" and goal.name != "NEXT.md" and goal.is_file()
        return match.group() if kept else shown

    return re.sub(r"(?<!!)\[([^\]]+)\]\(([^)\s]+)\)", plain, text)


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that are made."""
    from mkdocs.structure.files import File

    for name, text in (("reference/commands.md", command_page()), ("reference/api.md", api_page())):
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, **_others: Any) -> str:
    """Take links out that lead outside of the site."""
    source = page.file.abs_src_path
    return without_outside_links(markdown, Path(source)) if source else markdown
