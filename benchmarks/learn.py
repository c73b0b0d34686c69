"""Does learning from corrections help on images that nobody has corrected?

    OMP_NUM_THREADS=2 python benchmarks/learn.py --case voc [--k 1 2 5 10 20] [--seeds 3] [--json FILE]
    OMP_NUM_THREADS=2 python benchmarks/learn.py --case camvid --model MODEL.safetensors --sequence 0006R0

A simulated labeller corrects k random images to their truth, has the model learn, and accepts unless the report says that it is
no better. The score is the mIoU, pooled over all the *other* images, against that of the model before. ``voc`` starts from a
real DeepLabv3 (MobileNetV2, VOC-21) on photographs; ``camvid`` from a model that never saw the sequence that is corrected.

``--hand errors`` corrects only the pixels that were wrong and does not call the image reviewed; ``--hand reviewed`` vouches for
the whole mask. Intervals are paired bootstraps over the other images (2,000 draws).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from deeplab_core.catalog import ClassCatalog
from deeplab_core.catalogs import get_catalog
from deeplab_core.formats import read_mask
from deeplab_core.inference import cap_threads
from deeplab_core.inference.pixels import RGB
from deeplab_core.labels import LabelMap
from deeplab_core.learning import LearnOptions
from deeplab_core.metrics import ConfusionMatrix
from deeplab_core.nn import SegmentationModel
from deeplab_core.records import ModelCard
from deeplab_core.training.adaptation import Adapted, Corrected, Untouched, adapt
from deeplab_core.training.adaptation.halves import halves_of
from deeplab_core.training.adaptation.views import Encoded, FeatureStore, encode, label_map, said
from deeplab_core.weights import load_model

REAL = Path(__file__).resolve().parents[2] / "shared" / "real"
VOC_MODEL = REAL / "weights" / "deeplabv3_mnv2_voc_folded.safetensors"
CPU = torch.device("cpu")
DRAWS = 2000


@dataclass(frozen=True, eq=False)
class Photo:
    """An image with its truth."""

    name: str
    rgb: RGB
    truth: LabelMap


def voc_photos() -> list[Photo]:
    """Photographs with VOC-21 truth."""
    rows = json.loads((REAL / "manifest.json").read_text())
    rows = rows if isinstance(rows, list) else rows["images"]
    catalog, found = get_catalog("voc21"), []
    for row in rows:
        if row.get("label") and row["image"].split("/")[0] in ("voc", "coco"):
            rgb = np.asarray(Image.open(REAL / row["image"]).convert("RGB"))
            truth = read_mask(REAL / row["label"], catalog)
            if truth.shape == rgb.shape[:2]:
                found.append(Photo(row["image"], rgb, truth))
    return found


def camvid_photos(sequence: str) -> list[Photo]:
    """Frames of one sequence of CamVid."""
    catalog, folder = get_catalog("camvid11"), REAL / "camvid"
    return [
        Photo(
            path.name,
            np.asarray(Image.open(path).convert("RGB")),
            read_mask(folder / f"{part}annot" / f"{path.stem}.png", catalog),
        )
        for part in ("train", "val")
        for path in sorted((folder / part).glob(f"{sequence}*"))
    ]


class Bench:
    """One model and one set of photographs, encoded once: what learns lies behind the encoder."""

    def __init__(self, model: SegmentationModel, card: ModelCard, catalog: ClassCatalog, photos: Sequence[Photo]) -> None:
        self.model, self.card, self.catalog, self.photos = model, card, catalog, photos
        halves, store = halves_of(model, "decoder"), FeatureStore(4 << 30)
        self._encoded: list[Encoded] = [
            encode(halves, photo.rgb, card.preprocessing, store, CPU, align_corners=model.align_corners, mirrored=False)
            for photo in photos
        ]
        self.before = self.predict(model)
        self._base = self._counts(self.before, range(len(photos)))

    def predict(self, model: SegmentationModel, places: Sequence[int] | None = None) -> dict[int, NDArray[Any]]:
        """Labels of some photographs."""
        halves = halves_of(model, "decoder")
        wanted = range(len(self.photos)) if places is None else places
        return {place: label_map(said(halves, self._encoded[place], CPU), self.card.catalog)[0] for place in wanted}

    def correct(self, place: int, hand: str) -> Corrected:
        """What a labeller makes of a photograph."""
        photo, void = self.photos[place], self.catalog.ignore
        mask = np.where(photo.truth == void, self.before[place], photo.truth).astype(photo.truth.dtype)
        right = (photo.truth == void) | (self.before[place] == photo.truth)
        known = np.where(right, void, photo.truth).astype(photo.truth.dtype) if hand == "errors" else photo.truth
        return Corrected(photo.name, lambda: (photo.rgb, known, mask))

    def learn(self, places: Sequence[int], rest: Sequence[int], hand: str, options: LearnOptions) -> Adapted:
        """The product's own learning."""
        corrected = [self.correct(place, hand) for place in places]
        untouched = [Untouched(self.photos[place].name, lambda place=place: self.photos[place].rgb) for place in rest]
        return adapt(self.model, self.card, corrected, untouched, labels=self.catalog, options=options)

    def gain(self, adapted: Adapted, rest: Sequence[int], random: np.random.Generator) -> tuple[float, float, float, float]:
        """mIoU before, and the gain with its 95 % interval, in points, pooled over ``rest``."""
        before = np.stack([self._base[place] for place in rest])
        after = before
        if adapted.report.verdict != "no better":
            found = self._counts(self.predict(adapted.model, rest), rest)
            after = np.stack([found[place] for place in rest])
        draws = random.multinomial(len(rest), np.full(len(rest), 1 / len(rest)), DRAWS)
        start, gain = mean_iou(before.sum(0)), mean_iou(after.sum(0)) - mean_iou(before.sum(0))
        spread = mean_iou(np.tensordot(draws, after, 1)) - mean_iou(np.tensordot(draws, before, 1))
        low, high = np.percentile(spread, [2.5, 97.5])
        return 100 * float(start), 100 * float(gain), 100 * float(low), 100 * float(high)

    def _counts(self, predictions: dict[int, NDArray[Any]], places: Sequence[int]) -> dict[int, NDArray[np.int64]]:
        return {
            place: ConfusionMatrix(self.catalog).update(truth=self.photos[place].truth, prediction=predictions[place]).counts
            for place in places
        }


def mean_iou(counts: NDArray[Any]) -> NDArray[np.float64]:
    """(...) mean IoU of (..., C, C + 1) counts over the classes in the truth."""
    hit = np.diagonal(counts, axis1=-2, axis2=-1).astype(np.float64)
    truth, predicted = counts.sum(-1), counts[..., :-1].sum(-2)
    present = truth > 0
    iou = np.where(present, hit / np.maximum(truth + predicted - hit, 1), 0.0)
    mean: NDArray[np.float64] = iou.sum(-1) / np.maximum(present.sum(-1), 1)
    return mean


def run(bench: Bench, ks: Sequence[int], seeds: Sequence[int], hand: str, options: LearnOptions) -> Iterator[dict[str, Any]]:
    """One row for every seed and k."""
    for seed in seeds:
        order = np.random.default_rng(seed).permutation(len(bench.photos)).tolist()
        for k in ks:
            places, rest = order[:k], sorted(order[k:])
            started = time.process_time(), time.monotonic()
            adapted = bench.learn(places, rest, hand, options)
            cpu, wall = time.process_time() - started[0], time.monotonic() - started[1]
            start, gain, low, high = bench.gain(adapted, rest, np.random.default_rng(seed))
            report = adapted.report
            row = {
                "seed": seed, "k": k, "start": round(start, 2), "gain": round(gain, 2), "low": round(low, 2),
                "high": round(high, 2), "verdict": report.verdict, "cpu_s": round(cpu, 1), "wall_s": round(wall, 1),
                "step": report.step, "steps": report.steps, "blend": report.blend, "kept": report.kept,
                "held_out": report.held_out,
            }  # fmt: skip
            print(
                f"{seed:>4} {k:>3}  {start:6.2f}  {gain:+6.2f}  [{low:+.2f}, {high:+.2f}]  {report.verdict}, "
                f"step {report.step} of {report.steps}, blend {report.blend}, kept {report.kept}, {cpu:.0f} s CPU",
                flush=True,
            )
            yield row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", choices=("voc", "camvid"), default="voc")
    parser.add_argument("--model", type=Path, help="camvid: a model that was trained without the sequence")
    parser.add_argument("--sequence", default="0006R0")
    parser.add_argument("--k", type=int, nargs="+", default=[1, 2, 5, 10, 20])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--hand", choices=("reviewed", "errors"), default="reviewed")
    parser.add_argument("--layers", choices=("decoder", "classifier", "all"), default="decoder")
    parser.add_argument("--strength", choices=("gentle", "normal", "strong"), default="normal")
    parser.add_argument("--seed", type=int, default=0, help="the first one")
    parser.add_argument("--json", type=Path, help="write the figures to this file, one row for every seed and k")
    arguments = parser.parse_args()
    cap_threads()
    if not REAL.is_dir():
        raise SystemExit(f"no real photographs here ({REAL} is absent)")
    voc = arguments.case == "voc"
    path = arguments.model or (VOC_MODEL if voc else None)
    if path is None:
        raise SystemExit("name a camvid model that was trained without the sequence: --model")
    model, card = load_model(path)
    bench = Bench(
        model, card, get_catalog("voc21" if voc else "camvid11"), voc_photos() if voc else camvid_photos(arguments.sequence)
    )
    print(f"{len(bench.photos)} images, {card.name}, {arguments.hand}, {arguments.layers}, {arguments.strength}")
    print("seed   k   start    gain  95 % interval", flush=True)
    options = LearnOptions(layers=arguments.layers, strength=arguments.strength)
    rows = []
    for row in run(bench, arguments.k, range(arguments.seed, arguments.seed + arguments.seeds), arguments.hand, options):
        rows.append(row)
        if arguments.json:
            arguments.json.write_text(json.dumps({"case": arguments.case, "images": len(bench.photos), "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
