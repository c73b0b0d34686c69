"""Compare a folder of predicted masks with their truth: ``atrous evaluate`` and the window's folder judgement."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.datasets.ambiguous import AMBIGUOUS_SUFFIX, read_ambiguous
from deeplab_core.datasets.pairing import MaskPair, pair_masks
from deeplab_core.datasets.sidecars import SidecarFiles, confidence_file, instance_file, read_confidence, read_instances
from deeplab_core.errors import AtrousError, Cancelled, MaskFormatError, image_error
from deeplab_core.labels import LabelMap, class_histogram
from deeplab_core.masks.frames import Frame, recorded_frame
from deeplab_core.masks.plausibility import MaskStatistics, hidden_by_void, shifted_by_one
from deeplab_core.metrics.bootstrap import RESAMPLES, intervals
from deeplab_core.metrics.boundary_f import mean_boundary_f, mean_csurka_f
from deeplab_core.metrics.boundary_iou import DILATION_RATIO, DILATION_RATIO_CITYSCAPES, BoundaryIoU
from deeplab_core.metrics.calibration import Calibration
from deeplab_core.metrics.cityscapes import CATALOGS, CityscapesScores, InstanceCounts, cityscapes_scores
from deeplab_core.metrics.confusion import ConfusionMatrix
from deeplab_core.metrics.evaluation import Evaluation, ImageResult, samples_of
from deeplab_core.metrics.image_counts import ImageCounts
from deeplab_core.metrics.pair_reader import PairLabels, PairReader
from deeplab_core.metrics.precision_recall import first_level, object_channel
from deeplab_core.metrics.trimap import WIDEST, BandAround, BandRule, band_index, check_width
from deeplab_core.metrics.trimap_histogram import BandHistogram
from deeplab_core.metrics.truth_hash import label_map_hash
from deeplab_core.notes import Note, RunNotes
from deeplab_core.parallel import available_cores, in_order
from deeplab_core.records import check_threshold

__all__ = ["DEFAULT_BANDS", "Evaluation", "ImageResult", "Progress", "evaluate_folders"]

#: Band widths in px that are reported one by one; the curve always has all forty.
DEFAULT_BANDS = (1, 2, 4, 8, 16, 40)

#: Threads that count by default: each holds the masks of two images.
_MOST_THREADS = 8

Progress = Callable[[int, int, str], None]


def evaluate_folders(
    prediction_dir: Path | str,
    truth_dirs: Sequence[Path | str],
    catalog: ClassCatalog,
    *,
    bands: Iterable[int] = DEFAULT_BANDS,
    band_rule: BandRule = "edge",
    band_around: BandAround = "truth",
    boundary: bool = True,
    resamples: int = RESAMPLES,
    seed: int = 0,
    ambiguous_dir: Path | None = None,
    images_dir: Path | None = None,
    frame: Frame = "auto",
    prediction_frame: Frame | None = None,
    threads: int | None = None,
    threshold: float | None = None,
    progress: Progress | None = None,
    cancel: Callable[[], bool] | None = None,
) -> Evaluation:
    """Compare every predicted mask below a folder with the truth of the same name (:func:`pair_masks`).

    Masks are compared as they are: one of another size than its truth is a failure of that file, never resized. A file that fails
    is collected and the rest goes on. ``NAME.confidence.png`` beside a prediction gives the calibration; under the catalogs
    ``cityscapes19`` and ``cityscapes34`` the ``*_instanceIds.png`` beside every truth file give the instance-weighted IoU.

    Args:
        prediction_dir: predicted masks.
        truth_dirs: truth masks, one folder or several.
        catalog: classes of both.
        bands: band widths in px to report, each 1..40.
        band_rule, band_around: see :class:`deeplab_core.records.TrimapBand`.
        boundary: also measure boundary IoU and the boundary F-measures (some 5 ms for an image of 500 x 375 px).
        resamples: pools drawn for the bootstrap intervals; 0 for none.
        seed: of the draws; equal seeds give equal intervals.
        ambiguous_dir: ``NAME.ambiguous.json``, regions that count as void in every score; bands lie around the truth as it is.
        images_dir: photographs of the same names. With them, masks of images that carry an EXIF orientation are compared in the
            displayed frame; without them, truth and prediction are taken to be in the same frame.
        frame: frame of the photographs that the truth is stored in (see :func:`deeplab_core.masks.read_mask`).
        prediction_frame: that of the predictions; None takes what Atrous recorded in their folder, else ``frame``.
        threads: that read and count; None takes one for each core, at most eight. The figures do not depend on it.
        threshold: 0..1, of masks of two classes: what is compared is what another threshold would have called the object, from
            the mask and its confidence map, which every prediction then needs. None takes the masks as they are.
        progress: called with (done, total, name) after each pair.
        cancel: asked before each pair; True ends the work.

    Raises:
        MaskFormatError: a folder does not exist, or no prediction has a truth; or a threshold for other than two classes.
        Cancelled: ``cancel`` said so.
        ValueError: a band width outside 1..40.
    """
    widths = tuple(sorted({check_width(width) for width in bands}))
    folders = [Path(folder) for folder in truth_dirs]
    pairing = pair_masks(Path(prediction_dir), folders, catalog.name)
    if not pairing.pairs and not pairing.ambiguous:
        raise MaskFormatError(
            "no prediction here has a truth of the same name",
            why=f"{len(pairing.extra)} predictions, {len(pairing.missing)} truth files in {', '.join(map(str, folders)) or '-'}",
            remedy="Prediction and truth belong together by their file names",
            path=Path(prediction_dir),
        )
    marks = None if ambiguous_dir is None else SidecarFiles(ambiguous_dir, (AMBIGUOUS_SUFFIX,))
    reader = PairReader(catalog, images_dir=images_dir, frame=frame, prediction_frame=prediction_frame)
    if threshold is not None:
        check_threshold(threshold)
        if len(catalog) != 2:
            raise MaskFormatError(
                f"a threshold is for two classes; '{catalog.name}' has {len(catalog)}", remedy="Leave the threshold out"
            )
    tally = _Tally(BandHistogram(catalog, rule=band_rule, around=band_around), widths, boundary, reader, marks, threshold)
    tally.failures.extend(pairing.ambiguous)
    counted = in_order(tally.count, pairing.pairs, min(available_cores(), _MOST_THREADS) if threads is None else threads)
    for done, pair in enumerate(pairing.pairs, start=1):
        if cancel is not None and cancel():
            counted.close()
            raise Cancelled()
        found = next(counted)
        if isinstance(found, AtrousError):
            tally.failures.append(found)
        else:
            tally.add(found)
        if progress is not None:
            progress(done, len(pairing.pairs), pair.name)
    matrix = tally.histogram.total()
    images = tuple(tally.images)
    return Evaluation(
        catalog=catalog,
        widths=widths,
        matrix=matrix,
        histogram=tally.histogram,
        boundary=tally.boundary,
        calibration=tally.calibration if tally.calibrated else None,
        calibrated_images=tally.calibrated,
        cityscapes=_cityscapes(matrix, tally),
        intervals=intervals(samples_of(images, len(catalog), widths), resamples=resamples, seed=seed),
        images=images,
        failures=tuple(tally.failures),
        missing=pairing.missing,
        extra=pairing.extra,
        excluded_px=tally.excluded_px,
        warnings=(*([] if images_dir is not None else _other_frame(Path(prediction_dir), folders)), *tally.warnings(matrix)),
        truth=tally.truth,
        reader=reader,
        truth_notes=tally.truth_notes,
        prediction_notes=tally.prediction_notes,
        threshold=threshold,
    )


@dataclass(frozen=True, eq=False)
class _Counted:
    """One pair. ``truth`` is what is scored: void where ``excluded`` (None: nowhere) is true."""

    pair: MaskPair
    truth: LabelMap
    excluded: NDArray[np.bool_] | None
    excluded_px: int
    prediction: LabelMap
    labels: PairLabels
    truth_px: NDArray[np.int64]
    over_void: NDArray[np.int64]
    result: ImageResult
    histogram: BandHistogram
    boundary: BoundaryIoU | None
    confidence: NDArray[np.uint8] | None


@dataclass(eq=False)
class _Tally:
    """What has been counted so far."""

    histogram: BandHistogram
    widths: tuple[int, ...]
    wants_boundary: bool
    reader: PairReader
    marks: SidecarFiles | None = None
    threshold: float | None = None
    excluded_px: int = 0
    images: list[ImageResult] = field(default_factory=list)
    failures: list[AtrousError] = field(default_factory=list)
    calibrated: int = 0

    def __post_init__(self) -> None:
        catalog = self.histogram.catalog
        self.calibration = Calibration(catalog)
        self.boundary = self._empty_boundary()
        self.instances = InstanceCounts(catalog) if catalog.name in CATALOGS else None
        self.truth = MaskStatistics(catalog)
        self.over_void = np.zeros(len(catalog) + 1, dtype=np.int64)
        self.truth_notes, self.prediction_notes = RunNotes("ground truth mask"), RunNotes("predicted mask")

    def warnings(self, matrix: ConfusionMatrix) -> tuple[Note, ...]:
        """What is implausible about the masks, the most serious first."""
        catalog, counts = self.histogram.catalog, matrix.counts
        shifted = shifted_by_one(counts, catalog)
        hidden = hidden_by_void(counts, self.over_void, catalog)
        found = [*([] if shifted is None else [shifted]), *hidden, *self.truth.findings()]
        return tuple(sorted(found, key=lambda note: not note.warning))

    def count(self, pair: MaskPair) -> _Counted | AtrousError:
        """Count one pair by itself, or say why it cannot be; changes nothing here, so that several threads may."""
        try:
            return self._count(pair)
        except Exception as error:
            return image_error(error, pair.prediction)

    def add(self, counted: _Counted) -> None:
        """Add what was counted of a pair."""
        self.histogram += counted.histogram
        if counted.boundary is not None and self.boundary is not None:
            self.boundary += counted.boundary
        self.images.append(counted.result)
        self.truth.add(counted.pair.name, counted.truth_px)
        self.over_void += counted.over_void
        self.truth_notes.add(counted.pair.name, counted.labels.truth_notes)
        self.prediction_notes.add(counted.pair.name, counted.labels.prediction_notes)
        self.excluded_px += counted.excluded_px
        self._add_companions(counted)

    def _count(self, pair: MaskPair) -> _Counted:
        catalog, rule, around = self.histogram.catalog, self.histogram.rule, self.histogram.around
        labels = self.reader.read(pair)
        truth, prediction = labels.truth, labels.prediction
        if truth.shape != prediction.shape:
            raise _size_mismatch(pair, truth.shape, prediction.shape)
        confidence: NDArray[np.uint8] | None = None
        if self.threshold is not None:
            prediction, confidence = self._called_anew(pair, labels)
        truth_px = class_histogram(truth, catalog)
        over_void = np.zeros_like(truth_px)
        if truth_px[-1]:
            over_void = class_histogram(np.ascontiguousarray(prediction[truth == catalog.ignore][None]), catalog)
        index = band_index(truth=truth, prediction=prediction, ignore=catalog.ignore, rule=rule, around=around)
        excluded, excluded_px = self._excluded(pair, truth), 0
        if excluded is not None:
            excluded_px = int((excluded & (truth != catalog.ignore)).sum())
            truth = np.where(excluded, truth.dtype.type(catalog.ignore), truth)
        histogram = BandHistogram(catalog, rule=rule, around=around)
        histogram.update(index=index, truth=truth, prediction=prediction)
        matrix = histogram.total()
        boundary = self._empty_boundary()
        davis, csurka = float("nan"), float("nan")
        if boundary is not None:
            boundary.update(truth=truth, prediction=prediction)
            davis = mean_boundary_f(truth=truth, prediction=prediction, ignore=catalog.ignore)[0]
            csurka = mean_csurka_f(truth=truth, prediction=prediction, ignore=catalog.ignore)[0]
        result = ImageResult(
            name=pair.name,
            prediction=pair.prediction,
            truth=pair.truth,
            width=truth.shape[1],
            height=truth.shape[0],
            labelled_px=matrix.total,
            mean_iou=matrix.mean_iou("truth"),
            pixel_accuracy=matrix.pixel_accuracy(),
            band_px=histogram.inside(WIDEST).total,
            widths=self.widths,
            counts=ImageCounts.of(histogram, self.widths, boundary),
            davis_f=davis,
            csurka_f=csurka,
            truth_sha256=label_map_hash(truth),
        )
        return _Counted(
            pair, truth, excluded, excluded_px, prediction, labels, truth_px, over_void, result, histogram, boundary, confidence
        )  # fmt: skip

    def _called_anew(self, pair: MaskPair, labels: PairLabels) -> tuple[LabelMap, NDArray[np.uint8]]:
        """Labels at the threshold and their confidence, from a mask of two classes and its confidence map."""
        assert self.threshold is not None
        catalog, prediction = self.histogram.catalog, labels.prediction
        path = confidence_file(pair.prediction)
        if path is None:
            raise MaskFormatError(
                "no confidence map stands beside this mask, so no other threshold can be measured",
                remedy="Predict with --save-confidence",
                path=pair.prediction,
            )
        place = object_channel(catalog)
        thing, other = (int(catalog.ids[channel]) for channel in (place, 1 - place))
        confidence = self._confidence(path, labels, prediction.shape, pair)
        level = np.where(prediction == thing, confidence, 255 - confidence)
        called = np.where(level >= first_level(self.threshold), thing, other).astype(prediction.dtype)
        called[prediction == catalog.ignore] = catalog.ignore
        return called, np.where(called == thing, level, 255 - level).astype(np.uint8)

    def _confidence(self, path: Path, labels: PairLabels, shape: tuple[int, ...], pair: MaskPair) -> NDArray[np.uint8]:
        mask, info = pair.prediction, labels.info
        return read_confidence(path, shape, lambda pixels: self.reader.turned_like_prediction(pixels, mask, info))

    def _excluded(self, pair: MaskPair, truth: LabelMap) -> NDArray[np.bool_] | None:
        """(H, W) bool: pixels whose truth a person has marked as ambiguous."""
        path = None if self.marks is None else self.marks.of(pair.name)
        return None if path is None else read_ambiguous(path, truth.shape).mask()

    def _add_companions(self, counted: _Counted) -> None:
        """Count the files beside a pair. One that fails is reported; the image itself stays counted."""
        pair, prediction = counted.pair, counted.prediction
        confidence = confidence_file(pair.prediction)
        if confidence is not None:
            self._try(confidence, lambda: self._calibrate(confidence, counted))
        instances = instance_file(pair.truth) if self.instances is not None else None
        if instances is not None and self.instances is not None:
            counts = self.instances
            self._try(instances, lambda: counts.update(instances=self._instances(instances, counted), prediction=prediction))

    def _calibrate(self, path: Path, counted: _Counted) -> None:
        truth, prediction, confidence = counted.truth, counted.prediction, counted.confidence
        if confidence is None:
            confidence = self._confidence(path, counted.labels, truth.shape, counted.pair)
        self.calibration.update(truth=truth, prediction=prediction, confidence=confidence)
        self.calibrated += 1

    def _instances(self, path: Path, counted: _Counted) -> NDArray[np.int64]:
        """Instances, none of them where pixels are excluded."""
        mask, info = counted.pair.truth, counted.labels.info
        instances = read_instances(path, counted.truth.shape, lambda pixels: self.reader.turned_like_truth(pixels, mask, info))
        return instances if counted.excluded is None else np.where(counted.excluded, 0, instances)

    def _try(self, path: Path, work: Callable[[], object]) -> None:
        try:
            work()
        except Exception as error:
            self.failures.append(image_error(error, path))

    def _empty_boundary(self) -> BoundaryIoU | None:
        if not self.wants_boundary:
            return None
        catalog = self.histogram.catalog
        return BoundaryIoU(catalog, DILATION_RATIO_CITYSCAPES if catalog.name.startswith("cityscapes") else DILATION_RATIO)


def _other_frame(prediction_dir: Path, truth_dirs: Sequence[Path]) -> list[Note]:
    """A warning where Atrous recorded other frames for predictions and ground truth, and no photograph can turn them."""
    frame = recorded_frame(prediction_dir)
    other = next((folder for folder in truth_dirs if recorded_frame(folder) not in (None, frame)), None)
    if frame is None or other is None:
        return []
    names = {"stored": "stored", "oriented": "displayed"}
    text = (
        f"the predictions are in the {names[frame]} frame, the ground truth in {other} is not: masks of photographs with an EXIF "
        "orientation do not meet. Name the photographs with --images"
    )
    return [Note("frame", text, "is in another frame than its ground truth", warning=True)]


def _cityscapes(matrix: ConfusionMatrix, tally: _Tally) -> CityscapesScores | None:
    if tally.instances is None:
        return None
    # Weighted hits of some images and false alarms of all would not be a score.
    return cityscapes_scores(matrix, tally.instances if tally.instances.images == len(tally.images) else None)


def _size_mismatch(pair: MaskPair, truth: tuple[int, ...], prediction: tuple[int, ...]) -> MaskFormatError:
    why, remedy = f"The truth is {pair.truth}", "Predict at the size of the photograph; masks are never resized"
    if truth == prediction[::-1]:
        why += ", and one of the two may be turned by the photograph's EXIF tag"
        remedy = "Name the photographs with --images: both masks are then turned as the photograph is displayed"
    return MaskFormatError(
        f"the prediction is {prediction[1]} x {prediction[0]} px, its truth {truth[1]} x {truth[0]} px",
        why=why,
        remedy=remedy,
        path=pair.prediction,
    )
