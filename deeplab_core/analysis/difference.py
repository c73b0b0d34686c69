"""Which errors a second run fixed and which it made: by kind, slice, cell and component.

An error is *fixed* where the first run is wrong and the second right, *made* where the first is right and the second wrong; where
both are wrong it *stays*, be it as the same class or as another. So wrong after = wrong before - fixed + made, for all pixels, of
every class of the ground truth and in every slice.

A fixed pixel is judged by what it was in the first run (its kind of failure, its cell, its object), a made one by what it is in
the second. Both are kept as :class:`~deeplab_core.analysis.folder.FolderAnalysis`, as if the other errors of that run were right,
so that every question about a folder can be asked of them: kinds, cells, pairs, slices, components.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from deeplab_core.analysis.components import ErrorComponent
from deeplab_core.analysis.count_changes import CellChange, CountDraws, KindChange, net_changes
from deeplab_core.analysis.error_maps import ErrorMaps, map_errors
from deeplab_core.analysis.failures import FailureRules
from deeplab_core.analysis.folder import FolderAnalysis
from deeplab_core.analysis.kinds import KINDS
from deeplab_core.analysis.objects import read_known_objects
from deeplab_core.analysis.own_slices import OwnSlices
from deeplab_core.analysis.record import ERROR_PIXELS, KIND_PIXELS, ImageAnalysis, slice_name
from deeplab_core.analysis.slices import ObjectAxis, PixelAxis, Slice
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.datasets.ambiguous import AMBIGUOUS_SUFFIX, read_ambiguous
from deeplab_core.datasets.sidecars import SidecarFiles
from deeplab_core.errors import AtrousError, Cancelled, image_error
from deeplab_core.images import read_image
from deeplab_core.labels import LabelMap
from deeplab_core.masks.frames import Frame
from deeplab_core.metrics.bootstrap import RESAMPLES
from deeplab_core.metrics.pair_reader import PairReader, check_same_size
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
    def of(cls, before: ErrorMaps, after: ErrorMaps, *, recorded: ImageAnalysis | None = None) -> ImageErrorChange:
        """Compare two runs over the same scored ground truth. Raises ValueError where it differs.

        Args:
            recorded: ``before.record()``, where it is known.
        """
        if before.catalog != after.catalog or not np.array_equal(before.truth, after.truth):
            raise ValueError("both runs are measured against one ground truth")
        fixed, made = before.only(~after.wrong), after.only(~before.wrong)
        return cls(before.record() if recorded is None else recorded, after.record(), fixed.record(), made.record())


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

    def kinds(self, *, resamples: int = RESAMPLES, seed: int = 0, test: bool = True) -> list[KindChange]:
        """All kinds, in their order.

        Args:
            resamples, seed: of the intervals; 0 for none.
            test: whether p-values are wanted.
        """
        totals = {view: getattr(self, view).total(KIND_PIXELS) for view in ("before", "after", "fixed", "made")}
        measured = [kind not in self.before.unmeasured for kind in KINDS]
        draws = CountDraws(resamples, seed, [test and known for known in measured], len(KINDS))
        nets = net_changes(self.fixed, self.made, KIND_PIXELS, [[place] for place in range(len(KINDS))], draws)
        found = []
        for place, kind in enumerate(KINDS):
            counts: dict[str, Any] = {view: int(total[place]) for view, total in totals.items()}
            found.append(KindChange(kind=kind, **counts, **nets.of(place), measured=measured[place]))
        return found

    def cells(
        self,
        limit: int | None = None,
        *,
        both_ways: bool = False,
        resamples: int = RESAMPLES,
        seed: int = 0,
        test: bool = True,
    ) -> list[CellChange]:
        """Cells that changed, or pairs of classes, the one with the largest gain or loss first.

        Args:
            limit: how many; None for all.
            both_ways: a cell and its mirrored one are one row; cells of void have no mirrored one.
            resamples, seed: of the intervals; 0 for none.
            test: whether p-values are wanted; all rows are one family, also those beyond the limit.
        """
        totals = {view: self._cells(view) for view in ("before", "after", "fixed", "made")}
        net = totals["fixed"] - totals["made"]
        moved = totals["fixed"] + totals["made"] + abs(totals["before"] - totals["after"])
        if both_ways:
            net, moved = _folded(net), _folded(moved)
        order = sorted(np.flatnonzero(moved).tolist(), key=lambda at: (-abs(int(net.flat[at])), -int(moved.flat[at]), at))
        classes = len(self.catalog)
        groups = [_mirrored(at, classes) if both_ways else [at] for at in order]
        draws = CountDraws(resamples, seed, [test] * len(groups), len(groups) if limit is None else limit)
        nets = net_changes(self.fixed, self.made, ERROR_PIXELS, groups, draws)
        ids = [*self.catalog.ids.tolist(), self.catalog.ignore]
        found = []
        for at, group in enumerate(groups[:limit]):
            row, column = divmod(group[0], classes + 1)
            counts: dict[str, Any] = {view: int(total.reshape(-1)[group].sum()) for view, total in totals.items()}
            found.append(CellChange(truth=ids[row], prediction=ids[column], **counts, **nets.of(at), both_ways=len(group) > 1))
        return found

    def won(self, limit: int = 50) -> list[ErrorComponent]:
        """The largest connected errors that were fixed, as the first run had them."""
        return self.fixed.errors.components(limit=limit)

    def lost(self, limit: int = 50) -> list[ErrorComponent]:
        """The largest connected errors that were made, as the second run has them."""
        return self.made.errors.components(limit=limit)

    def within(self, within: Slice) -> tuple[int, int]:
        """Pixels fixed and made in one slice; of an axis of objects the missed pixels of its objects."""
        found = []
        for folder in (self.fixed, self.made):
            if isinstance(within.axis, PixelAxis):
                counts = folder.total(slice_name(within.axis))[within.place]
                found.append(int(counts.sum() - np.trace(counts)))
            else:
                rows = folder.objects
                field = "pixels" if within.axis is ObjectAxis.SIZE else within.axis.value
                low, high = within.edges
                chosen = rows[(rows[field] >= low) & (rows[field] < high)]
                found.append(int((chosen["pixels"].astype(np.int64) - chosen["right"]).sum()))
        return found[0], found[1]

    def _cells(self, view: DifferenceView) -> NDArray[np.int64]:
        folder: FolderAnalysis = getattr(self, view)
        counts, _ = folder.error_cells()
        return counts


def _folded(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """(C, C + 1) counts with those below the diagonal added to their mirrored cells."""
    classes = len(counts)
    square = counts[:, :classes]
    return np.concatenate([np.triu(square) + np.tril(square, -1).T, counts[:, classes:]], axis=1)


def _mirrored(place: int, classes: int) -> list[int]:
    """A cell of (C, C + 1) and its mirrored one; a cell of void alone."""
    row, column = divmod(place, classes + 1)
    return [place] if column == classes else [place, column * (classes + 1) + row]


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
    (found,) = compare_runs(
        [files], catalog, sources=sources, things=things, rules=rules, progress=progress, cancel=cancel
    )  # fmt: skip
    return found


def compare_runs(
    runs: Sequence[Mapping[str, ChangedFiles]],
    catalog: ClassCatalog,
    *,
    sources: ChangeSources | None = None,
    things: frozenset[int] | None = None,
    rules: FailureRules | None = None,
    progress: ItemCallback | None = None,
    cancel: IsCancelled | None = None,
) -> list[RunDifference]:
    """Compare several runs with one first run, which is read and inspected once; arguments otherwise as :func:`compare_errors`.

    Args:
        runs: of every other run the masks of its images; ground truth and first run are the same in all of them.
    """
    sources = ChangeSources() if sources is None else sources
    reader = ChangeReader(catalog, sources)
    found = [RunDifference(catalog, own=sources.own, reader=reader) for _ in runs]
    names = list(dict.fromkeys(name for files in runs for name in files))
    for done, name in enumerate(names, start=1):
        if cancel is not None and cancel():
            raise Cancelled()
        mine = [(difference, files[name]) for difference, files in zip(found, runs, strict=True) if name in files]
        _compare_image(reader, name, mine, sources, things, rules)
        if progress is not None:
            progress(done, len(names), name)
    return found


def _compare_image(
    reader: ChangeReader,
    name: str,
    runs: Sequence[tuple[RunDifference, ChangedFiles]],
    sources: ChangeSources,
    things: frozenset[int] | None,
    rules: FailureRules | None,
) -> None:
    """Add one image to every difference, or its failure."""
    paths = runs[0][1]
    try:
        image = reader.image(name, paths, things, rules)
        first = image.maps(reader.run(paths.before, image))
        recorded = first.record()
        if sources.own is not None:
            sources.own.add(name, first.objects.numbers, len(first.objects.rows))
    except Exception as error:
        for difference, files in runs:
            difference.failures.append(image_error(error, files.after))
        return
    for difference, files in runs:
        try:
            after = image.maps(reader.run(files.after, image))
            difference.add(name, ImageErrorChange.of(first, after, recorded=recorded))
            difference.files[name] = ChangedFiles(files.truth, files.before, files.after, reader.photograph(name))
        except Exception as error:
            difference.failures.append(image_error(error, files.after))


@dataclass(frozen=True, slots=True, eq=False)
class _Scene:
    """What every run of an image shares.

    Attributes:
        truth: (H, W) ground truth.
        info: header facts of the photograph, or None.
        maps: the errors of (H, W) labels.
    """

    truth: LabelMap
    info: Any
    maps: Callable[[LabelMap], ErrorMaps]


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
        truth = self._reader.truth(paths.truth, info)
        before, after = (self._labels(path, truth, info) for path in (paths.before, paths.after))
        return truth, before, after

    def image(self, name: str, paths: ChangedFiles, things: frozenset[int] | None, rules: FailureRules | None) -> _Scene:
        """Read what the runs of an image share."""
        photograph = self.photograph(name)
        data = None if photograph is None else read_image(photograph)
        info = None if data is None else data.info
        truth = self._reader.truth(paths.truth, info)
        objects = None if self._objects is None else self._objects.of(name)
        known = () if objects is None else read_known_objects(objects, self.catalog)
        marks = None if self._ambiguous is None else self._ambiguous.of(name)
        exclude: Mask | None = None if marks is None else read_ambiguous(marks, truth.shape).mask()

        def maps(run: LabelMap) -> ErrorMaps:
            return map_errors(
                truth=truth, prediction=run, catalog=self.catalog, things=things, known=known,
                rgb=None if data is None else data.rgb, exclude=exclude, rules=rules,
            )  # fmt: skip

        return _Scene(truth, info, maps)

    def run(self, path: Path, image: _Scene) -> LabelMap:
        """(H, W) labels of a run. Raises MaskFormatError where its size differs from that of the ground truth."""
        return self._labels(path, image.truth, image.info)

    def _labels(self, path: Path, truth: LabelMap, info: Any) -> LabelMap:
        labels = self._reader.prediction(path, info)
        check_same_size(labels, truth, path=path)
        return labels
