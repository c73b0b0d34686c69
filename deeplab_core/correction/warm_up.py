"""Compiles the loops of the correction tools ahead of their first use."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from deeplab_core.catalogs.catalog import ClassCatalog, ClassInfo
from deeplab_core.correction.corrector import Corrector
from deeplab_core.errors import Cancelled

#: Side of the image that the loops run on, px.
_SIDE = 48


def warm_up(cancel: Callable[[], bool] | None = None) -> None:
    """Import and compile the loops of regions and two-class scribbles, so that the first use does not wait. May run on a thread.

    It takes half a second; the first time, before the machine code is kept on disk, some 20 seconds of CPU. Python's lock is held
    for most of that: ``cancel`` is the place to wait until nothing else is to be done.

    Args:
        cancel: asked between the loops that take seconds each.

    Raises:
        Cancelled: ``cancel`` returned True.
    """
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (_SIDE, _SIDE, 3)).astype(np.uint8)
    catalog = ClassCatalog("warm-up", "", (ClassInfo(0, "a", (0, 0, 0)), ClassInfo(1, "b", (1, 1, 1))))
    scores = np.stack([np.full((12, 12), 0.6, np.float32), np.full((12, 12), 0.4, np.float32)])
    labels = np.zeros((_SIDE, _SIDE), np.uint8)
    corrector = Corrector(rgb, labels, catalog=catalog, scores=scores)
    corrector.prepare(cancel)
    if cancel is not None and cancel():
        raise Cancelled
    corrector.scribble([(8.0, 8.0), (30.0, 30.0)], 1, 4.0, 3.0)
