"""Labelled images to learn from: read once, cut into crops at random scales, colours varied."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from deeplab_core.inference import Predictor
from deeplab_core.weights import load_model
from tools.click_network.recipe import SetPlan

#: Largest side that images are kept at, px.
LONGEST = 800
#: Scales of crops: the smallest shows most of an image, the largest one object.
SCALES = (0.45, 2.2)


@dataclass(frozen=True, eq=False)
class Labelled:
    """An image to learn from.

    Attributes:
        rgb: (H, W, 3) uint8.
        truth: (H, W) uint8 class ids; any catalog, since only equality counts.
        labels: (H, W) uint8 of a network in the same ids, or None.
        ignore: void.
        background: the class that is no object, or None.
    """

    rgb: NDArray[np.uint8]
    truth: NDArray[np.uint8]
    labels: NDArray[np.uint8] | None
    ignore: int
    background: int | None


@dataclass(frozen=True, eq=False)
class Crop:
    """A part of an image at the network's scale: see :class:`Labelled`."""

    rgb: NDArray[np.uint8]
    truth: NDArray[np.uint8]
    labels: NDArray[np.uint8] | None
    ignore: int
    background: int | None


def shrunk(rgb: NDArray[np.uint8], maps: Sequence[NDArray[Any]]) -> tuple[NDArray[np.uint8], list[NDArray[np.uint8]]]:
    """An image and its label maps at a longest side of at most :data:`LONGEST` px."""
    shrink = LONGEST / max(rgb.shape[:2])
    if shrink < 1:
        size = (round(rgb.shape[1] * shrink), round(rgb.shape[0] * shrink))
        rgb = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)
        maps = [cv2.resize(one, size, interpolation=cv2.INTER_NEAREST) for one in maps]
    return rgb, [np.asarray(one, np.uint8) for one in maps]


class Sources:
    """The sets of a recipe, in memory.

    Args:
        plans: see :class:`~tools.click_network.recipe.SetPlan`.
        kept: folder for the masks that networks predict.

    Raises:
        SystemExit: a set has no image that can be used.
    """

    def __init__(self, plans: Sequence[SetPlan], kept: Path) -> None:
        self.sets = [self._read(plan, kept / str(number)) for number, plan in enumerate(plans)]
        share = np.array([plan.share for plan in plans], np.float64)
        self._share = share / share.sum()

    def _read(self, plan: SetPlan, kept: Path) -> list[Labelled]:
        predictor: Predictor | None = None
        found = []
        for image, mask in plan.pairs():
            rgb, truth = np.asarray(Image.open(image).convert("RGB")), np.asarray(Image.open(mask))
            if truth.shape != rgb.shape[:2]:
                print(f"left out, as its mask has another size: {image}", flush=True)
                continue
            maps: list[NDArray[Any]] = [truth]
            if plan.model:
                place = kept / f"{image.stem}.png"
                if not place.is_file():
                    predictor = predictor or Predictor(*load_model(Path(plan.model)), device="cpu")
                    kept.mkdir(parents=True, exist_ok=True)
                    Image.fromarray(predictor(rgb).labels.astype(np.uint8)).save(place)
                maps.append(np.asarray(Image.open(place)))
            rgb, small = shrunk(np.ascontiguousarray(rgb), maps)
            known = small[0] != plan.ignore
            if np.unique(small[0][known]).size > 1 or (len(small) > 1 and (small[0] != small[1])[known].any()):
                found.append(Labelled(rgb, small[0], small[1] if len(small) > 1 else None, plan.ignore, plan.background))
        if not found:
            raise SystemExit(f"no labelled images in {plan.images}")
        return found

    def draw(self, side: int, drawn: np.random.Generator) -> Crop:
        """A random crop of a random image of a set, drawn by the sets' shares."""
        images = self.sets[int(drawn.choice(len(self.sets), p=self._share))]
        return cut(images[int(drawn.integers(len(images)))], side, drawn)


def recoloured(rgb: NDArray[np.uint8], drawn: np.random.Generator) -> NDArray[np.uint8]:
    """Brightness, contrast and saturation changed by up to a quarter."""
    values = rgb * np.float32(drawn.uniform(0.75, 1.25))
    for middle in (values.mean(), values.mean(axis=2, keepdims=True)):
        values = (values - middle) * np.float32(drawn.uniform(0.75, 1.25)) + middle
    return np.clip(values, 0, 255).astype(np.uint8)


def cut(one: Labelled, side: int, drawn: np.random.Generator) -> Crop:
    """A random part of an image, scaled to a square of ``side`` px, half of them mirrored.

    Sides are scaled apart by up to a third, since a graph of fixed size sees whole images so.

    Its middle is a wrong pixel of the network's mask in half of the crops, else a pixel of an object or of any class.
    """
    height, width = one.truth.shape
    least = max(SCALES[0], side / min(height, width))
    scale = float(np.exp(drawn.uniform(np.log(least), np.log(max(SCALES[1], least * 1.01)))))
    ratio = float(np.exp(drawn.uniform(-0.15, 0.15)))
    window = tuple(
        min(max(round(side / scale * by), 16), whole) for by, whole in zip((ratio, 1 / ratio), one.truth.shape, strict=True)
    )
    pick = (one.truth != one.ignore) & (one.truth != (one.ignore if one.background is None else one.background))
    if one.labels is not None and drawn.random() < 0.6:
        wrong = (one.labels != one.truth) & (one.truth != one.ignore)
        pick = wrong if wrong.any() else pick
    places = np.flatnonzero(pick)
    middle = divmod(int(places[drawn.integers(len(places))]), width) if len(places) else (height // 2, width // 2)
    shift = drawn.uniform(-0.3, 0.3, 2)
    top, left = (
        int(np.clip(at + (move - 0.5) * part, 0, whole - part))
        for at, move, part, whole in zip(middle, shift, window, (height, width), strict=True)
    )
    place = slice(top, top + window[0]), slice(left, left + window[1])
    mirrored = drawn.random() < 0.5

    def taken(array: NDArray[np.uint8], rule: int) -> NDArray[np.uint8]:
        part = cv2.resize(np.ascontiguousarray(array[place]), (side, side), interpolation=rule)
        return np.ascontiguousarray(part[:, ::-1] if mirrored else part)

    rgb = taken(one.rgb, cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    labels = None if one.labels is None else taken(one.labels, cv2.INTER_NEAREST)
    return Crop(recoloured(rgb, drawn), taken(one.truth, cv2.INTER_NEAREST), labels, one.ignore, one.background)
