"""What the Evaluation panel shows of rankings, label issues and ambiguity marks, and what its figures are over. No Qt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

from app.state.doubtful_places import DoubtfulPlace
from app.state.project import Project
from app.text import percent, plural, spaced, tr
from app.viewmodels.annotate.class_rows import class_name
from app.viewmodels.project.image_list import status_title
from deeplab_core.analysis.folder import ImageIssue
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.geometry import Box


@dataclass(frozen=True, slots=True)
class RankingRow:
    """One line: an image, or a place in it.

    Attributes:
        image: id.
        cells: the text of the columns.
        box: the place; None for the whole image.
        doubtful: the place, where it may be wrong; None for others.
    """

    image: int
    cells: tuple[str, ...]
    box: Box | None = None
    doubtful: DoubtfulPlace | None = None


@dataclass(frozen=True, slots=True)
class RankingRows:
    """A table of the page.

    Attributes:
        columns: titles.
        numbers: places of the columns with numbers.
        rows: worst first.
    """

    columns: tuple[str, ...]
    numbers: frozenset[int]
    rows: list[RankingRow]


@dataclass(frozen=True, slots=True)
class ScopeText:
    """What the figures of the panel are over.

    Attributes:
        text: beside the tabs.
        tip: its tooltip.
        hint: what to do so that there are figures; empty if there are, or will be.
    """

    text: str
    tip: str = ""
    hint: str = ""


def image_rows(project: Project, ranking: Sequence[int], scores: Mapping[int, float], ious: Mapping[int, float]) -> RankingRows:
    """The images of a ranking with their scores."""
    rows = []
    for image in ranking:
        record, iou = project.record(image), ious.get(image)
        cells = (
            record.shown,
            score_text(scores.get(image)),
            "" if iou is None else percent(iou),
            tr(status_title(record)),
        )
        rows.append(RankingRow(image, cells))
    return RankingRows((tr("Image"), tr("Score"), tr("IoU"), tr("Status")), frozenset({1, 2}), rows)


def issue_rows(project: Project, issues: Sequence[ImageIssue]) -> RankingRows:
    """Possible label errors, each with its place."""
    rows = [
        RankingRow(
            int(found.image),
            (
                project.record(int(found.image)).shown,
                classes_text(project.catalog, (found.issue.given,)),
                classes_text(project.catalog, (found.issue.suggested,)),
                spaced(found.issue.pixels),
            ),
            found.issue.box,
        )
        for found in issues
    ]
    return RankingRows((tr("Image"), tr("Labelled"), tr("Predicted"), tr("Pixels")), frozenset({3}), rows)


def place_rows(project: Project, places: Sequence[DoubtfulPlace]) -> RankingRows:
    """Doubtful places, with how much of each is expected to be wrong."""
    rows = [
        RankingRow(
            place.image,
            (
                project.record(place.image).shown,
                classes_text(project.catalog, (place.label,)),
                spaced(round(place.expected)),
                spaced(place.pixels),
            ),
            place.box,
            place,
        )
        for place in places
    ]
    return RankingRows((tr("Image"), tr("Label"), tr("Expected wrong"), tr("Pixels")), frozenset({2, 3}), rows)


def score_text(score: float | None) -> str:
    """A score as shown: per cent, or a number of pixels; empty for None."""
    if score is None:
        return ""
    return tr("{score} px", score=spaced(round(score))) if score > 1 else percent(score)


def classes_text(catalog: ClassCatalog, classes: Sequence[int]) -> str:
    """Names of classes that a region may be."""
    names = [class_name(catalog, class_id) for class_id in classes]
    return reduce(lambda names, name: tr("{names} or {name}", names=names, name=name), names) if names else ""


def scope_text(known: int, total: int, *, inspecting: bool) -> ScopeText:
    """What the figures are over, or what to do so that there are some.

    Args:
        known: images that were measured.
        total: images with ground truth.
        inspecting: whether images are being measured.
    """
    if not total:
        hint = tr("No ground truth found. Choose its folder in the Ground truth menu.")
        return ScopeText(tr("no ground truth"), hint=hint)
    if known:
        images = plural("{n} image", "{n} images", total)
        text = tr("{known} of {total}", known=spaced(known), total=images)
        return ScopeText(text, tr("{known} of {total} with ground truth", known=spaced(known), total=images))
    if inspecting:
        return ScopeText(tr("reading…"))
    return ScopeText(tr("no masks"), hint=tr("No image has both ground truth and a mask yet. Run the model on the folder."))
