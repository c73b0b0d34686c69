"""An evaluation as plain values: the machine's half of the report. ``evaluation.schema.json`` declares every key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.metrics.boundary_f import BOUND_RATIO, CSURKA_RATIO
from deeplab_core.metrics.confusion import ConfusionMatrix
from deeplab_core.metrics.precision_recall import object_channel
from deeplab_core.metrics.scores import ABSENT_RULE_TEXT
from deeplab_core.metrics.trimap import BAND_RULE_TEXT, WIDEST
from deeplab_core.metrics.trimap_histogram import none_if_nan

if TYPE_CHECKING:
    from deeplab_core.analysis.evaluation import Evaluation, ImageResult

#: Name and version of the layout. The number rises when a key changes its meaning or goes; readers refuse what they do not know.
FORMAT = "atrous-evaluation-2"

Bounds = list[float] | None


def evaluation_figures(evaluation: Evaluation) -> dict[str, Any]:
    """Plain values; scores are 0..1, null if undefined. The rules are given beside the figures."""
    return {
        "format": FORMAT,
        "catalog": evaluation.catalog.to_dict(),
        "truth_sha256": evaluation.truth_sha256,
        "absent_class_rule": {"pooled": ABSENT_RULE_TEXT["union"], "image": ABSENT_RULE_TEXT["truth"]},
        "bootstrap": {
            "unit": "image",
            "method": "percentile",
            "resamples": evaluation.intervals.resamples,
            "level": evaluation.intervals.level,
        },
        "pooled": _pooled(evaluation),
        "confusion": evaluation.matrix.to_dict(),
        "bands": _bands(evaluation),
        "boundary": _boundary(evaluation),
        "calibration": _calibration(evaluation),
        "precision_recall": _precision_recall(evaluation),
        "cityscapes": None if evaluation.cityscapes is None else evaluation.cityscapes.to_dict(),
        "images": [_image_row(image, evaluation.catalog, evaluation.boundary is not None) for image in evaluation.images],
        "excluded_px": evaluation.excluded_px,
        "warnings": [note.to_dict() for note in evaluation.warnings],
        "truth_masks": None if evaluation.truth is None else evaluation.truth.to_dict(),
        "notes": {"truth": evaluation.truth_notes.to_list(), "prediction": evaluation.prediction_notes.to_list()},
        "failures": [error.to_dict() for error in evaluation.failures],
        "truth_without_prediction": [str(path) for path in evaluation.missing],
        "predictions_without_truth": [str(path) for path in evaluation.extra],
    }


def _pooled(evaluation: Evaluation) -> dict[str, Any]:
    intervals = evaluation.intervals
    figures = scores_of(evaluation.matrix)
    figures["mean_iou_interval"] = bounds(intervals.mean_iou)
    figures["pixel_accuracy_interval"] = bounds(intervals.pixel_accuracy)
    for channel, row in enumerate(figures["classes"]):
        row["iou_interval"] = bounds(intervals.iou[channel])
        row["images"] = int(intervals.images_with[channel])
    return figures


def scores_of(matrix: ConfusionMatrix) -> dict[str, Any]:
    """Every figure that follows from one matrix."""
    mean, accuracy = matrix.mean_iou("union"), matrix.mean_accuracy()
    means = {rule: matrix.mean_iou(rule) for rule in ABSENT_RULE_TEXT}
    columns = zip(
        matrix.catalog.classes,
        matrix.iou(),
        matrix.dice(),
        matrix.precision(),
        matrix.recall(),
        matrix.truth_pixels(),
        matrix.prediction_pixels(),
        strict=True,
    )
    return {
        "mean_iou": none_if_nan(mean.value),
        "mean_iou_classes": mean.classes,
        "mean_iou_by_rule": {
            rule: {"mean_iou": none_if_nan(found.value), "classes": found.classes} for rule, found in means.items()
        },
        "pixel_accuracy": none_if_nan(matrix.pixel_accuracy()),
        "mean_accuracy": none_if_nan(accuracy.value),
        "mean_accuracy_classes": accuracy.classes,
        "frequency_weighted_iou": none_if_nan(matrix.frequency_weighted_iou()),
        "labelled_px": matrix.total,
        "void_prediction_px": matrix.void_predictions,
        "classes": [
            {
                "id": info.id,
                "name": info.name,
                "iou": none_if_nan(iou),
                "dice": none_if_nan(dice),
                "precision": none_if_nan(precision),
                "recall": none_if_nan(recall),
                "truth_px": int(truth_px),
                "prediction_px": int(prediction_px),
            }
            for info, iou, dice, precision, recall, truth_px, prediction_px in columns
        ],
    }


def _bands(evaluation: Evaluation) -> dict[str, Any]:
    histogram = evaluation.histogram
    widths = tuple(range(1, WIDEST + 1))
    curve = histogram.curve("union").rows(widths)
    for row, compared in zip(curve, histogram.curve("truth").rows(widths), strict=True):
        row["mean_iou_truth"], row["classes_truth"] = compared["mean_iou"], compared["classes"]
        row["pixel_error"] = None if row["pixel_accuracy"] is None else 1.0 - row["pixel_accuracy"]
    return {
        "rule": histogram.rule,
        "around": histogram.around,
        "rule_text": BAND_RULE_TEXT[histogram.rule],
        "curve": curve,
        "widths": [
            {
                "width_px": width,
                "mean_iou_interval": bounds(evaluation.intervals.band_mean_iou[place]),
                "inside": scores_of(histogram.inside(width)),
                "outside": scores_of(histogram.outside(width)),
            }
            for place, width in enumerate(evaluation.widths)
        ],
    }


def _boundary(evaluation: Evaluation) -> dict[str, Any] | None:
    boundary, intervals = evaluation.boundary, evaluation.intervals
    if boundary is None:
        return None
    mean, classes = boundary.mean()
    davis, csurka = evaluation.image_mean("davis_f"), evaluation.image_mean("csurka_f")
    return {
        "boundary_iou": {
            "ratio": boundary.ratio,
            "mean": none_if_nan(mean),
            "classes": classes,
            "interval": bounds(intervals.mean_boundary_iou),
            "by_class": [
                {"id": info.id, "name": info.name, "boundary_iou": none_if_nan(iou), "interval": bounds(pair)}
                for info, iou, pair in zip(evaluation.catalog.classes, boundary.iou(), intervals.boundary_iou, strict=True)
            ],
        },
        "davis_f": {
            "ratio": BOUND_RATIO,
            "mean": none_if_nan(davis.value),
            "images": davis.classes,
            "interval": bounds(intervals.image_means[0]),
        },
        "csurka_f": {
            "ratio": CSURKA_RATIO,
            "mean": none_if_nan(csurka.value),
            "images": csurka.classes,
            "interval": bounds(intervals.image_means[1]),
        },
    }


def _calibration(evaluation: Evaluation) -> dict[str, Any] | None:
    if evaluation.calibration is None:
        return None
    return {"images": evaluation.calibrated_images, **evaluation.calibration.to_dict()}


def _precision_recall(evaluation: Evaluation) -> dict[str, Any] | None:
    found = evaluation.precision_recall
    if found is None:
        return None
    point = evaluation.predicted_point
    figures = {"precision": none_if_nan(point.precision), "recall": none_if_nan(point.recall), "iou": none_if_nan(point.iou)}
    name = evaluation.catalog.classes[object_channel(evaluation.catalog)].name
    return {"object": name, "threshold": evaluation.threshold, "predicted": figures, **found.to_dict()}


def _image_row(image: ImageResult, catalog: ClassCatalog, boundary: bool) -> dict[str, Any]:
    return {
        "name": image.name,
        "prediction": str(image.prediction),
        "truth": str(image.truth),
        "width": image.width,
        "height": image.height,
        "labelled_px": image.labelled_px,
        "mean_iou": none_if_nan(image.mean_iou.value),
        "mean_iou_classes": image.mean_iou.classes,
        "pixel_accuracy": none_if_nan(image.pixel_accuracy),
        "iou": {name: float(iou) for name, iou in zip(catalog.names, image.iou, strict=True) if not np.isnan(iou)},
        "band_px": image.band_px,
        "band_mean_iou": {str(width): none_if_nan(iou) for width, iou in image.band_iou.items()},
        "davis_f": none_if_nan(image.mean("davis_f")),
        "csurka_f": none_if_nan(image.mean("csurka_f")),
        "truth_sha256": image.truth_sha256,
        "counts": image.counts.to_rows(catalog.ids, image.widths, boundary=boundary),
    }


def bounds(pair: NDArray[np.float64]) -> Bounds:
    """``[low, high]``, or None without an interval."""
    return None if np.isnan(pair).any() else [float(pair[0]), float(pair[1])]
