"""Which errors a second run fixed and which it made: the masks of both sides of ``atrous compare``, and the lines to print."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.cli.console import progress
from app.cli.rankings import place_text
from deeplab_core.wording import count

if TYPE_CHECKING:
    from deeplab_core.analysis.compared_slices import AxisChange
    from deeplab_core.analysis.components import ErrorComponent
    from deeplab_core.analysis.count_changes import CellChange, KindChange
    from deeplab_core.analysis.difference import ChangedFiles, ChangeSources
    from deeplab_core.analysis.error_comparison import ErrorComparison
    from deeplab_core.catalogs.catalog import ClassCatalog
    from deeplab_core.datasets.pairing import MaskPair

SIGNS = {"better": "+", "worse": "-", "unclear": " ", "too few images": "?", "not the same ground truth": " "}


def masks_of_report(report: Mapping[str, Any]) -> dict[str, MaskPair]:
    """Mask and ground truth of every image of a report, by its key; only those whose files are still there."""
    from deeplab_core.datasets.pairing import MaskPair
    from deeplab_core.metrics.truth_hash import image_key

    found = {}
    for row in report["images"]:
        pair = MaskPair(str(row["name"]), Path(row["prediction"]), Path(row["truth"]))
        if pair.prediction.is_file() and pair.truth.is_file():
            found[image_key(pair.name)] = pair
    return found


def masks_of_folder(pairs: tuple[MaskPair, ...]) -> dict[str, MaskPair]:
    """Mask and ground truth of every image of a folder, by its key."""
    from deeplab_core.metrics.truth_hash import image_key

    return {image_key(pair.name): pair for pair in pairs}


def common_files(before: Mapping[str, MaskPair], after: Mapping[str, MaskPair]) -> dict[str, ChangedFiles]:
    """The images that both sides have, by the name of the first."""
    from deeplab_core.analysis.difference import ChangedFiles

    return {
        pair.name: ChangedFiles(pair.truth, pair.prediction, after[key].prediction)
        for key, pair in before.items()
        if key in after
    }


def compare_masks(
    runs: Sequence[dict[str, ChangedFiles]],
    catalog: ClassCatalog,
    sources: ChangeSources,
    *,
    resamples: int,
    seed: int,
    correct: bool = True,
    more_draws: bool = False,
) -> list[ErrorComparison]:
    """Compare the errors of one first run with those of others, the masks of each by image.

    Args:
        runs: the files of each comparison, by image.
        catalog: of all masks.
        sources: what else is read of an image.
        resamples, seed: of the intervals.
        correct: whether p is corrected over the slices of each comparison.
        more_draws: draw more often than ``resamples`` for the slices, where a correction over those of all comparisons needs it.
    """
    from deeplab_core.analysis.difference import compare_runs
    from deeplab_core.analysis.error_comparison import ErrorComparison, slices_with_images
    from deeplab_core.analysis.verdicts import needed_draws

    with progress("compare errors", len({name for files in runs for name in files})) as bar:
        found = compare_runs(runs, catalog, sources=sources, progress=lambda _done, _total, name: bar.advance(name))
    draws = max(resamples, needed_draws(sum(slices_with_images(one) for one in found))) if more_draws else resamples
    return [ErrorComparison.of(one, resamples=draws, seed=seed, correct=correct, count_resamples=resamples) for one in found]


def error_lines(found: ErrorComparison, top: int) -> str:
    """Everything of a difference of two runs."""
    difference = found.difference
    before, after = difference.before.wrong_px, difference.after.wrong_px
    fixed, made = difference.fixed.wrong_px, difference.made.wrong_px
    head = (
        f"Wrong pixels: {before:,} before, {after:,} after: {fixed:,} fixed, {made:,} made, {difference.stayed:,} wrong in both, "
        f"over {count(difference.images, 'image')}"
    )
    lines = ["", head, *_kinds(found), *_cells("Truth called prediction", found.cells, difference.catalog, top)]
    lines += _cells("Pair of classes", found.pairs, difference.catalog, top)
    for axis in found.axes:
        lines += _axis(axis)
    lines += ["", *component_lines("Largest errors fixed", difference.won(top), difference.catalog)]
    return "\n".join([*lines, "", *component_lines("Largest errors made", difference.lost(top), difference.catalog)])


_COUNTS = (
    f"{'before':>10} {'after':>10} {'fixed':>10} {'made':>10}  {'95 % of fixed - made':<22}  {'p':<6}  images better / worse"
)


def _kinds(found: ErrorComparison) -> list[str]:
    from deeplab_core.analysis.kinds import KIND_NEEDS

    lines = ["", f"{'Kind of failure':34} {_COUNTS}"]
    for row in found.kinds:
        if not row.measured:
            lines.append(f"  {row.kind.value:32} not measured: {KIND_NEEDS[row.kind]}")
        elif row.before or row.after:
            lines.append(f"{_sign(row)} {row.kind.value:32} {_counts(row)}")
    return lines


def _cells(heading: str, cells: Sequence[CellChange], catalog: ClassCatalog, top: int) -> list[str]:
    from deeplab_core.analysis.error_comparison import shown_cells

    names = _names(catalog)
    lines = ["", f"{heading:34} {_COUNTS}"]
    for cell in shown_cells(cells, top):
        title = f"{names[cell.truth]} {'and' if cell.both_ways else 'called'} {names[cell.prediction]}"
        lines.append(f"{_sign(cell)} {title:32} {_counts(cell)}")
    return lines if len(lines) > 2 else [*lines, "  none"]


def _counts(row: KindChange | CellChange) -> str:
    bounds = "" if math.isnan(row.low) else f"[{row.low:+,.0f}, {row.high:+,.0f}]"
    figures = f"{row.before:10,} {row.after:10,} {row.fixed:10,} {row.made:10,}"
    p = "" if math.isnan(row.p) else f"{row.p:.4f}"
    return f"{figures}  {bounds:<22}  {p:<6}  {row.images_better} / {row.images_worse}"


def _sign(row: KindChange | CellChange) -> str:
    return " " if row.verdict is None else SIGNS[row.verdict]


def _axis(axis: AxisChange) -> list[str]:
    measure = "IoU" if axis.unit == "object" else "mIoU"
    things = {"object": "objects", "pixel": "images", "image": "images"}[axis.unit]
    lines = ["", f"  {axis.name + ', ' + measure:24} before   after   change   95 % interval       p       {things}"]
    for row, number in zip(axis.rows, axis.counts, strict=True):
        interval = "" if math.isnan(row.low) else f"[{row.low:+.4f}, {row.high:+.4f}]"
        p = "" if math.isnan(row.p) else f"{row.p:.4f}"
        change = "" if math.isnan(row.difference) else f"{row.difference:+.4f}"
        scores = f"{_score(row.before)}  {_score(row.after)}  {change:7}"
        lines.append(f"{SIGNS[row.verdict]} {row.name:24} {scores}  {interval:<20}  {p:<6}  {number:,}")
    return lines


def component_lines(title: str, components: list[ErrorComponent], catalog: ClassCatalog) -> list[str]:
    """A list of components with a title."""
    names = _names(catalog)
    lines = [title]
    lines += [
        f"  {one.pixels:9,} px  {names[one.truth]} called {names[one.prediction]}  {place_text(one.image, one.box)}"
        for one in components
    ]
    return lines if components else [*lines, "  none"]


def _names(catalog: ClassCatalog) -> dict[int, str]:
    return {info.id: info.name for info in catalog.classes} | {catalog.ignore: "void"}


def _score(value: float) -> str:
    return "     -" if math.isnan(value) else f"{value:.4f}"
