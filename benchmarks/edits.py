"""What a stroke costs from dab to disk, at several image and brush sizes.

CPU milliseconds (``process_time``) per dab of a stroke, per finished step (packing the patch), per undo; wall milliseconds of
the journal's append, which the user waits for. The promise: under 1 ms of CPU per dab at 4096 x 4096, independent of the
image, and a completed stroke on disk within milliseconds.

    python benchmarks/edits.py
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from app.state.document import Document
from app.state.edits import StrokeSession, fill_patch, polygon_patch
from app.state.patch import TilePatch
from app.state.project import Project
from app.state.provenance import Provenance
from deeplab_core.catalogs import get_catalog

VOC = get_catalog("voc21")
DABS = 300


def timed(work: Callable[[], object], clock: Callable[[], float] = time.process_time) -> float:
    start = clock()
    work()
    return 1e3 * (clock() - start)


def mosaic(side: int, seed: int = 0) -> Document:
    """A label map of flat regions, as a model leaves it."""
    coarse = np.random.default_rng(seed).integers(0, 21, size=(side // 128 + 1, side // 128 + 1), dtype=np.uint8)
    labels = np.ascontiguousarray(np.kron(coarse, np.ones((128, 128), np.uint8))[:side, :side])
    return Document(labels, VOC, np.full((side, side), Provenance.MODEL, np.uint8), labels.copy())


def path(side: int) -> list[tuple[float, float]]:
    """A hand's wavy line, about 8 px between two events."""
    t = np.linspace(0, 1, DABS)
    x = side * 0.1 + t * min(side * 0.8, 2400)
    return list(zip(x.tolist(), (side / 2 + 120 * np.sin(t * 20)).tolist(), strict=True))


def strokes(sides: tuple[int, ...] = (1024, 4096, 10_000), diameters: tuple[int, ...] = (1, 10, 200, 1000)) -> None:
    print(f"{'image':>12} {'brush':>6} {'dab p50':>9} {'dab p95':>9} {'commit':>8} {'undo':>8} {'tiles':>6} {'kB':>6}   CPU ms")
    for side in sides:
        for diameter in diameters:
            dabs, commit, undo, patch = stroke(mosaic(side), diameter)
            size = f"{side}x{side}"
            print(
                f"{size:>12} {diameter:>6} {np.median(dabs):>9.3f} {np.percentile(dabs, 95):>9.3f} {commit:>8.2f} {undo:>8.2f}"
                f" {len(patch.tiles):>6} {patch.nbytes / 1e3:>6.1f}"
            )


def stroke(document: Document, diameter: float) -> tuple[list[float], float, float, TilePatch]:
    """Times of each dab, of the commit and of the undo of one stroke, and its patch."""
    session = StrokeSession(document, value=5, diameter=diameter)
    first, *rest = path(document.shape[0])
    session.begin(*first)
    dabs = [timed(partial(session.extend, [point])) for point in rest]
    start = time.process_time()
    patch = session.commit()
    commit = 1e3 * (time.process_time() - start)
    return dabs, commit, timed(lambda: document.apply(patch.inverted())), patch


def regions(side: int = 4096) -> None:
    document = mosaic(side)
    blank = Document.blank((side, side), VOC)
    t = np.linspace(0, 2 * np.pi, 2000)
    around = list(zip((side / 2 + side * 0.4 * np.cos(t)).tolist(), (side / 2 + side * 0.4 * np.sin(t)).tolist(), strict=True))
    print(f"\nregions at {side} x {side}, CPU ms")
    for name, work in (
        ("fill, 128-px region", lambda: fill_patch(document, 700, 700, 20)),
        ("fill, whole image", lambda: fill_patch(blank, 9, 9, 20)),
        ("lasso, 2000 points, half the image", lambda: polygon_patch(document, around, 20)),
    ):
        print(f"  {name:<36} {np.median([timed(work) for _ in range(3)]):8.1f}")


def journal(side: int = 4096, steps: int = 200) -> None:
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        Image.new("L", (side, side)).save(Path(folder) / "a.png")
        with Project.open(folder) as project:
            image = project.images[0].id
            document = project.load(image).document
            waits, syncs = [], []
            rng = np.random.default_rng(0)
            for number in range(steps):
                session = StrokeSession(document, value=number % 21, diameter=40)
                x, y = rng.uniform(0, side, size=2)
                session.begin(x, y)
                session.extend([(x + d, y + 60 * np.sin(d / 90)) for d in range(0, 600, 8)])
                patch = session.commit()
                append = partial(project.append_step, image, "Brush", Provenance.USER, patch)
                waits.append(timed(append, time.perf_counter))
                if number % 10 == 0:
                    syncs.append(timed(project.sync, time.perf_counter))
            head = project.journal.head(image)
            save = timed(partial(project.save_mask, image, document.labels, document.provenance, head), time.perf_counter)
            load = timed(partial(project.load, image), time.perf_counter)
        print(f"\njournal, {steps} strokes of 600 px, {side} x {side}, wall ms")
        late = np.percentile(waits, 95)
        print(f"  append in the window's thread     p50 {np.median(waits):.2f}  p95 {late:.2f}  max {max(waits):.2f}")
        print(f"  flush to the disk (writer thread) p50 {np.median(syncs):.2f}  max {max(syncs):.2f}")
        print(f"  save the mask file (writer thread) {save:.0f}   load mask and {steps} undo steps {load:.0f}")


if __name__ == "__main__":
    strokes()
    regions()
    journal()
