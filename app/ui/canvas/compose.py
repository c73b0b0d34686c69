"""What lies over the photograph, one function per kind of pane, computed on the screen's own grid.

Labels are sampled once per *device* pixel, so the cost follows the size of the pane and never that of the image, edges are one
device pixel wide at every scale, and a change of colour, opacity or visibility needs no pass over the image.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QRect

from app.state.opencv import opencv
from app.ui.canvas.colors import (
    CLAIMED,
    DUE,
    UNJUDGED,
    OverlayTables,
    Table,
    difference_colors,
    error_colors,
    error_lines,
    gray,
    kind_of,
    uncertainty_table,
)
from app.ui.canvas.geometry import Mapping, sample
from app.ui.canvas.layers import LayerSet
from app.ui.canvas.presence import EQUAL, FIRST, NEITHER, SECOND, UNSCORED, Presence
from app.viewmodels.annotate.adjustment import NEUTRAL, ImageAdjustment
from app.viewmodels.annotate.panes import OverlayOptions, PaneKind

Sampled = NDArray[Any]  # (h, w) label values under device pixels
Overlay = NDArray[np.uint32]  # (h, w) premultiplied ARGB

#: Device px that one changed pixel may influence beyond itself, without outlines: the cell that it shares, and whether its
#: neighbours show its class.
_REACH = 3
#: Width in view px of the dark line beside an outline.
_TWIN = 1

#: Period of the hatching over void in device px.
_HATCH = 9

#: Disks with a radius of one and two px. Wider ones are made of several steps.
_CROSS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], dtype=np.uint8)
_DISK = np.array([[0, 1, 1, 1, 0], [1, 1, 1, 1, 1], [1, 1, 1, 1, 1], [1, 1, 1, 1, 1], [0, 1, 1, 1, 0]], dtype=np.uint8)

_VEIL_CORRECT = np.uint32(gray(10, 0.62))
_VEIL_UNJUDGED = np.uint32(gray(40, 0.72))
_VEIL_OUTSIDE = np.uint32(gray(6, 0.7))
_BAND_LINE = np.uint32(gray(255, 0.9))
_WHITE_LINE = np.array([0, _BAND_LINE], np.uint32)
_BAND_EXCLUDED = np.uint32(gray(150, 0.35))

#: Colours of the error view by the sum of what :class:`OverlayTables` has for a label, its ground truth, and 1 if it is wrong.
_KIND_COLORS, _KIND_LINES = np.full(256, _VEIL_CORRECT, np.uint32), np.zeros(256, np.uint32)
_KIND_COLORS[[UNJUDGED, UNJUDGED + CLAIMED]] = _VEIL_UNJUDGED
for _claimed, _due in itertools.product((False, True), (0, DUE, UNJUDGED)):  # reduced, a wrong pixel may lie beside a void one
    _place, _kind = 1 + CLAIMED * _claimed + _due, kind_of(_claimed, _due == DUE)
    _KIND_COLORS[_place], _KIND_LINES[_place] = error_colors()[_kind], error_lines()[_kind]


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """All that decides what a pane looks like, apart from its kind."""

    mapping: Mapping
    layers: LayerSet
    tables: OverlayTables
    options: OverlayOptions
    presence: Presence = field(default_factory=Presence)
    adjustment: ImageAdjustment = NEUTRAL

    @property
    def reduced(self) -> bool:
        """Whether device pixels are larger than those of the image."""
        return self.mapping.scale < 1

    @property
    def outline(self) -> tuple[int, int]:
        """Widths of an outline and of the dark line beside it in device px; (0, 0) where outlines are off."""
        if not (self.options.contours and self.options.outline):
            return 0, 0
        ratio = self.mapping.ratio
        return max(round(self.options.outline * ratio), 1), max(round(_TWIN * ratio), 1)

    @property
    def thin(self) -> tuple[int, int]:
        """The same around errors and changes: they may be thinner than an outline, and the veil beside them is dark already."""
        return min(self.outline[0], max(round(self.mapping.ratio), 1)), 0

    @property
    def reach(self) -> int:
        """Device px that one changed pixel may influence beyond itself."""
        return _REACH + max(*self.outline, 1)

    def sampled(self, array: NDArray[Any], rect: QRect) -> Sampled:
        """(h, w) values under the centres of device px."""
        mapping = self.mapping
        rows = mapping.rows(rect.top(), rect.top() + rect.height())
        return sample(array, rows, mapping.columns(rect.left(), rect.left() + rect.width()))

    def labels(self, array: NDArray[Any], rect: QRect) -> Sampled:
        """(h, w) labels, none of which disappears when zoomed out."""
        values = self.sampled(array, rect)
        if self.reduced:
            places, found = self._lost(rect, values, None, self.options.hidden, array)
            if places.size:
                values = np.array(values)
                values.ravel()[places] = found
        return values

    def differing(
        self, array: NDArray[Any], other: NDArray[Any], rect: QRect, ignore: int | None = None
    ) -> tuple[Sampled, NDArray[np.bool_]]:
        """(h, w) labels, and where they differ from another map, which does not disappear when zoomed out.

        Args:
            ignore: value of ``other`` for unscored pixels.
        """
        values, against = self.sampled(array, rect), self.sampled(other, rect)
        differs = values != against
        if ignore is not None:
            differs &= against != ignore
        if self.reduced:
            places, found = self._lost(rect, values, differs, frozenset(), array, other, ignore)
            if places.size:
                values = np.array(values)
                values.ravel()[places], differs.ravel()[places] = found, True
        return values, differs

    def _lost(
        self, rect: QRect, values: Sampled, counts: NDArray[np.bool_] | None, hidden: frozenset[int], *maps: Any
    ) -> tuple[NDArray[np.intp], Sampled]:
        sets = self.presence.sets(*maps)
        return sets.lost(self.mapping.cell_level, *self.mapping.cells(rect), values, counts, hidden)


def compose(scene: Scene, kind: PaneKind, rect: QRect) -> Overlay | None:
    """The overlay of some device px, all of them on the picture; None if nothing covers the image."""
    if rect.isEmpty() or kind is PaneKind.IMAGE or scene.layers.missing(kind) is not None:
        return None
    layers, options = scene.layers, scene.options
    if kind is PaneKind.UNCERTAINTY:
        assert layers.confidence is not None
        confidence = layers.confidence
        if scene.reduced:
            least = scene.presence.confidence(confidence)
            return _colored(uncertainty_table(), least.under(scene.mapping.cell_level, *scene.mapping.cells(rect)))
        return _colored(uncertainty_table(), scene.sampled(confidence, rect))
    if kind is PaneKind.ERRORS:
        return _errors(scene, rect)
    if kind is PaneKind.BAND:
        return _band(scene, rect)
    if kind is PaneKind.CHANGES:
        return _changes(scene, rect)
    if kind is PaneKind.DIFFERENCE:
        one, other = (layers.model(place) for place in layers.pair)
        assert one is not None
        assert other is not None
        return _difference(scene, one, other, layers.truth, rect)
    if not options.visible:
        return None
    source = layers.labels_of(kind)
    assert source is not None
    overlay = _labels(scene, scene.labels(source, rect), rect.left() + rect.top())
    if kind is PaneKind.MASK and layers.band_limits and layers.band is not None:
        within = _within_band(scene, layers.band, rect)
        overlay[edges(within) & within] = _BAND_LINE
    return overlay


def edges(values: Sampled) -> NDArray[np.bool_]:
    """(h, w) bool: pixels with a 4-neighbour of another value. Both sides of an edge belong to it; the border is none."""
    cv2 = opencv()
    known = values.view(np.uint8) if values.dtype == np.bool_ else values
    found: NDArray[np.bool_] = cv2.morphologyEx(known, cv2.MORPH_GRADIENT, _CROSS).astype(np.bool_)
    return found


def _colored(table: Table, values: Sampled) -> Overlay:
    """(h, w) colours of some values: OpenCV looks bytes up in half of numpy's time."""
    if values.dtype != np.uint8:
        return table.take(values)
    colors: Overlay = opencv().LUT(values, table.view(np.int32)).view(np.uint32)
    return colors


def _labels(scene: Scene, values: Sampled, phase: int) -> Overlay:
    tables = scene.tables
    overlay = _colored(tables.fill, values)
    void = values == tables.ignore
    some = bool(void.any())
    if tables.hatch and some:
        overlay[void & _hatching(values.shape, phase)] = tables.hatch
    if scene.outline[0]:
        _draw_outlines(scene, overlay, values, some)
    return overlay


def _draw_outlines(scene: Scene, overlay: Overlay, values: Sampled, void: bool) -> None:
    """Outlines of labels: in the light colour of one class, with a dark line beside them on the other side.

    Args:
        void: whether some values are void.
    """
    tables = scene.tables
    order = values if tables.plain and not void else _looked_up(tables.order, values)
    _draw_line(overlay, order, values, tables.line, scene.outline, tables.twin)


def _draw_line(
    overlay: Overlay, order: Sampled, values: Sampled, colors: Table, widths: tuple[int, int], twin: np.uint32
) -> None:
    """A line where a pixel of lower order is near, and a dark one where a pixel of higher order is.

    Args:
        order: (h, w) uint8 or uint16.
        values: (h, w) that ``colors`` are looked up for.
        widths: of the line and of the dark one in device px; 0 for none.
        twin: colour of the dark one.
    """
    cv2 = opencv()
    if not widths[0]:
        return
    low, high = order, order
    for disk in _disks(widths[0]):
        low = cv2.erode(low, disk)
    places = np.flatnonzero(order > low)
    if not places.size:
        return
    flat = overlay.reshape(-1)
    flat[places] = colors.take(values.take(places))
    if widths[1]:
        for disk in _disks(widths[1]):
            high = cv2.dilate(high, disk)
        flat[np.flatnonzero(order < high)] = twin


def _disks(radius: int) -> list[NDArray[np.uint8]]:
    """Disks that make one of a radius, one after the other."""
    return [_DISK] * (radius // 2) + [_CROSS] * (radius % 2)


def _looked_up(table: NDArray[Any], values: Sampled) -> Sampled:
    """(h, w) values of a table with one byte, or two, for each label."""
    return opencv().LUT(values, table) if values.dtype == np.uint8 else table.take(values)


def _errors(scene: Scene, rect: QRect) -> Overlay:
    tables, layers = scene.tables, scene.layers
    assert layers.labels is not None
    assert layers.truth is not None
    values, wrong = scene.differing(layers.labels, layers.truth, rect, tables.ignore)
    truth = scene.sampled(layers.truth, rect)
    if scene.options.error_colors == "kind":
        kinds = _looked_up(tables.claims, values) + _looked_up(tables.due, truth)
        kinds += wrong.view(np.uint8)
        overlay = _colored(_KIND_COLORS, kinds)
        _draw_line(overlay, wrong.view(np.uint8), kinds, _KIND_LINES, scene.thin, tables.twin)
    else:
        unjudged = truth == tables.ignore
        overlay = _colored(tables.wrong, values)
        np.copyto(overlay, _VEIL_CORRECT, where=~wrong)
        np.copyto(overlay, _VEIL_UNJUDGED, where=unjudged & ~wrong)
        order = np.where(wrong, _looked_up(tables.order, values) + 1, 0).astype(values.dtype)
        _draw_line(overlay, order, values, tables.wrong_line, scene.thin, tables.twin)
    return overlay


def _changes(scene: Scene, rect: QRect) -> Overlay:
    """What a CRF would change, in the colour of what it becomes; white around what becomes unlabelled."""
    tables, layers = scene.tables, scene.layers
    assert layers.labels is not None
    assert layers.refined is not None
    after, changed = scene.differing(layers.refined, layers.labels, rect)
    overlay = _colored(tables.wrong, after)
    np.copyto(overlay, _VEIL_CORRECT, where=~changed)
    np.copyto(overlay, _BAND_EXCLUDED, where=changed & (after == tables.ignore))
    _draw_line(overlay, changed.view(np.uint8), changed.view(np.uint8), _WHITE_LINE, scene.thin, tables.twin)
    return overlay


def _difference(scene: Scene, one: Sampled, other: Sampled, truth: Sampled | None, rect: QRect) -> Overlay:
    """Where two models differ, in the colour of the one that is right, of neither, or for unknown truth."""
    maps = scene.presence.difference(one, other, truth, scene.tables.ignore)
    kinds = maps.kinds(lambda array: scene.sampled(array, rect))
    if scene.reduced:
        maps.put_lost(scene.mapping.cell_level, *scene.mapping.cells(rect), kinds)
    overlay = _colored(_difference_table(), kinds)
    differ = (kinds != EQUAL).view(np.uint8)
    _draw_line(overlay, differ, differ, _WHITE_LINE, scene.thin, scene.tables.twin)
    return overlay


def _difference_table() -> Table:
    colors = difference_colors()
    table = np.full(256, _VEIL_CORRECT, np.uint32)
    table[[NEITHER, SECOND, FIRST, UNSCORED]] = [colors[name] for name in ("neither", "second", "first", "unjudged")]
    return table


def _band(scene: Scene, rect: QRect) -> Overlay:
    layers = scene.layers
    assert layers.band is not None
    within = _within_band(scene, layers.band, rect)
    excluded = scene.sampled(layers.band, rect) == 0
    inside = layers.band_labels if layers.band_labels is not None else layers.labels
    values = None if inside is None else scene.labels(inside, rect)
    if values is None or not scene.options.visible:
        overlay = np.zeros(within.shape, dtype=np.uint32)
    else:
        overlay = _colored(scene.tables.fill, values)
        _draw_outlines(scene, overlay, values, bool((values == scene.tables.ignore).any()))
    overlay[excluded] = _BAND_EXCLUDED
    overlay[~within] = _VEIL_OUTSIDE
    overlay[edges(within) & within] = _BAND_LINE
    return overlay


def _within_band(scene: Scene, band: NDArray[np.uint8], rect: QRect) -> NDArray[np.bool_]:
    """(h, w) bool: device px over the band, or over what it excludes."""
    width = scene.layers.band_width
    within: NDArray[np.bool_] = scene.sampled(band, rect) <= width
    if scene.reduced:
        within |= scene.presence.band(band).within(scene.mapping.cell_level, *scene.mapping.cells(rect), width)
    return within


def _hatching(shape: tuple[int, ...], phase: int) -> NDArray[np.bool_]:
    """(h, w) view of diagonal lines that stay in place whatever rectangle is painted; costs O(h + w)."""
    height, width = shape
    stripes = (np.arange(phase, phase + height + width) % _HATCH) == 0
    return np.lib.stride_tricks.as_strided(stripes, (height, width), (1, 1), writeable=False)
