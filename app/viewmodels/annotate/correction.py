"""What is said beside the pointer of a correction tool. No Qt."""

from __future__ import annotations

from dataclasses import dataclass

from app.state.next_errors import ErrorPlace
from app.text import plural, points, tr
from app.viewmodels.annotate.class_rows import class_name
from deeplab_core.catalogs.catalog import ClassCatalog


@dataclass(frozen=True, slots=True)
class Pointed:
    """A component or region under the pointer.

    Attributes:
        pixels: of it.
        class_id: what it is now; None for a region, which may hold several classes.
        selected: the class that a click gives.
        guess: its second guess; None if there is none.
        locked: classes that give and take no pixel.
    """

    pixels: int
    class_id: int | None
    selected: int
    guess: int | None
    locked: frozenset[int] = frozenset()


def pointed_lines(catalog: ClassCatalog, at: Pointed) -> tuple[str, ...]:
    """The lines beside the pointer: class and size, then what a click and Shift+click do."""
    size = plural("{n} px", "{n} px", at.pixels)
    first = size if at.class_id is None else tr("{name}, {size}", name=class_name(catalog, at.class_id), size=size)
    if at.class_id in at.locked:
        return first, tr("Locked")
    lines = [first]
    if at.selected != at.class_id and at.selected not in at.locked:
        lines.append(tr("Click: {name}", name=class_name(catalog, at.selected)))
    if at.guess is not None and at.guess not in (at.class_id, at.selected, *at.locked):
        lines.append(tr("Shift+click: {name}", name=class_name(catalog, at.guess)))
    return tuple(lines)


def error_lines(catalog: ClassCatalog, place: ErrorPlace, guess: int | None, *, restorable: bool) -> tuple[str, ...]:
    """The lines of an error: what is wrong and what fixing it gains, then what the keys do."""
    now, size = class_name(catalog, place.label), plural("{n} px", "{n} px", place.pixels)
    if place.truth is None:
        first = tr("{now}, doubtful: {size}", now=now, size=size)
    else:
        right = class_name(catalog, place.truth)
        first = tr(
            "{now}, should be {right}: {size}, image mIoU {gain}", now=now, right=right, size=size, gain=points(place.gain)
        )
    lines = [first]
    if place.truth is not None:
        lines.append(tr("Shift+Enter: {name}", name=class_name(catalog, place.truth)))
    if guess is not None and guess != place.truth:
        lines.append(tr("Shift+Z: {name}", name=class_name(catalog, guess)))
    lines.append(tr("Delete: the class around it"))
    if restorable:
        lines.append(tr("Shift+Delete: the prediction"))
    return tuple(lines)
