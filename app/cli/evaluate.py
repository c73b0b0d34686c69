"""``atrous evaluate``: how good a folder of masks is."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from app.cli.console import progress

if TYPE_CHECKING:
    from deeplab_core.metrics.evaluate import Evaluation


def parse_bands(_context: click.Context, _parameter: click.Parameter, value: str) -> tuple[int, ...]:
    """``"1,2,4"`` as widths in px; BadParameter where one is no whole number from 1 to 40."""
    try:
        widths = tuple(int(part) for part in value.split(","))
    except ValueError:
        raise click.BadParameter(f"'{value}' is not a list of widths such as 1,2,4") from None
    if not all(1 <= width <= 40 for width in widths):
        raise click.BadParameter("a band is 1 to 40 px wide")
    return widths


@click.command()
@click.option(
    "--prediction",
    metavar="DIR",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Masks to judge.",
)
@click.option(
    "--truth",
    "truths",
    metavar="DIR",
    required=True,
    multiple=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="True masks of the same names; may be repeated.",
)
@click.option("--catalog", "catalog_name", metavar="NAME_OR_FILE", required=True, help="What the ids mean: voc21, ... or a file.")
@click.option(
    "--bands", callback=parse_bands, default="1,2,4,8,16,40", show_default=True, help="Widths of the boundary band, px."
)
@click.option(
    "--band-rule",
    type=click.Choice(["edge", "void"]),
    default="edge",
    show_default=True,
    help="Distance to a class edge, or to the truth's void ring.",
)
@click.option("--json", "json_file", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path), help="Write every figure.")
@click.option(
    "--html", "html_file", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path), help="Write a report to read."
)
def evaluate(
    prediction: Path,
    truths: tuple[Path, ...],
    catalog_name: str,
    bands: tuple[int, ...],
    band_rule: Literal["edge", "void"],
    json_file: Path | None,
    html_file: Path | None,
) -> int:
    """Compare masks with their truth: IoU per class, pooled and per image, and near the boundaries.

    Exit status 1 says that some files could not be compared; the figures are those of the rest.
    """
    from deeplab_core.catalogs import get_catalog
    from deeplab_core.formats import atomic_write
    from deeplab_core.metrics.evaluate import evaluate_folders
    from deeplab_core.metrics.pairing import pair_masks
    from deeplab_core.metrics.report import write_report

    catalog = get_catalog(catalog_name)
    total = len(pair_masks(prediction, truths, catalog.name).pairs)
    with progress("evaluate", total) as bar:
        result = evaluate_folders(
            prediction,
            truths,
            catalog,
            bands=bands,
            band_rule=band_rule,
            progress=lambda _done, _total, name: bar.advance(name),
        )
    for path in (json_file, html_file):
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
    if json_file is not None:
        atomic_write(json_file, result.to_json().encode())
    if html_file is not None:
        write_report(result, html_file, f"{prediction} against {', '.join(map(str, truths))}")
    click.echo(figures(result))
    for error in result.failures:
        click.echo(f"atrous: not compared: {error}", err=True)
    if result.missing:
        click.echo(f"atrous: {len(result.missing)} truth files have no prediction, e.g. {result.missing[0]}", err=True)
    return 1 if result.failures else 0


def figures(result: Evaluation) -> str:
    """The main figures as text: one line per class that occurs, then the means and the bands."""
    lines = []
    for info, iou in zip(result.catalog.classes, result.matrix.iou(), strict=True):
        if not math.isnan(iou):
            lines.append(f"{info.name:>16}  {iou:.4f}")
    mean = result.matrix.mean_iou("union")
    lines.append(f"{'mIoU':>16}  {mean.value:.4f}   over {mean.classes} classes, pooled over {len(result.images)} images")
    lines.append(f"{'pixel accuracy':>16}  {result.matrix.pixel_accuracy():.4f}")
    for width in result.widths:
        inside = result.histogram.inside(width).mean_iou("union")
        value = f"{inside.value:.4f}   mIoU" if inside.classes else "   n/a   no labelled pixel there"
        lines.append(f"{f'band {width} px':>16}  {value}, rule '{result.histogram.rule}'")
    return "\n".join(lines)
