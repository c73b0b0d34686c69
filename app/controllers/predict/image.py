"""Running the model on the image in view: the answer becomes one undoable step, or is kept beside the user's work."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PySide6.QtCore import QObject, Signal

from app.controllers.annotate.edit import EditController
from app.controllers.predict.models import ModelsController
from app.controllers.project.folder_jobs import FolderJobs
from app.services.calls import Call
from app.services.jobs import Job, JobState
from app.services.services import Services
from app.services.session import OpenImage, by_hand, unset
from app.state.patch import TilePatch
from app.state.provenance import Merge, Provenance, merge_labels, merge_patch, would_change
from app.text import displayed, tr
from app.worker.messages import URGENT, Predict, Predicted
from deeplab_core.errors import AtrousError, message
from deeplab_core.labels import LabelMap
from deeplab_core.metrics.confusion import same_classes
from deeplab_core.records import Prediction


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A prediction that waits for the user's decision.

    Attributes:
        labels: (H, W) in the project's ids.
        merge: what taking it would change.
        refined: it is the result of a CRF on the folder, not of the model alone.
    """

    labels: LabelMap
    merge: Merge
    refined: bool = False

    @property
    def conflicts(self) -> int:
        """Pixels that the user set and for which the model says something else."""
        return int(np.count_nonzero(self.merge.conflicts))


class PredictController(QObject):
    """Runs the model on the image in view.

    Signals:
        suggestionChanged(Suggestion | None): one waits, or none does any more.
    """

    suggestionChanged = Signal(object)

    def __init__(
        self,
        services: Services,
        models: ModelsController,
        edit: EditController,
        folder_jobs: FolderJobs,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._session, self.models, self._edit, self._compute = services.session, models, edit, services.compute
        folder_jobs.suggested.connect(self._offer)
        folder_jobs.withdrawn.connect(self._withdraw)
        self._jobs, self._notifier = services.jobs, services.notifier
        self._context = services.context
        self._calls: dict[int, Call[Predicted]] = {}  # by image
        self.suggestion: Suggestion | None = None
        services.session.imageChanged.connect(self._follow_image)
        models.mappingChanged.connect(self._follow_mapping)
        models.cardChanged.connect(lambda _card: self._predict_unseen())
        services.jobs.changed.connect(lambda: services.context.update(job_running=bool(services.jobs.running)))

    # -- commands -----------------------------------------------------------------------------------------------------------

    def run_image(self, *, unasked: bool = False) -> None:
        """Run the model on the image in view; it jumps the queue of a folder run.

        Args:
            unasked: the program runs it because the image has no labels. An import of labels ends the question.
        """
        image = self._session.image
        if image is None or self.models.card is None or image.id in self._calls:
            return
        if not self.models.ask_unless_agreed():
            return
        options = self.models.run_settings.options()
        call = self._compute.submit(Predict(priority=URGENT, image=str(image.path), source_key=image.key, options=options))
        job = self._jobs.add(Job(tr("Running on {name}", name=displayed(image.path.name)), call.cancel))
        number, revision = image.id, image.document.revision  # the document may move on before the answer comes
        self._calls[number] = call.on(
            done=lambda answer: self._take(answer, number, revision, job, unasked=unasked),
            failed=lambda error: self._fail(error, number, job),
            cancelled=lambda: self._end(number, job, JobState.CANCELLED),
            progress=lambda fraction, text: job.progress(0, 1, tr(text), fraction),
        )

    def _withdraw(self, image: int) -> None:
        """The suggestion of an image was taken back."""
        if self._session.image is not None and self._session.image.id == image:
            self._set_suggestion(None)

    def cancel(self) -> None:
        """Stop every running job."""
        self._jobs.cancel_all()

    def accept_suggestion(self) -> None:
        """Lay the waiting prediction under the user's own pixels, as one step."""
        suggestion, image = self.suggestion, self._session.image
        if suggestion is None or image is None:
            return
        self._lay(image, suggestion.labels)
        self._decide()

    def dismiss_suggestion(self) -> None:
        """Keep the mask as it is."""
        self._decide()

    def start_from_model(self) -> None:
        """Replace the whole mask by the prediction, as one step."""
        image = self._session.image
        if image is not None and image.document.reference is not None:
            self._edit.replace_all(image.document.reference, Provenance.MODEL, message("Replace by prediction"))
            self._decide()

    def start_from_blank(self) -> None:
        """Make the whole mask unlabelled, as one step."""
        image = self._session.image
        if image is not None:
            document = image.document
            self._edit.replace_all(
                np.full_like(document.labels, document.catalog.ignore), Provenance.UNSET, message("Clear mask")
            )

    # -- answers ---------------------------------------------------------------------------------------------------------

    def _take(self, answer: Predicted, number: int, revision: int, job: Job, *, unasked: bool) -> None:
        self._end(number, job, JobState.DONE)
        self.models.report_run(answer.prediction.report)
        image, project = self._session.image, self._session.project
        if project is None:
            return
        waits = False
        if image is not None and image.id == number:
            imported = unasked and bool((image.document.provenance == Provenance.IMPORT).all())
            waits = self._show(image, answer.prediction, moved=image.document.revision != revision, offer=not imported)
            self._session.miss_prediction(number)  # if it does not fit
        if project.read_only or number not in {record.id for record in project.images}:
            return
        self.models.remember_card()
        self._jobs.run(
            lambda: project.keep_prediction(number, answer.prediction, suggestion=waits),
            lambda _record: None,
            self._notifier.report_or_raise,
        )

    def show_prediction(self, image_id: int, prediction: Prediction) -> None:
        """A run over the folder has predicted an image: show it if it is in view."""
        image = self._session.image
        if image is not None and image.id == image_id:
            self._show(image, prediction, moved=False)

    def _fail(self, error: AtrousError, number: int, job: Job) -> None:
        self._end(number, job, JobState.FAILED)
        self._notifier.report(error)

    def _end(self, number: int, job: Job, state: JobState) -> None:
        del self._calls[number]
        job.finish(state)
        if state is not JobState.DONE:
            self._session.miss_prediction(number)

    # -- the image in view -----------------------------------------------------------------------------------------------

    def _follow_image(self, image: OpenImage | None) -> None:
        for number, call in list(self._calls.items()):
            if image is None or number != image.id:
                call.cancel()
        self._set_suggestion(None)
        if image is None:
            self._context.update(has_prediction=False)
            return
        if image.prediction is not None:
            self._show(image, image.prediction, moved=False, from_disk=True)
        else:
            self._context.update(has_prediction=False)
        self._predict_unseen()

    def _predict_unseen(self) -> None:
        image = self._session.image
        if image is not None and not self.models.loading and self.models.runs_unasked(image):
            self.run_image(unasked=True)

    def _follow_mapping(self) -> None:
        image = self._session.image
        if image is not None and image.prediction is not None:
            self._show(image, image.prediction, moved=False)
        self._predict_unseen()

    def _show(
        self, image: OpenImage, prediction: Prediction, *, moved: bool, from_disk: bool = False, offer: bool = True
    ) -> bool:
        """Take a prediction for the image in view; True where it waits as a suggestion, which ``offer`` allows."""
        project = self._session.project
        labels = self.models.in_project_ids(prediction)
        if project is None or labels is None or labels.shape != image.document.shape:
            return False
        if not same_classes(project.catalog, image.document.catalog):
            return False  # the project took other classes; the image is being read again
        self._context.update(has_prediction=True)
        self._session.take_prediction(image, prediction, labels)
        document = image.document
        if not by_hand(document) and not moved and not self._edit.busy:
            if self._context["can_edit"] and (not from_disk or unset(document)):
                self._lay(image, labels)
            return False
        if not offer or (from_disk and not project.record(image.id).suggested):
            return False
        if not would_change(document.labels, document.provenance, labels):
            self._decide()  # nothing is left to decide
            return False

        refined = prediction.options.crf is not None

        def suggest(merge: Merge, offered: LabelMap = labels) -> None:
            if self._session.image is image and document.reference is offered:
                self._set_suggestion(Suggestion(offered, merge, refined))

        # The user may keep painting: the merge only says how much it is about; applying it merges again.
        self._jobs.run(
            lambda: merge_labels(document.labels, document.provenance, labels, Provenance.MODEL, locked=document.locked),
            suggest,
            self._notifier.report_or_raise,
        )
        return True

    def _offer(self, number: int, prediction: Prediction) -> None:
        """Let a result that was kept beside the user's work wait in view, as one of the model does."""
        image = self._session.image
        if image is not None and image.id == number:
            self._show(image, prediction, moved=True)

    def _lay(self, image: OpenImage, labels: LabelMap) -> None:
        document = image.document
        name = message("{name}", name=self.models.card.name) if self.models.card is not None else message("Model")
        source = Provenance.MODEL
        if image.prediction is not None and image.prediction.options.crf is not None:
            name, source = message("{name} and CRF", name=name), Provenance.CRF

        def make() -> TilePatch:
            return merge_patch(document.labels, document.provenance, labels, source, locked=document.locked)

        self._edit.carry_out(name, document, make, source)

    def _decide(self) -> None:
        self._set_suggestion(None)
        project, image = self._session.project, self._session.image
        if project is not None and image is not None and not project.read_only and project.record(image.id).suggested:
            try:
                project.dismiss_suggestion(image.id)
            except AtrousError as error:
                self._notifier.report(error)

    def _set_suggestion(self, suggestion: Suggestion | None) -> None:
        self.suggestion = suggestion
        self._context.update(suggestion_waiting=suggestion is not None)
        self.suggestionChanged.emit(suggestion)
