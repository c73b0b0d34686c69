"""What is measured of an image of a project, in one go, and which images have to be measured again."""

from __future__ import annotations

import hashlib
import json
import math
import threading
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from enum import Flag, auto
from itertools import pairwise
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from app.state.ambiguous import fingerprint, fingerprints
from app.state.class_mapping import in_project_ids, object_id
from app.state.image_record import ImageRecord
from app.state.mask_check import mask_counts
from app.state.project import Project
from app.state.project_analysis import figures_key, inspect_sample, inspection_key, read_kept
from app.state.provenance import Provenance
from app.state.samples import EvaluationSample, OpenLabels, ToProject, load_sample, truth_path, truth_stamp
from app.state.stored_text import read_text, stored_text
from deeplab_core.analysis.image import count_labels, iou_score
from deeplab_core.analysis.ranking_scores import VERSION as RANKING_VERSION
from deeplab_core.analysis.ranking_scores import measure_ranking
from deeplab_core.analysis.record import CLASSES, ImageAnalysis
from deeplab_core.analysis.sparse import SparseCounts
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.errors import AtrousError, ImageReadError, MaskFormatError
from deeplab_core.images.limits import MAX_PIXELS
from deeplab_core.images.probe import probe_image
from deeplab_core.labels import LabelMap
from deeplab_core.notes import Note
from deeplab_core.reading import VALUE_ERRORS, json_text, parse_json
from deeplab_core.records import Prediction, TrimapBand

#: Rises when scores are measured in another way.
_VERSION = 2
#: Kind of the project's results that holds ranking scores; older projects have it, so the name stays.
RANKING_KIND = "doubt"
#: Kind of those that hold scores for the list.
SCORE_KIND = "score"
#: Kind of those that hold figures.
FIGURES_KIND = "figures"
#: Images of more pixels are looked at for errors one at a time, and apart: that takes some twenty bytes a pixel.
LARGE_PX, _LARGE = 16 << 20, threading.Lock()


class Part(Flag):
    """What can be measured of an image.

    ``SCORE``: mean IoU, uncertainty and classes, for the list. ``FIGURES``: confusion, whole and by band, of the mask and of the
    prediction. ``ERRORS``: error components, kinds of failure, objects, slices. ``RANKING``: ranking scores and label issues of
    the newest prediction.
    """

    SCORE = auto()
    FIGURES = auto()
    ERRORS = auto()
    RANKING = auto()


@dataclass(frozen=True, slots=True, eq=False)
class Figures:
    """Figures of the mask, and of the prediction if there is one.

    Attributes:
        truth: pixels of the ground truth, what was predicted where it is void, and the notes of its file.
        key, data: under what they are to be kept, and the form in which a project keeps them; empty where they need not be.
    """

    mask: ImageAnalysis
    prediction: ImageAnalysis | None
    truth: tuple[NDArray[np.int64], NDArray[np.int64], tuple[Note, ...]]
    key: str = ""
    data: bytes = b""


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """A part that the project keeps: ``record`` is None where it is as it was, ``fresh`` where it is not kept yet."""

    key: str
    record: ImageAnalysis | None
    fresh: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """What was found of an image; a part that was not asked for, or that cannot be measured, is None.

    Attributes:
        labelled: whether it has labels.
        head: of its journal when the labels were read; None if they were not.
        score: a record with scores and classes, see :func:`score_labels`.
        stamp: of what the score was measured from; empty if it must be measured again at the next visit.
        problem: why the ground truth, or the pixels, could not be used.
    """

    labelled: bool = True
    head: int | None = None
    score: ImageAnalysis | None = None
    stamp: str = ""
    figures: Figures | None = None
    errors: Found | None = None
    ranking: Found | None = None
    problem: AtrousError | None = None


class KeptModels:
    """Which predictions are kept of each image; listed once, because that opens every file of them."""

    def __init__(self, project: Project) -> None:
        self._project, self._mutex = project, threading.Lock()
        self._found: dict[str, list[tuple[str, str]]] | None = None

    def of(self, content_key: str) -> list[tuple[str, str]]:
        """(card id, options key) of each kept prediction of an image."""
        with self._mutex:
            if self._found is None:
                self._found = self._project.predictions.kept()
        return self._found.get(content_key, [])


class Apart(Protocol):
    """Inspects a large image elsewhere."""

    def __call__(
        self, project: Project, image: int, sample: EvaluationSample, objects: Path | None
    ) -> Callable[[], ImageAnalysis]:
        """Begin; what it returns waits for the result. Both raise Cancelled if it is stopped."""

    def check(self) -> None:
        """Raise Cancelled if it was stopped."""


@dataclass(frozen=True, slots=True, eq=False)
class Measurement:
    """What to measure of an image, and from what.

    Attributes:
        band: which band figures are counted by.
        objects: finds the file in which the data lists the image's objects.
        models: of which models predictions are kept.
        known: key of the error components that are known already.
        known_ranking: key of the ranking scores that are known already.
        opened: its labels, where it is or was just open.
        prediction: the newest, where it is in memory.
        to_project: as for :func:`~app.state.samples.load_sample`.
        apart: inspects images of more than :data:`LARGE_PX` pixels elsewhere; None inspects them here.
    """

    project: Project
    image: int
    parts: Part
    band: TrimapBand
    objects: Callable[[], Path | None]
    models: KeptModels
    known: str = ""
    known_ranking: str = ""
    opened: OpenLabels | None = None
    prediction: Prediction | None = None
    to_project: ToProject | None = None
    apart: Apart | None = None

    def run(self) -> Measured:
        """Measure it; meant for another thread.

        Raises:
            AtrousError: the image or its labels cannot be read. A ground truth that cannot is the result's ``problem``.
            Cancelled: what inspects it apart was stopped.
        """
        parts = self.parts
        errors = self._kept_errors() if Part.ERRORS in parts else None
        ranking = self._kept_ranking() if Part.RANKING in parts else None
        figures = self._kept_figures() if Part.FIGURES in parts else None
        known = ((Part.ERRORS, errors), (Part.RANKING, ranking), (Part.FIGURES, figures))
        for part in (part for part, kept in known if kept is not None):
            parts &= ~part
        found = self._measure_rest(parts) if parts else Measured()
        return replace(found, errors=errors or found.errors, ranking=ranking or found.ranking, figures=figures or found.figures)

    def _measure_rest(self, parts: Part) -> Measured:
        """What is not kept; a ground truth that cannot be used, and pixels that only the errors need, stop nothing else."""
        try:
            return self._measure(parts)
        except MaskFormatError as error:
            return replace(self._measure(parts & Part.SCORE, truth=False), stamp="", problem=error)
        except ImageReadError as error:
            if Part.ERRORS not in parts or parts == Part.ERRORS:
                raise
            return replace(self._measure(parts & ~Part.ERRORS), problem=error)

    def _kept_errors(self) -> Found | None:
        """Error components that need not be found again; None where they do."""
        project, image = self.project, self.image
        if truth_path(project, image) is None:
            return None
        key = inspection_key(project, project.record(image), self.objects())
        if key == self.known:
            return Found(key, None)
        kept = read_kept(project, image, key)
        return None if kept is None else Found(key, kept)

    @property
    def _in_memory(self) -> bool:
        """Whether labels or prediction may be newer than what the project knows."""
        return self.opened is not None or self.prediction is not None

    def _kept_figures(self) -> Figures | None:
        """Figures that need not be counted again; None where they do."""
        if self._in_memory or truth_path(self.project, self.image) is None:
            return None
        kept = self.project.result(self.image, FIGURES_KIND)
        if kept is None or kept[0] != figures_key(self.project, self.project.record(self.image), self.band):
            return None
        return read_figures(kept[1], self.project.catalog)

    def _kept_ranking(self) -> Found | None:
        """Ranking scores that need not be measured again; None where they do."""
        project, record, key = self.project, self.project.record(self.image), self._ranking_key()
        if key == self.known_ranking:
            return Found(key, None)
        stored = project.result(self.image, RANKING_KIND)
        known = read_ranking(stored[1], project.catalog) if stored is not None and stored[0] == key else None
        # Measured while the confidence was not kept: once it is kept again, there is more to measure.
        if known is None or ("confidence" not in (known.scores or ()) and _confident(project, record)):
            return None
        return Found(key, known)

    def _ranking_key(self) -> str:
        """What the ranking scores of an image follow from; another key means that they must be measured again."""
        project, image = self.project, self.image
        record = project.record(image)
        others = sorted(" ".join(other) for other in self.models.of(record.content_key))
        head = project.journal.head(image)  # what a CRF has set in the mask counts
        classes = project.class_edits.stamp(project.catalog)
        source = record.prediction, record.content_key, record.mask, head
        parts = RANKING_VERSION, classes, *source, fingerprint(project, image), truth_stamp(project, image), *others
        return hashlib.sha256("\n".join(map(str, parts)).encode("utf-8", "surrogateescape")).hexdigest()[:24]

    def _measure(self, parts: Part, *, truth: bool = True) -> Measured:
        large = Part.ERRORS in parts and self._pixels() > LARGE_PX
        with _LARGE if large else nullcontext():
            if large and self.apart is not None:
                self.apart.check()  # it may have waited long for the image before it
            return self._measure_now(parts, truth=truth)

    def _pixels(self) -> int:
        if self.opened is not None:
            return self.opened.labels.size
        info = probe_image(self.project.path_of(self.project.record(self.image)))
        return info.width * info.height

    def _measure_now(self, parts: Part, *, truth: bool) -> Measured:
        project, image, key, objects = self.project, self.image, "", None
        # Stamp and keys come before the labels and the ground truth: what changes in between has it measured again.
        stamp = sample_stamp(project, image, project.journal.head(image)) if Part.SCORE in parts else ""
        ranking_key = self._ranking_key() if Part.RANKING in parts else ""
        figures_of = "" if self._in_memory else figures_key(project, project.record(image), self.band)
        if Part.ERRORS in parts:
            objects = self.objects()
            key = inspection_key(project, project.record(image), objects)
        sample = load_sample(
            project, image, truth=truth, rgb=Part.ERRORS in parts, most_rgb_px=None if self.apart is None else LARGE_PX,
            with_prediction=bool(parts & (Part.SCORE | Part.FIGURES | Part.RANKING)), opened=self.opened,
            prediction=self.prediction, to_project=self.to_project,
        )  # fmt: skip
        if sample.labels is None:
            return Measured(labelled=False, head=sample.head)
        score = errors = None
        if Part.SCORE in parts:
            score = score_labels(sample.labels, project.catalog, truth=sample.scored, confidence=sample.confidence)
        figures = self._count(sample) if Part.FIGURES in parts else None
        # A prediction that is named but gone may come back under the same name.
        if figures is not None and figures_of and (figures.prediction is not None or not project.record(image).prediction):
            figures = replace(figures, key=figures_of, data=write_figures(figures))
        ranking = self._rank(sample, ranking_key) if Part.RANKING in parts else None
        head = sample.head
        if Part.ERRORS in parts and sample.truth is not None:
            found = inspect_sample_or_apart(project, image, sample, objects, self.apart)
            del sample  # what is inspected apart is not held here meanwhile
            errors = Found(key, found(), fresh=True)
        return Measured(True, head, score, stamp, figures, errors, ranking)

    def _rank(self, sample: EvaluationSample, key: str) -> Found | None:
        """Ranking scores of the newest prediction; None if there is none of the project's classes."""
        project, prediction, labels = self.project, sample.prediction, sample.predicted
        if prediction is None or labels is None:
            return None
        content_key = project.record(self.image).content_key
        mine = prediction.card_id, prediction.options.cache_key()
        others: list[LabelMap] = []
        for model in self.models.of(content_key):
            other = None if model == mine else project.predictions.get(content_key, *model)
            mapped = None if other is None else self._in_project_ids(other)
            if mapped is not None and mapped.shape == labels.shape:
                others.append(mapped)
        record = measure_ranking(
            labels,
            prediction.known_confidence,
            project.catalog,
            model=prediction.uncertainty,
            truth=sample.truth,
            exclude=sample.exclude,
            others=others,
            refined=_refined(sample),
            object_id=object_id(project, prediction),
        )
        return Found(key, record, fresh=True)

    def _in_project_ids(self, prediction: Prediction) -> LabelMap | None:
        return in_project_ids(self.project, prediction) if self.to_project is None else self.to_project(prediction)

    def _count(self, sample: EvaluationSample) -> Figures | None:
        truth, labels, catalog = sample.truth, sample.labels, self.project.catalog
        if truth is None or labels is None:
            return None

        def count(found: LabelMap) -> ImageAnalysis:
            return count_labels(found, catalog, truth=truth, exclude=sample.exclude, band=self.band)

        model = None if sample.predicted is None else count(sample.predicted)
        return Figures(count(labels), model, (*mask_counts(truth, catalog, labels), sample.truth_notes))


def inspect_sample_or_apart(
    project: Project, image: int, sample: EvaluationSample, objects: Path | None, apart: Apart | None
) -> Callable[[], ImageAnalysis]:
    """Begin to inspect an image: a large one apart, where that can be; what it returns inspects it, or waits for the result."""
    if apart is not None and sample.labels is not None and sample.labels.size > LARGE_PX:
        return apart(project, image, sample, objects)
    return lambda: inspect_sample(project, sample, objects)


def score_labels(
    labels: LabelMap, catalog: ClassCatalog, *, truth: LabelMap | None = None, confidence: NDArray[np.uint8] | None = None
) -> ImageAnalysis:
    """Score one (H, W) label map; truth and confidence have its size where they are given.

    Returns:
        A record with the classes of the labels, the ranking score ``iou`` and ``uncertainty``, the mean of 1 - confidence. Labels
        that are void everywhere, as after the undo of the only stroke, have no ``iou``: not measured is not 0.
    """
    fits = truth is not None and truth.shape == labels.shape and bool((labels != catalog.ignore).any())
    counted = count_labels(labels, catalog, truth=truth if fits else None)
    uncertainty = {} if confidence is None else {"uncertainty": float(1.0 - confidence.mean() / 255.0)}
    return ImageAnalysis(
        catalog=catalog, counts={CLASSES: counted.counts[CLASSES]}, scores={**iou_score(counted), **uncertainty}
    )  # fmt: skip


def write_score(score: ImageAnalysis) -> bytes:
    """The form in which a project keeps a score: small, because the scores of a whole folder are read when it is opened."""
    classes = score.counts[CLASSES]
    values = {"scores": dict(score.scores or {}), "places": classes.places.tolist(), "pixels": classes.values.tolist()}
    return json.dumps(values, separators=(",", ":"), allow_nan=False).encode()


def read_score(data: bytes, catalog: ClassCatalog) -> ImageAnalysis | None:
    """The inverse of :func:`write_score`; None for a damaged score, or one of an earlier version."""
    try:
        found = parse_json(data)
        scores = {str(name): float(score) for name, score in found["scores"].items()}
        places, pixels = [int(place) for place in found["places"]], [int(count) for count in found["pixels"]]
        rising = all(before < after for before, after in pairwise((-1, *places, len(catalog) + 1)))
        if not rising or len(places) != len(pixels) or not all(0 < count <= MAX_PIXELS for count in pixels):
            return None
        if not all(map(math.isfinite, scores.values())):
            return None
    except AtrousError:
        return None
    except VALUE_ERRORS:
        return None
    counts = SparseCounts((len(catalog) + 1,), np.array(places, np.uint16), np.array(pixels, np.uint64))
    return ImageAnalysis(catalog=catalog, counts={CLASSES: counts}, scores=scores)


def write_figures(figures: Figures) -> bytes:
    """The form in which a project keeps figures; :func:`read_figures` is the inverse."""
    truth, over_void, notes = figures.truth
    records = [record.to_bytes() for record in (figures.mask, figures.prediction) if record is not None]
    head = {
        "truth": truth.tolist(), "over_void": over_void.tolist(), "records": [len(record) for record in records],
        "notes": [[note.kind, stored_text(note.text), stored_text(note.summary), note.warning] for note in notes],
    }  # fmt: skip
    packed = json_text(head, separators=(",", ":")).encode()
    return b"".join([len(packed).to_bytes(4, "little"), packed, *records])


def read_figures(data: bytes, catalog: ClassCatalog) -> Figures | None:
    """Kept figures; None for damaged ones, and for those of other classes: they are counted again."""
    try:
        end = 4 + int.from_bytes(data[:4], "little")
        head = parse_json(data[4:end])
        records = []
        for length in head["records"]:
            records.append(ImageAnalysis.from_bytes(data[end : end + length], catalog))
            end += length
        truth, over_void = (np.array(head[name], np.int64) for name in ("truth", "over_void"))
        notes = tuple(
            Note(kind, read_text(str(text)), read_text(str(summary)), bool(warning))
            for kind, text, summary, warning in head["notes"]
        )
        if truth.shape != (len(catalog) + 1,) or over_void.shape != truth.shape or end != len(data):
            return None
        mask, prediction = (*records, None)[:2]
        return None if mask is None else Figures(mask, prediction, (truth, over_void, notes))
    except AtrousError:
        return None
    except VALUE_ERRORS:
        return None


@dataclass(frozen=True, slots=True)
class Due:
    """What :func:`due_images` found, in the order of the project.

    Attributes:
        stale: ids of the images with a score that was measured from something else, or that have none.
        gone: ids with a score but no labels any more.
    """

    stale: tuple[int, ...]
    gone: tuple[int, ...]


def sample_stamp(project: Project, image: int, head: int, marks: int | None = None, classes: str | None = None) -> str:
    """A text that changes with everything that the score of an image is measured from.

    Args:
        head: number of the journal's last step in the labels.
        marks: fingerprint of the image's ambiguous regions; None reads it.
        classes: :meth:`ClassEdits.stamp <app.state.class_edits.ClassEdits.stamp>` of the project's catalog; None makes it.
    """
    record = project.record(image)
    found = fingerprint(project, image) if marks is None else marks
    parts = _VERSION, head, record.touched, record.prediction, record.content_key, found, truth_stamp(project, image)
    text = "\n".join(map(str, (*parts, classes or project.class_edits.stamp(project.catalog))))
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:24]


def due_images(project: Project, stamps: Mapping[int, str], only: frozenset[int] | None = None) -> Due:
    """Which images need another score. Looks at every ground truth file's time: meant for another thread.

    Args:
        stamps: :func:`sample_stamp` of the scores that are known, by image id.
        only: look at these images alone.
    """
    journal = project.journal
    heads = journal.heads() if only is None else {image: journal.head(image) for image in only}
    marks = fingerprints(project) if only is None else {image: fingerprint(project, image) for image in only}
    classes = project.class_edits.stamp(project.catalog)
    stale, gone = [], []
    for record in project.images:
        image, head = record.id, heads.get(record.id, 0)
        if record.missing or (only is not None and image not in only):
            continue
        if not (record.prediction or record.mask or record.touched or head):
            if stamps.get(image):
                gone.append(image)
        elif stamps.get(image) != sample_stamp(project, image, head, marks.get(image, 0), classes):
            stale.append(image)
    return Due(tuple(stale), tuple(gone))


def read_ranking(data: bytes, catalog: ClassCatalog) -> ImageAnalysis | None:
    """A kept record; None for one that is damaged or of other classes: it is measured again."""
    try:
        return ImageAnalysis.from_bytes(data, catalog)
    except AtrousError:
        return None


def _refined(sample: EvaluationSample) -> LabelMap | None:
    """The prediction with the pixels that a CRF has set in the mask; None where it has set none."""
    if sample.provenance is None or sample.labels is None or sample.predicted is None:
        return None
    by_crf = sample.provenance == Provenance.CRF
    return np.where(by_crf, sample.labels, sample.predicted) if by_crf.any() else None


def _confident(project: Project, record: ImageRecord) -> bool:
    """Whether the confidence of an image's newest prediction is kept."""
    card_id, _, options_key = record.prediction.rpartition(" ")
    return project.predictions.has_confidence(record.content_key, card_id, options_key)
