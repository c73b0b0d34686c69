"""The simulated labeller of ``strokes.py``: it knows the truth and chooses by it; the tools never see it.

Each action it takes the largest 8-connected component of wrong pixels of one true class (or the one that costs most mIoU), points
at its deepest pixel, lets every tool make its best offer, and takes the one that makes most pixels right.
"""

from __future__ import annotations

import os
import sys
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from labeller_case import CATALOG, CLICK, Case, Most, Offer, Target, choose, components_of, mean_iou, target_of, won
from labeller_tools import lines_only, offers_of, shaken_mask

from deeplab_core.correction import Corrector, Proposal

__all__ = [
    "CATALOG", "CLICK", "Case", "Most", "Row", "best", "choose", "components_of", "mean_iou", "offers", "shaken_mask",
    "target_of", "won", "work",
]  # fmt: skip

TARGETS = (0.85, 0.90, 0.95)
MOST = 60

cv2.setNumThreads(1)


@dataclass(frozen=True)
class Row:
    """Tools of a row of the table, and how the labeller works."""

    tools: tuple[str, ...]
    order: str = "area"
    unsteady: bool = False


def offers(
    row: Row, case: Case, target: Target, corrector: Corrector, rng: np.random.Generator | None, most: Most | None = None
) -> Iterator[Offer]:
    """What the tools of a row offer, in the order of the row; what cannot win more than ``most`` is left out."""
    for tool in row.tools:
        yield from offers_of(tool, "over" in row.tools, case, target, corrector, rng, most or Most(counts=False))


def best(case: Case, labels: np.ndarray, found: Iterator[Offer], most: Most) -> tuple[Offer | None, dict[str, tuple[int, float]]]:
    """The offer that wins most, of equals the first; and of each tool what its best wins, and its milliseconds of CPU."""
    chosen: Offer | None = None
    tools: dict[str, tuple[int, float]] = {}
    before = 0.0 if most.counts else time.process_time()
    for offer in found:
        gain = won(case, labels, offer.proposal)
        if not most.counts:
            now = time.process_time()
            known = tools.get(offer.tool, (gain, 0.0))
            tools[offer.tool] = max(known[0], gain), known[1] + 1e3 * (now - before)
            before = now
        if gain > most.gain:
            most.gain, chosen = gain, offer
    return chosen, tools


def work(case: Case, row: Row) -> dict[str, Any]:
    """Correct one image; mIoU, seconds and tool of every action."""
    corrector = case.corrector(prepared=not lines_only(row.tools))
    ious, seconds, tools, milliseconds = [mean_iou(case.truth, case.labels)], [0.0], [""], [0.0]
    while ious[-1] < TARGETS[-1] and len(ious) <= MOST:
        target = choose(case, corrector.labels, row.order)
        if target is None:
            break
        seed = zlib.crc32(f"{case.name} {len(ious)}".encode())
        rng = np.random.default_rng(seed) if row.unsteady else None
        before, most = time.process_time(), Most()
        offer, _ = best(case, corrector.labels, offers(row, case, target, corrector, rng, most), most)
        milliseconds.append(1e3 * (time.process_time() - before))
        if offer is None:
            break
        proposal: Proposal | None = offer.proposal
        if row.unsteady and offer.drawn:
            proposal = shaken_mask(offer.proposal, np.random.default_rng(seed))
        if proposal is not None:
            corrector.apply(proposal)
        ious.append(mean_iou(case.truth, corrector.labels))
        seconds.append(seconds[-1] + offer.seconds)
        tools.append(offer.tool)
    return {"iou": ious, "seconds": seconds, "tools": tools, "ms": milliseconds}
