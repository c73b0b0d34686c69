"""The correction tools of one image behind one object."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.correction import components, snapping
from deeplab_core.correction.checks import at_least_one, check_level, check_maps, check_mask
from deeplab_core.correction.clicks.offers import check_clicks, offers
from deeplab_core.correction.hierarchy import Hierarchy, build_hierarchy
from deeplab_core.correction.paths import check_path, check_point, path_pixels, placed, thick_line
from deeplab_core.correction.probabilities import ClassProbabilities
from deeplab_core.correction.proposal import ClickModel, Patch, Proposal, RegionPreview
from deeplab_core.correction.scribble import ScribbleEngine
from deeplab_core.correction.snapping import SnapMethod
from deeplab_core.errors import AtrousError, message
from deeplab_core.geometry import Box, polygon_mask
from deeplab_core.labels import LabelMap, Provenance, painted, value_counts
from deeplab_core.regions import Mask

Points = NDArray[Any] | Sequence[Sequence[float]]


class Corrector:
    """Offers corrections of one label map. Tools never change it: :meth:`apply` does.

    Every tool is a function of the image, the labels, the scores and its arguments: the same question has the same answer. None
    of them knows the ground truth. A tool returns None where it has nothing to offer. ``x`` and ``y`` are column and row in image
    px (the image's corner is (0, 0)), ``path`` is (N, 2) of them, ``cls`` a class id of the catalog.

    Args:
        rgb: (H, W, 3) uint8; not copied.
        labels: (H, W) ids in the catalog's dtype, void = ``catalog.ignore``; copied.
        catalog: what the ids mean.
        scores: (C, h, w) floats of a model with this catalog at any size, probabilities or scores (logits): a grid that covers
            the image. Without them tools go by colours and labels.
        click_model: for :meth:`click`; None offers no clicks.
        provenance: (H, W) uint8, who set each pixel; copied. Pixels that the user painted are changed by component, region and
            lasso tools only, never by a CRF or a graph cut. None: no pixel is painted.
        shared: ``labels`` and ``provenance`` are not copied; after a change call :meth:`forget`, never :meth:`apply` or `update`.

    Raises:
        AtrousError: shapes or types do not fit, with what is expected.
        MaskFormatError: ``labels`` is not a label map of the catalog.
    """

    def __init__(
        self,
        rgb: NDArray[np.uint8],
        labels: LabelMap,
        *,
        catalog: ClassCatalog,
        scores: NDArray[Any] | None = None,
        click_model: ClickModel | None = None,
        provenance: NDArray[np.uint8] | None = None,
        shared: bool = False,
    ) -> None:
        provenance = check_maps(rgb, labels, provenance, catalog)
        size = rgb.shape[0], rgb.shape[1]
        self.catalog = catalog
        self.labels: LabelMap = labels if shared else labels.copy()
        self.provenance: NDArray[np.uint8] = provenance if shared else provenance.copy()
        self._rgb = np.ascontiguousarray(rgb)
        self._size = size
        self._probabilities = None if scores is None else ClassProbabilities.of(scores, len(catalog), size)
        self._scribbles = ScribbleEngine(self._rgb, self._probabilities)
        self._click_model = click_model
        self._building = threading.Lock()
        self._hierarchy: Hierarchy | None = None
        self._component: tuple[Box, Mask] | None = None
        self._region: tuple[tuple[int, int], Box, Mask] | None = None
        self._preview: tuple[tuple[int, int], RegionPreview] | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(H, W)."""
        return self._size

    @property
    def hierarchy(self) -> Hierarchy:
        """The region hierarchy, computed at the first use (see :meth:`prepare`) unless one of this image is set."""
        return self.prepare()

    @hierarchy.setter
    def hierarchy(self, known: Hierarchy) -> None:
        self._hierarchy, self._region, self._preview = known, None, None

    def prepare(self, cancel: Callable[[], bool] | None = None) -> Hierarchy:
        """Compute what region tools need, e.g. on a thread after the prediction; later calls return at once.

        Raises:
            Cancelled: ``cancel`` returned True; a later call begins again.
        """
        with self._building:
            if self._hierarchy is None:
                self._hierarchy = build_hierarchy(self._rgb, self._probabilities, cancel)
            return self._hierarchy

    # Components

    def component_mask(self, x: float, y: float) -> tuple[Box, Mask]:
        """The component of equal labels under a point: its box and (height, width) bool mask, not to be changed."""
        return self._component_under(*check_point(x, y, self._size))

    def component_at(self, x: float, y: float, cls: int | None = None) -> Proposal | None:
        """Give the component of equal labels under a point another class; None if it has it, or if no class is second."""
        box, mask = self._component_under(*check_point(x, y, self._size))
        return self._reclassified(box, mask, self._class_or_guess(cls, box, mask))

    def dissolve_at(self, x: float, y: float) -> Proposal | None:
        """Give the component under a point to the class that surrounds it most; None if no class touches it."""
        box, mask = self._component_under(*check_point(x, y, self._size))
        return self._reclassified(box, mask, components.surrounding_class(self.labels, box, mask, self.catalog.ignore))

    def fill_holes(self, cls: int, max_px: int) -> Proposal | None:
        """Give a class the regions that it encloses, those of at most ``max_px`` pixels (1 or more)."""
        self._check_class(cls)
        found = components.holes(self.labels, cls, at_least_one(max_px, message("size of a hole")))
        return None if found is None else self._reclassified(*found, cls)

    def drop_islands(self, min_px: int, cls: int | None = None) -> Proposal | None:
        """Give every component of fewer than ``min_px`` pixels to the class that surrounds it most; ``cls`` None: of all
        classes.
        """
        if cls is not None:
            self._check_class(cls)
        found = components.islands(self.labels, at_least_one(min_px, message("size of an island")), cls, self.catalog.ignore)
        return None if found is None else Proposal.within(self._size, *found, Provenance.RECLASSIFIED)

    def keep_largest(self, cls: int | None = None) -> Proposal | None:
        """Give all components of a class but the largest to the classes that surround them most; ``cls`` None: of every class."""
        if cls is not None:
            self._check_class(cls)
        found = components.all_but_largest(self.labels, cls, self.catalog.ignore)
        return None if found is None else Proposal.within(self._size, *found, Provenance.RECLASSIFIED)

    def component_sizes(self, cls: int | None = None) -> NDArray[np.int64]:
        """Pixels of every component, rising: how many :meth:`drop_islands` looks at for any limit is one ``searchsorted``."""
        if cls is not None:
            self._check_class(cls)
        return components.component_sizes(self.labels, cls, self.catalog.ignore)

    def split(self, path: Points, cls: int | None = None, at: tuple[float, float] | None = None) -> Proposal | None:
        """Cut a component with a path, and give the part with the point ``at`` (or the smaller one) a class.

        It is the component that holds ``at``, or the one in the middle of the path, or else the one that most of the path
        crosses; None if nothing is cut off. Both parts are components afterwards; the pixels under the path go to the rest.
        """
        xs, ys = path_pixels(check_path(path, self._size), self._size)
        pointed = None if at is None else check_point(*at, self._size)
        middle = int(xs[xs.size // 2]), int(ys[ys.size // 2])
        candidates = [components.component_of(self.labels, *(pointed or middle))]
        if pointed is None:
            candidates += components.crossed(self.labels, xs, ys)
        for box, mask in candidates:
            found = components.split_part(box, mask, (xs, ys), pointed)
            if found is not None:
                return self._reclassified(*found, self._class_or_guess(cls, *found))
        return None

    def merge(self, first: tuple[float, float], second: tuple[float, float]) -> Proposal | None:
        """Join the components under two points: the second gets the first one's class, and so does the gap between them.

        None if they are one component, or if the first is void.
        """
        one, two = (check_point(*point, self._size) for point in (first, second))
        cls = int(self.labels[one[1], one[0]])
        begin, end = (components.component_of(self.labels, *point) for point in (one, two))
        if cls == self.catalog.ignore or (begin[0].holds(Box(*two, 1, 1)) and begin[1][two[1] - begin[0].y, two[0] - begin[0].x]):
            return None
        gap = components.bridge(begin, end)
        box = end[0] if gap is None else end[0].united(gap[0])
        mask = placed(end[1], end[0], box)
        if gap is not None:
            mask |= placed(gap[1], gap[0], box)
        return self._reclassified(box, mask & (self.labels[box.slices] != cls), cls)

    def grow(self, px: int, cls: int, mask: Mask | None = None) -> Proposal | None:
        """Let a class grow by ``px``, in ``mask`` ((H, W) bool) only, if given: what is the class inside of it grows."""
        found = components.grown(self.labels, self._check_outline(px, cls, mask), cls, mask)
        return None if found is None else Proposal.within(self._size, *found, cls, Provenance.USER)

    def shrink(self, px: int, cls: int, mask: Mask | None = None) -> Proposal | None:
        """Let a class shrink by ``px``; what it loses takes the nearest other class."""
        found = components.shrunk(self.labels, self._check_outline(px, cls, mask), cls, mask, self.catalog.ignore)
        return None if found is None else Proposal.within(self._size, *found, Provenance.USER)

    def smooth(self, px: int, cls: int | None = None, mask: Mask | None = None) -> Proposal | None:
        """Smooth the outline of a class, or of all classes: what is thinner than about ``px`` disappears, outside and inside."""
        found = components.smoothed(self.labels, self._check_outline(px, cls, mask), cls, mask, self.catalog.ignore)
        return None if found is None else Proposal.within(self._size, *found, Provenance.USER)

    # Regions

    def region_at(self, x: float, y: float, level: int, cls: int | None = None) -> Proposal | None:
        """Give the region under a point a class; ``level`` 0 (fine) to 11 (coarse). None if every pixel of it has the class."""
        node = self.hierarchy.node_at(*check_point(x, y, self._size), check_level(level))
        return self._reclassified(*self._region_of(node, level), self._region_class(cls, np.array([node]), level))

    def regions_along(self, path: Points, level: int, cls: int | None = None) -> Proposal | None:
        """Give all regions that a path crosses one class."""
        xs, ys = path_pixels(check_path(path, self._size), self._size)
        nodes = self.hierarchy.nodes_of(xs, ys, check_level(level))
        return self._reclassified(*self.hierarchy.mask(nodes, level), self._region_class(cls, nodes, level))

    def region_preview(self, x: float, y: float, level: int) -> RegionPreview:
        """The region under a point, to be outlined while the pointer moves; the same object as long as it is the same region."""
        hierarchy = self.hierarchy
        key = hierarchy.node_at(*check_point(x, y, self._size), check_level(level)), level
        if self._preview is None or self._preview[0] != key:
            self._preview = key, RegionPreview(*hierarchy.small_mask(*key), hierarchy.image_pixels(key[0]))
        return self._preview[1]

    def regions_preview(self, path: Points, level: int) -> RegionPreview:
        """All regions that a path crosses, to be outlined while it is drawn."""
        xs, ys = path_pixels(check_path(path, self._size), self._size)
        hierarchy = self.hierarchy
        nodes = hierarchy.nodes_of(xs, ys, check_level(level))
        box, mask = hierarchy.small_mask(nodes, level)
        return RegionPreview(box, mask, sum(map(hierarchy.image_pixels, nodes.tolist())))

    def region_mask(self, x: float, y: float, level: int) -> tuple[Box, Mask]:
        """The region under a point: its box and (height, width) bool mask, not to be changed."""
        return self._region_of(self.hierarchy.node_at(*check_point(x, y, self._size), check_level(level)), level)

    def region_guess(self, path: Points, level: int, but: Collection[int] = ()) -> int | None:
        """The class that :meth:`regions_along` gives without one; the best one that is not among ``but``."""
        xs, ys = path_pixels(check_path(path, self._size), self._size)
        return self._region_class(None, self.hierarchy.nodes_of(xs, ys, check_level(level)), level, but)

    def next_level(self, x: float, y: float, level: int, step: int) -> int:
        """The next coarser (``step`` 1) or finer (-1) level at which the region under a point changes by a fifth of its size."""
        return self.hierarchy.next_level(*check_point(x, y, self._size), check_level(level), 1 if step > 0 else -1)

    # Lines

    def scribble(self, path: Points, cls: int, reach: float, diameter: float = 1) -> Proposal | None:
        """Turn pixels of the class under the path's beginning into ``cls``, as far as the image suggests that they belong to
        the path.

        A CRF of these two classes decides, within about two ``reach`` (px) of the path; pixels of other classes and those that
        the user painted stay as they are. If the path begins on ``cls`` itself, it takes from the class that it crosses most.
        None if it crosses nothing but ``cls``, void and painted pixels. ``diameter`` is that of the brush that draws it.
        """
        self._check_class(cls)
        if not 0 < diameter <= _FARTHEST_REACH:
            wide = message("a brush is {diameter:g} px wide", diameter=diameter)
            raise AtrousError(wide, remedy=message("Give a number of px above 0"))
        if not 0 < reach <= _FARTHEST_REACH:
            far = message("a scribble reaches {reach:g} px", reach=reach)
            raise AtrousError(far, remedy=message("Give a number of px above 0, e.g. 12, 30 or 70"))
        xs, ys = path_pixels(check_path(path, self._size), self._size)
        other = self._other_class(xs, ys, cls)
        if other is None:
            return None
        box, line = thick_line(xs, ys, diameter, self._size)
        channels = self.catalog.index_of(cls), self.catalog.index_of(other)
        outer, turned = self._scribbles.spread(
            self.labels, self.provenance, line, box, cls, other, channels, reach
        )  # fmt: skip
        stroke = placed(line, box, outer) & (self.labels[outer.slices] == other)
        sources = np.zeros(self._size, np.uint8)
        sources[outer.slices] = np.where(stroke, np.uint8(Provenance.USER), np.uint8(Provenance.CRF))
        return Proposal.within(self._size, outer, turned | stroke, cls, sources)

    def snap_border(self, x: float, y: float, band: int, by: SnapMethod = "colours") -> Proposal | None:
        """Move the outline of the component under a point to the image's edges, by at most ``band`` px.

        ``by`` "colours" compares the colours on both sides (GrabCut), "edges" floods the band from both sides until they meet
        (watershed), "smooth" looks at no image. What the component loses takes the nearest other class. Void and pixels that the
        user painted stay as they are. None if nothing moves.
        """
        column, row = check_point(x, y, self._size)
        cls = int(self.labels[row, column])
        if cls == self.catalog.ignore:
            return None
        return self._snapped(*self._component_under(column, row), cls, band, by, drawn=False)

    def snap_outline(self, path: Points, cls: int, band: int, by: SnapMethod = "colours") -> Proposal | None:
        """Give what a closed path holds a class, with the outline moved to the image's edges by at most ``band`` px.

        What has the class inside the path and beyond the outline takes the nearest other class. Pixels outside of the path that
        the user painted stay as they are. None if no pixel changes.
        """
        self._check_class(cls)
        box, mask = polygon_mask(check_path(path, self._size), self._size)
        return self._snapped(box, mask, cls, band, by, drawn=True) if mask.any() else None

    def lasso(self, path: Points, cls: int, snap: float = 0) -> Proposal | None:
        """Give the inside of a closed path a class; its ends are joined by a line.

        ``snap`` moves the path to the image's edges first, by at most so many px (:meth:`snapped`). None if no pixel inside
        changes.
        """
        self._check_class(cls, void=True)
        points = self.snapped(path, snap) if snap else check_path(path, self._size)
        box, mask = polygon_mask(points, self._size)
        if not mask.any() or (self.labels[box.slices][mask] == cls).all():
            return None
        return Proposal.within(self._size, box, mask, cls, Provenance.USER)

    def snapped(self, path: Points, snap: float) -> NDArray[np.float64]:
        """(M, 2) float64: a closed path moved to the image's edges by at most ``snap`` px, to be shown while it is drawn."""
        points = check_path(path, self._size)
        if not 0 < snap <= _WIDEST_SNAP:
            raise AtrousError(
                message("a lasso snaps over {snap:g} px", snap=snap),
                remedy=message("Give a number of px above 0, at most {most}", most=_WIDEST_SNAP),
            )
        return snapping.snapped_path(self._rgb, points, snap) if len(points) > 2 else points

    # Clicks

    def click(
        self,
        points: Points,
        positive: Sequence[bool],
        cls: int,
        box: tuple[float, float, float, float] | None = None,
    ) -> list[Proposal] | None:
        """What the click model makes of clicks, a box (left, top, right, bottom), or both, best first; None without a model.

        Candidates that change nothing are left out; see :meth:`merge_clicks`.
        """
        self._check_class(cls)
        if self._click_model is None:
            return None
        clicks = check_clicks(points, positive, box, self._size)
        masks = self._click_model.masks(self._rgb, clicks.points, clicks.positive, clicks.box, self.labels == cls)
        return self.merge_clicks(masks, points, positive, cls, box)

    def merge_clicks(
        self,
        masks: Sequence[Mask],
        points: Points,
        positive: Sequence[bool],
        cls: int,
        box: tuple[float, float, float, float] | None = None,
    ) -> list[Proposal]:
        """What of a click model's masks is taken, best first: :meth:`click` where the model runs elsewhere.

        Only the regions change that hold a click (progressive merge, FocalClick, arXiv 2204.02574): a positive one adds, a
        negative one takes away, and a box adds the regions that reach into it. What is taken away goes to the nearest other
        class. Pixels that the user painted stay.
        """
        self._check_class(cls)
        clicks = check_clicks(points, positive, box, self._size)
        return offers(masks, clicks, cls, self.labels, painted(self.provenance), self.catalog.ignore)

    # Changing

    def guess(self, mask: Mask, box: Box | None = None, but: Collection[int] = ()) -> int | None:
        """The class that a region most likely is, other than those of ``but`` and the one that most of its pixels have now.

        By the mean of the scores over the region: the network's second guess where the label is its first. Without scores the
        class that surrounds the region most. None if there is no other class, or no pixel. ``mask`` is (H, W), or (height,
        width) in a ``box``.
        """
        check_mask(mask, self._size if box is None else box.size)
        if box is None:
            box = Proposal(mask, 0, 0).bounds
            mask = mask[box.slices]
        return None if box.empty else self._guessed(box, mask, but)

    def apply(self, proposal: Proposal) -> Patch:
        """Change the labels as a proposal says, and nothing outside of its mask.

        Pixels that the user had painted stay the user's where the proposal only gives a class (:attr:`Provenance.RECLASSIFIED`).

        Raises:
            AtrousError: the proposal is of another image, or its ids are not the catalog's.
        """
        check_mask(proposal.mask, self._size)
        for value in proposal.given_ids():
            self._check_class(value, void=True)
        patch = proposal.patch(self.labels, self.provenance)
        self._write(patch)
        return patch

    def update(self, patch: Patch) -> None:
        """Take over a change that was made elsewhere, or take one back (:meth:`Patch.inverted`).

        Raises:
            AtrousError: it does not fit into the image.
        """
        box = patch.box
        if not Box.whole(self._size).holds(box) or patch.after.shape != (box.height, box.width):
            raise AtrousError(
                message("a change is outside of the image"), remedy=message("Make a new corrector for an image of another size")
            )
        self._write(patch)

    def forget(self) -> None:
        """The shared labels have changed: forget what was found in them."""
        self._component = None

    def _write(self, patch: Patch) -> None:
        self.labels[patch.box.slices] = patch.after
        self.provenance[patch.box.slices] = patch.provenance_after
        self.forget()

    # What tools share

    def _component_under(self, column: int, row: int) -> tuple[Box, Mask]:
        """The component that holds a pixel; that of the last question again while the pointer stays on it."""
        if self._component is not None:
            box, mask = self._component
            x, y = column - box.x, row - box.y
            if 0 <= x < box.width and 0 <= y < box.height and mask[y, x]:
                return box, mask
        self._component = components.component_of(self.labels, column, row)
        return self._component

    def _region_of(self, node: int, level: int) -> tuple[Box, Mask]:
        if self._region is None or self._region[0] != (node, level):
            self._region = ((node, level), *self.hierarchy.mask(node, level))
        return self._region[1], self._region[2]

    def _reclassified(self, box: Box, mask: Mask, cls: int | None) -> Proposal | None:
        if cls is None or not (mask & (self.labels[box.slices] != cls)).any():
            return None
        return Proposal.within(self._size, box, mask, cls, Provenance.RECLASSIFIED)

    def _class_or_guess(self, cls: int | None, box: Box, mask: Mask, but: Collection[int] = ()) -> int | None:
        if cls is None:
            return self._guessed(box, mask, but)
        self._check_class(cls, void=True)
        return cls

    def _region_class(self, cls: int | None, nodes: NDArray[Any], level: int, but: Collection[int] = ()) -> int | None:
        if cls is not None:
            self._check_class(cls, void=True)
            return cls
        labels, box, mask = self.hierarchy.sampled(self.labels, nodes, level)
        if self._probabilities is None:
            return self._surrounding_but(labels, box, mask, but)
        weights = self.hierarchy.probabilities[nodes] * self.hierarchy.pixels[nodes][:, None]
        return self._best_but(components.main_class(labels, box, mask), weights.sum(axis=0), but)

    def _guessed(self, box: Box, mask: Mask, but: Collection[int]) -> int | None:
        if self._probabilities is None:
            return self._surrounding_but(self.labels, box, mask, but)
        return self._best_but(components.main_class(self.labels, box, mask), self._probabilities.mean(box, mask), but)

    def _surrounding_but(self, labels: LabelMap, box: Box, mask: Mask, but: Collection[int]) -> int | None:
        but = components.main_class(labels, box, mask), *but
        return components.surrounding_class(labels, box, mask, self.catalog.ignore, but)

    def _best_but(self, present: int, weights: NDArray[np.float64], but: Collection[int]) -> int | None:
        """The class of the largest weight, other than that of most pixels now; of equals the first of the catalog."""
        left = [(-float(weight), n) for n, weight in enumerate(weights) if self.catalog.classes[n].id not in (present, *but)]
        return self.catalog.classes[min(left)[1]].id if left else None

    def _snapped(self, box: Box, mask: Mask, cls: int, band: int, by: SnapMethod, *, drawn: bool) -> Proposal | None:
        outer, snapped = snapping.moved_mask(self._rgb, box, mask, at_least_one(band, message("width of a band")), by)
        current, wide, free = self.labels[outer.slices], placed(mask, box, outer), ~painted(self.provenance[outer.slices])
        known = current != self.catalog.ignore
        gained = snapped & (current != cls) & (wide | free if drawn else free & known)
        lost = wide & ~snapped & free & (current == cls)
        given = components.given_to_nearest(self.labels, outer, lost, current == cls, self.catalog.ignore)
        source = Provenance.RECLASSIFIED if drawn else Provenance.CRF
        if given is None:
            return Proposal.within(self._size, outer, gained, cls, source)
        ids = np.where(gained, self.labels.dtype.type(cls), given[2])
        return Proposal.within(self._size, outer, gained | given[1], ids, source)

    def _other_class(self, xs: NDArray[np.int64], ys: NDArray[np.int64], cls: int) -> int | None:
        """The class that a scribble takes from: that under its beginning, or the one it crosses most; never void or painted
        pixels.
        """
        free = ~painted(self.provenance[ys, xs])
        under = self.labels[ys, xs]
        candidates = under[free & (under != cls) & (under != self.catalog.ignore)]
        if not candidates.size:
            return None
        first = int(under[0])
        if free[0] and first not in (cls, self.catalog.ignore):
            return first
        return int(value_counts(candidates.reshape(1, -1)).argmax())

    def _check_outline(self, px: int, cls: int | None, mask: Mask | None) -> int:
        if cls is not None:
            self._check_class(cls)
        if mask is not None:
            check_mask(mask, self._size)
        return at_least_one(px, message("number of px"))

    def _check_class(self, cls: int, *, void: bool = False) -> None:
        if not (void and cls == self.catalog.ignore):
            self.catalog.index_of(cls)


#: A lasso snaps, and a scribble reaches, over at most so many px.
_WIDEST_SNAP, _FARTHEST_REACH = 100, 10_000
