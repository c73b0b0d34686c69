"""The ground truth of a project: which file belongs to which image, how its pixels lie, and who said so. No Qt, no torch."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from deeplab_core.datasets import GroundTruthFiles, find_truth
from deeplab_core.errors import AtrousError, ImageReadError, MaskFormatError, PredictedTruthError
from deeplab_core.masks.frames import Frame, is_ambiguous_frame, recorded_frame

if TYPE_CHECKING:
    from app.state.project import Project
    from deeplab_core.images.probe import ImageInfo

#: ``certain``: found, and nothing speaks against it; ``asked``: the user answered a question; ``user``: the user chose it
#: without being asked; ``later``: the user put the question off.
How = Literal["certain", "asked", "user", "later"]

_CHOICE, _FRAMES, _OLD_CHOICE = "ground_truth", "mask_frames", "truth_folder"
#: Photographs with headers that are read to see whether the frame of the masks must be asked for. Any other one that turns out
#: ambiguous when it is read is asked for then.
_PROBED = 256


@dataclass(frozen=True, slots=True)
class TruthChoice:
    """Where the ground truth of a project lies.

    Attributes:
        folders: folders of ground truth; empty for "no ground truth". Only a choice that was found can have several.
        how: who said so.
        predicted: the user agreed to take masks as ground truth that a model made.
    """

    folders: tuple[Path, ...]
    how: How
    predicted: bool = False


@dataclass(frozen=True, slots=True)
class GroundTruth:
    """What was found by the project's choice. Replaced as a whole, never changed: any thread may read it.

    Attributes:
        index: ground truth files by image.
        frame: in which frame of the photographs they are stored; ``auto`` tells by the size.
        choice: what it rests on; None before anything was chosen.
        problem: why the chosen folder cannot be used, in words; empty for most.
    """

    index: GroundTruthFiles = field(default_factory=GroundTruthFiles)
    frame: Frame = "auto"
    choice: TruthChoice | None = None
    problem: str = ""

    @property
    def files(self) -> Mapping[str, Path]:
        """Relative image path -> ground truth file."""
        return self.index.files

    def get(self, image: str) -> Path | None:
        """Ground truth file of an image (its relative path), or None."""
        return self.index.get(image)


@dataclass(frozen=True, slots=True)
class FrameQuestion:
    """Masks that fit their photographs both ways.

    Attributes:
        folder: of the masks, for which the answer is stored.
        image: relative path of a photograph.
        mask: its mask.
        orientation: its EXIF orientation, 2..8.
        images: how many photographs were found so, of those that were looked at.
    """

    folder: Path
    image: str
    mask: Path
    orientation: int
    images: int = 1


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
        return GroundTruth(choice=choice, problem=str(error))
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
