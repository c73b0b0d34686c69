"""The difference of two runs as it is looked at: rows by kind, pair, cell and slice, and the errors behind each. No widgets."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from app.state.kept_runs import KeptRun, LostRun
from app.text import mark, percent, plural, points, spaced, tr
from app.viewmodels.evaluate.error_list import KIND_TITLES, LISTED, OwnSlice, class_text
from app.viewmodels.evaluate.matrix_table import short_count
from app.viewmodels.evaluate.slice_text import AXIS_TITLES, bar_label, slice_text
from deeplab_core.analysis.compared_slices import AxisChange
from deeplab_core.analysis.components import ErrorComponent
from deeplab_core.analysis.count_changes import CellChange, CountChange, KindChange
from deeplab_core.analysis.difference import RunDifference
from deeplab_core.analysis.error_comparison import ErrorComparison, shown_cells
from deeplab_core.analysis.kinds import KIND_TEXT, FailureKind
from deeplab_core.analysis.slices import OBJECT_EDGES, PIXEL_EDGES, ObjectAxis, PixelAxis, Slice
from deeplab_core.analysis.verdicts import Verdict
from deeplab_core.catalogs.catalog import ClassCatalog

#: Rows of cells and of pairs.
_MOST = 50
_TONES: dict[Verdict | None, str] = {Verdict.BETTER: "good", Verdict.WORSE: "bad"}
_VERDICTS: dict[Verdict | None, str] = {Verdict.BETTER: mark("better"), Verdict.WORSE: mark("worse"), Verdict.FEW: mark("few")}


class ChangeGroup(StrEnum):
    """What the rows are; the values are the titles."""

    KINDS = mark("Kinds")
    PAIRS = mark("Pairs")
    CELLS = mark("Cells")
    SLICES = mark("Slices")


@dataclass(frozen=True, slots=True)
class ChangeQuery:
    """Which errors are listed; ids of classes, None for any.

    Attributes:
        truth, prediction: the cell; the prediction may be void.
        both_ways: also those of the mirrored cell.
        kind: only components with pixels of this kind.
        within: only those of this slice, built in or of the user's.
    """

    truth: int | None = None
    prediction: int | None = None
    both_ways: bool = False
    kind: FailureKind | None = None
    within: Slice | OwnSlice | None = None

    def find(self, difference: RunDifference, *, fixed: bool, limit: int = LISTED) -> list[ErrorComponent]:
        """The largest errors that the second run fixed, or made."""
        folder = difference.fixed if fixed else difference.made
        if isinstance(self.within, OwnSlice):
            own = difference.own
            return [] if own is None else own.components(folder, self.within.axis, self.within.label, limit, "size")
        if self.within is not None:
            return folder.components_within(self.within, limit=limit)
        return folder.errors.components(
            truth=self.truth, prediction=self.prediction, both_ways=self.both_ways, kind=self.kind, limit=limit
        )


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """One row.

    Attributes:
        title: what it is about.
        cells: texts of the columns: before, after, fixed, made (both empty for slices), change with its interval, what that says.
        tone: token of the last text.
        tip: what the row is, in words.
        query: the errors behind it; None where they are not listed.
    """

    title: str
    cells: tuple[str, str, str, str, str, str]
    query: ChangeQuery | None
    tone: str = "muted"
    tip: str = ""


def change_rows(errors: ErrorComparison, group: ChangeGroup) -> list[ChangeRow]:
    """Rows of one group."""
    catalog = errors.difference.catalog
    if group is ChangeGroup.KINDS:
        return [_kind_row(row) for row in errors.kinds]
    if group is ChangeGroup.SLICES:
        return [row for axis in errors.axes for row in _axis_rows(axis, errors.difference)]
    cells = errors.pairs if group is ChangeGroup.PAIRS else errors.cells
    return [_cell_row(row, catalog) for row in shown_cells(cells, _MOST)]


def summary(difference: RunDifference) -> str:
    """Wrong pixels before and after, as a sentence."""
    return tr(
        "{before} wrong px before, {after} after: {fixed} fixed, {made} made, {stayed} wrong in both",
        before=spaced(difference.before.wrong_px),
        after=spaced(difference.after.wrong_px),
        fixed=spaced(difference.fixed.wrong_px),
        made=spaced(difference.made.wrong_px),
        stayed=spaced(difference.stayed),
    )


def run_facts(run: KeptRun) -> str:
    """Everything that is known of a kept run, in one line."""
    parts = [run.name, run.date, run.model]
    if run.settings:
        parts.append(run.settings)
    parts.append(plural("{n} image", "{n} images", run.images))
    if run.mean_iou is not None:
        classes = plural("{n} class", "{n} classes", run.classes)
        parts.append(tr("mIoU {mean} over {classes}", mean=percent(run.mean_iou), classes=classes))
        parts.append(tr("pixel accuracy {share}", share=percent(run.pixel_accuracy)))
        parts.append(tr("ground truth {digest}", digest=run.truth_sha256[:8]))
    return " · ".join(parts)


def lost_text(run: LostRun, number: int) -> str:
    """That the facts of a run are lost; ``number``: of how many runs."""
    images, megabytes = plural("{n} image", "{n} images", run.images), run.bytes / 1e6
    size = tr("{size:.1f} MB", size=megabytes) if megabytes >= 1 else tr("{size:.1g} MB", size=megabytes)
    text = tr("Name and figures of run {number} are lost ({images}, {size}).", number=run.number, images=images, size=size)
    more = plural("{n} more run is lost.", "{n} more runs are lost.", number - 1) if number > 1 else ""
    return f"{text} {more}".rstrip()


def error_label(component: ErrorComponent, catalog: ClassCatalog) -> str:
    """The line below the picture of an error."""
    truth, prediction = (class_text(catalog, one) for one in (component.truth, component.prediction))
    return f"{tr('{pixels} px', pixels=spaced(component.pixels))} · {truth} → {prediction}"


def _kind_row(row: KindChange) -> ChangeRow:
    title = tr(KIND_TITLES[row.kind]).capitalize()
    if not row.measured:
        return ChangeRow(title, (tr("not measured"), "", "", "", "", ""), None, tip=KIND_TEXT[row.kind])
    tip = f"{KIND_TEXT[row.kind]}.\n{_whole(row)}"
    return ChangeRow(title, _counts(row), ChangeQuery(kind=row.kind), _TONES.get(row.verdict, "muted"), tip)


def _cell_row(row: CellChange, catalog: ClassCatalog) -> ChangeRow:
    truth, prediction = (class_text(catalog, one) for one in (row.truth, row.prediction))
    between = tr("and") if row.both_ways else tr("called")
    query = ChangeQuery(row.truth, row.prediction, both_ways=row.both_ways)
    title = f"{truth} {between} {prediction}"
    return ChangeRow(title, _counts(row), query, _TONES.get(row.verdict, "muted"), f"{title}.\n{_whole(row)}")


def _counts(row: CountChange) -> tuple[str, str, str, str, str, str]:
    net = row.fixed - row.made
    change = _signed(net) if math.isnan(row.low) else f"{_signed(net)} [{_signed(row.low)}, {_signed(row.high)}]"
    said = tr(_VERDICTS[row.verdict]) if row.verdict in _VERDICTS else ""
    return short_count(row.before), short_count(row.after), short_count(row.fixed), short_count(row.made), change, said


def _whole(row: CountChange) -> str:
    """The counts without rounding, the images, and the p-value or why there is none."""
    counts = tr(
        "{before} px before, {after} after, {fixed} fixed, {made} made. Better in {better}, worse in {worse}.",
        before=spaced(row.before), after=spaced(row.after), fixed=spaced(row.fixed), made=spaced(row.made),
        better=plural("{n} image", "{n} images", row.images_better), worse=plural("{n} image", "{n} images", row.images_worse),
    )  # fmt: skip
    return f"{counts}\n{_tested(row.p, row.verdict)}".rstrip()


def _tested(p: float, verdict: Verdict | None) -> str:
    """The p-value, or why there is none; empty before it is known."""
    if verdict is Verdict.FEW:
        return tr("Too few images changed for a p-value: at least six are needed.")
    return "" if math.isnan(p) else tr("p {value}, corrected for all rows of this tab (Holm)", value=f"{p:.4f}")


def _axis_rows(axis: AxisChange, difference: RunDifference) -> list[ChangeRow]:
    rows = []
    for row, number, (low, _high) in zip(axis.rows, axis.counts, axis.limits, strict=True):
        within = OwnSlice(axis.name, row.name) if axis.own else _slice(axis.name, low)
        tip = axis.text
        if isinstance(within, Slice):
            fixed, made = map(spaced, difference.within(within))
            tip = f"{slice_text(within)}. " + tr("{fixed} px fixed, {made} made.", fixed=fixed, made=made)
        change = "" if math.isnan(row.difference) else points(row.difference)
        if not math.isnan(row.low):
            change += f" [{points(row.low)}, {points(row.high)}]"
        tip = f"{tip}\n{_tested(row.p, row.verdict)}".rstrip()
        title = _slice_title(within) if isinstance(within, Slice) else f"{axis.name}: {row.name}"
        counted = f"n {spaced(number)}"
        said = " · ".join(text for text in (counted, tr(_VERDICTS[row.verdict]) if row.verdict in _VERDICTS else "") if text)
        tone = _TONES.get(row.verdict, "muted")
        cells = (percent(row.before), percent(row.after), "", "", change, said)
        query = None if within is None else ChangeQuery(within=within)
        rows.append(ChangeRow(title, cells, query, tone, tip))
    return rows


def _slice(name: str, low: float) -> Slice | None:
    """The built-in slice of an axis that begins at a value."""
    pixels = name.startswith("pixel_")
    axis: ObjectAxis | PixelAxis = PixelAxis(name.removeprefix("pixel_")) if pixels else ObjectAxis(name)
    edges: Sequence[float] = PIXEL_EDGES[axis] if isinstance(axis, PixelAxis) else OBJECT_EDGES[axis]
    return Slice(axis, edges.index(low)) if low in edges else None


def _slice_title(within: Slice) -> str:
    title = tr(AXIS_TITLES[within.axis.value])
    if isinstance(within.axis, PixelAxis):
        title = tr("{axis}, pixels", axis=title)
    return f"{title}: {bar_label(within)}"


def _signed(value: float) -> str:
    number = short_count(abs(round(value)))
    return f"+{number}" if round(value) > 0 else f"−{number}" if round(value) < 0 else "0"
