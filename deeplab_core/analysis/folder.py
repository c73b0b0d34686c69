"""Inspecting a folder of predictions against its truth: one image after the other, masks never held."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplab_core.analysis.board import FailureBoard
from deeplab_core.analysis.components import ErrorComponent
from deeplab_core.analysis.error_index import ErrorIndex
from deeplab_core.analysis.failures import FailureRules
from deeplab_core.analysis.image import ImageInspection, inspect_image
from deeplab_core.analysis.kinds import FailureKind
from deeplab_core.analysis.objects import OBJECT, read_known_objects
from deeplab_core.analysis.slices import PixelAxis, PixelSlices, Slice, objects_within
from deeplab_core.analysis.sparse import SparseCounts
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.datasets.ambiguous import AMBIGUOUS_SUFFIX, read_ambiguous
from deeplab_core.datasets.pairing import MaskPair, pair_masks
from deeplab_core.datasets.sidecars import SidecarFiles
from deeplab_core.errors import AtrousError, Cancelled, MaskFormatError, image_error
from deeplab_core.images import read_image
from deeplab_core.labels import LabelMap
from deeplab_core.masks.frames import Frame
from deeplab_core.metrics.pair_reader import PairLabels, PairReader
from deeplab_core.notes import RunNotes

Progress = Callable[[int, int, str], None]


@dataclass(slots=True, eq=False)
class FolderInspection:
    """What is known of a folder. Grows image by image, and an image can be replaced after a correction.

    Attributes:
        catalog: the classes.
        index: error components of every cell.
        board: kinds of failure.
        slices: confusion matrices by slice of pixels, by axis.
        pairs: files of every image, by name.
        failures: files that could not be inspected, each error naming its file.
        missing: truth files without a prediction.
        extra: predictions without truth.
        excluded_px: labelled pixels that marks of ambiguity kept out of the figures.
        truth_notes, prediction_notes: mask files that were read in an unusual way, counted.
    """

    catalog: ClassCatalog
    index: ErrorIndex = field(init=False)
    board: FailureBoard = field(init=False)
    slices: dict[PixelAxis, PixelSlices] = field(init=False)
    pairs: dict[str, MaskPair] = field(default_factory=dict)
    failures: list[AtrousError] = field(default_factory=list)
    missing: tuple[Path, ...] = ()
    extra: tuple[Path, ...] = ()
    excluded_px: int = 0
    truth_notes: RunNotes = field(default_factory=lambda: RunNotes("ground truth mask"))
    prediction_notes: RunNotes = field(default_factory=lambda: RunNotes("predicted mask"))
    _objects: dict[str, NDArray[Any]] = field(default_factory=dict, repr=False)
    _joined: NDArray[Any] | None = field(default=None, repr=False)
    _slices_of: dict[str, dict[PixelAxis, SparseCounts]] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        self.index = ErrorIndex(self.catalog)
        self.board = FailureBoard(self.catalog)
        self.slices = {axis: PixelSlices(self.catalog, axis) for axis in PixelAxis}

    def update(self, image: str, inspection: ImageInspection) -> None:
        """Add an image, or replace what was known of it."""
        self.index.update(image, inspection.errors)
        self.board.update(image, inspection.failures)
        self._objects[image] = inspection.objects
        self._joined = None
        for axis, known in self._slices_of.pop(image, {}).items():
            self.slices[axis].add(known.whole(), -1)
        for axis, counts in inspection.slices.items():
            self.slices[axis].add(counts)
        self._slices_of[image] = {axis: SparseCounts.of(counts) for axis, counts in inspection.slices.items()}

    def remove(self, image: str) -> None:
        """Forget an image; nothing happens where it is unknown."""
        self.index.remove(image)
        self.board.remove(image)
        self._objects.pop(image, None)
        self._joined = None
        for axis, known in self._slices_of.pop(image, {}).items():
            self.slices[axis].add(known.whole(), -1)

    @property
    def objects(self) -> NDArray[Any]:
        """Objects of all images, (N,) of :data:`~deeplab_core.analysis.objects.OBJECT`."""
        if self._joined is None:
            self._joined = np.concatenate([np.zeros(0, dtype=OBJECT), *self._objects.values()])
        return self._joined

    @property
    def unmeasured(self) -> frozenset[FailureKind]:
        """Kinds that the data says nothing about. Their 0 pixels are no finding, and must not be shown as one."""
        known = bool((~np.isnan(self.objects["visible_fraction"])).any())
        return frozenset() if known else frozenset({FailureKind.LOW_VISIBLE})

    def objects_within(self, within: Slice, class_id: int | None = None) -> dict[str, NDArray[np.int64]]:
        """Numbers, from 1, of the objects that a slice holds, by image; images without any are left out."""
        found = {
            image: 1 + np.flatnonzero(objects_within(rows, within, class_id=class_id)) for image, rows in self._objects.items()
        }
        return {image: numbers for image, numbers in found.items() if numbers.size}

    def components_within(self, within: Slice, class_id: int | None = None, limit: int = 200) -> list[ErrorComponent]:
        """The largest components behind the score of a slice, largest first.

        Args:
            within: of an object axis: what was missed of its objects, and what was wrongly called them next to them, which is
                what their IoU counts. Of a pixel axis: components with pixels in it, by the number of these pixels.
            class_id: only objects of this class; pixels are of all classes.
            limit: how many.
        """
        if isinstance(within.axis, PixelAxis):
            return self.index.components(within=within, limit=limit)
        return self.index.components(objects=self.objects_within(within, class_id), limit=limit)

    def objects_of(self, image: str) -> NDArray[Any]:
        """Objects of one image. Raises KeyError where it was never inspected."""
        return self._objects[image]


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderSources:
    """Folders that say more about the masks; each is optional.

    Attributes:
        images: photographs, for brightness and contrast.
        objects: lists of objects of rendered rooms, for visible fractions.
        ambiguous: ``NAME.ambiguous.json``, regions that are not scored.
        frame: frame of the photographs that the truth is stored in; counts only with ``images``.
        prediction_frame: that of the predictions; None takes what Atrous recorded in their folder, else ``frame``.
    """

    images: Path | None = None
    objects: Path | None = None
    ambiguous: Path | None = None
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
    progress: Progress | None = None,
    cancel: Callable[[], bool] | None = None,
) -> FolderInspection:
    """Inspect every predicted mask that has a truth of the same name (:func:`~deeplab_core.datasets.pairing.pair_masks`).

    A file that fails is collected and the rest goes on. Memory holds what :class:`~deeplab_core.analysis.image.ImageInspection`
    keeps of each image, some kilobytes.

    Args:
        prediction_dir, truth_dirs: folders of masks.
        catalog: classes of both.
        sources: what else is known of the images.
        things: ids of object classes; None decides by name.
        rules: where the kinds of failure begin.
        progress: called with (done, total, name) after each image.
        cancel: asked before each image; True ends the work.

    Raises:
        MaskFormatError: a folder does not exist, or no prediction has a truth.
        Cancelled: ``cancel`` said so.
    """
    folders = [Path(folder) for folder in truth_dirs]
    pairing = pair_masks(Path(prediction_dir), folders, catalog.name)
    if not pairing.pairs and not pairing.ambiguous:
        raise MaskFormatError(
            "no prediction here has a truth of the same name",
            why=f"{len(pairing.extra)} predictions, {len(pairing.missing)} truth files in {', '.join(map(str, folders)) or '-'}",
            remedy="Prediction and truth belong together by their file names",
            path=Path(prediction_dir),
        )
    found = FolderInspection(catalog, failures=list(pairing.ambiguous), missing=pairing.missing, extra=pairing.extra)
    sources = FolderSources() if sources is None else sources
    beside = _Beside(sources)
    reader = PairReader(
        catalog,
        images_dir=sources.images,
        frame=sources.frame,
        prediction_frame=sources.prediction_frame,
    )
    for done, pair in enumerate(pairing.pairs, start=1):
        if cancel is not None and cancel():
            raise Cancelled()
        try:
            inspection, excluded, labels = _inspect(pair, reader, beside, things, rules)
        except Exception as error:
            found.failures.append(image_error(error, pair.prediction))
        else:
            found.update(pair.name, inspection)
            found.pairs[pair.name] = pair
            found.truth_notes.add(pair.name, labels.truth_notes)
            found.prediction_notes.add(pair.name, labels.prediction_notes)
            found.excluded_px += excluded
        if progress is not None:
            progress(done, len(pairing.pairs), pair.name)
    return found


class _Beside:
    """The companions of the masks."""

    def __init__(self, sources: FolderSources) -> None:
        self.objects = None if sources.objects is None else SidecarFiles(sources.objects, (".json",))
        self.ambiguous = None if sources.ambiguous is None else SidecarFiles(sources.ambiguous, (AMBIGUOUS_SUFFIX,))


def _inspect(
    pair: MaskPair, reader: PairReader, beside: _Beside, things: frozenset[int] | None, rules: FailureRules | None
) -> tuple[ImageInspection, int, PairLabels]:
    catalog, photograph = reader.catalog, reader.photograph(pair.name)
    data = None if photograph is None else read_image(photograph)
    labels = reader.read(pair, None if data is None else data.info)
    truth, prediction = labels.truth, labels.prediction
    if truth.shape != prediction.shape:
        raise MaskFormatError(
            f"the prediction is {_size(prediction)}, its truth {_size(truth)}",
            why=f"The truth is {pair.truth}",
            remedy="Predict at the size of the photograph; masks are never resized",
            path=pair.prediction,
        )
    objects = None if beside.objects is None else beside.objects.of(pair.name)
    marks = None if beside.ambiguous is None else beside.ambiguous.of(pair.name)
    exclude = None if marks is None else read_ambiguous(marks, truth.shape).mask()
    inspection = inspect_image(
        truth=truth,
        prediction=prediction,
        catalog=catalog,
        things=things,
        known=() if objects is None else read_known_objects(objects, catalog),
        rgb=None if data is None else data.rgb,
        exclude=exclude,
        rules=rules,
    )
    return inspection, 0 if exclude is None else int((exclude & (truth != catalog.ignore)).sum()), labels


def _size(labels: LabelMap) -> str:
    return f"{labels.shape[1]} x {labels.shape[0]} px"
