"""What a project's data says by itself when it is opened, and what only the user knows. No Qt, no torch."""

from __future__ import annotations

from dataclasses import dataclass, replace

from app.state.class_choice import ClassQuestion, apply_decision, decide_classes, guess_classes, stored_how
from app.state.ground_truth import (
    FrameQuestion,
    GroundTruth,
    TruthChoice,
    frame_question,
    ground_truth_of,
    search,
    store_choice,
    stored_choice,
    stored_frame_of,
    taken_folders,
)
from app.state.project import Project
from deeplab_core.datasets import GroundTruthFiles
from deeplab_core.errors import AtrousError, PredictedTruthError
from deeplab_core.metrics.confusion import same_classes


@dataclass(frozen=True, slots=True)
class OpenQuestions:
    """What opening a project could not decide by itself.

    Attributes:
        truth: folders that may be ground truth; None where that is decided.
        classes, frame: see :class:`ClassQuestion`, :class:`FrameQuestion`.
        refused: the stored ground truth turned out to be predictions that the user did not agree to; it is not used.
        error: the project could not keep what was found.
    """

    truth: GroundTruthFiles | None = None
    classes: ClassQuestion | None = None
    frame: FrameQuestion | None = None
    refused: PredictedTruthError | None = None
    error: AtrousError | None = None


def settle(project: Project) -> OpenQuestions:
    """Take or find the ground truth of a project and its classes, before anything is shown. Meant for another thread.

    What is certain is stored with the project; what is not becomes a question.
    """
    try:
        choice, refused = stored_choice(project), None
        if choice is not None:
            try:
                project.ground_truth = ground_truth_of(project, choice)
                return follow_up(project)
            except PredictedTruthError as error:
                refused = error
        found = search(project)
        if not found.certain:
            project.ground_truth = GroundTruth(replace(found, files={}))
            return OpenQuestions(truth=found, refused=refused)
        if not found.files:
            project.ground_truth = GroundTruth(found)
            return OpenQuestions(refused=refused)
        choice = TruthChoice(taken_folders(found), "certain")
        project.ground_truth = GroundTruth(found, stored_frame_of(project, choice.folders), choice)
        store_choice(project, choice)
        return replace(follow_up(project), refused=refused)
    except AtrousError as error:
        return OpenQuestions(error=error)


def follow_up(project: Project) -> OpenQuestions:
    """What the project's ground truth says about its classes and its frame; takes what is certain. No image may be open.

    Raises:
        AtrousError: the project cannot be written.
    """
    leave_out_other_classes(project)
    decision = decide_classes(project, project.ground_truth)
    apply_decision(project, decision)
    if decision.catalog is not None:
        read_again(project)
    return OpenQuestions(classes=decision.question, frame=open_frame_question(project))


def leave_out_other_classes(project: Project) -> None:
    """A read-only project cannot take the classes of its ground truth: it has no figures instead of wrong ones."""
    truth = project.ground_truth
    if not project.read_only or not truth.files or stored_how(project) is not None:
        return
    guess = guess_classes(project, truth)
    if guess.certain and guess.catalog is not None and not same_classes(guess.catalog, project.catalog):
        problem = (
            f"It is made in the classes of {guess.catalog.title}, and this project has {project.catalog.title}. "
            "Open the project to edit, and choose its classes"
        )
        project.ground_truth = replace(truth, index=replace(truth.index, files={}), problem=problem)


def read_again(project: Project) -> None:
    """Which of several files belongs to an image depends on the classes (Cityscapes)."""
    if project.ground_truth.choice is not None:
        project.ground_truth = ground_truth_of(project, project.ground_truth.choice)


def open_frame_question(project: Project) -> FrameQuestion | None:
    """Whether the project's ground truth fits its photographs both ways, and the user was not asked yet."""
    truth = project.ground_truth
    if not truth.files or truth.frame != "auto" or truth.choice is None or not truth.choice.folders:
        return None
    return frame_question(project, truth.choice.folders[0], truth.files)
