"""How well masks can be seen on photographs: with the colours of the catalog and with those that the window shows.

Run: python benchmarks/legibility.py [--catalog camvid11] [--opacity 0.5]

Images are the labelled photographs of ``../shared/real`` at their own size, painted by the canvas's own functions at 1:1.

Fill: the share of a class's pixels that change by less than 8 in OKLab (x100) when the mask is laid over them, the mean over
classes. Below about 8 the eye has to search. Pixels under an outline do not count here.

Outline: the share of the pixels of light lines that nothing sets off: less than 3:1 (WCAG 2.2, 1.4.11) both against the image
below them and against the darkest pixel of the dark line within three px. The earlier drawing, one px of lightened class colour
with a faint shadow, stands beside it; so does the line without its dark twin.
"""

from __future__ import annotations

import argparse
import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import cv2
import numpy as np
from PySide6.QtCore import QRect

from app.ui.canvas.colors import overlay_tables, premultiplied
from app.ui.canvas.compose import Scene, compose
from app.ui.canvas.geometry import Mapping
from app.ui.canvas.layers import LayerSet, PictureSource
from app.viewmodels.annotate.panes import OverlayOptions, PaneKind
from deeplab_core.catalogs import get_catalog
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.catalogs.colors import oklab
from deeplab_core.images import read_image
from deeplab_core.masks import read_mask

REAL = Path(__file__).resolve().parents[2] / "shared" / "real"
#: Folders of images and labels by catalog.
FOLDERS = {
    "voc21": [("voc/images", "voc/labels"), ("coco/images", "coco/labels_voc21")],
    "camvid11": [("camvid/val", "camvid/valannot")],
}
SEEN, CONTRAST = 8.0, 3.0


@dataclass
class Row:
    """What is counted for one way of drawing."""

    name: str
    options: OverlayOptions
    earlier: bool = False
    faint: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    pixels: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    lines: int = 0
    lost: int = 0
    lost_alone: int = 0

    def share(self) -> float:
        """Mean over classes of the share of faint pixels."""
        return float(np.mean([self.faint[number] / count for number, count in self.pixels.items()]))


def samples(catalog: ClassCatalog, name: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(H, W, 3) photographs and (H, W) labels."""
    for images, masks in FOLDERS[name]:
        for path in sorted((REAL / images).iterdir()):
            mask = REAL / masks / f"{path.stem}.png"
            if mask.exists():
                rgb = read_image(path).rgb
                labels = read_mask(mask, catalog)
                if labels.shape == rgb.shape[:2]:
                    yield rgb, labels


def over(rgb: np.ndarray, overlay: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8: a premultiplied overlay on an image, as QPainter lays it."""
    parts = [(overlay >> np.uint32(shift)) & np.uint32(255) for shift in (16, 8, 0)]
    left = 255 - (overlay >> np.uint32(24)).astype(np.float64)
    return np.round(np.stack(parts, axis=2) + rgb * (left / 255)[..., None]).clip(0, 255).astype(np.uint8)


def luminance(rgb: np.ndarray) -> np.ndarray:
    """Relative luminance, 0..1, of sRGB."""
    value = rgb.astype(np.float64) / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    return linear @ np.array([0.2126, 0.7152, 0.0722])


def contrast(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """WCAG contrast of two luminances."""
    return (np.maximum(one, other) + 0.05) / (np.minimum(one, other) + 0.05)


def earlier_line(values: np.ndarray, catalog: ClassCatalog, fill: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The drawing before ADR 72: overlay and where its light lines are."""
    colors = np.zeros((256, 3))
    for info in catalog.classes:
        colors[info.id] = info.color
    line = premultiplied(colors + (255 - colors) * 0.4, 0.95)
    cross = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.uint8)
    edge = cv2.morphologyEx(values, cv2.MORPH_GRADIENT, cross).astype(bool)
    overlay = fill.copy()
    near = cv2.dilate(edge.view(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
    overlay[(overlay == 0) & near] = np.uint32(56) << np.uint32(24)
    bare = (values == catalog.ignore) | (values == (catalog.ignore if catalog.background is None else catalog.background))
    overlay[edge] = line.take(values[edge])
    overlay[edge & bare] = np.uint32(153) << np.uint32(24)
    return overlay, edge & ~bare


def measure(row: Row, catalog: ClassCatalog, rgb: np.ndarray, labels: np.ndarray) -> None:
    """Count one image."""
    height, width = labels.shape
    mapping = Mapping.centered((width / 2, height / 2), 1.0, (width, height), (width, height))
    layers = LayerSet(PictureSource(rgb), catalog, labels)
    tables = overlay_tables(catalog, row.options)
    scene, whole = Scene(mapping, layers, tables, row.options), QRect(0, 0, width, height)
    fill = compose(replace(scene, options=replace(row.options, contours=False)), PaneKind.MASK, whole)
    moved = np.linalg.norm(oklab(over(rgb, fill).reshape(-1, 3)) - oklab(rgb.reshape(-1, 3)), axis=1).reshape(labels.shape)
    for number in np.unique(labels).tolist():
        if number not in (catalog.ignore, catalog.background):
            row.pixels[number] += int((labels == number).sum())
            row.faint[number] += int((moved[labels == number] * 100 < SEEN).sum())
    if row.earlier:
        overlay, light = earlier_line(labels, catalog, fill)
        dark = (overlay != fill) & ~light
    else:
        overlay = compose(scene, PaneKind.MASK, whole)
        dark = overlay == tables.twin
        light = (overlay != fill) & ~dark
    drawn, below = luminance(over(rgb, overlay)), luminance(rgb)
    twin = np.where(dark, drawn, np.inf).astype(np.float32)
    darkest = cv2.erode(twin, np.ones((7, 7), np.uint8))
    alone = contrast(drawn, below) < CONTRAST
    beside = np.where(np.isfinite(darkest), contrast(drawn, np.where(np.isfinite(darkest), darkest, 0)), 1.0) < CONTRAST
    row.lines += int(light.sum())
    row.lost_alone += int((light & alone).sum())
    row.lost += int((light & alone & beside).sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--catalog", choices=FOLDERS, default="voc21")
    parser.add_argument("--opacity", type=float, nargs="*", default=[0.45, 0.5, 0.55])
    asked = parser.parse_args()
    catalog = get_catalog(asked.catalog)
    own, clear = OverlayOptions(class_colors="catalog"), OverlayOptions()
    rows = [Row("catalog's colours, earlier outline", replace(own, opacity=0.45), earlier=True)]
    rows += [Row(f"catalog's colours, {opacity:.0%}", replace(own, opacity=opacity)) for opacity in asked.opacity]
    rows += [Row(f"clear colours, {opacity:.0%}", replace(clear, opacity=opacity)) for opacity in asked.opacity]
    count = 0
    for rgb, labels in samples(catalog, asked.catalog):
        count += 1
        for row in rows:
            measure(row, catalog, rgb, labels)
    print(f"{count} images, {len(rows[0].pixels)} classes, {rows[0].lines:,} and {rows[-1].lines:,} px of outline")
    print(f"{'':36s} {'fill below dE 8':>16s} {'outline below 3:1':>18s} {'without dark line':>18s}")
    for row in rows:
        lost, alone = row.lost / row.lines, row.lost_alone / row.lines
        print(f"{row.name:36s} {row.share():16.1%} {lost:18.1%} {alone:18.1%}")
    for row in (rows[0], rows[len(asked.opacity) + 1 + len(asked.opacity) // 2]):
        shares = {catalog.by_id(n).name: row.faint[n] / count for n, count in row.pixels.items()}
        worst = sorted(shares.items(), key=lambda item: -item[1])[:6]
        print(f"{row.name}: " + ", ".join(f"{name} {share:.0%}" for name, share in worst))


if __name__ == "__main__":
    main()
