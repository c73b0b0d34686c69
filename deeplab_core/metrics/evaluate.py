"""Compare a folder of predicted masks with their truth: ``atrous evaluate`` and the window's folder judgement."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplab_core.boundary.band import BAND_RULE_TEXT, WIDEST, BandAround, BandRule, band_index, check_width
from deeplab_core.boundary.histogram import BandHistogram, none_if_nan
from deeplab_core.catalog import ClassCatalog
from deeplab_core.errors import AtrousError, Cancelled, MaskFormatError
from deeplab_core.formats import read_mask
from deeplab_core.metrics.confusion import ConfusionMatrix, MeanScore
from deeplab_core.metrics.pairing import MaskPair, pair_masks
from deeplab_core.metrics.scores import ABSENT_RULE_TEXT

#: Band widths in px that are reported one by one; the curve always has all forty.
DEFAULT_BANDS = (1, 2, 4, 8, 16, 40)

Progress = Callable[[int, int, str], None]


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
        iou: (C,) float64, nan for absent classes.
        truth_px: (C,) int64, labelled pixels of each class.
        band_px: labelled pixels within the widest band, 40 px; 0 where the image has no such boundary.
        band_iou: mean IoU inside each reported band width (classes present in the truth of the band); nan for an empty band.
    """

    name: str
    prediction: Path
    truth: Path
    width: int
    height: int
    labelled_px: int
    mean_iou: MeanScore
    pixel_accuracy: float
    iou: NDArray[np.float64]
    truth_px: NDArray[np.int64]
    band_px: int
    band_iou: dict[int, float]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evaluation:
    """Scores of a folder.

    Attributes:
        catalog: the classes.
        widths: reported band widths in px.
        matrix: pooled over all images.
        histogram: confusion by band, pooled over all images.
        images: one result per compared pair, by name.
        failures: files that could not be compared, each error naming its file.
        missing: truth files without a prediction.
        extra: predictions without truth.
    """

    catalog: ClassCatalog
    widths: tuple[int, ...]
    matrix: ConfusionMatrix
    histogram: BandHistogram
    images: tuple[ImageResult, ...]
    failures: tuple[AtrousError, ...] = ()
    missing: tuple[Path, ...] = ()
    extra: tuple[Path, ...] = ()

    @property
    def worst_first(self) -> tuple[ImageResult, ...]:
        """Images by rising mean IoU; those without labelled pixels last."""
        return tuple(sorted(self.images, key=lambda image: (np.isnan(image.mean_iou.value), image.mean_iou.value, image.name)))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; scores are 0..1, null where there is none. The rules stand beside the figures."""
        return {
            "format": "atrous-evaluation-1",
            "catalog": self.catalog.to_dict(),
            "absent_class_rule": {"pooled": ABSENT_RULE_TEXT["union"], "image": ABSENT_RULE_TEXT["truth"]},
            "pooled": _scores_of(self.matrix),
            "confusion": self.matrix.to_dict(),
            "bands": {
                "rule": self.histogram.rule,
                "around": self.histogram.around,
                "rule_text": BAND_RULE_TEXT[self.histogram.rule],
                "curve": self.histogram.curve("union").rows(tuple(range(1, WIDEST + 1))),
                "widths": [
                    {
                        "width_px": width,
                        "inside": _scores_of(self.histogram.inside(width)),
                        "outside": _scores_of(self.histogram.outside(width)),
                    }
                    for width in self.widths
                ],
            },
            "images": [_image_row(image, self.catalog) for image in self.images],
            "failures": [error.to_dict() for error in self.failures],
            "truth_without_prediction": [str(path) for path in self.missing],
            "predictions_without_truth": [str(path) for path in self.extra],
        }

    def to_json(self) -> str:
        """:meth:`to_dict` as JSON text."""
        return json.dumps(self.to_dict(), ensure_ascii=False, allow_nan=False, indent=1) + "\n"


def evaluate_folders(
    prediction_dir: Path | str,
    truth_dirs: Sequence[Path | str],
    catalog: ClassCatalog,
    *,
    bands: Iterable[int] = DEFAULT_BANDS,
    band_rule: BandRule = "edge",
    band_around: BandAround = "truth",
    progress: Progress | None = None,
    cancel: Callable[[], bool] | None = None,
) -> Evaluation:
    """Compare every predicted mask below a folder with the truth of the same name (:func:`pair_masks`).

    Masks are compared as they are: one of another size than its truth is a failure of that file, never resized. A file that fails
    is collected and the rest goes on.

    Args:
        prediction_dir: predicted masks.
        truth_dirs: truth masks, one folder or several.
        catalog: classes of both.
        bands: band widths in px to report, each 1..40.
        band_rule, band_around: see :class:`deeplab_core.records.TrimapBand`.
        progress: called with (done, total, name) after each pair.
        cancel: asked before each pair; True ends the work.

    Raises:
        MaskFormatError: a folder does not exist, or no prediction has a truth.
        Cancelled: ``cancel`` said so.
        ValueError: a band width outside 1..40.
    """
    widths = tuple(sorted({check_width(width) for width in bands}))
    folders = [Path(folder) for folder in truth_dirs]
    pairing = pair_masks(Path(prediction_dir), folders, catalog.name)
    failures = list(pairing.ambiguous)
    if not pairing.pairs and not failures:
        raise MaskFormatError(
            "no prediction here has a truth of the same name",
            why=f"{len(pairing.extra)} predictions, {len(pairing.missing)} truth files in {', '.join(map(str, folders)) or '-'}",
            remedy="Prediction and truth belong together by their file names",
            path=Path(prediction_dir),
        )
    matrix = ConfusionMatrix(catalog)
    pooled = BandHistogram(catalog, rule=band_rule, around=band_around)
    results = []
    for done, pair in enumerate(pairing.pairs, start=1):
        if cancel is not None and cancel():
            raise Cancelled()
        try:
            result, histogram = _compare(pair, BandHistogram(catalog, rule=band_rule, around=band_around), widths)
        except AtrousError as error:
            if error.path is None:
                error.path = pair.prediction
            failures.append(error)
        else:
            results.append(result)
            pooled += histogram
            matrix += histogram.total()
        if progress is not None:
            progress(done, len(pairing.pairs), pair.name)
    return Evaluation(
        catalog=catalog,
        widths=widths,
        matrix=matrix,
        histogram=pooled,
        images=tuple(results),
        failures=tuple(failures),
        missing=pairing.missing,
        extra=pairing.extra,
    )


def _compare(pair: MaskPair, histogram: BandHistogram, widths: tuple[int, ...]) -> tuple[ImageResult, BandHistogram]:
    """Count one pair into an empty histogram and sum it up."""
    catalog = histogram.catalog
    truth, prediction = read_mask(pair.truth, catalog), read_mask(pair.prediction, catalog)
    if truth.shape != prediction.shape:
        raise _size_mismatch(pair, truth.shape, prediction.shape)
    index = band_index(truth=truth, prediction=prediction, ignore=catalog.ignore, rule=histogram.rule, around=histogram.around)
    histogram.update(index=index, truth=truth, prediction=prediction)
    matrix = histogram.total()
    curve = histogram.curve("truth")
    return ImageResult(
        name=pair.name,
        prediction=pair.prediction,
        truth=pair.truth,
        width=truth.shape[1],
        height=truth.shape[0],
        labelled_px=matrix.total,
        mean_iou=matrix.mean_iou("truth"),
        pixel_accuracy=matrix.pixel_accuracy(),
        iou=matrix.iou(),
        truth_px=matrix.truth_pixels(),
        band_px=histogram.inside(WIDEST).total,
        band_iou={width: float(curve.mean_iou[width - 1]) for width in widths},
    ), histogram


def _size_mismatch(pair: MaskPair, truth: tuple[int, ...], prediction: tuple[int, ...]) -> MaskFormatError:
    why, remedy = f"The truth is {pair.truth}", "Predict at the size of the photograph; masks are never resized"
    if truth == prediction[::-1]:
        why += ", and one of the two is turned by the photograph's EXIF tag"
        remedy = "Predict in the other frame (stored or oriented)"
    return MaskFormatError(
        f"the prediction is {prediction[1]} x {prediction[0]} px, its truth {truth[1]} x {truth[0]} px",
        why=why,
        remedy=remedy,
        path=pair.prediction,
    )


def _scores_of(matrix: ConfusionMatrix) -> dict[str, Any]:
    mean, accuracy = matrix.mean_iou("union"), matrix.mean_accuracy()
    columns = zip(
        matrix.catalog.classes,
        matrix.iou(),
        matrix.precision(),
        matrix.recall(),
        matrix.truth_pixels(),
        matrix.prediction_pixels(),
        strict=True,
    )
    return {
        "mean_iou": none_if_nan(mean.value),
        "mean_iou_classes": mean.classes,
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
                "precision": none_if_nan(precision),
                "recall": none_if_nan(recall),
                "truth_px": int(truth_px),
                "prediction_px": int(prediction_px),
            }
            for info, iou, precision, recall, truth_px, prediction_px in columns
        ],
    }


def _image_row(image: ImageResult, catalog: ClassCatalog) -> dict[str, Any]:
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
    }
