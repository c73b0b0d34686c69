"""Two runs as one page: what got better and worse, which errors were fixed and made, with cut-outs that link to the images."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from deeplab_core.analysis.compare import Comparison
from deeplab_core.analysis.compared_slices import AxisChange
from deeplab_core.analysis.components import ErrorComponent, component_mask
from deeplab_core.analysis.count_changes import CellChange, CountChange
from deeplab_core.analysis.cutout import cutout
from deeplab_core.analysis.difference import ChangeReader, ChangeSources, RunDifference
from deeplab_core.analysis.error_comparison import ErrorComparison, shown_cells
from deeplab_core.analysis.kinds import KIND_TEXT
from deeplab_core.analysis.report.page import Section, Tile, Warned, page_template, style_sheet
from deeplab_core.analysis.report.tables import Cell, Row, Table
from deeplab_core.analysis.report.text import NOT_MEASURED, percent, pixels
from deeplab_core.analysis.report.thumbnails import ShownImage, jpeg_uri
from deeplab_core.analysis.verdicts import ScoreChange, Verdict
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.errors import AtrousError
from deeplab_core.images import read_image
from deeplab_core.labels import LabelMap
from deeplab_core.wording import count

_CELLS = 20
_ERRORS_RULE = (
    "Fixed: wrong before, right after. Made: right before, wrong after. Wrong after = wrong before - fixed + made. A fixed pixel "
    "has the kind and the classes of the first run, a made one those of the second; kinds overlap. p is corrected by Holm's "
    "method over all kinds, all cells and all pairs that changed, separately; what changed in fewer than six images has none."
)
_CUTOUTS = "Outlined on the photograph. The name links to the image file."
_NO_CUTOUTS = "Name the photographs with --images to see cut-outs."
#: Style of the verdicts that are marked.
MARKS = {Verdict.BETTER: "better", Verdict.WORSE: "worse"}


def render_comparison(
    result: Comparison,
    errors: ErrorComparison | None,
    names: tuple[str, str],
    *,
    catalog: ClassCatalog,
    cutouts: int = 12,
    folder: Path | None = None,
    images: Callable[[str], RunImage] | None = None,
    remarks: Sequence[str] = (),
) -> str:
    """The page as HTML text. Photographs and masks of the shown errors are read again for their cut-outs.

    Args:
        result: the scores.
        errors: the errors of both runs; None if they were not compared.
        names: of both runs.
        catalog: the classes.
        cutouts: how many errors fixed, and made, are shown.
        folder: where the page will be; links to photographs are relative to it. None links by their whole path.
        images: the images by their names in ``errors``; None takes the files of its difference.
        remarks: what else a reader must know, a sentence each.
    """
    shown = None if errors is None else ErrorPictures(errors.difference, catalog, folder, images)
    page: str = page_template().render(
        title=f"{names[0]} → {names[1]}",
        style=style_sheet(),
        images=result.images,
        labelled_px=None,
        catalog=catalog,
        truth_hash=(result.truth_after or "")[:16],
        tiles=list(_tiles(result)),
        mean_rule=f"Means are over the {count(len(result.class_set), 'class', 'classes')} of the ground truth.",
        interval_rule=f"Intervals are of the difference, over the same draws of images on both sides. {result.families}",
        warnings=list(_warnings(result, errors)),
        sections=list(_sections(result, errors, cutouts, shown)),
        about=[*remarks, *result.notes],
    )
    return page


def change_table(rows: Sequence[ScoreChange], what: str, things: str = "images", counts: Sequence[int] = ()) -> Table:
    """Scores before and after; better and worse ones are marked by a word, not by colour alone."""
    numbers = counts or [row.images for row in rows]
    made = []
    for row, number in zip(rows, numbers, strict=True):
        change = "" if math.isnan(row.difference) else f"{100 * row.difference:+.1f}"
        bounds = "" if math.isnan(row.low) else f"{100 * row.low:+.1f} to {100 * row.high:+.1f}"
        cells = [percent(row.before), percent(row.after), change, bounds, "" if math.isnan(row.p) else f"{row.p:.4f}"]
        made.append(Row([Cell(row.name, head=True), *map(Cell, cells), verdict_cell(row.verdict), Cell(f"{number:,}")]))
    return Table(head=(what, "before", "after", "change, points", "95 % interval", "p", "verdict", things), rows=made)


def _tiles(result: Comparison) -> Iterator[Tile]:
    for row in result.overall[:2]:
        change = "" if math.isnan(row.difference) else f"{100 * row.difference:+.1f} points ({row.verdict})"
        yield Tile(f"{percent(row.before)} → {percent(row.after)}", change, row.name)


def _warnings(result: Comparison, errors: ErrorComparison | None) -> Iterator[Warned]:
    for side, names in (("first", result.only_before), ("second", result.only_after)):
        if names:
            yield Warned(f"{count(len(names), 'image')} of the {side} run only, left out", names[:5], names[5:], code=True)
    failures = [] if errors is None else [str(error) for error in errors.difference.failures]
    if failures:
        yield Warned(f"The errors of {count(len(failures), 'image')} could not be compared", failures[:5], failures[5:])


def _sections(result: Comparison, errors: ErrorComparison | None, cutouts: int, shown: ErrorPictures | None) -> Iterator[Section]:
    yield Section(heading="Scores", rule="", tables=[change_table(result.overall, "score")])
    yield Section(heading="Classes", rule="IoU.", tables=[change_table(result.classes, "class")])
    if errors is None or shown is None:
        return
    difference = errors.difference
    yield Section(
        heading="Errors fixed and made",
        rule=f"{errors_summary(difference)} {_ERRORS_RULE}",
        tables=[
            _kind_table(errors),
            _cell_table("cell", errors.cells, difference.catalog),
            _cell_table("pair", errors.pairs, difference.catalog),
        ],
    )
    if errors.axes:
        rule = "One family of tests over all slices. Slices of fewer than six images or ten objects have no verdict."
        yield Section(heading="Slices", rule=rule, tables=[axis_table(axis) for axis in errors.axes])
    for heading, components, fixed in (
        ("Largest errors fixed", difference.won(cutouts), True),
        ("Largest errors made", difference.lost(cutouts), False),
    ):
        if components:
            rule = _CUTOUTS if shown.known else _NO_CUTOUTS
            yield Section(heading=heading, rule=rule, pictures=[shown.of(one, fixed=fixed) for one in components], small=True)


def axis_table(axis: AxisChange) -> Table:
    """One axis: IoU of objects, or mIoU of pixels and images."""
    measure = "IoU" if axis.unit == "object" else "mIoU"
    things = "objects" if axis.unit == "object" else "images"
    return change_table(axis.rows, f"{axis.name.replace('_', ' ')}, {measure}", things, axis.counts)


def errors_summary(difference: RunDifference) -> str:
    """Wrong pixels before and after, fixed and made, as a sentence."""
    before, after = difference.before.wrong_px, difference.after.wrong_px
    return (
        f"{pixels(before)} wrong px before, {pixels(after)} after: {pixels(difference.fixed.wrong_px)} fixed, "
        f"{pixels(difference.made.wrong_px)} made, {pixels(difference.stayed)} wrong in both."
    )


_COUNTS = ("before, px", "after", "fixed", "made", "95 % of fixed - made", "p", "verdict", "images better / worse")


def _kind_table(errors: ErrorComparison) -> Table:
    rows = []
    for row in errors.kinds:
        head = [Cell(row.kind.replace("_", " "), head=True), Cell(KIND_TEXT[row.kind], "name")]
        if not row.measured:
            rows.append(Row([*head, Cell(NOT_MEASURED, "name", span=len(_COUNTS))], quiet=True))
        elif row.before or row.after:
            rows.append(Row([*head, *_counts(row)]))
    return Table(head=("kind", "what it is", *_COUNTS), rows=rows, names=(0, 1))


def _cell_table(what: str, cells: Sequence[CellChange], catalog: ClassCatalog) -> Table:
    names = _names(catalog)
    rows = [
        Row(
            [
                Cell(f"{names[cell.truth]} {'and' if cell.both_ways else 'called'} {names[cell.prediction]}", head=True),
                *_counts(cell),
            ]
        )
        for cell in shown_cells(cells, _CELLS)
    ]
    return Table(head=(what, *_COUNTS), rows=rows)


def _counts(row: CountChange) -> list[Cell]:
    bounds = "" if math.isnan(row.low) else f"{row.low:+,.0f} to {row.high:+,.0f}"
    figures = [Cell(pixels(figure)) for figure in (row.before, row.after, row.fixed, row.made)]
    p = "" if math.isnan(row.p) else f"{row.p:.4f}"
    return [*figures, Cell(bounds), Cell(p), verdict_cell(row.verdict), Cell(f"{row.images_better} / {row.images_worse}")]


def verdict_cell(verdict: Verdict | None) -> Cell:
    """A verdict as a word; empty without one."""
    text = "" if verdict is None else "not clear" if verdict is Verdict.UNCLEAR else str(verdict)
    return Cell(text, "quiet" if verdict is None else MARKS.get(verdict, "quiet"))


@dataclass(frozen=True, slots=True, eq=False)
class RunImage:
    """An image of two runs, as a report shows it.

    Attributes:
        name: as it is called.
        photograph: its file, which the name links to; None without one, then there is no picture.
        read: gives the (H, W, 3) uint8 photograph and the (H, W) ground truth and labels of both runs; None if they are not kept
            any more. Raises AtrousError.
    """

    name: str
    photograph: Path | None
    read: Callable[[], tuple[NDArray[np.uint8], LabelMap, LabelMap, LabelMap] | None]


def images_of_files(difference: RunDifference, catalog: ClassCatalog) -> Callable[[str], RunImage]:
    """The images of a difference that was made from files of masks, by their names."""
    reader = difference.reader or ChangeReader(catalog, ChangeSources())

    def image(name: str) -> RunImage:
        files = difference.files[name]
        photograph = files.photograph

        def read() -> tuple[NDArray[np.uint8], LabelMap, LabelMap, LabelMap] | None:
            if photograph is None:
                return None
            data = read_image(photograph)
            return data.rgb, *reader.labels(files, data.info)

        return RunImage(name, photograph, read)

    return image


class ErrorPictures:
    """Cut-outs of errors fixed and made.

    Args:
        catalog: names of the classes.
        folder: where the page will be; None links to photographs by their whole path.
        images: the images by their names in the difference; None takes the files of the difference.
    """

    def __init__(
        self,
        difference: RunDifference,
        catalog: ClassCatalog,
        folder: Path | None,
        images: Callable[[str], RunImage] | None = None,
    ) -> None:
        self._names, self._folder = _names(catalog), folder
        self._images = images or images_of_files(difference, catalog)
        self._all = list(difference.before)

    @property
    def known(self) -> bool:
        """Whether any photograph is known."""
        return any(self._images(name).photograph for name in self._all)

    def of(self, component: ErrorComponent, *, fixed: bool) -> ShownImage:
        """One error with its picture, or why it has none."""
        title = f"{self._names[component.truth]} called {self._names[component.prediction]}"
        size = f"{pixels(component.pixels)} px"
        image = self._images(component.image)
        if image.photograph is None:
            return ShownImage(f"{image.name}: {title}", size)
        link = self._link(image.photograph)
        try:
            found = image.read()
            if found is None:
                return ShownImage(f"{image.name}: {title}", size, problem="its masks are not kept any more", link=link)
            rgb, truth, before, after = found
            run, other = (before, after) if fixed else (after, before)
            mask = component_mask(component, truth=truth, prediction=np.where(other == truth, run, truth))
            picture = jpeg_uri(cutout(rgb, component, mask))
        except AtrousError as error:
            return ShownImage(f"{image.name}: {title}", size, problem=str(error), link=link)
        return ShownImage(image.name, size, ((title, picture),), link=link)

    def _link(self, photograph: Path) -> str:
        if self._folder is None:
            return photograph.resolve().as_uri()
        try:
            return quote(os.path.relpath(photograph.resolve(), self._folder.resolve()).replace(os.sep, "/"))
        except ValueError:  # on another drive
            return photograph.resolve().as_uri()


def _names(catalog: ClassCatalog) -> dict[int, str]:
    return {info.id: info.name for info in catalog.classes} | {catalog.ignore: "void"}
