"""The study's tables."""

from __future__ import annotations

import math
from collections.abc import Sequence

from deeplab_core.analysis import ObjectAxis
from deeplab_core.analysis.ablation import WORDS, Ablation
from deeplab_core.analysis.verdicts import ScoreChange, Verdict
from tools.page_parts import percent, points, table
from tools.studies.chairs_and_sofas.runs import FURNITURE, KINDS, SETTINGS, Result

_KIND_TITLES = {
    "boundary": "boundary", "extent": "extent", "segment": "segment", "missed_object": "missed object",
    "occluder_cut": "cut by another object",
}  # fmt: skip
#: Scores of a comparison that the tables show.
_SCORES = ("mIoU", "chair", "sofa", "mIoU within 4 px", "mIoU within 16 px")


def overall(results: Sequence[Result]) -> str:
    """Mean IoU, chair and sofa of every network on every set, with intervals."""
    rows = []
    for result in results:
        cells = [f"{result.model} on {result.data.images} {result.data.title}", percent(result.truth_mean_iou())]
        for name in FURNITURE:
            low, high = result.iou_interval(name)
            cells.append(f"{percent(result.iou(name))} ({percent(low)} to {percent(high)})")
        cells += [percent(result.visible_half(name)) if result.data.objects else "–" for name in FURNITURE]
        rows.append(cells)
    return table(
        ["network and images", "mIoU", "chair", "sofa", "chair, half or more visible", "sofa, half or more visible"], rows
    )


def networks(compared: Sequence[tuple[Result, Ablation]]) -> str:
    """What the other network changes on each set: the last row of each comparison."""
    rows = []
    for own, found in compared:
        other = found.others[-1]
        changes = _named(found, len(found.others) - 1)
        rows.append([f"{own.data.title}, {other.model} against {own.model}", *(_change(changes.get(name)) for name in _SCORES)])
    return table(["images", *_SCORES], rows)


def slices(result: Result, axis: ObjectAxis) -> str:
    """Chair and sofa by an axis: objects, IoU, recall, share swapped and lost."""
    rows = []
    for name in FURNITURE:
        for row in result.sliced(axis, name):
            end = "" if math.isinf(row.high) else f" to {row.high:.0%}"
            span = f"{row.low:.0%}{end}" if end else f"{row.low:.0%} and more"
            figures = [percent(value) for value in (row.iou, row.recall, row.swapped, row.lost)]
            rows.append([name, span, str(row.objects), *figures])
    return table(["class", "slice", "objects", "IoU", "recall", "swapped px", "objects lost"], rows)


def losses(results: Sequence[Result]) -> str:
    """Where the wrong pixels of chair and sofa are, and what fixing each kind would gain."""
    head = ["kind of failure"]
    swaps = ["chair and sofa swapped"]
    for result in results:
        head += [f"{name}, {result.data.title}" for name in FURNITURE]
        for name in FURNITURE:
            found = result.swap(name)
            low, high = (percent(end) for end in found.share_interval)
            swaps.append(f"{percent(found.share)} % ({low} to {high}) (+{percent(found.gain)})")
    rows = [swaps]
    for kind in KINDS:
        cells = [_KIND_TITLES[kind]]
        for result in results:
            for name in FURNITURE:
                share, gain = result.loss(name)[kind]
                cells.append(f"{percent(share)} % (+{percent(gain)})")
        rows.append(cells)
    return table(head, rows)


def pairs(results: Sequence[Result]) -> str:
    """The pair by direction, part and occlusion, and how much of it one image holds."""
    head = ["", *(f"{result.data.title}" for result in results)]
    found = [result.pair for result in results]
    rows = [
        [f"{FURNITURE[way]} called {FURNITURE[1 - way]}, px", *(f"{pair.cells[way].pixels:,}" for pair in found)]
        for way in (0, 1)
    ]
    for at, part in enumerate(("boundary", "extent", "segment")):
        rows.append([f"of these {part}", *(_share(sum(cell.missed[at] for cell in pair.cells), pair.pixels) for pair in found)])
    rows.append(
        ["of objects that another one cuts", *(_share(sum(c.occlusion[0] for c in pair.cells), pair.pixels) for pair in found)]
    )
    rows.append(["images with such a pixel", *(f"{pair.images} of {pair.inspected}" for pair in found)])
    rows.append(["in the image with most of it", *(f"{percent(pair.largest_share)} %" for pair in found)])
    return table(head, rows)


def conditions(found: Ablation) -> str:
    """What each setting changes: scores near edges and everywhere, and time. The rows of another network are left out."""
    own = [place for place, row in enumerate(found.others) if row.model == found.plain.model]
    first = _named(found, own[0])
    rows = [[SETTINGS[""], *(percent(first[name].before) for name in _SCORES), f"{found.plain.cpu_seconds:.2f}"]]
    for place in own:
        row, changes = found.others[place], _named(found, place)
        rows.append([SETTINGS[row.variant], *(_change(changes.get(name)) for name in _SCORES), f"{row.cpu_seconds:.2f}"])
    return table(["run", *_SCORES, "s of CPU"], rows)


def _named(found: Ablation, place: int) -> dict[str, ScoreChange]:
    comparison = found.others[place].comparison
    assert comparison is not None
    return {change.name: change for change in (*comparison.overall, *comparison.classes)}


def _change(change: ScoreChange | None) -> str:
    if change is None or math.isnan(change.difference):
        return "–"
    word = f" **{WORDS[change.verdict]}**" if change.verdict in (Verdict.BETTER, Verdict.WORSE) else ""
    return f"{points(change.difference)} [{points(change.low)}, {points(change.high)}]{word}"


def _share(part: int, whole: int) -> str:
    return f"{percent(part / whole)} %" if whole else "–"
