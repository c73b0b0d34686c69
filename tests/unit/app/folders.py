"""Small folders of real image files, and the user's strokes in them, for tests of projects."""

from pathlib import Path

import numpy as np
from PIL import Image

from app.state.document import Document
from app.state.edits import StrokeSession
from app.state.patch import TilePatch
from app.state.project import Project
from app.state.provenance import Provenance

SHAPE = (90, 130)


def make_image(path: Path, seed: int = 0, shape: tuple[int, int] = SHAPE) -> Path:
    """A small photograph-like file with content that the seed decides."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, size=(*shape, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def make_folder(root: Path, *names: str) -> Path:
    for seed, name in enumerate(names):
        make_image(root / name, seed)
    return root


def image_id(project: Project, path: str) -> int:
    return next(record.id for record in project.images if record.relative_path == path)


def paint(document: Document, seed: int, value: int | None = None) -> TilePatch:
    """One random stroke on a document."""
    rng = np.random.default_rng(seed)
    height, width = document.shape
    points = [(float(x), float(y)) for x, y in rng.uniform((0, 0), (width, height), size=(4, 2))]
    label = int(rng.integers(0, 20)) if value is None else value
    stroke = StrokeSession(document, value=label, diameter=float(rng.integers(1, 25)))
    stroke.begin(*points[0])
    stroke.extend(points[1:])
    return stroke.commit()


def stroke(project: Project, image: int, document: Document, seed: int, source: Provenance = Provenance.USER) -> int:
    """Paint a random stroke and journal it; returns its number."""
    return project.append_step(image, f"Brush {seed}", source, paint(document, seed)).seq


def same(one: Document, other: Document) -> bool:
    return bool(np.array_equal(one.labels, other.labels) and np.array_equal(one.provenance, other.provenance))
