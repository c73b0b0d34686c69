"""A simulated user: what is to be corrected, with which mask it begins, and where the clicks go.

Two kinds of task. *An object*: a component of a class, from an empty mask, as RITM trains. *A correction*: the mask of a class as
a network left it, with a click into one component of wrong pixels (FocalClick's interactive mask correction, arXiv 2204.02574).
This is what a labeller does here. Labels without a network's mask get one that is wrong in similar ways (:func:`spoiled`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from deeplab_core.geometry import Box
from deeplab_core.regions import Mask, Regions, find_regions

#: Components of fewer pixels are left alone: as an object, and as an error.
LEAST_OBJECT, LEAST_ERROR = 80, 10
#: Of a correction, what is right within so many px of the clicked error weighs as much as the error itself, up to this factor for
#: each of its pixels; what is farther away weighs little. The answer is only taken around the click.
NEAR, MOST_WEIGHT, FAR_WEIGHT = 20, 30.0, 0.1


@dataclass(eq=False)
class Task:
    """What the network shall answer, and what the user has said so far.

    Attributes:
        target: (H, W) bool, what is right.
        weight: (H, W) float32; 0 where anything is right: void, and errors without a click.
        mask: (H, W) float32 0..1, the mask so far.
        points: row, column and sign of each click.
    """

    target: Mask
    weight: NDArray[np.float32]
    mask: NDArray[np.float32]
    points: list[tuple[int, int, bool]] = field(default_factory=list)


def deepest(mask: Mask) -> tuple[int, int, float]:
    """Row and column of the pixel farthest from a mask's border, and its distance; the image's edge is a border."""
    depth = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    row, column = np.unravel_index(int(depth.argmax()), depth.shape)
    return int(row), int(column), float(depth[row, column])


def place_in(mask: Mask, drawn: np.random.Generator) -> tuple[int, int]:
    """Where a user clicks on a component: its deepest pixel, or one about as deep as a third of that."""
    depth = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    if drawn.random() < 0.5:
        row, column = np.unravel_index(int(depth.argmax()), depth.shape)
        return int(row), int(column)
    rows, columns = np.nonzero(depth >= max(float(depth.max()) * drawn.uniform(0.3, 0.9), 0.5))
    one = int(drawn.integers(len(rows)))
    return int(rows[one]), int(columns[one])


def next_click(
    probability: NDArray[np.float32], target: Mask, counts: Mask, drawn: np.random.Generator | None = None
) -> tuple[int, int, bool] | None:
    """RITM's iterative sampling: a click in the largest component of wrong pixels.

    Args:
        probability: (H, W) of the network.
        target: (H, W) bool.
        counts: (H, W) bool, pixels that are judged.
        drawn: for a random place; None takes the deepest pixel.

    Returns:
        Row, column, and whether the pixel belongs to the target; None if nothing is wrong.
    """
    inside = probability > 0.5
    largest: tuple[int, Box, Mask, bool] | None = None
    for sign, wrong in ((True, target & ~inside & counts), (False, inside & ~target & counts)):
        _, numbers, stats, _ = cv2.connectedComponentsWithStats(wrong.astype(np.uint8), connectivity=8, ltype=cv2.CV_32S)
        if len(stats) < 2:
            continue
        row = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
        pixels = int(stats[row, cv2.CC_STAT_AREA])
        if largest is None or pixels > largest[0]:
            box = Box(*(int(part) for part in stats[row, :4]))
            largest = pixels, box, np.asarray(numbers[box.slices] == row), sign
    if largest is None:
        return None
    _, box, mask, sign = largest
    y, x = deepest(mask)[:2] if drawn is None else place_in(mask, drawn)
    return box.y + y, box.x + x, sign


def smooth_field(shape: tuple[int, int], cells: int, drawn: np.random.Generator) -> NDArray[np.float32]:
    """(H, W) smooth noise of deviation 1 at its points, ``cells`` points along a side."""
    coarse = drawn.normal(size=(cells, cells)).astype(np.float32)
    return np.asarray(cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_CUBIC), np.float32)


def spoiled(truth: NDArray[np.uint8], ignore: int, drawn: np.random.Generator) -> NDArray[np.uint8]:
    """A label map that is wrong as a network's is: wavy outlines that miss thin parts, swapped and missed parts of objects.

    Args:
        truth: (H, W) with void ``ignore``; void gets the class of what is near.
    """
    shape = (truth.shape[0], truth.shape[1])
    ids = [int(value) for value in np.unique(truth) if value != ignore]
    if len(ids) < 2:
        return truth.copy()
    changed = truth.copy()
    for _ in range(int(drawn.integers(0, 4))):
        part = find_regions(changed, changed != ignore)
        row = int(drawn.integers(len(part)))
        if part.pixels[row] > 0.5 * truth.size or part.pixels[row] < 20:
            continue
        where = part.numbers == row + 1
        if drawn.random() < 0.6:
            where &= smooth_field(shape, int(drawn.integers(3, 8)), drawn) > drawn.normal() * 0.5
        near = changed[cv2.dilate(where.astype(np.uint8), np.ones((9, 9), np.uint8)).astype(bool) & ~where]
        near = near[near != ignore]
        changed[where] = int(drawn.choice(near)) if near.size else int(drawn.choice(ids))
    sigma, waves = drawn.uniform(1.0, 6.0), drawn.uniform(0.0, 0.35)
    best, labels = np.full(shape, -np.inf, np.float32), changed.copy()
    for value in ids:
        score = cv2.GaussianBlur((changed == value).astype(np.float32), (0, 0), sigma)
        score += np.float32(waves) * smooth_field(shape, int(drawn.integers(10, 40)), drawn) * (score > 0.02)
        better = score > best
        best[better], labels[better] = score[better], value
    return labels


def objects_of(truth: NDArray[np.uint8], ignore: int, background: int | None) -> Regions:
    """Components of the classes of an (H, W) map, without void and the class that is no object."""
    return find_regions(truth, (truth != ignore) & (truth != (ignore if background is None else background)))


def errors_of(truth: NDArray[np.uint8], labels: NDArray[np.uint8], ignore: int) -> Regions:
    """Components of wrong pixels of one true class."""
    return find_regions(truth, (labels != truth) & (truth != ignore))


def _drawn_row(found: Regions, rows: NDArray[np.int64], drawn: np.random.Generator) -> int:
    """One of the rows, large components more often: by the root of their pixels."""
    share = np.sqrt(found.pixels[rows].astype(np.float64))
    return int(drawn.choice(rows, p=share / share.sum()))


def object_task(truth: NDArray[np.uint8], ignore: int, found: Regions, drawn: np.random.Generator) -> Task | None:
    """A component of a class from an empty mask, with its first click.

    Args:
        truth: (H, W).
        ignore: void.
        found: its objects, see :func:`objects_of`.
    """
    rows = np.flatnonzero((found.pixels >= LEAST_OBJECT) & (found.pixels < 0.8 * truth.size))
    if not rows.size:
        return None
    row = _drawn_row(found, rows, drawn)
    target = found.numbers == row + 1
    weight = ((truth != ignore) & (target | (truth != found.values[row]))).astype(np.float32)
    task = Task(target, weight, np.zeros(truth.shape, np.float32))
    task.points.append((*place_in(target, drawn), True))
    return task


def correction_task(
    truth: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    ignore: int,
    found: Regions,
    drawn: np.random.Generator,
    background: int | None = None,
) -> Task | None:
    """The mask of a class with one of its errors clicked: a missing part, or one too many.

    What is background in truth is mostly taken from its wrong class; other errors are mostly given to their true class.

    Args:
        truth: (H, W) with void ``ignore``.
        labels: (H, W) of a network.
        found: its errors, see :func:`errors_of`.
        background: the class that is no object, or None.
    """
    rows = np.flatnonzero(found.pixels >= LEAST_ERROR)
    if not rows.size:
        return None
    row = _drawn_row(found, rows, drawn)
    box = found.box(row)
    y, x = place_in(found.mask(row), drawn)
    y, x = y + box.y, x + box.x
    positive = bool(labels[y, x] == ignore or drawn.random() < (0.15 if found.values[row] == background else 0.8))
    cls = int(found.values[row]) if positive else int(labels[y, x])
    own, target, known = labels == cls, truth == cls, truth != ignore
    wrong = (own != target) & known
    clicked = found.numbers == row + 1 if positive else _component(wrong & ~target, y, x)
    right = known & ~wrong
    near = cv2.dilate(clicked.astype(np.uint8), np.ones((2 * NEAR + 1,) * 2, np.uint8)).astype(np.bool_) & right
    weight = np.where(right, np.float32(FAR_WEIGHT), np.float32(0))
    weight[near] = 1
    weight[clicked] = np.clip(near.sum() / max(int(clicked.sum()), 1), 1.0, MOST_WEIGHT)
    task = Task(target, weight, own.astype(np.float32))
    task.points.append((y, x, positive))
    return task


def _component(mask: Mask, row: int, column: int) -> Mask:
    _, numbers = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    return np.asarray(numbers == numbers[row, column])
