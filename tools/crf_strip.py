"""A strip of pictures: image, mask, mask after the CRF, truth, and what is right and wrong in the boundary band.

Run from the repository::

    python -m tools.crf_strip --rooms DIR --model FILE -o docs/images/crf_strip.png [--crf v1] [--only NAME ...]

``DIR`` holds ``images/`` and ``truth/`` with masks of the same stems (the layout of ``python -m tools.rooms``). The images are
chosen evenly from those that the CRF changes most, so that there is something to see; ``--only`` names them. mIoU is over
the classes in the truth of the one image; the band is the distance to a class edge of the truth, void excluded.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.datasets.find import find_images
from deeplab_core.datasets.ground_truth import find_truth
from deeplab_core.images import read_image
from deeplab_core.inference import Predictor
from deeplab_core.labels import LabelMap
from deeplab_core.masks.read import read_mask
from deeplab_core.metrics import ConfusionMatrix
from deeplab_core.metrics.trimap import band_map
from deeplab_core.records import CRFParams
from deeplab_core.refine import PRESETS, DenseCRF, ProbabilitySource, preset, read_params
from deeplab_core.weights import load_model

FONTS = Path(__file__).resolve().parents[1] / "resources" / "fonts"
#: Width of a picture, gaps, and heights of the two lines of text, in px.
WIDTH, GAP, HEAD, FOOT = 300, 6, 26, 24
#: Of so many images the most telling ones are taken.
LOOKED_AT = 60
BAND_PX = 8
INK, PALE, PAPER = (24, 27, 33), (90, 98, 112), (255, 255, 255)
RIGHT, WRONG, BACK = (87, 211, 140), (226, 59, 71), (38, 42, 50)
TITLES = ("Image", "Network", "With CRF", "Truth", f"Band of {BAND_PX} px after the CRF")


@dataclass(frozen=True, eq=False)
class Row:
    """One image of the strip.

    Attributes:
        name: its file.
        rgb: (H, W, 3) uint8.
        before, after, truth: (H, W) class ids.
    """

    name: str
    rgb: NDArray[np.uint8]
    before: LabelMap
    after: LabelMap
    truth: LabelMap


def rows_of(rooms: Path, model: Path, params: CRFParams, count: int, only: list[str]) -> tuple[list[Row], ClassCatalog]:
    """The images of the strip, with what network and CRF say."""
    predictor = Predictor(*load_model(model), device="cpu")
    catalog = predictor.card.catalog
    names = [str(name) for name in find_images(rooms / "images")]
    if only:
        names = [name for name in names if Path(name).stem in only or name in only]
    else:
        names = names[:: max(1, len(names) // LOOKED_AT)]
    index = find_truth(rooms / "images", names, truth_folder=rooms / "truth", catalog=catalog)
    rows = []
    for name in names:
        path = index.get(name)
        if path is None:
            continue
        image = read_image(rooms / "images" / name)
        scores = predictor.scores(image.rgb)
        before, _confidence = scores.label_map()
        ids = catalog.ids.astype(before.dtype)
        after = DenseCRF(image.rgb, params).marginals(ProbabilitySource.of_scores(scores)).labels(ids)
        rows.append(Row(name, image.rgb, before, after, read_mask(path, catalog, image.info)))
    if not rows:
        raise SystemExit(f"no image in {rooms / 'images'} has truth in {rooms / 'truth'}")
    if not only:
        telling = sorted(rows, key=lambda row: np.count_nonzero(row.before != row.after), reverse=True)[: 3 * count]
        rows = sorted(telling[:: max(1, len(telling) // count)][:count], key=lambda row: row.name)
    return rows, catalog


def strip(rows: list[Row], catalog: ClassCatalog) -> Image.Image:
    """The picture: one line for each row, the figures below its masks."""
    heights = [round(WIDTH * row.rgb.shape[0] / row.rgb.shape[1]) for row in rows]
    width = len(TITLES) * WIDTH + (len(TITLES) + 1) * GAP
    picture = Image.new("RGB", (width, HEAD + sum(heights) + len(rows) * (FOOT + GAP) + GAP), PAPER)
    draw = ImageDraw.Draw(picture)
    strong = ImageFont.truetype(str(FONTS / "Inter-SemiBold.otf"), 14)
    plain = ImageFont.truetype(str(FONTS / "Inter-Regular.otf"), 13)
    for column, title in enumerate(TITLES):
        draw.text((GAP + column * (WIDTH + GAP), 6), title, INK, strong)
    top = HEAD
    for row, height in zip(rows, heights, strict=True):
        index = band_map(truth=row.truth, rule="edge")
        band = (index >= 1) & (index <= BAND_PX)
        panels = (
            row.rgb,
            painted(row.rgb, row.before, catalog),
            painted(row.rgb, row.after, catalog),
            painted(row.rgb, row.truth, catalog),
            judged(row.after, row.truth, band, catalog.ignore),
        )
        before, after = (_mean(row.truth, labels, catalog) for labels in (row.before, row.after))
        banded = [
            _mean(np.where(band, row.truth, catalog.ignore).astype(row.truth.dtype), labels, catalog)
            for labels in (row.before, row.after)
        ]
        changed = 100 * np.count_nonzero(row.before != row.after) / row.before.size
        gain = f"({100 * (after - before):+.1f}, {changed:.1f} % changed)"
        inside = f"mIoU in the band {banded[0]:.3f} \N{RIGHTWARDS ARROW} {banded[1]:.3f}"
        notes = (Path(row.name).stem, f"mIoU {before:.3f}", f"mIoU {after:.3f}   {gain}", "", inside)
        for column, (panel, note) in enumerate(zip(panels, notes, strict=True)):
            left = GAP + column * (WIDTH + GAP)
            picture.paste(Image.fromarray(panel).resize((WIDTH, height), Image.Resampling.LANCZOS), (left, top))
            draw.text((left, top + height + 4), note, PALE, plain)
        top += height + FOOT + GAP
    return picture


def painted(rgb: NDArray[np.uint8], labels: LabelMap, catalog: ClassCatalog) -> NDArray[np.uint8]:
    """(H, W, 3) the image under the colours of its classes; background shows the image, void is light grey."""
    colors = np.full((catalog.ignore + 1, 3), 200, np.float32)
    for info in catalog.classes:
        colors[info.id] = info.color
    out: NDArray[np.float32] = rgb * np.float32(0.35) + colors[labels] * np.float32(0.65)
    if catalog.background is not None:
        plain = labels == catalog.background
        out[plain] = rgb[plain] * np.float32(0.75)
    return out.astype(np.uint8)


def judged(labels: LabelMap, truth: LabelMap, band: NDArray[np.bool_], ignore: int) -> NDArray[np.uint8]:
    """(H, W, 3) right and wrong pixels of the band in two colours on a dark ground."""
    out = np.empty((*labels.shape, 3), np.uint8)
    out[:] = BACK
    known = band & (truth != ignore)
    out[known & (labels == truth)] = RIGHT
    out[known & (labels != truth)] = WRONG
    return out


def _mean(truth: LabelMap, labels: LabelMap, catalog: ClassCatalog) -> float:
    return float(ConfusionMatrix(catalog).update(truth=truth, prediction=labels).mean_iou("truth").value)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rooms", type=Path, required=True, help="folder with images/ and truth/")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--crf", default="v1", help=f"{', '.join(PRESETS)}, or a search report")
    parser.add_argument("--count", type=int, default=6)
    parser.add_argument("--only", nargs="*", default=[], help="stems of the images to show")
    chosen = parser.parse_args(arguments)
    params = preset(chosen.crf) if chosen.crf in PRESETS else read_params(Path(chosen.crf))
    rows, catalog = rows_of(chosen.rooms, chosen.model, params, chosen.count, chosen.only)
    chosen.output.parent.mkdir(parents=True, exist_ok=True)
    picture = strip(rows, catalog)
    # A palette keeps a picture for the documentation small; the masks have few colours anyway.
    palette = picture.quantize(256, method=Image.Quantize.MEDIANCUT)
    picture.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG).save(chosen.output, optimize=True)
    print(f"{len(rows)} images: {chosen.output}")


if __name__ == "__main__":
    main()
