"""What the CRF wins and what it destroys: mean IoU and trimap curve on real photographs, with published and searched parameters.

    OMP_NUM_THREADS=1 python benchmarks/crf_quality.py [--images 99] [--search-images 24]
    OMP_NUM_THREADS=1 python benchmarks/crf_quality.py --params searched.json     those of a search, on images it has not seen

The network is a DeepLabv3 with MobileNetV2 (VOC-21) at output stride 16; its logits have 33 x 33 points: coarse, so the CRF has
something to do, but trained far beyond v1, so its gain is smaller than the published one (59.8 -> 63.7). ``thin`` is the recall
of truth pixels that an opening with a 7 x 7 square removes (legs, horns, wires): what dense CRFs are known to eat. Band: distance
to class edge, void excluded. Searched parameters are judged on images that they were not chosen on.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from app.cli.refine import figures
from deeplab_core.catalogs import get_catalog
from deeplab_core.inference import Predictor
from deeplab_core.metrics.trimap import band_map
from deeplab_core.metrics.trimap_histogram import BandHistogram
from deeplab_core.refine import PRESETS, CRFParams, DenseCRF, ProbabilitySource, SearchSample, read_params, search_parameters
from deeplab_core.weights import load_model

REAL = Path(__file__).resolve().parents[2] / "shared" / "real"
WEIGHTS = REAL / "weights" / "deeplabv3_mnv2_voc_folded.safetensors"
CATALOG = get_catalog("voc21")
WIDTHS = (1, 2, 4, 8, 16, 40)
THIN = np.ones((7, 7), np.uint8)


def photographs(limit: int) -> list[tuple[str, Path, Path]]:
    """Name, image and truth of photographs with VOC-21 truth, evenly chosen from the manifest."""
    rows = json.loads((REAL / "manifest.json").read_text())
    rows = rows if isinstance(rows, list) else rows["images"]
    found = [
        (row["image"], REAL / row["image"], REAL / row["label"])
        for row in rows
        if row.get("label") and row["image"].split("/")[0] in ("voc", "coco")
    ]
    return found[:: max(1, -(-len(found) // limit))]


def samples(limit: int, without: int = 0) -> Iterator[SearchSample]:
    """Photographs with the network's scores; ``without`` leaves out those of a search of that size."""
    predictor = Predictor(*load_model(WEIGHTS), device="cpu")
    seen = {name for name, _, _ in photographs(without)} if without else set()
    for name, image, label in photographs(limit):
        if name in seen:
            continue
        rgb = np.asarray(Image.open(image).convert("RGB"))
        truth = np.asarray(Image.open(label))
        if truth.shape == rgb.shape[:2]:
            yield SearchSample(name, rgb, ProbabilitySource.of_scores(predictor.scores(rgb)), truth)


def thin_part(truth: np.ndarray) -> np.ndarray:
    """Pixels of objects (no background, no void) that are narrower than 7 px."""
    thin = np.zeros(truth.shape, bool)
    for label in np.unique(truth):
        if label not in (0, CATALOG.ignore):
            mask = (truth == label).astype(np.uint8)
            thin |= (mask > 0) & (cv2.morphologyEx(mask, cv2.MORPH_OPEN, THIN) == 0)
    return thin


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=99)
    parser.add_argument("--search-images", type=int, default=24)
    parser.add_argument("--params", type=Path, help="judge these on the photographs that a search of that size leaves out")
    arguments = parser.parse_args()
    if not WEIGHTS.is_file():
        raise SystemExit(f"no real photographs and network here ({REAL} is absent)")
    settings: dict[str, CRFParams | None] = {"no CRF": None, **{name: preset.params for name, preset in PRESETS.items()}}
    if arguments.params:
        presets = {name: PRESETS[name].params for name in ("v1", "v2")}
        settings = {"no CRF": None, **presets, "searched": read_params(arguments.params)}
    bands = {name: BandHistogram(CATALOG, rule="edge") for name in settings}
    thin = {name: [0, 0] for name in settings}
    changed = dict.fromkeys(settings, 0)
    pixels = number = 0
    for sample in samples(arguments.images, arguments.search_images if arguments.params else 0):
        probabilities = sample.source.read(0, sample.truth.shape[0])
        crf = DenseCRF(sample.rgb)
        index = band_map(truth=sample.truth, rule="edge")
        narrow = thin_part(sample.truth)
        plain = probabilities.argmax(axis=0).astype(np.uint8)
        for name, params in settings.items():
            labels = plain if params is None else crf.marginals(probabilities, params=params).labels()
            bands[name].update(index=index, truth=sample.truth, prediction=labels)
            thin[name][0] += int((labels == sample.truth)[narrow].sum())
            thin[name][1] += int(narrow.sum())
            changed[name] += int((labels != plain).sum())
        pixels += plain.size
        number += 1
    print(f"{number} photographs; mIoU over the classes of the ground truth, pooled; in bands around the truth's class edges")
    print(f"{'':10} {'mIoU':>6} {'pixel':>6} {'thin':>6} {'changed':>8}  " + " ".join(f"{width:>3} px" for width in WIDTHS))
    for name, band in bands.items():
        total = band.total()
        curve = " ".join(f"{100 * band.inside(width).mean_iou('truth').value:6.2f}" for width in WIDTHS)
        print(
            f"{name:10} {100 * total.mean_iou('truth').value:6.2f} {100 * total.pixel_accuracy():6.2f} "
            f"{100 * thin[name][0] / max(1, thin[name][1]):6.2f} {100 * changed[name] / pixels:7.2f}%  {curve}"
        )
    if arguments.search_images >= 2 and not arguments.params:
        print("\nsearched (symmetric normalisation):")
        print(figures(search_parameters(list(samples(arguments.search_images)), CATALOG)))


if __name__ == "__main__":
    main()
