"""Models and settings side by side as one page."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

from deeplab_core.analysis.ablation import WORDS, Ablation, AblationRow, ChangeOf
from deeplab_core.analysis.report.comparison import MARKS, ErrorPictures, errors_summary
from deeplab_core.analysis.report.page import Section, Tile, Warned, page_template, style_sheet
from deeplab_core.analysis.report.tables import Cell, Row, Table
from deeplab_core.analysis.report.text import percent
from deeplab_core.wording import count

_RULE = (
    "Change in points against the first row, over the same draws of images and one set of classes. p is corrected by Holm's "
    "method over all columns at once. Point at a cell for its interval. A cell without a word: chance may explain the difference."
)


_SECONDS = "Seconds are of each row as if it ran alone."


def render_ablation(found: Ablation, *, cutouts: int = 6, folder: Path | None = None) -> str:
    """The page as HTML text.

    Args:
        found: the rows.
        cutouts: errors won, and lost, that are shown of each row.
        folder: where the page will be; links to photographs are relative to it.

    Raises:
        ValueError: no row was compared.
    """
    compared = next((row.comparison for row in found.others if row.comparison is not None), None)
    first = next((row.errors for row in found.others if row.errors is not None), None)
    if compared is None:
        raise ValueError("no row was compared with the first")
    notes = {note for row in found.others if row.comparison is not None for note in row.comparison.notes}
    page: str = page_template().render(
        title=f"{found.plain.name} and {len(found.others)} more",
        style=style_sheet(),
        images=compared.images,
        labelled_px=None,
        catalog=None if first is None else first.difference.catalog,
        truth_hash=(compared.truth_after or "")[:16],
        tiles=list(_tiles(found)),
        mean_rule=f"Means are over the {count(len(compared.class_set), 'class', 'classes')} of the ground truth. {_SECONDS}",
        interval_rule=_RULE,
        warnings=list(_warnings(found)),
        sections=list(_sections(found, cutouts, folder)),
        about=sorted(notes),
    )
    return page


def _tiles(found: Ablation) -> Iterator[Tile]:
    for row in found.others:
        if row.comparison is not None:
            change = row.comparison.overall[0]
            bounds = "" if math.isnan(change.low) else f"{100 * change.low:+.1f} to {100 * change.high:+.1f}, {_time(row, found)}"
            yield Tile(f"{100 * change.difference:+.1f}", bounds, f"{row.name}: {WORDS[change.verdict]} (mIoU)")


def _time(row: AblationRow, found: Ablation) -> str:
    if found.plain.cpu_seconds > 0 and row.cpu_seconds > 0:  # not where they are not known
        return f"{row.cpu_seconds / found.plain.cpu_seconds:.2f} x CPU time"
    return f"{row.seconds / found.plain.seconds:.2f} x time" if found.plain.seconds else ""


def _warnings(found: Ablation) -> Iterator[Warned]:
    failures = [str(error) for row in found.others if row.errors is not None for error in row.errors.difference.failures]
    if failures:
        yield Warned("The errors of some images could not be compared", failures[:5], failures[5:])


def _sections(found: Ablation, cutouts: int, folder: Path | None) -> Iterator[Section]:
    groups: dict[tuple[str, str], dict[str, dict[str, ChangeOf]]] = {}
    for one in found.changes():
        groups.setdefault((one.family, one.axis), {}).setdefault(one.change.name, {})[one.row.name] = one
    titles = {"overall": "Scores", "class": "Classes, IoU"}
    for (family, axis), rows in groups.items():
        heading = titles.get(family) or f"By {axis.replace('_', ' ')}"
        yield Section(heading=heading, rule="", tables=[_table(found, rows, counted=family != "overall")])
    for row in found.others:
        if row.errors is None:
            continue
        difference = row.errors.difference
        pictures = ErrorPictures(difference, difference.catalog, folder)
        for word, components, fixed in (("won", difference.won(cutouts), True), ("lost", difference.lost(cutouts), False)):
            if components:
                yield Section(
                    heading=f"{row.name}: largest errors {word}",
                    rule=errors_summary(difference),
                    pictures=[pictures.of(one, fixed=fixed) for one in components],
                    small=True,
                )


def _table(found: Ablation, rows: dict[str, dict[str, ChangeOf]], *, counted: bool) -> Table:
    head = ["", *(["n"] if counted else []), found.plain.name, *(row.name for row in found.others)]
    made = []
    for name, cells in rows.items():
        known = next(iter(cells.values()))
        first = [Cell(name, head=True), *([Cell(f"{known.count:,}")] if counted else []), Cell(percent(known.change.before))]
        made.append(Row([*first, *(_cell(cells.get(row.name)) for row in found.others)]))
    return Table(head=tuple(head), rows=made)


def _cell(one: ChangeOf | None) -> Cell:
    if one is None or math.isnan(one.change.difference):
        return Cell("")
    change = one.change
    word = WORDS[change.verdict] if change.verdict in MARKS else ""
    tip = f"{WORDS[change.verdict]}: {100 * change.low:+.1f} to {100 * change.high:+.1f} points"
    tip += "" if math.isnan(change.p) else f", p {change.p:.4f}"
    return Cell(f"{100 * change.difference:+.1f} {word}".strip(), MARKS.get(change.verdict, ""), tip=tip)
