"""Which errors a second run fixed and which it made: by kind, slice, cell and component.

An error is *fixed* where the first run is wrong and the second right, *made* where the first is right and the second wrong; where
both are wrong it *stays*, be it as the same class or as another. So wrong after = wrong before - fixed + made, for all pixels, of
every class of the ground truth and in every slice.

A fixed pixel is judged by what it was in the first run (its kind of failure, its cell, its object), a made one by what it is in
the second. Both are kept as :class:`~deeplab_core.analysis.folder.FolderAnalysis`, as if the other errors of that run were right,
so that every question about a folder can be asked of them: kinds, cells, pairs, slices, components.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from deeplab_core.analysis.components import ErrorComponent
from deeplab_core.analysis.error_maps import ErrorMaps, map_errors
from deeplab_core.analysis.failures import FailureRules
from deeplab_core.analysis.folder import FolderAnalysis
from deeplab_core.analysis.kinds import KINDS, FailureKind
from deeplab_core.analysis.objects import read_known_objects
from deeplab_core.analysis.own_slices import OwnSlices
from deeplab_core.analysis.record import ERROR_PIXELS, KIND_PIXELS, ImageAnalysis
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.datasets.ambiguous import AMBIGUOUS_SUFFIX, read_ambiguous
from deeplab_core.datasets.sidecars import SidecarFiles
from deeplab_core.errors import AtrousError, Cancelled, MaskFormatError, image_error, message
from deeplab_core.images import read_image
from deeplab_core.labels import LabelMap
from deeplab_core.masks.frames import Frame
from deeplab_core.metrics.pair_reader import PairReader
from deeplab_core.parallel import IsCancelled, ItemCallback
from deeplab_core.regions import Mask

#: The four views of a change: the runs, what the second fixed of the first, what it made.
DifferenceView = Literal["before", "after", "fixed", "made"]


@dataclass(frozen=True, slots=True, eq=False)
class ImageErrorChange:
    """One image: both runs, the errors that the second fixed, and those that it made.

    Attributes:
        before, after, fixed, made: records with errors.
    """

    before: ImageAnalysis
    after: ImageAnalysis
    fixed: ImageAnalysis
    made: ImageAnalysis

    @classmethod
    def of(cls, before: ErrorMaps, after: ErrorMaps) -> ImageErrorChange:
        """Compare two runs over the same scored ground truth. Raises ValueError where it differs."""
        if before.catalog != after.catalog or not np.array_equal(before.truth, after.truth):
            raise ValueError("both runs are measured against one ground truth")
        fixed, made = before.only(~after.wrong), after.only(~before.wrong)
        return cls(before.record(), after.record(), fixed.record(), made.record())


@dataclass(frozen=True, slots=True, kw_only=True)
class KindChange:
    """One kind of failure. ``after = before - fixed + made``, and what stayed wrong but became another kind.

    Attributes:
        kind: which.
        before, after: wrong pixels of it.
        fixed, made: see the module.
        images_better, images_worse: images with more of it fixed than made, and the reverse.
        measured: whether the data says anything of this kind.
    """

    kind: FailureKind
    before: int
    after: int
    fixed: int
    made: int
    images_better: int
    images_worse: int
    measured: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class CellChange:
    """One cell of the confusion matrix.

    Attributes:
        truth, prediction: class ids; the prediction may be void.
        before, after: its pixels.
        fixed, made: pixels that became right, and that were right.
        images_better, images_worse: images with more fixed than made, and the reverse.
    """

    truth: int
    prediction: int
    before: int
    after: int
    fixed: int
    made: int
    images_better: int
    images_worse: int


@dataclass(slots=True, eq=False)
class RunDifference:
    """Two runs over the images of a folder.

    Attributes:
        catalog: the classes.
        before, after, fixed, made: pooled over the images.
        own: the user's attributes of the images and objects, or None.
        files: ground truth, prediction before, prediction after, and photograph (or None) of every image.
        failures: files that could not be compared.
        reader: reads the masks again, for pictures of them; None where they came from elsewhere.
    """

    catalog: ClassCatalog
    before: FolderAnalysis = field(init=False)
    after: FolderAnalysis = field(init=False)
    fixed: FolderAnalysis = field(init=False)
    made: FolderAnalysis = field(init=False)
    own: OwnSlices | None = None
    files: dict[str, ChangedFiles] = field(default_factory=dict)
    failures: list[AtrousError] = field(default_factory=list)
    reader: ChangeReader | None = None

    def __post_init__(self) -> None:
        self.before, self.after, self.fixed, self.made = (FolderAnalysis(self.catalog) for _ in range(4))

    def add(self, image: str, change: ImageErrorChange) -> None:
        """Add an image, or replace it."""
        for view in ("before", "after", "fixed", "made"):
            getattr(self, view).replace(image, getattr(change, view))

    @property
    def images(self) -> int:
        """How many images are compared."""
        return len(self.before)

    @property
    def stayed(self) -> int:
        """Pixels that are wrong in both runs."""
        return self.before.wrong_px - self.fixed.wrong_px

    def kinds(self) -> list[KindChange]:
        """All kinds, in their order."""
        totals = {view: getattr(self, view).total(KIND_PIXELS) for view in ("before", "after", "fixed", "made")}
        better, worse = self._images([(KIND_PIXELS, place) for place in range(len(KINDS))])
        return [
            KindChange(
                kind=kind, **{view: int(total[place]) for view, total in totals.items()}, images_better=better[place],
                images_worse=worse[place], measured=kind not in self.before.unmeasured,
            )
            for place, kind in enumerate(KINDS)
        ]  # fmt: skip

    def cells(self, limit: int | None = None) -> list[CellChange]:
        """Cells that changed, the one with the largest gain or loss first.

        Args:
            limit: how many; None for all.
        """
        totals = {view: self._cells(view) for view in ("before", "after", "fixed", "made")}
        net = totals["fixed"] - totals["made"]
        moved = totals["fixed"] + totals["made"] + abs(totals["before"] - totals["after"])
        order = sorted(np.flatnonzero(moved).tolist(), key=lambda at: (-abs(int(net.flat[at])), -int(moved.flat[at]), at))[:limit]
        better, worse = self._images([(ERROR_PIXELS, place) for place in order])
        ids = [*self.catalog.ids.tolist(), self.catalog.ignore]
        found = []
        for at, place in enumerate(order):
            row, column = divmod(place, len(self.catalog) + 1)
            counts = {view: int(total[row, column]) for view, total in totals.items()}
            found.append(
                CellChange(truth=ids[row], prediction=ids[column], **counts, images_better=better[at], images_worse=worse[at])
            )
        return found

    def won(self, limit: int = 50) -> list[ErrorComponent]:
        """The largest connected errors that were fixed, as the first run had them."""
        return self.fixed.errors.components(limit=limit)

    def lost(self, limit: int = 50) -> list[ErrorComponent]:
        """The largest connected errors that were made, as the second run has them."""
        return self.made.errors.components(limit=limit)

    def _cells(self, view: DifferenceView) -> NDArray[np.int64]:
        folder: FolderAnalysis = getattr(self, view)
        counts, _ = folder.error_cells()
        return counts

    def _images(self, places: Sequence[tuple[str, int]]) -> tuple[list[int], list[int]]:
        """Images with more pixels fixed than made, and the reverse, for each place of some counts."""
        better, worse = np.zeros(len(places), dtype=np.int64), np.zeros(len(places), dtype=np.int64)
        for image in self.before:
            fixed, made = self.fixed.get(image), self.made.get(image)
            assert fixed is not None
            assert made is not None
            for at, (name, place) in enumerate(places):
                net = fixed.counts[name].at(place) - made.counts[name].at(place)
                better[at] += net > 0
                worse[at] += net < 0
        return better.tolist(), worse.tolist()


@dataclass(frozen=True, slots=True)
class ChangedFiles:
    """Files of one image of a :class:`RunDifference`.

    Attributes:
        truth, before, after: masks.
        photograph: None if it is unknown.
    """

    truth: Path
    before: Path
    after: Path
    photograph: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeSources:
    """What else is known of the images; each is optional.

    Attributes:
        images: photographs, for brightness, contrast and cut-outs.
        objects: lists of objects of rendered rooms, for visible fractions.
        ambiguous: ``NAME.ambiguous.json``, regions that are not scored.
        own: the user's attributes.
        frame: frame of the photographs that the truth is stored in.
    """

    images: Path | None = None
    objects: Path | None = None
    ambiguous: Path | None = None
    own: OwnSlices | None = None
    frame: Frame = "auto"


def compare_errors(
    files: dict[str, ChangedFiles],
    catalog: ClassCatalog,
    *,
    sources: ChangeSources | None = None,
    things: frozenset[int] | None = None,
    rules: FailureRules | None = None,
    progress: ItemCallback | None = None,
    cancel: IsCancelled | None = None,
) -> RunDifference:
    """Compare the errors of two runs, one image after the other. A file that fails is collected and the rest goes on.

    Args:
        files: masks of every image, by its name (the path of its prediction before below its folder).
        catalog: classes of all masks.
        sources: what else is known of the images.
        things: ids of object classes; None decides by name.
        rules: where the kinds of failure begin.
        progress: called with (done, total, name) after each image.
        cancel: asked before each image.

    Raises:
        Cancelled: ``cancel`` said so.
    """
    sources = ChangeSources() if sources is None else sources
    reader = ChangeReader(catalog, sources)
    found = RunDifference(catalog, own=sources.own, reader=reader)
    for done, (name, paths) in enumerate(files.items(), start=1):
        if cancel is not None and cancel():
            raise Cancelled()
        try:
            maps = reader.maps(name, paths, things, rules)
            found.add(name, ImageErrorChange.of(*maps))
            if sources.own is not None:
                sources.own.add(name, maps[0].objects.numbers, len(maps[0].objects.rows))
            found.files[name] = ChangedFiles(paths.truth, paths.before, paths.after, reader.photograph(name))
        except Exception as error:
            found.failures.append(image_error(error, paths.after))
        if progress is not None:
            progress(done, len(files), name)
    return found


class ChangeReader:
    """Reads both runs of an image, and what is beside them."""

    def __init__(self, catalog: ClassCatalog, sources: ChangeSources) -> None:
        self.catalog = catalog
        self._objects = None if sources.objects is None else SidecarFiles(sources.objects, (".json",))
        self._ambiguous = None if sources.ambiguous is None else SidecarFiles(sources.ambiguous, (AMBIGUOUS_SUFFIX,))
        self._reader = PairReader(catalog, images_dir=sources.images, frame=sources.frame)

    def photograph(self, name: str) -> Path | None:
        """The photograph of an image, or None."""
        return self._reader.photograph(name)

    def labels(self, paths: ChangedFiles, info: Any = None) -> tuple[LabelMap, LabelMap, LabelMap]:
        """Ground truth, before and after in the displayed frame. Raises MaskFormatError where sizes differ."""
        reader = self._reader
        truth, before, after = (
            reader.truth(paths.truth, info), reader.prediction(paths.before, info), reader.prediction(paths.after, info),
        )  # fmt: skip
        for path, labels in ((paths.before, before), (paths.after, after)):
            if labels.shape != truth.shape:
                raise MaskFormatError(
                    message(
                        "the prediction is {width} x {height} px, its truth {truth_width} x {truth_height} px",
                        width=labels.shape[1], height=labels.shape[0], truth_width=truth.shape[1], truth_height=truth.shape[0],
                    ),
                    remedy=message("Predict at the size of the photograph; masks are never resized"),
                    path=path,
                )  # fmt: skip
        return truth, before, after

    def maps(
        self, name: str, paths: ChangedFiles, things: frozenset[int] | None, rules: FailureRules | None
    ) -> tuple[ErrorMaps, ErrorMaps]:
        """Both runs, pixel by pixel."""
        photograph = self.photograph(name)
        data = None if photograph is None else read_image(photograph)
        truth, *runs = self.labels(paths, None if data is None else data.info)
        objects = None if self._objects is None else self._objects.of(name)
        known = () if objects is None else read_known_objects(objects, self.catalog)
        marks = None if self._ambiguous is None else self._ambiguous.of(name)
        exclude: Mask | None = None if marks is None else read_ambiguous(marks, truth.shape).mask()
        before, after = (
            map_errors(
                truth=truth, prediction=run, catalog=self.catalog, things=things, known=known,
                rgb=None if data is None else data.rgb, exclude=exclude, rules=rules,
            )
            for run in runs
        )  # fmt: skip
        return before, after
