"""Every measure against its reference, on made scenes: the table of docs/evaluation.md.

References are programs where they install (torchmetrics, cityscapesScripts, pycocotools) and otherwise the definition written out
in the plainest way: loops, morphology with the authors' structuring elements, distances between all pairs of pixels.

    python benchmarks/exactness.py [--scenes 8] [--write docs/evaluation.md]
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from deeplab_core.catalogs import get_catalog
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.kernels.compiled import LARGE, use_compiled
from deeplab_core.metrics import ConfusionMatrix
from deeplab_core.metrics.bootstrap import Samples
from deeplab_core.metrics.boundary_f import boundary_f, csurka_f, perimeter
from deeplab_core.metrics.boundary_iou import BoundaryIoU
from deeplab_core.metrics.calibration import Calibration
from deeplab_core.metrics.cityscapes import InstanceCounts, cityscapes_scores
from deeplab_core.metrics.distance import fill_void
from deeplab_core.metrics.image_counts import ImageCounts
from deeplab_core.metrics.trimap import band_map
from deeplab_core.metrics.trimap_histogram import BandHistogram

VOC, CITY = get_catalog("voc21"), get_catalog("cityscapes19")
VOID, CLASSES = 255, 21
BEGIN, END = "<!-- exactness: begin -->", "<!-- exactness: end -->"

Array = np.ndarray


@dataclass(frozen=True)
class Check:
    """A measure held against a reference: how many figures were compared, and the largest difference."""

    measure: str
    reference: str
    figures: int
    difference: float
    tolerance: float
    missing: str = ""

    @property
    def holds(self) -> bool:
        """Whether the reference was there and agrees."""
        return not self.missing and self.figures > 0 and self.difference <= self.tolerance


def scene(seed: int, height: int = 120, width: int = 160) -> tuple[Array, Array, Array]:
    """Truth with void rings, a prediction with classes that the truth lacks, and a confidence map."""
    rng = np.random.default_rng(seed)
    truth = np.zeros((height, width), np.uint8)
    for _ in range(5):
        center = int(rng.integers(0, width)), int(rng.integers(0, height))
        axes, label = (int(rng.integers(8, 40)), int(rng.integers(8, 40))), int(rng.integers(1, 15))
        cv2.ellipse(truth, center, axes, float(rng.integers(0, 180)), 0, 360, label, -1)
        cv2.ellipse(truth, center, axes, 0, 0, 360, VOID, 3)
    prediction = np.roll(fill_void(truth), (2, -1), (0, 1))
    prediction[rng.random(truth.shape) < 0.03] = int(rng.integers(1, 20))
    confidence = rng.integers(1, 255, truth.shape).astype(np.uint8)
    return truth, prediction, confidence


def compare(measure: str, reference: str, pairs: Iterator[tuple[object, object]], tolerance: float = 1e-12) -> Check:
    """Largest difference over pairs of arrays; nan must meet nan."""
    figures, largest = 0, 0.0
    for ours, theirs in pairs:
        mine, other = np.asarray(ours, dtype=np.float64).ravel(), np.asarray(theirs, dtype=np.float64).ravel()
        if mine.shape != other.shape or not np.array_equal(np.isnan(mine), np.isnan(other)):
            return Check(measure, reference, max(figures, 1), math.inf, tolerance)
        figures += mine.size
        if np.any(~np.isnan(mine)):
            largest = max(largest, float(np.nanmax(np.abs(mine - other))))
    return Check(measure, reference, figures, largest, tolerance)


def matrix_of(truth: Array, prediction: Array) -> ConfusionMatrix:
    return ConfusionMatrix(VOC).update(truth=truth, prediction=prediction)


def formulas(scenes: int) -> Iterator[Check]:
    """Definitions written out."""
    cases = [scene(seed)[:2] for seed in range(scenes)]

    def by_pixel(truth: Array, prediction: Array) -> Array:
        counts = np.zeros((CLASSES, CLASSES))
        for true, called in zip(truth.ravel().tolist(), prediction.ravel().tolist(), strict=True):
            if true != VOID:
                counts[true, called] += 1
        return counts

    counted = [(matrix_of(*case), by_pixel(*case)) for case in cases]
    yield compare("confusion matrix", "loop over pixels", ((m.counts[:, :-1], n) for m, n in counted))

    def voc(n: Array) -> Array:
        return np.array([n[c, c] / u if (u := n[c].sum() + n[:, c].sum() - n[c, c]) else math.nan for c in range(CLASSES)])

    yield compare("IoU by class", "VOC devkit, VOCevalseg: tp / (gt + pred - tp)", ((m.iou(), voc(n)) for m, n in counted))
    rules = {
        "union": ("mIoU, rule union", "nanmean over classes (VainF, mmseg)", lambda n: np.nanmean(voc(n))),
        "truth": ("mIoU, rule truth", "mean where gt > 0 (kazuto1011)", lambda n: np.nanmean(voc(n)[n.sum(1) > 0])),
        "all": ("mIoU, rule all", "empty denominator as 1 (DeepLab authors)", lambda n: np.nan_to_num(voc(n)).mean()),
    }
    for rule, (name, reference, formula) in rules.items():
        yield compare(name, reference, ((m.mean_iou(rule).value, formula(n)) for m, n in counted))

    def weighted(n: Array) -> float:
        return float(np.nansum(n.sum(1) / n.sum() * voc(n)))

    yield compare("frequency weighted IoU", "Long et al. 2015", ((m.frequency_weighted_iou(), weighted(n)) for m, n in counted))
    yield from _bands(cases)
    yield from _boundaries(cases)
    yield _pools(scenes)


def _bands(cases: list[tuple[Array, Array]]) -> Iterator[Check]:
    def square(truth: Array, width: int) -> Array:
        element = np.ones((2 * width + 1, 2 * width + 1), np.uint8)
        return (cv2.dilate((truth == VOID).astype(np.uint8), element) > 0) & (truth != VOID)

    def disk(truth: Array, width: int) -> Array:
        filled, band = fill_void(truth), np.zeros(truth.shape, bool)
        across = np.arange(-width, width + 1)
        element = (across[:, None] ** 2 + across**2 <= width * width).astype(np.uint8)
        for label in np.unique(filled).tolist():
            band |= (filled == label) & (cv2.dilate((filled != label).astype(np.uint8), element) > 0)
        return band & (truth != VOID)

    rules = (("void", "imdilate by a square, gt = 255 left out (DeepLab authors)", square), ("edge", "dilation by a disk", disk))
    for rule, reference, band_of in rules:
        curves, references = [], []
        for truth, prediction in cases:
            index = band_map(truth=truth, rule=rule)
            curve = BandHistogram(VOC, rule=rule).update(index=index, truth=truth, prediction=prediction).curve()
            curves.append((curve.mean_iou, 1 - curve.pixel_accuracy))
            inside = (np.where(band_of(truth, width), truth, VOID).astype(np.uint8) for width in range(1, 41))
            bands = [matrix_of(labels, prediction) for labels in inside]
            references.append(([b.mean_iou().value for b in bands], [1 - b.pixel_accuracy() for b in bands]))
        for place, name in enumerate(("mIoU", "pixel error")):
            pairs = ((ours[place], theirs[place]) for ours, theirs in zip(curves, references, strict=True))
            yield compare(f"trimap {name}, widths 1 to 40, rule {rule}", reference, pairs)


def _boundaries(cases: list[tuple[Array, Array]]) -> Iterator[Check]:
    def eroded(mask: Array, width: int) -> Array:
        padded = np.pad(mask.astype(np.uint8), 1)
        return mask & ~cv2.erode(padded, np.ones((3, 3), np.uint8), iterations=width)[1:-1, 1:-1].astype(bool)

    def cheng(truth: Array, prediction: Array) -> list[float]:
        width, scores = max(1, round(0.02 * math.hypot(*truth.shape))), []
        for label in range(CLASSES):
            g, p = eroded(truth == label, width), eroded((prediction == label) & (truth != VOID), width)
            scores.append((g & p).sum() / (g | p).sum() if (g | p).any() else math.nan)
        return scores

    pairs = ((BoundaryIoU(VOC).update(truth=t, prediction=p).iou(), cheng(t, p)) for t, p in cases)
    yield compare("Boundary IoU by class", "Cheng et al. 2021: pad, d erosions by 3 x 3", pairs)

    def seg2bmap(mask: Array) -> Array:
        e, s, se = mask.copy(), mask.copy(), mask.copy()
        e[:, :-1], s[:-1], se[:-1, :-1] = mask[:, 1:], mask[1:], mask[1:, 1:]
        edge = mask ^ e | mask ^ s | mask ^ se
        edge[-1], edge[:, -1], edge[-1, -1] = mask[-1] ^ e[-1], mask[:, -1] ^ s[:, -1], False
        return edge

    def davis(truth: Array, prediction: Array) -> float:
        g, p = seg2bmap(truth), seg2bmap(prediction)
        radius = math.ceil(0.008 * math.hypot(*truth.shape))
        across = np.arange(-radius, radius + 1)
        disk = (across[:, None] ** 2 + across**2 <= radius * radius).astype(np.uint8)
        near_g, near_p = (cv2.dilate(edge.astype(np.uint8), disk).astype(bool) for edge in (g, p))
        if not p.any() or not g.any():
            return float(p.any() == g.any())
        precision, recall = (p & near_g).sum() / p.sum(), (g & near_p).sum() / g.sum()
        return 2 * precision * recall / (precision + recall) if precision + recall else 0.0

    def csurka(truth: Array, prediction: Array) -> float:
        g, p = (np.argwhere(perimeter(mask)).astype(np.float64) for mask in (truth, prediction))
        if not len(g) and not len(p):
            return math.nan
        if not len(g) or not len(p):
            return 0.0
        between = np.sqrt(((g[:, None] - p) ** 2).sum(-1)) < 0.0075 * math.hypot(*truth.shape)
        precision, recall = between.any(0).mean(), between.any(1).mean()
        return 2 * precision * recall / (precision + recall) if precision + recall else 0.0

    def masks() -> Iterator[tuple[Array, Array]]:
        for truth, prediction in cases:
            for label in np.unique(truth[truth != VOID]).tolist():
                yield truth == label, (prediction == label) & (truth != VOID)

    yield compare("boundary F, DAVIS", "seg2bmap and f_measure written out", ((boundary_f(*m), davis(*m)) for m in masks()))
    yield compare("boundary F, Csurka", "all pairs of contour pixels", ((csurka_f(*m), csurka(*m)) for m in masks()))


def _pools(scenes: int) -> Check:
    """Bootstrap scores against matrices pooled one by one."""
    matrices, counts = [], []
    for seed in range(scenes):
        truth, prediction, _ = scene(seed)
        histogram = BandHistogram(VOC, rule="edge")
        histogram.update(index=band_map(truth=truth, rule="edge"), truth=truth, prediction=prediction)
        matrices.append(histogram.total())
        counts.append(ImageCounts.of(histogram, (), None))
    drawn = Samples(counts, np.zeros((scenes, 0)), CLASSES, ()).resampled(50, seed=7).mean_iou
    draws = np.random.default_rng(7).integers(0, scenes, (50, scenes))
    pooled = [sum((matrices[i] for i in row[1:]), start=matrices[row[0]].copy()).mean_iou().value for row in draws.tolist()]
    return compare("bootstrap mIoU", "pools added up one by one", iter([(drawn, pooled)]))


def torchmetrics_checks(scenes: int) -> Iterator[Check]:
    import torch
    from torchmetrics.classification import (
        MulticlassAccuracy,
        MulticlassCalibrationError,
        MulticlassConfusionMatrix,
        MulticlassF1Score,
        MulticlassJaccardIndex,
        MulticlassPrecision,
        MulticlassRecall,
    )

    name = f"torchmetrics {version('torchmetrics')}"
    cases = [scene(seed) for seed in range(scenes)]

    def tensors(truth: Array, prediction: Array) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.from_numpy(prediction.astype(np.int64)), torch.from_numpy(truth.astype(np.int64))

    def value(metric: object, truth: Array, prediction: Array) -> Array:
        return metric(*tensors(truth, prediction)).double().numpy()  # type: ignore[operator]

    options = {"num_classes": CLASSES, "ignore_index": VOID}
    single = 1e-6  # torchmetrics divides in float32
    count = MulticlassConfusionMatrix(**options)
    yield compare("confusion matrix", name, ((matrix_of(t, p).counts[:, :-1], value(count, t, p)) for t, p, _ in cases))
    by_class: list[tuple[str, type, Callable[[ConfusionMatrix], Array]]] = [
        ("IoU by class", MulticlassJaccardIndex, ConfusionMatrix.iou),
        ("precision by class", MulticlassPrecision, ConfusionMatrix.precision),
        ("recall by class", MulticlassRecall, ConfusionMatrix.recall),
        ("Dice (F1) by class", MulticlassF1Score, ConfusionMatrix.dice),
    ]
    for title, kind, score in by_class:
        metric = kind(average=None, **options)
        # It writes 0 if the divisor is 0; we write nan.
        pairs = ((np.nan_to_num(score(matrix_of(t, p))), np.nan_to_num(value(metric, t, p))) for t, p, _ in cases)
        yield compare(title, name, pairs, single)
    accuracy = MulticlassAccuracy(average="micro", **options)
    pairs = ((matrix_of(t, p).pixel_accuracy(), value(accuracy, t, p)) for t, p, _ in cases)
    yield compare("pixel accuracy", name, pairs, single)

    def class_accuracy(truth: Array, prediction: Array) -> float:
        present = np.unique(truth[truth != VOID])
        return float(value(MulticlassRecall(average=None, **options), truth, prediction)[present].mean())

    pairs = ((matrix_of(t, p).mean_accuracy().value, class_accuracy(t, p)) for t, p, _ in cases)
    yield compare("mean accuracy", name + ", classes of the truth", pairs, single)

    def calibration(truth: Array, prediction: Array, level: Array, norm: str) -> float:
        # Class probabilities; the largest one is the confidence: binary, since only "right or wrong" matters.
        keep = truth != VOID
        sure, right = level[keep] / 255.0, (truth == prediction)[keep]
        sure = np.maximum(sure, 1 - sure)
        scores = torch.from_numpy(np.column_stack([sure, 1 - sure]))
        metric = MulticlassCalibrationError(num_classes=2, n_bins=16, norm=norm)
        return float(metric(scores, torch.from_numpy(np.where(right, 0, 1))))

    for title, norm in (("ECE, 16 bins", "l1"), ("MCE, 16 bins", "max")):
        found = []
        for truth, prediction, level in cases:
            folded = np.maximum(level, 255 - level).astype(np.uint8)
            bins = Calibration(VOC).update(truth=truth, prediction=prediction, confidence=folded).bins(16)
            found.append((bins.ece if norm == "l1" else bins.mce, calibration(truth, prediction, level, norm)))
        yield compare(title, name, iter(found), 1e-5)  # it adds up thousands of float32


def pycocotools_checks(scenes: int) -> Iterator[Check]:
    from pycocotools import mask as coco

    def theirs(truth: Array, prediction: Array) -> list[float]:
        scores = []
        for label in range(CLASSES):
            masks = [(truth == label), (prediction == label) & (truth != VOID)]
            runs = [coco.encode(np.asfortranarray(mask.astype(np.uint8))) for mask in masks]
            scores.append(float(coco.iou([runs[1]], [runs[0]], [0])[0, 0]) if any(mask.any() for mask in masks) else math.nan)
        return scores

    cases = (scene(seed)[:2] for seed in range(scenes))
    pairs = ((matrix_of(t, p).iou(), theirs(t, p)) for t, p in cases)
    yield compare("IoU by class", f"pycocotools {version('pycocotools')}, mask.iou", pairs)


def cityscapes_checks(scenes: int) -> Iterator[Check]:
    """Files as the benchmark has them, through its own functions."""
    official = import_module("cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling")
    from cityscapesscripts.helpers.labels import trainId2label

    name = f"cityscapesScripts {version('cityscapesscripts')}"
    to_id = np.full(256, 0, np.uint8)
    for train_id, label in trainId2label.items():
        if 0 <= train_id < 19:
            to_id[train_id] = label.id
    yield from _cityscapes_checks(scenes, official, name, CITY, to_id)
    # Label ids: the ground truth holds classes that the benchmark ignores, and the predictions name them.
    yield from _cityscapes_checks(scenes, official, f"{name}, label ids", get_catalog("cityscapes34"), to_id)


def _cityscapes_checks(scenes: int, official: ModuleType, name: str, catalog: ClassCatalog, to_id: Array) -> Iterator[Check]:
    from cityscapesscripts.helpers.labels import name2label

    matrix, instances = ConfusionMatrix(catalog), InstanceCounts(catalog)
    args = official.args
    args.evalLabels, args.evalInstLevelScore, args.quiet = [], True, True
    total, weights = official.generateMatrix(args), official.generateInstanceStats(args)
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(scenes):
            truth, instance, prediction = street(seed)
            files = [Path(folder, f"a_{seed}_{kind}.png") for kind in ("pred", "gtFine_labelIds", "gtFine_instanceIds")]
            stored = to_id[prediction], to_id[truth]
            if catalog is not CITY:
                truth, prediction = with_ignored(seed, *stored)
                stored = prediction, truth
            for path, values in zip(files, (*stored, instance), strict=True):
                Image.fromarray(values).save(path)
            with in1d():
                official.evaluatePair(str(files[0]), str(files[1]), total, weights, {}, args)
            matrix.update(truth=truth, prediction=prediction)
            instances.update(instances=instance, prediction=prediction)
    ours = cityscapes_scores(matrix, instances)
    plain = [official.getIouScoreForLabel(name2label[name].id, total, args) for name in ours.class_iou]
    weighted = [official.getInstanceIouScoreForLabel(name2label[name].id, total, weights, args) for name in ours.instance_iou]
    categories = [official.getIouScoreForCategory(name, total, args) for name in ours.category_iou]
    by_instance = [official.getInstanceIouScoreForCategory(name, total, weights, args) for name in ours.category_instance_iou]
    yield compare("IoU by class", name, iter([(list(ours.class_iou.values()), plain)]))
    yield compare("iIoU by class", name, iter([(list(ours.instance_iou.values()), weighted)]))
    yield compare("IoU by category", name, iter([(list(ours.category_iou.values()), categories)]))
    yield compare("iIoU by category", name, iter([(list(ours.category_instance_iou.values()), by_instance)]))


def with_ignored(seed: int, prediction: Array, truth: Array) -> tuple[Array, Array]:
    """Ground truth and prediction in label ids, with classes that the benchmark ignores in both."""
    rng = np.random.default_rng(seed)
    ignored = [1, 4, 5, 6, 9, 10, 14, 15, 16, 18, 29, 30]
    truth, prediction = truth.copy(), prediction.copy()
    truth[-6:] = 1
    for labels, number in ((truth, 3), (prediction, 6)):
        for _ in range(number):
            y, x = (int(v) for v in rng.integers(0, 60, 2))
            labels[y : y + int(rng.integers(2, 12)), x : x + int(rng.integers(2, 30))] = int(rng.choice(ignored))
    return truth, prediction


@contextmanager
def in1d() -> Iterator[None]:
    """The function of this name, which numpy 2.4 took out and cityscapesScripts calls."""
    there = hasattr(np, "in1d")
    if not there:
        np.in1d = lambda one, other, invert=False: np.isin(np.ravel(one), other, invert=invert)
    try:
        yield
    finally:
        if not there:
            del np.in1d


def street(seed: int) -> tuple[Array, Array, Array]:
    """Truth (train ids), instances and a prediction of a made street."""
    rng = np.random.default_rng(seed)
    truth = np.repeat(np.array([10, 2, 8, 0], np.uint8), 20)[:, None].repeat(120, axis=1)
    truth[:3] = VOID
    things = {11: 24, 12: 25, 13: 26, 14: 27, 15: 28, 17: 32, 18: 33}
    instances = np.where(truth == VOID, 0, 7).astype(np.uint16)
    for number in range(8):
        label = int(rng.choice(list(things)))
        y, x = (int(v) for v in rng.integers(5, 60, 2))
        box = slice(y, y + int(rng.integers(4, 20))), slice(x, x + int(rng.integers(4, 40)))
        truth[box] = label
        instances[box] = things[label] * 1000 + number
    prediction = np.roll(np.where(truth == VOID, 10, truth), (1, 2), (0, 1)).astype(np.uint8)
    prediction[rng.random(truth.shape) < 0.05] = int(rng.integers(0, 19))
    return truth, instances, prediction


def checks(scenes: int) -> list[Check]:
    """All comparisons; a reference that is not installed leaves a row that names it."""
    found = list(formulas(scenes))
    programs = {
        "torchmetrics": torchmetrics_checks, "pycocotools": pycocotools_checks, "cityscapesscripts": cityscapes_checks,
    }  # fmt: skip
    for package, run in programs.items():
        try:
            version(package)
        except PackageNotFoundError:
            found.append(Check(f"all of {package}", package, 0, math.nan, 0.0, missing=f"{package} is not installed"))
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the references' own
            found.extend(run(scenes))
    return found


def table(found: list[Check]) -> str:
    """The checks as a Markdown table."""
    lines = ["| measure | reference | figures compared | largest difference |", "|---|---|---:|---:|"]
    for check in found:
        difference = check.missing or ("0" if check.difference == 0 else f"{check.difference:.0e}")
        mark = "" if check.holds or check.missing else " **differs**"
        lines.append(f"| {check.measure} | {check.reference} | {check.figures:,} | {difference}{mark} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=8)
    parser.add_argument("--write", type=Path, help="Markdown file; its marked part is replaced.")
    options = parser.parse_args()
    use_compiled(LARGE)  # what a folder of photographs is counted with; the tests run both ways
    found = checks(options.scenes)
    text = table(found)
    print(text)
    if options.write is not None:
        page = options.write.read_text(encoding="utf-8")
        before, after = page.split(BEGIN)[0], page.split(END)[1]
        options.write.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")
    return 0 if all(check.holds or check.missing for check in found) else 1


if __name__ == "__main__":
    sys.exit(main())
