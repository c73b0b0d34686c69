"""Compare a folder of predicted masks with their ground truth: ``atrous evaluate``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deeplab_core.analysis.evaluation import IMAGE_MEANS, Evaluation, ImageResult, samples_of
from deeplab_core.analysis.folder import FolderAnalysis
from deeplab_core.analysis.image import count_labels, iou_score
from deeplab_core.analysis.pair_cache import PairCache, PairFigures, files_stamp, options_digest
from deeplab_core.analysis.record import BOUNDARY, CALIBRATION, EXCLUDED
from deeplab_core.analysis.sparse import SparseCounts
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.datasets.ambiguous import AMBIGUOUS_SUFFIX, read_ambiguous
from deeplab_core.datasets.pairing import MaskPair, pair_masks
from deeplab_core.datasets.sidecars import SidecarFiles, instance_file, read_instances
from deeplab_core.errors import AtrousError, Cancelled, MaskFormatError, image_error, message, plural_message
from deeplab_core.labels import LabelMap, class_histogram
from deeplab_core.masks.frames import Frame, recorded_catalog, recorded_frame
from deeplab_core.masks.output_marker import read_marker
from deeplab_core.masks.plausibility import MaskStatistics, hidden_by_void, shifted_by_one
from deeplab_core.metrics.bootstrap import RESAMPLES, intervals
from deeplab_core.metrics.boundary_f import mean_boundary_f, mean_csurka_f
from deeplab_core.metrics.boundary_iou import DILATION_RATIO, DILATION_RATIO_CITYSCAPES, BoundaryIoU
from deeplab_core.metrics.calibration import Calibration
from deeplab_core.metrics.cityscapes import CATALOGS, CityscapesScores, InstanceCounts, cityscapes_scores
from deeplab_core.metrics.image_counts import ImageCounts
from deeplab_core.metrics.pair_reader import PairLabels, PairReader, check_same_size
from deeplab_core.metrics.precision_recall import first_level, object_channel
from deeplab_core.metrics.trimap import WIDEST, BandAround, BandRule, check_width
from deeplab_core.metrics.truth_hash import label_map_hash
from deeplab_core.notes import Note, RunNotes
from deeplab_core.parallel import IsCancelled, ItemCallback, available_cores, in_order
from deeplab_core.records import TrimapBand, check_threshold
from deeplab_core.wording import count

__all__ = ["DEFAULT_BANDS", "Evaluation", "ImageResult", "evaluate_folders"]

#: Band widths in px that are reported one by one; the curve always has all forty.
DEFAULT_BANDS = (1, 2, 4, 8, 16, 40)

#: Threads that count by default: each holds the masks of two images.
_MOST_THREADS = 8


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
    cache: PairCache | None = None,
    progress: ItemCallback | None = None,
    cancel: IsCancelled | None = None,
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
        cache: figures of pairs that were compared before; those of new and changed pairs are added.
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
            message("no prediction here has a truth of the same name"),
            why=message(
                "{predictions} predictions, {truths} truth files in {folders}",
                predictions=len(pairing.extra),
                truths=len(pairing.missing),
                folders=", ".join(map(str, folders)) or "-",
            ),
            remedy=message("Prediction and truth belong together by their file names"),
            path=Path(prediction_dir),
        )
    marks = None if ambiguous_dir is None else SidecarFiles(ambiguous_dir, (AMBIGUOUS_SUFFIX,))
    reader = PairReader(catalog, images_dir=images_dir, frame=frame, prediction_frame=prediction_frame)
    if threshold is not None:
        check_threshold(threshold)
        if len(catalog) != 2:
            raise MaskFormatError(
                message("a threshold is for two classes; '{catalog}' has {count}", catalog=catalog.name, count=len(catalog)),
                remedy=message("Leave the threshold out"),
            )
    band = TrimapBand(rule=band_rule, around=band_around)
    options = options_digest(
        catalog,
        {"band": [band_rule, band_around], "boundary": boundary, "threshold": threshold, "frames": [frame, prediction_frame]},
    )
    counter = PairCounter(catalog, reader, band, widths, boundary, marks, threshold, cache, options)
    found = CountedPairs(catalog)
    found.failures.extend(pairing.ambiguous)
    counted = in_order(counter.count, pairing.pairs, min(available_cores(), _MOST_THREADS) if threads is None else threads)
    for done, pair in enumerate(pairing.pairs, start=1):
        if cancel is not None and cancel():
            counted.close()
            raise Cancelled()
        each = next(counted)
        if isinstance(each, AtrousError):
            found.failures.append(each)
        else:
            found.add(each, reader)
        if progress is not None:
            progress(done, len(pairing.pairs), pair.name)
    found.missing, found.extra = list(pairing.missing), list(pairing.extra)
    evaluation = found.evaluation(counter, resamples=resamples, seed=seed)
    return replace(
        evaluation,
        warnings=(
            *([] if images_dir is not None else _other_frame(Path(prediction_dir), folders)),
            *([] if images_dir is not None else _unknown_frame(Path(prediction_dir), pairing.pairs)),
            *evaluation.warnings,
        ),
        reader=reader,
        reused=found.reused,
    )


@dataclass(frozen=True, eq=False)
class CountedPair:
    """One pair. ``failures``: files beside it that could not be used; ``excluded`` (None: nowhere) is not scored.

    ``labels`` and ``prediction`` are None where the figures were known from an earlier comparison.
    """

    pair: MaskPair
    figures: PairFigures
    result: ImageResult
    failures: tuple[AtrousError, ...] = ()
    labels: PairLabels | None = None
    prediction: LabelMap | None = None
    excluded: NDArray[np.bool_] | None = None


@dataclass(frozen=True, eq=False)
class PairCounter:
    """Counts one pair by itself; changes nothing, so that several threads may."""

    catalog: ClassCatalog
    reader: PairReader
    band: TrimapBand
    widths: tuple[int, ...]
    wants_boundary: bool
    marks: SidecarFiles | None
    threshold: float | None
    cache: PairCache | None
    options: str

    @property
    def boundary_ratio(self) -> float | None:
        """Width of the inner boundaries as a share of the diagonal; None where they are not measured."""
        if not self.wants_boundary:
            return None
        return DILATION_RATIO_CITYSCAPES if self.catalog.name.startswith("cityscapes") else DILATION_RATIO

    def count(self, pair: MaskPair) -> CountedPair | AtrousError:
        """Count one pair, or say why it cannot be."""
        try:
            return self._count(pair) if self.cache is None else self._known_or_counted(pair, self.cache)
        except Exception as error:
            return image_error(error, pair.prediction)

    def _known_or_counted(self, pair: MaskPair, cache: PairCache) -> CountedPair:
        """A pair whose files have not changed is not read again."""
        if self.catalog.name in CATALOGS and instance_file(pair.truth) is not None:
            return self._count(pair)  # the weighted IoU needs the pixels
        stamp, settled = self._stamp(pair)
        data = cache.find(pair.prediction, self.options, stamp)
        figures = None if data is None else PairFigures.from_bytes(data, self.catalog)
        if figures is not None:
            return CountedPair(pair, figures, self._result(pair, figures))
        counted = self._count(pair)
        if settled and not counted.failures and self._stamp(pair)[0] == stamp:
            cache.keep(pair.prediction, self.options, stamp, counted.figures.to_bytes())
        return counted

    def _stamp(self, pair: MaskPair) -> tuple[str, bool]:
        """Of all files that the figures of a pair rest on."""
        marks = None if self.marks is None else self.marks.of(pair.name)
        files = (pair.prediction, pair.truth, self.reader.confidence_file(pair), self.reader.photograph(pair.name), marks)
        recorded = [recorded_frame(pair.prediction), recorded_frame(pair.truth)]
        return files_stamp(files, recorded + [repr(recorded_catalog(path)) for path in (pair.prediction, pair.truth)])

    def _count(self, pair: MaskPair) -> CountedPair:
        catalog = self.catalog
        labels = self.reader.read(pair)
        truth, prediction = labels.truth, labels.prediction
        check_same_size(prediction, truth, path=pair.prediction, truth_path=pair.truth)
        confidence: NDArray[np.uint8] | None = None
        if self.threshold is not None:
            prediction, confidence = self._at_threshold(pair, labels, self.threshold)
        truth_px = class_histogram(truth, catalog)
        over_void = np.zeros_like(truth_px)
        if truth_px[-1]:
            over_void = class_histogram(np.ascontiguousarray(prediction[truth == catalog.ignore][None]), catalog)
        excluded = self._excluded(pair, truth)
        record = count_labels(prediction, catalog, truth=truth, exclude=excluded, band=self.band)
        counts = dict(record.counts)
        if excluded is not None:
            counts[EXCLUDED] = SparseCounts.of(np.array([int((excluded & (truth != catalog.ignore)).sum())]))
            truth = np.where(excluded, truth.dtype.type(catalog.ignore), truth)
        means = dict.fromkeys(IMAGE_MEANS, float("nan"))
        if self.boundary_ratio is not None:
            boundary = BoundaryIoU(catalog, self.boundary_ratio).update(truth=truth, prediction=prediction)
            counts[BOUNDARY] = SparseCounts.of(np.stack([boundary.hits, boundary.union]))
            means["davis_f"] = mean_boundary_f(truth=truth, prediction=prediction, ignore=catalog.ignore)[0]
            means["csurka_f"] = mean_csurka_f(truth=truth, prediction=prediction, ignore=catalog.ignore)[0]
        failures: list[AtrousError] = []
        path = self.reader.confidence_file(pair)
        if path is not None:
            try:
                if confidence is None:
                    confidence = self._confidence(path, labels, truth.shape, pair)
                calibration = Calibration(catalog).update(truth=truth, prediction=prediction, confidence=confidence)
                counts[CALIBRATION] = SparseCounts.of(calibration.counts)
            except Exception as error:
                failures.append(image_error(error, path))
        known = {name: float(value) for name, value in means.items() if not np.isnan(value)}
        record = replace(
            record, counts=counts, scores=iou_score(record), means=known, truth_sha256=label_map_hash(truth)
        )  # fmt: skip
        figures = PairFigures(
            record, (truth.shape[0], truth.shape[1]), truth_px, over_void, labels.truth_notes, labels.prediction_notes
        )  # fmt: skip
        return CountedPair(pair, figures, self._result(pair, figures), tuple(failures), labels, prediction, excluded)

    def _result(self, pair: MaskPair, figures: PairFigures) -> ImageResult:
        record = figures.record
        matrix, histogram, edges = record.matrix, record.band(self.band.rule, self.band.around), record.whole(BOUNDARY)
        boundary = None if edges is None else BoundaryIoU(self.catalog, counts=edges)
        assert matrix is not None
        assert histogram is not None
        return ImageResult(
            name=pair.name,
            prediction=pair.prediction,
            truth=pair.truth,
            width=figures.shape[1],
            height=figures.shape[0],
            labelled_px=matrix.total,
            mean_iou=matrix.mean_iou("truth"),
            pixel_accuracy=matrix.pixel_accuracy(),
            band_px=histogram.inside(WIDEST).total,
            widths=self.widths,
            counts=ImageCounts.of(histogram, self.widths, boundary),
            means=tuple((record.means or {}).get(name, float("nan")) for name in IMAGE_MEANS),
            truth_sha256=record.truth_sha256,
        )

    def _at_threshold(self, pair: MaskPair, labels: PairLabels, threshold: float) -> tuple[LabelMap, NDArray[np.uint8]]:
        """Labels at a threshold and their confidence, from a mask of two classes and its confidence map."""
        catalog, prediction = self.catalog, labels.prediction
        path = self.reader.confidence_file(pair)
        if path is None:
            raise MaskFormatError(
                message("this mask has no confidence map beside it, so no other threshold can be measured"),
                remedy=message("Predict with --save-confidence"),
                path=pair.prediction,
            )
        place = object_channel(catalog)
        thing, other = (int(catalog.ids[channel]) for channel in (place, 1 - place))
        confidence = self._confidence(path, labels, prediction.shape, pair)
        level = np.where(prediction == thing, confidence, 255 - confidence)
        called = np.where(level >= first_level(threshold), thing, other).astype(prediction.dtype)
        called[prediction == catalog.ignore] = catalog.ignore
        return called, np.where(called == thing, level, 255 - level).astype(np.uint8)

    def _confidence(self, path: Path, labels: PairLabels, shape: tuple[int, ...], pair: MaskPair) -> NDArray[np.uint8]:
        return self.reader.confidence(path, pair, shape, labels.info)

    def _excluded(self, pair: MaskPair, truth: LabelMap) -> NDArray[np.bool_] | None:
        """(H, W) bool: pixels of the truth that the user has marked as ambiguous."""
        marked = self.reader.ambiguous(pair, truth.shape)
        path = None if self.marks is None else self.marks.of(pair.name)
        if path is not None:
            marked = read_ambiguous(path, truth.shape)
        return None if marked is None else marked.mask()


class CountedPairs:
    """What has been counted so far.

    Attributes:
        analysis: the pairs, pooled.
        images: their results, in order.
        failures: files that could not be compared.
        missing, extra: truth files without a prediction, and predictions without truth.
        truth: pixels of the ground truth by class.
        over_void: (C + 1,) int64 predicted pixels where the ground truth is void.
        truth_notes, prediction_notes: files that were read in an unusual way.
    """

    def __init__(self, catalog: ClassCatalog) -> None:
        self.missing: list[Path] = []
        self.extra: list[Path] = []
        self.analysis = FolderAnalysis(catalog)
        self.images: list[ImageResult] = []
        self.failures: list[AtrousError] = []
        #: Pairs that were not compared again.
        self.reused = 0
        self.truth = MaskStatistics(catalog)
        self.truth_notes, self.prediction_notes = RunNotes("ground truth mask"), RunNotes("predicted mask")
        self._instances = InstanceCounts(catalog) if catalog.name in CATALOGS else None
        self.over_void = np.zeros(len(catalog) + 1, dtype=np.int64)

    def add(self, counted: CountedPair, reader: PairReader) -> None:
        """Add what was counted of a pair."""
        name = counted.pair.name
        figures = counted.figures
        self.analysis.update(name, figures.record)
        self.images.append(counted.result)
        self.failures += counted.failures
        self.truth.add(name, figures.truth_px)
        self.over_void += figures.over_void
        self.truth_notes.add(name, figures.truth_notes)
        self.prediction_notes.add(name, figures.prediction_notes)
        if counted.labels is None or counted.prediction is None:
            self.reused += 1
            return
        path = None if self._instances is None else instance_file(counted.pair.truth)
        if path is None or self._instances is None:
            return
        mask, info, excluded = counted.pair.truth, counted.labels.info, counted.excluded
        try:
            instances = read_instances(
                path, counted.prediction.shape, lambda pixels: reader.turned_like_truth(pixels, mask, info)
            )  # fmt: skip
            known = instances if excluded is None else np.where(excluded, 0, instances)
            self._instances.update(instances=known, prediction=counted.prediction)
        except Exception as error:  # the image itself stays counted
            self.failures.append(image_error(error, path))

    def warnings(self) -> tuple[Note, ...]:
        """What is implausible about the masks, the most serious first."""
        catalog, counts = self.analysis.catalog, self.analysis.matrix.counts
        shifted = shifted_by_one(counts, catalog)
        hidden = hidden_by_void(counts, self.over_void, catalog)
        found = [*([] if shifted is None else [shifted]), *hidden, *self.truth.findings()]
        return tuple(sorted(found, key=lambda note: not note.warning))

    def evaluation(self, counter: PairCounter, *, resamples: int, seed: int) -> Evaluation:
        """The figures of all pairs; ``counter`` says how they were counted."""
        images, catalog = tuple(self.images), self.analysis.catalog
        return Evaluation(
            catalog=catalog,
            widths=counter.widths,
            band=counter.band,
            boundary_ratio=counter.boundary_ratio,
            analysis=self.analysis,
            cityscapes=self.cityscapes(),
            intervals=intervals(samples_of(images, len(catalog), counter.widths), resamples=resamples, seed=seed),
            images=images,
            failures=tuple(self.failures),
            missing=tuple(self.missing),
            extra=tuple(self.extra),
            warnings=self.warnings(),
            truth=self.truth,
            truth_notes=self.truth_notes,
            prediction_notes=self.prediction_notes,
            threshold=counter.threshold,
        )

    def cityscapes(self) -> CityscapesScores | None:
        """The benchmark's own scores under its catalogs, else None."""
        if self._instances is None:
            return None
        # Weighted hits of some images and false alarms of all would not be a score.
        return cityscapes_scores(self.analysis.matrix, self._instances if self._instances.images == len(self.images) else None)


def _unknown_frame(prediction_dir: Path, pairs: Sequence[MaskPair]) -> list[Note]:
    """A warning where photographs are known to have an EXIF orientation, and nothing says how their ground truth is stored."""
    marker = read_marker(prediction_dir)
    if marker is None or not marker.turned:
        return []
    names = {prediction_dir / name for name in marker.turned}
    number = sum(pair.prediction in names and recorded_frame(pair.truth) is None for pair in pairs)
    if not number:
        return []
    text = (
        f"{count(number, 'photograph')} with an EXIF orientation: nothing says whether the ground truth is stored as they are "
        "stored or as they are displayed, and it was taken to lie like the predictions. Name the photographs with --images"
    )
    summary = plural_message("has ground truth in an unknown frame", "have ground truth in an unknown frame", number)
    return [Note("frame", text, summary, warning=True)]


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
    summary = plural_message("is in another frame than its ground truth", "are in another frame than their ground truth", 1)
    return [Note("frame", text, summary, warning=True)]
