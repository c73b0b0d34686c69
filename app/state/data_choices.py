"""What a project's data says by itself when it is opened, and what only the user knows. No Qt, no torch."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from app.state.class_choice import ClassQuestion, apply_decision, decide_classes, guess_classes, stored_how
from app.state.ground_truth import FrameQuestion, GroundTruth, How, TruthChoice
from app.state.project import Project
from deeplab_core.datasets import GroundTruthFiles, find_truth
from deeplab_core.errors import AtrousError, ImageReadError, MaskFormatError, PredictedTruthError, error_text, message
from deeplab_core.masks.frames import Frame, is_ambiguous_frame, recorded_frame
from deeplab_core.metrics.confusion import same_classes

if TYPE_CHECKING:
    from deeplab_core.images.probe import ImageInfo

_CHOICE, _FRAMES, _OLD_CHOICE = "ground_truth", "mask_frames", "truth_folder"
#: Photographs with headers that are read to see whether the frame of the masks must be asked for. Any other one that turns out
#: ambiguous when it is read is asked for then.
_PROBED = 256


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
    project.ground_truth = without_other_classes(project, project.ground_truth)
    decision = decide_classes(project, project.ground_truth)
    apply_decision(project, decision)
    if decision.catalog is not None:
        read_again(project)
    return OpenQuestions(classes=decision.question, frame=open_frame_question(project))


def without_other_classes(project: Project, truth: GroundTruth) -> GroundTruth:
    """A read-only project cannot take the classes of its ground truth: it has no figures instead of wrong ones."""
    if not project.read_only or not truth.files or stored_how(project) is not None:
        return truth
    guess = guess_classes(project, truth)
    if guess.certain and guess.catalog is not None and not same_classes(guess.catalog, project.catalog):
        problem = message(
            "It is in the classes of {theirs}, and this project has {ours}. Open the project to edit, and choose its classes",
            theirs=guess.catalog.title,
            ours=project.catalog.title,
        )
        return replace(truth, index=replace(truth.index, files={}), problem=problem)
    return truth


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


# -- what is stored with the project -------------------------------------------------------------------------------------------


def stored_choice(project: Project) -> TruthChoice | None:
    """The project's choice; that of an older program counts too. None before anything was chosen."""
    found = project.setting(_CHOICE)
    if isinstance(found, dict) and found.get("how") in get_args(How) and isinstance(found.get("folders"), list):
        folders = tuple(_from_text(project, str(folder)) for folder in found["folders"])
        return TruthChoice(folders, found["how"], bool(found.get("predicted")))
    old = project.setting(_OLD_CHOICE)
    if isinstance(old, str) and old and Path(old).is_dir():
        return TruthChoice((Path(old),), "user")
    return None


def store_choice(project: Project, choice: TruthChoice) -> None:
    """Keep a choice; a read-only project forgets it at its end. Raises StorageError."""
    if project.read_only:
        return
    value: dict[str, Any] = {"folders": [_to_text(project, folder) for folder in choice.folders], "how": choice.how}
    project.set_setting(_CHOICE, value | ({"predicted": True} if choice.predicted else {}))


def stored_frame(project: Project, folder: Path) -> Frame:
    """Frame that the user named for the masks of a folder or of one above it; ``auto`` without an answer."""
    answers = project.setting(_FRAMES, {})
    if isinstance(answers, dict):
        for place in (folder, *folder.parents):
            found = answers.get(_to_text(project, place))
            if found in ("stored", "oriented"):
                return "stored" if found == "stored" else "oriented"
    return "auto"


def frame_was_asked(project: Project, folder: Path) -> bool:
    """Whether the user has seen the question for a folder, answered or not."""
    answers = project.setting(_FRAMES, {})
    return isinstance(answers, dict) and any(_to_text(project, place) in answers for place in (folder, *folder.parents))


def store_frame(project: Project, folder: Path, frame: Frame) -> None:
    """Keep an answer; ``auto`` means that the question was postponed. Raises StorageError."""
    if project.read_only:
        return
    answers = project.setting(_FRAMES, {})
    project.set_setting(_FRAMES, (answers if isinstance(answers, dict) else {}) | {_to_text(project, folder): frame})


def _to_text(project: Project, folder: Path) -> str:
    """Relative if the folder is in or beside the images', so that a data set can be moved as a whole."""
    folder = Path(os.path.abspath(folder))  # noqa: PTH100 -- Path.resolve would follow links
    if folder.is_relative_to(project.folder.parent):
        return Path(os.path.relpath(folder, project.folder)).as_posix()
    return folder.as_posix()


def _from_text(project: Project, text: str) -> Path:
    return Path(os.path.normpath(project.folder / text))


# -- finding -------------------------------------------------------------------------------------------------------------------


def search(project: Project) -> GroundTruthFiles:
    """Look for ground truth in and beside the folder, in any classes; see :func:`deeplab_core.datasets.find_truth`."""
    return find_truth(project.folder, _names(project))


def taken_folders(index: GroundTruthFiles) -> tuple[Path, ...]:
    """The folders that an index took files from, as they are named in a choice."""
    return tuple(entry.folder for entry in index.alternatives if entry.taken) or index.folders


def index_of(project: Project, choice: TruthChoice) -> GroundTruthFiles:
    """The ground truth files that a choice names.

    Raises:
        MaskFormatError: a folder is gone.
        PredictedTruthError: it holds masks that a model made, and the user did not agree to them.
    """
    if not choice.folders:
        return GroundTruthFiles()
    if choice.how == "certain":
        found = search(project)
        if set(taken_folders(found)) == set(choice.folders):
            return found
    catalog = project.class_edits.reading_catalog(project.catalog)
    indices = [
        find_truth(project.folder, _names(project), truth_folder=folder, catalog=catalog, allow_predicted=choice.predicted)
        for folder in choice.folders
    ]
    if len(indices) == 1:
        return indices[0]
    files = {image: path for index in reversed(indices) for image, path in index.files.items()}
    return replace(
        indices[0],
        files=files,
        folders=tuple(folder for index in indices for folder in index.folders),
        missing=tuple(name for name in _names(project) if name not in files),
        problems=tuple(problem for index in indices for problem in index.problems),
        alternatives=tuple(entry for index in indices for entry in index.alternatives),
    )


def ground_truth_of(project: Project, choice: TruthChoice) -> GroundTruth:
    """What a choice gives; where its folder cannot be used, nothing but the reason.

    Raises:
        PredictedTruthError: as :func:`index_of`.
    """
    try:
        index = index_of(project, choice)
    except PredictedTruthError:
        raise
    except AtrousError as error:
        return GroundTruth(choice=choice, problem=error_text(error))
    return GroundTruth(index, stored_frame_of(project, choice.folders), choice)


def stored_frame_of(project: Project, folders: Sequence[Path]) -> Frame:
    """The frame of some folders of ground truth: the first answer that is stored for one of them."""
    answers = (stored_frame(project, folder) for folder in folders)
    return next((answer for answer in answers if answer != "auto"), "auto")


def frame_question(project: Project, folder: Path, files: Mapping[str, Path], *, again: bool = False) -> FrameQuestion | None:
    """Whether masks fit their photographs both ways and nothing determines which is meant; reads headers only.

    Args:
        folder: for which the answer is stored.
        files: relative image path -> mask; of many, some are looked at.
        again: also if the user was asked before.
    """
    if not again and frame_was_asked(project, folder):
        return None
    names = list(files)
    found: list[tuple[str, ImageInfo]] = []
    for name in names[:: max(1, -(-len(names) // _PROBED))]:
        info = ambiguous(project, name, files[name])
        if info is not None:
            found.append((name, info))
    if not found:
        return None
    name, info = found[0]
    return FrameQuestion(folder, name, files[name], info.orientation, len(found))


def ambiguous(project: Project, image: str, mask: Path) -> ImageInfo | None:
    """The photograph's header facts if the mask fits it both ways and Atrous left no record of the frame; else None."""
    from deeplab_core.images.probe import probe_image

    try:
        info = probe_image(project.folder / image)
        if info.orientation == 1 or info.stored_size != info.size:
            return None
        fits = is_ambiguous_frame(_mask_size(mask), info) and recorded_frame(mask.parent) is None
    except (ImageReadError, MaskFormatError):
        return None  # it is named when it is read
    return info if fits else None


def _mask_size(mask: Path) -> tuple[int, int]:
    """(width, height) of a mask file, from its header if it is a picture."""
    from deeplab_core.images.probe import probe_image
    from deeplab_core.masks.stored import read_stored

    if mask.suffix.lower() == ".npy":
        return read_stored(mask).size
    return probe_image(mask).stored_size


def _names(project: Project) -> list[str]:
    return [record.relative_path for record in project.images]
