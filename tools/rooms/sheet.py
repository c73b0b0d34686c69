"""A sheet of rooms for the documentation: each picture beside its truth.

    python -m tools.rooms.sheet --rooms DIR -o docs/images/rooms.jpg [--only STEM ...] [--columns 3]

``DIR`` has the layout of ``python -m tools.rooms``. Needs no renderer.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from deeplab_core.catalogs import get_catalog
from deeplab_core.masks.read import read_mask

#: Width of a picture and gap between pictures, px; shade of void in the truth.
_WIDTH, _GAP, _VOID = 240, 6, (236, 236, 230)


def sheet(rooms: Path, stems: list[str], columns: int) -> Image.Image:
    """Pairs of picture and truth, ``columns`` pairs in a row, on white."""
    catalog = get_catalog("voc21")
    colors = np.full((256, 3), _VOID, np.uint8)
    for info in catalog.classes:
        colors[info.id] = info.color if info.id else (30, 33, 40)
    height = round(_WIDTH * 3 / 4)
    rows = -(-len(stems) // columns)
    pair = 2 * _WIDTH + 3 * _GAP
    out = Image.new("RGB", (columns * pair - 2 * _GAP, rows * (height + _GAP) - _GAP), (255, 255, 255))
    for place, stem in enumerate(stems):
        left, top = (place % columns) * pair, (place // columns) * (height + _GAP)
        truth = colors[read_mask(rooms / "truth" / f"{stem}.png", catalog)]
        with Image.open(rooms / "images" / f"{stem}.jpg") as picture:
            out.paste(picture.convert("RGB").resize((_WIDTH, height), Image.Resampling.LANCZOS), (left, top))
        out.paste(Image.fromarray(truth).resize((_WIDTH, height), Image.Resampling.NEAREST), (left + _WIDTH + _GAP, top))
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rooms", type=Path, required=True)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--columns", type=int, default=2)
    chosen = parser.parse_args()
    stems = chosen.only or sorted(path.stem for path in (chosen.rooms / "images").glob("*.jpg"))
    chosen.output.parent.mkdir(parents=True, exist_ok=True)
    sheet(chosen.rooms, stems, chosen.columns).save(chosen.output, quality=88)


if __name__ == "__main__":
    main()
