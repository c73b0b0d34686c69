"""How far two users agree, and what merging their labels would do, in words and rows. No Qt."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from math import isnan

from app.text import displayed, error_detail, error_title, plural, share_text, spaced, tr
from deeplab_core.analysis.agreement import Agreement
from deeplab_core.errors import AtrousError

#: Pairs of classes that a line names.
_PAIRS = 3


def conflict_text(conflicts: Mapping[tuple[str, str], int]) -> str:
    """The classes that both users gave the same pixels, most pixels first."""
    parts = [
        tr("{yours} / {theirs}: {pixels}", yours=one, theirs=other, pixels=plural("{n} px", "{n} px", count))
        for (one, other), count in list(conflicts.items())[:_PAIRS]
    ]
    left = len(conflicts) - _PAIRS
    return ", ".join([*parts, plural("{n} more pair", "{n} more pairs", left)] if left > 0 else parts)


def merge_line(images: int, changed: int, pixels: int, conflicts: int, waiting: int = 0, added: Sequence[str] = ()) -> str:
    """What merging would do, as sentences.

    Args:
        images: that could be compared.
        changed: images without a conflict that get labels.
        pixels: that they get.
        conflicts: images with a conflict.
        waiting: images with classes that are not decided.
        added: names of classes that your project gets.
    """
    wait = plural("{n} image waits until its classes are decided.", "{n} images wait until their classes are decided.", waiting)
    if waiting and not images:
        return wait
    parts = [plural("The other user labelled {n} of your images.", "The other user labelled {n} of your images.", images)]
    if changed:
        gets = plural("{n} of them gets labels of the other user", "{n} of them get labels of the other user", changed)
        parts.append(tr("{gets}: {pixels}.", gets=gets, pixels=plural("{n} px", "{n} px", pixels)))
    elif not conflicts:
        parts.append(tr("The other user has no label that yours lack."))
    if conflicts:
        parts.append(plural("{n} image has a conflict.", "{n} images have conflicts.", conflicts))
    if waiting:
        parts.append(wait)
    if added:
        parts.append(tr("Merge adds to your classes: {names}.", names=", ".join(added)))
    return " ".join(parts)


def agreement_line(found: Agreement) -> str:
    """The pooled figures, as a sentence."""
    if not found.images:
        return tr("There is no image that both users worked on, so there is nothing to compare.")
    return tr(
        "{images}: both users agree on {share} of the pixels that both labelled; Cohen's kappa is {kappa}.",
        images=plural("{n} image", "{n} images", len(found.images)), share=_percent(found.share), kappa=_figure(found.kappa),
    )  # fmt: skip


def agreement_classes(found: Agreement) -> list[tuple[str, str, str, str, str]]:
    """(class, IoU, boundary IoU, your px, their px) of every class that one of the users has, as texts."""
    rows = zip(found.catalog.names, found.iou().tolist(), found.boundary_iou().tolist(), *found.pixels(), strict=True)
    return [
        (displayed(name), _figure(iou), _figure(near), spaced(one), spaced(other))
        for name, iou, near, one, other in rows
        if one or other
    ]


def agreement_images(found: Agreement) -> list[tuple[str, str, str]]:
    """(image, share of equal pixels, kappa) as texts, least agreement first."""
    return [(displayed(image.name), _percent(image.share), _figure(image.kappa)) for image in found.worst_first()]


def not_merged(failures: Sequence[tuple[str, AtrousError]], strangers: Collection[tuple[str, str]]) -> list[tuple[str, str]]:
    """(image, why) of everything that a merge leaves out."""
    rows = [(displayed(name), f"{error_title(error)}. {error_detail(error)}") for name, error in failures]
    return rows + [(displayed(name), f"{tr(why)}.") for name, why in strangers]


def _figure(value: float) -> str:
    return "\u2013" if isnan(value) else f"{value:.3f}"


def _percent(value: float) -> str:
    return share_text(value)
