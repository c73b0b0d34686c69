"""From a number to the pixels behind it: error components, kinds of failure, slices, rankings, label issues.

:func:`inspect_image` analyses one image, :class:`ImageAnalysis` is what is kept of it, :class:`FolderAnalysis` pools images and
answers every question about a folder, in the window as on the command line. :mod:`evaluate` and :mod:`inspection` read folders of
masks into it, :mod:`compare` and :mod:`report` show what was found. numpy and OpenCV only; OpenCV is imported when it is first
needed.
"""

from deeplab_core.analysis.components import (
    ErrorComponent,
    ImageErrors,
    component_mask,
    find_errors,
    wrong_pixels,
)
from deeplab_core.analysis.error_components import CellImage, ErrorComponents
from deeplab_core.analysis.failures import FailureRow, FailureRules, ImageFailures, failure_rows, repaired_iou
from deeplab_core.analysis.folder import FolderAnalysis, ImageIssue
from deeplab_core.analysis.image import count_labels, inspect_image
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
from deeplab_core.analysis.pairs import CellLoss, PairClassLoss, PairLoss, pair_loss
from deeplab_core.analysis.partition import ErrorPart, ErrorPartition, boundary_width, count_parts, partition_errors
from deeplab_core.analysis.ranking import RANKINGS, GainCurve, RankingScore, gain_curve, rank
from deeplab_core.analysis.ranking_scores import measure_ranking
from deeplab_core.analysis.record import ImageAnalysis
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
    "RANKINGS",
    "AmbiguousMark",
    "AmbiguousMarks",
    "Box",
    "CellImage",
    "CellLoss",
    "ClassConfidence",
    "ConfusedPair",
    "ErrorComponent",
    "ErrorComponents",
    "ErrorPart",
    "ErrorPartition",
    "FailureKind",
    "FailureRow",
    "FailureRules",
    "FolderAnalysis",
    "GainCurve",
    "ImageAnalysis",
    "ImageErrors",
    "ImageFailures",
    "ImageIssue",
    "KnownObject",
    "LabelIssue",
    "ObjectAxis",
    "ObjectSlice",
    "PairClassLoss",
    "PairLoss",
    "PixelAxis",
    "PixelSlice",
    "PixelSlices",
    "RankingScore",
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
    "count_labels",
    "count_parts",
    "disagreement",
    "entropy",
    "failure_rows",
    "find_errors",
    "find_label_issues",
    "find_regions",
    "gain_curve",
    "inspect_image",
    "label_quality",
    "least_confidence",
    "margin_uncertainty",
    "measure_ranking",
    "mutual_information",
    "neighbourly_order",
    "outline",
    "pair_loss",
    "pair_scores",
    "partition_errors",
    "pixel_cost",
    "rank",
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
    "wrong_pixels",
]
