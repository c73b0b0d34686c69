"""Trimap bands: distances to void or to class edges, and scores inside and outside of them; boundary IoU and boundary F."""

from deeplab_core.boundary.band import (
    BAND_RULE_TEXT,
    EXCLUDED,
    OUTSIDE,
    WIDEST,
    BandAround,
    BandRule,
    band_index,
    band_mask,
)
from deeplab_core.boundary.boundary_f import boundary_f, csurka_f, mean_boundary_f, mean_csurka_f
from deeplab_core.boundary.boundary_iou import BoundaryIoU
from deeplab_core.boundary.distance import distance_to_edge, distance_to_void, fill_void
from deeplab_core.boundary.histogram import BandCurve, BandHistogram

__all__ = [
    "BAND_RULE_TEXT",
    "EXCLUDED",
    "OUTSIDE",
    "WIDEST",
    "BandAround",
    "BandCurve",
    "BandHistogram",
    "BandRule",
    "BoundaryIoU",
    "band_index",
    "band_mask",
    "boundary_f",
    "csurka_f",
    "distance_to_edge",
    "distance_to_void",
    "fill_void",
    "mean_boundary_f",
    "mean_csurka_f",
]
