"""Rankings of a folder, and places in its images, as text."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from deeplab_core.printable import one_line

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from deeplab_core.analysis import FolderAnalysis
    from deeplab_core.geometry import Box


def ranking_lines(folder: FolderAnalysis, top: int, only: Collection[str] = ()) -> list[str]:
    """The first images of every ranking by a score of the predictions, or of some rankings, each below a heading."""
    from deeplab_core.analysis.ranking import RANKINGS

    lines = []
    for name in _measured(folder):
        if only and name not in only:
            continue
        scores = folder.scores(name)
        form = "12,.0f" if any(score > 1 for score in scores.values()) else "12.4f"  # pixels, or a share
        lines += ["", f"Worst first by {name}: {RANKINGS[name].text}"]
        lines += [f"  {scores.get(image, math.nan):{form}}  {one_line(image)}" for image in folder.ranking(name)[:top]]
    return lines


def gain_lines(folder: FolderAnalysis) -> list[str]:
    """How well every ranking finds the wrong pixels, beside a random one; nothing without ground truth or errors."""
    gains = [(name, gain) for name in _measured(folder) if (gain := folder.gain(name)) is not None]
    if not gains:
        return []
    lines = ["", f"{'Wrong px found, images worst first':36} {'first tenth':>11} {'area':>6} {'skill':>6}"]
    lines += [
        f"  {name:34} {gain.found_after(0.1):11.1%} {gain.area:6.3f} {'' if math.isnan(gain.skill) else f'{gain.skill:.2f}':>6}"
        for name, gain in gains
    ]
    best = max(gain.best_area for _name, gain in gains)
    return [
        *lines,
        f"  {'(a random order)':34} {0.1:11.1%} {0.5:6.3f} {0:6.2f}",
        f"  {'(the best there is)':34} {'':11} {best:6.3f} {1:6.2f}",
    ]


def _measured(folder: FolderAnalysis) -> list[str]:
    from deeplab_core.analysis.ranking import OF_PREDICTION

    scored = folder.scored()
    return [name for name in OF_PREDICTION if scored[name]]


def with_old_key(data: Mapping[str, Any]) -> dict[str, Any]:
    """Figures for JSON with ``rankings`` also under ``orders``, its name in version 0.1."""
    return {**data, "orders": data["rankings"]} if "rankings" in data else dict(data)


def place_text(image: str, box: Box) -> str:
    """Image and first and last column and row of a box."""
    return f"{one_line(image)}  x {box.x}..{box.x + box.width - 1}, y {box.y}..{box.y + box.height - 1}"
