"""What the classes dock shows of each class."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isnan
from typing import TYPE_CHECKING

from app.text import mark, plural, share_text, tr

if TYPE_CHECKING:  # numpy comes after the first frame
    from deeplab_core.catalogs.catalog import ClassCatalog, Color

#: Name of the row for pixels without a class.
VOID_NAME = mark("void (unlabelled)")


def class_name(catalog: ClassCatalog, class_id: int) -> str:
    """Name of a label value as shown; void for the ignore value."""
    if class_id == catalog.ignore:
        return tr("void")
    return catalog.by_id(class_id).name


@dataclass(frozen=True, slots=True)
class ClassRow:
    """One class in the dock.

    Attributes:
        class_id: its id in the catalog; the catalog's ignore value stands for void.
        name, color: as the project has them.
        key: the one-character key that selects it; empty for none.
        fixed_key: whether that key was assigned to it; free keys change from image to image.
        share: part of the image's pixels, 0..1.
        iou: against the truth, 0..1; None without truth or where the class is in neither map.
        delta: IoU now minus IoU when the image was opened; None where either is missing.
        visible: whether it is drawn.
        locked: whether no tool, job or import gives or takes its pixels.
        over: whether it is one of the few classes that may be painted over.
        present: whether it is in the mask or in the truth.
        void: whether it stands for the pixels without a class.
    """

    class_id: int
    name: str
    color: Color
    key: str = ""
    fixed_key: bool = False
    share: float = 0.0
    iou: float | None = None
    delta: float | None = None
    visible: bool = True
    locked: bool = False
    over: bool = False
    present: bool = False
    void: bool = False


def arranged(catalog: ClassCatalog, present: frozenset[int]) -> list[int]:
    """Ids in the dock's order: classes of this image first, each part in the catalog's order, void last.

    Called when an image is opened, not while it is painted: rows must not jump under the hand.
    """
    ids = [info.id for info in catalog.classes]
    return [i for i in ids if i in present] + [i for i in ids if i not in present] + [catalog.ignore]


def matching(rows: Sequence[ClassRow], text: str) -> list[int]:
    """Places of the rows with a name that contains the typed text; those that begin with it come first."""
    wanted = text.strip().lower()
    if not wanted:
        return list(range(len(rows)))
    found = [place for place, row in enumerate(rows) if wanted in row.name.lower()]
    return sorted(found, key=lambda place: (not rows[place].name.lower().startswith(wanted), place))


def effective_keys(
    catalog: ClassCatalog, keys: Sequence[str], assigned: Mapping[str, int], present: frozenset[int]
) -> dict[str, int]:
    """Key -> class id as the keys work on one image: assigned ones, then free keys in their order.

    Classes of the image come first, then the rest, each in the catalog's order: as in the list.
    """
    free = [key for key in keys if key not in assigned]
    without = [class_id for class_id in arranged(catalog, present)[:-1] if class_id not in assigned.values()]
    return {**assigned, **dict(zip(free, without, strict=False))}


def key_choices(keys: Sequence[str], owners: Mapping[str, str]) -> list[tuple[str, str]]:
    """(key, text) of every key that can be assigned, for a menu; ``owners`` are the names of the classes that have one."""
    return [(key, f"{key}   {owners[key]}" if key in owners else key) for key in keys]


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """What is counted and measured of the image in view, per class id.

    Attributes:
        shares: part of the image's pixels, 0..1; a class without pixels may be missing.
        in_truth: classes of the ground truth.
        iou: 0..1, nan if the class is in neither map; empty without ground truth.
        before: the same when the image was opened.
    """

    shares: Mapping[int, float]
    in_truth: frozenset[int] = frozenset()
    iou: Mapping[int, float] = field(default_factory=dict)
    before: Mapping[int, float] = field(default_factory=dict)


def class_rows(
    catalog: ClassCatalog,
    order: Sequence[int],
    measured: ClassFigures,
    *,
    keys: Mapping[str, int],
    assigned: Mapping[str, int],
    hidden: Collection[int] = (),
    locked: Collection[int] = (),
    over: Collection[int] = (),
) -> list[ClassRow]:
    """The rows of the dock.

    Args:
        order: ids from top to bottom; ids that the catalog does not have are left out, and without any the catalog's own
            order holds.
        keys: key -> class id, as the keys work now.
        assigned: the ones of them that never move.
        hidden: ids that are not drawn.
        locked: ids with pixels that keep them.
        over: ids that may be painted over, where only some may be.
    """
    known = {*catalog.ids.tolist(), catalog.ignore}
    key_of = {class_id: key for key, class_id in keys.items()}
    rows = []
    for class_id in [class_id for class_id in order if class_id in known] or arranged(catalog, frozenset()):
        row = ClassRow(catalog.ignore, tr(VOID_NAME), catalog.ignore_color, "`", void=True)
        if class_id != catalog.ignore:
            info = catalog.by_id(class_id)
            key = key_of.get(class_id, "")
            row = ClassRow(
                class_id, info.name, info.color, key, key in assigned, visible=class_id not in hidden, locked=class_id in locked
            )
        share = measured.shares.get(class_id, 0.0)
        iou, before = _known(measured.iou.get(class_id)), _known(measured.before.get(class_id))
        delta = iou - before if iou is not None and before is not None else None
        present = share > 0 or class_id in measured.in_truth or iou is not None
        rows.append(replace(row, over=class_id in over, share=share, iou=iou, delta=delta, present=present))
    return rows


def mean_text(mean: float, classes: int, accuracy: float) -> str:
    """What the mean of an image is over, as a sentence.

    Args:
        mean: mIoU; nan if nothing is labelled yet, or without ground truth.
        classes: how many classes of the ground truth it is over.
        accuracy: share of labelled pixels that are right.
    """
    if isnan(mean):
        return tr("Image: not measured, nothing is labelled yet.") if classes else ""
    return tr(
        "Image: mIoU over the {classes} of its ground truth, pixel accuracy {accuracy}.",
        classes=plural("{n} class", "{n} classes", classes),
        accuracy=share_text(accuracy).replace(" ", "\u00a0"),  # no line ends before the sign
    )


def _known(value: float | None) -> float | None:
    return None if value is None or isnan(value) else value
