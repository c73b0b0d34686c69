"""Counting and bands against the ways in which the field does it.

Peers are written out here as formulas: ``_fast_hist`` as in the widely used PyTorch DeepLab repositories (int64 bincount), a
curve by one dilation and one bincount per width, and edge distances by exact transforms of the whole image, one per class.
Every pair is checked for equal results first. Runs are interleaved, medians of CPU time on one thread.

    OMP_NUM_THREADS=1 python benchmarks/metrics.py
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from app.state.document import Document
from app.state.live_evaluation import LiveEvaluation
from app.state.provenance import Provenance
from deeplab_core.catalogs import get_catalog
from deeplab_core.geometry import Box
from deeplab_core.metrics import ConfusionMatrix
from deeplab_core.metrics.distance import distance_to_edge, fill_void
from deeplab_core.metrics.trimap import band_map
from deeplab_core.metrics.trimap_histogram import BandHistogram

CATALOG = get_catalog("voc21")
CLASSES = len(CATALOG)
VOID = CATALOG.ignore


def scene(height: int, width: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Truth of objects with a void ring, and the same moved by a few pixels."""
    rng = np.random.default_rng(seed)
    truth = np.zeros((height, width), np.uint8)
    side = min(height, width)
    for _ in range(9):
        center = int(rng.integers(0, width)), int(rng.integers(0, height))
        axes = int(rng.integers(side // 12, side // 4)), int(rng.integers(side // 12, side // 4))
        label = int(rng.integers(1, CLASSES))
        cv2.ellipse(truth, center, axes, float(rng.integers(0, 180)), 0, 360, label, -1)
        cv2.ellipse(truth, center, axes, 0, 0, 360, VOID, 5)
    prediction = np.roll(fill_void(truth), (3, -4), (0, 1))
    return truth, prediction


def fast_hist(truth: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    mask = (truth >= 0) & (truth < CLASSES)
    code = CLASSES * truth[mask].astype(int) + prediction[mask]
    return np.bincount(code, minlength=CLASSES**2).reshape(CLASSES, CLASSES)


def curve_by_dilation(truth: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    void = (truth == VOID).astype(np.uint8)
    counts = []
    for width in range(1, 41):
        element = np.ones((2 * width + 1, 2 * width + 1), np.uint8)
        band = (cv2.dilate(void, element) > 0) & (truth != VOID)
        counts.append(fast_hist(truth[band], prediction[band]))
    return np.stack(counts)


def curve_one_pass(truth: np.ndarray, prediction: np.ndarray) -> BandHistogram:
    index = band_map(truth=truth, rule="void")
    return BandHistogram(CATALOG, rule="void").update(index=index, truth=truth, prediction=prediction)


def edge_by_class(labels: np.ndarray) -> np.ndarray:
    present = [int(label) for label in np.unique(labels) if label != VOID]
    to_class = [
        cv2.distanceTransform((labels != label).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE) for label in present
    ]
    filled = np.array(present, np.uint8)[np.argmin(to_class, axis=0)]
    distance = np.full(labels.shape, np.inf, np.float32)
    for label in present:
        own = filled == label
        distance[own] = cv2.distanceTransform(own.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[own]
    return distance


def compare(title: str, peer: Callable[[], object], ours: Callable[[], object], rounds: int) -> None:
    times: dict[str, list[float]] = {"peer": [], "ours": []}
    for _ in range(rounds):
        for name, call in (("peer", peer), ("ours", ours)):
            start = time.process_time()
            call()
            times[name].append((time.process_time() - start) * 1e3)
    theirs, own = statistics.median(times["peer"]), statistics.median(times["ours"])
    print(f"{title:<58} peer {theirs:9.2f} ms   ours {own:8.2f} ms   {theirs / own:6.1f} x")


def strokes(diameter: int, rounds: int) -> None:
    """CPU per dab of the document alone and with live figures (matrix and edge histogram), at 4096 x 4096."""
    truth, prediction = scene(4096, 4096)
    yy, xx = np.ogrid[-1 : 1 : diameter * 1j, -1 : 1 : diameter * 1j]
    disk = yy**2 + xx**2 <= 1
    for live in (False, True):
        document = Document(prediction.copy(), CATALOG)
        if live:
            LiveEvaluation(truth, document).histogram("edge")
        rng = np.random.default_rng(1)
        times = []
        for _ in range(rounds):
            rect = Box(int(rng.integers(0, 4096 - diameter)), int(rng.integers(0, 4096 - diameter)), diameter, diameter)
            value = int(rng.integers(0, CLASSES))
            start = time.process_time()
            document.paint(rect, disk, value, Provenance.USER)
            times.append((time.process_time() - start) * 1e3)
        middle, high = np.percentile(times, [50, 95])
        what = "dab with live IoU and band" if live else "dab alone"
        print(f"{what}, diameter {diameter} px, every pixel new: median {middle:.3f} ms, 95 % under {high:.3f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=11)
    rounds = parser.parse_args().rounds
    cv2.setNumThreads(1)

    truth, prediction = scene(513, 513)
    assert np.array_equal(
        ConfusionMatrix(CATALOG).update(truth=truth, prediction=prediction).counts[:, :-1], fast_hist(truth, prediction)
    )
    compare(
        "confusion matrix, 513 x 513, 21 classes (_fast_hist)",
        lambda: fast_hist(truth, prediction),
        lambda: ConfusionMatrix(CATALOG).update(truth=truth, prediction=prediction),
        rounds * 3,
    )

    small, moved = scene(375, 500)
    peer = curve_by_dilation(small, moved)
    assert np.array_equal(np.cumsum(curve_one_pass(small, moved).counts[:40, :, :-1], axis=0), peer)
    compare(
        "trimap curve, 375 x 500, 40 widths (dilate + bincount each)",
        lambda: curve_by_dilation(small, moved),
        lambda: curve_one_pass(small, moved).curve(),
        rounds,
    )

    large, _ = scene(3000, 4000)
    near, exact = distance_to_edge(large, reach=41), edge_by_class(large)
    assert np.allclose(near[exact <= 41], exact[exact <= 41], rtol=1e-6)
    compare(
        "edge distance up to 41 px, 12 megapixels (whole-image transforms)",
        lambda: edge_by_class(large),
        lambda: distance_to_edge(large, reach=41),
        max(rounds // 4, 3),
    )
    for diameter in (10, 200):
        strokes(diameter, 200)


if __name__ == "__main__":
    main()
