"""What got better and what got worse between two evaluations of the same images.

Both reports are scored over one class set, that of the ground truth, and pooled over the same draws of images (paired bootstrap,
:mod:`deeplab_core.metrics.bootstrap`); the interval is that of the difference. ``p`` is the two-sided bootstrap p-value,
``2 min(P(d <= 0), P(d >= 0))`` with one draw added to both counts, so that it is never 0. It is corrected by Holm's method
(Holm 1979), once over the overall rows and once over the classes: of twenty rows that did not change one would else be called
changed. A class that occurs in fewer than six images gets no verdict: even if all of them agreed, a sign test could not tell that
from chance (2 / 2^5 > 0.05). Nor does a difference that rounds to 0.0000.

Reports of different classes, or of different ground truth, are compared over the classes that both ground truths have; then no
difference is called significant, because part of it comes from what was measured and not from the model.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplab_core.analysis.compared_side import ComparedSide
from deeplab_core.analysis.evaluation import IMAGE_MEANS
from deeplab_core.analysis.verdicts import ScoreChange, Verdict, corrected, p_value
from deeplab_core.catalogs.catalog import ClassCatalog, fold_name
from deeplab_core.errors import MaskFormatError, message
from deeplab_core.metrics.bootstrap import LEVEL, PairedScores, Samples, Scores, interval, paired_scores
from deeplab_core.metrics.confusion import same_classes
from deeplab_core.wording import count

FORMAT = "atrous-comparison-2"

#: Draws of a comparison: enough for Holm's correction of 150 classes.
COMPARE_RESAMPLES = 10_000
#: Names listed in a sentence.
_LISTED = 6

_TITLES = {"davis_f": "DAVIS boundary F", "csurka_f": "Csurka boundary F"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Result of :func:`compare_sides`.

    Attributes:
        images: number of images in both reports.
        only_before, only_after: names of images that one report lacks; they are in no figure here.
        overall: pooled scores, band scores and boundary scores, one family of tests.
        classes: IoU by class, in catalog order, the other family; classes that neither report has are left out.
        class_set: names of the classes that the means run over: those that the ground truth of both reports has.
        truth_before, truth_after: hash of the ground truth of the common images; None where the report has none.
        same_truth: whether both reports measured the same thing; without it no difference is called significant.
        notes: what a reader must know of this comparison, one sentence or two each.
    """

    images: int
    only_before: tuple[str, ...]
    only_after: tuple[str, ...]
    overall: tuple[ScoreChange, ...]
    classes: tuple[ScoreChange, ...]
    class_set: tuple[str, ...]
    truth_before: str | None
    truth_after: str | None
    same_truth: bool
    notes: tuple[str, ...]

    @property
    def families(self) -> str:
        """Over which rows p is corrected, as a sentence."""
        overall, classes = (sum(not math.isnan(change.p) for change in rows) for rows in (self.overall, self.classes))
        if not overall + classes:
            return "No p-values."
        return f"p is corrected by Holm's method, over the {overall} overall rows and over {classes} classes separately."

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "format": FORMAT,
            "images": self.images,
            "only_before": list(self.only_before),
            "only_after": list(self.only_after),
            "class_set": list(self.class_set),
            "truth_sha256": {"before": self.truth_before, "after": self.truth_after},
            "same_truth": self.same_truth,
            "correction": self.families,
            "notes": list(self.notes),
            "overall": [change.to_dict() for change in self.overall],
            "classes": [change.to_dict() for change in self.classes],
        }


def compare_reports(
    before: Path | str, after: Path | str, *, resamples: int = COMPARE_RESAMPLES, seed: int = 0, level: float = LEVEL
) -> Comparison:
    """Compare two files that ``atrous evaluate --json`` wrote; see :func:`compare_sides`.

    Raises:
        MaskFormatError: a file is no such report, or of another version; or as :func:`compare_sides`.
    """
    sides = ComparedSide.of_report(Path(before)), ComparedSide.of_report(Path(after))
    return compare_sides(*sides, resamples=resamples, seed=seed, level=level)


def compare_sides(
    old: ComparedSide,
    new: ComparedSide,
    *,
    resamples: int = COMPARE_RESAMPLES,
    seed: int = 0,
    level: float = LEVEL,
    correct: bool = True,
) -> Comparison:
    """Compare two evaluations.

    Args:
        old, new: both sides, each from a report or a folder's analysis. Images are matched by name, classes of different catalogs
            too.
        resamples, seed: of the bootstrap.
        level: of the intervals.
        correct: False leaves p as it is and gives no verdict: for several comparisons that are corrected as one family.

    Raises:
        MaskFormatError: fewer than two images are in both, or the ground truths have no class in common.
    """
    keys = _common_images(old, new)
    truths = old.truth_hash(keys), new.truth_hash(keys)
    names, notes = old.catalog.names, []
    same_catalog = same_classes(old.catalog, new.catalog)
    if not same_catalog:
        shared = _shared(old.catalog, new.catalog)
        names = tuple(old.catalog.names[channel] for channel, _ in shared)
        old, new = old.renumbered([ours for ours, _ in shared]), new.renumbered([theirs for _, theirs in shared])
    ours, theirs = (_truth_classes(report, keys, len(names)) for report in (old, new))
    class_set = tuple(name for name, here, there in zip(names, ours, theirs, strict=True) if here and there)
    if not class_set:
        raise MaskFormatError(
            message("the ground truths of the two reports have no class in common"),
            why=message("The reports are of the catalogs '{old}' and '{new}'", old=old.catalog.name, new=new.catalog.name),
            remedy=message("Evaluate both predictions with the same classes and ground truth"),
            option="--catalog, --truth",
            path=new.path,
        )
    same_set = same_catalog and np.array_equal(ours, theirs)
    differing = [] if not same_catalog else _differing(old, new, keys)
    same_truth = same_set and not differing
    if not same_set:
        notes.append(_other_classes(old, new, same_catalog, len(class_set)))
    notes += _truth_notes(differing, len(keys), unhashed=None in truths and same_truth)
    notes += [note for report in (old, new) for note in _invented(report, keys, names)]
    notes += [note for report in (old, new) for note in _alike(report)]
    widths, ratio = _common(old, new, notes)
    if not same_set and ratio is not None:
        notes.append("Boundary F is left out: it is measured image by image, over all classes of each ground truth.")
    pair = _Pair(*_samples(old, new, keys, widths, len(names)), resamples, seed, level, _Rules(same_truth, correct))
    return Comparison(
        images=len(keys),
        only_before=_only(old, new),
        only_after=_only(new, old),
        overall=pair.overall(widths, boundary=ratio is not None, image_means=ratio is not None and same_set),
        classes=pair.by_class(names),
        class_set=class_set,
        truth_before=truths[0],
        truth_after=truths[1],
        same_truth=same_truth,
        notes=tuple(notes),
    )


def _common_images(old: ComparedSide, new: ComparedSide) -> list[str]:
    """Keys of the images that are in both reports. Raises MaskFormatError for fewer than two."""
    keys = [key for key in old.images if key in new.images]
    if len(keys) < 2:
        raise MaskFormatError(
            message("the reports have {keys} in common", keys=count(len(keys), "image")),
            why=message("Images belong together by their names"),
            remedy=message("Compare reports of the same images"),
            path=new.path,
        )
    return keys


def _truth_notes(differing: list[str], images: int, *, unhashed: bool) -> list[str]:
    """What limits a comparison over two ground truths of the same classes."""
    notes = []
    if differing:
        notes.append(
            f"Not the same ground truth: it differs in {len(differing)} of {images} images, e.g. {differing[0]}. "
            "No difference is marked as significant."
        )
    if unhashed:
        notes.append("A report of an older version has no hash of its ground truth; only the pixels of each class were checked.")
    return notes


def _alike(report: ComparedSide) -> list[str]:
    return [
        f"{name} in {report.path.name} have the same name but for the ending or the Unicode form; they are not compared."
        for name in report.alike
    ]


@dataclass(frozen=True, slots=True)
class _Rules:
    """Whether both sides measured the same thing, and whether p is corrected here."""

    same_truth: bool
    correct: bool


class _Pair:
    """Two reports pooled over the same draws."""

    def __init__(self, before: Samples, after: Samples, resamples: int, seed: int, level: float, rules: _Rules) -> None:
        self._sides = before, after
        self._level = level
        self._rules = rules
        self._whole = paired_scores(before, after)
        self._drawn = paired_scores(before, after, resamples, seed)

    def overall(self, widths: tuple[int, ...], *, boundary: bool, image_means: bool) -> tuple[ScoreChange, ...]:
        """The rows over all classes, corrected as one family."""
        whole, images = self._whole, self._sides[0].images
        rows = [self._change("mIoU", images, "mean_iou", classes=int(whole.classes[0]))]
        rows.append(self._change("pixel accuracy", images, "pixel_accuracy"))
        for place, width in enumerate(widths):
            over = int(whole.band_classes[0, place])
            rows.append(self._change(f"mIoU within {width} px", images, "band_mean_iou", place, classes=over))
        if boundary:
            over = int(whole.boundary_classes[0])
            rows.append(self._change("boundary IoU", images, "mean_boundary_iou", classes=over))
        for place, name in enumerate(IMAGE_MEANS if image_means else ()):
            rows.append(self._change(_TITLES[name], images, "image_means", place))
        return self._with_verdicts(rows)

    def by_class(self, names: tuple[str, ...]) -> tuple[ScoreChange, ...]:
        """One row for each class that occurs, corrected as one family."""
        found = self._images_with().tolist()
        rows = [self._change(name, found[place], "iou", place) for place, name in enumerate(names) if found[place]]
        return self._with_verdicts(rows)

    def _with_verdicts(self, rows: list[ScoreChange]) -> tuple[ScoreChange, ...]:
        if self._rules.same_truth:
            return corrected(rows) if self._rules.correct else tuple(rows)
        return tuple(replace(row, p=math.nan, verdict=Verdict.WITHHELD) for row in rows)

    def _images_with(self) -> NDArray[np.int64]:
        """(C,) images in which a class occurs in the truth or in either prediction."""
        found = np.zeros(self._sides[0].classes, dtype=np.int64)
        for before, after in zip(self._sides[0].counts, self._sides[1].counts, strict=True):
            found[np.union1d(before.channels, after.channels)] += 1
        return found

    def _change(self, name: str, images: int, score: str, column: int | None = None, classes: int | None = None) -> ScoreChange:
        """The change of one score of :class:`PairedScores`, or of one column of it."""
        before, after = _column(self._whole, score, column)[:, 0].tolist()
        drawn = _column(self._drawn, score, column)
        differences = drawn[1] - drawn[0]
        low, high = interval(differences, self._level).tolist()
        p = math.nan if math.isnan(after - before) else p_value(differences)
        verdict = Verdict.UNCLEAR
        return ScoreChange(
            name=name, before=before, after=after, low=low, high=high, p=p, images=images, verdict=verdict, classes=classes
        )


def _column(scores: PairedScores, name: str, column: int | None) -> Scores:
    found: Scores = getattr(scores, name)
    return found if column is None else found[..., column]


def _shared(old: ClassCatalog, new: ClassCatalog) -> list[tuple[int, int]]:
    """Channels of the classes of one name in both catalogs; spelling counts only where it tells two classes apart."""
    pairs = [(channel, new.names.index(name)) for channel, name in enumerate(old.names) if name in new.names]
    folded = [[fold_name(name) for name in catalog.names] for catalog in (old, new)]
    settled = {ours for ours, _ in pairs}, {theirs for _, theirs in pairs}
    for channel, name in enumerate(folded[0]):
        if channel not in settled[0] and [names.count(name) for names in folded] == [1, 1]:
            partner = folded[1].index(name)
            if partner not in settled[1]:
                pairs.append((channel, partner))
    return sorted(pairs)


def _truth_classes(report: ComparedSide, keys: list[str], classes: int) -> NDArray[np.bool_]:
    """(C,) whether the ground truth of these images has each class."""
    found = np.zeros(classes, dtype=bool)
    for key in keys:
        counts = report.images[key].counts
        found[counts.channels[counts.totals[1] > 0]] = True
    return found


def _differing(old: ComparedSide, new: ComparedSide, keys: list[str]) -> list[str]:
    """Names of the images with different ground truth: by its hash or, without one, by the pixels of each class."""
    differing = []
    for key in keys:
        ours, theirs = old.images[key], new.images[key]
        known = None not in (ours.truth_hash, theirs.truth_hash)
        same = ours.truth_hash == theirs.truth_hash if known else np.array_equal(ours.counts.truth_px, theirs.counts.truth_px)
        if not same:
            differing.append(ours.name)
    return differing


def _other_classes(old: ComparedSide, new: ComparedSide, same_catalog: bool, common: int) -> str:
    what = "their ground truths hold different classes"
    if not same_catalog:
        what = f"their catalogs are '{old.catalog.name}' ({len(old.catalog)}) and '{new.catalog.name}' ({len(new.catalog)})"
    number = "the one class" if common == 1 else f"the {common} classes"
    return (
        f"The reports have different class sets: {what}. All figures are over {number} that both ground truths have, "
        "and no difference is marked as significant."
    )


def _invented(report: ComparedSide, keys: list[str], names: tuple[str, ...]) -> Iterable[str]:
    """What a prediction names that the ground truth does not have."""
    px = np.zeros((2, len(names)), dtype=np.int64)
    for key in keys:
        counts = report.images[key].counts
        px[:, counts.channels] += counts.totals[1:]
    invented = np.flatnonzero((px[0] == 0) & (px[1] > 0))
    invented = invented[np.argsort(-px[1, invented], kind="stable")].tolist()
    if invented:
        listed = ", ".join(f"{names[channel]} ({px[1, channel]:,} px)" for channel in invented[:_LISTED])
        more = f" and {len(invented) - _LISTED} more" if len(invented) > _LISTED else ""
        yield (
            f"{report.path.name} predicts classes that the ground truth does not have: {listed}{more}. Each such pixel is a miss "
            "of its true class; no mean runs over them."
        )


def _common(old: ComparedSide, new: ComparedSide, notes: list[str]) -> tuple[tuple[int, ...], float | None]:
    """Band widths and boundary width that both reports measured; what is left out is added to ``notes``."""
    widths = tuple(width for width in old.widths if width in new.widths)
    left_out = sorted({*old.widths, *new.widths} - set(widths))
    if old.band_rule != new.band_rule:
        rules = " and ".join(f"'{rule}' around the {around}" for rule, around in (old.band_rule, new.band_rule))
        notes.append(f"The bands are left out: their rules are {rules}.")
        widths = ()
    elif left_out:
        notes.append(f"Band widths of one report only are left out: {', '.join(map(str, left_out))} px.")
    if old.ratio == new.ratio:
        return widths, old.ratio
    missing = None in (old.ratio, new.ratio)
    notes.append(f"Boundary scores are left out: {'one report has none' if missing else 'their widths differ'}.")
    return widths, None


def _only(report: ComparedSide, other: ComparedSide) -> tuple[str, ...]:
    return tuple(sorted(image.name for key, image in report.images.items() if key not in other.images))


def _samples(
    old: ComparedSide, new: ComparedSide, keys: list[str], widths: tuple[int, ...], classes: int
) -> tuple[Samples, Samples]:
    means = np.array([[side.images[key].means for key in keys] for side in (old, new)], dtype=np.float64)
    means[:, np.isnan(means).any(axis=0)] = np.nan  # one set of images on both sides
    found = []
    for report, own in zip((old, new), means, strict=True):
        chosen = [report.widths.index(width) for width in widths]
        images = [report.images[key].counts for key in keys]
        found.append(Samples([replace(counts, bands=counts.bands[chosen]) for counts in images], own, classes, widths))
    return found[0], found[1]
