"""What a tool offers, what applying it changed, and what a click model has to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from deeplab_core.correction.checks import sides
from deeplab_core.errors import AtrousError, message
from deeplab_core.geometry import Box
from deeplab_core.labels import LabelMap, Provenance, painted
from deeplab_core.regions import Mask


@dataclass(frozen=True, slots=True, eq=False)
class Proposal:
    """What a tool would change. Nothing outside of the mask changes.

    Attributes:
        mask: (H, W) bool.
        labels: class id of all pixels of the mask, or (H, W) ids of which only those of the mask count.
        provenance: 0..255 of all pixels of the mask, see :class:`Provenance`; or (H, W) uint8 of which only the mask counts.
        box: holds all pixels of the mask; None finds it.
    """

    mask: NDArray[np.bool_]
    labels: int | LabelMap
    provenance: int | NDArray[np.uint8]
    box: Box | None = None

    @classmethod
    def within(
        cls,
        shape: tuple[int, int],
        box: Box,
        mask: NDArray[np.bool_],
        labels: int | LabelMap,
        provenance: int | NDArray[np.uint8],
    ) -> Self | None:
        """A proposal from a mask, and labels if they are an array, of (height, width) in a box; None if it holds no pixel.

        A provenance that is an array has the image's size.
        """
        if not mask.any():
            return None
        whole = np.zeros(shape, np.bool_)
        whole[box.slices] = mask
        if not isinstance(labels, int):
            ids = np.zeros(shape, labels.dtype)
            ids[box.slices] = labels
            labels = ids
        return cls(whole, labels, int(provenance) if isinstance(provenance, int) else provenance, box)

    @property
    def bounds(self) -> Box:
        """A box that holds all pixels of the mask; an empty one for an empty mask."""
        if self.box is not None:
            return self.box
        return Box.around(self.mask) or Box(0, 0, 0, 0)

    def given_ids(self) -> list[int]:
        """The labels that it gives, rising.

        Raises:
            AtrousError: they are of an image of another size.
        """
        if isinstance(self.labels, int):
            return [self.labels]
        if self.labels.shape != self.mask.shape:
            raise AtrousError(
                message("labels of {size} px do not fit", size=sides(self.labels)),
                remedy=message("Pass labels of the image's size"),
            )
        place = self.bounds.slices
        return [int(value) for value in np.unique(self.labels[place][self.mask[place]])]

    def patch(self, labels: LabelMap, provenance: NDArray[np.uint8]) -> Patch:
        """What it makes of (H, W) labels and who set them; pixels that the user painted stay the user's."""
        box = self.bounds
        place = box.slices
        mask = self.mask[place]
        before, sources = labels[place].copy(), provenance[place].copy()
        given = labels.dtype.type(self.labels) if isinstance(self.labels, int) else self.labels[place]
        after = np.where(mask, given, before).astype(before.dtype)
        by = np.uint8(self.provenance) if isinstance(self.provenance, int) else self.provenance[place]
        new = np.broadcast_to(by, mask.shape)
        kept = painted(sources) & (new == Provenance.RECLASSIFIED)
        return Patch(box, before, after, sources, np.where(mask & ~kept, new, sources))

    def only(self, where: NDArray[np.bool_]) -> Proposal | None:
        """The part of it in an (H, W) bool, e.g. where one class is now; None if nothing is left."""
        box = self.bounds
        mask = np.zeros_like(self.mask)
        np.logical_and(self.mask[box.slices], where[box.slices], out=mask[box.slices])
        return Proposal(mask, self.labels, self.provenance, box) if mask[box.slices].any() else None


@dataclass(frozen=True, slots=True, eq=False)
class Patch:
    """What :meth:`~deeplab_core.correction.Corrector.apply` changed, so that it can be taken back.

    Attributes:
        box: where; an empty one if nothing changed.
        before, after: (height, width) labels of the box.
        provenance_before, provenance_after: (height, width) uint8 of the box.
    """

    box: Box
    before: LabelMap
    after: LabelMap
    provenance_before: NDArray[np.uint8]
    provenance_after: NDArray[np.uint8]

    @property
    def changed_pixels(self) -> int:
        """How many labels differ between before and after."""
        return int(np.count_nonzero(self.before != self.after))

    def inverted(self) -> Patch:
        """The patch that takes this one back."""
        return Patch(self.box, self.after, self.before, self.provenance_after, self.provenance_before)


class ClickModel(Protocol):
    """A network that turns clicks into masks. It keeps what it computes of an image once."""

    def masks(
        self,
        rgb: NDArray[np.uint8],
        points: NDArray[np.float64],
        positive: NDArray[np.bool_],
        box: tuple[float, float, float, float] | None,
        previous: Mask,
    ) -> Sequence[Mask]:
        """Candidates, best first.

        Args:
            rgb: (H, W, 3) uint8.
            points: (N, 2) x and y of the clicks, in their order.
            positive: (N,) bool: on the object, or beside it.
            box: left, top, right, bottom around the object, if it was drawn.
            previous: (H, W) bool, what is the class now.

        Returns:
            (H, W) bool each.
        """


@dataclass(frozen=True, slots=True, eq=False)
class RegionPreview:
    """A region as it is drawn under the pointer, at the scale at which regions are computed.

    Attributes:
        box: in image px.
        mask: (h, w) bool over the box; smaller than the box for images above a megapixel.
        pixels: of the region in the image; an estimate for images above a megapixel.
    """

    box: Box
    mask: Mask
    pixels: int
