"""Small pictures to correct."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from deeplab_core.catalogs.catalog import ClassCatalog, ClassInfo
from deeplab_core.correction import Corrector

#: Ids with a gap: an id is not a channel.
CATALOG = ClassCatalog(
    "three",
    "three classes",
    (ClassInfo(0, "ground", (0, 0, 0)), ClassInfo(3, "disk", (200, 0, 0)), ClassInfo(7, "box", (0, 0, 200))),
    background=0,
)
#: Its ids do not fit 8 bits.
WIDE = ClassCatalog(
    "wide",
    "wide",
    (ClassInfo(0, "ground", (0, 0, 0)), ClassInfo(300, "disk", (200, 0, 0)), ClassInfo(9000, "box", (0, 0, 200))),
    background=0,
)


def disk_scene(height: int = 48, width: int = 64, seed: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """A red disk on grey ground, slight noise: (H, W, 3) and where the disk is."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    inside = (y - height / 2) ** 2 + (x - width / 2) ** 2 < (min(height, width) / 3) ** 2
    rgb = np.where(inside[..., None], (200, 60, 50), (90, 95, 100)) + rng.normal(0, 3, (height, width, 3))
    return np.clip(rgb, 0, 255).astype(np.uint8), inside


def scores_of(labels: NDArray[Any], catalog: ClassCatalog, first: float = 0.6, second: float = 0.3) -> NDArray[np.float32]:
    """Probabilities that believe the labels, with the next class of the catalog as second guess."""
    planes = np.full((len(catalog), *labels.shape), (1 - first - second) / max(len(catalog) - 2, 1), np.float32)
    for channel, info in enumerate(catalog.classes):
        planes[channel][labels == info.id] = first
        planes[(channel + 1) % len(catalog)][labels == info.id] = second
    return planes / planes.sum(axis=0)


def disk_corrector(*, scores: bool = True, catalog: ClassCatalog = CATALOG) -> tuple[Corrector, NDArray[np.bool_]]:
    """All of the scene is labelled ground; the disk is yet to be found."""
    rgb, inside = disk_scene()
    labels = np.zeros(inside.shape, catalog.dtype)
    return Corrector(rgb, labels, catalog=catalog, scores=scores_of(labels, catalog) if scores else None), inside


@st.composite
def correctors(draw: st.DrawFn) -> Corrector:
    """Any small image, labels with void, scores or none, painted pixels or none, 8 or 16 bits."""
    height, width = draw(st.integers(1, 24)), draw(st.integers(1, 24))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    catalog = draw(st.sampled_from([CATALOG, WIDE]))
    blocks = draw(st.sampled_from([1, 3, 8]))
    values = np.append(catalog.ids, catalog.ignore)[: draw(st.integers(1, 4))]
    coarse = rng.integers(0, values.size, (height // blocks + 1, width // blocks + 1))
    labels = values[np.kron(coarse, np.ones((blocks, blocks), int))[:height, :width]].astype(catalog.dtype)
    rgb = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    if draw(st.booleans()):
        rgb = (np.kron(coarse, np.ones((blocks, blocks), int))[:height, :width, None] * (60, 40, 20)).astype(np.uint8)
    size = draw(st.sampled_from([(height, width), (3, 2), (1, 1)]))
    scores = rng.normal(0, 2, (len(catalog), *size)).astype(np.float32) if draw(st.booleans()) else None
    provenance = rng.choice(np.array([0, 1, 2, 3, 5, 9], np.uint8), (height, width)) if draw(st.booleans()) else None
    return Corrector(rgb, np.ascontiguousarray(labels), catalog=catalog, scores=scores, provenance=provenance)
