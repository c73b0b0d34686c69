"""What the list of images shows of each image, and the filter that the user types."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePosixPath

from app.state.image_record import ImageRecord, ImageStatus
from app.text import mark, plain_number, read_number, tr

STATUS_TITLES: dict[ImageStatus, str] = {
    ImageStatus.NEW: mark("new"),
    ImageStatus.PREDICTED: mark("predicted"),
    ImageStatus.TOUCHED: mark("corrected"),
    ImageStatus.REVIEWED: mark("reviewed"),
}


@dataclass(frozen=True, slots=True)
class ImageRow:
    """One image in the list.

    Attributes:
        record: what the project knows.
        position: place in the project's own order.
        iou: mIoU of its mask against the truth, 0..1; None without truth or mask.
        uncertainty: mean of 1 - confidence over the prediction, 0..1; None before a model ran.
        classes: lower-case names of the classes in its mask.
        has_truth: whether a truth file was found for it.
        has_twin: whether another image of its folder has the same name but for the ending or the Unicode form.
    """

    record: ImageRecord
    position: int
    iou: float | None = None
    uncertainty: float | None = None
    classes: frozenset[str] = frozenset()
    has_truth: bool = False
    has_twin: bool = False
    _text: str = field(init=False, repr=False, compare=False, default="")

    def __post_init__(self) -> None:
        object.__setattr__(self, "_text", self.record.relative_path.lower())

    @property
    def id(self) -> int:
        return self.record.id

    @property
    def status(self) -> ImageStatus:
        return self.record.status

    @property
    def title(self) -> str:
        """File name without its ending; with it if another image of the folder has the same name but for that."""
        shown = PurePosixPath(self.record.shown)
        return shown.name if self.has_twin else shown.stem

    @property
    def lower_path(self) -> str:
        return self._text

    @property
    def tooltip(self) -> str:
        """Path, status and figures, one a line."""
        lines = [self.record.shown, tr(STATUS_TITLES[self.status])]
        if self.iou is not None:
            lines.append(tr("mIoU {iou:.3f} (mean over the classes in the ground truth)", iou=self.iou))
        if self.uncertainty is not None:
            lines.append(tr("mean uncertainty {uncertainty:.3f}", uncertainty=self.uncertainty))
        if self.record.changed:
            lines.append(tr("its file has changed since it was edited"))
        if self.record.note:
            lines.append(tr(self.record.note))
        return "\n".join(lines)


_FLAG_WORDS = ("failed", "missing", "changed", "truth", "unreviewed")


class Wanted:
    """A filter as typed: every word must match.

    ``new predicted corrected reviewed unreviewed failed missing changed truth`` ask for a status, ``class:chair`` for a class
    in the mask, ``iou<0.5`` for a score; a leading ``-`` means 'not'; anything else is looked for in the path.
    """

    def __init__(self, text: str) -> None:
        self.text = " ".join(text.lower().split())
        self._words = [(word.startswith("-") and len(word) > 1, word.removeprefix("-") or word) for word in self.text.split()]

    def matches(self, row: ImageRow) -> bool:
        """Whether a row is wanted."""
        return all(self._holds(word, row) is not negated for negated, word in self._words)

    @staticmethod
    def _holds(word: str, row: ImageRow) -> bool:
        name, colon, value = word.partition(":")
        if colon and name == "class":
            return any(known.startswith(value) for known in row.classes)
        if colon and name == "status":
            word = value
        if word in STATUS_TITLES.values():
            return STATUS_TITLES[row.status] == word
        if word in map(str.casefold, map(tr, STATUS_TITLES.values())):  # the word that the window shows
            return tr(STATUS_TITLES[row.status]).casefold() == word
        if word in _FLAG_WORDS:
            return {
                "failed": row.record.failed,
                "missing": row.record.missing,
                "changed": row.record.changed,
                "truth": row.has_truth,
                "unreviewed": row.status != ImageStatus.REVIEWED,
            }[word]
        for sign in ("<", ">"):
            score, found, bound = word.partition(sign)
            if found and score == "iou" and _is_number(bound):
                number = read_number(bound)
                return row.iou is not None and (row.iou < number if sign == "<" else row.iou > number)
        return word in row.lower_path


def _is_number(text: str) -> bool:
    return plain_number(text).replace(".", "", 1).isdigit()
