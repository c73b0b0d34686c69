"""How many actions, and seconds, a simulated labeller needs from a network's mask to a good one, by the tools that it has.

    python benchmarks/strokes.py --out DIR [--list 40|20|tune] [--only brush all ...] [--single] [--click-model FILE]

Photographs and truth of ../shared/real with VOC-21 labels, masks of the real network there (no CRF). The labeller knows the truth
and chooses by it; the tools (:class:`deeplab_core.correction.Corrector`) never see it. Each action it takes the largest
8-connected component of wrong pixels of one true class (``/iou``: the component that costs most mIoU), points at its deepest
pixel, lets every tool make its best offer (size, level, reach and band are free, under a preview), and takes the one that makes
most pixels right. An image is done when its mIoU over the classes of the truth reaches 0.85, 0.90, 0.95; one that does not within
60 actions counts 60.

Seconds are those of a simple motor model: a click 1.5, a stroke 1.5 + length / 150 px, a traced outline 1.5 + length / 80 px.
``unsteady`` moves what the hand draws by a smooth error of 1.5 px (one standard deviation).

Every image of every row is kept in DIR as soon as it is done, so the script can be stopped and goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import os
import random
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import cv2
import numpy as np
from labeller import MOST, Row, best, components_of, offers, target_of, work
from labeller_case import Case, Most
from PIL import Image

REAL = Path(__file__).resolve().parents[2] / "shared" / "real"
WEIGHTS = REAL / "weights" / "deeplabv3_mnv2_voc_folded.safetensors"
TARGETS = (0.85, 0.90, 0.95)
#: The scores are handed over at a quarter of the image's sides.
COARSE = 4

BUILT_IN = ("brush", "over", "components", "regions", "region strokes", "scribble", "border")
ROWS: dict[str, Row] = {
    "brush": Row(("brush",)),
    "all": Row(BUILT_IN),
    "brush/iou": Row(("brush",), "iou"),
    "all/iou": Row(BUILT_IN, "iou"),
    "+over": Row(("brush", "over")),
    "+components": Row(("brush", "components")),
    "+regions": Row(("brush", "over", "regions")),
    "+region strokes": Row(("brush", "over", "region strokes")),
    "+clicks": Row(("brush", "over", "clicks")),
    "all+clicks": Row((*BUILT_IN, "clicks")),
    "+scribble": Row(("brush", "scribble")),
    "+border": Row(("brush", "border")),
    "+snapping lasso": Row(("brush", "snapping lasso")),
    "freehand": Row(("brush", "freehand")),
    "lasso": Row(("lasso",)),
    "snapping lasso": Row(("lasso", "snapping lasso")),
    "all+freehand+lasso": Row((*BUILT_IN, "freehand", "lasso", "snapping lasso")),
    "bound: exact component": Row(("exact",)),
    "bound: exact component/iou": Row(("exact",), "iou"),
    "bound: exact object": Row(("exact object",)),
    "bound: exact object/iou": Row(("exact object",), "iou"),
    "brush unsteady": Row(("brush",), unsteady=True),
    "all unsteady": Row(BUILT_IN, unsteady=True),
    "freehand unsteady": Row(("brush", "freehand"), unsteady=True),
    "lasso unsteady": Row(("lasso",), unsteady=True),
    "snapping lasso unsteady": Row(("lasso", "snapping lasso"), unsteady=True),
}


def photographs() -> list[tuple[str, Path, Path]]:
    rows = json.loads((REAL / "manifest.json").read_text())
    rows = rows if isinstance(rows, list) else rows["images"]
    return [
        (row["image"], REAL / row["image"], REAL / row["label"])
        for row in rows
        if row.get("label") and row["image"].split("/")[0] in ("voc", "coco")
    ]


def cases(out: Path) -> list[Case]:
    """All photographs with their masks; the network runs once, its answers are kept."""
    folder = out / "predictions"
    folder.mkdir(parents=True, exist_ok=True)
    predictor = None
    found = []
    for name, image, label in photographs():
        rgb, truth = np.asarray(Image.open(image).convert("RGB")), np.asarray(Image.open(label))
        if truth.shape != rgb.shape[:2]:
            continue
        kept = folder / f"{Path(name).stem}.npz"
        if not kept.is_file():
            if predictor is None:
                from deeplab_core.inference import Predictor
                from deeplab_core.weights import load_model

                predictor = Predictor(*load_model(WEIGHTS), device="cpu")
            scores = predictor.scores(rgb)
            size = max(rgb.shape[1] // COARSE, 1), max(rgb.shape[0] // COARSE, 1)
            planes = [cv2.resize(np.ascontiguousarray(one), size, interpolation=cv2.INTER_AREA) for one in scores.probabilities()]
            np.savez_compressed(kept, labels=scores.label_map()[0], scores=np.stack(planes).astype(np.float16))
        data = np.load(kept)
        found.append(Case(Path(name).stem, rgb, truth.astype(np.uint8), data["labels"].astype(np.uint8), data["scores"]))
    return found


def chosen(found: list[Case], which: str) -> list[Case]:
    """Those that begin below 0.95: forty by a seed, every second of them, or the others (for tuning)."""
    low = sorted((case for case in found if case.start < TARGETS[-1]), key=lambda case: case.name)
    forty = random.Random(7).sample(low, min(40, len(low)))
    return {"40": forty, "20": forty[::2], "tune": [case for case in low if case not in forty]}[which]


def reached(curve: dict[str, Any], target: float) -> tuple[int, float, bool]:
    """Actions and seconds until an image reaches a mIoU; all of them, and False, where it does not."""
    for actions, iou in enumerate(curve["iou"]):
        if iou >= target:
            return actions, curve["seconds"][actions], True
    return MOST, curve["seconds"][-1], False


def table(curves: dict[str, dict[str, dict[str, Any]]]) -> str:
    """Every row against the plain brush of the same hand and order: mean, median, 90th percentile, share reached, seconds.

    Ratios are of the means of actions and of seconds, over the images that both rows have; of rows that lack some the number is
    printed.
    """
    columns = f"{'mean':>6} {'median':>6} {'p90':>5} {'share':>5} {'s':>5} {'ratio':>9}"
    lines = [f"{'':26} " + " ".join(f"{f'@{target:.2f}':^41}" for target in TARGETS)]
    lines.append(f"{'tools':26} " + " ".join(columns for _ in TARGETS) + " ms per action")
    most = max(len(found) for found in curves.values())
    for name, found in curves.items():
        base = "brush" + ("/iou" if name.endswith("/iou") else " unsteady" if name.endswith("unsteady") else "")
        both = [image for image in found if image in curves.get(base, {})]
        cells = []
        for target in TARGETS:
            actions, seconds, done = np.array([reached(curve, target) for curve in found.values()], float).T
            ratio = ""
            if both:
                ours, plain = (
                    np.array([reached(row[image], target)[:2] for image in both]).mean(axis=0) for row in (found, curves[base])
                )
                ratio = "/".join(f"{part:.2f}" for part in ours / np.maximum(plain, 1e-9))
            cells.append(
                f"{actions.mean():6.1f} {np.median(actions):6.1f} {np.percentile(actions, 90):5.0f} {done.mean():5.2f}"
                f" {seconds.mean():5.0f} {ratio:>9}"
            )
        spent = [ms for curve in found.values() for ms in curve["ms"][1:]]
        few = f"   {len(found)} images" if len(found) < most else ""
        lines.append(f"{name:26} " + " ".join(cells) + f" {np.mean(spent) if spent else 0:8.0f}{few}")
    return "\n".join(lines)


#: Tools that one action of is measured, and those of them that are not freehand lines.
SINGLE = ("brush", "over", "freehand", "lasso", "snapping lasso", "components", "regions", "region strokes", "scribble", "border")
RANKED = tuple(name for name in SINGLE if "lasso" not in name and name != "freehand")


def single(found: list[Case]) -> str:
    """What one action of each tool wins of the three largest components of every image, as a share of the component."""
    shares: dict[str, list[tuple[float, int, float]]] = {name: [] for name in SINGLE}
    for case in found:
        corrector = case.corrector(prepared=True)
        regions = components_of(case.truth, case.labels)
        for number in np.argsort(-regions.pixels, kind="stable")[:3].tolist():
            if regions.pixels[number] < 100:
                continue
            target = target_of(case, case.labels, regions, number)
            every = Most(counts=False)
            _, tools = best(case, case.labels, offers(Row(SINGLE), case, target, corrector, None), every)
            for name in SINGLE:
                gain, spent = tools.get(name, (0, 0.0))
                shares[name].append((max(gain, 0) / target.pixels, target.pixels, spent))
    lines = [f"{len(shares['brush'])} components"]
    lines.append(f"{'tool':16} {'median':>7} {'by area':>8} {'>= 0.8':>7} {'nothing':>8} {'best in':>8} {'ms':>7}")
    ranked = np.array([[share for share, _, _ in shares[name]] for name in RANKED])
    for name in SINGLE:
        part, pixels, spent = np.array(shares[name], float).T
        first = f"{(ranked.argmax(axis=0) == RANKED.index(name)).mean():8.2f}" if name in RANKED else " " * 8
        lines.append(
            f"{name:16} {np.median(part):7.2f} {(part * pixels).sum() / pixels.sum():8.2f} {(part >= 0.8).mean():7.2f} "
            f"{(part <= 0).mean():8.2f} {first} {np.median(spent):7.1f}"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for masks and results, outside of the repository")
    parser.add_argument("--list", choices=("40", "20", "tune"), default="40")
    parser.add_argument("--only", nargs="*", choices=list(ROWS), metavar="ROW", help="default: all that can be measured")
    parser.add_argument("--click-model", type=Path, help="ONNX file of a click network, for the rows with clicks")
    parser.add_argument("--images", type=int, default=None, help="only this number of images, from the start of the list")
    parser.add_argument("--single", action="store_true", help="one action of each tool instead of whole images")
    parser.add_argument("--show", action="store_true", help="print what is kept, measure nothing")
    asked = parser.parse_args()
    if not WEIGHTS.is_file():
        raise SystemExit(f"no real photographs and network here ({REAL} is absent)")
    found = cases(asked.out)
    starts = np.array([case.start for case in found])
    below = ", ".join(f"{(starts < target).sum()} below {target}" for target in TARGETS)
    print(f"{len(found)} photographs, mean mIoU {starts.mean():.3f}, {below}", flush=True)
    found = chosen(found, asked.list)[: asked.images]
    rows = asked.only or [name for name, row in ROWS.items() if asked.click_model or "clicks" not in row.tools]
    if asked.click_model is not None:
        from deeplab_core.backends import load_click_model

        model = load_click_model(asked.click_model)
        for case in found:
            case.click_model = model
    if asked.single:
        print(single(found))
        return
    curves: dict[str, dict[str, dict[str, Any]]] = {}
    for name in rows:
        folder = asked.out / "runs" / name.replace("/", "_by_").replace(" ", "_").replace(":", "")
        folder.mkdir(parents=True, exist_ok=True)
        for case in found:
            kept = folder / f"{case.name}.json"
            if not kept.is_file() and not asked.show:
                part = kept.with_suffix(".part")
                part.write_text(json.dumps(work(case, ROWS[name])))
                part.replace(kept)
            if kept.is_file():
                curves.setdefault(name, {})[case.name] = json.loads(kept.read_text())
        print(f"{name}: {len(curves.get(name, {}))} images", flush=True)
    print(table(curves))


if __name__ == "__main__":
    main()
