"""Ordering a folder without truth: by confidence and by disagreement; with truth, how well each order found the errors."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from deeplab_core.analysis.components import wrong_pixels
from deeplab_core.analysis.doubts import DOUBT_TEXT
from deeplab_core.analysis.ranking import GainCurve, gain_curve, worst_first
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.datasets.pairing import pair_masks
from deeplab_core.datasets.sidecars import SidecarFiles
from deeplab_core.errors import AtrousError, MaskFormatError, image_error
from deeplab_core.images.probe import ImageInfo, probe_image
from deeplab_core.labels import LabelMap
from deeplab_core.masks.frames import Frame
from deeplab_core.masks.stored import read_stored
from deeplab_core.metrics.pair_reader import PairReader
from deeplab_core.metrics.uncertainty import UncertaintyMap, confidence_uncertainty, disagreement, score_image

#: Ending of stored confidences, 255 x the largest probability (``atrous predict --save-confidence``).
CONFIDENCE_SUFFIX = ".confidence.png"

#: The orders and what they are, for display beside a figure.
ORDER_TEXT = {
    **{name: DOUBT_TEXT[name] for name in ("confidence", "least_certain", "expected_wrong")},
    "disagreement": "pixels away from edges on which the other masks differ",
}


@dataclass(frozen=True, slots=True, eq=False)
class FolderRanking:
    """Scores of a folder by several orders.

    Attributes:
        scores: by order (keys of ``text``), by image; higher is worse; nan where it could not be measured.
        wrong_px: wrong pixels of each image that has truth.
        pixels: pixels of each image.
        failures: files that could not be read.
        text: what each order is.
    """

    scores: dict[str, dict[str, float]]
    wrong_px: dict[str, int]
    pixels: dict[str, int]
    failures: tuple[AtrousError, ...]
    text: Mapping[str, str] = field(default_factory=lambda: ORDER_TEXT)

    def order(self, name: str) -> list[str]:
        """Images by one order, worst first."""
        return worst_first(self.scores[name])

    def gain(self, name: str) -> GainCurve | None:
        """How well an order found the wrong pixels, one image at a time; None without truth or without a wrong pixel."""
        images = [image for image in self.scores[name] if image in self.wrong_px]
        errors = [self.wrong_px[image] for image in images]
        return gain_curve([self.scores[name][image] for image in images], errors) if sum(errors) else None


def rank_folder(
    prediction_dir: Path,
    catalog: ClassCatalog,
    *,
    truth_dirs: Sequence[Path] = (),
    second_dir: Path | None = None,
    images_dir: Path | None = None,
    frame: Frame = "auto",
    progress: Callable[[str], None] | None = None,
) -> FolderRanking:
    """Score every mask of a folder by its confidence file and by how it differs from a second folder.

    Args:
        prediction_dir: masks, with ``NAME.confidence.png`` beside them where those were saved.
        catalog: the classes.
        truth_dirs: truth, for the gain curves; images without it are ranked all the same.
        second_dir: masks of another model, of the CRF, of a flipped pass, ...
        images_dir: photographs of the same names; with them every mask is read in the displayed frame.
        frame: frame of the photographs that the truth is stored in (see :func:`deeplab_core.masks.read_mask`), and the other
            folders unless Atrous recorded theirs.
        progress: called with each name.

    Raises:
        MaskFormatError: a folder does not exist, or there is neither confidence nor a second folder.
    """
    confidences = SidecarFiles(prediction_dir, (CONFIDENCE_SUFFIX,))
    names = _names(prediction_dir, truth_dirs, catalog)
    seconds = {} if second_dir is None else {pair.name: pair.truth for pair in pair_masks(prediction_dir, [second_dir]).pairs}
    truths = {pair.name: pair.truth for pair in pair_masks(prediction_dir, truth_dirs, catalog.name).pairs} if truth_dirs else {}
    reader = PairReader(catalog, images_dir=images_dir, frame=frame)
    scores: dict[str, dict[str, float]] = {name: {} for name in ORDER_TEXT}
    wrong: dict[str, int] = {}
    pixels: dict[str, int] = {}
    failures: list[AtrousError] = []
    for name, path in names.items():
        try:
            photograph = reader.photograph(name)
            info = None if photograph is None else probe_image(photograph)
            labels = reader.prediction(path, info)
            found = _scores_of(labels, info, path, confidences.of(name), seconds.get(name), reader)
            if name in truths:
                wrong[name] = _wrong_px(reader.truth(truths[name], info), labels, catalog, path)
        except Exception as error:
            failures.append(image_error(error, path))
            continue
        pixels[name] = labels.size
        for order, score in found.items():
            scores[order][name] = score
        if progress is not None:
            progress(name)
    kept = {order: values for order, values in scores.items() if any(not math.isnan(score) for score in values.values())}
    if not kept and not failures:
        raise MaskFormatError(
            "there is nothing to rank these masks by",
            why=f"No NAME{CONFIDENCE_SUFFIX} stands beside them, and no second folder was named",
            remedy="Predict with --save-confidence, or name a folder of other masks with --second",
            path=prediction_dir,
        )
    return FolderRanking(kept, wrong, pixels, tuple(failures))


def _names(prediction_dir: Path, truth_dirs: Sequence[Path], catalog: ClassCatalog) -> dict[str, Path]:
    pairing = pair_masks(prediction_dir, list(truth_dirs), catalog.name)
    paths = [pair.prediction for pair in pairing.pairs] + list(pairing.extra)
    return {path.relative_to(prediction_dir).as_posix(): path for path in sorted(paths)}


def _scores_of(
    labels: LabelMap, info: ImageInfo | None, path: Path, confidence: Path | None, second: Path | None, reader: PairReader
) -> dict[str, float]:
    catalog = reader.catalog
    scores = dict.fromkeys(ORDER_TEXT, math.nan)
    if confidence is not None:
        found = score_image(_read_confidence(confidence, path, info, labels, reader), labels, catalog.ignore)
        scores |= {"confidence": found.mean, "least_certain": found.worst, "expected_wrong": found.expected_wrong}
    if second is not None:
        other = reader.prediction(second, info)
        _check_size(other, labels, second)
        scores["disagreement"] = score_image(disagreement(labels, other, catalog.ignore), labels, catalog.ignore).expected_wrong
    return scores


def _read_confidence(path: Path, mask: Path, info: ImageInfo | None, labels: LabelMap, reader: PairReader) -> UncertaintyMap:
    stored = read_stored(path)
    if stored.values is None or stored.values.dtype != np.uint8:
        raise MaskFormatError("this is no confidence", why="It is not an 8-bit grey image", remedy="Predict again", path=path)
    values = reader.turned_like_prediction(stored.values, mask, info)
    _check_size(values, labels, path)
    return confidence_uncertainty(np.ascontiguousarray(values))


def _wrong_px(truth: LabelMap, labels: LabelMap, catalog: ClassCatalog, path: Path) -> int:
    _check_size(labels, truth, path)
    return int(np.count_nonzero(wrong_pixels(truth, labels, catalog.ignore)))


def _check_size(one: LabelMap, other: LabelMap, path: Path) -> None:
    if one.shape != other.shape:
        raise MaskFormatError(
            f"it is {one.shape[1]} x {one.shape[0]} px, its partner {other.shape[1]} x {other.shape[0]} px",
            remedy="Masks are never resized; make both at the size of the photograph",
            path=path,
        )
