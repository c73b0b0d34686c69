"""The next error of the image in view by one key, and fixing it in place by another."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PySide6.QtCore import QObject, Signal

from app.controllers.annotate.corrections import CorrectionsController, Target
from app.controllers.annotate.view import ViewState
from app.controllers.evaluate.figures import EvaluationFigures
from app.services.jobs import LatestWork
from app.services.services import Services
from app.services.session import OpenImage
from app.services.timers import single_shot
from app.state.document import Document
from app.state.doubtful_places import DoubtfulPlace, other_labels
from app.state.measurement import KeptModels
from app.state.next_errors import (
    ErrorFix,
    ErrorPlace,
    confidence_doubt,
    disagreement_doubt,
    errors_by_doubt,
    errors_by_gain,
    margin_doubt,
)  # fmt: skip
from app.state.project import Project
from app.state.provenance import Provenance
from app.text import tr
from app.viewmodels.annotate.class_rows import class_name
from app.viewmodels.annotate.correction import ErrorFixes, error_lines
from deeplab_core.analysis.components import ErrorComponent
from deeplab_core.analysis.error_gain import ERROR_ORDERS
from deeplab_core.correction.proposal import Proposal
from deeplab_core.errors import MessageText, message
from deeplab_core.labels import LabelMap
from deeplab_core.regions import Mask

#: A walk to the next image waits for its ground truth, or for its prediction: it looks again after so many ms, so many times.
_LOOK_MS = 30
_MOST_LOOKS = 2000
_FindErrors = Callable[[], list[ErrorPlace] | None]


class NextErrors(QObject):
    """Goes through the errors of an image, the one that wins most first, and on to the next image.

    With ground truth an error is a component of wrong pixels, and wins what fixing it adds to the image's mean IoU. Without it
    an error is a component of doubtful pixels, and wins the number of pixels that are expected to be wrong, by the order of the
    setting ``work.error_order``. The list is made again with every step; errors that were passed are not shown again. If the
    labels change while it is made, it is made once more: what is shown and fixed is an error of the labels as they are.

    When the list ends, the same key once more asks for the next image; with the setting ``work.error_walk`` that is not needed.

    Attributes:
        current: the error that is shown; None if none is.
        target: it, for the picture.

    Signals:
        targetChanged(): another one, or none.
        guessAsked(), dissolveAsked(): what the Components tool does at the pointer is to be done.
        nextImageAsked(): the image has no further error; the next one is to be opened, see :meth:`walk_ended`.
    """

    targetChanged = Signal()
    guessAsked = Signal()
    dissolveAsked = Signal()
    nextImageAsked = Signal()

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
        self._settings = services.settings
        self._corrections, self._edit = corrections, corrections.edit
        self._figures, self._view = figures, view
        self._work = LatestWork(services.jobs, services.notifier.report_or_raise)
        self._passed: set[tuple[int, int]] = set()
        self._guess: int | None = None
        self._waits = False
        self._ended = False  # the list has ended: the key once more goes on
        self._walking = False  # the next image is on its way, and its first error is wanted
        self._looks = 0
        self._models: KeptModels | None = None
        self._looking = single_shot(self, _LOOK_MS, self._look)
        self._awaits_scores = False
        self._sought: tuple[int, int] | None = None  # first pixel of the place of a list that is wanted
        self.current: ErrorPlace | None = None
        self.target: Target | None = None
        services.session.imageChanged.connect(self._begin_again)
        services.session.projectChanged.connect(self._follow_project)
        services.session.predictionKept.connect(lambda _image, _prediction: self._list_models())
        services.session.predictionChanged.connect(lambda _image: self._list_models())
        self._edit.changed.connect(lambda _rect: self._follow_edit())
        self._edit.busyChanged.connect(self._find_after_stroke)
        corrections.prepared.connect(self._find_with_scores)

    # -- going -------------------------------------------------------------------------------------------------------------

    def next_error(self) -> None:
        """Go to the error that wins most of those that were not passed, or to the next image where the list has ended."""
        image = self._session.image
        if image is None:
            return
        self._edit.commit_stroke()
        if self._ended:
            self._walk()
            return
        if self.current is not None:
            self._passed.add(self.current.anchor)
        self._waits = self._awaits_scores = False
        document = image.document
        find = self._finder(image)
        if find is None:
            self._stop_walking()
            return
        revision = document.revision
        self._work.ask(find, lambda found: self._take(document, revision, found))

    def _finder(self, image: OpenImage) -> _FindErrors | None:
        """What finds the errors, on another thread; None, and said, if there is nothing to find them by."""
        document = image.document
        labels, provenance, ignore = document.labels, document.provenance, document.catalog.ignore
        live = self._figures.live_of(image.id)
        truth = None if live is None else live.scored
        if truth is not None:
            return lambda: errors_by_gain(labels, truth, ignore)
        prediction, order = image.prediction, str(self._settings["work.error_order"])
        if prediction is None or prediction.confidence.shape != document.shape:
            self._say(
                tr("There is nothing to find errors by"),
                tr("Errors are found by ground truth, or by the confidence of a prediction: run the model first."),
            )
            return None
        if order == "margin":
            scores = self._corrections.scores
            if scores is None:
                self._awaits_scores = self._corrections.require()
                if not self._awaits_scores:
                    self._say(tr("There is nothing to find errors by"), tr("Run the model on this image first."))
                return None
            return lambda: errors_by_doubt(labels, margin_doubt(scores, document.shape), provenance, ignore)
        if order == "disagreement":
            return self._disagreement(image)
        confidence = prediction.confidence
        return lambda: errors_by_doubt(labels, confidence_doubt(confidence), provenance, ignore)

    def _disagreement(self, image: OpenImage) -> _FindErrors | None:
        """Parts on which kept predictions of other models, or with other settings, differ from the labels."""
        project, document, prediction, models = self._session.project, image.document, image.prediction, self._models
        if project is None or prediction is None or models is None:
            return None
        mine = prediction.card_id, prediction.options.cache_key()
        labels, provenance, ignore = document.labels, document.provenance, document.catalog.ignore

        def find() -> list[ErrorPlace] | None:
            others = [model for model in models.of(image.key) if model != mine]
            maps = other_labels(project, image.key, others, document.shape)
            return errors_by_doubt(labels, disagreement_doubt(labels, maps), provenance, ignore) if maps else None

        return find

    def _take(self, document: Document, revision: int, found: list[ErrorPlace] | None) -> None:
        if self._edit.document is not document:
            return
        if found is None:
            self._stop_walking()
            self._say(tr("There is nothing to find errors by"), tr(ERROR_ORDERS["disagreement"].needs))
            return
        if self._edit.busy:
            self._waits = True
            return
        if document.revision != revision:
            self.next_error()
            return
        sought, self._sought = self._sought, None
        place = next((place for place in found if place.anchor == sought), None)
        place = place or next((place for place in found if place.anchor not in self._passed), None)
        if place is None:
            self._end_list(any_found=bool(found))
            return
        self._walking = False
        self._show(place, document)
        self._bring_into_view(place, document)

    def _show(self, place: ErrorPlace, document: Document) -> None:
        corrector = self._corrections.corrector
        self._guess = None
        if corrector is not None:
            part = Target(place.box, place.mask, place.pixels)
            self._guess = self._corrections.second_guess(part, lambda but: corrector.guess(place.mask, place.box, but))
        self.current = place
        if place.truth is not None and place.truth not in document.locked:
            self._edit.choose_class(place.truth)  # for a brush or a click, if no other fix fits
        reference, inside = document.reference, place.box.slices
        restorable = reference is not None and bool((reference[inside] != document.labels[inside])[place.mask].any())
        fixes = ErrorFixes(
            self._guess, restorable, document.locked,
            self._corrections.refused(Target(place.box, place.mask, place.pixels)),
        )  # fmt: skip
        lines = error_lines(document.catalog, place, fixes)
        self.target = Target(place.box, place.mask, place.pixels, lines, self._guess)
        self._context.update(at_error=True)
        self.targetChanged.emit()

    def _find_after_stroke(self, busy: bool) -> None:
        if self._waits and not busy:
            self.next_error()

    def _find_with_scores(self) -> None:
        if self._awaits_scores and self._corrections.scores is not None:
            self.next_error()

    def _bring_into_view(self, place: ErrorPlace, document: Document) -> None:
        """With its surroundings; a large error with the whole image."""
        height, width = document.shape
        if 3 * place.box.width >= width or 3 * place.box.height >= height:
            self._view.fit()
        else:
            self._view.show_region(place.box.x, place.box.y, place.box.width, place.box.height, 1.0)

    def visit(self, place: DoubtfulPlace) -> None:
        """Open the image of a place, and show it; what is left of the image's errors if it is gone."""
        image = self._session.image
        self._sought = place.anchor
        if image is not None and image.id == place.image:
            self._ended = False
            self.next_error()
        else:
            self._walking = True
            self._session.open_image(place.image)

    # -- the next image ----------------------------------------------------------------------------------------------------

    def _end_list(self, *, any_found: bool) -> None:
        self._leave()
        self._ended = True
        if self._walking or self._settings["work.error_walk"]:
            self._walk()
            return
        self._say(
            tr("No further error in this image") if any_found else tr("No error was found in this image"),
            tr("The same key once more goes on in the next image; 'Reviewed, next' marks this one."),
        )

    def _walk(self) -> None:
        """Open the next image that is neither reviewed nor rejected, and go to its first error."""
        self._walking = True
        self.nextImageAsked.emit()

    def walk_ended(self) -> None:
        """There is no further image to go on to."""
        self._stop_walking()
        self._say(
            tr("No further error in the list"),
            tr("All later images are reviewed, rejected or without an error. Filter and order of the list decide which come."),
        )

    def _look(self) -> None:
        """Whether the image that a walk has reached can be looked at: its ground truth, or its prediction, has come."""
        image, project = self._session.image, self._session.project
        if not self._walking or image is None or project is None:
            return
        has_truth = project.ground_truth.get(project.record(image.id).relative_path) is not None
        ready = self._figures.live_of(image.id) is not None if has_truth else image.prediction is not None or image.missed
        if ready and not self._edit.busy:
            if self._sought is None:
                self._say_walked(project.record(image.id).shown)
            self.next_error()
        elif self._looks < _MOST_LOOKS:
            self._looks += 1
            self._looking.start()
        else:
            self._stop_walking()

    def _say_walked(self, name: str) -> None:
        self._say(tr("Next error: {name}", name=name), tr("The image before has no further error; it is not marked reviewed."))

    def _stop_walking(self) -> None:
        self._walking, self._sought = False, None
        self._looking.stop()

    # -- fixing ------------------------------------------------------------------------------------------------------------

    def take_component(self, component: ErrorComponent, mask: Mask, fix: ErrorFix | None) -> None:
        """Show a component of a list as the current error, and fix it.

        Args:
            component: of the image in view.
            mask: (height, width) bool, its pixels in its box as they are now.
            fix: what is done with it; None leaves that to the next key.
        """
        document = self._edit.document
        if document is None:
            return
        there = mask & (document.labels[component.box.slices] == component.prediction)
        if not there.any():
            self._say(tr("This error is fixed already"))
            return
        known = self._figures.analysis
        (gain,) = (0.0,) if known is None else known.masks.gains([component], "gain_image")
        pixels = int(np.count_nonzero(there))
        self._show(ErrorPlace(component.box, there, pixels, component.prediction, component.truth, gain), document)
        if fix is not None:
            {
                ErrorFix.GIVE: self.give_right, ErrorFix.GUESS: self.take_guess, ErrorFix.DISSOLVE: self.dissolve,
                ErrorFix.RESTORE: self.restore,
            }[fix]()  # fmt: skip

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
        self._give(self._edit.tools.class_id)

    def give_right(self) -> None:
        """Give the error the class of the ground truth; without ground truth the selected one."""
        truth = None if self.current is None else self.current.truth
        self._give(self._edit.tools.class_id if truth is None else truth)

    def _give(self, cls: int) -> None:
        place, document = self.current, self._edit.ready()
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

        around = surrounding_class(document.labels, place.box, place.mask, document.catalog.ignore, (place.label,))
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
        """Show no error any more; whether one was shown, or a walk was under way."""
        had = self.current is not None or self._walking
        if self._walking:
            self._work.stop()
        self._stop_walking()
        self._leave()
        return had

    def _leave(self) -> None:
        if self.current is not None:
            self.current = self.target = None
            self._context.update(at_error=False)
            self.targetChanged.emit()

    def _follow_edit(self) -> None:
        self._ended = False
        self._leave()

    def _follow_project(self, _project: Project | None) -> None:
        self._stop_walking()
        self._list_models()

    def _list_models(self) -> None:
        """Kept predictions may be others: they are listed when they are needed."""
        project = self._session.project
        self._models = None if project is None else KeptModels(project)

    def _begin_again(self, image: OpenImage | None) -> None:
        self._work.stop()
        self._waits = self._ended = self._awaits_scores = False
        self._passed.clear()
        self._leave()
        if self._walking and image is not None:
            self._looks = 0
            self._looking.start()

    def _say(self, title: str, detail: str = "") -> None:
        self._notifier.info(title, detail, replace_key="correction")
