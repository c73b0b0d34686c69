"""Two projects of the same images: which images belong together, what their users agree about, and merging one into the other.

No Qt, no torch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from app.state.careful import look_into, meta_json
from app.state.document import Document
from app.state.edits.whole_mask import whole_patch
from app.state.image_record import ImageRecord, ImageStatus
from app.state.opening import DATABASE, DIRECTORY_NAME
from app.state.project import Project
from app.state.provenance import Provenance, by_hand
from deeplab_core.analysis.agreement import Agreement
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.errors import AtrousError, ImageReadError, MessageText, ProjectError, image_error, message
from deeplab_core.labels import LabelMap, apply_lut
from deeplab_core.masks.importing import ClassMapping, SourceClass, map_classes
from deeplab_core.regions import Regions, find_regions

#: The project that a conflict takes its labels from.
Side = Literal["a", "b"]
#: Most places of an image that a list of conflicts names, largest first; smaller ones are decided with their image.
_LISTED_PLACES = 200


@dataclass(frozen=True, slots=True)
class SidesTaken:
    """Whose labels the conflicts of an image get.

    Attributes:
        rest: the project for every place that :attr:`places` leaves out; None leaves them undecided.
        places: (x, y) of a pixel of a place -> the project. A place is connected pixels to which both users gave the same two
            classes.
        classes: (x, y) of such a pixel -> names of the two classes that were there when it was decided; a place that has others
            by now counts as left out.
    """

    rest: Side | None = None
    places: Mapping[tuple[int, int], Side] = field(default_factory=dict)
    classes: Mapping[tuple[int, int], tuple[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ConflictPlace:
    """Connected pixels to which both users gave the same two classes.

    Attributes:
        x, y: its first pixel in reading order.
        one, other: the classes.
        pixels: its size.
    """

    x: int
    y: int
    one: str
    other: str
    pixels: int


@dataclass(frozen=True, slots=True)
class Pair:
    """One image in both projects."""

    one: ImageRecord
    other: ImageRecord

    @property
    def name(self) -> str:
        """Its path in the first project."""
        return self.one.relative_path

    def reached(self, least: ImageStatus) -> bool:
        """Whether both users have come so far with it."""
        return self.one.status >= least and self.other.status >= least


@dataclass(frozen=True, slots=True, eq=False)
class _Labels:
    """One side of an image: labels in the first project's ids, who set them, and which pixels its user confirmed."""

    labels: LabelMap
    provenance: NDArray[np.uint8]
    confirmed: NDArray[np.bool_]
    reviewed: bool


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ImageMerge:
    """What merging does to one image.

    Attributes:
        name: of the image.
        labels, provenance: (H, W) the result.
        changed: px of the first project that get another label.
        confirmed: px that keep their label and that the second user confirms.
        conflicts: (class of the first, class of the second) -> px that both users set differently.
        places: the connected parts of the conflicts, largest first.
        undecided: px of conflicts that are not decided.
        reviewed: whether the result counts as reviewed.
        take: the project that all conflicts took their labels from; None if that is undecided, or differs by place.
    """

    name: str
    labels: LabelMap
    provenance: NDArray[np.uint8]
    changed: int
    confirmed: int
    conflicts: Mapping[tuple[str, str], int]
    places: tuple[ConflictPlace, ...]
    undecided: int
    reviewed: bool
    take: Side | None

    @property
    def open(self) -> bool:
        """Whether a decision is missing: the image is not merged."""
        return bool(self.undecided)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "image": self.name, "take": self.take, "changed_px": self.changed, "confirmed_px": self.confirmed,
            "conflict_px": sum(self.conflicts.values()),
            "conflicts": [{"a": one, "b": other, "px": count} for (one, other), count in self.conflicts.items()],
            "places": [
                {"x": place.x, "y": place.y, "a": place.one, "b": place.other, "px": place.pixels, "take": None}
                for place in self.places[:_LISTED_PLACES]
            ],
        }  # fmt: skip


@dataclass(slots=True)
class MergeTotals:
    """What became of all images.

    Attributes:
        merged: images that changed.
        same: images in which nothing is to be done.
        open: images with conflicts that are undecided.
        solved: images with conflicts that were decided.
        changed_px: over all merged images.
        failures: (image, error).
    """

    merged: int = 0
    same: int = 0
    solved: int = 0
    changed_px: int = 0
    open: list[ImageMerge] = field(default_factory=list)
    failures: list[tuple[str, AtrousError]] = field(default_factory=list)


class TwoProjects:
    """Two open projects of the same images.

    Attributes:
        one, other: the projects.
        catalog: the first project's classes, with those that are to be added before anything is merged.
        pairs: images with labels in the second project that the first one has too, in the first one's order.
        strangers: (image of the second project, why) that have labels and no partner.
        mapping: the second project's classes in the first one's.
        met: classes of the second project without a partner that an image was found to hold.
    """

    def __init__(
        self, one: Project, other: Project, choices: Mapping[str, str] | None = None, catalog: ClassCatalog | None = None
    ) -> None:
        self.one, self.other = one, other
        self.catalog = one.catalog if catalog is None else catalog
        known = other.catalog.classes
        sources = [SourceClass(name=info.name, aliases=info.aliases) for info in known]
        self.mapping: ClassMapping = map_classes(sources, self.catalog, choices)
        self._open = {info.id: info.name for info, pair in zip(known, self.mapping.pairs, strict=True) if pair.how == "open"}
        self._table = np.full(other.catalog.ignore + 1, self.catalog.ignore, self.catalog.dtype)
        for info, pair in zip(known, self.mapping.pairs, strict=True):
            if pair.target is not None:
                self._table[info.id] = pair.target
        self.met: set[str] = set()
        self.strangers: list[tuple[str, str]] = []
        self.pairs = tuple(self._pairs())

    def _pairs(self) -> Iterator[Pair]:
        labelled = self.other.labelled()
        by_path = {record.relative_path: record for record in self.one.images}
        partners: dict[int, ImageRecord] = {}
        for record in self.other.images:
            if record.id not in labelled:
                continue
            partner = by_path.get(record.relative_path)
            if partner is None:
                self.strangers.append((record.relative_path, message("The first project has no image of this name")))
            elif partner.missing or record.missing:
                self.strangers.append((record.relative_path, message("Its image file is missing")))
            else:
                partners[partner.id] = record
        for record in self.one.images:
            if record.id in partners:
                yield Pair(record, partners[record.id])

    def _side(self, project: Project, record: ImageRecord, document: Document | None = None) -> _Labels:
        document = document or project.load(record.id).document
        labels = document.labels
        if project is self.other:
            present = np.unique(labels).tolist()
            unknown = [self._open[number] for number in present if number in self._open]
            if unknown:
                self.met.update(unknown)
                raise self.mapping.open_error(unknown)
            labels = apply_lut(labels, self._table)
        confirmed = by_hand(document.provenance)
        if record.reviewed:
            confirmed = confirmed | (labels != self.catalog.ignore)
        return _Labels(labels, document.provenance, confirmed, record.reviewed)

    def _sides(self, pair: Pair, mine: Document | None = None) -> tuple[_Labels, _Labels]:
        """Both sides of an image. Raises AtrousError: one cannot be read, or they are not of one picture."""
        if self.one.content_key(pair.one.id) != self.other.content_key(pair.other.id):
            raise ImageReadError(
                message("the two projects have different pictures of this name"),
                why=message("Labels of one do not fit the other"), remedy=message("Merge projects of the same images"),
                path=self.other.path_of(pair.other),
            )  # fmt: skip
        return self._side(self.one, pair.one, mine), self._side(self.other, pair.other)

    # -- agreement ---------------------------------------------------------------------------------------------------------

    def agreement(
        self, *, least: ImageStatus = ImageStatus.TOUCHED, progress: Callable[[str], None] | None = None
    ) -> tuple[Agreement, list[tuple[str, AtrousError]]]:
        """Compare the images that both users worked on.

        Args:
            least: how far both must have come with an image.
            progress: called with the name of every image that was looked into.

        Returns:
            The figures in the first project's classes, and (image, error) of what could not be compared.
        """
        found, failures = Agreement(self.catalog), []
        for pair in self.compared(least):
            try:
                one, other = self._sides(pair)
                found.update(pair.name, one.labels, other.labels)
            except Exception as problem:
                failures.append((pair.name, image_error(problem, self.one.path_of(pair.one))))
            if progress is not None:
                progress(pair.name)
        return found, failures

    def compared(self, least: ImageStatus = ImageStatus.TOUCHED) -> list[Pair]:
        """Images with which both users have come so far."""
        return [pair for pair in self.pairs if pair.reached(least)]

    # -- merging -----------------------------------------------------------------------------------------------------------

    def look(
        self,
        pair: Pair,
        take: Side | SidesTaken | None = None,
        *,
        mine: Document | None = None,
        agreement: Agreement | None = None,
    ) -> ImageMerge:
        """What merging an image would do. Pixels that only one user set get that user's label; what both set differently is a
        conflict. Pixels that neither user set keep the first project's label, or get the second one's if they have none.

        Args:
            take: the project that conflicts take their labels from, for all or place by place; None leaves them undecided.
            mine: the first project's document where it is open; None reads it.
            agreement: is updated with the image, if both users worked on it.

        Raises:
            AtrousError: a side cannot be read, its picture is another one, or it holds classes that the first project lacks.
        """
        one, other = self._sides(pair, mine)
        if agreement is not None and pair.reached(ImageStatus.TOUCHED):
            agreement.update(pair.name, one.labels, other.labels)
        differs = one.labels != other.labels
        conflict = differs & one.confirmed & other.confirmed
        bare = (one.provenance == Provenance.UNSET) & ~one.confirmed & (other.provenance != Provenance.UNSET)
        theirs = (other.confirmed & ~one.confirmed) | (bare & ~other.confirmed)
        found = self._conflict_regions(one.labels, other.labels, conflict)
        taken = take if isinstance(take, SidesTaken) else SidesTaken(take)
        sides = _decided(found, replace(taken, places=self._still_there(taken, one.labels, other.labels)))[found.numbers]
        theirs |= conflict & (sides == _SIDES["b"])
        undecided = int(np.count_nonzero(conflict & (sides == 0)))
        labels = np.where(theirs, other.labels, one.labels).astype(one.labels.dtype, copy=False)
        provenance = np.where(theirs, other.provenance, one.provenance).astype(np.uint8, copy=False)
        same = np.array_equal
        reviewed = (one.reviewed and other.reviewed) or any(side.reviewed and same(labels, side.labels) for side in (one, other))
        return ImageMerge(
            name=pair.name, labels=labels, provenance=provenance, changed=int(np.count_nonzero(labels != one.labels)),
            confirmed=int(np.count_nonzero(theirs & ~differs)), conflicts=self._pairs_of(one.labels, other.labels, conflict),
            places=self._places(one.labels, other.labels, found), undecided=undecided, reviewed=reviewed,
            take=_only_side(sides[conflict]),
        )  # fmt: skip

    def conflict(self, pair: Pair, mine: Document | None = None) -> tuple[LabelMap, LabelMap, Regions]:
        """Both sides' labels, (H, W) in the first project's ids, where both users set different ones; void elsewhere; and the
        places.

        Args:
            mine: as for :meth:`look`.

        Raises:
            AtrousError: as :meth:`look`.
        """
        one, other = self._sides(pair, mine)
        apart = (one.labels == other.labels) | ~one.confirmed | ~other.confirmed
        first, second = one.labels.copy(), other.labels.copy()
        first[apart] = second[apart] = self.catalog.ignore
        return first, second, self._conflict_regions(first, second, ~apart)

    def _conflict_regions(self, one: LabelMap, other: LabelMap, where: NDArray[np.bool_]) -> Regions:
        """The connected pixels with the same two classes."""
        pairs = one.astype(np.int64) * (int(self.catalog.ignore) + 1) + other
        numbers = np.zeros(one.shape, np.int32)
        numbers[where] = np.unique(pairs[where], return_inverse=True)[1]
        return find_regions(numbers, where)

    def _still_there(self, taken: SidesTaken, one: LabelMap, other: LabelMap) -> dict[tuple[int, int], Side]:
        """The places of the image that have the classes they were decided with."""
        names, (height, width) = self._names(), one.shape
        return {
            (x, y): side
            for (x, y), side in taken.places.items()
            if 0 <= x < width
            and 0 <= y < height
            and taken.classes.get((x, y)) in (None, (names.get(int(one[y, x])), names.get(int(other[y, x]))))
        }

    def _places(self, one: LabelMap, other: LabelMap, found: Regions) -> tuple[ConflictPlace, ...]:
        names = self._names()
        order = np.argsort(-found.pixels, kind="stable").tolist()
        rows = [(*found.anchors[row].tolist(), int(found.pixels[row])) for row in order]
        return tuple(ConflictPlace(x, y, names[int(one[y, x])], names[int(other[y, x])], pixels) for x, y, pixels in rows)

    def _pairs_of(self, one: LabelMap, other: LabelMap, where: NDArray[np.bool_]) -> dict[tuple[str, str], int]:
        names = self._names()
        counts = Counter(zip(one[where].tolist(), other[where].tolist(), strict=True))
        return {(names[first], names[second]): count for (first, second), count in counts.most_common()}

    def _names(self) -> dict[int, str]:
        return {info.id: info.name for info in self.catalog.classes} | {int(self.catalog.ignore): "void"}

    def merge(
        self,
        *,
        prefer: Side | None = None,
        solved: Mapping[str, SidesTaken] | None = None,
        write: bool = True,
        progress: Callable[[ImageMerge | None, str], None] | None = None,
    ) -> MergeTotals:
        """Merge the second project's labels into the first one's, as one step of each image that undo takes back.

        Args:
            prefer: the project that conflicts take their labels from; None leaves images with conflicts as they are.
            solved: the same image by image, which counts first.
            write: False changes nothing.
            progress: called with what was found (None for a failure) and the name of every image.
        """
        totals, decided = MergeTotals(), dict(solved or {})
        for pair in self.pairs:
            found = None
            try:
                taken = decided.get(pair.name, SidesTaken(prefer))
                found = self.look(pair, replace(taken, rest=taken.rest or prefer))
                if not found.open and write:
                    self._store(pair, found)
            except Exception as problem:
                totals.failures.append((pair.name, image_error(problem, self.one.path_of(pair.one))))
            else:
                _count(totals, found)
            if progress is not None:
                progress(found, pair.name)
        if write:
            self.one.sync()
        return totals

    @property
    def title(self) -> MessageText:
        """Of the step that merging an image is."""
        return message("Merge with {folder}", folder=self.other.folder.name)

    def _store(self, pair: Pair, found: ImageMerge) -> None:
        document = self.one.load(pair.one.id).document
        patch = whole_patch(document, found.labels, found.provenance)
        if not patch.empty:
            self.one.append_step(pair.one.id, self.title, Provenance.IMPORT, patch)
            document.apply(patch)
            move = self.one.journal.head(pair.one.id)
            self.one.save_mask(pair.one.id, document.labels, document.provenance, move)
        if found.reviewed != self.one.record(pair.one.id).reviewed:
            self.one.set_status(pair.one.id, ImageStatus.REVIEWED if found.reviewed else ImageStatus.TOUCHED)


#: Numbers of the sides in an array; 0 is undecided.
_SIDES: Mapping[Side, int] = {"a": 1, "b": 2}


def _decided(found: Regions, taken: SidesTaken) -> NDArray[np.uint8]:
    """(N + 1,) the side of each place by its number, 0 where it is undecided."""
    sides = np.full(len(found) + 1, 0 if taken.rest is None else _SIDES[taken.rest], np.uint8)
    for (x, y), side in taken.places.items():
        sides[found.numbers[y, x]] = _SIDES[side]
    return sides


def _only_side(sides: NDArray[np.uint8]) -> Side | None:
    present = set(np.unique(sides).tolist())
    return next((side for side, number in _SIDES.items() if present == {number}), None)


def _count(totals: MergeTotals, found: ImageMerge) -> None:
    if found.open:
        totals.open.append(found)
        return
    totals.solved += bool(found.conflicts)
    totals.changed_px += found.changed
    if found.changed or found.confirmed:
        totals.merged += 1
    else:
        totals.same += 1


def project_at(path: Path) -> tuple[Path, Path | None]:
    """(folder of the images, directory of the project or None for the usual one) of a folder with a project, or of its directory.

    Raises:
        ProjectError: there is no project.
    """
    if (path / DIRECTORY_NAME / DATABASE).is_file():
        return path, None
    if (path / DATABASE).is_file() and path.name == DIRECTORY_NAME:
        return path.absolute().parent, None
    if (path / DATABASE).is_file():
        with look_into(path / DATABASE) as connection:
            rows = connection.execute("SELECT value FROM meta WHERE key = 'folder'").fetchmany(1)
        folder = Path(str(meta_json(rows[0][0], "folder"))) if rows else None
        if folder is not None and folder.is_dir():
            return folder, path
        raise ProjectError(
            message("the images of this project are not where they were"), why=str(folder or ""),
            remedy=message("Open the project in the window with its folder, then try again"), path=path,
        )  # fmt: skip
    raise ProjectError(
        message("there is no project here"), remedy=message("Name a folder of images that was opened, or its project directory"),
        path=path,
    )  # fmt: skip
