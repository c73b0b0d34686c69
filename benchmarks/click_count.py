"""How many clicks a click network needs for an object, from an empty mask, on photographs that it never saw.

    python benchmarks/click_count.py --out DIR --click-model FILE [--list 40|tune] [--objects 3]

The usual protocol (RITM, arXiv 2102.06583, section 4): the first click lies on the pixel of the object that is farthest from its
border, each further one in the largest component of wrong pixels; void counts nowhere; an object that is not reached in 20 clicks
counts 20. Objects are the largest 8-connected components of a class in each photograph of ``strokes.py``'s list, background
excepted; these are labels of classes, so touching objects of one class count as one. ``DIR`` is that of ``strokes.py``.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import cv2
import numpy as np
from labeller_case import CATALOG, Case
from strokes import cases, chosen

from deeplab_core.backends import load_click_model
from deeplab_core.correction import ClickModel
from deeplab_core.regions import Mask, find_regions

TARGETS = (0.80, 0.85, 0.90)
MOST = 20
#: Smaller components are no objects, px.
LEAST = 400


def objects(case: Case, count: int) -> list[Mask]:
    found = find_regions(case.truth, case.valid & (case.truth != CATALOG.background))
    rows = [row for row in np.argsort(-found.pixels, kind="stable").tolist() if found.pixels[row] >= LEAST]
    return [np.asarray(found.numbers == row + 1) for row in rows[:count]]


def next_point(wrong: Mask) -> tuple[int, int]:
    """Column and row of the deepest pixel of the largest component."""
    _, numbers, stats, _ = cv2.connectedComponentsWithStats(wrong.astype(np.uint8), connectivity=8)
    largest = numbers == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    depth = cv2.distanceTransform(np.pad(largest, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    row, column = np.unravel_index(int(depth.argmax()), depth.shape)
    return int(column), int(row)


def ious(model: ClickModel, case: Case, target: Mask) -> tuple[list[float], list[float]]:
    """IoU after each click, and its CPU in ms."""
    points, signs, found, spent = [], [], [], []
    mask = np.zeros(target.shape, np.bool_)
    empty = mask.copy()
    while len(points) < MOST:
        wrong = (mask != target) & case.valid
        if not wrong.any():
            break
        x, y = next_point(wrong)
        points.append((x + 0.5, y + 0.5))
        signs.append(bool(target[y, x]))
        start = time.process_time()
        answers = model.masks(case.rgb, np.array(points), np.array(signs), None, empty)
        spent.append(1e3 * (time.process_time() - start))
        mask = np.asarray(answers[0] if len(answers) else empty, np.bool_)
        union = ((mask | target) & case.valid).sum()
        found.append(float((mask & target & case.valid).sum() / union))
        if found[-1] >= TARGETS[-1]:
            break
    return found, spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--click-model", type=Path, required=True)
    parser.add_argument("--list", choices=("40", "20", "tune"), default="40")
    parser.add_argument("--objects", type=int, default=3, help="most objects of an image")
    asked = parser.parse_args()
    model = load_click_model(asked.click_model)
    curves, spent, images = [], [], 0
    for case in chosen(cases(asked.out), asked.list):
        masks = objects(case, asked.objects)
        images += bool(masks)
        for target in masks:
            found, times = ious(model, case, target)
            curves.append(found)
            spent.extend(times)
    print(f"{len(curves)} objects in {images} photographs, {np.median(spent):.0f} ms of CPU per click (median)")
    for target in TARGETS:
        counts = np.array([next((n + 1 for n, iou in enumerate(found) if iou >= target), MOST) for found in curves])
        reached = np.mean([max(found) >= target for found in curves])
        print(f"IoU {target:.2f}: {counts.mean():5.2f} clicks, median {np.median(counts):4.1f}, reached {reached:.2f}")
    for number in (1, 3, 5):
        print(f"IoU after {number} click(s): {np.mean([found[min(number, len(found)) - 1] for found in curves]):.3f}")


if __name__ == "__main__":
    main()
