"""What an import of labels brought in, and what it did not, in words. No Qt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.state.label_import import ImportTotals, classes_without_pixels
from app.text import displayed, error_detail, error_title, plural, sentence, share_text, spaced, tr
from deeplab_core.masks.importing import ImportedImage, ImportPlan, Unread
from deeplab_core.wording import name_more, name_some


@dataclass(frozen=True, slots=True)
class ImportSummary:
    """The end of an import.

    Attributes:
        source: what was imported, and its format.
        short: the counts in one line, for a message.
        counts: (what, how much) of everything that came in and that was left.
        classes: (name, px) of the classes that came in, most pixels first; void is the last.
        unread: (file or part, why) of everything that was not taken as it is.
        troubled: something failed, was not read, or is not as in the source.
    """

    source: str
    short: str
    counts: tuple[tuple[str, str], ...]
    classes: tuple[tuple[str, str], ...]
    unread: tuple[tuple[str, str], ...]
    troubled: bool


def summary_of(plan: ImportPlan, totals: ImportTotals, rest: str, *, left: int = 0) -> ImportSummary:
    """Describe an import.

    Args:
        rest: name of the class that pixels without a label became, or ``"void"``.
        left: images that it did not reach, because it was stopped.
    """
    total = totals.labelled + totals.unlabelled
    counts = [(tr("Images that took labels"), spaced(totals.images))]
    counts += _some(tr("Images that had these labels already"), totals.unchanged)
    counts += _some(tr("Images that took nothing, because their pixels are kept"), totals.held)
    counts += _some(tr("Images that kept the mask that you reviewed"), totals.reviewed)
    counts += _some(tr("Images that the import did not reach"), left)
    counts += _some(tr("Images that failed"), len(totals.failures))
    counts += _some(tr("Images without labels in the source"), len(plan.without_labels))
    counts += _some(tr("Regions"), totals.regions)
    counts.append((tr("Labelled pixels"), _pixels(totals.labelled, total)))
    if totals.filled:
        counts.append((tr("Pixels without a label, now {name}", name=rest), _pixels(totals.filled, total)))
    counts += _some(tr("Pixels of several classes; the format's order decided"), totals.overlaps)
    counts += _some(tr("Pixels that you set and that were kept"), totals.kept_pixels)
    counts += _some(tr("Pixels that a locked class kept"), totals.locked_pixels)
    counts += _some(tr("Objects told apart in the source that masks do not tell apart"), totals.instances)
    spellings = {} if plan.mapping is None else plan.mapping.spellings
    unread = [(_images(names), f"{error_title(error)}. {error_detail(error)}") for error, names in totals.failed_alike()]
    unread += [(displayed(part.image), _part(part)) for part in totals.not_read()]
    unread += [(displayed(part.name), _times(part.why, part.count)) for part in (*plan.without_image, *plan.unread)]
    unread += [(displayed(name), tr("No pixel of this class came in.")) for name in classes_without_pixels(plan, totals)]
    unread += [(displayed(name), _spelled(names)) for name, names in spellings.items()]
    unread += [(tr("Note"), line) for line in (*totals.warnings, *totals.notes.lines())]
    names = sorted((name for name in totals.classes if name != "void"), key=lambda name: -totals.classes[name])
    names += ["void"] if totals.classes["void"] else []
    classes = tuple((name, _pixels(totals.classes[name], total)) for name in names)
    short = [plural("{n} region", "{n} regions", totals.regions)] if totals.regions else []
    short.append(plural("{n} px", "{n} px", totals.labelled))
    if totals.failures:
        short.append(plural("{n} image failed", "{n} images failed", len(totals.failures)))
    if unread:
        short.append(plural("{n} remark", "{n} remarks", len(unread)))
    troubled = bool(totals.failures or totals.skipped or plan.without_image or plan.unread or totals.notes.warning or left)
    troubled = troubled or bool(totals.warnings)
    source = tr("{format} from {name}", format=plan.format.title, name=displayed(plan.source.name))
    return ImportSummary(source, f"{', '.join(short)}.", tuple(counts), classes, tuple(unread), troubled)


def image_text(found: ImportedImage) -> str:
    """What the labels of one image hold, in a line."""
    total = found.labelled + found.unlabelled
    parts = [displayed(found.name)]
    if found.regions:
        parts.append(plural("{n} region", "{n} regions", found.regions))
    parts.append(tr("labelled: {pixels}", pixels=_pixels(found.labelled, total)))
    if found.overlaps:
        parts.append(tr("in several classes: {pixels}", pixels=_pixels(found.overlaps, total)))
    if found.skipped:
        parts.append(plural("{n} part is not read", "{n} parts are not read", sum(part.count for part in found.skipped)))
    return " · ".join(parts)


def _images(names: Sequence[str]) -> str:
    """The first of some images, and how many more there are."""
    first = displayed(names[0])
    return tr(name_more(first, len(names) - 1)) if names[1:] else first


def _spelled(names: Sequence[str]) -> str:
    """The names in the source that became one class."""
    listed = name_some([f"“{displayed(name)}”" for name in names], 5)
    return tr("Names that differ in case, spaces and punctuation alone became this class: {names}.", names=listed)


def _some(text: str, count: int) -> list[tuple[str, str]]:
    return [(text, spaced(count))] if count else []


def _pixels(count: int, total: int) -> str:
    if not total:
        return spaced(count)
    return tr("{count} px ({share})", count=spaced(count), share=share_text(count / total))


def _part(part: Unread) -> str:
    """What was not read of an image, and of others like it."""
    text = sentence(f"{part.name}: {tr(part.why)}")
    return text if part.count == 1 else plural("{text} {n} time.", "{text} {n} times, first here.", part.count, text=text)


def _times(why: str, count: int) -> str:
    text = sentence(why)
    return text if count == 1 else plural("{text} {n} time.", "{text} {n} times.", count, text=text)
