"""The next error of the image in view by one key, and fixing it in place by another."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal

from app.controllers.annotate.corrections import CorrectionsController, Target
from app.controllers.annotate.view import ViewState
from app.controllers.evaluate.figures import EvaluationFigures
from app.services.jobs import LatestWork
from app.services.services import Services
from app.state.document import Document
from app.state.next_errors import ErrorPlace, errors_by_doubt, errors_by_gain
from app.state.provenance import Provenance
from app.text import tr
from app.viewmodels.annotate.class_rows import class_name
from app.viewmodels.annotate.correction import error_lines
from deeplab_core.correction.proposal import Proposal
from deeplab_core.errors import MessageText, message
from deeplab_core.labels import LabelMap


class NextErrors(QObject):
    """Goes through the errors of an image, the one that pays most first.

    With ground truth an error is a component of wrong pixels, and pays what fixing it adds to the image's mean IoU. Without it
    an error is a component of doubtful pixels, and pays the number of pixels that are expected to be wrong. The list is made
    again with every step; errors that were passed are not shown again. If the labels change while it is made, it is made once
    more: what is shown and fixed is an error of the labels as they are.

    Attributes:
        current: the error that is shown; None if none is.
        target: it, for the picture.

    Signals:
        targetChanged(): another one, or none.
        guessAsked(), dissolveAsked(): what the Components tool does at the pointer is to be done.
    """

    targetChanged = Signal()
    guessAsked = Signal()
    dissolveAsked = Signal()

    def __init__(
        self,
        services: Services,
        corrections: CorrectionsController,
        figures: EvaluationFigures,
        view: ViewState,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._session, self._notifier, self._context = services.session, services.notifier, services.context
        self._corrections, self._edit = corrections, corrections.edit
        self._figures, self._view = figures, view
        self._work = LatestWork(services.jobs, services.notifier.report_or_raise)
        self._passed: set[tuple[int, int]] = set()
        self._guess: int | None = None
        self._waits = False
        self.current: ErrorPlace | None = None
        self.target: Target | None = None
        services.session.imageChanged.connect(lambda _image: self._begin_again())
        self._edit.changed.connect(lambda _rect: self._leave())
        self._edit.busyChanged.connect(self._find_after_stroke)

    # -- going -------------------------------------------------------------------------------------------------------------

    def next_error(self) -> None:
        """Go to the error that pays most of those that were not passed."""
        image = self._session.image
        if image is None:
            return
        self._edit.commit_stroke()
        if self.current is not None:
            self._passed.add(self.current.anchor)
        self._waits = False
        document, prediction, live = image.document, image.prediction, self._figures.live
        labels, provenance, ignore = document.labels, document.provenance, document.catalog.ignore
        truth = live.scored if live is not None and live.document is document else None
        if truth is None and (prediction is None or prediction.confidence.shape != document.shape):
            self._say(
                tr("There is nothing to find errors by"),
                tr("Errors are found by ground truth, or by the confidence of a prediction: run the model first."),
            )
            return
        confidence, revision = None if prediction is None else prediction.confidence, document.revision

        def work() -> list[ErrorPlace]:
            if truth is not None:
                return errors_by_gain(labels, truth, ignore)
            assert confidence is not None
            return errors_by_doubt(labels, confidence, provenance, ignore)

        self._work.ask(work, lambda found: self._take(document, revision, found))

    def _take(self, document: Document, revision: int, found: list[ErrorPlace]) -> None:
        if self._edit.document is not document:
            return
        if self._edit.busy:
            self._waits = True
            return
        if document.revision != revision:
            self.next_error()
            return
        place = next((place for place in found if place.anchor not in self._passed), None)
        if place is None:
            self._leave()
            self._say(
                tr("No further error in this image") if found else tr("No error was found in this image"),
                tr("'Reviewed, next' goes on to the next image."),
            )
            return
        corrector = self._corrections.corrector
        self._guess = None
        if corrector is not None:
            part = Target(place.box, place.mask, place.pixels)
            self._guess = self._corrections.second_guess(part, lambda but: corrector.guess(place.mask, place.box, but))
        self.current = place
        if place.truth is not None and place.truth not in document.locked:
            self._edit.choose_class(place.truth)  # for a brush or a click, if no other fix fits
        lines = error_lines(document.catalog, place, self._guess, restorable=document.reference is not None)
        self.target = Target(place.box, place.mask, place.pixels, lines, self._guess)
        self._bring_into_view(place, document)
        self._context.update(at_error=True)
        self.targetChanged.emit()

    def _find_after_stroke(self, busy: bool) -> None:
        if self._waits and not busy:
            self.next_error()

    def _bring_into_view(self, place: ErrorPlace, document: Document) -> None:
        """With its surroundings; a large error with the whole image."""
        height, width = document.shape
        if 3 * place.box.width >= width or 3 * place.box.height >= height:
            self._view.fit()
        else:
            self._view.show_region(place.box.x, place.box.y, place.box.width, place.box.height, 1.0)

    # -- fixing ------------------------------------------------------------------------------------------------------------

    def take_guess(self) -> None:
        """Give the error, or else the component under the pointer, its second guess."""
        place, document = self.current, self._edit.ready()
        if place is None:
            self.guessAsked.emit()
        elif document is not None and self._guess is None:
            self._say(tr("There is no second guess for this error"))
        elif document is not None and self._guess is not None:
            self._fix(message("Error: second guess"), self._proposal(place, document, self._guess))

    def give_selected(self) -> None:
        """Give the error the selected class: with ground truth the right one, unless the user has chosen another."""
        place, document, cls = self.current, self._edit.ready(), self._edit.tools.class_id
        if place is not None and document is not None:
            name = message("Error: {name}", name=class_name(document.catalog, cls))
            self._fix(name, self._proposal(place, document, cls))

    def dissolve(self) -> None:
        """Give the error, or else the component under the pointer, to the class that surrounds it most."""
        place, document = self.current, self._edit.ready()
        if place is None:
            self.dissolveAsked.emit()
            return
        if document is None:
            return
        from deeplab_core.correction.components import surrounding_class

        around = surrounding_class(document.labels, place.box, place.mask, document.catalog.ignore)
        if around is None:
            self._say(tr("No class surrounds this error"))
        else:
            self._fix(message("Error: give to the surroundings"), self._proposal(place, document, around))

    def restore(self) -> None:
        """Restore the pixels of the error to the prediction."""
        place, document = self.current, self._edit.ready()
        if place is None or document is None:
            return
        if document.reference is None:
            self._edit.refused.emit(tr("There is no prediction to restore yet. Run the model on this image first."))
            return
        self._fix(message("Error: restore to prediction"), self._proposal(place, document, document.reference))

    def _proposal(self, place: ErrorPlace, document: Document, labels: int | LabelMap) -> Proposal | None:
        source = Provenance.RECLASSIFIED if isinstance(labels, int) else Provenance.MODEL
        given = labels if isinstance(labels, int) else labels[place.box.slices]
        return Proposal.within(document.shape, place.box, place.mask, given, int(source))

    def _fix(self, name: MessageText, proposal: Proposal | None) -> None:
        """Do it; the next key press finds the next error."""
        if not self._corrections.apply(name, proposal):
            self._say(tr("Nothing changed: the labels are there already"))

    # -- following ---------------------------------------------------------------------------------------------------------

    def leave(self) -> bool:
        """Show no error any more; whether one was shown."""
        had = self.current is not None
        self._leave()
        return had

    def _leave(self) -> None:
        if self.current is not None:
            self.current = self.target = None
            self._context.update(at_error=False)
            self.targetChanged.emit()

    def _begin_again(self) -> None:
        self._work.stop()
        self._waits = False
        self._passed.clear()
        self._leave()

    def _say(self, title: str, detail: str = "") -> None:
        self._notifier.info(title, detail, replace_key="correction")
