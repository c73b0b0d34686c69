"""What lies over the photograph, one function per kind of pane, computed on the screen's own grid.

Labels are sampled once per *device* pixel, so the cost follows the size of the pane and never that of the image, edges are one
device pixel wide at every scale, and a change of colour, opacity or visibility needs no pass over the image.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QRect

from app.state.opencv import opencv
from app.ui.canvas.colors import OverlayTables, Table, difference_colors, gray, uncertainty_table
from app.ui.canvas.geometry import Mapping, sample
from app.ui.canvas.layers import LayerSet
from app.ui.canvas.presence import Presence
from app.viewmodels.annotate.panes import MODEL_PANES, OverlayOptions, PaneKind

Sampled = NDArray[Any]  # (h, w) label values under device pixels
Overlay = NDArray[np.uint32]  # (h, w) premultiplied ARGB

#: Device px that one changed pixel may influence beyond itself: the cell that it shares, whether its neighbours show its class,
#: their contours and the soft edge of those.
REACH = 5

#: Period of the hatching over void in device px.
_HATCH = 9

_SQUARE = np.ones((3, 3), dtype=np.uint8)
_CROSS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], dtype=np.uint8)

_VEIL_CORRECT = np.uint32(gray(10, 0.62))
_VEIL_UNJUDGED = np.uint32(gray(40, 0.72))
_VEIL_OUTSIDE = np.uint32(gray(6, 0.7))
_BAND_LINE = np.uint32(gray(255, 0.9))
_BAND_EXCLUDED = np.uint32(gray(150, 0.35))
_SOFT_SHADOW = np.uint32(gray(0, 0.22))


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """All that decides what a pane looks like, apart from its kind."""

    mapping: Mapping
    layers: LayerSet
    tables: OverlayTables
    options: OverlayOptions
    presence: Presence = field(default_factory=Presence)

    @property
    def reduced(self) -> bool:
        """Whether device pixels are larger than those of the image."""
        return self.mapping.scale < 1

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
        return _colored(uncertainty_table(), scene.sampled(layers.confidence, rect))
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
        truth = None if layers.truth is None else scene.sampled(layers.truth, rect)
        return _difference(scene, scene.sampled(one, rect), scene.sampled(other, rect), truth)
    if not options.visible:
        return None
    sources = {
        PaneKind.MASK: layers.labels, PaneKind.PREDICTION: layers.prediction, PaneKind.TRUTH: layers.truth,
        PaneKind.REFINED: layers.refined, **{pane: layers.model(place) for place, pane in enumerate(MODEL_PANES)},
    }  # fmt: skip
    source = sources[kind]
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
    if tables.hatch and void.any():
        overlay[void & _hatching(values.shape, phase)] = tables.hatch
    if scene.options.contours:
        _draw_contours(overlay, values if tables.shown is None else tables.shown.take(values), tables)
    return overlay


def _draw_contours(overlay: Overlay, shown: Sampled, tables: OverlayTables) -> None:
    """Light line on the side of a class, dark line on the side of none, and a soft dark edge around both."""
    line = edges(shown)
    if not line.any():
        return
    bare = overlay == 0
    if bare.any():  # over a fill the shadow would only dirty the colour
        overlay[bare & _grown(line)] = _SOFT_SHADOW
    overlay[line] = tables.line.take(shown[line])


def _grown(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    grown: NDArray[np.bool_] = opencv().dilate(mask.view(np.uint8), _SQUARE).view(np.bool_)
    return grown


def _errors(scene: Scene, rect: QRect) -> Overlay:
    tables, layers = scene.tables, scene.layers
    assert layers.labels is not None
    assert layers.truth is not None
    values, wrong = scene.differing(layers.labels, layers.truth, rect, tables.ignore)
    unjudged = scene.sampled(layers.truth, rect) == tables.ignore
    overlay = _colored(tables.wrong, values)
    np.copyto(overlay, _VEIL_CORRECT, where=~wrong)
    np.copyto(overlay, _VEIL_UNJUDGED, where=unjudged & ~wrong)
    if scene.options.contours:
        line = edges(np.where(wrong, values, values.dtype.type(tables.ignore)))
        line &= wrong
        overlay[line] = tables.wrong_line.take(values[line])
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
    if scene.options.contours:
        line = edges(changed)
        line &= changed
        overlay[line] = _BAND_LINE
    return overlay


def _difference(scene: Scene, one: Sampled, other: Sampled, truth: Sampled | None) -> Overlay:
    """Where two models differ, in the colour of the one that is right, of neither, or for unknown truth."""
    colors = difference_colors()
    differ = one != other
    overlay = np.full(one.shape, _VEIL_CORRECT, np.uint32)
    overlay[differ] = colors["unjudged"]
    if truth is not None:
        scored = differ & (truth != scene.tables.ignore)
        overlay[scored] = colors["neither"]
        overlay[scored & (one == truth)] = colors["first"]
        overlay[scored & (other == truth)] = colors["second"]
    if scene.options.contours:
        overlay[edges(differ) & differ] = _BAND_LINE
    return overlay


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
        if scene.options.contours:
            shown: Sampled = values if scene.tables.shown is None else scene.tables.shown.take(values)
            line = edges(shown)
            overlay[line] = scene.tables.line.take(shown[line])
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
