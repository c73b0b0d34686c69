"""Fully connected CRF: probabilities in, probabilities out.

::

    crf = DenseCRF(rgb, CRFParams(bilateral_srgb=3))
    refined = crf.refine(probabilities)                        # (C, H, W) float32
    labels = crf.marginals(probabilities, clamp=strokes).labels()
"""

from deeplab_core.records import CRFParams
from deeplab_core.refine.dense_crf import DenseCRF, check_params, warm_up
from deeplab_core.refine.from_labels import labels_as_probabilities
from deeplab_core.refine.marginals import Marginals
from deeplab_core.refine.presets import PRESETS, Preset, preset
from deeplab_core.refine.region import Box, refine_region, with_strokes
from deeplab_core.refine.search import Sample, SearchReport, search_parameters
from deeplab_core.refine.unary import ProbabilitySource

__all__ = [
    "PRESETS",
    "Box",
    "CRFParams",
    "DenseCRF",
    "Marginals",
    "Preset",
    "ProbabilitySource",
    "Sample",
    "SearchReport",
    "check_params",
    "labels_as_probabilities",
    "preset",
    "refine_region",
    "search_parameters",
    "warm_up",
    "with_strokes",
]
