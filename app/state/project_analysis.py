"""What is known of the images of a project, kept with it and measured again only where something changed."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from app.state.class_mapping import chosen_classes
from app.state.image_record import ImageFlag, ImageRecord
from app.state.project import Project
from app.state.samples import EvaluationSample, truth_stamp
from deeplab_core.analysis.folder import FolderAnalysis
from deeplab_core.analysis.image import inspect_image
from deeplab_core.analysis.objects import read_known_objects
from deeplab_core.analysis.ranking import RANKINGS
from deeplab_core.analysis.record import CLASSES, CONFUSION, ImageAnalysis
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.datasets.ground_truth import GroundTruthFiles
from deeplab_core.datasets.sidecars import SidecarFiles
from deeplab_core.errors import AtrousError
from deeplab_core.records import TrimapBand

#: Kind of the project's results that holds inspections, and of those that hold marks of ambiguity.
KIND, _MARKS = "inspection", "ambiguous"
#: Goes up when an inspection means something else than before; when figures do.
_VERSION, _FIGURES_VERSION = 6, 1


@dataclass(frozen=True, slots=True)
class ImageScore:
    """The figures by which an image is listed.

    Attributes:
        iou: mean IoU over the classes in the truth; None without truth.
        uncertainty: mean of 1 - confidence over the prediction, 0..1; None without one.
        classes: names of the classes in the mask (or, without one, in the prediction).
    """

    iou: float | None = None
    uncertainty: float | None = None
    classes: tuple[str, ...] = ()

    @staticmethod
    def of(record: ImageAnalysis | None) -> ImageScore:
        """The score in an image's record; an empty one if it was not scored."""
        if record is None or record.scores is None:
            return ImageScore()
        iou = record.scores.get("iou")
        return ImageScore(None if iou is None else 1 - iou, record.scores.get("uncertainty"), record.class_names)


class ScoredImages:
    """Scores that the project has kept, read on another thread: a folder may have 100,000.

    Attributes:
        pool: the records of the images.
        listed: what :meth:`ProjectAnalysis.score` answers of them.
    """

    def __init__(self, catalog: ClassCatalog, records: Mapping[int, ImageAnalysis]) -> None:
        self.pool = FolderAnalysis(catalog)
        for image, record in records.items():
            self.pool.update(str(image), record)
        self.listed = {image: ImageScore.of(record) for image, record in records.items()}


class ProjectAnalysis:
    """Every figure of a project's images; images go by ``str(image id)``.

    Use it on one thread; :func:`inspection_key` and :func:`read_kept` may run on others.

    Attributes:
        project: the one that the images belong to.
        masks: of the labels that count (:func:`~app.state.samples.load_sample`, ``"effective"``): the score for the list, and
            once the folder was evaluated or inspected its figures and its error components.
        predictions: of the kept predictions.
        keys: per image id, what its error components were found from.
        ranking_keys: per image id, what the ranking scores of its prediction were measured from.
    """

    def __init__(self, project: Project) -> None:
        self.project = project
        self.masks = FolderAnalysis(project.catalog)
        self.predictions = FolderAnalysis(project.catalog)
        self.keys: dict[int, str] = {}
        self.ranking_keys: dict[int, str] = {}
        self._listed: dict[int, ImageScore] = {}  # what score() has answered

    def __len__(self) -> int:
        return len(self.keys)

    def __contains__(self, image: int) -> bool:
        return image in self.keys

    def score(self, image: int) -> ImageScore:
        """The score of an image; an empty one if it has none."""
        found = self._listed.get(image)
        record = None if found is not None else self.masks.get(str(image))
        if record is not None and record.scores is not None:
            found = self._listed[image] = ImageScore.of(record)
        return found or ImageScore()

    def adopt(self, scored: ScoredImages) -> None:
        """Take scores that another thread has read; images that were scored since keep the score that they have."""
        pool, self.masks, self._listed = self.masks, scored.pool, scored.listed
        for image in pool:
            record = pool.get(image)
            if record is not None:
                self.masks.update(image, record)
                self._listed.pop(int(image), None)

    def put_score(self, image: int, score: ImageAnalysis) -> None:
        """Add or replace the score of an image's mask (:func:`~app.state.measurement.score_labels`)."""
        self.masks.update(str(image), score)
        self._listed.pop(image, None)

    def drop_score(self, image: int) -> bool:
        """Forget the score of an image; False if it had none."""
        self._listed.pop(image, None)
        record = self.masks.get(str(image))
        if record is None or record.scores is None:
            return False
        rest = replace(record, counts={name: counts for name, counts in record.counts.items() if name != CLASSES}, scores=None)
        if rest.counts:
            self.masks.replace(str(image), rest)
        else:
            self.masks.remove(str(image))
        return True

    def has_figures(self, image: int) -> bool:
        """Whether an image counts in the figures of the folder."""
        record = self.masks.get(str(image))
        return record is not None and CONFUSION in record.counts

    def put(self, image: int, key: str, inspection: ImageAnalysis) -> None:
        """Add the error components of an image's mask, or replace what was known of them."""
        self.masks.update(str(image), inspection)
        self.keys[image] = key

    def keep(self, image: int, key: str, inspection: ImageAnalysis) -> None:
        """As :meth:`put`, and keep it with the project.

        Raises:
            StorageError: it cannot be written; it is known here all the same.
        """
        self.put(image, key, inspection)
        self.project.put_result(image, KIND, key, inspection.to_bytes())

    def drop(self, image: int) -> None:
        """Forget figures and errors of an image's mask, e.g. because its ground truth is gone; its score stays."""
        self.keys.pop(image, None)
        score = _score_part(self.masks.get(str(image)))
        if score is None:
            self.masks.remove(str(image))
        else:
            self.masks.replace(str(image), score)

    def on_other_truth(self) -> ProjectAnalysis:
        """What is left once the project has other ground truth: the scores that rest on the predictions alone."""
        left = ProjectAnalysis(self.project)
        for image in self.predictions:
            record = self.predictions.get(image)
            if record is not None and record.scores is not None:
                scores = {name: score for name, score in record.scores.items() if RANKINGS[name].of == "prediction"}
                left.predictions.update(image, ImageAnalysis(catalog=record.catalog, scores=scores))
        return left


def _score_part(record: ImageAnalysis | None) -> ImageAnalysis | None:
    if record is None or record.scores is None:
        return None
    classes = {name: counts for name, counts in record.counts.items() if name == CLASSES}
    return ImageAnalysis(catalog=record.catalog, counts=classes, scores=record.scores)


def inspect_sample(project: Project, sample: EvaluationSample, objects: Path | None) -> ImageAnalysis:
    """Inspect an image; its ambiguous regions are left out.

    Args:
        project: defines the classes.
        sample: with labels, ground truth and pixels.
        objects: file in which the data lists its objects (rendered rooms), or None.

    Raises:
        MaskFormatError: the list of objects cannot be read.
    """
    assert sample.truth is not None
    assert sample.labels is not None
    return inspect_image(
        truth=sample.truth,
        prediction=sample.labels,
        catalog=project.catalog,
        known=() if objects is None else read_known_objects(objects, project.catalog),
        rgb=sample.rgb,
        exclude=sample.exclude,
    )


class ObjectLists:
    """Lists of objects that rendered rooms have in a folder ``objects`` beside that of their truth."""

    def __init__(self, truth: GroundTruthFiles) -> None:
        """Look beside the folders of truth; costs a walk through the files there."""
        folders = {folder.parent / "objects" for folder in truth.folders}
        self._found = [SidecarFiles(folder, (".json",)) for folder in sorted(folders) if folder.is_dir()]

    def of(self, image: str) -> Path | None:
        """The list that goes with an image (its relative path); None if missing."""
        return next((path for path in (folder.of(image) for folder in self._found) if path is not None), None)


def inspection_key(project: Project, record: ImageRecord, objects: Path | None) -> str:
    """What an inspection of an image follows from; another key means that it must be made again.

    Args:
        project, record: the image; its ground truth is the project's.
        objects: file in which the data lists its objects, or None.
    """
    marks = project.result(record.id, _MARKS)
    head, damaged = project.journal.head(record.id), ImageFlag.DAMAGED in record.flags
    # Of an image that was not touched the prediction may count, see load_sample.
    predicted = None if record.touched else (record.prediction, _mapping(project, record))
    parts = (
        _VERSION,
        _classes(project.catalog),
        project.class_edits.stamp(project.catalog),
        (record.size, record.mtime_ns),
        truth_stamp(project, record.id),
        None if objects is None else _stamp(objects),
        None if marks is None else zlib.crc32(marks[1]),
        (head, record.touched, damaged),
        predicted,
    )
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]


def figures_key(project: Project, record: ImageRecord, band: TrimapBand) -> str:
    """What the figures of an image's mask and prediction follow from; another key means that they must be counted again."""
    parts = (
        _FIGURES_VERSION, inspection_key(project, record, None), band.rule, band.around, record.prediction, record.content_key,
        _mapping(project, record),
    )  # fmt: skip
    return hashlib.sha256(repr(parts).encode("utf-8", "surrogateescape")).hexdigest()[:32]


def read_kept(project: Project, image: int, key: str) -> ImageAnalysis | None:
    """The inspection that the project keeps for an image; None if there is none, an outdated or a damaged one."""
    kept = project.result(image, KIND)
    if kept is None or kept[0] != key:
        return None
    try:
        return ImageAnalysis.from_bytes(kept[1], project.catalog)
    except AtrousError:
        return None


def _classes(catalog: ClassCatalog) -> str:
    names = [(int(info.id), info.name) for info in catalog.classes]
    return hashlib.sha256(json.dumps([names, catalog.ignore, catalog.background]).encode()).hexdigest()


def _mapping(project: Project, record: ImageRecord) -> object:
    """The user's choices of what the classes of the model become in the project; JSON values."""
    chosen = chosen_classes(project, record.prediction.partition(" ")[0])
    return {str(key): value for key, value in chosen.items()} or None


def _stamp(path: Path) -> tuple[str, int, int]:
    try:
        found = path.stat()
    except OSError:
        return str(path), -1, -1
    return str(path), found.st_size, found.st_mtime_ns
