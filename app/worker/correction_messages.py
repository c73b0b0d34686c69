"""Messages of the correction tools that need compiled loops or class scores; the rest runs in the window's process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.worker.messages import Answer, Request
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.correction.hierarchy import Hierarchy
from deeplab_core.geometry import Box
from deeplab_core.learning import PackedLabels


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareRegions(Request["RegionsReady"]):
    """Compute the regions of an image, and hand over its class scores. Answered by RegionsReady.

    Attributes:
        image, source_key: the file and its content key.
        catalog: the window's classes.
        channel_ids: what each class of the model becomes, in channel order, in ids of the catalog; empty without a model.
        threshold: of a two-class (sigmoid) network; None for every other one.
    """

    handler = "correct"

    image: str
    source_key: str
    catalog: ClassCatalog
    channel_ids: tuple[int, ...] = ()
    threshold: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionsReady(Answer):
    """What correction tools know of an image.

    Attributes:
        hierarchy: its regions.
        scores: (C, h, w) float16 probabilities of the catalog's classes, coarse; None without kept scores.
        milliseconds: that it took in the compute process.
    """

    hierarchy: Hierarchy
    scores: NDArray[np.float16] | None
    milliseconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AskScribble(Request["Scribbled"]):
    """What a two-class scribble turns into its class (``Corrector.scribble``). Answered by Scribbled.

    Attributes:
        base: the image and what is known of it; PrepareRegions need not come first.
        path: x and y in image px.
        cls: id of the stroke's class.
        reach, diameter: px of the image.
        part: the part of the image that the labels cover (``needed_box``).
        labels, provenance: of the part.
    """

    handler = "correct"

    base: PrepareRegions
    path: tuple[tuple[float, float], ...]
    cls: int
    reach: float
    diameter: float
    part: Box
    labels: PackedLabels
    provenance: PackedLabels


@dataclass(frozen=True, slots=True, kw_only=True)
class Scribbled(Answer):
    """What a scribble changes.

    Attributes:
        box: in the image.
        mask: (height, width) uint8 in the box, 1 where a pixel becomes the stroke's class; None if none does.
        sources: (height, width) uint8, the provenance that these pixels get.
        milliseconds: that it took in the compute process.
    """

    box: Box
    mask: PackedLabels | None = None
    sources: PackedLabels | None = None
    milliseconds: float = 0.0


def catalog_planes(planes: NDArray[Any], channel_ids: tuple[int, ...], catalog: ClassCatalog) -> NDArray[np.float16]:
    """(C, h, w) float16 probabilities of a catalog's classes from the (K, h, w) ones of a model; those of one class add up."""
    found = np.zeros((len(catalog), *planes.shape[1:]), np.float32)
    places = {int(class_id): channel for channel, class_id in enumerate(catalog.ids)}
    for plane, class_id in zip(planes, channel_ids, strict=True):
        if class_id in places:
            found[places[class_id]] += plane
    total = found.sum(axis=0)
    found /= np.maximum(total, np.float32(1e-6))
    return found.astype(np.float16)
