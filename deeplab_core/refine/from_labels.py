"""Probabilities from a label map, for masks that come without a network."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.labels import LabelMap
from deeplab_core.refine.unary import ProbabilitySource


def labels_as_probabilities(
    labels: LabelMap, catalog: ClassCatalog, certainty: float
) -> tuple[ProbabilitySource, NDArray[Any]] | None:
    """A label is ``certainty`` sure, the other classes of the mask share the rest; void may be any of them.

    Classes that do not occur in the mask take no part.

    Args:
        labels: (H, W) class ids, void = ``catalog.ignore``.
        catalog: names the void id.
        certainty: 0..1; pydensecrf's ``unary_from_labels`` calls it ``gt_prob``.

    Returns:
        The probabilities and the id (in the catalog's dtype) of each channel; None where fewer than two classes occur, for
        then there is nothing to decide.
    """
    found = mask_as_probabilities(labels, catalog.ignore, certainty)
    return None if found is None else (found[0], found[1].astype(catalog.dtype))


def mask_as_probabilities(labels: LabelMap, ignore: int, certainty: float) -> tuple[ProbabilitySource, NDArray[Any]] | None:
    """As :func:`labels_as_probabilities`, for a mask of which only the void id is known."""
    ids = np.unique(labels)
    ids = ids[ids != ignore]
    if ids.size < 2:
        return None
    rest = (1.0 - certainty) / (ids.size - 1)

    def read(first: int, last: int) -> NDArray[np.float32]:
        part = labels[first:last]
        out = np.where(part[None] == ids[:, None, None], np.float32(certainty), np.float32(rest))
        out[:, part == ignore] = 1.0 / ids.size
        return out.astype(np.float32)

    return ProbabilitySource((labels.shape[0], labels.shape[1]), int(ids.size), read), ids
