"""Cutting a canvas into overlapping tiles with coarse scores that fit together without a seam.

Every tile starts on a multiple of the quantum (the output stride), so that its coarse grid is a part of the whole canvas's. A
tile answers for its *core* only; the margin around it is context. At the border of the canvas there is no margin, so zero
padding happens where the untiled network has it and nowhere else.

Inner tiles are ``k * quantum`` long for networks that upsample by the half-pixel rule, ``k * quantum + 1`` for those that align
corners: then encoder features fit the decoder's finer grid exactly. A whole canvas of that form gives the same scores in tiles.
On one of another length, a network with a decoder stretches its features by up to half a feature over the whole canvas; in
tiles it does so in the last tile only.
"""

from __future__ import annotations

from dataclasses import dataclass

from deeplab_core.inference.geometry import Size


@dataclass(frozen=True, slots=True)
class Span:
    """One tile along one axis, in canvas pixels.

    It sees ``start <= i < stop`` and answers for ``core_start <= i < core_stop``.
    """

    start: int
    stop: int
    core_start: int
    core_stop: int

    @property
    def length(self) -> int:
        """Pixels that the tile sees."""
        return self.stop - self.start


@dataclass(frozen=True, slots=True)
class Tile:
    """One tile: its rows and columns."""

    rows: Span
    columns: Span


def plan_axis(length: int, tile: int, margin: int, quantum: int, rest: int, least: int = 1) -> list[Span]:
    """Spans that cover ``0..length``.

    Args:
        length: of the canvas.
        tile: wanted length of a tile; rounded down to the quantum, but at least three margins, so that no tile is mostly margin.
        margin: context on every inner side; rounded up to the quantum.
        quantum, rest: lengths of tiles, the last one apart, leave ``rest`` when divided by ``quantum``.
        least: smallest length that the network takes; ``length`` is no smaller. A last tile that would be begins earlier, with
            more context.
    """
    margin = -(-margin // quantum) * quantum
    step = max(tile // quantum * quantum, 2 * margin + max(margin, quantum), -(-least // quantum) * quantum)
    spans = []
    core = 0
    while True:
        start = max(0, core - margin)
        stop = start + step + rest
        if stop >= length:
            start = min(start, max(0, (length - least) // quantum * quantum))
            spans.append(Span(start, length, core, length))
            return spans
        spans.append(Span(start, stop, core, start + step - margin))
        core = spans[-1].core_stop


def plan_tiles(canvas: Size, tile: int, margin: int, quantum: int, rest: int, least: int = 1) -> list[Tile]:
    """All tiles of a canvas, row by row; see :func:`plan_axis`."""
    rows = plan_axis(canvas[0], tile, margin, quantum, rest, least)
    columns = plan_axis(canvas[1], tile, margin, quantum, rest, least)
    return [Tile(r, c) for r in rows for c in columns]
