"""``atrous report``: what a data set holds, before a training or a hand-over."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.cli.console import ReportingCommand, overwrite_option, progress, write_json
from app.cli.ground_truth import found_truth
from app.cli.options import TruthOptions, html_option, json_option, truth_options
from app.cli.terminal import say
from app.cli.train_projects import say_repairs
from app.text import counted

if TYPE_CHECKING:
    from deeplab_core.catalogs.catalog import ClassCatalog
    from deeplab_core.datasets.report import DataItem, DataSetReport


@click.command(cls=ReportingCommand)
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--project",
    "project_dir",
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Where the project's data is, if not in FOLDER/.atrous.",
)
@truth_options(
    "Report on the masks of this folder instead of the project's [default: the project's masks; without a project the ground "
    "truth that is found]",
    catalog_help="Classes of the ids: voc21, ... or a file [default: the project's classes, or recognised from the masks]",
    many=False,
)
@click.option(
    "--tiny", metavar="PX", type=click.IntRange(1), default=16, show_default=True, help="Regions of fewer pixels are tiny."
)
@json_option("Write every figure and name.")
@html_option("Write one page to read.")
@overwrite_option
def report(
    folder: Path,
    *,
    project_dir: Path | None,
    truth: TruthOptions,
    tiny: int,
    json_file: Path | None,
    html_file: Path | None,
) -> int:
    """Summarise a data set: class shares, images without a class, tiny regions, undeclared ids, sizes, equal images.

    Exit status 1 means that some images or masks could not be read; the figures are those of the rest.
    """
    from app.state.project import Project
    from app.state.samples import report_items
    from deeplab_core.atomic import atomic_write
    from deeplab_core.datasets.report import report_data_set, report_page

    own = project_dir or folder / ".atrous"
    if not truth.folders and (project_dir is not None or (own / "project.db").is_file()):
        if truth.catalog_name is not None:
            raise click.UsageError("--catalog is for masks in a folder; a project has its own classes")
        with Project.open(folder, project_dir, read_only=True) as project:
            say_repairs(project)
            items, catalog = report_items(project), project.catalog
            found = _run(items, lambda bar: report_data_set(items, catalog, title=str(folder), tiny_pixels=tiny, progress=bar))
    else:
        items, catalog = _of_masks(folder, truth)
        found = _run(items, lambda bar: report_data_set(items, catalog, title=str(folder), tiny_pixels=tiny, progress=bar))
    for path in (json_file, html_file):
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
    if json_file is not None:
        write_json(json_file, found.to_dict())
    if html_file is not None:
        atomic_write(html_file, report_page(found).encode("utf-8", "replace"))
    _say(found)
    return 1 if found.unread else 0


def _run(items: list[DataItem], work: Callable[[Callable[[str], None]], DataSetReport]) -> DataSetReport:
    with progress("report", len(items)) as bar:
        return work(bar.advance)


def _of_masks(folder: Path, truth: TruthOptions) -> tuple[list[DataItem], ClassCatalog]:
    from deeplab_core.datasets import find_images
    from deeplab_core.datasets.report import items_of_masks

    names = find_images(folder)
    ground, matched = found_truth(truth, folder, names)
    ground.report()
    return items_of_masks(folder, names, matched.files, ground.catalog, frame=truth.frame), ground.catalog


def _say(found: DataSetReport) -> None:
    say(f"{counted(found.images, 'image')}, {found.labelled:,} with labels")
    for row in found.classes:
        if row.pixels:
            share = 0 if row.share is None else row.share
            regions = counted(row.tiny, "tiny region")
            say(f"{row.name:>16}  {share:8.3%}  {row.pixels:,} px in {counted(row.images, 'image')}, {regions}")
    if found.pixels:
        say(f"{'void':>16}  {found.void_pixels / found.pixels:8.3%}  of all pixels")
    for text in found.warnings():
        say(f"atrous: {text}", err=True)
