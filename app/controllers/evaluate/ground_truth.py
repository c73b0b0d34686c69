"""The ground truth, the classes and the frame of the masks: found, asked for once, stored with the project, changeable."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from PySide6.QtCore import QObject, Signal

from app.paths import is_sample_project
from app.services.jobs import Job, JobState
from app.services.notifications import Choice
from app.services.services import Services
from app.state.class_choice import (
    ClassDecision,
    ClassQuestion,
    apply_decision,
    choose_catalog,
    class_question,
    decide_classes,
    labelled_images,
    store_how,
)
from app.state.class_pixels import PixelCounts
from app.state.data_choices import (
    OpenQuestions,
    frame_question,
    ground_truth_of,
    index_of,
    open_frame_question,
    read_again,
    search,
    store_choice,
    store_frame,
    stored_frame_of,
    taken_folders,
    without_other_classes,
)
from app.state.ground_truth import FrameQuestion, GroundTruth, How, TruthChoice
from app.state.project import Project
from app.text import error_sentences, joined, plural, sentence, spaced, tr
from app.viewmodels.project.frame_preview import FramePreview, frame_preview
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.catalogs.editing import CatalogEdit
from deeplab_core.datasets import GroundTruthFiles, check_truth_folder
from deeplab_core.errors import AmbiguousFrameError, AtrousError, PredictedTruthError
from deeplab_core.masks.frames import Frame

_KEY = "truth"
#: Longer side of the pictures that show a mask both ways, px.
_PREVIEW_PX = 340


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PredictedQuestion:
    """A folder of predictions was named as ground truth, and the model that made them (empty if unknown)."""

    folder: Path
    model: str


class GroundTruthController(QObject):
    """Owns the project's choices about its data, and asks what only the user knows: one question at a time, each once.

    Attributes:
        problems: (image, why) of ground truth files that could not be used.
        asks: whether questions are asked; ``--smoke`` sets it to False.

    Signals:
        changed(GroundTruth): other files, or another frame. Another project has its own signal.
        truthAsked(GroundTruthFiles, asked): which folder is the ground truth? ``asked`` by the program, not by the user.
        classesAsked(ClassQuestion): which classes do the masks hold?
        frameAsked(FrameQuestion): how are the masks turned?
        predictedAsked(PredictedQuestion): the user chose masks that a model made. Really?
        classesChanged(): the project has other classes, or they were confirmed.
    """

    changed = Signal(object)
    truthAsked = Signal(object, bool)
    classesAsked = Signal(object)
    frameAsked = Signal(object)
    predictedAsked = Signal(object)
    classesChanged = Signal()

    def __init__(self, services: Services, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session, self._jobs, self._notifier = services.session, services.jobs, services.notifier
        self._report = partial(services.notifier.report_or_raise, replace_key=_KEY)
        self._questions = OpenQuestions()
        self.problems: list[tuple[str, str]] = []
        self.asks = True
        services.session.projectChanged.connect(self._follow_project)
        services.session.listChanged.connect(self._follow_list)
        services.session.truthStale.connect(self._follow_files)
        services.session.imageChanged.connect(lambda image: self._ask() if image is not None else None)

    @property
    def truth(self) -> GroundTruth:
        """What the open project has; empty without one."""
        project = self._session.project
        return GroundTruth() if project is None else project.ground_truth

    @property
    def index(self) -> GroundTruthFiles:
        """Ground truth files of the open project; empty without one."""
        return self.truth.index

    def images_with_truth(self) -> list[int]:
        """Ids of the images that can be evaluated; without any, the user gets a message."""
        project = self._session.project
        records = () if project is None else project.images
        ids = [record.id for record in records if not record.missing and self.index.get(record.relative_path) is not None]
        if not ids and project is not None:
            self._notifier.warning(
                tr("No ground truth"),
                tr("Choose the ground truth folder in the Classes panel."),
                replace_key="truth",
                choices=(Choice(tr("Choose ground truth…"), self.review),),
            )
        return ids

    # -- ground truth ----------------------------------------------------------------------------------------------------

    def find(self) -> None:
        """Look for ground truth beside the images; asks if that is ambiguous."""
        self._with_project(lambda project: search(project), self._found)

    def review(self) -> None:
        """Show what can be chosen, whether there is a doubt or not."""
        self._with_project(lambda project: search(project), lambda _project, found: self.truthAsked.emit(found, False))

    def choose(self, folder: Path, how: How = "user", *, predicted: bool = False) -> None:
        """Take the ground truth from a folder; masks that a model made only after :attr:`predictedAsked`."""
        choice = TruthChoice((folder,), how, predicted)

        def read(project: Project) -> GroundTruthFiles | PredictedQuestion:
            try:
                return index_of(project, choice)
            except PredictedTruthError:
                marker = check_truth_folder(folder, allow_predicted=True)
                return PredictedQuestion(folder, (marker and marker.model) or "")

        def done(project: Project, found: GroundTruthFiles | PredictedQuestion) -> None:
            if isinstance(found, PredictedQuestion):
                self.predictedAsked.emit(found)
            elif found.files:
                self._take(project, choice, found)
            else:
                self._notifier.warning(
                    tr("No mask in {name} matches an image by name", name=folder.name),
                    tr("Ground truth masks have the same names as their images. Nothing was changed."),
                    replace_key=_KEY,
                )

        self._with_project(read, done)

    def choose_none(self, how: How = "user") -> None:
        """Have no ground truth; ``how="later"`` puts the question off until the user asks for it."""
        project = self._session.project
        if project is not None:
            self._take(project, TruthChoice((), how), GroundTruthFiles())

    # -- frame -----------------------------------------------------------------------------------------------------------

    def preview_frame(self, question: FrameQuestion, then: Callable[[FramePreview], None]) -> None:
        """Draw the mask of a question over its photograph both ways, in the background."""

        def draw(project: Project) -> FramePreview:
            catalog = project.class_edits.reading_catalog(project.catalog)
            return frame_preview(project.folder / question.image, question.mask, catalog, _PREVIEW_PX)

        def failed(error: Exception) -> None:
            self._report(error)
            self._ask()

        self._with_project(draw, lambda _project, preview: then(preview), failed)

    def answer_frame(self, question: FrameQuestion, frame: Frame) -> None:
        """Say how the masks of a folder are turned; ``auto`` puts the question off."""
        self.set_frame(question.folder, frame)
        self._ask()

    def set_frame(self, folder: Path, frame: Frame) -> None:
        """Keep how the masks of a folder are turned; the ground truth is read again if it is there."""
        project = self._session.project
        if project is None:
            return
        try:
            store_frame(project, folder, frame)
        except AtrousError as error:
            self._notifier.report(error, replace_key="save")
        truth = project.ground_truth
        if truth.choice is not None and folder in truth.choice.folders and frame != truth.frame:
            project.ground_truth = replace(truth, frame=frame)
            self._announce(project)

    def review_frame(self) -> None:
        """Show a photograph with its mask both ways, asked before or not."""
        choice = self.truth.choice

        def read(project: Project) -> FrameQuestion | None:
            if choice is None or not choice.folders:
                return None
            return frame_question(project, choice.folders[0], project.ground_truth.files, again=True)

        def done(_project: Project, question: FrameQuestion | None) -> None:
            if question is not None:
                self.frameAsked.emit(question)
            else:
                self._notifier.info(
                    tr("No ground truth mask fits its image in both orientations"),
                    tr("There is nothing to choose."),
                    replace_key=_KEY,
                )

        self._with_project(read, done)

    def note_problem(self, image: int, error: AtrousError) -> None:
        """Note that the ground truth of an image cannot be used, each reason once; ask for the frame if only that is unknown."""
        project = self._session.project
        if project is None:
            return
        path = project.record(image).relative_path
        problem = path, error_sentences(error)
        if problem not in self.problems:
            self.problems.append(problem)
        choice = project.ground_truth.choice
        if not isinstance(error, AmbiguousFrameError) or choice is None or not choice.folders:
            return
        if self._questions.frame is not None or path not in self.truth.files:
            return
        question = frame_question(project, choice.folders[0], {path: self.truth.files[path]})
        if question is not None:
            self._questions = replace(self._questions, frame=question)
            self._ask()

    # -- classes ---------------------------------------------------------------------------------------------------------

    def compare_catalogs(self, then: Callable[[ClassQuestion], None]) -> None:
        """Measure what each catalog makes of the ground truth, in the background."""

        def measure(project: Project) -> ClassQuestion:
            touched, predicted = labelled_images(project)
            return class_question(project, project.ground_truth, touched=touched, predicted=predicted)

        self._with_project(measure, lambda _project, question: then(question))

    def choose_catalog(self, catalog: ClassCatalog, *, asked: bool = False) -> None:
        """Give the project other classes; everything is read again."""
        cleared = 0

        def change(project: Project) -> OpenQuestions:
            nonlocal cleared
            cleared = choose_catalog(project, catalog, "asked" if asked else "user")
            read_again(project)
            return OpenQuestions(frame=open_frame_question(project))

        def done() -> None:
            detail = (
                plural("{n} mask of the model was set aside.", "{n} masks of the model were set aside.", cleared)
                if cleared
                else ""
            )
            self._notifier.info(tr("Classes set to {title}", title=tr(catalog.title)), detail, replace_key=_KEY)
            self.classesChanged.emit()

        self._questions = replace(self._questions, classes=None)
        self._session.change_classes(change, done)

    def edit_classes(
        self, edit: CatalogEdit, then: Callable[[], object] = lambda: None, failed: Callable[[], object] = lambda: None
    ) -> None:
        """Apply an edit of the classes; the image in view follows at once, the others when they are read.

        ``then`` goes on, or ``failed`` if the edit could not be saved.
        """

        def change(project: Project) -> OpenQuestions:
            project.edit_classes(edit)
            store_how(project, "user", tr("You edited them"))
            read_again(project)
            return OpenQuestions(frame=open_frame_question(project))

        undo = Choice(tr("Undo"), self.undo_class_edit)
        title, detail = tr("The classes were edited"), tr(edit.title)
        self._session.change_classes(change, lambda: self._edited(title, detail, undo, then=then), failed)

    def undo_class_edit(self) -> None:
        """Take the newest edit of the classes back."""
        title = ""

        def change(project: Project) -> OpenQuestions:
            nonlocal title
            title = project.undo_class_edit().title
            read_again(project)
            return OpenQuestions(frame=open_frame_question(project))

        self._session.change_classes(change, lambda: self._edited(tr("The edit of the classes was undone"), title))

    def count_class_pixels(self, class_ids: Collection[int], then: Callable[[PixelCounts], None]) -> None:
        """Count the pixels of classes over all masks, in the background."""
        self._with_project(lambda project: project.count_pixels(class_ids), lambda _project, found: then(found))

    def _edited(self, title: str, detail: str, *choices: Choice, then: Callable[[], object] = lambda: None) -> None:
        self._notifier.info(title, f"{detail}.", replace_key=_KEY, choices=choices)
        self.classesChanged.emit()
        then()

    def keep_catalog(self, *, later: bool = False) -> None:
        """Keep the project's classes; ``later`` puts the question off until the user asks for it."""
        project = self._session.project
        self._questions = replace(self._questions, classes=None)
        if project is not None:
            try:
                store_how(project, "later" if later else "asked")
            except AtrousError as error:
                self._notifier.report(error, replace_key="save")
            self.classesChanged.emit()
        self._ask()

    # -- inside ----------------------------------------------------------------------------------------------------------

    def _follow_project(self, project: Project | None) -> None:
        self._questions = OpenQuestions()
        if project is not None and isinstance(self._session.prepared, OpenQuestions):
            self._questions = self._session.prepared
        self.problems = [(problem.image, tr(problem.message)) for problem in self.index.problems]
        if self._questions.error is not None:
            self._notifier.report(self._questions.error, replace_key="save")
        refused = self._questions.refused
        if refused is not None:
            self._notifier.warning(
                tr("The ground truth of this project is no longer used"),
                error_sentences(refused),
                replace_key=_KEY,
                choices=(Choice(tr("Choose ground truth…"), self.review),),
            )
        if project is not None and project.ground_truth.problem:
            self._say_unreadable(project.ground_truth)

    def _say_unreadable(self, truth: GroundTruth) -> None:
        title, choose = tr("The ground truth of this project cannot be read"), Choice(tr("Choose ground truth…"), self.review)
        self._notifier.warning(title, tr(truth.problem), replace_key=_KEY, choices=(choose,))

    def _follow_list(self) -> None:
        """Images came or went: those that came may have ground truth in the chosen folder."""
        self._read_again(written=False, said=False)

    def _follow_files(self, written: bool) -> None:
        """Files of the ground truth were ``written`` or are gone; else something came or went beside them."""
        self._read_again(written=written, said=True)

    def _read_again(self, *, written: bool, said: bool) -> None:
        """Look for the ground truth again; nothing is announced if the same files are found, and none of them was written."""
        project = self._session.project
        choice = None if project is None else project.ground_truth.choice
        if choice is None or not choice.folders:
            return

        def done(project: Project, found: GroundTruth) -> None:
            before = project.ground_truth
            same = (found.files, found.problem) == (before.files, before.problem)
            if before.choice != choice or (same and not written):
                return
            project.ground_truth = found
            if found.problem:
                self._say_unreadable(found)
            elif said:
                title, text = tr("The ground truth has changed on disk"), tr("It was read again; figures follow it.")
                self._notifier.info(title, text, replace_key=_KEY)
            self._announce(project)

        self._with_project(lambda project: without_other_classes(project, ground_truth_of(project, choice)), done)

    def _found(self, project: Project, found: GroundTruthFiles) -> None:
        if found.files and found.certain:
            self._take(project, TruthChoice(taken_folders(found), "certain"), found)
        elif found.files:
            self._questions = replace(self._questions, truth=found)
            self._ask()
        else:
            self._notifier.warning(
                tr("No ground truth found"),
                sentence(found.reason) if found.reason else
                tr("Ground truth masks have the same names as their images. Choose the folder that contains them."),
                replace_key=_KEY,
                choices=(Choice(tr("Choose ground truth…"), self.review),),
            )  # fmt: skip

    def _take(self, project: Project, choice: TruthChoice, index: GroundTruthFiles) -> None:
        """Store a choice, show it, and see what follows for classes and frame."""
        self._questions = OpenQuestions()
        try:
            store_choice(project, choice)
        except AtrousError as error:
            self._notifier.report(error, replace_key="save")
        project.ground_truth = GroundTruth(index, stored_frame_of(project, choice.folders), choice)
        if not index.files:
            self._announce(project)
            return

        def read(project: Project) -> tuple[ClassDecision, FrameQuestion | None]:
            project.ground_truth = without_other_classes(project, project.ground_truth)
            return decide_classes(project, project.ground_truth, again=True), open_frame_question(project)

        def done(project: Project, found: tuple[ClassDecision, FrameQuestion | None]) -> None:
            decision, frame = found
            if project.ground_truth.problem:
                self._notifier.warning(tr("This ground truth cannot be used"), tr(project.ground_truth.problem), replace_key=_KEY)
            else:
                self._say_taken(project)
            if decision.catalog is None:
                self._questions = OpenQuestions(classes=decision.question, frame=frame)
                self._announce(project)
                self._ask()
                return

            def change(project: Project) -> OpenQuestions:
                apply_decision(project, decision)
                read_again(project)
                return OpenQuestions(frame=open_frame_question(project))

            self._session.change_classes(change, self.classesChanged.emit)

        self._with_project(read, done)

    def _announce(self, project: Project) -> None:
        self.problems = [(problem.image, tr(problem.message)) for problem in project.ground_truth.index.problems]
        self.changed.emit(project.ground_truth)
        self._session.truthTaken.emit()

    def _say_taken(self, project: Project) -> None:
        index = project.ground_truth.index
        number = tr(
            "{index} of {images} have ground truth",
            index=spaced(len(index)),
            images=plural("{n} image", "{n} images", len(project.images)),
        )
        where = ", ".join(folder.name for folder in index.folders[:3])
        parts = [tr("In {where}.", where=where)]
        if index.marker is not None:
            parts.append(tr("It is {text}.", text=index.marker.text()))
        self._notifier.info(number, joined(" ", parts), replace_key=_KEY)

    def _ask(self) -> None:
        """Ask the first open question, once an image is in view."""
        project, questions = self._session.project, self._questions
        if project is None or self._session.image is None:
            return
        if not self.asks or is_sample_project(project.folder):
            self._questions = OpenQuestions()
        elif questions.truth is not None:
            self._questions = replace(questions, truth=None)
            self.truthAsked.emit(questions.truth, True)
        elif questions.classes is not None:
            self._questions = replace(questions, classes=None)
            self.classesAsked.emit(questions.classes)
        elif questions.frame is not None:
            self._questions = replace(questions, frame=None)
            self.frameAsked.emit(questions.frame)

    def ask_next(self) -> None:
        """A question was answered: ask the next one, if any."""
        self._ask()

    def _with_project(
        self,
        work: Callable[[Project], T],
        done: Callable[[Project, T], None],
        failed: Callable[[Exception], None] | None = None,
    ) -> None:
        """Run ``work`` in the background; the answer counts only while the same project is open."""
        project = self._session.project
        if project is None:
            return
        job = self._jobs.add(Job(tr("Reading the ground truth")))

        def finish(found: T) -> None:
            job.finish()
            if project is self._session.project:
                done(project, found)

        def fail(error: Exception) -> None:
            job.finish(JobState.FAILED)
            if project is self._session.project:
                (failed or self._report)(error)

        self._jobs.run(lambda: work(project), finish, fail)
