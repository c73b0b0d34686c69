"""The figures that the window shows of a model that has learned. Plain values; no Qt."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.state.corrections import Corrections
from app.text import percent, plural, points, share_text, spaced, tr
from deeplab_core.errors import AtrousError
from deeplab_core.labels import LabelMap
from deeplab_core.learning import GainInterval, LearnPair, LearnReport, groups_of
from deeplab_core.wording import clause

#: Longest side of the pictures.
_SIDE = 640
_DASH = "–"

Pair = tuple[float | None, float | None]


@dataclass(frozen=True, slots=True, eq=False)
class LearnedImage:
    """One corrected image before and after.

    Attributes:
        rgb: (h, w, 3) uint8, small.
        before, after, yours: labels in the project's ids, of any size with the picture's shape.
        held_out: ``after`` is by a model that had not seen the image.
    """

    name: str
    rgb: NDArray[np.uint8]
    before: LabelMap
    after: LabelMap
    yours: LabelMap
    held_out: bool


def read_images(corrections: Corrections, pairs: tuple[LearnPair, ...]) -> tuple[LearnedImage, ...]:
    """Pictures for some corrected images; what cannot be read any more is left out. Meant for another thread."""
    from deeplab_core.images.decode import read_image

    sources = {image.name: image for image in corrections.images}
    found = []
    for pair in pairs:
        source = sources.get(pair.name)
        if source is None:
            continue
        try:
            rgb = read_image(Path(source.path)).rgb
        except AtrousError:
            continue
        step = -(-max(rgb.shape[:2]) // _SIDE)
        small = np.ascontiguousarray(rgb[::step, ::step])
        found.append(LearnedImage(pair.name, small, pair.before, pair.after, source.mask.unpacked(), pair.held_out))
    return tuple(found)


def left_out_how(report: LearnReport) -> str:
    """Which images were left out while learning, and what their figure is worth."""
    if report.held_out is None:
        return tr("With one corrected image, none could be held out")
    how = tr(
        "The {images} corrected images were split into {groups} groups, and for each group a model learned from the others, so "
        "that every image was held out once",
        images=report.images,
        groups=groups_of(report.images),
    )
    return tr(
        "{how}; its predictions on the held-out images are compared with your masks. The range is the 95 % "
        "interval over these images. The final model learns from all of them. The amount of learning was "
        "chosen on the same images, so expect slightly less on new ones",
        how=how,
    )


def figures(report: LearnReport) -> tuple[tuple[str, str, str], ...]:
    """(title, value, explanation) of the figures that matter."""
    left_out = _DASH if report.held_out is None else f"{percent(report.held_out[0])} → {percent(report.held_out[1])}"
    title = tr("mean IoU on held-out images")
    if report.change is not None:
        title += f", {change_text(report.change)}"
    return (
        (title, left_out, left_out_how(report)),
        (
            tr("mean IoU on the corrected images"), f"{percent(report.corrected[0])} → {percent(report.corrected[1])}",
            tr("The final model on the images it learned from: always better than on others"),
        ),
        (
            tr("confident predictions kept"), _DASH if report.kept is None else share_text(report.kept),
            tr("On {background} that you have not edited", background=plural('{n} image', '{n} images', report.background)),
        ),
    )  # fmt: skip


def change_text(change: GainInterval) -> str:
    """``"+5.2 points (+1.1 to +9.3, 4 images)"``; without bounds where all of it hangs on one image."""
    images = plural("{n} image", "{n} images", change.images)
    inside = (
        images
        if change.low is None or change.high is None
        else tr("{low} to {high}, {images}", low=points(change.low), high=points(change.high), images=images)
    )
    return tr("{points} points ({inside})", points=points(change.gain), inside=inside)


def lost_most(report: LearnReport) -> str:
    """A sentence on the class that lost most on images left out; empty if none lost anything that is shown."""
    row = report.lost_most
    if row is None or row.change is None or points(row.change.gain) == "0.0":
        return ""
    change = change_text(row.change)
    if row.change.low is None:
        return tr("Largest loss: {name}, {change}; uncertain, with one image.", name=row.name, change=change)
    if not row.change.certain:
        return tr("Largest loss: {name}, {change}; uncertain, because the interval includes 0.", name=row.name, change=change)
    return tr("Largest loss: {name}, {change}.", name=row.name, change=change)


def lost_besides(report: LearnReport) -> str:
    """A sentence on further classes that lost more than their interval; empty without any."""
    rows = [row for row in report.lost_surely if row is not report.lost_most]
    names = ", ".join(f"{row.name} ({points(row.change.gain)})" for row in rows if row.change is not None)
    return tr("Also lost: {names} points.", names=names) if names else ""


def lost_perhaps(report: LearnReport) -> str:
    """A sentence on further classes that lost, by an amount that may be chance; empty without any."""
    rows = [row for row in report.lost_perhaps if row is not report.lost_most]
    names = ", ".join(f"{row.name} ({points(row.change.gain)})" for row in rows if row.change is not None)
    return tr("May have lost, uncertain: {names} points.", names=names) if names else ""


def faded(report: LearnReport) -> str:
    """A sentence on classes whose confident predictions on other images changed more than those of others; empty without any."""
    names = ", ".join(f"{name} ({share_text(share)})" for name, share in report.faded)
    return tr("Confident predictions kept on unedited images, fewest: {names}.", names=names) if names else ""


def one_of(name: str, number: int) -> str:
    """A name, and how many there are besides: ``"a.jpg (and 2 more)"``."""
    return name if number == 1 else plural("{name} (and {n} more)", "{name} (and {n} more)", number - 1, name=name)


def sentence(report: LearnReport) -> str:
    """The verdict in words, with what was done."""
    number = plural("{n} image", "{n} images", report.images)
    seconds = f"{report.seconds:.0f} s" if report.seconds >= 1 else tr("a moment")
    pixels = spaced(report.pixels)
    done = tr(
        "Learned from {pixels} of your pixels in {number}, in {seconds}; changed: {layers}.",
        pixels=pixels,
        number=number,
        seconds=seconds,
        layers=tr(report.layers),
    )
    parts = [tr(report.summary), lost_most(report), lost_besides(report), lost_perhaps(report), faded(report), done]
    if report.skipped:
        name, why = report.skipped[0]
        parts.append(tr("Not used: {names}: {reason}.", names=one_of(name, len(report.skipped)), reason=clause(why)))
    return " ".join(filter(None, parts))
