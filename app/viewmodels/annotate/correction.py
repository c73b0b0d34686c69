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
        changes: pixels that a click would change; None if all.
    """

    pixels: int
    class_id: int | None
    selected: int
    guess: int | None
    locked: frozenset[int] = frozenset()
    changes: int | None = None


def pointed_lines(catalog: ClassCatalog, at: Pointed) -> tuple[str, ...]:
    """The lines beside the pointer: class and size, then what a click and Shift+click do."""
    size = plural("{n} px", "{n} px", at.pixels)
    first = size if at.class_id is None else tr("{name}, {size}", name=class_name(catalog, at.class_id), size=size)
    if at.class_id is not None and at.class_id in at.locked:
        return first, tr("{name} is locked", name=class_name(catalog, at.class_id))
    lines, selected = [first], class_name(catalog, at.selected)
    if at.selected in at.locked:
        lines.append(tr("{name} is locked", name=selected))
    elif at.selected != at.class_id and at.changes != 0:
        some = None if at.changes in (None, at.pixels) else plural("{n} px", "{n} px", at.changes)
        lines.append(
            tr("Click: {name}", name=selected) if some is None else tr("Click: {name}, {size}", name=selected, size=some)
        )
    if at.guess is not None and at.guess not in (at.class_id, at.selected, *at.locked):
        lines.append(tr("Shift+click: {name}", name=class_name(catalog, at.guess)))
    return tuple(lines)


@dataclass(frozen=True, slots=True)
class ErrorFixes:
    """What can be done about an error.

    Attributes:
        guess: its second guess; None if there is none.
        restorable: whether there is a prediction with other labels to restore.
        locked: classes that give and take no pixel.
        refused: why none of its pixels may change; empty if some may.
    """

    guess: int | None
    restorable: bool
    locked: frozenset[int] = frozenset()
    refused: str = ""


def error_lines(catalog: ClassCatalog, place: ErrorPlace, fixes: ErrorFixes) -> tuple[str, ...]:
    """The lines of an error: what is wrong and what fixing it gains, then what the keys do, or why they may do nothing."""
    now, size = class_name(catalog, place.label), plural("{n} px", "{n} px", place.pixels)
    if place.truth is None:
        first = tr("{now}, doubtful: {size}", now=now, size=size)
    else:
        right = class_name(catalog, place.truth)
        first = tr(
            "{now}, should be {right}: {size}, image mIoU {gain}", now=now, right=right, size=size, gain=points(place.gain)
        )
    if fixes.refused:
        return first, fixes.refused
    lines = [first]
    if place.truth is not None and place.truth not in fixes.locked:
        lines.append(tr("Shift+Enter: {name}", name=class_name(catalog, place.truth)))
    if fixes.guess is not None and fixes.guess not in (place.truth, *fixes.locked):
        lines.append(tr("Shift+Z: {name}", name=class_name(catalog, fixes.guess)))
    lines.append(tr("Delete: the class around it"))
    if fixes.restorable:
        lines.append(tr("Shift+Delete: the prediction"))
    return tuple(lines)
