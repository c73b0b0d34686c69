"""Evaluation against the ways in which the field does it: confusion, trimap curves, boundary scores, and a whole set.

Peers are run where they are installed (torchmetrics) and written out as formulas otherwise: ``_fast_hist`` as in the widely used
PyTorch repositories (int64 bincount), a curve by one distance transform and one bincount per width, or by one dilation per width.
Every pair is checked for equal results before it is timed. Each peer is run in turn with ours, in pairs of its own (a peer that
fills the caches with its tensors would slow down whatever comes next), and times are CPU time of one thread, so that a busy
machine disturbs both sides alike; medians, and the ratio of medians.

    OMP_NUM_THREADS=1 python benchmarks/evaluation.py [--rounds 15] [--images 1449]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from deeplab_core.analysis.evaluate import evaluate_folders
from deeplab_core.catalogs import get_catalog
from deeplab_core.datasets.pairing import pair_masks
from deeplab_core.masks.png import write_indexed_png
from deeplab_core.metrics import ConfusionMatrix
from deeplab_core.metrics.boundary_f import mean_csurka_f, perimeter
from deeplab_core.metrics.boundary_iou import BoundaryIoU
from deeplab_core.metrics.distance import distance_to_edge, distance_to_void, fill_void
from deeplab_core.metrics.trimap import band_map
from deeplab_core.metrics.trimap_histogram import BandHistogram
from deeplab_core.parallel import available_cores

CATALOG = get_catalog("voc21")
CLASSES, VOID = len(CATALOG), CATALOG.ignore

Array = np.ndarray
Timings = dict[str, float]


def scene(height: int, width: int, seed: int = 0) -> tuple[Array, Array]:
    """Truth of up to six objects with a void ring of 5 px, as VOC has them, and a prediction that is a little off."""
    rng = np.random.default_rng(seed)
    truth = np.zeros((height, width), np.uint8)
    side = min(height, width)
    for _ in range(int(rng.integers(1, 7))):
        center = int(rng.integers(0, width)), int(rng.integers(0, height))
        axes = int(rng.integers(side // 12, side // 3)), int(rng.integers(side // 12, side // 3))
        angle, label = float(rng.integers(0, 180)), int(rng.integers(1, CLASSES))
        cv2.ellipse(truth, center, axes, angle, 0, 360, label, -1)
        cv2.ellipse(truth, center, axes, angle, 0, 360, VOID, 5)
    prediction = np.roll(fill_void(truth), (3, -4), (0, 1))
    blob = int(rng.integers(0, width)), int(rng.integers(0, height))
    cv2.circle(prediction, blob, side // 10, int(rng.integers(0, CLASSES)), -1)
    return truth, prediction


def fast_hist(truth: Array, prediction: Array) -> Array:
    mask = (truth >= 0) & (truth < CLASSES)
    code = CLASSES * truth[mask].astype(int) + prediction[mask]
    return np.bincount(code, minlength=CLASSES**2).reshape(CLASSES, CLASSES)


def ours(truth: Array, prediction: Array) -> Array:
    return ConfusionMatrix(CATALOG).update(truth=truth, prediction=prediction).counts[:, :-1]


def torchmetrics_default() -> Callable[[Array, Array], Array] | None:
    """``MulticlassConfusionMatrix`` as one makes it, with its validation; None where it is not installed."""
    try:
        import torch
        from torchmetrics.classification import MulticlassConfusionMatrix
    except ImportError:
        return None
    torch.set_num_threads(1)
    metric = MulticlassConfusionMatrix(num_classes=CLASSES, ignore_index=VOID)

    def count(truth: Array, prediction: Array) -> Array:
        metric.reset()
        metric.update(torch.from_numpy(prediction.astype(np.int64)), torch.from_numpy(truth.astype(np.int64)))
        return metric.compute().numpy()

    return count


def curve_by_transform(distance: Array, truth: Array, prediction: Array) -> Array:
    labelled = truth != VOID
    bands = ((distance <= width) & labelled for width in range(1, 41))
    return np.stack([fast_hist(truth[band], prediction[band]) for band in bands])


def curve_by_dilation(truth: Array, prediction: Array) -> Array:
    void, counts = (truth == VOID).astype(np.uint8), []
    for width in range(1, 41):
        band = (cv2.dilate(void, np.ones((2 * width + 1, 2 * width + 1), np.uint8)) > 0) & (truth != VOID)
        counts.append(fast_hist(truth[band], prediction[band]))
    return np.stack(counts)


def one_pass(truth: Array, prediction: Array, rule: str) -> BandHistogram:
    index = band_map(truth=truth, rule=rule)
    return BandHistogram(CATALOG, rule=rule).update(index=index, truth=truth, prediction=prediction)


def edge_by_class(labels: Array) -> Array:
    """Distance to the nearest other class by one exact transform per class, after filling void by the nearest class."""
    filled = fill_void(labels)
    distance = np.full(labels.shape, np.inf, np.float32)
    for label in np.unique(filled).tolist():
        own = filled == label
        distance[own] = cv2.distanceTransform(own.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[own]
    return distance


def boundary_iou_by_erosion(truth: Array, prediction: Array) -> Array:
    """The authors' way, class by class: pad, erode d times by 3 x 3, subtract."""
    width = max(1, round(0.02 * float(np.hypot(*truth.shape))))
    seen, scores = np.where(truth == VOID, VOID, prediction), []
    for label in CATALOG.ids.tolist():
        edges = []
        for labels in (truth, seen):
            mask = np.pad((labels == label).astype(np.uint8), 1)
            edges.append((mask - cv2.erode(mask, np.ones((3, 3), np.uint8), iterations=width))[1:-1, 1:-1].astype(bool))
        union = (edges[0] | edges[1]).sum()
        scores.append((edges[0] & edges[1]).sum() / union if union else np.nan)
    return np.array(scores)


def csurka_class_by_class(truth: Array, prediction: Array) -> float:
    """Mean F over the classes of the truth, from the distance transforms of both contours of each class."""
    limit, scores = 0.0075 * float(np.hypot(*truth.shape)), []
    for label in np.unique(truth[truth != VOID]).tolist():
        edges = [perimeter((labels == label) & (truth != VOID)) for labels in (truth, prediction)]
        if not (edges[0].any() or edges[1].any()):
            continue
        shares = []
        for edge, other in (edges, edges[::-1]):
            distance = cv2.distanceTransform((~other).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
            shares.append(float(np.mean(distance[edge] < limit)) if edge.any() and other.any() else 0.0)
        scores.append(2 * shares[0] * shares[1] / sum(shares) if sum(shares) else 0.0)
    return float(np.mean(scores))


def medians(calls: dict[str, Callable[[], object]], rounds: int) -> Timings:
    """CPU milliseconds of each call, medians of interleaved runs."""
    return medians_of_both(calls, rounds)[0]


def medians_of_both(calls: dict[str, Callable[[], object]], rounds: int) -> tuple[Timings, Timings]:
    """CPU and clock milliseconds of each call, medians of interleaved runs; CPU time is of all threads."""
    cpu: dict[str, list[float]] = {name: [] for name in calls}
    clock: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(rounds):
        for name, call in calls.items():
            start = time.process_time(), time.perf_counter()
            call()
            cpu[name].append((time.process_time() - start[0]) * 1e3)
            clock[name].append((time.perf_counter() - start[1]) * 1e3)
    return tuple({name: statistics.median(found) for name, found in times.items()} for times in (cpu, clock))


def versus(title: str, mine: Callable[[], object], peers: dict[str, Callable[[], object]], rounds: int) -> None:
    print(f"\n{title}")
    for name, peer in peers.items():
        times = medians({"mine": mine, "peer": peer}, rounds)
        print(f"  {name:<44}{times['peer']:9.3f} ms   ours {times['mine']:8.3f} ms {times['peer'] / times['mine']:8.1f} x")


def confusion(rounds: int) -> None:
    peer = torchmetrics_default()
    rng = np.random.default_rng(0)
    noise = tuple(rng.integers(0, CLASSES, (513, 513)).astype(np.uint8) for _ in range(2))
    cases = {"label maps": scene(513, 513), "noise, no two pixels alike (worst case)": noise}
    for title, (truth, prediction) in cases.items():
        assert np.array_equal(ours(truth, prediction), fast_hist(truth, prediction))
        peers: dict[str, Callable[[], object]] = {"bincount (_fast_hist)": lambda t=truth, p=prediction: fast_hist(t, p)}
        if peer is not None:
            assert np.array_equal(ours(truth, prediction), peer(truth, prediction))
            peers["torchmetrics, default"] = lambda t=truth, p=prediction: peer(t, p)
        title = f"Confusion matrix, 513 x 513, 21 classes: {title}"
        versus(title, lambda t=truth, p=prediction: ours(t, p), peers, rounds * 3)
    if peer is None:
        print("  (torchmetrics is not installed: pip install torchmetrics)")


def curves(rounds: int) -> None:
    truth, prediction = scene(375, 500, 3)

    def transform(rule: str) -> Array:
        distance = distance_to_void(truth) if rule == "void" else edge_by_class(truth)
        return curve_by_transform(distance, truth, prediction)

    for rule in ("void", "edge"):
        expected = transform(rule)
        assert np.array_equal(np.cumsum(one_pass(truth, prediction, rule).counts[:40, :, :-1], axis=0), expected)
        peers: dict[str, Callable[[], object]] = {"one transform, 40 x mask and bincount": lambda r=rule: transform(r)}
        if rule == "void":
            assert np.array_equal(curve_by_dilation(truth, prediction), expected)
            peers["40 x dilation and bincount"] = lambda: curve_by_dilation(truth, prediction)
        title = f"Trimap curve, 500 x 375, widths 1 to 40, rule '{rule}'"
        versus(title, lambda r=rule: one_pass(truth, prediction, r).curve(), peers, rounds)


def boundaries(rounds: int) -> None:
    truth, prediction = scene(375, 500, 3)
    ours_iou = BoundaryIoU(CATALOG).update(truth=truth, prediction=prediction).iou()
    np.testing.assert_allclose(ours_iou, boundary_iou_by_erosion(truth, prediction))
    versus(
        "Boundary IoU, 500 x 375, 21 classes",
        lambda: BoundaryIoU(CATALOG).update(truth=truth, prediction=prediction),
        {"class by class, d erosions": lambda: boundary_iou_by_erosion(truth, prediction)},
        rounds,
    )
    expected = csurka_class_by_class(truth, prediction)
    assert np.isclose(mean_csurka_f(truth=truth, prediction=prediction)[0], expected)
    versus(
        "Csurka's boundary F, 500 x 375",
        lambda: mean_csurka_f(truth=truth, prediction=prediction),
        {"class by class, two distance transforms": lambda: csurka_class_by_class(truth, prediction)},
        rounds,
    )
    large, _ = scene(3000, 4000, 1)
    near, exact = distance_to_edge(large, reach=41), edge_by_class(large)
    assert np.allclose(near[exact <= 41], exact[exact <= 41], rtol=1e-6)
    versus(
        "Distance to a class edge up to 41 px, 12 megapixels",
        lambda: distance_to_edge(large, reach=41),
        {"one transform per class": lambda: edge_by_class(large)},
        3,
    )


def whole_set(images: int, rounds: int) -> None:
    """Reading and judging a made set of VOC-size images, against reading its PNGs alone with Pillow."""
    with tempfile.TemporaryDirectory() as folder:
        ours_dir, theirs_dir = Path(folder, "prediction"), Path(folder, "truth")
        ours_dir.mkdir()
        theirs_dir.mkdir()
        for number in range(images):
            truth, prediction = scene(375, 500, number)
            write_indexed_png(theirs_dir / f"{number}.png", truth, CATALOG)
            write_indexed_png(ours_dir / f"{number}.png", prediction, CATALOG)
        files = [path for pair in pair_masks(ours_dir, [theirs_dir]).pairs for path in (pair.prediction, pair.truth)]

        def read() -> None:
            for path in files:
                with Image.open(path) as picture:
                    np.asarray(picture)

        def judge(rule: str, **more: object) -> Callable[[], object]:
            return lambda: evaluate_folders(ours_dir, [theirs_dir], CATALOG, band_rule=rule, resamples=0, **more)

        calls: dict[str, Callable[[], object]] = {
            "reading the PNGs (Pillow)": read,
            "reading, confusion, curve 'void'": judge("void", boundary=False),
            "reading, confusion, curve 'edge'": judge("edge", boundary=False),
            "the same and all boundary scores": judge("edge", boundary=True),
        }
        cpu, clock = medians_of_both(calls, rounds)
    reading = "reading the PNGs (Pillow)"
    print(f"\nA set of {images} images of 500 x 375 px (truth and prediction); {available_cores()} cores")
    for name, value in cpu.items():
        print(
            f"  {name:<44}CPU {value / 1e3:7.2f} s {value / cpu[reading]:6.2f} x the reading"
            f"   clock {clock[name] / 1e3:7.2f} s {clock[name] / clock[reading]:6.2f} x"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--images", type=int, default=1449)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    confusion(options.rounds)
    curves(options.rounds)
    boundaries(options.rounds)
    whole_set(options.images, 3)


if __name__ == "__main__":
    main()
