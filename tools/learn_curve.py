"""Draws what ``benchmarks/learn.py`` measured: gain in mIoU over the number of corrected images, with intervals.

::

    python -m tools.learn_curve FIGURES.json... -o docs/images/learn_curve.png
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

SIZE, LEFT, RIGHT, TOP, BOTTOM = (920, 480), 90, 30, 60, 70
#: Okabe and Ito's blue and vermillion: told apart with any colour vision.
INK, GRID = (40, 44, 52), (222, 226, 232)
CASES = {
    "camvid": ("a CamVid sequence the model never saw", (0, 114, 178)),
    "voc": ("99 unrelated photographs, VOC", (213, 94, 0)),
}


def read(paths: list[Path]) -> dict[str, dict[int, list[dict[str, Any]]]]:
    """Rows by case and k."""
    found: dict[str, dict[int, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    for path in paths:
        figures = json.loads(path.read_text())
        for row in figures["rows"]:
            found[figures["case"]][row["k"]].append(row)
    return found


def _mean(rows: list[dict[str, Any]]) -> list[float]:
    return [sum(row[key] for row in rows) / len(rows) for key in ("gain", "low", "high")]


def draw(cases: dict[str, dict[int, list[dict[str, Any]]]], target: Path) -> None:
    """One line for each case, means over seeds; bars are the bootstrap intervals."""
    means = {case: {k: _mean(rows) for k, rows in sorted(ks.items())} for case, ks in sorted(cases.items())}
    ks = sorted({k for line in means.values() for k in line})
    values = [value for line in means.values() for triple in line.values() for value in triple]
    low, high = min(-1.0, int(min(values)) - 1), max(1.0, int(max(values)) + 1)
    picture = Image.new("RGB", SIZE, "white")
    pen, font, title = ImageDraw.Draw(picture), ImageFont.load_default(15), ImageFont.load_default(18)

    def x(k: int) -> float:
        return LEFT + 40 + ks.index(k) * (SIZE[0] - LEFT - RIGHT - 80) / max(1, len(ks) - 1)

    def y(value: float) -> float:
        return TOP + (high - value) * (SIZE[1] - TOP - BOTTOM) / (high - low)

    pen.text((LEFT, 14), "Gain on images without corrections, points of mIoU", INK, title)
    for value in range(int(low), int(high) + 1):
        pen.line([(LEFT, y(value)), (SIZE[0] - RIGHT, y(value))], INK if value == 0 else GRID, 1)
        pen.text((LEFT - 12, y(value)), f"{value:+d}" if value else "0", INK, font, anchor="rm")
    for k in ks:
        pen.text((x(k), SIZE[1] - BOTTOM + 14), str(k), INK, font, anchor="mt")
    pen.text((SIZE[0] / 2, SIZE[1] - 24), "corrected images", INK, font, anchor="mm")
    for place, (case, line) in enumerate(means.items()):
        name, colour = CASES[case]
        shift = 8 * place - 4
        points = [(x(k) + shift, y(triple[0])) for k, triple in line.items()]
        pen.line(points, colour, 3)
        for (px, py), (_, least, most) in zip(points, line.values(), strict=True):
            pen.line([(px, y(least)), (px, y(most))], colour, 2)
            for end in (least, most):
                pen.line([(px - 5, y(end)), (px + 5, y(end))], colour, 2)
            pen.ellipse([px - 5, py - 5, px + 5, py + 5], colour)
        pen.line([(LEFT + 20, TOP + 12 + 24 * place), (LEFT + 50, TOP + 12 + 24 * place)], colour, 3)
        pen.text((LEFT + 60, TOP + 12 + 24 * place), name, INK, font, anchor="lm")
    picture.save(target, optimize=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("figures", type=Path, nargs="+")
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    draw(read(arguments.figures), arguments.output)


if __name__ == "__main__":
    main()
