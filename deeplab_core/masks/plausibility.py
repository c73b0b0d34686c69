"""Whether the masks of a folder can be what they are taken for: void, absent classes, ids shifted by one.

Nothing here changes a figure. Each finding is a :class:`deeplab_core.notes.Note` that evaluation, training, import and the window
show beside what they computed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.errors import join_messages, message, plural_message
from deeplab_core.notes import Note

#: Share of void from which the figures rest on less than half of the pixels.
_MUCH_VOID = 0.5
#: Share of a class's predictions over void, and share of void that they cover, from which void hides the class.
_HIDDEN, _COVERED = 0.9, 0.25
#: By how much shifted ids must agree better before they are believed to be shifted.
_BETTER_BY, _BETTER_TIMES = 0.2, 2.0
_FEWEST_SHIFTED = 3
_NAMED = 8


@dataclass(slots=True, eq=False)
class MaskStatistics:
    """Pixels by class of a folder of masks, added one mask after the other.

    Attributes:
        catalog: the classes.
        px: (C + 1,) int64 pixels of each class in channel order, void last, over all masks.
        masks: how many masks.
        most_void: the largest share of void in one mask, 0..1, and the mask's name.
    """

    catalog: ClassCatalog
    px: NDArray[np.int64] = field(init=False)
    masks: int = 0
    most_void: tuple[float, str] = (0.0, "")

    def __post_init__(self) -> None:
        self.px = np.zeros(len(self.catalog) + 1, dtype=np.int64)

    def add(self, name: str, px: NDArray[np.int64]) -> None:
        """Add a mask by its (C + 1,) pixels as :func:`deeplab_core.labels.class_histogram` counts them."""
        total = int(px.sum())
        self.px += px
        self.masks += 1
        share = int(px[-1]) / total if total else 0.0
        if share > self.most_void[0]:
            self.most_void = share, name

    def add_statistics(self, other: MaskStatistics) -> None:
        """Add the masks of another folder with the same classes."""
        self.px += other.px
        self.masks += other.masks
        self.most_void = max(self.most_void, other.most_void, key=lambda found: found[0])

    @property
    def void_share(self) -> float:
        """Share of void over all masks, 0..1; 0 without pixels."""
        total = int(self.px.sum())
        return int(self.px[-1]) / total if total else 0.0

    @property
    def binary(self) -> bool:
        """Whether the masks hold one class and 255 alone, as binary masks do."""
        return self._binary() is not None

    def findings(self) -> list[Note]:
        """What is odd or worth knowing about the masks, the most serious first."""
        if not self.px.sum():
            return []
        binary = self._binary()
        found = [binary] if binary is not None else []
        return [*found, *void_that_is_a_class(self.catalog), *self._void(), *self._absent()]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "masks": self.masks,
            "void_px": int(self.px[-1]),
            "void_share": self.void_share,
            "most_void_share": self.most_void[0],
            "most_void": self.most_void[1] or None,
            "absent_classes": [self.catalog.classes[channel].name for channel in self._absent_channels()],
        }

    def _binary(self) -> Note | None:
        present = np.flatnonzero(self.px[:-1])
        if len(self.catalog) < 2 or self.catalog.file_ignore != 255 or len(present) != 1 or not self.px[-1]:
            return None
        only = self.catalog.classes[int(present[0])]
        absent = [info.name for info in self.catalog.classes if info.id != only.id]
        lost = f"'{absent[0]}'" if len(absent) == 1 else message("each of the {absent} other classes", absent=len(absent))
        text = message(
            "the masks hold only {id} ({name}) and 255, as binary masks do; 255 is void in '{catalog}', so {percent} of the "
            "pixels count nowhere and {lost} never occurs. Save the object as the id of its class, or use a catalog with another "
            "void value",
            id=only.id,
            name=only.name,
            catalog=self.catalog.name,
            percent=_percent(self.void_share),
            lost=lost,
        )
        summary = plural_message(
            "holds only one class and void, as binary masks of 0 and 255 do",
            "hold only one class and void, as binary masks of 0 and 255 do",
            1,
        )
        return Note("void", text, summary, warning=True)

    def _void(self) -> list[Note]:
        if not self.px[-1]:
            return []
        share, (most, name) = self.void_share, self.most_void
        text = message("void ({value}) covers {percent} of the masks", value=self.catalog.file_ignore, percent=_percent(share))
        if self.masks > 1:
            text = join_messages((text, message("at most {percent} ({name})", percent=_percent(most), name=name)), ", ")
        return [Note("void", text, plural_message("has void", "have void", 1), warning=share >= _MUCH_VOID)]

    def _absent(self) -> list[Note]:
        absent = [self.catalog.classes[channel].name for channel in self._absent_channels()]
        if not absent:
            return []
        names: str = ", ".join(f"'{name}'" for name in absent[:_NAMED])
        if len(absent) > _NAMED:
            names = message("{names} and {more} more", names=names, more=len(absent) - _NAMED)
        text = message(
            "{absent} of {classes} classes never occur: {names}", absent=len(absent), classes=len(self.catalog), names=names
        )
        if len(absent) == 1:
            text = message("class {name} never occurs", name=names)
        return [Note("classes", text, plural_message("lacks classes", "lack classes", 1))]

    def _absent_channels(self) -> list[int]:
        return [int(channel) for channel in np.flatnonzero(self.px[:-1] == 0)]


def void_that_is_a_class(catalog: ClassCatalog) -> list[Note]:
    """A warning where the catalog's void value is the id of one of its classes: no pixel of that class is ever read."""
    if catalog.file_ignore not in catalog.ids:
        return []
    name = catalog.by_id(catalog.file_ignore).name
    text = message(
        "the void value {value} of '{catalog}' is also the id of '{name}': every pixel of '{name}' is read as void. Give the "
        "catalog another file_ignore",
        value=catalog.file_ignore,
        catalog=catalog.name,
        name=name,
    )
    summary = plural_message("is read with a void value that is a class", "are read with a void value that is a class", 1)
    return [Note("void", text, summary, warning=True)]


def hidden_by_void(matrix: NDArray[np.int64], over_void: NDArray[np.int64], catalog: ClassCatalog) -> list[Note]:
    """Classes that are predicted almost only where the ground truth is void, and that the ground truth lacks.

    Args:
        matrix: (C, C + 1) int64, pixels by class of the ground truth and of the prediction, void predictions last.
        over_void: (C + 1,) int64, predicted pixels where the ground truth is void.
    """
    elsewhere = matrix.sum(axis=0)[:-1]
    total = elsewhere + over_void[:-1]
    # A few invented pixels on the rim of objects are not a hidden class.
    much = over_void[:-1] >= _COVERED * max(1, int(over_void.sum()))
    hidden = (matrix.sum(axis=1) == 0) & (total > 0) & (over_void[:-1] >= _HIDDEN * total) & much
    if not hidden.any():
        return []
    names = ", ".join(f"'{catalog.classes[int(channel)].name}'" for channel in np.flatnonzero(hidden)[:_NAMED])
    share = over_void[:-1][hidden].sum() / total[hidden].sum()
    text = message(
        "void hides a class: {percent} of what is predicted as {names} lies where the ground truth is void",
        percent=_percent(share),
        names=names,
    )
    return [Note("void", text, plural_message("hides classes behind void", "hide classes behind void", 1), warning=True)]


def shifted_by_one(matrix: NDArray[np.int64], catalog: ClassCatalog) -> Note | None:
    """A warning where predictions agree far better with the ground truth when every id is one higher or lower.

    Args:
        matrix: (C, C + 1) int64, pixels by class of the ground truth and of the prediction, void predictions last.
        catalog: of both; its file values are what a program that counts from another number has shifted.
    """
    total = int(matrix.sum())
    if not total or len(catalog) < _FEWEST_SHIFTED:
        return None
    accuracy, mean = _agreement(matrix)
    best: tuple[float, float, int, NDArray[np.int64]] | None = None
    for step in (1, -1):
        moved = _moved(matrix, catalog, step)
        shifted_accuracy, shifted_mean = _agreement(moved)
        if best is None or shifted_accuracy > best[0]:
            best = shifted_accuracy, shifted_mean, step, moved
    assert best is not None
    better, better_mean, step, moved = best
    right = int((np.diagonal(moved) > 0).sum())
    if right < 2 or better < accuracy + _BETTER_BY or better < _BETTER_TIMES * accuracy:
        return None
    text = message(
        "the predicted ids look shifted by one: with every id {moved}, mIoU would be {better_mean} instead of {mean} and pixel "
        "accuracy {better} instead of {accuracy}",
        moved=message("one higher") if step > 0 else message("one lower"),
        better_mean=f"{better_mean:.4f}",
        mean=f"{mean:.4f}",
        better=f"{better:.4f}",
        accuracy=f"{accuracy:.4f}",
    )
    summary = plural_message("has ids that look shifted by one", "have ids that look shifted by one", 1)
    return Note("shifted", text, summary, warning=True)


def _moved(matrix: NDArray[np.int64], catalog: ClassCatalog, step: int) -> NDArray[np.int64]:
    """The matrix with the file value of every prediction moved by ``step``; values beyond the catalog become void."""
    channels = {int(value): channel for channel, value in enumerate(catalog.ids)} | {catalog.file_ignore: len(catalog)}
    values = [*catalog.ids.tolist(), catalog.file_ignore]
    moved = np.zeros_like(matrix)
    for column, value in enumerate(values):
        moved[:, channels.get(int(value) + step, len(catalog))] += matrix[:, column]
    return moved


def _agreement(matrix: NDArray[np.int64]) -> tuple[float, float]:
    """Pixel accuracy, and mean IoU over the classes that occur on either side."""
    right = np.diagonal(matrix).astype(np.float64)
    union = matrix.sum(axis=1) + matrix[:, :-1].sum(axis=0) - right
    present = union > 0
    return float(right.sum() / matrix.sum()), float((right[present] / union[present]).mean()) if present.any() else 0.0


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if 0.001 <= share < 0.1 else f"{100 * share:.0f} %" if share >= 0.1 else "less than 0.1 %"
