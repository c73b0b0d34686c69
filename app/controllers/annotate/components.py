"""The Components tool: the connected component of one class under the pointer, and what is done with it."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QObject

from app.controllers.annotate.classes import ClassesController
from app.controllers.annotate.corrections import CorrectionsController, Target, TargetSource
from app.services.jobs import LatestWork
from app.services.services import Services
from app.services.timers import single_shot
from app.state.document import Document
from app.state.tools import Tool
from app.text import tr
from app.viewmodels.annotate.class_rows import class_name
from app.viewmodels.annotate.correction import Pointed
from deeplab_core.errors import message
from deeplab_core.geometry import Box

Point = tuple[float, float]

#: On images of more pixels a component is found in the background.
_BACKGROUND_PIXELS = 4_000_000
#: After a change of the labels the component under the pointer is found again, ms.
_SOON_MS = 30


class ComponentsController(TargetSource):
    """Follows the pointer while the Components tool is chosen.

    Attributes:
        target: the component under the pointer; None if there is none.
    """

    def __init__(
        self, services: Services, corrections: CorrectionsController, classes: ClassesController, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._corrections, self._edit, self._notifier = corrections, corrections.edit, services.notifier
        self._work = LatestWork(services.jobs, services.notifier.report_or_raise)
        self._place: Point | None = None
        self._last: Point | None = None
        self._part: Target | None = None  # the whole component that was found last, and its second guess
        self._guess: int | None = None
        self._soon = single_shot(self, _SOON_MS, self._look)
        corrections.changed.connect(self._look_again)
        services.session.imageChanged.connect(lambda _image: self._leave_place())
        self._edit.tools.changed.connect(self._follow_tools)
        classes.keyChosen.connect(self._take_key)

    @property
    def _on(self) -> bool:
        return self._edit.tools.tool is Tool.COMPONENTS

    @property
    def place(self) -> Point | None:
        """Where the pointer is on the image, or was when it left it for a menu."""
        return self._corrections.inside(self._last)

    def _leave_place(self) -> None:
        """Where the pointer left the image before says nothing about this one."""
        self._last = self._place

    def box_here(self) -> Box | None:
        """Box of the component at :attr:`place` while the tool is chosen; None without one."""
        corrector, place = self._corrections.corrector, self.place
        return corrector.component_mask(*place)[0] if self._on and corrector is not None and place is not None else None

    def class_here(self) -> int:
        """The class at :attr:`place`; the selected one if that is nowhere."""
        document, place = self._edit.document, self.place
        if document is None or place is None:
            return self._edit.tools.class_id
        return int(document.labels[int(place[1]), int(place[0])])

    # -- the component under the pointer -----------------------------------------------------------------------------------

    def hover(self, x: float | None, y: float | None) -> None:
        """The pointer is over this point in image px, or over none."""
        self._place = None if x is None or y is None else (x, y)
        self._last = self._place or self._last
        self._look()

    def _look(self) -> None:
        self._soon.stop()
        document, corrector = self._edit.document, self._corrections.corrector
        place = self._corrections.inside(self._place)
        if place is None or document is None or corrector is None or not self._on or self._edit.busy:
            self._work.stop()
            self._show(None)
        elif document.labels.size <= _BACKGROUND_PIXELS:
            self._show(self._found(place))
        else:
            self._work.ask(lambda: self._found(place), self._show)

    def _found(self, place: Point) -> Target | None:
        """The target at a place; also called in the background."""
        document, corrector = self._edit.document, self._corrections.corrector
        if document is None or corrector is None:
            return None
        box, mask = corrector.component_mask(*place)
        selected = self._edit.tools.class_id
        present = int(document.labels[int(place[1]), int(place[0])])
        part, guess = self._part, self._guess
        if part is None or part.mask is not mask:
            part = Target(box, mask, int(mask.sum()))
            guess = self._corrections.second_guess(part, lambda but: corrector.guess(mask, box, but))
            self._part, self._guess = part, guess
        return self._corrections.pointed(part, Pointed(part.pixels, present, selected, guess, document.locked))

    def _look_again(self) -> None:
        """Labels, scores or image have changed."""
        if self._on and not self._soon.isActive():
            self._soon.start()

    def _follow_tools(self) -> None:
        self._look()

    # -- what is done with it ----------------------------------------------------------------------------------------------

    def reassign(self, x: float, y: float, *, guess: bool = False) -> None:
        """Give the component under a point the selected class, or its second guess."""
        self._give((x, y), None if guess else self._edit.tools.class_id)

    def take_guess(self) -> None:
        """Give the component under the pointer its second guess."""
        if self._pointed():
            self._give(self._place, None)

    def dissolve(self) -> None:
        """Give the component under the pointer to the class that surrounds it most."""
        document, place = self._changeable(self._place) if self._pointed() else None, self._corrections.inside(self._place)
        corrector = self._corrections.corrector
        if document is None or place is None or corrector is None:
            return
        proposal = corrector.dissolve_at(*place)
        if proposal is None:
            self._say(tr("No class surrounds this component"))
        elif not self._corrections.apply(message("Give to the surroundings"), proposal):
            self._say_nothing()

    def split(self, path: Sequence[Point]) -> None:
        """Cut the component that a line crosses, and give the smaller part the selected class, or the second guess."""
        corrector, document = self._corrections.corrector, self._edit.ready()
        if corrector is None or document is None or len(path) < 2:
            return
        self._edit.commit_stroke()
        selected = self._edit.tools.class_id
        proposal = corrector.split(path, selected) or corrector.split(path)
        if proposal is None:
            self._say(tr("The line cuts nothing off: draw it all the way across a component"))
            return
        name = class_name(document.catalog, proposal.labels) if isinstance(proposal.labels, int) else ""
        if not self._corrections.apply(message("Split: {name}", name=name), proposal):
            self._say_nothing()

    def merge(self, first: Point, second: Point) -> None:
        """Join two components: the second one, and the gap between them, get the class of the first."""
        corrector, document = self._corrections.corrector, self._changeable(self._corrections.inside(second))
        if corrector is None or document is None or self._corrections.inside(first) is None:
            return
        proposal = corrector.merge(first, second)
        name = class_name(document.catalog, int(document.labels[int(first[1]), int(first[0])]))
        if proposal is None:
            self._say(tr("Nothing to join: these are one component, or the first one is unlabelled"))
        elif not self._corrections.apply(message("Join: {name}", name=name), proposal):
            self._say_nothing()

    def _give(self, at: Point | None, cls: int | None) -> None:
        place = self._corrections.inside(at)
        document, corrector = self._changeable(place), self._corrections.corrector
        if document is None or corrector is None or place is None:
            return
        if cls is None:
            box, mask = corrector.component_mask(*place)
            part = Target(box, mask, int(mask.sum()))
            cls = self._corrections.second_guess(part, lambda but: corrector.guess(mask, box, but))
        if cls is None:
            self._say(tr("There is no second guess for this component"))
            return
        proposal = corrector.component_at(*place, cls)
        if proposal is None:
            return
        name = class_name(document.catalog, proposal.labels) if isinstance(proposal.labels, int) else ""
        self._corrections.apply(message("Component: {name}", name=name), proposal)

    def _changeable(self, place: Point | None) -> Document | None:
        """The document, if the component at a place may be changed; says why not."""
        document = self._edit.ready()
        if document is None or place is None:
            return None
        self._edit.commit_stroke()
        return None if self._edit.refuses(document, int(document.labels[int(place[1]), int(place[0])])) else document

    def _pointed(self) -> bool:
        """Whether the pointer is on a component; a message says if not."""
        there = self._corrections.inside(self._place) is not None
        if not there:
            self._say(tr("Point at a component first"))
        return there

    def _take_key(self, class_id: int) -> None:
        if self._on and self._corrections.inside(self._place) is not None:
            self._give(self._place, class_id)

    def _say_nothing(self) -> None:
        self._say(tr("Nothing changed: the labels are there already"))

    def _say(self, text: str) -> None:
        self._notifier.info(text, "", replace_key="correction")
