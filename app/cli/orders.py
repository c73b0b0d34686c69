"""Orders to look at a folder in, and places in its images, as text."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from deeplab_core.inspection.folder_ranking import FolderRanking
    from deeplab_core.inspection.ranking import GainCurve
    from deeplab_core.inspection.regions import Box


def order_lines(ranking: FolderRanking, top: int, only: Collection[str] = ()) -> list[str]:
    """The first images of every order, or of some, below a line that says what the order is and how well it found the errors."""
    lines = []
    for order in ranking.scores:
        if only and order not in only:
            continue
        gain = ranking.gain(order)
        found = "" if gain is None else f"; {gain_text(gain)}"
        lines += ["", f"Worst first by {order}: {ranking.text[order]}{found}"]
        lines += [f"  {ranking.scores[order][name]:12.4f}  {name}" for name in ranking.order(order)[:top]]
    return lines


def gain_text(gain: GainCurve) -> str:
    """What an order found, in one clause."""
    skill = "" if math.isnan(gain.skill) else f", skill {gain.skill:.2f}"
    return f"finds {gain.found_after(0.1):.0%} of the wrong px in the first tenth of the images, area {gain.area:.3f}{skill}"


def place_text(image: str, box: Box) -> str:
    """Image and first and last column and row of a box."""
    return f"{image}  x {box.x}..{box.x + box.width - 1}, y {box.y}..{box.y + box.height - 1}"
