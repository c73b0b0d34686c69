"""Milliseconds of CPU of the correction tools, medians of one thread.

    python benchmarks/corrector.py [--runs 9] [--large]

The picture is one of ../shared/real where it exists, else smooth noise; scores are those of 21 classes on a coarse grid.
``--large`` adds an image of 100 megapixels.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import cv2
import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from deeplab_core.catalogs import get_catalog
from deeplab_core.correction import BANDS, FLOODED, LEVELS, REACHES, SMOOTHNESS, Corrector

PICTURE = Path(__file__).resolve().parents[2] / "shared" / "real" / "voc" / "images" / "2007_006171.jpg"
CATALOG = get_catalog("voc21")


def picture(width: int, height: int) -> np.ndarray:
    if PICTURE.is_file():
        return np.asarray(Image.open(PICTURE).convert("RGB").resize((width, height), Image.Resampling.BICUBIC))
    noise = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC))


def corrector(width: int, height: int) -> Corrector:
    rng = np.random.default_rng(1)
    scores = cv2.GaussianBlur(rng.normal(0, 8, (33, 33, 21)).astype(np.float32), (0, 0), 3) * 6
    labels = cv2.resize(scores.argmax(axis=2).astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
    return Corrector(picture(width, height), labels, catalog=CATALOG, scores=np.moveaxis(scores, 2, 0))


def median(runs: int, work: Callable[[int], object]) -> str:
    spent = []
    work(0)
    for run in range(runs):
        before = time.thread_time()
        work(run + 1)
        spent.append(1e3 * (time.thread_time() - before))
    return f"{statistics.median(spent):8.1f} (largest {max(spent):.1f})"


def report(width: int, height: int, runs: int) -> None:
    print(f"{width} x {height}")
    tools = corrector(width, height)

    def point(run: int) -> tuple[float, float]:
        return width * (0.2 + 0.6 * (run * 0.37 % 1)), height * (0.2 + 0.6 * (run * 0.61 % 1))

    fresh = [corrector(width, height) for _ in range(2 if width > 2000 else runs + 1)]
    print("  region hierarchy      ", median(len(fresh) - 1, lambda run: fresh[run].prepare()))
    tools.prepare()
    for level in (3, 7, LEVELS - 1):
        print(f"  outline, level {level:2}     ", median(runs, lambda run, level=level: tools.region_preview(*point(run), level)))
        print(f"  region_at, level {level:2}   ", median(runs, lambda run, level=level: tools.region_at(*point(run), level)))
    print("  component_at          ", median(runs, lambda run: tools.component_at(*point(run))))
    line = (0.1 * width, 0.02 * height)
    for reach in REACHES:
        print(
            f"  scribble, reach {reach:2}    ",
            median(runs, lambda run, reach=reach: tools.scribble([point(run), np.add(point(run), line)], 15, reach)),
        )
    for band in BANDS:
        print(f"  snap_border, band {band:2}  ", median(runs, lambda run, band=band: tools.snap_border(*point(run), band)))
    for band in FLOODED:
        spent = median(runs, lambda run, band=band: tools.snap_border(*point(run), band, "edges"))
        print(f"  to edges, band {band:2}     ", spent)
    for px in SMOOTHNESS[1::3]:
        print(f"  smooth all, {px:2} px     ", median(runs, lambda _run, px=px: tools.smooth(px)))
    angle = np.linspace(0, 2 * np.pi, 50)
    ring = np.stack([np.cos(angle), np.sin(angle)], axis=1) * 0.15 * min(width, height)
    print("  lasso, snap 8         ", median(runs, lambda run: tools.lasso(ring + point(run), 15, snap=8)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--large", action="store_true")
    asked = parser.parse_args()
    cv2.setNumThreads(1)
    print("milliseconds of CPU, one thread")
    for size in ((500, 375), (640, 480)):
        report(*size, asked.runs)
    if asked.large:
        report(11_600, 8_700, 3)


if __name__ == "__main__":
    main()
