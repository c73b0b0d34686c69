"""Two-class scribble and border snap: both are shown before they become a step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from PySide6.QtCore import QObject

from app.controllers.annotate.corrections import CorrectionsController, Target, TargetSource
from app.services.calls import Call, LatestCall
from app.services.jobs import LatestWork
from app.services.services import Services
from app.state.tools import Tool
from app.text import mark, tr
from app.viewmodels.annotate.class_rows import class_name
from app.worker.correction_messages import AskScribble, Scribbled
from app.worker.messages import URGENT
from deeplab_core.correction.components import SMOOTHNESS
from deeplab_core.correction.proposal import Proposal
from deeplab_core.correction.scribble import REACHES, needed_box
from deeplab_core.correction.snapping import BANDS, FLOODED, SnapMethod
from deeplab_core.errors import AtrousError, message
from deeplab_core.geometry import polygon_mask
from deeplab_core.learning import PackedLabels

Point = tuple[float, float]

#: Points that an outline has at least.
_LEAST_POINTS = 3


@dataclass(slots=True, eq=False)
class _Stroke:
    """A scribble that is drawn, or waits for its answer after the button went up."""

    path: tuple[Point, ...]
    cls: int
    diameter: float
    ended: bool = False


class ScribbleLines(TargetSource):
    """The two-class scribble: a stroke and what it would turn into its class, with the reach on the wheel.

    Attributes:
        target: what the stroke would change; None if nothing, or before the first answer.
    """

    def __init__(self, services: Services, corrections: CorrectionsController, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._corrections, self._edit = corrections, corrections.edit
        self._compute, self._notifier = services.compute, services.notifier
        self._call = LatestCall()
        self._level = REACHES.index(30)
        self._stroke: _Stroke | None = None
        self._answered: tuple[tuple[Point, ...], float] | None = None
        self._proposal: Proposal | None = None
        self._edit.documentChanged.connect(self.drop)

    @property
    def reach(self) -> float:
        """How far a stroke is believed, px of the image."""
        return REACHES[self._level]

    @property
    def drawing(self) -> bool:
        """Whether a stroke is drawn or waits for its answer."""
        return self._stroke is not None

    def draw(self, path: Sequence[Point]) -> None:
        """The stroke has come so far: show what it would change."""
        document = self._edit.document
        inside = tuple(point for point in path if self._corrections.inside(point) is not None)
        if document is None or not inside or (self._stroke is not None and self._stroke.ended):
            return
        if self._stroke is None:
            if self._edit.ready() is None or self._edit.refuses(document, self._edit.tools.class_id):
                return
            if self._edit.tools.class_id == document.catalog.ignore:
                self._notifier.info(tr("A scribble needs a class: unlabelled is none"), "", replace_key="correction")
                return
            self._edit.commit_stroke()
            self._stroke = _Stroke(inside, self._edit.tools.class_id, self._edit.tools.diameter)
        self._stroke.path = inside
        self._ask()

    def turn(self, steps: int) -> None:
        """Reach farther (positive) or less far."""
        self._level = min(max(self._level + steps, 0), len(REACHES) - 1)
        if self._stroke is not None:
            self._ask()
            self.targetChanged.emit()

    def end(self) -> None:
        """The button went up: the stroke becomes a step, now or when the answer comes."""
        stroke = self._stroke
        if stroke is None:
            return
        stroke.ended = True
        if self._answered == (stroke.path, self.reach):
            self._apply()
        else:
            self._ask()

    def drop(self) -> bool:
        """Forget the stroke; whether there was one."""
        had, self._stroke = self._stroke is not None, None
        self._call.stop()
        self._proposal = self._answered = None
        self._show(None)
        return had

    def _ask(self) -> None:
        self._call.ask(self._submit, interruptible=False)

    def _submit(self) -> Call[Scribbled] | None:
        stroke, document, base = self._stroke, self._edit.document, self._corrections.base()
        if stroke is None or document is None or base is None:
            return None
        reach = self.reach
        part = needed_box(stroke.path, stroke.diameter, reach, document.shape)
        request = AskScribble(
            priority=URGENT, base=base, path=stroke.path, cls=stroke.cls, reach=reach, diameter=stroke.diameter, part=part,
            labels=PackedLabels.of(document.labels[part.slices]), provenance=PackedLabels.of(document.provenance[part.slices]),
        )  # fmt: skip
        return self._compute.submit(request).on(
            done=lambda answer: self._take(answer, stroke, (request.path, reach)), failed=self._fail
        )

    def _take(self, answer: Scribbled, stroke: _Stroke, asked: tuple[tuple[Point, ...], float]) -> None:
        document = self._edit.document
        if self._stroke is not stroke or document is None:
            return
        self._answered, self._proposal = asked, None
        if answer.mask is None or answer.sources is None:
            self._show(None)
        else:
            mask = answer.mask.unpacked().astype(np.bool_)
            sources = np.zeros(document.shape, np.uint8)
            sources[answer.box.slices] = answer.sources.unpacked()
            self._proposal = Proposal.within(document.shape, answer.box, mask, stroke.cls, sources)
            self._show(self._corrections.limited(Target(answer.box, mask, int(mask.sum()), (), stroke.cls)))
        if stroke.ended and asked == (stroke.path, self.reach):
            self._apply()

    def _apply(self) -> None:
        stroke, proposal, document = self._stroke, self._proposal, self._edit.document
        self.drop()
        if stroke is None or document is None:
            return
        name = message("Scribble: {painted}", painted=class_name(document.catalog, stroke.cls))
        if not self._corrections.apply(name, proposal):
            self._notifier.info(
                tr("The scribble changes nothing"),
                tr("It takes pixels of the class where it begins, and none that you painted."),
                replace_key="correction",
            )

    def _fail(self, error: AtrousError) -> None:
        self.drop()
        self._notifier.report(error, replace_key="correction")


class BorderChange(NamedTuple):
    """A way to move an outline: ``text`` says it with its number of px."""

    by: Literal["smooth"] | SnapMethod
    px: int

    @property
    def text(self) -> str:
        """For the user, beside the pointer."""
        return tr(_BORDER_TEXTS[self.by], px=self.px)


_BORDER_TEXTS = {
    "smooth": mark("Smooth: {px} px"),
    "edges": mark("To edges within {px} px"),
    "colours": mark("By colours within {px} px"),
}
#: What the wheel goes through, from the least to the farthest of each kind.
BORDER_CHANGES = (
    *(BorderChange("smooth", px) for px in SMOOTHNESS),
    *(BorderChange("edges", px) for px in FLOODED),
    *(BorderChange("colours", px) for px in BANDS),
)


class BorderSnap(TargetSource):
    """Border snap: an outline, smoothed or at edges of the image, shown until it is accepted.

    It is the outline of the component under a click, or one that was drawn around an object of the selected class.

    Attributes:
        target: the object with its new outline; None while none is shown.
    """

    def __init__(self, services: Services, corrections: CorrectionsController, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._corrections, self._edit, self._notifier = corrections, corrections.edit, services.notifier
        self._work = LatestWork(services.jobs, services.notifier.report_or_raise)
        self._level = BORDER_CHANGES.index(BorderChange("edges", 8))
        self._path: tuple[Point, ...] = ()
        self._cls = 0
        self._revision = -1
        self._proposal: Proposal | None = None
        self._edit.documentChanged.connect(self.drop)
        self._edit.tools.changed.connect(self._follow_tool)

    @property
    def change(self) -> BorderChange:
        """How the outline moves."""
        return BORDER_CHANGES[self._level]

    @property
    def open(self) -> bool:
        """Whether a new outline is shown, or computed."""
        return bool(self._path)

    def show(self, x: float, y: float) -> None:
        """Show the outline of the component at a place as it would be."""
        document = self._edit.ready()
        place = self._corrections.inside((x, y))
        if document is None or place is None:
            return
        self._edit.commit_stroke()
        cls = int(document.labels[int(y), int(x)])
        if self._edit.refuses(document, cls):
            return
        if cls == document.catalog.ignore:
            self._notifier.info(tr("Unlabelled pixels have no outline to move"), "", replace_key="correction")
            return
        self._path, self._cls = (place,), cls
        self._ask()

    def show_outline(self, path: Sequence[Point]) -> None:
        """Show an outline that was drawn around an object of the selected class as it would be."""
        document, cls = self._edit.ready(), self._edit.tools.class_id
        if document is None or len(path) < _LEAST_POINTS or self._edit.refuses(document, cls):
            return
        if cls == document.catalog.ignore:
            self._notifier.info(tr("Border snap needs a class: unlabelled is none"), "", replace_key="correction")
            return
        self._edit.commit_stroke()
        self._path, self._cls = tuple(path), cls
        self._ask()

    def turn(self, steps: int) -> None:
        """The next (positive) or the previous way to move the outline."""
        self._level = min(max(self._level + steps, 0), len(BORDER_CHANGES) - 1)
        if self._path:
            self._ask()

    def accept(self) -> bool:
        """Make what is shown a step; whether something was shown."""
        path, proposal, document = self._path, self._proposal, self._edit.document
        if not path or document is None or not self._work.idle:
            return bool(path)
        moved = document.revision != self._revision
        name = class_name(document.catalog, self._cls)
        self.drop()
        if not moved and not self._corrections.apply(message("Border snap: {name}", name=name), proposal):
            self._notifier.info(tr("The outline stays as it is"), "", replace_key="correction")
        return True

    def drop(self) -> bool:
        """Show nothing; whether something was shown."""
        had, self._path, self._proposal = bool(self._path), (), None
        self._work.stop()
        self._show(None)
        return had

    def _follow_tool(self) -> None:
        if self._edit.tools.tool is not Tool.SNAP:
            self.drop()
        elif len(self._path) > 1 and self._edit.tools.class_id != self._cls:
            self.show_outline(self._path)  # another class was selected for the object

    def _ask(self) -> None:
        corrector, path, change, document = self._corrections.corrector, self._path, self.change, self._edit.document
        if corrector is None or not path or document is None:
            return
        self._revision, cls = document.revision, self._cls

        def work() -> tuple[Proposal | None, Target]:
            if len(path) > 1:
                # What is inside and of the class already is no part of the proposal, and of the object all the same.
                box, mask = polygon_mask(path, corrector.size)
                mask &= corrector.labels[box.slices] == cls
                found = corrector.snap_outline(path, cls, change.px, change.by)
            else:
                box, mask = corrector.component_mask(*path[0])
                if change.by == "smooth":
                    whole = np.zeros(corrector.size, np.bool_)
                    whole[box.slices] = mask
                    found = corrector.smooth(change.px, cls, whole)  # the user's word: painted pixels change, too
                else:
                    found = corrector.snap_border(*path[0], change.px, change.by)
            outer = box if found is None else box.united(found.bounds)
            after = np.zeros(outer.size, np.bool_)
            after[box.within(outer).slices] = mask
            if found is not None:
                found = found.only(self._corrections.free(found))
            if found is not None:
                ids = found.labels if isinstance(found.labels, int) else found.labels[outer.slices]
                after = np.where(found.mask[outer.slices], ids == cls, after)
            lines = (change.text, tr("Alt+wheel: other ways"), tr("Click, Enter: apply"), tr("Esc: drop"))
            return found, Target(outer, after, int(after.sum()), lines, cls)

        self._work.ask(work, self._take)

    def _take(self, found: tuple[Proposal | None, Target]) -> None:
        if self._path:
            self._proposal = found[0]
            self._show(found[1])
