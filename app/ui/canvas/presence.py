"""Which values are under a device pixel that is larger than a pixel of the image: no region disappears when zoomed out.

A label map that is sampled once per device pixel loses what lies between the samples. A pyramid holds, for every cell of
2**k x 2**k px, the set of values in it as one word of bits (the smallest value for a band index). Cells are at most as large as a
device pixel and each belongs to the one that holds its centre, so that every pixel of the image counts for exactly one device
pixel. A value that is under a device pixel and that neither it nor one of its eight neighbours shows takes its place.

The top of the pyramid is made when it is needed (some 2 ms per megapixel, once an image), a change renews its own cells, and a
repaint costs as much as its own device pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.state.opencv import opencv
from app.ui.canvas.geometry import Cells, sample
from app.ui.canvas.layers import LayerSet
from deeplab_core.geometry import Box

Values = NDArray[Any]
Words = NDArray[Any]  # unsigned: a bit for each value
Pick = Callable[[Values], Values]  # a part of an array, the same of each

#: Rows of the image that are reduced at a time, so that a large image needs no second copy of itself.
_STRIP = 512
#: Bits that stay free for classes that are painted later; another one beyond them costs a new pyramid.
_SPARE = 2
#: Joining some runs pays where they are less than one in so many.
_FEW = 4
#: Values with a bit of their own.
_MOST = 63
#: Renewing one more rectangle costs as much as so many more pixels in another.
_SETUP_PIXELS = 16_000
#: A changed rectangle is joined with one of so many before it, or stays alone.
_RECENT = 3
#: More changed rectangles than this are renewed as one.
_MANY = 64


class Pyramid:
    """A map reduced by halves.

    Args:
        shape: (H, W) of the map.
        read: the words of a part of the map as it is now; it calls the function that it gets for each array that it needs.
        join: ``np.bitwise_or`` or ``np.minimum``.
    """

    def __init__(self, shape: tuple[int, int], read: Callable[[Pick], Words], join: np.ufunc) -> None:
        self._shape, self._read, self._join = shape, read, join
        self._levels: list[Words] = []  # level 1, 2, ...; level 0 is the map itself
        self._changed: list[Box] = []

    def mark_changed(self, rects: Iterable[Box]) -> None:
        """Values changed in rectangles of the image."""
        if self._levels:
            for rect in rects:
                _add(self._changed, rect)

    def forget(self) -> None:
        """Begin again at the next call of :meth:`under`."""
        self._levels, self._changed = [], []

    def under(self, level: int, rows: Cells, columns: Cells) -> Words:
        """(len(rows) - 1, len(columns) - 1) the cells of each device pixel, joined.

        Args:
            level: cells of 2**level px.
            rows, columns: first cell of each device row and column, and the end of the last.
        """
        if level == 0:
            return self._joined_pixels(rows, columns)
        window = self._level(level)[rows[0] : max(rows[-1], rows[0] + 1), columns[0] : max(columns[-1], columns[0] + 1)]
        for axis, bounds in enumerate((rows - rows[0], columns - columns[0])):
            (_, first), *others = _runs(bounds, window.shape[axis])
            joined = window.take(first, axis=axis, mode="clip")
            for where, places in others:
                part = (where, slice(None)) if axis == 0 else (slice(None), where)
                joined[part] = self._join(joined[part], window.take(places, axis=axis, mode="clip"))
            window = joined
        return window

    def _joined_pixels(self, rows: Cells, columns: Cells) -> Words:
        """Of the map itself: picking its pixels first is less work than looking all of them up."""
        joined: Words | None = None
        for down, lines in _runs(rows, self._shape[0]):
            for across, places in _runs(columns, self._shape[1]):
                words = self._read(_sampling(lines, places))
                if joined is None:
                    joined = words
                    continue
                part = np.ix_(down, across) if not isinstance(down, slice) and not isinstance(across, slice) else (down, across)
                joined = joined.astype(words.dtype, copy=False)  # wider from here on, if a value too many was met
                joined[part] = self._join(joined[part], words)
        assert joined is not None
        return joined

    def _level(self, level: int) -> Words:
        changed, self._changed = self._changed, []
        if changed:
            self._renew(changed)
        while len(self._levels) < level:
            self._levels.append(self._make() if not self._levels else _halved(self._levels[-1], self._join))
        return self._levels[level - 1]

    def _make(self) -> Words:
        height = self._shape[0]
        strips = [
            _halved(self._read(_cutting((slice(top, top + _STRIP), slice(None)))), self._join) for top in range(0, height, _STRIP)
        ]
        return np.concatenate(strips)

    def _renew(self, rects: list[Box]) -> None:
        """Make the cells over rectangles of the image again; from the second level on, which is small, one box for all."""
        for place in range(len(self._levels)):
            below = self._shape if place == 0 else self._levels[place - 1].shape
            rects = [_halved_box(rect) for rect in rects] if place != 1 else [_halved_box(Box.around_all(rects))]
            for rect in rects:
                part = slice(2 * rect.y, min(2 * rect.bottom, below[0])), slice(2 * rect.x, min(2 * rect.right, below[1]))
                window = self._read(_cutting(part)) if place == 0 else self._levels[place - 1][part]
                if not self._levels:  # reading met one value too many for the words: all begins again
                    return
                self._levels[place][rect.slices] = _halved(window, self._join)


class LabelSets:
    """The sets of labels under device pixels, for one map, or only where it differs from another one.

    Args:
        labels: (H, W), may be changed in place; :meth:`mark_changed` says where.
        other: (H, W) of the same ids; only pixels that differ from it count. None: all of them.
        ignore: value of ``other`` for unscored pixels, None for none.
    """

    def __init__(self, labels: Values, other: Values | None = None, ignore: int | None = None) -> None:
        self._labels, self._other, self._ignore = labels, other, ignore
        self._pyramid = Pyramid(labels.shape, self._read, np.bitwise_or)
        self._table: Words = np.zeros(0, np.uint8)
        self._names: list[int] = []
        self._common = 0

    def mark_changed(self, rects: Iterable[Box]) -> None:
        """Labels changed in rectangles of the image."""
        self._pyramid.mark_changed(rects)

    def lost(
        self, level: int, rows: Cells, columns: Cells, values: Values, counts: NDArray[np.bool_] | None, hidden: frozenset[int]
    ) -> tuple[NDArray[np.intp], Values]:
        """What is under device pixels and shown neither there nor beside them.

        Args:
            level, rows, columns: see :meth:`Pyramid.under`.
            values: (h, w) labels that the device pixels show.
            counts: (h, w) bool, where they count; None: everywhere.
            hidden: classes that are not shown anyway.

        Returns:
            Flat places in ``values`` and the label that belongs there; the rarest where several do. A device pixel that alone
            shows a value keeps it.
        """
        present = self._pyramid.under(level, rows, columns)  # first: it meets new values, which may need wider words
        shown = _looked_up(self._table, values)
        if counts is not None:
            shown = np.where(counts, shown, shown.dtype.type(0))
        skipped = np.bitwise_or.reduce(self._table[sorted(hidden)], initial=0) | self._common
        places, bits = _lost(present, shown, int(skipped))
        return places, np.asarray(self._names)[bits]

    def _words(self, values: Values) -> Words:
        """A bit for each value; values that are new get one first."""
        if not self._names:
            self._begin()
        words = _looked_up(self._table, values)
        if opencv().countNonZero(_signed(words)) < words.size:
            for value in np.unique(values[words == 0]).tolist():
                self._add(value)
            words = _looked_up(self._table, values)
        return words

    def _begin(self) -> None:
        cv2 = opencv()
        size = 256 if self._labels.dtype == np.uint8 else 65536
        counts = cv2.calcHist([np.ascontiguousarray(self._labels)], [0], None, [size], [0, size]).ravel()
        present = np.flatnonzero(counts)
        present = present[np.argsort(counts[present], kind="stable")]
        bits = next((bits for bits in (8, 16, 32) if bits >= present.size + _SPARE), 64)
        self._table = np.zeros(size, f"u{bits // 8}")
        self._names = []
        for value in present.tolist():
            self._add(value)

    def _add(self, value: int) -> None:
        bits = 8 * self._table.itemsize
        if len(self._names) < min(bits, _MOST):
            self._table[value] = 1 << len(self._names)
            self._names.append(value)
        elif bits < 64:
            self._pyramid.forget()
            self._table = self._table.astype(f"u{bits // 4}")
            self._add(value)
        else:  # the most frequent of more than 63 share a bit, and are sampled only
            self._common = 1 << _MOST
            self._table[value] = self._common

    def _read(self, pick: Pick) -> Words:
        values = pick(self._labels)
        words = self._words(values)
        if self._other is None:
            return words
        other = pick(self._other)
        counts = values != other
        if self._ignore is not None:
            counts &= other != self._ignore
        return np.where(counts, words, words.dtype.type(0))


#: Kinds of pixels where two maps are compared; of several under one device pixel, the first is shown.
EQUAL, NEITHER, SECOND, FIRST, UNSCORED = range(5)
_KIND_WORDS = np.zeros(256, np.uint8)
_KIND_WORDS[1:5] = 1, 2, 4, 8


class DifferenceKinds:
    """How two maps differ under device pixels: one of both is right, none of both, or the ground truth is not known.

    Args:
        one, other: (H, W) labels of the same ids, not changed in place.
        truth: (H, W) of the same ids; None: nothing is known.
        ignore: value of ``truth`` for unscored pixels.
    """

    def __init__(self, one: Values, other: Values, truth: Values | None, ignore: int) -> None:
        self._one, self._other, self._truth, self._ignore = one, other, truth, ignore
        self._pyramid = Pyramid(one.shape, lambda pick: _looked_up(_KIND_WORDS, self.kinds(pick)), np.bitwise_or)

    def kinds(self, pick: Pick) -> NDArray[np.uint8]:
        """The kinds of some pixels of the maps, a new array."""
        one, other = pick(self._one), pick(self._other)
        if self._truth is None:
            return np.where(one == other, np.uint8(EQUAL), np.uint8(UNSCORED))
        truth = pick(self._truth)
        kinds = np.full(one.shape, NEITHER, np.uint8)
        kinds[one == truth] = FIRST
        kinds[other == truth] = SECOND
        kinds[truth == self._ignore] = UNSCORED
        kinds[one == other] = EQUAL
        return kinds

    def put_lost(self, level: int, rows: Cells, columns: Cells, kinds: NDArray[np.uint8]) -> None:
        """Put kinds that neither a device pixel nor one of its neighbours shows into (h, w) kinds that they show.

        Args:
            level, rows, columns: see :meth:`Pyramid.under`.
        """
        places, bits = _lost(self._pyramid.under(level, rows, columns), _looked_up(_KIND_WORDS, kinds), 0)
        kinds.reshape(-1)[places] = bits + 1


class LeastConfidence:
    """The smallest confidence under device pixels.

    Args:
        confidence: (H, W) uint8, not changed in place.
    """

    def __init__(self, confidence: NDArray[np.uint8]) -> None:
        self._pyramid = Pyramid(confidence.shape, lambda pick: pick(confidence), np.minimum)

    def under(self, level: int, rows: Cells, columns: Cells) -> NDArray[np.uint8]:
        """See :meth:`Pyramid.under`."""
        return self._pyramid.under(level, rows, columns)


class NearestBand:
    """The smallest distance of a band index under device pixels.

    Args:
        index: (H, W) uint8 of :func:`deeplab_core.metrics.trimap.band_map`; not changed in place.
    """

    def __init__(self, index: NDArray[np.uint8]) -> None:
        self._index = index
        # What is excluded (0) is farthest.
        self._pyramid = Pyramid(index.shape, lambda pick: pick(self._index) - np.uint8(1), np.minimum)

    def within(self, level: int, rows: Cells, columns: Cells, width: int) -> NDArray[np.bool_]:
        """(h, w) bool: device pixels over a pixel at most ``width`` px from the edge."""
        near: NDArray[np.bool_] = self._pyramid.under(level, rows, columns) < width
        return near


class Presence:
    """The sets of every map that panes show, kept while the maps are."""

    def __init__(self) -> None:
        self._sets: dict[tuple[int, int, int | None], tuple[Values, Values | None, LabelSets]] = {}
        self._band: tuple[Values, NearestBand] | None = None
        self._confidence: tuple[Values, LeastConfidence] | None = None
        self._difference: tuple[tuple[Values, Values, Values | None], DifferenceKinds] | None = None

    def keep(self, layers: LayerSet | None) -> None:
        """Drop what belongs to none of these layers."""
        arrays = () if layers is None else (
            layers.labels, layers.prediction, layers.truth, layers.refined, layers.band_labels, *layers.models,
        )  # fmt: skip
        alive = {id(array) for array in arrays} | {id(None)}
        self._sets = {key: kept for key, kept in self._sets.items() if {key[0], key[1]} <= alive}
        if layers is None or (self._band is not None and self._band[0] is not layers.band):
            self._band = None
        if layers is None or (self._confidence is not None and self._confidence[0] is not layers.confidence):
            self._confidence = None
        if self._difference is not None and not {id(part) for part in self._difference[0]} <= alive:
            self._difference = None

    def sets(self, labels: Values, other: Values | None = None, ignore: int | None = None) -> LabelSets:
        """The sets of a map, or of the pixels in which it differs from another one."""
        key = id(labels), id(other), ignore
        if key not in self._sets:
            self._sets[key] = labels, other, LabelSets(labels, other, ignore)
        return self._sets[key][2]

    def band(self, index: NDArray[np.uint8]) -> NearestBand:
        """The band index."""
        if self._band is None or self._band[0] is not index:
            self._band = index, NearestBand(index)
        return self._band[1]

    def confidence(self, confidence: NDArray[np.uint8]) -> LeastConfidence:
        """The confidence of a prediction."""
        if self._confidence is None or self._confidence[0] is not confidence:
            self._confidence = confidence, LeastConfidence(confidence)
        return self._confidence[1]

    def difference(self, one: Values, other: Values, truth: Values | None, ignore: int) -> DifferenceKinds:
        """How two maps differ; the last two are kept."""
        wanted = one, other, truth
        if self._difference is None or any(a is not b for a, b in zip(self._difference[0], wanted, strict=True)):
            self._difference = wanted, DifferenceKinds(one, other, truth, ignore)
        return self._difference[1]

    def mark_changed(self, labels: Values, rects: Iterable[Box]) -> None:
        """A map was changed in place, in rectangles of the image."""
        rects = list(rects)
        for one, other, sets in self._sets.values():
            if one is labels or other is labels:
                sets.mark_changed(rects)


def _lost(present: Words, shown: Words, skipped: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """What is under device pixels and shown neither there nor beside them; a device pixel that alone shows a value keeps it.

    Args:
        present: (h, w) bits of the values under device pixels.
        shown: (h, w) bit of the value that each shows, or 0.
        skipped: bits that do not count.

    Returns:
        Flat places, and the number of the bit that belongs there: the first where several do.
    """
    around = _around(shown)
    lost = shown | around
    np.invert(lost, out=lost)
    lost &= present
    if skipped:
        lost &= lost.dtype.type(~skipped & (1 << 8 * lost.itemsize) - 1)
    places = np.flatnonzero(lost)
    if places.size:
        places = places[(shown.ravel()[places] & ~around.ravel()[places]) == 0]
    words = lost.ravel()[places]
    first = words & (~words + words.dtype.type(1))
    return places, np.round(np.log2(first.astype(np.float64))).astype(np.intp)


def _signed(words: Words) -> NDArray[Any]:
    """The same bits in a type that OpenCV has."""
    return words.view({4: np.int32, 8: np.float64}.get(words.itemsize, words.dtype))


def _looked_up(table: Words, values: Values) -> Words:
    """OpenCV looks bytes up in half of numpy's time."""
    if values.dtype != np.uint8 or not values.size:
        return table.take(values)
    # OpenCV takes no view that runs backwards, as one of a turned mask may.
    found: Words = opencv().LUT(np.ascontiguousarray(values), _signed(table)).view(table.dtype)
    return found


def _around(words: Words) -> Words:
    """(h, w) bits of the eight neighbours of each pixel."""
    height, width = words.shape
    pad = np.zeros((height + 2, width + 2), words.dtype)
    pad[1:-1, 1:-1] = words
    rows = pad[:, :-2] | pad[:, 2:]  # left and right
    around: Words = rows[1:-1].copy()
    rows |= pad[:, 1:-1]
    around |= rows[:-2]
    around |= rows[2:]
    return around


def _halved(words: Words, join: np.ufunc) -> Words:
    """Two by two cells joined; a last odd row or column stands alone."""
    height, width = words.shape
    rows = np.empty(((height + 1) // 2, width), words.dtype)
    join(words[: height - height % 2 : 2], words[1::2], out=rows[: height // 2])
    if height % 2:
        rows[-1] = words[-1]
    halved = np.empty((rows.shape[0], (width + 1) // 2), words.dtype)
    join(rows[:, : width - width % 2 : 2], rows[:, 1::2], out=halved[:, : width // 2])
    if width % 2:
        halved[:, -1] = rows[:, -1]
    return halved


def _sampling(rows: NDArray[np.intp], columns: NDArray[np.intp]) -> Pick:
    return lambda array: sample(array, rows, columns)


def _cutting(part: tuple[slice, slice]) -> Pick:
    return lambda array: array[part]


def _runs(bounds: Cells, length: int) -> Iterator[tuple[slice | NDArray[np.intp], NDArray[np.intp]]]:
    """The first cells of all runs, then the second ones of those that have one, ...: (which runs, their cells).

    An empty run takes the next cell; a short one may give its last cell again.
    """
    starts, ends = bounds[:-1], bounds[1:]
    yield slice(None), np.minimum(starts, length - 1)
    for step in range(1, int((ends - starts).max(initial=1))):
        where = np.flatnonzero(ends - starts > step)
        if where.size * _FEW < starts.size:
            yield where, starts[where] + step
        else:  # joining a cell twice is faster than leaving some runs out
            yield slice(None), np.minimum(np.maximum(np.minimum(starts + step, ends - 1), starts), length - 1)


def _halved_box(rect: Box) -> Box:
    """The cells of the next level over a rectangle of one."""
    return Box.between(rect.x // 2, rect.y // 2, (rect.right + 1) // 2, (rect.bottom + 1) // 2)


def _add(rects: list[Box], rect: Box) -> None:
    """Add a rectangle to some, or join it with one of the last ones where that is cheaper to renew."""
    for place in range(len(rects) - 1, max(len(rects) - 1 - _RECENT, -1), -1):
        joined = rects[place].united(rect)
        if joined.area - rects[place].area - rect.area <= _SETUP_PIXELS:
            rects[place] = joined
            return
    rects.append(rect)
    if len(rects) > _MANY:
        rects[:] = [Box.around_all(rects)]
