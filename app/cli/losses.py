"""What a class loses by kind, and what a pair of classes costs, as lines on a terminal."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from deeplab_core.wording import count

if TYPE_CHECKING:
    from deeplab_core.analysis import CellLoss, FolderAnalysis, PairLoss
    from deeplab_core.analysis.pairs import Bounds
    from deeplab_core.catalogs.catalog import ClassCatalog


def class_lines(folder: FolderAnalysis, class_id: int) -> str:
    """Kinds of failure of one class: its misses and its false alarms apart, share of its loss, IoU won by fixing the kind."""
    from deeplab_core.analysis import KIND_TEXT
    from deeplab_core.analysis.kinds import KIND_NEEDS
    from deeplab_core.analysis.record import ERROR_PIXELS
    from deeplab_core.metrics.scores import hits, prediction_pixels, truth_pixels

    catalog, channel = folder.catalog, folder.catalog.index_of(class_id)
    counts = folder.total(ERROR_PIXELS)
    right, truth, called = (int(of(counts)[channel]) for of in (hits, truth_pixels, prediction_pixels))
    name = catalog.names[channel]
    loss, union = truth + called - 2 * right, truth + called - right
    head = f"{name}: IoU {right / union:.3f}" if union else f"{name}: in neither ground truth nor prediction"
    lines = ["", f"{head}, {truth - right:,} px missed, {called - right:,} px of false alarms"]
    lines.append(f"  {'kind':18} {'of its loss':>11} {'missed px':>12} {'false px':>12} {'IoU won':>8}")
    for row in folder.failures():
        missed, false = int(row.missed[channel]), int(row.false[channel])
        if row.kind in folder.unmeasured:
            lines.append(f"  {row.kind.value:18} not measured: {KIND_NEEDS[row.kind]}")
        elif missed or false:
            gain = float(row.gain[channel])
            won = "" if math.isnan(gain) else f"{100 * gain:+8.2f}"
            share = f"{(missed + false) / loss:11.1%}"
            lines.append(f"  {row.kind.value:18} {share} {missed:12,} {false:12,} {won}  {KIND_TEXT[row.kind]}")
    return "\n".join(lines)


def pair_lines(loss: PairLoss, catalog: ClassCatalog) -> str:
    """A cell, or a pair in both directions."""
    names = {info.id: info.name for info in catalog.classes} | {catalog.ignore: "void"}
    first = loss.cells[0]
    sign = " / " if len(loss.cells) > 1 else " called "
    title = f"{names[first.truth]}{sign}{names[first.prediction]}"
    if not loss.pixels:
        return f"\n{title}: no pixel in {count(loss.inspected, 'image')}"
    where = f"in {loss.images} of {count(loss.inspected, 'image')}; {loss.largest_share:.1%} of it in {loss.largest_image}"
    lines = ["", f"{title}: {loss.pixels:,} px, {loss.share:.1%} of all wrong px, {where}"]
    lines.append(f"  {'':18} {'share of its loss':>28} {'missed px':>22} {'false px':>22} {'IoU':>6} {'fixed':>6}  IoU won")
    for one in loss.classes:
        share = f"{one.share:.1%}{_bounds(one.share_interval, '')}"
        missed, false = _of(one.missed_px, one.misses), _of(one.false_px, one.false_alarms)
        won = "" if math.isnan(one.gain) else f"{100 * one.gain:+.2f}{_bounds(one.gain_interval, '+')}"
        lines.append(
            f"  {names[one.class_id]:18} {share:>28} {missed:>22} {false:>22} {_score(one.iou)} {_score(one.repaired)}  {won}"
        )
    gain = f"{100 * loss.mean_gain:+.2f}{_bounds(loss.mean_interval, '+')}"
    lines.append(f"  {'mIoU':18} {'':28} {'':22} {'':22} {_score(loss.mean_iou)} {_score(loss.repaired_mean)}  {gain}")
    for cell in loss.cells:
        lines += _cell_lines(cell, names)
    return "\n".join(lines)


def _cell_lines(cell: CellLoss, names: dict[int, str]) -> list[str]:
    from deeplab_core.analysis.kinds import PARTS
    from deeplab_core.analysis.pairs import OCCLUSION, SIZE_EDGES

    truth, called = names[cell.truth], names[cell.prediction]
    if not cell.pixels:
        return [f"  {truth} called {called}: no pixel"]
    largest = f"most of it, {cell.largest_px / cell.pixels:.1%}, in {cell.largest_image}"
    lines = [
        f"  {truth} called {called}: {cell.pixels:,} px, {count(cell.components, 'component')}, "
        f"{count(cell.images, 'image')}; {largest}"
    ]
    names_of_parts = [part.value for part in PARTS]
    lines.append(f"    as missed {truth}: {_parts(names_of_parts, cell.missed)}")
    if sum(cell.false):
        lines.append(f"    as false {called}: {_parts(names_of_parts, cell.false)}")
    lines.append(f"    occlusion: {_parts([name.replace('_', ' ') for name in OCCLUSION], cell.occlusion)}")
    sizes = [f"from {low:g}" for low in SIZE_EDGES] + ["no object"]
    lines.append(f"    object px: {_parts(sizes, cell.sizes)}")
    return lines


def _parts(names: list[str], values: tuple[int, ...]) -> str:
    whole = sum(values)
    return ", ".join(f"{name} {value:,} ({value / whole:.1%})" for name, value in zip(names, values, strict=True) if value)


def _of(part: int, whole: int) -> str:
    return f"{part:,} of {whole:,}"


def _score(value: float) -> str:
    return "     -" if math.isnan(value) else f"{value:6.3f}"


def _bounds(bounds: Bounds, sign: str) -> str:
    return "" if any(map(math.isnan, bounds)) else f" [{100 * bounds[0]:{sign}.1f}, {100 * bounds[1]:{sign}.1f}]"
