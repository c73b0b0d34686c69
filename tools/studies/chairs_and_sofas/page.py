"""The study's tables, put between the markers of its page; what people wrote around them stays."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from deeplab_core.analysis import ObjectAxis
from deeplab_core.errors import AtrousError
from tools.studies.chairs_and_sofas.runs import FURNITURE, KINDS, Result

_KIND_TITLES = {
    "swap": "chair and sofa swapped", "boundary": "boundary", "extent": "extent", "segment": "segment",
    "missed_object": "missed object", "occluder_cut": "cut by another object",
}  # fmt: skip


def fill(page: Path, tables: Mapping[str, str]) -> None:
    """Replace what stands between ``<!-- NAME -->`` and ``<!-- end -->``.

    Raises:
        AtrousError: the page lacks a marker.
    """
    text = page.read_text(encoding="utf-8")
    for name, table in tables.items():
        pattern = re.compile(rf"(<!-- {re.escape(name)} -->\n).*?(<!-- end -->)", re.DOTALL)
        if pattern.search(text) is None:
            remedy = f"Put <!-- {name} --> and <!-- end --> there"
            raise AtrousError(f"the page has no place for '{name}'", remedy=remedy, path=page)
        text = pattern.sub(lambda found, table=table: f"{found[1]}{table.rstrip()}\n{found[2]}", text)
    page.write_text(text, encoding="utf-8")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines) + "\n"


def percent(value: float) -> str:
    """``0.1234`` as ``12.3``; a dash without a figure."""
    return "–" if math.isnan(value) else f"{100 * value:.1f}"


def overall(results: Sequence[Result]) -> str:
    """Mean IoU, chair and sofa of every network on every set, with intervals."""
    rows = []
    for result in results:
        cells = [f"{result.subject.title} on {result.data.images} {result.data.title}", percent(result.truth_mean_iou())]
        for name in FURNITURE:
            low, high = result.iou_interval(name)
            cells.append(f"{percent(result.iou(name))} ({percent(low)} to {percent(high)})")
        cells += [percent(result.visible_half(name)) if result.data.objects else "–" for name in FURNITURE]
        rows.append(cells)
    return _table(
        ["network and images", "mIoU", "chair", "sofa", "chair, half or more visible", "sofa, half or more visible"], rows
    )


def slices(result: Result, axis: ObjectAxis) -> str:
    """Chair and sofa by an axis: objects, IoU, recall, share swapped and lost."""
    rows = []
    for name in FURNITURE:
        for row in result.sliced(axis, name):
            end = "" if math.isinf(row.high) else f" to {row.high:.0%}"
            span = f"{row.low:.0%}{end}" if end else f"{row.low:.0%} and more"
            figures = [percent(value) for value in (row.iou, row.recall, row.swapped, row.lost)]
            rows.append([name, span, str(row.objects), *figures])
    return _table(["class", "slice", "objects", "IoU", "recall", "swapped px", "objects lost"], rows)


def losses(results: Sequence[Result]) -> str:
    """Where the wrong pixels of chair and sofa are, and what fixing each kind would gain."""
    head = ["kind of failure"]
    for result in results:
        head += [f"{name}, {result.data.title}" for name in FURNITURE]
    rows = []
    for kind in ("swap", *KINDS):
        cells = [_KIND_TITLES[kind]]
        for result in results:
            for name in FURNITURE:
                share, gain = result.loss(name)[kind]
                cells.append(f"{percent(share)} % (+{percent(gain)})")
        rows.append(cells)
    return _table(head, rows)


def conditions(results: Sequence[Result]) -> str:
    """What each way of running changes: scores, trimap curve and time."""
    rows = []
    for result in results:
        curve = result.band_curve()
        rows.append(
            [
                result.condition.title,
                *(percent(value) for value in (result.truth_mean_iou(), *(result.iou(name) for name in FURNITURE))),
                *(percent(float(curve[width - 1])) for width in (2, 4, 8, 16, 40)),
                f"{result.milliseconds:.0f}",
            ]
        )
    return _table(["run", "mIoU", "chair", "sofa", "2 px", "4 px", "8 px", "16 px", "40 px", "ms"], rows)
