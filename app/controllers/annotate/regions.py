"""The Regions tool: the region of the image under the pointer, as coarse as the wheel says, and what is done with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject

from app.controllers.annotate.corrections import CorrectionsController, Target, TargetSource
from app.services.services import Services
from app.services.timers import single_shot
from app.state.tools import BandMode, Tool
from app.text import tr
from app.viewmodels.annotate.class_rows import class_name
from app.viewmodels.annotate.correction import Pointed
from deeplab_core.errors import message
from deeplab_core.geometry import Box

if TYPE_CHECKING:  # OpenCV comes with the first image
    from deeplab_core.correction import Corrector, RegionPreview

Point = tuple[float, float]

#: The level that a session begins with: some 120 regions in an image.
FIRST_LEVEL = 5
#: After a change of the labels the region under the pointer is looked at again, ms.
_SOON_MS = 30


class RegionsController(TargetSource):
    """Follows the pointer while the Regions tool is chosen.

    Attributes:
        level: 0 (fine) to 11 (coarse); stays from click to click and from image to image.
        target: the region under the pointer, or those that the drag has crossed; None if there is none.
    """

    def __init__(self, services: Services, corrections: CorrectionsController, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._corrections, self._edit, self._notifier = corrections, corrections.edit, services.notifier
        self.level = FIRST_LEVEL
        self._place: Point | None = None
        self._last: Point | None = None
        self._path: list[Point] = []
        self._shown: tuple[tuple[RegionPreview, int, int | None, frozenset[int]], Target] | None = None
        self._soon = single_shot(self, _SOON_MS, self._look)
        corrections.changed.connect(self._look_again)
        services.session.imageChanged.connect(lambda _image: self._leave_place())
        self._edit.tools.changed.connect(self._follow_tools)

    @property
    def _on(self) -> bool:
        return self._edit.tools.tool is Tool.REGIONS

    def hover(self, x: float | None, y: float | None) -> None:
        """The pointer is over this point in image px, or over none."""
        self._place = None if x is None or y is None else (x, y)
        self._last = self._place or self._last
        self._path = []
        self._look()

    def _leave_place(self) -> None:
        """Where the pointer left the image before says nothing about this one."""
        self._last = self._place

    def box_here(self) -> Box | None:
        """Box of the region under the pointer, or where it was, while the tool is chosen; None without one."""
        corrector, place = self._corrections.corrector, self._corrections.inside(self._last)
        known = self._on and corrector is not None and place is not None and self._corrections.regions_ready
        return corrector.region_preview(*place, self.level).box if known and corrector is not None and place is not None else None

    def turn(self, steps: int) -> None:
        """Go to coarser (positive) or finer regions, as far as the one under the pointer changes."""
        self.turn_at(self._corrections.inside(self._place), steps)
        self._look()

    def turn_at(self, place: Point | None, steps: int) -> None:
        """The same for the region at a place of the image."""
        corrector = self._corrections.corrector
        if corrector is None or place is None or not self._corrections.regions_ready:
            return
        for _ in range(abs(steps)):
            self.level = corrector.next_level(*place, self.level, 1 if steps > 0 else -1)

    def cross(self, path: Sequence[Point]) -> None:
        """The pointer is dragged along a path: outline all regions that it crosses, until it is over a point again."""
        self._path = list(path)
        corrector, inside = self._corrections.corrector, [point for point in path if self._corrections.inside(point) is not None]
        if corrector is None or not inside or not self._corrections.regions_ready:
            return
        found = corrector.regions_preview(inside, self.level)
        part = Target(found.box, found.mask, found.pixels, (), self._edit.tools.class_id)
        self._show(self._corrections.limited(part, inside[0], shape=True))

    def assign(self, path: Sequence[Point], *, guess: bool = False) -> None:
        """Give the regions along a path, or the one under a single point, the selected class, or what they most likely are."""
        self._path = []
        document, corrector = self._edit.ready(), self._corrections.corrector
        inside = [point for point in path if self._corrections.inside(point) is not None]
        if document is None or corrector is None or not inside:
            return
        if not self._corrections.regions_ready:
            self._corrections.ask()
            self._notifier.info(tr("The regions of this image are being computed"), "", replace_key="correction")
            return
        self._edit.commit_stroke()
        cls = None if guess else self._edit.tools.class_id
        if guess:
            cls = self._guess(corrector, inside)
        proposal = corrector.regions_along(inside, self.level, cls)
        if proposal is None:
            self._notifier.info(tr("There is no second guess for this region"), "", replace_key="correction")
            return
        assert isinstance(proposal.labels, int)
        given = class_name(document.catalog, proposal.labels)
        name = message("Regions: {name}", name=given) if len(inside) > 1 else message("Region: {name}", name=given)
        if not self._corrections.apply(name, proposal, start=inside[0]):
            self._notifier.info(tr("Nothing changed: the labels are there already"), "", replace_key="correction")

    def _guess(self, corrector: Corrector, path: Sequence[Point]) -> int | None:
        found, level = corrector.regions_preview(path, self.level), self.level
        part = Target(found.box, found.mask, found.pixels)
        return self._corrections.second_guess(part, lambda but: corrector.region_guess(path, level, but))

    def _look(self) -> None:
        self._soon.stop()
        if self._path and self._on:
            self.cross(self._path)
            return
        document, corrector, place = self._edit.document, self._corrections.corrector, self._corrections.inside(self._place)
        if document is None or corrector is None or place is None or not self._on or not self._corrections.regions_ready:
            self._show(None)
            return
        found = corrector.region_preview(*place, self.level)
        selected = self._edit.tools.class_id
        # What is said of a region, and what would change of it, is looked up once: a large one is half a million pixels.
        over = int(document.labels[int(place[1]), int(place[0])]) if self._edit.tools.within else None
        key = found, selected, over, document.locked
        if self._shown is None or self._shown[0] != key or self._edit.tools.band is not BandMode.OFF:
            at = Pointed(found.pixels, None, selected, self._guess(corrector, [place]), document.locked)
            self._shown = key, self._corrections.pointed(Target(found.box, found.mask, found.pixels), at, place)
        self._show(self._shown[1])

    def _follow_tools(self) -> None:
        self._shown = None
        self._look()

    def _look_again(self) -> None:
        self._shown = None  # labels or scores are others
        if self._on and not self._soon.isActive():
            self._soon.start()
