"""What a comparison of two folders of masks found."""

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
from deeplab_core.masks.plausibility import MaskStatistics
from deeplab_core.metrics.bootstrap import Intervals, Samples
from deeplab_core.metrics.boundary_iou import BoundaryIoU
from deeplab_core.metrics.calibration import Calibration
from deeplab_core.metrics.cityscapes import CityscapesScores
from deeplab_core.metrics.confusion import ConfusionMatrix, MeanScore
from deeplab_core.metrics.image_counts import ImageCounts
from deeplab_core.metrics.precision_recall import OperatingPoint, PrecisionRecall, object_channel
from deeplab_core.metrics.trimap_histogram import BandHistogram
from deeplab_core.metrics.truth_hash import ground_truth_hash
from deeplab_core.notes import Note, RunNotes
from deeplab_core.reading import json_text
from deeplab_core.records import TrimapBand

if TYPE_CHECKING:
    from deeplab_core.metrics.pair_reader import PairReader

#: Figures of single images that are averaged over images, in the order of :attr:`ImageResult.means`.
IMAGE_MEANS = ("davis_f", "csurka_f")


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
        from deeplab_core.analysis.report.figures import evaluation_figures

        return evaluation_figures(self)

    def to_json(self) -> str:
        """:meth:`to_dict` as JSON text."""
        return json_text(self.to_dict(), allow_nan=False, indent=1) + "\n"


def samples_of(images: tuple[ImageResult, ...], classes: int, widths: tuple[int, ...]) -> Samples:
    """Images as what the bootstrap draws from."""
    means = np.array([image.means for image in images], dtype=np.float64).reshape(len(images), len(IMAGE_MEANS))
    return Samples([image.counts for image in images], means, classes, widths)
