"""What a job over the folder will change, in words, before it begins. No Qt."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from app.state.image_record import ImageRecord
from app.state.project import Project
from app.text import mark, plural, tr
from app.viewmodels.project.notes import local_time

_ALL_BACK = mark("'Undo folder job' restores them.")


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
    heading = tr("Continue the folder run?") if goes_on else tr("Run the model on the folder?")
    lines = [
        plural("{model} predicts {n} image that is left.", "{model} predicts {n} images that are left.", len(images), model=model)
        if goes_on
        else plural("{model} predicts {n} image.", "{model} predicts {n} images.", len(images), model=model)
    ]
    if groups.bare:
        lines.append(
            plural(
                "{n} image without a mask takes the prediction.",
                "{n} images without a mask take the prediction.",
                groups.bare,
            )
        )
    if groups.labelled:
        lines.append(
            plural(
                "{n} image that you opened keeps its labels; '{command}' uses the new ones.",
                "{n} images that you opened keep their labels; '{command}' uses the new ones.",
                groups.labelled,
                command=tr("Replace mask by prediction"),
            )
        )
    lines += _kept(groups, "prediction")
    return FolderPlan(heading, (*lines, *_missing(project)), tr("Run"), harmless=True)


def plan_crf(project: Project, title: str) -> FolderPlan:
    """The CRF over the folder: masks that the user has not edited change."""
    records = [record for record in project.images if not record.missing]
    groups = _groups(project, records)
    labelled = project.labelled()
    fresh = sum(not (record.touched or record.prediction or record.id in labelled) for record in records)
    free = groups.labelled + groups.bare - fresh
    lines = []
    if free:
        lines.append(
            plural(
                "The mask of {n} image that you have not edited may change, one undo step each. {undo}",
                "The masks of {n} images that you have not edited may change, one undo step each. {undo}",
                free,
                undo=tr(_ALL_BACK),
            )
        )
    if fresh:
        lines.append(
            plural(
                "{n} image without a prediction gets one, refined.",
                "{n} images without a prediction get one, refined.",
                fresh,
            )
        )
    lines += _kept(groups, "result")
    return FolderPlan(tr("Refine the whole folder with {title}?", title=title), (*lines, *_missing(project)), tr("Refine"))


def plan_comparison(project: Project, models: int) -> FolderPlan:
    """Models are compared over the folder; no mask changes."""
    images = sum(not record.missing for record in project.images)
    lines = (
        plural(
            "{n} model predicts {images}.",
            "{n} models predict {images}.",
            models,
            images=plural("{n} image", "{n} images", images),
        ),
        tr("No mask changes."),
    )
    return FolderPlan(tr("Compare the models on the whole folder?"), (*lines, *_missing(project)), tr("Compare"), harmless=True)


def plan_of_learned(project: Project, model: str) -> FolderPlan:
    """A model that has learned takes over: labels that only a model has set are replaced."""
    records = [record for record in project.images if not record.missing]
    groups = _groups(project, records)
    lines = [
        tr(
            "{model} becomes the current model and predicts {records}.",
            model=model,
            records=plural("{n} image", "{n} images", len(records)),
        )
    ]
    free = groups.labelled + groups.bare
    if free:
        lines.append(
            plural(
                "{n} image that you have not edited takes its labels.",
                "{n} images that you have not edited take its labels.",
                free,
            )
        )
    lines += _kept(groups, "prediction")
    return FolderPlan(tr("Use the learned model?"), (*lines, *_missing(project)), tr("Use model"))


def plan_component_job(project: Project, title: str, images: Collection[int]) -> FolderPlan:
    """An operation on components over some images with labels; reviewed images are not among them."""
    lines = [
        tr(
            "The masks of {images} may change, one undo step each. {undo}",
            images=plural("{n} image", "{n} images", len(images)),
            undo=tr(_ALL_BACK),
        ),
        tr("Pixels that you painted stay, and so do locked classes."),
    ]
    reviewed = sum(record.reviewed for record in project.images)
    if reviewed:
        lines.append(
            plural("{n} image marked as reviewed keeps its mask.", "{n} images marked as reviewed keep their masks.", reviewed)
        )
    return FolderPlan(tr("{title} in these images?", title=title), (*lines, *_missing(project)), tr("Change masks"))


def plan_undo(title: str, ended: float, masks: int, suggestions: int) -> FolderPlan:
    """The last job over the folder is undone, and an earlier session made it.

    Args:
        title: of the job.
        ended: when it was over, Unix seconds; 0 where that is not known.
        masks: masks that it changed.
        suggestions: results that it kept beside masks.
    """
    when = local_time(ended)
    lines = [
        tr("The last folder job ended on {when}, before the project was opened.", when=when)
        if when
        else tr("The last folder job ended before the project was opened.")
    ]
    if masks:
        lines.append(plural("It changed {n} mask, which is restored.", "It changed {n} masks, which are restored.", masks))
        lines.append(tr("Images that you have changed or reviewed since then stay unchanged."))
    if suggestions:
        lines.append(
            plural(
                "{n} suggestion of the job is withdrawn if it still waits.",
                "{n} suggestions of the job are withdrawn if they still wait.",
                suggestions,
            )
        )
    return FolderPlan(tr("Undo '{title}'?", title=title), tuple(lines), tr("Undo job"))


def _groups(project: Project, records: Collection[ImageRecord]) -> _Groups:
    labelled = project.labelled()
    reviewed = sum(record.reviewed for record in records)
    touched = sum(record.touched for record in records)
    own = sum(not record.touched and record.id in labelled for record in records)
    return _Groups(reviewed, touched - reviewed, own, len(records) - touched - own)


def _kept(groups: _Groups, result: Literal["prediction", "result"]) -> list[str]:
    if not groups.touched:
        return []
    kept = {
        "prediction": plural(
            "the prediction is kept beside it as a suggestion",
            "the prediction is kept beside them as a suggestion",
            groups.touched,
        ),
        "result": plural(
            "the result is kept beside it as a suggestion", "the result is kept beside them as a suggestion", groups.touched
        ),
    }[result]
    return [f"{_keeps(groups)}: {kept}."]


def _keeps(groups: _Groups) -> str:
    if not groups.reviewed:
        return plural(
            "{n} image that you have edited keeps its mask", "{n} images that you have edited keep their masks", groups.touched
        )
    return plural(
        "{n} image that you have edited keeps its mask ({reviewed} reviewed)",
        "{n} images that you have edited keep their masks ({reviewed} reviewed)",
        groups.touched,
        reviewed=groups.reviewed,
    )


def _missing(project: Project) -> list[str]:
    missing = sum(record.missing for record in project.images)
    return (
        [
            plural(
                "{n} image file is missing and skipped.",
                "{n} image files are missing and skipped.",
                missing,
            )
        ]
        if missing
        else []
    )


@dataclass(frozen=True, slots=True)
class ScopeCount:
    """Images of a scope.

    Attributes:
        images: all of them.
        uncorrected: those without a corrected mask.
        predicted: of these, those with a prediction.
        rejected: rejected images that have come so far.
        left_out: of these, those that are not among ``images``.
    """

    images: int
    uncorrected: int
    predicted: int
    rejected: int = 0
    left_out: int = 0

    def rejected_text(self) -> str:
        """What becomes of rejected images, a sentence; empty without any."""
        if self.left_out:
            return plural("{n} rejected image is left out.", "{n} rejected images are left out.", self.left_out)
        if self.rejected:
            return plural("{n} rejected image is exported too.", "{n} rejected images are exported too.", self.rejected)
        return ""

    def text(self, *, with_predictions: bool) -> str:
        """What an export writes of them, and what it leaves out; ``with_predictions``: also masks that only the model made."""
        number = self.uncorrected
        left_out = number - self.predicted if with_predictions else number
        written = plural("{n} image", "{n} images", self.images - left_out)
        text = tr("Masks of {written} will be written; the project's own masks do not change.", written=written)
        if not number:
            return text
        bare = plural("{n} image has no corrected mask", "{n} images have no corrected mask", number)
        if not with_predictions:
            then = tr("left out and listed in the summary")
        elif not left_out:
            then = tr("the prediction is exported instead")
        elif not self.predicted:
            then = tr("left out, because there is no prediction either")
        else:
            exported = plural("{n} prediction is exported", "{n} predictions are exported", self.predicted)
            left = plural("{n} image without a prediction is left out", "{n} images without a prediction are left out", left_out)
            then = tr("{exported}, {left}", exported=exported, left=left)
        return tr("{text} {bare}: {then}.", text=text, bare=bare, then=then)
