"""Regions become the pixels that the programs of their formats make of them."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw
from pycocotools import mask as coco_mask

from deeplab_core.masks.importing.raster import Patch, Pen, coco_counts, runs_to_mask
from tests.peers import run_peer

HEIGHT, WIDTH = 37, 53


def whole(patch: Patch, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    sheet = np.zeros((height, width), bool)
    rows, columns = patch.mask.shape
    sheet[patch.top : patch.top + rows, patch.left : patch.left + columns] = patch.mask
    return sheet


def outline(rng: np.random.Generator, *, whole_numbers: bool = False, beyond: float = 12) -> np.ndarray:
    points = rng.uniform((-beyond, -beyond), (WIDTH + beyond, HEIGHT + beyond), (int(rng.integers(3, 9)), 2))
    return np.round(points) if whole_numbers or rng.random() < 0.3 else points


def labelme_shapes(seed: int, count: int) -> list[dict[str, object]]:
    rng = np.random.default_rng(seed)
    sizes = {"rectangle": 2, "circle": 2, "line": 2, "point": 1}
    kinds = ["polygon", "linestrip", "closed", *sizes]
    found = []
    for number in range(count):
        kind = kinds[number % len(kinds)]
        points = outline(rng, whole_numbers=kind == "closed")
        found.append({"label": "a", "shape_type": kind, "points": points[: sizes.get(kind)].tolist()})
    return found


def drawn_here(pen: Pen, shape: dict[str, object]) -> np.ndarray:
    from deeplab_core.masks.importing.canvas import Canvas
    from deeplab_core.masks.importing.labelme import _shape_patch

    if shape["shape_type"] == "closed":
        return whole(pen.closed_polygon(pen.points(shape["points"])))
    patch = _shape_patch(shape, pen, Canvas(WIDTH, HEIGHT, ["a"]))
    assert patch is not None
    return whole(patch)


def test_labelme_and_scikit_image_draw_the_same_pixels(tmp_path: Path) -> None:
    shapes = labelme_shapes(3, 700)
    (tmp_path / "job.json").write_text(json.dumps({"height": HEIGHT, "width": WIDTH, "shapes": shapes}))
    run_peer("labelme_draws.py", tmp_path / "job.json", tmp_path / "drawn.npy")
    pen = Pen(WIDTH, HEIGHT)
    theirs = np.load(tmp_path / "drawn.npy")
    different = [shape for shape, mask in zip(shapes, theirs, strict=True) if not np.array_equal(drawn_here(pen, shape), mask)]
    assert different == []


@pytest.mark.parametrize("seed", range(60))
def test_pillow_s_rule_is_that_of_one_whole_image(seed: int) -> None:
    points = outline(np.random.default_rng(seed))
    sheet = Image.new("L", (WIDTH, HEIGHT))
    pairs = [tuple(point) for point in points.tolist()]
    ImageDraw.Draw(sheet).polygon(pairs, outline=1, fill=1)
    pen = Pen(WIDTH, HEIGHT)
    pen.pillow_polygon(pen.points([[3, 3], [30, 4], [9, 30]]))  # the sheet is clean for the next region
    assert np.array_equal(whole(pen.pillow_polygon(pen.points(points))), np.asarray(sheet) != 0)


@pytest.mark.parametrize("seed", range(60))
def test_coco_s_rule_is_pycocotools(seed: int) -> None:
    rng = np.random.default_rng(seed)
    parts = [outline(rng) for _ in range(int(rng.integers(1, 4)))]
    runs = coco_mask.frPyObjects([part.reshape(-1).tolist() for part in parts], HEIGHT, WIDTH)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pycocotools asks NumPy 2 for an array in an old way
        expected = coco_mask.decode(coco_mask.merge(runs)) != 0
    pen = Pen(WIDTH, HEIGHT)
    assert np.array_equal(whole(pen.coco_polygons([pen.points(part) for part in parts])), expected)


@pytest.mark.parametrize("seed", range(40))
def test_the_closed_polygon_holds_its_outline(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = outline(rng, whole_numbers=seed % 2 == 0, beyond=6)
    ends = np.roll(points, -1, axis=0)
    expected = np.zeros((HEIGHT, WIDTH), bool)
    for row in range(HEIGHT):
        for column in range(WIDTH):
            inside = False
            for (x0, y0), (x1, y1) in zip(points, ends, strict=True):
                cross = (x1 - x0) * (row - y0) - (y1 - y0) * (column - x0)
                between = min(x0, x1) <= column <= max(x0, x1) and min(y0, y1) <= row <= max(y0, y1)
                if between and abs(cross) < 1e-9:
                    inside = True
                    break
                if (y0 > row) != (y1 > row) and column < (x1 - x0) * (row - y0) / (y1 - y0) + x0:
                    inside = not inside
            expected[row, column] = inside
    pen = Pen(WIDTH, HEIGHT)
    assert np.array_equal(whole(pen.closed_polygon(points)), expected)


def test_opencv_s_rule_leaves_holes_out() -> None:
    pen = Pen(WIDTH, HEIGHT)
    outer, hole = pen.points([[5, 5], [30, 5], [30, 30], [5, 30]]), pen.points([[10, 10], [20, 10], [20, 20], [10, 20]])
    mask = whole(pen.opencv_polygon(outer, [hole]))
    expected = np.zeros((HEIGHT, WIDTH), bool)
    expected[5:31, 5:31] = True
    expected[10:21, 10:21] = False
    assert np.array_equal(mask, expected)
    assert not pen.opencv_polygon(pen.points([[-9, -9], [-3, -9], [-3, -3]])).mask.any()


@given(st.lists(st.booleans(), min_size=1, max_size=200), st.integers(1, 14))
def test_run_lengths_are_those_of_pycocotools(bits: list[bool], height: int) -> None:
    width = -(-len(bits) // height)
    mask = np.zeros(width * height, np.uint8)
    mask[: len(bits)] = bits
    mask = np.asfortranarray(mask.reshape(height, width))
    counts = coco_counts(coco_mask.encode(mask)["counts"])
    assert np.array_equal(runs_to_mask(counts, width, height), mask != 0)
    rows = np.flatnonzero(np.diff(np.concatenate(([0], mask.reshape(-1), [2]))))
    by_row = np.diff(np.concatenate(([0], rows, [mask.size]))) if mask.any() else np.array([mask.size])
    assert np.array_equal(runs_to_mask(by_row[by_row.cumsum() <= mask.size], width, height, by_column=False), mask != 0)


@pytest.mark.parametrize("text", ["oo", "é", "\x00", "oooooooooooooooooooooooooo0"])
def test_damaged_run_lengths_are_refused(text: str) -> None:
    with pytest.raises(ValueError):
        coco_counts(text)


@pytest.mark.parametrize("counts", [[1, -1, 6], [3, 4], ["a"], [[1]], [2.5, 3.5], [2**62, 2**62, 2**62, 2**62]])
def test_run_lengths_that_do_not_fit_are_refused(counts: list[object]) -> None:
    with pytest.raises(ValueError):
        runs_to_mask(counts, 2, 3)


@pytest.mark.parametrize(
    ("values", "least"),
    [([[1, 2], [3]], 1), ([1, 2, 3], 1), ([[float("nan"), 1]], 1), ([[1e12, 0]], 1), ([[1, 2]], 3), ("ab", 1), ([[[1, 2]]], 1)],
)
def test_coordinates_that_cannot_be_drawn_are_refused(values: object, least: int) -> None:
    with pytest.raises(ValueError):
        Pen(WIDTH, HEIGHT).points(values, least=least)


def test_an_outline_without_end_is_refused() -> None:
    pen = Pen(2000, 2000)
    zigzag = np.tile([[-20_000.0, 0.0], [20_000.0, 1.0]], (200, 1))
    with pytest.raises(ValueError, match="too long"):
        pen.coco_polygons([pen.points(zigzag)])
