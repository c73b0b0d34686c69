"""Does learning from corrections help on images without corrections, and do its verdicts hold there?

    OMP_NUM_THREADS=2 python benchmarks/learn.py --case camvid [--sequence 0006R0] [--k 1 2 5 10 20] [--seeds 3] [--json FILE]

A simulated labeller corrects k random images to their truth, has the model learn, and accepts unless the report calls it
worse. The score is the mIoU, pooled over all the *other* images, against that of the model before. Cases, each within one domain:

- ``camvid``: the bundled model on a sequence of CamVid that it has never seen (another with ``--model``).
- ``rooms``: the bundled model on the rooms of the sample project.
- ``indoor``: Google's DeepLabv3 (MobileNetV2, VOC-21), as ``photos-voc`` prepares images, on photographs with furniture.
- ``voc``: Google's network on all photographs with VOC's classes, which have nothing in common.
- ``road``: Google's network on frames of CamVid, where the labeller adds the class road, which that network has never known.
- ``streets``: the same frames with CamVid's classes, of which nine are new to the network.

``--hand errors`` corrects only the pixels that were wrong and does not call the image reviewed; ``--hand reviewed`` vouches for
the whole mask. Intervals are paired bootstraps over the other images (2,000 draws). A verdict "better" or "worse" holds if the
learned model gains or loses there. The last line counts the verdicts, and classes that lost more than their interval.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from deeplab_core.catalogs import get_catalog
from deeplab_core.catalogs.catalog import ClassCatalog, ClassInfo
from deeplab_core.inference import cap_threads
from deeplab_core.inference.pixels import RGB
from deeplab_core.labels import LabelMap
from deeplab_core.learning import Layers, LearnOptions, LearnReport, background_images
from deeplab_core.masks.read import read_mask
from deeplab_core.metrics import ConfusionMatrix
from deeplab_core.metrics.scores import class_iou, mean_iou, truth_pixels
from deeplab_core.nn import SegmentationModel
from deeplab_core.records import ModelCard
from deeplab_core.training.adaptation import Adapted, Corrected, Untouched, adapt
from deeplab_core.training.adaptation.frozen_split import FrozenSplit, split_network
from deeplab_core.training.adaptation.views import Encoded, FeatureStore, encode, label_map, network_scores
from deeplab_core.weights import load_model

REAL = Path(__file__).resolve().parents[2] / "shared" / "real"
MODELS = Path(__file__).resolve().parents[1] / "resources" / "models"
SAMPLE = MODELS.parent / "sample_project"
VOC_MODEL = REAL / "weights" / "deeplabv3_mnv2_voc_folded.safetensors"
CPU = torch.device("cpu")
DRAWS = 2000
CASES = ("camvid", "rooms", "indoor", "voc", "road", "streets")


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


#: VOC's classes of which a photograph is "indoor", and their least share of its pixels.
INDOOR = ("bottle", "chair", "diningtable", "pottedplant", "sofa", "tvmonitor")
INDOOR_SHARE = 0.002


def indoor_photos() -> list[Photo]:
    """Those with furniture."""
    catalog = get_catalog("voc21")
    ids = [catalog.by_name(name).id for name in INDOOR]
    return [photo for photo in voc_photos() if np.isin(photo.truth, ids).mean() > INDOOR_SHARE]


def room_photos() -> list[Photo]:
    """The rooms of the sample project."""
    catalog = get_catalog("voc21")
    return [
        Photo(path.name, np.asarray(Image.open(path).convert("RGB")), read_mask(SAMPLE / "truth" / f"{path.stem}.png", catalog))
        for path in sorted((SAMPLE / "images").glob("*.jpg"))
    ]


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


def road_catalog() -> ClassCatalog:
    """VOC's classes and road."""
    voc = get_catalog("voc21")
    road = ClassInfo(id=len(voc), name="road", color=(128, 64, 128))
    return replace(voc, name="voc21+road", classes=(*voc.classes, road))


def road_photos(sequence: str, catalog: ClassCatalog) -> list[Photo]:
    """Frames of CamVid with truth for road, car, person and background; bicyclists are half person, half bicycle: void."""
    camvid = get_catalog("camvid11")
    called = {"road": "road", "car": "car", "pedestrian": "person", "bicyclist": None}
    table = np.full(camvid.ignore + 1, catalog.ignore, catalog.dtype)
    for info in camvid.classes:
        name = called.get(info.name, "background")
        table[info.id] = catalog.ignore if name is None else catalog.by_name(name).id
    return [replace(photo, truth=table[photo.truth]) for photo in camvid_photos(sequence)]


@dataclass(frozen=True, eq=False)
class Gain:
    """mIoU before and what was won with its 95 % interval, and IoU by class before and after; all in points, pooled.

    ``lost``: classes with an interval below 0.
    """

    start: float
    gain: float
    low: float
    high: float
    before: NDArray[np.float64]
    after: NDArray[np.float64]
    lost: tuple[str, ...] = ()


class Bench:
    """One model and one set of photographs, encoded once."""

    def __init__(
        self,
        model: SegmentationModel,
        card: ModelCard,
        catalog: ClassCatalog,
        photos: Sequence[Photo],
        pairs: Mapping[int, int | None] | None = None,
    ) -> None:
        """``pairs``: what each class of the model is in ``catalog``; None matches by name, and all must be there."""
        self.model, self.card, self.catalog, self.photos, self.pairs = model, card, catalog, photos, pairs
        split, store = split_network(model, "decoder"), FeatureStore(4 << 30)
        self._encoded = [self._encode(split, photo, store) for photo in photos]
        self.before = self.predict(model, card)
        self._base = self._counts(self.before, range(len(photos)))

    def predict(self, model: SegmentationModel, card: ModelCard, places: Sequence[int] | None = None) -> dict[int, NDArray[Any]]:
        """Labels of some photographs, which are encoded again where the encoder itself has learned."""
        split = split_network(model, "decoder")
        kept = self._says_the_same(split)
        wanted = range(len(self.photos)) if places is None else places
        ids = np.full(card.catalog.ignore + 1, self.catalog.ignore, self.catalog.dtype)
        for info in card.catalog.classes:
            pair = self.catalog.by_name(info.name).id if self.pairs is None or info.id not in self.pairs else self.pairs[info.id]
            if pair is not None:
                ids[info.id] = pair
        found = {}
        for place in wanted:
            encoded = self._encoded[place] if kept else self._encode(split, self.photos[place], FeatureStore())
            found[place] = ids[label_map(network_scores(split, encoded, CPU), card.catalog)[0]]
        return found

    def _encode(self, split: FrozenSplit, photo: Photo, store: FeatureStore) -> Encoded:
        corners = self.model.align_corners
        return encode(split, photo.rgb, self.card.preprocessing, store, CPU, align_corners=corners, mirrored=False)

    def _says_the_same(self, split: FrozenSplit) -> bool:
        """Whether an encoder gives for the first photograph what was kept of it."""
        again = self._encode(split, self.photos[0], FeatureStore()).features
        return all(np.array_equal(one, other) for one, other in zip(again, self._encoded[0].features, strict=True))

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
        shown = Counter(number for place in places for number in np.unique(self.photos[place].truth).tolist())
        kept = background_images([set(np.unique(self.before[place]).tolist()) for place in rest], shown, options.background)
        untouched = [Untouched(self.photos[rest[one]].name, lambda one=one: self.photos[rest[one]].rgb) for one in kept]
        return adapt(self.model, self.card, corrected, untouched, labels=self.catalog, pairs=self.pairs, options=options)

    def gain(self, adapted: Adapted, rest: Sequence[int], random: np.random.Generator) -> Gain:
        """What the learned model wins or loses on ``rest``."""
        before = np.stack([self._base[place] for place in rest])
        found = self._counts(self.predict(adapted.model, adapted.card, rest), rest)
        after = np.stack([found[place] for place in rest])
        draws = random.multinomial(len(rest), np.full(len(rest), 1 / len(rest)), DRAWS)
        start, end = (float(mean_iou(counts.sum(0), "truth")[0]) for counts in (before, after))
        resampled = (mean_iou(np.tensordot(draws, counts, 1), "truth")[0] for counts in (after, before))
        low, high = np.percentile(np.subtract(*resampled), [2.5, 97.5])
        pooled = [np.tensordot(draws, counts, 1) for counts in (after, before)]
        change = np.subtract(*(np.where(truth_pixels(counts) > 0, class_iou(counts), np.nan) for counts in pooled))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # classes that no image has
            upper = np.nanpercentile(change, 97.5, axis=0)
        lost = tuple(name for name, high_ in zip(self.catalog.names, upper, strict=True) if high_ < 0)
        iou = [per_class(counts.sum(0)) for counts in (before, after)]
        return Gain(100 * start, 100 * (end - start), 100 * float(low), 100 * float(high), iou[0], iou[1], lost)

    def _counts(self, predictions: dict[int, NDArray[Any]], places: Sequence[int]) -> dict[int, NDArray[np.int64]]:
        return {
            place: ConfusionMatrix(self.catalog).update(truth=self.photos[place].truth, prediction=predictions[place]).counts
            for place in places
        }


def per_class(counts: NDArray[Any]) -> NDArray[np.float64]:
    """(C,) IoU of (C, C + 1) counts in points; nan for classes that are not in the truth."""
    return np.where(truth_pixels(counts) > 0, 100 * class_iou(counts), np.nan)


def run(bench: Bench, ks: Sequence[int], seeds: Sequence[int], hand: str, options: LearnOptions) -> Iterator[dict[str, Any]]:
    """One row for every seed and k."""
    for seed in seeds:
        order = np.random.default_rng(seed).permutation(len(bench.photos)).tolist()
        for k in ks:
            places, rest = order[:k], sorted(order[k:])
            started = time.process_time(), time.monotonic()
            adapted = bench.learn(places, rest, hand, options)
            cpu, wall = time.process_time() - started[0], time.monotonic() - started[1]
            gain = bench.gain(adapted, rest, np.random.default_rng(seed))
            report = adapted.report
            told = {row.name for row in (*report.lost_surely, *report.lost_perhaps)} | {name for name, _ in report.faded}
            row = {
                "seed": seed, "k": k, "start": round(gain.start, 2), "gain": round(gain.gain, 2), "low": round(gain.low, 2),
                "high": round(gain.high, 2), "verdict": report.verdict, "cpu_s": round(cpu, 1), "wall_s": round(wall, 1),
                "step": report.step, "steps": report.steps, "blend": report.blend, "kept": report.kept,
                "held_out": report.held_out, "lost": gain.lost, "unnamed": sorted(set(gain.lost) - told),
                "change": None if report.change is None else [report.change.gain, report.change.low, report.change.high],
                "classes": {
                    name: [round(float(before), 2), round(float(after), 2)]
                    for name, before, after in zip(bench.catalog.names, gain.before, gain.after, strict=True)
                    if not np.isnan(before)
                },
            }  # fmt: skip
            print(
                f"{seed:>4} {k:>3}  {gain.start:6.2f}  {gain.gain:+6.2f}  [{gain.low:+.2f}, {gain.high:+.2f}]  {report.verdict}, "
                f"step {report.step} of {report.steps}, blend {report.blend}, kept {report.kept}, "
                f"{cpu:.0f} s CPU, {wall:.0f} s, left out {percents(report)}"
                + (f", lost: {', '.join(gain.lost)}" if gain.lost else ""),
                flush=True,
            )
            print("    " + ", ".join(f"{name} {a:.0f} to {b:.0f}" for name, (a, b) in row["classes"].items()), flush=True)
            yield row


def percents(report: LearnReport) -> str:
    """The change on images left out, with its interval, in points."""
    change = report.change
    if change is None:
        return "nothing"
    if change.low is None or change.high is None:
        return f"{100 * change.gain:+.2f}"
    return f"{100 * change.gain:+.2f} [{100 * change.low:+.2f}, {100 * change.high:+.2f}]"


def tally(rows: Sequence[Mapping[str, Any]]) -> str:
    """How many verdicts hold on the other images, and how often nothing is said; of two and more corrected images."""
    checked = [row for row in rows if row["k"] > 1]
    said = [row for row in checked if row["verdict"] != "not sure"]
    held = [row for row in said if (row["gain"] > 0) == (row["verdict"] == "better")]
    lost, unnamed = (sum(len(row[key]) for row in checked) for key in ("lost", "unnamed"))
    return (
        f"verdicts: {len(held)} of {len(said)} hold, {len(checked) - len(said)} of {len(checked)} are not sure; "
        f"{lost} classes lost more than their interval, the report named {lost - unnamed} of them"
    )


def setting(case: str, sequence: str) -> tuple[Path, ClassCatalog, list[Photo], tuple[int, ...], dict[int, int | None] | None]:
    """Model, catalog of the masks, photographs, ids of new classes and pairs of a case."""
    voc, camvid = get_catalog("voc21"), get_catalog("camvid11")
    if case == "camvid":
        return MODELS / "camvid.safetensors", camvid, camvid_photos(sequence), (), None
    if case == "rooms":
        return MODELS / "rooms-voc.safetensors", voc, room_photos(), (), None
    if case == "road":
        catalog = road_catalog()
        return VOC_MODEL, catalog, road_photos(sequence, catalog), (catalog.by_name("road").id,), None
    if case == "streets":
        called = {"car": "car", "person": "pedestrian"}
        pairs = {info.id: camvid.by_name(called[info.name]).id if info.name in called else None for info in voc.classes}
        new = tuple(info.id for info in camvid.classes if info.id not in pairs.values())
        return VOC_MODEL, camvid, camvid_photos(sequence), new, pairs
    return VOC_MODEL, voc, indoor_photos() if case == "indoor" else voc_photos(), (), None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", choices=CASES, default="camvid")
    parser.add_argument("--model", type=Path, help="another one to start from, trained without the sequence")
    parser.add_argument("--sequence", default="0006R0")
    parser.add_argument("--every", type=int, default=1, help="take every n-th image only")
    parser.add_argument("--k", type=int, nargs="+", default=[1, 2, 5, 10, 20])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--hand", choices=("reviewed", "errors"), default="reviewed")
    parser.add_argument("--layers", choices=get_args(Layers), default=LearnOptions().layers)
    parser.add_argument("--strength", choices=("gentle", "normal", "strong"), default="normal")
    parser.add_argument("--seed", type=int, default=0, help="the first one")
    parser.add_argument("--json", type=Path, help="write the figures to this file, one row for every seed and k")
    arguments = parser.parse_args()
    cap_threads()
    if arguments.case != "rooms" and not REAL.is_dir():
        raise SystemExit(f"no real photographs here ({REAL} is absent)")
    path, catalog, photos, new, pairs = setting(arguments.case, arguments.sequence)
    model, card = load_model(arguments.model or path)
    if arguments.case == "indoor":
        card = replace(card, preprocessing=load_model(MODELS / "photos-voc.safetensors")[1].preprocessing)
    bench = Bench(model, card, catalog, photos[:: arguments.every], pairs)
    print(f"{len(bench.photos)} images, {card.name}, {arguments.hand}, {arguments.layers}, {arguments.strength}")
    print("seed   k   start    gain  95 % interval", flush=True)
    options = LearnOptions(layers=arguments.layers, strength=arguments.strength, new_classes=new)
    rows = []
    for row in run(bench, arguments.k, range(arguments.seed, arguments.seed + arguments.seeds), arguments.hand, options):
        rows.append(row)
        if arguments.json:
            arguments.json.write_text(json.dumps({"case": arguments.case, "images": len(bench.photos), "rows": rows}, indent=1))
    print(tally(rows))


if __name__ == "__main__":
    main()
