"""From a number to the pixels behind it: error components, kinds of failure, slices, rankings, doubtful labels.

:mod:`image` has everything that is asked of one image, :mod:`folder` of a folder; :mod:`error_index` and :mod:`board` are what a
window keeps of a folder and updates after a correction. :mod:`uncertainty`, :mod:`ranking` and :mod:`label_quality` work on
probabilities, :mod:`ambiguous` says what not to score. numpy and OpenCV only; OpenCV is imported when it is first needed.
"""

from deeplab_core.analysis.board import FailureBoard, FailureRow, repaired_iou
from deeplab_core.analysis.components import (
    ErrorComponent,
    ImageErrors,
    component_mask,
    find_errors,
    wrong_pixels,
)
from deeplab_core.analysis.error_index import CellImage, ErrorIndex
from deeplab_core.analysis.failures import FailureRules, ImageFailures
from deeplab_core.analysis.image import ImageInspection, inspect_image
from deeplab_core.analysis.kinds import KIND_TEXT, KINDS, PARTS, FailureKind, things_of
from deeplab_core.analysis.label_quality import (
    ClassConfidence,
    LabelIssue,
    find_label_issues,
    label_quality,
    self_confidence,
    softmin,
)
from deeplab_core.analysis.objects import OBJECT, KnownObject, read_known_objects
from deeplab_core.analysis.outline import outline
from deeplab_core.analysis.partition import ErrorPart, ErrorPartition, boundary_width, count_parts, partition_errors
from deeplab_core.analysis.ranking import GainCurve, gain_curve, worst_first
from deeplab_core.analysis.slices import (
    AXIS_TEXT,
    ObjectAxis,
    ObjectSlice,
    PixelAxis,
    PixelSlice,
    PixelSlices,
    Slice,
    slice_objects,
)
from deeplab_core.analysis.views import (
    ConfusedPair,
    by_column,
    by_row,
    confused_pairs,
    neighbourly_order,
    pair_scores,
    pixel_cost,
    without,
    worst_cells,
)
from deeplab_core.datasets.ambiguous import AmbiguousMark, AmbiguousMarks
from deeplab_core.geometry import Box
from deeplab_core.metrics.uncertainty import (
    UncertainRegion,
    UncertaintyScore,
    confidence_uncertainty,
    disagreement,
    entropy,
    least_confidence,
    margin_uncertainty,
    mutual_information,
    score_image,
    uncertain_regions,
    vote_disagreement,
)
from deeplab_core.regions import Regions, find_regions

__all__ = [
    "AXIS_TEXT",
    "KINDS",
    "KIND_TEXT",
    "OBJECT",
    "PARTS",
    "AmbiguousMark",
    "AmbiguousMarks",
    "Box",
    "CellImage",
    "ClassConfidence",
    "ConfusedPair",
    "ErrorComponent",
    "ErrorIndex",
    "ErrorPart",
    "ErrorPartition",
    "FailureBoard",
    "FailureKind",
    "FailureRow",
    "FailureRules",
    "GainCurve",
    "ImageErrors",
    "ImageFailures",
    "ImageInspection",
    "KnownObject",
    "LabelIssue",
    "ObjectAxis",
    "ObjectSlice",
    "PixelAxis",
    "PixelSlice",
    "PixelSlices",
    "Regions",
    "Slice",
    "UncertainRegion",
    "UncertaintyScore",
    "boundary_width",
    "by_column",
    "by_row",
    "component_mask",
    "confidence_uncertainty",
    "confused_pairs",
    "count_parts",
    "disagreement",
    "entropy",
    "find_errors",
    "find_label_issues",
    "find_regions",
    "gain_curve",
    "inspect_image",
    "label_quality",
    "least_confidence",
    "margin_uncertainty",
    "mutual_information",
    "neighbourly_order",
    "outline",
    "pair_scores",
    "partition_errors",
    "pixel_cost",
    "read_known_objects",
    "repaired_iou",
    "score_image",
    "self_confidence",
    "slice_objects",
    "softmin",
    "things_of",
    "uncertain_regions",
    "vote_disagreement",
    "without",
    "worst_cells",
    "worst_first",
    "wrong_pixels",
]
