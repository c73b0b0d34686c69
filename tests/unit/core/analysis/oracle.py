"""Definitions written out pixel by pixel, slowly and without any library of image processing."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import numpy as np

Pixel = tuple[int, int]


def components(pixels: Iterable[Pixel]) -> list[set[Pixel]]:
    """8-connected components of a set of (row, column)."""
    left, found = set(pixels), []
    while left:
        todo, part = [left.pop()], set()
        while todo:
            y, x = todo.pop()
            part.add((y, x))
            for near in neighbours((y, x)):
                if near in left:
                    left.remove(near)
                    todo.append(near)
        found.append(part)
    return found


def neighbours(pixel: Pixel) -> list[Pixel]:
    y, x = pixel
    return [(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if (dy, dx) != (0, 0)]


def where(mask: np.ndarray) -> set[Pixel]:
    return {(int(y), int(x)) for y, x in np.argwhere(mask)}


def within(pixel: Pixel, others: set[Pixel], width: int) -> bool:
    return any(round(math.dist(pixel, other)) <= width for other in others)


def partition(truth: np.ndarray, prediction: np.ndarray, ignore: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Misses and false alarms by part (1 boundary, 2 extent, 3 segment), from the text of Bernhard et al. (2024)."""
    missed, false = np.zeros(truth.shape, int), np.zeros(truth.shape, int)
    for class_id in {*truth.ravel().tolist(), *prediction.ravel().tolist()} - {ignore}:
        true, called = where(truth == class_id), where(prediction == class_id)
        hits, rest = true & called, where((truth != class_id) & (prediction != class_id))
        void = where(truth == ignore)
        for errors, segments, out in ((called - true, called, false), (true - called, true, missed)):
            seed = {p for p in errors if within(p, hits, width) and within(p, rest, width)}
            grown = {p for p in errors if p in seed or within(p, seed, width)}
            boundary: set[Pixel] = set()
            for part in components(grown):
                beside = {near for pixel in part for near in neighbours(pixel)}
                if beside & hits and beside & rest:
                    boundary |= part
            for segment in components(segments):
                for pixel in (segment & errors) - void:
                    out[pixel] = 1 if pixel in boundary else 2 if segment & hits else 3
    return missed, false


def brute_regions(values: np.ndarray, chosen: Callable[[Pixel], bool] = lambda _: True) -> dict[frozenset[Pixel], int]:
    found = {}
    for value in np.unique(values).tolist():
        for part in components(p for p in where(values == value) if chosen(p)):
            found[frozenset(part)] = value
    return found
