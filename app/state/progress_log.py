"""How a project's work has moved on: a few figures every now and then, kept with the project."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from deeplab_core.reading import VALUE_ERRORS

#: Moments nearer than this are one; the older half is thinned out if there are too many.
APART_SECONDS = 300
MOST = 2000


@dataclass(frozen=True, slots=True)
class ProgressSample:
    """The state of the work at one moment.

    Attributes:
        time: Unix time in seconds.
        images: in the project.
        reviewed, touched: of them, marked reviewed, and changed by the user (reviewed ones included).
        miou: mean IoU of the folder over the classes of its ground truth, where it was evaluated.
        older_rule: the mean also runs over classes that only the masks had; so it is in what older versions wrote.
    """

    time: float
    images: int
    reviewed: int
    touched: int
    miou: float | None = None
    older_rule: bool = False


def appended(samples: tuple[ProgressSample, ...], sample: ProgressSample) -> tuple[ProgressSample, ...]:
    """The log with one more moment. One that follows another within minutes replaces it, unless it is the first."""
    if samples and sample.time < samples[-1].time:  # the clock was set back: order counts, not the clock
        sample = replace(sample, time=samples[-1].time)
    if len(samples) > 1 and sample.time - samples[-2].time < APART_SECONDS:
        samples = samples[:-1]
    samples = (*samples, sample)
    if len(samples) > MOST:
        older = len(samples) // 2
        samples = samples[:older:2] + samples[older:]
    return samples


def to_plain(samples: tuple[ProgressSample, ...]) -> list[list[Any]]:
    """JSON values; :func:`from_plain` is the inverse."""
    return [
        [sample.time, sample.images, sample.reviewed, sample.touched, sample.miou, *([] if sample.older_rule else ["truth"])]
        for sample in samples
    ]


def from_plain(data: object) -> tuple[ProgressSample, ...]:
    """Rebuild a log; what is malformed is left out."""
    found = []
    for row in data if isinstance(data, list) else []:
        try:
            time, images, reviewed, touched, miou, *rule = row
            score = None if miou is None else float(miou)
            older = score is not None and rule != ["truth"]
            sample = ProgressSample(float(time), int(images), int(reviewed), int(touched), score, older)
        except VALUE_ERRORS:
            continue
        if math.isfinite(sample.time):
            found.append(sample)
    return tuple(found)
