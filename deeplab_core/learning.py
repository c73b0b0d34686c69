"""Records of learning from the user's corrections, for both processes; numpy only. The learning is in ``training.adaptation``."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

from deeplab_core.errors import AtrousError, message
from deeplab_core.labels import LabelMap
from deeplab_core.reading import convert

#: Corrected images that are learned from at most; of more, evenly chosen ones are.
MOST_IMAGES = 64
#: From this many corrected images on they are left out in fewer groups.
MANY_IMAGES = 12


def groups_of(images: int) -> int:
    """In how many groups corrected images are left out in turn: 0 for a single one."""
    if images < 2:
        return 0
    return 3 if images >= MANY_IMAGES else min(5, images)


def background_images(classes: Sequence[Collection[int]], shown: Mapping[int, int], most: int) -> list[int]:
    """Which uncorrected images to keep the predictions of: half of them evenly, half for classes that few images show.

    A model forgets the classes that nothing reminds it of, so each image of the second half is the one with the rarest classes
    among the corrected images and those chosen so far.

    Args:
        classes: of each image, in the project's order: ids of the classes that are predicted there; empty if not known.
        shown: in how many corrected images each class occurs, by id.
        most: how many to choose.

    Returns:
        ascending places in ``classes``.
    """
    everything = range(len(classes))
    if len(classes) <= most:
        return list(everything)
    known = sum(map(bool, classes)) > most // 2
    chosen = set(_evenly(len(classes), most - most // 2 if known else most))
    times = Counter(shown)
    for place in chosen:
        times.update(set(classes[place]))
    while len(chosen) < most:
        rest = [place for place in everything if place not in chosen]
        best = max(rest, key=lambda place: sum(1 / (1 + times[one]) for one in set(classes[place])))
        chosen.add(best)
        times.update(set(classes[best]))
    return sorted(chosen)


def _evenly(count: int, most: int) -> list[int]:
    return sorted({round(x) for x in np.linspace(0, count - 1, most)}) if most else []


#: A change of IoU that is shown as 0.0 points.
_UNSEEN = 0.0005

Layers = Literal["decoder", "classifier", "all"]
Strength = Literal["gentle", "normal", "strong"]
Verdict = Literal["better", "worse", "not sure"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnOptions:
    """How a model learns from corrections.

    Attributes:
        layers: what changes: everything behind the encoder, the last layer only, or the whole network (slow: nothing can be
            computed once and kept).
        strength: how much the corrections count against what the model said elsewhere.
        new_classes: ids of the labels' catalog that the model does not know and is to learn.
        background: uncorrected images; their confident predictions are kept, at most this many.
        seed: of everything random.
    """

    layers: Layers = "decoder"
    strength: Strength = "normal"
    new_classes: tuple[int, ...] = ()
    background: int = 16
    seed: int = 1

    def __post_init__(self) -> None:
        for name, value, choices in (
            ("layers", self.layers, get_args(Layers)),
            ("strength", self.strength, get_args(Strength)),
        ):
            if value not in choices:
                raise AtrousError(
                    message("{name} '{value}' is unknown", name=name, value=value),
                    remedy=message("Choose one of {choices}", choices=", ".join(choices)),
                )
        if self.background < 0:
            raise AtrousError(message("the number of background images is negative"), remedy=message("Choose 0 or more"))


@dataclass(frozen=True, slots=True, kw_only=True)
class GainInterval:
    """A change of IoU on images that were left out while learning.

    Attributes:
        gain: after - before.
        low, high: its 95 % interval over the images; None with fewer than two images, or where all of it hangs on one.
        images: how many images it rests on.
    """

    gain: float
    low: float | None
    high: float | None
    images: int

    @property
    def certain(self) -> bool:
        """Whether the interval excludes 0."""
        return self.low is not None and self.high is not None and not self.low <= 0 <= self.high


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassGain:
    """One class before and after learning.

    Attributes:
        id, name, color: of the labels' catalog.
        pixels: labelled pixels of the class that were learned from.
        images: number of images that contain them.
        corrected: IoU before and after on the corrected images, with the finished model; None where the class does not occur.
        held_out: the same on images that were left out while learning; None if nothing could be left out.
        new: the model did not know the class.
        change: of ``held_out``, with its interval; None if nothing could be left out or no image left out has the class.
    """

    id: int
    name: str
    color: tuple[int, int, int]
    pixels: int
    images: int
    corrected: tuple[float | None, float | None] = (None, None)
    held_out: tuple[float | None, float | None] = (None, None)
    new: bool = False
    change: GainInterval | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnReport:
    """What came of learning.

    Attributes:
        verdict: what the images that were left out say: ``"better"`` or ``"worse"`` where the interval of their gain excludes
            0, else ``"not sure"``, also if there was none to leave out.
        summary: one or two sentences for users, with what to do.
        images: corrected images that were learned from.
        background: images with kept confident predictions.
        pixels: labelled pixels.
        corrected: mean IoU before and after on the corrected images.
        held_out: mean IoU before and after on images while they were left out; None if nothing could be left out.
        kept: share (0..1) of the confident predictions elsewhere that stayed as they were; None without any.
        step, steps: how many steps learning took; both are the same now.
        blend: how much of the change was taken, 0..1.
        layers: what really changed, in words.
        seconds: that it took.
        classes: those that were corrected or occur in the corrected masks.
        skipped: (name, why) of images that could not be used.
        change: of ``held_out``, with its interval; None if nothing could be left out.
        faded: (name, share 0..1) of classes of the model of whose confident predictions elsewhere clearly fewer stayed than of
            the others: they may have lost there, whatever the images left out say.
    """

    verdict: Verdict
    summary: str
    images: int
    background: int
    pixels: int
    corrected: tuple[float, float]
    held_out: tuple[float, float] | None
    kept: float | None
    step: int
    steps: int
    blend: float
    layers: str
    seconds: float
    classes: tuple[ClassGain, ...]
    skipped: tuple[tuple[str, str], ...] = ()
    change: GainInterval | None = None
    faded: tuple[tuple[str, float], ...] = ()

    @property
    def lost_most(self) -> ClassGain | None:
        """The class that lost most IoU on images left out; None if none lost any."""
        losers = [row for row in self.classes if row.change is not None and row.change.gain < 0]
        return min(losers, key=lambda row: row.change.gain if row.change is not None else 0.0, default=None)

    @property
    def lost_surely(self) -> tuple[ClassGain, ...]:
        """Classes that lost IoU on images left out, with an interval below 0; the largest loss first."""
        found = [(row.change.gain, row) for row in self.classes if row.change is not None and row.change.certain]
        return tuple(row for gain, row in sorted(found, key=lambda pair: pair[0]) if gain < 0)

    @property
    def lost_perhaps(self) -> tuple[ClassGain, ...]:
        """Classes that lost IoU on images left out, with an interval that includes 0 or without one; the largest loss first."""
        found = [(row.change.gain, row) for row in self.classes if row.change is not None and not row.change.certain]
        return tuple(row for gain, row in sorted(found, key=lambda pair: pair[0]) if gain < -_UNSEEN)

    def to_dict(self) -> dict[str, Any]:
        """JSON values; :meth:`from_dict` is the inverse."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Rebuild a report; raises AtrousError if it is none."""
        try:
            return convert(data, cls, closed=True)
        except ValueError as error:
            raise AtrousError(message("not a report of learning"), why=str(error)) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnPair:
    """One corrected image for looking at: what the model said before and says after.

    Attributes:
        name: of the image.
        before, after: (h, w) ids of the labels' catalog, possibly smaller than the image.
        held_out: whether ``after`` is by a model that had not seen the image.
    """

    name: str
    before: NDArray[np.uint8]
    after: NDArray[np.uint8]
    held_out: bool


@dataclass(frozen=True, slots=True)
class PackedLabels:
    """A label map, compressed for a pipe: a folder's masks are some kilobytes each.

    Attributes:
        shape: (H, W).
        dtype: ``"uint8"`` or ``"uint16"``.
        data: zlib over the bytes, row by row.
    """

    shape: tuple[int, int]
    dtype: str
    data: bytes

    @staticmethod
    def of(labels: LabelMap) -> PackedLabels:
        """Compress (H, W) uint8 or uint16 labels."""
        height, width = labels.shape
        return PackedLabels((height, width), str(labels.dtype), zlib.compress(labels.tobytes(), 1))

    def unpacked(self) -> NDArray[Any]:
        """(H, W) labels, writable."""
        return np.frombuffer(bytearray(zlib.decompress(self.data)), self.dtype).reshape(self.shape)
