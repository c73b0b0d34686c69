"""What got better and what got worse between two evaluations of the same images.

Both reports are pooled over the same draws of images (paired bootstrap, :mod:`deeplab_core.metrics.bootstrap`); the interval is
that of the difference. ``p`` is the two-sided bootstrap p-value, ``2 min(P(d <= 0), P(d >= 0))`` with one draw added to both
counts, so that it is never 0. Over the classes it is corrected by Holm's method (Holm 1979): of twenty classes that did not
change one would else be called changed. A class that occurs in fewer than six images gets no verdict: even if all of them
agreed, a sign test could not tell that from chance (2 / 2^5 > 0.05).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplab_core.catalog import ClassCatalog
from deeplab_core.errors import AtrousError, MaskFormatError
from deeplab_core.metrics.bootstrap import LEVEL, PooledScores, Samples, Scores, interval
from deeplab_core.metrics.confusion import check_same_classes
from deeplab_core.metrics.evaluation import IMAGE_MEANS
from deeplab_core.metrics.image_counts import ImageCounts
from deeplab_core.metrics.report.reading import damaged, read_figures

#: Draws of a comparison: enough for Holm's correction of 150 classes.
COMPARE_RESAMPLES = 10_000
#: Images that a class must occur in for a verdict.
FEWEST_IMAGES = 6

_SIGNIFICANT = 0.05

Pick = Callable[[PooledScores], Scores]

_TITLES = {"davis_f": "DAVIS boundary F", "csurka_f": "Csurka boundary F"}


class Verdict(StrEnum):
    """What may be said of a difference."""

    BETTER = "better"
    WORSE = "worse"
    UNCLEAR = "unclear"
    FEW = "too few images"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One score before and after; scores 0..1, nan where there is none.

    Attributes:
        name: of the score or class.
        before, after: the score of both reports.
        low, high: interval of the difference after - before.
        p: two-sided p-value, over the classes corrected for their number; nan where there is no verdict to be had.
        images: images that the score rests on.
        verdict: see :class:`Verdict`.
    """

    name: str
    before: float
    after: float
    low: float
    high: float
    p: float
    images: int
    verdict: Verdict

    @property
    def difference(self) -> float:
        """After - before."""
        return self.after - self.before

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; null where there is none."""
        numbers = ("before", "after", "difference", "low", "high", "p")
        plain = {key: None if math.isnan(value := float(getattr(self, key))) else value for key in numbers}
        return {"name": self.name, **plain, "images": self.images, "verdict": str(self.verdict)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Result of :func:`compare_reports`.

    Attributes:
        images: number of images in both reports.
        only_before, only_after: names of images that one report lacks; they are in no figure here.
        overall: pooled scores, band scores and boundary scores.
        classes: IoU by class, in catalog order; classes that neither report has are left out.
    """

    images: int
    only_before: tuple[str, ...]
    only_after: tuple[str, ...]
    overall: tuple[Change, ...]
    classes: tuple[Change, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "format": "atrous-comparison-1",
            "images": self.images,
            "only_before": list(self.only_before),
            "only_after": list(self.only_after),
            "overall": [change.to_dict() for change in self.overall],
            "classes": [change.to_dict() for change in self.classes],
        }


@dataclass(frozen=True, slots=True, eq=False)
class _Report:
    path: Path
    catalog: ClassCatalog
    band_rule: tuple[str, str]
    widths: tuple[int, ...]
    has_boundary: bool
    images: dict[str, tuple[ImageCounts, tuple[float, ...]]]


def compare_reports(
    before: Path | str, after: Path | str, *, resamples: int = COMPARE_RESAMPLES, seed: int = 0, level: float = LEVEL
) -> Comparison:
    """Compare two files that ``atrous evaluate --json`` wrote.

    Args:
        before, after: the files. Images are matched by name; the truth must be the same.
        resamples, seed: of the bootstrap.
        level: of the intervals.

    Raises:
        MaskFormatError: a file is no such report, or of another version, or the truth differs, or fewer than two images are in
            both.
        CatalogError: other classes.
    """
    old, new = _read(Path(before)), _read(Path(after))
    check_same_classes(old.catalog, new.catalog)
    names = [name for name in old.images if name in new.images]
    if len(names) < 2:
        raise MaskFormatError(
            f"the reports have {len(names)} images in common",
            why="Images belong together by their names",
            remedy="Compare reports of the same images",
            path=new.path,
        )
    _check_truth(old, new, names)
    widths = tuple(width for width in old.widths if width in new.widths) if old.band_rule == new.band_rule else ()
    pair = _Pair(_samples(old, names, widths), _samples(new, names, widths), resamples, seed, level)
    scores = [("mIoU", _score("mean_iou")), ("pixel accuracy", _score("pixel_accuracy"))]
    scores += [(f"mIoU within {width} px", _score("band_mean_iou", place)) for place, width in enumerate(widths)]
    if old.has_boundary and new.has_boundary:
        scores.append(("boundary IoU", _score("mean_boundary_iou")))
        scores += [(_TITLES[name], _score("image_means", place)) for place, name in enumerate(IMAGE_MEANS)]
    classes = [
        pair.change(old.catalog.names[channel], _score("iou", channel), images)
        for channel, images in enumerate(pair.images_with().tolist())
        if images
    ]
    return Comparison(
        images=len(names),
        only_before=tuple(sorted(old.images.keys() - new.images.keys())),
        only_after=tuple(sorted(new.images.keys() - old.images.keys())),
        overall=tuple(pair.change(name, pick, len(names)) for name, pick in scores),
        classes=_corrected(classes),
    )


class _Pair:
    """Two reports pooled over the same draws."""

    def __init__(self, before: Samples, after: Samples, resamples: int, seed: int, level: float) -> None:
        self._sides = before, after
        self._level = level
        self._whole = before.pooled(), after.pooled()
        self._drawn = before.resampled(resamples, seed), after.resampled(resamples, seed)

    def images_with(self) -> NDArray[np.int64]:
        """(C,) images in which a class occurs in the truth or in either prediction."""
        found = np.zeros(self._sides[0].classes, dtype=np.int64)
        for before, after in zip(self._sides[0].counts, self._sides[1].counts, strict=True):
            found[np.union1d(before.channels, after.channels)] += 1
        return found

    def change(self, name: str, pick: Pick, images: int) -> Change:
        """The change of one score; ``pick`` takes it, (R,), from a batch of pools."""
        before, after = (float(pick(scores)[0]) for scores in self._whole)
        differences = pick(self._drawn[1]) - pick(self._drawn[0])
        low, high = interval(differences, self._level).tolist()
        p = _p_value(differences)
        change = Change(name=name, before=before, after=after, low=low, high=high, p=p, images=images, verdict=Verdict.UNCLEAR)
        return replace(change, verdict=_verdict(change))


def _score(name: str, column: int | None = None) -> Pick:
    """A score of :class:`PooledScores`, or one column of it."""

    def pick(scores: PooledScores) -> Scores:
        found: Scores = getattr(scores, name)
        return found if column is None else found[:, column]

    return pick


def _p_value(differences: Scores) -> float:
    there = differences[~np.isnan(differences)]
    if not there.size:
        return math.nan
    below, above = np.count_nonzero(there <= 0), np.count_nonzero(there >= 0)
    return min(1.0, 2 * (min(below, above) + 1) / (there.size + 1))


def _verdict(change: Change) -> Verdict:
    if change.images < FEWEST_IMAGES:
        return Verdict.FEW
    if math.isnan(change.difference) or not change.p <= _SIGNIFICANT or change.difference == 0:
        return Verdict.UNCLEAR
    return Verdict.BETTER if change.difference > 0 else Verdict.WORSE


def _corrected(changes: list[Change]) -> tuple[Change, ...]:
    """Holm's correction over the changes that can have a verdict."""
    few = {place for place, change in enumerate(changes) if change.images < FEWEST_IMAGES}
    result = [replace(change, p=math.nan, verdict=Verdict.FEW) if at in few else change for at, change in enumerate(changes)]
    judged = sorted(set(range(len(changes))) - few, key=lambda place: changes[place].p)
    largest = 0.0
    for rank, place in enumerate(judged):
        largest = max(largest, min(1.0, (len(judged) - rank) * changes[place].p))
        corrected = replace(changes[place], p=largest)
        result[place] = replace(corrected, verdict=_verdict(corrected))
    return tuple(result)


def _check_truth(old: _Report, new: _Report, names: list[str]) -> None:
    for name in names:
        if not np.array_equal(old.images[name][0].truth_px, new.images[name][0].truth_px):
            raise MaskFormatError(
                f"the two reports used different truth for {name}",
                remedy="Evaluate both predictions against the same truth",
                path=new.path,
            )


def _samples(report: _Report, names: list[str], widths: tuple[int, ...]) -> Samples:
    chosen = [report.widths.index(width) for width in widths]
    counts = [replace(report.images[name][0], bands=report.images[name][0].bands[chosen]) for name in names]
    means = np.array([report.images[name][1] for name in names], dtype=np.float64)
    return Samples(counts, means, len(report.catalog), widths)


def _read(path: Path) -> _Report:
    data = read_figures(path)
    try:
        catalog = ClassCatalog.from_dict(data["catalog"])
        widths = tuple(int(row["width_px"]) for row in data["bands"]["widths"])
        images = {
            str(row["name"]): (
                ImageCounts.from_rows(row["counts"], catalog.ids, widths),
                tuple(math.nan if row[name] is None else float(row[name]) for name in IMAGE_MEANS),
            )
            for row in data["images"]
        }
        rule = str(data["bands"]["rule"]), str(data["bands"]["around"])
        return _Report(path, catalog, rule, widths, data["boundary"] is not None, images)
    except AtrousError as error:
        error.path = path
        raise
    except (KeyError, TypeError, ValueError) as error:
        raise damaged(path, error) from error
