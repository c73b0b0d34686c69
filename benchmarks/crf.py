"""The dense CRF against pydensecrf: same picture, same probabilities of a real network, same parameters, interleaved in one run.

    OMP_NUM_THREADS=1 python benchmarks/crf.py [--runs 5]

Columns: pydensecrf (one thread, as it comes); ours with all 21 labels; ours as it runs by default (labels let go of on the way),
first call with everything built, and a repeated call on the same picture. CPU time of the process, medians; the two-thread
columns are wall time, and mean something on an idle machine only.

Roofline, 500x375, 21 labels padded to 24, 177,000 vertices (sigma_rgb 3), one core with 20 GB/s from the third-level cache
and a 512 KB second level. A step reads and writes per block of 8 labels: splat 187,500 x 6 rows of 32 B read and written,
slice the same read, blur 6 axes x 0.8 x 5.7 MB read and written, rows of probabilities and logits 3 x 6 MB: 72 + 36 + 54 +
18 MB = 180 MB, of which splat and slice mostly hit the second level (neighbouring pixels share vertices): 110 MB come from
farther = 5.5 ms, times three blocks 16 ms, plus 4.5 M exponentials in vectors of 8 at about 1 ns each: 20
ms. Measured on a core with busy neighbours: 40 ms (sigma_rgb 13, where vertices fit into the second level: 21 ms); pydensecrf 75
and 53 ms there.

What was tried (500x375, ms per step, one core of a shared EPYC):
- label loops left to numba's vectoriser: not competitive with explicit vectors (overlap checks around loops of 4 to 24);
- all labels of a vertex in one row of 96 B: blur 22, in blocks of 8 labels 9; splat 5.7 against 4.5; kept: blocks;
- blurring from one table into another, as published codes do, against in place along rows of neighbours: the second reads every
  vertex once instead of three times, needs half the memory, and skips vertices without neighbour (15 to 25 % per axis); kept;
- splatting by vertices (a sorted list of points each) instead of by points: 10.6 against 7.0; dropped;
- visiting pixels in tiles of 16, 32 or 64 instead of row by row: within 10 %, both ways; dropped;
- loops compiled for the number of corners (3, 6) and for a single vector of labels: the update falls from 7.8 to 3.9 with up to
  eight labels; kept;
- embedding compiled for its dimension: building 54 -> 35 (sigma_rgb 13), 127 -> 94 (3); kept;
- one threshold for labels at the start: at 0.01 nine labels stay, at 0.1 four, but then 5 pixels in 10,000 differ; dropping in
  three stages (pruning.py) leaves 2 to 5 after the first step and is ten times closer to the full result; kept;
- fewer steps: not the same result (97.4 % of the pixels after five); not done.
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
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from deeplab_core.records import CRFParams
from deeplab_core.refine import DenseCRF, dense_crf

REAL = Path(__file__).resolve().parents[2] / "shared" / "real"
WEIGHTS = REAL / "weights" / "deeplabv3_mnv2_voc_folded.safetensors"
#: Photographs of several classes, and their size in the benchmark.
PICTURES = (("voc/images/2007_006171.jpg", (500, 375)), ("no_gt/ibm_cc0/airplane.jpg", (1024, 768)))
PARAMS = {
    "srgb 3": CRFParams(gaussian_sxy=3, gaussian_compat=3, bilateral_sxy=67, bilateral_srgb=3, bilateral_compat=4),
    "srgb 13": CRFParams(gaussian_sxy=3, gaussian_compat=3, bilateral_sxy=80, bilateral_srgb=13, bilateral_compat=10),
}


def sample(name: str, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Picture of ``size`` (W, H) and the network's probabilities (C, H, W)."""
    from deeplab_core.inference import Predictor
    from deeplab_core.weights import load_model

    rgb = cv2.resize(np.asarray(Image.open(REAL / name).convert("RGB")), size, interpolation=cv2.INTER_AREA)
    predictor = Predictor(*load_model(WEIGHTS), device="cpu")
    return rgb, np.ascontiguousarray(predictor.scores(rgb).probabilities())


def cold(rgb: np.ndarray, params: CRFParams, **options: object) -> DenseCRF:
    """An object that has to build everything, the lattice of positions too."""
    dense_crf.position_lattice.cache_clear()
    return DenseCRF(rgb, params, **options)  # type: ignore[arg-type]


def measure(rgb: np.ndarray, probabilities: np.ndarray, params: CRFParams, runs: int) -> None:
    kept, kept_two = DenseCRF(rgb, params), DenseCRF(rgb, params, threads=2)
    ways: dict[str, Callable[[], np.ndarray]] = {
        "pydensecrf": lambda: DenseCRF(rgb, params, engine="pydensecrf", prune=False).refine(probabilities),
        "all labels": lambda: cold(rgb, params, prune=False).refine(probabilities),
        "first": lambda: cold(rgb, params).refine(probabilities),
        "repeated": lambda: kept.refine(probabilities),
        "all labels, 2 thr": lambda: cold(rgb, params, prune=False, threads=2).refine(probabilities),
        "first, 2 thr": lambda: cold(rgb, params, threads=2).refine(probabilities),
        "repeated, 2 thr": lambda: kept_two.refine(probabilities),
    }
    results = {name: way() for name, way in ways.items()}
    theirs = results["pydensecrf"]
    cpu: dict[str, list[float]] = {name: [] for name in ways}
    wall: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(runs):
        for name, way in ways.items():
            began, began_wall = time.process_time(), time.perf_counter()
            way()
            cpu[name].append(1e3 * (time.process_time() - began))
            wall[name].append(1e3 * (time.perf_counter() - began_wall))
    base = statistics.median(cpu["pydensecrf"])
    for name, result in results.items():
        error = np.abs(result - theirs)
        own, own_wall = statistics.median(cpu[name]), statistics.median(wall[name])
        print(
            f"  {name:18} cpu {own:7.0f} ms {base / own:6.1f}x   wall {own_wall:7.0f} (best {min(wall[name]):6.0f})   "
            f"marginals max {error.max():.1e} mean {error.mean():.1e}, "
            f"labels equal {(result.argmax(0) == theirs.argmax(0)).mean():.6f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    if not WEIGHTS.is_file():
        raise SystemExit(f"no real photographs and network here ({REAL} is absent)")
    for name, size in PICTURES:
        rgb, probabilities = sample(name, size)
        for title, params in PARAMS.items():
            print(f"{size[0]}x{size[1]} {name}, {title}, {probabilities.shape[0]} labels, {params.iterations} steps, {runs} runs")
            measure(rgb, probabilities, params, runs)


if __name__ == "__main__":
    main()
