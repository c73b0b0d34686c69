"""Tile patches: the one record behind undo, the journal and the statistic of the user's changes.

A patch holds, for every 64-px tile that really changed, the packed bytes of labels and provenance before and after. Tiles lie
on a fixed grid from the image's top left corner; tiles at the right and bottom border are smaller.
"""

from __future__ import annotations

import contextlib
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deeplab_core.errors import ProjectError, message
from deeplab_core.geometry import Box
from deeplab_core.labels import LabelMap
from deeplab_core.reading import unpack

#: Side of a tile in px. One 1500-px stroke of radius 20 packs to about 14 KB at this size; smaller tiles cost more headers,
#: larger ones more pixels that did not change.
TILE = 64

#: The box around some tiles may be so many times as large as they before it is taken apart.
_SPARSE = 3

#: Tiles of one class occur all the time: so many packed and unpacked ones are remembered, with 8 KB each.
_REMEMBERED = 256

#: Tiles have at most so many sizes: inside, at the right border, at the bottom, and in the corner.
_TILE_SIZES = 4

_MAGIC = b"ATP1"
_HEAD = struct.Struct("<4sIIBII")  # magic, height, width, bytes per label, tiles, changed pixels
_TILE = struct.Struct("<HHII")  # row, column, packed length before, packed length after
# Behind the tiles: a checksum of the head and of all tile heads (the packed bytes carry their own). Records of older versions
# lack it, and those versions do not read so far.
_TAIL = struct.Struct("<4sI")
_TAIL_MAGIC = b"CRC1"


@dataclass(frozen=True, slots=True)
class TileChange:
    """One tile: its place on the grid and its packed contents before and after."""

    row: int
    column: int
    before: bytes
    after: bytes

    def inverted(self) -> TileChange:
        return TileChange(self.row, self.column, self.after, self.before)


@dataclass(frozen=True, slots=True)
class TilePatch:
    """A change of labels and provenance that can be applied and undone byte for byte.

    Attributes:
        shape: (H, W) of the map it belongs to.
        itemsize: bytes per label, 1 or 2.
        tiles: changed tiles in row-major order.
        changed_pixels: how many labels differ between before and after.
    """

    shape: tuple[int, int]
    itemsize: int
    tiles: tuple[TileChange, ...]
    changed_pixels: int
    _bounds: Box = field(init=False, repr=False, compare=False, default=Box(0, 0, 0, 0))

    def __post_init__(self) -> None:
        if self.tiles:
            rows, columns = [tile.row for tile in self.tiles], [tile.column for tile in self.tiles]
            x, y = min(columns) * TILE, min(rows) * TILE
            box = Box(x, y, (max(columns) + 1) * TILE - x, (max(rows) + 1) * TILE - y)
            object.__setattr__(self, "_bounds", box.clipped(self.shape))

    @property
    def bounds(self) -> Box:
        """Rectangle that holds every changed tile; empty for a patch without tiles."""
        return self._bounds

    @property
    def empty(self) -> bool:
        """Whether it changes neither a label nor a provenance: such a step does not enter any history."""
        return not self.tiles

    @property
    def nbytes(self) -> int:
        """Packed size in bytes: what the undo budget counts."""
        return sum(len(tile.before) + len(tile.after) + _TILE.size for tile in self.tiles) + _HEAD.size + _TAIL.size

    def inverted(self) -> TilePatch:
        """The patch that takes this one back."""
        return TilePatch(self.shape, self.itemsize, tuple(tile.inverted() for tile in self.tiles), self.changed_pixels)

    def then(self, later: TilePatch) -> TilePatch:
        """Join with a change that came right after: one patch for both. Tiles that end as they began are left out.

        Raises ValueError where the two belong to different maps.
        """
        if (self.shape, self.itemsize) != (later.shape, later.itemsize):
            raise ValueError("patches of different maps cannot be joined")
        joined = {(tile.row, tile.column): tile for tile in self.tiles}
        for tile in later.tiles:
            place = tile.row, tile.column
            before = joined[place].before if place in joined else tile.before
            joined[place] = TileChange(*place, before, tile.after)
        tiles, changed = [], 0
        for place in sorted(joined):
            tile = joined[place]
            rect = tile_rect(*place, self.shape)
            (labels, sources), (new_labels, new_sources) = (
                _unpack(side, rect, self.itemsize) for side in (tile.before, tile.after)
            )
            differing = int(np.count_nonzero(labels != new_labels))
            if differing or not np.array_equal(sources, new_sources):
                tiles.append(tile)
                changed += differing
        return TilePatch(self.shape, self.itemsize, tuple(tiles), changed)

    def before_tiles(self) -> Iterator[tuple[Box, LabelMap, NDArray[np.uint8]]]:
        """Yield (rect, labels, provenance) of each tile before the change."""
        return self.inverted().after_tiles()

    def after_tiles(self) -> Iterator[tuple[Box, LabelMap, NDArray[np.uint8]]]:
        """Yield (rect, labels, provenance) of each tile after the change."""
        for tile in self.tiles:
            rect = tile_rect(tile.row, tile.column, self.shape)
            yield rect, *_unpack(tile.after, rect, self.itemsize)

    def changed_provenance(self) -> int:
        """How many pixels have another provenance after than before; unpacks every tile."""
        changed = 0
        for tile in self.tiles:
            rect = tile_rect(tile.row, tile.column, self.shape)
            before, after = (_unpack(side, rect, self.itemsize)[1] for side in (tile.before, tile.after))
            changed += int(np.count_nonzero(before != after))
        return changed

    def begins_unset(self) -> bool:
        """Whether no pixel of its tiles was set before. Few tiles are unpacked: those of an empty map pack alike."""
        kinds: set[tuple[bytes, int, int]] = set()
        for tile in self.tiles:
            rect = tile_rect(tile.row, tile.column, self.shape)
            kinds.add((tile.before, rect.width, rect.height))
            if len(kinds) > _TILE_SIZES:
                return False
        return not any(_unpack(packed, Box(0, 0, *size), self.itemsize)[1].any() for packed, *size in kinds)

    def gives(self, source: int) -> bool:
        """Whether a pixel of its tiles has this provenance after the change; unpacks tiles until one has, of equal ones one."""
        kinds: dict[tuple[bytes, int, int], None] = {}
        for tile in self.tiles:
            rect = tile_rect(tile.row, tile.column, self.shape)
            kinds[tile.after, rect.width, rect.height] = None
        value = int(source)
        return any((_unpack(packed, Box(0, 0, *size), self.itemsize)[1] == value).any() for packed, *size in kinds)

    def parts(self, tiles: int) -> Iterator[TilePatch]:
        """The patch cut into patches of at most so many tiles; ``changed_pixels`` are not shared out."""
        for start in range(0, len(self.tiles), tiles):
            yield TilePatch(self.shape, self.itemsize, self.tiles[start : start + tiles], 0)

    def rects(self) -> list[Box]:
        """Rectangles that hold every tile and do not overlap: one if its tiles fill it, else one for each run of neighbours."""
        if self.bounds.area <= _SPARSE * len(self.tiles) * TILE**2:
            return [] if self.empty else [self.bounds]
        rects: list[Box] = []
        for tile in self.tiles:
            rect = tile_rect(tile.row, tile.column, self.shape)
            if rects and (rects[-1].y, rects[-1].right) == (rect.y, rect.x):
                rects[-1] = rects[-1].united(rect)
            else:
                rects.append(rect)
        return rects

    def to_bytes(self) -> bytes:
        """The journal's form; :meth:`from_bytes` is the inverse."""
        head = _HEAD.pack(_MAGIC, self.shape[0], self.shape[1], self.itemsize, len(self.tiles), self.changed_pixels)
        parts, checksum = [head], zlib.crc32(head)
        for tile in self.tiles:
            head = _TILE.pack(tile.row, tile.column, len(tile.before), len(tile.after))
            checksum = zlib.crc32(head, checksum)
            parts += (head, tile.before, tile.after)
        return b"".join([*parts, _TAIL.pack(_TAIL_MAGIC, checksum)])

    @staticmethod
    def from_bytes(data: bytes) -> TilePatch:
        """Rebuild a patch; its tiles are unpacked, and checked, when they are used. Raises ProjectError for damaged bytes."""
        try:
            shape, itemsize, count, changed = _read_head(data)
            tiles = tuple(_read_tiles(data, shape, count))
        except (struct.error, ValueError, TypeError) as error:
            raise damaged_step(str(error)) from error
        return TilePatch(shape, itemsize, tiles, changed)

    @staticmethod
    def salvage(data: bytes, direction: int) -> tuple[TilePatch | None, int]:
        """What can be read of a damaged patch for one way of applying it.

        Args:
            direction: 1 to do the step, -1 to undo it.

        Returns:
            (patch to apply, number of 64-px tiles that are lost); None where not even the head can be read.
        """
        try:
            shape, itemsize, count, changed = _read_head(data)
            if data[-_TAIL.size :].startswith(_TAIL_MAGIC):
                list(_read_tiles(data, shape, count))  # with a wrong checksum nothing says where its tiles belong
        except (struct.error, ValueError, TypeError):
            return None, 0
        sound: list[TileChange] = []
        # What stands behind a length that is wrong cannot be found.
        with contextlib.suppress(struct.error, ValueError):
            for tile in _read_tiles(data, shape, count):
                wanted = tile if direction > 0 else tile.inverted()
                with contextlib.suppress(ProjectError):
                    _unpack(wanted.after, tile_rect(tile.row, tile.column, shape), itemsize)
                    sound.append(wanted)
        return TilePatch(shape, itemsize, tuple(sound), changed), count - len(sound)

    def check(self) -> None:
        """Unpack what every tile is after the change. Raises ProjectError where one is damaged."""
        for _ in self.after_tiles():
            pass


class WrongSize(ProjectError):
    """Labels made for a picture of another size.

    Attributes:
        size: (H, W) of the labels.
    """

    def __init__(self, size: tuple[int, int], path: Path | None = None) -> None:
        super().__init__(
            message("the labels are {width} x {height} px", width=size[1], height=size[0]),
            remedy=message("Put the image back that they were made for"),
            path=path,
        )
        self.size = size


def damaged_step(why: str) -> ProjectError:
    """The error for a record of the journal that cannot be read."""
    return ProjectError(
        message("a step of the journal is damaged"),
        why=why,
        remedy=message("Open the image again: the mask and all sound steps are kept"),
    )


def _read_head(data: bytes) -> tuple[tuple[int, int], int, int, int]:
    """((H, W), bytes per label, tiles, changed pixels); raises struct.error, ValueError or TypeError."""
    magic, height, width, itemsize, count, changed = _HEAD.unpack_from(data)
    if magic != _MAGIC:
        raise ValueError(f"magic is {magic!r}")
    if itemsize not in (1, 2):
        raise ValueError(f"{itemsize} bytes per label")
    return (height, width), itemsize, count, changed


def _read_tiles(data: bytes, shape: tuple[int, int], count: int) -> Iterator[TileChange]:
    """Yield the tiles in order; raises struct.error or ValueError at the first that cannot be there, or for a wrong checksum."""
    place, last, checksum = _HEAD.size, (-1, -1), zlib.crc32(data[: _HEAD.size])
    for _ in range(count):
        row, column, before, after = _TILE.unpack_from(data, place)
        checksum = zlib.crc32(data[place : place + _TILE.size], checksum)
        place += _TILE.size
        if place + before + after > len(data):
            raise ValueError("it ends early")
        if row * TILE >= shape[0] or column * TILE >= shape[1] or (row, column) <= last:
            raise ValueError(f"tile {row}, {column} cannot be there")
        last = row, column
        yield TileChange(row, column, data[place : place + before], data[place + before : place + before + after])
        place += before + after
    if place < len(data) and data[place:] != _TAIL.pack(_TAIL_MAGIC, checksum):
        raise ValueError("its checksum is wrong")


def tile_rect(row: int, column: int, shape: tuple[int, int]) -> Box:
    """Rectangle of a tile, cut at the image border."""
    x, y = column * TILE, row * TILE
    return Box(x, y, min(TILE, shape[1] - x), min(TILE, shape[0] - y))


def tiles_under(rect: Box) -> Iterator[tuple[int, int]]:
    """Grid places (row, column) of the tiles that a rectangle touches."""
    if rect.empty:
        return
    for row in range(rect.y // TILE, (rect.bottom - 1) // TILE + 1):
        for column in range(rect.x // TILE, (rect.right - 1) // TILE + 1):
            yield row, column


class PatchRecorder:
    """Collects the tiles of one step before they change, then makes the patch.

    Call :meth:`touch` with every rectangle *before* writing to it; :meth:`finish` compares and drops tiles that ended equal.
    """

    def __init__(self, labels: LabelMap, provenance: NDArray[np.uint8]) -> None:
        self._labels = labels
        self._provenance = provenance
        self._before: dict[tuple[int, int], tuple[LabelMap, NDArray[np.uint8]]] = {}

    def touch(self, rect: Box) -> None:
        """Keep what the tiles under ``rect`` hold now, unless an earlier touch already has."""
        missing = [place for place in tiles_under(rect) if place not in self._before]
        if not missing:
            return
        rows, columns = [row for row, _ in missing], [column for _, column in missing]
        area = (max(rows) - min(rows) + 1) * (max(columns) - min(columns) + 1)
        # One copy around all of them is faster than many, if they fill it.
        for tiles in [missing] if area <= _SPARSE * len(missing) else [[place] for place in missing]:
            self._keep_tiles(tiles)

    def _keep_tiles(self, tiles: list[tuple[int, int]]) -> None:
        top, left = min(row for row, _ in tiles) * TILE, min(column for _, column in tiles) * TILE
        bottom, right = max(row for row, _ in tiles) * TILE + TILE, max(column for _, column in tiles) * TILE + TILE
        labels, provenance = self._labels[top:bottom, left:right].copy(), self._provenance[top:bottom, left:right].copy()
        for row, column in tiles:
            y, x = row * TILE - top, column * TILE - left
            self._before[row, column] = labels[y : y + TILE, x : x + TILE], provenance[y : y + TILE, x : x + TILE]

    def keep(self, tile: Box, labels: LabelMap, provenance: NDArray[np.uint8]) -> None:
        """Keep what a tile of the grid held earlier, unless a touch already has; the arrays are not copied."""
        self._before.setdefault((tile.y // TILE, tile.x // TILE), (labels, provenance))

    def original(self, rect: Box) -> LabelMap:
        """(h, w) labels of ``rect`` as they were before the step."""
        height, width = self._labels.shape
        found = self._labels[rect.slices].copy()
        for place in tiles_under(rect):
            if place in self._before:
                tile = tile_rect(*place, (height, width))
                shared = tile.intersected(rect)
                found[shared.within(rect).slices] = self._before[place][0][shared.within(tile).slices]
        return found

    def before_tiles(self) -> Iterator[tuple[Box, LabelMap, NDArray[np.uint8]]]:
        """Yield (rect, labels, provenance) of each tile that was touched, as it was before; do not change the arrays."""
        height, width = self._labels.shape
        for place, (labels, provenance) in self._before.items():
            yield tile_rect(*place, (height, width)), labels, provenance

    def finish(self) -> TilePatch:
        """The patch of everything that differs now from what was kept."""
        height, width = self._labels.shape
        tiles = []
        changed = 0
        for place in sorted(self._before):
            index = tile_rect(*place, (height, width)).slices
            old_labels, old_provenance = self._before[place]
            labels, provenance = self._labels[index], self._provenance[index]
            differing = int(np.count_nonzero(old_labels != labels))
            if differing or not np.array_equal(old_provenance, provenance):
                changed += differing
                tiles.append(TileChange(*place, _pack(old_labels, old_provenance), _pack(labels, provenance)))
        return TilePatch((height, width), self._labels.dtype.itemsize, tuple(tiles), changed)


def diff_patch(
    labels: LabelMap, provenance: NDArray[np.uint8], new_labels: LabelMap, new_provenance: NDArray[np.uint8]
) -> TilePatch:
    """The patch that turns one pair of (H, W) maps into another, without changing either."""
    return patch_of_region(labels, provenance, Box.whole(labels.shape), new_labels, new_provenance)


def patch_of_region(
    labels: LabelMap, provenance: NDArray[np.uint8], rect: Box, new_labels: LabelMap, new_provenance: NDArray[np.uint8]
) -> TilePatch:
    """The patch that writes (h, w) ``new_labels`` and ``new_provenance`` into ``rect`` of (H, W) maps, without changing them.

    ``rect`` must lie inside the maps. Tiles that would end as they are do not enter the patch.
    """
    height, width = labels.shape
    tiles = []
    changed = 0
    for place in tiles_under(rect):
        tile = tile_rect(*place, (height, width))
        shared = tile.intersected(rect)
        source, target = shared.within(rect).slices, shared.within(tile).slices
        old_labels, old_provenance = labels[tile.slices], provenance[tile.slices]
        differing = int(np.count_nonzero(old_labels[target] != new_labels[source]))
        if differing or not np.array_equal(old_provenance[target], new_provenance[source]):
            after_labels, after_provenance = old_labels.copy(), old_provenance.copy()
            after_labels[target], after_provenance[target] = new_labels[source], new_provenance[source]
            changed += differing
            tiles.append(TileChange(*place, _pack(old_labels, old_provenance), _pack(after_labels, after_provenance)))
    return TilePatch((height, width), labels.dtype.itemsize, tuple(tiles), changed)


def _pack(labels: LabelMap, provenance: NDArray[np.uint8]) -> bytes:
    return _compressed(labels.tobytes() + provenance.tobytes())


@lru_cache(maxsize=_REMEMBERED)
def _compressed(raw: bytes) -> bytes:
    return zlib.compress(raw, 1)


_uncompressed = lru_cache(maxsize=_REMEMBERED)(unpack)


def _unpack(data: bytes, rect: Box, itemsize: int) -> tuple[LabelMap, NDArray[np.uint8]]:
    pixels = rect.width * rect.height
    try:
        raw = _uncompressed(data, pixels * (itemsize + 1))
    except ValueError as error:
        raise damaged_step(str(error)) from error
    if len(raw) != pixels * (itemsize + 1):
        raise damaged_step(
            message("a tile has {found} bytes, expected {expected}", found=len(raw), expected=pixels * (itemsize + 1))
        )
    shape = rect.height, rect.width
    values: NDArray[np.uint8 | np.uint16] = np.frombuffer(raw, dtype=np.uint8 if itemsize == 1 else np.uint16, count=pixels)
    labels = values.reshape(shape)
    return labels, np.frombuffer(raw, dtype=np.uint8, offset=pixels * itemsize).reshape(shape)
