"""What a comparison of two folders of masks found, also as plain values: ``report/evaluation.schema.json`` declares every key."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from deeplab_core.analysis.folder import FolderAnalysis
from deeplab_core.analysis.record import BOUNDARY, CALIBRATION, EXCLUDED
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.errors import AtrousError
from deeplab_core.json_rows import LazyRows
from deeplab_core.masks.plausibility import MaskStatistics
from deeplab_core.metrics.bootstrap import Intervals, Samples
from deeplab_core.metrics.boundary_f import BOUND_RATIO, CSURKA_RATIO
from deeplab_core.metrics.boundary_iou import BoundaryIoU
from deeplab_core.metrics.calibration import Calibration
from deeplab_core.metrics.cityscapes import CityscapesScores
from deeplab_core.metrics.confusion import ConfusionMatrix, MeanScore
from deeplab_core.metrics.image_counts import ImageCounts
from deeplab_core.metrics.precision_recall import OperatingPoint, PrecisionRecall, object_channel
from deeplab_core.metrics.scores import ABSENT_RULE_TEXT
from deeplab_core.metrics.trimap import BAND_RULE_TEXT, WIDEST
from deeplab_core.metrics.trimap_histogram import BandHistogram, none_if_nan
from deeplab_core.metrics.truth_hash import ground_truth_hash
from deeplab_core.notes import Note, RunNotes
from deeplab_core.reading import json_text
from deeplab_core.records import TrimapBand

if TYPE_CHECKING:
    from deeplab_core.metrics.pair_reader import PairReader

#: Figures of single images that are averaged over images, in the order of :attr:`ImageResult.means`.
IMAGE_MEANS = ("davis_f", "csurka_f")

#: Name and version of the layout. The number rises when a key changes its meaning or goes; readers refuse what they do not know.
FORMAT = "atrous-evaluation-2"

Bounds = list[float] | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ImageResult:
    """Scores of one image.

    Attributes:
        name: path of the prediction below its folder.
        prediction, truth: the two files.
        width, height: px.
        labelled_px: pixels of non-void truth.
        mean_iou: over the classes present in the truth.
        pixel_accuracy: 0..1, nan without labelled pixels.
        band_px: labelled pixels within the widest band, 40 px; 0 where the image has no such boundary.
        widths: reported band widths, px.
        counts: pixels by class, from which pools are made.
        means: the figures named by :data:`IMAGE_MEANS`: boundary F-measures, means over the classes of the truth; nan where not
            measured or without contours.
        truth_sha256: hash of the ground truth as it was scored (:func:`deeplab_core.metrics.truth_hash.label_map_hash`).
    """

    name: str
    prediction: Path
    truth: Path
    width: int
    height: int
    labelled_px: int
    mean_iou: MeanScore
    pixel_accuracy: float
    band_px: int
    widths: tuple[int, ...]
    counts: ImageCounts
    means: tuple[float, ...]
    truth_sha256: str

    @property
    def iou(self) -> NDArray[np.float64]:
        """(C,) float64, nan for absent classes."""
        return self.counts.iou

    @property
    def truth_px(self) -> NDArray[np.int64]:
        """(C,) int64, labelled pixels of each class."""
        return self.counts.truth_px

    @property
    def band_iou(self) -> dict[int, float]:
        """Mean IoU inside each reported width (classes present in the truth of the band); nan for an empty band."""
        return dict(zip(self.widths, self.counts.band_mean_iou().tolist(), strict=True))

    def mean(self, name: str) -> float:
        """One of the figures named by :data:`IMAGE_MEANS`."""
        return self.means[IMAGE_MEANS.index(name)]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evaluation:
    """Scores of a folder.

    Attributes:
        catalog: the classes.
        widths: reported band widths in px.
        band: rule and reference of the bands.
        boundary_ratio: width of the inner boundaries as a share of the diagonal; None where they were not asked for.
        analysis: the images, pooled.
        threshold: that the masks were made with, if the run of a two-class (sigmoid) network records it; None otherwise.
        cityscapes: the benchmark's own scores under the catalogs ``cityscapes19`` and ``cityscapes34``, else None.
        intervals: bootstrap over images.
        images: one result per compared pair, by name.
        failures: files that could not be compared, each error naming its file.
        missing: truth files without a prediction.
        extra: predictions without truth.
        warnings: what makes the masks implausible, or is worth knowing about them (:mod:`deeplab_core.masks.plausibility`).
        truth: pixels of the ground truth by class, void included; None where they were not counted.
        reader: what read the masks, for pictures of them; None reads them as they are stored.
        reused: pairs whose figures were known from an earlier comparison.
        truth_notes, prediction_notes: mask files that were read in an unusual way, counted.
    """

    catalog: ClassCatalog
    widths: tuple[int, ...]
    band: TrimapBand
    boundary_ratio: float | None
    analysis: FolderAnalysis
    cityscapes: CityscapesScores | None
    intervals: Intervals
    images: tuple[ImageResult, ...]
    failures: tuple[AtrousError, ...] = ()
    missing: tuple[Path, ...] = ()
    extra: tuple[Path, ...] = ()
    warnings: tuple[Note, ...] = ()
    truth: MaskStatistics | None = None
    reader: PairReader | None = None
    truth_notes: RunNotes = field(default_factory=lambda: RunNotes("ground truth mask"))
    prediction_notes: RunNotes = field(default_factory=lambda: RunNotes("predicted mask"))
    threshold: float | None = None
    reused: int = 0

    @property
    def matrix(self) -> ConfusionMatrix:
        """Confusion matrix of all images."""
        return self.analysis.matrix

    @property
    def histogram(self) -> BandHistogram:
        """Confusion by band of all images."""
        return self.analysis.band(self.band.rule, self.band.around)

    @property
    def boundary(self) -> BoundaryIoU | None:
        """Boundary IoU of all images; None where it was not asked for."""
        if self.boundary_ratio is None:
            return None
        return BoundaryIoU(self.catalog, self.boundary_ratio, counts=self.analysis.total(BOUNDARY))

    @property
    def calibration(self) -> Calibration | None:
        """Calibration of the images that have a confidence map; None if none has."""
        return Calibration(self.catalog, self.analysis.total(CALIBRATION)) if self.calibrated_images else None

    @property
    def calibrated_images(self) -> int:
        """How many images have a confidence map."""
        return self.analysis.measured(CALIBRATION)

    @property
    def excluded_px(self) -> int:
        """Labelled pixels that marks of ambiguity kept out of the figures."""
        return int(self.analysis.total(EXCLUDED)[0])

    @property
    def precision_recall(self) -> PrecisionRecall | None:
        """Precision and recall over the threshold; None without confidence maps, or where the classes are not two."""
        return None if self.calibration is None else PrecisionRecall.of_calibration(self.calibration)

    @property
    def predicted_point(self) -> OperatingPoint:
        """Precision, recall and IoU of the object as the masks call it; :attr:`threshold` is nan where it is not known."""
        place, matrix = object_channel(self.catalog), self.matrix
        precision, recall, iou = (float(values[place]) for values in (matrix.precision(), matrix.recall(), matrix.iou()))
        return OperatingPoint(float("nan") if self.threshold is None else self.threshold, precision, recall, iou)

    @property
    def worst_first(self) -> tuple[ImageResult, ...]:
        """Images by rising mean IoU; those without labelled pixels last."""
        images = {image.name: image for image in self.images}
        return tuple(images[name] for name in self.analysis.ranking("iou"))

    @property
    def truth_sha256(self) -> str:
        """Hash of the ground truth of all images, as it was scored; the order of the files does not matter."""
        return ground_truth_hash((image.name, image.truth_sha256) for image in self.images)

    def image_mean(self, name: str) -> MeanScore:
        """Mean of a figure of single images (one of :data:`IMAGE_MEANS`) and how many images have it; (nan, 0) for none."""
        values = [value for image in self.images if not np.isnan(value := image.mean(name))]
        return MeanScore(float(np.mean(values)) if values else float("nan"), len(values))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, as ``evaluation.schema.json`` beside the report declares them."""
        figures = evaluation_figures(self)
        return {**figures, "images": list(figures["images"])}

    def to_json(self) -> str:
        """:meth:`to_dict` as JSON text."""
        return json_text(self.to_dict(), allow_nan=False, indent=1) + "\n"


def samples_of(images: tuple[ImageResult, ...], classes: int, widths: tuple[int, ...]) -> Samples:
    """Images as what the bootstrap draws from."""
    means = np.array([image.means for image in images], dtype=np.float64).reshape(len(images), len(IMAGE_MEANS))
    return Samples([image.counts for image in images], means, classes, widths)


def evaluation_figures(evaluation: Evaluation) -> dict[str, Any]:
    """Plain values; scores are 0..1, null if undefined. The rules are given beside the figures. Rows of images are made as they
    are written (:class:`~deeplab_core.json_rows.LazyRows`): a row of Python values takes some 40 kB.
    """
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
        "images": LazyRows(
            evaluation.images, lambda image: _image_row(image, evaluation.catalog, evaluation.boundary is not None)
        ),
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
