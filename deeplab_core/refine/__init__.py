"""Fully connected CRF: probabilities in, probabilities out.

::

    crf = DenseCRF(rgb, CRFParams(bilateral_srgb=3))
    refined = crf.refine(probabilities)                        # (C, H, W) float32
    labels = crf.marginals(probabilities, clamp=strokes).labels()

Names are imported when they are first used: a window lists the presets, and must not wait for the engine's compiled loops.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deeplab_core.records import CRFParams
    from deeplab_core.refine.dense_crf import DenseCRF, warm_up
    from deeplab_core.refine.from_labels import labels_as_probabilities
    from deeplab_core.refine.marginals import Marginals
    from deeplab_core.refine.parameters import PRESETS, Preset, check_params, preset, read_params
    from deeplab_core.refine.region import refine_region, with_strokes
    from deeplab_core.refine.search import SearchReport, SearchSample, search_parameters
    from deeplab_core.refine.unary import ProbabilitySource

__all__ = [
    "PRESETS",
    "CRFParams",
    "DenseCRF",
    "Marginals",
    "Preset",
    "ProbabilitySource",
    "SearchReport",
    "SearchSample",
    "check_params",
    "choose_engine",
    "labels_as_probabilities",
    "preset",
    "read_params",
    "refine_region",
    "search_parameters",
    "warm_up",
    "with_strokes",
]

_HOMES = {
    "PRESETS": "deeplab_core.refine.parameters",
    "CRFParams": "deeplab_core.records",
    "DenseCRF": "deeplab_core.refine.dense_crf",
    "Marginals": "deeplab_core.refine.marginals",
    "Preset": "deeplab_core.refine.parameters",
    "ProbabilitySource": "deeplab_core.refine.unary",
    "SearchSample": "deeplab_core.refine.search",
    "SearchReport": "deeplab_core.refine.search",
    "check_params": "deeplab_core.refine.parameters",
    "choose_engine": "deeplab_core.refine.dense_crf",
    "labels_as_probabilities": "deeplab_core.refine.from_labels",
    "preset": "deeplab_core.refine.parameters",
    "read_params": "deeplab_core.refine.parameters",
    "refine_region": "deeplab_core.refine.region",
    "search_parameters": "deeplab_core.refine.search",
    "warm_up": "deeplab_core.refine.dense_crf",
    "with_strokes": "deeplab_core.refine.region",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
