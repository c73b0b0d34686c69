"""Active time and actions of each image, kept with the project. No Qt.

Times are Unix seconds (UTC) and are kept by quarters of an hour: the clocks of all time zones differ by whole quarters, so
figures of a day are exact wherever they are looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime

from app.state.project_values import ProjectValues
from deeplab_core.errors import AtrousError, ProjectError, message
from deeplab_core.reading import convert, json_text, parse_json

#: Kind of the project's results that holds activity.
KIND = "activity"
#: Seconds of a quarter of an hour.
QUARTER = 900
#: A longer time without a sign of the user, in seconds, is a pause and does not count.
PAUSE = 60
_MAX_BYTES = 8 << 20


@dataclass(frozen=True, slots=True)
class Spell:
    """What was done with an image within a quarter of an hour.

    Attributes:
        quarter: Unix time of its beginning over :data:`QUARTER`.
        seconds: active time.
        actions: steps that the user made, undid and redid.
        reviewed, rejected: how often the image was marked so.
    """

    quarter: int
    seconds: float = 0.0
    actions: int = 0
    reviewed: int = 0
    rejected: int = 0

    def __add__(self, other: Spell) -> Spell:
        return replace(
            self,
            seconds=self.seconds + other.seconds,
            actions=self.actions + other.actions,
            reviewed=self.reviewed + other.reviewed,
            rejected=self.rejected + other.rejected,
        )

    @property
    def empty(self) -> bool:
        return not (self.seconds or self.actions or self.reviewed or self.rejected)


@dataclass(frozen=True, slots=True)
class ImageActivity:
    """What was done with an image; quarters rise."""

    spells: tuple[Spell, ...] = ()

    @property
    def seconds(self) -> float:
        """Active time in seconds."""
        return sum(spell.seconds for spell in self.spells)

    @property
    def actions(self) -> int:
        return sum(spell.actions for spell in self.spells)

    @property
    def first(self) -> float:
        """Unix time of the first quarter of an hour in which something was done; 0 if nothing was."""
        return float(self.spells[0].quarter * QUARTER) if self.spells else 0.0

    @property
    def last(self) -> float:
        """As :attr:`first`, of the last one."""
        return float(self.spells[-1].quarter * QUARTER) if self.spells else 0.0

    def plus(self, spell: Spell) -> ImageActivity:
        """With a further spell; the one of the same quarter grows."""
        by_quarter = {known.quarter: known for known in self.spells}
        known = by_quarter.get(spell.quarter)
        by_quarter[spell.quarter] = spell if known is None else known + spell
        return ImageActivity(tuple(by_quarter[quarter] for quarter in sorted(by_quarter)))


class ActivityClock:
    """Adds up active time from signs of the user: the time between two signs counts, unless it is a pause."""

    def __init__(self) -> None:
        self._last: float | None = None

    def sign(self, now: float) -> float:
        """The user has done something; seconds of active time since the last sign."""
        passed = 0.0 if self._last is None else now - self._last
        self._last = now
        return passed if 0 < passed <= PAUSE else 0.0

    def stop(self) -> None:
        """Nothing is in view: the time until the next sign does not count."""
        self._last = None


class ActivityLog:
    """Activity of a project's images; read once, written image by image."""

    def __init__(self, values: ProjectValues) -> None:
        self._values = values
        self._known: dict[int, ImageActivity] | None = None

    def of(self, image: int) -> ImageActivity:
        """What was done with an image."""
        return self.all().get(image, ImageActivity())

    def all(self) -> dict[int, ImageActivity]:
        """By image id; images with which nothing was done are left out. A damaged record counts as none."""
        if self._known is None:
            self._known = {}
            for image, (_, data) in self._values.results(KIND).items():
                try:
                    self._known[image] = _decode(data)
                except AtrousError:
                    continue
        return self._known

    def add(self, image: int, spell: Spell) -> None:
        """Keep a further spell of an image.

        Raises:
            StorageError: it cannot be written; it counts until the project is closed.
        """
        if spell.empty or self._values.read_only:
            return
        found = self.of(image).plus(spell)
        self.all()[image] = found
        rows = [[each.quarter, round(each.seconds, 1), each.actions, each.reviewed, each.rejected] for each in found.spells]
        self._values.put_result(image, KIND, "", json_text(rows, separators=(",", ":")).encode())


@dataclass(frozen=True, slots=True)
class DayProgress:
    """What was done on one day.

    Attributes:
        day: in the time zone that was asked for.
        images: that were worked on.
        reviewed, rejected: images that were marked so on this day, each once.
        actions: steps made, undone and redone.
        seconds: active time.
    """

    day: date
    images: int
    reviewed: int
    rejected: int
    actions: int
    seconds: float


def by_day(found: Mapping[int, ImageActivity], day_of: Callable[[float], date] | None = None) -> list[DayProgress]:
    """Progress of each day on which something was done, first day first.

    Args:
        found: by image id.
        day_of: the day of a Unix time; None takes this computer's time zone.
    """
    of = _local_day if day_of is None else day_of
    days: dict[date, dict[int, list[Spell]]] = {}
    for image, activity in found.items():
        for spell in activity.spells:
            days.setdefault(of(spell.quarter * QUARTER), {}).setdefault(image, []).append(spell)
    return [_sum_up(day, days[day].values()) for day in sorted(days)]


def _sum_up(day: date, images: Iterable[list[Spell]]) -> DayProgress:
    spells = list(images)
    everything = [spell for own in spells for spell in own]
    return DayProgress(
        day=day,
        images=len(spells),
        reviewed=sum(any(spell.reviewed for spell in own) for own in spells),
        rejected=sum(any(spell.rejected for spell in own) for own in spells),
        actions=sum(spell.actions for spell in everything),
        seconds=sum(spell.seconds for spell in everything),
    )


def _local_day(seconds: float) -> date:
    return datetime.fromtimestamp(seconds).astimezone().date()


def _decode(data: bytes) -> ImageActivity:
    what, remedy = message("the activity of this image"), message("It is counted again from now on")
    rows = parse_json(data, limit=_MAX_BYTES, what=what, remedy=remedy, error=ProjectError)
    try:
        spells = [convert(dict(zip(Spell.__slots__, row, strict=True)), Spell) for row in rows]
        if any(spell.seconds < 0 or spell.actions < 0 or spell.quarter < 0 for spell in spells):
            raise ValueError("It has a negative number")
    except (TypeError, ValueError) as error:
        raise ProjectError(message("the activity of this image cannot be read"), why=str(error), remedy=remedy) from error
    whole = ImageActivity()
    for spell in spells:
        whole = whole.plus(spell)
    return whole
