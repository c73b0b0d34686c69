"""How many planted label errors are found: precision and recall on real photographs with a real network's probabilities.

    OMP_NUM_THREADS=1 python benchmarks/label_errors.py [--images 99] [--seeds 3] [--json FILE]

In half of the photographs one labelled object of at least 1,024 px is spoiled, in one of four ways: ``swapped`` (it gets another
class), ``missing`` (it becomes background), ``shifted`` (it moves by 12 px, the rest of it stays background), ``invented`` (its
shape appears elsewhere on background, with its class). Then

* *images*: photographs are ordered by label quality. Precision at k is the share of spoiled ones among the k worst, k = their
  number; AUROC is the chance that a spoiled photograph stands before an untouched one.
* *regions*: issues are taken by falling weight over all photographs. One is right if at least half of its pixels were spoiled; a
  spoiled region is found if issues cover at least a quarter of the spoiled pixels that are scored.

The network is a DeepLabv3 with MobileNetV2 (VOC-21, mIoU 0.59 on these photographs). It never saw them, but it is weak, and the
given masks have errors of their own: so both columns are also measured with nothing planted, which is what else it doubts.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from deeplab_core.analysis import ClassConfidence, find_label_issues, label_quality
from deeplab_core.analysis.label_quality import scored_pixels
from deeplab_core.catalogs import get_catalog
from deeplab_core.inference import Predictor
from deeplab_core.refine import ProbabilitySource
from deeplab_core.regions import find_regions
from deeplab_core.weights import load_model

REAL = Path(__file__).resolve().parents[2] / "shared" / "real"
WEIGHTS = REAL / "weights" / "deeplabv3_mnv2_voc_folded.safetensors"
CATALOG = get_catalog("voc21")
VOID, BACKGROUND = CATALOG.ignore, 0
KINDS = ("swapped", "missing", "shifted", "invented")
LEAST_PX = 1024
SHIFT_PX = 12


@dataclass(frozen=True)
class Photo:
    name: str
    truth: np.ndarray
    source: ProbabilitySource

    def probabilities(self) -> np.ndarray:
        return self.source.read(0, self.truth.shape[0])


@dataclass(frozen=True)
class Measured:
    """Quality of one label map by edge band, its issues, and what of it was spoiled."""

    quality: dict[int, float]
    issues: list[tuple[float, float]]  # weight, share of its pixels that were spoiled
    covered: float  # share of the spoiled scored pixels that issues cover; nan without any


def photographs(limit: int) -> list[Photo]:
    rows = json.loads((REAL / "manifest.json").read_text())
    rows = rows if isinstance(rows, list) else rows["images"]
    rows = [row for row in rows if row.get("label") and row["image"].split("/")[0] in ("voc", "coco")]
    predictor = Predictor(*load_model(WEIGHTS), device="cpu")
    found = []
    for row in rows[:: max(1, -(-len(rows) // limit))]:
        rgb = np.asarray(Image.open(REAL / row["image"]).convert("RGB"))
        truth = np.asarray(Image.open(REAL / row["label"]))
        if truth.shape == rgb.shape[:2]:
            found.append(Photo(row["image"], truth, ProbabilitySource.of_scores(predictor.scores(rgb))))
    return found


def spoil(truth: np.ndarray, kind: str, rng: np.random.Generator) -> np.ndarray | None:
    """A copy with one spoiled object; None if it has none to spoil, or no place for another."""
    regions = find_regions(truth, (truth != VOID) & (truth != BACKGROUND))
    large = np.flatnonzero((regions.pixels >= LEAST_PX) & (regions.pixels <= truth.size // 2))
    if not large.size:
        return None
    row = int(rng.choice(large))
    mask, class_id = regions.numbers == row + 1, int(regions.values[row])
    copy = truth.copy()
    if kind == "swapped":
        others = [int(i) for i in CATALOG.ids if i not in (BACKGROUND, class_id)]
        copy[mask] = rng.choice(others)
    elif kind == "missing":
        copy[mask] = BACKGROUND
    elif kind == "shifted":
        dy, dx = (SHIFT_PX * np.array(((0, 1), (0, -1), (1, 0), (-1, 0)))[rng.integers(4)]).tolist()
        moved = cv2.warpAffine(mask.astype(np.uint8), np.float32([[1, 0, dx], [0, 1, dy]]), truth.shape[::-1]) > 0
        copy[mask] = BACKGROUND
        copy[moved & np.isin(truth, (BACKGROUND, class_id))] = class_id
    else:
        return _invent(copy, mask, class_id, rng)
    return copy


def _invent(copy: np.ndarray, mask: np.ndarray, class_id: int, rng: np.random.Generator) -> np.ndarray | None:
    for _ in range(200):
        dy, dx = (int(rng.integers(-side, side)) for side in copy.shape)
        moved = cv2.warpAffine(mask.astype(np.uint8), np.float32([[1, 0, dx], [0, 1, dy]]), copy.shape[::-1]) > 0
        free = moved & (copy == BACKGROUND)
        if free.sum() >= LEAST_PX and free.sum() >= 0.9 * moved.sum():
            copy[free] = class_id
            return copy
    return None


def measure(photo: Photo, labels: np.ndarray, thresholds: np.ndarray, band: int) -> Measured:
    probabilities = photo.probabilities()
    spoiled = labels != photo.truth
    inside = spoiled & scored_pixels(labels, VOID, band)
    suspects = np.zeros(labels.shape, bool)
    issues = []
    for issue in find_label_issues(probabilities, labels, CATALOG, thresholds, edge_band=band):
        place = issue.box.slices
        region = (labels[place] == issue.given) & (probabilities[(slice(None), *place)].argmax(axis=0) == issue.suggested)
        region &= scored_pixels(labels, VOID, band)[place]
        _, parts = cv2.connectedComponents(region.astype(np.uint8), connectivity=8)
        region = parts == parts[issue.anchor[1] - issue.box.y, issue.anchor[0] - issue.box.x]
        suspects[place] |= region
        issues.append((issue.weight, float(spoiled[place][region].mean())))
    covered = float(suspects[inside].mean()) if inside.any() else float("nan")
    quality = {edge: label_quality(probabilities, labels, CATALOG, edge_band=edge) for edge in (0, band)}
    return Measured(quality, issues, covered)


def auroc(spoiled: list[float], clean: list[float]) -> float:
    """Chance that a spoiled image has lower quality than an untouched one; ties count half."""
    one, other = np.array(spoiled)[:, None], np.array(clean)[None]
    return float(((one < other) + 0.5 * (one == other)).mean())


def run(photos: list[Photo], clean: list[Measured], kind: str, seed: int, thresholds: np.ndarray, band: int) -> dict[str, float]:
    rng = np.random.default_rng((seed, KINDS.index(kind)))
    order = rng.permutation(len(photos))
    planted: dict[int, Measured] = {}
    for place in order.tolist():
        if len(planted) * 2 >= len(photos):
            break
        labels = spoil(photos[place].truth, kind, rng)
        if labels is not None:
            planted[place] = measure(photos[place], labels, thresholds, band)
    everything = [planted.get(place, clean[place]) for place in range(len(photos))]
    worst = {
        edge: set(sorted(range(len(photos)), key=lambda place: everything[place].quality[edge])[: len(planted)])
        for edge in (0, band)
    }
    issues = sorted((issue for one in everything for issue in one.issues), reverse=True)
    right = np.array([share >= 0.5 for _, share in issues])
    found = [one.covered >= 0.25 for one in planted.values() if not np.isnan(one.covered)]
    untouched = [place for place in range(len(photos)) if place not in planted]
    return {
        "planted": len(planted),
        "image_precision": len(worst[band] & planted.keys()) / len(planted),
        "image_precision_undamped": len(worst[0] & planted.keys()) / len(planted),
        "auroc": auroc([one.quality[band] for one in planted.values()], [clean[place].quality[band] for place in untouched]),
        "auroc_undamped": auroc([one.quality[0] for one in planted.values()], [clean[place].quality[0] for place in untouched]),
        # The same photographs before and after: how often spoiling one made its quality worse.
        "worse_than_itself": float(np.mean([one.quality[band] < clean[place].quality[band] for place, one in planted.items()])),
        "region_recall": float(np.mean(found)),
        "region_precision_at_planted": float(right[: len(planted)].mean()),
        "region_precision": float(right.mean()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=99)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--band", type=int, default=3)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if not WEIGHTS.is_file():
        raise SystemExit(f"no real photographs and network here ({REAL} is absent)")
    photos = photographs(arguments.images)
    total = None
    for photo in photos:
        one = ClassConfidence.of(photo.probabilities(), photo.truth, CATALOG, edge_band=arguments.band)
        total = one if total is None else total + one
    assert total is not None
    thresholds = total.thresholds()
    clean = [measure(photo, photo.truth, thresholds, arguments.band) for photo in photos]
    doubts = sum(len(one.issues) for one in clean)
    print(f"{len(photos)} photographs, {arguments.seeds} seeds; with nothing planted {doubts} regions are doubted")
    columns = (
        "image_precision", "auroc", "auroc_undamped", "worse_than_itself", "region_recall", "region_precision_at_planted",
        "region_precision",
    )  # fmt: skip
    print(f"{'':9} {'planted':>7}  " + "  ".join(f"{name.replace('_', ' '):>17.17}" for name in columns))
    results = {}
    for kind in KINDS:
        runs = [run(photos, clean, kind, seed, thresholds, arguments.band) for seed in range(arguments.seeds)]
        results[kind] = runs
        cells = [f"{np.mean([one[name] for one in runs]):.3f} +- {np.std([one[name] for one in runs]):.3f}" for name in columns]
        print(
            f"{kind:9} {np.mean([one['planted'] for one in runs]):7.1f}  " + "  ".join(f"{cell:>17}" for cell in cells),
            flush=True,
        )
    if arguments.json is not None:
        arguments.json.write_text(json.dumps({"doubted_without_planting": doubts, "runs": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
