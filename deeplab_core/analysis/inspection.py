"""Inspecting and ranking a folder of predicted masks: one image after the other, masks never held."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deeplab_core.analysis.error_maps import ErrorMaps, map_errors
from deeplab_core.analysis.failures import FailureRules
from deeplab_core.analysis.folder import FolderAnalysis
from deeplab_core.analysis.objects import read_known_objects
from deeplab_core.analysis.own_slices import OwnSlices
from deeplab_core.analysis.ranking import OF_PREDICTION
from deeplab_core.analysis.ranking_scores import confidence_scores, differing_px
from deeplab_core.analysis.record import ImageAnalysis
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.datasets.ambiguous import AMBIGUOUS_SUFFIX, read_ambiguous
from deeplab_core.datasets.pairing import MaskPair, pair_masks
from deeplab_core.datasets.sidecars import SidecarFiles, read_confidence
from deeplab_core.errors import AtrousError, Cancelled, MaskFormatError, image_error, message
from deeplab_core.images import read_image
from deeplab_core.images.probe import ImageInfo, probe_image
from deeplab_core.labels import LabelMap
from deeplab_core.masks.frames import Frame
from deeplab_core.metrics.pair_reader import PairLabels, PairReader, check_same_size
from deeplab_core.metrics.truth_hash import ground_truth_hash, label_map_hash
from deeplab_core.notes import Note, RunNotes
from deeplab_core.parallel import IsCancelled, ItemCallback, available_cores, in_order

#: Ending of stored confidences, 255 x the largest probability (``atrous predict --save-confidence``).
CONFIDENCE_SUFFIX = ".confidence.png"

#: Threads that analyse by default.
_MOST_THREADS = 8
#: Images of more pixels are compared one at a time.
_LARGE_PX = 16 << 20


@dataclass(slots=True, eq=False)
class FolderInspection:
    """A folder of masks, read and analysed.

    Attributes:
        analysis: every figure; images by the path of the prediction below its folder.
        pairs: files of every image with ground truth, by name.
        compared: whether ground truth was named; else masks were ranked only.
        failures: files that could not be inspected, each error naming its file.
        missing: truth files without a prediction.
        own: the user's attributes of these images, or None.
        extra: predictions without truth; they are ranked, if there is something to rank them by.
        truth_notes, prediction_notes: mask files that were read in an unusual way, counted.
    """

    analysis: FolderAnalysis
    compared: bool = True
    pairs: dict[str, MaskPair] = field(default_factory=dict)
    failures: list[AtrousError] = field(default_factory=list)
    missing: tuple[Path, ...] = ()
    extra: tuple[Path, ...] = ()
    own: OwnSlices | None = None
    truth_notes: RunNotes = field(default_factory=lambda: RunNotes("ground truth mask"))
    prediction_notes: RunNotes = field(default_factory=lambda: RunNotes("predicted mask"))

    @property
    def truth_sha256(self) -> str:
        """Hash of the ground truth of all images as it was scored (:mod:`deeplab_core.metrics.truth_hash`)."""
        digests = ((name, record.truth_sha256) for name in self.analysis if (record := self.analysis.get(name)) is not None)
        return ground_truth_hash((name, digest) for name, digest in digests if digest)

    @property
    def rankings(self) -> list[str]:
        """Names of the scores that at least one image has."""
        scored = self.analysis.scored()
        return [name for name in OF_PREDICTION if scored[name]]


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderSources:
    """Folders that say more about the masks; each is optional.

    Attributes:
        images: photographs, for brightness and contrast.
        objects: lists of objects of rendered rooms, for visible fractions.
        ambiguous: ``NAME.ambiguous.json``, regions that are not scored.
        own: attributes of the images and objects, the user's own slices.
        second: masks of another model, of the CRF, of a flipped pass, ...: ranks by disagreement.
        frame: frame of the photographs that the truth is stored in; counts only with ``images``.
        prediction_frame: that of the predictions; None takes what Atrous recorded in their folder, else ``frame``.
    """

    images: Path | None = None
    objects: Path | None = None
    ambiguous: Path | None = None
    own: OwnSlices | None = None
    second: Path | None = None
    frame: Frame = "auto"
    prediction_frame: Frame | None = None


def inspect_folders(
    prediction_dir: Path | str,
    truth_dirs: Sequence[Path | str],
    catalog: ClassCatalog,
    *,
    sources: FolderSources | None = None,
    things: frozenset[int] | None = None,
    rules: FailureRules | None = None,
    threads: int | None = None,
    progress: ItemCallback | None = None,
    cancel: IsCancelled | None = None,
) -> FolderInspection:
    """Inspect every predicted mask that has a truth of the same name (:func:`~deeplab_core.datasets.pairing.pair_masks`).

    Masks are ranked too, those without truth included: by ``NAME.confidence.png`` beside them, and by how they differ from
    ``sources.second``. A file that fails is collected and the rest goes on; a mask is inspected even if its
    confidence or second mask fails. Memory holds what :class:`~deeplab_core.analysis.record.ImageAnalysis` keeps of each image.

    Args:
        prediction_dir: folder of masks.
        truth_dirs: folders of their ground truth; without any, masks are ranked only.
        catalog: classes of both.
        sources: what else is known of the images.
        things: ids of object classes; None decides by name.
        rules: where the kinds of failure begin.
        threads: that read and analyse; None takes one for each core, at most eight. The figures do not depend on it.
        progress: called with (done, total, name) after each image.
        cancel: asked before each image; True ends the work.

    Raises:
        MaskFormatError: a folder does not exist, no prediction has a truth, or there is neither truth nor anything to rank by.
        Cancelled: ``cancel`` said so.
    """
    folders, root = [Path(folder) for folder in truth_dirs], Path(prediction_dir)
    pairing = pair_masks(root, folders, catalog.name)
    if folders and not pairing.pairs and not pairing.ambiguous:
        raise MaskFormatError(
            message("no prediction here has a truth of the same name"),
            why=message(
                "{predictions} predictions, {truths} truth files in {folders}",
                predictions=len(pairing.extra),
                truths=len(pairing.missing),
                folders=", ".join(map(str, folders)),
            ),
            remedy=message("Prediction and truth belong together by their file names"),
            path=root,
        )
    sources = FolderSources() if sources is None else sources
    work = _Inspection(root, catalog, sources, things, rules)
    found = FolderInspection(
        FolderAnalysis(catalog),
        bool(folders),
        failures=list(pairing.ambiguous),
        missing=pairing.missing,
        extra=pairing.extra,
        own=sources.own,
    )
    masks: list[tuple[str, Path, MaskPair | None]] = [(pair.name, pair.prediction, pair) for pair in pairing.pairs]
    if work.ranks:
        masks += [(path.relative_to(root).as_posix(), path, None) for path in pairing.extra]
    masks.sort(key=lambda mask: mask[1])
    analysed = in_order(work.analyse, masks, min(available_cores(), _MOST_THREADS) if threads is None else threads)
    for done, (name, _path, pair) in enumerate(masks, start=1):
        if cancel is not None and cancel():
            analysed.close()
            raise Cancelled()
        each = next(analysed)
        found.failures += each.failures
        if each.maps is not None and sources.own is not None:
            sources.own.add(name, each.maps.objects.numbers, len(each.maps.objects.rows))
        if each.notes is not None and pair is not None:
            found.pairs[name] = pair
            found.truth_notes.add(name, each.notes[0])
            found.prediction_notes.add(name, each.notes[1])
        if each.record is not None:
            found.analysis.update(name, each.record)
        if progress is not None:
            progress(done, len(masks), name)
    if not folders and not found.rankings and not found.failures:
        raise MaskFormatError(
            message("there is nothing to rank these masks by"),
            why=message("There is no NAME{suffix} beside them, and no second folder was named", suffix=CONFIDENCE_SUFFIX),
            remedy=message("Predict with --save-confidence, or name a folder of other masks with --second"),
            path=root,
        )
    return found


@dataclass(frozen=True, eq=False)
class _Inspected:
    """What was found of one mask; ``notes`` of truth and prediction of a pair, ``maps`` where they are looked at again."""

    record: ImageAnalysis | None = None
    notes: tuple[tuple[Note, ...], tuple[Note, ...]] | None = None
    maps: ErrorMaps | None = None
    failures: Sequence[AtrousError] = ()


class _Inspection:
    """Reads and analyses masks.

    Attributes:
        ranks: whether there are confidences, or a second folder.
    """

    def __init__(
        self,
        root: Path,
        catalog: ClassCatalog,
        sources: FolderSources,
        things: frozenset[int] | None,
        rules: FailureRules | None,
    ) -> None:
        self._objects = None if sources.objects is None else SidecarFiles(sources.objects, (".json",))
        self._ambiguous = None if sources.ambiguous is None else SidecarFiles(sources.ambiguous, (AMBIGUOUS_SUFFIX,))
        self._confidences = SidecarFiles(root, (CONFIDENCE_SUFFIX,))
        seconds = () if sources.second is None else pair_masks(root, [sources.second]).pairs
        self._seconds = {pair.name: pair.truth for pair in seconds}
        self._reader = PairReader(
            catalog, images_dir=sources.images, frame=sources.frame, prediction_frame=sources.prediction_frame
        )  # fmt: skip
        self._things, self._rules, self._keeps_maps = things, rules, sources.own is not None
        self._large = threading.Lock()
        self.ranks = sources.second is not None or next(root.rglob(f"*{CONFIDENCE_SUFFIX}"), None) is not None

    def analyse(self, mask: tuple[str, Path, MaskPair | None]) -> _Inspected:
        """Analyse one mask; changes nothing, so that several threads may."""
        name, path, pair = mask
        failures: list[AtrousError] = []
        try:
            photograph, notes, maps, record = self._reader.photograph(name), None, None, None
            if pair is None:
                info = None if photograph is None else probe_image(photograph)
                labels = self._reader.prediction(path, info)
            else:
                data = None if photograph is None else read_image(photograph)
                info = None if data is None else data.info
                read = self._reader.read(pair, info)
                labels, notes = read.prediction, (read.truth_notes, read.prediction_notes)
                # Maps take some twenty times the memory of the labels.
                with self._large if labels.size > _LARGE_PX else nullcontext():
                    maps = self._compare(pair, read, None if data is None else data.rgb)
                    record = replace(maps.record(), truth_sha256=self._truth_hash(pair, read.truth))
                    maps = maps if self._keeps_maps else None
            if self.ranks:
                scores: dict[str, float] = {}
                for score in (self._confidence_scores, self._disagreement):
                    try:
                        scores |= score(name, path, labels, info)
                    except Exception as error:
                        failures.append(image_error(error, path))
                ranked = ImageAnalysis(catalog=self._reader.catalog, scores=_finite(scores))
                record = ranked if record is None else record.with_parts(ranked)
            return _Inspected(record, notes, maps, failures)
        except Exception as error:
            return _Inspected(failures=[*failures, image_error(error, path)])

    def _compare(self, pair: MaskPair, labels: PairLabels, rgb: NDArray[np.uint8] | None) -> ErrorMaps:
        catalog, truth, prediction = self._reader.catalog, labels.truth, labels.prediction
        check_same_size(prediction, truth, path=pair.prediction, truth_path=pair.truth)
        objects = None if self._objects is None else self._objects.of(pair.name)
        marks = None if self._ambiguous is None else self._ambiguous.of(pair.name)
        return map_errors(
            truth=truth,
            prediction=prediction,
            catalog=catalog,
            things=self._things,
            known=() if objects is None else read_known_objects(objects, catalog),
            rgb=rgb,
            exclude=None if marks is None else read_ambiguous(marks, truth.shape).mask(),
            rules=self._rules,
        )

    def _truth_hash(self, pair: MaskPair, truth: LabelMap) -> str:
        marks = None if self._ambiguous is None else self._ambiguous.of(pair.name)
        if marks is not None:
            excluded = read_ambiguous(marks, truth.shape).mask()
            truth = np.where(excluded, truth.dtype.type(self._reader.catalog.ignore), truth)
        return label_map_hash(truth)

    def _confidence_scores(self, name: str, mask: Path, labels: LabelMap, info: ImageInfo | None) -> dict[str, float]:
        path = self._confidences.of(name)
        if path is None:
            return {}
        confidence = read_confidence(
            path, labels.shape, lambda pixels: self._reader.turned_like_prediction(pixels, mask, info)
        )  # fmt: skip
        return confidence_scores(confidence, labels, self._reader.catalog.ignore)

    def _disagreement(self, name: str, _mask: Path, labels: LabelMap, info: ImageInfo | None) -> dict[str, float]:
        path = self._seconds.get(name)
        if path is None:
            return {}
        other = self._reader.prediction(path, info)
        if other.shape != labels.shape:
            raise MaskFormatError(
                message("it is {other_size}, its partner {size}", other_size=_size(other), size=_size(labels)),
                remedy=message("Masks are never resized; make both at the size of the photograph"),
                path=path,
            )
        return {"disagreement": differing_px(labels, other, self._reader.catalog.ignore)}


def _size(labels: LabelMap) -> str:
    return f"{labels.shape[1]} x {labels.shape[0]} px"


def _finite(scores: dict[str, float]) -> dict[str, float]:
    return {name: score for name, score in scores.items() if math.isfinite(score)}
