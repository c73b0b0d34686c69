"""One image as it is evaluated, compared, ranked, exported or learned from: its labels, its ground truth, what is left out.

No Qt, no torch. For jobs: it reads files.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from app.state.ambiguous import excluded
from app.state.class_keys import exported_catalog
from app.state.class_mapping import in_project_ids
from app.state.image_record import ImageStatus
from app.state.live_evaluation import without_marked
from app.state.mask_reading import load_project_mask
from app.state.project import Project
from app.state.provenance import Provenance, by_hand
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.datasets.report import DataItem
from deeplab_core.errors import MaskFormatError, MessageText, message, plural_message
from deeplab_core.images.decode import read_image
from deeplab_core.images.probe import ImageInfo, probe_image
from deeplab_core.labels import LabelMap
from deeplab_core.masks import Untouched
from deeplab_core.masks.export import ExportItem
from deeplab_core.masks.read import MaskData
from deeplab_core.notes import Note
from deeplab_core.records import Prediction

#: A prediction's labels in the project's ids; None where its classes are unknown or not matched.
ToProject = Callable[[Prediction], LabelMap | None]
#: Which labels of an image count, see :func:`load_sample`.
LabelSource = Literal["effective", "mask", "confirmed", "prediction", "none"]


@dataclass(frozen=True, slots=True)
class OpenLabels:
    """What is known in memory of an image that is open: newer than the disk, and not read again.

    Attributes:
        labels, provenance: (H, W) of its document.
        info: the photograph's header facts, or None.
        rgb: (H, W, 3) uint8, oriented, or None.
        truth: (H, W) ground truth as :func:`load_sample` gave it, or None.
    """

    labels: LabelMap
    provenance: NDArray[np.uint8]
    info: ImageInfo | None = None
    rgb: NDArray[np.uint8] | None = None
    truth: LabelMap | None = None


@dataclass(frozen=True, slots=True, eq=False)
class EvaluationSample:
    """One image with everything a figure rests on. All arrays are in the oriented frame and in the project's ids.

    Attributes:
        labels: (H, W) labels that count; None where the image has none of the kind that was asked for.
        truth: (H, W) ground truth as its file says; None without one, or where it was not asked for.
        exclude: (H, W) bool, what the user marked as ambiguous; None if nothing is marked.
        scored: (H, W) ``truth`` with the marked pixels void: figures count on this.
        confidence: (H, W) uint8 of the newest prediction, 255 = certain; None if no prediction was read, or its
            confidence is not kept any more.
        prediction: the newest prediction; read for ``labels="prediction"``, if it replaces a missing mask, and on demand.
        predicted: (H, W) its labels in the project's ids.
        provenance: (H, W) uint8 of the mask; None where the mask was not read.
        rgb: (H, W, 3) uint8, where it was asked for.
        head: number of the image's last journal step when its labels were read.
        truth_notes: what was read in an unusual way in the ground truth file; none where it was in memory.
        mask_notes: what was found damaged in the mask or its journal, and repaired; none where it was in memory.
    """

    labels: LabelMap | None = None
    truth: LabelMap | None = None
    exclude: NDArray[np.bool_] | None = None
    scored: LabelMap | None = None
    confidence: NDArray[np.uint8] | None = None
    prediction: Prediction | None = None
    predicted: LabelMap | None = None
    provenance: NDArray[np.uint8] | None = None
    rgb: NDArray[np.uint8] | None = None
    head: int = 0
    truth_notes: tuple[Note, ...] = ()
    mask_notes: tuple[Note, ...] = ()


def load_sample(
    project: Project,
    image: int,
    *,
    labels: LabelSource = "effective",
    truth: bool = True,
    rgb: bool = False,
    most_rgb_px: int | None = None,
    with_prediction: bool = False,
    opened: OpenLabels | None = None,
    prediction: Prediction | None = None,
    to_project: ToProject | None = None,
) -> EvaluationSample:
    """Read one image of a project. The only place that decides which labels count and which ground truth belongs to them.

    Labels:

    - ``"effective"``: the mask where the user worked on the image or any pixel of the mask is set; else the newest prediction.
      This is what the canvas shows and what an export writes.
    - ``"mask"``: the same without the prediction.
    - ``"confirmed"``: pixels that the user vouches for, void elsewhere: the whole mask of a reviewed image; of any other image
      the pixels that the user painted, reclassified or imported.
    - ``"prediction"``: the newest prediction alone. One of other content than the file's counts for nothing.
    - ``"none"``: only the ground truth is asked for.

    Ground truth: the file that ``project.ground_truth`` names for the image, read with the project's catalog in the frame that
    is stored for its folder. Ambiguous regions of the image are void in ``scored``. Without labels (unless ``"none"``) the
    ground truth is not read.

    Args:
        project, image: the source of marks, classes and choices.
        truth: read the ground truth.
        rgb: read the pixels too.
        most_rgb_px: but not those of an image with more pixels than this.
        with_prediction: read the newest prediction also where the mask counts.
        opened: labels of an image that is open.
        prediction: the newest prediction, where it is in memory.
        to_project: turns predictions into the project's ids; by default what the project remembers of the model's classes.

    Raises:
        ImageReadError, MaskFormatError, ProjectError: a file cannot be used, or sizes differ.
    """
    record = project.record(image)
    pixels = None if opened is None else opened.rgb
    info = None if opened is None else opened.info
    if most_rgb_px is not None and pixels is None and info is None:
        info = probe_image(project.path_of(record))
    if rgb and pixels is None and (most_rgb_px is None or info is None or info.width * info.height <= most_rgb_px):
        data = read_image(project.path_of(record))
        pixels, info = data.rgb, data.info
    elif info is None and labels != "none":
        info = probe_image(project.path_of(record))
    head = project.journal.head(image)
    found, provenance, notice = (None, None, "") if labels in ("none", "prediction") else _mask(project, image, opened, info)
    if labels == "confirmed" and found is not None and provenance is not None:
        found = confirmed_labels(found, provenance, project.catalog.ignore, reviewed=record.status >= ImageStatus.REVIEWED)
    newest = predicted = None
    if labels == "prediction" or with_prediction or (labels == "effective" and found is None):
        newest, predicted = _predicted(project, image, prediction, info, to_project)
        if found is None and labels in ("effective", "prediction"):
            found = predicted
    read = _Truth()
    if truth and (found is not None or labels == "none"):
        read = _truth(project, image, opened, info, None if found is None else found.shape)
    return EvaluationSample(
        labels=found,
        truth=read.labels,
        exclude=read.exclude,
        scored=read.scored,
        confidence=None if newest is None else newest.known_confidence,
        prediction=newest,
        predicted=predicted,
        provenance=provenance,
        rgb=pixels,
        head=head,
        truth_notes=read.notes,
        mask_notes=(Note("repaired", notice, _rebuilt(), True),) if notice else (),
    )


def _rebuilt() -> MessageText:
    return plural_message("was rebuilt from a damaged mask or journal", "were rebuilt from a damaged mask or journal", 1)


def _predicted(
    project: Project, image: int, prediction: Prediction | None, info: ImageInfo | None, to_project: ToProject | None
) -> tuple[Prediction | None, LabelMap | None]:
    """The newest prediction and its labels in the project's ids; neither where it is of another size than the image."""
    newest = prediction or _newest(project, image)
    if newest is None:
        return None, None
    predicted = in_project_ids(project, newest) if to_project is None else to_project(newest)
    if predicted is not None and info is not None and predicted.shape != (info.height, info.width):
        return None, None
    return newest, predicted


@dataclass(frozen=True, slots=True)
class _Truth:
    """Ground truth of an image, as in :class:`EvaluationSample`."""

    labels: LabelMap | None = None
    exclude: NDArray[np.bool_] | None = None
    scored: LabelMap | None = None
    notes: tuple[Note, ...] = ()


def _truth(
    project: Project, image: int, opened: OpenLabels | None, info: ImageInfo | None, size: tuple[int, ...] | None
) -> _Truth:
    """Ground truth in memory or on disk; ``size`` is the (height, width) of the labels that it is for, None for any."""
    notes: tuple[Note, ...] = ()
    if opened is not None and opened.truth is not None:
        whole = opened.truth
    else:
        file = load_truth(project, image, info)
        if file is None:
            return _Truth()
        whole, notes = file.labels, file.notes
    if size is not None and whole.shape != size:
        raise MaskFormatError(
            message(
                "the ground truth is {truth_width} x {truth_height} px, the mask {width} x {height} px",
                truth_width=whole.shape[1],
                truth_height=whole.shape[0],
                width=size[1],
                height=size[0],
            ),
            remedy=message("Choose the ground truth of this image; it is never resized"),
            path=truth_path(project, image),
        )
    exclude = excluded(project, image, whole.shape)
    return _Truth(whole, exclude, without_marked(whole, exclude, project.catalog.ignore), notes)


def truth_path(project: Project, image: int) -> Path | None:
    """The ground truth file of an image; None without one."""
    return project.ground_truth.get(project.record(image).relative_path)


def truth_stamp(project: Project, image: int) -> str:
    """A text that changes with the ground truth of an image: another file, other content, another frame; empty without one."""
    path = truth_path(project, image)
    if path is None:
        return ""
    try:
        status = path.stat()
    except OSError:
        return f"{path} gone"
    return f"{path} {status.st_size} {status.st_mtime_ns} {project.ground_truth.frame}"


def read_truth(project: Project, image: int, info: ImageInfo | None = None) -> LabelMap | None:
    """(H, W) ground truth of an image in the oriented frame, read-only; None without one.

    Args:
        info: the photograph's header facts, where they are known.

    Raises:
        ImageReadError, MaskFormatError: a file cannot be used.
    """
    file = load_truth(project, image, info)
    return None if file is None else file.labels


def load_truth(project: Project, image: int, info: ImageInfo | None = None) -> MaskData | None:
    """As :func:`read_truth`, with the notes of the file."""
    path = truth_path(project, image)
    if path is None:
        return None
    info = info or probe_image(project.path_of(project.record(image)))
    file = load_project_mask(path, project.class_edits.reading_catalog(project.catalog), info, frame=project.ground_truth.frame)
    file = replace(file, labels=project.class_edits.current_ids(file.labels, project.catalog))
    file.labels.flags.writeable = False
    return file


def confirmed_labels(labels: LabelMap, provenance: NDArray[np.uint8], ignore: int, *, reviewed: bool) -> LabelMap:
    """(H, W) labels that the user vouches for, ``ignore`` elsewhere; ``labels`` itself where all of them count."""
    if reviewed:
        return labels
    known: LabelMap = np.where(by_hand(provenance), labels, labels.dtype.type(ignore))
    return known


class ExportSource:
    """Labels of one image for an export, and how much of them no user set; read when the export asks for them."""

    def __init__(
        self,
        project: Project,
        image: int,
        source: LabelSource = "effective",
        to_project: ToProject | None = None,
        *,
        keep_suffix: bool = False,
        catalog: ClassCatalog | None = None,
    ) -> None:
        """Set what is exported.

        Args:
            catalog: see :func:`app.state.class_keys.exported_catalog`; read from the project where it is left out.
        """
        self._keep_suffix, self._catalog = keep_suffix, catalog
        self._project, self._image, self._source, self._to_project = project, image, source, to_project
        self._untouched: Untouched | None = None
        self._notes: tuple[Note, ...] = ()
        self._codes: NDArray[np.uint8] | None = None
        self._models: tuple[str, ...] = ()

    def item(self) -> ExportItem:
        """What :func:`deeplab_core.masks.export.export_masks` takes."""
        record = self._project.record(self._image)
        return ExportItem(
            name=record.relative_path,
            catalog=self._catalog or exported_catalog(self._project),
            labels=self._labels,
            image_path=self._project.path_of(record),
            untouched=lambda: self._untouched,
            notes=lambda: self._notes,
            keep_suffix=self._keep_suffix,
            provenance=lambda: self._codes,
            reviewed=record.status >= ImageStatus.REVIEWED,
            models=lambda: self._models,
        )

    def _labels(self) -> LabelMap | None:
        sample = load_sample(self._project, self._image, labels=self._source, truth=False, to_project=self._to_project)
        self._notes = sample.mask_notes
        self._codes, self._models = None, ()
        if sample.labels is None:
            return None
        codes = sample.provenance
        if codes is None:  # a prediction that no user has taken over
            codes = np.full(sample.labels.shape, Provenance.MODEL, np.uint8)
        # A code of a later version counts as the user's, as everywhere else.
        self._codes = np.where(codes > Provenance.RECLASSIFIED, np.uint8(Provenance.USER), codes)
        if np.isin(codes, (Provenance.MODEL, Provenance.CRF, Provenance.RECLASSIFIED)).any():
            newest = sample.prediction or self._project.prediction_of(self._image)
            self._models = () if newest is None else (newest.card_id,)
        set_by_user = 0
        if sample.provenance is not None:
            set_by_user = int(np.count_nonzero(by_hand(sample.provenance)))
        whole = not self._project.record(self._image).touched
        self._untouched = Untouched(sample.labels.size - set_by_user, whole)
        return sample.labels


def report_items(project: Project) -> list[DataItem]:
    """What :func:`deeplab_core.datasets.report.report_data_set` takes: the masks of the images that are there."""

    def reader(image: int) -> Callable[[], LabelMap | None]:
        return lambda: load_sample(project, image, labels="mask", truth=False).labels

    return [
        DataItem(
            name=record.relative_path,
            image=project.path_of(record),
            labels=reader(record.id),
            reviewed=record.status >= ImageStatus.REVIEWED,
        )
        for record in project.images
        if not record.missing
    ]


def _mask(
    project: Project, image: int, opened: OpenLabels | None, info: ImageInfo | None
) -> tuple[LabelMap | None, NDArray[np.uint8] | None, str]:
    """Labels and provenance of the mask, None if nothing was set in it; and what was repaired, in words."""
    notice = ""
    record = project.record(image)
    if opened is not None:
        labels, provenance = opened.labels, opened.provenance
    elif record.touched or record.mask or project.journal.head(image):
        loaded = project.load(image, None if info is None else (info.height, info.width))
        labels, provenance, notice = loaded.document.labels, loaded.document.provenance, loaded.notice
    else:
        return None, None, ""
    return (labels, provenance, notice) if record.touched or provenance.any() else (None, None, notice)


def _newest(project: Project, image: int) -> Prediction | None:
    record = project.record(image)
    if record.content_key and not record.missing and not project.read_only:
        project.content_key(image)  # a file that was replaced has another key, under which nothing was predicted
    return project.prediction_of(image)
