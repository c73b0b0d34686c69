"""Compiled counting loops for 8-bit maps.

Label maps are flat areas with few edges, so both loops look at eight pixels at once, as one 64-bit word: words that repeat cost
one comparison each, a word of one class costs one addition however often it repeats. At class edges, and in maps without flat
areas, every pixel is counted by itself, in four private histograms in turn, so that an addition need not wait for the one before
it to the same cell. What then bounds them is measured in ``benchmarks/evaluation.py``.

The loops let other threads run. Importing this module imports numba; :mod:`deeplab_core.kernels.compiled` decides when.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplab_core.kernels.compiled import compile_loop

#: Private histograms of one pass.
_LANES = 4
#: A 32-bit cell takes this many pixels for certain; larger maps are counted in parts.
_PART = 1 << 31

_WORD = 8
_BYTE = np.uint64(0xFF)
_SHIFT = np.uint64(8)
_EVERY = np.uint64(0x0101010101010101)
_ONE = np.uint32(1)
_EIGHT = np.uint32(8)


def pair_counts(truth: NDArray[np.uint8], prediction: NDArray[np.uint8], channel: NDArray[Any], size: int) -> NDArray[np.int64]:
    """Count pixels by the channels of two maps.

    Args:
        truth, prediction: uint8 of one size, C-contiguous.
        channel: (256,) integers 0..size - 1, what becomes of each value.
        size: number of channels.

    Returns:
        (size, size) int64, rows = truth.
    """
    columns = channel.astype(np.uint32)
    rows = columns * np.uint32(size)
    total = np.zeros(size * size, dtype=np.int64)
    for one, other in _parts(truth, prediction):
        joint = np.zeros((_LANES, size * size), dtype=np.uint32)
        words = one.size // _WORD
        _pair_loop(_words(one, words), _words(other, words), one[words * _WORD :], other[words * _WORD :], rows, columns, joint)
        total += joint.sum(axis=0, dtype=np.int64)
    return total.reshape(size, size)


def band_counts(
    index: NDArray[np.uint8],
    truth: NDArray[np.uint8],
    prediction: NDArray[np.uint8],
    channel: NDArray[Any],
    layers: int,
    size: int,
) -> NDArray[np.int64]:
    """Count pixels by a third map, 0..layers - 1, and the channels of two.

    Args:
        index, truth, prediction: uint8 of one size, C-contiguous; no index is ``layers`` or more.
        channel, size: as :func:`pair_counts`.

    Returns:
        (layers, size, size) int64.
    """
    columns = channel.astype(np.uint32)
    rows = columns * np.uint32(size)
    total = np.zeros(layers * size * size, dtype=np.int64)
    for band, one, other in _parts(index, truth, prediction):
        # One histogram: forty-one layers of it would not fit the first cache four times, and neighbours differ in the layer.
        joint = np.zeros(layers * size * size, dtype=np.uint32)
        words = one.size // _WORD
        rest = slice(words * _WORD, None)
        maps = (_words(band, words), _words(one, words), _words(other, words))
        _band_loop(*maps, band[rest], one[rest], other[rest], rows, columns, np.uint32(size * size), joint)
        total += joint
    return total.reshape(layers, size, size)


def _parts(*maps: NDArray[np.uint8]) -> list[tuple[NDArray[np.uint8], ...]]:
    flat = [labels.reshape(-1) for labels in maps]
    return [tuple(labels[start : start + _PART] for labels in flat) for start in range(0, flat[0].size, _PART)]


def _words(flat: NDArray[np.uint8], number: int) -> NDArray[np.uint64]:
    """The first ``8 * number`` bytes as words; copied where they do not start at a word's address."""
    words = flat[: number * _WORD].view(np.uint64)
    return words if words.flags.aligned else words.copy()


@compile_loop
def _pair_loop(
    truths: NDArray[np.uint64],
    predictions: NDArray[np.uint64],
    last_truths: NDArray[np.uint8],
    last_predictions: NDArray[np.uint8],
    rows: NDArray[np.uint32],
    columns: NDArray[np.uint32],
    joint: NDArray[np.uint32],
) -> None:
    words = truths.shape[0]
    place = 0
    while place < words:
        truth, prediction = truths[place], predictions[place]
        start = place
        place += 1
        while place < words and truths[place] == truth and predictions[place] == prediction:
            place += 1
        run = np.uint32(place - start)
        if (truth & _BYTE) * _EVERY == truth and (prediction & _BYTE) * _EVERY == prediction:
            joint[0, rows[truth & _BYTE] + columns[prediction & _BYTE]] += run * _EIGHT
        else:
            for pixel in range(_WORD):
                joint[pixel & 3, rows[truth & _BYTE] + columns[prediction & _BYTE]] += run
                truth >>= _SHIFT
                prediction >>= _SHIFT
    for place in range(last_truths.shape[0]):
        joint[0, rows[last_truths[place]] + columns[last_predictions[place]]] += _ONE


@compile_loop
def _band_loop(
    bands: NDArray[np.uint64],
    truths: NDArray[np.uint64],
    predictions: NDArray[np.uint64],
    last_bands: NDArray[np.uint8],
    last_truths: NDArray[np.uint8],
    last_predictions: NDArray[np.uint8],
    rows: NDArray[np.uint32],
    columns: NDArray[np.uint32],
    layer: np.uint32,
    joint: NDArray[np.uint32],
) -> None:
    words = truths.shape[0]
    place = 0
    while place < words:
        band, truth, prediction = bands[place], truths[place], predictions[place]
        start = place
        place += 1
        while place < words and truths[place] == truth and predictions[place] == prediction and bands[place] == band:
            place += 1
        run = np.uint32(place - start)
        flat = (truth & _BYTE) * _EVERY == truth and (prediction & _BYTE) * _EVERY == prediction
        if flat and (band & _BYTE) * _EVERY == band:
            cell = rows[truth & _BYTE] + columns[prediction & _BYTE]
            joint[np.uint32(band & _BYTE) * layer + cell] += run * _EIGHT
        elif flat:
            cell = rows[truth & _BYTE] + columns[prediction & _BYTE]
            for _ in range(_WORD):
                joint[np.uint32(band & _BYTE) * layer + cell] += run
                band >>= _SHIFT
        else:
            for _ in range(_WORD):
                joint[np.uint32(band & _BYTE) * layer + rows[truth & _BYTE] + columns[prediction & _BYTE]] += run
                band >>= _SHIFT
                truth >>= _SHIFT
                prediction >>= _SHIFT
    for place in range(last_truths.shape[0]):
        cell = rows[last_truths[place]] + columns[last_predictions[place]]
        joint[np.uint32(last_bands[place]) * layer + cell] += _ONE
