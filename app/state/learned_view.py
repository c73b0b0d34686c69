"""What a person is shown of a model that has learned. Plain values; no Qt."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.state.corrections import Corrections
from app.state.wording import counted, spaced
from deeplab_core.errors import AtrousError
from deeplab_core.learning import MANY_IMAGES, LearnPair, LearnReport

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
    before: NDArray[Any]
    after: NDArray[Any]
    yours: NDArray[Any]
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
    """A share as a person reads it."""
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
        f"{how}; what it says of the images left out is compared with your masks. The finished model learns from all of them. "
        "How far learning goes was chosen on the same images: expect a little less on new ones"
    )


def figures(report: LearnReport) -> tuple[tuple[str, str, str], ...]:
    """(title, value, explanation) of the figures that matter."""
    left_out = _DASH if report.held_out is None else f"{percent(report.held_out[0])} → {percent(report.held_out[1])}"
    return (
        (
            "mean IoU on images left out", left_out,
            left_out_how(report),
        ),
        (
            "mean IoU on the corrected images", f"{percent(report.corrected[0])} → {percent(report.corrected[1])}",
            "The finished model on the images that it learned from: always better than on others",
        ),
        (
            "confident predictions kept", _DASH if report.kept is None else f"{percent(report.kept)} %",
            f"On {report.background} images that you have not touched",
        ),
    )  # fmt: skip


def sentence(report: LearnReport) -> str:
    """The verdict in words, with what was done."""
    number = counted(report.images, "image")
    seconds = f"{report.seconds:.0f} s" if report.seconds >= 1 else "a moment"
    pixels = spaced(report.pixels)
    text = f"{report.summary} Learned from {pixels} of your pixels in {number}, in {seconds}; changed: {report.layers}."
    if report.skipped:
        name, why = report.skipped[0]
        more = f" (and {len(report.skipped) - 1} more)" if len(report.skipped) > 1 else ""
        text += f" Not used: {name}{more}: {why.rstrip('.')}."
    return text
