"""What the classes dock shows of each class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # numpy comes after the first frame
    from deeplab_core.catalogs.catalog import ClassCatalog, Color


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
        present: whether it is in the mask or in the truth.
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
    present: bool = False


def arranged(catalog: ClassCatalog, present: frozenset[int]) -> list[int]:
    """Ids in the dock's order: classes of this image first, each part in the catalog's order, void last.

    Called when an image is opened, not while it is painted: rows must not jump under the hand.
    """
    ids = [info.id for info in catalog.classes]
    return [i for i in ids if i in present] + [i for i in ids if i not in present] + [catalog.ignore]


def matching(rows: Sequence[ClassRow], text: str) -> list[int]:
    """Places of the rows whose name holds what was typed; those that begin with it come first."""
    wanted = text.strip().lower()
    if not wanted:
        return list(range(len(rows)))
    found = [place for place, row in enumerate(rows) if wanted in row.name.lower()]
    return sorted(found, key=lambda place: (not rows[place].name.lower().startswith(wanted), place))


def assigned_keys(
    catalog: ClassCatalog, keys: Sequence[str], chosen: Mapping[str, int] | None = None, older: Mapping[str, int] | None = None
) -> dict[str, int]:
    """Key -> class id of the keys that never move: the user's choice, else the catalog's own.

    Args:
        chosen: what the user has assigned; None before the first time.
        older: what an earlier version kept: every key of the first ten classes beside those that the user had chosen.

    The keys that a catalog gets when it names none (first key, first class) are nobody's choice: they stay free.
    """
    filled = {(key, info.id) for key, info in zip(keys, catalog.classes, strict=False)}
    if chosen is not None:
        pairs = set(chosen.items())
    else:
        pairs = (set(older.items()) if older is not None else {(info.key, info.id) for info in catalog.classes}) - filled
    return {key: class_id for key, class_id in sorted(pairs) if key in keys and class_id in catalog.ids}


def effective_keys(
    catalog: ClassCatalog, keys: Sequence[str], assigned: Mapping[str, int], present: frozenset[int]
) -> dict[str, int]:
    """Key -> class id as the keys work on one image: assigned ones, then free keys in their order.

    Classes of the image come first, then the rest, each in the catalog's order: as they stand in the list.
    """
    free = [key for key in keys if key not in assigned]
    without = [class_id for class_id in arranged(catalog, present)[:-1] if class_id not in assigned.values()]
    return {**assigned, **dict(zip(free, without, strict=False))}
