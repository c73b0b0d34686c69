"""Which error components are listed, and the place in the list while the user moves through it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from app.text import mark, tr
from app.viewmodels.evaluate.slice_text import slice_text
from deeplab_core.analysis.components import ErrorComponent
from deeplab_core.analysis.error_components import ErrorComponents
from deeplab_core.analysis.folder import FolderAnalysis
from deeplab_core.analysis.kinds import KINDS, FailureKind
from deeplab_core.analysis.own_slices import OwnSlices
from deeplab_core.analysis.pairs import PairLoss, pair_loss
from deeplab_core.analysis.slices import ObjectAxis, Slice
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.metrics.bootstrap import RESAMPLES

#: Components that a list shows; the largest of a hundred thousand images are found in 30 ms.
LISTED = 400

#: Up to so many images an interval is found while the user waits (0.3 s of CPU), beyond that on another thread.
MOST_AT_ONCE = 5000

#: How components are sorted unless the user chooses another order.
DEFAULT_ORDER = "gain_folder"

#: How a kind of failure reads as the title of a list.
KIND_TITLES: dict[FailureKind, str] = {
    FailureKind.BOUNDARY: mark("boundary"),
    FailureKind.EXTENT: mark("extent"),
    FailureKind.SEGMENT: mark("segment"),
    FailureKind.CLASS_SWAP: mark("class swap"),
    FailureKind.MISSED_OBJECT: mark("missed object"),
    FailureKind.INVENTED_OBJECT: mark("invented object"),
    FailureKind.OCCLUDER_CUT: mark("cut by an occluder"),
    FailureKind.LOW_VISIBLE: mark("mostly hidden"),
    FailureKind.SMALL_OBJECT: mark("small object"),
    FailureKind.BORDER_TRUNCATED: mark("cut by the image border"),
}


@dataclass(frozen=True, slots=True)
class OwnSlice:
    """A slice of an attribute of the user's: its column, and the label of the slice."""

    axis: str
    label: str


@dataclass(frozen=True, slots=True)
class ComponentQuery:
    """What a list of components is about; ids of classes, None for any.

    Attributes:
        truth, prediction: the cell; the prediction may be void.
        both_ways: also those of the mirrored cell.
        kind: only components with pixels of this kind of failure.
        concerning: only those of which this class is the truth or the prediction.
        within: only those of objects, or with pixels, of this slice of an axis; of the other fields it goes with
            ``concerning`` alone, and with that where objects are sliced.
        order: of :data:`~deeplab_core.analysis.error_gain.WITH_TRUTH`.
    """

    truth: int | None = None
    prediction: int | None = None
    both_ways: bool = False
    kind: FailureKind | None = None
    concerning: int | None = None
    within: Slice | OwnSlice | None = None
    order: str = DEFAULT_ORDER

    def find(self, folder: FolderAnalysis, limit: int = LISTED, own: OwnSlices | None = None) -> list[ErrorComponent]:
        """The first components that are meant, in their order; by size, of a kind or a slice of pixels by the pixels in it.

        Args:
            own: the user's attributes, for slices of them.
        """
        if isinstance(self.within, OwnSlice):
            known = own is not None and any(axis.name == self.within.axis for axis in (*own.image_axes, *own.object_axes))
            return own.components(folder, self.within.axis, self.within.label, limit, self.order) if own and known else []
        index, worth = folder.errors, folder.worth(self.order)
        if self.within is not None:
            return folder.components_within(self.within, self.concerning, limit, self.order)
        if self.concerning is None:
            return index.components(
                truth=self.truth, prediction=self.prediction, both_ways=self.both_ways, kind=self.kind, limit=limit, worth=worth
            )
        missed = index.components(truth=self.concerning, kind=self.kind, limit=limit, worth=worth)
        false = index.components(prediction=self.concerning, kind=self.kind, limit=limit, worth=worth)
        found = [*missed, *false]
        gains = self.gains(folder, found)
        sizes = dict(zip(found, gains, strict=True)) if gains else {one: _pixels_of(one, index, self.kind) for one in found}
        return sorted(found, key=lambda one: (-sizes[one], one.image, one.box.y, one.box.x))[:limit]

    def gains(self, folder: FolderAnalysis, components: Sequence[ErrorComponent]) -> list[float]:
        """What fixing each component adds to the mean IoU that the order is about; empty where it is about sizes."""
        known = [one for one in components if one.image in folder]
        return [] if self.order == "size" or len(known) < len(components) else folder.gains(components, self.order)

    def totals(self, folder: FolderAnalysis) -> tuple[int, int] | None:
        """(pixels, components) over the folder, all of them; None for kinds and slices, which the failure board counts."""
        if self.kind is not None or self.concerning is not None or self.within is not None:
            return None
        catalog, (pixels, components) = folder.catalog, folder.error_cells()
        rows = slice(None) if self.truth is None else catalog.index_of(self.truth)
        ignored = self.prediction == catalog.ignore
        place = len(catalog) if ignored else None if self.prediction is None else catalog.index_of(self.prediction)
        columns = slice(None) if place is None else place
        found = [int(pixels[rows, columns].sum()), int(components[rows, columns].sum())]
        if self.both_ways and self.truth is not None and place is not None and not ignored:
            found[0] += int(pixels[place, rows].sum())
            found[1] += int(components[place, rows].sum())
        return found[0], found[1]

    def loss(self, folder: FolderAnalysis | None, *, intervals: bool = True) -> PairLoss | None:
        """What the cell, or the pair, costs; None for other queries.

        Args:
            intervals: whether it has intervals; they take 0.6 s of CPU for 20,000 images.
        """
        if (
            folder is None
            or not self.can_mirror
            or self.truth is None
            or self.prediction is None
            or self.truth == self.prediction
        ):
            return None
        return pair_loss(folder, self.truth, self.prediction, both_ways=self.both_ways, resamples=RESAMPLES if intervals else 0)

    def title(self, catalog: ClassCatalog) -> str:
        """The text above the list."""
        if isinstance(self.within, OwnSlice):
            return f"{self.within.axis}: {self.within.label}"
        if self.within is not None:
            of = tr("objects") if isinstance(self.within.axis, ObjectAxis) else tr("pixels")
            what = of if self.concerning is None else class_text(catalog, self.concerning)
            return f"{what}, {slice_text(self.within)}"
        if self.concerning is not None:
            what = class_text(catalog, self.concerning)
        elif self.truth is not None and self.prediction is not None:
            names = {"one": class_text(catalog, self.truth), "other": class_text(catalog, self.prediction)}
            what = tr("{one} and {other}", **names) if self.both_ways else tr("{one} called {other}", **names)
        elif self.truth is not None:
            what = tr("{name} predicted as something else", name=class_text(catalog, self.truth))
        elif self.prediction is not None:
            what = tr("wrongly predicted as {name}", name=class_text(catalog, self.prediction))
        else:
            what = tr("all errors")
        return what if self.kind is None else f"{what}: {tr(KIND_TITLES[self.kind])}"

    @property
    def can_mirror(self) -> bool:
        """Whether asking for both ways makes sense."""
        return self.truth is not None and self.prediction is not None and self.concerning is None


@dataclass(frozen=True, slots=True)
class ErrorNavigation:
    """A list of components and the place in it. The list stays as it was when it was opened.

    Attributes:
        query: what the list is about.
        components: the list.
        place: index of the one in view.
    """

    query: ComponentQuery
    components: tuple[ErrorComponent, ...]
    place: int = 0

    @property
    def current(self) -> ErrorComponent:
        """The component in view."""
        return self.components[self.place]

    def step(self, direction: int, index: ErrorComponents) -> ErrorNavigation | None:
        """The cursor one place on (or, with -1, back), past those that corrections have fixed; None at the end."""
        place = self.place + direction
        while 0 <= place < len(self.components):
            if still_wrong(self.components[place], index):
                return replace(self, place=place)
            place += direction
        return None


def still_wrong(component: ErrorComponent, index: ErrorComponents) -> bool:
    """Whether its image still has a listed component of its cell that meets its box."""
    if component.image not in index:
        return False
    listed = index.of(component.image).listed(component.image, component.truth, component.prediction)
    return any(component.box.overlaps(other.box) for other in listed)


def _pixels_of(component: ErrorComponent, index: ErrorComponents, kind: FailureKind | None) -> int:
    """Pixels of a component, or those of one kind."""
    if kind is None:
        return component.pixels
    rows = index.of(component.image).rows
    same = (rows["truth"] == component.truth) & (rows["prediction"] == component.prediction)
    same &= (rows["anchor_x"] == component.anchor[0]) & (rows["anchor_y"] == component.anchor[1])
    return int(rows["kinds"][same, KINDS.index(kind)].max(initial=0))


def nearest(component: ErrorComponent, components: Sequence[ErrorComponent], place: int) -> int:
    """The place of a component in a newer list: its own place, else the place it had, as far as the list reaches."""
    for found, other in enumerate(components):
        if (other.image, other.truth, other.prediction, other.anchor) == (
            component.image,
            component.truth,
            component.prediction,
            component.anchor,
        ):
            return found
    return min(place, max(len(components) - 1, 0))


def class_text(catalog: ClassCatalog, class_id: int) -> str:
    """Name of a class as shown."""
    return "void" if class_id == catalog.ignore else catalog.by_id(class_id).name
