"""The correction tools' common ground: the corrector of the image in view, what the compute process adds to it, and one way in
which what they offer becomes a step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, Signal

from app.controllers.annotate.edit import EditController
from app.controllers.predict.models import ModelsController
from app.services.calls import Call, LatestCall
from app.services.services import Services
from app.services.session import OpenImage
from app.state.document import Document
from app.state.edits.limits import EditLimits, changing, refusal, writable
from app.state.edits.proposal import proposal_patch
from app.state.patch import TilePatch
from app.state.tools import CORRECTION_TOOLS
from app.text import tr
from app.viewmodels.annotate.correction import Pointed, pointed_lines
from app.worker.correction_messages import PrepareRegions, RegionsReady
from deeplab_core.errors import MessageText
from deeplab_core.geometry import Box
from deeplab_core.labels import LabelMap

if TYPE_CHECKING:  # OpenCV comes with the first image
    from deeplab_core.correction import Corrector, Proposal

#: Behind what the image in view is asked for, before a run over the folder.
_SOON = 5
#: So many parts that changed class are remembered, by so many of their pixels each.
_REMEMBERED, _PLACES = 64, 32
#: Classes of a project in which each class has one other.
_TWO = 2


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """What a tool would change, to be outlined over the picture.

    Attributes:
        box: in image px.
        mask: (h, w) bool over the box; it may be smaller than the box, then each of its pixels stands for several. If it holds no
            pixel, nothing is outlined and only ``lines`` are shown.
        pixels: of the image.
        lines: what is said of it beside the pointer, the first one in bold; empty says nothing.
        class_id: the class that it would get, for its tint; None tints nothing.
        ids: (h, w) the classes that its pixels would get, for their tints; None if it is one.
        changes: (h, w) bool, the pixels of the mask that would get another label, which are tinted; None if all would.
    """

    box: Box
    mask: NDArray[np.bool_]
    pixels: int
    lines: tuple[str, ...] = ()
    class_id: int | None = None
    ids: LabelMap | None = None
    changes: NDArray[np.bool_] | None = None


class TargetSource(QObject):
    """A feature that outlines what it would change.

    Attributes:
        target: what it is; None if there is none.

    Signals:
        targetChanged(): another one, or none.
    """

    targetChanged = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.target: Target | None = None

    def _show(self, target: Target | None) -> None:
        if target is not self.target:
            self.target = target
            self.targetChanged.emit()


@dataclass(frozen=True, slots=True, eq=False)
class _Taken:
    """A part of the image that the user took from a class, so that this class is not a second guess for it.

    Attributes:
        class_id: the class that most of it had.
        pixels: of it.
        rows, columns: of some of its pixels, in the image.
    """

    class_id: int
    pixels: int
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]

    @classmethod
    def of(cls, proposal: Proposal, document: Document) -> _Taken:
        """What a proposal takes from the labels as they are."""
        box = proposal.bounds
        mask = proposal.mask[box.slices]
        rows, columns = mask.nonzero()
        class_id = int(np.bincount(document.labels[box.slices][mask]).argmax())
        some = np.linspace(0, rows.size - 1, min(rows.size, _PLACES)).astype(np.int64)
        return cls(class_id, rows.size, rows[some] + box.y, columns[some] + box.x)

    def covers(self, target: Target) -> bool:
        """Whether most of a target is this part."""
        box, (height, width) = target.box, target.mask.shape
        rows, columns = (self.rows - box.y) * height // box.height, (self.columns - box.x) * width // box.width
        inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        there = int(np.count_nonzero(target.mask[rows[inside], columns[inside]]))
        return 2 * there * self.pixels > self.rows.size * target.pixels


class CorrectionsController(QObject):
    """Owns the :class:`~deeplab_core.correction.Corrector` of the image in view; it reads the document's own arrays.

    From the first use of a correction tool on, the compute process is asked for regions and class scores of every image after
    its prediction, or at once where none is to come. Until they come tools that need no regions work without scores.

    Signals:
        changed(): another image, regions or scores have come, or the labels, or what may be painted over, have changed: with
            every dab of a brush.
        prepared(): another image, or its regions and scores have come, or cannot be computed.
    """

    changed = Signal()
    prepared = Signal()

    def __init__(self, services: Services, models: ModelsController, edit: EditController, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session, self._compute, self._notifier = services.session, services.compute, services.notifier
        self._models, self.edit = models, edit
        self._call = LatestCall()
        self._corrector: Corrector | None = None
        self._document: Document | None = None
        self._ready: RegionsReady | None = None
        self._asked = ""
        self._used = False
        self._taken: tuple[_Taken, ...] = ()
        services.session.imageChanged.connect(self._show_image)
        services.session.predictionChanged.connect(lambda _image: self._ask())
        services.session.predictionMissed.connect(lambda _image: self._ask())
        edit.changed.connect(self._forget)
        edit.tools.changed.connect(self._follow_tool)
        edit.limitsChanged.connect(self.changed)

    @property
    def corrector(self) -> Corrector | None:
        """Of the image in view; None without one."""
        image = self._session.image
        if image is None or self.edit.document is not image.document:
            return None
        if self._corrector is None or self._document is not image.document:
            from deeplab_core.correction import Corrector

            document, ready = image.document, self._ready
            self._document = document
            self._corrector = Corrector(
                image.rgb,
                document.labels,
                catalog=document.catalog,
                scores=None if ready is None else ready.scores,
                provenance=document.provenance,
                shared=True,
            )
            if ready is not None:
                self._corrector.hierarchy = ready.hierarchy
        return self._corrector

    @property
    def scores(self) -> NDArray[Any] | None:
        """(C, h, w) coarse probabilities of the model for the image in view; None as long as they have not come."""
        return None if self._ready is None else self._ready.scores

    def require(self) -> bool:
        """Ask for regions and scores from now on, as a correction tool does; whether scores can come for the image in view."""
        self._used = True
        self._ask()
        image = self._session.image
        return image is not None and (self._awaits_prediction(image) or not self._call.idle)

    @property
    def regions_ready(self) -> bool:
        """Whether region tools can answer at once."""
        return self._ready is not None

    @property
    def computing_regions(self) -> bool:
        """Whether the regions of the image in view are on their way."""
        image = self._session.image
        coming = not self._call.idle or (image is not None and self._used and self._awaits_prediction(image))
        return coming and not self.regions_ready

    def inside(self, place: tuple[float, float] | None) -> tuple[float, float] | None:
        """A place in image px, if it is on the image in view; else None."""
        document = self.edit.document
        if place is None or document is None:
            return None
        height, width = document.shape
        return place if 0 <= place[0] < width and 0 <= place[1] < height else None

    def limited(self, target: Target, start: tuple[float, float] | None = None, *, shape: bool = False) -> Target:
        """What is left of a target with the locked classes and the limits of painting: what :meth:`apply` would do with it.

        If nothing is left, its lines say why instead of what a click does. May run in the background.

        Args:
            target: the part that a tool found, with the classes it would get.
            start: as in :meth:`apply`.
            shape: whether the part has a meaning of its own, so that it is outlined even if a click changes nothing.
        """
        document = self.edit.document
        if document is None:
            return target
        given = target.class_id if target.ids is None else target.ids
        limits, box, mask = self.edit.limits(document, start), target.box, target.mask
        why = refusal(document, box, mask, None if shape else given, limits)
        if why is not None:
            return replace(target, mask=np.zeros_like(mask), changes=None, pixels=0, lines=(*target.lines[:1], tr(why)))
        free = writable(document, box, mask, None if shape else given, limits)
        changes = np.zeros_like(mask) if given is None else changing(document, box, mask, given, limits)
        return replace(target, mask=free, changes=changes)

    def refused(self, part: Target) -> str:
        """Why no pixel of a part may change, for the user; empty if some may."""
        document = self.edit.document
        why = None if document is None else refusal(document, part.box, part.mask, None, self.edit.limits(document))
        return "" if why is None else tr(why)

    def free(self, proposal: Proposal, start: tuple[float, float] | None = None) -> NDArray[np.bool_]:
        """(H, W) bool: the pixels of a proposal that :meth:`apply` would write."""
        document, box = self.edit.document, proposal.bounds
        found = np.zeros_like(proposal.mask)
        if document is not None:
            given = proposal.labels if isinstance(proposal.labels, int) else proposal.labels[box.slices]
            limits = self.edit.limits(document, start)
            found[box.slices] = writable(document, box, proposal.mask[box.slices], given, limits)
        return found

    def pointed(self, part: Target, at: Pointed, start: tuple[float, float] | None = None) -> Target:
        """What is outlined and said of a part of the image under the pointer, which a click would give the selected class."""
        document = self.edit.document
        shown = self.limited(replace(part, class_id=at.selected), start, shape=True)
        if document is None:
            return shown
        if shown.lines:  # nothing may be changed
            return replace(shown, lines=(*pointed_lines(document.catalog, replace(at, locked=frozenset()))[:1], *shown.lines))
        if shown.changes is not None:
            changes, whole = np.count_nonzero(shown.changes), np.count_nonzero(part.mask)
            at = replace(at, changes=round(at.pixels * changes / whole))
        return replace(shown, lines=pointed_lines(document.catalog, at))

    def second_guess(self, target: Target, guess: Callable[[frozenset[int]], int | None]) -> int | None:
        """The likeliest class of a part of the image among those that the user did not take from it in this image.

        May run in the background.

        Args:
            target: the part; its lines do not matter.
            guess: the likeliest class that is not in a set; None if there is none. It is asked again for all classes if the
                user has taken each.
        """
        taken = frozenset(part.class_id for part in self._taken if part.covers(target))
        found = guess(taken)
        if found is None and taken:
            found = guess(frozenset())
        return self._other_class(target) if found is None else found

    def _other_class(self, target: Target) -> int | None:
        """Of a project with two classes, the one that a part of the image does not have; None where that is open."""
        document = self.edit.document
        if document is None or len(document.catalog) != _TWO or target.mask.shape != target.box.size:
            return None
        present = set(np.unique(document.labels[target.box.slices][target.mask]).tolist())
        others = [class_id for class_id in document.catalog.ids.tolist() if class_id not in present]
        return others[0] if len(present) == 1 and len(others) == 1 else None

    def apply(self, name: MessageText, proposal: Proposal | None, start: tuple[float, float] | None = None) -> bool:
        """Make what a tool offers a step; whether there was anything to do.

        Args:
            name: of the step, without its extent.
            start: where the action began, for "paint only over the class where a stroke begins".
        """
        document = self.edit.document
        if proposal is None or document is None:
            return False
        if isinstance(proposal.labels, int) and self.edit.refuses(document, proposal.labels):
            return False
        self.edit.commit_stroke()
        limits = self.edit.limits(document, start)
        if self.edit.stops(limits):
            return True
        patch, revision = proposal_patch(document, proposal, limits), document.revision
        if patch.empty:
            rect = proposal.bounds
            given = proposal.labels if isinstance(proposal.labels, int) else proposal.labels[rect.slices]
            why = refusal(document, rect, proposal.mask[rect.slices], given, limits)
            return self.edit.stops(EditLimits(reason=why))
        if isinstance(proposal.labels, int):
            self._taken = (*self._taken[1 - _REMEMBERED :], _Taken.of(proposal, document))

        def make() -> TilePatch:
            return patch if document.revision == revision else proposal_patch(document, proposal, limits)

        self.edit.carry_out(name, document, make)
        return True

    # -- what the compute process adds -------------------------------------------------------------------------------------

    def _follow_tool(self) -> None:
        if self.edit.tools.tool in CORRECTION_TOOLS and not self._used:
            self._used = True
            self._ask()

    def _show_image(self, _image: OpenImage | None) -> None:
        self._call.stop()
        self._corrector = self._document = self._ready = None
        self._asked = ""
        self._taken = ()
        self._ask()
        self.changed.emit()
        self.prepared.emit()

    def _forget(self, _rect: Box) -> None:
        if self._corrector is not None:
            self._corrector.forget()
        self.changed.emit()

    def ask(self) -> None:
        """Ask for regions and scores of the image in view, unless they are there."""
        image = self._session.image
        if self._used and image is not None:
            self._call.ask(self._submit)

    def _ask(self) -> None:
        image = self._session.image
        if image is not None and not self._awaits_prediction(image):
            self.ask()

    def _awaits_prediction(self, image: OpenImage) -> bool:
        """Whether the model is about to run on an image: its regions are computed with the scores that follow."""
        return not image.missed and self._models.runs_unasked(image) and self._models.agreed()

    def base(self) -> PrepareRegions | None:
        """What the compute process needs to know of the image in view; None without one."""
        image = self._session.image
        if image is None:
            return None
        threshold = None
        ids: tuple[int, ...] = ()
        card = self._models.card
        if card is not None and image.prediction is not None and image.prediction.card_id == card.id:
            mapping = self._models.mapping()
            if mapping is not None and not mapping.unmatched:
                ids = tuple(int(mapping.lut[class_id]) for class_id in card.catalog.ids)
                threshold = self._models.run_settings.options().threshold
        return PrepareRegions(
            priority=_SOON, image=str(image.path), source_key=image.key, catalog=image.document.catalog, channel_ids=ids,
            threshold=threshold,
        )  # fmt: skip

    def _submit(self) -> Call[RegionsReady] | None:
        image, request = self._session.image, self.base()
        if image is None or request is None:
            return None
        options = None if image.prediction is None else image.prediction.options.cache_key()
        wanted = f"{image.key} {request.channel_ids} {request.threshold} {options}"
        if self._ready is not None and wanted == self._asked:
            return None
        self._asked = wanted
        return self._compute.submit(request).on(
            done=lambda answer: self._take(answer, image),
            failed=lambda error: self._notifier.report(error, replace_key="regions"),
            finished=self.prepared.emit,
        )

    def _take(self, answer: RegionsReady, image: OpenImage) -> None:
        if self._session.image is image:
            self._ready, self._corrector = answer, None
            self.changed.emit()
