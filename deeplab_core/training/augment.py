"""Random scale, crop, flip and colour of a training image. The same (seed, epoch, number) always gives the same crop."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from deeplab_core.training.recipe import Recipe

Rgb = NDArray[np.uint8]
Channels = NDArray[np.int16]
Colour = tuple[float, float, float]

#: Stands where the epoch of a random crop stands.
_FIXED = 0xFFFFFFFD


def generator(seed: int, epoch: int, number: int) -> np.random.Generator:
    """The source of randomness of one image in one epoch, whatever process or thread works on it."""
    return np.random.Generator(np.random.PCG64([seed, epoch, number]))


def augment(
    rgb: Rgb, labels: Channels, recipe: Recipe, random: np.random.Generator, *, void: int, pad: Colour | None = None
) -> tuple[Rgb, Channels]:
    """One training crop.

    Args:
        rgb: (H, W, 3) uint8.
        labels: (H, W) int16 channels, ``void`` if unknown.
        recipe: its augmentation.
        random: from :func:`generator`.
        void: label of padding.
        pad: RGB value of padding, 0..255; None takes the recipe's mean.

    Returns:
        (h, w, 3) uint8 and (h, w) int16 of the recipe's crop. What the image does not cover has the padding's colour and is void.
    """
    least, most = recipe.scales
    scale = float(random.uniform(least, most))
    if recipe.scale_step:
        steps = round((most - least) / recipe.scale_step)
        scale = least + recipe.scale_step * int(random.integers(steps + 1))
    rgb, labels = _scaled_crop(rgb, labels, recipe.crop, scale, random, void, recipe.mean if pad is None else pad)
    if recipe.flip and random.random() < 0.5:
        rgb, labels = rgb[:, ::-1], labels[:, ::-1]
    return _recoloured(rgb, recipe, random), np.ascontiguousarray(labels)


@dataclass(frozen=True, slots=True)
class FixedView:
    """One of the views that ``fixed_scales`` asks for.

    Attributes:
        place: of its scale in the recipe; a plain view and its mirror image have the same.
        scale: relative to the image.
        crop: (height, width) in px at this scale.
        mirrored: left to right.
    """

    place: int
    scale: float
    crop: tuple[int, int]
    mirrored: bool


def fixed_views(recipe: Recipe) -> tuple[FixedView, ...]:
    """Every view of an image, by scale; empty where views are drawn at random.

    A smaller scale shows the same part of the image with fewer pixels: crops of 16 k + 1 px stay such, so that their corners fall
    on features.
    """
    most = max(recipe.fixed_scales, default=1.0)
    sides = (False, True) if recipe.flip else (False,)
    found = []
    for place, scale in enumerate(recipe.fixed_scales):
        crop = tuple(_shrunk(length, scale / most) for length in recipe.crop)
        found += [FixedView(place, scale, (crop[0], crop[1]), mirrored) for mirrored in sides]
    return tuple(found)


def fixed_crop(
    rgb: Rgb, labels: Channels, recipe: Recipe, view: FixedView, name: str, *, void: int, pad: Colour
) -> tuple[Rgb, Channels]:
    """The crop of one view of an image: the same pixels in every run, whatever other images there are.

    Arguments and result as :func:`augment`; ``name`` is the image's.
    """
    random = generator(recipe.seed, _FIXED + view.place * (1 << 32), zlib.crc32(name.encode("utf-8", "surrogateescape")))
    rgb, labels = _scaled_crop(rgb, labels, view.crop, view.scale, random, void, pad)
    rgb = _recoloured(rgb, recipe, random)
    if view.mirrored:
        rgb, labels = rgb[:, ::-1], labels[:, ::-1]
    return np.ascontiguousarray(rgb), np.ascontiguousarray(labels)


def _shrunk(length: int, factor: float) -> int:
    step = 16 if length > 16 else 1
    odd = (length - 1) % step == 0
    steps = max(1, round((length - odd) * factor / step))
    return length if factor == 1 else steps * step + odd


def _scaled_crop(
    rgb: Rgb, labels: Channels, crop: tuple[int, int], scale: float, random: np.random.Generator, void: int, pad: Colour
) -> tuple[Rgb, Channels]:
    """Crop first, then resize: the same pixels as resizing first, at the cost of the crop only."""
    height, width = crop
    rows, columns = rgb.shape[:2]
    # the crop in source pixels, placed anywhere inside the image, or the image anywhere inside the crop
    wanted_rows, wanted_columns = height / scale, width / scale
    top = random.uniform(min(0.0, rows - wanted_rows), max(0.0, rows - wanted_rows))
    left = random.uniform(min(0.0, columns - wanted_columns), max(0.0, columns - wanted_columns))
    y0, x0 = int(np.floor(max(0.0, top))), int(np.floor(max(0.0, left)))
    y1, x1 = min(rows, int(np.ceil(top + wanted_rows))), min(columns, int(np.ceil(left + wanted_columns)))
    target_rows = max(1, min(height, round((y1 - y0) * scale)))
    target_columns = max(1, min(width, round((x1 - x0) * scale)))
    size = target_columns, target_rows
    how = cv2.INTER_AREA if scale < 0.7 else cv2.INTER_LINEAR
    part = cv2.resize(rgb[y0:y1, x0:x1], size, interpolation=how).astype(np.uint8, copy=False)
    part_labels = cv2.resize(labels[y0:y1, x0:x1], size, interpolation=cv2.INTER_NEAREST_EXACT).astype(np.int16, copy=False)
    if part.shape[:2] == (height, width):
        return part, part_labels
    canvas = np.empty((height, width, 3), dtype=np.uint8)
    canvas[:] = np.round(np.asarray(pad)).astype(np.uint8)
    blank = np.full((height, width), void, dtype=np.int16)
    y = min(height - target_rows, max(0, round(-top * scale)))
    x = min(width - target_columns, max(0, round(-left * scale)))
    canvas[y : y + target_rows, x : x + target_columns] = part
    blank[y : y + target_rows, x : x + target_columns] = part_labels
    return canvas, blank


def _recoloured(rgb: Rgb, recipe: Recipe, random: np.random.Generator) -> Rgb:
    picture = np.ascontiguousarray(rgb)
    if recipe.jitter or recipe.hue:
        brightness, contrast, saturation = 1 + random.uniform(-recipe.jitter, recipe.jitter, 3)
        turn = 0.1 * recipe.jitter + recipe.hue
        hue = random.uniform(-turn, turn)
        picture = _jittered(picture, float(brightness), float(contrast), float(saturation), float(hue))
    if recipe.blur and random.random() < recipe.blur:
        picture = cv2.GaussianBlur(picture, (0, 0), float(random.uniform(0.4, 1.6))).astype(np.uint8, copy=False)
    if recipe.noise and random.random() < recipe.noise:
        grain = random.normal(0, random.uniform(2, 10), picture.shape).astype(np.float32)
        picture = np.clip(picture + grain, 0, 255).astype(np.uint8)
    return picture


def _jittered(rgb: Rgb, brightness: float, contrast: float, saturation: float, hue: float) -> Rgb:
    """One linear colour transform: hue turns around the grey axis, the rest are scalings (as in torchvision's ColorJitter)."""
    grey = np.array([0.299, 0.587, 0.114])
    turn = hue * 2 * np.pi
    axis = 1 / np.sqrt(3)
    cross = axis * np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]])
    rotation = np.cos(turn) * np.eye(3) + np.sin(turn) * cross + (1 - np.cos(turn)) / 3
    saturate = saturation * np.eye(3) + (1 - saturation) * np.outer(np.ones(3), grey)
    matrix = brightness * contrast * (saturate @ rotation)
    middle = float(rgb.reshape(-1, 3).mean(axis=0) @ grey)
    offset = np.full((3, 1), brightness * (1 - contrast) * middle)
    moved = cv2.transform(rgb, np.hstack([matrix, offset]).astype(np.float32))
    return moved.astype(np.uint8, copy=False)
