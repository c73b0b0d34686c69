"""Render the sample project: ``python -m tools.sample.make``. Minutes; equal files for equal seeds on one machine.

Writes ``images/NAME.jpg``, ``truth/NAME.png`` (PASCAL VOC ids with a void ring) and ``masks/NAME.png`` (imperfect on purpose).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tools.sample.rooms import BOTTLE, CHAIR, PLANT, SOFA, TV
from tools.sample.scenes import Scene, all_scenes
from tools.sample.tracer import render, tone

SIZE = (360, 480)
VOID = 255
LAMPS = np.array(
    [
        [(-0.5, 2.5, -0.6), (1.0, 0, 0), (0, 0, 1.0), (6.5, 5.9, 4.9)],  # ceiling
        [(-2.0, 0.95, -0.9), (0, 1.1, 0), (0, 0, 1.4), (3.2, 3.4, 3.8)],  # daylight of the window
    ]
)


def voc_palette() -> list[int]:
    """The 256 colours of the VOC development kit: the bits of the id, dealt out to red, green and blue from the top."""
    table = np.zeros((256, 3), dtype=int)
    for index in range(256):
        for bit in range(8):
            for channel in range(3):
                table[index, channel] |= ((index >> (3 * bit + channel)) & 1) << (7 - bit)
    return [int(value) for value in table.ravel()]


def draw(scene: Scene, samples: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.int64]]:
    """Picture (H, W, 3) uint8 RGB, class ids (H, W) uint8 and object numbers (H, W) of a scene."""
    kinds, maps, balls, colors, patterns, classes, objects = (np.array(column) for column in zip(*scene.room.rows, strict=True))
    eye = np.array(scene.eye, dtype=float)
    forward = np.array(scene.target) - eye
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, (0.0, 1.0, 0.0))
    right /= np.linalg.norm(right)
    axes = np.stack([right, np.cross(right, forward), forward])
    radiance, hit = render(kinds, maps, balls, colors.astype(float), patterns, eye, axes, scene.lens, LAMPS, SIZE, samples, seed)
    labels = np.where(hit < 0, 0, classes[hit]).astype(np.uint8)
    picture = cv2.fastNlMeansDenoisingColored(tone(radiance), None, 2.5, 2.5, 3, 11)  # the grain that few rays leave
    return picture, labels, np.where(hit < 0, 0, objects[hit])


def ringed(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Truth as people draw it: every class boundary lies under a void ring about five pixels wide."""
    edge = cv2.morphologyEx(labels, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    ring = cv2.dilate(edge.astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))) > 0
    return np.where(ring, VOID, labels).astype(np.uint8)


def mediocre(labels: NDArray[np.uint8], objects: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.uint8]:
    """The mask of a mediocre network: coarse borders, lost bottles, armchairs called chairs, a blob that is not there."""
    height, width = labels.shape
    mask = labels.copy()
    for number in np.unique(objects):
        area = objects == number
        class_id = int(labels[area][0])
        if (class_id == BOTTLE and rng.random() < 0.6) or (class_id == TV and rng.random() < 0.2):
            mask[area] = np.bincount(labels[cv2.dilate(area.astype(np.uint8), np.ones((9, 9))) > area]).argmax()
        elif class_id in (CHAIR, SOFA) and rng.random() < 0.35:
            split = np.where(area)[1] > rng.uniform(0.2, 0.8) * width
            mask[tuple(axis[split] for axis in np.where(area))] = SOFA if class_id == CHAIR else CHAIR
    drift = [cv2.GaussianBlur(rng.normal(size=(height, width)), (0, 0), 14) * 70 for _ in range(2)]
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    mask = cv2.remap(
        mask,
        columns + drift[0].astype(np.float32),
        rows + drift[1].astype(np.float32),
        cv2.INTER_NEAREST,
        borderMode=cv2.BORDER_REPLICATE,
    )
    coarse = np.stack(
        [cv2.resize(cv2.GaussianBlur((mask == c).astype(np.float32), (0, 0), 2.2), (width // 6, height // 6)) for c in range(21)]
    )
    mask = (
        np.stack([cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR) for plane in coarse])
        .argmax(0)
        .astype(np.uint8)
    )
    center = (int(rng.uniform(0.1, 0.9) * width), int(rng.uniform(0.5, 0.9) * height))
    cv2.ellipse(
        mask,
        center,
        (int(rng.uniform(8, 26)), int(rng.uniform(6, 16))),
        rng.uniform(0, 180),
        0,
        360,
        int(rng.choice([CHAIR, SOFA, PLANT])),
        -1,
    )
    return mask


def save_mask(path: Path, labels: NDArray[np.uint8]) -> None:
    """Write an indexed PNG with the VOC palette."""
    image = Image.fromarray(labels)
    image.putpalette(voc_palette())
    image.save(path, optimize=True)


def main() -> None:
    """Render all scenes, or those named."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--out", type=Path, default=Path("resources/sample_project"))
    parser.add_argument("--samples", type=int, default=56, help="rays per pixel")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("names", nargs="*", help="only these scenes")
    arguments = parser.parse_args()
    for folder in ("images", "truth", "masks"):
        (arguments.out / folder).mkdir(parents=True, exist_ok=True)
    for index, scene in enumerate(all_scenes(arguments.seed)):
        if arguments.names and scene.name not in arguments.names:
            continue
        picture, labels, objects = draw(scene, arguments.samples, arguments.seed + index)
        Image.fromarray(picture).save(arguments.out / "images" / f"{scene.name}.jpg", quality=90)
        save_mask(arguments.out / "truth" / f"{scene.name}.png", ringed(labels))
        save_mask(
            arguments.out / "masks" / f"{scene.name}.png",
            mediocre(labels, objects, np.random.default_rng(arguments.seed + index)),
        )
        print(f"{index + 1:2d}  {scene.name}")


if __name__ == "__main__":
    main()
