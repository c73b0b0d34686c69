"""Orders to look at a folder in, and places in its images, as text."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from deeplab_core.analysis.folder_ranking import FolderRanking
    from deeplab_core.geometry import Box


def order_lines(ranking: FolderRanking, top: int, only: Collection[str] = ()) -> list[str]:
    """The first images of every order, or of some, each below a line that says what the order is."""
    lines = []
    for order in ranking.scores:
        if only and order not in only:
            continue
        scores = ranking.scores[order]
        form = "12,.0f" if any(score > 1 for score in scores.values()) else "12.4f"  # pixels, or a share
        lines += ["", f"Worst first by {order}: {ranking.text[order]}"]
        lines += [f"  {scores[name]:{form}}  {name}" for name in ranking.order(order)[:top]]
    return lines


def gain_lines(ranking: FolderRanking) -> list[str]:
    """How well every order finds the wrong pixels, beside a random one; nothing where there is no truth, or nothing is wrong."""
    gains = [(order, gain) for order in ranking.scores if (gain := ranking.gain(order)) is not None]
    if not gains:
        return []
    lines = ["", f"{'Wrong px found, images worst first':36} {'first tenth':>11} {'area':>6} {'skill':>6}"]
    lines += [
        f"  {order:34} {gain.found_after(0.1):11.1%} {gain.area:6.3f} {'' if math.isnan(gain.skill) else f'{gain.skill:.2f}':>6}"
        for order, gain in gains
    ]
    best = max(gain.best_area for _order, gain in gains)
    return [
        *lines,
        f"  {'(a random order)':34} {0.1:11.1%} {0.5:6.3f} {0:6.2f}",
        f"  {'(the best there is)':34} {'':11} {best:6.3f} {1:6.2f}",
    ]


def place_text(image: str, box: Box) -> str:
    """Image and first and last column and row of a box."""
    return f"{image}  x {box.x}..{box.x + box.width - 1}, y {box.y}..{box.y + box.height - 1}"
