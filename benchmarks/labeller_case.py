"""What the simulated labeller of ``strokes.py`` sees and knows: an image with its truth, and the component that it works on."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from deeplab_core.catalogs import get_catalog
from deeplab_core.correction import ClickModel, Corrector, Hierarchy, Proposal
from deeplab_core.geometry import Box
from deeplab_core.regions import find_regions

CATALOG = get_catalog("voc21")
CLICK, STROKE_SPEED, TRACE_SPEED = 1.5, 150.0, 80.0
DIRECTIONS = 12
#: Candidates whose cost of mIoU is computed, the largest first.
_COSTED = 40


@dataclass
class Case:
    """One photograph: what the labeller sees, and what it knows."""

    name: str
    rgb: np.ndarray
    truth: np.ndarray
    labels: np.ndarray
    scores: np.ndarray
    regions: Hierarchy | None = None
    click_model: ClickModel | None = None

    @cached_property
    def valid(self) -> np.ndarray:
        """(H, W) bool: where the truth is known."""
        return np.asarray(self.truth != CATALOG.ignore)

    @property
    def start(self) -> float:
        return mean_iou(self.truth, self.labels)

    def corrector(self, prepared: bool) -> Corrector:
        """The tools; the image's regions are computed once, whatever row of the table asks first."""
        made = Corrector(self.rgb, self.labels, catalog=CATALOG, scores=self.scores, click_model=self.click_model)
        if prepared:
            if self.regions is None:
                self.regions = made.prepare()
            made.hierarchy = self.regions
        return made


def mean_iou(truth: np.ndarray, labels: np.ndarray) -> float:
    """Over the classes of the truth, without its void: the program's usual rule."""
    return _mean(_confusion(truth, labels))


def _confusion(truth: np.ndarray, labels: np.ndarray) -> np.ndarray:
    valid = truth != CATALOG.ignore
    return np.bincount(truth[valid].astype(np.int64) * 256 + labels[valid], minlength=1 << 16).reshape(256, 256)


def _mean(table: np.ndarray) -> float:
    hit, union = table.diagonal().astype(float), (table.sum(0) + table.sum(1) - table.diagonal()).astype(float)
    present = table.sum(1) > 0
    return float((hit[present] / union[present]).mean()) if present.any() else 1.0


@dataclass
class Target:
    """The component that the labeller works on.

    Attributes:
        cls: its true class.
        x, y: its deepest pixel, ``depth`` px from its border.
        box, mask: its pixels.
        gain: (H, W) int8: 1 where ``cls`` would make a pixel right, -1 where it would make it wrong.
        rays: the straight lines of its pixels through the deepest one, by direction: x and y of both ends.
    """

    cls: int
    x: int
    y: int
    depth: float
    box: Box
    mask: np.ndarray
    pixels: int
    gain: np.ndarray
    rays: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)

    @property
    def chord(self) -> np.ndarray:
        """The longest of its rays, a little shortened: (2, 2) x and y."""
        lengths = [np.hypot(*(b - a)) for a, b in self.rays]
        a, b = self.rays[int(np.argmax(lengths))]
        middle = np.array([self.x + 0.5, self.y + 0.5])
        return np.stack([middle + 0.85 * (a - middle), middle + 0.85 * (b - middle)])


def components_of(truth: np.ndarray, labels: np.ndarray) -> Any:
    return find_regions(truth, (labels != truth) & (truth != CATALOG.ignore))


def choose(case: Case, labels: np.ndarray, order: str) -> Target | None:
    """The largest component, or of the largest the one that costs most mIoU."""
    found = components_of(case.truth, labels)
    if not len(found):
        return None
    row = int(found.pixels.argmax())
    if order == "iou":
        table, gains = _confusion(case.truth, labels), []
        for candidate in np.argsort(-found.pixels, kind="stable")[:_COSTED].tolist():
            moved = np.bincount(labels[found.box(candidate).slices][found.mask(candidate)], minlength=256)
            value, repaired = found.values[candidate], table.copy()
            repaired[value] -= moved
            repaired[value, value] += moved.sum()
            gains.append((-_mean(repaired), candidate))
        row = min(gains)[1]
    return target_of(case, labels, found, row)


def target_of(case: Case, labels: np.ndarray, found: Any, row: int) -> Target:
    box, mask, cls = found.box(row), found.mask(row), int(found.values[row])
    depth = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    y, x = np.unravel_index(int(depth.argmax()), depth.shape)
    right = labels == case.truth
    own = case.truth == cls
    gain = (case.valid & own & (labels != cls)).view(np.int8) - (case.valid & ~own & right).view(np.int8)
    target = Target(cls, box.x + int(x), box.y + int(y), float(depth.max()), box, mask, int(mask.sum()), gain)
    for angle in np.arange(DIRECTIONS) * np.pi / DIRECTIONS:
        ends = []
        for sign in (-1.0, 1.0):
            step, at = np.array([np.cos(angle), np.sin(angle)]) * sign, np.array([x + 0.5, y + 0.5])
            while True:
                following = at + step
                column, line = int(np.floor(following[0])), int(np.floor(following[1]))
                if not (0 <= column < box.width and 0 <= line < box.height and mask[line, column]):
                    break
                at = following
            ends.append(at + np.array([box.x, box.y]))
        target.rays.append((ends[0], ends[1]))
    return target


@dataclass
class Offer:
    """What a tool would do: pixels and their labels, how long it takes, and what drew it."""

    tool: str
    proposal: Proposal
    seconds: float
    drawn: bool = False


def won(case: Case, labels: np.ndarray, proposal: Proposal) -> int:
    """Pixels that it makes right, less those that it makes wrong."""
    place = proposal.bounds.slices
    truth, before, mask = case.truth[place], labels[place], proposal.mask[place]
    after = proposal.labels if isinstance(proposal.labels, int) else proposal.labels[place]
    counted = mask & case.valid[place]
    return int(np.count_nonzero((after == truth) & counted)) - int(np.count_nonzero((before == truth) & counted))


class Most:
    """What the best offer so far wins: an offer that cannot win more need not be computed, the choice stays the same."""

    def __init__(self, counts: bool = True) -> None:
        """``counts`` False: every offer is computed, as each tool is asked for its own best."""
        self.counts = counts
        self.gain = -(1 << 60)

    def beaten_by(self, bound: int) -> bool:
        """Whether an offer that wins at most ``bound`` can win more."""
        return not self.counts or bound > self.gain
