"""How the picture is looked at: place and scale, panes, overlay. One state for all linked panes; no widget, no pixel.

Scales are *device* pixels per image pixel of the first pane, so that 1.0 shows one image pixel on one pixel of any screen. The
other panes are linked by region: they show the same place, scaled by the ratio of their own fitting scale to the first pane's.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from PySide6.QtCore import QObject, Signal

from app.services.services import Services
from app.viewmodels.annotate.adjustment import GAMMA_STEP, NEUTRAL, STEP, ImageAdjustment
from app.viewmodels.annotate.panes import (
    OverlayOptions,
    Pane,
    PaneKind,
    PaneLayout,
    member,
    overlay_from_dict,
    overlay_to_dict,
    panes_from_list,
    panes_to_list,
)

#: Device px per image px. At 64 a 1600-px pane shows 25 image px; closer is of no use.
MAX_SCALE = 64.0
#: How far below 'fit' one may zoom out.
MIN_OF_FIT = 0.25
#: Scale step of one wheel notch.
WHEEL_STEP = 1.25


class ViewState(QObject):
    """Viewpoint, panes and overlay options, with one method for each user action.

    Attributes:
        keep_view: keep place and scale when the next image of the same size opens.

    Signals:
        viewpointChanged: place or scale changed.
        panesChanged: layout, a pane's kind, the split or ``keep_view`` changed.
        overlayChanged: overlay options changed.
        blinkChanged: hold-to-blink began or ended.
        adjustmentChanged: another brightness, contrast or gamma.
        adjustmentAsked: the user wants to choose them.
    """

    viewpointChanged = Signal()
    panesChanged = Signal()
    overlayChanged = Signal()
    blinkChanged = Signal()
    adjustmentChanged = Signal()
    adjustmentAsked = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._size = (1, 1)
        self._fit_scale = 1.0
        self._scale: float | None = None  # None: fitted, and stays so when the pane is resized
        self._center = (0.5, 0.5)
        self._layout = PaneLayout.SINGLE
        self._linked_layout = PaneLayout.TRIPLE
        self._panes = [
            Pane(PaneKind.MASK, PaneKind.IMAGE),
            Pane(PaneKind.BAND),
            Pane(PaneKind.UNCERTAINTY),
            Pane(PaneKind.ERRORS),
        ]
        self._earlier = [PaneKind.MASK, PaneKind.IMAGE, PaneKind.IMAGE, PaneKind.IMAGE]
        self._homes: dict[PaneKind, tuple[int, PaneKind]] = {}  # where a kind was switched off, and for what
        self._active = 0
        self._overlay = OverlayOptions()
        self._adjustment = NEUTRAL
        self._blink: PaneKind | None = None
        self._previewing = False
        self.keep_view = False

    # -- viewpoint -------------------------------------------------------------------------------------------------------

    @property
    def fitted(self) -> bool:
        """Whether the whole image is fitted into the pane, also after a resize."""
        return self._scale is None

    @property
    def scale(self) -> float:
        """Device px per image px in the first pane."""
        return self._fit_scale if self._scale is None else self._scale

    @property
    def fit_scale(self) -> float:
        """The scale at which the whole image just fits the first pane."""
        return self._fit_scale

    @property
    def center(self) -> tuple[float, float]:
        """Image point (float px) in the middle of every pane."""
        return self._center

    def set_image_size(self, width: int, height: int) -> None:
        """Another image was opened: fit it, or keep place and scale where :attr:`keep_view` is set and the size is the same."""
        same = (width, height) == self._size
        self._size = (max(width, 1), max(height, 1))
        if not (same and self.keep_view):
            self.fit()

    def set_fit_scale(self, scale: float) -> None:
        """Told by the first pane whenever its size or the image changes."""
        if scale > 0 and scale != self._fit_scale:
            self._fit_scale = scale
            self.viewpointChanged.emit()

    def fit(self) -> None:
        """Show the whole image, and go on doing so when the pane is resized."""
        self._scale = None
        self._center = (self._size[0] / 2, self._size[1] / 2)
        self.viewpointChanged.emit()

    def zoom_fit(self) -> None:
        """The key's name for :meth:`fit`."""
        self.fit()

    def zoom_actual(self) -> None:
        """100 %: one image px on one px of the screen."""
        self.set_scale(1.0)

    def zoom_in(self) -> None:
        """One step closer, around the middle."""
        self.zoom_at(*self._center, WHEEL_STEP)

    def zoom_out(self) -> None:
        """One step away, around the middle."""
        self.zoom_at(*self._center, 1 / WHEEL_STEP)

    def set_scale(self, scale: float) -> None:
        """Scale around the middle of the pane, within the limits."""
        self._scale = self._limited(scale)
        self.viewpointChanged.emit()

    def zoom_at(self, x: float, y: float, factor: float) -> None:
        """Scale by a factor so that the image point (x, y) stays where it is on the screen."""
        before = self.scale
        self._scale = self._limited(before * factor)
        ratio = before / self._scale
        self._center = self._inside(x + (self._center[0] - x) * ratio, y + (self._center[1] - y) * ratio)
        self.viewpointChanged.emit()

    def pan_by(self, dx: float, dy: float) -> None:
        """Move the middle by a distance in image px."""
        self.center_on(self._center[0] + dx, self._center[1] + dy)

    def center_on(self, x: float, y: float) -> None:
        """Bring an image point to the middle; the scale stays."""
        if self._scale is None:
            self._scale = self._fit_scale
        self._center = self._inside(x, y)
        self.viewpointChanged.emit()

    def show_region(self, x: float, y: float, width: float, height: float, margin: float = 0.5) -> None:
        """Bring a rectangle (image px) into view with a margin (fraction of its size) around it, never beyond 8x.

        A rectangle that needs more than the image shows the whole image, as large as the pane allows.
        """
        image_width, image_height = self._size
        share = max(width * (1 + 2 * margin) / image_width, height * (1 + 2 * margin) / image_height, 1e-6)
        if share >= 1:
            self.fit()
            return
        self._scale = self._limited(min(self._fit_scale / share, max(8.0, self._fit_scale)))
        self._center = self._inside(x + width / 2, y + height / 2)
        self.viewpointChanged.emit()

    def _limited(self, scale: float) -> float:
        least = min(self._fit_scale * MIN_OF_FIT, 1.0)
        return min(max(scale, least), max(MAX_SCALE, self._fit_scale))

    def _inside(self, x: float, y: float) -> tuple[float, float]:
        return min(max(x, 0.0), float(self._size[0])), min(max(y, 0.0), float(self._size[1]))

    def toggle_keep(self) -> None:
        """Keep place and scale when the next image of the same size opens, or fit every image."""
        self.keep_view = not self.keep_view
        self.panesChanged.emit()

    # -- panes -----------------------------------------------------------------------------------------------------------

    @property
    def layout(self) -> PaneLayout:
        return self._layout

    @property
    def panes(self) -> tuple[Pane, ...]:
        """The panes that the layout shows, first (large) one first; only the split layout has a line."""
        if self._layout is PaneLayout.SPLIT:
            pane = self._panes[0]
            return (replace(pane, other=pane.other or PaneKind.IMAGE),)
        return tuple(replace(pane, other=None) for pane in self._panes[: self._layout.panes])

    @property
    def active(self) -> int:
        """Index of the pane that was pointed at last; keys that change a pane mean this one."""
        return min(self._active, self._layout.panes - 1)

    def activate(self, index: int) -> None:
        """Told by the panes when the pointer enters one."""
        self._active = index

    def shows(self, kind: PaneKind) -> bool:
        """Whether a visible pane is of this kind."""
        return any(kind in (pane.kind, pane.other) for pane in self.panes)

    def set_layout(self, layout: PaneLayout | str) -> None:
        """Show another number of panes; each keeps its kind."""
        layout = PaneLayout(layout)
        if layout is not self._layout:
            self._layout = layout
            if layout.panes > 1:
                self._linked_layout = layout
            self.panesChanged.emit()

    def toggle_linked(self) -> None:
        """One pane, or the linked layout that was shown last."""
        self.set_layout(PaneLayout.SINGLE if self._layout.panes > 1 else self._linked_layout)

    def set_kind(self, index: int, kind: PaneKind | str) -> None:
        """Show something else in a pane. Raises IndexError for a pane that no layout has."""
        kind = PaneKind(kind)
        pane = self._panes[index]
        if pane.kind is not kind:
            self._earlier[index] = pane.kind
            self._panes[index] = replace(pane, kind=kind)
            self.panesChanged.emit()

    def set_other(self, kind: PaneKind | str) -> None:
        """What the split layout shows right of its line."""
        kind = PaneKind(kind)
        if self._panes[0].other is not kind:
            self._panes[0] = replace(self._panes[0], other=kind)
            self.panesChanged.emit()

    def set_split(self, fraction: float) -> None:
        """Move the line of the split layout, 0..1 of the pane's width."""
        fraction = min(max(fraction, 0.0), 1.0)
        if fraction != self._panes[0].split:
            self._panes[0] = replace(self._panes[0], split=fraction)
            self.panesChanged.emit()

    def toggle_kind(self, kind: PaneKind) -> None:
        """Show ``kind`` where it was last, else in the active pane; a pane that shows it gets back what it showed before."""
        showing = [index for index, pane in enumerate(self.panes) if pane.kind is kind]
        for index in showing:
            earlier = self._earlier[index]
            instead = PaneKind.MASK if earlier is kind else earlier
            self._homes[kind] = index, instead
            self.set_kind(index, instead)
        if not showing:
            home, left = self._homes.pop(kind, (self.active, kind))
            untouched = home < self._layout.panes and self._panes[home].kind is left
            self.set_kind(home if untouched else self.active, kind)

    def toggle_trimap(self) -> None:
        self.toggle_kind(PaneKind.BAND)

    def toggle_uncertainty(self) -> None:
        self.toggle_kind(PaneKind.UNCERTAINTY)

    def toggle_errors(self) -> None:
        self.toggle_kind(PaneKind.ERRORS)

    # -- overlay ---------------------------------------------------------------------------------------------------------

    @property
    def overlay(self) -> OverlayOptions:
        return self._overlay

    def set_overlay(self, options: OverlayOptions) -> None:
        """Replace all overlay options at once."""
        options = replace(options, opacity=min(max(options.opacity, 0.0), 1.0))
        if options != self._overlay:
            self._overlay = options
            self.overlayChanged.emit()

    def set_opacity(self, opacity: float) -> None:
        """Opacity of the fill, clamped to 0..1."""
        self.set_overlay(replace(self._overlay, opacity=opacity))

    def step_opacity(self, steps: int) -> None:
        """Ten percent more (or, with a negative number, less) of the fill for each step."""
        self.set_opacity(round(self._overlay.opacity + 0.1 * steps, 3))

    def toggle_overlay(self) -> None:
        self.set_overlay(replace(self._overlay, visible=not self._overlay.visible))

    def toggle_contours(self) -> None:
        self.set_overlay(replace(self._overlay, contours=not self._overlay.contours))

    def toggle_names(self) -> None:
        """Show the names of classes on their regions, or hide them."""
        self.set_overlay(replace(self._overlay, names=not self._overlay.names))

    def color_errors(self, by: str) -> None:
        """Colour errors by their ``"kind"`` or by the ``"class"`` that was given."""
        self.set_overlay(replace(self._overlay, error_colors=by))

    # -- brightness, contrast and gamma ------------------------------------------------------------------------------------

    @property
    def adjustment(self) -> ImageAdjustment:
        """How values of the image are shown; of this session, for all images."""
        return self._adjustment

    def set_adjustment(self, adjustment: ImageAdjustment) -> None:
        """Show the image with other values; nothing else changes."""
        if adjustment != self._adjustment:
            self._adjustment = adjustment
            self.adjustmentChanged.emit()

    def step_brightness(self, steps: int) -> None:
        """Ten per cent of white more (or, with a negative number, less) for each step."""
        self.set_adjustment(self._adjustment.changed(brightness=STEP * steps))

    def step_contrast(self, steps: int) -> None:
        """More, or less, contrast."""
        self.set_adjustment(self._adjustment.changed(contrast=STEP * steps))

    def step_gamma(self, steps: int) -> None:
        """Brighter, or darker, dark parts."""
        self.set_adjustment(self._adjustment.changed(gamma=GAMMA_STEP**steps))

    def reset_adjustment(self) -> None:
        """Show the image as it is."""
        self.set_adjustment(NEUTRAL)

    def ask_adjustment(self) -> None:
        """Ask for brightness, contrast and gamma."""
        self.adjustmentAsked.emit()

    # -- blink -----------------------------------------------------------------------------------------------------------

    @property
    def blink(self) -> PaneKind | None:
        """What is shown instead of the mask while a key is held; None when it is not."""
        return self._blink

    def set_blink(self, kind: PaneKind | None) -> None:
        """Begin (a kind) or end (None) hold-to-blink."""
        if kind is not self._blink:
            self._blink = kind
            self.blinkChanged.emit()

    def hold_blink(self, on: bool) -> None:
        """Show the prediction instead of the mask while the key is held."""
        self.set_blink(PaneKind.PREDICTION if on else None)

    def set_previewing(self, on: bool) -> None:
        """Show what the mask would become in its place, or the mask again; while it does, blinking shows the mask as it is."""
        if on != self._previewing:
            self._previewing = on
            self.blinkChanged.emit()

    def stand_in(self, index: int) -> PaneKind | None:
        """What pane ``index`` shows instead of its own kind: blinking and previews replace the masks; None for neither.

        Without a mask in view, the active pane blinks. Where a line divides mask and preview, both are in view already.
        """
        panes = self.panes
        masks = [pane.kind for pane in panes].count(PaneKind.MASK)
        if self._previewing and masks:
            divided = panes[index].other is PaneKind.REFINED
            is_mask = panes[index].kind is PaneKind.MASK
            return PaneKind.REFINED if is_mask and self._blink is None and not divided else None
        if panes[index].kind is PaneKind.MASK or (not masks and index == self.active):
            return self._blink
        return None

    # -- keeping ---------------------------------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """Layout, panes and overlay as plain values for the settings; the viewpoint belongs to the image and is left out."""
        return {
            "layout": str(self._layout),
            "linked_layout": str(self._linked_layout),
            "panes": panes_to_list(self._panes),
            "overlay": overlay_to_dict(self._overlay),
            "keep_view": self.keep_view,
        }

    def restore(self, data: dict[str, Any]) -> None:
        """Take :meth:`to_dict`'s form back; what is missing or malformed keeps its present value."""
        self._layout = member(PaneLayout, data.get("layout"), self._layout)
        linked = member(PaneLayout, data.get("linked_layout"), self._linked_layout)
        self._linked_layout = linked if linked.panes > 1 else self._linked_layout
        self._panes = panes_from_list(data.get("panes"), self._panes)
        self._overlay = overlay_from_dict(data.get("overlay"), self._overlay)
        self.keep_view = bool(data.get("keep_view", self.keep_view))
        self.panesChanged.emit()
        self.overlayChanged.emit()


#: Settings of the overlay that are kept as they are, and their names in :class:`OverlayOptions`.
_OVERLAY_SETTINGS = {
    "canvas.class_colors": "class_colors", "canvas.contours": "contours", "canvas.outline": "outline", "canvas.names": "names",
    "canvas.error_colors": "error_colors",
}  # fmt: skip


class ViewSettingsSync(QObject):
    """Keeps the settings of the view (overlay, layout, zoom) and the context keys in step with :class:`ViewState`."""

    def __init__(self, services: Services, view: ViewState, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._view, self._settings, self._context = view, services.settings, services.context
        view.set_opacity(services.settings["canvas.opacity"] / 100)
        view.keep_view = services.settings["canvas.keep_view"]
        view.set_overlay(replace(view.overlay, **{name: services.settings[key] for key, name in _OVERLAY_SETTINGS.items()}))
        view.set_layout(member(PaneLayout, services.settings["canvas.layout"], PaneLayout.SINGLE))
        view.panesChanged.connect(self._follow)
        view.overlayChanged.connect(self._follow)
        view.adjustmentChanged.connect(lambda: services.context.update(view_adjusted=not view.adjustment.neutral))
        services.settings.changed.connect(self._take_setting)
        self._follow()

    def _follow(self) -> None:
        view = self._view
        self._context.update(
            overlay_on=view.overlay.visible,
            contours_on=view.overlay.contours,
            names_on=view.overlay.names,
            keep_view=view.keep_view,
            pane_trimap=view.shows(PaneKind.BAND),
            pane_uncertainty=view.shows(PaneKind.UNCERTAINTY),
            pane_errors=view.shows(PaneKind.ERRORS),
            pane_changes=view.shows(PaneKind.CHANGES),
            **{f"layout_{layout}": layout is view.layout for layout in PaneLayout},
        )
        self._settings.set("canvas.layout", str(view.layout))
        self._settings.set("canvas.opacity", min(max(round(view.overlay.opacity * 100), 5), 100))
        for key, name in _OVERLAY_SETTINGS.items():
            self._settings.set(key, getattr(view.overlay, name))
        self._settings.set("canvas.keep_view", view.keep_view)

    def _take_setting(self, key: str) -> None:
        value = self._settings[key]
        if key == "canvas.opacity" and round(self._view.overlay.opacity * 100) != value:
            self._view.set_opacity(value / 100)
        elif key in _OVERLAY_SETTINGS:
            self._view.set_overlay(replace(self._view.overlay, **{_OVERLAY_SETTINGS[key]: value}))
        elif key == "canvas.keep_view" and self._view.keep_view != value:
            self._view.toggle_keep()
