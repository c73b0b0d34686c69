"""What the list of images shows of each image, and the filter that the user types."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, overload

from app.state.image_record import ImageRecord, ImageStatus
from app.text import displayed, mark, percent, plain_number, plural, read_number, spaced, tr

if TYPE_CHECKING:  # numpy comes after the first frame
    from app.state.project import Project
    from app.state.project_analysis import ImageScore

STATUS_TITLES: dict[ImageStatus, str] = {
    ImageStatus.NEW: mark("new"),
    ImageStatus.PREDICTED: mark("predicted"),
    ImageStatus.TOUCHED: mark("corrected"),
    ImageStatus.REVIEWED: mark("reviewed"),
}
#: What replaces the status of a rejected image.
REJECTED = mark("rejected")


def status_title(record: ImageRecord) -> str:
    """How far the work on an image has come, or that it is rejected; to be translated."""
    return REJECTED if record.rejected else STATUS_TITLES[record.status]


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
        prefix: characters with which the name of every image begins, and which the list leaves out; see :func:`common_prefix`.
        why: reason of its rejection; empty without one.
        notes: texts of its notes.
        seconds, actions: active time that was spent on it, and what was done, see :mod:`app.state.activity`.
    """

    record: ImageRecord
    position: int
    iou: float | None = None
    uncertainty: float | None = None
    classes: frozenset[str] = frozenset()
    has_truth: bool = False
    has_twin: bool = False
    prefix: int = 0
    why: str = ""
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    actions: int = 0

    @property
    def id(self) -> int:
        return self.record.id

    @property
    def status(self) -> ImageStatus:
        return self.record.status

    @property
    def status_title(self) -> str:
        """In English, to be translated; see :func:`status_title`."""
        return status_title(self.record)

    def figure(self, name: str) -> float | None:
        """The number of a name of :data:`FIGURES`; None if it is not known."""
        return {
            "iou": self.iou, "uncertainty": self.uncertainty, "minutes": self.seconds / 60, "actions": float(self.actions),
        }[name]  # fmt: skip

    @property
    def title(self) -> str:
        """File name without its ending; with it if another image of the folder has the same name but for that."""
        shown = PurePosixPath(self.record.shown)
        return shown.name if self.has_twin else shown.stem

    @property
    def caption(self) -> str:
        """The title without what all names begin with."""
        return f"…{self.title[self.prefix :]}" if self.prefix else self.title

    @property
    def tooltip(self) -> str:
        """Path, status and figures, one a line."""
        status = tr(self.status_title)
        lines = [self.record.shown, tr("{status}: {why}", status=status, why=displayed(self.why)) if self.why else status]
        if self.iou is not None:
            lines.append(tr("mIoU {iou} (mean over the classes in the ground truth)", iou=percent(self.iou)))
        if self.uncertainty is not None:
            lines.append(tr("mean uncertainty {uncertainty}", uncertainty=percent(self.uncertainty)))
        if self.record.changed:
            lines.append(tr("its file has changed since it was edited"))
        if self.record.note:
            lines.append(tr(self.record.note))
        lines += [tr("note: {text}", text=displayed(text)) for text in self.notes[:_NOTES]]
        if len(self.notes) > _NOTES:
            lines.append(plural("{n} more note", "{n} more notes", len(self.notes) - _NOTES))
        if self.seconds or self.actions:
            time = minutes_text(self.seconds)
            lines.append(
                tr("{time} of active time, {actions}", time=time, actions=plural("{n} action", "{n} actions", self.actions))
            )
        return "\n".join(lines)


class ImageRows(Sequence[ImageRow]):
    """The rows of a project's images in its own order; each is made when it is asked for, and kept: a folder may have 100,000.

    Args:
        ids: of the images.
        make: makes the row at a place.
        records: of the images, in a list that follows them; those that rows hold if none are given.
        classes: gives the names of the classes in any image's mask, in lower case; those of all rows if it is missing.
    """

    def __init__(
        self,
        ids: Sequence[int] = (),
        make: Callable[[int], ImageRow] | None = None,
        records: Sequence[ImageRecord] | None = None,
        classes: Callable[[], Iterable[str]] | None = None,
    ) -> None:
        self.ids = ids
        self._make, self._records, self._classes = make, records, classes
        self._made: dict[int, ImageRow] = {}
        self._paths: list[str] | None = None

    def record(self, place: int) -> ImageRecord:
        """What the project knows of an image; its row is not made for it."""
        return self[place].record if self._records is None else self._records[place]

    @property
    def lower_paths(self) -> list[str]:
        """Relative paths in lower case."""
        if self._paths is None:
            records = (row.record for row in self) if self._records is None else self._records
            self._paths = [record.relative_path.lower() for record in records]
        return self._paths

    def class_names(self) -> list[str]:
        """Names of the classes in any image's mask, in lower case and in order."""
        if self._classes is not None:
            return sorted(set(self._classes()))
        return sorted(set().union(*(row.classes for row in self)))

    def __len__(self) -> int:
        return len(self.ids)

    @overload
    def __getitem__(self, place: int) -> ImageRow: ...
    @overload
    def __getitem__(self, place: slice) -> list[ImageRow]: ...
    def __getitem__(self, place: int | slice) -> ImageRow | list[ImageRow]:
        if isinstance(place, slice):
            return [self[one] for one in range(*place.indices(len(self)))]
        place = range(len(self.ids))[place]
        found = self._made.get(place)
        if found is None:
            assert self._make is not None
            found = self._made[place] = self._make(place)
        return found

    def put(self, row: ImageRow) -> None:
        """Replace the row at its position."""
        self._made[row.position] = row


#: The list leaves out what names begin with if it is this long, and if so much of each name is left.
_WORTH, _LEFT = 4, 3


def common_prefix(records: Sequence[ImageRecord]) -> int:
    """How many characters the file names of all images begin with and can do without; 0 if leaving them out is not worth it.

    Every name keeps some characters, and no run of letters is divided.
    """
    paths = [record.relative_path for record in records]
    names = [path.rpartition("/")[2] for path in paths]
    if not "".join(paths).isprintable():
        names = [record.shown.rpartition("/")[2] for record in records]
    stems = [name.rpartition(".")[0] or name for name in names]
    if len(stems) < 2:
        return 0
    first, last = min(stems), max(stems)
    alike = next((place for place, (one, other) in enumerate(zip(first, last, strict=False)) if one != other), len(first))
    prefix = min(alike, min(map(len, stems)) - _LEFT)
    while prefix > 0 and first[prefix - 1].isalpha() and first[prefix].isalpha():
        prefix -= 1
    return prefix if prefix >= _WORTH else 0


def image_row(
    project: Project, record: ImageRecord, position: int, score: ImageScore, *, has_truth: bool, has_twin: bool, prefix: int = 0
) -> ImageRow:
    """The row of an image, with what the project knows of it."""
    review, done = project.reviews.of(record.id), project.activity.of(record.id)
    return ImageRow(
        record=record,
        position=position,
        iou=score.iou,
        uncertainty=score.uncertainty,
        classes=frozenset(name.lower() for name in score.classes),
        has_truth=has_truth,
        has_twin=has_twin,
        prefix=prefix,
        why=review.why if record.rejected else "",
        notes=tuple(note.text for note in review.notes),
        seconds=done.seconds,
        actions=done.actions,
    )


#: Notes that a tooltip shows.
_NOTES = 3


def minutes_text(seconds: float) -> str:
    """A time in minutes and seconds, as in ``2:05 min``."""
    minutes, rest = divmod(round(seconds), 60)
    return tr("{minutes}:{seconds:02d} min", minutes=spaced(minutes), seconds=rest)


#: Words of the filter for what holds or does not hold of an image.
FLAG_WORDS = ("failed", "missing", "changed", "truth", "unreviewed", "note")
#: Numbers that the filter compares, as in ``iou<0.5`` or ``minutes:2..5``.
FIGURES = ("iou", "uncertainty", "minutes", "actions")
#: Those of 0 to 1 that the window shows in per cent: a number above 1 is per cent here, too.
_SHARES = ("iou", "uncertainty")
#: A word, or one with a text in quotation marks: ``note:"soft border"``.
_WORDS = re.compile(r"""[^\s"]*"[^"]*"?|\S+""")
_COMPARED = re.compile(rf"({'|'.join(FIGURES)})(<=|>=|<|>|:)(.+)")


class Wanted:
    """A filter as typed: every word must match.

    ``new predicted corrected reviewed rejected unreviewed failed missing changed truth note`` ask for a status or mark,
    ``class:chair`` for a class in the mask, ``note:glare`` and ``reason:blurred`` for words of notes and reasons, ``iou<50``
    or ``iou<0.5``, ``uncertainty>=20``, ``minutes:2..5`` and ``actions>10`` for numbers; ``|`` divides alternatives
    (``class:chair|sofa``), a leading ``-`` means 'not', quotation marks hold words together; anything else is looked for in
    the path.
    """

    def __init__(self, text: str) -> None:
        self.text = " ".join(text.lower().split())
        words = [word.replace('"', "") for word in _WORDS.findall(self.text)]
        self._paths: list[tuple[bool, str]] = []  # whether a word must be missing, and the word
        self._records: list[tuple[bool, Callable[[ImageRecord], bool]]] = []
        self._rows: list[tuple[bool, Callable[[ImageRow], bool]]] = []
        for written in words:
            negated = written.startswith("-") and len(written) > 1
            self._take(negated, written.removeprefix("-") or written)

    def matches(self, row: ImageRow) -> bool:
        """Whether a row is wanted."""
        return bool(self.among(ImageRows([row.id], lambda _place: row), range(1)))

    def among(self, rows: ImageRows, places: Sequence[int]) -> list[int]:
        """Those of some places with an image that is wanted. Rows are made only where paths and statuses do not decide."""
        found = list(places)
        if self._paths:
            paths = rows.lower_paths
            for negated, word in self._paths:
                found = [place for place in found if (word in paths[place]) is not negated]
        for negated, holds in self._records:
            found = [place for place in found if holds(rows.record(place)) is not negated]
        for negated, is_so in self._rows:
            found = [place for place in found if is_so(rows[place]) is not negated]
        return found

    def _take(self, negated: bool, word: str) -> None:
        """Note what a word asks for, and what has to be known for it."""
        name, colon, value = word.partition(":")
        parts = value.split("|")
        if colon and name == "class":
            self._rows.append((negated, lambda row: any(known.startswith(part) for known in row.classes for part in parts)))
        elif colon and name == "note":
            self._rows.append((negated, lambda row: any(part in note.lower() for note in row.notes for part in parts if note)))
        elif colon and name == "reason":
            self._rows.append((negated, lambda row: bool(row.why) and any(part in row.why.lower() for part in parts)))
        elif colon and name == "status":
            self._take_status(negated, parts)
        elif word in _status_words():
            self._take_status(negated, [word])
        elif word in _RECORD_FLAGS:
            self._records.append((negated, _RECORD_FLAGS[word]))
        elif word in FLAG_WORDS:
            self._rows.append((negated, lambda row: _has_flag(word, row)))
        elif (found := _COMPARED.fullmatch(word)) is not None and _limits(*found.groups()) is not None:
            figure, sign, text = found.groups()
            self._rows.append((negated, lambda row: _in_limits(row.figure(figure), figure, sign, text)))
        else:
            self._paths.append((negated, word))

    def _take_status(self, negated: bool, words: list[str]) -> None:
        titles = {title for title in (*STATUS_TITLES.values(), REJECTED) if {title, tr(title).casefold()} & set(words)}
        if not set(words).intersection(FLAG_WORDS):
            self._records.append((negated, lambda record: status_title(record) in titles))
        else:
            self._rows.append((negated, lambda row: row.status_title in titles or any(_has_flag(word, row) for word in words)))


@dataclass(frozen=True, slots=True)
class FilterTerm:
    """A word of the filter, and what a menu says of it."""

    word: str
    title: str


#: Scores that the menu offers as limits.
_LIMITS = (50, 70, 90)


def filter_terms(classes: Sequence[str]) -> list[list[FilterTerm]]:
    """What a menu offers, in groups: statuses and marks, scores, the classes (lower-case names) of the masks."""
    statuses = [*(title for title in STATUS_TITLES.values()), REJECTED, *FLAG_WORDS[-2:]]
    marks = [FilterTerm(word, tr(_TERM_TITLES.get(word, word))) for word in statuses]
    scores = [FilterTerm(f"iou<{limit}", tr("IoU below {limit}", limit=limit)) for limit in _LIMITS]
    names = [FilterTerm(f"class:{name}" if " " not in name else f'class:"{name}"', name) for name in classes[:_CLASSES]]
    return [marks, scores, names]


#: Classes that the menu offers; more are typed.
_CLASSES = 24
_TERM_TITLES = {"unreviewed": mark("neither reviewed nor rejected"), "note": mark("with a note")}


def _status_words() -> set[str]:
    return {word for title in (*STATUS_TITLES.values(), REJECTED) for word in (title, tr(title).casefold())}


#: Words of the filter that the record of an image answers.
_RECORD_FLAGS: dict[str, Callable[[ImageRecord], bool]] = {
    "failed": lambda record: record.failed,
    "missing": lambda record: record.missing,
    "changed": lambda record: record.changed,
    "unreviewed": lambda record: not record.reviewed and not record.rejected,
}


def _has_flag(word: str, row: ImageRow) -> bool:
    if word in _RECORD_FLAGS:
        return _RECORD_FLAGS[word](row.record)
    return {"truth": row.has_truth, "note": bool(row.notes)}.get(word, False)


def _limits(figure: str, sign: str, text: str) -> tuple[float, float] | None:
    """Least and most that a comparison allows; None for what is no number or range."""
    ends = text.split("..") if sign == ":" else [text]
    if not 1 <= len(ends) <= 2 or not all(_is_number(end) for end in ends if end) or not any(ends):
        return None
    numbers = [read_number(end) if end else None for end in ends]
    if figure in _SHARES:
        numbers = [number / 100 if number is not None and number > 1 else number for number in numbers]
    if sign == ":":
        low, high = numbers[0], numbers[-1]
        return (-inf if low is None else low, inf if high is None else high)
    assert numbers[0] is not None
    return (-inf, numbers[0]) if sign.startswith("<") else (numbers[0], inf)


def _in_limits(number: float | None, figure: str, sign: str, text: str) -> bool:
    limits = _limits(figure, sign, text)
    if number is None or limits is None:
        return False
    low, high = limits
    inside = low <= number <= high
    return inside and not (sign == "<" and number == high) and not (sign == ">" and number == low)


def _is_number(text: str) -> bool:
    return plain_number(text).replace(".", "", 1).isdigit()


def beside(order: Sequence[int], current: int | None, direction: int) -> int | None:
    """The image after (1) or before (-1) the current one of a list; None at its end."""
    place = order.index(current) + direction if current in order else -1
    return order[place] if 0 <= place < len(order) else None


def around(order: Sequence[int], current: int | None, direction: int, wanted: Callable[[int], bool]) -> Iterator[int]:
    """Images of a list from the current one on, around its end."""
    start = order.index(current) if current in order else -1
    places = ((start + direction * step) % len(order) for step in range(1, len(order) + 1))
    return (order[place] for place in places if order[place] != current and wanted(order[place]))
