"""How cost grows with classes, pixels and images; run by itself, or on two commits in turn (``make bench-compare BASE=commit``).

    python benchmarks/scale.py --list
    python benchmarks/scale.py evaluate-1000-classes boundary-12mp

Each case prints one line of JSON: seconds of CPU of this process (all threads, its set-up left out), seconds by the clock, and
its peak memory. Only names that earlier commits have are imported, so that the same script measures them.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np

# A tree that is named in PYTHONPATH is measured; else the one that this script is in.
if not os.environ.get("PYTHONPATH"):
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from deeplab_core.catalogs import get_catalog
from deeplab_core.catalogs.catalog import ClassCatalog, ClassInfo

VOC = get_catalog("voc21")

Array = np.ndarray
Case = Callable[[Path], None]
CASES: dict[str, Case] = {}
_spent: dict[str, float] = {}


@contextmanager
def measured() -> Iterator[None]:
    """What is inside counts; data are made outside."""
    start, clock = time.process_time(), time.perf_counter()
    yield
    _spent["cpu_s"] = _spent.get("cpu_s", 0.0) + time.process_time() - start
    _spent["wall_s"] = _spent.get("wall_s", 0.0) + time.perf_counter() - clock


def case(name: str) -> Callable[[Case], Case]:
    def add(function: Case) -> Case:
        CASES[name] = function
        return function

    return add


def classes_of(number: int) -> ClassCatalog:
    """A catalog of many classes."""
    return ClassCatalog(
        name="many", title="many", classes=tuple(ClassInfo(i, f"class {i}", (i % 256, i // 256, 90)) for i in range(number))
    )


def mosaic(number: int, seed: int, shape: tuple[int, int] = (480, 640), side: int = 40) -> tuple[Array, Array]:
    """Truth and prediction in squares of random classes, the prediction moved and one square in eight of another class."""
    random = np.random.default_rng(seed)
    grid = random.integers(0, number, (shape[0] // side, shape[1] // side))
    wrong = np.where(random.random(grid.shape) < 1 / 8, random.integers(0, number, grid.shape), grid)
    truth, prediction = (np.kron(squares, np.ones((side, side), int)).astype(np.uint16) for squares in (grid, wrong))
    kind = np.uint8 if number <= 254 else np.uint16
    return truth.astype(kind), np.roll(prediction, (3, -4), (0, 1)).astype(kind)


def scene(megapixels: float, seed: int = 0, classes: int = 21) -> tuple[Array, Array]:
    """Regions of all classes with curved outlines that grow with the image, and a prediction that is a little off."""
    height = round((megapixels * 1e6 * 3 / 4) ** 0.5)
    width = round(height * 4 / 3)
    random = np.random.default_rng(seed)
    best: list[Array] = [np.full((height, width), -9, np.float32) for _ in "tp"]
    labels = [np.zeros((height, width), np.uint8) for _ in "tp"]
    for label in range(classes):
        field = random.normal(size=(9, 12)).astype(np.float32)
        for place, other in enumerate((field, field + 0.25 * random.normal(size=field.shape).astype(np.float32))):
            large = cv2.resize(other, (width, height), interpolation=cv2.INTER_CUBIC)
            labels[place][large > best[place]] = label
            np.maximum(best[place], large, out=best[place])
    return labels[0], labels[1]


@case("bands-1000-classes")
def _bands(_root: Path) -> None:
    """Twenty images of 1,000 classes: counted, pooled in a folder, and its curve after each."""
    from deeplab_core.analysis.folder import FolderAnalysis
    from deeplab_core.analysis.image import count_labels
    from deeplab_core.records import TrimapBand

    catalog, band = classes_of(1000), TrimapBand(rule="edge")
    pairs = [mosaic(1000, seed) for seed in range(20)]
    with measured():
        folder = FolderAnalysis(catalog)
        for seed, (truth, prediction) in enumerate(pairs):
            folder.update(str(seed), count_labels(prediction, catalog, truth=truth, band=band))
            folder.band("edge").curve()


def _strokes(number: int) -> None:
    """Ten strokes in one image of a folder of ten, each with the figures that the window shows after it."""
    from app.state.document import Document
    from app.state.live_evaluation import LiveEvaluation
    from app.state.provenance import Provenance
    from deeplab_core.analysis.folder import FolderAnalysis
    from deeplab_core.analysis.image import count_labels
    from deeplab_core.geometry import Box
    from deeplab_core.records import TrimapBand

    catalog, band, folder = classes_of(number), TrimapBand(rule="edge"), FolderAnalysis(classes_of(number))
    for seed in range(10):
        truth, prediction = mosaic(number, seed)
        folder.update(str(seed), count_labels(prediction, catalog, truth=truth, band=band))
    truth, prediction = mosaic(number, 0)
    document = Document(prediction, catalog)
    live = LiveEvaluation(truth, document)
    live.histogram("edge")
    with measured():
        for step in range(10):
            box = Box(40 * step, 30 * step, 60, 60)
            document.paint(box, np.ones((60, 60), bool), int(truth[30 * step, 40 * step]), Provenance.USER)
            folder.update("0", live.record("edge", "truth"))
            folder.band("edge").curve("truth")
            live.histogram("edge").curve("truth")
            folder.matrix.mean_iou()


@case("strokes-150-classes")
def _strokes_150(_root: Path) -> None:
    """Ten strokes with all figures after each, 150 classes."""
    _strokes(150)


@case("strokes-1000-classes")
def _strokes_1000(_root: Path) -> None:
    """Ten strokes with all figures after each, 1,000 classes."""
    _strokes(1000)


@case("predict-32")
def _predict(root: Path) -> None:
    """``predict`` of 32 images of 480 x 360 with the bundled network for rooms, two threads; its start counts too."""
    from app.cli import run
    from app.paths import SAMPLE_PROJECT

    (root / "in").mkdir()
    images = sorted((SAMPLE_PROJECT / "images").glob("*.jpg"))
    for number in range(32):
        small = cv2.resize(cv2.imread(str(images[number % len(images)])), (480, 360), interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(root / "in" / f"{number:03}.jpg"), small)
    with measured():
        assert run(["predict", str(root / "in"), "--model", "rooms-voc", "-o", str(root / "out"), "--device", "cpu"]) == 0


@case("evaluate-1000-classes")
def _evaluate_classes(root: Path) -> None:
    """Twenty images of 1,000 classes through ``evaluate_folders``, without resampling."""
    _evaluate(root, [mosaic(1000, seed) for seed in range(20)], classes_of(1000))


@case("inspect-1000-classes")
def _inspect_classes(_root: Path) -> None:
    """Four images of 1,000 classes, inspected and pooled."""
    from deeplab_core.analysis.folder import FolderAnalysis
    from deeplab_core.analysis.image import inspect_image

    catalog, folder = classes_of(1000), FolderAnalysis(classes_of(1000))
    pairs = [mosaic(1000, seed) for seed in range(4)]
    with measured():
        for seed, (truth, prediction) in enumerate(pairs):
            folder.update(str(seed), inspect_image(truth=truth, prediction=prediction, catalog=catalog))
        folder.failures()


def _evaluate(root: Path, pairs: list[tuple[Array, Array]], catalog: ClassCatalog) -> None:
    from deeplab_core.analysis.evaluate import evaluate_folders

    for place, folder in enumerate(("truth", "prediction")):
        (root / folder).mkdir()
        for number, pair in enumerate(pairs):
            cv2.imwrite(str(root / folder / f"{number:04}.png"), pair[place])
    with measured():
        evaluate_folders(root / "prediction", [root / "truth"], catalog, resamples=0, threads=1)


def _sized(megapixels: int) -> None:
    @case(f"boundary-{megapixels}mp")
    def _boundary(_root: Path) -> None:
        """Both boundary F-measures of one image."""
        from deeplab_core.metrics.boundary_f import mean_boundary_f, mean_csurka_f

        truth, prediction = scene(megapixels)
        mean_boundary_f(truth=truth[:600, :600], prediction=prediction[:600, :600])  # compiles
        with measured():
            mean_boundary_f(truth=truth, prediction=prediction)
            mean_csurka_f(truth=truth, prediction=prediction)

    @case(f"evaluate-{megapixels}mp")
    def _evaluate_image(root: Path) -> None:
        """One pair through ``evaluate_folders``."""
        _evaluate(root, [scene(megapixels)], VOC)

    @case(f"inspect-{megapixels}mp")
    def _inspect_image(_root: Path) -> None:
        """One pair, inspected."""
        from deeplab_core.analysis.image import inspect_image

        truth, prediction = scene(megapixels)
        with measured():
            inspect_image(truth=truth, prediction=prediction, catalog=VOC)

    @case(f"crf-{megapixels}mp")
    def _crf(_root: Path) -> None:
        """A mask of all 21 classes refined with the CRF (v1) on a rendered room, enlarged, with a camera's noise; one thread."""
        from app.paths import SAMPLE_PROJECT
        from deeplab_core.refine import DenseCRF, preset
        from deeplab_core.refine.from_labels import labels_as_probabilities

        labels = scene(megapixels)[0]
        height, width = labels.shape
        room = cv2.imread(str(sorted((SAMPLE_PROJECT / "images").glob("*.jpg"))[0]))
        room = cv2.resize(room, (width, height), interpolation=cv2.INTER_CUBIC)
        random = np.random.default_rng(0)
        for first in range(0, height, 256):
            part = room[first : first + 256]
            part[:] = np.clip(part + random.normal(0, 2, part.shape), 0, 255)
        found = labels_as_probabilities(labels, VOC, 0.7)
        assert found is not None
        with measured():
            marginals = DenseCRF(room, preset("v1")).marginals(found[0])
            marginals.labels()
        if marginals.note:
            print(marginals.note, file=sys.stderr)


for _megapixels in (1, 4, 12, 50, 100):
    _sized(_megapixels)


@case("boundary-small")
def _boundary_small(_root: Path) -> None:
    """Both boundary F-measures of a hundred images of 500 x 375."""
    from deeplab_core.metrics.boundary_f import mean_boundary_f, mean_csurka_f

    pairs = [scene(0.1875, seed, classes=6) for seed in range(10)]
    mean_boundary_f(truth=pairs[0][0], prediction=pairs[0][1])
    with measured():
        for _ in range(10):
            for truth, prediction in pairs:
                mean_boundary_f(truth=truth, prediction=prediction)
                mean_csurka_f(truth=truth, prediction=prediction)


def _masks(root: Path, count: int) -> tuple[Path, Path]:
    """Images of 640 x 480 and masks of the same names."""
    images, masks = root / "images", root / "masks"
    images.mkdir()
    masks.mkdir()
    for number in range(count):
        labels = mosaic(21, number)[0]
        cv2.imwrite(str(masks / f"{number:05}.png"), labels)
        cv2.imwrite(str(images / f"{number:05}.jpg"), np.repeat(labels[..., None] * 9, 3, 2))
        os.utime(masks / f"{number:05}.png", (1_700_000_000, 1_700_000_000))
    return images, masks


@case("import-200")
def _import(root: Path) -> None:
    """``import`` of 200 masks of 640 x 480; its start counts too."""
    from app.cli import run

    images, masks = _masks(root, 200)
    with measured():
        assert run(["import", str(masks), "--images", str(images), "--catalog", "voc21", "--format", "masks"]) == 0


@case("evaluate-cached-200")
def _evaluate_cached(root: Path) -> None:
    """``evaluate`` of 200 pairs of 640 x 480 whose figures are in a cache, no resampling."""
    from app.cli import run

    _images, masks = _masks(root, 200)
    arguments = ["evaluate", "--prediction", str(masks), "--truth", str(masks), "--catalog", "voc21", "--resamples", "0"]
    arguments += ["--cache", str(root / "cache")]
    start = time.process_time()
    assert run(arguments) == 0
    print(f"the first time: {time.process_time() - start:.2f} s", file=sys.stderr)
    with measured():
        assert run(arguments) == 0


def _evaluate_many(root: Path, count: int) -> None:
    from app.cli import run

    first, second = root / "truth", root / "masks"
    first.mkdir()
    second.mkdir()
    for number in range(count):
        for place, labels in zip((first, second), mosaic(21, number, (48, 64), 8) if number < 100 else (None, None), strict=True):
            path = place / f"{number:05}.png"
            if labels is None:
                os.link(place / f"{number % 100:05}.png", path)
            else:
                cv2.imwrite(str(path), labels)
    arguments = ["evaluate", "--prediction", str(second), "--truth", str(first), "--catalog", "voc21", "--resamples", "0"]
    with measured():
        assert run([*arguments, "--json", str(root / "figures.json")]) == 0


@case("evaluate-2000-pairs")
def _evaluate_2000(root: Path) -> None:
    """``evaluate --json`` of 2,000 pairs of 64 x 48 and some 19 classes each; 10,000 tell the memory of a pair."""
    _evaluate_many(root, 2_000)


@case("evaluate-10000-pairs")
def _evaluate_10000(root: Path) -> None:
    """The same of 10,000 pairs."""
    _evaluate_many(root, 10_000)


@case("list-20000")
def _listing_20000(root: Path) -> None:
    """``predict``'s plan of a folder of 20,000 images."""
    _listing(root, 20_000)


@case("list-100000")
def _listing_100000(root: Path) -> None:
    """``predict``'s plan of a folder of 100,000 images."""
    _listing(root, 100_000)


def _listing(root: Path, count: int) -> None:
    from app.cli.plan import plan_outputs

    data = cv2.imencode(".png", np.zeros((2, 2), np.uint8))[1].tobytes()
    for number in range(count):
        folder = root / "in" / f"{number // 1000:03}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number:06}.png").write_bytes(data)
    with measured():
        plan = plan_outputs([root / "in"], root / "out")
    assert len(plan.tasks) == count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", metavar="CASE")
    parser.add_argument("--list", action="store_true", help="print the cases")
    options = parser.parse_args()
    if options.list:
        for name, function in CASES.items():
            print(f"{name:24} {function.__doc__}")
        return
    for name in options.cases or ("bands-1000-classes", "boundary-small", "boundary-4mp", "inspect-4mp"):
        _spent.clear()
        with tempfile.TemporaryDirectory() as folder:
            CASES[name](Path(folder))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            json.dumps(
                {"case": name, "cpu_s": round(_spent["cpu_s"], 4), "wall_s": round(_spent["wall_s"], 3), "peak_mb": round(peak)}
            ),
            flush=True,
        )


if __name__ == "__main__":
    main()
