"""Operations on components as the user chooses them: names, what each needs, and what it would do in words. No Qt."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from app.text import mark, plural, tr
from deeplab_core.correction.jobs import ComponentJob, Operation


class Where(StrEnum):
    """Which part of one image an operation changes; the value is its English name."""

    EVERYWHERE = mark("Everywhere")
    COMPONENT = mark("Component under the pointer")
    BAND = mark("Inside the trimap band")
    OUTLINE = mark("Inside an outline")


class JobScope(StrEnum):
    """Which images an operation changes."""

    IMAGE = mark("This image")
    LIST = mark("All images in the list")
    FOLDER = mark("All images of the folder")


@dataclass(frozen=True, slots=True)
class OperationText:
    """An operation for the user.

    Attributes:
        title: of the operation, and of its step.
        number: what its number of px means; empty if it has none.
        px: the number that it begins with.
        any_class: whether it can be done for all classes at once.
        outline: whether it moves outlines, so that one component does it instead of a class.
    """

    title: str
    number: str
    px: int
    any_class: bool = False
    outline: bool = False


OPERATIONS: dict[Operation, OperationText] = {
    "drop islands": OperationText(mark("Drop islands"), mark("Smaller than"), 50, any_class=True),
    "fill holes": OperationText(mark("Fill holes"), mark("At most"), 500),
    "keep largest": OperationText(mark("Keep the largest component"), "", 1, any_class=True),
    "grow": OperationText(mark("Grow"), mark("By"), 2, outline=True),
    "shrink": OperationText(mark("Shrink"), mark("By"), 2, outline=True),
    "smooth": OperationText(mark("Smooth the outline"), mark("Details thinner than"), 3, any_class=True, outline=True),
}


@dataclass(frozen=True, slots=True)
class JobChoice:
    """What the user has chosen in the dialog.

    Attributes:
        job: the operation with its numbers.
        where: in one image.
        scope: which images.
    """

    job: ComponentJob
    where: Where = Where.EVERYWHERE
    scope: JobScope = JobScope.IMAGE


def effect_text(operation: Operation, pieces: int, pixels: int) -> str:
    """What an operation would change in the image in view."""
    if not pixels:
        return tr("This image: nothing changes.")
    size = plural("{n} px changes", "{n} px change", pixels)
    if operation == "fill holes":
        return tr("This image: {holes}, {size}.", holes=plural("{n} hole", "{n} holes", pieces), size=size)
    if operation in ("drop islands", "keep largest"):
        return tr("This image: {islands}, {size}.", islands=plural("{n} island", "{n} islands", pieces), size=size)
    return tr("This image: {size}.", size=size)


@dataclass(frozen=True, slots=True)
class ListCount:
    """What an operation would change in the images of a list, as far as they are counted.

    Attributes:
        pieces: islands or holes; 0 for operations without pieces.
        pixels: px that would change; 0 where only pieces are counted.
        images: how many images change.
        counted, total: images that are counted, and all.
    """

    pieces: int
    pixels: int
    images: int
    counted: int
    total: int


def list_text(operation: Operation, count: ListCount) -> str:
    """How much an operation would change in the images of a list or folder."""
    if operation == "fill holes":
        what = plural("{n} hole", "{n} holes", count.pieces)
    elif operation in ("drop islands", "keep largest"):
        what = plural("{n} island", "{n} islands", count.pieces)
    else:
        what = plural("{n} px", "{n} px", count.pixels)
    text = tr("{what} in {images}", what=what, images=plural("{n} image", "{n} images", count.images))
    return tr("{text}.", text=text) if count.counted >= count.total else tr("{text} so far.", text=text)
