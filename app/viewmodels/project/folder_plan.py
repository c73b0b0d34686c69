"""What a job over the folder will change, in words, before it begins. No Qt."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from app.state.image_record import ImageRecord
from app.state.import_plan import ImportPlan
from app.state.project import Project
from app.text import counted, displayed

_ALL_BACK = "'Undo the last job over the folder' takes them back."


@dataclass(frozen=True, slots=True)
class FolderPlan:
    """What the user agrees to.

    Attributes:
        question: one sentence with a question mark.
        lines: what happens to which images, one sentence each.
        go: text of the button that begins.
        harmless: whether no mask changes that is there already; only then the user may ask not to be asked again.
    """

    question: str
    lines: tuple[str, ...]
    go: str
    harmless: bool = False


@dataclass(frozen=True, slots=True)
class _Groups:
    """Images by how far the user's work on them has come; ``labelled``: not touched, but with labels of their own."""

    reviewed: int
    corrected: int
    labelled: int
    bare: int

    @property
    def touched(self) -> int:
        return self.reviewed + self.corrected


def plan_run(project: Project, model: str, images: Collection[int], *, goes_on: bool) -> FolderPlan:
    """A model over the folder: predictions are kept beside the masks that are there.

    Args:
        images: ids that are still to be predicted.
        goes_on: they are the rest of a run that was interrupted.
    """
    groups = _groups(project, [project.record(image) for image in images])
    verb = "Go on with the folder run" if goes_on else "Run the model on the folder"
    lines = [f"{model} predicts {counted(len(images), 'image')}{' that are left' if goes_on else ''}."]
    if groups.bare:
        takes = "takes" if groups.bare == 1 else "take"
        lines.append(f"{counted(groups.bare, 'image')} without a mask {takes} the prediction.")
    if groups.labelled:
        keeps = "that you opened keeps its labels" if groups.labelled == 1 else "that you opened keep their labels"
        lines.append(f"{counted(groups.labelled, 'image')} {keeps}; 'Start again from the prediction' takes the new ones.")
    lines += _kept(groups, "prediction")
    return FolderPlan(f"{verb}?", (*lines, *_missing(project)), "Run", harmless=True)


def plan_crf(project: Project, title: str) -> FolderPlan:
    """The CRF over the folder: masks that the user has not edited change."""
    records = [record for record in project.images if not record.missing]
    groups = _groups(project, records)
    labelled = project.labelled()
    fresh = sum(not (record.touched or record.prediction or record.id in labelled) for record in records)
    free = groups.labelled + groups.bare - fresh
    lines = []
    if free:
        masks = "mask of 1 image" if free == 1 else f"masks of {counted(free, 'image')}"
        lines.append(f"The {masks} that you have not worked on may change, one undo step each. {_ALL_BACK}")
    if fresh:
        lines.append(f"{counted(fresh, 'image')} without a prediction {'gets' if fresh == 1 else 'get'} one, refined.")
    lines += _kept(groups, "result")
    return FolderPlan(f"Refine the whole folder with {title}?", (*lines, *_missing(project)), "Refine")


def plan_comparison(project: Project, models: int) -> FolderPlan:
    """Models are compared over the folder; no mask changes."""
    images = sum(not record.missing for record in project.images)
    lines = (f"{counted(models, 'model')} predict {counted(images, 'image')}.", "No mask changes.")
    return FolderPlan("Compare the models on the whole folder?", (*lines, *_missing(project)), "Compare", harmless=True)


def plan_of_import(project: Project, plan: ImportPlan) -> FolderPlan:
    """Masks from elsewhere become the masks of images that the user has not worked on."""
    records = [record for record in project.images if record.relative_path in plan.files]
    groups = _groups(project, records)
    free = groups.labelled + groups.bare
    gets = "gets its mask" if free == 1 else "get their masks"
    lines = [f"{counted(free, 'image')} {gets} from {displayed(plan.folder.name)}, one undo step each."]
    if free:
        lines[0] += f" {_ALL_BACK}"
    if groups.touched:
        keeps = "keeps its mask" if groups.touched == 1 else "keep their masks"
        lines.append(f"{counted(groups.touched, 'image')} that you have worked on {keeps}{_of_them(groups)}.")
    if plan.missing:
        lines.append(f"{counted(plan.missing, 'image')} {'has' if plan.missing == 1 else 'have'} no mask there.")
    return FolderPlan("Import these masks?", tuple(lines), "Import")


def plan_of_learned(project: Project, model: str) -> FolderPlan:
    """A model that has learned takes over: labels that only a model has set are replaced."""
    records = [record for record in project.images if not record.missing]
    groups = _groups(project, records)
    lines = [f"{model} is the model from now on, and predicts {counted(len(records), 'image')}."]
    free = groups.labelled + groups.bare
    if free:
        lines.append(f"{counted(free, 'image')} that you have not worked on {'takes' if free == 1 else 'take'} its labels.")
    lines += _kept(groups, "prediction")
    return FolderPlan("Use the model that has learned?", (*lines, *_missing(project)), "Use it")


def _groups(project: Project, records: Collection[ImageRecord]) -> _Groups:
    labelled = project.labelled()
    reviewed = sum(record.reviewed for record in records)
    touched = sum(record.touched for record in records)
    own = sum(not record.touched and record.id in labelled for record in records)
    return _Groups(reviewed, touched - reviewed, own, len(records) - touched - own)


def _kept(groups: _Groups, result: str) -> list[str]:
    if not groups.touched:
        return []
    keeps, waits = ("keeps its mask", "it") if groups.touched == 1 else ("keep their masks", "them")
    text = f"{counted(groups.touched, 'image')} that you have worked on {keeps}{_of_them(groups)}"
    return [f"{text}: the {result} waits beside {waits} as a suggestion."]


def _of_them(groups: _Groups) -> str:
    return f" ({groups.reviewed} reviewed)" if groups.reviewed else ""


def _missing(project: Project) -> list[str]:
    missing = sum(record.missing for record in project.images)
    return [f"{counted(missing, 'image file')} {'is' if missing == 1 else 'are'} gone and left out."] if missing else []
