"""Learning from corrections: what there is to learn from, the job, and the user's decision about its result."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from app.controllers.annotate.edit import EditController
from app.controllers.predict.folder import FolderRun
from app.controllers.predict.models import ModelsController
from app.controllers.project.folder_jobs import FolderJobs
from app.services.calls import Call
from app.services.jobs import Job, JobState
from app.services.notifications import Choice
from app.services.services import Services
from app.state.class_mapping import choose_classes, forget_choices
from app.state.corrections import Corrections, survey
from app.state.project import Project
from app.state.samples import OpenLabels
from app.text import joined, plural, spaced, tr
from app.viewmodels.project.folder_plan import plan_of_learned
from app.worker.messages import CorrectedImage, Learn, Learned, LearnTask
from deeplab_core.atomic import replace_file
from deeplab_core.errors import AtrousError, StorageError, error_text, message
from deeplab_core.learning import LearnOptions
from deeplab_core.records import ModelCard

#: Folder of models that were learned in a project, below its data; and of the one that was not accepted yet.
MODELS, WAITING = "models", "waiting"


@dataclass(frozen=True, slots=True)
class LearnResult:
    """A model that has learned and waits for a decision.

    Attributes:
        learned: what the compute process says.
        corrections: what it learned from.
    """

    learned: Learned
    corrections: Corrections


class LearnController(QObject):
    """At most one model learns at a time, and at most one result waits.

    Attributes:
        result: the one that waits.

    Signals:
        surveyed(Corrections): there is something to learn from; ask the user for the options, then call :meth:`start`.
        resultChanged(LearnResult | None): one waits, or none does any more.
        shown(): the user wants to see the one that waits.
    """

    surveyed = Signal(object)
    resultChanged = Signal(object)
    shown = Signal()

    def __init__(
        self,
        services: Services,
        models: ModelsController,
        folder_run: FolderRun,
        edit: EditController,
        folder_jobs: FolderJobs,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._session, self._models, self._run, self._edit = services.session, models, folder_run, edit
        self._compute = services.compute
        self._jobs, self._notifier = services.jobs, services.notifier
        self._settings, self._context = services.settings, services.context
        self._folder_jobs = folder_jobs
        self._report = partial(services.notifier.report_or_raise, replace_key="learn")
        self._call: Call[Learned] | None = None
        self._project: Project | None = None
        self.result: LearnResult | None = None
        self._awaited: Path | None = None
        models.cardChanged.connect(self._follow_card)
        services.session.projectChanged.connect(self._follow_project)

    # -- commands -----------------------------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """See what the user has corrected; :attr:`surveyed` follows, or a message that there is nothing yet."""
        project, card = self._session.project, self._models.card
        if project is None or card is None or project.read_only or self._call is not None:
            return
        if not self._models.ask_unless_agreed():
            return
        self._edit.commit_stroke()
        masks = self._open_masks(project)

        def found(corrections: Corrections) -> None:
            if project is self._session.project:
                self._offer(corrections)

        self._jobs.run(lambda: survey(project, card.catalog, card.id, masks), found, self._report)

    def start(self, corrections: Corrections, options: LearnOptions) -> None:
        """Have the model in use learn, in the background."""
        project, model = self._session.project, self._models.path
        if project is None or model is None or self._call is not None:
            return
        self._set_result(None)
        task = LearnTask(
            model=str(model),
            target=str(
                project.directory / MODELS / WAITING / f"{model.stem.split('-learned-')[0]}-learned-{_stamp()}.safetensors"
            ),
            corrected=tuple(
                CorrectedImage(name=image.name, image=image.path, known=image.known, mask=image.mask)
                for image in corrections.images
            ),
            untouched=corrections.untouched,
            labels=corrections.catalog,
            pairs=corrections.pairs,
            options=options,
            device=self._settings["model.device"],
            output_stride=self._settings["model.output_stride"] or None,
        )
        number = len(corrections.images)
        job = self._jobs.add(Job(tr("Learning from {number}", number=plural("{n} image", "{n} images", number)), self.cancel))
        self._call = self._compute.submit(Learn(task=task))
        self._call.on(
            done=lambda answer: self._take(answer, project, corrections, job),
            failed=lambda error: self._fail(error, job),
            cancelled=lambda: self._drop(job),
            progress=lambda fraction, text: job.progress(0, 1, tr(text), fraction),
        )
        self._context.update(learning=True)

    def cancel(self) -> None:
        """Stop learning; everything stays as it was."""
        if self._call is not None:
            self._call.cancel()

    def show(self) -> None:
        """Show the result that waits."""
        if self.result is not None:
            self.shown.emit()

    def accept(self) -> None:
        """Say what that changes, then use the model that has learned from now on, and predict the folder again."""
        result, project = self.result, self._session.project
        if result is not None and project is not None:
            self._folder_jobs.ask(plan_of_learned(project, result.learned.card.name), lambda: self._accept(result, project))

    def _accept(self, result: LearnResult, project: Project) -> None:
        if result is not self.result or project is not self._session.project:
            return  # the question was answered late
        waiting = Path(result.learned.path)
        target = project.directory / MODELS / waiting.name
        try:
            # The file moves last: whatever fails before or with it, the result still waits where it was.
            with _remembered_classes(project, result), _explained(target):
                replace_file(waiting, target)
        except AtrousError as error:
            self._report(error)
            return
        self.result = None
        self._update_context()
        self._awaited = target
        self._models.load(target)

    def _follow_card(self, card: ModelCard) -> None:
        """Once the model that has learned is loaded, predict the folder again; another model replaces no labels."""
        taken = self._awaited is not None and self._models.path == self._awaited
        self._run.replace_labels(card.id if taken else "")
        if taken:
            self._awaited = None
            self._run.start_agreed()

    def discard(self) -> None:
        """Forget the result; the model in use stays in use."""
        self._set_result(None)

    # -- what the compute process says -----------------------------------------------------------------------------------

    def _take(self, answer: Learned, project: Project, corrections: Corrections, job: Job) -> None:
        self._end(job, JobState.DONE)
        result = LearnResult(answer, corrections)
        if project is not self._session.project:
            _remove(Path(answer.path))
            return
        self.result = result
        self._update_context()
        report = answer.report
        sentences = []
        if report.held_out is not None:
            before, after = (100 * value for value in report.held_out)
            found = tr("On held-out images: {before:.1f} before, {after:.1f} after (mean IoU).", before=before, after=after)
            sentences.append(found)
        sentences.append(tr("Nothing changes until you accept it."))
        self._notifier.info(
            tr("Learning finished"),
            joined(" ", sentences),
            replace_key="learn",
            choices=(Choice(tr("Before and after…"), self.show),),
        )
        self.shown.emit()

    def _fail(self, error: AtrousError, job: Job) -> None:
        self._end(job, JobState.FAILED)
        self._notifier.report(error, replace_key="learn")

    def _drop(self, job: Job) -> None:
        self._end(job, JobState.CANCELLED)
        self._notifier.info(tr("Learning cancelled"), tr("Nothing was changed."), replace_key="learn")

    def _end(self, job: Job, state: JobState) -> None:
        self._call = None
        job.finish(state)
        self._context.update(learning=False)

    # -- inside ----------------------------------------------------------------------------------------------------------

    def _open_masks(self, project: Project) -> dict[int, OpenLabels]:
        """Copies of labels with their newest state in memory: jobs never look at a document."""
        masks = {}
        autosaver, image = self._session.autosaver, self._session.image
        for record in project.images:
            document = None
            if image is not None and image.id == record.id:
                document = image.document
            elif record.touched and autosaver is not None:
                document = autosaver.held(record.id)
            if document is not None:
                document.settle()
                masks[record.id] = OpenLabels(document.labels.copy(), document.provenance.copy())
        return masks

    def _offer(self, corrections: Corrections) -> None:
        if corrections.images:
            self.surveyed.emit(corrections)
            return
        detail = tr("Correct one or two images with the brush, or mark an image reviewed.")
        if corrections.touched:
            count = spaced(corrections.touched)
            detail = tr("The {count} edited image(s) contain no pixel that you painted. {detail}", count=count, detail=detail)
        if corrections.skipped:
            detail = f"{corrections.skipped[0][1]} {detail}"
        self._notifier.warning(tr("Nothing to learn from yet"), detail, replace_key="learn")

    def _follow_project(self, project: Project | None) -> None:
        self._awaited = None
        if project is self._project:
            return
        self.cancel()
        self._set_result(None)
        self._project = project
        if project is not None and not project.read_only:
            for left in sorted((project.directory / MODELS / WAITING).glob("*.safetensors")):
                _remove(left)  # no decision before the program ended

    def _set_result(self, result: LearnResult | None) -> None:
        before, self.result = self.result, result
        if before is not None:
            _remove(Path(before.learned.path))
        self._update_context()

    def _update_context(self) -> None:
        self._context.update(learned_waiting=self.result is not None)
        self.resultChanged.emit(self.result)


@contextlib.contextmanager
def _remembered_classes(project: Project, result: LearnResult) -> Iterator[None]:
    """What the old model's classes mean here, the learned one's mean too; not where the block fails with an AtrousError.

    Raises:
        StorageError: the project cannot be written.
    """
    card = result.learned.card
    pairs = dict(result.corrections.pairs)
    for info in card.catalog.classes[len(pairs) :]:
        partner = project.catalog.by_name(info.name.removesuffix(" (new)"))
        pairs[info.id] = None if partner is None else partner.id
    choose_classes(project, card.catalog, card.id, pairs)
    try:
        yield
    except AtrousError:
        with contextlib.suppress(AtrousError):
            forget_choices(project, card.id)
        raise


class _explained(contextlib.AbstractContextManager[None]):  # noqa: N801  (reads as a verb where it is used)
    """Turns an error about a file into one with a remedy for the model."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError) or type(error) is StorageError:
            why = error.why if isinstance(error, StorageError) else error.strerror or error_text(error)
            raise StorageError(
                message("the model cannot be saved"), why=why,
                remedy=message("Make the project folder writable, then accept it again"), path=self._path,
            ) from error  # fmt: skip


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)


def _stamp() -> str:
    return time.strftime("%Y%m%d-%H%M%S")
