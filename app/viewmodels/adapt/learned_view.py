"""The figures that the window shows of a model that has learned. Plain values; no Qt."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.state.corrections import Corrections
from app.text import counted, spaced
from deeplab_core.errors import AtrousError
from deeplab_core.labels import LabelMap
from deeplab_core.learning import MANY_IMAGES, GainInterval, LearnPair, LearnReport

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


def percent(value: float | None) -> str:
    """A share as shown."""
    return _DASH if value is None else f"{100 * value:.1f}"


def left_out_how(report: LearnReport) -> str:
    """Which images were left out while learning, and what their figure is worth."""
    if report.held_out is None:
        return "With one corrected image nothing could be left out"
    if report.images >= MANY_IMAGES:
        out = report.images // 3
        rest = report.images - out
        how = f"{out} of the {report.images} corrected images were left out, and a model learned from the other {rest}"
    else:
        how = (
            f"The {report.images} corrected images were divided in two, and a model learned from each part, "
            "so that every image was left out once"
        )
    return (
        f"{how}; what it says of the images left out is compared with your masks. The range is the 95 % interval over "
        "these images. The finished model learns from all of them. "
        "How far learning goes was chosen on the same images: expect a little less on new ones"
    )


def figures(report: LearnReport) -> tuple[tuple[str, str, str], ...]:
    """(title, value, explanation) of the figures that matter."""
    left_out = _DASH if report.held_out is None else f"{percent(report.held_out[0])} → {percent(report.held_out[1])}"
    title = "mean IoU on images left out"
    if report.change is not None:
        title += f", {change_text(report.change)}"
    return (
        (title, left_out, left_out_how(report)),
        (
            "mean IoU on the corrected images", f"{percent(report.corrected[0])} → {percent(report.corrected[1])}",
            "The finished model on the images that it learned from: always better than on others",
        ),
        (
            "confident predictions kept", _DASH if report.kept is None else f"{percent(report.kept)} %",
            f"On {counted(report.background, 'image')} that you have not touched",
        ),
    )  # fmt: skip


def change_text(change: GainInterval) -> str:
    """``"+5.2 points (+1.1 to +9.3, 4 images)"``; without bounds where all of it hangs on one image."""
    images = counted(change.images, "image")
    inside = images if change.low is None or change.high is None else f"{points(change.low)} to {points(change.high)}, {images}"
    return f"{points(change.gain)} points ({inside})"


def points(share: float) -> str:
    """A difference of shares as signed points: ``+5.2``, ``−0.4``."""
    return f"{100 * share:+.1f}".replace("-", "−")


def lost_most(report: LearnReport) -> str:
    """A sentence on the class that lost most on images left out; empty if none lost anything that is shown."""
    row = report.lost_most
    if row is None or row.change is None or points(row.change.gain) in ("−0.0", "+0.0"):
        return ""
    sure = "" if row.change.certain else "; not sure, for the interval includes 0"
    if row.change.low is None:
        sure = "; not sure, with one image"
    return f"Lost most: {row.name}, {change_text(row.change)}{sure}."


def sentence(report: LearnReport) -> str:
    """The verdict in words, with what was done."""
    number = counted(report.images, "image")
    seconds = f"{report.seconds:.0f} s" if report.seconds >= 1 else "a moment"
    pixels = spaced(report.pixels)
    done = f"Learned from {pixels} of your pixels in {number}, in {seconds}; changed: {report.layers}."
    text = " ".join(part for part in (report.summary, lost_most(report), done) if part)
    if report.skipped:
        name, why = report.skipped[0]
        more = f" (and {len(report.skipped) - 1} more)" if len(report.skipped) > 1 else ""
        text += f" Not used: {name}{more}: {why.rstrip('.')}."
    return text
