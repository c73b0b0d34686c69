"""The dense CRF on the image in view: a preview that follows the sliders, and taking it over as one undoable step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, Signal

from app.controllers.annotate.edit import EditController, OutlineUse, Point
from app.controllers.annotate.view import ViewState
from app.controllers.evaluate.live import EvaluationController
from app.controllers.predict.models import ModelsController
from app.controllers.refine.requests import PendingRefinement, RefineRequests
from app.controllers.refine.settings import Base, CRFScope
from app.services.services import Services
from app.services.session import OpenImage
from app.services.timers import single_shot
from app.state.document import Change, Document
from app.state.opencv import opencv
from app.state.patch import TilePatch
from app.state.provenance import Provenance, painted, reclassified
from app.state.refinement import composed, taking_patch, would_take
from app.state.tools import Tool
from app.text import mark, spaced, tr
from app.viewmodels.annotate.panes import PaneKind, PaneLayout
from app.worker.messages import Refined
from deeplab_core.errors import AtrousError, MessageText, message
from deeplab_core.geometry import Box, polygon_mask
from deeplab_core.labels import LabelMap
from deeplab_core.records import CRFParams

#: Delay of the preview after the last change of the mask, in milliseconds.
_RESTING_MS = 120


class Phase(StrEnum):
    """How far the preview is."""

    OFF = "off"
    WAITING = "waiting"
    QUICK = "quick"
    EXACT = "exact"
    NO_SCORES = mark("no scores")


@dataclass(frozen=True, slots=True)
class RefineStatus:
    """What the dock says.

    Attributes:
        phase: how far the preview is.
        milliseconds: that the last result took.
        changed: pixels that would change, or None before anything is known.
        share: the same as a fraction of the image, 0..1.
        note: how the result differs from the exact one.
    """

    phase: Phase = Phase.OFF
    milliseconds: float = 0.0
    changed: int | None = None
    share: float = 0.0
    note: str = ""


class RefineController(QObject):
    """Owns the preview. The mask changes only when the user applies it.

    Attributes:
        crf: the current parameters, what is refined and where.
        shown: (H, W) the mask as it would be, or None without a preview; follows the document in place.
        requests: asks the compute process.

    Signals:
        statusChanged(RefineStatus): for the dock.
        previewChanged(): :attr:`shown` is another array, or none.
        previewCounted(Document | None, labels | None): what is to be measured: the mask of a document as it would be.
    """

    statusChanged = Signal(object)
    previewChanged = Signal()
    previewCounted = Signal(object, object)

    def __init__(
        self,
        services: Services,
        requests: RefineRequests,
        models: ModelsController,
        evaluation: EvaluationController,
        edit: EditController,
        view: ViewState,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._session, self._evaluation, self._edit, self._view = services.session, evaluation, edit, view
        self._notifier, self._context = services.notifier, services.context
        self.requests, self.crf = requests, requests.crf
        self.shown: LabelMap | None = None
        self.status = RefineStatus()
        self._refined: LabelMap | None = None
        self._made_from: PendingRefinement | None = None
        self._where: NDArray[np.bool_] | None = None
        self._stays: NDArray[np.bool_] | None = None
        self._dragging = False
        self._then: Callable[[], None] | None = None
        self._earlier: tuple[PaneLayout, PaneKind | None] | None = None
        self._followed: Document | None = None
        self._rest = single_shot(self, _RESTING_MS, self._follow_rest)
        self.requests.answered.connect(self._take)
        self.requests.missing.connect(self._miss)
        self.requests.failed.connect(self._fail)
        edit.outlineDrawn.connect(self._take_outline)
        services.session.imageChanged.connect(self._follow_image)
        evaluation.layersChanged.connect(self._follow_truth)
        services.session.predictionChanged.connect(self._follow_prediction)
        models.mappingChanged.connect(self._renew)

    @property
    def on(self) -> bool:
        """Whether a preview is wanted."""
        return self._context["crf_preview"]

    # -- commands: the preview ----------------------------------------------------------------------------------------------

    def toggle_preview(self) -> None:
        """Show what the CRF would do, or the mask again."""
        if self.on:
            self.discard()
        else:
            self._switch_on()
            self._ask(quick=True)

    def set_params(self, params: CRFParams, *, dragging: bool = False) -> None:
        """Take other parameters; the preview follows at once, quickly while ``dragging``, exactly when that is over."""
        was_dragging, self._dragging = self._dragging, dragging
        self.crf.set(params, keep=not dragging)
        self._switch_on()
        self._ask(quick=dragging or not was_dragging)

    def choose_params(self, name: str) -> None:
        """Take a preset or a file of the list."""
        self.crf.choose(name)
        self._switch_on()
        self._ask(quick=True)

    def open_params(self, path: Path) -> None:
        """Take the parameters of a file that ``atrous refine --search`` wrote, and add it to the list."""
        self.crf.open(path)
        self._ask(quick=True)

    def set_base(self, base: Base | str) -> None:
        """Refine the network's probabilities, or the mask as it is."""
        self.crf.set_base(Base(base))
        self._ask(quick=True)

    def use_mask(self) -> None:
        """Refine the mask from now on; the preview stays as it is, on or off."""
        self.set_base(Base.MASK)

    def refine_mask(self) -> None:
        """Refine the mask itself, without a network."""
        self._switch_on()
        self.set_base(Base.MASK)

    def set_certainty(self, certainty: float, *, dragging: bool = False) -> None:
        """Say how sure the labels of the mask are, 0..1."""
        self._dragging = dragging
        self.crf.set_certainty(certainty)
        self._ask(quick=dragging)

    def set_scope(self, scope: CRFScope | str) -> None:
        """Let the preview change the whole image, or the trimap band only."""
        self.crf.set_scope(CRFScope(scope))
        self._compose()

    def discard(self) -> None:
        """Show the mask again; nothing of the preview remains."""
        self._then = None
        self.requests.stop()
        self._rest.stop()
        self._context.update(crf_preview=False)
        self.draw_region(on=False)
        self._leave_split()
        self._forget()
        self._say(RefineStatus())

    def hold_before(self, on: bool) -> None:
        """Show the mask as it is while a button is held."""
        self._view.set_blink(PaneKind.MASK if on else None)

    def toggle_split(self) -> None:
        """Divide the pane by a line, the mask left of it and the preview right; or put the panes back."""
        if self._earlier is not None:
            self._leave_split()
            return
        self._earlier = self._view.layout, self._view.panes[0].other
        self._view.set_layout(PaneLayout.SPLIT)
        self._view.set_kind(0, PaneKind.MASK)
        self._view.set_other(PaneKind.REFINED)
        self._context.update(crf_split=True)
        if not self.on:
            self.toggle_preview()

    def toggle_changes(self) -> None:
        """Show the pixels that the CRF changes, or what was shown before."""
        self._view.toggle_kind(PaneKind.CHANGES)
        if self._view.shows(PaneKind.CHANGES) and not self.on:
            self.toggle_preview()

    # -- commands: applying it ------------------------------------------------------------------------------------------------

    def apply(self) -> None:
        """Take the preview over, in the scope that was chosen, as one step; an exact result is waited for."""
        self._apply_in(self.crf.scope)

    def apply_band(self) -> None:
        """Refine the trimap band as one step."""
        self._apply_in(CRFScope.BAND)

    def draw_region(self, *, on: bool | None = None) -> None:
        """Give the outlines of lasso and polygon to the CRF, until switched off."""
        on = not self._context["crf_region"] if on is None else on
        if on == self._context["crf_region"]:
            return
        self._context.update(crf_region=on)
        self._edit.set_outline_use(OutlineUse.REFINE if on else OutlineUse.FILL)
        if on and self._edit.tools.tool not in (Tool.LASSO, Tool.POLYGON):
            self._edit.choose_tool(Tool.LASSO)

    def apply_region(self, points: Sequence[Point]) -> None:
        """Refine the inside of an outline (float image px) as one step; the preview stays."""
        image = self._session.image
        if image is not None:
            rect, inside = polygon_mask(points, image.document.shape)
            if not rect.empty:
                self._when_exact(lambda: self._lay(message("CRF in outline"), rect, inside))

    def _take_outline(self, use: OutlineUse, points: Sequence[Point]) -> None:
        if use is OutlineUse.REFINE:
            self.apply_region(points)

    def _apply_in(self, scope: CRFScope) -> None:
        image = self._session.image
        if image is None or not self._context["can_edit"]:
            return
        if scope is CRFScope.BAND and self._band() is None:
            self._notifier.warning(
                tr("No band to refine yet"), tr("It requires ground truth, or a mask with class edges."), replace_key="crf"
            )
            return

        def take() -> None:
            banded = scope is CRFScope.BAND
            self._lay(
                message("CRF in band") if banded else message("CRF"),
                Box.whole(image.document.shape),
                self._band() if banded else None,
            )
            self.discard()

        self._when_exact(take)

    def _lay(self, name: MessageText, rect: Box, where: NDArray[np.bool_] | None) -> None:
        image, refined = self._answered(), self._refined
        if image is None or refined is None:
            return
        document = image.document
        if not would_take(document, rect, refined[rect.slices], where):
            self._notifier.info(tr("The CRF changes nothing here"), _own_pixels_text(document, rect, where), replace_key="crf")
            return

        def make() -> TilePatch:
            return taking_patch(document, rect, refined[rect.slices], where)

        # Of the mask itself the preset says little: what counts is that no network was asked.
        title, preset = name, self.crf.title()
        if self.crf.base is Base.MASK:
            title = message("{name}, mask itself", name=name)
        elif preset:
            title = message("{name}, {preset}", name=name, preset=preset)
        self._edit.carry_out(title, document, make, Provenance.CRF)

    def _when_exact(self, then: Callable[[], None]) -> None:
        """Do something as soon as there is an exact result for mask and parameters as they are now."""
        image = self._session.image
        if image is None:
            return
        self._edit.commit_stroke()
        if self._refined is not None and self._made_from is not None and self._made_from.answers(image.document, self.crf):
            then()
            return
        self._switch_on()
        self._then, self._dragging = then, False
        self._ask(quick=False)

    # -- asking and hearing ----------------------------------------------------------------------------------------------

    def _switch_on(self) -> None:
        if self._session.image is not None:
            self._context.update(crf_preview=True)

    def _ask(self, *, quick: bool) -> None:
        if not self.on or self._session.image is None:
            return
        if self.shown is None:
            self._say(replace(self.status, phase=Phase.WAITING))
        self.requests.ask(quick=quick and self._then is None)

    def _take(self, answer: Refined, pending: PendingRefinement) -> None:
        image = self._session.image
        if not self.on or image is None or answer.labels is None:
            return
        height, width = image.document.shape
        labels = np.asarray(answer.labels, image.document.labels.dtype)
        if labels.shape != (height, width):
            labels = opencv().resize(labels, (width, height), interpolation=opencv().INTER_NEAREST)
        self._refined, self._made_from = labels, pending
        phase = Phase.QUICK if pending.quick else Phase.EXACT
        self._say(replace(self.status, phase=phase, milliseconds=answer.milliseconds, note=tr(answer.note)))
        self._compose()
        if not self.requests.idle:
            return  # something newer is wanted already
        if self._then is not None and pending.answers(image.document, self.crf):
            then, self._then = self._then, None
            then()
        elif self._then is not None or (pending.quick and not self._dragging):
            self.requests.ask(quick=False)

    def _miss(self) -> None:
        """The scores are gone, or never were: the mask is shown, and the dock names a remedy."""
        self._then = None
        self._forget()
        self._say(RefineStatus(Phase.NO_SCORES))

    def _fail(self, error: AtrousError) -> None:
        self._notifier.report(error, replace_key="crf")
        self.discard()

    # -- what is shown ---------------------------------------------------------------------------------------------------

    def _band(self) -> NDArray[np.bool_] | None:
        """(H, W) bool: the trimap band as it is shown; None if missing."""
        index = self._evaluation.band_map()
        if index is None:
            return None
        band: NDArray[np.bool_] = (index >= 1) & (index <= self._evaluation.band.width_px)
        return band

    def _answered(self) -> OpenImage | None:
        """The image in view, if the result is its own: others get a new image earlier, and signal their layers before that."""
        image, pending = self._session.image, self._made_from
        return image if image is not None and pending is not None and pending.document is image.document else None

    def _compose(self) -> None:
        image, refined = self._answered(), self._refined
        if image is None or refined is None:
            return
        document = image.document
        self._where = None
        if self.crf.scope is CRFScope.BAND:
            band = self._band()
            self._where = np.zeros(document.shape, np.bool_) if band is None else band
        shown = composed(document.labels, document.provenance, refined, self._where, document.locked)
        stays = reclassified(document.provenance) & (shown == document.labels) & (refined != document.labels)
        self._stays = stays if stays.any() else None
        self._show(shown)

    def _forget(self) -> None:
        self._refined, self._made_from = None, None
        self._show(None)

    def _show(self, shown: LabelMap | None) -> None:
        had = self.shown is not None
        self.shown = shown
        if had or shown is not None:
            self.previewChanged.emit()
        self._view.set_previewing(shown is not None)
        self._measure()

    def _measure(self) -> None:
        image, shown = self._session.image, self.shown
        if shown is not None and self._answered() is None:
            return
        if image is not None and shown is not None:
            changed = int(np.count_nonzero(shown != image.document.labels))
            self._say(replace(self.status, changed=changed, share=changed / shown.size))
        self.previewCounted.emit(None if image is None else image.document, shown)

    def _say(self, status: RefineStatus) -> None:
        if status != self.status:
            self.status = status
            self.statusChanged.emit(status)

    def _leave_split(self) -> None:
        earlier, self._earlier = self._earlier, None
        if earlier is not None:
            self._view.set_other(earlier[1] or PaneKind.IMAGE)
            self._view.set_layout(earlier[0])
            self._context.update(crf_split=False)

    # -- following -------------------------------------------------------------------------------------------------------

    def _follow_image(self, image: OpenImage | None) -> None:
        """The preview goes with the user to the next image: so that parameters can be compared over images."""
        if self._followed is not None:
            self._followed.changed.disconnect(self._follow_change)
        self._followed = None if image is None else image.document
        self._then, self._dragging = None, False
        self.requests.stop()
        self._forget()
        if image is None:
            if not self._session.between_images:
                self.discard()
            return
        image.document.changed.connect(self._follow_change)
        self._renew()

    def _renew(self) -> None:
        if self.on:
            self._say(RefineStatus(Phase.WAITING))
            self._ask(quick=True)

    def _follow_prediction(self, _image: OpenImage) -> None:
        if self.status.phase is Phase.NO_SCORES:
            self._renew()

    def _follow_change(self, change: Change) -> None:
        """The user's new pixels are in the preview at once, what follows from them when the brush rests."""
        image, shown, refined = self._answered(), self.shown, self._refined
        if image is None or shown is None or refined is None:
            return
        for part in change.parts:
            place = part.rect.slices
            labels, provenance = image.document.labels[place], image.document.provenance[place]
            # Of reclassified regions, what the last composition kept stays until the next one, which sees them as a whole.
            changing = ~painted(provenance)
            if self._where is not None:
                changing &= self._where[place]
            if self._stays is not None:
                changing &= ~(self._stays[place] & reclassified(provenance))
            shown[place] = np.where(changing, refined[place], labels)
        self._rest.start()

    def _follow_rest(self) -> None:
        if self._edit.busy or self._edit.pending_stroke is not None:
            self._rest.start()
        else:
            self._ask(quick=False)

    def _follow_truth(self) -> None:
        if self.crf.scope is CRFScope.BAND and self.shown is not None:
            self._compose()
        elif self.shown is not None:
            self._measure()


def _own_pixels_text(document: Document, rect: Box, where: NDArray[np.bool_] | None) -> str:
    """How many pixels there were painted by the user, in a sentence."""
    own = painted(document.provenance[rect.slices])
    count = int(np.count_nonzero(own if where is None else own & where))
    return tr("You painted {count} px there, and refinement does not change those.", count=spaced(count)) if count else ""
