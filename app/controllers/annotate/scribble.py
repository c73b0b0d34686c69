"""Scribble mode: the CRF follows every stroke, and both are one step. Pixels become the stroke's class, or stay as they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, Signal

from app.controllers.annotate.edit import EditController, PendingStroke
from app.controllers.refine.requests import RefineRequests
from app.services.calls import Call
from app.services.notifications import Choice
from app.services.services import Services
from app.services.session import OpenImage
from app.services.timers import single_shot
from app.state.provenance import Provenance, painted
from app.state.refinement import painted_labels, taking_patch
from app.state.tools import Tool
from app.text import spaced, tr
from app.worker.messages import URGENT, PrepareRefine, RefineBox, Refined
from deeplab_core.errors import AtrousError, MessageText, message
from deeplab_core.geometry import Box

#: Tools with a follow-up of their strokes.
_STROKES = (Tool.BRUSH, Tool.ERASER)
#: How far a stroke is believed: so many brush diameters, within limits in px of the image.
_REACH, _LEAST_REACH, _MOST_REACH = 1.0, 12.0, 80.0
#: Where the belief has fallen to an eighth of its height nothing is refined any more.
_EXTENT = 2.0
#: Pixels around the box that take part as context.
_MARGIN = 24
#: A box that was overtaken by the next stroke is refined with it, where that makes it at most so many times larger.
_TOGETHER = 4
#: So long a stroke waits for its refinement in milliseconds; then it becomes a step alone.
PATIENCE_MS = 800


@dataclass(frozen=True, slots=True)
class _Claim:
    """Where a stroke may turn pixels into its class."""

    box: Box
    value: int


@dataclass(frozen=True, slots=True, eq=False)
class _Refinement:
    """The stroke that is being refined; its document moves on if another stroke is painted.

    Attributes:
        box: that is refined; it holds the boxes of all ``claims``.
        claims: this stroke's, and those of earlier strokes that were refined too late.
    """

    call: Call[Refined]
    stroke: PendingStroke
    box: Box
    claims: tuple[_Claim, ...]
    name: MessageText


class ScribbleController(QObject):
    """Takes finished strokes over while the mode is on.

    A stroke is never lost to it: whatever else the user does, or a compute process that does not answer, ends the waiting, and
    the stroke is a step alone.

    Attributes:
        patience: runs while a stroke waits.

    Signals:
        maskAsked(): refine the mask itself from now on, because there are no scores.
    """

    maskAsked = Signal()

    def __init__(
        self,
        services: Services,
        requests: RefineRequests,
        edit: EditController,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._session, self._requests, self._edit = services.session, requests, edit
        self._compute, self._notifier, self._context = services.compute, services.notifier, services.context
        self._current: _Refinement | None = None
        self._owed: tuple[_Claim, ...] = ()
        self.patience = single_shot(self, PATIENCE_MS, edit.finish_pending)
        edit.strokePending.connect(self._take_stroke)
        services.session.imageChanged.connect(self._prepare)
        services.session.predictionChanged.connect(self._prepare)

    def toggle(self) -> None:
        """Let the CRF follow every stroke, or no longer. A tool that draws no strokes makes way for the brush."""
        on = not self._context["scribble_on"]
        self._context.update(scribble_on=on)
        self._edit.hold_strokes(on)
        if on:
            if self._edit.tools.tool not in _STROKES:
                self._edit.choose_tool(Tool.BRUSH)
            self._prepare(self._session.image)

    def _prepare(self, image: OpenImage | None) -> None:
        """Have the compute process ready before the first stroke."""
        self._owed = ()
        if self._context["scribble_on"] and image is not None:
            base = self._requests.base(image)
            if base is not None:
                self._compute.submit(PrepareRefine(base=base, params=self._requests.crf.params))

    def _take_stroke(self, stroke: PendingStroke) -> None:
        if self._context["scribble_on"] and not self._follow(stroke):
            self._edit.finish_pending()

    def _follow(self, stroke: PendingStroke) -> bool:
        """Ask for the refinement of a stroke; False if there is none, and the stroke is a step alone."""
        image = self._session.image
        if image is None or image.document is not stroke.document or stroke.value == stroke.document.catalog.ignore:
            return False  # void is not a class that a network could prefer
        document, overtaken = stroke.document, self._current
        if overtaken is not None and overtaken.stroke.document is document:
            self._owed += overtaken.claims  # its answer is for a mask without this stroke
            overtaken.call.cancel()
        reach = min(max(_REACH * self._edit.tools.diameter, _LEAST_REACH), _MOST_REACH)
        box = stroke.rect.grown(round(_EXTENT * reach), document.shape)
        claims, least = [_Claim(box, stroke.value)], box.area
        for owed in self._owed:
            if box.united(owed.box).area <= _TOGETHER * least:
                box = box.united(owed.box)
                claims.append(owed)
        self._owed = ()
        context = box.grown(_MARGIN, document.shape)
        base = self._requests.base(image, context, stroke.value)
        if base is None:
            self._say_missing()
            return False
        place = context.slices
        strokes = painted_labels(document.labels[place], document.provenance[place], document.catalog.ignore)
        if strokes is None:
            return False
        request = RefineBox(
            priority=URGENT, base=base, params=self._requests.crf.params, box=box, context=context, strokes=strokes,
            reach=reach,
        )  # fmt: skip
        name = MessageText(stroke.title.template, {**stroke.title.values, "name": message("Scribble")})
        refinement = _Refinement(self._compute.submit(request), stroke, box, tuple(claims), name)
        self._current = refinement
        refinement.call.on(
            done=lambda answer: self._take(refinement, answer),
            failed=lambda error: self._fail(refinement, error),
            cancelled=lambda: self._drop(refinement),
        )
        self.patience.start()
        return True

    def _take(self, refinement: _Refinement, answer: Refined) -> None:
        if not self._end(refinement):
            return
        document = refinement.stroke.document
        if self._edit.document is not document or document.revision != refinement.stroke.revision:
            self._release(refinement)  # painted on since: the next stroke takes this one's claim along
            self._owed = refinement.claims if self._edit.document is document else ()
            return
        if answer.labels is None:
            self._release(refinement)
            self._say_missing()
            return
        labels = np.asarray(answer.labels, document.labels.dtype)
        follow = taking_patch(document, refinement.box, labels, _claimed(refinement, labels))
        if follow.empty:
            self._explain_unchanged(refinement)
        if self._edit.pending_stroke is refinement.stroke:
            self._edit.finish_pending(refinement.name, follow)
        else:  # the waiting was over before: a step of its own
            self._edit.carry_out(message("{name}, refined", name=refinement.name), document, lambda: follow, Provenance.CRF)

    def _fail(self, refinement: _Refinement, error: AtrousError) -> None:
        if self._end(refinement):
            self._release(refinement)
            self._notifier.report(error, replace_key="crf")

    def _drop(self, refinement: _Refinement) -> None:
        if self._end(refinement):
            self._release(refinement)

    def _end(self, refinement: _Refinement) -> bool:
        """End the wait for this refinement; False if it was not the current one."""
        if self._current is not refinement:
            return False
        self._current = None
        self.patience.stop()
        return True

    def _release(self, refinement: _Refinement) -> None:
        if self._edit.pending_stroke is refinement.stroke:
            self._edit.finish_pending()

    def _explain_unchanged(self, refinement: _Refinement) -> None:
        """Nothing followed. Say so if that is because most of what lies around the stroke was painted by the user."""
        document, place = refinement.stroke.document, refinement.box.slices
        others = document.labels[place] != refinement.stroke.value
        own = int(np.count_nonzero(others & painted(document.provenance[place])))
        if own and 2 * own >= int(np.count_nonzero(others)):
            self._notifier.info(
                tr("The stroke stops at your own pixels"),
                tr(
                    "You painted {own} px around it, and refinement does not change those. Paint over them, or restore "
                    "them to the prediction first.",
                    own=spaced(own),
                ),
                replace_key="crf",
            )

    def _say_missing(self) -> None:
        self._notifier.warning(
            tr("The stroke was painted but not refined"),
            tr("No class scores for this image in memory. Run the model (Ctrl+R), or refine the mask itself."),
            replace_key="crf",
            choices=(Choice(tr("Refine the mask itself"), self.maskAsked.emit),),
        )


def _claimed(refinement: _Refinement, labels: NDArray[np.integer]) -> NDArray[np.bool_]:
    """(h, w) bool within the refined box: pixels that become the class of the stroke that claims them."""
    found = np.zeros(labels.shape, np.bool_)
    for claim in refinement.claims:
        place = claim.box.within(refinement.box).slices
        found[place] |= labels[place] == claim.value
    return found
